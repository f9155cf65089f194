/* The value of a job with a deadline where spot comes and goes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scheduler/core/value.h"

#define HOUR 3600.0

static struct ebb_value_problem market(double revocations, double recoveries)
{
    struct ebb_value_problem p = {.work_s = 20 * HOUR,
                                  .deadline_s = 26 * HOUR,
                                  .restart_s = 720,
                                  .spot_usd_per_hour = 0.3,
                                  .on_demand_usd_per_hour = 1,
                                  .bins = 2,
                                  .from_s = {0, HOUR}};
    for (int b = 0; b < 2; b++) {
        p.revocation_per_hour[b] = revocations / (b + 1);
        p.recovery_per_hour[b] = recoveries / (b + 1);
    }
    return p;
}

static double best(const struct ebb_value *v, const struct ebb_value_state *s)
{
    double usd = fmin(ebb_value_launching_usd(v, s, EBB_VALUE_IDLE),
                      ebb_value_launching_usd(v, s, EBB_VALUE_ON_DEMAND));
    return s->spot_up ? fmin(usd, ebb_value_launching_usd(v, s, EBB_VALUE_SPOT)) : usd;
}

static void spot_that_never_ends_costs_its_price_for_work_and_one_restart(void **state)
{
    (void)state;
    struct ebb_value_problem p = market(0, 1);
    struct ebb_value *v = ebb_value_new(&p);
    struct ebb_value_state s = {26 * HOUR, 20 * HOUR, true, 0};
    assert_true(fabs(ebb_value_launching_usd(v, &s, EBB_VALUE_SPOT) - 0.3 * 20.2) < 1e-3);
    assert_true(ebb_value_launching_usd(v, &s, EBB_VALUE_ON_DEMAND) >
                ebb_value_launching_usd(v, &s, EBB_VALUE_SPOT));
    ebb_value_destroy(v);
}

/* A tenth of spot's time in checkpoints: 20 h of work take 22.2 h; with 1.2 h of slack it lasts
 * for some 8 h of them, until on-demand must begin. */
static void spot_that_wastes_time_takes_longer_and_is_left_in_time(void **state)
{
    (void)state;
    struct ebb_value_problem p = market(0, 1);
    p.spot_waste[0] = p.spot_waste[1] = 0.1;
    struct ebb_value *v = ebb_value_new(&p);
    struct ebb_value_state s = {26 * HOUR, 20 * HOUR, true, 0};
    assert_true(fabs(ebb_value_launching_usd(v, &s, EBB_VALUE_SPOT) - 0.3 * (0.2 + 20 / 0.9)) <
                0.02);
    s.time_left_s = 21.2 * HOUR;
    double usd = ebb_value_launching_usd(v, &s, EBB_VALUE_SPOT);
    assert_true(fabs(usd - (0.3 * 8.2 + 20 - 0.9 * 8 + 0.2)) < 0.3);
    assert_true(ebb_value_launching_usd(v, &s, EBB_VALUE_ON_DEMAND) > usd);
    ebb_value_destroy(v);
}

static void an_outage_that_never_ends_costs_on_demand(void **state)
{
    (void)state;
    struct ebb_value_problem p = market(1, 0);
    struct ebb_value *v = ebb_value_new(&p);
    struct ebb_value_state s = {26 * HOUR, 20 * HOUR, false, 0};
    assert_true(fabs(best(v, &s) - 20.2) < 1e-2);
    ebb_value_destroy(v);
}

static void more_slack_or_less_work_never_costs_more(void **state)
{
    (void)state;
    struct ebb_value_problem p = market(0.5, 0.3);
    struct ebb_value *v = ebb_value_new(&p);
    for (int up = 0; up < 2; up++) {
        double before = INFINITY;
        for (double slack_h = 0.2; slack_h <= 6; slack_h += 0.2) {
            struct ebb_value_state s = {(15 + slack_h) * HOUR, 15 * HOUR, up, 0.5 * HOUR};
            double usd = best(v, &s);
            assert_true(usd <= before + 2e-3);
            before = usd;
            struct ebb_value_state less = s;
            less.work_left_s -= HOUR;
            assert_true(best(v, &less) <= usd + 2e-3);
        }
    }
    ebb_value_destroy(v);
}

static void prices_scale_costs(void **state)
{
    (void)state;
    struct ebb_value_problem p = market(0.5, 0.3), q = p;
    q.spot_usd_per_hour *= 7;
    q.on_demand_usd_per_hour *= 7;
    struct ebb_value *v = ebb_value_new(&p), *w = ebb_value_new(&q);
    struct ebb_value_state s = {22 * HOUR, 18 * HOUR, true, 2 * HOUR};
    assert_true(fabs(best(w, &s) / best(v, &s) - 7) < 1e-3);
    ebb_value_destroy(v);
    ebb_value_destroy(w);
}

static void an_old_up_run_is_worth_more_than_a_young_one(void **state)
{
    (void)state;
    struct ebb_value_problem p = market(0.8, 0.3);
    struct ebb_value *v = ebb_value_new(&p);
    struct ebb_value_state young = {24 * HOUR, 20 * HOUR, true, 0}, old = young;
    old.age_s = 3 * HOUR;
    assert_true(ebb_value_launching_usd(v, &old, EBB_VALUE_SPOT) <
                ebb_value_launching_usd(v, &young, EBB_VALUE_SPOT));
    ebb_value_destroy(v);
}

static void time_is_dearer_where_there_is_less_of_it(void **state)
{
    (void)state;
    struct ebb_value_problem p = market(0.5, 0.3);
    struct ebb_value *v = ebb_value_new(&p);
    struct ebb_value_state tight = {20.5 * HOUR, 20 * HOUR, false, 0}, wide = tight;
    wide.time_left_s = 26 * HOUR;
    double dear = ebb_value_shadow_usd_per_hour(v, &tight);
    double cheap = ebb_value_shadow_usd_per_hour(v, &wide);
    if (!(dear > cheap && cheap > 0.3 && cheap < 1))
        fail_msg("%g with little time, %g with more", dear, cheap);
    ebb_value_destroy(v);
}

static void without_slack_only_on_demand_is_left(void **state)
{
    (void)state;
    struct ebb_value_problem p = market(0.5, 0.3);
    p.deadline_s = p.work_s + p.restart_s;
    struct ebb_value *v = ebb_value_new(&p);
    struct ebb_value_state s = {p.deadline_s, p.work_s, false, 0};
    assert_true(fabs(best(v, &s) - 20.2) < 1e-2);
    ebb_value_destroy(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spot_that_never_ends_costs_its_price_for_work_and_one_restart),
        cmocka_unit_test(spot_that_wastes_time_takes_longer_and_is_left_in_time),
        cmocka_unit_test(an_outage_that_never_ends_costs_on_demand),
        cmocka_unit_test(more_slack_or_less_work_never_costs_more),
        cmocka_unit_test(prices_scale_costs),
        cmocka_unit_test(an_old_up_run_is_worth_more_than_a_young_one),
        cmocka_unit_test(time_is_dearer_where_there_is_less_of_it),
        cmocka_unit_test(without_slack_only_on_demand_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
