/* The world that a policy plays against. Money is only ever added here, so that no policy can
 * account for itself; a run that is past its deadline is finished on on-demand and counted as
 * missed. */
#include "simulator/onejob.h"

#include <math.h>

#include "base/memory.h"
#include "base/text.h"

#define EPSILON_S 1e-6
#define YEAR_S    (366 * 86400.0)

int ebb_onejob_check(const struct ebb_onejob_rules *r, struct ebb_error *err)
{
    if (!(r->work_s > 0 && r->work_s <= YEAR_S))
        return ebb_error_set(err, EBB_ERR_INPUT, "work must be over 0 and at most a year");
    if (!(r->restart_s >= 0 && r->restart_s <= YEAR_S))
        return ebb_error_set(err, EBB_ERR_INPUT, "restart must be at least 0 and at most a year");
    if (!(r->spot_usd_per_hour >= 0 && isfinite(r->spot_usd_per_hour)))
        return ebb_error_set(err, EBB_ERR_INPUT, "the spot price must be a number of at least 0");
    if (!(r->on_demand_usd_per_hour > 0 && isfinite(r->on_demand_usd_per_hour)))
        return ebb_error_set(err, EBB_ERR_INPUT, "the on-demand price must be a number over 0");
    if (!(r->probe_s >= 0 && r->checkpoint_s >= 0 && r->probe_usd >= 0))
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "the times and costs of probes and checkpoints must be at least 0");
    if (!(r->deadline_s <= YEAR_S))
        return ebb_error_set(err, EBB_ERR_INPUT, "the deadline must be at most a year away");
    double least_s = r->work_s + r->restart_s;
    char text[4][EBB_QUANTITY_TEXT_SIZE];
    if (!(r->deadline_s >= least_s))
        return ebb_error_set(
            err, EBB_ERR_INPUT,
            "the deadline of %s cannot be met, not even on demand: %s of work and a start of %s "
            "need at least %s",
            ebb_format_duration(r->deadline_s, text[0]), ebb_format_duration(r->work_s, text[1]),
            ebb_format_duration(r->restart_s, text[2]), ebb_format_duration(least_s, text[3]));
    return 0;
}

size_t ebb_onejob_ticks(const struct ebb_onejob_rules *r)
{
    return (size_t)ceil(r->deadline_s / r->gap_s - 1e-9);
}

bool ebb_view_may_idle(const struct ebb_view *v)
{
    const struct ebb_onejob_rules *r = v->rules;
    return v->time_left_s - r->gap_s - v->safe_work_left_s >= r->restart_s - EPSILON_S;
}

bool ebb_view_may_launch_spot(const struct ebb_view *v)
{
    const struct ebb_onejob_rules *r = v->rules;
    double at_risk_s = r->checkpoint_s > 0 ? fmax(r->restart_s, r->gap_s) + r->gap_s : r->restart_s;
    return v->time_left_s - at_risk_s - v->safe_work_left_s >= r->restart_s - EPSILON_S;
}

bool ebb_view_may_stay_on_spot(const struct ebb_view *v)
{
    const struct ebb_onejob_rules *r = v->rules;
    double kept_s = r->checkpoint_s > 0 ? 0 : fmax(0, r->gap_s - v->restart_left_s);
    if (v->restart_left_s + v->work_left_s <= r->gap_s && r->checkpoint_s == 0)
        return v->time_left_s - r->gap_s >= -EPSILON_S || v->restart_left_s <= EPSILON_S;
    return v->time_left_s - r->gap_s - (v->safe_work_left_s - kept_s) >= r->restart_s - EPSILON_S;
}

struct run {
    struct ebb_view view;
    const struct ebb_policy *policy;
    const struct ebb_traces *traces;
    const size_t *zones;
    struct ebb_sight *sights;
    size_t start;
    size_t tick; /* of the run, from 0 */
    double elapsed_s;
    double to_checkpoint_s;   /* work until the next checkpoint begins */
    double checkpoint_left_s; /* of the one being written */
    struct ebb_onejob_outcome out;
};

