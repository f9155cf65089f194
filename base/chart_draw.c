/* Charts as SVG text. A panel's geometry is settled in one pass when it is drawn: the ranges of its
 * axes, the ticks, then each series as one path, clipped to the plot. The only ids in the output
 * are the clip paths', by number of the panel, so that equal charts are equal bytes. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/chart_panel.h"

#define PANEL_WIDTH   640.0
#define PANEL_HEIGHT  320.0
#define LEFT          66.0
#define RIGHT         18.0
#define BOTTOM        46.0
#define TITLE_HEIGHT  30.0
#define LEGEND_HEIGHT 17.0
#define CHAR_WIDTH    6.3 /* of the 11 px text, on average */

/* Okabe and Ito's palette, told apart by readers of all kinds of colour vision. */
static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                      "#e69f00", "#56b4e9", "#000000", "#8c6d31"};

/* A panel while it is drawn. */
struct plot {
    const struct ebb_chart *c;
    struct ebb_buffer *out;
    struct ebb_chart_axis x, y; /* with their final ranges */
    double left, top, right, bottom;
};

/* The length of the UTF-8 sequence at s, 0 when it is none. */
static size_t sequence_length(const unsigned char *s)
{
    size_t len = s[0] < 0x80       ? 1
                 : s[0] >> 5 == 6  ? 2
                 : s[0] >> 4 == 14 ? 3
                 : s[0] >> 3 == 30 ? 4
                                   : 0;
    for (size_t i = 1; i < len; i++) {
        if (s[i] >> 6 != 2)
            return 0;
    }
    return len;
}

/* Text as XML 1.0 may hold it: markup escaped, control characters and bytes that are not UTF-8 as
 * '?'. */
static void escape(struct ebb_buffer *out, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    while (*s != '\0') {
        size_t len = sequence_length(s);
        if (len == 0 || *s < 0x20 || *s == 0x7f)
            ebb_buffer_append_text(out, "?");
        else if (*s == '&')
            ebb_buffer_append_text(out, "&amp;");
        else if (*s == '<')
            ebb_buffer_append_text(out, "&lt;");
        else if (*s == '>')
            ebb_buffer_append_text(out, "&gt;");
        else if (*s == '"')
            ebb_buffer_append_text(out, "&quot;");
        else
            ebb_buffer_append(out, s, len);
        s += len == 0 ? 1 : len;
    }
}

static void text_at(struct ebb_buffer *out, double x, double y, const char *attributes,
                    const char *text)
{
    ebb_buffer_printf(out, "<text x=\"%.1f\" y=\"%.1f\"%s%s>", x, y, *attributes == '\0' ? "" : " ",
                      attributes);
    escape(out, text);
    ebb_buffer_append_text(out, "</text>\n");
}

static bool drawable(const struct ebb_chart_axis *a, double v)
{
    return isfinite(v) && (a->scale != EBB_CHART_LOG || v > 0);
}

static void widen(struct ebb_chart_axis *a, double v)
{
    if (!drawable(a, v))
        return;
    a->from = fmin(a->from, v);
    a->to = fmax(a->to, v);
}

/* The axis with the range it is drawn over: as set, else that of the data. */
static struct ebb_chart_axis ranged(const struct ebb_chart *c, const struct ebb_chart_axis *given,
                                    bool is_x)
{
    struct ebb_chart_axis a = *given;
    if (a.fixed && (a.scale != EBB_CHART_LOG || a.from > 0))
        return a;
    a.from = DBL_MAX;
    a.to = -DBL_MAX;
    for (size_t i = 0; i < c->series_count; i++) {
        const struct ebb_chart_series *s = &c->series[i];
        for (size_t k = 0; k < s->count; k++) {
            widen(&a, is_x ? s->x[k] : s->y[k]);
            if (!is_x && s->high != NULL)
                widen(&a, s->high[k]);
        }
    }
    if (a.from > a.to) {
        a.from = a.scale == EBB_CHART_LOG ? 0.1 : 0;
        a.to = 1;
    }
    if (a.scale == EBB_CHART_LOG) {
        a.to = fmin(fmax(a.to, a.from * 1.5), DBL_MAX / 2);
        return a;
    }
    if (a.from > 0 && a.from < 0.3 * a.to)
        a.from = 0; /* near zero: show it */
    /* A single value, or a span that doubles cannot tell from it. */
    double least = fmax(1e-9 * fmax(fabs(a.from), fabs(a.to)), DBL_MIN * 1e6);
    if (!(a.to - a.from > least))
        a.to = a.from + fmax(1, fabs(a.from) * 0.1);
    if (!isfinite(a.to - a.from)) {
        a.from /= 4;
        a.to /= 4;
    }
    return a;
}

