/* Text says first what matters: cost, finish, whether the deadline holds. */
#include "cli/plan_view.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/chart.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/json_out.h"
#include "cli/table.h"
#include "scheduler/core/sweep.h"

#define MIX_ROWS 8 /* of the bins, in the table */

EBB_DEFINE_AUTO_PTR(table_auto, struct ebb_table, ebb_table_destroy)

static const char *usd(double value, char *out)
{
    return ebb_format_usd((int64_t)llround(value * 1e6), out);
}

/* ---- text ---- */

static void head(const struct ebb_plan_view *v, struct ebb_buffer *out)
{
    const struct ebb_outcome_summary *s = &v->forecast->outcome;
    char a[EBB_QUANTITY_TEXT_SIZE], b[EBB_QUANTITY_TEXT_SIZE], c[EBB_QUANTITY_TEXT_SIZE];
    uint64_t jobs = ebb_bag_job_count(v->spec);
    ebb_buffer_printf(out, "bag %s: %llu job%s, on %zu offers of %s\n\n", v->spec->name,
                      (unsigned long long)jobs, jobs == 1 ? "" : "s", v->offers, v->source);
    ebb_buffer_printf(out, "expected cost  %s, in 9 of 10 cases %s to %s\n", usd(s->usd.mean, a),
                      usd(s->usd.p5, b), usd(s->usd.p95, c));
    ebb_buffer_printf(out, "%s%s, in 9 of 10 cases %s to %s\n",
                      s->done >= 0.5 ? "done in        " : "stops after    ",
                      ebb_format_duration(s->finish_s.p50, a),
                      ebb_format_duration(s->finish_s.p5, b),
                      ebb_format_duration(s->finish_s.p95, c));
    ebb_buffer_printf(out, "revocations    %.3g, in 9 of 10 cases %.3g to %.3g\n",
                      s->revocations.mean, s->revocations.p5, s->revocations.p95);
    if (v->forecast->interval_s > 0)
        ebb_buffer_printf(out, "checkpoints    every %s\n",
                          ebb_format_duration(v->forecast->interval_s, a));
    if (v->deadline_s > 0)
        ebb_buffer_printf(out, "deadline       %s, kept in %.0f %% of the runs\n",
                          ebb_format_duration(v->deadline_s, a), v->forecast->in_time * 100);
    if (s->done < 0.995)
        ebb_buffer_printf(out, "not done       some job, in %.0f %% of the runs%s\n",
                          (1 - s->done) * 100,
                          v->spec->budget_usd_micros > 0 ? ": the budget stops the bag" : "");
    if (v->forecast->infeasible != NULL)
        ebb_buffer_printf(out, "infeasible     %s\n", v->forecast->infeasible);
}

static void basis(const struct ebb_plan_view *v, struct ebb_buffer *out)
{
    const struct ebb_forecast *f = v->forecast;
    ebb_buffer_printf(out, "\n%zu simulated runs, seed %llu; ", f->outcome.runs,
                      (unsigned long long)v->seed);
    if (v->hazard_hours > 0)
        ebb_buffer_printf(out, "hazards from %.3g VM-hours seen", v->hazard_hours);
    else
        ebb_buffer_append_text(out, "no VM has been seen yet: hazards from what is built in");
    ebb_buffer_printf(out, "; run times may be off by %.2g %%, and spread by %.2g %%\n",
                      v->time_error * 100, v->job_spread * 100);
    if (f->jobs_each > 1)
        ebb_buffer_printf(out, "each simulated job stands for %llu of the bag\n",
                          (unsigned long long)f->jobs_each);
}

