/* What a submission will do, in words, before it does it. */
#ifndef EBB_CLI_SUBMIT_PLAN_H
#define EBB_CLI_SUBMIT_PLAN_H

#include "base/buffer.h"
#include "proto/wire.pb-c.h"

/* The jobs by group, the candidate offers, the chosen ones, expected cost and finish. */
void ebb_plan_view(const Ebb__BagSpec *spec, const Ebb__PlanAnswer *plan, unsigned width,
                   struct ebb_buffer *out);

#endif
