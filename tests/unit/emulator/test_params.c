/* Parameters of queries: decoded, bounded, refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/buffer.h"
#include "cloud/emulator/params.h"

static int parse(struct ebb_params *p, const char *text)
{
    return ebb_params_parse(p, text, strlen(text), NULL);
}

static void names_and_values_are_decoded(void **unused)
{
    (void)unused;
    struct ebb_params p = {0};

    assert_int_equal(parse(&p, "a=1&b=x+y%26z&&uploads&c=%C3%BC=&Filter.2.Name=n"), 0);
    assert_string_equal(ebb_params_get(&p, "a"), "1");
    assert_string_equal(ebb_params_get(&p, "b"), "x y&z");
    assert_string_equal(ebb_params_get(&p, "uploads"), "");
    assert_string_equal(ebb_params_get(&p, "c"), "ü=");
    assert_null(ebb_params_get(&p, "d"));
    assert_string_equal(ebb_params_getf(&p, "Filter.%d.Name", 2), "n");
    assert_true(ebb_params_has_prefix(&p, "Filter."));
    assert_false(ebb_params_has_prefix(&p, "Filters."));
    ebb_params_clean_up(&p);
}

static void bad_escapes_nuls_and_floods_are_refused(void **unused)
{
    (void)unused;
    struct ebb_params p = {0};
    struct ebb_buffer flood = {0};

    assert_int_equal(parse(&p, "a=%zz"), EBB_ERR_INPUT);
    assert_int_equal(parse(&p, "a=%00"), EBB_ERR_INPUT);
    for (int i = 0; i <= EBB_PARAMS_MAX; i++)
        ebb_buffer_append_text(&flood, "a=1&");
    assert_int_equal(parse(&p, ebb_buffer_text(&flood)), EBB_ERR_INPUT);
    ebb_params_clean_up(&p);
    ebb_buffer_clean_up(&flood);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_values_are_decoded),
        cmocka_unit_test(bad_escapes_nuls_and_floods_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
