/* SciSpot's model of a lifetime as published (HPDC'20, equations 1 and 8), for the baseline. The
 * planner's own models, with censoring, are in scheduler/core. */
#ifndef EBB_SIMULATOR_SCISPOT_H
#define EBB_SIMULATOR_SCISPOT_H

#include <stddef.h>

#define EBB_BATHTUB_CAP_H     24.0
#define EBB_BATHTUB_LIVES_MIN 5

struct ebb_bathtub {
    double a, tau1_h, tau2_h, b_h;
    double mean_h; /* of the lifetimes fitted to */
};

double ebb_bathtub_cdf(const struct ebb_bathtub *m, double t_h);
/* The integral of t f(t) over [from_h, to_h], cut at the cap. */
double ebb_bathtub_moment_h(const struct ebb_bathtub *m, double from_h, double to_h);
/* Work of work_h begun at age_h: T + the moment over [age, age + T]. */
double ebb_bathtub_makespan_h(const struct ebb_bathtub *m, double age_h, double work_h);
/* Least squares on the empirical distribution of lives_h (sorted here). None: the published typical
 * values. */
void ebb_bathtub_fit(double *lives_h, size_t count, struct ebb_bathtub *ret);

#endif
