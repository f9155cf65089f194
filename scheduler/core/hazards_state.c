/* What was learned, as a message and back. A message may come from another machine's file: all of
 * it is checked before anything is added. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/hazards_cell.h"

#define VERSION     1
#define MOST_CELLS  100000
#define MOST_TEXT   60
#define MOST_AMOUNT 1e12 /* hours, events */
#define MOST_SCORE  1.7321
#define MOST_BLOCK  INT64_C(1000000000000)

/* ---- out ---- */

static Ebb__HazardSums *sums_new(const struct ebb_hazard_sums *s)
{
    Ebb__HazardSums *m = ebb_alloc(sizeof *m);
    ebb__hazard_sums__init(m);
    m->exposure_hours = ebb_memdup(s->exposure_hours, sizeof s->exposure_hours);
    m->events = ebb_memdup(s->events, sizeof s->events);
    m->n_exposure_hours = m->n_events = EBB_AGE_BINS;
    return m;
}

static void save_blocks(const struct ebb_hazard_blocks *b, Ebb__HazardCell *m)
{
    int64_t first = b->newest - EBB_HAZARD_BLOCKS + 1;
    m->block_seen = ebb_alloc_array(EBB_HAZARD_BLOCKS, sizeof(double));
    m->block_hours = ebb_alloc_array(EBB_HAZARD_BLOCKS, sizeof(double));
    for (int64_t k = first > 0 ? first : 0; k <= b->newest; k++) {
        size_t at = (size_t)(k % EBB_HAZARD_BLOCKS);
        if (m->n_block_seen == 0 && b->seen[at] == 0 && b->hours[at] == 0)
            continue;
        if (m->n_block_seen == 0)
            m->first_block = k;
        m->block_seen[m->n_block_seen++] = b->seen[at];
        m->block_hours[m->n_block_hours++] = b->hours[at];
    }
}

static Ebb__HazardSerial *serial_new(const struct ebb_hazard_serial *s)
{
    Ebb__HazardSerial *m = ebb_alloc(sizeof *m);
    ebb__hazard_serial__init(m);
    m->last = s->last;
    m->before = s->before;
    m->known = s->known;
    m->lag1 = s->lag1;
    m->pairs1 = s->pairs1;
    m->lag2 = s->lag2;
    m->pairs2 = s->pairs2;
    return m;
}

static Ebb__HazardCell *cell_new(const struct ebb_hazard_cell *c)
{
    Ebb__HazardCell *m = ebb_alloc(sizeof *m);
    ebb__hazard_cell__init(m);
    m->rate = (uint32_t)c->rate;
    m->provider = ebb_strdup(c->provider);
    m->region = ebb_strdup(c->region);
    m->zone = ebb_strdup(c->zone);
    m->type = ebb_strdup(c->type);
    m->wall_ns = c->wall_ns;
    m->sums = sums_new(&c->sums);
    m->since_rise = sums_new(&c->since_rise);
    m->since_fall = sums_new(&c->since_fall);
    m->rise = c->rise;
    m->fall = c->fall;
    m->block_expected = c->block_expected;
    m->block_events = c->block_events;
    m->revoked_wall_ns = c->revoked_wall_ns;
    m->prior_per_hour = c->prior_per_hour;
    m->resets = c->resets;
    m->siblings = c->siblings;
    m->youngest_s = c->youngest_s;
    if (c->serial.known > 0)
        m->serial = serial_new(&c->serial);
    if (c->blocks != NULL)
        save_blocks(c->blocks, m);
    return m;
}

Ebb__HazardState *ebb_hazards_save(const struct ebb_hazards *h)
{
    Ebb__HazardState *m = ebb_alloc(sizeof *m);
    ebb__hazard_state__init(m);
    m->version = VERSION;
    m->half_life_s = h->half_life_s;
    m->age_from_s = ebb_memdup(ebb_age_bin_from_s, EBB_AGE_BINS * sizeof *ebb_age_bin_from_s);
    m->n_age_from_s = EBB_AGE_BINS;
    m->cells = ebb_alloc_array(ebb_map_count(h->cells) + 1, sizeof(*m->cells));
    size_t cursor = 0;
    void *cell = NULL;
    while (ebb_map_next(h->cells, &cursor, &cell) != NULL)
        m->cells[m->n_cells++] = cell_new(cell);
    return m;
}

