/* `ebb plan`: what a bag will cost and when it will end, before it is submitted. Offers come from a
 * fleet file, from the price catalogue, from the scheduler that runs, or else from the emulated
 * cloud's own file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/hazards.h"
#include "cli/json_out.h"
#include "cli/output_file.h"
#include "cli/plan_view.h"
#include "cli/prices_file.h"
#include "cli/simulated_jobs.h"
#include "cli/submit_forecast.h"
#include "cli/submit_inputs.h"
#include "cli/table.h"
#include "cloud/emulator/fleet.h"
#include "scheduler/core/catalogue.h"

extern const struct ebb_command ebb_command_plan;

#define CATALOGUE_ZONES 3 /* it knows regions alone */

static struct {
    const char *fleet, *region, *hazards, *plot, *time_error;
    struct ebb_simulated_jobs jobs;
    double deadline_s;
    int64_t runs, seed, points;
    bool as_json;
} o = {.seed = 1, .points = 6};

/* What the plan stands on, and who owns it. */
struct ground {
    struct ebb_bag_file bag;
    struct ebb_fleet *fleet;
    struct ebb_fleet_offers own;
    struct ebb_catalogue *imported; /* offers, with --region */
    struct ebb_catalogue *priors;   /* the same, for its hazards and caps; NULL: none imported */
    Ebb__CatalogueImported *catalogue;
    uint8_t sha256[32];
    Ebb__Offer *listed; /* of the catalogue */
    char zones[CATALOGUE_ZONES][64];
    Ebb__ClientAnswer *plan, *seen;
    Ebb__HazardState *file;
    const Ebb__Offer **offers;
    size_t offer_count;
    const Ebb__HazardState *hazards;
    double time_scale;
    int64_t wall_ns; /* 0: any */
    bool emulated;
    double boot_s; /* 0: the fleet says it, or nothing is known */
    const char *source;
};

static void ground_clean_up(struct ground *g)
{
    ebb_bag_file_clean_up(&g->bag);
    ebb_fleet_offers_clean_up(&g->own);
    ebb_fleet_destroy(g->fleet);
    ebb_catalogue_destroy(g->imported);
    ebb_catalogue_event_destroy(g->catalogue);
    ebb_catalogue_destroy(g->priors);
    free(g->listed);
    ebb_answer_destroy(g->plan);
    ebb_answer_destroy(g->seen);
    if (g->file != NULL)
        ebb__hazard_state__free_unpacked(g->file, NULL);
    free(g->offers);
}

static const char nothing[] = "nothing was planned";

/* ---- where offers and hazards come from ---- */

static int from_fleet(struct ground *g, const char *path, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    int rc = path != NULL ? ebb_fleet_load(path, &g->fleet, &faults, err)
                          : ebb_fleet_load_default(&g->fleet, err);
    if (ebb_faults_tell(rc, path, &faults, nothing, err) < 0)
        return rc;
    ebb_fleet_offers_of(g->fleet, NULL, &g->own);
    g->offers = ebb_memdup(g->own.pointers, (g->own.count + 1) * sizeof(const Ebb__Offer *));
    g->offer_count = g->own.count;
    g->time_scale = (double)g->fleet->time_scale;
    g->emulated = true;
    g->source = path != NULL ? "the fleet file" : "the emulated cloud";
    return 0;
}

static int ask_plan(struct ebb_client *c, struct ground *g, struct ebb_error *err)
{
    Ebb__PlanRequest q = EBB__PLAN_REQUEST__INIT;
    Ebb__ClientRequest request = EBB__CLIENT_REQUEST__INIT;
    q.spec = g->bag.spec;
    request.kind_case = EBB__CLIENT_REQUEST__KIND_PLAN;
    request.plan = &q;
    int rc = ebb_client_call(c, &request, &g->plan, err);
    if (rc == 0 && g->plan->plan == NULL)
        rc = ebb_error_set(err, EBB_ERR_CORRUPT, "the scheduler gave no plan");
    return rc;
}

