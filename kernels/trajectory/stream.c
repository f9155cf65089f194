/* Streams: tokens, raw bits, escapes. The loops over numbers are compiled for each instruction set.
 */
#include "kernels/trajectory/stream.h"

#include <math.h>
#include <string.h>

#include "kernels/trajectory/bits.h"
#include "kernels/trajectory/lattice.h"
#include "kernels/trajectory/levels.h"
#include "kernels/trajectory/put.h"
#include "kernels/trajectory/tiles.h"
#include "kernels/varint.h"

void ebb_traj_tokens(const uint32_t *values, size_t n, unsigned raw_bits, uint8_t *tokens,
                     uint32_t *ret_escapes);
void ebb_traj_sum(const uint32_t *values, size_t n, uint64_t *ret);
void ebb_traj_join(uint32_t *low, const uint8_t *tokens, size_t n, unsigned raw_bits,
                   uint32_t *ret_escapes);

static inline EBB_BODY void tokens_body(const uint32_t *values, size_t n, unsigned raw_bits,
                                        uint8_t *tokens, uint32_t *ret_escapes)
{
    uint32_t escapes = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t t = values[i] >> raw_bits;
        escapes += t >= EBB_TRAJ_ESCAPE;
        tokens[i] = (uint8_t)(t < EBB_TRAJ_ESCAPE ? t : EBB_TRAJ_ESCAPE);
    }
    *ret_escapes = escapes;
}
EBB_LEVELS(tokens,
           (const uint32_t *values, size_t n, unsigned raw_bits, uint8_t *tokens,
            uint32_t *ret_escapes),
           (values, n, raw_bits, tokens, ret_escapes))

static inline EBB_BODY void sum_body(const uint32_t *values, size_t n, uint64_t *ret)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    *ret = sum;
}
EBB_LEVELS(sum, (const uint32_t *values, size_t n, uint64_t *ret), (values, n, ret))

static inline EBB_BODY void join_body(uint32_t *low, const uint8_t *tokens, size_t n,
                                      unsigned raw_bits, uint32_t *ret_escapes)
{
    uint32_t escapes = 0;
    for (size_t i = 0; i < n; i++) {
        escapes += tokens[i] == EBB_TRAJ_ESCAPE;
        low[i] |= (uint32_t)tokens[i] << raw_bits;
    }
    *ret_escapes = escapes;
}
EBB_LEVELS(join,
           (uint32_t * low, const uint8_t *tokens, size_t n, unsigned raw_bits,
            uint32_t *ret_escapes),
           (low, tokens, n, raw_bits, ret_escapes))

static inline EBB_BODY void raise_signs_body(uint32_t *values, size_t n, unsigned raw_bits)
{
    const uint32_t low = (1u << raw_bits) - 1;
    for (size_t i = 0; i < n; i++) {
        const int32_t v = ebb_traj_unzigzag(values[i]);
        values[i] = ebb_traj_zigzag(v >> raw_bits) << raw_bits | ((uint32_t)v & low);
    }
}
EBB_LEVELS(raise_signs, (uint32_t * values, size_t n, unsigned raw_bits), (values, n, raw_bits))

static inline EBB_BODY void lower_signs_body(uint32_t *values, size_t n, unsigned raw_bits)
{
    const uint32_t low = (1u << raw_bits) - 1;
    for (size_t i = 0; i < n; i++) {
        const uint32_t high = (uint32_t)ebb_traj_unzigzag(values[i] >> raw_bits) << raw_bits;
        values[i] = ebb_traj_zigzag((int32_t)(high | (values[i] & low)));
    }
}
EBB_LEVELS(lower_signs, (uint32_t * values, size_t n, unsigned raw_bits), (values, n, raw_bits))

void ebb_traj_writer_clean_up(struct ebb_traj_writer *w)
{
    free(w->tokens);
    free(w->contexts);
    ebb_buffer_clean_up(&w->low);
    ebb_buffer_clean_up(&w->escapes);
    memset(w, 0, sizeof *w);
}

