/* The method of differences from a base: how far an element moved, in steps of its own precision.
 *
 *     body     contexts (1 byte), top (varint), then for each chunk:
 *                a block of tokens for each context that has elements in the chunk
 *                a stored block: the string of raw bits
 *     token    the size a of the difference: a itself below 8, else its three highest bits and the
 *              number r of those below: (a >> r) + 4r
 *     raw      those r bits, then the sign (1: down) unless a is 0
 *
 * A step of the optimiser is about as long for a small weight as for a large one, so the number of
 * ulps follows from the base's exponent: tokens are coded apart by it. Context = top - exponent,
 * within 0..contexts-1; the reader has the base and needs not be told. */
#include <stdlib.h>

#include "kernels/bits.h"
#include "kernels/cpu.h"
#include "kernels/tensor/method.h"
#include "kernels/varint.h"

#define INLINE static inline __attribute__((always_inline))

#define MAX_CONTEXTS        16
#define ELEMENTS_OF_CONTEXT 512
/* What a reader of bits may touch past the end. */
#define SLACK (2 * EBB_BITS_SLACK)

struct delta_shape {
    bool is_float;
    unsigned shift; /* of the exponent */
    int32_t top;
    unsigned contexts;
};

#define WIDTH 8
#include "kernels/tensor/delta_width.h"
#undef WIDTH
#define WIDTH 16
#include "kernels/tensor/delta_width.h"
#undef WIDTH
#define WIDTH 32
#include "kernels/tensor/delta_width.h"
#undef WIDTH
#define WIDTH 64
#include "kernels/tensor/delta_width.h"
#undef WIDTH

/* One chunk's arrays. */
struct chunk {
    const uint8_t *data, *base;
    size_t n;
    void *difference; /* n words: sizes when writing */
    uint8_t *sign, *context;
    uint8_t *tokens;                  /* by context, one after another */
    size_t count[MAX_CONTEXTS];       /* elements of each, */
    uint32_t before[4][MAX_CONTEXTS]; /* and of those the ones before each quarter of the chunk */
    uint8_t *place[MAX_CONTEXTS];     /* where the next token of each goes */
    const uint8_t *from[MAX_CONTEXTS];
};

INLINE void find_contexts(struct chunk *c, unsigned stride, const struct delta_shape *shape)
{
    if (stride == 1)
        contexts_8(c->base, c->n, shape, c->context);
    else if (stride == 2)
        contexts_16(c->base, c->n, shape, c->context);
    else if (stride == 4)
        contexts_32(c->base, c->n, shape, c->context);
    else
        contexts_64(c->base, c->n, shape, c->context);
    uint32_t table[4][MAX_CONTEXTS] = {{0}};
    size_t quarter = c->n / 4;
    for (size_t i = 0; i < quarter; i++)
        for (size_t q = 0; q < 4; q++)
            table[q][c->context[q * quarter + i]]++;
    for (size_t i = 4 * quarter; i < c->n; i++)
        table[3][c->context[i]]++;
    for (unsigned k = 0; k < MAX_CONTEXTS; k++) {
        c->count[k] = 0;
        for (unsigned q = 0; q < 4; q++) {
            c->before[q][k] = (uint32_t)c->count[k];
            c->count[k] += table[q][k];
        }
    }
}

INLINE void find_differences(struct chunk *c, unsigned stride, bool is_float)
{
    if (stride == 1)
        differences_8(c->data, c->base, c->n, is_float, c->difference, c->sign);
    else if (stride == 2)
        differences_16(c->data, c->base, c->n, is_float, c->difference, c->sign);
    else if (stride == 4)
        differences_32(c->data, c->base, c->n, is_float, c->difference, c->sign);
    else
        differences_64(c->data, c->base, c->n, is_float, c->difference, c->sign);
}

