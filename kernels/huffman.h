/* Bytes as standard zstd frames that hold Huffman-coded literals and nothing else (RFC 8878): no
 * matches are looked for. Any zstd decoder reads them.
 *
 *     frame   magic, single segment, content size in 8 bytes, no checksum, no dictionary
 *     block   each EBB_HUFFMAN_BLOCK bytes of input (the last may be shorter): RLE when all bytes
 * are equal, else compressed (four streams, a table of its own, no sequences) when that is smaller
 * by at least a 64th and the block has 256 bytes or more, else raw
 *
 * The bytes are a function of the input alone: every implementation (reference, SIMD, CUDA) gives
 * the same. What fixes them: the code lengths (ebb_huffman_lengths), zstd's own order of codes, and
 * the weights' description: four bits each when the last symbol is at most 128, else FSE with the
 * counts of ebb_huffman_weights. */
#ifndef EBB_KERNELS_HUFFMAN_H
#define EBB_KERNELS_HUFFMAN_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define EBB_HUFFMAN_BLOCK    ((size_t)131072)
#define EBB_HUFFMAN_MAX_BITS 11
/* An upper bound of a frame's size for `len` bytes of input. */
#define EBB_HUFFMAN_BOUND(len) ((len) + 3 * ((len) / EBB_HUFFMAN_BLOCK + 1) + 13)

/* Writes the frame to `out` (room for EBB_HUFFMAN_BOUND(len)); returns its size. */
size_t ebb_huffman_encode(const uint8_t *in, size_t len, uint8_t *out);

/* Any zstd frame whose content is exactly `out_len` bytes. Frames as above go a fast way, all
 * others through the library. EBB_ERR_CORRUPT otherwise. */
int ebb_huffman_decode(const uint8_t *in, size_t len, uint8_t *out, size_t out_len,
                       struct ebb_error *err);

/* The pieces, for implementations on other devices and for tests. */

/* Code lengths of at most EBB_HUFFMAN_MAX_BITS for at least two symbols that occur:
 * Huffman's tree over the symbols in the order (count, symbol), a leaf before an inner node of the
 * same count; lengths above the limit are set to it, and the code made complete again by giving,
 * while there are too many, the last code of the limit's length up for two made from the longest
 * shorter one. Rarer symbols get the longer codes. Symbols that do not occur: 0. Returns the
 * longest length used. */
unsigned ebb_huffman_lengths(const uint32_t counts[256], uint8_t lengths[256]);
/* zstd's codes for these lengths: values[s] holds lengths[s] bits. */
void ebb_huffman_codes(const uint8_t lengths[256], unsigned longest, uint16_t values[256]);
/* The description of the lengths (RFC 8878, 4.2.1), at most 128 bytes; 0 when it cannot be given.
 */
size_t ebb_huffman_weights(const uint8_t lengths[256], unsigned longest, uint8_t out[132]);

#endif
