/* What to launch and what to end.
 *
 *   ready jobs --> onto the room that living VMs have (imagined) --> what is left wants new VMs
 *              --> offers by expected cost per finished job --> spread over zones --> launches
 *
 * A VM that got no job in imagination is idle; idle.c says what its next use is worth. Nothing here
 * looks at the order of the offers: candidates are sorted by cost and, where that is equal, by
 * type, zone and market. */
#include "scheduler/core/planning.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "scheduler/core/cap.h"
#include "scheduler/core/cool_down.h"
#include "scheduler/core/market.h"

void ebb_planning_note(struct planning *w, const char *text)
{
    ebb_buffer_printf(&w->notes, "%s\n", text);
}

void ebb_planning_again(struct planning *w, int64_t wall_ns)
{
    if (wall_ns > w->in->now_wall_ns && wall_ns < w->ret->again_wall_ns)
        w->ret->again_wall_ns = wall_ns;
}

static struct room *add_room(struct planning *w)
{
    if (w->room_count == w->room_capacity) {
        w->room_capacity = w->room_capacity == 0 ? 64 : w->room_capacity * 2;
        w->rooms = ebb_realloc_array(w->rooms, w->room_capacity, sizeof *w->rooms);
    }
    return &w->rooms[w->room_count++];
}

static void collect_rooms(struct planning *w)
{
    const struct ebb_state *s = w->in->state;
    for (size_t i = 0; i < s->live_count; i++) {
        const struct ebb_vm *vm = s->vms[s->live[i]];
        w->dying += vm->state == EBB_VM_NOTICED || vm->state == EBB_VM_LOST;
        w->draining += vm->state == EBB_VM_TERMINATING && vm->lease_count > 0;
        if (vm->state > EBB_VM_READY)
            continue;
        w->vms++;
        if (vm->refusals >= w->in->policy->most_refusals)
            continue;
        *add_room(w) = (struct room){.vm = vm->index,
                                     .offer = vm->offer,
                                     .millicpus = vm->free_millicpus,
                                     .memory_bytes = vm->free_memory_bytes,
                                     .gpus = vm->free_gpus,
                                     .used = vm->lease_count > 0};
    }
    if (w->dying > 0)
        ebb_gang_free_leaving(w);
}

uint64_t ebb_room_take(struct room *room, const struct ebb_need *need, const Ebb__Resources *r,
                       uint64_t jobs)
{
    if (need->gpus > 0 && !ebb_gpu_model_fits(r, room->offer->gpu_model))
        return 0;
    int64_t fit = room->millicpus / need->millicpus;
    if (room->memory_bytes / need->memory_bytes < fit)
        fit = room->memory_bytes / need->memory_bytes;
    if (need->gpus > 0 && room->gpus / need->gpus < fit)
        fit = room->gpus / need->gpus;
    if (fit <= 0)
        return 0;
    if ((uint64_t)fit > jobs)
        fit = (int64_t)jobs;
    room->millicpus -= fit * need->millicpus;
    room->memory_bytes -= fit * need->memory_bytes;
    room->gpus -= fit * need->gpus;
    room->used = true;
    return (uint64_t)fit;
}

bool ebb_planning_lets_in(const struct planning *w, const struct room *room,
                          const struct ebb_group *g)
{
    const struct ebb_state *s = w->in->state;
    return room->vm == EBB_NONE ||
           ebb_cap_lets_in(s, w->in->policy, s->vms[room->vm], g, w->in->now_wall_ns);
}

/* With `must` only on-demand VMs count. */
static uint64_t fill_rooms(struct planning *w, const struct ebb_group *g, uint64_t jobs, bool must)
{
    struct ebb_need need = ebb_need_of(g->spec->resources);
    if (ebb_gang_size(g->spec->resources) > 1)
        return ebb_gang_fill(w, g, jobs, must);
    for (size_t i = 0; i < w->room_count && jobs > 0; i++) {
        if (must && w->rooms[i].offer->market != EBB__MARKET__ON_DEMAND)
            continue;
        if (ebb_planning_lets_in(w, &w->rooms[i], g))
            jobs -= ebb_room_take(&w->rooms[i], &need, g->spec->resources, jobs);
    }
    return jobs;
}

