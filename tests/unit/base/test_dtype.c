/* Element types. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/dtype.h"

static void every_type_is_found_by_its_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum ebb_dtype dtype;
        size_t size;
    } cases[] = {
        {"f32", EBB_DTYPE_F32, 4},         {"F32", EBB_DTYPE_F32, 4},
        {"float64", EBB_DTYPE_F64, 8},     {"bf16", EBB_DTYPE_BF16, 2},
        {"BFloat16", EBB_DTYPE_BF16, 2},   {"half", EBB_DTYPE_F16, 2},
        {"f8_e4m3", EBB_DTYPE_F8_E4M3, 1}, {"int64", EBB_DTYPE_I64, 8},
        {"u16", EBB_DTYPE_U16, 2},         {"bool", EBB_DTYPE_BOOL, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum ebb_dtype dtype = EBB_DTYPE_I8;
        assert_true(ebb_dtype_parse(cases[i].name, &dtype));
        assert_int_equal(dtype, cases[i].dtype);
        assert_int_equal(ebb_dtype_size(dtype), cases[i].size);
    }
    for (int d = 1; ebb_dtype_known(d); d++) {
        enum ebb_dtype dtype;
        assert_true(ebb_dtype_parse(ebb_dtype_name((enum ebb_dtype)d), &dtype));
        assert_int_equal(dtype, d);
    }
}

static void a_name_that_is_none_leaves_the_answer_alone(void **state)
{
    (void)state;
    enum ebb_dtype dtype = EBB_DTYPE_U64;
    assert_false(ebb_dtype_parse("f33", &dtype));
    assert_int_equal(dtype, EBB_DTYPE_U64);
    assert_false(ebb_dtype_known(0));
    assert_false(ebb_dtype_known(16));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_found_by_its_names),
        cmocka_unit_test(a_name_that_is_none_leaves_the_answer_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