void ebb_traj_writer_reset(struct ebb_traj_writer *w)
{
    w->count = 0;
    w->context_count = 1;
    w->pending_count = 0;
    w->raw_bits = 0;
    ebb_buffer_reset(&w->low);
    ebb_buffer_reset(&w->escapes);
}

/* So many raw bits that the mean token is between 8 and 16: the tokens then see the shape of the
 * distribution to a 10th of its width. What the last frame used is kept while it is near that.
 * Joined numbers have none until they outgrow the tokens. */
static unsigned choose_raw_bits(const struct ebb_traj_writer *w, const uint32_t *values, size_t n,
                                bool joined)
{
    uint64_t sum;
    ebb_traj_sum(values, n, &sum);
    uint64_t mean = sum / n;
    if (joined && mean < 96)
        return 0;
    if (w->count > 0 && mean >> w->raw_bits < 20 && (w->raw_bits == 0 || mean >> w->raw_bits >= 6))
        return w->raw_bits;
    unsigned k = 0;
    while (mean >> k >= 16 && k < EBB_TRAJ_RAW_MAX)
        k++;
    return k;
}

static uint8_t *planes(struct ebb_buffer *b, size_t bytes)
{
    ebb_buffer_reserve(b, bytes);
    uint8_t *at = b->data + b->len;
    b->len += bytes;
    b->data[b->len] = 0;
    return at;
}

static void flush_pending(struct ebb_traj_writer *w)
{
    if (w->pending_count == 0)
        return;
    for (unsigned i = w->pending_count; i < 32; i++)
        w->pending[i] = 0;
    w->pending_count = 0;
    if (w->raw_bits > 0)
        ebb_traj_pack_planes(w->pending, 1, w->raw_bits, planes(&w->low, 4 * (size_t)w->raw_bits));
}

static void put_low(struct ebb_traj_writer *w, const uint32_t *values, size_t n)
{
    size_t i = 0;
    if (w->pending_count > 0) {
        for (; i < n && w->pending_count < 32; i++)
            w->pending[w->pending_count++] = values[i];
        if (w->pending_count < 32)
            return;
        flush_pending(w);
    }
    size_t blocks = (n - i) / 32;
    if (w->raw_bits > 0)
        ebb_traj_pack_planes(values + i, blocks, w->raw_bits,
                             planes(&w->low, blocks * 4 * w->raw_bits));
    for (i += 32 * blocks; i < n; i++)
        w->pending[w->pending_count++] = values[i];
}

static void put_escapes(struct ebb_traj_writer *w, const uint32_t *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (values[i] >> w->raw_bits >= EBB_TRAJ_ESCAPE)
            ebb_traj_put_varint(&w->escapes, (values[i] >> w->raw_bits) - EBB_TRAJ_ESCAPE);
    }
}

void ebb_traj_writer_expect(struct ebb_traj_writer *w, size_t numbers)
{
    if (numbers <= w->capacity)
        return;
    w->tokens = ebb_realloc_array(w->tokens, numbers, 1);
    if (w->contexts != NULL)
        w->contexts = ebb_realloc_array(w->contexts, numbers, 1);
    w->capacity = numbers;
}

static void put(struct ebb_traj_writer *w, uint32_t *values, size_t n, unsigned raw_bits)
{
    if (raw_bits != w->raw_bits) {
        flush_pending(w);
        w->raw_bits = raw_bits;
    }
    if (w->capacity - w->count < n)
        ebb_traj_writer_expect(w, (w->count + n) * 3 / 2 + 64);
    uint32_t escapes;
    ebb_traj_tokens(values, n, raw_bits, w->tokens + w->count, &escapes);
    w->count += n;
    if (escapes > 0)
        put_escapes(w, values, n);
    if (raw_bits > 0)
        put_low(w, values, n);
}

unsigned ebb_traj_writer_put(struct ebb_traj_writer *w, uint32_t *values, size_t n, bool joined)
{
    if (n == 0)
        return 0;
    const unsigned k = choose_raw_bits(w, values, n, joined);
    put(w, values, n, k);
    return k;
}

