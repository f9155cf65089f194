/* Gang jobs: one job on several VMs at once, all or none, in one zone and of one type.
 *
 * The attempt runs on the first VM, the leader; the others are held for it, and its command reaches
 * them by itself (mpirun, torchrun): EBB_GANG_HOSTS has their addresses. Whatever ends the attempt
 * frees them all; when one is lost or given notice the attempt is. */
#ifndef EBB_SCHEDULER_CORE_GANG_H
#define EBB_SCHEDULER_CORE_GANG_H

#include "scheduler/core/state.h"

#define EBB_GANG_MOST 32 /* VMs of a job */

/* VMs that one job of this shape takes; 1: it is no gang. */
uint32_t ebb_gang_size(const Ebb__Resources *r);
/* The same type in the same zone and market. */
bool ebb_offer_is_alike(const Ebb__Offer *a, const Ebb__Offer *b);

#endif
