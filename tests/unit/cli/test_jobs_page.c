/* Jobs page by page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/jobs_page.h"
#include "tests/unit/cli/fake_scheduler.h"

static Ebb__JobStatus jobs[1000];
static Ebb__JobStatus *list[1000];
static uint64_t total;
static char seen_states[64];

static void answer(void *ctx, const Ebb__ClientRequest *q, Ebb__ClientAnswer *a)
{
    static Ebb__JobsAnswer answered;
    (void)ctx;
    ebb__jobs_answer__init(&answered);
    seen_states[0] = '\0';
    for (size_t i = 0; i < q->jobs->n_states; i++) {
        strcat(seen_states, q->jobs->states[i]);
        strcat(seen_states, " ");
    }
    answered.total = total;
    for (uint64_t i = q->jobs->first; i < total && answered.n_jobs < q->jobs->limit; i++) {
        Ebb__JobStatus *j = &jobs[answered.n_jobs];
        ebb__job_status__init(j);
        j->job = i;
        list[answered.n_jobs++] = j;
    }
    answered.jobs = list;
    a->jobs = &answered;
}

static int in_order(void *ctx, const Ebb__JobStatus *j)
{
    uint64_t *next = ctx;
    assert_int_equal(j->job, *next);
    ++*next;
    return *next == 2222 ? 5 : 0;
}

static int setup(void **state)
{
    static struct fake_scheduler f = {.answer = answer};
    fake_scheduler_start(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    fake_scheduler_stop(*state);
    return 0;
}

static uint64_t count_jobs(uint64_t limit, int want)
{
    EBB_AUTO(ebb_client_auto) struct ebb_client *c = NULL;
    struct ebb_error err = {0};
    uint64_t next = 0, all = 0;
    assert_int_equal(ebb_client_connect(&c, &err), 0);
    assert_int_equal(ebb_jobs_each(c, "b", "failed,done", limit, in_order, &next, &all, &err),
                     want);
    assert_string_equal(seen_states, "failed done ");
    assert_int_equal(all, total);
    return next;
}

static void all_pages_come_in_order(void **state)
{
    (void)state;
    total = 0;
    assert_int_equal(count_jobs(0, 0), 0);
    total = 2000;
    assert_int_equal(count_jobs(0, 0), 2000);
    total = 2001;
    assert_int_equal(count_jobs(0, 0), 2001);
    assert_int_equal(count_jobs(1500, 0), 1500);
    assert_int_equal(count_jobs(7, 0), 7);
    total = 5000;
    assert_int_equal(count_jobs(0, 5), 2222);
}

static void a_state_that_does_not_exist_is_refused(void **state)
{
    (void)state;
    EBB_AUTO(ebb_client_auto) struct ebb_client *c = NULL;
    struct ebb_error err = {0};
    uint64_t all = 0;
    assert_int_equal(ebb_client_connect(&c, &err), 0);
    assert_int_equal(ebb_jobs_each(c, "b", "faild", 0, in_order, NULL, &all, &err), EBB_ERR_INPUT);
    assert_string_equal(err.text, "unknown state 'faild', did you mean 'failed'?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_pages_come_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_state_that_does_not_exist_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
