/* One model fitted to lifetimes: by maximum likelihood, save the bathtub curve as published. */
#ifndef EBB_SCHEDULER_CORE_FIT_ESTIMATE_H
#define EBB_SCHEDULER_CORE_FIT_ESTIMATE_H

#include "scheduler/core/fit_sample.h"
#include "scheduler/core/fit_search.h"

struct ebb_fit_estimate {
    struct ebb_fit_curve curve;
    /* From the observed information; NAN where a parameter is at a bound or the data do not
     * determine it. The published bathtub: from the residuals of its least squares, as its authors
     * do. */
    double standard_error[EBB_FIT_MAX_PARAMETERS];
    double log_likelihood;
    double r_squared;                        /* published bathtub: of its least squares; else NAN */
    double point[EBB_FIT_SEARCH_DIMENSIONS]; /* where the search ended, a start for another */
};

/* Fits `family`. `limit_h` is the age at which the cap ends a life (without one: the longest life).
 * `start` (may be NULL) is an estimate from like data: the search then begins there alone.
 * false: there are too few revocations for the model's parameters. */
bool ebb_fit_estimate(enum ebb_fit_family family, const struct ebb_fit_sample *s, double limit_h,
                      const struct ebb_fit_estimate *start, struct ebb_fit_estimate *ret);
/* Fills the standard errors and r_squared. */
void ebb_fit_estimate_errors(const struct ebb_fit_sample *s, double limit_h,
                             struct ebb_fit_estimate *e);
/* Revocations that a family needs. */
size_t ebb_fit_least_revocations(enum ebb_fit_family family);

/* Least squares of eq. 1 of HPDC 2020 on the empirical distribution of the revoked and the capped,
 * each as if the VM had been revoked then, the stopped left out: as published. */
void ebb_fit_bathtub(const struct ebb_fit_sample *s, double limit_h,
                     const struct ebb_fit_estimate *start, struct ebb_fit_estimate *ret);
void ebb_fit_bathtub_errors(const struct ebb_fit_sample *s, double limit_h,
                            struct ebb_fit_estimate *e);

#endif
