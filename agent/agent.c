/* The life of the VM, seen from inside.
 *
 *   leases  -> attempts          (pushed by the scheduler, which packs them by cpus and memory)
 *   ticks   -> fence, progress, logs, checkpoints that are due
 *   notice, drain, SIGTERM, orphaned -> release all -> goodbye -> exit; the boot script then ends
 *              the VM
 *
 * One loop; three small pools of workers, so that a large commit stands neither in the way of the
 * notice poll nor of the logs. */
#include "agent/agent.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "agent/attempt.h"
#include "agent/connection.h"
#include "agent/notice.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/process.h"
#include "base/random.h"

#define TICK_NS            EBB_NS_PER_S
#define COMMIT_WORKERS     8
#define LOG_WORKERS        2
#define NOTICE_WORKERS     1
#define TERM_DEADLINE_S    20.0                 /* SIGTERM: somebody shuts the VM down */
#define ORPHAN_DEADLINE_NS (120 * EBB_NS_PER_S) /* for a last commit, should the store be back */
#define GOODBYE_NS         (5 * EBB_NS_PER_S)
#define RANK_GOODBYE_NS    (20 * EBB_NS_PER_S) /* rank 0 may wait for other ranks, and its logs */
#define GOODBYE_FLUSH_NS   (EBB_NS_PER_S / 4)
#define LEAVE_BEFORE_NS    (EBB_NS_PER_S / 2)
#define REQUESTS_RING      64

/* Requests to the store for one bag. */
struct bag_requests {
    struct ebb_object_store_counts ended;               /* by attempts that are gone */
    struct ebb_object_store_counts acked;               /* told to the scheduler for sure */
    struct ebb_object_store_counts sent[REQUESTS_RING]; /* totals in heartbeat n */
    uint64_t first_beat;
};

struct agent {
    const struct ebb_agent_config *config;
    struct ebb_loop *loop;
    struct ebb_workers *workers, *log_workers, *notice_workers;
    struct ebb_reaper *reaper;
    struct ebb_connection *connection;
    struct ebb_notice_watch *notices;
    struct ebb_watch *on_term, *on_int;
    struct ebb_timer *tick;
    struct ebb_timer *leave;
    struct ebb_machine machine;
    struct ebb_identity identity;
    struct ebb_map *bags;     /* id -> struct ebb_bag_context */
    struct ebb_map *requests; /* bag id -> struct bag_requests */
    struct ebb_attempt **attempts;
    size_t attempt_count;
    int64_t deadline_ns; /* the VM goes; 0: unknown */
    bool is_leaving;
    bool is_last_wait; /* nothing runs: for acknowledgements */
    bool was_member;   /* some end is acknowledged only when rank 0 has told its own */
    bool said_goodbye;
    char leave_reason[160];
    /* storage behind hello and heartbeat until the next one */
    Ebb__AttemptState *states;
    Ebb__AttemptState **state_pointers;
    Ebb__RequestsCounted *counted;
    Ebb__RequestsCounted **counted_pointers;
    uint64_t beat;
};

static void unref_bag(void *b)
{
    ebb_bag_context_unref(b);
}

static void leave_if_idle(struct agent *g);

/* ---- what is told ---- */

static size_t fill_states(struct agent *g, Ebb__AttemptState ***ret)
{
    g->states = ebb_realloc_array(g->states, g->attempt_count + 1, sizeof *g->states);
    g->state_pointers = ebb_realloc_array(g->state_pointers, g->attempt_count + 1, sizeof(void *));
    size_t n = 0;
    for (size_t i = 0; i < g->attempt_count; i++) {
        if (ebb_attempt_has_ended(g->attempts[i]))
            continue;
        ebb_attempt_state(g->attempts[i], &g->states[n]);
        g->state_pointers[n] = &g->states[n];
        n++;
    }
    *ret = g->state_pointers;
    return n;
}

