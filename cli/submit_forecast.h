/* What a submission may expect: the runs of `ebb plan`, as many as a second allows. */
#ifndef EBB_CLI_SUBMIT_FORECAST_H
#define EBB_CLI_SUBMIT_FORECAST_H

#include <jansson.h>

#include "base/buffer.h"
#include "proto/wire.pb-c.h"

struct ebb_submit_forecast {
    uint32_t runs;                 /* 0: there is none */
    double usd, usd_low, usd_high; /* expected; nine of ten cases */
    double finish_s, finish_low_s, finish_high_s;
    double in_time; /* share of the runs that keep the deadline; 1 without one */
};

/* Simulates the bag on the offers of the scheduler's plan with what it has learned of hazards
 * (`hazards` may be NULL). Best effort: what fails leaves no forecast. */
void ebb_submit_forecast_make(const Ebb__BagSpec *spec, const Ebb__PlanAnswer *plan, bool emulated,
                              const Ebb__HazardsAnswer *hazards, struct ebb_submit_forecast *ret);
/* What is known of boots: the mean of those seen, else what an emulated cloud takes; 0: nothing. */
double ebb_forecast_boot_s(const Ebb__HazardsAnswer *seen, bool emulated);
/* The expected cost and finish become those of the runs, as they foretell better than the sum that
 * the scheduler's plan makes. */
void ebb_submit_forecast_correct(const struct ebb_submit_forecast *f, Ebb__Estimate *estimate);
/* A line or two for people; what would hold, where deadline or budget may not. */
void ebb_submit_forecast_view(const struct ebb_submit_forecast *f, const Ebb__BagSpec *spec,
                              struct ebb_buffer *out);
json_t *ebb_submit_forecast_json(const struct ebb_submit_forecast *f);

#endif
