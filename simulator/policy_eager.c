/* The plain ones. On-demand: always. Eager: spot whenever it is to be had, idle otherwise, with the
 * safety net of Can't Be Late (section 4.1: greedy); several zones are tried in turn, in the order
 * given or by their history. Young-Daly is eager with the best history: with
 * checkpoints, every sqrt(2 delta M) (policies.h). */
#include "base/memory.h"
#include "simulator/policies.h"

static struct ebb_choice decide_on_demand(void *self, const struct ebb_view *v)
{
    (void)self;
    (void)v;
    return EBB_ON_DEMAND;
}

struct ebb_policy ebb_policy_on_demand(const struct ebb_policy_setup *setup)
{
    (void)setup;
    return (struct ebb_policy){.decide = decide_on_demand};
}

struct eager {
    struct ebb_ladder ladder;
};

static void begin_eager(void *self, const struct ebb_view *v)
{
    (void)v;
    ebb_ladder_restart(&((struct eager *)self)->ladder);
}

static struct ebb_choice decide_eager(void *self, const struct ebb_view *v)
{
    struct eager *e = self;
    if (v->instance == EBB_INSTANCE_ON_DEMAND || ebb_view_net(v))
        return EBB_ON_DEMAND;
    if (v->instance == EBB_INSTANCE_SPOT) {
        ebb_ladder_restart(&e->ladder);
        return ebb_view_may_stay_on_spot(v) ? EBB_SPOT_IN(v->zone) : EBB_ON_DEMAND;
    }
    size_t zone = ebb_ladder_next(&e->ladder, v);
    return zone != SIZE_MAX ? EBB_SPOT_IN(zone) : EBB_STAY_IDLE;
}

static void release_eager(void *self)
{
    struct eager *e = self;
    ebb_ladder_clean_up(&e->ladder);
    free(e);
}

static struct ebb_policy make(const struct ebb_policy_setup *setup)
{
    struct eager *e = ebb_alloc(sizeof *e);
    ebb_ladder_init(&e->ladder, setup->zone_count);
    return (struct ebb_policy){
        .self = e, .begin = begin_eager, .decide = decide_eager, .release = release_eager};
}

struct ebb_policy ebb_policy_eager(const struct ebb_policy_setup *setup)
{
    return make(setup);
}

struct ebb_policy ebb_policy_eager_best(const struct ebb_policy_setup *setup)
{
    struct ebb_policy p = make(setup);
    EBB_AUTO_FREE double *share = ebb_alloc_array(setup->zone_count, sizeof *share);
    ebb_setup_shares(setup, share);
    ebb_zones_by_score(share, setup->zone_count, ((struct eager *)p.self)->ladder.order);
    return p;
}

struct ebb_policy ebb_policy_young_daly(const struct ebb_policy_setup *setup)
{
    struct ebb_policy p = ebb_policy_eager_best(setup);
    p.checkpoint_every_s = ebb_setup_young_s(setup);
    return p;
}
