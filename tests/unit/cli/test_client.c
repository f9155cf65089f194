/* Calls to the scheduler, against the real socket and frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "tests/unit/cli/fake_scheduler.h"

static void the_state_folder_is_found(void **state)
{
    (void)state;
    assert_int_equal(setenv("EBB_STATE_DIR", "/x/y", 1), 0);
    EBB_AUTO_FREE char *a = ebb_state_path("scheduler.sock");
    assert_string_equal(a, "/x/y/scheduler.sock");
    assert_int_equal(setenv("EBB_STATE_DIR", "", 1), 0);
    assert_int_equal(setenv("XDG_STATE_HOME", "/state", 1), 0);
    EBB_AUTO_FREE char *b = ebb_state_dir();
    assert_string_equal(b, "/state/ebb");
    assert_int_equal(setenv("XDG_STATE_HOME", "relative", 1), 0);
    assert_int_equal(setenv("HOME", "/home/me", 1), 0);
    EBB_AUTO_FREE char *c = ebb_state_dir();
    assert_string_equal(c, "/home/me/.local/state/ebb");
    assert_int_equal(setenv("EBB_STATE_DIR", "here", 1), 0);
    EBB_AUTO_FREE char *d = ebb_state_dir();
    assert_int_equal(d[0], '/');
}

static void without_a_scheduler_the_error_says_what_to_do(void **state)
{
    (void)state;
    assert_int_equal(setenv("EBB_STATE_DIR", "/tmp/ebb-no-such-folder", 1), 0);
    struct ebb_client *c = NULL;
    struct ebb_error err = {0};
    assert_int_equal(ebb_client_open(&c, &err), EBB_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "'ebb submit' starts one"));
    assert_null(c);
}

static void answer(void *ctx, const Ebb__ClientRequest *q, Ebb__ClientAnswer *a)
{
    static Ebb__PingAnswer ping = EBB__PING_ANSWER__INIT;
    (void)ctx;
    if (q->kind_case == EBB__CLIENT_REQUEST__KIND_PING) {
        ping.version = (char *)"9";
        ping.pid = 17;
        a->ping = &ping;
    } else if (q->kind_case == EBB__CLIENT_REQUEST__KIND_BAGS) {
        a->code = EBB_ERR_NOT_FOUND;
        a->text = (char *)"no bag 'demu', did you mean 'demo'?";
    } else {
        a->ping = &ping; /* the wrong kind */
    }
}

static void answers_come_typed_and_errors_as_errors(void **state)
{
    (void)state;
    struct fake_scheduler f = {.answer = answer};
    fake_scheduler_start(&f);
    EBB_AUTO(ebb_client_auto) struct ebb_client *c = NULL;
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *a = NULL;
    Ebb__ClientAnswer *none = NULL;
    struct ebb_error err = {0};
    assert_int_equal(ebb_client_connect(&c, &err), 0);
    assert_int_equal(ebb_ask_ping(c, &a, &err), 0);
    assert_int_equal(a->ping->pid, 17);
    assert_int_equal(ebb_ask_bags(c, "demu", &none, &err), EBB_ERR_NOT_FOUND);
    assert_string_equal(err.text, "no bag 'demu', did you mean 'demo'?");
    assert_int_equal(ebb_ask_events(c, "", 0, 1, 0, &none, &err), EBB_ERR_CORRUPT);
    assert_int_equal(ebb_ask_spec(c, "x", &none, &err), EBB_ERR_CORRUPT);
    assert_null(none);
    assert_int_equal(f.calls, 4);
    fake_scheduler_stop(&f);
}

static void a_job_argument_may_name_its_bag(void **state)
{
    (void)state;
    EBB_AUTO_FREE char *bag = NULL, *job = NULL, *bag2 = NULL, *job2 = NULL;
    ebb_job_argument("nvt,t=1", &bag, &job);
    assert_string_equal(bag, "last");
    assert_string_equal(job, "nvt,t=1");
    ebb_job_argument("demo/3", &bag2, &job2);
    assert_string_equal(bag2, "demo");
    assert_string_equal(job2, "3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_state_folder_is_found),
        cmocka_unit_test(without_a_scheduler_the_error_says_what_to_do),
        cmocka_unit_test(answers_come_typed_and_errors_as_errors),
        cmocka_unit_test(a_job_argument_may_name_its_bag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
