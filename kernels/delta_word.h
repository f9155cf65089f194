/* One element of a difference (kernels/delta.h), for the reference and the device alike. */
#ifndef EBB_KERNELS_DELTA_WORD_H
#define EBB_KERNELS_DELTA_WORD_H

#include <stdint.h>

#include "kernels/device.h"

EBB_HD uint32_t ebb_delta_rotate(uint32_t w, uint32_t bits)
{
    return w << 1 | w >> (bits - 1);
}

EBB_HD uint32_t ebb_delta_rotate_back(uint32_t w, uint32_t bits)
{
    return w >> 1 | w << (bits - 1);
}

EBB_HD uint32_t ebb_delta_order(uint32_t w, uint32_t bits)
{
    uint32_t sign = 1u << (bits - 1);
    return w & sign ? ~w : w | sign;
}

EBB_HD uint32_t ebb_delta_order_back(uint32_t w, uint32_t bits)
{
    uint32_t sign = 1u << (bits - 1);
    return w & sign ? w ^ sign : ~w;
}

/* Bits above `bits` are left as they fall: the caller keeps the low ones. */
EBB_HD uint32_t ebb_delta_word(uint32_t a, uint32_t b, uint32_t bits, int difference)
{
    uint32_t mask = 0xffffffffu >> (32 - bits);
    if (!difference)
        return ebb_delta_rotate((a ^ b) & mask, bits) & mask;
    uint32_t d = (ebb_delta_order(a, bits) - ebb_delta_order(b, bits)) & mask;
    uint32_t negative = d >> (bits - 1) & 1;
    return (d << 1 ^ (0u - negative)) & mask;
}

EBB_HD uint32_t ebb_delta_word_back(uint32_t w, uint32_t b, uint32_t bits, int difference)
{
    uint32_t mask = 0xffffffffu >> (32 - bits);
    if (!difference)
        return (ebb_delta_rotate_back(w, bits) & mask) ^ (b & mask);
    uint32_t d = w >> 1 ^ (0u - (w & 1));
    return ebb_delta_order_back((ebb_delta_order(b, bits) + d) & mask, bits) & mask;
}

#endif
