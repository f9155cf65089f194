/* The market of one group boiled down to one pool, and the slope of its value function. */
#include "scheduler/core/time_price.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/cool_down.h"
#include "scheduler/core/lifetime.h"
#include "scheduler/core/value.h"

#define STEPS         64.0 /* of a table, in time */
#define TABLES        24   /* kept; half a MiB each */
#define ROUND_RATES   4.0  /* to the 4th root of 2 */
#define ROUND_HORIZON 2.0
#define ROUND_SHARE   32.0
#define LEAST_RATE    1e-6 /* per hour */
#define MOST_SHARE    10.0
#define LEAVE_GAIN    0.02
#define TRY_S         30.0 /* until a launch elsewhere is up or refused */
#define DEPENDENCE    0.5
#define ROUND_UP      64.0
#define USUAL_AGE_BIN 2 /* 1 to 3 h: of pools whose state is not known */

static_assert(EBB_AGE_BINS <= EBB_VALUE_BINS_MAX, "the value function takes the bins as they are");

/* A problem, rounded: equal keys have equal tables. */
struct key {
    int32_t horizon, restart, share;
    int32_t revocation[EBB_AGE_BINS], recovery[EBB_AGE_BINS];
    double time_scale;
};

struct table {
    struct key key;
    struct ebb_value *value;
    uint64_t used;
};

struct ebb_time_tables {
    struct table tables[TABLES];
    size_t count;
    uint64_t clock, solved;
};

struct ebb_time_tables *ebb_time_tables_new(void)
{
    return ebb_alloc(sizeof(struct ebb_time_tables));
}

void ebb_time_tables_destroy(struct ebb_time_tables *t)
{
    for (size_t i = 0; t != NULL && i < t->count; i++)
        ebb_value_destroy(t->tables[i].value);
    free(t);
}

uint64_t ebb_time_tables_solved(const struct ebb_time_tables *t)
{
    return t->solved;
}

/* ---- tables ---- */

static int32_t rounded(double x, double steps)
{
    return (int32_t)lround(steps * log2(x));
}

static double unrounded(int32_t q, double steps)
{
    return exp2(q / steps);
}

static void make_key(const struct ebb_time_problem *p, struct key *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->horizon = (int32_t)ceil(ROUND_HORIZON * log2(fmax(1, p->left_s)));
    double horizon_s = unrounded(ret->horizon, ROUND_HORIZON);
    ret->restart = rounded(fmin(fmax(p->restart_s, horizon_s / 4096), horizon_s / 4), ROUND_RATES);
    ret->share = (int32_t)lround(ROUND_SHARE * fmin(fmax(p->spot_share, 0), 1));
    for (int b = 0; b < EBB_AGE_BINS; b++) {
        ret->revocation[b] = rounded(fmax(LEAST_RATE, p->revocation_per_hour[b]), ROUND_RATES);
        ret->recovery[b] = rounded(fmax(LEAST_RATE, p->recovery_per_hour[b]), ROUND_RATES);
    }
    ret->time_scale = p->time_scale > 0 ? p->time_scale : 1;
}

static struct ebb_value *solve(const struct key *k)
{
    double horizon_s = unrounded(k->horizon, ROUND_HORIZON);
    struct ebb_value_problem p = {.deadline_s = horizon_s,
                                  .restart_s = unrounded(k->restart, ROUND_RATES),
                                  .spot_usd_per_hour = k->share / ROUND_SHARE,
                                  .on_demand_usd_per_hour = 1,
                                  .bins = EBB_AGE_BINS,
                                  .step_s = horizon_s / STEPS};
    for (int b = 0; b < EBB_AGE_BINS; b++) {
        p.from_s[b] = ebb_age_bin_from_s[b] / k->time_scale;
        p.revocation_per_hour[b] = unrounded(k->revocation[b], ROUND_RATES);
        p.recovery_per_hour[b] = unrounded(k->recovery[b], ROUND_RATES);
    }
    return ebb_value_new(&p);
}

static const struct ebb_value *table_for(struct ebb_time_tables *t, const struct key *k)
{
    size_t oldest = 0;
    for (size_t i = 0; i < t->count; i++) {
        if (memcmp(&t->tables[i].key, k, sizeof *k) == 0) {
            t->tables[i].used = ++t->clock;
            return t->tables[i].value;
        }
        oldest = t->tables[i].used < t->tables[oldest].used ? i : oldest;
    }
    size_t at = t->count < TABLES ? t->count++ : oldest;
    ebb_value_destroy(t->tables[at].value);
    t->tables[at] = (struct table){.key = *k, .value = solve(k), .used = ++t->clock};
    t->solved++;
    return t->tables[at].value;
}

