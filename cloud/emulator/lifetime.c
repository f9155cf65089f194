/* Lifetimes by inversion: one uniform number a VM, so a seed fixes the life of the n-th launch
 * whatever else happens. A trace repeats from its start when it is over. */
#include "cloud/emulator/lifetime.h"

#include <math.h>

const struct ebb_fleet_lifetime *ebb_lifetime_find(const struct ebb_fleet *f, int zone, int type)
{
    for (size_t i = 0; i < f->lifetime_count; i++) {
        const struct ebb_fleet_lifetime *l = &f->lifetimes[i];

        if ((l->zone < 0 || l->zone == zone) && (l->type < 0 || l->type == type))
            return l;
    }
    return NULL;
}

static double bathtub_cdf(const struct ebb_fleet_lifetime *l, double t)
{
    double base = exp(-l->deadline_s / l->tau2_s);
    double f = l->a * (1 - exp(-t / l->tau1_s) + exp((t - l->deadline_s) / l->tau2_s) - base);

    return f < 0 ? 0 : f > 1 ? 1 : f;
}

static double bathtub_quantile(const struct ebb_fleet_lifetime *l, double u)
{
    double low = 0, high = l->deadline_s;

    if (bathtub_cdf(l, high) <= u) /* the provider's maximum age takes the rest */
        return high;
    for (int i = 0; i < 100; i++) {
        double middle = (low + high) / 2;

        if (bathtub_cdf(l, middle) < u)
            low = middle;
        else
            high = middle;
    }
    return high;
}

double ebb_lifetime_quantile(const struct ebb_fleet_lifetime *l, double u)
{
    switch (l->model) {
    case EBB_FLEET_MODEL_EXPONENTIAL:
        return -l->mean_s * log1p(-u);
    case EBB_FLEET_MODEL_WEIBULL:
        return l->scale_s * pow(-log1p(-u), 1 / l->shape);
    case EBB_FLEET_MODEL_BATHTUB:
        return bathtub_quantile(l, u);
    case EBB_FLEET_MODEL_UNIFORM:
        return l->from_s + u * (l->to_s - l->from_s);
    }
    return 0;
}

double ebb_fleet_cap_decided_s(double cap_s, const struct ebb_fleet_notice *notice)
{
    return notice->kind == EBB_FLEET_NOTICE_NONE ? cap_s : fmax(0, cap_s - notice->length_s);
}

struct ebb_fleet_notice ebb_lifetime_notice(const struct ebb_fleet_lifetime *l, double u)
{
    struct ebb_fleet_notice notice = l->notice;

    if (u < l->lost_rate)
        notice.kind = EBB_FLEET_NOTICE_LOST;
    else if (u < l->lost_rate + l->late_rate)
        notice.kind = EBB_FLEET_NOTICE_LATE;
    else if (u < l->lost_rate + l->late_rate + l->none_rate)
        notice.kind = EBB_FLEET_NOTICE_NONE;
    return notice;
}

static size_t trace_index(const struct ebb_fleet_trace *t, double at_s)
{
    double position = fmod((at_s + t->start_s) / t->gap_s, (double)t->count);
    size_t i = position > 0 ? (size_t)position : 0;

    return i < t->count ? i : t->count - 1;
}

bool ebb_trace_available(const struct ebb_fleet_trace *t, double at_s)
{
    return t->data[trace_index(t, at_s)] != 0;
}

double ebb_trace_next_change(const struct ebb_fleet_trace *t, double at_s)
{
    size_t i = trace_index(t, at_s);
    double into = fmod((at_s + t->start_s) / t->gap_s, 1.0);

    for (size_t k = 1; k <= t->count; k++)
        if (t->data[(i + k) % t->count] != t->data[i])
            return ((double)k - into) * t->gap_s;
    return -1;
}
