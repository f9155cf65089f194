/* Beliefs of zones that are seen from time to time: the filter's arithmetic by hand, and that its
 * chances come true on traces it was not learned from. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "simulator/beliefs.h"
#include "tests/unit/simulator/made_traces.h"

#define GAP_S 600.0

static const struct ebb_onejob_rules rules = {.work_s = 20 * 3600.0,
                                              .deadline_s = 30 * 3600.0,
                                              .restart_s = 720,
                                              .spot_usd_per_hour = 0.3,
                                              .on_demand_usd_per_hour = 1,
                                              .probe_s = 60,
                                              .gap_s = GAP_S};

/* Two zones of constant rates, nothing learned. */
static void know(struct ebb_beliefs *b, double ends, double recovers)
{
    *b = (struct ebb_beliefs){.count = 2, .zones = ebb_alloc_array(2, sizeof *b->zones)};
    for (size_t z = 0; z < 2; z++) {
        b->zones[z].share = recovers / (ends + recovers);
        for (size_t i = 0; i < EBB_LIFE_BINS; i++) {
            b->zones[z].end_up_per_hour[i] = ends;
            b->zones[z].end_down_per_hour[i] = recovers;
        }
    }
}

static double sum_of(const struct ebb_filter_zone *k)
{
    double sum = 0;
    for (size_t b = 0; b < EBB_LIFE_BINS; b++)
        sum += k->up[b] + k->down[b];
    return sum;
}

static void with_constant_rates_it_is_the_two_state_chain(void **state)
{
    (void)state;
    struct ebb_beliefs b;
    struct ebb_filter o;
    know(&b, 0.5, 0.25);
    ebb_filter_init(&o, &b);
    assert_true(fabs(ebb_filter_up(&o, 0) - 1.0 / 3) < 1e-9);
    ebb_filter_see(&o, 0, false);
    assert_true(ebb_filter_up(&o, 0) == 0);
    assert_true(fabs(ebb_filter_up(&o, 1) - 1.0 / 3) < 1e-9); /* the other zone tells nothing */
    for (double h = 0.5; h <= 24; h *= 2) {
        ebb_filter_pass(&o, h * 3600, 10);
        assert_true(fabs(ebb_filter_up(&o, 0) - (1 - exp(-0.75 * h)) / 3) < 2e-3);
        assert_true(fabs(sum_of(&o.zones[0]) - 1) < 1e-9);
    }
    ebb_filter_clean_up(&o);
    ebb_beliefs_clean_up(&b);
}

static void what_came_up_lately_is_young_and_grows_older_while_it_is_seen(void **state)
{
    (void)state;
    struct ebb_beliefs b;
    struct ebb_filter o;
    know(&b, 0.05, 0.25);
    ebb_filter_init(&o, &b);
    double met_h = ebb_filter_age_h(&o, 0); /* at random: of a mean life of 20 h */
    assert_true(met_h > 5 && met_h < 20);
    ebb_filter_see(&o, 0, false);
    ebb_filter_pass(&o, 600, GAP_S);
    assert_true(ebb_filter_age_h(&o, 0) < 0.25);
    double before_h = 0;
    for (int tick = 1; tick < 48; tick++) {
        ebb_filter_pass(&o, tick * GAP_S, GAP_S);
        ebb_filter_see(&o, 0, true);
        assert_true(ebb_filter_age_h(&o, 0) >= before_h);
        before_h = ebb_filter_age_h(&o, 0);
    }
    assert_true(before_h > 3 && before_h < 16); /* 8 h in truth */
    ebb_filter_begin(&o);
    assert_true(fabs(ebb_filter_age_h(&o, 0) - met_h) < 1e-9);
    ebb_filter_clean_up(&o);
    ebb_beliefs_clean_up(&b);
}

static void against_all_belief_a_sight_is_believed(void **state)
{
    (void)state;
    struct ebb_beliefs b;
    struct ebb_filter o;
    know(&b, 0, 0.25);
    ebb_filter_init(&o, &b);
    ebb_filter_see(&o, 0, true);
    ebb_filter_see(&o, 0, false);
    assert_true(ebb_filter_up(&o, 0) == 0 && fabs(sum_of(&o.zones[0]) - 1) < 1e-9);
    ebb_filter_clean_up(&o);
    ebb_beliefs_clean_up(&b);
}

/* Looks at a zone after irregular waits; chance against what came, in tenths of the chance. */
static void chances_come_true_on_a_later_stretch(void **state)
{
    (void)state;
    struct ebb_traces set = {0};
    struct ebb_random r;
    ebb_random_seed(&r, 11);
    made_add(&set, "x-1a", 40000, GAP_S, 3, 4, &r);
    made_add(&set, "x-1b", 40000, GAP_S, 8, 2, &r);
    struct ebb_history history = {&set, 0.5};
    const struct ebb_trace *zones[2] = {&set.items[0], &set.items[1]};
    struct ebb_policy_setup setup = {&rules, &history, zones, 2};
    struct ebb_beliefs b;
    struct ebb_filter o;
    double said[10] = {0}, came[10] = {0}, looks[10] = {0};
    ebb_beliefs_learn(&setup, &b);
    ebb_filter_init(&o, &b);
    for (size_t t = 20000; t < 40000; t += 1 + ebb_random_below(&r, 30)) {
        ebb_filter_pass(&o, (double)(t - 20000) * GAP_S, GAP_S);
        for (size_t z = 0; z < 2; z++) {
            double chance = ebb_filter_up(&o, z);
            int tenth = chance < 1 ? (int)(chance * 10) : 9;
            said[tenth] += chance;
            came[tenth] += zones[z]->up[t];
            looks[tenth]++;
            ebb_filter_see(&o, z, zones[z]->up[t] != 0);
        }
    }
    for (int i = 0; i < 10; i++)
        if (looks[i] > 200)
            assert_true(fabs(said[i] - came[i]) / looks[i] < 0.06);
    ebb_filter_clean_up(&o);
    ebb_beliefs_clean_up(&b);
    ebb_traces_clean_up(&set);
}

static void a_search_over_two_zones_ends_sooner_than_over_one(void **state)
{
    (void)state;
    struct ebb_traces set = {0};
    struct ebb_random r;
    ebb_random_seed(&r, 12);
    made_add(&set, "x-1a", 8000, GAP_S, 3, 4, &r);
    made_add(&set, "x-1b", 8000, GAP_S, 3, 4, &r);
    struct ebb_history history = {&set, 1};
    const struct ebb_trace *zones[2] = {&set.items[0], &set.items[1]};
    struct ebb_policy_setup one = {&rules, &history, zones, 1}, two = {&rules, &history, zones, 2};
    struct ebb_beliefs a, b;
    ebb_beliefs_learn(&one, &a);
    ebb_beliefs_learn(&two, &b);
    assert_true(ebb_rates_mean_life_h(b.search_end_per_hour, 0, 48) <
                0.8 * ebb_rates_mean_life_h(a.search_end_per_hour, 0, 48));
    ebb_beliefs_clean_up(&a);
    ebb_beliefs_clean_up(&b);
    ebb_traces_clean_up(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_constant_rates_it_is_the_two_state_chain),
        cmocka_unit_test(what_came_up_lately_is_young_and_grows_older_while_it_is_seen),
        cmocka_unit_test(against_all_belief_a_sight_is_believed),
        cmocka_unit_test(chances_come_true_on_a_later_stretch),
        cmocka_unit_test(a_search_over_two_zones_ends_sooner_than_over_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
