/* LAMMPS text dumps. */
#include "frame_check.h"

static const char atoms_unsorted[] = "ITEM: TIMESTEP\n"
                                     "20\n"
                                     "ITEM: NUMBER OF ATOMS\n"
                                     "3\n"
                                     "ITEM: BOX BOUNDS pp pp ff\n"
                                     "0.0000000000000000e+00 8.0000000000000000e+00\n"
                                     "-1 1\n"
                                     "0 4\n"
                                     "ITEM: ATOMS id type xs ys zs\n"
                                     "30 1 0.5 0.25 1e-05\n"
                                     "10 1 0.125 0.661996 0.9\n"
                                     "20 2 0 -0 1\n";

static const char custom[] = "ITEM: UNITS\n"
                             "metal\n"
                             "ITEM: TIME\n"
                             "0.25\n"
                             "ITEM: TIMESTEP\n"
                             "100\n"
                             "ITEM: NUMBER OF ATOMS\n"
                             "2\n"
                             "ITEM: BOX BOUNDS xy xz yz pp pp pp\n"
                             "-1 11 2\n"
                             "0 10 -1\n"
                             "0 10 0\n"
                             "ITEM: ATOMS vx z element x id c_q[1] y \n"
                             " 0.1        1.50  C       -2.25   1 77   3.00\n"
                             " 0.2      -10.00  O        0.00   2 78  13.25\n";

static const char no_columns[] = "ITEM: TIMESTEP\n"
                                 "0\n"
                                 "ITEM: NUMBER OF ATOMS\n"
                                 "1\n"
                                 "ITEM: BOX BOUNDS abc origin pp pp pp\n"
                                 "1 0 0 0\n"
                                 "0 1 0 0\n"
                                 "0 0 1 0\n"
                                 "ITEM: ATOMS id vx vy vz\n"
                                 "1 1 2 3\n";

static const char no_atoms[] = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n0\n"
                               "ITEM: BOX BOUNDS pp pp pp\n0 1\n0 1\n0 1\nITEM: ATOMS id x y z\n";

static struct ebb_frame_reader *open_text(const struct ebb_buffer *b,
                                          struct ebb_memory_source *memory)
{
    *memory = (struct ebb_memory_source){.data = b->data, .len = b->len};
    struct ebb_frame_reader *r = NULL;
    assert_int_equal(
        ebb_frame_reader_open(EBB_FILE_LAMMPS_DUMP_TEXT, ebb_memory_source(memory), &r, NULL), 0);
    return r;
}

static void read_one(const char *text, struct ebb_frame *f, double *ret_units)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    ebb_buffer_append_text(&b, text);
    struct ebb_memory_source memory;
    EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *r = open_text(&b, &memory);
    struct ebb_error err = {0};
    if (ebb_frame_reader_next(r, f, &err) != 1)
        fail_msg("%s", err.text);
    *ret_units = ebb_frame_reader_units_per_nm(r);
}

static void frames_of_all_shapes_come_back(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    ebb_buffer_append_text(&b, atoms_unsorted);
    ebb_buffer_append_text(&b, custom);
    ebb_buffer_append_text(&b, no_atoms);
    ebb_buffer_append_text(&b, no_columns);
    ebb_buffer_append_text(&b, atoms_unsorted);
    assert_int_equal(ebb_file_recognise(b.data, b.len), EBB_FILE_LAMMPS_DUMP_TEXT);
    assert_int_equal(ebb_file_recognise(custom, sizeof custom), EBB_FILE_LAMMPS_DUMP_TEXT);
    for (size_t piece = 1; piece < 100; piece += 9)
        assert_int_equal(check_round_trip(EBB_FILE_LAMMPS_DUMP_TEXT, &b, piece), 5);
}

static void coordinates_come_in_the_order_of_the_ids(void **state)
{
    (void)state;
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
    double units;
    read_one(atoms_unsorted, &f, &units);
    static const double want[9] = {0.125, 0.661996, 0.9, 0, -0.0, 1, 0.5, 0.25, 1e-5};
    assert_int_equal(f.atoms, 3);
    assert_int_equal(f.step, 20);
    assert_true(isnan(f.time) && units == 0);
    assert_memory_equal(f.x64, want, sizeof want);
    assert_true(f.length_scale == 8);
    assert_true(f.box[0] == 8 && f.box[4] == 2 && f.box[8] == 4);
}

static void columns_in_any_order_with_a_tilted_box_are_read(void **state)
{
    (void)state;
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
    double units;
    read_one(custom, &f, &units);
    static const double want[6] = {-2.25, 3, 1.5, 0, 13.25, -10};
    static const float box[9] = {9, 0, 0, 2, 10, 0, -1, 0, 10};
    assert_memory_equal(f.x64, want, sizeof want);
    assert_memory_equal(f.box, box, sizeof box);
    assert_true(f.time == 0.25 && units == 10 && f.length_scale == 1);
}

