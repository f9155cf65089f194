/* The scheduler daemon: one loop thread that owns everything here; worker threads that call the
 * cloud and the store and hand their results back.
 *
 *   agents (TLS) --+                                         +--> lease grants, acks, answers
 *   clients (Unix) +--> handlers --> ebb_turn_emit --> state |
 *   cloud answers  +     (read the state, decide)      +     +--> provider calls
 *   timers --------+                                   v     |
 *                                        event log: commit --+   (one transaction a turn)
 *
 * Handlers change the state only by emitting events, and everything that leaves the process because
 * of an event waits for its commit (turn.c). */
#ifndef EBB_SCHEDULER_DAEMON_H
#define EBB_SCHEDULER_DAEMON_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/channel.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/loop.h"
#include "base/random.h"
#include "base/tls.h"
#include "base/workers.h"
#include "cloud/object_store.h"
#include "cloud/provider.h"
#include "proto/wire.pb-c.h"
#include "scheduler/core/acts.h"
#include "scheduler/core/planner.h"
#include "scheduler/core/state.h"
#include "scheduler/core/timings.h"
#include "scheduler/event_log.h"

#define EBB_SERVER_NAME "ebb-scheduler"

struct ebb_daemon_options {
    const char *state_dir;
    struct ebb_provider *provider; /* borrowed */
    bool emulated;
    double bill_time_scale;
    const char *store_url;   /* default store; NULL: the one in the log */
    const char *listen;      /* for agents; NULL: 127.0.0.1 and the port used before */
    const char *advertise;   /* what agents are told; NULL: where we listen */
    const char *agent_proxy; /* NULL: none */
    double heartbeat_s, lease_ttl_s, orphan_timeout_s, boot_timeout_s, drain_s;
    double list_interval_s;   /* describing VMs and prices */
    double offers_interval_s; /* the catalogue */
    double idle_exit_s;       /* 0: never */
    struct ebb_policy policy;
    bool upload_program; /* put our own executable into the store for VMs to fetch */
    uint64_t seed;
};

struct ebb_daemon;
struct ebb_agent_link;
struct ebb_client_link;

/* What the log does not hold of a VM: gone with the process, and rebuilt. */
struct ebb_vm_run {
    struct ebb_agent_link *link; /* that has said hello; NULL: none */
    int64_t heard_ns;            /* monotonic; of the start for VMs of a former life */
    bool regrant;                /* its leases go out again with its next heartbeat */
    bool launching;              /* a launch call is under way */
    uint32_t launch_tries;
    int64_t launch_again_ns; /* 0: no call is due */
    int64_t intended_ns;     /* or of the start */
    bool ending;             /* a terminate call is under way */
    uint32_t end_tries;
    int64_t end_ns;     /* terminate the instance at this time; 0: not wanted */
    int64_t missing_ns; /* not in the cloud's list since; 0: it is */
    int64_t ended_ns;   /* the cloud first said so, while the agent's line was open; 0: not yet */
};

struct ebb_outgoing;
struct ebb_intervals;
struct ebb_time_tables;

struct ebb_daemon {
    struct ebb_daemon_options options;
    struct ebb_loop *loop;
    struct ebb_workers *workers;
    struct ebb_event_log *log;
    struct ebb_state *state;
    struct ebb_random random;
    struct ebb_provider *provider;
    char *state_dir, *store_url, *advertised;
    struct ebb_tls_authority *authority;
    struct ssl_ctx_st *tls;
    struct ebb_listener *agent_listener, *client_listener;
    struct ebb_agent_link *agents; /* all connections, list */
    struct ebb_client_link *clients;
    struct ebb_timer *tick;
    struct ebb_watch *on_term, *on_int;
    bool stopping;           /* no new VMs, no new leases; end when VMs are gone or at stop_ns */
    bool stop_when_empty;    /* ... or as soon as no VM lives */
    int64_t stop_ns;         /* 0: not stopping */
    struct ebb_error failed; /* why the loop was stopped; code 0: it was asked to */
    int64_t busy_ns;         /* last time there was something to do, for idle_exit */

    /* turn.c */
    struct ebb_timer *turn;
    bool turn_scheduled;
    struct ebb_outgoing *outgoing;
    size_t outgoing_count, outgoing_capacity;
    struct ebb_buffer outgoing_bytes;
    char **committing; /* kinds in the open batch, for fault points; NULL unless asked for */
    size_t committing_count;
    struct ebb_intervals *intervals;
    struct ebb_time_tables *tables;
    int64_t prices_ns;      /* prices.csv is looked at again then (monotonic) */
    int64_t prices_seen_ns; /* its time when it was read; 0: it was not */
    ino_t prices_inode;
    int64_t warned_wall_ns; /* the last revocation that siblings were warned of */
    bool plan_wanted;
    int64_t plan_not_before_ns, plan_again_ns; /* again: 0 none */

