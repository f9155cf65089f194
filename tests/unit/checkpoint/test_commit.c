/* What a commit reads and sends, and what it makes of files that change under it. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "checkpoint/file_scan.h"
#include "job_fixture.h"

static struct ebb_commit_stats commit(struct ebb_lineage *l, const char *dir)
{
    struct ebb_commit_stats stats = {0};
    struct ebb_error err = {0};
    if (job_commit(l, dir, false, &stats, &err) < 0)
        fail_msg("%s", err.text);
    return stats;
}

/* Old enough for their stamps to prove something. */
static void let_stamps_settle(void)
{
    (void)usleep(60000);
}

static void unchanged_files_are_neither_read_nor_sent(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "conf.in", 5000000, 1, false);
    job_write(f->work.path, "state", 1000, 2, false);
    let_stamps_settle();
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    assert_true(commit(l, f->work.path).read_bytes == 5001000);
    job_write(f->work.path, "state", 2000, 3, false);
    struct ebb_commit_stats s = commit(l, f->work.path);
    assert_int_equal(s.raw_bytes, 5002000);
    assert_int_equal(s.read_bytes, 2000);
    assert_in_range(s.sent_bytes, 2000, 4000);
    assert_int_equal(s.packs, 1);
    fixture_assert_restores(f);
    ebb_lineage_destroy(l);
}

static void growth_alone_is_read_and_sent(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "traj.xtc", 3000001, 1, false);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    (void)commit(l, f->work.path);
    for (unsigned i = 0; i < 5; i++) {
        job_append(f->work.path, "traj.xtc", 10000 + i, 100 + i);
        struct ebb_commit_stats s = commit(l, f->work.path);
        assert_in_range(s.read_bytes, 10000 + i, 10000 + i + EBB_PREFIX_TAIL_BYTES);
        assert_in_range(s.sent_bytes, 10000, 13000);
        fixture_assert_restores(f);
    }
    ebb_lineage_destroy(l);
}

static void growth_goes_on_after_a_restore(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "traj.xtc", 3000001, 1, false);
    job_write(f->work.path, "conf.in", 3000000, 2, false);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    (void)commit(l, f->work.path);
    ebb_lineage_destroy(l);

    struct ebb_lineage *next = job_open_and_claim(f->store, 2);
    assert_int_equal(ebb_lineage_restore(next, f->back.path, NULL, 2, NULL, NULL), 0);
    let_stamps_settle();
    job_append(f->back.path, "traj.xtc", 5000, 7);
    job_append(f->work.path, "traj.xtc", 5000, 7);
    struct ebb_commit_stats s = commit(next, f->back.path);
    /* conf.in may be read once more: its restore is younger than a clock tick. */
    assert_in_range(s.read_bytes, 5000, 5000 + EBB_PREFIX_TAIL_BYTES + 3000000);
    assert_in_range(s.sent_bytes, 5000, 7000);
    fixture_empty_back(f);
    struct ebb_lineage *reader = job_open(f->store);
    assert_int_equal(ebb_lineage_restore(reader, f->back.path, NULL, 2, NULL, NULL), 0);
    assert_true(job_file_equal(f->work.path, f->back.path, "traj.xtc"));
    ebb_lineage_destroy(reader);
    ebb_lineage_destroy(next);
}

static void without_memory_of_the_prefix_it_is_read_but_not_sent(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "traj.xtc", 3000001, 1, false);
    job_write(f->work.path, "conf.in", 3000000, 2, false);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    (void)commit(l, f->work.path);
    ebb_lineage_destroy(l);
    /* The agent came back beside its running job: claims, restores nothing. */
    l = job_open_and_claim(f->store, 1);
    job_append(f->work.path, "traj.xtc", 5000, 7);
    struct ebb_commit_stats s = commit(l, f->work.path);
    assert_in_range(s.sent_bytes, 5000, 7000);
    fixture_assert_restores(f);
    ebb_lineage_destroy(l);
}

