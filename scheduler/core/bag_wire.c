/* A spec that came over a wire or from a log: it must hold what the parser guarantees, since the
 * fold, the planner and the agents index by it. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/bag_parse.h"
#include "scheduler/core/spec_read.h"
#include "scheduler/core/sweep.h"

#define MOST_JOBS   10000000u
#define MOST_GROUPS 10000u

static int check_axis(const Ebb__Axis *a, struct ebb_error *err)
{
    const char *why = ebb_bag_parameter_fault(a->name);
    if (why != NULL)
        return ebb_error_set(err, EBB_ERR_INPUT, "parameter '%.80s' %s", a->name, why);
    if (a->is_range && !(isfinite(a->from) && isfinite(a->to) && isfinite(a->step) &&
                         fabs(a->from) <= 1e15 && fabs(a->to) <= 1e15 && a->step != 0))
        return ebb_error_set(err, EBB_ERR_INPUT, "parameter '%s' has no finite range", a->name);
    if (a->is_range && fabs(a->step) < fmax(fabs(a->from), fabs(a->to)) * 1e-9)
        return ebb_error_set(err, EBB_ERR_INPUT, "parameter '%s': the step is too small", a->name);
    return 0;
}

static int check_resources(const Ebb__Resources *r, struct ebb_error *err)
{
    if (r == NULL)
        return 0;
    if (!(r->cpus >= 0 && r->cpus <= 4096) || !(r->time_s >= 0 && r->time_s <= 1e9) ||
        r->gpus > 1024 || r->memory_bytes > (UINT64_C(1) << 60))
        return ebb_error_set(err, EBB_ERR_INPUT, "resources are out of range");
    return 0;
}

static int check_paths(const Ebb__BagSpec *spec, const Ebb__JobGroup *g, struct ebb_error *err)
{
    for (size_t i = 0; i < g->n_outputs; i++) {
        if (!ebb_spec_is_inside(g->outputs[i]->pattern))
            return ebb_error_set(err, EBB_ERR_INPUT,
                                 "output '%.80s' is not relative to the work "
                                 "directory",
                                 g->outputs[i]->pattern);
        const Ebb__Packing *pack = g->outputs[i]->pack;
        if (pack != NULL && (!(pack->error >= 0 && pack->error <= 1e30) || strlen(pack->unit) > 3))
            return ebb_error_set(err, EBB_ERR_INPUT, "output '%.80s' has no sound error bound",
                                 g->outputs[i]->pattern);
    }
    for (size_t i = 0; i < g->n_inputs; i++) {
        const Ebb__Input *in = g->inputs[i];
        if (in->from_group[0] == '\0' && in->path[0] == '\0')
            return ebb_error_set(err, EBB_ERR_INPUT, "an input without a path");
        if (in->from_group[0] != '\0' &&
            ebb_bag_group_index(spec, in->from_group) >= spec->n_groups)
            return ebb_error_set(err, EBB_ERR_INPUT, "no job group '%.80s' for an input",
                                 in->from_group);
    }
    return 0;
}

static int check_needs(const Ebb__BagSpec *spec, const Ebb__JobGroup *g, struct ebb_error *err)
{
    for (size_t i = 0; i < g->n_needs; i++) {
        if (ebb_bag_group_index(spec, g->needs[i]) >= spec->n_groups)
            return ebb_error_set(err, EBB_ERR_INPUT, "no job group '%.80s' to need", g->needs[i]);
        for (size_t k = 0; k < i; k++) {
            if (strcmp(g->needs[i], g->needs[k]) == 0)
                return ebb_error_set(err, EBB_ERR_INPUT, "'%s' is needed twice", g->needs[i]);
        }
    }
    return 0;
}

static int check_sweep(const Ebb__JobGroup *g, struct ebb_error *err)
{
    uint64_t count = 0;
    for (size_t a = 0; g->sweep != NULL && a < g->sweep->n_axes; a++) {
        int rc = check_axis(g->sweep->axes[a], err);
        for (size_t b = 0; rc == 0 && b < a; b++) {
            if (strcmp(g->sweep->axes[a]->name, g->sweep->axes[b]->name) == 0)
                rc = ebb_error_set(err, EBB_ERR_INPUT, "parameter '%s' is named twice",
                                   g->sweep->axes[a]->name);
        }
        if (rc < 0)
            return rc;
    }
    int rc = ebb_sweep_count(g->sweep, &count, err);
    if (rc == 0)
        rc = ebb_bag_check_names(g, err);
    if (rc == 0 && count != g->job_count)
        rc = ebb_error_set(err, EBB_ERR_INPUT, "the sweep gives %llu jobs, the group says %llu",
                           (unsigned long long)count, (unsigned long long)g->job_count);
    return rc;
}

static int check_group(const Ebb__BagSpec *spec, size_t at, struct ebb_error *err)
{
    const Ebb__JobGroup *g = spec->groups[at];
    if (!ebb_spec_is_name(g->name) || ebb_bag_group_index(spec, g->name) != at)
        return ebb_error_set(err, EBB_ERR_INPUT, "its name is malformed or taken");
    if (g->command[0] == '\0')
        return ebb_error_set(err, EBB_ERR_INPUT, "it has no command");
    if (!(g->checkpoint_interval_s >= 0 && g->checkpoint_interval_s <= 1e9))
        return ebb_error_set(err, EBB_ERR_INPUT, "its checkpoint interval is out of range");
    bool known = false;
    for (size_t i = 0; i < spec->n_profiles; i++)
        known |= strcmp(spec->profiles[i]->name, g->engine) == 0;
    if (!known)
        return ebb_error_set(err, EBB_ERR_INPUT, "its engine '%.80s' has no profile in the bag",
                             g->engine);
    int rc = check_resources(g->resources, err);
    if (rc == 0)
        rc = check_sweep(g, err);
    if (rc == 0)
        rc = check_needs(spec, g, err);
    if (rc == 0)
        rc = check_paths(spec, g, err);
    if (rc == 0)
        rc = ebb_bag_check_template(g, g->command, false, err);
    if (rc == 0)
        rc = ebb_bag_check_template(g, g->setup, false, err);
    return rc == 0 ? ebb_bag_check_template(g, g->resume_command, true, err) : rc;
}

int ebb_bag_check(const Ebb__BagSpec *spec, struct ebb_error *err)
{
    uint64_t first = 0;
    size_t at = 0;
    if (!ebb_spec_is_name(spec->name))
        return ebb_error_set(err, EBB_ERR_INPUT, "'%.80s' is no name for a bag", spec->name);
    if (spec->n_groups == 0 || spec->n_groups > MOST_GROUPS)
        return ebb_error_set(err, EBB_ERR_INPUT, "a bag of %zu job groups", spec->n_groups);
    if (!(spec->deadline_s >= 0 && spec->deadline_s <= 1e10) || spec->budget_usd_micros < 0)
        return ebb_error_set(err, EBB_ERR_INPUT, "the deadline or the budget is out of range");
    for (size_t g = 0; g < spec->n_groups; g++) {
        int rc = check_group(spec, g, err);
        if (rc == 0 && spec->groups[g]->first_job != first)
            rc = ebb_error_set(err, EBB_ERR_INPUT, "its jobs are misnumbered");
        if (rc < 0)
            return ebb_error_wrap(err, rc, "job group '%.80s'", spec->groups[g]->name);
        first += spec->groups[g]->job_count;
    }
    if (first > MOST_JOBS)
        return ebb_error_set(err, EBB_ERR_INPUT, "a bag of over %u jobs", MOST_JOBS);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer cycle = {0};
    if (ebb_bag_find_cycle(spec, &at, &cycle))
        return ebb_error_set(err, EBB_ERR_INPUT, "%.300s", ebb_buffer_text(&cycle));
    return 0;
}
