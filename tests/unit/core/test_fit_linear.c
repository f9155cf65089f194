/* Cholesky's decomposition: solutions, inverses, and matrices that have none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "scheduler/core/fit_linear.h"

#define N 12

static void draw(double *a, uint64_t seed)
{
    struct ebb_random r;
    double b[N * N];
    ebb_random_seed(&r, seed);
    for (size_t i = 0; i < N * N; i++)
        b[i] = ebb_random_uniform(&r) - 0.5;
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < N; j++) {
            a[i * N + j] = i == j ? 0.1 : 0;
            for (size_t k = 0; k < N; k++)
                a[i * N + j] += b[i * N + k] * b[j * N + k];
        }
    }
}

static void the_worked_example_has_its_factor(void **state)
{
    (void)state;
    double a[] = {4, 12, -16, 12, 37, -43, -16, -43, 98};
    assert_true(ebb_cholesky(a, 3));
    assert_true(a[0] == 2 && a[3] == 6 && a[4] == 1 && a[6] == -8 && a[7] == 5 && a[8] == 3);
}

static void solutions_and_inverse_undo_the_matrix(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 20; seed++) {
        double a[N * N], factor[N * N], inverse[N * N], x[N];
        draw(a, seed);
        memcpy(factor, a, sizeof a);
        assert_true(ebb_cholesky(factor, N));
        for (size_t i = 0; i < N; i++)
            x[i] = (double)i - 3;
        ebb_cholesky_solve(factor, N, x);
        ebb_cholesky_invert(factor, N, inverse);
        for (size_t i = 0; i < N; i++) {
            double Ax = 0, one = 0;
            for (size_t k = 0; k < N; k++) {
                Ax += a[i * N + k] * x[k];
                one += a[i * N + k] * inverse[k * N + (i + 1) % N];
            }
            assert_true(fabs(Ax - ((double)i - 3)) < 1e-8);
            assert_true(fabs(one) < 1e-8);
        }
    }
}

static void what_is_not_positive_definite_is_refused(void **state)
{
    (void)state;
    assert_false(ebb_cholesky((double[]){1, 2, 2, 1}, 2));
    assert_false(ebb_cholesky((double[]){1, 1, 1, 1}, 2));
    assert_false(ebb_cholesky((double[]){0}, 1));
    assert_false(ebb_cholesky((double[]){NAN}, 1));
    assert_false(ebb_cholesky((double[]){INFINITY}, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_example_has_its_factor),
        cmocka_unit_test(solutions_and_inverse_undo_the_matrix),
        cmocka_unit_test(what_is_not_positive_definite_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
