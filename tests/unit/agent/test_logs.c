/* Log segments: when they are sent, and what is left out of a backlog. */
#include "tests/unit/agent/scratch.h"

#include "agent/logs.h"
#include "base/clock.h"
#include "base/loop.h"

#define S EBB_NS_PER_S

static void a_segment_is_due_by_size_by_age_or_at_the_end(void **state)
{
    (void)state;
    assert_false(ebb_log_next(100, 100, 0, 100 * S, true).due);
    assert_false(ebb_log_next(100, 101, 10 * S, 14 * S, false).due);
    assert_true(ebb_log_next(100, 101, 10 * S, 15 * S, false).due);
    assert_true(ebb_log_next(0, EBB_LOG_SEGMENT_BYTES, 10 * S, 10 * S, false).due);
    assert_true(ebb_log_next(100, 101, 10 * S, 10 * S, true).due);
    assert_false(ebb_log_next(100, 50, 10 * S, 100 * S, true).due); /* the file was cut */
}

static void too_large_a_backlog_is_cut_in_the_middle(void **state)
{
    (void)state;
    uint64_t size = EBB_LOG_BACKLOG_BYTES + 1000;
    assert_int_equal(ebb_log_next(1000, size, 0, S, false).skip_to, 1000);
    struct ebb_log_cut cut = ebb_log_next(999, size, 0, S, false);
    assert_true(cut.due);
    assert_int_equal(cut.skip_to, size - (1 << 20));
}

static void segments_end_at_line_ends(void **state)
{
    (void)state;
    assert_int_equal(ebb_log_segment_len("ab\ncd", 5, false), 3);
    assert_int_equal(ebb_log_segment_len("ab\ncd", 5, true), 5);
    assert_int_equal(ebb_log_segment_len("abcd", 4, false), 4);
}

static void stop(void *ctx)
{
    ebb_loop_stop(ctx);
}

struct collected {
    struct ebb_object_store *store;
    struct ebb_buffer text;
    unsigned count;
};

static int collect(void *ctx, const char *key, const struct ebb_object_info *info)
{
    struct collected *c = ctx;
    (void)info;
    c->count++;
    return ebb_object_get(c->store, key, 0, 0, 1 << 20, &c->text, NULL, NULL);
}

static void what_was_written_is_in_the_store_once_and_in_order(void **state)
{
    struct ebb_error err = {0};
    struct ebb_object_store *store = NULL;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    EBB_AUTO_FREE char *url = ebb_sprintf("file://%s/store", (char *)*state);
    EBB_AUTO_FREE char *path = ebb_path_join(*state, "output.log");
    for (unsigned i = 0; i < 100000; i++)
        ebb_buffer_printf(&text, "line %u\n", i);
    free(scratch_write(*state, "output.log", ebb_buffer_text(&text), text.len));
    assert_int_equal(ebb_object_store_open(url, NULL, &store, &err), 0);
    struct ebb_loop *loop = ebb_loop_new();
    struct ebb_workers *workers = ebb_workers_new(loop, 2);
    struct ebb_log_stream *s = ebb_log_stream_new(workers, store, "logs/1", path);
    ebb_log_stream_poll(s, ebb_now_ns(NULL));
    assert_false(ebb_log_stream_is_idle(s));
    ebb_log_stream_finish(s, ebb_now_ns(NULL) + 10 * S, stop, loop);
    assert_int_equal(ebb_loop_run(loop, &err), 0);
    assert_true(ebb_log_stream_is_idle(s));
    struct collected c = {.store = store};
    assert_int_equal(ebb_object_list(store, "logs/1/", collect, &c, &err), 0);
    assert_true(c.count >= text.len / EBB_LOG_SEGMENT_BYTES);
    assert_string_equal(ebb_buffer_text(&c.text), ebb_buffer_text(&text));
    ebb_buffer_clean_up(&c.text);
    ebb_workers_destroy(workers);
    ebb_log_stream_destroy(s);
    ebb_loop_destroy(loop);
    ebb_object_store_destroy(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_is_due_by_size_by_age_or_at_the_end),
        cmocka_unit_test(too_large_a_backlog_is_cut_in_the_middle),
        cmocka_unit_test(segments_end_at_line_ends),
        scratch_test(what_was_written_is_in_the_store_once_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