/* Some VM of the pool will be able to run the group's jobs when it is free. */
static bool pool_can_run(const struct planning *w, const struct ebb_group *g)
{
    for (size_t i = 0; i < w->room_count; i++) {
        if (ebb_offer_slots(w->rooms[i].offer, g->spec->resources) > 0)
            return true;
    }
    return false;
}

struct sorting {
    const struct ebb_plan_input *in;
};

static int by_cost(const void *a, const void *b, void *ctx)
{
    const struct candidate *x = a, *y = b;
    const struct sorting *s = ctx;
    if (x->score.rank != y->score.rank)
        return x->score.rank < y->score.rank ? -1 : 1;
    return ebb_offer_compare(s->in->offers[x->offer], s->in->offers[y->offer]);
}

static bool is_allowed(const struct planning *w, const Ebb__Offer *offer, bool must_on_demand)
{
    if (offer->market == EBB__MARKET__ON_DEMAND)
        return w->in->policy->use_on_demand;
    return w->in->policy->use_spot && !(must_on_demand && w->in->policy->use_on_demand);
}

/* An offer that has refused is tried with one launch, and with one more at once for each that it
 * grants (so the number doubles with each round): a pool without room is not asked for a hundred.
 */
static uint32_t most_launches(const struct planning *w, const Ebb__Offer *offer)
{
    const struct ebb_market_entry *e =
        ebb_market_find(w->in->state->market, offer->zone, offer->type, offer->market);
    if (e == NULL || e->refused_wall_ns == 0)
        return UINT32_MAX;
    uint32_t under_way = 0;
    for (size_t i = 0; i < w->in->state->live_count; i++) {
        const struct ebb_vm *vm = w->in->state->vms[w->in->state->live[i]];
        under_way += vm->state == EBB_VM_INTENDED && ebb_offer_compare(vm->offer, offer) == 0;
    }
    for (size_t i = 0; i < w->ret->launch_count; i++) {
        const struct ebb_plan_launch *l = &w->ret->launches[i];
        under_way += w->in->offers[l->offer] == offer ? l->count : 0;
    }
    return under_way > e->granted ? 0 : 1 + e->granted - under_way;
}

static void score_all(struct planning *w, const struct ebb_demand *d)
{
    for (size_t i = 0; i < w->in->offer_count; i++) {
        w->scores[i] = (struct ebb_score){0};
        if (is_allowed(w, w->in->offers[i], false))
            ebb_score_offer(w->in, d, w->in->offers[i], &w->scores[i]);
    }
}

/* What the cheapest spot offer would cost, also one that is left alone for the moment: on demand is
 * worth it when it beats that, and not for want of patience. */
static double patient_cost(const struct planning *w)
{
    double best = INFINITY;
    for (size_t i = 0; i < w->in->offer_count; i++) {
        if (w->scores[i].slots > 0 && w->in->offers[i]->market == EBB__MARKET__SPOT)
            best = fmin(best, w->scores[i].rank);
    }
    return best;
}

/* The candidates by the scores that there are. */
static void find_scored(struct planning *w, bool must_on_demand, bool impatient)
{
    double patient = must_on_demand || impatient ? INFINITY : patient_cost(w);
    w->candidate_count = 0;
    for (size_t i = 0; i < w->in->offer_count; i++) {
        const Ebb__Offer *offer = w->in->offers[i];
        if (w->scores[i].slots == 0 || !is_allowed(w, offer, must_on_demand) ||
            (offer->market == EBB__MARKET__ON_DEMAND && w->scores[i].rank >= patient))
            continue;
        int64_t cool = ebb_plan_cool_until(w->in->state, w->in->policy, offer);
        if (cool > w->in->now_wall_ns) {
            ebb_planning_again(w, cool);
            continue;
        }
        w->candidates[w->candidate_count++] =
            (struct candidate){.offer = i, .score = w->scores[i], .most = most_launches(w, offer)};
    }
    struct sorting sorting = {w->in};
    if (w->candidate_count > 1)
        qsort_r(w->candidates, w->candidate_count, sizeof *w->candidates, by_cost, &sorting);
}