/* ---- in ---- */

static bool is_amount(double v)
{
    return v >= 0 && v <= MOST_AMOUNT;
}

static bool sums_are_sound(const Ebb__HazardSums *m)
{
    if (m == NULL)
        return true;
    if (m->n_exposure_hours != EBB_AGE_BINS || m->n_events != EBB_AGE_BINS)
        return false;
    for (int b = 0; b < EBB_AGE_BINS; b++) {
        if (!is_amount(m->exposure_hours[b]) || !is_amount(m->events[b]))
            return false;
    }
    return true;
}

static bool is_name(const char *s)
{
    return strlen(s) <= MOST_TEXT && strchr(s, '\t') == NULL;
}

static bool blocks_are_sound(const Ebb__HazardCell *m)
{
    if (m->n_block_seen != m->n_block_hours || m->n_block_seen > EBB_HAZARD_BLOCKS ||
        m->first_block < 0 || m->first_block > MOST_BLOCK)
        return false;
    for (size_t i = 0; i < m->n_block_seen; i++) {
        if (!is_amount(m->block_seen[i]) || !is_amount(m->block_hours[i]))
            return false;
    }
    return true;
}

/* Scores are within the square root of 3, so products within 3. */
static bool serial_is_sound(const Ebb__HazardSerial *m)
{
    return m == NULL ||
           (m->known <= 2 && fabs(m->last) <= MOST_SCORE && fabs(m->before) <= MOST_SCORE &&
            is_amount(m->pairs1) && is_amount(m->pairs2) && fabs(m->lag1) <= 3 * m->pairs1 + 1e-6 &&
            fabs(m->lag2) <= 3 * m->pairs2 + 1e-6);
}

static bool cell_is_sound(const Ebb__HazardCell *m)
{
    return blocks_are_sound(m) && m->rate < EBB_RATES && is_name(m->provider) &&
           is_name(m->region) && is_name(m->zone) && is_name(m->type) && m->wall_ns >= 0 &&
           m->revoked_wall_ns >= 0 && sums_are_sound(m->sums) && sums_are_sound(m->since_rise) &&
           sums_are_sound(m->since_fall) && is_amount(m->rise) && is_amount(m->fall) &&
           is_amount(m->block_expected) && is_amount(m->block_events) &&
           is_amount(m->prior_per_hour) && is_amount(m->siblings) && is_amount(m->youngest_s) &&
           serial_is_sound(m->serial);
}

static int check(const Ebb__HazardState *m, struct ebb_error *err)
{
    if (m->version != VERSION)
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED,
                             "hazards of format %u; this program reads %u", m->version, VERSION);
    if (m->n_age_from_s != EBB_AGE_BINS || m->n_cells > MOST_CELLS)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "hazards with %zu age bins and %zu places; %d bins and at most %d "
                             "places are read",
                             m->n_age_from_s, m->n_cells, EBB_AGE_BINS, MOST_CELLS);
    for (int b = 0; b < EBB_AGE_BINS; b++) {
        if (m->age_from_s[b] != ebb_age_bin_from_s[b])
            return ebb_error_set(err, EBB_ERR_INPUT,
                                 "hazards whose age bin %d begins at %g s; here it begins at %g s",
                                 b, m->age_from_s[b], ebb_age_bin_from_s[b]);
    }
    for (size_t i = 0; i < m->n_cells; i++) {
        if (!cell_is_sound(m->cells[i]))
            return ebb_error_set(err, EBB_ERR_INPUT,
                                 "hazards: place %zu (%.60s %.60s %.60s) has a wrong rate, name, "
                                 "time or amount",
                                 i, m->cells[i]->provider, m->cells[i]->zone, m->cells[i]->type);
    }
    return 0;
}

static void add(struct ebb_hazard_sums *to, const Ebb__HazardSums *m, double f)
{
    for (int b = 0; m != NULL && b < EBB_AGE_BINS; b++) {
        to->exposure_hours[b] += f * m->exposure_hours[b];
        to->events[b] += f * m->events[b];
    }
}

