/* Simulated agents: what agent/ does with its leases, as far as times go.
 *
 *   grant -> staging or restore, setup -> started -> runs ---------------------> outputs -> done
 *                                           |  every interval: a checkpoint, written beside the run
 *                                           +- notice, drain: stop, last checkpoint -> released
 *   the VM dies: nothing is told; what was not committed is lost
 *
 * Each report is an event, given to the actor as the daemon's handlers give it: only while the
 * attempt holds its lease. */
#ifndef EBB_SIMULATOR_AGENTS_H
#define EBB_SIMULATOR_AGENTS_H

#include "base/random.h"
#include "scheduler/core/acts.h"
#include "simulator/agenda.h"

/* Times of a job's parts. The run time is the group's `resources.time`. */
struct ebb_job_times {
    double run_s;   /* of a job whose group gives no time */
    double spread;  /* of run times within a group: standard deviation over mean (log-normal) */
    double factor;  /* all run times times this; 0: 1 */
    double start_s; /* claim and staging, or claim and restore */
    double setup_s; /* where the group has a set-up */
    double write_s; /* making and sending a checkpoint */
    double end_s;   /* outputs committed */
    double poll_s;  /* between two looks for a notice */
    /* Checkpoints are told at most so often, at least one of each that is asked for: for speed,
     * where nobody reads the events. Those between are made all the same, and a job goes on from
     * the newest. 0: each is told. */
    double report_s;
};
void ebb_job_times_default(struct ebb_job_times *ret);

struct ebb_agents_handlers {
    void *ctx;
    void (*goodbye)(void *ctx, uint32_t vm, const char *reason);
    /* After a commit: seconds to the next one; NULL: it stays as it was given. */
    double (*interval_s)(void *ctx, uint32_t bag, uint64_t job, uint32_t vm);
};

struct ebb_agents;
struct ebb_agents *ebb_agents_new(struct ebb_agenda *agenda, const struct ebb_actor *actor,
                                  const struct ebb_job_times *times, uint64_t seed,
                                  const struct ebb_agents_handlers *handlers);
void ebb_agents_destroy(struct ebb_agents *g);

/* `vm` is an index of the state. */
void ebb_agents_join(struct ebb_agents *g, uint32_t vm);
/* The VM is gone, and all that ran there. */
void ebb_agents_kill(struct ebb_agents *g, uint32_t vm);
bool ebb_agents_is_up(const struct ebb_agents *g, uint32_t vm);
/* It reaches nobody, or does again: its reports wait. */
void ebb_agents_cut(struct ebb_agents *g, uint32_t vm, bool is_cut);
/* A placement that is in the log. */
void ebb_agents_grant(struct ebb_agents *g, const struct ebb_placement *p, uint32_t attempt);
/* Hands everything back and says goodbye; deadline 0: no hurry. */
void ebb_agents_leave(struct ebb_agents *g, uint32_t vm, int64_t deadline_ns, const char *reason);
void ebb_agents_release(struct ebb_agents *g, uint32_t vm, uint32_t bag, uint64_t job);
/* Checkpoints now: the cloud may take the VM. */
void ebb_agents_hurry(struct ebb_agents *g, uint32_t vm);

/* Requests to the object store since the last call, of all agents. */
struct ebb_agent_requests {
    uint64_t puts, gets;
};
struct ebb_agent_requests ebb_agents_take_requests(struct ebb_agents *g);
/* Intervals that placements gave: sum and number. */
void ebb_agents_intervals(const struct ebb_agents *g, double *ret_sum_s, uint64_t *ret_count);

#endif
