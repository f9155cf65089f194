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

/* How many of the `len` bytes at `bytes` (from `offset` in the file) make the next chunk: whole
 * frames of a trajectory, up to max_bytes, else `usual_bytes`. Never 0 when len is not. */
size_t ebb_cutter_next(const struct ebb_cutter *c, const uint8_t *bytes, size_t len,
                       size_t usual_bytes, size_t max_bytes);
/* Packs a chunk if the codecs for its kind make it smaller than `below` bytes: appends a payload
 * for ebb_part_decode, with the codec in *ret_codec, and returns 1. 0: they do not. `base` (may be
 * NULL): bytes as many as the chunk's, those of another time; *ret_needs_base says whether reading
 * needs them. The payload has been decoded and compared. Thread-safe. */
int ebb_cutter_pack(const struct ebb_cutter *c, uint64_t offset, const uint8_t *bytes, size_t len,
                    const struct ebb_bytes *base, size_t below, struct ebb_buffer *out,
                    uint32_t *ret_codec, bool *ret_needs_base, struct ebb_error *err);

EBB_DEFINE_AUTO_PTR(ebb_auto_cutter, struct ebb_cutter, ebb_cutter_destroy)

#endif
