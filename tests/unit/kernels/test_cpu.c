/* The choice of instructions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "kernels/cpu.h"

static void a_limit_lowers_the_level_and_never_raises_it(void **state)
{
    (void)state;
    enum ebb_cpu_level here = ebb_cpu_level();
    ebb_cpu_level_limit(EBB_CPU_REFERENCE);
    assert_int_equal(ebb_cpu_level(), EBB_CPU_REFERENCE);
    ebb_cpu_level_limit(EBB_CPU_AVX512);
    assert_int_equal(ebb_cpu_level(), here);
}

static void each_level_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(ebb_cpu_level_name(EBB_CPU_REFERENCE), "reference");
    assert_string_equal(ebb_cpu_level_name(EBB_CPU_AVX512), "AVX-512");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_lowers_the_level_and_never_raises_it),
        cmocka_unit_test(each_level_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
