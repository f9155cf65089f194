/* How fast a VM type runs an engine, next to the others: learned from the jobs' own progress.
 *
 * The logarithm of the progress of a job of group g on type t (steps, or whole jobs, a useful
 * second) is taken as a_g + b_(engine, t). Both are running means of what the other leaves over; b
 * begins with the weight of `SHRINK` observations at 0, so that little is believed of few, and is 0
 * while the engine has run on one type alone. */
#ifndef EBB_SCHEDULER_CORE_SPEED_H
#define EBB_SCHEDULER_CORE_SPEED_H

#include "scheduler/core/state.h"

/* For the fold: a job of the group has made `progress` in `useful_s` on a VM of this type. */
void ebb_speed_observe(struct ebb_state *s, struct ebb_group *g, const char *type, double progress,
                       double useful_s);
/* Relative to the mix of types that the engine's groups have run on; 1 when nothing is known. */
double ebb_state_speed(const struct ebb_state *s, const char *engine, const char *type);
/* Of the slowest type that the engine has run on; 1 when nothing is known. */
double ebb_state_slowest(const struct ebb_state *s, const char *engine);

#endif
