/* Spreads of outcomes: quantiles and ranges of few runs. */
#include "tests/unit/simulator/fixture.h"

static void quantiles_lie_between_the_values(void **state)
{
    (void)state;
    double x[101];
    struct ebb_spread s;
    for (int i = 0; i <= 100; i++)
        x[i] = (i * 37) % 101;
    ebb_spread_of(x, 101, &s);
    assert_true(s.p50 == 50 && s.mean == 50);
    assert_true(fabs(s.p5 - 4.1) < 1e-9 && fabs(s.p95 - 95.9) < 1e-9);
    assert_true(fabs(s.sd - sqrt(101.0 * 102 / 12)) < 1e-9);
}

static void one_value_has_no_spread_and_none_is_zero(void **state)
{
    (void)state;
    double x[1] = {3};
    struct ebb_spread s;
    ebb_spread_of(x, 1, &s);
    assert_true(s.p5 == 3 && s.p95 == 3 && s.sd == 0);
    ebb_spread_of(x, 0, &s);
    assert_true(s.mean == 0 && s.p95 == 0);
}

/* Of 20 values of one kind any is the least or the greatest with the same probability. */
static void nine_of_ten_values_fall_inside_however_few_were_seen(void **state)
{
    (void)state;
    struct ebb_random r;
    double x[19];
    struct ebb_spread s;
    int inside = 0;
    ebb_random_seed(&r, 4);
    for (int turn = 0; turn < 10000; turn++) {
        for (int i = 0; i < 19; i++)
            x[i] = ebb_random_exponential(&r, 1);
        ebb_spread_of(x, 19, &s);
        double next = ebb_random_exponential(&r, 1);
        inside += next >= s.p5 && next <= s.p95;
    }
    assert_true(abs(inside - 9000) < 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_lie_between_the_values),
        cmocka_unit_test(nine_of_ten_values_fall_inside_however_few_were_seen),
        cmocka_unit_test(one_value_has_no_spread_and_none_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
