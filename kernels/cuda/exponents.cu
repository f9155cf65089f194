/* Packed exponents (kernels/exponents.h has the format).
 *
 *     pack     a thread block for each 1,024 elements, 16 to a thread: largest exponent, codes, low
 *              bytes; the escapes into the block's own 1,024 bytes of workspace
 *     place    where each block's escapes begin, the header, the size
 *     gather   the escapes to their places; blocks without any have nothing to do
 *
 * The codes of 16 elements begin and end at half-words, whatever their bits, so that threads share
 * no word. Two elements of bf16 are worked on at once, in the halves of a word. Unpacking places
 * first, from the counts, and then takes a thread block for each block. */
#include "kernels/arguments.h"
#include "kernels/cuda/scan.h"
#include "kernels/ebb_kernels.h"
#include "kernels/exponents_layout.h"

namespace
{
enum { BLOCK = 1024, EACH = 16, THREADS = BLOCK / EACH, GATHERERS = 256, FULL = 0xffffffffu };

/* A thread's elements as they lie in memory. */
template <int STRIDE> struct elements {
    enum { WORDS = EACH * STRIDE / 4 };
    uint32_t word[WORDS];

    __device__ __forceinline__ uint32_t at(uint32_t k) const
    {
        return STRIDE == 4 ? word[k % WORDS] : word[k / 2 % WORDS] >> (16 * (k % 2)) & 0xffff;
    }
    __device__ __forceinline__ void put(uint32_t k, uint32_t element)
    {
        if (STRIDE == 4)
            word[k % WORDS] = element;
        else
            word[k / 2 % WORDS] |= element << (16 * (k % 2));
    }
};

/* Those beyond `count` are zero. */
template <int STRIDE>
__device__ __forceinline__ elements<STRIDE> load(const uint8_t *data, size_t first, uint32_t count)
{
    elements<STRIDE> r;
    const uint4 *from = (const uint4 *)(const void *)(data + first * STRIDE);
#pragma unroll
    for (int i = 0; i < STRIDE; i++) {
        if (count < EACH) {
            r.word[4 * i] = r.word[4 * i + 1] = r.word[4 * i + 2] = r.word[4 * i + 3] = 0;
            continue;
        }
        const uint4 v = from[i];
        r.word[4 * i] = v.x;
        r.word[4 * i + 1] = v.y;
        r.word[4 * i + 2] = v.z;
        r.word[4 * i + 3] = v.w;
    }
    if (count == EACH)
        return r;
#pragma unroll
    for (uint32_t k = 0; k < EACH; k++) {
        uint32_t element = 0;
        for (int p = 0; k < count && p < STRIDE; p++)
            element |= (uint32_t)data[(first + k) * STRIDE + (size_t)p] << (8 * p);
        r.put(k, element);
    }
    return r;
}

template <int STRIDE>
__device__ __forceinline__ void store(uint8_t *data, size_t first, uint32_t count,
                                      const elements<STRIDE> &e)
{
    uint4 *to = (uint4 *)(void *)(data + first * STRIDE);
    if (count == EACH) {
#pragma unroll
        for (int i = 0; i < STRIDE; i++)
            to[i] =
                make_uint4(e.word[4 * i], e.word[4 * i + 1], e.word[4 * i + 2], e.word[4 * i + 3]);
        return;
    }
#pragma unroll
    for (uint32_t k = 0; k < EACH; k++) {
        for (int p = 0; k < count && p < STRIDE; p++)
            data[(first + k) * STRIDE + (size_t)p] = (uint8_t)(e.at(k) >> (8 * p));
    }
}

/* Escapes of the threads before this one in the block; *ret_all: of the block. */
__device__ __forceinline__ uint32_t escapes_before(uint32_t own, uint32_t *warp_sums,
                                                   uint32_t *ret_all)
{
    uint32_t lane = threadIdx.x % 32, sum = own;
    for (uint32_t by = 1; by < 32; by *= 2) {
        uint32_t more = __shfl_up_sync(FULL, sum, by);
        sum += lane >= by ? more : 0;
    }
    if (lane == 31)
        warp_sums[threadIdx.x / 32] = sum;
    __syncthreads();
    uint32_t before = 0, all = 0;
    for (uint32_t w = 0; w < THREADS / 32; w++) {
        before += w < threadIdx.x / 32 ? warp_sums[w] : 0;
        all += warp_sums[w];
    }
    *ret_all = all;
    return before + sum - own;
}

template <int STRIDE>
__device__ __forceinline__ uint32_t greatest_exponent(const elements<STRIDE> &e)
{
    uint32_t most = 0, other = 0;
#pragma unroll
    for (int i = 0; i < elements<STRIDE>::WORDS; i++) {
        if (STRIDE == 4) {
            most = max(most, ebb_exponents_of(e.word[i], STRIDE));
            continue;
        }
        const uint32_t both = e.word[i] >> 7 & 0x00ff00ff;
        most = max(most, both); /* its upper half is the greatest of the upper ones */
        other = max(other, both << 16);
    }
    return STRIDE == 4 ? most : max(most >> 16, other >> 16);
}

/* What becomes of a thread's elements. */
template <int STRIDE> struct coded {
    uint64_t codes[2]; /* of eight each */
    uint32_t low[STRIDE - 1][EACH / 4], escapes;
};

/* The bytes of four numbers of 24 bits, plane by plane; of four times 8 bits. */
__device__ __forceinline__ uint32_t plane_of(uint32_t a, uint32_t b, uint32_t c, uint32_t d, int p)
{
    const uint32_t pick = (uint32_t)p | (uint32_t)(p + 4) << 4;
    return __byte_perm(__byte_perm(a, b, pick), __byte_perm(c, d, pick), 0x5410);
}

/* Two elements at once: their codes, the second's above the first's. */
__device__ __forceinline__ uint32_t code_pair(uint32_t word, uint32_t most, uint32_t bits,
                                              uint32_t escape, uint32_t *ret_escapes)
{
    const uint32_t away = most * 0x10001u - (word >> 7 & 0x00ff00ff),
                   escapes = (away + (0x8000u - escape) * 0x10001u) & 0x80008000u,
                   all_of = (escapes >> 15) * 0xffffu,
                   code = (away & ~all_of) | (escape * 0x10001u & all_of);
    *ret_escapes += (uint32_t)__popc(escapes);
    return (code & 0xffff) | code >> 16 << bits;
}

/* The low bytes of four elements, plane by plane. */
template <int STRIDE>
__device__ __forceinline__ void split_low(const elements<STRIDE> &e, uint32_t q,
                                          uint32_t low[STRIDE - 1][EACH / 4])
{
    if constexpr (STRIDE == 2) {
        const uint32_t a = e.word[2 * q], b = e.word[2 * q + 1];
        low[0][q] = __byte_perm((a & 0x007f007fu) | (a >> 8 & 0x00800080u),
                                (b & 0x007f007fu) | (b >> 8 & 0x00800080u), 0x6420);
    } else {
        uint32_t rest[4];
#pragma unroll
        for (uint32_t i = 0; i < 4; i++)
            rest[i] = ebb_exponents_rest(e.at(4 * q + i), STRIDE);
#pragma unroll
        for (int p = 0; p + 1 < STRIDE; p++)
            low[p][q] = plane_of(rest[0], rest[1], rest[2], rest[3], p);
    }
}

template <int STRIDE>
__device__ __forceinline__ void code(const elements<STRIDE> &e, uint32_t count, uint32_t most,
                                     uint32_t bits, coded<STRIDE> *ret)
{
    const uint32_t escape = (1u << bits) - 1;
    coded<STRIDE> &r = *ret;
    r.codes[0] = r.codes[1] = 0;
    r.escapes = 0;
#pragma unroll
    for (uint32_t k = 0; k < EACH; k += 2) {
        uint32_t pair = 0;
        if (STRIDE == 2 && count == EACH) {
            pair =
                code_pair(e.word[k / 2 % elements<STRIDE>::WORDS], most, bits, escape, &r.escapes);
        } else {
#pragma unroll
            for (uint32_t i = 0; i < 2; i++) {
                const uint32_t away = most - ebb_exponents_of(e.at(k + i), STRIDE);
                if (k + i < count) {
                    pair |= min(away, escape) << (i * bits);
                    r.escapes += away >= escape;
                }
            }
        }
        r.codes[k / 8] |= (uint64_t)pair << (k % 8 * bits);
    }
#pragma unroll
    for (uint32_t q = 0; q < EACH / 4; q++)
        split_low(e, q, r.low);
}

__device__ __forceinline__ uint32_t elements_of(size_t first, size_t elements)
{
    return first >= elements ? 0 : elements - first < EACH ? (uint32_t)(elements - first) : EACH;
}

template <int STRIDE, uint32_t bits>
__global__ void __launch_bounds__(THREADS)
    pack(const uint8_t *data, size_t element_count, struct ebb_exponents_layout l, uint8_t *out,
         uint8_t *escaped)
{
    __shared__ uint32_t warp_most[THREADS / 32], warp_sums[THREADS / 32];
    __shared__ uint32_t words[7 * BLOCK / 32];
    const size_t first = (size_t)blockIdx.x * BLOCK + threadIdx.x * EACH;
    const uint32_t count = elements_of(first, element_count);
    EBB_USUAL(count == EACH && first < l.low_pitch);
    const elements<STRIDE> own = load<STRIDE>(data, first, count);
    const uint32_t own_most = __reduce_max_sync(FULL, greatest_exponent(own));
    if (threadIdx.x % 32 == 0)
        warp_most[threadIdx.x / 32] = own_most;
    __syncthreads();
    uint32_t most = 0;
    for (uint32_t w = 0; w < THREADS / 32; w++)
        most = max(most, warp_most[w]);

    coded<STRIDE> c;
    code(own, count, most, bits, &c);
    /* 8 bits times `bits` and as many more: half-words of the thread's own. */
    const uint64_t low = c.codes[0] | c.codes[1] << (8 * bits),
                   high = c.codes[1] >> (64 - 8 * bits);
    uint16_t *half = (uint16_t *)(void *)words + threadIdx.x * bits;
#pragma unroll
    for (uint32_t h = 0; h < 7; h++) {
        if (h < bits)
            half[h] = (uint16_t)(h < 4 ? low >> (16 * h % 64) : high >> (16 * h % 64));
    }
    if (first < l.low_pitch) { /* the padding up to the pitch is zero */
#pragma unroll
        for (int p = 0; p + 1 < STRIDE; p++)
            *(uint4 *)(void *)(out + l.low + (size_t)p * l.low_pitch + first) =
                make_uint4(c.low[p][0], c.low[p][1], c.low[p][2], c.low[p][3]);
    }
    uint32_t all, before = escapes_before(c.escapes, warp_sums, &all);
    EBB_USUAL(c.escapes == 0);
    if (c.escapes > 0) {
        const uint32_t escape = (1u << bits) - 1;
#pragma unroll
        for (uint32_t k = 0; k < EACH; k++) {
            const uint32_t e = ebb_exponents_of(own.at(k), STRIDE);
            if (k < count && most - e >= escape)
                escaped[(size_t)blockIdx.x * BLOCK + before++] = (uint8_t)e;
        }
    }
    uint32_t *to = (uint32_t *)(void *)(out + l.codes) + (size_t)blockIdx.x * 32 * bits;
    for (uint32_t i = threadIdx.x; i < 32 * bits; i += THREADS)
        to[i] = words[i];
    if (threadIdx.x == 0) {
        out[l.most + blockIdx.x] = (uint8_t)most;
        ((uint16_t *)(void *)(out + l.counts))[blockIdx.x] = (uint16_t)all;
    }
}

/* One thread block: the header, and the zeros between the parts. */
__global__ void finish(uint8_t *out, size_t elements, uint32_t stride, uint32_t bits,
                       struct ebb_exponents_layout l, const uint64_t *total, uint64_t *ret_bytes)
{
    for (uint64_t i = l.most + l.blocks + threadIdx.x; i < l.counts; i += blockDim.x)
        out[i] = 0;
    for (uint64_t i = l.counts + 2 * l.blocks + threadIdx.x; i < l.codes; i += blockDim.x)
        out[i] = 0;
    if (threadIdx.x < 8)
        out[8 + threadIdx.x] = (uint8_t)((uint64_t)elements >> (8 * threadIdx.x));
    if (threadIdx.x < 4)
        out[4 + threadIdx.x] = (uint8_t)(*total >> (8 * threadIdx.x));
    if (threadIdx.x == 0) {
        out[0] = (uint8_t)stride;
        out[1] = (uint8_t)bits;
        out[2] = out[3] = 0;
        *ret_bytes = *total > 0xffffffffu ? 0 : l.escapes + *total;
    }
}

/* A warp for each block. */
__global__ void __launch_bounds__(GATHERERS)
    gather(const uint8_t *escaped, const uint16_t *counts, uint64_t blocks, const uint64_t *offsets,
           uint8_t *out)
{
    const uint64_t block = (uint64_t)blockIdx.x * (GATHERERS / 32) + threadIdx.x / 32;
    const uint32_t count = block < blocks ? counts[block] : 0;
    for (uint32_t i = threadIdx.x % 32; i < count; i += 32)
        out[offsets[block] + i] = escaped[(size_t)block * BLOCK + i];
}

template <int STRIDE, uint32_t bits>
__global__ void __launch_bounds__(THREADS)
    unpack(const uint8_t *packed, size_t element_count, struct ebb_exponents_layout l,
           uint64_t escape_bytes, const uint64_t *offsets, uint8_t *data)
{
    __shared__ uint32_t warp_sums[THREADS / 32];
    const size_t first = (size_t)blockIdx.x * BLOCK + threadIdx.x * EACH;
    const uint32_t count = elements_of(first, element_count), escape = (1u << bits) - 1,
                   most = packed[l.most + blockIdx.x];
    EBB_USUAL(count == EACH && first < l.low_pitch);
    const uint16_t *half = (const uint16_t *)(const void *)(packed + l.codes) +
                           (size_t)blockIdx.x * 64 * bits + threadIdx.x * bits;
    uint64_t low_codes = 0, high_codes = 0;
#pragma unroll
    for (uint32_t h = 0; h < 7; h++) {
        if (h < bits && h < 4)
            low_codes |= (uint64_t)half[h] << (16 * h % 64);
        else if (h < bits)
            high_codes |= (uint64_t)half[h] << (16 * h % 64);
    }
    const uint64_t codes[2] = {low_codes, low_codes >> (8 * bits) | high_codes << (64 - 8 * bits)};
    uint32_t low[STRIDE - 1][4] = {{0}}, own_escapes = 0;
#pragma unroll
    for (int p = 0; p + 1 < STRIDE; p++) {
        if (first >= l.low_pitch)
            continue;
        const uint4 v =
            *(const uint4 *)(const void *)(packed + l.low + (size_t)p * l.low_pitch + first);
        low[p][0] = v.x;
        low[p][1] = v.y;
        low[p][2] = v.z;
        low[p][3] = v.w;
    }
#pragma unroll
    for (uint32_t k = 0; k < EACH; k++)
        own_escapes += k < count && (codes[k / 8] >> (k % 8 * bits) & escape) == escape;
    uint32_t all, before = escapes_before(own_escapes, warp_sums, &all);
    const uint8_t *escapes = packed + l.escapes;
    uint64_t next = offsets[blockIdx.x] + before;
    elements<STRIDE> element = {{0}};
#pragma unroll
    for (uint32_t k = 0; k < EACH; k++) {
        const uint32_t code = (uint32_t)(codes[k / 8] >> (k % 8 * bits)) & escape;
        uint32_t e = (most - code) & 255, rest = 0;
        if (k < count && code == escape) { /* damaged counts lead past the end */
            e = next < escape_bytes ? escapes[next] : 0;
            next++;
        }
#pragma unroll
        for (int p = 0; p + 1 < STRIDE; p++)
            rest |= (low[p][k / 4] >> (8 * (k % 4)) & 255) << (8 * p);
        element.put(k, ebb_exponents_join(e, rest, STRIDE));
    }
    store<STRIDE>(data, first, count, element);
}

bool fits(const void *data, size_t elements, unsigned stride, unsigned bits, const void *packed,
          const void *workspace, size_t workspace_bytes)
{
    return ebb_arguments_exponents(data, elements, stride, bits, packed) &&
           ebb_arguments_array(workspace, 1) &&
           workspace_bytes >= ebb_kernels_exponents_workspace(elements);
}
} // namespace

