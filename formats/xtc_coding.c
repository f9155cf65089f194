/* XTC's bit stream, most significant bit first. It is a sequence of groups:
 *
 *     full triplet | 0                                   same run length as before, same size
 *                  | 1, 5 bits: run length and change    0..8 small triplets; small size -1, 0, +1
 *     small triplet * run length
 *
 * A full triplet is relative to the minimum of each axis, a small one to the triplet before, offset
 * by half the small size. When the run is not empty, its first atom and the full one are swapped:
 * of a water O H H the first H is written in full, and O and the second H are near it.
 *
 * A triplet (a, b, c) of sizes (A, B, C) is the number N = (a*B + b)*C + c, its bytes written
 * lowest first, the last one with the bits that remain. If a size exceeds 24 bits, three plain
 * numbers stand instead. The small sizes grow by 2^(1/3) so that sizes[i]^3 fits i bits.
 *
 * The encoder's choices (when to swap, when to change the small size) are the format's custom, not
 * its grammar: they are followed to the letter so that a file decoded and encoded again is the
 * same, byte for byte. Arithmetic on differences wraps, as it does there.
 *
 * Fast by: one unaligned 64-bit load or store for each number, and division by multiplication with
 * the reciprocal. q = floor(N/d) = floor(N*m / 2^64), m = ceil(2^64/d), is exact while N*d < 2^64:
 * m = (2^64 + e)/d with e < d, so that N*m/2^64 = N/d + N*e/(d*2^64) < N/d + 1/d. */
#include "formats/xtc_coding.h"

#include <string.h>

#include "formats/bytes.h"

enum { FIRST_INDEX = 9, END_INDEX = 73, MAX_RUN = 8, RANGE_STEPS = 8 };

static const int32_t small_sizes[END_INDEX] = {
    0,        0,        0,        0,       0,       0,       0,       0,       0,       8,
    10,       12,       16,       20,      25,      32,      40,      50,      64,      80,
    101,      128,      161,      203,     256,     322,     406,     512,     645,     812,
    1024,     1290,     1625,     2048,    2580,    3250,    4096,    5060,    6501,    8192,
    10321,    13003,    16384,    20642,   26007,   32768,   41285,   52015,   65536,   82570,
    104031,   131072,   165140,   208063,  262144,  330280,  416127,  524287,  660561,  832255,
    1048576,  1321122,  1664510,  2097152, 2642245, 3329021, 4194304, 5284491, 6658042, 8388607,
    10568983, 13316085, 16777216,
};

typedef unsigned __int128 uint128;

static int bit_length(uint64_t v)
{
    return v == 0 ? 0 : 64 - __builtin_clzll(v);
}

static int32_t wrap_sub(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a - (uint32_t)b);
}

static uint32_t wrap_abs(int32_t v)
{
    return v < 0 ? 0u - (uint32_t)v : (uint32_t)v;
}

/* How triplets of one size are written. */
struct triplet_size {
    uint32_t size[3];
    uint64_t reciprocal[3]; /* 0: divide */
    unsigned bits;          /* of N; 0: three plain numbers of plain_bits */
    unsigned plain_bits[3];
};

static uint64_t reciprocal_of(uint32_t d, unsigned bits)
{
    return d < 2 || bits + (unsigned)bit_length(d) > 64 ? 0 : UINT64_MAX / d + 1;
}

static void set_triplet_size(struct triplet_size *t, uint32_t a, uint32_t b, uint32_t c)
{
    *t = (struct triplet_size){.size = {a, b, c}};
    if ((a | b | c) > 0xffffff) {
        for (int k = 0; k < 3; k++)
            t->plain_bits[k] = (unsigned)bit_length(t->size[k]);
        return;
    }
    uint128 product = (uint128)a * b * c;
    uint64_t high = (uint64_t)(product >> 64);
    t->bits = (unsigned)(high != 0 ? 64 + bit_length(high) : bit_length((uint64_t)product));
    for (int k = 0; k < 3; k++)
        t->reciprocal[k] = reciprocal_of(t->size[k], t->bits);
}

static void set_small_size(struct triplet_size *t, int index)
{
    uint32_t size = (uint32_t)small_sizes[index];
    *t = (struct triplet_size){.size = {size, size, size}, .bits = (unsigned)index};
    for (int k = 0; k < 3; k++)
        t->reciprocal[k] = reciprocal_of(size, t->bits);
}

/* ---- decoding ---- */

struct bit_reader {
    const uint8_t *bytes;
    uint64_t pos; /* in bits */
};

/* The next bits, left-justified; 57 of them are valid. */
static inline uint64_t peek(const struct bit_reader *r)
{
    return ebb_load64(r->bytes + (r->pos >> 3), true) << (r->pos & 7);
}