INLINE void put_tokens(struct chunk *c, unsigned stride, struct ebb_bit_writer *bits)
{
    if (stride == 1)
        put_8(c->difference, c->sign, c->context, c->n, c->place, bits);
    else if (stride == 2)
        put_16(c->difference, c->sign, c->context, c->n, c->place, bits);
    else if (stride == 4)
        put_32(c->difference, c->sign, c->context, c->n, c->place, bits);
    else
        put_64(c->difference, c->sign, c->context, c->n, c->place, bits);
}

/* Tokens back into the elements' order, in place of the contexts. Four quarters at once: a place
 * that moves on waits for itself. */
INLINE void order_tokens(struct chunk *c)
{
    const uint8_t *place[4][MAX_CONTEXTS];
    size_t quarter = c->n / 4;
    uint8_t *context = c->context;
    for (unsigned q = 0; q < 4; q++)
        for (unsigned k = 0; k < MAX_CONTEXTS; k++)
            place[q][k] = c->count[k] > 0 ? c->from[k] + c->before[q][k] : NULL;
    for (size_t i = 0; i < quarter; i++)
        for (size_t q = 0; q < 4; q++) {
            uint8_t *at = context + q * quarter + i;
            *at = *place[q][*at]++;
        }
    for (size_t i = 4 * quarter; i < c->n; i++)
        context[i] = *place[3][context[i]]++;
}

INLINE uint64_t get_tokens(struct chunk *c, unsigned stride, const uint8_t *raw, uint64_t end)
{
    order_tokens(c);
    if (stride == 1)
        return get_8(raw, 0, end, c->context, c->n, c->difference);
    if (stride == 2)
        return get_16(raw, 0, end, c->context, c->n, c->difference);
    if (stride == 4)
        return get_32(raw, 0, end, c->context, c->n, c->difference);
    return get_64(raw, 0, end, c->context, c->n, c->difference);
}

INLINE void add_differences(const struct chunk *c, unsigned stride, bool is_float, uint8_t *out)
{
    if (stride == 1)
        add_8(c->difference, c->base, c->n, is_float, out);
    else if (stride == 2)
        add_16(c->difference, c->base, c->n, is_float, out);
    else if (stride == 4)
        add_32(c->difference, c->base, c->n, is_float, out);
    else
        add_64(c->difference, c->base, c->n, is_float, out);
}

static void set_places(struct chunk *c)
{
    uint8_t *at = c->tokens;
    for (unsigned k = 0; k < MAX_CONTEXTS; k++) {
        c->place[k] = at;
        at += c->count[k];
    }
}

INLINE uint8_t *write_chunk(struct chunk *c, unsigned stride, const struct delta_shape *shape,
                            uint8_t *raw)
{
    struct ebb_bit_writer bits = {.out = raw};
    find_contexts(c, stride, shape);
    set_places(c);
    find_differences(c, stride, shape->is_float);
    put_tokens(c, stride, &bits);
    return ebb_bits_end(&bits);
}

/* The same loops for each instruction set. */
#define DEFINE_TARGET(suffix, target)                                                              \
    target static uint8_t *write_##suffix(struct chunk *c, unsigned stride,                        \
                                          const struct delta_shape *shape, uint8_t *raw)           \
    {                                                                                              \
        return write_chunk(c, stride, shape, raw);                                                 \
    }                                                                                              \
    target static void contexts_##suffix(struct chunk *c, unsigned stride,                         \
                                         const struct delta_shape *shape)                          \
    {                                                                                              \
        find_contexts(c, stride, shape);                                                           \
    }                                                                                              \
    target static uint64_t read_##suffix(struct chunk *c, unsigned stride, bool is_float,          \
                                         const uint8_t *raw, uint64_t end, uint8_t *out)           \
    {                                                                                              \
        uint64_t at = get_tokens(c, stride, raw, end);                                             \
        if (at <= end)                                                                             \
            add_differences(c, stride, is_float, out);                                             \
        return at;                                                                                 \
    }

DEFINE_TARGET(reference, )
#if defined(__x86_64__)
DEFINE_TARGET(avx2, EBB_TARGET_AVX2)
DEFINE_TARGET(avx512, EBB_TARGET_AVX512)
#endif

