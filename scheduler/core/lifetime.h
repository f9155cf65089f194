/* What a VM of an offer may expect of its life, and what a job on it may expect of that.
 *
 * Hazards come from hazards.h by age. A job that makes checkpoints cuts its work into pieces
 * whose length follows the hazard at the VM's age; a revocation costs the piece under way, unless
 * a notice leaves time for a last checkpoint, and the set-up of the next attempt. */
#ifndef EBB_SCHEDULER_CORE_LIFETIME_H
#define EBB_SCHEDULER_CORE_LIFETIME_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/event.pb-c.h"
#include "scheduler/core/hazards.h"

struct ebb_state;

/* Times in seconds of the clock, rates per hour of it. All zero: nothing ever takes it. */
struct ebb_outlook {
    double per_hour[EBB_AGE_BINS]; /* by age, without what follows */
    double time_scale;             /* ages of the bins over ages of the clock; 0 stands for 1 */
    double bulk;                   /* excess factor now, falling linearly to 0 ... */
    double bulk_s;                 /* ... so long from now on */
    double cap_s;                  /* it ends at this age at the latest; 0: it does not */
};

/* On-demand VMs are never taken. */
void ebb_state_outlook(const struct ebb_state *s, const Ebb__Offer *offer, int64_t now_wall_ns,
                       struct ebb_outlook *ret);
/* Of a VM that is so old now. */
double ebb_outlook_per_hour(const struct ebb_outlook *o, double age_s);
/* Expected revocations from now, at `age_s`, for so long. */
double ebb_outlook_cumulative(const struct ebb_outlook *o, double age_s, double for_s);
/* The probability that it lives for so long from now; 0 past its cap. */
double ebb_outlook_survival(const struct ebb_outlook *o, double age_s, double for_s);
/* Both in one: the hazard of an offer's VM at that age, now. */
double ebb_state_hazard(const struct ebb_state *s, const Ebb__Offer *offer, double age_s,
                        int64_t now_wall_ns);
/* The share of revocations that come without a notice long enough for a checkpoint of
 * `checkpoint_s`: by count, from a prior of one of two. */
double ebb_state_silent_share(const struct ebb_state *s, double checkpoint_s);

/* Jobs one after another on one slot of a VM. */
struct ebb_run_terms {
    double age_s;           /* of the VM now; 0: a new one */
    double lead_s;          /* paid before anything can start: the boot */
    double jobs;            /* in a row */
    double work_s;          /* useful, each, on this type of VM */
    double setup_s;         /* staging, restore, setup of each attempt */
    double checkpoint_s;    /* each */
    double interval_s;      /* given; 0: chosen here */
    double least_s, most_s; /* bounds of what is chosen */
    double silent;          /* share of revocations without a usable notice */
    bool checkpoints;       /* no: a revocation costs the whole job */
};

struct ebb_run_worth {
    double vm_s;       /* expected seconds of the VM, to the end of the jobs or its own */
    double useful_s;   /* expected useful seconds of the slot in them */
    double ratio;      /* vm_s / useful_s: what a useful second takes; at most 1e6 */
    double survival;   /* probability that it lives to the end of the jobs */
    double interval_s; /* between checkpoints, at the start; 0: none */
};

/* Renewal reward: with L the VM's life and T the time that the jobs take, vm_s = E[min(L, T)] and
 * useful_s the integral of S(t) times the share of time at that age that ends up in results. In a
 * stretch of constant hazard h that share is, for pieces of tau with a checkpoint of delta,
 * tau / (tau + delta) * y / (e^y - 1), y = silent h (tau + delta): of a renewal process with
 * exponential lives (Daly 2006, the mean of his eq. 20). Whoever loses the VM goes on elsewhere at
 * a like price, so that price * ratio is what a useful second costs. */
void ebb_outlook_worth(const struct ebb_outlook *o, const struct ebb_run_terms *t,
                       struct ebb_run_worth *ret);

/* Seconds between checkpoints, from cost and hazard: Daly (2006) eq. 37 (higher order Young),
 * at least `least_s`, at most `most_s`. */
double ebb_checkpoint_interval_s(double checkpoint_s, double h_per_hour, double least_s,
                                 double most_s);

#endif
