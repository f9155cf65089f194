/* One attempt on several VMs: what its agents agree on (docs/architecture.md, Gangs).
 *
 *   rank 0 (leader)                              ranks 1.. (members)
 *   claim, restore -- PREPARE{checkpoint, port} --> restore or stage, set-up
 *        barrier  <------------- READY ------------
 *        start    -- RUN ---------------------->   start
 *   member failed, VM going, checkpoint by signal:
 *        stop     -- STOP --------------------->   stop, make a part where one is wanted
 *        commit   <------------- STOPPED, part ----
 *        end      -- END ---------------------->   end;   then, and only then, rank 0 reports
 *
 * The leader owns the job's head in the store and alone reports to the scheduler, which leases and
 * frees all VMs at once and carries the messages. Each message tells all that its sender wants or
 * is; the newest counts, so what is lost or comes twice changes nothing. Loop's thread. */
#ifndef EBB_AGENT_GANG_H
#define EBB_AGENT_GANG_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/commit.h"
#include "agent/state_files.h"
#include "base/error.h"
#include "proto/wire.pb-c.h"

struct ebb_attempt;
struct ebb_gang;

/* NULL for a job that is alone on its VM. */
struct ebb_gang *ebb_gang_new(struct ebb_attempt *a);
void ebb_gang_destroy(struct ebb_gang *g);

/* A message for this attempt; what comes from no rank of it is ignored. */
void ebb_gang_take(struct ebb_attempt *a, const Ebb__GangMessage *m);
/* Something has changed, or a second has passed: act, and tell what is news. The callee may end the
 * attempt. */
void ebb_gang_poll(struct ebb_attempt *a);

/* ---- hooks of the attempt's life; `a` is of a gang ---- */

/* The leader's files are there: the members may bring theirs. */
void ebb_gang_lead(struct ebb_attempt *a);
/* True: the engine is not to start yet; it is started when all ranks are ready. */
bool ebb_gang_holds_start(struct ebb_attempt *a, bool resume);
/* The engine here is being stopped: those of the other ranks are, too. */
void ebb_gang_on_stop(struct ebb_attempt *a);
/* True: the VM goes, and rank 0 decides what becomes of the attempt (members only). */
bool ebb_gang_on_release(struct ebb_attempt *a, const char *reason);
/* True: the setup's end is the gang's to judge: it was stopped for others, or failed on a member.
 */
bool ebb_gang_on_setup_end(struct ebb_attempt *a);
/* A member's engine has ended; or preparing failed. Rank 0 hears of it and decides. */
void ebb_gang_member_ended(struct ebb_attempt *a, bool done);
void ebb_gang_member_failed(struct ebb_attempt *a, const struct ebb_error *err);

/* What the leader may conclude once nothing runs here. */
enum ebb_gang_verdict {
    EBB_GANG_WAIT,   /* for others; ebb_attempt_judge is called again */
    EBB_GANG_OWN,    /* what has happened here counts */
    EBB_GANG_FAILED, /* a member was first: ebb_gang_end_by_member */
};
enum ebb_gang_verdict ebb_gang_judge(struct ebb_attempt *a, bool done);
/* Every rank has ended its engine well. */
bool ebb_gang_is_done(const struct ebb_attempt *a);
void ebb_gang_end_by_member(struct ebb_attempt *a);

/* ---- checkpoints and outputs of several ranks ---- */

/* Other ranks than 0 have state, or outputs, of their own. `a` may be alone. */
bool ebb_gang_has_parts(const struct ebb_attempt *a, bool outputs);
/* Rank 0: has every rank put its files of this state's step (taken; NULL: its outputs), then
 * commits all as one. Ranks that have passed the step, or not reached it, have it given up. */
void ebb_gang_collect(struct ebb_attempt *a, struct ebb_state_set *state);
bool ebb_gang_is_collecting(const struct ebb_attempt *a);
/* Those of the commit that is being made; the gang's until the next. */
const struct ebb_commit_part *ebb_gang_parts(const struct ebb_attempt *a, bool outputs,
                                             size_t *ret_count);
int64_t ebb_gang_collecting_ns(const struct ebb_attempt *a); /* since when they were wanted */
void ebb_gang_add_bytes(const struct ebb_attempt *a, uint64_t *raw_bytes, uint64_t *sent_bytes);
void ebb_gang_part_made(struct ebb_attempt *a, const struct ebb_commit_work *w); /* members */

/* The attempt ends: the others do, too. */
void ebb_gang_on_end(struct ebb_attempt *a, const char *reason);
/* Nothing runs on any VM of the gang any more, or it was waited for long enough. */
bool ebb_gang_is_over(const struct ebb_attempt *a);

#endif
