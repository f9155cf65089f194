/* Intervals between checkpoints, by rule or by programme. */
#include "scheduler/core/intervals.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "scheduler/core/cap.h"
#include "scheduler/core/checkpoint_plan.h"
#include "scheduler/core/score.h"
#include "scheduler/core/speed.h"

#define FEW         40.0  /* intervals left, at most, for the programme */
#define LEAST_STAKE 30.0  /* seconds that checkpoints and lost work are expected to cost */
#define KEPT_S      900.0 /* of billed time: hazards are learned anew meanwhile */
#define MOST_TABLES 256   /* 100 KiB each */
#define KEY_SIZE    200

struct table {
    struct ebb_checkpoint_plan *plan;
    double work_s, checkpoint_s, age_s;
    int64_t made_wall_ns;
};

struct ebb_intervals {
    struct ebb_map *tables;
};

static void table_destroy(void *p)
{
    struct table *t = p;
    ebb_checkpoint_plan_destroy(t->plan);
    free(t);
}

struct ebb_intervals *ebb_intervals_new(void)
{
    struct ebb_intervals *c = ebb_alloc(sizeof *c);
    c->tables = ebb_map_new(table_destroy);
    return c;
}

void ebb_intervals_destroy(struct ebb_intervals *c)
{
    if (c == NULL)
        return;
    ebb_map_destroy(c->tables);
    free(c);
}

static bool is_stale(const struct table *t, const struct ebb_state *s, const struct ebb_demand *d,
                     double work_s, int64_t now_wall_ns)
{
    double age_s = (double)(now_wall_ns - t->made_wall_ns) / 1e9 * s->bill_time_scale;
    return age_s < 0 || age_s > KEPT_S || work_s > t->work_s * 1.01 ||
           d->checkpoint_s > t->checkpoint_s * 1.25 || d->checkpoint_s < t->checkpoint_s * 0.8;
}

static const struct table *keep(struct ebb_intervals *c, const char *key, struct table *t)
{
    if (ebb_map_count(c->tables) >= MOST_TABLES) {
        ebb_map_destroy(c->tables);
        c->tables = ebb_map_new(table_destroy);
    }
    ebb_map_set(c->tables, key, t);
    return t;
}

/* The programme for so much work of the group's jobs, on a VM that is so old now. */
static struct table *table_new(const struct ebb_state *s, const struct ebb_vm *vm,
                               const struct ebb_demand *d, double work_s, double age_s,
                               int64_t now_wall_ns)
{
    struct ebb_outlook outlook;
    ebb_state_outlook(s, vm->offer, now_wall_ns, &outlook);
    outlook.bulk = 0;
    struct table *t = ebb_alloc(sizeof *t);
    *t = (struct table){.work_s = work_s,
                        .checkpoint_s = d->checkpoint_s,
                        .age_s = age_s,
                        .made_wall_ns = now_wall_ns};
    const struct ebb_checkpoint_terms terms = {t->work_s, d->checkpoint_s, d->boot_s + d->setup_s,
                                               ebb_state_silent_share(s, d->checkpoint_s)};
    t->plan = ebb_checkpoint_plan_new(&outlook, age_s, &outlook, &terms);
    return t;
}

/* From their start, on VMs of the place: for all of them. */
static const struct table *table_of(struct ebb_intervals *c, const struct ebb_state *s,
                                    const struct ebb_group *g, const struct ebb_vm *vm,
                                    const struct ebb_demand *d, double work_s, int64_t now_wall_ns)
{
    char key[KEY_SIZE];
    snprintf(key, sizeof key, "%u/%u/%s/%s/%d", g->bag, g->index, vm->offer->zone, vm->offer->type,
             (int)vm->offer->market);
    struct table *t = ebb_map_get(c->tables, key);
    if (t != NULL && !is_stale(t, s, d, work_s, now_wall_ns))
        return t;
    double full_s = d->full_s / ebb_state_speed(s, d->engine, vm->offer->type);
    return keep(c, key, table_new(s, vm, d, fmax(work_s, full_s), 0, now_wall_ns));
}

/* For one VM whose cap is near: from its age on. */
static const struct table *table_to_cap(struct ebb_intervals *c, const struct ebb_state *s,
                                        const struct ebb_group *g, const struct ebb_vm *vm,
                                        const struct ebb_demand *d, double work_s, double age_s,
                                        int64_t now_wall_ns)
{
    char key[KEY_SIZE];
    snprintf(key, sizeof key, "%u/%u/vm %u", g->bag, g->index, vm->index);
    struct table *t = ebb_map_get(c->tables, key);
    if (t != NULL && !is_stale(t, s, d, work_s, now_wall_ns) && age_s >= t->age_s)
        return t;
    return keep(c, key, table_new(s, vm, d, work_s, age_s, now_wall_ns));
}

