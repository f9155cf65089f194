/* An attempt is a slot that moves on by the agenda; what was put down for an earlier phase of it
 * finds that its count of changes has moved on and does nothing. */
#include "simulator/agents.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/gang.h"
#include "scheduler/core/pace.h"
#include "scheduler/core/timings.h"

#define CUT_POLL_S     0.5
#define LEAVE_BEFORE_S 0.5
#define FIRST_LOOK     0.01 /* of the job */
#define SEED_OF_JOB    UINT64_C(0xbf58476d1ce4e5b9)

/* Requests of the agent's parts (agent/prepare.c, agent/commit.c, agent/logs.c). */
enum {
    CLAIM_PUTS = 1,
    CLAIM_GETS = 2,
    COMMIT_PUTS = 3,
    COMMIT_GETS = 0,
    LOG_PUTS = 2,
};

enum phase { PREPARING, RUNNING, STOPPED, FINISHING };

struct attempt {
    uint32_t bag, vm, number;
    uint64_t job;
    uint32_t changes;
    uint32_t life; /* no other attempt has had it */
    uint32_t next; /* of the VM, or of the free ones */
    uint8_t phase;
    bool checkpoints, stops, is_writing, resumed;
    double interval_s;
    double told_s; /* between checkpoints that are told: a multiple of the interval */
    double start_s, setup_s;
    double work_s;   /* of the whole job */
    double before_s; /* in the commit it began from */
    double ran_s;    /* in this attempt, up to mark */
    double safe_s;   /* of ran_s, committed */
    double writing_s;
    double still_s; /* the engine stood still */
    int64_t mark_ns;
    int64_t next_ns; /* the next checkpoint, not before */
};

struct agent {
    uint32_t first;
    bool is_up, is_cut, is_leaving;
    int64_t deadline_ns;
    char reason[64];
};

struct ebb_agents {
    struct ebb_agenda *agenda;
    struct ebb_actor actor;
    struct ebb_job_times times;
    struct ebb_agents_handlers handlers;
    uint64_t seed;
    uint32_t lives;
    struct attempt *attempts;
    uint32_t attempt_count, attempt_capacity, first_free;
    struct agent *agents;
    uint32_t agent_count;
    float **saved_s; /* by bag and job: in the newest commit */
    size_t saved_count;
    struct ebb_agent_requests requests;
    double interval_sum_s;
    uint64_t interval_count;
};

void ebb_job_times_default(struct ebb_job_times *ret)
{
    struct ebb_policy p;
    ebb_policy_default(&p);
    *ret = (struct ebb_job_times){.run_s = p.default_job_s,
                                  .factor = 1,
                                  .start_s = p.default_restart_s,
                                  .setup_s = 1,
                                  .write_s = p.default_checkpoint_s,
                                  .end_s = 1,
                                  .poll_s = 1.5};
}

static int64_t in_s(const struct ebb_agents *g, double s)
{
    return ebb_agenda_after(ebb_agenda_now_ns(g->agenda), s);
}

static struct agent *agent_of(struct ebb_agents *g, uint32_t vm)
{
    if (vm >= g->agent_count) {
        uint32_t count = vm + 64 + g->agent_count / 2;
        g->agents = ebb_realloc_array(g->agents, count, sizeof *g->agents);
        for (uint32_t i = g->agent_count; i < count; i++)
            g->agents[i] = (struct agent){.first = EBB_NONE};
        g->agent_count = count;
    }
    return &g->agents[vm];
}

static float *saved_of(struct ebb_agents *g, const struct attempt *t)
{
    if (t->bag >= g->saved_count) {
        size_t count = (size_t)t->bag + 1;
        g->saved_s = ebb_realloc_array(g->saved_s, count, sizeof *g->saved_s);
        for (size_t i = g->saved_count; i < count; i++)
            g->saved_s[i] = ebb_alloc_array(g->actor.state->bags[i]->job_count + 1, sizeof(float));
        g->saved_count = count;
    }
    return &g->saved_s[t->bag][t->job];
}

