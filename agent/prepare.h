/* The way into an attempt: claim, then restore or stage; for ranks above 0 of a gang without the
 * claim, which is rank 0's, and of the checkpoint that rank 0 names. Blocks; runs on workers. */
#ifndef EBB_AGENT_PREPARE_H
#define EBB_AGENT_PREPARE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/state_files.h"
#include "agent/task.h"
#include "base/error.h"
#include "checkpoint/format.h"
#include "checkpoint/lineage.h"
#include "cloud/object_store.h"
#include "proto/event.pb-c.h"

struct ebb_prepare {
    struct ebb_task *task;
    /* Ranks above 0 of a gang: what rank 0 has claimed, and restored (sequence 0: nothing). Rank 0,
     * again: the checkpoint before, as some rank's part of the newest is damaged. */
    uint64_t epoch;
    struct ebb_generation wanted;
    char why[240];
    atomic_bool restoring; /* for status: staging until it is set */
    /* result; the caller takes what it wants and cleans up the rest */
    int code;
    struct ebb_error err;
    struct ebb_object_store *store;
    struct ebb_lineage *lineage;
    int64_t claimed_ns; /* monotonic: before the claim was sent */
    bool already_done;  /* the head is final: outputs below, nothing to run */
    bool resumed;
    int64_t resumed_step;
    uint64_t resumed_sequence;
    double earlier_run_s;       /* useful seconds of the attempts before */
    struct ebb_state_set state; /* newest, as restored */
    char note[400];
    char engine_version[208];
    double staging_s;
    double restore_s;
    Ebb__OutputFile **outputs;
    size_t output_count;
};

void ebb_prepare_run(struct ebb_prepare *p);
void ebb_prepare_clean_up(struct ebb_prepare *p);

#endif
