/* The curves, each written so that it neither overflows nor cancels over the ages and parameters
 * that a search for the maximum visits. */
#include "scheduler/core/fit_curve.h"

#include <assert.h>
#include <math.h>

#define MOST_CUMULATIVE 690.0 /* -ln 1e-300 */

struct family {
    const char *name;
    size_t count;
    const char *parameters[4];
    void (*at)(const struct ebb_fit_curve *c, double t, double *ret_log_h, double *ret_H);
};

/* From survival and density. */
static void of_density(double survival, double density, double *ret_log_h, double *ret_H)
{
    double S = fmax(survival, 1e-300);
    *ret_H = -log(fmin(S, 1));
    *ret_log_h = log(density) - log(S);
}

static void exponential(const struct ebb_fit_curve *c, double t, double *ret_log_h, double *ret_H)
{
    *ret_log_h = log(c->p[0]);
    *ret_H = c->p[0] * t;
}

static void weibull(const struct ebb_fit_curve *c, double t, double *ret_log_h, double *ret_H)
{
    double scale = c->p[0], shape = c->p[1], ln = log(t / scale);
    *ret_log_h = log(shape / scale) + (shape - 1) * ln;
    *ret_H = exp(fmin(shape * ln, 20));
}

/* ln(1 - Phi(z)); from z = 25 on by the asymptotic series of Mills' ratio. */
static double log_normal_tail(double z)
{
    if (z < 25)
        return log(0.5 * erfc(z * M_SQRT1_2));
    return -z * z / 2 - log(z) - 0.5 * log(2 * M_PI) + log1p(-1 / (z * z) + 3 / (z * z * z * z));
}

static void lognormal(const struct ebb_fit_curve *c, double t, double *ret_log_h, double *ret_H)
{
    double mu = c->p[0], sigma = c->p[1], z = (log(t) - mu) / sigma;
    double log_f = -z * z / 2 - 0.5 * log(2 * M_PI) - log(sigma * t);
    *ret_H = -log_normal_tail(z);
    *ret_log_h = log_f + *ret_H;
}

static void gompertz_makeham(const struct ebb_fit_curve *c, double t, double *ret_log_h,
                             double *ret_H)
{
    double makeham = c->p[0], a = c->p[1], bt = fmin(c->p[2] * t, 600);
    *ret_log_h = log(makeham + a * exp(bt));
    *ret_H = makeham * t + (bt > 1e-12 ? a * t * expm1(bt) / bt : a * t);
}

static void two_exponentials(const struct ebb_fit_curve *c, double t, double *ret_log_h,
                             double *ret_H)
{
    double w = c->p[0], fast = c->p[1], slow = c->p[2];
    /* e^(-slow t) taken out: the rest neither underflows nor cancels. */
    double gone = w * exp(-(fast - slow) * t), rest = gone + 1 - w;
    *ret_H = slow * t - log(fmax(rest, 1e-300));
    *ret_log_h = log(fast * gone + slow * (1 - w)) - log(fmax(rest, 1e-300));
}

static void bathtub(const struct ebb_fit_curve *c, double t, double *ret_log_h, double *ret_H)
{
    double A = c->p[0], tau1 = c->p[1], tau2 = c->p[2], b = c->p[3];
    double early = exp(-t / tau1), late = exp(fmin((t - b) / tau2, 600));
    double floor = c->family == EBB_FIT_BATHTUB_NORMALISED ? exp(-b / tau2) : 0;
    of_density(1 - A * (1 - early + late - floor), A * (early / tau1 + late / tau2), ret_log_h,
               ret_H);
}

static void weibull_cure_constant(const struct ebb_fit_curve *c, double t, double *ret_log_h,
                                  double *ret_H)
{
    double cured = c->p[0], scale = c->p[1], shape = c->p[2], constant = c->p[3];
    double ln = log(t / scale), power = exp(fmin(shape * ln, 20));
    double gone = (1 - cured) * exp(-power), rest = fmax(cured + gone, 1e-300);
    *ret_H = constant * t - log(rest);
    *ret_log_h = log(constant + gone * shape / t * power / rest);
}