static inline uint32_t take_bits(struct bit_reader *r, unsigned bits)
{
    uint64_t v = peek(r) >> 1 >> (63 - bits);
    r->pos += bits;
    return (uint32_t)v;
}

static inline uint64_t take_number(struct bit_reader *r, unsigned bits)
{
    uint64_t window = peek(r);
    unsigned whole = bits & ~7u, part = bits & 7;
    uint64_t low = __builtin_bswap64(window) & (((uint64_t)1 << whole) - 1);
    uint64_t high = (window >> 1 >> (63 - bits)) & ((1u << part) - 1);
    r->pos += bits;
    return low | high << whole;
}

static void take_wide_triplet(struct bit_reader *r, const struct triplet_size *t, uint32_t v[3])
{
    uint128 n = take_number(r, 56);
    n |= (uint128)take_number(r, t->bits - 56) << 56;
    v[2] = (uint32_t)(n % t->size[2]);
    n /= t->size[2];
    v[1] = (uint32_t)(n % t->size[1]);
    v[0] = (uint32_t)(n / t->size[1]);
}

static inline uint64_t divide(uint64_t n, uint32_t d, uint64_t reciprocal)
{
    return reciprocal != 0 ? (uint64_t)(((uint128)n * reciprocal) >> 64) : n / d;
}

static inline void take_triplet(struct bit_reader *r, const struct triplet_size *t, uint32_t v[3])
{
    if (__builtin_expect(t->bits - 1 < 57, 1)) {
        uint64_t n = take_number(r, t->bits);
        uint64_t rest = divide(n, t->size[2], t->reciprocal[2]);
        v[2] = (uint32_t)(n - rest * t->size[2]);
        uint64_t first = divide(rest, t->size[1], t->reciprocal[1]);
        v[1] = (uint32_t)(rest - first * t->size[1]);
        v[0] = (uint32_t)first;
    } else if (t->bits == 0) {
        for (int k = 0; k < 3; k++)
            v[k] = take_bits(r, t->plain_bits[k]);
    } else {
        take_wide_triplet(r, t, v);
    }
}

static inline void put_atom(int32_t *q, const uint32_t v[3])
{
    for (int k = 0; k < 3; k++)
        q[k] = (int32_t)v[k];
}

/* `run` small triplets after the full one in `last`; q: the first of the run + 1 atoms. */
static inline void take_run(struct bit_reader *r, const struct triplet_size *small, unsigned run,
                            uint32_t last[3], int32_t *q)
{
    uint32_t half = small->size[0] / 2, v[3];
    put_atom(q + 3, last);
    take_triplet(r, small, v);
    for (int k = 0; k < 3; k++)
        last[k] += v[k] - half;
    put_atom(q, last);
    for (unsigned j = 1; j < run; j++) {
        take_triplet(r, small, v);
        for (int k = 0; k < 3; k++)
            last[k] += v[k] - half;
        put_atom(q + 3 * (j + 1), last);
    }
}

static int check_block(const struct ebb_xtc_block *b, size_t atoms, struct ebb_error *err)
{
    for (int k = 0; k < 3; k++)
        if ((int64_t)b->max[k] - b->min[k] < 0 || (int64_t)b->max[k] - b->min[k] >= INT32_MAX)
            return ebb_error_set(err, EBB_ERR_CORRUPT, "coordinates from %d to %d are none",
                                 b->min[k], b->max[k]);
    if (b->small_index < FIRST_INDEX || b->small_index >= END_INDEX)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "size %d of small differences is none",
                             b->small_index);
    /* A full triplet has at least 1 bit and its flag, a small one 9. */
    if (atoms / 4 > b->stream_bytes)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%zu atoms cannot be in %zu bytes", atoms,
                             b->stream_bytes);
    return 0;
}

int ebb_xtc_decode(const struct ebb_xtc_block *block, size_t atoms, int32_t *q,
                   struct ebb_error *err)
{
    int rc = check_block(block, atoms, err);
    if (rc < 0)
        return rc;
    uint32_t min[3], size[3];
    for (int k = 0; k < 3; k++) {
        min[k] = (uint32_t)block->min[k];
        size[k] = (uint32_t)block->max[k] - min[k] + 1;
    }
    struct triplet_size full, small;
    set_triplet_size(&full, size[0], size[1], size[2]);
    int index = block->small_index;
    set_small_size(&small, index);
    struct bit_reader r = {.bytes = block->stream};
    uint64_t end = (uint64_t)block->stream_bytes * 8;
    unsigned run = 0;
    for (size_t i = 0; i < atoms; i += 1 + run) {
        uint32_t v[3];
        take_triplet(&r, &full, v);
        for (int k = 0; k < 3; k++)
            v[k] += min[k];
        int change = 0;
        uint64_t window = peek(&r);
        if (window >> 63 != 0) {
            unsigned code = (unsigned)(window >> 58) & 31;
            run = code / 3;
            change = (int)(code % 3) - 1;
            r.pos += 6;
        } else {
            r.pos += 1;
        }
        if (run > MAX_RUN || run >= atoms - i)
            return ebb_error_set(err, EBB_ERR_CORRUPT, "a run of %u atoms after atom %zu of %zu",
                                 run, i, atoms);
        if (run > 0)
            take_run(&r, &small, run, v, q + 3 * i);
        else
            put_atom(q + 3 * i, v);
        if (r.pos > end)
            return ebb_error_set(err, EBB_ERR_CORRUPT,
                                 "the compressed coordinates end within atom %zu of %zu", i, atoms);
        if (change != 0) {
            index += change;
            if (index < FIRST_INDEX || index >= END_INDEX)
                return ebb_error_set(err, EBB_ERR_CORRUPT,
                                     "size %d of small differences at atom %zu is none", index, i);
            set_small_size(&small, index);
        }
    }
    return 0;
}

