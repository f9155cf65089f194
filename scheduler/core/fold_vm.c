/* VMs in the fold, from intention to the cloud's word that they ended.
 *
 * An agent may join before the answer to its launch is logged, and a VM may be lost before that
 * too: each handler takes what can truly happen in that order and refuses the rest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/fold.h"
#include "scheduler/core/hazards.h"
#include "scheduler/core/ledger.h"
#include "scheduler/core/market.h"

#define AT_CAP 0.98 /* of it: clouds are not punctual, and a launch is seen late */

void ebb_vm_destroy(struct ebb_vm *vm)
{
    if (vm == NULL)
        return;
    if (vm->offer != NULL)
        ebb__offer__free_unpacked(vm->offer, NULL);
    free(vm->leases);
    free(vm->reason);
    free(vm->end_reason);
    free(vm);
}

static int refused(struct ebb_error *err, const struct ebb_vm *vm, const char *what)
{
    return ebb_error_set(err, EBB_ERR_CORRUPT, "%s %s, but it is %s", vm->id, what,
                         ebb_vm_state_name(vm->state));
}

static void set_text(char **text, const char *value)
{
    free(*text);
    *text = ebb_strdup(value);
}

static void set_capacity(struct ebb_vm *vm, double cpus, uint64_t memory_bytes, uint32_t gpus)
{
    vm->millicpus = vm->free_millicpus = (int64_t)(cpus * 1000 + 0.5);
    vm->memory_bytes = vm->free_memory_bytes = (int64_t)(memory_bytes & INT64_MAX);
    vm->gpus = vm->free_gpus = gpus;
}

/* Who pays when nobody uses the VM: the oldest unfinished bag, else the newest of all. */
static uint32_t payer(const struct ebb_state *s)
{
    uint32_t oldest = s->active_count == 0 ? (uint32_t)s->bag_count - 1 : EBB_NONE;
    for (size_t i = 0; i < s->active_count; i++) {
        if (s->active[i]->bag < oldest)
            oldest = s->active[i]->bag;
    }
    return oldest;
}

static bool sane_capacity(double cpus)
{
    return cpus >= 0 && cpus <= 1e6;
}

int ebb_fold_vm_intended(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    const Ebb__VmIntended *m = e->vm_intended;
    struct ebb_vm scratch;
    if (m->offer == NULL || m->vm[0] == '\0' || strlen(m->vm) >= sizeof scratch.id ||
        strlen(m->client_token) >= sizeof scratch.client_token || !sane_capacity(m->offer->cpus))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "a VM intended without an id or an offer");
    if (ebb_state_vm(s, m->vm) != NULL)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%s was intended before", m->vm);
    struct ebb_vm *vm = ebb_alloc(sizeof *vm);
    vm->index = (uint32_t)s->vm_count;
    snprintf(vm->id, sizeof vm->id, "%s", m->vm);
    snprintf(vm->client_token, sizeof vm->client_token, "%s", m->client_token);
    vm->has_join_token = m->join_token_sha256.len == sizeof vm->join_token_sha256;
    if (vm->has_join_token)
        memcpy(vm->join_token_sha256, m->join_token_sha256.data, sizeof vm->join_token_sha256);
    vm->offer = ebb_fold_copy(&m->offer->base);
    vm->reason = ebb_strdup(m->reason);
    vm->intended_wall_ns = e->wall_ns;
    vm->for_bag = payer(s);
    set_capacity(vm, vm->offer->cpus, vm->offer->memory_bytes, vm->offer->gpus);
    if (s->vm_count == s->vm_capacity) {
        s->vm_capacity = s->vm_capacity == 0 ? 16 : s->vm_capacity * 2;
        s->vms = ebb_realloc_array(s->vms, s->vm_capacity, sizeof *s->vms);
    }
    if (s->live_count == s->live_capacity) {
        s->live_capacity = s->live_capacity == 0 ? 16 : s->live_capacity * 2;
        s->live = ebb_realloc_array(s->live, s->live_capacity, sizeof *s->live);
    }
    s->vms[s->vm_count++] = vm;
    s->live[s->live_count++] = vm->index;
    ebb_map_set(s->vms_by_id, vm->id, vm);
    return 0;
}

