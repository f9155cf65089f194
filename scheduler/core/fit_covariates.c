/* Rows of equal type and zone are one cell with its revocations and its cumulative hazard, so a
 * Newton step costs by the number of levels, not of VMs. */
#include "scheduler/core/fit_covariates.h"

#include <math.h>
#include <string.h>

#include "scheduler/core/fit_linear.h"
#include "scheduler/core/fit_place.h"

#define MOST_LEVELS    200 /* types and zones */
#define ROUNDS         4
#define VARIANCE_STEPS 12
#define LEAST_VARIANCE 1e-4
#define NEWTON_STEPS   30
/* A group's standard deviation has a half-normal prior of this scale: places differ by a factor of
 * e^0.7, or hardly at all, but not by e^3, whatever two levels seem to say. */
#define PRIOR_DEVIATION 0.7
#define CPU_VARIANCE    1.0 /* of the coefficient of log2(cpus) */

struct cell {
    int32_t type, zone;
    int32_t column[EBB_FIT_EFFECTS]; /* of the levels, or -1 */
    double x;                        /* log2(cpus) less its mean */
    double revoked, exposed;
    double mean; /* expected revocations at the present effects */
};

struct regression {
    const struct ebb_lifetimes *l;
    const struct ebb_fit_covariates_options *o;
    struct ebb_fit_covariates *c;
    struct cell *cells;
    size_t cell_count;
    int32_t *cell_of_row;
    size_t columns; /* intercept, log2(cpus), levels */
    size_t first[EBB_FIT_EFFECTS];
    double *beta, *H, *inverse;
};

void ebb_fit_covariates_destroy(struct ebb_fit_covariates *c)
{
    if (c == NULL)
        return;
    for (size_t g = 0; g < EBB_FIT_EFFECTS; g++) {
        for (size_t i = 0; i < c->level_count[g]; i++)
            free(c->levels[g][i].name);
        free(c->levels[g]);
    }
    free(c);
}

static void regression_clean_up(struct regression *r)
{
    free(r->cells);
    free(r->cell_of_row);
    free(r->beta);
    free(r->H);
    free(r->inverse);
}

static const char *type_name(const struct ebb_lifetimes *l, int32_t type)
{
    return type < 0 ? "" : l->types.names[type];
}

static const char *zone_name(const struct ebb_lifetimes *l, int32_t zone)
{
    return zone < 0 ? "" : l->zones.names[zone];
}

/* The name of a cell's level in group g, malloc'ed; NULL: it has none there. */
static char *level_name(const char *type, const char *zone, size_t g)
{
    switch (g) {
    case EBB_FIT_EFFECT_TYPE:
        return *type == '\0' ? NULL : ebb_strdup(type);
    case EBB_FIT_EFFECT_REGION:
        return *zone == '\0' ? NULL : ebb_region_of_zone(zone);
    default:
        return *zone == '\0' ? NULL : ebb_strdup(zone);
    }
}

static const struct ebb_fit_level *find_level(const struct ebb_fit_covariates *c, size_t g,
                                              const char *name, int32_t *ret_index)
{
    for (size_t i = 0; i < c->level_count[g]; i++) {
        if (strcmp(c->levels[g][i].name, name) == 0) {
            *ret_index = (int32_t)i;
            return &c->levels[g][i];
        }
    }
    return NULL;
}

static int32_t add_level(struct ebb_fit_covariates *c, size_t g, char *name)
{
    int32_t index = -1;
    if (name == NULL)
        return -1;
    if (find_level(c, g, name, &index) != NULL) {
        free(name);
        return index;
    }
    size_t n = c->level_count[g]++;
    c->levels[g] = ebb_realloc_array(c->levels[g], n + 1, sizeof *c->levels[g]);
    c->levels[g][n] = (struct ebb_fit_level){.name = name};
    return (int32_t)n;
}

static void gather_cells(struct regression *r)
{
    const struct ebb_lifetimes *l = r->l;
    size_t zones = l->zones.count + 1, pairs = (l->types.count + 1) * zones;
    EBB_AUTO_FREE int32_t *cell_of = ebb_alloc_array(pairs, sizeof *cell_of); /* plus one */
    r->cells = ebb_alloc_array(pairs < l->count + 1 ? pairs : l->count + 1, sizeof *r->cells);
    r->cell_of_row = ebb_alloc_array(l->count + 1, sizeof *r->cell_of_row);
    for (size_t i = 0; i < l->count; i++) {
        const struct ebb_lifetime *row = &l->rows[i];
        int32_t *cell = &cell_of[(size_t)(row->type + 1) * zones + (size_t)(row->zone + 1)];
        if (*cell == 0) {
            r->cells[r->cell_count++] = (struct cell){.type = row->type, .zone = row->zone};
            *cell = (int32_t)r->cell_count;
        }
        r->cell_of_row[i] = *cell - 1;
        r->cells[*cell - 1].revoked += row->end == EBB_LIFETIME_REVOKED;
    }
}

