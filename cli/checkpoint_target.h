/* What the checkpoint commands work on: a store's URL, a job's place in one, or BAG/JOB. */
#ifndef EBB_CLI_CHECKPOINT_TARGET_H
#define EBB_CLI_CHECKPOINT_TARGET_H

#include "base/memory.h"
#include "checkpoint/lineage.h"
#include "cloud/object_store.h"

struct ebb_checkpoint_target {
    struct ebb_object_store *store;
    char *prefix; /* of lineage roots; "" for all of the store */
    char **roots; /* the lineages there, in byte order */
    size_t count;
};

/* Opens "s3://bucket/prefix[/bags/...]", "file:///directory[/bags/...]", "BAG" or "BAG/JOB"
 * (through the scheduler) and finds the lineages. EBB_ERR_NOT_FOUND when there are none. */
int ebb_checkpoint_target_open(const char *text, struct ebb_checkpoint_target *ret,
                               struct ebb_error *err);
/* The same for exactly one lineage, opened. */
int ebb_checkpoint_target_open_one(const char *text, struct ebb_checkpoint_target *ret,
                                   struct ebb_lineage **ret_lineage, struct ebb_error *err);
void ebb_checkpoint_target_clean_up(struct ebb_checkpoint_target *t);

/* The part of the commands' help that says what a target is. */
#define EBB_CHECKPOINT_TARGET_HELP                                                                 \
    "TARGET is BAG/JOB of a bag that the scheduler knows, or a place in a store, for which no "    \
    "scheduler is needed: file:///directory/bags/BAG/jobs/JOB or "                                 \
    "s3://bucket/prefix/bags/BAG/jobs/JOB."

static inline void ebb_manifest_unpacked_free(Ebb__Manifest *m)
{
    ebb__manifest__free_unpacked(m, NULL);
}
EBB_DEFINE_AUTO_PTR(ebb_auto_lineage, struct ebb_lineage, ebb_lineage_destroy)
EBB_DEFINE_AUTO_PTR(ebb_auto_unpacked_manifest, Ebb__Manifest, ebb_manifest_unpacked_free)

#endif
