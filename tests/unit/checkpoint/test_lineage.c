/* The head: who owns a job, and what a lost answer leaves. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "checkpoint/format.h"
#include "job_fixture.h"

#define HEAD_KEY TEST_ROOT "/head"

static void a_job_without_a_head_is_no_error(void **state)
{
    struct fixture *f = *state;
    struct ebb_lineage *l = job_open(f->store);
    assert_null(ebb_lineage_head(l));
    struct ebb_restore_result r;
    assert_int_equal(ebb_lineage_restore(l, f->back.path, NULL, 1, &r, NULL), EBB_ERR_NOT_FOUND);
    assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), EBB_ERR_FENCED);
    ebb_lineage_destroy(l);
}

static void what_was_committed_comes_back(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "state.cpt", 3000000, 1, false);
    job_write(f->work.path, "traj.xtc", 20000000, 2, true);
    job_write(f->work.path, "sub/deep/run.in", 10, 3, true);
    job_write(f->work.path, "empty", 0, 4, true);
    char link[128];
    (void)snprintf(link, sizeof link, "%s/sub/link", f->work.path);
    assert_int_equal(symlink("../state.cpt", link), 0);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    struct ebb_commit_stats stats;
    struct ebb_error err = {0};
    if (job_commit(l, f->work.path, false, &stats, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(stats.sequence, 1);
    assert_int_equal(stats.raw_bytes, 23000010);
    assert_int_equal(stats.read_bytes, 23000010);
    assert_true(stats.sent_bytes > 3000000 && stats.sent_bytes < 15000000);

    struct ebb_lineage *reader = job_open(f->store);
    struct ebb_restore_result r;
    if (ebb_lineage_restore(reader, f->back.path, NULL, 3, &r, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(r.sequence, 1);
    assert_int_equal(r.step, 1000);
    assert_true(r.run_s == 12.5);
    assert_false(r.fell_back);
    assert_int_equal(r.bytes, 23000010);
    job_assert_equal(f->work.path, f->back.path);
    uint64_t bytes;
    assert_int_equal(ebb_lineage_verify(reader, NULL, NULL, &bytes, NULL), 0);
    ebb_lineage_destroy(reader);
    ebb_lineage_destroy(l);
}

static void a_zombies_commit_is_refused(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "state", 1000, 1, false);
    struct ebb_lineage *zombie = job_open_and_claim(f->store, 1);
    assert_int_equal(job_commit(zombie, f->work.path, false, NULL, NULL), 0);
    struct ebb_lineage *next = job_open_and_claim(f->store, 2);
    job_write(f->work.path, "state", 1000, 2, false);
    assert_int_equal(job_commit(zombie, f->work.path, false, NULL, NULL), EBB_ERR_FENCED);
    /* From then on it knows. */
    assert_int_equal(ebb_lineage_check(zombie, NULL), EBB_ERR_FENCED);
    assert_int_equal(job_commit(zombie, f->work.path, true, NULL, NULL), EBB_ERR_FENCED);
    assert_int_equal(ebb_lineage_check(next, NULL), 0);
    struct ebb_restore_result r;
    assert_int_equal(ebb_lineage_restore(next, f->back.path, NULL, 1, &r, NULL), 0);
    assert_int_equal(r.sequence, 1);
    ebb_lineage_destroy(zombie);
    ebb_lineage_destroy(next);
}

static void a_zombie_that_has_not_claimed_yet_cannot_overtake(void **state)
{
    struct fixture *f = *state;
    struct ebb_lineage *zombie = job_open(f->store);
    struct ebb_lineage *next = job_open_and_claim(f->store, 2);
    assert_int_equal(ebb_lineage_claim(zombie, "old", 1, NULL), EBB_ERR_FENCED);
    assert_int_equal(ebb_lineage_check(next, NULL), 0);
    ebb_lineage_destroy(zombie);
    ebb_lineage_destroy(next);
}

static void the_same_attempt_may_claim_again(void **state)
{
    struct fixture *f = *state;
    struct ebb_lineage *before = job_open_and_claim(f->store, 1);
    struct ebb_lineage *after = job_open_and_claim(f->store, 1);
    assert_int_equal(ebb_lineage_check(before, NULL), EBB_ERR_FENCED);
    assert_int_equal(ebb_lineage_check(after, NULL), 0);
    ebb_lineage_destroy(before);
    ebb_lineage_destroy(after);
}

