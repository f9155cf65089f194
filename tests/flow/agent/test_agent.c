/* The real agent against a scripted scheduler and a directory as the store. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "tests/flow/agent/harness.h"

#define TICKER EBB_SOURCE_DIR "/tests/flow/agent/ticker.sh"

/* A bag with one group whose engine is the ticker. Fields are changed by tests before use. */
struct bag {
    Ebb__BagContext context;
    Ebb__JobGroup group;
    Ebb__Profile profile;
    Ebb__Resources resources;
    Ebb__Sweep sweep;
    Ebb__Axis axis;
    Ebb__ProfileStop stop;
    Ebb__ProfileState state;
    Ebb__ProfileAppend append;
    Ebb__ProfileProgress progress;
    Ebb__ProfileDone done;
    Ebb__Output outputs[2];
    Ebb__Input input;
    Ebb__JobGroup *groups[1];
    Ebb__Profile *profiles[1];
    Ebb__Axis *axes[1];
    Ebb__ProfileAppend *appends[1];
    Ebb__Output *output_list[2];
    Ebb__Input *inputs[1];
    char *state_globs[1];
    char *ignore[1];
    char *seeds[2];
};

static void bag_init(struct bag *b)
{
    memset(b, 0, sizeof *b);
    ebb__bag_context__init(&b->context);
    ebb__job_group__init(&b->group);
    ebb__profile__init(&b->profile);
    ebb__resources__init(&b->resources);
    ebb__sweep__init(&b->sweep);
    ebb__axis__init(&b->axis);
    ebb__profile_stop__init(&b->stop);
    ebb__profile_state__init(&b->state);
    ebb__profile_append__init(&b->append);
    ebb__profile_progress__init(&b->progress);
    ebb__profile_done__init(&b->done);
    ebb__output__init(&b->outputs[0]);
    ebb__output__init(&b->outputs[1]);
    ebb__input__init(&b->input);
    b->context.bag = (char *)"ticks-0001";
    b->groups[0] = &b->group;
    b->context.groups = b->groups;
    b->context.n_groups = 1;
    b->profiles[0] = &b->profile;
    b->context.profiles = b->profiles;
    b->context.n_profiles = 1;
    b->group.name = (char *)"tick";
    b->group.engine = (char *)"ticker";
    b->group.command = (char *)TICKER " 60 0.05 5";
    b->group.job_count = 1;
    b->resources.cpus = 1;
    b->group.resources = &b->resources;
    b->outputs[0].pattern = (char *)"result.txt";
    b->outputs[1].pattern = (char *)"run.dump";
    b->output_list[0] = &b->outputs[0];
    b->output_list[1] = &b->outputs[1];
    b->group.outputs = b->output_list;
    b->group.n_outputs = 2;
    b->profile.name = (char *)"ticker";
    b->profile.start = (char *)"${command}";
    b->profile.resume = (char *)"${command} ${state}";
    b->profile.checkpoints = true;
    b->stop.signal = (char *)"TERM";
    b->stop.grace_s = 5;
    b->profile.stop = &b->stop;
    b->state_globs[0] = (char *)"run.*.state";
    b->state.files = b->state_globs;
    b->state.n_files = 1;
    b->state.step_pattern = (char *)"run\\.([0-9]+)\\.state";
    b->state.tail = (char *)"454e440a"; /* END, newline */
    b->state.trigger = (char *)"periodic";
    b->state.keep = 2;
    b->profile.state = &b->state;
    b->append.glob = (char *)"*.dump";
    b->append.cut = (char *)"marker";
    b->append.marker = (char *)"TIMESTEP\n${step}\n";
    b->appends[0] = &b->append;
    b->profile.append = b->appends;
    b->profile.n_append = 1;
    b->progress.file = (char *)"stdout";
    b->progress.pattern = (char *)"^step ([0-9]+) of";
    b->progress.total_pattern = (char *)"ticker.sh ([0-9]+)";
    b->profile.progress = &b->progress;
    b->done.exit_zero = true;
    b->done.log_file = (char *)"stdout";
    b->done.log_pattern = (char *)"^finished$";
    b->profile.done = &b->done;
    b->ignore[0] = (char *)"*.tmp";
    b->profile.ignore = b->ignore;
    b->profile.n_ignore = 1;
}

/* What an undisturbed ticker writes. */
static char *expected_dump(unsigned steps)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    uint64_t value = 1;
    for (unsigned i = 0; i <= steps; i++) {
        if (i > 0)
            value = (value * 1103515245 + 12345) % 2147483648U;
        ebb_buffer_printf(&text, "TIMESTEP\n%u\nvalue %llu\n", i, (unsigned long long)value);
    }
    return ebb_buffer_take_text(&text);
}

