/* The seeded generator and the kernel's bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/random.h"

static void a_seed_gives_the_same_stream(void **state)
{
    (void)state;
    struct ebb_random a, b, c;
    ebb_random_seed(&a, 1);
    ebb_random_seed(&b, 1);
    ebb_random_seed(&c, 2);
    int same = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t x = ebb_random_next(&a);
        assert_true(x == ebb_random_next(&b));
        same += x == ebb_random_next(&c);
    }
    assert_int_equal(same, 0);
}

/* From the definition, by hand: with state {1, 2, 3, 4} the first output is
 * rotl(1 + 4, 23) + 1 = 41943041, the second rotl(7 + 6 * 2^45, 23) + 7 = 58720359. */
static void the_generator_is_xoshiro256plusplus(void **state)
{
    (void)state;
    struct ebb_random r = {{1, 2, 3, 4}};
    assert_true(ebb_random_next(&r) == UINT64_C(41943041));
    assert_true(ebb_random_next(&r) == UINT64_C(58720359));
}

static void seeding_is_splitmix64(void **state)
{
    (void)state;
    struct ebb_random r;
    ebb_random_seed(&r, 0);
    assert_true(r.state[0] == UINT64_C(0xe220a8397b1dcdaf));
}

static void below_stays_below_and_is_even(void **state)
{
    (void)state;
    struct ebb_random r;
    ebb_random_seed(&r, 3);
    int counts[6] = {0};
    for (int i = 0; i < 60000; i++) {
        uint64_t x = ebb_random_below(&r, 6);
        assert_true(x < 6);
        counts[x]++;
    }
    for (int i = 0; i < 6; i++)
        assert_in_range(counts[i], 9600, 10400); /* 4 sigma is 365 */
    assert_true(ebb_random_below(&r, 1) == 0);
    for (int i = 0; i < 1000; i++)
        assert_true(ebb_random_below(&r, (UINT64_C(1) << 63) + 1) <= UINT64_C(1) << 63);
}

static void uniform_and_exponential_have_their_means(void **state)
{
    (void)state;
    struct ebb_random r;
    ebb_random_seed(&r, 4);
    double sum_u = 0, sum_e = 0;
    const int n = 100000;
    for (int i = 0; i < n; i++) {
        double u = ebb_random_uniform(&r);
        assert_true(u >= 0 && u < 1);
        sum_u += u;
        double e = ebb_random_exponential(&r, 3);
        assert_true(e >= 0 && isfinite(e));
        sum_e += e;
    }
    assert_true(fabs(sum_u / n - 0.5) < 0.005);
    assert_true(fabs(sum_e / n - 3) < 0.05);
}

static void secrets_differ_and_hex_has_its_length(void **state)
{
    (void)state;
    char a[201], b[201];
    assert_int_equal(strlen(ebb_random_hex(a, 100)), 200);
    assert_int_equal(strspn(a, "0123456789abcdef"), 200);
    assert_string_not_equal(a, ebb_random_hex(b, 100));
    assert_string_equal(ebb_random_hex(a, 0), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_gives_the_same_stream),
        cmocka_unit_test(the_generator_is_xoshiro256plusplus),
        cmocka_unit_test(seeding_is_splitmix64),
        cmocka_unit_test(below_stays_below_and_is_even),
        cmocka_unit_test(uniform_and_exponential_have_their_means),
        cmocka_unit_test(secrets_differ_and_hex_has_its_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