static void new_coordinates_are_written_with_the_digits_they_need(void **state)
{
    (void)state;
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    double units;
    read_one(custom, &f, &units);
    static const float x[6] = {0.1f, 3, 1.5f, 7, -0.333333343f, 2.5f};
    struct ebb_coordinates c = {.atoms = 2, .x32 = x};
    assert_int_equal(
        ebb_frame_write(EBB_FILE_LAMMPS_DUMP_TEXT, f.rest.data, f.rest.len, &c, &out, NULL), 0);
    const char *lines = strstr(ebb_buffer_text(&out), "c_q[1] y \n");
    assert_non_null(lines);
    assert_string_equal(lines, "c_q[1] y \n"
                               " 0.1        1.50  C       0.10   1 77   3.00\n"
                               " 0.2      2.50  O        7.00   2 78  -0.33333334\n");
}

static void a_dump_without_coordinates_is_all_rest(void **state)
{
    (void)state;
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
    double units;
    read_one(no_columns, &f, &units);
    assert_int_equal(f.atoms, 0);
    assert_null(f.x64);
    assert_false(f.has_box);
}

static void read_text(const char *text, struct ebb_error *err)
{
    *err = (struct ebb_error){0};
    assert_true(read_anything(EBB_FILE_LAMMPS_DUMP_TEXT, (const uint8_t *)text, strlen(text), err) <
                0);
}

static void faults_are_told_with_their_place(void **state)
{
    (void)state;
    struct ebb_error err;
    read_text("ITEM: TIMESTEP\nabc\n", &err);
    assert_string_equal(err.text, "LAMMPS dump frame 0 at byte 0: step \"abc\" is no integer");
    read_text("ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n-1\n", &err);
    assert_non_null(strstr(err.text, "negative"));
    read_text("ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n2\nITEM: ATOMS id\n1\nITEM: TIMESTEP\n",
              &err);
    assert_non_null(strstr(err.text, "1 lines for 2 atoms"));
    read_text("ITEM: ATOMS id\n", &err);
    assert_non_null(strstr(err.text, "without their number"));
    read_text("1 2 3\n", &err);
    assert_non_null(strstr(err.text, "ITEM was expected"));
}

static void lines_that_do_not_fit_the_columns_are_kept_as_they_are(void **state)
{
    (void)state;
    static const char *const lines[] = {"1 2\n", "1 2 3 4 5 6\n", "1 a b c\n",     "1 2 \x01 3\n",
                                        "\n",    "1.5 2 3 4\n",   "1 2 3 4 5\r\n", "1\t2\t3\t4\n"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(lines); i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        ebb_buffer_append_text(&b, "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n2\n"
                                   "ITEM: ATOMS id x y z\n9 1 2 3\n");
        ebb_buffer_append_text(&b, lines[i]);
        assert_int_equal(check_round_trip(EBB_FILE_LAMMPS_DUMP_TEXT, &b, 50), 1);
    }
}

static void many_atoms_in_wild_order_come_back(void **state)
{
    (void)state;
    uint64_t random = 8;
    for (uint32_t stride = 1; stride < 100000; stride *= 19) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        ebb_buffer_append_text(&b, "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n997\n"
                                   "ITEM: BOX BOUNDS pp pp pp\n0 9\n0 9\n0 9\n"
                                   "ITEM: ATOMS id type x y z ix\n");
        for (uint32_t i = 0; i < 997; i++)
            ebb_buffer_printf(&b, "%u 1 %g %g %g -1\n", 1 + (i * 331 % 997) * stride,
                              next_unit(&random) * 9, next_unit(&random) * 1e-5,
                              next_unit(&random) * 9e6);
        assert_int_equal(check_round_trip(EBB_FILE_LAMMPS_DUMP_TEXT, &b, 4096), 1);
    }
}

static void a_file_cut_or_damaged_gives_errors_alone(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    ebb_buffer_append_text(&b, atoms_unsorted);
    ebb_buffer_append_text(&b, custom);
    check_truncations(EBB_FILE_LAMMPS_DUMP_TEXT, &b, 3);
    check_damage(EBB_FILE_LAMMPS_DUMP_TEXT, &b);
    check_bad_rests(EBB_FILE_LAMMPS_DUMP_TEXT, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_of_all_shapes_come_back),
        cmocka_unit_test(coordinates_come_in_the_order_of_the_ids),
        cmocka_unit_test(columns_in_any_order_with_a_tilted_box_are_read),
        cmocka_unit_test(new_coordinates_are_written_with_the_digits_they_need),
        cmocka_unit_test(a_dump_without_coordinates_is_all_rest),
        cmocka_unit_test(faults_are_told_with_their_place),
        cmocka_unit_test(lines_that_do_not_fit_the_columns_are_kept_as_they_are),
        cmocka_unit_test(many_atoms_in_wild_order_come_back),
        cmocka_unit_test(a_file_cut_or_damaged_gives_errors_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
