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

/* Rigid three-site water that turns and drifts about as far between frames as it does in 1 ps. */
__global__ static void move(float *xyz, size_t waters, uint32_t frame)
{
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < waters;
         i += (size_t)gridDim.x * blockDim.x) {
        uint64_t s = (i + 1) * 0x9e3779b97f4a7c15ull;
        float r[8];
        for (int k = 0; k < 8; k++) {
            s ^= s >> 30;
            s *= 0xbf58476d1ce4e5b9ull;
            s ^= s >> 27;
            r[k] = (float)(s & 0xffffff) / 16777216.0f;
        }
        const float t = 1.5f * (float)frame;
        float at[3] = {(float)(i % 200) * 0.31f, (float)(i / 200 % 200) * 0.31f,
                       (float)(i / 40000) * 0.31f};
        for (int k = 0; k < 3; k++)
            at[k] += 0.12f * sinf((1.0f + r[k]) * t + 6.0f * r[3 + k]);
        const float angle = 6.28f * r[6] + 1.0f * sinf((1.0f + r[7]) * t), tilt = 3.1f * r[7];
        const float c = cosf(angle), d = sinf(angle), u = cosf(tilt), v = sinf(tilt);
        const float a[3] = {0.0816f * c, 0.0816f * d * u, 0.0816f * d * v};
        const float b[3] = {-0.0577f * d, 0.0577f * c * u, 0.0577f * c * v};
        for (int k = 0; k < 3; k++) {
            xyz[9 * i + k] = at[k];
            xyz[9 * i + 3 + k] = at[k] + a[k] + b[k];
            xyz[9 * i + 6 + k] = at[k] - a[k] + b[k];
        }
    }
}

/* Trajectory frames packed and unpacked: GB/s of floats, the time of packing alone. The state of
 * four frames is made on the device by packing from rest, so nothing is foretold from the mean. */
static void bench_trajectory(double rate)
{
    const size_t waters = 2u << 20;
    struct ebb_kernels_trajectory plan = {};
    plan.atoms = 3 * waters;
    plan.quantum = 0.001;
    plan.parts = 1;
    plan.part[0].sites = (uint32_t)waters;
    plan.part[0].atoms_each = 3;
    plan.part[0].a2 = plan.part[0].b2 = 1e6f * (0.0816f * 0.0816f + 0.0577f * 0.0577f);
    plan.part[0].ab = 1e6f * (0.0577f * 0.0577f - 0.0816f * 0.0816f);
    struct ebb_kernels_trajectory_frame frame = {};
    frame.weights[0].last = -5;
    frame.weights[0].sphere = 68;
    frame.weights[0].circle = 89;
    const size_t bytes = 36 * waters, state_bytes = ebb_kernels_trajectory_state(&plan),
                 bound = ebb_kernels_trajectory_bound(&plan),
                 workspace_bytes = ebb_kernels_trajectory_workspace(&plan);
    float *xyz = (float *)device(bytes), *back = (float *)device(bytes);
    uint8_t *state = (uint8_t *)device(state_bytes), *kept = (uint8_t *)device(state_bytes),
            *piece = (uint8_t *)device(bound), *workspace = (uint8_t *)device(workspace_bytes);
    std::vector<uint32_t> first(waters);
    for (size_t i = 0; i < waters; i++)
        first[i] = (uint32_t)(3 * i);
    must(cudaMemset(state, 0, state_bytes));
    must(cudaMemcpy(state, first.data(), 4 * waters, cudaMemcpyHostToDevice));
    auto pack = [&] {
        return ebb_kernels_trajectory_pack(&plan, &frame, xyz, state, piece, workspace,
                                           workspace_bytes, NULL);
    };
    for (frame.before = 1; frame.before < 5; frame.before++) {
        move<<<1024, 256>>>(xyz, waters, frame.before);
        must(pack() == 0 ? cudaSuccess : cudaErrorUnknown);
    }
    must(cudaMemcpy(kept, state, state_bytes, cudaMemcpyDeviceToDevice));
    move<<<1024, 256>>>(xyz, waters, frame.before);
    must(pack() == 0 ? cudaSuccess : cudaErrorUnknown);
    uint64_t told = 0;
    must(cudaMemcpy(&told, piece, 8, cudaMemcpyDeviceToHost));
    /* Timed from the same state each time: the copy that puts it back is taken off. */
    auto restore = [&] { return ebb_kernels_snapshot(state, kept, state_bytes, NULL); };
    const double restore_s = median_s(restore);
    const double unpack_s = median_s([&] {
        int rc = restore();
        return rc != 0 ? rc
                       : ebb_kernels_trajectory_unpack(&plan, &frame, piece, (size_t)told, state,
                                                       back, workspace, workspace_bytes, NULL);
    });
    const double pack_s = median_s([&] {
        int rc = restore();
        return rc != 0 ? rc : pack();
    });
    auto row = [&](const char *name, double s) {
        printf("%-34s %10.0f %7.1f%%\n", name, (double)bytes / s * 1e-9,
               (double)bytes / s / rate * 100);
    };
    row("trajectory packed, 6.3 M atoms", pack_s - restore_s);
    row("trajectory unpacked", unpack_s - restore_s);
    printf("%-34s %10.3f\n", "  ... ratio", (double)bytes / (double)told);
    for (void *p :
         {(void *)xyz, (void *)back, (void *)state, (void *)kept, (void *)piece, (void *)workspace})
        must(cudaFree(p));
}

int main(int argc, char **argv)
{
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) {
        printf("bench_device: no GPU here; bench/device_counts.py tells what the compiler made\n");
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

    bench_trajectory(rate);

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