/* What came last is what came last here. */
static void add_serial(struct ebb_hazard_serial *to, const Ebb__HazardSerial *m, double f)
{
    if (m == NULL)
        return;
    to->lag1 += f * m->lag1;
    to->pairs1 += f * m->pairs1;
    to->lag2 += f * m->lag2;
    to->pairs2 += f * m->pairs2;
    if (to->known > 0)
        return;
    to->known = m->known;
    to->last = m->last;
    to->before = m->before;
}

/* The drift test goes on with its own blocks when there are some already. */
static void load_cell(struct ebb_hazards *h, const Ebb__HazardCell *m)
{
    const struct ebb_place p = {m->provider, m->region, m->zone, m->type};
    bool is_new = ebb_hazards_cell(h, (enum ebb_rate)m->rate, &p) == NULL;
    struct ebb_hazard_cell *c = ebb_hazards_make_cell(h, (enum ebb_rate)m->rate, &p);
    ebb_hazards_discount(h, c, m->wall_ns);
    h->shape++; /* a prior may come with it */
    h->changes++;
    double ago_s = (double)(c->wall_ns - m->wall_ns) / 1e9 * h->time_scale;
    double f = h->half_life_s > 0 && ago_s > 0 ? exp2(-ago_s / h->half_life_s) : 1;
    add(&c->sums, m->sums, f);
    c->siblings += f * m->siblings;
    ebb_hazards_note_age(c, m->youngest_s);
    add_serial(&c->serial, m->serial, f);
    for (size_t i = 0; i < m->n_block_seen; i++)
        ebb_hazards_add_block(c, m->first_block + (int64_t)i, m->block_seen[i], m->block_hours[i]);
    if (m->revoked_wall_ns > c->revoked_wall_ns)
        c->revoked_wall_ns = m->revoked_wall_ns;
    if (c->prior_per_hour == 0)
        c->prior_per_hour = m->prior_per_hour;
    if (!is_new)
        return;
    add(&c->since_rise, m->since_rise, f);
    add(&c->since_fall, m->since_fall, f);
    c->rise = m->rise;
    c->fall = m->fall;
    c->block_expected = m->block_expected;
    c->block_events = m->block_events;
    c->resets = m->resets;
}

int ebb_hazards_load(struct ebb_hazards *h, const Ebb__HazardState *m, struct ebb_error *err)
{
    int rc = check(m, err);
    for (size_t i = 0; rc == 0 && i < m->n_cells; i++)
        load_cell(h, m->cells[i]);
    return rc;
}

struct ebb_hazards *ebb_hazards_copy(const struct ebb_hazards *h)
{
    struct ebb_hazards *copy = ebb_hazards_new(h->half_life_s);
    copy->time_scale = h->time_scale;
    copy->prior_fn = h->prior_fn;
    copy->prior_source = h->prior_source;
    size_t cursor = 0;
    void *value = NULL;
    while (ebb_map_next(h->cells, &cursor, &value) != NULL) {
        const struct ebb_hazard_cell *from = value;
        const struct ebb_place p = {from->provider, from->region, from->zone, from->type};
        struct ebb_hazard_cell *to = ebb_hazards_make_cell(copy, from->rate, &p);
        struct ebb_hazard_cell names = *to;
        *to = *from;
        to->provider = names.provider;
        to->region = names.region;
        to->zone = names.zone;
        to->type = names.type;
        to->blocks = from->blocks == NULL ? NULL : ebb_memdup(from->blocks, sizeof *from->blocks);
    }
    copy->shape++;
    copy->changes++;
    return copy;
}

/* ---- looking ---- */

static double sum_of(const double values[EBB_AGE_BINS])
{
    double sum = 0;
    for (int b = 0; b < EBB_AGE_BINS; b++)
        sum += values[b];
    return sum;
}

bool ebb_hazards_next(const struct ebb_hazards *h, size_t *cursor, enum ebb_rate *ret_rate,
                      struct ebb_place *ret_place)
{
    void *cell = NULL;
    while (ebb_map_next(h->cells, cursor, &cell) != NULL) {
        const struct ebb_hazard_cell *c = cell;
        if (c->type[0] == '\0' && c->zone[0] != '\0')
            continue; /* a zone's last revocation */
        *ret_rate = c->rate;
        *ret_place = (struct ebb_place){c->provider, c->region, c->zone, c->type};
        return true;
    }
    return false;
}

