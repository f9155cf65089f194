/* What a function of ebb_kernels.h takes for its arguments: the same on a device and on the CPU. */
#ifndef EBB_KERNELS_ARGUMENTS_H
#define EBB_KERNELS_ARGUMENTS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/ebb_kernels.h"

/* A launch has fewer than 2^31 thread blocks; the smallest work that one has is a kibibyte. */
#define EBB_KERNELS_BYTES_MAX ((size_t)1 << 41)

static inline int ebb_arguments_aligned(const void *p, size_t to)
{
    return (uintptr_t)p % to == 0;
}

/* An array that is there, unless it is empty. */
static inline int ebb_arguments_array(const void *p, size_t elements)
{
    return ebb_arguments_aligned(p, 16) && (p != NULL || elements == 0);
}

static inline int ebb_arguments_planes(const void *data, size_t elements, unsigned stride,
                                       const void *planes, size_t pitch)
{
    return (stride == 2 || stride == 4) && elements <= EBB_KERNELS_BYTES_MAX / 4 &&
           pitch >= elements && pitch <= EBB_KERNELS_BYTES_MAX && pitch % 16 == 0 &&
           ebb_arguments_array(data, elements) && ebb_arguments_array(planes, elements);
}

static inline int ebb_arguments_delta(const void *data, const void *base, const void *refresh,
                                      size_t elements, unsigned stride, const void *planes,
                                      size_t pitch)
{
    return ebb_arguments_planes(data, elements, stride, planes, pitch) &&
           ebb_arguments_array(base, elements) && ebb_arguments_aligned(refresh, 16);
}

static inline int ebb_arguments_exponents(const void *data, size_t elements, unsigned stride,
                                          unsigned bits, const void *packed)
{
    return (stride == 2 || stride == 4) && bits >= 2 && bits <= 7 &&
           elements <= EBB_KERNELS_BYTES_MAX / 4 && ebb_arguments_array(data, elements) &&
           ebb_arguments_array(packed, 1);
}

static inline int ebb_arguments_huffman(const void *data, size_t len, const void *out)
{
    return len <= EBB_KERNELS_BYTES_MAX && ebb_arguments_array(data, len) && out != NULL;
}

static inline int ebb_arguments_block_hash(const void *data, size_t len, size_t block_bytes,
                                           const void *hashes)
{
    return block_bytes > 0 && block_bytes % 16 == 0 && len / block_bytes < (size_t)1 << 33 &&
           ebb_arguments_array(data, len) && (hashes != NULL || len == 0);
}

static inline int ebb_arguments_rows(const void *to, size_t to_pitch, const void *from,
                                     size_t from_pitch, size_t row_bytes, size_t rows)
{
    return to_pitch >= row_bytes && from_pitch >= row_bytes &&
           ((to != NULL && from != NULL) || row_bytes == 0 || rows == 0);
}

static inline int ebb_arguments_trajectory(const struct ebb_kernels_trajectory *plan,
                                           const struct ebb_kernels_trajectory_frame *frame,
                                           const void *state, const void *piece, const float *xyz)
{
    return frame->before >= 1 && (frame->stride == 0 || frame->stride >= 3) &&
           ebb_arguments_array(state, (size_t)plan->atoms) && ebb_arguments_array(piece, 1) &&
           ebb_arguments_aligned(xyz, 4) && (xyz != NULL || plan->atoms == 0);
}

#endif
