/* How an attempt ends: what an ended engine means, which outcome an error has, the last logs, and
 * the report. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "agent/attempt_state.h"
#include "agent/outcome.h"
#include "agent/tail.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#define LAST_LOGS_NS         (10 * EBB_NS_PER_S)
#define LOG_TAIL_LINES       4
#define LOG_TAIL_BYTES       400
#define DISK_FULL_FREE_BYTES (1u << 20)

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

static void report(struct ebb_attempt *a)
{
    Ebb__AttemptEnded m = EBB__ATTEMPT_ENDED__INIT;
    Ebb__AttemptTimes times = EBB__ATTEMPT_TIMES__INIT;
    bool done = a->outcome == EBB__ATTEMPT_ENDED__OUTCOME__DONE;
    double lost_s = done ? 0 : seconds(a->run_ns) - a->committed_run_s;
    times.staging_s = seconds(a->staging_ns);
    times.restore_s = seconds(a->restore_ns);
    times.setup_s = seconds(a->setup_ns);
    times.run_s = seconds(a->run_ns);
    times.checkpoint_s = seconds(a->checkpoint_ns);
    times.commit_s = seconds(a->finish_ns);
    times.lost_s = lost_s > 0 ? lost_s : 0;
    m.bag = a->task->spec.id;
    m.job = a->task->job;
    m.attempt = a->task->attempt;
    m.outcome = a->outcome;
    m.reason = (char *)ebb_buffer_text(&a->verdict);
    m.exit_status = a->started_reported || a->setup_ns > 0 ? a->wait_status : -1;
    m.times = &times;
    m.final_sequence = a->final_sequence;
    m.outputs = a->outputs;
    m.n_outputs = a->output_count;
    m.last_step = a->progress != NULL ? ebb_progress_step(a->progress) : -1;
    a->phase = EBB_PHASE_ENDED;
    a->host.ended(a->host.ctx, a, &m);
}

static void try_report(struct ebb_attempt *a)
{
    if (a->phase == EBB_PHASE_ENDING && a->logs_are_out && !a->lineage_busy &&
        (a->gang == NULL || ebb_gang_is_over(a)))
        report(a);
}

static void on_logs_out(void *ctx)
{
    struct ebb_attempt *a = ctx;
    a->logs_are_out = true;
    try_report(a);
}

void ebb_attempt_on_lineage_idle(struct ebb_attempt *a)
{
    if (a->phase == EBB_PHASE_STOPPED)
        ebb_attempt_judge(a);
    else
        try_report(a);
}

static const char *outcome_name(Ebb__AttemptEnded__Outcome outcome)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(
        &ebb__attempt_ended__outcome__descriptor, (int)outcome);
    return v != NULL ? v->name : "?";
}

void ebb_attempt_end(struct ebb_attempt *a, Ebb__AttemptEnded__Outcome outcome, const char *reason)
{
    if (a->phase >= EBB_PHASE_ENDING)
        return;
    int64_t now_ns = ebb_now_ns(NULL);
    EBB_AUTO_FREE char *text = ebb_strdup(reason);
    a->phase = EBB_PHASE_ENDING;
    a->outcome = outcome;
    ebb_buffer_reset(&a->verdict);
    ebb_buffer_append_text(&a->verdict, text);
    ebb_log_info("%s attempt %u: %s %s", a->task->job_name, a->task->attempt, outcome_name(outcome),
                 text);
    ebb_task_note(a->task, "attempt %u ended: %s %s", a->task->attempt, outcome_name(outcome),
                  text);
    a->end_by_ns = now_ns + LAST_LOGS_NS;
    if (a->deadline_ns > 0 && a->deadline_ns < a->end_by_ns)
        a->end_by_ns = a->deadline_ns;
    atomic_store(&a->task->cancel, 0);
    if (a->gang != NULL)
        ebb_gang_on_end(a, text);
    if (a->logs != NULL)
        ebb_log_stream_finish(a->logs, a->end_by_ns, on_logs_out, a);
    else
        on_logs_out(a);
}

Ebb__AttemptEnded__Outcome ebb_attempt_outcome_of(int code)
{
    switch (code) {
    case EBB_ERR_FENCED:
        return EBB__ATTEMPT_ENDED__OUTCOME__FENCED;
    case EBB_ERR_INPUT:
    case EBB_ERR_NOT_FOUND:
    case EBB_ERR_CORRUPT:
    case EBB_ERR_UNSUPPORTED:
    case EBB_ERR_EXISTS:
        return EBB__ATTEMPT_ENDED__OUTCOME__FAILED; /* it would be so on any VM */
    default:
        return EBB__ATTEMPT_ENDED__OUTCOME__REFUSED;
    }
}

