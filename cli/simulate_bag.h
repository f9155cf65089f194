/* `ebb simulate BAG.yaml`: the options of this way, set by the table in simulate.c. */
#ifndef EBB_CLI_SIMULATE_BAG_H
#define EBB_CLI_SIMULATE_BAG_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/simulated_jobs.h"

struct ebb_simulate_bag_options {
    int64_t seed;
    bool as_json;
    const char *fleet;
    const char *events;
    const char *timings; /* "emulated", "cloud" */
    struct ebb_simulated_jobs jobs;
    int64_t runs;
    bool with_jobs;
};

/* A process exit status. */
int ebb_simulate_bag(const struct ebb_simulate_bag_options *o, const char *bag_path);

#endif