/* log2(cpus) of each cell less the mean over the rows that tell it; 0 for the others. */
static void set_cpus(struct regression *r)
{
    double sum = 0, known = 0, first = -1;
    for (size_t i = 0; i < r->l->count; i++) {
        unsigned cpus = ebb_cpus_of_type(type_name(r->l, r->l->rows[i].type));
        if (cpus == 0)
            continue;
        sum += log2(cpus);
        known++;
        r->c->has_cpus |= first > 0 && first != cpus;
        first = cpus;
    }
    r->c->mean_log2_cpu = known > 0 ? sum / known : 0;
    for (size_t i = 0; i < r->cell_count; i++) {
        unsigned cpus = ebb_cpus_of_type(type_name(r->l, r->cells[i].type));
        r->cells[i].x = r->c->has_cpus && cpus > 0 ? log2(cpus) - r->c->mean_log2_cpu : 0;
    }
}

static bool uses_effect(const struct regression *r, size_t g)
{
    return r->o->pooled || g == EBB_FIT_EFFECT_ZONE ||
           (g == EBB_FIT_EFFECT_TYPE && !r->c->has_cpus);
}

/* Without pooling a level needs revocations of its own. */
static bool has_own_level(const struct regression *r, const struct cell *cell, size_t g)
{
    if (r->o->pooled)
        return true;
    double revoked = 0;
    for (size_t i = 0; i < r->cell_count; i++) {
        bool same = g == EBB_FIT_EFFECT_ZONE ? r->cells[i].zone == cell->zone
                                             : r->cells[i].type == cell->type;
        revoked += same ? r->cells[i].revoked : 0;
    }
    return revoked >= 3;
}

static void set_levels(struct regression *r)
{
    r->columns = 2;
    for (size_t g = 0; g < EBB_FIT_EFFECTS; g++) {
        r->first[g] = r->columns;
        r->c->deviation[g] = PRIOR_DEVIATION;
        for (size_t i = 0; i < r->cell_count; i++) {
            struct cell *cell = &r->cells[i];
            bool used = uses_effect(r, g) && has_own_level(r, cell, g);
            cell->column[g] = used ? add_level(r->c, g,
                                               level_name(type_name(r->l, cell->type),
                                                          zone_name(r->l, cell->zone), g))
                                   : -1;
        }
        r->columns += r->c->level_count[g];
    }
    for (size_t i = 0; i < r->cell_count; i++) {
        for (size_t g = 0; g < EBB_FIT_EFFECTS; g++)
            r->cells[i].column[g] += r->cells[i].column[g] >= 0 ? (int32_t)r->first[g] : 0;
    }
}

static double linear_predictor(const struct regression *r, const struct cell *cell)
{
    double eta = r->beta[0] + r->beta[1] * cell->x;
    for (size_t g = 0; g < EBB_FIT_EFFECTS; g++)
        eta += cell->column[g] >= 0 ? r->beta[cell->column[g]] : 0;
    return fmin(fmax(eta, -30), 30);
}

static double penalty(const struct regression *r, size_t column)
{
    if (column == 0)
        return r->o->pooled ? 0 : 1e-6; /* intercept and levels are not told apart by the data */
    if (column == 1)
        return 1 / CPU_VARIANCE;
    if (!r->o->pooled)
        return 1e-6;
    size_t g = EBB_FIT_EFFECTS - 1;
    while (column < r->first[g])
        g--;
    return 1 / (r->c->deviation[g] * r->c->deviation[g]);
}

/* The columns in which a cell is not 0, and its values there; returns their number. */
static size_t cell_row(const struct cell *cell, size_t *at, double *value)
{
    size_t n = 0;
    at[n] = 0;
    value[n++] = 1;
    at[n] = 1;
    value[n++] = cell->x;
    for (size_t g = 0; g < EBB_FIT_EFFECTS; g++) {
        if (cell->column[g] >= 0) {
            at[n] = (size_t)cell->column[g];
            value[n++] = 1;
        }
    }
    return n;
}

