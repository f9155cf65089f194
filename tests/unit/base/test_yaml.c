/* YAML: positions, bounds, faults, typed reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/text.h"
#include "base/yaml.h"

static struct ebb_yaml *parse(const char *text)
{
    struct ebb_yaml *y = NULL;
    struct ebb_error err = {0};
    if (ebb_yaml_parse("bag.yaml", text, strlen(text), &y, &err) < 0)
        fail_msg("%s", err.text);
    return y;
}

static void check_refused(const char *text, const char *want)
{
    struct ebb_yaml *y = NULL;
    struct ebb_error err = {0};
    assert_int_equal(ebb_yaml_parse("bag.yaml", text, strlen(text), &y, &err), EBB_ERR_INPUT);
    assert_null(y);
    assert_string_equal(err.text, want);
}

static void nodes_know_kind_value_and_position(void **state)
{
    (void)state;
    struct ebb_yaml *y = parse("name: water\njobs:\n  - {name: nvt, n: \"3\"}\n  - ~\nempty:\n");
    const struct ebb_yaml_node *root = ebb_yaml_root(y);
    assert_int_equal(ebb_yaml_kind(root), EBB_YAML_MAPPING);
    assert_int_equal(ebb_yaml_count(root), 3);
    assert_string_equal(ebb_yaml_scalar(ebb_yaml_get(root, "name")), "water");
    const struct ebb_yaml_node *jobs = ebb_yaml_get(root, "jobs");
    assert_int_equal(ebb_yaml_kind(jobs), EBB_YAML_SEQUENCE);
    assert_int_equal(ebb_yaml_count(jobs), 2);
    const struct ebb_yaml_node *n = ebb_yaml_get(ebb_yaml_item(jobs, 0), "n");
    assert_true(ebb_yaml_is_null(ebb_yaml_item(jobs, 1)));
    assert_true(ebb_yaml_is_null(ebb_yaml_get(root, "empty")));
    assert_string_equal(ebb_yaml_scalar(ebb_yaml_key(root, 1)), "jobs");
    assert_ptr_equal(ebb_yaml_value(root, 1), jobs);
    assert_null(ebb_yaml_item(jobs, 2));
    assert_null(ebb_yaml_key(root, 3));
    assert_null(ebb_yaml_get(jobs, "name"));
    assert_null(ebb_yaml_scalar(jobs));
    struct ebb_error err = {0};
    ebb_yaml_fault(y, n, "here");
    assert_int_equal(ebb_yaml_faults(y, NULL, &err), EBB_ERR_INPUT);
    assert_string_equal(err.text, "bag.yaml:3:20: here");
    ebb_yaml_destroy(y);
}

static void an_empty_document_has_no_root(void **state)
{
    (void)state;
    struct ebb_yaml *y = parse("# nothing\n");
    assert_null(ebb_yaml_root(y));
    ebb_yaml_destroy(y);
    ebb_yaml_destroy(NULL);
}

static void syntax_faults_have_position_and_advice(void **state)
{
    (void)state;
    check_refused("a: 1\n\tb: 2\n", "bag.yaml:2:1: found a tab character that violates "
                                    "indentation: indent with spaces");
    check_refused("a: b: c\n", "bag.yaml:1:5: mapping values are not allowed in this context: is "
                               "the indentation right? a value that holds ': ' needs quotes");
    check_refused("a: 1\nb: @x\n", "bag.yaml:2:4: found character that cannot start any token: put "
                                   "the value in quotes");
    check_refused("a: 1\nb: 2\na: 3\n", "bag.yaml:3:1: key 'a' is given twice, first in line 1");
    check_refused("a: 1\n---\nb: 2\n", "bag.yaml:2:1: a second document: one file holds one");
    check_refused("[a]: 1\n", "bag.yaml:1:1: a key must be plain text");
    check_refused("a: *x\n", "bag.yaml:1:4: alias '*x' has no anchor '&x' before it");
    check_refused("a: &x [*x]\n", "bag.yaml:1:8: alias '*x' stands inside its own anchor");
    check_refused("a: !!int 3\n",
                  "bag.yaml:1:4: tag 'tag:yaml.org,2002:int': tags have no meaning here");
    check_refused("a: \"x\\0y\"\n", "bag.yaml:1:4: the text holds a NUL character");
    check_refused("<<: 3\n", "bag.yaml:1:5: '<<' takes a mapping or a list of mappings");
    check_refused("a: 1\nb: \xff\n", "bag.yaml:2:4: invalid leading UTF-8 octet: write the file as "
                                     "UTF-8 text");
}

static void aliases_and_merge_keys_work(void **state)
{
    (void)state;
    struct ebb_yaml *y = parse("base: &b {cpus: 2, time: 10m}\n"
                               "other: &o {time: 1h, gpus: 1}\n"
                               "one: {<<: *b, cpus: 4}\n"
                               "two:\n  <<: [*b, *o]\n  name: x\n"
                               "same: *b\n");
    const struct ebb_yaml_node *root = ebb_yaml_root(y);
    const struct ebb_yaml_node *one = ebb_yaml_get(root, "one");
    assert_int_equal(ebb_yaml_count(one), 2);
    assert_string_equal(ebb_yaml_scalar(ebb_yaml_get(one, "cpus")), "4");
    assert_string_equal(ebb_yaml_scalar(ebb_yaml_get(one, "time")), "10m");
    const struct ebb_yaml_node *two = ebb_yaml_get(root, "two");
    assert_int_equal(ebb_yaml_count(two), 4);
    assert_string_equal(ebb_yaml_scalar(ebb_yaml_get(two, "time")), "10m");
    assert_string_equal(ebb_yaml_scalar(ebb_yaml_get(two, "gpus")), "1");
    assert_null(ebb_yaml_get(two, "<<"));
    assert_ptr_equal(ebb_yaml_get(root, "same"), ebb_yaml_get(root, "base"));
    ebb_yaml_destroy(y);
}

/* `levels` nested sequences below a mapping. */
static int parse_nested(int levels, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    ebb_buffer_append_text(&b, "a: ");
    for (int i = 0; i < levels; i++)
        ebb_buffer_append_text(&b, "[");
    for (int i = 0; i < levels; i++)
        ebb_buffer_append_text(&b, "]");
    struct ebb_yaml *y = NULL;
    int rc = ebb_yaml_parse("f", ebb_buffer_text(&b), b.len, &y, err);
    ebb_yaml_destroy(y);
    return rc;
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    struct ebb_error err;
    assert_int_equal(parse_nested(63, &err), 0);
    assert_int_equal(parse_nested(64, &err), EBB_ERR_INPUT);
    assert_string_equal(err.text, "f:1:67: nested deeper than 64 levels");
    assert_int_equal(parse_nested(100000, &err), EBB_ERR_INPUT);
}

