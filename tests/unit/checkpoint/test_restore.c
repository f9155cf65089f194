/* Restores: damage is found wherever it is, the generation before stands in, nothing leads out. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "checkpoint/format.h"
#include "job_fixture.h"

/* Two generations that share the pack of the static file. */
static void commit_two(struct fixture *f)
{
    job_write(f->work.path, "conf.in", 300, 1, false);
    job_write(f->work.path, "state", 200, 2, true);
    job_write(f->work.path, "run.log", 100, 3, false);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), 0);
    job_write(f->work.path, "state", 220, 4, true);
    job_append(f->work.path, "run.log", 50, 5);
    assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), 0);
    ebb_lineage_destroy(l);
}

static bool is_empty(const char *dir)
{
    EBB_AUTO_FREE char *command = ebb_sprintf("test -z \"$(ls -A '%s')\"", dir);
    return system(command) == 0;
}

static char *key_of_manifest(struct fixture *f, bool previous)
{
    struct ebb_lineage *l = job_open(f->store);
    struct ebb_generation g = ebb_head_generation(ebb_lineage_head(l), previous);
    ebb_lineage_destroy(l);
    return ebb_manifest_key(TEST_ROOT, &g);
}

static void a_damaged_generation_gives_way_to_the_one_before(void **state)
{
    struct fixture *f = *state;
    commit_two(f);
    EBB_AUTO_FREE char *key = key_of_manifest(f, false);
    memory_store_object(f->memory, key)->data[5] ^= 0x40;
    struct ebb_lineage *l = job_open_and_claim(f->store, 2);
    struct ebb_restore_result r;
    assert_int_equal(ebb_lineage_restore(l, f->back.path, NULL, 2, &r, NULL), 0);
    assert_true(r.fell_back);
    assert_int_equal(r.sequence, 1);
    assert_non_null(strstr(r.note, "checkpoint 2"));
    EBB_AUTO_FREE char *log = ebb_path_join(f->back.path, "run.log");
    struct stat st;
    assert_int_equal(stat(log, &st), 0);
    assert_int_equal(st.st_size, 100);

    /* The next commit builds on the whole generation and keeps it as the one before. */
    job_append(f->back.path, "run.log", 10, 9);
    assert_int_equal(job_commit(l, f->back.path, false, NULL, NULL), 0);
    assert_int_equal(ebb_lineage_head(l)->sequence, 3);
    assert_int_equal(ebb_lineage_head(l)->previous_sequence, 1);
    assert_int_equal(ebb_lineage_verify(l, NULL, NULL, NULL, NULL), 0);
    ebb_lineage_destroy(l);
}

static void every_flipped_byte_of_a_repository_is_found(void **state)
{
    struct fixture *f = *state;
    commit_two(f);
    struct ebb_lineage *reader = job_open(f->store);
    assert_int_equal(ebb_lineage_verify(reader, NULL, NULL, NULL, NULL), 0);
    assert_int_equal(memory_store_count(f->memory, "/"), 1 + 2 + 2);
    for (unsigned n = 0; n < 5; n++) {
        EBB_AUTO_FREE char *key = ebb_strdup(memory_store_find(f->memory, "/", n));
        struct ebb_buffer *bytes = memory_store_object(f->memory, key);
        for (size_t i = 0; i < bytes->len; i++) {
            uint8_t bit = (uint8_t)(1u << (i % 8));
            bytes->data[i] ^= bit;
            struct ebb_lineage *l = NULL;
            int rc = ebb_lineage_open(f->store, TEST_ROOT, &l, NULL);
            if (strstr(key, "/head") != NULL)
                assert_int_equal(rc, EBB_ERR_CORRUPT);
            if (rc == 0) {
                assert_int_equal(ebb_lineage_verify(l, NULL, NULL, NULL, NULL), EBB_ERR_CORRUPT);
                ebb_lineage_destroy(l);
            }
            bytes->data[i] ^= bit;
        }
    }
    ebb_lineage_destroy(reader);
}

