/* A stored trajectory as what restart state is refined against: the frame of a step is found by
 * the frames' heads alone, and read as floats. */
#ifndef EBB_PACK_TRAJECTORY_H
#define EBB_PACK_TRAJECTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"
#include "formats/recognise.h"
#include "pack/bytes.h"

/* A frame's place in the trajectory's bytes. What a packed part says of it is not to be trusted. */
struct ebb_frame_ref {
    uint64_t offset;
    uint32_t bytes;
    uint32_t kind; /* enum ebb_file_kind: XTC or TRR */
};
#define EBB_FRAME_REF_BYTES 16u
void ebb_frame_ref_put(uint8_t out[EBB_FRAME_REF_BYTES], const struct ebb_frame_ref *r);
struct ebb_frame_ref ebb_frame_ref_get(const uint8_t in[EBB_FRAME_REF_BYTES]);

/* The coordinates of the frame in `bytes` as floats, XTC's integers as its readers turn them, in
 * nanometres: 3 * atoms, malloc'ed. EBB_ERR_CORRUPT when it is no frame of so many atoms. */
int ebb_frame_ref_read(const struct ebb_bytes *bytes, const struct ebb_frame_ref *r, size_t atoms,
                       float **ret, struct ebb_error *err);

/* True when the file holds positions that a trajectory may help with (CPT, TRR): so many atoms, of
 * this step (of its first frame). */
bool ebb_trajectory_is_wanted(const struct ebb_bytes *file, uint64_t *ret_atoms, int64_t *ret_step);

/* Files that are packed together, by their first bytes (4 KiB will do): those of a lower number
 * come before those that may be refined against them. */
#define EBB_TRAJECTORY_ORDERS 3
int ebb_trajectory_order(const void *head, size_t len);

struct ebb_frame_head {
    uint64_t atoms;
    int64_t step;
};
/* True when a frame of a trajectory (XTC, TRR) begins at `offset` of the file. */
bool ebb_trajectory_head(const struct ebb_bytes *file, uint64_t offset, struct ebb_frame_head *ret);

struct ebb_trajectory;
/* NULL: `bytes` are no trajectory whose heads can be read. `bytes` is copied, its context borrowed.
 * `anchors` (copied; may be none): offsets at which frames begin, ascending, steps ascending too:
 * only what lies between two of them is walked. */
struct ebb_trajectory *ebb_trajectory_new(const struct ebb_bytes *bytes, const uint64_t *anchors,
                                          size_t anchor_count);
void ebb_trajectory_destroy(struct ebb_trajectory *t);
/* The frame of `atoms` atoms nearest to `step`: 1, or 0 when there is none. *ret_is_same says
 * whether it is of that very step. Searching for rising steps goes on where the last one ended. Not
 * thread-safe. Fails when the bytes cannot be read. */
int ebb_trajectory_find(struct ebb_trajectory *t, uint64_t atoms, int64_t step,
                        struct ebb_frame_ref *ret, bool *ret_is_same, struct ebb_error *err);

EBB_DEFINE_AUTO_PTR(ebb_auto_trajectory, struct ebb_trajectory, ebb_trajectory_destroy)

#endif
