/* VMs as scheduler/fleet.c and scheduler/agents.c handle them: launched, joined, given notice,
 * silent, ended. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/timings.h"
#include "simulator/driver.h"

static int64_t now_of(const struct ebb_driver *d)
{
    return ebb_agenda_now_ns(d->agenda);
}

static int64_t in_s(const struct ebb_driver *d, double s)
{
    return ebb_agenda_after(now_of(d), s);
}

struct ebb_driven_vm *ebb_driver_vm(struct ebb_driver *d, uint32_t vm)
{
    if (vm >= d->vm_count) {
        uint32_t count = vm + 64 + d->vm_count / 2;
        d->vms = ebb_realloc_array(d->vms, count, sizeof *d->vms);
        for (uint32_t i = d->vm_count; i < count; i++)
            d->vms[i] = (struct ebb_driven_vm){.world = EBB_NONE};
        d->vm_count = count;
    }
    return &d->vms[vm];
}

/* ---- ending ---- */

static void on_end_due(void *ctx, uint32_t vm, uint32_t ends);

static void end_at(struct ebb_driver *d, uint32_t vm, int64_t at_ns)
{
    struct ebb_driven_vm *run = ebb_driver_vm(d, vm);
    ebb_agenda_add(d->agenda, at_ns, on_end_due, d, vm, ++run->ends);
}

static void on_end_due(void *ctx, uint32_t index, uint32_t ends)
{
    struct ebb_driver *d = ctx;
    struct ebb_vm *vm = d->state->vms[index];
    if (ebb_driver_vm(d, index)->ends != ends || !ebb_vm_is_live(vm) ||
        vm->state != EBB_VM_TERMINATING)
        return;
    ebb_act_lose_leases(&d->actor, vm, "its VM was ended before it was handed back");
    end_at(d, index, in_s(d, EBB_TIMING_END_AGAIN_S));
    ebb_driver_call_after(d, index, true);
}

static void end_now(struct ebb_driver *d, struct ebb_vm *vm)
{
    end_at(d, vm->index, in_s(d, EBB_TIMING_END_AGAIN_S));
    ebb_driver_call_after(d, vm->index, true);
}

static void on_end_answer(void *ctx, uint32_t index, uint32_t world)
{
    struct ebb_driver *d = ctx;
    (void)index;
    ebb_world_terminate(d->world, world);
    ebb_driver_look_soon(d);
}

void ebb_driver_end_call(struct ebb_driver *d, uint32_t index)
{
    struct ebb_vm *vm = d->state->vms[index];
    struct ebb_driven_vm *run = ebb_driver_vm(d, index);
    if (!ebb_vm_is_live(vm))
        return;
    if (vm->instance[0] == '\0') {
        if (!run->is_launching && run->launch_again_ns == 0)
            ebb_act_launch_failed(&d->actor, vm, EBB_ERR_CANCELLED,
                                  "no longer wanted before it was launched");
        else
            end_at(d, index, in_s(d, 1));
        return;
    }
    ebb_agenda_add(d->agenda, in_s(d, d->o->times.call_s), on_end_answer, d, index, run->world);
}

void ebb_driver_end(struct ebb_driver *d, struct ebb_vm *vm, bool drain, const char *reason)
{
    if (!ebb_vm_is_live(vm))
        return;
    if (vm->state == EBB_VM_TERMINATING) {
        if (!drain) {
            ebb_act_lose_leases(&d->actor, vm, reason);
            end_now(d, vm);
        }
        return;
    }
    ebb_act_terminating(&d->actor, vm, reason);
    if (!drain || vm->lease_count == 0 || !ebb_driver_vm(d, vm->index)->is_linked) {
        ebb_act_lose_leases(&d->actor, vm, reason);
        end_now(d, vm);
        return;
    }
    end_at(d, vm->index, in_s(d, d->o->times.drain_s + EBB_TIMING_DRAIN_GRACE_S));
    ebb_agents_leave(d->agents, vm->index, in_s(d, d->o->times.drain_s), reason);
}

