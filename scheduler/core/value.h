/* What one job with a deadline is worth in each state: the least expected cost to its end, on a
 * market where spot comes and goes and on-demand is always there.
 *
 *     V(time left, work left, what runs, is spot up, for how long)
 *
 * A semi-Markov decision problem, solved backwards in time. The state of spot carries its age: an
 * up-run ends, an outage recovers, at a rate of its age's bin, and moves to the next bin at the
 * rate of one over the bin's width. The coordinates are time left and slack (time left - work
 * left):
 *
 *     idle           slack falls with time                             free
 *     run            slack stays; on spot it falls by what is wasted   the price
 *     launch         slack falls by the restart d, at once             the price while it lasts
 *     spot ends      what runs is gone
 *
 * Idling leaves slack for an on-demand start (slack - step >= d) and spot is launched only where
 * its loss would (slack >= 2 d), so that a plan never needs luck to be in time. */
#ifndef EBB_SCHEDULER_CORE_VALUE_H
#define EBB_SCHEDULER_CORE_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#define EBB_VALUE_BINS_MAX 12

struct ebb_value_problem {
    double work_s;     /* the most there can be left */
    double deadline_s; /* the most time there can be left */
    double restart_s;
    double spot_usd_per_hour;
    double on_demand_usd_per_hour;
    size_t bins; /* of age; from_s[0] is 0, the last bin is open */
    double from_s[EBB_VALUE_BINS_MAX];
    double revocation_per_hour[EBB_VALUE_BINS_MAX];
    double recovery_per_hour[EBB_VALUE_BINS_MAX];
    double spot_waste[EBB_VALUE_BINS_MAX]; /* share of spot's time without progress: checkpoints,
                                              and work to be lost; 0: none */
    double step_s;                         /* of the tables; 0: chosen */
};

enum ebb_value_run { EBB_VALUE_IDLE, EBB_VALUE_SPOT, EBB_VALUE_ON_DEMAND };

struct ebb_value; /* immutable once made */

struct ebb_value *ebb_value_new(const struct ebb_value_problem *problem);
void ebb_value_destroy(struct ebb_value *v);

struct ebb_value_state {
    double time_left_s;
    double work_left_s; /* with what is left of a restart under way */
    bool spot_up;
    double age_s; /* of the up-run, or of the outage */
};

/* Expected cost to the end when `run` runs now (its restart, if any, is in work_left_s) and all is
 * done as well as can be from the next step on. Spot needs spot_up. */
double ebb_value_running_usd(const struct ebb_value *v, const struct ebb_value_state *s,
                             enum ebb_value_run run);
/* The same for switching to `run` now: a launch adds the restart, idle adds nothing. */
double ebb_value_launching_usd(const struct ebb_value *v, const struct ebb_value_state *s,
                               enum ebb_value_run run);
/* Dollars an hour less of work is worth: the price of time in this state. */
double ebb_value_shadow_usd_per_hour(const struct ebb_value *v, const struct ebb_value_state *s);

#endif
