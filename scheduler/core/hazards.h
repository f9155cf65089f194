/* Rates by place and age: how often VMs are revoked, and how soon outages end.
 *
 * The counts of a cell (a place at one level) in an age bin are Poisson with mean rate * exposure;
 * with a Gamma prior the posterior is Gamma again. Levels, each the prior of the one before:
 *
 *     (zone, type) <- (region, type) <- type <- all <- prior (an interruption band, or built in)
 *
 * A level first takes a factor for all ages, then one of each age:
 *     m    = (w + sum n_b) / (w + sum r_b T_b)           r_b: rate of the level above at age b
 *     r'_b = (v + n_b) / (v / (m r_b) + T_b)
 * n revocations in T hours, of a level above those of its other places alone, so that nothing
 * counts twice; w = 1 and v = 2 pseudo-revocations are the weight of what is above. A VM that we
 * ended, or that still lives, adds hours and no revocation (right-censoring).
 *
 * Old exposure and counts are discounted by half each half-life. A two-sided CUSUM over the
 * standardised counts of each cell finds a change of rate; the cell then keeps only what came since
 * the change began. A revocation raises the hazard of its siblings for five minutes: six times for
 * the same zone and type, three times for the rest of the zone, falling linearly.
 *
 * A cap on lifetimes is a property of the offer and not of the hazard: it stands elsewhere.
 * Times of arguments are the caller's seconds; where a cloud bills faster than time passes (the
 * emulator), ages, half-life and rates are those of billed time (ebb_hazards_set_time_scale). */
#ifndef EBB_SCHEDULER_CORE_HAZARDS_H
#define EBB_SCHEDULER_CORE_HAZARDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "proto/hazards.pb-c.h"

#define EBB_AGE_BINS 7
/* 0, 1/4, 1, 3, 6, 12, 24 hours, and infinity. */
extern const double ebb_age_bin_from_s[EBB_AGE_BINS + 1];

#define EBB_HAZARD_HALF_LIFE_S (2 * 86400.0)

enum ebb_rate {
    EBB_RATE_REVOCATION,
    EBB_RATE_RECOVERY, /* of an outage, by its age */
};
#define EBB_RATES 2

/* NULL is "". An empty zone asks for the region, an empty region for the type, an empty type for
 * all. */
struct ebb_place {
    const char *provider, *region, *zone, *type;
};

/* The posterior mean of a rate after `events` in `hours`, with a Gamma prior of that mean and the
 * weight of so many events: of every rate here, and of those that one job learns from traces. */
double ebb_rate_posterior_per_hour(double events, double hours, double prior_per_hour,
                                   double weight_events);

struct ebb_hazards;

/* `half_life_s` of exposure; 0: nothing is forgotten. */
struct ebb_hazards *ebb_hazards_new(double half_life_s);
void ebb_hazards_destroy(struct ebb_hazards *h);
struct ebb_hazards *ebb_hazards_copy(const struct ebb_hazards *h);
/* Billed seconds a second; 1 at first. */
void ebb_hazards_set_time_scale(struct ebb_hazards *h, double scale);

/* A VM (an up-run; an outage) lived from age `from_s` to `to_s`, the end being at `at_wall_ns`;
 * `event`: it ended by revocation (recovery), else it is censored there. A life may be told in
 * pieces. Nothing happens when the ages are not 0 <= from <= to < infinity. */
void ebb_hazards_observe(struct ebb_hazards *h, enum ebb_rate r, const struct ebb_place *p,
                         double from_s, double to_s, bool event, int64_t at_wall_ns);

/* The prior rate of revocations of a place over the first day, per billed hour, e.g. from an
 * interruption band; its shape over age is built in (t^-1/2: a Weibull with k = 1/2). Without one
 * it is that of the source, or 0.1. */
void ebb_hazards_prior(struct ebb_hazards *h, const struct ebb_place *p, double per_hour);
/* Where priors come from that were not set: a pure function; 0: it does not know. `source` is
 * borrowed. */
typedef double ebb_prior_fn(const void *source, const struct ebb_place *p);
void ebb_hazards_set_prior_source(struct ebb_hazards *h, ebb_prior_fn *fn, const void *source);

/* Posterior mean per hour at that age; for revocations the bulk factor is in it. */
double ebb_hazards_per_hour(const struct ebb_hazards *h, enum ebb_rate r, const struct ebb_place *p,
                            double age_s, int64_t now_wall_ns);