void ebb_planning_find(struct planning *w, const struct ebb_demand *d, bool must_on_demand)
{
    score_all(w, d);
    find_scored(w, must_on_demand, false);
}

void ebb_planning_find_any(struct planning *w, const struct ebb_demand *d, bool must_on_demand)
{
    score_all(w, d);
    find_scored(w, must_on_demand, true);
}

static uint32_t vms_in_zone(const struct planning *w, const char *zone)
{
    uint32_t count = 0;
    for (size_t i = 0; i < w->room_count; i++) {
        const Ebb__Offer *o = w->rooms[i].offer;
        count += o->market == EBB__MARKET__SPOT && strcmp(o->zone, zone) == 0;
    }
    return count;
}

/* The cheapest candidate in a zone that does not hold its share yet, as long as the diversion is
 * affordable; otherwise the cheapest. NULL: those that are affordable have as many launches under
 * way as they are trusted with; their answers bring the next plan. */
static struct candidate *choose(const struct planning *w, uint32_t planned)
{
    struct candidate *best = &w->candidates[0], *second = NULL;
    double cap = fmax(1, ceil(w->in->policy->max_zone_share * (double)planned));
    double limit = best->score.rank * w->in->policy->spread_factor;
    const char *full = NULL;
    for (size_t i = 0; i < w->candidate_count; i++) {
        struct candidate *c = &w->candidates[i];
        const Ebb__Offer *o = w->in->offers[c->offer];
        if (c->score.rank > limit)
            break;
        if (c->most == 0)
            continue;
        if (second == NULL)
            second = c;
        if (o->market == EBB__MARKET__ON_DEMAND)
            return c;
        if (full != NULL && strcmp(o->zone, full) == 0)
            continue;
        if (vms_in_zone(w, o->zone) < cap)
            return c;
        full = o->zone;
    }
    return second;
}

/* The best of those that lost: of another offer. */
static const struct candidate *next_best(const struct planning *w, const struct candidate *c)
{
    for (size_t i = 0; i < w->candidate_count; i++) {
        if (&w->candidates[i] != c)
            return &w->candidates[i];
    }
    return NULL;
}

/* Waiting for spot is expected to cost the group more than on demand does. */
static bool is_impatient(const struct planning *w, const struct ebb_group *g)
{
    size_t i = ebb_planning_group(w, g);
    return w->priced[i] && ebb_time_take_on_demand(w->tables, &w->prices[i].problem);
}

static void explain_launch(const struct planning *w, const struct candidate *c,
                           const struct ebb_group *g, bool must_on_demand, char *out, size_t size)
{
    const Ebb__Offer *o = w->in->offers[c->offer];
    const struct candidate *next = next_best(w, c);
    char price[EBB_QUANTITY_TEXT_SIZE], cost[EBB_QUANTITY_TEXT_SIZE], hour[EBB_QUANTITY_TEXT_SIZE];
    const char *why = "";
    if (must_on_demand)
        why = "; on demand, as the deadline leaves no choice";
    else if (o->market == EBB__MARKET__ON_DEMAND && is_impatient(w, g))
        why = "; on demand, as a wait for spot is expected to cost more before the deadline";
    else if (c != &w->candidates[0])
        why = "; not the cheapest, so that one zone does not hold too many";
    int n = snprintf(
        out, size, "%s a job of '%s': %s/h, %u at once, %.2g revocations/h, %s a useful hour%s",
        ebb_format_usd((int64_t)c->score.usd_micros_per_job, cost), g->spec->name,
        ebb_format_usd(o->usd_micros_per_hour, price), c->score.slots, c->score.hazard_per_hour,
        ebb_format_usd((int64_t)c->score.usd_micros_per_useful_hour, hour), why);
    if (next == NULL || n < 0 || (size_t)n >= size)
        return;
    const Ebb__Offer *other = w->in->offers[next->offer];
    snprintf(out + n, size - (size_t)n, "; %s %s%s: %s a job", other->type, other->zone,
             other->market == EBB__MARKET__ON_DEMAND ? " on demand" : "",
             ebb_format_usd((int64_t)next->score.usd_micros_per_job, cost));
}

