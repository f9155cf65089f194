/* What many runs came to: costs, finish times, and their spread. */
#ifndef EBB_SIMULATOR_OUTCOMES_H
#define EBB_SIMULATOR_OUTCOMES_H

#include "simulator/run.h"

/* One run of one bag. */
struct ebb_outcome {
    double usd;      /* VMs, requests and storage */
    double finish_s; /* from submission; when it did not finish: what was simulated */
    double useful_s, lost_s, vm_s;
    uint64_t revocations, vms;
    bool is_done; /* every job is done */
};
/* Of a run's only bag. */
void ebb_outcome_of(const struct ebb_simulation *s, struct ebb_outcome *ret);

/* Sample mean and standard deviation, and quantiles: one more value of the same kind falls between
 * p5 and p95 with probability 0.9 (from 19 values on). */
struct ebb_spread {
    double mean, sd, p5, p50, p95;
};
void ebb_spread_of(double *values, size_t count, struct ebb_spread *ret); /* sorts `values` */

struct ebb_outcome_summary {
    struct ebb_spread usd, finish_s, revocations;
    double done; /* share of runs in which every job was done */
    size_t runs;
};
void ebb_outcomes_summarise(const struct ebb_outcome *o, size_t count,
                            struct ebb_outcome_summary *ret);

#endif