static void a_rewritten_prefix_is_sent_again(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "run.log", 200000, 1, false);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    (void)commit(l, f->work.path);
    /* In place and longer; then shorter; then by rename with the same tail. */
    job_write(f->work.path, "run.log", 250000, 2, false);
    assert_true(commit(l, f->work.path).sent_bytes >= 250000);
    fixture_assert_restores(f);
    job_write(f->work.path, "run.log", 100000, 3, false);
    assert_true(commit(l, f->work.path).sent_bytes >= 100000);
    fixture_assert_restores(f);

    EBB_AUTO_FREE char *path = ebb_path_join(f->work.path, "run.log");
    EBB_AUTO_FREE char *other = ebb_path_join(f->work.path, "run.new");
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    assert_int_equal(ebb_file_read(path, 1u << 20, &b, NULL), 0);
    b.data[10] ^= 1; /* far from the tail */
    ebb_buffer_append_text(&b, "and more");
    assert_int_equal(ebb_file_write_atomic(other, b.data, b.len, 0644, NULL), 0);
    assert_int_equal(rename(other, path), 0);
    assert_true(commit(l, f->work.path).sent_bytes >= 100000);
    fixture_assert_restores(f);
    ebb_lineage_destroy(l);
}

static void a_growing_files_tail_is_compacted(void **state)
{
    struct fixture *f = *state;
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    job_write(f->work.path, "run.log", 1500000, 1, false);
    size_t most = 0;
    for (unsigned i = 0; i < 150; i++) {
        (void)commit(l, f->work.path);
        Ebb__Manifest *m = NULL;
        assert_int_equal(ebb_lineage_manifest(l, false, &m, NULL), 0);
        most = m->files[0]->n_chunks > most ? m->files[0]->n_chunks : most;
        ebb__manifest__free_unpacked(m, NULL);
        job_append(f->work.path, "run.log", 3000 + i, 1000 + i);
    }
    assert_in_range(most, 60, 72);
    (void)commit(l, f->work.path);
    fixture_assert_restores(f);
    assert_int_equal(ebb_lineage_verify(l, NULL, NULL, NULL, NULL), 0);
    ebb_lineage_destroy(l);
}

static void a_trajectory_that_becomes_an_output_is_not_sent_again(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "traj.xtc", 3000000, 1, false);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    (void)commit(l, f->work.path);
    job_append(f->work.path, "traj.xtc", 1000, 2);
    struct ebb_commit_file file = {
        .path = "traj.xtc", .kind = EBB__FILE_ENTRY__KIND__OUTPUT, .length_bytes = UINT64_MAX};
    struct ebb_commit_request q = {
        .directory = f->work.path, .files = &file, .file_count = 1, .final = true};
    struct ebb_commit_stats s;
    assert_int_equal(ebb_lineage_commit(l, &q, &s, NULL), 0);
    assert_in_range(s.sent_bytes, 1000, 3000);
    fixture_assert_restores(f);
    ebb_lineage_destroy(l);
}

static void only_the_length_asked_for_is_committed(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "traj.xtc", 5000, 1, false);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    struct ebb_commit_file file = {
        .path = "traj.xtc", .kind = EBB__FILE_ENTRY__KIND__APPEND, .length_bytes = 3000};
    struct ebb_commit_request q = {.directory = f->work.path, .files = &file, .file_count = 1};
    assert_int_equal(ebb_lineage_commit(l, &q, NULL, NULL), 0);
    file.length_bytes = 4000;
    struct ebb_commit_stats s;
    assert_int_equal(ebb_lineage_commit(l, &q, &s, NULL), 0);
    assert_in_range(s.sent_bytes, 1000, 1500);
    file.length_bytes = 6000; /* more than there is */
    assert_int_equal(ebb_lineage_commit(l, &q, NULL, NULL), EBB_ERR_CONFLICT);
    EBB_AUTO_FREE char *path = ebb_path_join(f->work.path, "traj.xtc");
    assert_int_equal(truncate(path, 4000), 0);
    assert_int_equal(ebb_lineage_restore(l, f->back.path, NULL, 1, NULL, NULL), 0);
    assert_true(job_file_equal(f->work.path, f->back.path, "traj.xtc"));
    ebb_lineage_destroy(l);
}

static void equal_content_is_sent_once(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "a", 3000000, 1, false);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    (void)commit(l, f->work.path);
    job_write(f->work.path, "b", 3000000, 1, false);
    job_write(f->work.path, "a", 3000000, 1, false); /* rewritten, the same */
    struct ebb_commit_stats s = commit(l, f->work.path);
    assert_int_equal(s.packs, 0);
    assert_in_range(s.sent_bytes, 100, 3000);
    fixture_assert_restores(f);
    ebb_lineage_destroy(l);
}

