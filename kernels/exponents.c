/* The reference of packed exponents. */
#include "kernels/exponents.h"

#include <assert.h>
#include <string.h>

#include "kernels/exponents_layout.h"

static uint32_t load(const uint8_t *at, unsigned stride)
{
    uint32_t w = (uint32_t)at[0] | (uint32_t)at[1] << 8;
    return stride == 4 ? w | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24 : w;
}

static void put(uint8_t *to, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

size_t ebb_exponents_bound(size_t elements, unsigned stride, unsigned bits)
{
    return (size_t)ebb_exponents_layout(elements, stride, bits).escapes + elements;
}

static uint32_t largest(const uint8_t *data, size_t count, unsigned stride)
{
    uint32_t most = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t e = ebb_exponents_of(load(data + i * stride, stride), stride);
        most = e > most ? e : most;
    }
    return most;
}

size_t ebb_exponents_pack(const void *data, size_t elements, unsigned stride, unsigned bits,
                          uint8_t *out)
{
    assert((stride == 2 || stride == 4) && bits >= 2 && bits <= 7);
    struct ebb_exponents_layout l = ebb_exponents_layout(elements, stride, bits);
    const uint8_t *from = data;
    uint32_t escape = (1u << bits) - 1;
    uint64_t escapes = 0;
    memset(out, 0, l.escapes);
    for (size_t block = 0; block < l.blocks; block++) {
        size_t first = block * EBB_EXPONENTS_BLOCK, count = elements - first;
        count = count < EBB_EXPONENTS_BLOCK ? count : EBB_EXPONENTS_BLOCK;
        uint32_t most = largest(from + first * stride, count, stride);
        uint64_t before = escapes;
        uint8_t *codes = out + l.codes + block * (EBB_EXPONENTS_BLOCK / 8) * bits;
        for (size_t i = 0; i < count; i++) {
            uint32_t word = load(from + (first + i) * stride, stride);
            uint32_t e = ebb_exponents_of(word, stride), rest = ebb_exponents_rest(word, stride);
            uint32_t code = most - e < escape ? most - e : escape;
            if (code == escape)
                out[l.escapes + escapes++] = (uint8_t)e;
            size_t at = i * bits;
            codes[at / 8] |= (uint8_t)(code << (at % 8));
            if (at % 8 + bits > 8)
                codes[at / 8 + 1] |= (uint8_t)(code >> (8 - at % 8));
            for (unsigned p = 0; p + 1 < stride; p++)
                out[l.low + p * l.low_pitch + first + i] = (uint8_t)(rest >> (8 * p));
        }
        out[l.most + block] = (uint8_t)most;
        put(out + l.counts + 2 * block, escapes - before, 2);
    }
    if (escapes > UINT32_MAX)
        return 0;
    out[0] = (uint8_t)stride;
    out[1] = (uint8_t)bits;
    put(out + 4, escapes, 4);
    put(out + 8, elements, 8);
    return (size_t)(l.escapes + escapes);
}

int ebb_exponents_unpack(const uint8_t *packed, size_t len, size_t elements, unsigned stride,
                         void *data)
{
    if (len < EBB_EXPONENTS_HEADER || packed[0] != stride || (stride != 2 && stride != 4) ||
        packed[1] < 2 || packed[1] > 7 || elements > SIZE_MAX / 16)
        return -1;
    unsigned bits = packed[1];
    uint32_t escape = (1u << bits) - 1;
    uint64_t told = load(packed + 8, 4) | (uint64_t)load(packed + 12, 4) << 32;
    struct ebb_exponents_layout l = ebb_exponents_layout(elements, stride, bits);
    if (told != elements || len < l.escapes || len - l.escapes != load(packed + 4, 4))
        return -1;
    const uint8_t *escapes = packed + l.escapes, *end = packed + len;
    uint8_t *to = data;
    for (size_t i = 0; i < elements; i++) {
        size_t block = i / EBB_EXPONENTS_BLOCK, at = i % EBB_EXPONENTS_BLOCK * bits;
        const uint8_t *codes = packed + l.codes + block * (EBB_EXPONENTS_BLOCK / 8) * bits;
        uint32_t two = codes[at / 8];
        if (at % 8 + bits > 8)
            two |= (uint32_t)codes[at / 8 + 1] << 8;
        uint32_t code = two >> (at % 8) & escape, rest = 0;
        if (code == escape && escapes == end)
            return -1;
        uint32_t e = code == escape ? *escapes++ : (packed[l.most + block] - code) & 255;
        for (unsigned p = 0; p + 1 < stride; p++)
            rest |= (uint32_t)packed[l.low + p * l.low_pitch + i] << (8 * p);
        put(to + i * stride, ebb_exponents_join(e, rest, stride), stride);
    }
    return escapes == end ? 0 : -1;
}
