/* What is learned of a zone from its availability trace. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "simulator/bootstrap.h"
#include "simulator/history.h"
#include "tests/unit/simulator/made_traces.h"

static void stretches_know_whether_their_ends_were_seen(void **state)
{
    (void)state;
    struct ebb_traces set = {0};
    made_of_text(&set, "a", 3600, "11001110");
    struct ebb_history h = {&set, 1};
    struct ebb_stretch s;
    size_t next = 0;
    assert_true(ebb_history_next(&h, &set.items[0], &next, &s));
    assert_true(s.up && !s.whole && s.ended && s.ticks == 2);
    assert_true(ebb_history_next(&h, &set.items[0], &next, &s));
    assert_true(!s.up && s.whole && s.ended && s.ticks == 2);
    assert_true(ebb_history_next(&h, &set.items[0], &next, &s));
    assert_true(s.up && s.whole && s.ended && s.ticks == 3);
    assert_true(ebb_history_next(&h, &set.items[0], &next, &s));
    assert_true(!s.up && s.whole && !s.ended && s.ticks == 1);
    assert_false(ebb_history_next(&h, &set.items[0], &next, &s));
    ebb_traces_clean_up(&set);
}

static void exposure_is_shared_out_over_the_ages_lived_through(void **state)
{
    (void)state;
    struct ebb_lives l = {0};
    ebb_lives_add(&l, 0, 3, true, 1); /* 0.25, 0.25, 0.5, 1, 1 of the bin from 2 to 4 h */
    double want[] = {0.25, 0.25, 0.5, 1, 1, 0};
    for (int b = 0; b < 6; b++)
        assert_true(fabs(l.hours[b] - want[b]) < 1e-12 && l.events[b] == (b == 4));
    ebb_lives_add(&l, 4, 6, false, 1);
    assert_true(l.hours[5] == 2 && l.events[5] == 0);
}

static void a_zone_with_little_history_has_the_pooled_rates(void **state)
{
    (void)state;
    struct ebb_lives none = {0}, much = {0};
    double pooled[EBB_LIFE_BINS], rate[EBB_LIFE_BINS];
    for (int b = 0; b < EBB_LIFE_BINS; b++) {
        pooled[b] = 0.5;
        much.events[b] = 1000;
        much.hours[b] = 500;
    }
    ebb_lives_rates(&none, pooled, 3, rate);
    assert_true(fabs(rate[0] - 0.5) < 1e-12);
    ebb_lives_rates(&much, pooled, 3, rate);
    assert_true(fabs(rate[0] - 2) < 0.02);
}

static void the_mean_life_of_a_constant_rate_is_exponential(void **state)
{
    (void)state;
    double rate[EBB_LIFE_BINS];
    for (int b = 0; b < EBB_LIFE_BINS; b++)
        rate[b] = 0.5;
    assert_true(fabs(ebb_rates_mean_life_h(rate, 0.7, 1000) - 2) < 1e-9);
    assert_true(fabs(ebb_rates_mean_life_h(rate, 0, 2) - 2 * (1 - exp(-1))) < 1e-9);
}

static void the_bootstrap_holds_days_together(void **state)
{
    (void)state;
    double value[200];
    size_t day[200], each[200];
    for (size_t i = 0; i < 200; i++) {
        day[i] = i / 20;
        each[i] = i;
        value[i] = (double)(day[i] % 5);
    }
    struct ebb_interval by_day = ebb_block_bootstrap(value, day, 200, 10, 1);
    struct ebb_interval by_start = ebb_block_bootstrap(value, each, 200, 200, 1);
    assert_true(by_day.mean == 2 && by_day.low < 2 && by_day.high > 2);
    assert_true(by_day.high - by_day.low > 2.5 * (by_start.high - by_start.low));
    double three[] = {3, 1, 2};
    assert_true(ebb_quantile(three, 3, 0.5) == 2 && ebb_quantile(three, 3, 0.75) == 2.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stretches_know_whether_their_ends_were_seen),
        cmocka_unit_test(exposure_is_shared_out_over_the_ages_lived_through),
        cmocka_unit_test(a_zone_with_little_history_has_the_pooled_rates),
        cmocka_unit_test(the_mean_life_of_a_constant_rate_is_exponential),
        cmocka_unit_test(the_bootstrap_holds_days_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
