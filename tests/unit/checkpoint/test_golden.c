/* Repositories written by earlier versions stay readable, and this version still writes what its
 * specification says.
 *
 *     EBB_GOLDEN_WRITE=tests/golden/checkpoint-v2 build/tests/unit/checkpoint/checkpoint_golden
 *
 * writes a new one (for a new format version; those committed are never rewritten). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "checkpoint/format.h"
#include "job_files.h"

#define GOLDEN EBB_SOURCE_DIR "/tests/golden/checkpoint-v1"

struct golden {
    struct job_dir store_dir, back;
    struct ebb_object_store *store;
};

static int copy_one(void *ctx, const char *relative, const char *path, struct ebb_error *err)
{
    const char *to = ctx;
    EBB_AUTO_FREE char *target = ebb_path_join(to, relative);
    EBB_AUTO_FREE char *parent = ebb_strndup(target, (size_t)(strrchr(target, '/') - target));
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    assert_int_equal(ebb_mkdir_p(parent, 0755, err), 0);
    assert_int_equal(ebb_file_read(path, 1u << 26, &b, err), 0);
    return ebb_file_write_atomic(target, b.data, b.len, 0644, err);
}

static struct ebb_object_store *open_directory(const char *path)
{
    EBB_AUTO_FREE char *url = ebb_sprintf("file://%s", path);
    struct ebb_object_store *store = NULL;
    struct ebb_error err = {0};
    if (ebb_object_store_open(url, NULL, &store, &err) < 0)
        fail_msg("%s", err.text);
    return store;
}

static int set_up(void **state)
{
    struct golden *g = ebb_alloc(sizeof *g);
    job_dir_make(&g->store_dir);
    job_dir_make(&g->back);
    assert_int_equal(ebb_walk(GOLDEN "/store", copy_one, g->store_dir.path, NULL), 0);
    g->store = open_directory(g->store_dir.path);
    *state = g;
    return 0;
}

static int tear_down(void **state)
{
    struct golden *g = *state;
    ebb_object_store_destroy(g->store);
    job_dir_remove(&g->store_dir);
    job_dir_remove(&g->back);
    free(g);
    return 0;
}

static void assert_is_as_expected(const char *dir, const char *file)
{
    EBB_AUTO_FREE char *path = ebb_path_join(GOLDEN, file);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer want = {0};
    assert_int_equal(ebb_file_read(path, 1u << 20, &want, NULL), 0);
    EBB_AUTO_FREE char *have = job_digest(dir);
    assert_string_equal(have, ebb_buffer_text(&want));
}

static void the_golden_repository_verifies(void **state)
{
    struct golden *g = *state;
    struct ebb_lineage *l = job_open(g->store);
    struct ebb_error err = {0};
    if (ebb_lineage_verify(l, NULL, NULL, NULL, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(ebb_lineage_head(l)->format, 1);
    ebb_lineage_destroy(l);
}

static void both_golden_generations_restore(void **state)
{
    struct golden *g = *state;
    struct ebb_lineage *l = job_open(g->store);
    struct ebb_restore_result r;
    assert_int_equal(ebb_lineage_restore(l, g->back.path, NULL, 2, &r, NULL), 0);
    assert_is_as_expected(g->back.path, "expected-current");

    struct ebb_generation now = ebb_head_generation(ebb_lineage_head(l), false);
    EBB_AUTO_FREE char *key = ebb_manifest_key(TEST_ROOT, &now);
    assert_int_equal(ebb_object_delete(g->store, key, NULL), 0);
    job_dir_remove(&g->back);
    assert_int_equal(ebb_lineage_restore(l, g->back.path, NULL, 2, &r, NULL), 0);
    assert_true(r.fell_back);
    assert_is_as_expected(g->back.path, "expected-previous");
    ebb_lineage_destroy(l);
}

static void a_golden_repository_can_be_continued(void **state)
{
    struct golden *g = *state;
    struct ebb_lineage *l = job_open_and_claim(g->store, 9);
    assert_int_equal(ebb_lineage_restore(l, g->back.path, NULL, 2, NULL, NULL), 0);
    job_append(g->back.path, "traj.xtc", 100, 1);
    struct ebb_commit_stats s;
    assert_int_equal(job_commit(l, g->back.path, false, &s, NULL), 0);
    assert_int_equal(ebb_lineage_verify(l, NULL, NULL, NULL, NULL), 0);
    ebb_lineage_destroy(l);
}

static void this_version_writes_the_same_bytes(void **state)
{
    struct golden *g = *state;
    struct ebb_lineage *l = job_open(g->store);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer stored = {0}, written = {0};
    assert_int_equal(
        ebb_object_get(g->store, TEST_ROOT "/head", 0, 0, 1u << 20, &stored, NULL, NULL), 0);
    ebb_head_encode(ebb_lineage_head(l), &written);
    assert_int_equal(written.len, stored.len);
    assert_memory_equal(written.data, stored.data, stored.len);

    struct ebb_generation now = ebb_head_generation(ebb_lineage_head(l), false);
    EBB_AUTO_FREE char *key = ebb_manifest_key(TEST_ROOT, &now);
    Ebb__Manifest *m = NULL;
    ebb_buffer_reset(&stored);
    ebb_buffer_reset(&written);
    assert_int_equal(ebb_object_get(g->store, key, 0, 0, 1u << 20, &stored, NULL, NULL), 0);
    assert_int_equal(ebb_lineage_manifest(l, false, &m, NULL), 0);
    ebb_manifest_encode(m, &written);
    ebb__manifest__free_unpacked(m, NULL);
    assert_int_equal(written.len, stored.len);
    assert_memory_equal(written.data, stored.data, stored.len);
    ebb_lineage_destroy(l);
}

/* ---- writing ---- */

