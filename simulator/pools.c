/* Priors of pools, and draws from them. */
#include "simulator/pools.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define SHARED      0.4
#define OF_POOL     0.4
#define SHOCK_PRIOR 0.5  /* of revocations */
#define SHOCK_ALL   0.94 /* of shocks: clusters are seen whole or not at all so often ... */
#define SHOCK_KILLS 0.9  /* ... and otherwise lose this share */
#define WEIGHT      1.0  /* of that prior, in revocations */
#define AHEAD_S     (20 * 86400.0)
#define MOST_TURNS  2000

struct prior {
    bool is_offered;
    size_t region;
    double mean[EBB_RATES][EBB_AGE_BINS], sd[EBB_RATES][EBB_AGE_BINS];
    double quiet_s[EBB_RATES];
    struct ebb_hazard_regime regime[EBB_RATES];
    double shocks, others; /* Beta */
};

struct ebb_pools {
    struct ebb_hazard_spread spread[EBB_RATES];
    char (*regions)[64];
    double (*of_region)[EBB_RATES]; /* drawn: what a region's pools share */
    size_t region_count;
    size_t count;
    double time_scale;
    struct prior *priors;
    struct ebb_pool_model *models;
};

static_assert(EBB_POOL_BINS == EBB_AGE_BINS, "pools and hazards have the same ages");

/* ---- the fleet ---- */

static int zone_of(struct ebb_fleet *f, const char *name)
{
    int zone = ebb_fleet_zone_index(f, name);
    if (zone >= 0)
        return zone;
    if (f->zone_count == EBB_FLEET_MAX_ZONES || strlen(name) >= EBB_FLEET_NAME_SIZE)
        return -1;
    struct ebb_fleet_zone *z = &f->zones[f->zone_count++];
    snprintf(z->name, sizeof z->name, "%s", name);
    z->capacity = INT32_MAX;
    for (int t = 0; t < EBB_FLEET_MAX_TYPES; t++)
        z->type_capacity[t] = -1;
    return (int)f->zone_count - 1;
}

static int type_of(struct ebb_fleet *f, const Ebb__Offer *o)
{
    int type = ebb_fleet_type_index(f, o->type);
    if (type >= 0)
        return type;
    if (f->type_count == EBB_FLEET_MAX_TYPES || strlen(o->type) >= EBB_FLEET_NAME_SIZE)
        return -1;
    struct ebb_fleet_type *t = &f->types[f->type_count++];
    snprintf(t->name, sizeof t->name, "%s", o->type);
    snprintf(t->gpu_model, sizeof t->gpu_model, "%s", o->gpu_model);
    t->vcpus = (int64_t)ceil(o->cpus);
    t->memory_bytes = o->memory_bytes;
    t->gpus = o->gpus;
    t->on_demand_usd_micros_per_hour = o->on_demand_usd_micros_per_hour;
    return (int)f->type_count - 1;
}

static void add_offer(struct ebb_fleet *f, const Ebb__Offer *o)
{
    int zone = zone_of(f, o->zone), type = zone < 0 ? -1 : type_of(f, o);
    if (type < 0)
        return;
    if (o->market == EBB__MARKET__ON_DEMAND) {
        f->types[type].on_demand_usd_micros_per_hour = o->usd_micros_per_hour;
        return;
    }
    struct ebb_fleet_prices *p = &f->types[type].spot[zone];
    if (p->count == 0) {
        p->steps = ebb_alloc(sizeof *p->steps);
        p->count = 1;
    }
    p->steps[0] = (struct ebb_fleet_price_step){0, o->usd_micros_per_hour};
    f->types[type].cap_s = o->cap_s / (double)f->time_scale;
}

static void take_capacity(struct ebb_fleet *f, const struct ebb_fleet *like)
{
    for (size_t z = 0; z < f->zone_count; z++) {
        int zone = ebb_fleet_zone_index(like, f->zones[z].name);
        for (size_t t = 0; zone >= 0 && t < f->type_count; t++) {
            int type = ebb_fleet_type_index(like, f->types[t].name);
            if (type >= 0)
                f->zones[z].type_capacity[t] = ebb_fleet_capacity(like, zone, type);
        }
    }
}

