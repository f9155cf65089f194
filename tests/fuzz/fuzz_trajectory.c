/* Trajectory groups: a decoder fed with anything under a valid checksum; and what an encoder made
 * of anything must come back. The first byte says which. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/trajectory/group.h"
#include "kernels/trajectory/trajectory.h"

#define ATOMS_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The checksum would stop nearly every input: it is put right, and so is the length. */
static void decode(const uint8_t *data, size_t size)
{
    if (size < EBB_TRAJ_HEADER_BYTES)
        return;
    EBB_AUTO_FREE uint8_t *group = ebb_memdup(data, size);
    for (unsigned i = 0; i < 8; i++)
        group[16 + i] = (uint8_t)((uint64_t)size >> (8 * i));
    uint64_t hash = ebb_traj_header_hash(group, size);
    for (unsigned i = 0; i < 8; i++)
        group[40 + i] = (uint8_t)(hash >> (8 * i));
    struct ebb_error err = {0};
    struct ebb_traj_group_info info;
    if (ebb_traj_group_info(group, size, &info, &err) < 0 || info.atoms > ATOMS_MAX)
        return;
    EBB_AUTO(ebb_traj_decoder_destroy_ptr) struct ebb_traj_decoder *dec = NULL;
    if (ebb_traj_decoder_open(group, size, &dec, &err) < 0)
        return;
    EBB_AUTO_FREE double *xyz = ebb_alloc_array(3 * info.atoms + 1, sizeof *xyz);
    while (ebb_traj_decoder_next_f64(dec, xyz, NULL, &err) == 1)
        ;
}

/* Atoms, quantum, form and box from the first bytes; the coordinates are the rest. */
static void encode(const uint8_t *data, size_t size)
{
    if (size < 16)
        return;
    size_t atoms = data[0] % 64u + 1u, frame_bytes = 12 * atoms;
    struct ebb_traj_options o = {
        .quantum = 0.001, .group_frames = data[1] % 10u, .bit_packed = (data[2] & 1) != 0};
    float box[9] = {(float)data[3] / 16, 0, 0, (float)data[4] / 64, (float)data[5] / 16, 0, 0, 0,
                    (float)data[6] / 16};
    struct ebb_error err = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    EBB_AUTO(ebb_traj_encoder_destroy_ptr)
    struct ebb_traj_encoder *enc = ebb_traj_encoder_new(atoms, &o, &err);
    EBB_AUTO_FREE int32_t *q = ebb_alloc_array(3 * atoms, sizeof *q);
    size_t frames = (size - 16) / frame_bytes;
    for (size_t t = 0; t < frames; t++) {
        memcpy(q, data + 16 + t * frame_bytes, frame_bytes);
        if (ebb_traj_encoder_add_lattice(enc, q, box, &out, &err) < 0)
            abort();
    }
    if (ebb_traj_encoder_flush(enc, &out, &err) < 0)
        abort();
    size_t t = 0;
    for (size_t at = 0; at < out.len;) {
        struct ebb_traj_group_info info;
        EBB_AUTO(ebb_traj_decoder_destroy_ptr) struct ebb_traj_decoder *dec = NULL;
        if (ebb_traj_group_info(out.data + at, out.len - at, &info, &err) < 0 ||
            ebb_traj_decoder_open(out.data + at, info.bytes, &dec, &err) < 0)
            abort();
        for (; ebb_traj_decoder_next_lattice(dec, q, NULL, &err) == 1; t++) {
            if (memcmp(q, data + 16 + t * frame_bytes, frame_bytes) != 0)
                abort();
        }
        at += info.bytes;
    }
    if (t != frames)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 2 == 0)
        decode(data + 1, size - 1);
    else
        encode(data + 1, size - 1);
    return 0;
}
