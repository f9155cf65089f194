/* Byte planes. One body for all instruction sets: the loops are written so that the compiler makes
 * them SIMD, once for each target, and the choice is made at run time. The bytes cannot differ. */
#include "kernels/planes.h"

#include <string.h>

#include "kernels/cpu.h"
#include "kernels/planes_vectors.h"

#define INLINE static inline __attribute__((always_inline))

/* For each width: turn, its inverse, split and merge. */
#define DEFINE_WIDTH(bits)                                                                         \
    INLINE uint##bits##_t turn_##bits(uint##bits##_t w, enum ebb_turn turn)                        \
    {                                                                                              \
        uint##bits##_t sign = (uint##bits##_t)(w >> (bits - 1));                                   \
        uint##bits##_t twice = (uint##bits##_t)(w << 1);                                           \
        if (turn == EBB_TURN_ROTATE)                                                               \
            return twice | sign;                                                                   \
        if (turn == EBB_TURN_ZIGZAG)                                                               \
            return twice ^ (uint##bits##_t)(0 - sign);                                             \
        return w;                                                                                  \
    }                                                                                              \
    INLINE uint##bits##_t turn_back_##bits(uint##bits##_t w, enum ebb_turn turn)                   \
    {                                                                                              \
        uint##bits##_t half = (uint##bits##_t)(w >> 1), low = (uint##bits##_t)(w & 1);             \
        if (turn == EBB_TURN_ROTATE)                                                               \
            return half | (uint##bits##_t)(low << (bits - 1));                                     \
        if (turn == EBB_TURN_ZIGZAG)                                                               \
            return half ^ (uint##bits##_t)(0 - low);                                               \
        return w;                                                                                  \
    }                                                                                              \
    INLINE uint##bits##_t load_##bits(const uint8_t *at)                                           \
    {                                                                                              \
        uint##bits##_t w;                                                                          \
        memcpy(&w, at, sizeof w);                                                                  \
        return w;                                                                                  \
    }

DEFINE_WIDTH(16)
DEFINE_WIDTH(32)
DEFINE_WIDTH(64)

INLINE void split_2(const uint8_t *in, size_t n, enum ebb_turn turn, uint8_t *restrict p0,
                    uint8_t *restrict p1)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t w = turn_16(load_16(in + 2 * i), turn);
        p0[i] = (uint8_t)w;
        p1[i] = (uint8_t)(w >> 8);
    }
}

INLINE void merge_2(const uint8_t *restrict p0, const uint8_t *restrict p1, size_t n,
                    enum ebb_turn turn, uint8_t *restrict out)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t w = turn_back_16((uint16_t)(p0[i] | p1[i] << 8), turn);
        memcpy(out + 2 * i, &w, 2);
    }
}

INLINE void split_4(const uint8_t *in, size_t n, enum ebb_turn turn, uint8_t *restrict p0,
                    uint8_t *restrict p1, uint8_t *restrict p2, uint8_t *restrict p3)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t w = turn_32(load_32(in + 4 * i), turn);
        p0[i] = (uint8_t)w;
        p1[i] = (uint8_t)(w >> 8);
        p2[i] = (uint8_t)(w >> 16);
        p3[i] = (uint8_t)(w >> 24);
    }
}

INLINE void merge_4(const uint8_t *restrict p0, const uint8_t *restrict p1,
                    const uint8_t *restrict p2, const uint8_t *restrict p3, size_t n,
                    enum ebb_turn turn, uint8_t *restrict out)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t w =
            (uint32_t)p0[i] | (uint32_t)p1[i] << 8 | (uint32_t)p2[i] << 16 | (uint32_t)p3[i] << 24;
        w = turn_back_32(w, turn);
        memcpy(out + 4 * i, &w, 4);
    }
}

