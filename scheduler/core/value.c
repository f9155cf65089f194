/* Backward induction on a grid of time left and slack, both in steps of one length, so that idling
 * moves exactly one cell. Per step the work is one pass over the slack for each (what runs, state
 * of spot): plain loops over floats. */
#include "scheduler/core/value.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"

#define STEPS_WANTED 400
#define STEPS_MAX    4000

/* A row: one run in one state of spot, over the slack. Runs idle and on-demand have 2 B states (up
 * by age, then down by age), spot has the B of up. */
struct ebb_value {
    struct ebb_value_problem p;
    double step_s;
    size_t layers; /* time left of 0 .. layers - 1 steps */
    size_t cells;  /* slack of 0 .. cells - 1 steps */
    size_t rows;
    float *running; /* [layer][row][cell] cost of running so from here */
};

struct chance {
    float ends;  /* within a step */
    float stays; /* in its bin */
    float ages;  /* to the next */
};

struct work {
    const struct ebb_value *v;
    struct chance up[EBB_VALUE_BINS_MAX], down[EBB_VALUE_BINS_MAX];
    double
        restart_up_s[EBB_VALUE_BINS_MAX]; /* what a restart on spot is expected to take of slack */
    float *best; /* [row][cell] of the layer below: the cost of the best choice with that running */
};

static size_t row_of(const struct ebb_value *v, enum ebb_value_run run, bool up, size_t bin)
{
    size_t bins = v->p.bins;
    switch (run) {
    case EBB_VALUE_IDLE:
        return up ? bin : bins + bin;
    case EBB_VALUE_ON_DEMAND:
        return 2 * bins + (up ? bin : bins + bin);
    default:
        return 4 * bins + bin;
    }
}

static void find_chances(const struct ebb_value *v, const double *per_hour, struct chance *ret)
{
    for (size_t b = 0; b < v->p.bins; b++) {
        double ends = -expm1(-per_hour[b] * v->step_s / 3600);
        double ages =
            b + 1 < v->p.bins ? fmin(1, v->step_s / (v->p.from_s[b + 1] - v->p.from_s[b])) : 0;
        ret[b] = (struct chance){(float)ends, (float)((1 - ends) * (1 - ages)),
                                 (float)((1 - ends) * ages)};
    }
}

/* Restarts that are cut short give back what is left of them: d S(d) + integral of t f(t) =
 * integral of S over [0, d]. */
static void find_restarts(struct work *w)
{
    const struct ebb_value_problem *p = &w->v->p;
    for (size_t b = 0; b < p->bins; b++) {
        double rate = fmax(1e-9, p->revocation_per_hour[b] / 3600);
        w->restart_up_s[b] = -expm1(-rate * p->restart_s) / rate;
    }
}

static double price_per_s(const struct ebb_value *v, enum ebb_value_run run)
{
    return run == EBB_VALUE_SPOT        ? v->p.spot_usd_per_hour / 3600
           : run == EBB_VALUE_ON_DEMAND ? v->p.on_demand_usd_per_hour / 3600
                                        : 0;
}

/* ret = ends * a + stays * b + ages * c, cell by cell. */
static void mix(float *restrict ret, struct chance k, const float *restrict a,
                const float *restrict b, const float *restrict c, size_t cells)
{
    for (size_t i = 0; i < cells; i++)
        ret[i] = k.ends * a[i] + k.stays * b[i] + k.ages * c[i];
}

/* What comes after a step of `run` in this state: the expectation over the state of spot. */
static void expect(const struct work *w, enum ebb_value_run run, bool up, size_t bin, float *ret)
{
    const struct ebb_value *v = w->v;
    size_t next = bin + 1 < v->p.bins ? bin + 1 : bin;
    enum ebb_value_run after = run == EBB_VALUE_SPOT ? EBB_VALUE_IDLE : run;
    const float *ended = &w->best[row_of(v, after, !up, 0) * v->cells];
    const float *same = &w->best[row_of(v, run, up, bin) * v->cells];
    const float *older = &w->best[row_of(v, run, up, next) * v->cells];
    mix(ret, up ? w->up[bin] : w->down[bin], ended, same, older, v->cells);
}

static double at_slack(const float *row, size_t cells, double cell)
{
    if (cell <= 0)
        return row[0];
    size_t low = (size_t)cell;
    if (low + 1 >= cells)
        return row[cells - 1];
    double f = cell - (double)low;
    return row[low] * (1 - f) + row[low + 1] * f;
}

/* row[i] = row[i - by], `by` less than a cell. */
static void sink(float *row, size_t cells, double by)
{
    for (size_t i = cells - 1; i > 0; i--)
        row[i] = (float)(row[i] * (1 - by) + row[i - 1] * by);
}

