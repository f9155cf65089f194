/* What the kernels' files share. */
#ifndef EBB_KERNELS_CUDA_LAUNCH_H
#define EBB_KERNELS_CUDA_LAUNCH_H

#include <cuda_runtime.h>
#include <stddef.h>
#include <stdint.h>

#ifndef EBB_LAUNCH
#define EBB_LAUNCH(kernel, grid, block, stream, ...)                                               \
    kernel<<<grid, block, 0, (cudaStream_t)(stream)>>>(__VA_ARGS__)
#endif

/* What is nearly always so. Told to the compiler for bench/device_counts.py --usual alone: what is
 * left of the machine code then are the instructions that nearly every warp runs. */
#ifdef EBB_COUNT_USUAL
#define EBB_USUAL(condition) __builtin_assume(condition)
#else
#define EBB_USUAL(condition) ((void)0)
#endif

/* 0, or what the launch met. */
static inline int ebb_launched(void)
{
    cudaError_t rc = cudaGetLastError();
    return rc == cudaSuccess ? 0 : -(int)rc;
}

static inline unsigned ebb_grid(size_t units, unsigned per_block)
{
    return (unsigned)((units + per_block - 1) / per_block);
}

#endif
