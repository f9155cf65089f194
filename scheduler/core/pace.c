/* A job's evidence is kept with it (`paced`, `paced_s`), that of its live attempt with the lease as
 * well, so that a later word of the attempt replaces the earlier one. The group holds the sums over
 * its jobs that are not done. */
#include "scheduler/core/pace.h"

#include <math.h>

#include "scheduler/core/speed.h"

#define NEWS         0.1  /* of the full time */
#define FIRST        0.01 /* of a job whose time nobody told */
#define TOLD_JOBS    1.0  /* what was told counts as so many jobs that are done */
#define SUPPOSED     0.1  /* ... and a mere default */
#define DONE_MOST    10.0 /* jobs done count as so many at most: their mean forgets */
#define MOST_RATIO   20.0 /* beyond it the steps are not what the job is made of */
#define LEAST_WEIGHT 1e-6
#define SEEN         0.5

static double weight_of(const struct ebb_job *j)
{
    return (double)j->paced / (EBB_PACE_PRIOR + (double)j->paced);
}

/* Adds the job's own pace to the group's sums, or takes it out. */
static void count(struct ebb_group *g, const struct ebb_job *j, double sign)
{
    if (!(j->paced > 0))
        return;
    double weight = sign * weight_of(j);
    g->paced_jobs += weight;
    g->paced_s += weight * (double)j->paced_s / (double)j->paced;
}

bool ebb_pace_is_seen(const struct ebb_group *g)
{
    return g->paced_jobs > SEEN;
}

double ebb_pace_group_s(const struct ebb_group *g, double supposed_s, bool known)
{
    double jobs = fmin((double)g->run_s.count, DONE_MOST);
    double each_s = g->run_s.value;
    if (g->run_s.count == 0) {
        jobs = known ? TOLD_JOBS : SUPPOSED;
        each_s = supposed_s;
    }
    if (g->paced_jobs < LEAST_WEIGHT)
        return each_s;
    return (jobs * each_s + g->paced_s) / (jobs + g->paced_jobs);
}

static double posterior_s(double group_s, double paced, double paced_s)
{
    if (!(paced > 0))
        return group_s;
    return (EBB_PACE_PRIOR * group_s + paced_s) / (EBB_PACE_PRIOR + paced);
}

double ebb_pace_job_s(const struct ebb_job *j, double group_s)
{
    return posterior_s(group_s, (double)j->paced, (double)j->paced_s);
}

/* Useful seconds of a job as they were told or seen of others; 0: neither. */
static double told_s(const struct ebb_group *g)
{
    return g->run_s.count > 0           ? g->run_s.value
           : g->spec->resources != NULL ? g->spec->resources->time_s
                                        : 0;
}

/* The part of the job, and its seconds by the type's speed. */
static bool evidence(const struct ebb_state *s, const struct ebb_group *g, const char *type,
                     int64_t steps, int64_t total, double useful_s, float *ret_paced,
                     float *ret_paced_s)
{
    if (steps <= 0 || total <= 0 || !(useful_s > 0) || !isfinite(useful_s))
        return false;
    double paced = fmin(1, (double)steps / (double)total), told = told_s(g);
    double own_s = useful_s / paced * ebb_state_speed(s, g->spec->engine, type);
    if (told > 0)
        own_s = fmin(fmax(own_s, told / MOST_RATIO), told * MOST_RATIO);
    *ret_paced = (float)paced;
    *ret_paced_s = (float)(own_s * paced);
    return *ret_paced > 0 && *ret_paced_s > 0 && isfinite(*ret_paced_s);
}

void ebb_pace_observe(const struct ebb_state *s, struct ebb_group *g, struct ebb_job *j,
                      struct ebb_lease *lease, const char *type, int64_t steps, int64_t total,
                      double useful_s)
{
    float paced, paced_s;
    if (!evidence(s, g, type, steps, total, useful_s, &paced, &paced_s))
        return;
    count(g, j, -1);
    j->paced = fmaxf(0, j->paced - lease->paced) + paced;
    j->paced_s = fmaxf(0, j->paced_s - lease->paced_s) + paced_s;
    lease->paced = paced;
    lease->paced_s = paced_s;
    count(g, j, 1);
}

void ebb_pace_forget(struct ebb_group *g, struct ebb_job *j)
{
    count(g, j, -1);
    j->paced = j->paced_s = 0;
}

bool ebb_pace_is_news(const struct ebb_state *s, const char *bag, uint64_t job, uint32_t attempt,
                      int64_t steps, int64_t total, double useful_s)
{
    uint32_t vm;
    float paced, paced_s;
    const struct ebb_lease *l = ebb_state_lease(s, bag, job, &vm);
    if (l == NULL || l->attempt != attempt || l->started_wall_ns == 0)
        return false;
    const struct ebb_bag *b = s->bags[l->bag];
    const struct ebb_job *j = &b->jobs[job];
    const struct ebb_group *g = ebb_bag_group_of(b, job);
    if (!evidence(s, g, s->vms[vm]->offer->type, steps, total, useful_s, &paced, &paced_s))
        return false;
    double told = told_s(g);
    bool known = told > 0;
    if (!known && g->paced_jobs < LEAST_WEIGHT)
        return (double)paced >= FIRST; /* the first that is known of the group's jobs at all */
    double group_s = ebb_pace_group_s(g, known ? told : g->paced_s / g->paced_jobs, known);
    double now_s = ebb_pace_job_s(j, group_s);
    double then_s = posterior_s(group_s, (double)fmaxf(0, j->paced - l->paced) + (double)paced,
                                (double)fmaxf(0, j->paced_s - l->paced_s) + (double)paced_s);
    return fabs(log(then_s / now_s)) > NEWS;
}
