/* The method of steps: differences from where training is expected to have moved each element since
 * the base, by a model that the blob holds (step_fit.c).
 *
 *     body       rank (1 byte), exponent (zigzag varint), keep (4 bytes, a float)
 *                u and v: a block each, signed bytes zigzagged, one component after another
 *                origin (zigzag varint), logarithms of rows, of columns: a block each
 *                then for each segment of 32 chunks of 65,536 elements:
 *                  for each chunk a stored block of low bits, a stored block of far elements
 *                  first, last (1 byte each), a block of the tables' frequencies
 *                  for each chunk a stored block of coded symbols (mixed.h)
 *     expected   keep * base + 2^exponent * sum(u v), in single precision, rounded to the type;
 *                the base itself where that is infinite or no number
 *     class      (origin + row + column - 4 * exponent of what is expected) >> 1, within bounds:
 *                how far off the element will be, in half octaves (step_lanes.h)
 *     symbol     128 + (distance >> low) when within 1..255, else 0 and the element whole; low and
 *                the symbol's table follow from the class
 *
 * The distance is that of ordered integers. Nothing but the base is needed to find out classes, so
 * low bits have no headers and symbols tables that fit them. */
#include "kernels/tensor/step.h"

#include <stdlib.h>

#include "kernels/cpu.h"
#include "kernels/tensor/mixed.h"
#include "kernels/tensor/step_lanes.h"
#include "kernels/varint.h"

#define CHUNK   ((size_t)65536)
#define SEGMENT ((size_t)32)
/* What is worked on at a time: it stays in the first caches. */
#define PIECE  ((size_t)4096)
#define TABLES (NORMAL + 2 + CLASSES_LAST)
/* What a reader of bits may touch past the end. */
#define SLACK (2 * EBB_BITS_SLACK)
/* A table of fewer symbols goes together with its neighbour. */
#define WORTH_TABLE 512
/* A table's bytes: two, and two for each symbol. */
#define TABLE_BYTES (2 + 2 * 256)
/* Added to logarithms of scale: from the mean of the logarithm to that of the scale, and class 0
 * stands for 2^-3. */
#define LOG_SHIFT 16

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
    target static void expect_##suffix(const struct step_run *r, enum ebb_dtype dtype,             \
                                       int32_t *expected)                                          \
    {                                                                                              \
        for (size_t at = 0; at < r->n; at += EBB_STEP_BLOCK) {                                     \
            float p[EBB_STEP_BLOCK];                                                               \
            products_##suffix(r, at, p);                                                           \
            BY_DTYPE(expect_any(r, at, p, type, expected));                                        \
        }                                                                                          \
    }                                                                                              \
    target static void classify_##suffix(const struct step_run *r, enum ebb_dtype dtype,           \
                                         int32_t first, int32_t last, const int32_t *expected,     \
                                         uint8_t *low, uint8_t *context)                           \
    {                                                                                              \
        BY_DTYPE(classify_any(r, type, first, last, expected, low, context));                      \
    }                                                                                              \
    target static void part_##suffix(const uint8_t *data, size_t n, enum ebb_dtype dtype,          \
                                     const struct step_piece *c)                                   \
    {                                                                                              \
        BY_DTYPE(part_any(data, n, type, c->expected, c->low, c->symbol, c->bits));                \
    }                                                                                              \
    target static void join_##suffix(const struct step_piece *c, size_t n, enum ebb_dtype dtype,   \
                                     uint8_t *out)                                                 \
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
    target static void put_##suffix(const struct step_piece *c, size_t n, enum ebb_dtype dtype,    \
                                    struct ebb_bit_writer *w)                                      \
    {                                                                                              \
        BY_DTYPE(put_any(c->bits, c->low, n, type, w));                                            \
    }                                                                                              \
    target static uint64_t get_##suffix(const uint8_t *in, uint64_t at, uint64_t end,              \
                                        const struct step_piece *c, size_t n,                      \
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

EBB_TARGET_AVX512 static void put_avx512(const struct step_piece *c, size_t n, enum ebb_dtype dtype,
                                         struct ebb_bit_writer *w)
{
    uint64_t masks[PIECE / 2 + 1];
    BY_DTYPE(step_masks(c->low, n, type, masks));
    put_words(c->bits, masks, (n + step_group(dtype) - 1) / step_group(dtype), w);
}

