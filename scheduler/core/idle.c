/* What the next use of an idle VM saves, and how near it is. */
#include "scheduler/core/idle.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "scheduler/core/lifetime.h"
#include "scheduler/core/speed.h"

#define LEAST_BILLED_S 60.0
#define MOST_RATIO     10.0 /* such VMs would not be launched */

void ebb_idle_begin(struct ebb_idle *i, struct planning *w)
{
    const struct ebb_state *s = w->in->state;
    *i = (struct ebb_idle){.w = w,
                           .start_s = ebb_alloc_array(s->active_count + 1, sizeof *i->start_s),
                           .waiting = ebb_alloc_array(s->active_count + 1, sizeof *i->waiting)};
    for (size_t g = 0; g < s->active_count; g++) {
        i->start_s[g] = -1;
        i->waiting[g] = w->stopped[s->active[g]->bag] ? 0 : s->active[g]->counts[EBB_JOB_WAITING];
    }
}

void ebb_idle_clean_up(struct ebb_idle *i)
{
    free(i->start_s);
    free(i->waiting);
    free(i->revoked);
}

static double boot_s(const struct planning *w)
{
    const struct ebb_mean *m = &w->in->state->boot_s;
    return m->count > 0 ? m->value : w->in->policy->default_boot_s;
}

/* A job of the group on a VM that is so old and has so much of its boot to go. */
static void job_on(const struct planning *w, const struct ebb_group *g, const struct ebb_outlook *o,
                   double speed, double age_s, double lead_s, struct ebb_run_worth *ret)
{
    struct ebb_demand d;
    struct ebb_run_terms terms;
    ebb_demand_of_group(w->in, g, &d);
    d.work_s = d.full_s;
    ebb_demand_terms(w->in, &d, speed, &terms);
    terms.age_s = age_s;
    terms.lead_s = lead_s;
    ebb_outlook_worth(o, &terms, ret);
}

static double saved_s(const struct planning *w, const struct ebb_vm *vm, const struct ebb_group *g)
{
    const struct ebb_state *s = w->in->state;
    struct ebb_outlook now, later;
    struct ebb_run_worth anew, own;
    double age_s = ebb_vm_age_s(vm, w->in->now_wall_ns), boot = boot_s(w);
    double booting_s = vm->state == EBB_VM_READY ? 0 : fmax(0, boot - age_s);
    double speed = ebb_state_speed(s, g->spec->engine, vm->offer->type);
    ebb_state_outlook(s, vm->offer, w->in->now_wall_ns, &now);
    later = now;
    later.bulk = 0; /* a new VM would come when that is over */
    job_on(w, g, &later, speed, 0, boot, &anew);
    job_on(w, g, &now, speed, age_s, booting_s, &own);
    double unpaid_s = fmax(0, LEAST_BILLED_S / s->bill_time_scale - anew.vm_s);
    return fmax(0, fmin(anew.ratio, MOST_RATIO) * own.useful_s - own.vm_s) + unpaid_s;
}

static double start_s(struct ebb_idle *i, size_t g)
{
    if (i->start_s[g] < 0)
        i->start_s[g] = ebb_deadline_start_s(i->w->in, i->w->in->state->active[g]);
    return i->start_s[g];
}

/* The waiting group that could use it soonest; the count of groups: none. */
static size_t next_group(struct ebb_idle *i, const struct ebb_vm *vm)
{
    const struct ebb_state *s = i->w->in->state;
    size_t best = s->active_count;
    for (size_t g = 0; g < s->active_count; g++) {
        if (i->waiting[g] > 0 && ebb_offer_slots(vm->offer, s->active[g]->spec->resources) > 0 &&
            (best == s->active_count || start_s(i, g) < start_s(i, best)))
            best = g;
    }
    return best;
}

/* ---- revocations of others ---- */

static size_t group_of_lease(const struct planning *w, const struct ebb_lease *l)
{
    const struct ebb_bag *b = w->in->state->bags[l->bag];
    if (b->cancelled || w->stopped[l->bag])
        return w->in->state->active_count;
    return ebb_planning_group(w, ebb_bag_group_of(b, l->job));
}

