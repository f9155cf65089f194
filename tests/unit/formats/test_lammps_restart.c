/* LAMMPS restart files. */
#include "frame_check.h"

static const char magic[16] = "LammpS RestartT";

static void put_start(struct ebb_buffer *b)
{
    ebb_buffer_append(b, magic, sizeof magic);
    put32(b, 1, false);
    put32(b, 2, false);
    for (uint32_t i = 0; i < 50; i++)
        put32(b, i % 7 == 0 ? 0xffffffff : i, false);
    ebb_buffer_append(b, "odd", 3);
}

/* `count` records of `length` numbers; every `odd`-th has one more. */
static void put_section(struct ebb_buffer *b, uint32_t count, uint32_t length, uint32_t odd)
{
    uint32_t numbers = count * length + (odd > 0 ? count / odd : 0);
    put32(b, 47, false);
    put32(b, numbers, false);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t n = length + (odd > 0 && i % odd == odd - 1);
        put_f64(b, n, false);
        for (uint32_t k = 1; k < n; k++)
            put_f64(b, i + 0.25 * k, false);
    }
}

struct found {
    unsigned count;
    uint64_t numbers, columns, end;
};

static int keep_range(void *ctx, const struct ebb_range *range, struct ebb_error *err)
{
    (void)err;
    struct found *f = ctx;
    f->count++;
    f->numbers += range->rows * range->columns;
    f->columns = range->columns;
    f->end = range->offset + range->len;
    assert_int_equal(range->dtype, EBB_DTYPE_F64);
    return 0;
}

static struct found scan(const struct ebb_buffer *b)
{
    struct ebb_memory_source memory = {.data = b->data, .len = b->len};
    struct ebb_random_source source = ebb_memory_random_source(&memory);
    struct found found = {0};
    assert_int_equal(ebb_ranges_scan(EBB_FILE_LAMMPS_RESTART, &source, keep_range, &found, NULL),
                     0);
    return found;
}

static void the_atoms_of_every_processor_are_a_table(void **state)
{
    (void)state;
    for (int closed = 0; closed < 2; closed++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        put_start(&b);
        for (uint32_t section = 0; section < 3; section++)
            put_section(&b, 100 + section, 11, 0);
        uint64_t end = b.len;
        if (closed)
            ebb_buffer_append(&b, magic, sizeof magic);
        assert_int_equal(ebb_file_recognise(b.data, b.len), EBB_FILE_LAMMPS_RESTART);
        struct found found = scan(&b);
        assert_int_equal(found.count, 3);
        assert_int_equal(found.columns, 11);
        assert_int_equal(found.numbers, 303 * 11);
        assert_int_equal(found.end, end);
    }
}

static void atoms_of_different_length_are_plain_numbers(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    put_start(&b);
    put_section(&b, 100, 20, 3);
    struct found found = scan(&b);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.columns, 1);
    assert_int_equal(found.numbers, 100 * 20 + 33);
}

static void a_file_cut_or_damaged_never_fails(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    put_start(&b);
    put_section(&b, 6, 11, 0);
    put_section(&b, 5, 11, 2);
    ebb_buffer_append(&b, magic, sizeof magic);
    for (size_t len = 0; len <= b.len; len++) {
        EBB_AUTO_FREE uint8_t *copy = ebb_memdup(b.data, len + 1);
        scan_anything(EBB_FILE_LAMMPS_RESTART, copy, len);
    }
    for (size_t i = 0; i < b.len; i++)
        for (int mask = 1; mask < 256; mask <<= 1) {
            b.data[i] ^= (uint8_t)mask;
            scan_anything(EBB_FILE_LAMMPS_RESTART, b.data, b.len);
            b.data[i] ^= (uint8_t)mask;
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_atoms_of_every_processor_are_a_table),
        cmocka_unit_test(atoms_of_different_length_are_plain_numbers),
        cmocka_unit_test(a_file_cut_or_damaged_never_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