/* v's place between the pixels `at_from` and `at_to`, not far outside them. */
static double place(const struct ebb_chart_axis *a, double v, double at_from, double at_to)
{
    double t = a->scale == EBB_CHART_LOG ? (v > 0 ? log(v / a->from) / log(a->to / a->from) : -1)
                                         : (v - a->from) / (a->to - a->from);
    return at_from + fmin(fmax(t, -10), 10) * (at_to - at_from);
}

static double px(const struct plot *p, double x)
{
    return place(&p->x, x, p->left, p->right);
}

static double py(const struct plot *p, double y)
{
    return place(&p->y, y, p->bottom, p->top);
}

/* What the axis' numbers are divided by, and the unit's name ("": none). */
static double unit_of(const struct ebb_chart_axis *a, const char **ret_name)
{
    double hours = 1;
    *ret_name = a->scale == EBB_CHART_HOURS ? ebb_chart_unit(a->to - a->from, &hours) : "";
    return hours;
}

static void draw_tick_x(const struct plot *p, double v)
{
    char label[32];
    const char *unit;
    double at = px(p, v);
    (void)snprintf(label, sizeof label, "%.4g", v / unit_of(&p->x, &unit));
    ebb_buffer_printf(p->out, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>\n", at, p->top,
                      p->bottom);
    text_at(p->out, at, p->bottom + 15, "text-anchor=\"middle\"", label);
}

static void draw_tick_y(const struct plot *p, double v)
{
    char label[32];
    double at = py(p, v);
    (void)snprintf(label, sizeof label, "%.4g", v);
    ebb_buffer_printf(p->out, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>\n", p->left, at,
                      p->right);
    text_at(p->out, p->left - 6, at + 4, "text-anchor=\"end\"", label);
}

static void draw_label_x(const struct plot *p)
{
    char label[128];
    const char *unit;
    if (p->x.label == NULL)
        return;
    (void)unit_of(&p->x, &unit);
    (void)snprintf(label, sizeof label, *unit == '\0' ? "%.100s" : "%.100s [%s]", p->x.label, unit);
    text_at(p->out, (p->left + p->right) / 2, p->bottom + 34, "text-anchor=\"middle\"", label);
}

static void draw_axes(const struct plot *p)
{
    double ticks[EBB_CHART_MAX_TICKS];
    size_t count = ebb_chart_ticks(p->x.scale, p->x.from, p->x.to, 11, ticks);
    for (size_t i = 0; i < count; i++)
        draw_tick_x(p, ticks[i]);
    count = ebb_chart_ticks(p->y.scale, p->y.from, p->y.to, p->y.scale == EBB_CHART_LOG ? 12 : 8,
                            ticks);
    for (size_t i = 0; i < count; i++)
        draw_tick_y(p, ticks[i]);
    ebb_buffer_printf(p->out,
                      "<rect class=\"frame\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                      "height=\"%.1f\"/>\n",
                      p->left, p->top, p->right - p->left, p->bottom - p->top);
    draw_label_x(p);
    if (p->y.label != NULL) {
        char turn[96];
        double x = p->left - LEFT + 14, y = (p->top + p->bottom) / 2;
        (void)snprintf(turn, sizeof turn,
                       "text-anchor=\"middle\" transform=\"rotate(-90 %.1f %.1f)\"", x, y);
        text_at(p->out, x, y, turn, p->y.label);
    }
}

/* A path is built point by point; a point that rounds to the one before is left out. */
struct pen {
    struct ebb_buffer *out;
    bool down;
    long x, y; /* tenths of a pixel */
};

static void pen_to(struct pen *pen, double x, double y)
{
    long tx = lround(x * 10), ty = lround(y * 10);
    if (pen->down && tx == pen->x && ty == pen->y)
        return;
    ebb_buffer_printf(pen->out, "%s%.1f %.1f", pen->down ? "L" : "M", (double)tx / 10,
                      (double)ty / 10);
    *pen = (struct pen){pen->out, true, tx, ty};
}

