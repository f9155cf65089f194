/* The loops of the method of steps over a run of elements of one row, or a piece of several:
 * written once, made SIMD for each instruction set, except what has instructions of its own. */
#include "kernels/bits.h"
#include "kernels/cpu.h"
#include "kernels/tensor/step.h"
#include "kernels/tensor/step_float.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

INLINE int32_t step_low_most(enum ebb_dtype dtype)
{
    return (int32_t)step_fraction(dtype) - 2;
}

INLINE void step_store(uint8_t *at, uint32_t w, enum ebb_dtype dtype)
{
    uint16_t half = (uint16_t)w;
    if (dtype == EBB_DTYPE_F32)
        memcpy(at, &w, sizeof w);
    else
        memcpy(at, &half, sizeof half);
}

/* Sums of products, exact: at most 16 of 127 * 127. */
static void products_reference(const struct ebb_step_run *r, size_t at, float p[EBB_STEP_BLOCK])
{
    int32_t sum[EBB_STEP_BLOCK] = {0};
    for (unsigned k = 0; k < r->pairs; k++) {
        const int16_t *v = r->v + 2 * (k * r->stride + at);
        int32_t u0 = r->u[2 * k], u1 = r->u[2 * k + 1];
        for (unsigned j = 0; j < EBB_STEP_BLOCK; j++)
            sum[j] += u0 * v[2 * j] + u1 * v[2 * j + 1];
    }
    for (unsigned j = 0; j < EBB_STEP_BLOCK; j++)
        p[j] = (float)sum[j];
}

#if defined(__x86_64__)
INLINE int32_t step_pair(const struct ebb_step_run *r, unsigned k)
{
    int32_t pair;
    memcpy(&pair, r->u + 2 * k, sizeof pair);
    return pair;
}

EBB_TARGET_AVX2 static void products_avx2(const struct ebb_step_run *r, size_t at,
                                          float p[EBB_STEP_BLOCK])
{
    enum { VECTORS = EBB_STEP_BLOCK / 8 };
    __m256i sum[VECTORS];
    for (unsigned b = 0; b < VECTORS; b++)
        sum[b] = _mm256_setzero_si256();
    for (unsigned k = 0; k < r->pairs; k++) {
        const __m256i u = _mm256_set1_epi32(step_pair(r, k));
        const int16_t *v = r->v + 2 * (k * r->stride + at);
        for (unsigned b = 0; b < VECTORS; b++) {
            __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(v + 16 * b));
            sum[b] = _mm256_add_epi32(sum[b], _mm256_madd_epi16(u, x));
        }
    }
    for (unsigned b = 0; b < VECTORS; b++)
        _mm256_storeu_ps(p + 8 * b, _mm256_cvtepi32_ps(sum[b]));
}

EBB_TARGET_AVX512 static void products_avx512(const struct ebb_step_run *r, size_t at,
                                              float p[EBB_STEP_BLOCK])
{
    enum { VECTORS = EBB_STEP_BLOCK / 16 };
    __m512i sum[VECTORS];
    for (unsigned b = 0; b < VECTORS; b++)
        sum[b] = _mm512_setzero_si512();
    for (unsigned k = 0; k < r->pairs; k++) {
        const __m512i u = _mm512_set1_epi32(step_pair(r, k));
        const int16_t *v = r->v + 2 * (k * r->stride + at);
        for (unsigned b = 0; b < VECTORS; b++)
            sum[b] = _mm512_add_epi32(sum[b], _mm512_madd_epi16(u, _mm512_loadu_si512(v + 32 * b)));
    }
    for (unsigned b = 0; b < VECTORS; b++)
        _mm512_storeu_ps(p + 16 * b, _mm512_cvtepi32_ps(sum[b]));
}
#endif

/* Of a block from column `at` of the run on, `p` the sums of its products. */
INLINE void expect_any(const struct ebb_step_run *r, size_t at, const float p[EBB_STEP_BLOCK],
                       enum ebb_dtype dtype, int32_t *restrict expected)
{
    size_t n = r->n - at < EBB_STEP_BLOCK ? r->n - at : EBB_STEP_BLOCK;
    const uint8_t *base = r->base + at * (step_width(dtype) / 8);
    float keep = r->keep, scale = r->scale;
    for (size_t j = 0; j < n; j++) {
        uint32_t w = step_load(base + j * (step_width(dtype) / 8), dtype);
        float x = step_to_float(w, dtype) * keep + p[j] * scale;
        uint32_t e = step_from_float(x, dtype);
        expected[at + j] = step_order(step_special(w, dtype) ? w : e, dtype);
    }
}