static void assert_dump(const struct harness *h, unsigned steps)
{
    size_t len = 0;
    EBB_AUTO_FREE char *dump = harness_output(h, "tick", "run.dump", &len);
    EBB_AUTO_FREE char *wanted = expected_dump(steps);
    assert_non_null(dump);
    assert_string_equal(dump, wanted);
}

static void assert_outcome(const Ebb__AttemptEnded *e, Ebb__AttemptEnded__Outcome outcome)
{
    if (e->outcome != outcome)
        fail_msg("outcome %d instead of %d: %s", (int)e->outcome, (int)outcome, e->reason);
}

static void a_job_runs_to_its_end_and_its_outputs_are_committed(void **state)
{
    struct harness *h = *state;
    struct bag b;
    bag_init(&b);
    b.seeds[0] = (char *)"7";
    b.seeds[1] = (char *)"8";
    b.axis.name = (char *)"seed";
    b.axis.values = b.seeds;
    b.axis.n_values = 2;
    b.axes[0] = &b.axis;
    b.sweep.axes = b.axes;
    b.sweep.n_axes = 1;
    b.group.sweep = &b.sweep;
    b.group.job_count = 2;
    b.input.path = (char *)"folder/values.txt.in";
    b.input.is_template = true;
    b.inputs[0] = &b.input;
    b.group.inputs = b.inputs;
    b.group.n_inputs = 1;
    b.group.setup = (char *)"cat values.txt > result.txt";
    b.group.command = (char *)"env > run.dump; echo ${seed} $EBB_JOB >> result.txt; echo finished";
    harness_set_bag(h, &b.context);
    harness_put_input(h, &b.input, "seed is ${seed}, shell has ${OTHER}\n");
    struct vm *vm = harness_start_vm(h, "vm-000001", NULL);
    harness_lease(vm, 1, 1, 1, false);
    const Ebb__AttemptEnded *e = harness_wait_ended(h, 1, 1, LIMIT_S);
    assert_outcome(e, EBB__ATTEMPT_ENDED__OUTCOME__DONE);
    assert_int_equal(e->n_outputs, 2);
    assert_true(e->times->lost_s == 0);
    size_t len;
    EBB_AUTO_FREE char *result = harness_output(h, "tick,seed=8", "result.txt", &len);
    assert_string_equal(result, "seed is 8, shell has ${OTHER}\n8 tick,seed=8\n");
    EBB_AUTO_FREE char *env = harness_output(h, "tick,seed=8", "run.dump", &len);
    assert_non_null(strstr(env, "EBB_PARAM_seed=8\n"));
    assert_non_null(strstr(env, "OMP_NUM_THREADS=1\n"));
    assert_null(strstr(env, "AWS_"));
    EBB_AUTO_FREE char *log = harness_log(h, "tick,seed=8", 1);
    assert_non_null(strstr(log, "finished\n"));
    assert_int_equal(harness_started(h, 1, 1)->resumed_step, -1);
}

static void a_job_goes_on_elsewhere_when_its_vm_dies(void **state)
{
    struct harness *h = *state;
    struct bag b;
    bag_init(&b);
    harness_set_bag(h, &b.context);
    struct vm *first = harness_start_vm(h, "vm-000001", NULL);
    harness_lease(first, 0, 1, 0.5, false);
    harness_wait_commits(h, 0, 1, 2, LIMIT_S);
    harness_signal_vm(first, SIGKILL);
    struct vm *second = harness_start_vm(h, "vm-000002", NULL);
    harness_lease(second, 0, 2, 0.5, true);
    const Ebb__AttemptEnded *e = harness_wait_ended(h, 0, 2, LIMIT_S);
    assert_outcome(e, EBB__ATTEMPT_ENDED__OUTCOME__DONE);
    assert_true(harness_started(h, 0, 2)->resumed_step >= 5);
    assert_int_equal(e->last_step, 60);
    assert_dump(h, 60);
}

