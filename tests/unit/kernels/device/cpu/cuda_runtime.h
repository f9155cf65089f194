/* The CUDA that the kernels use, on the CPU: a coroutine for each thread of a block, blocks one
 * after another. The kernels' own source is compiled against this, so that what they compute is
 * tested where there is no GPU (what the real compiler makes of it is tested where there is one).
 *
 * A thread runs until it meets a barrier or asks its warp; then another one runs, in an order that
 * a seed shuffles (EBB_DEVICE_SEED; 0: as they are numbered). A barrier that not every thread of
 * the block (or warp) reaches ends the program, and so does a warp whose lanes meet in different
 * functions, or by a mask that is not all of them. Shared memory is one static object for each
 * declaration: one block runs at a time. Built with EBB_DEVICE_WATCHED, every access is watched:
 * watch.h. */
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

/* device.cpp */
extern dim3 threadIdx, blockIdx, blockDim, gridDim;
enum ebb_device_meeting {
    EBB_DEVICE_SYNCWARP,
    EBB_DEVICE_SHUFFLE,
    EBB_DEVICE_BALLOT,
    EBB_DEVICE_ADD,
    EBB_DEVICE_OR,
    EBB_DEVICE_MAX,
};
extern "C" void ebb_device_sync_block(void);
extern "C" int ebb_device_sync_block_or(int predicate);
extern "C" void ebb_device_sync_warp(unsigned mask);
/* Every lane brings a value; ret[32] are those of all. */
extern "C" const uint64_t *ebb_device_meet(enum ebb_device_meeting what, unsigned mask,
                                           uint64_t value);
extern "C" void ebb_device_run(const char *name, void (*thread)(void *), void *arg, dim3 grid,
                               dim3 block);
extern "C" uint32_t ebb_device_atomic(char what, uint32_t *to, uint32_t value); /* + | m x */
/* Vectors of 8 or 16 bytes move in one piece, as on a device. */
extern "C" void ebb_device_move(void *to, const void *from, unsigned bytes);

#define EBB_DEVICE_VECTOR(name)                                                                    \
    name() = default;                                                                              \
    name(const name &from)                                                                         \
    {                                                                                              \
        ebb_device_move(this, &from, sizeof *this);                                                \
    }                                                                                              \
    name &operator=(const name &from)                                                              \
    {                                                                                              \
        ebb_device_move(this, &from, sizeof *this);                                                \
        return *this;                                                                              \
    }
struct alignas(8) uint2 {
    uint32_t x, y;
    EBB_DEVICE_VECTOR(uint2)
};
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
    EBB_DEVICE_VECTOR(uint4)
    uint4(uint32_t a, uint32_t b, uint32_t c, uint32_t d) : x(a), y(b), z(c), w(d)
    {
    }
};
struct alignas(16) ulonglong2 {
    unsigned long long x, y;
    EBB_DEVICE_VECTOR(ulonglong2)
};
static inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w)
{
    return uint4(x, y, z, w);
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
static inline cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from,
                                            size_t from_pitch, size_t width, size_t height,
                                            cudaMemcpyKind, cudaStream_t)
{
    for (size_t i = 0; i < height; i++)
        memcpy((char *)to + i * to_pitch, (const char *)from + i * from_pitch, width);
    return cudaSuccess;
}
static inline cudaError_t cudaMemsetAsync(void *to, int value, size_t len, cudaStream_t)
{
    memset(to, value, len);
    return cudaSuccess;
}

