/* The real agent runs the demo's jobs with the real engines and the profiles that ship: killed on
 * one VM, drained from the next, finished on a third; the outputs equal those of an undisturbed
 * attempt byte for byte. The jobs are the demo's, made as long as it takes: one that ends before it
 * was disturbed, as on a fast machine or under a starved agent, is run again with twice the steps.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "scheduler/core/bag.h"
#include "scheduler/core/sweep.h"
#include "tests/flow/agent/harness.h"

#define DEMO       EBB_SOURCE_DIR "/examples/demo"
#define DEMO_STEPS 14000
#define MAX_TRIES  5

static void read_file(const char *path, struct ebb_buffer *out)
{
    struct ebb_error err = {0};
    if (ebb_file_read(path, 1 << 20, out, &err) < 0)
        fail_msg("%s", err.text);
}

static Ebb__BagSpec *demo(void)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0}, faults = {0};
    struct ebb_error err = {0};
    Ebb__BagSpec *spec = NULL;
    read_file(DEMO "/bag.yaml", &text);
    if (ebb_bag_parse("bag.yaml", ebb_buffer_text(&text), text.len, NULL, &spec, &faults, &err) < 0)
        fail_msg("%s", ebb_buffer_text(&faults));
    return spec;
}

/* The file's text with the first `from` replaced by `to`. */
static char *with_steps(const char *path, const char *from, const char *to)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    read_file(path, &text);
    const char *all = ebb_buffer_text(&text), *place = strstr(all, from);
    if (place == NULL)
        return ebb_strdup(all);
    return ebb_sprintf("%.*s%s%s", (int)(place - all), all, to, place + strlen(from));
}

static void put_inputs(struct harness *h, Ebb__JobGroup *group, const char *setting, int steps)
{
    EBB_AUTO_FREE char *from = ebb_sprintf("%s%d", setting, DEMO_STEPS);
    EBB_AUTO_FREE char *to = ebb_sprintf("%s%d", setting, steps);
    bool is_set = false;
    for (size_t i = 0; i < group->n_inputs; i++) {
        Ebb__Input *input = group->inputs[i];
        EBB_AUTO_FREE char *path = ebb_path_join(DEMO, input->path);
        EBB_AUTO_FREE char *text = with_steps(path, from, to);
        is_set = is_set || strstr(text, to) != NULL;
        harness_put_input(h, input, text);
    }
    assert_true(is_set);
}

/* The harness owns what the hashes point to. */
static void release(Ebb__BagSpec *spec)
{
    for (size_t g = 0; g < spec->n_groups; g++)
        for (size_t i = 0; i < spec->groups[g]->n_inputs; i++)
            spec->groups[g]->inputs[i]->sha256 = (ProtobufCBinaryData){0};
    ebb__bag_spec__free_unpacked(spec, NULL);
}

static void assert_done(struct harness *h, uint64_t job, uint32_t attempt)
{
    const Ebb__AttemptEnded *e = harness_wait_ended(h, job, attempt, 120);
    if (e->outcome != EBB__ATTEMPT_ENDED__OUTCOME__DONE)
        fail_msg("attempt %u: outcome %d: %s", attempt, (int)e->outcome, e->reason);
}

static struct vm *start_vm(struct harness *h)
{
    static unsigned count;
    char name[32];
    snprintf(name, sizeof name, "vm-%06u", ++count);
    return harness_start_vm(h, name, NULL);
}

static bool commits(struct harness *h, uint64_t job, uint32_t attempt, size_t count)
{
    return harness_wait_commits_or_end(h, job, attempt, count, 60);
}

static bool is_released(struct harness *h, uint64_t job, uint32_t attempt)
{
    const Ebb__AttemptEnded *e = harness_wait_ended(h, job, attempt, 60);
    if (e->outcome == EBB__ATTEMPT_ENDED__OUTCOME__RELEASED)
        return true;
    if (e->outcome != EBB__ATTEMPT_ENDED__OUTCOME__DONE)
        fail_msg("drained: outcome %d: %s", (int)e->outcome, e->reason);
    return false;
}

