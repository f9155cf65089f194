/* A limit full of VMs that are too small, or too slow, for the deadline: some are emptied so that
 * larger ones come in their places.
 *
 *   when would the group be done on the VMs that there are? In time with a little to spare:
 * nothing. For each offer that could come instead: how many VMs of it, in the places of those where
 * it gains the most capacity for a dollar, until it would be in time with more to spare? The offer
 * for which the rest of the bag costs least; no more places at once than RATE.
 *
 * Memory is not needed: what boots counts as capacity, so a replacement under way asks for no
 * other, and the two margins (NEAR to begin, CLEAR to be content) keep a forecast that wavers from
 * making one after the other. An offer that has not been granted yet is tried with one VM, and one
 * that has refused last: when others would not do, and its cool-down is over. A deadline that no
 * such replacement would keep changes nothing.
 *
 * Where only on-demand VMs are safe, spot VMs count as gone: their places are taken in the same
 * way. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/text.h"
#include "scheduler/core/market.h"
#include "scheduler/core/planning.h"
#include "scheduler/core/speed.h"

#define NEAR         1.05 /* times the time that is left is too near the deadline ... */
#define CLEAR        1.15 /* ... and so many times is well before it */
#define RATE         0.25 /* of the limit are being replaced at once */
#define LEAST_GAIN   1.2  /* times the capacity of the VM that goes */
#define CHEAPEST     6    /* offers looked at, ... */
#define LARGER       6    /* ... and such that are larger than all of them */
#define SETTLED      10.0 /* a VM is emptied when it has run for so many times what a move costs */
#define LEAST_MOVE_S 5.0
#define TRY_BOOTS    10.0

/* Slots of one VM that fall free together. */
struct berth {
    double free_s; /* from now */
    double speed;
    uint32_t slots;
    uint32_t room;
};

struct tenant {
    uint32_t room;
    double capacity;  /* slots times speed */
    double usd_per_h; /* micro-dollars */
    double work_s;    /* of its jobs, added up, on the usual speed */
    uint32_t jobs;
};

struct harbour {
    struct planning *w;
    const struct ebb_group *g;
    struct ebb_demand d;
    bool must;
    double jobs, work_s; /* that wait, and what they take in all */
    double left_s;       /* until all must be done */
    double usd_per_h;
    struct berth *berths;
    size_t berth_count;
    struct tenant *tenants;
    size_t tenant_count;
    bool *gone; /* by room */
};

/* What comes in the places of the first `count` tenants. */
struct exchange {
    const struct candidate *with;
    size_t count;
    double finish_s, usd_micros;
};

/* ---- what there is ---- */

static double lease_left_s(const struct harbour *h, const struct ebb_lease *l, double speed)
{
    const struct ebb_job *j = &h->w->in->state->bags[l->bag]->jobs[l->job];
    int64_t from = l->commit_wall_ns > l->started_wall_ns ? l->commit_wall_ns : l->started_wall_ns;
    double ran_s = from == 0 ? 0 : (double)(h->w->in->now_wall_ns - from) / 1e9;
    double setup_s = l->started_wall_ns == 0 ? h->d.setup_s : 0;
    return setup_s + fmax(0, ebb_demand_job_s(&h->d, j) / speed - fmax(0, ran_s));
}

static bool is_of(const struct harbour *h, const struct ebb_lease *l)
{
    return l->bag == h->g->bag && ebb_bag_group_of(h->w->in->state->bags[l->bag], l->job) == h->g;
}

static uint32_t free_slots(const struct harbour *h, const struct ebb_vm *vm)
{
    struct room r = {.offer = vm->offer,
                     .millicpus = vm->free_millicpus,
                     .memory_bytes = vm->free_memory_bytes,
                     .gpus = vm->free_gpus};
    struct ebb_need need = ebb_need_of(h->g->spec->resources);
    return (uint32_t)ebb_room_take(&r, &need, h->g->spec->resources, UINT32_MAX);
}

static void add_berth(struct harbour *h, uint32_t room, uint32_t slots, double free_s)
{
    const Ebb__Offer *o = h->w->rooms[room].offer;
    if (slots > 0)
        h->berths[h->berth_count++] =
            (struct berth){.free_s = free_s,
                           .speed = ebb_state_speed(h->w->in->state, h->d.engine, o->type),
                           .slots = slots,
                           .room = room};
}

