/* The choice of a method: entropies of a sample stand for what each would write. */
#include "kernels/tensor/choose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/planes.h"
#include "kernels/tensor/step.h"

#define RUNS       8
#define RUN        ((size_t)2048)
#define SAMPLE     (RUNS * RUN)
#define MIN_SCALED ((size_t)4096) /* smaller tensors are not worth rows' and columns' means */

struct sample {
    size_t n;
    unsigned width; /* bits */
    uint64_t *data, *base;
};

/* A sixteenth of the elements, in runs from all over; all of a small tensor. */
static size_t sample_size(const struct ebb_tensor_array *a)
{
    size_t n = a->elements / 16 / RUNS * RUNS;
    if (a->elements <= RUN)
        return a->elements;
    return n < RUN ? RUN : n > SAMPLE ? SAMPLE : n;
}

static uint64_t load(const uint8_t *at, unsigned stride)
{
    uint64_t wide;
    uint32_t word;
    uint16_t half;
    switch (stride) {
    case 8:
        memcpy(&wide, at, sizeof wide);
        return wide;
    case 4:
        memcpy(&word, at, sizeof word);
        return word;
    case 2:
        memcpy(&half, at, sizeof half);
        return half;
    default:
        return *at;
    }
}

static void take(const struct ebb_tensor_array *a, const uint8_t *from, uint64_t *out)
{
    size_t n = sample_size(a), runs = n < a->elements ? RUNS : 1, run = n / runs;
    uint8_t scratch[8 * RUN];
    for (size_t r = 0; r < runs; r++) {
        size_t first = runs == 1 ? 0 : (a->elements - run) / (runs - 1) * r;
        const uint8_t *in = ebb_tensor_chunk(a, from, first, run, scratch);
        for (size_t i = 0; i < run; i++)
            *out++ = load(in + i * a->stride, a->stride);
    }
}

static double entropy_bits(const uint32_t *counts, size_t symbols)
{
    double total = 0, sum = 0;
    for (size_t s = 0; s < symbols; s++)
        if (counts[s] > 0) {
            total += counts[s];
            sum += counts[s] * log2(counts[s]);
        }
    return total > 0 ? total * log2(total) - sum : 0;
}

static uint64_t low_bits(unsigned width)
{
    return width == 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
}

/* As kernels/planes.h turns them. */
static double planes_bits(const struct ebb_tensor_array *a, const struct sample *s)
{
    unsigned turn = ebb_tensor_turn(a->dtype);
    double bits = 0;
    for (unsigned k = 0; k < a->stride; k++) {
        uint32_t counts[256] = {0};
        for (size_t i = 0; i < s->n; i++) {
            uint64_t w = s->data[i], sign = w >> (s->width - 1);
            if (turn == EBB_TURN_ROTATE)
                w = w << 1 | sign;
            else if (turn == EBB_TURN_ZIGZAG)
                w = w << 1 ^ (0 - sign);
            counts[w >> (8 * k) & 255]++;
        }
        bits += fmin(entropy_bits(counts, 256), 8.0 * (double)s->n);
    }
    return bits;
}