static int from_scheduler(struct ebb_client *c, struct ground *g, struct ebb_error *err)
{
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *ping = NULL;
    int rc = ebb_ask_ping(c, &ping, err);
    if (rc == 0)
        rc = ask_plan(c, g, err);
    if (rc == 0)
        rc = ebb_ask_hazards(NULL, NULL, &g->seen, err);
    if (rc < 0)
        return rc;
    g->offers = ebb_alloc_array(g->plan->plan->n_candidates + 1, sizeof(const Ebb__Offer *));
    for (size_t i = 0; i < g->plan->plan->n_candidates; i++) {
        if (g->plan->plan->candidates[i]->offer != NULL)
            g->offers[g->offer_count++] = g->plan->plan->candidates[i]->offer;
    }
    g->hazards = g->seen->hazards != NULL ? g->seen->hazards->state : NULL;
    g->time_scale = g->seen->hazards != NULL ? g->seen->hazards->bill_time_scale : 1;
    g->wall_ns = g->seen->hazards != NULL ? g->seen->hazards->wall_ns : 0;
    g->emulated = ping->ping->emulated;
    g->boot_s = ebb_forecast_boot_s(g->seen->hazards, g->emulated);
    g->source = "the scheduler's cloud";
    return 0;
}

static void list_offer(struct ground *g, const struct ebb_catalogue_offer *c, int zone, bool spot)
{
    Ebb__Offer *to = &g->listed[g->offer_count];
    ebb__offer__init(to);
    to->provider = c->provider;
    to->region = c->region;
    to->zone = g->zones[zone];
    to->type = c->type;
    to->market = spot ? EBB__MARKET__SPOT : EBB__MARKET__ON_DEMAND;
    to->cpus = c->cpus;
    to->memory_bytes = c->memory_bytes;
    to->gpus = c->gpus;
    to->gpu_model = c->gpu_model;
    to->usd_micros_per_hour = spot ? c->spot_usd_micros_per_hour : c->on_demand_usd_micros_per_hour;
    to->on_demand_usd_micros_per_hour = c->on_demand_usd_micros_per_hour;
    to->cap_s = spot ? c->cap_s : 0;
    g->offers[g->offer_count++] = to;
}

static int from_catalogue(struct ground *g, struct ebb_error *err)
{
    const struct ebb_catalogue *c = ebb_prices_load(&g->imported, err);
    if (c == NULL)
        return err->code;
    g->listed = ebb_alloc_array(2 * CATALOGUE_ZONES * c->count + 1, sizeof *g->listed);
    g->offers = ebb_alloc_array(2 * CATALOGUE_ZONES * c->count + 1, sizeof(const Ebb__Offer *));
    for (int z = 0; z < CATALOGUE_ZONES; z++) {
        snprintf(g->zones[z], sizeof g->zones[z], "%.50s%c", o.region, 'a' + z);
        for (size_t i = 0; i < c->count; i++) {
            if (strcmp(c->offers[i].region, o.region) != 0)
                continue;
            if (c->offers[i].spot_usd_micros_per_hour > 0)
                list_offer(g, &c->offers[i], z, true);
            list_offer(g, &c->offers[i], z, false);
        }
    }
    g->source = "the price catalogue, in three zones";
    if (g->offer_count == 0)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "--region %s: the catalogue has nothing there; see `ebb prices`",
                             o.region);
    return 0;
}

static int read_hazards(struct ground *g, struct ebb_error *err)
{
    if (o.hazards == NULL)
        return 0;
    int rc = ebb_hazards_file_read(o.hazards, &g->file, err);
    if (rc < 0)
        return rc;
    g->hazards = g->file;
    g->wall_ns = 0;
    for (size_t i = 0; i < g->file->n_cells; i++) {
        if (g->file->cells[i]->wall_ns > g->wall_ns)
            g->wall_ns = g->file->cells[i]->wall_ns;
    }
    return 0;
}

