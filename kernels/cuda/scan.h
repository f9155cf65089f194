/* Exclusive sums over many counts: where there are few of them by one thread block, otherwise in
 * three launches: sums of chunks, sums before each chunk, then before each count.
 *
 *     counts    | chunk 0: 4,096 | chunk 1 | ...        a thread block each, 16 counts a thread
 *     chunks[]  | sum before 0   | before 1 | ...       one thread block */
#ifndef EBB_KERNELS_CUDA_SCAN_H
#define EBB_KERNELS_CUDA_SCAN_H

#include "kernels/cuda/launch.h"

namespace ebb_scan
{
enum { THREADS = 256, EACH = 16, CHUNK = THREADS * EACH, FEW = 8 * CHUNK };

/* Sums of what the threads before this one give; *ret_all: of the whole block. Every thread calls.
 */
static __device__ inline unsigned long long before(unsigned long long own,
                                                   unsigned long long *ret_all)
{
    __shared__ unsigned long long warps[THREADS / 32];
    unsigned long long sum = own;
    uint32_t lane = threadIdx.x % 32;
    for (uint32_t by = 1; by < 32; by *= 2) {
        unsigned long long more =
            __shfl_sync(0xffffffffu, sum, (int)(lane < by ? lane : lane - by));
        sum += lane >= by ? more : 0;
    }
    __syncthreads(); /* the last use of `warps` is over */
    if (lane == 31)
        warps[threadIdx.x / 32] = sum;
    __syncthreads();
    unsigned long long all = 0, earlier = 0;
    for (uint32_t w = 0; w < THREADS / 32; w++) {
        earlier += w < threadIdx.x / 32 ? warps[w] : 0;
        all += warps[w];
    }
    *ret_all = all;
    return earlier + sum - own;
}

template <class COUNT>
__global__ void __launch_bounds__(THREADS)
    sum_chunks(const COUNT *counts, size_t count, uint64_t *chunks)
{
    size_t first = (size_t)blockIdx.x * CHUNK + threadIdx.x * EACH;
    unsigned long long own = 0, all;
    for (size_t i = first; i < first + EACH && i < count; i++)
        own += counts[i];
    before(own, &all);
    if (threadIdx.x == 0)
        chunks[blockIdx.x] = all;
}

static __global__ void __launch_bounds__(THREADS)
    place_chunks(uint64_t *chunks, size_t count, uint64_t *ret_total)
{
    unsigned long long total = 0;
    for (size_t from = 0; from < count; from += THREADS) {
        size_t i = from + threadIdx.x;
        unsigned long long all, place = before(i < count ? chunks[i] : 0, &all);
        if (i < count)
            chunks[i] = total + place;
        total += all;
    }
    if (threadIdx.x == 0)
        *ret_total = total;
}

template <class COUNT>
__global__ void __launch_bounds__(THREADS)
    place_counts(const COUNT *counts, size_t count, const uint64_t *chunks, uint64_t *offsets)
{
    size_t first = (size_t)blockIdx.x * CHUNK + threadIdx.x * EACH;
    unsigned long long own = 0, all;
    for (size_t i = first; i < first + EACH && i < count; i++)
        own += counts[i];
    unsigned long long at = chunks[blockIdx.x] + before(own, &all);
    for (size_t i = first; i < first + EACH && i < count; i++) {
        offsets[i] = at;
        at += counts[i];
    }
}

/* All of it by one thread block. */
template <class COUNT>
__global__ void __launch_bounds__(THREADS)
    place_few(const COUNT *counts, size_t count, uint64_t *ret_total, uint64_t *offsets)
{
    unsigned long long total = 0;
    for (size_t from = 0; from < count; from += CHUNK) {
        size_t first = from + threadIdx.x * EACH;
        unsigned long long own = 0, all;
        for (size_t i = first; i < first + EACH && i < count; i++)
            own += counts[i];
        unsigned long long at = total + before(own, &all);
        for (size_t i = first; i < first + EACH && i < count; i++) {
            offsets[i] = at;
            at += counts[i];
        }
        total += all;
    }
    if (threadIdx.x == 0)
        *ret_total = total;
}

/* Words of 8 bytes that the scan of `count` counts takes: offsets, chunks, total. */
static inline size_t words(size_t count)
{
    return count + (count + CHUNK - 1) / CHUNK + 1;
}

/* space[words(count)]: offsets first; the total is the last word. */
template <class COUNT>
static inline uint64_t *queue(const COUNT *counts, size_t count, uint64_t *space, void *stream)
{
    size_t chunk_count = (count + CHUNK - 1) / CHUNK;
    uint64_t *chunks = space + count, *total = chunks + chunk_count;
    if (count <= FEW) {
        EBB_LAUNCH((place_few<COUNT>), 1, THREADS, stream, counts, count, total, space);
        return total;
    }
    EBB_LAUNCH((sum_chunks<COUNT>), (unsigned)chunk_count, THREADS, stream, counts, count, chunks);
    EBB_LAUNCH(place_chunks, 1, THREADS, stream, chunks, chunk_count, total);
    EBB_LAUNCH((place_counts<COUNT>), (unsigned)chunk_count, THREADS, stream, counts, count, chunks,
               space);
    return total;
}
} // namespace ebb_scan

#endif