static void add_launch(struct planning *w, const struct candidate *c, const char *reason)
{
    struct ebb_plan *p = w->ret;
    for (size_t i = 0; i < p->launch_count; i++) {
        if (p->launches[i].offer == c->offer) {
            p->launches[i].count++;
            return;
        }
    }
    if (p->launch_count == p->launch_capacity) {
        p->launch_capacity = p->launch_capacity == 0 ? 8 : p->launch_capacity * 2;
        p->launches = ebb_realloc_array(p->launches, p->launch_capacity, sizeof *p->launches);
    }
    struct ebb_plan_launch *launch = &p->launches[p->launch_count++];
    *launch = (struct ebb_plan_launch){.offer = c->offer, .count = 1};
    snprintf(launch->reason, sizeof launch->reason, "%s", reason);
}

struct room *ebb_planning_launch(struct planning *w, const struct candidate *c, const char *reason)
{
    const Ebb__Offer *o = w->in->offers[c->offer];
    add_launch(w, c, reason);
    struct room *room = add_room(w);
    *room = (struct room){.vm = EBB_NONE,
                          .offer = o,
                          .millicpus = (int64_t)(o->cpus * 1000 + 0.5),
                          .memory_bytes = (int64_t)(o->memory_bytes & INT64_MAX),
                          .gpus = o->gpus};
    w->vms++;
    return room;
}

static void no_offer(struct planning *w, const struct ebb_group *g, bool must_on_demand)
{
    struct ebb_need need = ebb_need_of(g->spec->resources);
    size_t cooling = 0, dear = 0, allowed = 0, capped = 0;
    char memory[EBB_QUANTITY_TEXT_SIZE], line[320];
    for (size_t i = 0; i < w->in->offer_count; i++) {
        const Ebb__Offer *o = w->in->offers[i];
        if (!is_allowed(w, o, must_on_demand))
            continue;
        allowed++;
        bool fits = ebb_offer_slots(o, g->spec->resources) > 0;
        if (fits && w->scores[i].is_capped) {
            capped++;
            continue;
        }
        bool is_cool = ebb_plan_cool_until(w->in->state, w->in->policy, o) > w->in->now_wall_ns;
        cooling += fits && is_cool;
        dear += fits && !is_cool;
    }
    if (cooling == 0 && capped > 0)
        snprintf(line, sizeof line,
                 "'%s': %zu offers that fit end their VMs before a job would be done, and it makes "
                 "no checkpoints",
                 g->spec->name, capped);
    else if (cooling > 0)
        snprintf(line, sizeof line,
                 "'%s': the %zu offers that fit have just refused a launch and are left alone for "
                 "a while%s",
                 g->spec->name, cooling,
                 dear > 0 ? "; on demand would cost more than the wait" : "");
    else
        snprintf(line, sizeof line,
                 "'%s': none of %zu offers has %g CPUs, %s of memory and %lld GPUs%s",
                 g->spec->name, allowed, (double)need.millicpus / 1000,
                 ebb_format_size((uint64_t)need.memory_bytes, memory), (long long)need.gpus,
                 g->spec->resources != NULL && g->spec->resources->n_gpu_models > 0
                     ? " of the models named"
                     : "");
    ebb_planning_note(w, line);
}

/* Where the VMs that the limit leaves could not make the deadline if they were small, only those
 * stay candidates that can run enough jobs at once, or else the largest. */
static void keep_large_enough(struct planning *w, const struct ebb_group *g,
                              const struct ebb_demand *d, uint64_t jobs)
{
    double slots = ebb_deadline_slots(w->in, g, d, (double)jobs);
    uint32_t vms = w->in->policy->max_vms > w->vms ? w->in->policy->max_vms - w->vms : 0;
    if (slots <= vms || vms == 0)
        return;
    uint32_t most = 0, least = (uint32_t)fmin(ceil(slots / vms), UINT32_MAX);
    size_t kept = 0;
    for (size_t i = 0; i < w->candidate_count; i++)
        most = w->candidates[i].score.slots > most ? w->candidates[i].score.slots : most;
    least = least < most ? least : most;
    for (size_t i = 0; i < w->candidate_count; i++) {
        if (w->candidates[i].score.slots >= least)
            w->candidates[kept++] = w->candidates[i];
    }
    w->candidate_count = kept;
}

