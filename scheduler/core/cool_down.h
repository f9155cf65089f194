/* When an offer that has refused a launch is tried again. */
#ifndef EBB_SCHEDULER_CORE_COOL_DOWN_H
#define EBB_SCHEDULER_CORE_COOL_DOWN_H

#include "scheduler/core/planner.h"

struct ebb_cool_down {
    int64_t until_wall_ns;    /* 0: it can be tried now */
    double wait_s;            /* between the last try and the next */
    double by_rule_s;         /* of doubling */
    double learned_s;         /* of the recoveries seen; 0: it is no outage */
    double outage_s;          /* its age when it was last told */
    double recovery_per_hour; /* at that age */
    double weight;            /* of what was learned: 0 ... 1 */
};

/* Refused for want of capacity, an offer is in an outage that ends at rate rho, and only a try
 * tells. Tries every tau seconds that each cost as much as k seconds of waiting are best at
 *
 *     e^(rho tau) - rho tau = 1 + rho k
 *
 * (Barlow, Hunter, Proschan: Optimum checking procedures, 1963, for exponential times); about
 * sqrt(2 k / rho). rho is the learned rate of recovery at the outage's age. Where few recoveries of
 * the type in its region have been seen the rule holds, which doubles with each refusal: the
 * logarithms of both are weighed n : 2. Other refusals (a quota) know the rule alone. */
void ebb_cool_down_of(const struct ebb_state *s, const struct ebb_policy *policy,
                      const Ebb__Offer *offer, int64_t now_wall_ns, struct ebb_cool_down *ret);
/* The best time between tries, without bounds. */
double ebb_cool_down_best_s(double recovery_per_hour, double try_s);

#endif
