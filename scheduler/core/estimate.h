/* What a bag would cost and when it would end, before it is submitted. */
#ifndef EBB_SCHEDULER_CORE_ESTIMATE_H
#define EBB_SCHEDULER_CORE_ESTIMATE_H

#include "proto/wire.pb-c.h"
#include "scheduler/core/planner.h"

/* A PlanAnswer: every candidate offer with its expected cost per job, hazard and a note; the
 * chosen ones; expected cost and finish; whether deadline and budget can hold, and if not, the
 * nearest that would. `in->state` may hold other bags; the estimate takes the fleet as its own.
 * The caller frees it with ebb__plan_answer__free_unpacked. */
Ebb__PlanAnswer *ebb_estimate(const struct ebb_plan_input *in, const Ebb__BagSpec *spec);

#endif