static void killed_at(struct harness *h, const char *fault)
{
    struct bag b;
    bag_init(&b);
    b.context.bag = (char *)fault; /* a lineage of its own for each */
    harness_set_bag(h, &b.context);
    EBB_AUTO_FREE char *variable = ebb_sprintf("EBB_FAULT=%s:2", fault);
    const char *env[] = {variable, NULL};
    char first_name[32], second_name[32];
    static unsigned serial;
    snprintf(first_name, sizeof first_name, "vm-%06u", ++serial * 2);
    snprintf(second_name, sizeof second_name, "vm-%06u", serial * 2 + 1);
    struct vm *first = harness_start_vm(h, first_name, env);
    harness_lease(first, 0, 1, 0.4, false);
    harness_wait_vm_end(h, first, LIMIT_S);
    struct vm *second = harness_start_vm(h, second_name, NULL);
    harness_lease(second, 0, 2, 0.4, true);
    const Ebb__AttemptEnded *e = harness_wait_ended(h, 0, 2, LIMIT_S);
    assert_outcome(e, EBB__ATTEMPT_ENDED__OUTCOME__DONE);
    assert_true(harness_started(h, 0, 2)->resumed_step >= 5);
    assert_dump(h, 60);
    harness_signal_vm(second, SIGKILL);
}

static void a_kill_at_any_step_of_a_commit_loses_nothing_committed(void **state)
{
    static const char *const faults[] = {"commit-begin",    "pack-before",    "pack-after",
                                         "manifest-before", "manifest-after", "head-before",
                                         "head-after"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(faults); i++)
        killed_at(*state, faults[i]);
}

static void a_drained_vm_checkpoints_what_is_new_and_ends(void **state)
{
    struct harness *h = *state;
    struct bag b;
    bag_init(&b);
    harness_set_bag(h, &b.context);
    struct vm *first = harness_start_vm(h, "vm-000001", NULL);
    harness_lease(first, 0, 1, 600, false);
    harness_wait_step(first, 10);
    harness_drain(first, 60);
    const Ebb__AttemptEnded *e = harness_wait_ended(h, 0, 1, LIMIT_S);
    assert_outcome(e, EBB__ATTEMPT_ENDED__OUTCOME__RELEASED);
    assert_int_equal(harness_commits(h, 0, 1), 1);
    assert_true(e->times->lost_s < 0.3);
    harness_wait_vm_end(h, first, LIMIT_S);
    assert_int_equal(first->wait_status, 0);
    struct vm *second = harness_start_vm(h, "vm-000002", NULL);
    harness_lease(second, 0, 2, 600, true);
    assert_outcome(harness_wait_ended(h, 0, 2, LIMIT_S), EBB__ATTEMPT_ENDED__OUTCOME__DONE);
    assert_dump(h, 60);
}

static void a_poisoned_job_fails_with_the_end_of_its_log(void **state)
{
    struct harness *h = *state;
    struct bag b;
    bag_init(&b);
    b.group.command = (char *)"echo the water is on fire >&2; exit 3";
    harness_set_bag(h, &b.context);
    struct vm *vm = harness_start_vm(h, "vm-000001", NULL);
    harness_lease(vm, 0, 1, 1, false);
    const Ebb__AttemptEnded *e = harness_wait_ended(h, 0, 1, LIMIT_S);
    assert_outcome(e, EBB__ATTEMPT_ENDED__OUTCOME__FAILED);
    assert_non_null(strstr(e->reason, "exit status 3"));
    assert_non_null(strstr(e->reason, "the water is on fire"));
    EBB_AUTO_FREE char *log = harness_log(h, "tick", 1);
    assert_non_null(strstr(log, "the water is on fire"));
}

static void exit_zero_is_not_done(void **state)
{
    struct harness *h = *state;
    struct bag b;
    bag_init(&b);
    b.group.command = (char *)"echo 1 > result.txt; echo 2 > run.dump; exit 0";
    harness_set_bag(h, &b.context);
    struct vm *vm = harness_start_vm(h, "vm-000001", NULL);
    harness_lease(vm, 0, 1, 1, false);
    const Ebb__AttemptEnded *e = harness_wait_ended(h, 0, 1, LIMIT_S);
    assert_outcome(e, EBB__ATTEMPT_ENDED__OUTCOME__FAILED);
    assert_non_null(strstr(e->reason, "does not end with"));
}

static void a_resume_without_a_checkpoint_is_an_error_not_a_start(void **state)
{
    struct harness *h = *state;
    struct bag b;
    bag_init(&b);
    harness_set_bag(h, &b.context);
    struct vm *vm = harness_start_vm(h, "vm-000001", NULL);
    harness_lease(vm, 0, 2, 1, true);
    const Ebb__AttemptEnded *e = harness_wait_ended(h, 0, 2, LIMIT_S);
    assert_outcome(e, EBB__ATTEMPT_ENDED__OUTCOME__FAILED);
    assert_non_null(strstr(e->reason, "a checkpoint is known to exist"));
    assert_null(harness_started(h, 0, 2));
}

