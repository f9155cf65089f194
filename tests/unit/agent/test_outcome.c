/* What the end of an engine means, by the rules of its profile. */
#include "tests/unit/agent/scratch.h"

#include <signal.h>

#include "agent/outcome.h"

#define EXITED(code) ((code) << 8)

struct fixture {
    Ebb__ProfileDone done;
    Ebb__JobGroup group;
    Ebb__Output output;
    Ebb__Output *outputs[1];
    struct ebb_end_facts facts;
    char *log;
};

static void fixture_init(struct fixture *f, const char *directory)
{
    memset(f, 0, sizeof *f);
    ebb__profile_done__init(&f->done);
    ebb__job_group__init(&f->group);
    ebb__output__init(&f->output);
    f->outputs[0] = &f->output;
    f->log = scratch_write(directory, "output.log", "working\nall done\n", 17);
    f->facts = (struct ebb_end_facts){
        .work = directory, .log = f->log, .wait_status = EXITED(0), .step = -1, .total_steps = -1};
}

static bool is_done(struct fixture *f, char *why, size_t size)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    bool done = ebb_done_test(&f->facts, &f->done, &f->group, &text);
    snprintf(why, size, "%s", ebb_buffer_text(&text));
    return done;
}

static void without_rules_the_exit_status_decides(void **state)
{
    struct fixture f;
    char why[200];
    fixture_init(&f, *state);
    assert_true(is_done(&f, why, sizeof why));
    f.facts.wait_status = EXITED(3);
    assert_false(is_done(&f, why, sizeof why));
    assert_string_equal(why, "exit status 3");
    f.facts.wait_status = SIGKILL;
    assert_false(is_done(&f, why, sizeof why));
    assert_non_null(strstr(why, "killed by signal 9"));
    free(f.log);
}

static void exit_zero_is_not_enough(void **state)
{
    struct fixture f;
    char why[200];
    fixture_init(&f, *state);
    char *files[] = {(char *)"*.gro"};
    f.done.exit_zero = true;
    f.done.files = files;
    f.done.n_files = 1;
    assert_false(is_done(&f, why, sizeof why));
    assert_string_equal(why, "no file matches *.gro");
    scratch_put(*state, "md.gro", "x");
    assert_true(is_done(&f, why, sizeof why));
    f.done.log_pattern = (char *)"^Finished";
    assert_false(is_done(&f, why, sizeof why));
    f.done.log_pattern = (char *)"^all done$";
    assert_true(is_done(&f, why, sizeof why));
    f.done.log_file = (char *)"*.log2";
    assert_false(is_done(&f, why, sizeof why));
    free(f.log);
}

static void a_failing_exit_is_done_only_where_the_profile_says_so(void **state)
{
    struct fixture f;
    char why[200];
    fixture_init(&f, *state);
    f.facts.wait_status = EXITED(1);
    f.done.log_pattern = (char *)"all done";
    assert_true(is_done(&f, why, sizeof why));
    f.done.exit_zero = true;
    assert_false(is_done(&f, why, sizeof why));
    free(f.log);
}

static void an_engine_that_ends_early_is_not_done(void **state)
{
    struct fixture f;
    char why[200];
    fixture_init(&f, *state);
    f.done.exit_zero = f.done.all_steps = true;
    f.facts.step = 99;
    f.facts.total_steps = 100;
    assert_false(is_done(&f, why, sizeof why));
    assert_string_equal(why, "it ended at step 99 of 100");
    f.facts.step = 100;
    assert_true(is_done(&f, why, sizeof why));
    f.facts.step = 5;
    f.facts.total_steps = -1; /* unknown */
    assert_true(is_done(&f, why, sizeof why));
    free(f.log);
}

static void declared_outputs_must_be_there(void **state)
{
    struct fixture f;
    char why[200];
    fixture_init(&f, *state);
    f.group.outputs = f.outputs;
    f.group.n_outputs = 1;
    f.output.pattern = (char *)"model.pt";
    assert_false(is_done(&f, why, sizeof why));
    assert_string_equal(why, "output model.pt was not written");
    f.output.optional = true;
    assert_true(is_done(&f, why, sizeof why));
    free(f.log);
}

static enum ebb_exit_kind classify(Ebb__ProfileExit **rules, size_t count, int status,
                                   const char *log, const char **message)
{
    Ebb__Profile p = EBB__PROFILE__INIT;
    p.exit = rules;
    p.n_exit = count;
    *message = "";
    return ebb_exit_classify(&p, status, log, message);
}

static void the_first_rule_that_fits_names_the_kind(void **state)
{
    (void)state;
    Ebb__ProfileExit a = EBB__PROFILE_EXIT__INIT, b = EBB__PROFILE_EXIT__INIT,
                     c = EBB__PROFILE_EXIT__INIT, empty = EBB__PROFILE_EXIT__INIT;
    int32_t codes[] = {143, 130};
    Ebb__ProfileExit *rules[] = {&empty, &a, &b, &c};
    const char *message;
    empty.kind = (char *)"fatal"; /* neither code nor pattern: fits nothing */
    a.kind = (char *)"preempted";
    a.codes = codes;
    a.n_codes = 2;
    b.kind = (char *)"retry";
    b.pattern = (char *)"No space";
    b.message = (char *)"the disk is full";
    c.kind = (char *)"fatal";
    c.codes = codes;
    c.n_codes = 1;
    c.pattern = (char *)"ERROR";
    assert_int_equal(classify(rules, 4, EXITED(143), "", &message), EBB_EXIT_PREEMPTED);
    assert_int_equal(classify(rules, 4, SIGTERM, "", &message), EBB_EXIT_PREEMPTED);
    assert_int_equal(classify(rules, 4, EXITED(1), "x\nNo space left\n", &message), EBB_EXIT_RETRY);
    assert_string_equal(message, "the disk is full");
    assert_int_equal(classify(rules, 4, EXITED(1), "ERROR", &message), EBB_EXIT_UNKNOWN);
    rules[1] = &empty;
    assert_int_equal(classify(rules, 4, EXITED(143), "ERROR", &message), EBB_EXIT_FATAL);
}

static void reasons_carry_the_end_of_the_log_on_one_line(void **state)
{
    (void)state;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_log_last_lines("one\ntwo\nthree\x1b[0m\n\n", 2, 100, &out);
    assert_string_equal(ebb_buffer_text(&out), "two | three[0m");
    ebb_buffer_reset(&out);
    ebb_log_last_lines("a long line without an end", 3, 10, &out);
    assert_string_equal(ebb_buffer_text(&out), "out an end");
    ebb_buffer_reset(&out);
    ebb_log_last_lines("\xc3\xa4\xc3\xb6", 3, 3, &out); /* not half a character */
    assert_string_equal(ebb_buffer_text(&out), "\xc3\xb6");
    ebb_buffer_reset(&out);
    ebb_log_last_lines("", 3, 10, &out);
    assert_string_equal(ebb_buffer_text(&out), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(without_rules_the_exit_status_decides),
        scratch_test(exit_zero_is_not_enough),
        scratch_test(a_failing_exit_is_done_only_where_the_profile_says_so),
        scratch_test(an_engine_that_ends_early_is_not_done),
        scratch_test(declared_outputs_must_be_there),
        cmocka_unit_test(the_first_rule_that_fits_names_the_kind),
        cmocka_unit_test(reasons_carry_the_end_of_the_log_on_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
