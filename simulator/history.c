/* Up-runs and outages of past traces as lives with ages: censored on the right at the end of the
 * history, and entered late where the trace begins in their midst. */
#include "simulator/history.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/hazards.h"

const double ebb_life_bin_from_h[EBB_LIFE_BINS + 1] = {0, 0.25, 0.5, 1, 2, 4, 8, 16, 32, INFINITY};

/* A rate that nothing has been seen of yet: one event in so many hours. */
#define UNSEEN_HOURS 10.0

const struct ebb_trace *ebb_history_find(const struct ebb_history *h, const char *name)
{
    for (size_t i = 0; i < h->traces->count; i++)
        if (strcmp(h->traces->items[i].name, name) == 0)
            return &h->traces->items[i];
    return NULL;
}

size_t ebb_history_ticks(const struct ebb_history *h, const struct ebb_trace *t)
{
    return (size_t)((double)t->len * h->share);
}

bool ebb_history_next(const struct ebb_history *h, const struct ebb_trace *t, size_t *next,
                      struct ebb_stretch *ret)
{
    size_t len = ebb_history_ticks(h, t);
    if (*next >= len)
        return false;
    size_t from = *next, to = from;
    while (to < len && t->up[to] == t->up[from])
        to++;
    *ret = (struct ebb_stretch){t->up[from] != 0, from > 0, to < len, from, to - from};
    *next = to;
    return true;
}

size_t ebb_life_bin(double age_h)
{
    size_t b = 0;
    while (b + 1 < EBB_LIFE_BINS && age_h >= ebb_life_bin_from_h[b + 1])
        b++;
    return b;
}

void ebb_lives_add(struct ebb_lives *l, double from_h, double to_h, bool ended, double weight)
{
    for (size_t b = 0; b < EBB_LIFE_BINS; b++) {
        double low = fmax(from_h, ebb_life_bin_from_h[b]);
        double high = fmin(to_h, ebb_life_bin_from_h[b + 1]);
        if (high > low)
            l->hours[b] += weight * (high - low);
    }
    if (ended)
        l->events[ebb_life_bin(fmax(0, to_h - 1e-9))] += weight;
}

static void add_trace(const struct ebb_history *h, const struct ebb_trace *t, bool up,
                      struct ebb_lives *l)
{
    size_t next = 0;
    struct ebb_stretch s;
    while (ebb_history_next(h, t, &next, &s))
        if (s.up == up && s.whole)
            ebb_lives_add(l, 0, (double)s.ticks * t->gap_s / 3600, s.ended, 1);
}

void ebb_lives_of(const struct ebb_history *h, const struct ebb_trace *t, bool up,
                  struct ebb_lives *l)
{
    if (t != NULL) {
        add_trace(h, t, up, l);
        return;
    }
    for (size_t i = 0; i < h->traces->count; i++)
        add_trace(h, &h->traces->items[i], up, l);
}

void ebb_lives_rates(const struct ebb_lives *own, const double *pooled_per_hour, double strength,
                     double *ret_per_hour)
{
    for (size_t b = 0; b < EBB_LIFE_BINS; b++)
        ret_per_hour[b] = ebb_rate_posterior_per_hour(own->events[b], own->hours[b],
                                                      fmax(1e-9, pooled_per_hour[b]), strength);
}

void ebb_lives_pooled(const struct ebb_lives *all, double *ret_per_hour)
{
    double last = 1 / UNSEEN_HOURS;
    double events = 0, hours = 0;
    for (size_t b = 0; b < EBB_LIFE_BINS; b++) {
        events += all->events[b];
        hours += all->hours[b];
    }
    if (hours > 0)
        last = (events + 0.5) / (hours + 0.5 * UNSEEN_HOURS);
    for (size_t b = 0; b < EBB_LIFE_BINS; b++) {
        ret_per_hour[b] = ebb_rate_posterior_per_hour(all->events[b], all->hours[b], last, 0.5);
        last = ret_per_hour[b];
    }
}

double ebb_rates_mean_life_h(const double *per_hour, double age_h, double most_h)
{
    double mean = 0, survive = 1, at = age_h, end = age_h + most_h;
    for (size_t b = ebb_life_bin(age_h); b < EBB_LIFE_BINS && at < end; b++) {
        double to = fmin(end, ebb_life_bin_from_h[b + 1]);
        double rate = fmax(1e-12, per_hour[b]);
        double die = -expm1(-rate * (to - at));
        mean += survive * die / rate;
        survive *= 1 - die;
        at = to;
    }
    return mean;
}
