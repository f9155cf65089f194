/* A bag in simulated time, from submission to its report. */
#include "base/text.h"
#include "tests/unit/simulator/fixture.h"

#define BAG                                                                                        \
    "name: b\njobs:\n"                                                                             \
    "  - name: md\n    engine: gromacs\n    sweep: {seed: {from: 1, to: 40}}\n"                    \
    "    resources: {cpus: 1, memory: 1 GiB, time: 20m}\n"                                         \
    "    command: gmx mdrun -deffnm x\n    outputs: [x.xtc]\n"
#define CLOUD                                                                                      \
    "region: us-east-1\nseed: 1\nboot: {from: 20s, to: 40s}\npending: {from: 1s, to: 3s}\n"
#define TYPES                                                                                      \
    "types:\n  - {name: c5.large, vcpus: 2, memory: 4 GiB, on_demand: 0.085,\n"                    \
    "     spot: {us-east-1a: 0.030, us-east-1b: 0.034}}\n"
#define CALM CLOUD "zones: [us-east-1a, us-east-1b]\n" TYPES
#define OUTAGES                                                                                    \
    "faults: [{kind: no-capacity, at: 3m, for: 10m, zone: us-east-1a}, "                           \
    "{kind: no-capacity, at: 5m, for: 6m, zone: us-east-1b}]\n"
#define STORMY CALM "lifetimes: [{model: exponential, mean: 40m}]\n"

static uint64_t digest_of(struct fixture *f)
{
    struct ebb_simulation s = fixture_run(f);
    uint64_t d = ebb_state_digest(s.state);
    ebb_simulation_clean_up(&s);
    return d;
}

static void the_same_seed_gives_the_same_run_and_another_another(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(BAG, STORMY);
    uint64_t first = digest_of(f);
    assert_true(first == digest_of(f));
    f->o.seed = 2;
    assert_true(first != digest_of(f));
    fixture_destroy(f);
}

static void every_job_is_done_whatever_is_revoked(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(BAG, STORMY);
    for (f->o.seed = 1; f->o.seed <= 10; f->o.seed++) {
        struct ebb_simulation s = fixture_run(f);
        assert_true(s.is_finished);
        assert_int_equal(40, s.state->bags[0]->counts[EBB_JOB_DONE]);
        assert_true(s.state->bags[0]->revocations > 0);
        ebb_simulation_clean_up(&s);
    }
    fixture_destroy(f);
}

static void the_ledger_equals_the_clouds_own_bill(void **state)
{
    (void)state;
    struct fixture *f =
        fixture_new(BAG, CLOUD "time_scale: 60\nzones: [us-east-1a, us-east-1b]\n"
                               "types:\n  - {name: c5.large, vcpus: 2, memory: 4 GiB, on_demand: "
                               "0.085, spot: {us-east-1a: 0.030, us-east-1b: [{at: 0s, usd: 0.02}, "
                               "{at: 10m, usd: 0.09}, {at: 25m, usd: 0.04}]}}\n"
                               "lifetimes: [{model: weibull, scale: 30m, shape: 0.7}]\n");
    for (f->o.seed = 1; f->o.seed <= 10; f->o.seed++) {
        struct ebb_simulation s = fixture_run(f);
        struct ebb_ledger_totals t = fixture_totals(&s);
        assert_true(s.is_finished);
        assert_true(t.vm_usd_micros > 0);
        assert_int_equal(s.bill_usd_micros, t.vm_usd_micros);
        ebb_simulation_clean_up(&s);
    }
    fixture_destroy(f);
}

/* One VM with room for two, no revocation: boot, then 20 rounds of start, 20 minutes and outputs,
 * then idle until it is ended. */
