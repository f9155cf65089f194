/* What a run believes of zones it has seen from time to time, or never: is it up now, how old would
 * an up-run be, how long does it last, how long does a search over all of them take. */
#ifndef EBB_SIMULATOR_BELIEFS_H
#define EBB_SIMULATOR_BELIEFS_H

#include "simulator/policies.h"

struct ebb_belief {
    bool known; /* has a history of its own */
    double end_up_per_hour[EBB_LIFE_BINS];
    double end_down_per_hour[EBB_LIFE_BINS];
    double share;         /* of time up */
    double typical_age_h; /* mean age of the up-run met at a random moment */
};

struct ebb_beliefs {
    size_t count;
    struct ebb_belief *zones;
    /* The rate at which a search over all zones ends, by its age: of one zone, its outages' own; of
     * several, from a replay of the history that always tries the zone of the longest life times
     * chance. */
    double search_end_per_hour[EBB_LIFE_BINS];
    /* The rate at which what it found ends, by the time since: of one zone its up-runs' own. */
    double found_end_per_hour[EBB_LIFE_BINS];
};

void ebb_beliefs_learn(const struct ebb_policy_setup *setup, struct ebb_beliefs *ret);
void ebb_beliefs_clean_up(struct ebb_beliefs *b);

/* A filter over one run: the probability of each zone's states. Begun it holds what a moment drawn
 * at random would show; time moves it by the rates, a sight cuts it to what was seen. */
struct ebb_filter_zone {
    double up[EBB_LIFE_BINS], down[EBB_LIFE_BINS]; /* by age; they sum up to 1 */
};

struct ebb_filter {
    const struct ebb_beliefs *beliefs;
    double now_s;
    struct ebb_filter_zone *zones, *begun;
};

void ebb_filter_init(struct ebb_filter *o, const struct ebb_beliefs *b);
void ebb_filter_clean_up(struct ebb_filter *o);
void ebb_filter_begin(struct ebb_filter *o);
/* In steps of at most step_s. */
void ebb_filter_pass(struct ebb_filter *o, double to_s, double step_s);
void ebb_filter_see(struct ebb_filter *o, size_t z, bool up);
double ebb_filter_up(const struct ebb_filter *o, size_t z);
/* The geometric mean of an up-run's age, if there is one: hazards go with its logarithm. */
double ebb_filter_age_h(const struct ebb_filter *o, size_t z);

#endif