static double penalised_likelihood(const struct regression *r)
{
    double sum = 0;
    for (size_t i = 0; i < r->cell_count; i++) {
        double eta = linear_predictor(r, &r->cells[i]);
        sum += r->cells[i].revoked * eta - r->cells[i].exposed * exp(eta);
    }
    for (size_t k = 0; k < r->columns; k++)
        sum -= 0.5 * penalty(r, k) * r->beta[k] * r->beta[k];
    return sum;
}

/* The information X^T W X (without the penalties) into H, and the gradient. */
static void derivatives(struct regression *r, double *gradient)
{
    size_t p = r->columns;
    memset(r->H, 0, p * p * sizeof *r->H);
    for (size_t k = 0; k < p; k++)
        gradient[k] = -penalty(r, k) * r->beta[k];
    for (size_t i = 0; i < r->cell_count; i++) {
        struct cell *cell = &r->cells[i];
        size_t at[2 + EBB_FIT_EFFECTS], n;
        double value[2 + EBB_FIT_EFFECTS];
        n = cell_row(cell, at, value);
        cell->mean = cell->exposed * exp(linear_predictor(r, cell));
        for (size_t a = 0; a < n; a++) {
            gradient[at[a]] += value[a] * (cell->revoked - cell->mean);
            for (size_t b = 0; b < n; b++)
                r->H[at[a] * p + at[b]] += value[a] * value[b] * cell->mean;
        }
    }
}

static void add_penalties(struct regression *r)
{
    for (size_t k = 0; k < r->columns; k++)
        r->H[k * r->columns + k] += penalty(r, k) + 1e-9;
}

/* Newton's method with halved steps where a whole one overshoots. */
static void solve_effects(struct regression *r)
{
    size_t p = r->columns;
    EBB_AUTO_FREE double *step = ebb_alloc_array(p, sizeof *step);
    EBB_AUTO_FREE double *old = ebb_alloc_array(p, sizeof *old);
    for (int n = 0; n < NEWTON_STEPS; n++) {
        double before = penalised_likelihood(r);
        derivatives(r, step);
        add_penalties(r);
        if (!ebb_cholesky(r->H, p))
            return;
        ebb_cholesky_solve(r->H, p, step);
        memcpy(old, r->beta, p * sizeof *old);
        double gain = -1;
        for (double scale = 1; gain < 0 && scale > 1e-3; scale /= 2) {
            for (size_t k = 0; k < p; k++)
                r->beta[k] = old[k] + scale * step[k];
            gain = penalised_likelihood(r) - before;
        }
        if (gain < 0)
            memcpy(r->beta, old, p * sizeof *old);
        if (!(gain > 1e-9))
            return;
    }
}

/* The effects' covariance at the present point. false: it has none. */
static bool set_covariance(struct regression *r)
{
    size_t p = r->columns;
    EBB_AUTO_FREE double *gradient = ebb_alloc_array(p, sizeof *gradient);
    derivatives(r, gradient);
    add_penalties(r);
    if (!ebb_cholesky(r->H, p))
        return false;
    ebb_cholesky_invert(r->H, p, r->inverse);
    return true;
}

/* The variance v of a group that maximises Laplace's approximation to the marginal likelihood, by
 * MacKay's fixed point (1992), which reaches small variances in a few steps where EM creeps: with
 * g = sum (1 - C_kk / v) effects determined by the data, 0 = -g/v + sum u^2/v^2 - 1/s^2, the last
 * term from the prior. */
static void update_variances(struct regression *r)
{
    const double s2 = PRIOR_DEVIATION * PRIOR_DEVIATION;
    for (size_t g = 0; r->o->pooled && g < EBB_FIT_EFFECTS; g++) {
        double squares = 0, determined = 0, v = r->c->deviation[g] * r->c->deviation[g];
        for (size_t i = 0; i < r->c->level_count[g]; i++) {
            size_t k = r->first[g] + i;
            squares += r->beta[k] * r->beta[k];
            determined += fmax(0, 1 - r->inverse[k * r->columns + k] / v);
        }
        v = (sqrt(determined * determined + 4 * squares / s2) - determined) * s2 / 2;
        r->c->deviation[g] = sqrt(fmax(v, LEAST_VARIANCE));
    }
}

static void set_exposure(struct regression *r)
{
    for (size_t i = 0; i < r->cell_count; i++)
        r->cells[i].exposed = 0;
    for (size_t i = 0; i < r->l->count; i++)
        r->cells[r->cell_of_row[i]].exposed +=
            ebb_fit_curve_cumulative(&r->c->baseline.curve, r->l->rows[i].age_h);
}