static void after_the_final_commit_nothing_moves(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "out", 1000, 1, false);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    assert_int_equal(job_commit(l, f->work.path, true, NULL, NULL), 0);
    assert_true(ebb_lineage_head(l)->final);
    assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), EBB_ERR_EXISTS);
    assert_int_equal(ebb_lineage_claim(l, "x", 2, NULL), EBB_ERR_EXISTS);
    struct ebb_lineage *other = job_open(f->store);
    assert_int_equal(ebb_lineage_claim(other, "x", 3, NULL), EBB_ERR_EXISTS);
    ebb_lineage_destroy(other);
    ebb_lineage_destroy(l);
}

/* Two claimers at once, many times: each epoch has one winner. */
struct claimer {
    struct ebb_object_store *store;
    pthread_barrier_t *start;
    uint64_t epoch;
};

static void *run_claimer(void *ctx)
{
    struct claimer *c = ctx;
    struct ebb_lineage *l = NULL;
    if (ebb_lineage_open(c->store, TEST_ROOT, &l, NULL) < 0)
        return NULL;
    (void)pthread_barrier_wait(c->start);
    if (ebb_lineage_claim(l, "racer", 7, NULL) == 0)
        c->epoch = ebb_lineage_head(l)->epoch;
    ebb_lineage_destroy(l);
    return NULL;
}

static void of_claimers_that_race_one_wins_each_epoch(void **state)
{
    struct fixture *f = *state;
    enum { RACERS = 4, ROUNDS = 50 };
    bool taken[RACERS * ROUNDS + 1] = {false};
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[RACERS];
        struct claimer claimers[RACERS];
        pthread_barrier_t start;
        assert_int_equal(pthread_barrier_init(&start, NULL, RACERS), 0);
        for (int i = 0; i < RACERS; i++) {
            claimers[i] = (struct claimer){.store = f->store, .start = &start};
            assert_int_equal(pthread_create(&threads[i], NULL, run_claimer, &claimers[i]), 0);
        }
        for (int i = 0; i < RACERS; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            assert_in_range(claimers[i].epoch, 1, RACERS * ROUNDS);
            assert_false(taken[claimers[i].epoch]);
            taken[claimers[i].epoch] = true;
        }
        (void)pthread_barrier_destroy(&start);
    }
    struct ebb_lineage *l = job_open(f->store);
    assert_int_equal(ebb_lineage_head(l)->epoch, RACERS * ROUNDS);
    ebb_lineage_destroy(l);
}

static void a_lost_answer_after_the_commit_is_success(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "state", 1000, 1, false);
    struct ebb_lineage *l = job_open(f->store);
    memory_store_fail_put(f->memory, "/head", 1, 1, MEMORY_LOSE_AFTER);
    assert_int_equal(ebb_lineage_claim(l, "a", 1, NULL), 0);
    memory_store_fail_put(f->memory, "/head", 1, 1, MEMORY_LOSE_AFTER);
    assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), 0);
    assert_int_equal(ebb_lineage_head(l)->sequence, 1);
    memory_store_fail_put(f->memory, "/packs/", 1, 1, MEMORY_LOSE_AFTER);
    job_write(f->work.path, "state", 1000, 2, false);
    assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), 0);
    memory_store_fail_put(f->memory, "/manifests/", 1, 1, MEMORY_LOSE_AFTER);
    job_write(f->work.path, "state", 1000, 3, false);
    assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), 0);
    assert_int_equal(ebb_lineage_restore(l, f->back.path, NULL, 1, NULL, NULL), 0);
    job_assert_equal(f->work.path, f->back.path);
    ebb_lineage_destroy(l);
}

static void a_put_that_was_lost_on_its_way_is_made_again(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "state", 1000, 1, false);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    static const char *const parts[] = {"/head", "/packs/", "/manifests/"};
    static const enum memory_fault faults[] = {MEMORY_LOSE_BEFORE, MEMORY_UNDECIDED};
    for (size_t i = 0; i < EBB_ARRAY_LEN(parts) * EBB_ARRAY_LEN(faults); i++) {
        job_write(f->work.path, "state", 1000, i + 10, false);
        memory_store_fail_put(f->memory, parts[i % EBB_ARRAY_LEN(parts)], 1, 1,
                              faults[i / EBB_ARRAY_LEN(parts)]);
        assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), 0);
        assert_int_equal(ebb_lineage_head(l)->sequence, i + 1);
    }
    ebb_lineage_destroy(l);
}

