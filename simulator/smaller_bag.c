/* How small: about WANTED jobs, as long as the work of all groups stays what it was. */
#include "simulator/smaller_bag.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/fold.h"
#include "scheduler/core/sweep.h"

#define WANTED      1000.0
#define LEAST_VMS   12.0
#define MOST_OFF    0.03 /* of the work, by rounding numbers of jobs */
#define LEAST_GROUP 8.0  /* jobs that a group keeps when they are made longer */

static double job_s(const Ebb__JobGroup *g, const struct ebb_policy *policy)
{
    return g->resources != NULL && g->resources->time_s > 0 ? g->resources->time_s
                                                            : policy->default_job_s;
}

static double smaller_count(const Ebb__JobGroup *g, double each)
{
    return fmax(1, round((double)g->job_count / each));
}

static double work_off(const Ebb__BagSpec *spec, const struct ebb_policy *policy, double each)
{
    double was = 0, is = 0;
    for (size_t i = 0; i < spec->n_groups; i++) {
        const Ebb__JobGroup *g = spec->groups[i];
        was += (double)g->job_count * job_s(g, policy);
        is += smaller_count(g, each) * each * job_s(g, policy);
    }
    return was > 0 ? fabs(is / was - 1) : 0;
}

static bool may_be_long(const Ebb__BagSpec *spec, const Ebb__Profile *const *profiles, double each)
{
    for (size_t i = 0; i < spec->n_groups; i++) {
        if (profiles[i] == NULL || !profiles[i]->checkpoints ||
            (double)spec->groups[i]->job_count < LEAST_GROUP * each)
            return false;
    }
    return true;
}

static void choose_size(const Ebb__BagSpec *spec, const struct ebb_policy *policy,
                        struct ebb_smaller_bag *b)
{
    double jobs = (double)ebb_bag_job_count(spec);
    b->wide = b->is_long = 1;
    if (jobs <= 2 * WANTED)
        return;
    b->wide = fmax(1, floor(fmin(jobs / WANTED, policy->max_vms / LEAST_VMS)));
    while (b->wide > 1 && work_off(spec, policy, b->wide) > MOST_OFF)
        b->wide = floor(b->wide * 0.8);
    double rest = floor(jobs / b->wide / WANTED);
    if (rest > 1 && may_be_long(spec, b->profiles, b->wide * rest))
        b->is_long = rest;
}

static Ebb__JobGroup *smaller_group(const Ebb__JobGroup *of, const struct ebb_policy *policy,
                                    const struct ebb_smaller_bag *b)
{
    Ebb__JobGroup *g = ebb_alloc(sizeof *g);
    ebb__job_group__init(g);
    g->name = ebb_strdup(of->name);
    g->engine = ebb_strdup(of->engine);
    g->setup = ebb_strdup(of->setup[0] != '\0' ? ":" : "");
    g->command = ebb_strdup(":");
    g->retries = of->retries;
    g->priority = of->priority;
    g->checkpoint_interval_s = of->checkpoint_interval_s;
    g->job_count = (uint64_t)smaller_count(of, b->wide * b->is_long);
    if (of->resources != NULL) {
        g->resources = ebb_fold_copy(&of->resources->base);
    } else {
        g->resources = ebb_alloc(sizeof *g->resources);
        ebb__resources__init(g->resources);
    }
    g->resources->time_s = job_s(of, policy) * b->is_long;
    g->needs = ebb_alloc_array(of->n_needs + 1, sizeof(char *));
    for (size_t i = 0; i < of->n_needs; i++)
        g->needs[g->n_needs++] = ebb_strdup(of->needs[i]);
    g->outputs = ebb_alloc(sizeof(Ebb__Output *));
    g->outputs[g->n_outputs++] = ebb_alloc(sizeof(Ebb__Output));
    ebb__output__init(g->outputs[0]);
    g->outputs[0]->pattern = ebb_strdup("x");
    return g;
}

/* One axis that counts. */
static void add_sweep(Ebb__JobGroup *g)
{
    if (g->job_count <= 1)
        return;
    Ebb__Axis *axis = ebb_alloc(sizeof *axis);
    ebb__axis__init(axis);
    axis->name = ebb_strdup("n");
    axis->is_range = axis->is_integer = true;
    axis->from = axis->step = 1;
    axis->to = (double)g->job_count;
    g->sweep = ebb_alloc(sizeof *g->sweep);
    ebb__sweep__init(g->sweep);
    g->sweep->axes = ebb_alloc(sizeof(Ebb__Axis *));
    g->sweep->axes[g->sweep->n_axes++] = axis;
}

static const Ebb__Profile *profile_of(const Ebb__BagSpec *spec, const char *engine)
{
    for (size_t i = 0; i < spec->n_profiles; i++) {
        if (strcmp(spec->profiles[i]->name, engine) == 0)
            return spec->profiles[i];
    }
    return NULL;
}

void ebb_smaller_bag_make(const Ebb__BagSpec *of, const struct ebb_policy *policy,
                          struct ebb_smaller_bag *ret)
{
    Ebb__BagSpec *spec = ebb_alloc(sizeof *spec);
    ebb__bag_spec__init(spec);
    *ret = (struct ebb_smaller_bag){.spec = spec};
    ret->profiles = ebb_alloc_array(of->n_groups + 1, sizeof(const Ebb__Profile *));
    spec->name = ebb_strdup(of->name);
    spec->profiles = ebb_alloc_array(of->n_profiles + 1, sizeof(Ebb__Profile *));
    for (size_t i = 0; i < of->n_profiles; i++)
        spec->profiles[spec->n_profiles++] = ebb_fold_copy(&of->profiles[i]->base);
    for (size_t i = 0; i < of->n_groups; i++)
        ret->profiles[i] = profile_of(spec, of->groups[i]->engine);
    choose_size(of, policy, ret);
    spec->budget_usd_micros = (int64_t)((double)of->budget_usd_micros / ret->wide);
    spec->groups = ebb_alloc_array(of->n_groups + 1, sizeof(Ebb__JobGroup *));
    uint64_t first = 0;
    for (size_t i = 0; i < of->n_groups; i++) {
        Ebb__JobGroup *g = smaller_group(of->groups[i], policy, ret);
        g->first_job = first;
        first += g->job_count;
        add_sweep(g);
        spec->groups[spec->n_groups++] = g;
    }
}

void ebb_smaller_bag_adapt(const struct ebb_smaller_bag *b, struct ebb_simulation_options *o)
{
    double vms = (double)o->policy.max_vms / b->wide;
    o->policy.max_vms = vms > 1 ? (uint32_t)vms : 1;
    o->jobs.start_s *= b->is_long;
    o->jobs.setup_s *= b->is_long;
    o->jobs.end_s *= b->is_long;
    o->jobs.spread /= sqrt(b->is_long);
}

void ebb_smaller_bag_adapt_fleet(const struct ebb_smaller_bag *b, struct ebb_fleet *f)
{
    for (size_t z = 0; z < f->zone_count && b->wide > 1; z++) {
        for (size_t t = 0; t < f->type_count; t++) {
            int64_t room = ebb_fleet_capacity(f, (int)z, (int)t);
            int64_t smaller = (int64_t)((double)room / b->wide);
            f->zones[z].type_capacity[t] = smaller < 1 && room > 0 ? 1 : smaller;
        }
    }
}

void ebb_smaller_bag_clean_up(struct ebb_smaller_bag *b)
{
    if (b->spec != NULL)
        ebb__bag_spec__free_unpacked(b->spec, NULL);
    free(b->profiles);
    *b = (struct ebb_smaller_bag){0};
}
