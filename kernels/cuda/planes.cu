/* Byte planes, plain and of differences.
 *
 * A thread takes 16 elements: whole 16-byte loads of data and base, the bytes of four words turned
 * in registers, one 16-byte store a plane. The last elements, and planes that are not aligned, go
 * one by one. */
#include "kernels/arguments.h"
#include "kernels/cuda/launch.h"
#include "kernels/delta_word.h"
#include "kernels/ebb_kernels.h"

namespace
{
enum { THREADS = 256, EACH = 16 };

/* What is done to an element before it is split. */
enum what { PLAIN, ROTATE, ZIGZAG, XOR, DIFFERENCE };

template <int STRIDE, int WHAT> __device__ __forceinline__ uint32_t turn(uint32_t w, uint32_t base)
{
    constexpr uint32_t bits = 8 * STRIDE, mask = 0xffffffffu >> (32 - bits);
    if (WHAT == ROTATE)
        return ebb_delta_rotate(w & mask, bits) & mask;
    if (WHAT == ZIGZAG)
        return (w << 1 ^ (0u - (w >> (bits - 1) & 1))) & mask;
    if (WHAT == XOR || WHAT == DIFFERENCE)
        return ebb_delta_word(w, base, bits, WHAT == DIFFERENCE);
    return w;
}

template <int STRIDE, int WHAT>
__device__ __forceinline__ uint32_t turn_back(uint32_t w, uint32_t base)
{
    constexpr uint32_t bits = 8 * STRIDE, mask = 0xffffffffu >> (32 - bits);
    if (WHAT == ROTATE)
        return ebb_delta_rotate_back(w & mask, bits) & mask;
    if (WHAT == ZIGZAG)
        return (w >> 1 ^ (0u - (w & 1))) & mask;
    if (WHAT == XOR || WHAT == DIFFERENCE)
        return ebb_delta_word_back(w, base, bits, WHAT == DIFFERENCE);
    return w;
}

/* 16 elements as 32-bit words, and back; two to a word where an element has 2 bytes. */
template <int STRIDE> __device__ __forceinline__ void load(const uint8_t *at, uint32_t ret[EACH])
{
    const uint4 *from = (const uint4 *)(const void *)at;
#pragma unroll
    for (int i = 0; i < STRIDE; i++) {
        uint4 v = from[i];
        uint32_t w[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (int k = 0; k < 4; k++) {
            if (STRIDE == 4) {
                ret[4 * i + k] = w[k];
            } else {
                ret[8 * i + 2 * k] = w[k] & 0xffff;
                ret[8 * i + 2 * k + 1] = w[k] >> 16;
            }
        }
    }
}

template <int STRIDE> __device__ __forceinline__ void store(uint8_t *at, const uint32_t words[EACH])
{
    uint4 *to = (uint4 *)(void *)at;
#pragma unroll
    for (int i = 0; i < STRIDE; i++) {
        uint32_t w[4];
#pragma unroll
        for (int k = 0; k < 4; k++)
            w[k] = STRIDE == 4 ? words[4 * i + k]
                               : (words[8 * i + 2 * k] & 0xffff) | words[8 * i + 2 * k + 1] << 16;
        to[i] = make_uint4(w[0], w[1], w[2], w[3]);
    }
}

/* Byte p of four words as one word. */
__device__ __forceinline__ uint32_t gather(uint32_t a, uint32_t b, uint32_t c, uint32_t d, int p)
{
    uint32_t pick = (uint32_t)p | (uint32_t)(p + 4) << 4;
    return __byte_perm(__byte_perm(a, b, pick), __byte_perm(c, d, pick), 0x5410);
}

template <int STRIDE> __device__ uint32_t load_one(const uint8_t *at)
{
    uint32_t w = 0;
    for (int p = 0; p < STRIDE; p++)
        w |= (uint32_t)at[p] << (8 * p);
    return w;
}

template <int STRIDE, int WHAT>
__global__ void __launch_bounds__(THREADS)
    split(const uint8_t *data, const uint8_t *base, uint8_t *refresh, size_t elements,
          uint8_t *planes, size_t pitch)
{
    size_t first = ((size_t)blockIdx.x * THREADS + threadIdx.x) * EACH;
    EBB_USUAL(first + EACH <= elements && first < first + EACH && refresh == NULL);
    if (first >= elements)
        return;
    if (first + EACH <= elements) {
        uint32_t words[EACH], old[EACH] = {0};
        load<STRIDE>(data + first * STRIDE, words);
        if (WHAT >= XOR)
            load<STRIDE>(base + first * STRIDE, old);
        if (WHAT >= XOR && refresh != NULL)
            store<STRIDE>(refresh + first * STRIDE, words);
#pragma unroll
        for (int i = 0; i < EACH; i++)
            words[i] = turn<STRIDE, WHAT>(words[i], old[i]);
#pragma unroll
        for (int p = 0; p < STRIDE; p++) {
            uint32_t w[4];
#pragma unroll
            for (int k = 0; k < 4; k++)
                w[k] =
                    gather(words[4 * k], words[4 * k + 1], words[4 * k + 2], words[4 * k + 3], p);
            *(uint4 *)(void *)(planes + (size_t)p * pitch + first) =
                make_uint4(w[0], w[1], w[2], w[3]);
        }
        return;
    }
    for (size_t i = first; i < elements; i++) {
        uint32_t own = load_one<STRIDE>(data + i * STRIDE);
        uint32_t w = turn<STRIDE, WHAT>(own, WHAT >= XOR ? load_one<STRIDE>(base + i * STRIDE) : 0);
        for (int p = 0; p < STRIDE; p++) {
            planes[(size_t)p * pitch + i] = (uint8_t)(w >> (8 * p));
            if (WHAT >= XOR && refresh != NULL)
                refresh[i * STRIDE + (size_t)p] = (uint8_t)(own >> (8 * p));
        }
    }
}

template <int STRIDE, int WHAT>
__global__ void __launch_bounds__(THREADS)
    merge(const uint8_t *planes, size_t pitch, const uint8_t *base, size_t elements, uint8_t *data)
{
    size_t first = ((size_t)blockIdx.x * THREADS + threadIdx.x) * EACH;
    EBB_USUAL(first + EACH <= elements && first < first + EACH);
    if (first >= elements)
        return;
    if (first + EACH <= elements) {
        uint32_t words[EACH] = {0}, old[EACH] = {0};
        if (WHAT >= XOR)
            load<STRIDE>(base + first * STRIDE, old);
#pragma unroll
        for (int p = 0; p < STRIDE; p++) {
            uint4 v = *(const uint4 *)(const void *)(planes + (size_t)p * pitch + first);
            uint32_t w[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
            for (int i = 0; i < EACH; i++)
                words[i] |= (w[i / 4] >> (8 * (i % 4)) & 255) << (8 * p);
        }
#pragma unroll
        for (int i = 0; i < EACH; i++)
            words[i] = turn_back<STRIDE, WHAT>(words[i], old[i]);
        store<STRIDE>(data + first * STRIDE, words);
        return;
    }
    for (size_t i = first; i < elements; i++) {
        uint32_t w = 0;
        for (int p = 0; p < STRIDE; p++)
            w |= (uint32_t)planes[(size_t)p * pitch + i] << (8 * p);
        w = turn_back<STRIDE, WHAT>(w, WHAT >= XOR ? load_one<STRIDE>(base + i * STRIDE) : 0);
        for (int p = 0; p < STRIDE; p++)
            data[i * STRIDE + (size_t)p] = (uint8_t)(w >> (8 * p));
    }
}

template <int STRIDE, int WHAT>
int launch_split(const void *data, const void *base, void *refresh, size_t elements, void *planes,
                 size_t pitch, void *stream)
{
    EBB_LAUNCH((split<STRIDE, WHAT>), ebb_grid(elements, THREADS * EACH), THREADS, stream,
               (const uint8_t *)data, (const uint8_t *)base, (uint8_t *)refresh, elements,
               (uint8_t *)planes, pitch);
    return ebb_launched();
}

template <int STRIDE, int WHAT>
int launch_merge(const void *planes, size_t pitch, const void *base, size_t elements, void *data,
                 void *stream)
{
    EBB_LAUNCH((merge<STRIDE, WHAT>), ebb_grid(elements, THREADS * EACH), THREADS, stream,
               (const uint8_t *)planes, pitch, (const uint8_t *)base, elements, (uint8_t *)data);
    return ebb_launched();
}

} // namespace

int ebb_kernels_planes_split(const void *data, size_t elements, unsigned stride, int turn,
                             void *planes, size_t pitch, void *stream)
{
    if (!ebb_arguments_planes(data, elements, stride, planes, pitch))
        return EBB_KERNELS_MISUSE;
    if (elements == 0)
        return 0;
    switch (turn) {
    case EBB_KERNELS_TURN_NONE:
        return stride == 2
                   ? launch_split<2, PLAIN>(data, NULL, NULL, elements, planes, pitch, stream)
                   : launch_split<4, PLAIN>(data, NULL, NULL, elements, planes, pitch, stream);
    case EBB_KERNELS_TURN_ROTATE:
        return stride == 2
                   ? launch_split<2, ROTATE>(data, NULL, NULL, elements, planes, pitch, stream)
                   : launch_split<4, ROTATE>(data, NULL, NULL, elements, planes, pitch, stream);
    case EBB_KERNELS_TURN_ZIGZAG:
        return stride == 2
                   ? launch_split<2, ZIGZAG>(data, NULL, NULL, elements, planes, pitch, stream)
                   : launch_split<4, ZIGZAG>(data, NULL, NULL, elements, planes, pitch, stream);
    default:
        return EBB_KERNELS_MISUSE;
    }
}

int ebb_kernels_planes_merge(const void *planes, size_t pitch, size_t elements, unsigned stride,
                             int turn, void *data, void *stream)
{
    if (!ebb_arguments_planes(data, elements, stride, planes, pitch))
        return EBB_KERNELS_MISUSE;
    if (elements == 0)
        return 0;
    switch (turn) {
    case EBB_KERNELS_TURN_NONE:
        return stride == 2 ? launch_merge<2, PLAIN>(planes, pitch, NULL, elements, data, stream)
                           : launch_merge<4, PLAIN>(planes, pitch, NULL, elements, data, stream);
    case EBB_KERNELS_TURN_ROTATE:
        return stride == 2 ? launch_merge<2, ROTATE>(planes, pitch, NULL, elements, data, stream)
                           : launch_merge<4, ROTATE>(planes, pitch, NULL, elements, data, stream);
    case EBB_KERNELS_TURN_ZIGZAG:
        return stride == 2 ? launch_merge<2, ZIGZAG>(planes, pitch, NULL, elements, data, stream)
                           : launch_merge<4, ZIGZAG>(planes, pitch, NULL, elements, data, stream);
    default:
        return EBB_KERNELS_MISUSE;
    }
}

int ebb_kernels_delta_split(const void *data, const void *base, void *refresh, size_t elements,
                            unsigned stride, int delta, void *planes, size_t pitch, void *stream)
{
    if (!ebb_arguments_delta(data, base, refresh, elements, stride, planes, pitch))
        return EBB_KERNELS_MISUSE;
    if (elements == 0)
        return 0;
    if (delta == EBB_KERNELS_DELTA_XOR)
        return stride == 2
                   ? launch_split<2, XOR>(data, base, refresh, elements, planes, pitch, stream)
                   : launch_split<4, XOR>(data, base, refresh, elements, planes, pitch, stream);
    if (delta == EBB_KERNELS_DELTA_DIFFERENCE)
        return stride == 2 ? launch_split<2, DIFFERENCE>(data, base, refresh, elements, planes,
                                                         pitch, stream)
                           : launch_split<4, DIFFERENCE>(data, base, refresh, elements, planes,
                                                         pitch, stream);
    return EBB_KERNELS_MISUSE;
}

int ebb_kernels_delta_merge(const void *planes, size_t pitch, const void *base, size_t elements,
                            unsigned stride, int delta, void *data, void *stream)
{
    if (!ebb_arguments_delta(data, base, NULL, elements, stride, planes, pitch))
        return EBB_KERNELS_MISUSE;
    if (elements == 0)
        return 0;
    if (delta == EBB_KERNELS_DELTA_XOR)
        return stride == 2 ? launch_merge<2, XOR>(planes, pitch, base, elements, data, stream)
                           : launch_merge<4, XOR>(planes, pitch, base, elements, data, stream);
    if (delta == EBB_KERNELS_DELTA_DIFFERENCE)
        return stride == 2
                   ? launch_merge<2, DIFFERENCE>(planes, pitch, base, elements, data, stream)
                   : launch_merge<4, DIFFERENCE>(planes, pitch, base, elements, data, stream);
    return EBB_KERNELS_MISUSE;
}

int ebb_kernels_snapshot(void *to, const void *from, size_t len, void *stream)
{
    if (len > 0 && (to == NULL || from == NULL))
        return EBB_KERNELS_MISUSE;
    if (len == 0)
        return 0;
    cudaError_t rc = cudaMemcpyAsync(to, from, len, cudaMemcpyDeviceToDevice, (cudaStream_t)stream);
    return rc == cudaSuccess ? 0 : -(int)rc;
}

int ebb_kernels_snapshot_rows(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t row_bytes, size_t rows, void *stream)
{
    if (!ebb_arguments_rows(to, to_pitch, from, from_pitch, row_bytes, rows))
        return EBB_KERNELS_MISUSE;
    if (row_bytes == 0 || rows == 0)
        return 0;
    cudaError_t rc = cudaMemcpy2DAsync(to, to_pitch, from, from_pitch, row_bytes, rows,
                                       cudaMemcpyDeviceToDevice, (cudaStream_t)stream);
    return rc == cudaSuccess ? 0 : -(int)rc;
}