static double boot_s(const struct agent *g)
{
    static double first = -1;
    if (first < 0)
        first = g->config->started_wall_ns > 0
                    ? (double)(ebb_wall_ns(NULL) - g->config->started_wall_ns) / 1e9
                    : g->machine.uptime_s;
    return first > 0 ? first : 0;
}

static void fill_hello(void *ctx, Ebb__Hello *m)
{
    struct agent *g = ctx;
    m->instance = g->identity.instance;
    m->cpus = g->machine.cpus;
    m->memory_bytes = g->machine.memory_bytes;
    m->gpus = g->machine.gpus;
    m->gpu_model = g->machine.gpu_model;
    m->boot_s = boot_s(g);
    m->n_running = fill_states(g, &m->running);
}

static void add_counts(struct ebb_object_store_counts *to,
                       const struct ebb_object_store_counts *more)
{
    to->puts += more->puts;
    to->gets += more->gets;
    to->bytes_up += more->bytes_up;
    to->bytes_down += more->bytes_down;
}

static struct bag_requests *requests_of(struct agent *g, const char *bag)
{
    struct bag_requests *r = ebb_map_get(g->requests, bag);
    if (r == NULL) {
        r = ebb_alloc(sizeof *r);
        r->first_beat = g->beat + 1;
        ebb_map_set(g->requests, bag, r);
    }
    return r;
}

static struct ebb_object_store_counts total_requests(const struct agent *g, const char *bag,
                                                     const struct bag_requests *r)
{
    struct ebb_object_store_counts total = r->ended;
    for (size_t i = 0; i < g->attempt_count; i++) {
        struct ebb_object_store_counts one;
        if (strcmp(ebb_attempt_task(g->attempts[i])->spec.id, bag) != 0)
            continue;
        ebb_attempt_requests(g->attempts[i], &one);
        add_counts(&total, &one);
    }
    return total;
}

static void fill_requests(struct agent *g, Ebb__Heartbeat *m)
{
    size_t count = ebb_map_count(g->requests), n = 0, cursor = 0;
    void *value;
    const char *bag;
    g->counted = ebb_realloc_array(g->counted, count + 1, sizeof *g->counted);
    g->counted_pointers = ebb_realloc_array(g->counted_pointers, count + 1, sizeof(void *));
    while ((bag = ebb_map_next(g->requests, &cursor, &value)) != NULL) {
        struct bag_requests *r = value;
        struct ebb_object_store_counts total = total_requests(g, bag, r);
        r->sent[m->count % REQUESTS_RING] = total;
        if (total.puts == r->acked.puts && total.gets == r->acked.gets)
            continue;
        Ebb__RequestsCounted *c = &g->counted[n];
        ebb__requests_counted__init(c);
        c->bag = (char *)bag;
        c->vm = g->config->vm;
        c->puts = total.puts - r->acked.puts;
        c->gets = total.gets - r->acked.gets;
        c->bytes_up = total.bytes_up - r->acked.bytes_up;
        c->bytes_down = total.bytes_down - r->acked.bytes_down;
        g->counted_pointers[n++] = c;
    }
    m->requests_by_bag = g->counted_pointers;
    m->n_requests_by_bag = n;
}

static void fill_heartbeat(void *ctx, Ebb__Heartbeat *m)
{
    struct agent *g = ctx;
    g->beat = m->count;
    m->n_running = fill_states(g, &m->running);
    m->disk_free_bytes = ebb_disk_free_bytes(g->config->directory);
    fill_requests(g, m);
}

static void heartbeat_acked(void *ctx, uint64_t count)
{
    struct agent *g = ctx;
    size_t cursor = 0;
    void *value;
    if (count > g->beat || count + REQUESTS_RING <= g->beat)
        return;
    while (ebb_map_next(g->requests, &cursor, &value) != NULL) {
        struct bag_requests *r = value;
        const struct ebb_object_store_counts *then = &r->sent[count % REQUESTS_RING];
        if (count >= r->first_beat && then->puts >= r->acked.puts && then->gets >= r->acked.gets)
            r->acked = *then;
    }
}

