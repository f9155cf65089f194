/* How far the rates of the next days are from those learned.
 *
 * Each half day k of a place has n events in hours e, weighted by age. The half days up to k - lag,
 * discounted as the hazards are, foretell m = e S / T, with S events in T hours (2 events of the
 * mean of all places added). If n is Poisson around m f, f of mean 1 and variance v, then
 *
 *     E (n - m)^2 = m + m^2 / S' + v m^2,      S' the effective number of events behind S
 *
 * and between places i, j  E (n_i - m_i)(n_j - m_j) = c m_i m_j, c the variance that they share. So
 * v and c are sums over sums, over all half days and over lags up to a week, as far as bags reach
 * ahead. The lags tell the same days several times, so their sums are divided by their number. A
 * prior of WEIGHT in units of m^2 keeps them sane: an estimate from m^2 alone has a variance of
 * 2 / sum m^2, and the prior one of 0.15^2. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/hazards_cell.h"

#define BLOCKS       EBB_HAZARD_BLOCKS
#define NS_PER_S     1e9
#define LEAST_EVENTS 4.0 /* before a forecast is judged */
#define PULL         2.0 /* events of the mean of all places */
#define PRIOR_OWN    0.1
#define PRIOR_REGION 0.05
#define PRIOR_ALL    0.03
#define WEIGHT       (2 / (0.15 * 0.15))
#define MOST         1.0
#define LAGS         4

static const int lags[LAGS] = {1, 4, 8, 14};

/* ---- noting ---- */

void ebb_hazards_add_block(struct ebb_hazard_cell *c, int64_t block, double seen, double hours)
{
    if (c->blocks == NULL) {
        c->blocks = ebb_alloc(sizeof *c->blocks);
        c->blocks->newest = block;
    }
    struct ebb_hazard_blocks *b = c->blocks;
    if (block <= b->newest - BLOCKS)
        return;
    int64_t from = block - BLOCKS > b->newest ? block - BLOCKS : b->newest;
    for (int64_t k = from + 1; k <= block; k++)
        b->seen[k % BLOCKS] = b->hours[k % BLOCKS] = 0;
    b->newest = block > b->newest ? block : b->newest;
    b->seen[block % BLOCKS] += seen;
    b->hours[block % BLOCKS] += hours;
}

void ebb_hazards_note_blocks(const struct ebb_hazards *h, struct ebb_hazard_cell *c,
                             const struct ebb_hazard_piece *p)
{
    double at_s = (double)p->at_wall_ns / NS_PER_S * h->time_scale;
    double from = p->from_s * h->time_scale, to = p->to_s * h->time_scale;
    int64_t last = (int64_t)floor(at_s / EBB_HAZARD_BLOCK_S);
    int64_t first = (int64_t)floor((at_s - (to - from)) / EBB_HAZARD_BLOCK_S);
    first = first < last - BLOCKS + 1 ? last - BLOCKS + 1 : first;
    for (int64_t k = first < 0 ? 0 : first; k <= last; k++) {
        /* ages at its ends */
        double low = fmax(from, to - (at_s - (double)k * EBB_HAZARD_BLOCK_S));
        double high = fmin(to, to - (at_s - (double)(k + 1) * EBB_HAZARD_BLOCK_S));
        double hours = high > low ? ebb_hazards_cumulative(p->shape, 1, low, high) : 0;
        if (hours > 0 || (p->event && k == last))
            ebb_hazards_add_block(c, k, p->event && k == last ? 1 : 0, hours);
    }
}

/* ---- judging ---- */

/* A place's forecasts at one lag. */
struct series {
    double rest[BLOCKS], mean[BLOCKS], chance[BLOCKS]; /* mean 0: no forecast */
};

static double value(const double *values, const struct ebb_hazard_blocks *b, int64_t block)
{
    return block >= 0 && block <= b->newest && block > b->newest - BLOCKS ? values[block % BLOCKS]
                                                                          : 0;
}

static void foretell(const struct ebb_hazard_blocks *b, int64_t newest, double rate, double keep,
                     int lag, struct series *ret)
{
    double events = 0, hours = 0, squares = 0;
    *ret = (struct series){0};
    for (int i = lag; i < BLOCKS; i++) {
        int64_t block = newest - BLOCKS + 1 + i;
        events = keep * events + value(b->seen, b, block - lag);
        hours = keep * hours + value(b->hours, b, block - lag);
        squares = keep * keep * squares + value(b->seen, b, block - lag);
        double e = value(b->hours, b, block);
        if (events < LEAST_EVENTS || e <= 0)
            continue;
        double m = e * (events + PULL) / (hours + PULL / rate);
        ret->mean[i] = m;
        ret->rest[i] = value(b->seen, b, block) - m;
        ret->chance[i] = m + m * m * squares / ((events + PULL) * (events + PULL));
    }
}

