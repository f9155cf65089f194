/* All models of lifetimes on one set of data, and the one to believe.
 *
 * `chosen` is the model with the highest log-likelihood on days of launch that it was not fitted
 * to: the days, in order of date, are dealt to five folds in turn (VMs of one day share what
 * happened on that day, so that a model must foretell whole days); each fold is scored by the model
 * fitted to the other four. VMs whose launch is not told are dealt one by one; with fewer than two
 * days all are. */
#ifndef EBB_SCHEDULER_CORE_FIT_COMPARE_H
#define EBB_SCHEDULER_CORE_FIT_COMPARE_H

#include "scheduler/core/fit_covariates.h"
#include "scheduler/core/fit_kaplan_meier.h"

#define EBB_FIT_FOLDS      5
#define EBB_FIT_COVARIATES "covariates"

struct ebb_fit_parameter {
    char *name;
    double value, standard_error; /* NAN: not determined */
};

struct ebb_fit_model {
    const char *name; /* of the family, or EBB_FIT_COVARIATES */
    struct ebb_fit_parameter *parameters;
    size_t parameter_count;
    double log_likelihood; /* right-censored, whatever the model was fitted by */
    double degrees, aic;   /* aic = 2 (degrees - log_likelihood) */
    double ks;             /* largest distance from Kaplan-Meier, up to the last revocation */
    double cv_log_likelihood, score_log_likelihood; /* NAN: none */
    double r_squared;                               /* of a least squares fit, else NAN */
    struct ebb_fit_estimate estimate;               /* of a family */
    struct ebb_fit_covariates *covariates;          /* NULL for a family */
    struct ebb_fit_mean mean;                       /* of the covariates */
};

struct ebb_fit_comparison {
    struct ebb_fit_model models[EBB_FIT_FAMILIES + 1];
    size_t count, chosen;
    bool chosen_by_aic; /* no model could be cross-validated */
    bool by_day;        /* folds of days; else of single VMs */
    size_t folds, days;
    double limit_h; /* the cap, or the longest life */
    size_t revoked, capped, stopped;
    double exposure_h;
    struct ebb_kaplan_meier kaplan_meier;
};

struct ebb_fit_options {
    double cap_h;                      /* 0: the longest life that the cap ended */
    const struct ebb_lifetimes *score; /* NULL: none */
};

/* EBB_ERR_INPUT: no VM was revoked. Models for which there are too few revocations are left out. */
int ebb_fit_compare(const struct ebb_lifetimes *l, const struct ebb_fit_options *o,
                    struct ebb_fit_comparison *ret, struct ebb_error *err);
void ebb_fit_comparison_clean_up(struct ebb_fit_comparison *c);
/* Survival's -log, and the hazard per hour, of a model of the comparison. */
double ebb_fit_model_cumulative(const struct ebb_fit_model *m, double age_h);
double ebb_fit_model_hazard(const struct ebb_fit_model *m, double age_h);

/* The fold of each row, 0 to the number of folds (returned) less one. */
size_t ebb_fit_folds(const struct ebb_lifetimes *l, size_t *ret_fold, bool *ret_by_day,
                     size_t *ret_days);

#endif
