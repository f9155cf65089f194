/* What a second is worth before a deadline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "scheduler/core/time_price.h"
#include "scheduler/core/value.h"
#include "tests/unit/core/world.h"

#define HOUR 3600.0

static struct ebb_time_problem problem(double left_h, double need_h, double hazard, double recovery)
{
    struct ebb_time_problem p = {.left_s = left_h * HOUR,
                                 .need_s = need_h * HOUR,
                                 .restart_s = 300,
                                 .spot_share = 0.3,
                                 .time_scale = 1,
                                 .is_up = true};
    for (int b = 0; b < EBB_AGE_BINS; b++) {
        p.revocation_per_hour[b] = hazard;
        p.recovery_per_hour[b] = recovery;
    }
    return p;
}

static double share(const struct ebb_time_problem *p)
{
    struct ebb_time_tables *t = ebb_time_tables_new();
    double x = ebb_time_price_share(t, p);
    ebb_time_tables_destroy(t);
    return x;
}

static void less_slack_makes_time_dearer_up_to_the_price_on_demand(void **state)
{
    (void)state;
    struct ebb_time_tables *t = ebb_time_tables_new();
    double before = 0, far = 0;
    for (double left_h = 20; left_h > 10.8; left_h -= 0.5) {
        struct ebb_time_problem p = problem(left_h, 10, 0.25, 0.8);
        double x = ebb_time_price_share(t, &p);
        assert_true(x >= before * 0.9 - 0.01); /* tables of other horizons differ a little */
        before = x;
        far = left_h == 20 ? x : far;
    }
    assert_true(far < 0.1 && before > 0.3);
    struct ebb_time_problem p = problem(10, 10, 0.5, 0.5);
    assert_true(ebb_time_price_share(t, &p) == 1);
    p.need_s = 0;
    assert_true(ebb_time_price_share(t, &p) == 0);
    ebb_time_tables_destroy(t);
}

/* The same slope from a table of its own, fine and not rounded. */
static double exact_share(const struct ebb_time_problem *p)
{
    struct ebb_value_problem v = {.deadline_s = p->left_s,
                                  .restart_s = p->restart_s,
                                  .spot_usd_per_hour = p->spot_share,
                                  .on_demand_usd_per_hour = 1,
                                  .bins = EBB_AGE_BINS,
                                  .step_s = 150};
    for (int b = 0; b < EBB_AGE_BINS; b++) {
        v.from_s[b] = ebb_age_bin_from_s[b];
        v.revocation_per_hour[b] = p->revocation_per_hour[b];
        v.recovery_per_hour[b] = p->recovery_per_hour[b];
    }
    struct ebb_value *value = ebb_value_new(&v);
    double usd[2];
    for (int i = 0; i < 2; i++) {
        struct ebb_value_state s = {.time_left_s = p->left_s - i * 900,
                                    .work_left_s = p->need_s,
                                    .spot_up = p->is_up,
                                    .age_s = p->outage_s};
        usd[i] = fmin(ebb_value_launching_usd(value, &s, EBB_VALUE_IDLE),
                      ebb_value_launching_usd(value, &s, EBB_VALUE_ON_DEMAND));
        if (p->is_up)
            usd[i] = fmin(usd[i], ebb_value_launching_usd(value, &s, EBB_VALUE_SPOT));
    }
    ebb_value_destroy(value);
    return (usd[1] - usd[0]) * 4;
}

static void it_is_the_slope_of_the_value_function(void **state)
{
    (void)state;
    double off = 0;
    int count = 0;
    for (double left_h = 11; left_h < 17; left_h += 1.1) {
        for (double hazard = 0.1; hazard < 2; hazard *= 3, count++) {
            struct ebb_time_problem p = problem(left_h, 10, hazard, 0.7);
            p.is_up = count % 2;
            double x = share(&p), y = exact_share(&p);
            assert_true(fabs(x - y) < 0.1 + 0.4 * y);
            off += fabs(x - y);
        }
    }
    assert_true(off / count < 0.08);
}

static void without_danger_or_without_gain_time_is_worth_little(void **state)
{
    (void)state;
    struct ebb_time_problem calm = problem(13, 10, 0, 1);
    assert_true(share(&calm) < 0.01);
    struct ebb_time_problem dear = problem(13, 10, 1, 1);
    dear.spot_share = 1;
    assert_true(share(&dear) < 0.03);
    struct ebb_time_problem out = problem(16, 10, 0.5, 0.1), soon = problem(16, 10, 0.5, 10);
    assert_true(share(&out) > share(&soon)); /* pools that come back at once make time cheap */
}

