/* Leases: jobs pushed to VMs with room, taken back, lost. Which job goes where is the planner's
 * word (ebb_place); here it becomes events and messages. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "scheduler/core/hazards.h"
#include "scheduler/core/intervals.h"
#include "scheduler/core/market.h"
#include "scheduler/daemon.h"

#define PLACEMENTS EBB_TIMING_PLACEMENTS
#define ROUNDS     EBB_TIMING_ROUNDS

/* ---- granting ---- */

struct grant {
    Ebb__LeaseGrant message;
    Ebb__Lease leases[PLACEMENTS];
    size_t count;
    Ebb__Lease *lease_pointers[PLACEMENTS];
    Ebb__Lease *member_pointers[PLACEMENTS];
    Ebb__BagContext contexts[PLACEMENTS];
    Ebb__BagContext *context_pointers[PLACEMENTS];
};

static void grant_begin(struct grant *g)
{
    ebb__lease_grant__init(&g->message);
    g->count = 0;
    g->message.leases = g->lease_pointers;
    g->message.member_leases = g->member_pointers;
    g->message.bags = g->context_pointers;
}

/* Addresses of the VMs of a gang by rank; the array is the caller's, what it points to the state's.
 */
static char **gang_hosts(const struct ebb_state *s, const struct ebb_bag *b, uint64_t job,
                         size_t *ret_count)
{
    uint32_t vms[EBB_GANG_MOST];
    uint32_t size = ebb_gang_vms(s, b, job, vms);
    *ret_count = 0;
    if (size <= 1)
        return NULL;
    char **hosts = ebb_alloc_array(size, sizeof *hosts);
    for (uint32_t i = 0; i < size; i++)
        hosts[(*ret_count)++] = s->vms[vms[i]]->address;
    return hosts;
}

static void grant_add(const struct ebb_state *s, struct grant *g, struct ebb_agent_link *link,
                      const struct ebb_bag *b, uint64_t job, uint32_t rank, double interval_s,
                      bool resume)
{
    Ebb__Lease *lease = &g->leases[g->count++];
    ebb__lease__init(lease);
    lease->bag = b->spec->id;
    lease->job = job;
    lease->attempt = b->jobs[job].attempts;
    lease->rank = rank;
    lease->checkpoint_interval_s = interval_s;
    lease->resume = resume;
    lease->gang_hosts = gang_hosts(s, b, job, &lease->n_gang_hosts);
    if (rank == 0)
        g->lease_pointers[g->message.n_leases++] = lease;
    else
        g->member_pointers[g->message.n_member_leases++] = lease;
    if (!ebb_agent_needs_bag(link, b->index))
        return;
    size_t c = g->message.n_bags++;
    Ebb__BagContext *context = &g->contexts[c];
    ebb__bag_context__init(context);
    context->bag = b->spec->id;
    context->store_url = b->spec->store_url;
    context->n_groups = b->spec->n_groups;
    context->groups = b->spec->groups;
    context->n_profiles = b->spec->n_profiles;
    context->profiles = b->spec->profiles;
    g->context_pointers[c] = context;
}

static void grant_send(struct ebb_daemon *d, struct grant *g, struct ebb_agent_link *link)
{
    if (g->count == 0)
        return;
    Ebb__SchedulerMessage m = EBB__SCHEDULER_MESSAGE__INIT;
    m.kind_case = EBB__SCHEDULER_MESSAGE__KIND_LEASE_GRANT;
    m.lease_grant = &g->message;
    ebb_turn_tell_agent(d, link, &m);
    for (size_t i = 0; i < g->count; i++)
        free(g->leases[i].gang_hosts);
}

static double next_interval_s(struct ebb_daemon *d, uint32_t bag, uint64_t job, uint32_t vm,
                              int64_t now_wall_ns)
{
    return ebb_intervals_next_s(d->intervals, d->state, &d->options.policy, bag, job, vm,
                                now_wall_ns);
}

