/* Lifetimes of VMs: an exponential lifetime (constant hazard) for each offer, learned from
 * exposure and revocations, with right-censoring, and pooled upwards where little is known.
 *
 * With n revocations in T VM-hours the likelihood of a constant hazard h is h^n e^(-hT), whatever
 * ended the other VMs (a VM that we ended adds its hours and no revocation). A Gamma(a, b) prior
 * gives Gamma(a + n, b + T), mean (a + n) / (b + T). The prior's mean at each level is the
 * posterior mean of the level above (offer <- zone <- all <- the built-in prior), its weight one
 * pseudo-revocation: a = 1, b = 1 / mean above. */
#ifndef EBB_SCHEDULER_CORE_LIFETIME_H
#define EBB_SCHEDULER_CORE_LIFETIME_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/event.pb-c.h"

struct ebb_exposure {
    double hours;       /* VM-hours of VMs that have ended */
    double revocations; /* by the cloud */
    uint64_t live;      /* VMs that run now, and the sum of their launch times */
    int64_t live_since_ms;
};

struct ebb_state;

/* Posterior mean over prior mean and exposure: (weight + n) / (weight / prior + T). */
double ebb_hazard_pool(double prior_per_hour, double weight, const struct ebb_exposure *x,
                       int64_t now_wall_ns);

/* Hazard of an offer, per hour, at `now`: the exposure of live VMs counts too, and a revocation of
 * the same zone and type within the last five minutes multiplies it by up to 6 (bulk revocations).
 * 0 for on-demand. The built-in prior is 0.1 per billed hour. */
double ebb_state_hazard(const struct ebb_state *s, const Ebb__Offer *offer, int64_t now_wall_ns);

/* Expected wall seconds to do `work_s` of useful seconds with hazard per hour `h`, when every
 * revocation costs `restart_s` plus the work since the last commit. The work is cut into equal
 * parts of at most `interval_s` (0: one part); each but the last ends with a commit of
 * `checkpoint_s`. Daly (2006) eq. 20 for each part: e^(R/M) M (e^((tau + delta)/M) - 1). */
double ebb_expected_wall_s(double work_s, double h_per_hour, double restart_s, double interval_s,
                           double checkpoint_s);

/* Seconds between checkpoints, from cost and hazard: Daly (2006) eq. 37 (higher order Young),
 * at least `least_s`, at most `most_s`. */
double ebb_checkpoint_interval_s(double checkpoint_s, double h_per_hour, double least_s,
                                 double most_s);

#endif
