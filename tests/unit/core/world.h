/* A state fed with events as the scheduler would write them, and a copy of the log for replays. */
#ifndef EBB_TESTS_CORE_WORLD_H
#define EBB_TESTS_CORE_WORLD_H

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/fold.h"
#include "scheduler/core/planner.h"
#include "scheduler/core/state.h"
#include "tests/unit/core/sources.h"

#define S  INT64_C(1000000000)
#define T0 (INT64_C(1763700000) * S)

struct world {
    struct ebb_state *s;
    int64_t now; /* wall ns of the next event */
    uint8_t **log;
    size_t *sizes;
    size_t count, capacity;
};

static inline struct world world_new(void)
{
    return (struct world){.s = ebb_state_new(), .now = T0};
}

static inline void world_destroy(struct world *w)
{
    ebb_state_destroy(w->s);
    for (size_t i = 0; i < w->count; i++)
        free(w->log[i]);
    free(w->log);
    free(w->sizes);
}

static inline int world_try(struct world *w, Ebb__Event *e, struct ebb_error *err)
{
    e->sequence = w->s->last_sequence + 1;
    e->wall_ns = w->now;
    int rc = ebb_state_apply(w->s, e, err);
    if (rc < 0)
        return rc;
    if (w->count == w->capacity) {
        w->capacity = w->capacity == 0 ? 64 : w->capacity * 2;
        w->log = ebb_realloc_array(w->log, w->capacity, sizeof *w->log);
        w->sizes = ebb_realloc_array(w->sizes, w->capacity, sizeof *w->sizes);
    }
    w->sizes[w->count] = ebb__event__get_packed_size(e);
    w->log[w->count] = ebb_alloc(w->sizes[w->count] + 1);
    ebb__event__pack(e, w->log[w->count++]);
    return 0;
}

static inline void world_apply(struct world *w, Ebb__Event *e)
{
    struct ebb_error err = {0};
    if (world_try(w, e, &err) < 0)
        fail_msg("%s", err.text);
}

/* A fresh state from the log. */
static inline struct ebb_state *world_replay(const struct world *w)
{
    struct ebb_state *s = ebb_state_new();
    for (size_t i = 0; i < w->count; i++) {
        Ebb__Event *e = ebb__event__unpack(NULL, w->sizes[i], w->log[i]);
        struct ebb_error err = {0};
        if (ebb_state_apply(s, e, &err) < 0)
            fail_msg("%s", err.text);
        ebb__event__free_unpacked(e, NULL);
    }
    return s;
}

#define EVENT(e, m, kind, KIND, Type)                                                              \
    Ebb__Event e;                                                                                  \
    ebb__event__init(&e);                                                                          \
    Type m;                                                                                        \
    e.kind_case = EBB__EVENT__KIND_##KIND;                                                         \
    e.kind = &m

static inline char *lit(const char *s)
{
    return (char *)(uintptr_t)s;
}

static inline void world_scale(struct world *w, double scale)
{
    EVENT(e, m, cloud_configured, CLOUD_CONFIGURED, Ebb__CloudConfigured);
    ebb__cloud_configured__init(&m);
    m.provider = lit("aws");
    m.bill_time_scale = scale;
    world_apply(w, &e);
}

static inline void world_submit(struct world *w, const char *id, const char *yaml)
{
    EVENT(e, m, bag_submitted, BAG_SUBMITTED, Ebb__BagSubmitted);
    ebb__bag_submitted__init(&m);
    struct ebb_error err = {0};
    if (test_parse(yaml, NULL, &m.spec, NULL, &err) < 0)
        fail_msg("%s", err.text);
    m.bag = lit(id);
    world_apply(w, &e);
    ebb__bag_spec__free_unpacked(m.spec, NULL);
}