/* The VM's jobs can be handed back, and what that costs is little against what they have run. */
static bool may_go(const struct harbour *h, const struct ebb_vm *vm)
{
    double move_s = fmax(LEAST_MOVE_S, h->d.setup_s + h->d.checkpoint_s);
    if (vm->state != EBB_VM_READY || vm->lease_count == 0 ||
        (double)(h->w->in->now_wall_ns - vm->joined_wall_ns) / 1e9 < SETTLED * move_s)
        return false;
    for (size_t i = 0; i < vm->lease_count; i++) {
        const struct ebb_lease *l = &vm->leases[i];
        const struct ebb_job *j = &h->w->in->state->bags[l->bag]->jobs[l->job];
        if (!is_of(h, l) || l->started_wall_ns == 0 || l->revoked || l->gang > 1 ||
            (j->flags & EBB_JOB_CANCELLING) != 0)
            return false;
    }
    return true;
}

static void add_vm(struct harbour *h, uint32_t room, const struct ebb_vm *vm)
{
    const struct ebb_state *s = h->w->in->state;
    double speed = ebb_state_speed(s, h->d.engine, vm->offer->type);
    double age_s = (double)(h->w->in->now_wall_ns - vm->intended_wall_ns) / 1e9;
    double boot_s = vm->state == EBB_VM_READY ? 0 : fmax(0, h->d.boot_s - age_s);
    struct tenant t = {.room = room, .usd_per_h = (double)vm->offer->usd_micros_per_hour};
    uint32_t slots = free_slots(h, vm);
    bool counts = !h->must || vm->offer->market == EBB__MARKET__ON_DEMAND;
    for (size_t i = 0; i < vm->lease_count; i++) {
        if (!is_of(h, &vm->leases[i]) || vm->leases[i].rank > 0)
            continue;
        double left_s = lease_left_s(h, &vm->leases[i], speed);
        t.work_s += left_s * speed;
        t.jobs++;
        if (counts)
            add_berth(h, room, 1, left_s);
    }
    if (counts) {
        add_berth(h, room, slots, boot_s);
    } else {
        h->jobs += t.jobs;
        h->work_s += t.work_s;
    }
    h->usd_per_h += slots + t.jobs > 0 ? t.usd_per_h : 0;
    t.capacity = counts ? (slots + t.jobs) * speed : 0;
    if (may_go(h, vm))
        h->tenants[h->tenant_count++] = t;
}

static void look(struct harbour *h)
{
    struct planning *w = h->w;
    size_t leases = 0;
    for (size_t i = 0; i < w->room_count; i++)
        leases += w->rooms[i].vm == EBB_NONE ? 0 : w->in->state->vms[w->rooms[i].vm]->lease_count;
    h->berths = ebb_alloc_array(leases + w->room_count + 1, sizeof *h->berths);
    h->tenants = ebb_alloc_array(w->room_count + 1, sizeof *h->tenants);
    h->gone = ebb_alloc_array(w->room_count + 1, sizeof *h->gone);
    for (uint32_t i = 0; i < w->room_count; i++) {
        const struct room *r = &w->rooms[i];
        if (r->emptied)
            continue;
        if (r->vm != EBB_NONE)
            add_vm(h, i, w->in->state->vms[r->vm]);
        else if (!h->must || r->offer->market == EBB__MARKET__ON_DEMAND)
            add_berth(h, i, ebb_offer_slots(r->offer, h->g->spec->resources), h->d.boot_s);
    }
}

/* ---- when all is done ---- */

static double done_by(const struct harbour *h, const struct berth *more, double work_s, double t_s)
{
    double sum = 0;
    for (size_t i = 0; i <= h->berth_count; i++) {
        const struct berth *b = i < h->berth_count ? &h->berths[i] : more;
        if (b == NULL || b->free_s >= t_s || (b != more && h->gone[b->room]))
            continue;
        sum += b->slots * floor((t_s - b->free_s) / (work_s / b->speed + h->d.setup_s));
    }
    return sum;
}

/* `all_s`: of all the jobs. `more`: slots beside those that there are; NULL: none. INFINITY:
 * never. */
static double finish_s(const struct harbour *h, double jobs, double all_s, const struct berth *more)
{
    double low = 0, each = 0, work_s = all_s / fmax(1, jobs);
    bool any = more != NULL;
    for (size_t i = 0; i < h->berth_count; i++) {
        if (h->gone[h->berths[i].room])
            continue;
        any = true;
        low = fmax(low, h->berths[i].free_s);
        each = fmax(each, work_s / h->berths[i].speed + h->d.setup_s);
    }
    if (jobs <= 0)
        return low;
    if (!any)
        return INFINITY;
    double high = fmax(low, more != NULL ? more->free_s : 0) + fmax(each, work_s + h->d.setup_s);
    while (done_by(h, more, work_s, high) < jobs && high < 1e12)
        high *= 2;
    for (int i = 0; i < 30; i++) {
        double mid = (low + high) / 2;
        if (done_by(h, more, work_s, mid) < jobs)
            low = mid;
        else
            high = mid;
    }
    return high;
}

