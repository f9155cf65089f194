/* Whether long lives of a place follow long ones.
 *
 * Lives that follow one another are alike (of up-runs in traces of 2022 and 2023 the rank
 * correlation is about 0.15, two lives apart about 0.1): part of why hazard falls with age is that
 * there are times of short lives and times of long ones. A life is told as a score, sqrt(12) (u -
 * 1/2), u the probability of a shorter one by the hazards known before. With products of scores
 * one and two lives apart, s1 and s2 on average, a normal copula has the correlations
 *
 *     r = 2 sin(pi s / 6)      (Pearson 1907, of Spearman's s)
 *
 * and an AR(1) seen through noise has r1 = share keep, r2 = share keep^2. */
#include <math.h>
#include <string.h>

#include "scheduler/core/hazards_cell.h"

#define WEIGHT    (1 / (0.15 * 0.15)) /* pairs, of a prior of correlations 0 +- 0.15 */
#define KEEP      0.5                 /* where nothing tells it */
#define MOST_KEEP 0.95
#define MOST      0.9

void ebb_hazards_note_serial(struct ebb_hazard_serial *s, double shorter)
{
    double score = sqrt(12) * (fmin(fmax(shorter, 0), 1) - 0.5);
    if (s->known > 0) {
        s->lag1 += score * s->last;
        s->pairs1 += 1;
    }
    if (s->known > 1) {
        s->lag2 += score * s->before;
        s->pairs2 += 1;
    }
    s->before = s->last;
    s->last = score;
    s->known = s->known < 2 ? s->known + 1 : 2;
}

/* Of all places, aged to a common moment: one that was not seen lately counts less. */
static void sum_up(const struct ebb_hazards *h, enum ebb_rate r, struct ebb_hazard_serial *ret)
{
    size_t cursor = 0;
    int64_t newest = 0;
    void *at = NULL;
    *ret = (struct ebb_hazard_serial){0};
    while (ebb_map_next(h->cells, &cursor, &at) != NULL) {
        const struct ebb_hazard_cell *c = at;
        newest = c->rate == r && c->wall_ns > newest ? c->wall_ns : newest;
    }
    cursor = 0;
    while (ebb_map_next(h->cells, &cursor, &at) != NULL) {
        const struct ebb_hazard_cell *c = at;
        if (c->rate != r || c->serial.known == 0)
            continue;
        double ago_s = (double)(newest - c->wall_ns) / 1e9 * h->time_scale;
        double f = h->half_life_s > 0 ? exp2(-ago_s / h->half_life_s) : 1;
        ret->lag1 += f * c->serial.lag1;
        ret->pairs1 += f * c->serial.pairs1;
        ret->lag2 += f * c->serial.lag2;
        ret->pairs2 += f * c->serial.pairs2;
    }
}

static double of_normals(double products)
{
    return 2 * sin(M_PI / 6 * fmin(1, fmax(-1, products)));
}

void ebb_hazards_regime(const struct ebb_hazards *h, enum ebb_rate r, const struct ebb_place *p,
                        struct ebb_hazard_regime *ret)
{
    struct ebb_hazard_serial all;
    sum_up(h, r, &all);
    double s1 = all.lag1 / (all.pairs1 + WEIGHT), s2 = all.lag2 / (all.pairs2 + WEIGHT);
    double keep = (fmax(0, all.lag2) + KEEP * WEIGHT * s1) / (fmax(0, all.lag1) + WEIGHT * s1);
    const struct ebb_hazard_cell *c = ebb_hazards_cell(h, r, p);
    if (c != NULL) {
        s1 = (c->serial.lag1 + WEIGHT * s1) / (c->serial.pairs1 + WEIGHT);
        s2 = (c->serial.lag2 + WEIGHT * s2) / (c->serial.pairs2 + WEIGHT);
    }
    *ret = (struct ebb_hazard_regime){0, KEEP};
    if (!(s1 > 0) || !(keep > 0))
        return;
    ret->keep = fmin(MOST_KEEP, keep);
    /* Both lags tell the share; the sum of r1 and r2 is share keep (1 + keep). */
    double both = of_normals(s1) + of_normals(fmax(0, s2));
    ret->share = fmin(MOST, both / (ret->keep * (1 + ret->keep)));
}