INLINE void split_8(const uint8_t *in, size_t n, enum ebb_turn turn, uint8_t *const planes[])
{
    for (unsigned k = 0; k < 8; k++) {
        uint8_t *restrict plane = planes[k];
        for (size_t i = 0; i < n; i++)
            plane[i] = (uint8_t)(turn_64(load_64(in + 8 * i), turn) >> (8 * k));
    }
}

INLINE void merge_8(const uint8_t *const planes[], size_t n, enum ebb_turn turn,
                    uint8_t *restrict out)
{
    const uint8_t *restrict p0 = planes[0], *restrict p1 = planes[1], *restrict p2 = planes[2],
                            *restrict p3 = planes[3], *restrict p4 = planes[4],
                            *restrict p5 = planes[5], *restrict p6 = planes[6],
                            *restrict p7 = planes[7];
    for (size_t i = 0; i < n; i++) {
        uint32_t low =
            (uint32_t)p0[i] | (uint32_t)p1[i] << 8 | (uint32_t)p2[i] << 16 | (uint32_t)p3[i] << 24;
        uint32_t high =
            (uint32_t)p4[i] | (uint32_t)p5[i] << 8 | (uint32_t)p6[i] << 16 | (uint32_t)p7[i] << 24;
        uint64_t w = turn_back_64((uint64_t)high << 32 | low, turn);
        memcpy(out + 8 * i, &w, 8);
    }
}

/* Blocks keep eight passes over 8-byte elements in the first cache. */
#define BLOCK ((size_t)1024)

INLINE void split_any(const uint8_t *in, size_t n, unsigned stride, enum ebb_turn turn,
                      uint8_t *const planes[])
{
    if (stride == 2) {
        split_2(in, n, turn, planes[0], planes[1]);
    } else if (stride == 4) {
        split_4(in, n, turn, planes[0], planes[1], planes[2], planes[3]);
    } else {
        for (size_t at = 0; at < n; at += BLOCK) {
            uint8_t *here[8];
            for (unsigned k = 0; k < 8; k++)
                here[k] = planes[k] + at;
            split_8(in + 8 * at, n - at < BLOCK ? n - at : BLOCK, turn, here);
        }
    }
}

/* From element `at` on: those before it are there. */
INLINE void merge_any(const uint8_t *const planes[], size_t at, size_t n, unsigned stride,
                      enum ebb_turn turn, uint8_t *out)
{
    const uint8_t *rest[8];
    for (unsigned k = 0; k < stride; k++)
        rest[k] = planes[k] + at;
    if (stride == 2)
        merge_2(rest[0], rest[1], n - at, turn, out + 2 * at);
    else if (stride == 4)
        merge_4(rest[0], rest[1], rest[2], rest[3], n - at, turn, out + 4 * at);
    else
        merge_8(rest, n - at, turn, out + 8 * at);
}

INLINE size_t merged_reference(const uint8_t *const planes[], size_t n, unsigned stride,
                               enum ebb_turn turn, uint8_t *out)
{
    (void)planes, (void)n, (void)stride, (void)turn, (void)out;
    return 0;
}

#if defined(__x86_64__)
EBB_TARGET_AVX2 INLINE size_t merged_avx2(const uint8_t *const planes[], size_t n, unsigned stride,
                                          enum ebb_turn turn, uint8_t *out)
{
    return stride == 2   ? merge_2_avx2(planes, n, turn, out)
           : stride == 4 ? merge_4_avx2(planes, n, turn, out)
                         : 0;
}

EBB_TARGET_AVX512 INLINE size_t merged_avx512(const uint8_t *const planes[], size_t n,
                                              unsigned stride, enum ebb_turn turn, uint8_t *out)
{
    return stride == 2   ? merge_2_avx512(planes, n, turn, out)
           : stride == 4 ? merge_4_avx512(planes, n, turn, out)
                         : 0;
}
#endif

INLINE void merge_with(size_t (*merged)(const uint8_t *const[], size_t, unsigned, enum ebb_turn,
                                        uint8_t *),
                       const uint8_t *const planes[], size_t n, unsigned stride, enum ebb_turn turn,
                       uint8_t *out)
{
    merge_any(planes, merged(planes, n, stride, turn, out), n, stride, turn, out);
}

