/* Which VMs are kept: ends of what is idle, lost or useless, and moves.
 *
 * A VM's jobs move in two steps that need no memory of each other. A replacement is launched when
 * it would save `move_gain` of what the VM's jobs have still to pay, boot and set-up included; then
 * the VM is emptied (drained) once its jobs fit into other room for at least `gather_gain` less.
 * The first threshold is the higher one: prices that move by less than the difference between the
 * two change nothing, and a move is not undone by the noise that made it. Half-empty VMs at the
 * tail of a bag meet the second step alone. A job that has been running for less than ten times
 * what a move costs it is left where it is.
 *
 * A VM that the cloud ends at its cap is left in the same two steps, whatever that costs: its jobs
 * want a new VM in any case. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "scheduler/core/cap.h"
#include "scheduler/core/idle.h"
#include "scheduler/core/market.h"
#include "scheduler/core/planning.h"
#include "scheduler/core/speed.h"

#define MOST_TENANTS 64   /* weighed in one plan */
#define MOST_TARGETS 16   /* rooms that one VM's jobs may be spread over */
#define SETTLED      10.0 /* a job is moved when it has run for so many times the cost of it */
#define LEAST_LEFT   5.0  /* ... and has so many times that left */
#define USUAL_S      3600.0
#define LEAST_AGE_S  900.0 /* of billed time: no VM is replaced before its prices are known */
#define MOST_AT_ONCE 0.1   /* of the VMs are being replaced */
#define SOON_BOOTS   4.0   /* a cap so many boots away is looked at first */
#define SLOWER_SPARE 1.25  /* the time left is so many times what a slower VM takes */
#define LEAST_MOVE_S 5.0   /* a move costs no less */

/* ---- ends ---- */

void ebb_planning_end(struct planning *w, const struct ebb_vm *vm, bool drain, const char *reason)
{
    struct ebb_plan *p = w->ret;
    if (p->end_count == p->end_capacity) {
        p->end_capacity = p->end_capacity == 0 ? 8 : p->end_capacity * 2;
        p->ends = ebb_realloc_array(p->ends, p->end_capacity, sizeof *p->ends);
    }
    struct ebb_plan_end *e = &p->ends[p->end_count++];
    *e = (struct ebb_plan_end){.vm = vm->index, .drain = drain};
    snprintf(e->reason, sizeof e->reason, "%s", reason);
}

static void end_idle(struct planning *w, struct ebb_idle *idle, const struct ebb_vm *vm,
                     int64_t since_wall_ns)
{
    char reason[200];
    if (!ebb_idle_is_kept(idle, vm, since_wall_ns, reason))
        ebb_planning_end(w, vm, false, reason);
}

static void plan_end(struct planning *w, struct ebb_idle *idle, const struct ebb_vm *vm, bool used)
{
    const struct ebb_policy *p = w->in->policy;
    double age_s = (double)(w->in->now_wall_ns - vm->intended_wall_ns) / 1e9;
    if (vm->state == EBB_VM_LOST) {
        ebb_planning_end(w, vm, false, "it is lost; ended so that it costs nothing more");
    } else if (vm->state == EBB_VM_NOTICED || vm->state == EBB_VM_TERMINATING) {
        return; /* the cloud takes it, free of charge when it is young */
    } else if (vm->refusals >= p->most_refusals) {
        ebb_planning_end(w, vm, vm->lease_count > 0, "it could not run the jobs it was given");
    } else if (vm->state == EBB_VM_BOOTING && age_s > p->boot_most_s) {
        ebb_planning_end(w, vm, false, "its agent has not joined in time");
    } else if (vm->lease_count == 0 && w->in->state->active_count == 0 &&
               vm->state != EBB_VM_INTENDED) {
        ebb_planning_end(w, vm, false, "no bag is left to run");
    } else if (vm->lease_count == 0 && !used && vm->state == EBB_VM_READY) {
        end_idle(w, idle, vm, vm->idle_since_wall_ns);
    } else if (!used && vm->state == EBB_VM_BOOTING) {
        end_idle(w, idle, vm, vm->intended_wall_ns);
    }
}

