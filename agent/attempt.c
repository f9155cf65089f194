/* The life of one attempt: prepared by a worker, set up, run, stopped, judged, ended. Each event
 * (worker done, process gone, timer, request) moves it on; there is no waiting here. */
#include "agent/attempt.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "agent/append.h"
#include "agent/attempt_state.h"
#include "agent/engine.h"
#include "agent/processes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#define SESSION_POLL_NS  (50 * EBB_NS_PER_MS)
#define COMMIT_RESERVE_S 3.0

void ebb_attempt_lap(struct ebb_attempt *a, int64_t *bucket_ns)
{
    int64_t now_ns = ebb_now_ns(NULL);
    *bucket_ns += now_ns - a->mark_ns;
    a->mark_ns = now_ns;
}

double ebb_attempt_run_s(const struct ebb_attempt *a)
{
    int64_t ns = a->run_ns;
    if (a->phase == EBB_PHASE_RUNNING && !a->paused)
        ns += ebb_now_ns(NULL) - a->mark_ns;
    return (double)ns / 1e9;
}

static void on_swept(void *ctx)
{
    struct ebb_attempt *a = ctx;
    if (a->phase == EBB_PHASE_SETUP) {
        ebb_attempt_lap(a, &a->setup_ns);
        if (a->gang != NULL && ebb_gang_on_setup_end(a))
            return;
        if (a->request != EBB_REQUEST_NONE)
            ebb_attempt_end_by_request(a);
        else if (WIFEXITED(a->wait_status) && WEXITSTATUS(a->wait_status) == 0)
            ebb_attempt_start_engine(a, false);
        else
            ebb_attempt_end_by_setup(a);
        return;
    }
    a->phase = EBB_PHASE_STOPPED;
    ebb_attempt_judge(a);
}

static void sweep(void *ctx)
{
    struct ebb_attempt *a = ctx;
    int killed = ebb_processes_sweep(a->swept_session, a->task->marker);
    if (killed > 0)
        ebb_log_info("%s: killed %d processes that outlived their parent", a->task->job_name,
                     killed);
}

static void submit_sweep(struct ebb_attempt *a)
{
    ebb_timer_unset(a->timer);
    a->swept_session = a->pid;
    a->pid = 0;
    if (a->phase == EBB_PHASE_RUNNING) {
        ebb_attempt_lap(a, &a->run_ns);
        a->phase = EBB_PHASE_STOPPING;
    }
    ebb_workers_submit(a->host.workers, sweep, on_swept, a);
}

static void on_leader_exit(void *ctx, pid_t pid, int status)
{
    struct ebb_attempt *a = ctx;
    (void)pid;
    a->wait_status = status;
    a->leader_is_gone = true;
    bool leader_went_first = a->phase == EBB_PHASE_STOPPING && a->was_asked_to_stop &&
                             ebb_now_ns(NULL) < a->stop_by_ns && ebb_session_is_alive(a->pid);
    if (leader_went_first)
        ebb_timer_set(a->timer, SESSION_POLL_NS);
    else
        submit_sweep(a);
}

static void on_timer(void *ctx)
{
    struct ebb_attempt *a = ctx;
    if (a->phase == EBB_PHASE_FINISHING) {
        ebb_attempt_commit_outputs(a);
        return;
    }
    if (a->phase != EBB_PHASE_STOPPING || a->pid == 0)
        return;
    if (ebb_now_ns(NULL) < a->stop_by_ns && ebb_session_is_alive(a->pid)) {
        ebb_timer_set(a->timer, SESSION_POLL_NS);
        return;
    }
    if (ebb_session_is_alive(a->pid))
        ebb_attempt_kill_engine(a);
    if (a->leader_is_gone)
        submit_sweep(a);
}