static void write_expected(const char *golden, const char *name, const char *work)
{
    EBB_AUTO_FREE char *path = ebb_path_join(golden, name);
    EBB_AUTO_FREE char *text = job_digest(work);
    assert_int_equal(ebb_file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

static void write_files(const char *work)
{
    job_write_text(work, "run.sh", "#!/bin/sh\nexec engine -in nvt.in\n");
    EBB_AUTO_FREE char *script = ebb_path_join(work, "run.sh");
    EBB_AUTO_FREE char *link = ebb_path_join(work, "sub/current");
    assert_int_equal(chmod(script, 0755), 0);
    job_write_text(work, "sub/nvt.in", "temperature = 300\n");
    job_write(work, "state.cpt", 3000, 1, false);
    job_write(work, "empty", 0, 1, false);
    assert_int_equal(symlink("../state.cpt", link), 0);
    /* Two full chunks and a short one. */
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    for (unsigned i = 0; text.len < 2200000; i++)
        ebb_buffer_printf(&text, "step %u energy %u\n", i, i * 7 % 1000);
    job_write_text(work, "md.log", ebb_buffer_text(&text));
}

static void write_golden(const char *golden)
{
    struct job_dir work;
    job_dir_make(&work);
    EBB_AUTO_FREE char *store_path = ebb_path_join(golden, "store");
    EBB_AUTO_FREE char *sub = ebb_path_join(work.path, "sub");
    assert_int_equal(ebb_mkdir_p(store_path, 0755, NULL), 0);
    assert_int_equal(ebb_mkdir_p(sub, 0755, NULL), 0);
    struct ebb_object_store *store = open_directory(store_path);
    struct ebb_lineage *l = job_open_and_claim(store, 3);
    write_files(work.path);
    for (unsigned i = 0; i < 3; i++) {
        job_append(work.path, "traj.xtc", 500 + i, 10 + i);
        job_write(work.path, "state.cpt", 3000 + i, 20 + i, i == 1);
        assert_int_equal(job_commit(l, work.path, false, NULL, NULL), 0);
        if (i == 1)
            write_expected(golden, "expected-previous", work.path);
    }
    write_expected(golden, "expected-current", work.path);
    uint64_t deleted;
    assert_int_equal(ebb_lineage_collect(l, 0, &deleted, NULL), 0);
    ebb_lineage_destroy(l);
    ebb_object_store_destroy(store);
    job_dir_remove(&work);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const char *golden = getenv("EBB_GOLDEN_WRITE");
    if (golden != NULL) {
        EBB_AUTO_FREE char *here = getcwd(NULL, 0);
        EBB_AUTO_FREE char *path =
            golden[0] == '/' ? ebb_strdup(golden) : ebb_path_join(here, golden);
        write_golden(path);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        T(the_golden_repository_verifies),
        T(both_golden_generations_restore),
        T(a_golden_repository_can_be_continued),
        T(this_version_writes_the_same_bytes),
    };
    return cmocka_run_group_tests_name("golden", tests, NULL, NULL);
}
