/* The table of policies, and what they share. */
#include "simulator/policies.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#define EPSILON_S 1e-6

const char *const ebb_policy_names[] = {"on-demand",  "eager",   "eager-best",
                                        "young-daly", "scispot", "uniform-progress",
                                        "value",      "ebb",     NULL};

static struct ebb_policy (*const makers[])(const struct ebb_policy_setup *) = {
    ebb_policy_on_demand,  ebb_policy_eager,   ebb_policy_eager_best,
    ebb_policy_young_daly, ebb_policy_scispot, ebb_policy_uniform_progress,
    ebb_policy_value,      ebb_policy_ebb,
};

int ebb_policy_new(const char *name, const struct ebb_policy_setup *setup, struct ebb_policy *ret,
                   struct ebb_error *err)
{
    for (size_t i = 0; ebb_policy_names[i] != NULL; i++) {
        if (strcmp(ebb_policy_names[i], name) == 0) {
            *ret = makers[i](setup);
            ret->name = ebb_policy_names[i];
            return 0;
        }
    }
    const char *near = ebb_nearest_name(name, ebb_policy_names, EBB_ARRAY_LEN(makers));
    return ebb_error_set(err, EBB_ERR_INPUT,
                         "no policy '%s'%s%s: all, oracle, on-demand, eager, eager-best, "
                         "young-daly, scispot, uniform-progress, value or ebb",
                         name, near != NULL ? ", did you mean " : "", near != NULL ? near : "");
}

void ebb_policy_release(struct ebb_policy *p)
{
    if (p->release != NULL)
        p->release(p->self);
    *p = (struct ebb_policy){0};
}

int ebb_view_state(const struct ebb_view *v, size_t zone)
{
    const struct ebb_sight *s = &v->zones[zone];
    return v->now_s - s->seen_s <= v->rules->gap_s + EPSILON_S ? s->up : -1;
}

bool ebb_view_net(const struct ebb_view *v)
{
    return v->instance == EBB_INSTANCE_NONE &&
           (!ebb_view_may_launch_spot(v) || !ebb_view_may_idle(v));
}

void ebb_setup_shares(const struct ebb_policy_setup *setup, double *ret)
{
    double sum = 0;
    size_t known = 0;
    for (size_t z = 0; z < setup->zone_count; z++) {
        const struct ebb_trace *t = ebb_history_find(setup->history, setup->zones[z]->name);
        ret[z] = -1;
        if (t == NULL)
            continue;
        ret[z] = ebb_trace_share_up(t, 0, ebb_history_ticks(setup->history, t));
        sum += ret[z];
        known++;
    }
    for (size_t z = 0; z < setup->zone_count; z++)
        if (ret[z] < 0)
            ret[z] = known > 0 ? sum / (double)known : 0.5;
}

double ebb_setup_young_s(const struct ebb_policy_setup *setup)
{
    struct ebb_lives all = {0};
    double events = 0, hours = 0;
    for (size_t z = 0; z < setup->zone_count; z++) {
        const struct ebb_trace *t = ebb_history_find(setup->history, setup->zones[z]->name);
        if (t != NULL)
            ebb_lives_of(setup->history, t, true, &all);
    }
    for (size_t b = 0; b < EBB_LIFE_BINS; b++) {
        events += all.events[b];
        hours += all.hours[b];
    }
    double mean_s = hours > 0 ? 3600 * hours / fmax(events, 0.5) : 86400;
    return sqrt(2 * setup->rules->checkpoint_s * mean_s);
}

void ebb_zones_by_score(const double *score, size_t count, size_t *ret_order)
{
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        for (; at > 0 && score[ret_order[at - 1]] < score[i]; at--)
            ret_order[at] = ret_order[at - 1];
        ret_order[at] = i;
    }
}

void ebb_ladder_init(struct ebb_ladder *l, size_t count)
{
    *l = (struct ebb_ladder){ebb_alloc_array(count, sizeof *l->order), count, 0, SIZE_MAX};
    for (size_t i = 0; i < count; i++)
        l->order[i] = i;
}

void ebb_ladder_clean_up(struct ebb_ladder *l)
{
    free(l->order);
    *l = (struct ebb_ladder){0};
}

void ebb_ladder_restart(struct ebb_ladder *l)
{
    l->next = 0;
    l->tried = SIZE_MAX;
}

size_t ebb_ladder_next(struct ebb_ladder *l, const struct ebb_view *v)
{
    if (l->tried != SIZE_MAX) /* in vain, or we would not be asked */
        l->next = (l->next + 1) % l->count;
    l->tried = SIZE_MAX;
    for (size_t i = 0; i < l->count; i++) {
        size_t z = l->order[l->next];
        const struct ebb_sight *s = &v->zones[z];
        if (s->up != 0 || v->now_s - s->seen_s > EPSILON_S)
            return l->tried = z;
        l->next = (l->next + 1) % l->count;
    }
    return SIZE_MAX;
}
