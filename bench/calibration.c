/* Whether what `ebb plan` says of bags comes true, on data that it has not seen.
 *
 * A pool is a zone of an availability trace, or a type and zone of the GCP lifetimes. Of a trace
 * all that was before a moment is history: the plan made from it gives an interval for cost and
 * finish; the bag then runs in the trace itself, from moments in the tenth of the trace that
 * follows, and it is counted how often the outcome falls inside. Plans are made at six moments,
 * from 0.3 to 0.8 of the trace. Of the lifetimes one half of the days is history, and lives are
 * drawn from the Kaplan-Meier curve of the other half. Nothing of the plan is set by what is
 * counted here: its width has no knob.
 *
 *   onwards     as told
 *   backwards   traces run backwards; the halves of the lifetimes change places
 *   zone unseen without what was seen in the pool's own zone
 *   other year  history is all traces of the other year */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "bench/bags.h"
#include "bench/measure.h"
#include "scheduler/core/fit_data.h"
#include "scheduler/core/hazards.h"
#include "simulator/montecarlo.h"
#include "simulator/traces.h"

#define LEAST_LIVES   20
#define LEAST_UP      0.01 /* of what is judged; no bag ends in a zone that is closed for good */
#define NOW_NS        (INT64_C(1767225600) * INT64_C(1000000000))
#define DAY_NS        INT64_C(86400000000000)
#define ON_DEMAND_USD 1.0
#define SPOT_USD      0.317

struct shape {
    const char *name;
    int jobs;
    const char *time, *deadline;
    uint32_t max_vms;
};
static const struct shape shapes[] = {
    {"24 jobs of 4 h", 24, "4h", NULL, 64},
    {"6 jobs of 1 h", 6, "1h", NULL, 64},
    {"200 jobs of 1 h on 200 VMs", 200, "1h", NULL, 200},
    {"200 jobs of 1 h on 10 VMs", 200, "1h", NULL, 10},
    {"8 jobs of 16 h", 8, "16h", NULL, 64},
    {"24 jobs of 4 h in 8 h", 24, "4h", "8h", 64},
};
#define ORIGINS 6
#define PLANS   1000000 /* where seeds of plans begin */
#define SHAPES  (sizeof shapes / sizeof *shapes)

enum way { ONWARDS, BACKWARDS, UNSEEN, OTHER_YEAR, WAYS };
static const char *const ways[WAYS] = {"onwards", "backwards", "zone unseen", "other year"};

/* What is measured now. */
static struct {
    const struct shape *shape;
    const Ebb__BagSpec *spec;
    enum way way;
    uint32_t runs;
    int starts;
    bool each; /* a line for each pool */
} job = {.runs = 100, .starts = 5};

struct tally {
    const char *name;
    int outcomes, cost_in, finish_in, cost_below, finish_below;
    double ratio; /* sum of outcome over plan's mean */
};

/* One zone with one type of VM; the plan and the truth share it. */
static struct ebb_fleet *one_pool(const char *zone, const char *type)
{
    EBB_AUTO_FREE char *text =
        ebb_sprintf("region: us-east-1\nboot: {from: 20s, to: 40s}\npending: {from: 1s, to: 3s}\n"
                    "zones: [%s]\ntypes: [{name: %s, vcpus: 1, memory: 4 GiB, on_demand: %g, spot: "
                    "%g}]\n",
                    zone, type, ON_DEMAND_USD, SPOT_USD);
    return fleet_of(text);
}

static void configure(struct ebb_simulation_options *o)
{
    ebb_simulation_defaults(false, o);
    o->start_wall_ns = NOW_NS;
    o->jobs.spread = 0.1;
    o->times.plan_s = 5;
    o->times.plan_seldom = true;
    o->policy.max_vms = job.shape->max_vms;
    o->most_s = 60 * 86400.0;
}

/* Another for each pool and moment, of plans too: a lucky draw of run times must not count in all
 * of them. */
static uint64_t seed_of(const char *pool, int start)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (const char *p = pool; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
    return h + (uint64_t)start;
}

