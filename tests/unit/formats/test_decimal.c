/* Decimal numbers, against strtod and printf. */
#include "frame_check.h"

#include <stdio.h>

#include "formats/decimal.h"

static double any_double(uint64_t *random)
{
    uint64_t bits = (uint64_t)next_random(random) << 33 ^ (uint64_t)next_random(random) << 11 ^
                    next_random(random);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static double likely_double(uint64_t *random)
{
    double v = (next_unit(random) - 0.5) * pow(10, next_random(random) % 12);
    return next_random(random) % 3 == 0 ? nearbyint(v) : v;
}

static void check_parse(const char *text)
{
    char *end;
    double want = strtod(text, &end), got = 0;
    if (*end != 0 || end == text) {
        assert_false(ebb_decimal_parse(text, strlen(text), &got));
        return;
    }
    assert_true(ebb_decimal_parse(text, strlen(text), &got));
    assert_memory_equal(&got, &want, sizeof got);
}

static void numbers_are_read_as_strtod_reads_them(void **state)
{
    (void)state;
    static const char *const texts[] = {"0",
                                        "-0",
                                        "1",
                                        "12.5",
                                        ".5",
                                        "5.",
                                        "-.5",
                                        "1e5",
                                        "1e-5",
                                        "1E+05",
                                        "1e400",
                                        "-1e400",
                                        "1e-400",
                                        "nan",
                                        "-nan",
                                        "inf",
                                        "",
                                        "-",
                                        ".",
                                        "-.",
                                        "e5",
                                        "1e",
                                        "1e+",
                                        "1x",
                                        "1.2.3",
                                        "--1",
                                        "+1",
                                        "0x10",
                                        "1e99999",
                                        "0e99999",
                                        "00012",
                                        "9007199254740993",
                                        "123456789012345678901234567890",
                                        "0.000000000000000000000000000001",
                                        "4.9e-324",
                                        "9007199254740992e22",
                                        "9007199254740993e1",
                                        "1e22",
                                        "1e23",
                                        "0.1e-21",
                                        " 1"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(texts); i++)
        if (texts[i][0] != ' ')
            check_parse(texts[i]);
    uint64_t random = 5;
    char text[64];
    for (int i = 0; i < 100000; i++) {
        double v = i % 2 == 0 ? any_double(&random) : likely_double(&random);
        (void)snprintf(text, sizeof text, "%.*g", 1 + i % 19, v);
        check_parse(text);
    }
}

static void check_text(struct ebb_decimal_format format, double v)
{
    char want[EBB_DECIMAL_MAX_CHARS], got[EBB_DECIMAL_MAX_CHARS + 1];
    (void)(format.style == 'f'   ? snprintf(want, sizeof want, "%.*f", format.digits, v)
           : format.style == 'e' ? snprintf(want, sizeof want, "%.*e", format.digits, v)
                                 : snprintf(want, sizeof want, "%.*g", format.digits, v));
    double back = strtod(want, NULL);
    if (isinf(back) && isfinite(v))
        return; /* rounded beyond the range of doubles */
    size_t len = ebb_decimal_format(format, back, false, got);
    got[len] = 0;
    assert_string_equal(got, want);
}

static void a_number_that_came_from_the_format_gets_its_text_again(void **state)
{
    (void)state;
    uint64_t random = 6;
    for (int i = 0; i < 100000; i++) {
        double v = i % 5 == 0 ? any_double(&random) : likely_double(&random);
        /* Beyond 1e300 %f has more characters than a column of coordinates ever has. */
        unsigned char digits = (unsigned char)(next_random(&random) % 18);
        if (fabs(v) < 1e100)
            check_text((struct ebb_decimal_format){'f', digits}, v);
        check_text((struct ebb_decimal_format){'g', digits}, v);
        check_text((struct ebb_decimal_format){'e', digits}, v);
    }
    static const double edges[] = {
        0,    -0.0, 0.5,  1e-5,     1e-4,      99999.95, 999999.5, 1e6,
        1e15, 1e16, 1e22, INFINITY, -INFINITY, NAN,      5e-324,   1.7976931348623157e308};
    for (size_t i = 0; i < EBB_ARRAY_LEN(edges); i++)
        for (unsigned char digits = 0; digits < 18; digits++) {
            check_text((struct ebb_decimal_format){'g', digits}, edges[i]);
            check_text((struct ebb_decimal_format){'e', digits}, edges[i]);
        }
}

static void any_number_reads_back_as_itself(void **state)
{
    (void)state;
    uint64_t random = 7;
    char text[EBB_DECIMAL_MAX_CHARS];
    for (int i = 0; i < 50000; i++) {
        double v = i % 2 == 0 ? any_double(&random) : likely_double(&random), back = 0;
        float narrow = (float)v;
        struct ebb_decimal_format format = {"fge"[i % 3], (unsigned char)(i % 9)};
        size_t len = ebb_decimal_format(format, v, false, text);
        assert_true(ebb_decimal_parse(text, len, &back));
        assert_true(back == v || (isnan(v) && isnan(back)));
        len = ebb_decimal_format(format, (double)narrow, true, text);
        assert_true(ebb_decimal_parse(text, len, &back));
        assert_true((float)back == narrow || (isnan(narrow) && isnan(back)));
    }
}

static void a_float_that_does_not_fit_the_format_gets_the_fewest_digits(void **state)
{
    (void)state;
    char text[EBB_DECIMAL_MAX_CHARS + 1];
    size_t len =
        ebb_decimal_format((struct ebb_decimal_format){'f', 2}, (double)1.0625f, true, text);
    text[len] = 0;
    assert_string_equal(text, "1.0625");
    len = ebb_decimal_format((struct ebb_decimal_format){'g', 3}, (double)0.1f, true, text);
    text[len] = 0;
    assert_string_equal(text, "0.1");
    len = ebb_decimal_format((struct ebb_decimal_format){'g', 3}, (double)16777216.0f, true, text);
    text[len] = 0;
    assert_string_equal(text, "16777216");
}

static char style_of(const char *const *texts, size_t count, unsigned *ret_digits)
{
    struct ebb_decimal_survey s = {0};
    for (size_t i = 0; i < count; i++)
        ebb_decimal_survey_add(&s, texts[i], strlen(texts[i]));
    struct ebb_decimal_format format = ebb_decimal_survey_format(&s);
    *ret_digits = format.digits;
    return format.style;
}

static void the_format_of_a_column_is_found(void **state)
{
    (void)state;
    unsigned digits;
    assert_int_equal(style_of((const char *const[]){"1.50", "-0.25", "100.00"}, 3, &digits), 'f');
    assert_int_equal(digits, 2);
    assert_int_equal(style_of((const char *const[]){"1.5", "-0.25", "100"}, 3, &digits), 'g');
    assert_int_equal(digits, 6);
    assert_int_equal(style_of((const char *const[]){"1.23456789", "1e-05"}, 2, &digits), 'g');
    assert_int_equal(digits, 9);
    assert_int_equal(style_of((const char *const[]){"1.500e+00", "2.000e-10"}, 2, &digits), 'e');
    assert_int_equal(digits, 3);
    assert_int_equal(style_of((const char *const[]){"1", "2"}, 2, &digits), 'g');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_as_strtod_reads_them),
        cmocka_unit_test(a_number_that_came_from_the_format_gets_its_text_again),
        cmocka_unit_test(any_number_reads_back_as_itself),
        cmocka_unit_test(a_float_that_does_not_fit_the_format_gets_the_fewest_digits),
        cmocka_unit_test(the_format_of_a_column_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
