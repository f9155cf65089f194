/* Frames of Huffman literals, read. Those of huffman.h go a fast way: a table of 2^11 entries tells
 * up to six symbols at once, and the four streams of a block go on side by side, since each waits
 * for its own table. Whatever is unlike them, damage included, goes through the library, which also
 * says what is wrong.
 *
 * All four streams of a block are read backwards, from a last byte whose highest bit that is set
 * marks the end (RFC 8878, 4.2.2). */
#include "kernels/huffman.h"

#include <stdbool.h>
#include <string.h>
#include <zstd.h>

#include "kernels/cpu.h"

#define INLINE static inline __attribute__((always_inline))

#define BITS    EBB_HUFFMAN_MAX_BITS
#define TABLE   (1U << BITS)
#define STREAMS 4
/* A word of the stream holds at least 57 bits, five codes of at most eleven. */
#define AT_ONCE 5
#define SYMBOLS 6 /* of one entry */
/* What a round of AT_ONCE entries may write, rounded up: each stores eight bytes. */
#define ROOM (AT_ONCE * SYMBOLS + 8)

#define FEW 2048

enum { BLOCK_RAW = 0, BLOCK_RLE = 1, BLOCK_COMPRESSED = 2 };

/* A symbol's code: its highest bits of `position`, out of BITS. */
struct code {
    uint16_t position;
    uint8_t symbol, bits;
};

/* An entry: symbols from the lowest byte on, all their bits << 48, their number << 56. */
#define ENTRY_BITS    48
#define ENTRY_COUNT   56
#define ENTRY_SYMBOLS ((UINT64_C(1) << 40) - 1)

struct tables {
    struct code codes[256];
    unsigned count, shortest;
    uint16_t one[TABLE]; /* the symbol, its bits << 8 */
    /* Of r bits, from 2^r on: what they hold for sure. */
    uint64_t many[2 * TABLE];
};

static uint64_t load_le(const uint8_t *in, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)in[i] << (8 * i);
    return value;
}

INLINE uint64_t load_64(const uint8_t *in)
{
    uint64_t word;
    memcpy(&word, in, sizeof word);
    if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
        word = __builtin_bswap64(word);
    return word;
}

/* ---- weights ---- */

#define WEIGHTS  13
#define FSE_LOG  6
#define FSE_SIZE (1U << FSE_LOG)

struct fse_slot {
    uint8_t weight, width, base;
};

/* The shares of the weights (RFC 8878, 4.1.1), as huffman_code.c writes them; returns the bytes
 * they take, 0 when they are others. */
static size_t get_shares(const uint8_t *in, size_t len, unsigned share[WEIGHTS])
{
    unsigned remaining = FSE_SIZE + 1, threshold = FSE_SIZE, width = FSE_LOG + 1, w = 0;
    size_t at = 4;
    uint8_t bytes[24] = {0};
    memcpy(bytes, in, len < 16 ? len : 16);
    memset(share, 0, WEIGHTS * sizeof *share);
    if ((bytes[0] & 15) + 5 != FSE_LOG)
        return 0;
    while (remaining > 1) {
        if (w >= WEIGHTS || at > 8 * 14)
            return 0;
        unsigned bits = (unsigned)(load_64(bytes + at / 8) >> (at % 8)) & (2 * threshold - 1);
        unsigned low = 2 * threshold - 1 - remaining, value = bits & (threshold - 1);
        at += value < low ? width - 1 : width;
        if (value >= low)
            value = bits >= threshold ? bits - low : bits;
        if (value == 0 || value - 1 >= remaining)
            return 0;
        share[w++] = value - 1;
        remaining -= value - 1;
        for (unsigned run = value == 1 ? 3 : 0; run == 3; w += run, at += 2) {
            run = (unsigned)(load_64(bytes + at / 8) >> (at % 8)) & 3;
            if (w + run > WEIGHTS || at > 8 * 14)
                return 0;
        }
        for (; remaining < threshold; threshold >>= 1)
            width--;
    }
    return (at + 7) / 8 <= len ? (at + 7) / 8 : 0;
}

