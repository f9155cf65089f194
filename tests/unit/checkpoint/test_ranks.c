/* Checkpoints of several ranks: each gets its own back, and none is there without the others.
 *
 *     EBB_GOLDEN_WRITE=DIR build/tests/unit/checkpoint/checkpoint_ranks
 *
 * writes a repository as tests/golden/checkpoint-v1-ranks is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "job_fixture.h"

#define GOLDEN EBB_SOURCE_DIR "/tests/golden/checkpoint-v1-ranks"

enum { RANKS = 3 };

struct gang {
    struct job_dir dirs[RANKS];
    struct ebb_lineage *lineages[RANKS];
};

static struct gang gang_of(struct ebb_object_store *store, uint64_t attempt)
{
    struct gang g;
    for (uint32_t k = 0; k < RANKS; k++) {
        job_dir_make(&g.dirs[k]);
        g.lineages[k] = k == 0 ? job_open_and_claim(store, attempt) : job_open(store);
        ebb_lineage_set_rank(g.lineages[k], k);
    }
    return g;
}

static struct gang gang_begin(struct fixture *f, uint64_t attempt)
{
    return gang_of(f->store, attempt);
}

static void gang_end(struct gang *g)
{
    for (uint32_t k = 0; k < RANKS; k++) {
        job_dir_remove(&g->dirs[k]);
        ebb_lineage_destroy(g->lineages[k]);
    }
}

static void work(struct gang *g, uint64_t step)
{
    for (uint32_t k = 0; k < RANKS; k++) {
        if (step == 1)
            job_write(g->dirs[k].path, "conf.in", 3000000, 7, false);
        job_write(g->dirs[k].path, "state", 5000, 100 * step + k, false);
        job_append(g->dirs[k].path, "run.log", 2000 + k, 10 * step + k);
    }
}

/* The parts of ranks 1.. into ret. */
static void put_parts(struct gang *g, struct ebb_commit_part ret[RANKS - 1])
{
    uint64_t epoch = ebb_lineage_head(g->lineages[0])->epoch;
    for (uint32_t k = 1; k < RANKS; k++) {
        struct ebb_error err = {0};
        ret[k - 1].rank = k;
        if (job_put_part(g->lineages[k], epoch, g->dirs[k].path, &ret[k - 1].manifest, NULL, &err) <
            0)
            fail_msg("%s", err.text);
    }
}

static void commit(struct gang *g)
{
    struct ebb_commit_part parts[RANKS - 1];
    struct ebb_error err = {0};
    put_parts(g, parts);
    if (job_commit_with(g->lineages[0], g->dirs[0].path, false, parts, RANKS - 1, NULL, &err) < 0)
        fail_msg("%s", err.text);
}

static void assert_each_gets_its_own(struct fixture *f, const struct gang *g)
{
    struct ebb_lineage *l = job_open(f->store);
    struct ebb_generation now = ebb_head_generation(ebb_lineage_head(l), false);
    for (uint32_t k = 0; k < RANKS; k++) {
        fixture_empty_back(f);
        ebb_lineage_set_rank(l, k);
        assert_int_equal(ebb_lineage_restore_exactly(l, &now, f->back.path, 2, NULL, NULL), 0);
        job_assert_equal(g->dirs[k].path, f->back.path);
    }
    ebb_lineage_destroy(l);
}

static void each_rank_gets_its_own_files_back(void **state)
{
    struct fixture *f = *state;
    struct gang g = gang_begin(f, 1);
    for (uint64_t step = 1; step <= 3; step++) {
        work(&g, step);
        commit(&g);
        assert_each_gets_its_own(f, &g);
    }
    struct ebb_lineage *all = job_open(f->store);
    assert_int_equal(ebb_lineage_verify(all, NULL, NULL, NULL, NULL), 0);
    fixture_empty_back(f);
    assert_int_equal(ebb_lineage_restore(all, f->back.path, NULL, 2, NULL, NULL), 0);
    EBB_AUTO_FREE char *path = ebb_path_join(f->back.path, "ranks/2/state");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    ebb_lineage_destroy(all);
    gang_end(&g);
}

static void parts_without_the_commit_change_nothing_that_a_reader_sees(void **state)
{
    struct fixture *f = *state;
    struct gang g = gang_begin(f, 1);
    struct ebb_commit_part parts[RANKS - 1];
    work(&g, 1);
    put_parts(&g, parts);
    struct ebb_lineage *reader = job_open(f->store);
    assert_int_equal(ebb_lineage_head(reader)->sequence, 0);
    ebb_lineage_destroy(reader);
    commit(&g);
    EBB_AUTO_FREE char *before = job_digest(g.dirs[2].path);
    work(&g, 2);
    put_parts(&g, parts); /* rank 0 dies here */
    for (uint32_t k = 1; k < RANKS; k++) {
        fixture_empty_back(f);
        struct ebb_lineage *l = job_open(f->store);
        struct ebb_generation now = ebb_head_generation(ebb_lineage_head(l), false);
        ebb_lineage_set_rank(l, k);
        assert_int_equal(ebb_lineage_restore_exactly(l, &now, f->back.path, 2, NULL, NULL), 0);
        if (k == 2) {
            EBB_AUTO_FREE char *after = job_digest(f->back.path);
            assert_string_equal(before, after);
        }
        ebb_lineage_destroy(l);
    }
    gang_end(&g);
}

