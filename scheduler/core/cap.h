/* VMs that the cloud ends at a known age (24 h of GCP's legacy preemptible VMs; an offer's cap_s).
 *
 *   |---- runs ----- ... ---- replacement boots --|-- jobs move --| last checkpoint | cap
 *                                                  <------------ lead ------------->
 *
 * The cap is a date and no danger: no run is reckoned past it, the last checkpoint stands before
 * it, jobs that go on after it move when there is room, and none begins that could not. */
#ifndef EBB_SCHEDULER_CORE_CAP_H
#define EBB_SCHEDULER_CORE_CAP_H

#include "scheduler/core/score.h"

/* Seconds until the cap ends the VM; INFINITY: it has none. */
double ebb_cap_left_s(const struct ebb_state *s, const struct ebb_vm *vm, int64_t now_wall_ns);
/* How long before its cap a VM's jobs of the demand need other room: a boot, a set-up, checkpoints,
 * the notice that stops them, and some seconds. */
double ebb_cap_lead_s(const struct ebb_state *s, const struct ebb_demand *d);
/* The bill forgives a VM that the cloud ends so young: it is better left for the cloud to end. */
bool ebb_cap_is_free(const struct ebb_vm *vm);
/* A job of the group may begin on the VM: it makes checkpoints and has some time there, or will be
 * done before the cap. */
bool ebb_cap_lets_in(const struct ebb_state *s, const struct ebb_policy *policy,
                     const struct ebb_vm *vm, const struct ebb_group *g, int64_t now_wall_ns);
/* The interval to the next checkpoint, so that the last is done before the cap. */
double ebb_cap_interval_s(double interval_s, double cap_left_s, double work_left_s,
                          double checkpoint_s, double least_s);

#endif
