/* Small charts as SVG: lines, steps, points and bands on linear, hour or logarithmic axes, with
 * ticks and a legend; several panels make one picture. Any text is escaped; the same calls give the
 * same bytes.
 *
 *     struct ebb_chart *c = ebb_chart_new("Survival");
 *     ebb_chart_axis_x(c, "age", EBB_CHART_HOURS);
 *     ebb_chart_axis_y(c, "fraction alive", EBB_CHART_LINEAR);
 *     ebb_chart_range_y(c, 0, 1);
 *     ebb_chart_line(c, "Kaplan-Meier", EBB_CHART_STEP, n, age, alive);
 *     ebb_chart_render(&c, 1, 1, &svg);
 */
#ifndef EBB_BASE_CHART_H
#define EBB_BASE_CHART_H

#include <stddef.h>

#include "base/buffer.h"

enum ebb_chart_scale {
    EBB_CHART_LINEAR,
    EBB_CHART_HOURS, /* linear, of hours; drawn in seconds, minutes, hours or days, whichever suits
                        the span, with ticks that people count in; the unit follows the label */
    EBB_CHART_LOG,   /* values of 0 and less are not drawn */
};

enum ebb_chart_shape {
    EBB_CHART_LINE,
    EBB_CHART_DASHED,
    EBB_CHART_STEP, /* y[i] holds from x[i] to x[i + 1] */
    EBB_CHART_POINTS,
};

struct ebb_chart; /* one panel */

struct ebb_chart *ebb_chart_new(const char *title); /* NULL: none */
void ebb_chart_destroy(struct ebb_chart *c);
EBB_DEFINE_AUTO_PTR(ebb_chart_auto, struct ebb_chart, ebb_chart_destroy)

void ebb_chart_axis_x(struct ebb_chart *c, const char *label, enum ebb_chart_scale scale);
void ebb_chart_axis_y(struct ebb_chart *c, const char *label, enum ebb_chart_scale scale);
/* A fixed range; what lies outside is cut off. Without it the axis spans the data. Ranges that are
 * empty, not finite, or not positive on a logarithmic axis are ignored. */
void ebb_chart_range_x(struct ebb_chart *c, double from, double to);
void ebb_chart_range_y(struct ebb_chart *c, double from, double to);

/* Adds a series; the arrays are copied. A value that is not finite leaves a gap. `name` NULL: not
 * in the legend. Each series takes the next colour. */
void ebb_chart_line(struct ebb_chart *c, const char *name, enum ebb_chart_shape shape, size_t count,
                    const double *x, const double *y);
/* A filled band between `low` and `high`; `shape` is EBB_CHART_LINE or EBB_CHART_STEP. */
void ebb_chart_band(struct ebb_chart *c, const char *name, enum ebb_chart_shape shape, size_t count,
                    const double *x, const double *low, const double *high);
/* The next series has the colour of the one before: a line and its band. */
void ebb_chart_keep_colour(struct ebb_chart *c);
/* A vertical dotted line with a word: a deadline, a cap. */
void ebb_chart_mark_x(struct ebb_chart *c, double x, const char *text);

/* Appends the SVG document of `count` panels, `columns` in a row (0 counts as 1). */
void ebb_chart_render(struct ebb_chart *const *panels, size_t count, size_t columns,
                      struct ebb_buffer *out);

/* Ticks of an axis from `from` to `to`: at most `most` (up to EBB_CHART_MAX_TICKS) values inside
 * the range, ascending. Returns their number; 0 for a range that is empty or not finite. */
#define EBB_CHART_MAX_TICKS 16
/* The unit that hours of this span are drawn in: "s", "min", "h" or "d", and its length in hours.
 */
const char *ebb_chart_unit(double span_hours, double *ret_hours);
size_t ebb_chart_ticks(enum ebb_chart_scale scale, double from, double to, size_t most,
                       double ret[EBB_CHART_MAX_TICKS]);

#endif
