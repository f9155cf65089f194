/* Bags in simulated time: the scheduler's own state, fold, planner, placement and ledger, driven as
 * the daemon drives them (docs/scheduler.md), against the emulated cloud of a fleet file and
 * simulated agents. Same input, same seed: same events. */
#ifndef EBB_SIMULATOR_RUN_H
#define EBB_SIMULATOR_RUN_H

#include "base/error.h"
#include "proto/event.pb-c.h"
#include "scheduler/core/planner.h"
#include "scheduler/core/state.h"
#include "simulator/agents.h"
#include "simulator/world.h"

struct ebb_simulation_times {
    double lease_s, boot_s, drain_s; /* as the options of `ebb scheduler` */
    double look_s;                   /* between two looks at the cloud */
    double plan_s;                   /* between two plans at least */
    double call_s;                   /* until a launch or an end is answered */
    double join_s;                   /* from user data's start to the agent's joining */
    /* For speed: plan only when a VM or a bag has changed or jobs have run out, and otherwise every
     * plan_s at most. The daemon plans after any event. */
    bool plan_seldom;
    /* Then: between two plans that nothing but the time between them asks for, and between two
     * tellings of lives that go on (where that is more than the state's own). */
    double again_s;
    double quiet_s; /* stop when nothing has happened for so long */
};

struct ebb_simulation_options {
    const struct ebb_fleet *fleet;
    const struct ebb_world_model *model; /* NULL: the fleet's lifetimes and traces */
    const char *provider;                /* NULL: "aws" */
    const Ebb__Offer *const *offers;     /* NULL: all of the fleet's */
    size_t offer_count;
    const Ebb__BagSpec *spec;          /* one bag, submitted at the start */
    const char *bag_id;                /* NULL: the bag's name */
    Ebb__CatalogueImported *catalogue; /* its priors; NULL: of the built-in one */
    struct ebb_policy policy;
    struct ebb_time_tables *tables; /* shared by runs one after another; NULL: each its own */
    struct ebb_simulation_times times;
    struct ebb_job_times jobs;
    uint64_t seed;
    int64_t start_wall_ns;
    double most_s; /* simulated time at most */
    /* Before the bag is submitted: what is known already (hazards) may be put into the state. */
    void (*prepare)(void *ctx, struct ebb_state *s);
    /* Each event as the log would have it; may be NULL. Negative: stop. */
    int (*event)(void *ctx, const Ebb__Event *e);
    void *ctx;
};
/* Emulated: as for `ebb submit --cloud emulated`; otherwise the timings of a real cloud. */
void ebb_simulation_defaults(bool emulated, struct ebb_simulation_options *ret);

struct ebb_simulation {
    struct ebb_state *state;
    int64_t end_wall_ns;     /* the last VM has ended, or the limit */
    bool is_finished;        /* the bag's jobs have all settled and its VMs have ended */
    int64_t bill_usd_micros; /* VMs, by the cloud's own bill */
    uint64_t events, plans, steps;
    double interval_mean_s; /* between checkpoints, over placements; 0: none */
};
/* EBB_ERR_INTERNAL when the state refused an event (our fault). Clean up with
 * ebb_simulation_clean_up. */
int ebb_simulation_run(const struct ebb_simulation_options *o, struct ebb_simulation *ret,
                       struct ebb_error *err);
void ebb_simulation_clean_up(struct ebb_simulation *s);

/* Every offer of a fleet, with its first prices; strings belong to the fleet. */
struct ebb_fleet_offers {
    Ebb__Offer *offers;
    const Ebb__Offer **pointers;
    size_t count;
};
void ebb_fleet_offers_of(const struct ebb_fleet *f, const char *provider,
                         struct ebb_fleet_offers *ret);
void ebb_fleet_offers_clean_up(struct ebb_fleet_offers *o);

#endif
