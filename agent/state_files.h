/* An engine's state files in a work directory: which are valid, which are newest, which may go.
 *
 * A file is valid when it is at least min_bytes long and ends with the profile's tail bytes. With a
 * step pattern the files of one step are a generation; without one, each glob's newest valid file
 * belongs to the newest generation. */
#ifndef EBB_AGENT_STATE_FILES_H
#define EBB_AGENT_STATE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "proto/profile.pb-c.h"

struct ebb_state_file {
    char *path;   /* relative to the work directory */
    int64_t step; /* from the name; -1 unknown */
    uint64_t size_bytes;
    int64_t mtime_ns;
    uint64_t inode;
    size_t glob; /* index of the pattern it matched first */
};

/* Newest first: by step, then by mtime, then by path. */
struct ebb_state_set {
    struct ebb_state_file *files;
    size_t count;
};

void ebb_state_set_clean_up(struct ebb_state_set *s);
/* True when the profile calls this path a state file (valid or not). */
bool ebb_state_matches(const Ebb__ProfileState *spec, const char *relative);
/* Every valid state file below `directory`. */
int ebb_state_scan(const char *directory, const Ebb__ProfileState *spec, struct ebb_state_set *ret,
                   struct ebb_error *err);
/* Keeps the newest generation alone. The first file is what ${state} stands for. */
void ebb_state_keep_newest(struct ebb_state_set *s);
/* Keeps the files of this step alone. */
void ebb_state_keep_step(struct ebb_state_set *s, int64_t step);
/* The same files with the same content, as far as size, mtime and inode tell. */
bool ebb_state_equal(const struct ebb_state_set *a, const struct ebb_state_set *b);
int64_t ebb_state_step(const struct ebb_state_set *s);     /* of the first file; -1 unknown */
int64_t ebb_state_mtime_ns(const struct ebb_state_set *s); /* newest of all; 0 when empty */
/* Removes the files of all but the newest `keep` generations; keep 0 removes nothing. Returns the
 * number removed. */
int ebb_state_prune(const char *directory, const Ebb__ProfileState *spec, unsigned keep,
                    struct ebb_error *err);

#endif
