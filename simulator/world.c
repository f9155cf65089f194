/* The cloud of a fleet file, moved by the agenda. Where cloud/emulator/ draws (pending, boot, the
 * kind of a notice, rates of faults) this draws the same numbers from the same generator; lifetimes
 * have a generator of their own for each launch, as there. */
#include "simulator/world.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "cloud/emulator/bill.h"
#include "cloud/emulator/lifetime.h"

#define STOPPING_S 0.2
#define TRACE_S    0.001
#define MOST_QUIET 0.9 /* of the first bin of age */
#define BY_LAUNCH  UINT64_C(0x9e3779b97f4a7c15)

const double ebb_pool_bin_from_s[EBB_POOL_BINS + 1] = {0,     900,   3600,  10800,
                                                       21600, 43200, 86400, INFINITY};

enum step { STEP_NOTICE, STEP_SHOW, STEP_END };

static size_t pool_of(const struct ebb_world *w, int zone, int type)
{
    return (size_t)zone * w->fleet->type_count + (size_t)type;
}

static double now_s(const struct ebb_world *w)
{
    return (double)(ebb_agenda_now_ns(w->agenda) - w->origin_ns) / 1e9;
}

static int64_t in_s(const struct ebb_world *w, double s)
{
    return ebb_agenda_after(ebb_agenda_now_ns(w->agenda), s);
}

bool ebb_world_vm_is_live(const struct ebb_world_vm *vm)
{
    return vm->state <= EBB_WORLD_RUNNING;
}

double ebb_pool_draw_s(const double per_hour[EBB_POOL_BINS], double quiet_s, double time_scale,
                       double age_s, double u)
{
    double wanted = -log1p(-u), at = age_s, scale = time_scale > 0 ? time_scale : 1;
    double first_s = ebb_pool_bin_from_s[1], quiet = fmin(fmax(0, quiet_s), MOST_QUIET * first_s);
    for (int b = 0; b < EBB_POOL_BINS; b++) {
        double to = ebb_pool_bin_from_s[b + 1] / scale;
        if (at >= to)
            continue;
        double rate = per_hour[b] / 3600;
        if (b == 0) {
            rate *= first_s / (first_s - quiet);
            at = fmax(at, quiet / scale);
        }
        double most = rate * (to - at);
        if (rate > 0 && wanted <= most)
            return at + wanted / rate - age_s;
        wanted -= rate > 0 ? most : 0;
        at = to;
    }
    return INFINITY;
}

/* Two normals of Box and Muller; the marginal of u is uniform whatever the regime, so that hazards
 * by age hold for any run picked blindly. */
double ebb_pool_next_s(const struct ebb_pool_model *m, bool is_down, double regime[2],
                       double time_scale, struct ebb_random *random)
{
    double radius = sqrt(-2 * log1p(-ebb_random_uniform(random)));
    double angle = 2 * M_PI * ebb_random_uniform(random);
    double share = m->share[is_down], keep = m->keep[is_down];
    regime[is_down] = keep * regime[is_down] + sqrt(1 - keep * keep) * radius * sin(angle);
    double z = sqrt(share) * regime[is_down] + sqrt(1 - share) * radius * cos(angle);
    double u = fmin(erfc(-z / M_SQRT2) / 2, 1 - 0x1p-53);
    return ebb_pool_draw_s(is_down ? m->recovery_per_hour : m->shock_per_hour,
                           is_down ? m->quiet_outage_s : m->quiet_s, time_scale, 0, u);
}

/* ---- ends and revocations ---- */

static void on_gone(void *ctx, uint32_t index, uint32_t b)
{
    struct ebb_world *w = ctx;
    (void)b;
    w->vms[index].state = EBB_WORLD_ENDED;
    w->handlers.gone(w->handlers.ctx, index);
}

