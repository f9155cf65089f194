/* The bag made small, the offers that matter, the runs, and what they come to. */
#include "simulator/montecarlo.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/estimate.h"
#include "scheduler/core/hazards.h"
#include "scheduler/core/score.h"
#include "scheduler/core/sweep.h"
#include "scheduler/core/time_price.h"
#include "simulator/pools.h"
#include "simulator/smaller_bag.h"

#define KEEP_SPOT      24 /* offers of a group that a run may choose from */
#define KEEP_ON_DEMAND 8
#define KEEP_LARGER    8 /* ... and of each market beside them */
#define RUNS_MOST      200u
#define RUNS_LEAST     40u
#define RUNS_JOBS      60000u /* simulated jobs in all runs together, about */
#define LEAST_IN_TIME  0.5
#define KEPT           0.9
#define PLANS          1500.0 /* in a run, about */
#define PLAN_MOST_S    5.0
#define BOOT_SPREAD    0.5 /* most and least, about the mean that was seen */

struct life {
    uint32_t key;
    float from_s, to_s;
};

struct forecasting {
    const struct ebb_forecast_options *o;
    struct ebb_state *known; /* scale and hazards */
    struct ebb_smaller_bag bag;
    int64_t budget_usd_micros; /* of the smaller bag */
    const Ebb__Offer **offers;
    size_t offer_count;
    struct ebb_fleet *fleet;
    struct ebb_pools *pools;
    char keys[EBB_FORECAST_KEYS][64];
    size_t key_count;
    struct life *lives;
    size_t life_count, life_capacity;
    double interval_sum_s;
    size_t interval_count;
};

/* ---- what is known ---- */

static int learn(struct forecasting *w, struct ebb_error *err)
{
    Ebb__Event e = EBB__EVENT__INIT;
    Ebb__CloudConfigured m = EBB__CLOUD_CONFIGURED__INIT;
    m.bill_time_scale = w->o->time_scale;
    e.kind_case = EBB__EVENT__KIND_CLOUD_CONFIGURED;
    e.cloud_configured = &m;
    e.sequence = 1;
    e.wall_ns = w->o->run.start_wall_ns;
    w->known = ebb_state_new();
    int rc = ebb_state_apply(w->known, &e, err);
    if (rc == 0 && w->o->run.catalogue != NULL) {
        e.kind_case = EBB__EVENT__KIND_CATALOGUE_IMPORTED;
        e.catalogue_imported = w->o->run.catalogue;
        e.sequence = 2;
        rc = ebb_state_apply(w->known, &e, err);
    }
    if (rc == 0 && w->o->hazards != NULL)
        rc = ebb_hazards_load(w->known->hazards, w->o->hazards, err);
    return rc;
}

static void know(void *ctx, struct ebb_state *s)
{
    struct forecasting *w = ctx;
    if (w->o->hazards != NULL)
        (void)ebb_hazards_load(s->hazards, w->o->hazards, NULL); /* it has passed before */
}

/* ---- offers ---- */

struct ranked {
    const Ebb__Offer *offer;
    double cost;
    uint32_t slots;
};

static int by_cost(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->cost != y->cost)
        return x->cost < y->cost ? -1 : 1;
    return ebb_offer_compare(x->offer, y->offer);
}

static int by_name(const void *a, const void *b)
{
    return ebb_offer_compare(*(const Ebb__Offer *const *)a, *(const Ebb__Offer *const *)b);
}

static void keep(struct forecasting *w, const Ebb__Offer *offer)
{
    for (size_t i = 0; i < w->offer_count; i++) {
        if (w->offers[i] == offer)
            return;
    }
    w->offers[w->offer_count++] = offer;
}

/* The first `most`; then those that run at least half as many jobs more at once than any before
 * them: where few VMs are allowed, a near deadline needs large ones. */
static void keep_first(struct forecasting *w, const struct ranked *list, size_t count, size_t most)
{
    double slots = 0;
    size_t larger = 0;
    for (size_t i = 0; i < count && (i < most || larger < KEEP_LARGER); i++) {
        bool is_larger = list[i].slots >= 1.5 * slots;
        if (i >= most && !is_larger)
            continue;
        larger += i >= most;
        slots = fmax(slots, list[i].slots);
        keep(w, list[i].offer);
    }
}

