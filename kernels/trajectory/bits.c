/* Bit planes, in plain C and with vector masks; the same bytes. */
#include "kernels/trajectory/bits.h"

#include "kernels/trajectory/levels.h"

static inline void store32(uint8_t *out, uint32_t v)
{
    out[0] = (uint8_t)v;
    out[1] = (uint8_t)(v >> 8);
    out[2] = (uint8_t)(v >> 16);
    out[3] = (uint8_t)(v >> 24);
}

static inline uint32_t load32(const uint8_t *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

static void pack_reference(const uint32_t *values, size_t blocks, unsigned width, uint8_t *out)
{
    for (; blocks > 0; blocks--, values += 32) {
        for (unsigned b = 0; b < width; b++, out += 4) {
            uint32_t word = 0;
            for (unsigned i = 0; i < 32; i++)
                word |= (values[i] >> b & 1) << i;
            store32(out, word);
        }
    }
}

static void unpack_reference(const uint8_t *in, size_t blocks, unsigned width, uint32_t *values)
{
    for (; blocks > 0; blocks--, values += 32) {
        for (unsigned i = 0; i < 32; i++)
            values[i] = 0;
        for (unsigned b = 0; b < width; b++, in += 4) {
            uint32_t word = load32(in);
            for (unsigned i = 0; i < 32; i++)
                values[i] |= (word >> i & 1) << b;
        }
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

EBB_TARGET_AVX2 static void pack_avx2(const uint32_t *values, size_t blocks, unsigned width,
                                      uint8_t *out)
{
    for (; blocks > 0; blocks--, values += 32) {
        __m256i v[4];
        for (int j = 0; j < 4; j++)
            v[j] = _mm256_loadu_si256((const __m256i *)(const void *)(values + 8 * j));
        for (unsigned b = 0; b < width; b++, out += 4) {
            uint32_t word = 0;
            for (int j = 0; j < 4; j++) {
                const __m256i top = _mm256_sll_epi32(v[j], _mm_cvtsi32_si128(31 - (int)b));
                word |= (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(top)) << (8 * j);
            }
            store32(out, word);
        }
    }
}

EBB_TARGET_AVX2 static void unpack_avx2(const uint8_t *in, size_t blocks, unsigned width,
                                        uint32_t *values)
{
    const __m256i lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    for (; blocks > 0; blocks--, values += 32) {
        __m256i v[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                        _mm256_setzero_si256()};
        for (unsigned b = 0; b < width; b++, in += 4) {
            const uint32_t word = load32(in);
            const __m256i bit = _mm256_set1_epi32((int)(1u << b));
            for (int j = 0; j < 4; j++) {
                const __m256i w = _mm256_set1_epi32((int)(word >> (8 * j) & 0xff));
                const __m256i on = _mm256_cmpeq_epi32(_mm256_and_si256(w, lane), lane);
                v[j] = _mm256_or_si256(v[j], _mm256_and_si256(on, bit));
            }
        }
        for (int j = 0; j < 4; j++)
            _mm256_storeu_si256((__m256i *)(void *)(values + 8 * j), v[j]);
    }
}

EBB_TARGET_AVX512 static void pack_avx512(const uint32_t *values, size_t blocks, unsigned width,
                                          uint8_t *out)
{
    for (; blocks > 0; blocks--, values += 32) {
        const __m512i v0 = _mm512_loadu_si512(values), v1 = _mm512_loadu_si512(values + 16);
        for (unsigned b = 0; b < width; b++, out += 4) {
            const __m512i bit = _mm512_set1_epi32((int)(1u << b));
            store32(out, (uint32_t)_mm512_test_epi32_mask(v0, bit) |
                             (uint32_t)_mm512_test_epi32_mask(v1, bit) << 16);
        }
    }
}

EBB_TARGET_AVX512 static void unpack_avx512(const uint8_t *in, size_t blocks, unsigned width,
                                            uint32_t *values)
{
    for (; blocks > 0; blocks--, values += 32) {
        __m512i v0 = _mm512_setzero_si512(), v1 = v0;
        for (unsigned b = 0; b < width; b++, in += 4) {
            const uint32_t word = load32(in);
            const __m512i bit = _mm512_set1_epi32((int)(1u << b));
            v0 = _mm512_mask_or_epi32(v0, (__mmask16)word, v0, bit);
            v1 = _mm512_mask_or_epi32(v1, (__mmask16)(word >> 16), v1, bit);
        }
        _mm512_storeu_si512(values, v0);
        _mm512_storeu_si512(values + 16, v1);
    }
}
#endif

void ebb_traj_pack_planes(const uint32_t *values, size_t blocks, unsigned width, uint8_t *out)
{
#if defined(__x86_64__)
    if (ebb_cpu_level() >= EBB_CPU_AVX512) {
        pack_avx512(values, blocks, width, out);
        return;
    }
    if (ebb_cpu_level() >= EBB_CPU_AVX2) {
        pack_avx2(values, blocks, width, out);
        return;
    }
#endif
    pack_reference(values, blocks, width, out);
}

void ebb_traj_unpack_planes(const uint8_t *in, size_t blocks, unsigned width, uint32_t *values)
{
#if defined(__x86_64__)
    if (ebb_cpu_level() >= EBB_CPU_AVX512) {
        unpack_avx512(in, blocks, width, values);
        return;
    }
    if (ebb_cpu_level() >= EBB_CPU_AVX2) {
        unpack_avx2(in, blocks, width, values);
        return;
    }
#endif
    unpack_reference(in, blocks, width, values);
}
