/* The engine by worked examples: ticks of 10 minutes, restart 12 minutes, spot 0.3, on-demand 1. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "simulator/onejob.h"
#include "tests/unit/simulator/made_traces.h"

static const struct ebb_onejob_rules plain = {.work_s = 3600,
                                              .deadline_s = 7200,
                                              .restart_s = 720,
                                              .spot_usd_per_hour = 0.3,
                                              .on_demand_usd_per_hour = 1,
                                              .gap_s = 600};

/* Spot where it is up, in the zones' order; else idle, or on-demand when told so. */
static struct ebb_choice take_spot(void *self, const struct ebb_view *v)
{
    if (v->instance == EBB_INSTANCE_SPOT)
        return (struct ebb_choice){EBB_INSTANCE_SPOT, v->zone};
    for (size_t z = 0; z < v->zone_count; z++)
        if (v->zones[z].up != 0 || (v->tick_begins && v->zones[z].seen_s < v->now_s))
            return (struct ebb_choice){EBB_INSTANCE_SPOT, z};
    return (struct ebb_choice){self != NULL ? EBB_INSTANCE_ON_DEMAND : EBB_INSTANCE_NONE, 0};
}

static struct ebb_onejob_outcome play(const struct ebb_onejob_rules *r, const char *one,
                                      const char *two, void *self)
{
    struct ebb_traces set = {0};
    size_t zones[2] = {0, 1};
    struct ebb_policy p = {.self = self, .decide = take_spot};
    struct ebb_onejob_outcome o;
    made_of_text(&set, "a", 600, one);
    if (two != NULL)
        made_of_text(&set, "b", 600, two);
    ebb_onejob_run(r, &set, zones, set.count, 0, &p, &o);
    ebb_traces_clean_up(&set);
    return o;
}

#define ASSERT_NEAR(a, b)                                                                          \
    if (!(fabs((a) - (b)) < 1e-6))                                                                 \
    fail_msg("%s is %.9f, not %.9f", #a, (double)(a), (double)(b))

static void spot_that_lasts_is_billed_for_work_and_restart_to_the_second(void **state)
{
    (void)state;
    struct ebb_onejob_outcome o = play(&plain, "111111111111", NULL, NULL);
    ASSERT_NEAR(o.usd, 0.3 * 4320 / 3600);
    ASSERT_NEAR(o.finish_s, 4320);
    assert_true(!o.missed && o.launches == 1 && o.revocations == 0);
}

static void a_revocation_keeps_progress_and_pays_a_restart_again(void **state)
{
    (void)state;
    /* 20 min: 12 restart, 8 work; lost; back at 30 min: 12 restart, 52 work: done at 94 min. */
    struct ebb_onejob_outcome o = play(&plain, "110111111111", NULL, NULL);
    ASSERT_NEAR(o.finish_s, 94 * 60);
    ASSERT_NEAR(o.usd, 0.3 * 84 / 60);
    assert_int_equal(o.revocations, 1);
    ASSERT_NEAR(o.restart_s, 24 * 60);
}

static void a_restart_cut_short_is_billed_and_gives_nothing(void **state)
{
    (void)state;
    struct ebb_onejob_outcome o = play(&plain, "101111111111", NULL, NULL);
    ASSERT_NEAR(o.finish_s, (20 + 12 + 60) * 60);
    ASSERT_NEAR(o.usd, 0.3 * (10 + 72) / 60);
}

static void on_demand_bridges_an_outage_at_its_price(void **state)
{
    (void)state;
    /* on-demand from 0 for 30 min (18 of work), then spot: 12 restart, 42 work. */
    int yes = 1;
    struct ebb_onejob_outcome o = play(&plain, "000111111111", NULL, &yes);
    ASSERT_NEAR(o.finish_s, (30 + 54) * 60);
    ASSERT_NEAR(o.usd, 30 / 60.0 + 0.3 * 54 / 60);
}

static void a_job_that_is_not_done_in_time_is_finished_on_demand_and_missed(void **state)
{
    (void)state;
    struct ebb_onejob_outcome o = play(&plain, "000000000000", NULL, NULL);
    assert_true(o.missed);
    ASSERT_NEAR(o.finish_s, 7200 + 4320);
    ASSERT_NEAR(o.usd, 4320 / 3600.0);
}

static void a_failed_launch_costs_the_time_until_it_is_known(void **state)
{
    (void)state;
    struct ebb_onejob_rules r = plain;
    r.probe_s = 120;
    r.probe_usd = 0.5;
    /* Zone a fails, known after 2 min; b then runs. */
    struct ebb_onejob_outcome o = play(&r, "000000000000", "111111111111", NULL);
    ASSERT_NEAR(o.finish_s, 120 + 4320);
    ASSERT_NEAR(o.usd, 0.5 + 0.3 * 4320 / 3600);
    assert_int_equal(o.failed_launches, 1);
}

static double every_10_min(void *self, double age_s)
{
    (void)self;
    (void)age_s;
    return 600;
}

static void work_since_the_last_checkpoint_is_lost(void **state)
{
    (void)state;
    struct ebb_onejob_rules r = plain;
    r.checkpoint_s = 60;
    r.restart_s = 0;
    r.deadline_s = 3 * 3600;
    struct ebb_traces set = {0};
    size_t zone = 0;
    struct ebb_policy p = {.decide = take_spot, .checkpoint_every = every_10_min};
    struct ebb_onejob_outcome o;
    /* 20 min: 10 work, 1 checkpoint, 9 work; the 9 are lost. */
    made_of_text(&set, "a", 600, "110111111111111111");
    ebb_onejob_run(&r, &set, &zone, 1, 0, &p, &o);
    ASSERT_NEAR(o.lost_s, 9 * 60);
    /* 50 min are left: 4 more checkpoints, and one that the end makes needless. */
    ASSERT_NEAR(o.finish_s, (30 + 50 + 4) * 60);
    ebb_traces_clean_up(&set);
}

static void rules_out_of_range_are_refused_and_the_nearest_deadline_named(void **state)
{
    (void)state;
    struct ebb_error err;
    struct ebb_onejob_rules r = plain;
    assert_int_equal(ebb_onejob_check(&r, &err), 0);
    r.deadline_s = 4000;
    assert_int_equal(ebb_onejob_check(&r, &err), EBB_ERR_INPUT);
    assert_non_null(strstr(err.text, "at least 1h12m"));
    r = plain;
    r.spot_usd_per_hour = NAN;
    assert_int_equal(ebb_onejob_check(&r, &err), EBB_ERR_INPUT);
    r = plain;
    r.work_s = -1;
    assert_int_equal(ebb_onejob_check(&r, &err), EBB_ERR_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spot_that_lasts_is_billed_for_work_and_restart_to_the_second),
        cmocka_unit_test(a_revocation_keeps_progress_and_pays_a_restart_again),
        cmocka_unit_test(a_restart_cut_short_is_billed_and_gives_nothing),
        cmocka_unit_test(on_demand_bridges_an_outage_at_its_price),
        cmocka_unit_test(a_job_that_is_not_done_in_time_is_finished_on_demand_and_missed),
        cmocka_unit_test(a_failed_launch_costs_the_time_until_it_is_known),
        cmocka_unit_test(work_since_the_last_checkpoint_is_lost),
        cmocka_unit_test(rules_out_of_range_are_refused_and_the_nearest_deadline_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
