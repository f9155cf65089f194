/* What a known end asks for. */
#include "scheduler/core/cap.h"

#include <math.h>

#include "scheduler/core/speed.h"
#include "scheduler/core/timings.h"

#define SPARE_S  10.0  /* for the scheduler's turns and the agent's */
#define NOTICE_S 120.0 /* until one has been seen */
#define WORTH    1.5   /* a job begins when it has so many times the lead */

double ebb_cap_left_s(const struct ebb_state *s, const struct ebb_vm *vm, int64_t now_wall_ns)
{
    if (vm->offer->cap_s <= 0)
        return INFINITY;
    return fmax(0, vm->offer->cap_s / s->bill_time_scale - ebb_vm_age_s(vm, now_wall_ns));
}

double ebb_cap_lead_s(const struct ebb_state *s, const struct ebb_demand *d)
{
    double notice_s = s->notice_s.count > 0 ? s->notice_s.value : NOTICE_S / s->bill_time_scale;
    return d->boot_s + d->setup_s + 2 * d->checkpoint_s + notice_s + SPARE_S;
}

bool ebb_cap_is_free(const struct ebb_vm *vm)
{
    return vm->offer->cap_s > 0 && vm->offer->cap_s < EBB_TIMING_FREE_BILLED_S;
}

bool ebb_cap_lets_in(const struct ebb_state *s, const struct ebb_policy *policy,
                     const struct ebb_vm *vm, const struct ebb_group *g, int64_t now_wall_ns)
{
    double left_s = ebb_cap_left_s(s, vm, now_wall_ns);
    if (isinf(left_s))
        return true;
    const struct ebb_plan_input in = {.state = s, .policy = policy, .now_wall_ns = now_wall_ns};
    struct ebb_demand d;
    ebb_demand_of_group(&in, g, &d);
    double whole_s = d.setup_s + d.longest_s / ebb_state_speed(s, d.engine, vm->offer->type);
    if (whole_s < left_s)
        return true;
    /* In the first half of its life it does, or where boots are long VMs would be launched for the
     * jobs, found too old for them, and launched again. */
    double least_s = fmin(WORTH * ebb_cap_lead_s(s, &d), vm->offer->cap_s / s->bill_time_scale / 2);
    return d.checkpoints ? left_s > least_s : !d.known;
}

double ebb_cap_interval_s(double interval_s, double cap_left_s, double work_left_s,
                          double checkpoint_s, double least_s)
{
    double last_s = cap_left_s - 1.5 * checkpoint_s - SPARE_S / 2;
    if (interval_s <= 0 || work_left_s < last_s || interval_s <= last_s)
        return interval_s;
    return fmax(last_s, fmin(least_s, interval_s));
}
