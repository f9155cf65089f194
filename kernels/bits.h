/* A string of bits, the first in the lowest bit of the first byte. */
#ifndef EBB_KERNELS_BITS_H
#define EBB_KERNELS_BITS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What a writer needs past the last whole byte, and a reader may touch past the last one. */
#define EBB_BITS_SLACK       8
#define EBB_BITS_BYTES(bits) (((bits) + 7) / 8)

struct ebb_bit_writer {
    uint8_t *out;
    uint64_t held;
    unsigned count; /* of bits held: at most seven between calls */
};

/* At most 56 bits; value has none above them. Eight bytes are touched at out. */
static inline void ebb_bits_put(struct ebb_bit_writer *w, uint64_t value, unsigned bits)
{
    w->held |= value << (w->count & 7);
    w->count += bits;
    memcpy(w->out, &w->held, 8);
    w->out += w->count >> 3;
    w->held >>= w->count & 56;
    w->count &= 7;
}

/* Any number of bits up to 64. */
static inline void ebb_bits_put_long(struct ebb_bit_writer *w, uint64_t value, unsigned bits)
{
    if (bits > 32) {
        ebb_bits_put(w, value & UINT32_MAX, 32);
        value >>= 32;
        bits -= 32;
    }
    ebb_bits_put(w, value, bits);
}

/* The end of the string: what is held is padded with zeros. */
static inline uint8_t *ebb_bits_end(struct ebb_bit_writer *w)
{
    if (w->count > 0)
        *w->out++ = (uint8_t)w->held;
    w->count = 0;
    return w->out;
}

/* The eight bytes from bit `at` on, of which at least 57 bits are valid; the bytes must be there.
 */
static inline uint64_t ebb_bits_peek(const uint8_t *in, uint64_t at)
{
    uint64_t word;
    memcpy(&word, in + (at >> 3), 8);
    return word >> (at & 7);
}

static inline uint64_t ebb_bits_low(uint64_t word, unsigned bits) /* bits < 64 */
{
    return word & ((UINT64_C(1) << bits) - 1);
}

static inline uint64_t ebb_bits_get_long(const uint8_t *in, uint64_t at, unsigned bits)
{
    if (bits <= 32)
        return ebb_bits_low(ebb_bits_peek(in, at), bits);
    return ebb_bits_low(ebb_bits_peek(in, at), 32) |
           ebb_bits_low(ebb_bits_peek(in, at + 32), bits - 32) << 32;
}

#endif