static void two_writes_within_a_clock_tick_are_both_seen(void **state)
{
    struct fixture *f = *state;
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    for (uint64_t i = 0; i < 100; i++) {
        job_write(f->work.path, "state", 64, 2 * i, false);
        (void)commit(l, f->work.path);
        job_write(f->work.path, "state", 64, 2 * i + 1, false);
        (void)commit(l, f->work.path);
        fixture_empty_back(f);
        assert_int_equal(ebb_lineage_restore(l, f->back.path, NULL, 1, NULL, NULL), 0);
        assert_true(job_file_equal(f->work.path, f->back.path, "state"));
        /* The restore was elsewhere: what was seen of it must not stand for the work directory. */
    }
    ebb_lineage_destroy(l);
}

/* A writer that replaces a state file by rename and lets a log grow, all the time. */
struct writer {
    const char *dir;
    atomic_bool stop;
    atomic_uint rounds;
};

static void *keep_writing(void *ctx)
{
    struct writer *w = ctx;
    EBB_AUTO_FREE char *path = ebb_path_join(w->dir, "state");
    EBB_AUTO_FREE char *temporary = ebb_sprintf("%s.next", w->dir);
    EBB_AUTO_FREE uint8_t *bytes = ebb_alloc(300000);
    for (unsigned i = 0; !atomic_load(&w->stop); i++) {
        memset(bytes, (int)(i & 0xff), 300000);
        int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        (void)ebb_write_all(fd, bytes, 300000, NULL);
        (void)close(fd);
        (void)rename(temporary, path);
        job_append(w->dir, "run.log", 700, i);
        atomic_fetch_add(&w->rounds, 1);
        (void)usleep(2000);
    }
    (void)unlink(temporary);
    return NULL;
}

static void files_that_move_while_they_are_committed_come_back_whole(void **state)
{
    struct fixture *f = *state;
    struct writer w = {.dir = f->work.path};
    job_write(f->work.path, "state", 300000, 1, false);
    job_write(f->work.path, "run.log", 0, 1, false);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, keep_writing, &w), 0);
    while (atomic_load(&w.rounds) == 0)
        (void)usleep(1000);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    for (unsigned i = 0; i < 40; i++) {
        struct ebb_error err = {0};
        int rc = job_commit(l, f->work.path, false, NULL, &err);
        if (rc == EBB_ERR_CONFLICT) /* replaced at each of several tries */
            continue;
        if (rc < 0)
            fail_msg("%s", err.text);
        fixture_empty_back(f);
        struct ebb_lineage *reader = job_open(f->store);
        if (ebb_lineage_restore(reader, f->back.path, NULL, 2, NULL, &err) < 0)
            fail_msg("%s", err.text);
        ebb_lineage_destroy(reader);
        EBB_AUTO_FREE char *path = ebb_path_join(f->back.path, "state");
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        assert_int_equal(ebb_file_read(path, 1u << 20, &b, NULL), 0);
        assert_int_equal(b.len, 300000);
        for (size_t k = 1; k < b.len; k++)
            assert_int_equal(b.data[k], b.data[0]);
    }
    atomic_store(&w.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    ebb_lineage_destroy(l);
}

/* A put of a pack is where the test changes a file behind the commit's back. */
struct meddler {
    const char *dir;
    bool done;
};

static void change_state_in_place(void *ctx, const char *key)
{
    struct meddler *m = ctx;
    if (m->done || strstr(key, "/packs/") == NULL)
        return;
    m->done = true;
    EBB_AUTO_FREE char *path = ebb_path_join(m->dir, "z-state");
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "x", 1, 0), 1);
    assert_int_equal(close(fd), 0);
}

static void a_state_file_changed_in_place_is_a_conflict(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "a-state", 7000000, 1, false);
    job_write(f->work.path, "z-state", 30000000, 2, false);
    let_stamps_settle();
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    struct meddler m = {.dir = f->work.path};
    memory_store_on_put(f->memory, change_state_in_place, &m);
    struct ebb_commit_file files[] = {
        {.path = "a-state", .kind = EBB__FILE_ENTRY__KIND__STATE, .length_bytes = UINT64_MAX},
        {.path = "z-state", .kind = EBB__FILE_ENTRY__KIND__STATE, .length_bytes = UINT64_MAX}};
    struct ebb_commit_request q = {
        .directory = f->work.path, .files = files, .file_count = 2, .threads = 1};
    assert_int_equal(ebb_lineage_commit(l, &q, NULL, NULL), EBB_ERR_CONFLICT);
    assert_int_equal(ebb_lineage_head(l)->sequence, 0);
    assert_int_equal(ebb_lineage_commit(l, &q, NULL, NULL), 0);
    fixture_assert_restores(f);
    ebb_lineage_destroy(l);
}

