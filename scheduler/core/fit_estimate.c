/* Each family is searched in variables without bounds of their own: logarithms of what is positive,
 * logits of what is a fraction, and for the bathtub the mass that it loses before the cap and the
 * share of its late part, so that every point is a distribution. Standard errors go back to the
 * parameters that people read by the delta method. */
#include "scheduler/core/fit_estimate.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define D           EBB_FIT_SEARCH_DIMENSIONS
#define MOST_STARTS 12
#define LOGIT_MOST  12.0

struct problem {
    enum ebb_fit_family family;
    const struct ebb_fit_sample *s;
    double limit_h, rate; /* rate: revocations over exposure */
};

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

/* A point of the search as parameters. */
static void bathtub_parameters(double limit_h, const double *x, double *p)
{
    double mass = logistic(x[0]), share = logistic(x[1]), tau1 = exp(x[2]), tau2 = exp(x[3]);
    /* F(t) = mass ((1 - share) (1 - e^(-t/tau1)) / (1 - e^(-L/tau1))
     *              + share (e^(t/tau2) - 1) / (e^(L/tau2) - 1)), by A, tau1, tau2 and b. */
    double A = mass * (1 - share) / -expm1(-limit_h / tau1);
    p[0] = A;
    p[1] = tau1;
    p[2] = tau2;
    p[3] = -tau2 * (log(mass * share / A) - log(expm1(limit_h / tau2)));
}

static void parameters_of(const struct problem *q, const double *x, double *p)
{
    switch (q->family) {
    case EBB_FIT_LOGNORMAL:
        p[0] = x[0];
        p[1] = exp(x[1]);
        return;
    case EBB_FIT_TWO_EXPONENTIALS:
        p[0] = logistic(x[0]);
        p[1] = exp(x[1]) * (1 + exp(x[2]));
        p[2] = exp(x[1]);
        return;
    case EBB_FIT_WEIBULL_CURE_CONSTANT:
        p[0] = logistic(x[0]);
        for (size_t i = 1; i < 4; i++)
            p[i] = exp(x[i]);
        return;
    case EBB_FIT_BATHTUB_NORMALISED:
        bathtub_parameters(q->limit_h, x, p);
        return;
    default:
        for (size_t i = 0; i < ebb_fit_family_parameter_count(q->family); i++)
            p[i] = exp(x[i]);
    }
}

static double negative_log_likelihood(void *ctx, const double *x)
{
    const struct problem *q = ctx;
    struct ebb_fit_curve c = {.family = q->family,
                              .count = ebb_fit_family_parameter_count(q->family)};
    parameters_of(q, x, c.p);
    return -ebb_fit_log_likelihood(&c, q->s);
}

static void bound(struct ebb_fit_search *s, size_t i, double lower, double upper)
{
    s->lower[i] = lower;
    s->upper[i] = upper;
}

static void set_bounds(const struct problem *q, struct ebb_fit_search *s)
{
    double T = q->limit_h, rate = q->rate;
    double slowest = log(rate * 1e-7), fastest = log(3600.0);
    switch (q->family) {
    case EBB_FIT_WEIBULL:
        bound(s, 0, log(1e-5), log(T * 1e8));
        bound(s, 1, log(0.02), log(50));
        return;
    case EBB_FIT_LOGNORMAL:
        bound(s, 0, log(1e-5), log(T * 1e12));
        bound(s, 1, log(0.01), log(200));
        return;
    case EBB_FIT_GOMPERTZ_MAKEHAM:
        bound(s, 0, slowest, fastest);
        bound(s, 1, slowest - 20, fastest);
        bound(s, 2, log(1e-4 / T), log(200 / T));
        return;
    case EBB_FIT_TWO_EXPONENTIALS:
        bound(s, 0, -LOGIT_MOST, LOGIT_MOST);
        bound(s, 1, slowest, fastest);
        bound(s, 2, log(1e-3), log(1e9));
        return;
    case EBB_FIT_BATHTUB_NORMALISED:
        bound(s, 0, -LOGIT_MOST, LOGIT_MOST);
        bound(s, 1, -LOGIT_MOST, LOGIT_MOST);
        bound(s, 2, log(1e-4 * T), log(100 * T));
        bound(s, 3, log(1e-2 * T), log(100 * T));
        return;
    case EBB_FIT_WEIBULL_CURE_CONSTANT:
        bound(s, 0, -LOGIT_MOST, LOGIT_MOST);
        bound(s, 1, log(1e-5), log(T * 1e4));
        bound(s, 2, log(0.05), log(20));
        bound(s, 3, slowest, fastest);
        return;
    default:
        assert(!"a family that is not searched");
    }
}