static void spread(const unsigned share[WEIGHTS], struct fse_slot slots[FSE_SIZE])
{
    unsigned at = 0, next[WEIGHTS];
    for (unsigned w = 0; w < WEIGHTS; w++) {
        next[w] = share[w];
        for (unsigned k = 0; k < share[w]; k++) {
            slots[at].weight = (uint8_t)w;
            at = (at + (FSE_SIZE >> 1) + (FSE_SIZE >> 3) + 3) & (FSE_SIZE - 1);
        }
    }
    for (unsigned i = 0; i < FSE_SIZE; i++) {
        unsigned state = next[slots[i].weight]++, width = FSE_LOG;
        while (state >> (FSE_LOG - width) > 1)
            width--;
        slots[i].width = (uint8_t)width;
        slots[i].base = (uint8_t)((state << width) - FSE_SIZE);
    }
}

/* Bits below the start of the stream are zeros, and make *left negative. */
static unsigned pull(const uint8_t *in, int *left, unsigned width)
{
    unsigned value = 0;
    *left -= (int)width;
    for (unsigned b = 0; b < width; b++) {
        int at = *left + (int)b;
        if (at >= 0)
            value |= (in[at / 8] >> (at % 8) & 1U) << b;
    }
    return value;
}

/* Two states in turn, until the bits are used up; returns how many weights there are, 0: none. */
static unsigned get_states(const uint8_t *in, size_t len, const struct fse_slot slots[FSE_SIZE],
                           uint8_t weights[256])
{
    if (len == 0 || in[len - 1] == 0)
        return 0;
    int left = (int)(8 * len) - __builtin_clz((unsigned)in[len - 1] << 24) - 1;
    unsigned state[2], n = 0;
    state[0] = pull(in, &left, FSE_LOG);
    state[1] = pull(in, &left, FSE_LOG);
    while (left >= 0 && n < 254) {
        const struct fse_slot *slot = &slots[state[n & 1]];
        weights[n++] = slot->weight;
        state[(n - 1) & 1] = slot->base + pull(in, &left, slot->width);
    }
    if (left >= 0 || n == 0)
        return 0;
    weights[n] = slots[state[n & 1]].weight;
    return n + 1;
}

/* The weights of all symbols but the last that has one; returns their number, 0 when there is
 * something else. *ret_size: the description's bytes. */
static unsigned get_weights(const uint8_t *in, size_t len, uint8_t weights[256], size_t *ret_size)
{
    if (len == 0)
        return 0;
    unsigned head = in[0];
    if (head >= 128) {
        unsigned n = head - 127;
        *ret_size = 1 + (n + 1) / 2;
        if (*ret_size > len)
            return 0;
        for (unsigned s = 0; s < n; s++)
            weights[s] = s & 1 ? in[1 + s / 2] & 15 : in[1 + s / 2] >> 4;
        return n;
    }
    unsigned share[WEIGHTS];
    struct fse_slot slots[FSE_SIZE];
    *ret_size = 1 + (size_t)head;
    if (*ret_size > len)
        return 0;
    size_t shares = get_shares(in + 1, head, share);
    if (shares == 0)
        return 0;
    spread(share, slots);
    return get_states(in + 1 + shares, head - shares, slots, weights);
}

/* The last symbol's weight follows from the others' (RFC 8878, 4.2.1); then codes in the order of
 * weights, and of symbols within one. */
