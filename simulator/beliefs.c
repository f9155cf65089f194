/* Beliefs from hazards: what a zone's history says of its lives by age, the filter that follows
 * from it, and a replay of the history for how long a search takes. */
#include "simulator/beliefs.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

#define BINS EBB_LIFE_BINS
/* Pseudo-events of the pooled rates in each bin of age of a zone's own. */
#define POOL_EVENTS 3.0
/* A zone without history: that of the pooled zones, weighed as so many hours. */
#define SHARE_HOURS 12.0

static double typical_age_h(const struct ebb_history *h, const struct ebb_trace *t)
{
    double hours = 0, square = 0;
    size_t next = 0;
    struct ebb_stretch s;
    while (ebb_history_next(h, t, &next, &s)) {
        double l = (double)s.ticks * t->gap_s / 3600;
        hours += s.up ? l : 0;
        square += s.up ? l * l : 0;
    }
    return hours > 0 ? square / hours / 2 : 0;
}

static double pooled_share(const struct ebb_history *h)
{
    double sum = 0;
    for (size_t i = 0; i < h->traces->count; i++) {
        const struct ebb_trace *t = &h->traces->items[i];
        sum += ebb_trace_share_up(t, 0, ebb_history_ticks(h, t));
    }
    return h->traces->count > 0 ? sum / (double)h->traces->count : 0.5;
}

static void learn_zone(const struct ebb_policy_setup *setup, const double *up, const double *down,
                       size_t z, struct ebb_belief *ret)
{
    const struct ebb_history *h = setup->history;
    const struct ebb_trace *t = ebb_history_find(h, setup->zones[z]->name);
    struct ebb_lives own_up = {0}, own_down = {0};
    ret->known = t != NULL;
    double pooled = pooled_share(h);
    ret->share = pooled;
    if (t != NULL) {
        ebb_lives_of(h, t, true, &own_up);
        ebb_lives_of(h, t, false, &own_down);
        double ticks = (double)ebb_history_ticks(h, t), prior = SHARE_HOURS * 3600 / t->gap_s;
        double own = ebb_trace_share_up(t, 0, ebb_history_ticks(h, t));
        ret->share = (own * ticks + pooled * prior) / (ticks + prior);
        ret->typical_age_h = typical_age_h(h, t);
    } else {
        for (size_t i = 0; i < h->traces->count; i++)
            ret->typical_age_h += typical_age_h(h, &h->traces->items[i]) / (double)h->traces->count;
    }
    ebb_lives_rates(&own_up, up, POOL_EVENTS, ret->end_up_per_hour);
    ebb_lives_rates(&own_down, down, POOL_EVENTS, ret->end_down_per_hour);
}

/* Hours spent in each bin of age by a life that these rates end. */
static void occupy(const double *per_hour, double *ret_hours)
{
    double lives = 1;
    for (size_t b = 0; b < BINS; b++) {
        double rate = fmax(1e-6, per_hour[b]);
        double die = -expm1(-rate * (ebb_life_bin_from_h[b + 1] - ebb_life_bin_from_h[b]));
        ret_hours[b] = lives * die / rate;
        lives *= 1 - die;
    }
}

static void scale_to(double *value, double sum)
{
    double now = 0;
    for (size_t b = 0; b < BINS; b++)
        now += value[b];
    for (size_t b = 0; b < BINS; b++)
        value[b] *= now > 0 ? sum / now : 0;
}

void ebb_filter_init(struct ebb_filter *o, const struct ebb_beliefs *b)
{
    *o = (struct ebb_filter){.beliefs = b,
                             .zones = ebb_alloc_array(b->count, sizeof *o->zones),
                             .begun = ebb_alloc_array(b->count, sizeof *o->begun)};
    for (size_t z = 0; z < b->count; z++) {
        occupy(b->zones[z].end_up_per_hour, o->begun[z].up);
        occupy(b->zones[z].end_down_per_hour, o->begun[z].down);
        scale_to(o->begun[z].up, b->zones[z].share);
        scale_to(o->begun[z].down, 1 - b->zones[z].share);
    }
    ebb_filter_begin(o);
}

void ebb_filter_clean_up(struct ebb_filter *o)
{
    free(o->zones);
    free(o->begun);
    *o = (struct ebb_filter){0};
}