/* The cheapest of one market for a group; false: none fits. */
static bool keep_best(struct forecasting *w, const struct ebb_demand *d, Ebb__Market market,
                      size_t most)
{
    const struct ebb_plan_input in = {.state = w->known,
                                      .offers = w->o->offers,
                                      .offer_count = w->o->offer_count,
                                      .policy = &w->o->run.policy,
                                      .now_wall_ns = w->o->run.start_wall_ns};
    EBB_AUTO_FREE struct ranked *list = ebb_alloc_array(w->o->offer_count + 1, sizeof *list);
    size_t count = 0;
    for (size_t i = 0; i < w->o->offer_count; i++) {
        struct ebb_score score;
        if (w->o->offers[i]->market != market)
            continue;
        ebb_score_offer(&in, d, w->o->offers[i], &score);
        if (score.slots > 0)
            list[count++] = (struct ranked){w->o->offers[i], score.usd_micros_per_job, score.slots};
    }
    if (count > 1)
        qsort(list, count, sizeof *list, by_cost);
    keep_first(w, list, count, most);
    return count > 0;
}

static int choose_offers(struct forecasting *w, struct ebb_error *err)
{
    const Ebb__BagSpec *spec = w->o->spec;
    const struct ebb_policy *policy = &w->o->run.policy;
    const struct ebb_plan_input in = {
        .state = w->known, .policy = policy, .now_wall_ns = w->o->run.start_wall_ns};
    w->offers = ebb_alloc_array((KEEP_SPOT + KEEP_ON_DEMAND + 2 * KEEP_LARGER) * spec->n_groups + 1,
                                sizeof(const Ebb__Offer *));
    for (size_t g = 0; g < spec->n_groups; g++) {
        struct ebb_demand d;
        bool fits = false;
        ebb_demand_of_spec(&in, spec->groups[g], w->bag.profiles[g], &d);
        if (policy->use_spot)
            fits |= keep_best(w, &d, EBB__MARKET__SPOT, KEEP_SPOT);
        if (policy->use_on_demand)
            fits |= keep_best(w, &d, EBB__MARKET__ON_DEMAND, KEEP_ON_DEMAND);
        if (!fits)
            return ebb_error_set(err, EBB_ERR_NO_CAPACITY, "no VM type on offer can run '%s'",
                                 spec->groups[g]->name);
    }
    qsort(w->offers, w->offer_count, sizeof *w->offers, by_name);
    return 0;
}

/* Whether deadline and budget can hold at all, as it is said at submission. */
static void judge(const struct forecasting *w, struct ebb_forecast *f)
{
    Ebb__BagSpec spec = *w->o->spec;
    const struct ebb_plan_input in = {.state = w->known,
                                      .offers = w->offers,
                                      .offer_count = w->offer_count,
                                      .policy = &w->o->run.policy,
                                      .now_wall_ns = w->o->run.start_wall_ns};
    if (w->o->deadline_s > 0)
        spec.deadline_s = w->o->deadline_s;
    Ebb__PlanAnswer *a = ebb_estimate(&in, &spec);
    if (!a->feasible && a->reason != NULL && a->reason[0] != '\0')
        f->infeasible = ebb_strdup(a->reason);
    ebb__plan_answer__free_unpacked(a, NULL);
}

/* ---- the mix of VMs ---- */

static uint32_t key_of(struct forecasting *w, const Ebb__Offer *o)
{
    char name[64] = {0};
    snprintf(name, sizeof name, "%.48s %s", o->type,
             o->market == EBB__MARKET__SPOT ? "spot" : "on demand");
    for (size_t k = 0; k < w->key_count; k++) {
        if (strcmp(w->keys[k], name) == 0)
            return (uint32_t)k;
    }
    if (w->key_count == EBB_FORECAST_KEYS) {
        snprintf(w->keys[EBB_FORECAST_KEYS - 1], sizeof w->keys[0], "others");
        return EBB_FORECAST_KEYS - 1;
    }
    memcpy(w->keys[w->key_count], name, sizeof name);
    return (uint32_t)w->key_count++;
}

