/* Back-off: what is tried again, for how long, and that a cancelled call returns soon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "cloud/retry.h"

static void permanent_failures_are_not_tried_again(void **state)
{
    (void)state;
    struct ebb_retry r;
    const int codes[] = {EBB_ERR_INPUT, EBB_ERR_DENIED,  EBB_ERR_NOT_FOUND,   EBB_ERR_NO_CAPACITY,
                         EBB_ERR_QUOTA, EBB_ERR_CORRUPT, EBB_ERR_PRECONDITION};
    ebb_retry_init(&r, 100, NULL);
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        assert_false(ebb_retry_again(&r, codes[i]));
    assert_true(ebb_retry_again(&r, EBB_ERR_UNAVAILABLE));
}

static void tries_end_before_the_deadline(void **state)
{
    (void)state;
    struct ebb_retry r;
    int64_t begin_ns = ebb_now_ns(NULL);
    unsigned tries = 0;
    ebb_retry_init(&r, 0.6, NULL);
    while (ebb_retry_again(&r, EBB_ERR_UNAVAILABLE))
        tries++;
    assert_in_range(tries, 1, 1000);
    assert_true(ebb_now_ns(NULL) - begin_ns <
                20 * EBB_NS_PER_S); /* not by it, but by the machine */
    ebb_retry_init(&r, 0, NULL);
    assert_false(ebb_retry_again(&r, EBB_ERR_THROTTLED));
}

static void *cancel_soon(void *flag)
{
    const struct timespec nap = {.tv_nsec = 100000000};
    nanosleep(&nap, NULL);
    atomic_store((atomic_int *)flag, 1);
    return NULL;
}

static void a_cancelled_wait_ends_soon(void **state)
{
    (void)state;
    atomic_int cancel = 0;
    pthread_t thread;
    struct ebb_retry r;
    int64_t begin_ns = ebb_now_ns(NULL);
    ebb_retry_init(&r, 1000, &cancel);
    r.tries = 12; /* waits of some seconds by now */
    pthread_create(&thread, NULL, cancel_soon, &cancel);
    while (ebb_retry_again(&r, EBB_ERR_THROTTLED))
        ;
    assert_true(ebb_retry_is_cancelled(&r));
    pthread_join(thread, NULL);
    assert_true(ebb_now_ns(NULL) - begin_ns < 25 * EBB_NS_PER_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permanent_failures_are_not_tried_again),
        cmocka_unit_test(tries_end_before_the_deadline),
        cmocka_unit_test(a_cancelled_wait_ends_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
