/* The sums behind hazards.h, for the two files that make it up. */
#ifndef EBB_SCHEDULER_CORE_HAZARDS_CELL_H
#define EBB_SCHEDULER_CORE_HAZARDS_CELL_H

#include "base/map.h"
#include "scheduler/core/hazards.h"

struct ebb_hazard_sums {
    double exposure_hours[EBB_AGE_BINS]; /* billed hours times the place's prior over 0.1 */
    double events[EBB_AGE_BINS];
};

struct ebb_hazard_cell {
    enum ebb_rate rate;
    char *provider, *region, *zone, *type;
    int64_t wall_ns; /* the sums are discounted to this time */
    struct ebb_hazard_sums sums, since_rise, since_fall;
    double rise, fall; /* CUSUM */
    double block_expected, block_events;
    int64_t revoked_wall_ns; /* 0: none */
    double prior_per_hour;   /* 0: not set */
    uint32_t resets;
};

struct ebb_hazards {
    double half_life_s, time_scale;
    double (*prior_source)(const struct ebb_place *p);
    struct ebb_map *cells; /* key -> struct ebb_hazard_cell, owned */
};

/* The cell of a place exactly; made when absent, or NULL. */
struct ebb_hazard_cell *ebb_hazards_make_cell(struct ebb_hazards *h, enum ebb_rate r,
                                              const struct ebb_place *p);
const struct ebb_hazard_cell *ebb_hazards_cell(const struct ebb_hazards *h, enum ebb_rate r,
                                               const struct ebb_place *p);
/* What an hour at the place counts for: its prior over the built-in one. */
double ebb_hazards_weight(const struct ebb_hazards *h, enum ebb_rate r, const struct ebb_place *p);
/* Brings the sums to a later time. */
void ebb_hazards_discount(const struct ebb_hazards *h, struct ebb_hazard_cell *c, int64_t wall_ns);

#endif