static void plan_ends(struct planning *w)
{
    const struct ebb_state *s = w->in->state;
    struct ebb_idle idle;
    size_t room = 0;
    ebb_idle_begin(&idle, w);
    for (size_t i = 0; i < s->live_count; i++) {
        const struct ebb_vm *vm = s->vms[s->live[i]];
        bool used = false, emptied = false;
        if (room < w->room_count && w->rooms[room].vm == vm->index) {
            used = w->rooms[room].used;
            emptied = w->rooms[room++].emptied;
        }
        if (!emptied)
            plan_end(w, &idle, vm, used);
    }
    ebb_idle_clean_up(&idle);
}

/* ---- who might move ---- */

/* A VM with jobs that could go on elsewhere. Money in micro-dollars. */
struct tenant {
    size_t room;
    const struct ebb_vm *vm;
    const struct ebb_group *group; /* of its first job */
    double left_s;                 /* until its last job is done */
    double move_s;                 /* that a move costs each job */
    double per_s;                  /* its price */
    double to_pay;                 /* expected, for the rest of its jobs */
    bool must;                     /* a job of it is safe on demand alone */
    bool leaves;                   /* the cloud ends it at its cap before they are done */
    bool stays;                    /* on demand, for the deadline's sake */
    bool awaited;                  /* room for its jobs boots */
};

/* Its mean over the last USUAL_S of billed time, as far as it is known: what a price was for a
 * minute moves nobody. */
static double usual_price(const struct planning *w, const Ebb__Offer *o)
{
    const struct ebb_market_entry *e =
        ebb_market_find(w->in->state->market, o->zone, o->type, o->market);
    int64_t now = w->in->now_wall_ns, to = now;
    int64_t from = now - (int64_t)(USUAL_S * 1e9 / w->in->state->bill_time_scale);
    if (e == NULL || e->price_count == 0)
        return (double)o->usd_micros_per_hour;
    double sum = 0;
    for (size_t i = e->price_count; i-- > 0 && to > from;) {
        const struct ebb_price *p = &e->prices[i];
        int64_t since = p->from_wall_ns < from ? from : p->from_wall_ns;
        if (since >= to)
            continue;
        sum += (double)p->usd_micros_per_hour * (double)(to - since);
        to = since;
    }
    return to < now ? sum / (double)(now - to)
                    : (double)e->prices[e->price_count - 1].usd_micros_per_hour;
}

static double price_per_s(const struct planning *w, const Ebb__Offer *o)
{
    return usual_price(w, o) * w->in->state->bill_time_scale / 3600;
}

static double since_s(const struct planning *w, int64_t wall_ns)
{
    return (double)(w->in->now_wall_ns - wall_ns) / 1e9;
}

/* Useful seconds until the lease's job is done, what it did since its newest commit included. */
static double lease_left_s(const struct planning *w, const struct ebb_demand *d,
                           const struct ebb_lease *l, const struct ebb_job *j, double speed)
{
    int64_t from = l->commit_wall_ns > l->started_wall_ns ? l->commit_wall_ns : l->started_wall_ns;
    return fmax(0, ebb_demand_job_s(d, j) / speed - fmax(0, since_s(w, from)));
}