/* A kernel of its own for each stride and number of bits: shifts are then by constants. */
#define KIND(kernel, STRIDE, BITS, grid, stream, ...)                                              \
    if (stride == STRIDE && bits == BITS)                                                          \
        EBB_LAUNCH((kernel<STRIDE, BITS>), grid, THREADS, stream, __VA_ARGS__);
#define KINDS(kernel, STRIDE, grid, stream, ...)                                                   \
    KIND(kernel, STRIDE, 2, grid, stream, __VA_ARGS__)                                             \
    KIND(kernel, STRIDE, 3, grid, stream, __VA_ARGS__)                                             \
    KIND(kernel, STRIDE, 4, grid, stream, __VA_ARGS__)                                             \
    KIND(kernel, STRIDE, 5, grid, stream, __VA_ARGS__)                                             \
    KIND(kernel, STRIDE, 6, grid, stream, __VA_ARGS__)                                             \
    KIND(kernel, STRIDE, 7, grid, stream, __VA_ARGS__)
#define FOR_EACH_KIND(kernel, grid, stream, ...)                                                   \
    KINDS(kernel, 2, grid, stream, __VA_ARGS__)                                                    \
    KINDS(kernel, 4, grid, stream, __VA_ARGS__)

size_t ebb_kernels_exponents_bound(size_t elements, unsigned stride, unsigned bits)
{
    return (size_t)ebb_exponents_layout(elements, stride, bits).escapes + elements;
}

