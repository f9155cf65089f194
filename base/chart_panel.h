/* Inside of a chart, shared by chart.c, which gathers it, and chart_draw.c, which draws it. */
#ifndef EBB_BASE_CHART_PANEL_H
#define EBB_BASE_CHART_PANEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/chart.h"

struct ebb_chart_axis {
    char *label;
    enum ebb_chart_scale scale;
    double from, to;
    bool fixed;
};

struct ebb_chart_series {
    char *name;
    enum ebb_chart_shape shape;
    size_t count;
    double *x, *y, *high; /* high: NULL unless it is a band */
    size_t colour;
};

struct ebb_chart_mark {
    double x;
    char *text;
};

struct ebb_chart {
    char *title;
    struct ebb_chart_axis x, y;
    struct ebb_chart_series *series;
    size_t series_count, colour;
    bool keep_colour;
    struct ebb_chart_mark *marks;
    size_t mark_count;
};

#endif