/* The job's own number, whatever else happens: two runs with one seed have the same jobs. */
static double run_time_s(const struct ebb_agents *g, const struct ebb_group *group, uint64_t job)
{
    const Ebb__Resources *r = group->spec->resources;
    double s = r != NULL && r->time_s > 0 ? r->time_s : g->times.run_s;
    s *= g->times.factor > 0 ? g->times.factor : 1;
    if (g->times.spread <= 0)
        return s;
    struct ebb_random random;
    ebb_random_seed(&random, g->seed ^ ((job + 1) * SEED_OF_JOB));
    double variance = log1p(g->times.spread * g->times.spread);
    double radius = sqrt(-2 * log1p(-ebb_random_uniform(&random)));
    double normal = radius * cos(2 * M_PI * ebb_random_uniform(&random));
    return s * exp(sqrt(variance) * normal - variance / 2);
}

/* ---- slots ---- */

static uint32_t take_slot(struct ebb_agents *g)
{
    if (g->first_free != EBB_NONE) {
        uint32_t slot = g->first_free;
        g->first_free = g->attempts[slot].next;
        return slot;
    }
    if (g->attempt_count == g->attempt_capacity) {
        g->attempt_capacity = g->attempt_capacity == 0 ? 64 : g->attempt_capacity * 2;
        g->attempts = ebb_realloc_array(g->attempts, g->attempt_capacity, sizeof *g->attempts);
    }
    g->attempts[g->attempt_count] = (struct attempt){0};
    return g->attempt_count++;
}

static void drop(struct ebb_agents *g, uint32_t slot)
{
    uint32_t *at = &agent_of(g, g->attempts[slot].vm)->first;
    while (*at != slot)
        at = &g->attempts[*at].next;
    *at = g->attempts[slot].next;
    g->attempts[slot].changes++;
    g->attempts[slot].life = 0;
    g->attempts[slot].next = g->first_free;
    g->first_free = slot;
}

/* Rank 0 of a gang, elsewhere, has still to hand it back. */
static bool is_held_for_a_gang(const struct ebb_agents *g, uint32_t index)
{
    const struct ebb_vm *vm = g->actor.state->vms[index];
    for (size_t i = 0; i < vm->lease_count; i++) {
        if (vm->leases[i].rank > 0)
            return true;
    }
    return false;
}

static void say_goodbye_if_idle(struct ebb_agents *g, uint32_t vm)
{
    struct agent *a = agent_of(g, vm);
    if (!a->is_up || !a->is_leaving || a->first != EBB_NONE || is_held_for_a_gang(g, vm))
        return;
    a->is_up = false;
    char reason[sizeof a->reason];
    memcpy(reason, a->reason, sizeof reason);
    g->handlers.goodbye(g->handlers.ctx, vm, reason);
}

/* ---- reports ---- */

static bool holds(const struct ebb_agents *g, const struct attempt *t)
{
    const struct ebb_job *j = &g->actor.state->bags[t->bag]->jobs[t->job];
    return (j->state == EBB_JOB_LEASED || j->state == EBB_JOB_RUNNING) &&
           j->attempts == t->number && j->vm == t->vm;
}

static char *bag_id(const struct ebb_agents *g, const struct attempt *t)
{
    return g->actor.state->bags[t->bag]->spec->id;
}

static int64_t steps_of(double s)
{
    return s > 0 ? (int64_t)s : 0;
}

static void report_started(struct ebb_agents *g, const struct attempt *t)
{
    Ebb__Event e = EBB__EVENT__INIT;
    Ebb__AttemptStarted m = EBB__ATTEMPT_STARTED__INIT;
    const struct ebb_job *j = &g->actor.state->bags[t->bag]->jobs[t->job];
    m.bag = bag_id(g, t);
    m.job = t->job;
    m.attempt = t->number;
    m.epoch = t->number;
    m.resumed_step = t->resumed ? steps_of(t->before_s) : -1;
    m.resumed_sequence = t->resumed ? j->checkpoint_sequence : 0;
    m.staging_s = t->resumed ? 0 : t->start_s;
    m.restore_s = t->resumed ? t->start_s : 0;
    m.setup_s = t->setup_s;
    e.kind_case = EBB__EVENT__KIND_ATTEMPT_STARTED;
    e.attempt_started = &m;
    g->actor.emit(g->actor.ctx, &e);
}

