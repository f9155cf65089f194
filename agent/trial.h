/* One job run to its end on this machine by the agent's own code, without a scheduler, against a
 * directory as its store; on request interrupted on the way, by turns with a notice and without. */
#ifndef EBB_AGENT_TRIAL_H
#define EBB_AGENT_TRIAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "proto/bag.pb-c.h"
#include "proto/event.pb-c.h"

struct ebb_trial_plan {
    const Ebb__BagSpec *spec; /* inputs are in the store */
    uint64_t job;
    const char *bag;       /* id below which this run commits */
    const char *directory; /* holds store/ and the attempts */
    unsigned interruptions;
    double interval_s;              /* of checkpoints */
    double run_between_s;           /* engine seconds before each interruption */
    void (*told)(const char *text); /* progress for people; may be NULL */
};

struct ebb_trial_result {
    Ebb__AttemptEnded *ended; /* the last attempt's; owned */
    unsigned attempts;
    unsigned resumed; /* attempts that went on from a checkpoint */
    double run_s;     /* all attempts together */
    double lost_s;
    double restore_s;
    double checkpoint_s;
    unsigned checkpoints;
};

/* EBB_OK when the job ended as DONE; else the attempt's reason is in err. */
int ebb_trial_run(const struct ebb_trial_plan *plan, struct ebb_trial_result *ret,
                  struct ebb_error *err);
void ebb_trial_result_clean_up(struct ebb_trial_result *r);

#endif