static void a_notice_leads_to_a_last_checkpoint_and_the_end_of_the_vm(void **state)
{
    struct harness *h = *state;
    struct bag b;
    bag_init(&b);
    harness_set_bag(h, &b.context);
    struct vm *first = harness_start_vm(h, "vm-000001", NULL);
    harness_lease(first, 0, 1, 600, false);
    harness_wait_step(first, 8);
    int64_t announced_ns = ebb_now_ns(NULL);
    harness_announce(h, 60);
    assert_outcome(harness_wait_ended(h, 0, 1, LIMIT_S), EBB__ATTEMPT_ENDED__OUTCOME__RELEASED);
    assert_true(ebb_now_ns(NULL) - announced_ns < 40 * EBB_NS_PER_S);
    assert_int_equal(harness_commits(h, 0, 1), 1);
    harness_wait_vm_end(h, first, LIMIT_S);
    harness_announce(h, 0);
    struct vm *second = harness_start_vm(h, "vm-000002", NULL);
    harness_lease(second, 0, 2, 600, true);
    assert_outcome(harness_wait_ended(h, 0, 2, LIMIT_S), EBB__ATTEMPT_ENDED__OUTCOME__DONE);
    assert_dump(h, 60);
}

static void a_notice_shorter_than_the_engine_needs_relies_on_the_last_commit(void **state)
{
    struct harness *h = *state;
    struct bag b;
    bag_init(&b);
    b.group.command = (char *)"trap '' TERM; " TICKER " 200 0.05 5";
    harness_set_bag(h, &b.context);
    struct vm *first = harness_start_vm(h, "vm-000001", NULL);
    harness_lease(first, 0, 1, 0.5, false);
    harness_wait_commits(h, 0, 1, 2, LIMIT_S);
    harness_announce(h, 3);
    harness_wait_vm_end(h, first, LIMIT_S);
    size_t commits = harness_commits(h, 0, 1);
    assert_true(commits >= 2);
    harness_announce(h, 0);
    struct vm *second = harness_start_vm(h, "vm-000002", NULL);
    harness_lease(second, 0, 2, 0.5, true);
    assert_outcome(harness_wait_ended(h, 0, 2, LIMIT_S), EBB__ATTEMPT_ENDED__OUTCOME__DONE);
    assert_dump(h, 200);
}

static void a_zombie_vm_is_fenced_and_its_work_killed(void **state)
{
    struct harness *h = *state;
    struct bag b;
    bag_init(&b);
    b.group.command = (char *)TICKER " 120 0.05 5";
    harness_set_lease_ttl(h, 3, 600);
    harness_set_bag(h, &b.context);
    struct vm *zombie = harness_start_vm(h, "vm-000001", NULL);
    harness_lease(zombie, 0, 1, 0.5, false);
    harness_wait_commits(h, 0, 1, 2, LIMIT_S);
    size_t commits = harness_commits(h, 0, 1);
    harness_signal_vm(zombie, SIGSTOP);
    struct vm *second = harness_start_vm(h, "vm-000002", NULL);
    harness_lease(second, 0, 2, 0.5, true);
    harness_wait_commits(h, 0, 2, 1, LIMIT_S);
    harness_run_for(h, 1);
    harness_signal_vm(zombie, SIGCONT);
    const Ebb__AttemptEnded *e = harness_wait_ended(h, 0, 1, LIMIT_S);
    assert_outcome(e, EBB__ATTEMPT_ENDED__OUTCOME__FENCED);
    assert_true(harness_commits(h, 0, 1) <= commits + 1); /* one may have been under way to us */
    assert_outcome(harness_wait_ended(h, 0, 2, LIMIT_S), EBB__ATTEMPT_ENDED__OUTCOME__DONE);
    assert_dump(h, 120);
}

static bool is_finished(void *ctx)
{
    size_t len;
    EBB_AUTO_FREE char *result = harness_output(ctx, "tick", "result.txt", &len);
    return result != NULL;
}