/* The row of `running` at a layer. Time left is layer * step; at slack >= time left it is done. */
static void run_step(const struct work *w, size_t layer, enum ebb_value_run run, bool up,
                     size_t bin, float *ret)
{
    const struct ebb_value *v = w->v;
    double price = price_per_s(v, run);
    expect(w, run, up, bin, ret);
    if (run == EBB_VALUE_IDLE) {
        memmove(ret + 1, ret, (v->cells - 1) * sizeof *ret);
        ret[0] = ret[1];
    } else {
        if (run == EBB_VALUE_SPOT && v->p.spot_waste[bin] > 0)
            sink(ret, v->cells, v->p.spot_waste[bin]);
        const float paid = (float)(price * v->step_s);
        for (size_t i = 0, cells = v->cells; i < cells; i++)
            ret[i] += paid;
    }
    for (size_t i = layer; i < v->cells; i++)
        ret[i] = 0;
}

/* best[i] = min(best[i], row[i - shift]), i from `first` on; shift <= first. Plain floats: a cell
 * is reached from two, by the same parts everywhere. */
static void take_least(float *restrict best, const float *restrict row, double shift, size_t first,
                       size_t end)
{
    size_t whole = (size_t)ceil(shift);
    float above = (float)((double)whole - shift), below = 1 - above;
    const float *from = row - (ptrdiff_t)whole;
    for (size_t i = first; i < end; i++) {
        float usd = from[i] * below + from[i + 1] * above;
        best[i] = usd < best[i] ? usd : best[i];
    }
}

/* best[to] = min(best[to], running[from] at the slack less `restart_s`), where slack >= least_s. */
static void allow(const struct work *w, size_t layer, float *best, const float *running,
                  double restart_s, double least_s, double price)
{
    const struct ebb_value *v = w->v;
    double shift = restart_s / v->step_s;
    size_t i = (size_t)fmax(0, ceil(least_s / v->step_s - 1e-6));
    size_t end = v->cells < layer ? v->cells : layer;
    /* Less slack than none: a start too late, paid as if it were not. */
    for (; i < end && (double)i < shift; i++) {
        float usd = (float)(running[0] + price * (shift - (double)i) * v->step_s);
        best[i] = usd < best[i] ? usd : best[i];
    }
    if (i < end && shift > 0) {
        take_least(best, running, shift, i, end);
        return;
    }
    for (; i < end; i++)
        best[i] = running[i] < best[i] ? running[i] : best[i];
}

/* With no more slack than on-demand's start takes, spot is left for it. */
static void leave_in_time(const struct work *w, size_t layer, float *best, const float *on_demand)
{
    double d = w->v->p.restart_s;
    for (size_t i = 0; i < w->v->cells && i < layer && (double)i * w->v->step_s < d; i++)
        best[i] = INFINITY;
    allow(w, layer, best, on_demand, d, 0, price_per_s(w->v, EBB_VALUE_ON_DEMAND));
}

static void choose(const struct work *w, size_t layer, enum ebb_value_run now, bool up, size_t bin,
                   float *best)
{
    const struct ebb_value *v = w->v;
    const float *running = &v->running[layer * v->rows * v->cells];
    double d = v->p.restart_s;
    memcpy(best, &running[row_of(v, now, up, bin) * v->cells], v->cells * sizeof *best);
    if (now == EBB_VALUE_IDLE) /* staying idle is a choice of its own, below */
        for (size_t i = 0; i < v->cells && i < layer; i++)
            best[i] = INFINITY;
    if (now == EBB_VALUE_SPOT) {
        /* What runs on spot is held: leaving it saves nothing that its end would not, but for the
         * slack that it wastes. */
        if (v->p.spot_waste[bin] > 0)
            leave_in_time(w, layer, best,
                          &running[row_of(v, EBB_VALUE_ON_DEMAND, up, bin) * v->cells]);
        return;
    }
    allow(w, layer, best, &running[row_of(v, EBB_VALUE_IDLE, up, bin) * v->cells], 0, d + v->step_s,
          0);
    if (now != EBB_VALUE_ON_DEMAND)
        allow(w, layer, best, &running[row_of(v, EBB_VALUE_ON_DEMAND, up, bin) * v->cells], d, 0,
              price_per_s(v, EBB_VALUE_ON_DEMAND));
    if (up)
        allow(w, layer, best, &running[row_of(v, EBB_VALUE_SPOT, up, bin) * v->cells],
              w->restart_up_s[bin], 2 * d, price_per_s(v, EBB_VALUE_SPOT));
}

static void solve(struct work *w)
{
    struct ebb_value *v = (struct ebb_value *)w->v;
    size_t bins = v->p.bins;
    for (size_t layer = 1; layer < v->layers; layer++) {
        float *running = &v->running[layer * v->rows * v->cells];
        for (int run = 0; run < 3; run++)
            for (int up = 1; up >= (run == EBB_VALUE_SPOT); up--)
                for (size_t b = 0; b < bins; b++)
                    run_step(w, layer, run, up, b, &running[row_of(v, run, up, b) * v->cells]);
        for (int run = 0; run < 3; run++)
            for (int up = 1; up >= (run == EBB_VALUE_SPOT); up--)
                for (size_t b = 0; b < bins; b++)
                    choose(w, layer, run, up, b, &w->best[row_of(v, run, up, b) * v->cells]);
    }
}

