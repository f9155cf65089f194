/* The log's lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

static char *text;
static size_t len;

static FILE *capture(void)
{
    text = NULL;
    return open_memstream(&text, &len);
}

static void release(FILE *out)
{
    (void)fclose(out);
    free(text);
    ebb_log_init("", EBB_LOG_INFO, NULL);
}

static void a_line_has_time_program_level_and_message(void **state)
{
    (void)state;
    FILE *out = capture();
    ebb_log_init("agent i-0abc", EBB_LOG_INFO, out);
    ebb_log_warn("lost %d", 3);
    assert_non_null(strstr(text, "Z agent i-0abc warn: lost 3\n"));
    text[24] = '\0';
    int64_t ns;
    assert_int_equal(ebb_time_parse(text, &ns, NULL), 0);
    release(out);
}

static void levels_below_are_left_out(void **state)
{
    (void)state;
    FILE *out = capture();
    ebb_log_init("x", EBB_LOG_WARN, out);
    ebb_log_info("hidden");
    ebb_log_set_level(EBB_LOG_DEBUG);
    ebb_log_debug("shown");
    assert_null(strstr(text, "hidden"));
    assert_non_null(strstr(text, "debug: shown"));
    release(out);
}

static void the_environment_decides_the_level(void **state)
{
    (void)state;
    FILE *out = capture();
    assert_int_equal(setenv("EBB_LOG", "debug", 1), 0);
    ebb_log_init("x", EBB_LOG_ERROR, out);
    assert_int_equal(unsetenv("EBB_LOG"), 0);
    ebb_log_debug("shown");
    assert_non_null(strstr(text, "shown"));
    release(out);
}

static void a_message_is_one_printable_line(void **state)
{
    (void)state;
    FILE *out = capture();
    ebb_log_init("x", EBB_LOG_INFO, out);
    ebb_log_info("a\nb\x1b[31mc");
    assert_non_null(strstr(text, "info: a b [31mc\n"));
    release(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_program_level_and_message),
        cmocka_unit_test(levels_below_are_left_out),
        cmocka_unit_test(the_environment_decides_the_level),
        cmocka_unit_test(a_message_is_one_printable_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
