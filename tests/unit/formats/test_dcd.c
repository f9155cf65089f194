/* DCD files. */
#include "frame_check.h"

struct shape {
    bool big, cell, fourth, xplor;
    uint32_t fixed;
};

static void put_header(struct ebb_buffer *b, uint32_t atoms, struct shape s)
{
    put32(b, 84, s.big);
    ebb_buffer_append(b, "CORD", 4);
    for (uint32_t i = 0; i < 20; i++) {
        if (i == 9 && s.xplor)
            put_f64(b, 0.5, s.big);
        else if (i == 9)
            put_f32(b, 0.5f, s.big);
        else if (i != 10 || !s.xplor)
            put32(b,
                  i == 0    ? 2
                  : i == 1  ? 100
                  : i == 2  ? 10
                  : i == 8  ? s.fixed
                  : i == 10 ? s.cell
                  : i == 11 ? s.fourth
                  : i == 19 ? (s.xplor ? 0 : 24)
                            : 0,
                  s.big);
    }
    put32(b, 84, s.big);
    put32(b, 4 + 80, s.big);
    put32(b, 1, s.big);
    for (int i = 0; i < 80; i++)
        ebb_buffer_append(b, "t", 1);
    put32(b, 4 + 80, s.big);
    put32(b, 4, s.big);
    put32(b, atoms, s.big);
    put32(b, 4, s.big);
    if (s.fixed == 0)
        return;
    put32(b, 4 * (atoms - s.fixed), s.big);
    for (uint32_t i = s.fixed; i < atoms; i++)
        put32(b, i + 1, s.big);
    put32(b, 4 * (atoms - s.fixed), s.big);
}

static void put_frame(struct ebb_buffer *b, uint32_t atoms, struct shape s, const double cell[6])
{
    if (s.cell) {
        put32(b, 48, s.big);
        for (int i = 0; i < 6; i++)
            put_f64(b, cell[i], s.big);
        put32(b, 48, s.big);
    }
    for (int column = 0; column < (s.fourth ? 4 : 3); column++) {
        put32(b, 4 * atoms, s.big);
        for (uint32_t i = 0; i < atoms; i++)
            put_f32(b, (float)i + 0.25f * (float)column, s.big);
        put32(b, 4 * atoms, s.big);
    }
}

static const double square[6] = {20, 90, 30, 90, 90, 40};

static void put_file(struct ebb_buffer *b, uint32_t atoms, struct shape s, const double cell[6])
{
    put_header(b, atoms, s);
    put_frame(b, atoms, s, cell);
    put_frame(b, atoms - s.fixed, s, cell);
}

static const struct shape shapes[] = {
    {.cell = true},  {.big = true, .cell = true, .fourth = true}, {.fourth = true},
    {.xplor = true}, {.big = true, .xplor = true, .fixed = 2},    {.cell = true, .fixed = 3},
};

static void every_shape_and_number_of_atoms_comes_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < EBB_ARRAY_LEN(shapes); i++)
        for (uint32_t atoms = 3; atoms <= 40; atoms++) {
            EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
            put_file(&b, atoms, shapes[i], square);
            assert_int_equal(ebb_file_recognise(b.data, b.len), EBB_FILE_DCD);
            assert_int_equal(check_round_trip(EBB_FILE_DCD, &b, 11), 2);
        }
}

static void read_first(const struct ebb_buffer *b, struct ebb_frame *f)
{
    struct ebb_memory_source memory = {.data = b->data, .len = b->len};
    EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *r = NULL;
    assert_int_equal(ebb_frame_reader_open(EBB_FILE_DCD, ebb_memory_source(&memory), &r, NULL), 0);
    assert_int_equal(ebb_frame_reader_next(r, f, NULL), 1);
}

static void coordinates_steps_and_times_are_read_in_either_byte_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < EBB_ARRAY_LEN(shapes); i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
        put_file(&b, 7, shapes[i], square);
        read_first(&b, &f);
        assert_int_equal(f.atoms, 7);
        assert_int_equal(f.step, 100);
        assert_true(f.time == 50);
        for (int k = 0; k < 21; k++)
            assert_true(f.x32[k] == (float)(k / 3) + 0.25f * (float)(k % 3));
    }
}

static void the_box_is_read_from_degrees_cosines_and_matrices(void **state)
{
    (void)state;
    static const double cells[4][6] = {{20, 90, 30, 90, 90, 40},
                                       {20, 0, 30, 0, 0, 40},
                                       {20, 60, 30, 90, 90, 40},
                                       {20, -5, 30, 2, 3, 40}};
    static const float boxes[4][9] = {{20, 0, 0, 0, 30, 0, 0, 0, 40},
                                      {20, 0, 0, 0, 30, 0, 0, 0, 40},
                                      {20, 0, 0, 15, 25.980762f, 0, 0, 0, 40},
                                      {20, -5, 2, -5, 30, 3, 2, 3, 40}};
    for (int i = 0; i < 4; i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
        put_file(&b, 4, shapes[0], cells[i]);
        read_first(&b, &f);
        assert_true(f.has_box);
        for (int k = 0; k < 9; k++)
            assert_true(fabsf(f.box[k] - boxes[i][k]) < 1e-4f);
    }
}

static int count_range(void *ctx, const struct ebb_range *range, struct ebb_error *err)
{
    (void)err;
    unsigned *count = ctx;
    ++*count;
    assert_int_equal(range->dtype, EBB_DTYPE_F32);
    assert_int_equal(range->role, EBB_ROLE_X);
    return 0;
}

static void every_column_of_every_frame_is_a_range(void **state)
{
    (void)state;
    for (size_t i = 0; i < EBB_ARRAY_LEN(shapes); i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        put_file(&b, 7, shapes[i], square);
        struct ebb_memory_source memory = {.data = b.data, .len = b.len};
        struct ebb_random_source source = ebb_memory_random_source(&memory);
        unsigned count = 0;
        assert_int_equal(ebb_ranges_scan(EBB_FILE_DCD, &source, count_range, &count, NULL), 0);
        assert_int_equal(count, shapes[i].fourth ? 8 : 6);
    }
}

static void a_file_cut_or_damaged_gives_errors_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < EBB_ARRAY_LEN(shapes); i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        put_file(&b, 5, shapes[i], square);
        check_truncations(EBB_FILE_DCD, &b, 3);
        check_damage(EBB_FILE_DCD, &b);
        check_bad_rests(EBB_FILE_DCD, &b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_and_number_of_atoms_comes_back),
        cmocka_unit_test(coordinates_steps_and_times_are_read_in_either_byte_order),
        cmocka_unit_test(the_box_is_read_from_degrees_cosines_and_matrices),
        cmocka_unit_test(every_column_of_every_frame_is_a_range),
        cmocka_unit_test(a_file_cut_or_damaged_gives_errors_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