/* Tokens as in delta.c, given the base's exponent; the contexts' limits do not matter here. */
static double delta_bits(const struct ebb_tensor_array *a, const struct sample *s)
{
    enum { CONTEXTS = 64, TOKENS = 256 };
    EBB_AUTO_FREE uint32_t *counts = calloc((size_t)CONTEXTS * TOKENS, sizeof *counts);
    if (counts == NULL)
        return HUGE_VAL;
    bool is_float = ebb_dtype_is_float(a->dtype);
    unsigned fraction = ebb_dtype_fraction_bits(a->dtype);
    uint64_t mask = low_bits(s->width), magnitude = mask >> 1;
    uint64_t raw_bits = 0;
    for (size_t i = 0; i < s->n; i++) {
        uint64_t x = s->data[i], y = s->base[i];
        size_t context = is_float ? (y & magnitude) >> fraction & (CONTEXTS - 1) : 0;
        if (is_float) {
            x = x > magnitude ? ~(x & magnitude) : x;
            y = y > magnitude ? ~(y & magnitude) : y;
        }
        uint64_t d = (x - y) & mask;
        uint64_t size = d > magnitude ? (0 - d) & mask : d;
        unsigned raw = 61 - (unsigned)__builtin_clzll(size | 7);
        counts[context * TOKENS + ((size >> raw) + 4 * raw)]++;
        raw_bits += raw + (size != 0);
    }
    double bits = (double)raw_bits;
    for (size_t c = 0; c < CONTEXTS; c++)
        bits += entropy_bits(counts + c * TOKENS, TOKENS);
    return bits;
}

static bool may_scale(const struct ebb_tensor_array *a, enum ebb_tensor_role role)
{
    return ebb_dtype_is_float(a->dtype) && a->stride >= 2 && a->elements >= MIN_SCALED &&
           (role == EBB_TENSOR_SECOND_MOMENT || a->level == EBB_ENTROPY_SMALL);
}

/* The method of scales is tried on some rows in the middle: what it does there is the estimate. */
static double scale_bits(const struct ebb_tensor_array *a, size_t sampled)
{
    size_t rows = a->elements / a->columns, wanted = SAMPLE / a->columns + 16;
    struct ebb_tensor_array part = *a;
    if (a->columns == 1)
        wanted = SAMPLE;
    if (rows > wanted) {
        size_t first = (rows - wanted) / 2 * a->columns;
        part.elements = wanted * a->columns;
        part.data += first * a->stride;
        part.base = a->base != NULL ? a->base + first * a->stride : NULL;
    }
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    if (ebb_tensor_scale_encode(&part, &out, NULL) < 0)
        return HUGE_VAL;
    return 8.0 * (double)out.len * (double)sampled / (double)part.elements;
}

int ebb_tensor_choose(struct ebb_tensor_array *a, enum ebb_tensor_role role,
                      enum ebb_tensor_method *ret, double *ret_delta_bytes, struct ebb_error *err)
{
    size_t bytes = a->elements * a->stride;
    if (a->base != NULL && (bytes == 0 || memcmp(a->data, a->base, bytes) == 0)) {
        *ret = EBB_TENSOR_SAME;
        return 0;
    }
    if (a->base == NULL && !may_scale(a, role)) {
        *ret = EBB_TENSOR_PLANES;
        return 0;
    }
    struct sample s = {.n = sample_size(a), .width = 8 * a->stride};
    EBB_AUTO_FREE uint64_t *words = malloc(2 * SAMPLE * sizeof *words);
    if (words == NULL)
        return ebb_tensor_no_memory(err, 2 * SAMPLE * sizeof *words);
    s.data = words;
    s.base = words + SAMPLE;
    take(a, a->data, s.data);
    *ret = EBB_TENSOR_PLANES;
    double best = HUGE_VAL;
    const uint8_t *base = a->base;
    if (a->elements > 0)
        best = planes_bits(a, &s);
    if (base != NULL && role != EBB_TENSOR_FIRST_MOMENT) {
        take(a, base, s.base);
        double bits = delta_bits(a, &s);
        if (bits < best) {
            best = bits;
            *ret = ebb_step_applies(a) ? EBB_TENSOR_STEP : EBB_TENSOR_DELTA;
            *ret_delta_bytes = bits / 8 / (double)s.n * (double)a->elements;
        }
    }
    if (role == EBB_TENSOR_FIRST_MOMENT)
        a->base = NULL;
    if (may_scale(a, role) && scale_bits(a, s.n) < best * 0.997)
        *ret = EBB_TENSOR_SCALE;
    if (*ret == EBB_TENSOR_PLANES)
        a->base = NULL;
    return 0;
}
