/* The sums behind hazards.h, for the two files that make it up. */
#ifndef EBB_SCHEDULER_CORE_HAZARDS_CELL_H
#define EBB_SCHEDULER_CORE_HAZARDS_CELL_H

#include "base/map.h"
#include "scheduler/core/hazards.h"

#define EBB_HAZARD_DEFAULT_PER_HOUR 0.1 /* over the first day, where no band is known */

struct ebb_hazard_sums {
    double exposure_hours[EBB_AGE_BINS]; /* billed hours times the place's prior over 0.1 */
    double events[EBB_AGE_BINS];
};

#define EBB_HAZARD_BLOCKS  32
#define EBB_HAZARD_BLOCK_S (12 * 3600.0) /* billed */

/* The last half days of one place. */
struct ebb_hazard_blocks {
    int64_t newest; /* half days since 1970; block b stands at b % EBB_HAZARD_BLOCKS */
    double seen[EBB_HAZARD_BLOCKS], hours[EBB_HAZARD_BLOCKS];
};

/* Lives of a place one after another: each as sqrt(12) (u - 1/2), u the probability of a shorter
 * one, so of mean 0 and variance 1; sums of products with the one before and the one before that.
 */
struct ebb_hazard_serial {
    double last, before;
    uint32_t known; /* of these two */
    double lag1, pairs1, lag2, pairs2;
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
    double siblings;   /* of the events: those soon after another of the place */
    double youngest_s; /* the least age at an event, billed seconds; 0: none seen */
    struct ebb_hazard_serial serial;
    struct ebb_hazard_blocks *blocks; /* of a place in a zone, once seen; else NULL */
};

#define EBB_HAZARD_LATELY 4096
#define EBB_HAZARD_LEVELS 4 /* all, type, (region, type), (zone, type) */

/* A place that was asked for: its cells, found once, and its last answer. Filled anew when `of` is
 * not the count of cells and priors any more. */
struct ebb_hazard_node {
    char *key[4]; /* provider, region, zone, type */
    uint64_t of;
    int levels;                                               /* that the place names */
    struct ebb_hazard_cell *at[EBB_RATES][EBB_HAZARD_LEVELS]; /* NULL: never seen */
    struct ebb_hazard_cell *own, *zone;                       /* that remember revocations */
    double prior_per_hour;
    struct {
        uint64_t changes; /* of the sums, when it was given; 0: never */
        int64_t wall_ns;
        double per_hour[EBB_AGE_BINS];
    } answer[EBB_RATES];
};

struct ebb_hazards {
    double half_life_s, time_scale;
    ebb_prior_fn *prior_fn;
    const void *prior_source;
    struct ebb_map *cells;           /* key -> struct ebb_hazard_cell, owned */
    struct ebb_map *nodes;           /* key -> struct ebb_hazard_node, owned: what was looked up */
    struct ebb_hazard_node **lately; /* by where the texts stand; EBB_HAZARD_LATELY of them */
    uint64_t shape;                  /* cells made and priors set, from 1 */
    uint64_t changes;                /* of anything, from 1 */
};

/* The levels of a place, from all down; returns how many it names. */
int ebb_hazards_levels(const struct ebb_place *p, struct ebb_place ret[EBB_HAZARD_LEVELS]);
/* Valid until the hazards are destroyed; its cells until one is made or a prior set. The look-up
 * writes into `nodes`, so two threads must not ask one at once. */
struct ebb_hazard_node *ebb_hazards_node(const struct ebb_hazards *h, const struct ebb_place *p);

/* The cell of a place exactly; made when absent, or NULL. */
struct ebb_hazard_cell *ebb_hazards_make_cell(struct ebb_hazards *h, enum ebb_rate r,
                                              const struct ebb_place *p);
const struct ebb_hazard_cell *ebb_hazards_cell(const struct ebb_hazards *h, enum ebb_rate r,
                                               const struct ebb_place *p);
/* What an hour at the place counts for: its prior over the built-in one. */
double ebb_hazards_weight(const struct ebb_hazards *h, enum ebb_rate r, const struct ebb_place *p);
/* A piece of a life, and how the rates of all places fall with age, as they are known now: over
 * their mean of the first day. */
struct ebb_hazard_piece {
    double from_s, to_s;
    int64_t at_wall_ns;
    bool event;
    double shape[EBB_AGE_BINS];
    double shorter; /* of an event: the probability of a shorter life, as was known before */
};
/* Its end after the one before it. */
void ebb_hazards_note_serial(struct ebb_hazard_serial *s, double shorter);
/* Into its half days; and one half day's sums. */
void ebb_hazards_note_blocks(const struct ebb_hazards *h, struct ebb_hazard_cell *c,
                             const struct ebb_hazard_piece *p);
void ebb_hazards_add_block(struct ebb_hazard_cell *c, int64_t block, double seen, double hours);
/* An event at that age, billed seconds; 0 tells nothing. */
void ebb_hazards_note_age(struct ebb_hazard_cell *c, double age_s);
/* Brings the sums to a later time. */
void ebb_hazards_discount(const struct ebb_hazards *h, struct ebb_hazard_cell *c, int64_t wall_ns);

#endif
