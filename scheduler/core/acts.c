/* Each act is one event, or the few that always go together, in their order. */
#include "scheduler/core/acts.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"

#define EVENT(e, m, kind, KIND, Type, TYPE)                                                        \
    Ebb__Event e = EBB__EVENT__INIT;                                                               \
    Ebb__##Type m = EBB__##TYPE##__INIT;                                                           \
    e.kind_case = EBB__EVENT__KIND_##KIND;                                                         \
    e.kind = &m

static char *lent(const char *text)
{
    return (char *)(uintptr_t)(text != NULL ? text : "");
}

/* ---- VMs ---- */

int ebb_act_intend(const struct ebb_actor *a, const struct ebb_vm_intent *i)
{
    EVENT(e, m, vm_intended, VM_INTENDED, VmIntended, VM_INTENDED);
    m.vm = lent(i->vm);
    m.offer = (Ebb__Offer *)(uintptr_t)i->offer;
    m.client_token = lent(i->client_token);
    if (i->join_token_sha256 != NULL)
        m.join_token_sha256 = (ProtobufCBinaryData){
            .len = EBB_SHA256_SIZE, .data = (uint8_t *)(uintptr_t)i->join_token_sha256};
    m.reason = lent(i->reason);
    return a->emit(a->ctx, &e);
}

void ebb_act_launched(const struct ebb_actor *a, struct ebb_vm *vm, const char *instance,
                      int64_t launched_wall_ns)
{
    if (vm->instance[0] != '\0')
        return;
    EVENT(e, m, vm_launched, VM_LAUNCHED, VmLaunched, VM_LAUNCHED);
    m.vm = vm->id;
    m.instance = lent(instance);
    m.launched_wall_ns = launched_wall_ns;
    a->emit(a->ctx, &e);
}

bool ebb_act_launch_failed(const struct ebb_actor *a, struct ebb_vm *vm, int code,
                           const char *reason)
{
    if (!ebb_vm_is_live(vm) || vm->instance[0] != '\0' || vm->joined)
        return false;
    EVENT(e, m, vm_launch_failed, VM_LAUNCH_FAILED, VmLaunchFailed, VM_LAUNCH_FAILED);
    m.vm = vm->id;
    m.code = code;
    m.reason = lent(reason);
    a->emit(a->ctx, &e);
    return true;
}

void ebb_act_terminating(const struct ebb_actor *a, struct ebb_vm *vm, const char *reason)
{
    if (vm->state == EBB_VM_TERMINATING)
        return;
    EVENT(e, m, vm_terminating, VM_TERMINATING, VmTerminating, VM_TERMINATING);
    m.vm = vm->id;
    m.reason = lent(reason);
    a->emit(a->ctx, &e);
}

static void lost(const struct ebb_actor *a, struct ebb_vm *vm, const char *reason)
{
    EVENT(e, m, vm_lost, VM_LOST, VmLost, VM_LOST);
    m.vm = vm->id;
    m.reason = lent(reason);
    a->emit(a->ctx, &e);
}

void ebb_act_give_up(const struct ebb_actor *a, struct ebb_vm *vm, const char *reason)
{
    if (vm->state != EBB_VM_LOST && vm->state != EBB_VM_TERMINATING)
        lost(a, vm, reason);
    ebb_act_lose_leases(a, vm, reason);
    ebb_act_terminating(a, vm, reason);
}

void ebb_act_ended(const struct ebb_actor *a, struct ebb_vm *vm, int64_t launched_wall_ns,
                   int64_t ended_wall_ns, bool interrupted, const char *reason)
{
    ebb_act_lose_leases(a, vm, interrupted ? "the cloud took its VM" : "its VM ended");
    EVENT(e, m, vm_terminated, VM_TERMINATED, VmTerminated, VM_TERMINATED);
    m.vm = vm->id;
    m.launched_wall_ns = launched_wall_ns;
    m.ended_wall_ns = ended_wall_ns;
    m.interrupted = interrupted;
    m.reason = lent(reason);
    a->emit(a->ctx, &e);
}

bool ebb_vm_is_overdue(const struct ebb_vm *vm, double silent_s, double age_s,
                       const struct ebb_terms *terms, char reason[120])
{
    if (vm->joined && silent_s > terms->lease_s &&
        (vm->state != EBB_VM_TERMINATING || vm->lease_count > 0) && vm->state != EBB_VM_LOST) {
        snprintf(reason, 120, "its agent was silent for %.0f s", silent_s);
        return true;
    }
    if (!vm->joined && vm->instance[0] != '\0' && age_s > terms->boot_s &&
        vm->state == EBB_VM_BOOTING) {
        snprintf(reason, 120, "no agent came within %.0f s of the launch", age_s);
        return true;
    }
    return false;
}

