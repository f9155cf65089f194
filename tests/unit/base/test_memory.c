/* Ownership helpers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static int destroyed;

static void count_destroy(int *p)
{
    destroyed += *p;
}

EBB_DEFINE_AUTO_PTR(count_auto, int, count_destroy)

static void scope_end_destroys_unless_taken(void **state)
{
    (void)state;
    int one = 1, ten = 10;
    destroyed = 0;
    {
        EBB_AUTO(count_auto) int *a = &one;
        EBB_AUTO(count_auto) int *b = &ten;
        int *taken = EBB_TAKE(b);
        assert_ptr_equal(taken, &ten);
        assert_null(b);
        assert_non_null(a);
    }
    assert_int_equal(destroyed, 1);
}

static void allocations_are_zeroed_and_nothing_is_allowed(void **state)
{
    (void)state;
    EBB_AUTO_FREE unsigned char *p = ebb_alloc_array(100, 3);
    for (size_t i = 0; i < 300; i++)
        assert_int_equal(p[i], 0);
    EBB_AUTO_FREE void *none = ebb_alloc_array(0, 8);
    assert_non_null(none);
    EBB_AUTO_FREE void *grown = ebb_realloc_array(NULL, 0, 8);
    assert_non_null(grown);
}

static void copies_are_their_own(void **state)
{
    (void)state;
    assert_null(ebb_strdup(NULL));
    EBB_AUTO_FREE char *a = ebb_strndup("abcdef", 3);
    assert_string_equal(a, "abc");
    EBB_AUTO_FREE char *b = ebb_strndup("ab", 10);
    assert_string_equal(b, "ab");
    EBB_AUTO_FREE char *c = ebb_sprintf("%s-%04d", "x", 7);
    assert_string_equal(c, "x-0007");
    EBB_AUTO_FREE char *d = ebb_memdup("p\0q", 4);
    assert_memory_equal(d, "p\0q", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scope_end_destroys_unless_taken),
        cmocka_unit_test(allocations_are_zeroed_and_nothing_is_allowed),
        cmocka_unit_test(copies_are_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
