/* The fixture of most tests here: a store in memory, a work directory, a directory to restore to.
 */
#ifndef EBB_TEST_JOB_FIXTURE_H
#define EBB_TEST_JOB_FIXTURE_H

#include "job_files.h"
#include "memory_store.h"

struct fixture {
    struct memory_store *memory;
    struct ebb_object_store *store;
    struct job_dir work, back;
};

int fixture_set_up(void **state);
int fixture_tear_down(void **state);
/* Restores into `back` (emptied first) by a fresh reader and compares with `work`. */
void fixture_assert_restores(struct fixture *f);
void fixture_empty_back(struct fixture *f);

#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

#endif
