/* Every family is fitted to all rows, then to each four fifths of them, begun from where the first
 * fit ended. The covariate model stands on the family that foretold best, so it comes last. */
#include "scheduler/core/fit_compare.h"

#include <math.h>
#include <string.h>

struct split {
    const size_t *fold;
    size_t left_out;
};

/* The rows without one fold, and that fold. */
struct halves {
    struct ebb_lifetimes train, test;
    struct ebb_fit_sample train_sample, test_sample;
};

static bool in_training(void *ctx, size_t row)
{
    const struct split *s = ctx;
    return s->fold[row] != s->left_out;
}

static bool in_test(void *ctx, size_t row)
{
    return !in_training(ctx, row);
}

static void halves_clean_up(struct halves *h)
{
    ebb_fit_sample_clean_up(&h->train_sample);
    ebb_fit_sample_clean_up(&h->test_sample);
    ebb_lifetimes_clean_up(&h->train);
    ebb_lifetimes_clean_up(&h->test);
}

static void halves_init(struct halves *h, const struct ebb_lifetimes *l, const size_t *fold,
                        size_t left_out)
{
    struct split s = {fold, left_out};
    ebb_lifetimes_subset(&h->train, l, in_training, &s);
    ebb_lifetimes_subset(&h->test, l, in_test, &s);
    ebb_fit_sample_init(&h->train_sample, &h->train, NULL);
    ebb_fit_sample_init(&h->test_sample, &h->test, NULL);
}

static void add_parameter(struct ebb_fit_model *m, char *name, double value, double error)
{
    m->parameters = ebb_realloc_array(m->parameters, m->parameter_count + 1, sizeof *m->parameters);
    m->parameters[m->parameter_count++] = (struct ebb_fit_parameter){name, value, error};
}

static char *bin_name(const struct ebb_fit_curve *c, size_t k)
{
    if (isinf(c->edge_h[k + 1]))
        return ebb_sprintf("rate_per_h from %g h", c->edge_h[k]);
    return ebb_sprintf("rate_per_h %g-%g h", c->edge_h[k], c->edge_h[k + 1]);
}

static void add_curve_parameters(struct ebb_fit_model *m, const struct ebb_fit_estimate *e)
{
    for (size_t k = 0; k < e->curve.count; k++) {
        bool piecewise = e->curve.family == EBB_FIT_PIECEWISE_CONSTANT;
        char *name = piecewise ? bin_name(&e->curve, k)
                               : ebb_strdup(ebb_fit_family_parameter(e->curve.family, k));
        add_parameter(m, name, e->curve.p[k], e->standard_error[k]);
    }
}

static void add_covariate_parameters(struct ebb_fit_model *m)
{
    static const char *const groups[] = {"type", "region", "zone"};
    const struct ebb_fit_covariates *c = m->covariates;
    add_curve_parameters(m, &c->baseline);
    /* With log2(cpus) as it is, not less its mean. */
    add_parameter(m, ebb_strdup("intercept"), c->intercept - c->log2_cpu * c->mean_log2_cpu, NAN);
    if (c->has_cpus)
        add_parameter(m, ebb_strdup("log2_cpus"), c->log2_cpu, c->log2_cpu_error);
    for (size_t g = 0; g < EBB_FIT_EFFECTS; g++) {
        if (c->level_count[g] > 0)
            add_parameter(m, ebb_sprintf("deviation %s", groups[g]), c->deviation[g], NAN);
    }
    for (size_t g = 0; g < EBB_FIT_EFFECTS; g++) {
        for (size_t i = 0; i < c->level_count[g]; i++)
            add_parameter(m, ebb_sprintf("%s %s", groups[g], c->levels[g][i].name),
                          c->levels[g][i].value, c->levels[g][i].standard_error);
    }
}

double ebb_fit_model_cumulative(const struct ebb_fit_model *m, double age_h)
{
    if (m->covariates != NULL)
        return ebb_fit_mean_cumulative(&m->mean, age_h);
    return ebb_fit_curve_cumulative(&m->estimate.curve, age_h);
}

