/* The bathtub curve as its paper fits it: least squares of F(t) = A (1 - e^(-t/tau1) +
 * e^((t-b)/tau2)) (eq. 1) to the empirical distribution of all VMs that were "preempted", those at
 * the cap included, with no account of the VMs that their users stopped. Kept to compare with:
 * censoring left out is what makes its hazard rise towards the cap. */
#include <math.h>
#include <string.h>

#include "scheduler/core/fit_estimate.h"
#include "scheduler/core/fit_linear.h"

#define D EBB_FIT_SEARCH_DIMENSIONS

static double curve(const double *p, double t)
{
    return p[0] * (1 - exp(-t / p[1]) + exp(fmin((t - p[3]) / p[2], 600)));
}

static double total(const struct ebb_fit_sample *s)
{
    double n = 0;
    for (size_t i = 0; i < s->end_count; i++)
        n += s->ends[i];
    return n;
}

/* Sum of squares; VMs of equal age stand on the steps of the empirical distribution there. */
static double squares(const struct ebb_fit_sample *s, const double *p, double *ret_spread)
{
    double n = total(s), seen = 0, sum = 0, spread = 0;
    for (size_t i = 0; i < s->end_count; i++) {
        double F = curve(p, s->end_h[i]);
        for (double k = 1; k <= s->ends[i]; k++) {
            double step = (seen + k) / n, mean = (n + 1) / (2 * n);
            sum += (F - step) * (F - step);
            spread += (step - mean) * (step - mean);
        }
        seen += s->ends[i];
    }
    if (ret_spread != NULL)
        *ret_spread = spread;
    return sum;
}

static void parameters_of(const double *x, double limit_h, double *p)
{
    p[0] = exp(x[0]);
    p[1] = exp(x[1]);
    p[2] = exp(x[2]);
    p[3] = x[3] * limit_h;
}

struct problem {
    const struct ebb_fit_sample *s;
    double limit_h;
};

static double objective(void *ctx, const double *x)
{
    const struct problem *q = ctx;
    double p[D];
    parameters_of(x, q->limit_h, p);
    return squares(q->s, p, NULL);
}

void ebb_fit_bathtub(const struct ebb_fit_sample *s, double limit_h,
                     const struct ebb_fit_estimate *start, struct ebb_fit_estimate *ret)
{
    struct problem q = {s, limit_h};
    struct ebb_fit_search search = {
        .objective = objective,
        .ctx = &q,
        .dimensions = D,
        .lower = {log(1e-3), log(1e-4 * limit_h), log(1e-3 * limit_h), 0.2},
        .upper = {log(2), log(1e2 * limit_h), log(10 * limit_h), 3}};
    double starts[4][D] = {{log(0.4), log(0.04 * limit_h), log(0.03 * limit_h), 1},
                           {log(0.4), log(0.2 * limit_h), log(0.03 * limit_h), 1.05},
                           {log(0.7), log(0.02 * limit_h), log(0.1 * limit_h), 1.1},
                           {log(0.9), log(0.3 * limit_h), log(0.2 * limit_h), 1.5}};
    if (start != NULL)
        memcpy(starts[0], start->point, sizeof starts[0]);
    (void)ebb_fit_search_run(&search, starts, start != NULL ? 1 : EBB_ARRAY_LEN(starts),
                             ret->point);
    parameters_of(ret->point, limit_h, ret->curve.p);
}

/* Gauss-Newton: the residuals' variance times (J^T J)^-1. The points of an empirical distribution
 * are not independent, so these are too small, as in the paper. */
void ebb_fit_bathtub_errors(const struct ebb_fit_sample *s, double limit_h,
                            struct ebb_fit_estimate *e)
{
    (void)limit_h;
    const double *p = e->curve.p;
    double n = total(s), spread, sum = squares(s, p, &spread);
    double JJ[D * D] = {0}, inverse[D * D];
    for (size_t i = 0; i < s->end_count; i++) {
        double t = s->end_h[i], ends = s->ends[i];
        double early = exp(-t / p[1]), late = exp(fmin((t - p[3]) / p[2], 600));
        double g[D] = {1 - early + late, -p[0] * early * t / (p[1] * p[1]),
                       -p[0] * late * (t - p[3]) / (p[2] * p[2]), -p[0] * late / p[2]};
        for (size_t k = 0; k < D * D; k++)
            JJ[k] += ends * g[k / D] * g[k % D];
    }
    e->r_squared = spread > 0 ? 1 - sum / spread : NAN;
    bool good = n > D && ebb_cholesky(JJ, D);
    if (good)
        ebb_cholesky_invert(JJ, D, inverse);
    for (size_t k = 0; k < D; k++)
        e->standard_error[k] = good ? sqrt(sum / (n - D) * inverse[k * D + k]) : NAN;
}
