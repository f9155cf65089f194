/* Bags in simulated time: how fast, and whether what `ebb plan` says of them comes true.
 *
 * Calibration. For each zone of each availability trace, and each type and zone of the GCP
 * lifetimes, hazards and outages are learned from the first half; the plan made from them gives an
 * interval for cost and finish; the bag then runs in the second half (the trace itself from a
 * moment picked at random; lifetimes drawn from the second half's Kaplan-Meier curve), and it is
 * counted how often the outcome falls inside. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/memory.h"
#include "scheduler/core/bag.h"
#include "scheduler/core/fit_data.h"
#include "scheduler/core/hazards.h"
#include "scheduler/core/profile.h"
#include "simulator/montecarlo.h"
#include "simulator/traces.h"

#define HALF_LIFE_S   EBB_HAZARD_HALF_LIFE_S
#define STARTS        20
#define RUNS          200
#define LEAST_LIVES   20
#define LEAST_UP      0.01 /* of the second half; no bag ends in a zone that is closed for good */
#define NOW_NS        (INT64_C(1767225600) * INT64_C(1000000000))
#define ON_DEMAND_USD 1.0
#define SPOT_USD      0.317

static double cpu_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static const char *data_folder(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--data") == 0)
            return argv[i + 1];
    }
    return getenv("EBB_DATA_DIR");
}

static char *profile(void *ctx, const char *name, size_t *ret_len)
{
    (void)ctx;
    const char *text = ebb_profile_builtin(name, ret_len);
    return text == NULL ? NULL : ebb_strndup(text, *ret_len);
}

