/* The trial: a loop with one attempt after another, each in a directory of its own as on a new VM.
 * An interruption without notice is a cancel: the engine is killed and nothing is committed, which
 * is what the store sees when a VM dies. */
#include "agent/trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "agent/attempt.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/memory.h"

#define TICK_NS      (EBB_NS_PER_S / 5)
#define ATTEMPTS_MAX 64

struct trial {
    const struct ebb_trial_plan *plan;
    struct ebb_loop *loop;
    struct ebb_workers *workers;
    struct ebb_reaper *reaper;
    struct ebb_timer *tick;
    struct ebb_machine machine;
    struct ebb_bag_context *bag;
    struct ebb_attempt *attempt;
    struct ebb_trial_result result;
    unsigned interruptions;
    unsigned commits; /* of this attempt */
    bool interrupted;
};

static void tell(const struct trial *t, const char *fmt, ...) EBB_PRINTF(2, 3);
static void tell(const struct trial *t, const char *fmt, ...)
{
    char text[300];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (t->plan->told != NULL)
        t->plan->told(text);
}

static void on_started(void *ctx, struct ebb_attempt *a, const Ebb__AttemptStarted *m)
{
    struct trial *t = ctx;
    (void)a;
    t->result.restore_s += m->restore_s;
    if (m->resumed_sequence == 0)
        return;
    t->result.resumed++;
    tell(t, "attempt %u goes on from checkpoint %llu%s%s", m->attempt,
         (unsigned long long)m->resumed_sequence, m->note[0] != '\0' ? ": " : "", m->note);
}

static void on_committed(void *ctx, struct ebb_attempt *a, const Ebb__CheckpointCommitted *m)
{
    struct trial *t = ctx;
    (void)a;
    (void)m;
    t->commits++;
    t->result.checkpoints++;
}

static void on_ended(void *ctx, struct ebb_attempt *a, const Ebb__AttemptEnded *m)
{
    struct trial *t = ctx;
    (void)a;
    size_t len = ebb__attempt_ended__get_packed_size(m);
    EBB_AUTO_FREE uint8_t *packed = ebb_alloc(len + 1);
    ebb__attempt_ended__pack(m, packed);
    if (t->result.ended != NULL)
        ebb__attempt_ended__free_unpacked(t->result.ended, NULL);
    t->result.ended = ebb__attempt_ended__unpack(NULL, len, packed);
    t->result.run_s += m->times->run_s;
    t->result.lost_s += m->times->lost_s;
    t->result.checkpoint_s += m->times->checkpoint_s;
    ebb_loop_stop(t->loop);
}

/* Without notice only what is committed counts, so such an interruption waits for a commit. */
static void interrupt_if_due(struct trial *t)
{
    Ebb__AttemptState state;
    ebb_attempt_state(t->attempt, &state);
    bool running = strcmp(state.phase, "running") == 0;
    bool with_notice = t->interruptions % 2 == 0;
    bool has_engine_state = ebb_attempt_task(t->attempt)->profile->checkpoints;
    if (t->interrupted || !running || t->interruptions >= t->plan->interruptions ||
        state.run_s < t->plan->run_between_s)
        return;
    if (!with_notice && has_engine_state && t->commits == 0)
        return;
    t->interrupted = true;
    t->interruptions++;
    tell(t, "interruption %u, %s, after %.1f s", t->interruptions,
         with_notice ? "with a notice" : "without one", state.run_s);
    if (with_notice)
        ebb_attempt_release(t->attempt, 0, "interrupted with a notice");
    else
        ebb_attempt_cancel(t->attempt, "interrupted without notice");
}

static void on_tick(void *ctx)
{
    struct trial *t = ctx;
    ebb_timer_set(t->tick, TICK_NS);
    ebb_attempt_tick(t->attempt, ebb_now_ns(NULL));
    interrupt_if_due(t);
}

static int run_attempt(struct trial *t, uint32_t number, struct ebb_error *err)
{
    const struct ebb_attempt_host host = {.loop = t->loop,
                                          .workers = t->workers,
                                          .log_workers = t->workers,
                                          .reaper = t->reaper,
                                          .ctx = t,
                                          .started = on_started,
                                          .committed = on_committed,
                                          .ended = on_ended};
    Ebb__Lease lease = EBB__LEASE__INIT;
    struct ebb_task *task = NULL;
    lease.bag = t->bag->message->bag;
    lease.job = t->plan->job;
    lease.attempt = number;
    lease.checkpoint_interval_s = t->plan->interval_s;
    lease.resume = t->result.checkpoints > 0;
    int r = ebb_task_new(t->bag, &lease, "here", t->plan->directory, &t->machine, &task, err);
    if (r < 0)
        return r;
    t->commits = 0;
    t->interrupted = false;
    t->result.attempts = number;
    t->attempt = ebb_attempt_new(&host, task);
    ebb_timer_set(t->tick, TICK_NS);
    r = ebb_loop_run(t->loop, err);
    ebb_timer_unset(t->tick);
    return r;
}

static int run_to_end(struct trial *t, struct ebb_error *err)
{
    for (uint32_t number = 1; number <= ATTEMPTS_MAX; number++) {
        int r = run_attempt(t, number, err);
        if (r < 0)
            return r;
        Ebb__AttemptEnded__Outcome outcome = t->result.ended->outcome;
        ebb_attempt_destroy(EBB_TAKE(t->attempt));
        if (outcome == EBB__ATTEMPT_ENDED__OUTCOME__DONE)
            return 0;
        if (!t->interrupted && outcome != EBB__ATTEMPT_ENDED__OUTCOME__RELEASED)
            return ebb_error_set(err, EBB_ERR_INPUT, "the job failed: %s", t->result.ended->reason);
    }
    return ebb_error_set(err, EBB_ERR_INPUT, "the job did not end in %d attempts", ATTEMPTS_MAX);
}

static struct ebb_bag_context *make_context(const struct ebb_trial_plan *plan)
{
    Ebb__BagContext m = EBB__BAG_CONTEXT__INIT;
    EBB_AUTO_FREE char *url = ebb_sprintf("file://%s/store", plan->directory);
    m.bag = (char *)plan->bag;
    m.store_url = url;
    m.groups = plan->spec->groups;
    m.n_groups = plan->spec->n_groups;
    m.profiles = plan->spec->profiles;
    m.n_profiles = plan->spec->n_profiles;
    return ebb_bag_context_new(&m);
}

int ebb_trial_run(const struct ebb_trial_plan *plan, struct ebb_trial_result *ret,
                  struct ebb_error *err)
{
    struct trial t = {.plan = plan};
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    ebb_machine_read(&t.machine);
    t.bag = make_context(plan);
    t.loop = ebb_loop_new();
    t.workers = ebb_workers_new(t.loop, 4);
    t.reaper = ebb_reaper_new(t.loop);
    t.tick = ebb_timer_new(t.loop, on_tick, &t);
    int r = run_to_end(&t, err);
    ebb_workers_destroy(t.workers);
    ebb_attempt_destroy(t.attempt);
    ebb_timer_destroy(t.tick);
    ebb_reaper_destroy(t.reaper);
    ebb_loop_destroy(t.loop);
    ebb_bag_context_unref(t.bag);
    *ret = t.result;
    return r;
}

void ebb_trial_result_clean_up(struct ebb_trial_result *r)
{
    if (r->ended != NULL)
        ebb__attempt_ended__free_unpacked(r->ended, NULL);
    *r = (struct ebb_trial_result){0};
}
