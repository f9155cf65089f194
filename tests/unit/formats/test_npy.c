/* Ranges of NumPy's array files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "found_ranges.h"

/* Version 1 with this dictionary and `data` bytes behind it. */
static size_t make(uint8_t *out, const char *dictionary, size_t data)
{
    size_t len = strlen(dictionary);
    memcpy(out, "\x93NUMPY\1", 8); /* and a minor version of 0 */
    out[8] = (uint8_t)len;
    out[9] = (uint8_t)(len >> 8);
    memcpy(out + 10, dictionary, len);
    memset(out + 10 + len, 1, data);
    return 10 + len + data;
}

static void check(const char *dictionary, size_t data, const char *expected)
{
    uint8_t file[2048];
    size_t len = make(file, dictionary, data);
    assert_int_equal(ebb_file_recognise(file, len), EBB_FILE_NPY);
    EBB_AUTO_FREE char *found = ranges_of(file, len, EBB_FILE_NPY);
    EBB_AUTO_FREE char *line =
        *expected == 0 ? ebb_strdup("") : ebb_sprintf("%zu%s\n", 10 + strlen(dictionary), expected);
    assert_string_equal(found, line);
}

static void an_array_of_each_order_is_found(void **state)
{
    (void)state;
    check("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 8), }\n", 96,
          "+96 f32 3x8 tensor ");
    check("{'descr': '<f4', 'fortran_order': True, 'shape': (8, 3), }\n", 96,
          "+96 f32 3x8 tensor ");
    check("{'descr': '>i2', 'fortran_order': False, 'shape': (5,), }", 10,
          "+10 i16(big) 5x1 tensor ");
    check("{\"descr\":\"|b1\",\"shape\":(2L, 9L),\"fortran_order\":False}", 18,
          "+18 bool 2x9 tensor ");
    check("{'descr': '<f8', 'fortran_order': False, 'shape': (), }", 8, "+8 f64 1x1 tensor ");
    check("{'descr': '<V2', 'fortran_order': False, 'shape': (4,), }", 8, "+8 bf16 4x1 tensor ");
}

static void what_is_no_plain_array_is_left_alone(void **state)
{
    (void)state;
    check("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }", 12, "");
    check("{'descr': '|O', 'fortran_order': False, 'shape': (3,), }", 24, "");
    check("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", 8, "");
    check("{'descr': '<f4', 'fortran_order': False, 'shape': (0,), }", 8, "");
    check("{'descr': '<f4', 'fortran_order': 7, 'shape': (1,), }", 8, "");
    check("{'descr': '<f4', 'shape': (1,), }", 8, "");
    check("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999), }", 8, "");
    check("{'descr': '<f4', 'fortran_order': False, 'shape': (1", 8, "");
    check("{'descr': '', 'fortran_order': False, 'shape': (1,)}", 8, "");
}

static void damage_gives_ranges_at_most(void **state)
{
    (void)state;
    uint8_t file[512];
    size_t len = make(file, "{'descr': '<f4', 'fortran_order': True, 'shape': (8, 3), }\n", 96);
    survive_damage(file, len, EBB_FILE_NPY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_array_of_each_order_is_found),
        cmocka_unit_test(what_is_no_plain_array_is_left_alone),
        cmocka_unit_test(damage_gives_ranges_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