static int find_ground(const char *bag, struct ground *g, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    EBB_AUTO(ebb_client_auto) struct ebb_client *client = NULL;
    int rc = ebb_bag_file_read(bag, &g->bag, &faults, err);
    rc = ebb_faults_tell(rc, bag, &faults, nothing, err);
    if (rc == 0 && o.fleet != NULL)
        rc = from_fleet(g, o.fleet, err);
    else if (rc == 0 && o.region != NULL)
        rc = from_catalogue(g, err);
    else if (rc == 0 && ebb_client_connect(&client, NULL) == 0)
        rc = from_scheduler(client, g, err);
    else if (rc == 0)
        rc = from_fleet(g, NULL, err);
    if (rc == 0)
        rc = ebb_prices_event(&g->priors, g->sha256, &g->catalogue, err);
    for (size_t i = 0; rc == 0 && i < g->own.count; i++)
        ebb_catalogue_cap(g->priors, &g->own.offers[i]);
    return rc == 0 ? read_hazards(g, err) : rc;
}

/* ---- the forecast ---- */

static int fill(const struct ground *g, struct ebb_forecast_options *f, struct ebb_error *err)
{
    *f = (struct ebb_forecast_options){.spec = g->bag.spec,
                                       .offers = g->offers,
                                       .offer_count = g->offer_count,
                                       .like = g->fleet,
                                       .boot_s = g->boot_s,
                                       .hazards = g->hazards,
                                       .time_scale = g->time_scale,
                                       .runs = (uint32_t)o.runs,
                                       .points = (uint32_t)o.points,
                                       .deadline_s = o.deadline_s};
    ebb_simulation_defaults(g->emulated, &f->run);
    f->run.seed = (uint64_t)o.seed;
    f->run.catalogue = g->catalogue;
    if (g->wall_ns > 0)
        f->run.start_wall_ns = g->wall_ns;
    int rc = ebb_simulated_jobs_apply(&o.jobs, 0.1, &f->run, err);
    return rc == 0 ? ebb_simulated_share("time-error", o.time_error, 0.1, &f->time_error, err) : rc;
}

static double hours_seen(const Ebb__HazardState *h)
{
    double hours = 0;
    for (size_t i = 0; h != NULL && i < h->n_cells; i++) {
        const Ebb__HazardCell *c = h->cells[i];
        for (size_t b = 0;
             c->zone[0] != '\0' && c->rate == 0 && c->sums != NULL && b < c->sums->n_exposure_hours;
             b++)
            hours += c->sums->exposure_hours[b];
    }
    return hours;
}

static int write_plot(const struct ebb_plan_view *v, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer svg = {0};
    if (o.plot == NULL)
        return 0;
    ebb_plan_svg(v, &svg);
    return ebb_output_file_write(o.plot, svg.data, svg.len, err);
}

static int show(const struct ebb_plan_view *v)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    if (o.as_json)
        return ebb_json_print(ebb_plan_json(v));
    ebb_plan_text(v, ebb_terminal_width(STDOUT_FILENO), &out);
    (void)fputs(ebb_buffer_text(&out), stdout);
    return fflush(stdout) == 0 ? 0 : 1;
}

