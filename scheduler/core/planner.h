/* Decisions: what to launch, what to end, which job where, how often to checkpoint. Pure: the
 * state, the offers, the time and one random number come in; the daemon and the simulator act.
 *
 * Lifetimes come from the hazards learned by place and age, and what they mean for jobs from
 * lifetime.h; an offer is worth its expected cost per finished job. */
#ifndef EBB_SCHEDULER_CORE_PLANNER_H
#define EBB_SCHEDULER_CORE_PLANNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "proto/event.pb-c.h"
#include "scheduler/core/gang.h"
#include "scheduler/core/state.h"

struct ebb_time_tables;

#define EBB_MOST_VMS 1000000

struct ebb_policy {
    uint32_t max_vms; /* living at once, at most EBB_MOST_VMS */
    bool use_spot, use_on_demand;
    double spread_factor;  /* another zone is taken while it costs at most so many times the best */
    double boot_factor;    /* a new VM has work for at least so many times its boot */
    double max_zone_share; /* of the living VMs of one bag, where two zones can be had */
    double cool_down_s;    /* after no capacity, by rule: doubles with each refusal in a row ... */
    double cool_down_most_s;  /* ... up to this */
    double cool_down_least_s; /* where recoveries have been learned (cool_down.h) */
    double try_s;             /* a launch refused costs as much as waiting for so long */
    double jitter_s;          /* launches after a bulk revocation are spread over this */
    double idle_s;            /* no VM is ended that has been idle for less (idle.h) */
    double boot_most_s;       /* a VM that has not joined by then is ended */
    double default_job_s;     /* run time of a job that gives none */
    double default_boot_s;    /* until boots have been seen */
    double default_restart_s;
    double default_checkpoint_s;
    double interval_least_s, interval_most_s; /* between checkpoints */
    uint32_t most_refusals;                   /* a VM that refused so many jobs in a row is ended */
    double move_gain;    /* a VM is replaced when that saves this share of what is left to pay */
    double gather_gain;  /* ... and emptied into room that others have when that saves this */
    double budget_share; /* of a budget that is announced when it is spent ... */
    double budget_s;     /* ... or will be within so long */
};
void ebb_policy_default(struct ebb_policy *ret);

/* An offer as the cloud has it now; `usd_micros_per_hour` is the price now. */
struct ebb_plan_input {
    const struct ebb_state *state;
    const Ebb__Offer *const *offers;
    size_t offer_count;
    const struct ebb_policy *policy;
    int64_t now_wall_ns;
    double random; /* uniform in [0, 1): for jitter; new for each call */
    /* Memory for what is dear to reckon (time_price.h): changes no plan. NULL: none. */
    struct ebb_time_tables *tables;
};

struct ebb_plan_launch {
    size_t offer; /* in the input */
    uint32_t count;
    char reason[320]; /* with the numbers, for `ebb explain` */
};
struct ebb_plan_end {
    uint32_t vm;
    bool drain; /* has leases: let it checkpoint and release first */
    char reason[320];
};
/* A budget that will soon be spent. */
struct ebb_plan_budget {
    uint32_t bag;
    int64_t spent_usd_micros;
    double reached_s; /* from now, at the present rate; INFINITY: nothing is being spent */
};
#define EBB_PLAN_AGAIN_S 15.0
struct ebb_plan {
    struct ebb_plan_launch *launches;
    size_t launch_count, launch_capacity;
    struct ebb_plan_end *ends;
    size_t end_count, end_capacity;
    /* Bags whose budget is spent: cancel them, with a checkpoint. */
    uint32_t *over_budget;
    size_t over_budget_count, over_budget_capacity;
    /* Bags that come near their budget and have not been told so: BudgetNear for the log. */
    struct ebb_plan_budget *near_budget;
    size_t near_budget_count, near_budget_capacity;
    /* Plan again at the latest then: a cool-down ends, jitter, idle; EBB_PLAN_AGAIN_S from now when
     * there is no such reason. */
    int64_t again_wall_ns;
    char *notes; /* a line for each thing worth explaining (refused offers, limits) */
};
/* Launches and ends. The same input gives the same plan; the order of offers does not matter
 * beyond the indices. Fills *ret (cleaned up with ebb_plan_clean_up). */
void ebb_plan(const struct ebb_plan_input *in, struct ebb_plan *ret);
void ebb_plan_clean_up(struct ebb_plan *p);

/* Seconds until the bag stops for its budget, at what its VMs cost now; INFINITY: it has none, or
 * nothing is being spent. */
double ebb_budget_left_s(const struct ebb_state *s, const struct ebb_bag *b, int64_t now_wall_ns);

/* One lease to give. The attempt's number is the job's attempts + 1. */
struct ebb_placement {
    uint32_t bag; /* index */
    uint32_t vm;  /* index */
    uint64_t job;
    double checkpoint_interval_s;
    bool resume;   /* a checkpoint is known to exist */
    uint32_t gang; /* VMs of the job, `vm` and its members */
    uint32_t members[EBB_GANG_MOST - 1];
};
/* Ready jobs onto VMs with room, by priority, at most `max`; returns how many. Cheap when nothing
 * fits: call it after every batch of events. Jobs with a resource no VM has left are skipped. */
size_t ebb_place(const struct ebb_state *s, const struct ebb_policy *policy, int64_t now_wall_ns,
                 struct ebb_placement *ret, size_t max);

/* The interval for a job of the group on a VM of this offer that is so old. 0: its profile makes
 * no checkpoints. */
double ebb_plan_interval_s(const struct ebb_state *s, const struct ebb_policy *policy,
                           const struct ebb_group *group, const Ebb__Offer *offer, double age_s,
                           int64_t now_wall_ns);
/* The longest interval that is chosen: the policy's, but no more than a hundredth of the time is
 * spent on checkpoints for its sake. */
double ebb_interval_most_s(const struct ebb_policy *policy, double checkpoint_s);
/* Seconds since its launch. */
double ebb_vm_age_s(const struct ebb_vm *vm, int64_t now_wall_ns);

/* Jobs of this shape that fit on an offer or empty VM at once; 0: too small or the wrong GPU. */
uint32_t ebb_offer_slots(const Ebb__Offer *offer, const Ebb__Resources *r);

/* End of the offer's cool-down (wall ns), 0 when it can be tried now. */
int64_t ebb_plan_cool_until(const struct ebb_state *s, const struct ebb_policy *policy,
                            const Ebb__Offer *offer);

#endif
