/* The value rule of SkyNomad (arXiv 2601.06520): an hour of progress is worth
 *
 *     V = C_od (R0 / C0) (work left / time left)
 *
 * and an instance is wanted for E[ integral of V - price ] over the time it is expected to live,
 * less V d for its restart; with no spot to be had, on-demand as soon as V is over its price, and
 * left for idle when that saves more than its restart. Expected lives come from the up-runs and
 * outages of the history by their age (censored, pooled over the zones as far as a zone has few).
 * The net of Can't Be Late stands below it. */
#include <math.h>

#include "base/memory.h"
#include "simulator/policies.h"

/* A zone's own rates count for more than the pooled ones from so many events on. */
#define POOL_EVENTS 3.0

struct rates {
    double end_up[EBB_LIFE_BINS];
    double end_down[EBB_LIFE_BINS];
};

struct value {
    size_t count;
    struct rates *rates; /* [count] */
    double *share;
    bool *tried; /* in this tick */
};

static void learn(const struct ebb_policy_setup *setup, struct value *p)
{
    struct ebb_lives all_up = {0}, all_down = {0};
    double up[EBB_LIFE_BINS], down[EBB_LIFE_BINS];
    ebb_lives_of(setup->history, NULL, true, &all_up);
    ebb_lives_of(setup->history, NULL, false, &all_down);
    ebb_lives_pooled(&all_up, up);
    ebb_lives_pooled(&all_down, down);
    for (size_t z = 0; z < setup->zone_count; z++) {
        const struct ebb_trace *t = ebb_history_find(setup->history, setup->zones[z]->name);
        struct ebb_lives own_up = {0}, own_down = {0};
        if (t != NULL) {
            ebb_lives_of(setup->history, t, true, &own_up);
            ebb_lives_of(setup->history, t, false, &own_down);
        }
        ebb_lives_rates(&own_up, up, POOL_EVENTS, p->rates[z].end_up);
        ebb_lives_rates(&own_down, down, POOL_EVENTS, p->rates[z].end_down);
    }
}

static double worth_usd(const struct ebb_view *v)
{
    const struct ebb_onejob_rules *r = v->rules;
    double left = fmax(1, v->time_left_s);
    return r->on_demand_usd_per_hour * (r->deadline_s / r->work_s) * (v->safe_work_left_s / left);
}

static double spot_life_h(const struct value *p, const struct ebb_view *v, size_t z)
{
    const struct ebb_sight *s = &v->zones[z];
    double age_h = s->up == 1 ? (v->now_s - s->since_s) / 3600 : 0;
    return ebb_rates_mean_life_h(p->rates[z].end_up, age_h, v->work_left_s / 3600);
}

/* The gain of spot in zone z over what runs (its price is `price`), where nothing of it is known
 * now: times the chance that it is up. Negative: not worth a launch. */
static double gain_usd(const struct value *p, const struct ebb_view *v, size_t z, double price)
{
    const struct ebb_onejob_rules *r = v->rules;
    double worth = worth_usd(v);
    double life_h = spot_life_h(p, v, z);
    double now = v->instance == EBB_INSTANCE_NONE ? 0 : fmax(0, worth - price);
    double gain = (worth - r->spot_usd_per_hour - now) * life_h - worth * r->restart_s / 3600;
    double chance = ebb_view_state(v, z) == 1 ? 1 : p->share[z];
    return gain * chance;
}

static size_t best_zone(const struct value *p, const struct ebb_view *v, double price)
{
    size_t best = SIZE_MAX;
    double most = 0;
    for (size_t z = 0; z < p->count; z++) {
        bool down_now = v->zones[z].up == 0 && v->now_s - v->zones[z].seen_s < 1e-6;
        double gain = gain_usd(p, v, z, price);
        if (!down_now && !p->tried[z] && gain > most) {
            most = gain;
            best = z;
        }
    }
    return best;
}

/* How long until spot: the outage of the zone from which it is expected soonest. */
static double outage_h(const struct value *p, const struct ebb_view *v)
{
    double least = INFINITY;
    for (size_t z = 0; z < p->count; z++) {
        const struct ebb_sight *s = &v->zones[z];
        double age_h = s->up == 0 ? (v->now_s - s->since_s) / 3600 : 0;
        double h = ebb_rates_mean_life_h(p->rates[z].end_down, age_h, v->time_left_s / 3600);
        least = fmin(least, h);
    }
    return least;
}

static struct ebb_choice without_spot(const struct value *p, const struct ebb_view *v)
{
    const struct ebb_onejob_rules *r = v->rules;
    double worth = worth_usd(v);
    double gain = (worth - r->on_demand_usd_per_hour) * outage_h(p, v);
    double move = worth * r->restart_s / 3600;
    if (v->instance == EBB_INSTANCE_ON_DEMAND)
        return -gain > move ? EBB_STAY_IDLE : EBB_ON_DEMAND;
    return gain > 0 ? EBB_ON_DEMAND : EBB_STAY_IDLE;
}

static struct ebb_choice decide_value(void *self, const struct ebb_view *v)
{
    struct value *p = self;
    for (size_t z = 0; z < p->count; z++) /* a ladder over ticks: the zones just found down wait */
        p->tried[z] = v->zones[z].up == 0 &&
                      v->now_s - v->zones[z].seen_s < (double)p->count * v->rules->probe_s - 1e-6;
    if (ebb_view_net(v))
        return EBB_ON_DEMAND;
    if (v->instance == EBB_INSTANCE_SPOT)
        return ebb_view_may_stay_on_spot(v) ? EBB_SPOT_IN(v->zone) : EBB_ON_DEMAND;
    double price = v->instance == EBB_INSTANCE_ON_DEMAND ? v->rules->on_demand_usd_per_hour : 0;
    size_t zone = ebb_view_may_launch_spot(v) ? best_zone(p, v, price) : SIZE_MAX;
    struct ebb_choice otherwise = without_spot(p, v);
    if (otherwise.instance == EBB_INSTANCE_NONE && !ebb_view_may_idle(v))
        otherwise = EBB_ON_DEMAND;
    /* Nobody knows whether a zone not seen just now is up: on-demand is not put off for it. */
    if (zone == SIZE_MAX || (ebb_view_state(v, zone) != 1 && v->instance == EBB_INSTANCE_NONE &&
                             otherwise.instance == EBB_INSTANCE_ON_DEMAND))
        return otherwise;
    return EBB_SPOT_IN(zone);
}

static void release_value(void *self)
{
    struct value *p = self;
    free(p->rates);
    free(p->share);
    free(p->tried);
    free(p);
}

struct ebb_policy ebb_policy_value(const struct ebb_policy_setup *setup)
{
    struct value *p = ebb_alloc(sizeof *p);
    p->count = setup->zone_count;
    p->rates = ebb_alloc_array(p->count, sizeof *p->rates);
    p->share = ebb_alloc_array(p->count, sizeof *p->share);
    p->tried = ebb_alloc_array(p->count, sizeof *p->tried);
    ebb_setup_shares(setup, p->share);
    learn(setup, p);
    return (struct ebb_policy){.self = p,
                               .decide = decide_value,
                               .checkpoint_every_s = ebb_setup_young_s(setup),
                               .release = release_value};
}
