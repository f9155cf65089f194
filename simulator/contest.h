/* Every policy against the same starts, and the oracle: what each costs over the least possible. */
#ifndef EBB_SIMULATOR_CONTEST_H
#define EBB_SIMULATOR_CONTEST_H

#include "base/random.h"
#include "simulator/bootstrap.h"
#include "simulator/history.h"
#include "simulator/onejob.h"

struct ebb_contest {
    struct ebb_onejob_rules rules;
    const struct ebb_traces *traces;
    struct ebb_history history;
    bool any;         /* one job may use every zone; else each zone by itself */
    bool second_half; /* starts lie after the first half of each trace */
    size_t starts;    /* of each zone, or of all together */
    uint64_t seed;
    const char *const *policies; /* names of policies, "oracle" among them if wanted */
    size_t policy_count;
};

#define EBB_CONTEST_QUANTILES 101

struct ebb_contest_row {
    const char *name;
    size_t zone; /* index into the traces; SIZE_MAX: all */
    size_t starts;
    double cost_mean;
    struct ebb_interval over_oracle;        /* of cost / oracle */
    double p75, p95;                        /* of cost / oracle */
    double quantile[EBB_CONTEST_QUANTILES]; /* of cost / oracle, in hundredths */
    size_t deadline_misses;
    double revocations_mean;
    double launches_mean;
    double failed_launches_mean;
    double wasted_fraction;          /* of the seconds billed: restarts, checkpoints, work lost */
    double checkpoint_lost_fraction; /* the same without restarts */
    double finish_mean_s;
    double cpu_s; /* 0 without a clock */
};

struct ebb_contest_result {
    struct ebb_contest_row *rows; /* a policy after the other: all, then, in `each`, zone by zone */
    size_t row_count;
    size_t starts;       /* in all */
    double oracle_mean;  /* dollars */
    size_t below_oracle; /* runs that cost less than the lower bound: 0, or the program is wrong */
};

/* Called before and after a policy plays a zone; returns seconds of processor time. May be NULL. */
typedef double (*ebb_contest_clock)(void);

/* EBB_ERR_INPUT: a trace too short for the deadline, an unknown policy, rules out of range. */
int ebb_contest_run(const struct ebb_contest *c, ebb_contest_clock clock,
                    struct ebb_contest_result *ret, struct ebb_error *err);
void ebb_contest_result_clean_up(struct ebb_contest_result *r);

#endif
