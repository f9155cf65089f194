/* Lifetimes of emulated VMs, notices, traces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/random.h"
#include "cloud/emulator/lifetime.h"

static double mean_of(const struct ebb_fleet_lifetime *l)
{
    struct ebb_random random;
    double sum = 0;

    ebb_random_seed(&random, 4);
    for (int i = 0; i < 100000; i++)
        sum += ebb_lifetime_quantile(l, ebb_random_uniform(&random));
    return sum / 100000;
}

static void means_are_those_of_the_models(void **unused)
{
    (void)unused;
    struct ebb_fleet_lifetime l = {.model = EBB_FLEET_MODEL_EXPONENTIAL, .mean_s = 200};

    assert_true(fabs(mean_of(&l) / 200 - 1) < 0.02);
    l = (struct ebb_fleet_lifetime){.model = EBB_FLEET_MODEL_WEIBULL, .scale_s = 100, .shape = 2};
    assert_true(fabs(mean_of(&l) / (100 * tgamma(1.5)) - 1) < 0.02);
    l = (struct ebb_fleet_lifetime){.model = EBB_FLEET_MODEL_UNIFORM, .from_s = 10, .to_s = 30};
    assert_true(fabs(mean_of(&l) / 20 - 1) < 0.02);
}

static void a_bathtub_ends_at_its_deadline_and_fails_most_at_both_ends(void **unused)
{
    (void)unused;
    const struct ebb_fleet_lifetime l = {.model = EBB_FLEET_MODEL_BATHTUB,
                                         .a = 0.5,
                                         .tau1_s = 3600,
                                         .tau2_s = 1800,
                                         .deadline_s = 86400};
    double early = ebb_lifetime_quantile(&l, 0.3), middle = ebb_lifetime_quantile(&l, 0.499);

    assert_true(early < 3 * 3600); /* infant deaths */
    assert_true(middle > early);
    assert_true(ebb_lifetime_quantile(&l, 0.6) > 20 * 3600);    /* then near the end */
    assert_true(ebb_lifetime_quantile(&l, 0.9999999) <= 86400); /* nobody outlives it */
}

static void rates_decide_over_the_notice(void **unused)
{
    (void)unused;
    const struct ebb_fleet_lifetime l = {.lost_rate = 0.1, .late_rate = 0.2, .none_rate = 0.3};

    assert_int_equal(ebb_lifetime_notice(&l, 0.05).kind, EBB_FLEET_NOTICE_LOST);
    assert_int_equal(ebb_lifetime_notice(&l, 0.15).kind, EBB_FLEET_NOTICE_LATE);
    assert_int_equal(ebb_lifetime_notice(&l, 0.45).kind, EBB_FLEET_NOTICE_NONE);
    assert_int_equal(ebb_lifetime_notice(&l, 0.95).kind, EBB_FLEET_NOTICE_GIVEN);
}

static void the_first_entry_that_fits_counts(void **unused)
{
    (void)unused;
    struct ebb_fleet_lifetime list[] = {{.zone = 1, .type = -1}, {.zone = -1, .type = 2}};
    const struct ebb_fleet f = {.lifetimes = list, .lifetime_count = 2};

    assert_ptr_equal(ebb_lifetime_find(&f, 1, 2), &list[0]);
    assert_ptr_equal(ebb_lifetime_find(&f, 0, 2), &list[1]);
    assert_null(ebb_lifetime_find(&f, 0, 0));
}

static void a_trace_says_when_it_changes_and_starts_over(void **unused)
{
    (void)unused;
    uint8_t data[] = {1, 1, 0, 1};
    const struct ebb_fleet_trace t = {.gap_s = 10, .data = data, .count = 4};

    assert_true(ebb_trace_available(&t, 0) && ebb_trace_available(&t, 19.9));
    assert_false(ebb_trace_available(&t, 20));
    assert_true(ebb_trace_available(&t, 30) && ebb_trace_available(&t, 40));
    assert_false(ebb_trace_available(&t, 61));
    assert_true(fabs(ebb_trace_next_change(&t, 5) - 15) < 1e-9);
    assert_true(fabs(ebb_trace_next_change(&t, 20) - 10) < 1e-9);
    assert_true(fabs(ebb_trace_next_change(&t, 35) - 25) < 1e-9);
    uint8_t same[] = {1, 1};
    const struct ebb_fleet_trace never = {.gap_s = 10, .data = same, .count = 2};
    assert_true(ebb_trace_next_change(&never, 5) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_are_those_of_the_models),
        cmocka_unit_test(a_bathtub_ends_at_its_deadline_and_fails_most_at_both_ends),
        cmocka_unit_test(rates_decide_over_the_notice),
        cmocka_unit_test(the_first_entry_that_fits_counts),
        cmocka_unit_test(a_trace_says_when_it_changes_and_starts_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