static void no_longer_live(struct ebb_world *w, uint32_t index)
{
    uint32_t i = 0;
    while (w->live_vms[i] != index)
        i++;
    memmove(w->live_vms + i, w->live_vms + i + 1, (w->live_vm_count - i - 1) * sizeof *w->live_vms);
    w->live_vm_count--;
    w->live[pool_of(w, w->vms[index].zone, w->vms[index].type)]--;
}

static void end_vm(struct ebb_world *w, uint32_t index, bool interrupted)
{
    struct ebb_world_vm *vm = &w->vms[index];
    if (!ebb_world_vm_is_live(vm))
        return;
    vm->state = EBB_WORLD_STOPPING;
    vm->steps++;
    vm->interrupted = interrupted;
    vm->end_ns = ebb_agenda_now_ns(w->agenda);
    no_longer_live(w, index);
    ebb_agenda_add(w->agenda, in_s(w, STOPPING_S), on_gone, w, index, 0);
    w->handlers.ended(w->handlers.ctx, index);
}

void ebb_world_terminate(struct ebb_world *w, uint32_t vm)
{
    end_vm(w, vm, false);
}

static void on_step(void *ctx, uint32_t index, uint32_t b);

static void wait_for(struct ebb_world *w, uint32_t index, enum step step, double s)
{
    ebb_agenda_add(w->agenda, in_s(w, s), on_step, w, index,
                   (w->vms[index].steps << 2) | (uint32_t)step);
}

static void show_notice(struct ebb_world *w, uint32_t index, double left_s)
{
    w->vms[index].notice_is_shown = true;
    w->handlers.noticed(w->handlers.ctx, index);
    wait_for(w, index, STEP_END, left_s);
}

static void on_step(void *ctx, uint32_t index, uint32_t b)
{
    struct ebb_world *w = ctx;
    struct ebb_world_vm *vm = &w->vms[index];
    const struct ebb_fleet_notice n = vm->notice;
    if (!ebb_world_vm_is_live(vm) || (b >> 2) != (vm->steps & (UINT32_MAX >> 2)))
        return;
    switch ((enum step)(b & 3)) {
    case STEP_NOTICE:
        vm->deadline_ns = in_s(w, n.length_s);
        if (n.kind == EBB_FLEET_NOTICE_NONE)
            end_vm(w, index, true);
        else if (n.kind == EBB_FLEET_NOTICE_LOST)
            wait_for(w, index, STEP_END, n.length_s);
        else if (n.kind == EBB_FLEET_NOTICE_LATE && n.late_by_s > 0)
            wait_for(w, index, STEP_SHOW, fmin(n.late_by_s, n.length_s));
        else
            show_notice(w, index, n.length_s);
        break;
    case STEP_SHOW:
        show_notice(w, index, fmax(0, n.length_s - n.late_by_s));
        break;
    case STEP_END:
        end_vm(w, index, true);
        break;
    }
}

static void revoke(struct ebb_world *w, uint32_t index, const struct ebb_fleet_notice *notice,
                   double rebalance_lead_s)
{
    struct ebb_world_vm *vm = &w->vms[index];
    if (!vm->spot || vm->revoked || !ebb_world_vm_is_live(vm))
        return;
    vm->revoked = true;
    vm->notice = *notice;
    if (rebalance_lead_s >= 0)
        w->handlers.rebalance(w->handlers.ctx, index);
    wait_for(w, index, STEP_NOTICE, rebalance_lead_s > 0 ? rebalance_lead_s : 0);
}

/* Those that live now; -1: any zone, any type. `share` < 1: each with this probability. */
static void revoke_all(struct ebb_world *w, int zone, int type,
                       const struct ebb_fleet_notice *notice, double lead_s, double share)
{
    uint32_t count = w->live_vm_count;
    if (count == 0)
        return;
    EBB_AUTO_FREE uint32_t *live = ebb_memdup(w->live_vms, count * sizeof *live);
    for (uint32_t i = 0; i < count; i++) {
        const struct ebb_world_vm *vm = &w->vms[live[i]];
        if ((zone < 0 || vm->zone == zone) && (type < 0 || vm->type == type) &&
            (share >= 1 || ebb_random_uniform(&w->random) < share))
            revoke(w, live[i], notice, lead_s);
    }
}