static void what_was_asked_before_changes_no_answer(void **state)
{
    (void)state;
    struct ebb_time_tables *t = ebb_time_tables_new();
    for (int i = 0; i < 200; i++) {
        struct ebb_time_problem p = problem(11 + i % 40, 10, 0.1 + 0.05 * (i % 17), 0.5);
        assert_true(ebb_time_price_share(t, &p) == share(&p));
    }
    uint64_t solved = ebb_time_tables_solved(t);
    struct ebb_time_problem p = problem(11 + 199 % 40, 10, 0.1 + 0.05 * (199 % 17), 0.5);
    p.left_s *= 0.99; /* time passes: the same table serves */
    (void)ebb_time_price_share(t, &p);
    assert_int_equal(ebb_time_tables_solved(t), solved);
    ebb_time_tables_destroy(t);
}

static void on_demand_is_left_only_with_slack_for_a_loss(void **state)
{
    (void)state;
    struct ebb_time_tables *t = ebb_time_tables_new();
    struct ebb_time_problem p = problem(10.1, 10, 0.2, 1);
    assert_false(ebb_time_leave_on_demand(t, &p));
    p = problem(14, 10, 0.2, 1);
    assert_true(ebb_time_leave_on_demand(t, &p));
    p.is_up = false;
    assert_false(ebb_time_leave_on_demand(t, &p));
    p = problem(14, 10, 0.2, 1);
    p.spot_share = 0.99;
    assert_false(ebb_time_leave_on_demand(t, &p));
    ebb_time_tables_destroy(t);
}

/* ---- in a plan ---- */

/* 1: on demand is launched while spot is out; 2: as the deadline leaves no choice. */
static int takes_on_demand(double deadline_h, int64_t factor, int outages)
{
    char yaml[200];
    snprintf(yaml, sizeof yaml,
             "name: b\ndeadline: %gh\njobs: [{name: g, engine: gromacs, command: x, resources: "
             "{time: 8h}}]\n",
             deadline_h);
    struct world w = world_new();
    struct ebb_policy policy;
    struct ebb_plan plan = {0};
    ebb_policy_default(&policy);
    world_submit(&w, "b-1", yaml);
    Ebb__Offer spot = world_offer("m", "a", true, 1, 40000 * factor),
               sure = world_offer("m", "a", false, 1, 120000 * factor);
    for (int i = 0; i < outages; i++) { /* of two hours each */
        char name[32];
        world_intend(&w, ebb_state_next_vm_id(w.s, name), &spot);
        world_launch_failed(&w, name, EBB_ERR_NO_CAPACITY);
        if (i + 1 < outages) {
            w.now += 7200 * S;
            world_vm(&w, ebb_state_next_vm_id(w.s, name), &spot);
            world_terminating(&w, name);
            world_terminated(&w, name, w.now, w.now, false);
        }
    }
    w.s->bags[0]->submitted_wall_ns = w.now;
    const Ebb__Offer *offers[] = {&spot, &sure};
    struct ebb_plan_input in = {.state = w.s,
                                .offers = offers,
                                .offer_count = 2,
                                .policy = &policy,
                                .now_wall_ns = w.now,
                                .random = 0.5};
    ebb_plan(&in, &plan);
    int taken = plan.launch_count > 0 && plan.launches[0].offer == 1;
    taken += taken && strstr(plan.launches[0].reason, "leaves no choice") != NULL;
    ebb_plan_clean_up(&plan);
    world_destroy(&w);
    return taken;
}

static void while_spot_is_out_the_slack_decides_between_waiting_and_on_demand(void **state)
{
    (void)state;
    for (int64_t factor = 1; factor < 100; factor *= 9) {
        int before = 0, early = 0;
        for (double deadline_h = 40; deadline_h > 8; deadline_h -= deadline_h > 10 ? 5 : 0.05) {
            int now = takes_on_demand(deadline_h, factor, 6);
            assert_true(now >= before);
            before = now;
            early += now == 1;
        }
        assert_int_equal(takes_on_demand(40, factor, 6), 0);
        assert_int_equal(before, 2);
        assert_true(early > 0); /* before it must */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(less_slack_makes_time_dearer_up_to_the_price_on_demand),
        cmocka_unit_test(it_is_the_slope_of_the_value_function),
        cmocka_unit_test(without_danger_or_without_gain_time_is_worth_little),
        cmocka_unit_test(what_was_asked_before_changes_no_answer),
        cmocka_unit_test(on_demand_is_left_only_with_slack_for_a_loss),
        cmocka_unit_test(while_spot_is_out_the_slack_decides_between_waiting_and_on_demand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
