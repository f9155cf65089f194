/* Least squares in three parameters by pattern search (Hooke and Jeeves 1961); A enters linearly
 * and has a closed form at each trial. */
#include "simulator/scispot.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/memory.h"

static double shape(const double *q, double t)
{
    return 1 - exp(-t / q[0]) + exp((t - q[2]) / q[1]);
}

double ebb_bathtub_cdf(const struct ebb_bathtub *m, double t_h)
{
    double q[3] = {m->tau1_h, m->tau2_h, m->b_h};
    return fmin(1, m->a * shape(q, t_h));
}

/* Antiderivatives: of t e^(-t/u)/u it is -(t + u) e^(-t/u), of t e^((t-b)/u)/u (t - u) e^((t-b)/u).
 */
double ebb_bathtub_moment_h(const struct ebb_bathtub *m, double from_h, double to_h)
{
    double ends[2] = {fmin(from_h, EBB_BATHTUB_CAP_H), fmin(to_h, EBB_BATHTUB_CAP_H)};
    double value[2];
    for (int i = 0; i < 2; i++) {
        double t = ends[i];
        value[i] = -(t + m->tau1_h) * exp(-t / m->tau1_h) +
                   (t - m->tau2_h) * exp((t - m->b_h) / m->tau2_h);
    }
    return m->a * (value[1] - value[0]);
}

double ebb_bathtub_makespan_h(const struct ebb_bathtub *m, double age_h, double work_h)
{
    return work_h + ebb_bathtub_moment_h(m, age_h, age_h + work_h);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double squares(const double *q, const double *lives, size_t count, double *ret_a)
{
    double xy = 0, xx = 0, yy = 0;
    for (size_t i = 0; i < count; i++) {
        double x = shape(q, lives[i]);
        double y = ((double)i + 0.5) / (double)count;
        xy += x * y;
        xx += x * x;
        yy += y * y;
    }
    *ret_a = xx > 0 ? xy / xx : 0;
    return yy - *ret_a * xy;
}

static const double least[3] = {0.01, 0.1, 20}, most[3] = {24, 8, 60};

static void search(const double *lives, size_t count, double *q, double *ret_a)
{
    double best = squares(q, lives, count, ret_a);
    for (double step = 0.5; step > 1e-4; step /= 2) {
        for (bool better = true; better;) {
            better = false;
            for (int move = 0; move < 6; move++) {
                double trial[3] = {q[0], q[1], q[2]}, a;
                trial[move / 2] *= move % 2 == 0 ? 1 + step : 1 / (1 + step);
                trial[move / 2] = fmin(most[move / 2], fmax(least[move / 2], trial[move / 2]));
                double s = squares(trial, lives, count, &a);
                if (s < best - 1e-12) {
                    best = s;
                    *ret_a = a;
                    for (int i = 0; i < 3; i++)
                        q[i] = trial[i];
                    better = true;
                }
            }
        }
    }
}

void ebb_bathtub_fit(double *lives_h, size_t count, struct ebb_bathtub *ret)
{
    double q[3] = {1, 0.8, 24}; /* the published typical values */
    double a = 0.45, mean = 0;
    if (count > 0) {
        qsort(lives_h, count, sizeof *lives_h, compare);
        search(lives_h, count, q, &a);
    }
    for (size_t i = 0; i < count; i++)
        mean += lives_h[i] / (double)count;
    *ret = (struct ebb_bathtub){a, q[0], q[1], q[2], count > 0 ? mean : 1};
}
