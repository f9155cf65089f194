/* 32 states in vectors. Decoding, a state that falls below 2^16 takes the next word: words are
 * spread over the lanes that want one, lowest lane first, which is the scalar order. Encoding goes
 * the other way. x / f is taken in single precision and put right by at most one either way. */
#include "kernels/cpu.h"
#include "kernels/tensor/mixed.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* Bytes that a turn may read past what it uses. */
#define MARGIN 128

static const void *raw(const uint8_t *at)
{
    return at;
}

EBB_TARGET_AVX512 static inline __m512i pull_avx512(const uint32_t *slots, __m512i x,
                                                    const uint8_t *tables, const uint8_t **at,
                                                    uint8_t *symbols)
{
    const __m512i table = _mm512_cvtepu8_epi32(_mm_loadu_si128(raw(tables)));
    const __m512i place =
        _mm512_or_si512(_mm512_slli_epi32(table, EBB_MIXED_BITS),
                        _mm512_and_si512(x, _mm512_set1_epi32(EBB_MIXED_TOTAL - 1)));
    const __m512i slot = _mm512_i32gather_epi32(place, (const int *)slots, 4);
    _mm_storeu_si128((__m128i *)(void *)symbols, _mm512_cvtepi32_epi8(slot));
    const __m512i f =
        _mm512_and_si512(_mm512_srli_epi32(slot, 8), _mm512_set1_epi32(EBB_MIXED_TOTAL - 1));
    x = _mm512_add_epi32(_mm512_mullo_epi32(f, _mm512_srli_epi32(x, EBB_MIXED_BITS)),
                         _mm512_srli_epi32(slot, 20));
    const __mmask16 low = _mm512_cmplt_epu32_mask(x, _mm512_set1_epi32(EBB_MIXED_LOW));
    const __m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256(raw(*at)));
    const __m512i shifted =
        _mm512_or_si512(_mm512_slli_epi32(x, 16), _mm512_maskz_expand_epi32(low, words));
    *at += 2 * (size_t)__builtin_popcount(low);
    return _mm512_mask_mov_epi32(x, low, shifted);
}

EBB_TARGET_AVX512 static size_t decode_avx512(struct ebb_mixed_decoder *d, const uint32_t *slots,
                                              const uint8_t *tables, size_t n, uint8_t *symbols)
{
    __m512i x0 = _mm512_loadu_si512(d->state), x1 = _mm512_loadu_si512(d->state + 16);
    const uint8_t *at = d->at;
    size_t i = 0;
    for (; i + 32 <= n && d->end - at >= MARGIN; i += 32) {
        x0 = pull_avx512(slots, x0, tables + i, &at, symbols + i);
        x1 = pull_avx512(slots, x1, tables + i + 16, &at, symbols + i + 16);
    }
    _mm512_storeu_si512(d->state, x0);
    _mm512_storeu_si512(d->state + 16, x1);
    d->at = at;
    return i;
}

/* Which word each of 8 lanes takes, by the mask of the lanes that want one. */
static void make_expand(uint64_t table[256])
{
    for (unsigned mask = 0; mask < 256; mask++) {
        uint64_t next = 0;
        table[mask] = 0;
        for (unsigned l = 0; l < 8; l++)
            if (mask >> l & 1)
                table[mask] |= next++ << (8 * l);
    }
}

EBB_TARGET_AVX2 static inline __m256i order_avx2(const uint64_t *table, unsigned mask)
{
    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)table[mask]));
}