static void no_longer_live(struct ebb_state *s, const struct ebb_vm *vm)
{
    size_t i = 0;
    while (s->live[i] != vm->index)
        i++;
    memmove(s->live + i, s->live + i + 1, (s->live_count - i - 1) * sizeof *s->live);
    s->live_count--;
}

static struct ebb_place place_of(const Ebb__Offer *o)
{
    return (struct ebb_place){o->provider, o->region, o->zone, o->type};
}

/* Its life counts from now on, if it does not already; and an outage of its offer is over. */
static void begin_life(struct ebb_state *s, struct ebb_vm *vm, int64_t from_wall_ns)
{
    if (vm->born_wall_ns != 0)
        return;
    vm->born_wall_ns = vm->told_wall_ns = from_wall_ns;
    ebb_market_launched(s->market, vm->offer);
    struct ebb_market_entry *e = ebb_market_entry(s->market, vm->offer);
    if (e->outage_from_wall_ns == 0)
        return;
    struct ebb_place p = place_of(vm->offer);
    ebb_hazards_observe(s->hazards, EBB_RATE_RECOVERY, &p,
                        (double)(e->outage_told_wall_ns - e->outage_from_wall_ns) / 1e9,
                        (double)(from_wall_ns - e->outage_from_wall_ns) / 1e9, true, from_wall_ns);
    e->outage_from_wall_ns = e->outage_told_wall_ns = 0;
}

/* Refused for want of capacity: the outage has lasted until now. */
static void tell_outage(struct ebb_state *s, const Ebb__Offer *offer, int64_t wall_ns)
{
    struct ebb_market_entry *e = ebb_market_entry(s->market, offer);
    struct ebb_place p = place_of(offer);
    if (e->outage_from_wall_ns == 0)
        e->outage_from_wall_ns = e->outage_told_wall_ns = wall_ns;
    ebb_hazards_observe(s->hazards, EBB_RATE_RECOVERY, &p,
                        (double)(e->outage_told_wall_ns - e->outage_from_wall_ns) / 1e9,
                        (double)(wall_ns - e->outage_from_wall_ns) / 1e9, false, wall_ns);
    e->outage_told_wall_ns = wall_ns;
}

/* A revocation ends a life; whatever else it sees is censored there. */
static void tell_life(struct ebb_state *s, struct ebb_vm *vm, int64_t to_wall_ns, bool revoked)
{
    if (vm->offer->market == EBB__MARKET__ON_DEMAND || vm->born_wall_ns == 0 ||
        vm->counted_revocation)
        return;
    if (to_wall_ns < vm->told_wall_ns)
        to_wall_ns = vm->told_wall_ns;
    struct ebb_place p = place_of(vm->offer);
    ebb_hazards_observe(s->hazards, EBB_RATE_REVOCATION, &p,
                        (double)(vm->told_wall_ns - vm->born_wall_ns) / 1e9,
                        (double)(to_wall_ns - vm->born_wall_ns) / 1e9, revoked, to_wall_ns);
    vm->told_wall_ns = to_wall_ns;
}

/* It ends at its offer's cap, which says nothing of revocations. */
static bool is_at_cap(const struct ebb_state *s, const struct ebb_vm *vm, int64_t end_wall_ns)
{
    return vm->offer->cap_s > 0 && vm->born_wall_ns != 0 &&
           (double)(end_wall_ns - vm->born_wall_ns) / 1e9 * s->bill_time_scale >=
               AT_CAP * vm->offer->cap_s;
}

