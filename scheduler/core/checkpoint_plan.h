/* When to make checkpoints: an exact dynamic programme for short jobs.
 *
 * The recurrence is that of SciSpot (HPDC'20), with its errors put right: the probability of a
 * revocation is conditioned on having lived so long; what a revocation costs is the time since the
 * last checkpoint, and not the age of the VM; and the job goes on on a new VM, of age 0, after a
 * restart. With M(j, t) the expected time to the end with work j left on a VM of age t,
 *
 *     M(j, t) = min over i of  p (M(j - i, t') + t' - t) + (1 - p) (E[lost] + R + M(j, 0)),
 *     t' = t + i + delta (the last piece needs no checkpoint),  p = S(t') / S(t).
 *
 * Past a cap S is 0: the last piece that counts ends, with its checkpoint, before it.
 *
 * Time is cut into `EBB_CHECKPOINT_STEPS` steps of the work; between two ages M is linear. */
#ifndef EBB_SCHEDULER_CORE_CHECKPOINT_PLAN_H
#define EBB_SCHEDULER_CORE_CHECKPOINT_PLAN_H

#include "scheduler/core/lifetime.h"

#define EBB_CHECKPOINT_STEPS 60

struct ebb_checkpoint_terms {
    double work_s;       /* left now */
    double checkpoint_s; /* each */
    double restart_s;    /* from a revocation to the work going on: launch, boot, restore */
    double silent;       /* share of revocations that lose the piece under way */
};

struct ebb_checkpoint_plan;
/* For a job on a VM of `here` that is `age_s` old now, and after a revocation on VMs of `anew`. */
struct ebb_checkpoint_plan *ebb_checkpoint_plan_new(const struct ebb_outlook *here, double age_s,
                                                    const struct ebb_outlook *anew,
                                                    const struct ebb_checkpoint_terms *t);
void ebb_checkpoint_plan_destroy(struct ebb_checkpoint_plan *p);
/* Useful seconds until the next checkpoint with so much work left; the work itself: none is worth
 * it. `since_s`: how long ago the plan's VM had the age it was made for. */
double ebb_checkpoint_plan_next_s(const struct ebb_checkpoint_plan *p, double work_left_s,
                                  double since_s);
/* The same on a VM of `anew`. */
double ebb_checkpoint_plan_next_new_s(const struct ebb_checkpoint_plan *p, double work_left_s,
                                      double age_s);
/* Expected seconds from now to the end of the work. */
double ebb_checkpoint_plan_expected_s(const struct ebb_checkpoint_plan *p);

#endif
