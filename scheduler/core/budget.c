/* Budgets: a hard stop, and a word before it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/text.h"
#include "scheduler/core/ledger.h"
#include "scheduler/core/planning.h"

#define RESERVE_S 30.0 /* of the living VMs' prices */

static double price_per_s(const struct ebb_state *s, const struct ebb_vm *vm)
{
    return (double)vm->offer->usd_micros_per_hour * s->bill_time_scale / 3600;
}

/* What the bag's VMs cost a second: by its share of their leases, and those it pays while idle. */
static double burn_per_s(const struct ebb_state *s, const struct ebb_bag *b)
{
    double sum = 0;
    for (size_t i = 0; i < s->live_count; i++) {
        const struct ebb_vm *vm = s->vms[s->live[i]];
        size_t own = 0;
        for (size_t k = 0; k < vm->lease_count; k++)
            own += vm->leases[k].bag == b->index;
        if (vm->lease_count > 0)
            sum += price_per_s(s, vm) * (double)own / (double)vm->lease_count;
        else if (vm->for_bag == b->index)
            sum += price_per_s(s, vm);
    }
    return sum;
}

/* To checkpoint and end all VMs before the budget is gone. */
static double reserve_of(const struct ebb_state *s)
{
    double sum = 0;
    for (size_t i = 0; i < s->live_count; i++)
        sum += price_per_s(s, s->vms[s->live[i]]) * RESERVE_S;
    return sum;
}

double ebb_budget_left_s(const struct ebb_state *s, const struct ebb_bag *b, int64_t now_wall_ns)
{
    double burn = burn_per_s(s, b), budget = (double)b->spec->budget_usd_micros;
    if (budget <= 0 || burn <= 0)
        return INFINITY;
    double spent = (double)ebb_ledger_bag_usd_micros(s, b->index, now_wall_ns);
    return fmax(0, (budget - spent - reserve_of(s)) / burn);
}

static void stop(struct planning *w, const struct ebb_bag *b, int64_t spent)
{
    struct ebb_plan *p = w->ret;
    w->stopped[b->index] = true;
    if (p->over_budget_count == p->over_budget_capacity) {
        p->over_budget_capacity = p->over_budget_capacity == 0 ? 4 : p->over_budget_count * 2;
        p->over_budget =
            ebb_realloc_array(p->over_budget, p->over_budget_capacity, sizeof *p->over_budget);
    }
    p->over_budget[p->over_budget_count++] = b->index;
    char has[EBB_QUANTITY_TEXT_SIZE], of[EBB_QUANTITY_TEXT_SIZE], line[200];
    snprintf(line, sizeof line, "bag '%s' stops: it has spent %s of its budget of %s", b->spec->id,
             ebb_format_usd(spent, has), ebb_format_usd(b->spec->budget_usd_micros, of));
    ebb_planning_note(w, line);
}

static void announce(struct planning *w, const struct ebb_bag *b, int64_t spent, double reached_s)
{
    struct ebb_plan *p = w->ret;
    if (p->near_budget_count == p->near_budget_capacity) {
        p->near_budget_capacity = p->near_budget_capacity == 0 ? 4 : p->near_budget_count * 2;
        p->near_budget =
            ebb_realloc_array(p->near_budget, p->near_budget_capacity, sizeof *p->near_budget);
    }
    p->near_budget[p->near_budget_count++] = (struct ebb_plan_budget){
        .bag = b->index, .spent_usd_micros = spent, .reached_s = reached_s};
}

static void check(struct planning *w, const struct ebb_bag *b, double reserve)
{
    const struct ebb_policy *policy = w->in->policy;
    double budget = (double)b->spec->budget_usd_micros;
    int64_t spent = ebb_ledger_bag_usd_micros(w->in->state, b->index, w->in->now_wall_ns);
    if ((double)spent + reserve >= budget) {
        stop(w, b, spent);
        return;
    }
    double reached_s = ebb_budget_left_s(w->in->state, b, w->in->now_wall_ns);
    if (isfinite(reached_s)) /* the stop must not wait for the next look */
        ebb_planning_again(w, w->in->now_wall_ns + (int64_t)(fmax(0.2, reached_s) * 1e9));
    char has[EBB_QUANTITY_TEXT_SIZE], of[EBB_QUANTITY_TEXT_SIZE], in[EBB_QUANTITY_TEXT_SIZE],
        line[240];
    if ((double)spent < policy->budget_share * budget && reached_s > policy->budget_s)
        return;
    snprintf(line, sizeof line, "bag '%s' has spent %s of its budget of %s and stops %s%s",
             b->spec->id, ebb_format_usd(spent, has), ebb_format_usd((int64_t)budget, of),
             isfinite(reached_s) ? "in about " : "when it is spent",
             isfinite(reached_s) ? ebb_format_duration(reached_s, in) : "");
    ebb_planning_note(w, line);
    if (b->budget_near_wall_ns == 0)
        announce(w, b, spent, reached_s);
}

void ebb_budget_plan(struct planning *w)
{
    const struct ebb_state *s = w->in->state;
    double reserve = reserve_of(s);
    for (size_t i = 0; i < s->bag_count; i++) {
        const struct ebb_bag *b = s->bags[i];
        if (!ebb_bag_is_finished(b) && !b->cancelled && b->spec->budget_usd_micros != 0)
            check(w, b, reserve);
    }
}
