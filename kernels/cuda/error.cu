/* What a returned number means. */
#include "kernels/cuda/launch.h"
#include "kernels/ebb_kernels.h"

int ebb_kernels_version(void)
{
    return EBB_KERNELS_VERSION;
}

const char *ebb_kernels_error(int rc)
{
    if (rc == 0)
        return "done";
    if (rc == EBB_KERNELS_MISUSE)
        return "an argument that kernels/ebb_kernels.h excludes: alignment, size or kind";
    return cudaGetErrorString((cudaError_t)-rc);
}