static void report_committed(struct ebb_agents *g, struct attempt *t, double ran_s,
                             double stopped_s)
{
    Ebb__Event e = EBB__EVENT__INIT;
    Ebb__CheckpointCommitted m = EBB__CHECKPOINT_COMMITTED__INIT;
    const struct ebb_job *j = &g->actor.state->bags[t->bag]->jobs[t->job];
    t->safe_s = ran_s;
    *saved_of(g, t) = (float)(t->before_s + ran_s);
    g->requests.puts += COMMIT_PUTS;
    g->requests.gets += COMMIT_GETS;
    m.bag = bag_id(g, t);
    m.job = t->job;
    m.attempt = t->number;
    m.epoch = t->number;
    m.checkpoint_sequence = j->checkpoint_sequence + 1;
    m.step = steps_of(t->before_s + ran_s);
    m.total_steps = steps_of(ceil(t->work_s));
    m.run_s = t->before_s + ran_s;
    m.paced_steps = steps_of(ran_s);
    m.paced_s = (double)m.paced_steps;
    m.write_s = g->times.write_s;
    m.stopped_s = stopped_s;
    e.kind_case = EBB__EVENT__KIND_CHECKPOINT_COMMITTED;
    e.checkpoint_committed = &m;
    g->actor.emit(g->actor.ctx, &e);
}

/* Tells the end and frees the slot. */
static void report_ended(struct ebb_agents *g, uint32_t slot, int outcome, const char *reason)
{
    struct attempt t = g->attempts[slot];
    Ebb__Event e = EBB__EVENT__INIT;
    Ebb__AttemptEnded m = EBB__ATTEMPT_ENDED__INIT;
    Ebb__AttemptTimes times = EBB__ATTEMPT_TIMES__INIT;
    bool done = outcome == EBB__ATTEMPT_ENDED__OUTCOME__DONE, held = holds(g, &t);
    bool has_run = t.phase != PREPARING;
    m.bag = bag_id(g, &t);
    m.job = t.job;
    m.attempt = t.number;
    m.outcome = (Ebb__AttemptEnded__Outcome)outcome;
    m.reason = (char *)(uintptr_t)reason;
    m.exit_status = done ? 0 : -1;
    m.last_step = steps_of(done ? ceil(t.work_s) : t.before_s + t.ran_s);
    if (done)
        m.final_sequence = g->actor.state->bags[t.bag]->jobs[t.job].checkpoint_sequence + 1;
    if (has_run) {
        times.staging_s = t.resumed ? 0 : t.start_s;
        times.restore_s = t.resumed ? t.start_s : 0;
        times.setup_s = t.setup_s;
        times.run_s = t.ran_s;
        times.checkpoint_s = t.still_s;
        times.commit_s = done ? g->times.end_s : 0;
        times.lost_s = done || t.ran_s < t.safe_s ? 0 : t.ran_s - t.safe_s;
    }
    m.times = &times;
    e.kind_case = EBB__EVENT__KIND_ATTEMPT_ENDED;
    e.attempt_ended = &m;
    g->requests.puts += LOG_PUTS;
    drop(g, slot);
    uint32_t gang[EBB_GANG_MOST];
    const struct ebb_state *s = g->actor.state;
    uint32_t size = held ? ebb_gang_vms(s, s->bags[t.bag], t.job, gang) : 0;
    if (held)
        g->actor.emit(g->actor.ctx, &e);
    say_goodbye_if_idle(g, t.vm);
    for (uint32_t i = 1; i < size; i++)
        say_goodbye_if_idle(g, gang[i]);
}

/* True: this call is of an earlier phase, or the report has to wait for the connection, or the
 * lease was given away meanwhile. */
static bool is_not_now(struct ebb_agents *g, uint32_t slot, uint32_t changes, ebb_agenda_fn fn)
{
    const struct attempt *t = &g->attempts[slot];
    if (t->changes != changes)
        return true;
    if (agent_of(g, t->vm)->is_cut) {
        ebb_agenda_add(g->agenda, in_s(g, CUT_POLL_S), fn, g, slot, changes);
        return true;
    }
    if (holds(g, t))
        return false;
    uint32_t vm = t->vm;
    drop(g, slot); /* fenced: another attempt owns the job */
    say_goodbye_if_idle(g, vm);
    return true;
}

/* ---- an attempt's way ---- */

static void on_commit_begin(void *ctx, uint32_t slot, uint32_t changes);

static void lap(struct ebb_agents *g, struct attempt *t)
{
    int64_t now_ns = ebb_agenda_now_ns(g->agenda);
    t->ran_s += (double)(now_ns - t->mark_ns) / 1e9;
    t->mark_ns = now_ns;
}

static void on_outputs(void *ctx, uint32_t slot, uint32_t changes)
{
    struct ebb_agents *g = ctx;
    if (is_not_now(g, slot, changes, on_outputs))
        return;
    g->requests.puts += COMMIT_PUTS;
    report_ended(g, slot, EBB__ATTEMPT_ENDED__OUTCOME__DONE, "");
}