static void note_lives(struct forecasting *w, const struct ebb_simulation *s)
{
    int64_t start_ns = w->o->run.start_wall_ns;
    for (size_t i = 0; i < s->state->vm_count; i++) {
        const struct ebb_vm *vm = s->state->vms[i];
        if (vm->launched_wall_ns == 0)
            continue;
        int64_t end_ns = vm->ended_wall_ns != 0 ? vm->ended_wall_ns : s->end_wall_ns;
        if (w->life_count == w->life_capacity) {
            w->life_capacity = w->life_capacity == 0 ? 256 : w->life_capacity * 2;
            w->lives = ebb_realloc_array(w->lives, w->life_capacity, sizeof *w->lives);
        }
        w->lives[w->life_count++] =
            (struct life){.key = key_of(w, vm->offer),
                          .from_s = (float)((double)(vm->launched_wall_ns - start_ns) / 1e9),
                          .to_s = (float)((double)(end_ns - start_ns) / 1e9)};
    }
}

static void fill_mix(const struct forecasting *w, struct ebb_forecast *f)
{
    double each = w->bag.wide / (double)f->outcome.runs;
    f->bin_s = f->outcome.finish_s.p95 / EBB_FORECAST_BINS;
    f->mix_count = w->key_count;
    for (size_t k = 0; k < w->key_count; k++)
        memcpy(f->mix[k].name, w->keys[k], sizeof f->mix[k].name);
    for (size_t i = 0; i < w->life_count && f->bin_s > 0; i++) {
        const struct life *l = &w->lives[i];
        for (int b = (int)(l->from_s / f->bin_s); b < EBB_FORECAST_BINS; b++) {
            double from = fmax(l->from_s, b * f->bin_s), to = fmin(l->to_s, (b + 1) * f->bin_s);
            if (to <= from)
                break;
            f->mix[l->key].vms[b] += (to - from) / f->bin_s * each;
        }
    }
}

/* ---- runs ---- */

static double time_factor(const struct forecasting *w, struct ebb_random *r)
{
    double error = w->o->time_error;
    double radius = sqrt(-2 * log1p(-ebb_random_uniform(r)));
    double normal = radius * cos(2 * M_PI * ebb_random_uniform(r));
    double variance = log1p(error * error);
    return error > 0 ? exp(sqrt(variance) * normal - variance / 2) : 1;
}

/* One run; the seed alone says in which world, so runs with other deadlines meet the same ones. */
static int run_one(struct forecasting *w, uint32_t run, double deadline_s, bool main_runs,
                   struct ebb_outcome *ret, struct ebb_error *err)
{
    struct ebb_simulation_options so = w->o->run;
    struct ebb_simulation s;
    struct ebb_random random;
    so.seed = w->o->run.seed * UINT64_C(0x9e3779b97f4a7c15) + run;
    ebb_random_seed(&random, so.seed);
    const struct ebb_world_model model = {
        .pools = ebb_pools_draw(w->pools, &random),
        .time_scale = (double)w->fleet->time_scale,
        .notice = {.kind = EBB_FLEET_NOTICE_GIVEN, .length_s = 120.0 / w->o->time_scale}};
    so.jobs.factor *= time_factor(w, &random);
    so.fleet = w->fleet;
    so.model = &model;
    so.offers = w->offers;
    so.offer_count = w->offer_count;
    so.spec = w->bag.spec;
    so.prepare = know;
    so.ctx = w;
    so.event = NULL;
    w->bag.spec->deadline_s = deadline_s;
    w->bag.spec->budget_usd_micros = main_runs ? w->budget_usd_micros : 0;
    int rc = ebb_simulation_run(&so, &s, err);
    if (rc < 0)
        return rc;
    ebb_outcome_of(&s, ret);
    ret->usd *= w->bag.wide;
    if (main_runs) {
        note_lives(w, &s);
        w->interval_sum_s += s.interval_mean_s;
        w->interval_count += s.interval_mean_s > 0;
    }
    ebb_simulation_clean_up(&s);
    return 0;
}

