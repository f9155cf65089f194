/* The method of scales: magnitudes as logarithms, against what their row and their column (and the
 * base) predict. Adam's second moment is of rank one nearly (Shazeer and Stern, Adafactor, 2018).
 *
 *     body       shift, unit, flags (1 byte each: 1 signed, 2 flat), beta (varint, 0..256)
 *                rows, columns: means in steps of 2^unit, as four zigzag planes each
 *                (flat: one row of one mean, no columns)
 *                then for each chunk: a block of symbols, a stored block of the low bits, a stored
 *                block of the elements whose symbol is 0, whole
 *     expected   (row + column) * 2^unit + beta/256 of the base's magnitude, modulo 2^width
 *     symbol     128 + ((magnitude - expected) >> shift) when within 1..255, else 0
 *     low bits   of the distance, then the sign when signed: the same number for each element
 *
 * A row whose mean is 0 (never touched, for one) takes no column mean. Integers only: the same
 * bytes on every machine. */
#include <stdlib.h>

#include "kernels/bits.h"
#include "kernels/cpu.h"
#include "kernels/planes.h"
#include "kernels/tensor/method.h"
#include "kernels/varint.h"

#define INLINE static inline __attribute__((always_inline))

#define SLACK        (2 * EBB_BITS_SLACK)
#define MIN_EXTENT   8 /* rows or columns, for means of their own */
#define BETA_ROWS    16
#define BETA_COLUMNS ((size_t)512)

enum { FLAG_SIGNED = 1, FLAG_FLAT = 2, FLAGS = 3 };

struct scale_shape {
    unsigned shift, unit;
    uint32_t beta;
    bool is_signed, flat;
    size_t rows, columns;  /* flat: 1 row of all elements */
    int32_t *row, *column; /* column: NULL when flat */
};

#define WIDTH 16
#include "kernels/tensor/scale_width.h"
#undef WIDTH
#define WIDTH 32
#include "kernels/tensor/scale_width.h"
#undef WIDTH
#define WIDTH 64
#include "kernels/tensor/scale_width.h"
#undef WIDTH

struct chunk {
    const uint8_t *data, *base;
    uint8_t *symbol;
    void *low;
};

INLINE int64_t sum_any(const uint8_t *data, const uint8_t *base, size_t n, unsigned stride,
                       const struct scale_shape *s, int64_t *columns)
{
    return stride == 2   ? sum_16(data, base, n, s, columns)
           : stride == 4 ? sum_32(data, base, n, s, columns)
                         : sum_64(data, base, n, s, columns);
}

/* Elements [from, from + n) of a chunk lie in one row, from column `first` on. */
INLINE void part_any(const struct chunk *c, size_t from, size_t n, unsigned stride, int32_t row,
                     const int32_t *column, const struct scale_shape *s)
{
    const uint8_t *data = c->data + from * stride;
    const uint8_t *base = c->base != NULL ? c->base + from * stride : NULL;
    uint8_t *low = (uint8_t *)c->low + from * stride;
    if (stride == 2)
        part_16(data, base, n, row, column, s, c->symbol + from, (uint16_t *)low);
    else if (stride == 4)
        part_32(data, base, n, row, column, s, c->symbol + from, (uint32_t *)low);
    else
        part_64(data, base, n, row, column, s, c->symbol + from, (uint64_t *)low);
}

INLINE void join_any(const struct chunk *c, size_t from, size_t n, unsigned stride, int32_t row,
                     const int32_t *column, const struct scale_shape *s, uint8_t *out)
{
    const uint8_t *base = c->base != NULL ? c->base + from * stride : NULL;
    const uint8_t *low = (const uint8_t *)c->low + from * stride;
    out += from * stride;
    if (stride == 2)
        join_16(c->symbol + from, (const uint16_t *)low, base, n, row, column, s, out);
    else if (stride == 4)
        join_32(c->symbol + from, (const uint32_t *)low, base, n, row, column, s, out);
    else
        join_64(c->symbol + from, (const uint64_t *)low, base, n, row, column, s, out);
}