/* The other ranks of a gang whose lease is in the log. */
static void grant_members(struct ebb_daemon *d, const struct ebb_placement *p, double interval_s)
{
    struct grant *g EBB_AUTO_FREE = p->gang > 1 ? ebb_alloc(sizeof *g) : NULL;
    for (uint32_t rank = 1; rank < p->gang; rank++) {
        struct ebb_agent_link *link = ebb_daemon_run_of(d, p->members[rank - 1])->link;
        if (link == NULL)
            continue;
        grant_begin(g);
        grant_add(d->state, g, link, d->state->bags[p->bag], p->job, rank, interval_s, p->resume);
        grant_send(d, g, link);
    }
}

static size_t place_some(struct ebb_daemon *d, struct ebb_placement *list, struct grant *g)
{
    struct ebb_actor a = ebb_turn_actor(d);
    int64_t now_wall_ns = ebb_wall_ns(NULL);
    int64_t expires_wall_ns = now_wall_ns + (int64_t)(d->options.lease_ttl_s * 1e9);
    size_t count = ebb_place(d->state, &d->options.policy, now_wall_ns, list, PLACEMENTS);
    ebb_placements_sort(list, count);
    for (size_t i = 0; i < count;) {
        uint32_t vm = list[i].vm;
        struct ebb_agent_link *link = ebb_daemon_run_of(d, vm)->link;
        grant_begin(g);
        for (; i < count && list[i].vm == vm; i++) {
            const struct ebb_placement *p = &list[i];
            const struct ebb_bag *b = d->state->bags[p->bag];
            /* Without a connection the lease waits for the next Hello. */
            if (ebb_act_lease(&a, p, expires_wall_ns) < 0)
                continue;
            double interval_s = next_interval_s(d, p->bag, p->job, p->vm, now_wall_ns);
            if (link != NULL)
                grant_add(d->state, g, link, b, p->job, 0, interval_s, p->resume);
            grant_members(d, p, interval_s);
        }
        if (link != NULL)
            grant_send(d, g, link);
    }
    return count;
}

void ebb_leases_place(struct ebb_daemon *d)
{
    static struct ebb_placement list[PLACEMENTS];
    static struct grant g;
    if (d->stopping)
        return;
    size_t count = PLACEMENTS;
    for (int round = 0; round < ROUNDS && count == PLACEMENTS && d->failed.code == 0; round++)
        count = place_some(d, list, &g);
    if (count == PLACEMENTS)
        ebb_turn_schedule(d);
}

void ebb_leases_regrant(struct ebb_daemon *d, struct ebb_vm *vm)
{
    struct ebb_agent_link *link = ebb_daemon_run_of(d, vm->index)->link;
    if (link == NULL)
        return;
    struct grant *g EBB_AUTO_FREE = ebb_alloc(sizeof *g);
    int64_t now_wall_ns = ebb_wall_ns(NULL);
    grant_begin(g);
    for (size_t i = 0; i < vm->lease_count && i < PLACEMENTS; i++) {
        const struct ebb_lease *l = &vm->leases[i];
        const struct ebb_bag *b = d->state->bags[l->bag];
        const struct ebb_job *j = &b->jobs[l->job];
        if ((j->flags & EBB_JOB_CANCELLING) != 0)
            continue;
        double next_s = next_interval_s(d, l->bag, l->job, j->vm, now_wall_ns);
        grant_add(d->state, g, link, b, l->job, l->rank, next_s, j->checkpoint_sequence > 0);
    }
    grant_send(d, g, link);
}

/* ---- the time between checkpoints ---- */

void ebb_leases_renew_interval(struct ebb_daemon *d, const struct ebb_bag *b, uint64_t job)
{
    uint32_t vm;
    const struct ebb_lease *lease = ebb_state_lease(d->state, b->spec->id, job, &vm);
    struct ebb_agent_link *link = lease == NULL ? NULL : ebb_daemon_run_of(d, vm)->link;
    if (link == NULL)
        return;
    Ebb__SchedulerMessage m = EBB__SCHEDULER_MESSAGE__INIT;
    Ebb__IntervalSet set = EBB__INTERVAL_SET__INIT;
    set.bag = b->spec->id;
    set.job = job;
    set.attempt = lease->attempt;
    set.checkpoint_interval_s = next_interval_s(d, b->index, job, vm, ebb_wall_ns(NULL));
    m.kind_case = EBB__SCHEDULER_MESSAGE__KIND_INTERVAL_SET;
    m.interval_set = &set;
    if (set.checkpoint_interval_s > 0)
        ebb_turn_tell_agent(d, link, &m);
}

