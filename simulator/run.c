/* One run: the log's first events, then the agenda until the bag has finished and its VMs have
 * ended. */
#include "simulator/run.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/catalogue.h"
#include "scheduler/core/timings.h"
#include "simulator/driver.h"

#define DAY_S 86400.0

void ebb_simulation_defaults(bool emulated, struct ebb_simulation_options *ret)
{
    *ret = (struct ebb_simulation_options){.seed = 1, .most_s = 365 * DAY_S};
    ebb_policy_default(&ret->policy);
    ebb_job_times_default(&ret->jobs);
    ret->start_wall_ns = INT64_C(1767225600) * INT64_C(1000000000); /* 2026-01-01 */
    ret->times = (struct ebb_simulation_times){.lease_s = EBB_TIMING_LEASE_S,
                                               .boot_s = EBB_TIMING_BOOT_S,
                                               .drain_s = EBB_TIMING_DRAIN_S,
                                               .look_s = emulated ? EBB_TIMING_LOOK_EMULATED_S
                                                                  : EBB_TIMING_LOOK_S,
                                               .plan_s = (double)EBB_TIMING_PLAN_NS / 1e9,
                                               .call_s = emulated ? 0.01 : 1.5,
                                               .join_s = emulated ? 0.05 : 15,
                                               .quiet_s = 30 * DAY_S};
    if (emulated) { /* store and engine are on this machine */
        ret->jobs.start_s = 0.02;
        ret->jobs.setup_s = 0.1;
        ret->jobs.write_s = ret->jobs.end_s = 0.005;
    }
}

/* ---- offers ---- */

static void add_offers(const struct ebb_fleet *f, const char *provider, size_t zone, size_t type,
                       struct ebb_fleet_offers *list)
{
    const struct ebb_fleet_type *t = &f->types[type];
    const struct ebb_fleet_prices *spot = &t->spot[zone];
    Ebb__Offer o = EBB__OFFER__INIT;
    o.provider = (char *)(uintptr_t)provider;
    o.region = (char *)(uintptr_t)f->region;
    o.zone = (char *)(uintptr_t)f->zones[zone].name;
    o.type = (char *)(uintptr_t)t->name;
    o.cpus = (double)t->vcpus;
    o.memory_bytes = t->memory_bytes;
    o.gpus = (uint32_t)t->gpus;
    o.gpu_model = (char *)(uintptr_t)t->gpu_model;
    o.on_demand_usd_micros_per_hour = t->on_demand_usd_micros_per_hour;
    if (spot->count > 0) {
        o.market = EBB__MARKET__SPOT;
        o.cap_s = t->cap_s * (double)f->time_scale;
        o.usd_micros_per_hour = spot->steps[0].usd_micros_per_hour;
        list->offers[list->count++] = o;
    }
    if (t->on_demand_usd_micros_per_hour > 0) {
        o.market = EBB__MARKET__ON_DEMAND;
        o.cap_s = 0;
        o.usd_micros_per_hour = t->on_demand_usd_micros_per_hour;
        list->offers[list->count++] = o;
    }
}

void ebb_fleet_offers_of(const struct ebb_fleet *f, const char *provider,
                         struct ebb_fleet_offers *ret)
{
    size_t most = 2 * f->zone_count * f->type_count + 1;
    *ret = (struct ebb_fleet_offers){.offers = ebb_alloc_array(most, sizeof *ret->offers),
                                     .pointers = ebb_alloc_array(most, sizeof *ret->pointers)};
    for (size_t t = 0; t < f->type_count; t++) {
        for (size_t z = 0; z < f->zone_count; z++)
            add_offers(f, provider != NULL ? provider : "aws", z, t, ret);
    }
    for (size_t i = 0; i < ret->count; i++)
        ret->pointers[i] = &ret->offers[i];
}

void ebb_fleet_offers_clean_up(struct ebb_fleet_offers *o)
{
    free(o->offers);
    free(o->pointers);
    *o = (struct ebb_fleet_offers){0};
}

/* Prices change in the course of a run. */
static void copy_offers(const struct ebb_simulation_options *o, struct ebb_fleet_offers *ret)
{
    *ret = (struct ebb_fleet_offers){
        .offers = ebb_alloc_array(o->offer_count + 1, sizeof *ret->offers),
        .pointers = ebb_alloc_array(o->offer_count + 1, sizeof *ret->pointers),
        .count = o->offer_count};
    for (size_t i = 0; i < o->offer_count; i++) {
        ret->offers[i] = *o->offers[i];
        ret->pointers[i] = &ret->offers[i];
    }
}

/* ---- the run ---- */

static void configure(struct ebb_driver *d)
{
    Ebb__Event e = EBB__EVENT__INIT;
    Ebb__CloudConfigured m = EBB__CLOUD_CONFIGURED__INIT;
    m.provider = (char *)(uintptr_t)(d->o->provider != NULL ? d->o->provider : "aws");
    m.region = (char *)(uintptr_t)d->o->fleet->region;
    m.emulated = true;
    m.bill_time_scale = (double)d->o->fleet->time_scale;
    e.kind_case = EBB__EVENT__KIND_CLOUD_CONFIGURED;
    e.cloud_configured = &m;
    ebb_driver_emit(d, &e);
}

static void import(struct ebb_driver *d)
{
    Ebb__Event e = EBB__EVENT__INIT;
    e.kind_case = EBB__EVENT__KIND_CATALOGUE_IMPORTED;
    e.catalogue_imported = d->o->catalogue;
    ebb_driver_emit(d, &e);
    for (size_t i = 0; i < d->offers.count; i++) /* what the fleet does not tell itself */
        ebb_catalogue_cap(d->state->catalogue, &d->offers.offers[i]);
}

