/* The coder in plain C; mixed_simd.c has 32 lanes at once. */
#include "kernels/tensor/mixed.h"

#define LANES EBB_MIXED_LANES

/* A surplus is taken where a unit less costs least, a lack given where a unit more gains most. */
static void settle(const uint32_t counts[256], uint16_t frequency[256], int lack)
{
    for (; lack != 0; lack += lack > 0 ? -1 : 1) {
        int best = -1;
        double best_cost = 0;
        for (int s = 0; s < 256; s++) {
            unsigned f = frequency[s];
            if (f == 0 || (lack < 0 && f == 1))
                continue;
            double cost = lack > 0 ? -(double)counts[s] / (f + 0.5) : (double)counts[s] / (f - 0.5);
            if (best < 0 || cost < best_cost) {
                best = s;
                best_cost = cost;
            }
        }
        frequency[best] = (uint16_t)(frequency[best] + (lack > 0 ? 1 : -1));
    }
}

void ebb_mixed_frequencies(const uint32_t counts[256], uint16_t ret[256])
{
    uint64_t total = 0;
    unsigned used = 0, last = 0;
    int sum = 0;
    for (unsigned s = 0; s < 256; s++) {
        total += counts[s];
        used += counts[s] > 0;
        last = counts[s] > 0 ? s : last;
    }
    for (unsigned s = 0; s < 256; s++)
        ret[s] = 0;
    if (used < 2) {
        ret[last] = EBB_MIXED_TOTAL - 1;
        ret[last ^ 1] = 1;
        return;
    }
    for (unsigned s = 0; s < 256; s++) {
        uint64_t f = ((uint64_t)counts[s] * EBB_MIXED_TOTAL + total / 2) / total;
        ret[s] = (uint16_t)(f == 0 && counts[s] > 0 ? 1 : f);
        sum += ret[s];
    }
    settle(counts, ret, (int)EBB_MIXED_TOTAL - sum);
}

void ebb_mixed_steps(const uint16_t frequency[256], uint32_t ret[256])
{
    uint32_t start = 0;
    for (unsigned s = 0; s < 256; s++) {
        ret[s] = frequency[s] | start << 16;
        start += frequency[s];
    }
}

size_t ebb_mixed_bound(size_t n)
{
    return 2 * n + 4 * LANES + 64;
}

static inline uint32_t push(uint32_t x, uint32_t step, uint8_t **at)
{
    uint32_t f = step & 0xffff;
    if (x >= f << 20) {
        *at -= 2;
        (*at)[0] = (uint8_t)x;
        (*at)[1] = (uint8_t)(x >> 8);
        x >>= 16;
    }
    return (x / f << EBB_MIXED_BITS) + x % f + (step >> 16);
}

uint8_t *ebb_mixed_encode(const uint8_t *symbols, const uint8_t *tables, size_t n,
                          const uint32_t *steps, uint8_t *out, size_t bound)
{
    uint32_t state[LANES];
    uint8_t *at = out + bound;
    for (unsigned l = 0; l < LANES; l++)
        state[l] = EBB_MIXED_LOW;
    size_t i = n;
    for (; i % LANES != 0; i--) {
        uint32_t step = steps[256 * (size_t)tables[i - 1] + symbols[i - 1]];
        state[(i - 1) % LANES] = push(state[(i - 1) % LANES], step, &at);
    }
    if (ebb_mixed_encode_turns(steps, state, symbols, tables, i, &at))
        i = 0;
    for (; i > 0; i--) {
        uint32_t step = steps[256 * (size_t)tables[i - 1] + symbols[i - 1]];
        state[(i - 1) % LANES] = push(state[(i - 1) % LANES], step, &at);
    }
    at -= 4 * LANES;
    for (unsigned l = 0; l < LANES; l++)
        for (unsigned b = 0; b < 4; b++)
            at[4 * l + b] = (uint8_t)(state[l] >> (8 * b));
    return at;
}

bool ebb_mixed_slots(const uint16_t frequency[256], uint32_t ret[EBB_MIXED_TOTAL])
{
    uint32_t at = 0;
    for (uint32_t s = 0; s < 256; s++) {
        uint32_t f = frequency[s];
        if (f > EBB_MIXED_TOTAL - at || f == EBB_MIXED_TOTAL)
            return false;
        for (uint32_t i = 0; i < f; i++)
            ret[at++] = s | f << 8 | i << 20;
    }
    return at == EBB_MIXED_TOTAL;
}

bool ebb_mixed_decoder_init(struct ebb_mixed_decoder *d, const uint8_t *bytes, size_t len)
{
    if (len < 4 * LANES)
        return false;
    d->at = bytes + 4 * LANES;
    d->end = bytes + len;
    for (unsigned l = 0; l < LANES; l++, bytes += 4) {
        d->state[l] = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                      (uint32_t)bytes[3] << 24;
        if (d->state[l] < EBB_MIXED_LOW)
            return false;
    }
    return true;
}

bool ebb_mixed_decode(struct ebb_mixed_decoder *d, const uint32_t *slots, const uint8_t *tables,
                      size_t n, uint8_t *symbols)
{
    size_t i = ebb_mixed_decode_turns(d, slots, tables, n, symbols);
    for (; i < n; i++) {
        uint32_t x = d->state[i % LANES];
        uint32_t slot = slots[((size_t)tables[i] << EBB_MIXED_BITS) + (x & (EBB_MIXED_TOTAL - 1))];
        symbols[i] = (uint8_t)slot;
        x = (slot >> 8 & 0xfff) * (x >> EBB_MIXED_BITS) + (slot >> 20);
        if (x < EBB_MIXED_LOW) {
            if (d->end - d->at < 2)
                return false;
            x = x << 16 | (uint32_t)d->at[0] | (uint32_t)d->at[1] << 8;
            d->at += 2;
        }
        d->state[i % LANES] = x;
    }
    return true;
}

bool ebb_mixed_decoder_done(const struct ebb_mixed_decoder *d)
{
    for (unsigned l = 0; l < LANES; l++)
        if (d->state[l] != EBB_MIXED_LOW)
            return false;
    return d->at == d->end;
}
