/* What checkpoints and lost work cost on real lifetimes: rules for the interval against each other.
 *
 * Hazards are learned on one half of the launch days, jobs replayed on lives drawn from the
 * Kaplan-Meier curve of the other half, then the other way round. A checkpoint takes a minute, a
 * restart three; a job that loses its VM goes on from its last checkpoint on a new one. All rules
 * see the same lives. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "bench/measure.h"
#include "scheduler/core/checkpoint_plan.h"
#include "scheduler/core/fit_data.h"

#define DELTA_S   60.0
#define RESTART_S 180.0
#define RUNS      40000
#define CAP_H     24.0
#define LIVES     64 /* a job uses at most so many */

enum rule { RULE_NONE, RULE_MTTF_1H, RULE_CENSORED, RULE_BY_AGE, RULE_PROGRAMME, RULES };
static const char *const rule_names[RULES] = {"no checkpoints", "Young-Daly, MTTF 1 h",
                                              "Young-Daly, censored mean", "by age",
                                              "dynamic programme (ebb)"};

struct model {
    struct ebb_outlook outlook;
    double mean_h; /* censored */
};

/* Survivors at each age, of one half of the days. */
struct curve {
    double *age_s, *alive;
    size_t count;
};

static int by_age(const void *a, const void *b)
{
    const struct ebb_lifetime *x = a, *y = b;
    return x->age_h < y->age_h ? -1 : x->age_h > y->age_h;
}

static void curve_of(const struct ebb_lifetimes *l, struct curve *ret)
{
    qsort(l->rows, l->count, sizeof *l->rows, by_age);
    ret->age_s = ebb_alloc_array(l->count, sizeof *ret->age_s);
    ret->alive = ebb_alloc_array(l->count, sizeof *ret->alive);
    double alive = 1;
    for (size_t i = 0; i < l->count; i++) {
        if (l->rows[i].end != EBB_LIFETIME_REVOKED)
            continue;
        alive *= 1 - 1.0 / (double)(l->count - i);
        ret->age_s[ret->count] = l->rows[i].age_h * 3600;
        ret->alive[ret->count++] = alive;
    }
}

static double draw(const struct curve *c, double u)
{
    size_t low = 0, high = c->count; /* the first age with alive < u */
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (c->alive[mid] < u)
            high = mid;
        else
            low = mid + 1;
    }
    return low == c->count ? CAP_H * 3600 : c->age_s[low];
}

static void learn(const struct ebb_lifetimes *l, struct model *ret)
{
    const struct ebb_place all = {0};
    struct ebb_hazards *h = ebb_hazards_new(0);
    for (size_t i = 0; i < l->count; i++)
        ebb_hazards_observe(h, EBB_RATE_REVOCATION, &all, 0, l->rows[i].age_h * 3600,
                            l->rows[i].end == EBB_LIFETIME_REVOKED, 0);
    *ret = (struct model){.outlook = {.time_scale = 1, .cap_s = CAP_H * 3600}};
    ebb_hazards_table(h, EBB_RATE_REVOCATION, &all, 0, ret->outlook.per_hour, NULL);
    ret->mean_h =
        ebb_lifetimes_exposure_h(l) / (double)ebb_lifetimes_count(l, EBB_LIFETIME_REVOKED);
    ebb_hazards_destroy(h);
}

struct replaying {
    const struct model *model;
    const struct ebb_checkpoint_plan *plan;
    enum rule rule;
};

static double piece(const struct replaying *r, double left_s, double age_s)
{
    switch (r->rule) {
    case RULE_NONE:
        return left_s;
    case RULE_MTTF_1H:
        return sqrt(2 * DELTA_S * 3600);
    case RULE_CENSORED:
        return sqrt(2 * DELTA_S * r->model->mean_h * 3600);
    case RULE_BY_AGE:
        return sqrt(2 * DELTA_S * 3600 / ebb_outlook_per_hour(&r->model->outlook, age_s));
    default:
        return ebb_checkpoint_plan_next_new_s(r->plan, left_s, age_s);
    }
}