/* By the programme. */
static double planned_s(struct ebb_intervals *c, const struct ebb_state *s,
                        const struct ebb_group *g, const struct ebb_vm *vm,
                        const struct ebb_demand *d, double left_s, double age_s,
                        int64_t now_wall_ns)
{
    double cap_left_s = ebb_cap_left_s(s, vm, now_wall_ns);
    if (cap_left_s > 2 * left_s)
        return ebb_checkpoint_plan_next_new_s(table_of(c, s, g, vm, d, left_s, now_wall_ns)->plan,
                                              left_s, age_s);
    const struct table *t = table_to_cap(c, s, g, vm, d, left_s, age_s, now_wall_ns);
    return ebb_checkpoint_plan_next_s(t->plan, left_s, age_s - t->age_s);
}

/* The programme's steps are too long to tell what happens before the VM's cap. */
static bool is_coarse(const struct ebb_state *s, const struct ebb_vm *vm, double left_s,
                      int64_t now_wall_ns)
{
    return ebb_cap_left_s(s, vm, now_wall_ns) < 4 * left_s / EBB_CHECKPOINT_STEPS ||
           (vm->offer->cap_s > 0 &&
            vm->offer->cap_s / s->bill_time_scale < 8 * left_s / EBB_CHECKPOINT_STEPS);
}

static double next_s(struct ebb_intervals *c, const struct ebb_state *s,
                     const struct ebb_policy *policy, uint32_t bag, uint64_t job, uint32_t vm,
                     int64_t now_wall_ns)
{
    const struct ebb_bag *b = s->bags[bag];
    const struct ebb_group *g = ebb_bag_group_of(b, job);
    const struct ebb_vm *on = s->vms[vm];
    const struct ebb_plan_input in = {.state = s, .policy = policy, .now_wall_ns = now_wall_ns};
    double age_s = ebb_vm_age_s(on, now_wall_ns);
    double by_rule = ebb_plan_interval_s(s, policy, g, on->offer, age_s, now_wall_ns);
    if (by_rule <= 0 || g->spec->checkpoint_interval_s > 0)
        return by_rule;
    struct ebb_demand d;
    struct ebb_outlook o;
    ebb_demand_of_group(&in, g, &d);
    ebb_state_outlook(s, on->offer, now_wall_ns, &o);
    double left_s =
        ebb_demand_job_s(&d, &b->jobs[job]) / ebb_state_speed(s, d.engine, on->offer->type);
    double silent = ebb_state_silent_share(s, d.checkpoint_s);
    bool ends = ebb_cap_left_s(s, on, now_wall_ns) < left_s;
    double stake_s =
        left_s * sqrt(2 * d.checkpoint_s * silent * ebb_outlook_per_hour(&o, age_s) / 3600);
    if (!d.known || d.gang > 1 || o.bulk > 0 || left_s > FEW * by_rule ||
        (stake_s < LEAST_STAKE && !ends) || is_coarse(s, on, left_s, now_wall_ns))
        return by_rule;
    double planned = planned_s(c, s, g, on, &d, left_s, age_s, now_wall_ns);
    return fmin(fmax(planned, policy->interval_least_s),
                ebb_interval_most_s(policy, d.checkpoint_s));
}

double ebb_intervals_next_s(struct ebb_intervals *c, const struct ebb_state *s,
                            const struct ebb_policy *policy, uint32_t bag, uint64_t job,
                            uint32_t vm, int64_t now_wall_ns)
{
    double interval_s = next_s(c, s, policy, bag, job, vm, now_wall_ns);
    double cap_left_s = ebb_cap_left_s(s, s->vms[vm], now_wall_ns);
    if (isinf(cap_left_s))
        return interval_s;
    const struct ebb_bag *b = s->bags[bag];
    const struct ebb_plan_input in = {.state = s, .policy = policy, .now_wall_ns = now_wall_ns};
    struct ebb_demand d;
    ebb_demand_of_group(&in, ebb_bag_group_of(b, job), &d);
    double left_s =
        ebb_demand_job_s(&d, &b->jobs[job]) / ebb_state_speed(s, d.engine, s->vms[vm]->offer->type);
    return ebb_cap_interval_s(interval_s, cap_left_s, left_s, d.checkpoint_s,
                              policy->interval_least_s);
}