/* Adds a lease to what is known of its VM. False: the job must stay where it is. */
static bool add_lease(const struct planning *w, const struct ebb_lease *l, struct tenant *t)
{
    const struct ebb_bag *b = w->in->state->bags[l->bag];
    const struct ebb_job *j = &b->jobs[l->job];
    const struct ebb_group *g = ebb_bag_group_of(b, l->job);
    if (l->gang > 1 || l->started_wall_ns == 0 || l->revoked ||
        (j->flags & EBB_JOB_CANCELLING) != 0 || g->profile == NULL || !g->profile->checkpoints ||
        w->stopped[l->bag] || b->cancelled)
        return false;
    struct ebb_demand d;
    ebb_demand_of_group(w->in, g, &d);
    double speed = ebb_state_speed(w->in->state, d.engine, t->vm->offer->type);
    double left_s = lease_left_s(w, &d, l, j, speed);
    double move_s = fmax(LEAST_MOVE_S, d.setup_s + d.checkpoint_s);
    bool must = w->must != NULL && w->must[ebb_planning_group(w, g)];
    double cap_left_s = ebb_cap_left_s(w->in->state, t->vm, w->in->now_wall_ns);
    bool leaves = cap_left_s < ebb_cap_lead_s(w->in->state, &d) && cap_left_s < left_s;
    t->leaves |= leaves;
    if (!must && !leaves && (!d.known || since_s(w, l->started_wall_ns) < SETTLED * move_s))
        return false;
    if (!leaves && left_s < LEAST_LEFT * move_s)
        return false;
    t->group = t->group == NULL ? g : t->group;
    t->left_s = fmax(t->left_s, left_s);
    t->move_s = fmax(t->move_s, move_s);
    t->must |= must && t->vm->offer->market == EBB__MARKET__SPOT;
    return true;
}

/* What the VM's seconds until then will be worth paying for: its own hazard at its own age. */
static double ratio_of(const struct planning *w, const struct ebb_vm *vm, const struct ebb_group *g,
                       double left_s)
{
    struct ebb_demand d;
    struct ebb_outlook outlook;
    struct ebb_run_terms terms;
    struct ebb_run_worth worth;
    ebb_demand_of_group(w->in, g, &d);
    ebb_state_outlook(w->in->state, vm->offer, w->in->now_wall_ns, &outlook);
    ebb_demand_terms(w->in, &d, 1, &terms);
    terms.age_s = ebb_vm_age_s(vm, w->in->now_wall_ns);
    terms.lead_s = 0;
    terms.setup_s = 0;
    terms.work_s = fmax(1, left_s);
    ebb_outlook_worth(&outlook, &terms, &worth);
    return worth.ratio;
}

static bool tenant_of(const struct planning *w, size_t room, struct tenant *ret)
{
    const struct room *r = &w->rooms[room];
    if (r->vm == EBB_NONE || r->emptied)
        return false;
    const struct ebb_vm *vm = w->in->state->vms[r->vm];
    *ret = (struct tenant){.room = room, .vm = vm};
    if (vm->state != EBB_VM_READY || vm->lease_count == 0 ||
        vm->refusals >= w->in->policy->most_refusals)
        return false;
    for (size_t i = 0; i < vm->lease_count; i++) {
        if (!add_lease(w, &vm->leases[i], ret))
            return false;
    }
    ret->per_s = price_per_s(w, vm->offer);
    return true;
}

static int dearest_first(const void *a, const void *b)
{
    const struct tenant *x = a, *y = b;
    if (x->must != y->must)
        return x->must ? -1 : 1;
    if (x->leaves != y->leaves)
        return x->leaves ? -1 : 1;
    double p = x->per_s / (double)x->vm->lease_count, q = y->per_s / (double)y->vm->lease_count;
    if (p != q)
        return p > q ? -1 : 1;
    return x->vm->index > y->vm->index ? -1 : x->vm->index < y->vm->index; /* the youngest */
}

/* ---- emptying a VM into room that others have ---- */

struct target {
    size_t room;
    struct room before;
    double left_s; /* until its own jobs are done */
};

struct fit {
    struct target targets[MOST_TARGETS];
    size_t count;
    bool ready; /* all of them take jobs now */
};

