/* Availability traces: read, checked, put together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "simulator/traces.h"

static void refuse(const char *text, const char *part)
{
    struct ebb_trace t = {0};
    struct ebb_error err = {0};
    assert_int_equal(ebb_trace_parse("zone.json", text, strlen(text), &t, &err), EBB_ERR_INPUT);
    if (strstr(err.text, part) == NULL)
        fail_msg("'%s' is not in '%s'", part, err.text);
    assert_null(t.up);
}

static void a_trace_is_read_with_its_zone_and_region(void **state)
{
    (void)state;
    const char *text = "{\"metadata\": {\"gap_seconds\": 600}, \"data\": [1, 0, 1.0]}";
    struct ebb_trace t = {0};
    struct ebb_error err = {0};
    const char *path = "/x/2023-02-aws-us-east-1a_v100_1.json";
    assert_int_equal(ebb_trace_parse(path, text, strlen(text), &t, &err), 0);
    assert_string_equal(t.name, "2023-02-aws-us-east-1a_v100_1");
    assert_string_equal(t.region, "2023-02-aws-us-east-1");
    assert_int_equal(t.len, 3);
    assert_true(t.up[0] == 1 && t.up[1] == 0 && t.up[2] == 1);
    assert_true(ebb_trace_share_up(&t, 0, 2) == 0.5);
    ebb_trace_clean_up(&t);
}

static void values_that_are_no_availability_are_refused_with_their_line(void **state)
{
    (void)state;
    refuse("{\"metadata\": {\"gap_seconds\": 600},\n\"data\": [1,\n0,\n2]}",
           "zone.json:4: data[2]");
    refuse("{\"metadata\": {\"gap_seconds\": 600},\n\"data\": [1,\n-1]}", "zone.json:3: data[1]");
    refuse("{\"metadata\": {\"gap_seconds\": 600}, \"data\": [true, 1]}", "data[0]");
    refuse("{\"metadata\": {\"gap_seconds\": 600}, \"data\": [0.5, 1]}", "data[0]");
    refuse("{\"metadata\": {\"gap_seconds\": 600}, \"data\": [1, null]}", "data[1]");
    refuse("{\"metadata\": {\"gap_seconds\": 600},\n\"data\": [1, NaN]}", "zone.json:2:");
}

static void gaps_and_lengths_are_checked(void **state)
{
    (void)state;
    refuse("{\"data\": [1, 0]}", "gap_seconds");
    refuse("{\"metadata\": {\"gap_seconds\": 0}, \"data\": [1, 0]}", "gap_seconds");
    refuse("{\"metadata\": {\"gap_seconds\": -5}, \"data\": [1, 0]}", "gap_seconds");
    refuse("{\"metadata\": {\"gap_seconds\": \"5\"}, \"data\": [1, 0]}", "gap_seconds");
    refuse("{\"metadata\": {\"gap_seconds\": 5}, \"data\": []}", "at least two");
    refuse("{\"metadata\": {\"gap_seconds\": 5}}", "at least two");
    refuse("[]", "gap_seconds");
    refuse("", "zone.json:1:");
}

static void traces_of_one_set_have_one_gap(void **state)
{
    (void)state;
    const char *text[2] = {"{\"metadata\": {\"gap_seconds\": 600}, \"data\": [1, 0]}",
                           "{\"metadata\": {\"gap_seconds\": 195}, \"data\": [1, 0]}"};
    struct ebb_traces set = {0};
    struct ebb_trace t = {0};
    struct ebb_error err = {0};
    assert_int_equal(ebb_trace_parse("a.json", text[0], strlen(text[0]), &t, &err), 0);
    assert_int_equal(ebb_traces_add(&set, &t, &err), 0);
    assert_int_equal(ebb_trace_parse("b.json", text[1], strlen(text[1]), &t, &err), 0);
    assert_int_equal(ebb_traces_add(&set, &t, &err), EBB_ERR_INPUT);
    assert_non_null(strstr(err.text, "mixed gap lengths: a has 600 s, b has 195 s"));
    ebb_trace_clean_up(&t);
    ebb_traces_clean_up(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trace_is_read_with_its_zone_and_region),
        cmocka_unit_test(values_that_are_no_availability_are_refused_with_their_line),
        cmocka_unit_test(gaps_and_lengths_are_checked),
        cmocka_unit_test(traces_of_one_set_have_one_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