EBB_TARGET_AVX512 static uint64_t get_avx512(const uint8_t *in, uint64_t at, uint64_t end,
                                             const struct step_piece *c, size_t n,
                                             enum ebb_dtype dtype)
{
    uint64_t masks[PIECE / 2 + 1];
    if (!step_has_bits(c->low, n, at, end))
        return end + 1;
    BY_DTYPE(step_masks(c->low, n, type, masks));
    return get_words(in, at, masks, (n + step_group(dtype) - 1) / step_group(dtype), c->bits);
}
#endif

static const struct routines {
    void (*expect)(const struct step_run *, enum ebb_dtype, int32_t *);
    void (*classify)(const struct step_run *, enum ebb_dtype, int32_t, int32_t, const int32_t *,
                     uint8_t *, uint8_t *);
    void (*part)(const uint8_t *, size_t, enum ebb_dtype, const struct step_piece *);
    void (*join)(const struct step_piece *, size_t, enum ebb_dtype, uint8_t *);
    int64_t (*logs)(const uint8_t *, size_t, enum ebb_dtype, const int32_t *, int32_t *);
    void (*put)(const struct step_piece *, size_t, enum ebb_dtype, struct ebb_bit_writer *);
    uint64_t (*get)(const uint8_t *, uint64_t, uint64_t, const struct step_piece *, size_t,
                    enum ebb_dtype);
} routines[] = {
    {expect_reference, classify_reference, part_reference, join_reference, logs_reference,
     put_reference, get_reference},
#if defined(__x86_64__)
    {expect_avx2, classify_avx2, part_avx2, join_avx2, logs_avx2, put_avx2, get_avx2},
    {expect_avx512, classify_avx512, part_avx512, join_avx512, logs_avx512, put_avx512, get_avx512},
#endif
};

/* ---- the model ---- */

bool ebb_step_applies(const struct ebb_tensor_array *a)
{
    return (a->dtype == EBB_DTYPE_F32 || a->dtype == EBB_DTYPE_BF16 || a->dtype == EBB_DTYPE_F16) &&
           a->base != NULL && a->elements >= EBB_STEP_MIN_ELEMENTS &&
           a->columns >= EBB_STEP_MIN_COLUMNS && a->columns <= SIZE_MAX / 1024 &&
           a->elements / a->columns >= EBB_STEP_MIN_ROWS;
}

bool ebb_step_model_take(struct ebb_step_model *m)
{
    m->stride =
        (m->columns + EBB_STEP_BLOCK - 1) / EBB_STEP_BLOCK * EBB_STEP_BLOCK + EBB_STEP_BLOCK;
    m->u = malloc(m->rows * EBB_STEP_RANK);
    m->v = malloc(m->columns * EBB_STEP_RANK);
    m->factors = calloc(m->stride * EBB_STEP_RANK, sizeof *m->factors);
    m->row = malloc(m->rows);
    m->column = calloc(m->stride, 1);
    return m->u != NULL && m->v != NULL && m->factors != NULL && m->row != NULL &&
           m->column != NULL;
}

void ebb_step_model_clean_up(struct ebb_step_model *m)
{
    free(m->u);
    free(m->v);
    free(m->factors);
    free(m->row);
    free(m->column);
}

void ebb_step_model_set_factors(struct ebb_step_model *m)
{
    for (unsigned k = 0; k < m->rank; k++) {
        int16_t *to = m->factors + 2 * (k / 2 * m->stride) + k % 2;
        for (size_t j = 0; j < m->columns; j++)
            to[2 * j] = m->v[k * m->columns + j];
    }
}

/* The run of at most `n` elements at `i`, all of one row. `base`: they themselves. */
static struct step_run run_at(const struct ebb_step_model *m, size_t i, size_t n,
                              const uint8_t *base)
{
    size_t row = i / m->columns, first = i % m->columns;
    struct step_run r = {.base = base,
                         .n = m->columns - first < n ? m->columns - first : n,
                         .keep = m->keep,
                         .scale = step_bits_to_float((uint32_t)(m->exponent + 127) << 23),
                         .pairs = (m->rank + 1) / 2,
                         .v = m->factors + 2 * first,
                         .stride = m->stride,
                         .row = m->origin + m->row[row],
                         .column = m->column + first};
    if (m->exponent < -126)
        r.scale = step_bits_to_float(1U << (m->exponent + 149));
    for (unsigned k = 0; k < m->rank; k++)
        r.u[k] = m->u[k * m->rows + row];
    return r;
}