static void without_hazards_time_and_cost_are_what_they_must_be(void **state)
{
    (void)state;
    struct fixture *f =
        fixture_new(BAG, "region: us-east-1\nboot: 30s\npending: 2s\n"
                         "zones: [{name: us-east-1a, capacity: 1}]\ntypes:\n"
                         "  - {name: c5.large, vcpus: 2, memory: 4 GiB, on_demand: 0.085, spot: "
                         "0.03}\n");
    struct ebb_simulation s = fixture_run(f);
    struct ebb_outcome x;
    ebb_outcome_of(&s, &x);
    double job_s = f->o.jobs.start_s + 1200 + f->o.jobs.end_s;
    double finish_s = 2 + 30 + f->o.times.join_s + 20 * job_s;
    assert_true(x.is_done);
    assert_int_equal(0, x.revocations);
    assert_true(fabs(x.finish_s - finish_s) < 1);
    struct ebb_ledger_totals t = fixture_totals(&s);
    double least = (finish_s - 3) * 0.03 / 3600 * 1e6, most = (finish_s + 20) * 0.03 / 3600 * 1e6;
    assert_in_range(t.vm_usd_micros, (int64_t)least, (int64_t)most);
    ebb_simulation_clean_up(&s);
    fixture_destroy(f);
}

static void scaling_all_prices_scales_the_cost(void **state)
{
    (void)state;
    struct fixture *one = fixture_new(BAG, STORMY OUTAGES);
    struct fixture *ten =
        fixture_new(BAG, CLOUD "zones: [us-east-1a, us-east-1b]\n"
                               "types:\n  - {name: c5.large, vcpus: 2, memory: 4 GiB, on_demand: "
                               "0.85, spot: {us-east-1a: 0.30, us-east-1b: 0.34}}\n"
                               "lifetimes: [{model: exponential, mean: 40m}]\n" OUTAGES);
    for (uint64_t seed = 1; seed <= 12; seed++) {
        one->o.seed = ten->o.seed = seed;
        one->o.policy.max_vms = ten->o.policy.max_vms = 10; /* in two turns */
        one->spec->deadline_s = ten->spec->deadline_s = seed % 4 == 0 ? 0 : 2400 + 600 * (seed % 4);
        struct ebb_simulation a = fixture_run(one), b = fixture_run(ten);
        struct ebb_ledger_totals x = fixture_totals(&a), y = fixture_totals(&b);
        assert_true(a.end_wall_ns == b.end_wall_ns);
        assert_true(llabs((long long)(10 * x.vm_usd_micros - y.vm_usd_micros)) <=
                    10 * (long long)a.state->vm_count);
        ebb_simulation_clean_up(&a);
        ebb_simulation_clean_up(&b);
    }
    fixture_destroy(one);
    fixture_destroy(ten);
}

/* Types in another order, zones in the same (launches are counted by zone's draws): the planner
 * sees the same offers in another order. */
static void the_order_of_types_changes_nothing(void **state)
{
    (void)state;
    static const char a[] =
        "  - {name: a1, vcpus: 2, memory: 4 GiB, on_demand: 0.085, spot: 0.03}\n";
    static const char b[] =
        "  - {name: b1, vcpus: 4, memory: 8 GiB, on_demand: 0.17, spot: 0.06}\n";
    static const char head[] = CLOUD "zones: [us-east-1a, us-east-1b]\ntypes:\n";
    static const char tail[] = "lifetimes: [{model: exponential, mean: 40m}]\n";
    EBB_AUTO_FREE char *ab = ebb_alloc(1024), *ba = ebb_alloc(1024);
    snprintf(ab, 1024, "%s%s%s%s", head, a, b, tail);
    snprintf(ba, 1024, "%s%s%s%s", head, b, a, tail);
    struct fixture *x = fixture_new(BAG, ab), *y = fixture_new(BAG, ba);
    struct ebb_outcome p = fixture_outcome(x), q = fixture_outcome(y);
    assert_true(p.usd == q.usd && p.finish_s == q.finish_s && p.revocations == q.revocations);
    fixture_destroy(x);
    fixture_destroy(y);
}

static void a_notice_loses_no_work_and_a_silent_end_does(void **state)
{
    (void)state;
#define ONE                                                                                        \
    "name: b\njobs:\n  - {name: md, engine: gromacs, resources: {cpus: 2, time: 20m}, command: "   \
    "gmx mdrun, outputs: [x.xtc], checkpoint_interval: 5m}\n"
    struct fixture *given =
        fixture_new(ONE, CALM "revocations: [{vm: 1, phase: running, after: 8m, notice: 60s}]\n");
    struct fixture *none =
        fixture_new(ONE, CALM "revocations: [{vm: 1, phase: running, after: 8m, notice: none}]\n");
    struct ebb_outcome a = fixture_outcome(given), b = fixture_outcome(none);
    assert_true(a.is_done && b.is_done);
    assert_int_equal(1, a.revocations);
    assert_int_equal(1, b.revocations);
    assert_true(a.lost_s < 0.1);
    assert_true(b.lost_s > 150 && b.lost_s < 200); /* from five minutes to eight */
    fixture_destroy(given);
    fixture_destroy(none);
}