/* How many VMs for `jobs` more jobs of the group, none of which finds room now. */
static uint32_t vms_wanted(struct planning *w, const struct ebb_group *g,
                           const struct ebb_demand *d, uint64_t jobs)
{
    uint32_t slots = w->candidates[0].score.slots;
    double vms = ebb_demand_vms(w->in, d, (double)jobs, slots);
    double needed = ebb_deadline_vms(w->in, g, d, (double)jobs, slots);
    vms = fmax(vms, needed);
    if (vms < 1 && !pool_can_run(w, g))
        vms = 1;
    uint32_t most = w->in->policy->max_vms > w->vms ? w->in->policy->max_vms - w->vms : 0;
    if (vms > most) {
        char line[200];
        snprintf(line, sizeof line, "'%s': %.0f more VMs would be of use, but the limit is %u",
                 g->spec->name, vms - most, w->in->policy->max_vms);
        ebb_planning_note(w, line);
        vms = most;
    }
    return (uint32_t)vms;
}

/* After a bulk revocation not everything is launched at once. */
static uint32_t spread_in_time(struct planning *w, uint32_t vms)
{
    int64_t revoked = ebb_market_revoked_wall_ns(w->in->state->market);
    int64_t end = revoked + (int64_t)(w->in->policy->jitter_s * 1e9);
    if (w->dying < 2 || revoked == 0 || w->in->now_wall_ns >= end || vms < 2)
        return vms;
    ebb_planning_again(w, w->in->now_wall_ns + (int64_t)((double)(end - w->in->now_wall_ns) *
                                                         (1 - w->in->random / 2)));
    return (uint32_t)ceil(w->in->random * vms);
}

/* Scores of all offers, with what a job's second is worth to its bag in their ranks. */
static void score_in_time(struct planning *w, const struct ebb_group *g, struct ebb_demand *d,
                          const struct ebb_deadline *deadline)
{
    size_t i = ebb_planning_group(w, g);
    score_all(w, d);
    ebb_time_price_of(w->in, d, deadline, w->scores, w->tables, &w->prices[i]);
    w->priced[i] = true;
    d->usd_micros_per_s = w->prices[i].usd_micros_per_s;
    for (size_t k = 0; d->usd_micros_per_s > 0 && k < w->in->offer_count; k++)
        ebb_score_rank(d, &w->scores[k]);
}

const struct ebb_time_price *ebb_planning_price(struct planning *w, const struct ebb_group *g)
{
    size_t i = ebb_planning_group(w, g);
    if (!w->priced[i]) {
        struct ebb_demand d;
        struct ebb_deadline deadline;
        ebb_demand_of_group(w->in, g, &d);
        d.jobs = fmax(1, d.jobs);
        ebb_deadline_of(w->in, g, &deadline);
        score_in_time(w, g, &d, &deadline);
    }
    return &w->prices[i];
}

static void launch_for(struct planning *w, const struct ebb_group *g, uint64_t jobs,
                       const struct ebb_deadline *deadline)
{
    struct ebb_demand d;
    ebb_demand_of_group(w->in, g, &d);
    d.jobs = (double)jobs;
    bool must = deadline->must_on_demand;
    score_in_time(w, g, &d, deadline);
    find_scored(w, must, is_impatient(w, g));
    if (w->candidate_count == 0) {
        no_offer(w, g, must);
        return;
    }
    if (d.gang > 1) {
        ebb_gang_launch(w, g, jobs, must);
        return;
    }
    keep_large_enough(w, g, &d, jobs);
    char reason[sizeof((struct ebb_plan_launch *)0)->reason];
    uint32_t vms = spread_in_time(w, vms_wanted(w, g, &d, jobs));
    uint32_t planned = w->vms + vms;
    struct ebb_need need = ebb_need_of(g->spec->resources);
    for (uint32_t i = 0; i < vms && jobs > 0; i++) {
        if (i > 0 && jobs < w->candidates[0].score.slots && (double)jobs < d.jobs) {
            d.jobs = (double)jobs; /* the rest may be better off on a smaller VM */
            ebb_planning_find(w, &d, must);
        }
        struct candidate *c = choose(w, planned);
        if (c == NULL)
            return;
        c->most -= c->most != UINT32_MAX;
        explain_launch(w, c, g, must, reason, sizeof reason);
        jobs -= ebb_room_take(ebb_planning_launch(w, c, reason), &need, g->spec->resources, jobs);
    }
}

