/* One attempt of a job on this VM, from lease to end, in a directory of its own.
 *
 *   PREPARING -> SETUP -> RUNNING <-> STOPPING -> STOPPED -> COMMITTING -> ENDING -> ENDED
 *   (claim,      (fresh    |  ^        signal,     (judge)   checkpoint    last
 *    restore or   start    |  |        grace,        |       or outputs    logs
 *    stage)       only)    |  |        SIGKILL       |          |
 *                          |  +--------- resume -----+----------+
 *                          +-- ends by itself --> STOPPED
 *
 * A job on several VMs is such an attempt on each (gang.h): before PREPARING (ranks above 0) and
 * before RUNNING it is WAITING for the others, and STOPPED until rank 0 has concluded.
 *
 * A checkpoint of an engine that writes its state by itself is committed while it runs. Runs on the
 * loop's thread; what blocks is done by workers. It knows no scheduler: the host is told what
 * happens, and asks for release, cancel, fence. */
#ifndef EBB_AGENT_ATTEMPT_H
#define EBB_AGENT_ATTEMPT_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/fence.h"
#include "agent/task.h"
#include "base/loop.h"
#include "base/process.h"
#include "base/workers.h"
#include "cloud/object_store.h"
#include "proto/wire.pb-c.h"

struct ebb_attempt;

struct ebb_attempt_host {
    struct ebb_loop *loop;
    struct ebb_workers *workers;     /* store, lineage, staging */
    struct ebb_workers *log_workers; /* log segments: not to stand behind a large commit */
    struct ebb_reaper *reaper;
    void *ctx;
    /* Messages are borrowed. After ended the host calls ebb_attempt_destroy, not from within it. */
    void (*started)(void *ctx, struct ebb_attempt *a, const Ebb__AttemptStarted *m);
    void (*committed)(void *ctx, struct ebb_attempt *a, const Ebb__CheckpointCommitted *m);
    void (*ended)(void *ctx, struct ebb_attempt *a, const Ebb__AttemptEnded *m);
    /* To another rank of its gang; may be lost. NULL: there are no gangs. */
    void (*gang)(void *ctx, struct ebb_attempt *a, const Ebb__GangMessage *m);
};

/* Takes the task. Begins at once. */
struct ebb_attempt *ebb_attempt_new(const struct ebb_attempt_host *host, struct ebb_task *task);
/* Only after ended, or when loop and workers have stopped. Leaves the directory. */
void ebb_attempt_destroy(struct ebb_attempt *a);

const struct ebb_task *ebb_attempt_task(const struct ebb_attempt *a);
bool ebb_attempt_has_ended(const struct ebb_attempt *a);
/* Its processes have been killed: what they held of the VM is free. */
bool ebb_attempt_is_dying(const struct ebb_attempt *a);
/* Fills a status message; texts are static or owned by the attempt. */
void ebb_attempt_state(const struct ebb_attempt *a, Ebb__AttemptState *ret);
/* Requests made to the store by this attempt so far; callable at any time. */
void ebb_attempt_requests(const struct ebb_attempt *a, struct ebb_object_store_counts *ret);

/* About once a second: progress, logs, checkpoints that are due. */
void ebb_attempt_tick(struct ebb_attempt *a, int64_t now_ns);
/* Lease and fence; `heard_ns` is when the scheduler last heard this agent. Acts on the decision and
 * returns it: LEAVE is the host's to act on. */
enum ebb_fence_action ebb_attempt_fence(struct ebb_attempt *a, const struct ebb_lease_terms *terms,
                                        int64_t heard_ns, int64_t now_ns);
/* Checkpoint and hand back, before `deadline_ns` (monotonic; 0: no hurry). */
void ebb_attempt_release(struct ebb_attempt *a, int64_t deadline_ns, const char *reason);
/* Another time between checkpoints, from the last one on. */
void ebb_attempt_set_interval(struct ebb_attempt *a, double interval_s);
/* Kill and forget. */
void ebb_attempt_cancel(struct ebb_attempt *a, const char *reason);
/* The VM ends now: kills the engine and has store calls give up, without a report. */
void ebb_attempt_abandon(struct ebb_attempt *a);
/* From another rank of its gang. */
void ebb_attempt_gang(struct ebb_attempt *a, const Ebb__GangMessage *m);
/* Commit as soon as there is something new. */
void ebb_attempt_hurry(struct ebb_attempt *a);

#endif
