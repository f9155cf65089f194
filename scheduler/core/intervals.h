/* Seconds until a job's next checkpoint, asked for when it is leased and after each of its commits:
 * the VM has aged, its siblings may have been taken, and less work is left.
 *
 *   work left of many intervals, or unknown: sqrt(2 delta / h) at the VM's age (Daly's higher
 * order) a few, and enough at stake:              the dynamic programme of checkpoint_plan.h
 *
 * Before a cap the programme runs from the VM's own age; whichever it is, the last checkpoint
 * stands before the cap (cap.h).
 *
 * The programme's tables hold for all jobs of a group on VMs of a place, and are kept for a while:
 * that memory is all that is in here. */
#ifndef EBB_SCHEDULER_CORE_INTERVALS_H
#define EBB_SCHEDULER_CORE_INTERVALS_H

#include "scheduler/core/planner.h"

struct ebb_intervals;
struct ebb_intervals *ebb_intervals_new(void);
void ebb_intervals_destroy(struct ebb_intervals *c);

/* 0: the job makes no checkpoints. `bag` and `vm` are indices. */
double ebb_intervals_next_s(struct ebb_intervals *c, const struct ebb_state *s,
                            const struct ebb_policy *policy, uint32_t bag, uint64_t job,
                            uint32_t vm, int64_t now_wall_ns);

#endif
