/* Cost and finish of a bag by hand, and how they move with slack and prices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "scheduler/core/estimate.h"
#include "tests/unit/core/world.h"

static Ebb__PlanAnswer *estimate(const char *yaml, const Ebb__Offer *const *offers, size_t count)
{
    struct world w = world_new();
    struct ebb_policy policy;
    ebb_policy_default(&policy);
    Ebb__BagSpec *spec = NULL;
    struct ebb_error err = {0};
    if (test_parse(yaml, NULL, &spec, NULL, &err) < 0)
        fail_msg("%s", err.text);
    struct ebb_plan_input in = {.state = w.s,
                                .offers = offers,
                                .offer_count = count,
                                .policy = &policy,
                                .now_wall_ns = w.now};
    Ebb__PlanAnswer *r = ebb_estimate(&in, spec);
    ebb__bag_spec__free_unpacked(spec, NULL);
    world_destroy(&w);
    return r;
}

static void the_numbers_are_those_of_hand(void **state)
{
    (void)state;
    Ebb__Offer od = world_offer("m", "a", false, 4, 36000);
    const Ebb__Offer *offers[] = {&od};
    Ebb__PlanAnswer *r = estimate("name: b\njobs:\n"
                                  " - {name: g, command: x, resources: {time: 595s}, sweep: {i: "
                                  "{from: 1, to: 8}}}\n"
                                  " - {name: h, command: x, resources: {time: 95s}, needs: [g]}\n",
                                  offers, 1);
    assert_true(r->feasible);
    /* g: two VMs of four jobs, 30 s boot and 600 s: 12,600; h: one VM, 30 + 100 s: 1,300 */
    assert_int_equal(r->estimate->cost_usd_micros, 12600 + 1300);
    assert_int_equal(r->estimate->on_demand_cost_usd_micros, 12600 + 1300);
    assert_true(r->estimate->finish_s == 630 + 130);
    assert_int_equal(r->estimate->vms, 2);
    assert_int_equal(r->n_candidates, 1);
    assert_true(r->candidates[0]->chosen);
    assert_int_equal(r->candidates[0]->vms, 3);
    ebb__plan_answer__free_unpacked(r, NULL);
}

static void more_slack_never_costs_more(void **state)
{
    (void)state;
    struct ebb_random r;
    ebb_random_seed(&r, 5);
    for (int round = 0; round < 40; round++) {
        Ebb__Offer o[6];
        const Ebb__Offer *offers[6];
        const char *const zones[] = {"a", "b", "c"};
        for (int i = 0; i < 6; i++) {
            double cpus = (double)(1 << ebb_random_below(&r, 4));
            o[i] = world_offer(i < 3 ? "m" : "n", zones[i % 3], ebb_random_below(&r, 2) == 0, cpus,
                               (int64_t)(cpus * (10000 + (double)ebb_random_below(&r, 90000))));
            offers[i] = &o[i];
        }
        int64_t last = INT64_MAX;
        bool was_feasible = false;
        for (int minutes = 2; minutes < 3000; minutes = minutes * 5 / 4 + 1) {
            EBB_AUTO_FREE char *yaml = ebb_sprintf(
                "name: b\ndeadline: %dm\njobs:\n"
                " - {name: g, engine: gromacs, command: x, resources: {time: 20m}, sweep: {i: "
                "{from: 1, to: 40}}}\n"
                " - {name: h, command: x, needs: [g], resources: {time: 5m}}\n",
                minutes);
            Ebb__PlanAnswer *a = estimate(yaml, offers, 6);
            if (was_feasible)
                assert_true(a->feasible);
            if (a->feasible) {
                assert_true(a->estimate->cost_usd_micros <= last);
                assert_true(a->estimate->finish_s <= minutes * 60.0);
                last = a->estimate->cost_usd_micros;
            }
            was_feasible = a->feasible;
            ebb__plan_answer__free_unpacked(a, NULL);
        }
        assert_true(was_feasible);
    }
}

