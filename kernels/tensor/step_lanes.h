/* The loops of the method of steps over a run of elements of one row. Inside step.c alone. */
#ifndef EBB_KERNELS_TENSOR_STEP_LANES_H
#define EBB_KERNELS_TENSOR_STEP_LANES_H

#include "kernels/bits.h"
#include "kernels/tensor/step.h"
#include "kernels/tensor/step_float.h"

/* How far off an element is expected to be, in half octaves of its own units from 2^-3 on, is a
 * class. Of classes below NORMAL all bits are symbols; from there on a symbol is 2^low units, so
 * that two classes in turn do for all; where the unit is as large as the element, classes go on. */
#define NORMAL       10
#define CLASSES_LAST 8

/* One piece's arrays. */
struct step_piece {
    int32_t *expected;               /* ordered */
    uint8_t *low, *context, *symbol; /* low: the number of low bits */
    uint32_t *bits;                  /* those bits */
};

INLINE int32_t step_low_most(enum ebb_dtype dtype)
{
    return (int32_t)step_fraction(dtype) - 2;
}

/* What the model makes of a run of n elements from column `first` on of a row. */
struct step_run {
    const uint8_t *base;
    size_t n;
    float keep, scale;
    unsigned rank;
    float u[EBB_STEP_RANK];
    const float *v; /* from `first` on, components `stride` apart */
    size_t stride;
    int32_t row; /* with the origin */
    const uint8_t *column;
};

INLINE void expect_block(const struct step_run *r, size_t at, size_t n, enum ebb_dtype dtype,
                         int32_t *restrict expected)
{
    float p[EBB_STEP_BLOCK];
    ebb_v16 sum[EBB_STEP_BLOCK / 16] = {{0}};
    for (unsigned k = 0; k < r->rank; k++) {
        const float *v = r->v + k * r->stride + at;
        float u = r->u[k];
        for (unsigned b = 0; b < EBB_STEP_BLOCK / 16; b++)
            sum[b] += u * *(const ebb_v16_anywhere *)(v + 16 * b);
    }
    memcpy(p, sum, sizeof p);
    const uint8_t *base = r->base + at * (step_width(dtype) / 8);
    float keep = r->keep, scale = r->scale;
    for (size_t j = 0; j < n; j++) {
        uint32_t w = step_load(base + j * (step_width(dtype) / 8), dtype);
        float x = step_to_float(w, dtype) * keep + p[j] * scale;
        uint32_t e = step_from_float(x, dtype);
        expected[j] = step_order(step_special(w, dtype) ? w : e, dtype);
    }
}

INLINE void expect_any(const struct step_run *r, enum ebb_dtype dtype, int32_t *expected)
{
    for (size_t at = 0; at < r->n; at += EBB_STEP_BLOCK)
        expect_block(r, at, r->n - at < EBB_STEP_BLOCK ? r->n - at : EBB_STEP_BLOCK, dtype,
                     expected + at);
}

INLINE void classify_any(const struct step_run *r, enum ebb_dtype dtype, int32_t first,
                         int32_t last, const int32_t *restrict expected, uint8_t *restrict low,
                         uint8_t *restrict context)
{
    const uint8_t *column = r->column;
    int32_t row = r->row, most = step_low_most(dtype);
    int32_t top = NORMAL + 2 * most + 1 + CLASSES_LAST;
    for (size_t j = 0; j < r->n; j++) {
        int32_t log = row + column[j] - EBB_STEP_LOGS * step_exponent(expected[j], dtype);
        int32_t class = log >> 1;
        class = class < 0 ? 0 : class > top ? top : class;
        int32_t bits = (class - NORMAL) >> 1;
        bits = bits < 0 ? 0 : bits > most ? most : bits;
        int32_t c = class - 2 * bits;
        c = c < first ? first : c > last ? last : c;
        low[j] = (uint8_t)bits;
        context[j] = (uint8_t)(c - first);
    }
}

