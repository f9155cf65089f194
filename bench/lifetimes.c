/* Lifetime models on the open data: each model, and what cross-validation by day of launch says of
 * a constant hazard, of age alone, of type and zone without pooling, and of the model chosen. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "bench/measure.h"
#include "scheduler/core/fit_compare.h"

#define CAP_H 24

struct split {
    const size_t *fold;
    size_t left_out;
};

static bool trained(void *ctx, size_t row)
{
    const struct split *s = ctx;
    return s->fold[row] != s->left_out;
}

static bool tested(void *ctx, size_t row)
{
    return !trained(ctx, row);
}

/* Age in bins, log2(cpus) and a coefficient for each zone: maximum likelihood, no pooling. */
static double type_and_zone(const struct ebb_lifetimes *l)
{
    EBB_AUTO_FREE size_t *fold = ebb_alloc_array(l->count, sizeof *fold);
    bool by_day;
    size_t days, folds = ebb_fit_folds(l, fold, &by_day, &days);
    struct ebb_fit_covariates_options o = {EBB_FIT_PIECEWISE_CONSTANT, CAP_H, false};
    double sum = 0;
    for (size_t k = 0; k < folds; k++) {
        struct split s = {fold, k};
        struct ebb_lifetimes train, test;
        ebb_lifetimes_subset(&train, l, trained, &s);
        ebb_lifetimes_subset(&test, l, tested, &s);
        EBB_AUTO(ebb_fit_covariates_auto)
        struct ebb_fit_covariates *c = ebb_fit_covariates_new(&train, &o, NULL);
        sum += c == NULL ? NAN : ebb_fit_covariates_log_likelihood(c, &test);
        ebb_lifetimes_clean_up(&train);
        ebb_lifetimes_clean_up(&test);
    }
    return sum;
}

static double cv_of(const struct ebb_fit_comparison *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->models[i].name, name) == 0)
            return c->models[i].cv_log_likelihood;
    }
    return NAN;
}

static void print_models(const struct ebb_fit_comparison *c)
{
    printf("%-22s %12s %10s %8s %16s\n", "model", "LL", "AIC", "KS", "5-fold by day");
    for (size_t i = 0; i < c->count; i++) {
        const struct ebb_fit_model *m = &c->models[i];
        printf("%-22s %12.2f %10.1f %8.4f %16.2f%s\n", m->name, m->log_likelihood, m->aic, m->ks,
               m->cv_log_likelihood, i == c->chosen ? "  chosen" : "");
    }
}

static void report(const struct ebb_lifetimes *l)
{
    struct ebb_fit_comparison c;
    struct ebb_fit_options o = {.cap_h = CAP_H};
    struct ebb_error err = {0};
    double start = cpu_s();
    if (ebb_fit_compare(l, &o, &c, &err) < 0) {
        printf("not measured: %s\n", err.text);
        return;
    }
    double took = cpu_s() - start, places = type_and_zone(l);
    const struct ebb_fit_model *m = &c.models[c.chosen];
    double constant = cv_of(&c, "exponential"), age = cv_of(&c, "piecewise-constant");
    printf("%zu VMs, %zu revoked, %zu at the cap, %zu stopped; %zu days; %.2f s of CPU\n\n",
           l->count, c.revoked, c.capped, c.stopped, c.days, took);
    print_models(&c);
    printf("\n5-fold log-likelihood by day of launch: constant %.2f, age alone (bins) %.2f, "
           "age + log2(cpus) + zone, not pooled %.2f, chosen (%s) %.2f\n",
           constant, age, places, m->name, m->cv_log_likelihood);
    printf("censored KS of the chosen: %.4f (aim: at most 0.02)\n", m->ks);
    printf("{\"schema\":\"ebb.bench.lifetimes.v1\",\"vms\":%zu,\"revoked\":%zu,\"chosen\":\"%s\","
           "\"ks\":%.4f,\"cv_chosen\":%.2f,\"cv_constant\":%.2f,\"cv_age\":%.2f,"
           "\"cv_type_and_zone\":%.2f,\"cpu_s\":%.3f}\n",
           l->count, c.revoked, m->name, m->ks, m->cv_log_likelihood, constant, age, places, took);
    ebb_fit_comparison_clean_up(&c);
}

int main(int argc, char **argv)
{
    const char *folder = data_folder(argc, argv);
    struct ebb_error err = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes l = {0};
    if (folder == NULL) {
        puts("not measured: no data; name its folder by --data DIR or EBB_DATA_DIR");
        return 0;
    }
    EBB_AUTO_FREE char *path = ebb_path_join(folder, "lifetimes/gcp-2019.csv");
    if (ebb_file_read(path, (size_t)64 << 20, &text, &err) < 0 ||
        ebb_lifetimes_read(&l, path, ebb_buffer_text(&text), text.len, &err) < 0) {
        printf("not measured: %s\n", err.text);
        return 0;
    }
    ebb_lifetimes_cap(&l, CAP_H);
    report(&l);
    return 0;
}