/* The curve of age given the effects; also the log-likelihood of both. `last`: with the standard
 * errors of the curve, at those effects. */
static bool fit_baseline(struct regression *r, const struct ebb_fit_estimate *start, bool last)
{
    EBB_AUTO_FREE double *m = ebb_alloc_array(r->l->count + 1, sizeof *m);
    for (size_t i = 0; i < r->l->count; i++)
        m[i] = exp(linear_predictor(r, &r->cells[r->cell_of_row[i]]));
    EBB_AUTO(ebb_fit_sample_clean_up) struct ebb_fit_sample s;
    ebb_fit_sample_init(&s, r->l, m);
    struct ebb_fit_estimate e;
    if (!ebb_fit_estimate(r->o->baseline, &s, r->o->limit_h, start, &e))
        return false;
    if (last)
        ebb_fit_estimate_errors(&s, r->o->limit_h, &e);
    r->c->baseline = e;
    r->c->log_likelihood = e.log_likelihood;
    return true;
}

/* The trace of (X^T W X) (X^T W X + P)^-1 = columns - trace(P inverse); the intercept is the
 * curve's. */
static void set_degrees(struct regression *r)
{
    double trace = (double)r->columns - 1;
    for (size_t k = 1; k < r->columns; k++)
        trace -= fmin(1, (penalty(r, k) + 1e-9) * r->inverse[k * r->columns + k]);
    r->c->degrees = (double)r->c->baseline.curve.count + trace;
}

static void keep_effects(struct regression *r)
{
    struct ebb_fit_covariates *c = r->c;
    size_t p = r->columns;
    c->intercept = r->beta[0];
    c->log2_cpu = c->has_cpus ? r->beta[1] : 0;
    c->log2_cpu_error = c->has_cpus ? sqrt(r->inverse[p + 1]) : NAN;
    for (size_t g = 0; g < EBB_FIT_EFFECTS; g++) {
        for (size_t i = 0; i < c->level_count[g]; i++) {
            size_t k = r->first[g] + i;
            c->levels[g][i].value = r->beta[k];
            c->levels[g][i].standard_error = sqrt(r->inverse[k * p + k]);
            for (size_t j = 0; j < r->cell_count; j++) {
                bool in = r->cells[j].column[g] == (int32_t)k;
                c->levels[g][i].revoked += in ? r->cells[j].revoked : 0;
                c->levels[g][i].exposed += in ? r->cells[j].exposed : 0;
            }
        }
    }
    set_degrees(r);
}

static bool fit(struct regression *r, const struct ebb_fit_estimate *start)
{
    size_t p = r->columns;
    r->beta = ebb_alloc_array(p, sizeof *r->beta);
    r->H = ebb_alloc_array(p * p, sizeof *r->H);
    r->inverse = ebb_alloc_array(p * p, sizeof *r->inverse);
    if (!fit_baseline(r, start, false))
        return false;
    for (int round = 0; round < ROUNDS; round++) {
        set_exposure(r);
        for (int step = 0; step < (r->o->pooled ? VARIANCE_STEPS : 1); step++) {
            solve_effects(r);
            if (!set_covariance(r))
                return false;
            update_variances(r);
        }
        struct ebb_fit_estimate before = r->c->baseline;
        if (!fit_baseline(r, &before, round + 1 == ROUNDS))
            return false;
    }
    keep_effects(r);
    return true;
}

struct ebb_fit_covariates *ebb_fit_covariates_new(const struct ebb_lifetimes *l,
                                                  const struct ebb_fit_covariates_options *o,
                                                  const struct ebb_fit_estimate *start)
{
    if (ebb_lifetimes_count(l, EBB_LIFETIME_REVOKED) < 10 ||
        l->types.count + l->zones.count > MOST_LEVELS)
        return NULL;
    EBB_AUTO(ebb_fit_covariates_auto)
    struct ebb_fit_covariates *c = ebb_alloc(sizeof *c);
    EBB_AUTO(regression_clean_up) struct regression r = {.l = l, .o = o, .c = c};
    gather_cells(&r);
    set_cpus(&r);
    set_levels(&r);
    if (r.cell_count < 2 || !fit(&r, start))
        return NULL;
    return EBB_TAKE(c);
}

