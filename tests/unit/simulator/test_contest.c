/* What holds for every policy, on made-up traces: the rules of the field stand below them all. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "simulator/contest.h"
#include "tests/unit/simulator/made_traces.h"

static const char *const all[] = {"oracle",           "on-demand",  "eager",
                                  "eager-best",       "young-daly", "scispot",
                                  "uniform-progress", "value",      "ebb"};

static struct ebb_contest over(const struct ebb_traces *set, bool any)
{
    return (struct ebb_contest){.rules = {.work_s = 20 * 3600.0,
                                          .deadline_s = 24 * 3600.0,
                                          .restart_s = 720,
                                          .spot_usd_per_hour = 0.317,
                                          .on_demand_usd_per_hour = 1,
                                          .probe_s = 60},
                                .traces = set,
                                .history = {set, 0.5},
                                .any = any,
                                .second_half = true,
                                .starts = 40,
                                .seed = 3,
                                .policies = all,
                                .policy_count = EBB_ARRAY_LEN(all)};
}

static void make_zones(struct ebb_traces *set, double gap_s, uint64_t seed)
{
    struct ebb_random r;
    size_t len = (size_t)(14 * 86400 / gap_s);
    ebb_random_seed(&r, seed);
    made_add(set, "x-1a", len, gap_s, 2, 2, &r);
    made_add(set, "x-1b", len, gap_s, 8, 2, &r);
    made_add(set, "x-2a", len, gap_s, 1, 5, &r);
}

static void run(const struct ebb_contest *c, struct ebb_contest_result *r)
{
    struct ebb_error err;
    if (ebb_contest_run(c, NULL, r, &err) < 0)
        fail_msg("%s", err.text);
}

static const struct ebb_contest_row *row_of(const struct ebb_contest_result *r, const char *name)
{
    for (size_t i = 0; i < r->row_count; i++)
        if (r->rows[i].zone == SIZE_MAX && strcmp(r->rows[i].name, name) == 0)
            return &r->rows[i];
    fail_msg("no row of %s", name);
    return NULL;
}

static void nobody_costs_less_than_the_oracle_and_nobody_is_late(void **state)
{
    (void)state;
    static const double restarts_s[] = {0, 180, 720, 1440};
    for (int k = 0; k < 16; k++) {
        struct ebb_traces set = {0};
        make_zones(&set, k % 2 == 0 ? 600 : 437, (uint64_t)k);
        struct ebb_contest c = over(&set, k / 2 % 2 == 0);
        c.rules.restart_s = restarts_s[k / 4];
        c.rules.deadline_s = c.rules.work_s * (k % 3 == 0 ? 1.08 : k % 3 == 1 ? 1.25 : 1.5);
        c.rules.probe_s = k % 3 * 300.0;
        c.rules.checkpoint_s = k % 5 == 4 ? 60 : 0;
        c.rules.checkpoint_every_s = 1800;
        struct ebb_contest_result r = {0};
        run(&c, &r);
        assert_int_equal(r.below_oracle, 0);
        for (size_t i = 0; i < r.row_count; i++)
            if (r.rows[i].deadline_misses != 0)
                fail_msg("round %d: %s missed %zu", k, r.rows[i].name, r.rows[i].deadline_misses);
        ebb_contest_result_clean_up(&r);
        ebb_traces_clean_up(&set);
    }
}

static void prices_scale_every_cost(void **state)
{
    (void)state;
    for (int any = 0; any < 2; any++) {
        struct ebb_traces set = {0};
        make_zones(&set, 600, 5);
        struct ebb_contest c = over(&set, any);
        struct ebb_contest_result a = {0}, b = {0};
        run(&c, &a);
        c.rules.spot_usd_per_hour *= 4;
        c.rules.on_demand_usd_per_hour *= 4;
        run(&c, &b);
        for (size_t i = 0; i < a.row_count; i++)
            assert_true(fabs(b.rows[i].cost_mean / a.rows[i].cost_mean - 4) < 1e-3);
        ebb_contest_result_clean_up(&a);
        ebb_contest_result_clean_up(&b);
        ebb_traces_clean_up(&set);
    }
}

static void spot_that_never_ends_gives_the_trivial_plan(void **state)
{
    (void)state;
    static const char *const named[] = {"eager", "scispot", "uniform-progress", "value", "ebb"};
    struct ebb_traces set = {0};
    struct ebb_trace t = {.name = ebb_strdup("x-1a"),
                          .region = ebb_strdup("x-1"),
                          .gap_s = 600,
                          .len = 1500,
                          .up = ebb_alloc_array(1500, 1)};
    memset(t.up, 1, t.len);
    struct ebb_error err;
    assert_int_equal(ebb_traces_add(&set, &t, &err), 0);
    struct ebb_contest c = over(&set, false);
    c.policies = named;
    c.policy_count = EBB_ARRAY_LEN(named);
    struct ebb_contest_result r = {0};
    run(&c, &r);
    for (size_t i = 0; i < r.row_count; i++)
        if (!(fabs(r.rows[i].cost_mean - 0.317 * 20.2) < 1e-6))
            fail_msg("%s: %g", r.rows[i].name, r.rows[i].cost_mean);
    ebb_contest_result_clean_up(&r);
    ebb_traces_clean_up(&set);
}

static void more_slack_never_costs_more_beyond_the_interval(void **state)
{
    (void)state;
    struct ebb_traces set = {0};
    make_zones(&set, 600, 8);
    for (int any = 0; any < 2; any++) {
        static const char *const mine[] = {"oracle", "ebb"};
        double before = INFINITY, before_oracle = INFINITY;
        for (double hours = 21; hours <= 30; hours += 1.5) {
            struct ebb_contest c = over(&set, any);
            c.rules.deadline_s = hours * 3600;
            c.policies = mine;
            c.policy_count = 2;
            c.starts = 100;
            struct ebb_contest_result r = {0};
            run(&c, &r);
            const struct ebb_contest_row *e = row_of(&r, "ebb");
            double half = (e->over_oracle.high - e->over_oracle.low) / 2 * r.oracle_mean;
            assert_true(r.oracle_mean <= before_oracle + half);
            assert_true(e->cost_mean <= before + half);
            before = e->cost_mean;
            before_oracle = r.oracle_mean;
            ebb_contest_result_clean_up(&r);
        }
    }
    ebb_traces_clean_up(&set);
}

/* In mode `any` a zone is not seen without a launch, the only one neither. */
static void one_zone_that_is_not_seen_costs_little_more_than_one_that_is(void **state)
{
    (void)state;
    static const char *const mine[] = {"ebb"};
    struct ebb_traces set = {0};
    struct ebb_random random;
    ebb_random_seed(&random, 4);
    made_add(&set, "x-1a", 3000, 600, 8, 2, &random);
    struct ebb_contest c = over(&set, false);
    c.policies = mine;
    c.policy_count = 1;
    struct ebb_contest_result seen = {0}, unseen = {0};
    run(&c, &seen);
    c.any = true;
    run(&c, &unseen);
    double ratio = unseen.rows[0].cost_mean / seen.rows[0].cost_mean;
    if (!(ratio > 0.97 && ratio < 1.15))
        fail_msg("%g times", ratio);
    ebb_contest_result_clean_up(&seen);
    ebb_contest_result_clean_up(&unseen);
    ebb_traces_clean_up(&set);
}