static bool make_codes(uint8_t weights[256], unsigned n, struct tables *t)
{
    uint32_t total = 0, next[WEIGHTS + 1] = {0}, at = 0;
    for (unsigned s = 0; s < n; s++) {
        if (weights[s] > BITS)
            return false;
        total += weights[s] > 0 ? 1U << (weights[s] - 1) : 0;
    }
    if (n > 255 || total == 0 || total >= TABLE)
        return false;
    unsigned longest = 32 - (unsigned)__builtin_clz(total);
    uint32_t rest = (1U << longest) - total;
    if ((rest & (rest - 1)) != 0)
        return false;
    weights[n++] = (uint8_t)(32 - __builtin_clz(rest));
    for (unsigned s = 0; s < n; s++)
        next[weights[s]] += weights[s] > 0 ? 1U << (weights[s] - 1 + BITS - longest) : 0;
    for (unsigned w = 1; w <= WEIGHTS; w++) {
        uint32_t here = next[w];
        next[w] = at;
        at += here;
    }
    t->count = 0;
    t->shortest = BITS;
    for (unsigned s = 0; s < n; s++) {
        unsigned w = weights[s], bits = longest + 1 - w;
        if (w == 0)
            continue;
        t->codes[t->count++] = (struct code){(uint16_t)next[w], (uint8_t)s, (uint8_t)bits};
        t->shortest = bits < t->shortest ? bits : t->shortest;
        next[w] += 1U << (BITS - bits);
    }
    return true;
}

INLINE void make_one(struct tables *t)
{
    for (unsigned c = 0; c < t->count; c++) {
        uint16_t entry = (uint16_t)(t->codes[c].symbol | t->codes[c].bits << 8);
        uint16_t *one = t->one + t->codes[c].position;
        unsigned n = 1U << (BITS - t->codes[c].bits);
        for (unsigned k = 0; k < n; k++)
            one[k] = entry;
    }
}

/* Entries of r bits: a code, then what the bits behind it hold; none where codes are longer, which
 * stand first. */
INLINE void make_many(struct tables *t)
{
    t->many[1] = 0;
    for (unsigned r = 1; r <= BITS; r++) {
        unsigned covered = 0;
        for (unsigned c = 0; c < t->count; c++)
            covered += t->codes[c].bits <= r ? 1U << (r - t->codes[c].bits) : 0;
        memset(t->many + (1U << r), 0, ((1U << r) - covered) * sizeof *t->many);
        for (unsigned c = 0; c < t->count; c++) {
            struct code code = t->codes[c];
            if (code.bits > r)
                continue;
            unsigned n = 1U << (r - code.bits);
            const uint64_t *from = t->many + n;
            uint64_t *to = t->many + (1U << r) + (code.position >> (BITS - r));
            uint64_t add =
                code.symbol + ((uint64_t)code.bits << ENTRY_BITS) + (UINT64_C(1) << ENTRY_COUNT);
            for (unsigned k = 0; k < n; k++)
                to[k] = ((from[k] & ENTRY_SYMBOLS) << 8) +
                        (from[k] & ~((UINT64_C(1) << ENTRY_BITS) - 1)) + add;
        }
    }
}

/* The same where a code has but one bit, and more than six symbols would fit. */
INLINE void make_some(struct tables *t)
{
    for (unsigned i = 0; i < TABLE; i++) {
        uint64_t symbols = t->one[i] & 255;
        unsigned bits = t->one[i] >> 8, count = 1;
        while (count < SYMBOLS) {
            unsigned next = t->one[i << bits & (TABLE - 1)];
            if (bits + (next >> 8) > BITS)
                break;
            symbols |= (uint64_t)(next & 255) << (8 * count++);
            bits += next >> 8;
        }
        t->many[TABLE + i] =
            symbols | (uint64_t)bits << ENTRY_BITS | (uint64_t)count << ENTRY_COUNT;
    }
}

/* ---- streams ---- */

struct stream {
    const uint8_t *start, *at; /* the word that is held begins at `at` */
    uint64_t held;             /* the next bit is the highest; below the last, a one */
    uint8_t *out, *end;
};

INLINE uint64_t hold(const uint8_t *at, unsigned used)
{
    return (load_64(at) | 1) << used;
}