static void a_dead_scheduler_does_not_stop_the_work(void **state)
{
    struct harness *h = *state;
    struct bag b;
    bag_init(&b);
    b.group.command = (char *)TICKER " 120 0.05 5";
    harness_set_lease_ttl(h, 2, 600);
    harness_set_bag(h, &b.context);
    struct vm *vm = harness_start_vm(h, "vm-000001", NULL);
    harness_lease(vm, 0, 1, 0.5, false);
    harness_wait_commits(h, 0, 1, 1, LIMIT_S);
    int64_t left_ns = ebb_now_ns(NULL);
    harness_listen(h, false);
    harness_close_connections(h);
    harness_wait(h, is_finished, h, LIMIT_S, "outputs in the store");
    assert_true(ebb_now_ns(NULL) - left_ns > 2 * EBB_NS_PER_S); /* longer than the lease */
    harness_listen(h, true);
    assert_outcome(harness_wait_ended(h, 0, 1, LIMIT_S), EBB__ATTEMPT_ENDED__OUTCOME__DONE);
    assert_dump(h, 120);
}

static void a_vm_that_hears_nobody_ends(void **state)
{
    struct harness *h = *state;
    struct bag b;
    bag_init(&b);
    harness_set_lease_ttl(h, 2, 3);
    harness_set_bag(h, &b.context);
    struct vm *vm = harness_start_vm(h, "vm-000001", NULL);
    harness_wait_heartbeats(vm, 1); /* it knows the terms of its lease */
    harness_listen(h, false);
    harness_close_connections(h);
    harness_wait_vm_end(h, vm, LIMIT_S);
    assert_int_equal(vm->wait_status, 0);
    harness_listen(h, true);
}

static bool has_two_ends(void *ctx)
{
    return harness_ends(ctx, 0, 1) >= 2;
}

static void an_end_is_told_until_it_is_acknowledged(void **state)
{
    struct harness *h = *state;
    struct bag b;
    bag_init(&b);
    b.group.command = (char *)TICKER " 4 0.02 5";
    harness_set_bag(h, &b.context);
    harness_set_acks(h, false);
    struct vm *vm = harness_start_vm(h, "vm-000001", NULL);
    harness_lease(vm, 0, 1, 1, false);
    harness_wait_ended(h, 0, 1, LIMIT_S);
    harness_close_connections(h);
    harness_wait(h, has_two_ends, h, LIMIT_S, "the end again");
    harness_set_acks(h, true);
    harness_close_connections(h);
    harness_wait_heartbeats(vm, 4); /* and the acknowledgement has been read */
    size_t told = harness_ends(h, 0, 1);
    assert_true(told >= 3);
    harness_close_connections(h);
    harness_wait_heartbeats(vm, 2);
    assert_int_equal(harness_ends(h, 0, 1), told);
}

static bool has_second_start(void *ctx)
{
    return harness_starts(ctx, 0, 1) >= 2;
}

/* What a scheduler has read that was killed before it was in its log. */
static void a_report_is_told_again_until_a_heartbeat_after_it_is_acknowledged(void **state)
{
    struct harness *h = *state;
    struct bag b;
    bag_init(&b);
    b.group.command = (char *)TICKER " 20 0.05 1000; sleep 300";
    harness_set_bag(h, &b.context);
    struct vm *vm = harness_start_vm(h, "vm-000001", NULL);
    harness_wait_heartbeats(vm, 1);
    harness_lease(vm, 0, 1, 0.5, false);
    vm->is_muted = true;
    harness_wait_step(vm, 1);
    assert_int_equal(harness_starts(h, 0, 1), 1);
    vm->is_muted = false;
    harness_close_connections(h);
    harness_wait(h, has_second_start, h, LIMIT_S, "the start again");
    harness_wait_heartbeats(vm, 4);
    harness_close_connections(h);
    harness_wait_heartbeats(vm, 2);
    assert_int_equal(harness_starts(h, 0, 1), 2);
}

/* A rank whose VM goes first would take with it what rank 0 is about to report. */
static void
a_rank_that_has_ended_waits_for_rank_0_longer_than_others_for_the_scheduler(void **state)
{
    struct harness *h = *state;
    struct bag b;
    bag_init(&b);
    b.resources.vms = 2;
    harness_set_bag(h, &b.context);
    harness_set_acks(h, false);
    struct vm *vm = harness_start_vm(h, "vm-000001", NULL);
    harness_lease_member(vm, 0, 1);
    harness_drain(vm, 120);
    harness_cancel(vm, 0, 1, false);
    assert_outcome(harness_wait_ended(h, 0, 1, LIMIT_S), EBB__ATTEMPT_ENDED__OUTCOME__CANCELLED);
    harness_run_for(h, 6);
    assert_int_not_equal(vm->pid, 0);
    harness_set_acks(h, true);
    harness_close_connections(h); /* it is told again, and acknowledged */
    harness_wait_vm_end(h, vm, LIMIT_S);
    assert_int_equal(vm->wait_status, 0);
}

