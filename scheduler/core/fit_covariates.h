/* Lifetimes by age, type and zone: proportional hazards over a parametric curve of age,
 *
 *     h_i(t) = h0(t) exp(b0 + b log2(cpus_i) + u_type + v_region + w_zone),
 *
 * where each group of effects is normal around 0 with a variance of its own, learned from the data:
 * a zone is drawn to its region, and what was never seen gets the average. The effects given the
 * curve are a Poisson regression of revocations on cumulative hazard (Whitehead 1980), penalised;
 * the variances maximise Laplace's approximation; the curve given the effects comes by maximum
 * likelihood; in turns. There is no effect of single pairs of type and zone: VMs are launched in
 * batches of one type in one zone, whose common fate on a day such an effect takes for the pair's
 * own. */
#ifndef EBB_SCHEDULER_CORE_FIT_COVARIATES_H
#define EBB_SCHEDULER_CORE_FIT_COVARIATES_H

#include "scheduler/core/fit_estimate.h"

enum ebb_fit_effect {
    EBB_FIT_EFFECT_TYPE,
    EBB_FIT_EFFECT_REGION,
    EBB_FIT_EFFECT_ZONE,
    EBB_FIT_EFFECTS,
};

struct ebb_fit_level {
    char *name; /* "us-east1-b" */
    double value, standard_error;
    double revoked, exposed; /* exposed: cumulative hazard of the curve */
};

struct ebb_fit_covariates {
    struct ebb_fit_estimate baseline;
    double intercept;
    bool has_cpus;
    double log2_cpu, log2_cpu_error, mean_log2_cpu;
    struct ebb_fit_level *levels[EBB_FIT_EFFECTS];
    size_t level_count[EBB_FIT_EFFECTS];
    double deviation[EBB_FIT_EFFECTS]; /* of the effects: their standard deviation */
    double log_likelihood;             /* of the data at the estimates, penalty left out */
    double degrees; /* effective number of parameters: curve, and trace of the hat matrix */
};

struct ebb_fit_covariates_options {
    enum ebb_fit_family baseline;
    double limit_h;
    /* false: no pooling, to compare with. log2(cpus) and a coefficient for each zone by maximum
     * likelihood (types, where CPUs are not known); levels with fewer than three revocations share
     * the intercept. */
    bool pooled;
};

/* NULL: too few revocations, no type or zone that differs, or more than 200 types and zones. */
struct ebb_fit_covariates *ebb_fit_covariates_new(const struct ebb_lifetimes *l,
                                                  const struct ebb_fit_covariates_options *o,
                                                  const struct ebb_fit_estimate *start);
void ebb_fit_covariates_destroy(struct ebb_fit_covariates *c);
EBB_DEFINE_AUTO_PTR(ebb_fit_covariates_auto, struct ebb_fit_covariates, ebb_fit_covariates_destroy)
/* exp(...) of the formula for each row of `l`, whose names may be others. */
void ebb_fit_covariates_multipliers(const struct ebb_fit_covariates *c,
                                    const struct ebb_lifetimes *l, double *ret);
double ebb_fit_covariates_log_likelihood(const struct ebb_fit_covariates *c,
                                         const struct ebb_lifetimes *l);

/* The survival that Kaplan-Meier estimates, as the model has it: at each age the mean hazard of the
 * VMs still at risk. */
struct ebb_fit_mean {
    struct ebb_fit_curve baseline;
    size_t count;
    double *age_h, *cumulative, *ratio; /* ratio: mean multiplier of those at risk up to age_h */
};
void ebb_fit_mean_init(struct ebb_fit_mean *m, const struct ebb_fit_covariates *c,
                       const struct ebb_lifetimes *l);
void ebb_fit_mean_clean_up(struct ebb_fit_mean *m);
double ebb_fit_mean_cumulative(const struct ebb_fit_mean *m, double age_h);
double ebb_fit_mean_hazard(const struct ebb_fit_mean *m, double age_h);

#endif