static bool is_up(const struct run *r, size_t zone)
{
    return r->traces->items[r->zones[zone]].up[r->start + r->tick] != 0;
}

static void see(struct run *r, size_t zone, bool up)
{
    struct ebb_sight *s = &r->sights[zone];
    double now_s = r->view.now_s;
    if (s->up != (int)up) {
        s->whole = s->up >= 0 && now_s - s->seen_s <= r->view.rules->gap_s + EPSILON_S;
        s->since_s = now_s;
        s->up = up;
    }
    s->seen_s = now_s;
    if (r->policy->see != NULL)
        r->policy->see(r->policy->self, &r->view, zone);
}

static void plan_checkpoint(struct run *r)
{
    const struct ebb_onejob_rules *rules = r->view.rules;
    if (rules->checkpoint_s <= 0 || r->view.instance != EBB_INSTANCE_SPOT) {
        r->to_checkpoint_s = INFINITY;
        return;
    }
    const struct ebb_policy *p = r->policy;
    if (p->checkpoint_every != NULL)
        r->to_checkpoint_s = p->checkpoint_every(p->self, r->view.now_s - r->view.launched_s);
    else
        r->to_checkpoint_s =
            p->checkpoint_every_s > 0 ? p->checkpoint_every_s : rules->checkpoint_every_s;
}

/* The part of dt_s that the instance spends on whatever comes next. */
static double advance_once(struct run *r, double dt_s)
{
    struct ebb_view *v = &r->view;
    double x = dt_s;
    if (v->restart_left_s > 0) {
        x = fmin(x, v->restart_left_s);
        v->restart_left_s = x < v->restart_left_s - EPSILON_S ? v->restart_left_s - x : 0;
        r->out.restart_s += x;
        return x;
    }
    if (r->checkpoint_left_s > 0) {
        x = fmin(x, r->checkpoint_left_s);
        r->checkpoint_left_s -= x;
        r->out.checkpoint_s += x;
        if (r->checkpoint_left_s <= EPSILON_S) {
            r->checkpoint_left_s = 0;
            v->safe_work_left_s = v->work_left_s;
            plan_checkpoint(r);
        }
        return x;
    }
    x = fmin(fmin(x, v->work_left_s), r->to_checkpoint_s);
    v->work_left_s -= x;
    r->to_checkpoint_s -= x;
    if (v->rules->checkpoint_s <= 0 || v->instance == EBB_INSTANCE_ON_DEMAND)
        v->safe_work_left_s = v->work_left_s;
    else if (r->to_checkpoint_s <= EPSILON_S)
        r->checkpoint_left_s = v->rules->checkpoint_s;
    return x;
}

static void pass(struct run *r, double dt_s)
{
    struct ebb_view *v = &r->view;
    const struct ebb_onejob_rules *rules = v->rules;
    double ran_s = 0;
    if (v->instance != EBB_INSTANCE_NONE) {
        while (dt_s - ran_s > EPSILON_S && v->work_left_s > EPSILON_S)
            ran_s += advance_once(r, dt_s - ran_s);
        if (v->work_left_s <= EPSILON_S) {
            v->work_left_s = v->safe_work_left_s = 0;
            dt_s = ran_s;
        }
        r->out.billed_s += ran_s;
        r->out.usd += ran_s / 3600 *
                      (v->instance == EBB_INSTANCE_SPOT ? rules->spot_usd_per_hour
                                                        : rules->on_demand_usd_per_hour);
    }
    r->elapsed_s += dt_s;
    v->now_s += dt_s;
    v->time_left_s = rules->deadline_s - v->now_s;
}

static void launch(struct run *r, enum ebb_instance instance, size_t zone)
{
    struct ebb_view *v = &r->view;
    v->instance = instance;
    v->zone = zone;
    v->restart_left_s = v->rules->restart_s;
    v->launched_s = v->now_s;
    v->safe_work_left_s = v->work_left_s; /* left of its own accord: with a checkpoint */
    r->checkpoint_left_s = 0;
    r->out.launches++;
    plan_checkpoint(r);
}

