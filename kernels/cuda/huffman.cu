/* Huffman frames (kernels/huffman.h has the format, kernels/huffman_code.c the shared decisions).
 *
 *     count    a thread block for each 128 KiB: how often each byte occurs
 *     build    one thread for each block: its codes and their description
 *     encode   a thread block for each block: lengths of 256 pieces, their bit positions by a scan,
 *              then every piece writes its bits into the block's slot
 *     scan     where each block begins in the frame; then the frame's header and size
 *     gather   slots to their places; stored blocks straight from the data
 *
 * A piece owns the words that it fills; the words on its borders are merged by atomic or, which
 * gives the same bits in any order. */
#include "kernels/arguments.h"
#include "kernels/cuda/scan.h"
#include "kernels/ebb_kernels.h"
#include "kernels/huffman.h"

namespace
{
#include "kernels/huffman_code.c"

enum {
    THREADS = 256,
    STREAMS = 4,
    PIECES = THREADS / STREAMS,
    BLOCK_BYTES = 128 << 10,
    SLOT_BYTES = BLOCK_BYTES + 16,
    FRAME_HEADER = 13,
    LEAST_BYTES = 256,
    BUILDERS = 32,
};
enum { RAW = 0, RLE = 1, COMPRESSED = 2 };

struct table {
    uint32_t counts[256];
    uint8_t lengths[256];
    uint16_t values[256];
    uint8_t description[132];
    uint32_t description_bytes, kind;
};

__device__ __forceinline__ void or_byte(uint32_t *words, uint32_t at, uint32_t value)
{
    atomicOr(&words[at / 4], value << (8 * (at % 4)));
}

__device__ __forceinline__ uint32_t block_bytes(size_t len, size_t block)
{
    size_t left = len - block * BLOCK_BYTES;
    return left < BLOCK_BYTES ? (uint32_t)left : (uint32_t)BLOCK_BYTES;
}

/* Lanes that meet the same byte would wait for each other: eight copies of the counts, in banks of
 * their own, leave four lanes to each. */
__global__ void __launch_bounds__(THREADS)
    count(const uint8_t *all, size_t all_len, struct table *tables)
{
    enum { COPIES = 8 };
    __shared__ uint32_t counts[256][COPIES];
    const uint8_t *data = all + (size_t)blockIdx.x * BLOCK_BYTES;
    const uint32_t len = block_bytes(all_len, blockIdx.x), copy = threadIdx.x % COPIES;
    for (uint32_t i = threadIdx.x; i < 256 * COPIES; i += THREADS)
        counts[i / COPIES][i % COPIES] = 0;
    __syncthreads();
    uint32_t whole = len / 16;
    for (uint32_t i = threadIdx.x; i < whole; i += THREADS) {
        uint4 v = ((const uint4 *)(const void *)data)[i];
        uint32_t w[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (int k = 0; k < 16; k++)
            atomicAdd(&counts[w[k / 4] >> (8 * (k % 4)) & 255][copy], 1u);
    }
    for (uint32_t i = whole * 16 + threadIdx.x; i < len; i += THREADS)
        atomicAdd(&counts[data[i]][copy], 1u);
    __syncthreads();
    for (uint32_t s = threadIdx.x; s < 256; s += THREADS) {
        uint32_t sum = 0;
        for (int c = 0; c < COPIES; c++)
            sum += counts[s][c];
        tables[blockIdx.x].counts[s] = sum;
    }
}

/* What becomes of a block by its counts alone. */
__device__ uint32_t decide(struct table *t, uint32_t len, uint32_t first)
{
    if (len > 1 && t->counts[first] == len)
        return RLE;
    if (len < LEAST_BYTES)
        return RAW;
    unsigned longest = ebb_huffman_lengths(t->counts, t->lengths);
    uint64_t bits = 0;
    for (unsigned s = 0; s < 256; s++)
        bits += (uint64_t)t->counts[s] * t->lengths[s];
    t->description_bytes = (uint32_t)ebb_huffman_weights(t->lengths, longest, t->description);
    if (t->description_bytes == 0 || bits / 8 + t->description_bytes >= len - len / 64)
        return RAW;
    ebb_huffman_codes(t->lengths, longest, t->values);
    return COMPRESSED;
}

__global__ void __launch_bounds__(BUILDERS)
    build(const uint8_t *all, size_t all_len, size_t blocks, struct table *tables)
{
    size_t block = (size_t)blockIdx.x * BUILDERS + threadIdx.x;
    if (block < blocks)
        tables[block].kind =
            decide(&tables[block], block_bytes(all_len, block), all[block * BLOCK_BYTES]);
}

/* sums[i] becomes the sum of what stands behind it in its stream. */
__device__ void scan_behind(uint32_t *sums)
{
    uint32_t self = threadIdx.x, piece = self % PIECES, own = sums[self];
    for (uint32_t by = 1; by < PIECES; by *= 2) {
        uint32_t more = piece + by < PIECES ? sums[self + by] : 0;
        __syncthreads();
        sums[self] += more;
        __syncthreads();
    }
    sums[self] -= own;
    __syncthreads();
}

/* The bytes of a block that a thread encodes: from `first` to before `end`. Inner borders lie at
 * multiples of 16, so that most are loaded 16 at a time. */
struct piece {
    uint32_t first, end;
};

__device__ __forceinline__ struct piece find_piece(uint32_t begin, uint32_t len, uint32_t piece)
{
    const uint32_t each = (len + PIECES - 1) / PIECES;
    struct piece p;
    p.first = piece == 0 ? begin : (begin + piece * each + 15) / 16 * 16;
    p.end = (begin + (piece + 1) * each + 15) / 16 * 16;
    p.end = p.end < begin + len && piece + 1 < PIECES ? p.end : begin + len;
    p.first = p.first < p.end ? p.first : p.end;
    return p;
}

struct sixteen {
    uint32_t word[4];
};

/* The 16 bytes from a multiple of 16 on; what lies outside the piece is not read. */
__device__ __forceinline__ struct sixteen load_sixteen(const uint8_t *data, struct piece p,
                                                       uint32_t at)
{
    struct sixteen r = {{0, 0, 0, 0}};
    EBB_USUAL(p.first <= at && at + 16 <= p.end);
    if (p.first <= at && at + 16 <= p.end) {
        const uint4 v = *(const uint4 *)(const void *)(data + at);
        r.word[0] = v.x;
        r.word[1] = v.y;
        r.word[2] = v.z;
        r.word[3] = v.w;
        return r;
    }
#pragma unroll
    for (uint32_t i = 0; i < 16; i++)
        r.word[i / 4] |=
            at + i >= p.first && at + i < p.end ? (uint32_t)data[at + i] << (8 * (i % 4)) : 0;
    return r;
}

__device__ __forceinline__ uint32_t count_bits(const uint32_t *codes, const uint8_t *data,
                                               struct piece p)
{
    uint32_t bits = 0;
    for (uint32_t at = p.first / 16 * 16; at < p.end; at += 16) {
        const struct sixteen v = load_sixteen(data, p, at);
#pragma unroll
        for (uint32_t i = 0; i < 16; i++) {
            const uint32_t length = codes[v.word[i / 4] >> (8 * (i % 4)) & 255] & 255;
            bits += at + i >= p.first && at + i < p.end ? length : 0;
        }
    }
    return bits;
}

/* The piece's symbols, last first, as bits from `at` on. */
__device__ __forceinline__ void put_piece(const uint32_t *codes, const uint8_t *data,
                                          struct piece p, uint64_t at, bool ends_stream,
                                          uint32_t *words)
{
    uint64_t word = at / 32, held = 0;
    uint32_t bits = (uint32_t)(at % 32);
    bool shared_word = bits != 0;
    for (uint32_t from = (p.end + 15) / 16 * 16; from > p.first; from -= 16) {
        const struct sixteen v = load_sixteen(data, p, from - 16);
#pragma unroll
        for (uint32_t i = 16; i-- > 0;) {
            if (from - 16 + i < p.first || from - 16 + i >= p.end)
                continue;
            const uint32_t code = codes[v.word[i / 4] >> (8 * (i % 4)) & 255];
            held |= (uint64_t)(code >> 8) << bits;
            bits += code & 255;
            if (bits < 32)
                continue;
            if (shared_word)
                atomicOr(&words[word], (uint32_t)held);
            else
                words[word] = (uint32_t)held;
            shared_word = false;
            word++;
            held >>= 32;
            bits -= 32;
        }
    }
    if (ends_stream) {
        held |= (uint64_t)1 << bits;
        bits++;
    }
    if (bits > 0)
        atomicOr(&words[word], (uint32_t)held);
    if (bits > 32)
        atomicOr(&words[word + 1], (uint32_t)(held >> 32));
}

__global__ void __launch_bounds__(THREADS)
    encode(const uint8_t *all, size_t all_len, const struct table *tables, uint8_t *slots,
           uint32_t *sizes_of, uint32_t *kinds)
{
    __shared__ uint32_t codes[256], sums[THREADS]; /* value << 8 | length */
    __shared__ uint32_t sizes[STREAMS], starts[STREAMS], header[40], header_bytes, size, kind;
    const uint8_t *data = all + (size_t)blockIdx.x * BLOCK_BYTES;
    const struct table *table = &tables[blockIdx.x];
    uint32_t len = block_bytes(all_len, blockIdx.x);
    bool last = all_len - (size_t)blockIdx.x * BLOCK_BYTES <= BLOCK_BYTES;
    uint32_t *words = (uint32_t *)(void *)(slots + (size_t)blockIdx.x * SLOT_BYTES);
    if (threadIdx.x == 0)
        kind = table->kind;
    for (uint32_t s = threadIdx.x; s < 256; s += THREADS)
        codes[s] =
            table->kind == COMPRESSED ? (uint32_t)table->values[s] << 8 | table->lengths[s] : 0;
    __syncthreads();

    uint32_t stream = threadIdx.x / PIECES, piece = threadIdx.x % PIECES, quarter = (len + 3) / 4;
    uint32_t stream_len = stream < 3 ? quarter : len - 3 * quarter;
    const struct piece own = find_piece(stream * quarter, stream_len, piece);
    const uint32_t bits = kind == COMPRESSED ? count_bits(codes, data, own) : 0;
    sums[threadIdx.x] = bits;
    __syncthreads();
    scan_behind(sums);
    if (piece == 0)
        sizes[stream] = (sums[threadIdx.x] + bits) / 8 + 1;
    __syncthreads();
    if (threadIdx.x == 0) {
        uint8_t *h = (uint8_t *)(void *)header;
        uint32_t literals =
            table->description_bytes + 6 + sizes[0] + sizes[1] + sizes[2] + sizes[3];
        header_bytes = 0;
        size = len;
        if (kind == COMPRESSED && literals + 6 >= len - len / 64)
            kind = RAW;
        if (kind == COMPRESSED) {
            uint32_t most = len > literals ? len : literals;
            uint32_t width = most < 1024 ? 3 : most < 16384 ? 4 : 5, bits_each = 4 * width - 2;
            uint64_t word =
                2u | (width - 2) << 2 | (uint64_t)len << 4 | (uint64_t)literals << (4 + bits_each);
            size = width + literals + 1;
            header_bytes = 3 + width + table->description_bytes + 6;
            for (uint32_t i = 0; i < width; i++)
                h[3 + i] = (uint8_t)(word >> (8 * i));
            uint8_t *then = h + 3 + width;
            for (uint32_t i = 0; i < table->description_bytes; i++)
                *then++ = table->description[i];
            for (int i = 0; i < 3; i++) {
                *then++ = (uint8_t)sizes[i];
                *then++ = (uint8_t)(sizes[i] >> 8);
            }
            uint32_t at = header_bytes;
            for (int i = 0; i < STREAMS; i++) {
                starts[i] = at;
                at += sizes[i];
            }
        } else if (kind == RLE) {
            header_bytes = 4;
            h[3] = data[0];
        }
        uint32_t block_header = (uint32_t)last | kind << 1 | size << 3;
        for (int i = 0; i < 3; i++)
            h[i] = (uint8_t)(block_header >> (8 * i));
        kinds[blockIdx.x] = kind;
        sizes_of[blockIdx.x] = kind == RLE ? 4 : 3 + size;
    }
    __syncthreads();
    if (kind == RAW)
        return;
    uint32_t all_words = ((kind == RLE ? 4 : 3 + size) + 3) / 4;
    for (uint32_t i = threadIdx.x; i < all_words; i += THREADS)
        words[i] = 0;
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < header_bytes; i += THREADS)
        or_byte(words, i, ((const uint8_t *)(const void *)header)[i]);
    if (kind == COMPRESSED)
        put_piece(codes, data, own, 8 * (uint64_t)starts[stream] + sums[threadIdx.x], piece == 0,
                  words);
}

/* One thread: the frame's header, and its size. */
__global__ void begin(size_t len, const uint64_t *total, uint8_t *out, uint64_t *ret_bytes)
{
    const uint32_t magic = 0xfd2fb528u;
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(magic >> (8 * i));
    out[4] = 0xe0;
    for (int i = 0; i < 8; i++)
        out[5 + i] = (uint8_t)((uint64_t)len >> (8 * i));
    if (len == 0) { /* a stored block of nothing */
        out[13] = 1;
        out[14] = out[15] = 0;
    }
    *ret_bytes = FRAME_HEADER + (len == 0 ? 3 : *total);
}

__device__ void copy(uint8_t *to, const uint8_t *from, uint32_t len)
{
    uint32_t head = (uint32_t)(-(uintptr_t)to & 3);
    if (head > len)
        head = len;
    if (threadIdx.x < head)
        to[threadIdx.x] = from[threadIdx.x];
    /* `from` is aligned: a word of `to` is made of two of its words. */
    uint32_t words = (len - head) / 4, shift = 8 * (head % 4);
    if (shift != 0 && words > 0 && 4 * (words + 1) > len)
        words--; /* its second word would reach past the end */
    const uint32_t *source = (const uint32_t *)(const void *)from;
    uint32_t *target = (uint32_t *)(void *)(to + head);
    for (uint32_t i = threadIdx.x; i < words; i += THREADS) {
        uint32_t w = source[i];
        target[i] = shift == 0 ? w : w >> shift | source[i + 1] << (32 - shift);
    }
    for (uint32_t i = head + 4 * words + threadIdx.x; i < len; i += THREADS)
        to[i] = from[i];
}

__global__ void __launch_bounds__(THREADS)
    gather(const uint8_t *all, size_t all_len, const uint8_t *slots, const uint32_t *sizes,
           const uint32_t *kinds, const uint64_t *offsets, uint8_t *out)
{
    uint8_t *to = out + FRAME_HEADER + offsets[blockIdx.x];
    uint32_t bytes = sizes[blockIdx.x];
    if (kinds[blockIdx.x] != RAW) {
        copy(to, slots + (size_t)blockIdx.x * SLOT_BYTES, bytes);
        return;
    }
    bool last = all_len - (size_t)blockIdx.x * BLOCK_BYTES <= BLOCK_BYTES;
    uint32_t header = (uint32_t)last | RAW << 1 | (bytes - 3) << 3;
    if (threadIdx.x < 3)
        to[threadIdx.x] = (uint8_t)(header >> (8 * threadIdx.x));
    copy(to + 3, all + (size_t)blockIdx.x * BLOCK_BYTES, bytes - 3);
}

size_t block_count(size_t len)
{
    return (len + BLOCK_BYTES - 1) / BLOCK_BYTES;
}
} // namespace

