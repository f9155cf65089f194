/* What a commit has to read: each named file against what the last commit or restore left. */
#ifndef EBB_CHECKPOINT_FILE_SCAN_H
#define EBB_CHECKPOINT_FILE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "checkpoint/lineage_state.h"
#include "checkpoint/prefix.h"
#include "pack/cutter.h"

/* Files are cut into chunks of this size; only the last one of a read is smaller. */
#define EBB_CHUNK_BYTES (1u << 20)

struct ebb_file_stamp {
    dev_t device;
    ino_t inode;
    uint64_t size_bytes;
    int64_t mtime_ns;
    int64_t ctime_ns;
};

/* A file as the base manifest has it, and what its stat was then. */
struct ebb_seen_file {
    struct ebb_file_stamp stamp;
    bool is_fresh; /* changed so recently that the stamp could stay the same at another change */
    size_t entry;  /* index into base->files */
    struct ebb_prefix *prefix; /* APPEND only */
    struct ebb_cutter *layout; /* of files of tensors with names; else NULL */
};

struct ebb_file_stamp ebb_file_stamp(const struct stat *st);
/* Records in `seen` what `path` is now; takes `prefix` and `layout` (may be NULL). */
void ebb_seen_set(struct ebb_map *seen, const char *path, const struct ebb_file_stamp *stamp,
                  int64_t stat_wall_ns, size_t entry, struct ebb_prefix *prefix,
                  struct ebb_cutter *layout);
/* What the open file is cut by (pack/cutter.h). */
struct ebb_cutter *ebb_cutter_of_file(int fd, const char *path, uint64_t size_bytes);
struct ebb_map *ebb_seen_new(void);

/* One file of a commit.
 *
 *     0            keep_bytes       hashed_bytes             length_bytes
 *     |  chunks of base  |  read again, |   read, hashed, chunked   |
 *     |  by reference    |  compacted   |                           |
 */
struct ebb_source {
    const struct ebb_commit_file *want;
    char *path; /* joined with the directory */
    struct ebb_file_stamp stamp;
    int64_t stat_wall_ns;
    uint32_t mode;
    char *link_target;          /* SYMLINK */
    uint64_t length_bytes;      /* to commit */
    const Ebb__FileEntry *base; /* whose first keep_chunks are taken over; NULL: none */
    size_t keep_chunks;
    uint64_t keep_bytes;
    bool is_unchanged; /* base's chunks and hash as they are */
    /* The hash over what precedes: owned, grows to length_bytes as the file is read. */
    struct ebb_prefix *prefix;
    uint64_t hashed_bytes;
    uint8_t overlap_sha256[EBB_SHA256_SIZE]; /* of [keep_bytes, hashed_bytes) */
};

/* Fills `ret` for one file. Reads only what it must compare; adds that to *ret_read_bytes.
 * EBB_ERR_NOT_FOUND, EBB_ERR_INPUT (no regular file, or a link that leaves the directory),
 * EBB_ERR_CONFLICT (shorter than asked for). Clean up also after a failure. */
int ebb_source_scan(struct ebb_lineage *l, const char *directory,
                    const struct ebb_commit_file *want, struct ebb_map *base_entries,
                    struct ebb_source *ret, uint64_t *ret_read_bytes, struct ebb_error *err);
void ebb_source_clean_up(struct ebb_source *s);
/* Opens the file for reading and makes sure that it is the one scanned: EBB_ERR_CONFLICT with errno
 * ESTALE when another has taken its name since (scan again). */
int ebb_source_open(const struct ebb_source *s, int *ret_fd, struct ebb_error *err);
/* After reading: EBB_ERR_CONFLICT when the file was changed in place where it must not be. */
int ebb_source_check_unchanged(const struct ebb_source *s, int fd, struct ebb_error *err);
/* Reads exactly len bytes; EBB_ERR_CONFLICT when the file ends before. */
int ebb_read_at(int fd, const char *path, void *out, size_t len, uint64_t offset,
                struct ebb_error *err);

#endif
