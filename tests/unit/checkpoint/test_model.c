/* Random histories of a job against a model: files come, grow, are replaced and go; commits
 * succeed, fail and get lost; owners die, come back as zombies, are collected behind. At each
 * restart what comes back must be what some commit promised, and never older than the last commit
 * that was acknowledged. EBB_TEST_SEEDS sets how many histories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "job_fixture.h"

enum { STEPS = 40, PROMISES = 64 };

struct history {
    struct fixture *f;
    struct ebb_random random;
    struct ebb_lineage *owner;
    struct ebb_lineage *zombie; /* may be NULL */
    uint64_t attempt;
    /* Digests of the work directory at the last acknowledged commit [0] and at those since whose
     * outcome is open. */
    char *promised[PROMISES];
    size_t promised_count;
    uint64_t seed;
};

static void forget_promises(struct history *h)
{
    for (size_t i = 0; i < h->promised_count; i++)
        free(h->promised[i]);
    h->promised_count = 0;
}

static uint64_t below(struct history *h, uint64_t n)
{
    return ebb_random_below(&h->random, n);
}

static void change_a_file(struct history *h)
{
    static const char *const names[] = {"state", "run.log", "d/traj.xtc", "conf.in", "d/e/out"};
    const char *dir = h->f->work.path;
    const char *name = names[below(h, EBB_ARRAY_LEN(names))];
    EBB_AUTO_FREE char *path = ebb_path_join(dir, name);
    EBB_AUTO_FREE char *link = ebb_path_join(dir, "link");
    uint64_t seed = ebb_random_next(&h->random);
    size_t size = below(h, 10) == 0 ? below(h, 3000000) : below(h, 20000);
    switch (below(h, 8)) {
    case 0:
        (void)unlink(path);
        break;
    case 1:
        (void)unlink(link);
        assert_int_equal(symlink(below(h, 2) == 0 ? "state" : "./conf.in", link), 0);
        break;
    case 2:
        if (ebb_file_exists(path))
            assert_int_equal(truncate(path, (off_t)below(h, 5000)), 0);
        break;
    case 3:
        job_write(dir, name, size, seed, seed % 2 == 0);
        break;
    case 4: { /* by rename */
        EBB_AUTO_FREE char *temporary = ebb_sprintf("%s.t", path);
        EBB_AUTO_FREE char *temporary_name = ebb_sprintf("%s.t", name);
        job_write(dir, temporary_name, size, seed, false);
        assert_int_equal(rename(temporary, path), 0);
        break;
    }
    default:
        job_append(dir, name, size, seed);
    }
}

static void commit(struct history *h, bool with_fault)
{
    char *now = job_digest(h->f->work.path);
    if (with_fault) {
        static const char *const parts[] = {"/packs/", "/manifests/", "/head"};
        memory_store_fail_put(h->f->memory, parts[below(h, 3)], 1 + (unsigned)below(h, 2),
                              below(h, 2) == 0 ? 1 : 1000, (enum memory_fault)below(h, 6));
    }
    struct ebb_error err = {0};
    int rc = job_commit(h->owner, h->f->work.path, false, NULL, &err);
    memory_store_heal(h->f->memory);
    if (rc == 0) {
        forget_promises(h);
    } else if (!with_fault) {
        fail_msg("seed %llu: %s", (unsigned long long)h->seed, err.text);
    }
    assert_true(h->promised_count < PROMISES);
    h->promised[h->promised_count++] = now;
}

static void die_and_be_succeeded(struct history *h)
{
    ebb_lineage_destroy(h->zombie);
    h->zombie = h->owner;
    if (below(h, 2) == 0)
        (void)memory_store_deliver(h->f->memory);
    h->owner = job_open_and_claim(h->f->store, ++h->attempt);
    /* What the dead one still had on its way is refused from here on, or changes nothing. */
    (void)memory_store_deliver(h->f->memory);
    struct ebb_error err = {0};
    assert_int_equal(ebb_lineage_check(h->owner, &err), 0);
    if (ebb_lineage_verify(h->owner, NULL, NULL, NULL, &err) < 0)
        fail_msg("seed %llu: %s", (unsigned long long)h->seed, err.text);
    job_dir_remove(&h->f->work);
    struct ebb_restore_result r = {0};
    int rc = ebb_lineage_restore(h->owner, h->f->work.path, NULL, 2, &r, &err);
    char *now = job_digest(h->f->work.path);
    bool is_promised = rc == EBB_ERR_NOT_FOUND && h->promised[0][0] == '\0';
    for (size_t i = 0; rc == 0 && i < h->promised_count; i++)
        is_promised = is_promised || strcmp(now, h->promised[i]) == 0;
    if (!is_promised || r.fell_back)
        fail_msg("seed %llu: restored what was not promised (%d %s)", (unsigned long long)h->seed,
                 rc, err.text);
    forget_promises(h);
    h->promised[h->promised_count++] = now;
}

static void let_the_zombie_try(struct history *h)
{
    if (h->zombie == NULL)
        return;
    struct job_dir its;
    job_dir_make(&its);
    job_write(its.path, "state", 100, ebb_random_next(&h->random), false);
    int rc = job_commit(h->zombie, its.path, below(h, 2) == 0, NULL, NULL);
    assert_int_equal(rc, EBB_ERR_FENCED);
    assert_int_equal(ebb_lineage_collect(h->zombie, 0, NULL, NULL), EBB_ERR_FENCED);
    assert_int_equal(ebb_lineage_claim(h->zombie, "zombie", h->attempt - 1, NULL), EBB_ERR_FENCED);
    job_dir_remove(&its);
}

static void collect(struct history *h)
{
    memory_store_advance(h->f->memory, (double)below(h, 100));
    int rc = ebb_lineage_collect(h->owner, (double)below(h, 50), NULL, NULL);
    assert_true(rc == 0 || rc == EBB_ERR_CONFLICT);
}

static void run_history(void **state, uint64_t seed)
{
    struct history h = {.f = *state, .attempt = 1, .seed = seed};
    ebb_random_seed(&h.random, seed);
    h.owner = job_open_and_claim(h.f->store, 1);
    h.promised[h.promised_count++] = ebb_strdup("");
    for (unsigned step = 0; step < STEPS; step++) {
        uint64_t what = below(&h, 20);
        if (what < 8)
            change_a_file(&h);
        else if (what < 12)
            commit(&h, false);
        else if (what < 15)
            commit(&h, true);
        else if (what < 17)
            die_and_be_succeeded(&h);
        else if (what < 18)
            let_the_zombie_try(&h);
        else
            collect(&h);
    }
    die_and_be_succeeded(&h);
    forget_promises(&h);
    ebb_lineage_destroy(h.owner);
    ebb_lineage_destroy(h.zombie);
}

static void every_history_keeps_its_promises(void **state)
{
    (void)state;
    const char *wanted = getenv("EBB_TEST_SEEDS");
    unsigned long seeds = wanted != NULL ? strtoul(wanted, NULL, 10) : 80;
    for (unsigned long seed = 1; seed <= seeds; seed++) {
        void *one = NULL;
        assert_int_equal(fixture_set_up(&one), 0);
        run_history(&one, seed);
        assert_int_equal(fixture_tear_down(&one), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_history_keeps_its_promises)};
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
