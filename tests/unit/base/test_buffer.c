/* Growable buffers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/buffer.h"

static void an_empty_buffer_reads_as_empty_text(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    assert_string_equal(ebb_buffer_text(&b), "");
    EBB_AUTO_FREE char *text = ebb_buffer_take_text(&b);
    assert_string_equal(text, "");
}

static void appending_keeps_a_nul_at_the_end(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    for (int i = 0; i < 1000; i++) {
        ebb_buffer_append(&b, "ab", 2);
        assert_int_equal(b.len, 2 * (i + 1));
        assert_int_equal(b.data[b.len], 0);
    }
    ebb_buffer_append(&b, NULL, 0);
    ebb_buffer_reset(&b);
    assert_string_equal(ebb_buffer_text(&b), "");
}

static void printf_grows_to_whatever_length(void **state)
{
    (void)state;
    for (int width = 0; width < 600; width++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        ebb_buffer_append_text(&b, "head");
        ebb_buffer_printf(&b, "%*d|", width, 7);
        assert_int_equal(b.len, strlen(ebb_buffer_text(&b)));
        assert_int_equal(b.len, 4 + (width == 0 ? 1 : width) + 1);
        assert_int_equal(b.data[b.len - 1], '|');
    }
}

static void taken_text_leaves_the_buffer_empty(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    ebb_buffer_append_text(&b, "kept");
    EBB_AUTO_FREE char *text = ebb_buffer_take_text(&b);
    assert_string_equal(text, "kept");
    assert_int_equal(b.len, 0);
    assert_null(b.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_reads_as_empty_text),
        cmocka_unit_test(appending_keeps_a_nul_at_the_end),
        cmocka_unit_test(printf_grows_to_whatever_length),
        cmocka_unit_test(taken_text_leaves_the_buffer_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
