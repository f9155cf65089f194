/* Time between tries: by rule while nothing is known, by the learned rate of recovery after that.
 */
#include "scheduler/core/cool_down.h"

#include <math.h>

#include "scheduler/core/hazards.h"
#include "scheduler/core/market.h"

#define RULE_WEIGHT 2.0 /* recoveries that the rule counts as */

double ebb_cool_down_best_s(double recovery_per_hour, double try_s)
{
    double rho = recovery_per_hour / 3600;
    if (!(rho > 0))
        return INFINITY;
    double x = sqrt(2 * rho * try_s);
    for (int i = 0; i < 20; i++) { /* Newton; the root is below the start, where it converges */
        double slope = expm1(x);
        if (!(slope > 0))
            break;
        x -= (slope - x - rho * try_s) / slope;
    }
    return x / rho;
}

static double rule_s(const struct ebb_policy *p, uint32_t refusals)
{
    return fmin(p->cool_down_s * exp2(fmin(refusals - 1, 30)), p->cool_down_most_s);
}

/* Recoveries of the type in its region that count today. */
static double recoveries(const struct ebb_state *s, const Ebb__Offer *o, int64_t now_wall_ns)
{
    const struct ebb_place p = {.provider = o->provider, .region = o->region, .type = o->type};
    double hours, events = 0;
    uint32_t resets;
    return ebb_hazards_seen(s->hazards, EBB_RATE_RECOVERY, &p, now_wall_ns, &hours, &events,
                            &resets)
               ? events
               : 0;
}

static void learn(const struct ebb_state *s, const struct ebb_policy *p, const Ebb__Offer *o,
                  const struct ebb_market_entry *e, struct ebb_cool_down *ret)
{
    const struct ebb_place place = {o->provider, o->region, o->zone, o->type};
    double n = recoveries(s, o, e->refused_wall_ns);
    ret->outage_s = (double)(e->refused_wall_ns - e->outage_from_wall_ns) / 1e9;
    ret->recovery_per_hour = ebb_hazards_per_hour(s->hazards, EBB_RATE_RECOVERY, &place,
                                                  ret->outage_s, e->refused_wall_ns);
    ret->weight = n / (n + RULE_WEIGHT);
    ret->learned_s =
        fmin(fmax(ebb_cool_down_best_s(ret->recovery_per_hour, p->try_s), p->cool_down_least_s),
             p->cool_down_most_s);
    if (ret->weight > 0 && ret->by_rule_s > 0)
        ret->wait_s =
            exp((1 - ret->weight) * log(ret->by_rule_s) + ret->weight * log(ret->learned_s));
}

void ebb_cool_down_of(const struct ebb_state *s, const struct ebb_policy *policy,
                      const Ebb__Offer *offer, int64_t now_wall_ns, struct ebb_cool_down *ret)
{
    const struct ebb_market_entry *e =
        ebb_market_find(s->market, offer->zone, offer->type, offer->market);
    *ret = (struct ebb_cool_down){0};
    if (e == NULL || e->refusals == 0)
        return;
    ret->wait_s = ret->by_rule_s = rule_s(policy, e->refusals);
    if (e->outage_from_wall_ns != 0)
        learn(s, policy, offer, e, ret);
    int64_t until = e->refused_wall_ns + (int64_t)(ret->wait_s * 1e9);
    ret->until_wall_ns = until > now_wall_ns ? until : 0;
}

int64_t ebb_plan_cool_until(const struct ebb_state *s, const struct ebb_policy *policy,
                            const Ebb__Offer *offer)
{
    struct ebb_cool_down c;
    ebb_cool_down_of(s, policy, offer, 0, &c);
    return c.until_wall_ns;
}
