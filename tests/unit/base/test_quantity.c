/* Quantities with units, read and shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/text.h"

static double duration(const char *text)
{
    double s = -1;
    assert_int_equal(ebb_parse_duration(text, &s, NULL), 0);
    return s;
}

static void durations_are_read(void **state)
{
    (void)state;
    assert_true(duration("90") == 90);
    assert_true(duration("90s") == 90);
    assert_true(duration("10m") == 600);
    assert_true(duration("1.5h") == 5400);
    assert_true(duration("2d") == 172800);
    assert_true(duration("1h30m") == 5400);
    assert_true(duration("1d 2h 3min 4 s") == 93784);
    assert_true(fabs(duration("250ms") - 0.25) < 1e-12);
    assert_true(duration("6 hours") == 21600);
    assert_true(duration("0") == 0);
}

static void wrong_durations_are_refused_with_the_right_form(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",      "six", "-5m", "5x",  "1m1h",   "1h1h",  "1h30",
                                        "1..5h", ".",   "1e3", "inf", "99999d", "5 m x", "1h-2m"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(wrong); i++) {
        double s = 42;
        struct ebb_error err;
        assert_int_equal(ebb_parse_duration(wrong[i], &s, &err), EBB_ERR_INPUT);
        assert_true(s == 42);
    }
    struct ebb_error err;
    double s;
    ebb_parse_duration("six", &s, &err);
    assert_string_equal(err.text, "'six' is no duration: write it as 90s, 10m, 1.5h, 2d or 1h30m");
}

static uint64_t size(const char *text)
{
    uint64_t bytes = 0;
    assert_int_equal(ebb_parse_size(text, &bytes, NULL), 0);
    return bytes;
}

static void sizes_are_read(void **state)
{
    (void)state;
    assert_true(size("512 MiB") == 536870912);
    assert_true(size("2GiB") == UINT64_C(2147483648));
    assert_true(size("1.5 GB") == 1500000000);
    assert_true(size("4096") == 4096);
    assert_true(size("2G") == UINT64_C(2147483648));
    assert_true(size("9007199254740993") == UINT64_C(9007199254740993));
    uint64_t b = 7;
    assert_int_equal(ebb_parse_size("-1", &b, NULL), EBB_ERR_INPUT);
    assert_int_equal(ebb_parse_size("2 GiBs", &b, NULL), EBB_ERR_INPUT);
    assert_int_equal(ebb_parse_size("GiB", &b, NULL), EBB_ERR_INPUT);
    assert_int_equal(ebb_parse_size("99999999999 TiB", &b, NULL), EBB_ERR_INPUT);
    assert_true(b == 7);
}

static int64_t usd(const char *text)
{
    int64_t micros = -1;
    assert_int_equal(ebb_parse_usd(text, &micros, NULL), 0);
    return micros;
}

static void money_is_read_exactly(void **state)
{
    (void)state;
    assert_true(usd("25") == 25000000);
    assert_true(usd("25 USD") == 25000000);
    assert_true(usd("$0.35") == 350000);
    assert_true(usd("0.000001") == 1);
    assert_true(usd("0.1000000000") == 100000);
    assert_true(usd(".5usd") == 500000);
    assert_true(usd("999999999999.999999") == INT64_C(999999999999999999));
    int64_t m = 7;
    static const char *const wrong[] = {"",      "$",         "-1",     "25 EUR",
                                        "1.2.3", "0.0000001", "$5 USD", "."};
    for (size_t i = 0; i < EBB_ARRAY_LEN(wrong); i++)
        assert_int_equal(ebb_parse_usd(wrong[i], &m, NULL), EBB_ERR_INPUT);
    assert_true(m == 7);
}

static void whole_numbers_keep_their_bounds(void **state)
{
    (void)state;
    int64_t v = 0;
    struct ebb_error err;
    assert_int_equal(ebb_parse_int("-9223372036854775808", INT64_MIN, INT64_MAX, &v, &err), 0);
    assert_true(v == INT64_MIN);
    assert_int_equal(ebb_parse_int("9223372036854775808", INT64_MIN, INT64_MAX, &v, &err),
                     EBB_ERR_INPUT);
    assert_int_equal(ebb_parse_int("11", 1, 10, &v, &err), EBB_ERR_INPUT);
    assert_string_equal(err.text, "'11' is no whole number from 1 to 10");
    static const char *const wrong[] = {"", " 1", "1 ", "0x10", "1.0", "+", "--1", "one"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(wrong); i++)
        assert_int_equal(ebb_parse_int(wrong[i], 0, INT64_MAX, &v, &err), EBB_ERR_INPUT);
}

static void numbers_are_finite_and_decimal(void **state)
{
    (void)state;
    double v = 7;
    assert_int_equal(ebb_parse_double("-1.5e3", &v, NULL), 0);
    assert_true(v == -1500);
    static const char *const wrong[] = {"", "nan", "inf", "0x1p3", "1e999", " 1", "1,5", "e"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(wrong); i++)
        assert_int_equal(ebb_parse_double(wrong[i], &v, NULL), EBB_ERR_INPUT);
}

static void check_duration(double s, const char *want)
{
    char out[EBB_QUANTITY_TEXT_SIZE];
    assert_string_equal(ebb_format_duration(s, out), want);
}

static void durations_are_shown(void **state)
{
    (void)state;
    check_duration(0, "0s");
    check_duration(0.3, "0.3s");
    check_duration(0.02, "20ms");
    check_duration(42.2, "42s");
    check_duration(59.6, "1m00s");
    check_duration(725, "12m05s");
    check_duration(3599.9, "1h00m");
    check_duration(3900, "1h05m");
    check_duration(200000, "2d08h");
    check_duration(-90, "-1m30s");
    check_duration(NAN, "unknown");
    check_duration(INFINITY, "forever");
}

static void check_size(uint64_t bytes, const char *want)
{
    char out[EBB_QUANTITY_TEXT_SIZE];
    assert_string_equal(ebb_format_size(bytes, out), want);
}

static void check_usd(int64_t micros, const char *want)
{
    char out[EBB_QUANTITY_TEXT_SIZE];
    assert_string_equal(ebb_format_usd(micros, out), want);
}

static void sizes_and_money_are_shown(void **state)
{
    (void)state;
    check_size(0, "0 B");
    check_size(1023, "1023 B");
    check_size(1024, "1.0 KiB");
    check_size(UINT64_C(3435973837), "3.2 GiB");
    check_size(1048575, "1.0 MiB");
    check_size(UINT64_MAX, "16.0 EiB");
    check_usd(0, "$0.00");
    check_usd(12340000, "$12.34");
    check_usd(12345000, "$12.35");
    check_usd(1200, "$0.0012");
    check_usd(42, "$0.000042");
    check_usd(999999, "$1.00");
    check_usd(-350000, "-$0.35");
    check_usd(INT64_MIN, "-$9223372036854.78");
}

static void lengths_have_a_unit_or_none(void **state)
{
    (void)state;
    static const struct {
        const char *text, *unit;
        double value;
    } good[] = {
        {"0.0005nm", "nm", 0.0005}, {"0.005 A", "A", 0.005}, {"5pm", "pm", 5}, {"1e-3", "", 1e-3}};
    static const char *const bad[] = {"", "nm", "-1nm", "0", "1 mm", "1nmnm", "inf", "1 2"};
    char unit[4];
    double value = 0;
    for (size_t i = 0; i < EBB_ARRAY_LEN(good); i++) {
        assert_int_equal(ebb_parse_length(good[i].text, &value, unit, NULL), 0);
        assert_true(value == good[i].value);
        assert_string_equal(unit, good[i].unit);
    }
    for (size_t i = 0; i < EBB_ARRAY_LEN(bad); i++)
        assert_int_equal(ebb_parse_length(bad[i], &value, unit, NULL), EBB_ERR_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(wrong_durations_are_refused_with_the_right_form),
        cmocka_unit_test(sizes_are_read),
        cmocka_unit_test(money_is_read_exactly),
        cmocka_unit_test(whole_numbers_keep_their_bounds),
        cmocka_unit_test(numbers_are_finite_and_decimal),
        cmocka_unit_test(durations_are_shown),
        cmocka_unit_test(sizes_and_money_are_shown),
        cmocka_unit_test(lengths_have_a_unit_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