static const struct routines {
    uint8_t *(*write)(struct chunk *, unsigned, const struct delta_shape *, uint8_t *);
    void (*contexts)(struct chunk *, unsigned, const struct delta_shape *);
    uint64_t (*read)(struct chunk *, unsigned, bool, const uint8_t *, uint64_t, uint8_t *);
} routines[] = {
    {write_reference, contexts_reference, read_reference},
#if defined(__x86_64__)
    {write_avx2, contexts_avx2, read_avx2},
    {write_avx512, contexts_avx512, read_avx512},
#endif
};

/* All the memory of a chunk at once. */
struct room {
    uint8_t *all, *swapped_data, *swapped_base, *raw;
};

static bool take_room(const struct ebb_tensor_array *a, struct room *r, struct chunk *c)
{
    size_t n = a->elements < EBB_TENSOR_CHUNK ? a->elements : EBB_TENSOR_CHUNK;
    size_t words = (n * a->stride + 63) / 64 * 64, bytes = (n + 63) / 64 * 64;
    if (posix_memalign((void **)&r->all, 64, 4 * words + 3 * bytes + 64 + SLACK) != 0)
        return false;
    c->difference = r->all;
    r->swapped_data = r->all + words;
    r->swapped_base = r->swapped_data + words;
    c->sign = r->swapped_base + words;
    c->context = c->sign + bytes;
    c->tokens = c->context + bytes;
    r->raw = c->tokens + bytes;
    return true;
}

/* The greatest exponent that is not rare, from a sample of the base. */
static int32_t find_top(const struct ebb_tensor_array *a, unsigned shift)
{
    enum { SAMPLES = 4096, BINS = 2048 };
    uint32_t bins[BINS] = {0};
    size_t step = a->elements / SAMPLES + 1, taken = 0, above = 0;
    for (size_t i = 0; i < a->elements; i += step, taken++) {
        uint8_t word[8];
        uint64_t w = 0;
        memcpy(&w, ebb_tensor_chunk(a, a->base, i, 1, word), a->stride);
        w &= (UINT64_C(1) << (8 * a->stride - 1)) - 1;
        bins[(w >> shift) % BINS]++;
    }
    int32_t top = BINS - 1;
    for (above = bins[top]; top > 0 && above * 256 <= taken; above += bins[top])
        top--;
    return top;
}

static struct delta_shape shape_of(const struct ebb_tensor_array *a)
{
    struct delta_shape shape = {.is_float = ebb_dtype_is_float(a->dtype), .contexts = 1};
    if (!shape.is_float)
        return shape;
    shape.shift = ebb_dtype_fraction_bits(a->dtype);
    shape.top = find_top(a, shape.shift);
    size_t contexts = a->elements / ELEMENTS_OF_CONTEXT;
    shape.contexts = contexts < 1 ? 1 : contexts > MAX_CONTEXTS ? MAX_CONTEXTS : (unsigned)contexts;
    return shape;
}

int ebb_tensor_delta_encode(const struct ebb_tensor_array *a, struct ebb_buffer *out,
                            struct ebb_error *err)
{
    const struct routines *with = &routines[ebb_cpu_level()];
    struct delta_shape shape = shape_of(a);
    struct chunk c = {0};
    struct room room = {0};
    if (!take_room(a, &room, &c))
        return ebb_tensor_no_memory(err, 8 * a->stride * EBB_TENSOR_CHUNK);
    EBB_AUTO_FREE uint8_t *all = room.all;
    (void)all; /* held to be freed */
    uint8_t head[1 + EBB_VARINT_MAX] = {(uint8_t)shape.contexts};
    ebb_buffer_append(out, head, 1 + ebb_varint_put(head + 1, (uint64_t)shape.top));
    for (size_t at = 0; at < a->elements; at += c.n) {
        c.n = a->elements - at < EBB_TENSOR_CHUNK ? a->elements - at : EBB_TENSOR_CHUNK;
        c.data = ebb_tensor_chunk(a, a->data, at, c.n, room.swapped_data);
        c.base = ebb_tensor_chunk(a, a->base, at, c.n, room.swapped_base);
        uint8_t *end = with->write(&c, a->stride, &shape, room.raw);
        set_places(&c);
        for (unsigned k = 0; k < shape.contexts; k++)
            if (c.count[k] > 0)
                ebb_entropy_encode(c.place[k], c.count[k], a->level, out);
        ebb_entropy_store(room.raw, (size_t)(end - room.raw), out);
    }
    return 0;
}