static bool pid_is_alive(const char *path)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    if (ebb_file_read(path, 100, &text, NULL) < 0 || text.len == 0)
        fail_msg("%s is missing", path);
    return kill((pid_t)atoi(ebb_buffer_text(&text)), 0) == 0;
}

static void no_process_of_a_job_outlives_it(void **state)
{
    struct harness *h = *state;
    struct bag b;
    bag_init(&b);
    EBB_AUTO_FREE char *pids = ebb_path_join(harness_directory(h), "pids");
    EBB_AUTO_FREE char *command = ebb_sprintf(
        "mkdir %s; (sleep 300 & echo $! > %s/child); "
        "setsid sh -c 'echo $$ > %s/daemon; exec sleep 300' & "
        "(setsid setsid sh -c 'echo $$ > %s/grandchild; exec sleep 300' &) ; cd %s; "
        "until [ -s child ] && [ -s daemon ] && [ -s grandchild ]; do sleep 0.05; done; cd -; "
        "echo 1 > result.txt; echo 1 > run.dump; echo finished",
        pids, pids, pids, pids, pids);
    b.group.command = command;
    harness_set_bag(h, &b.context);
    struct vm *vm = harness_start_vm(h, "vm-000001", NULL);
    harness_lease(vm, 0, 1, 1, false);
    assert_outcome(harness_wait_ended(h, 0, 1, LIMIT_S), EBB__ATTEMPT_ENDED__OUTCOME__DONE);
    static const char *const names[] = {"child", "daemon", "grandchild"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(names); i++) {
        EBB_AUTO_FREE char *path = ebb_path_join(pids, names[i]);
        if (pid_is_alive(path))
            fail_msg("the %s is still alive", names[i]);
    }
}

static bool is_setting_up(void *ctx)
{
    return strcmp(((const struct vm *)ctx)->last_phase, "setup") == 0;
}

static void a_cancel_takes_hold_in_every_phase(void **state)
{
    struct harness *h = *state;
    struct bag b;
    bag_init(&b);
    harness_set_bag(h, &b.context);
    struct vm *vm = harness_start_vm(h, "vm-000001", NULL);
    harness_lease(vm, 0, 1, 1, false);
    harness_cancel(vm, 0, 1, false); /* staging */
    assert_outcome(harness_wait_ended(h, 0, 1, LIMIT_S), EBB__ATTEMPT_ENDED__OUTCOME__CANCELLED);
    b.group.setup = (char *)"sleep 300";
    harness_lease(vm, 0, 2, 1, false);
    harness_wait(h, is_setting_up, vm, LIMIT_S, "the set-up");
    harness_cancel(vm, 0, 2, false);
    assert_outcome(harness_wait_ended(h, 0, 2, LIMIT_S), EBB__ATTEMPT_ENDED__OUTCOME__CANCELLED);
    b.group.setup = (char *)"";
    harness_lease(vm, 0, 3, 0.5, false);
    harness_wait_commits(h, 0, 3, 1, LIMIT_S);
    harness_cancel(vm, 0, 3, false);
    assert_outcome(harness_wait_ended(h, 0, 3, LIMIT_S), EBB__ATTEMPT_ENDED__OUTCOME__CANCELLED);
    harness_lease(vm, 0, 4, 1, true); /* restoring */
    harness_cancel(vm, 0, 4, false);
    assert_outcome(harness_wait_ended(h, 0, 4, LIMIT_S), EBB__ATTEMPT_ENDED__OUTCOME__CANCELLED);
    harness_lease(vm, 0, 5, 1, true);
    assert_outcome(harness_wait_ended(h, 0, 5, LIMIT_S), EBB__ATTEMPT_ENDED__OUTCOME__DONE);
    assert_dump(h, 60);
}

static void a_job_that_is_done_is_not_run_again(void **state)
{
    struct harness *h = *state;
    struct bag b;
    bag_init(&b);
    b.group.command = (char *)TICKER " 4 0.02 5";
    harness_set_bag(h, &b.context);
    struct vm *vm = harness_start_vm(h, "vm-000001", NULL);
    harness_lease(vm, 0, 1, 1, false);
    assert_outcome(harness_wait_ended(h, 0, 1, LIMIT_S), EBB__ATTEMPT_ENDED__OUTCOME__DONE);
    harness_lease(vm, 0, 2, 1, false);
    const Ebb__AttemptEnded *e = harness_wait_ended(h, 0, 2, LIMIT_S);
    assert_outcome(e, EBB__ATTEMPT_ENDED__OUTCOME__DONE);
    assert_int_equal(e->n_outputs, 2);
    assert_null(harness_started(h, 0, 2));
}

