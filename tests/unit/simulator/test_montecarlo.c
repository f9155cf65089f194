/* Plans: what holds of them whatever is drawn. */
#include "scheduler/core/hazards.h"
#include "simulator/montecarlo.h"
#include "tests/unit/simulator/fixture.h"

#define BAG                                                                                        \
    "name: b\njobs:\n"                                                                             \
    "  - {name: md, engine: gromacs, sweep: {seed: {from: 1, to: 24}}, resources: {cpus: 1, "      \
    "memory: 1 GiB, time: 40m}, command: gmx mdrun, outputs: [x.xtc]}\n"
#define FLEET                                                                                      \
    "region: us-east-1\nboot: {from: 20s, to: 40s}\npending: 2s\nzones: [us-east-1a, "             \
    "us-east-1b]\n"

static const char fleet_text[] =
    FLEET "types:\n  - {name: a1, vcpus: 1, memory: 2 GiB, on_demand: 0.085, spot: 0.03}\n"
          "  - {name: b1, vcpus: 2, memory: 4 GiB, on_demand: 0.17, spot: 0.06}\n";

struct planned {
    struct fixture *f;
    struct ebb_fleet_offers offers;
    struct ebb_forecast_options o;
};

static struct planned planned_new(const char *bag, const char *fleet)
{
    struct planned p = {.f = fixture_new(bag, fleet)};
    ebb_fleet_offers_of(p.f->fleet, NULL, &p.offers);
    ebb_simulation_defaults(false, &p.o.run);
    p.o.spec = p.f->spec;
    p.o.offers = p.offers.pointers;
    p.o.offer_count = p.offers.count;
    p.o.like = p.f->fleet;
    p.o.time_scale = 1;
    p.o.runs = 30;
    p.o.time_error = 0.1;
    p.o.run.jobs.spread = 0.1;
    return p;
}

static void planned_destroy(struct planned *p)
{
    ebb_fleet_offers_clean_up(&p->offers);
    fixture_destroy(p->f);
}

static struct ebb_forecast forecast(const struct planned *p)
{
    struct ebb_forecast f;
    struct ebb_error err = {0};
    if (ebb_forecast_make(&p->o, &f, &err) < 0)
        fail_msg("%s", err.text);
    return f;
}

static void the_same_seed_gives_the_same_plan(void **state)
{
    (void)state;
    struct planned p = planned_new(BAG, fleet_text);
    p.o.points = 3;
    struct ebb_forecast a = forecast(&p), b = forecast(&p);
    assert_memory_equal(a.outcomes, b.outcomes, a.outcome.runs * sizeof *a.outcomes);
    assert_memory_equal(a.mix, b.mix, sizeof a.mix);
    p.o.run.seed = 2;
    struct ebb_forecast c = forecast(&p);
    assert_true(c.outcome.usd.mean != a.outcome.usd.mean);
    ebb_forecast_clean_up(&a);
    ebb_forecast_clean_up(&b);
    ebb_forecast_clean_up(&c);
    planned_destroy(&p);
}

static void the_order_of_offers_changes_nothing(void **state)
{
    (void)state;
    struct planned p = planned_new(BAG, fleet_text);
    struct ebb_forecast a = forecast(&p);
    for (size_t i = 0, j = p.offers.count - 1; i < j; i++, j--) {
        const Ebb__Offer *x = p.offers.pointers[i];
        p.offers.pointers[i] = p.offers.pointers[j];
        p.offers.pointers[j] = x;
    }
    struct ebb_forecast b = forecast(&p);
    assert_memory_equal(a.outcomes, b.outcomes, a.outcome.runs * sizeof *a.outcomes);
    ebb_forecast_clean_up(&a);
    ebb_forecast_clean_up(&b);
    planned_destroy(&p);
}

static void scaling_all_prices_scales_the_cost(void **state)
{
    (void)state;
    struct planned p = planned_new(BAG, fleet_text);
    struct ebb_forecast a = forecast(&p);
    for (size_t i = 0; i < p.offers.count; i++) {
        p.offers.offers[i].usd_micros_per_hour *= 100;
        p.offers.offers[i].on_demand_usd_micros_per_hour *= 100;
    }
    struct ebb_forecast b = forecast(&p);
    for (size_t i = 0; i < a.outcome.runs; i++) {
        double requests = 0.02; /* they cost what they cost */
        assert_true(fabs(b.outcomes[i].usd - 100 * a.outcomes[i].usd) < 100 * requests);
        assert_true(a.outcomes[i].finish_s == b.outcomes[i].finish_s);
    }
    ebb_forecast_clean_up(&a);
    ebb_forecast_clean_up(&b);
    planned_destroy(&p);
}