/* For a VM that the cloud takes: once, at the first sign of it. `end_wall_ns`: when it is gone. */
static void count_revocation(struct ebb_state *s, struct ebb_vm *vm, int64_t wall_ns,
                             int64_t end_wall_ns)
{
    if (vm->counted_revocation)
        return;
    if (is_at_cap(s, vm, end_wall_ns)) {
        tell_life(s, vm, wall_ns, false);
        vm->counted_revocation = true;
        return;
    }
    if (vm->offer->market == EBB__MARKET__SPOT) {
        s->noticed += vm->notice_wall_ns != 0;
        s->unnoticed += vm->notice_wall_ns == 0;
    }
    tell_life(s, vm, wall_ns, true);
    vm->counted_revocation = true;
    ebb_market_revoked(s->market, vm->offer, wall_ns);
}

void ebb_fold_sweep_lives(struct ebb_state *s, int64_t wall_ns)
{
    if ((double)(wall_ns - s->swept_wall_ns) / 1e9 * s->bill_time_scale < s->sweep_s)
        return;
    s->swept_wall_ns = wall_ns;
    for (size_t i = 0; i < s->live_count; i++) {
        struct ebb_vm *vm = s->vms[s->live[i]];
        if (vm->state <= EBB_VM_READY)
            tell_life(s, vm, wall_ns, false);
    }
}

int ebb_fold_vm_launched(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    const Ebb__VmLaunched *m = e->vm_launched;
    struct ebb_vm *vm = ebb_fold_vm(s, m->vm, err);
    if (vm == NULL)
        return EBB_ERR_CORRUPT;
    if (!ebb_vm_is_live(vm) || vm->instance[0] != '\0')
        return refused(err, vm, "launched");
    if (m->instance[0] == '\0' || strlen(m->instance) >= sizeof vm->instance)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%s launched as '%s', which is no instance id",
                             vm->id, m->instance);
    snprintf(vm->instance, sizeof vm->instance, "%s", m->instance);
    int64_t launched = m->launched_wall_ns > 0 ? m->launched_wall_ns : e->wall_ns;
    if (vm->state != EBB_VM_LOST)
        begin_life(s, vm, launched);
    vm->launched_wall_ns = launched;
    if (vm->state == EBB_VM_INTENDED)
        vm->state = EBB_VM_BOOTING;
    return 0;
}

int ebb_fold_vm_launch_failed(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    const Ebb__VmLaunchFailed *m = e->vm_launch_failed;
    struct ebb_vm *vm = ebb_fold_vm(s, m->vm, err);
    if (vm == NULL)
        return EBB_ERR_CORRUPT;
    if (!ebb_vm_is_live(vm) || vm->instance[0] != '\0' || vm->joined)
        return refused(err, vm, "was not launched");
    ebb_market_refused(s->market, vm->offer, e->wall_ns, m->code);
    if (m->code == EBB_ERR_NO_CAPACITY)
        tell_outage(s, vm->offer, e->wall_ns);
    vm->state = EBB_VM_FAILED;
    vm->ended_wall_ns = e->wall_ns;
    set_text(&vm->end_reason, m->reason);
    no_longer_live(s, vm);
    return 0;
}

int ebb_fold_vm_joined(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    const Ebb__VmJoined *m = e->vm_joined;
    struct ebb_vm *vm = ebb_fold_vm(s, m->vm, err);
    if (vm == NULL)
        return EBB_ERR_CORRUPT;
    if (vm->joined || !ebb_vm_is_live(vm) || vm->state == EBB_VM_LOST)
        return refused(err, vm, "joined");
    if (!sane_capacity(m->cpus) || strlen(m->address) >= sizeof vm->address)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%s joined with %g CPUs from '%.80s'", vm->id,
                             m->cpus, m->address);
    vm->joined = true;
    vm->joined_wall_ns = e->wall_ns;
    vm->idle_since_wall_ns = e->wall_ns;
    ebb_mean_add(&s->boot_s, (double)(e->wall_ns - vm->intended_wall_ns) / 1e9);
    begin_life(s, vm, e->wall_ns);
    snprintf(vm->address, sizeof vm->address, "%s", m->address);
    set_capacity(vm, m->cpus > 0 ? m->cpus : vm->offer->cpus,
                 m->memory_bytes > 0 ? m->memory_bytes : vm->offer->memory_bytes, vm->offer->gpus);
    if (vm->state == EBB_VM_INTENDED || vm->state == EBB_VM_BOOTING)
        vm->state = EBB_VM_READY;
    return 0;
}