INLINE uint8_t *put_any(const struct chunk *c, size_t n, unsigned stride, unsigned width,
                        uint8_t *out)
{
    struct ebb_bit_writer w = {.out = out};
    if (stride == 2)
        put_16(c->low, n, width, &w);
    else if (stride == 4)
        put_32(c->low, n, width, &w);
    else
        put_64(c->low, n, width, &w);
    return ebb_bits_end(&w);
}

INLINE void get_any(const struct chunk *c, const uint8_t *in, size_t n, unsigned stride,
                    unsigned width)
{
    if (stride == 2)
        get_16(in, n, width, c->low);
    else if (stride == 4)
        get_32(in, n, width, c->low);
    else
        get_64(in, n, width, c->low);
}

/* The loops once for each instruction set; the stride a constant in each. */
#define BY_STRIDE(call_2, call_4, call_8)                                                          \
    do {                                                                                           \
        if (stride == 2)                                                                           \
            call_2;                                                                                \
        else if (stride == 4)                                                                      \
            call_4;                                                                                \
        else                                                                                       \
            call_8;                                                                                \
    } while (0)

#define DEFINE_TARGET(suffix, target)                                                              \
    target static void part_##suffix(const struct chunk *c, size_t from, size_t n,                 \
                                     unsigned stride, int32_t row, const int32_t *column,          \
                                     const struct scale_shape *s)                                  \
    {                                                                                              \
        part_any(c, from, n, stride, row, column, s);                                              \
    }                                                                                              \
    target static void join_##suffix(const struct chunk *c, size_t from, size_t n,                 \
                                     unsigned stride, int32_t row, const int32_t *column,          \
                                     const struct scale_shape *s, uint8_t *out)                    \
    {                                                                                              \
        join_any(c, from, n, stride, row, column, s, out);                                         \
    }                                                                                              \
    target static int64_t sum_##suffix(const uint8_t *data, const uint8_t *base, size_t n,         \
                                       unsigned stride, const struct scale_shape *s,               \
                                       int64_t *columns)                                           \
    {                                                                                              \
        return sum_any(data, base, n, stride, s, columns);                                         \
    }                                                                                              \
    target static uint8_t *put_##suffix(const struct chunk *c, size_t n, unsigned stride,          \
                                        unsigned width, uint8_t *out)                              \
    {                                                                                              \
        return put_any(c, n, stride, width, out);                                                  \
    }                                                                                              \
    target static void get_##suffix(const struct chunk *c, const uint8_t *in, size_t n,            \
                                    unsigned stride, unsigned width)                               \
    {                                                                                              \
        get_any(c, in, n, stride, width);                                                          \
    }

DEFINE_TARGET(reference, )
#if defined(__x86_64__)
DEFINE_TARGET(avx2, EBB_TARGET_AVX2)
DEFINE_TARGET(avx512, EBB_TARGET_AVX512)
#endif

static const struct routines {
    void (*part)(const struct chunk *, size_t, size_t, unsigned, int32_t, const int32_t *,
                 const struct scale_shape *);
    void (*join)(const struct chunk *, size_t, size_t, unsigned, int32_t, const int32_t *,
                 const struct scale_shape *, uint8_t *);
    int64_t (*sum)(const uint8_t *, const uint8_t *, size_t, unsigned, const struct scale_shape *,
                   int64_t *);
    uint8_t *(*put)(const struct chunk *, size_t, unsigned, unsigned, uint8_t *);
    void (*get)(const struct chunk *, const uint8_t *, size_t, unsigned, unsigned);
} routines[] = {
    {part_reference, join_reference, sum_reference, put_reference, get_reference},
#if defined(__x86_64__)
    {part_avx2, join_avx2, sum_avx2, put_avx2, get_avx2},
    {part_avx512, join_avx512, sum_avx512, put_avx512, get_avx512},
#endif
};