static void draw_line(const struct plot *p, const struct ebb_chart_series *s)
{
    struct pen pen = {.out = p->out};
    ebb_buffer_printf(p->out, "<path class=\"line\"%s stroke=\"%s\" d=\"",
                      s->shape == EBB_CHART_DASHED ? " stroke-dasharray=\"6 4\"" : "",
                      colours[s->colour % EBB_ARRAY_LEN(colours)]);
    double last_y = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (!drawable(&p->x, s->x[i]) || !drawable(&p->y, s->y[i])) {
            /* A step runs on to the place where its value ends. */
            if (pen.down && s->shape == EBB_CHART_STEP && drawable(&p->x, s->x[i]))
                pen_to(&pen, px(p, s->x[i]), last_y);
            pen.down = false;
            continue;
        }
        double x = px(p, s->x[i]), y = py(p, s->y[i]);
        if (pen.down && s->shape == EBB_CHART_STEP)
            pen_to(&pen, x, last_y);
        pen_to(&pen, x, y);
        last_y = y;
    }
    ebb_buffer_append_text(p->out, "\"/>\n");
}

static void draw_points(const struct plot *p, const struct ebb_chart_series *s)
{
    ebb_buffer_printf(p->out, "<g fill=\"%s\">\n", colours[s->colour % EBB_ARRAY_LEN(colours)]);
    for (size_t i = 0; i < s->count; i++) {
        if (drawable(&p->x, s->x[i]) && drawable(&p->y, s->y[i]))
            ebb_buffer_printf(p->out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"/>\n",
                              px(p, s->x[i]), py(p, s->y[i]));
    }
    ebb_buffer_append_text(p->out, "</g>\n");
}

static bool band_point(const struct plot *p, const struct ebb_chart_series *s, size_t i)
{
    /* On a logarithmic axis a lower bound of 0 reaches the foot of the plot. */
    return drawable(&p->x, s->x[i]) && isfinite(s->y[i]) && drawable(&p->y, s->high[i]);
}

/* One unbroken stretch [from, to) of a band: its upper edge forward, its lower edge back. */
static void draw_band_part(const struct plot *p, const struct ebb_chart_series *s, size_t from,
                           size_t to)
{
    struct pen pen = {.out = p->out};
    bool step = s->shape == EBB_CHART_STEP;
    for (size_t i = from; i < to; i++) {
        if (step && i > from)
            pen_to(&pen, px(p, s->x[i]), py(p, s->high[i - 1]));
        pen_to(&pen, px(p, s->x[i]), py(p, s->high[i]));
    }
    for (size_t i = to; i-- > from;) {
        pen_to(&pen, px(p, s->x[i]), py(p, s->y[i]));
        if (step && i > from)
            pen_to(&pen, px(p, s->x[i]), py(p, s->y[i - 1]));
    }
    ebb_buffer_append_text(p->out, "Z");
}

static void draw_band(const struct plot *p, const struct ebb_chart_series *s)
{
    ebb_buffer_printf(p->out, "<path class=\"band\" fill=\"%s\" d=\"",
                      colours[s->colour % EBB_ARRAY_LEN(colours)]);
    for (size_t from = 0; from < s->count;) {
        size_t to = from;
        while (to < s->count && band_point(p, s, to))
            to++;
        if (to > from + 1)
            draw_band_part(p, s, from, to);
        from = to + 1;
    }
    ebb_buffer_append_text(p->out, "\"/>\n");
}

static void draw_mark(const struct plot *p, const struct ebb_chart_mark *m)
{
    if (!drawable(&p->x, m->x) || m->x < p->x.from || m->x > p->x.to)
        return;
    double x = px(p, m->x);
    ebb_buffer_printf(p->out, "<path class=\"mark\" d=\"M%.1f %.1fV%.1f\"/>\n", x, p->top,
                      p->bottom);
    bool left = x > (p->left + p->right) / 2;
    if (m->text != NULL)
        text_at(p->out, x + (left ? -4 : 4), p->top + 13,
                left ? "class=\"over\" text-anchor=\"end\"" : "class=\"over\"", m->text);
}

static double entry_width(const struct ebb_chart_series *s)
{
    return 34 + CHAR_WIDTH * (double)strlen(s->name);
}