static void the_order_of_offers_changes_nothing(void **state)
{
    (void)state;
    Ebb__Offer x = world_offer("m", "a", true, 4, 36000), y = world_offer("m", "b", true, 4, 36000),
               z = world_offer("n", "a", false, 8, 90000);
    const Ebb__Offer *one[] = {&x, &y, &z}, *other[] = {&z, &y, &x};
    const char yaml[] = "name: b\njobs: [{name: g, command: x, sweep: {i: {from: 1, to: 9}}}]\n";
    Ebb__PlanAnswer *a = estimate(yaml, one, 3), *b = estimate(yaml, other, 3);
    assert_int_equal(a->estimate->cost_usd_micros, b->estimate->cost_usd_micros);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(a->candidates[i]->offer->zone, b->candidates[i]->offer->zone);
        assert_int_equal(a->candidates[i]->chosen, b->candidates[i]->chosen);
    }
    ebb__plan_answer__free_unpacked(a, NULL);
    ebb__plan_answer__free_unpacked(b, NULL);
}

static void twice_the_prices_cost_twice_as_much(void **state)
{
    (void)state;
    Ebb__Offer x = world_offer("m", "a", true, 4, 36000), y = world_offer("m", "a", true, 4, 72000);
    const Ebb__Offer *one[] = {&x}, *two[] = {&y};
    const char yaml[] = "name: b\njobs: [{name: g, engine: lammps, command: x, sweep: {i: {from: "
                        "1, to: 9}}}]\n";
    Ebb__PlanAnswer *a = estimate(yaml, one, 1), *b = estimate(yaml, two, 1);
    int64_t d = b->estimate->cost_usd_micros - 2 * a->estimate->cost_usd_micros;
    assert_true(d >= -1 && d <= 1);
    ebb__plan_answer__free_unpacked(a, NULL);
    ebb__plan_answer__free_unpacked(b, NULL);
}

static void what_cannot_hold_is_told_with_the_nearest_that_can(void **state)
{
    (void)state;
    Ebb__Offer od = world_offer("m", "a", false, 4, 36000);
    const Ebb__Offer *offers[] = {&od};
    const struct {
        const char *limits, *reason;
    } cases[] = {
        {"deadline: 5m", "the deadline of 5m00s cannot hold: the soonest is about 10m30s, for "
                         "$0.0063"},
        {"budget: 0.001", "the budget of $0.0010 is not enough: the least is about $0.0063, done "
                          "in 10m30s"},
    };
    for (size_t i = 0; i < EBB_ARRAY_LEN(cases); i++) {
        EBB_AUTO_FREE char *yaml =
            ebb_sprintf("name: b\n%s\njobs: [{name: g, command: x, resources: {time: 595s}}]\n",
                        cases[i].limits);
        Ebb__PlanAnswer *r = estimate(yaml, offers, 1);
        assert_false(r->feasible);
        assert_string_equal(r->reason, cases[i].reason);
        ebb__plan_answer__free_unpacked(r, NULL);
    }
}

static void a_shape_that_fits_nowhere_is_told(void **state)
{
    (void)state;
    Ebb__Offer od = world_offer("m", "a", false, 4, 36000);
    const Ebb__Offer *offers[] = {&od};
    Ebb__PlanAnswer *r =
        estimate("name: b\njobs: [{name: g, command: x, resources: {cpus: 5}}]\n", offers, 1);
    assert_false(r->feasible);
    assert_string_equal(r->reason, "no VM type of the cloud can run 'g': it wants 5 CPUs, 1.0 GiB "
                                   "of memory and 0 GPUs");
    assert_string_equal(r->candidates[0]->note, "too small for g");
    ebb__plan_answer__free_unpacked(r, NULL);
    r = estimate("name: b\njobs: [{name: g, command: x}]\n", NULL, 0);
    assert_false(r->feasible);
    ebb__plan_answer__free_unpacked(r, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_numbers_are_those_of_hand),
        cmocka_unit_test(more_slack_never_costs_more),
        cmocka_unit_test(the_order_of_offers_changes_nothing),
        cmocka_unit_test(twice_the_prices_cost_twice_as_much),
        cmocka_unit_test(what_cannot_hold_is_told_with_the_nearest_that_can),
        cmocka_unit_test(a_shape_that_fits_nowhere_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