static void clean_shape(struct scale_shape *s)
{
    free(s->row);
    free(s->column);
}

static void set_extents(const struct ebb_tensor_array *a, struct scale_shape *s)
{
    s->rows = s->flat ? 1 : a->elements / a->columns;
    s->columns = s->flat ? a->elements : a->columns;
}

static bool take_means(struct scale_shape *s)
{
    s->row = malloc(s->rows * sizeof *s->row);
    s->column = s->flat ? NULL : malloc(s->columns * sizeof *s->column);
    return s->row != NULL && (s->flat || s->column != NULL);
}

static bool any_negative(const struct ebb_tensor_array *a)
{
    size_t top = a->big_endian ? 0 : a->stride - 1;
    uint8_t all = 0;
    for (size_t i = top; i < a->elements * a->stride; i += a->stride)
        all |= a->data[i];
    return all & 0x80;
}

/* In steps of 2^unit. */
static double steps_at(const struct ebb_tensor_array *a, const uint8_t *from, size_t i,
                       unsigned unit)
{
    uint8_t scratch[8];
    uint64_t w = 0;
    memcpy(&w, ebb_tensor_chunk(a, from, i, 1, scratch), a->stride);
    return (double)((w & ((UINT64_C(1) << (8 * a->stride - 1)) - 1)) >> unit);
}

/* How far a row's elements follow the base's, as the slope of the one's deviations from the row's
 * mean against the other's, over a sample of rows; columns' means are left out: they are in both.
 */
static uint32_t find_beta(const struct ebb_tensor_array *a, const struct scale_shape *s)
{
    size_t columns = s->columns < BETA_COLUMNS ? s->columns : BETA_COLUMNS, rows = s->rows;
    if (s->flat) {
        rows = s->columns / columns;
    }
    size_t step = rows / BETA_ROWS + 1;
    double both = 0, own = 0;
    EBB_AUTO_FREE double *sums = calloc(2 * columns, sizeof *sums);
    if (sums == NULL)
        return 0;
    for (int pass = 0; pass < 2; pass++) {
        size_t used = rows / step + (rows % step != 0);
        for (size_t r = 0; r < rows; r += step) {
            size_t first = s->flat ? r * columns : r * s->columns;
            double mean_a = 0, mean_b = 0;
            for (size_t j = 0; j < columns; j++) {
                mean_a += steps_at(a, a->data, first + j, s->unit);
                mean_b += steps_at(a, a->base, first + j, s->unit);
            }
            mean_a /= (double)columns;
            mean_b /= (double)columns;
            for (size_t j = 0; j < columns; j++) {
                double x = steps_at(a, a->data, first + j, s->unit) - mean_a;
                double y = steps_at(a, a->base, first + j, s->unit) - mean_b;
                if (pass == 0) {
                    sums[2 * j] += x / (double)used;
                    sums[2 * j + 1] += y / (double)used;
                    continue;
                }
                x -= s->flat ? 0 : sums[2 * j];
                y -= s->flat ? 0 : sums[2 * j + 1];
                both += x * y;
                own += y * y;
            }
        }
    }
    double beta = own > 0 ? both / own * 256 : 0;
    return beta < 0 ? 0 : beta > 256 ? 256 : (uint32_t)beta;
}

static int32_t clamp_mean(int64_t mean)
{
    return mean > INT32_MAX / 2   ? INT32_MAX / 2
           : mean < INT32_MIN / 2 ? INT32_MIN / 2
                                  : (int32_t)mean;
}