/* Jobs of the group on VMs that the cloud takes or that we empty: they will want another VM in a
 * moment. */
static uint64_t leaving_jobs(const struct planning *w, const struct ebb_group *g)
{
    const struct ebb_state *s = w->in->state;
    uint64_t jobs = 0;
    for (size_t i = 0; w->dying + w->draining > 0 && i < s->live_count; i++) {
        const struct ebb_vm *vm = s->vms[s->live[i]];
        if (vm->state < EBB_VM_NOTICED || vm->state > EBB_VM_TERMINATING)
            continue;
        for (size_t k = 0; k < vm->lease_count; k++)
            jobs += vm->leases[k].bag == g->bag &&
                    ebb_bag_group_of(s->bags[g->bag], vm->leases[k].job) == g &&
                    ebb_gang_leaves_here(w, &vm->leases[k]);
    }
    return jobs;
}

uint64_t ebb_planning_waiting(const struct planning *w, const struct ebb_group *g)
{
    return g->counts[EBB_JOB_READY] + g->counts[EBB_JOB_WAITING] + leaving_jobs(w, g);
}

/* Jobs of the group that run on spot VMs and have no room on demand yet. */
static uint64_t jobs_on_spot(const struct planning *w, const struct ebb_group *g)
{
    const struct ebb_state *s = w->in->state;
    uint64_t jobs = 0;
    for (size_t i = 0; i < w->room_count; i++) {
        const struct room *r = &w->rooms[i];
        if (r->vm == EBB_NONE || r->rescued || r->offer->market != EBB__MARKET__SPOT)
            continue;
        const struct ebb_vm *vm = s->vms[r->vm];
        for (size_t k = 0; vm->state == EBB_VM_READY && k < vm->lease_count; k++)
            jobs += vm->leases[k].bag == g->bag && vm->leases[k].rank == 0 &&
                    ebb_bag_group_of(s->bags[g->bag], vm->leases[k].job) == g;
    }
    return jobs;
}

size_t ebb_planning_group(const struct planning *w, const struct ebb_group *g)
{
    size_t i = 0;
    while (w->in->state->active[i] != g)
        i++;
    return i;
}

/* Jobs that wait for room or will in a moment, after what is there is filled. */
static uint64_t homeless_jobs(struct planning *w, const struct ebb_group *g, bool must)
{
    uint64_t jobs = g->counts[EBB_JOB_READY] + leaving_jobs(w, g);
    return jobs > 0 ? fill_rooms(w, g, jobs, must) : 0;
}

static bool is_planned(const struct planning *w, const struct ebb_group *g)
{
    return !w->stopped[g->bag] && !w->in->state->bags[g->bag]->cancelled;
}

/* Some on-demand VM that can run the group's jobs lives, or may be granted now: while all refuse,
 * spot is better than nothing. */
static bool has_on_demand(struct planning *w, const struct ebb_group *g)
{
    bool has = false;
    for (size_t i = 0; i < w->room_count && !has; i++)
        has = w->rooms[i].offer->market == EBB__MARKET__ON_DEMAND &&
              ebb_offer_slots(w->rooms[i].offer, g->spec->resources) > 0;
    for (size_t i = 0; i < w->in->offer_count && !has; i++) {
        const Ebb__Offer *o = w->in->offers[i];
        if (o->market != EBB__MARKET__ON_DEMAND || ebb_offer_slots(o, g->spec->resources) == 0)
            continue;
        int64_t cool = ebb_plan_cool_until(w->in->state, w->in->policy, o);
        has = cool <= w->in->now_wall_ns;
        if (!has)
            ebb_planning_again(w, cool);
    }
    return has;
}

