/* 32 states in vectors (kernels/rans_turn.h), each symbol by the table of its context. */
#include "kernels/rans_turn.h"
#include "kernels/tensor/mixed.h"

_Static_assert(EBB_MIXED_BITS == EBB_RANS_TURN_BITS && EBB_MIXED_LOW == EBB_RANS_TURN_LOW,
               "these are the states of rans_turn.h");

#if defined(__x86_64__)
EBB_TARGET_AVX512 static inline __m512i pull_avx512(const uint32_t *slots, __m512i x,
                                                    const uint8_t *tables, const uint8_t **at,
                                                    uint8_t *symbols)
{
    const __m512i mask = _mm512_set1_epi32(EBB_MIXED_TOTAL - 1);
    const __m512i table = _mm512_cvtepu8_epi32(_mm_loadu_si128(rans_turn_raw(tables)));
    const __m512i place =
        _mm512_or_si512(_mm512_slli_epi32(table, EBB_MIXED_BITS), _mm512_and_si512(x, mask));
    const __m512i slot = _mm512_i32gather_epi32(place, (const int *)slots, 4);
    _mm_storeu_si128((__m128i *)(void *)symbols, _mm512_cvtepi32_epi8(slot));
    return rans_pull_avx512(x, slot, _mm512_and_si512(_mm512_srli_epi32(slot, 8), mask), at);
}

EBB_TARGET_AVX512 static size_t decode_avx512(struct ebb_mixed_decoder *d, const uint32_t *slots,
                                              const uint8_t *tables, size_t n, uint8_t *symbols)
{
    __m512i x0 = _mm512_loadu_si512(d->state), x1 = _mm512_loadu_si512(d->state + 16);
    const uint8_t *at = d->at;
    size_t i = 0;
    for (; i + 32 <= n && d->end - at >= EBB_RANS_TURN_MARGIN; i += 32) {
        x0 = pull_avx512(slots, x0, tables + i, &at, symbols + i);
        x1 = pull_avx512(slots, x1, tables + i + 16, &at, symbols + i + 16);
    }
    _mm512_storeu_si512(d->state, x0);
    _mm512_storeu_si512(d->state + 16, x1);
    d->at = at;
    return i;
}

EBB_TARGET_AVX2 static inline __m256i pull_avx2(const uint32_t *slots, __m256i x,
                                                const uint8_t *tables, const uint8_t **at,
                                                uint8_t *symbols)
{
    const __m256i mask = _mm256_set1_epi32(EBB_MIXED_TOTAL - 1);
    const __m256i table = _mm256_cvtepu8_epi32(_mm_loadl_epi64(rans_turn_raw(tables)));
    const __m256i place =
        _mm256_or_si256(_mm256_slli_epi32(table, EBB_MIXED_BITS), _mm256_and_si256(x, mask));
    const __m256i slot = _mm256_i32gather_epi32((const int *)slots, place, 4);
    rans_symbols_avx2(slot, symbols);
    return rans_pull_avx2(x, slot, _mm256_and_si256(_mm256_srli_epi32(slot, 8), mask), at);
}

EBB_TARGET_AVX2 static size_t decode_avx2(struct ebb_mixed_decoder *d, const uint32_t *slots,
                                          const uint8_t *tables, size_t n, uint8_t *symbols)
{
    __m256i x[4];
    for (int v = 0; v < 4; v++)
        x[v] = _mm256_loadu_si256((const __m256i *)(const void *)(d->state + 8 * v));
    const uint8_t *at = d->at;
    size_t i = 0;
    for (; i + 32 <= n && d->end - at >= EBB_RANS_TURN_MARGIN; i += 32)
        for (int v = 0; v < 4; v++)
            x[v] = pull_avx2(slots, x[v], tables + i + 8 * v, &at, symbols + i + 8 * v);
    for (int v = 0; v < 4; v++)
        _mm256_storeu_si256((__m256i *)(void *)(d->state + 8 * v), x[v]);
    d->at = at;
    return i;
}

