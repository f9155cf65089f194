/* The event loop: timers, posts, signals, watches that destroy themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/memory.h"

struct state {
    struct ebb_loop *loop;
    struct ebb_timer *timer;
    int count;
    int64_t fired_ns;
    char order[16];
};

static void note(struct state *s, char c)
{
    size_t n = strlen(s->order);
    s->order[n] = c;
}

static void stop(void *ctx)
{
    ebb_loop_stop(((struct state *)ctx)->loop);
}

static void on_timer_stop(void *ctx)
{
    struct state *s = ctx;
    s->fired_ns = ebb_now_ns(NULL);
    stop(ctx);
}

static void timer_never_fires_early(void **unused)
{
    (void)unused;
    struct state s = {.loop = ebb_loop_new()};
    struct ebb_timer *t = ebb_timer_new(s.loop, on_timer_stop, &s);
    for (int ms = 1; ms <= 40; ms += 13) {
        int64_t start_ns = ebb_now_ns(NULL);
        ebb_timer_set(t, ms * EBB_NS_PER_MS);
        assert_int_equal(ebb_loop_run(s.loop, NULL), 0);
        assert_true(s.fired_ns - start_ns >= ms * EBB_NS_PER_MS);
    }
    ebb_timer_destroy(t);
    ebb_loop_destroy(s.loop);
}

static void on_timer_again(void *ctx)
{
    struct state *s = ctx;
    if (++s->count < 5)
        ebb_timer_set(s->timer, 0);
    else
        ebb_loop_stop(s->loop);
}

static void timer_can_be_set_from_its_callback(void **unused)
{
    (void)unused;
    struct state s = {.loop = ebb_loop_new()};
    s.timer = ebb_timer_new(s.loop, on_timer_again, &s);
    ebb_timer_set(s.timer, 0);
    assert_int_equal(ebb_loop_run(s.loop, NULL), 0);
    assert_int_equal(s.count, 5);
    ebb_timer_destroy(s.timer);
    ebb_loop_destroy(s.loop);
}

static void unset_timer_does_not_fire(void **unused)
{
    (void)unused;
    struct state s = {.loop = ebb_loop_new()}, never = {.loop = s.loop};
    struct ebb_timer *gone = ebb_timer_new(s.loop, on_timer_again, &never);
    struct ebb_timer *end = ebb_timer_new(s.loop, on_timer_stop, &s);
    never.timer = gone;
    ebb_timer_set(gone, EBB_NS_PER_MS);
    ebb_timer_unset(gone);
    ebb_timer_set(end, 20 * EBB_NS_PER_MS);
    assert_int_equal(ebb_loop_run(s.loop, NULL), 0);
    assert_int_equal(never.count, 0);
    ebb_timer_destroy(gone);
    ebb_timer_destroy(end);
    ebb_loop_destroy(s.loop);
}

static void on_timer_destroy_self(void *ctx)
{
    struct state *s = ctx;
    ebb_timer_destroy(s->timer);
    ebb_loop_stop(s->loop);
}

static void timer_may_destroy_itself(void **unused)
{
    (void)unused;
    struct state s = {.loop = ebb_loop_new()};
    s.timer = ebb_timer_new(s.loop, on_timer_destroy_self, &s);
    ebb_timer_set(s.timer, INT64_C(-5));
    assert_int_equal(ebb_loop_run(s.loop, NULL), 0);
    ebb_loop_destroy(s.loop);
}

static void post_b(void *ctx)
{
    note(ctx, 'b');
}

static void post_d_and_stop(void *ctx)
{
    note(ctx, 'd');
    stop(ctx);
}

static void post_a(void *ctx)
{
    note(ctx, 'a');
    ebb_loop_post(((struct state *)ctx)->loop, post_d_and_stop, ctx);
}

static void post_c(void *ctx)
{
    note(ctx, 'c');
}

static void posts_run_in_order(void **unused)
{
    (void)unused;
    struct state s = {.loop = ebb_loop_new()};
    ebb_loop_post(s.loop, post_a, &s);
    ebb_loop_post(s.loop, post_b, &s);
    ebb_loop_post(s.loop, post_c, &s);
    assert_int_equal(ebb_loop_run(s.loop, NULL), 0);
    assert_string_equal(s.order, "abcd");
    ebb_loop_destroy(s.loop);
}

static void stop_before_run_is_kept(void **unused)
{
    (void)unused;
    struct state s = {.loop = ebb_loop_new()};
    ebb_loop_stop(s.loop);
    assert_int_equal(ebb_loop_run(s.loop, NULL), 0);
    ebb_loop_destroy(s.loop);
}

#define POSTS_PER_THREAD 5000

static void count_one(void *ctx)
{
    struct state *s = ctx;
    if (++s->count == 4 * POSTS_PER_THREAD)
        ebb_loop_stop(s->loop);
}

static void *post_many(void *ctx)
{
    struct state *s = ctx;
    for (int i = 0; i < POSTS_PER_THREAD; i++)
        ebb_loop_post(s->loop, count_one, s);
    return NULL;
}

static void no_post_from_any_thread_is_lost(void **unused)
{
    (void)unused;
    struct state s = {.loop = ebb_loop_new()};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &s), 0);
    assert_int_equal(ebb_loop_run(s.loop, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(s.count, 4 * POSTS_PER_THREAD);
    ebb_loop_destroy(s.loop);
}

static void posts_left_at_destroy_are_freed(void **unused)
{
    (void)unused;
    struct state s = {.loop = ebb_loop_new()};
    ebb_loop_post(s.loop, post_a, &s);
    ebb_loop_destroy(s.loop);
    assert_string_equal(s.order, "");
}

static void on_pipe(void *ctx, int fd, bool readable, bool writable)
{
    struct state *s = ctx;
    char c;
    assert_true(readable);
    assert_false(writable);
    assert_int_equal(read(fd, &c, 1), 1);
    note(s, c);
    if (c == 'z')
        ebb_loop_stop(s->loop);
}

static void watch_reports_every_byte(void **unused)
{
    (void)unused;
    int fds[2];
    struct state s = {.loop = ebb_loop_new()};
    assert_int_equal(pipe(fds), 0);
    struct ebb_watch *w = ebb_watch_new(s.loop, fds[0], true, false, on_pipe, &s);
    assert_int_equal(write(fds[1], "xyz", 3), 3);
    assert_int_equal(ebb_loop_run(s.loop, NULL), 0);
    assert_string_equal(s.order, "xyz");
    ebb_watch_destroy(w);
    ebb_loop_destroy(s.loop);
    close(fds[0]);
    close(fds[1]);
}

static void signal_is_delivered_on_the_loop(void **unused)
{
    (void)unused;
    struct state s = {.loop = ebb_loop_new()};
    struct ebb_watch *w = ebb_watch_signal(s.loop, SIGUSR1, stop, &s);
    kill(getpid(), SIGUSR1);
    assert_int_equal(ebb_loop_run(s.loop, NULL), 0);
    ebb_watch_destroy(w);
    ebb_loop_destroy(s.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timer_never_fires_early),
        cmocka_unit_test(timer_can_be_set_from_its_callback),
        cmocka_unit_test(unset_timer_does_not_fire),
        cmocka_unit_test(timer_may_destroy_itself),
        cmocka_unit_test(posts_run_in_order),
        cmocka_unit_test(stop_before_run_is_kept),
        cmocka_unit_test(no_post_from_any_thread_is_lost),
        cmocka_unit_test(posts_left_at_destroy_are_freed),
        cmocka_unit_test(watch_reports_every_byte),
        cmocka_unit_test(signal_is_delivered_on_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
