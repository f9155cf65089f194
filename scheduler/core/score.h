/* What an offer is worth for jobs of one shape: the number that placement and estimates stand on.
 */
#ifndef EBB_SCHEDULER_CORE_SCORE_H
#define EBB_SCHEDULER_CORE_SCORE_H

#include "scheduler/core/lifetime.h"
#include "scheduler/core/planner.h"

#define EBB_DEMAND_SAMPLE 64 /* ready jobs that stand for the rest */

/* Jobs of one group that want VMs. */
struct ebb_demand {
    const Ebb__Resources *resources;
    const char *engine;
    double jobs;
    double work_s;       /* useful seconds left, a job on average */
    double longest_s;    /* ... of the longest */
    double full_s;       /* ... of a job from its start */
    bool known;          /* full_s was given or has been seen: it is no mere default */
    double boot_s;       /* of a new VM */
    double setup_s;      /* staging, restore, setup of an attempt */
    double checkpoint_s; /* cost of one */
    double interval_s;   /* given by the user; 0: chosen here */
    bool checkpoints;
    uint32_t gang;           /* VMs of each job, all lost with one of them; 0 is 1 */
    double usd_micros_per_s; /* what a second sooner is worth, a job: the deadline's shadow price */
};

struct ebb_score {
    bool is_capped;         /* its VMs end before a job would be done; slots is 0 */
    uint32_t slots;         /* jobs at once (of a gang: 1, its part); 0: it cannot run them */
    double vms;             /* that all the jobs keep busy */
    double speed;           /* of its type, for this engine; 1: as those that have run */
    double hazard_per_hour; /* mean over the time that the jobs take */
    double interval_s;
    double wall_s; /* expected, of a job on it, revocations included */
    double usd_micros_per_job;
    double usd_micros_per_useful_hour;
    double rank; /* usd_micros_per_job, and what its time is worth */
};

/* Expected cost of a finished job: price * expected VM time for a useful second * useful seconds /
 * jobs at once (ebb_outlook_worth). Boot, set-up, checkpoints, lost work and the age of the VM
 * while it runs one job after another are in it. */
void ebb_score_offer(const struct ebb_plan_input *in, const struct ebb_demand *d,
                     const Ebb__Offer *offer, struct ebb_score *ret);

/* `rank` again, for another price of time in the demand. */
void ebb_score_rank(const struct ebb_demand *d, struct ebb_score *score);

/* A group's demand from its specification alone, or with what its jobs have shown. */
void ebb_demand_of_spec(const struct ebb_plan_input *in, const Ebb__JobGroup *spec,
                        const Ebb__Profile *profile, struct ebb_demand *ret);
void ebb_demand_of_group(const struct ebb_plan_input *in, const struct ebb_group *g,
                         struct ebb_demand *ret);
/* Useful seconds left of a job, from its newest commit on, by its own pace as far as it has shown
 * one. */
double ebb_demand_job_s(const struct ebb_demand *d, const struct ebb_job *j);
/* One job of the demand on a new VM whose type is so fast. */
void ebb_demand_terms(const struct ebb_plan_input *in, const struct ebb_demand *d, double speed,
                      struct ebb_run_terms *ret);
/* VMs worth running at once for so many jobs in `slots` a VM. */
double ebb_demand_vms(const struct ebb_plan_input *in, const struct ebb_demand *d, double jobs,
                      uint32_t slots);

/* Total order of offers that does not depend on their place in the list. */
int ebb_offer_compare(const Ebb__Offer *a, const Ebb__Offer *b);

#endif