static void lose(struct ebb_driver *d, struct ebb_vm *vm, const char *reason)
{
    if (!ebb_vm_is_live(vm))
        return;
    ebb_act_give_up(&d->actor, vm, reason);
    d->plan_not_before_ns = 0;
    end_now(d, vm);
}

void ebb_driver_vanish(struct ebb_driver *d, struct ebb_vm *vm, const char *reason)
{
    if (!ebb_vm_is_live(vm) || vm->state >= EBB_VM_LOST)
        return;
    ebb_act_give_up(&d->actor, vm, reason);
    d->plan_not_before_ns = 0;
    end_at(d, vm->index, in_s(d, EBB_TIMING_END_AGAIN_S));
}

/* The boot script of a VM that was given notice (scheduler/user_data.c): it waits for the cloud
 * when that makes the VM free, and shuts down when it does not. */
static bool waits_for_the_cloud(const struct ebb_driver *d, const struct ebb_vm *vm)
{
    double scale = d->state->bill_time_scale > 0 ? d->state->bill_time_scale : 1;
    int64_t age_ns = vm->notice_deadline_wall_ns - vm->launched_wall_ns;
    return vm->notice_deadline_wall_ns != 0 &&
           (double)age_ns / 1e9 < EBB_TIMING_FREE_BILLED_S / scale;
}

void ebb_driver_goodbye(void *ctx, uint32_t index, const char *reason)
{
    struct ebb_driver *d = ctx;
    struct ebb_vm *vm = d->state->vms[index];
    ebb_driver_vm(d, index)->is_linked = false;
    if (!ebb_vm_is_live(vm))
        return;
    ebb_act_lose_leases(&d->actor, vm, "the agent left without reporting it");
    ebb_act_terminating(&d->actor, vm, reason);
    if (!waits_for_the_cloud(d, vm)) {
        end_now(d, vm);
        return;
    }
    int64_t left_ns = vm->notice_deadline_wall_ns - now_of(d);
    end_at(d, index,
           now_of(d) + (left_ns > 0 ? left_ns : 0) +
               EBB_TIMING_NOTICED_GRACE_S * INT64_C(1000000000));
}

void ebb_driver_cancel_bag(struct ebb_driver *d, struct ebb_bag *b, const char *reason)
{
    ebb_act_cancel_bag(&d->actor, b, reason);
    for (size_t v = 0; v < d->state->live_count; v++) {
        const struct ebb_vm *vm = d->state->vms[d->state->live[v]];
        for (size_t i = 0; i < vm->lease_count; i++) {
            const struct ebb_lease *l = &vm->leases[i];
            if (l->bag != b->index)
                continue;
            ebb_act_revoke_lease(&d->actor, b, l->job, l->attempt, reason);
            ebb_agents_release(d->agents, vm->index, b->index, l->job);
        }
    }
}

/* ---- launching ---- */

static void own(struct ebb_driver *d, uint32_t world, uint32_t vm)
{
    if (world >= d->owner_count) {
        uint32_t count = world + 64 + d->owner_count / 2;
        d->owner = ebb_realloc_array(d->owner, count, sizeof *d->owner);
        for (uint32_t i = d->owner_count; i < count; i++)
            d->owner[i] = EBB_NONE;
        d->owner_count = count;
    }
    d->owner[world] = vm;
}

static void on_boot_overdue(void *ctx, uint32_t index, uint32_t b)
{
    struct ebb_driver *d = ctx;
    struct ebb_vm *vm = d->state->vms[index];
    const struct ebb_driven_vm *run = ebb_driver_vm(d, index);
    const struct ebb_terms terms = {d->o->times.lease_s, d->o->times.boot_s};
    char reason[120];
    (void)b;
    if (ebb_vm_is_live(vm) &&
        ebb_vm_is_overdue(vm, 0, (double)(now_of(d) - run->intended_ns) / 1e9, &terms, reason))
        lose(d, vm, reason);
}

