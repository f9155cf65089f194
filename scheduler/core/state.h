/* The scheduler's state: a fold over the event log, and nothing else. Two processes that applied
 * the same events hold the same state (ebb_state_digest). The daemon, a restart and the simulator
 * use the same fold.
 *
 *     message, timer, cloud answer --> decide (reads the state) --> events --> log --> apply
 *
 * The structures are open for reading; only ebb_state_apply writes them. Pointers to jobs, groups
 * and VMs hold until the next ebb_state_apply; indices hold for ever.
 *
 *   job:  waiting -> ready -> leased -> running -> done | failed | cancelled
 *            ^         ^________|__________|   (revoked, released, refused, failed with retries
 * left)
 *            |_ retry of a bag
 *   VM:   intended -> booting -> ready -> (noticed) -> lost | terminating -> terminated
 *            |________________________________________________________> failed (never ran)     */
#ifndef EBB_SCHEDULER_CORE_STATE_H
#define EBB_SCHEDULER_CORE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/map.h"
#include "proto/event.pb-c.h"

#define EBB_NONE UINT32_MAX /* no index */

enum ebb_job_state {
    EBB_JOB_WAITING, /* groups it needs are not done */
    EBB_JOB_READY,
    EBB_JOB_LEASED,
    EBB_JOB_RUNNING,
    EBB_JOB_DONE,
    EBB_JOB_FAILED,
    EBB_JOB_CANCELLED,
};
#define EBB_JOB_STATES 7

enum ebb_vm_state {
    EBB_VM_INTENDED, /* in the log; the cloud may or may not know it */
    EBB_VM_BOOTING,  /* the cloud has launched it */
    EBB_VM_READY,    /* its agent has joined */
    EBB_VM_NOTICED,  /* the cloud will take it: no new leases */
    EBB_VM_LOST,     /* declared dead; the cloud has not confirmed its end */
    EBB_VM_TERMINATING,
    EBB_VM_TERMINATED,
    EBB_VM_FAILED, /* the cloud refused to launch it */
};

enum {
    EBB_JOB_CANCELLING = 1, /* cancelled, its live attempt has yet to end */
    EBB_JOB_SKIPPED = 2,    /* cancelled because a job it needs was not done */
    EBB_JOB_VERIFIED = 4,
    EBB_JOB_DIFFERENT = 8, /* verification found a difference */
};

/* What is known of a job without the log: 72 bytes, one for each job of a bag. */
struct ebb_job {
    int64_t step; /* of the newest commit; -1: none */
    int64_t total_steps;
    int64_t since_wall_ns; /* when it came into this state */
    int64_t commit_wall_ns;
    float run_s;                  /* useful seconds in the newest commit, all attempts together */
    float paced, paced_s;         /* part of it whose pace was seen, and its seconds: pace.h */
    uint32_t vm;                  /* of the live or the last attempt; EBB_NONE */
    uint32_t attempts;            /* leases so far: number of the live or the last attempt */
    uint32_t checkpoint_sequence; /* 0: none */
    uint32_t next, prev;          /* in the group's ready queue; EBB_NONE */
    uint16_t failures;            /* its own faults */
    uint16_t revocations;         /* attempts that the cloud ended */
    uint8_t state;                /* enum ebb_job_state */
    uint8_t flags;                /* EBB_JOB_CANCELLING ... */
    uint8_t outcome;              /* 1 + outcome of the last ended attempt; 0: none yet */
    uint8_t refusals;             /* attempts that a VM could not run, saturating */
};

/* A running mean that forgets: weight of the newest value at least 0.1. */
struct ebb_mean {
    double value;
    uint64_t count;
};

struct ebb_group {
    const Ebb__JobGroup *spec; /* in the bag's spec */
    const Ebb__Profile *profile;
    uint32_t bag;   /* index */
    uint32_t index; /* in the bag */
    uint64_t counts[EBB_JOB_STATES];
    uint32_t first_ready, last_ready; /* queue: job indices in the bag, linked by ebb_job.next */
    uint32_t unmet_needs;             /* needed groups not yet done */
    uint64_t skipped;                 /* its jobs with EBB_JOB_SKIPPED */
    uint32_t *dependents;             /* indices of groups that need this one */
    size_t dependent_count;
    struct ebb_mean run_s;     /* useful seconds of finished jobs */
    struct ebb_mean write_s;   /* making and sending a checkpoint */
    struct ebb_mean stopped_s; /* engine stopped for a checkpoint */
    struct ebb_mean restart_s; /* staging + restore + setup of an attempt */
    struct ebb_mean log_pace;  /* log of steps (else of jobs) a useful second: speed.h */
    double paced_jobs;         /* of jobs under way: weights of their own paces, ... */
    double paced_s;            /* ... and full times by them, weighted: pace.h */
};

