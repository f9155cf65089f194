/* Trajectory groups: a decoder fed with anything under a valid checksum; and what an encoder made
 * of anything must come back. The first byte says which. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/trajectory/group.h"
#include "kernels/trajectory/pieces.h"
#include "kernels/trajectory/pieces_layout.h"
#include "kernels/trajectory/trajectory.h"

#define ATOMS_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a device would make of the group is what the decoder makes of it. */
static void decode_pieces(const uint8_t *group, size_t size, size_t atoms)
{
    struct ebb_error err = {0};
    struct ebb_kernels_trajectory plan;
    struct ebb_kernels_trajectory_frame frame;
    EBB_AUTO(ebb_traj_decoder_destroy_ptr) struct ebb_traj_decoder *dec = NULL, *plain = NULL;
    if (ebb_traj_decoder_open(group, size, &dec, &err) < 0 ||
        ebb_traj_decoder_open(group, size, &plain, &err) < 0)
        abort();
    EBB_AUTO_FREE float *xyz = ebb_alloc_array(3 * atoms + 1, sizeof *xyz),
                        *same = ebb_alloc_array(3 * atoms + 1, sizeof *same);
    if (ebb_traj_decoder_plan(dec, &plan, &err) < 0 ||
        ebb_traj_decoder_next(dec, xyz, NULL, &err) != 1 ||
        ebb_traj_decoder_next(plain, same, NULL, &err) != 1)
        return;
    struct ebb_piece_layout l;
    ebb_piece_layout(&plan, &l);
    EBB_AUTO_FREE void *state = ebb_alloc_array((size_t)l.state_words + 1, 4);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer piece = {0};
    if (ebb_traj_decoder_state(dec, state, &err) < 0)
        abort();
    while (ebb_traj_decoder_next_piece(dec, &piece, &frame, &err) == 1) {
        if (!ebb_traj_piece_unpack(&plan, &frame, piece.data, piece.len, state, xyz) ||
            ebb_traj_decoder_next(plain, same, NULL, &err) != 1 ||
            memcmp(xyz, same, 3 * atoms * sizeof *xyz) != 0)
            abort();
        ebb_buffer_reset(&piece);
    }
}

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
    decode_pieces(group, size, info.atoms);
}

/* Frame t: n atoms as they stand in the data, and copies of them, each a step further. */
static void frame_of(const uint8_t *data, size_t n, size_t copies, size_t t, int32_t *q)
{
    const uint32_t step = 64u * (1u + data[7]);
    for (size_t c = 0; c < copies; c++) {
        memcpy(q + 3 * n * c, data + 16 + 12 * n * t, 12 * n);
        for (size_t i = 0; i < n; i++) {
            int32_t *x = q + 3 * (n * c + i) + c % 3;
            *x = (int32_t)((uint32_t)*x + step * (uint32_t)c);
        }
    }
}

/* Atoms, quantum, form and box from the first bytes; the coordinates are the rest. */
static void encode(const uint8_t *data, size_t size)
{
    if (size < 16)
        return;
    const size_t n = data[0] % 64u + 1u, copies = (data[2] & 4) != 0 ? 16 : 1, atoms = n * copies;
    struct ebb_traj_options o = {.quantum = 0.001,
                                 .group_frames = data[1] % 20u,
                                 .bit_packed = (data[2] & 1) != 0,
                                 .level = (data[2] & 2) != 0 ? EBB_TRAJ_SMALL : EBB_TRAJ_FAST};
    float box[9] = {(float)data[3] / 16, 0, 0, (float)data[4] / 64, (float)data[5] / 16, 0, 0, 0,
                    (float)data[6] / 16};
    struct ebb_error err = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    EBB_AUTO(ebb_traj_encoder_destroy_ptr)
    struct ebb_traj_encoder *enc = ebb_traj_encoder_new(atoms, &o, &err);
    EBB_AUTO_FREE int32_t *q = ebb_alloc_array(3 * atoms, sizeof *q),
                          *same = ebb_alloc_array(3 * atoms, sizeof *same);
    size_t frames = (size - 16) / (12 * n);
    for (size_t t = 0; t < frames; t++) {
        frame_of(data, n, copies, t, q);
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
        for (; ebb_traj_decoder_next_lattice(dec, same, NULL, &err) == 1; t++) {
            frame_of(data, n, copies, t, q);
            if (memcmp(q, same, 12 * atoms) != 0)
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