/* Starts spread over the shapes that a family can take, scaled to the data. */
static size_t set_starts(const struct problem *q, double (*x)[D])
{
    double T = q->limit_h, ln_rate = log(q->rate);
    static const double shapes[] = {-0.7, 0.0, 0.5}, logits[] = {-2, 0, 2}, early[] = {0.02, 0.15};
    size_t n = 0;
    switch (q->family) {
    case EBB_FIT_WEIBULL:
        for (size_t i = 0; i < 3; i++, n++)
            memcpy(x[n], (double[D]){-ln_rate, shapes[i]}, sizeof x[n]);
        return n;
    case EBB_FIT_LOGNORMAL:
        for (size_t i = 0; i < 3; i++, n++)
            memcpy(x[n], (double[D]){-ln_rate, shapes[i] + 0.5}, sizeof x[n]);
        return n;
    case EBB_FIT_GOMPERTZ_MAKEHAM:
        for (size_t i = 0; i < 3; i++, n++)
            memcpy(x[n],
                   (double[D]){ln_rate - 0.5, ln_rate - 1 - 3 * (double)i,
                               log((1 + 5 * (double)i) / T)},
                   sizeof x[n]);
        return n;
    case EBB_FIT_TWO_EXPONENTIALS:
        for (size_t i = 0; i < 3; i++, n++)
            memcpy(x[n], (double[D]){logits[i], ln_rate - 0.7, 1 + (double)i}, sizeof x[n]);
        return n;
    case EBB_FIT_BATHTUB_NORMALISED:
        for (size_t i = 0; i < 6; i++, n++)
            memcpy(x[n],
                   (double[D]){logits[i % 3], i < 3 ? -2 : 0.5, log(early[i / 3] * T),
                               log((i < 3 ? 1 : 0.05) * T)},
                   sizeof x[n]);
        return n;
    default:
        for (size_t i = 0; i < 6; i++, n++)
            memcpy(
                x[n],
                (double[D]){logits[i % 3], log(early[i / 3] * T), i < 3 ? -0.5 : 0, ln_rate - 1.5},
                sizeof x[n]);
        return n;
    }
}

static struct problem problem_of(enum ebb_fit_family family, const struct ebb_fit_sample *s,
                                 double limit_h)
{
    return (struct problem){family, s, limit_h, s->revocations / s->exposure_h};
}

static struct ebb_fit_search search_of(struct problem *q)
{
    struct ebb_fit_search s = {.objective = negative_log_likelihood,
                               .ctx = q,
                               .dimensions = ebb_fit_family_parameter_count(q->family)};
    set_bounds(q, &s);
    return s;
}

static void search_likelihood(struct problem *q, const struct ebb_fit_estimate *start,
                              struct ebb_fit_estimate *ret)
{
    struct ebb_fit_search search = search_of(q);
    double starts[MOST_STARTS][D] = {{0}}, x[D] = {0};
    size_t count = 1;
    if (start != NULL)
        memcpy(starts[0], start->point, sizeof starts[0]);
    else
        count = set_starts(q, starts);
    ret->log_likelihood = -ebb_fit_search_run(&search, starts, count, x);
    memcpy(ret->point, x, sizeof x);
    parameters_of(q, x, ret->curve.p);
}

/* The bins of age that public lifetimes were described in, a bin of fewer than three revocations
 * joined to the one before it (the first to the one after). */