/* Until the room's own jobs are done; 0 when it has none. */
static double occupied_s(const struct planning *w, const struct room *r)
{
    double longest = 0;
    if (r->vm == EBB_NONE)
        return 0;
    const struct ebb_vm *vm = w->in->state->vms[r->vm];
    for (size_t i = 0; i < vm->lease_count; i++) {
        const struct ebb_bag *b = w->in->state->bags[vm->leases[i].bag];
        struct ebb_demand d;
        ebb_demand_of_group(w->in, ebb_bag_group_of(b, vm->leases[i].job), &d);
        longest =
            fmax(longest, lease_left_s(w, &d, &vm->leases[i], &b->jobs[vm->leases[i].job], 1));
    }
    return longest;
}

static bool may_take(const struct planning *w, const struct tenant *t, size_t room, bool occupied)
{
    const struct room *r = &w->rooms[room];
    if (room == t->room || r->emptied || !ebb_planning_lets_in(w, r, t->group) ||
        r->vm == EBB_NONE || r->used != occupied ||
        ((t->must || t->stays) && r->offer->market == EBB__MARKET__SPOT))
        return false;
    return !w->in->state->vms[r->vm]->rebalance;
}

static bool take_one(struct planning *w, struct fit *fit, size_t room, const struct ebb_need *need,
                     const Ebb__Resources *resources)
{
    struct room *r = &w->rooms[room], before = *r;
    size_t at = 0;
    while (at < fit->count && fit->targets[at].room != room)
        at++;
    if (at == MOST_TARGETS || ebb_room_take(r, need, resources, 1) == 0)
        return false;
    r->used = before.used; /* counts as taken when the whole fits */
    if (at == fit->count)
        fit->targets[fit->count++] =
            (struct target){.room = room, .before = before, .left_s = occupied_s(w, r)};
    if (w->in->state->vms[r->vm]->state != EBB_VM_READY)
        fit->ready = false;
    return true;
}

/* All jobs of the tenant into other rooms: from pass 0 on first into those in use, from pass 1 on
 * only into those that are not. */
static bool fit_elsewhere(struct planning *w, const struct tenant *t, int from, struct fit *fit)
{
    *fit = (struct fit){.ready = true};
    for (size_t i = 0; i < t->vm->lease_count; i++) {
        const struct ebb_bag *b = w->in->state->bags[t->vm->leases[i].bag];
        const Ebb__Resources *r = ebb_bag_group_of(b, t->vm->leases[i].job)->spec->resources;
        struct ebb_need need = ebb_need_of(r);
        bool placed = false;
        for (int pass = from; pass < 2 && !placed; pass++) {
            for (size_t k = 0; k < w->room_count && !placed; k++)
                placed = may_take(w, t, k, pass == 0) && take_one(w, fit, k, &need, r);
        }
        if (!placed)
            return false;
    }
    return true;
}

static void undo(struct planning *w, const struct fit *fit)
{
    for (size_t i = 0; i < fit->count; i++)
        w->rooms[fit->targets[i].room] = fit->targets[i].before;
}

/* On a slower VM its jobs would still be done well before their deadline. */
static bool has_time(const struct planning *w, const struct tenant *t, double needed_s)
{
    double left_s = ebb_deadline_group_left_s(w->in, t->group);
    return t->must || t->leaves || isinf(left_s) || SLOWER_SPARE * needed_s < left_s;
}

/* What the rooms will cost for the tenant's jobs: the time that they live longer for them. */
static double cost_elsewhere(const struct planning *w, const struct tenant *t,
                             const struct fit *fit)
{
    double sum = 0;
    double own_speed = ebb_state_speed(w->in->state, t->group->spec->engine, t->vm->offer->type);
    for (size_t i = 0; i < fit->count; i++) {
        const struct room *r = &w->rooms[fit->targets[i].room];
        const struct ebb_vm *vm = w->in->state->vms[r->vm];
        double speed = ebb_state_speed(w->in->state, t->group->spec->engine, r->offer->type);
        double needed_s = t->left_s * own_speed / speed + t->move_s;
        if (speed < own_speed && !has_time(w, t, needed_s))
            return INFINITY;
        double longer_s = fmax(0, needed_s - fit->targets[i].left_s);
        if (longer_s > 0)
            sum += price_per_s(w, r->offer) * longer_s * ratio_of(w, vm, t->group, needed_s);
    }
    return sum;
}