unsigned ebb_traj_writer_put_in_contexts(struct ebb_traj_writer *w, uint32_t *values, size_t n,
                                         bool joined, const uint32_t *contexts, unsigned count)
{
    if (n == 0)
        return 0;
    const size_t first = w->count;
    if (w->contexts == NULL) {
        w->capacity = w->capacity < n ? n : w->capacity;
        w->tokens = ebb_realloc_array(w->tokens, w->capacity, 1);
        w->contexts = ebb_realloc_array(NULL, w->capacity, 1);
    }
    const unsigned k = choose_raw_bits(w, values, n, joined);
    if (!joined)
        ebb_traj_raise_signs(values, n, k);
    put(w, values, n, k);
    w->context_count = count;
    for (size_t i = 0; i < n; i++)
        w->contexts[first + i] = (uint8_t)contexts[i];
    return k;
}

void ebb_traj_writer_put_tiles(struct ebb_traj_writer *w, const uint32_t *values, size_t n,
                               unsigned runs)
{
    const size_t count = n / runs, tiles = (size_t)ebb_tiles_of(count), start = w->low.len;
    (void)planes(&w->low, 2 * runs * tiles);
    for (unsigned r = 0; r < runs; r++) {
        ebb_buffer_reserve(&w->low, 4 * EBB_TILE_WORDS * tiles);
        uint8_t *heads = w->low.data + start + 2 * r * tiles, *words = w->low.data + w->low.len;
        (void)planes(&w->low, ebb_tiles_pack(values + r * count, count, heads, words));
    }
}

void ebb_traj_writer_put_packed(struct ebb_traj_writer *w, const uint8_t *heads, size_t head_bytes,
                                const uint8_t *words, size_t word_bytes)
{
    ebb_buffer_append(&w->low, heads, head_bytes);
    ebb_buffer_append(&w->low, words, word_bytes);
}

static void put_section(struct ebb_buffer *side, struct ebb_buffer *out, const void *bytes,
                        size_t len)
{
    ebb_traj_put_varint(side, len);
    ebb_buffer_append(out, bytes, len);
}

/* The last symbol and a varint for each frequency up to it. Returns that symbol. */
static unsigned put_table(const struct ebb_rans_table *table, struct ebb_buffer *side)
{
    unsigned last = 255;
    while (table->frequency[last] == 0)
        last--;
    ebb_traj_put_varint(side, last);
    for (unsigned s = 0; s <= last; s++)
        ebb_traj_put_varint(side, table->frequency[s]);
    return last;
}

/* The coder works from the end of `room`, then the bytes move down: little room, few pages touched.
 */
static void put_coded(struct ebb_buffer *side, struct ebb_buffer *out, const uint8_t *coded,
                      size_t bound)
{
    uint8_t *room = out->data + out->len;
    const size_t len = (size_t)(room + bound - coded);
    memmove(room, coded, len);
    ebb_traj_put_varint(side, len);
    out->len += len;
    out->data[out->len] = 0;
}

/* One table for all tokens. */
static void put_tokens(const struct ebb_traj_writer *w, const uint32_t counts[256],
                       struct ebb_buffer *side, struct ebb_buffer *out)
{
    struct ebb_rans_table table;
    ebb_rans_table_make(counts, &table);
    if (table.frequency[put_table(&table, side)] == EBB_RANS_TOTAL)
        return;
    const size_t bound = ebb_rans_bound_of(counts, &table);
    ebb_buffer_reserve(out, bound);
    put_coded(side, out, ebb_rans_encode(w->tokens, w->count, &table, out->data + out->len, bound),
              bound);
}

/* Counts by context, and their sum. */
static void count_tokens(const struct ebb_traj_writer *w, uint32_t ret[EBB_RANS_CONTEXTS_MAX][256],
                         uint32_t ret_all[256])
{
    memset(ret, 0, EBB_RANS_CONTEXTS_MAX * sizeof ret[0]);
    for (size_t i = 0; i < w->count; i++)
        ret[w->contexts[i]][w->tokens[i]]++;
    for (unsigned s = 0; s < 256; s++) {
        ret_all[s] = 0;
        for (unsigned c = 0; c < w->context_count; c++)
            ret_all[s] += ret[c][s];
    }
}