static void a_restore_never_gives_wrong_bytes(void **state)
{
    struct fixture *f = *state;
    commit_two(f);
    struct job_dir truth;
    job_dir_make(&truth);
    struct ebb_lineage *l = job_open(f->store);
    assert_int_equal(ebb_lineage_restore(l, truth.path, NULL, 1, NULL, NULL), 0);
    ebb_lineage_destroy(l);
    unsigned fell_back = 0, failed = 0, unharmed = 0;
    for (unsigned n = 0; n < 5; n++) {
        EBB_AUTO_FREE char *key = ebb_strdup(memory_store_find(f->memory, "/", n));
        struct ebb_buffer *bytes = memory_store_object(f->memory, key);
        for (size_t i = 0; i < bytes->len; i += 3) {
            bytes->data[i] ^= 0x10;
            l = NULL;
            fixture_empty_back(f);
            struct ebb_restore_result r = {0};
            int rc = ebb_lineage_open(f->store, TEST_ROOT, &l, NULL);
            if (rc == 0)
                rc = ebb_lineage_restore(l, f->back.path, NULL, 1, &r, NULL);
            ebb_lineage_destroy(l);
            bytes->data[i] ^= 0x10;
            if (rc < 0) {
                assert_int_equal(rc, EBB_ERR_CORRUPT);
                assert_true(is_empty(f->back.path));
                failed++;
            } else if (r.fell_back) {
                assert_int_equal(r.sequence, 1);
                assert_true(job_file_equal(truth.path, f->back.path, "conf.in"));
                fell_back++;
            } else {
                job_assert_equal(truth.path, f->back.path);
                unharmed++;
            }
        }
    }
    assert_true(failed > 100 && fell_back > 100 && unharmed > 0);
    job_dir_remove(&truth);
}

static void a_missing_or_short_object_is_damage(void **state)
{
    struct fixture *f = *state;
    commit_two(f);
    EBB_AUTO_FREE char *manifest = key_of_manifest(f, false);
    memory_store_object(f->memory, manifest)->len -= 1;
    struct ebb_lineage *l = job_open(f->store);
    struct ebb_restore_result r;
    assert_int_equal(ebb_lineage_restore(l, f->back.path, NULL, 1, &r, NULL), 0);
    assert_true(r.fell_back);
    memory_store_remove(f->memory, manifest);
    fixture_empty_back(f);
    assert_int_equal(ebb_lineage_restore(l, f->back.path, NULL, 1, &r, NULL), 0);
    assert_true(r.fell_back);
    while (memory_store_count(f->memory, "/packs/") > 0)
        memory_store_remove(f->memory, memory_store_find(f->memory, "/packs/", 0));
    fixture_empty_back(f);
    struct ebb_error err = {0};
    assert_int_equal(ebb_lineage_restore(l, f->back.path, NULL, 1, &r, &err), EBB_ERR_CORRUPT);
    assert_non_null(strstr(err.text, "both checkpoints are damaged"));
    assert_true(is_empty(f->back.path));
    ebb_lineage_destroy(l);
}

static void a_store_that_is_silent_is_not_damage(void **state)
{
    struct fixture *f = *state;
    commit_two(f);
    struct ebb_lineage *l = job_open(f->store);
    memory_store_fail_get(f->memory, "/packs/", 1, 1000, MEMORY_REFUSE);
    assert_int_equal(ebb_lineage_restore(l, f->back.path, NULL, 1, NULL, NULL),
                     EBB_ERR_UNAVAILABLE);
    assert_true(is_empty(f->back.path));
    memory_store_heal(f->memory);
    assert_int_equal(ebb_lineage_restore(l, f->back.path, NULL, 1, NULL, NULL), 0);
    ebb_lineage_destroy(l);
}

static void patterns_choose_files(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "a/x.xtc", 100, 1, false);
    job_write(f->work.path, "b.log", 100, 1, false);
    job_write(f->work.path, "c", 100, 1, false);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), 0);
    static const char *const patterns[] = {"*.log", "a/*", NULL};
    struct ebb_restore_result r;
    assert_int_equal(ebb_lineage_restore(l, f->back.path, patterns, 1, &r, NULL), 0);
    assert_int_equal(r.bytes, 200);
    assert_true(job_file_equal(f->work.path, f->back.path, "a/x.xtc"));
    assert_true(job_file_equal(f->work.path, f->back.path, "b.log"));
    assert_false(job_file_equal(f->work.path, f->back.path, "c"));
    ebb_lineage_destroy(l);
}