static void on_started(void *ctx, struct ebb_attempt *a, const Ebb__AttemptStarted *started)
{
    struct agent *g = ctx;
    (void)a;
    Ebb__AgentMessage m = EBB__AGENT_MESSAGE__INIT;
    m.kind_case = EBB__AGENT_MESSAGE__KIND_ATTEMPT_STARTED;
    m.attempt_started = (Ebb__AttemptStarted *)started;
    ebb_connection_report(g->connection, &m);
}

static void on_committed(void *ctx, struct ebb_attempt *a,
                         const Ebb__CheckpointCommitted *committed)
{
    struct agent *g = ctx;
    (void)a;
    Ebb__AgentMessage m = EBB__AGENT_MESSAGE__INIT;
    m.kind_case = EBB__AGENT_MESSAGE__KIND_CHECKPOINT_COMMITTED;
    m.checkpoint_committed = (Ebb__CheckpointCommitted *)committed;
    ebb_connection_report(g->connection, &m);
}

static void on_gang(void *ctx, struct ebb_attempt *a, const Ebb__GangMessage *gang)
{
    struct agent *g = ctx;
    (void)a;
    Ebb__AgentMessage m = EBB__AGENT_MESSAGE__INIT;
    m.kind_case = EBB__AGENT_MESSAGE__KIND_GANG;
    m.gang = (Ebb__GangMessage *)gang;
    ebb_connection_tell(g->connection, &m); /* if it is lost, it is told again as it then is */
}

static void end_acked(void *ctx)
{
    leave_if_idle(ctx);
}

/* ---- attempts ---- */

static void remove_directory(void *ctx)
{
    ebb_remove_tree(ctx, NULL);
}

static void drop_ended(void *ctx)
{
    struct agent *g = ctx;
    size_t kept = 0;
    for (size_t i = 0; i < g->attempt_count; i++) {
        struct ebb_attempt *a = g->attempts[i];
        if (!ebb_attempt_has_ended(a)) {
            g->attempts[kept++] = a;
            continue;
        }
        const struct ebb_task *t = ebb_attempt_task(a);
        struct ebb_object_store_counts counts;
        ebb_attempt_requests(a, &counts);
        add_counts(&requests_of(g, t->spec.id)->ended, &counts);
        ebb_workers_submit(g->log_workers, remove_directory, free, ebb_strdup(t->directory));
        ebb_attempt_destroy(a);
    }
    g->attempt_count = kept;
    if (kept == 0)
        malloc_trim(0);
    leave_if_idle(g);
}

static void on_ended(void *ctx, struct ebb_attempt *a, const Ebb__AttemptEnded *ended)
{
    struct agent *g = ctx;
    g->was_member |= ebb_task_is_member(ebb_attempt_task(a));
    ebb_connection_report_end(g->connection, ended);
    ebb_loop_post(g->loop, drop_ended, g);
}

static struct ebb_attempt *find_attempt(const struct agent *g, const char *bag, uint64_t job,
                                        uint32_t attempt)
{
    for (size_t i = 0; i < g->attempt_count; i++) {
        const struct ebb_task *t = ebb_attempt_task(g->attempts[i]);
        if (t->job == job && t->attempt == attempt && strcmp(t->spec.id, bag) == 0)
            return g->attempts[i];
    }
    return NULL;
}

/* Rank 0 hears why this rank of its gang does not come. */
static void refuse_rank(struct agent *g, const Ebb__Lease *lease,
                        Ebb__AttemptEnded__Outcome outcome, const char *reason)
{
    Ebb__GangMessage m = EBB__GANG_MESSAGE__INIT;
    Ebb__GangStatus s = EBB__GANG_STATUS__INIT;
    s.phase = EBB__GANG_STATUS__PHASE__ENDED;
    s.seen = UINT64_MAX;
    s.failed = true;
    s.outcome = outcome;
    s.reason = (char *)reason;
    m.bag = lease->bag;
    m.job = lease->job;
    m.attempt = lease->attempt;
    m.from = lease->rank;
    m.status = &s;
    on_gang(g, NULL, &m);
}