static void piecewise(const struct ebb_fit_curve *c, double t, double *ret_log_h, double *ret_H)
{
    *ret_H = 0;
    for (size_t k = 0; k < c->count; k++) {
        /* A life that ends on an edge ends the bin before: exposure is (from, to]. */
        bool here = t <= c->edge_h[k + 1] || k + 1 == c->count;
        *ret_H += c->p[k] * ((here ? t : c->edge_h[k + 1]) - c->edge_h[k]);
        if (here) {
            *ret_log_h = log(c->p[k]);
            return;
        }
    }
}

static const struct family families[EBB_FIT_FAMILIES] = {
    [EBB_FIT_EXPONENTIAL] = {"exponential", 1, {"rate_per_h"}, exponential},
    [EBB_FIT_WEIBULL] = {"weibull", 2, {"scale_h", "shape"}, weibull},
    [EBB_FIT_LOGNORMAL] = {"lognormal", 2, {"mu", "sigma"}, lognormal},
    [EBB_FIT_GOMPERTZ_MAKEHAM] = {"gompertz-makeham",
                                  3,
                                  {"makeham_per_h", "a_per_h", "b_per_h"},
                                  gompertz_makeham},
    [EBB_FIT_TWO_EXPONENTIALS] = {"two-exponentials",
                                  3,
                                  {"weight_fast", "fast_per_h", "slow_per_h"},
                                  two_exponentials},
    [EBB_FIT_BATHTUB] = {"bathtub", 4, {"A", "tau1_h", "tau2_h", "b_h"}, bathtub},
    [EBB_FIT_BATHTUB_NORMALISED] = {"bathtub-normalised",
                                    4,
                                    {"A", "tau1_h", "tau2_h", "b_h"},
                                    bathtub},
    [EBB_FIT_WEIBULL_CURE_CONSTANT] = {"weibull-cure-constant",
                                       4,
                                       {"cured", "scale_h", "shape", "constant_per_h"},
                                       weibull_cure_constant},
    [EBB_FIT_PIECEWISE_CONSTANT] = {"piecewise-constant", 0, {NULL}, piecewise},
};

const char *ebb_fit_family_name(enum ebb_fit_family family)
{
    assert(family < EBB_FIT_FAMILIES);
    return families[family].name;
}

size_t ebb_fit_family_parameter_count(enum ebb_fit_family family)
{
    assert(family < EBB_FIT_FAMILIES);
    return families[family].count;
}

const char *ebb_fit_family_parameter(enum ebb_fit_family family, size_t i)
{
    assert(family < EBB_FIT_FAMILIES && i < 4);
    return families[family].parameters[i];
}

void ebb_fit_curve_at(const struct ebb_fit_curve *c, double age_h, double *ret_log_hazard,
                      double *ret_cumulative)
{
    double log_h = 0, H = 0;
    families[c->family].at(c, age_h > 1e-9 ? age_h : 1e-9, &log_h, &H);
    *ret_log_hazard = log_h < MOST_CUMULATIVE ? log_h : MOST_CUMULATIVE;
    *ret_cumulative = !(H > 0) ? 0 : H < MOST_CUMULATIVE ? H : MOST_CUMULATIVE;
}

double ebb_fit_curve_cumulative(const struct ebb_fit_curve *c, double age_h)
{
    double log_h, H;
    ebb_fit_curve_at(c, age_h, &log_h, &H);
    return age_h > 0 ? H : 0;
}

double ebb_fit_curve_hazard(const struct ebb_fit_curve *c, double age_h)
{
    double log_h, H;
    ebb_fit_curve_at(c, age_h, &log_h, &H);
    return exp(log_h);
}