static double needed_s(const struct harbour *h, double finish, double margin)
{
    return finish * margin + h->d.boot_s + h->d.setup_s;
}

/* ---- what could come ---- */

static double capacity_of(const struct candidate *c)
{
    return c->score.slots * c->score.speed;
}

struct ordering {
    double capacity, usd_per_h;
};

static double gain_per_usd(const struct tenant *t, const struct ordering *o)
{
    return (o->capacity - t->capacity) / fmax(1, o->usd_per_h - t->usd_per_h);
}

static int best_first(const void *a, const void *b, void *ctx)
{
    const struct tenant *x = a, *y = b;
    double p = gain_per_usd(x, ctx), q = gain_per_usd(y, ctx);
    if (p != q)
        return p > q ? -1 : 1;
    return x->room < y->room ? -1 : x->room > y->room;
}

/* The tenants by what the candidate gains in their places; how many of them it is worth. */
static size_t sort_for(struct harbour *h, const struct candidate *c)
{
    const Ebb__Offer *o = h->w->in->offers[c->offer];
    struct ordering by = {capacity_of(c), (double)o->usd_micros_per_hour};
    size_t most = 0;
    if (h->tenant_count > 1)
        qsort_r(h->tenants, h->tenant_count, sizeof *h->tenants, best_first, &by);
    while (most < h->tenant_count &&
           by.capacity >= LEAST_GAIN * h->tenants[most].capacity) /* small ones gain most, about */
        most++;
    return most;
}

/* `count` of the candidate in the places of the first tenants. */
static struct exchange weigh(struct harbour *h, const struct candidate *c, size_t count)
{
    const Ebb__Offer *o = h->w->in->offers[c->offer];
    double usd_per_h = h->usd_per_h, jobs = h->jobs, work_s = h->work_s;
    for (size_t i = 0; i < count; i++) {
        const struct tenant *t = &h->tenants[i];
        h->gone[t->room] = true;
        usd_per_h += (double)o->usd_micros_per_hour - t->usd_per_h;
        if (t->capacity > 0) { /* else they have been counted as waiting */
            jobs += t->jobs;
            work_s += t->work_s;
        }
    }
    const struct berth more = {
        .free_s = h->d.boot_s, .speed = c->score.speed, .slots = (uint32_t)count * c->score.slots};
    struct exchange x = {.with = c, .count = count};
    x.finish_s = finish_s(h, jobs, work_s, count > 0 ? &more : NULL);
    x.usd_micros = usd_per_h * x.finish_s / 3600;
    for (size_t i = 0; i < count; i++)
        h->gone[h->tenants[i].room] = false;
    return x;
}

/* As few of the candidate as make it in time; false: all of them do not. */
static bool fewest(struct harbour *h, const struct candidate *c, struct exchange *ret)
{
    size_t low = 0, high = sort_for(h, c);
    if (high == 0)
        return false;
    *ret = weigh(h, c, high);
    if (!(needed_s(h, ret->finish_s, 1) <= h->left_s))
        return false;
    while (high - low > 1) {
        size_t mid = (low + high) / 2;
        struct exchange x = weigh(h, c, mid);
        if (needed_s(h, x.finish_s, CLEAR) <= h->left_s) {
            high = mid;
            *ret = x;
        } else {
            low = mid;
        }
    }
    return true;
}

/* Is granted, as far as is known; with none alive yet, one is tried. */
static bool is_trusted(const struct planning *w, const Ebb__Offer *o)
{
    for (size_t i = 0; i < w->room_count; i++) {
        const struct room *r = &w->rooms[i];
        if (r->vm != EBB_NONE && w->in->state->vms[r->vm]->state >= EBB_VM_BOOTING &&
            ebb_offer_is_alike(r->offer, o))
            return true;
    }
    return false;
}

/* Its last launch was refused: seconds since then; INFINITY: it was not. */
static double refused_since_s(const struct planning *w, const struct candidate *c)
{
    const Ebb__Offer *o = w->in->offers[c->offer];
    const struct ebb_market_entry *e =
        ebb_market_find(w->in->state->market, o->zone, o->type, o->market);
    if (e == NULL || e->refusals == 0)
        return INFINITY;
    return (double)(w->in->now_wall_ns - e->refused_wall_ns) / 1e9;
}