static double share_in_time(const struct ebb_outcome *o, size_t count, double deadline_s)
{
    size_t in_time = 0;
    for (size_t i = 0; i < count; i++)
        in_time += o[i].is_done && (deadline_s <= 0 || o[i].finish_s <= deadline_s);
    return count > 0 ? (double)in_time / (double)count : 0;
}

static int run_main(struct forecasting *w, uint32_t runs, double deadline_s, struct ebb_forecast *f,
                    struct ebb_error *err)
{
    f->outcomes = ebb_alloc_array(runs + 1, sizeof *f->outcomes);
    for (uint32_t i = 0; i < runs; i++) {
        int rc = run_one(w, i, deadline_s, true, &f->outcomes[i], err);
        if (rc < 0)
            return rc;
    }
    ebb_outcomes_summarise(f->outcomes, runs, &f->outcome);
    f->in_time = share_in_time(f->outcomes, runs, deadline_s);
    f->interval_s = w->interval_count > 0 ? w->interval_sum_s / (double)w->interval_count : 0;
    fill_mix(w, f);
    return 0;
}

/* ---- the curve ---- */

static int add_point(struct forecasting *w, uint32_t runs, double deadline_s,
                     struct ebb_forecast *f, struct ebb_error *err)
{
    EBB_AUTO_FREE struct ebb_outcome *list = ebb_alloc_array(runs + 1, sizeof *list);
    struct ebb_forecast_point *p = &f->points[f->point_count];
    for (uint32_t i = 0; i < runs; i++) {
        int rc = run_one(w, i, deadline_s, false, &list[i], err);
        if (rc < 0)
            return rc;
    }
    *p = (struct ebb_forecast_point){.deadline_s = deadline_s};
    ebb_outcomes_summarise(list, runs, &p->outcome);
    p->usd = p->outcome.usd.mean;
    p->in_time = share_in_time(list, runs, deadline_s);
    f->point_count++;
    return 0;
}

/* From no deadline to tighter ones, until they cannot be kept. */
static int make_curve(struct forecasting *w, uint32_t runs, struct ebb_forecast *f,
                      struct ebb_error *err)
{
    static const double shares[EBB_FORECAST_POINTS - 1] = {1.25, 1.0, 0.8, 0.65, 0.5, 0.4, 0.3};
    uint32_t points = w->o->points < EBB_FORECAST_POINTS ? w->o->points : EBB_FORECAST_POINTS;
    int rc = add_point(w, runs, 0, f, err);
    double free_s = f->points[0].outcome.finish_s.p50;
    while (rc == 0 && f->point_count < points) {
        rc = add_point(w, runs, shares[f->point_count - 1] * free_s, f, err);
        if (rc == 0 && f->points[f->point_count - 1].in_time < LEAST_IN_TIME)
            break;
    }
    return rc;
}

enum ebb_forecast_kept ebb_forecast_point_kept(const struct ebb_forecast_point *p)
{
    if (p->in_time >= KEPT)
        return EBB_FORECAST_KEPT;
    return p->in_time >= 1 - KEPT ? EBB_FORECAST_AT_RISK : EBB_FORECAST_MISSED;
}

/* A plan for a tighter deadline is one for this too: costs fall or stay as slack grows. */
static void smooth_curve(struct ebb_forecast *f)
{
    for (size_t i = f->point_count; i-- > 1;) {
        struct ebb_forecast_point *tighter = &f->points[i], *looser = &f->points[i - 1];
        if (tighter->in_time >= looser->in_time && tighter->usd < looser->usd)
            looser->usd = tighter->usd;
    }
    for (size_t i = 0; i < f->point_count; i++) {
        struct ebb_forecast_point *p = &f->points[i];
        p->usd_per_hour_earlier = NAN;
        if (i == 0 || ebb_forecast_point_kept(p) == EBB_FORECAST_MISSED)
            continue;
        const struct ebb_forecast_point *later = &f->points[i - 1];
        double from_s = later->deadline_s > 0 ? later->deadline_s : later->outcome.finish_s.p95;
        if (from_s > p->deadline_s)
            p->usd_per_hour_earlier = (p->usd - later->usd) / (from_s - p->deadline_s) * 3600;
    }
}

/* ---- the whole ---- */