static void submit(struct ebb_driver *d)
{
    Ebb__Event e = EBB__EVENT__INIT;
    Ebb__BagSubmitted m = EBB__BAG_SUBMITTED__INIT;
    m.bag = (char *)(uintptr_t)(d->o->bag_id != NULL ? d->o->bag_id : d->o->spec->name);
    m.spec = (Ebb__BagSpec *)(uintptr_t)d->o->spec;
    e.kind_case = EBB__EVENT__KIND_BAG_SUBMITTED;
    e.bag_submitted = &m;
    ebb_driver_emit(d, &e);
}

static struct ebb_driver *driver_new(const struct ebb_simulation_options *o)
{
    struct ebb_driver *d = ebb_alloc(sizeof *d);
    struct ebb_world_handlers handlers;
    d->o = o;
    d->agenda = ebb_agenda_new(o->start_wall_ns);
    d->state = ebb_state_new();
    if (o->times.plan_seldom && o->times.again_s * (double)o->fleet->time_scale > d->state->sweep_s)
        d->state->sweep_s = o->times.again_s * (double)o->fleet->time_scale;
    d->actor = (struct ebb_actor){.state = d->state, .emit = ebb_driver_emit, .ctx = d};
    d->look_ns = EBB_AGENDA_NEVER;
    d->looked_ns = o->start_wall_ns;
    ebb_random_seed(&d->random, o->seed ^ UINT64_C(0x5bd1e995));
    ebb_random_seed(&d->chance, o->seed ^ UINT64_C(0xc2b2ae3d));
    ebb_driver_handlers(d, &handlers);
    d->world = ebb_world_new(d->agenda, o->fleet, o->model, o->seed, &handlers);
    const struct ebb_agents_handlers agents = {
        .ctx = d, .goodbye = ebb_driver_goodbye, .interval_s = ebb_driver_interval_s};
    d->intervals = ebb_intervals_new();
    d->tables = o->tables != NULL ? o->tables : ebb_time_tables_new();
    d->agents = ebb_agents_new(d->agenda, &d->actor, &o->jobs, o->seed, &agents);
    if (o->offers != NULL)
        copy_offers(o, &d->offers);
    else
        ebb_fleet_offers_of(o->fleet, o->provider, &d->offers);
    d->prices_seen =
        ebb_alloc_array(o->fleet->zone_count * o->fleet->type_count + 1, sizeof *d->prices_seen);
    return d;
}

static void driver_destroy(struct ebb_driver *d)
{
    ebb_world_destroy(d->world);
    ebb_agents_destroy(d->agents);
    ebb_intervals_destroy(d->intervals);
    if (d->o->tables == NULL)
        ebb_time_tables_destroy(d->tables);
    ebb_agenda_destroy(d->agenda);
    ebb_fleet_offers_clean_up(&d->offers);
    free(d->vms);
    free(d->owner);
    free(d->calls);
    free(d->changed);
    free(d->prices_seen);
    free(d);
}

/* The bag is over and nothing costs money any more. */
static bool is_over(const struct ebb_driver *d)
{
    return ebb_state_is_idle(d->state) && d->world->live_vm_count == 0;
}

static void go_on(struct ebb_driver *d)
{
    int64_t until_ns = ebb_agenda_after(d->o->start_wall_ns, d->o->most_s);
    int64_t quiet_ns = (int64_t)(d->o->times.quiet_s * 1e9);
    while (d->fault.code == 0 && !d->is_stopped && !is_over(d) &&
           ebb_agenda_now_ns(d->agenda) - d->state->last_wall_ns < quiet_ns &&
           ebb_agenda_step(d->agenda, until_ns))
        ;
}

static void fill(struct ebb_driver *d, struct ebb_simulation *ret)
{
    double sum_s;
    uint64_t count;
    ebb_agents_intervals(d->agents, &sum_s, &count);
    *ret = (struct ebb_simulation){.state = EBB_TAKE(d->state),
                                   .end_wall_ns = ebb_agenda_now_ns(d->agenda),
                                   .bill_usd_micros = ebb_world_bill_usd_micros(d->world),
                                   .events = d->events,
                                   .plans = d->plans,
                                   .steps = ebb_agenda_steps(d->agenda),
                                   .interval_mean_s = count > 0 ? sum_s / (double)count : 0};
}

int ebb_simulation_run(const struct ebb_simulation_options *o, struct ebb_simulation *ret,
                       struct ebb_error *err)
{
    struct ebb_driver *d = driver_new(o);
    configure(d);
    if (o->catalogue != NULL)
        import(d);
    if (o->prepare != NULL)
        o->prepare(o->ctx, d->state);
    ebb_driver_observe_prices(d);
    submit(d);
    go_on(d);
    int rc = d->fault.code != 0
                 ? ebb_error_set(err, EBB_ERR_INTERNAL, "simulation: %s", d->fault.text)
                 : 0;
    if (rc == 0) {
        bool over = is_over(d) && d->state->bag_count > 0;
        fill(d, ret);
        ret->is_finished = over;
    }
    ebb_state_destroy(d->state);
    driver_destroy(d);
    return rc;
}

void ebb_simulation_clean_up(struct ebb_simulation *s)
{
    ebb_state_destroy(s->state);
    *s = (struct ebb_simulation){0};
}
