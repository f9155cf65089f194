/* Before a bag is submitted: what it would cost and when it would end.
 *
 * For each job group an option is an offer with a number of VMs, and has a cost and a duration. A
 * value of time (micro-dollars a second) picks each group's option with the least cost + value *
 * duration; sweeping it from nothing upwards gives points (cost, finish) from the cheapest to the
 * fastest. The answer is the cheapest point that ends before the deadline: a later deadline admits
 * more points, and so never costs more. */
#include "scheduler/core/estimate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "scheduler/core/bag_parse.h"
#include "scheduler/core/fold.h"
#include "scheduler/core/lifetime.h"
#include "scheduler/core/score.h"

#define VALUES 48

struct option {
    size_t offer;
    double vms, usd_micros, duration_s;
};

struct group_options {
    struct ebb_demand demand;
    struct option *options;
    size_t count;
};

struct point {
    double usd_micros, finish_s;
    size_t *chosen; /* option of each group */
};

struct estimating {
    const struct ebb_plan_input *in;
    const Ebb__BagSpec *spec;
    struct group_options *groups;
    struct point points[VALUES];
    size_t point_count;
};

static const Ebb__Profile *profile_of(const Ebb__BagSpec *spec, const char *engine)
{
    for (size_t i = 0; i < spec->n_profiles; i++) {
        if (strcmp(spec->profiles[i]->name, engine) == 0)
            return spec->profiles[i];
    }
    return NULL;
}

/* Cost and duration of all the group's jobs on so many VMs of one offer. */
static struct option make_option(const struct ebb_plan_input *in, const struct ebb_demand *d,
                                 size_t offer, const struct ebb_score *score, double vms)
{
    double at_once = fmax(1, fmin(score->slots, d->jobs / vms));
    double in_a_row = fmax(1, ceil(d->jobs / (vms * score->slots)));
    double per_s =
        (double)in->offers[offer]->usd_micros_per_hour * in->state->bill_time_scale / 3600;
    double amortised = fmax(1, d->jobs / (vms * at_once));
    double gang = d->gang > 1 ? d->gang : 1;
    return (struct option){.offer = offer,
                           .vms = vms * gang,
                           .usd_micros = gang * d->jobs * per_s *
                                         (d->boot_s / amortised + score->wall_s) / at_once,
                           .duration_s = d->boot_s + in_a_row * score->wall_s};
}

static bool is_allowed(const struct ebb_policy *p, const Ebb__Offer *o)
{
    return o->market == EBB__MARKET__ON_DEMAND ? p->use_on_demand : p->use_spot;
}

static void make_options(struct estimating *w, size_t g)
{
    struct group_options *group = &w->groups[g];
    const Ebb__JobGroup *spec = w->spec->groups[g];
    ebb_demand_of_spec(w->in, spec, profile_of(w->spec, spec->engine), &group->demand);
    group->options = ebb_alloc_array(w->in->offer_count * 2 + 1, sizeof *group->options);
    for (size_t i = 0; i < w->in->offer_count; i++) {
        struct ebb_score score;
        if (!is_allowed(w->in->policy, w->in->offers[i]))
            continue;
        ebb_score_offer(w->in, &group->demand, w->in->offers[i], &score);
        if (score.slots == 0 || !isfinite(score.wall_s))
            continue;
        double gang = group->demand.gang > 1 ? group->demand.gang : 1;
        double most = fmax(1, floor((double)w->in->policy->max_vms / gang)); /* jobs' sets of VMs */
        double few = fmin(most, score.vms);
        double many = fmin(most, ceil(group->demand.jobs / score.slots));
        group->options[group->count++] = make_option(w->in, &group->demand, i, &score, few);
        if (many > few)
            group->options[group->count++] = make_option(w->in, &group->demand, i, &score, many);
    }
}

static bool is_better(const struct estimating *w, const struct option *a, const struct option *b,
                      double value)
{
    double x = a->usd_micros + value * a->duration_s, y = b->usd_micros + value * b->duration_s;
    if (x != y)
        return x < y;
    int by = ebb_offer_compare(w->in->offers[a->offer], w->in->offers[b->offer]);
    return by != 0 ? by < 0 : a->vms < b->vms;
}

static double finish_of(const struct estimating *w, const size_t *chosen, size_t g, double *memo)
{
    if (memo[g] >= 0)
        return memo[g];
    double start = 0;
    const Ebb__JobGroup *spec = w->spec->groups[g];
    for (size_t n = 0; n < spec->n_needs; n++)
        start =
            fmax(start, finish_of(w, chosen, ebb_bag_group_index(w->spec, spec->needs[n]), memo));
    memo[g] = start + w->groups[g].options[chosen[g]].duration_s;
    return memo[g];
}