static int start_process(struct ebb_attempt *a, const char *command)
{
    struct ebb_error err = {0};
    a->leader_is_gone = false;
    a->was_asked_to_stop = false;
    a->paused = false;
    int r = ebb_engine_start(a->task, command, &a->pid, &err);
    if (r < 0) {
        a->pid = 0;
        ebb_attempt_end_by_error(a, &err);
        return r;
    }
    ebb_reaper_watch(a->host.reaper, a->pid, on_leader_exit, a);
    return 0;
}

static void report_started(struct ebb_attempt *a)
{
    const struct ebb_prepare *p = &a->prepare;
    Ebb__AttemptStarted m = EBB__ATTEMPT_STARTED__INIT;
    const Ebb__Head *head = ebb_lineage_head(p->lineage);
    m.bag = a->task->spec.id;
    m.job = a->task->job;
    m.attempt = a->task->attempt;
    m.epoch = head != NULL ? head->epoch : 0;
    m.resumed_step = p->resumed ? p->resumed_step : -1;
    m.resumed_sequence = p->resumed_sequence;
    m.staging_s = (double)a->staging_ns / 1e9;
    m.restore_s = (double)a->restore_ns / 1e9;
    m.setup_s = (double)a->setup_ns / 1e9;
    m.note = (char *)p->note;
    a->started_reported = true;
    if (a->host.started != NULL)
        a->host.started(a->host.ctx, a, &m);
}

/* Starting again where the engine has just been stopped: what it wrote past its state is cut as at
 * a restore. */
static int prepare_restart(struct ebb_attempt *a, struct ebb_error *err)
{
    const Ebb__Profile *p = a->task->profile;
    return ebb_append_cut_all(a->task->work, p->append, p->n_append, ebb_state_step(&a->committed),
                              err);
}

void ebb_attempt_start_engine(struct ebb_attempt *a, bool resume)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer command = {0};
    struct ebb_error err = {0};
    const char *state = a->committed.count > 0 ? a->committed.files[0].path : "";
    int r = 0;
    if (a->gang != NULL && ebb_gang_holds_start(a, resume))
        return;
    if (resume && a->started_reported)
        r = prepare_restart(a, &err);
    if (r == 0)
        r = ebb_engine_command(a->task, resume ? state : NULL, &command, &err);
    if (r < 0) {
        ebb_attempt_end_by_error(a, &err);
        return;
    }
    ebb_task_note(a->task, "%s", ebb_buffer_text(&command));
    a->mark_ns = ebb_now_ns(NULL);
    a->has_verdict = false;
    if (start_process(a, ebb_buffer_text(&command)) < 0)
        return;
    a->phase = EBB_PHASE_RUNNING;
    a->next_commit_ns = a->mark_ns + (int64_t)(0.75 * ebb_attempt_interval_s(a) * 1e9);
    ebb_progress_find_total(a->progress, ebb_buffer_text(&command));
    if (!a->started_reported && !ebb_task_is_member(a->task))
        report_started(a);
    if (a->gang != NULL)
        ebb_gang_poll(a);
}

static void start_setup_or_engine(struct ebb_attempt *a)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer command = {0};
    struct ebb_error err = {0};
    if (a->prepare.resumed || a->task->group->setup[0] == '\0') {
        ebb_attempt_start_engine(a, a->prepare.resumed);
        return;
    }
    if (ebb_engine_setup_command(a->task, &command, &err) < 0) {
        ebb_attempt_end_by_error(a, &err);
        return;
    }
    ebb_task_note(a->task, "setup");
    if (start_process(a, ebb_buffer_text(&command)) == 0)
        a->phase = EBB_PHASE_SETUP;
}

static int open_streams(struct ebb_attempt *a, struct ebb_error *err)
{
    const struct ebb_task *t = a->task;
    EBB_AUTO_FREE char *prefix =
        ebb_task_is_member(t)
            ? ebb_sprintf("%s/logs/rank-%u/%u", t->store_root, t->rank, t->attempt)
            : ebb_sprintf("%s/logs/%u", t->store_root, t->attempt);
    ebb_progress_destroy(a->progress);
    a->progress = NULL;
    if (a->prepare.store != NULL && a->logs == NULL)
        a->logs = ebb_log_stream_new(a->host.log_workers, a->prepare.store, prefix, t->log_path);
    return ebb_progress_new(t->profile->progress, t->work, t->log_path, &a->progress, err);
}

