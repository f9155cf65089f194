/* The CUDA that the kernels use, on the CPU: a coroutine for each thread of a block, blocks one
 * after another. The kernels' own source is compiled against this, so that what they compute is
 * tested where there is no GPU (what the real compiler makes of it is tested where there is one).
 *
 * A thread runs until it meets a barrier or asks its warp; then the next one runs. A barrier that
 * not every thread of the block (or warp) reaches ends the program. Shared memory is one static
 * object for each declaration: one block runs at a time. */
#ifndef EBB_TESTS_CUDA_RUNTIME_H
#define EBB_TESTS_CUDA_RUNTIME_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EBB_CUDA_ON_CPU 1
#define __global__
#define __device__
#define __host__
#define __shared__      static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c)
    {
    }
};
struct uint2 {
    uint32_t x, y;
};
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};
struct alignas(16) ulonglong2 {
    unsigned long long x, y;
};
static inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w)
{
    return uint4{x, y, z, w};
}

typedef int cudaError_t;
typedef struct CUstream_st *cudaStream_t;
enum { cudaSuccess = 0, cudaErrorInvalidValue = 1 };
enum cudaMemcpyKind { cudaMemcpyDeviceToDevice = 3 };
static inline cudaError_t cudaGetLastError()
{
    return cudaSuccess;
}
static inline const char *cudaGetErrorString(cudaError_t)
{
    return "on the CPU";
}
static inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t len, cudaMemcpyKind,
                                          cudaStream_t)
{
    memcpy(to, from, len);
    return cudaSuccess;
}
static inline cudaError_t cudaMemsetAsync(void *to, int value, size_t len, cudaStream_t)
{
    memset(to, value, len);
    return cudaSuccess;
}

/* device.cpp */
extern dim3 threadIdx, blockIdx, blockDim, gridDim;
extern "C" void ebb_device_sync_block(void);
extern "C" void ebb_device_sync_warp(void);
extern "C" uint64_t ebb_device_exchange(uint64_t value, unsigned from_lane);
extern "C" void ebb_device_run(void (*thread)(void *), void *arg, dim3 grid, dim3 block);

#define __syncthreads() ebb_device_sync_block()
#define __syncwarp()    ebb_device_sync_warp()
#define __threadfence() ((void)0)
static inline unsigned ebb_device_lane()
{
    return threadIdx.x & 31;
}
static inline uint32_t __shfl_sync(unsigned, uint32_t v, int lane)
{
    return (uint32_t)ebb_device_exchange(v, (unsigned)lane & 31);
}
static inline uint32_t __shfl_up_sync(unsigned, uint32_t v, unsigned by)
{
    unsigned lane = ebb_device_lane();
    return (uint32_t)ebb_device_exchange(v, lane < by ? lane : lane - by);
}
static inline uint32_t __shfl_xor_sync(unsigned, uint32_t v, int with)
{
    return (uint32_t)ebb_device_exchange(v, ebb_device_lane() ^ (unsigned)with);
}
static inline unsigned long long __shfl_xor_sync(unsigned, unsigned long long v, int with)
{
    return ebb_device_exchange(v, ebb_device_lane() ^ (unsigned)with);
}
static inline unsigned long long __shfl_sync(unsigned, unsigned long long v, int lane)
{
    return ebb_device_exchange(v, (unsigned)lane & 31);
}
static inline uint32_t __ballot_sync(unsigned, int predicate)
{
    uint32_t all = 0;
    for (unsigned lane = 0; lane < 32; lane++)
        all |= (uint32_t)(ebb_device_exchange((uint64_t)(predicate != 0), lane) << lane);
    return all;
}
static inline int __popc(uint32_t v)
{
    return __builtin_popcount(v);
}
static inline int __clz(int v)
{
    return v == 0 ? 32 : __builtin_clz((unsigned)v);
}
static inline uint32_t __byte_perm(uint32_t a, uint32_t b, uint32_t selector)
{
    uint64_t both = (uint64_t)b << 32 | a;
    uint32_t out = 0;
    for (unsigned i = 0; i < 4; i++)
        out |= (uint32_t)(both >> (8 * (selector >> (4 * i) & 7)) & 255) << (8 * i);
    return out;
}
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
template <class T> static inline T atomicAdd(T *to, T value)
{
    T was = *to;
    *to = was + value;
    return was;
}
template <class T> static inline T atomicOr(T *to, T value)
{
    T was = *to;
    *to = was | value;
    return was;
}
template <class T> static inline T atomicMax(T *to, T value)
{
    T was = *to;
    *to = was < value ? value : was;
    return was;
}
static inline float __uint_as_float(uint32_t v)
{
    float f;
    memcpy(&f, &v, 4);
    return f;
}
static inline uint32_t __float_as_uint(float f)
{
    uint32_t v;
    memcpy(&v, &f, 4);
    return v;
}

template <class F> static void ebb_device_thread(void *arg)
{
    (*(F *)arg)();
}
template <class F> static inline void ebb_device_launch(dim3 grid, dim3 block, F thread)
{
    ebb_device_run(ebb_device_thread<F>, &thread, grid, block);
}
#define EBB_LAUNCH(kernel, grid, block, stream, ...)                                               \
    do {                                                                                           \
        (void)(stream);                                                                            \
        ebb_device_launch(grid, block, [=]() { kernel(__VA_ARGS__); });                            \
    } while (0)

#endif
