/* From states to numbers. */
#include "simulator/outcomes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/ledger.h"

void ebb_outcome_of(const struct ebb_simulation *s, struct ebb_outcome *ret)
{
    const struct ebb_bag *b = s->state->bags[0];
    int64_t end_ns = b->finished_wall_ns != 0 ? b->finished_wall_ns : s->end_wall_ns;
    Ebb__Report *r = ebb_report_new(s->state, b, s->end_wall_ns, false);
    *ret = (struct ebb_outcome){.usd = (double)r->total_usd_micros / 1e6,
                                .finish_s = (double)(end_ns - b->submitted_wall_ns) / 1e9,
                                .revocations = b->revocations,
                                .vms = s->state->vm_count,
                                .is_done = b->counts[EBB_JOB_DONE] == b->job_count};
    if (r->split != NULL) {
        ret->useful_s = r->split->useful_s;
        ret->lost_s = r->split->lost_s;
        ret->vm_s = r->split->useful_s + r->split->checkpoint_s + r->split->lost_s +
                    r->split->idle_s + r->split->boot_s + r->split->setup_s;
    }
    ebb__report__free_unpacked(r, NULL);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* At p (n + 1): one more value of the same kind falls below it with probability p, however few
 * there are (Weibull, 1939). */
static double quantile(const double *sorted, size_t count, double p)
{
    double at = p * (double)(count + 1) - 1;
    if (at <= 0)
        return sorted[0];
    size_t i = (size_t)at;
    if (i + 1 >= count)
        return sorted[count - 1];
    return sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]);
}

void ebb_spread_of(double *values, size_t count, struct ebb_spread *ret)
{
    double sum = 0, squares = 0;
    *ret = (struct ebb_spread){0};
    if (count == 0)
        return;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    ret->mean = sum / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += (values[i] - ret->mean) * (values[i] - ret->mean);
    ret->sd = count > 1 ? sqrt(squares / (double)(count - 1)) : 0;
    qsort(values, count, sizeof *values, by_value);
    ret->p5 = quantile(values, count, 0.05);
    ret->p50 = quantile(values, count, 0.5);
    ret->p95 = quantile(values, count, 0.95);
}

void ebb_outcomes_summarise(const struct ebb_outcome *o, size_t count,
                            struct ebb_outcome_summary *ret)
{
    EBB_AUTO_FREE double *values = ebb_alloc_array(count + 1, sizeof *values);
    size_t done = 0;
    *ret = (struct ebb_outcome_summary){.runs = count};
    for (size_t i = 0; i < count; i++) {
        values[i] = o[i].usd;
        done += o[i].is_done;
    }
    ret->done = count > 0 ? (double)done / (double)count : 0;
    ebb_spread_of(values, count, &ret->usd);
    for (size_t i = 0; i < count; i++)
        values[i] = o[i].finish_s;
    ebb_spread_of(values, count, &ret->finish_s);
    for (size_t i = 0; i < count; i++)
        values[i] = (double)o[i].revocations;
    ebb_spread_of(values, count, &ret->revocations);
}