static double least_usd(const struct ebb_value *v, const struct ebb_value_state *s)
{
    double usd = fmin(ebb_value_launching_usd(v, s, EBB_VALUE_IDLE),
                      ebb_value_launching_usd(v, s, EBB_VALUE_ON_DEMAND));
    return s->spot_up ? fmin(usd, ebb_value_launching_usd(v, s, EBB_VALUE_SPOT)) : usd;
}

double ebb_time_price_share(struct ebb_time_tables *t, const struct ebb_time_problem *p)
{
    struct key k;
    if (!(p->left_s > p->need_s))
        return 1;
    if (p->need_s <= 0)
        return 0;
    make_key(p, &k);
    const struct ebb_value *v = table_for(t, &k);
    double less_s = unrounded(k.horizon, ROUND_HORIZON) / STEPS;
    less_s = fmin(fmax(less_s, p->restart_s), p->left_s - p->need_s);
    struct ebb_value_state now = {.time_left_s = p->left_s,
                                  .work_left_s = p->need_s,
                                  .spot_up = p->is_up,
                                  .age_s = p->is_up ? 0 : p->outage_s};
    struct ebb_value_state later = now;
    later.time_left_s -= less_s;
    double slope = (least_usd(v, &later) - least_usd(v, &now)) * 3600 / less_s;
    return fmin(fmax(slope, 0), MOST_SHARE);
}

bool ebb_time_take_on_demand(struct ebb_time_tables *t, const struct ebb_time_problem *p)
{
    struct key k;
    const struct ebb_value_state now = {
        .time_left_s = p->left_s, .work_left_s = p->need_s, .age_s = p->outage_s};
    if (p->is_up || p->need_s <= 0)
        return false;
    if (p->left_s <= p->need_s)
        return true;
    make_key(p, &k);
    const struct ebb_value *v = table_for(t, &k);
    return ebb_value_launching_usd(v, &now, EBB_VALUE_ON_DEMAND) <
           ebb_value_launching_usd(v, &now, EBB_VALUE_IDLE);
}

bool ebb_time_leave_on_demand(struct ebb_time_tables *t, const struct ebb_time_problem *p)
{
    struct key k;
    const struct ebb_value_state now = {
        .time_left_s = p->left_s, .work_left_s = p->need_s, .spot_up = true};
    if (!p->is_up || p->need_s <= 0 || p->left_s - p->need_s < 2 * p->restart_s)
        return false;
    make_key(p, &k);
    const struct ebb_value *v = table_for(t, &k);
    return ebb_value_launching_usd(v, &now, EBB_VALUE_SPOT) <
           (1 - LEAVE_GAIN) * ebb_value_running_usd(v, &now, EBB_VALUE_ON_DEMAND);
}

/* ---- the market of a group ---- */

static bool is_spot(const struct ebb_plan_input *in, size_t offer)
{
    return in->offers[offer]->market == EBB__MARKET__SPOT && in->policy->use_spot;
}

/* Of one slot, on the type's speed. */
static double slot_usd_micros_per_s(const struct ebb_plan_input *in, const struct ebb_score *score,
                                    int64_t usd_micros_per_hour)
{
    return (double)usd_micros_per_hour * in->state->bill_time_scale / 3600 / score->slots /
           score->speed;
}

static double least_on_demand(const struct ebb_plan_input *in, const struct ebb_score *scores)
{
    double least = INFINITY;
    for (size_t i = 0; i < in->offer_count; i++) {
        const Ebb__Offer *o = in->offers[i];
        int64_t price = o->market == EBB__MARKET__ON_DEMAND ? o->usd_micros_per_hour
                                                            : o->on_demand_usd_micros_per_hour;
        if (scores[i].slots > 0 && price > 0)
            least = fmin(least, slot_usd_micros_per_s(in, &scores[i], price));
    }
    return least;
}

