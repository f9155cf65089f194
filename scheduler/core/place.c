/* Ready jobs onto VMs with room: groups by priority, VMs by age, so that old VMs fill up and young
 * ones fall idle. Jobs without a GPU stay off GPU VMs while jobs that need one are ready. Jobs
 * whose deadline is safe on demand alone go there first. */
#include <stdlib.h>

#include "base/memory.h"
#include "scheduler/core/cap.h"
#include "scheduler/core/deadline.h"
#include "scheduler/core/fold.h"
#include "scheduler/core/planner.h"

#define LOOK_AHEAD 16 /* past jobs that were refused a moment ago */

struct cursor {
    uint32_t job; /* next to place */
    struct ebb_need need;
    uint32_t gang;
    bool must_on_demand; /* its deadline is safe there alone */
    double interval_s;
    uint32_t interval_vm;
};

struct room {
    int64_t millicpus, memory_bytes, gpus;
};

struct placer {
    const struct ebb_state *s;
    struct room *rooms; /* what is left, by s->live */
    const struct ebb_policy *policy;
    int64_t now_wall_ns;
    struct cursor *cursors; /* of s->active */
    bool gpu_wanted;
    struct ebb_placement *ret;
    size_t count, max;
};

static bool fits(const struct room *room, const struct ebb_need *need)
{
    return need->millicpus <= room->millicpus && need->memory_bytes <= room->memory_bytes &&
           need->gpus <= room->gpus;
}

/* A job that a VM refused waits 2, 4, 8 ... 64 seconds for its next try. */
static bool waits(const struct ebb_job *j, int64_t now_wall_ns)
{
    if (j->refusals == 0)
        return false;
    unsigned shift = j->refusals < 6 ? j->refusals : 6;
    return now_wall_ns < j->since_wall_ns + (INT64_C(1000000000) << shift);
}

/* The group's next job that may be placed, or EBB_NONE; the cursor moves behind it. */
static uint32_t take_next(const struct placer *w, size_t g)
{
    const struct ebb_job *jobs = w->s->bags[w->s->active[g]->bag]->jobs;
    uint32_t job = w->cursors[g].job;
    for (int ahead = 0; job != EBB_NONE && ahead < LOOK_AHEAD; ahead++, job = jobs[job].next) {
        if (!waits(&jobs[job], w->now_wall_ns)) {
            w->cursors[g].job = jobs[job].next;
            return job;
        }
    }
    w->cursors[g].job = EBB_NONE;
    return EBB_NONE;
}

static void emit(struct placer *w, size_t g, const struct ebb_vm *vm, uint32_t job)
{
    const struct ebb_group *group = w->s->active[g];
    struct cursor *c = &w->cursors[g];
    if (c->interval_vm != vm->index) {
        c->interval_vm = vm->index;
        c->interval_s = ebb_plan_interval_s(w->s, w->policy, group, vm->offer,
                                            ebb_vm_age_s(vm, w->now_wall_ns), w->now_wall_ns);
    }
    const struct ebb_job *j = &w->s->bags[group->bag]->jobs[job];
    w->ret[w->count++] = (struct ebb_placement){.bag = group->bag,
                                                .vm = vm->index,
                                                .gang = 1,
                                                .job = job,
                                                .checkpoint_interval_s = c->interval_s,
                                                .resume = j->checkpoint_sequence > 0};
}

static void take(struct room *room, const struct ebb_need *need)
{
    room->millicpus -= need->millicpus;
    room->memory_bytes -= need->memory_bytes;
    room->gpus -= need->gpus;
}

/* Kept empty for a gang that is not complete yet. */
static bool waits_for_gang(const struct placer *w, size_t g, size_t live)
{
    const struct cursor *c = &w->cursors[g];
    const struct ebb_vm *vm = w->s->vms[w->s->live[live]];
    return c->gang > 1 && c->job != EBB_NONE && vm->lease_count == 0 &&
           fits(&w->rooms[live], &c->need) &&
           ebb_gpu_model_fits(w->s->active[g]->spec->resources, vm->offer->gpu_model);
}

/* `must`: only groups whose deadline is safe on demand alone. */
static void fill_vm(struct placer *w, size_t live, bool must)
{
    const struct ebb_vm *vm = w->s->vms[w->s->live[live]];
    struct room *room = &w->rooms[live];
    for (size_t g = 0; g < w->s->active_count && w->count < w->max; g++) {
        const struct cursor *c = &w->cursors[g];
        if (waits_for_gang(w, g, live))
            return;
        if (c->job == EBB_NONE || c->gang > 1 || (must && !c->must_on_demand) ||
            (w->gpu_wanted && c->need.gpus == 0 && vm->gpus > 0) ||
            !ebb_gpu_model_fits(w->s->active[g]->spec->resources, vm->offer->gpu_model) ||
            !ebb_cap_lets_in(w->s, w->policy, vm, w->s->active[g], w->now_wall_ns))
            continue;
        while (w->count < w->max && fits(room, &c->need)) {
            uint32_t job = take_next(w, g);
            if (job == EBB_NONE)
                break;
            emit(w, g, vm, job);
            take(room, &c->need);
        }
    }
}

