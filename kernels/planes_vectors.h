/* Planes merged by vectors: bytes are moved between lanes once as they are loaded, so that two
 * rounds of unpacking leave elements in order. For kernels/planes.c alone.
 *
 *     a plane's words of 4 bytes      0 1 2 3 | 4 5 6 7 | 8 9 . . | . . . .
 *     as they are unpacked            0 4 8 . | 1 5 9 . | 2 6 . . | 3 7 . .
 *
 * Each function does as many whole vectors as there are and returns how many elements that is. */
#ifndef EBB_KERNELS_PLANES_VECTORS_H
#define EBB_KERNELS_PLANES_VECTORS_H

#include "kernels/cpu.h"
#include "kernels/planes.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define VECTORS static inline __attribute__((always_inline))

EBB_TARGET_AVX512 VECTORS __m512i turn_back_16_avx512(__m512i w, enum ebb_turn turn)
{
    const __m512i low = _mm512_and_si512(w, _mm512_set1_epi16(1));
    if (turn == EBB_TURN_ROTATE)
        return _mm512_shrdi_epi16(w, w, 1);
    if (turn == EBB_TURN_ZIGZAG)
        return _mm512_xor_si512(_mm512_srli_epi16(w, 1),
                                _mm512_sub_epi16(_mm512_setzero_si512(), low));
    return w;
}

EBB_TARGET_AVX512 VECTORS __m512i turn_back_32_avx512(__m512i w, enum ebb_turn turn)
{
    const __m512i low = _mm512_and_si512(w, _mm512_set1_epi32(1));
    if (turn == EBB_TURN_ROTATE)
        return _mm512_ror_epi32(w, 1);
    if (turn == EBB_TURN_ZIGZAG)
        return _mm512_xor_si512(_mm512_srli_epi32(w, 1),
                                _mm512_sub_epi32(_mm512_setzero_si512(), low));
    return w;
}

EBB_TARGET_AVX512 VECTORS size_t merge_2_avx512(const uint8_t *const planes[], size_t n,
                                                enum ebb_turn turn, uint8_t *out)
{
    const __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        const __m512i a = _mm512_permutexvar_epi64(order, _mm512_loadu_si512(planes[0] + i));
        const __m512i b = _mm512_permutexvar_epi64(order, _mm512_loadu_si512(planes[1] + i));
        _mm512_storeu_si512(out + 2 * i, turn_back_16_avx512(_mm512_unpacklo_epi8(a, b), turn));
        _mm512_storeu_si512(out + 2 * i + 64,
                            turn_back_16_avx512(_mm512_unpackhi_epi8(a, b), turn));
    }
    return i;
}

EBB_TARGET_AVX512 VECTORS size_t merge_4_avx512(const uint8_t *const planes[], size_t n,
                                                enum ebb_turn turn, uint8_t *out)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        __m512i p[4], low[2], high[2];
        for (unsigned k = 0; k < 4; k++)
            p[k] = _mm512_permutexvar_epi32(order, _mm512_loadu_si512(planes[k] + i));
        for (unsigned k = 0; k < 2; k++) {
            low[k] = _mm512_unpacklo_epi8(p[2 * k], p[2 * k + 1]);
            high[k] = _mm512_unpackhi_epi8(p[2 * k], p[2 * k + 1]);
        }
        const __m512i words[4] = {
            _mm512_unpacklo_epi16(low[0], low[1]), _mm512_unpackhi_epi16(low[0], low[1]),
            _mm512_unpacklo_epi16(high[0], high[1]), _mm512_unpackhi_epi16(high[0], high[1])};
        for (unsigned k = 0; k < 4; k++)
            _mm512_storeu_si512(out + 4 * i + 64 * k, turn_back_32_avx512(words[k], turn));
    }
    return i;
}

EBB_TARGET_AVX2 VECTORS __m256i turn_back_16_avx2(__m256i w, enum ebb_turn turn)
{
    const __m256i half = _mm256_srli_epi16(w, 1), low = _mm256_and_si256(w, _mm256_set1_epi16(1));
    if (turn == EBB_TURN_ROTATE)
        return _mm256_or_si256(half, _mm256_slli_epi16(w, 15));
    if (turn == EBB_TURN_ZIGZAG)
        return _mm256_xor_si256(half, _mm256_sub_epi16(_mm256_setzero_si256(), low));
    return w;
}

EBB_TARGET_AVX2 VECTORS __m256i turn_back_32_avx2(__m256i w, enum ebb_turn turn)
{
    const __m256i half = _mm256_srli_epi32(w, 1), low = _mm256_and_si256(w, _mm256_set1_epi32(1));
    if (turn == EBB_TURN_ROTATE)
        return _mm256_or_si256(half, _mm256_slli_epi32(w, 31));
    if (turn == EBB_TURN_ZIGZAG)
        return _mm256_xor_si256(half, _mm256_sub_epi32(_mm256_setzero_si256(), low));
    return w;
}

EBB_TARGET_AVX2 VECTORS __m256i load_avx2(const uint8_t *at)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

EBB_TARGET_AVX2 VECTORS void store_avx2(uint8_t *at, __m256i w)
{
    _mm256_storeu_si256((__m256i *)(void *)at, w);
}

EBB_TARGET_AVX2 VECTORS size_t merge_2_avx2(const uint8_t *const planes[], size_t n,
                                            enum ebb_turn turn, uint8_t *out)
{
    enum { ORDER = 0xd8 }; /* 0 2 1 3 */
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        const __m256i a = _mm256_permute4x64_epi64(load_avx2(planes[0] + i), ORDER);
        const __m256i b = _mm256_permute4x64_epi64(load_avx2(planes[1] + i), ORDER);
        store_avx2(out + 2 * i, turn_back_16_avx2(_mm256_unpacklo_epi8(a, b), turn));
        store_avx2(out + 2 * i + 32, turn_back_16_avx2(_mm256_unpackhi_epi8(a, b), turn));
    }
    return i;
}

EBB_TARGET_AVX2 VECTORS size_t merge_4_avx2(const uint8_t *const planes[], size_t n,
                                            enum ebb_turn turn, uint8_t *out)
{
    const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i p[4], low[2], high[2];
        for (unsigned k = 0; k < 4; k++)
            p[k] = _mm256_permutevar8x32_epi32(load_avx2(planes[k] + i), order);
        for (unsigned k = 0; k < 2; k++) {
            low[k] = _mm256_unpacklo_epi8(p[2 * k], p[2 * k + 1]);
            high[k] = _mm256_unpackhi_epi8(p[2 * k], p[2 * k + 1]);
        }
        const __m256i words[4] = {
            _mm256_unpacklo_epi16(low[0], low[1]), _mm256_unpackhi_epi16(low[0], low[1]),
            _mm256_unpacklo_epi16(high[0], high[1]), _mm256_unpackhi_epi16(high[0], high[1])};
        for (unsigned k = 0; k < 4; k++)
            store_avx2(out + 4 * i + 32 * k, turn_back_32_avx2(words[k], turn));
    }
    return i;
}
#endif

#endif