static void add_point(struct estimating *w, double value)
{
    struct point *p = &w->points[w->point_count++];
    *p = (struct point){.chosen = ebb_alloc_array(w->spec->n_groups, sizeof *p->chosen)};
    EBB_AUTO_FREE double *memo = ebb_alloc_array(w->spec->n_groups, sizeof *memo);
    for (size_t g = 0; g < w->spec->n_groups; g++) {
        const struct group_options *group = &w->groups[g];
        memo[g] = -1;
        for (size_t i = 1; i < group->count; i++) {
            if (is_better(w, &group->options[i], &group->options[p->chosen[g]], value))
                p->chosen[g] = i;
        }
        p->usd_micros += group->options[p->chosen[g]].usd_micros;
    }
    for (size_t g = 0; g < w->spec->n_groups; g++)
        p->finish_s = fmax(p->finish_s, finish_of(w, p->chosen, g, memo));
}

/* The cheapest point that ends in time; the soonest when none does. */
static const struct point *pick(const struct estimating *w, double deadline_s, bool *ret_in_time)
{
    const struct point *best = NULL, *soonest = &w->points[0];
    for (size_t i = 0; i < w->point_count; i++) {
        const struct point *p = &w->points[i];
        if (p->finish_s < soonest->finish_s ||
            (p->finish_s == soonest->finish_s && p->usd_micros < soonest->usd_micros))
            soonest = p;
        if ((deadline_s <= 0 || p->finish_s <= deadline_s) &&
            (best == NULL || p->usd_micros < best->usd_micros))
            best = p;
    }
    *ret_in_time = best != NULL;
    return best != NULL ? best : soonest;
}

/* The same work on demand: the cheapest type, at its on-demand price, without revocations. */
static double on_demand_usd_micros(const struct estimating *w)
{
    double sum = 0;
    for (size_t g = 0; g < w->spec->n_groups; g++) {
        double best = INFINITY;
        for (size_t i = 0; i < w->in->offer_count; i++) {
            Ebb__Offer offer = *w->in->offers[i];
            if (offer.market == EBB__MARKET__SPOT && offer.on_demand_usd_micros_per_hour <= 0)
                continue;
            if (offer.market == EBB__MARKET__SPOT)
                offer.usd_micros_per_hour = offer.on_demand_usd_micros_per_hour;
            offer.market = EBB__MARKET__ON_DEMAND;
            struct ebb_demand d = w->groups[g].demand;
            struct ebb_score score;
            d.checkpoints = false;
            ebb_score_offer(w->in, &d, &offer, &score);
            if (score.slots > 0)
                best = fmin(best, score.usd_micros_per_job * d.jobs);
        }
        if (isfinite(best))
            sum += best;
    }
    return sum;
}

static void set_text(char **field, const char *text)
{
    *field = ebb_strdup(text);
}

/* Jobs of the first group that fits stand for the offer in the table. */
static Ebb__Candidate *make_candidate(const struct estimating *w, size_t offer,
                                      const struct point *p)
{
    const Ebb__Offer *o = w->in->offers[offer];
    Ebb__Candidate *c = ebb_alloc(sizeof *c);
    ebb__candidate__init(c);
    c->offer = ebb_fold_copy(&o->base);
    c->hazard_per_hour = ebb_state_hazard(w->in->state, o, 0, w->in->now_wall_ns);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer small = {0};
    bool fits = false;
    for (size_t g = 0; g < w->spec->n_groups; g++) {
        struct ebb_score score;
        ebb_score_offer(w->in, &w->groups[g].demand, o, &score);
        if (score.slots == 0)
            ebb_buffer_printf(&small, "%s%s", small.len == 0 ? "too small for " : ", ",
                              w->spec->groups[g]->name);
        else if (!fits)
            c->expected_usd_per_job = score.usd_micros_per_job / 1e6;
        fits |= score.slots > 0;
        if (p != NULL && w->groups[g].options[p->chosen[g]].offer == offer) {
            c->chosen = true;
            c->vms += (uint32_t)w->groups[g].options[p->chosen[g]].vms;
        }
    }
    if (ebb_plan_cool_until(w->in->state, w->in->policy, o) > w->in->now_wall_ns)
        set_text(&c->note, "cooling down after a refused launch");
    else
        set_text(&c->note, ebb_buffer_text(&small));
    if (!fits)
        c->expected_usd_per_job = -1;
    return c;
}

static int by_cost(const void *a, const void *b)
{
    const Ebb__Candidate *x = *(Ebb__Candidate *const *)a, *y = *(Ebb__Candidate *const *)b;
    bool x_fits = x->expected_usd_per_job >= 0, y_fits = y->expected_usd_per_job >= 0;
    if (x_fits != y_fits)
        return x_fits ? -1 : 1;
    if (x->expected_usd_per_job != y->expected_usd_per_job)
        return x->expected_usd_per_job < y->expected_usd_per_job ? -1 : 1;
    return ebb_offer_compare(x->offer, y->offer);
}

static void add_candidates(const struct estimating *w, const struct point *p, Ebb__PlanAnswer *r)
{
    r->candidates = ebb_alloc_array(w->in->offer_count + 1, sizeof *r->candidates);
    for (size_t i = 0; i < w->in->offer_count; i++)
        r->candidates[r->n_candidates++] = make_candidate(w, i, p);
    if (r->n_candidates > 1)
        qsort(r->candidates, r->n_candidates, sizeof *r->candidates, by_cost);
}