INLINE void classify_any(const struct ebb_step_run *r, enum ebb_dtype dtype, int32_t first,
                         int32_t last, const int32_t *restrict expected, uint8_t *restrict low,
                         uint8_t *restrict context)
{
    const uint8_t *column = r->column;
    int32_t row = r->row, most = step_low_most(dtype);
    int32_t top = EBB_STEP_NORMAL + 2 * most + 1 + EBB_STEP_CLASSES_LAST;
    for (size_t j = 0; j < r->n; j++) {
        int32_t log = row + column[j] - EBB_STEP_LOGS * step_exponent(expected[j], dtype);
        int32_t class = log >> 1;
        class = class < 0 ? 0 : class > top ? top : class;
        int32_t bits = (class - EBB_STEP_NORMAL) >> 1;
        bits = bits < 0 ? 0 : bits > most ? most : bits;
        int32_t c = class - 2 * bits;
        c = c < first ? first : c > last ? last : c;
        low[j] = (uint8_t)bits;
        context[j] = (uint8_t)(c - first);
    }
}

INLINE void part_any(const uint8_t *restrict data, size_t n, enum ebb_dtype dtype,
                     const int32_t *restrict expected, const uint8_t *restrict low,
                     uint8_t *restrict symbol, uint8_t *restrict bits)
{
    size_t size = step_width(dtype) / 8;
    for (size_t j = 0; j < n; j++) {
        int32_t x = step_order(step_load(data + j * (step_width(dtype) / 8), dtype), dtype);
        int32_t d = (int32_t)((uint32_t)x - (uint32_t)expected[j]), t = d >> low[j];
        symbol[j] = (uint8_t)(t >= -127 && t <= 127 ? t + 128 : 0);
        step_store(bits + j * size, (uint32_t)d & ((1U << low[j]) - 1), dtype);
    }
}

INLINE void join_any(const uint8_t *restrict symbol, const uint8_t *restrict bits,
                     const uint8_t *restrict low, const int32_t *restrict expected, size_t n,
                     enum ebb_dtype dtype, uint8_t *restrict out)
{
    size_t size = step_width(dtype) / 8;
    for (size_t j = 0; j < n; j++) {
        uint32_t d = ((uint32_t)symbol[j] - 128) << low[j] | step_load(bits + j * size, dtype);
        step_store(out + j * size, step_order_back((int32_t)((uint32_t)expected[j] + d), dtype),
                   dtype);
    }
}

/* Logarithms of the distance in quarter octaves, as if the exponent were 0; the least is about -8.
 * Returns their sum. */
INLINE int64_t logs_any(const uint8_t *restrict data, size_t n, enum ebb_dtype dtype,
                        const int32_t *restrict expected, int32_t *restrict logs)
{
    int64_t sum = 0;
    for (size_t j = 0; j < n; j++) {
        int32_t x = step_order(step_load(data + j * (step_width(dtype) / 8), dtype), dtype);
        int32_t d = (int32_t)((uint32_t)x - (uint32_t)expected[j]);
        float size = __builtin_fabsf((float)d) + 0.25F;
        logs[j] = (int32_t)(step_float_to_bits(size) >> 21) - 127 * EBB_STEP_LOGS +
                  EBB_STEP_LOGS * step_exponent(expected[j], dtype);
        sum += logs[j];
    }
    return sum;
}

/* So many elements fill a word of 64 bits; their low bits together are 56 at most. */
INLINE unsigned step_group(enum ebb_dtype dtype)
{
    return 64 / step_width(dtype);
}

INLINE void put_any(const uint8_t *restrict bits, const uint8_t *restrict low, size_t n,
                    enum ebb_dtype dtype, struct ebb_bit_writer *writer)
{
    struct ebb_bit_writer w = *writer;
    size_t i = 0, size = step_width(dtype) / 8;
    for (; i + step_group(dtype) <= n; i += step_group(dtype)) {
        uint64_t word = 0;
        unsigned count = 0;
        for (unsigned k = 0; k < step_group(dtype); k++) {
            word |= (uint64_t)step_load(bits + (i + k) * size, dtype) << count;
            count += low[i + k];
        }
        ebb_bits_put(&w, word, count);
    }
    for (; i < n; i++)
        ebb_bits_put(&w, step_load(bits + i * size, dtype), low[i]);
    *writer = w;
}