struct ebb_fleet *ebb_fleet_of_offers(const Ebb__Offer *const *offers, size_t count,
                                      double time_scale, const struct ebb_fleet *like)
{
    struct ebb_fleet *f = ebb_alloc(sizeof *f);
    f->zones = ebb_alloc_array(EBB_FLEET_MAX_ZONES, sizeof *f->zones);
    f->types = ebb_alloc_array(EBB_FLEET_MAX_TYPES, sizeof *f->types);
    f->time_scale = time_scale > 1 ? (int64_t)time_scale : 1;
    f->pending = (struct ebb_fleet_range){2, 6};
    f->boot = (struct ebb_fleet_range){8, 25};
    snprintf(f->region, sizeof f->region, "%s", count > 0 ? offers[0]->region : "");
    for (size_t i = 0; i < count; i++)
        add_offer(f, offers[i]);
    if (like != NULL) {
        f->pending = like->pending;
        f->boot = like->boot;
        take_capacity(f, like);
    }
    return f;
}

/* ---- priors ---- */

static void fill_prior(struct prior *p, const Ebb__Offer *o, const struct ebb_hazards *h,
                       int64_t now_wall_ns)
{
    const struct ebb_place place = {o->provider, o->region, o->zone, o->type};
    double hours, revoked = 0;
    uint32_t resets;
    p->is_offered = true;
    for (int r = 0; r < EBB_RATES; r++) {
        ebb_hazards_table(h, (enum ebb_rate)r, &place, now_wall_ns, p->mean[r], p->sd[r]);
        p->quiet_s[r] = ebb_hazards_quiet_s(h, (enum ebb_rate)r, &place, now_wall_ns);
        ebb_hazards_regime(h, (enum ebb_rate)r, &place, &p->regime[r]);
    }
    if (!ebb_hazards_seen(h, EBB_RATE_REVOCATION, &place, now_wall_ns, &hours, &revoked, &resets))
        revoked = 0;
    double bulk = ebb_hazards_in_bulk(h, &place, now_wall_ns);
    p->shocks = WEIGHT * SHOCK_PRIOR + bulk;
    p->others = WEIGHT * (1 - SHOCK_PRIOR) + fmax(0, revoked - bulk);
}

static size_t region_of(struct ebb_pools *p, const char *name)
{
    size_t i = 0;
    while (i < p->region_count && strncmp(p->regions[i], name, sizeof *p->regions - 1) != 0)
        i++;
    if (i == p->region_count)
        snprintf(p->regions[p->region_count++], sizeof *p->regions, "%s", name);
    return i;
}

struct ebb_pools *ebb_pools_new(const struct ebb_fleet *fleet, const Ebb__Offer *const *offers,
                                size_t offer_count, const struct ebb_hazards *hazards,
                                int64_t now_wall_ns)
{
    struct ebb_pools *p = ebb_alloc(sizeof *p);
    p->count = fleet->zone_count * fleet->type_count;
    p->time_scale = (double)fleet->time_scale;
    p->priors = ebb_alloc_array(p->count + 1, sizeof *p->priors);
    p->models = ebb_alloc_array(p->count + 1, sizeof *p->models);
    p->regions = ebb_alloc_array(offer_count + 1, sizeof *p->regions);
    p->of_region = ebb_alloc_array(offer_count + 1, sizeof *p->of_region);
    for (int r = 0; r < EBB_RATES; r++)
        ebb_hazards_spread(hazards, (enum ebb_rate)r, &p->spread[r]);
    for (size_t i = 0; i < offer_count; i++) {
        int zone = ebb_fleet_zone_index(fleet, offers[i]->zone);
        int type = ebb_fleet_type_index(fleet, offers[i]->type);
        if (offers[i]->market != EBB__MARKET__SPOT || zone < 0 || type < 0)
            continue;
        struct prior *prior = &p->priors[(size_t)zone * fleet->type_count + (size_t)type];
        fill_prior(prior, offers[i], hazards, now_wall_ns);
        prior->region = region_of(p, offers[i]->region);
    }
    return p;
}

void ebb_pools_destroy(struct ebb_pools *p)
{
    if (p == NULL)
        return;
    free(p->priors);
    free(p->regions);
    free(p->of_region);
    free(p->models);
    free(p);
}

/* ---- draws ---- */

static double normal(struct ebb_random *r)
{
    double radius = sqrt(-2 * log1p(-ebb_random_uniform(r)));
    return radius * cos(2 * M_PI * ebb_random_uniform(r));
}

/* Marsaglia, Tsang, "A simple method for generating gamma variables", ACM TOMS 26 (2000); shapes
 * under 1 by their section 6. */
static double gamma_draw(struct ebb_random *r, double shape)
{
    if (shape < 1)
        return gamma_draw(r, shape + 1) * pow(1 - ebb_random_uniform(r), 1 / shape);
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = normal(r), v = 1 + c * x;
        v = v * v * v;
        if (v > 0 && log1p(-ebb_random_uniform(r)) < 0.5 * x * x + d - d * v + d * log(v))
            return d * v;
    }
}