static bool open_stream(struct stream *s, const uint8_t *in, size_t len, uint8_t *out, size_t n)
{
    if (len < 8 || in[len - 1] == 0)
        return false;
    *s = (struct stream){.start = in, .at = in + len - 8, .out = out, .end = out + n};
    s->held = hold(s->at, (unsigned)__builtin_clz((unsigned)in[len - 1] << 24) + 1);
    return true;
}

/* So many times AT_ONCE entries stay within what is left. */
INLINE size_t rounds_of(const struct stream *s)
{
    size_t in = (size_t)(s->at - s->start) / 8, out = (size_t)(s->end - s->out) / ROOM;
    return in < out ? in : out;
}

INLINE void refill(struct stream *s)
{
    unsigned used = (unsigned)__builtin_ctzll(s->held);
    s->at -= used >> 3;
    s->held = hold(s->at, used & 7);
}

INLINE void step(struct stream *s, const uint64_t *many)
{
    uint64_t entry = many[s->held >> (64 - BITS)];
    memcpy(s->out, &entry, 8);
    s->out += entry >> ENTRY_COUNT;
    s->held <<= entry >> ENTRY_BITS & 63;
}

INLINE void run_four(struct stream streams[STREAMS], const uint64_t *many)
{
    struct stream a = streams[0], b = streams[1], c = streams[2], d = streams[3];
    for (;;) {
        size_t rounds = rounds_of(&a), other = rounds_of(&b);
        rounds = other < rounds ? other : rounds;
        other = rounds_of(&c);
        rounds = other < rounds ? other : rounds;
        other = rounds_of(&d);
        rounds = other < rounds ? other : rounds;
        if (rounds == 0)
            break;
        for (; rounds > 0; rounds--) {
            refill(&a);
            refill(&b);
            refill(&c);
            refill(&d);
            for (unsigned k = 0; k < AT_ONCE; k++) {
                step(&a, many);
                step(&b, many);
                step(&c, many);
                step(&d, many);
            }
        }
    }
    streams[0] = a;
    streams[1] = b;
    streams[2] = c;
    streams[3] = d;
}

INLINE void run_one(struct stream *s, const uint64_t *many)
{
    for (size_t rounds; (rounds = rounds_of(s)) > 0;)
        for (; rounds > 0; rounds--) {
            refill(s);
            for (unsigned k = 0; k < AT_ONCE; k++)
                step(s, many);
        }
}

/* One symbol at a time; true when the bits end with the symbols. */
INLINE bool run_out(struct stream *s, const uint16_t one[TABLE])
{
    int64_t left = 8 * (s->at - s->start) + 64 - __builtin_ctzll(s->held);
    while (s->out < s->end && left > 0) {
        int64_t word = (left + 7) / 8 - 8;
        word = word < 0 ? 0 : word;
        uint64_t held = load_64(s->start + word) << (8 * (word + 8) - left);
        for (unsigned k = 0; k < AT_ONCE && s->out < s->end; k++) {
            unsigned entry = one[held >> (64 - BITS)];
            held <<= entry >> 8;
            left -= entry >> 8;
            *s->out++ = (uint8_t)entry;
        }
    }
    return s->out == s->end && left == 0;
}

/* n symbols in all: of few, the larger table would take longer than they do. */
INLINE bool run_any(struct stream streams[STREAMS], struct tables *t, size_t n)
{
    bool ended = true;
    make_one(t);
    if (n < FEW) {
        for (unsigned k = 0; k < STREAMS; k++)
            ended &= run_out(&streams[k], t->one);
        return ended;
    }
    if (t->shortest > 1)
        make_many(t);
    else
        make_some(t);
    run_four(streams, t->many + TABLE);
    for (unsigned k = 0; k < STREAMS; k++) {
        run_one(&streams[k], t->many + TABLE);
        ended &= run_out(&streams[k], t->one);
    }
    return ended;
}

static bool run_reference(struct stream streams[STREAMS], struct tables *t, size_t n)
{
    return run_any(streams, t, n);
}

