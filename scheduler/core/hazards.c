/* Gamma-Poisson posteriors by place and age.
 *
 * Each observation is added to the cells of its four levels; a question walks them from the top.
 * The prior of a place weighs its exposure: an hour of a place expected to be twice as bad counts
 * as two hours towards what its levels share. So places of different bands can be pooled, and a
 * place's rate is its prior times what was learned.
 *
 * Drift: blocks of at least BLOCK expected events are standardised by their Poisson variance times
 * OVERDISPERSION (revocations come in bulk: 3.1 was measured by day and zone), and summed up by
 * Page's two-sided CUSUM (allowance 1/2, alarm at 4 standard deviations). On an alarm the cell
 * keeps what came since that sum was last 0, the usual estimate of when the change was. */
#include "scheduler/core/hazards.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/hazards_cell.h"

#define LEVELS            EBB_HAZARD_LEVELS
#define NS_PER_S          1e9
#define S_PER_HOUR        3600.0
#define DEFAULT_PER_HOUR  EBB_HAZARD_DEFAULT_PER_HOUR
#define RECOVERY_PER_HOUR 0.5 /* outages, likewise */
#define LEVEL_WEIGHT      1.0 /* pseudo-events of the level above, all ages together */
#define BIN_WEIGHT        2.0 /* ... and in each age bin */
#define BULK_S            300.0
#define DAY_S             86400.0
#define BULK_FACTOR       6.0 /* same zone and type, at once */
#define BULK_FACTOR_ZONE  3.0 /* another type of the zone */
#define BLOCK             4.0
#define OVERDISPERSION    3.0
#define ALLOWANCE         0.5
#define ALARM             4.0
#define LEAST_LEARNED     4.0 /* events a cell has seen before its drift is watched */

const double ebb_age_bin_from_s[EBB_AGE_BINS + 1] = {0,     900,   3600,  10800,
                                                     21600, 43200, 86400, INFINITY};

/* Mean of t^-1/2 over each bin (the last: one to three days), over its mean of the first day. */
static const double shape[EBB_AGE_BINS] = {9.798, 3.266, 1.793, 1.171, 0.828, 0.586, 0.366};

void ebb_hazards_set_time_scale(struct ebb_hazards *h, double scale)
{
    h->time_scale = scale > 0 ? scale : 1;
    h->changes++;
}

void ebb_hazards_set_prior_source(struct ebb_hazards *h, ebb_prior_fn *fn, const void *source)
{
    h->prior_fn = fn;
    h->prior_source = source;
    h->shape++; /* what is kept of places is found anew */
    h->changes++;
    h->shape++;
    h->changes++;
}

static double factor_after(const struct ebb_hazards *h, int64_t from_ns, int64_t to_ns)
{
    if (h->half_life_s <= 0 || to_ns <= from_ns)
        return 1;
    return exp2(-(double)(to_ns - from_ns) / NS_PER_S * h->time_scale / h->half_life_s);
}

static void scale_sums(struct ebb_hazard_sums *s, double f)
{
    for (int b = 0; b < EBB_AGE_BINS; b++) {
        s->exposure_hours[b] *= f;
        s->events[b] *= f;
    }
}

void ebb_hazards_discount(const struct ebb_hazards *h, struct ebb_hazard_cell *c, int64_t wall_ns)
{
    double f = factor_after(h, c->wall_ns, wall_ns);
    if (f < 1) {
        scale_sums(&c->sums, f);
        scale_sums(&c->since_rise, f);
        scale_sums(&c->since_fall, f);
        c->siblings *= f;
        c->serial.lag1 *= f;
        c->serial.pairs1 *= f;
        c->serial.lag2 *= f;
        c->serial.pairs2 *= f;
    }
    if (wall_ns > c->wall_ns)
        c->wall_ns = wall_ns;
}

/* ---- priors and posteriors ---- */

double ebb_hazards_weight(const struct ebb_hazards *h, enum ebb_rate r, const struct ebb_place *p)
{
    return r == EBB_RATE_REVOCATION ? ebb_hazards_node(h, p)->prior_per_hour / DEFAULT_PER_HOUR : 1;
}

static void begin(enum ebb_rate r, double rate[EBB_AGE_BINS])
{
    double mean = r == EBB_RATE_REVOCATION ? DEFAULT_PER_HOUR : RECOVERY_PER_HOUR;
    for (int b = 0; b < EBB_AGE_BINS; b++)
        rate[b] = mean * shape[b];
}

double ebb_rate_posterior_per_hour(double events, double hours, double prior_per_hour,
                                   double weight_events)
{
    return (weight_events + events) / (weight_events / prior_per_hour + hours);
}

