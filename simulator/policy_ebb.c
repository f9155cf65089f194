/* ebb's own policy, on the values of scheduler/core/value.h: the least expected cost to the end
 * from any time, work left and state of spot, with hazards by age learned from the history.
 *
 * One zone: the cheapest of idle, on-demand and spot as its table has it. Spot, once launched, is
 * kept: what it has lived through makes it better than a new one.
 *
 * Several, or one that is not seen without a launch: what each is in is a belief (beliefs.h). A
 * launch in zone z is tried where both of two gains are over 0. One is that of a table with the
 * zone's own up-runs, in which a short-lived zone is all there is: it knows the ages at which a
 * launch is worth its restart. The other is that of a table of the search over all zones (how long
 * it takes, how long what it finds lasts): with
 *
 *     C_z = E[ price L + V(time left - L, work left - (L - d)+) ],   L the life in z from its age
 * on
 *
 * the gain over doing without is V - C_z; it knows that others are better, and the zone tried first
 * is that of the greatest P(up) (V - C_z). What is done without, idle or on-demand, is the
 * search's. A launch that fails costs the time until that is known; from on-demand, nothing, so
 * that before on-demand is begun no more can be gained by trying than its start costs.
 *
 * The net of Can't Be Late is part of the values, and stands here again for what no table can vouch
 * for. */
#include <math.h>

#include "base/memory.h"
#include "scheduler/core/value.h"
#include "simulator/beliefs.h"

#define EPSILON_S    1e-3
#define LEAST_CHANCE 1e-3

struct ebb {
    const struct ebb_onejob_rules *rules;
    struct ebb_beliefs beliefs;
    struct ebb_value *search;
    struct ebb_value **own; /* of zones that are not seen: each with its own up-runs */
    struct ebb_filter filter;
    double search_since_s; /* when spot was last lost, or the job began */
    double tick_s;         /* when this tick began */
    size_t zone;           /* where spot was last wanted */
    double age_s;          /* of its up-run */
};

/* Seconds of work between two checkpoints at a hazard: Young 1974, first order, at the age. */
static double interval_s(const struct ebb_onejob_rules *r, double per_hour)
{
    return fmax(r->checkpoint_s, sqrt(2 * r->checkpoint_s * 3600 / fmax(1e-6, per_hour)));
}

/* The share of spot's time that goes into checkpoints, or is lost with half an interval. */
static double waste(const struct ebb_onejob_rules *r, double per_hour)
{
    if (r->checkpoint_s <= 0)
        return 0;
    double every_s = interval_s(r, per_hour) + r->checkpoint_s;
    return fmin(0.9, r->checkpoint_s / every_s + per_hour / 3600 * every_s / 2);
}

static struct ebb_value *solve(const struct ebb_onejob_rules *r, const struct ebb_beliefs *b,
                               const double *end_up_per_hour)
{
    struct ebb_value_problem q = {.work_s = r->work_s,
                                  .deadline_s = r->deadline_s,
                                  .restart_s = r->restart_s,
                                  .spot_usd_per_hour = r->spot_usd_per_hour,
                                  .on_demand_usd_per_hour = r->on_demand_usd_per_hour,
                                  .bins = EBB_LIFE_BINS};
    for (size_t i = 0; i < EBB_LIFE_BINS; i++) {
        q.from_s[i] = ebb_life_bin_from_h[i] * 3600;
        q.revocation_per_hour[i] = end_up_per_hour[i];
        q.recovery_per_hour[i] = b->search_end_per_hour[i];
        q.spot_waste[i] = waste(r, end_up_per_hour[i]);
    }
    return ebb_value_new(&q);
}

static void begin_ebb(void *self, const struct ebb_view *v)
{
    struct ebb *p = self;
    (void)v;
    p->search_since_s = 0;
    ebb_filter_begin(&p->filter);
}

/* Costs to the end by what is done now. */
struct costs {
    double idle_usd, on_demand_usd, spot_usd;
};

static struct costs weigh(const struct ebb_value *t, const struct ebb_view *v, bool up,
                          double age_s)
{
    struct ebb_value_state s = {.time_left_s = v->time_left_s,
                                .work_left_s = v->safe_work_left_s,
                                .spot_up = up,
                                .age_s = age_s};
    struct ebb_value_state on = s;
    on.work_left_s = v->work_left_s + v->restart_left_s;
    return (struct costs){
        .idle_usd =
            ebb_view_may_idle(v) ? ebb_value_launching_usd(t, &s, EBB_VALUE_IDLE) : INFINITY,
        .on_demand_usd = v->instance == EBB_INSTANCE_ON_DEMAND
                             ? ebb_value_running_usd(t, &on, EBB_VALUE_ON_DEMAND)
                             : ebb_value_launching_usd(t, &s, EBB_VALUE_ON_DEMAND),
        .spot_usd = up && ebb_view_may_launch_spot(v)
                        ? ebb_value_launching_usd(t, &s, EBB_VALUE_SPOT)
                        : INFINITY,
    };
}