static void launches_that_fail_are_tried_less_often_when_they_cost(void **state)
{
    (void)state;
    static const char *const mine[] = {"ebb"};
    struct ebb_traces set = {0};
    make_zones(&set, 600, 10);
    struct ebb_contest c = over(&set, true);
    c.policies = mine;
    c.policy_count = 1;
    double before = INFINITY;
    for (double usd = 0; usd < 0.1; usd = usd * 4 + 0.005) {
        struct ebb_contest_result r = {0};
        c.rules.probe_usd = usd;
        run(&c, &r);
        assert_true(r.rows[0].failed_launches_mean < before);
        assert_int_equal(r.rows[0].deadline_misses, 0);
        before = r.rows[0].failed_launches_mean;
        ebb_contest_result_clean_up(&r);
    }
    ebb_traces_clean_up(&set);
}

static void the_order_of_the_files_changes_nothing(void **state)
{
    (void)state;
    static const char *const symmetrical[] = {"oracle", "eager-best", "uniform-progress", "ebb"};
    for (int any = 0; any < 2; any++) {
        struct ebb_traces set = {0};
        make_zones(&set, 600, 9);
        struct ebb_contest c = over(&set, any);
        c.policies = symmetrical;
        c.policy_count = EBB_ARRAY_LEN(symmetrical);
        struct ebb_contest_result a = {0}, b = {0};
        run(&c, &a);
        struct ebb_trace first = set.items[0];
        set.items[0] = set.items[2];
        set.items[2] = first;
        run(&c, &b);
        for (size_t p = 0; p < c.policy_count; p++)
            assert_true(fabs(row_of(&a, symmetrical[p])->cost_mean -
                             row_of(&b, symmetrical[p])->cost_mean) < 1e-6);
        ebb_contest_result_clean_up(&a);
        ebb_contest_result_clean_up(&b);
        ebb_traces_clean_up(&set);
    }
}

static void a_trace_too_short_for_the_deadline_is_refused(void **state)
{
    (void)state;
    struct ebb_traces set = {0};
    struct ebb_error err;
    struct ebb_contest_result r = {0};
    made_of_text(&set, "x-1a", 600, "1101");
    struct ebb_contest c = over(&set, false);
    assert_int_equal(ebb_contest_run(&c, NULL, &r, &err), EBB_ERR_INPUT);
    assert_non_null(strstr(err.text, "x-1a: 4 ticks of 600 s are too short"));
    ebb_traces_clean_up(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_costs_less_than_the_oracle_and_nobody_is_late),
        cmocka_unit_test(prices_scale_every_cost),
        cmocka_unit_test(spot_that_never_ends_gives_the_trivial_plan),
        cmocka_unit_test(more_slack_never_costs_more_beyond_the_interval),
        cmocka_unit_test(one_zone_that_is_not_seen_costs_little_more_than_one_that_is),
        cmocka_unit_test(launches_that_fail_are_tried_less_often_when_they_cost),
        cmocka_unit_test(the_order_of_the_files_changes_nothing),
        cmocka_unit_test(a_trace_too_short_for_the_deadline_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