EBB_TARGET_AVX2 static inline __m256i pull_avx2(const uint32_t *slots, const uint64_t *expand,
                                                __m256i x, const uint8_t *tables,
                                                const uint8_t **at, uint8_t *symbols)
{
    const __m256i table = _mm256_cvtepu8_epi32(_mm_loadl_epi64(raw(tables)));
    const __m256i place =
        _mm256_or_si256(_mm256_slli_epi32(table, EBB_MIXED_BITS),
                        _mm256_and_si256(x, _mm256_set1_epi32(EBB_MIXED_TOTAL - 1)));
    const __m256i slot = _mm256_i32gather_epi32((const int *)slots, place, 4);
    const __m256i bytes =
        _mm256_shuffle_epi8(slot, _mm256_set1_epi64x((long long)0xffffffff0c080400ull));
    const __m256i packed =
        _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 0, 0, 0, 0, 0, 0));
    _mm_storel_epi64((__m128i *)(void *)symbols, _mm256_castsi256_si128(packed));
    const __m256i f =
        _mm256_and_si256(_mm256_srli_epi32(slot, 8), _mm256_set1_epi32(EBB_MIXED_TOTAL - 1));
    x = _mm256_add_epi32(_mm256_mullo_epi32(f, _mm256_srli_epi32(x, EBB_MIXED_BITS)),
                         _mm256_srli_epi32(slot, 20));
    const __m256i low = _mm256_cmpeq_epi32(_mm256_srli_epi32(x, 16), _mm256_setzero_si256());
    const unsigned mask = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(low));
    const __m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128(raw(*at)));
    const __m256i shifted = _mm256_or_si256(
        _mm256_slli_epi32(x, 16), _mm256_permutevar8x32_epi32(words, order_avx2(expand, mask)));
    *at += 2 * (size_t)__builtin_popcount(mask);
    return _mm256_blendv_epi8(x, shifted, low);
}

EBB_TARGET_AVX2 static size_t decode_avx2(struct ebb_mixed_decoder *d, const uint32_t *slots,
                                          const uint8_t *tables, size_t n, uint8_t *symbols)
{
    uint64_t expand[256];
    make_expand(expand);
    __m256i x[4];
    for (int v = 0; v < 4; v++)
        x[v] = _mm256_loadu_si256((const __m256i *)(const void *)(d->state + 8 * v));
    const uint8_t *at = d->at;
    size_t i = 0;
    for (; i + 32 <= n && d->end - at >= MARGIN; i += 32)
        for (int v = 0; v < 4; v++)
            x[v] = pull_avx2(slots, expand, x[v], tables + i + 8 * v, &at, symbols + i + 8 * v);
    for (int v = 0; v < 4; v++)
        _mm256_storeu_si256((__m256i *)(void *)(d->state + 8 * v), x[v]);
    d->at = at;
    return i;
}

/* Lanes that give a word away, moved to the upper end: they are stored to end at `at`, and what
 * lies below is overwritten by the next ones. */
EBB_TARGET_AVX512 static inline __m512i give_avx512(__m512i x, __mmask16 give, uint8_t **at)
{
    const unsigned n = (unsigned)__builtin_popcount(give);
    const __mmask16 top = (__mmask16)(0xffffu << (16 - n));
    const __m512i words = _mm512_maskz_expand_epi32(top, _mm512_maskz_compress_epi32(give, x));
    _mm256_storeu_si256((__m256i *)(void *)(*at - 32), _mm512_cvtepi32_epi16(words));
    *at -= 2 * (size_t)n;
    return _mm512_mask_srli_epi32(x, give, x, 16);
}