double ebb_fit_model_hazard(const struct ebb_fit_model *m, double age_h)
{
    if (m->covariates != NULL)
        return ebb_fit_mean_hazard(&m->mean, age_h);
    return ebb_fit_curve_hazard(&m->estimate.curve, age_h);
}

static double cumulative_of(const void *model, double age_h)
{
    return ebb_fit_model_cumulative(model, age_h);
}

/* One comparison under way. */
struct work {
    const struct ebb_lifetimes *l;
    struct ebb_fit_comparison *c;
    struct ebb_fit_sample sample, score_sample;
    const struct ebb_lifetimes *score;
    struct halves halves[EBB_FIT_FOLDS];
    size_t folds;
};

static void finish_model(struct work *w, struct ebb_fit_model *m)
{
    m->aic = 2 * (m->degrees - m->log_likelihood);
    m->ks = ebb_kaplan_meier_distance(&w->c->kaplan_meier, cumulative_of, m);
}

static double validate_family(struct work *w, const struct ebb_fit_estimate *whole)
{
    double sum = w->folds < 2 ? NAN : 0;
    for (size_t k = 0; k < w->folds; k++) {
        struct ebb_fit_estimate e;
        if (!ebb_fit_estimate(whole->curve.family, &w->halves[k].train_sample, w->c->limit_h, whole,
                              &e))
            return NAN;
        sum += ebb_fit_log_likelihood(&e.curve, &w->halves[k].test_sample);
    }
    return sum;
}

static void add_family(struct work *w, enum ebb_fit_family family)
{
    struct ebb_fit_model m = {.name = ebb_fit_family_name(family), .score_log_likelihood = NAN};
    if (!ebb_fit_estimate(family, &w->sample, w->c->limit_h, NULL, &m.estimate))
        return;
    ebb_fit_estimate_errors(&w->sample, w->c->limit_h, &m.estimate);
    add_curve_parameters(&m, &m.estimate);
    m.log_likelihood = m.estimate.log_likelihood;
    m.r_squared = m.estimate.r_squared;
    m.degrees = (double)m.estimate.curve.count;
    m.cv_log_likelihood = validate_family(w, &m.estimate);
    if (w->score != NULL)
        m.score_log_likelihood = ebb_fit_log_likelihood(&m.estimate.curve, &w->score_sample);
    finish_model(w, &m);
    w->c->models[w->c->count++] = m;
}

/* The best by cross-validation, or by AIC where there is none. The curve as published is no
 * distribution to build on: it is left out when `distributions` alone are asked for. */
static size_t best_of(const struct ebb_fit_comparison *c, bool distributions, bool *ret_by_aic)
{
    size_t best = c->count;
    for (int by_aic = 0; by_aic < 2 && best == c->count; by_aic++) {
        *ret_by_aic = by_aic == 1;
        for (size_t i = 0; i < c->count; i++) {
            const struct ebb_fit_model *m = &c->models[i];
            bool skip = distributions &&
                        (m->covariates != NULL || m->estimate.curve.family == EBB_FIT_BATHTUB);
            double value = by_aic ? -m->aic : m->cv_log_likelihood;
            if (skip || isnan(value))
                continue;
            const struct ebb_fit_model *b = &c->models[best];
            if (best == c->count || value > (by_aic ? -b->aic : b->cv_log_likelihood))
                best = i;
        }
    }
    return best;
}

static double validate_covariates(struct work *w, const struct ebb_fit_covariates_options *o,
                                  const struct ebb_fit_estimate *whole)
{
    double sum = w->folds < 2 ? NAN : 0;
    for (size_t k = 0; k < w->folds; k++) {
        EBB_AUTO(ebb_fit_covariates_auto)
        struct ebb_fit_covariates *c = ebb_fit_covariates_new(&w->halves[k].train, o, whole);
        if (c == NULL)
            return NAN;
        sum += ebb_fit_covariates_log_likelihood(c, &w->halves[k].test);
    }
    return sum;
}

