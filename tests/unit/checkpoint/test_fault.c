/* A process killed at each step of a commit, and another that goes on from what it left. A
 * directory is the store: what a dead process wrote must be seen by the next. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "job_files.h"

static const char *const points[] = {"commit-begin",    "pack-before",    "pack-after",
                                     "manifest-before", "manifest-after", "head-before",
                                     "head-after"};

enum { STEPS = 4 };

struct place {
    struct job_dir store, work;
};

/* The "engine": step i leaves these files. Deterministic, so a resumed run can be compared. */
static void run_step(const char *dir, unsigned step)
{
    job_write(dir, "state", 9000000 + step, 100 + step, false); /* more than one pack */
    job_append(dir, "run.log", 1000 + step, 200 + step);
    char text[20];
    (void)snprintf(text, sizeof text, "%u", step);
    job_write_text(dir, "step", text);
}

static unsigned step_of(const char *dir)
{
    EBB_AUTO_FREE char *path = ebb_path_join(dir, "step");
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    return ebb_file_read(path, 100, &b, NULL) < 0 ? 0 : (unsigned)atoi(ebb_buffer_text(&b));
}

/* One life of an agent: claim, restore, go on to the end. Exit status 0: all done. */
static int live(const struct place *p, const char *dir)
{
    EBB_AUTO_FREE char *url = ebb_sprintf("file://%s", p->store.path);
    struct ebb_object_store *store = NULL;
    struct ebb_lineage *l = NULL;
    struct ebb_error err = {0};
    if (ebb_object_store_open(url, NULL, &store, &err) < 0 ||
        ebb_lineage_open(store, TEST_ROOT, &l, &err) < 0)
        return 1;
    int rc = ebb_lineage_claim(l, "life", 1, &err);
    struct ebb_restore_result r = {0};
    if (rc == 0) {
        rc = ebb_lineage_restore(l, dir, NULL, 2, &r, &err);
        if (rc == EBB_ERR_NOT_FOUND)
            rc = 0;
        for (unsigned step = step_of(dir) + 1; rc == 0 && step <= STEPS; step++) {
            run_step(dir, step);
            rc = job_commit(l, dir, step == STEPS, NULL, &err);
        }
    } else if (rc == EBB_ERR_EXISTS) {
        rc = 0;
    }
    ebb_lineage_destroy(l);
    ebb_object_store_destroy(store);
    return rc < 0 || r.fell_back ? 2 : 0;
}

static int live_in_a_process(const struct place *p, const char *fault)
{
    struct job_dir dir;
    job_dir_make(&dir);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (fault != NULL)
            (void)setenv("EBB_FAULT", fault, 1);
        _exit(live(p, dir.path));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    job_dir_remove(&dir);
    return status;
}

static void a_commit_killed_at_any_step_loses_nothing(void **state)
{
    (void)state;
    struct job_dir truth;
    job_dir_make(&truth);
    for (unsigned step = 1; step <= STEPS; step++)
        run_step(truth.path, step);
    for (size_t i = 0; i < EBB_ARRAY_LEN(points); i++) {
        for (unsigned nth = 1; nth <= 3; nth++) {
            struct place p;
            job_dir_make(&p.store);
            EBB_AUTO_FREE char *fault = ebb_sprintf("%s:%u", points[i], nth);
            int status = live_in_a_process(&p, fault);
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
            /* The second life dies at its first passing as well, the third one lives. */
            (void)live_in_a_process(&p, points[i]);
            assert_int_equal(live_in_a_process(&p, NULL), 0);

            EBB_AUTO_FREE char *url = ebb_sprintf("file://%s", p.store.path);
            struct ebb_object_store *store = NULL;
            assert_int_equal(ebb_object_store_open(url, NULL, &store, NULL), 0);
            struct ebb_lineage *l = job_open(store);
            assert_true(ebb_lineage_head(l)->final);
            assert_int_equal(ebb_lineage_verify(l, NULL, NULL, NULL, NULL), 0);
            struct job_dir back;
            job_dir_make(&back);
            assert_int_equal(ebb_lineage_restore(l, back.path, NULL, 2, NULL, NULL), 0);
            assert_true(job_file_equal(truth.path, back.path, "state"));
            assert_true(job_file_equal(truth.path, back.path, "run.log"));
            job_dir_remove(&back);
            ebb_lineage_destroy(l);
            ebb_object_store_destroy(store);
            job_dir_remove(&p.store);
        }
    }
    job_dir_remove(&truth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_commit_killed_at_any_step_loses_nothing)};
    return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}