/* ---- exact revocations ---- */

static void on_planned(void *ctx, uint32_t revocation, uint32_t vm)
{
    struct ebb_world *w = ctx;
    const struct ebb_fleet_revocation *r = &w->fleet->revocations[revocation];
    bool of_vm = r->when.vm > 0;
    int zone = of_vm && r->whole_zone ? w->vms[vm].zone : r->zone;
    if (of_vm && !r->whole_zone) {
        revoke(w, vm, &r->notice, r->rebalance_lead_s);
        return;
    }
    revoke_all(w, zone, r->type, &r->notice, r->rebalance_lead_s, 1);
    for (size_t z = 0; r->unavailable_s > 0 && z < w->fleet->zone_count; z++) {
        if (zone < 0 || zone == (int)z)
            w->zone_unavailable_until_s[z] =
                fmax(w->zone_unavailable_until_s[z], now_s(w) + r->unavailable_s);
    }
}

/* ---- partitions ---- */

static void on_cut(void *ctx, uint32_t vm, uint32_t begins)
{
    struct ebb_world *w = ctx;
    if (!ebb_world_vm_is_live(&w->vms[vm]) || w->vms[vm].is_cut == (begins != 0))
        return;
    w->vms[vm].is_cut = begins != 0;
    w->handlers.cut(w->handlers.ctx, vm);
}

/* Partitions that are tied to this phase of this VM, or that the VM boots into. */
static void plan_cuts(struct ebb_world *w, uint32_t vm, enum ebb_fleet_phase phase)
{
    for (size_t i = 0; i < w->fleet->fault_count; i++) {
        const struct ebb_fleet_fault *f = &w->fleet->faults[i];
        const struct ebb_fleet_when *when = &f->window.when;
        bool by_vm = when->vm == (int64_t)vm + 1 && when->phase == phase;
        bool by_time = when->vm == 0 && phase == EBB_FLEET_PHASE_LAUNCH;
        if (f->kind != EBB_FLEET_FAULT_PARTITION || !(by_vm || by_time) ||
            (f->vm != 0 && f->vm != (int64_t)vm + 1) ||
            (f->zone >= 0 && f->zone != w->vms[vm].zone))
            continue;
        double from = by_vm ? when->at_s : when->at_s - now_s(w);
        if (from + f->window.for_s <= 0)
            continue;
        ebb_agenda_add(w->agenda, in_s(w, from), on_cut, w, vm, 1);
        ebb_agenda_add(w->agenda, in_s(w, from + f->window.for_s), on_cut, w, vm, 0);
    }
}

/* ---- the life of a VM ---- */

static void reach(struct ebb_world *w, uint32_t vm, enum ebb_fleet_phase phase)
{
    w->vms[vm].phase_ns[phase] = ebb_agenda_now_ns(w->agenda);
    for (size_t i = 0; i < w->fleet->revocation_count; i++) {
        const struct ebb_fleet_when *when = &w->fleet->revocations[i].when;
        if (when->vm == (int64_t)vm + 1 && when->phase == phase)
            ebb_agenda_add(w->agenda, in_s(w, when->at_s), on_planned, w, (uint32_t)i, vm);
    }
    if (w->fleet->fault_count > 0)
        plan_cuts(w, vm, phase);
}

static void on_lifetime(void *ctx, uint32_t vm, uint32_t b)
{
    struct ebb_world *w = ctx;
    (void)b;
    if (!ebb_world_vm_is_live(&w->vms[vm]))
        return;
    if (w->model != NULL) {
        revoke(w, vm, &w->model->notice, -1);
        return;
    }
    const struct ebb_fleet_lifetime *l =
        ebb_lifetime_find(w->fleet, w->vms[vm].zone, w->vms[vm].type);
    struct ebb_fleet_notice notice = ebb_lifetime_notice(l, ebb_random_uniform(&w->random));
    revoke(w, vm, &notice, l->rebalance_lead_s);
}