static Ebb__HazardState *lives(double hours, bool revoked, int64_t now_ns)
{
    struct ebb_hazards *h = ebb_hazards_new(0);
    for (int z = 0; z < 2; z++) {
        for (int t = 0; t < 2; t++) {
            const struct ebb_place p = {"aws", "us-east-1", z == 0 ? "us-east-1a" : "us-east-1b",
                                        t == 0 ? "a1" : "b1"};
            for (int i = 0; i < 200; i++)
                ebb_hazards_observe(h, EBB_RATE_REVOCATION, &p, 0, hours * 3600, revoked, now_ns);
        }
    }
    Ebb__HazardState *m = ebb_hazards_save(h);
    ebb_hazards_destroy(h);
    return m;
}

/* Nothing is revoked, run times are known: each run costs what the jobs take, and no two differ. */
static void without_hazards_the_plan_is_the_trivial_one(void **state)
{
    (void)state;
    struct planned p = planned_new(
        BAG, "region: us-east-1\nboot: 30s\npending: 2s\nzones: [{name: us-east-1a, capacity: 1}]\n"
             "types: [{name: a1, vcpus: 1, memory: 2 GiB, on_demand: 0.085, spot: 0.03}]\n");
    Ebb__HazardState *h = lives(1e7, false, p.o.run.start_wall_ns);
    p.o.hazards = h;
    p.o.time_error = p.o.run.jobs.spread = 0;
    struct ebb_forecast f = forecast(&p);
    double job_s = p.o.run.jobs.start_s + 2400 + p.o.run.jobs.end_s;
    double finish_s = 2 + 30 + p.o.run.times.join_s + 24 * job_s;
    assert_true(fabs(f.outcome.finish_s.mean - finish_s) < 3);
    assert_true(f.outcome.finish_s.sd < 1);
    assert_true(f.outcome.revocations.mean == 0);
    assert_true(fabs(f.outcome.usd.mean / (finish_s * 0.03 / 3600) - 1) < 0.02);
    assert_true(f.outcome.done == 1);
    ebb_forecast_clean_up(&f);
    ebb__hazard_state__free_unpacked(h, NULL);
    planned_destroy(&p);
}

static void more_hazard_means_more_revocations_and_a_later_end(void **state)
{
    (void)state;
    struct planned p = planned_new(BAG, fleet_text);
    Ebb__HazardState *calm = lives(40, false, p.o.run.start_wall_ns);
    Ebb__HazardState *storm = lives(0.5, true, p.o.run.start_wall_ns);
    p.o.hazards = calm;
    struct ebb_forecast a = forecast(&p);
    p.o.hazards = storm;
    struct ebb_forecast b = forecast(&p);
    assert_true(b.outcome.revocations.mean > 5 * a.outcome.revocations.mean + 1);
    assert_true(b.outcome.finish_s.mean > a.outcome.finish_s.mean);
    ebb_forecast_clean_up(&a);
    ebb_forecast_clean_up(&b);
    ebb__hazard_state__free_unpacked(calm, NULL);
    ebb__hazard_state__free_unpacked(storm, NULL);
    planned_destroy(&p);
}

static void more_slack_never_costs_more(void **state)
{
    (void)state;
    struct planned p = planned_new(BAG, fleet_text);
    p.o.points = EBB_FORECAST_POINTS;
    struct ebb_forecast f = forecast(&p);
    assert_true(f.point_count >= 2);
    for (size_t i = 1; i < f.point_count; i++) {
        const struct ebb_forecast_point *looser = &f.points[i - 1], *tighter = &f.points[i];
        double noise = 2 * (looser->outcome.usd.sd + tighter->outcome.usd.sd) /
                       sqrt((double)looser->outcome.runs);
        assert_true(i == 1 || tighter->deadline_s < looser->deadline_s);
        assert_true(looser->usd <= tighter->usd + noise);
        if (tighter->in_time >= looser->in_time)
            assert_true(looser->usd <= tighter->usd);
    }
    ebb_forecast_clean_up(&f);
    planned_destroy(&p);
}

static void boots_take_as_long_as_those_that_were_seen(void **state)
{
    (void)state;
    struct planned p = planned_new(BAG, fleet_text);
    p.o.boot_s = 10;
    struct ebb_forecast quick = forecast(&p);
    p.o.boot_s = 600;
    struct ebb_forecast slow = forecast(&p);
    assert_true(slow.outcome.finish_s.mean > quick.outcome.finish_s.mean + 400);
    assert_true(slow.outcome.usd.mean > quick.outcome.usd.mean);
    ebb_forecast_clean_up(&quick);
    ebb_forecast_clean_up(&slow);
    planned_destroy(&p);
}

