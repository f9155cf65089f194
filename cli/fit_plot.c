/* The picture of `ebb fit`: what was seen (steps and bounds), and what the chosen model makes of
 * it. */
#include <math.h>

#include "base/chart.h"
#include "cli/fit_view.h"

#define POINTS      400
#define MOST_GROUPS 8
#define LEAST_AGE_H (1 / 60.0)

/* Kaplan-Meier from age 0 to the longest life; `low` and `high` NULL: the estimate alone. */
static size_t survival_steps(const struct ebb_kaplan_meier *k, double *age, double *alive,
                             double *low, double *high)
{
    size_t n = 0;
    for (size_t i = 0; i <= k->count + 1; i++) {
        const struct ebb_kaplan_meier_step first = {.survival = 1, .low = 1, .high = 1};
        const struct ebb_kaplan_meier_step *s = i == 0          ? &first
                                                : i <= k->count ? &k->steps[i - 1]
                                                : k->count == 0 ? &first
                                                                : &k->steps[k->count - 1];
        age[n] = i > k->count ? k->largest_h : s->age_h;
        alive[n] = s->survival;
        if (low != NULL) {
            low[n] = s->low;
            high[n] = s->high;
        }
        n++;
    }
    return n;
}

static struct ebb_chart *survival_chart(const struct ebb_fit_comparison *c)
{
    struct ebb_chart *chart = ebb_chart_new("Survival");
    size_t most = c->kaplan_meier.count + 2;
    EBB_AUTO_FREE double *age = ebb_alloc_array(most, sizeof *age);
    EBB_AUTO_FREE double *alive = ebb_alloc_array(most, sizeof *alive);
    EBB_AUTO_FREE double *low = ebb_alloc_array(most, sizeof *low);
    EBB_AUTO_FREE double *high = ebb_alloc_array(most, sizeof *high);
    const struct ebb_fit_model *m = &c->models[c->chosen];
    double x[POINTS], y[POINTS], to = c->kaplan_meier.largest_h;
    for (size_t i = 0; i < POINTS; i++) {
        /* Denser where lives are short. */
        double t = (double)i / (POINTS - 1);
        x[i] = to * t * t;
        y[i] = exp(-ebb_fit_model_cumulative(m, x[i]));
    }
    ebb_chart_axis_x(chart, "age", EBB_CHART_HOURS);
    ebb_chart_axis_y(chart, "fraction not revoked", EBB_CHART_LINEAR);
    ebb_chart_range_y(chart, 0, 1);
    size_t n = survival_steps(&c->kaplan_meier, age, alive, low, high);
    ebb_chart_band(chart, "95 % bounds", EBB_CHART_STEP, n, age, low, high);
    ebb_chart_keep_colour(chart);
    ebb_chart_line(chart, "Kaplan-Meier", EBB_CHART_STEP, n, age, alive);
    ebb_chart_line(chart, m->name, EBB_CHART_LINE, POINTS, x, y);
    if (c->capped > 0)
        ebb_chart_mark_x(chart, c->limit_h, "cap");
    return chart;
}