EBB_TARGET_AVX512 static inline __m512i push_avx512(const uint32_t *steps, __m512i x,
                                                    const uint8_t *symbols, const uint8_t *tables,
                                                    uint8_t **at)
{
    const __m512i symbol = _mm512_cvtepu8_epi32(_mm_loadu_si128(raw(symbols)));
    const __m512i table = _mm512_cvtepu8_epi32(_mm_loadu_si128(raw(tables)));
    const __m512i step = _mm512_i32gather_epi32(
        _mm512_or_si512(_mm512_slli_epi32(table, 8), symbol), (const int *)steps, 4);
    const __m512i f = _mm512_and_si512(step, _mm512_set1_epi32(0xffff));
    x = give_avx512(x, _mm512_cmpge_epu32_mask(x, _mm512_slli_epi32(f, 20)), at);
    __m512i q = _mm512_cvttps_epi32(_mm512_div_ps(_mm512_cvtepu32_ps(x), _mm512_cvtepi32_ps(f)));
    __m512i r = _mm512_sub_epi32(x, _mm512_mullo_epi32(q, f));
    const __mmask16 over = _mm512_cmplt_epi32_mask(r, _mm512_setzero_si512());
    q = _mm512_mask_sub_epi32(q, over, q, _mm512_set1_epi32(1));
    r = _mm512_mask_add_epi32(r, over, r, f);
    const __mmask16 under = _mm512_cmpge_epi32_mask(r, f);
    q = _mm512_mask_add_epi32(q, under, q, _mm512_set1_epi32(1));
    r = _mm512_mask_sub_epi32(r, under, r, f);
    return _mm512_add_epi32(_mm512_slli_epi32(q, EBB_MIXED_BITS),
                            _mm512_add_epi32(r, _mm512_srli_epi32(step, 16)));
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

/* Lanes of a mask, gathered at the upper end of 8. */
static void make_compress(uint64_t table[256])
{
    for (unsigned mask = 0; mask < 256; mask++) {
        unsigned at = 8 - (unsigned)__builtin_popcount(mask);
        table[mask] = 0;
        for (unsigned l = 0; l < 8; l++)
            if (mask >> l & 1)
                table[mask] |= (uint64_t)l << (8 * at++);
    }
}

EBB_TARGET_AVX2 static inline __m256i give_avx2(const uint64_t *compress, __m256i x, __m256i give,
                                                uint8_t **at)
{
    const unsigned mask = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(give));
    const __m256i words = _mm256_and_si256(
        _mm256_permutevar8x32_epi32(x, order_avx2(compress, mask)), _mm256_set1_epi32(0xffff));
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(words, words), 0x08);
    _mm_storeu_si128((__m128i *)(void *)(*at - 16), _mm256_castsi256_si128(packed));
    *at -= 2 * (size_t)__builtin_popcount(mask);
    return _mm256_blendv_epi8(x, _mm256_srli_epi32(x, 16), give);
}

/* Unsigned x as a float: half of it, doubled; the bit lost is less than the rounding. */
EBB_TARGET_AVX2 static inline __m256i push_avx2(const uint32_t *steps, const uint64_t *compress,
                                                __m256i x, const uint8_t *symbols,
                                                const uint8_t *tables, uint8_t **at)
{
    const __m256i symbol = _mm256_cvtepu8_epi32(_mm_loadl_epi64(raw(symbols)));
    const __m256i table = _mm256_cvtepu8_epi32(_mm_loadl_epi64(raw(tables)));
    const __m256i step = _mm256_i32gather_epi32(
        (const int *)steps, _mm256_or_si256(_mm256_slli_epi32(table, 8), symbol), 4);
    const __m256i f = _mm256_and_si256(step, _mm256_set1_epi32(0xffff));
    const __m256i limit = _mm256_slli_epi32(f, 20);
    x = give_avx2(compress, x, _mm256_cmpeq_epi32(_mm256_max_epu32(x, limit), x), at);
    const __m256 half = _mm256_cvtepi32_ps(_mm256_srli_epi32(x, 1));
    __m256i q =
        _mm256_cvttps_epi32(_mm256_div_ps(_mm256_add_ps(half, half), _mm256_cvtepi32_ps(f)));
    __m256i r = _mm256_sub_epi32(x, _mm256_mullo_epi32(q, f));
    const __m256i over = _mm256_srai_epi32(r, 31); /* -1 where the quotient is too large */
    q = _mm256_add_epi32(q, over);
    r = _mm256_add_epi32(r, _mm256_and_si256(over, f));
    const __m256i within = _mm256_cmpgt_epi32(f, r); /* 0 where it is too small */
    q = _mm256_add_epi32(q, _mm256_add_epi32(within, _mm256_set1_epi32(1)));
    r = _mm256_sub_epi32(r, _mm256_andnot_si256(within, f));
    return _mm256_add_epi32(_mm256_slli_epi32(q, EBB_MIXED_BITS),
                            _mm256_add_epi32(r, _mm256_srli_epi32(step, 16)));
}

EBB_TARGET_AVX2 static void encode_avx2(const uint32_t *steps, uint32_t *state,
                                        const uint8_t *symbols, const uint8_t *tables, size_t n,
                                        uint8_t **at)
{
    uint64_t compress[256];
    make_compress(compress);
    __m256i x[4];
    for (int v = 0; v < 4; v++)
        x[v] = _mm256_loadu_si256((const __m256i *)(const void *)(state + 8 * v));
    for (size_t i = n; i > 0; i -= 32)
        for (int v = 3; v >= 0; v--)
            x[v] = push_avx2(steps, compress, x[v], symbols + i - 32 + 8 * v,
                             tables + i - 32 + 8 * v, at);
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