size_t ebb_kernels_huffman_bound(size_t len)
{
    return EBB_HUFFMAN_BOUND(len);
}

size_t ebb_kernels_huffman_workspace(size_t len)
{
    size_t blocks = block_count(len);
    return blocks * (SLOT_BYTES + 2 * sizeof(uint32_t) + sizeof(struct table)) +
           8 * ebb_scan::words(blocks);
}

int ebb_kernels_huffman_encode(const void *data, size_t len, void *out, uint64_t *ret_bytes,
                               void *workspace, size_t workspace_bytes, void *stream)
{
    if (!ebb_arguments_huffman(data, len, out) || ret_bytes == NULL ||
        !ebb_arguments_array(workspace, 1) || workspace_bytes < ebb_kernels_huffman_workspace(len))
        return EBB_KERNELS_MISUSE;
    size_t blocks = block_count(len);
    uint8_t *slots = (uint8_t *)workspace;
    uint64_t *offsets = (uint64_t *)(void *)(slots + blocks * SLOT_BYTES);
    uint32_t *sizes = (uint32_t *)(void *)(offsets + ebb_scan::words(blocks)),
             *kinds = sizes + blocks;
    struct table *tables = (struct table *)(void *)(kinds + blocks);
    if (blocks > 0) {
        EBB_LAUNCH(count, (unsigned)blocks, THREADS, stream, (const uint8_t *)data, len, tables);
        EBB_LAUNCH(build, ebb_grid(blocks, BUILDERS), BUILDERS, stream, (const uint8_t *)data, len,
                   blocks, tables);
        EBB_LAUNCH(encode, (unsigned)blocks, THREADS, stream, (const uint8_t *)data, len, tables,
                   slots, sizes, kinds);
    }
    uint64_t *total = ebb_scan::queue(sizes, blocks, offsets, stream);
    EBB_LAUNCH(begin, 1, 1, stream, len, total, (uint8_t *)out, ret_bytes);
    if (blocks > 0)
        EBB_LAUNCH(gather, (unsigned)blocks, THREADS, stream, (const uint8_t *)data, len, slots,
                   sizes, kinds, offsets, (uint8_t *)out);
    return ebb_launched();
}
