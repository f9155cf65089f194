/* The catalogue in use: built in, imported, dropped; what was imported and then spoilt is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/prices_file.h"

#define FILE_TEXT                                                                                  \
    "# dated: 2026-08-01\nprovider,region,type,cpus,memory_gib,on_demand_usd_per_hour\n"           \
    "aws,r1,t1,4,16,0.5\n"

static char folder[] = "/tmp/ebb-prices-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL || setenv("EBB_STATE_DIR", folder, 1) != 0 ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return ebb_remove_tree(folder, NULL);
}

static void write_file(const char *name, const char *text)
{
    EBB_AUTO_FREE char *path = ebb_path_join(folder, name);
    assert_int_equal(ebb_file_write_atomic(path, text, strlen(text), 0600, NULL), 0);
}

static void what_is_imported_is_used_until_it_is_dropped(void **state)
{
    (void)state;
    EBB_AUTO(ebb_catalogue_auto) struct ebb_catalogue *imported = NULL;
    EBB_AUTO_FREE char *path = ebb_path_join(folder, "mine.csv");
    size_t offers = 0;
    assert_ptr_equal(ebb_prices_load(&imported, NULL), ebb_catalogue_builtin());
    write_file("mine.csv", FILE_TEXT);
    assert_int_equal(ebb_prices_import(path, &offers, NULL), 0);
    assert_int_equal(offers, 1);
    const struct ebb_catalogue *c = ebb_prices_load(&imported, NULL);
    assert_ptr_equal(c, imported);
    assert_string_equal(c->dated, "2026-08-01");
    assert_non_null(ebb_catalogue_find(c, "aws", "r1", "t1"));
    assert_int_equal(ebb_prices_forget(NULL), 0);
    assert_int_equal(ebb_prices_forget(NULL), 0);
    struct ebb_catalogue *none;
    assert_ptr_equal(ebb_prices_load(&none, NULL), ebb_catalogue_builtin());
    assert_null(none);
}

static void a_bad_file_leaves_what_was_used(void **state)
{
    (void)state;
    EBB_AUTO_FREE char *path = ebb_path_join(folder, "bad.csv");
    struct ebb_error err = {0};
    struct ebb_catalogue *imported;
    size_t offers = 7;
    write_file("bad.csv", "provider\naws\n");
    assert_int_equal(ebb_prices_import(path, &offers, &err), EBB_ERR_INPUT);
    assert_non_null(strstr(err.text, "bad.csv:1: no column 'region'"));
    assert_int_equal(offers, 7);
    assert_ptr_equal(ebb_prices_load(&imported, NULL), ebb_catalogue_builtin());
}

static void a_spoilt_import_is_told_and_not_passed_over(void **state)
{
    (void)state;
    struct ebb_error err = {0};
    struct ebb_catalogue *imported;
    write_file("prices.csv", "garbage");
    assert_null(ebb_prices_load(&imported, &err));
    assert_non_null(strstr(err.text, "--built-in"));
    assert_int_equal(ebb_prices_forget(NULL), 0);
}

static void age_counts_from_the_date(void **state)
{
    (void)state;
    struct ebb_catalogue c = {.dated = (char[]){"2026-08-01"}};
    int64_t now = 0;
    assert_int_equal(ebb_time_parse("2026-08-03T12:00:00Z", &now, NULL), 0);
    assert_true(fabs(ebb_prices_age_days(&c, now) - 2.5) < 1e-9);
    assert_true(ebb_prices_age_days(&c, 0) == 0);
    c.dated = (char[]){""};
    assert_true(ebb_prices_age_days(&c, now) == -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_imported_is_used_until_it_is_dropped),
        cmocka_unit_test(a_bad_file_leaves_what_was_used),
        cmocka_unit_test(a_spoilt_import_is_told_and_not_passed_over),
        cmocka_unit_test(age_counts_from_the_date),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