static void note_begin(const struct ebb_attempt *a)
{
    const struct ebb_prepare *p = &a->prepare;
    if (p->resumed)
        ebb_task_note(a->task, "attempt %u on %s goes on at step %lld from checkpoint %llu%s%s",
                      a->task->attempt, a->task->vm, (long long)p->resumed_step,
                      (unsigned long long)p->resumed_sequence, p->note[0] != '\0' ? "; " : "",
                      p->note);
    else
        ebb_task_note(a->task, "attempt %u on %s starts", a->task->attempt, a->task->vm);
}

static void on_prepared(void *ctx)
{
    struct ebb_attempt *a = ctx;
    struct ebb_prepare *p = &a->prepare;
    struct ebb_error err = {0};
    a->lineage_busy = false;
    a->staging_ns = (int64_t)(p->staging_s * 1e9);
    a->restore_ns = (int64_t)(p->restore_s * 1e9);
    a->mark_ns = ebb_now_ns(NULL);
    a->owned_ns = p->claimed_ns;
    if (open_streams(a, &err) < 0) {
        ebb_attempt_end_by_error(a, &err);
    } else if (p->code == 0 && p->already_done) {
        a->outputs = EBB_TAKE(p->outputs);
        a->output_count = p->output_count;
        p->output_count = 0;
        a->final_sequence = p->resumed_sequence;
        ebb_attempt_end(a, EBB__ATTEMPT_ENDED__OUTCOME__DONE, "the outputs were committed before");
    } else if (a->request != EBB_REQUEST_NONE) {
        ebb_attempt_end_by_request(a);
    } else if (p->code < 0) {
        ebb_attempt_end_by_error(a, &p->err);
    } else {
        ebb_state_set_clean_up(&a->committed);
        a->committed = p->state;
        p->state = (struct ebb_state_set){0};
        note_begin(a);
        if (a->gang != NULL && !ebb_task_is_member(a->task))
            ebb_gang_lead(a);
        start_setup_or_engine(a);
    }
    if (a->gang != NULL)
        ebb_gang_poll(a);
}

static void prepare(void *ctx)
{
    ebb_prepare_run(ctx);
}

static void on_prepare_done(void *ctx)
{
    struct ebb_prepare *p = ctx;
    on_prepared((struct ebb_attempt *)((char *)p - offsetof(struct ebb_attempt, prepare)));
}

void ebb_attempt_prepare(struct ebb_attempt *a)
{
    a->phase = EBB_PHASE_PREPARING;
    a->mark_ns = ebb_now_ns(NULL);
    a->lineage_busy = true;
    ebb_workers_submit(a->host.workers, prepare, on_prepare_done, &a->prepare);
}

struct ebb_attempt *ebb_attempt_new(const struct ebb_attempt_host *host, struct ebb_task *task)
{
    struct ebb_attempt *a = ebb_alloc(sizeof *a);
    a->host = *host;
    a->task = task;
    a->timer = ebb_timer_new(host->loop, on_timer, a);
    a->prepare.task = task;
    a->mark_ns = ebb_now_ns(NULL);
    a->gang = ebb_gang_new(a);
    if (!ebb_task_is_member(task)) {
        ebb_attempt_prepare(a);
    } else {
        a->phase = EBB_PHASE_WAITING;
        ebb_gang_poll(a);
    }
    return a;
}

