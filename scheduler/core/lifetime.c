/* Expected time of VMs and of the jobs on them, stretch by stretch: ages between two borders of
 * the hazard's bins, with a border at the end of the boot and of a bulk revocation's danger. */
#include "scheduler/core/lifetime.h"

#include <math.h>

#include "scheduler/core/state.h"

#define S_PER_HOUR   3600.0
#define NOTICE_SPARE 5.0 /* seconds of a notice for other things than the checkpoint */
#define MOST_RATIO   1e6

void ebb_state_outlook(const struct ebb_state *s, const Ebb__Offer *offer, int64_t now_wall_ns,
                       struct ebb_outlook *ret)
{
    *ret = (struct ebb_outlook){.time_scale = s->bill_time_scale};
    if (offer->cap_s > 0)
        ret->cap_s = offer->cap_s / s->bill_time_scale;
    if (offer->market == EBB__MARKET__ON_DEMAND)
        return;
    const struct ebb_place p = {offer->provider, offer->region, offer->zone, offer->type};
    ret->bulk = ebb_hazards_now(s->hazards, &p, now_wall_ns, ret->per_hour, &ret->bulk_s) - 1;
}

static double scale_of(const struct ebb_outlook *o)
{
    return o->time_scale > 0 ? o->time_scale : 1;
}

static int bin_of(const struct ebb_outlook *o, double age_s)
{
    int b = 0;
    while (b + 1 < EBB_AGE_BINS && age_s * scale_of(o) >= ebb_age_bin_from_s[b + 1])
        b++;
    return b;
}

double ebb_outlook_per_hour(const struct ebb_outlook *o, double age_s)
{
    return o->per_hour[bin_of(o, age_s)] * (1 + o->bulk);
}

/* Seconds from now to the next border after `at_s` from now; the mean hazard per second until
 * then is left in *ret_hazard. */
static double next_border_s(const struct ebb_outlook *o, double age_s, double at_s, double most_s,
                            double *ret_hazard)
{
    int b = bin_of(o, age_s + at_s);
    double end_s = ebb_age_bin_from_s[b + 1] / scale_of(o) - age_s;
    if (!(end_s > at_s))
        end_s = INFINITY; /* rounding put it on its border */
    end_s = fmin(end_s, most_s);
    double factor = 1;
    if (o->bulk > 0 && at_s < o->bulk_s) {
        end_s = fmin(end_s, o->bulk_s);
        factor += o->bulk * (1 - (at_s + end_s) / 2 / o->bulk_s);
    }
    *ret_hazard = o->per_hour[b] * factor / S_PER_HOUR;
    return end_s;
}

double ebb_outlook_cumulative(const struct ebb_outlook *o, double age_s, double for_s)
{
    double sum = 0;
    for (double at = 0, h = 0; at < for_s;) {
        double end = next_border_s(o, age_s, at, for_s, &h);
        sum += h * (end - at);
        at = end;
    }
    return sum;
}

double ebb_outlook_survival(const struct ebb_outlook *o, double age_s, double for_s)
{
    if (o->cap_s > 0 && age_s + for_s > o->cap_s)
        return 0;
    return exp(-ebb_outlook_cumulative(o, age_s, for_s));
}

double ebb_state_hazard(const struct ebb_state *s, const Ebb__Offer *offer, double age_s,
                        int64_t now_wall_ns)
{
    struct ebb_outlook o;
    ebb_state_outlook(s, offer, now_wall_ns, &o);
    return ebb_outlook_per_hour(&o, age_s);
}

double ebb_state_silent_share(const struct ebb_state *s, double checkpoint_s)
{
    if (s->notice_s.count == 0 || s->notice_s.value < 1.5 * checkpoint_s + NOTICE_SPARE)
        return 1;
    return (1 + (double)s->unnoticed) / (2 + (double)(s->noticed + s->unnoticed));
}

/* ---- what a run is worth ---- */

