/* Ranges of NumPy's archives: files that numpy.savez and savez_compressed wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "found_ranges.h"

#define SEEDS EBB_SOURCE_DIR "/tests/fuzz/corpus/tensor_files/"

static void read_seed(const char *name, struct ebb_buffer *out)
{
    EBB_AUTO_FREE char *path = ebb_sprintf("%s%s", SEEDS, name);
    assert_int_equal(ebb_file_read(path, 1 << 20, out, NULL), 0);
}

static void stored_arrays_are_found_where_they_lie(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer file = {0};
    read_seed("two.npz", &file);
    assert_int_equal(ebb_file_recognise(file.data, file.len), EBB_FILE_NPZ);
    EBB_AUTO_FREE char *found = ranges_of(file.data, file.len, EBB_FILE_NPZ);
    assert_string_equal(found, "189+384 f32 8x12 tensor weights\n760+40 i64(big) 5x1 tensor steps\n"
                               "989+24 f64 3x1 first-moment exp_avg\n");
    for (size_t i = 0; i < 96; i++) {
        float value;
        memcpy(&value, file.data + 189 + 4 * i, 4);
        assert_true(value == (float)i);
    }
    assert_int_equal(file.data[760 + 39], 4);
}

static void deflated_arrays_are_plain_bytes(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer file = {0};
    read_seed("packed.npz", &file);
    EBB_AUTO_FREE char *found = ranges_of(file.data, file.len, EBB_FILE_NPZ);
    assert_string_equal(found, "");
}

static void damage_gives_ranges_at_most(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer file = {0};
    read_seed("two.npz", &file);
    survive_damage(file.data, file.len, EBB_FILE_NPZ);
}

static int refuse(void *ctx, uint64_t offset, void *buf, size_t len, struct ebb_error *err)
{
    (void)ctx, (void)offset, (void)buf, (void)len;
    return ebb_error_set(err, EBB_ERR_IO, "the disk is gone");
}

static void a_source_that_fails_is_told(void **state)
{
    (void)state;
    struct ebb_random_source source = {.read_at = refuse, .size = 5000};
    struct ebb_error err = {0};
    for (int kind = EBB_FILE_SAFETENSORS; kind <= EBB_FILE_NPZ; kind++) {
        assert_int_equal(
            ebb_ranges_scan((enum ebb_file_kind)kind, &source, found_range, NULL, &err),
            EBB_ERR_IO);
        assert_string_equal(err.text, "the disk is gone");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored_arrays_are_found_where_they_lie),
        cmocka_unit_test(deflated_arrays_are_plain_bytes),
        cmocka_unit_test(damage_gives_ranges_at_most),
        cmocka_unit_test(a_source_that_fails_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
