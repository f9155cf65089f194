/* What holds for the ranges of every kind; what each kind's ranges are is in its own test. */
#include "frame_check.h"

static int fail_at_once(void *ctx, const struct ebb_range *range, struct ebb_error *err)
{
    (void)range;
    ++*(unsigned *)ctx;
    return ebb_error_set(err, EBB_ERR_CANCELLED, "enough");
}

/* A restart with two sections. */
static void put_sections(struct ebb_buffer *b)
{
    ebb_buffer_append(b, "LammpS RestartT", 16);
    for (uint32_t section = 0; section < 2; section++) {
        put32(b, 47, false);
        put32(b, 10, false);
        for (int i = 0; i < 10; i++)
            put_f64(b, 5, false);
    }
}

static void the_callback_ends_the_scan(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    put_sections(&b);
    struct ebb_memory_source memory = {.data = b.data, .len = b.len};
    struct ebb_random_source source = ebb_memory_random_source(&memory);
    unsigned calls = 0;
    struct ebb_error err = {0};
    assert_int_equal(ebb_ranges_scan(EBB_FILE_LAMMPS_RESTART, &source, fail_at_once, &calls, &err),
                     EBB_ERR_CANCELLED);
    assert_int_equal(calls, 1);
    assert_string_equal(err.text, "enough");
}

static int no_disk(void *ctx, uint64_t offset, void *buf, size_t len, struct ebb_error *err)
{
    (void)ctx;
    (void)offset;
    (void)buf;
    (void)len;
    return ebb_error_set(err, EBB_ERR_IO, "the disk is gone");
}

static void a_failing_source_fails_the_scan_of_every_kind(void **state)
{
    (void)state;
    struct ebb_random_source source = {.read_at = no_disk, .size = 4096};
    for (int kind = 0; kind < EBB_FILE_KINDS; kind++) {
        uint64_t end = 0;
        struct ebb_error err = {0};
        int rc = ebb_ranges_scan((enum ebb_file_kind)kind, &source, ignore_range, &end, &err);
        assert_int_equal(rc, ebb_file_kind_has_ranges((enum ebb_file_kind)kind) ? EBB_ERR_IO : 0);
    }
}

static void a_file_of_another_kind_has_no_ranges(void **state)
{
    (void)state;
    uint8_t bytes[4096];
    uint64_t random = 12;
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)next_random(&random);
        for (int kind = 0; kind < EBB_FILE_KINDS; kind++)
            scan_anything((enum ebb_file_kind)kind, bytes, sizeof bytes);
    }
    scan_anything(EBB_FILE_TRR, bytes, 0);
}

static void roles_have_names(void **state)
{
    (void)state;
    for (int role = 0; role < EBB_ROLES; role++)
        assert_true(strlen(ebb_range_role_name((enum ebb_range_role)role)) > 2);
    assert_string_equal(ebb_range_role_name((enum ebb_range_role)99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_callback_ends_the_scan),
        cmocka_unit_test(a_failing_source_fails_the_scan_of_every_kind),
        cmocka_unit_test(a_file_of_another_kind_has_no_ranges),
        cmocka_unit_test(roles_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