    /* fleet.c, reconcile.c, offers.c */
    struct ebb_vm_run *runs;
    size_t run_count;
    int64_t ticked_ns; /* the last look at the agents' silence */
    Ebb__Offer **offers;
    size_t offer_count;
    struct ebb_error offers_error; /* why they are not known; code 0: they are, or no answer yet */
    bool offers_known, fetching_offers, listing, listed_once;
    bool list_soon;
    int64_t list_ns, offers_ns; /* next time */
    int64_t looked_ns;          /* last time */
    int64_t hurried_ns;         /* the last look out of turn */
    int64_t prices_since_ns;    /* wall */

    /* stores.c */
    struct ebb_map *stores; /* URL -> struct ebb_object_store; guarded by stores_lock */
    pthread_mutex_t stores_lock;
    char *program_url; /* where a VM fetches this program; NULL until it is in the store */
    bool uploading;
    int64_t upload_ns; /* next time: the URL is renewed long before it ends */
    int64_t storage_ns;
    bool measuring;
    struct ebb_object_store_counts counted; /* of our own requests, in the log already */
};

int ebb_daemon_new(const struct ebb_daemon_options *o, struct ebb_daemon **ret,
                   struct ebb_error *err);
int ebb_daemon_run(struct ebb_daemon *d, struct ebb_error *err); /* until stopped */
void ebb_daemon_destroy(struct ebb_daemon *d);
int ebb_daemon_agent_port(const struct ebb_daemon *d);

/* Logs a fatal failure and ends the loop: the state has run ahead of the log. */
void ebb_daemon_fail(struct ebb_daemon *d, const struct ebb_error *err);
struct ebb_vm_run *ebb_daemon_run_of(struct ebb_daemon *d, uint32_t vm);
/* Jittered exponential back-off, ns from now (monotonic). */
int64_t ebb_daemon_back_off(struct ebb_daemon *d, uint32_t tries);

/* ---- turn.c ---- */

/* Applies the event to the state and adds it to the batch. A refused event (EBB_ERR_CORRUPT) has
 * changed nothing: the message that asked for it was wrong. */
int ebb_turn_emit(struct ebb_daemon *d, Ebb__Event *e, struct ebb_error *err);
/* For events of our own making: a refusal is our fault, logged. */
void ebb_turn_emit_own(struct ebb_daemon *d, Ebb__Event *e);
/* For the acts of scheduler/core/acts.h; a refusal is logged. */
struct ebb_actor ebb_turn_actor(struct ebb_daemon *d);
void ebb_turn_schedule(struct ebb_daemon *d);
void ebb_turn_want_plan(struct ebb_daemon *d);
/* After the commit of what was emitted so far: */
void ebb_turn_tell_agent(struct ebb_daemon *d, struct ebb_agent_link *a,
                         const Ebb__SchedulerMessage *m);
void ebb_turn_answer(struct ebb_daemon *d, struct ebb_client_link *c, const Ebb__ClientAnswer *m);
void ebb_turn_after(struct ebb_daemon *d, void (*fn)(struct ebb_daemon *d, uint32_t vm),
                    uint32_t vm);
int ebb_turn_init(struct ebb_daemon *d, struct ebb_error *err);
void ebb_turn_pass_fault_points(struct ebb_daemon *d);
void ebb_turn_clean_up(struct ebb_daemon *d);

/* ---- agents.c ---- */

int ebb_agents_listen(struct ebb_daemon *d, struct ebb_error *err);
void ebb_agents_clean_up(struct ebb_daemon *d);
void ebb_agent_ref(struct ebb_agent_link *a);
void ebb_agent_unref(struct ebb_agent_link *a);
void ebb_agent_send(struct ebb_agent_link *a, const void *data, size_t len);
/* True the first time for this connection: its bag context must go out. */
bool ebb_agent_needs_bag(struct ebb_agent_link *a, uint32_t bag);

/* ---- leases.c ---- */

void ebb_leases_place(struct ebb_daemon *d);
/* Grants again what the state holds for this VM and the agent did not name. */
void ebb_leases_regrant(struct ebb_daemon *d, struct ebb_vm *vm);
/* A commit has come: the time to the next one. */
void ebb_leases_renew_interval(struct ebb_daemon *d, const struct ebb_bag *b, uint64_t job);
/* After a revocation: the VMs near it make checkpoints sooner. */
void ebb_leases_warn_siblings(struct ebb_daemon *d);
/* Stops a live attempt: by message when its agent is there. */
void ebb_leases_cancel(struct ebb_daemon *d, const struct ebb_bag *b, uint64_t job, bool release,
                       const char *reason);
/* A VM is being taken: jobs that hold it beside their own VM are handed back, with a checkpoint. */
void ebb_leases_release_gangs(struct ebb_daemon *d, const struct ebb_vm *vm);
/* Of an event that ends a gang's attempt, before it is applied: the VMs by rank, and how many; 0 of
 * any other. After it: their agents stop what is left of it. */