static void on_run_end(void *ctx, uint32_t slot, uint32_t changes)
{
    struct ebb_agents *g = ctx;
    struct attempt *t = &g->attempts[slot];
    if (t->changes != changes)
        return;
    lap(g, t);
    t->phase = FINISHING;
    t->changes++;
    ebb_agenda_add(g->agenda, in_s(g, g->times.end_s), on_outputs, g, slot, t->changes);
}

static void run_on(struct ebb_agents *g, uint32_t slot, double commit_in_s)
{
    struct attempt *t = &g->attempts[slot];
    double left_s = t->work_s - t->before_s - t->ran_s;
    t->phase = RUNNING;
    t->mark_ns = ebb_agenda_now_ns(g->agenda);
    ebb_agenda_add(g->agenda, in_s(g, left_s), on_run_end, g, slot, t->changes);
    t->next_ns = in_s(g, commit_in_s);
    if (t->checkpoints && commit_in_s < left_s)
        ebb_agenda_add(g->agenda, in_s(g, commit_in_s), on_commit_begin, g, slot, t->changes);
}

static void on_commit_done(void *ctx, uint32_t slot, uint32_t changes)
{
    struct ebb_agents *g = ctx;
    if (is_not_now(g, slot, changes, on_commit_done))
        return;
    struct attempt *t = &g->attempts[slot];
    double stopped_s = t->stops ? g->times.write_s : 0;
    t->is_writing = false;
    report_committed(g, t, t->writing_s, stopped_s);
    t = &g->attempts[slot];
    if (g->handlers.interval_s != NULL)
        t->interval_s = g->handlers.interval_s(g->handlers.ctx, t->bag, t->job, t->vm);
    if (t->stops) {
        t->still_s += stopped_s;
        t->changes++;
        run_on(g, slot, t->interval_s - stopped_s);
        return;
    }
    double left_s = t->work_s - t->before_s - t->ran_s -
                    (double)(ebb_agenda_now_ns(g->agenda) - t->mark_ns) / 1e9;
    double wait_s = t->told_s - g->times.write_s;
    t->next_ns = in_s(g, wait_s);
    if (wait_s < left_s)
        ebb_agenda_add(g->agenda, in_s(g, wait_s), on_commit_begin, g, slot, t->changes);
}

static void on_commit_begin(void *ctx, uint32_t slot, uint32_t changes)
{
    struct ebb_agents *g = ctx;
    struct attempt *t = &g->attempts[slot];
    if (t->changes != changes || t->is_writing || ebb_agenda_now_ns(g->agenda) < t->next_ns)
        return;
    double since_s = (double)(ebb_agenda_now_ns(g->agenda) - t->mark_ns) / 1e9;
    t->is_writing = true;
    t->writing_s = t->ran_s + since_s;
    if (t->stops) {
        lap(g, t);
        t->changes++;
    }
    ebb_agenda_add(g->agenda, in_s(g, g->times.write_s), on_commit_done, g, slot, t->changes);
}

/* ---- progress between commits ---- */

static double ran_now_s(const struct ebb_agents *g, const struct attempt *t)
{
    if (t->phase != RUNNING || (t->stops && t->is_writing))
        return t->ran_s;
    return t->ran_s + (double)(ebb_agenda_now_ns(g->agenda) - t->mark_ns) / 1e9;
}

static void report_progress(struct ebb_agents *g, const struct attempt *t)
{
    Ebb__Event e = EBB__EVENT__INIT;
    Ebb__ProgressSeen m = EBB__PROGRESS_SEEN__INIT;
    m.bag = bag_id(g, t);
    m.job = t->job;
    m.attempt = t->number;
    m.total_steps = steps_of(ceil(t->work_s));
    m.paced_steps = steps_of(ran_now_s(g, t));
    m.paced_s = (double)m.paced_steps;
    if (!ebb_pace_is_news(g->actor.state, m.bag, m.job, m.attempt, m.paced_steps, m.total_steps,
                          m.paced_s))
        return;
    e.kind_case = EBB__EVENT__KIND_PROGRESS_SEEN;
    e.progress_seen = &m;
    g->actor.emit(g->actor.ctx, &e);
}

/* Heartbeats tell progress all the time, and what is news changes by its logarithm: so these looks
 * are each twice as late as the one before. */
