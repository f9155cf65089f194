/* Turns as scheduler/turn.c has them: an event wakes a turn, the turn places, finishes bags, plans
 * when it is due, and makes the calls that follow. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/timings.h"
#include "simulator/driver.h"

#define CALL_ENDS   (UINT32_C(1) << 31)
#define REQUESTS_NS INT64_C(60000000000)

static void on_turn(void *ctx, uint32_t a, uint32_t b);

void ebb_driver_turn_soon(struct ebb_driver *d)
{
    if (d->turn_is_due)
        return;
    d->turn_is_due = true;
    ebb_agenda_add(d->agenda, ebb_agenda_now_ns(d->agenda), on_turn, d, 1, 0);
}

/* Neither room nor a job becomes free by these: what did not fit before does not fit now. */
static bool may_place(const Ebb__Event *e)
{
    return e->kind_case != EBB__EVENT__KIND_CHECKPOINT_COMMITTED &&
           e->kind_case != EBB__EVENT__KIND_ATTEMPT_STARTED &&
           e->kind_case != EBB__EVENT__KIND_ATTEMPT_LEASED &&
           e->kind_case != EBB__EVENT__KIND_PROGRESS_SEEN &&
           e->kind_case != EBB__EVENT__KIND_REQUESTS_COUNTED;
}

/* What a plan would say may have changed: jobs that end while others are ready are followed by
 * those, on the same VMs. */
static bool may_plan(const struct ebb_state *s, const Ebb__Event *e)
{
    if (e->kind_case == EBB__EVENT__KIND_ATTEMPT_ENDED) {
        for (size_t i = 0; i < s->active_count; i++) {
            if (s->active[i]->first_ready != EBB_NONE)
                return false;
        }
        return true;
    }
    return may_place(e);
}

int ebb_driver_emit(void *ctx, Ebb__Event *e)
{
    struct ebb_driver *d = ctx;
    struct ebb_error err = {0};
    e->sequence = d->state->last_sequence + 1;
    e->wall_ns = ebb_agenda_now_ns(d->agenda);
    int rc = ebb_state_apply(d->state, e, &err);
    if (rc < 0) {
        if (d->fault.code == 0)
            d->fault = err;
        return rc;
    }
    d->events++;
    if (d->o->event != NULL && d->o->event(d->o->ctx, e) < 0)
        d->is_stopped = true;
    d->plan_is_wanted |= !d->o->times.plan_seldom || may_plan(d->state, e);
    d->place_is_wanted |= may_place(e);
    ebb_driver_turn_soon(d);
    return 0;
}

void ebb_driver_call_after(struct ebb_driver *d, uint32_t vm, bool end)
{
    if (d->call_count == d->call_capacity) {
        d->call_capacity = d->call_capacity == 0 ? 64 : d->call_capacity * 2;
        d->calls = ebb_realloc_array(d->calls, d->call_capacity, sizeof *d->calls);
    }
    d->calls[d->call_count++] = vm | (end ? CALL_ENDS : 0);
    ebb_driver_turn_soon(d);
}

/* ---- placing ---- */

double ebb_driver_interval_s(void *ctx, uint32_t bag, uint64_t job, uint32_t vm)
{
    struct ebb_driver *d = ctx;
    return ebb_intervals_next_s(d->intervals, d->state, &d->o->policy, bag, job, vm,
                                ebb_agenda_now_ns(d->agenda));
}

static size_t place_some(struct ebb_driver *d, struct ebb_placement *list)
{
    int64_t now_ns = ebb_agenda_now_ns(d->agenda);
    int64_t expires_ns = now_ns + (int64_t)(d->o->times.lease_s * 1e9);
    size_t count = ebb_place(d->state, &d->o->policy, now_ns, list, EBB_TIMING_PLACEMENTS);
    ebb_placements_sort(list, count);
    for (size_t i = 0; i < count; i++) {
        if (ebb_act_lease(&d->actor, &list[i], expires_ns) < 0)
            continue;
        const struct ebb_bag *b = d->state->bags[list[i].bag];
        list[i].checkpoint_interval_s =
            ebb_driver_interval_s(d, list[i].bag, list[i].job, list[i].vm);
        ebb_agents_grant(d->agents, &list[i], b->jobs[list[i].job].attempts);
    }
    return count;
}

static void place(struct ebb_driver *d)
{
    struct ebb_placement list[EBB_TIMING_PLACEMENTS];
    size_t count = EBB_TIMING_PLACEMENTS;
    for (int i = 0; i < EBB_TIMING_ROUNDS && count == EBB_TIMING_PLACEMENTS; i++)
        count = place_some(d, list);
    if (count == EBB_TIMING_PLACEMENTS) {
        d->place_is_wanted = true;
        ebb_driver_turn_soon(d);
    }
}

/* ---- planning ---- */