/* Of one world. */
struct shared {
    double z[EBB_RATES];     /* of what is not known of the rates */
    double drift[EBB_RATES]; /* of the rates from what they were, as a factor */
    double own[EBB_RATES];   /* variance of each pool's */
};

static double log_normal(double mean, double sd, double z)
{
    if (!(mean > 0))
        return 0;
    double variance = log1p(sd * sd / (mean * mean));
    return mean * exp(sqrt(variance) * z - variance / 2);
}

static double factor(double variance, double z)
{
    double v = log1p(variance);
    return exp(sqrt(v) * z - v / 2);
}

static void draw_rates(const struct prior *p, int rate, const struct shared *s,
                       struct ebb_random *r, double out[EBB_AGE_BINS])
{
    double own = normal(r), drift = s->drift[rate] * factor(s->own[rate], normal(r));
    for (int b = 0; b < EBB_AGE_BINS; b++) {
        double z = sqrt(SHARED) * s->z[rate] + sqrt(OF_POOL) * own +
                   sqrt(1 - SHARED - OF_POOL) * normal(r);
        out[b] = log_normal(p->mean[rate][b], p->sd[rate][b], z) * drift;
    }
}

/* Where a pool that has run for a long time stands at a moment picked at random. */
static void look_in(struct ebb_pool_model *m, double time_scale, struct ebb_random *r)
{
    double at_s = 0, until_s = AHEAD_S * (0.5 + 0.5 * ebb_random_uniform(r)) / time_scale;
    for (int turn = 0; turn < MOST_TURNS; turn++) {
        double s = ebb_pool_next_s(m, m->is_down, m->regime, time_scale, r);
        if (at_s + s >= until_s) {
            m->left_s = fmax(1e-3, at_s + s - until_s);
            return;
        }
        at_s += s;
        m->is_down = !m->is_down;
    }
}

static void draw_pool(const struct ebb_pools *pools, const struct prior *p,
                      const struct shared *all, struct ebb_random *r, struct ebb_pool_model *m)
{
    struct shared own = *all;
    double rates[EBB_AGE_BINS];
    *m = (struct ebb_pool_model){0};
    if (!p->is_offered)
        return;
    for (int i = 0; i < EBB_RATES; i++)
        own.drift[i] *= pools->of_region[p->region][i];
    draw_rates(p, EBB_RATE_REVOCATION, &own, r, rates);
    draw_rates(p, EBB_RATE_RECOVERY, &own, r, m->recovery_per_hour);
    double x = gamma_draw(r, p->shocks), y = gamma_draw(r, p->others), share = x / (x + y);
    for (int b = 0; b < EBB_AGE_BINS; b++) {
        m->shock_per_hour[b] = rates[b] * share;
        m->own_per_hour[b] = rates[b] * (1 - share);
    }
    m->quiet_s = p->quiet_s[EBB_RATE_REVOCATION];
    m->quiet_outage_s = p->quiet_s[EBB_RATE_RECOVERY];
    for (int i = 0; i < EBB_RATES; i++) {
        m->share[i] = p->regime[i].share;
        m->keep[i] = p->regime[i].keep;
        m->regime[i] = normal(r);
    }
    m->shock_all = SHOCK_ALL;
    m->shock_kills = SHOCK_KILLS;
    look_in(m, pools->time_scale, r);
}

/* Of what is known of the variance: normal, cut off at 0. */
static double draw_own(const struct ebb_hazard_spread *s, struct ebb_random *r)
{
    for (int i = 0; i < MOST_TURNS; i++) {
        double v = s->own + s->doubt * normal(r);
        if (v >= 0)
            return v;
    }
    return s->own;
}

const struct ebb_pool_model *ebb_pools_draw(struct ebb_pools *p, struct ebb_random *random)
{
    struct shared all;
    for (int r = 0; r < EBB_RATES; r++) {
        all.z[r] = normal(random);
        all.drift[r] = factor(p->spread[r].all, normal(random));
        all.own[r] = draw_own(&p->spread[r], random);
    }
    for (size_t i = 0; i < p->region_count; i++) {
        for (int r = 0; r < EBB_RATES; r++)
            p->of_region[i][r] = factor(p->spread[r].region, normal(random));
    }
    for (size_t i = 0; i < p->count; i++)
        draw_pool(p, &p->priors[i], &all, random, &p->models[i]);
    return p->models;
}