void ebb_attempt_destroy(struct ebb_attempt *a)
{
    if (a == NULL)
        return;
    ebb_timer_destroy(a->timer);
    ebb_gang_destroy(a->gang);
    ebb_log_stream_destroy(a->logs);
    ebb_progress_destroy(a->progress);
    ebb_prepare_clean_up(&a->prepare);
    ebb_state_set_clean_up(&a->committed);
    ebb_state_set_clean_up(&a->seen);
    ebb_commit_work_clean_up(&a->commit);
    ebb_commit_outputs_free(a->outputs, a->output_count);
    ebb_buffer_clean_up(&a->verdict);
    ebb_task_destroy(a->task);
    free(a);
}

const struct ebb_task *ebb_attempt_task(const struct ebb_attempt *a)
{
    return a->task;
}

bool ebb_attempt_has_ended(const struct ebb_attempt *a)
{
    return a->phase == EBB_PHASE_ENDED;
}

bool ebb_attempt_is_dying(const struct ebb_attempt *a)
{
    return a->request > EBB_REQUEST_RELEASE;
}

void ebb_attempt_gang(struct ebb_attempt *a, const Ebb__GangMessage *m)
{
    ebb_gang_take(a, m);
}

static const char *phase_name(const struct ebb_attempt *a)
{
    switch (a->phase) {
    case EBB_PHASE_PREPARING:
        return atomic_load(&a->prepare.restoring) ? "restoring" : "staging";
    case EBB_PHASE_SETUP:
        return "setup";
    case EBB_PHASE_WAITING:
        return "waiting";
    case EBB_PHASE_RUNNING:
        return "running";
    case EBB_PHASE_STOPPING:
    case EBB_PHASE_STOPPED:
    case EBB_PHASE_COMMITTING:
        return "checkpointing";
    default:
        return "committing";
    }
}

void ebb_attempt_state(const struct ebb_attempt *a, Ebb__AttemptState *ret)
{
    ebb__attempt_state__init(ret);
    ret->bag = a->task->spec.id;
    ret->job = a->task->job;
    ret->attempt = a->task->attempt;
    ret->phase = (char *)phase_name(a);
    ret->step = a->progress != NULL ? ebb_progress_step(a->progress) : -1;
    ret->total_steps = a->progress != NULL ? ebb_progress_total(a->progress) : -1;
    ret->run_s = ebb_attempt_run_s(a);
    (void)ebb_pace_tell(&a->pace, ret->run_s, &ret->paced_steps, &ret->paced_s);
}

void ebb_attempt_requests(const struct ebb_attempt *a, struct ebb_object_store_counts *ret)
{
    *ret = (struct ebb_object_store_counts){0};
    /* While the worker prepares, the handle is its own. */
    if (a->phase != EBB_PHASE_PREPARING && a->prepare.store != NULL)
        ebb_object_store_counts(a->prepare.store, ret);
}

static void pause_engine(struct ebb_attempt *a)
{
    if (a->paused || a->pid == 0)
        return;
    ebb_log_warn("%s: neither the scheduler nor the store answers: the engine stands still",
                 a->task->job_name);
    if (a->phase == EBB_PHASE_RUNNING)
        ebb_attempt_lap(a, &a->run_ns);
    a->paused = true;
    ebb_session_signal(a->pid, SIGSTOP);
}

static void unpause_engine(struct ebb_attempt *a)
{
    if (!a->paused)
        return;
    a->paused = false;
    a->mark_ns = ebb_now_ns(NULL);
    if (a->pid != 0)
        ebb_session_signal(a->pid, SIGCONT);
}

void ebb_attempt_kill_engine(struct ebb_attempt *a)
{
    if (a->pid == 0)
        return;
    if (!a->leader_is_gone)
        kill(-a->pid, SIGKILL);
    ebb_session_signal(a->pid, SIGKILL);
}

