/* The inside of a gang, shared by gang.c (messages), gang_leader.c and gang_member.c. */
#ifndef EBB_AGENT_GANG_STATE_H
#define EBB_AGENT_GANG_STATE_H

#include "agent/attempt_state.h"
#include "agent/gang.h"
#include "base/hash.h"
#include "scheduler/core/gang.h"

/* What the leader knows of a member. */
struct gang_peer {
    Ebb__GangStatus *status; /* the newest; NULL: none came */
    int64_t failed_ns;       /* by our clock; 0: it has not */
    uint64_t sent_version;   /* of the order */
    int64_t sent_ns;
    bool is_leaving; /* and that was acted on */
};

struct ebb_gang {
    bool is_polling, poll_again;
    bool go;     /* the barrier was passed: the next start is for real */
    bool resume; /* ... with this */

    /* leader */
    Ebb__GangOrder order;
    uint8_t manifest_sha256[EBB_SHA256_SIZE];
    char reason[200];
    struct gang_peer peers[EBB_GANG_MOST]; /* by rank; 0 is not used */
    int64_t waiting_since_ns;
    int64_t own_failed_ns;   /* the engine here ended, and not well; 0: no */
    int64_t failing_ns;      /* since some engine did: who was first, and is everybody alive? */
    uint64_t settle_version; /* of the order that all must have seen for that; 0: not asked yet */
    int64_t ending_ns;       /* since all were told to end */
    bool is_collecting;
    struct ebb_state_set pending; /* that is committed when all parts are there */
    int64_t collecting_ns;
    struct ebb_commit_part parts[EBB_GANG_MOST];
    size_t part_count;

    /* member */
    Ebb__GangOrder *wanted; /* the newest; NULL: none came */
    uint32_t round;         /* that was prepared for */
    bool is_ready, is_done;
    bool is_damaged;   /* it failed because its checkpoint is */
    int64_t failed_ns; /* 0: not; verdict and outcome are the attempt's */
    bool is_leaving;
    uint32_t part,
        part_begun; /* number of the newest that was made or refused; that is being made */
    bool part_refused;
    char part_reason[300];
    int64_t part_step;
    struct ebb_generation part_manifest;
    struct ebb_commit_stats part_stats;
    uint64_t told_digest; /* of the last status that was sent, and when */
    int64_t told_ns;
};

/* gang.c */
void gang_send(struct ebb_attempt *a, uint32_t to, Ebb__GangOrder *order, Ebb__GangStatus *status);
/* gang_leader.c */
void gang_leader_take(struct ebb_attempt *a, uint32_t rank, const Ebb__GangStatus *status);
void gang_leader_act(struct ebb_attempt *a);
void gang_leader_tell(struct ebb_attempt *a);
/* gang_parts.c */
void gang_parts_act(struct ebb_attempt *a);    /* rank 0 */
void gang_parts_answer(struct ebb_attempt *a); /* members */
bool gang_leader_holds_start(struct ebb_attempt *a, bool resume);
/* gang_member.c */
void gang_member_take(struct ebb_attempt *a, const Ebb__GangOrder *order);
void gang_member_act(struct ebb_attempt *a);
void gang_member_tell(struct ebb_attempt *a);
bool gang_member_holds_start(struct ebb_attempt *a, bool resume);

#endif