/* A second is five minutes on the bill: the notice ends far beyond the free hour, and the VM does
 * not wait for it. */
static void a_vm_given_notice_past_its_free_hour_ends_itself(void **state)
{
    (void)state;
    struct fixture *f =
        fixture_new(ONE, CALM "time_scale: 300\nrevocations: [{vm: 1, phase: running, "
                              "after: 8m, notice: 100s}]\n");
    struct ebb_simulation s = fixture_run(f);
    const struct ebb_vm *vm = s.state->vms[0];
    assert_true(s.is_finished);
    assert_true(vm->notice_wall_ns != 0);
    assert_true(vm->ended_wall_ns - vm->notice_wall_ns < 10 * INT64_C(1000000000));
    ebb_simulation_clean_up(&s);
    fixture_destroy(f);
}

static void a_cut_off_vm_loses_its_lease_and_the_job_goes_on_elsewhere(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(
        ONE, CALM "faults: [{kind: partition, vm: 1, after: 5m, phase: running, for: 1h}]\n");
    struct ebb_simulation s = fixture_run(f);
    const struct ebb_vm *vm = s.state->vms[0];
    assert_true(s.is_finished);
    assert_int_equal(2, s.state->vm_count);
    assert_non_null(strstr(vm->end_reason, "silent for 2"));
    assert_int_equal(2, s.state->bags[0]->attempts);
    assert_int_equal(1, s.state->bags[0]->counts[EBB_JOB_DONE]);
    ebb_simulation_clean_up(&s);
    fixture_destroy(f);
}

static void a_gang_job_survives_the_loss_of_a_member(void **state)
{
    (void)state;
    static const char *const notices[] = {"none", "60s"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(notices); i++) {
        EBB_AUTO_FREE char *fleet = ebb_sprintf(
            CALM "revocations: [{vm: 2, phase: running, after: 8m, notice: %s}]\n", notices[i]);
        struct fixture *f = fixture_new(
            "name: b\njobs:\n  - {name: md, engine: gromacs, resources: {cpus: 2, time: 20m, vms: "
            "2}, command: gmx mdrun, outputs: [x.xtc], checkpoint_interval: 2m}\n",
            fleet);
        struct ebb_simulation s = fixture_run(f);
        assert_true(s.is_finished);
        assert_int_equal(1, s.state->bags[0]->counts[EBB_JOB_DONE]);
        assert_int_equal(2, s.state->bags[0]->attempts);
        assert_int_equal(1, s.state->bags[0]->revocations);
        Ebb__Report *report = ebb_report_new(s.state, s.state->bags[0], s.end_wall_ns, false);
        double lost_s = report->split->lost_s;
        ebb__report__free_unpacked(report, NULL);
        if (i == 0)
            assert_true(lost_s > 100);
        else /* the member waits until rank 0 has committed */
            assert_true(lost_s < 1);
        assert_in_range(s.state->vm_count, 3, 4); /* beside what is left, or elsewhere */
        ebb_simulation_clean_up(&s);
        fixture_destroy(f);
    }
}

static void a_short_cut_is_no_loss(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(
        ONE, CALM "faults: [{kind: partition, vm: 1, after: 5m, phase: running, for: 8s}]\n");
    struct ebb_outcome x = fixture_outcome(f);
    assert_true(x.is_done);
    assert_int_equal(0, x.revocations);
    assert_int_equal(1, x.vms);
    fixture_destroy(f);
}

static void a_pool_without_room_is_left_alone_and_tried_again(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(
        BAG, CALM "faults: [{kind: no-capacity, at: 0s, for: 30m, zone: us-east-1a}]\n");
    struct ebb_simulation s = fixture_run(f);
    size_t refused = 0;
    for (size_t i = 0; i < s.state->vm_count; i++)
        refused += s.state->vms[i]->state == EBB_VM_FAILED;
    assert_true(s.is_finished);
    assert_in_range(refused, 1, 60);
    ebb_simulation_clean_up(&s);
    fixture_destroy(f);
}