void ebb_leases_warn_siblings(struct ebb_daemon *d)
{
    int64_t revoked = ebb_market_revoked_wall_ns(d->state->market);
    if (revoked == d->warned_wall_ns)
        return;
    d->warned_wall_ns = revoked;
    for (size_t i = 0; i < d->state->live_count; i++) {
        const struct ebb_vm *vm = d->state->vms[d->state->live[i]];
        const Ebb__Offer *o = vm->offer;
        const struct ebb_place place = {o->provider, o->region, o->zone, o->type};
        if (vm->state != EBB_VM_READY || o->market != EBB__MARKET__SPOT ||
            ebb_hazards_bulk(d->state->hazards, &place, ebb_wall_ns(NULL), NULL) <= 1)
            continue;
        for (size_t k = 0; k < vm->lease_count; k++) /* a gang is warned by each of its VMs */
            ebb_leases_renew_interval(d, d->state->bags[vm->leases[k].bag], vm->leases[k].job);
    }
}

/* ---- taking back ---- */

static void cancel(struct ebb_daemon *d, const struct ebb_bag *b, uint64_t job, bool release,
                   double within_s, const char *reason)
{
    uint32_t vm;
    const struct ebb_lease *lease = ebb_state_lease(d->state, b->spec->id, job, &vm);
    if (lease == NULL)
        return;
    uint32_t attempt = lease->attempt;
    struct ebb_agent_link *link = ebb_daemon_run_of(d, vm)->link;
    struct ebb_actor a = ebb_turn_actor(d);
    ebb_act_revoke_lease(&a, b, job, attempt, reason);
    if (link == NULL)
        return; /* told at its next Hello, or lost */
    Ebb__SchedulerMessage m = EBB__SCHEDULER_MESSAGE__INIT;
    Ebb__AttemptCancel cancel = EBB__ATTEMPT_CANCEL__INIT;
    cancel.bag = b->spec->id;
    cancel.job = job;
    cancel.attempt = attempt;
    cancel.release = release;
    cancel.within_s = within_s;
    cancel.reason = (char *)(uintptr_t)reason;
    m.kind_case = EBB__SCHEDULER_MESSAGE__KIND_ATTEMPT_CANCEL;
    m.attempt_cancel = &cancel;
    ebb_turn_tell_agent(d, link, &m);
}

void ebb_leases_cancel(struct ebb_daemon *d, const struct ebb_bag *b, uint64_t job, bool release,
                       const char *reason)
{
    cancel(d, b, job, release, 0, reason);
}

/* ---- gangs ---- */

uint32_t ebb_leases_gang(const struct ebb_daemon *d, const Ebb__Event *e,
                         uint32_t ret[EBB_GANG_MOST])
{
    if (e->kind_case != EBB__EVENT__KIND_ATTEMPT_ENDED)
        return 0;
    const struct ebb_bag *b = ebb_state_bag(d->state, e->attempt_ended->bag);
    uint32_t size = b == NULL ? 0 : ebb_gang_vms(d->state, b, e->attempt_ended->job, ret);
    return size > 1 ? size : 0;
}

