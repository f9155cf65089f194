/* GROMACS checkpoints. */
#include "frame_check.h"

static void put_string(struct ebb_buffer *b, const char *text)
{
    size_t len = strlen(text);
    put32(b, (uint32_t)len, true);
    ebb_buffer_append(b, text, len);
    ebb_buffer_append(b, "\0\0\0", -len & 3);
}

static void put_entry(struct ebb_buffer *b, uint32_t count, bool is_double)
{
    put32(b, count, true);
    put32(b, is_double ? 2 : 1, true);
    for (uint32_t i = 0; i < count; i++) {
        if (is_double)
            put_f64(b, i, true);
        else
            put_f32(b, (float)i, true);
    }
}

/* The state has a box, x, v and one entry after them. */
static void put_file(struct ebb_buffer *b, uint32_t version, uint32_t atoms, bool is_double)
{
    put32(b, 171817, true);
    for (int i = 0; i < 6; i++)
        put_string(b, i == 0 ? "2022.5" : i == 4 ? "/usr/bin/gmx" : "");
    put32(b, version, true);
    put32(b, is_double, true);
    put_string(b, "host");
    put32(b, atoms, true);
    for (int i = 0; i < 6; i++)
        put32(b, 1, true);
    put64(b, 200, true);
    put_f64(b, 0.4, true);
    for (int i = 0; i < 5; i++)
        put32(b, 1, true);
    put32(b, 1u << 1 | 1u << 7 | 1u << 8 | 1u << 27, true);
    for (uint32_t i = 0; i < 6u + (version >= 18) + (version >= 22); i++)
        put32(b, 0, true);
    put_entry(b, 9, is_double);
    put_entry(b, 3 * atoms, is_double);
    put_entry(b, 3 * atoms, is_double);
    put_entry(b, 1, true);
    put32(b, 171819, true);
}

struct found {
    unsigned count;
    struct ebb_range range[8];
};

static int keep_range(void *ctx, const struct ebb_range *range, struct ebb_error *err)
{
    (void)err;
    struct found *f = ctx;
    assert_true(f->count < 8);
    f->range[f->count++] = *range;
    return 0;
}

static struct found scan(const struct ebb_buffer *b)
{
    struct ebb_memory_source memory = {.data = b->data, .len = b->len};
    struct ebb_random_source source = ebb_memory_random_source(&memory);
    struct found found = {0};
    assert_int_equal(ebb_ranges_scan(EBB_FILE_CPT, &source, keep_range, &found, NULL), 0);
    return found;
}

static void positions_and_velocities_of_every_known_version_are_found(void **state)
{
    (void)state;
    for (uint32_t version = 17; version <= 23; version++)
        for (int is_double = 0; is_double < 2; is_double++) {
            EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
            put_file(&b, version, 11, is_double);
            assert_int_equal(ebb_file_recognise(b.data, b.len), EBB_FILE_CPT);
            struct found found = scan(&b);
            assert_int_equal(found.count, 2);
            for (unsigned i = 0; i < 2; i++) {
                struct ebb_range *r = &found.range[i];
                assert_int_equal(r->role, i == 0 ? EBB_ROLE_X : EBB_ROLE_V);
                assert_int_equal(r->dtype, is_double ? EBB_DTYPE_F64 : EBB_DTYPE_F32);
                assert_true(r->big_endian);
                assert_int_equal(r->rows, 11);
                assert_int_equal(r->columns, 3);
                const uint8_t *last = b.data + r->offset + r->len - (is_double ? 8 : 4);
                assert_true((is_double ? ebb_load_f64(last, true)
                                       : (double)ebb_load_f32(last, true)) == 32);
            }
        }
}

static void versions_not_known_have_no_ranges(void **state)
{
    (void)state;
    static const uint32_t versions[] = {0, 16, 24, 1000, UINT32_MAX};
    for (size_t i = 0; i < EBB_ARRAY_LEN(versions); i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
        put_file(&b, versions[i], 11, false);
        assert_int_equal(scan(&b).count, 0);
    }
}

static void a_file_cut_or_damaged_never_fails(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    put_file(&b, 22, 5, false);
    for (size_t len = 0; len <= b.len; len++) {
        EBB_AUTO_FREE uint8_t *copy = ebb_memdup(b.data, len + 1);
        scan_anything(EBB_FILE_CPT, copy, len);
    }
    for (size_t i = 0; i < b.len; i++)
        for (int mask = 1; mask < 256; mask <<= 1) {
            b.data[i] ^= (uint8_t)mask;
            scan_anything(EBB_FILE_CPT, b.data, b.len);
            b.data[i] ^= (uint8_t)mask;
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_and_velocities_of_every_known_version_are_found),
        cmocka_unit_test(versions_not_known_have_no_ranges),
        cmocka_unit_test(a_file_cut_or_damaged_never_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
