/* Comma-separated text: quotes, line ends and faults with their line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/csv.h"

static void fault(const char *text, size_t len, const char *message)
{
    struct ebb_error err = {0};
    struct ebb_csv c;
    int rc = ebb_csv_open(&c, "t.csv", text, len, &err);
    if (rc == 0) {
        while ((rc = ebb_csv_next(&c, &err)) > 0) {
        }
        ebb_csv_clean_up(&c);
    }
    assert_int_equal(rc, EBB_ERR_INPUT);
    assert_string_equal(err.text, message);
}

static void rows_are_read_by_column(void **state)
{
    (void)state;
    const char text[] = "\xef\xbb\xbf"
                        "a, b ,\"c,\"\"d\"\"\"\r\n1,two,3\r\n\r\n \"x\ny\" ,, z \n4,5,6";
    struct ebb_csv c;
    assert_int_equal(ebb_csv_open(&c, "t.csv", text, sizeof text - 1, NULL), 0);
    assert_int_equal(c.columns, 3);
    assert_int_equal(ebb_csv_column(&c, "b"), 1);
    assert_int_equal(ebb_csv_column(&c, "c,\"d\""), 2);
    assert_int_equal(ebb_csv_column(&c, "e"), -1);
    assert_int_equal(ebb_csv_next(&c, NULL), 1);
    assert_int_equal(c.line, 3 - 1);
    assert_string_equal(ebb_csv_cell(&c, 1), "two");
    assert_string_equal(ebb_csv_cell(&c, -1), "");
    assert_int_equal(ebb_csv_next(&c, NULL), 1);
    assert_int_equal(c.line, 4);
    assert_string_equal(ebb_csv_cell(&c, 0), "x\ny");
    assert_string_equal(ebb_csv_cell(&c, 1), "");
    assert_string_equal(ebb_csv_cell(&c, 2), "z");
    assert_int_equal(ebb_csv_next(&c, NULL), 1);
    assert_int_equal(c.line, 6);
    assert_string_equal(ebb_csv_cell(&c, 2), "6");
    assert_int_equal(ebb_csv_next(&c, NULL), 0);
    ebb_csv_clean_up(&c);
}

static void faults_name_file_and_line(void **state)
{
    (void)state;
    fault("", 0, "t.csv:1: empty: the first line names the columns");
    fault("\n \n", 3, "t.csv:1: empty: the first line names the columns");
    fault("a,,b\n", 5, "t.csv:1: column 2 has no name");
    fault("a,b,a\n", 6, "t.csv:1: two columns are named 'a'");
    fault("a,b\n1,2\n\n3\n", 11, "t.csv:4: 1 values in a table of 2 columns");
    fault("a\n\"1\n2", 6, "t.csv:2: the quoted value has no closing quote");
    fault("a\n\"1\"2\n", 7, "t.csv:2: text after the closing quote");
    fault("a\n1\0\n", 5, "t.csv:2: the row holds a NUL byte: this is no text");
    fault("a\n\"\0\"\n", 6, "t.csv:2: the row holds a NUL byte: this is no text");
}

static void comments_stand_before_the_header(void **state)
{
    (void)state;
    static const char text[] = "# of 2026\n\n#\n a\n#1\n";
    struct ebb_csv c;
    assert_int_equal(ebb_csv_open(&c, "t.csv", text, sizeof text - 1, NULL), 0);
    assert_int_equal(ebb_csv_column(&c, "a"), 0);
    assert_int_equal(ebb_csv_next(&c, NULL), 1);
    assert_int_equal(c.line, 5);
    assert_string_equal(ebb_csv_cell(&c, 0), "#1");
    ebb_csv_clean_up(&c);
    fault("# only", 6, "t.csv:1: empty: the first line names the columns");
}

static void rows_wider_than_the_limit_are_refused(void **state)
{
    (void)state;
    char text[2 * EBB_CSV_MAX_COLUMNS + 8];
    memset(text, ',', sizeof text);
    fault(text, sizeof text, "t.csv:1: more than 256 columns");
}

static void cells_that_are_quoted_read_back(void **state)
{
    (void)state;
    static const char *const cells[] = {"",       "plain",  "a,b",     "say \"x\"", "two\nlines",
                                        " space", "space ", "\ttab\t", "\r"};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_buffer_append_text(&out, "x,y\n");
    for (size_t i = 0; i < EBB_ARRAY_LEN(cells); i++) {
        ebb_csv_quote(&out, cells[i]);
        ebb_buffer_append_text(&out, ",1\n");
    }
    struct ebb_csv c;
    assert_int_equal(ebb_csv_open(&c, "t", ebb_buffer_text(&out), out.len, NULL), 0);
    for (size_t i = 0; i < EBB_ARRAY_LEN(cells); i++) {
        assert_int_equal(ebb_csv_next(&c, NULL), 1);
        assert_string_equal(ebb_csv_cell(&c, 0), cells[i]);
    }
    ebb_csv_clean_up(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_read_by_column),
        cmocka_unit_test(faults_name_file_and_line),
        cmocka_unit_test(comments_stand_before_the_header),
        cmocka_unit_test(rows_wider_than_the_limit_are_refused),
        cmocka_unit_test(cells_that_are_quoted_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
