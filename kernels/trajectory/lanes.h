/* Numbers in lanes: 1 (plain C), 8 (AVX2) or 16 (AVX-512) at a time, so that an arithmetic is
 * written once and gives the same bits at each width. viN holds whole numbers modulo 2^32, vfN
 * floats, vmN a truth for each lane; + - * & ^ << >> are the operators of C. Suffix 1, 8 or 16. On
 * a device the lanes are threads: 1. */
#ifndef EBB_KERNELS_TRAJECTORY_LANES_H
#define EBB_KERNELS_TRAJECTORY_LANES_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "kernels/cpu.h"
#include "kernels/device.h"

typedef uint32_t vi1;
typedef float vf1;
typedef bool vm1;

#define EBB_LANE1 EBB_HD __attribute__((always_inline))
#ifdef __CUDACC__ /* which copies byte by byte where it does not know the alignment */
EBB_LANE1 vi1 load1(const void *p)
{
    return *(const vi1 *)p;
}
EBB_LANE1 void store1(void *p, vi1 v)
{
    *(vi1 *)p = v;
}
#else
EBB_LANE1 vi1 load1(const void *p)
{
    vi1 v;
    memcpy(&v, p, sizeof v);
    return v;
}
EBB_LANE1 void store1(void *p, vi1 v)
{
    memcpy(p, &v, sizeof v);
}
#endif
EBB_LANE1 vi1 splat1(uint32_t x)
{
    return x;
}
EBB_LANE1 vf1 splatf1(float x)
{
    return x;
}
EBB_LANE1 vf1 real1(vi1 v) /* signed */
{
    return (float)(int32_t)v;
}
EBB_LANE1 vi1 whole1(vf1 x) /* of a float that holds a whole number within +-2^31 */
{
    return (uint32_t)(int32_t)x;
}
EBB_LANE1 vf1 min1(vf1 x, vf1 y)
{
    return x < y ? x : y;
}
EBB_LANE1 vf1 max1(vf1 x, vf1 y)
{
    return x > y ? x : y;
}
EBB_LANE1 vf1 sqrt1(vf1 x)
{
    return sqrtf(x);
}
EBB_LANE1 vf1 abs1(vf1 x)
{
    return fabsf(x);
}
EBB_LANE1 vm1 less1(vi1 a, vi1 b) /* signed */
{
    return (int32_t)a < (int32_t)b;
}
EBB_LANE1 vm1 below1(vi1 a, vi1 b) /* unsigned */
{
    return a < b;
}
EBB_LANE1 vm1 equal1(vi1 a, vi1 b)
{
    return a == b;
}
EBB_LANE1 vm1 lessf1(vf1 a, vf1 b)
{
    return a < b;
}
EBB_LANE1 vi1 pick1(vm1 m, vi1 a, vi1 b)
{
    return m ? a : b;
}
EBB_LANE1 vf1 pickf1(vm1 m, vf1 a, vf1 b)
{
    return m ? a : b;
}
/* -x where `negative` is 1, x where it is 0: by the sign bit, as every width does. */
EBB_LANE1 vf1 signedf1(vf1 x, vi1 negative)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits ^= negative << 31;
    memcpy(&x, &bits, sizeof bits);
    return x;
}

#if defined(__x86_64__) && !defined(__cplusplus)
#include <immintrin.h>

typedef uint32_t vi8 __attribute__((vector_size(32)));
typedef float vf8 __attribute__((vector_size(32)));
typedef __m256i vm8;