static void on_cap(void *ctx, uint32_t vm, uint32_t b)
{
    struct ebb_world *w = ctx;
    (void)b;
    if (ebb_world_vm_is_live(&w->vms[vm]))
        revoke(w, vm, w->model != NULL ? &w->model->notice : &w->fleet->notice, -1);
}

/* At its cap a VM is gone: the notice comes before. */
static void start_cap(struct ebb_world *w, uint32_t vm)
{
    double cap_s = w->fleet->types[w->vms[vm].type].cap_s;
    const struct ebb_fleet_notice *n = w->model != NULL ? &w->model->notice : &w->fleet->notice;
    if (cap_s > 0)
        ebb_agenda_add(w->agenda, in_s(w, ebb_fleet_cap_decided_s(cap_s, n)), on_cap, w, vm, 0);
}

static void start_lifetime(struct ebb_world *w, uint32_t vm)
{
    const struct ebb_world_vm *v = &w->vms[vm];
    struct ebb_random random;
    double s = INFINITY;
    if (!v->spot)
        return;
    start_cap(w, vm);
    ebb_random_seed(&random, w->seed ^ ((uint64_t)vm + 1) * BY_LAUNCH);
    if (w->model != NULL && w->model->pools == NULL) {
        s = w->model->lifetime_s(w->model->ctx, v->zone, v->type, ebb_random_uniform(&random));
    } else if (w->model != NULL) {
        const struct ebb_pool_model *m = &w->model->pools[pool_of(w, v->zone, v->type)];
        s = ebb_pool_draw_s(m->own_per_hour, m->quiet_s, w->model->time_scale, 0,
                            ebb_random_uniform(&random));
    } else {
        const struct ebb_fleet_lifetime *l = ebb_lifetime_find(w->fleet, v->zone, v->type);
        if (l != NULL)
            s = ebb_lifetime_quantile(l, ebb_random_uniform(&random));
    }
    ebb_agenda_add(w->agenda, in_s(w, s), on_lifetime, w, vm, 0);
}

static double draw_s(struct ebb_world *w, const struct ebb_fleet_range *r)
{
    return r->from_s + ebb_random_uniform(&w->random) * (r->to_s - r->from_s);
}

static void on_booted(void *ctx, uint32_t vm, uint32_t b)
{
    struct ebb_world *w = ctx;
    (void)b;
    if (!ebb_world_vm_is_live(&w->vms[vm]))
        return;
    reach(w, vm, EBB_FLEET_PHASE_RUNNING);
    w->handlers.booted(w->handlers.ctx, vm);
}

static void on_running(void *ctx, uint32_t vm, uint32_t b)
{
    struct ebb_world *w = ctx;
    (void)b;
    if (w->vms[vm].state != EBB_WORLD_PENDING)
        return;
    w->vms[vm].state = EBB_WORLD_RUNNING;
    w->vms[vm].running_ns = ebb_agenda_now_ns(w->agenda);
    ebb_agenda_add(w->agenda, in_s(w, draw_s(w, &w->fleet->boot)), on_booted, w, vm, 0);
    start_lifetime(w, vm);
    reach(w, vm, EBB_FLEET_PHASE_BOOT);
}

static uint32_t add_vm(struct ebb_world *w, int zone, int type, bool spot)
{
    if (w->vm_count == w->vm_capacity) {
        w->vm_capacity = w->vm_capacity == 0 ? 64 : w->vm_capacity * 2;
        w->vms = ebb_realloc_array(w->vms, w->vm_capacity, sizeof *w->vms);
        w->live_vms = ebb_realloc_array(w->live_vms, w->vm_capacity, sizeof *w->live_vms);
    }
    uint32_t vm = w->vm_count++;
    w->vms[vm] = (struct ebb_world_vm){
        .zone = zone, .type = type, .spot = spot, .launch_ns = ebb_agenda_now_ns(w->agenda)};
    w->live_vms[w->live_vm_count++] = vm;
    w->live[pool_of(w, zone, type)]++;
    return vm;
}