void ebb_leases_disband(struct ebb_daemon *d, const Ebb__AttemptEnded *ended, const uint32_t *vms,
                        uint32_t size)
{
    Ebb__SchedulerMessage m = EBB__SCHEDULER_MESSAGE__INIT;
    Ebb__AttemptCancel cancel = EBB__ATTEMPT_CANCEL__INIT;
    cancel.bag = ended->bag;
    cancel.job = ended->job;
    cancel.attempt = ended->attempt;
    cancel.reason = (char *)"the gang's attempt has ended";
    m.kind_case = EBB__SCHEDULER_MESSAGE__KIND_ATTEMPT_CANCEL;
    m.attempt_cancel = &cancel;
    Ebb__SchedulerMessage acked = EBB__SCHEDULER_MESSAGE__INIT;
    Ebb__AttemptAck ack = EBB__ATTEMPT_ACK__INIT;
    ack.bag = ended->bag;
    ack.job = ended->job;
    ack.attempt = ended->attempt;
    acked.kind_case = EBB__SCHEDULER_MESSAGE__KIND_ATTEMPT_ACK;
    acked.attempt_ack = &ack;
    for (uint32_t i = 0; i < size; i++) {
        struct ebb_agent_link *link = ebb_daemon_run_of(d, vms[i])->link;
        if (link == NULL)
            continue;
        ebb_turn_tell_agent(d, link, &m);
        if (i > 0) /* what it reported before, if it did */
            ebb_turn_tell_agent(d, link, &acked);
    }
}

void ebb_leases_pass_on(struct ebb_daemon *d, uint32_t vm, Ebb__GangMessage *m)
{
    uint32_t vms[EBB_GANG_MOST];
    if (!ebb_state_attempt_is_live(d->state, m->bag, m->job, m->attempt))
        return;
    uint32_t size = ebb_gang_vms(d->state, ebb_state_bag(d->state, m->bag), m->job, vms);
    bool is_from = m->from < size && vms[m->from] == vm;
    if (!is_from || m->to >= size || (m->from == 0) == (m->to == 0))
        return;
    struct ebb_agent_link *link = ebb_daemon_run_of(d, vms[m->to])->link;
    Ebb__SchedulerMessage out = EBB__SCHEDULER_MESSAGE__INIT;
    out.kind_case = EBB__SCHEDULER_MESSAGE__KIND_GANG;
    out.gang = m;
    if (link != NULL)
        ebb_turn_tell_agent(d, link, &out);
}

void ebb_leases_lose(struct ebb_daemon *d, struct ebb_vm *vm, const char *reason)
{
    struct ebb_actor a = ebb_turn_actor(d);
    ebb_act_lose_leases(&a, vm, reason);
}

void ebb_leases_release_gangs(struct ebb_daemon *d, const struct ebb_vm *vm)
{
    double within_s = (double)(vm->notice_deadline_wall_ns - ebb_wall_ns(NULL)) / 1e9;
    for (size_t i = 0; i < vm->lease_count; i++) {
        if (vm->leases[i].rank > 0)
            cancel(d, d->state->bags[vm->leases[i].bag], vm->leases[i].job, true,
                   within_s > 0 ? within_s : 1e-3, "a VM of its gang is being taken");
    }
}

/* ---- bags ---- */

void ebb_leases_cancel_bag(struct ebb_daemon *d, struct ebb_bag *b, const char *reason,
                           bool release)
{
    struct ebb_actor a = ebb_turn_actor(d);
    ebb_act_cancel_bag(&a, b, reason);
    for (size_t v = 0; v < d->state->live_count; v++) {
        const struct ebb_vm *vm = d->state->vms[d->state->live[v]];
        for (size_t i = 0; i < vm->lease_count; i++) {
            if (vm->leases[i].bag == b->index && vm->leases[i].rank == 0)
                ebb_leases_cancel(d, b, vm->leases[i].job, release, reason);
        }
    }
}

void ebb_leases_finish_bags(struct ebb_daemon *d)
{
    struct ebb_actor a = ebb_turn_actor(d);
    struct ebb_bag *b;
    while ((b = ebb_act_finish_bag(&a)) != NULL) {
        ebb_log_info("bag %s finished: %llu done, %llu failed, %llu cancelled", b->spec->id,
                     (unsigned long long)b->counts[EBB_JOB_DONE],
                     (unsigned long long)b->counts[EBB_JOB_FAILED],
                     (unsigned long long)b->counts[EBB_JOB_CANCELLED]);
        ebb_stores_measure_bag(d, b);
    }
}
