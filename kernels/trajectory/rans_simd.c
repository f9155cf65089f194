/* 32 states in vectors. A lane that falls below 2^16 takes the next word: the words are expanded
 * into the lanes that want one, lowest lane first, which is the order of the scalar decoder. */
#include "kernels/trajectory/rans_simd.h"

#include "kernels/cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* Words that one turn may read past what it uses. */
#define MARGIN 128

EBB_TARGET_AVX512 static inline __m512i turn_avx512(const uint32_t *slots, __m512i x,
                                                    const uint8_t **at, __m128i *symbols)
{
    const __m512i slot = _mm512_i32gather_epi32(
        _mm512_and_si512(x, _mm512_set1_epi32(EBB_RANS_TOTAL - 1)), (const int *)slots, 4);
    *symbols = _mm512_cvtepi32_epi8(slot);
    const __m512i f =
        _mm512_add_epi32(_mm512_and_si512(_mm512_srli_epi32(slot, 8), _mm512_set1_epi32(0xfff)),
                         _mm512_set1_epi32(1));
    x = _mm512_add_epi32(_mm512_mullo_epi32(f, _mm512_srli_epi32(x, EBB_RANS_BITS)),
                         _mm512_srli_epi32(slot, 20));
    const __mmask16 low = _mm512_cmplt_epu32_mask(x, _mm512_set1_epi32(1 << 16));
    const __m512i words =
        _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)*at));
    const __m512i shifted =
        _mm512_or_si512(_mm512_slli_epi32(x, 16), _mm512_maskz_expand_epi32(low, words));
    *at += 2 * (size_t)__builtin_popcount(low);
    return _mm512_mask_mov_epi32(x, low, shifted);
}

EBB_TARGET_AVX512 static size_t decode_avx512(struct ebb_rans_decoder *d, uint8_t *symbols,
                                              size_t n)
{
    __m512i x0 = _mm512_loadu_si512(d->state), x1 = _mm512_loadu_si512(d->state + 16);
    const uint8_t *at = d->at;
    size_t i = 0;
    for (; i + 32 <= n && d->end - at >= MARGIN; i += 32) {
        __m128i s0, s1;
        x0 = turn_avx512(d->slots, x0, &at, &s0);
        x1 = turn_avx512(d->slots, x1, &at, &s1);
        _mm_storeu_si128((__m128i *)(void *)(symbols + i), s0);
        _mm_storeu_si128((__m128i *)(void *)(symbols + i + 16), s1);
    }
    _mm512_storeu_si512(d->state, x0);
    _mm512_storeu_si512(d->state + 16, x1);
    d->at = at;
    return i;
}

/* Which word each of 8 lanes takes, by the mask of the lanes that want one. */
static const uint64_t *expand_table(void)
{
    static uint64_t table[256];
    static int ready;
    if (!__atomic_load_n(&ready, __ATOMIC_ACQUIRE)) {
        for (unsigned mask = 0; mask < 256; mask++) {
            uint64_t entry = 0, next = 0;
            for (unsigned l = 0; l < 8; l++) {
                if (mask >> l & 1)
                    entry |= next++ << (8 * l);
            }
            __atomic_store_n(&table[mask], entry, __ATOMIC_RELAXED);
        }
        __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
    }
    return table;
}

EBB_TARGET_AVX2 static inline __m256i turn_avx2(const uint32_t *slots, const uint64_t *expand,
                                                __m256i x, const uint8_t **at, uint8_t *symbols)
{
    const __m256i slot = _mm256_i32gather_epi32(
        (const int *)slots, _mm256_and_si256(x, _mm256_set1_epi32(EBB_RANS_TOTAL - 1)), 4);
    const __m256i bytes =
        _mm256_shuffle_epi8(slot, _mm256_set1_epi64x((long long)0xffffffff0c080400ull));
    const __m256i packed =
        _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 0, 0, 0, 0, 0, 0));
    _mm_storel_epi64((__m128i *)(void *)symbols, _mm256_castsi256_si128(packed));
    const __m256i f =
        _mm256_add_epi32(_mm256_and_si256(_mm256_srli_epi32(slot, 8), _mm256_set1_epi32(0xfff)),
                         _mm256_set1_epi32(1));
    x = _mm256_add_epi32(_mm256_mullo_epi32(f, _mm256_srli_epi32(x, EBB_RANS_BITS)),
                         _mm256_srli_epi32(slot, 20));
    const __m256i low = _mm256_cmpeq_epi32(_mm256_srli_epi32(x, 16), _mm256_setzero_si256());
    const unsigned mask = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(low));
    const __m256i words =
        _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)*at));
    const __m256i order = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)expand[mask]));
    const __m256i shifted =
        _mm256_or_si256(_mm256_slli_epi32(x, 16), _mm256_permutevar8x32_epi32(words, order));
    *at += 2 * (size_t)__builtin_popcount(mask);
    return _mm256_blendv_epi8(x, shifted, low);
}

EBB_TARGET_AVX2 static size_t decode_avx2(struct ebb_rans_decoder *d, uint8_t *symbols, size_t n)
{
    const uint64_t *expand = expand_table();
    __m256i x[4];
    for (int v = 0; v < 4; v++)
        x[v] = _mm256_loadu_si256((const __m256i *)(const void *)(d->state + 8 * v));
    const uint8_t *at = d->at;
    size_t i = 0;
    for (; i + 32 <= n && d->end - at >= MARGIN; i += 32) {
        for (int v = 0; v < 4; v++)
            x[v] = turn_avx2(d->slots, expand, x[v], &at, symbols + i + 8 * v);
    }
    for (int v = 0; v < 4; v++)
        _mm256_storeu_si256((__m256i *)(void *)(d->state + 8 * v), x[v]);
    d->at = at;
    return i;
}

size_t ebb_rans_decode_simd(struct ebb_rans_decoder *d, uint8_t *symbols, size_t n)
{
    enum ebb_cpu_level level = ebb_cpu_level();
    if (level >= EBB_CPU_AVX512)
        return decode_avx512(d, symbols, n);
    return level >= EBB_CPU_AVX2 ? decode_avx2(d, symbols, n) : 0;
}
#else
size_t ebb_rans_decode_simd(struct ebb_rans_decoder *d, uint8_t *symbols, size_t n)
{
    (void)d, (void)symbols, (void)n;
    return 0;
}
#endif
