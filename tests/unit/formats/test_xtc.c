/* XTC files. */
#include "frame_check.h"

#include "base/file.h"

static void put_head(struct ebb_buffer *b, uint32_t magic, size_t atoms, int32_t step)
{
    put32(b, magic, true);
    put32(b, (uint32_t)atoms, true);
    put32(b, (uint32_t)step, true);
    put_f32(b, (float)step / 8, true);
    for (int k = 0; k < 9; k++)
        put_f32(b, k % 4 == 0 ? 2.5f : 0, true);
    put32(b, (uint32_t)atoms, true);
}

/* A frame of our own writing. */
static void put_frame(struct ebb_buffer *b, uint32_t magic, size_t atoms, float precision,
                      const float *x, int32_t step)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer rest = {0};
    put_head(&rest, magic, atoms, step);
    if (atoms > 9)
        put_f32(&rest, precision, true);
    struct ebb_coordinates c = {.atoms = atoms, .x32 = x};
    struct ebb_error err = {0};
    if (ebb_frame_write(EBB_FILE_XTC, rest.data, rest.len, &c, b, &err) < 0)
        fail_msg("%s", err.text);
}

static void fill(uint64_t *random, float *x, size_t atoms, double size)
{
    for (size_t i = 0; i < 3 * atoms; i++)
        x[i] = (float)((next_unit(random) - 0.3) * size);
}

static void sample(struct ebb_buffer *b, size_t atoms, uint32_t magic)
{
    uint64_t random = atoms;
    EBB_AUTO_FREE float *x = ebb_alloc_array(3 * atoms + 1, sizeof *x);
    for (int32_t step = 0; step < 2; step++) {
        fill(&random, x, atoms, 2);
        put_frame(b, magic, atoms, 1000, x, step);
    }
}

static void frames_of_0_to_40_atoms_come_back_under_both_magics(void **state)
{
    (void)state;
    for (size_t atoms = 0; atoms <= 40; atoms++)
        for (int magic = 0; magic < 2; magic++) {
            EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
            sample(&b, atoms, magic == 0 ? 1995 : 2023);
            assert_int_equal(ebb_file_recognise(b.data, b.len), EBB_FILE_XTC);
            assert_int_equal(check_round_trip(EBB_FILE_XTC, &b, 7), 2);
            assert_int_equal(check_round_trip(EBB_FILE_XTC, &b, 1 << 20), 2);
        }
}

static void what_gromacs_wrote_comes_back(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    struct ebb_error err = {0};
    /* 60 atoms at 3, 5 and 6 digits, and 7 atoms, by gmx trjconv 2022.5. */
    if (ebb_file_read(EBB_SOURCE_DIR "/tests/golden/formats/gromacs-2022.xtc", 1 << 20, &b, &err) <
        0)
        fail_msg("%s", err.text);
    assert_int_equal(check_round_trip(EBB_FILE_XTC, &b, 4096), 5);
}

static void doubles_are_rounded_by_way_of_floats(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer rest = {0}, wide = {0}, narrow = {0};
    uint64_t random = 17;
    float x[3 * 20];
    double x64[3 * 20];
    fill(&random, x, 20, 50);
    for (int i = 0; i < 60; i++)
        x64[i] = (double)x[i];
    put_head(&rest, 1995, 20, 1);
    put_f32(&rest, 1000, true);
    struct ebb_coordinates c = {.atoms = 20, .x64 = x64}, d = {.atoms = 20, .x32 = x};
    assert_int_equal(ebb_frame_write(EBB_FILE_XTC, rest.data, rest.len, &c, &wide, NULL), 0);
    assert_int_equal(ebb_frame_write(EBB_FILE_XTC, rest.data, rest.len, &d, &narrow, NULL), 0);
    assert_int_equal(wide.len, narrow.len);
    assert_memory_equal(wide.data, narrow.data, wide.len);
}

static void coordinates_are_within_half_a_step_at_any_precision(void **state)
{
    (void)state;
    uint64_t random = 9;
    float x[3 * 25], back[3 * 25];
    for (float precision = 0.01f; precision < 2e7f; precision *= 10)
        for (double size = 1e-3; size < 1e4; size *= 10) {
            if ((double)precision * size > 1e9)
                continue;
            fill(&random, x, 25, size);
            EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
            put_frame(&b, 1995, 25, precision, x, 1);
            struct ebb_memory_source memory = {.data = b.data, .len = b.len};
            EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *r = NULL;
            EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
            assert_int_equal(
                ebb_frame_reader_open(EBB_FILE_XTC, ebb_memory_source(&memory), &r, NULL), 0);
            assert_int_equal(ebb_frame_reader_next(r, &f, NULL), 1);
            assert_true(f.precision == (double)precision);
            ebb_frame_lattice_to_float(f.xq, 75, f.precision, back);
            for (int i = 0; i < 75; i++) {
                double error = fabs((double)back[i] - (double)x[i]);
                assert_true(error <= 0.5 / (double)precision + 3e-7 * fabs((double)x[i]));
            }
        }
}