/* How long the engine may take to stop so that its state can still be committed. */
static int64_t stop_by(const struct ebb_attempt *a, int64_t now_ns)
{
    int64_t by_ns = now_ns + (int64_t)(ebb_engine_grace_s(a->task->profile) * 1e9);
    if (a->deadline_ns == 0)
        return by_ns;
    double commit_s = COMMIT_RESERVE_S + 1.5 * a->last_write_s;
    int64_t latest_ns = a->deadline_ns - (int64_t)(commit_s * 1e9);
    return by_ns < latest_ns ? by_ns : latest_ns;
}

void ebb_attempt_stop_engine(struct ebb_attempt *a)
{
    int64_t now_ns = ebb_now_ns(NULL);
    int signo = ebb_engine_stop_signal(a->task->profile);
    if (a->phase == EBB_PHASE_RUNNING) {
        if (!a->paused)
            ebb_attempt_lap(a, &a->run_ns);
        a->mark_ns = now_ns;
        a->phase = EBB_PHASE_STOPPING;
    }
    a->stop_by_ns = stop_by(a, now_ns);
    a->stopped_since_ns = now_ns;
    a->was_asked_to_stop = true;
    if (signo == 0 || a->stop_by_ns <= now_ns) {
        ebb_attempt_kill_engine(a);
    } else {
        kill(-a->pid, signo);
        ebb_timer_set(a->timer, a->stop_by_ns - now_ns);
    }
    unpause_engine(a);
    if (a->gang != NULL)
        ebb_gang_on_stop(a);
}

static void note_request(struct ebb_attempt *a, enum ebb_request request, const char *reason)
{
    if (request <= a->request)
        return;
    a->request = request;
    snprintf(a->reason, sizeof a->reason, "%s", reason);
    if (request == EBB_REQUEST_RELEASE)
        return;
    atomic_store(&a->task->cancel, 1);
    a->was_asked_to_stop = false; /* nothing to wait for */
    ebb_attempt_kill_engine(a);
}

void ebb_attempt_release(struct ebb_attempt *a, int64_t deadline_ns, const char *reason)
{
    if (deadline_ns > 0 && (a->deadline_ns == 0 || deadline_ns < a->deadline_ns))
        a->deadline_ns = deadline_ns;
    if (a->gang != NULL && ebb_gang_on_release(a, reason))
        return;
    note_request(a, EBB_REQUEST_RELEASE, reason);
    switch (a->phase) {
    case EBB_PHASE_PREPARING:
        atomic_store(&a->task->cancel, 1);
        break;
    case EBB_PHASE_SETUP:
        ebb_attempt_kill_engine(a);
        break;
    case EBB_PHASE_WAITING:
        ebb_attempt_end_by_request(a);
        break;
    case EBB_PHASE_STOPPED:
        ebb_attempt_judge(a);
        break;
    case EBB_PHASE_RUNNING:
        ebb_attempt_stop_engine(a);
        break;
    case EBB_PHASE_STOPPING:
        if (a->pid != 0 && a->was_asked_to_stop) {
            a->stop_by_ns = stop_by(a, ebb_now_ns(NULL));
            ebb_timer_set(a->timer, a->stop_by_ns - ebb_now_ns(NULL));
        }
        break;
    default:
        break;
    }
}

void ebb_attempt_set_interval(struct ebb_attempt *a, double interval_s)
{
    if (!(interval_s > 0) || a->task->checkpoint_interval_s <= 0)
        return;
    double change_s = 0.75 * (interval_s - ebb_attempt_interval_s(a));
    a->task->checkpoint_interval_s = interval_s;
    if (a->next_commit_ns > 0)
        a->next_commit_ns += (int64_t)(change_s * 1e9);
}

/* Where no process and no worker brings the end by itself. */
static void end_if_at_rest(struct ebb_attempt *a)
{
    bool between_tries = a->phase == EBB_PHASE_FINISHING && !a->lineage_busy;
    if (between_tries || a->phase == EBB_PHASE_WAITING)
        ebb_attempt_end_by_request(a);
    else if (a->phase == EBB_PHASE_STOPPED)
        ebb_attempt_judge(a);
}

