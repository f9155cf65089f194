/* Deadlines: how long what is left takes at least, and when only on-demand VMs are safe. What time
 * is worth before that is in time_price.h. */
#ifndef EBB_SCHEDULER_CORE_DEADLINE_H
#define EBB_SCHEDULER_CORE_DEADLINE_H

#include "scheduler/core/score.h"

struct ebb_deadline {
    double left_s;   /* until the bag's deadline; INFINITY: it has none */
    double need_s;   /* what is left takes on demand, from the newest commits on */
    double margin_s; /* that is kept free for one more loss */
    /* Only on-demand is safe: one more loss of a spot VM would make the bag late. The safety net of
     * Uniform Progress (NSDI'24, rule 3) for a chain of groups: left < need + margin. */
    bool must_on_demand;
};
void ebb_deadline_of(const struct ebb_plan_input *in, const struct ebb_group *g,
                     struct ebb_deadline *ret);
/* Until the group must be done, for the chain behind it to end in time; INFINITY: no deadline. */
double ebb_deadline_group_left_s(const struct ebb_plan_input *in, const struct ebb_group *g);
/* VMs that `jobs` jobs need to be done in time; 0 without a deadline. */
double ebb_deadline_vms(const struct ebb_plan_input *in, const struct ebb_group *g,
                        const struct ebb_demand *d, double jobs, uint32_t slots);
/* Jobs that must run at once beside those that have room, for the group to be done in time, when
 * `jobs` of those that are ready have none; 0 without a deadline. */
double ebb_deadline_slots(const struct ebb_plan_input *in, const struct ebb_group *g,
                          const struct ebb_demand *d, double jobs);
/* Seconds until a waiting group's jobs become ready, about, when nothing is lost. */
double ebb_deadline_start_s(const struct ebb_plan_input *in, const struct ebb_group *g);

#endif
