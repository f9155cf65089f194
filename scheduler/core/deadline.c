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

static double own_s(const struct ebb_plan_input *in, const struct ebb_group *g)
{
    struct ebb_demand d;
    if (unfinished(g) == 0)
        return 0;
    ebb_demand_of_group(in, g, &d);
    return d.longest_s + d.setup_s;
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
    memo[g] = own_s(in, &b->groups[g]) + longest;
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

bool ebb_deadline_must_on_demand(const struct ebb_plan_input *in, const struct ebb_group *g)
{
    const struct ebb_bag *b = in->state->bags[g->bag];
    if (b->spec->deadline_s <= 0)
        return false;
    struct ebb_demand d;
    ebb_demand_of_group(in, g, &d);
    double chain = chain_of(in, g);
    double margin = 0.1 * chain + 2 * (d.boot_s + d.setup_s) + in->policy->interval_least_s;
    return left_s(in, b) < chain + margin;
}

double ebb_deadline_vms(const struct ebb_plan_input *in, const struct ebb_group *g,
                        const struct ebb_demand *d, double jobs, uint32_t slots)
{
    const struct ebb_bag *b = in->state->bags[g->bag];
    if (b->spec->deadline_s <= 0 || slots == 0)
        return 0;
    double after = chain_of(in, g) - own_s(in, g);
    double left = left_s(in, b) - after - 2 * d->boot_s;
    double job_s = d->longest_s + d->setup_s;
    double in_a_row = floor(left / (1.2 * job_s));
    if (in_a_row < 1)
        in_a_row = 1;
    return ceil(jobs / (slots * in_a_row));
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
        double until = own_s(in, needed);
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
