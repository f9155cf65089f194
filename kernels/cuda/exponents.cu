/* Packed exponents (kernels/exponents.h has the format).
 *
 *     pack     a thread block for each 1,024 elements, four to a thread: largest exponent, codes,
 *              low bytes; the escapes into the block's own 1,024 bytes of workspace
 *     place    where each block's escapes begin, the header, the size
 *     gather   the escapes to their places; blocks without any have nothing to do
 *
 * Unpacking places first, from the counts, and then takes a thread block for each block. */
#include "kernels/cuda/scan.h"
#include "kernels/ebb_kernels.h"
#include "kernels/exponents_layout.h"

namespace
{
enum { THREADS = 256, EACH = 4, BLOCK = 1024, FULL = 0xffffffffu };

template <int STRIDE>
__device__ __forceinline__ void load_four(const uint8_t *data, size_t first, uint32_t count,
                                          uint32_t ret[EACH])
{
    if (count == EACH && STRIDE == 4) {
        uint4 v = *(const uint4 *)(const void *)(data + first * 4);
        ret[0] = v.x;
        ret[1] = v.y;
        ret[2] = v.z;
        ret[3] = v.w;
    } else if (count == EACH) {
        uint2 v = *(const uint2 *)(const void *)(data + first * 2);
        ret[0] = v.x & 0xffff;
        ret[1] = v.x >> 16;
        ret[2] = v.y & 0xffff;
        ret[3] = v.y >> 16;
    } else {
        for (uint32_t i = 0; i < EACH; i++) {
            ret[i] = 0;
            for (int p = 0; i < count && p < STRIDE; p++)
                ret[i] |= (uint32_t)data[(first + i) * STRIDE + (size_t)p] << (8 * p);
        }
    }
}

/* Escapes of the threads before this one in the block; *ret_all: of the block. */
__device__ uint32_t escapes_before(uint32_t own, uint32_t *warp_sums, uint32_t *ret_all)
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
__global__ void __launch_bounds__(THREADS)
    pack(const uint8_t *data, size_t elements, uint32_t bits, struct ebb_exponents_layout l,
         uint8_t *out, uint8_t *escaped)
{
    __shared__ uint32_t most, warp_sums[THREADS / 32], words[7 * BLOCK / 32];
    size_t first = (size_t)blockIdx.x * BLOCK + threadIdx.x * EACH;
    uint32_t count = first >= elements         ? 0
                     : elements - first < EACH ? (uint32_t)(elements - first)
                                               : EACH;
    uint32_t element[EACH], escape = (1u << bits) - 1, own_most = 0, own_escapes = 0;
    if (threadIdx.x == 0)
        most = 0;
    for (uint32_t i = threadIdx.x; i < 32 * bits; i += THREADS)
        words[i] = 0;
    load_four<STRIDE>(data, first, count, element);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t e = ebb_exponents_of(element[i], STRIDE);
        own_most = e > own_most ? e : own_most;
    }
    __syncthreads();
    for (int with = 16; with > 0; with /= 2) {
        uint32_t other = __shfl_xor_sync(FULL, own_most, with);
        own_most = other > own_most ? other : own_most;
    }
    if (threadIdx.x % 32 == 0)
        atomicMax(&most, own_most);
    __syncthreads();