/* Replaces the rates of the level above by those of sums; variances relative to the mean's square,
 * of the common factor and of each bin, go to `relative` when it is not NULL. */
static void descend(const struct ebb_hazard_sums *s, double rate[EBB_AGE_BINS], double *relative)
{
    double seen = LEVEL_WEIGHT, expected = LEVEL_WEIGHT;
    for (int b = 0; b < EBB_AGE_BINS; b++) {
        seen += s->events[b];
        expected += s->exposure_hours[b] * rate[b];
    }
    for (int b = 0; b < EBB_AGE_BINS; b++) {
        double above = rate[b] * seen / expected;
        rate[b] =
            ebb_rate_posterior_per_hour(s->events[b], s->exposure_hours[b], above, BIN_WEIGHT);
        if (relative != NULL)
            relative[b] = 1 / seen + 1 / (BIN_WEIGHT + s->events[b]);
    }
}

/* What a level has seen elsewhere than in the level below it: nothing is counted twice on the way
 * down. */
static void sums_beside(const struct ebb_hazards *h, const struct ebb_hazard_cell *c,
                        const struct ebb_hazard_cell *below, int64_t now_wall_ns,
                        struct ebb_hazard_sums *ret)
{
    double f = c == NULL ? 0 : factor_after(h, c->wall_ns, now_wall_ns);
    double g = below == NULL ? 0 : factor_after(h, below->wall_ns, now_wall_ns);
    for (int b = 0; b < EBB_AGE_BINS; b++) {
        ret->exposure_hours[b] = c == NULL ? 0 : f * c->sums.exposure_hours[b];
        ret->events[b] = c == NULL ? 0 : f * c->sums.events[b];
        if (below == NULL)
            continue;
        ret->exposure_hours[b] =
            fmax(0, ret->exposure_hours[b] - g * below->sums.exposure_hours[b]);
        ret->events[b] = fmax(0, ret->events[b] - g * below->sums.events[b]);
    }
}

/* Rates relative to the prior of the place, through its levels. */
static void posterior(const struct ebb_hazards *h, enum ebb_rate r,
                      const struct ebb_hazard_node *node, int64_t now_wall_ns,
                      double rate[EBB_AGE_BINS], double *relative)
{
    struct ebb_hazard_sums sums;
    begin(r, rate);
    for (int i = 0; i < node->levels; i++) {
        bool last = i + 1 == node->levels;
        const struct ebb_hazard_cell *c = node->at[r][i];
        if (c == NULL && !(last && relative != NULL))
            continue; /* an empty level changes nothing */
        sums_beside(h, c, last ? NULL : node->at[r][i + 1], now_wall_ns, &sums);
        descend(&sums, rate, last ? relative : NULL);
    }
}

/* A plan asks for each place several times at one moment. */
static const double *rates_of(const struct ebb_hazards *h, enum ebb_rate r,
                              struct ebb_hazard_node *node, int64_t now_wall_ns)
{
    double *rate = node->answer[r].per_hour;
    if (node->answer[r].changes == h->changes && node->answer[r].wall_ns == now_wall_ns)
        return rate;
    double weight = r == EBB_RATE_REVOCATION ? node->prior_per_hour / DEFAULT_PER_HOUR : 1;
    posterior(h, r, node, now_wall_ns, rate, NULL);
    for (int b = 0; b < EBB_AGE_BINS; b++)
        rate[b] *= weight * h->time_scale;
    node->answer[r].changes = h->changes;
    node->answer[r].wall_ns = now_wall_ns;
    return rate;
}

void ebb_hazards_table(const struct ebb_hazards *h, enum ebb_rate r, const struct ebb_place *p,
                       int64_t now_wall_ns, double ret_per_hour[EBB_AGE_BINS],
                       double ret_sd[EBB_AGE_BINS])
{
    struct ebb_hazard_node *node = ebb_hazards_node(h, p);
    memcpy(ret_per_hour, rates_of(h, r, node, now_wall_ns), EBB_AGE_BINS * sizeof *ret_per_hour);
    if (ret_sd == NULL)
        return;
    double relative[EBB_AGE_BINS], rate[EBB_AGE_BINS];
    posterior(h, r, node, now_wall_ns, rate, relative);
    for (int b = 0; b < EBB_AGE_BINS; b++)
        ret_sd[b] = ret_per_hour[b] * sqrt(relative[b]);
}

static int bin_of(double age_s)
{
    int b = 0;
    while (b + 1 < EBB_AGE_BINS && age_s >= ebb_age_bin_from_s[b + 1])
        b++;
    return b;
}

/* ---- the youngest ---- */