static void a_full_disk_is_the_vms_fault_not_the_jobs(void **state)
{
    struct harness *h = *state;
    struct bag b;
    if (geteuid() != 0) {
        print_message("SKIPPED: a small file system needs root\n");
        skip();
    }
    bag_init(&b);
    b.group.command = (char *)"dd if=/dev/zero of=run.dump bs=1M count=64";
    harness_set_bag(h, &b.context);
    EBB_AUTO_FREE char *directory = ebb_path_join(harness_directory(h), "vm-000001");
    if (mkdir(directory, 0700) < 0 || mount("tmpfs", directory, "tmpfs", 0, "size=16m") < 0) {
        print_message("SKIPPED: cannot mount a small file system: %s\n", strerror(errno));
        skip();
    }
    struct vm *vm = harness_start_vm(h, "vm-000001", NULL);
    harness_lease(vm, 0, 1, 1, false);
    const Ebb__AttemptEnded *e = harness_wait_ended(h, 0, 1, LIMIT_S);
    harness_signal_vm(vm, SIGKILL);
    umount2(directory, MNT_DETACH);
    assert_outcome(e, EBB__ATTEMPT_ENDED__OUTCOME__REFUSED);
    assert_non_null(strstr(e->reason, "disk is full"));
}

static void an_engine_that_saves_only_when_stopped_is_stopped_and_started_again(void **state)
{
    struct harness *h = *state;
    struct bag b;
    bag_init(&b);
    b.group.command = (char *)TICKER " 60 0.05 1000"; /* no state of its own accord */
    b.state.trigger = (char *)"signal";
    harness_set_bag(h, &b.context);
    struct vm *first = harness_start_vm(h, "vm-000001", NULL);
    harness_lease(first, 0, 1, 0.7, false);
    harness_wait_commits(h, 0, 1, 2, LIMIT_S);
    harness_signal_vm(first, SIGKILL);
    struct vm *second = harness_start_vm(h, "vm-000002", NULL);
    harness_lease(second, 0, 2, 0.3, true);
    const Ebb__AttemptEnded *e = harness_wait_ended(h, 0, 2, LIMIT_S);
    assert_outcome(e, EBB__ATTEMPT_ENDED__OUTCOME__DONE);
    assert_true(harness_commits(h, 0, 2) >= 1);
    assert_true(e->times->checkpoint_s > 0);
    assert_dump(h, 60);
}

static void a_checkpoint_without_a_valid_state_file_is_an_error(void **state)
{
    struct harness *h = *state;
    struct bag b;
    bag_init(&b);
    harness_set_bag(h, &b.context);
    struct vm *vm = harness_start_vm(h, "vm-000001", NULL);
    harness_lease(vm, 0, 1, 0.5, false);
    harness_wait_commits(h, 0, 1, 1, LIMIT_S);
    harness_cancel(vm, 0, 1, false);
    harness_wait_ended(h, 0, 1, LIMIT_S);
    b.state.tail = (char *)"00112233";
    harness_lease(vm, 0, 2, 0.5, true);
    const Ebb__AttemptEnded *e = harness_wait_ended(h, 0, 2, LIMIT_S);
    assert_outcome(e, EBB__ATTEMPT_ENDED__OUTCOME__FAILED);
    assert_non_null(strstr(e->reason, "holds no valid state file"));
}

static void an_input_that_is_not_its_hash_is_refused(void **state)
{
    struct harness *h = *state;
    struct bag b;
    bag_init(&b);
    b.input.path = (char *)"values.txt";
    b.inputs[0] = &b.input;
    b.group.inputs = b.inputs;
    b.group.n_inputs = 1;
    harness_set_bag(h, &b.context);
    harness_put_input(h, &b.input, "what was meant");
    b.input.sha256.data[0] ^= 1;
    harness_put_input_as(h, &b.input, "what is there!");
    struct vm *vm = harness_start_vm(h, "vm-000001", NULL);
    harness_lease(vm, 0, 1, 1, false);
    const Ebb__AttemptEnded *e = harness_wait_ended(h, 0, 1, LIMIT_S);
    assert_outcome(e, EBB__ATTEMPT_ENDED__OUTCOME__FAILED);
    assert_non_null(strstr(e->reason, "input values.txt"));
    assert_non_null(strstr(e->reason, "hash"));
}