static void refuse(struct agent *g, const Ebb__Lease *lease, Ebb__AttemptEnded__Outcome outcome,
                   const char *reason)
{
    Ebb__AttemptEnded m = EBB__ATTEMPT_ENDED__INIT;
    Ebb__AttemptTimes times = EBB__ATTEMPT_TIMES__INIT;
    m.bag = lease->bag;
    m.job = lease->job;
    m.attempt = lease->attempt;
    m.outcome = outcome;
    m.reason = (char *)reason;
    m.exit_status = -1;
    m.last_step = -1;
    m.times = &times;
    if (lease->rank == 0)
        ebb_connection_report_end(g->connection, &m);
    else
        refuse_rank(g, lease, outcome, reason);
}

static uint64_t pick_gpus(const struct agent *g, const struct ebb_task *task)
{
    uint64_t taken = 0;
    for (size_t i = 0; i < g->attempt_count; i++)
        if (!ebb_attempt_has_ended(g->attempts[i]) && !ebb_attempt_is_dying(g->attempts[i]))
            taken |= ebb_attempt_task(g->attempts[i])->gpus;
    uint32_t wanted = task->group->resources != NULL ? task->group->resources->gpus : 0;
    return ebb_gpus_pick(taken, g->machine.gpus, wanted);
}

static void take_lease(struct agent *g, const Ebb__Lease *lease)
{
    struct ebb_error err = {0};
    struct ebb_task *task = NULL;
    if (find_attempt(g, lease->bag, lease->job, lease->attempt) != NULL ||
        ebb_connection_has_reported(g->connection, lease->bag, lease->job, lease->attempt))
        return; /* told twice */
    if (g->is_leaving) {
        refuse(g, lease, EBB__ATTEMPT_ENDED__OUTCOME__RELEASED, g->leave_reason);
        return;
    }
    struct ebb_bag_context *bag = ebb_map_get(g->bags, lease->bag);
    if (bag == NULL) {
        refuse(g, lease, EBB__ATTEMPT_ENDED__OUTCOME__REFUSED, "the lease came before its bag");
        return;
    }
    if (ebb_task_new(bag, lease, g->config->vm, g->config->directory, &g->machine, &task, &err) <
        0) {
        refuse(g, lease, EBB__ATTEMPT_ENDED__OUTCOME__FAILED, err.text);
        return;
    }
    task->gpus = pick_gpus(g, task);
    const struct ebb_attempt_host host = {.loop = g->loop,
                                          .workers = g->workers,
                                          .log_workers = g->log_workers,
                                          .reaper = g->reaper,
                                          .ctx = g,
                                          .started = on_started,
                                          .committed = on_committed,
                                          .ended = on_ended,
                                          .gang = on_gang};
    requests_of(g, lease->bag);
    ebb_log_info("%s attempt %u: leased", task->job_name, task->attempt);
    g->attempts = ebb_realloc_array(g->attempts, g->attempt_count + 1, sizeof(*g->attempts));
    g->attempts[g->attempt_count++] = ebb_attempt_new(&host, task);
}

static void take_leases(struct agent *g, const Ebb__LeaseGrant *m)
{
    for (size_t i = 0; i < m->n_bags; i++)
        ebb_map_set(g->bags, m->bags[i]->bag, ebb_bag_context_new(m->bags[i]));
    for (size_t i = 0; i < m->n_leases; i++)
        take_lease(g, m->leases[i]);
    for (size_t i = 0; i < m->n_member_leases; i++)
        take_lease(g, m->member_leases[i]);
}

/* ---- the end of the VM ---- */

static void say_goodbye(struct agent *g)
{
    Ebb__AgentMessage m = EBB__AGENT_MESSAGE__INIT;
    Ebb__Goodbye goodbye = EBB__GOODBYE__INIT;
    goodbye.reason = g->leave_reason;
    m.kind_case = EBB__AGENT_MESSAGE__KIND_GOODBYE;
    m.goodbye = &goodbye;
    if (!g->said_goodbye)
        ebb_connection_tell(g->connection, &m);
    g->said_goodbye = true;
}

