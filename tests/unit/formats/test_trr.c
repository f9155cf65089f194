/* TRR files. */
#include "frame_check.h"

struct shape {
    bool is_double, box, virial, x, v, f;
};

static void put_real(struct ebb_buffer *b, double v, bool is_double)
{
    if (is_double)
        put_f64(b, v, true);
    else
        put_f32(b, (float)v, true);
}

static void put_frame(struct ebb_buffer *b, size_t atoms, struct shape s, int32_t step)
{
    uint32_t real = s.is_double ? 8 : 4, part = (uint32_t)(3 * atoms * real);
    put32(b, 1993, true);
    put32(b, 13, true);
    put32(b, 12, true);
    ebb_buffer_append(b, "GMX_trn_file", 12);
    const uint32_t sizes[10] = {
        0, 0, s.box ? 9 * real : 0, s.virial ? 9 * real : 0, s.virial ? 9 * real : 0,
        0, 0, s.x ? part : 0,       s.v ? part : 0,          s.f ? part : 0};
    for (int i = 0; i < 10; i++)
        put32(b, sizes[i], true);
    put32(b, (uint32_t)atoms, true);
    put32(b, (uint32_t)step, true);
    put32(b, 0, true);
    put_real(b, step * 0.5, s.is_double);
    put_real(b, 0, s.is_double);
    size_t numbers = (s.box ? 9u : 0u) + (s.virial ? 18u : 0u) +
                     ((s.x ? 1u : 0u) + (s.v ? 1u : 0u) + (s.f ? 1u : 0u)) * 3 * atoms;
    for (size_t i = 0; i < numbers; i++)
        put_real(b, (double)i * 1.25 - 7, s.is_double);
}

static const struct shape shapes[] = {
    {false, true, false, true, true, true},  {true, true, false, true, true, true},
    {false, true, true, true, false, false}, {true, false, false, true, true, false},
    {false, true, false, false, true, true}, {true, true, true, false, false, false},
};

static void every_shape_and_number_of_atoms_comes_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < EBB_ARRAY_LEN(shapes); i++)
        for (size_t atoms = 1; atoms <= 40; atoms++) {
            EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
            put_frame(&b, atoms, shapes[i], 3);
            put_frame(&b, atoms, shapes[0], 4);
            assert_int_equal(ebb_file_recognise(b.data, b.len), EBB_FILE_TRR);
            assert_int_equal(check_round_trip(EBB_FILE_TRR, &b, 13), 2);
        }
}

static void a_double_frame_gives_doubles_and_its_step_time_and_box(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    put_frame(&b, 5, shapes[1], 6);
    struct ebb_memory_source memory = {.data = b.data, .len = b.len};
    EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *r = NULL;
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
    assert_int_equal(ebb_frame_reader_open(EBB_FILE_TRR, ebb_memory_source(&memory), &r, NULL), 0);
    assert_int_equal(ebb_frame_reader_next(r, &f, NULL), 1);
    assert_int_equal(f.atoms, 5);
    assert_int_equal(f.step, 6);
    assert_true(f.time == 3 && f.has_box && f.box[8] == 3);
    assert_non_null(f.x64);
    for (int i = 0; i < 15; i++)
        assert_true(f.x64[i] == (i + 9) * 1.25 - 7);
}

static void new_coordinates_leave_all_else_as_it_was(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0}, out = {0};
    put_frame(&b, 4, shapes[0], 6);
    struct ebb_memory_source memory = {.data = b.data, .len = b.len};
    EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *r = NULL;
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
    assert_int_equal(ebb_frame_reader_open(EBB_FILE_TRR, ebb_memory_source(&memory), &r, NULL), 0);
    assert_int_equal(ebb_frame_reader_next(r, &f, NULL), 1);
    f.x32[7] = 42;
    struct ebb_coordinates x = coordinates_of(&f);
    assert_int_equal(ebb_frame_write(EBB_FILE_TRR, f.rest.data, f.rest.len, &x, &out, NULL), 0);
    assert_int_equal(out.len, b.len);
    size_t at = 84 + 36 + 28;
    assert_true(ebb_load_f32(out.data + at, true) == 42);
    memcpy(out.data + at, b.data + at, 4);
    assert_memory_equal(out.data, b.data, b.len);
}

struct found {
    unsigned count;
    struct ebb_range range[16];
    char name[16];
};

static int keep_range(void *ctx, const struct ebb_range *range, struct ebb_error *err)
{
    (void)err;
    struct found *f = ctx;
    assert_true(f->count < 16);
    f->name[f->count] = range->name[0];
    f->range[f->count++] = *range;
    return 0;
}

static void positions_velocities_and_forces_are_ranges(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    put_frame(&b, 4, shapes[0], 6);
    put_frame(&b, 6, shapes[3], 6);
    struct ebb_memory_source memory = {.data = b.data, .len = b.len};
    struct ebb_random_source source = ebb_memory_random_source(&memory);
    struct found found = {0};
    assert_int_equal(ebb_ranges_scan(EBB_FILE_TRR, &source, keep_range, &found, NULL), 0);
    assert_int_equal(found.count, 5);
    assert_memory_equal(found.name, "xvfxv", 5);
    assert_int_equal(found.range[0].offset, 84 + 36);
    assert_int_equal(found.range[0].rows, 4);
    assert_int_equal(found.range[0].columns, 3);
    assert_int_equal(found.range[1].role, EBB_ROLE_V);
    assert_true(found.range[2].big_endian);
    assert_int_equal(found.range[3].dtype, EBB_DTYPE_F64);
    assert_int_equal(found.range[4].offset + found.range[4].len, b.len);
}

static void a_file_cut_or_damaged_gives_errors_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < EBB_ARRAY_LEN(shapes); i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        put_frame(&b, 3, shapes[i], 6);
        put_frame(&b, 3, shapes[i], 6);
        check_truncations(EBB_FILE_TRR, &b, 3);
        check_damage(EBB_FILE_TRR, &b);
        check_bad_rests(EBB_FILE_TRR, &b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_and_number_of_atoms_comes_back),
        cmocka_unit_test(a_double_frame_gives_doubles_and_its_step_time_and_box),
        cmocka_unit_test(new_coordinates_leave_all_else_as_it_was),
        cmocka_unit_test(positions_velocities_and_forces_are_ranges),
        cmocka_unit_test(a_file_cut_or_damaged_gives_errors_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