static double interval_at(const struct ebb_run_terms *t, double hazard)
{
    if (t->interval_s > 0)
        return t->interval_s;
    return ebb_checkpoint_interval_s(t->checkpoint_s, t->silent * hazard * S_PER_HOUR, t->least_s,
                                     t->most_s);
}

/* Of a useful second in a stretch of this hazard: the seconds it takes while nothing happens, and
 * the share of them that revocations leave. */
static double pace_at(const struct ebb_run_terms *t, double hazard, double *ret_kept)
{
    double pieces = 1, lost_h = hazard;
    if (t->checkpoints) {
        pieces = fmax(1, ceil(t->work_s / interval_at(t, hazard)));
        lost_h = t->silent * hazard;
    }
    double setup_s = t->checkpoints ? 0 : t->setup_s;
    double piece_s = t->work_s / pieces + setup_s + (t->checkpoints ? t->checkpoint_s : 0);
    double y = lost_h * piece_s;
    *ret_kept = (y > 1e-9 ? y / expm1(y) : 1) / (1 + hazard * t->setup_s);
    return (t->work_s + t->setup_s + (pieces - 1) * t->checkpoint_s) / t->work_s;
}

/* Jobs that can be done before the VM's cap: of those without checkpoints only whole ones count. */
static double jobs_before(const struct ebb_run_terms *t, double most_s)
{
    if (t->checkpoints || isinf(most_s))
        return t->jobs;
    double whole = floor((most_s - t->lead_s) / (t->work_s + t->setup_s) + 1e-9);
    return fmin(t->jobs, fmax(0, whole));
}

void ebb_outlook_worth(const struct ebb_outlook *o, const struct ebb_run_terms *t,
                       struct ebb_run_worth *ret)
{
    double at = 0, alive = 1, vm = 0, useful = 0;
    double most_s = o->cap_s > 0 ? fmax(0, o->cap_s - t->age_s) : INFINITY;
    double jobs = jobs_before(t, most_s);
    double left_s = jobs * t->work_s; /* useful, still to be done */
    *ret = (struct ebb_run_worth){.survival = 1};
    if (t->checkpoints)
        ret->interval_s = interval_at(t, ebb_outlook_per_hour(o, t->age_s) / S_PER_HOUR);
    while (at < most_s && (at < t->lead_s || left_s > 0)) {
        double h, kept = 0, pace = 1;
        bool leads = at < t->lead_s;
        double end = next_border_s(o, t->age_s, at, leads ? fmin(t->lead_s, most_s) : most_s, &h);
        if (!leads) {
            pace = pace_at(t, h, &kept);
            double done = at + left_s * pace;
            left_s = done <= end ? 0 : left_s - (end - at) / pace;
            end = fmin(end, done);
        }
        double for_s = end - at;
        double lived = h > 0 ? -alive * expm1(-h * for_s) / h : alive * for_s;
        vm += lived;
        useful += lived * kept / pace;
        alive *= exp(-h * for_s);
        at = end;
    }
    if (left_s > 0 && t->checkpoints) /* whoever goes on after the cap sets up again */
        useful = fmax(0, useful - alive * t->setup_s);
    ret->vm_s = vm;
    ret->useful_s = useful;
    ret->survival = left_s > 0 || jobs < t->jobs ? 0 : alive;
    ret->ratio = useful > vm / MOST_RATIO ? vm / useful : MOST_RATIO;
}

double ebb_checkpoint_interval_s(double checkpoint_s, double h_per_hour, double least_s,
                                 double most_s)
{
    if (!(h_per_hour > 0))
        return most_s;
    double m = S_PER_HOUR / h_per_hour, tau = m;
    if (checkpoint_s < 2 * m) {
        double r = checkpoint_s / (2 * m);
        tau = sqrt(2 * checkpoint_s * m) * (1 + sqrt(r) / 3 + r / 9) - checkpoint_s;
    }
    if (!(tau > least_s))
        return least_s;
    return tau < most_s ? tau : most_s;
}