static void revoke(struct run *r)
{
    struct ebb_view *v = &r->view;
    r->out.revocations++;
    r->out.lost_s += v->safe_work_left_s - v->work_left_s;
    v->work_left_s = v->safe_work_left_s;
    v->instance = EBB_INSTANCE_NONE;
    v->restart_left_s = 0;
    r->checkpoint_left_s = 0;
}

/* True when the choice stands until the tick ends; false after a launch that failed. */
static bool obey(struct run *r, struct ebb_choice c)
{
    struct ebb_view *v = &r->view;
    const struct ebb_onejob_rules *rules = v->rules;
    if (c.instance == v->instance && (c.instance != EBB_INSTANCE_SPOT || c.zone == v->zone))
        return true;
    if (c.instance == EBB_INSTANCE_SPOT) {
        bool up = is_up(r, c.zone);
        see(r, c.zone, up);
        if (!up) {
            r->out.failed_launches++;
            r->out.usd += rules->probe_usd;
            pass(r, fmin(rules->probe_s, rules->gap_s - r->elapsed_s));
            return false;
        }
    }
    if (c.instance == EBB_INSTANCE_NONE) {
        v->instance = EBB_INSTANCE_NONE;
        v->safe_work_left_s = v->work_left_s;
        v->restart_left_s = 0;
    } else {
        launch(r, c.instance, c.zone);
    }
    return true;
}

static void play_tick(struct run *r)
{
    struct ebb_view *v = &r->view;
    r->elapsed_s = 0;
    if (v->instance == EBB_INSTANCE_SPOT) {
        bool up = is_up(r, v->zone);
        if (!up)
            revoke(r);
        see(r, v->zone, up);
    }
    if (v->rules->probe_s <= 0)
        for (size_t z = 0; z < v->zone_count; z++)
            if (v->instance != EBB_INSTANCE_SPOT || z != v->zone)
                see(r, z, is_up(r, z));
    v->tick_begins = true;
    for (size_t asked = 0; asked <= v->zone_count; asked++) {
        if (obey(r, r->policy->decide(r->policy->self, v)))
            break;
        v->tick_begins = false;
        if (r->elapsed_s >= v->rules->gap_s - EPSILON_S || v->work_left_s <= 0)
            return;
    }
    pass(r, v->rules->gap_s - r->elapsed_s);
}

static void finish_late(struct run *r)
{
    struct ebb_view *v = &r->view;
    r->out.missed = true;
    if (v->instance != EBB_INSTANCE_ON_DEMAND) {
        v->work_left_s = v->safe_work_left_s;
        launch(r, EBB_INSTANCE_ON_DEMAND, 0);
    }
    pass(r, v->restart_left_s + v->work_left_s + 1);
}

void ebb_onejob_run(const struct ebb_onejob_rules *rules, const struct ebb_traces *traces,
                    const size_t *zones, size_t zone_count, size_t start,
                    const struct ebb_policy *policy, struct ebb_onejob_outcome *ret)
{
    EBB_AUTO_FREE struct ebb_sight *sights = ebb_alloc_array(zone_count, sizeof *sights);
    struct run r = {.policy = policy,
                    .traces = traces,
                    .zones = zones,
                    .sights = sights,
                    .start = start,
                    .view = {.rules = rules,
                             .time_left_s = rules->deadline_s,
                             .work_left_s = rules->work_s,
                             .safe_work_left_s = rules->work_s,
                             .zone_count = zone_count,
                             .zones = sights}};
    for (size_t z = 0; z < zone_count; z++)
        sights[z].up = -1;
    if (policy->begin != NULL)
        policy->begin(policy->self, &r.view);
    size_t ticks = ebb_onejob_ticks(rules);
    for (; r.tick < ticks && r.view.work_left_s > 0; r.tick++)
        play_tick(&r);
    if (r.view.work_left_s > 0)
        finish_late(&r);
    r.out.finish_s = r.view.now_s;
    r.out.missed = r.out.missed || r.view.now_s > rules->deadline_s + 1e-3;
    *ret = r.out;
}
