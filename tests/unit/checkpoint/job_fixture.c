/* A job with a store and a lineage, for tests of checkpoints. */
#include "job_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"

int fixture_set_up(void **state)
{
    struct fixture *f = ebb_alloc(sizeof *f);
    f->memory = memory_store_new();
    f->store = memory_store_handle(f->memory);
    job_dir_make(&f->work);
    job_dir_make(&f->back);
    *state = f;
    return 0;
}

int fixture_tear_down(void **state)
{
    struct fixture *f = *state;
    memory_store_destroy(f->memory);
    job_dir_remove(&f->work);
    job_dir_remove(&f->back);
    free(f);
    return 0;
}

void fixture_empty_back(struct fixture *f)
{
    job_dir_remove(&f->back);
    assert_int_equal(ebb_mkdir_p(f->back.path, 0755, NULL), 0);
}

void fixture_assert_restores(struct fixture *f)
{
    fixture_empty_back(f);
    struct ebb_lineage *reader = job_open(f->store);
    struct ebb_restore_result r;
    struct ebb_error err = {0};
    if (ebb_lineage_restore(reader, f->back.path, NULL, 2, &r, &err) < 0)
        fail_msg("%s", err.text);
    assert_false(r.fell_back);
    job_assert_equal(f->work.path, f->back.path);
    ebb_lineage_destroy(reader);
}
