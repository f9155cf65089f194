/* LEB128: seven bits a byte, the lowest first, the high bit set on all but the last. */
#ifndef EBB_KERNELS_VARINT_H
#define EBB_KERNELS_VARINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EBB_VARINT_MAX 10

/* Returns the bytes written. */
static inline size_t ebb_varint_put(uint8_t *out, uint64_t value)
{
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        out[n++] = (uint8_t)(value | 0x80);
    out[n++] = (uint8_t)value;
    return n;
}

/* Reads at in[*at] and moves *at on; false when the bytes end or the value does not fit. */
static inline bool ebb_varint_get(const uint8_t *in, size_t len, size_t *at, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned shift = 0; *at < len && shift < 64; shift += 7) {
        uint8_t byte = in[(*at)++];
        if (shift == 63 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = value;
            return true;
        }
    }
    return false;
}

/* Small integers of either sign as small ones of none: 0, -1, 1, -2, ... */
static inline uint64_t ebb_zigzag(int64_t x)
{
    return (uint64_t)x << 1 ^ (uint64_t)(x >> 63);
}

static inline int64_t ebb_zigzag_back(uint64_t x)
{
    return (int64_t)(x >> 1) ^ -(int64_t)(x & 1);
}

#endif
