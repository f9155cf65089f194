/* The lease rule as a pure function; the agent feeds it the clock. */
#include "agent/fence.h"

/* A VM whose scheduler is gone for good but whose store answers works on, yet not for ever: a job
 * that hangs must not keep a forgotten VM alive. */
#define ABANDONED_FACTOR 10

/* A fifth of the lease, one to five seconds: covers a heartbeat under way and a coarse tick. */
static int64_t margin_ns(int64_t ttl_ns)
{
    int64_t margin = ttl_ns / 5;
    if (margin < INT64_C(1000000000))
        return INT64_C(1000000000);
    return margin > INT64_C(5000000000) ? INT64_C(5000000000) : margin;
}

enum ebb_fence_action ebb_fence_decide(const struct ebb_lease_terms *terms,
                                       const struct ebb_fence_facts *facts)
{
    if (facts->fenced)
        return EBB_FENCE_KILL;
    int64_t silent_ns = facts->now_ns - facts->heard_ns;
    if (silent_ns < terms->ttl_ns - margin_ns(terms->ttl_ns))
        return EBB_FENCE_WORK;
    int64_t unanswered_ns = facts->now_ns - facts->owned_ns;
    if (silent_ns >= terms->orphan_timeout_ns &&
        (unanswered_ns >= terms->orphan_timeout_ns ||
         silent_ns / ABANDONED_FACTOR >= terms->orphan_timeout_ns))
        return EBB_FENCE_LEAVE;
    /* The store is first asked when the silence is noticed, and has three quarters of the margin to
     * answer: the engine stands still before the lease can be given away. Later it has longer. */
    int64_t noticed_ns = facts->heard_ns + terms->ttl_ns - margin_ns(terms->ttl_ns);
    if (facts->owned_ns < noticed_ns)
        return facts->now_ns - noticed_ns < margin_ns(terms->ttl_ns) / 4 * 3 ? EBB_FENCE_ASK
                                                                             : EBB_FENCE_PAUSE;
    return unanswered_ns < EBB_FENCE_PATIENCE_NS ? EBB_FENCE_ASK : EBB_FENCE_PAUSE;
}
