/* Sorting once and joining equal ages keeps a likelihood to one evaluation of the curve for each
 * different age. Data sets past a size have their ages rounded to a part in two thousand, far below
 * what any of the curves can tell, so that a fit takes seconds there too. */
#include "scheduler/core/fit_sample.h"

#include <math.h>
#include <string.h>

#define EXACT_ROWS 20000
#define ROUNDING   2000.0

struct entry {
    double age_h, multiplier;
    enum ebb_lifetime_end end;
};

static int by_age(const void *a, const void *b)
{
    double x = ((const struct entry *)a)->age_h, y = ((const struct entry *)b)->age_h;
    return (x > y) - (x < y);
}

static double rounded(const struct ebb_lifetimes *l, double age_h)
{
    return l->count > EXACT_ROWS ? exp(round(log(age_h) * ROUNDING) / ROUNDING) : age_h;
}

static struct entry *sorted_entries(const struct ebb_lifetimes *l, const double *multipliers)
{
    struct entry *e = ebb_alloc_array(l->count + 1, sizeof *e);
    for (size_t i = 0; i < l->count; i++)
        e[i] = (struct entry){rounded(l, l->rows[i].age_h),
                              multipliers == NULL ? 1 : multipliers[i], l->rows[i].end};
    qsort(e, l->count, sizeof *e, by_age);
    return e;
}

static void gather_ends(struct ebb_fit_sample *s, const struct ebb_lifetimes *l)
{
    EBB_AUTO_FREE struct entry *e = ebb_alloc_array(l->count + 1, sizeof *e);
    size_t count = 0;
    for (size_t i = 0; i < l->count; i++) {
        const struct ebb_lifetime *row = &l->rows[i];
        if (row->end != EBB_LIFETIME_STOPPED)
            e[count++].age_h = rounded(l, fmax(row->told_h, row->age_h));
    }
    qsort(e, count, sizeof *e, by_age);
    s->end_h = ebb_alloc_array(count + 1, sizeof *s->end_h);
    s->ends = ebb_alloc_array(count + 1, sizeof *s->ends);
    for (size_t i = 0; i < count; i++) {
        if (s->end_count == 0 || s->end_h[s->end_count - 1] < e[i].age_h)
            s->end_h[s->end_count++] = e[i].age_h;
        s->ends[s->end_count - 1]++;
    }
}

void ebb_fit_sample_init(struct ebb_fit_sample *s, const struct ebb_lifetimes *l,
                         const double *multipliers)
{
    *s = (struct ebb_fit_sample){.age_h = ebb_alloc_array(l->count + 1, sizeof(double)),
                                 .revoked = ebb_alloc_array(l->count + 1, sizeof(double)),
                                 .exposed = ebb_alloc_array(l->count + 1, sizeof(double))};
    EBB_AUTO_FREE struct entry *e = sorted_entries(l, multipliers);
    for (size_t i = 0; i < l->count; i++) {
        bool revoked = e[i].end == EBB_LIFETIME_REVOKED;
        if (s->count == 0 || s->age_h[s->count - 1] < e[i].age_h)
            s->age_h[s->count++] = e[i].age_h;
        s->revoked[s->count - 1] += revoked;
        s->exposed[s->count - 1] += e[i].multiplier;
        s->log_multipliers += revoked ? log(e[i].multiplier) : 0;
        s->revocations += revoked;
        s->exposure_h += e[i].multiplier * e[i].age_h;
        s->largest_h = e[i].age_h;
    }
    gather_ends(s, l);
}

void ebb_fit_sample_clean_up(struct ebb_fit_sample *s)
{
    free(s->age_h);
    free(s->revoked);
    free(s->exposed);
    free(s->end_h);
    free(s->ends);
    *s = (struct ebb_fit_sample){0};
}

double ebb_fit_log_likelihood(const struct ebb_fit_curve *c, const struct ebb_fit_sample *s)
{
    double sum = s->log_multipliers;
    for (size_t i = 0; i < s->count; i++) {
        double log_h, H;
        ebb_fit_curve_at(c, s->age_h[i], &log_h, &H);
        sum -= s->exposed[i] * H;
        if (s->revoked[i] > 0)
            sum += s->revoked[i] * log_h;
    }
    return sum > -1e300 ? sum : -1e300;
}

void ebb_fit_sample_bin(const struct ebb_fit_sample *s, struct ebb_fit_bin *bins, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        struct ebb_fit_bin *b = &bins[k];
        b->revoked = b->exposed_h = 0;
        for (size_t i = 0; i < s->count; i++) {
            double t = s->age_h[i];
            if (t > b->from_h)
                b->exposed_h += s->exposed[i] * (fmin(t, b->to_h) - b->from_h);
            if (t > b->from_h && t <= b->to_h)
                b->revoked += s->revoked[i];
        }
    }
}
