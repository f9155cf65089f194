/* Elements of 32 and 16 bits as floats and back, in loops that are made SIMD: single precision, to
 * nearest, ties to even. Inside kernels/tensor/ only. */
#ifndef EBB_KERNELS_TENSOR_STEP_FLOAT_H
#define EBB_KERNELS_TENSOR_STEP_FLOAT_H

#include <stdint.h>
#include <string.h>

#include "base/dtype.h"

#define INLINE static inline __attribute__((always_inline))

/* Sixteen lanes, whatever the machine's vectors are; the second may lie anywhere. */
typedef float ebb_v16 __attribute__((vector_size(64)));
typedef float ebb_v16_anywhere __attribute__((vector_size(64), aligned(4), may_alias));

INLINE float step_bits_to_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

INLINE uint32_t step_float_to_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

INLINE uint32_t step_load(const uint8_t *at, enum ebb_dtype dtype)
{
    uint32_t w;
    uint16_t half;
    if (dtype == EBB_DTYPE_F32) {
        memcpy(&w, at, sizeof w);
        return w;
    }
    memcpy(&half, at, sizeof half);
    return half;
}

INLINE unsigned step_fraction(enum ebb_dtype dtype)
{
    return dtype == EBB_DTYPE_F32 ? 23 : dtype == EBB_DTYPE_BF16 ? 7 : 10;
}

INLINE unsigned step_width(enum ebb_dtype dtype)
{
    return dtype == EBB_DTYPE_F32 ? 32 : 16;
}

/* Of 16-bit floats NaN and infinities come out as some number or other: they are not asked for. */
INLINE float step_to_float(uint32_t w, enum ebb_dtype dtype)
{
    if (dtype == EBB_DTYPE_F32)
        return step_bits_to_float(w);
    if (dtype == EBB_DTYPE_BF16)
        return step_bits_to_float(w << 16);
    return step_bits_to_float((w & 0x8000) << 16 | (w & 0x7fff) << 13) * 0x1p112F;
}

/* x is no NaN; what is too large becomes infinity. */
INLINE uint32_t step_from_float(float x, enum ebb_dtype dtype)
{
    uint32_t bits = step_float_to_bits(x);
    if (dtype == EBB_DTYPE_F32)
        return bits;
    if (dtype == EBB_DTYPE_BF16)
        return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    uint32_t sign = bits >> 16 & 0x8000;
    uint32_t m = step_float_to_bits(step_bits_to_float(bits & 0x7fffffff) * 0x1p-112F);
    m = (m + 0xfff + (m >> 13 & 1)) >> 13;
    return sign | (m > 0x7c00 ? 0x7c00 : m);
}

/* As whole numbers that grow with the float: -0 stands just below +0. */
INLINE int32_t step_order(uint32_t w, enum ebb_dtype dtype)
{
    unsigned top = step_width(dtype) - 1;
    int32_t magnitude = (int32_t)(w & ((1U << top) - 1));
    return magnitude ^ -(int32_t)(w >> top);
}

INLINE uint32_t step_order_back(int32_t v, enum ebb_dtype dtype)
{
    unsigned top = step_width(dtype) - 1;
    uint32_t negative = (uint32_t)(v >> 31);
    return (((uint32_t)v ^ negative) & ((1U << top) - 1)) | (negative & 1U << top);
}

/* The exponent of an ordered number; that of denormals is 1. */
INLINE int32_t step_exponent(int32_t ordered, enum ebb_dtype dtype)
{
    int32_t e = (ordered ^ ordered >> 31) >> step_fraction(dtype);
    return e < 1 ? 1 : e;
}

/* True of infinities and NaN. */
INLINE int step_special(uint32_t w, enum ebb_dtype dtype)
{
    uint32_t top = (1U << (step_width(dtype) - 1 - step_fraction(dtype))) - 1;
    return (w >> step_fraction(dtype) & top) == top;
}

#endif
