/* A job's line of checkpoints in an object store (docs/format-checkpoint.md).
 *
 *     <root>/head                              the only mutable object, moved by compare-and-swap
 *     <root>/manifests/<epoch>-<seq>-<sha256>  created once
 *     <root>/packs/<sha256>                    created once: chunks one after another
 *
 * claim:   read head -> put head {epoch + 1, new nonce, same manifest} if-match -> owner
 * commit:  packs -> manifest -> head by compare-and-swap; durable when the head's put is answered
 * fenced:  a put of the head that loses, and the head read back carries another nonce
 *
 * The successor claims before it reads, so what it read cannot be replaced behind its back. All
 * calls block and may be made from one thread at a time per lineage. */
#ifndef EBB_CHECKPOINT_LINEAGE_H
#define EBB_CHECKPOINT_LINEAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "checkpoint/format.h"
#include "cloud/object_store.h"
#include "proto/manifest.pb-c.h"

struct ebb_lineage;

/* Opens without claiming: for readers (fetch, ls, verify) and as the first step of an owner.
 * `store` is borrowed and must outlive it. root: "bags/<bag>/jobs/<job name>". A job without a head
 * is no error: ebb_lineage_head then gives NULL. */
int ebb_lineage_open(struct ebb_object_store *store, const char *root, struct ebb_lineage **ret,
                     struct ebb_error *err);
void ebb_lineage_destroy(struct ebb_lineage *l);
const Ebb__Head *ebb_lineage_head(const struct ebb_lineage *l); /* as last read or written */

/* Become the owner: epoch + 1. `owner` is for people ("vm-000003 attempt 2"). `attempt` is the
 * scheduler's number of the job's attempt, which rises with each lease: a claim never overtakes a
 * head of a higher attempt (EBB_ERR_FENCED), so a zombie that wakes before its claim cannot throw
 * out its successor; an equal one does (the agent came back). EBB_ERR_EXISTS when the head is final
 * (the job's outputs are committed). May be called again after a failure. */
int ebb_lineage_claim(struct ebb_lineage *l, const char *owner, uint64_t attempt,
                      struct ebb_error *err);
/* Still the owner? Reads the head: 0, or EBB_ERR_FENCED, or the store's failure. */
int ebb_lineage_check(struct ebb_lineage *l, struct ebb_error *err);

/* For ranks above 0 of a gang, whose rank 0 is the owner: is the head still of this epoch? Reads
 * it: 0, or EBB_ERR_FENCED, or the store's failure. */
int ebb_lineage_check_epoch(struct ebb_lineage *l, uint64_t epoch, struct ebb_error *err);

/* From here on a restore brings what this rank of a gang has of a checkpoint, and no other. */
void ebb_lineage_set_rank(struct ebb_lineage *l, uint32_t rank);

/* One file of a commit. Paths are relative to the request's directory. */
struct ebb_packed_output;
struct ebb_commit_file {
    const char *path;
    Ebb__FileEntry__Kind kind;
    uint64_t length_bytes; /* APPEND, STATE: commit this many bytes; UINT64_MAX: all there is now */
    bool plain;            /* not packed by what it is */
    /* Committed in place of the file, which comes back as that one unpacks (packed_output.h). */
    const struct ebb_packed_output *packed;
};

/* What another rank of a gang has put (ebb_lineage_put_part), to stand below ranks/<rank>/. */
struct ebb_commit_part {
    uint32_t rank;
    struct ebb_generation manifest;
};

struct ebb_commit_request {
    const char *directory;
    const struct ebb_commit_file
        *files; /* the whole set: what is not named is not in the manifest */
    size_t file_count;
    const struct ebb_commit_part *parts;
    size_t part_count;
    int64_t step;        /* -1: unknown */
    int64_t total_steps; /* -1: unknown */
    double run_s;
    uint64_t attempt;
    const char *engine_version;     /* may be NULL */
    const char *const *portability; /* name, value, name, value, ..., NULL; may be NULL */
    bool final;                     /* the outputs: after it no commit and no claim succeeds */
    unsigned threads;               /* parallel compress and put; 0: 4 */
    /* STATE and OUTPUT files of tensors as changes to those of the checkpoint before, which are
     * fetched from the store for it: fewer bytes to put for more to get. Not past a deadline. */
    bool deltas;
    unsigned verify_sample; /* decode one zstd chunk in so many again before it is put; 0: all */
    int64_t deadline_ns;    /* monotonic; past it nothing new is begun, EBB_ERR_TIMEOUT; 0: none */
};

