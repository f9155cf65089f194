/* Chains of groups: the longest way from a group to the end of the bag, in seconds of work that no
 * number of VMs shortens. */
#include "scheduler/core/deadline.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

static uint64_t unfinished(const struct ebb_group *g)
{
    return g->spec->job_count - g->counts[EBB_JOB_DONE] - g->counts[EBB_JOB_FAILED] -
           g->counts[EBB_JOB_CANCELLED];
}

/* Since the lease's newest commit, or its start. */
static double uncommitted_s(const struct ebb_lease *l, int64_t now_wall_ns)
{
    int64_t from = l->commit_wall_ns > l->started_wall_ns ? l->commit_wall_ns : l->started_wall_ns;
    return from == 0 || from > now_wall_ns ? 0 : (double)(now_wall_ns - from) / 1e9;
}

/* The longest job of the group that is left: of those that wait, and of those that run. Their work
 * since the newest commit counts for nothing, unless `by_luck`. */
static double longest_s(const struct ebb_plan_input *in, const struct ebb_group *g,
                        const struct ebb_demand *d, bool by_luck)
{
    const struct ebb_state *s = in->state;
    const struct ebb_bag *b = s->bags[g->bag];
    uint64_t idle = g->counts[EBB_JOB_READY] + g->counts[EBB_JOB_WAITING];
    double longest = idle == 0 ? 0 : idle <= EBB_DEMAND_SAMPLE ? d->longest_s : d->full_s;
    double most_s = g->paced_jobs > 0 ? INFINITY : d->full_s; /* of a job whose pace is unseen */
    for (size_t i = 0; i < s->live_count && longest < most_s; i++) {
        const struct ebb_vm *vm = s->vms[s->live[i]];
        for (size_t k = 0; k < vm->lease_count; k++) {
            const struct ebb_lease *l = &vm->leases[k];
            if (l->bag != g->bag || ebb_bag_group_of(b, l->job) != g)
                continue;
            double left = ebb_demand_job_s(d, &b->jobs[l->job]);
            left -= by_luck ? uncommitted_s(l, in->now_wall_ns) : 0;
            longest = fmax(longest, left);
        }
    }
    return longest;
}

static double own_s(const struct ebb_plan_input *in, const struct ebb_group *g, bool by_luck)
{
    struct ebb_demand d;
    if (unfinished(g) == 0)
        return 0;
    ebb_demand_of_group(in, g, &d);
    return longest_s(in, g, &d, by_luck) + d.setup_s;
}

/* The group's longest job and the longest chain of groups that need it. `memo` by group, < 0: not
 * known yet. */
static double chain_s(const struct ebb_plan_input *in, const struct ebb_bag *b, uint32_t g,
                      double *memo)
{
    if (memo[g] >= 0)
        return memo[g];
    double longest = 0;
    for (size_t d = 0; d < b->groups[g].dependent_count; d++)
        longest = fmax(longest, chain_s(in, b, b->groups[g].dependents[d], memo));
    memo[g] = own_s(in, &b->groups[g], false) + longest;
    return memo[g];
}

static double chain_of(const struct ebb_plan_input *in, const struct ebb_group *g)
{
    const struct ebb_bag *b = in->state->bags[g->bag];
    EBB_AUTO_FREE double *memo = ebb_alloc_array(b->group_count, sizeof *memo);
    for (size_t i = 0; i < b->group_count; i++)
        memo[i] = -1;
    return chain_s(in, b, g->index, memo);
}

static double left_s(const struct ebb_plan_input *in, const struct ebb_bag *b)
{
    return b->spec->deadline_s - (double)(in->now_wall_ns - b->submitted_wall_ns) / 1e9;
}