static int read_shape(const struct ebb_tensor_array *a, struct ebb_tensor_body *body,
                      struct delta_shape *ret, struct ebb_error *err)
{
    uint8_t contexts;
    uint64_t top;
    int rc = ebb_tensor_body_bytes(body, &contexts, 1, err);
    if (rc == 0)
        rc = ebb_tensor_body_varint(body, &top, err);
    if (rc < 0)
        return rc;
    if (contexts < 1 || contexts > MAX_CONTEXTS || top > 2047 || a->base == NULL)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "differences: their head is damaged");
    *ret = (struct delta_shape){.is_float = ebb_dtype_is_float(a->dtype),
                                .shift = ebb_dtype_fraction_bits(a->dtype),
                                .top = (int32_t)top,
                                .contexts = contexts};
    return 0;
}

/* The string of bits with bytes behind it that may be touched: those that follow in the blob, else
 * a copy. */
static int view_bits(struct ebb_tensor_body *body, uint8_t *copy, size_t room, const uint8_t **ret,
                     size_t *ret_len, struct ebb_error *err)
{
    int rc = ebb_tensor_body_stored(body, ret, ret_len, err);
    if (rc < 0 || body->len >= SLACK)
        return rc;
    if (*ret_len > room)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "differences: more bits than they can have");
    memcpy(copy, *ret, *ret_len);
    memset(copy + *ret_len, 0, SLACK);
    *ret = copy;
    return 0;
}

int ebb_tensor_delta_decode(const struct ebb_tensor_array *a, struct ebb_tensor_body *body,
                            uint8_t *out, struct ebb_error *err)
{
    const struct routines *with = &routines[ebb_cpu_level()];
    struct delta_shape shape;
    struct chunk c = {0};
    struct room room = {0};
    int rc = read_shape(a, body, &shape, err);
    if (rc < 0)
        return rc;
    if (!take_room(a, &room, &c))
        return ebb_tensor_no_memory(err, 8 * a->stride * EBB_TENSOR_CHUNK);
    EBB_AUTO_FREE uint8_t *all = room.all;
    (void)all; /* held to be freed */
    for (size_t at = 0; at < a->elements; at += c.n) {
        const uint8_t *raw = NULL;
        size_t raw_len = 0;
        c.n = a->elements - at < EBB_TENSOR_CHUNK ? a->elements - at : EBB_TENSOR_CHUNK;
        c.base = ebb_tensor_chunk(a, a->base, at, c.n, room.swapped_base);
        with->contexts(&c, a->stride, &shape);
        set_places(&c);
        for (unsigned k = 0; k < shape.contexts && rc == 0; k++)
            if (c.count[k] > 0)
                rc = ebb_tensor_body_view(body, c.count[k], c.place[k], &c.from[k], err);
        if (rc == 0)
            rc = view_bits(body, room.raw, c.n * a->stride, &raw, &raw_len, err);
        if (rc < 0)
            return rc;
        uint64_t end = 8 * (uint64_t)raw_len;
        if (with->read(&c, a->stride, shape.is_float, raw, end, out + at * a->stride) > end)
            return ebb_error_set(err, EBB_ERR_CORRUPT, "differences: bits are missing");
        ebb_tensor_finish_chunk(a, out + at * a->stride, c.n);
    }
    return 0;
}