static void a_bag_that_nothing_can_run_ends_by_the_limit(void **state)
{
    (void)state;
    struct fixture *f = fixture_new("name: b\njobs:\n  - {name: md, engine: gromacs, resources: "
                                    "{cpus: 64, time: 20m}, command: x, outputs: [y]}\n",
                                    CALM);
    f->o.most_s = 86400;
    struct ebb_simulation s = fixture_run(f);
    assert_false(s.is_finished);
    assert_int_equal(0, s.state->vm_count);
    ebb_simulation_clean_up(&s);
    fixture_destroy(f);
}

static void a_spent_budget_stops_the_bag(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(BAG, CALM);
    f->spec->budget_usd_micros = 100000;
    struct ebb_simulation s = fixture_run(f);
    struct ebb_ledger_totals t = fixture_totals(&s);
    assert_true(s.state->bags[0]->cancelled);
    assert_true(s.is_finished);
    assert_in_range(t.vm_usd_micros, 50000, 110000);
    ebb_simulation_clean_up(&s);
    fixture_destroy(f);
}

static int count_event(void *ctx, const Ebb__Event *e)
{
    uint64_t *last = ctx;
    if (e->sequence != *last + 1)
        return -1;
    *last = e->sequence;
    return 0;
}

static void the_observer_gets_each_event_of_the_log_in_order(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(BAG, STORMY);
    uint64_t last = 0;
    f->o.event = count_event;
    f->o.ctx = &last;
    struct ebb_simulation s = fixture_run(f);
    assert_true(s.is_finished);
    assert_true(last == s.state->last_sequence && last == s.events);
    ebb_simulation_clean_up(&s);
    fixture_destroy(f);
}

static void jobs_spread_around_their_mean(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(BAG, CALM);
    f->o.jobs.spread = 0.3;
    double sum = 0;
    for (f->o.seed = 1; f->o.seed <= 20; f->o.seed++)
        sum += fixture_outcome(f).useful_s;
    assert_true(fabs(sum / 20 / (40 * 1200 / 2.0) - 1) < 0.05); /* a job holds half of a VM */
    fixture_destroy(f);
}

/* A plan that has to wait is waited for once, however many events ask for it. */
static void what_asks_for_a_plan_again_and_again_is_heard_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(BAG, CLOUD "zones: [us-east-1a, us-east-1b]\n" TYPES
                                               "lifetimes: [{model: exponential, mean: 5m}]\n");
    f->o.times.plan_s = 60;
    f->o.times.plan_seldom = true;
    struct ebb_simulation s = fixture_run(f);
    assert_true(s.is_finished);
    assert_true(s.state->bags[0]->revocations > 50);
    assert_true(s.steps < 8 * s.events);
    ebb_simulation_clean_up(&s);
    fixture_destroy(f);
}

/* Of ten hours, in VMs that end after three: nothing is lost, whether or not there is a notice. */
static void no_work_is_lost_to_a_cap_and_no_vm_outlives_it(void **state)
{
    (void)state;
    for (int quiet = 0; quiet < 2; quiet++) {
        char fleet[600];
        snprintf(fleet, sizeof fleet,
                 CLOUD "zones: [us-east-1a]\ntypes:\n  - {name: c5.large, vcpus: 2, memory: 4 GiB, "
                       "on_demand: 0.3, spot: 0.03, cap: 3h}\nnotices: {length: %s}\n",
                 quiet ? "1ms" : "30s");
        struct fixture *f = fixture_new("name: b\njobs: [{name: g, engine: gromacs, command: x, "
                                        "resources: {time: 10h}, sweep: {i: {from: 1, to: 6}}}]\n",
                                        fleet);
        f->o.jobs.write_s = 3;
        struct ebb_simulation s = fixture_run(f);
        struct ebb_outcome x;
        ebb_outcome_of(&s, &x);
        assert_true(x.is_done);
        assert_true(x.lost_s < 1);
        assert_true(x.finish_s < 10.2 * 3600);
        assert_in_range(s.state->vm_count, 12, 15); /* three at once, four in a row */
        for (size_t i = 0; i < s.state->vm_count; i++) {
            const struct ebb_vm *vm = s.state->vms[i];
            assert_true(vm->offer->cap_s == 10800);
            assert_true(vm->ended_wall_ns - vm->launched_wall_ns <= INT64_C(10801000000000));
        }
        ebb_simulation_clean_up(&s);
        fixture_destroy(f);
    }
}

