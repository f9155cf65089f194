/* The emulated cloud in simulated time: the same fleet file, the same draws in the same order, the
 * same rules for capacity, revocation, notices and the bill as cloud/emulator/ has them, without
 * processes and requests.
 *
 *   launch --> pending --> running (billed) --> booted --> ... --> ended --> gone from the list
 *                             |                               ^
 *                             +-- lifetime, revocation, trace-+-- [rebalance] --> notice --> end
 *
 * Instead of the fleet's lifetimes a model can say how VMs and whole pools live (struct
 * ebb_pool_model): what a plan draws from its posterior. */
#ifndef EBB_SIMULATOR_WORLD_H
#define EBB_SIMULATOR_WORLD_H

#include "base/random.h"
#include "cloud/emulator/fleet.h"
#include "simulator/agenda.h"

#define EBB_POOL_BINS                                                                              \
    7 /* hours [0, .25), [.25, 1), [1, 3), [3, 6), [6, 12), [12, 24), [24, inf)                    \
       */
extern const double ebb_pool_bin_from_s[EBB_POOL_BINS + 1];

/* Spot VMs of one type in one zone. Each VM has a hazard of its own; besides, the pool as a whole
 * comes to an end at a hazard by the age of its present run, takes each VM with a probability, and
 * stays closed until it recovers. */
struct ebb_pool_model {
    double own_per_hour[EBB_POOL_BINS];      /* by the VM's age */
    double shock_per_hour[EBB_POOL_BINS];    /* by the age of the pool's run */
    double recovery_per_hour[EBB_POOL_BINS]; /* by the age of the outage; all 0: it is not closed */
    /* Scaled ages before which nothing ends; then rates of the first bin are higher, as many ends
     * fall into it. */
    double quiet_s, quiet_outage_s;
    double shock_all;   /* share of these ends that take all of its VMs ... */
    double shock_kills; /* ... and of the VMs that the others take */
    /* Runs (0) and outages (1) one after another are alike: hazards.h, ebb_hazards_regime. */
    double share[2], keep[2];
    double regime[2]; /* R at the start: normal */
    bool is_down;     /* at the start */
    double left_s;    /* of the run or outage at the start; 0: it begins then */
};
struct ebb_world_model {
    const struct ebb_pool_model *pools; /* zone index * type count + type index; or NULL: */
    /* how long a VM lives, from a uniform number in [0, 1); INFINITY: for ever. */
    double (*lifetime_s)(void *ctx, int zone, int type, double u);
    void *ctx;
    struct ebb_fleet_notice notice;
    double time_scale; /* ages of the bins over seconds; 0 stands for 1 */
};
/* Seconds until an event of a piecewise constant hazard, from `age_s` on, by inversion: `u` in
 * [0, 1). Rates are per hour of the clock, bins of the scaled age; none falls before the scaled age
 * `quiet_s`, those of the first bin lie behind it. INFINITY when it never comes. */
double ebb_pool_draw_s(const double per_hour[EBB_POOL_BINS], double quiet_s, double time_scale,
                       double age_s, double u);

/* The next run (outage) of a pool in seconds of the clock; `regime` goes on with it. */
double ebb_pool_next_s(const struct ebb_pool_model *m, bool is_down, double regime[2],
                       double time_scale, struct ebb_random *random);

enum ebb_world_vm_state {
    EBB_WORLD_PENDING,
    EBB_WORLD_RUNNING,
    EBB_WORLD_STOPPING,
    EBB_WORLD_ENDED,
};

struct ebb_world_vm {
    int zone, type;
    bool spot, interrupted, revoked;
    bool is_cut; /* a partition: it reaches nobody */
    uint8_t state;
    uint32_t steps; /* changes, so that what was put down before them is let go */
    struct ebb_fleet_notice notice;
    bool notice_is_shown;
    int64_t launch_ns, running_ns, end_ns; /* 0: not yet */
    int64_t phase_ns[3];
    int64_t deadline_ns; /* of the notice */
};

/* What the world tells; `vm` is an index. */
struct ebb_world_handlers {
    void *ctx;
    void (*booted)(void *ctx, uint32_t vm); /* user data starts */
    void (*rebalance)(void *ctx, uint32_t vm);
    void (*noticed)(void *ctx, uint32_t vm);
    void (*ended)(void *ctx, uint32_t vm); /* its processes are gone; the list says stopping */
    void (*gone)(void *ctx, uint32_t vm);  /* the list says terminated */
    void (*priced)(void *ctx);             /* a spot price has changed */
    void (*cut)(void *ctx, uint32_t vm);   /* its partition begins or ends */
};

struct ebb_world {
    struct ebb_agenda *agenda;
    const struct ebb_fleet *fleet;
    const struct ebb_world_model *model; /* NULL: the fleet's lifetimes */
    struct ebb_world_handlers handlers;
    int64_t origin_ns;
    uint64_t seed;
    struct ebb_random random;
    struct ebb_world_vm *vms; /* in order of launch: number n of a fleet file is index n - 1 */
    uint32_t vm_count, vm_capacity;
    uint32_t *live; /* by pool: pending or running */
    uint32_t *live_vms;
    uint32_t live_vm_count;
    double *zone_unavailable_until_s;
    bool *pool_is_down;
    double (*pool_regime)[2];
    uint64_t *pool_turns; /* changes so far */
};

/* `fleet`, `model` and `agenda` are borrowed. `seed` replaces the fleet's. */
struct ebb_world *ebb_world_new(struct ebb_agenda *agenda, const struct ebb_fleet *fleet,
                                const struct ebb_world_model *model, uint64_t seed,
                                const struct ebb_world_handlers *handlers);
void ebb_world_destroy(struct ebb_world *w);

/* A launch as RunInstances makes it, after the latency that the fleet's faults add (put to
 * *ret_latency_s). EBB_ERR_NO_CAPACITY, EBB_ERR_QUOTA, EBB_ERR_THROTTLED, EBB_ERR_TIMEOUT,
 * EBB_ERR_UNSUPPORTED. */
int ebb_world_launch(struct ebb_world *w, int zone, int type, bool spot, uint32_t *ret_vm,
                     double *ret_latency_s);
void ebb_world_terminate(struct ebb_world *w, uint32_t vm);
bool ebb_world_vm_is_live(const struct ebb_world_vm *vm);

/* The n-th price step of a pool in force, and its time; false past the last. */
bool ebb_world_price(const struct ebb_world *w, int zone, int type, size_t n, int64_t *ret_from_ns,
                     int64_t *ret_usd_micros);
/* The cloud's own bill for its VMs, by cloud/emulator/bill.h. */
int64_t ebb_world_bill_usd_micros(const struct ebb_world *w);

#endif