#define __syncthreads()             ebb_device_sync_block()
#define __syncthreads_or(predicate) ebb_device_sync_block_or(predicate)
static inline void __syncwarp(unsigned mask = 0xffffffffu)
{
    ebb_device_sync_warp(mask);
}
static inline unsigned ebb_device_lane()
{
    return threadIdx.x & 31;
}
static inline uint64_t ebb_device_from(unsigned mask, uint64_t value, unsigned lane)
{
    return ebb_device_meet(EBB_DEVICE_SHUFFLE, mask, value)[lane & 31];
}
static inline uint32_t __shfl_sync(unsigned mask, uint32_t v, int lane)
{
    return (uint32_t)ebb_device_from(mask, v, (unsigned)lane);
}
static inline uint32_t __shfl_up_sync(unsigned mask, uint32_t v, unsigned by)
{
    unsigned lane = ebb_device_lane();
    return (uint32_t)ebb_device_from(mask, v, lane < by ? lane : lane - by);
}
static inline uint32_t __shfl_xor_sync(unsigned mask, uint32_t v, int with)
{
    return (uint32_t)ebb_device_from(mask, v, ebb_device_lane() ^ (unsigned)with);
}
static inline unsigned long long __shfl_xor_sync(unsigned mask, unsigned long long v, int with)
{
    return ebb_device_from(mask, v, ebb_device_lane() ^ (unsigned)with);
}
static inline unsigned long long __shfl_sync(unsigned mask, unsigned long long v, int lane)
{
    return ebb_device_from(mask, v, (unsigned)lane);
}
static inline uint32_t __ballot_sync(unsigned mask, int predicate)
{
    const uint64_t *of = ebb_device_meet(EBB_DEVICE_BALLOT, mask, predicate != 0);
    uint32_t all = 0;
    for (unsigned lane = 0; lane < 32; lane++)
        all |= (uint32_t)of[lane] << lane;
    return all;
}
static inline uint32_t __reduce_add_sync(unsigned mask, uint32_t v)
{
    const uint64_t *of = ebb_device_meet(EBB_DEVICE_ADD, mask, v);
    uint32_t all = 0;
    for (unsigned lane = 0; lane < 32; lane++)
        all += (uint32_t)of[lane];
    return all;
}
static inline uint32_t __reduce_or_sync(unsigned mask, uint32_t v)
{
    const uint64_t *of = ebb_device_meet(EBB_DEVICE_OR, mask, v);
    uint32_t all = 0;
    for (unsigned lane = 0; lane < 32; lane++)
        all |= (uint32_t)of[lane];
    return all;
}
static inline uint32_t __reduce_max_sync(unsigned mask, uint32_t v)
{
    const uint64_t *of = ebb_device_meet(EBB_DEVICE_MAX, mask, v);
    uint32_t all = 0;
    for (unsigned lane = 0; lane < 32; lane++)
        all = of[lane] > all ? (uint32_t)of[lane] : all;
    return all;
}
static inline uint32_t min(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}
static inline uint32_t max(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}
static inline uint32_t __funnelshift_l(uint32_t low, uint32_t high, uint32_t by)
{
    return by % 32 == 0 ? high : high << by % 32 | low >> (32 - by % 32);
}
static inline int __popc(uint32_t v)
{
    return __builtin_popcount(v);
}
static inline int __clz(int v)
{
    return v == 0 ? 32 : __builtin_clz((unsigned)v);
}
static inline int __ffs(int v)
{
    return __builtin_ffs(v);
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
static inline uint32_t atomicAdd(uint32_t *to, uint32_t value)
{
    return ebb_device_atomic('+', to, value);
}
static inline uint32_t atomicOr(uint32_t *to, uint32_t value)
{
    return ebb_device_atomic('|', to, value);
}
static inline uint32_t atomicMax(uint32_t *to, uint32_t value)
{
    return ebb_device_atomic('m', to, value);
}
static inline uint32_t atomicExch(uint32_t *to, uint32_t value)
{
    return ebb_device_atomic('x', to, value);
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
template <class F>
static inline void ebb_device_launch(const char *name, dim3 grid, dim3 block, F thread)
{
    ebb_device_run(name, ebb_device_thread<F>, &thread, grid, block);
}
#define EBB_LAUNCH(kernel, grid, block, stream, ...)                                               \
    do {                                                                                           \
        (void)(stream);                                                                            \
        ebb_device_launch(#kernel, grid, block, [=]() { kernel(__VA_ARGS__); });                   \
    } while (0)

#endif
