/* Where the ticks of an axis stand: at 1, 2 or 5 times a power of ten; for hours at minutes, hours
 * and days that people count in; for a logarithmic axis at powers of ten, and at 2 and 5 between
 * them while there is room. */
#include <math.h>

#include "base/chart.h"

#define SECOND (1 / 3600.0)
#define MINUTE (1 / 60.0)

static const double hour_steps[] = {
    SECOND,     2 * SECOND, 5 * SECOND,  10 * SECOND, 20 * SECOND, 30 * SECOND, MINUTE,
    2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, 1,           2,
    3,          6,          12,          24,          48,          120,         240,
    480,        720,        1440,        2160,        4320};

const char *ebb_chart_unit(double span_hours, double *ret_hours)
{
    static const struct {
        double most_hours, hours;
        const char *name;
    } units[] = {{3 * MINUTE, SECOND, "s"}, {3, MINUTE, "min"}, {96, 1, "h"}, {INFINITY, 24, "d"}};
    size_t i = 0;
    while (span_hours > units[i].most_hours)
        i++;
    *ret_hours = units[i].hours;
    return units[i].name;
}

/* The smallest of the steps in use that needs at most `most` ticks. */
static double step_of(enum ebb_chart_scale scale, double span, size_t most)
{
    double least = span / (double)most;
    bool hours = scale == EBB_CHART_HOURS && least > hour_steps[0] / 4;
    for (size_t i = 0; hours && i < EBB_ARRAY_LEN(hour_steps); i++) {
        if (hour_steps[i] >= least)
            return hour_steps[i];
    }
    double decade = pow(10, floor(log10(least)));
    static const double parts[] = {1, 2, 5, 10};
    for (size_t i = 0; i < EBB_ARRAY_LEN(parts); i++) {
        if (parts[i] * decade >= least)
            return parts[i] * decade;
    }
    return 10 * decade;
}

static size_t linear_ticks(enum ebb_chart_scale scale, double from, double to, size_t most,
                           double *ret)
{
    double step = step_of(scale, to - from, most - 1);
    double first = ceil(from / step - 1e-9);
    size_t count = 0;
    for (double k = first; count < most && k * step <= to + 1e-9 * step; k++)
        ret[count++] = k == 0 ? 0 : k * step; /* never "-0" */
    return count;
}

static size_t log_ticks(double from, double to, size_t most, double *ret)
{
    static const double parts[] = {1, 2, 5};
    double decades = log10(to / from);
    size_t per_decade = decades * 3 + 2 <= (double)most ? 3 : 1;
    double stride = fmax(1, ceil(decades / (double)(most - 1)));
    size_t count = 0;
    for (double d = floor(log10(from)); d <= ceil(log10(to)); d += stride) {
        for (size_t i = 0; i < per_decade; i++) {
            double at = parts[i] * pow(10, d);
            if (at >= from * (1 - 1e-9) && at <= to * (1 + 1e-9) && count < most)
                ret[count++] = at;
        }
    }
    return count;
}

size_t ebb_chart_ticks(enum ebb_chart_scale scale, double from, double to, size_t most,
                       double ret[EBB_CHART_MAX_TICKS])
{
    if (most > EBB_CHART_MAX_TICKS)
        most = EBB_CHART_MAX_TICKS;
    if (!(to > from) || !isfinite(to - from) || most < 2)
        return 0;
    /* A range that its own size cannot resolve has no ticks of its own. */
    if (!(to - from > 1e-12 * fmax(fabs(from), fabs(to))))
        return 0;
    if (scale != EBB_CHART_LOG)
        return linear_ticks(scale, from, to, most, ret);
    return from > 0 ? log_ticks(from, to, most, ret) : 0;
}
