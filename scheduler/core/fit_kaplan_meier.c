/* One pass over the ages, ascending. */
#include "scheduler/core/fit_kaplan_meier.h"

#include <math.h>

#define Z 1.959963984540054 /* the normal distribution's 97.5 % point */

/* Bounds on log(-log S), whose variance is Greenwood's sum over (log S)^2 (Kalbfleisch and Prentice
 * 1980). At S = 0 there is no such scale. */
static void set_bounds(struct ebb_kaplan_meier_step *step, double greenwood)
{
    double S = step->survival;
    if (!(S > 0)) {
        step->low = step->high = 0;
        return;
    }
    step->standard_error = S * sqrt(greenwood);
    double width = Z * sqrt(greenwood) / fabs(log(S));
    step->low = pow(S, exp(width));
    step->high = pow(S, exp(-width));
}

void ebb_kaplan_meier_init(struct ebb_kaplan_meier *k, const struct ebb_fit_sample *s)
{
    *k = (struct ebb_kaplan_meier){.steps = ebb_alloc_array(s->count + 1, sizeof *k->steps),
                                   .largest_h = s->largest_h};
    double at_risk = 0, survival = 1, greenwood = 0;
    for (size_t i = 0; i < s->count; i++)
        at_risk += s->exposed[i];
    for (size_t i = 0; i < s->count; i++) {
        double d = s->revoked[i];
        if (d > 0) {
            survival *= 1 - d / at_risk;
            greenwood += d < at_risk ? d / (at_risk * (at_risk - d)) : 0;
            struct ebb_kaplan_meier_step *step = &k->steps[k->count++];
            *step = (struct ebb_kaplan_meier_step){
                .age_h = s->age_h[i], .at_risk = at_risk, .revoked = d, .survival = survival};
            set_bounds(step, greenwood);
        }
        at_risk -= s->exposed[i];
    }
}

void ebb_kaplan_meier_clean_up(struct ebb_kaplan_meier *k)
{
    free(k->steps);
    *k = (struct ebb_kaplan_meier){0};
}

double ebb_kaplan_meier_survival(const struct ebb_kaplan_meier *k, double age_h)
{
    size_t low = 0, high = k->count; /* the first step past age_h */
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (k->steps[mid].age_h <= age_h)
            low = mid + 1;
        else
            high = mid;
    }
    return low == 0 ? 1 : k->steps[low - 1].survival;
}

double ebb_kaplan_meier_distance(const struct ebb_kaplan_meier *k,
                                 double (*cumulative)(const void *ctx, double age_h),
                                 const void *ctx)
{
    double most = 0, before = 1;
    for (size_t i = 0; i < k->count; i++) {
        double S = exp(-cumulative(ctx, k->steps[i].age_h));
        most = fmax(most, fmax(fabs(S - before), fabs(S - k->steps[i].survival)));
        before = k->steps[i].survival;
    }
    return most;
}
