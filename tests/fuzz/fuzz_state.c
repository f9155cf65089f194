/* Packed restart state: the bytes as a blob (its checksum put right), and as positions, velocities
 * and a frame that must come back. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/block_hash.h"
#include "kernels/tensor/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST ((size_t)20000)

static void decode(const uint8_t *data, size_t size)
{
    struct ebb_state_info info;
    if (size < 9 || ebb_state_read_info(data, size, &info, NULL) < 0 || info.atoms > MOST)
        return;
    size_t bytes = 3 * info.atoms * ebb_dtype_size(info.dtype);
    EBB_AUTO_FREE uint8_t *blob = ebb_memdup(data, size), *x = malloc(bytes + 1);
    EBB_AUTO_FREE uint8_t *v = malloc(bytes + 1);
    EBB_AUTO_FREE float *frame = calloc(3 * info.atoms + 1, sizeof *frame);
    for (size_t i = 0; i < 3 * info.atoms; i++)
        frame[i] = (float)data[i % size] / 100;
    uint64_t sum = ebb_block_checksum(blob + 9, size - 9);
    for (unsigned i = 0; i < 8; i++)
        blob[1 + i] = (uint8_t)(sum >> (8 * i));
    (void)ebb_state_decode(blob, size, frame, info.atoms, x, info.has_v ? v : NULL, NULL);
}

/* The first byte chooses; then positions, velocities and frame, one after the other. */
static void round_trip(const uint8_t *data, size_t size)
{
    if (size < 2)
        return;
    uint8_t how = data[0];
    struct ebb_state_input in = {.dtype = how & 1 ? EBB_DTYPE_F64 : EBB_DTYPE_F32,
                                 .big_endian = how & 2,
                                 .box = {how & 4 ? 3 : 0, 3, 3}};
    size_t each = 3 * ebb_dtype_size(in.dtype);
    in.atoms = (size - 1) / (2 * each + 12);
    size_t bytes = in.atoms * each;
    EBB_AUTO_FREE float *frame = malloc(12 * in.atoms + 1);
    EBB_AUTO_FREE uint8_t *x = malloc(bytes + 1), *v = malloc(bytes + 1);
    memcpy(frame, data + 1 + 2 * bytes, 12 * in.atoms);
    in.x = data + 1;
    in.v = how & 8 ? data + 1 + bytes : NULL;
    in.frame = how & 16 ? frame : NULL;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer blob = {0};
    int rc = ebb_state_encode(&in, &blob, NULL);
    assert(rc == 0);
    rc = ebb_state_decode(blob.data, blob.len, in.frame, in.atoms, x, in.v ? v : NULL, NULL);
    assert(rc == 0 && memcmp(x, in.x, bytes) == 0 && (!in.v || memcmp(v, in.v, bytes) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode(data, size);
    round_trip(data, size);
    return 0;
}