static bool is_open(const struct placer *w, size_t live)
{
    const struct ebb_vm *vm = w->s->vms[w->s->live[live]];
    return ebb_vm_takes_leases(vm) && vm->refusals < w->policy->most_refusals;
}

static void fill_vms(struct placer *w, bool at_risk)
{
    for (size_t i = 0; i < w->s->live_count && w->count < w->max; i++) {
        if (is_open(w, i) && w->rooms[i].millicpus > 0 &&
            w->s->vms[w->s->live[i]]->rebalance == at_risk)
            fill_vm(w, i, false);
    }
}

static void fill_on_demand(struct placer *w)
{
    for (size_t i = 0; i < w->s->live_count && w->count < w->max; i++) {
        if (is_open(w, i) && w->rooms[i].millicpus > 0 &&
            w->s->vms[w->s->live[i]]->offer->market == EBB__MARKET__ON_DEMAND)
            fill_vm(w, i, true);
    }
}

/* ---- gangs: all or none, of one zone, type and market ---- */

/* The VMs from `first` on that are alike and have room; how many, at most the gang's size. */
static uint32_t find_gang(const struct placer *w, size_t g, size_t first, size_t ret[EBB_GANG_MOST])
{
    const struct cursor *c = &w->cursors[g];
    const Ebb__Offer *o = w->s->vms[w->s->live[first]]->offer;
    uint32_t count = 0;
    for (size_t i = first; i < w->s->live_count && count < c->gang; i++) {
        const struct ebb_vm *vm = w->s->vms[w->s->live[i]];
        if (is_open(w, i) && !vm->rebalance && fits(&w->rooms[i], &c->need) &&
            ebb_offer_is_alike(vm->offer, o))
            ret[count++] = i;
    }
    return count;
}

static bool place_gang(struct placer *w, size_t g)
{
    const struct cursor *c = &w->cursors[g];
    size_t vms[EBB_GANG_MOST];
    for (size_t first = 0; first < w->s->live_count; first++) {
        const struct ebb_vm *vm = w->s->vms[w->s->live[first]];
        if (!is_open(w, first) || !fits(&w->rooms[first], &c->need) ||
            !ebb_gpu_model_fits(w->s->active[g]->spec->resources, vm->offer->gpu_model) ||
            find_gang(w, g, first, vms) < c->gang)
            continue;
        uint32_t job = take_next(w, g);
        if (job == EBB_NONE)
            return false;
        emit(w, g, w->s->vms[w->s->live[vms[0]]], job);
        struct ebb_placement *p = &w->ret[w->count - 1];
        p->gang = c->gang;
        for (uint32_t i = 0; i < c->gang; i++) {
            take(&w->rooms[vms[i]], &c->need);
            if (i > 0)
                p->members[i - 1] = w->s->live[vms[i]];
        }
        return true;
    }
    return false;
}

static void place_gangs(struct placer *w)
{
    for (size_t g = 0; g < w->s->active_count; g++) {
        while (w->cursors[g].gang > 1 && w->cursors[g].job != EBB_NONE && w->count < w->max &&
               place_gang(w, g)) {
        }
    }
}

static bool must_on_demand(const struct placer *w, const struct ebb_group *g)
{
    struct ebb_deadline d;
    const struct ebb_plan_input in = {
        .state = w->s, .policy = w->policy, .now_wall_ns = w->now_wall_ns};
    if (w->s->bags[g->bag]->spec->deadline_s <= 0 || !w->policy->use_on_demand ||
        g->first_ready == EBB_NONE)
        return false;
    ebb_deadline_of(&in, g, &d);
    return d.must_on_demand;
}

size_t ebb_place(const struct ebb_state *s, const struct ebb_policy *policy, int64_t now_wall_ns,
                 struct ebb_placement *ret, size_t max)
{
    struct placer w = {
        .s = s, .policy = policy, .now_wall_ns = now_wall_ns, .ret = ret, .max = max};
    bool any = false, any_must = false;
    for (size_t g = 0; g < s->active_count && !any; g++)
        any = s->active[g]->first_ready != EBB_NONE;
    if (!any)
        return 0;
    w.cursors = ebb_alloc_array(s->active_count, sizeof *w.cursors);
    for (size_t g = 0; g < s->active_count; g++) {
        w.cursors[g].job = s->active[g]->first_ready;
        w.cursors[g].need = ebb_need_of(s->active[g]->spec->resources);
        w.cursors[g].interval_vm = EBB_NONE;
        w.cursors[g].gang = ebb_gang_size(s->active[g]->spec->resources);
        w.cursors[g].must_on_demand = must_on_demand(&w, s->active[g]);
        any_must |= w.cursors[g].must_on_demand;
        w.gpu_wanted |= w.cursors[g].job != EBB_NONE && w.cursors[g].need.gpus > 0;
    }
    w.rooms = ebb_alloc_array(s->live_count + 1, sizeof *w.rooms);
    for (size_t i = 0; i < s->live_count; i++) {
        const struct ebb_vm *vm = s->vms[s->live[i]];
        w.rooms[i] = (struct room){vm->free_millicpus, vm->free_memory_bytes, vm->free_gpus};
    }
    place_gangs(&w);
    if (any_must)
        fill_on_demand(&w);
    fill_vms(&w, false);
    fill_vms(&w, true);
    free(w.rooms);
    free(w.cursors);
    return w.count;
}
