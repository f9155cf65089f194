/* Looks at the cloud's list, as scheduler/reconcile.c makes them: in turn, soon after something was
 * done, at once when a connection breaks. A look that would find nothing new is left out, so the
 * looks of a quiet day cost nothing; those that are made come when the daemon would make them. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/timings.h"
#include "simulator/driver.h"

#define NS_PER_S INT64_C(1000000000)

static void on_look(void *ctx, uint32_t a, uint32_t b);

void ebb_driver_look_by(struct ebb_driver *d, int64_t at_ns)
{
    if (at_ns >= d->look_ns)
        return;
    d->look_ns = at_ns;
    ebb_agenda_add(d->agenda, at_ns, on_look, d, 0, 0);
}

void ebb_driver_look_in_turn(struct ebb_driver *d)
{
    int64_t interval_ns = (int64_t)(d->o->times.look_s * 1e9);
    int64_t since_ns = ebb_agenda_now_ns(d->agenda) - d->looked_ns;
    int64_t turns = (since_ns + interval_ns - 1) / interval_ns;
    ebb_driver_look_by(d, d->looked_ns + (turns > 0 ? turns : 1) * interval_ns);
}

void ebb_driver_look_soon(struct ebb_driver *d)
{
    int64_t now_ns = ebb_agenda_now_ns(d->agenda);
    int64_t at_ns = d->looked_ns + EBB_TIMING_LOOK_SOON_NS;
    if (d->changed_count > 0)
        ebb_driver_look_by(d, at_ns > now_ns ? at_ns : now_ns);
}

void ebb_driver_look_hurry(struct ebb_driver *d)
{
    int64_t now_ns = ebb_agenda_now_ns(d->agenda);
    if (now_ns - d->hurried_ns < EBB_TIMING_LOOK_SOON_NS) {
        ebb_driver_look_soon(d);
        return;
    }
    d->hurried_ns = now_ns;
    ebb_driver_look_by(d, ebb_agenda_after(now_ns, d->o->times.call_s));
}

void ebb_driver_changed(struct ebb_driver *d, uint32_t world_vm)
{
    if (d->changed_count == d->changed_capacity) {
        d->changed_capacity = d->changed_capacity == 0 ? 64 : d->changed_capacity * 2;
        d->changed = ebb_realloc_array(d->changed, d->changed_capacity, sizeof *d->changed);
    }
    d->changed[d->changed_count++] = world_vm;
}

/* ---- prices ---- */

static void update_offer(struct ebb_driver *d, const Ebb__PricePoint *p)
{
    for (size_t i = 0; i < d->offers.count; i++) {
        Ebb__Offer *o = &d->offers.offers[i];
        if (o->market == p->market && strcmp(o->type, p->type) == 0 &&
            strcmp(o->zone, p->zone) == 0)
            o->usd_micros_per_hour = p->usd_micros_per_hour;
    }
}

struct points {
    Ebb__PricePoint *points;
    Ebb__PricePoint **pointers;
    size_t count, capacity;
};

static Ebb__PricePoint *add_point(struct points *list)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 32 : list->capacity * 2;
        list->points = ebb_realloc_array(list->points, list->capacity, sizeof *list->points);
    }
    Ebb__PricePoint *p = &list->points[list->count++];
    ebb__price_point__init(p);
    return p;
}

static void observe_pool(struct ebb_driver *d, int zone, int type, struct points *list)
{
    const struct ebb_fleet *f = d->o->fleet;
    size_t *seen = &d->prices_seen[(size_t)zone * f->type_count + (size_t)type];
    int64_t from_ns, usd_micros, now_ns = ebb_agenda_now_ns(d->agenda);
    while (ebb_world_price(d->world, zone, type, *seen, &from_ns, &usd_micros) &&
           (from_ns <= now_ns || *seen == 0)) {
        Ebb__PricePoint *p = add_point(list);
        p->zone = (char *)(uintptr_t)f->zones[zone].name;
        p->type = (char *)(uintptr_t)f->types[type].name;
        p->market = EBB__MARKET__SPOT;
        p->from_wall_ns = from_ns;
        p->usd_micros_per_hour = usd_micros;
        update_offer(d, p);
        ++*seen;
    }
}

void ebb_driver_observe_prices(struct ebb_driver *d)
{
    struct points list = {0};
    for (size_t z = 0; z < d->o->fleet->zone_count; z++) {
        for (size_t t = 0; t < d->o->fleet->type_count; t++)
            observe_pool(d, (int)z, (int)t, &list);
    }
    if (list.count > 0) {
        Ebb__Event e = EBB__EVENT__INIT;
        Ebb__PricesObserved m = EBB__PRICES_OBSERVED__INIT;
        list.pointers = ebb_alloc_array(list.count, sizeof(Ebb__PricePoint *));
        for (size_t i = 0; i < list.count; i++)
            list.pointers[i] = &list.points[i];
        m.n_points = list.count;
        m.points = list.pointers;
        e.kind_case = EBB__EVENT__KIND_PRICES_OBSERVED;
        e.prices_observed = &m;
        ebb_driver_emit(d, &e);
    }
    free(list.points);
    free(list.pointers);
}

/* ---- VMs ---- */

/* True: it needs another look. */
static bool compare(struct ebb_driver *d, uint32_t world_vm)
{
    const struct ebb_world_vm *w = &d->world->vms[world_vm];
    struct ebb_vm *vm = d->state->vms[d->owner[world_vm]];
    if (!ebb_vm_is_live(vm))
        return false;
    if (w->state == EBB_WORLD_ENDED) {
        int64_t launched_ns = w->running_ns != 0 ? w->running_ns : w->launch_ns;
        ebb_act_ended(&d->actor, vm, launched_ns, w->end_ns - w->end_ns % NS_PER_S, w->interrupted,
                      w->interrupted ? "Server.SpotInstanceTermination"
                                     : "Client.UserInitiatedShutdown");
        d->plan_not_before_ns = 0;
        return false;
    }
    ebb_driver_vanish(d, vm, "the cloud is ending its VM");
    return true;
}

static void on_look(void *ctx, uint32_t a, uint32_t b)
{
    struct ebb_driver *d = ctx;
    int64_t now_ns = ebb_agenda_now_ns(d->agenda);
    size_t kept = 0, count = d->changed_count;
    (void)a;
    (void)b;
    if (now_ns < d->look_ns)
        return;
    d->look_ns = EBB_AGENDA_NEVER;
    d->looked_ns = now_ns;
    ebb_driver_observe_prices(d);
    for (size_t i = 0; i < count; i++) {
        if (compare(d, d->changed[i]))
            d->changed[kept++] = d->changed[i];
    }
    d->changed_count = kept;
    if (kept > 0)
        ebb_driver_look_soon(d);
}
