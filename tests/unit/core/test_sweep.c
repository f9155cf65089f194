/* Sweeps: jobs by number, their parameters and names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scheduler/core/sweep.h"
#include "tests/unit/core/sources.h"

static Ebb__BagSpec *bag_of(const char *sweep, const struct test_file *files)
{
    EBB_AUTO_FREE char *text =
        ebb_sprintf("name: b\njobs:\n  - name: g\n    command: run\n    sweep: %s\n"
                    "  - name: one\n    command: run\n",
                    sweep);
    Ebb__BagSpec *spec = NULL;
    struct ebb_error err = {0};
    if (test_parse(text, files, &spec, NULL, &err) < 0)
        fail_msg("%s", err.text);
    return spec;
}

static void assert_name(const Ebb__BagSpec *spec, uint64_t i, const char *expected)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer name = {0};
    ebb_job_name(spec->groups[0], i, &name);
    assert_string_equal(ebb_buffer_text(&name), expected);
}

static void a_grid_takes_the_last_axis_fastest(void **state)
{
    (void)state;
    Ebb__BagSpec *spec = bag_of("{t: [290, 300], seed: {from: 1, to: 3}}", NULL);
    assert_int_equal(spec->groups[0]->job_count, 6);
    assert_name(spec, 0, "g,t=290,seed=1");
    assert_name(spec, 1, "g,t=290,seed=2");
    assert_name(spec, 3, "g,t=300,seed=1");
    assert_name(spec, 5, "g,t=300,seed=3");
    ebb__bag_spec__free_unpacked(spec, NULL);
}

static void a_zip_takes_row_by_row(void **state)
{
    (void)state;
    Ebb__BagSpec *spec = bag_of("{zip: {a: [x, y, z], b: {from: 10, to: 30, step: 10}}}", NULL);
    assert_int_equal(spec->groups[0]->job_count, 3);
    assert_name(spec, 2, "g,a=z,b=30");
    ebb__bag_spec__free_unpacked(spec, NULL);
}

static void a_csv_file_gives_a_zip_with_quotes_and_crlf(void **state)
{
    (void)state;
    const struct test_file files[] = {
        {"p.csv", "\xef\xbb\xbfsmiles,t\r\n\"C,C\",300\r\n\r\n\"a\"\"b\",310"}, {NULL, NULL}};
    Ebb__BagSpec *spec = bag_of("{csv: p.csv}", files);
    assert_int_equal(spec->groups[0]->job_count, 2);
    assert_name(spec, 0, "g,smiles=C%2CC,t=300");
    assert_name(spec, 1, "g,smiles=a%22b,t=310");
    ebb__bag_spec__free_unpacked(spec, NULL);
}

static void decimal_ranges_read_as_written(void **state)
{
    (void)state;
    Ebb__BagSpec *spec = bag_of("{d: {from: 0.1, to: 0.5, step: 0.1}}", NULL);
    assert_int_equal(spec->groups[0]->job_count, 5);
    assert_name(spec, 2, "g,d=0.3");
    assert_name(spec, 4, "g,d=0.5");
    ebb__bag_spec__free_unpacked(spec, NULL);
    spec = bag_of("{d: {from: 1, to: -1, step: -0.5}}", NULL);
    assert_int_equal(spec->groups[0]->job_count, 5);
    assert_name(spec, 2, "g,d=0");
    ebb__bag_spec__free_unpacked(spec, NULL);
}

static void names_are_safe_as_file_names(void **state)
{
    (void)state;
    Ebb__BagSpec *spec = bag_of("{f: ['a/b c', '..', 'ü=,%']}", NULL);
    assert_name(spec, 0, "g,f=a%2Fb%20c");
    assert_name(spec, 1, "g,f=..");
    assert_name(spec, 2, "g,f=%C3%BC%3D%2C%25");
    ebb__bag_spec__free_unpacked(spec, NULL);
}

static void every_name_leads_back_to_its_job(void **state)
{
    (void)state;
    const char *const sweeps[] = {"{t: [290, 300], s: {from: -1, to: 1, step: 0.25}}",
                                  "{zip: {a: [x, x, y], b: [1, 2, 1]}}",
                                  "{f: ['a/b', 'a,b', 'a=b']}", "{n: {from: 5, to: 1, step: -2}}"};
    for (size_t k = 0; k < EBB_ARRAY_LEN(sweeps); k++) {
        Ebb__BagSpec *spec = bag_of(sweeps[k], NULL);
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer name = {0};
        for (uint64_t j = 0; j < ebb_bag_job_count(spec); j++) {
            uint64_t index = 99, found = 99;
            const Ebb__JobGroup *g = ebb_bag_group(spec, j, &index);
            ebb_buffer_reset(&name);
            ebb_job_name(g, index, &name);
            assert_true(ebb_bag_find_job(spec, ebb_buffer_text(&name), &found));
            assert_int_equal(found, j);
        }
        ebb__bag_spec__free_unpacked(spec, NULL);
    }
}

static void names_of_no_job_are_not_found(void **state)
{
    (void)state;
    Ebb__BagSpec *spec = bag_of("{t: [290, 300], s: {from: 1, to: 4}}", NULL);
    const char *const wrong[] = {"",
                                 "g",
                                 "g,t=290",
                                 "g,t=290,s=5",
                                 "g,t=290,s=0",
                                 "g,t=290,s=1.0",
                                 "g,t=290,s=nan",
                                 "g,s=1,t=290",
                                 "g,t=290,s=1,x=1",
                                 "g,t=29%,s=1",
                                 "one,t=1",
                                 "two"};
    uint64_t job = 7;
    for (size_t i = 0; i < EBB_ARRAY_LEN(wrong); i++)
        assert_false(ebb_bag_find_job(spec, wrong[i], &job));
    assert_true(ebb_bag_find_job(spec, "one", &job));
    assert_int_equal(job, 8);
    assert_null(ebb_bag_group(spec, 9, NULL));
    ebb__bag_spec__free_unpacked(spec, NULL);
}

static bool shell_name(void *ctx, const char *name, struct ebb_buffer *out)
{
    if (strcmp(name, "cpus") != 0)
        return false;
    ebb_buffer_append_text(out, ctx);
    return true;
}

static void parameters_are_filled_in(void **state)
{
    (void)state;
    char four[] = "4";
    Ebb__BagSpec *spec = bag_of("{t: [290, 300]}", NULL);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    assert_int_equal(ebb_job_fill(spec->groups[0], 1,
                                  "-t ${t} -n ${cpus} ${job} ${group} ${index} $${t} $t ${x:-1} $",
                                  true, shell_name, four, &out, NULL),
                     0);
    assert_string_equal(ebb_buffer_text(&out), "-t 300 -n 4 g,t=300 g 1 ${t} $t ${x:-1} $");
    ebb__bag_spec__free_unpacked(spec, NULL);
}

static void unknown_parameters_are_refused_or_left(void **state)
{
    (void)state;
    struct ebb_error err = {0};
    Ebb__BagSpec *spec = bag_of("{temperature: [290]}", NULL);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    assert_int_equal(
        ebb_job_fill(spec->groups[0], 0, "${temprature}", true, NULL, NULL, &out, &err),
        EBB_ERR_INPUT);
    assert_string_equal(err.text, "${temprature} is no parameter of job group 'g'; did you mean "
                                  "${temperature}?");
    ebb_buffer_reset(&out);
    assert_int_equal(ebb_job_fill(spec->groups[0], 0, "${zzz}", false, NULL, NULL, &out, NULL), 0);
    assert_string_equal(ebb_buffer_text(&out), "${zzz}");
    ebb__bag_spec__free_unpacked(spec, NULL);
}

static void a_large_sweep_is_not_expanded(void **state)
{
    (void)state;
    Ebb__BagSpec *spec = bag_of("{a: {from: 1, to: 1000}, b: {from: 1, to: 1000}}", NULL);
    assert_int_equal(spec->groups[0]->job_count, 1000000);
    assert_int_equal(spec->groups[0]->sweep->axes[0]->n_values, 0);
    assert_name(spec, 999999, "g,a=1000,b=1000");
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer root = {0};
    ebb_job_store_root("b-1f3a", spec, 1000000, &root);
    assert_string_equal(ebb_buffer_text(&root), "bags/b-1f3a/jobs/one");
    ebb__bag_spec__free_unpacked(spec, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grid_takes_the_last_axis_fastest),
        cmocka_unit_test(a_zip_takes_row_by_row),
        cmocka_unit_test(a_csv_file_gives_a_zip_with_quotes_and_crlf),
        cmocka_unit_test(decimal_ranges_read_as_written),
        cmocka_unit_test(names_are_safe_as_file_names),
        cmocka_unit_test(every_name_leads_back_to_its_job),
        cmocka_unit_test(names_of_no_job_are_not_found),
        cmocka_unit_test(parameters_are_filled_in),
        cmocka_unit_test(unknown_parameters_are_refused_or_left),
        cmocka_unit_test(a_large_sweep_is_not_expanded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
