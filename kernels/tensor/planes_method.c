/* The method of planes: each chunk's byte planes one after another, the lowest first. A plane that
 * did not compress in one chunk is stored without a look in the next fifteen; so is one of which a
 * sample looks like noise. */
#include <stdlib.h>

#include "kernels/planes.h"
#include "kernels/tensor/method.h"

#define LOOK_AGAIN 16

#define SAMPLE_RUNS 8
#define SAMPLE_RUN  ((size_t)512)
#define SAMPLE      (SAMPLE_RUNS * SAMPLE_RUN)

unsigned ebb_tensor_turn(enum ebb_dtype dtype)
{
    if (ebb_dtype_is_float(dtype) && ebb_dtype_size(dtype) > 1)
        return EBB_TURN_ROTATE;
    return ebb_dtype_is_signed_int(dtype) ? EBB_TURN_ZIGZAG : EBB_TURN_NONE;
}

/* True when pairs of equal bytes are as rare among 4096 as in noise, 1 in 256: within a 32nd, six
 * standard deviations. Huffman's code would gain less than a hundredth then. */
static bool looks_like_noise(const uint8_t *plane, size_t n)
{
    uint32_t counts[256] = {0};
    uint64_t pairs = 0;
    if (n < 2 * SAMPLE)
        return false;
    for (size_t r = 0; r < SAMPLE_RUNS; r++) {
        const uint8_t *run = plane + (n - SAMPLE_RUN) / (SAMPLE_RUNS - 1) * r;
        for (size_t i = 0; i < SAMPLE_RUN; i++)
            counts[run[i]]++;
    }
    for (unsigned s = 0; s < 256; s++)
        pairs += (uint64_t)counts[s] * (counts[s] - (counts[s] > 0));
    return pairs * 256 * 32 < (uint64_t)SAMPLE * (SAMPLE - 1) * 33;
}

int ebb_tensor_planes_encode(const struct ebb_tensor_array *a, struct ebb_buffer *out,
                             struct ebb_error *err)
{
    size_t most = a->elements < EBB_TENSOR_CHUNK ? a->elements : EBB_TENSOR_CHUNK;
    EBB_AUTO_FREE uint8_t *scratch = malloc(2 * most * a->stride + 1);
    if (scratch == NULL)
        return ebb_tensor_no_memory(err, 2 * most * a->stride);
    uint8_t *planes[EBB_PLANES_MAX];
    bool stored[EBB_PLANES_MAX] = {false};
    for (unsigned k = 0; k < a->stride; k++)
        planes[k] = scratch + k * most;
    for (size_t at = 0, chunk = 0; at < a->elements; at += EBB_TENSOR_CHUNK, chunk++) {
        size_t n = a->elements - at < EBB_TENSOR_CHUNK ? a->elements - at : EBB_TENSOR_CHUNK;
        const uint8_t *in = ebb_tensor_chunk(a, a->data, at, n, scratch + most * a->stride);
        ebb_planes_split(in, n, a->stride, (enum ebb_turn)ebb_tensor_turn(a->dtype), planes);
        for (unsigned k = 0; k < a->stride; k++) {
            if ((chunk % LOOK_AGAIN != 0 && stored[k]) ||
                (a->level == EBB_ENTROPY_FAST && looks_like_noise(planes[k], n))) {
                ebb_entropy_store(planes[k], n, out);
                continue;
            }
            size_t before = out->len;
            ebb_entropy_encode(planes[k], n, a->level, out);
            stored[k] = out->len - before > n;
        }
    }
    return 0;
}

int ebb_tensor_planes_decode(const struct ebb_tensor_array *a, struct ebb_tensor_body *body,
                             uint8_t *out, struct ebb_error *err)
{
    size_t most = a->elements < EBB_TENSOR_CHUNK ? a->elements : EBB_TENSOR_CHUNK;
    EBB_AUTO_FREE uint8_t *scratch = malloc(most * a->stride + 1);
    if (scratch == NULL)
        return ebb_tensor_no_memory(err, most * a->stride);
    for (size_t at = 0; at < a->elements; at += EBB_TENSOR_CHUNK) {
        size_t n = a->elements - at < EBB_TENSOR_CHUNK ? a->elements - at : EBB_TENSOR_CHUNK;
        const uint8_t *planes[EBB_PLANES_MAX];
        for (unsigned k = 0; k < a->stride; k++) {
            int rc = ebb_tensor_body_view(body, n, scratch + k * most, &planes[k], err);
            if (rc < 0)
                return rc;
        }
        ebb_planes_merge(planes, n, a->stride, (enum ebb_turn)ebb_tensor_turn(a->dtype),
                         out + at * a->stride);
        ebb_tensor_finish_chunk(a, out + at * a->stride, n);
    }
    return 0;
}