struct ebb_bag {
    uint32_t index;
    Ebb__BagSpec *spec; /* with the id */
    Ebb__Estimate *estimate;
    char *idempotency_key;
    int64_t submitted_wall_ns;
    int64_t finished_wall_ns; /* 0: not finished */
    bool cancelled;
    char *cancel_reason;
    struct ebb_job *jobs;
    uint64_t job_count;
    struct ebb_group *groups;
    size_t group_count;
    uint64_t counts[EBB_JOB_STATES];
    uint64_t attempts, revocations, failures, checkpoints;
    /* Of jobs that are done: files, bytes as the jobs wrote them, as they are fetched, as stored.
     */
    uint64_t output_files, output_source_bytes, output_bytes, output_stored_bytes;
    int64_t budget_near_wall_ns; /* when it was announced that its budget will be spent; 0: not */
    struct ebb_map *reasons;     /* decimal job index -> why its last attempt ended (char *) */
    char *verified_against;      /* NULL: not verified */
    uint64_t verified_jobs, verified_files_equal, verified_files_different;
};

struct ebb_lease {
    uint32_t bag;
    uint32_t attempt;
    uint64_t job;
    int64_t leased_wall_ns;
    int64_t started_wall_ns; /* 0: not yet */
    int64_t commit_wall_ns;  /* newest checkpoint of this attempt; 0: none */
    double stopped_s;        /* for its checkpoints so far */
    int64_t step;            /* ... and the step and useful seconds at its newest checkpoint, */
    double run_s;            /* or where it began */
    float paced, paced_s;    /* of its job's, what this attempt has shown: pace.h */
    int64_t told_steps;      /* of this attempt at its newest commit, start-up apart: steps, */
    double told_s;           /* and their useful seconds */
    double share;            /* of its VM */
    uint32_t row;            /* in the ledger */
    uint32_t rank;           /* in its gang; 0: its attempt runs here */
    uint32_t gang;           /* VMs of the attempt; 1: this alone */
    bool revoked;            /* we asked for it back */
};

struct ebb_vm {
    uint32_t index;
    char id[32];
    char instance[32]; /* empty: not known yet */
    char address[64];
    char client_token[72];
    uint8_t join_token_sha256[32];
    bool has_join_token;
    Ebb__Offer *offer;
    uint8_t state; /* enum ebb_vm_state */
    bool joined;
    bool interrupted; /* by the cloud; set at VmTerminated */
    int64_t intended_wall_ns;
    int64_t launched_wall_ns; /* 0: not yet */
    int64_t joined_wall_ns;   /* 0: not yet */
    int64_t notice_wall_ns;   /* when the notice came; 0: none */
    int64_t notice_deadline_wall_ns;
    int64_t idle_since_wall_ns; /* no lease since then; 0: has leases */
    int64_t ended_wall_ns;      /* by the cloud's word; 0: it lives */
    int64_t millicpus, free_millicpus;
    int64_t memory_bytes, free_memory_bytes;
    int64_t gpus, free_gpus;
    struct ebb_lease *leases; /* live attempts */
    size_t lease_count, lease_capacity;
    uint32_t attempts;
    uint32_t for_bag;     /* pays when nobody used it: the oldest unfinished bag at its
                           * intention, else the newest */
    uint32_t refusals;    /* attempts it could not run, in a row */
    char *reason;         /* why it was launched */
    char *end_reason;     /* why it ended */
    bool rebalance;       /* the cloud has hinted that it may take it */
    int64_t born_wall_ns; /* its life for the hazards begins then; 0: not yet */
    int64_t told_wall_ns; /* ... and has been told to them until then */
    bool counted_revocation;
};

struct ebb_market;    /* market.h: prices, cool-downs by offer */
struct ebb_hazards;   /* hazards.h */
struct ebb_ledger;    /* ledger.h */
struct ebb_catalogue; /* catalogue.h */

struct ebb_state {
    uint64_t last_sequence;
    int64_t last_wall_ns;
    Ebb__CloudConfigured *cloud; /* NULL until configured */
    double bill_time_scale;      /* 1 until configured */