void ebb_driver_intend(struct ebb_driver *d, const Ebb__Offer *offer, const char *reason)
{
    char id[32], token[64];
    ebb_state_next_vm_id(d->state, id);
    snprintf(token, sizeof token, "simulated-%s", id);
    const struct ebb_vm_intent intent = {
        .offer = offer, .vm = id, .client_token = token, .reason = reason};
    uint32_t index = (uint32_t)d->state->vm_count;
    if (ebb_act_intend(&d->actor, &intent) < 0)
        return;
    struct ebb_driven_vm *run = ebb_driver_vm(d, index);
    *run =
        (struct ebb_driven_vm){.world = EBB_NONE, .intended_ns = now_of(d), .heard_ns = now_of(d)};
    ebb_agenda_add(d->agenda, in_s(d, d->o->times.boot_s + 0.2), on_boot_overdue, d, index, 0);
    ebb_driver_call_after(d, index, false);
}

static void on_launch_again(void *ctx, uint32_t index, uint32_t b)
{
    struct ebb_driver *d = ctx;
    (void)b;
    ebb_driver_vm(d, index)->launch_again_ns = 0;
    ebb_driver_launch(d, index);
}

static void launched(struct ebb_driver *d, struct ebb_vm *vm, struct ebb_driven_vm *run)
{
    char instance[32];
    run->world = run->launched;
    own(d, run->world, vm->index);
    if (!ebb_vm_is_live(vm)) {
        ebb_world_terminate(d->world, run->world);
        return;
    }
    snprintf(instance, sizeof instance, "i-%017x", run->world + 1);
    ebb_act_launched(&d->actor, vm, instance, d->world->vms[run->world].launch_ns);
    if (!ebb_world_vm_is_live(&d->world->vms[run->world]))
        ebb_driver_changed(d, run->world);
    ebb_driver_look_soon(d);
}

static void on_launch_answer(void *ctx, uint32_t index, uint32_t b)
{
    struct ebb_driver *d = ctx;
    struct ebb_vm *vm = d->state->vms[index];
    struct ebb_driven_vm *run = ebb_driver_vm(d, index);
    struct ebb_error err = {0};
    (void)b;
    run->is_launching = false;
    if (run->launch_code == 0) {
        launched(d, vm, run);
        return;
    }
    double age_s = (double)(now_of(d) - run->intended_ns) / 1e9;
    if (ebb_code_is_transient(run->launch_code) && age_s < EBB_TIMING_GIVE_UP_LAUNCH_S &&
        ebb_vm_is_live(vm)) {
        run->launch_again_ns =
            now_of(d) + ebb_timing_back_off_ns(run->launch_tries++, ebb_random_uniform(&d->random));
        ebb_agenda_add(d->agenda, run->launch_again_ns, on_launch_again, d, index, 0);
        return;
    }
    ebb_error_set(&err, run->launch_code, "RunInstances: %s", ebb_code_name(run->launch_code));
    ebb_act_launch_failed(&d->actor, vm, run->launch_code, err.text);
}

void ebb_driver_launch(struct ebb_driver *d, uint32_t index)
{
    struct ebb_vm *vm = d->state->vms[index];
    struct ebb_driven_vm *run = ebb_driver_vm(d, index);
    double latency_s = 0;
    if (run->is_launching || !ebb_vm_is_live(vm) || vm->instance[0] != '\0')
        return;
    run->is_launching = true;
    run->launch_code =
        ebb_world_launch(d->world, ebb_fleet_zone_index(d->o->fleet, vm->offer->zone),
                         ebb_fleet_type_index(d->o->fleet, vm->offer->type),
                         vm->offer->market == EBB__MARKET__SPOT, &run->launched, &latency_s);
    if (run->launch_code == 0)
        own(d, run->launched, index);
    ebb_agenda_add(d->agenda, in_s(d, d->o->times.call_s + latency_s), on_launch_answer, d, index,
                   0);
}