static void a_late_head_that_arrives_after_the_timeout_is_known_as_ours(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "state", 1000, 1, false);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    memory_store_fail_put(f->memory, "/head", 1, 100, MEMORY_DELAY);
    assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), EBB_ERR_TIMEOUT);
    memory_store_heal(f->memory);
    /* One of the delayed puts takes effect, the repetitions of it do not. */
    assert_int_equal(memory_store_deliver(f->memory), 1);
    assert_int_equal(ebb_lineage_check(l, NULL), 0);
    job_write(f->work.path, "state", 1000, 2, false);
    assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), 0);
    assert_int_equal(ebb_lineage_head(l)->sequence, 2);
    assert_int_equal(ebb_lineage_restore(l, f->back.path, NULL, 1, NULL, NULL), 0);
    job_assert_equal(f->work.path, f->back.path);
    ebb_lineage_destroy(l);
}

static void an_unsettled_head_is_settled_by_the_next_commit(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "state", 1000, 1, false);
    job_write(f->work.path, "run.log", 1000, 1, false);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), 0);
    job_append(f->work.path, "run.log", 500, 2);
    memory_store_fail_put(f->memory, "/head", 1, 100, MEMORY_DELAY);
    assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), EBB_ERR_TIMEOUT);
    memory_store_heal(f->memory);
    job_append(f->work.path, "run.log", 500, 3);
    assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), 0);
    assert_int_equal(ebb_lineage_head(l)->sequence, 3);
    /* The stragglers change nothing any more. */
    assert_int_equal(memory_store_deliver(f->memory), 0);
    assert_int_equal(ebb_lineage_check(l, NULL), 0);
    assert_int_equal(ebb_lineage_restore(l, f->back.path, NULL, 1, NULL, NULL), 0);
    job_assert_equal(f->work.path, f->back.path);
    ebb_lineage_destroy(l);
}

static void a_late_commit_of_a_zombie_is_refused_by_the_store(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "state", 1000, 1, false);
    struct ebb_lineage *zombie = job_open_and_claim(f->store, 1);
    memory_store_fail_put(f->memory, "/head", 1, 100, MEMORY_DELAY);
    assert_int_equal(job_commit(zombie, f->work.path, false, NULL, NULL), EBB_ERR_TIMEOUT);
    memory_store_heal(f->memory);
    struct ebb_lineage *next = job_open_and_claim(f->store, 2);
    assert_int_equal(memory_store_deliver(f->memory), 0);
    assert_int_equal(ebb_lineage_check(next, NULL), 0);
    assert_int_equal(ebb_lineage_head(next)->sequence, 0);
    assert_int_equal(ebb_lineage_check(zombie, NULL), EBB_ERR_FENCED);
    ebb_lineage_destroy(zombie);
    ebb_lineage_destroy(next);
}

static void no_two_heads_are_equal(void **state)
{
    /* The same commit by the same owner twice: without a nonce the ETag would come back. */
    struct fixture *f = *state;
    job_write(f->work.path, "state", 1000, 1, false);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    uint8_t seen[20][EBB_SHA256_SIZE];
    for (size_t i = 0; i < EBB_ARRAY_LEN(seen); i++) {
        if (i % 2 == 0)
            assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), 0);
        else
            assert_int_equal(ebb_lineage_claim(l, "a", 1, NULL), 0);
        const struct ebb_buffer *b = memory_store_object(f->memory, HEAD_KEY);
        ebb_sha256(b->data, b->len, seen[i]);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(seen[k], seen[i], EBB_SHA256_SIZE);
    }
    /* Each names the one it replaced. */
    assert_memory_equal(ebb_lineage_head(l)->previous_head_sha256.data, seen[18], EBB_SHA256_SIZE);
    ebb_lineage_destroy(l);
}