static void empty(struct planning *w, struct tenant *t, const struct fit *fit, double cost)
{
    char pays[EBB_QUANTITY_TEXT_SIZE], would[EBB_QUANTITY_TEXT_SIZE], reason[240];
    for (size_t i = 0; i < fit->count; i++)
        w->rooms[fit->targets[i].room].used = true;
    w->rooms[t->room].rescued = t->must;
    t->awaited = !fit->ready || (t->leaves && ebb_cap_is_free(t->vm));
    if (t->awaited)
        return;
    w->rooms[t->room].emptied = true;
    if (t->must)
        snprintf(reason, sizeof reason,
                 "its %zu jobs go on on demand, as the deadline leaves no choice",
                 t->vm->lease_count);
    else if (t->leaves)
        snprintf(
            reason, sizeof reason,
            "the cloud ends it at its cap in %.0f s; its %zu jobs have %.0f s left and go on on "
            "%s%s",
            ebb_cap_left_s(w->in->state, t->vm, w->in->now_wall_ns), t->vm->lease_count, t->left_s,
            w->in->state->vms[w->rooms[fit->targets[0].room].vm]->id,
            fit->count > 1 ? " and others" : "");
    else
        snprintf(reason, sizeof reason,
                 "its %zu jobs have %.0f s left, which cost %s here and %s on %s%s",
                 t->vm->lease_count, t->left_s, ebb_format_usd((int64_t)t->to_pay, pays),
                 ebb_format_usd((int64_t)cost, would),
                 w->in->state->vms[w->rooms[fit->targets[0].room].vm]->id,
                 fit->count > 1 ? " and others" : "");
    ebb_planning_end(w, t->vm, true, reason);
}

/* On demand for the deadline's sake: it leaves when its bag can afford that, not when that happens
 * to be cheaper for the moment. */
static bool must_stay(struct planning *w, const struct tenant *t)
{
    const struct ebb_bag *b = w->in->state->bags[t->group->bag];
    return t->vm->offer->market == EBB__MARKET__ON_DEMAND && b->spec->deadline_s > 0 &&
           !ebb_time_leave_on_demand(w->tables, &ebb_planning_price(w, t->group)->problem);
}

/* Room in use costs nothing while its own jobs last, so it is tried first; but not while jobs
 * without room wait for it to grow. */
static bool gather(struct planning *w, struct tenant *t)
{
    t->stays = must_stay(w, t);
    t->to_pay = t->per_s * t->left_s * ratio_of(w, t->vm, t->group, t->left_s);
    for (int from = w->backlog && !t->must; from < 2; from++) {
        struct fit fit;
        double cost = fit_elsewhere(w, t, from, &fit) ? cost_elsewhere(w, t, &fit) : INFINITY;
        if (isfinite(cost) &&
            (t->must || t->leaves || cost <= t->to_pay * (1 - w->in->policy->gather_gain))) {
            empty(w, t, &fit, cost);
            return true;
        }
        undo(w, &fit);
    }
    return false;
}

/* ---- launching a replacement ---- */

/* No new VM costs less than this for each job and second: no hazard, no boot. */
static double floor_per_s(const struct planning *w, const struct ebb_group *g)
{
    double least = INFINITY;
    for (size_t i = 0; i < w->in->offer_count; i++) {
        const Ebb__Offer *o = w->in->offers[i];
        uint32_t slots = ebb_offer_slots(o, g->spec->resources);
        if (slots > 0)
            least = fmin(least, (double)o->usd_micros_per_hour / slots /
                                    ebb_state_speed(w->in->state, g->spec->engine, o->type));
    }
    return least * w->in->state->bill_time_scale / 3600;
}