/* Means by row and column of what the base does not explain. */
static bool find_means(const struct ebb_tensor_array *a, struct scale_shape *s)
{
    const struct routines *with = &routines[ebb_cpu_level()];
    size_t most = s->columns < EBB_TENSOR_CHUNK ? s->columns : EBB_TENSOR_CHUNK;
    EBB_AUTO_FREE int64_t *columns = s->flat ? NULL : calloc(s->columns, sizeof *columns);
    EBB_AUTO_FREE uint8_t *scratch = malloc(2 * most * a->stride + 1);
    if (scratch == NULL || (!s->flat && columns == NULL))
        return false;
    int64_t total = 0;
    for (size_t r = 0; r < s->rows; r++) {
        int64_t sum = 0;
        for (size_t j = 0; j < s->columns; j += most) {
            size_t n = s->columns - j < most ? s->columns - j : most, at = r * s->columns + j;
            const uint8_t *base = NULL;
            if (a->base != NULL)
                base = ebb_tensor_chunk(a, a->base, at, n, scratch + most * a->stride);
            sum += with->sum(ebb_tensor_chunk(a, a->data, at, n, scratch), base, n, a->stride, s,
                             columns != NULL ? columns + j : NULL);
        }
        s->row[r] = clamp_mean(sum / (int64_t)s->columns);
        total += s->row[r];
    }
    for (size_t j = 0; !s->flat && j < s->columns; j++)
        s->column[j] = clamp_mean((columns[j] - total) / (int64_t)s->rows);
    return true;
}

/* The rows' and columns' means as four planes each. */
static void put_means(const int32_t *means, size_t n, enum ebb_entropy_level level,
                      uint8_t *scratch, struct ebb_buffer *out)
{
    uint8_t *planes[4] = {scratch, scratch + n, scratch + 2 * n, scratch + 3 * n};
    ebb_planes_split(means, n, 4, EBB_TURN_ZIGZAG, planes);
    for (unsigned k = 0; k < 4; k++)
        ebb_entropy_encode(planes[k], n, level, out);
}

static int get_means(struct ebb_tensor_body *body, int32_t *means, size_t n, uint8_t *scratch,
                     struct ebb_error *err)
{
    const uint8_t *planes[4];
    for (unsigned k = 0; k < 4; k++) {
        int rc = ebb_tensor_body_view(body, n, scratch + k * n, &planes[k], err);
        if (rc < 0)
            return rc;
    }
    ebb_planes_merge(planes, n, 4, EBB_TURN_ZIGZAG, means);
    return 0;
}

/* Calls visit for each run of a row within [at, at + n). */
struct run {
    size_t from, n; /* within the chunk */
    int32_t row;
    const int32_t *column;
};

static bool next_run(const struct scale_shape *s, size_t at, size_t n, struct run *run)
{
    run->from += run->n;
    if (run->from >= n)
        return false;
    size_t i = at + run->from, r = i / s->columns, j = i % s->columns;
    run->n = s->columns - j < n - run->from ? s->columns - j : n - run->from;
    run->row = s->row[r];
    run->column = s->flat || s->row[r] == 0 ? NULL : s->column + j;
    return true;
}

struct room {
    uint8_t *all, *data, *base, *raw, *far;
};

static bool take_room(const struct ebb_tensor_array *a, struct room *r, struct chunk *c)
{
    size_t n = a->elements < EBB_TENSOR_CHUNK ? a->elements : EBB_TENSOR_CHUNK;
    size_t words = (n * a->stride + 63) / 64 * 64, bytes = (n + 63) / 64 * 64;
    if (posix_memalign((void **)&r->all, 64, 5 * words + bytes + 64 + SLACK) != 0)
        return false;
    c->low = r->all;
    r->data = r->all + words;
    r->base = r->data + words;
    r->far = r->base + words;
    c->symbol = r->far + words;
    r->raw = c->symbol + bytes;
    return true;
}

/* The elements whose symbol is 0, one after another. */
static size_t collect_far(const struct chunk *c, size_t n, unsigned stride, uint8_t *far)
{
    size_t len = 0;
    const uint8_t *end = c->symbol + n;
    for (const uint8_t *at = c->symbol; at < end && (at = memchr(at, 0, (size_t)(end - at)));
         at++) {
        memcpy(far + len, c->data + (size_t)(at - c->symbol) * stride, stride);
        len += stride;
    }
    return len;
}

