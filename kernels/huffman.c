/* Frames of Huffman literals, written. The four streams of a block are coded two at a time: two
 * chains of shifts keep the machine busy, and their registers still fit. Each goes from its last
 * byte to its first, as zstd's decoder reads backwards (RFC 8878, 4.2.2). */
#include "kernels/huffman.h"

#include <stdbool.h>
#include <string.h>
#include <zstd.h>

#include "kernels/cpu.h"

#define INLINE static inline __attribute__((always_inline))

enum { BLOCK_RAW = 0, BLOCK_RLE = 1, BLOCK_COMPRESSED = 2 };

#define MIN_CODED 256
#define QUARTER   (EBB_HUFFMAN_BLOCK / 4)
/* A stream of a quarter, and what the eight-byte stores write past it. */
#define STREAM_ROOM (QUARTER * EBB_HUFFMAN_MAX_BITS / 8 + 16)

struct code {
    uint64_t entry[256]; /* the value in the highest bits, its length in the lowest eight */
};

struct stream {
    const uint8_t *in;
    size_t len;
    uint8_t *out;
    size_t out_len;
};

/* A code comes in at the top and pushes the others down: the highest bits, `count & 255` of them,
 * are those to be written, the first of them lowest. What stands below is of no meaning. */
struct bits {
    uint64_t held;
    uint64_t count; /* its lowest eight bits */
    uint8_t *out;
};

/* The entry's length stays in the lowest bits, which must not be wanted any more. */
INLINE void put(struct bits *b, uint64_t entry)
{
    b->held = b->held >> (entry & 63) | entry;
    b->count += entry;
}

INLINE void put_clean(struct bits *b, uint64_t entry)
{
    b->held = b->held >> (entry & 63) | (entry & ~UINT64_C(255));
    b->count += entry;
}

/* All whole bytes out: at most seven bits stay. */
INLINE void flush(struct bits *b)
{
    uint64_t word = b->held >> ((0 - b->count) & 63);
    memcpy(b->out, &word, 8);
    b->out += (b->count & 255) >> 3;
    b->count &= 7;
}

INLINE size_t finish(struct bits *b, const uint8_t *start)
{
    put(b, UINT64_C(1) << 63 | 1);
    flush(b);
    return (size_t)(b->out - start) + (b->count > 0);
}

/* Five codes of at most eleven bits and the seven that stayed fit in 64. */
INLINE void encode_two(const struct code *code, struct stream *a, struct stream *b)
{
    struct bits x = {.out = a->out}, y = {.out = b->out};
    size_t i = a->len, j = b->len;
    for (; i % 5 != 0; flush(&x))
        put(&x, code->entry[a->in[--i]]);
    for (; j % 5 != 0; flush(&y))
        put(&y, code->entry[b->in[--j]]);
    const uint8_t *p = a->in + i, *q = b->in + j;
    for (size_t n = (i < j ? i : j) / 5; n > 0; n--) {
        p -= 5;
        q -= 5;
        for (int k = 4; k > 0; k--) {
            put(&x, code->entry[p[k]]);
            put(&y, code->entry[q[k]]);
        }
        put_clean(&x, code->entry[p[0]]);
        put_clean(&y, code->entry[q[0]]);
        flush(&x);
        flush(&y);
    }
    for (; p > a->in; flush(&x))
        put(&x, code->entry[*--p]);
    for (; q > b->in; flush(&y))
        put(&y, code->entry[*--q]);
    a->out_len = finish(&x, a->out);
    b->out_len = finish(&y, b->out);
}

static void encode_two_reference(const struct code *code, struct stream *a, struct stream *b)
{
    encode_two(code, a, b);
}

#if defined(__x86_64__)
EBB_TARGET_AVX2 static void encode_two_bmi2(const struct code *code, struct stream *a,
                                            struct stream *b)
{
    encode_two(code, a, b);
}
#endif

/* Eight tables, so that runs of one byte do not wait for each other's stores. */
static void count_bytes(const uint8_t *in, size_t len, uint32_t counts[256])
{
    uint32_t table[8][256] = {{0}};
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t w;
        memcpy(&w, in + i, 8);
        for (unsigned k = 0; k < 8; k++)
            table[k][w >> (8 * k) & 255]++;
    }
    for (; i < len; i++)
        table[0][in[i]]++;
    for (unsigned s = 0; s < 256; s++) {
        counts[s] = 0;
        for (unsigned k = 0; k < 8; k++)
            counts[s] += table[k][s];
    }
}