static void what_cannot_be_committed_is_said(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "state", 10, 1, false);
    EBB_AUTO_FREE char *escape = ebb_path_join(f->work.path, "escape");
    assert_int_equal(symlink("/etc/passwd", escape), 0);
    EBB_AUTO_FREE char *pipe_path = ebb_path_join(f->work.path, "pipe");
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    static const struct {
        struct ebb_commit_file files[2];
        size_t count;
        int code;
    } cases[] = {
        {{{.path = "missing", .kind = EBB__FILE_ENTRY__KIND__STATE, .length_bytes = UINT64_MAX}},
         1,
         EBB_ERR_NOT_FOUND},
        {{{.path = "escape", .kind = EBB__FILE_ENTRY__KIND__SYMLINK, .length_bytes = UINT64_MAX}},
         1,
         EBB_ERR_INPUT},
        {{{.path = "escape", .kind = EBB__FILE_ENTRY__KIND__STATE, .length_bytes = UINT64_MAX}},
         1,
         EBB_ERR_INPUT},
        {{{.path = "pipe", .kind = EBB__FILE_ENTRY__KIND__STATE, .length_bytes = UINT64_MAX}},
         1,
         EBB_ERR_INPUT},
        {{{.path = "../state", .kind = EBB__FILE_ENTRY__KIND__STATE, .length_bytes = UINT64_MAX}},
         1,
         EBB_ERR_INPUT},
        {{{.path = "/etc/passwd",
           .kind = EBB__FILE_ENTRY__KIND__STATE,
           .length_bytes = UINT64_MAX}},
         1,
         EBB_ERR_INPUT},
        {{{.path = "", .kind = EBB__FILE_ENTRY__KIND__STATE, .length_bytes = UINT64_MAX}},
         1,
         EBB_ERR_INPUT},
        {{{.path = "state", .kind = EBB__FILE_ENTRY__KIND__STATE, .length_bytes = UINT64_MAX},
          {.path = "state", .kind = EBB__FILE_ENTRY__KIND__OUTPUT, .length_bytes = UINT64_MAX}},
         2,
         EBB_ERR_INPUT},
    };
    for (size_t i = 0; i < EBB_ARRAY_LEN(cases); i++) {
        struct ebb_commit_request q = {
            .directory = f->work.path, .files = cases[i].files, .file_count = cases[i].count};
        struct ebb_error err = {0};
        assert_int_equal(ebb_lineage_commit(l, &q, NULL, &err), cases[i].code);
        assert_true(err.text[0] != '\0');
    }
    assert_int_equal(ebb_lineage_head(l)->sequence, 0);
    ebb_lineage_destroy(l);
}

static void a_commit_of_no_files_is_a_commit(void **state)
{
    struct fixture *f = *state;
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    assert_int_equal(commit(l, f->work.path).sequence, 1);
    fixture_assert_restores(f);
    ebb_lineage_destroy(l);
}

static void many_small_files_share_packs(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 500; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "d%u/f%u.in", i % 7, i);
        job_write(f->work.path, name, i * 7, i, i % 2 == 0);
    }
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    assert_int_equal(commit(l, f->work.path).packs, 1);
    fixture_assert_restores(f);
    ebb_lineage_destroy(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(unchanged_files_are_neither_read_nor_sent),
        FIXTURE_TEST(growth_alone_is_read_and_sent),
        FIXTURE_TEST(growth_goes_on_after_a_restore),
        FIXTURE_TEST(without_memory_of_the_prefix_it_is_read_but_not_sent),
        FIXTURE_TEST(a_rewritten_prefix_is_sent_again),
        FIXTURE_TEST(a_growing_files_tail_is_compacted),
        FIXTURE_TEST(a_trajectory_that_becomes_an_output_is_not_sent_again),
        FIXTURE_TEST(only_the_length_asked_for_is_committed),
        FIXTURE_TEST(equal_content_is_sent_once),
        FIXTURE_TEST(two_writes_within_a_clock_tick_are_both_seen),
        FIXTURE_TEST(files_that_move_while_they_are_committed_come_back_whole),
        FIXTURE_TEST(a_state_file_changed_in_place_is_a_conflict),
        FIXTURE_TEST(what_cannot_be_committed_is_said),
        FIXTURE_TEST(a_commit_of_no_files_is_a_commit),
        FIXTURE_TEST(many_small_files_share_packs),
    };
    return cmocka_run_group_tests_name("commit", tests, NULL, NULL);
}
