/* Whether a job may go on running here: lease and fence, decided from times alone.
 *
 *   heard by the scheduler within lease_ttl - margin      work
 *   silent, but the store says the head is still ours     work (the scheduler may just be dead)
 *   silent, and the store says somebody else's            kill the job at once
 *   silent, and the store silent too                      pause the engine until one of them
 * answers both silent for orphan_timeout                        leave: commit what is possible, end
 * the VM
 *
 * What really shuts out a zombie is the successor's claim of a higher epoch; this keeps two VMs
 * from paying for the same work. "Heard" is when a heartbeat was sent that the scheduler
 * acknowledged, not when the answer came, so that a stale answer in a socket buffer proves nothing.
 */
#ifndef EBB_AGENT_FENCE_H
#define EBB_AGENT_FENCE_H

#include <stdbool.h>
#include <stdint.h>

struct ebb_lease_terms {
    int64_t ttl_ns;
    int64_t orphan_timeout_ns;
};

enum ebb_fence_action {
    EBB_FENCE_WORK,
    EBB_FENCE_ASK,   /* work on, and ask the store every EBB_FENCE_ASK_NS */
    EBB_FENCE_PAUSE, /* stop the engine, keep asking */
    EBB_FENCE_KILL,
    EBB_FENCE_LEAVE,
};

#define EBB_FENCE_ASK_NS      INT64_C(2000000000)
#define EBB_FENCE_PATIENCE_NS INT64_C(6000000000) /* since the store's last answer, then pause */

struct ebb_fence_facts {
    int64_t now_ns;
    int64_t heard_ns; /* the scheduler last heard us */
    int64_t owned_ns; /* a question to the store was asked to which it said "yours" */
    bool fenced;      /* it said "not yours" */
};

enum ebb_fence_action ebb_fence_decide(const struct ebb_lease_terms *terms,
                                       const struct ebb_fence_facts *facts);

#endif