/* ---- scales ---- */

/* So many rows at least are looked at whole, and so many columns at least of the others. */
#define WHOLE_ROWS   ((size_t)128)
#define SOME_COLUMNS ((size_t)128)

struct scales {
    const struct ebb_tensor_array *a;
    const struct ebb_step_model *m;
    int32_t *expected, *logs; /* CHUNK each */
    uint8_t *swapped;
    int64_t *columns;
    int32_t *row, *column;
};

static int64_t logs_at(const struct scales *s, size_t i, size_t n)
{
    const struct routines *with = &routines[ebb_cpu_level()];
    const struct ebb_tensor_array *a = s->a;
    const uint8_t *data = ebb_tensor_chunk(a, a->data, i, n, s->swapped);
    const uint8_t *base = ebb_tensor_chunk(a, a->base, i, n, s->swapped + CHUNK * a->stride);
    struct step_run r = run_at(s->m, i, n, base);
    with->expect(&r, a->dtype, s->expected);
    return with->logs(data, n, a->dtype, s->expected, s->logs);
}

/* A row's mean; its logarithms go into the columns' sums. */
static int32_t whole_row(struct scales *s, size_t row)
{
    size_t columns = s->m->columns;
    int64_t sum = 0;
    for (size_t j = 0; j < columns; j += CHUNK) {
        size_t n = columns - j < CHUNK ? columns - j : CHUNK;
        sum += logs_at(s, row * columns + j, n);
        for (size_t k = 0; k < n; k++)
            s->columns[j + k] += s->logs[k];
    }
    return (int32_t)(sum / (int64_t)columns);
}

/* A row's mean from some of its columns, whose own means are known. */
static int32_t part_of_row(struct scales *s, size_t row)
{
    size_t columns = s->m->columns, used = 0;
    size_t step = columns < 2 * SOME_COLUMNS ? 1 : columns / SOME_COLUMNS;
    int64_t sum = 0;
    for (size_t j = 0; j < columns; j += step * EBB_STEP_BLOCK) {
        size_t n = columns - j < EBB_STEP_BLOCK ? columns - j : EBB_STEP_BLOCK;
        sum += logs_at(s, row * columns + j, n);
        for (size_t k = 0; k < n; k++)
            sum -= s->column[j + k];
        used += n;
    }
    return (int32_t)(sum / (int64_t)used);
}

static int32_t to_bytes(const int32_t *logs, size_t n, uint8_t *out)
{
    int32_t least = INT32_MAX, most = INT32_MIN;
    for (size_t i = 0; i < n; i++) {
        least = logs[i] < least ? logs[i] : least;
        most = logs[i] > most ? logs[i] : most;
    }
    if (most - least > 255)
        least = most - 255;
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(logs[i] < least ? 0 : logs[i] - least);
    return least;
}

static bool find_scales(const struct ebb_tensor_array *a, struct ebb_step_model *m)
{
    EBB_AUTO_FREE int32_t *words = malloc((2 * CHUNK + m->rows + m->columns) * sizeof *words);
    EBB_AUTO_FREE uint8_t *swapped = malloc(2 * CHUNK * a->stride);
    EBB_AUTO_FREE int64_t *columns = calloc(m->columns, sizeof *columns);
    if (words == NULL || swapped == NULL || columns == NULL)
        return false;
    struct scales s = {.a = a,
                       .m = m,
                       .expected = words,
                       .logs = words + CHUNK,
                       .swapped = swapped,
                       .columns = columns,
                       .row = words + 2 * CHUNK,
                       .column = words + 2 * CHUNK + m->rows};
    size_t step = m->rows < 2 * WHOLE_ROWS ? 1 : m->rows / WHOLE_ROWS;
    int64_t total = 0, used = 0;
    m->origin = 0;
    memset(m->row, 0, m->rows);
    for (size_t i = 0; i < m->rows; i += step, used++)
        total += s.row[i] = whole_row(&s, i);
    for (size_t j = 0; j < m->columns; j++)
        s.column[j] = (int32_t)((columns[j] - total) / used);
    for (size_t i = 0; i < m->rows; i++)
        if (i % step != 0)
            s.row[i] = part_of_row(&s, i);
    m->origin =
        to_bytes(s.row, m->rows, m->row) + to_bytes(s.column, m->columns, m->column) + LOG_SHIFT;
    return true;
}

/* ---- writing ---- */

