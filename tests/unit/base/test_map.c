/* Maps keep insertion order through growth and removal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/memory.h"
#include "base/random.h"

static int destroyed;

static void count_free(void *p)
{
    destroyed++;
    free(p);
}

static void iteration_is_in_insertion_order(void **state)
{
    (void)state;
    struct ebb_map *m = ebb_map_new(NULL);
    char key[16];
    static int values[5000];
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(key, sizeof(key), "k%d", i * 7919 % 5000);
        ebb_map_set(m, key, &values[i]);
    }
    ebb_map_set(m, "k0", &values[1]); /* replacing keeps the place */
    size_t cursor = 0;
    void *value;
    const char *k;
    int i = 0;
    while ((k = ebb_map_next(m, &cursor, &value)) != NULL) {
        (void)snprintf(key, sizeof(key), "k%d", i * 7919 % 5000);
        assert_string_equal(k, key);
        i++;
    }
    assert_int_equal(i, 5000);
    assert_ptr_equal(ebb_map_get(m, "k0"), &values[1]);
    assert_null(ebb_map_get(m, "k5000"));
    ebb_map_destroy(m);
}

static void values_are_destroyed_once(void **state)
{
    (void)state;
    destroyed = 0;
    struct ebb_map *m = ebb_map_new(count_free);
    ebb_map_set(m, "a", ebb_alloc(1));
    ebb_map_set(m, "a", ebb_alloc(1));
    assert_int_equal(destroyed, 1);
    ebb_map_set(m, "b", ebb_alloc(1));
    void *b = ebb_map_take(m, "b");
    assert_int_equal(destroyed, 1);
    free(b);
    ebb_map_set(m, "c", ebb_alloc(1));
    ebb_map_remove(m, "c");
    ebb_map_remove(m, "absent");
    assert_int_equal(destroyed, 2);
    ebb_map_destroy(m);
    assert_int_equal(destroyed, 3);
    ebb_map_destroy(NULL);
}

static void the_entry_just_returned_may_be_removed(void **state)
{
    (void)state;
    struct ebb_map *m = ebb_map_new(NULL);
    int v = 0;
    char key[16];
    for (int i = 0; i < 100; i++) {
        (void)snprintf(key, sizeof(key), "%d", i);
        ebb_map_set(m, key, &v);
    }
    size_t cursor = 0, seen = 0;
    const char *k;
    while ((k = ebb_map_next(m, &cursor, NULL)) != NULL) {
        seen++;
        if (atoi(k) % 2 == 0)
            ebb_map_remove(m, k);
    }
    assert_int_equal(seen, 100);
    assert_int_equal(ebb_map_count(m), 50);
    assert_null(ebb_map_get(m, "2"));
    assert_ptr_equal(ebb_map_get(m, "3"), &v);
    ebb_map_destroy(m);
}

static void a_map_agrees_with_an_array_through_random_use(void **state)
{
    (void)state;
    struct ebb_map *m = ebb_map_new(NULL);
    static char cells[200];
    bool present[200] = {0};
    size_t count = 0;
    struct ebb_random r;
    ebb_random_seed(&r, 5);
    for (int i = 0; i < 100000; i++) {
        size_t at = (size_t)ebb_random_below(&r, 200);
        char key[16];
        (void)snprintf(key, sizeof(key), "%zu", at);
        assert_int_equal(ebb_map_get(m, key) != NULL, present[at]);
        if (ebb_random_below(&r, 2) == 0) {
            count += present[at] ? 0 : 1;
            present[at] = true;
            ebb_map_set(m, key, &cells[at]);
        } else {
            count -= present[at] ? 1 : 0;
            assert_ptr_equal(ebb_map_take(m, key), present[at] ? &cells[at] : NULL);
            present[at] = false;
        }
        assert_int_equal(ebb_map_count(m), count);
    }
    ebb_map_destroy(m);
}

static void a_key_of_several_texts_is_cut_off_at_its_size(void **state)
{
    (void)state;
    char out[8];
    const char *const parts[] = {"ab", "", "cdefgh"};
    assert_string_equal(ebb_map_key(out, sizeof(out), '/', parts, 3), "ab//cde");
    assert_string_equal(ebb_map_key(out, sizeof(out), '/', parts, 1), "ab");
    assert_string_equal(ebb_map_key(out, 3, '/', parts, 3), "ab");
    assert_string_equal(ebb_map_key(out, 1, '/', parts, 3), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iteration_is_in_insertion_order),
        cmocka_unit_test(values_are_destroyed_once),
        cmocka_unit_test(the_entry_just_returned_may_be_removed),
        cmocka_unit_test(a_key_of_several_texts_is_cut_off_at_its_size),
        cmocka_unit_test(a_map_agrees_with_an_array_through_random_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
