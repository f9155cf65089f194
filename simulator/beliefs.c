/* Beliefs from hazards: a zone last seen in a state follows a two-state chain with the rates of
 * that state's age, and goes back to its long-run share as the sight grows old. */
#include "simulator/beliefs.h"

#include <math.h>

#include "base/memory.h"

#define EPSILON_S 1e-6
/* Pseudo-events of the pooled rates in each bin of age of a zone's own. */
#define POOL_EVENTS 3.0
/* Hours in which a sight loses its weight: availability of one hour says little of the next day's
 * (day-to-day correlation 0.3 to 0.7). */
#define SIGHT_HOURS 12.0
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

double ebb_belief_up(const struct ebb_beliefs *b, const struct ebb_view *v, size_t z)
{
    const struct ebb_belief *k = &b->zones[z];
    const struct ebb_sight *s = &v->zones[z];
    if (s->up < 0)
        return k->share;
    double ago_h = (v->now_s - s->seen_s) / 3600;
    if (ago_h * 3600 <= EPSILON_S)
        return s->up;
    double age_h = (s->seen_s - s->since_s) / 3600;
    double up_age_h = s->up ? age_h : 0, down_age_h = s->up ? 0 : age_h;
    double ends = k->end_up_per_hour[ebb_life_bin(up_age_h + ago_h / 2)];
    double recovers = k->end_down_per_hour[ebb_life_bin(down_age_h + ago_h / 2)];
    double rest = recovers / (ends + recovers);
    double now = rest + (s->up - rest) * exp(-(ends + recovers) * ago_h);
    double weight = exp(-ago_h / SIGHT_HOURS);
    return weight * now + (1 - weight) * k->share;
}

double ebb_belief_age_h(const struct ebb_beliefs *b, const struct ebb_view *v, size_t z)
{
    const struct ebb_sight *s = &v->zones[z];
    double typical_h = b->zones[z].typical_age_h;
    if (s->up < 0)
        return typical_h;
    double seen_h = (s->seen_s - s->since_s) / 3600, ago_h = (v->now_s - s->seen_s) / 3600;
    if (s->up == 0)
        return fmin(ago_h / 2, typical_h); /* it came up somewhere since */
    return s->whole ? seen_h + ago_h : fmax(seen_h + ago_h, typical_h);
}

size_t ebb_beliefs_best(const struct ebb_beliefs *b, const struct ebb_view *v, const double *score)
{
    size_t best = SIZE_MAX;
    double most = 0;
    for (size_t z = 0; z < b->count; z++) {
        double life = score != NULL
                          ? score[z]
                          : ebb_rates_mean_life_h(b->zones[z].end_up_per_hour,
                                                  ebb_belief_age_h(b, v, z), v->work_left_s / 3600);
        double worth = life > 0 ? life * ebb_belief_up(b, v, z) : 0;
        if (worth > most) {
            most = worth;
            best = z;
        }
    }
    return best;
}

/* A replay: always on spot where the rule finds it, searching otherwise. */
struct replay {
    const struct ebb_beliefs *b;
    const struct ebb_trace **traces; /* NULL: a zone without history */
    struct ebb_view view;
    struct ebb_sight *sights;
    double search_h;
    double found_s;
    struct ebb_lives searches, finds;
};

static bool look(struct replay *r, size_t z, size_t tick)
{
    struct ebb_sight *s = &r->sights[z];
    int up = r->traces[z]->up[tick];
    if (s->up != up) {
        s->whole = s->up >= 0 && r->view.now_s - s->seen_s <= r->view.rules->gap_s + EPSILON_S;
        s->since_s = r->view.now_s;
        s->up = up;
    }
    s->seen_s = r->view.now_s;
    return up != 0;
}

/* True when a zone was found up. */
static bool try_zones(struct replay *r, size_t tick)
{
    const struct ebb_onejob_rules *rules = r->view.rules;
    double attempts = rules->probe_s > 0 ? floor(rules->gap_s / rules->probe_s + 1e-9) : INFINITY;
    for (size_t tried = 0; tried < r->b->count && (double)tried < fmax(1, attempts); tried++) {
        size_t z = ebb_beliefs_best(r->b, &r->view, NULL);
        if (z == SIZE_MAX)
            return false;
        if (look(r, z, tick)) {
            r->view.zone = z;
            return true;
        }
    }
    return false;
}

static void replay_tick(struct replay *r, size_t tick)
{
    double gap_h = r->view.rules->gap_s / 3600;
    r->view.now_s = (double)tick * r->view.rules->gap_s;
    if (r->view.instance == EBB_INSTANCE_SPOT) {
        if (look(r, r->view.zone, tick))
            return;
        ebb_lives_add(&r->finds, 0, (r->view.now_s - r->found_s) / 3600, true, 1);
        r->view.instance = EBB_INSTANCE_NONE;
        r->search_h = 0;
    }
    if (try_zones(r, tick)) {
        if (r->search_h > 0)
            ebb_lives_add(&r->searches, 0, r->search_h, true, 1);
        r->view.instance = EBB_INSTANCE_SPOT;
        r->found_s = r->view.now_s;
    } else {
        r->search_h += gap_h;
    }
}

static void learn_search(const struct ebb_policy_setup *setup, struct ebb_beliefs *b)
{
    EBB_AUTO_FREE const struct ebb_trace **traces = ebb_alloc_array(b->count, sizeof *traces);
    EBB_AUTO_FREE struct ebb_sight *sights = ebb_alloc_array(b->count, sizeof *sights);
    struct replay r = {.b = b,
                       .traces = traces,
                       .sights = sights,
                       .view = {.rules = setup->rules,
                                .work_left_s = setup->rules->work_s,
                                .zone_count = b->count,
                                .zones = sights}};
    size_t ticks = SIZE_MAX, found = 0;
    for (size_t z = 0; z < b->count; z++) {
        sights[z].up = -1;
        traces[z] = ebb_history_find(setup->history, setup->zones[z]->name);
        if (traces[z] == NULL || traces[z]->gap_s != setup->rules->gap_s)
            continue;
        size_t len = ebb_history_ticks(setup->history, traces[z]);
        ticks = len < ticks ? len : ticks;
        found++;
    }
    double down[EBB_LIFE_BINS] = {0}, up[EBB_LIFE_BINS] = {0};
    for (size_t z = 0; z < b->count; z++) {
        for (size_t i = 0; i < EBB_LIFE_BINS; i++) {
            down[i] += b->zones[z].end_down_per_hour[i] / (double)b->count;
            up[i] += b->zones[z].end_up_per_hour[i] / (double)b->count;
        }
    }
    if (found == b->count)
        for (size_t t = 0; t < ticks; t++)
            replay_tick(&r, t);
    ebb_lives_rates(&r.searches, down, POOL_EVENTS, b->search_end_per_hour);
    ebb_lives_rates(&r.finds, up, POOL_EVENTS, b->found_end_per_hour);
}

void ebb_beliefs_learn(const struct ebb_policy_setup *setup, struct ebb_beliefs *ret)
{
    struct ebb_lives all_up = {0}, all_down = {0};
    double up[EBB_LIFE_BINS], down[EBB_LIFE_BINS];
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
    for (size_t i = 0; i < EBB_LIFE_BINS; i++) {
        ret->search_end_per_hour[i] = ret->zones[0].end_down_per_hour[i];
        ret->found_end_per_hour[i] = ret->zones[0].end_up_per_hour[i];
    }
}

void ebb_beliefs_clean_up(struct ebb_beliefs *b)
{
    free(b->zones);
    *b = (struct ebb_beliefs){0};
}
