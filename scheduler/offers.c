/* What the cloud offers, and at which price. The catalogue is fetched now and then; spot prices
 * come with every look at the VMs (reconcile.c), so that a VM's last price is in the log before its
 * end, and its bill is right when it is folded. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "scheduler/core/catalogue.h"
#include "scheduler/core/market.h"
#include "scheduler/daemon.h"

struct catalogue {
    struct ebb_daemon *daemon;
    Ebb__Offer **offers;
    size_t count, capacity;
    int rc;
    struct ebb_error err;
};

Ebb__Offer *ebb_offer_copy(const Ebb__Offer *o)
{
    size_t size = ebb__offer__get_packed_size(o);
    uint8_t *bytes EBB_AUTO_FREE = ebb_alloc(size + 1);
    ebb__offer__pack(o, bytes);
    Ebb__Offer *copy = ebb__offer__unpack(NULL, size, bytes);
    if (copy == NULL)
        abort(); /* out of memory */
    return copy;
}

static void free_offers(Ebb__Offer **offers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ebb__offer__free_unpacked(offers[i], NULL);
    free(offers);
}

static int add_offer(void *ctx, const Ebb__Offer *offer)
{
    struct catalogue *t = ctx;
    if (t->count == t->capacity) {
        t->capacity = t->capacity ? 2 * t->capacity : 64;
        t->offers = ebb_realloc_array(t->offers, t->capacity, sizeof *t->offers);
    }
    t->offers[t->count++] = ebb_offer_copy(offer);
    return 0;
}

static void fetch_work(void *ctx)
{
    struct catalogue *t = ctx;
    t->rc = ebb_provider_offers(t->daemon->provider, add_offer, t, &t->err);
}

static void fetch_done(void *ctx)
{
    struct catalogue *t = ctx;
    struct ebb_daemon *d = t->daemon;
    d->fetching_offers = false;
    if (t->rc < 0) {
        ebb_log_warn("cannot read what the cloud offers: %s", t->err.text);
        d->offers_error = t->err;
        d->offers_ns = ebb_now_ns(NULL) + ebb_daemon_back_off(d, 2);
        free_offers(t->offers, t->count);
    } else {
        free_offers(d->offers, d->offer_count);
        d->offers = t->offers;
        d->offer_count = t->count;
        for (size_t i = 0; i < d->offer_count; i++)
            ebb_catalogue_cap(d->state->catalogue, d->offers[i]);
        d->offers_known = true;
        d->offers_ns = ebb_now_ns(NULL) + (int64_t)(d->options.offers_interval_s * 1e9);
        ebb_turn_want_plan(d);
    }
    free(t);
}

void ebb_offers_tick(struct ebb_daemon *d, int64_t now_ns)
{
    /* An idle scheduler asks once and then leaves the cloud alone. */
    bool needed = !d->offers_known || d->state->active_count > 0 || ebb_clients_present(d);
    if (d->fetching_offers || now_ns < d->offers_ns || !needed)
        return;
    struct catalogue *t = ebb_alloc(sizeof *t);
    t->daemon = d;
    d->fetching_offers = true;
    ebb_workers_submit(d->workers, fetch_work, fetch_done, t);
}

static bool is_known(const struct ebb_daemon *d, const Ebb__PricePoint *p)
{
    const struct ebb_market_entry *e =
        ebb_market_find(d->state->market, p->zone, p->type, p->market);
    for (size_t i = e == NULL ? 0 : e->price_count; i-- > 0;) {
        if (e->prices[i].from_wall_ns == p->from_wall_ns)
            return e->prices[i].usd_micros_per_hour == p->usd_micros_per_hour;
    }
    return false;
}

static void update_offers(struct ebb_daemon *d, const Ebb__PricePoint *p, int64_t now_wall_ns)
{
    for (size_t i = 0; i < d->offer_count && p->from_wall_ns <= now_wall_ns; i++) {
        Ebb__Offer *o = d->offers[i];
        if (o->market == p->market && strcmp(o->type, p->type) == 0 &&
            strcmp(o->zone, p->zone) == 0)
            o->usd_micros_per_hour = p->usd_micros_per_hour;
    }
}

void ebb_offers_observe(struct ebb_daemon *d, Ebb__PricePoint *const *points, size_t count)
{
    Ebb__PricePoint **news EBB_AUTO_FREE = ebb_alloc_array(count + 1, sizeof *news);
    int64_t now_wall_ns = ebb_wall_ns(NULL);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_known(d, points[i]))
            continue;
        news[n++] = points[i];
        update_offers(d, points[i], now_wall_ns);
    }
    if (n == 0)
        return;
    Ebb__Event e = EBB__EVENT__INIT;
    Ebb__PricesObserved m = EBB__PRICES_OBSERVED__INIT;
    m.n_points = n;
    m.points = news;
    e.kind_case = EBB__EVENT__KIND_PRICES_OBSERVED;
    e.prices_observed = &m;
    ebb_turn_emit_own(d, &e);
}

void ebb_offers_clean_up(struct ebb_daemon *d)
{
    free_offers(d->offers, d->offer_count);
}