static void choose_grid(struct ebb_value *v)
{
    const struct ebb_value_problem *p = &v->p;
    double step_s = p->step_s > 0 ? p->step_s : p->deadline_s / STEPS_WANTED;
    if (p->restart_s >= step_s)
        step_s = p->restart_s / ceil(p->restart_s / step_s - 1e-9);
    step_s = fmax(step_s, p->deadline_s / STEPS_MAX);
    v->step_s = step_s;
    v->layers = (size_t)ceil(p->deadline_s / step_s - 1e-9) + 2;
    v->cells = (size_t)ceil(fmax(0, p->deadline_s - p->work_s) / step_s - 1e-9) + 2;
}

struct ebb_value *ebb_value_new(const struct ebb_value_problem *problem)
{
    struct ebb_value *v = ebb_alloc(sizeof *v);
    v->p = *problem;
    assert(v->p.bins >= 1 && v->p.bins <= EBB_VALUE_BINS_MAX);
    choose_grid(v);
    v->rows = 5 * v->p.bins;
    v->running = ebb_alloc_array(v->layers, v->rows * v->cells * sizeof *v->running);
    struct work w = {.v = v, .best = ebb_alloc_array(v->rows * v->cells, sizeof *w.best)};
    find_chances(v, v->p.revocation_per_hour, w.up);
    find_chances(v, v->p.recovery_per_hour, w.down);
    find_restarts(&w);
    solve(&w);
    free(w.best);
    return v;
}

void ebb_value_destroy(struct ebb_value *v)
{
    if (v == NULL)
        return;
    free(v->running);
    free(v);
}

static size_t bin_of(const struct ebb_value *v, double age_s)
{
    size_t b = 0;
    while (b + 1 < v->p.bins && age_s >= v->p.from_s[b + 1])
        b++;
    return b;
}

/* Between two layers slack is kept and work left differs: both are weighed. */
static double look_up(const struct ebb_value *v, size_t row, double time_left_s, double slack_s)
{
    double layer = fmin(fmax(0, time_left_s / v->step_s), (double)v->layers - 1.001);
    size_t low = (size_t)layer;
    double f = layer - (double)low;
    const float *a = &v->running[(low * v->rows + row) * v->cells];
    const float *b = &v->running[((low + 1) * v->rows + row) * v->cells];
    double cell = slack_s / v->step_s;
    return at_slack(a, v->cells, cell) * (1 - f) + at_slack(b, v->cells, cell) * f;
}

double ebb_value_running_usd(const struct ebb_value *v, const struct ebb_value_state *s,
                             enum ebb_value_run run)
{
    assert(run != EBB_VALUE_SPOT || s->spot_up);
    if (s->work_left_s <= 0)
        return 0;
    double slack_s = s->time_left_s - s->work_left_s;
    size_t row = row_of(v, run, s->spot_up, bin_of(v, s->age_s));
    double late_s = fmax(0, -slack_s);
    /* More slack than the tables hold: what is over is let pass. */
    double over_s = fmax(0, slack_s - (double)(v->cells - 2) * v->step_s);
    return look_up(v, row, s->time_left_s - over_s, slack_s - over_s) +
           price_per_s(v, run) * late_s;
}

double ebb_value_launching_usd(const struct ebb_value *v, const struct ebb_value_state *s,
                               enum ebb_value_run run)
{
    struct ebb_value_state then = *s;
    if (run == EBB_VALUE_SPOT) {
        double rate = fmax(1e-9, v->p.revocation_per_hour[bin_of(v, s->age_s)] / 3600);
        then.work_left_s += -expm1(-rate * v->p.restart_s) / rate;
    } else if (run == EBB_VALUE_ON_DEMAND) {
        then.work_left_s += v->p.restart_s;
    }
    return ebb_value_running_usd(v, &then, run);
}

double ebb_value_shadow_usd_per_hour(const struct ebb_value *v, const struct ebb_value_state *s)
{
    struct ebb_value_state less = *s;
    double hour_s = fmin(3600, s->work_left_s);
    if (hour_s <= 0)
        return 0;
    less.work_left_s -= hour_s;
    double best[2];
    for (int i = 0; i < 2; i++) {
        const struct ebb_value_state *at = i == 0 ? s : &less;
        best[i] = fmin(ebb_value_launching_usd(v, at, EBB_VALUE_IDLE),
                       ebb_value_launching_usd(v, at, EBB_VALUE_ON_DEMAND));
        if (s->spot_up)
            best[i] = fmin(best[i], ebb_value_launching_usd(v, at, EBB_VALUE_SPOT));
    }
    return fmax(0, best[0] - best[1]) * 3600 / hour_s;
}