static void mix(const struct ebb_plan_view *v, struct ebb_buffer *out)
{
    const struct ebb_forecast *f = v->forecast;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer header = {0};
    ebb_buffer_append_text(&header, "VMS, ON AVERAGE");
    for (size_t k = 0; k < f->mix_count; k++)
        ebb_buffer_printf(&header, "\t>%s", f->mix[k].name);
    EBB_AUTO(table_auto) struct ebb_table *t = ebb_table_new(ebb_buffer_text(&header));
    int each = EBB_FORECAST_BINS / MIX_ROWS;
    for (int b = 0; b < EBB_FORECAST_BINS; b += each) {
        char from[EBB_QUANTITY_TEXT_SIZE];
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer row = {0};
        ebb_buffer_printf(&row, "from %s", ebb_format_duration(b * f->bin_s, from));
        for (size_t k = 0; k < f->mix_count; k++) {
            double sum = 0;
            for (int i = b; i < b + each; i++)
                sum += f->mix[k].vms[i] / each;
            ebb_buffer_printf(&row, "\t%.3g", sum);
        }
        ebb_table_row(t, "%s", ebb_buffer_text(&row));
    }
    ebb_buffer_append_text(out, "\n");
    ebb_table_render(t, 0, "", out);
}

static const char *const kept_words[] = {"yes", "at risk", "no"};
static const char *const kept_notes[] = {"", "at risk", "cannot be met"};

/* What a deadline that is missed costs is no price of an earlier end: it is not told. */
static void curve_row(const struct ebb_forecast_point *p, struct ebb_table *t)
{
    char deadline[EBB_QUANTITY_TEXT_SIZE] = "none", cost[EBB_QUANTITY_TEXT_SIZE] = "",
         low[EBB_QUANTITY_TEXT_SIZE] = "", high[EBB_QUANTITY_TEXT_SIZE] = "",
         done[EBB_QUANTITY_TEXT_SIZE], hour[EBB_QUANTITY_TEXT_SIZE] = "";
    enum ebb_forecast_kept kept = ebb_forecast_point_kept(p);
    if (p->deadline_s > 0)
        ebb_format_duration(p->deadline_s, deadline);
    if (kept != EBB_FORECAST_MISSED) {
        usd(p->usd, cost);
        usd(p->outcome.usd.p5, low);
        usd(p->outcome.usd.p95, high);
    }
    if (isfinite(p->usd_per_hour_earlier))
        usd(fmax(0, p->usd_per_hour_earlier), hour);
    ebb_table_row(t, "%s\t%s\t%s\t%s\t%s\t%.0f %%\t%s\t%s", deadline, cost, low, high,
                  ebb_format_duration(p->outcome.finish_s.p50, done), p->in_time * 100, hour,
                  kept_notes[kept]);
}

static void curve(const struct ebb_plan_view *v, unsigned width, struct ebb_buffer *out)
{
    const struct ebb_forecast *f = v->forecast;
    bool any = false;
    if (f->point_count == 0)
        return;
    EBB_AUTO(table_auto)
    struct ebb_table *t =
        ebb_table_new("DEADLINE\t>COST\t>LOW\t>HIGH\t>DONE IN\t>IN TIME\t>AN HOUR EARLIER\tNOTE");
    for (size_t i = 0; i < f->point_count; i++) {
        curve_row(&f->points[i], t);
        any |= ebb_forecast_point_kept(&f->points[i]) == EBB_FORECAST_AT_RISK;
    }
    ebb_buffer_append_text(out, "\n");
    ebb_table_render(t, width, "", out);
    ebb_buffer_printf(out, "(%zu runs for each deadline%s%s)\n", f->points[0].outcome.runs,
                      v->spec->budget_usd_micros > 0 ? ", without the budget" : "",
                      any ? "; at risk: in time in less than nine of ten" : "");
}

void ebb_plan_text(const struct ebb_plan_view *v, unsigned width, struct ebb_buffer *out)
{
    head(v, out);
    mix(v, out);
    curve(v, width, out);
    basis(v, out);
}

/* ---- JSON ---- */