/* Of the state that the only zone is in; a beginning that was not seen lies some way back. */
static double state_age_s(const struct ebb *p, const struct ebb_view *v)
{
    const struct ebb_sight *s = &v->zones[0];
    double seen_s = v->now_s - s->since_s;
    return s->whole ? seen_s : fmax(seen_s, p->beliefs.zones[0].typical_age_h * 3600);
}

static struct ebb_choice decide_one(const struct ebb *p, const struct ebb_view *v)
{
    bool up = v->zones[0].up == 1;
    struct costs c = weigh(p->search, v, up, state_age_s(p, v));
    if (c.spot_usd < c.idle_usd && c.spot_usd < c.on_demand_usd)
        return EBB_SPOT_IN(0);
    return c.idle_usd < c.on_demand_usd ? EBB_STAY_IDLE : EBB_ON_DEMAND;
}

/* `gain`: the part of the time after the restart that is progress. */
static double after_loss_usd(const struct ebb *p, const struct ebb_view *v, double ran_s,
                             double restart_s, double gain)
{
    struct ebb_value_state s = {.time_left_s = v->time_left_s - ran_s,
                                .work_left_s = v->work_left_s - gain * fmax(0, ran_s - restart_s)};
    return fmin(ebb_value_launching_usd(p->search, &s, EBB_VALUE_IDLE),
                ebb_value_launching_usd(p->search, &s, EBB_VALUE_ON_DEMAND));
}

/* C_z above: over intervals of the instance's further life, each with its end in the middle. */
static double spot_usd(const struct ebb *p, const struct ebb_view *v, size_t z, double age_h,
                       double restart_s)
{
    static const double from_h[] = {0, 0.15, 0.3, 0.6, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 36, 1e4};
    const double *rate = p->beliefs.zones[z].end_up_per_hour;
    double price = v->rules->spot_usd_per_hour;
    double gain = 1 - waste(v->rules, rate[ebb_life_bin(age_h + 1)]);
    double whole_h = (v->work_left_s / gain + restart_s) / 3600;
    double usd = 0, lives = 1;
    for (size_t i = 0; i + 1 < EBB_ARRAY_LEN(from_h) && from_h[i] < whole_h; i++) {
        double to_h = fmin(from_h[i + 1], whole_h), middle_h = (from_h[i] + to_h) / 2;
        double dies = lives * -expm1(-rate[ebb_life_bin(age_h + middle_h)] * (to_h - from_h[i]));
        if (dies > 1e-6)
            usd +=
                dies * (price * middle_h + after_loss_usd(p, v, middle_h * 3600, restart_s, gain));
        lives -= dies;
    }
    return usd + lives * price * whole_h;
}

/* V - C_z above, were the zone up now; 0 where its own table would not launch. */
static double gain_usd(const struct ebb *p, const struct ebb_view *v, size_t z, double without_usd)
{
    double age_h = ebb_filter_age_h(&p->filter, z);
    struct costs own = weigh(p->own[z], v, true, age_h * 3600);
    if (!(own.spot_usd < fmin(own.idle_usd, own.on_demand_usd)))
        return 0;
    return fmax(0, without_usd - spot_usd(p, v, z, age_h, v->rules->restart_s));
}

/* A launch that fails costs money: it is put off until what an up-run that nobody has noticed is
 * expected to have cost by now, on-demand in its place for half the time since the zone was seen,
 * is as much. With recoveries at a rate r that is the interval sqrt(2 c / (r (od - spot))). */
static bool worth_its_cost(const struct ebb_view *v, const struct ebb_sight *s, double chance)
{
    const struct ebb_onejob_rules *r = v->rules;
    if (r->probe_usd <= 0 || s->up < 0)
        return true;
    double saves = fmax(0, r->on_demand_usd_per_hour - r->spot_usd_per_hour);
    double unseen_h = (v->now_s - s->seen_s) / 3600;
    return chance * saves * unseen_h / 2 >= (1 - chance) * r->probe_usd;
}

