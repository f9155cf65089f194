/* What goes into a checkpoint or into the outputs, and committing it. Blocks; runs on workers. */
#ifndef EBB_AGENT_COMMIT_H
#define EBB_AGENT_COMMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/state_files.h"
#include "agent/task.h"
#include "base/error.h"
#include "checkpoint/lineage.h"
#include "proto/event.pb-c.h"

/* Files of a commit; owns its paths. */
struct ebb_commit_list {
    struct ebb_commit_file *files;
    size_t count;
};

void ebb_commit_list_clean_up(struct ebb_commit_list *l);
/* A checkpoint: the files of `state`, everything that grows, and all the rest of the work directory
 * but what the profile ignores, other (older or torn) state files, and what is staged again from
 * other groups. */
int ebb_commit_list_checkpoint(const struct ebb_task *t, const struct ebb_state_set *state,
                               struct ebb_commit_list *ret, struct ebb_error *err);
/* The outputs, of ranks above 0 those that the bag wants of each rank: what the job's patterns
 * match; without patterns, what the job left beyond inputs, state and ignored files.
 * EBB_ERR_NOT_FOUND names a pattern that matches nothing. */
int ebb_commit_list_outputs(const struct ebb_task *t, struct ebb_commit_list *ret,
                            struct ebb_error *err);

struct ebb_commit_work {
    const struct ebb_task *task;
    struct ebb_lineage *lineage;
    const char *engine_version;
    bool final;
    struct ebb_state_set state; /* of a checkpoint; owned */
    int64_t step, total_steps;
    double run_s;
    int64_t deadline_ns; /* 0: none */
    /* of a gang: rank 0 commits the parts of the others with its own files; those make one */
    const struct ebb_commit_part *parts;
    size_t part_count;
    uint64_t part_of_epoch; /* > 0: a part for rank 0, whose claim this is */
    /* result */
    struct ebb_generation part;
    int code;
    struct ebb_error err;
    struct ebb_commit_stats stats;
    Ebb__OutputFile **outputs; /* of a final commit; owned */
    size_t output_count;
};

/* Lists the files and commits them. A deadline is the moment the VM goes: nothing is begun that
 * would leave less than 3 s for manifest and head. */
void ebb_commit_work_run(struct ebb_commit_work *w);
void ebb_commit_work_clean_up(struct ebb_commit_work *w);

/* What the final manifest of a job holds. */
int ebb_commit_read_outputs(struct ebb_lineage *l, Ebb__OutputFile ***ret, size_t *ret_count,
                            struct ebb_error *err);
void ebb_commit_outputs_free(Ebb__OutputFile **outputs, size_t count);

#endif
