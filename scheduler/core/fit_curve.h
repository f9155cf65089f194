/* Lifetime models as curves: the logarithm of the hazard and the cumulative hazard by age, in
 * hours. Survival is S = exp(-H), the density f = h S, so that log f = log h - H whatever the
 * model.
 *
 *  name                   hazard h or survival S                                        parameters
 *  exponential            h = rate                                                      1
 *  weibull                S = exp(-(t/scale)^shape)                                     2
 *  lognormal              S = 1 - Phi((ln t - mu)/sigma)                                2
 *  gompertz-makeham       h = makeham + a e^(b t), all positive (Makeham 1860)          3
 *  two-exponentials       S = w e^(-fast t) + (1-w) e^(-slow t)                         3
 *  bathtub                F = A (1 - e^(-t/tau1) + e^((t-b)/tau2)), as published        4
 *                         (Kadupitiya, Jadhao, Sharma, HPDC 2020, eq. 1)
 *  bathtub-normalised     the same with F(0) = 0 (less A e^(-b/tau2)); what is left     4
 *                         at the cap, 1 - F(cap), is a point mass there
 *  weibull-cure-constant  S = (cured + (1-cured) e^(-(t/scale)^shape)) e^(-constant t)  4
 *  piecewise-constant     h = rate_k in [edge_k, edge_(k+1))                            bins */
#ifndef EBB_SCHEDULER_CORE_FIT_CURVE_H
#define EBB_SCHEDULER_CORE_FIT_CURVE_H

#include <stdbool.h>
#include <stddef.h>

enum ebb_fit_family {
    EBB_FIT_EXPONENTIAL,
    EBB_FIT_WEIBULL,
    EBB_FIT_LOGNORMAL,
    EBB_FIT_GOMPERTZ_MAKEHAM,
    EBB_FIT_TWO_EXPONENTIALS,
    EBB_FIT_BATHTUB,
    EBB_FIT_BATHTUB_NORMALISED,
    EBB_FIT_WEIBULL_CURE_CONSTANT,
    EBB_FIT_PIECEWISE_CONSTANT,
    EBB_FIT_FAMILIES,
};

#define EBB_FIT_MAX_PARAMETERS 12

struct ebb_fit_curve {
    enum ebb_fit_family family;
    size_t count; /* of parameters, or of bins */
    double p[EBB_FIT_MAX_PARAMETERS];
    double edge_h[EBB_FIT_MAX_PARAMETERS + 1]; /* piecewise: count + 1 edges, the last infinite */
};

const char *ebb_fit_family_name(enum ebb_fit_family family);
size_t ebb_fit_family_parameter_count(enum ebb_fit_family family); /* 0 for piecewise */
/* "scale_h", "shape"; NULL for piecewise. */
const char *ebb_fit_family_parameter(enum ebb_fit_family family, size_t i);
/* At age t >= 0. Survival is held at 1e-300 or more, so that all values are finite, save that the
 * log hazard is -INFINITY where the hazard is 0. */
void ebb_fit_curve_at(const struct ebb_fit_curve *c, double age_h, double *ret_log_hazard,
                      double *ret_cumulative);
double ebb_fit_curve_cumulative(const struct ebb_fit_curve *c, double age_h);
double ebb_fit_curve_hazard(const struct ebb_fit_curve *c, double age_h); /* per hour */

#endif