static void step_time_and_box_are_read(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    float x[33] = {0};
    put_frame(&b, 1995, 11, 1000, x, -5);
    struct ebb_memory_source memory = {.data = b.data, .len = b.len};
    EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *r = NULL;
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
    assert_int_equal(ebb_frame_reader_open(EBB_FILE_XTC, ebb_memory_source(&memory), &r, NULL), 0);
    assert_int_equal(ebb_frame_reader_next(r, &f, NULL), 1);
    assert_int_equal(f.atoms, 11);
    assert_int_equal(f.step, -5);
    assert_true(f.time == -0.625);
    assert_true(f.has_box);
    assert_true(f.box[0] == 2.5f && f.box[1] == 0 && f.box[8] == 2.5f);
    assert_true(ebb_frame_reader_units_per_nm(r) == 1);
    assert_int_equal(ebb_frame_reader_next(r, &f, NULL), 0);
    assert_int_equal(f.atoms, 0);
    assert_null(f.xq);
}

static void few_atoms_keep_every_bit(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    put_head(&b, 1995, 2, 1);
    static const uint32_t bits[6] = {0x7fc12345, 0xff800000, 0x80000000, 1, 0x7f812345, 0x3f800000};
    for (int i = 0; i < 6; i++)
        put32(&b, bits[i], true);
    assert_int_equal(check_round_trip(EBB_FILE_XTC, &b, 64), 1);
}

static void a_coordinate_out_of_range_is_refused(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer rest = {0}, out = {0};
    put_head(&rest, 1995, 12, 1);
    put_f32(&rest, 1000, true);
    static const float bad[] = {NAN, INFINITY, -INFINITY, 3e6f, -3e6f};
    for (size_t i = 0; i < EBB_ARRAY_LEN(bad); i++) {
        float x[36] = {0};
        x[35] = bad[i];
        struct ebb_coordinates c = {.atoms = 12, .x32 = x};
        struct ebb_error err = {0};
        assert_int_equal(ebb_frame_write(EBB_FILE_XTC, rest.data, rest.len, &c, &out, &err),
                         EBB_ERR_INPUT);
        assert_int_equal(out.len, 0);
    }
}

static void a_file_cut_anywhere_says_where(void **state)
{
    (void)state;
    for (size_t atoms = 8; atoms < 24; atoms += 5) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        sample(&b, atoms, atoms == 18 ? 2023 : 1995);
        check_truncations(EBB_FILE_XTC, &b, 3);
    }
}

static void a_damaged_file_gives_errors_alone(void **state)
{
    (void)state;
    for (size_t atoms = 3; atoms < 40; atoms += 12) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        sample(&b, atoms, 1995);
        check_damage(EBB_FILE_XTC, &b);
        check_bad_rests(EBB_FILE_XTC, &b);
    }
}

static void impossible_sizes_cost_no_memory(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    put_head(&b, 2023, INT32_MAX, 0);
    put_f32(&b, 1000, true);
    for (int k = 0; k < 6; k++)
        put32(&b, k < 3 ? 0 : 100, true);
    put32(&b, 20, true);
    put64(&b, (uint64_t)1 << 35, true);
    struct ebb_error err = {0};
    assert_int_equal(read_anything(EBB_FILE_XTC, b.data, b.len, &err), EBB_ERR_CORRUPT);
    assert_non_null(strstr(err.text, "ends at byte"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_of_0_to_40_atoms_come_back_under_both_magics),
        cmocka_unit_test(what_gromacs_wrote_comes_back),
        cmocka_unit_test(doubles_are_rounded_by_way_of_floats),
        cmocka_unit_test(coordinates_are_within_half_a_step_at_any_precision),
        cmocka_unit_test(step_time_and_box_are_read),
        cmocka_unit_test(few_atoms_keep_every_bit),
        cmocka_unit_test(a_coordinate_out_of_range_is_refused),
        cmocka_unit_test(a_file_cut_anywhere_says_where),
        cmocka_unit_test(a_damaged_file_gives_errors_alone),
        cmocka_unit_test(impossible_sizes_cost_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