/* By age bin, without the bulk factor. `ret_sd` (may be NULL): about one standard deviation of the
 * posterior. */
void ebb_hazards_table(const struct ebb_hazards *h, enum ebb_rate r, const struct ebb_place *p,
                       int64_t now_wall_ns, double ret_per_hour[EBB_AGE_BINS],
                       double ret_sd[EBB_AGE_BINS]);
/* The table of revocations and the factor in one: what `ebb_hazards_bulk` returns. */
double ebb_hazards_now(const struct ebb_hazards *h, const struct ebb_place *p, int64_t now_wall_ns,
                       double ret_per_hour[EBB_AGE_BINS], double *ret_bulk_for_s);
/* The factor on revocations now (1 to 6), and how long it is still above 1. */
double ebb_hazards_bulk(const struct ebb_hazards *h, const struct ebb_place *p, int64_t now_wall_ns,
                        double *ret_for_s);
/* The probability that a VM of age `from_age_s` now reaches `to_age_s`. */
double ebb_hazards_survival(const struct ebb_hazards *h, const struct ebb_place *p,
                            double from_age_s, double to_age_s, int64_t now_wall_ns);
/* The integral of the table from one age to another: -log survival, the bulk factor aside. */
double ebb_hazards_cumulative(const double per_hour[EBB_AGE_BINS], double scale, double from_age_s,
                              double to_age_s);

/* How much the rates of the next half day differ from what was learned before, beyond chance: the
 * variance of their ratio, of all places together, of a region's, of each place alone. */
struct ebb_hazard_spread {
    double all, region, own;
    double doubt; /* standard deviation of what is known of their sum */
};
/* From the last 16 days of all places: the squared errors of forecasts of each half day by those
 * before it, less what counting alone makes of them; products between places for what they share.
 * Where little was seen it is nearer to the built-in one. */
void ebb_hazards_spread(const struct ebb_hazards *h, enum ebb_rate r,
                        struct ebb_hazard_spread *ret);

/* How much long lives of a place follow long ones: a normal score of each life is
 * sqrt(share) R + sqrt(1 - share) e, R going on from life to life with correlation `keep`. Of the
 * products of lives with the one before and the one before that, of the place, drawn to those of
 * all places, and these to 0. */
struct ebb_hazard_regime {
    double share, keep;
};
void ebb_hazards_regime(const struct ebb_hazards *h, enum ebb_rate r, const struct ebb_place *p,
                        struct ebb_hazard_regime *ret);

/* Raw sums of a cell, discounted to `now`: hours and events in all its ages. False: never seen. */
bool ebb_hazards_seen(const struct ebb_hazards *h, enum ebb_rate r, const struct ebb_place *p,
                      int64_t now_wall_ns, double *ret_hours, double *ret_events,
                      uint32_t *ret_resets);
/* Billed seconds of age that no VM (outage) of the place was seen to end in: what the youngest of
 * the n ends in the first bin says of the least. n ages uniform between a and the bin's end w have
 * a minimum of a + (w - a) / (n + 1) on average, so a = min - (w - min) / n; of the levels of the
 * place the one that says most. 0: nothing is known of it. */
double ebb_hazards_quiet_s(const struct ebb_hazards *h, enum ebb_rate r, const struct ebb_place *p,
                           int64_t now_wall_ns);
/* Of the events of a place, those that took the place as a whole, about: an outage followed, or
 * another of the place was revoked within minutes before. */
double ebb_hazards_in_bulk(const struct ebb_hazards *h, const struct ebb_place *p,
                           int64_t now_wall_ns);
/* Cells in order of their first observation: *cursor from 0; false at the end. */
bool ebb_hazards_next(const struct ebb_hazards *h, size_t *cursor, enum ebb_rate *ret_rate,
                      struct ebb_place *ret_place);

/* The whole of it as a message, and back. The caller frees it with
 * ebb__hazard_state__free_unpacked. */
Ebb__HazardState *ebb_hazards_save(const struct ebb_hazards *h);
/* Adds the sums of `m` to what is known (an import). EBB_ERR_INPUT or EBB_ERR_UNSUPPORTED when it
 * is not sound; then nothing has changed. Into a new one with its half-life it restores exactly
 * what was saved. */
int ebb_hazards_load(struct ebb_hazards *h, const Ebb__HazardState *m, struct ebb_error *err);
uint64_t ebb_hazards_digest(const struct ebb_hazards *h, uint64_t seed);

#endif