static void add_covariates(struct work *w)
{
    bool by_aic;
    const struct ebb_fit_model *age = &w->c->models[best_of(w->c, true, &by_aic)];
    struct ebb_fit_covariates_options o = {
        .baseline = age->estimate.curve.family, .limit_h = w->c->limit_h, .pooled = true};
    struct ebb_fit_covariates *c = ebb_fit_covariates_new(w->l, &o, &age->estimate);
    if (c == NULL)
        return;
    struct ebb_fit_model *m = &w->c->models[w->c->count];
    *m = (struct ebb_fit_model){.name = EBB_FIT_COVARIATES,
                                .covariates = c,
                                .log_likelihood = c->log_likelihood,
                                .degrees = c->degrees,
                                .score_log_likelihood = NAN,
                                .r_squared = NAN};
    add_covariate_parameters(m);
    ebb_fit_mean_init(&m->mean, c, w->l);
    m->cv_log_likelihood = validate_covariates(w, &o, &age->estimate);
    if (w->score != NULL)
        m->score_log_likelihood = ebb_fit_covariates_log_likelihood(c, w->score);
    finish_model(w, m);
    w->c->count++;
}

static void set_limit(struct work *w, double cap_h)
{
    double longest_capped = 0;
    for (size_t i = 0; i < w->l->count; i++) {
        if (w->l->rows[i].end == EBB_LIFETIME_CAP)
            longest_capped = fmax(longest_capped, w->l->rows[i].age_h);
    }
    w->c->limit_h = cap_h > 0 ? cap_h : longest_capped > 0 ? longest_capped : w->sample.largest_h;
}

static void work_init(struct work *w, const struct ebb_lifetimes *l,
                      const struct ebb_fit_options *o, struct ebb_fit_comparison *c)
{
    *w = (struct work){.l = l, .c = c, .score = o->score};
    ebb_fit_sample_init(&w->sample, l, NULL);
    if (o->score != NULL)
        ebb_fit_sample_init(&w->score_sample, o->score, NULL);
    EBB_AUTO_FREE size_t *fold = ebb_alloc_array(l->count + 1, sizeof *fold);
    w->folds = ebb_fit_folds(l, fold, &c->by_day, &c->days);
    c->folds = w->folds;
    for (size_t k = 0; k < w->folds; k++)
        halves_init(&w->halves[k], l, fold, k);
    set_limit(w, o->cap_h);
    ebb_kaplan_meier_init(&c->kaplan_meier, &w->sample);
}

static void work_clean_up(struct work *w)
{
    ebb_fit_sample_clean_up(&w->sample);
    ebb_fit_sample_clean_up(&w->score_sample);
    for (size_t k = 0; k < EBB_FIT_FOLDS; k++)
        halves_clean_up(&w->halves[k]);
}

int ebb_fit_compare(const struct ebb_lifetimes *l, const struct ebb_fit_options *o,
                    struct ebb_fit_comparison *ret, struct ebb_error *err)
{
    size_t revoked = ebb_lifetimes_count(l, EBB_LIFETIME_REVOKED);
    if (revoked == 0)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "none of %zu VMs was revoked: there is nothing to fit", l->count);
    struct ebb_fit_comparison c = {.revoked = revoked,
                                   .capped = ebb_lifetimes_count(l, EBB_LIFETIME_CAP),
                                   .stopped = ebb_lifetimes_count(l, EBB_LIFETIME_STOPPED),
                                   .exposure_h = ebb_lifetimes_exposure_h(l)};
    EBB_AUTO(work_clean_up) struct work w;
    work_init(&w, l, o, &c);
    for (int family = 0; family < EBB_FIT_FAMILIES; family++)
        add_family(&w, (enum ebb_fit_family)family);
    add_covariates(&w);
    c.chosen = best_of(&c, false, &c.chosen_by_aic);
    *ret = c;
    return 0;
}

void ebb_fit_comparison_clean_up(struct ebb_fit_comparison *c)
{
    for (size_t i = 0; i < c->count; i++) {
        struct ebb_fit_model *m = &c->models[i];
        for (size_t k = 0; k < m->parameter_count; k++)
            free(m->parameters[k].name);
        free(m->parameters);
        ebb_fit_covariates_destroy(m->covariates);
        ebb_fit_mean_clean_up(&m->mean);
    }
    ebb_kaplan_meier_clean_up(&c->kaplan_meier);
    *c = (struct ebb_fit_comparison){0};
}
