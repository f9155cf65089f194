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
     * several, from a replay of the history with the rule of ebb_beliefs_best. */
    double search_end_per_hour[EBB_LIFE_BINS];
    /* The rate at which what it found ends, by the time since: of one zone its up-runs' own. */
    double found_end_per_hour[EBB_LIFE_BINS];
};

void ebb_beliefs_learn(const struct ebb_policy_setup *setup, struct ebb_beliefs *ret);
void ebb_beliefs_clean_up(struct ebb_beliefs *b);
/* The probability that zone z is up now. */
double ebb_belief_up(const struct ebb_beliefs *b, const struct ebb_view *v, size_t z);
/* The age of its up-run, if it is up. */
double ebb_belief_age_h(const struct ebb_beliefs *b, const struct ebb_view *v, size_t z);
/* Where an attempt is worth most: score (may be NULL: expected hours of life) times the probability
 * of being up. SIZE_MAX: all are known to be down, or no score is over 0. */
size_t ebb_beliefs_best(const struct ebb_beliefs *b, const struct ebb_view *v, const double *score);

#endif
