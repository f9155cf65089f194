/* Checkpoints and outputs of an attempt: when, of what, and what follows.
 *
 *   engine writes its state by itself ("periodic"): when three quarters of the interval have passed
 *   since the last commit, the next new valid state file is committed while the engine runs
 *
 *   engine writes it only when stopped ("signal"): stop, commit, start again from it
 *
 * A commit that fails is tried again later; the one before stays in force. */
#include <stddef.h>
#include <string.h>

#include "agent/attempt_state.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#define DEFAULT_INTERVAL_S 300.0
#define CONFLICT_RETRY_NS  (1 * EBB_NS_PER_S)
#define FAILURE_RETRY_NS   (10 * EBB_NS_PER_S)
#define FINISH_RETRY_NS    (2 * EBB_NS_PER_S)

double ebb_attempt_interval_s(const struct ebb_attempt *a)
{
    return a->task->checkpoint_interval_s > 0 ? a->task->checkpoint_interval_s : DEFAULT_INTERVAL_S;
}

static bool can_tell_whole_file(const Ebb__ProfileState *spec)
{
    return spec->atomic || spec->tail[0] != '\0';
}

bool ebb_attempt_new_state(struct ebb_attempt *a, bool at_rest, struct ebb_state_set *ret)
{
    const Ebb__ProfileState *spec = a->task->profile->state;
    struct ebb_state_set set = {0};
    if (!a->task->profile->checkpoints || spec == NULL)
        return false;
    if (ebb_state_scan(a->task->work, spec, &set, NULL) < 0)
        return false;
    ebb_state_keep_newest(&set);
    bool is_new = set.count > 0 && !ebb_state_equal(&set, &a->committed);
    bool was_seen = ebb_state_equal(&set, &a->seen);
    if (is_new && (!at_rest || can_tell_whole_file(spec) || was_seen)) {
        *ret = set;
        return true;
    }
    ebb_state_set_clean_up(&a->seen);
    a->seen = set;
    return false;
}

/* Useful seconds of this attempt up to the moment the state was written. */
static double run_s_at(const struct ebb_attempt *a, const struct ebb_state_set *state)
{
    double age_s = (double)(ebb_wall_ns(NULL) - ebb_state_mtime_ns(state)) / 1e9;
    double run_s = ebb_attempt_run_s(a);
    if (a->phase != EBB_PHASE_RUNNING) /* time stood still for it since the stop */
        return run_s;
    if (age_s < 0)
        age_s = 0;
    return age_s < run_s ? run_s - age_s : 0;
}

static void work(void *ctx)
{
    ebb_commit_work_run(ctx);
}

static void on_work_done(void *ctx);

static void submit(struct ebb_attempt *a)
{
    struct ebb_commit_work *w = &a->commit;
    w->task = a->task;
    w->lineage = a->prepare.lineage;
    w->engine_version = a->prepare.engine_version;
    w->total_steps = ebb_progress_total(a->progress);
    w->deadline_ns = a->deadline_ns;
    w->part_of_epoch = ebb_task_is_member(a->task) ? a->prepare.epoch : 0;
    if (a->gang != NULL)
        w->parts = ebb_gang_parts(a, w->final, &w->part_count);
    w->code = 0;
    ebb_error_clear(&w->err);
    w->stats = (struct ebb_commit_stats){0};
    a->commit_begin_ns = w->part_count > 0 ? ebb_gang_collecting_ns(a) : ebb_now_ns(NULL);
    a->lineage_busy = true;
    ebb_workers_submit(a->host.workers, work, on_work_done, w);
}

void ebb_attempt_commit_state(struct ebb_attempt *a, struct ebb_state_set *state)
{
    struct ebb_commit_work *w = &a->commit;
    ebb_state_set_clean_up(&w->state);
    w->state = *state;
    *state = (struct ebb_state_set){0};
    w->final = false;
    w->step = ebb_state_step(&w->state);
    if (w->step < 0)
        w->step = ebb_progress_step(a->progress);
    a->commit_run_s = run_s_at(a, &w->state);
    w->run_s = a->prepare.earlier_run_s + a->commit_run_s;
    submit(a);
}

void ebb_attempt_make_part(struct ebb_attempt *a, struct ebb_state_set *state)
{
    struct ebb_commit_work *w = &a->commit;
    ebb_state_set_clean_up(&w->state);
    w->final = state == NULL;
    if (state != NULL)
        w->state = *state;
    w->step = state != NULL ? ebb_state_step(state) : -1;
    w->run_s = 0;
    submit(a);
}

void ebb_attempt_commit_outputs(struct ebb_attempt *a)
{
    struct ebb_commit_work *w = &a->commit;
    if (a->lineage_busy)
        return;
    ebb_state_set_clean_up(&w->state);
    a->phase = EBB_PHASE_FINISHING;
    w->final = true;
    w->step = ebb_progress_step(a->progress);
    a->commit_run_s = ebb_attempt_run_s(a);
    w->run_s = a->prepare.earlier_run_s + a->commit_run_s;
    submit(a);
}

