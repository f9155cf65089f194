/* The code of a block: lengths, values, and their description by weights (RFC 8878, 4.2.1).
 * Integer arithmetic in a fixed order only: the same bytes everywhere. The CUDA kernel includes
 * this very file (kernels/cuda/huffman.cu). */
#include "kernels/huffman.h"

#include <stdbool.h>
#include <string.h>

#include "kernels/device.h"

/* Keys (count << 8 | symbol) upwards: Shell's sort with Ciura's gaps; there are 256 at most. */
EBB_DEVICE static void sort_keys(uint32_t *keys, unsigned n)
{
    const unsigned gaps[] = {132, 57, 23, 10, 4, 1};
    for (unsigned g = 0; g < sizeof gaps / sizeof gaps[0]; g++)
        for (unsigned i = gaps[g]; i < n; i++) {
            uint32_t key = keys[i];
            unsigned at = i;
            for (; at >= gaps[g] && keys[at - gaps[g]] > key; at -= gaps[g])
                keys[at] = keys[at - gaps[g]];
            keys[at] = key;
        }
}

/* How many codes have each length in Huffman's tree, those above the limit counted at the limit.
 * Two queues: leaves in order, inner nodes in the order they are made. */
EBB_DEVICE static void count_lengths(const uint32_t *keys, unsigned n, unsigned at_length[])
{
    uint32_t weight[511];
    uint16_t parent[511];
    uint8_t depth[511];
    for (unsigned i = 0; i < n; i++)
        weight[i] = keys[i] >> 8;
    unsigned leaf = 0, inner = n, made = n, root = 2 * n - 2;
    while (made <= root) {
        uint32_t sum = 0;
        for (unsigned k = 0; k < 2; k++) {
            bool take_leaf = leaf < n && (inner == made || weight[leaf] <= weight[inner]);
            unsigned node = take_leaf ? leaf++ : inner++;
            sum += weight[node];
            parent[node] = (uint16_t)made;
        }
        weight[made++] = sum;
    }
    depth[root] = 0;
    for (unsigned i = root; i-- > 0;) {
        unsigned d = depth[parent[i]] + 1U;
        depth[i] = (uint8_t)d;
        if (i < n)
            at_length[d < EBB_HUFFMAN_MAX_BITS ? d : EBB_HUFFMAN_MAX_BITS]++;
    }
}

/* Kraft's sum back to one. */
EBB_DEVICE static void complete(unsigned at_length[])
{
    unsigned sum = 0;
    for (unsigned d = 1; d <= EBB_HUFFMAN_MAX_BITS; d++)
        sum += at_length[d] << (EBB_HUFFMAN_MAX_BITS - d);
    for (; sum > 1U << EBB_HUFFMAN_MAX_BITS; sum--) {
        unsigned d = EBB_HUFFMAN_MAX_BITS - 1;
        while (at_length[d] == 0)
            d--;
        at_length[EBB_HUFFMAN_MAX_BITS]--;
        at_length[d]--;
        at_length[d + 1] += 2;
    }
}

EBB_DEVICE unsigned ebb_huffman_lengths(const uint32_t counts[256], uint8_t lengths[256])
{
    uint32_t keys[256];
    unsigned at_length[EBB_HUFFMAN_MAX_BITS + 1] = {0};
    unsigned n = 0;
    memset(lengths, 0, 256);
    for (unsigned s = 0; s < 256; s++)
        if (counts[s] > 0)
            keys[n++] = counts[s] << 8 | s;
    sort_keys(keys, n);
    count_lengths(keys, n, at_length);
    complete(at_length);
    unsigned next = 0, longest = 0;
    for (unsigned d = EBB_HUFFMAN_MAX_BITS; d > 0; d--) {
        if (at_length[d] > 0 && longest == 0)
            longest = d;
        for (unsigned k = 0; k < at_length[d]; k++)
            lengths[keys[next++] & 255] = (uint8_t)d;
    }
    return longest;
}

EBB_DEVICE void ebb_huffman_codes(const uint8_t lengths[256], unsigned longest,
                                  uint16_t values[256])
{
    unsigned at_length[EBB_HUFFMAN_MAX_BITS + 1] = {0}, start[EBB_HUFFMAN_MAX_BITS + 1];
    for (unsigned s = 0; s < 256; s++)
        at_length[lengths[s]]++;
    /* The longest codes come first, in units of the longest. */
    unsigned at = 0;
    for (unsigned d = longest; d > 0; d--) {
        start[d] = at >> (longest - d);
        at += at_length[d] << (longest - d);
    }
    for (unsigned s = 0; s < 256; s++)
        values[s] = lengths[s] > 0 ? (uint16_t)start[lengths[s]]++ : 0;
}

#define FSE_LOG  6U
#define FSE_SIZE (1U << FSE_LOG)
#define WEIGHTS  (EBB_HUFFMAN_MAX_BITS + 1U)

struct bits {
    uint8_t *out; /* room for `room` bytes; what does not fit is counted only */
    size_t room, len;
    uint64_t held;
    unsigned count;
};

EBB_DEVICE static void bits_put(struct bits *b, unsigned value, unsigned count)
{
    b->held |= (uint64_t)value << b->count;
    for (b->count += count; b->count >= 8; b->count -= 8, b->held >>= 8) {
        if (b->len < b->room)
            b->out[b->len] = (uint8_t)b->held;
        b->len++;
    }
}

EBB_DEVICE static void bits_flush(struct bits *b)
{
    if (b->count > 0)
        bits_put(b, 0, 8 - b->count);
}