/* The fleet tells no cap and ends no VM at one; the catalogue tells it of the one region and not of
 * the other. */
static void caps_of_an_imported_catalogue_are_acted_on_as_the_clouds_own(void **state)
{
    (void)state;
    static char provider[] = "aws", type[] = "c5.large", here[] = "us-east-1",
                other[] = "eu-west-1";
    for (int known = 0; known < 2; known++) {
        Ebb__CatalogueImported m = EBB__CATALOGUE_IMPORTED__INIT;
        Ebb__CatalogueEntry entry = EBB__CATALOGUE_ENTRY__INIT, *entries[] = {&entry};
        uint8_t sha256[32] = {1};
        entry.provider = provider;
        entry.region = known ? here : other;
        entry.type = type;
        entry.cap_s = 3 * 3600;
        m.sha256 = (ProtobufCBinaryData){.len = 32, .data = sha256};
        m.entries = entries;
        m.n_entries = 1;
        struct fixture *f = fixture_new(
            "name: b\njobs: [{name: g, engine: gromacs, command: x, resources: {time: 10h}}]\n",
            CLOUD "zones: [us-east-1a]\ntypes:\n  - {name: c5.large, vcpus: 2, memory: 4 GiB, "
                  "on_demand: 0.3, spot: 0.03}\n");
        f->o.jobs.write_s = 3;
        f->o.catalogue = &m;
        struct ebb_simulation s = fixture_run(f);
        struct ebb_outcome x;
        ebb_outcome_of(&s, &x);
        assert_true(x.is_done && x.lost_s < 1);
        assert_int_equal(s.state->vm_count, known ? 4 : 1);
        for (size_t i = 0; known && i < s.state->vm_count; i++) {
            const struct ebb_vm *vm = s.state->vms[i];
            assert_true(vm->offer->cap_s == 10800);
            assert_true(vm->ended_wall_ns - vm->launched_wall_ns <= INT64_C(10801000000000));
        }
        ebb_simulation_clean_up(&s);
        fixture_destroy(f);
    }
}

/* Spot comes and goes; jobs that must be on demand go there once, and do not go to and fro. */
static void tight_deadlines_are_kept_with_few_vms(void **state)
{
    (void)state;
    const char *const deadlines[] = {"2h 40m", "3h", "5h"};
    for (int i = 0; i < 3; i++) {
        char bag[400];
        snprintf(bag, sizeof bag,
                 "name: b\ndeadline: %s\njobs: [{name: g, engine: gromacs, command: x, resources: "
                 "{time: 2h}, sweep: {i: {from: 1, to: 20}}}]\n",
                 deadlines[i]);
        struct fixture *f = fixture_new(
            bag, CLOUD "zones: [us-east-1a]\ntypes:\n  - {name: c5.large, vcpus: 2, memory: 4 GiB, "
                       "on_demand: 0.085, spot: 0.03}\n"
                       "lifetimes: [{model: weibull, scale: 2h, shape: 0.6}]\n"
                       "faults: [{kind: no-capacity, at: 10m, for: 30m}, "
                       "{kind: no-capacity, at: 80m, for: 15m}]\n");
        for (f->o.seed = 1; f->o.seed <= 8; f->o.seed++) {
            struct ebb_simulation s = fixture_run(f);
            struct ebb_outcome x;
            ebb_outcome_of(&s, &x);
            assert_true(x.is_done);
            assert_true(x.finish_s <= f->spec->deadline_s);
            assert_true(s.state->vm_count < 120); /* 10 at once, some 30 of them taken */
            ebb_simulation_clean_up(&s);
        }
        fixture_destroy(f);
    }
}

/* Spot goes after twenty minutes and does not come back. As told, the jobs have then 40 minutes
 * left and can wait for it; they take twice as long as told. */
