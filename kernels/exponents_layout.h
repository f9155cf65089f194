/* Where the parts of packed exponents lie (kernels/exponents.h). */
#ifndef EBB_KERNELS_EXPONENTS_LAYOUT_H
#define EBB_KERNELS_EXPONENTS_LAYOUT_H

#include <stdint.h>

#include "kernels/device.h"

#define EBB_EXPONENTS_PER_BLOCK 1024u

struct ebb_exponents_layout {
    uint64_t blocks, most, counts, codes, low, low_pitch, escapes; /* offsets in bytes */
};

EBB_HD uint64_t ebb_exponents_align(uint64_t at)
{
    return (at + 15) / 16 * 16;
}

EBB_HD struct ebb_exponents_layout ebb_exponents_layout(uint64_t elements, uint32_t stride,
                                                        uint32_t bits)
{
    struct ebb_exponents_layout l;
    l.blocks = (elements + EBB_EXPONENTS_PER_BLOCK - 1) / EBB_EXPONENTS_PER_BLOCK;
    l.most = 16;
    l.counts = ebb_exponents_align(l.most + l.blocks);
    l.codes = ebb_exponents_align(l.counts + 2 * l.blocks);
    l.low = l.codes + l.blocks * (EBB_EXPONENTS_PER_BLOCK / 8) * bits;
    l.low_pitch = ebb_exponents_align(elements);
    l.escapes = l.low + l.low_pitch * (stride - 1);
    return l;
}

/* The exponent, and the rest of an element: its sign on top of its fraction. */
EBB_HD uint32_t ebb_exponents_of(uint32_t word, uint32_t stride)
{
    return stride == 2 ? word >> 7 & 255 : word >> 23 & 255;
}

EBB_HD uint32_t ebb_exponents_rest(uint32_t word, uint32_t stride)
{
    return stride == 2 ? (word & 0x7f) | (word >> 8 & 0x80)
                       : (word & 0x7fffff) | (word >> 8 & 0x800000);
}

EBB_HD uint32_t ebb_exponents_join(uint32_t exponent, uint32_t rest, uint32_t stride)
{
    return stride == 2 ? (rest & 0x7f) | exponent << 7 | (rest & 0x80) << 8
                       : (rest & 0x7fffff) | exponent << 23 | (rest & 0x800000) << 8;
}

#endif