#if defined(__x86_64__)
EBB_TARGET_AVX2 static bool run_bmi2(struct stream streams[STREAMS], struct tables *t, size_t n)
{
    return run_any(streams, t, n);
}
#endif

static bool run(struct stream streams[STREAMS], struct tables *t, size_t n)
{
#if defined(__x86_64__)
    if (ebb_cpu_level() >= EBB_CPU_AVX2)
        return run_bmi2(streams, t, n);
#endif
    return run_reference(streams, t, n);
}

/* ---- frames ---- */

/* A compressed block of four streams and no sequences, of exactly n bytes. */
static bool read_block(const uint8_t *in, size_t len, uint8_t *out, size_t n)
{
    if (len < 5 || (in[0] & 3) != 2 || (in[0] >> 2 & 3) == 0)
        return false;
    unsigned bytes = 2 + (in[0] >> 2 & 3), width = bytes * 4 - 2;
    uint64_t head = load_le(in, bytes), mask = (1U << width) - 1;
    if ((head >> 4 & mask) != n || (head >> (4 + width) & mask) != len - bytes - 1 ||
        in[len - 1] != 0 || n < 4)
        return false;
    struct tables tables;
    uint8_t weights[256];
    size_t described = 0;
    const uint8_t *at = in + bytes, *end = in + len - 1;
    unsigned known = get_weights(at, (size_t)(end - at), weights, &described);
    if (known == 0 || !make_codes(weights, known, &tables) || (size_t)(end - at) < described + 6)
        return false;
    const uint8_t *sizes = at + described;
    size_t quarter = (n + 3) / 4;
    struct stream streams[STREAMS];
    at = sizes + 6;
    for (unsigned k = 0; k < STREAMS; k++) {
        size_t size = k < 3 ? (size_t)load_le(sizes + 2 * k, 2) : (size_t)(end - at);
        if (size > (size_t)(end - at) || 3 * quarter > n ||
            !open_stream(&streams[k], at, size, out + k * quarter,
                         k < 3 ? quarter : n - 3 * quarter))
            return false;
        at += size;
    }
    return run(streams, &tables, n);
}

static bool read_frame(const uint8_t *in, size_t len, uint8_t *out, size_t out_len)
{
    if (len < 13 || load_le(in, 4) != ZSTD_MAGICNUMBER || in[4] != (3U << 6 | 1U << 5) ||
        load_le(in + 5, 8) != out_len)
        return false;
    size_t at = 13, done = 0;
    for (bool last = false; !last;) {
        if (len - at < 3)
            return false;
        uint64_t head = load_le(in + at, 3);
        size_t size = (size_t)(head >> 3), left = out_len - done;
        size_t n = left < EBB_HUFFMAN_BLOCK ? left : EBB_HUFFMAN_BLOCK;
        unsigned type = head >> 1 & 3;
        last = head & 1;
        at += 3;
        if (type == BLOCK_RAW && size == n && len - at >= n) {
            if (n > 0)
                memcpy(out + done, in + at, n);
        } else if (type == BLOCK_RLE && size == n && len - at >= 1) {
            memset(out + done, in[at], n);
            size = 1;
        } else if (type != BLOCK_COMPRESSED || len - at < size ||
                   !read_block(in + at, size, out + done, n)) {
            return false;
        }
        at += size;
        done += n;
    }
    return at == len && done == out_len;
}

int ebb_huffman_decode(const uint8_t *in, size_t len, uint8_t *out, size_t out_len,
                       struct ebb_error *err)
{
    if (read_frame(in, len, out, out_len))
        return 0;
    uint8_t none;
    size_t n = ZSTD_decompress(out_len > 0 ? out : &none, out_len, in, len);
    if (ZSTD_isError(n))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "packed bytes: %s", ZSTD_getErrorName(n));
    if (n != out_len)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "packed bytes: %zu instead of %zu", n, out_len);
    return 0;
}
