/* Idle VMs: kept while what their next use saves is worth the time that they stand idle.
 *
 * A job that finds a VM waiting saves what a new one would take longer for it: its boot, and the
 * losses of its first hours, when VMs are in danger most (an old one's are behind it). Both are
 * seconds of VMs of one kind, so their price does not matter:
 *
 *     saved  =  (VM seconds that a useful second takes on a new VM)  useful  -  its seconds
 *
 * with the useful seconds that this one is expected to give a job before it is done or the VM is
 * lost, and the seconds that it lives for that (ebb_outlook_worth; for a new VM it is 0).
 *
 * It is kept while a known use (jobs whose needs are about to be done) is nearer than `saved`; or
 * while uses come, at a rate of lambda a second, often enough: lambda * saved >= 1 is the condition
 * under which a second idle brings more than it costs. lambda is that of the other VMs' revocations
 * whose jobs would fit: the n-th spare VM has one n-th of it. What the bill's minimum has paid for
 * costs nothing. Each waiting job keeps one VM, no more. */
#ifndef EBB_SCHEDULER_CORE_IDLE_H
#define EBB_SCHEDULER_CORE_IDLE_H

#include "scheduler/core/planning.h"

struct ebb_idle {
    struct planning *w;
    /* By active group: */
    double *start_s;   /* until its waiting jobs can start; < 0: not reckoned yet */
    uint64_t *waiting; /* jobs that no idle VM is kept for yet */
    double *revoked;   /* its jobs' VMs that are expected to be revoked a second; NULL: not yet */
    double spares;     /* VMs kept for revocations */
};

void ebb_idle_begin(struct ebb_idle *i, struct planning *w);
void ebb_idle_clean_up(struct ebb_idle *i);
/* False: it is to be ended, for this reason. Told in the order in which VMs are to be kept. */
bool ebb_idle_is_kept(struct ebb_idle *i, const struct ebb_vm *vm, int64_t since_wall_ns,
                      char reason[200]);

#endif