static void fit_piecewise(const struct ebb_fit_sample *s, struct ebb_fit_estimate *ret)
{
    static const double edges[] = {0, 0.25, 1, 3, 6, 12, 18, 22, 24, 48, 96, 192};
    struct ebb_fit_bin bins[EBB_ARRAY_LEN(edges)] = {{0}};
    size_t count = 0;
    for (size_t k = 0; k < EBB_ARRAY_LEN(edges); k++) {
        double to = k + 1 < EBB_ARRAY_LEN(edges) ? edges[k + 1] : INFINITY;
        struct ebb_fit_bin bin = {.from_h = edges[k], .to_h = to};
        ebb_fit_sample_bin(s, &bin, 1);
        bool join = count > 0 && (bin.revoked < 3 || bins[count - 1].revoked < 3);
        if (!join) {
            bins[count++] = bin;
            continue;
        }
        bins[count - 1].to_h = to;
        bins[count - 1].revoked += bin.revoked;
        bins[count - 1].exposed_h += bin.exposed_h;
    }
    assert(count <= EBB_FIT_MAX_PARAMETERS);
    ret->curve.count = count;
    for (size_t k = 0; k < count; k++) {
        ret->curve.p[k] = bins[k].revoked / bins[k].exposed_h;
        ret->curve.edge_h[k] = bins[k].from_h;
        ret->standard_error[k] = ret->curve.p[k] / sqrt(bins[k].revoked);
    }
    ret->curve.edge_h[count] = INFINITY;
}

size_t ebb_fit_least_revocations(enum ebb_fit_family family)
{
    size_t parameters = ebb_fit_family_parameter_count(family);
    return parameters <= 1 ? 1 : 2 * parameters;
}

bool ebb_fit_estimate(enum ebb_fit_family family, const struct ebb_fit_sample *s, double limit_h,
                      const struct ebb_fit_estimate *start, struct ebb_fit_estimate *ret)
{
    if (s->revocations < (double)ebb_fit_least_revocations(family))
        return false;
    *ret = (struct ebb_fit_estimate){
        .curve = {.family = family, .count = ebb_fit_family_parameter_count(family)},
        .r_squared = NAN};
    struct problem q = problem_of(family, s, limit_h);
    if (family == EBB_FIT_EXPONENTIAL) {
        ret->curve.p[0] = q.rate;
        ret->standard_error[0] = q.rate / sqrt(s->revocations);
    } else if (family == EBB_FIT_PIECEWISE_CONSTANT) {
        fit_piecewise(s, ret);
    } else if (family == EBB_FIT_BATHTUB) {
        ebb_fit_bathtub(s, limit_h, start, ret);
    } else {
        search_likelihood(&q, start, ret);
    }
    ret->log_likelihood = ebb_fit_log_likelihood(&ret->curve, s);
    return true;
}

/* The covariance of the parameters, J C J^T with J = d parameters / d point: its diagonal. */
static void delta_method(const struct problem *q, const struct ebb_fit_search *search,
                         const double *x, const double *covariance, double *ret_se)
{
    size_t n = search->dimensions;
    double J[D][D] = {{0}};
    const double h = 1e-5;
    for (size_t k = 0; k < n; k++) {
        double at[D], up[D] = {0}, down[D] = {0};
        memcpy(at, x, sizeof at);
        at[k] = x[k] + h;
        parameters_of(q, at, up);
        at[k] = x[k] - h;
        parameters_of(q, at, down);
        for (size_t i = 0; i < n; i++)
            J[i][k] = (up[i] - down[i]) / (2 * h);
    }
    for (size_t i = 0; i < n; i++) {
        double variance = 0;
        for (size_t k = 0; k < n; k++) {
            for (size_t l = 0; l < n; l++) {
                double term =
                    J[i][k] == 0 || J[i][l] == 0 ? 0 : J[i][k] * covariance[k * n + l] * J[i][l];
                variance += term;
            }
        }
        ret_se[i] = variance > 0 && isfinite(variance) ? sqrt(variance) : NAN;
    }
}

void ebb_fit_estimate_errors(const struct ebb_fit_sample *s, double limit_h,
                             struct ebb_fit_estimate *e)
{
    enum ebb_fit_family family = e->curve.family;
    if (family == EBB_FIT_EXPONENTIAL || family == EBB_FIT_PIECEWISE_CONSTANT)
        return; /* known in closed form */
    if (family == EBB_FIT_BATHTUB) {
        ebb_fit_bathtub_errors(s, limit_h, e);
        return;
    }
    struct problem q = problem_of(family, s, limit_h);
    struct ebb_fit_search search = search_of(&q);
    double information[D * D], covariance[D * D];
    ebb_fit_search_hessian(&search, e->point, information);
    ebb_fit_search_covariance(&search, e->point, information, covariance);
    delta_method(&q, &search, e->point, covariance, e->standard_error);
}