static int restore_far(const struct chunk *c, size_t n, unsigned stride, const uint8_t *far,
                       size_t len, uint8_t *out, struct ebb_error *err)
{
    const uint8_t *end = c->symbol + n;
    for (const uint8_t *at = c->symbol; at < end && (at = memchr(at, 0, (size_t)(end - at)));
         at++) {
        if (len < stride)
            return ebb_error_set(err, EBB_ERR_CORRUPT, "scales: elements are missing");
        memcpy(out + (size_t)(at - c->symbol) * stride, far, stride);
        far += stride;
        len -= stride;
    }
    return len == 0 ? 0 : ebb_error_set(err, EBB_ERR_CORRUPT, "scales: elements too many");
}

static struct scale_shape shape_for(const struct ebb_tensor_array *a)
{
    unsigned fraction = ebb_dtype_fraction_bits(a->dtype);
    struct scale_shape s = {.shift = fraction - 3,
                            .unit = fraction - 5,
                            .is_signed = any_negative(a),
                            .flat =
                                a->columns < MIN_EXTENT || a->elements / a->columns < MIN_EXTENT};
    set_extents(a, &s);
    if (a->base != NULL)
        s.beta = find_beta(a, &s);
    return s;
}

int ebb_tensor_scale_encode(const struct ebb_tensor_array *a, struct ebb_buffer *out,
                            struct ebb_error *err)
{
    const struct routines *with = &routines[ebb_cpu_level()];
    EBB_AUTO(clean_shape) struct scale_shape s = shape_for(a);
    struct chunk c = {0};
    struct room room = {0};
    size_t most = s.rows > s.columns || s.flat ? s.rows : s.columns;
    EBB_AUTO_FREE uint8_t *scratch = malloc(4 * most);
    if (scratch == NULL || !take_means(&s) || !find_means(a, &s) || !take_room(a, &room, &c))
        return ebb_tensor_no_memory(err, 8 * a->stride * EBB_TENSOR_CHUNK);
    EBB_AUTO_FREE uint8_t *all = room.all;
    (void)all; /* held to be freed */
    uint8_t head[3 + EBB_VARINT_MAX] = {
        (uint8_t)s.shift, (uint8_t)s.unit,
        (uint8_t)((s.is_signed ? FLAG_SIGNED : 0) | (s.flat ? FLAG_FLAT : 0))};
    ebb_buffer_append(out, head, 3 + ebb_varint_put(head + 3, s.beta));
    put_means(s.row, s.rows, a->level, scratch, out);
    if (!s.flat)
        put_means(s.column, s.columns, a->level, scratch, out);
    for (size_t at = 0; at < a->elements; at += EBB_TENSOR_CHUNK) {
        size_t n = a->elements - at < EBB_TENSOR_CHUNK ? a->elements - at : EBB_TENSOR_CHUNK;
        c.data = ebb_tensor_chunk(a, a->data, at, n, room.data);
        c.base = a->base != NULL ? ebb_tensor_chunk(a, a->base, at, n, room.base) : NULL;
        for (struct run run = {0}; next_run(&s, at, n, &run);)
            with->part(&c, run.from, run.n, a->stride, run.row, run.column, &s);
        uint8_t *end = with->put(&c, n, a->stride, s.shift + s.is_signed, room.raw);
        ebb_entropy_encode(c.symbol, n, a->level, out);
        ebb_entropy_store(room.raw, (size_t)(end - room.raw), out);
        ebb_entropy_store(room.far, collect_far(&c, n, a->stride, room.far), out);
    }
    return 0;
}

static int read_shape(const struct ebb_tensor_array *a, struct ebb_tensor_body *body,
                      struct scale_shape *s, struct ebb_error *err)
{
    uint8_t head[3];
    uint64_t beta;
    int rc = ebb_tensor_body_bytes(body, head, 3, err);
    if (rc == 0)
        rc = ebb_tensor_body_varint(body, &beta, err);
    if (rc < 0)
        return rc;
    if (!ebb_dtype_is_float(a->dtype) || a->stride < 2 || a->elements == 0 ||
        head[0] >= 8 * a->stride - 1 || head[1] >= 8 * a->stride - 1 || head[2] > FLAGS ||
        beta > 256)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "scales: their head is damaged");
    *s = (struct scale_shape){.shift = head[0],
                              .unit = head[1],
                              .beta = (uint32_t)beta,
                              .is_signed = head[2] & FLAG_SIGNED,
                              .flat = head[2] & FLAG_FLAT};
    set_extents(a, s);
    return 0;
}