static void what_a_rank_has_sent_is_not_sent_again(void **state)
{
    struct fixture *f = *state;
    struct gang g = gang_begin(f, 1);
    work(&g, 1);
    commit(&g);
    (void)usleep(60000); /* old enough for the stamps to prove something */
    uint64_t epoch = ebb_lineage_head(g.lineages[0])->epoch;
    job_write(g.dirs[1].path, "state", 4000, 5, false);
    struct ebb_generation part;
    struct ebb_commit_stats stats;
    assert_int_equal(job_put_part(g.lineages[1], epoch, g.dirs[1].path, &part, &stats, NULL), 0);
    assert_in_range(stats.sent_bytes, 4000, 6000);
    /* ... nor after a restore. */
    struct ebb_lineage *l = job_open(f->store);
    struct ebb_generation now = ebb_head_generation(ebb_lineage_head(l), false);
    ebb_lineage_set_rank(l, 2);
    assert_int_equal(ebb_lineage_restore_exactly(l, &now, f->back.path, 2, NULL, NULL), 0);
    job_append(f->back.path, "run.log", 1000, 99);
    assert_int_equal(job_put_part(l, epoch, f->back.path, &part, &stats, NULL), 0);
    assert_in_range(stats.sent_bytes, 1000, 3500);
    ebb_lineage_destroy(l);
    gang_end(&g);
}

static void the_next_attempt_goes_on_from_one_step_of_all(void **state)
{
    struct fixture *f = *state;
    struct gang g = gang_begin(f, 1);
    work(&g, 1);
    commit(&g);
    struct gang next = gang_begin(f, 2);
    struct ebb_generation now = ebb_head_generation(ebb_lineage_head(next.lineages[0]), false);
    for (uint32_t k = 0; k < RANKS; k++)
        assert_int_equal(
            ebb_lineage_restore_exactly(next.lineages[k], &now, next.dirs[k].path, 2, NULL, NULL),
            0);
    work(&next, 2);
    /* The zombie's parts and commit are of an epoch that is over. */
    struct ebb_commit_part parts[RANKS - 1];
    struct ebb_error err = {0};
    work(&g, 5);
    put_parts(&g, parts);
    assert_int_equal(
        job_commit_with(g.lineages[0], g.dirs[0].path, false, parts, RANKS - 1, NULL, &err),
        EBB_ERR_FENCED);
    assert_int_equal(ebb_lineage_check_epoch(g.lineages[1], 1, &err), EBB_ERR_FENCED);
    assert_int_equal(ebb_lineage_check_epoch(next.lineages[1], 2, &err), 0);
    commit(&next);
    assert_each_gets_its_own(f, &next);
    gang_end(&next);
    gang_end(&g);
}

static void a_part_that_is_damaged_or_not_there_lets_the_commit_fail(void **state)
{
    struct fixture *f = *state;
    struct gang g = gang_begin(f, 1);
    struct ebb_commit_part parts[RANKS - 1];
    work(&g, 1);
    commit(&g);
    work(&g, 2);
    put_parts(&g, parts);
    parts[1].manifest.sha256[0] ^= 1;
    assert_int_equal(
        job_commit_with(g.lineages[0], g.dirs[0].path, false, parts, RANKS - 1, NULL, NULL),
        EBB_ERR_NOT_FOUND);
    parts[1].manifest.sha256[0] ^= 1;
    EBB_AUTO_FREE char *key = ebb_manifest_key(TEST_ROOT, &parts[1].manifest);
    memory_store_object(f->memory, key)->data[40] ^= 1;
    assert_int_equal(
        job_commit_with(g.lineages[0], g.dirs[0].path, false, parts, RANKS - 1, NULL, NULL),
        EBB_ERR_CORRUPT);
    assert_int_equal(ebb_lineage_head(g.lineages[0])->sequence, 1);
    gang_end(&g);
}

static void the_folder_of_other_ranks_is_not_for_rank_0(void **state)
{
    struct fixture *f = *state;
    struct gang g = gang_begin(f, 1);
    struct ebb_commit_part parts[RANKS - 1];
    struct ebb_error err = {0};
    work(&g, 1);
    put_parts(&g, parts);
    EBB_AUTO_FREE char *folder = ebb_path_join(g.dirs[0].path, "ranks");
    assert_int_equal(mkdir(folder, 0755), 0);
    job_write_text(folder, "mine.in", "x");
    assert_int_equal(
        job_commit_with(g.lineages[0], g.dirs[0].path, false, parts, RANKS - 1, NULL, &err),
        EBB_ERR_INPUT);
    assert_non_null(strstr(err.text, "ranks/mine.in"));
    assert_int_equal(job_commit(g.lineages[0], g.dirs[0].path, false, NULL, &err), 0);
    gang_end(&g);
}

