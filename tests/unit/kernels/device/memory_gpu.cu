/* Managed memory of a real GPU. */
#include "memory.h"

#include <cuda_runtime.h>
#include <stdio.h>
#include <stdlib.h>

static void must(cudaError_t rc)
{
    if (rc != cudaSuccess) {
        fprintf(stderr, "CUDA: %s\n", cudaGetErrorString(rc));
        exit(1);
    }
}

const char *device_missing(void)
{
    int count = 0;
    cudaError_t rc = cudaGetDeviceCount(&count);
    return rc != cudaSuccess ? cudaGetErrorString(rc) : count == 0 ? "no GPU" : NULL;
}

void *device_alloc(size_t len)
{
    void *p = NULL;
    must(cudaMallocManaged(&p, len > 0 ? len : 1));
    return p;
}

void device_free(void *p)
{
    must(cudaFree(p));
}

void device_wait(void)
{
    must(cudaDeviceSynchronize());
}