void ebb_hazards_note_age(struct ebb_hazard_cell *c, double age_s)
{
    if (age_s > 0 && (c->youngest_s == 0 || age_s < c->youngest_s))
        c->youngest_s = age_s;
}

double ebb_hazards_quiet_s(const struct ebb_hazards *h, enum ebb_rate r, const struct ebb_place *p,
                           int64_t now_wall_ns)
{
    const struct ebb_hazard_node *node = ebb_hazards_node(h, p);
    double width_s = ebb_age_bin_from_s[1], quiet_s = 0;
    for (int i = 0; i < node->levels; i++) {
        const struct ebb_hazard_cell *c = node->at[r][i];
        double n = c == NULL ? 0 : c->sums.events[0] * factor_after(h, c->wall_ns, now_wall_ns);
        if (n > 0 && c->youngest_s < width_s)
            quiet_s = fmax(quiet_s, c->youngest_s - (width_s - c->youngest_s) / n);
    }
    return quiet_s;
}

/* ---- bulk ---- */

/* The excess over 1 that a revocation long ago leaves; `most` at once, 0 after BULK_S. */
static double excess_of(const struct ebb_hazards *h, const struct ebb_hazard_cell *c,
                        int64_t now_wall_ns, double most, double *ret_left_s)
{
    *ret_left_s = 0;
    if (c == NULL || c->revoked_wall_ns == 0)
        return 0;
    double ago_s = (double)(now_wall_ns - c->revoked_wall_ns) / NS_PER_S * h->time_scale;
    ago_s = ago_s < 0 ? 0 : ago_s;
    if (ago_s >= BULK_S)
        return 0;
    *ret_left_s = (BULK_S - ago_s) / h->time_scale;
    return (most - 1) * (1 - ago_s / BULK_S);
}

static double bulk_of(const struct ebb_hazards *h, const struct ebb_hazard_node *node,
                      int64_t now_wall_ns, double *ret_for_s)
{
    double own_s, zone_s;
    double own = excess_of(h, node->own, now_wall_ns, BULK_FACTOR, &own_s);
    double other = excess_of(h, node->zone, now_wall_ns, BULK_FACTOR_ZONE, &zone_s);
    if (ret_for_s != NULL)
        *ret_for_s = own >= other ? own_s : zone_s;
    return 1 + (own >= other ? own : other);
}

double ebb_hazards_bulk(const struct ebb_hazards *h, const struct ebb_place *p, int64_t now_wall_ns,
                        double *ret_for_s)
{
    return bulk_of(h, ebb_hazards_node(h, p), now_wall_ns, ret_for_s);
}

double ebb_hazards_now(const struct ebb_hazards *h, const struct ebb_place *p, int64_t now_wall_ns,
                       double ret_per_hour[EBB_AGE_BINS], double *ret_bulk_for_s)
{
    struct ebb_hazard_node *node = ebb_hazards_node(h, p);
    memcpy(ret_per_hour, rates_of(h, EBB_RATE_REVOCATION, node, now_wall_ns),
           EBB_AGE_BINS * sizeof *ret_per_hour);
    return bulk_of(h, node, now_wall_ns, ret_bulk_for_s);
}

double ebb_hazards_per_hour(const struct ebb_hazards *h, enum ebb_rate r, const struct ebb_place *p,
                            double age_s, int64_t now_wall_ns)
{
    struct ebb_hazard_node *node = ebb_hazards_node(h, p);
    double rate = rates_of(h, r, node, now_wall_ns)[bin_of(age_s * h->time_scale)];
    return r == EBB_RATE_REVOCATION ? rate * bulk_of(h, node, now_wall_ns, NULL) : rate;
}

double ebb_hazards_cumulative(const double per_hour[EBB_AGE_BINS], double scale, double from_age_s,
                              double to_age_s)
{
    double from = from_age_s * scale, to = to_age_s * scale, sum = 0;
    for (int b = 0; b < EBB_AGE_BINS && ebb_age_bin_from_s[b] < to; b++) {
        double low = fmax(from, ebb_age_bin_from_s[b]), high = fmin(to, ebb_age_bin_from_s[b + 1]);
        if (high > low)
            sum += per_hour[b] * (high - low) / scale / S_PER_HOUR;
    }
    return sum;
}

/* The integral of rate * excess over the bulk window from now, at most to `to_age_s`. The excess
 * falls linearly to 0 at its end; the rate is that of each piece of a bin. */