/* ---- encoding ---- */

struct bit_writer {
    uint8_t *at;
    uint64_t pending; /* left-justified */
    unsigned bits;    /* of pending, at most 7 between calls */
};

/* bits <= 56; v has no more. */
static inline void put_bits(struct bit_writer *w, uint64_t v, unsigned bits)
{
    w->pending |= v << 1 << (63 - w->bits - bits);
    w->bits += bits;
    ebb_store64(w->at, w->pending, true);
    w->at += w->bits >> 3;
    w->pending <<= w->bits & ~7u;
    w->bits &= 7;
}

static inline void put_number(struct bit_writer *w, uint64_t n, unsigned bits)
{
    unsigned whole = bits & ~7u, part = bits & 7;
    uint64_t low = __builtin_bswap64(n) >> 1 >> (63 - whole);
    put_bits(w, low << part | n >> whole, bits);
}

static void put_wide_triplet(struct bit_writer *w, const struct triplet_size *t,
                             const uint32_t v[3])
{
    uint128 n = ((uint128)v[0] * t->size[1] + v[1]) * t->size[2] + v[2];
    put_number(w, (uint64_t)n & (((uint64_t)1 << 56) - 1), 56);
    put_number(w, (uint64_t)(n >> 56), t->bits - 56);
}

static inline void put_triplet(struct bit_writer *w, const struct triplet_size *t,
                               const uint32_t v[3])
{
    if (__builtin_expect(t->bits - 1 < 56, 1)) {
        put_number(w, ((uint64_t)v[0] * t->size[1] + v[1]) * t->size[2] + v[2], t->bits);
    } else if (t->bits == 0) {
        for (int k = 0; k < 3; k++)
            put_bits(w, v[k], t->plain_bits[k]);
    } else {
        put_wide_triplet(w, t, v);
    }
}

static inline bool is_near(const int32_t *a, const int32_t *b, uint32_t distance)
{
    return wrap_abs(wrap_sub(a[0], b[0])) < distance && wrap_abs(wrap_sub(a[1], b[1])) < distance &&
           wrap_abs(wrap_sub(a[2], b[2])) < distance;
}

/* The ranges of the integers, and the least difference of an atom from the one before. */
static uint32_t survey(const int32_t *q, size_t atoms, struct ebb_xtc_block *b)
{
    for (int k = 0; k < 3; k++)
        b->min[k] = b->max[k] = q[k];
    int32_t least = INT32_MAX;
    for (size_t i = 1; i < atoms; i++) {
        const int32_t *a = q + 3 * i;
        uint32_t sum = 0;
        for (int k = 0; k < 3; k++) {
            b->min[k] = a[k] < b->min[k] ? a[k] : b->min[k];
            b->max[k] = a[k] > b->max[k] ? a[k] : b->max[k];
            sum += wrap_abs(wrap_sub(a[k - 3], a[k]));
        }
        least = (int32_t)sum < least ? (int32_t)sum : least;
    }
    return (uint32_t)(least < 0 ? 0 : least);
}

/* The small size and what may become of it; `smaller` and `larger` are halved sizes. */
struct small_state {
    int index, min_index, max_index;
    uint32_t half, smaller, larger;
    struct triplet_size size;
};

static void small_state_init(struct small_state *s, uint32_t least_difference)
{
    int index = FIRST_INDEX;
    while (index < END_INDEX - 1 && (uint32_t)small_sizes[index] < least_difference)
        index++;
    s->index = index;
    s->max_index = index + RANGE_STEPS < END_INDEX ? index + RANGE_STEPS : END_INDEX;
    s->min_index = s->max_index - RANGE_STEPS;
    s->smaller = (uint32_t)small_sizes[index - 1 < FIRST_INDEX ? FIRST_INDEX : index - 1] / 2;
    s->half = (uint32_t)small_sizes[index] / 2;
    /* The table ends before END_INDEX: no difference is taken as a reason to grow that far. */
    s->larger = s->max_index < END_INDEX ? (uint32_t)small_sizes[s->max_index] / 2 : 0;
    set_small_size(&s->size, index);
}