static void jobs_slower_than_told_are_seen_in_time_for_the_deadline(void **state)
{
    (void)state;
    static const double factors[] = {2, 1, 0.5};
    for (size_t i = 0; i < EBB_ARRAY_LEN(factors); i++) {
        char bag[300];
        snprintf(
            bag, sizeof bag,
            "name: b\ndeadline: 160m\njobs: [{name: g, engine: gromacs, command: x, resources: "
            "{time: %gm}, sweep: {i: {from: 1, to: 4}}}]\n",
            120 / factors[i]);
        struct fixture *f = fixture_new(
            bag,
            CLOUD "zones: [us-east-1a]\ntypes:\n  - {name: c5.large, vcpus: 2, memory: 4 GiB, "
                  "on_demand: 0.085, spot: 0.03}\n"
                  "revocations: [{at: 20m, zone: us-east-1a, notice: 30s, unavailable: 10h}]\n");
        f->o.jobs.factor = factors[i];
        f->o.jobs.write_s = 2;
        struct ebb_simulation s = fixture_run(f);
        struct ebb_outcome x;
        ebb_outcome_of(&s, &x);
        assert_true(x.is_done);
        print_message("%g times the time told: done after %.1f min\n", factors[i], x.finish_s / 60);
        assert_true(x.finish_s <= f->spec->deadline_s);
        ebb_simulation_clean_up(&s);
        fixture_destroy(f);
    }
}

/* ---- a limit full of small VMs ---- */

#define SMALL_AND_LARGE                                                                            \
    CLOUD "zones: [us-east-1a]\ntypes:\n"                                                          \
          "  - {name: c5.large, vcpus: 2, memory: 4 GiB, on_demand: 0.085, spot: 0.03}\n"          \
          "  - {name: c5.2xlarge, vcpus: 8, memory: 16 GiB, on_demand: 0.36, spot: 0.15}\n"
#define NO_LARGE_FOR_20_MIN "faults: [{kind: no-capacity, at: 0s, for: 20m, type: c5.2xlarge}]\n"

struct filled {
    double finish_s, usd;
    size_t vms, exchanged; /* launched, and emptied for larger ones */
};

/* 24 jobs on four VMs. */
static struct filled run_filled(const char *deadline, double factor, const char *fleet_end)
{
    char bag[300], fleet[900];
    snprintf(
        bag, sizeof bag,
        "name: b\ndeadline: %s\njobs: [{name: g, engine: gromacs, command: x, resources: {cpus: "
        "1, memory: 1 GiB, time: 1h}, sweep: {i: {from: 1, to: 24}}}]\n",
        deadline);
    snprintf(fleet, sizeof fleet, "%s%s", SMALL_AND_LARGE, fleet_end);
    struct fixture *f = fixture_new(bag, fleet);
    f->o.policy.max_vms = 4;
    f->o.jobs.factor = factor;
    f->o.jobs.write_s = 2;
    struct ebb_simulation s = fixture_run(f);
    struct ebb_outcome x;
    ebb_outcome_of(&s, &x);
    assert_true(x.is_done);
    struct filled r = {.finish_s = x.finish_s, .usd = x.usd, .vms = s.state->vm_count};
    for (size_t i = 0; i < s.state->vm_count; i++) {
        const struct ebb_vm *vm = s.state->vms[i];
        r.exchanged += vm->end_reason != NULL && strncmp(vm->end_reason, "the deadline:", 13) == 0;
    }
    ebb_simulation_clean_up(&s);
    fixture_destroy(f);
    print_message("deadline %s: done after %.1f min, %zu VMs, %zu exchanged, $%.3f\n", deadline,
                  r.finish_s / 60, r.vms, r.exchanged, r.usd);
    return r;
}

/* At the start there are no large ones; when they come, the limit is full. */
static void a_limit_full_of_small_vms_makes_room_for_larger_ones_before_a_deadline(void **state)
{
    (void)state;
    struct filled r = run_filled("150m", 1, NO_LARGE_FOR_20_MIN);
    assert_true(r.finish_s <= 150 * 60);
    assert_in_range(r.exchanged, 1, 8); /* of them some that were tried in vain */
    assert_in_range(r.vms, 5, 20);
}

/* Small ones would do for jobs as long as told; they take twice as long, which their pace shows. */
static void jobs_slower_than_told_get_larger_vms_in_time(void **state)
{
    (void)state;
    struct filled r = run_filled("5h", 2, "");
    assert_true(r.finish_s <= 300 * 60);
    assert_in_range(r.exchanged, 1, 4);
}

