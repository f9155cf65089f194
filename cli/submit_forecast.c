/* A forecast beside the estimate of a submission. The number of runs follows the size of the bag,
 * so that the answer takes well under a second and is the same each time. */
#include "cli/submit_forecast.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/json_out.h"
#include "cli/prices_file.h"
#include "scheduler/core/sweep.h"
#include "simulator/montecarlo.h"

#define JOBS_IN_ALL     8000u /* simulated, about */
#define LEAST_RUNS      8u
#define MOST_RUNS       48u
#define TYPICAL         0.1 /* deviation of run times, as `ebb plan` takes it */
#define EMULATED_BOOT_S 2.0
#define DEVIATIONS      1.645 /* of the normal: nine in ten */

EBB_DEFINE_AUTO_PTR(event_auto, Ebb__CatalogueImported, ebb_catalogue_event_destroy)

static uint32_t runs_for(uint64_t jobs)
{
    uint64_t runs = JOBS_IN_ALL / (jobs > 0 ? jobs : 1);
    if (jobs > 2000) /* it is made smaller (smaller_bag.h) */
        runs = 2 * LEAST_RUNS;
    return (uint32_t)(runs < LEAST_RUNS ? LEAST_RUNS : runs > MOST_RUNS ? MOST_RUNS : runs);
}

/* Few runs do not reach the ends of a range: the normal's are taken where they lie further out. */
static void widen(const struct ebb_spread *s, double *ret_low, double *ret_high)
{
    *ret_low = fmax(0, fmin(s->p5, s->mean - DEVIATIONS * s->sd));
    *ret_high = fmax(s->p95, s->mean + DEVIATIONS * s->sd);
}

static void fill(const struct ebb_forecast *f, struct ebb_submit_forecast *ret)
{
    *ret = (struct ebb_submit_forecast){.runs = (uint32_t)f->outcome.runs,
                                        .usd = f->outcome.usd.mean,
                                        .finish_s = f->outcome.finish_s.mean,
                                        .in_time = f->in_time};
    widen(&f->outcome.usd, &ret->usd_low, &ret->usd_high);
    widen(&f->outcome.finish_s, &ret->finish_low_s, &ret->finish_high_s);
}

double ebb_forecast_boot_s(const Ebb__HazardsAnswer *seen, bool emulated)
{
    return seen != NULL && seen->boot_s > 0 ? seen->boot_s : emulated ? EMULATED_BOOT_S : 0;
}

void ebb_submit_forecast_make(const Ebb__BagSpec *spec, const Ebb__PlanAnswer *plan, bool emulated,
                              const Ebb__HazardsAnswer *hazards, struct ebb_submit_forecast *ret)
{
    struct ebb_error err = {0};
    uint8_t sha256[32];
    EBB_AUTO(event_auto) Ebb__CatalogueImported *catalogue = NULL;
    EBB_AUTO(ebb_catalogue_auto) struct ebb_catalogue *imported = NULL;
    EBB_AUTO(ebb_forecast_clean_up) struct ebb_forecast f = {0};
    EBB_AUTO_FREE const Ebb__Offer **offers =
        ebb_alloc_array(plan->n_candidates + 1, sizeof *offers);
    *ret = (struct ebb_submit_forecast){0};
    size_t count = 0;
    for (size_t i = 0; i < plan->n_candidates; i++) {
        if (plan->candidates[i]->offer != NULL)
            offers[count++] = plan->candidates[i]->offer;
    }
    Ebb__BagSpec whole = *spec; /* to its end: what of it a budget pays for is told below */
    whole.budget_usd_micros = 0;
    struct ebb_forecast_options o = {.spec = &whole,
                                     .offers = offers,
                                     .offer_count = count,
                                     .hazards = hazards != NULL ? hazards->state : NULL,
                                     .time_scale = hazards != NULL && hazards->bill_time_scale > 0
                                                       ? hazards->bill_time_scale
                                                       : 1,
                                     .boot_s = ebb_forecast_boot_s(hazards, emulated),
                                     .time_error = TYPICAL,
                                     .runs = runs_for(ebb_bag_job_count(spec))};
    ebb_simulation_defaults(emulated, &o.run);
    o.run.jobs.spread = TYPICAL;
    if (hazards != NULL && hazards->wall_ns > 0)
        o.run.start_wall_ns = hazards->wall_ns;
    if (ebb_prices_event(&imported, sha256, &catalogue, &err) < 0)
        return;
    o.run.catalogue = catalogue;
    if (plan->estimate != NULL && ebb_forecast_make(&o, &f, &err) == 0)
        fill(&f, ret);
}

void ebb_submit_forecast_correct(const struct ebb_submit_forecast *f, Ebb__Estimate *estimate)
{
    if (f->runs == 0 || estimate == NULL || !(f->usd < 1e12) || !(f->finish_s < 1e12))
        return;
    estimate->cost_usd_micros = llround(f->usd * 1e6);
    estimate->finish_s = f->finish_s;
}

static const char *usd(double v, char *out)
{
    return ebb_format_usd((int64_t)llround(fmin(v, 1e12) * 1e6), out);
}

/* What would hold, by the runs, where the bag's own deadline or budget holds in too few of them. */
static void view_nearest(const struct ebb_submit_forecast *f, const Ebb__BagSpec *spec,
                         struct ebb_buffer *out)
{
    char a[EBB_QUANTITY_TEXT_SIZE], b[EBB_QUANTITY_TEXT_SIZE];
    double budget = (double)spec->budget_usd_micros / 1e6;
    if (spec->deadline_s > 0 && f->in_time < 0.9)
        ebb_buffer_printf(out,
                          "the deadline of %s holds in %.0f %% of the runs; nine of ten are done "
                          "within %s\n",
                          ebb_format_duration(spec->deadline_s, a), f->in_time * 100,
                          ebb_format_duration(ceil(f->finish_high_s), b));
    if (budget > 0 && f->usd_high > budget)
        ebb_buffer_printf(out, "the budget of %s may not be enough; %s is in nine of ten cases\n",
                          usd(budget, a), usd(f->usd_high, b));
}

void ebb_submit_forecast_view(const struct ebb_submit_forecast *f, const Ebb__BagSpec *spec,
                              struct ebb_buffer *out)
{
    char text[4][EBB_QUANTITY_TEXT_SIZE];
    if (f->runs == 0)
        return;
    ebb_buffer_printf(out,
                      "in 9 of 10 cases %s to %s, done in %s to %s (%u simulated runs; `ebb plan` "
                      "makes more)\n",
                      usd(f->usd_low, text[0]), usd(f->usd_high, text[1]),
                      ebb_format_duration(f->finish_low_s, text[2]),
                      ebb_format_duration(f->finish_high_s, text[3]), f->runs);
    view_nearest(f, spec, out);
}

json_t *ebb_submit_forecast_json(const struct ebb_submit_forecast *f)
{
    if (f->runs == 0)
        return json_null();
    return json_pack("{s:I, s:{s:f, s:f, s:f}, s:{s:f, s:f, s:f}, s:f}", "runs",
                     (json_int_t)f->runs, "cost_usd", "mean", f->usd, "low", f->usd_low, "high",
                     f->usd_high, "finish_s", "mean", f->finish_s, "low", f->finish_low_s, "high",
                     f->finish_high_s, "in_time", f->in_time);
}
