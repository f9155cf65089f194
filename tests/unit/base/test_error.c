/* Errors carry code, errno and one line of text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

static void set_returns_code_and_fills_text(void **state)
{
    (void)state;
    struct ebb_error err = {0};
    assert_int_equal(ebb_error_set(&err, EBB_ERR_THROTTLED, "slow %d", 7), EBB_ERR_THROTTLED);
    assert_int_equal(err.code, EBB_ERR_THROTTLED);
    assert_string_equal(err.text, "slow 7");
}

static void null_error_is_allowed_everywhere(void **state)
{
    (void)state;
    assert_int_equal(ebb_error_set(NULL, EBB_ERR_IO, "x"), EBB_ERR_IO);
    assert_int_equal(ebb_error_set_errno(NULL, EBB_ERR_IO, ENOSPC, "x"), EBB_ERR_NO_SPACE);
    assert_int_equal(ebb_error_wrap(NULL, EBB_ERR_THROTTLED, "x"), EBB_ERR_THROTTLED);
    ebb_error_clear(NULL);
    ebb_error_copy(NULL, NULL);
}

static void errno_decides_no_space_and_not_found(void **state)
{
    (void)state;
    struct ebb_error err;
    assert_int_equal(ebb_error_set_errno(&err, EBB_ERR_IO, EDQUOT, "w"), EBB_ERR_NO_SPACE);
    assert_int_equal(ebb_error_set_errno(&err, EBB_ERR_IO, ENOENT, "open f"), EBB_ERR_NOT_FOUND);
    assert_string_equal(err.text, "open f: No such file or directory");
    assert_int_equal(err.sys_errno, ENOENT);
    assert_int_equal(ebb_error_set_errno(&err, EBB_ERR_IO, EACCES, "o"), EBB_ERR_IO);
}

static void wrap_puts_context_before_and_keeps_the_code(void **state)
{
    (void)state;
    struct ebb_error err;
    ebb_error_set(&err, EBB_ERR_CORRUPT, "bad hash");
    assert_int_equal(ebb_error_wrap(&err, EBB_ERR_CORRUPT, "chunk %d", 3), EBB_ERR_CORRUPT);
    assert_string_equal(err.text, "chunk 3: bad hash");
    assert_int_equal(err.code, EBB_ERR_CORRUPT);
}

static void text_is_cut_to_whole_characters_and_one_line(void **state)
{
    (void)state;
    struct ebb_error err;
    char big[1200];
    memset(big, 'x', sizeof(big));
    big[sizeof(big) - 1] = '\0';
    memcpy(big + sizeof(err.text) - 2, "\xe2\x82\xac", 3); /* the cut falls inside */
    ebb_error_set(&err, EBB_ERR_INPUT, "%s", big);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 2);
    ebb_error_set(&err, EBB_ERR_INPUT, "a\nb\r\n");
    assert_string_equal(err.text, "a b  ");
    (void)ebb_error_wrap(&err, err.code, "%s", big);
    assert_true(strlen(err.text) < sizeof(err.text));
}

static void own_text_may_be_an_argument(void **state)
{
    (void)state;
    struct ebb_error err;
    ebb_error_set(&err, EBB_ERR_INPUT, "inner");
    ebb_error_set(&err, EBB_ERR_IO, "outer (%s)", err.text);
    assert_string_equal(err.text, "outer (inner)");
}

static void every_code_has_a_name_of_its_own_and_an_exit_status(void **state)
{
    (void)state;
    for (int a = 0; a >= EBB_ERR_INTERNAL; a--) {
        assert_string_not_equal(ebb_code_name(a), "unknown");
        assert_in_range(ebb_code_exit_status(a), a == 0 ? 0 : 1, 3);
        for (int b = a - 1; b >= EBB_ERR_INTERNAL; b--)
            assert_string_not_equal(ebb_code_name(a), ebb_code_name(b));
    }
    assert_int_equal(ebb_code_exit_status(EBB_ERR_INPUT), 2);
    assert_int_equal(ebb_code_exit_status(EBB_ERR_DENIED), 3);
    assert_int_equal(ebb_code_exit_status(EBB_ERR_PREEMPTED), 1);
}

static void retry_and_throttled_alone_are_transient(void **state)
{
    (void)state;
    assert_true(ebb_code_is_transient(EBB_ERR_TIMEOUT));
    assert_true(ebb_code_is_transient(EBB_ERR_THROTTLED));
    assert_false(ebb_code_is_transient(EBB_ERR_NO_CAPACITY));
    assert_false(ebb_code_is_transient(EBB_ERR_FENCED));
    assert_false(ebb_code_is_transient(EBB_OK));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_returns_code_and_fills_text),
        cmocka_unit_test(null_error_is_allowed_everywhere),
        cmocka_unit_test(errno_decides_no_space_and_not_found),
        cmocka_unit_test(wrap_puts_context_before_and_keeps_the_code),
        cmocka_unit_test(text_is_cut_to_whole_characters_and_one_line),
        cmocka_unit_test(own_text_may_be_an_argument),
        cmocka_unit_test(every_code_has_a_name_of_its_own_and_an_exit_status),
        cmocka_unit_test(retry_and_throttled_alone_are_transient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
