/* State files: which are whole, which is the newest, which are kept. */
#include "tests/unit/agent/scratch.h"

#include "agent/state_files.h"

static Ebb__ProfileState stepped(void)
{
    static char *globs[] = {(char *)"run.*.restart", (char *)"run.*.aux"};
    Ebb__ProfileState s = EBB__PROFILE_STATE__INIT;
    s.files = globs;
    s.n_files = 2;
    s.step_pattern = (char *)"run\\.([0-9]+)\\.";
    s.keep = 2;
    return s;
}

static struct ebb_state_set scan(const char *directory, const Ebb__ProfileState *spec)
{
    struct ebb_state_set set = {0};
    struct ebb_error err = {0};
    if (ebb_state_scan(directory, spec, &set, &err) < 0)
        fail_msg("%s", err.text);
    return set;
}

static void the_highest_step_is_newest_whatever_the_clock_says(void **state)
{
    Ebb__ProfileState spec = stepped();
    scratch_put(*state, "run.900.restart", "a");
    scratch_put(*state, "run.1000.restart", "b");
    scratch_put(*state, "run.1000.aux", "c");
    scratch_put(*state, "other.5000.restart", "d");
    scratch_touch(*state, "run.900.restart", 2000000000);
    EBB_AUTO(ebb_state_set_clean_up) struct ebb_state_set set = scan(*state, &spec);
    assert_int_equal(set.count, 3);
    ebb_state_keep_newest(&set);
    assert_int_equal(set.count, 2);
    assert_string_equal(set.files[0].path, "run.1000.restart");
    assert_string_equal(set.files[1].path, "run.1000.aux");
    assert_int_equal(ebb_state_step(&set), 1000);
}

static void a_file_without_its_tail_is_torn(void **state)
{
    Ebb__ProfileState spec = stepped();
    spec.tail = (char *)"0a00ff";
    free(scratch_write(*state, "run.1.restart", "xx\n\0\xff", 5));
    free(scratch_write(*state, "run.2.restart", "xx\n\0", 4));
    free(scratch_write(*state, "run.3.restart", "\xff", 1));
    EBB_AUTO(ebb_state_set_clean_up) struct ebb_state_set set = scan(*state, &spec);
    assert_int_equal(set.count, 1);
    assert_int_equal(ebb_state_step(&set), 1);
}

static void small_and_excluded_files_do_not_count(void **state)
{
    Ebb__ProfileState spec = stepped();
    char *exclude[] = {(char *)"run.7*"};
    spec.min_bytes = 3;
    spec.exclude = exclude;
    spec.n_exclude = 1;
    scratch_put(*state, "run.1.restart", "ab");
    scratch_put(*state, "run.2.restart", "abc");
    scratch_put(*state, "run.70.restart", "abcdef");
    EBB_AUTO(ebb_state_set_clean_up) struct ebb_state_set set = scan(*state, &spec);
    assert_int_equal(set.count, 1);
    assert_int_equal(ebb_state_step(&set), 2);
    assert_false(ebb_state_matches(&spec, "run.70.restart"));
    assert_true(ebb_state_matches(&spec, "run.1.restart"));
}

static void without_steps_each_globs_latest_file_counts(void **state)
{
    Ebb__ProfileState spec = EBB__PROFILE_STATE__INIT;
    char *globs[] = {(char *)"*.cpt", (char *)"ckpt/*.pt"};
    spec.files = globs;
    spec.n_files = 2;
    scratch_put(*state, "a.cpt", "1");
    scratch_put(*state, "b.cpt", "2");
    scratch_put(*state, "ckpt/x.pt", "3");
    scratch_touch(*state, "a.cpt", 1000);
    scratch_touch(*state, "b.cpt", 2000);
    scratch_touch(*state, "ckpt/x.pt", 500);
    EBB_AUTO(ebb_state_set_clean_up) struct ebb_state_set set = scan(*state, &spec);
    ebb_state_keep_newest(&set);
    assert_int_equal(set.count, 2);
    assert_string_equal(set.files[0].path, "b.cpt");
    assert_string_equal(set.files[1].path, "ckpt/x.pt");
    assert_int_equal(ebb_state_step(&set), -1);
    assert_int_equal(ebb_state_mtime_ns(&set), INT64_C(2000) * 1000000000);
}

static void a_replaced_file_is_new(void **state)
{
    Ebb__ProfileState spec = stepped();
    scratch_put(*state, "run.1.restart", "one");
    scratch_touch(*state, "run.1.restart", 1000);
    EBB_AUTO(ebb_state_set_clean_up) struct ebb_state_set before = scan(*state, &spec);
    EBB_AUTO(ebb_state_set_clean_up) struct ebb_state_set same = scan(*state, &spec);
    assert_true(ebb_state_equal(&before, &same));
    scratch_put(*state, "run.1.restart", "two");
    EBB_AUTO(ebb_state_set_clean_up) struct ebb_state_set after = scan(*state, &spec);
    assert_false(ebb_state_equal(&before, &after));
}

static void older_generations_are_removed_beyond_keep(void **state)
{
    Ebb__ProfileState spec = stepped();
    struct ebb_error err = {0};
    static const char *const names[] = {"run.1.restart", "run.1.aux", "run.2.restart",
                                        "run.3.restart", "run.3.aux", "keep.txt"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(names); i++)
        scratch_put(*state, names[i], "x");
    assert_int_equal(ebb_state_prune(*state, &spec, 2, &err), 2);
    EBB_AUTO(ebb_state_set_clean_up) struct ebb_state_set set = scan(*state, &spec);
    assert_int_equal(set.count, 3);
    assert_int_equal(set.files[2].step, 2);
    assert_int_equal(ebb_state_prune(*state, &spec, 0, &err), 0);
}

static void a_bad_pattern_is_an_error(void **state)
{
    Ebb__ProfileState spec = stepped();
    struct ebb_state_set set;
    struct ebb_error err = {0};
    spec.step_pattern = (char *)"(";
    assert_int_equal(ebb_state_scan(*state, &spec, &set, &err), EBB_ERR_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(the_highest_step_is_newest_whatever_the_clock_says),
        scratch_test(a_file_without_its_tail_is_torn),
        scratch_test(small_and_excluded_files_do_not_count),
        scratch_test(without_steps_each_globs_latest_file_counts),
        scratch_test(a_replaced_file_is_new),
        scratch_test(older_generations_are_removed_beyond_keep),
        scratch_test(a_bad_pattern_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
