/* Constant hazards, pooled upwards, and what follows from them for a job: expected wall time and
 * the interval between checkpoints. */
#include "scheduler/core/lifetime.h"

#include <math.h>

#include "scheduler/core/market.h"
#include "scheduler/core/state.h"

#define PRIOR_PER_BILLED_HOUR 0.1
#define POOL_WEIGHT           1.0 /* pseudo-revocations of the level above */
#define BULK_S                300.0
#define BULK_FACTOR           6.0 /* same zone and type, at once; another type of the zone: half */
#define NS_PER_HOUR           3.6e12

double ebb_hazard_pool(double prior_per_hour, double weight, const struct ebb_exposure *x,
                       int64_t now_wall_ns)
{
    double hours = x->hours;
    if (x->live > 0) {
        double live =
            (double)x->live * (double)now_wall_ns / NS_PER_HOUR - (double)x->live_since_ms / 3.6e6;
        if (live > 0)
            hours += live;
    }
    return (weight + x->revocations) / (weight / prior_per_hour + hours);
}

/* 1 long after a revocation, `most` at once, linear between. */
static double bulk_factor(int64_t revoked_wall_ns, int64_t now_wall_ns, double most, double scale)
{
    if (revoked_wall_ns == 0)
        return 1;
    double age_s = (double)(now_wall_ns - revoked_wall_ns) / 1e9 * scale;
    if (age_s >= BULK_S)
        return 1;
    return 1 + (most - 1) * (age_s < 0 ? 1 : 1 - age_s / BULK_S);
}

double ebb_state_hazard(const struct ebb_state *s, const Ebb__Offer *offer, int64_t now_wall_ns)
{
    if (offer->market == EBB__MARKET__ON_DEMAND)
        return 0;
    const struct ebb_market_entry *all = ebb_market_all(s->market);
    const struct ebb_market_entry *zone = ebb_market_zone(s->market, offer->zone);
    const struct ebb_market_entry *entry =
        ebb_market_find(s->market, offer->zone, offer->type, offer->market);
    double h = PRIOR_PER_BILLED_HOUR * s->bill_time_scale;
    h = ebb_hazard_pool(h, POOL_WEIGHT, &all->exposure, now_wall_ns);
    double factor = 1;
    if (zone != NULL) {
        h = ebb_hazard_pool(h, POOL_WEIGHT, &zone->exposure, now_wall_ns);
        factor =
            bulk_factor(zone->revoked_wall_ns, now_wall_ns, BULK_FACTOR / 2, s->bill_time_scale);
    }
    if (entry != NULL) {
        h = ebb_hazard_pool(h, POOL_WEIGHT, &entry->exposure, now_wall_ns);
        double own =
            bulk_factor(entry->revoked_wall_ns, now_wall_ns, BULK_FACTOR, s->bill_time_scale);
        factor = own > factor ? own : factor;
    }
    return h * factor;
}

double ebb_expected_wall_s(double work_s, double h_per_hour, double restart_s, double interval_s,
                           double checkpoint_s)
{
    if (work_s <= 0)
        return 0;
    double segments = interval_s > 0 ? ceil(work_s / interval_s) : 1;
    double tau = work_s / segments;
    if (h_per_hour <= 0)
        return work_s + (segments - 1) * checkpoint_s;
    double m = 3600 / h_per_hour;
    double with_commit = expm1((tau + checkpoint_s) / m), last = expm1(tau / m);
    return exp(restart_s / m) * m * ((segments - 1) * with_commit + last);
}

double ebb_checkpoint_interval_s(double checkpoint_s, double h_per_hour, double least_s,
                                 double most_s)
{
    if (h_per_hour <= 0)
        return most_s;
    double m = 3600 / h_per_hour, tau = m;
    if (checkpoint_s < 2 * m) {
        double r = checkpoint_s / (2 * m);
        tau = sqrt(2 * checkpoint_s * m) * (1 + sqrt(r) / 3 + r / 9) - checkpoint_s;
    }
    if (!(tau > least_s))
        return least_s;
    return tau < most_s ? tau : most_s;
}