    struct ebb_bag **bags;
    size_t bag_count, bag_capacity;
    struct ebb_map *bags_by_id;  /* -> struct ebb_bag */
    struct ebb_map *bags_by_key; /* idempotency key -> struct ebb_bag */
    struct ebb_group **active;   /* groups of unfinished bags: priority, then age of the bag */
    size_t active_count, active_capacity;

    struct ebb_vm **vms;
    size_t vm_count, vm_capacity;
    struct ebb_map *vms_by_id; /* -> struct ebb_vm */
    uint32_t *live;            /* indices of VMs not terminated or failed, in order of intention */
    size_t live_count, live_capacity;

    struct ebb_mean boot_s;      /* from the intention to launch to the agent's joining */
    struct ebb_mean notice_s;    /* that revocations gave */
    uint64_t noticed, unnoticed; /* revocations with and without notice */
    struct ebb_market *market;
    struct ebb_hazards *hazards;
    struct ebb_catalogue *catalogue; /* imported; NULL: the built-in one holds */
    uint8_t catalogue_sha256[32];    /* of its file; all 0: none was */
    struct ebb_map *speeds;          /* "engine\ttype" -> struct ebb_mean of logarithms: speed.h */
    double sweep_s;                  /* of billed time: lives that go on are told so often */
    int64_t swept_wall_ns;           /* the lives of all VMs have been told until then */
    struct ebb_ledger *ledger;
};

struct ebb_state *ebb_state_new(void);
void ebb_state_destroy(struct ebb_state *s);

/* Folds one event in. EBB_ERR_CORRUPT when it cannot follow on this state (a gap in the sequence,
 * an unknown VM, a job leased twice, ...), EBB_ERR_UNSUPPORTED for a kind of a later version: the
 * state is then as it was. Sequence 0 is taken as the next one. */
int ebb_state_apply(struct ebb_state *s, const Ebb__Event *e, struct ebb_error *err);

/* A number that is equal for equal states (all that decisions and reports read). */
uint64_t ebb_state_digest(const struct ebb_state *s);

/* Queries. NULL: no such thing. */
struct ebb_bag *ebb_state_bag(const struct ebb_state *s, const char *id);
/* By id, by name (the newest of that name), or "last". */
struct ebb_bag *ebb_state_find_bag(const struct ebb_state *s, const char *text);
struct ebb_bag *ebb_state_bag_by_key(const struct ebb_state *s, const char *idempotency_key);
struct ebb_vm *ebb_state_vm(const struct ebb_state *s, const char *id);
struct ebb_group *ebb_bag_group_of(const struct ebb_bag *b, uint64_t job);
bool ebb_bag_is_settled(const struct ebb_bag *b);  /* every job done, failed or cancelled */
bool ebb_bag_is_finished(const struct ebb_bag *b); /* ... and BagFinished is in the log */
bool ebb_state_is_idle(const struct ebb_state *s); /* no unfinished bag, no live VM */
bool ebb_vm_is_live(const struct ebb_vm *vm);      /* may cost money */
bool ebb_vm_takes_leases(const struct ebb_vm *vm);

/* For messages that come at least once. True when this attempt is the job's live one: its report
 * is news. False: it has ended in the log already (acknowledge and forget), or never was. */
bool ebb_state_attempt_is_live(const struct ebb_state *s, const char *bag, uint64_t job,
                               uint32_t attempt);
/* True when the attempt is live and this checkpoint is newer than the one in the log. */
bool ebb_state_checkpoint_is_new(const struct ebb_state *s, const char *bag, uint64_t job,
                                 uint32_t attempt, uint64_t sequence);
/* The live lease of a job, with its VM's index in *ret_vm (may be NULL). */
const struct ebb_lease *ebb_state_lease(const struct ebb_state *s, const char *bag, uint64_t job,
                                        uint32_t *ret_vm);

/* Id for the next VM: "vm-000012". out holds 32. */
char *ebb_state_next_vm_id(const struct ebb_state *s, char *out);

const char *ebb_job_state_name(int state); /* "waiting" ... */
const char *ebb_vm_state_name(int state);
/* "running", "done", "failed", "cancelled" */
const char *ebb_bag_state_name(const struct ebb_bag *b);
const char *ebb_outcome_name(int outcome); /* "done", "failed", "released", ... */
/* enum ebb_job_state, or -1. */
int ebb_job_state_of(const char *name);

#endif