/* Revocations over exposure by bin of age, with 95 % bounds exp(+-1.96 / sqrt(n)). */
static void add_seen_hazard(struct ebb_chart *chart, const struct ebb_lifetimes *l, double to)
{
    static const double edges[] = {0, 0.25, 0.5, 1, 2, 3, 6, 9, 12, 18, 24, 48, 96, 192, 384};
    double x[EBB_ARRAY_LEN(edges) + 1], y[EBB_ARRAY_LEN(edges) + 1], low[EBB_ARRAY_LEN(edges) + 1],
        high[EBB_ARRAY_LEN(edges) + 1];
    EBB_AUTO(ebb_fit_sample_clean_up) struct ebb_fit_sample s;
    ebb_fit_sample_init(&s, l, NULL);
    size_t n = 0;
    for (size_t k = 0; k < EBB_ARRAY_LEN(edges) && edges[k] < to; k++) {
        struct ebb_fit_bin bin = {.from_h = edges[k],
                                  .to_h = k + 1 < EBB_ARRAY_LEN(edges) ? edges[k + 1] : INFINITY};
        ebb_fit_sample_bin(&s, &bin, 1);
        bool seen = bin.revoked > 0;
        x[n] = fmax(edges[k], LEAST_AGE_H);
        y[n] = seen ? bin.revoked / bin.exposed_h : NAN;
        low[n] = y[n] * exp(-1.96 / sqrt(bin.revoked));
        high[n] = y[n] * exp(1.96 / sqrt(bin.revoked));
        n++;
    }
    x[n] = to;
    y[n] = low[n] = high[n] = NAN;
    if (n > 0 && !isnan(y[n - 1])) {
        y[n] = y[n - 1];
        low[n] = low[n - 1];
        high[n] = high[n - 1];
    }
    n++;
    ebb_chart_band(chart, "95 % bounds", EBB_CHART_STEP, n, x, low, high);
    ebb_chart_keep_colour(chart);
    ebb_chart_line(chart, "revocations per VM-hour", EBB_CHART_STEP, n, x, y);
}

static struct ebb_chart *hazard_chart(const struct ebb_fit_group *g)
{
    const struct ebb_fit_comparison *c = &g->comparison;
    const struct ebb_fit_model *m = &c->models[c->chosen];
    struct ebb_chart *chart = ebb_chart_new("Hazard by age");
    double x[POINTS], y[POINTS], to = fmax(c->kaplan_meier.largest_h, 2 * LEAST_AGE_H);
    for (size_t i = 0; i < POINTS; i++) {
        x[i] = LEAST_AGE_H * pow(to / LEAST_AGE_H, (double)i / (POINTS - 1));
        y[i] = ebb_fit_model_hazard(m, x[i]);
    }
    ebb_chart_axis_x(chart, "age", EBB_CHART_LOG);
    ebb_chart_axis_y(chart, "hazard [1/h]", EBB_CHART_LOG);
    ebb_chart_range_x(chart, LEAST_AGE_H, to);
    add_seen_hazard(chart, &g->lifetimes, to);
    ebb_chart_line(chart, m->name, EBB_CHART_LINE, POINTS, x, y);
    return chart;
}

static struct ebb_chart *groups_chart(const struct ebb_fit_group *groups, size_t count)
{
    struct ebb_chart *chart = ebb_chart_new("Survival by group (Kaplan-Meier)");
    ebb_chart_axis_x(chart, "age", EBB_CHART_HOURS);
    ebb_chart_axis_y(chart, "fraction not revoked", EBB_CHART_LINEAR);
    ebb_chart_range_y(chart, 0, 1);
    size_t drawn = 0;
    for (size_t i = 0; i < count && drawn < MOST_GROUPS; i++) {
        const struct ebb_kaplan_meier *k = &groups[i].comparison.kaplan_meier;
        if (!groups[i].fitted)
            continue;
        EBB_AUTO_FREE double *age = ebb_alloc_array(k->count + 2, sizeof *age);
        EBB_AUTO_FREE double *alive = ebb_alloc_array(k->count + 2, sizeof *alive);
        size_t n = survival_steps(k, age, alive, NULL, NULL);
        ebb_chart_line(chart, groups[i].name, EBB_CHART_STEP, n, age, alive);
        drawn++;
    }
    return chart;
}

void ebb_fit_plot(const struct ebb_fit_group *all, const struct ebb_fit_group *groups, size_t count,
                  struct ebb_buffer *out)
{
    struct ebb_chart *panels[3] = {survival_chart(&all->comparison), hazard_chart(all), NULL};
    if (count > 0)
        panels[2] = groups_chart(groups, count);
    ebb_chart_render(panels, count > 0 ? 3 : 2, 2, out);
    for (size_t i = 0; i < EBB_ARRAY_LEN(panels); i++)
        ebb_chart_destroy(panels[i]);
}