static int run(int argc, char **argv)
{
    (void)argc;
    struct ebb_error err = {0};
    EBB_AUTO(ground_clean_up) struct ground g = {.time_scale = 1};
    EBB_AUTO(ebb_forecast_clean_up) struct ebb_forecast forecast = {0};
    struct ebb_forecast_options f;
    if (o.fleet != NULL && o.region != NULL) {
        ebb_error_set(&err, EBB_ERR_INPUT, "one of --fleet and --region");
        return ebb_command_fail(&err);
    }
    if (ebb_output_file_check(o.plot, &err) < 0 || find_ground(argv[0], &g, &err) < 0 ||
        fill(&g, &f, &err) < 0 || ebb_forecast_make(&f, &forecast, &err) < 0)
        return ebb_command_fail(&err);
    const struct ebb_plan_view v = {.spec = g.bag.spec,
                                    .forecast = &forecast,
                                    .source = g.source,
                                    .offers = g.offer_count,
                                    .deadline_s =
                                        o.deadline_s > 0 ? o.deadline_s : g.bag.spec->deadline_s,
                                    .hazard_hours = hours_seen(g.hazards),
                                    .time_error = f.time_error,
                                    .job_spread = f.run.jobs.spread,
                                    .seed = (uint64_t)o.seed};
    if (write_plot(&v, &err) < 0)
        return ebb_command_fail(&err);
    return show(&v);
}

static const struct ebb_option options[] = {
    {.name = "fleet",
     .kind = EBB_OPTION_TEXT,
     .target = &o.fleet,
     .value = "FLEET.yaml",
     .help = "Offers of the emulated cloud's file (docs/emulator.md). Default: those of the "
             "scheduler that runs, else of the emulated cloud that ships with ebb. The lifetimes "
             "and revocations that the file tells are not looked at."},
    {.name = "region",
     .kind = EBB_OPTION_TEXT,
     .target = &o.region,
     .value = "REGION",
     .help = "Offers of the price catalogue (`ebb prices`) in this region."},
    {.name = "deadline",
     .kind = EBB_OPTION_DURATION,
     .target = &o.deadline_s,
     .least = 1,
     .value = "TIME",
     .help = "Instead of the bag's own deadline."},
    {.name = "hazards",
     .kind = EBB_OPTION_TEXT,
     .target = &o.hazards,
     .value = "FILE",
     .help = "What `ebb hazards export` has written. Default: what the scheduler that runs knows."},
    {.name = "runs",
     .kind = EBB_OPTION_INT,
     .target = &o.runs,
     .least = 1,
     .most = 10000,
     .value = "N",
     .help = "Simulated runs. Default: 200, fewer for large bags."},
    {.name = "points",
     .kind = EBB_OPTION_INT,
     .target = &o.points,
     .least = 0,
     .most = EBB_FORECAST_POINTS,
     .value = "N",
     .help =
         "Deadlines of the curve of cost against deadline, at most 8; 0: no curve. Default: 6."},
    {.name = "seed",
     .kind = EBB_OPTION_INT,
     .target = &o.seed,
     .least = 0,
     .most = EBB_MOST_SEED,
     .value = "N",
     .help = "The same seed gives the same plan. Default: 1."},
    EBB_SIMULATED_JOBS_OPTIONS(o.jobs),
    {.name = "job-spread",
     .kind = EBB_OPTION_TEXT,
     .target = &o.jobs.spread,
     .value = "FRACTION",
     .help = "Spread of run times within a group: standard deviation over mean. Default: 0.1."},
    {.name = "time-error",
     .kind = EBB_OPTION_TEXT,
     .target = &o.time_error,
     .value = "FRACTION",
     .help = "How far all run times together may be off: standard deviation over mean. Default: "
             "0.1."},
    {.name = "plot",
     .kind = EBB_OPTION_TEXT,
     .target = &o.plot,
     .value = "OUT.svg",
     .help = "Write a picture: cost against deadline, VMs over time, the spread of costs."},
    {.name = "json", .target = &o.as_json, .help = "Print one JSON value."},
    {.name = NULL},
};

const struct ebb_command ebb_command_plan = {
    .name = "plan",
    .arguments = "BAG.yaml",
    .summary = "Say what a bag will cost, when it ends, and what an earlier end costs",
    .details =
        "Runs the bag many times in simulated time, each time in a world drawn from what is known\n"
        "of hazards, outages and run times, with the scheduler's own decisions. Nothing is\n"
        "launched, sent or spent.\n"
        "\n"
        "  ebb plan bag.yaml --deadline 6h --plot plan.svg",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