/* The turn as a constant, so that each loop has but one. */
#define DEFINE_TARGET(suffix, target)                                                              \
    target static void split_##suffix(const uint8_t *in, size_t n, unsigned stride,                \
                                      enum ebb_turn turn, uint8_t *const planes[])                 \
    {                                                                                              \
        if (turn == EBB_TURN_ROTATE)                                                               \
            split_any(in, n, stride, EBB_TURN_ROTATE, planes);                                     \
        else if (turn == EBB_TURN_ZIGZAG)                                                          \
            split_any(in, n, stride, EBB_TURN_ZIGZAG, planes);                                     \
        else                                                                                       \
            split_any(in, n, stride, EBB_TURN_NONE, planes);                                       \
    }                                                                                              \
    target static void merge_##suffix(const uint8_t *const planes[], size_t n, unsigned stride,    \
                                      enum ebb_turn turn, uint8_t *out)                            \
    {                                                                                              \
        if (turn == EBB_TURN_ROTATE)                                                               \
            merge_with(merged_##suffix, planes, n, stride, EBB_TURN_ROTATE, out);                  \
        else if (turn == EBB_TURN_ZIGZAG)                                                          \
            merge_with(merged_##suffix, planes, n, stride, EBB_TURN_ZIGZAG, out);                  \
        else                                                                                       \
            merge_with(merged_##suffix, planes, n, stride, EBB_TURN_NONE, out);                    \
    }

DEFINE_TARGET(reference, )
#if defined(__x86_64__)
DEFINE_TARGET(avx2, EBB_TARGET_AVX2)
DEFINE_TARGET(avx512, EBB_TARGET_AVX512)
#endif

/* A single plane needs no more than the turn. */
static void turn_bytes(const uint8_t *in, size_t n, enum ebb_turn turn, uint8_t *out)
{
    if (turn == EBB_TURN_NONE) {
        if (n > 0)
            memcpy(out, in, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned sign = in[i] >> 7, twice = (unsigned)in[i] << 1;
        out[i] = (uint8_t)(turn == EBB_TURN_ROTATE ? twice | sign : twice ^ (0U - sign));
    }
}

static void turn_bytes_back(const uint8_t *in, size_t n, enum ebb_turn turn, uint8_t *out)
{
    if (turn == EBB_TURN_NONE) {
        if (n > 0)
            memcpy(out, in, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned half = in[i] >> 1, low = in[i] & 1U;
        out[i] = (uint8_t)(turn == EBB_TURN_ROTATE ? half | low << 7 : half ^ (0U - low));
    }
}

void ebb_planes_split(const void *data, size_t elements, unsigned stride, enum ebb_turn turn,
                      uint8_t *const planes[])
{
    if (stride == 1) {
        turn_bytes(data, elements, turn, planes[0]);
        return;
    }
    switch (ebb_cpu_level()) {
#if defined(__x86_64__)
    case EBB_CPU_AVX512:
        split_avx512(data, elements, stride, turn, planes);
        return;
    case EBB_CPU_AVX2:
        split_avx2(data, elements, stride, turn, planes);
        return;
#endif
    default:
        split_reference(data, elements, stride, turn, planes);
    }
}

void ebb_planes_merge(const uint8_t *const planes[], size_t elements, unsigned stride,
                      enum ebb_turn turn, void *data)
{
    if (stride == 1) {
        turn_bytes_back(planes[0], elements, turn, data);
        return;
    }
    switch (ebb_cpu_level()) {
#if defined(__x86_64__)
    case EBB_CPU_AVX512:
        merge_avx512(planes, elements, stride, turn, data);
        return;
    case EBB_CPU_AVX2:
        merge_avx2(planes, elements, stride, turn, data);
        return;
#endif
    default:
        merge_reference(planes, elements, stride, turn, data);
    }
}