static double replay(const struct replaying *r, const double *lives, double work_s)
{
    double total = 0, left = work_s, age = 0;
    size_t life = 0;
    while (left > 1e-6) {
        double next = fmin(left, piece(r, left, age));
        double takes = next + (next < left ? DELTA_S : 0);
        if (age + takes <= lives[life]) {
            age += takes;
            total += takes;
            left -= next;
        } else {
            total += lives[life] - age + RESTART_S;
            age = 0;
            life = (life + 1) % LIVES;
        }
    }
    return total;
}

static void compare(const struct model *m, const struct curve *c, double work_s,
                    double ret_overhead[RULES])
{
    const struct ebb_checkpoint_terms terms = {work_s, DELTA_S, RESTART_S, 1};
    struct ebb_checkpoint_plan *plan = ebb_checkpoint_plan_new(&m->outlook, 0, &m->outlook, &terms);
    struct ebb_random random;
    double lives[LIVES], sums[RULES] = {0};
    ebb_random_seed(&random, 1);
    for (int n = 0; n < RUNS; n++) {
        for (int i = 0; i < LIVES; i++)
            lives[i] = draw(c, ebb_random_uniform(&random));
        for (int rule = 0; rule < RULES; rule++) {
            const struct replaying r = {m, plan, (enum rule)rule};
            sums[rule] += replay(&r, lives, work_s);
        }
    }
    for (int rule = 0; rule < RULES; rule++)
        ret_overhead[rule] += (sums[rule] / RUNS / work_s - 1) * 100 / 2;
    ebb_checkpoint_plan_destroy(plan);
}

struct half {
    const struct ebb_lifetimes *all;
    int odd;
};

static bool in_half(void *ctx, size_t row)
{
    const struct half *h = ctx;
    return (h->all->rows[row].day & 1) == h->odd;
}

static void run(const struct ebb_lifetimes *all)
{
    static const double hours[] = {1, 4, 9};
    double overhead[EBB_ARRAY_LEN(hours)][RULES] = {{0}};
    for (int odd = 0; odd < 2; odd++) {
        struct ebb_lifetimes learned = {0}, other = {0};
        struct half here = {all, odd}, there = {all, !odd};
        struct model model;
        struct curve curve = {0};
        ebb_lifetimes_subset(&learned, all, in_half, &here);
        ebb_lifetimes_subset(&other, all, in_half, &there);
        learn(&learned, &model);
        curve_of(&other, &curve);
        for (size_t i = 0; i < EBB_ARRAY_LEN(hours); i++)
            compare(&model, &curve, hours[i] * 3600, overhead[i]);
        free(curve.age_s);
        free(curve.alive);
        ebb_lifetimes_clean_up(&learned);
        ebb_lifetimes_clean_up(&other);
    }
    printf("overhead of checkpoints, lost work and restarts, %% of the work (%d jobs each)\n",
           2 * RUNS);
    printf("%-28s %8s %8s %8s\n", "", "1 h", "4 h", "9 h");
    for (int rule = 0; rule < RULES; rule++)
        printf("%-28s %8.2f %8.2f %8.2f\n", rule_names[rule], overhead[0][rule], overhead[1][rule],
               overhead[2][rule]);
}

int main(int argc, char **argv)
{
    const char *dir = data_folder(argc, argv);
    struct ebb_error err = {0};
    if (dir == NULL) {
        puts("checkpoint_plan: no data: give --data DIR or EBB_DATA_DIR, with "
             "lifetimes/gcp-2019.csv in it");
        return 0;
    }
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    EBB_AUTO_FREE char *path = ebb_sprintf("%s/lifetimes/gcp-2019.csv", dir);
    struct ebb_lifetimes all = {0};
    int rc = ebb_file_read(path, 64 << 20, &text, &err);
    if (rc == 0)
        rc = ebb_lifetimes_read(&all, path, (const char *)text.data, text.len, &err);
    if (rc < 0) {
        fprintf(stderr, "checkpoint_plan: %s\n", err.text);
        return 1;
    }
    ebb_lifetimes_cap(&all, CAP_H);
    run(&all);
    ebb_lifetimes_clean_up(&all);
    return 0;
}