static double bulk_cumulative(const struct ebb_hazards *h, const double rate[EBB_AGE_BINS],
                              double from_age_s, double to_age_s, double excess, double left_s)
{
    double sum = 0, end_s = fmin(to_age_s, from_age_s + left_s);
    for (int b = 0; b < EBB_AGE_BINS; b++) {
        double low = fmax(from_age_s, ebb_age_bin_from_s[b] / h->time_scale) - from_age_s;
        double high = fmin(end_s, ebb_age_bin_from_s[b + 1] / h->time_scale) - from_age_s;
        if (high > low)
            sum += rate[b] / S_PER_HOUR * excess *
                   ((high - low) - (high * high - low * low) / (2 * left_s));
    }
    return sum;
}

double ebb_hazards_survival(const struct ebb_hazards *h, const struct ebb_place *p,
                            double from_age_s, double to_age_s, int64_t now_wall_ns)
{
    double left_s = 0;
    if (!(to_age_s > from_age_s))
        return 1;
    const double *rate = rates_of(h, EBB_RATE_REVOCATION, ebb_hazards_node(h, p), now_wall_ns);
    double excess = ebb_hazards_bulk(h, p, now_wall_ns, &left_s) - 1;
    double sum = ebb_hazards_cumulative(rate, h->time_scale, from_age_s, to_age_s);
    if (excess > 0 && left_s > 0)
        sum += bulk_cumulative(h, rate, from_age_s, to_age_s, excess, left_s);
    return exp(-sum);
}

/* ---- learning ---- */

/* One piece of life as sums: hours in each bin, and the event in that of its end. */
static void piece_of(const struct ebb_hazards *h, double from_s, double to_s, bool event,
                     double weight, struct ebb_hazard_sums *out)
{
    double from = from_s * h->time_scale, to = to_s * h->time_scale;
    *out = (struct ebb_hazard_sums){0};
    for (int b = 0; b < EBB_AGE_BINS; b++) {
        double low = fmax(from, ebb_age_bin_from_s[b]), high = fmin(to, ebb_age_bin_from_s[b + 1]);
        if (high > low)
            out->exposure_hours[b] = weight * (high - low) / S_PER_HOUR;
    }
    if (event)
        out->events[bin_of(to)] = 1;
}

static void add_sums(struct ebb_hazard_sums *to, const struct ebb_hazard_sums *piece, double f)
{
    for (int b = 0; b < EBB_AGE_BINS; b++) {
        to->exposure_hours[b] += f * piece->exposure_hours[b];
        to->events[b] += f * piece->events[b];
    }
}

static double total(const double values[EBB_AGE_BINS])
{
    double sum = 0;
    for (int b = 0; b < EBB_AGE_BINS; b++)
        sum += values[b];
    return sum;
}

/* The cell's own sums begin anew with those since the change. */
static void reset(struct ebb_hazard_cell *c, const struct ebb_hazard_sums *since)
{
    c->sums = *since;
    c->since_rise = c->since_fall = (struct ebb_hazard_sums){0};
    c->rise = c->fall = 0;
    c->resets++;
}

static void close_block(struct ebb_hazard_cell *c)
{
    double z = (c->block_events - c->block_expected) / sqrt(OVERDISPERSION * c->block_expected);
    c->block_events = c->block_expected = 0;
    c->rise = fmax(0, c->rise + z - ALLOWANCE);
    c->fall = fmax(0, c->fall - z - ALLOWANCE);
    if (c->rise > ALARM)
        reset(c, &c->since_rise);
    else if (c->fall > ALARM)
        reset(c, &c->since_fall);
    if (c->rise == 0)
        c->since_rise = (struct ebb_hazard_sums){0};
    if (c->fall == 0)
        c->since_fall = (struct ebb_hazard_sums){0};
}

/* What a level gives up is given up above too, where it is part of the sums. */
static void close_level(const struct ebb_hazards *h, struct ebb_hazard_cell *const *path, int level)
{
    struct ebb_hazard_cell *c = path[level];
    const struct ebb_hazard_sums before = c->sums;
    uint32_t resets = c->resets;
    close_block(c);
    for (int i = 0; c->resets != resets && i < level; i++) {
        struct ebb_hazard_cell *up = path[i];
        double f = factor_after(h, c->wall_ns, up->wall_ns);
        for (int b = 0; b < EBB_AGE_BINS; b++) {
            double hours = before.exposure_hours[b] - c->sums.exposure_hours[b];
            double events = before.events[b] - c->sums.events[b];
            up->sums.exposure_hours[b] = fmax(0, up->sums.exposure_hours[b] - f * hours);
            up->sums.events[b] = fmax(0, up->sums.events[b] - f * events);
        }
    }
}