static uint64_t zigzag(int64_t x)
{
    return (uint64_t)x << 1 ^ (uint64_t)(x >> 63);
}

static int64_t zigzag_back(uint64_t x)
{
    return (int64_t)(x >> 1) ^ -(int64_t)(x & 1);
}

static void put_signed(const int8_t *x, size_t n, enum ebb_entropy_level level, uint8_t *scratch,
                       struct ebb_buffer *out)
{
    for (size_t i = 0; i < n; i++)
        scratch[i] = (uint8_t)zigzag(x[i]);
    ebb_entropy_encode(scratch, n, level, out);
}

static void put_model(const struct ebb_step_model *m, enum ebb_entropy_level level,
                      uint8_t *scratch, struct ebb_buffer *out)
{
    uint8_t head[5 + 2 * EBB_VARINT_MAX] = {(uint8_t)m->rank};
    uint32_t keep = step_float_to_bits(m->keep);
    size_t n = 1 + ebb_varint_put(head + 1, zigzag(m->exponent));
    for (unsigned b = 0; b < 4; b++)
        head[n++] = (uint8_t)(keep >> (8 * b));
    n += ebb_varint_put(head + n, zigzag(m->origin));
    ebb_buffer_append(out, head, n);
    if (m->rank > 0) {
        put_signed(m->u, m->rank * m->rows, level, scratch, out);
        put_signed(m->v, m->rank * m->columns, level, scratch, out);
    }
    ebb_entropy_encode(m->row, m->rows, level, out);
    ebb_entropy_encode(m->column, m->columns, level, out);
}

/* All the memory. */
struct room {
    uint8_t *all, *swapped_data, *swapped_base; /* a piece each */
    uint8_t *raw, *far, *coded;                 /* a chunk each */
    uint8_t *symbols, *contexts;                /* `held` each */
    size_t coded_bytes;
    struct step_piece piece;
};

static bool take_room(const struct ebb_tensor_array *a, size_t held, struct room *r)
{
    size_t chunk = (a->elements < CHUNK ? a->elements : CHUNK) + 64;
    size_t words = (chunk * a->stride + 63) / 64 * 64;
    r->coded_bytes = ebb_mixed_bound(chunk);
    held = (held + 63) / 64 * 64;
    if (posix_memalign((void **)&r->all, 64,
                       (9 + 2 * (size_t)a->stride) * PIECE + 2 * words + 2 * held + r->coded_bytes +
                           SLACK) != 0)
        return false;
    r->piece.expected = (int32_t *)(void *)r->all;
    r->piece.bits = r->all + 4 * PIECE;
    r->piece.low = r->all + 8 * PIECE;
    r->swapped_data = r->all + 9 * PIECE;
    r->swapped_base = r->swapped_data + PIECE * a->stride;
    r->symbols = r->swapped_base + PIECE * a->stride;
    r->contexts = r->symbols + held;
    r->far = r->contexts + held;
    r->raw = r->far + words;
    r->coded = r->raw + words + SLACK;
    return true;
}

static size_t collect_far(const uint8_t *symbols, size_t n, const uint8_t *data, unsigned stride,
                          uint8_t *far)
{
    size_t len = 0;
    const uint8_t *end = symbols + n;
    for (const uint8_t *at = symbols; at < end && (at = memchr(at, 0, (size_t)(end - at))); at++) {
        memcpy(far + len, data + (size_t)(at - symbols) * stride, stride);
        len += stride;
    }
    return len;
}

/* expected, low and context of the n elements at `at`. */
static void look_at(const struct ebb_tensor_array *a, const struct ebb_step_model *m, size_t at,
                    size_t n, const uint8_t *base, int32_t first, int32_t last,
                    const struct step_piece *c)
{
    const struct routines *with = &routines[ebb_cpu_level()];
    for (size_t i = 0; i < n;) {
        struct step_run r = run_at(m, at + i, n - i, base + i * a->stride);
        with->expect(&r, a->dtype, c->expected + i);
        with->classify(&r, a->dtype, first, last, c->expected + i, c->low + i, c->context + i);
        i += r.n;
    }
}

typedef uint32_t counts[TABLES][256];

static void count_symbols(const struct step_piece *c, size_t n, counts count)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t contexts, symbols;
        memcpy(&contexts, c->context + i, sizeof contexts);
        memcpy(&symbols, c->symbol + i, sizeof symbols);
        for (unsigned k = 0; k < 64; k += 8)
            count[contexts >> k & 255][symbols >> k & 255]++;
    }
    for (; i < n; i++)
        count[c->context[i]][c->symbol[i]]++;
}

