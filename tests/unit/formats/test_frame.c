/* What all frame readers have in common. */
#include "frame_check.h"

static void kinds_without_frames_are_refused(void **state)
{
    (void)state;
    struct ebb_memory_source memory = {0};
    struct ebb_frame_reader *r = NULL;
    struct ebb_error err = {0};
    assert_int_equal(ebb_frame_reader_open(EBB_FILE_CPT, ebb_memory_source(&memory), &r, &err),
                     EBB_ERR_UNSUPPORTED);
    assert_string_equal(err.text, "cpt files have no frames");
    assert_null(r);
    struct ebb_coordinates x = {0};
    struct ebb_buffer out = {0};
    assert_int_equal(ebb_frame_write(EBB_FILE_RAW, "", 0, &x, &out, &err), EBB_ERR_UNSUPPORTED);
}

static void an_empty_file_has_no_frame(void **state)
{
    (void)state;
    static const enum ebb_file_kind kinds[] = {
        EBB_FILE_XTC, EBB_FILE_TRR, EBB_FILE_LAMMPS_DUMP_TEXT, EBB_FILE_LAMMPS_DUMP_BINARY};
    for (size_t i = 0; i < EBB_ARRAY_LEN(kinds); i++)
        assert_int_equal(read_anything(kinds[i], (const uint8_t *)"", 0, NULL), 0);
    assert_int_equal(read_anything(EBB_FILE_DCD, (const uint8_t *)"", 0, NULL), EBB_ERR_CORRUPT);
}

static int break_down(void *ctx, void *buf, size_t len, size_t *ret_len, struct ebb_error *err)
{
    (void)buf;
    (void)len;
    (void)ret_len;
    ++*(int *)ctx;
    return ebb_error_set(err, EBB_ERR_IO, "the disk is gone");
}

static void a_failing_source_is_told_and_not_asked_again(void **state)
{
    (void)state;
    int calls = 0;
    struct ebb_source source = {.read = break_down, .ctx = &calls};
    EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *r = NULL;
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
    assert_int_equal(ebb_frame_reader_open(EBB_FILE_XTC, source, &r, NULL), 0);
    for (int i = 0; i < 3; i++) {
        struct ebb_error err = {0};
        assert_int_equal(ebb_frame_reader_next(r, &f, &err), EBB_ERR_IO);
        assert_string_equal(err.text, "the disk is gone");
        assert_int_equal(calls, 1);
    }
}

static void memory_grows_with_the_bytes_that_come_alone(void **state)
{
    (void)state;
    /* A TRR of 100 million atoms that ends after its header. */
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    put32(&b, 1993, true);
    put32(&b, 13, true);
    put32(&b, 12, true);
    ebb_buffer_append(&b, "GMX_trn_file", 12);
    for (int i = 0; i < 10; i++)
        put32(&b, i == 7 ? 1200000000 : 0, true);
    put32(&b, 100000000, true);
    for (int i = 0; i < 4; i++)
        put32(&b, 0, true);
    struct ebb_memory_source memory = {.data = b.data, .len = b.len};
    EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *r = NULL;
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
    struct ebb_error err = {0};
    assert_int_equal(ebb_frame_reader_open(EBB_FILE_TRR, ebb_memory_source(&memory), &r, NULL), 0);
    assert_int_equal(ebb_frame_reader_next(r, &f, &err), EBB_ERR_CORRUPT);
    assert_string_equal(err.text, "TRR frame 0 at byte 0: the file ends at byte 84, before the "
                                  "1200000084 bytes of the frame");
    assert_int_equal(f.memory_bytes, 0);
    const uint8_t *pending;
    size_t len;
    ebb_frame_reader_pending(r, &pending, &len);
    assert_int_equal(len, 84);
    assert_memory_equal(pending, b.data, len);
}

static void integers_become_the_floats_of_gromacs(void **state)
{
    (void)state;
    static const int32_t q[4] = {1, -1234567, 3, 0};
    float x[4];
    ebb_frame_lattice_to_float(q, 4, 1000, x);
    assert_true(x[0] == 1 * 0.001f && x[1] == -1234567 * 0.001f && x[2] == 3 * 0.001f && x[3] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_without_frames_are_refused),
        cmocka_unit_test(an_empty_file_has_no_frame),
        cmocka_unit_test(a_failing_source_is_told_and_not_asked_again),
        cmocka_unit_test(memory_grows_with_the_bytes_that_come_alone),
        cmocka_unit_test(integers_become_the_floats_of_gromacs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
