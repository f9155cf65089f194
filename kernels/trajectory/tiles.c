/* Tiles in plain C: the reference for the device. */
#include "kernels/trajectory/tiles.h"

#include <string.h>

#include "kernels/trajectory/bits.h"
#include "kernels/trajectory/levels.h"

void ebb_traj_tile_sum(const uint32_t *values, size_t n, uint32_t *ret_sum, uint32_t *ret_any);
void ebb_traj_tile_zeros(const uint32_t *values, size_t n, uint32_t low_bits, uint32_t *ret);

static inline EBB_BODY void tile_sum_body(const uint32_t *values, size_t n, uint32_t *ret_sum,
                                          uint32_t *ret_any)
{
    uint32_t sum = 0, any = 0;
    for (size_t i = 0; i < n; i++) {
        sum += values[i] < EBB_TILE_SUM_LIMIT ? values[i] : EBB_TILE_SUM_LIMIT;
        any |= values[i];
    }
    *ret_sum = sum;
    *ret_any = any;
}
EBB_LEVELS(tile_sum, (const uint32_t *values, size_t n, uint32_t *ret_sum, uint32_t *ret_any),
           (values, n, ret_sum, ret_any))

static inline EBB_BODY void tile_zeros_body(const uint32_t *values, size_t n, uint32_t low_bits,
                                            uint32_t *ret)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t zeros = values[i] >> low_bits;
        sum += zeros < EBB_TILE_ZEROS_LIMIT ? zeros : EBB_TILE_ZEROS_LIMIT;
    }
    *ret = sum;
}
EBB_LEVELS(tile_zeros, (const uint32_t *values, size_t n, uint32_t low_bits, uint32_t *ret),
           (values, n, low_bits, ret))

static uint32_t head_of(const uint32_t *values, uint32_t blocks)
{
    uint32_t sum, any, zeros[3] = {0};
    ebb_traj_tile_sum(values, 32 * (size_t)blocks, &sum, &any);
    const uint32_t guess = ebb_tile_guess(sum, blocks),
                   width = any == 0 ? 0 : 32 - (uint32_t)__builtin_clz(any);
    for (uint32_t c = guess == 0; c < 3; c++)
        ebb_traj_tile_zeros(values, 32 * (size_t)blocks, guess + c - 1, &zeros[c]);
    return ebb_tile_choose(width, guess, zeros, blocks);
}

