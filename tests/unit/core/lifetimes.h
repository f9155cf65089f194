/* Lifetimes for tests: by hand, or drawn from a known law. */
#ifndef EBB_TESTS_UNIT_CORE_LIFETIMES_H
#define EBB_TESTS_UNIT_CORE_LIFETIMES_H

#include <math.h>
#include <stdlib.h>

#include "base/random.h"
#include "scheduler/core/fit_data.h"

static inline void add_life(struct ebb_lifetimes *l, double age_h, enum ebb_lifetime_end end,
                            const char *type, const char *zone, int day)
{
    l->rows = ebb_realloc_array(l->rows, l->count + 1, sizeof *l->rows);
    l->rows[l->count++] =
        (struct ebb_lifetime){.age_h = age_h,
                              .end = end,
                              .type = type == NULL ? -1 : ebb_names_add(&l->types, type),
                              .zone = zone == NULL ? -1 : ebb_names_add(&l->zones, zone),
                              .day = day};
}

/* A life that would be revoked at `age_h`, stopped by its user at a random time of mean `stop_h`
 * (0: never), and by the cap at `cap_h`. */
static inline void add_censored(struct ebb_lifetimes *l, struct ebb_random *r, double age_h,
                                double stop_h, double cap_h, const char *type, const char *zone,
                                int day)
{
    double stop = stop_h > 0 ? ebb_random_exponential(r, stop_h) : INFINITY;
    if (cap_h <= age_h && cap_h <= stop)
        add_life(l, cap_h, EBB_LIFETIME_CAP, type, zone, day);
    else if (stop < age_h)
        add_life(l, stop, EBB_LIFETIME_STOPPED, type, zone, day);
    else
        add_life(l, age_h, EBB_LIFETIME_REVOKED, type, zone, day);
}

static inline double draw_weibull(struct ebb_random *r, double scale, double shape)
{
    return scale * pow(-log(1 - ebb_random_uniform(r)), 1 / shape);
}

static inline double draw_normal(struct ebb_random *r)
{
    return sqrt(-2 * log(1 - ebb_random_uniform(r))) * cos(2 * M_PI * ebb_random_uniform(r));
}

#endif