static void make_plan(const struct ebb_fleet *fleet, const char *region,
                      const Ebb__HazardState *hazards, uint64_t seed, struct ebb_forecast *ret)
{
    struct ebb_fleet_offers offers;
    struct ebb_error err = {0};
    ebb_fleet_offers_of(fleet, NULL, &offers);
    for (size_t i = 0; i < offers.count; i++)
        offers.offers[i].region = (char *)(uintptr_t)region;
    struct ebb_forecast_options f = {.spec = job.spec,
                                     .offers = offers.pointers,
                                     .offer_count = offers.count,
                                     .like = fleet,
                                     .hazards = hazards,
                                     .time_scale = 1,
                                     .runs = job.runs};
    configure(&f.run);
    f.run.seed = seed;
    if (ebb_forecast_make(&f, ret, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    ebb_fleet_offers_clean_up(&offers);
}

static const Ebb__HazardState *knowledge;

static void know(void *ctx, struct ebb_state *s)
{
    (void)ctx;
    (void)ebb_hazards_load(s->hazards, knowledge, NULL);
}

static struct ebb_outcome run_truth(const struct ebb_fleet *fleet,
                                    const struct ebb_world_model *model, const char *region,
                                    uint64_t seed)
{
    struct ebb_simulation_options o;
    struct ebb_simulation s;
    struct ebb_outcome x;
    struct ebb_error err = {0};
    struct ebb_fleet_offers offers;
    ebb_fleet_offers_of(fleet, NULL, &offers);
    for (size_t i = 0; i < offers.count; i++)
        offers.offers[i].region = (char *)(uintptr_t)region;
    configure(&o);
    o.fleet = fleet;
    o.spec = job.spec;
    o.model = model;
    o.offers = offers.pointers;
    o.offer_count = offers.count;
    o.seed = seed;
    o.prepare = know;
    if (ebb_simulation_run(&o, &s, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    ebb_outcome_of(&s, &x);
    ebb_simulation_clean_up(&s);
    ebb_fleet_offers_clean_up(&offers);
    return x;
}

static void count(struct tally *t, const struct ebb_forecast *f, const struct ebb_outcome *x)
{
    const struct ebb_spread *usd = &f->outcome.usd, *finish = &f->outcome.finish_s;
    t->outcomes++;
    t->cost_in += x->usd >= usd->p5 && x->usd <= usd->p95;
    t->cost_below += x->usd < usd->p5;
    t->finish_in += x->finish_s >= finish->p5 && x->finish_s <= finish->p95;
    t->finish_below += x->finish_s < finish->p5;
    t->ratio += x->usd / usd->mean;
}

static void add_tally(struct tally *to, const struct tally *t)
{
    to->outcomes += t->outcomes;
    to->cost_in += t->cost_in;
    to->finish_in += t->finish_in;
    to->cost_below += t->cost_below;
    to->finish_below += t->finish_below;
    to->ratio += t->ratio;
}

static void print_tally(const char *name, const struct tally *t)
{
    double n = t->outcomes;
    if (t->outcomes == 0)
        return;
    printf(
        "| %-28s | %-11s | %-26s | %4d | %5.1f %% (%4.1f %% below) | %5.1f %% (%4.1f %% below) | "
        "%.3f |\n",
        name, ways[job.way], job.shape->name, t->outcomes, 100 * t->cost_in / n,
        100 * t->cost_below / n, 100 * t->finish_in / n, 100 * t->finish_below / n, t->ratio / n);
    (void)fflush(stdout);
}

/* ---- availability traces ---- */

struct traces {
    struct ebb_trace items[64];
    size_t count;
};

static struct ebb_place place_of(const struct ebb_trace *t)
{
    return (struct ebb_place){"aws", t->region, t->name, "vm"};
}

/* Runs of one value as lives; the last is cut off. */
static void learn_trace(struct ebb_hazards *h, const struct ebb_trace *t, size_t from, size_t to)
{
    struct ebb_place p = place_of(t);
    size_t began = from;
    for (size_t i = from + 1; i <= to; i++) {
        if (i < to && t->up[i] == t->up[began])
            continue;
        int64_t at_ns = NOW_NS - (int64_t)((double)(to - i) * t->gap_s * 1e9);
        ebb_hazards_observe(h, t->up[began] ? EBB_RATE_REVOCATION : EBB_RATE_RECOVERY, &p, 0,
                            (double)(i - began) * t->gap_s, i < to, at_ns);
        began = i;
    }
}

/* "2022-10-aws-us-west-2a_k80_1" up to the type. */
static bool is_same_zone(const char *a, const char *b)
{
    size_t len = strcspn(a, "_");
    return len == strcspn(b, "_") && strncmp(a, b, len) == 0;
}

static size_t tick_of(const struct ebb_trace *t, int origin)
{
    return (size_t)((double)t->len * (0.3 + 0.1 * origin));
}

static Ebb__HazardState *learn(const struct traces *own, const struct traces *other,
                               const struct ebb_trace *judged, int origin)
{
    struct ebb_hazards *h = ebb_hazards_new(EBB_HAZARD_HALF_LIFE_S);
    const struct traces *from = job.way == OTHER_YEAR ? other : own;
    for (size_t i = 0; i < from->count; i++) {
        const struct ebb_trace *t = &from->items[i];
        if (job.way == UNSEEN && is_same_zone(t->name, judged->name))
            continue;
        learn_trace(h, t, 0, job.way == OTHER_YEAR ? t->len : tick_of(t, origin));
    }
    Ebb__HazardState *state = ebb_hazards_save(h);
    ebb_hazards_destroy(h);
    return state;
}

/* The pool's own trace from the plan on. */
static void play(struct ebb_fleet *fleet, const struct ebb_trace *t, size_t from)
{
    size_t ticks = t->len - from;
    fleet->traces = ebb_alloc(sizeof *fleet->traces);
    fleet->trace_count = 1;
    fleet->traces[0] =
        (struct ebb_fleet_trace){.zone = 0,
                                 .type = 0,
                                 .gap_s = t->gap_s,
                                 .data = ebb_memdup(t->up + from, ticks),
                                 .count = ticks,
                                 .notice = {.kind = EBB_FLEET_NOTICE_GIVEN, .length_s = 120}};
}

static void judge_trace(const struct ebb_trace *t, int origin, struct tally *tally)
{
    size_t from = tick_of(t, origin);
    struct ebb_forecast f;
    if (ebb_trace_share_up(t, from, t->len) < LEAST_UP)
        return;
    struct ebb_fleet *fleet = one_pool(t->name, "vm");
    make_plan(fleet, t->region, knowledge, seed_of(t->name, PLANS + origin), &f);
    play(fleet, t, from);
    for (int i = 0; i < job.starts; i++) {
        fleet->traces[0].start_s = 0.1 * (double)t->len * t->gap_s * (i + 0.5) / job.starts;
        struct ebb_outcome x =
            run_truth(fleet, NULL, t->region, seed_of(t->name, ORIGINS * i + origin));
        count(tally, &f, &x);
    }
    ebb_forecast_clean_up(&f);
    ebb_fleet_destroy(fleet);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t list_traces(const char *folder, const char *prefix, char ***ret)
{
    char **names = NULL;
    size_t n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        if (strncmp(e->d_name, prefix, strlen(prefix)) != 0)
            continue;
        names = ebb_realloc_array(names, n + 1, sizeof *names);
        names[n++] = ebb_strdup(e->d_name);
    }
    if (d != NULL)
        (void)closedir(d);
    if (n > 1)
        qsort(names, n, sizeof *names, by_name);
    *ret = names;
    return n;
}

static void read_traces(const char *data, const char *prefix, struct traces *ret)
{
    EBB_AUTO_FREE char *folder = ebb_path_join(data, "availability");
    EBB_AUTO_FREE char **names = NULL;
    size_t n = list_traces(folder, prefix, &names);
    struct ebb_error err = {0};
    for (size_t i = 0; i < n; i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
        EBB_AUTO_FREE char *path = ebb_path_join(folder, names[i]);
        if (ret->count < sizeof ret->items / sizeof *ret->items &&
            ebb_file_read(path, (size_t)64 << 20, &text, &err) == 0 &&
            ebb_trace_parse(path, ebb_buffer_text(&text), text.len, &ret->items[ret->count],
                            &err) == 0)
            ret->count++;
        else
            printf("not measured: %s\n", err.text);
        free(names[i]);
    }
}

static void calibrate_traces(const struct traces *own, const struct traces *other,
                             struct tally *tally)
{
    for (size_t i = 0; i < own->count; i++) {
        struct tally pool = {.name = own->items[i].name};
        for (int origin = 0; origin < ORIGINS; origin++) {
            Ebb__HazardState *state = learn(own, other, &own->items[i], origin);
            knowledge = state;
            judge_trace(&own->items[i], origin, &pool);
            ebb__hazard_state__free_unpacked(state, NULL);
        }
        if (job.each)
            print_tally(pool.name, &pool);
        add_tally(tally, &pool);
    }
}

static void turn_round(struct traces *list)
{
    for (size_t n = 0; n < list->count; n++) {
        struct ebb_trace *t = &list->items[n];
        for (size_t i = 0, k = t->len - 1; i < k; i++, k--) {
            uint8_t up = t->up[i];
            t->up[i] = t->up[k];
            t->up[k] = up;
        }
    }
}

/* ---- lifetimes ---- */

/* Kaplan-Meier as steps: age and survival after it. */
struct curve {
    double *age_s, *alive;
    size_t count;
};

static int by_age(const void *a, const void *b)
{
    const struct ebb_lifetime *x = a, *y = b;
    return (x->age_h > y->age_h) - (x->age_h < y->age_h);
}

static void make_curve(struct ebb_lifetime *rows, size_t n, struct curve *c)
{
    double alive = 1;
    qsort(rows, n, sizeof *rows, by_age);
    *c = (struct curve){.age_s = ebb_alloc_array(n + 1, sizeof(double)),
                        .alive = ebb_alloc_array(n + 1, sizeof(double))};
    for (size_t i = 0; i < n; i++) {
        if (rows[i].end != EBB_LIFETIME_REVOKED)
            continue;
        alive *= 1 - 1.0 / (double)(n - i);
        c->age_s[c->count] = rows[i].age_h * 3600;
        c->alive[c->count++] = alive;
    }
}

static double draw_lifetime(void *ctx, int zone, int type, double u)
{
    const struct curve *c = ctx;
    (void)zone;
    (void)type;
    for (size_t i = 0; i < c->count; i++) {
        if (c->alive[i] <= 1 - u)
            return c->age_s[i];
    }
    return INFINITY;
}

struct cell {
    const struct ebb_lifetimes *l;
    int32_t type, zone, day; /* the halves: before, and from then on */
};

static size_t rows_of(const struct cell *c, struct ebb_lifetime *out)
{
    size_t n = 0;
    for (size_t i = 0; i < c->l->count; i++) {
        const struct ebb_lifetime *r = &c->l->rows[i];
        if (r->type == c->type && r->zone == c->zone &&
            (r->day >= c->day) == (job.way != BACKWARDS))
            out[n++] = *r;
    }
    return n;
}

static Ebb__HazardState *learn_lives(const struct cell *c)
{
    struct ebb_hazards *h = ebb_hazards_new(0);
    const struct ebb_lifetimes *l = c->l;
    for (size_t i = 0; i < l->count; i++) {
        const struct ebb_lifetime *r = &l->rows[i];
        if ((r->day < c->day) != (job.way != BACKWARDS) || r->type < 0 || r->zone < 0 ||
            (job.way == UNSEEN && r->zone == c->zone))
            continue;
        const struct ebb_place p = {"aws", "gcp", l->zones.names[r->zone], l->types.names[r->type]};
        ebb_hazards_observe(h, EBB_RATE_REVOCATION, &p, 0, r->age_h * 3600,
                            r->end == EBB_LIFETIME_REVOKED,
                            NOW_NS - (int64_t)(c->day - r->day) * DAY_NS);
    }
    Ebb__HazardState *state = ebb_hazards_save(h);
    ebb_hazards_destroy(h);
    return state;
}

static void calibrate_cell(const struct cell *c, struct tally *tally)
{
    EBB_AUTO_FREE struct ebb_lifetime *rows = ebb_alloc_array(c->l->count + 1, sizeof *rows);
    size_t n = rows_of(c, rows);
    if (n < LEAST_LIVES)
        return;
    struct curve curve;
    struct ebb_forecast f;
    const char *type = c->l->types.names[c->type], *zone = c->l->zones.names[c->zone];
    EBB_AUTO_FREE char *name = ebb_sprintf("%s %s", type, zone);
    Ebb__HazardState *state = learn_lives(c);
    struct tally own = {.name = name};
    struct ebb_fleet *fleet = one_pool(zone, type);
    knowledge = state;
    make_curve(rows, n, &curve);
    make_plan(fleet, "gcp", knowledge, seed_of(name, PLANS), &f);
    const struct ebb_world_model model = {
        .lifetime_s = draw_lifetime,
        .ctx = &curve,
        .notice = {.kind = EBB_FLEET_NOTICE_GIVEN, .length_s = 30}};
    for (int i = 0; i < 4 * job.starts; i++) {
        struct ebb_outcome x = run_truth(fleet, &model, "gcp", seed_of(name, i));
        count(&own, &f, &x);
    }
    if (job.each)
        print_tally(name, &own);
    add_tally(tally, &own);
    ebb_forecast_clean_up(&f);
    ebb__hazard_state__free_unpacked(state, NULL);
    ebb_fleet_destroy(fleet);
    free(curve.age_s);
    free(curve.alive);
}

static int by_number(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static int32_t middle_day(const struct ebb_lifetimes *l)
{
    EBB_AUTO_FREE int32_t *days = ebb_alloc_array(l->count + 1, sizeof *days);
    for (size_t i = 0; i < l->count; i++)
        days[i] = l->rows[i].day;
    qsort(days, l->count, sizeof *days, by_number);
    return days[l->count / 2];
}

static void read_lifetimes(const char *data, struct ebb_lifetimes *ret)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    EBB_AUTO_FREE char *path = ebb_path_join(data, "lifetimes/gcp-2019.csv");
    struct ebb_error err = {0};
    if (ebb_file_read(path, (size_t)64 << 20, &text, &err) < 0 ||
        ebb_lifetimes_read(ret, path, ebb_buffer_text(&text), text.len, &err) < 0)
        printf("not measured: %s\n", err.text);
}

static void calibrate_lifetimes(const struct ebb_lifetimes *l, struct tally *tally)
{
    if (l->count == 0 || job.way == OTHER_YEAR)
        return;
    int32_t day = middle_day(l);
    for (size_t t = 0; t < l->types.count; t++) {
        for (size_t z = 0; z < l->zones.count; z++) {
            const struct cell c = {l, (int32_t)t, (int32_t)z, day};
            calibrate_cell(&c, tally);
        }
    }
}

/* ---- the table ---- */

static void calibrate(const struct traces *years, const struct ebb_lifetimes *lives,
                      struct tally *total)
{
    struct tally sets[3] = {{.name = "2022 traces"}, {.name = "2023 traces"}, {.name = "GCP 2019"}};
    calibrate_traces(&years[0], &years[1], &sets[0]);
    calibrate_traces(&years[1], &years[0], &sets[1]);
    calibrate_lifetimes(lives, &sets[2]);
    for (int i = 0; i < 3; i++) {
        print_tally(sets[i].name, &sets[i]);
        add_tally(total, &sets[i]);
    }
}

static void measure(const char *data, bool all)
{
    struct traces years[2] = {{.count = 0}};
    EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes lives = {0};
    struct tally total = {.name = "all"};
    double began = cpu_s();
    read_traces(data, "2022-10", &years[0]);
    read_traces(data, "2023-02", &years[1]);
    read_lifetimes(data, &lives);
    puts("Outcomes inside the interval for nine of ten; aim: 85 to 95 %\n\n| truth | learned | bag "
         "| "
         "outcomes | cost | finish | cost over expected |\n|---|---|---|---|---|---|---|");
    for (size_t s = 0; s < (all ? SHAPES : 1); s++) {
        Ebb__BagSpec *spec = bag_of(shapes[s].jobs, shapes[s].time, shapes[s].deadline);
        job.shape = &shapes[s];
        job.spec = spec;
        for (int w = 0; w < (all && s == 0 ? WAYS : UNSEEN); w++) {
            job.way = (enum way)w;
            for (int y = 0; y < 2 && job.way == BACKWARDS; y++)
                turn_round(&years[y]);
            calibrate(years, &lives, &total);
            for (int y = 0; y < 2 && job.way == BACKWARDS; y++)
                turn_round(&years[y]);
        }
        ebb__bag_spec__free_unpacked(spec, NULL);
    }
    for (int y = 0; y < 2; y++) {
        for (size_t i = 0; i < years[y].count; i++)
            ebb_trace_clean_up(&years[y].items[i]);
    }
    double n = total.outcomes > 0 ? total.outcomes : 1;
    printf(
        "\nall: %d outcomes, cost inside %.1f %%, finish inside %.1f %%, cost over expected %.3f, "
        "%.0f s of CPU\n",
        total.outcomes, 100 * total.cost_in / n, 100 * total.finish_in / n, total.ratio / n,
        cpu_s() - began);
    printf("{\"schema\":\"ebb.bench.calibration.v1\",\"outcomes\":%d,\"cost_inside\":%.4f,"
           "\"finish_inside\":%.4f,\"cost_over_expected\":%.4f}\n",
           total.outcomes, total.cost_in / n, total.finish_in / n, total.ratio / n);
}

int main(int argc, char **argv)
{
    const char *data = data_folder(argc, argv);
    bool all = false;
    for (int i = 1; i < argc; i++) {
        all |= strcmp(argv[i], "--all") == 0;
        job.each |= strcmp(argv[i], "--each") == 0;
        if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc)
            job.runs = (uint32_t)atoi(argv[i + 1]);
        if (strcmp(argv[i], "--starts") == 0 && i + 1 < argc)
            job.starts = atoi(argv[i + 1]);
    }
    if (data == NULL)
        puts("not measured: no data; name its folder by --data DIR or EBB_DATA_DIR");
    else
        measure(data, all);
    return 0;
}
