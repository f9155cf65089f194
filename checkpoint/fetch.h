/* Getting chunks back from packs: ranges of neighbouring chunks in one request each. */
#ifndef EBB_CHECKPOINT_FETCH_H
#define EBB_CHECKPOINT_FETCH_H

#include <stddef.h>
#include <stdint.h>

#include "checkpoint/lineage_state.h"

/* A chunk that is wanted, and where it goes. */
struct ebb_wanted_chunk {
    const Ebb__Chunk *chunk;
    size_t target;        /* the caller's number of the file */
    uint64_t file_offset; /* of its first byte */
};

/* One chunk, verified, with what it is a delta against: appends its raw bytes to `raw`. */
int ebb_fetch_chunk(struct ebb_lineage *l, const Ebb__Manifest *m, const Ebb__Chunk *c,
                    struct ebb_buffer *raw, struct ebb_error *err);

/* Fetches all of them with `threads` at once and calls `sink` with each one's verified bytes, from
 * any thread, in any order. Sorts `wanted`. Stops at the first failure. */
int ebb_fetch_chunks(struct ebb_lineage *l, const Ebb__Manifest *m, struct ebb_wanted_chunk *wanted,
                     size_t count, unsigned threads,
                     int (*sink)(void *ctx, const struct ebb_wanted_chunk *w, const uint8_t *raw,
                                 struct ebb_error *err),
                     void *ctx, struct ebb_error *err);

#endif