/* All that is left of the bag on as many on-demand VMs as are allowed, by the slots of the best. */
static double all_work_s(const struct ebb_plan_input *in, const struct ebb_bag *b)
{
    double sum = 0;
    if (b->counts[EBB_JOB_WAITING] + b->counts[EBB_JOB_READY] <= in->policy->max_vms)
        return 0; /* all can run at once */
    for (size_t g = 0; g < b->group_count; g++) {
        struct ebb_demand d;
        uint32_t slots = 1;
        uint64_t jobs = unfinished(&b->groups[g]);
        if (jobs == 0)
            continue;
        for (size_t i = 0; i < in->offer_count; i++) {
            uint32_t n = in->offers[i]->market == EBB__MARKET__ON_DEMAND
                             ? ebb_offer_slots(in->offers[i], b->groups[g].spec->resources)
                             : 0;
            slots = n > slots ? n : slots;
        }
        ebb_demand_of_group(in, &b->groups[g], &d);
        sum += (double)jobs * (d.work_s + d.setup_s) / slots;
    }
    return sum / fmax(1, in->policy->max_vms);
}

void ebb_deadline_of(const struct ebb_plan_input *in, const struct ebb_group *g,
                     struct ebb_deadline *ret)
{
    const struct ebb_bag *b = in->state->bags[g->bag];
    *ret = (struct ebb_deadline){.left_s = INFINITY};
    if (b->spec->deadline_s <= 0)
        return;
    struct ebb_demand d;
    ebb_demand_of_group(in, g, &d);
    ret->left_s = left_s(in, b);
    ret->need_s = fmax(chain_of(in, g), all_work_s(in, b));
    ret->margin_s = 0.1 * ret->need_s + 2 * (d.boot_s + d.setup_s) + in->policy->interval_least_s;
    ret->must_on_demand = ret->left_s < ret->need_s + ret->margin_s;
}

double ebb_deadline_group_left_s(const struct ebb_plan_input *in, const struct ebb_group *g)
{
    const struct ebb_bag *b = in->state->bags[g->bag];
    if (b->spec->deadline_s <= 0)
        return INFINITY;
    return left_s(in, b) - (chain_of(in, g) - own_s(in, g, false));
}

/* Jobs of the group that one slot can run one after another in the time that is left. */
static double in_a_row(const struct ebb_plan_input *in, const struct ebb_group *g,
                       const struct ebb_demand *d)
{
    double left = ebb_deadline_group_left_s(in, g) - 2 * d->boot_s;
    return fmax(1, floor(left / (1.2 * (d->longest_s + d->setup_s))));
}

double ebb_deadline_vms(const struct ebb_plan_input *in, const struct ebb_group *g,
                        const struct ebb_demand *d, double jobs, uint32_t slots)
{
    if (in->state->bags[g->bag]->spec->deadline_s <= 0 || slots == 0)
        return 0;
    return ceil(jobs / (slots * in_a_row(in, g, d)));
}

double ebb_deadline_slots(const struct ebb_plan_input *in, const struct ebb_group *g,
                          const struct ebb_demand *d, double jobs)
{
    if (in->state->bags[g->bag]->spec->deadline_s <= 0)
        return 0;
    double all = (double)unfinished(g);
    double running = fmax(0, all - (double)g->counts[EBB_JOB_WAITING] - jobs);
    return fmax(0, ceil(all / in_a_row(in, g, d)) - running);
}

static double start_s(const struct ebb_plan_input *in, const struct ebb_bag *b, uint32_t g,
                      double *memo)
{
    if (memo[g] >= 0)
        return memo[g];
    double latest = 0;
    for (uint32_t n = 0; n < b->group_count; n++) {
        const struct ebb_group *needed = &b->groups[n];
        bool is_needed = false;
        for (size_t d = 0; d < needed->dependent_count; d++)
            is_needed |= needed->dependents[d] == g;
        if (!is_needed || unfinished(needed) == 0)
            continue;
        double until = own_s(in, needed, true);
        if (needed->counts[EBB_JOB_WAITING] > 0)
            until += start_s(in, b, n, memo);
        latest = fmax(latest, until);
    }
    memo[g] = latest;
    return latest;
}

double ebb_deadline_start_s(const struct ebb_plan_input *in, const struct ebb_group *g)
{
    const struct ebb_bag *b = in->state->bags[g->bag];
    EBB_AUTO_FREE double *memo = ebb_alloc_array(b->group_count, sizeof *memo);
    for (size_t i = 0; i < b->group_count; i++)
        memo[i] = -1;
    return start_s(in, b, g->index, memo);
}