double ebb_hazards_in_bulk(const struct ebb_hazards *h, const struct ebb_place *p,
                           int64_t now_wall_ns)
{
    const struct ebb_hazard_cell *c = ebb_hazards_cell(h, EBB_RATE_REVOCATION, p);
    double hours, outages = 0, events = 0;
    uint32_t resets;
    if (!ebb_hazards_seen(h, EBB_RATE_REVOCATION, p, now_wall_ns, &hours, &events, &resets))
        return 0;
    double f = events > 0 ? events / sum_of(c->sums.events) : 0;
    if (!ebb_hazards_seen(h, EBB_RATE_RECOVERY, p, now_wall_ns, &hours, &outages, &resets))
        outages = 0;
    return fmin(events, f * c->siblings + outages);
}

bool ebb_hazards_seen(const struct ebb_hazards *h, enum ebb_rate r, const struct ebb_place *p,
                      int64_t now_wall_ns, double *ret_hours, double *ret_events,
                      uint32_t *ret_resets)
{
    const struct ebb_hazard_cell *c = ebb_hazards_cell(h, r, p);
    if (c == NULL)
        return false;
    double ago_s = (double)(now_wall_ns - c->wall_ns) / 1e9 * h->time_scale;
    double f = h->half_life_s > 0 && ago_s > 0 ? exp2(-ago_s / h->half_life_s) : 1;
    *ret_hours = *ret_events = 0;
    for (int b = 0; b < EBB_AGE_BINS; b++) {
        *ret_hours += f * c->sums.exposure_hours[b] / ebb_hazards_weight(h, r, p);
        *ret_events += f * c->sums.events[b];
    }
    *ret_resets = c->resets;
    return true;
}

static void digest_bytes(uint64_t *h, const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++)
        *h = (*h ^ p[i]) * UINT64_C(1099511628211);
}

static void digest_serial(uint64_t *h, const struct ebb_hazard_serial *s)
{
    const double values[] = {s->last, s->before, s->known, s->lag1, s->pairs1, s->lag2, s->pairs2};
    digest_bytes(h, values, sizeof values);
}

uint64_t ebb_hazards_digest(const struct ebb_hazards *h, uint64_t seed)
{
    size_t cursor = 0;
    void *value = NULL;
    digest_bytes(&seed, &h->half_life_s, sizeof h->half_life_s);
    digest_bytes(&seed, &h->time_scale, sizeof h->time_scale);
    for (const char *key; (key = ebb_map_next(h->cells, &cursor, &value)) != NULL;) {
        const struct ebb_hazard_cell *c = value;
        digest_bytes(&seed, key, strlen(key) + 1);
        digest_bytes(&seed, &c->wall_ns, sizeof c->wall_ns);
        digest_bytes(&seed, &c->sums, sizeof c->sums);
        digest_bytes(&seed, &c->since_rise, sizeof c->since_rise);
        digest_bytes(&seed, &c->since_fall, sizeof c->since_fall);
        digest_bytes(&seed, &c->rise, sizeof c->rise);
        digest_bytes(&seed, &c->fall, sizeof c->fall);
        digest_bytes(&seed, &c->block_expected, sizeof c->block_expected);
        digest_bytes(&seed, &c->block_events, sizeof c->block_events);
        digest_bytes(&seed, &c->revoked_wall_ns, sizeof c->revoked_wall_ns);
        digest_bytes(&seed, &c->prior_per_hour, sizeof c->prior_per_hour);
        digest_bytes(&seed, &c->resets, sizeof c->resets);
        digest_bytes(&seed, &c->siblings, sizeof c->siblings);
        digest_bytes(&seed, &c->youngest_s, sizeof c->youngest_s);
        digest_serial(&seed, &c->serial);
        if (c->blocks != NULL)
            digest_bytes(&seed, c->blocks, sizeof *c->blocks);
    }
    return seed;
}
