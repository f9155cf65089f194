/* The baselines by worked examples from their papers' rules. Ticks of 10 minutes; work 10 h in 20
 * h: uniform progress is half an hour of work an hour. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "simulator/policies.h"
#include "simulator/scispot.h"
#include "tests/unit/simulator/made_traces.h"

static const struct ebb_onejob_rules rules = {.work_s = 36000,
                                              .deadline_s = 72000,
                                              .restart_s = 720,
                                              .spot_usd_per_hour = 0.3,
                                              .on_demand_usd_per_hour = 1,
                                              .gap_s = 600};

struct world {
    struct ebb_traces set;
    struct ebb_history history;
    const struct ebb_trace *zones[2];
    struct ebb_policy_setup setup;
    struct ebb_sight sights[2];
};

static void make(struct world *w, const char *one, const char *two)
{
    *w = (struct world){0};
    made_of_text(&w->set, "a", 600, one);
    if (two != NULL)
        made_of_text(&w->set, "b", 600, two);
    w->history = (struct ebb_history){&w->set, 1};
    for (size_t z = 0; z < w->set.count; z++)
        w->zones[z] = &w->set.items[z];
    w->setup = (struct ebb_policy_setup){&rules, &w->history, w->zones, w->set.count};
}

static struct ebb_view at(const struct world *w, double now_h, double done_h,
                          enum ebb_instance instance)
{
    return (struct ebb_view){.rules = &rules,
                             .now_s = now_h * 3600,
                             .time_left_s = rules.deadline_s - now_h * 3600,
                             .work_left_s = rules.work_s - done_h * 3600,
                             .safe_work_left_s = rules.work_s - done_h * 3600,
                             .instance = instance,
                             .zone_count = w->set.count,
                             .zones = w->sights,
                             .tick_begins = true};
}

static struct ebb_choice ask(struct world *w, struct ebb_policy *p, double now_h, double done_h,
                             enum ebb_instance instance, int up)
{
    struct ebb_view v = at(w, now_h, done_h, instance);
    w->sights[0] = (struct ebb_sight){.up = up, .seen_s = v.now_s};
    return p->decide(p->self, &v);
}

static void uniform_progress_follows_its_three_rules_and_the_net(void **state)
{
    (void)state;
    struct world w;
    struct ebb_policy p;
    make(&w, "1100110011", NULL);
    assert_int_equal(ebb_policy_new("uniform-progress", &w.setup, &p, NULL), 0);
    struct ebb_view v = at(&w, 0, 0, EBB_INSTANCE_NONE);
    p.begin(p.self, &v);
    /* (1) behind (2 h done of 2.5): on-demand; ahead: idle. */
    assert_int_equal(ask(&w, &p, 5, 2, EBB_INSTANCE_NONE, 0).instance, EBB_INSTANCE_ON_DEMAND);
    assert_int_equal(ask(&w, &p, 5, 3, EBB_INSTANCE_NONE, 0).instance, EBB_INSTANCE_NONE);
    /* (2) spot when it is there, behind or not, and held. */
    assert_int_equal(ask(&w, &p, 5, 2, EBB_INSTANCE_NONE, 1).instance, EBB_INSTANCE_SPOT);
    assert_int_equal(ask(&w, &p, 5, 2, EBB_INSTANCE_SPOT, 1).instance, EBB_INSTANCE_SPOT);
    /* (3) from on-demand to spot at c >= e(t + 2d) = (5 + 0.4) / 2 = 2.7, not before. */
    assert_int_equal(ask(&w, &p, 5, 2.6, EBB_INSTANCE_ON_DEMAND, 1).instance,
                     EBB_INSTANCE_ON_DEMAND);
    assert_int_equal(ask(&w, &p, 5, 2.8, EBB_INSTANCE_ON_DEMAND, 1).instance, EBB_INSTANCE_SPOT);
    assert_int_equal(ask(&w, &p, 5, 2.8, EBB_INSTANCE_ON_DEMAND, 0).instance,
                     EBB_INSTANCE_ON_DEMAND);
    /* Net: 9.9 h left for 9.6 h and 0.4 h: on-demand to the end, even when spot comes back. */
    assert_int_equal(ask(&w, &p, 10.1, 0.4, EBB_INSTANCE_NONE, 1).instance, EBB_INSTANCE_ON_DEMAND);
    assert_int_equal(ask(&w, &p, 15, 9, EBB_INSTANCE_ON_DEMAND, 1).instance,
                     EBB_INSTANCE_ON_DEMAND);
    ebb_policy_release(&p);
    ebb_traces_clean_up(&w.set);
}