static inline Ebb__Offer world_offer(const char *type, const char *zone, bool spot, double cpus,
                                     int64_t usd_micros)
{
    Ebb__Offer o;
    ebb__offer__init(&o);
    o.provider = lit("aws");
    o.region = lit("us-east-1");
    o.zone = lit(zone);
    o.type = lit(type);
    o.market = spot ? EBB__MARKET__SPOT : EBB__MARKET__ON_DEMAND;
    o.cpus = cpus;
    o.memory_bytes = (uint64_t)cpus * (UINT64_C(4) << 30);
    o.usd_micros_per_hour = usd_micros;
    o.on_demand_usd_micros_per_hour = spot ? usd_micros * 3 : usd_micros;
    return o;
}

static inline void world_intend(struct world *w, const char *vm, Ebb__Offer *o)
{
    EVENT(e, m, vm_intended, VM_INTENDED, Ebb__VmIntended);
    ebb__vm_intended__init(&m);
    m.vm = lit(vm);
    m.offer = o;
    world_apply(w, &e);
}

static inline void world_launch(struct world *w, const char *vm)
{
    EVENT(e, m, vm_launched, VM_LAUNCHED, Ebb__VmLaunched);
    ebb__vm_launched__init(&m);
    m.vm = lit(vm);
    m.instance = lit("i-1");
    m.launched_wall_ns = w->now;
    world_apply(w, &e);
}

static inline void world_launch_failed(struct world *w, const char *vm, int code)
{
    EVENT(e, m, vm_launch_failed, VM_LAUNCH_FAILED, Ebb__VmLaunchFailed);
    ebb__vm_launch_failed__init(&m);
    m.vm = lit(vm);
    m.code = code;
    world_apply(w, &e);
}

static inline void world_join(struct world *w, const char *vm)
{
    EVENT(e, m, vm_joined, VM_JOINED, Ebb__VmJoined);
    ebb__vm_joined__init(&m);
    m.vm = lit(vm);
    world_apply(w, &e);
}

/* Intended, launched and joined at once. */
static inline void world_vm(struct world *w, const char *vm, Ebb__Offer *o)
{
    world_intend(w, vm, o);
    world_launch(w, vm);
    world_join(w, vm);
}

static inline void world_notice(struct world *w, const char *vm)
{
    EVENT(e, m, vm_noticed, VM_NOTICED, Ebb__VmNoticed);
    ebb__vm_noticed__init(&m);
    m.vm = lit(vm);
    m.deadline_wall_ns = w->now + 120 * S;
    world_apply(w, &e);
}

static inline void world_lose(struct world *w, const char *vm)
{
    EVENT(e, m, vm_lost, VM_LOST, Ebb__VmLost);
    ebb__vm_lost__init(&m);
    m.vm = lit(vm);
    m.reason = lit("silent for 20 s");
    world_apply(w, &e);
}

static inline void world_terminating(struct world *w, const char *vm)
{
    EVENT(e, m, vm_terminating, VM_TERMINATING, Ebb__VmTerminating);
    ebb__vm_terminating__init(&m);
    m.vm = lit(vm);
    m.reason = lit("idle");
    world_apply(w, &e);
}

static inline void world_terminated(struct world *w, const char *vm, int64_t launched,
                                    int64_t ended, bool interrupted)
{
    EVENT(e, m, vm_terminated, VM_TERMINATED, Ebb__VmTerminated);
    ebb__vm_terminated__init(&m);
    m.vm = lit(vm);
    m.launched_wall_ns = launched;
    m.ended_wall_ns = ended;
    m.interrupted = interrupted;
    world_apply(w, &e);
}

static inline void world_lease(struct world *w, const char *bag, uint64_t job, const char *vm)
{
    EVENT(e, m, attempt_leased, ATTEMPT_LEASED, Ebb__AttemptLeased);
    ebb__attempt_leased__init(&m);
    m.bag = lit(bag);
    m.job = job;
    m.attempt = ebb_state_bag(w->s, bag)->jobs[job].attempts + 1;
    m.vm = lit(vm);
    world_apply(w, &e);
}