static void on_leave_timer(void *ctx)
{
    struct agent *g = ctx;
    ebb_loop_stop(g->loop);
}

/* The scheduler is given a moment to acknowledge the ends, but the VM's end does not wait for it.
 */
static void leave_if_idle(struct agent *g)
{
    if (!g->is_leaving || g->attempt_count > 0)
        return;
    if (ebb_connection_unacked(g->connection) == 0) {
        if (!g->said_goodbye)
            ebb_timer_set(g->leave, GOODBYE_FLUSH_NS);
        say_goodbye(g);
        return;
    }
    if (g->is_last_wait)
        return;
    g->is_last_wait = true;
    int64_t latest_ns = ebb_now_ns(NULL) + (g->was_member ? RANK_GOODBYE_NS : GOODBYE_NS);
    if (g->deadline_ns > 0 && g->deadline_ns - LEAVE_BEFORE_NS < latest_ns)
        latest_ns = g->deadline_ns - LEAVE_BEFORE_NS;
    ebb_timer_set(g->leave, latest_ns - ebb_now_ns(NULL));
}

static void leave(struct agent *g, int64_t deadline_ns, const char *reason)
{
    if (deadline_ns > 0 && (g->deadline_ns == 0 || deadline_ns < g->deadline_ns))
        g->deadline_ns = deadline_ns;
    if (!g->is_leaving) {
        g->is_leaving = true;
        snprintf(g->leave_reason, sizeof g->leave_reason, "%s", reason);
        ebb_log_info("leaving: %s", reason);
    }
    for (size_t i = 0; i < g->attempt_count; i++)
        ebb_attempt_release(g->attempts[i], g->deadline_ns, reason);
    if (g->deadline_ns > 0)
        ebb_timer_set(g->leave, g->deadline_ns - LEAVE_BEFORE_NS - ebb_now_ns(NULL));
    leave_if_idle(g);
}

static void on_identity(void *ctx, const struct ebb_identity *identity)
{
    struct agent *g = ctx;
    g->identity = *identity;
    ebb_log_info("instance %s, %s in %s", identity->instance, identity->type, identity->zone);
}

static void on_notice(void *ctx, const struct ebb_notice *notice)
{
    struct agent *g = ctx;
    Ebb__AgentMessage m = EBB__AGENT_MESSAGE__INIT;
    Ebb__VmNoticed noticed = EBB__VM_NOTICED__INIT;
    noticed.vm = g->config->vm;
    noticed.deadline_wall_ns = notice->revocation ? notice->deadline_wall_ns : 0;
    noticed.rebalance = notice->rebalance && !notice->revocation;
    m.kind_case = EBB__AGENT_MESSAGE__KIND_NOTICE;
    m.notice = &noticed;
    if (notice->revocation || notice->rebalance)
        ebb_connection_report(g->connection, &m);
    if (notice->revocation) {
        int64_t left_ns = notice->deadline_wall_ns - ebb_wall_ns(NULL);
        leave(g, ebb_now_ns(NULL) + (left_ns > 0 ? left_ns : 0), "the cloud takes the VM");
    } else if (notice->rebalance) {
        for (size_t i = 0; i < g->attempt_count; i++)
            ebb_attempt_hurry(g->attempts[i]);
    }
}

static void on_term(void *ctx)
{
    leave(ctx, ebb_now_ns(NULL) + (int64_t)(TERM_DEADLINE_S * 1e9), "the VM is shut down");
}

static void on_refused(void *ctx, const char *reason)
{
    struct agent *g = ctx;
    for (size_t i = 0; i < g->attempt_count; i++)
        ebb_attempt_cancel(g->attempts[i], reason);
    leave(g, ebb_now_ns(NULL) + GOODBYE_NS, "the scheduler does not know this VM");
}

