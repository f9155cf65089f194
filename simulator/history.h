/* What is known of zones before a run begins: a past stretch of their traces, cut into up-runs and
 * outages, and from them rates by age, pooled over the zones. */
#ifndef EBB_SIMULATOR_HISTORY_H
#define EBB_SIMULATOR_HISTORY_H

#include <stdbool.h>

#include "simulator/traces.h"

struct ebb_history {
    const struct ebb_traces *traces;
    double share; /* of each trace, from its beginning: 0.5 for the first half, 1 for all */
};

/* The trace of that name, or NULL: a zone of which nothing is known. */
const struct ebb_trace *ebb_history_find(const struct ebb_history *h, const char *name);
size_t ebb_history_ticks(const struct ebb_history *h, const struct ebb_trace *t);

/* A stretch of one state. The first of a trace is cut on the left: it had lived before. */
struct ebb_stretch {
    bool up;
    bool whole; /* its beginning was seen */
    bool ended; /* its end was seen; else censored */
    size_t from;
    size_t ticks;
};
/* Steps through a trace's history; start with *next = 0. False: no more. */
bool ebb_history_next(const struct ebb_history *h, const struct ebb_trace *t, size_t *next,
                      struct ebb_stretch *ret);

#define EBB_LIFE_BINS 9
/* Hours: where bins of age begin; the last is open. Finer than the VM's bins where probes tell. */
extern const double ebb_life_bin_from_h[EBB_LIFE_BINS + 1];
size_t ebb_life_bin(double age_h);

/* Events and hours at risk by age, for the ends of up-runs or of outages. */
struct ebb_lives {
    double events[EBB_LIFE_BINS];
    double hours[EBB_LIFE_BINS];
};

/* A stretch that lived from age from_h to to_h. */
void ebb_lives_add(struct ebb_lives *l, double from_h, double to_h, bool ended, double weight);
/* `t` NULL: of all zones. */
void ebb_lives_of(const struct ebb_history *h, const struct ebb_trace *t, bool up,
                  struct ebb_lives *l);
/* Posterior mean rates per hour: Gamma with mean `pooled` and the weight of `strength` events. */
void ebb_lives_rates(const struct ebb_lives *own, const double *pooled_per_hour, double strength,
                     double *ret_per_hour);
/* Rates of all zones; a bin without exposure takes its neighbour's. */
void ebb_lives_pooled(const struct ebb_lives *all, double *ret_per_hour);

/* Hours that something of age age_h is expected to live on, cut at `most_h`, under those rates. */
double ebb_rates_mean_life_h(const double *per_hour, double age_h, double most_h);

#endif