/* ---- agents ---- */

static uint32_t owner_of(const struct ebb_driver *d, uint32_t world)
{
    return world < d->owner_count ? d->owner[world] : EBB_NONE;
}

/* Members of gangs on a VM that is being taken: their leaders hand the job back while they can. */
static void release_gangs(struct ebb_driver *d, const struct ebb_vm *vm)
{
    for (size_t i = 0; i < vm->lease_count; i++) {
        const struct ebb_lease l = vm->leases[i];
        uint32_t leader;
        const struct ebb_bag *b = d->state->bags[l.bag];
        if (l.rank == 0 || ebb_state_lease(d->state, b->spec->id, l.job, &leader) == NULL)
            continue;
        ebb_act_revoke_lease(&d->actor, b, l.job, l.attempt, "a VM of its gang is being taken");
        ebb_agents_release(d->agents, leader, l.bag, l.job);
    }
}

static void emit_notice(struct ebb_driver *d, struct ebb_vm *vm, int64_t deadline_ns)
{
    Ebb__Event e = EBB__EVENT__INIT;
    Ebb__VmNoticed m = EBB__VM_NOTICED__INIT;
    m.vm = vm->id;
    m.deadline_wall_ns = deadline_ns;
    m.rebalance = deadline_ns == 0;
    e.kind_case = EBB__EVENT__KIND_VM_NOTICED;
    e.vm_noticed = &m;
    ebb_driver_emit(d, &e);
}

/* The agent has looked and found a notice (`b`: of a rebalance alone). */
static void on_found(void *ctx, uint32_t index, uint32_t rebalance)
{
    struct ebb_driver *d = ctx;
    struct ebb_vm *vm = d->state->vms[index];
    struct ebb_driven_vm *run = ebb_driver_vm(d, index);
    if (!ebb_agents_is_up(d->agents, index))
        return;
    const struct ebb_world_vm *w = &d->world->vms[run->world];
    bool told = w->is_cut || !ebb_vm_is_live(vm);
    if (rebalance) {
        if (!run->rebalanced && !told)
            emit_notice(d, vm, 0);
        run->rebalanced = true;
        ebb_agents_hurry(d->agents, index);
        return;
    }
    if (!told && vm->notice_deadline_wall_ns != w->deadline_ns)
        emit_notice(d, vm, w->deadline_ns);
    if (!told)
        release_gangs(d, vm);
    ebb_agents_leave(d->agents, index, w->deadline_ns, "the cloud takes the VM");
}

static void look_for_notice(struct ebb_driver *d, uint32_t index, uint32_t rebalance)
{
    double wait_s = ebb_random_uniform(&d->chance) * d->o->jobs.poll_s;
    ebb_agenda_add(d->agenda, in_s(d, wait_s), on_found, d, index, rebalance);
}

static void on_join(void *ctx, uint32_t index, uint32_t world)
{
    struct ebb_driver *d = ctx;
    struct ebb_vm *vm = d->state->vms[index];
    struct ebb_driven_vm *run = ebb_driver_vm(d, index);
    const struct ebb_world_vm *w = &d->world->vms[world];
    if (!ebb_world_vm_is_live(w) || !ebb_vm_is_live(vm) || vm->state >= EBB_VM_LOST)
        return; /* gone, or refused: no longer wanted */
    if (w->is_cut) {
        ebb_agenda_add(d->agenda, in_s(d, 1), on_join, d, index, world);
        return;
    }
    Ebb__Event e = EBB__EVENT__INIT;
    Ebb__VmJoined m = EBB__VM_JOINED__INIT;
    m.vm = vm->id;
    m.address = (char *)"";
    m.cpus = vm->offer->cpus;
    m.memory_bytes = vm->offer->memory_bytes;
    m.boot_s = (double)(now_of(d) - w->running_ns) / 1e9;
    e.kind_case = EBB__EVENT__KIND_VM_JOINED;
    e.vm_joined = &m;
    run->is_linked = true;
    ebb_agents_join(d->agents, index);
    ebb_driver_emit(d, &e);
    if (w->notice_is_shown)
        look_for_notice(d, index, 0);
}

