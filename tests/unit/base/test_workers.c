/* Worker threads: work is done once, handed back on the loop, and given up cleanly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/workers.h"

struct state {
    struct ebb_loop *loop;
    struct ebb_workers *workers;
    atomic_int worked;
    int done;
    int expected;
    pthread_t loop_thread;
    atomic_int hold; /* work waits while it is 1 */
    atomic_int started;
};

static void add_one(void *ctx)
{
    struct state *s = ctx;
    atomic_fetch_add(&s->worked, 1);
}

static void forget(void *ctx)
{
    (void)ctx;
}

static void done_one(void *ctx)
{
    struct state *s = ctx;
    assert_true(pthread_equal(pthread_self(), s->loop_thread));
    if (++s->done == s->expected)
        ebb_loop_stop(s->loop);
}

static void every_item_is_worked_and_done_on_the_loop(void **unused)
{
    (void)unused;
    struct state s = {.loop = ebb_loop_new(), .expected = 5000, .loop_thread = pthread_self()};
    s.workers = ebb_workers_new(s.loop, 4);
    for (int i = 0; i < s.expected; i++)
        ebb_workers_submit(s.workers, add_one, done_one, &s);
    assert_int_equal(ebb_workers_pending(s.workers), 5000);
    assert_int_equal(ebb_loop_run(s.loop, NULL), 0);
    assert_int_equal(s.worked, 5000);
    assert_int_equal(s.done, 5000);
    assert_int_equal(ebb_workers_pending(s.workers), 0);
    ebb_workers_destroy(s.workers);
    ebb_loop_destroy(s.loop);
}

struct handover {
    struct state *state;
    char *text; /* owned: made by work, freed by done */
};

static void make_text(void *ctx)
{
    ((struct handover *)ctx)->text = ebb_strdup("made in a worker");
}

static void take_text(void *ctx)
{
    struct handover *h = ctx;
    assert_string_equal(h->text, "made in a worker");
    free(h->text);
    ebb_loop_stop(h->state->loop);
}

static void ownership_goes_with_the_work_and_back(void **unused)
{
    (void)unused;
    struct state s = {.loop = ebb_loop_new()};
    struct handover h = {.state = &s};
    s.workers = ebb_workers_new(s.loop, 2);
    ebb_workers_submit(s.workers, make_text, take_text, &h);
    assert_int_equal(ebb_loop_run(s.loop, NULL), 0);
    ebb_workers_destroy(s.workers);
    ebb_loop_destroy(s.loop);
}

static void wait_for_release(void *ctx)
{
    struct state *s = ctx;
    atomic_store(&s->started, 1);
    while (atomic_load(&s->hold))
        sched_yield();
    atomic_fetch_add(&s->worked, 1);
}

static void *release(void *ctx)
{
    struct state *s = ctx;
    atomic_store(&s->hold, 0);
    return NULL;
}

static void destroy_drops_queued_work_but_hands_everything_back(void **unused)
{
    (void)unused;
    struct state s = {.loop = ebb_loop_new(), .loop_thread = pthread_self(), .hold = 1};
    s.workers = ebb_workers_new(s.loop, 1);
    ebb_workers_submit(s.workers, wait_for_release, done_one, &s);
    for (int i = 0; i < 10; i++)
        ebb_workers_submit(s.workers, add_one, done_one, &s);
    while (!atomic_load(&s.started))
        sched_yield();
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, release, &s), 0);
    ebb_workers_destroy(s.workers);
    pthread_join(t, NULL);
    assert_true(s.worked >= 1); /* what was under way has ended */
    ebb_loop_run_posted(s.loop);
    assert_int_equal(s.done, 11);
    ebb_loop_destroy(s.loop);
}

static void check_signals_blocked(void *ctx)
{
    struct state *s = ctx;
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    if (sigismember(&now, SIGTERM) && sigismember(&now, SIGCHLD))
        atomic_store(&s->worked, 1);
}

/* Nor does it leak: the sanitizers would tell. */
static void what_the_loop_never_hands_back_goes_with_it(void **unused)
{
    (void)unused;
    struct state s = {.loop = ebb_loop_new(), .loop_thread = pthread_self()};
    s.workers = ebb_workers_new(s.loop, 2);
    for (int i = 0; i < 100; i++) {
        ebb_workers_submit(s.workers, add_one, done_one, &s);
        ebb_workers_submit(s.workers, forget, free, ebb_alloc(10));
    }
    ebb_workers_destroy(s.workers);
    ebb_loop_destroy(s.loop);
    assert_int_equal(s.done, 0);
}

static void workers_take_no_signals(void **unused)
{
    (void)unused;
    struct state s = {.loop = ebb_loop_new(), .loop_thread = pthread_self(), .expected = 1};
    s.workers = ebb_workers_new(s.loop, 1);
    ebb_workers_submit(s.workers, check_signals_blocked, done_one, &s);
    assert_int_equal(ebb_loop_run(s.loop, NULL), 0);
    assert_int_equal(s.worked, 1);
    ebb_workers_destroy(s.workers);
    ebb_loop_destroy(s.loop);
}

static void mark(void *ctx, size_t i)
{
    atomic_fetch_add(&((atomic_int *)ctx)[i], 1);
}

static void parallel_for_runs_every_index_once(void **unused)
{
    (void)unused;
    static atomic_int seen[1000];
    for (unsigned threads = 0; threads <= 5; threads++) {
        for (size_t count = 0; count <= 1000; count += 250) {
            for (size_t i = 0; i < 1000; i++)
                atomic_store(&seen[i], 0);
            ebb_parallel_for(threads, count, mark, seen);
            for (size_t i = 0; i < 1000; i++)
                assert_int_equal(atomic_load(&seen[i]), i < count ? 1 : 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_is_worked_and_done_on_the_loop),
        cmocka_unit_test(ownership_goes_with_the_work_and_back),
        cmocka_unit_test(destroy_drops_queued_work_but_hands_everything_back),
        cmocka_unit_test(what_the_loop_never_hands_back_goes_with_it),
        cmocka_unit_test(workers_take_no_signals),
        cmocka_unit_test(parallel_for_runs_every_index_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
