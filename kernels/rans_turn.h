/* The vector half of rANS as the coders of trajectories and of tensors have it: states of 32 bits
 * in [2^16, 2^32), renewed by 16-bit words, frequencies out of 2^12. A coder looks up slots (to
 * read) and steps (to write) in tables of its own and hands them to these; every lane takes or
 * gives its word in the order of the lanes, which is that of the scalar coders. */
#ifndef EBB_KERNELS_RANS_TURN_H
#define EBB_KERNELS_RANS_TURN_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/cpu.h"

#define EBB_RANS_TURN_BITS 12
#define EBB_RANS_TURN_LOW  (1 << 16)
/* Bytes that a turn of 32 lanes may read past what it uses. */
#define EBB_RANS_TURN_MARGIN 128

#if defined(__x86_64__)
#include <immintrin.h>

/* By the mask of 8 lanes, a byte for each: which word a lane that wants one takes; the lanes of
 * the mask, gathered at the upper end. */
extern const uint64_t ebb_rans_turn_expand[256];
extern const uint64_t ebb_rans_turn_gather[256];

static inline const void *rans_turn_raw(const uint8_t *at)
{
    return at;
}

/* ---- reading: a slot is symbol | ... | offset in the symbol << 20, f the symbol's frequency;
 * lanes that fall below 2^16 take a word each from *at ---- */

EBB_TARGET_AVX512 static inline __m512i rans_pull_avx512(__m512i x, __m512i slot, __m512i f,
                                                         const uint8_t **at)
{
    x = _mm512_add_epi32(_mm512_mullo_epi32(f, _mm512_srli_epi32(x, EBB_RANS_TURN_BITS)),
                         _mm512_srli_epi32(slot, 20));
    const __mmask16 low = _mm512_cmplt_epu32_mask(x, _mm512_set1_epi32(EBB_RANS_TURN_LOW));
    const __m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256(rans_turn_raw(*at)));
    const __m512i shifted =
        _mm512_or_si512(_mm512_slli_epi32(x, 16), _mm512_maskz_expand_epi32(low, words));
    *at += 2 * (size_t)__builtin_popcount(low);
    return _mm512_mask_mov_epi32(x, low, shifted);
}

EBB_TARGET_AVX2 static inline __m256i rans_turn_order_avx2(const uint64_t table[256], unsigned mask)
{
    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)table[mask]));
}

/* The symbols of 8 slots. */
EBB_TARGET_AVX2 static inline void rans_symbols_avx2(__m256i slot, uint8_t *symbols)
{
    const __m256i bytes =
        _mm256_shuffle_epi8(slot, _mm256_set1_epi64x((long long)0xffffffff0c080400ull));
    const __m256i packed =
        _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 0, 0, 0, 0, 0, 0));
    _mm_storel_epi64((__m128i *)(void *)symbols, _mm256_castsi256_si128(packed));
}

EBB_TARGET_AVX2 static inline __m256i rans_pull_avx2(__m256i x, __m256i slot, __m256i f,
                                                     const uint8_t **at)
{
    x = _mm256_add_epi32(_mm256_mullo_epi32(f, _mm256_srli_epi32(x, EBB_RANS_TURN_BITS)),
                         _mm256_srli_epi32(slot, 20));
    const __m256i low = _mm256_cmpeq_epi32(_mm256_srli_epi32(x, 16), _mm256_setzero_si256());
    const unsigned mask = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(low));
    const __m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128(rans_turn_raw(*at)));
    const __m256i order = rans_turn_order_avx2(ebb_rans_turn_expand, mask);
    const __m256i shifted =
        _mm256_or_si256(_mm256_slli_epi32(x, 16), _mm256_permutevar8x32_epi32(words, order));
    *at += 2 * (size_t)__builtin_popcount(mask);
    return _mm256_blendv_epi8(x, shifted, low);
}

/* ---- writing: a step is frequency | start << 16, no frequency 2^12; words go down from *at, of
 * which 32 bytes (AVX2: 16) are overwritten below what is given ---- */

/* Lanes that give a word away are moved to the upper end of what is stored. */
EBB_TARGET_AVX512 static inline __m512i rans_give_avx512(__m512i x, __mmask16 give, uint8_t **at)
{
    const unsigned n = (unsigned)__builtin_popcount(give);
    const __mmask16 top = (__mmask16)(0xffffu << (16 - n));
    const __m512i words = _mm512_maskz_expand_epi32(top, _mm512_maskz_compress_epi32(give, x));
    _mm256_storeu_si256((__m256i *)(void *)(*at - 32), _mm512_cvtepi32_epi16(words));
    *at -= 2 * (size_t)n;
    return _mm512_mask_srli_epi32(x, give, x, 16);
}

/* x / f is taken in single precision and put right by at most one either way. */
EBB_TARGET_AVX512 static inline __m512i rans_push_avx512(__m512i x, __m512i step, uint8_t **at)
{
    const __m512i f = _mm512_and_si512(step, _mm512_set1_epi32(0xffff));
    const __m512i limit = _mm512_slli_epi32(f, 32 - EBB_RANS_TURN_BITS);
    x = rans_give_avx512(x, _mm512_cmpge_epu32_mask(x, limit), at);
    __m512i q = _mm512_cvttps_epi32(_mm512_div_ps(_mm512_cvtepu32_ps(x), _mm512_cvtepi32_ps(f)));
    __m512i r = _mm512_sub_epi32(x, _mm512_mullo_epi32(q, f));
    const __mmask16 over = _mm512_cmplt_epi32_mask(r, _mm512_setzero_si512());
    q = _mm512_mask_sub_epi32(q, over, q, _mm512_set1_epi32(1));
    r = _mm512_mask_add_epi32(r, over, r, f);
    const __mmask16 under = _mm512_cmpge_epi32_mask(r, f);
    q = _mm512_mask_add_epi32(q, under, q, _mm512_set1_epi32(1));
    r = _mm512_mask_sub_epi32(r, under, r, f);
    return _mm512_add_epi32(_mm512_slli_epi32(q, EBB_RANS_TURN_BITS),
                            _mm512_add_epi32(r, _mm512_srli_epi32(step, 16)));
}

EBB_TARGET_AVX2 static inline __m256i rans_give_avx2(__m256i x, __m256i give, uint8_t **at)
{
    const unsigned mask = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(give));
    const __m256i order = rans_turn_order_avx2(ebb_rans_turn_gather, mask);
    const __m256i words =
        _mm256_and_si256(_mm256_permutevar8x32_epi32(x, order), _mm256_set1_epi32(0xffff));
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(words, words), 0x08);
    _mm_storeu_si128((__m128i *)(void *)(*at - 16), _mm256_castsi256_si128(packed));
    *at -= 2 * (size_t)__builtin_popcount(mask);
    return _mm256_blendv_epi8(x, _mm256_srli_epi32(x, 16), give);
}

/* Unsigned x as a float: half of it, doubled; the bit lost is less than the rounding. */
EBB_TARGET_AVX2 static inline __m256i rans_push_avx2(__m256i x, __m256i step, uint8_t **at)
{
    const __m256i f = _mm256_and_si256(step, _mm256_set1_epi32(0xffff));
    const __m256i limit = _mm256_slli_epi32(f, 32 - EBB_RANS_TURN_BITS);
    x = rans_give_avx2(x, _mm256_cmpeq_epi32(_mm256_max_epu32(x, limit), x), at);
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
    return _mm256_add_epi32(_mm256_slli_epi32(q, EBB_RANS_TURN_BITS),
                            _mm256_add_epi32(r, _mm256_srli_epi32(step, 16)));
}
#endif

#endif