static void on_message(void *ctx, const Ebb__SchedulerMessage *m)
{
    struct agent *g = ctx;
    if (m->kind_case == EBB__SCHEDULER_MESSAGE__KIND_LEASE_GRANT) {
        take_leases(g, m->lease_grant);
    } else if (m->kind_case == EBB__SCHEDULER_MESSAGE__KIND_ATTEMPT_CANCEL) {
        const Ebb__AttemptCancel *c = m->attempt_cancel;
        struct ebb_attempt *a = find_attempt(g, c->bag, c->job, c->attempt);
        int64_t within_ns = c->within_s > 0 && c->within_s < 1e6 ? (int64_t)(c->within_s * 1e9) : 0;
        if (a != NULL && c->release)
            ebb_attempt_release(a, within_ns > 0 ? ebb_now_ns(NULL) + within_ns : 0, c->reason);
        else if (a != NULL)
            ebb_attempt_cancel(a, c->reason);
    } else if (m->kind_case == EBB__SCHEDULER_MESSAGE__KIND_INTERVAL_SET) {
        const Ebb__IntervalSet *i = m->interval_set;
        struct ebb_attempt *a = find_attempt(g, i->bag, i->job, i->attempt);
        if (a != NULL)
            ebb_attempt_set_interval(a, i->checkpoint_interval_s);
    } else if (m->kind_case == EBB__SCHEDULER_MESSAGE__KIND_GANG) {
        const Ebb__GangMessage *gang = m->gang;
        struct ebb_attempt *a = find_attempt(g, gang->bag, gang->job, gang->attempt);
        if (a != NULL && !ebb_attempt_has_ended(a))
            ebb_attempt_gang(a, gang);
    } else if (m->kind_case == EBB__SCHEDULER_MESSAGE__KIND_DRAIN) {
        double within_s = m->drain->within_s;
        leave(g, within_s > 0 ? ebb_now_ns(NULL) + (int64_t)(within_s * 1e9) : 0, m->drain->reason);
    }
}

static void on_tick(void *ctx)
{
    struct agent *g = ctx;
    int64_t now_ns = ebb_now_ns(NULL);
    int64_t heard_ns = ebb_connection_heard_ns(g->connection);
    const struct ebb_lease_terms *terms = ebb_connection_terms(g->connection);
    bool is_orphan = g->attempt_count == 0 && now_ns - heard_ns >= terms->orphan_timeout_ns;
    ebb_timer_set(g->tick, TICK_NS);
    for (size_t i = 0; i < g->attempt_count; i++) {
        ebb_attempt_tick(g->attempts[i], now_ns);
        if (ebb_attempt_fence(g->attempts[i], terms, heard_ns, now_ns) == EBB_FENCE_LEAVE)
            is_orphan = true;
    }
    if (is_orphan && !g->is_leaving)
        leave(g, now_ns + ORPHAN_DEADLINE_NS,
              "neither the scheduler nor the store was heard for too long");
    else if (g->is_leaving && g->attempt_count == 0)
        leave_if_idle(g);
}

/* ---- begin and end ---- */

static void agent_clean_up(struct agent *g)
{
    for (size_t i = 0; i < g->attempt_count; i++)
        ebb_attempt_abandon(g->attempts[i]);
    ebb_workers_destroy(g->workers);
    ebb_workers_destroy(g->log_workers);
    ebb_workers_destroy(g->notice_workers);
    for (size_t i = 0; i < g->attempt_count; i++)
        ebb_attempt_destroy(g->attempts[i]);
    free(g->attempts);
    ebb_notice_watch_destroy(g->notices);
    ebb_connection_destroy(g->connection);
    ebb_watch_destroy(g->on_term);
    ebb_watch_destroy(g->on_int);
    ebb_timer_destroy(g->tick);
    ebb_timer_destroy(g->leave);
    ebb_reaper_destroy(g->reaper);
    ebb_loop_destroy(g->loop);
    ebb_map_destroy(g->bags);
    ebb_map_destroy(g->requests);
    free(g->states);
    free(g->state_pointers);
    free(g->counted);
    free(g->counted_pointers);
}

