/* Amounts divided into whole parts by largest remainder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "scheduler/core/ledger.h"

static void parts_add_up_to_the_amount_and_are_within_one_of_exact(void **state)
{
    (void)state;
    struct ebb_random r;
    ebb_random_seed(&r, 7);
    for (int round = 0; round < 20000; round++) {
        double weights[9], sum = 0;
        int64_t parts[9], total = 0;
        size_t n = 1 + ebb_random_below(&r, 9);
        int64_t amount = (int64_t)ebb_random_below(&r, round % 2 == 0 ? 20 : 5000000000);
        for (size_t i = 0; i < n; i++) {
            weights[i] = ebb_random_below(&r, 4) == 0 ? 0 : ebb_random_uniform(&r) * 1000;
            sum += weights[i];
        }
        ebb_split_amount(amount, weights, n, parts);
        for (size_t i = 0; i < n; i++) {
            total += parts[i];
            assert_true(parts[i] >= 0);
            if (sum > 0) {
                double exact = (double)amount * weights[i] / sum;
                assert_true((double)parts[i] > exact - 1.001 && (double)parts[i] < exact + 1.001);
            }
            if (sum > 0 && weights[i] == 0)
                assert_int_equal(parts[i], 0);
        }
        assert_int_equal(total, amount);
    }
}

static void without_weights_the_first_part_gets_all(void **state)
{
    (void)state;
    const double weights[3] = {0, 0, 0};
    int64_t parts[3];
    ebb_split_amount(10, weights, 3, parts);
    assert_int_equal(parts[0], 10);
    assert_int_equal(parts[1] + parts[2], 0);
}

static void ties_go_to_the_first(void **state)
{
    (void)state;
    const double weights[3] = {1, 1, 1};
    int64_t parts[3];
    ebb_split_amount(4, weights, 3, parts);
    assert_int_equal(parts[0], 2);
    assert_int_equal(parts[1], 1);
    assert_int_equal(parts[2], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_add_up_to_the_amount_and_are_within_one_of_exact),
        cmocka_unit_test(without_weights_the_first_part_gets_all),
        cmocka_unit_test(ties_go_to_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