/* ---- launching ---- */

static bool window_is_open(const struct ebb_world *w, const struct ebb_fleet_window *window)
{
    double age_s = now_s(w) - window->when.at_s;
    if (window->when.vm > 0) {
        uint32_t vm = (uint32_t)window->when.vm - 1;
        if (vm >= w->vm_count || w->vms[vm].phase_ns[window->when.phase] == 0)
            return false;
        int64_t since_ns = ebb_agenda_now_ns(w->agenda) - w->vms[vm].phase_ns[window->when.phase];
        age_s = (double)since_ns / 1e9 - window->when.at_s;
    }
    return age_s >= 0 && age_s < window->for_s;
}

static bool applies(struct ebb_world *w, const struct ebb_fleet_fault *f,
                    enum ebb_fleet_fault_kind kind, int zone, int type)
{
    return f->kind == kind && f->service != EBB_FLEET_SERVICE_S3 &&
           (f->action[0] == '\0' || strcmp(f->action, "RunInstances") == 0) &&
           (f->zone < 0 || f->zone == zone) && (f->type < 0 || f->type == type) &&
           window_is_open(w, &f->window) &&
           (f->rate >= 1 || ebb_random_uniform(&w->random) < f->rate);
}

static bool fault_hits(struct ebb_world *w, enum ebb_fleet_fault_kind kind, int zone, int type)
{
    for (size_t i = 0; i < w->fleet->fault_count; i++) {
        if (applies(w, &w->fleet->faults[i], kind, zone, type))
            return true;
    }
    return false;
}

static double latency_s(struct ebb_world *w)
{
    double sum = 0;
    for (size_t i = 0; i < w->fleet->fault_count; i++) {
        const struct ebb_fleet_fault *f = &w->fleet->faults[i];
        if (f->latency_s > 0 && applies(w, f, EBB_FLEET_FAULT_SLOW, -1, -1))
            sum += f->latency_s;
    }
    return sum;
}

static bool is_unavailable(const struct ebb_world *w, int zone, int type)
{
    double s = now_s(w);
    if (s < w->zone_unavailable_until_s[zone])
        return true;
    if (w->model != NULL)
        return w->pool_is_down[pool_of(w, zone, type)];
    for (size_t i = 0; i < w->fleet->trace_count; i++) {
        const struct ebb_fleet_trace *t = &w->fleet->traces[i];
        if ((t->zone < 0 || t->zone == zone) && (t->type < 0 || t->type == type) &&
            !ebb_trace_available(t, s))
            return true;
    }
    return false;
}

int ebb_world_launch(struct ebb_world *w, int zone, int type, bool spot, uint32_t *ret_vm,
                     double *ret_latency_s)
{
    *ret_latency_s = w->fleet->fault_count > 0 ? latency_s(w) : 0;
    if (w->fleet->fault_count > 0) {
        if (fault_hits(w, EBB_FLEET_FAULT_THROTTLE, -1, -1))
            return EBB_ERR_THROTTLED;
        if (fault_hits(w, EBB_FLEET_FAULT_ERROR, -1, -1) ||
            fault_hits(w, EBB_FLEET_FAULT_LOST_ANSWER, -1, -1))
            return EBB_ERR_TIMEOUT;
        if (fault_hits(w, EBB_FLEET_FAULT_QUOTA, zone, type))
            return EBB_ERR_QUOTA;
        if (fault_hits(w, EBB_FLEET_FAULT_NO_CAPACITY, zone, type))
            return EBB_ERR_NO_CAPACITY;
    }
    if (spot && w->fleet->types[type].spot[zone].count == 0)
        return EBB_ERR_UNSUPPORTED;
    if ((spot && is_unavailable(w, zone, type)) ||
        w->live[pool_of(w, zone, type)] + 1 > ebb_fleet_capacity(w->fleet, zone, type))
        return EBB_ERR_NO_CAPACITY;
    uint32_t vm = add_vm(w, zone, type, spot);
    ebb_agenda_add(w->agenda, in_s(w, draw_s(w, &w->fleet->pending)), on_running, w, vm, 0);
    reach(w, vm, EBB_FLEET_PHASE_LAUNCH);
    *ret_vm = vm;
    return 0;
}