/* In time with more to spare before in time at all, then by what the rest costs. */
static bool is_better(const struct harbour *h, const struct exchange *x, const struct exchange *y)
{
    bool x_clear = needed_s(h, x->finish_s, CLEAR) <= h->left_s;
    bool y_clear = needed_s(h, y->finish_s, CLEAR) <= h->left_s;
    if (x_clear != y_clear)
        return x_clear;
    return x_clear ? x->usd_micros < y->usd_micros : x->finish_s < y->finish_s;
}

/* On demand, where spot that is as large costs less and may be granted by the next try, which the
 * deadline leaves time for. */
static bool can_wait(const struct harbour *h, const struct exchange *x)
{
    const struct planning *w = h->w;
    const Ebb__Offer *o = w->in->offers[x->with->offer];
    double then_s = x->finish_s + TRY_BOOTS * (h->d.boot_s + h->d.setup_s);
    if (h->must || o->market != EBB__MARKET__ON_DEMAND || !w->in->policy->use_spot ||
        needed_s(h, then_s, CLEAR) > h->left_s)
        return false;
    for (size_t i = 0; i < w->in->offer_count; i++) {
        const struct ebb_score *score = &w->scores[i];
        if (w->in->offers[i]->market == EBB__MARKET__SPOT &&
            w->in->offers[i]->usd_micros_per_hour < o->usd_micros_per_hour &&
            score->slots * score->speed >= capacity_of(x->with))
            return true;
    }
    return false;
}

/* Of the offers that have not refused their last launch. */
static bool choose(struct harbour *h, struct exchange *ret)
{
    struct planning *w = h->w;
    size_t larger = 0, looked = 0;
    double most = 0;
    bool found = false;
    for (size_t i = 0; i < w->candidate_count && larger < LARGER; i++) {
        const struct candidate *c = &w->candidates[i];
        struct exchange x = {0};
        if (c->most == 0 || isfinite(refused_since_s(w, c)) ||
            (looked >= CHEAPEST && capacity_of(c) <= most))
            continue;
        larger += looked >= CHEAPEST;
        looked++;
        most = fmax(most, capacity_of(c));
        if (!fewest(h, c, &x) || can_wait(h, &x) || (found && !is_better(h, &x, ret)))
            continue;
        *ret = x;
        found = true;
    }
    return found;
}

/* The one that has refused longest ago and may have room again. A try that fails leaves a place
 * empty for as long as a VM takes to come, so there is one in ten such times. */
static bool choose_refused(struct harbour *h, struct exchange *ret)
{
    struct planning *w = h->w;
    double longest_s = 0, latest_s = INFINITY;
    size_t looked = 0;
    for (size_t i = 0; i < w->in->offer_count; i++)
        latest_s = fmin(latest_s, refused_since_s(w, &(struct candidate){.offer = i}));
    if (latest_s < TRY_BOOTS * (h->d.boot_s + h->d.setup_s))
        return false;
    for (size_t i = 0; i < w->candidate_count && looked < CHEAPEST + LARGER; i++) {
        const struct candidate *c = &w->candidates[i];
        double since_s = refused_since_s(w, c);
        struct exchange x = {0};
        if (c->most == 0 || isinf(since_s) || since_s <= longest_s)
            continue;
        looked++;
        if (!fewest(h, c, &x) || can_wait(h, &x))
            continue;
        longest_s = since_s;
        *ret = x;
    }
    return longest_s > 0;
}

/* ---- doing it ---- */

/* Places that may be exchanged now. */
static size_t rate(const struct planning *w, const struct exchange *x)
{
    size_t most = (size_t)fmax(1, floor(RATE * w->in->policy->max_vms)), under_way = 0;
    for (size_t i = 0; i < w->room_count; i++)
        under_way +=
            w->rooms[i].vm == EBB_NONE || w->in->state->vms[w->rooms[i].vm]->state != EBB_VM_READY;
    if (!is_trusted(w, w->in->offers[x->with->offer]))
        most = 1;
    return under_way >= most ? 0 : most - under_way;
}

