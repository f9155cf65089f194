/* What a second is worth to a bag with a deadline: the shadow price of time.
 *
 * It is -dV/d(time left) of the value function of one job (value.h) whose work is what the group's
 * longest chain still needs on demand: with work left as it is, a second less makes the rest so
 * much dearer. V knows the price of spot over that of on-demand, what a restart costs, and how
 * often spot is taken and comes back by age:
 *
 *     spot      the pool that costs a job least; taken at its learned hazard
 *     back      at its own learned rate, or at once on one of the other pools that cost about as
 *               much, if one of them is up: they are at rho / (rho + lambda), with the outages of
 *               a region as dependent as one half makes them (open traces: 0.25 to 0.6)
 *     restart   boot, set-up, and half an interval where no notice comes
 *
 * The answer is a share of the cheapest price on demand, so it scales as prices do. Tables are
 * solved for rounded problems (a rate to a fifth, the horizon to sqrt 2) and kept: equal input
 * gives an equal price whatever was kept before. */
#ifndef EBB_SCHEDULER_CORE_TIME_PRICE_H
#define EBB_SCHEDULER_CORE_TIME_PRICE_H

#include "scheduler/core/deadline.h"
#include "scheduler/core/score.h"

struct ebb_time_tables;
struct ebb_time_tables *ebb_time_tables_new(void);
void ebb_time_tables_destroy(struct ebb_time_tables *t);
/* Tables solved so far. */
uint64_t ebb_time_tables_solved(const struct ebb_time_tables *t);

/* One job on a market of two prices. Times in seconds of the clock, rates per hour of it. */
struct ebb_time_problem {
    double left_s, need_s;
    double restart_s;
    double spot_share; /* price on spot over that on demand */
    double revocation_per_hour[EBB_AGE_BINS], recovery_per_hour[EBB_AGE_BINS];
    double time_scale; /* ages of the bins over those of the clock */
    bool is_up;        /* spot is to be had now */
    double outage_s;   /* else for so long it has not been */
};
/* Share of the price on demand that a second is worth: 1 where no slack is left, at most 10. */
double ebb_time_price_share(struct ebb_time_tables *t, const struct ebb_time_problem *p);

/* No spot VM is to be had, and on demand now is expected to cost less than to wait. */
bool ebb_time_take_on_demand(struct ebb_time_tables *t, const struct ebb_time_problem *p);
/* A job that runs on demand is better off on spot: it would cost less than to go on, restart
 * included, by at least one in fifty, and one more loss would leave it in time (slack of two
 * restarts: rule 3 of Uniform Progress). */
bool ebb_time_leave_on_demand(struct ebb_time_tables *t, const struct ebb_time_problem *p);

struct ebb_time_price {
    double usd_micros_per_s; /* a job */
    double share;            /* of `on_demand_usd_micros_per_s` */
    double on_demand_usd_micros_per_s;
    struct ebb_time_problem problem;
};
/* `scores`: of the input's offers for the demand, by their index. All zero without a deadline, or
 * when no price on demand is known. */
void ebb_time_price_of(const struct ebb_plan_input *in, const struct ebb_demand *d,
                       const struct ebb_deadline *deadline, const struct ebb_score *scores,
                       struct ebb_time_tables *t, struct ebb_time_price *ret);

#endif
