/* The device kernels against the rate of a plain copy on the same device, in one run.
 *
 *     bench_device [GiB]      float32 weights in device memory, 1 GiB unless told
 *
 * A share is input bytes over the copy's bytes, both ways counted (what a copy reads and writes).
 * Each figure is the median of 9 launches between events, after 2 that are not counted. */
#include <algorithm>
#include <cuda_runtime.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <vector>

#include "kernels/ebb_kernels.h"

static void must(cudaError_t rc)
{
    if (rc != cudaSuccess) {
        fprintf(stderr, "bench_device: %s\n", cudaGetErrorString(rc));
        exit(1);
    }
}

static void *device(size_t len)
{
    void *p = NULL;
    must(cudaMalloc(&p, len));
    return p;
}

/* Weights of about a normal spread: sums of uniform numbers. */
__global__ static void fill(float *out, size_t n, uint32_t seed)
{
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n;
         i += (size_t)gridDim.x * blockDim.x) {
        uint64_t s = (i + 1) * 0x9e3779b97f4a7c15ull + seed;
        float sum = 0;
        for (int k = 0; k < 8; k++) {
            s ^= s >> 30;
            s *= 0xbf58476d1ce4e5b9ull;
            s ^= s >> 27;
            sum += (float)(s & 0xffffff) / 16777216.0f - 0.5f;
        }
        out[i] = sum * 0.02f;
    }
}

template <class F> static double median_s(F queue)
{
    cudaEvent_t begin, end;
    std::vector<float> ms;
    must(cudaEventCreate(&begin));
    must(cudaEventCreate(&end));
    for (int i = 0; i < 11; i++) {
        must(cudaEventRecord(begin, 0));
        int rc = queue();
        if (rc != 0) {
            fprintf(stderr, "bench_device: %s\n", ebb_kernels_error(rc));
            exit(1);
        }
        must(cudaEventRecord(end, 0));
        must(cudaEventSynchronize(end));
        float took = 0;
        must(cudaEventElapsedTime(&took, begin, end));
        if (i >= 2)
            ms.push_back(took);
    }
    std::sort(ms.begin(), ms.end());
    return ms[ms.size() / 2] * 1e-3;
}