/* Groups whose deadline is safe on demand alone come first: their jobs that wait, then those that
 * run on spot, into the on-demand VMs that there are. Leaves their numbers in `homeless`. */
static void plan_rescue(struct planning *w, struct ebb_deadline *deadlines, uint64_t *homeless)
{
    const struct ebb_state *s = w->in->state;
    bool any = false;
    for (size_t i = 0; i < s->active_count; i++) {
        if (!is_planned(w, s->active[i]))
            continue;
        ebb_deadline_of(w->in, s->active[i], &deadlines[i]);
        w->must[i] = deadlines[i].must_on_demand = deadlines[i].must_on_demand &&
                                                   w->in->policy->use_on_demand &&
                                                   has_on_demand(w, s->active[i]);
        if (w->must[i])
            homeless[i] = homeless_jobs(w, s->active[i], true);
        any |= w->must[i];
    }
    if (any)
        ebb_keep_rescue(w);
    for (size_t i = 0; any && i < s->active_count; i++) {
        if (w->must[i]) /* also those that cannot be moved yet: they want the room that boots */
            homeless[i] += fill_rooms(w, s->active[i], jobs_on_spot(w, s->active[i]), true);
    }
}

static void plan_launches(struct planning *w)
{
    const struct ebb_state *s = w->in->state;
    EBB_AUTO_FREE struct ebb_deadline *deadlines =
        ebb_alloc_array(s->active_count + 1, sizeof *deadlines);
    EBB_AUTO_FREE uint64_t *homeless = ebb_alloc_array(s->active_count + 1, sizeof *homeless);
    plan_rescue(w, deadlines, homeless);
    for (size_t i = 0; i < s->active_count; i++) {
        const struct ebb_group *g = s->active[i];
        if (!is_planned(w, g))
            continue;
        uint64_t jobs = w->must[i] ? homeless[i] : homeless_jobs(w, g, false);
        if (jobs > 0)
            launch_for(w, g, jobs, &deadlines[i]);
        w->backlog |= jobs > 0;
    }
    ebb_enlarge_plan(w, deadlines);
}

void ebb_plan(const struct ebb_plan_input *in, struct ebb_plan *ret)
{
    *ret = (struct ebb_plan){.again_wall_ns = in->now_wall_ns + (int64_t)(EBB_PLAN_AGAIN_S * 1e9)};
    struct planning w = {.in = in, .ret = ret};
    w.candidates = ebb_alloc_array(in->offer_count + 1, sizeof *w.candidates);
    w.stopped = ebb_alloc_array(in->state->bag_count + 1, sizeof *w.stopped);
    w.must = ebb_alloc_array(in->state->active_count + 1, sizeof *w.must);
    w.prices = ebb_alloc_array(in->state->active_count + 1, sizeof *w.prices);
    w.priced = ebb_alloc_array(in->state->active_count + 1, sizeof *w.priced);
    w.scores = ebb_alloc_array(in->offer_count + 1, sizeof *w.scores);
    w.tables = in->tables != NULL ? in->tables : ebb_time_tables_new();
    collect_rooms(&w);
    ebb_budget_plan(&w);
    plan_launches(&w);
    ebb_keep_plan(&w);
    ret->notes = ebb_buffer_take_text(&w.notes);
    ebb_buffer_clean_up(&w.notes);
    if (in->tables == NULL)
        ebb_time_tables_destroy(w.tables);
    free(w.scores);
    free(w.priced);
    free(w.prices);
    free(w.must);
    free(w.stopped);
    free(w.candidates);
    free(w.rooms);
}

void ebb_plan_clean_up(struct ebb_plan *p)
{
    free(p->launches);
    free(p->ends);
    free(p->over_budget);
    free(p->near_budget);
    free(p->notes);
    *p = (struct ebb_plan){0};
}