/* Where a bag takes hours, a plan now and then and a checkpoint told now and then do. */
static void be_quick(const struct forecasting *w, struct ebb_simulation_options *run)
{
    double shortest_s = INFINITY, work_s = 0;
    for (size_t g = 0; g < w->bag.spec->n_groups; g++) {
        const Ebb__JobGroup *group = w->bag.spec->groups[g];
        shortest_s = fmin(shortest_s, group->resources->time_s);
        work_s += group->resources->time_s * (double)group->job_count;
    }
    double each_s = fmax(shortest_s / 200, work_s / run->policy.max_vms / PLANS);
    run->times.plan_s = fmax(run->times.plan_s, fmin(PLAN_MOST_S, each_s));
    run->times.plan_seldom = true;
    run->times.again_s = each_s;
    run->jobs.report_s = shortest_s / 4;
}

static uint32_t choose_runs(const struct forecasting *w)
{
    if (w->o->runs > 0)
        return w->o->runs;
    uint64_t jobs = ebb_bag_job_count(w->bag.spec);
    uint64_t runs = RUNS_JOBS / (jobs > 0 ? jobs : 1);
    return runs > RUNS_MOST ? RUNS_MOST : runs < RUNS_LEAST ? RUNS_LEAST : (uint32_t)runs;
}

static int forecast(struct forecasting *w, struct ebb_forecast *f, struct ebb_error *err)
{
    uint32_t runs = choose_runs(w);
    double deadline_s = w->o->deadline_s > 0 ? w->o->deadline_s : w->o->spec->deadline_s;
    f->jobs_each = (uint64_t)(w->bag.wide * w->bag.is_long);
    int rc = run_main(w, runs, deadline_s, f, err);
    if (rc == 0 && w->o->points > 0)
        rc = make_curve(w, runs / 3 > 12 ? runs / 3 : runs < 12 ? runs : 12, f, err);
    smooth_curve(f);
    return rc;
}

static void boot_as_seen(struct ebb_fleet *f, double boot_s)
{
    if (!(boot_s > 0))
        return;
    f->pending = (struct ebb_fleet_range){0};
    f->boot = (struct ebb_fleet_range){(1 - BOOT_SPREAD) * boot_s, (1 + BOOT_SPREAD) * boot_s};
}

int ebb_forecast_make(const struct ebb_forecast_options *o, struct ebb_forecast *ret,
                      struct ebb_error *err)
{
    struct forecasting *w = ebb_alloc(sizeof *w);
    struct ebb_forecast_options own = *o;
    struct ebb_forecast f = {0};
    w->o = &own;
    struct ebb_time_tables *tables = own.run.tables == NULL ? ebb_time_tables_new() : NULL;
    own.run.tables = tables != NULL ? tables : own.run.tables;
    ebb_smaller_bag_make(o->spec, &o->run.policy, &w->bag);
    w->budget_usd_micros = w->bag.spec->budget_usd_micros;
    int rc = learn(w, err);
    if (rc == 0)
        rc = choose_offers(w, err);
    if (rc == 0) {
        judge(w, &f);
        ebb_smaller_bag_adapt(&w->bag, &own.run);
        be_quick(w, &own.run);
        w->fleet = ebb_fleet_of_offers(w->offers, w->offer_count, o->time_scale, o->like);
        boot_as_seen(w->fleet, o->boot_s);
        ebb_smaller_bag_adapt_fleet(&w->bag, w->fleet);
        w->pools = ebb_pools_new(w->fleet, w->offers, w->offer_count, w->known->hazards,
                                 o->run.start_wall_ns);
        rc = forecast(w, &f, err);
    }
    if (rc == 0)
        *ret = f;
    else
        ebb_forecast_clean_up(&f);
    ebb_time_tables_destroy(tables);
    ebb_pools_destroy(w->pools);
    ebb_fleet_destroy(w->fleet);
    ebb_smaller_bag_clean_up(&w->bag);
    ebb_state_destroy(w->known);
    free(w->offers);
    free(w->lives);
    free(w);
    return rc;
}

void ebb_forecast_clean_up(struct ebb_forecast *f)
{
    free(f->outcomes);
    free(f->infeasible);
    *f = (struct ebb_forecast){0};
}
