/* A bag with the shape of another and fewer jobs, for plans of very large bags.
 *
 *   wide: so many jobs side by side are one, on as many fewer VMs; its cost counts as often
 *   long: so many jobs one after another are one, as long as they together
 *
 * Both keep the clock, so ages of VMs, outages and checkpoints are as they would be. Jobs that make
 * no checkpoints are not made longer: what a revocation costs them would grow. */
#ifndef EBB_SIMULATOR_SMALLER_BAG_H
#define EBB_SIMULATOR_SMALLER_BAG_H

#include "simulator/run.h"

struct ebb_smaller_bag {
    Ebb__BagSpec *spec;            /* names and commands are made up */
    const Ebb__Profile **profiles; /* by group; of `spec`, or NULL */
    double wide, is_long;          /* both at least 1; their product is jobs of the bag a job */
};

void ebb_smaller_bag_make(const Ebb__BagSpec *of, const struct ebb_policy *policy,
                          struct ebb_smaller_bag *ret);
/* The policy's limits and the times of a job, for the smaller bag. */
void ebb_smaller_bag_adapt(const struct ebb_smaller_bag *b, struct ebb_simulation_options *o);
/* Room of pools. */
void ebb_smaller_bag_adapt_fleet(const struct ebb_smaller_bag *b, struct ebb_fleet *f);
void ebb_smaller_bag_clean_up(struct ebb_smaller_bag *b);

#endif