static void judge(const struct estimating *w, const struct point *p, bool in_time,
                  Ebb__PlanAnswer *r)
{
    char finish[EBB_QUANTITY_TEXT_SIZE], cost[EBB_QUANTITY_TEXT_SIZE],
        limit[EBB_QUANTITY_TEXT_SIZE], cheapest[EBB_QUANTITY_TEXT_SIZE],
        then[EBB_QUANTITY_TEXT_SIZE];
    bool any;
    const struct point *free_of_time = pick(w, 0, &any);
    int64_t budget = w->spec->budget_usd_micros;
    ebb_format_duration(p->finish_s, finish);
    ebb_format_usd((int64_t)ceil(p->usd_micros), cost);
    ebb_format_usd((int64_t)ceil(free_of_time->usd_micros), cheapest);
    ebb_format_duration(free_of_time->finish_s, then);
    r->feasible = in_time && (budget == 0 || p->usd_micros <= (double)budget);
    char *reason = NULL;
    if (!in_time)
        reason = ebb_sprintf("the deadline of %s cannot hold: the soonest is about %s, for %s",
                             ebb_format_duration(w->spec->deadline_s, limit), finish, cost);
    else if (!r->feasible && p != free_of_time && free_of_time->usd_micros <= (double)budget)
        reason = ebb_sprintf("the budget of %s does not pay for the deadline, which takes %s; "
                             "within the budget it takes about %s, for %s",
                             ebb_format_usd(budget, limit), cost, then, cheapest);
    else if (!r->feasible)
        reason = ebb_sprintf("the budget of %s is not enough: the least is about %s, done in %s",
                             ebb_format_usd(budget, limit), cheapest, then);
    if (reason != NULL)
        r->reason = reason;
}

static char *unfit_reason(const struct estimating *w, size_t g)
{
    struct ebb_need need = ebb_need_of(w->spec->groups[g]->resources);
    char memory[EBB_QUANTITY_TEXT_SIZE];
    return ebb_sprintf("no VM type of the cloud can run '%s': it wants %g CPUs, %s of memory and "
                       "%lld GPUs%s",
                       w->spec->groups[g]->name, (double)need.millicpus / 1000,
                       ebb_format_size((uint64_t)need.memory_bytes, memory), (long long)need.gpus,
                       w->spec->groups[g]->resources != NULL &&
                               w->spec->groups[g]->resources->n_gpu_models > 0
                           ? " of the models named"
                           : "");
}

static void make_points(struct estimating *w)
{
    double typical = 0;
    for (size_t g = 0; g < w->spec->n_groups; g++)
        typical += w->groups[g].options[0].usd_micros / w->groups[g].options[0].duration_s;
    add_point(w, 0);
    for (int i = 1; i < VALUES; i++)
        add_point(w, typical * pow(10, -3 + 8.0 * i / VALUES));
}

static void fill_answer(struct estimating *w, Ebb__PlanAnswer *r)
{
    bool in_time = false;
    make_points(w);
    const struct point *p = pick(w, w->spec->deadline_s, &in_time);
    Ebb__Estimate *e = r->estimate = ebb_alloc(sizeof *e);
    ebb__estimate__init(e);
    e->cost_usd_micros = (int64_t)ceil(p->usd_micros);
    e->on_demand_cost_usd_micros = (int64_t)ceil(on_demand_usd_micros(w));
    e->finish_s = p->finish_s;
    for (size_t g = 0; g < w->spec->n_groups; g++) {
        uint32_t vms = (uint32_t)w->groups[g].options[p->chosen[g]].vms;
        e->vms = vms > e->vms ? vms : e->vms;
    }
    judge(w, p, in_time, r);
    add_candidates(w, p, r);
}

Ebb__PlanAnswer *ebb_estimate(const struct ebb_plan_input *in, const Ebb__BagSpec *spec)
{
    Ebb__PlanAnswer *r = ebb_alloc(sizeof *r);
    ebb__plan_answer__init(r);
    struct estimating *w = ebb_alloc(sizeof *w);
    *w = (struct estimating){.in = in, .spec = spec};
    w->groups = ebb_alloc_array(spec->n_groups, sizeof *w->groups);
    bool fits = true;
    for (size_t g = 0; g < spec->n_groups; g++) {
        make_options(w, g);
        if (w->groups[g].count == 0 && fits) {
            r->reason = unfit_reason(w, g);
            fits = false;
        }
    }
    if (fits)
        fill_answer(w, r);
    else
        add_candidates(w, NULL, r);
    for (size_t g = 0; g < spec->n_groups; g++)
        free(w->groups[g].options);
    for (size_t i = 0; i < w->point_count; i++)
        free(w->points[i].chosen);
    free(w->groups);
    free(w);
    return r;
}
