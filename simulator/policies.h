/* The policies that can play one job, by name. */
#ifndef EBB_SIMULATOR_POLICIES_H
#define EBB_SIMULATOR_POLICIES_H

#include "simulator/history.h"
#include "simulator/onejob.h"

struct ebb_policy_setup {
    const struct ebb_onejob_rules *rules;
    const struct ebb_history *history;
    const struct ebb_trace *const *zones; /* names and regions alone may be read, not the states */
    size_t zone_count;
};

/* on-demand, eager, eager-best, young-daly, scispot, uniform-progress, value, ebb; NULL-terminated.
 * The oracle is not among them: it sees what no policy may. */
extern const char *const ebb_policy_names[];
/* EBB_ERR_INPUT for another name, with the nearest. The setup outlives the policy. */
int ebb_policy_new(const char *name, const struct ebb_policy_setup *setup, struct ebb_policy *ret,
                   struct ebb_error *err);
void ebb_policy_release(struct ebb_policy *p);

/* Makers, each in the file of its family. */
struct ebb_policy ebb_policy_on_demand(const struct ebb_policy_setup *setup);
struct ebb_policy ebb_policy_eager(const struct ebb_policy_setup *setup);
struct ebb_policy ebb_policy_eager_best(const struct ebb_policy_setup *setup);
struct ebb_policy ebb_policy_young_daly(const struct ebb_policy_setup *setup);
struct ebb_policy ebb_policy_scispot(const struct ebb_policy_setup *setup);
struct ebb_policy ebb_policy_uniform_progress(const struct ebb_policy_setup *setup);
struct ebb_policy ebb_policy_value(const struct ebb_policy_setup *setup);
struct ebb_policy ebb_policy_ebb(const struct ebb_policy_setup *setup);

/* What policies have in common. */
#define EBB_STAY_IDLE                                                                              \
    (struct ebb_choice)                                                                            \
    {                                                                                              \
        EBB_INSTANCE_NONE, 0                                                                       \
    }
#define EBB_ON_DEMAND                                                                              \
    (struct ebb_choice)                                                                            \
    {                                                                                              \
        EBB_INSTANCE_ON_DEMAND, 0                                                                  \
    }
#define EBB_SPOT_IN(z)                                                                             \
    (struct ebb_choice)                                                                            \
    {                                                                                              \
        EBB_INSTANCE_SPOT, (z)                                                                     \
    }

/* The state of a zone, if it was seen within the last tick: 1, 0, else -1. */
int ebb_view_state(const struct ebb_view *v, size_t zone);
/* The safety net of Can't Be Late: idle, and less time left than work and two restarts, or an idle
 * tick would be one too many: on-demand now. */
bool ebb_view_net(const struct ebb_view *v);
/* The share of the history in which each zone was up, the mean over zones where it has none. */
void ebb_setup_shares(const struct ebb_policy_setup *setup, double *ret);
/* Seconds of work between two checkpoints: sqrt(2 delta M)
 * (Young 1974, first order), M the mean up-time of the zones in their history, with censoring. */
double ebb_setup_young_s(const struct ebb_policy_setup *setup);
/* Zones by falling score; equal ones stay in their order. */
void ebb_zones_by_score(const double *score, size_t count, size_t *ret_order);

/* Tries zones in an order, one launch after the other; from the first again after a revocation. */
struct ebb_ladder {
    size_t *order;
    size_t count;
    size_t next;
    size_t tried; /* the zone of the last attempt, or SIZE_MAX */
};
void ebb_ladder_init(struct ebb_ladder *l, size_t count); /* in the order given */
void ebb_ladder_clean_up(struct ebb_ladder *l);
void ebb_ladder_restart(struct ebb_ladder *l);
/* The zone to try now, or SIZE_MAX: all are known to be down at this moment. */
size_t ebb_ladder_next(struct ebb_ladder *l, const struct ebb_view *v);

#endif
