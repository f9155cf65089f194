/* Tiles: 256 numbers and what they become, a head of 16 bits and up to 256 words. A tile's numbers
 * lie in blocks of 32; the last tile of a run has as many blocks as it needs, its last one filled
 * up with zeros.
 *
 *     head   bits 0 to 5: k, low bits of each number; bits 6 to 13: u, words of unary code; zeros
 *     words  for each block k planes (bits.h), plane b with bit b of number i at its bit i; then u
 *            words: of each number in turn its part above the low bits, as many zeros, then a one
 *
 * In turn: the first number of each block, the second of each, and so on, so that a lane of a warp
 * has its own one after another. u = 0: the numbers have no more than k bits. This is Golomb's code
 * with Rice's divisors (Golomb 1966, Rice 1979); of numbers about as wide as a normal spread makes
 * them it needs two tenths of a bit more than their entropy. Shared with the device. */
#ifndef EBB_KERNELS_TRAJECTORY_TILES_H
#define EBB_KERNELS_TRAJECTORY_TILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/device.h"

#define EBB_TILE_NUMBERS 256
#define EBB_TILE_BLOCKS  8
#define EBB_TILE_WORDS   256 /* at most: eight blocks of 32 planes */

/* A number's part in the sum that the low bits are chosen by, and its most unary zeros: what is
 * larger never pays, and so sums of 256 fit into 32 bits. */
#define EBB_TILE_SUM_LIMIT   (1u << 23)
#define EBB_TILE_ZEROS_LIMIT (1u << 13)

EBB_HD uint64_t ebb_tiles_of(uint64_t numbers)
{
    return (numbers + EBB_TILE_NUMBERS - 1) / EBB_TILE_NUMBERS;
}

/* Blocks of a run's tile. */
EBB_HD uint32_t ebb_tile_blocks(uint64_t numbers, uint64_t tile)
{
    const uint64_t left = numbers - tile * EBB_TILE_NUMBERS;
    return left >= EBB_TILE_NUMBERS ? EBB_TILE_BLOCKS : (uint32_t)(left + 31) / 32;
}

EBB_HD uint32_t ebb_tile_head(uint32_t low_bits, uint32_t unary_words)
{
    return low_bits | unary_words << 6;
}
EBB_HD uint32_t ebb_tile_low_bits(uint32_t head)
{
    return head & 63;
}
EBB_HD uint32_t ebb_tile_unary_words(uint32_t head)
{
    return head >> 6 & 255;
}
EBB_HD uint32_t ebb_tile_head_at(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8;
}
/* Words of a tile; of a head that is none, 0. */
EBB_HD uint32_t ebb_tile_words(uint32_t head, uint32_t blocks)
{
    const uint32_t words = ebb_tile_low_bits(head) * blocks + ebb_tile_unary_words(head);
    return head < 1u << 14 && words <= 32 * blocks ? words : 0;
}
EBB_HD bool ebb_tile_is_head(uint32_t head, uint32_t blocks)
{
    return head == 0 || ebb_tile_words(head, blocks) > 0;
}

/* The low bits to be tried: one fewer than this, these, one more. `sum`: of the tile's numbers,
 * each at most EBB_TILE_SUM_LIMIT. Half the mean to the mean is best for a normal spread (the
 * expected cost, k + 2^-k mean, is the same at both ends). */
EBB_HD uint32_t ebb_tile_guess(uint32_t sum, uint32_t blocks)
{
    uint32_t mean = sum / 32 / blocks, k = 0;
    for (uint32_t by = 16; by > 0; by /= 2) {
        const uint32_t more = mean >> by > 0 ? by : 0;
        mean >>= more;
        k += more;
    }
    return k;
}

/* The head of a tile whose widest number has `width` bits, and whose parts above guess - 1, guess
 * and guess + 1 bits add up to `zeros` (each at most EBB_TILE_ZEROS_LIMIT). */
EBB_HD uint32_t ebb_tile_choose(uint32_t width, uint32_t guess, const uint32_t zeros[3],
                                uint32_t blocks)
{
    uint32_t head = ebb_tile_head(width, 0), least = width * blocks;
    for (uint32_t c = guess == 0; c < 3; c++) {
        const uint32_t k = guess + c - 1, unary = (zeros[c] + 32 * blocks + 31) / 32;
        if (k * blocks + unary < least) {
            least = k * blocks + unary;
            head = ebb_tile_head(k, unary);
        }
    }
    return head;
}

/* values[32 * blocks] to at most 32 * blocks words at `out` (4 bytes each). Returns the head. */
uint32_t ebb_tile_pack(const uint32_t *values, uint32_t blocks, uint8_t *out);
/* The words of `head`, which is one, to values[32 * blocks]. False where the unary code has not one
 * end for each number: of numbers without an end the part above the low bits is 0, ends too many
 * count as nothing. */
bool ebb_tile_unpack(const uint8_t *in, uint32_t head, uint32_t blocks, uint32_t *values);

/* A run of numbers: heads[2 * ebb_tiles_of(count)], and at most EBB_TILE_WORDS words for each tile.
 * Returns the bytes of the words. */
size_t ebb_tiles_pack(const uint32_t *run, size_t count, uint8_t *heads, uint8_t *words);
/* Bytes of the words of a run, or SIZE_MAX where a head is none. */
size_t ebb_tiles_bytes(const uint8_t *heads, size_t count);
/* Whether the unary code of each tile has one end for each number; heads and words are there. */
bool ebb_tiles_are_whole(const uint8_t *heads, const uint8_t *words, size_t count);
/* Heads and words that are there; false as in ebb_tile_unpack. */
bool ebb_tiles_unpack(const uint8_t *heads, const uint8_t *words, size_t count, uint32_t *run);

#endif