static void small_state_change(struct small_state *s, int change)
{
    s->index += change;
    if (change < 0) {
        s->half = s->smaller;
        s->smaller = (uint32_t)small_sizes[s->index - 1] / 2;
    } else {
        s->smaller = s->half;
        s->half = (uint32_t)small_sizes[s->index] / 2;
    }
    set_small_size(&s->size, s->index);
}

static inline bool is_beyond(const int32_t *a, const int32_t *b, uint32_t distance)
{
    uint32_t sum = 0;
    for (int k = 0; k < 3; k++) {
        uint32_t d = (uint32_t)a[k] - (uint32_t)b[k];
        sum += d * d;
    }
    return (int32_t)sum >= (int32_t)(distance * distance);
}

/* The run that begins with the swapped pair at q: its triplets into `values`. Returns its length,
 * and leaves the atom written last in *last. Clears *change if the run would not fit a smaller
 * size.
 */
static inline unsigned collect_run(const struct small_state *s, const int32_t *q, size_t left,
                                   uint32_t (*values)[3], const int32_t **last, int *change)
{
    unsigned run = 0;
    const int32_t *at = q, *before = q + 3;
    do {
        if (*change < 0 && is_beyond(at, before, s->smaller))
            *change = 0;
        for (int k = 0; k < 3; k++)
            values[run][k] = (uint32_t)at[k] - (uint32_t)before[k] + s->half;
        before = at;
        run++;
        at = q + 3 * ((size_t)run + 1);
    } while (run < MAX_RUN && run + 1 < left && is_near(at, before, s->half));
    *last = before;
    return run;
}

static void encode_stream(const int32_t *q, size_t atoms, const struct ebb_xtc_block *b,
                          const struct triplet_size *full, struct small_state *s,
                          struct bit_writer *w)
{
    static const int32_t origin[3];
    const int32_t *last = origin;
    unsigned run_before = MAX_RUN + 1;
    for (size_t i = 0; i < atoms;) {
        const int32_t *at = q + 3 * i;
        size_t left = atoms - i;
        bool pair = left > 1 && is_near(at, at + 3, s->half);
        int change = 0;
        if (s->index < s->max_index && i > 0 && is_near(at, last, s->larger))
            change = 1;
        else if (pair && s->index > s->min_index)
            change = -1;
        const int32_t *whole = pair ? at + 3 : at;
        uint32_t v[3], values[MAX_RUN][3];
        for (int k = 0; k < 3; k++)
            v[k] = (uint32_t)whole[k] - (uint32_t)b->min[k];
        put_triplet(w, full, v);
        last = whole;
        unsigned run = pair ? collect_run(s, at, left, values, &last, &change) : 0;
        if (run != run_before || change != 0)
            put_bits(w, 32 | (3 * run + (unsigned)(change + 1)), 6);
        else
            put_bits(w, 0, 1);
        run_before = run;
        for (unsigned j = 0; j < run; j++)
            put_triplet(w, &s->size, values[j]);
        if (change != 0)
            small_state_change(s, change);
        i += 1 + run;
    }
}

int ebb_xtc_encode(const int32_t *q, size_t atoms, struct ebb_xtc_block *ret,
                   struct ebb_buffer *out, struct ebb_error *err)
{
    struct ebb_xtc_block b = {0};
    struct small_state s;
    small_state_init(&s, survey(q, atoms, &b));
    b.small_index = s.index;
    uint32_t size[3];
    for (int k = 0; k < 3; k++) {
        /* Compared as floats, as GROMACS does. */
        if ((int64_t)b.max[k] - b.min[k] >= INT32_MAX ||
            (float)b.max[k] - (float)b.min[k] >= 2147483520.0f)
            return ebb_error_set(err, EBB_ERR_INPUT,
                                 "coordinates from %d to %d steps are too far apart for XTC",
                                 b.min[k], b.max[k]);
        size[k] = (uint32_t)b.max[k] - (uint32_t)b.min[k] + 1;
    }
    struct triplet_size full;
    set_triplet_size(&full, size[0], size[1], size[2]);
    /* A full triplet has at most 93 bits, a small one 72; 6 for each group. */
    ebb_buffer_reserve(out, atoms * 13 + 16);
    struct bit_writer w = {.at = out->data + out->len};
    encode_stream(q, atoms, &b, &full, &s, &w);
    b.stream_bytes = (size_t)(w.at - (out->data + out->len)) + (w.bits > 0);
    out->len += b.stream_bytes;
    out->data[out->len] = 0;
    *ret = b;
    return 0;
}
