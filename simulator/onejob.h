/* One job with a deadline on availability traces, after the model of Can't Be Late (NSDI'24): work
 * of known length, spot that comes and goes, on-demand that is always there, a restart that costs
 * time without progress. A policy decides at each tick; the engine here plays the world to it.
 *
 *     tick t: does spot still stand? --no--> revoked: progress stays up to the last checkpoint
 *             ask the policy: idle, on-demand, or spot in zone z
 *             spot elsewhere and z is down: nothing happens for `probe_s`, then ask again
 *             run to tick t+1; an instance launched now first restarts for `restart_s`, billed
 *
 * Billing is by the second, also of the last, partial tick. */
#ifndef EBB_SIMULATOR_ONEJOB_H
#define EBB_SIMULATOR_ONEJOB_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "simulator/traces.h"

struct ebb_onejob_rules {
    double work_s;
    double deadline_s;
    double restart_s;
    double spot_usd_per_hour;
    double on_demand_usd_per_hour;
    double probe_s;      /* until a failed launch is known; 0: every zone's state is seen free */
    double probe_usd;    /* what a failed launch costs */
    double checkpoint_s; /* what a checkpoint takes; 0: progress is always kept */
    double checkpoint_every_s; /* of policies without an interval of their own */
    double gap_s;              /* of the traces */
};

/* EBB_ERR_INPUT when a rule is out of range, or when not even on-demand could meet the deadline:
 * the text then names the nearest that could be met. */
int ebb_onejob_check(const struct ebb_onejob_rules *rules, struct ebb_error *err);

enum ebb_instance {
    EBB_INSTANCE_NONE,
    EBB_INSTANCE_SPOT,
    EBB_INSTANCE_ON_DEMAND,
};

/* What the run knows of a zone. */
struct ebb_sight {
    int up;         /* 1, 0; -1: not seen yet */
    double since_s; /* when it was first seen as it is now, without a break; run time */
    double seen_s;  /* when it was last seen */
    bool whole;     /* the change to this state was seen: since_s is its beginning */
};

struct ebb_view {
    const struct ebb_onejob_rules *rules;
    double now_s; /* since the job began */
    double time_left_s;
    double work_left_s;      /* beyond what the running instance has done */
    double safe_work_left_s; /* beyond the last checkpoint */
    enum ebb_instance instance;
    size_t zone; /* of a spot instance */
    double restart_left_s;
    double launched_s; /* when the instance was launched */
    size_t zone_count;
    const struct ebb_sight *zones;
    bool tick_begins; /* false: asked again after a failed launch */
};

struct ebb_choice {
    enum ebb_instance instance;
    size_t zone; /* of spot; the current zone: stay */
};

/* Idling, or trying where it may be in vain, until the next tick leaves on-demand in time. */
bool ebb_view_may_idle(const struct ebb_view *v);
/* A spot instance launched now may be lost in its restart and on-demand is still in time. */
bool ebb_view_may_launch_spot(const struct ebb_view *v);
/* The spot instance that runs may run until the next tick. */
bool ebb_view_may_stay_on_spot(const struct ebb_view *v);

struct ebb_policy {
    const char *name;
    void *self;
    void (*begin)(void *self, const struct ebb_view *v); /* a run begins; may be NULL */
    struct ebb_choice (*decide)(void *self, const struct ebb_view *v);
    /* Called when zone z's state is seen, before decide; may be NULL. The sight is the one after.
     */
    void (*see)(void *self, const struct ebb_view *v, size_t zone);
    /* Seconds of work between two checkpoints at this age of the instance; may be NULL. */
    double (*checkpoint_every)(void *self, double age_s);
    double checkpoint_every_s; /* where that is NULL; 0: the rules' */
    void (*release)(void *self);
};

struct ebb_onejob_outcome {
    double usd;
    double finish_s;
    double billed_s;
    double restart_s;    /* billed without progress at launches */
    double checkpoint_s; /* spent on checkpoints */
    double lost_s;       /* work lost to revocations */
    unsigned revocations;
    unsigned launches;
    unsigned failed_launches;
    bool missed;
};

/* `zones` names the traces by index into `traces`; start + deadline lies within each. */
void ebb_onejob_run(const struct ebb_onejob_rules *rules, const struct ebb_traces *traces,
                    const size_t *zones, size_t zone_count, size_t start,
                    const struct ebb_policy *policy, struct ebb_onejob_outcome *ret);

/* Ticks that a run may look at. */
size_t ebb_onejob_ticks(const struct ebb_onejob_rules *rules);

#endif
