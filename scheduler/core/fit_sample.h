/* What a likelihood needs of lifetimes, and the likelihood itself.
 *
 * With hazard m_i h(t) for VM i (m_i = 1 without covariates) the log-likelihood under
 * right-censoring is the sum over VMs of [revoked] (ln m_i + ln h(t_i)) - m_i H(t_i): VMs that were
 * stopped, or reached the cap, add only their survival. VMs of equal age are one entry. */
#ifndef EBB_SCHEDULER_CORE_FIT_SAMPLE_H
#define EBB_SCHEDULER_CORE_FIT_SAMPLE_H

#include "scheduler/core/fit_curve.h"
#include "scheduler/core/fit_data.h"

struct ebb_fit_sample {
    size_t count; /* of different ages, ascending */
    double *age_h;
    double *revoked;        /* VMs revoked at that age */
    double *exposed;        /* the sum of m_i of all that ended at that age */
    double log_multipliers; /* the sum of ln m_i of the revoked */
    double revocations, exposure_h, largest_h;
    /* Ages, as they were told, of the revoked and the capped together; how many have each. */
    size_t end_count;
    double *end_h, *ends;
};

/* `multipliers` has one entry a row, or is NULL for 1. */
void ebb_fit_sample_init(struct ebb_fit_sample *s, const struct ebb_lifetimes *l,
                         const double *multipliers);
void ebb_fit_sample_clean_up(struct ebb_fit_sample *s);
/* At least -1e300. */
double ebb_fit_log_likelihood(const struct ebb_fit_curve *c, const struct ebb_fit_sample *s);

/* Bins of age with their revocations and exposure. */
struct ebb_fit_bin {
    double from_h, to_h; /* the last one is open: INFINITY */
    double revoked, exposed_h;
};
/* Fills `count` bins, whose bounds are set. */
void ebb_fit_sample_bin(const struct ebb_fit_sample *s, struct ebb_fit_bin *bins, size_t count);

#endif