INLINE void part_any(const uint8_t *restrict data, size_t n, enum ebb_dtype dtype,
                     const int32_t *restrict expected, const uint8_t *restrict low,
                     uint8_t *restrict symbol, uint32_t *restrict bits)
{
    for (size_t j = 0; j < n; j++) {
        int32_t x = step_order(step_load(data + j * (step_width(dtype) / 8), dtype), dtype);
        int32_t d = (int32_t)((uint32_t)x - (uint32_t)expected[j]), t = d >> low[j];
        symbol[j] = (uint8_t)(t >= -127 && t <= 127 ? t + 128 : 0);
        bits[j] = (uint32_t)d & ((1U << low[j]) - 1);
    }
}

INLINE void join_any(const uint8_t *restrict symbol, const uint32_t *restrict bits,
                     const uint8_t *restrict low, const int32_t *restrict expected, size_t n,
                     enum ebb_dtype dtype, uint8_t *restrict out)
{
    for (size_t j = 0; j < n; j++) {
        uint32_t d = ((uint32_t)symbol[j] - 128) << low[j] | bits[j];
        uint32_t w = step_order_back((int32_t)((uint32_t)expected[j] + d), dtype);
        uint16_t half = (uint16_t)w;
        if (dtype == EBB_DTYPE_F32)
            memcpy(out + 4 * j, &w, sizeof w);
        else
            memcpy(out + 2 * j, &half, sizeof half);
    }
}

/* Logarithms of the distance in quarter octaves, as if the exponent were 0; the least is about -8.
 * Returns their sum. */
INLINE int64_t logs_any(const uint8_t *restrict data, size_t n, enum ebb_dtype dtype,
                        const int32_t *restrict expected, int32_t *restrict logs)
{
    int64_t sum = 0;
    for (size_t j = 0; j < n; j++) {
        int32_t x = step_order(step_load(data + j * (step_width(dtype) / 8), dtype), dtype);
        int32_t d = (int32_t)((uint32_t)x - (uint32_t)expected[j]);
        float size = __builtin_fabsf((float)d) + 0.25F;
        logs[j] = (int32_t)(step_float_to_bits(size) >> 21) - 127 * EBB_STEP_LOGS +
                  EBB_STEP_LOGS * step_exponent(expected[j], dtype);
        sum += logs[j];
    }
    return sum;
}

/* So many elements' low bits go into one word: 56 bits at most. */
INLINE unsigned step_group(enum ebb_dtype dtype)
{
    return dtype == EBB_DTYPE_F32 ? 2 : 4;
}

INLINE void put_any(const uint32_t *restrict bits, const uint8_t *restrict low, size_t n,
                    enum ebb_dtype dtype, struct ebb_bit_writer *writer)
{
    struct ebb_bit_writer w = *writer;
    size_t i = 0;
    for (; i + step_group(dtype) <= n; i += step_group(dtype)) {
        uint64_t word = 0;
        unsigned count = 0;
        for (unsigned k = 0; k < step_group(dtype); k++) {
            word |= (uint64_t)bits[i + k] << count;
            count += low[i + k];
        }
        ebb_bits_put(&w, word, count);
    }
    for (; i < n; i++)
        ebb_bits_put(&w, bits[i], low[i]);
    *writer = w;
}

/* From bit `at` on; returns the bit after the last. Past `end` nothing is read and it is returned
 * that there were more. */
INLINE uint64_t get_any(const uint8_t *in, uint64_t at, uint64_t end, const uint8_t *restrict low,
                        size_t n, enum ebb_dtype dtype, uint32_t *restrict bits)
{
    uint32_t sum = 0;
    size_t i = 0;
    for (size_t k = 0; k < n; k++)
        sum += low[k];
    if (sum > end - at)
        return end + 1;
    for (; i + step_group(dtype) <= n; i += step_group(dtype)) {
        uint64_t word = ebb_bits_peek(in, at);
        for (unsigned k = 0; k < step_group(dtype); k++) {
            bits[i + k] = (uint32_t)ebb_bits_low(word, low[i + k]);
            word >>= low[i + k];
            at += low[i + k];
        }
    }
    for (; i < n; i++) {
        bits[i] = (uint32_t)ebb_bits_low(ebb_bits_peek(in, at), low[i]);
        at += low[i];
    }
    return at;
}

#endif