void ebb_filter_begin(struct ebb_filter *o)
{
    o->now_s = 0;
    memcpy(o->zones, o->begun, o->beliefs->count * sizeof *o->zones);
}

/* One of the two states: what ends goes to `ret_ended`, what grows older one bin up. */
static double move_on(double *by_age, const double *per_hour, double dt_h)
{
    double ended = 0, older = 0;
    for (size_t b = 0; b < BINS; b++) {
        double ends = by_age[b] * -expm1(-per_hour[b] * dt_h);
        double stays = by_age[b] - ends;
        double width_h = ebb_life_bin_from_h[b + 1] - ebb_life_bin_from_h[b];
        double ages = stays * fmin(1, dt_h / width_h);
        by_age[b] = stays - ages + older;
        older = ages;
        ended += ends;
    }
    by_age[BINS - 1] += older;
    return ended;
}

void ebb_filter_pass(struct ebb_filter *o, double to_s, double step_s)
{
    while (to_s - o->now_s > 1e-3) {
        double dt_s = fmin(step_s, to_s - o->now_s);
        for (size_t z = 0; z < o->beliefs->count; z++) {
            struct ebb_filter_zone *k = &o->zones[z];
            const struct ebb_belief *b = &o->beliefs->zones[z];
            double lost = move_on(k->up, b->end_up_per_hour, dt_s / 3600);
            k->up[0] += move_on(k->down, b->end_down_per_hour, dt_s / 3600);
            k->down[0] += lost;
        }
        o->now_s += dt_s;
    }
}

double ebb_filter_up(const struct ebb_filter *o, size_t z)
{
    double sum = 0;
    for (size_t b = 0; b < BINS; b++)
        sum += o->zones[z].up[b];
    return sum;
}

void ebb_filter_see(struct ebb_filter *o, size_t z, bool up)
{
    struct ebb_filter_zone *k = &o->zones[z];
    double chance = ebb_filter_up(o, z);
    memset(up ? k->down : k->up, 0, sizeof k->up);
    scale_to(up ? k->up : k->down, 1);
    if ((up ? chance : 1 - chance) < 1e-9) /* against all belief: it has just begun */
        *(up ? k->up : k->down) = 1;
}

double ebb_filter_age_h(const struct ebb_filter *o, size_t z)
{
    static const double middle_h[BINS] = {0.125, 0.375, 0.75, 1.5, 3, 6, 12, 24, 40};
    double sum = 0, weight = 0;
    for (size_t b = 0; b < BINS; b++) {
        sum += o->zones[z].up[b] * log(middle_h[b]);
        weight += o->zones[z].up[b];
    }
    return weight > 0 ? exp(sum / weight) : middle_h[0];
}

/* A replay: always on spot where the rule finds it, searching otherwise. */
struct replay {
    const struct ebb_trace **traces; /* NULL: a zone without history */
    struct ebb_filter filter;
    double gap_h, most_h;
    size_t attempts; /* launches that a tick has time for */
    size_t zone;     /* SIZE_MAX: searching */
    bool *tried;     /* in this tick */
    double search_h, found_h;
    struct ebb_lives searches, finds;
};

static size_t best_zone(const struct replay *r)
{
    const struct ebb_filter *o = &r->filter;
    size_t best = SIZE_MAX;
    double most = 0;
    for (size_t z = 0; z < o->beliefs->count; z++) {
        double worth = r->tried[z] ? 0
                                   : ebb_filter_up(o, z) *
                                         ebb_rates_mean_life_h(o->beliefs->zones[z].end_up_per_hour,
                                                               ebb_filter_age_h(o, z), r->most_h);
        if (worth > most) {
            most = worth;
            best = z;
        }
    }
    return best;
}

static bool look(struct replay *r, size_t z, size_t tick)
{
    bool up = r->traces[z]->up[tick] != 0;
    ebb_filter_see(&r->filter, z, up);
    return up;
}

static bool try_zones(struct replay *r, size_t tick)
{
    memset(r->tried, 0, r->filter.beliefs->count * sizeof *r->tried);
    for (size_t i = 0; i < r->attempts; i++) {
        size_t z = best_zone(r);
        if (z == SIZE_MAX)
            return false;
        if (look(r, z, tick)) {
            r->zone = z;
            return true;
        }
        r->tried[z] = true;
    }
    return false;
}