static void outputs_of_other_groups_are_staged_and_staged_again(void **state)
{
    struct harness *h = *state;
    struct bag b;
    bag_init(&b);
    Ebb__JobGroup reader = EBB__JOB_GROUP__INIT;
    Ebb__Input from = EBB__INPUT__INIT, more = EBB__INPUT__INIT;
    Ebb__Input *inputs[] = {&from, &more}; /* two of one group */
    Ebb__JobGroup *groups[] = {&b.group, &reader};
    char *files[] = {(char *)"result.txt"}, *more_files[] = {(char *)"res*"};
    b.group.command = (char *)TICKER " 6 0.02 5";
    from.from_group = (char *)"tick";
    from.files = files;
    from.n_files = 1;
    more.from_group = (char *)"tick";
    more.files = more_files;
    more.n_files = 1;
    reader.name = (char *)"read";
    reader.engine = (char *)"ticker";
    reader.first_job = 1;
    reader.job_count = 1;
    reader.inputs = inputs;
    reader.n_inputs = 2;
    reader.command = (char *)TICKER " 60 0.05 5";
    reader.setup = (char *)"test ! -e tick/tick/run.dump && cp tick/tick/result.txt seen.txt";
    b.context.groups = groups;
    b.context.n_groups = 2;
    harness_set_bag(h, &b.context);
    struct vm *vm = harness_start_vm(h, "vm-000001", NULL);
    harness_lease(vm, 1, 1, 0.5, false); /* too early: not the job's fault */
    assert_outcome(harness_wait_ended(h, 1, 1, LIMIT_S), EBB__ATTEMPT_ENDED__OUTCOME__REFUSED);
    harness_lease(vm, 0, 1, 0.5, false);
    assert_outcome(harness_wait_ended(h, 0, 1, LIMIT_S), EBB__ATTEMPT_ENDED__OUTCOME__DONE);
    harness_lease(vm, 1, 2, 0.5, false);
    harness_wait_commits(h, 1, 2, 1, LIMIT_S);
    harness_cancel(vm, 1, 2, true);
    assert_outcome(harness_wait_ended(h, 1, 2, LIMIT_S), EBB__ATTEMPT_ENDED__OUTCOME__RELEASED);
    harness_lease(vm, 1, 3, 0.5, true);
    assert_outcome(harness_wait_ended(h, 1, 3, LIMIT_S), EBB__ATTEMPT_ENDED__OUTCOME__DONE);
    size_t len;
    EBB_AUTO_FREE char *result = harness_output(h, "tick", "result.txt", &len);
    EBB_AUTO_FREE char *seen = harness_output(h, "read", "seen.txt", &len);
    assert_string_equal(seen, result);
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

#define flow_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        flow_test(a_job_runs_to_its_end_and_its_outputs_are_committed),
        flow_test(a_job_goes_on_elsewhere_when_its_vm_dies),
        flow_test(a_kill_at_any_step_of_a_commit_loses_nothing_committed),
        flow_test(a_drained_vm_checkpoints_what_is_new_and_ends),
        flow_test(a_poisoned_job_fails_with_the_end_of_its_log),
        flow_test(exit_zero_is_not_done),
        flow_test(a_resume_without_a_checkpoint_is_an_error_not_a_start),
        flow_test(a_notice_leads_to_a_last_checkpoint_and_the_end_of_the_vm),
        flow_test(a_notice_shorter_than_the_engine_needs_relies_on_the_last_commit),
        flow_test(a_zombie_vm_is_fenced_and_its_work_killed),
        flow_test(a_dead_scheduler_does_not_stop_the_work),
        flow_test(a_vm_that_hears_nobody_ends),
        flow_test(an_end_is_told_until_it_is_acknowledged),
        flow_test(a_report_is_told_again_until_a_heartbeat_after_it_is_acknowledged),
        flow_test(a_rank_that_has_ended_waits_for_rank_0_longer_than_others_for_the_scheduler),
        flow_test(no_process_of_a_job_outlives_it),
        flow_test(a_cancel_takes_hold_in_every_phase),
        flow_test(a_job_that_is_done_is_not_run_again),
        flow_test(a_full_disk_is_the_vms_fault_not_the_jobs),
        flow_test(an_engine_that_saves_only_when_stopped_is_stopped_and_started_again),
        flow_test(a_checkpoint_without_a_valid_state_file_is_an_error),
        flow_test(an_input_that_is_not_its_hash_is_refused),
        flow_test(outputs_of_other_groups_are_staged_and_staged_again),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