static void a_directory_with_files_is_refused(void **state)
{
    struct fixture *f = *state;
    commit_two(f);
    job_write(f->back.path, "mine", 10, 1, false);
    struct ebb_lineage *l = job_open(f->store);
    assert_int_equal(ebb_lineage_restore(l, f->back.path, NULL, 1, NULL, NULL), EBB_ERR_INPUT);
    EBB_AUTO_FREE char *mine = ebb_path_join(f->back.path, "mine");
    assert_true(ebb_file_exists(mine));
    EBB_AUTO_FREE char *fresh = ebb_path_join(f->back.path, "new/dir");
    assert_int_equal(ebb_lineage_restore(l, fresh, NULL, 1, NULL, NULL), 0);
    ebb_lineage_destroy(l);
}

static void a_reader_that_is_overtaken_starts_again(void **state)
{
    struct fixture *f = *state;
    commit_two(f);
    struct ebb_lineage *reader = job_open(f->store);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    for (unsigned i = 0; i < 3; i++) {
        job_write(f->work.path, "state", 300, 10 + i, false);
        assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), 0);
    }
    memory_store_advance(f->memory, 10);
    assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), 0);
    uint64_t deleted;
    assert_int_equal(ebb_lineage_collect(l, 1, &deleted, NULL), 0);
    assert_true(deleted > 0);
    struct ebb_restore_result r;
    assert_int_equal(ebb_lineage_restore(reader, f->back.path, NULL, 1, &r, NULL), 0);
    assert_false(r.fell_back);
    assert_int_equal(r.sequence, 6);
    job_assert_equal(f->work.path, f->back.path);
    ebb_lineage_destroy(reader);
    ebb_lineage_destroy(l);
}

static void put_line(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");
    if (out == NULL)
        return;
    (void)fputs(text, out);
    (void)fclose(out);
}

/* Mounts of its own for this process; as root, or else in a user namespace. */
static bool get_own_mounts(void)
{
    unsigned uid = geteuid(), gid = getegid();
    if (unshare(CLONE_NEWNS) == 0)
        return true;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return false;
    EBB_AUTO_FREE char *users = ebb_sprintf("0 %u 1", uid);
    EBB_AUTO_FREE char *groups = ebb_sprintf("0 %u 1", gid);
    put_line("/proc/self/setgroups", "deny");
    put_line("/proc/self/uid_map", users);
    put_line("/proc/self/gid_map", groups);
    return true;
}

/* A full disk: a small tmpfs in a mount namespace of a child, where that is allowed. */
static int restore_onto_a_full_disk(struct fixture *f, const char *limit)
{
    if (!get_own_mounts() || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return 77;
    if (mount("none", f->back.path, "tmpfs", 0, limit) < 0)
        return 77;
    struct ebb_lineage *l = NULL;
    struct ebb_error err = {0};
    if (ebb_lineage_open(f->store, TEST_ROOT, &l, &err) < 0)
        return 1;
    int rc = ebb_lineage_restore(l, f->back.path, NULL, 2, NULL, &err);
    ebb_lineage_destroy(l);
    if (rc != EBB_ERR_NO_SPACE)
        (void)fprintf(stderr, "%d %s\n", rc, err.text);
    return rc == EBB_ERR_NO_SPACE && is_empty(f->back.path) ? 0 : 2;
}

static void a_full_disk_is_said_and_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "state", 3000000, 1, false);
    for (char name[] = "a"; name[0] <= 'j'; name[0]++)
        job_write(f->work.path, name, 100, 1, false);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), 0);
    ebb_lineage_destroy(l);
    /* No room for the bytes; room for them but not for all the files. */
    static const char *const limits[] = {"size=1m", "size=8m,nr_inodes=8"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(limits); i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(restore_onto_a_full_disk(f, limits[i]));
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77)
            skip();
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_damaged_generation_gives_way_to_the_one_before),
        FIXTURE_TEST(every_flipped_byte_of_a_repository_is_found),
        FIXTURE_TEST(a_restore_never_gives_wrong_bytes),
        FIXTURE_TEST(a_missing_or_short_object_is_damage),
        FIXTURE_TEST(a_store_that_is_silent_is_not_damage),
        FIXTURE_TEST(patterns_choose_files),
        FIXTURE_TEST(a_directory_with_files_is_refused),
        FIXTURE_TEST(a_reader_that_is_overtaken_starts_again),
        FIXTURE_TEST(a_full_disk_is_said_and_leaves_nothing),
    };
    return cmocka_run_group_tests_name("restore", tests, NULL, NULL);
}