static void act_on(struct ebb_driver *d, const struct ebb_plan *p)
{
    for (size_t i = 0; i < p->launch_count; i++) {
        for (uint32_t n = 0; n < p->launches[i].count; n++)
            ebb_driver_intend(d, d->offers.pointers[p->launches[i].offer], p->launches[i].reason);
    }
    for (size_t i = 0; i < p->end_count; i++)
        ebb_driver_end(d, d->state->vms[p->ends[i].vm], p->ends[i].drain, p->ends[i].reason);
    for (size_t i = 0; i < p->over_budget_count; i++) {
        struct ebb_bag *b = d->state->bags[p->over_budget[i]];
        if (!b->cancelled)
            ebb_driver_cancel_bag(d, b, "its budget is spent");
    }
    for (size_t i = 0; i < p->near_budget_count; i++)
        ebb_act_budget_near(&d->actor, &p->near_budget[i]);
}

static int64_t seldom(const struct ebb_driver *d, int64_t again_ns, int64_t now_ns)
{
    if (again_ns - now_ns >= (int64_t)(EBB_PLAN_AGAIN_S * 1e9))
        again_ns = ebb_agenda_after(now_ns, fmax(EBB_PLAN_AGAIN_S, d->o->times.again_s));
    return again_ns < d->plan_not_before_ns ? d->plan_not_before_ns : again_ns;
}

static void plan(struct ebb_driver *d)
{
    struct ebb_plan p = {0};
    int64_t now_ns = ebb_agenda_now_ns(d->agenda);
    const struct ebb_plan_input in = {.state = d->state,
                                      .offers = d->offers.pointers,
                                      .offer_count = d->offers.count,
                                      .policy = &d->o->policy,
                                      .now_wall_ns = now_ns,
                                      .random = ebb_random_uniform(&d->random),
                                      .tables = d->tables};
    ebb_plan(&in, &p);
    d->plans++;
    act_on(d, &p);
    d->plan_again_ns = p.again_wall_ns;
    if (d->o->times.plan_seldom && d->plan_again_ns != 0)
        d->plan_again_ns = seldom(d, d->plan_again_ns, now_ns);
    ebb_plan_clean_up(&p);
    if (d->plan_again_ns != 0)
        ebb_agenda_add(d->agenda, d->plan_again_ns, on_turn, d, 0, 0);
}

static bool plan_is_due(const struct ebb_driver *d)
{
    return d->plan_is_wanted ||
           (d->plan_again_ns != 0 && ebb_agenda_now_ns(d->agenda) >= d->plan_again_ns);
}

static void plan_when_due(struct ebb_driver *d)
{
    int64_t now_ns = ebb_agenda_now_ns(d->agenda);
    if (!plan_is_due(d))
        return;
    if (now_ns < d->plan_not_before_ns) {
        if (d->plan_woken_ns != d->plan_not_before_ns)
            ebb_agenda_add(d->agenda, d->plan_not_before_ns, on_turn, d, 0, 0);
        d->plan_woken_ns = d->plan_not_before_ns;
        return;
    }
    d->plan_is_wanted = false;
    d->plan_not_before_ns = now_ns + (int64_t)(d->o->times.plan_s * 1e9);
    plan(d);
}

/* ---- the turn ---- */

/* The agents' requests: each heartbeat tells them in the daemon, here each minute does. */
static void count_requests(struct ebb_driver *d, bool at_once)
{
    int64_t now_ns = ebb_agenda_now_ns(d->agenda);
    if (d->state->bag_count == 0 || (!at_once && now_ns < d->requests_ns + REQUESTS_NS))
        return;
    d->requests_ns = now_ns;
    struct ebb_agent_requests r = ebb_agents_take_requests(d->agents);
    if ((r.puts | r.gets) == 0)
        return;
    Ebb__Event e = EBB__EVENT__INIT;
    Ebb__RequestsCounted m = EBB__REQUESTS_COUNTED__INIT;
    m.bag = d->state->bags[0]->spec->id;
    m.puts = r.puts;
    m.gets = r.gets;
    e.kind_case = EBB__EVENT__KIND_REQUESTS_COUNTED;
    e.requests_counted = &m;
    ebb_driver_emit(d, &e);
}

static void make_calls(struct ebb_driver *d)
{
    uint32_t *calls = EBB_TAKE(d->calls);
    size_t count = d->call_count;
    d->call_count = d->call_capacity = 0;
    for (size_t i = 0; i < count; i++) {
        if ((calls[i] & CALL_ENDS) != 0)
            ebb_driver_end_call(d, calls[i] & ~CALL_ENDS);
        else
            ebb_driver_launch(d, calls[i]);
    }
    free(calls);
}

/* `wanted`: woken by an event or a call; otherwise by a moment that a plan asked for. */
static void on_turn(void *ctx, uint32_t wanted, uint32_t b)
{
    struct ebb_driver *d = ctx;
    (void)b;
    if (wanted)
        d->turn_is_due = false;
    else if (!plan_is_due(d))
        return; /* a later plan has asked for another moment */
    if (d->place_is_wanted || !wanted) {
        d->place_is_wanted = false;
        place(d);
    }
    bool finished = false;
    while (ebb_act_finish_bag(&d->actor) != NULL)
        finished = true;
    count_requests(d, finished);
    plan_when_due(d);
    if (d->call_count > 0)
        make_calls(d);
}