int ebb_fold_vm_noticed(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    const Ebb__VmNoticed *m = e->vm_noticed;
    struct ebb_vm *vm = ebb_fold_vm(s, m->vm, err);
    if (vm == NULL)
        return EBB_ERR_CORRUPT;
    if (!ebb_vm_is_live(vm))
        return refused(err, vm, "was given notice");
    if (m->rebalance) {
        vm->rebalance = true;
        return 0;
    }
    vm->notice_deadline_wall_ns = m->deadline_wall_ns;
    if (vm->notice_wall_ns == 0) {
        vm->notice_wall_ns = e->wall_ns;
        ebb_mean_add(&s->notice_s, (double)(m->deadline_wall_ns - e->wall_ns) / 1e9);
    }
    count_revocation(s, vm, e->wall_ns, m->deadline_wall_ns);
    if (vm->state < EBB_VM_NOTICED)
        vm->state = EBB_VM_NOTICED;
    return 0;
}

int ebb_fold_vm_lost(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    struct ebb_vm *vm = ebb_fold_vm(s, e->vm_lost->vm, err);
    if (vm == NULL)
        return EBB_ERR_CORRUPT;
    if (!ebb_vm_is_live(vm) || vm->state == EBB_VM_LOST)
        return refused(err, vm, "was lost");
    if (vm->state != EBB_VM_TERMINATING && vm->born_wall_ns != 0)
        count_revocation(s, vm, e->wall_ns, e->wall_ns);
    vm->state = EBB_VM_LOST;
    set_text(&vm->end_reason, e->vm_lost->reason);
    return 0;
}

int ebb_fold_vm_terminating(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    struct ebb_vm *vm = ebb_fold_vm(s, e->vm_terminating->vm, err);
    if (vm == NULL)
        return EBB_ERR_CORRUPT;
    if (!ebb_vm_is_live(vm) || vm->state == EBB_VM_TERMINATING)
        return refused(err, vm, "is being terminated");
    if (vm->state != EBB_VM_LOST)
        set_text(&vm->end_reason, e->vm_terminating->reason);
    vm->state = EBB_VM_TERMINATING;
    return 0;
}

int ebb_fold_vm_terminated(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    const Ebb__VmTerminated *m = e->vm_terminated;
    struct ebb_vm *vm = ebb_fold_vm(s, m->vm, err);
    if (vm == NULL)
        return EBB_ERR_CORRUPT;
    if (!ebb_vm_is_live(vm))
        return refused(err, vm, "ended");
    int64_t ended = m->ended_wall_ns > 0 ? m->ended_wall_ns : e->wall_ns;
    bool ours = vm->state == EBB_VM_TERMINATING && !m->interrupted;
    if (!ours && vm->born_wall_ns != 0)
        count_revocation(s, vm, ended < e->wall_ns ? ended : e->wall_ns, ended);
    else
        tell_life(s, vm, ended, false);
    if (m->launched_wall_ns > 0)
        vm->launched_wall_ns = m->launched_wall_ns;
    vm->interrupted = m->interrupted;
    vm->ended_wall_ns = ended;
    vm->state = EBB_VM_TERMINATED;
    if (vm->end_reason == NULL || vm->end_reason[0] == '\0' || m->interrupted)
        set_text(&vm->end_reason, m->reason);
    no_longer_live(s, vm);
    ebb_ledger_vm_ended(s, vm);
    return 0;
}

int ebb_fold_prices_observed(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err)
{
    const Ebb__PricesObserved *m = e->prices_observed;
    for (size_t i = 0; i < m->n_points; i++) {
        if (m->points[i]->usd_micros_per_hour < 0)
            return ebb_error_set(err, EBB_ERR_CORRUPT, "a price of %lld micro-USD an hour",
                                 (long long)m->points[i]->usd_micros_per_hour);
    }
    for (size_t i = 0; i < m->n_points; i++)
        ebb_market_observe(s->market, m->points[i]);
    return 0;
}
