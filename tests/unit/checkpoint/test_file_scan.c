/* When a file's stat proves that it is unchanged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/memory.h"
#include "checkpoint/file_scan.h"
#include "job_fixture.h"

static void a_stamp_within_a_clock_tick_of_the_last_change_proves_nothing(void **state)
{
    (void)state;
    static const struct {
        int64_t age_ms; /* of the change, when stat was called */
        bool is_fresh;
    } cases[] = {{0, true}, {5, true}, {15, true}, {25, false}, {5000, false}, {-3000, true}};
    int64_t now_ns = 1000 * EBB_NS_PER_S;
    struct ebb_map *seen = ebb_seen_new();
    for (size_t i = 0; i < EBB_ARRAY_LEN(cases); i++) {
        struct ebb_file_stamp stamp = {.ctime_ns = now_ns - cases[i].age_ms * EBB_NS_PER_MS};
        ebb_seen_set(seen, "f", &stamp, now_ns, 0, NULL, NULL);
        const struct ebb_seen_file *f = ebb_map_get(seen, "f");
        assert_int_equal(f->is_fresh, cases[i].is_fresh);
    }
    ebb_map_destroy(seen);
}

static void a_fresh_file_is_read_again_though_its_stamp_is_the_same(void **state)
{
    struct fixture *f = *state;
    job_write(f->work.path, "state", 1000, 1, false);
    struct ebb_lineage *l = job_open_and_claim(f->store, 1);
    assert_int_equal(job_commit(l, f->work.path, false, NULL, NULL), 0);
    struct ebb_seen_file *seen = ebb_map_get(l->seen, "state");
    for (int fresh = 1; fresh >= 0; fresh--) {
        seen->is_fresh = fresh == 1;
        struct ebb_commit_file want = {
            .path = "state", .kind = EBB__FILE_ENTRY__KIND__STATE, .length_bytes = UINT64_MAX};
        struct ebb_map *entries = ebb_map_new(NULL);
        ebb_map_set(entries, "state", l->base->files[0]);
        struct ebb_source s = {0};
        uint64_t read_bytes = 0;
        assert_int_equal(ebb_source_scan(l, f->work.path, &want, entries, &s, &read_bytes, NULL),
                         0);
        assert_int_equal(s.is_unchanged, fresh == 0);
        ebb_source_clean_up(&s);
        ebb_map_destroy(entries);
    }
    ebb_lineage_destroy(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stamp_within_a_clock_tick_of_the_last_change_proves_nothing),
        FIXTURE_TEST(a_fresh_file_is_read_again_though_its_stamp_is_the_same),
    };
    return cmocka_run_group_tests_name("file_scan", tests, NULL, NULL);
}
