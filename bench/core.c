/* The decision core by itself: sweeps, the fold, plans. No I/O; one thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/text.h"
#include "scheduler/core/bag.h"
#include "scheduler/core/estimate.h"
#include "scheduler/core/ledger.h"
#include "scheduler/core/planner.h"
#include "scheduler/core/status.h"
#include "scheduler/core/sweep.h"
#include "scheduler/core/time_price.h"

#define VMS      1000
#define JOBS     100000
#define SLOTS    8
#define PER_SLOT (JOBS / (VMS * SLOTS) + 1)
#define S        INT64_C(1000000000)

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what, const struct ebb_error *err)
{
    fprintf(stderr, "%s: %s\n", what, err->text);
    exit(1);
}

static Ebb__BagSpec *parse(const char *text)
{
    Ebb__BagSpec *spec = NULL;
    struct ebb_error err = {0};
    if (ebb_bag_parse("bench.yaml", text, strlen(text), NULL, &spec, NULL, &err) < 0)
        die("bag", &err);
    return spec;
}

static void bench_sweep(void)
{
    double start = now_s();
    Ebb__BagSpec *spec =
        parse("name: b\njobs: [{name: g, command: 'run ${a} ${b}', sweep: {a: {from: 1, to: 1000}, "
              "b: {from: 0.01, to: 1, step: 0.01}}}]\n");
    double parsed = now_s();
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    for (uint64_t i = 0; i < JOBS; i++) {
        ebb_buffer_reset(&out);
        ebb_job_name(spec->groups[0], i, &out);
        ebb_job_fill(spec->groups[0], i, spec->groups[0]->command, true, NULL, NULL, &out, NULL);
    }
    double end = now_s();
    printf("sweep of %d jobs: parsed in %.2f ms, all names and commands in %.0f ms\n", JOBS,
           (parsed - start) * 1e3, (end - parsed) * 1e3);
    ebb__bag_spec__free_unpacked(spec, NULL);
}

static uint64_t events;
static int64_t clock_ns = INT64_C(1763700000) * S;

static void apply(struct ebb_state *s, Ebb__Event *e)
{
    struct ebb_error err = {0};
    e->wall_ns = clock_ns;
    e->sequence = 0;
    events++;
    if (ebb_state_apply(s, e, &err) < 0)
        die("apply", &err);
}

static char *lit(const char *s)
{
    return (char *)(uintptr_t)s;
}

static void start_vms(struct ebb_state *s, Ebb__Offer *offer)
{
    for (int i = 0; i < VMS; i++) {
        char id[32];
        Ebb__Event e;
        Ebb__VmIntended intended;
        Ebb__VmLaunched launched;
        Ebb__VmJoined joined;
        ebb__event__init(&e);
        ebb__vm_intended__init(&intended);
        ebb__vm_launched__init(&launched);
        ebb__vm_joined__init(&joined);
        intended.vm = launched.vm = joined.vm = ebb_state_next_vm_id(s, id);
        intended.offer = offer;
        e.kind_case = EBB__EVENT__KIND_VM_INTENDED;
        e.vm_intended = &intended;
        apply(s, &e);
        launched.instance = lit("i-0123456789");
        e.kind_case = EBB__EVENT__KIND_VM_LAUNCHED;
        e.vm_launched = &launched;
        apply(s, &e);
        e.kind_case = EBB__EVENT__KIND_VM_JOINED;
        e.vm_joined = &joined;
        apply(s, &e);
    }
}

static void lease(struct ebb_state *s, const struct ebb_placement *p)
{
    Ebb__Event e;
    Ebb__AttemptLeased m;
    ebb__event__init(&e);
    ebb__attempt_leased__init(&m);
    m.bag = lit("b-1");
    m.job = p->job;
    m.attempt = s->bags[0]->jobs[p->job].attempts + 1;
    m.vm = s->vms[p->vm]->id;
    e.kind_case = EBB__EVENT__KIND_ATTEMPT_LEASED;
    e.attempt_leased = &m;
    apply(s, &e);
}

static void run(struct ebb_state *s, uint64_t job)
{
    Ebb__Event e;
    Ebb__AttemptStarted started;
    Ebb__CheckpointCommitted commit;
    Ebb__AttemptEnded ended;
    Ebb__AttemptTimes times;
    ebb__event__init(&e);
    ebb__attempt_started__init(&started);
    ebb__checkpoint_committed__init(&commit);
    ebb__attempt_ended__init(&ended);
    ebb__attempt_times__init(&times);
    started.bag = commit.bag = ended.bag = lit("b-1");
    started.job = commit.job = ended.job = job;
    started.attempt = commit.attempt = ended.attempt = s->bags[0]->jobs[job].attempts;
    e.kind_case = EBB__EVENT__KIND_ATTEMPT_STARTED;
    e.attempt_started = &started;
    apply(s, &e);
    commit.checkpoint_sequence = 1;
    commit.run_s = 30;
    e.kind_case = EBB__EVENT__KIND_CHECKPOINT_COMMITTED;
    e.checkpoint_committed = &commit;
    apply(s, &e);
    times.run_s = 60;
    ended.times = &times;
    e.kind_case = EBB__EVENT__KIND_ATTEMPT_ENDED;
    e.attempt_ended = &ended;
    apply(s, &e);
}

static void bench_plan(struct ebb_state *s, const char *when, struct ebb_time_tables *tables)
{
    enum { OFFERS = 2000 };
    static Ebb__Offer offers[OFFERS];
    static const Ebb__Offer *list[OFFERS];
    static char names[OFFERS][16];
    for (int i = 0; i < OFFERS; i++) {
        ebb__offer__init(&offers[i]);
        snprintf(names[i], sizeof names[i], "m%d", i / 4);
        offers[i].type = names[i];
        offers[i].zone = lit(i % 4 == 0 ? "a" : i % 4 == 1 ? "b" : i % 4 == 2 ? "c" : "d");
        offers[i].cpus = 1 << (i % 6);
        offers[i].memory_bytes = UINT64_C(64) << 30;
        offers[i].usd_micros_per_hour = 10000 * (1 << (i % 6)) + 7 * i;
        offers[i].on_demand_usd_micros_per_hour = 3 * offers[i].usd_micros_per_hour;
        list[i] = &offers[i];
    }
    struct ebb_policy policy;
    ebb_policy_default(&policy);
    policy.max_vms = 2 * VMS;
    struct ebb_plan_input in = {.state = s,
                                .offers = list,
                                .offer_count = OFFERS,
                                .policy = &policy,
                                .now_wall_ns = clock_ns,
                                .random = 0.5,
                                .tables = tables};
    struct ebb_plan plan;
    double start = now_s();
    ebb_plan(&in, &plan);
    double planned = now_s();
    Ebb__PlanAnswer *estimate = ebb_estimate(&in, s->bags[0]->spec);
    double end = now_s();
    printf("plan, %s (%d jobs, %zu VMs, %d offers): %.2f ms; estimate %.2f ms\n", when, JOBS,
           s->live_count, OFFERS, (planned - start) * 1e3, (end - planned) * 1e3);
    ebb__plan_answer__free_unpacked(estimate, NULL);
    ebb_plan_clean_up(&plan);
}

static void bench_report(struct ebb_state *s)
{
    double start = now_s();
    Ebb__BagStatus *status = ebb_bag_status_new(s, s->bags[0], clock_ns);
    double told = now_s();
    Ebb__Report *report = ebb_report_new(s, s->bags[0], clock_ns, true);
    double end = now_s();
    printf("status %.2f ms, report with %zu job rows %.0f ms\n", (told - start) * 1e3,
           report->n_job_reports, (end - told) * 1e3);
    ebb__bag_status__free_unpacked(status, NULL);
    ebb__report__free_unpacked(report, NULL);
}

static void bench_fold(void)
{
    struct ebb_state *s = ebb_state_new();
    Ebb__BagSpec *spec = parse("name: b\njobs: [{name: g, engine: gromacs, command: x, resources: "
                               "{time: 10m}, sweep: {i: {from: 1, to: 100000}}}]\n");
    Ebb__Event e;
    Ebb__BagSubmitted m;
    ebb__event__init(&e);
    ebb__bag_submitted__init(&m);
    m.bag = lit("b-1");
    m.spec = spec;
    e.kind_case = EBB__EVENT__KIND_BAG_SUBMITTED;
    e.bag_submitted = &m;
    double submit = now_s();
    apply(s, &e);
    printf("submission of %d jobs: %.1f ms\n", JOBS, (now_s() - submit) * 1e3);
    bench_plan(s, "no VM yet", NULL);
    struct ebb_time_tables *tables = ebb_time_tables_new();
    s->bags[0]->spec->deadline_s = 50 * 3600;
    bench_plan(s, "with a deadline", tables);
    bench_plan(s, "with a deadline, again", tables);
    s->bags[0]->spec->deadline_s = 0;
    ebb_time_tables_destroy(tables);
    Ebb__Offer offer;
    ebb__offer__init(&offer);
    offer.type = lit("m");
    offer.zone = lit("a");
    offer.cpus = SLOTS;
    offer.memory_bytes = UINT64_C(64) << 30;
    offer.usd_micros_per_hour = 100000;
    start_vms(s, &offer);
    struct ebb_policy policy;
    ebb_policy_default(&policy);
    static struct ebb_placement places[VMS * SLOTS];
    double place_s = 0, fold_s = 0;
    uint64_t placed = 0, before = events;
    for (int round = 0; round < PER_SLOT; round++) {
        double start = now_s();
        size_t n = ebb_place(s, &policy, clock_ns, places, VMS * SLOTS);
        double mid = now_s();
        for (size_t i = 0; i < n; i++)
            lease(s, &places[i]);
        if (round == 0)
            bench_plan(s, "all VMs busy", NULL);
        double go = now_s();
        fold_s += round == 0 ? 0 : go - mid;
        before += round == 0 ? n : 0;
        clock_ns += 60 * S;
        for (size_t i = 0; i < n; i++)
            run(s, places[i].job);
        fold_s += now_s() - go;
        place_s += mid - start;
        placed += n;
    }
    printf("fold: %.2f million events/s; placement: %.2f million leases/s\n",
           (double)(events - before) / fold_s / 1e6, (double)placed / place_s / 1e6);
    bench_report(s);
    ebb_state_destroy(s);
    ebb__bag_spec__free_unpacked(spec, NULL);
}

int main(void)
{
    bench_sweep();
    bench_fold();
    return 0;
}
