/* The table that is shown before money is spent. */
#include "cli/submit_plan.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/table.h"
#include "scheduler/core/sweep.h"

#define MAX_SHOWN 12

EBB_DEFINE_AUTO_PTR(table_auto, struct ebb_table, ebb_table_destroy)

static void gpu_text(const Ebb__Resources *r, char *out, size_t size)
{
    if (r->gpus == 0) {
        (void)snprintf(out, size, "-");
        return;
    }
    int n = snprintf(out, size, "%u", r->gpus);
    for (size_t i = 0; i < r->n_gpu_models && n > 0 && (size_t)n < size; i++)
        n += snprintf(out + n, size - (size_t)n, "%s%s", i == 0 ? " " : "|", r->gpu_models[i]);
}

static void view_jobs(const Ebb__BagSpec *spec, unsigned width, struct ebb_buffer *out)
{
    EBB_AUTO(table_auto)
    struct ebb_table *t =
        ebb_table_new("GROUP\tENGINE\t>JOBS\t>CPUS\t>MEMORY\tGPUS\t>TIME\t*AFTER");
    for (size_t i = 0; i < spec->n_groups; i++) {
        const Ebb__JobGroup *g = spec->groups[i];
        static const Ebb__Resources none = EBB__RESOURCES__INIT;
        const Ebb__Resources *r = g->resources != NULL ? g->resources : &none;
        char memory[EBB_QUANTITY_TEXT_SIZE], time[EBB_QUANTITY_TEXT_SIZE] = "?", gpus[64];
        gpu_text(r, gpus, sizeof(gpus));
        if (r->time_s > 0)
            ebb_format_duration(r->time_s, time);
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer needs = {0};
        for (size_t n = 0; n < g->n_needs; n++)
            ebb_buffer_printf(&needs, "%s%s", n == 0 ? "" : ", ", g->needs[n]);
        ebb_table_row(t, "%s\t%s\t%llu\t%g\t%s\t%s\t%s\t%s", g->name, g->engine,
                      (unsigned long long)g->job_count, r->cpus,
                      ebb_format_size(r->memory_bytes, memory), gpus, time,
                      ebb_buffer_text(&needs));
    }
    ebb_table_render(t, width, "", out);
}

static void offer_row(struct ebb_table *t, const Ebb__Candidate *c)
{
    const Ebb__Offer *o = c->offer;
    char price[EBB_QUANTITY_TEXT_SIZE], per_job[EBB_QUANTITY_TEXT_SIZE] = "-";
    char hazard[32] = "-", vms[16] = "";
    (void)snprintf(price, sizeof(price), "$%.4f", (double)o->usd_micros_per_hour / 1e6);
    if (c->expected_usd_per_job > 0 && c->expected_usd_per_job < 1e9)
        ebb_format_usd((int64_t)(c->expected_usd_per_job * 1e6), per_job);
    if (o->market == EBB__MARKET__SPOT)
        (void)snprintf(hazard, sizeof(hazard), "%.2f", c->hazard_per_hour);
    if (c->vms > 0)
        (void)snprintf(vms, sizeof(vms), "%u", c->vms);
    ebb_table_row(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", c->chosen ? "CHOSEN" : "", o->type,
                  o->zone, o->market == EBB__MARKET__SPOT ? "spot" : "on demand", price, hazard,
                  per_job, vms, c->note != NULL ? c->note : "");
}

static void view_offers(const Ebb__PlanAnswer *plan, unsigned width, struct ebb_buffer *out)
{
    EBB_AUTO(table_auto)
    struct ebb_table *t =
        ebb_table_new(" \tTYPE\tZONE\tMARKET\t>$/HOUR\t>LOST/HOUR\t>$/JOB\t>VMS\t*NOTE");
    size_t hidden = 0;
    for (size_t i = 0; i < plan->n_candidates; i++) {
        const Ebb__Candidate *c = plan->candidates[i];
        if (c->offer == NULL)
            continue;
        if (i >= MAX_SHOWN && !c->chosen)
            hidden++;
        else
            offer_row(t, c);
    }
    ebb_table_render(t, width, "", out);
    if (hidden > 0)
        ebb_buffer_printf(out, "and %zu dearer ones (--json shows all)\n", hidden);
}

static void view_estimate(const Ebb__PlanAnswer *plan, struct ebb_buffer *out)
{
    const Ebb__Estimate *e = plan->estimate;
    char text[EBB_QUANTITY_TEXT_SIZE];
    if (e == NULL)
        return;
    ebb_buffer_printf(out, "expected: %s", ebb_format_usd(e->cost_usd_micros, text));
    ebb_buffer_printf(out, ", done in %s on %u VM%s", ebb_format_duration(e->finish_s, text),
                      e->vms, e->vms == 1 ? "" : "s");
    if (e->on_demand_cost_usd_micros > 0) {
        double saved = 1 - (double)e->cost_usd_micros / (double)e->on_demand_cost_usd_micros;
        ebb_buffer_printf(out, "; on demand %s",
                          ebb_format_usd(e->on_demand_cost_usd_micros, text));
        if (saved >= 0)
            ebb_buffer_printf(out, " (%.0f %% saved)", saved * 100);
    }
    ebb_buffer_append_text(out, "\n");
}

void ebb_plan_view(const Ebb__BagSpec *spec, const Ebb__PlanAnswer *plan, unsigned width,
                   struct ebb_buffer *out)
{
    uint64_t jobs = ebb_bag_job_count(spec);
    ebb_buffer_printf(out, "bag %s: %llu job%s\n\n", spec->name, (unsigned long long)jobs,
                      jobs == 1 ? "" : "s");
    view_jobs(spec, width, out);
    ebb_buffer_append_text(out, "\n");
    view_offers(plan, width, out);
    ebb_buffer_append_text(out, "\n");
    view_estimate(plan, out);
    if (!plan->feasible)
        ebb_buffer_printf(out, "not feasible: %s\n", plan->reason);
}
