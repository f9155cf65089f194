/* Deadlines: how long what is left takes at least, and when only on-demand VMs are safe. */
#ifndef EBB_SCHEDULER_CORE_DEADLINE_H
#define EBB_SCHEDULER_CORE_DEADLINE_H

#include "scheduler/core/score.h"

/* The bag's deadline is so near that the group's jobs, and all that need them, would be late if a
 * spot VM were lost once more. The safety net of Uniform Progress (NSDI'24, rule 3), for a chain
 * of groups: time left < chain + margin. */
bool ebb_deadline_must_on_demand(const struct ebb_plan_input *in, const struct ebb_group *g);
/* VMs that `jobs` jobs need to be done in time; 0 without a deadline. */
double ebb_deadline_vms(const struct ebb_plan_input *in, const struct ebb_group *g,
                        const struct ebb_demand *d, double jobs, uint32_t slots);
/* Seconds until a waiting group's jobs become ready, about. */
double ebb_deadline_start_s(const struct ebb_plan_input *in, const struct ebb_group *g);

#endif