static void put_le(uint8_t *out, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static void put_block_header(uint8_t *out, bool last, unsigned type, size_t size)
{
    put_le(out, (uint64_t)last | type << 1 | (uint64_t)size << 3, 3);
}

/* Literals_Section_Header with four streams (RFC 8878, 3.1.1.3.1.1); returns its bytes. */
static size_t put_literals_header(uint8_t *out, size_t raw, size_t packed)
{
    const uint64_t kind = 2;
    size_t most = raw > packed ? raw : packed;
    unsigned bytes = most < 1024 ? 3 : most < 16384 ? 4 : 5, width = bytes * 4 - 2;
    put_le(out,
           kind | (uint64_t)(bytes - 2) << 2 | (uint64_t)raw << 4 | (uint64_t)packed << (4 + width),
           bytes);
    return bytes;
}

/* A block of at least MIN_CODED bytes that are not all equal; 0 when it does not pay. */
static size_t encode_block(const uint8_t *in, size_t len, const uint32_t counts[256], uint8_t *out)
{
    uint8_t lengths[256], scratch[4][STREAM_ROOM];
    uint16_t values[256];
    uint8_t weights[132];
    struct code code;
    unsigned longest = ebb_huffman_lengths(counts, lengths);
    uint64_t bits = 0;
    for (unsigned s = 0; s < 256; s++)
        bits += (uint64_t)counts[s] * lengths[s];
    size_t described = ebb_huffman_weights(lengths, longest, weights);
    size_t worth = len - len / 64;
    if (described == 0 || bits / 8 + described >= worth)
        return 0;
    ebb_huffman_codes(lengths, longest, values);
    for (unsigned s = 0; s < 256; s++)
        code.entry[s] = lengths[s] > 0 ? (uint64_t)values[s] << (64 - lengths[s]) | lengths[s] : 0;
    struct stream streams[4];
    size_t quarter = (len + 3) / 4, total = described + 6;
    for (unsigned k = 0; k < 4; k++)
        streams[k] =
            (struct stream){in + k * quarter, k < 3 ? quarter : len - 3 * quarter, scratch[k], 0};
    void (*encode)(const struct code *, struct stream *, struct stream *) = encode_two_reference;
#if defined(__x86_64__)
    if (ebb_cpu_level() >= EBB_CPU_AVX2)
        encode = encode_two_bmi2;
#endif
    encode(&code, &streams[0], &streams[1]);
    encode(&code, &streams[2], &streams[3]);
    for (unsigned k = 0; k < 4; k++)
        total += streams[k].out_len;
    if (total + 6 >= worth)
        return 0;
    uint8_t *at = out + put_literals_header(out, len, total);
    memcpy(at, weights, described);
    at += described;
    for (unsigned k = 0; k < 3; k++)
        put_le(at + 2 * k, streams[k].out_len, 2);
    at += 6;
    for (unsigned k = 0; k < 4; k++) {
        memcpy(at, streams[k].out, streams[k].out_len);
        at += streams[k].out_len;
    }
    *at++ = 0; /* no sequences */
    return (size_t)(at - out);
}

size_t ebb_huffman_encode(const uint8_t *in, size_t len, uint8_t *out)
{
    uint8_t *at = out;
    put_le(at, ZSTD_MAGICNUMBER, 4);
    at[4] = 3U << 6 | 1U << 5; /* content size in 8 bytes, single segment */
    put_le(at + 5, len, 8);
    at += 13;
    bool last = false;
    for (size_t done = 0; !last;) {
        size_t n = len - done < EBB_HUFFMAN_BLOCK ? len - done : EBB_HUFFMAN_BLOCK, size = 0;
        const uint8_t *block = in + done;
        uint32_t counts[256];
        bool equal = false;
        last = done + n == len;
        if (n >= MIN_CODED) {
            count_bytes(block, n, counts);
            equal = counts[block[0]] == n;
            size = equal ? 0 : encode_block(block, n, counts, at + 3);
        } else if (n > 1) {
            equal = memcmp(block, block + 1, n - 1) == 0;
        }
        if (equal) {
            put_block_header(at, last, BLOCK_RLE, n);
            at[3] = block[0];
            at += 4;
        } else if (size > 0) {
            put_block_header(at, last, BLOCK_COMPRESSED, size);
            at += 3 + size;
        } else {
            put_block_header(at, last, BLOCK_RAW, n);
            if (n > 0)
                memcpy(at + 3, block, n);
            at += 3 + n;
        }
        done += n;
    }
    return (size_t)(at - out);
}
