/* The inside of an attempt, shared by attempt.c (life), attempt_commit.c (checkpoints and outputs)
 * and attempt_end.c (judgement and report). */
#ifndef EBB_AGENT_ATTEMPT_STATE_H
#define EBB_AGENT_ATTEMPT_STATE_H

#include <sys/types.h>

#include "agent/attempt.h"
#include "agent/commit.h"
#include "agent/gang.h"
#include "agent/logs.h"
#include "agent/pace.h"
#include "agent/prepare.h"
#include "agent/progress.h"
#include "agent/state_files.h"

enum ebb_phase {
    EBB_PHASE_PREPARING,
    EBB_PHASE_SETUP,
    EBB_PHASE_WAITING, /* for the other ranks of its gang */
    EBB_PHASE_RUNNING,
    EBB_PHASE_STOPPING,   /* asked to stop, or ended with processes left */
    EBB_PHASE_STOPPED,    /* nothing runs: to be judged as soon as no worker has the lineage */
    EBB_PHASE_COMMITTING, /* a checkpoint of the stopped engine */
    EBB_PHASE_FINISHING,  /* the outputs */
    EBB_PHASE_ENDING,     /* last logs */
    EBB_PHASE_ENDED,
};

enum ebb_request { EBB_REQUEST_NONE, EBB_REQUEST_RELEASE, EBB_REQUEST_CANCEL, EBB_REQUEST_FENCE };

struct ebb_attempt {
    struct ebb_attempt_host host;
    struct ebb_task *task;
    enum ebb_phase phase;
    bool lineage_busy; /* prepare, commit or check is under way: the lineage is the worker's */
    enum ebb_request request;
    char reason[160]; /* of the request */
    int64_t deadline_ns;
    struct ebb_timer *timer;

    struct ebb_gang *gang; /* NULL: it is alone */

    struct ebb_prepare prepare; /* keeps store, lineage, engine version */
    struct ebb_log_stream *logs;
    struct ebb_progress *progress;
    struct ebb_pace pace;

    pid_t pid; /* leader of the session; 0: none */
    pid_t swept_session;
    int wait_status;
    bool leader_is_gone; /* reaped, others of its session may live on */
    bool was_asked_to_stop;
    bool paused;
    int64_t stop_by_ns; /* end of the grace */
    int64_t stopped_since_ns;

    int64_t mark_ns; /* since when the present bucket of time runs */
    int64_t staging_ns, restore_ns, setup_ns, run_ns, checkpoint_ns, finish_ns;
    double committed_run_s; /* of this attempt, held by a commit */

    struct ebb_state_set committed; /* the state files of the last commit or restore */
    struct ebb_state_set seen; /* at the last look, to tell a file at rest from one in writing */
    struct ebb_commit_work commit;
    int64_t commit_begin_ns;
    int64_t next_commit_ns;
    double commit_run_s; /* of this attempt, in the commit under way */
    double last_write_s; /* duration of the last commit */
    unsigned finish_retries;
    bool started_reported;

    int64_t owned_ns; /* the store last said that the head is ours */
    int64_t asked_ns;
    int check_code;

    bool has_verdict; /* how it ends once what is under way is done */
    Ebb__AttemptEnded__Outcome outcome;
    struct ebb_buffer verdict;
    Ebb__OutputFile **outputs;
    size_t output_count;
    uint64_t final_sequence;
    int64_t end_by_ns; /* last logs are given up on */
    bool logs_are_out;
};

/* attempt.c */
void ebb_attempt_prepare(struct ebb_attempt *a); /* claims (rank 0), brings the files */
void ebb_attempt_start_engine(struct ebb_attempt *a, bool resume);
void ebb_attempt_stop_engine(struct ebb_attempt *a);
void ebb_attempt_kill_engine(struct ebb_attempt *a);
void ebb_attempt_fenced(struct ebb_attempt *a);
void ebb_attempt_lap(struct ebb_attempt *a, int64_t *bucket_ns); /* since the mark, into it */
double ebb_attempt_run_s(const struct ebb_attempt *a);

/* attempt_commit.c */
/* The newest valid state that no commit holds yet. `at_rest`: also unchanged since the last look,
 * where the profile has no way to tell a whole file. */
bool ebb_attempt_new_state(struct ebb_attempt *a, bool at_rest, struct ebb_state_set *ret);
void ebb_attempt_commit_state(struct ebb_attempt *a, struct ebb_state_set *state); /* takes it */
/* ... when all ranks have put their parts, where each has files of its own. */
void ebb_attempt_commit_or_collect(struct ebb_attempt *a, struct ebb_state_set *state);
/* A member's part of a checkpoint (takes the state) or, without a state, of the outputs. */
void ebb_attempt_make_part(struct ebb_attempt *a, struct ebb_state_set *state);
void ebb_attempt_commit_outputs(struct ebb_attempt *a);
void ebb_attempt_poll_checkpoint(struct ebb_attempt *a, int64_t now_ns);
double ebb_attempt_interval_s(const struct ebb_attempt *a);

/* attempt_end.c */
/* Nothing runs: done, failed, or what the request says. Waits for a commit under way: whoever makes
 * the lineage idle calls it again while the phase is STOPPED. */
void ebb_attempt_judge(struct ebb_attempt *a);
void ebb_attempt_on_lineage_idle(struct ebb_attempt *a);
void ebb_attempt_after_commit(struct ebb_attempt *a); /* of a stopped engine */
void ebb_attempt_end(struct ebb_attempt *a, Ebb__AttemptEnded__Outcome outcome, const char *reason);
void ebb_attempt_end_by_setup(struct ebb_attempt *a); /* it failed */
void ebb_attempt_end_by_request(struct ebb_attempt *a);
void ebb_attempt_end_by_error(struct ebb_attempt *a, const struct ebb_error *err);
Ebb__AttemptEnded__Outcome ebb_attempt_outcome_of(int code); /* of an error */
void ebb_attempt_describe_setup(struct ebb_attempt *a);      /* its failure, as the verdict */

#endif
