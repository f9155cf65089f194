/* Uniform Progress (Can't Be Late, NSDI'24, section 4.2). With c(t) the work done and
 * e(t) = t C0 / R0 what uniform progress would have done, C0 the work, R0 the deadline:
 *
 *   (1) idle and c(t) < e(t): on-demand
 *   (2) take spot whenever it is available, and hold it until it is revoked
 *   (3) leave on-demand only for spot, and only when c(t) >= e(t + 2d)
 *   net: idle and less time left than work + 2d: on-demand to the end
 *
 * In (3) the authors' program stays on on-demand while there is no spot, however far ahead; leaving
 * it to idle costs 4 to 7 points more on our traces.
 *
 * With several zones it stays with the one that was up most in the history. */
#include "base/memory.h"
#include "simulator/policies.h"

struct progress {
    size_t home;
    bool last_stand; /* the net has caught it */
};

static double expected_s(const struct ebb_onejob_rules *r, double at_s)
{
    return at_s * r->work_s / r->deadline_s;
}

static void begin_progress(void *self, const struct ebb_view *v)
{
    (void)v;
    ((struct progress *)self)->last_stand = false;
}

static struct ebb_choice decide_progress(void *self, const struct ebb_view *v)
{
    struct progress *p = self;
    const struct ebb_onejob_rules *r = v->rules;
    double done_s = r->work_s - v->safe_work_left_s;
    p->last_stand = p->last_stand || ebb_view_net(v);
    if (p->last_stand)
        return EBB_ON_DEMAND;
    if (v->instance == EBB_INSTANCE_SPOT)
        return ebb_view_may_stay_on_spot(v) ? EBB_SPOT_IN(p->home) : EBB_ON_DEMAND;
    bool down_now = v->zones[p->home].up == 0 && v->now_s - v->zones[p->home].seen_s < 1e-6;
    if (v->instance == EBB_INSTANCE_ON_DEMAND) {
        bool ahead = done_s >= expected_s(r, v->now_s + 2 * r->restart_s);
        if (!ahead || !ebb_view_may_launch_spot(v))
            return EBB_ON_DEMAND;
        return down_now ? EBB_ON_DEMAND : EBB_SPOT_IN(p->home);
    }
    bool behind = done_s < expected_s(r, v->now_s);
    if (ebb_view_state(v, p->home) == 0 && behind)
        return EBB_ON_DEMAND;
    return down_now ? EBB_STAY_IDLE : EBB_SPOT_IN(p->home);
}

struct ebb_policy ebb_policy_uniform_progress(const struct ebb_policy_setup *setup)
{
    struct progress *p = ebb_alloc(sizeof *p);
    EBB_AUTO_FREE double *share = ebb_alloc_array(setup->zone_count, sizeof *share);
    EBB_AUTO_FREE size_t *order = ebb_alloc_array(setup->zone_count, sizeof *order);
    ebb_setup_shares(setup, share);
    ebb_zones_by_score(share, setup->zone_count, order);
    p->home = order[0];
    return (struct ebb_policy){.self = p,
                               .begin = begin_progress,
                               .decide = decide_progress,
                               .checkpoint_every_s = ebb_setup_young_s(setup),
                               .release = free};
}
