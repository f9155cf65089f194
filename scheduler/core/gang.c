/* Gangs in the planner: rooms that are alike, and what is missing launched beside them. */
#include "scheduler/core/gang.h"

#include <stdio.h>
#include <string.h>

#include "scheduler/core/fold.h"
#include "scheduler/core/planning.h"

uint32_t ebb_gang_size(const Ebb__Resources *r)
{
    return r == NULL || r->vms < 1 ? 1 : r->vms < EBB_GANG_MOST ? r->vms : EBB_GANG_MOST;
}

bool ebb_offer_is_alike(const Ebb__Offer *a, const Ebb__Offer *b)
{
    return a == b || (strcmp(a->zone, b->zone) == 0 && strcmp(a->type, b->type) == 0 &&
                      a->market == b->market && strcmp(a->provider, b->provider) == 0);
}

uint32_t ebb_gang_vms(const struct ebb_state *s, const struct ebb_bag *b, uint64_t job,
                      uint32_t ret[EBB_GANG_MOST])
{
    uint32_t found = 0;
    const struct ebb_lease *own = ebb_state_lease(s, b->spec->id, job, &ret[0]);
    if (own == NULL)
        return 0;
    for (size_t i = 0; i < s->live_count && own->gang > 1 && found + 1 < own->gang; i++) {
        const struct ebb_vm *vm = s->vms[s->live[i]];
        size_t at = ebb_vm_lease_of(vm, b->index, job);
        if (at == SIZE_MAX || vm->leases[at].rank == 0 || vm->leases[at].rank >= own->gang)
            continue;
        ret[vm->leases[at].rank] = vm->index;
        found++;
    }
    return found + 1;
}

static bool is_going(const struct ebb_vm *vm)
{
    return vm->state == EBB_VM_NOTICED || vm->state == EBB_VM_LOST;
}

/* The lowest rank of the lease's gang whose VM goes; the gang's size: none does. */
static uint32_t first_going(const struct planning *w, const struct ebb_lease *lease)
{
    const struct ebb_state *s = w->in->state;
    uint32_t vms[EBB_GANG_MOST];
    uint32_t size = ebb_gang_vms(s, s->bags[lease->bag], lease->job, vms);
    for (uint32_t i = 0; i < size; i++) {
        if (is_going(s->vms[vms[i]]))
            return i;
    }
    return size;
}

bool ebb_gang_leaves_here(const struct planning *w, const struct ebb_lease *lease)
{
    return lease->gang <= 1 || first_going(w, lease) == lease->rank;
}

void ebb_gang_free_leaving(struct planning *w)
{
    const struct ebb_state *s = w->in->state;
    for (size_t i = 0; i < w->room_count; i++) {
        const struct ebb_vm *vm = s->vms[w->rooms[i].vm];
        for (size_t k = 0; k < vm->lease_count; k++) {
            const struct ebb_lease *l = &vm->leases[k];
            if (l->gang <= 1 || first_going(w, l) == l->gang)
                continue;
            struct ebb_need need =
                ebb_need_of(ebb_bag_group_of(s->bags[l->bag], l->job)->spec->resources);
            w->rooms[i].millicpus += need.millicpus;
            w->rooms[i].memory_bytes += need.memory_bytes;
            w->rooms[i].gpus += need.gpus;
        }
    }
}

static bool has_room(const struct planning *w, size_t room, const struct ebb_group *g)
{
    const struct room *r = &w->rooms[room];
    struct ebb_need need = ebb_need_of(g->spec->resources);
    return !r->emptied && ebb_gpu_model_fits(g->spec->resources, r->offer->gpu_model) &&
           need.millicpus <= r->millicpus && need.memory_bytes <= r->memory_bytes &&
           need.gpus <= r->gpus;
}

/* Rooms like the offer, taken when `take` and there are as many as wanted. */
static uint32_t rooms_like(struct planning *w, const struct ebb_group *g, const Ebb__Offer *like,
                           uint32_t wanted, bool take)
{
    struct ebb_need need = ebb_need_of(g->spec->resources);
    uint32_t count = 0;
    for (size_t i = 0; i < w->room_count && count < wanted; i++) {
        if (!ebb_offer_is_alike(w->rooms[i].offer, like) || !has_room(w, i, g))
            continue;
        count++;
        if (take)
            ebb_room_take(&w->rooms[i], &need, g->spec->resources, 1);
    }
    return count;
}

uint64_t ebb_gang_fill(struct planning *w, const struct ebb_group *g, uint64_t jobs, bool must)
{
    uint32_t size = ebb_gang_size(g->spec->resources);
    for (size_t i = 0; i < w->room_count && jobs > 0; i++) {
        const Ebb__Offer *o = w->rooms[i].offer;
        if (must && o->market != EBB__MARKET__ON_DEMAND)
            continue;
        while (jobs > 0 && has_room(w, i, g) && rooms_like(w, g, o, size, false) == size) {
            rooms_like(w, g, o, size, true);
            jobs--;
        }
    }
    return jobs;
}

/* One job's VMs beside those that are there, on the cheapest offer that may grant all of them. */
static bool launch_one(struct planning *w, const struct ebb_group *g, const char *reason)
{
    uint32_t size = ebb_gang_size(g->spec->resources);
    for (size_t i = 0; i < w->candidate_count; i++) {
        struct candidate *c = &w->candidates[i];
        const Ebb__Offer *o = w->in->offers[c->offer];
        uint32_t missing = size - rooms_like(w, g, o, size, false);
        if (c->most < missing || w->vms + missing > w->in->policy->max_vms)
            continue;
        c->most -= c->most == UINT32_MAX ? 0 : missing;
        for (uint32_t k = 0; k < missing; k++)
            ebb_planning_launch(w, c, reason);
        rooms_like(w, g, o, size, true);
        return true;
    }
    return false;
}

void ebb_gang_launch(struct planning *w, const struct ebb_group *g, uint64_t jobs, bool must)
{
    char reason[200];
    uint32_t size = ebb_gang_size(g->spec->resources);
    snprintf(reason, sizeof reason, "a job of '%s' runs on %u VMs of one zone at once%s",
             g->spec->name, size, must ? "; on demand, as the deadline leaves no choice" : "");
    while (jobs > 0 && launch_one(w, g, reason))
        jobs--;
    if (jobs == 0)
        return;
    snprintf(reason, sizeof reason,
             "'%s': no zone may have %u VMs more at once; a part of them would be of no use",
             g->spec->name, size);
    ebb_planning_note(w, reason);
}
