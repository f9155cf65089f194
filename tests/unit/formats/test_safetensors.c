/* Ranges of safetensors files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "found_ranges.h"

static size_t make(uint8_t *out, const char *header, size_t data)
{
    uint64_t len = strlen(header);
    memcpy(out, &len, 8);
    memcpy(out + 8, header, len);
    memset(out + 8 + len, 1, data);
    return 8 + len + data;
}

static const char good[] =
    "{\"__metadata__\":{\"format\":\"pt\"},"
    "\"layer.weight\":{\"dtype\":\"BF16\",\"shape\":[3,16],\"data_offsets\":[16,112]},"
    "\"kernel\":{\"dtype\":\"F32\",\"shape\":[2,2,1,1],\"data_offsets\":[0,16]},"
    "\"exp_avg_sq.layer\":{\"dtype\":\"F8_E4M3\",\"shape\":[8],\"data_offsets\":[112,120]}}";

static void tensors_are_found_in_the_order_of_their_places(void **state)
{
    (void)state;
    uint8_t file[1024];
    size_t len = make(file, good, 120);
    assert_int_equal(ebb_file_recognise(file, len), EBB_FILE_SAFETENSORS);
    EBB_AUTO_FREE char *found = ranges_of(file, len, EBB_FILE_SAFETENSORS);
    size_t at = 8 + strlen(good);
    EBB_AUTO_FREE char *expected =
        ebb_sprintf("%zu+16 f32 2x2 tensor kernel\n%zu+96 bf16 3x16 tensor layer.weight\n"
                    "%zu+8 f8_e4m3 8x1 second-moment exp_avg_sq.layer\n",
                    at, at + 16, at + 112);
    assert_string_equal(found, expected);
}

static void what_does_not_agree_is_left_alone(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[5],\"data_offsets\":[0,16]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[16,0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[8,24]}}",
        "{\"a\":{\"dtype\":\"F31\",\"shape\":[4],\"data_offsets\":[0,16]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[-4],\"data_offsets\":[0,16]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[9223372036854775800,16]}}",
        "{\"a\":7}",
        "[]",
        "{\"a\"",
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        uint8_t file[1024];
        size_t len = make(file, headers[i], 16);
        EBB_AUTO_FREE char *found = ranges_of(file, len, EBB_FILE_SAFETENSORS);
        assert_string_equal(found, "");
    }
}

static void damage_gives_ranges_at_most(void **state)
{
    (void)state;
    uint8_t file[1024];
    survive_damage(file, make(file, good, 120), EBB_FILE_SAFETENSORS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_are_found_in_the_order_of_their_places),
        cmocka_unit_test(what_does_not_agree_is_left_alone),
        cmocka_unit_test(damage_gives_ranges_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