static void an_owner_makes_no_part(void **state)
{
    struct fixture *f = *state;
    struct gang g = gang_begin(f, 1);
    struct ebb_generation part;
    work(&g, 1);
    assert_int_equal(job_put_part(g.lineages[0], 1, g.dirs[0].path, &part, NULL, NULL),
                     EBB_ERR_INPUT);
    gang_end(&g);
}

/* ---- a repository that was written once ---- */

static struct ebb_object_store *open_directory(const char *path)
{
    EBB_AUTO_FREE char *url = ebb_sprintf("file://%s", path);
    struct ebb_object_store *store = NULL;
    struct ebb_error err = {0};
    if (ebb_object_store_open(url, NULL, &store, &err) < 0)
        fail_msg("%s", err.text);
    return store;
}

static void write_golden(const char *golden)
{
    static const char *const names[] = {"expected-previous", "expected-current"};
    EBB_AUTO_FREE char *path = ebb_path_join(golden, "store");
    assert_int_equal(ebb_mkdir_p(path, 0755, NULL), 0);
    struct ebb_object_store *store = open_directory(path);
    struct gang g = gang_of(store, 1);
    for (uint64_t step = 0; step < 2; step++) {
        for (uint32_t k = 0; k < RANKS; k++) {
            job_write(g.dirs[k].path, "state", 500 + k, 10 * step + k, false);
            job_append(g.dirs[k].path, "run.log", 200, 20 * step + k);
        }
        commit(&g);
        struct job_dir back;
        job_dir_make(&back);
        struct ebb_lineage *l = job_open(store);
        assert_int_equal(ebb_lineage_restore(l, back.path, NULL, 1, NULL, NULL), 0);
        EBB_AUTO_FREE char *text = job_digest(back.path);
        EBB_AUTO_FREE char *to = ebb_path_join(golden, names[step]);
        assert_int_equal(ebb_file_write_atomic(to, text, strlen(text), 0644, NULL), 0);
        ebb_lineage_destroy(l);
        job_dir_remove(&back);
    }
    EBB_AUTO_FREE char *text = job_digest(g.dirs[2].path);
    EBB_AUTO_FREE char *to = ebb_path_join(golden, "expected-rank-2");
    assert_int_equal(ebb_file_write_atomic(to, text, strlen(text), 0644, NULL), 0);
    gang_end(&g);
    ebb_object_store_destroy(store);
}

/* A store that is opened writes into its directory. */
static int copy_one(void *ctx, const char *relative, const char *path, struct ebb_error *err)
{
    EBB_AUTO_FREE char *to = ebb_path_join(ctx, relative);
    EBB_AUTO_FREE char *parent = ebb_strndup(to, (size_t)(strrchr(to, '/') - to));
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    assert_int_equal(ebb_mkdir_p(parent, 0755, err), 0);
    assert_int_equal(ebb_file_read(path, 1u << 20, &b, err), 0);
    return ebb_file_write_atomic(to, b.data, b.len, 0644, err);
}

static void the_golden_repository_gives_rank_2_its_files(void **state)
{
    (void)state;
    struct job_dir back, copy;
    job_dir_make(&back);
    job_dir_make(&copy);
    assert_int_equal(ebb_walk(GOLDEN "/store", copy_one, copy.path, NULL), 0);
    struct ebb_object_store *store = open_directory(copy.path);
    struct ebb_lineage *l = job_open(store);
    struct ebb_generation now = ebb_head_generation(ebb_lineage_head(l), false);
    EBB_AUTO(ebb_auto_manifest) Ebb__Manifest *m = NULL;
    assert_int_equal(ebb_lineage_manifest(l, false, &m, NULL), 0);
    assert_int_equal(m->required_features, EBB_FEATURE_RANKS);
    assert_int_equal(m->last_rank, 2);
    ebb_lineage_set_rank(l, 2);
    assert_int_equal(ebb_lineage_restore_exactly(l, &now, back.path, 1, NULL, NULL), 0);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer want = {0};
    assert_int_equal(ebb_file_read(GOLDEN "/expected-rank-2", 1u << 20, &want, NULL), 0);
    EBB_AUTO_FREE char *have = job_digest(back.path);
    assert_string_equal(have, ebb_buffer_text(&want));
    ebb_lineage_destroy(l);
    ebb_object_store_destroy(store);
    job_dir_remove(&back);
    job_dir_remove(&copy);
}

int main(void)
{
    const char *golden = getenv("EBB_GOLDEN_WRITE");
    if (golden != NULL) {
        write_golden(golden);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(each_rank_gets_its_own_files_back),
        FIXTURE_TEST(parts_without_the_commit_change_nothing_that_a_reader_sees),
        FIXTURE_TEST(what_a_rank_has_sent_is_not_sent_again),
        FIXTURE_TEST(the_next_attempt_goes_on_from_one_step_of_all),
        FIXTURE_TEST(a_part_that_is_damaged_or_not_there_lets_the_commit_fail),
        FIXTURE_TEST(the_folder_of_other_ranks_is_not_for_rank_0),
        FIXTURE_TEST(an_owner_makes_no_part),
        cmocka_unit_test(the_golden_repository_gives_rank_2_its_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