/* Thirty types of one CPU are cheaper than the one of eight; three VMs may live. */
static void a_near_deadline_finds_the_large_type_behind_many_small_ones(void **state)
{
    (void)state;
    char fleet[8192] = FLEET "types:\n  - {name: large, vcpus: 8, memory: 16 GiB, on_demand: 0.9, "
                             "spot: 0.3}\n";
    for (int i = 0; i < 30; i++) {
        size_t len = strlen(fleet);
        snprintf(fleet + len, sizeof fleet - len,
                 "  - {name: small%d, vcpus: 1, memory: 2 GiB, on_demand: 0.085, spot: 0.03%02d}\n",
                 i, i);
    }
    struct planned p = planned_new("deadline: 100m\n" BAG, fleet);
    p.o.run.policy.max_vms = 3;
    struct ebb_forecast f = forecast(&p);
    assert_true(f.outcome.finish_s.mean < 100 * 60);
    ebb_forecast_clean_up(&f);
    planned_destroy(&p);
}

static void a_smaller_bag_stands_for_a_large_one(void **state)
{
    (void)state;
    struct planned p = planned_new(
        "name: b\njobs:\n  - {name: md, engine: gromacs, sweep: {seed: {from: 1, to: 6000}}, "
        "resources: {cpus: 1, memory: 1 GiB, time: 30m}, command: gmx mdrun, outputs: [x.xtc]}\n",
        fleet_text);
    Ebb__HazardState *calm = lives(40, false, p.o.run.start_wall_ns);
    p.o.hazards = calm;
    p.o.runs = 4;
    p.o.time_error = p.o.run.jobs.spread = 0;
    struct ebb_forecast f = forecast(&p);
    struct fixture *whole = fixture_new(
        "name: b\njobs:\n  - {name: md, engine: gromacs, sweep: {seed: {from: 1, to: 6000}}, "
        "resources: {cpus: 1, memory: 1 GiB, time: 30m}, command: gmx mdrun, outputs: [x.xtc]}\n",
        fleet_text);
    ebb_simulation_defaults(false, &whole->o);
    whole->o.fleet = whole->fleet;
    whole->o.spec = whole->spec;
    whole->o.times.plan_s = 60;
    whole->o.times.plan_seldom = true;
    whole->o.jobs.report_s = 600;
    struct ebb_outcome x = fixture_outcome(whole);
    assert_true(f.jobs_each > 1);
    assert_true(fabs(f.outcome.usd.mean / x.usd - 1) < 0.1);
    assert_true(fabs(f.outcome.finish_s.mean / x.finish_s - 1) < 0.1);
    fixture_destroy(whole);
    ebb_forecast_clean_up(&f);
    ebb__hazard_state__free_unpacked(calm, NULL);
    planned_destroy(&p);
}

static void a_bag_that_no_offer_can_run_is_told(void **state)
{
    (void)state;
    struct planned p = planned_new("name: b\njobs:\n  - {name: big, engine: gromacs, resources: "
                                   "{cpus: 64}, command: x, outputs: [y]}\n",
                                   fleet_text);
    struct ebb_forecast f = {0};
    struct ebb_error err = {0};
    assert_int_equal(EBB_ERR_NO_CAPACITY, ebb_forecast_make(&p.o, &f, &err));
    assert_non_null(strstr(err.text, "'big'"));
    planned_destroy(&p);
}

static void unsound_hazards_are_refused(void **state)
{
    (void)state;
    struct planned p = planned_new(BAG, fleet_text);
    Ebb__HazardState m = EBB__HAZARD_STATE__INIT;
    m.version = 99;
    p.o.hazards = &m;
    struct ebb_forecast f = {0};
    struct ebb_error err = {0};
    assert_true(ebb_forecast_make(&p.o, &f, &err) < 0);
    planned_destroy(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_plan),
        cmocka_unit_test(the_order_of_offers_changes_nothing),
        cmocka_unit_test(scaling_all_prices_scales_the_cost),
        cmocka_unit_test(without_hazards_the_plan_is_the_trivial_one),
        cmocka_unit_test(more_hazard_means_more_revocations_and_a_later_end),
        cmocka_unit_test(more_slack_never_costs_more),
        cmocka_unit_test(boots_take_as_long_as_those_that_were_seen),
        cmocka_unit_test(a_near_deadline_finds_the_large_type_behind_many_small_ones),
        cmocka_unit_test(a_smaller_bag_stands_for_a_large_one),
        cmocka_unit_test(a_bag_that_no_offer_can_run_is_told),
        cmocka_unit_test(unsound_hazards_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