static void on_look(void *ctx, uint32_t slot, uint32_t life)
{
    struct ebb_agents *g = ctx;
    const struct attempt *t = &g->attempts[slot];
    if (t->life != life || t->phase > RUNNING)
        return;
    if (!agent_of(g, t->vm)->is_cut && holds(g, t))
        report_progress(g, t);
    t = &g->attempts[slot];
    double wait_s = fmax(EBB_TIMING_HEARTBEAT_S, ran_now_s(g, t));
    if (ran_now_s(g, t) + wait_s < t->work_s - t->before_s)
        ebb_agenda_add(g->agenda, in_s(g, wait_s), on_look, g, slot, life);
}

static void on_prepared(void *ctx, uint32_t slot, uint32_t changes)
{
    struct ebb_agents *g = ctx;
    if (is_not_now(g, slot, changes, on_prepared))
        return;
    g->attempts[slot].phase = RUNNING;
    report_started(g, &g->attempts[slot]);
    run_on(g, slot, g->attempts[slot].told_s);
    const struct attempt *t = &g->attempts[slot];
    double first_s = fmax(EBB_TIMING_HEARTBEAT_S, FIRST_LOOK * t->work_s);
    if (first_s < t->work_s - t->before_s)
        ebb_agenda_add(g->agenda, in_s(g, first_s), on_look, g, slot, t->life);
}

void ebb_agents_grant(struct ebb_agents *g, const struct ebb_placement *p, uint32_t attempt)
{
    const struct ebb_bag *b = g->actor.state->bags[p->bag];
    const struct ebb_group *group = ebb_bag_group_of(b, p->job);
    const Ebb__Profile *profile = group->profile;
    uint32_t slot = take_slot(g), changes = g->attempts[slot].changes + 1;
    struct attempt *t = &g->attempts[slot];
    *t = (struct attempt){
        .bag = p->bag, .vm = p->vm, .number = attempt, .job = p->job, .changes = changes};
    t->checkpoints = profile != NULL && profile->checkpoints && p->checkpoint_interval_s > 0;
    t->stops = t->checkpoints && profile->state != NULL && profile->state->trigger != NULL &&
               strcmp(profile->state->trigger, "signal") == 0;
    t->interval_s = t->told_s = p->checkpoint_interval_s;
    if (t->checkpoints && !t->stops && t->interval_s < g->times.report_s)
        t->told_s *= floor(g->times.report_s / t->interval_s);
    t->life = ++g->lives;
    t->work_s = run_time_s(g, group, p->job);
    t->before_s = *saved_of(g, t);
    t->resumed = t->before_s > 0;
    t->start_s = g->times.start_s;
    t->setup_s = !t->resumed && group->spec->setup[0] != '\0' ? g->times.setup_s : 0;
    struct agent *a = agent_of(g, p->vm);
    t->next = a->first;
    a->first = slot;
    g->requests.puts += CLAIM_PUTS;
    g->requests.gets += CLAIM_GETS + group->spec->n_inputs;
    if (t->checkpoints) {
        g->interval_sum_s += t->interval_s;
        g->interval_count++;
    }
    ebb_agenda_add(g->agenda, in_s(g, t->start_s + t->setup_s), on_prepared, g, slot, changes);
}

/* ---- handing back ---- */

static void on_last_commit(void *ctx, uint32_t slot, uint32_t changes)
{
    struct ebb_agents *g = ctx;
    if (is_not_now(g, slot, changes, on_last_commit))
        return;
    struct attempt *t = &g->attempts[slot];
    if (t->checkpoints && t->ran_s > t->safe_s)
        report_committed(g, t, t->ran_s, g->times.write_s);
    t = &g->attempts[slot];
    if (t->checkpoints)
        t->still_s += g->times.write_s;
    struct agent *a = agent_of(g, t->vm);
    report_ended(g, slot, EBB__ATTEMPT_ENDED__OUTCOME__RELEASED,
                 a->is_leaving ? a->reason : "asked to");
}

static void release(struct ebb_agents *g, uint32_t slot, int64_t deadline_ns)
{
    struct attempt *t = &g->attempts[slot];
    double stop_s = 0;
    if (t->phase == FINISHING || t->phase == STOPPED)
        return;
    if (t->phase == RUNNING) {
        if (!(t->stops && t->is_writing))
            lap(g, t);
        t->phase = STOPPED;
        stop_s = t->checkpoints ? g->times.write_s : 0;
    }
    t->changes++;
    int64_t at_ns = in_s(g, stop_s);
    if (deadline_ns == 0 || at_ns + (int64_t)(LEAVE_BEFORE_S * 1e9) <= deadline_ns)
        ebb_agenda_add(g->agenda, at_ns, on_last_commit, g, slot, t->changes);
}