/* Booting or empty VMs that no job is meant for: replacements under way. */
static size_t replacements(const struct planning *w)
{
    size_t count = 0;
    for (size_t i = 0; i < w->room_count; i++)
        count += w->rooms[i].vm == EBB_NONE || !w->rooms[i].used ||
                 w->in->state->vms[w->rooms[i].vm]->state != EBB_VM_READY;
    return count;
}

static void replace(struct planning *w, const struct tenant *t)
{
    struct ebb_demand d;
    double speed = ebb_state_speed(w->in->state, t->group->spec->engine, t->vm->offer->type);
    ebb_demand_of_group(w->in, t->group, &d);
    d.jobs = (double)t->vm->lease_count;
    d.work_s = d.longest_s = t->left_s * speed;
    ebb_planning_find(w, &d, false);
    if (w->candidate_count == 0)
        return;
    const struct candidate *c = &w->candidates[0];
    const Ebb__Offer *o = w->in->offers[c->offer];
    double usual = usual_price(w, o) / fmax(1, (double)o->usd_micros_per_hour);
    double cost = c->score.usd_micros_per_job * d.jobs * fmax(1, usual);
    double to_pay = t->per_s * t->left_s * ratio_of(w, t->vm, t->group, t->left_s);
    if (c->score.slots < t->vm->lease_count || c->most == 0 ||
        (c->score.speed < speed &&
         !has_time(w, t, d.boot_s + t->move_s + t->left_s * speed / c->score.speed)) ||
        (!t->leaves && cost > to_pay * (1 - w->in->policy->move_gain)))
        return;
    char pays[EBB_QUANTITY_TEXT_SIZE], would[EBB_QUANTITY_TEXT_SIZE], reason[240];
    if (t->leaves)
        snprintf(reason, sizeof reason,
                 "to take over from %s, which the cloud ends at its cap in %.0f s: its %zu jobs "
                 "have %.0f s left",
                 t->vm->id, ebb_cap_left_s(w->in->state, t->vm, w->in->now_wall_ns),
                 t->vm->lease_count, t->left_s);
    else
        snprintf(reason, sizeof reason,
                 "to take over from %s: its %zu jobs have %.0f s left, which cost %s there and %s "
                 "here, boot and set-up included",
                 t->vm->id, t->vm->lease_count, t->left_s, ebb_format_usd((int64_t)to_pay, pays),
                 ebb_format_usd((int64_t)cost, would));
    ebb_planning_launch(w, c, reason)->used = true;
}

/* VMs whose cap is near: their jobs will want a new VM in any case, so it boots before and not
 * after, when what runs since the last checkpoint would be lost and nobody would work meanwhile. */
static void replace_leaving(struct planning *w, const struct tenant *tenants, size_t count)
{
    for (size_t i = 0; i < count && w->vms < w->in->policy->max_vms; i++) {
        const struct tenant *t = &tenants[i];
        if (t->leaves && !t->must && !t->awaited && !w->rooms[t->room].emptied)
            replace(w, t);
    }
}

static void plan_replacements(struct planning *w, const struct tenant *tenants, size_t count)
{
    const struct ebb_group *g = NULL;
    double floor = 0;
    size_t most = (size_t)ceil(MOST_AT_ONCE * w->vms), under_way = replacements(w);
    for (size_t i = 0; i < count && under_way < most && w->vms < w->in->policy->max_vms; i++) {
        const struct tenant *t = &tenants[i];
        if (w->rooms[t->room].emptied || t->awaited || t->leaves || t->must || must_stay(w, t) ||
            ebb_vm_age_s(t->vm, w->in->now_wall_ns) * w->in->state->bill_time_scale < LEAST_AGE_S)
            continue;
        if (t->group != g)
            floor = floor_per_s(w, g = t->group);
        if (t->per_s / (double)t->vm->lease_count * (1 - w->in->policy->move_gain) <= floor)
            continue;
        uint32_t before = w->vms;
        replace(w, t);
        under_way += w->vms - before;
    }
}