/* ---- leases ---- */

static int by_vm(const void *a, const void *b)
{
    const struct ebb_placement *x = a, *y = b;
    return x->vm < y->vm ? -1 : x->vm > y->vm;
}

void ebb_placements_sort(struct ebb_placement *list, size_t count)
{
    if (count > 1)
        qsort(list, count, sizeof *list, by_vm);
}

int ebb_act_lease(const struct ebb_actor *a, const struct ebb_placement *p, int64_t expires_wall_ns)
{
    const struct ebb_bag *b = a->state->bags[p->bag];
    EVENT(e, m, attempt_leased, ATTEMPT_LEASED, AttemptLeased, ATTEMPT_LEASED);
    m.bag = b->spec->id;
    m.job = p->job;
    m.attempt = b->jobs[p->job].attempts + 1;
    m.vm = a->state->vms[p->vm]->id;
    m.expires_wall_ns = expires_wall_ns;
    char *members[EBB_GANG_MOST];
    for (uint32_t i = 1; i < p->gang; i++)
        members[m.n_members++] = a->state->vms[p->members[i - 1]]->id;
    m.members = members;
    return a->emit(a->ctx, &e);
}

void ebb_act_revoke_lease(const struct ebb_actor *a, const struct ebb_bag *b, uint64_t job,
                          uint32_t attempt, const char *reason)
{
    EVENT(e, m, lease_revoked, LEASE_REVOKED, LeaseRevoked, LEASE_REVOKED);
    m.bag = b->spec->id;
    m.job = job;
    m.attempt = attempt;
    m.reason = lent(reason);
    a->emit(a->ctx, &e);
}

static int lose_lease(const struct ebb_actor *a, const struct ebb_lease *lease, const char *reason)
{
    const struct ebb_bag *b = a->state->bags[lease->bag];
    EVENT(e, m, attempt_ended, ATTEMPT_ENDED, AttemptEnded, ATTEMPT_ENDED);
    m.bag = b->spec->id;
    m.job = lease->job;
    m.attempt = lease->attempt;
    m.outcome = EBB__ATTEMPT_ENDED__OUTCOME__LOST;
    m.reason = lent(reason);
    m.exit_status = -1;
    m.last_step = b->jobs[lease->job].step;
    return a->emit(a->ctx, &e);
}

void ebb_act_lose_leases(const struct ebb_actor *a, struct ebb_vm *vm, const char *reason)
{
    while (vm->lease_count > 0) {
        struct ebb_lease lease = vm->leases[0];
        if (lose_lease(a, &lease, reason) < 0)
            return;
    }
}

/* ---- bags ---- */

void ebb_act_cancel_bag(const struct ebb_actor *a, const struct ebb_bag *b, const char *reason)
{
    EVENT(e, m, bag_cancelled, BAG_CANCELLED, BagCancelled, BAG_CANCELLED);
    m.bag = b->spec->id;
    m.reason = lent(reason);
    a->emit(a->ctx, &e);
}

static struct ebb_bag *settled_bag(const struct ebb_state *s)
{
    for (size_t i = 0; i < s->active_count; i++) {
        struct ebb_bag *b = s->bags[s->active[i]->bag];
        if (ebb_bag_is_settled(b))
            return b;
    }
    return NULL;
}

void ebb_act_budget_near(const struct ebb_actor *a, const struct ebb_plan_budget *p)
{
    const struct ebb_bag *b = a->state->bags[p->bag];
    if (b->budget_near_wall_ns != 0 || ebb_bag_is_finished(b))
        return;
    EVENT(e, m, budget_near, BUDGET_NEAR, BudgetNear, BUDGET_NEAR);
    m.bag = b->spec->id;
    m.spent_usd_micros = p->spent_usd_micros;
    m.budget_usd_micros = b->spec->budget_usd_micros;
    m.reached_s = p->reached_s < 1e9 ? p->reached_s : 0;
    a->emit(a->ctx, &e);
}

struct ebb_bag *ebb_act_finish_bag(const struct ebb_actor *a)
{
    struct ebb_bag *b = settled_bag(a->state);
    if (b == NULL)
        return NULL;
    EVENT(e, m, bag_finished, BAG_FINISHED, BagFinished, BAG_FINISHED);
    m.bag = b->spec->id;
    m.done = b->counts[EBB_JOB_DONE];
    m.failed = b->counts[EBB_JOB_FAILED];
    m.cancelled = b->counts[EBB_JOB_CANCELLED];
    return a->emit(a->ctx, &e) < 0 ? NULL : b;
}