/* ---- traces and pools ---- */

static void on_trace(void *ctx, uint32_t trace, uint32_t b)
{
    struct ebb_world *w = ctx;
    const struct ebb_fleet_trace *t = &w->fleet->traces[trace];
    double s = now_s(w) + 1e-6;
    (void)b;
    if (!ebb_trace_available(t, s))
        revoke_all(w, t->zone, t->type, &t->notice, -1, 1);
    double wait_s = ebb_trace_next_change(t, s);
    if (wait_s >= 0)
        ebb_agenda_add(w->agenda, in_s(w, wait_s + TRACE_S), on_trace, w, trace, 0);
}

static void plan_pool(struct ebb_world *w, uint32_t pool, double left_s);

static bool pool_closes(const struct ebb_pool_model *m)
{
    for (int b = 0; b < EBB_POOL_BINS; b++) {
        if (m->recovery_per_hour[b] > 0)
            return true;
    }
    return false;
}

static void on_pool(void *ctx, uint32_t pool, uint32_t b)
{
    struct ebb_world *w = ctx;
    const struct ebb_pool_model *m = &w->model->pools[pool];
    (void)b;
    if (!w->pool_is_down[pool]) {
        double share =
            m->shock_all > 0 && ebb_random_uniform(&w->random) < m->shock_all ? 1 : m->shock_kills;
        revoke_all(w, (int)(pool / w->fleet->type_count), (int)(pool % w->fleet->type_count),
                   &w->model->notice, -1, share);
        w->pool_is_down[pool] = pool_closes(m);
    } else {
        w->pool_is_down[pool] = false;
    }
    plan_pool(w, pool, 0);
}

/* The pool's next change. Each pool draws from a generator of its own, so that two runs that
 * differ in a decision meet the same outages. */
static void plan_pool(struct ebb_world *w, uint32_t pool, double left_s)
{
    const struct ebb_pool_model *m = &w->model->pools[pool];
    struct ebb_random random;
    w->pool_turns[pool]++;
    ebb_random_seed(&random, (w->seed + pool * BY_LAUNCH) ^ w->pool_turns[pool]);
    double s = left_s > 0 ? left_s
                          : ebb_pool_next_s(m, w->pool_is_down[pool], w->pool_regime[pool],
                                            w->model->time_scale, &random);
    ebb_agenda_add(w->agenda, in_s(w, s), on_pool, w, pool, 0);
}

/* ---- prices and the bill ---- */

bool ebb_world_price(const struct ebb_world *w, int zone, int type, size_t n, int64_t *ret_from_ns,
                     int64_t *ret_usd_micros)
{
    const struct ebb_fleet_prices *p = &w->fleet->types[type].spot[zone];
    if (n >= p->count)
        return false;
    double at_s = (double)(w->origin_ns % EBB_NS_PER_S) / 1e9 + p->steps[n].at_s;
    *ret_from_ns = (w->origin_ns / EBB_NS_PER_S + (int64_t)floor(at_s)) * EBB_NS_PER_S;
    *ret_usd_micros = p->steps[n].usd_micros_per_hour;
    return true;
}

static void on_price(void *ctx, uint32_t a, uint32_t b)
{
    struct ebb_world *w = ctx;
    (void)a;
    (void)b;
    w->handlers.priced(w->handlers.ctx);
}

