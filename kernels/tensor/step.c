/* The method of steps: differences from where training is expected to have moved each element since
 * the base, by a model that the blob holds (step_fit.c).
 *
 *     body       rank (1 byte), exponent (zigzag varint), keep (4 bytes, a float), origin (as
 *                exponent)
 *                u and v: a block each, signed bytes zigzagged, one component after another
 *                logarithms of rows, of columns: a block each
 *                then for each segment of 32 chunks of 65,536 elements:
 *                  for each chunk a stored block of low bits, a stored block of far elements
 *                  first, last (1 byte each), a block of the tables' frequencies
 *                  for each chunk a stored block of coded symbols (mixed.h)
 *     expected   keep * base + 2^exponent * sum(u v), in single precision, rounded to the type;
 *                the base itself where that is infinite or no number
 *     class      (origin + row + column - 4 * exponent of what is expected) >> 1, within bounds:
 *                how far off the element will be, in half octaves (step.h)
 *     symbol     128 + (distance >> low) when within 1..255, else 0 and the element whole; low and
 *                the symbol's table follow from the class
 *
 * The distance is that of ordered integers. Nothing but the base is needed to find out classes, so
 * low bits have no headers and symbols tables that fit them. */
#include "kernels/tensor/step.h"

#include <stdlib.h>

#include "kernels/bits.h"
#include "kernels/tensor/mixed.h"
#include "kernels/varint.h"

#define CHUNK   ((size_t)65536)
#define SEGMENT ((size_t)32)
#define PIECE   EBB_STEP_PIECE
#define TABLES  EBB_STEP_TABLES
/* What a reader of bits may touch past the end. */
#define SLACK (2 * EBB_BITS_SLACK)
/* A table of fewer symbols goes together with its neighbour. */
#define WORTH_TABLE 512
/* A table's bytes: two, and two for each symbol. */
#define TABLE_BYTES (2 + 2 * 256)

/* ---- writing ---- */

/* All the memory. */
struct room {
    uint8_t *all, *swapped_data, *swapped_base; /* a piece each */
    uint8_t *raw, *far, *coded;                 /* a chunk each */
    uint8_t *symbols, *contexts;                /* `held` each */
    size_t coded_bytes;
    struct ebb_step_piece piece;
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
                    const struct ebb_step_piece *c)
{
    const struct ebb_step_lanes *with = ebb_step_lanes();
    for (size_t i = 0; i < n;) {
        struct ebb_step_run r = ebb_step_run_at(m, at + i, n - i, base + i * a->stride);
        with->expect(&r, a->dtype, c->expected + i);
        with->classify(&r, a->dtype, first, last, c->expected + i, c->low + i, c->context + i);
        i += r.n;
    }
}

typedef uint32_t counts[TABLES][256];

static void count_symbols(const struct ebb_step_piece *c, size_t n, counts count)
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
    const struct ebb_step_lanes *with = ebb_step_lanes();
    struct ebb_bit_writer bits = {.out = room->raw};
    size_t far = 0;
    for (size_t from = 0, part; from < n; from += part) {
        part = n - from < PIECE ? n - from : PIECE;
        struct ebb_step_piece c = room->piece;
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
    for (; first < EBB_STEP_NORMAL && total_of(count[first]) < WORTH_TABLE; first++)
        add_counts(count[first + 1], count[first]);
    for (; last > EBB_STEP_NORMAL + 1 && total_of(count[last]) < WORTH_TABLE; last--)
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
        n += ebb_varint_put(out + n, ebb_zigzag(frequency[s] - before));
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
    if (scratch == NULL || !ebb_step_find_scales(a, &m))
        return ebb_tensor_no_memory(err, most * EBB_STEP_RANK);
    ebb_step_put_model(&m, a->level, scratch, out);
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
        f += ebb_zigzag_back(difference & 0xffff);
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
    if (rc == 0 &&
        (ends[0] > EBB_STEP_NORMAL || ends[1] < EBB_STEP_NORMAL + 1 || ends[1] >= TABLES))
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
    const struct ebb_step_lanes *with = ebb_step_lanes();
    const struct ebb_tensor_array *a = r->a;
    struct ebb_step_piece c = r->room->piece;
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
    int rc = ebb_step_read_model(body, &m, err);
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
