/* One block of bytes through the entropy stage, self-describing:
 *
 *     method      1 byte   0 stored, 1 zstd frame
 *     raw bytes   varint   LEB128, as many 7-bit groups as it takes
 *     packed      varint   bytes that follow
 *     bytes
 *
 * Fast: literals only (kernels/huffman.h), or stored where that does not pay; the same bytes on
 * every machine. Small: zstd's own search for matches where that is smaller still. */
#ifndef EBB_KERNELS_ENTROPY_H
#define EBB_KERNELS_ENTROPY_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum ebb_entropy_level { EBB_ENTROPY_FAST = 0, EBB_ENTROPY_SMALL = 1 };

/* Appends the block to *out. */
void ebb_entropy_encode(const uint8_t *in, size_t len, enum ebb_entropy_level level,
                        struct ebb_buffer *out);
/* As ebb_entropy_encode, stored whatever it holds. */
void ebb_entropy_store(const uint8_t *in, size_t len, struct ebb_buffer *out);

struct ebb_entropy_block {
    const uint8_t *packed; /* inside the bytes that were read */
    size_t packed_len, raw_len;
    size_t size; /* of the whole block with its head: the next one is that far on */
    uint8_t method;
};

/* The block at `in`, of which `len` bytes are there; not decoded yet. raw_len is what it claims. */
int ebb_entropy_read(const uint8_t *in, size_t len, struct ebb_entropy_block *ret,
                     struct ebb_error *err);
bool ebb_entropy_is_stored(const struct ebb_entropy_block *block);
/* Into `out`, which has room for block->raw_len bytes. */
int ebb_entropy_unpack(const struct ebb_entropy_block *block, uint8_t *out, struct ebb_error *err);
/* A stored block's own bytes, else those unpacked into `scratch` (room for raw_len). */
int ebb_entropy_view(const struct ebb_entropy_block *block, uint8_t *scratch,
                     const uint8_t **ret_bytes, struct ebb_error *err);
/* Read and unpack: exactly `out_len` raw bytes must be in it. *ret_size: as block.size. */
int ebb_entropy_decode(const uint8_t *in, size_t len, uint8_t *out, size_t out_len,
                       size_t *ret_size, struct ebb_error *err);

#endif