/* Bits that symbols with these counts take, and about so many for their table. */
static double bits_of(const uint32_t counts[256])
{
    double total = 0, bits = 0;
    for (unsigned s = 0; s < 256; s++)
        total += counts[s];
    for (unsigned s = 0; s < 256; s++) {
        if (counts[s] > 0)
            bits += counts[s] * log2(total / counts[s]) + 9;
    }
    return bits;
}

/* A table for each context; none has a symbol that takes all of it, which the coder cannot do. */
static void put_tokens_in_contexts(const struct ebb_traj_writer *w, const uint32_t (*counts)[256],
                                   struct ebb_buffer *side, struct ebb_buffer *out)
{
    static const uint32_t none[256] = {1, 1};
    struct ebb_rans_table tables[EBB_RANS_CONTEXTS_MAX];
    size_t bound = 0;
    for (unsigned c = 0; c < w->context_count; c++) {
        const bool used = bits_of(counts[c]) > 0;
        ebb_rans_table_make(used ? counts[c] : none, &tables[c]);
        for (unsigned s = 0; s < 256; s++) {
            if (tables[c].frequency[s] == EBB_RANS_TOTAL) {
                tables[c].frequency[s]--;
                tables[c].frequency[s ^ 1]++;
            }
        }
        (void)put_table(&tables[c], side);
        bound += ebb_rans_bound_of(counts[c], &tables[c]);
    }
    ebb_buffer_reserve(out, bound);
    put_coded(side, out,
              ebb_rans_contexts_encode(w->tokens, w->contexts, w->count, tables, w->context_count,
                                       out->data + out->len, bound),
              bound);
}

/* With contexts where these are worth their tables. */
static void put_in_contexts(const struct ebb_traj_writer *w, struct ebb_buffer *side,
                            struct ebb_buffer *out)
{
    uint32_t counts[EBB_RANS_CONTEXTS_MAX][256], all[256];
    double apart = 0;
    count_tokens(w, counts, all);
    for (unsigned c = 0; c < w->context_count; c++)
        apart += bits_of(counts[c]);
    const bool worth = apart < bits_of(all);
    ebb_traj_put_varint(side, worth ? w->context_count : 1);
    if (worth)
        put_tokens_in_contexts(w, counts, side, out);
    else
        put_tokens(w, all, side, out);
}

static void put_all_tokens(const struct ebb_traj_writer *w, enum ebb_traj_form form,
                           struct ebb_buffer *side, struct ebb_buffer *out)
{
    uint32_t counts[256];
    if (w->context_count > 1) {
        put_in_contexts(w, side, out);
        return;
    }
    if (form == EBB_TRAJ_FORM_CONTEXTS)
        ebb_traj_put_varint(side, 1);
    ebb_rans_count(w->tokens, w->count, counts);
    put_tokens(w, counts, side, out);
}

void ebb_traj_writer_finish(struct ebb_traj_writer *w, enum ebb_traj_form form,
                            struct ebb_buffer *side, struct ebb_buffer *out)
{
    if (form == EBB_TRAJ_FORM_CODED || form == EBB_TRAJ_FORM_CONTEXTS) {
        flush_pending(w);
        ebb_traj_put_varint(side, w->count);
        if (w->count > 0)
            put_all_tokens(w, form, side, out);
        put_section(side, out, w->escapes.data, w->escapes.len);
    }
    put_section(side, out, w->low.data, w->low.len);
    ebb_traj_writer_reset(w);
}

void ebb_traj_reader_clean_up(struct ebb_traj_reader *r)
{
    free(r->rans);
    if (r->by_context != NULL)
        ebb_rans_contexts_clean_up(r->by_context);
    free(r->by_context);
    free(r->ring);
    memset(r, 0, sizeof *r);
}

static int corrupt(struct ebb_error *err, const char *what)
{
    return ebb_error_set(err, EBB_ERR_CORRUPT, "trajectory group: %s", what);
}