void ebb_attempt_end_by_error(struct ebb_attempt *a, const struct ebb_error *err)
{
    if (ebb_task_is_member(a->task) && a->phase < EBB_PHASE_ENDING)
        ebb_gang_member_failed(a, err);
    else
        ebb_attempt_end(a, ebb_attempt_outcome_of(err->code), err->text);
}

void ebb_attempt_end_by_request(struct ebb_attempt *a)
{
    static const Ebb__AttemptEnded__Outcome outcomes[] = {
        [EBB_REQUEST_RELEASE] = EBB__ATTEMPT_ENDED__OUTCOME__RELEASED,
        [EBB_REQUEST_CANCEL] = EBB__ATTEMPT_ENDED__OUTCOME__CANCELLED,
        [EBB_REQUEST_FENCE] = EBB__ATTEMPT_ENDED__OUTCOME__FENCED,
    };
    ebb_attempt_end(a, outcomes[a->request], a->reason);
}

static void read_log_tail(const struct ebb_attempt *a, struct ebb_buffer *out)
{
    ebb_tail_read(a->task->log_path, EBB_TAIL_BYTES, out, NULL);
    for (size_t i = 0; i < out->len; i++)
        if (out->data[i] == '\0')
            out->data[i] = '\n';
}

static bool disk_is_full(const struct ebb_attempt *a, const char *log_tail)
{
    return ebb_log_says_disk_full(log_tail) ||
           ebb_disk_free_bytes(a->task->directory) < DISK_FULL_FREE_BYTES;
}

static void set_verdict(struct ebb_attempt *a, Ebb__AttemptEnded__Outcome outcome, const char *what,
                        const char *why, const char *message, const char *log_tail)
{
    a->has_verdict = true;
    a->outcome = outcome;
    ebb_buffer_reset(&a->verdict);
    ebb_buffer_printf(&a->verdict, "%s%s", what, why);
    if (message != NULL && message[0] != '\0')
        ebb_buffer_printf(&a->verdict, ": %s", message);
    if (log_tail[0] != '\0') {
        ebb_buffer_append_text(&a->verdict, "; the log ends with: ");
        ebb_log_last_lines(log_tail, LOG_TAIL_LINES, LOG_TAIL_BYTES, &a->verdict);
    }
}

void ebb_attempt_describe_setup(struct ebb_attempt *a)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer why = {0}, tail = {0};
    read_log_tail(a, &tail);
    ebb_exit_describe(a->wait_status, &why);
    bool full = disk_is_full(a, ebb_buffer_text(&tail));
    set_verdict(a,
                full ? EBB__ATTEMPT_ENDED__OUTCOME__REFUSED : EBB__ATTEMPT_ENDED__OUTCOME__FAILED,
                full ? "the VM's disk is full; setup: " : "setup: ", ebb_buffer_text(&why), NULL,
                ebb_buffer_text(&tail));
}

void ebb_attempt_end_by_setup(struct ebb_attempt *a)
{
    ebb_attempt_describe_setup(a);
    ebb_attempt_end(a, a->outcome, ebb_buffer_text(&a->verdict));
}