static void reckon_revocations(struct ebb_idle *i)
{
    const struct ebb_state *s = i->w->in->state;
    i->revoked = ebb_alloc_array(s->active_count + 1, sizeof *i->revoked);
    struct ebb_outlook outlook = {0};
    const Ebb__Offer *of = NULL;
    for (size_t k = 0; k < s->live_count; k++) {
        const struct ebb_vm *vm = s->vms[s->live[k]];
        if (vm->lease_count == 0 || vm->state != EBB_VM_READY ||
            vm->offer->market == EBB__MARKET__ON_DEMAND)
            continue;
        if (of == NULL || !ebb_offer_is_alike(of, vm->offer))
            ebb_state_outlook(s, of = vm->offer, i->w->in->now_wall_ns, &outlook);
        double age_s = ebb_vm_age_s(vm, i->w->in->now_wall_ns);
        i->revoked[group_of_lease(i->w, &vm->leases[0])] +=
            ebb_outlook_per_hour(&outlook, age_s) / 3600;
    }
}

/* What revocations elsewhere are expected to bring an idle second, in seconds saved. */
static double gain_by_revocations(struct ebb_idle *i, const struct ebb_vm *vm)
{
    const struct ebb_state *s = i->w->in->state;
    double gain = 0;
    if (i->revoked == NULL)
        reckon_revocations(i);
    for (size_t g = 0; g < s->active_count; g++) {
        if (i->revoked[g] > 0 && ebb_offer_slots(vm->offer, s->active[g]->spec->resources) > 0)
            gain += i->revoked[g] * saved_s(i->w, vm, s->active[g]);
    }
    return gain / (1 + i->spares);
}

/* ---- the rule ---- */

static void note(struct ebb_idle *i, const struct ebb_vm *vm, const char *why)
{
    char text[320];
    snprintf(text, sizeof text, "%s is kept idle: %s", vm->id, why);
    ebb_planning_note(i->w, text);
}

static bool is_needed_soon(struct ebb_idle *i, const struct ebb_vm *vm, char reason[200])
{
    const struct ebb_state *s = i->w->in->state;
    size_t g = next_group(i, vm);
    if (g == s->active_count) {
        snprintf(reason, 200, "no job is left for it");
        return false;
    }
    double saved = saved_s(i->w, vm, s->active[g]), next = start_s(i, g);
    snprintf(reason, 200,
             "its next job ('%.60s') is about %.0f s away, and a new VM would take %.0f s longer "
             "for it",
             s->active[g]->spec->name, next, saved);
    if (next > saved)
        return false;
    uint64_t slots = ebb_offer_slots(vm->offer, s->active[g]->spec->resources);
    i->waiting[g] -= slots < i->waiting[g] ? slots : i->waiting[g];
    note(i, vm, reason);
    return true;
}

static bool is_spare(struct ebb_idle *i, const struct ebb_vm *vm, char why[200])
{
    double gain = gain_by_revocations(i, vm);
    if (gain <= 0)
        return false;
    snprintf(why, 200,
             "revocations of other VMs are expected to save %.2g s by it each second that it "
             "stands idle",
             gain);
    if (gain < 1)
        return false;
    i->spares++;
    note(i, vm, why);
    return true;
}

/* Until this its bill would be the same. */
static int64_t paid_until_ns(const struct planning *w, const struct ebb_vm *vm)
{
    return vm->launched_wall_ns == 0
               ? 0
               : vm->launched_wall_ns +
                     (int64_t)(LEAST_BILLED_S / w->in->state->bill_time_scale * 1e9);
}

bool ebb_idle_is_kept(struct ebb_idle *i, const struct ebb_vm *vm, int64_t since_wall_ns,
                      char reason[200])
{
    struct planning *w = i->w;
    char why[200], spare[200] = "";
    double idle_s = (double)(w->in->now_wall_ns - since_wall_ns) / 1e9;
    if (is_needed_soon(i, vm, why) || is_spare(i, vm, spare))
        return true;
    int64_t until = since_wall_ns + (int64_t)(w->in->policy->idle_s * 1e9);
    until = paid_until_ns(w, vm) > until ? paid_until_ns(w, vm) : until;
    if (until > w->in->now_wall_ns) {
        ebb_planning_again(w, until);
        return true;
    }
    snprintf(reason, 200, "idle for %.0f s: %.160s", idle_s, why);
    return false;
}