static int get_section(const uint8_t *side, size_t side_len, size_t *at, const uint8_t *body,
                       size_t body_len, size_t *body_at, const uint8_t **ret,
                       const uint8_t **ret_end, struct ebb_error *err)
{
    uint64_t len;
    if (!ebb_varint_get(side, side_len, at, &len) || len > body_len - *body_at)
        return corrupt(err, "a stream is longer than the group");
    *ret = body + *body_at;
    *ret_end = *ret + len;
    *body_at += (size_t)len;
    return 0;
}

static int get_table(const uint8_t *side, size_t side_len, size_t *at, struct ebb_rans_table *ret,
                     unsigned *ret_last, struct ebb_error *err)
{
    uint64_t last, sum = 0;
    if (!ebb_varint_get(side, side_len, at, &last) || last > 255)
        return corrupt(err, "a table of frequencies is damaged");
    memset(ret, 0, sizeof *ret);
    for (unsigned s = 0; s <= last; s++) {
        uint64_t f;
        if (!ebb_varint_get(side, side_len, at, &f) || f > EBB_RANS_TOTAL - sum)
            return corrupt(err, "a table of frequencies is damaged");
        ret->frequency[s] = (uint16_t)f;
        sum += f;
    }
    if (sum != EBB_RANS_TOTAL)
        return corrupt(err, "a table of frequencies does not add up");
    *ret_last = (unsigned)last;
    return 0;
}

/* Tables for each of `count` contexts, and the tokens. */
static int open_contexts(struct ebb_traj_reader *r, unsigned count, const uint8_t *side,
                         size_t side_len, size_t *at, const uint8_t *body, size_t body_len,
                         size_t *body_at, struct ebb_error *err)
{
    struct ebb_rans_table tables[EBB_RANS_CONTEXTS_MAX];
    const uint8_t *coded = NULL, *end = NULL;
    unsigned last;
    for (unsigned c = 0; c < count; c++) {
        int rc = get_table(side, side_len, at, &tables[c], &last, err);
        if (rc < 0)
            return rc;
    }
    int rc = get_section(side, side_len, at, body, body_len, body_at, &coded, &end, err);
    if (rc < 0)
        return rc;
    r->by_context = ebb_alloc(sizeof *r->by_context);
    if (!ebb_rans_contexts_init(r->by_context, tables, count, coded, (size_t)(end - coded),
                                (size_t)r->left))
        return corrupt(err, "a stream of tokens is cut short");
    return 0;
}

static int open_tokens(struct ebb_traj_reader *r, enum ebb_traj_form form, unsigned contexts,
                       const uint8_t *side, size_t side_len, size_t *at, const uint8_t *body,
                       size_t body_len, size_t *body_at, struct ebb_error *err)
{
    struct ebb_rans_table table;
    unsigned last = 0;
    uint64_t count = 1;
    if (form == EBB_TRAJ_FORM_CONTEXTS &&
        (!ebb_varint_get(side, side_len, at, &count) || (count != 1 && count != contexts)))
        return corrupt(err, "a stream has contexts that its numbers have not");
    if (count > 1)
        return open_contexts(r, (unsigned)count, side, side_len, at, body, body_len, body_at, err);
    int rc = get_table(side, side_len, at, &table, &last, err);
    if (rc < 0)
        return rc;
    r->constant = (uint8_t)last;
    if (table.frequency[last] == EBB_RANS_TOTAL)
        return 0;
    const uint8_t *coded = NULL, *end = NULL;
    rc = get_section(side, side_len, at, body, body_len, body_at, &coded, &end, err);
    if (rc < 0)
        return rc;
    r->rans = ebb_alloc(sizeof *r->rans);
    if (!ebb_rans_decoder_init(r->rans, &table, coded, (size_t)(end - coded), (size_t)r->left))
        return corrupt(err, "a stream of tokens is cut short");
    return 0;
}