/* A chunk's symbols and contexts to their place in the segment, its bits and far elements to `out`.
 */
static void write_chunk(const struct ebb_tensor_array *a, const struct ebb_step_model *m, size_t at,
                        size_t n, struct room *room, size_t place, counts count,
                        struct ebb_buffer *out)
{
    const struct routines *with = &routines[ebb_cpu_level()];
    struct ebb_bit_writer bits = {.out = room->raw};
    size_t far = 0;
    for (size_t from = 0, part; from < n; from += part) {
        part = n - from < PIECE ? n - from : PIECE;
        struct step_piece c = room->piece;
        c.symbol = room->symbols + place + from;
        c.context = room->contexts + place + from;
        const uint8_t *data = ebb_tensor_chunk(a, a->data, at + from, part, room->swapped_data);
        const uint8_t *base = ebb_tensor_chunk(a, a->base, at + from, part, room->swapped_base);
        look_at(a, m, at + from, part, base, 0, TABLES - 1, &c);
        with->part(data, part, a->dtype, &c);
        with->put(&c, part, a->dtype, &bits);
        far += collect_far(c.symbol, part, data, a->stride, room->far + far);
        count_symbols(&c, part, count);
    }
    uint8_t *end = ebb_bits_end(&bits);
    ebb_entropy_store(room->raw, (size_t)(end - room->raw), out);
    ebb_entropy_store(room->far, far, out);
}

static uint64_t total_of(const uint32_t count[256])
{
    uint64_t sum = 0;
    for (unsigned s = 0; s < 256; s++)
        sum += count[s];
    return sum;
}

static void add_counts(uint32_t to[256], const uint32_t from[256])
{
    for (unsigned s = 0; s < 256; s++)
        to[s] += from[s];
}

/* Contexts at either end that have few symbols go to their neighbour. */
static void choose_tables(counts count, uint8_t *ret_first, uint8_t *ret_last)
{
    unsigned first = 0, last = TABLES - 1;
    for (; first < NORMAL && total_of(count[first]) < WORTH_TABLE; first++)
        add_counts(count[first + 1], count[first]);
    for (; last > NORMAL + 1 && total_of(count[last]) < WORTH_TABLE; last--)
        add_counts(count[last - 1], count[last]);
    *ret_first = (uint8_t)first;
    *ret_last = (uint8_t)last;
}

/* The first symbol that has a frequency, how many more there are up to the last, and each one's
 * difference from the one before, as a zigzag varint. */
static size_t put_table(const uint16_t frequency[256], uint8_t *out)
{
    unsigned first = 0, last = 255;
    size_t n = 2;
    int before = 0;
    while (frequency[first] == 0)
        first++;
    while (frequency[last] == 0)
        last--;
    out[0] = (uint8_t)first;
    out[1] = (uint8_t)(last - first);
    for (unsigned s = first; s <= last; s++) {
        n += ebb_varint_put(out + n, zigzag(frequency[s] - before));
        before = frequency[s];
    }
    return n;
}

static void put_tables(counts count, uint8_t first, uint8_t last, enum ebb_entropy_level level,
                       uint32_t *steps, struct ebb_buffer *out)
{
    uint8_t bytes[TABLES * TABLE_BYTES], ends[2] = {first, last};
    size_t n = 0;
    for (unsigned t = first; t <= last; t++) {
        uint16_t frequency[256];
        ebb_mixed_frequencies(count[t], frequency);
        ebb_mixed_steps(frequency, steps + 256 * (t - first));
        n += put_table(frequency, bytes + n);
    }
    ebb_buffer_append(out, ends, 2);
    ebb_entropy_encode(bytes, n, level, out);
}

static void clamp_contexts(uint8_t *contexts, size_t n, uint8_t first, uint8_t last)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t c = contexts[i] < first ? first : contexts[i] > last ? last : contexts[i];
        contexts[i] = (uint8_t)(c - first);
    }
}

