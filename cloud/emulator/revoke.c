/* A decided revocation goes through three steps, each after a wait that may be nothing:
 *
 *   decided --(lead)--> [rebalance shown at once] --> notice shown (late: after late_by) --> end
 *                                                     |<------------ length ------------->|
 *
 * A lost notice takes the same time and shows nothing. */
#include "cloud/emulator/revoke.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "cloud/emulator/emulator.h"
#include "cloud/emulator/guest.h"
#include "cloud/emulator/lifetime.h"

enum step { STEP_NOTICE, STEP_SHOW, STEP_END };

static int64_t to_ns(double s)
{
    return s > 1e9 ? INT64_MAX / 4 : (int64_t)(s * 1e9);
}

static void wait_for(struct ebb_guest *vm, enum step step, double s)
{
    vm->revoke_step = (int)step;
    ebb_timer_set(vm->revoke_timer, to_ns(s));
}

static void on_step(void *ctx)
{
    struct ebb_guest *vm = ctx;
    const struct ebb_fleet_notice *n = &vm->notice;

    switch ((enum step)vm->revoke_step) {
    case STEP_NOTICE:
        vm->deadline_wall_ns = ebb_wall_ns(NULL) + to_ns(n->length_s);
        if (n->kind == EBB_FLEET_NOTICE_NONE) {
            ebb_guest_end(vm, EBB_GUEST_END_SPOT);
        } else if (n->kind == EBB_FLEET_NOTICE_LOST) {
            wait_for(vm, STEP_END, n->length_s);
        } else if (n->kind == EBB_FLEET_NOTICE_LATE && n->late_by_s > 0) {
            wait_for(vm, STEP_SHOW, fmin(n->late_by_s, n->length_s));
        } else {
            vm->notice_shown = true;
            wait_for(vm, STEP_END, n->length_s);
        }
        break;
    case STEP_SHOW:
        vm->notice_shown = true;
        wait_for(vm, STEP_END, fmax(0, n->length_s - n->late_by_s));
        break;
    case STEP_END:
        ebb_guest_end(vm, EBB_GUEST_END_SPOT);
        break;
    }
}

void ebb_guest_revoke(struct ebb_guest *vm, const struct ebb_fleet_notice *notice,
                      double rebalance_lead_s)
{
    if (!vm->spot || vm->revoked || !ebb_guest_is_live(vm))
        return;
    vm->revoked = true;
    vm->notice = *notice;
    ebb_log_info("%s is to be revoked (notice %s, %.0f s)", vm->id,
                 (const char *[]){"given", "none", "late", "lost"}[notice->kind],
                 notice->kind == EBB_FLEET_NOTICE_NONE ? 0.0 : notice->length_s);
    if (rebalance_lead_s >= 0)
        vm->rebalance_wall_ns = ebb_wall_ns(NULL);
    vm->revoke_timer = ebb_timer_new(vm->emulator->loop, on_step, vm);
    wait_for(vm, STEP_NOTICE, rebalance_lead_s > 0 ? rebalance_lead_s : 0);
}

/* ---- exact revocations ---- */

struct plan {
    struct ebb_emulator *emulator;
    const struct ebb_fleet_revocation *revocation;
    struct ebb_guest *vm; /* NULL: tied to the start */
};

static void carry_out(void *ctx)
{
    const struct plan *p = ctx;
    struct ebb_emulator *e = p->emulator;
    const struct ebb_fleet_revocation *r = p->revocation;
    int zone = p->vm != NULL && r->whole_zone ? p->vm->zone : r->zone;

    if (p->vm != NULL && !r->whole_zone) {
        ebb_guest_revoke(p->vm, &r->notice, r->rebalance_lead_s);
        return;
    }
    for (size_t i = 0; i < e->vm_count; i++)
        if ((zone < 0 || e->vms[i]->zone == zone) && (r->type < 0 || e->vms[i]->type == r->type))
            ebb_guest_revoke(e->vms[i], &r->notice, r->rebalance_lead_s);
    for (size_t z = 0; r->unavailable_s > 0 && z < e->fleet->zone_count; z++)
        if (zone < 0 || zone == (int)z)
            e->zone_unavailable_until_s[z] =
                fmax(e->zone_unavailable_until_s[z], ebb_emulator_now_s(e) + r->unavailable_s);
}

static void plan(struct ebb_emulator *e, const struct ebb_fleet_revocation *r, struct ebb_guest *vm,
                 double delay_s)
{
    struct plan *p = ebb_alloc(sizeof(*p));

    *p = (struct plan){.emulator = e, .revocation = r, .vm = vm};
    ebb_emulator_own(e, p);
    ebb_timer_set(ebb_emulator_timer(e, carry_out, p), to_ns(delay_s));
}

