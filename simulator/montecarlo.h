/* What a bag will cost and when it will end, by running it many times against worlds drawn from
 * what is known: hazards and outages from the posterior (pools.h), lifetimes from those, run times
 * that the user may have misjudged. The scheduler in each run knows what the real one knows, and
 * learns on.
 *
 * A bag of many jobs is made smaller: `jobs_each` jobs are one, on as many fewer VMs while there
 * are enough of them, and otherwise one after another. Costs and times are those of the bag. */
#ifndef EBB_SIMULATOR_MONTECARLO_H
#define EBB_SIMULATOR_MONTECARLO_H

#include "proto/hazards.pb-c.h"
#include "simulator/outcomes.h"

#define EBB_FORECAST_BINS   24
#define EBB_FORECAST_KEYS   8 /* VM types and markets told apart in the mix */
#define EBB_FORECAST_POINTS 8

struct ebb_forecast_options {
    const Ebb__BagSpec *spec;
    const Ebb__Offer *const *offers;
    size_t offer_count;
    const struct ebb_fleet *like; /* boot, pending, capacity; NULL: of a real cloud */
    double boot_s; /* mean, from the launch to the agent's joining; 0: as `like` has it */
    const Ebb__HazardState *hazards;   /* NULL: nothing seen, the priors hold */
    double time_scale;                 /* billed seconds a second */
    double time_error;                 /* of all run times together: standard deviation over mean */
    struct ebb_simulation_options run; /* policy, times, jobs, seed, start */
    uint32_t runs;                     /* 0: chosen by the size of the bag */
    uint32_t points;                   /* of the curve over deadlines; 0: none */
    double deadline_s;                 /* instead of the bag's; 0: the bag's */
};

struct ebb_forecast_mix {
    char name[64]; /* "c5.large spot" */
    double vms[EBB_FORECAST_BINS];
};

/* Costs where the bag has this deadline, and no budget. The cheapest way to keep a deadline also
 * keeps every later one, so costs never rise with it. */
struct ebb_forecast_point {
    double deadline_s; /* 0: none */
    struct ebb_outcome_summary outcome;
    double usd;                  /* expected */
    double in_time;              /* share of the runs */
    double usd_per_hour_earlier; /* to the next later point; NAN: there is none, or it is missed */
};

/* What a point's share of runs comes to. */
enum ebb_forecast_kept {
    EBB_FORECAST_KEPT,    /* nine of ten are in time, as is asked at submission */
    EBB_FORECAST_AT_RISK, /* some are */
    EBB_FORECAST_MISSED,  /* fewer than one in ten: it cannot be met */
};
enum ebb_forecast_kept ebb_forecast_point_kept(const struct ebb_forecast_point *p);

struct ebb_forecast {
    struct ebb_outcome_summary outcome;
    double in_time; /* share of runs that end before the deadline; 1 without one */
    double interval_s;
    uint64_t jobs_each;
    double bin_s;
    struct ebb_forecast_mix mix[EBB_FORECAST_KEYS];
    size_t mix_count;
    struct ebb_forecast_point points[EBB_FORECAST_POINTS];
    size_t point_count;
    /* NULL, or why deadline or budget cannot hold, with the nearest that can (estimate.h). */
    char *infeasible;
    struct ebb_outcome *outcomes; /* outcome.runs of them, in the order of runs */
};

/* EBB_ERR_NO_CAPACITY when no offer can run a group, EBB_ERR_INPUT when hazards are not sound. */
int ebb_forecast_make(const struct ebb_forecast_options *o, struct ebb_forecast *ret,
                      struct ebb_error *err);
void ebb_forecast_clean_up(struct ebb_forecast *f);

#endif