static double multiplier(const struct ebb_fit_covariates *c, const char *type, const char *zone)
{
    double eta = c->intercept;
    unsigned cpus = ebb_cpus_of_type(type);
    if (c->has_cpus && cpus > 0)
        eta += c->log2_cpu * (log2(cpus) - c->mean_log2_cpu);
    for (size_t g = 0; g < EBB_FIT_EFFECTS; g++) {
        EBB_AUTO_FREE char *name = level_name(type, zone, g);
        int32_t index;
        const struct ebb_fit_level *level = name == NULL ? NULL : find_level(c, g, name, &index);
        eta += level == NULL ? 0 : level->value;
    }
    return exp(fmin(fmax(eta, -30), 30));
}

/* One look at the names for each pair of type and zone: pairs are few, rows many. */
void ebb_fit_covariates_multipliers(const struct ebb_fit_covariates *c,
                                    const struct ebb_lifetimes *l, double *ret)
{
    size_t zones = l->zones.count + 1, pairs = (l->types.count + 1) * zones;
    EBB_AUTO_FREE double *known = ebb_alloc_array(pairs, sizeof *known);
    for (size_t i = 0; i < l->count; i++) {
        size_t pair = (size_t)(l->rows[i].type + 1) * zones + (size_t)(l->rows[i].zone + 1);
        if (known[pair] == 0)
            known[pair] =
                multiplier(c, type_name(l, l->rows[i].type), zone_name(l, l->rows[i].zone));
        ret[i] = known[pair];
    }
}

double ebb_fit_covariates_log_likelihood(const struct ebb_fit_covariates *c,
                                         const struct ebb_lifetimes *l)
{
    EBB_AUTO_FREE double *m = ebb_alloc_array(l->count + 1, sizeof *m);
    ebb_fit_covariates_multipliers(c, l, m);
    EBB_AUTO(ebb_fit_sample_clean_up) struct ebb_fit_sample s;
    ebb_fit_sample_init(&s, l, m);
    return ebb_fit_log_likelihood(&c->baseline.curve, &s);
}

void ebb_fit_mean_init(struct ebb_fit_mean *mean, const struct ebb_fit_covariates *c,
                       const struct ebb_lifetimes *l)
{
    EBB_AUTO_FREE double *m = ebb_alloc_array(l->count + 1, sizeof *m);
    ebb_fit_covariates_multipliers(c, l, m);
    EBB_AUTO(ebb_fit_sample_clean_up) struct ebb_fit_sample weighted, plain;
    ebb_fit_sample_init(&weighted, l, m);
    ebb_fit_sample_init(&plain, l, NULL);
    size_t n = plain.count;
    *mean = (struct ebb_fit_mean){.baseline = c->baseline.curve,
                                  .count = n,
                                  .age_h = ebb_alloc_array(n + 1, sizeof(double)),
                                  .cumulative = ebb_alloc_array(n + 1, sizeof(double)),
                                  .ratio = ebb_alloc_array(n + 1, sizeof(double))};
    double weight = 0, at_risk = 0, before = 0, sum = 0;
    for (size_t i = n; i-- > 0;) {
        weight += weighted.exposed[i];
        at_risk += plain.exposed[i];
        mean->ratio[i] = weight / at_risk;
    }
    for (size_t i = 0; i < n; i++) {
        double H = ebb_fit_curve_cumulative(&mean->baseline, plain.age_h[i]);
        sum += (H - before) * mean->ratio[i];
        before = H;
        mean->age_h[i] = plain.age_h[i];
        mean->cumulative[i] = sum;
    }
}

void ebb_fit_mean_clean_up(struct ebb_fit_mean *m)
{
    free(m->age_h);
    free(m->cumulative);
    free(m->ratio);
    *m = (struct ebb_fit_mean){0};
}

/* The first entry at age_h or later; the last one beyond them all. */
static size_t entry_at(const struct ebb_fit_mean *m, double age_h)
{
    size_t low = 0, high = m->count - 1;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (m->age_h[mid] >= age_h)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

double ebb_fit_mean_cumulative(const struct ebb_fit_mean *m, double age_h)
{
    size_t i = entry_at(m, age_h);
    double gap = ebb_fit_curve_cumulative(&m->baseline, m->age_h[i]) -
                 ebb_fit_curve_cumulative(&m->baseline, age_h);
    return fmax(0, m->cumulative[i] - gap * m->ratio[i]);
}

double ebb_fit_mean_hazard(const struct ebb_fit_mean *m, double age_h)
{
    return ebb_fit_curve_hazard(&m->baseline, age_h) * m->ratio[entry_at(m, age_h)];
}
