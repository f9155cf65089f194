/* A forecast as text, JSON and a picture. */
#ifndef EBB_CLI_PLAN_VIEW_H
#define EBB_CLI_PLAN_VIEW_H

#include <jansson.h>

#include "base/buffer.h"
#include "simulator/montecarlo.h"

struct ebb_plan_view {
    const Ebb__BagSpec *spec;
    const struct ebb_forecast *forecast;
    const char *source;  /* "the fleet file", ... where the offers are from */
    size_t offers;       /* how many */
    double deadline_s;   /* 0: none */
    double hazard_hours; /* VM-hours that the hazards were learned from */
    double time_error, job_spread;
    uint64_t seed;
};

void ebb_plan_text(const struct ebb_plan_view *v, unsigned width, struct ebb_buffer *out);
json_t *ebb_plan_json(const struct ebb_plan_view *v);
void ebb_plan_svg(const struct ebb_plan_view *v, struct ebb_buffer *out);

#endif
