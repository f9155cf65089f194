/* A plan under way, for the files that make it up: planner.c (launches), enlarge.c (larger VMs for
 * a deadline), keep.c (ends and moves), budget.c. */
#ifndef EBB_SCHEDULER_CORE_PLANNING_H
#define EBB_SCHEDULER_CORE_PLANNING_H

#include "base/buffer.h"
#include "scheduler/core/deadline.h"
#include "scheduler/core/fold.h"
#include "scheduler/core/planner.h"
#include "scheduler/core/score.h"
#include "scheduler/core/time_price.h"

/* Room on a VM that lives or is about to be launched. */
struct room {
    uint32_t vm; /* EBB_NONE: of this plan */
    const Ebb__Offer *offer;
    int64_t millicpus, memory_bytes, gpus;
    bool used;    /* has jobs, or is meant for some */
    bool emptied; /* this plan takes its jobs away */
    bool rescued; /* its jobs have room on demand, now or when that has booted */
};

struct candidate {
    size_t offer;
    struct ebb_score score;
    uint32_t most; /* launches of it that this plan may add */
};

struct planning {
    const struct ebb_plan_input *in;
    struct ebb_plan *ret;
    struct room *rooms;
    size_t room_count, room_capacity;
    struct candidate *candidates;
    size_t candidate_count;
    struct ebb_score *scores; /* by offer, of the demand looked at last */
    struct ebb_time_tables *tables;
    struct ebb_time_price *prices; /* of time, by active group ... */
    bool *priced;                  /* ... where it is known */
    uint32_t vms;                  /* living, and launched by this plan */
    uint32_t dying;                /* noticed or lost */
    uint32_t draining;             /* being ended, with jobs to hand back */
    bool *stopped;                 /* by bag: its budget is gone */
    bool *must;                    /* by active group: only on-demand is safe for it */
    bool backlog;                  /* some ready job found no room */
    struct ebb_buffer notes;
};

/* A line for `ebb explain`. */
void ebb_planning_note(struct planning *w, const char *text);
/* Plan again then, at the latest. */
void ebb_planning_again(struct planning *w, int64_t wall_ns);
/* Offers that can run the demand now, the cheapest first, into w->candidates. */
void ebb_planning_find(struct planning *w, const struct ebb_demand *d, bool must_on_demand);
/* ... on demand also where it costs more than to wait for spot. */
void ebb_planning_find_any(struct planning *w, const struct ebb_demand *d, bool must_on_demand);
/* What time is worth to the group; its offers have been scored for the demand. */
const struct ebb_time_price *ebb_planning_price(struct planning *w, const struct ebb_group *g);
/* One more VM of the candidate, with its room. */
struct room *ebb_planning_launch(struct planning *w, const struct candidate *c, const char *reason);
/* Ends the VM; `drain`: its jobs are handed back first. */
void ebb_planning_end(struct planning *w, const struct ebb_vm *vm, bool drain, const char *reason);
/* Jobs of the group that wait for a VM, or will in a moment as theirs is taken. */
uint64_t ebb_planning_waiting(const struct planning *w, const struct ebb_group *g);
/* Its place among the active groups. */
size_t ebb_planning_group(const struct planning *w, const struct ebb_group *g);
/* Jobs of this need that the room still takes, at most `jobs`. */
uint64_t ebb_room_take(struct room *room, const struct ebb_need *need, const Ebb__Resources *r,
                       uint64_t jobs);

/* The room's VM has not too near a cap for the group's jobs (cap.h). */
bool ebb_planning_lets_in(const struct planning *w, const struct room *room,
                          const struct ebb_group *g);

/* gang.c: jobs of several VMs into rooms that are alike; returns those that find none. */
uint64_t ebb_gang_fill(struct planning *w, const struct ebb_group *g, uint64_t jobs, bool must);
/* Launches what is missing for so many, by the candidates; all or none for each. */
void ebb_gang_launch(struct planning *w, const struct ebb_group *g, uint64_t jobs, bool must);

/* Of a gang that loses VMs the others are about to be free: as room they count now. */
void ebb_gang_free_leaving(struct planning *w);
/* The lease stands for its job among those that lose their VM: of a gang one does, however many go.
 */
bool ebb_gang_leaves_here(const struct planning *w, const struct ebb_lease *lease);

/* enlarge.c: the limit is full, and larger VMs in some places would keep a deadline.
 * `deadlines`: of the active groups. */
void ebb_enlarge_plan(struct planning *w, const struct ebb_deadline *deadlines);

/* keep.c: jobs that are safe on demand alone, from spot VMs into room on demand. */
void ebb_keep_rescue(struct planning *w);
/* Which VMs are ended, and which are emptied for others. */
void ebb_keep_plan(struct planning *w);
/* budget.c: bags that stop, and those that are told that they soon will. */
void ebb_budget_plan(struct planning *w);

#endif