/* True when n elements' low bits from `at` on end before `end`. */
INLINE bool step_has_bits(const uint8_t *low, size_t n, uint64_t at, uint64_t end)
{
    uint32_t sum = 0;
    for (size_t k = 0; k < n; k++)
        sum += low[k];
    return sum <= end - at;
}

/* From bit `at` on; returns the bit after the last. When there are not so many, nothing is read and
 * it is one after `end`. */
INLINE uint64_t get_any(const uint8_t *in, uint64_t at, uint64_t end, const uint8_t *restrict low,
                        size_t n, enum ebb_dtype dtype, uint8_t *restrict bits)
{
    size_t i = 0, size = step_width(dtype) / 8;
    if (!step_has_bits(low, n, at, end))
        return end + 1;
    for (; i + step_group(dtype) <= n; i += step_group(dtype)) {
        uint64_t word = ebb_bits_peek(in, at);
        for (unsigned k = 0; k < step_group(dtype); k++) {
            step_store(bits + (i + k) * size, (uint32_t)ebb_bits_low(word, low[i + k]), dtype);
            word >>= low[i + k];
            at += low[i + k];
        }
    }
    for (; i < n; i++) {
        step_store(bits + i * size, (uint32_t)ebb_bits_low(ebb_bits_peek(in, at), low[i]), dtype);
        at += low[i];
    }
    return at;
}

#if defined(__x86_64__)
/* Masks of the low bits, in words as wide as the elements; the last word is filled up with zeros.
 */
INLINE void step_masks(const uint8_t *restrict low, size_t n, enum ebb_dtype dtype,
                       uint64_t *restrict masks)
{
    size_t size = step_width(dtype) / 8;
    masks[n * size / 8] = 0;
    for (size_t j = 0; j < n; j++)
        step_store((uint8_t *)masks + j * size, (1U << low[j]) - 1, dtype);
}

/* Where bits are collected and dealt out by one instruction each; not so on machines before
 * AVX-512 that have it, some of which take a hundred cycles for it. */
EBB_TARGET_AVX512 INLINE void put_words(const uint8_t *bits, const uint64_t *masks, size_t words,
                                        struct ebb_bit_writer *writer)
{
    struct ebb_bit_writer w = *writer;
    for (size_t i = 0; i < words; i++) {
        uint64_t word;
        memcpy(&word, bits + 8 * i, sizeof word);
        ebb_bits_put(&w, _pext_u64(word, masks[i]), (unsigned)__builtin_popcountll(masks[i]));
    }
    *writer = w;
}

EBB_TARGET_AVX512 INLINE uint64_t get_words(const uint8_t *in, uint64_t at, const uint64_t *masks,
                                            size_t words, uint8_t *bits)
{
    for (size_t i = 0; i < words; i++) {
        uint64_t word = _pdep_u64(ebb_bits_peek(in, at), masks[i]);
        memcpy(bits + 8 * i, &word, sizeof word);
        at += (unsigned)__builtin_popcountll(masks[i]);
    }
    return at;
}
#endif

/* The loops, once for each instruction set; the type a constant in each. */
#define BY_DTYPE(call)                                                                             \
    do {                                                                                           \
        if (dtype == EBB_DTYPE_F32) {                                                              \
            const enum ebb_dtype type = EBB_DTYPE_F32;                                             \
            call;                                                                                  \
        } else if (dtype == EBB_DTYPE_BF16) {                                                      \
            const enum ebb_dtype type = EBB_DTYPE_BF16;                                            \
            call;                                                                                  \
        } else {                                                                                   \
            const enum ebb_dtype type = EBB_DTYPE_F16;                                             \
            call;                                                                                  \
        }                                                                                          \
    } while (0)