void ebb_agents_leave(struct ebb_agents *g, uint32_t vm, int64_t deadline_ns, const char *reason)
{
    struct agent *a = agent_of(g, vm);
    if (!a->is_up || a->is_leaving)
        return;
    a->is_leaving = true;
    a->deadline_ns = deadline_ns;
    (void)strncpy(a->reason, reason, sizeof a->reason - 1);
    for (uint32_t slot = a->first; slot != EBB_NONE; slot = g->attempts[slot].next)
        release(g, slot, deadline_ns);
    say_goodbye_if_idle(g, vm);
}

void ebb_agents_release(struct ebb_agents *g, uint32_t vm, uint32_t bag, uint64_t job)
{
    for (uint32_t slot = agent_of(g, vm)->first; slot != EBB_NONE; slot = g->attempts[slot].next) {
        if (g->attempts[slot].bag == bag && g->attempts[slot].job == job) {
            release(g, slot, 0);
            return;
        }
    }
}

void ebb_agents_hurry(struct ebb_agents *g, uint32_t vm)
{
    for (uint32_t slot = agent_of(g, vm)->first; slot != EBB_NONE; slot = g->attempts[slot].next) {
        struct attempt *t = &g->attempts[slot];
        if (t->phase != RUNNING || !t->checkpoints)
            continue;
        t->next_ns = in_s(g, 0);
        ebb_agenda_add(g->agenda, t->next_ns, on_commit_begin, g, slot, t->changes);
    }
}

/* ---- agents ---- */

void ebb_agents_join(struct ebb_agents *g, uint32_t vm)
{
    agent_of(g, vm)->is_up = true;
}

bool ebb_agents_is_up(const struct ebb_agents *g, uint32_t vm)
{
    return vm < g->agent_count && g->agents[vm].is_up;
}

void ebb_agents_cut(struct ebb_agents *g, uint32_t vm, bool is_cut)
{
    agent_of(g, vm)->is_cut = is_cut;
}

/* The newest checkpoint that was made and not told. */
static void save_untold(struct ebb_agents *g, const struct attempt *t)
{
    if (t->phase != RUNNING || !t->checkpoints || t->told_s <= t->interval_s)
        return;
    double ran_s = t->ran_s + (double)(ebb_agenda_now_ns(g->agenda) - t->mark_ns) / 1e9;
    double safe_s = floor((ran_s - g->times.write_s) / t->interval_s) * t->interval_s;
    float *saved = saved_of(g, t);
    if (t->before_s + safe_s > *saved)
        *saved = (float)(t->before_s + safe_s);
}

void ebb_agents_kill(struct ebb_agents *g, uint32_t vm)
{
    struct agent *a = agent_of(g, vm);
    a->is_up = false;
    while (a->first != EBB_NONE) {
        save_untold(g, &g->attempts[a->first]);
        drop(g, a->first);
    }
}

struct ebb_agent_requests ebb_agents_take_requests(struct ebb_agents *g)
{
    struct ebb_agent_requests r = g->requests;
    g->requests = (struct ebb_agent_requests){0};
    return r;
}

void ebb_agents_intervals(const struct ebb_agents *g, double *ret_sum_s, uint64_t *ret_count)
{
    *ret_sum_s = g->interval_sum_s;
    *ret_count = g->interval_count;
}

struct ebb_agents *ebb_agents_new(struct ebb_agenda *agenda, const struct ebb_actor *actor,
                                  const struct ebb_job_times *times, uint64_t seed,
                                  const struct ebb_agents_handlers *handlers)
{
    struct ebb_agents *g = ebb_alloc(sizeof *g);
    g->agenda = agenda;
    g->actor = *actor;
    g->times = *times;
    g->handlers = *handlers;
    g->seed = seed;
    g->first_free = EBB_NONE;
    return g;
}

void ebb_agents_destroy(struct ebb_agents *g)
{
    if (g == NULL)
        return;
    for (size_t i = 0; i < g->saved_count; i++)
        free(g->saved_s[i]);
    free(g->saved_s);
    free(g->attempts);
    free(g->agents);
    free(g);
}