static void write_segment(const struct ebb_tensor_array *a, const struct ebb_step_model *m,
                          size_t at, size_t n, struct room *room, struct ebb_buffer *out)
{
    counts count = {{0}};
    uint32_t steps[TABLES * 256];
    uint8_t first, last;
    for (size_t i = 0; i < n; i += CHUNK)
        write_chunk(a, m, at + i, n - i < CHUNK ? n - i : CHUNK, room, i, count, out);
    choose_tables(count, &first, &last);
    put_tables(count, first, last, a->level, steps, out);
    clamp_contexts(room->contexts, n, first, last);
    for (size_t i = 0; i < n; i += CHUNK) {
        uint8_t *coded =
            ebb_mixed_encode(room->symbols + i, room->contexts + i, n - i < CHUNK ? n - i : CHUNK,
                             steps, room->coded, room->coded_bytes);
        ebb_entropy_store(coded, (size_t)(room->coded + room->coded_bytes - coded), out);
    }
}

int ebb_tensor_step_encode(const struct ebb_tensor_array *a, struct ebb_buffer *out,
                           struct ebb_error *err)
{
    EBB_AUTO(ebb_step_model_clean_up)
    struct ebb_step_model m = {.rows = a->elements / a->columns, .columns = a->columns};
    struct room room = {0};
    size_t segment = a->elements < SEGMENT * CHUNK ? a->elements : SEGMENT * CHUNK;
    if (!ebb_step_model_take(&m) || !ebb_step_fit(a, &m) || !take_room(a, segment, &room))
        return ebb_tensor_no_memory(err, 8 * a->stride * CHUNK);
    EBB_AUTO_FREE uint8_t *all = room.all;
    (void)all; /* held to be freed */
    size_t most = m.rows > m.columns ? m.rows : m.columns;
    EBB_AUTO_FREE uint8_t *scratch = malloc(most * EBB_STEP_RANK);
    ebb_step_model_set_factors(&m);
    if (m.rank == 0 && m.keep == 1)
        return 1;
    if (scratch == NULL || !find_scales(a, &m))
        return ebb_tensor_no_memory(err, most * EBB_STEP_RANK);
    put_model(&m, a->level, scratch, out);
    for (size_t at = 0; at < a->elements; at += segment)
        write_segment(a, &m, at, a->elements - at < segment ? a->elements - at : segment, &room,
                      out);
    return 0;
}

/* ---- reading ---- */

static int head_damaged(struct ebb_error *err)
{
    return ebb_error_set(err, EBB_ERR_CORRUPT, "steps: their head is damaged");
}

static int get_signed(struct ebb_tensor_body *body, size_t n, uint8_t *scratch, int8_t *out,
                      struct ebb_error *err)
{
    const uint8_t *bytes = NULL;
    int rc = ebb_tensor_body_view(body, n, scratch, &bytes, err);
    for (size_t i = 0; rc == 0 && i < n; i++)
        out[i] = (int8_t)zigzag_back(bytes[i]);
    return rc;
}

static int get_bytes(struct ebb_tensor_body *body, size_t n, uint8_t *out, struct ebb_error *err)
{
    const uint8_t *bytes = NULL;
    int rc = ebb_tensor_body_view(body, n, out, &bytes, err);
    if (rc == 0 && bytes != out)
        memcpy(out, bytes, n);
    return rc;
}

