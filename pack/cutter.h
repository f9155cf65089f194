/* Chunks of a file that grows or is replaced from checkpoint to checkpoint: where to cut it, and
 * how to pack a piece by what the file is. What the cutter knows of the file is advice: packing is
 * lossless whatever the bytes are. */
#ifndef EBB_PACK_CUTTER_H
#define EBB_PACK_CUTTER_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "pack/bytes.h"
#include "pack/part.h"

struct ebb_cutter;
/* Looks at the file's head, and for where its arrays lie. NULL: it is no kind for which something
 * better than zstd is known. `file` is not used afterwards. */
struct ebb_cutter *ebb_cutter_new(const struct ebb_bytes *file);
void ebb_cutter_destroy(struct ebb_cutter *c);

/* The tensor that stands at byte `offset`, where it is in `old`, another state of the file: the
 * offset there, or UINT64_MAX when it has no tensor of that name, type and row length, or no tensor
 * stands here; *ret_run: for how many bytes from `offset` on the answer holds. */
uint64_t ebb_cutter_place_in(const struct ebb_cutter *c, const struct ebb_cutter *old,
                             uint64_t offset, uint64_t *ret_run);
/* True when tensors have names, so that the cutter is of use as `old` later. */
bool ebb_cutter_has_names(const struct ebb_cutter *c);
/* True for restart state whose positions lie whole in the `len` bytes at `offset`: of so many
 * atoms, at this step. */
bool ebb_cutter_has_positions(const struct ebb_cutter *c, uint64_t offset, size_t len,
                              uint64_t *ret_atoms, int64_t *ret_step);

/* How many of the `len` bytes at `bytes` (from `offset` in the file) make the next chunk: whole
 * frames of a trajectory, up to max_bytes, else `usual_bytes`. Never 0 when len is not. */
size_t ebb_cutter_next(const struct ebb_cutter *c, const uint8_t *bytes, size_t len,
                       size_t usual_bytes, size_t max_bytes);
/* What a chunk may be packed against. Tensors: bytes of another state of the file, `offset` where
 * they are in it, `old` (may be NULL: this chunk's own place) what that file was cut by. Restart
 * state: frames of a trajectory. */
struct ebb_cutter_base {
    const struct ebb_bytes *bytes;
    const struct ebb_cutter *old;
    uint64_t offset;
};
/* Packs a chunk if the codecs for its kind make it smaller than `below` bytes: appends a payload
 * for ebb_part_decode, with the codec in *ret_codec, and returns 1. 0: they do not. `base` may be
 * NULL; *ret_needs_base says whether reading needs its bytes. The payload has been decoded and
 * compared. Thread-safe. */
int ebb_cutter_pack(const struct ebb_cutter *c, uint64_t offset, const uint8_t *bytes, size_t len,
                    const struct ebb_cutter_base *base, size_t below, struct ebb_buffer *out,
                    uint32_t *ret_codec, bool *ret_needs_base, struct ebb_error *err);

EBB_DEFINE_AUTO_PTR(ebb_auto_cutter, struct ebb_cutter, ebb_cutter_destroy)

#endif