static void replay_tick(struct replay *r, size_t tick)
{
    ebb_filter_pass(&r->filter, (double)tick * r->gap_h * 3600, r->gap_h * 3600);
    if (r->zone != SIZE_MAX) {
        if (look(r, r->zone, tick)) {
            r->found_h += r->gap_h;
            return;
        }
        ebb_lives_add(&r->finds, 0, r->found_h, true, 1);
        r->zone = SIZE_MAX;
        r->search_h = 0;
    }
    if (try_zones(r, tick)) {
        if (r->search_h > 0)
            ebb_lives_add(&r->searches, 0, r->search_h, true, 1);
        r->found_h = r->gap_h;
    } else {
        r->search_h += r->gap_h;
    }
}

static size_t attempts_of(const struct ebb_onejob_rules *rules, size_t zones)
{
    double most = rules->probe_s > 0 ? floor(rules->gap_s / rules->probe_s + 1e-9) : INFINITY;
    return most < (double)zones ? (size_t)fmax(1, most) : zones;
}

/* How many ticks of history all zones share; 0: not all have one. */
static size_t shared_ticks(const struct ebb_policy_setup *setup, const struct ebb_trace **ret)
{
    size_t ticks = SIZE_MAX;
    for (size_t z = 0; z < setup->zone_count; z++) {
        ret[z] = ebb_history_find(setup->history, setup->zones[z]->name);
        if (ret[z] == NULL || ret[z]->gap_s != setup->rules->gap_s)
            return 0;
        size_t len = ebb_history_ticks(setup->history, ret[z]);
        ticks = len < ticks ? len : ticks;
    }
    return ticks;
}

static void learn_search(const struct ebb_policy_setup *setup, struct ebb_beliefs *b)
{
    EBB_AUTO_FREE const struct ebb_trace **traces = ebb_alloc_array(b->count, sizeof *traces);
    EBB_AUTO_FREE bool *tried = ebb_alloc_array(b->count, sizeof *tried);
    struct replay r = {.traces = traces,
                       .gap_h = setup->rules->gap_s / 3600,
                       .most_h = setup->rules->work_s / 3600,
                       .attempts = attempts_of(setup->rules, b->count),
                       .zone = SIZE_MAX,
                       .tried = tried};
    size_t ticks = shared_ticks(setup, traces);
    double down[BINS] = {0}, up[BINS] = {0};
    for (size_t z = 0; z < b->count; z++) {
        for (size_t i = 0; i < BINS; i++) {
            down[i] += b->zones[z].end_down_per_hour[i] / (double)b->count;
            up[i] += b->zones[z].end_up_per_hour[i] / (double)b->count;
        }
    }
    ebb_filter_init(&r.filter, b);
    for (size_t t = 0; t < ticks; t++)
        replay_tick(&r, t);
    ebb_filter_clean_up(&r.filter);
    ebb_lives_rates(&r.searches, down, POOL_EVENTS, b->search_end_per_hour);
    ebb_lives_rates(&r.finds, up, POOL_EVENTS, b->found_end_per_hour);
}

void ebb_beliefs_learn(const struct ebb_policy_setup *setup, struct ebb_beliefs *ret)
{
    struct ebb_lives all_up = {0}, all_down = {0};
    double up[BINS], down[BINS];
    ebb_lives_of(setup->history, NULL, true, &all_up);
    ebb_lives_of(setup->history, NULL, false, &all_down);
    ebb_lives_pooled(&all_up, up);
    ebb_lives_pooled(&all_down, down);
    *ret = (struct ebb_beliefs){
        .count = setup->zone_count,
        .zones = ebb_alloc_array(setup->zone_count, sizeof *ret->zones),
    };
    for (size_t z = 0; z < ret->count; z++)
        learn_zone(setup, up, down, z, &ret->zones[z]);
    if (ret->count > 1) {
        learn_search(setup, ret);
        return;
    }
    for (size_t i = 0; i < BINS; i++) {
        ret->search_end_per_hour[i] = ret->zones[0].end_down_per_hour[i];
        ret->found_end_per_hour[i] = ret->zones[0].end_up_per_hour[i];
    }
}

void ebb_beliefs_clean_up(struct ebb_beliefs *b)
{
    free(b->zones);
    *b = (struct ebb_beliefs){0};
}