static void with_enough_slack_no_vm_is_exchanged(void **state)
{
    (void)state;
    struct filled r = run_filled("5h", 1, "");
    assert_true(r.finish_s <= 300 * 60);
    assert_int_equal(r.exchanged, 0);
    assert_int_equal(r.vms, 4);
    r = run_filled("9h", 2, "");
    assert_int_equal(r.exchanged, 0);
    assert_int_equal(r.vms, 4);
}

/* On any VM a job takes longer. */
static void for_a_deadline_that_is_lost_no_vm_is_exchanged(void **state)
{
    (void)state;
    struct filled r = run_filled("55m", 1, NO_LARGE_FOR_20_MIN);
    assert_int_equal(r.exchanged, 0);
}

/* All spot VMs are lost without a word after 110 minutes, 30 after their last checkpoints. */
static void a_full_limit_does_not_keep_on_spot_what_is_safe_on_demand_alone(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(
        "name: b\ndeadline: 150m\njobs: [{name: g, engine: gromacs, command: x, resources: {cpus: "
        "1, "
        "memory: 1 GiB, time: 2h}, checkpoint_interval: 40m, sweep: {i: {from: 1, to: 8}}}]\n",
        CLOUD
        "zones: [us-east-1a]\ntypes:\n  - {name: c5.large, vcpus: 2, memory: 4 GiB, on_demand: "
        "0.085, spot: 0.03}\n"
        "revocations: [{at: 110m, zone: us-east-1a, notice: none, unavailable: 10h}]\n");
    f->o.policy.max_vms = 4;
    f->o.jobs.write_s = 2;
    struct ebb_simulation s = fixture_run(f);
    struct ebb_outcome x;
    ebb_outcome_of(&s, &x);
    assert_true(x.is_done);
    print_message("done after %.1f min, %zu VMs\n", x.finish_s / 60, s.state->vm_count);
    assert_true(x.finish_s <= f->spec->deadline_s);
    assert_int_equal(s.state->vm_count, 8); /* four of each market */
    ebb_simulation_clean_up(&s);
    fixture_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_run_and_another_another),
        cmocka_unit_test(every_job_is_done_whatever_is_revoked),
        cmocka_unit_test(the_ledger_equals_the_clouds_own_bill),
        cmocka_unit_test(without_hazards_time_and_cost_are_what_they_must_be),
        cmocka_unit_test(no_work_is_lost_to_a_cap_and_no_vm_outlives_it),
        cmocka_unit_test(caps_of_an_imported_catalogue_are_acted_on_as_the_clouds_own),
        cmocka_unit_test(tight_deadlines_are_kept_with_few_vms),
        cmocka_unit_test(jobs_slower_than_told_are_seen_in_time_for_the_deadline),
        cmocka_unit_test(a_limit_full_of_small_vms_makes_room_for_larger_ones_before_a_deadline),
        cmocka_unit_test(jobs_slower_than_told_get_larger_vms_in_time),
        cmocka_unit_test(with_enough_slack_no_vm_is_exchanged),
        cmocka_unit_test(a_full_limit_does_not_keep_on_spot_what_is_safe_on_demand_alone),
        cmocka_unit_test(for_a_deadline_that_is_lost_no_vm_is_exchanged),
        cmocka_unit_test(scaling_all_prices_scales_the_cost),
        cmocka_unit_test(the_order_of_types_changes_nothing),
        cmocka_unit_test(a_notice_loses_no_work_and_a_silent_end_does),
        cmocka_unit_test(a_vm_given_notice_past_its_free_hour_ends_itself),
        cmocka_unit_test(a_cut_off_vm_loses_its_lease_and_the_job_goes_on_elsewhere),
        cmocka_unit_test(a_gang_job_survives_the_loss_of_a_member),
        cmocka_unit_test(a_short_cut_is_no_loss),
        cmocka_unit_test(a_pool_without_room_is_left_alone_and_tried_again),
        cmocka_unit_test(what_asks_for_a_plan_again_and_again_is_heard_once),
        cmocka_unit_test(a_bag_that_nothing_can_run_ends_by_the_limit),
        cmocka_unit_test(a_spent_budget_stops_the_bag),
        cmocka_unit_test(the_observer_gets_each_event_of_the_log_in_order),
        cmocka_unit_test(jobs_spread_around_their_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
