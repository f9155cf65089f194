/* BOBYQA models the function by a quadratic and gets near the least in a hundred evaluations; it
 * can stop early in a bent valley, where Nelder-Mead goes on. Neither draws random numbers. */
#include "scheduler/core/fit_search.h"

#include <math.h>
#include <nlopt.h>
#include <stdint.h>
#include <string.h>

#include "scheduler/core/fit_linear.h"

#define WORST 1e300

static double evaluate(unsigned n, const double *x, double *gradient, void *ctx)
{
    (void)n;
    (void)gradient;
    const struct ebb_fit_search *s = ctx;
    double value = s->objective(s->ctx, x);
    return value < WORST ? value : WORST; /* NaN too */
}

/* Improves x in place; returns the value there. */
static double descend(const struct ebb_fit_search *s, nlopt_algorithm algorithm, double step,
                      int evaluations, double *x)
{
    double best = evaluate((unsigned)s->dimensions, x, NULL, (void *)(uintptr_t)s);
    double at[EBB_FIT_SEARCH_DIMENSIONS] = {0}, value = best;
    memcpy(at, x, s->dimensions * sizeof *x);
    nlopt_opt o = nlopt_create(algorithm, (unsigned)s->dimensions);
    if (o == NULL)
        return best;
    (void)nlopt_set_min_objective(o, evaluate, (void *)(uintptr_t)s);
    (void)nlopt_set_lower_bounds(o, s->lower);
    (void)nlopt_set_upper_bounds(o, s->upper);
    (void)nlopt_set_initial_step1(o, step);
    (void)nlopt_set_ftol_abs(o, 1e-8);
    (void)nlopt_set_xtol_rel(o, 1e-9);
    (void)nlopt_set_maxeval(o, evaluations);
    /* What it returns does not matter: it may stop for rounding with the best point in `at`. */
    (void)nlopt_optimize(o, at, &value);
    nlopt_destroy(o);
    value = evaluate((unsigned)s->dimensions, at, NULL, (void *)(uintptr_t)s);
    if (value < best) {
        memcpy(x, at, s->dimensions * sizeof *x);
        best = value;
    }
    return best;
}

double ebb_fit_search_run(const struct ebb_fit_search *s,
                          double (*starts)[EBB_FIT_SEARCH_DIMENSIONS], size_t count,
                          double ret_x[EBB_FIT_SEARCH_DIMENSIONS])
{
    double least = INFINITY, best[EBB_FIT_SEARCH_DIMENSIONS] = {0};
    for (size_t i = 0; i < count; i++) {
        double x[EBB_FIT_SEARCH_DIMENSIONS] = {0};
        for (size_t k = 0; k < s->dimensions; k++)
            x[k] = fmin(fmax(starts[i][k], s->lower[k]), s->upper[k]);
        double value = descend(s, NLOPT_LN_BOBYQA, 0.5, 250, x);
        if (value < least) {
            least = value;
            memcpy(best, x, sizeof best);
        }
    }
    for (int round = 0; round < 3; round++) {
        double before = least;
        least = descend(s, NLOPT_LN_NELDERMEAD, round == 0 ? 0.2 : 0.5, 400, best);
        if (!(least < before - 1e-6))
            break;
    }
    memcpy(ret_x, best, s->dimensions * sizeof *ret_x);
    return least;
}

static double moved(const struct ebb_fit_search *s, const double *x, size_t i, double di, size_t j,
                    double dj)
{
    double at[EBB_FIT_SEARCH_DIMENSIONS];
    memcpy(at, x, s->dimensions * sizeof *x);
    at[i] += di;
    at[j] += dj;
    return s->objective(s->ctx, at);
}

void ebb_fit_search_hessian(const struct ebb_fit_search *s, const double *x, double *ret)
{
    const double h = 2e-3;
    size_t n = s->dimensions;
    double here = s->objective(s->ctx, x);
    for (size_t i = 0; i < n; i++) {
        ret[i * n + i] = (moved(s, x, i, h, i, 0) + moved(s, x, i, -h, i, 0) - 2 * here) / (h * h);
        for (size_t j = 0; j < i; j++) {
            double d = moved(s, x, i, h, j, h) - moved(s, x, i, h, j, -h) -
                       moved(s, x, i, -h, j, h) + moved(s, x, i, -h, j, -h);
            ret[i * n + j] = ret[j * n + i] = d / (4 * h * h);
        }
    }
}

/* Inverts `information` over the variables that are `used`; false: it is singular. */
static bool invert_used(const double *information, size_t n, const bool *used, double *ret)
{
    double a[EBB_FIT_SEARCH_DIMENSIONS * EBB_FIT_SEARCH_DIMENSIONS],
        inverse[EBB_FIT_SEARCH_DIMENSIONS * EBB_FIT_SEARCH_DIMENSIONS];
    size_t map[EBB_FIT_SEARCH_DIMENSIONS], m = 0;
    for (size_t i = 0; i < n; i++) {
        if (used[i])
            map[m++] = i;
    }
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < m; j++)
            a[i * m + j] = information[map[i] * n + map[j]];
    }
    if (!ebb_cholesky(a, m))
        return false;
    ebb_cholesky_invert(a, m, inverse);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < m; j++)
            ret[map[i] * n + map[j]] = inverse[i * m + j];
    }
    return true;
}

void ebb_fit_search_covariance(const struct ebb_fit_search *s, const double *x,
                               const double *information, double *ret)
{
    size_t n = s->dimensions, left = 0;
    bool used[EBB_FIT_SEARCH_DIMENSIONS] = {false};
    for (size_t i = 0; i < n * n; i++)
        ret[i] = 0;
    for (size_t i = 0; i < n; i++) {
        used[i] =
            x[i] > s->lower[i] + 1e-2 && x[i] < s->upper[i] - 1e-2 && information[i * n + i] > 1e-3;
        left += used[i];
    }
    while (left > 0 && !invert_used(information, n, used, ret)) {
        size_t weakest = n;
        for (size_t i = 0; i < n; i++) {
            if (used[i] &&
                (weakest == n || information[i * n + i] < information[weakest * n + weakest]))
                weakest = i;
        }
        used[weakest] = false;
        left--;
    }
    for (size_t i = 0; i < n; i++) {
        if (!used[i])
            ret[i * n + i] = NAN;
    }
}