static void booted(void *ctx, uint32_t world)
{
    struct ebb_driver *d = ctx;
    uint32_t index = owner_of(d, world);
    if (index != EBB_NONE)
        ebb_agenda_add(d->agenda, in_s(d, d->o->times.join_s), on_join, d, index, world);
}

static void noticed(void *ctx, uint32_t world)
{
    struct ebb_driver *d = ctx;
    uint32_t index = owner_of(d, world);
    if (index != EBB_NONE && ebb_agents_is_up(d->agents, index))
        look_for_notice(d, index, 0);
}

static void rebalance(void *ctx, uint32_t world)
{
    struct ebb_driver *d = ctx;
    uint32_t index = owner_of(d, world);
    if (index != EBB_NONE && ebb_agents_is_up(d->agents, index))
        look_for_notice(d, index, 1);
}

static void ended(void *ctx, uint32_t world)
{
    struct ebb_driver *d = ctx;
    uint32_t index = owner_of(d, world);
    if (index == EBB_NONE)
        return;
    struct ebb_driven_vm *run = ebb_driver_vm(d, index);
    bool was_linked = run->is_linked;
    run->is_linked = false;
    ebb_agents_kill(d->agents, index);
    if (run->world == EBB_NONE)
        return; /* its launch is not answered yet */
    ebb_driver_changed(d, world);
    if (was_linked)
        ebb_driver_look_hurry(d); /* its connection has broken */
    else
        ebb_driver_look_in_turn(d);
}

static void gone(void *ctx, uint32_t world)
{
    (void)ctx;
    (void)world;
}

static void priced(void *ctx)
{
    ebb_driver_look_in_turn(ctx);
}

static void on_silence(void *ctx, uint32_t index, uint32_t world)
{
    struct ebb_driver *d = ctx;
    struct ebb_vm *vm = d->state->vms[index];
    const struct ebb_driven_vm *run = ebb_driver_vm(d, index);
    const struct ebb_terms terms = {d->o->times.lease_s, d->o->times.boot_s};
    double silent_s = (double)(now_of(d) - run->heard_ns) / 1e9;
    char reason[120];
    if (!d->world->vms[world].is_cut || !ebb_vm_is_live(vm) ||
        !ebb_vm_is_overdue(vm, silent_s, 0, &terms, reason))
        return;
    ebb_driver_vm(d, index)->is_linked = false;
    lose(d, vm, reason);
}

static void cut(void *ctx, uint32_t world)
{
    struct ebb_driver *d = ctx;
    uint32_t index = owner_of(d, world);
    bool is_cut = d->world->vms[world].is_cut;
    if (index == EBB_NONE)
        return;
    ebb_agents_cut(d->agents, index, is_cut);
    if (!is_cut)
        return;
    double since_s = ebb_random_uniform(&d->chance) * EBB_TIMING_HEARTBEAT_S;
    ebb_driver_vm(d, index)->heard_ns = now_of(d) - (int64_t)(since_s * 1e9);
    ebb_agenda_add(d->agenda, in_s(d, d->o->times.lease_s - since_s + 0.2), on_silence, d, index,
                   world);
}

void ebb_driver_handlers(struct ebb_driver *d, struct ebb_world_handlers *ret)
{
    *ret = (struct ebb_world_handlers){.ctx = d,
                                       .booted = booted,
                                       .rebalance = rebalance,
                                       .noticed = noticed,
                                       .ended = ended,
                                       .gone = gone,
                                       .priced = priced,
                                       .cut = cut};
}