/* Draws the legend from (x, y) on, or only counts its rows when `out` is NULL. */
static size_t draw_legend(const struct ebb_chart *c, struct ebb_buffer *out, double left, double y)
{
    double x = left, width = PANEL_WIDTH - LEFT - RIGHT;
    size_t rows = 0;
    for (size_t i = 0; i < c->series_count; i++) {
        const struct ebb_chart_series *s = &c->series[i];
        if (s->name == NULL)
            continue;
        if (rows == 0 || x + entry_width(s) > left + width) {
            x = left;
            y += rows == 0 ? 0 : LEGEND_HEIGHT;
            rows++;
        }
        const char *colour = colours[s->colour % EBB_ARRAY_LEN(colours)];
        if (out != NULL && s->high != NULL)
            ebb_buffer_printf(out,
                              "<rect class=\"band\" fill=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"18\" "
                              "height=\"9\"/>\n",
                              colour, x, y - 9);
        else if (out != NULL && s->shape == EBB_CHART_POINTS)
            ebb_buffer_printf(out, "<circle fill=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"/>\n",
                              colour, x + 9, y - 4);
        else if (out != NULL)
            ebb_buffer_printf(out, "<path class=\"line\"%s stroke=\"%s\" d=\"M%.1f %.1fh18\"/>\n",
                              s->shape == EBB_CHART_DASHED ? " stroke-dasharray=\"6 4\"" : "",
                              colour, x, y - 4);
        if (out != NULL)
            text_at(out, x + 23, y, "", s->name);
        x += entry_width(s);
    }
    return rows;
}

static void draw_panel(const struct ebb_chart *c, size_t number, double x, double y,
                       struct ebb_buffer *out)
{
    double head =
        (c->title != NULL ? TITLE_HEIGHT : 12) + LEGEND_HEIGHT * (double)draw_legend(c, NULL, 0, 0);
    struct plot p = {.c = c,
                     .out = out,
                     .x = ranged(c, &c->x, true),
                     .y = ranged(c, &c->y, false),
                     .left = x + LEFT,
                     .right = x + PANEL_WIDTH - RIGHT,
                     .top = y + fmin(head, PANEL_HEIGHT - BOTTOM - 80),
                     .bottom = y + PANEL_HEIGHT - BOTTOM};
    if (c->title != NULL)
        text_at(out, p.left, y + 19, "class=\"title\"", c->title);
    (void)draw_legend(c, out, p.left, y + (c->title != NULL ? TITLE_HEIGHT + 7 : 18));
    draw_axes(&p);
    ebb_buffer_printf(out,
                      "<clipPath id=\"plot%zu\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                      "height=\"%.1f\"/></clipPath>\n<g clip-path=\"url(#plot%zu)\">\n",
                      number, p.left, p.top, p.right - p.left, p.bottom - p.top, number);
    for (size_t i = 0; i < c->series_count; i++) {
        const struct ebb_chart_series *s = &c->series[i];
        if (s->high != NULL)
            draw_band(&p, s);
        else if (s->shape == EBB_CHART_POINTS)
            draw_points(&p, s);
        else
            draw_line(&p, s);
    }
    for (size_t i = 0; i < c->mark_count; i++)
        draw_mark(&p, &c->marks[i]);
    ebb_buffer_append_text(out, "</g>\n");
}

void ebb_chart_render(struct ebb_chart *const *panels, size_t count, size_t columns,
                      struct ebb_buffer *out)
{
    columns = columns == 0 ? 1 : columns < count || count == 0 ? columns : count;
    size_t rows = count == 0 ? 1 : (count + columns - 1) / columns;
    double width = PANEL_WIDTH * (double)columns, height = PANEL_HEIGHT * (double)rows;
    ebb_buffer_printf(out,
                      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
                      "viewBox=\"0 0 %.0f %.0f\" role=\"img\" font-family=\"sans-serif\" "
                      "font-size=\"11\">\n",
                      width, height, width, height);
    ebb_buffer_append_text(
        out, "<style>.grid{stroke:#ddd}.frame{fill:none;stroke:#444}.line{fill:none;"
             "stroke-width:1.6;stroke-linejoin:round}.band{fill-opacity:.22;stroke:none}"
             ".over{paint-order:stroke;stroke:#fff;stroke-width:4px}.mark{stroke:#666;stroke-"
             "dasharray:2 3}.title{font-size:13px;font-weight:bold}"
             "</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n");
    for (size_t i = 0; i < count; i++)
        draw_panel(panels[i], i, PANEL_WIDTH * (double)(i % columns),
                   PANEL_HEIGHT * (double)(i / columns), out);
    ebb_buffer_append_text(out, "</svg>\n");
}
