/* Packing a file into a container: what it is, which codec suits which run of its bytes, and the
 * check that every part decodes to what went in before it is written.
 *
 * Memory: a few parts for each thread, whatever the file's size. */
#ifndef EBB_PACK_PACKER_H
#define EBB_PACK_PACKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/dtype.h"
#include "pack/container.h"
#include "pack/part.h"

/* Where a file's progress goes; may be called often. */
struct ebb_pack_progress {
    void (*report)(void *ctx, uint64_t done_bytes, uint64_t total_bytes);
    void *ctx;
};

struct ebb_packer_options {
    enum ebb_pack_level level;
    unsigned threads;      /* 0: 1 */
    uint32_t group_frames; /* a reader can start every so many frames, 1 to 100; 0: 100 */
    /* Trajectories only: coordinates within this; 0: lossless. */
    double error;
    char unit[4];          /* of `error`: "nm", "A", "pm", "": the file's own */
    uint32_t verify_every; /* decode one part in so many again; 0: 1, all of them */
    /* A file that is nothing else is one array of these: rows x columns, repeated; 0: it is not. */
    uint64_t rows;
    uint64_t columns;
    enum ebb_dtype dtype;
    /* Where frames begin in a base that is a trajectory, as far as that is known (trajectory.h). */
    const uint64_t *base_anchors;
    size_t base_anchor_count;
    struct ebb_pack_progress progress;
};

/* Packs `file` as the next entry of `w`. `facts` brings name, mode, mtime and, with a base, what
 * identifies it; it gets kind, sizes, hash and frames. `base` (may be NULL) is the unpacked content
 * of the file that tensors are deltas against, or of a trajectory (XTC, TRR) whose frames the
 * positions of restart state (CPT, TRR) are refined against.
 * EBB_ERR_INPUT with the reason: an error bound on what is no trajectory. EBB_ERR_INTERNAL: a part
 * does not decode to what went in. */
int ebb_packer_add(struct ebb_container_writer *w, struct ebb_packed_entry *facts,
                   const struct ebb_bytes *file, const struct ebb_bytes *base,
                   const struct ebb_packer_options *o, struct ebb_error *err);

/* As ebb_packer_add, for a file that has grown since it was packed as `old` of `c` (a lossless
 * entry without a base, under the same name): the parts are taken over, and what is new is packed,
 * frames from a new key frame on. EBB_ERR_INPUT when the file does not begin as it was. */
int ebb_packer_append(struct ebb_container_writer *w, const struct ebb_container *c,
                      const struct ebb_packed_entry *old, struct ebb_packed_entry *facts,
                      const struct ebb_bytes *file, const struct ebb_packer_options *o,
                      struct ebb_error *err);

#endif