/* Shares of FSE_SIZE: at least one for each weight that occurs, what rounding leaves goes to or
 * comes from the greatest. */
EBB_DEVICE static void normalise(const uint8_t *weights, unsigned n, unsigned share[WEIGHTS])
{
    unsigned count[WEIGHTS] = {0}, sum = 0, most = 0;
    for (unsigned i = 0; i < n; i++)
        count[weights[i]]++;
    for (unsigned w = 0; w < WEIGHTS; w++) {
        share[w] = count[w] * FSE_SIZE / n;
        if (count[w] > 0 && share[w] == 0)
            share[w] = 1;
        sum += share[w];
        if (share[w] > share[most])
            most = w;
    }
    for (; sum > FSE_SIZE; sum--) {
        share[most]--;
        for (unsigned w = 0; w < WEIGHTS; w++)
            if (share[w] > share[most])
                most = w;
    }
    share[most] += FSE_SIZE - sum;
}

/* RFC 8878, 4.1.1. */
EBB_DEVICE static void put_shares(struct bits *b, const unsigned share[WEIGHTS])
{
    unsigned remaining = FSE_SIZE + 1, threshold = FSE_SIZE, width = FSE_LOG + 1;
    bits_put(b, FSE_LOG - 5, 4);
    for (unsigned w = 0; w < WEIGHTS && remaining > 1;) {
        unsigned value = share[w] + 1, low = 2 * threshold - 1 - remaining;
        bool zero = share[w] == 0;
        remaining -= share[w++];
        if (value >= threshold)
            value += low;
        bits_put(b, value, value < low ? width - 1 : width);
        if (zero) {
            unsigned run = 0;
            while (w < WEIGHTS && share[w] == 0) {
                run++;
                w++;
            }
            for (; run >= 3; run -= 3)
                bits_put(b, 3, 2);
            bits_put(b, run, 2);
        }
        while (remaining < threshold) {
            width--;
            threshold >>= 1;
        }
    }
    bits_flush(b);
}

struct slot {
    uint8_t weight, width, base; /* decoding: emit the weight, next slot = base + `width` bits */
};

/* RFC 8878, 4.1.1: the symbols are spread over the slots, then counted up. */
EBB_DEVICE static void spread(const unsigned share[WEIGHTS], struct slot slots[FSE_SIZE])
{
    unsigned at = 0, next[WEIGHTS];
    for (unsigned w = 0; w < WEIGHTS; w++) {
        next[w] = share[w];
        for (unsigned k = 0; k < share[w]; k++) {
            slots[at].weight = (uint8_t)w;
            at = (at + (FSE_SIZE >> 1) + (FSE_SIZE >> 3) + 3) & (FSE_SIZE - 1);
        }
    }
    for (unsigned i = 0; i < FSE_SIZE; i++) {
        unsigned state = next[slots[i].weight]++, width = FSE_LOG;
        while (state >> (FSE_LOG - width) > 1)
            width--;
        slots[i].width = (uint8_t)width;
        slots[i].base = (uint8_t)((state << width) - FSE_SIZE);
    }
}

/* Two states in turn, from the last weight to the first; the decoder goes the other way. */
EBB_DEVICE static void put_states(struct bits *b, const struct slot slots[FSE_SIZE],
                                  const uint8_t *weights, unsigned n)
{
    uint8_t before[WEIGHTS][FSE_SIZE]; /* [weight][slot after it] = the weight's own slot */
    uint8_t first[WEIGHTS];            /* the slot that ends a stream: it asks for most bits */
    for (unsigned i = FSE_SIZE; i-- > 0;) {
        memset(before[slots[i].weight] + slots[i].base, (int)i, 1U << slots[i].width);
        first[slots[i].weight] = (uint8_t)i;
    }
    unsigned state[2] = {0, 0};
    for (unsigned i = n; i-- > 0;) {
        if (n - i <= 2) {
            state[i & 1] = first[weights[i]];
            continue;
        }
        const struct slot *own = &slots[before[weights[i]][state[i & 1]]];
        bits_put(b, state[i & 1] - own->base, own->width);
        state[i & 1] = (unsigned)(own - slots);
    }
    bits_put(b, state[1], FSE_LOG);
    bits_put(b, state[0], FSE_LOG);
    bits_put(b, 1, 1);
    bits_flush(b);
}

EBB_DEVICE size_t ebb_huffman_weights(const uint8_t lengths[256], unsigned longest,
                                      uint8_t out[132])
{
    uint8_t weights[256];
    unsigned n = 255;
    while (lengths[n] == 0)
        n--; /* the last symbol's weight follows from the others' */
    for (unsigned s = 0; s < n; s++)
        weights[s] = lengths[s] > 0 ? (uint8_t)(longest + 1 - lengths[s]) : 0;
    if (n <= 128) {
        out[0] = (uint8_t)(127 + n);
        for (unsigned s = 0; s < n; s += 2)
            out[1 + s / 2] = (uint8_t)(weights[s] << 4 | (s + 1 < n ? weights[s + 1] : 0));
        return 1 + (n + 1) / 2;
    }
    unsigned share[WEIGHTS];
    struct slot slots[FSE_SIZE];
    struct bits b = {out + 1, 127, 0, 0, 0};
    normalise(weights, n, share);
    for (unsigned w = 0; w < WEIGHTS; w++)
        if (share[w] == FSE_SIZE)
            return 0; /* one weight alone: FSE has no such table */
    put_shares(&b, share);
    spread(share, slots);
    put_states(&b, slots, weights, n);
    if (b.len > 127)
        return 0;
    out[0] = (uint8_t)b.len;
    return 1 + b.len;
}