void ebb_attempt_cancel(struct ebb_attempt *a, const char *reason)
{
    if (a->phase >= EBB_PHASE_ENDING)
        return;
    note_request(a, EBB_REQUEST_CANCEL, reason);
    end_if_at_rest(a);
}

void ebb_attempt_fenced(struct ebb_attempt *a)
{
    if (a->phase >= EBB_PHASE_ENDING)
        return;
    ebb_log_warn("%s: another attempt owns the job: killed", a->task->job_name);
    note_request(a, EBB_REQUEST_FENCE, "a later attempt owns the job");
    end_if_at_rest(a);
}

static void check(void *ctx)
{
    struct ebb_attempt *a = ctx;
    a->check_code = ebb_task_is_member(a->task)
                        ? ebb_lineage_check_epoch(a->prepare.lineage, a->prepare.epoch, NULL)
                        : ebb_lineage_check(a->prepare.lineage, NULL);
}

static void on_checked(void *ctx)
{
    struct ebb_attempt *a = ctx;
    a->lineage_busy = false;
    if (a->check_code == 0)
        a->owned_ns = a->asked_ns;
    else if (a->check_code == EBB_ERR_FENCED)
        ebb_attempt_fenced(a);
    ebb_attempt_on_lineage_idle(a);
}

static void ask_store(struct ebb_attempt *a, int64_t now_ns)
{
    if (a->lineage_busy || now_ns - a->asked_ns < EBB_FENCE_ASK_NS)
        return;
    a->asked_ns = now_ns;
    a->lineage_busy = true;
    ebb_workers_submit(a->host.workers, check, on_checked, a);
}

enum ebb_fence_action ebb_attempt_fence(struct ebb_attempt *a, const struct ebb_lease_terms *terms,
                                        int64_t heard_ns, int64_t now_ns)
{
    if (a->phase == EBB_PHASE_PREPARING || a->phase >= EBB_PHASE_ENDING)
        return EBB_FENCE_WORK;      /* the claim itself is the guard */
    if (a->prepare.lineage == NULL) /* of a gang, and never told to begin */
        return now_ns - heard_ns >= terms->orphan_timeout_ns ? EBB_FENCE_LEAVE : EBB_FENCE_WORK;
    struct ebb_fence_facts facts = {.now_ns = now_ns,
                                    .heard_ns = heard_ns,
                                    .owned_ns = a->owned_ns,
                                    .fenced = a->request == EBB_REQUEST_FENCE};
    enum ebb_fence_action action = ebb_fence_decide(terms, &facts);
    if (action == EBB_FENCE_WORK || action == EBB_FENCE_KILL) {
        unpause_engine(a);
        return action;
    }
    ask_store(a, now_ns);
    if (action == EBB_FENCE_PAUSE && (a->phase == EBB_PHASE_RUNNING || a->phase == EBB_PHASE_SETUP))
        pause_engine(a);
    else
        unpause_engine(a);
    return action;
}

void ebb_attempt_abandon(struct ebb_attempt *a)
{
    atomic_store(&a->task->cancel, 1);
    ebb_attempt_kill_engine(a);
}

void ebb_attempt_hurry(struct ebb_attempt *a)
{
    a->next_commit_ns = 0;
}

void ebb_attempt_tick(struct ebb_attempt *a, int64_t now_ns)
{
    if (a->phase == EBB_PHASE_ENDING && now_ns > a->end_by_ns)
        atomic_store(&a->task->cancel, 1);
    if (a->logs != NULL)
        ebb_log_stream_poll(a->logs, now_ns);
    if (a->gang != NULL)
        ebb_gang_poll(a);
    if (a->phase != EBB_PHASE_RUNNING || a->paused)
        return;
    ebb_progress_poll(a->progress);
    ebb_pace_see(&a->pace, ebb_progress_step(a->progress), ebb_attempt_run_s(a));
    ebb_attempt_poll_checkpoint(a, now_ns);
}