static void uniform_progress_and_eager_best_prefer_the_zone_that_was_up_more(void **state)
{
    (void)state;
    static const char *const names[] = {"uniform-progress", "eager-best"};
    for (int i = 0; i < 2; i++) {
        struct world w;
        struct ebb_policy p;
        make(&w, "1000010000", "1110111011");
        assert_int_equal(ebb_policy_new(names[i], &w.setup, &p, NULL), 0);
        struct ebb_view v = at(&w, 0, 0, EBB_INSTANCE_NONE);
        w.sights[0].up = w.sights[1].up = -1;
        p.begin(p.self, &v);
        struct ebb_choice c = p.decide(p.self, &v);
        assert_int_equal(c.instance, EBB_INSTANCE_SPOT);
        assert_int_equal(c.zone, 1);
        ebb_policy_release(&p);
        ebb_traces_clean_up(&w.set);
    }
}

static void eager_waits_for_spot_until_the_net(void **state)
{
    (void)state;
    struct world w;
    struct ebb_policy p;
    make(&w, "1100110011", NULL);
    assert_int_equal(ebb_policy_new("eager", &w.setup, &p, NULL), 0);
    struct ebb_view v = at(&w, 0, 0, EBB_INSTANCE_NONE);
    p.begin(p.self, &v);
    assert_int_equal(ask(&w, &p, 5, 0, EBB_INSTANCE_NONE, 0).instance, EBB_INSTANCE_NONE);
    assert_int_equal(ask(&w, &p, 9.5, 0, EBB_INSTANCE_NONE, 1).instance, EBB_INSTANCE_SPOT);
    assert_int_equal(ask(&w, &p, 9.7, 0, EBB_INSTANCE_NONE, 1).instance, EBB_INSTANCE_ON_DEMAND);
    ebb_policy_release(&p);
    ebb_traces_clean_up(&w.set);
}

static void the_value_rule_weighs_an_hour_by_the_work_and_time_left(void **state)
{
    (void)state;
    struct world w;
    struct ebb_policy p;
    make(&w, "111111000000111111000000111111000000111111000000", NULL);
    assert_int_equal(ebb_policy_new("value", &w.setup, &p, NULL), 0);
    /* V = 1 * 2 * 10 / 20 = 1: on-demand earns nothing; at 10 / 12 V = 1.67 it does. */
    assert_int_equal(ask(&w, &p, 0, 0, EBB_INSTANCE_NONE, 0).instance, EBB_INSTANCE_NONE);
    assert_int_equal(ask(&w, &p, 8, 0, EBB_INSTANCE_NONE, 0).instance, EBB_INSTANCE_ON_DEMAND);
    assert_int_equal(ask(&w, &p, 0, 0, EBB_INSTANCE_NONE, 1).instance, EBB_INSTANCE_SPOT);
    ebb_policy_release(&p);
    ebb_traces_clean_up(&w.set);
}

static void the_bathtub_is_fitted_to_its_own_quantiles(void **state)
{
    (void)state;
    struct ebb_bathtub truth = {0.42, 1.1, 0.8, 24, 0}, fit;
    double lives[300];
    size_t n = 0;
    for (size_t i = 0; i < 300; i++) { /* by bisection of the distribution, scaled to end at 24 h */
        double want = ((double)i + 0.5) / 300 * ebb_bathtub_cdf(&truth, 24), low = 0, high = 24;
        for (int k = 0; k < 60; k++)
            *(ebb_bathtub_cdf(&truth, (low + high) / 2) < want ? &low : &high) = (low + high) / 2;
        lives[n++] = low;
    }
    ebb_bathtub_fit(lives, n, &fit);
    for (double t = 0.5; t < 24; t += 0.5)
        assert_true(fabs(ebb_bathtub_cdf(&fit, t) -
                         ebb_bathtub_cdf(&truth, t) / ebb_bathtub_cdf(&truth, 24)) < 0.01);
}