static void report_committed(struct ebb_attempt *a)
{
    const struct ebb_commit_work *w = &a->commit;
    Ebb__CheckpointCommitted m = EBB__CHECKPOINT_COMMITTED__INIT;
    const Ebb__Head *head = ebb_lineage_head(a->prepare.lineage);
    m.bag = a->task->spec.id;
    m.job = a->task->job;
    m.attempt = a->task->attempt;
    m.epoch = head != NULL ? head->epoch : 0;
    m.checkpoint_sequence = w->stats.sequence;
    m.step = w->step;
    m.total_steps = w->total_steps;
    m.run_s = w->run_s;
    m.write_s = a->last_write_s;
    bool stands_still = a->phase == EBB_PHASE_COMMITTING && a->was_asked_to_stop;
    m.stopped_s = stands_still ? (double)(ebb_now_ns(NULL) - a->stopped_since_ns) / 1e9 : 0;
    m.raw_bytes = w->stats.raw_bytes;
    m.sent_bytes = w->stats.sent_bytes;
    (void)ebb_pace_tell(&a->pace, ebb_attempt_run_s(a), &m.paced_steps, &m.paced_s);
    if (w->part_count > 0)
        ebb_gang_add_bytes(a, &m.raw_bytes, &m.sent_bytes);
    if (a->host.committed != NULL)
        a->host.committed(a->host.ctx, a, &m);
}

static void prune(const struct ebb_attempt *a)
{
    const Ebb__ProfileState *spec = a->task->profile->state;
    struct ebb_error err = {0};
    if (spec != NULL && ebb_state_prune(a->task->work, spec, spec->keep, &err) < 0)
        ebb_log_warn("%s: old state files: %s", a->task->job_name, err.text);
}

static void on_checkpoint_done(struct ebb_attempt *a)
{
    struct ebb_commit_work *w = &a->commit;
    int64_t now_ns = ebb_now_ns(NULL);
    double wait_s = 0.75 * ebb_attempt_interval_s(a);
    if (w->code == 0) {
        a->last_write_s = (double)(now_ns - a->commit_begin_ns) / 1e9;
        a->owned_ns = a->commit_begin_ns;
        a->committed_run_s = a->commit_run_s;
        a->next_commit_ns = a->commit_begin_ns + (int64_t)(wait_s * 1e9);
        ebb_state_set_clean_up(&a->committed);
        a->committed = w->state;
        w->state = (struct ebb_state_set){0};
        report_committed(a);
        prune(a);
        return;
    }
    ebb_log_warn("%s: checkpoint: %s", a->task->job_name, w->err.text);
    a->next_commit_ns =
        now_ns + (w->code == EBB_ERR_CONFLICT ? CONFLICT_RETRY_NS : FAILURE_RETRY_NS);
}

static bool may_try_again(const struct ebb_attempt *a, int code)
{
    bool undecided = ebb_code_is_transient(code) || code == EBB_ERR_TIMEOUT ||
                     code == EBB_ERR_CONFLICT || code == EBB_ERR_DENIED;
    bool in_time = a->deadline_ns == 0 || ebb_now_ns(NULL) < a->deadline_ns;
    return undecided && in_time && a->request <= EBB_REQUEST_RELEASE;
}

static void on_outputs_done(struct ebb_attempt *a)
{
    struct ebb_commit_work *w = &a->commit;
    if (w->code == 0) {
        a->outputs = EBB_TAKE(w->outputs);
        a->output_count = w->output_count;
        w->output_count = 0;
        a->final_sequence = w->stats.sequence;
        a->committed_run_s = a->commit_run_s;
        ebb_attempt_lap(a, &a->finish_ns);
        ebb_attempt_end(a, EBB__ATTEMPT_ENDED__OUTCOME__DONE, "");
        return;
    }
    ebb_log_warn("%s: outputs: %s", a->task->job_name, w->err.text);
    if (may_try_again(a, w->code)) {
        ebb_timer_set(a->timer, FINISH_RETRY_NS);
        return;
    }
    ebb_attempt_lap(a, &a->finish_ns);
    if (a->request != EBB_REQUEST_NONE)
        ebb_attempt_end_by_request(a);
    else
        ebb_attempt_end_by_error(a, &w->err);
}

static void on_work_done(void *ctx)
{
    struct ebb_commit_work *w = ctx;
    struct ebb_attempt *a =
        (struct ebb_attempt *)((char *)w - offsetof(struct ebb_attempt, commit));
    a->lineage_busy = false;
    if (w->code == EBB_ERR_FENCED || (w->code == EBB_ERR_EXISTS && !w->final))
        ebb_attempt_fenced(a);
    if (ebb_task_is_member(a->task)) {
        ebb_gang_part_made(a, w);
        ebb_attempt_on_lineage_idle(a);
        return;
    }
    if (a->phase == EBB_PHASE_ENDING) {
        ebb_attempt_on_lineage_idle(a);
        return;
    }
    if (w->final) {
        on_outputs_done(a);
        return;
    }
    on_checkpoint_done(a);
    if (a->phase == EBB_PHASE_COMMITTING)
        ebb_attempt_after_commit(a);
    else
        ebb_attempt_on_lineage_idle(a);
}

void ebb_attempt_poll_checkpoint(struct ebb_attempt *a, int64_t now_ns)
{
    const Ebb__ProfileState *spec = a->task->profile->state;
    struct ebb_state_set state = {0};
    if (!a->task->profile->checkpoints || spec == NULL || now_ns < a->next_commit_ns ||
        ebb_task_is_member(a->task)) /* rank 0 says when */
        return;
    if (strcmp(spec->trigger, "signal") == 0)
        ebb_attempt_stop_engine(a);
    else if (!a->lineage_busy && !ebb_gang_is_collecting(a) &&
             ebb_attempt_new_state(a, true, &state))
        ebb_attempt_commit_or_collect(a, &state);
}

void ebb_attempt_commit_or_collect(struct ebb_attempt *a, struct ebb_state_set *state)
{
    if (ebb_gang_has_parts(a, false))
        ebb_gang_collect(a, state);
    else
        ebb_attempt_commit_state(a, state);
}
