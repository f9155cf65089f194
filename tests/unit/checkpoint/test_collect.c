/* Collection deletes garbage, and garbage only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "job_fixture.h"

static void commit_state(struct fixture *f, struct ebb_lineage *l, uint64_t seed)
{
    job_write(f->work.path, "state", 5000, seed, false);
    assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), 0);
}

static void what_two_generations_reach_stays(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "conf.in", 3000, 1, false);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    for (uint64_t i = 0; i < 6; i++)
        commit_state(f, l, 10 + i);
    assert_int_equal(memory_store_count(f->memory, "/manifests/"), 6);
    memory_store_advance(f->memory, 100);
    commit_state(f, l, 20); /* moves the head's time */
    uint64_t deleted = 0;
    assert_int_equal(ebb_lineage_collect(l, 50, &deleted, NULL), 0);
    assert_int_equal(deleted, 5 + 4); /* the first pack holds conf.in too */
    assert_int_equal(memory_store_count(f->memory, "/manifests/"), 2);
    assert_int_equal(ebb_lineage_verify(l, NULL, NULL, NULL, NULL), 0);
    fixture_assert_restores(f);
    assert_int_equal(ebb_lineage_collect(l, 50, &deleted, NULL), 0);
    assert_int_equal(deleted, 0);
    ebb_lineage_destroy(l);
}

static void what_is_young_stays(void **state)
{
    struct fixture *f = *state;
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    for (uint64_t i = 0; i < 4; i++)
        commit_state(f, l, i);
    uint64_t deleted = 1;
    assert_int_equal(ebb_lineage_collect(l, 3600, &deleted, NULL), 0);
    assert_int_equal(deleted, 0);
    /* An hour passes by every clock but the head's: nothing newer than the head is judged. */
    memory_store_advance(f->memory, 7200);
    assert_int_equal(ebb_lineage_collect(l, 3600, &deleted, NULL), 0);
    assert_int_equal(deleted, 0);
    commit_state(f, l, 5);
    assert_int_equal(ebb_lineage_collect(l, 3600, &deleted, NULL), 0);
    assert_int_equal(deleted, 6);
    ebb_lineage_destroy(l);
}

static void only_the_owner_collects(void **state)
{
    struct fixture *f = *state;
    struct ebb_lineage *zombie = job_open_and_claim(f->store, 1);
    for (uint64_t i = 0; i < 4; i++)
        commit_state(f, zombie, i);
    struct ebb_lineage *l = job_open_and_claim(f->store, 2);
    assert_int_equal(ebb_lineage_collect(zombie, 0, NULL, NULL), EBB_ERR_FENCED);
    assert_int_equal(memory_store_count(f->memory, "/manifests/"), 4);
    struct ebb_lineage *reader = job_open(f->store);
    assert_int_equal(ebb_lineage_collect(reader, 0, NULL, NULL), EBB_ERR_FENCED);
    ebb_lineage_destroy(reader);
    ebb_lineage_destroy(zombie);
    ebb_lineage_destroy(l);
}

static void equal_content_of_two_owners_has_two_names(void **state)
{
    /* Names carry the claim's nonce and ages are judged against the head the zombie knew, so even
     * content equal to the zombie's garbage is out of its reach. */
    struct fixture *f = *state;
    struct ebb_lineage *zombie = job_open_and_claim(f->store, 1);
    for (uint64_t i = 0; i < 3; i++)
        commit_state(f, zombie, i);
    /* Garbage of the zombie: a commit that was not published. */
    job_write(f->work.path, "state", 5000, 77, false);
    memory_store_fail_put(f->memory, "/manifests/", 1, 1, MEMORY_DENY);
    assert_int_equal(job_commit(zombie, f->work.path, false, NULL, NULL), EBB_ERR_DENIED);
    size_t before = memory_store_count(f->memory, "/packs/");
    memory_store_advance(f->memory, 1000);
    struct ebb_lineage *next = job_open_and_claim(f->store, 2);
    commit_state(f, next, 77); /* the very same content */
    assert_int_equal(memory_store_count(f->memory, "/packs/"), before + 1);
    ebb_lineage_destroy(zombie);
    ebb_lineage_destroy(next);
}

static void a_damaged_generation_stops_collection(void **state)
{
    struct fixture *f = *state;
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    for (uint64_t i = 0; i < 4; i++)
        commit_state(f, l, i);
    memory_store_object(f->memory, memory_store_find(f->memory, "/manifests/", 2))->data[3] ^= 1;
    memory_store_advance(f->memory, 100);
    uint64_t deleted = 1;
    assert_int_equal(ebb_lineage_collect(l, 0, &deleted, NULL), EBB_ERR_CORRUPT);
    assert_int_equal(memory_store_count(f->memory, "/manifests/"), 4);
    ebb_lineage_destroy(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(what_two_generations_reach_stays),
        FIXTURE_TEST(what_is_young_stays),
        FIXTURE_TEST(only_the_owner_collects),
        FIXTURE_TEST(equal_content_of_two_owners_has_two_names),
        FIXTURE_TEST(a_damaged_generation_stops_collection),
    };
    return cmocka_run_group_tests_name("collect", tests, NULL, NULL);
}
