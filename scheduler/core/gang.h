/* Gang jobs: one job on several VMs at once, all or none, in one zone and of one type.
 *
 * One attempt is one set of leases. Its rank 0 (the leader) reports for all; the agents agree among
 * themselves on start, stop and checkpoint (agent/gang.h). Whatever ends the attempt frees all VMs;
 * when one is lost the attempt is, when one is given notice all are handed back. */
#ifndef EBB_SCHEDULER_CORE_GANG_H
#define EBB_SCHEDULER_CORE_GANG_H

#include "scheduler/core/state.h"

#define EBB_GANG_MOST 32 /* VMs of a job */

/* VMs that one job of this shape takes; 1: it is no gang. */
uint32_t ebb_gang_size(const Ebb__Resources *r);
/* The same type in the same zone and market. */
bool ebb_offer_is_alike(const Ebb__Offer *a, const Ebb__Offer *b);

/* The VMs of a job's live attempt by rank; how many, 0: it has none. */
uint32_t ebb_gang_vms(const struct ebb_state *s, const struct ebb_bag *b, uint64_t job,
                      uint32_t ret[EBB_GANG_MOST]);

#endif
