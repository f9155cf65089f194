/* The numbers of a tile to words and back, each a warp's work (kernels/trajectory/tiles.h has the
 * layout): low bits as planes, turned by exchanges between lanes; the rest in unary code.
 *
 * All 32 lanes call, with the same arguments but `lane`. A tile has `blocks` times 32 numbers, at
 * most EBB_TILE_NUMBERS, in memory that the warp alone uses. */
#ifndef EBB_KERNELS_CUDA_TILE_WORDS_H
#define EBB_KERNELS_CUDA_TILE_WORDS_H

#include "kernels/cuda/launch.h"
#include "kernels/trajectory/tiles.h"

namespace ebb_tile_warp
{
enum : uint32_t { EVERY_LANE = 0xffffffffu };

/* A lane's part in turning 32 words by 32 bits: halves, bytes, and then fours, twos and ones of
 * bits change places with the lane that differs in that bit; which of its own it keeps. */
struct turn {
    uint32_t half, byte, by[3], keep[3];
};

static __device__ __forceinline__ struct turn turn_of(uint32_t lane)
{
    struct turn t;
    t.half = (lane & 16) == 0 ? 0x5410u : 0x3276u;
    t.byte = (lane & 8) == 0 ? 0x6240u : 0x3715u;
#pragma unroll
    for (uint32_t i = 0, by = 4; i < 3; i++, by /= 2) {
        const uint32_t low = by == 4 ? 0x0f0f0f0fu : by == 2 ? 0x33333333u : 0x55555555u;
        t.by[i] = (lane & by) == 0 ? by : 32 - by;
        t.keep[i] = (lane & by) == 0 ? low : ~low;
    }
    return t;
}

/* Bit b of lane i's word becomes bit i of lane b's. */
static __device__ __forceinline__ uint32_t transposed(uint32_t word, const struct turn &t)
{
    word = __byte_perm(word, __shfl_xor_sync(EVERY_LANE, word, 16), t.half);
    word = __byte_perm(word, __shfl_xor_sync(EVERY_LANE, word, 8), t.byte);
#pragma unroll
    for (uint32_t i = 0; i < 3; i++) {
        const uint32_t other = __shfl_xor_sync(EVERY_LANE, word, 4 >> i);
        word = (word & t.keep[i]) | (__funnelshift_l(other, other, t.by[i]) & ~t.keep[i]);
    }
    return word;
}

/* Sum over the lanes before this one. */
static __device__ __forceinline__ uint32_t sum_before(uint32_t own, uint32_t lane)
{
    uint32_t sum = own;
    for (uint32_t by = 1; by < 32; by *= 2) {
        const uint32_t more = __shfl_up_sync(EVERY_LANE, sum, by);
        sum += lane >= by ? more : 0;
    }
    return sum - own;
}

/* The head of the tile of which this lane has v[r], number 32 r + lane. */
static __device__ __forceinline__ uint32_t head_of_tile(const uint32_t v[EBB_TILE_BLOCKS],
                                                        uint32_t blocks)
{
    uint32_t sum = 0, any = 0, zeros[3];
#pragma unroll
    for (uint32_t r = 0; r < EBB_TILE_BLOCKS; r++) {
        sum += min(v[r], EBB_TILE_SUM_LIMIT);
        any |= v[r];
    }
    sum = __reduce_add_sync(EVERY_LANE, sum);
    any = __reduce_or_sync(EVERY_LANE, any);
    const uint32_t guess = ebb_tile_guess(sum, blocks), least = guess > 0 ? guess - 1 : 0;
#pragma unroll
    for (uint32_t c = 0; c < 3; c++) {
        uint32_t own = 0;
#pragma unroll
        for (uint32_t r = 0; r < EBB_TILE_BLOCKS; r++)
            own += min(v[r] >> (least + c), EBB_TILE_ZEROS_LIMIT);
        zeros[c] = __reduce_add_sync(EVERY_LANE, own);
    }
    if (guess == 0) { /* there is no k one smaller: what stands first is for guess itself */
        zeros[2] = zeros[1];
        zeros[1] = zeros[0];
    }
    return ebb_tile_choose(32 - (uint32_t)__clz((int)any), guess, zeros, blocks);
}

/* The tile's numbers to its words, in their place: a warp's work. Returns the head. */
static __device__ __forceinline__ uint32_t pack(uint32_t *tile, uint32_t blocks, uint32_t lane)
{
    uint32_t v[EBB_TILE_BLOCKS];
#pragma unroll
    for (uint32_t r = 0; r < EBB_TILE_BLOCKS; r++)
        v[r] = r < blocks ? tile[32 * r + lane] : 0;
    const uint32_t head = head_of_tile(v, blocks), low_bits = ebb_tile_low_bits(head),
                   unary = ebb_tile_unary_words(head), planes = low_bits * blocks;
    __syncwarp(); /* every lane has its numbers */
    for (uint32_t i = lane; i < unary; i += 32)
        tile[planes + i] = 0;
    const struct turn turn = turn_of(lane);
#pragma unroll
    for (uint32_t r = 0; r < EBB_TILE_BLOCKS; r++) {
        const uint32_t word = transposed(v[r], turn);
        if (r < blocks && lane < low_bits)
            tile[r * low_bits + lane] = word;
    }
    if (unary == 0)
        return head;
    uint32_t bits = blocks;
#pragma unroll
    for (uint32_t r = 0; r < EBB_TILE_BLOCKS; r++)
        bits += v[r] >> low_bits;
    uint32_t end = sum_before(bits, lane);
    __syncwarp(); /* the words are zero */
#pragma unroll
    for (uint32_t r = 0; r < EBB_TILE_BLOCKS; r++) {
        if (r >= blocks)
            continue;
        end += v[r] >> low_bits;
        atomicOr(&tile[planes + end / 32], 1u << end % 32);
        end++;
    }
    return head;
}

/* A tile's words; a damaged piece has fewer of them, and those count as zero. */
struct words {
    const uint32_t *at;
    uint32_t there;
};

static __device__ __forceinline__ struct words words_of(const uint32_t *words, uint64_t count,
                                                        uint64_t from)
{
    struct words w;
    w.at = words + from;
    w.there = from >= count                   ? 0
              : count - from < EBB_TILE_WORDS ? (uint32_t)(count - from)
                                              : (uint32_t)EBB_TILE_WORDS;
    return w;
}

static __device__ __forceinline__ uint32_t word_at(const struct words &w, uint32_t i)
{
    return i < w.there ? w.at[i] : 0;
}

/* Where each number's unary code ends, plus one, to ends[0..32 blocks): 0 where there is none. */
static __device__ __forceinline__ void find_ends(const struct words &w, uint32_t from,
                                                 uint32_t unary, uint32_t blocks, uint32_t lane,
                                                 uint32_t *ends)
{
    for (uint32_t r = 0; r < blocks; r++)
        ends[32 * r + lane] = 0;
    __syncwarp();
    uint32_t before = 0;
    for (uint32_t at = 0; at < unary; at += 32) {
        uint32_t word = at + lane < unary ? word_at(w, from + at + lane) : 0;
        const uint32_t own = (uint32_t)__popc(word);
        uint32_t number = before + sum_before(own, lane);
        for (; word != 0 && number < 32 * blocks; word &= word - 1, number++)
            ends[number] = 32 * (at + lane) + (uint32_t)__ffs((int)word);
        before += __reduce_add_sync(EVERY_LANE, own);
    }
    __syncwarp();
}

/* The words of a tile to its numbers: a warp's work. */
static __device__ __forceinline__ void unpack(const struct words &w, uint32_t head, uint32_t blocks,
                                              uint32_t lane, uint32_t *tile)
{
    const struct turn turn = turn_of(lane);
    uint32_t v[EBB_TILE_BLOCKS];
    const uint32_t low_bits = ebb_tile_low_bits(head), unary = ebb_tile_unary_words(head);
#pragma unroll
    for (uint32_t r = 0; r < EBB_TILE_BLOCKS; r++)
        v[r] = r < blocks && lane < low_bits ? word_at(w, r * low_bits + lane) : 0;
#pragma unroll
    for (uint32_t r = 0; r < EBB_TILE_BLOCKS; r++)
        v[r] = transposed(v[r], turn);
    if (unary > 0) {
        find_ends(w, low_bits * blocks, unary, blocks, lane, tile);
        uint32_t before = lane == 0 ? 0 : tile[lane * blocks - 1];
#pragma unroll
        for (uint32_t r = 0; r < EBB_TILE_BLOCKS; r++) {
            if (r >= blocks)
                continue;
            const uint32_t end = tile[lane * blocks + r];
            v[r] |= end == 0 ? 0 : (end - before - 1) << low_bits;
            before = end;
        }
        __syncwarp(); /* the ends are read */
    }
#pragma unroll
    for (uint32_t r = 0; r < EBB_TILE_BLOCKS; r++) {
        if (r < blocks)
            tile[32 * r + lane] = v[r];
    }
}
} // namespace ebb_tile_warp

#endif
