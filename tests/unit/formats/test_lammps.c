/* What LAMMPS's dumps share. */
#include "frame_check.h"

#include "formats/lammps.h"

static struct ebb_lammps_columns columns_of(const char *names)
{
    struct ebb_lammps_columns c;
    ebb_lammps_find_columns(names, strlen(names), &c);
    return c;
}

static void columns_are_found_in_any_order(void **state)
{
    (void)state;
    struct ebb_lammps_columns c = columns_of("id type xs ys zs");
    assert_true(c.has_id && c.has_x && c.scaled);
    assert_int_equal(c.count, 5);
    assert_int_equal(c.x[0], 2);
    c = columns_of(" z  c_1[2] x q y id ");
    assert_true(c.has_id && c.has_x && !c.scaled);
    assert_int_equal(c.count, 6);
    assert_int_equal(c.x[0], 2);
    assert_int_equal(c.x[1], 4);
    assert_int_equal(c.x[2], 0);
    assert_int_equal(c.id, 5);
    c = columns_of("x y zs xu yu zu");
    assert_true(c.has_x && !c.has_id);
    assert_int_equal(c.x[0], 3);
    c = columns_of("id x y");
    assert_false(c.has_x);
    c = columns_of("");
    assert_int_equal(c.count, 0);
}

static void ids_of_any_spread_are_ranked(void **state)
{
    (void)state;
    uint64_t random = 4;
    for (size_t count = 0; count < 200; count += 7)
        for (int64_t stride = 1; stride < (int64_t)1 << 50; stride *= 1021) {
            int64_t ids[200];
            uint32_t rank[200];
            for (size_t i = 0; i < count; i++)
                ids[i] = ((int64_t)i - 50) * stride;
            for (size_t i = count; i > 1; i--) {
                size_t k = next_random(&random) % i;
                int64_t id = ids[k];
                ids[k] = ids[i - 1];
                ids[i - 1] = id;
            }
            bool sorted;
            assert_true(ebb_lammps_rank(ids, count, rank, &sorted));
            for (size_t i = 0; i < count; i++)
                assert_int_equal(((int64_t)rank[i] - 50) * stride, ids[i]);
            if (count < 3)
                continue;
            ids[0] = ids[count - 1];
            assert_false(ebb_lammps_rank(ids, count, rank, &sorted));
        }
    const int64_t ascending[] = {INT64_MIN / 1024, 0, INT64_MAX / 1024};
    uint32_t rank[3];
    bool sorted = false;
    assert_true(ebb_lammps_rank(ascending, 3, rank, &sorted) && sorted && rank[2] == 2);
}

static void an_id_is_an_integer_that_doubles_hold(void **state)
{
    (void)state;
    int64_t id = 5;
    static const double bad[] = {0.5, NAN, INFINITY, -INFINITY, 1e16};
    for (size_t i = 0; i < EBB_ARRAY_LEN(bad); i++)
        assert_false(ebb_lammps_id(bad[i], &id));
    assert_int_equal(id, 5);
    assert_true(ebb_lammps_id(-9007199254740992.0, &id));
    assert_int_equal(id, -9007199254740992);
}

static void a_tilted_box_is_taken_out_of_its_bounds(void **state)
{
    (void)state;
    struct ebb_frame f = {.length_scale = 1};
    static const double bounds[6] = {-1, 12, 0, 7, 2, 5}, tilt[3] = {2, -1, 1};
    ebb_lammps_set_box(&f, bounds, tilt, true);
    /* x spans -1..12, of which the tilts take 1 below and 2 above. */
    static const float want[9] = {10, 0, 0, 2, 6, 0, -1, 1, 3};
    assert_memory_equal(f.box, want, sizeof want);
    assert_true(f.length_scale == 13);
    static const double flat[6] = {0}, endless[6] = {0, INFINITY, 0, 1, 0, 1}, level[3] = {0};
    f.length_scale = 1;
    ebb_lammps_set_box(&f, flat, level, true);
    assert_true(f.length_scale == 1);
    ebb_lammps_set_box(&f, endless, level, true);
    assert_true(f.length_scale == 1);
}

static void unit_styles_with_a_length_are_known(void **state)
{
    (void)state;
    assert_true(ebb_lammps_units_per_nm("real", 4) == 10);
    assert_true(ebb_lammps_units_per_nm("nano", 4) == 1);
    assert_true(ebb_lammps_units_per_nm("lj", 2) == 0);
    assert_true(ebb_lammps_units_per_nm("", 0) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_found_in_any_order),
        cmocka_unit_test(ids_of_any_spread_are_ranked),
        cmocka_unit_test(an_id_is_an_integer_that_doubles_hold),
        cmocka_unit_test(a_tilted_box_is_taken_out_of_its_bounds),
        cmocka_unit_test(unit_styles_with_a_length_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