static json_t *spread(const struct ebb_spread *x)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "mean", x->mean, "sd", x->sd, "low",
                     x->p5, "p5", x->p5, "p50", x->p50, "p95", x->p95, "high", x->p95);
}

static json_t *mix_json(const struct ebb_forecast *f)
{
    json_t *list = json_array();
    for (size_t k = 0; k < f->mix_count; k++) {
        json_t *vms = json_array();
        for (int b = 0; b < EBB_FORECAST_BINS; b++)
            json_array_append_new(vms, json_real(f->mix[k].vms[b]));
        json_array_append_new(list, json_pack("{s:s, s:o}", "name", f->mix[k].name, "vms", vms));
    }
    return json_pack("{s:f, s:o}", "bin_s", f->bin_s, "kinds", list);
}

static json_t *curve_json(const struct ebb_forecast *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->point_count; i++) {
        const struct ebb_forecast_point *p = &f->points[i];
        json_array_append_new(
            list, json_pack("{s:o, s:f, s:o, s:o, s:f, s:s, s:o}", "deadline_s",
                            p->deadline_s > 0 ? json_real(p->deadline_s) : json_null(),
                            "expected_usd", p->usd, "cost_usd", spread(&p->outcome.usd), "finish_s",
                            spread(&p->outcome.finish_s), "in_time", p->in_time, "kept",
                            kept_words[ebb_forecast_point_kept(p)], "usd_per_hour_earlier",
                            isfinite(p->usd_per_hour_earlier) ? json_real(p->usd_per_hour_earlier)
                                                              : json_null()));
    }
    return list;
}

json_t *ebb_plan_json(const struct ebb_plan_view *v)
{
    const struct ebb_forecast *f = v->forecast;
    json_t *j = ebb_json_new("plan");
    json_object_set_new(j, "name", json_string(v->spec->name));
    json_object_set_new(j, "jobs", json_integer((json_int_t)ebb_bag_job_count(v->spec)));
    json_object_set_new(j, "offers", json_integer((json_int_t)v->offers));
    json_object_set_new(j, "offers_from", json_string(v->source));
    json_object_set_new(j, "runs", json_integer((json_int_t)f->outcome.runs));
    json_object_set_new(j, "seed", json_integer((json_int_t)v->seed));
    json_object_set_new(j, "jobs_each", json_integer((json_int_t)f->jobs_each));
    json_object_set_new(j, "cost_usd", spread(&f->outcome.usd));
    json_object_set_new(j, "finish_s", spread(&f->outcome.finish_s));
    json_object_set_new(j, "revocations", spread(&f->outcome.revocations));
    json_object_set_new(j, "done", json_real(f->outcome.done));
    json_object_set_new(j, "deadline_s",
                        v->deadline_s > 0 ? json_real(v->deadline_s) : json_null());
    json_object_set_new(j, "in_time", json_real(f->in_time));
    json_object_set_new(j, "infeasible",
                        f->infeasible != NULL ? json_string(f->infeasible) : json_null());
    json_object_set_new(j, "checkpoint_interval_s", json_real(f->interval_s));
    json_object_set_new(j, "mix", mix_json(f));
    json_object_set_new(j, "curve", curve_json(f));
    json_object_set_new(j, "hazard_hours", json_real(v->hazard_hours));
    return j;
}

/* ---- the picture ---- */