/* The engine ended by itself and the job is not done. */
static void judge_failure(struct ebb_attempt *a, const char *why, bool has_progressed)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer tail = {0};
    const char *message = NULL;
    read_log_tail(a, &tail);
    const char *text = ebb_buffer_text(&tail);
    enum ebb_exit_kind kind = ebb_exit_classify(a->task->profile, a->wait_status, text, &message);
    bool again = (kind == EBB_EXIT_RETRY || kind == EBB_EXIT_PREEMPTED) && has_progressed;
    if (disk_is_full(a, text))
        set_verdict(a, EBB__ATTEMPT_ENDED__OUTCOME__REFUSED, "the VM's disk is full; ", why,
                    message, text);
    else if (again)
        set_verdict(a, EBB__ATTEMPT_ENDED__OUTCOME__RELEASED,
                    "the engine stopped before its end: ", why, message, "");
    else
        set_verdict(a, EBB__ATTEMPT_ENDED__OUTCOME__FAILED, "", why, message, text);
}

/* Ranks above 0: what makes the job done is rank 0's to show. */
static void judge_member(struct ebb_attempt *a)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer why = {0};
    bool is_good = WIFEXITED(a->wait_status) && WEXITSTATUS(a->wait_status) == 0;
    if (a->has_verdict)
        return; /* told already */
    if (!a->was_asked_to_stop && !is_good) {
        ebb_exit_describe(a->wait_status, &why);
        judge_failure(a, ebb_buffer_text(&why), true);
    }
    ebb_gang_member_ended(a, !a->was_asked_to_stop && is_good);
}

void ebb_attempt_after_commit(struct ebb_attempt *a)
{
    ebb_attempt_lap(a, &a->checkpoint_ns);
    if (a->request != EBB_REQUEST_NONE)
        ebb_attempt_end_by_request(a);
    else if (a->has_verdict)
        ebb_attempt_end(a, a->outcome, ebb_buffer_text(&a->verdict));
    else if (a->committed.count > 0)
        ebb_attempt_start_engine(a, true);
    else
        ebb_attempt_end(a, EBB__ATTEMPT_ENDED__OUTCOME__FAILED,
                        "the engine was stopped for a checkpoint and left no valid state file");
}

/* False: it waits for the others, or has ended by one of them. */
static bool ask_gang(struct ebb_attempt *a, bool *done)
{
    switch (ebb_gang_judge(a, *done)) {
    case EBB_GANG_OWN:
        *done = *done && ebb_gang_is_done(a);
        return true;
    case EBB_GANG_FAILED:
        ebb_gang_end_by_member(a);
        return false;
    default:
        return false;
    }
}

void ebb_attempt_judge(struct ebb_attempt *a)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer why = {0};
    struct ebb_state_set state = {0};
    if (a->lineage_busy)
        return;
    /* Ranks that still run are what it waits for. */
    bool waits = a->gang != NULL && !a->was_asked_to_stop;
    ebb_attempt_lap(a, waits ? &a->run_ns : &a->checkpoint_ns);
    if (a->request > EBB_REQUEST_RELEASE) {
        ebb_attempt_end_by_request(a);
        return;
    }
    if (ebb_task_is_member(a->task)) {
        judge_member(a);
        return;
    }
    ebb_progress_poll(a->progress);
    struct ebb_end_facts facts = {.work = a->task->work,
                                  .log = a->task->log_path,
                                  .wait_status = a->wait_status,
                                  .step = ebb_progress_step(a->progress),
                                  .total_steps = ebb_progress_total(a->progress)};
    bool done = ebb_done_test(&facts, a->task->profile->done, a->task->group, &why);
    if (a->gang != NULL && !ask_gang(a, &done))
        return;
    if (done && ebb_gang_has_parts(a, true)) {
        a->phase = EBB_PHASE_FINISHING;
        ebb_gang_collect(a, NULL);
        return;
    }
    if (done) {
        ebb_attempt_commit_outputs(a);
        return;
    }
    bool is_new = ebb_attempt_new_state(a, false, &state);
    if (!a->was_asked_to_stop && (a->gang == NULL || a->request == EBB_REQUEST_NONE))
        judge_failure(a, ebb_buffer_text(&why), is_new || a->committed_run_s > 0);
    bool worth = is_new && (!a->has_verdict || a->outcome != EBB__ATTEMPT_ENDED__OUTCOME__FAILED);
    a->phase = EBB_PHASE_COMMITTING;
    if (worth) {
        ebb_attempt_commit_or_collect(a, &state);
    } else {
        ebb_state_set_clean_up(&state);
        ebb_attempt_after_commit(a);
    }
}