static void the_moment_is_the_integral_of_t_times_the_density(void **state)
{
    (void)state;
    struct ebb_bathtub m = {0.45, 1, 0.8, 24, 0};
    double sum = 0, step = 1e-4;
    for (double t = 2; t < 20; t += step)
        sum += (t + step / 2) * (ebb_bathtub_cdf(&m, t + step) - ebb_bathtub_cdf(&m, t));
    assert_true(fabs(ebb_bathtub_moment_h(&m, 2, 20) - sum) < 1e-4);
    /* Equation 8: 6 h begun at age 0 and at 9 h. */
    assert_true(ebb_bathtub_makespan_h(&m, 9, 6) < ebb_bathtub_makespan_h(&m, 0, 6));
    assert_true(ebb_bathtub_makespan_h(&m, 20, 6) > ebb_bathtub_makespan_h(&m, 0, 6));
}

/* Young 1974: sqrt(2 delta M). Up-runs of 1 h and, cut by the end, 2 h: M = 3 h for one end. */
static void checkpoints_of_young_daly_follow_the_mean_life_with_censoring(void **state)
{
    (void)state;
    static const char *const names[] = {"young-daly", "uniform-progress", "value"};
    struct ebb_onejob_rules r = rules;
    struct world w;
    struct ebb_policy p;
    make(&w, "0111111000111111111111", NULL);
    w.setup.rules = &r;
    r.checkpoint_s = 60;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ebb_policy_new(names[i], &w.setup, &p, NULL), 0);
        assert_null(p.checkpoint_every);
        assert_true(fabs(p.checkpoint_every_s - sqrt(2 * 60 * 3 * 3600.0)) < 1e-6);
        ebb_policy_release(&p);
    }
    ebb_traces_clean_up(&w.set);
}

/* The same with the hazard at the age in place of 1 / M: old instances write fewer. */
static void checkpoints_of_ebb_grow_rarer_with_age(void **state)
{
    (void)state;
    struct ebb_onejob_rules r = rules;
    struct ebb_traces set = {0};
    struct ebb_random random;
    ebb_random_seed(&random, 21);
    made_add(&set, "a", 8000, 600, 3, 3, &random);
    struct ebb_history history = {&set, 1};
    const struct ebb_trace *zones[1] = {&set.items[0]};
    struct ebb_policy_setup setup = {&r, &history, zones, 1};
    struct ebb_policy p;
    r.checkpoint_s = 60;
    assert_int_equal(ebb_policy_new("ebb", &setup, &p, NULL), 0);
    double young_s = p.checkpoint_every(p.self, 2400);
    double old_s = p.checkpoint_every(p.self, 6 * 3600);
    assert_true(young_s > 300 && old_s > 1.2 * young_s && old_s < 7200);
    ebb_policy_release(&p);
    ebb_traces_clean_up(&set);
}

static void an_unknown_policy_is_refused_with_the_nearest(void **state)
{
    (void)state;
    struct world w;
    struct ebb_policy p;
    struct ebb_error err;
    make(&w, "11", NULL);
    assert_int_equal(ebb_policy_new("eagre", &w.setup, &p, &err), EBB_ERR_INPUT);
    assert_non_null(strstr(err.text, "did you mean eager"));
    ebb_traces_clean_up(&w.set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uniform_progress_follows_its_three_rules_and_the_net),
        cmocka_unit_test(uniform_progress_and_eager_best_prefer_the_zone_that_was_up_more),
        cmocka_unit_test(eager_waits_for_spot_until_the_net),
        cmocka_unit_test(the_value_rule_weighs_an_hour_by_the_work_and_time_left),
        cmocka_unit_test(the_bathtub_is_fitted_to_its_own_quantiles),
        cmocka_unit_test(the_moment_is_the_integral_of_t_times_the_density),
        cmocka_unit_test(checkpoints_of_young_daly_follow_the_mean_life_with_censoring),
        cmocka_unit_test(checkpoints_of_ebb_grow_rarer_with_age),
        cmocka_unit_test(an_unknown_policy_is_refused_with_the_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
