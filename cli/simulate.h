/* The two ways of `ebb simulate`: a bag on a fleet, and one job on availability traces. */
#ifndef EBB_CLI_SIMULATE_H
#define EBB_CLI_SIMULATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/options.h"

struct ebb_simulate_options {
    struct ebb_option_texts availability;
    struct ebb_option_texts history;
    const char *mode;
    double work_s;
    double deadline_s;
    double restart_s;
    double probe_s;
    const char *probe_cost;
    double checkpoint_s;
    const char *spot_price;
    const char *on_demand_price;
    const char *policy;
    int64_t starts;
    int64_t seed;
    const char *plot;
    bool json;
};

int ebb_simulate_trace(const struct ebb_simulate_options *o, struct ebb_error *err);

#endif
