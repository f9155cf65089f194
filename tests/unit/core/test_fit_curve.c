/* The curves: hazard is the slope of the cumulative hazard, special cases agree, nothing overflows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/memory.h"
#include "scheduler/core/fit_curve.h"

static const struct ebb_fit_curve examples[] = {
    {EBB_FIT_EXPONENTIAL, 1, {0.03}, {0}},
    {EBB_FIT_WEIBULL, 2, {125, 0.46}, {0}},
    {EBB_FIT_WEIBULL, 2, {10, 3}, {0}},
    {EBB_FIT_LOGNORMAL, 2, {4.3, 3.5}, {0}},
    {EBB_FIT_GOMPERTZ_MAKEHAM, 3, {0.01, 0.001, 0.2}, {0}},
    {EBB_FIT_TWO_EXPONENTIALS, 3, {0.2, 0.9, 0.01}, {0}},
    {EBB_FIT_BATHTUB, 4, {0.37, 1.1, 0.72, 26}, {0}},
    {EBB_FIT_BATHTUB_NORMALISED, 4, {0.4, 1.2, 0.8, 25}, {0}},
    {EBB_FIT_WEIBULL_CURE_CONSTANT, 4, {0.79, 1.4, 0.8, 0.008}, {0}},
    {EBB_FIT_PIECEWISE_CONSTANT, 3, {0.3, 0.1, 0.01}, {0, 0.25, 3, INFINITY}},
};

static void hazard_is_the_slope_of_the_cumulative_hazard(void **state)
{
    (void)state;
    for (size_t i = 0; i < EBB_ARRAY_LEN(examples); i++) {
        for (double t = 0.01; t < 24; t *= 1.37) {
            const double h = 1e-5 * t;
            double slope = (ebb_fit_curve_cumulative(&examples[i], t + h) -
                            ebb_fit_curve_cumulative(&examples[i], t - h)) /
                           (2 * h);
            double hazard = ebb_fit_curve_hazard(&examples[i], t);
            assert_true(fabs(slope - hazard) <= 1e-4 * hazard + 1e-9);
        }
    }
}

static void survival_begins_at_1_and_falls(void **state)
{
    (void)state;
    for (size_t i = 0; i < EBB_ARRAY_LEN(examples); i++) {
        double before = 0;
        assert_true(ebb_fit_curve_cumulative(&examples[i], 0) == 0);
        for (double t = 0.001; t < 24; t *= 1.1) {
            double H = ebb_fit_curve_cumulative(&examples[i], t);
            assert_true(H >= before);
            before = H;
        }
    }
}

static void special_cases_agree(void **state)
{
    (void)state;
    const struct ebb_fit_curve constant = {EBB_FIT_EXPONENTIAL, 1, {0.1}, {0}};
    const struct ebb_fit_curve same[] = {
        {EBB_FIT_WEIBULL, 2, {10, 1}, {0}},
        {EBB_FIT_GOMPERTZ_MAKEHAM, 3, {0.04, 0.06, 1e-15}, {0}},
        {EBB_FIT_TWO_EXPONENTIALS, 3, {0.3, 0.1, 0.1}, {0}},
        {EBB_FIT_WEIBULL_CURE_CONSTANT, 4, {1, 1, 1, 0.1}, {0}},
        {EBB_FIT_WEIBULL_CURE_CONSTANT, 4, {0, 20, 1, 0.05}, {0}},
        {EBB_FIT_PIECEWISE_CONSTANT, 2, {0.1, 0.1}, {0, 1, INFINITY}},
    };
    for (size_t i = 0; i < EBB_ARRAY_LEN(same); i++) {
        for (double t = 0.1; t < 100; t *= 2) {
            double a_log, a_H, b_log, b_H;
            ebb_fit_curve_at(&constant, t, &a_log, &a_H);
            ebb_fit_curve_at(&same[i], t, &b_log, &b_H);
            assert_true(fabs(a_log - b_log) < 1e-9 && fabs(a_H - b_H) < 1e-9 * a_H + 1e-12);
        }
    }
}

static void lognormal_survival_is_that_of_the_tables(void **state)
{
    (void)state;
    const struct ebb_fit_curve c = {EBB_FIT_LOGNORMAL, 2, {0, 1}, {0}};
    assert_true(fabs(exp(-ebb_fit_curve_cumulative(&c, 1)) - 0.5) < 1e-12);
    assert_true(fabs(exp(-ebb_fit_curve_cumulative(&c, exp(1.959963984540054))) - 0.025) < 1e-12);
    /* ln(1 - Phi(30)) = -454.3212439 */
    assert_true(fabs(ebb_fit_curve_cumulative(&c, exp(30)) - 454.3212439) < 1e-3);
}

static void the_published_bathtub_is_its_equation(void **state)
{
    (void)state;
    const struct ebb_fit_curve c = {EBB_FIT_BATHTUB, 4, {0.414, 0.941, 0.768, 24.45}, {0}};
    double F = 0.414 * (1 - exp(-6 / 0.941) + exp((6 - 24.45) / 0.768));
    assert_true(fabs(exp(-ebb_fit_curve_cumulative(&c, 6)) - (1 - F)) < 1e-12);
}

static void extreme_parameters_give_finite_values(void **state)
{
    (void)state;
    static const double scales[] = {1e-300, 1e-9, 1, 1e9, 1e300};
    for (int family = 0; family < EBB_FIT_PIECEWISE_CONSTANT; family++) {
        for (size_t k = 0; k < 5 * 5 * 5 * 5; k++) {
            struct ebb_fit_curve c = {.family = (enum ebb_fit_family)family, .count = 4};
            for (size_t i = 0, rest = k; i < 4; i++, rest /= 5)
                c.p[i] = scales[rest % 5];
            for (double t = 1e-6; t < 1e6; t *= 1000) {
                double H = ebb_fit_curve_cumulative(&c, t);
                assert_true(H >= 0 && H <= 700);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hazard_is_the_slope_of_the_cumulative_hazard),
        cmocka_unit_test(survival_begins_at_1_and_falls),
        cmocka_unit_test(special_cases_agree),
        cmocka_unit_test(lognormal_survival_is_that_of_the_tables),
        cmocka_unit_test(the_published_bathtub_is_its_equation),
        cmocka_unit_test(extreme_parameters_give_finite_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
