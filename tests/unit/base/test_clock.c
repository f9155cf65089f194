/* Time in and out of text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"

static int64_t parse(const char *text)
{
    int64_t ns = -1;
    struct ebb_error err;
    assert_int_equal(ebb_time_parse(text, &ns, &err), 0);
    return ns;
}

static void known_times_format(void **state)
{
    (void)state;
    char out[EBB_TIME_TEXT_SIZE];
    assert_string_equal(ebb_time_format(0, out), "1970-01-01T00:00:00.000Z");
    assert_string_equal(
        ebb_time_format(INT64_C(951782399) * EBB_NS_PER_S + 999 * EBB_NS_PER_MS, out),
        "2000-02-28T23:59:59.999Z");
    assert_string_equal(ebb_time_format(INT64_C(951782400) * EBB_NS_PER_S, out),
                        "2000-02-29T00:00:00.000Z");
    assert_string_equal(ebb_time_format(-1, out), "1969-12-31T23:59:59.999Z");
    assert_string_equal(ebb_time_format(INT64_MAX, out), "2262-04-11T23:47:16.854Z");
}

static void formatting_agrees_with_the_c_library(void **state)
{
    (void)state;
    for (int64_t day = -3000; day < 60000; day += 13) {
        time_t t = (time_t)(day * 86400 + day * 7 % 86400);
        struct tm tm;
        char want[64], got[EBB_TIME_TEXT_SIZE];
        assert_non_null(gmtime_r(&t, &tm));
        assert_true(strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.000Z", &tm) > 0);
        assert_string_equal(ebb_time_format((int64_t)t * EBB_NS_PER_S, got), want);
        if (t >= 0)
            assert_true(parse(want) == (int64_t)t * EBB_NS_PER_S);
    }
}

static void both_forms_parse(void **state)
{
    (void)state;
    int64_t want = INT64_C(1795255445) * EBB_NS_PER_S;
    assert_true(parse("2026-11-21T10:04:05Z") == want);
    assert_true(parse("2026-11-21T10:04:05+00:00") == want);
    assert_true(parse("2026-11-21 10:04:05 GMT") == want);
    assert_true(parse("2026-11-21T10:04:05.123456789Z") == want + 123456789);
    assert_true(parse("2026-11-21T10:04:05.1234567891234Z") == want + 123456789);
}

static void wrong_times_are_refused(void **state)
{
    (void)state;
    const char *const wrong[] = {
        "",
        "2026",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T10:04:05",
        "2026-11-21T10:04:05+01:00",
        "2026-11-21T10:04:05.Z",
        "2026-11-21 10:04:05",
        "2026-11-21T10:04:05Zx",
        "1969-12-31T23:59:59Z",
        "99999-01-01T00:00:00Z",
        "2026-1-01T00:00:00Z",
    };
    for (size_t i = 0; i < EBB_ARRAY_LEN(wrong); i++) {
        int64_t ns = 42;
        struct ebb_error err;
        assert_int_equal(ebb_time_parse(wrong[i], &ns, &err), EBB_ERR_INPUT);
        assert_true(ns == 42);
    }
}

static int64_t simulated(void *ctx)
{
    return *(int64_t *)ctx;
}

static void a_given_clock_is_asked(void **state)
{
    (void)state;
    int64_t now = 17;
    struct ebb_clock clock = {simulated, simulated, &now};
    assert_true(ebb_now_ns(&clock) == 17 && ebb_wall_ns(&clock) == 17);
    int64_t a = ebb_now_ns(NULL);
    assert_true(ebb_now_ns(NULL) >= a);
    assert_true(ebb_wall_ns(NULL) > INT64_C(1700000000) * EBB_NS_PER_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_times_format),
        cmocka_unit_test(formatting_agrees_with_the_c_library),
        cmocka_unit_test(both_forms_parse),
        cmocka_unit_test(wrong_times_are_refused),
        cmocka_unit_test(a_given_clock_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