/* The newest half day, and events an hour of all places. */
static int64_t newest_block(const struct ebb_hazards *h, enum ebb_rate r, double *ret_rate)
{
    size_t cursor = 0;
    double events = 0, hours = 0;
    int64_t newest = 0;
    void *at = NULL;
    while (ebb_map_next(h->cells, &cursor, &at) != NULL) {
        const struct ebb_hazard_cell *c = at;
        if (c->rate != r || c->blocks == NULL)
            continue;
        newest = c->blocks->newest > newest ? c->blocks->newest : newest;
        for (int i = 0; i < BLOCKS; i++) {
            events += c->blocks->seen[i];
            hours += c->blocks->hours[i];
        }
    }
    *ret_rate = events > 0 && hours > 0 ? events / hours : 1;
    return newest;
}

struct sums {
    double error, squares;
};

/* Sums over the places of a group, by half day: of all products of two places it is the square of
 * the sum less the squares. */
struct group {
    const char *provider, *region; /* NULL: all */
    double rest[BLOCKS], mean[BLOCKS], rest_squared[BLOCKS], mean_squared[BLOCKS];
};

static void add_to_group(struct group *g, const struct series *s)
{
    for (int i = 0; i < BLOCKS; i++) {
        g->rest[i] += s->rest[i];
        g->mean[i] += s->mean[i];
        g->rest_squared[i] += s->rest[i] * s->rest[i];
        g->mean_squared[i] += s->mean[i] * s->mean[i];
    }
}

static void add_pairs(const struct group *g, struct sums *to)
{
    for (int i = 0; i < BLOCKS; i++) {
        to->error += g->rest[i] * g->rest[i] - g->rest_squared[i];
        to->squares += g->mean[i] * g->mean[i] - g->mean_squared[i];
    }
}

static struct group *group_of(struct group *list, size_t *count, const struct ebb_hazard_cell *c)
{
    size_t i = 0;
    while (i < *count &&
           (strcmp(list[i].region, c->region) != 0 || strcmp(list[i].provider, c->provider) != 0))
        i++;
    if (i == *count)
        list[(*count)++] = (struct group){.provider = c->provider, .region = c->region};
    return &list[i];
}

struct spread {
    struct sums own, region, all;
};

static void add_lag(const struct ebb_hazards *h, enum ebb_rate r, int lag, struct spread *to)
{
    double rate, half_blocks = h->half_life_s / EBB_HAZARD_BLOCK_S;
    double keep = half_blocks > 0 ? exp2(-1 / half_blocks) : 1;
    int64_t newest = newest_block(h, r, &rate);
    EBB_AUTO_FREE struct group *regions =
        ebb_alloc_array(ebb_map_count(h->cells) + 1, sizeof *regions);
    struct group all = {0};
    struct sums near = {0}, any = {0};
    size_t cursor = 0, count = 0;
    void *at = NULL;
    while (ebb_map_next(h->cells, &cursor, &at) != NULL) {
        const struct ebb_hazard_cell *c = at;
        struct series s;
        if (c->rate != r || c->blocks == NULL)
            continue;
        foretell(c->blocks, newest, rate, keep, lag, &s);
        add_to_group(group_of(regions, &count, c), &s);
        add_to_group(&all, &s);
        for (int i = 0; i < BLOCKS; i++) {
            to->own.error += s.rest[i] * s.rest[i] - s.chance[i];
            to->own.squares += s.mean[i] * s.mean[i];
        }
    }
    for (size_t i = 0; i < count; i++)
        add_pairs(&regions[i], &near);
    add_pairs(&all, &any);
    to->region.error += near.error;
    to->region.squares += near.squares;
    to->all.error += any.error - near.error;
    to->all.squares += any.squares - near.squares;
}

static double shrunk(const struct sums *s, double prior)
{
    double error = s->error / LAGS, squares = s->squares / LAGS;
    return fmin(MOST, fmax(0, (error + prior * WEIGHT) / (squares + WEIGHT)));
}

void ebb_hazards_spread(const struct ebb_hazards *h, enum ebb_rate r, struct ebb_hazard_spread *ret)
{
    struct spread s = {0};
    for (int i = 0; i < LAGS; i++)
        add_lag(h, r, lags[i], &s);
    double total = shrunk(&s.own, PRIOR_OWN);
    double of_region = fmin(total, shrunk(&s.region, PRIOR_REGION));
    double of_all = fmin(of_region, shrunk(&s.all, PRIOR_ALL));
    *ret = (struct ebb_hazard_spread){.all = of_all,
                                      .region = of_region - of_all,
                                      .own = total - of_region,
                                      .doubt = sqrt(2 / (s.own.squares / LAGS + WEIGHT))};
}
