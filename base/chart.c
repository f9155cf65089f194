/* What a chart holds: its axes and copies of its series, as they came. */
#include <math.h>

#include "base/chart_panel.h"

struct ebb_chart *ebb_chart_new(const char *title)
{
    struct ebb_chart *c = ebb_alloc(sizeof *c);
    c->title = ebb_strdup(title);
    return c;
}

void ebb_chart_destroy(struct ebb_chart *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->series_count; i++) {
        free(c->series[i].name);
        free(c->series[i].x);
        free(c->series[i].y);
        free(c->series[i].high);
    }
    for (size_t i = 0; i < c->mark_count; i++)
        free(c->marks[i].text);
    free(c->series);
    free(c->marks);
    free(c->x.label);
    free(c->y.label);
    free(c->title);
    free(c);
}

static void set_axis(struct ebb_chart_axis *a, const char *label, enum ebb_chart_scale scale)
{
    free(a->label);
    a->label = ebb_strdup(label);
    a->scale = scale;
}

void ebb_chart_axis_x(struct ebb_chart *c, const char *label, enum ebb_chart_scale scale)
{
    set_axis(&c->x, label, scale);
}

void ebb_chart_axis_y(struct ebb_chart *c, const char *label, enum ebb_chart_scale scale)
{
    set_axis(&c->y, label, scale);
}

static void set_range(struct ebb_chart_axis *a, double from, double to)
{
    if (!(to > from) || !isfinite(to - from))
        return;
    a->from = from;
    a->to = to;
    a->fixed = true;
}

void ebb_chart_range_x(struct ebb_chart *c, double from, double to)
{
    set_range(&c->x, from, to);
}

void ebb_chart_range_y(struct ebb_chart *c, double from, double to)
{
    set_range(&c->y, from, to);
}

static void add_series(struct ebb_chart *c, struct ebb_chart_series s)
{
    if (c->keep_colour && c->series_count > 0)
        s.colour = c->series[c->series_count - 1].colour;
    else
        s.colour = c->colour++;
    c->keep_colour = false;
    c->series = ebb_realloc_array(c->series, c->series_count + 1, sizeof *c->series);
    c->series[c->series_count++] = s;
}

static double *copy_of(const double *v, size_t count)
{
    return count == 0 ? NULL : ebb_memdup(v, count * sizeof *v);
}

void ebb_chart_line(struct ebb_chart *c, const char *name, enum ebb_chart_shape shape, size_t count,
                    const double *x, const double *y)
{
    add_series(c, (struct ebb_chart_series){.name = ebb_strdup(name),
                                            .shape = shape,
                                            .count = count,
                                            .x = copy_of(x, count),
                                            .y = copy_of(y, count)});
}

void ebb_chart_band(struct ebb_chart *c, const char *name, enum ebb_chart_shape shape, size_t count,
                    const double *x, const double *low, const double *high)
{
    if (count == 0)
        return;
    add_series(c, (struct ebb_chart_series){.name = ebb_strdup(name),
                                            .shape = shape,
                                            .count = count,
                                            .x = copy_of(x, count),
                                            .y = copy_of(low, count),
                                            .high = copy_of(high, count)});
}

void ebb_chart_keep_colour(struct ebb_chart *c)
{
    c->keep_colour = true;
}

void ebb_chart_mark_x(struct ebb_chart *c, double x, const char *text)
{
    c->marks = ebb_realloc_array(c->marks, c->mark_count + 1, sizeof *c->marks);
    c->marks[c->mark_count++] = (struct ebb_chart_mark){.x = x, .text = ebb_strdup(text)};
}