static void aliases_cannot_nest_deeper_than_text(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    ebb_buffer_append_text(&b, "a0: &a0 [x]\n");
    for (int i = 1; i < 100; i++)
        ebb_buffer_printf(&b, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    struct ebb_yaml *y = NULL;
    struct ebb_error err;
    assert_int_equal(ebb_yaml_parse("f", ebb_buffer_text(&b), b.len, &y, &err), EBB_ERR_INPUT);
    assert_non_null(strstr(err.text, "nested deeper"));
}

static void aliases_of_aliases_cannot_stand_for_millions(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    ebb_buffer_append_text(&b, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 10; i++)
        ebb_buffer_printf(&b, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i,
                          i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    struct ebb_yaml *y = NULL;
    struct ebb_error err;
    assert_int_equal(ebb_yaml_parse("f", ebb_buffer_text(&b), b.len, &y, &err), EBB_ERR_INPUT);
    assert_non_null(strstr(err.text, "more than 1000000 values"));
}

static void all_faults_are_collected_in_order(void **state)
{
    (void)state;
    static const char *const keys[] = {"name", "sweep", "resources"};
    struct ebb_yaml *y = parse("name: x\nresources: {}\nsweap: 1\nnonsense: 2\n");
    struct ebb_error err = {0};
    assert_int_equal(ebb_yaml_faults(y, NULL, &err), 0);
    assert_true(ebb_yaml_check_keys_in(y, ebb_yaml_root(y), "job", keys, EBB_ARRAY_LEN(keys)));
    ebb_yaml_fault(y, NULL, "no jobs");
    assert_int_equal(ebb_yaml_fault_count(y), 3);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer all = {0};
    assert_int_equal(ebb_yaml_faults(y, &all, &err), EBB_ERR_INPUT);
    assert_string_equal(err.text,
                        "bag.yaml:3:1: unknown key 'sweap' in job, did you mean 'sweep'?");
    assert_string_equal(ebb_buffer_text(&all),
                        "bag.yaml:3:1: unknown key 'sweap' in job, did you mean 'sweep'?\n"
                        "bag.yaml:4:1: unknown key 'nonsense' in job (keys: name, sweep, "
                        "resources)\n"
                        "bag.yaml: no jobs\n");
    ebb_yaml_destroy(y);
}

static void what_is_no_mapping_is_a_fault(void **state)
{
    (void)state;
    static const char *const keys[] = {"name", "sweep"};
    struct ebb_yaml *y = parse("- 1\n");
    assert_false(ebb_yaml_check_keys(y, ebb_yaml_root(y), keys, 2));
    struct ebb_error err;
    ebb_yaml_faults(y, NULL, &err);
    assert_string_equal(err.text,
                        "bag.yaml:1:1: expected a mapping (keys: name, sweep), not a list");
    ebb_yaml_destroy(y);
}

static void faults_are_bounded_and_printable(void **state)
{
    (void)state;
    struct ebb_yaml *y = parse("a: \"x\\e[31m\"\n");
    double s;
    assert_false(ebb_yaml_read_duration(y, ebb_yaml_get(ebb_yaml_root(y), "a"), "deadline", &s));
    for (int i = 0; i < 999; i++)
        ebb_yaml_fault(y, NULL, "again");
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer all = {0};
    ebb_yaml_faults(y, &all, NULL);
    assert_int_equal(ebb_yaml_fault_count(y), 1000);
    assert_null(strchr(ebb_buffer_text(&all), '\x1b'));
    assert_true(ebb_ends_with(ebb_buffer_text(&all), "bag.yaml: and 800 more\n"));
    ebb_yaml_destroy(y);
}

static void typed_values_are_read(void **state)
{
    (void)state;
    static const char *const clouds[] = {"emulated", "aws"};
    struct ebb_yaml *y =
        parse("t: 300\ni: -3\nd: 1.5\nb: yes\ndur: 1h30m\nsize: 2 GiB\nusd: 25 USD\n"
              "cloud: aws\n");
    const struct ebb_yaml_node *r = ebb_yaml_root(y);
    const char *text;
    int64_t i;
    double d;
    bool b;
    uint64_t u;
    size_t c;
    assert_true(ebb_yaml_read_text(y, ebb_yaml_get(r, "t"), "t", &text));
    assert_string_equal(text, "300");
    assert_true(ebb_yaml_read_int(y, ebb_yaml_get(r, "i"), "i", -5, 5, &i) && i == -3);
    assert_true(ebb_yaml_read_double(y, ebb_yaml_get(r, "d"), "d", 0, 2, &d) && d == 1.5);
    assert_true(ebb_yaml_read_bool(y, ebb_yaml_get(r, "b"), "b", &b) && b);
    assert_true(ebb_yaml_read_duration(y, ebb_yaml_get(r, "dur"), "dur", &d) && d == 5400);
    assert_true(ebb_yaml_read_size(y, ebb_yaml_get(r, "size"), "size", &u) && u == 2147483648U);
    assert_true(ebb_yaml_read_usd(y, ebb_yaml_get(r, "usd"), "usd", &i) && i == 25000000);
    assert_true(ebb_yaml_read_choice(y, ebb_yaml_get(r, "cloud"), "cloud", clouds, 2, &c) &&
                c == 1);
    assert_int_equal(ebb_yaml_fault_count(y), 0);
    ebb_yaml_destroy(y);
}

static void wrong_values_name_key_value_and_right_form(void **state)
{
    (void)state;
    static const char *const clouds[] = {"emulated", "aws"};
    struct ebb_yaml *y = parse("a: six\nb: [1]\nc: 9\nd: maybe\ne: awz\nf:\n");
    const struct ebb_yaml_node *r = ebb_yaml_root(y);
    double d = 42;
    int64_t i = 42;
    bool b;
    size_t c;
    const char *text;
    assert_false(ebb_yaml_read_duration(y, ebb_yaml_get(r, "a"), "deadline", &d));
    assert_false(ebb_yaml_read_int(y, ebb_yaml_get(r, "b"), "retries", 0, 9, &i));
    assert_false(ebb_yaml_read_int(y, ebb_yaml_get(r, "c"), "retries", 0, 5, &i));
    assert_false(ebb_yaml_read_double(y, ebb_yaml_get(r, "c"), "rate", 0, 1, &d));
    assert_false(ebb_yaml_read_bool(y, ebb_yaml_get(r, "d"), "lossy", &b));
    assert_false(ebb_yaml_read_choice(y, ebb_yaml_get(r, "e"), "cloud", clouds, 2, &c));
    assert_false(ebb_yaml_read_text(y, ebb_yaml_get(r, "f"), "name", &text));
    assert_true(d == 42 && i == 42);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer all = {0};
    ebb_yaml_faults(y, &all, NULL);
    assert_string_equal(
        ebb_buffer_text(&all),
        "bag.yaml:1:4: deadline: 'six' is no duration: write it as 90s, 10m, 1.5h, 2d or 1h30m\n"
        "bag.yaml:2:4: retries: expected a whole number, not a list\n"
        "bag.yaml:3:4: retries: '9' is no whole number from 0 to 5\n"
        "bag.yaml:3:4: rate: '9' is not from 0 to 1\n"
        "bag.yaml:4:4: lossy: 'maybe' is neither true nor false\n"
        "bag.yaml:5:4: cloud: unknown 'awz', did you mean 'aws'?\n"
        "bag.yaml:6:3: name: expected text, not nothing\n");
    ebb_yaml_destroy(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_know_kind_value_and_position),
        cmocka_unit_test(an_empty_document_has_no_root),
        cmocka_unit_test(syntax_faults_have_position_and_advice),
        cmocka_unit_test(aliases_and_merge_keys_work),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(aliases_cannot_nest_deeper_than_text),
        cmocka_unit_test(aliases_of_aliases_cannot_stand_for_millions),
        cmocka_unit_test(all_faults_are_collected_in_order),
        cmocka_unit_test(what_is_no_mapping_is_a_fault),
        cmocka_unit_test(faults_are_bounded_and_printable),
        cmocka_unit_test(typed_values_are_read),
        cmocka_unit_test(wrong_values_name_key_value_and_right_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