/* The pool that jobs cost least on, among those that have not just refused if there are any. */
static size_t best_pool(const struct ebb_plan_input *in, const struct ebb_score *scores,
                        struct ebb_cool_down *ret)
{
    size_t best = in->offer_count;
    for (size_t i = 0; i < in->offer_count; i++) {
        struct ebb_cool_down cool;
        if (scores[i].slots == 0 || !is_spot(in, i))
            continue;
        if (best < in->offer_count) { /* the clear cases first: cool-downs cost look-ups */
            double x = scores[i].usd_micros_per_job, y = scores[best].usd_micros_per_job;
            bool behind =
                x > y || (x == y && ebb_offer_compare(in->offers[i], in->offers[best]) > 0);
            if (behind && ret->until_wall_ns == 0)
                continue;
            ebb_cool_down_of(in->state, in->policy, in->offers[i], in->now_wall_ns, &cool);
            if (cool.until_wall_ns != 0 && (ret->until_wall_ns == 0 || behind))
                continue;
        } else {
            ebb_cool_down_of(in->state, in->policy, in->offers[i], in->now_wall_ns, &cool);
        }
        best = i;
        *ret = cool;
    }
    return best;
}

/* The probability that one of the other pools that cost about as much is up. */
static double others_up(const struct ebb_plan_input *in, const struct ebb_score *scores,
                        size_t best)
{
    double none = 1, limit = scores[best].usd_micros_per_job * in->policy->spread_factor;
    for (size_t i = 0; i < in->offer_count && none > 1e-4; i++) {
        const Ebb__Offer *o = in->offers[i];
        struct ebb_cool_down cool;
        double recovery[EBB_AGE_BINS], revocation[EBB_AGE_BINS];
        if (i == best || scores[i].slots == 0 || !is_spot(in, i) ||
            scores[i].usd_micros_per_job > limit)
            continue;
        ebb_cool_down_of(in->state, in->policy, o, in->now_wall_ns, &cool);
        if (cool.until_wall_ns != 0)
            continue;
        const struct ebb_place p = {o->provider, o->region, o->zone, o->type};
        ebb_hazards_table(in->state->hazards, EBB_RATE_RECOVERY, &p, in->now_wall_ns, recovery,
                          NULL);
        ebb_hazards_table(in->state->hazards, EBB_RATE_REVOCATION, &p, in->now_wall_ns, revocation,
                          NULL);
        double rho = recovery[USUAL_AGE_BIN], lambda = revocation[USUAL_AGE_BIN];
        none *= pow(lambda / (rho + lambda), DEPENDENCE);
    }
    return round(ROUND_UP * (1 - none)) / ROUND_UP; /* whatever the order of the offers */
}

static void find_market(const struct ebb_plan_input *in, const struct ebb_demand *d,
                        const struct ebb_score *scores, double on_demand,
                        struct ebb_time_problem *p)
{
    struct ebb_cool_down cool = {0};
    size_t best = best_pool(in, scores, &cool);
    p->time_scale = in->state->bill_time_scale;
    p->spot_share = 1;
    p->restart_s = d->boot_s + d->setup_s;
    if (best == in->offer_count)
        return;
    const Ebb__Offer *o = in->offers[best];
    const struct ebb_place place = {o->provider, o->region, o->zone, o->type};
    struct ebb_outlook outlook;
    ebb_state_outlook(in->state, o, in->now_wall_ns, &outlook);
    ebb_hazards_table(in->state->hazards, EBB_RATE_RECOVERY, &place, in->now_wall_ns,
                      p->recovery_per_hour, NULL);
    double gang = d->gang > 1 ? d->gang : 1;
    double elsewhere = others_up(in, scores, best) * 3600 / TRY_S;
    for (int b = 0; b < EBB_AGE_BINS; b++) {
        p->revocation_per_hour[b] = gang * outlook.per_hour[b];
        p->recovery_per_hour[b] += elsewhere;
    }
    if (d->checkpoints)
        p->restart_s +=
            ebb_state_silent_share(in->state, d->checkpoint_s) * scores[best].interval_s / 2;
    p->spot_share = slot_usd_micros_per_s(in, &scores[best], o->usd_micros_per_hour) / on_demand;
    p->is_up = cool.until_wall_ns == 0;
    p->outage_s = cool.outage_s;
}

void ebb_time_price_of(const struct ebb_plan_input *in, const struct ebb_demand *d,
                       const struct ebb_deadline *deadline, const struct ebb_score *scores,
                       struct ebb_time_tables *t, struct ebb_time_price *ret)
{
    *ret = (struct ebb_time_price){0};
    if (isinf(deadline->left_s))
        return;
    double on_demand = least_on_demand(in, scores);
    if (isinf(on_demand))
        return;
    ret->on_demand_usd_micros_per_s = on_demand;
    ret->problem.left_s = deadline->left_s;
    ret->problem.need_s = deadline->need_s + deadline->margin_s;
    find_market(in, d, scores, on_demand, &ret->problem);
    ret->share = ebb_time_price_share(t, &ret->problem);
    ret->usd_micros_per_s = ret->share * on_demand;
}