struct ebb_commit_stats {
    uint64_t sequence;
    uint64_t raw_bytes;  /* of all files named */
    uint64_t read_bytes; /* read from disk and hashed */
    uint64_t sent_bytes; /* packs and manifest */
    uint32_t packs;
    double seconds;
};

/* Reads what changed since the last commit or restore (by size, mtime, inode; for APPEND what grew,
 * after a check that the committed prefix's last 64 KiB are as they were), uploads, publishes. On
 * EBB_ERR_FENCED the caller must stop the job. Any failure before the head's put leaves the
 * previous checkpoint in force. Files may grow meanwhile; a STATE file must not be changed in
 * place while it is read (a rename over it is fine: the file is opened once), else
 * EBB_ERR_CONFLICT. */
int ebb_lineage_commit(struct ebb_lineage *l, const struct ebb_commit_request *q,
                       struct ebb_commit_stats *ret, struct ebb_error *err);

/* A member's share of a checkpoint of the owner with this epoch: packs and a manifest of their own,
 * which nothing reaches until the owner commits it with its own. For a lineage that has claimed
 * nothing. */
int ebb_lineage_put_part(struct ebb_lineage *l, uint64_t epoch, const struct ebb_commit_request *q,
                         struct ebb_generation *ret, struct ebb_commit_stats *ret_stats,
                         struct ebb_error *err);

struct ebb_restore_result {
    uint64_t sequence;
    int64_t step;
    double run_s;
    uint64_t bytes;
    bool fell_back; /* the newest generation was damaged */
    char note[200]; /* what was wrong with it */
};

/* Brings the newest whole generation into `directory` (made if absent, must be empty), every byte
 * verified against its hash before the file gets its name; else the one before, said in the result.
 * `patterns` (NULL-terminated globs) limit it to matching paths; NULL: everything.
 * EBB_ERR_NOT_FOUND: there is no checkpoint; EBB_ERR_CORRUPT: no generation is whole. */
int ebb_lineage_restore(struct ebb_lineage *l, const char *directory, const char *const *patterns,
                        unsigned threads, struct ebb_restore_result *ret, struct ebb_error *err);

/* Exactly this generation, into an empty directory. EBB_ERR_CORRUPT: it is damaged. */
int ebb_lineage_restore_exactly(struct ebb_lineage *l, const struct ebb_generation *g,
                                const char *directory, unsigned threads,
                                struct ebb_restore_result *ret, struct ebb_error *err);

/* The manifest that a head names (current) or the generation before. The caller frees it with
 * ebb__manifest__free_unpacked. Verified against its hash. */
int ebb_lineage_manifest(struct ebb_lineage *l, bool previous, Ebb__Manifest **ret,
                         struct ebb_error *err);
/* Reads every pack and checks every hash, both generations. Faults go to fn, a line each. */
int ebb_lineage_verify(struct ebb_lineage *l, void (*fn)(void *ctx, const char *fault), void *ctx,
                       uint64_t *ret_bytes, struct ebb_error *err);
/* Calls fn with the root of each lineage whose root begins with `prefix`, in byte order; stops at
 * the first non-zero return and returns it. Lists every object below the prefix. */
int ebb_lineage_find(struct ebb_object_store *store, const char *prefix,
                     int (*fn)(void *ctx, const char *root), void *ctx, struct ebb_error *err);
/* Deletes manifests and packs that neither generation of the head reaches and that the store's own
 * clock says are older than `min_age_s` (compared with the head's modification time, no other
 * clock). Only an owner may. */
int ebb_lineage_collect(struct ebb_lineage *l, double min_age_s, uint64_t *ret_deleted,
                        struct ebb_error *err);

/* Fault points of a commit, for kill-and-resume tests: when EBB_FAULT=<name>[:<n>] is set in the
 * environment of a test, the process kills itself at the n-th passing. Names, in order:
 * commit-begin, pack-before, pack-after, manifest-before, manifest-after, head-before, head-after.
 */

#endif
