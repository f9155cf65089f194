/* Packed tensors: the bytes as a blob (its checksum put right, so that the decoders see the rest),
 * and the bytes as an array that must come back. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/block_hash.h"
#include "kernels/tensor/tensor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST ((size_t)1 << 20)

static void decode(const uint8_t *data, size_t size)
{
    struct ebb_tensor_info info;
    if (size < 9 || ebb_tensor_read_info(data, size, &info, NULL) < 0 || info.bytes > MOST)
        return;
    EBB_AUTO_FREE uint8_t *blob = ebb_memdup(data, size), *out = malloc(info.bytes + 1);
    EBB_AUTO_FREE uint8_t *base = calloc(info.bytes + 1, 1);
    for (size_t i = 0; i < info.bytes; i++)
        base[i] = data[i % size];
    uint64_t sum = ebb_block_checksum(blob + 9, size - 9);
    for (unsigned i = 0; i < 8; i++)
        blob[1 + i] = (uint8_t)(sum >> (8 * i));
    (void)ebb_tensor_decode(blob, size, base, info.bytes, out, info.bytes, NULL);
}

/* The first bytes choose; the rest is base and data, one after the other. */
static void round_trip(const uint8_t *data, size_t size)
{
    if (size < 4)
        return;
    struct ebb_tensor_input in = {.dtype = (enum ebb_dtype)(1 + data[0] % 15),
                                  .columns = data[1],
                                  .role = (enum ebb_tensor_role)(data[2] % 3),
                                  .big_endian = data[3] & 1};
    size_t each = ebb_dtype_size(in.dtype), half = (size - 4) / 2 / each * each;
    in.elements = half / each;
    in.data = data + 4;
    in.base = data[3] & 2 ? data + 4 + half : NULL;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer blob = {0};
    EBB_AUTO_FREE uint8_t *out = malloc(half + 1);
    int rc = ebb_tensor_encode(&in, data[3] & 4 ? EBB_TENSOR_SMALL : EBB_TENSOR_FAST, &blob, NULL);
    assert(rc == 0);
    rc = ebb_tensor_decode(blob.data, blob.len, in.base, in.base ? half : 0, out, half, NULL);
    assert(rc == 0 && memcmp(out, in.data, half) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode(data, size);
    round_trip(data, size);
    return 0;
}