/* `rate`: what the cell thought before the piece was seen. */
static void watch_drift(struct ebb_hazard_cell *c, const struct ebb_hazard_sums *piece,
                        const double rate[EBB_AGE_BINS], double f)
{
    if (total(c->sums.events) < LEAST_LEARNED)
        return;
    for (int b = 0; b < EBB_AGE_BINS; b++)
        c->block_expected += piece->exposure_hours[b] * rate[b];
    c->block_events += total(piece->events);
    add_sums(&c->since_rise, piece, f);
    add_sums(&c->since_fall, piece, f);
}

/* Rates over their mean of the first day. */
static void shape_of(const double rate[EBB_AGE_BINS], double ret[EBB_AGE_BINS])
{
    double mean = ebb_hazards_cumulative(rate, 1, 0, DAY_S) / (DAY_S / S_PER_HOUR);
    for (int b = 0; b < EBB_AGE_BINS; b++)
        ret[b] = rate[b] / mean;
}

/* What is remembered of the place itself. */
static void note_place(const struct ebb_hazards *h, struct ebb_hazard_cell *c,
                       const struct ebb_hazard_piece *p)
{
    int64_t at_wall_ns = p->at_wall_ns;
    ebb_hazards_note_blocks(h, c, p);
    if (!p->event)
        return;
    double ago_s = fabs((double)(at_wall_ns - c->revoked_wall_ns)) / NS_PER_S * h->time_scale;
    bool is_sibling = c->revoked_wall_ns != 0 && ago_s < BULK_S;
    c->siblings += is_sibling;
    if (!is_sibling)
        ebb_hazards_note_serial(&c->serial, p->shorter);
    if (at_wall_ns > c->revoked_wall_ns)
        c->revoked_wall_ns = at_wall_ns;
}

void ebb_hazards_observe(struct ebb_hazards *h, enum ebb_rate r, const struct ebb_place *p,
                         double from_s, double to_s, bool event, int64_t at_wall_ns)
{
    if (!(from_s >= 0) || !(to_s >= from_s) || !isfinite(to_s))
        return;
    struct ebb_place level[LEVELS];
    struct ebb_hazard_sums piece;
    struct ebb_hazard_piece life = {from_s, to_s, at_wall_ns, event, {0}, 0};
    struct ebb_hazard_sums beside;
    struct ebb_hazard_cell *path[LEVELS];
    double rate[EBB_AGE_BINS], above[EBB_AGE_BINS];
    const struct ebb_hazard_node node = *ebb_hazards_node(h, p); /* as it is before */
    int n = ebb_hazards_levels(p, level);
    h->changes++;
    double weight = ebb_hazards_weight(h, r, p);
    piece_of(h, from_s, to_s, event, weight, &piece);
    begin(r, above);
    for (int i = 0; i < n; i++) {
        struct ebb_hazard_cell *c = node.at[r][i];
        if (c == NULL)
            c = ebb_hazards_make_cell(h, r, &level[i]);
        const struct ebb_hazard_cell *below = i + 1 < n ? node.at[r][i + 1] : NULL;
        ebb_hazards_discount(h, c, at_wall_ns);
        sums_beside(h, c, below, at_wall_ns, &beside);
        memcpy(rate, above, sizeof rate);
        descend(&c->sums, rate, NULL);
        descend(&beside, above, NULL);
        double f = factor_after(h, at_wall_ns, c->wall_ns); /* told late: it has aged already */
        watch_drift(c, &piece, rate, f);
        add_sums(&c->sums, &piece, f);
        if (event)
            ebb_hazards_note_age(c, to_s * h->time_scale);
        path[i] = c;
        if (c->block_expected >= BLOCK)
            close_level(h, path, i);
        if (i == 0)
            shape_of(rate, life.shape);
        if (i < LEVELS - 1)
            continue;
        life.shorter = -expm1(-weight * ebb_hazards_cumulative(rate, 1, 0, to_s * h->time_scale));
        note_place(h, c, &life);
    }
    if (!event || r != EBB_RATE_REVOCATION || n < LEVELS)
        return;
    struct ebb_place zone = {.provider = p->provider, .region = p->region, .zone = p->zone};
    struct ebb_hazard_cell *c = node.zone != NULL ? node.zone : ebb_hazards_make_cell(h, r, &zone);
    if (at_wall_ns > c->revoked_wall_ns)
        c->revoked_wall_ns = at_wall_ns;
}

void ebb_hazards_prior(struct ebb_hazards *h, const struct ebb_place *p, double per_hour)
{
    if (!(per_hour > 0) || !isfinite(per_hour))
        return;
    ebb_hazards_make_cell(h, EBB_RATE_REVOCATION, p)->prior_per_hour = per_hour;
    h->shape++;
    h->changes++;
}
