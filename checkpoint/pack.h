/* Packs: many chunks in one object that is put once (docs/format-checkpoint.md).
 *
 *     +----------+-----------+---------+---------+----
 *     | EBBPACK1 | nonce(16) | chunk 0 | chunk 1 | ...
 *     +----------+-----------+---------+---------+----  each chunk: a zstd frame, a part of a
 *                                                       packed file, or bytes stored
 */
#ifndef EBB_CHECKPOINT_PACK_H
#define EBB_CHECKPOINT_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "checkpoint/format.h"
#include "cloud/object_store.h"
#include "pack/cutter.h"

/* Raw bytes that go into one pack: its buffer and the buffer of what is read for it bound a
 * commit's memory, per thread. */
#define EBB_PACK_RAW_BYTES (8u << 20)

/* Where a chunk is. */
struct ebb_chunk_record {
    uint8_t sha256[EBB_SHA256_SIZE]; /* raw */
    uint64_t raw_bytes;
    uint64_t stored_bytes;
    uint64_t offset;
    uint32_t codec;
    uint32_t pack; /* the writer's numbering */
};

struct ebb_pack_builder;
/* Memory for `raw_bytes` of content is taken at once and kept. */
struct ebb_pack_builder *ebb_pack_builder_new(const uint8_t nonce[EBB_NONCE_SIZE],
                                              size_t raw_bytes);
void ebb_pack_builder_destroy(struct ebb_pack_builder *b);
void ebb_pack_builder_reset(struct ebb_pack_builder *b); /* an empty pack, memory kept */
/* Compresses and appends; sets codec, offset and sizes of `ret` (its sha256 and pack are the
 * caller's). */
int ebb_pack_add(struct ebb_pack_builder *b, const void *raw, size_t len,
                 struct ebb_chunk_record *ret, struct ebb_error *err);
/* As above, but by what the file is, where that makes less of it. `cutter` (may be NULL) and
 * `offset`: the file that it is of, and where. `base` (may be NULL): bytes of a chunk that this one
 * may be packed against; *ret_is_delta says whether it is. `verify`: the packed chunk is
 * decoded again and compared (what a cutter packs always is). */
int ebb_pack_add_chunk(struct ebb_pack_builder *b, const struct ebb_cutter *cutter, uint64_t offset,
                       const void *raw, size_t len, const struct ebb_cutter_base *base, bool verify,
                       struct ebb_chunk_record *ret, bool *ret_is_delta, struct ebb_error *err);
/* Takes back what was added after the first `bytes`. */
void ebb_pack_cut(struct ebb_pack_builder *b, uint64_t bytes);
uint64_t ebb_pack_bytes(const struct ebb_pack_builder *b); /* header included */
/* Puts the pack under its hash. That it exists already is success; an object of another size under
 * that name (a torn upload) is replaced. */
int ebb_pack_put(struct ebb_pack_builder *b, struct ebb_object_store *store, const char *root,
                 uint8_t ret_sha256[EBB_SHA256_SIZE], struct ebb_error *err);

/* Restores one chunk from its stored bytes into out[raw_bytes], verified: EBB_ERR_CORRUPT. `base`:
 * the raw bytes of its base chunk, where it has one; else NULL. */
int ebb_chunk_decode(const Ebb__Chunk *c, const uint8_t *stored, const uint8_t *base, uint8_t *out,
                     struct ebb_error *err);

EBB_DEFINE_AUTO_PTR(ebb_auto_pack_builder, struct ebb_pack_builder, ebb_pack_builder_destroy)

#endif