int main(int argc, char **argv)
{
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) {
        printf("bench_device: no GPU here; bench/device_counts.sh tells what the compiler made\n");
        return 0;
    }
    size_t bytes = (size_t)((argc > 1 ? atof(argv[1]) : 1.0) * (1u << 30)) / 4096 * 4096;
    size_t n = bytes / 4, pitch = n;
    cudaDeviceProp properties;
    must(cudaGetDeviceProperties(&properties, 0));
    float *data = (float *)device(bytes), *base = (float *)device(bytes);
    size_t bound = ebb_kernels_huffman_bound(bytes),
           workspace_bytes = ebb_kernels_huffman_workspace(bytes);
    uint8_t *out = (uint8_t *)device(std::max(bound, ebb_kernels_exponents_bound(n, 4, 4)));
    uint8_t *workspace = (uint8_t *)device(workspace_bytes);
    uint64_t *size = (uint64_t *)device(8), told = 0;
    fill<<<1024, 256>>>(data, n, 1);
    fill<<<1024, 256>>>(base, n, 1);
    must(cudaDeviceSynchronize());

    double copy_s = median_s([&] { return ebb_kernels_snapshot(out, data, bytes, NULL); });
    double rate = 2.0 * (double)bytes / copy_s;
    printf("%s, %.2f GiB of float32; copy in device memory %.0f GB/s both ways\n", properties.name,
           (double)bytes / (1u << 30), rate * 1e-9);
    printf("%-34s %10s %8s\n", "kernel", "GB/s in", "share");
    auto row = [&](const char *name, double input_bytes, double s) {
        printf("%-34s %10.0f %7.1f%%\n", name, input_bytes / s * 1e-9,
               input_bytes / s / rate * 100);
    };
    row("snapshot", (double)bytes, copy_s);
    row("planes split, f32", (double)bytes, median_s([&] {
            return ebb_kernels_planes_split(data, n, 4, EBB_KERNELS_TURN_ROTATE, out, pitch, NULL);
        }));
    row("planes merge, f32", (double)bytes, median_s([&] {
            return ebb_kernels_planes_merge(out, pitch, n, 4, EBB_KERNELS_TURN_ROTATE, base, NULL);
        }));
    row("planes split, 2 bytes", (double)bytes, median_s([&] {
            return ebb_kernels_planes_split(data, 2 * n, 2, EBB_KERNELS_TURN_ROTATE, out, 2 * n,
                                            NULL);
        }));
    row("difference with planes, f32", (double)bytes, median_s([&] {
            return ebb_kernels_delta_split(data, base, NULL, n, 4, EBB_KERNELS_DELTA_DIFFERENCE,
                                           out, pitch, NULL);
        }));
    row("difference, base refreshed", (double)bytes, median_s([&] {
            return ebb_kernels_delta_split(data, base, base, n, 4, EBB_KERNELS_DELTA_DIFFERENCE,
                                           out, pitch, NULL);
        }));
    row("exponents packed, f32, 4 bits", (double)bytes, median_s([&] {
            return ebb_kernels_exponents_pack(data, n, 4, 4, out, size, workspace, workspace_bytes,
                                              NULL);
        }));
    row("exponents packed, 2 bytes, 4 bits", (double)bytes / 2, median_s([&] {
            return ebb_kernels_exponents_pack(data, n, 2, 4, out, size, workspace, workspace_bytes,
                                              NULL);
        }));
    must(ebb_kernels_planes_split(data, n, 4, EBB_KERNELS_TURN_ROTATE, base, pitch, NULL) == 0
             ? cudaSuccess
             : cudaErrorUnknown);
    const uint8_t *exponents = (const uint8_t *)(void *)base + 3 * pitch;
    row("Huffman frames, exponents", (double)n, median_s([&] {
            return ebb_kernels_huffman_encode(exponents, n, out, size, workspace, workspace_bytes,
                                              NULL);
        }));
    must(cudaMemcpy(&told, size, 8, cudaMemcpyDeviceToHost));
    printf("%-34s %10.3f\n", "  ... ratio", (double)n / (double)told);
    row("block hash, 64 KiB", (double)bytes,
        median_s([&] { return ebb_kernels_block_hash(data, bytes, 65536, out, NULL); }));

    /* The whole save: planes, the exponents as frames, all of it to pinned host memory, against a
     * plain copy of the floats. */
    void *host = NULL;
    must(cudaMallocHost(&host, bytes));
    double plain_s = median_s(
        [&] { return -(int)cudaMemcpyAsync(host, data, bytes, cudaMemcpyDeviceToHost, 0); });
    double save_s = median_s([&] {
        int rc = ebb_kernels_planes_split(data, n, 4, EBB_KERNELS_TURN_ROTATE, base, pitch, NULL);
        rc = rc != 0 ? rc
                     : ebb_kernels_huffman_encode(exponents, n, out, size, workspace,
                                                  workspace_bytes, NULL);
        must(cudaMemcpyAsync(&told, size, 8, cudaMemcpyDeviceToHost, 0));
        must(cudaStreamSynchronize(0));
        must(cudaMemcpyAsync(host, base, 3 * pitch, cudaMemcpyDeviceToHost, 0));
        must(cudaMemcpyAsync((uint8_t *)host + 3 * pitch, out, told, cudaMemcpyDeviceToHost, 0));
        return rc;
    });
    printf("save to host memory: plain copy %.1f ms, planes and frames %.1f ms: %.2f of it\n",
           plain_s * 1e3, save_s * 1e3, save_s / plain_s);
    return 0;
}
