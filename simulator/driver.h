/* Between run.c and the driver's parts: what the daemon holds beside the state
 * (scheduler/daemon.h), in simulated time. */
#ifndef EBB_SIMULATOR_DRIVER_H
#define EBB_SIMULATOR_DRIVER_H

#include "scheduler/core/acts.h"
#include "scheduler/core/intervals.h"
#include "scheduler/core/time_price.h"
#include "simulator/run.h"

/* What the log does not hold of a VM. */
struct ebb_driven_vm {
    uint32_t world; /* index; EBB_NONE: not launched */
    bool is_linked; /* its agent has said hello and is connected */
    bool is_launching, rebalanced;
    uint32_t launch_tries;
    int64_t intended_ns, heard_ns;
    int64_t launch_again_ns; /* 0: no call is due */
    uint32_t ends;           /* changes of when it is to be ended */
    /* the launch under way */
    int launch_code;
    uint32_t launched;
};

struct ebb_driver {
    const struct ebb_simulation_options *o;
    struct ebb_agenda *agenda;
    struct ebb_world *world;
    struct ebb_agents *agents;
    struct ebb_state *state;
    struct ebb_actor actor;
    struct ebb_random random; /* the daemon's */
    struct ebb_random chance; /* when an agent looks, when it was last heard */
    struct ebb_fleet_offers offers;
    struct ebb_error fault;
    bool is_stopped; /* by the observer */

    struct ebb_driven_vm *vms;
    uint32_t vm_count;
    uint32_t *owner; /* of a VM of the world: index in the state */
    uint32_t owner_count;

    /* turns */
    bool turn_is_due, plan_is_wanted, place_is_wanted;
    int64_t plan_not_before_ns, plan_again_ns;
    int64_t plan_woken_ns; /* the turn that waits for the first of these */
    uint32_t *calls; /* VMs to launch or to end after the turn; those to end have the top bit set */
    size_t call_count, call_capacity;
    int64_t requests_ns; /* last counted */

    /* looks at the cloud */
    int64_t look_ns, looked_ns, hurried_ns; /* the next one; EBB_AGENDA_NEVER: none */
    uint32_t *changed;                      /* VMs of the world that the next looks must compare */
    size_t changed_count, changed_capacity;
    size_t *prices_seen; /* by pool */
    struct ebb_intervals *intervals;
    struct ebb_time_tables *tables;

    uint64_t events, plans;
};

/* turns.c */
double ebb_driver_interval_s(void *ctx, uint32_t bag, uint64_t job, uint32_t vm);
int ebb_driver_emit(void *ctx, Ebb__Event *e);
void ebb_driver_turn_soon(struct ebb_driver *d);
void ebb_driver_call_after(struct ebb_driver *d, uint32_t vm, bool end);

/* driven_fleet.c */
struct ebb_driven_vm *ebb_driver_vm(struct ebb_driver *d, uint32_t vm);
void ebb_driver_intend(struct ebb_driver *d, const Ebb__Offer *offer, const char *reason);
void ebb_driver_launch(struct ebb_driver *d, uint32_t vm);
void ebb_driver_end(struct ebb_driver *d, struct ebb_vm *vm, bool drain, const char *reason);
void ebb_driver_end_call(struct ebb_driver *d, uint32_t vm);
void ebb_driver_vanish(struct ebb_driver *d, struct ebb_vm *vm, const char *reason);
void ebb_driver_cancel_bag(struct ebb_driver *d, struct ebb_bag *b, const char *reason);
void ebb_driver_goodbye(void *ctx, uint32_t vm, const char *reason);
void ebb_driver_handlers(struct ebb_driver *d, struct ebb_world_handlers *ret);

/* looks.c */
void ebb_driver_look_by(struct ebb_driver *d, int64_t at_ns);
void ebb_driver_look_hurry(struct ebb_driver *d);
void ebb_driver_look_soon(struct ebb_driver *d);
void ebb_driver_look_in_turn(struct ebb_driver *d);
void ebb_driver_changed(struct ebb_driver *d, uint32_t world_vm);
void ebb_driver_observe_prices(struct ebb_driver *d);

#endif