static int read_means(const struct ebb_tensor_array *a, struct ebb_tensor_body *body,
                      struct scale_shape *s, struct ebb_error *err)
{
    size_t most = s->rows > s->columns || s->flat ? s->rows : s->columns;
    EBB_AUTO_FREE uint8_t *scratch = malloc(4 * most);
    if (scratch == NULL || !take_means(s))
        return ebb_tensor_no_memory(err, 4 * most);
    (void)a;
    int rc = get_means(body, s->row, s->rows, scratch, err);
    if (rc == 0 && !s->flat)
        rc = get_means(body, s->column, s->columns, scratch, err);
    return rc;
}

static int decode_chunk(const struct ebb_tensor_array *a, struct ebb_tensor_body *body,
                        const struct scale_shape *s, size_t at, size_t n, struct chunk *c,
                        struct room *room, uint8_t *out, struct ebb_error *err)
{
    const struct routines *with = &routines[ebb_cpu_level()];
    const uint8_t *symbols = NULL, *raw = NULL, *far = NULL;
    size_t raw_len = 0, far_len = 0;
    unsigned width = s->shift + s->is_signed;
    int rc = ebb_tensor_body_view(body, n, c->symbol, &symbols, err);
    if (rc == 0)
        rc = ebb_tensor_body_stored(body, &raw, &raw_len, err);
    if (rc == 0 && raw_len != EBB_BITS_BYTES((uint64_t)n * width))
        rc = ebb_error_set(err, EBB_ERR_CORRUPT, "scales: bits are missing");
    if (rc == 0 && body->len < SLACK) {
        memcpy(room->raw, raw, raw_len);
        raw = room->raw;
    }
    if (rc == 0)
        rc = ebb_tensor_body_stored(body, &far, &far_len, err);
    if (rc < 0)
        return rc;
    if (symbols != c->symbol)
        memcpy(c->symbol, symbols, n);
    c->base = a->base != NULL ? ebb_tensor_chunk(a, a->base, at, n, room->base) : NULL;
    with->get(c, raw, n, a->stride, width);
    for (struct run run = {0}; next_run(s, at, n, &run);)
        with->join(c, run.from, run.n, a->stride, run.row, run.column, s, out);
    rc = restore_far(c, n, a->stride, far, far_len, out, err);
    if (rc == 0)
        ebb_tensor_finish_chunk(a, out, n);
    return rc;
}

int ebb_tensor_scale_decode(const struct ebb_tensor_array *a, struct ebb_tensor_body *body,
                            uint8_t *out, struct ebb_error *err)
{
    EBB_AUTO(clean_shape) struct scale_shape s = {0};
    struct chunk c = {0};
    struct room room = {0};
    int rc = read_shape(a, body, &s, err);
    if (rc == 0)
        rc = read_means(a, body, &s, err);
    if (rc < 0)
        return rc;
    if (!take_room(a, &room, &c))
        return ebb_tensor_no_memory(err, 8 * a->stride * EBB_TENSOR_CHUNK);
    EBB_AUTO_FREE uint8_t *all = room.all;
    (void)all; /* held to be freed */
    for (size_t at = 0; rc == 0 && at < a->elements; at += EBB_TENSOR_CHUNK) {
        size_t n = a->elements - at < EBB_TENSOR_CHUNK ? a->elements - at : EBB_TENSOR_CHUNK;
        rc = decode_chunk(a, body, &s, at, n, &c, &room, out + at * a->stride, err);
    }
    return rc;
}
