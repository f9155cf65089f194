/* Steps found in what an engine writes. */
#include "tests/unit/agent/scratch.h"

#include "agent/progress.h"

static int64_t last(const char *text, const char *pattern)
{
    int64_t step = -1;
    return ebb_progress_last(text, strlen(text), pattern, &step) ? step : -1;
}

static void the_last_match_counts(void **state)
{
    (void)state;
    assert_int_equal(last("step 1\nstep 2\nstep 30\n", "^step ([0-9]+)"), 30);
    assert_int_equal(last("nothing\n", "^step ([0-9]+)"), -1);
    assert_int_equal(last("", "^step ([0-9]+)"), -1);
}

static void half_a_number_is_not_read(void **state)
{
    (void)state;
    assert_int_equal(last("step 100\nstep 20", "^step ([0-9]+)"), 100);
    assert_int_equal(last("step 7", "^step ([0-9]+)"), -1);
}

static void carriage_returns_end_lines(void **state)
{
    (void)state;
    assert_int_equal(last("step 1\rstep 2\rstep 3", "^step ([0-9]+)"), 2);
}

static void a_pattern_may_span_lines(void **state)
{
    (void)state;
    const char *log =
        "           Step           Time\n           1000        2.00000\n\n"
        "           Step           Time\n           1100        2.20000\n\nEnergies\n";
    assert_int_equal(last(log, "Step +Time\n +([0-9]+) "), 1100);
}

static void the_match_may_stand_far_from_the_end(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    ebb_buffer_append_text(&text, "step 5\n");
    for (int i = 0; i < 3000; i++)
        ebb_buffer_append_text(&text, "a line of talk\n");
    assert_int_equal(last(ebb_buffer_text(&text), "^step ([0-9]+)"), 5);
}

static void fractions_and_exponents_are_counts(void **state)
{
    (void)state;
    assert_int_equal(last("t= 1.5e3 \n", "t= ([^ ]+) "), 1500);
    assert_int_equal(last("t= nan \n", "t= ([^ ]+) "), -1);
    assert_int_equal(last("t= -4 \n", "t= ([^ ]+) "), -1);
    assert_int_equal(last("t= 1e300 \n", "t= ([^ ]+) "), -1);
}

static void a_bad_pattern_finds_nothing(void **state)
{
    (void)state;
    assert_int_equal(last("step 1\n", "step ("), -1);
    assert_int_equal(last("step 1\n", "step"), -1); /* no group */
}

static void zero_bytes_do_not_hide_what_follows(void **state)
{
    (void)state;
    static const char text[] = "step 1\n\0\0\nstep 2\n";
    int64_t step = -1;
    assert_true(ebb_progress_last(text, sizeof text - 1, "^step ([0-9]+)", &step));
    assert_int_equal(step, 2);
}

static void a_log_is_followed_and_the_total_read(void **state)
{
    Ebb__ProfileProgress spec = EBB__PROFILE_PROGRESS__INIT;
    struct ebb_progress *p = NULL;
    struct ebb_error err = {0};
    EBB_AUTO_FREE char *log = ebb_path_join(*state, "output.log");
    spec.file = (char *)"*.log";
    spec.pattern = (char *)"^step ([0-9]+)";
    spec.total_file = (char *)"in.*";
    spec.total_pattern = (char *)"^run +([0-9]+)";
    scratch_put(*state, "in.lj", "run 10\nrun 500 upto\n");
    assert_int_equal(ebb_progress_new(&spec, *state, log, &p, &err), 0);
    ebb_progress_poll(p);
    assert_int_equal(ebb_progress_step(p), -1);
    scratch_put(*state, "md.log", "step 3\n");
    ebb_progress_poll(p);
    assert_int_equal(ebb_progress_step(p), 3);
    scratch_put(*state, "md.log", "step 3\nstep 40\n");
    ebb_progress_poll(p);
    assert_int_equal(ebb_progress_step(p), 40);
    ebb_progress_find_total(p, "ignored");
    assert_int_equal(ebb_progress_total(p), 500);
    ebb_progress_destroy(p);
    spec.total_file = (char *)"";
    spec.total_pattern = (char *)"--epochs[ =]([0-9]+)";
    assert_int_equal(ebb_progress_new(&spec, *state, log, &p, &err), 0);
    ebb_progress_find_total(p, "python3 train.py --epochs 24");
    assert_int_equal(ebb_progress_total(p), 24);
    ebb_progress_destroy(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_match_counts),
        cmocka_unit_test(half_a_number_is_not_read),
        cmocka_unit_test(carriage_returns_end_lines),
        cmocka_unit_test(a_pattern_may_span_lines),
        cmocka_unit_test(the_match_may_stand_far_from_the_end),
        cmocka_unit_test(fractions_and_exponents_are_counts),
        cmocka_unit_test(a_bad_pattern_finds_nothing),
        cmocka_unit_test(zero_bytes_do_not_hide_what_follows),
        scratch_test(a_log_is_followed_and_the_total_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