EBB_TARGET_AVX512 static inline __m512i push_avx512(const uint32_t *steps, __m512i x,
                                                    const uint8_t *symbols, const uint8_t *tables,
                                                    uint8_t **at)
{
    const __m512i symbol = _mm512_cvtepu8_epi32(_mm_loadu_si128(rans_turn_raw(symbols)));
    const __m512i table = _mm512_cvtepu8_epi32(_mm_loadu_si128(rans_turn_raw(tables)));
    const __m512i step = _mm512_i32gather_epi32(
        _mm512_or_si512(_mm512_slli_epi32(table, 8), symbol), (const int *)steps, 4);
    return rans_push_avx512(x, step, at);
}

EBB_TARGET_AVX512 static void encode_avx512(const uint32_t *steps, uint32_t *state,
                                            const uint8_t *symbols, const uint8_t *tables, size_t n,
                                            uint8_t **at)
{
    __m512i x0 = _mm512_loadu_si512(state), x1 = _mm512_loadu_si512(state + 16);
    for (size_t i = n; i > 0; i -= 32) {
        x1 = push_avx512(steps, x1, symbols + i - 16, tables + i - 16, at);
        x0 = push_avx512(steps, x0, symbols + i - 32, tables + i - 32, at);
    }
    _mm512_storeu_si512(state, x0);
    _mm512_storeu_si512(state + 16, x1);
}

EBB_TARGET_AVX2 static inline __m256i push_avx2(const uint32_t *steps, __m256i x,
                                                const uint8_t *symbols, const uint8_t *tables,
                                                uint8_t **at)
{
    const __m256i symbol = _mm256_cvtepu8_epi32(_mm_loadl_epi64(rans_turn_raw(symbols)));
    const __m256i table = _mm256_cvtepu8_epi32(_mm_loadl_epi64(rans_turn_raw(tables)));
    const __m256i step = _mm256_i32gather_epi32(
        (const int *)steps, _mm256_or_si256(_mm256_slli_epi32(table, 8), symbol), 4);
    return rans_push_avx2(x, step, at);
}

EBB_TARGET_AVX2 static void encode_avx2(const uint32_t *steps, uint32_t *state,
                                        const uint8_t *symbols, const uint8_t *tables, size_t n,
                                        uint8_t **at)
{
    __m256i x[4];
    for (int v = 0; v < 4; v++)
        x[v] = _mm256_loadu_si256((const __m256i *)(const void *)(state + 8 * v));
    for (size_t i = n; i > 0; i -= 32)
        for (int v = 3; v >= 0; v--)
            x[v] = push_avx2(steps, x[v], symbols + i - 32 + 8 * v, tables + i - 32 + 8 * v, at);
    for (int v = 0; v < 4; v++)
        _mm256_storeu_si256((__m256i *)(void *)(state + 8 * v), x[v]);
}

bool ebb_mixed_encode_turns(const uint32_t *steps, uint32_t state[EBB_MIXED_LANES],
                            const uint8_t *symbols, const uint8_t *tables, size_t n, uint8_t **at)
{
    enum ebb_cpu_level level = ebb_cpu_level();
    if (level >= EBB_CPU_AVX512)
        encode_avx512(steps, state, symbols, tables, n, at);
    else if (level >= EBB_CPU_AVX2)
        encode_avx2(steps, state, symbols, tables, n, at);
    return level >= EBB_CPU_AVX2;
}

size_t ebb_mixed_decode_turns(struct ebb_mixed_decoder *d, const uint32_t *slots,
                              const uint8_t *tables, size_t n, uint8_t *symbols)
{
    enum ebb_cpu_level level = ebb_cpu_level();
    if (level >= EBB_CPU_AVX512)
        return decode_avx512(d, slots, tables, n, symbols);
    return level >= EBB_CPU_AVX2 ? decode_avx2(d, slots, tables, n, symbols) : 0;
}
#else
bool ebb_mixed_encode_turns(const uint32_t *steps, uint32_t state[EBB_MIXED_LANES],
                            const uint8_t *symbols, const uint8_t *tables, size_t n, uint8_t **at)
{
    (void)steps, (void)state, (void)symbols, (void)tables, (void)n, (void)at;
    return false;
}

size_t ebb_mixed_decode_turns(struct ebb_mixed_decoder *d, const uint32_t *slots,
                              const uint8_t *tables, size_t n, uint8_t *symbols)
{
    (void)d, (void)slots, (void)tables, (void)n, (void)symbols;
    return 0;
}
#endif