int ebb_traj_reader_open(struct ebb_traj_reader *r, enum ebb_traj_form form, unsigned contexts,
                         const uint8_t *side, size_t side_len, size_t *at, const uint8_t *body,
                         size_t body_len, size_t *body_at, struct ebb_error *err)
{
    int rc;
    if (form == EBB_TRAJ_FORM_CODED || form == EBB_TRAJ_FORM_CONTEXTS) {
        if (!ebb_varint_get(side, side_len, at, &r->left))
            return corrupt(err, "a stream's length is missing");
        if (r->left > 0 && (rc = open_tokens(r, form, contexts, side, side_len, at, body, body_len,
                                             body_at, err)) < 0)
            return rc;
        rc = get_section(side, side_len, at, body, body_len, body_at, &r->escapes, &r->escapes_end,
                         err);
        if (rc < 0)
            return rc;
    }
    return get_section(side, side_len, at, body, body_len, body_at, &r->low, &r->low_end, err);
}

static void make_room(struct ebb_traj_reader *r, size_t more)
{
    if (r->ring_capacity >= r->ring_count + more)
        return;
    r->ring_capacity = r->ring_count + more + EBB_RANS_LANES;
    r->ring = ebb_realloc_array(r->ring, r->ring_capacity, 1);
}

/* The next n tokens, no more: what contexts those after them have is not known yet. */
static int fill_in_contexts(struct ebb_traj_reader *r, const uint32_t *contexts, size_t n,
                            struct ebb_error *err)
{
    if (n > r->left || contexts == NULL)
        return corrupt(err, "a stream has too few tokens");
    make_room(r, n);
    if (!ebb_rans_contexts_decode(r->by_context, contexts, r->ring, n))
        return corrupt(err, "a stream of tokens is cut short");
    r->ring_count = n;
    r->left -= n;
    return 0;
}

/* Decodes whole turns until n tokens lie in the ring (the last turn may be short). */
static int fill_ring(struct ebb_traj_reader *r, size_t n, struct ebb_error *err)
{
    if (n <= r->ring_count)
        return 0;
    size_t want = (n - r->ring_count + EBB_RANS_LANES - 1) / EBB_RANS_LANES * EBB_RANS_LANES;
    if (want > r->left)
        want = (size_t)r->left;
    if (r->ring_count + want < n)
        return corrupt(err, "a stream has too few tokens");
    make_room(r, want);
    if (r->rans == NULL)
        memset(r->ring + r->ring_count, r->constant, want);
    else if (!ebb_rans_decode(r->rans, r->ring + r->ring_count, want))
        return corrupt(err, "a stream of tokens is cut short");
    r->ring_count += want;
    r->left -= want;
    return 0;
}

static bool next_low(struct ebb_traj_reader *r, uint32_t *values, size_t blocks)
{
    if ((size_t)(r->low_end - r->low) / (4 * (size_t)r->raw_bits) < blocks)
        return false;
    ebb_traj_unpack_planes(r->low, blocks, r->raw_bits, values);
    r->low += blocks * 4 * r->raw_bits;
    return true;
}

static int get_low(struct ebb_traj_reader *r, uint32_t *values, size_t n, struct ebb_error *err)
{
    size_t i = 0;
    for (; i < n && r->pending_count > 0; i++)
        values[i] = r->pending[32 - r->pending_count--];
    size_t blocks = (n - i) / 32;
    if (!next_low(r, values + i, blocks))
        return corrupt(err, "a stream has too few raw bits");
    i += 32 * blocks;
    if (i == n)
        return 0;
    if (!next_low(r, r->pending, 1))
        return corrupt(err, "a stream has too few raw bits");
    for (r->pending_count = 32; i < n; i++)
        values[i] = r->pending[32 - r->pending_count--];
    return 0;
}

static int get_escapes(struct ebb_traj_reader *r, uint32_t *values, size_t n, struct ebb_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (r->ring[i] != EBB_TRAJ_ESCAPE)
            continue;
        uint64_t more;
        size_t at = 0;
        if (!ebb_varint_get(r->escapes, (size_t)(r->escapes_end - r->escapes), &at, &more) ||
            more > UINT32_MAX)
            return corrupt(err, "an escaped number is damaged");
        r->escapes += at;
        values[i] += (uint32_t)more << r->raw_bits;
    }
    return 0;
}