/* The zone to try; SIZE_MAX: none. Who was seen down is not asked again in the same tick. */
static size_t best_zone(const struct ebb *p, const struct ebb_view *v, double without_usd,
                        double *ret_gain, double *ret_chance)
{
    size_t best = SIZE_MAX;
    double most = 0;
    for (size_t z = 0; z < p->beliefs.count; z++) {
        const struct ebb_sight *s = &v->zones[z];
        double chance = ebb_filter_up(&p->filter, z);
        if ((s->up == 0 && s->seen_s >= p->tick_s - EPSILON_S) || chance < LEAST_CHANCE)
            continue;
        double gain = worth_its_cost(v, s, chance) ? gain_usd(p, v, z, without_usd) : 0;
        if (chance * gain <= most)
            continue;
        most = chance * gain;
        best = z;
        *ret_gain = gain;
        *ret_chance = chance;
    }
    return best;
}

static struct ebb_choice decide_unseen(struct ebb *p, const struct ebb_view *v)
{
    if (v->tick_begins)
        p->tick_s = v->now_s;
    ebb_filter_pass(&p->filter, v->now_s, v->rules->gap_s);
    struct costs search = weigh(p->search, v, false, v->now_s - p->search_since_s);
    struct ebb_choice otherwise =
        search.idle_usd < search.on_demand_usd ? EBB_STAY_IDLE : EBB_ON_DEMAND;
    double gain, chance;
    size_t zone = best_zone(p, v, fmin(search.idle_usd, search.on_demand_usd), &gain, &chance);
    if (zone == SIZE_MAX)
        return otherwise;
    /* In vain it would put on-demand off; in time it saves on-demand's start, as money and slack.
     */
    double od_per_s = v->rules->on_demand_usd_per_hour / 3600;
    double saves_usd = fmin(gain, 2 * v->rules->restart_s * od_per_s);
    if (v->instance == EBB_INSTANCE_NONE && otherwise.instance == EBB_INSTANCE_ON_DEMAND &&
        chance * saves_usd <= (1 - chance) * v->rules->probe_s * od_per_s)
        return otherwise;
    return EBB_SPOT_IN(zone);
}

static void see_ebb(void *self, const struct ebb_view *v, size_t z)
{
    struct ebb *p = self;
    if (p->own == NULL)
        return;
    ebb_filter_pass(&p->filter, v->now_s, v->rules->gap_s);
    ebb_filter_see(&p->filter, z, v->zones[z].up == 1);
}

static struct ebb_choice choose(struct ebb *p, const struct ebb_view *v)
{
    if (v->instance == EBB_INSTANCE_SPOT) {
        p->search_since_s = v->now_s;
        if (!ebb_view_may_stay_on_spot(v))
            return EBB_ON_DEMAND;
        return EBB_SPOT_IN(v->zone);
    }
    if (ebb_view_net(v))
        return EBB_ON_DEMAND;
    return p->own != NULL ? decide_unseen(p, v) : decide_one(p, v);
}

static struct ebb_choice decide_ebb(void *self, const struct ebb_view *v)
{
    struct ebb *p = self;
    struct ebb_choice c = choose(p, v);
    if (c.instance == EBB_INSTANCE_SPOT) {
        p->zone = c.zone;
        p->age_s = p->own != NULL ? ebb_filter_age_h(&p->filter, c.zone) * 3600 : state_age_s(p, v);
    }
    return c;
}

static double checkpoint_every_ebb(void *self, double age_s)
{
    const struct ebb *p = self;
    const struct ebb_belief *b = &p->beliefs.zones[p->zone];
    return interval_s(p->rules, b->end_up_per_hour[ebb_life_bin(fmax(p->age_s, age_s) / 3600)]);
}

static void release_ebb(void *self)
{
    struct ebb *p = self;
    ebb_value_destroy(p->search);
    for (size_t z = 0; p->own != NULL && z < p->beliefs.count; z++)
        ebb_value_destroy(p->own[z]);
    free(p->own);
    ebb_filter_clean_up(&p->filter);
    ebb_beliefs_clean_up(&p->beliefs);
    free(p);
}

struct ebb_policy ebb_policy_ebb(const struct ebb_policy_setup *setup)
{
    struct ebb *p = ebb_alloc(sizeof *p);
    p->rules = setup->rules;
    ebb_beliefs_learn(setup, &p->beliefs);
    ebb_filter_init(&p->filter, &p->beliefs);
    p->search = solve(setup->rules, &p->beliefs, p->beliefs.found_end_per_hour);
    if (p->beliefs.count > 1 || setup->rules->probe_s > 0) {
        p->own = ebb_alloc_array(p->beliefs.count, sizeof *p->own);
        for (size_t z = 0; z < p->beliefs.count; z++)
            p->own[z] = solve(setup->rules, &p->beliefs, p->beliefs.zones[z].end_up_per_hour);
    }
    return (struct ebb_policy){.self = p,
                               .begin = begin_ebb,
                               .decide = decide_ebb,
                               .see = see_ebb,
                               .checkpoint_every = checkpoint_every_ebb,
                               .release = release_ebb};
}
