/* The search: the least of known functions, bounds, and what curvature says of the error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "scheduler/core/fit_search.h"

#define D EBB_FIT_SEARCH_DIMENSIONS

/* Rosenbrock's bent valley, least 0 at (1, 1). */
static double valley(void *ctx, const double *x)
{
    (void)ctx;
    return 100 * pow(x[1] - x[0] * x[0], 2) + pow(1 - x[0], 2);
}

/* Least -2 at -1, and a lesser hollow at 2. */
static double two_hollows(void *ctx, const double *x)
{
    (void)ctx;
    return -2 * exp(-pow(x[0] + 1, 2)) - exp(-pow(x[0] - 2, 2)) + x[1] * x[1];
}

/* (x - 1)^T A (x - 1) / 2 with A = [[4, 1, 0], [1, 3, 0], [0, 0, 0]]: flat in the third. */
static double bowl(void *ctx, const double *x)
{
    (void)ctx;
    double a = x[0] - 1, b = x[1] - 1;
    return (4 * a * a + 2 * a * b + 3 * b * b) / 2;
}

static double not_a_number(void *ctx, const double *x)
{
    (void)ctx;
    return x[0] < 0.5 ? NAN : pow(x[0] - 1, 2) + x[1] * x[1];
}

static struct ebb_fit_search within(ebb_fit_objective *objective, size_t dimensions, double most)
{
    struct ebb_fit_search s = {.objective = objective, .dimensions = dimensions};
    for (size_t i = 0; i < dimensions; i++) {
        s.lower[i] = -most;
        s.upper[i] = most;
    }
    return s;
}

static void the_floor_of_a_bent_valley_is_found(void **state)
{
    (void)state;
    struct ebb_fit_search s = within(valley, 2, 5);
    double start[1][D] = {{-1.2, 1}}, x[D];
    assert_true(ebb_fit_search_run(&s, start, 1, x) < 1e-6);
    assert_true(fabs(x[0] - 1) < 2e-3 && fabs(x[1] - 1) < 4e-3);
}

static void of_several_starts_the_best_counts(void **state)
{
    (void)state;
    struct ebb_fit_search s = within(two_hollows, 2, 5);
    double starts[2][D] = {{2.2, 1}, {-1.5, 1}}, x[D];
    (void)ebb_fit_search_run(&s, starts, 2, x);
    assert_true(fabs(x[0] + 1) < 0.01);
}

static void bounds_hold_for_starts_and_ends(void **state)
{
    (void)state;
    struct ebb_fit_search s = within(valley, 2, 0.5);
    double start[1][D] = {{40, -40}}, x[D];
    (void)ebb_fit_search_run(&s, start, 1, x);
    assert_true(fabs(x[0] - 0.5) < 1e-6 && fabs(x[1] - 0.25) < 1e-4);
}

static void points_without_value_are_avoided(void **state)
{
    (void)state;
    struct ebb_fit_search s = within(not_a_number, 2, 5);
    double start[1][D] = {{2, 1}}, x[D];
    assert_true(ebb_fit_search_run(&s, start, 1, x) < 1e-6);
}

static void covariance_is_the_inverse_of_the_curvature(void **state)
{
    (void)state;
    struct ebb_fit_search s = within(bowl, 3, 5);
    double x[D] = {1, 1, 0}, H[D * D], C[D * D];
    ebb_fit_search_hessian(&s, x, H);
    assert_true(fabs(H[0] - 4) < 1e-6 && fabs(H[1] - 1) < 1e-6 && fabs(H[4] - 3) < 1e-6);
    ebb_fit_search_covariance(&s, x, H, C);
    assert_true(fabs(C[0] - 3.0 / 11) < 1e-6 && fabs(C[4] - 4.0 / 11) < 1e-6);
    assert_true(fabs(C[1] + 1.0 / 11) < 1e-6);
    assert_true(isnan(C[8])); /* the data say nothing of the third */
}

static void a_variable_at_its_bound_takes_no_part(void **state)
{
    (void)state;
    struct ebb_fit_search s = within(bowl, 2, 5);
    s.upper[0] = 1;
    double x[D] = {1, 1}, H[D * D], C[D * D];
    ebb_fit_search_hessian(&s, x, H);
    ebb_fit_search_covariance(&s, x, H, C);
    assert_true(isnan(C[0]) && fabs(C[3] - 1.0 / 3) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_floor_of_a_bent_valley_is_found),
        cmocka_unit_test(of_several_starts_the_best_counts),
        cmocka_unit_test(bounds_hold_for_starts_and_ends),
        cmocka_unit_test(points_without_value_are_avoided),
        cmocka_unit_test(covariance_is_the_inverse_of_the_curvature),
        cmocka_unit_test(a_variable_at_its_bound_takes_no_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
