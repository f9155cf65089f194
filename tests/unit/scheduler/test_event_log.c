/* The event log: what was committed is there, what was not is not, damage is told. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "scheduler/event_log.h"

static char *directory;

static int make_directory(void **state)
{
    (void)state;
    directory = ebb_strdup("/tmp/ebb-event-log-XXXXXX");
    return mkdtemp(directory) == NULL;
}

static int remove_directory(void **state)
{
    (void)state;
    ebb_remove_tree(directory, NULL);
    free(directory);
    return 0;
}

static struct ebb_event_log *open_log(void)
{
    struct ebb_event_log *l = NULL;
    struct ebb_error err = {0};
    if (ebb_event_log_open(directory, false, &l, &err) < 0)
        fail_msg("%s", err.text);
    return l;
}

static void append(struct ebb_event_log *l, const char *bag)
{
    Ebb__BagCancelled cancelled = EBB__BAG_CANCELLED__INIT;
    cancelled.bag = (char *)(uintptr_t)bag;
    Ebb__Event e = EBB__EVENT__INIT;
    e.kind_case = EBB__EVENT__KIND_BAG_CANCELLED;
    e.bag_cancelled = &cancelled;
    assert_int_equal(0, ebb_event_log_append(l, &e, NULL));
}

static int collect(void *ctx, const Ebb__Event *e, struct ebb_error *err)
{
    (void)err;
    ebb_buffer_printf(ctx, "%llu:%s:%s ", (unsigned long long)e->sequence, ebb_event_kind_name(e),
                      e->bag_cancelled->bag);
    return 0;
}

static void assert_log_holds(struct ebb_event_log *l, uint64_t after, const char *text)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    assert_int_equal(0, ebb_event_log_read(l, after, 0, collect, &b, NULL));
    assert_string_equal(text, ebb_buffer_text(&b));
}

static void committed_events_survive_and_others_do_not(void **state)
{
    (void)state;
    struct ebb_event_log *l = open_log();
    char id[32];
    snprintf(id, sizeof id, "%s", ebb_event_log_id(l));
    assert_int_equal(16, strlen(id));
    append(l, "a");
    append(l, "b");
    assert_int_equal(2, ebb_event_log_batch_count(l));
    assert_int_equal(0, ebb_event_log_commit(l, NULL));
    append(l, "c");
    ebb_event_log_destroy(l);
    l = open_log();
    assert_string_equal(id, ebb_event_log_id(l));
    assert_int_equal(2, ebb_event_log_last(l));
    assert_log_holds(l, 0, "1:bag_cancelled:a 2:bag_cancelled:b ");
    assert_log_holds(l, 1, "2:bag_cancelled:b ");
    ebb_event_log_destroy(l);
}

static void a_killed_process_leaves_whole_batches(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        struct ebb_event_log *l = open_log();
        append(l, "a");
        ebb_event_log_commit(l, NULL);
        append(l, "b");
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, NULL, 0);
    struct ebb_event_log *l = open_log();
    assert_log_holds(l, 0, "1:bag_cancelled:a ");
    append(l, "c");
    assert_int_equal(0, ebb_event_log_commit(l, NULL));
    assert_log_holds(l, 1, "2:bag_cancelled:c ");
    ebb_event_log_destroy(l);
}

static void a_second_writer_is_refused_and_readers_are_not(void **state)
{
    (void)state;
    struct ebb_event_log *l = open_log(), *other = NULL;
    append(l, "a");
    ebb_event_log_commit(l, NULL);
    struct ebb_error err = {0};
    assert_int_equal(EBB_ERR_CONFLICT, ebb_event_log_open(directory, false, &other, &err));
    char pid[32];
    snprintf(pid, sizeof pid, "pid %ld", (long)getpid());
    assert_non_null(strstr(err.text, pid));
    assert_int_equal(0, ebb_event_log_open(directory, true, &other, &err));
    assert_log_holds(other, 0, "1:bag_cancelled:a ");
    ebb_event_log_destroy(other);
    ebb_event_log_destroy(l);
}

static void a_sequence_out_of_order_is_our_own_fault(void **state)
{
    (void)state;
    struct ebb_event_log *l = open_log();
    Ebb__Event e = EBB__EVENT__INIT;
    e.sequence = 7;
    assert_int_equal(EBB_ERR_INTERNAL, ebb_event_log_append(l, &e, NULL));
    ebb_event_log_destroy(l);
}

/* A log of some size, cut or flipped at many places: an error or the truth, never a crash, and the
 * file stays as it was. */
static void damage_is_told_and_nothing_is_changed(void **state)
{
    (void)state;
    struct ebb_event_log *l = open_log();
    char name[400];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (int i = 0; i < 200; i++)
        append(l, name);
    assert_int_equal(0, ebb_event_log_commit(l, NULL));
    ebb_event_log_destroy(l);
    char *path = ebb_path_join(directory, "events.db");
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer whole = {0};
    assert_int_equal(0, ebb_file_read(path, 16u << 20, &whole, NULL));
    int refused = 0;
    for (size_t len = 1; len < whole.len; len += whole.len / 13) {
        assert_int_equal(0, ebb_file_write_atomic(path, whole.data, len, 0600, NULL));
        struct ebb_error err = {0};
        l = NULL;
        int rc = ebb_event_log_open(directory, false, &l, &err);
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        if (rc == 0)
            rc = ebb_event_log_read(l, 0, 0, collect, &b, &err);
        if (rc < 0) {
            refused++;
            assert_non_null(strstr(err.text, "events.db"));
        }
        ebb_event_log_destroy(l);
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer now = {0};
        assert_int_equal(0, ebb_file_read(path, 16u << 20, &now, NULL));
        assert_int_equal(len, now.len);
    }
    assert_true(refused >= 12);
    free(path);
}

static void a_later_version_is_refused(void **state)
{
    (void)state;
    ebb_event_log_destroy(open_log());
    char *path = ebb_path_join(directory, "events.db");
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer whole = {0};
    assert_int_equal(0, ebb_file_read(path, 16u << 20, &whole, NULL));
    whole.data[63] = 9; /* user_version, big-endian at 60 */
    assert_int_equal(0, ebb_file_write_atomic(path, whole.data, whole.len, 0600, NULL));
    struct ebb_event_log *l = NULL;
    struct ebb_error err = {0};
    assert_int_equal(EBB_ERR_UNSUPPORTED, ebb_event_log_open(directory, false, &l, &err));
    assert_non_null(strstr(err.text, "version 9"));
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)
        TEST(committed_events_survive_and_others_do_not),
        TEST(a_killed_process_leaves_whole_batches),
        TEST(a_second_writer_is_refused_and_readers_are_not),
        TEST(a_sequence_out_of_order_is_our_own_fault),
        TEST(damage_is_told_and_nothing_is_changed),
        TEST(a_later_version_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