static Ebb__BagSpec *parse_bag(int jobs, const char *time)
{
    EBB_AUTO_FREE char *text =
        ebb_sprintf("name: bench\njobs:\n  - name: md\n    engine: gromacs\n"
                    "    sweep: {seed: {from: 1, to: %d}}\n"
                    "    resources: {cpus: 1, memory: 1 GiB, time: %s}\n"
                    "    command: gmx mdrun -deffnm x\n    outputs: [x.xtc]\n",
                    jobs, time);
    const struct ebb_bag_sources sources = {.profile = profile,
                                            .profile_names = ebb_profile_builtin_names()};
    Ebb__BagSpec *spec = NULL;
    struct ebb_error err = {0};
    if (ebb_bag_parse("bag.yaml", text, strlen(text), &sources, &spec, NULL, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return spec;
}

static struct ebb_fleet *parse_fleet(const char *text)
{
    struct ebb_fleet *f = NULL;
    struct ebb_error err = {0};
    if (ebb_fleet_parse("fleet.yaml", ".", text, strlen(text), &f, NULL, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return f;
}

/* ---- speed ---- */

static void measure_speed(int jobs)
{
    Ebb__BagSpec *spec = parse_bag(jobs, "1h");
    struct ebb_fleet *fleet = parse_fleet(
        "region: us-east-1\nboot: {from: 20s, to: 40s}\npending: {from: 1s, to: 3s}\n"
        "zones: [us-east-1a, us-east-1b, us-east-1c, us-east-1d]\n"
        "types: [{name: c5.large, vcpus: 1, memory: 4 GiB, on_demand: 0.085, spot: 0.03}]\n"
        "lifetimes: [{model: exponential, mean: 100h}]\n"); /* 1,000 VMs: ten an hour */
    struct ebb_simulation_options o;
    struct ebb_simulation s;
    struct ebb_error err = {0};
    ebb_simulation_defaults(false, &o);
    o.fleet = fleet;
    o.spec = spec;
    o.policy.max_vms = 1000;
    o.jobs.spread = 0.2;
    double began = cpu_s();
    if (ebb_simulation_run(&o, &s, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    double took = cpu_s() - began;
    struct ebb_outcome x;
    ebb_outcome_of(&s, &x);
    printf("%d jobs on 1,000 VMs: %.1f s CPU (aim: under 30); %llu events, %llu plans, %llu "
           "revocations in %.1f h simulated\n",
           jobs, took, (unsigned long long)s.events, (unsigned long long)s.plans,
           (unsigned long long)x.revocations, x.finish_s / 3600);
    printf("{\"schema\":\"ebb.bench.bagsim_speed.v1\",\"jobs\":%d,\"cpu_s\":%.2f,\"events\":%llu,"
           "\"plans\":%llu}\n",
           jobs, took, (unsigned long long)s.events, (unsigned long long)s.plans);
    ebb_simulation_clean_up(&s);
    ebb_fleet_destroy(fleet);
    ebb__bag_spec__free_unpacked(spec, NULL);
}

/* ---- calibration ---- */

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
    return parse_fleet(text);
}

static void configure(struct ebb_simulation_options *o)
{
    ebb_simulation_defaults(false, o);
    o->start_wall_ns = NOW_NS;
    o->jobs.spread = 0.1;
    o->times.plan_s = 5;
    o->times.plan_seldom = true;
    o->most_s = 60 * 86400.0;
}

static void make_plan(const struct ebb_fleet *fleet, const char *region, const Ebb__BagSpec *spec,
                      const Ebb__HazardState *hazards, struct ebb_forecast *ret)
{
    struct ebb_fleet_offers offers;
    struct ebb_error err = {0};
    ebb_fleet_offers_of(fleet, NULL, &offers);
    for (size_t i = 0; i < offers.count; i++)
        offers.offers[i].region = (char *)(uintptr_t)region;
    struct ebb_forecast_options f = {.spec = spec,
                                     .offers = offers.pointers,
                                     .offer_count = offers.count,
                                     .like = fleet,
                                     .hazards = hazards,
                                     .time_scale = 1,
                                     .runs = RUNS};
    configure(&f.run);
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

static struct ebb_outcome run_truth(const struct ebb_fleet *fleet, const Ebb__BagSpec *spec,
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
    o.spec = spec;
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
    t->cost_in += x->usd >= usd->low && x->usd <= usd->high;
    t->cost_below += x->usd < usd->low;
    t->finish_in += x->finish_s >= finish->low && x->finish_s <= finish->high;
    t->finish_below += x->finish_s < finish->low;
    t->ratio += x->usd / usd->mean;
}

static void print_tally(const struct tally *t)
{
    if (t->outcomes == 0)
        return;
    double n = t->outcomes;
    printf("%-34s %5d  cost inside %5.1f %% (below %4.1f %%)  finish inside %5.1f %% (below %4.1f "
           "%%)  cost / expected %.3f\n",
           t->name, t->outcomes, 100 * t->cost_in / n, 100 * t->cost_below / n,
           100 * t->finish_in / n, 100 * t->finish_below / n, t->ratio / n);
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

/* ---- availability traces ---- */

static struct ebb_place place_of(const struct ebb_trace *t)
{
    return (struct ebb_place){"aws", t->region, t->name, "vm"};
}

/* Runs of one value in the first half, as lives; the last is cut off. */
static void learn_trace(struct ebb_hazards *h, const struct ebb_trace *t)
{
    size_t half = t->len / 2, from = 0;
    struct ebb_place p = place_of(t);
    for (size_t i = 1; i <= half; i++) {
        if (i < half && t->up[i] == t->up[from])
            continue;
        int64_t at_ns = NOW_NS - (int64_t)((double)(half - i) * t->gap_s * 1e9);
        ebb_hazards_observe(h, t->up[from] ? EBB_RATE_REVOCATION : EBB_RATE_RECOVERY, &p, 0,
                            (double)(i - from) * t->gap_s, i < half, at_ns);
        from = i;
    }
}

static void calibrate_trace(const struct ebb_trace *t, const Ebb__BagSpec *spec,
                            struct tally *tally)
{
    struct ebb_forecast f;
    struct ebb_fleet *fleet = one_pool(t->name, "vm");
    struct tally own = {.name = t->name};
    make_plan(fleet, t->region, spec, knowledge, &f);
    size_t half = t->len / 2, count_ticks = t->len - half;
    if (ebb_trace_share_up(t, half, t->len) < LEAST_UP) {
        printf("%-34s left out: it is open for %.2g of its second half\n", t->name,
               ebb_trace_share_up(t, half, t->len));
        ebb_forecast_clean_up(&f);
        ebb_fleet_destroy(fleet);
        return;
    }
    fleet->traces = ebb_alloc(sizeof *fleet->traces);
    fleet->trace_count = 1;
    fleet->traces[0] =
        (struct ebb_fleet_trace){.zone = 0,
                                 .type = 0,
                                 .gap_s = t->gap_s,
                                 .data = ebb_memdup(t->up + half, count_ticks),
                                 .count = count_ticks,
                                 .notice = {.kind = EBB_FLEET_NOTICE_GIVEN, .length_s = 120}};
    for (int i = 0; i < STARTS; i++) {
        fleet->traces[0].start_s = (double)count_ticks * t->gap_s * (i + 0.5) / STARTS;
        struct ebb_outcome x = run_truth(fleet, spec, NULL, t->region, (uint64_t)i + 1000);
        count(&own, &f, &x);
    }
    print_tally(&own);
    add_tally(tally, &own);
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

static struct tally calibrate_traces(const char *data, const char *prefix, const Ebb__BagSpec *spec)
{
    EBB_AUTO_FREE char *folder = ebb_path_join(data, "availability");
    EBB_AUTO_FREE char **names = NULL;
    size_t n = list_traces(folder, prefix, &names);
    struct ebb_trace *traces = ebb_alloc_array(n + 1, sizeof *traces);
    struct ebb_hazards *h = ebb_hazards_new(HALF_LIFE_S);
    struct tally tally = {.name = prefix};
    struct ebb_error err = {0};
    size_t read = 0;
    for (size_t i = 0; i < n; i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
        EBB_AUTO_FREE char *path = ebb_path_join(folder, names[i]);
        if (ebb_file_read(path, (size_t)64 << 20, &text, &err) == 0 &&
            ebb_trace_parse(path, ebb_buffer_text(&text), text.len, &traces[read], &err) == 0)
            learn_trace(h, &traces[read++]);
        else
            printf("not measured: %s\n", err.text);
        free(names[i]);
    }
    Ebb__HazardState *state = ebb_hazards_save(h);
    knowledge = state;
    for (size_t i = 0; i < read; i++) {
        calibrate_trace(&traces[i], spec, &tally);
        ebb_trace_clean_up(&traces[i]);
    }
    ebb__hazard_state__free_unpacked(state, NULL);
    ebb_hazards_destroy(h);
    free(traces);
    return tally;
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
    int32_t type, zone, day; /* split: before, or from then on */
};

static size_t rows_of(const struct cell *c, struct ebb_lifetime *out)
{
    size_t n = 0;
    for (size_t i = 0; i < c->l->count; i++) {
        const struct ebb_lifetime *r = &c->l->rows[i];
        if (r->type == c->type && r->zone == c->zone && r->day >= c->day)
            out[n++] = *r;
    }
    return n;
}

static void calibrate_cell(const struct cell *c, const Ebb__BagSpec *spec, struct tally *tally)
{
    EBB_AUTO_FREE struct ebb_lifetime *rows = ebb_alloc_array(c->l->count + 1, sizeof *rows);
    size_t n = rows_of(c, rows);
    if (n < LEAST_LIVES)
        return;
    struct curve curve;
    struct ebb_forecast f;
    const char *type = c->l->types.names[c->type], *zone = c->l->zones.names[c->zone];
    EBB_AUTO_FREE char *name = ebb_sprintf("gcp %s %s", type, zone);
    struct tally own = {.name = name};
    struct ebb_fleet *fleet = one_pool(zone, type);
    make_curve(rows, n, &curve);
    make_plan(fleet, "gcp", spec, knowledge, &f);
    const struct ebb_world_model model = {
        .lifetime_s = draw_lifetime,
        .ctx = &curve,
        .notice = {.kind = EBB_FLEET_NOTICE_GIVEN, .length_s = 30}};
    for (int i = 0; i < STARTS; i++) {
        struct ebb_outcome x = run_truth(fleet, spec, &model, "gcp", (uint64_t)i + 1000);
        count(&own, &f, &x);
    }
    print_tally(&own);
    add_tally(tally, &own);
    ebb_forecast_clean_up(&f);
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

static struct tally calibrate_lifetimes(const char *data, const Ebb__BagSpec *spec)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes l = {0};
    EBB_AUTO_FREE char *path = ebb_path_join(data, "lifetimes/gcp-2019.csv");
    struct tally tally = {.name = "gcp lifetimes"};
    struct ebb_error err = {0};
    if (ebb_file_read(path, (size_t)64 << 20, &text, &err) < 0 ||
        ebb_lifetimes_read(&l, path, ebb_buffer_text(&text), text.len, &err) < 0) {
        printf("not measured: %s\n", err.text);
        return tally;
    }
    struct ebb_hazards *h = ebb_hazards_new(0);
    int32_t day = middle_day(&l);
    for (size_t i = 0; i < l.count; i++) {
        const struct ebb_lifetime *r = &l.rows[i];
        if (r->day >= day || r->type < 0 || r->zone < 0)
            continue;
        const struct ebb_place p = {"aws", "gcp", l.zones.names[r->zone], l.types.names[r->type]};
        ebb_hazards_observe(h, EBB_RATE_REVOCATION, &p, 0, r->age_h * 3600,
                            r->end == EBB_LIFETIME_REVOKED,
                            NOW_NS - (int64_t)(day - r->day) * INT64_C(86400000000000));
    }
    Ebb__HazardState *state = ebb_hazards_save(h);
    knowledge = state;
    for (size_t t = 0; t < l.types.count; t++) {
        for (size_t z = 0; z < l.zones.count; z++) {
            const struct cell c = {&l, (int32_t)t, (int32_t)z, day};
            calibrate_cell(&c, spec, &tally);
        }
    }
    ebb__hazard_state__free_unpacked(state, NULL);
    ebb_hazards_destroy(h);
    return tally;
}

static void calibrate(const char *data)
{
    Ebb__BagSpec *spec = parse_bag(24, "4h");
    struct tally sums[4];
    double began = cpu_s();
    sums[0] = calibrate_traces(data, "2023-02", spec);
    sums[1] = calibrate_traces(data, "2022-10", spec);
    sums[2] = calibrate_lifetimes(data, spec);
    sums[3] = (struct tally){.name = "all"};
    for (int i = 0; i < 3; i++)
        add_tally(&sums[3], &sums[i]);
    puts("\n90 % intervals; aim: 85 to 95 % of the outcomes inside");
    for (int i = 0; i < 4; i++)
        print_tally(&sums[i]);
    const struct tally *all = &sums[3];
    printf("{\"schema\":\"ebb.bench.bagsim_calibration.v1\",\"outcomes\":%d,\"cost_inside\":%.4f,"
           "\"finish_inside\":%.4f,\"cpu_s\":%.1f}\n",
           all->outcomes, all->outcomes > 0 ? (double)all->cost_in / all->outcomes : 0,
           all->outcomes > 0 ? (double)all->finish_in / all->outcomes : 0, cpu_s() - began);
    ebb__bag_spec__free_unpacked(spec, NULL);
}

int main(int argc, char **argv)
{
    const char *data = data_folder(argc, argv);
    bool speed = true;
    for (int i = 1; i < argc; i++)
        speed &= strcmp(argv[i], "--no-speed") != 0;
    if (speed)
        measure_speed(100000);
    if (data == NULL)
        puts("calibration not measured: no data; name its folder by --data DIR or EBB_DATA_DIR");
    else
        calibrate(data);
    return 0;
}