static void exchange(struct harbour *h, const struct exchange *x, double now_s)
{
    struct planning *w = h->w;
    const struct candidate c = *x->with;
    const Ebb__Offer *o = w->in->offers[c.offer];
    char late[EBB_QUANTITY_TEXT_SIZE], then[EBB_QUANTITY_TEXT_SIZE], left[EBB_QUANTITY_TEXT_SIZE],
        reason[280], line[400];
    size_t n = rate(w, x);
    if (isfinite(now_s))
        ebb_format_duration(now_s, late);
    snprintf(reason, sizeof reason,
             "the deadline: '%.60s' has %s left; with the VMs that the limit allows it takes %s, "
             "with %zu of them exchanged for %s %s",
             h->g->spec->name, ebb_format_duration(h->left_s, left),
             isfinite(now_s) ? late : "too long, as only on-demand VMs are safe,", x->count,
             o->type, ebb_format_duration(x->finish_s, then));
    snprintf(line, sizeof line, "%s (%zu now)", reason, n < x->count ? n : x->count);
    ebb_planning_note(w, line);
    (void)sort_for(h, x->with);
    struct ebb_need need = ebb_need_of(h->g->spec->resources);
    for (size_t i = 0; i < x->count && i < n && i < c.most; i++) {
        struct room *r = &w->rooms[h->tenants[i].room];
        const struct ebb_vm *vm = w->in->state->vms[r->vm];
        r->emptied = true;
        w->vms--;
        ebb_planning_end(w, vm, true, reason);
        struct room *anew = ebb_planning_launch(w, &c, reason); /* rooms may have moved */
        (void)ebb_room_take(anew, &need, h->g->spec->resources, UINT32_MAX);
    }
}

static void no_exchange(struct harbour *h, double now_s)
{
    char line[320], late[EBB_QUANTITY_TEXT_SIZE], left[EBB_QUANTITY_TEXT_SIZE];
    if (!isfinite(now_s) || now_s <= h->left_s)
        return;
    snprintf(line, sizeof line,
             "'%.60s' has %s left to its deadline and takes %s with the VMs that the limit allows; "
             "no exchange would make it now, or it can wait for spot",
             h->g->spec->name, ebb_format_duration(h->left_s, left),
             ebb_format_duration(now_s, late));
    ebb_planning_note(h->w, line);
}

/* Jobs fill all the slots that there are until the last has begun: no more than this, reckoned with
 * what is known without a look at each VM. */
static bool is_clear(const struct harbour *h, const struct ebb_deadline *deadline)
{
    const struct ebb_group *g = h->g;
    double running = (double)(g->counts[EBB_JOB_LEASED] + g->counts[EBB_JOB_RUNNING]);
    double slowest = ebb_state_slowest(h->w->in->state, h->d.engine);
    double each_s = h->d.work_s / slowest + h->d.setup_s;
    double most_s = deadline->need_s / slowest + h->jobs * each_s / fmax(1, running);
    return !h->must && needed_s(h, most_s, NEAR) <= deadline->left_s;
}

static void plan_group(struct planning *w, const struct ebb_group *g,
                       const struct ebb_deadline *deadline)
{
    struct harbour h = {.w = w, .g = g, .must = w->must[ebb_planning_group(w, g)]};
    ebb_demand_of_group(w->in, g, &h.d);
    h.jobs = (double)ebb_planning_waiting(w, g);
    h.work_s = h.jobs * h.d.work_s;
    if (is_clear(&h, deadline))
        return;
    h.left_s = ebb_deadline_group_left_s(w->in, g);
    look(&h);
    double now_s = finish_s(&h, h.jobs, h.work_s, NULL);
    if (h.left_s > 0 && h.tenant_count > 0 && needed_s(&h, now_s, NEAR) > h.left_s) {
        struct exchange x = {0};
        h.d.jobs = fmax(1, h.jobs);
        ebb_planning_find_any(w, &h.d, h.must);
        if (choose(&h, &x) || choose_refused(&h, &x))
            exchange(&h, &x, now_s);
        else
            no_exchange(&h, now_s);
    }
    free(h.berths);
    free(h.tenants);
    free(h.gone);
}

void ebb_enlarge_plan(struct planning *w, const struct ebb_deadline *deadlines)
{
    const struct ebb_state *s = w->in->state;
    for (size_t i = 0; i < s->active_count && w->vms >= w->in->policy->max_vms; i++) {
        const struct ebb_group *g = s->active[i];
        const struct ebb_bag *b = s->bags[g->bag];
        if (b->spec->deadline_s <= 0 || w->stopped[g->bag] || b->cancelled ||
            ebb_gang_size(g->spec->resources) > 1 || g->profile == NULL || !g->profile->checkpoints)
            continue;
        plan_group(w, g, &deadlines[i]);
    }
}