/* False: the job ended too early to be disturbed. */
static bool run_disturbed(struct harness *h, uint64_t job)
{
    struct vm *first = start_vm(h);
    harness_lease(first, job, 1, 0.3, false);
    bool in_time = commits(h, job, 1, 2);
    harness_signal_vm(first, SIGKILL);
    if (!in_time)
        return false;

    struct vm *second = start_vm(h);
    harness_lease(second, job, 2, 0.3, true);
    in_time = commits(h, job, 2, 1);
    harness_drain(second, 10);
    if (!in_time || !is_released(h, job, 2)) {
        harness_signal_vm(second, SIGKILL);
        return false;
    }
    assert_true(harness_started(h, job, 2)->resumed_step > 0);
    int64_t released_step = harness_ended(h, job, 2)->last_step;

    struct vm *third = start_vm(h);
    harness_lease(third, job, 3, 0.3, true);
    assert_done(h, job, 3);
    int64_t resumed_step = harness_started(h, job, 3)->resumed_step;
    assert_true(resumed_step > harness_started(h, job, 2)->resumed_step);
    assert_true(resumed_step <= released_step);
    harness_signal_vm(third, SIGKILL);
    return true;
}

static void assert_same_outputs(struct harness *h, Ebb__BagContext *a, Ebb__BagContext *b,
                                const char *job, const char *const *files)
{
    for (; *files != NULL; files++) {
        size_t len = 0, other_len = 0;
        harness_set_bag(h, a);
        EBB_AUTO_FREE char *text = harness_output(h, job, *files, &len);
        harness_set_bag(h, b);
        EBB_AUTO_FREE char *other = harness_output(h, job, *files, &other_len);
        assert_non_null(text);
        assert_non_null(other);
        if (len != other_len || memcmp(text, other, len) != 0)
            fail_msg("%s of the disturbed run differs", *files);
    }
}

static Ebb__BagContext context_of(const Ebb__BagSpec *spec, const char *bag)
{
    Ebb__BagContext c = EBB__BAG_CONTEXT__INIT;
    c.groups = spec->groups;
    c.n_groups = spec->n_groups;
    c.profiles = spec->profiles;
    c.n_profiles = spec->n_profiles;
    c.bag = (char *)bag;
    return c;
}

static void check_engine(struct harness *h, size_t group, const char *program, const char *setting,
                         int steps, const char *const *files)
{
    if (access(program, X_OK) != 0) {
        print_message("SKIP: %s is not installed\n", program);
        skip();
    }
    static const char *const bags[MAX_TRIES] = {"demo-0001", "demo-0002", "demo-0003", "demo-0004",
                                                "demo-0005"};
    Ebb__BagSpec *spec = demo();
    Ebb__BagContext disturbed, calm = context_of(spec, "demo-0000");
    uint64_t job = spec->groups[group]->first_job;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer name = {0};
    ebb_job_name(spec->groups[group], 0, &name);

    for (int i = 0;; i++, steps *= 2) {
        if (i == MAX_TRIES)
            fail_msg("even %d steps end before they are disturbed", steps / 2);
        disturbed = context_of(spec, bags[i]);
        harness_set_bag(h, &disturbed);
        put_inputs(h, spec->groups[group], setting, steps);
        if (run_disturbed(h, job))
            break;
        print_message("%d steps end too early\n", steps);
    }

    harness_set_bag(h, &calm);
    struct vm *vm = start_vm(h);
    harness_lease(vm, job, 9, 600, false);
    assert_done(h, job, 9);
    assert_same_outputs(h, &disturbed, &calm, ebb_buffer_text(&name), files);
    release(spec);
}

static void gromacs_killed_and_drained_equals_the_undisturbed_run(void **state)
{
    static const char *const files[] = {"nvt.xtc", "nvt.edr", "nvt.gro", NULL};
    check_engine(*state, 0, "/usr/bin/gmx", "nsteps        = ", 6000, files);
}

static void lammps_killed_and_drained_equals_the_undisturbed_run(void **state)
{
    static const char *const files[] = {"traj.dump", "final.data", "eos.dat", "rdf.dat", NULL};
    check_engine(*state, 1, "/usr/bin/lmp", "run             ", 12000, files);
}

static int set_up(void **state)
{
    *state = harness_new();
    return 0;
}

static int tear_down(void **state)
{
    harness_destroy(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gromacs_killed_and_drained_equals_the_undisturbed_run,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(lammps_killed_and_drained_equals_the_undisturbed_run,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
