/* The reference of differences. */
#include "kernels/delta.h"

#include <assert.h>

#include "kernels/delta_word.h"

static uint32_t load(const uint8_t *at, unsigned stride)
{
    uint32_t w = (uint32_t)at[0] | (uint32_t)at[1] << 8;
    return stride == 4 ? w | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24 : w;
}

void ebb_delta_split(const void *data, const void *base, size_t elements, unsigned stride,
                     enum ebb_delta delta, uint8_t *const planes[])
{
    const uint8_t *a = data, *b = base;
    assert(stride == 2 || stride == 4);
    for (size_t i = 0; i < elements; i++) {
        uint32_t w = ebb_delta_word(load(a + i * stride, stride), load(b + i * stride, stride),
                                    8 * stride, delta == EBB_DELTA_DIFFERENCE);
        for (unsigned p = 0; p < stride; p++)
            planes[p][i] = (uint8_t)(w >> (8 * p));
    }
}

void ebb_delta_merge(const uint8_t *const planes[], const void *base, size_t elements,
                     unsigned stride, enum ebb_delta delta, void *data)
{
    const uint8_t *b = base;
    uint8_t *out = data;
    assert(stride == 2 || stride == 4);
    for (size_t i = 0; i < elements; i++) {
        uint32_t w = 0;
        for (unsigned p = 0; p < stride; p++)
            w |= (uint32_t)planes[p][i] << (8 * p);
        w = ebb_delta_word_back(w, load(b + i * stride, stride), 8 * stride,
                                delta == EBB_DELTA_DIFFERENCE);
        for (unsigned p = 0; p < stride; p++)
            out[i * stride + p] = (uint8_t)(w >> (8 * p));
    }
}
