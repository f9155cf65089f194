/* Packed files by path, and what their entries are deltas against. */
#ifndef EBB_CLI_PACKED_FILE_H
#define EBB_CLI_PACKED_FILE_H

#include <jansson.h>

#include "base/error.h"
#include "cli/file_bytes.h"
#include "cli/table.h"
#include "pack/container.h"
#include "pack/packer.h"
#include "pack/unpacker.h"

struct ebb_packed_file {
    struct ebb_file_bytes file;
    struct ebb_bytes bytes;
    struct ebb_container *container;
};
int ebb_packed_file_open(const char *path, struct ebb_packed_file *ret, struct ebb_error *err);
void ebb_packed_file_close(struct ebb_packed_file *p);

/* The content of a file that another is a delta against: a plain file, or an entry of a packed one,
 * with its own base behind it. */
struct ebb_base {
    struct ebb_packed_file packed; /* `container` NULL: a plain file */
    struct ebb_container written;  /* what this base is an entry of while that is being written */
    struct ebb_entry_view *view;
    struct ebb_base *below;
    struct ebb_bytes bytes;
    char *name;        /* entry, "" for a plain file */
    uint64_t *anchors; /* where parts of frames begin in `bytes` (trajectory.h) */
    size_t anchor_count;
    uint32_t chain_length;
    uint8_t sha256[EBB_SHA256_SIZE]; /* of `bytes` */
};
/* The base for a file that is about to be packed. `path`: a packed file (its entry of that name, or
 * of that last component, or its only one when `is_only_file`), a folder with a file of that name,
 * or a plain file. *ret NULL: it has nothing for this file. */
int ebb_base_open_for(const char *path, const char *name, bool is_only_file, struct ebb_base **ret,
                      struct ebb_error *err);
/* The trajectory for restart state of `atoms` atoms at `step`: the best one of those written so far
 * (`written`, `bytes`: where that is read back; NULL: none), else of those in the file at `path`
 * (NULL: none), packed or plain. One of the very step is better than one near it. *ret NULL: there
 * is none. */
int ebb_base_open_trajectory(const char *path, const struct ebb_container *written, uint64_t atoms,
                             int64_t step, struct ebb_base **ret, struct ebb_error *err);
/* The base that `e` of the packed file at `packed_path` names; `override` (may be NULL) says where
 * it is now. NULL when it needs none. EBB_ERR_NOT_FOUND, EBB_ERR_INPUT (another content). */
int ebb_base_open_of(const char *packed_path, const struct ebb_packed_entry *e,
                     const char *override, struct ebb_base **ret, struct ebb_error *err);
void ebb_base_close(struct ebb_base *b);
EBB_DEFINE_AUTO_PTR(ebb_auto_base, struct ebb_base, ebb_base_close)

/* "packing md.xtc, 3 of 7: 16.2 MiB of 40.9 MiB, 120 MiB/s, 0:12 left" on stderr, when the work is
 * long: a line that is written over on a terminal, else a line every so often. */
struct ebb_progress_line {
    const char *verb;
    const char *name;
    size_t files, file; /* number of the file from 1 */
    uint64_t total_bytes, before_bytes, file_bytes;
    int64_t begin_ns;
    int64_t next_ns;
    bool is_terminal, is_shown;
};
void ebb_progress_begin(struct ebb_progress_line *l, const char *verb, size_t files,
                        uint64_t total_bytes);
/* The next file's part of it. */
struct ebb_pack_progress ebb_progress_next(struct ebb_progress_line *l, const char *name);
void ebb_progress_end(struct ebb_progress_line *l);
/* Of all its files, unpacked. */
uint64_t ebb_packed_bytes_of(const struct ebb_container *c);

/* "frames", "arrays", "zstd": the codec of most of the entry's bytes. */
const char *ebb_packed_entry_codec(const struct ebb_packed_entry *e);
json_t *ebb_packed_entry_json(const struct ebb_packed_entry *e);
struct ebb_table *ebb_packed_table_new(void);
void ebb_packed_table_add(struct ebb_table *t, const struct ebb_packed_entry *e);
/* 1 when what was read is damaged, else as everywhere. Prints the error. */
int ebb_packed_fail(const struct ebb_error *err);
/* How many threads pack: what was asked for, or one a processor, at most 16. */
unsigned ebb_packed_threads(int64_t asked);

#endif
