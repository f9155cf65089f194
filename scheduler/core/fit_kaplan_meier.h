/* Survival without a model: the product-limit estimator (Kaplan and Meier 1958). Revocations are
 * events; VMs that were stopped or reached the cap leave the VMs at risk at their age, after the
 * revocations of that age. */
#ifndef EBB_SCHEDULER_CORE_FIT_KAPLAN_MEIER_H
#define EBB_SCHEDULER_CORE_FIT_KAPLAN_MEIER_H

#include "scheduler/core/fit_sample.h"

struct ebb_kaplan_meier_step {
    double age_h;
    double at_risk, revoked;
    double survival;       /* from this age on */
    double standard_error; /* Greenwood 1926: S sqrt(sum d / (n (n - d))) */
    double low, high;      /* 95 % bounds from it on the log(-log) scale, hence inside [0, 1] */
};

struct ebb_kaplan_meier {
    struct ebb_kaplan_meier_step *steps; /* one for each age at which a VM was revoked */
    size_t count;
    double largest_h; /* the longest life, however it ended */
};

/* From a sample without multipliers. */
void ebb_kaplan_meier_init(struct ebb_kaplan_meier *k, const struct ebb_fit_sample *s);
void ebb_kaplan_meier_clean_up(struct ebb_kaplan_meier *k);
double ebb_kaplan_meier_survival(const struct ebb_kaplan_meier *k, double age_h);
/* The largest distance between the estimator and a model's survival exp(-cumulative(ctx, age)), on
 * both sides of each of its steps, over the range in which there are any: [0, the last
 * revocation]. Beyond that the data hold no event to compare with. */
double ebb_kaplan_meier_distance(const struct ebb_kaplan_meier *k,
                                 double (*cumulative)(const void *ctx, double age_h),
                                 const void *ctx);

#endif
