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

/* Lanes that give a word away, moved to the upper end: the words are stored to end at `at`, and
 * what lies below them is overwritten by the next ones. */
EBB_TARGET_AVX512 static inline __m512i give_avx512(__m512i x, __mmask16 give, uint8_t **at)
{
    const unsigned n = (unsigned)__builtin_popcount(give);
    const __m512i words = _mm512_maskz_compress_epi32(give, x);
    const __mmask16 top = (__mmask16)(0xffffu << (16 - n));
    const __m256i packed = _mm512_cvtepi32_epi16(_mm512_maskz_expand_epi32(top, words));
    _mm256_storeu_si256((__m256i *)(void *)(*at - 32), packed);
    *at -= 2 * (size_t)n;
    return _mm512_mask_srli_epi32(x, give, x, 16);
}

EBB_TARGET_AVX512 static inline __m512i push_avx512(const uint32_t *steps, __m512i x,
                                                    const uint8_t *symbols, uint8_t **at)
{
    const __m512i s = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)symbols));
    const __m512i step = _mm512_i32gather_epi32(s, (const int *)steps, 4);
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
    return _mm512_add_epi32(_mm512_slli_epi32(q, EBB_RANS_BITS),
                            _mm512_add_epi32(r, _mm512_srli_epi32(step, 16)));
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

EBB_TARGET_AVX2 static inline __m256i give_avx2(const uint64_t *compress, __m256i x, __m256i give,
                                                uint8_t **at)
{
    const unsigned mask = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(give));
    const __m256i order = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)compress[mask]));
    const __m256i words =
        _mm256_and_si256(_mm256_permutevar8x32_epi32(x, order), _mm256_set1_epi32(0xffff));
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(words, words), 0x08);
    _mm_storeu_si128((__m128i *)(void *)(*at - 16), _mm256_castsi256_si128(packed));
    *at -= 2 * (size_t)__builtin_popcount(mask);
    return _mm256_blendv_epi8(x, _mm256_srli_epi32(x, 16), give);
}

/* Unsigned x as a float: half of it, doubled; the bit lost is less than the rounding. */
EBB_TARGET_AVX2 static inline __m256i push_avx2(const uint32_t *steps, const uint64_t *compress,
                                                __m256i x, const uint8_t *symbols, uint8_t **at)
{
    const __m256i s = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)symbols));
    const __m256i step = _mm256_i32gather_epi32((const int *)steps, s, 4);
    const __m256i f = _mm256_and_si256(step, _mm256_set1_epi32(0xffff));
    const __m256i limit = _mm256_slli_epi32(f, 20);
    const __m256i give = _mm256_cmpeq_epi32(_mm256_max_epu32(x, limit), x);
    x = give_avx2(compress, x, give, at);
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
    return _mm256_add_epi32(_mm256_slli_epi32(q, EBB_RANS_BITS),
                            _mm256_add_epi32(r, _mm256_srli_epi32(step, 16)));
}

/* Lanes of a mask, gathered at the upper end of 8. */
static void make_compress(uint64_t table[256])
{
    for (unsigned mask = 0; mask < 256; mask++) {
        unsigned at = 8 - (unsigned)__builtin_popcount(mask);
        table[mask] = 0;
        for (unsigned l = 0; l < 8; l++) {
            if (mask >> l & 1)
                table[mask] |= (uint64_t)l << (8 * at++);
        }
    }
}

EBB_TARGET_AVX2 static void encode_avx2(const uint32_t *steps, uint32_t *state,
                                        const uint8_t *symbols, size_t n, uint8_t **at)
{
    uint64_t compress[256];
    make_compress(compress);
    __m256i x[4];
    for (int v = 0; v < 4; v++)
        x[v] = _mm256_loadu_si256((const __m256i *)(const void *)(state + 8 * v));
    for (size_t i = n; i > 0; i -= 32) {
        for (int v = 3; v >= 0; v--)
            x[v] = push_avx2(steps, compress, x[v], symbols + i - 32 + 8 * v, at);
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