void ebb_revoke_on_phase(struct ebb_guest *vm, enum ebb_fleet_phase phase)
{
    const struct ebb_fleet *f = vm->emulator->fleet;

    for (size_t i = 0; i < f->revocation_count; i++) {
        const struct ebb_fleet_revocation *r = &f->revocations[i];

        if (r->when.vm == vm->ordinal && r->when.phase == phase)
            plan(vm->emulator, r, vm, r->when.at_s);
    }
}

/* ---- lifetimes ---- */

static void on_lifetime(void *ctx)
{
    struct ebb_guest *vm = ctx;
    const struct ebb_fleet_lifetime *l = ebb_lifetime_find(vm->emulator->fleet, vm->zone, vm->type);
    struct ebb_fleet_notice notice =
        ebb_lifetime_notice(l, ebb_random_uniform(&vm->emulator->random));

    ebb_guest_revoke(vm, &notice, l->rebalance_lead_s);
}

static void on_cap(void *ctx)
{
    struct ebb_guest *vm = ctx;

    ebb_guest_revoke(vm, &vm->emulator->fleet->notice, -1);
}

void ebb_revoke_start_lifetime(struct ebb_guest *vm)
{
    const struct ebb_fleet *f = vm->emulator->fleet;
    const struct ebb_fleet_lifetime *l = ebb_lifetime_find(f, vm->zone, vm->type);
    double cap_s = f->types[vm->type].cap_s;
    struct ebb_random random;

    if (cap_s > 0 && vm->spot) {
        vm->cap_timer = ebb_timer_new(vm->emulator->loop, on_cap, vm);
        ebb_timer_set(vm->cap_timer, to_ns(ebb_fleet_cap_decided_s(cap_s, &f->notice)));
    }
    if (l == NULL || !vm->spot)
        return;
    ebb_random_seed(&random, f->seed ^ (uint64_t)vm->ordinal * UINT64_C(0x9e3779b97f4a7c15));
    vm->lifetime_timer = ebb_timer_new(vm->emulator->loop, on_lifetime, vm);
    ebb_timer_set(vm->lifetime_timer, to_ns(ebb_lifetime_quantile(l, ebb_random_uniform(&random))));
}

/* ---- traces ---- */

struct replay {
    struct ebb_emulator *emulator;
    const struct ebb_fleet_trace *trace;
    struct ebb_timer *timer;
};

static void on_trace(void *ctx)
{
    struct replay *p = ctx;
    struct ebb_emulator *e = p->emulator;
    const struct ebb_fleet_trace *t = p->trace;
    double now_s = ebb_emulator_now_s(e) + 1e-6, wait_s;

    if (!ebb_trace_available(t, now_s))
        for (size_t i = 0; i < e->vm_count; i++)
            if ((t->zone < 0 || e->vms[i]->zone == t->zone) &&
                (t->type < 0 || e->vms[i]->type == t->type))
                ebb_guest_revoke(e->vms[i], &t->notice, -1);
    wait_s = ebb_trace_next_change(t, now_s);
    if (wait_s >= 0)
        ebb_timer_set(p->timer, to_ns(wait_s) + EBB_NS_PER_MS);
}

bool ebb_revoke_is_unavailable(struct ebb_emulator *e, int zone, int type)
{
    double now_s = ebb_emulator_now_s(e);

    if (now_s < e->zone_unavailable_until_s[zone])
        return true;
    for (size_t i = 0; i < e->fleet->trace_count; i++) {
        const struct ebb_fleet_trace *t = &e->fleet->traces[i];

        if ((t->zone < 0 || t->zone == zone) && (t->type < 0 || t->type == type) &&
            !ebb_trace_available(t, now_s))
            return true;
    }
    return false;
}

void ebb_revoke_start(struct ebb_emulator *e)
{
    for (size_t i = 0; i < e->fleet->revocation_count; i++)
        if (e->fleet->revocations[i].when.vm == 0)
            plan(e, &e->fleet->revocations[i], NULL, e->fleet->revocations[i].when.at_s);
    for (size_t i = 0; i < e->fleet->trace_count; i++) {
        struct replay *p = ebb_alloc(sizeof(*p));

        *p = (struct replay){.emulator = e, .trace = &e->fleet->traces[i]};
        ebb_emulator_own(e, p);
        p->timer = ebb_emulator_timer(e, on_trace, p);
        ebb_timer_set(p->timer, 0);
    }
}
