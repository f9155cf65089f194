#include "faults.h"

#include "cuda_runtime.h"

extern uint32_t ebb_fault_host[1];
/* Not zero: apart from what stands for shared memory. */
uint32_t ebb_fault_host[1] = {5};

namespace
{
enum { THREADS = 64, WORDS = 1024 };

__global__ void neighbour(uint32_t *out, bool barrier, bool warp_only, bool back)
{
    __shared__ uint32_t words[THREADS];
    const uint32_t i = threadIdx.x;
    words[i] = i;
    if (barrier && warp_only)
        __syncwarp();
    else if (barrier)
        __syncthreads();
    else if (warp_only)
        (void)__shfl_xor_sync(0xffffffffu, i, 1);
    const uint32_t got = words[i ^ 1];
    if (back) /* the neighbour may not have read it yet */
        words[i] = 0;
    out[blockIdx.x * THREADS + i] = got;
}

__global__ void same_word(uint32_t *out, bool atomics, bool plain)
{
    if (atomics)
        atomicAdd(&out[0], 1u);
    if (plain && threadIdx.x == 0)
        out[0] = 1;
}

__global__ void left_over(uint32_t *out)
{
    __shared__ uint32_t word;
    if (blockIdx.x == out[1] && threadIdx.x == 0)
        word = 1;
    __syncthreads();
    out[WORDS / 2 + blockIdx.x * THREADS + threadIdx.x] = word;
}

__global__ void beyond(uint32_t *out, size_t at)
{
    if (threadIdx.x == 0)
        out[at] = 1;
}

__global__ void half_barrier()
{
    if (threadIdx.x < 32)
        __syncthreads();
}

__global__ void half_warp()
{
    if (threadIdx.x % 32 < 16)
        (void)__shfl_xor_sync(0xffffu, threadIdx.x, 1);
}

__global__ void different()
{
    if (threadIdx.x % 2 == 0)
        (void)__shfl_sync(0xffffffffu, threadIdx.x, 0);
    else
        (void)__reduce_add_sync(0xffffffffu, threadIdx.x);
}

__global__ void vector(uint32_t *out)
{
    if (threadIdx.x == 0)
        *(uint4 *)(void *)(out + 1) = make_uint4(1, 2, 3, 4);
}
} // namespace

void run_fault(enum fault fault, unsigned *out)
{
    switch (fault) {
    case FAULT_NONE:
        EBB_LAUNCH(neighbour, 3, THREADS, NULL, out, true, false, false);
        EBB_LAUNCH(neighbour, 3, THREADS, NULL, out, true, true, false);
        EBB_LAUNCH(same_word, 3, THREADS, NULL, out, true, false);
        EBB_LAUNCH(same_word, 1, THREADS, NULL, out, false, true);
        EBB_LAUNCH(beyond, 1, THREADS, NULL, out, WORDS - 1);
        break;
    case FAULT_NO_BLOCK_BARRIER:
        EBB_LAUNCH(neighbour, 1, THREADS, NULL, out, false, false, false);
        break;
    case FAULT_NO_WARP_BARRIER:
        EBB_LAUNCH(neighbour, 1, THREADS, NULL, out, false, true, false);
        break;
    case FAULT_READ_THEN_WRITTEN:
        EBB_LAUNCH(neighbour, 1, THREADS, NULL, out, true, false, true);
        break;
    case FAULT_TWO_BLOCKS:
        EBB_LAUNCH(same_word, 2, THREADS, NULL, out, false, true);
        break;
    case FAULT_ATOMIC_AND_PLAIN:
        EBB_LAUNCH(same_word, 1, THREADS, NULL, out, true, true);
        break;
    case FAULT_UNWRITTEN_SHARED:
        out[1] = 0;
        EBB_LAUNCH(left_over, 2, THREADS, NULL, out);
        break;
    case FAULT_BEYOND_THE_END:
        EBB_LAUNCH(beyond, 1, THREADS, NULL, out, WORDS);
        break;
    case FAULT_NO_ARRAY:
        EBB_LAUNCH(beyond, 1, THREADS, NULL, ebb_fault_host, 0);
        break;
    case FAULT_HALF_A_BARRIER:
        EBB_LAUNCH(half_barrier, 1, THREADS, NULL);
        break;
    case FAULT_HALF_A_WARP:
        EBB_LAUNCH(half_warp, 1, THREADS, NULL);
        break;
    case FAULT_DIFFERENT_MEETINGS:
        EBB_LAUNCH(different, 1, THREADS, NULL);
        break;
    default:
        EBB_LAUNCH(vector, 1, THREADS, NULL, out);
    }
}
