/* How fast the scheduler acts: what the daemon does by its timers and the simulator by its agenda.
 * What an option sets (leases, heartbeats, looks at the cloud) stands with the options. */
#ifndef EBB_SCHEDULER_CORE_TIMINGS_H
#define EBB_SCHEDULER_CORE_TIMINGS_H

#include <stdint.h>

#define EBB_TIMING_TICK_NS          INT64_C(200000000)
#define EBB_TIMING_PLAN_NS          INT64_C(200000000) /* between two plans at least */
#define EBB_TIMING_BACK_OFF_NS      INT64_C(500000000)
#define EBB_TIMING_BACK_OFF_MOST    6 /* doublings: 32 s */
#define EBB_TIMING_GIVE_UP_LAUNCH_S 300
#define EBB_TIMING_END_AGAIN_S      10
#define EBB_TIMING_NOTICED_GRACE_S  60                 /* the cloud is not punctual */
#define EBB_TIMING_LOOK_SOON_NS     INT64_C(500000000) /* between looks out of turn */
#define EBB_TIMING_DRAIN_GRACE_S    5
/* A spot VM that the cloud takes in its first billed hour is free; seconds from the boot script on,
 * the rest of the hour passed before it. */
#define EBB_TIMING_FREE_BILLED_S 3480.0

/* Defaults of `ebb scheduler`. */
#define EBB_TIMING_HEARTBEAT_S     2.0
#define EBB_TIMING_LEASE_S         20.0
#define EBB_TIMING_BOOT_S          600.0
#define EBB_TIMING_DRAIN_S         60.0
#define EBB_TIMING_LOOK_S          15.0 /* describing VMs and prices */
#define EBB_TIMING_LOOK_EMULATED_S 2.0

/* Leases given in one call of ebb_place, and calls in one turn. */
#define EBB_TIMING_PLACEMENTS 512
#define EBB_TIMING_ROUNDS     8

/* Jittered exponential back-off in ns: between half and all of the step that `tries` have led to;
 * `random` in [0, 1). */
static inline int64_t ebb_timing_back_off_ns(uint32_t tries, double random)
{
    uint32_t doublings = tries < EBB_TIMING_BACK_OFF_MOST ? tries : EBB_TIMING_BACK_OFF_MOST;
    int64_t most_ns = EBB_TIMING_BACK_OFF_NS << doublings;
    return most_ns / 2 + (int64_t)(random * (double)most_ns / 2);
}

#endif