#define EBB_LANE8 EBB_TARGET_AVX2 static inline
EBB_LANE8 vi8 load8(const void *p)
{
    return (vi8)_mm256_loadu_si256((const __m256i *)p);
}
EBB_LANE8 void store8(void *p, vi8 v)
{
    _mm256_storeu_si256((__m256i *)p, (__m256i)v);
}
EBB_LANE8 vi8 splat8(uint32_t x)
{
    return (vi8)_mm256_set1_epi32((int)x);
}
EBB_LANE8 vf8 splatf8(float x)
{
    return (vf8)_mm256_set1_ps(x);
}
EBB_LANE8 vf8 real8(vi8 v)
{
    return (vf8)_mm256_cvtepi32_ps((__m256i)v);
}
EBB_LANE8 vi8 whole8(vf8 x)
{
    return (vi8)_mm256_cvttps_epi32((__m256)x);
}
EBB_LANE8 vf8 min8(vf8 x, vf8 y)
{
    return (vf8)_mm256_min_ps((__m256)x, (__m256)y);
}
EBB_LANE8 vf8 max8(vf8 x, vf8 y)
{
    return (vf8)_mm256_max_ps((__m256)x, (__m256)y);
}
EBB_LANE8 vf8 sqrt8(vf8 x)
{
    return (vf8)_mm256_sqrt_ps((__m256)x);
}
EBB_LANE8 vf8 abs8(vf8 x)
{
    return (vf8)_mm256_and_ps((__m256)x, _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff)));
}
EBB_LANE8 vm8 less8(vi8 a, vi8 b)
{
    return _mm256_cmpgt_epi32((__m256i)b, (__m256i)a);
}
EBB_LANE8 vm8 equal8(vi8 a, vi8 b)
{
    return _mm256_cmpeq_epi32((__m256i)a, (__m256i)b);
}
EBB_LANE8 vm8 below8(vi8 a, vi8 b)
{
    const __m256i top = _mm256_set1_epi32((int)0x80000000u);
    return _mm256_cmpgt_epi32(_mm256_xor_si256((__m256i)b, top), _mm256_xor_si256((__m256i)a, top));
}
EBB_LANE8 vm8 lessf8(vf8 a, vf8 b)
{
    return _mm256_castps_si256(_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_LT_OQ));
}
EBB_LANE8 vi8 pick8(vm8 m, vi8 a, vi8 b)
{
    return (vi8)_mm256_blendv_epi8((__m256i)b, (__m256i)a, m);
}
EBB_LANE8 vf8 pickf8(vm8 m, vf8 a, vf8 b)
{
    return (vf8)_mm256_blendv_ps((__m256)b, (__m256)a, _mm256_castsi256_ps(m));
}
EBB_LANE8 vf8 signedf8(vf8 x, vi8 negative)
{
    return (vf8)_mm256_xor_ps((__m256)x, _mm256_castsi256_ps((__m256i)(negative << 31)));
}

typedef uint32_t vi16 __attribute__((vector_size(64)));
typedef float vf16 __attribute__((vector_size(64)));
typedef __mmask16 vm16;

#define EBB_LANE16 EBB_TARGET_AVX512 static inline
EBB_LANE16 vi16 load16(const void *p)
{
    return (vi16)_mm512_loadu_si512(p);
}
EBB_LANE16 void store16(void *p, vi16 v)
{
    _mm512_storeu_si512(p, (__m512i)v);
}
EBB_LANE16 vi16 splat16(uint32_t x)
{
    return (vi16)_mm512_set1_epi32((int)x);
}
EBB_LANE16 vf16 splatf16(float x)
{
    return (vf16)_mm512_set1_ps(x);
}
EBB_LANE16 vf16 real16(vi16 v)
{
    return (vf16)_mm512_cvtepi32_ps((__m512i)v);
}
EBB_LANE16 vi16 whole16(vf16 x)
{
    return (vi16)_mm512_cvttps_epi32((__m512)x);
}
EBB_LANE16 vf16 min16(vf16 x, vf16 y)
{
    return (vf16)_mm512_min_ps((__m512)x, (__m512)y);
}
EBB_LANE16 vf16 max16(vf16 x, vf16 y)
{
    return (vf16)_mm512_max_ps((__m512)x, (__m512)y);
}
EBB_LANE16 vf16 sqrt16(vf16 x)
{
    return (vf16)_mm512_sqrt_ps((__m512)x);
}
EBB_LANE16 vf16 abs16(vf16 x)
{
    return (vf16)_mm512_abs_ps((__m512)x);
}
EBB_LANE16 vm16 less16(vi16 a, vi16 b)
{
    return _mm512_cmplt_epi32_mask((__m512i)a, (__m512i)b);
}
EBB_LANE16 vm16 equal16(vi16 a, vi16 b)
{
    return _mm512_cmpeq_epi32_mask((__m512i)a, (__m512i)b);
}
EBB_LANE16 vm16 below16(vi16 a, vi16 b)
{
    return _mm512_cmplt_epu32_mask((__m512i)a, (__m512i)b);
}
EBB_LANE16 vm16 lessf16(vf16 a, vf16 b)
{
    return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ);
}
EBB_LANE16 vi16 pick16(vm16 m, vi16 a, vi16 b)
{
    return (vi16)_mm512_mask_mov_epi32((__m512i)b, m, (__m512i)a);
}
EBB_LANE16 vf16 pickf16(vm16 m, vf16 a, vf16 b)
{
    return (vf16)_mm512_mask_mov_ps((__m512)b, m, (__m512)a);
}
EBB_LANE16 vf16 signedf16(vf16 x, vi16 negative)
{
    return (vf16)_mm512_xor_ps((__m512)x, (__m512)(negative << 31));
}
#endif

#endif