static void read_machine(struct agent *g)
{
    ebb_machine_read(&g->machine);
    if (g->config->cpus > 0)
        g->machine.cpus = g->config->cpus;
    if (g->config->memory_bytes > 0)
        g->machine.memory_bytes = g->config->memory_bytes;
    boot_s(g);
}

static int agent_begin(struct agent *g, struct ebb_error *err)
{
    const struct ebb_connection_handlers line = {.ctx = g,
                                                 .fill_hello = fill_hello,
                                                 .fill_heartbeat = fill_heartbeat,
                                                 .heartbeat_acked = heartbeat_acked,
                                                 .end_acked = end_acked,
                                                 .message = on_message,
                                                 .refused = on_refused};
    const struct ebb_notice_handlers notices = {
        .ctx = g, .identity = on_identity, .notice = on_notice};
    mallopt(M_ARENA_MAX, 2); /* an arena a thread would cost more than it brings */
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    read_machine(g);
    g->loop = ebb_loop_new();
    g->workers = ebb_workers_new(g->loop, COMMIT_WORKERS);
    g->log_workers = ebb_workers_new(g->loop, LOG_WORKERS);
    g->notice_workers = ebb_workers_new(g->loop, NOTICE_WORKERS);
    g->reaper = ebb_reaper_new(g->loop);
    g->bags = ebb_map_new(unref_bag);
    g->requests = ebb_map_new(free);
    g->tick = ebb_timer_new(g->loop, on_tick, g);
    g->leave = ebb_timer_new(g->loop, on_leave_timer, g);
    g->on_term = ebb_watch_signal(g->loop, SIGTERM, on_term, g);
    g->on_int = ebb_watch_signal(g->loop, SIGINT, on_term, g);
    int r = ebb_connection_new(g->loop, g->config, &line, &g->connection, err);
    if (r < 0)
        return r;
    g->notices = ebb_notice_watch_new(g->loop, g->notice_workers, &notices);
    ebb_timer_set(g->tick, TICK_NS);
    return 0;
}

int ebb_agent_run(const struct ebb_agent_config *config, struct ebb_error *err)
{
    struct agent g = {.config = config};
    int r = agent_begin(&g, err);
    if (r == 0)
        r = ebb_loop_run(g.loop, err);
    ebb_log_info("ends: %s", g.leave_reason);
    agent_clean_up(&g);
    return r;
}

static const char *option_config;

static const struct ebb_option options[] = {
    {.name = "config",
     .kind = EBB_OPTION_TEXT,
     .target = &option_config,
     .value = "FILE",
     .help = "The file that the boot script wrote (docs/agent.md)."},
    {0},
};

static int run_command(int argc, char **argv)
{
    struct ebb_agent_config config = {0};
    struct ebb_error err = {0};
    char program[80];
    (void)argc;
    (void)argv;
    if (option_config == NULL) {
        ebb_error_set(&err, EBB_ERR_INPUT, "--config is missing");
        return ebb_command_fail(&err);
    }
    if (ebb_agent_config_load(option_config, &config, &err) < 0)
        return ebb_command_fail(&err);
    snprintf(program, sizeof program, "agent %s", config.vm);
    ebb_log_init(program, EBB_LOG_INFO, NULL);
    int r = ebb_agent_run(&config, &err);
    ebb_agent_config_clean_up(&config);
    return r < 0 ? ebb_command_fail(&err) : 0;
}

extern const struct ebb_command ebb_command_agent;
const struct ebb_command ebb_command_agent = {
    .name = "agent",
    .arguments = "",
    .summary = "Run jobs on a VM; its boot script starts this",
    .details = "Joins the scheduler over mutual TLS, takes leases, runs jobs under their "
               "application profiles, checkpoints them, and ends when the VM is revoked, drained "
               "or forgotten.",
    .options = options,
    .run = run_command,
};
