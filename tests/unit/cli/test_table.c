/* Text tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "cli/table.h"

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
    (void)state;
    struct ebb_table *t = ebb_table_new("JOB\t>STEP\tSTATE");
    ebb_table_row(t, "%s\t%d\t%s", "nvt,t=290", 12, "done");
    ebb_table_row(t, "%s\t%d", "\xc3\xa4", 12345);
    struct ebb_buffer out = {0};
    ebb_table_render(t, 0, "  ", &out);
    assert_string_equal(ebb_buffer_text(&out), "  JOB         STEP  STATE\n"
                                               "  nvt,t=290     12  done\n"
                                               "  \xc3\xa4          12345\n");
    assert_int_equal(ebb_table_row_count(t), 2);
    ebb_buffer_clean_up(&out);
    ebb_table_destroy(t);
    ebb_table_destroy(NULL);
}

static void elastic_columns_are_cut_to_the_width(void **state)
{
    (void)state;
    struct ebb_table *t = ebb_table_new("A\t*NOTE");
    ebb_table_row(t, "x\t%s", "a rather long note that does not fit on a narrow screen");
    struct ebb_buffer out = {0};
    ebb_table_render(t, 24, "", &out);
    assert_string_equal(ebb_buffer_text(&out), "A  NOTE\nx  a rather long note...\n");
    ebb_buffer_reset(&out);
    ebb_table_render(t, 5, "", &out);
    assert_string_equal(ebb_buffer_text(&out), "A  NOTE\nx  a rather ...\n");
    ebb_buffer_clean_up(&out);
    ebb_table_destroy(t);
}

static void cells_cannot_move_the_cursor(void **state)
{
    (void)state;
    struct ebb_table *t = ebb_table_new("A\tB");
    ebb_table_row(t, "x\x1b[2J\n\ty");
    struct ebb_buffer out = {0};
    ebb_table_render(t, 0, "", &out);
    assert_string_equal(ebb_buffer_text(&out), "A       B\nx [2J   y\n");
    ebb_buffer_clean_up(&out);
    ebb_table_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
        cmocka_unit_test(elastic_columns_are_cut_to_the_width),
        cmocka_unit_test(cells_cannot_move_the_cursor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