int ebb_traj_reader_get(struct ebb_traj_reader *r, unsigned raw_bits, const uint32_t *contexts,
                        uint32_t *values, size_t n, struct ebb_error *err)
{
    if (n == 0)
        return 0;
    int rc = r->by_context != NULL ? fill_in_contexts(r, contexts, n, err) : fill_ring(r, n, err);
    if (rc < 0)
        return rc;
    if (raw_bits != r->raw_bits) {
        r->pending_count = 0;
        r->raw_bits = raw_bits;
    }
    if (raw_bits == 0)
        memset(values, 0, n * sizeof *values);
    else if ((rc = get_low(r, values, n, err)) < 0)
        return rc;
    uint32_t escapes;
    ebb_traj_join(values, r->ring, n, raw_bits, &escapes);
    if (escapes > 0 && (rc = get_escapes(r, values, n, err)) < 0)
        return rc;
    r->ring_count -= n;
    memmove(r->ring, r->ring + n, r->ring_count);
    return 0;
}

int ebb_traj_reader_get_packed(struct ebb_traj_reader *r, size_t n, unsigned runs,
                               const uint8_t **ret_heads, size_t *ret_head_bytes,
                               const uint8_t **ret_words, size_t *ret_word_bytes,
                               struct ebb_error *err)
{
    const size_t count = n / runs, each = 2 * (size_t)ebb_tiles_of(count);
    const size_t left = (size_t)(r->low_end - r->low), head_bytes = runs * each;
    if (left < head_bytes)
        return corrupt(err, "a frame's heads are cut short");
    size_t bytes = 0;
    for (unsigned k = 0; k < runs; k++) {
        const size_t of_run = ebb_tiles_bytes(r->low + k * each, count);
        if (of_run > left - head_bytes - bytes)
            return corrupt(err, "a tile is damaged, or cut short");
        bytes += of_run;
    }
    *ret_heads = r->low;
    *ret_head_bytes = head_bytes;
    *ret_words = r->low + head_bytes;
    *ret_word_bytes = bytes;
    r->low += head_bytes + bytes;
    return 0;
}

int ebb_traj_reader_get_tiles(struct ebb_traj_reader *r, uint32_t *values, size_t n, unsigned runs,
                              struct ebb_error *err)
{
    const uint8_t *heads = NULL, *words = NULL;
    size_t head_bytes = 0, word_bytes = 0;
    int rc = ebb_traj_reader_get_packed(r, n, runs, &heads, &head_bytes, &words, &word_bytes, err);
    for (unsigned k = 0; rc == 0 && k < runs; k++) {
        const size_t count = n / runs;
        if (!ebb_tiles_unpack(heads, words, count, values + k * count))
            rc = corrupt(err, "a tile's unary code does not end where its numbers do");
        words += ebb_tiles_bytes(heads, count);
        heads += head_bytes / runs;
    }
    return rc;
}

int ebb_traj_reader_get_blocks(struct ebb_traj_reader *r, uint32_t *values, size_t n,
                               struct ebb_error *err)
{
    const size_t blocks = (n + 31) / 32;
    const uint8_t *widths = r->low;
    if ((size_t)(r->low_end - r->low) < blocks)
        return corrupt(err, "a frame's widths are cut short");
    r->low += blocks;
    for (size_t j = 0; j < blocks; j++) {
        if (widths[j] > 32 || (size_t)(r->low_end - r->low) < 4 * (size_t)widths[j])
            return corrupt(err, "a block's bits are cut short");
        ebb_traj_unpack_planes(r->low, 1, widths[j], values + 32 * j);
        r->low += 4 * (size_t)widths[j];
    }
    return 0;
}

bool ebb_traj_reader_done(const struct ebb_traj_reader *r)
{
    return r->left == 0 && r->ring_count == 0 && r->low == r->low_end &&
           r->escapes == r->escapes_end && (r->rans == NULL || ebb_rans_decoder_done(r->rans)) &&
           (r->by_context == NULL || ebb_rans_contexts_done(r->by_context));
}
