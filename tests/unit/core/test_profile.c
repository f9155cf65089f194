/* Application profiles: those that ship, defaults, faults with their places. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scheduler/core/profile.h"
#include "tests/unit/core/sources.h"

static void every_shipped_profile_reads(void **state)
{
    (void)state;
    const char *const *names = ebb_profile_builtin_names();
    size_t count = 0;
    for (; names[count] != NULL; count++) {
        Ebb__Profile *p = NULL;
        struct ebb_error err = {0};
        size_t len = 0;
        const char *text = ebb_profile_builtin(names[count], &len);
        if (ebb_profile_parse(names[count], text, len, &p, NULL, &err) < 0)
            fail_msg("%s", err.text);
        assert_string_equal(p->name, names[count]);
        assert_non_null(strstr(p->start, "${command}"));
        ebb__profile__free_unpacked(p, NULL);
    }
    assert_true(count >= 4);
    size_t len;
    assert_null(ebb_profile_builtin("nope", &len));
}

static void defaults_are_filled_in(void **state)
{
    (void)state;
    Ebb__Profile *p = NULL;
    const char text[] = "name: x\nstart: ${command}\n";
    assert_int_equal(ebb_profile_parse("x", text, strlen(text), &p, NULL, NULL), 0);
    assert_string_equal(p->stop->signal, "TERM");
    assert_true(p->stop->grace_s == 10);
    assert_true(p->done->exit_zero);
    assert_false(p->checkpoints);
    ebb__profile__free_unpacked(p, NULL);
}

static void each_rank_may_have_a_state_of_its_own(void **state)
{
    (void)state;
    static const char *const texts[] = {"", ", ranks: first", ", ranks: each"};
    for (size_t i = 0; i < 3; i++) {
        EBB_AUTO_FREE char *text = ebb_sprintf(
            "name: x\nstart: ${command}\nresume: ${command}\nstate: {files: 'a-*', step_pattern: "
            "'a-([0-9]+)'%s}\n",
            texts[i]);
        Ebb__Profile *p = NULL;
        struct ebb_error err = {0};
        if (ebb_profile_parse("x", text, strlen(text), &p, NULL, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(p->state->each_rank, i == 2);
        ebb__profile__free_unpacked(p, NULL);
    }
}

#define OK "name: x\nstart: ${command}\n"

static const struct {
    const char *text, *fault;
} mistakes[] = {
    {"", "p.yaml:1:1: the profile is empty"},
    {"start: ${command}\n", "p.yaml:1:1: the profile lacks 'name'"},
    {"name: x\n", "p.yaml:1:1: the profile lacks 'start'"},
    {"name: x\nstart: run\n", "p.yaml:2:8: start: 'run' lacks ${command}"},
    {"name: a/b\nstart: ${command}\n",
     "p.yaml:1:7: name: 'a/b' may hold letters, digits, '_', '.', '-' alone, at most 64"},
    {OK "stae: {}\n", "p.yaml:3:1: unknown key 'stae' in a profile, did you mean 'state'?"},
    {OK "stop: {signal: TREM}\n", "p.yaml:3:16: stop.signal: unknown 'TREM', did you mean 'TERM'?"},
    {OK "stop: {grace_s: -1}\n", "p.yaml:3:17: stop.grace_s: '-1' is not from 0 to 3600"},
    {OK "state: {tail: 00ff}\n", "p.yaml:3:8: state lacks 'files'"},
    {OK "resume: ${command}\nstate: {files: a, tail: 0F}\n",
     "p.yaml:4:25: state.tail: '0F' is not an even number of hex digits (0-9, a-f)"},
    {OK "resume: ${command}\nstate: {files: [/a]}\n",
     "p.yaml:4:16: state.files: '/a' is not relative to the work directory"},
    {OK "state: {files: a}\n", "p.yaml:1:1: a profile that checkpoints needs 'state' and 'resume'"},
    {OK "checkpoints: true\n", "p.yaml:1:1: a profile that checkpoints needs 'state' and 'resume'"},
    {OK "resume: ${command}\nstate: {files: a, ranks: each}\n",
     "p.yaml:4:26: state.ranks: 'each' needs a step_pattern: a checkpoint holds the states of all "
     "ranks of one step, and the file's name must tell it"},
    {OK "resume: ${command}\nstate: {files: a, ranks: all}\n", NULL},
    {OK "append: {}\n",
     "p.yaml:3:9: append: expected a list, such as [{glob: \"*.xtc\", cut: length}]"},
    {OK "append: [{glob: a, cut: marker}]\n",
     "p.yaml:3:10: append: cut 'marker' needs a marker with ${step} in it"},
    {OK "append: [{glob: a, marker: x}]\n",
     "p.yaml:3:10: append: a marker is used with cut 'marker' alone, not 'length'"},
    {OK "progress: {file: a, pattern: step}\n",
     "p.yaml:3:30: progress.pattern: 'step' needs a group, such as ([0-9]+)"},
    {OK "progress: {file: a, pattern: '([0-9'}\n", NULL},
    {OK "progress: {file: a, pattern: '((a{99}){99}){99}'}\n",
     "p.yaml:3:30: progress.pattern: the pattern is too large (at most 1024 characters, 1000 "
     "repetitions)"},
    {OK "done: {log_file: a}\n", "p.yaml:3:7: done: log_file and log_pattern need each other"},
    {OK "done: {all_steps: true}\n", "p.yaml:3:7: done.all_steps: the profile reads no progress"},
    {OK "exit: [{kind: retry}]\n", "p.yaml:3:8: exit: give codes, a pattern, or both"},
    {OK "exit: [{kind: retry, codes: [256]}]\n", NULL},
    {OK "must_match: [cpu]\n", "p.yaml:3:14: must_match: unknown 'cpu', did you mean 'cpus'?"},
    {OK "continuity: exact\n",
     "p.yaml:3:13: continuity: unknown 'exact' (one of bitwise, statistical, none)"},
};

static void each_mistake_is_told_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < EBB_ARRAY_LEN(mistakes); i++) {
        Ebb__Profile *p = NULL;
        struct ebb_error err = {0};
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
        assert_int_equal(ebb_profile_parse("p.yaml", mistakes[i].text, strlen(mistakes[i].text), &p,
                                           &faults, &err),
                         EBB_ERR_INPUT);
        assert_null(p);
        if (mistakes[i].fault != NULL)
            assert_string_equal(err.text, mistakes[i].fault);
        assert_int_equal(strncmp(ebb_buffer_text(&faults), err.text, strlen(err.text)), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shipped_profile_reads),
        cmocka_unit_test(defaults_are_filled_in),
        cmocka_unit_test(each_rank_may_have_a_state_of_its_own),
        cmocka_unit_test(each_mistake_is_told_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