static void store64(uint8_t *out, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t load64(const uint8_t *in, size_t len)
{
    uint64_t v = 0;
    for (size_t i = 0; i < len && i < 8; i++)
        v |= (uint64_t)in[i] << (8 * i);
    return v;
}

/* Only the ones are set. */
static void put_unary(const uint32_t *values, uint32_t low_bits, uint32_t blocks, uint8_t *out,
                      uint32_t words)
{
    uint8_t room[4 * EBB_TILE_WORDS + 8] = {0};
    uint64_t held = 0;
    size_t at = 0; /* bit; held: those from the last multiple of 64 on */
    for (uint32_t lane = 0; lane < 32; lane++) {
        for (uint32_t block = 0; block < blocks; block++) {
            const size_t end = at + (values[32 * block + lane] >> low_bits);
            if (end / 64 != at / 64) {
                store64(room + at / 64 * 8, held);
                held = 0;
            }
            held |= UINT64_C(1) << end % 64;
            at = end + 1;
            if (at % 64 == 0) {
                store64(room + end / 64 * 8, held);
                held = 0;
            }
        }
    }
    if (at % 64 != 0)
        store64(room + at / 64 * 8, held);
    memcpy(out, room, 4 * (size_t)words);
}

uint32_t ebb_tile_pack(const uint32_t *values, uint32_t blocks, uint8_t *out)
{
    const uint32_t head = head_of(values, blocks), low_bits = ebb_tile_low_bits(head),
                   unary = ebb_tile_unary_words(head);
    ebb_traj_pack_planes(values, blocks, low_bits, out);
    if (unary > 0)
        put_unary(values, low_bits, blocks, out + 4 * (size_t)low_bits * blocks, unary);
    return head;
}

bool ebb_tile_unpack(const uint8_t *in, uint32_t head, uint32_t blocks, uint32_t *values)
{
    const uint32_t low_bits = ebb_tile_low_bits(head), numbers = 32 * blocks;
    const size_t unary = 4 * (size_t)ebb_tile_unary_words(head);
    ebb_traj_unpack_planes(in, blocks, low_bits, values);
    if (unary == 0)
        return true;
    in += 4 * (size_t)low_bits * blocks;
    uint32_t ends = 0, lane = 0, block = 0;
    uint64_t next = 0; /* the bit after the last end */
    for (size_t at = 0; at < unary; at += 8) {
        uint64_t word = load64(in + at, unary - at);
        for (; word != 0 && ends < numbers; word &= word - 1, ends++) {
            const uint64_t end = 8 * at + (uint64_t)__builtin_ctzll(word);
            values[32 * block + lane] |= (uint32_t)(end - next) << low_bits;
            next = end + 1;
            if (++block == blocks) {
                block = 0;
                lane++;
            }
        }
        if (word != 0)
            return false;
    }
    return ends == numbers;
}

size_t ebb_tiles_pack(const uint32_t *run, size_t count, uint8_t *heads, uint8_t *words)
{
    uint8_t *out = words;
    for (size_t at = 0; at < count; at += EBB_TILE_NUMBERS, heads += 2) {
        const uint32_t blocks = ebb_tile_blocks(count, at / EBB_TILE_NUMBERS);
        uint32_t room[EBB_TILE_NUMBERS] = {0};
        const bool whole = count - at >= EBB_TILE_NUMBERS;
        if (!whole)
            memcpy(room, run + at, (count - at) * sizeof *room);
        const uint32_t head = ebb_tile_pack(whole ? run + at : room, blocks, out);
        heads[0] = (uint8_t)head;
        heads[1] = (uint8_t)(head >> 8);
        out += 4 * (size_t)ebb_tile_words(head, blocks);
    }
    return (size_t)(out - words);
}

size_t ebb_tiles_bytes(const uint8_t *heads, size_t count)
{
    size_t words = 0;
    for (size_t tile = 0; tile < ebb_tiles_of(count); tile++) {
        const uint32_t head = ebb_tile_head_at(heads + 2 * tile),
                       blocks = ebb_tile_blocks(count, tile);
        if (!ebb_tile_is_head(head, blocks))
            return SIZE_MAX;
        words += ebb_tile_words(head, blocks);
    }
    return 4 * words;
}

bool ebb_tiles_are_whole(const uint8_t *heads, const uint8_t *words, size_t count)
{
    for (size_t tile = 0; tile < ebb_tiles_of(count); tile++) {
        const uint32_t head = ebb_tile_head_at(heads + 2 * tile),
                       blocks = ebb_tile_blocks(count, tile);
        const uint8_t *end = words + 4 * (size_t)ebb_tile_words(head, blocks);
        uint32_t ends = 0;
        for (words = end - 4 * (size_t)ebb_tile_unary_words(head); words < end; words += 4)
            ends += (uint32_t)__builtin_popcountll(load64(words, 4));
        if (ebb_tile_unary_words(head) > 0 && ends != 32 * blocks)
            return false;
    }
    return true;
}

bool ebb_tiles_unpack(const uint8_t *heads, const uint8_t *words, size_t count, uint32_t *run)
{
    bool good = true;
    for (size_t at = 0; at < count; at += EBB_TILE_NUMBERS, heads += 2) {
        const uint32_t head = ebb_tile_head_at(heads),
                       blocks = ebb_tile_blocks(count, at / EBB_TILE_NUMBERS);
        uint32_t room[EBB_TILE_NUMBERS];
        const bool whole = count - at >= EBB_TILE_NUMBERS;
        good &= ebb_tile_unpack(words, head, blocks, whole ? run + at : room);
        if (!whole)
            memcpy(run + at, room, (count - at) * sizeof *room);
        words += 4 * (size_t)ebb_tile_words(head, blocks);
    }
    return good;
}
