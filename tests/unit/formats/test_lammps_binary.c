/* LAMMPS binary dumps. */
#include "frame_check.h"

struct shape {
    uint32_t revision; /* 0: without a magic string */
    bool triclinic, time;
    const char *units, *columns;
    uint32_t column_count;
};

static void put_text(struct ebb_buffer *b, const char *text)
{
    put32(b, (uint32_t)strlen(text), false);
    ebb_buffer_append_text(b, text);
}

static void put_header(struct ebb_buffer *b, uint64_t atoms, struct shape s)
{
    if (s.revision > 0) {
        put64(b, (uint64_t)-10, false);
        ebb_buffer_append_text(b, "DUMPCUSTOM");
        put32(b, 1, false);
        put32(b, s.revision, false);
    }
    put64(b, 500, false);
    put64(b, atoms, false);
    put32(b, s.triclinic, false);
    for (int i = 0; i < 6; i++)
        put32(b, 0, false);
    for (int i = 0; i < 6; i++)
        put_f64(b, i % 2 == 0 ? 0 : 10, false);
    for (int i = 0; s.triclinic && i < 3; i++)
        put_f64(b, i == 0 ? 2 : 0, false);
    put32(b, s.column_count, false);
    if (s.revision == 2) {
        put_text(b, s.units);
        ebb_buffer_append(b, s.time ? "\1" : "\0", 1);
        if (s.time)
            put_f64(b, 2.5, false);
        put_text(b, s.columns);
    }
}

/* Atoms in two chunks, ids descending. */
static void put_frame(struct ebb_buffer *b, uint32_t atoms, struct shape s)
{
    put_header(b, atoms, s);
    put32(b, 2, false);
    uint32_t first = atoms / 3, atom = atoms;
    for (int chunk = 0; chunk < 2; chunk++) {
        uint32_t rows = chunk == 0 ? first : atoms - first;
        put32(b, rows * s.column_count, false);
        for (uint32_t i = 0; i < rows; i++, atom--)
            for (uint32_t k = 0; k < s.column_count; k++)
                put_f64(b, k == 0 ? atom : atom + 0.125 * k, false);
    }
}

static const struct shape shapes[] = {
    {2, false, false, "", "id type x y z", 5}, {2, true, true, "real", "id zs vx xs ys q", 6},
    {2, false, true, "lj", "x y z", 3},        {2, false, false, "", "id vx vy vz", 4},
    {1, true, false, NULL, NULL, 5},           {0, false, false, NULL, NULL, 5},
};

static void every_shape_and_number_of_atoms_comes_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < EBB_ARRAY_LEN(shapes); i++)
        for (uint32_t atoms = 0; atoms <= 40; atoms++) {
            EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
            put_frame(&b, atoms, shapes[i]);
            put_frame(&b, atoms, shapes[0]);
            if (atoms > 0)
                assert_int_equal(ebb_file_recognise(b.data, b.len), EBB_FILE_LAMMPS_DUMP_BINARY);
            assert_int_equal(check_round_trip(EBB_FILE_LAMMPS_DUMP_BINARY, &b, 17), 2);
        }
}

static void coordinates_come_in_the_order_of_the_ids(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
    put_frame(&b, 7, shapes[1]);
    struct ebb_memory_source memory = {.data = b.data, .len = b.len};
    EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *r = NULL;
    assert_int_equal(
        ebb_frame_reader_open(EBB_FILE_LAMMPS_DUMP_BINARY, ebb_memory_source(&memory), &r, NULL),
        0);
    assert_int_equal(ebb_frame_reader_next(r, &f, NULL), 1);
    assert_int_equal(f.atoms, 7);
    for (int i = 0; i < 7; i++) {
        assert_true(f.x64[3 * i] == i + 1 + 0.375);
        assert_true(f.x64[3 * i + 1] == i + 1 + 0.5);
        assert_true(f.x64[3 * i + 2] == i + 1 + 0.125);
    }
    assert_int_equal(f.step, 500);
    assert_true(f.time == 2.5 && f.box[3] == 2 && f.box[0] == 8 && f.length_scale == 10);
    assert_true(ebb_frame_reader_units_per_nm(r) == 10);
}

static void without_names_of_columns_there_are_no_coordinates(void **state)
{
    (void)state;
    for (size_t i = 3; i < EBB_ARRAY_LEN(shapes); i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
        put_frame(&b, 7, shapes[i]);
        struct ebb_memory_source memory = {.data = b.data, .len = b.len};
        EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *r = NULL;
        assert_int_equal(ebb_frame_reader_open(EBB_FILE_LAMMPS_DUMP_BINARY,
                                               ebb_memory_source(&memory), &r, NULL),
                         0);
        assert_int_equal(ebb_frame_reader_next(r, &f, NULL), 1);
        assert_int_equal(f.atoms, 0);
        assert_null(f.x64);
    }
}

static int count_rows(void *ctx, const struct ebb_range *range, struct ebb_error *err)
{
    (void)err;
    uint64_t *rows = ctx;
    *rows += range->rows;
    assert_int_equal(range->dtype, EBB_DTYPE_F64);
    return 0;
}

static void every_chunk_is_a_range_with_a_row_for_each_atom(void **state)
{
    (void)state;
    for (size_t i = 0; i < EBB_ARRAY_LEN(shapes); i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        put_frame(&b, 7, shapes[i]);
        put_frame(&b, 7, shapes[i]);
        struct ebb_memory_source memory = {.data = b.data, .len = b.len};
        struct ebb_random_source source = ebb_memory_random_source(&memory);
        uint64_t rows = 0;
        assert_int_equal(
            ebb_ranges_scan(EBB_FILE_LAMMPS_DUMP_BINARY, &source, count_rows, &rows, NULL), 0);
        assert_int_equal(rows, 14);
    }
}

static void a_file_cut_or_damaged_gives_errors_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < EBB_ARRAY_LEN(shapes); i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        put_frame(&b, 4, shapes[i]);
        put_frame(&b, 4, shapes[i]);
        check_truncations(EBB_FILE_LAMMPS_DUMP_BINARY, &b, 3);
        check_damage(EBB_FILE_LAMMPS_DUMP_BINARY, &b);
        check_bad_rests(EBB_FILE_LAMMPS_DUMP_BINARY, &b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_and_number_of_atoms_comes_back),
        cmocka_unit_test(coordinates_come_in_the_order_of_the_ids),
        cmocka_unit_test(without_names_of_columns_there_are_no_coordinates),
        cmocka_unit_test(every_chunk_is_a_range_with_a_row_for_each_atom),
        cmocka_unit_test(a_file_cut_or_damaged_gives_errors_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
