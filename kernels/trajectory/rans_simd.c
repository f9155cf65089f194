/* 32 states in vectors (kernels/rans_turn.h), all symbols by one table. */
#include "kernels/trajectory/rans_simd.h"

#include "kernels/rans_turn.h"

_Static_assert(EBB_RANS_BITS == EBB_RANS_TURN_BITS, "these are the states of rans_turn.h");

#if defined(__x86_64__)
EBB_TARGET_AVX512 static inline __m512i turn_avx512(const uint32_t *slots, __m512i x,
                                                    const uint8_t **at, __m128i *symbols)
{
    const __m512i slot = _mm512_i32gather_epi32(
        _mm512_and_si512(x, _mm512_set1_epi32(EBB_RANS_TOTAL - 1)), (const int *)slots, 4);
    *symbols = _mm512_cvtepi32_epi8(slot);
    const __m512i f =
        _mm512_add_epi32(_mm512_and_si512(_mm512_srli_epi32(slot, 8), _mm512_set1_epi32(0xfff)),
                         _mm512_set1_epi32(1));
    return rans_pull_avx512(x, slot, f, at);
}

EBB_TARGET_AVX512 static size_t decode_avx512(struct ebb_rans_decoder *d, uint8_t *symbols,
                                              size_t n)
{
    __m512i x0 = _mm512_loadu_si512(d->state), x1 = _mm512_loadu_si512(d->state + 16);
    const uint8_t *at = d->at;
    size_t i = 0;
    for (; i + 32 <= n && d->end - at >= EBB_RANS_TURN_MARGIN; i += 32) {
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

EBB_TARGET_AVX2 static inline __m256i turn_avx2(const uint32_t *slots, __m256i x,
                                                const uint8_t **at, uint8_t *symbols)
{
    const __m256i slot = _mm256_i32gather_epi32(
        (const int *)slots, _mm256_and_si256(x, _mm256_set1_epi32(EBB_RANS_TOTAL - 1)), 4);
    rans_symbols_avx2(slot, symbols);
    const __m256i f =
        _mm256_add_epi32(_mm256_and_si256(_mm256_srli_epi32(slot, 8), _mm256_set1_epi32(0xfff)),
                         _mm256_set1_epi32(1));
    return rans_pull_avx2(x, slot, f, at);
}

EBB_TARGET_AVX2 static size_t decode_avx2(struct ebb_rans_decoder *d, uint8_t *symbols, size_t n)
{
    __m256i x[4];
    for (int v = 0; v < 4; v++)
        x[v] = _mm256_loadu_si256((const __m256i *)(const void *)(d->state + 8 * v));
    const uint8_t *at = d->at;
    size_t i = 0;
    for (; i + 32 <= n && d->end - at >= EBB_RANS_TURN_MARGIN; i += 32) {
        for (int v = 0; v < 4; v++)
            x[v] = turn_avx2(d->slots, x[v], &at, symbols + i + 8 * v);
    }
    for (int v = 0; v < 4; v++)
        _mm256_storeu_si256((__m256i *)(void *)(d->state + 8 * v), x[v]);
    d->at = at;
    return i;
}

EBB_TARGET_AVX512 static inline __m512i push_avx512(const uint32_t *steps, __m512i x,
                                                    const uint8_t *symbols, uint8_t **at)
{
    const __m512i s = _mm512_cvtepu8_epi32(_mm_loadu_si128(rans_turn_raw(symbols)));
    return rans_push_avx512(x, _mm512_i32gather_epi32(s, (const int *)steps, 4), at);
}

EBB_TARGET_AVX512 static void encode_avx512(const uint32_t *steps, uint32_t *state,
                                            const uint8_t *symbols, size_t n, uint8_t **at)
{
    __m512i x0 = _mm512_loadu_si512(state), x1 = _mm512_loadu_si512(state + 16);
    for (size_t i = n; i > 0; i -= 32) {
        x1 = push_avx512(steps, x1, symbols + i - 16, at);
        x0 = push_avx512(steps, x0, symbols + i - 32, at);
    }
    _mm512_storeu_si512(state, x0);
    _mm512_storeu_si512(state + 16, x1);
}

EBB_TARGET_AVX2 static inline __m256i push_avx2(const uint32_t *steps, __m256i x,
                                                const uint8_t *symbols, uint8_t **at)
{
    const __m256i s = _mm256_cvtepu8_epi32(_mm_loadl_epi64(rans_turn_raw(symbols)));
    return rans_push_avx2(x, _mm256_i32gather_epi32((const int *)steps, s, 4), at);
}

EBB_TARGET_AVX2 static void encode_avx2(const uint32_t *steps, uint32_t *state,
                                        const uint8_t *symbols, size_t n, uint8_t **at)
{
    __m256i x[4];
    for (int v = 0; v < 4; v++)
        x[v] = _mm256_loadu_si256((const __m256i *)(const void *)(state + 8 * v));
    for (size_t i = n; i > 0; i -= 32) {
        for (int v = 3; v >= 0; v--)
            x[v] = push_avx2(steps, x[v], symbols + i - 32 + 8 * v, at);
    }
    for (int v = 0; v < 4; v++)
        _mm256_storeu_si256((__m256i *)(void *)(state + 8 * v), x[v]);
}

bool ebb_rans_encode_simd(const uint32_t steps[256], uint32_t state[EBB_RANS_LANES],
                          const uint8_t *symbols, size_t n, uint8_t **at)
{
    enum ebb_cpu_level level = ebb_cpu_level();
    if (level >= EBB_CPU_AVX512)
        encode_avx512(steps, state, symbols, n, at);
    else if (level >= EBB_CPU_AVX2)
        encode_avx2(steps, state, symbols, n, at);
    return level >= EBB_CPU_AVX2;
}

size_t ebb_rans_decode_simd(struct ebb_rans_decoder *d, uint8_t *symbols, size_t n)
{
    enum ebb_cpu_level level = ebb_cpu_level();
    if (level >= EBB_CPU_AVX512)
        return decode_avx512(d, symbols, n);
    return level >= EBB_CPU_AVX2 ? decode_avx2(d, symbols, n) : 0;
}
#else
bool ebb_rans_encode_simd(const uint32_t steps[256], uint32_t state[EBB_RANS_LANES],
                          const uint8_t *symbols, size_t n, uint8_t **at)
{
    (void)steps, (void)state, (void)symbols, (void)n, (void)at;
    return false;
}

size_t ebb_rans_decode_simd(struct ebb_rans_decoder *d, uint8_t *symbols, size_t n)
{
    (void)d, (void)symbols, (void)n;
    return 0;
}
#endif