static inline void world_start(struct world *w, const char *bag, uint64_t job)
{
    EVENT(e, m, attempt_started, ATTEMPT_STARTED, Ebb__AttemptStarted);
    ebb__attempt_started__init(&m);
    m.bag = lit(bag);
    m.job = job;
    m.attempt = ebb_state_bag(w->s, bag)->jobs[job].attempts;
    m.resumed_step = -1;
    m.staging_s = 1;
    world_apply(w, &e);
}

static inline void world_commit_at(struct world *w, const char *bag, uint64_t job, double run_s,
                                   int64_t step, int64_t total_steps)
{
    EVENT(e, m, checkpoint_committed, CHECKPOINT_COMMITTED, Ebb__CheckpointCommitted);
    ebb__checkpoint_committed__init(&m);
    const struct ebb_job *j = &ebb_state_bag(w->s, bag)->jobs[job];
    m.bag = lit(bag);
    m.job = job;
    m.attempt = j->attempts;
    m.checkpoint_sequence = j->checkpoint_sequence + 1;
    m.step = step;
    m.total_steps = total_steps;
    m.run_s = run_s;
    m.write_s = 2;
    m.stopped_s = 1;
    world_apply(w, &e);
}

/* 100 steps of 1000 further. */
static inline void world_commit(struct world *w, const char *bag, uint64_t job, double run_s)
{
    const struct ebb_job *j = &ebb_state_bag(w->s, bag)->jobs[job];
    world_commit_at(w, bag, job, run_s, 100 * ((int64_t)j->checkpoint_sequence + 1), 1000);
}

static inline void world_end(struct world *w, const char *bag, uint64_t job, int outcome,
                             const Ebb__AttemptTimes *times)
{
    EVENT(e, m, attempt_ended, ATTEMPT_ENDED, Ebb__AttemptEnded);
    ebb__attempt_ended__init(&m);
    m.bag = lit(bag);
    m.job = job;
    m.attempt = ebb_state_bag(w->s, bag)->jobs[job].attempts;
    m.outcome = (Ebb__AttemptEnded__Outcome)outcome;
    m.reason = lit("because");
    m.times = (Ebb__AttemptTimes *)(uintptr_t)times;
    world_apply(w, &e);
}

static inline void world_finish(struct world *w, const char *bag)
{
    EVENT(e, m, bag_finished, BAG_FINISHED, Ebb__BagFinished);
    ebb__bag_finished__init(&m);
    m.bag = lit(bag);
    world_apply(w, &e);
}

static inline void world_cancel(struct world *w, const char *bag)
{
    EVENT(e, m, bag_cancelled, BAG_CANCELLED, Ebb__BagCancelled);
    ebb__bag_cancelled__init(&m);
    m.bag = lit(bag);
    m.reason = lit("asked");
    world_apply(w, &e);
}

static inline void world_price(struct world *w, const char *zone, const char *type, int64_t from,
                               int64_t usd_micros)
{
    EVENT(e, m, prices_observed, PRICES_OBSERVED, Ebb__PricesObserved);
    ebb__prices_observed__init(&m);
    Ebb__PricePoint p, *points[1] = {&p};
    ebb__price_point__init(&p);
    p.zone = lit(zone);
    p.type = lit(type);
    p.usd_micros_per_hour = usd_micros;
    p.from_wall_ns = from;
    m.points = points;
    m.n_points = 1;
    world_apply(w, &e);
}

#define DONE      EBB__ATTEMPT_ENDED__OUTCOME__DONE
#define FAILED    EBB__ATTEMPT_ENDED__OUTCOME__FAILED
#define RELEASED  EBB__ATTEMPT_ENDED__OUTCOME__RELEASED
#define LOST      EBB__ATTEMPT_ENDED__OUTCOME__LOST
#define CANCELLED EBB__ATTEMPT_ENDED__OUTCOME__CANCELLED
#define REFUSED   EBB__ATTEMPT_ENDED__OUTCOME__REFUSED

#endif