/* ---- all of it ---- */

/* Less than this free anywhere else, and nobody can move in. */
static bool any_room(const struct planning *w)
{
    for (size_t i = 0; i < w->room_count; i++) {
        if (w->rooms[i].vm != EBB_NONE && w->rooms[i].millicpus > 0)
            return true;
    }
    return false;
}

struct rough {
    bool ends_soon; /* its cap may be near */
    double per_job_s;
    size_t room;
};

static int roughly_dearest(const void *a, const void *b)
{
    const struct rough *x = a, *y = b;
    if (x->ends_soon != y->ends_soon)
        return x->ends_soon ? -1 : 1;
    if (x->per_job_s != y->per_job_s)
        return x->per_job_s > y->per_job_s ? -1 : 1;
    return x->room > y->room ? -1 : x->room < y->room;
}

/* The dearest VMs, by price and jobs, are looked at more closely. */
static size_t find_tenants(const struct planning *w, struct tenant *ret)
{
    EBB_AUTO_FREE struct rough *all = ebb_alloc_array(w->room_count + 1, sizeof *all);
    size_t n = 0, count = 0;
    const struct ebb_mean *boots = &w->in->state->boot_s;
    double boot_s = boots->count > 0 ? boots->value : w->in->policy->default_boot_s;
    for (size_t i = 0; i < w->room_count; i++) {
        const struct room *r = &w->rooms[i];
        const struct ebb_vm *vm = r->vm == EBB_NONE ? NULL : w->in->state->vms[r->vm];
        if (vm != NULL && vm->state == EBB_VM_READY && vm->lease_count > 0)
            all[n++] = (struct rough){ebb_cap_left_s(w->in->state, vm, w->in->now_wall_ns) <
                                          SOON_BOOTS * boot_s,
                                      price_per_s(w, vm->offer) / (double)vm->lease_count, i};
    }
    if (n > 1)
        qsort(all, n, sizeof *all, roughly_dearest);
    for (size_t i = 0; i < n && i < 4 * MOST_TENANTS && count < MOST_TENANTS; i++)
        count += tenant_of(w, all[i].room, &ret[count]);
    if (count > 1)
        qsort(ret, count, sizeof *ret, dearest_first);
    return count;
}

/* A cap may call for a replacement. */
static bool any_cap(const struct planning *w)
{
    for (size_t i = 0; i < w->room_count; i++) {
        if (w->rooms[i].offer->cap_s > 0)
            return true;
    }
    return false;
}

static void plan_moves(struct planning *w)
{
    if (w->backlog && !any_cap(w) && !any_room(w))
        return; /* nowhere to go, and new VMs are for the jobs that wait */
    EBB_AUTO_FREE struct tenant *tenants = ebb_alloc_array(MOST_TENANTS, sizeof *tenants);
    size_t count = find_tenants(w, tenants);
    if (count == 0)
        return;
    bool room = any_room(w);
    for (size_t i = 0; room && i < count; i++) {
        if (!tenants[i].must)
            gather(w, &tenants[i]);
    }
    replace_leaving(w, tenants, count);
    if (!w->backlog)
        plan_replacements(w, tenants, count);
}

void ebb_keep_rescue(struct planning *w)
{
    EBB_AUTO_FREE struct tenant *tenants = ebb_alloc_array(MOST_TENANTS, sizeof *tenants);
    size_t count = find_tenants(w, tenants);
    for (size_t i = 0; i < count && any_room(w); i++) {
        if (tenants[i].must)
            gather(w, &tenants[i]);
    }
}

void ebb_keep_plan(struct planning *w)
{
    plan_moves(w);
    plan_ends(w);
}