static int read_model(struct ebb_tensor_body *body, struct ebb_step_model *m, struct ebb_error *err)
{
    uint8_t rank = 0, bytes[4] = {0};
    uint64_t exponent = 0, origin = 0;
    int rc = ebb_tensor_body_bytes(body, &rank, 1, err);
    if (rc == 0)
        rc = ebb_tensor_body_varint(body, &exponent, err);
    if (rc == 0)
        rc = ebb_tensor_body_bytes(body, bytes, 4, err);
    if (rc == 0)
        rc = ebb_tensor_body_varint(body, &origin, err);
    if (rc < 0)
        return rc;
    m->rank = rank;
    m->keep = step_bits_to_float((uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 |
                                 (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24);
    if (rank > EBB_STEP_RANK || zigzag_back(exponent) < EBB_STEP_EXPONENT_MIN ||
        zigzag_back(exponent) > EBB_STEP_EXPONENT_MAX || !(m->keep >= 0.5F && m->keep <= 1.5F) ||
        zigzag_back(origin) < -100000 || zigzag_back(origin) > 100000)
        return head_damaged(err);
    m->exponent = (int)zigzag_back(exponent);
    m->origin = (int32_t)zigzag_back(origin);
    if (!ebb_step_model_take(m))
        return ebb_tensor_no_memory(err, m->stride * EBB_STEP_RANK * sizeof *m->factors);
    size_t most = m->rows > m->columns ? m->rows : m->columns;
    EBB_AUTO_FREE uint8_t *scratch = malloc(most * EBB_STEP_RANK);
    if (scratch == NULL)
        return ebb_tensor_no_memory(err, most * EBB_STEP_RANK);
    if (rank > 0) {
        rc = get_signed(body, rank * m->rows, scratch, m->u, err);
        if (rc == 0)
            rc = get_signed(body, rank * m->columns, scratch, m->v, err);
    }
    if (rc == 0)
        rc = get_bytes(body, m->rows, m->row, err);
    if (rc == 0)
        rc = get_bytes(body, m->columns, m->column, err);
    if (rc == 0)
        ebb_step_model_set_factors(m);
    return rc;
}

static bool get_table(const uint8_t *bytes, size_t len, size_t *at, uint32_t *slots)
{
    uint16_t frequency[256] = {0};
    int64_t f = 0;
    if (len - *at < 2)
        return false;
    unsigned first = bytes[*at], last = first + bytes[*at + 1];
    *at += 2;
    if (last > 255)
        return false;
    for (unsigned s = first; s <= last; s++) {
        uint64_t difference;
        if (!ebb_varint_get(bytes, len, at, &difference))
            return false;
        f += zigzag_back(difference & 0xffff);
        if (f < 0 || f >= EBB_MIXED_TOTAL)
            return false;
        frequency[s] = (uint16_t)f;
    }
    return ebb_mixed_slots(frequency, slots);
}

static int read_tables(struct ebb_tensor_body *body, uint8_t ends[2], uint32_t *slots,
                       struct ebb_error *err)
{
    uint8_t scratch[TABLES * TABLE_BYTES];
    struct ebb_entropy_block block;
    const uint8_t *bytes = NULL;
    int rc = ebb_tensor_body_bytes(body, ends, 2, err);
    if (rc == 0 && (ends[0] > NORMAL || ends[1] < NORMAL + 1 || ends[1] >= TABLES))
        rc = head_damaged(err);
    if (rc == 0)
        rc = ebb_entropy_read(body->at, body->len, &block, err);
    if (rc == 0 && block.raw_len > sizeof scratch)
        rc = head_damaged(err);
    if (rc == 0)
        rc = ebb_tensor_body_view(body, block.raw_len, scratch, &bytes, err);
    if (rc < 0)
        return rc;
    size_t at = 0;
    for (unsigned t = ends[0]; t <= ends[1]; t++)
        if (!get_table(bytes, block.raw_len, &at, slots + (size_t)(t - ends[0]) * EBB_MIXED_TOTAL))
            return ebb_error_set(err, EBB_ERR_CORRUPT, "steps: a table of them is damaged");
    return at == block.raw_len ? 0 : head_damaged(err);
}

static int symbols_damaged(struct ebb_error *err)
{
    return ebb_error_set(err, EBB_ERR_CORRUPT, "steps: symbols are damaged");
}

/* Far elements of a piece; *far moves on. */
static int restore_far(const uint8_t *symbols, size_t n, unsigned stride, const uint8_t **far,
                       size_t *left, uint8_t *out, struct ebb_error *err)
{
    const uint8_t *end = symbols + n;
    for (const uint8_t *at = symbols; at < end && (at = memchr(at, 0, (size_t)(end - at))); at++) {
        if (*left < stride)
            return ebb_error_set(err, EBB_ERR_CORRUPT, "steps: elements are missing");
        memcpy(out + (size_t)(at - symbols) * stride, *far, stride);
        *far += stride;
        *left -= stride;
    }
    return 0;
}

struct reading {
    const struct ebb_tensor_array *a;
    const struct ebb_step_model *m;
    const struct room *room;
    uint32_t *slots;
    uint8_t ends[2];
    /* What is left of each chunk's strings. */
    struct strings {
        struct ebb_mixed_decoder symbols;
        const uint8_t *bits, *far;
        uint64_t bit, bit_end;
        size_t far_left;
    } chunks[SEGMENT];
};

/* Symbols stand behind all bits, so that a reader of bits touches nothing past the blob. */
static int open_bits(struct ebb_tensor_body *body, struct strings *s, struct ebb_error *err)
{
    size_t len = 0;
    int rc = ebb_tensor_body_stored(body, &s->bits, &len, err);
    if (rc == 0)
        rc = ebb_tensor_body_stored(body, &s->far, &s->far_left, err);
    if (rc == 0 && body->len < SLACK)
        rc = symbols_damaged(err);
    s->bit = 0;
    s->bit_end = 8 * (uint64_t)len;
    return rc;
}

static int open_symbols(struct ebb_tensor_body *body, struct strings *s, struct ebb_error *err)
{
    const uint8_t *bytes = NULL;
    size_t len = 0;
    int rc = ebb_tensor_body_stored(body, &bytes, &len, err);
    return rc == 0 && !ebb_mixed_decoder_init(&s->symbols, bytes, len) ? symbols_damaged(err) : rc;
}

static int read_piece(const struct reading *r, struct strings *s, size_t at, size_t n, uint8_t *out,
                      struct ebb_error *err)
{
    const struct routines *with = &routines[ebb_cpu_level()];
    const struct ebb_tensor_array *a = r->a;
    struct step_piece c = r->room->piece;
    c.symbol = r->room->symbols;
    c.context = r->room->contexts;
    const uint8_t *base = ebb_tensor_chunk(a, a->base, at, n, r->room->swapped_base);
    look_at(a, r->m, at, n, base, r->ends[0], r->ends[1], &c);
    if (!ebb_mixed_decode(&s->symbols, r->slots, c.context, n, c.symbol))
        return symbols_damaged(err);
    s->bit = with->get(s->bits, s->bit, s->bit_end, &c, n, a->dtype);
    if (s->bit > s->bit_end)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "steps: bits are missing");
    with->join(&c, n, a->dtype, out);
    int rc = restore_far(c.symbol, n, a->stride, &s->far, &s->far_left, out, err);
    if (rc == 0)
        ebb_tensor_finish_chunk(a, out, n);
    return rc;
}

static int read_chunk(const struct reading *r, struct strings *s, size_t at, size_t n, uint8_t *out,
                      struct ebb_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i += PIECE)
        rc = read_piece(r, s, at + i, n - i < PIECE ? n - i : PIECE, out + i * r->a->stride, err);
    if (rc == 0 &&
        (s->far_left != 0 || s->bit_end - s->bit > 7 || !ebb_mixed_decoder_done(&s->symbols)))
        return symbols_damaged(err);
    return rc;
}