    uint32_t codes = 0, low[3] = {0, 0, 0};
    for (uint32_t i = 0; i < count; i++) {
        uint32_t away = most - ebb_exponents_of(element[i], STRIDE);
        uint32_t rest = ebb_exponents_rest(element[i], STRIDE);
        own_escapes += away >= escape;
        codes |= (away < escape ? away : escape) << (i * bits);
        for (int p = 0; p + 1 < STRIDE; p++)
            low[p] |= (rest >> (8 * p) & 255) << (8 * i);
    }
    uint32_t at = threadIdx.x * EACH * bits, shift = at % 32;
    atomicOr(&words[at / 32], codes << shift);
    if (shift + EACH * bits > 32)
        atomicOr(&words[at / 32 + 1], codes >> (32 - shift));
    for (int p = 0; p + 1 < STRIDE; p++) {
        uint8_t *to = out + l.low + (size_t)p * l.low_pitch + first;
        if (first <
            l.low_pitch) /* the padding up to the pitch is zero: count < EACH leaves zeros */
            *(uint32_t *)(void *)to = low[p];
    }
    uint32_t all, before = escapes_before(own_escapes, warp_sums, &all);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t e = ebb_exponents_of(element[i], STRIDE);
        if (most - e >= escape)
            escaped[(size_t)blockIdx.x * BLOCK + before++] = (uint8_t)e;
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
    for (uint32_t p = 0; p + 1 < stride; p++) {
        for (uint64_t i = (elements + 3) / 4 * 4 + threadIdx.x; i < l.low_pitch; i += blockDim.x)
            out[l.low + p * l.low_pitch + i] = 0;
    }
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

__global__ void __launch_bounds__(THREADS)
    gather(const uint8_t *escaped, const uint16_t *counts, const uint64_t *offsets, uint8_t *out)
{
    uint32_t count = counts[blockIdx.x];
    for (uint32_t i = threadIdx.x; i < count; i += THREADS)
        out[offsets[blockIdx.x] + i] = escaped[(size_t)blockIdx.x * BLOCK + i];
}

template <int STRIDE>
__global__ void __launch_bounds__(THREADS)
    unpack(const uint8_t *packed, size_t elements, uint32_t bits, struct ebb_exponents_layout l,
           uint64_t escape_bytes, const uint64_t *offsets, uint8_t *data)
{
    __shared__ uint32_t warp_sums[THREADS / 32];
    size_t first = (size_t)blockIdx.x * BLOCK + threadIdx.x * EACH;
    uint32_t count = first >= elements         ? 0
                     : elements - first < EACH ? (uint32_t)(elements - first)
                                               : EACH;
    uint32_t escape = (1u << bits) - 1, most = packed[l.most + blockIdx.x], own_escapes = 0;
    const uint32_t *words =
        (const uint32_t *)(const void *)(packed + l.codes) + (size_t)blockIdx.x * 32 * bits;
    uint32_t at = threadIdx.x * EACH * bits, shift = at % 32, codes = words[at / 32] >> shift;
    if (shift + EACH * bits > 32)
        codes |= words[at / 32 + 1] << (32 - shift);
    for (uint32_t i = 0; i < count; i++)
        own_escapes += (codes >> (i * bits) & escape) == escape;
    uint32_t all, before = escapes_before(own_escapes, warp_sums, &all);
    const uint8_t *escapes = packed + l.escapes;
    uint64_t next = offsets[blockIdx.x] + before;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t code = codes >> (i * bits) & escape, rest = 0;
        uint32_t e = (most - code) & 255;
        if (code == escape) { /* damaged counts lead past the end */
            e = next < escape_bytes ? escapes[next] : 0;
            next++;
        }
        for (int p = 0; p + 1 < STRIDE; p++)
            rest |= (uint32_t)packed[l.low + (size_t)p * l.low_pitch + first + i] << (8 * p);
        uint32_t word = ebb_exponents_join(e, rest, STRIDE);
        for (int p = 0; p < STRIDE; p++)
            data[(first + i) * STRIDE + (size_t)p] = (uint8_t)(word >> (8 * p));
    }
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
        EBB_LAUNCH((pack<2>), (unsigned)l.blocks, THREADS, stream, (const uint8_t *)data, elements,
                   bits, l, packed, escaped);
    else if (l.blocks > 0)
        EBB_LAUNCH((pack<4>), (unsigned)l.blocks, THREADS, stream, (const uint8_t *)data, elements,
                   bits, l, packed, escaped);
    uint64_t *total = ebb_scan::queue(counts, (size_t)l.blocks, offsets, stream);
    EBB_LAUNCH(finish, 1, 64, stream, packed, elements, stride, bits, l, total, ret_bytes);
    if (l.blocks > 0)
        EBB_LAUNCH(gather, (unsigned)l.blocks, THREADS, stream, escaped, counts, offsets,
                   packed + l.escapes);
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
        EBB_LAUNCH((unpack<2>), (unsigned)l.blocks, THREADS, stream, from, elements, bits, l,
                   escape_bytes, offsets, (uint8_t *)data);
    else
        EBB_LAUNCH((unpack<4>), (unsigned)l.blocks, THREADS, stream, from, elements, bits, l,
                   escape_bytes, offsets, (uint8_t *)data);
    return ebb_launched();
}
