/* Repeatable noise for tests of codecs: xorshift64* (Vigna, 2016). */
#ifndef EBB_TEST_NOISE_H
#define EBB_TEST_NOISE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

static inline uint64_t noise_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static inline double noise_unit(uint64_t *state) /* [0, 1) */
{
    return (double)(noise_next(state) >> 11) * 0x1p-53;
}

static inline double noise_gauss(uint64_t *state)
{
    double u = 1.0 - noise_unit(state), v = noise_unit(state);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

static inline void noise_bytes(uint64_t *state, void *out, size_t len)
{
    uint8_t *bytes = out;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(noise_next(state) >> 56);
}

#endif