static struct ebb_chart *curve_chart(const struct ebb_forecast *f)
{
    struct ebb_chart *c = ebb_chart_new("What an earlier end costs");
    double x[EBB_FORECAST_POINTS], y[EBB_FORECAST_POINTS], low[EBB_FORECAST_POINTS],
        high[EBB_FORECAST_POINTS];
    size_t n = 0;
    double soonest_s = 0; /* where some deadline cannot be met */
    for (size_t i = f->point_count; i-- > 0;) {
        const struct ebb_forecast_point *p = &f->points[i];
        if (ebb_forecast_point_kept(p) == EBB_FORECAST_MISSED) {
            soonest_s =
                soonest_s > 0 ? fmin(soonest_s, p->outcome.finish_s.p50) : p->outcome.finish_s.p50;
            continue;
        }
        x[n] = (p->deadline_s > 0 ? p->deadline_s : p->outcome.finish_s.p95) / 3600;
        if (n > 0 && x[n] < x[n - 1])
            x[n] = x[n - 1];
        y[n] = p->usd;
        low[n] = p->outcome.usd.p5;
        high[n++] = p->outcome.usd.p95;
    }
    ebb_chart_axis_x(c, "deadline", EBB_CHART_HOURS);
    ebb_chart_axis_y(c, "cost [$]", EBB_CHART_LINEAR);
    ebb_chart_line(c, "expected", EBB_CHART_LINE, n, x, y);
    ebb_chart_keep_colour(c);
    ebb_chart_band(c, "9 of 10 cases", EBB_CHART_LINE, n, x, low, high);
    if (soonest_s > 0 && n > 0) {
        double from = fmin(x[0], soonest_s / 3600);
        ebb_chart_range_x(c, fmax(0, from - 0.1 * (x[n - 1] - from)), x[n - 1]);
        ebb_chart_mark_x(c, soonest_s / 3600, "soonest");
    }
    return c;
}

static struct ebb_chart *mix_chart(const struct ebb_forecast *f)
{
    struct ebb_chart *c = ebb_chart_new("VMs, on average");
    ebb_chart_axis_x(c, "time", EBB_CHART_HOURS);
    ebb_chart_axis_y(c, "VMs", EBB_CHART_LINEAR);
    for (size_t k = 0; k < f->mix_count; k++) {
        double x[EBB_FORECAST_BINS + 1], y[EBB_FORECAST_BINS + 1];
        for (int b = 0; b <= EBB_FORECAST_BINS; b++) {
            x[b] = b * f->bin_s / 3600;
            y[b] = b < EBB_FORECAST_BINS ? f->mix[k].vms[b] : 0;
        }
        ebb_chart_line(c, f->mix[k].name, EBB_CHART_STEP, EBB_FORECAST_BINS + 1, x, y);
    }
    return c;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The share of runs below each value. */
static struct ebb_chart *spread_chart(const struct ebb_forecast *f)
{
    struct ebb_chart *c = ebb_chart_new("Cost of the runs");
    size_t n = f->outcome.runs;
    EBB_AUTO_FREE double *x = ebb_alloc_array(n + 1, sizeof *x);
    EBB_AUTO_FREE double *y = ebb_alloc_array(n + 1, sizeof *y);
    for (size_t i = 0; i < n; i++)
        x[i] = f->outcomes[i].usd;
    qsort(x, n, sizeof *x, by_value);
    for (size_t i = 0; i < n; i++)
        y[i] = (double)(i + 1) / (double)n;
    ebb_chart_axis_x(c, "cost [$]", EBB_CHART_LINEAR);
    ebb_chart_axis_y(c, "share of runs below", EBB_CHART_LINEAR);
    ebb_chart_range_y(c, 0, 1);
    ebb_chart_line(c, NULL, EBB_CHART_STEP, n, x, y);
    ebb_chart_mark_x(c, f->outcome.usd.p5, "low");
    ebb_chart_mark_x(c, f->outcome.usd.p95, "high");
    return c;
}

void ebb_plan_svg(const struct ebb_plan_view *v, struct ebb_buffer *out)
{
    struct ebb_chart *panels[3];
    size_t n = 0;
    if (v->forecast->point_count > 1)
        panels[n++] = curve_chart(v->forecast);
    panels[n++] = mix_chart(v->forecast);
    panels[n++] = spread_chart(v->forecast);
    ebb_chart_render(panels, n, n, out);
    for (size_t i = 0; i < n; i++)
        ebb_chart_destroy(panels[i]);
}