#define DEFINE_TARGET(suffix, target)                                                              \
    target static void expect_##suffix(const struct ebb_step_run *r, enum ebb_dtype dtype,         \
                                       int32_t *expected)                                          \
    {                                                                                              \
        for (size_t at = 0; at < r->n; at += EBB_STEP_BLOCK) {                                     \
            float p[EBB_STEP_BLOCK];                                                               \
            products_##suffix(r, at, p);                                                           \
            BY_DTYPE(expect_any(r, at, p, type, expected));                                        \
        }                                                                                          \
    }                                                                                              \
    target static void classify_##suffix(const struct ebb_step_run *r, enum ebb_dtype dtype,       \
                                         int32_t first, int32_t last, const int32_t *expected,     \
                                         uint8_t *low, uint8_t *context)                           \
    {                                                                                              \
        BY_DTYPE(classify_any(r, type, first, last, expected, low, context));                      \
    }                                                                                              \
    target static void part_##suffix(const uint8_t *data, size_t n, enum ebb_dtype dtype,          \
                                     const struct ebb_step_piece *c)                               \
    {                                                                                              \
        BY_DTYPE(part_any(data, n, type, c->expected, c->low, c->symbol, c->bits));                \
    }                                                                                              \
    target static void join_##suffix(const struct ebb_step_piece *c, size_t n,                     \
                                     enum ebb_dtype dtype, uint8_t *out)                           \
    {                                                                                              \
        BY_DTYPE(join_any(c->symbol, c->bits, c->low, c->expected, n, type, out));                 \
    }                                                                                              \
    target static int64_t logs_##suffix(const uint8_t *data, size_t n, enum ebb_dtype dtype,       \
                                        const int32_t *expected, int32_t *logs)                    \
    {                                                                                              \
        int64_t sum = 0;                                                                           \
        BY_DTYPE(sum = logs_any(data, n, type, expected, logs));                                   \
        return sum;                                                                                \
    }

#define DEFINE_BITS(suffix, target)                                                                \
    target static void put_##suffix(const struct ebb_step_piece *c, size_t n,                      \
                                    enum ebb_dtype dtype, struct ebb_bit_writer *w)                \
    {                                                                                              \
        BY_DTYPE(put_any(c->bits, c->low, n, type, w));                                            \
    }                                                                                              \
    target static uint64_t get_##suffix(const uint8_t *in, uint64_t at, uint64_t end,              \
                                        const struct ebb_step_piece *c, size_t n,                  \
                                        enum ebb_dtype dtype)                                      \
    {                                                                                              \
        BY_DTYPE(at = get_any(in, at, end, c->low, n, type, c->bits));                             \
        return at;                                                                                 \
    }

DEFINE_TARGET(reference, )
DEFINE_BITS(reference, )
#if defined(__x86_64__)
DEFINE_TARGET(avx2, EBB_TARGET_AVX2)
DEFINE_BITS(avx2, EBB_TARGET_AVX2)
DEFINE_TARGET(avx512, EBB_TARGET_AVX512)

EBB_TARGET_AVX512 static void put_avx512(const struct ebb_step_piece *c, size_t n,
                                         enum ebb_dtype dtype, struct ebb_bit_writer *w)
{
    uint64_t masks[EBB_STEP_PIECE / 2 + 1];
    BY_DTYPE(step_masks(c->low, n, type, masks));
    put_words(c->bits, masks, (n + step_group(dtype) - 1) / step_group(dtype), w);
}

EBB_TARGET_AVX512 static uint64_t get_avx512(const uint8_t *in, uint64_t at, uint64_t end,
                                             const struct ebb_step_piece *c, size_t n,
                                             enum ebb_dtype dtype)
{
    uint64_t masks[EBB_STEP_PIECE / 2 + 1];
    if (!step_has_bits(c->low, n, at, end))
        return end + 1;
    BY_DTYPE(step_masks(c->low, n, type, masks));
    return get_words(in, at, masks, (n + step_group(dtype) - 1) / step_group(dtype), c->bits);
}
#endif

static const struct ebb_step_lanes lanes[] = {
    {expect_reference, classify_reference, part_reference, join_reference, logs_reference,
     put_reference, get_reference},
#if defined(__x86_64__)
    {expect_avx2, classify_avx2, part_avx2, join_avx2, logs_avx2, put_avx2, get_avx2},
    {expect_avx512, classify_avx512, part_avx512, join_avx512, logs_avx512, put_avx512, get_avx512},
#endif
};

const struct ebb_step_lanes *ebb_step_lanes(void)
{
    return &lanes[ebb_cpu_level()];
}
