/* Kaplan-Meier against a worked example: the 6-MP arm of Freireich et al. (Blood 1963), remission
 * in weeks, as every text book works it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scheduler/core/fit_kaplan_meier.h"
#include "tests/unit/core/lifetimes.h"

static void worked_example(struct ebb_kaplan_meier *k)
{
    static const double events[] = {6, 6, 6, 7, 10, 13, 16, 22, 23};
    static const double censored[] = {6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35};
    EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes l = {0};
    for (size_t i = 0; i < EBB_ARRAY_LEN(censored); i++)
        add_life(&l, censored[i], i % 2 ? EBB_LIFETIME_CAP : EBB_LIFETIME_STOPPED, NULL, NULL, 0);
    for (size_t i = 0; i < EBB_ARRAY_LEN(events); i++)
        add_life(&l, events[i], EBB_LIFETIME_REVOKED, NULL, NULL, 0);
    EBB_AUTO(ebb_fit_sample_clean_up) struct ebb_fit_sample s;
    ebb_fit_sample_init(&s, &l, NULL);
    ebb_kaplan_meier_init(k, &s);
}

static void survival_and_greenwoods_error_are_those_of_the_worked_example(void **state)
{
    (void)state;
    static const double want[][4] = {/* week, at risk, survival, standard error */
                                     {6, 21, 0.8571, 0.0764},  {7, 17, 0.8067, 0.0869},
                                     {10, 15, 0.7529, 0.0963}, {13, 12, 0.6902, 0.1068},
                                     {16, 11, 0.6275, 0.1141}, {22, 7, 0.5378, 0.1282},
                                     {23, 6, 0.4482, 0.1346}};
    EBB_AUTO(ebb_kaplan_meier_clean_up) struct ebb_kaplan_meier k;
    worked_example(&k);
    assert_int_equal(k.count, EBB_ARRAY_LEN(want));
    for (size_t i = 0; i < k.count; i++) {
        assert_true(k.steps[i].age_h == want[i][0]);
        assert_true(k.steps[i].at_risk == want[i][1]);
        assert_true(fabs(k.steps[i].survival - want[i][2]) < 6e-5);
        assert_true(fabs(k.steps[i].standard_error - want[i][3]) < 6e-5);
    }
    assert_true(k.largest_h == 35);
}

static void bounds_enclose_the_estimate_and_stay_in_0_to_1(void **state)
{
    (void)state;
    EBB_AUTO(ebb_kaplan_meier_clean_up) struct ebb_kaplan_meier k;
    worked_example(&k);
    for (size_t i = 0; i < k.count; i++) {
        assert_true(k.steps[i].low > 0 && k.steps[i].low < k.steps[i].survival);
        assert_true(k.steps[i].high < 1 && k.steps[i].high > k.steps[i].survival);
    }
    /* log(-log) bounds at 23 weeks: 0.188 to 0.680 (R: survfit, conf.type = "log-log"). */
    assert_true(fabs(k.steps[6].low - 0.188) < 1e-3);
    assert_true(fabs(k.steps[6].high - 0.680) < 1e-3);
}

static void survival_holds_between_the_steps(void **state)
{
    (void)state;
    EBB_AUTO(ebb_kaplan_meier_clean_up) struct ebb_kaplan_meier k;
    worked_example(&k);
    assert_true(ebb_kaplan_meier_survival(&k, 0) == 1);
    assert_true(ebb_kaplan_meier_survival(&k, 5.99) == 1);
    assert_true(ebb_kaplan_meier_survival(&k, 6) == k.steps[0].survival);
    assert_true(ebb_kaplan_meier_survival(&k, 22.5) == k.steps[5].survival);
    assert_true(ebb_kaplan_meier_survival(&k, 99) == k.steps[6].survival);
}

static double no_hazard(const void *ctx, double age_h)
{
    (void)ctx;
    (void)age_h;
    return 0;
}

static double much_hazard(const void *ctx, double age_h)
{
    (void)ctx;
    return age_h > 5.5 ? 1e9 : 0;
}

static void distance_looks_at_both_sides_of_a_step(void **state)
{
    (void)state;
    EBB_AUTO(ebb_kaplan_meier_clean_up) struct ebb_kaplan_meier k;
    worked_example(&k);
    assert_true(fabs(ebb_kaplan_meier_distance(&k, no_hazard, NULL) - (1 - k.steps[6].survival)) <
                1e-12);
    /* Just before week 6 all are alive. */
    assert_true(ebb_kaplan_meier_distance(&k, much_hazard, NULL) == 1);
}

static void the_last_vm_revoked_ends_at_0(void **state)
{
    (void)state;
    EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes l = {0};
    add_life(&l, 2, EBB_LIFETIME_REVOKED, NULL, NULL, 0);
    EBB_AUTO(ebb_fit_sample_clean_up) struct ebb_fit_sample s;
    EBB_AUTO(ebb_kaplan_meier_clean_up) struct ebb_kaplan_meier k;
    ebb_fit_sample_init(&s, &l, NULL);
    ebb_kaplan_meier_init(&k, &s);
    assert_true(k.steps[0].survival == 0 && k.steps[0].low == 0 && k.steps[0].high == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survival_and_greenwoods_error_are_those_of_the_worked_example),
        cmocka_unit_test(bounds_enclose_the_estimate_and_stay_in_0_to_1),
        cmocka_unit_test(survival_holds_between_the_steps),
        cmocka_unit_test(distance_looks_at_both_sides_of_a_step),
        cmocka_unit_test(the_last_vm_revoked_ends_at_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
