/* Finding the least of a function of a few bounded variables from several starts, the same answer
 * at every run: NLopt's BOBYQA (Powell 2009) from each start, its best point polished by
 * Nelder-Mead. */
#ifndef EBB_SCHEDULER_CORE_FIT_SEARCH_H
#define EBB_SCHEDULER_CORE_FIT_SEARCH_H

#include <stdbool.h>
#include <stddef.h>

#define EBB_FIT_SEARCH_DIMENSIONS 4

typedef double ebb_fit_objective(void *ctx, const double *x);

struct ebb_fit_search {
    ebb_fit_objective *objective;
    void *ctx;
    size_t dimensions; /* 2 to EBB_FIT_SEARCH_DIMENSIONS */
    double lower[EBB_FIT_SEARCH_DIMENSIONS], upper[EBB_FIT_SEARCH_DIMENSIONS];
};

/* `starts` has `count` points; those outside the bounds are moved to them. The least point goes to
 * ret_x, its value is returned. */
double ebb_fit_search_run(const struct ebb_fit_search *s,
                          double (*starts)[EBB_FIT_SEARCH_DIMENSIONS], size_t count,
                          double ret_x[EBB_FIT_SEARCH_DIMENSIONS]);
/* The Hessian of the objective at `x` (dimensions squared) by central differences. */
void ebb_fit_search_hessian(const struct ebb_fit_search *s, const double *x, double *ret);
/* The covariance of x: the inverse of `information` (dimensions squared). Variables at their
 * bounds, and those that the data do not determine, have variance NAN and take no part. */
void ebb_fit_search_covariance(const struct ebb_fit_search *s, const double *x,
                               const double *information, double *ret);

#endif