size_t ebb_kernels_exponents_workspace(size_t elements)
{
    size_t blocks = (elements + BLOCK - 1) / BLOCK;
    return blocks * BLOCK + 8 * ebb_scan::words(blocks);
}

int ebb_kernels_exponents_pack(const void *data, size_t elements, unsigned stride, unsigned bits,
                               void *out, uint64_t *ret_bytes, void *workspace,
                               size_t workspace_bytes, void *stream)
{
    if (!fits(data, elements, stride, bits, out, workspace, workspace_bytes))
        return EBB_KERNELS_MISUSE;
    if (ret_bytes == NULL)
        return EBB_KERNELS_MISUSE;
    struct ebb_exponents_layout l = ebb_exponents_layout(elements, stride, bits);
    uint8_t *packed = (uint8_t *)out, *escaped = (uint8_t *)workspace;
    uint64_t *offsets = (uint64_t *)(void *)(escaped + l.blocks * BLOCK);
    const uint16_t *counts = (const uint16_t *)(const void *)(packed + l.counts);
    if (l.blocks > 0) {
        FOR_EACH_KIND(pack, (unsigned)l.blocks, stream, (const uint8_t *)data, elements, l, packed,
                      escaped)
    }
    uint64_t *total = ebb_scan::queue(counts, (size_t)l.blocks, offsets, stream);
    EBB_LAUNCH(finish, 1, 64, stream, packed, elements, stride, bits, l, total, ret_bytes);
    if (l.blocks > 0)
        EBB_LAUNCH(gather, ebb_grid((size_t)l.blocks, GATHERERS / 32), GATHERERS, stream, escaped,
                   counts, l.blocks, offsets, packed + l.escapes);
    return ebb_launched();
}

int ebb_kernels_exponents_unpack(const void *packed, size_t packed_bytes, size_t elements,
                                 unsigned stride, unsigned bits, void *data, void *workspace,
                                 size_t workspace_bytes, void *stream)
{
    if (!fits(data, elements, stride, bits, packed, workspace, workspace_bytes))
        return EBB_KERNELS_MISUSE;
    struct ebb_exponents_layout l = ebb_exponents_layout(elements, stride, bits);
    if (packed_bytes < l.escapes)
        return EBB_KERNELS_MISUSE;
    if (l.blocks == 0)
        return 0;
    uint64_t escape_bytes = packed_bytes - l.escapes;
    const uint8_t *from = (const uint8_t *)packed;
    uint64_t *offsets = (uint64_t *)workspace;
    ebb_scan::queue((const uint16_t *)(const void *)(from + l.counts), (size_t)l.blocks, offsets,
                    stream);
    FOR_EACH_KIND(unpack, (unsigned)l.blocks, stream, from, elements, l, escape_bytes, offsets,
                  (uint8_t *)data)
    return ebb_launched();
}
