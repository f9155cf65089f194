/* Lifetimes: what is read, and what is refused with file and line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "scheduler/core/fit_data.h"

static void refuses(const char *text, const char *message)
{
    struct ebb_error err = {0};
    struct ebb_lifetimes l = {0};
    assert_int_equal(ebb_lifetimes_read(&l, "vms.csv", text, strlen(text), &err), EBB_ERR_INPUT);
    assert_string_equal(err.text, message);
    assert_null(l.rows);
}

static void rows_are_read(void **state)
{
    (void)state;
    static const char text[] = "vm,end,zone,lifetime_s,launched,type\r\n"
                               "a,revoked,us-east1-b,3600,2019-02-18T16:57:39Z,n1-standard-2\r\n"
                               "b,cap,us-east1-b,86400.5,2019-02-19,\r\n"
                               "\"c,d\",stopped,,0,,n1-standard-2\r\n"
                               "e,stopped,us-west1-a,1e3,2019-02-18 23:59:59,n1\r\n";
    EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes l = {0};
    assert_int_equal(ebb_lifetimes_read(&l, "vms.csv", text, strlen(text), NULL), 0);
    assert_int_equal(l.count, 4);
    assert_true(l.rows[0].age_h == 1);
    assert_int_equal(l.rows[0].end, EBB_LIFETIME_REVOKED);
    assert_int_equal(l.rows[0].day, 17945);
    assert_int_equal(l.rows[1].end, EBB_LIFETIME_CAP);
    assert_int_equal(l.rows[1].day, 17946);
    assert_int_equal(l.rows[1].type, -1);
    assert_int_equal(l.rows[1].zone, l.rows[0].zone);
    assert_true(l.rows[2].age_h == EBB_LIFETIME_LEAST_H);
    assert_int_equal(l.rows[2].zone, -1);
    assert_int_equal(l.rows[2].day, EBB_DAY_UNKNOWN);
    assert_int_equal(l.rows[3].day, 17945);
    assert_int_equal(ebb_lifetimes_count(&l, EBB_LIFETIME_STOPPED), 2);
}

static void columns_that_are_not_told_stay_open(void **state)
{
    (void)state;
    static const char text[] = "lifetime_s,end\n60,revoked\n";
    EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes l = {0};
    assert_int_equal(ebb_lifetimes_read(&l, "vms.csv", text, strlen(text), NULL), 0);
    assert_int_equal(l.rows[0].type, -1);
    assert_int_equal(l.rows[0].day, EBB_DAY_UNKNOWN);
}

static void bad_data_are_refused_with_file_and_line(void **state)
{
    (void)state;
    refuses("", "vms.csv:1: empty: the first line names the columns");
    refuses("lifetime_s,end\n", "vms.csv:1: no row below the header");
    refuses("lifetime,end\n1,cap\n",
            "vms.csv:1: no column 'lifetime_s': the columns lifetime_s and end are needed");
    refuses("lifetime_s\n1\n",
            "vms.csv:1: no column 'end': the columns lifetime_s and end are needed");
    refuses("lifetime_s,end\n1,cap\n\n-1,cap\n", "vms.csv:4: lifetime_s -1 is negative");
    refuses("lifetime_s,end\nnan,cap\n",
            "vms.csv:2: lifetime_s 'nan' is no finite number of seconds");
    refuses("lifetime_s,end\ninf,cap\n",
            "vms.csv:2: lifetime_s 'inf' is no finite number of seconds");
    refuses("lifetime_s,end\n1e999,cap\n",
            "vms.csv:2: lifetime_s '1e999' is no finite number of seconds");
    refuses("lifetime_s,end\n,cap\n", "vms.csv:2: lifetime_s is empty");
    refuses("lifetime_s,end\n12h,cap\n",
            "vms.csv:2: lifetime_s '12h' is no finite number of seconds");
    refuses("lifetime_s,end\n1e12,cap\n", "vms.csv:2: lifetime_s 1e12 is over 100 years");
    refuses("lifetime_s,end\n1,preempted\n",
            "vms.csv:2: end 'preempted' is not one of revoked, cap, stopped");
    refuses("lifetime_s,end\n1\n", "vms.csv:2: 1 values in a table of 2 columns");
    refuses("lifetime_s,end,launched\n1,cap,yesterday\n",
            "vms.csv:2: launched 'yesterday' is no UTC time: write it as 2019-02-18T16:57:39Z");
    refuses("lifetime_s,end,launched\n1,cap,2019-02-30\n",
            "vms.csv:2: launched '2019-02-30' is no UTC time: write it as 2019-02-18T16:57:39Z");
}

static void days_of_launch_are_counted_from_1970(void **state)
{
    (void)state;
    static const struct {
        const char *time;
        int day;
    } cases[] = {{"1970-01-01", 0},
                 {"1970-01-02T00:00:00Z", 1},
                 {"1999-12-31T23:59", 10956},
                 {"2000-02-29 12:00:00.5 UTC", 11016},
                 {"2000-03-01T00:00:00+00:00", 11017},
                 {"2026-11-21T10:04:05Z", 20778}};
    for (size_t i = 0; i < EBB_ARRAY_LEN(cases); i++) {
        EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes l = {0};
        EBB_AUTO_FREE char *text =
            ebb_sprintf("lifetime_s,end,launched\n1,cap,%s\n", cases[i].time);
        assert_int_equal(ebb_lifetimes_read(&l, "vms.csv", text, strlen(text), NULL), 0);
        assert_int_equal(l.rows[0].day, cases[i].day);
    }
    refuses("lifetime_s,end,launched\n1,cap,1900-01-01\n",
            "vms.csv:2: launched '1900-01-01' is no UTC time: write it as 2019-02-18T16:57:39Z");
    refuses("lifetime_s,end,launched\n1,cap,2019-02-18T16:57:39+02:00\n",
            "vms.csv:2: launched '2019-02-18T16:57:39+02:00' is no UTC time: write it as "
            "2019-02-18T16:57:39Z");
}

static void the_cap_ends_the_lives_that_reached_it(void **state)
{
    (void)state;
    static const char text[] = "lifetime_s,end\n86400,revoked\n86500,stopped\n86399,revoked\n";
    EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes l = {0};
    assert_int_equal(ebb_lifetimes_read(&l, "vms.csv", text, strlen(text), NULL), 0);
    ebb_lifetimes_cap(&l, 24);
    assert_int_equal(ebb_lifetimes_count(&l, EBB_LIFETIME_CAP), 2);
    assert_true(l.rows[1].age_h == 24);
    assert_int_equal(l.rows[2].end, EBB_LIFETIME_REVOKED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_read),
        cmocka_unit_test(columns_that_are_not_told_stay_open),
        cmocka_unit_test(bad_data_are_refused_with_file_and_line),
        cmocka_unit_test(days_of_launch_are_counted_from_1970),
        cmocka_unit_test(the_cap_ends_the_lives_that_reached_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