static void a_refused_commit_leaves_the_previous_checkpoint(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "state", 1000, 1, false);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), 0);
    static const char *const parts[] = {"/packs/", "/manifests/", "/head"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(parts); i++) {
        job_write(f->work.path, "state", 1000, 2 + i, false);
        memory_store_fail_put(f->memory, parts[i], 1, 100, MEMORY_DENY);
        assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), EBB_ERR_DENIED);
        memory_store_heal(f->memory);
        struct ebb_lineage *reader = job_open(f->store);
        assert_int_equal(ebb_lineage_head(reader)->sequence, 1);
        ebb_lineage_destroy(reader);
    }
    assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), 0);
    assert_int_equal(ebb_lineage_restore(l, f->back.path, NULL, 1, NULL, NULL), 0);
    job_assert_equal(f->work.path, f->back.path);
    ebb_lineage_destroy(l);
}

static void a_torn_pack_under_the_right_name_is_replaced(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "state", 100000, 1, false);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    /* The head fails, so the packs of this commit stay as garbage; one is then torn. */
    memory_store_fail_put(f->memory, "/manifests/", 1, 100, MEMORY_DENY);
    assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), EBB_ERR_DENIED);
    memory_store_heal(f->memory);
    const char *key = memory_store_find(f->memory, "/packs/", 0);
    assert_non_null(key);
    memory_store_object(f->memory, key)->len = 17;
    assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), 0);
    assert_int_equal(memory_store_count(f->memory, "/packs/"), 1);
    assert_int_equal(ebb_lineage_restore(l, f->back.path, NULL, 1, NULL, NULL), 0);
    job_assert_equal(f->work.path, f->back.path);
    ebb_lineage_destroy(l);
}

static void a_check_that_gets_no_answer_does_not_fence(void **state)
{
    struct fixture *f = *state;
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    memory_store_fail_get(f->memory, "/head", 1, 1, MEMORY_REFUSE);
    assert_int_equal(ebb_lineage_check(l, NULL), EBB_ERR_UNAVAILABLE);
    assert_int_equal(ebb_lineage_check(l, NULL), 0);
    ebb_lineage_destroy(l);
}

static void a_commit_past_its_deadline_publishes_nothing(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "state", 1000, 1, false);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    struct ebb_commit_file file = {
        .path = "state", .kind = EBB__FILE_ENTRY__KIND__STATE, .length_bytes = UINT64_MAX};
    struct ebb_commit_request q = {.directory = f->work.path,
                                   .files = &file,
                                   .file_count = 1,
                                   .deadline_ns = ebb_now_ns(NULL) - 1};
    assert_int_equal(ebb_lineage_commit(l, &q, NULL, NULL), EBB_ERR_TIMEOUT);
    assert_int_equal(memory_store_count(f->memory, "/packs/"), 0);
    q.deadline_ns = ebb_now_ns(NULL) + 60 * EBB_NS_PER_S;
    assert_int_equal(ebb_lineage_commit(l, &q, NULL, NULL), 0);
    ebb_lineage_destroy(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_job_without_a_head_is_no_error),
        FIXTURE_TEST(what_was_committed_comes_back),
        FIXTURE_TEST(a_zombies_commit_is_refused),
        FIXTURE_TEST(a_zombie_that_has_not_claimed_yet_cannot_overtake),
        FIXTURE_TEST(the_same_attempt_may_claim_again),
        FIXTURE_TEST(after_the_final_commit_nothing_moves),
        FIXTURE_TEST(of_claimers_that_race_one_wins_each_epoch),
        FIXTURE_TEST(a_lost_answer_after_the_commit_is_success),
        FIXTURE_TEST(a_put_that_was_lost_on_its_way_is_made_again),
        FIXTURE_TEST(a_late_head_that_arrives_after_the_timeout_is_known_as_ours),
        FIXTURE_TEST(an_unsettled_head_is_settled_by_the_next_commit),
        FIXTURE_TEST(a_late_commit_of_a_zombie_is_refused_by_the_store),
        FIXTURE_TEST(no_two_heads_are_equal),
        FIXTURE_TEST(a_refused_commit_leaves_the_previous_checkpoint),
        FIXTURE_TEST(a_torn_pack_under_the_right_name_is_replaced),
        FIXTURE_TEST(a_check_that_gets_no_answer_does_not_fence),
        FIXTURE_TEST(a_commit_past_its_deadline_publishes_nothing),
    };
    return cmocka_run_group_tests_name("lineage", tests, NULL, NULL);
}
