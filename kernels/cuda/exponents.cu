/* Packed exponents (kernels/exponents.h has the format).
 *
 *     pack     a thread block for each 1,024 elements, 16 bytes of them to a thread: largest
 * exponent, codes, low bytes; the escapes into the block's own 1,024 bytes of workspace place where
 * each block's escapes begin, the header, the size gather   the escapes to their places; blocks
 * without any have nothing to do
 *
 * Unpacking places first, from the counts, and then takes a thread block for each block. */
#include "kernels/cuda/scan.h"
#include "kernels/ebb_kernels.h"
#include "kernels/exponents_layout.h"

namespace
{
enum { BLOCK = 1024, GATHERERS = 256, FULL = 0xffffffffu };

/* What a thread has: 16 bytes, in quads of four elements, whose codes fit a word. */
template <int STRIDE> struct shape {
    enum { EACH = 16 / STRIDE, QUADS = EACH / 4, THREADS = BLOCK / EACH };
};

template <int STRIDE>
__device__ __forceinline__ void load(const uint8_t *data, size_t first, uint32_t count,
                                     uint32_t ret[shape<STRIDE>::EACH])
{
    constexpr uint32_t EACH = shape<STRIDE>::EACH;
    if (count == EACH) {
        const uint4 v = *(const uint4 *)(const void *)(data + first * STRIDE);
        const uint32_t w[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (uint32_t i = 0; i < EACH; i++)
            ret[i] = STRIDE == 4 ? w[i] : w[i / 2] >> (16 * (i % 2)) & 0xffff;
        return;
    }
#pragma unroll
    for (uint32_t i = 0; i < EACH; i++) {
        ret[i] = 0;
        for (int p = 0; i < count && p < STRIDE; p++)
            ret[i] |= (uint32_t)data[(first + i) * STRIDE + (size_t)p] << (8 * p);
    }
}

template <int STRIDE>
__device__ __forceinline__ void store(uint8_t *data, size_t first, uint32_t count,
                                      const uint32_t element[shape<STRIDE>::EACH])
{
    constexpr uint32_t EACH = shape<STRIDE>::EACH;
    if (count == EACH) {
        uint32_t w[4];
#pragma unroll
        for (int k = 0; k < 4; k++)
            w[k] = STRIDE == 4 ? element[k] : element[2 * k] | element[2 * k + 1] << 16;
        *(uint4 *)(void *)(data + first * STRIDE) = make_uint4(w[0], w[1], w[2], w[3]);
        return;
    }
#pragma unroll
    for (uint32_t i = 0; i < EACH; i++) {
        for (int p = 0; i < count && p < STRIDE; p++)
            data[(first + i) * STRIDE + (size_t)p] = (uint8_t)(element[i] >> (8 * p));
    }
}

/* Escapes of the threads before this one in the block; *ret_all: of the block. */
template <int THREADS>
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

__device__ __forceinline__ uint32_t elements_of(size_t first, size_t elements, uint32_t each)
{
    return first >= elements ? 0 : elements - first < each ? (uint32_t)(elements - first) : each;
}

template <int STRIDE>
__global__ void __launch_bounds__(shape<STRIDE>::THREADS)
    pack(const uint8_t *data, size_t elements, uint32_t bits, struct ebb_exponents_layout l,
         uint8_t *out, uint8_t *escaped)
{
    constexpr uint32_t EACH = shape<STRIDE>::EACH, THREADS = shape<STRIDE>::THREADS;
    __shared__ uint32_t most, warp_sums[THREADS / 32], words[7 * BLOCK / 32];
    const size_t first = (size_t)blockIdx.x * BLOCK + threadIdx.x * EACH;
    const uint32_t count = elements_of(first, elements, EACH);
    uint32_t element[EACH], escape = (1u << bits) - 1, own_most = 0, own_escapes = 0;
    load<STRIDE>(data, first, count, element);
    if (threadIdx.x == 0)
        most = 0;
    for (uint32_t i = threadIdx.x; i < 32 * bits; i += THREADS)
        words[i] = 0;
#pragma unroll
    for (uint32_t i = 0; i < EACH; i++) { /* those beyond the last are zero */
        uint32_t e = ebb_exponents_of(element[i], STRIDE);
        own_most = e > own_most ? e : own_most;
    }
    __syncthreads();
    own_most = __reduce_max_sync(FULL, own_most);
    if (threadIdx.x % 32 == 0)
        atomicMax(&most, own_most);
    __syncthreads();

    const uint32_t block_most = most;
#pragma unroll
    for (uint32_t q = 0; q < shape<STRIDE>::QUADS; q++) {
        uint32_t codes = 0, low[3] = {0, 0, 0};
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            const uint32_t k = 4 * q + i, away = block_most - ebb_exponents_of(element[k], STRIDE),
                           rest = ebb_exponents_rest(element[k], STRIDE);
            if (k < count) {
                own_escapes += away >= escape;
                codes |= (away < escape ? away : escape) << (i * bits);
            }
#pragma unroll
            for (int p = 0; p + 1 < STRIDE; p++)
                low[p] |= (rest >> (8 * p) & 255) << (8 * i);
        }
        const uint32_t at = (threadIdx.x * EACH + 4 * q) * bits, shift = at % 32;
        atomicOr(&words[at / 32], codes << shift);
        if (shift + 4 * bits > 32)
            atomicOr(&words[at / 32 + 1], codes >> (32 - shift));
        if (first + 4 * q < l.low_pitch) { /* the padding up to the pitch is zero */
#pragma unroll
            for (int p = 0; p + 1 < STRIDE; p++)
                *(uint32_t *)(void *)(out + l.low + (size_t)p * l.low_pitch + first + 4 * q) =
                    low[p];
        }
    }
    uint32_t all, before = escapes_before<THREADS>(own_escapes, warp_sums, &all);
    if (own_escapes > 0) {
#pragma unroll
        for (uint32_t i = 0; i < EACH; i++) {
            const uint32_t e = ebb_exponents_of(element[i], STRIDE);
            if (i < count && block_most - e >= escape)
                escaped[(size_t)blockIdx.x * BLOCK + before++] = (uint8_t)e;
        }
    }
    uint32_t *to = (uint32_t *)(void *)(out + l.codes) + (size_t)blockIdx.x * 32 * bits;
    for (uint32_t i = threadIdx.x; i < 32 * bits; i += THREADS)
        to[i] = words[i];
    if (threadIdx.x == 0) {
        out[l.most + blockIdx.x] = (uint8_t)block_most;
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

template <int STRIDE>
__global__ void __launch_bounds__(shape<STRIDE>::THREADS)
    unpack(const uint8_t *packed, size_t elements, uint32_t bits, struct ebb_exponents_layout l,
           uint64_t escape_bytes, const uint64_t *offsets, uint8_t *data)
{
    constexpr uint32_t EACH = shape<STRIDE>::EACH, QUADS = shape<STRIDE>::QUADS,
                       THREADS = shape<STRIDE>::THREADS;
    __shared__ uint32_t warp_sums[THREADS / 32];
    const size_t first = (size_t)blockIdx.x * BLOCK + threadIdx.x * EACH;
    const uint32_t count = elements_of(first, elements, EACH), escape = (1u << bits) - 1,
                   most = packed[l.most + blockIdx.x];
    const uint32_t *words =
        (const uint32_t *)(const void *)(packed + l.codes) + (size_t)blockIdx.x * 32 * bits;
    uint32_t codes[QUADS], low[QUADS][3], own_escapes = 0;
#pragma unroll
    for (uint32_t q = 0; q < QUADS; q++) {
        const uint32_t at = (threadIdx.x * EACH + 4 * q) * bits, shift = at % 32;
        codes[q] = words[at / 32] >> shift;
        if (shift + 4 * bits > 32)
            codes[q] |= words[at / 32 + 1] << (32 - shift);
#pragma unroll
        for (int p = 0; p + 1 < STRIDE; p++)
            low[q][p] =
                first + 4 * q < l.low_pitch
                    ? *(const uint32_t *)(const void *)(packed + l.low + (size_t)p * l.low_pitch +
                                                        first + 4 * q)
                    : 0;
#pragma unroll
        for (uint32_t i = 0; i < 4; i++)
            own_escapes += 4 * q + i < count && (codes[q] >> (i * bits) & escape) == escape;
    }
    uint32_t all, before = escapes_before<THREADS>(own_escapes, warp_sums, &all);
    const uint8_t *escapes = packed + l.escapes;
    uint64_t next = offsets[blockIdx.x] + before;
    uint32_t element[EACH];
#pragma unroll
    for (uint32_t k = 0; k < EACH; k++) {
        const uint32_t q = k / 4, i = k % 4, code = codes[q] >> (i * bits) & escape;
        uint32_t e = (most - code) & 255, rest = 0;
        if (k < count && code == escape) { /* damaged counts lead past the end */
            e = next < escape_bytes ? escapes[next] : 0;
            next++;
        }
#pragma unroll
        for (int p = 0; p + 1 < STRIDE; p++)
            rest |= (low[q][p] >> (8 * i) & 255) << (8 * p);
        element[k] = ebb_exponents_join(e, rest, STRIDE);
    }
    store<STRIDE>(data, first, count, element);
}

bool fits(const void *data, size_t elements, unsigned stride, unsigned bits, const void *packed,
          const void *workspace, size_t workspace_bytes)
{
    return (stride == 2 || stride == 4) && bits >= 2 && bits <= 7 &&
           (((uintptr_t)data | (uintptr_t)packed | (uintptr_t)workspace) & 15) == 0 &&
           workspace_bytes >= ebb_kernels_exponents_workspace(elements);
}
} // namespace

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
    struct ebb_exponents_layout l = ebb_exponents_layout(elements, stride, bits);
    uint8_t *packed = (uint8_t *)out, *escaped = (uint8_t *)workspace;
    uint64_t *offsets = (uint64_t *)(void *)(escaped + l.blocks * BLOCK);
    const uint16_t *counts = (const uint16_t *)(const void *)(packed + l.counts);
    if (l.blocks > 0 && stride == 2)
        EBB_LAUNCH((pack<2>), (unsigned)l.blocks, shape<2>::THREADS, stream, (const uint8_t *)data,
                   elements, bits, l, packed, escaped);
    else if (l.blocks > 0)
        EBB_LAUNCH((pack<4>), (unsigned)l.blocks, shape<4>::THREADS, stream, (const uint8_t *)data,
                   elements, bits, l, packed, escaped);
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
    if (stride == 2)
        EBB_LAUNCH((unpack<2>), (unsigned)l.blocks, shape<2>::THREADS, stream, from, elements, bits,
                   l, escape_bytes, offsets, (uint8_t *)data);
    else
        EBB_LAUNCH((unpack<4>), (unsigned)l.blocks, shape<4>::THREADS, stream, from, elements, bits,
                   l, escape_bytes, offsets, (uint8_t *)data);
    return ebb_launched();
}