uint32_t ebb_leases_gang(const struct ebb_daemon *d, const Ebb__Event *e,
                         uint32_t ret[EBB_GANG_MOST]);
void ebb_leases_disband(struct ebb_daemon *d, const Ebb__AttemptEnded *ended, const uint32_t *vms,
                        uint32_t size);
/* From the agent on `vm` to another of its gang; dropped when it is not its rank's. */
void ebb_leases_pass_on(struct ebb_daemon *d, uint32_t vm, Ebb__GangMessage *m);
/* Ends all leases of a VM as lost. */
void ebb_leases_lose(struct ebb_daemon *d, struct ebb_vm *vm, const char *reason);
void ebb_leases_cancel_bag(struct ebb_daemon *d, struct ebb_bag *b, const char *reason,
                           bool release);
void ebb_leases_finish_bags(struct ebb_daemon *d);

/* ---- fleet.c ---- */

void ebb_fleet_plan(struct ebb_daemon *d);
void ebb_fleet_tick(struct ebb_daemon *d, int64_t now_ns);
/* The VM goes: VmLost (when `lost`), its attempts lost, then terminated in the cloud. */
void ebb_fleet_lose(struct ebb_daemon *d, struct ebb_vm *vm, const char *reason);
/* The cloud is ending the VM and its agent is gone: its attempts are lost now, and the cloud says
 * later when it ended. It is terminated only if that takes strangely long. */
void ebb_fleet_vanish(struct ebb_daemon *d, struct ebb_vm *vm, const char *reason);
/* The VM is no longer wanted; with leases and `drain` it is told to hand them back first. Without
 * `drain` one that is on its way out is ended at once. */
void ebb_fleet_end(struct ebb_daemon *d, struct ebb_vm *vm, bool drain, const char *reason);
/* Its agent has said goodbye. After a notice the cloud is left to end the VM: what it takes in the
 * first hour is free. */
void ebb_fleet_left(struct ebb_daemon *d, struct ebb_vm *vm, const char *reason);
/* Until when the cloud should have taken a VM that was given notice; 0: it was given none. */
int64_t ebb_fleet_taken_ns(const struct ebb_vm *vm);
void ebb_fleet_terminate_instance(struct ebb_daemon *d, const char *instance);

/* ---- reconcile.c ---- */

void ebb_reconcile_tick(struct ebb_daemon *d, int64_t now_ns);
/* A look at once, if the last out of turn was not just now. */
void ebb_reconcile_hurry(struct ebb_daemon *d);

/* ---- offers.c ---- */

/* prices.c: the imported price catalogue, into the log. */
void ebb_prices_tick(struct ebb_daemon *d, int64_t now_ns);
void ebb_offers_tick(struct ebb_daemon *d, int64_t now_ns);
Ebb__Offer *ebb_offer_copy(const Ebb__Offer *o); /* ebb__offer__free_unpacked */
/* Logs the points that are news. */
void ebb_offers_observe(struct ebb_daemon *d, Ebb__PricePoint *const *points, size_t count);

void ebb_offers_clean_up(struct ebb_daemon *d);

/* ---- stores.c ---- */

int ebb_stores_init(struct ebb_daemon *d);
void ebb_stores_clean_up(struct ebb_daemon *d);
/* Any thread. The store lives as long as the daemon. */
int ebb_stores_get(struct ebb_daemon *d, const char *url, struct ebb_object_store **ret,
                   struct ebb_error *err);
void ebb_stores_tick(struct ebb_daemon *d, int64_t now_ns);
void ebb_stores_measure_bag(struct ebb_daemon *d, const struct ebb_bag *b);

/* ---- user_data.c ---- */

struct ebb_user_data {
    const char *program_url;
    const char *vm;
    const char *token;
    const char *scheduler; /* address */
    const char *proxy;     /* NULL: none */
    const char *authority_pem;
    bool emulated; /* the machine's own boot time is not the VM's */
    double bill_time_scale;
    double cpus;
    uint64_t memory_bytes;
};
char *ebb_user_data_new(const struct ebb_user_data *u); /* malloc'ed */

/* ---- clients.c ---- */

int ebb_clients_listen(struct ebb_daemon *d, struct ebb_error *err);
void ebb_clients_clean_up(struct ebb_daemon *d);
void ebb_client_ref(struct ebb_client_link *c);
void ebb_client_unref(struct ebb_client_link *c);
void ebb_client_send(struct ebb_client_link *c, const void *data, size_t len);
void ebb_clients_tick(struct ebb_daemon *d, int64_t now_ns); /* waits that are over */
void ebb_clients_after_commit(struct ebb_daemon *d);         /* waits that have news */
bool ebb_clients_present(const struct ebb_daemon *d);
void ebb_client_fail(struct ebb_daemon *d, struct ebb_client_link *c, const struct ebb_error *err);

/* ---- verify.c ---- */

void ebb_verify_start(struct ebb_daemon *d, struct ebb_client_link *c, struct ebb_bag *bag,
                      struct ebb_bag *against);

#endif