static int read_segment(struct reading *r, struct ebb_tensor_body *body, size_t at, size_t n,
                        uint8_t *out, struct ebb_error *err)
{
    int rc = 0;
    size_t chunks = n / CHUNK + (n % CHUNK != 0);
    for (size_t i = 0; rc == 0 && i < chunks; i++)
        rc = open_bits(body, &r->chunks[i], err);
    if (rc == 0)
        rc = read_tables(body, r->ends, r->slots, err);
    for (size_t i = 0; rc == 0 && i < chunks; i++)
        rc = open_symbols(body, &r->chunks[i], err);
    for (size_t i = 0, from = 0; rc == 0 && i < chunks; i++, from += CHUNK)
        rc = read_chunk(r, &r->chunks[i], at + from, n - from < CHUNK ? n - from : CHUNK,
                        out + from * r->a->stride, err);
    return rc;
}

int ebb_tensor_step_decode(const struct ebb_tensor_array *a, struct ebb_tensor_body *body,
                           uint8_t *out, struct ebb_error *err)
{
    if (!ebb_step_applies(a))
        return head_damaged(err);
    EBB_AUTO(ebb_step_model_clean_up)
    struct ebb_step_model m = {.rows = a->elements / a->columns, .columns = a->columns};
    struct room room = {0};
    int rc = read_model(body, &m, err);
    if (rc < 0)
        return rc;
    EBB_AUTO_FREE uint32_t *slots = malloc(TABLES * EBB_MIXED_TOTAL * sizeof *slots);
    if (slots == NULL || !take_room(a, PIECE, &room))
        return ebb_tensor_no_memory(err, 8 * a->stride * CHUNK);
    EBB_AUTO_FREE uint8_t *all = room.all;
    (void)all; /* held to be freed */
    struct reading r = {.a = a, .m = &m, .room = &room, .slots = slots};
    for (size_t at = 0; rc == 0 && at < a->elements; at += SEGMENT * CHUNK) {
        size_t n = a->elements - at < SEGMENT * CHUNK ? a->elements - at : SEGMENT * CHUNK;
        rc = read_segment(&r, body, at, n, out + at * a->stride, err);
    }
    return rc;
}