static void plan_prices(struct ebb_world *w)
{
    int64_t from_ns, usd_micros;
    for (size_t z = 0; z < w->fleet->zone_count; z++) {
        for (size_t t = 0; t < w->fleet->type_count; t++) {
            for (size_t n = 1; ebb_world_price(w, (int)z, (int)t, n, &from_ns, &usd_micros); n++) {
                if (from_ns > w->origin_ns)
                    ebb_agenda_add(w->agenda, from_ns, on_price, w, 0, 0);
            }
        }
    }
}

static int64_t charge(const struct ebb_world *w, const struct ebb_world_vm *vm)
{
    const struct ebb_fleet_type *t = &w->fleet->types[vm->type];
    struct ebb_bill_line line = {
        .spot = vm->spot, .start_s = vm->running_ns / EBB_NS_PER_S, .end_s = 0};
    struct ebb_bill_price fixed = {.usd_micros_per_hour = t->on_demand_usd_micros_per_hour};
    int64_t end_ns = vm->end_ns != 0 ? vm->end_ns : ebb_agenda_now_ns(w->agenda);
    size_t count = 1;
    line.end_s = end_ns / EBB_NS_PER_S;
    struct ebb_bill_price *prices =
        vm->spot ? ebb_bill_prices(&t->spot[vm->zone], w->origin_ns, &count) : &fixed;
    ebb_bill_charge(&line, w->fleet->time_scale, vm->interrupted, prices, count);
    if (vm->spot)
        free(prices);
    return line.usd_micros;
}

int64_t ebb_world_bill_usd_micros(const struct ebb_world *w)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < w->vm_count; i++)
        sum += charge(w, &w->vms[i]);
    return sum;
}

/* ---- begin and end ---- */

static void start_pools(struct ebb_world *w)
{
    size_t pools = w->fleet->zone_count * w->fleet->type_count;
    w->pool_is_down = ebb_alloc_array(pools + 1, sizeof *w->pool_is_down);
    w->pool_regime = ebb_alloc_array(pools + 1, sizeof *w->pool_regime);
    w->pool_turns = ebb_alloc_array(pools + 1, sizeof *w->pool_turns);
    for (size_t p = 0; w->model != NULL && w->model->pools != NULL && p < pools; p++) {
        w->pool_is_down[p] = w->model->pools[p].is_down;
        memcpy(w->pool_regime[p], w->model->pools[p].regime, sizeof w->pool_regime[p]);
        plan_pool(w, (uint32_t)p, w->model->pools[p].left_s);
    }
}

struct ebb_world *ebb_world_new(struct ebb_agenda *agenda, const struct ebb_fleet *fleet,
                                const struct ebb_world_model *model, uint64_t seed,
                                const struct ebb_world_handlers *handlers)
{
    struct ebb_world *w = ebb_alloc(sizeof *w);
    w->agenda = agenda;
    w->fleet = fleet;
    w->model = model;
    w->handlers = *handlers;
    w->origin_ns = ebb_agenda_now_ns(agenda);
    w->seed = seed;
    ebb_random_seed(&w->random, seed);
    w->live = ebb_alloc_array(fleet->zone_count * fleet->type_count + 1, sizeof *w->live);
    w->zone_unavailable_until_s =
        ebb_alloc_array(fleet->zone_count + 1, sizeof *w->zone_unavailable_until_s);
    for (size_t i = 0; i < fleet->revocation_count; i++) {
        if (fleet->revocations[i].when.vm == 0)
            ebb_agenda_add(agenda, in_s(w, fleet->revocations[i].when.at_s), on_planned, w,
                           (uint32_t)i, 0);
    }
    for (size_t i = 0; model == NULL && i < fleet->trace_count; i++)
        ebb_agenda_add(agenda, w->origin_ns, on_trace, w, (uint32_t)i, 0);
    start_pools(w);
    plan_prices(w);
    return w;
}

void ebb_world_destroy(struct ebb_world *w)
{
    if (w == NULL)
        return;
    free(w->vms);
    free(w->live);
    free(w->live_vms);
    free(w->zone_unavailable_until_s);
    free(w->pool_is_down);
    free(w->pool_regime);
    free(w->pool_turns);
    free(w);
}
