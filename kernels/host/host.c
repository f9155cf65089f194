/* kernels/ebb_kernels.h on the CPU: the same functions on host memory, for machines without a GPU.
 * `stream` is not looked at: when a function returns, its work is done. */
#include <string.h>

#include "kernels/arguments.h"
#include "kernels/block_hash.h"
#include "kernels/delta.h"
#include "kernels/ebb_kernels.h"
#include "kernels/exponents.h"
#include "kernels/huffman.h"
#include "kernels/planes.h"
#include "kernels/trajectory/pieces.h"
#include "kernels/trajectory/pieces_layout.h"

int ebb_kernels_version(void)
{
    return EBB_KERNELS_VERSION;
}

const char *ebb_kernels_error(int rc)
{
    if (rc == 0)
        return "done";
    return rc == EBB_KERNELS_MISUSE
               ? "an argument that kernels/ebb_kernels.h excludes: alignment, size or kind"
               : "unknown";
}

int ebb_kernels_snapshot(void *to, const void *from, size_t len, void *stream)
{
    (void)stream;
    if (len > 0 && (to == NULL || from == NULL))
        return EBB_KERNELS_MISUSE;
    if (len > 0)
        memcpy(to, from, len);
    return 0;
}

int ebb_kernels_snapshot_rows(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t row_bytes, size_t rows, void *stream)
{
    (void)stream;
    if (!ebb_arguments_rows(to, to_pitch, from, from_pitch, row_bytes, rows))
        return EBB_KERNELS_MISUSE;
    for (size_t i = 0; i < rows && row_bytes > 0; i++)
        memcpy((uint8_t *)to + i * to_pitch, (const uint8_t *)from + i * from_pitch, row_bytes);
    return 0;
}

int ebb_kernels_planes_split(const void *data, size_t elements, unsigned stride, int turn,
                             void *planes, size_t pitch, void *stream)
{
    (void)stream;
    if (!ebb_arguments_planes(data, elements, stride, planes, pitch) || turn < EBB_TURN_NONE ||
        turn > EBB_TURN_ZIGZAG)
        return EBB_KERNELS_MISUSE;
    uint8_t *list[4];
    for (unsigned p = 0; p < stride; p++)
        list[p] = (uint8_t *)planes + p * pitch;
    ebb_planes_split(data, elements, stride, (enum ebb_turn)turn, list);
    return 0;
}

int ebb_kernels_planes_merge(const void *planes, size_t pitch, size_t elements, unsigned stride,
                             int turn, void *data, void *stream)
{
    (void)stream;
    if (!ebb_arguments_planes(data, elements, stride, planes, pitch) || turn < EBB_TURN_NONE ||
        turn > EBB_TURN_ZIGZAG)
        return EBB_KERNELS_MISUSE;
    const uint8_t *list[4];
    for (unsigned p = 0; p < stride; p++)
        list[p] = (const uint8_t *)planes + p * pitch;
    ebb_planes_merge(list, elements, stride, (enum ebb_turn)turn, data);
    return 0;
}

int ebb_kernels_delta_split(const void *data, const void *base, void *refresh, size_t elements,
                            unsigned stride, int delta, void *planes, size_t pitch, void *stream)
{
    (void)stream;
    if (!ebb_arguments_delta(data, base, refresh, elements, stride, planes, pitch) || delta < 0 ||
        delta > EBB_DELTA_DIFFERENCE)
        return EBB_KERNELS_MISUSE;
    uint8_t *list[4];
    for (unsigned p = 0; p < stride; p++)
        list[p] = (uint8_t *)planes + p * pitch;
    ebb_delta_split(data, base, elements, stride, (enum ebb_delta)delta, list);
    if (refresh != NULL && elements > 0)
        memcpy(refresh, data, elements * stride);
    return 0;
}

int ebb_kernels_delta_merge(const void *planes, size_t pitch, const void *base, size_t elements,
                            unsigned stride, int delta, void *data, void *stream)
{
    (void)stream;
    if (!ebb_arguments_delta(data, base, NULL, elements, stride, planes, pitch) || delta < 0 ||
        delta > EBB_DELTA_DIFFERENCE)
        return EBB_KERNELS_MISUSE;
    const uint8_t *list[4];
    for (unsigned p = 0; p < stride; p++)
        list[p] = (const uint8_t *)planes + p * pitch;
    ebb_delta_merge(list, base, elements, stride, (enum ebb_delta)delta, data);
    return 0;
}

size_t ebb_kernels_exponents_bound(size_t elements, unsigned stride, unsigned bits)
{
    return ebb_exponents_bound(elements, stride, bits);
}

size_t ebb_kernels_exponents_workspace(size_t elements)
{
    (void)elements;
    return 0;
}

int ebb_kernels_exponents_pack(const void *data, size_t elements, unsigned stride, unsigned bits,
                               void *out, uint64_t *ret_bytes, void *workspace,
                               size_t workspace_bytes, void *stream)
{
    (void)workspace;
    (void)workspace_bytes;
    (void)stream;
    if (!ebb_arguments_exponents(data, elements, stride, bits, out) || ret_bytes == NULL)
        return EBB_KERNELS_MISUSE;
    *ret_bytes = ebb_exponents_pack(data, elements, stride, bits, out);
    return 0;
}

int ebb_kernels_exponents_unpack(const void *packed, size_t packed_bytes, size_t elements,
                                 unsigned stride, unsigned bits, void *data, void *workspace,
                                 size_t workspace_bytes, void *stream)
{
    (void)workspace;
    (void)workspace_bytes;
    (void)stream;
    if (!ebb_arguments_exponents(data, elements, stride, bits, packed) ||
        ebb_exponents_unpack(packed, packed_bytes, elements, stride, data) != 0)
        return EBB_KERNELS_MISUSE;
    return 0;
}

size_t ebb_kernels_huffman_bound(size_t len)
{
    return EBB_HUFFMAN_BOUND(len);
}

size_t ebb_kernels_huffman_workspace(size_t len)
{
    (void)len;
    return 0;
}

int ebb_kernels_huffman_encode(const void *data, size_t len, void *out, uint64_t *ret_bytes,
                               void *workspace, size_t workspace_bytes, void *stream)
{
    (void)workspace;
    (void)workspace_bytes;
    (void)stream;
    if (!ebb_arguments_huffman(data, len, out) || ret_bytes == NULL)
        return EBB_KERNELS_MISUSE;
    *ret_bytes = ebb_huffman_encode(data, len, out);
    return 0;
}

int ebb_kernels_block_hash(const void *data, size_t len, size_t block_bytes, void *hashes,
                           void *stream)
{
    (void)stream;
    if (!ebb_arguments_block_hash(data, len, block_bytes, hashes))
        return EBB_KERNELS_MISUSE;
    ebb_block_hashes(data, len, block_bytes, hashes);
    return 0;
}

size_t ebb_kernels_trajectory_state(const struct ebb_kernels_trajectory *plan)
{
    struct ebb_piece_layout l;
    ebb_piece_layout(plan, &l);
    return 4 * (size_t)l.state_words;
}

size_t ebb_kernels_trajectory_workspace(const struct ebb_kernels_trajectory *plan)
{
    (void)plan;
    return 0;
}

size_t ebb_kernels_trajectory_bound(const struct ebb_kernels_trajectory *plan)
{
    struct ebb_piece_layout l;
    ebb_piece_layout(plan, &l);
    return (size_t)ebb_piece_bound(&l);
}

int ebb_kernels_trajectory_pack(const struct ebb_kernels_trajectory *plan,
                                const struct ebb_kernels_trajectory_frame *frame, const float *xyz,
                                void *state, void *piece, void *workspace, size_t workspace_bytes,
                                void *stream)
{
    (void)workspace;
    (void)workspace_bytes;
    (void)stream;
    return ebb_arguments_trajectory(plan, frame, state, piece, xyz) &&
                   ebb_traj_piece_pack(plan, frame, xyz, state, piece)
               ? 0
               : EBB_KERNELS_MISUSE;
}

int ebb_kernels_trajectory_unpack(const struct ebb_kernels_trajectory *plan,
                                  const struct ebb_kernels_trajectory_frame *frame,
                                  const void *piece, size_t piece_bytes, void *state, float *xyz,
                                  void *workspace, size_t workspace_bytes, void *stream)
{
    (void)workspace;
    (void)workspace_bytes;
    (void)stream;
    return ebb_arguments_trajectory(plan, frame, state, piece, xyz) &&
                   ebb_traj_piece_unpack(plan, frame, piece, piece_bytes, state, xyz)
               ? 0
               : EBB_KERNELS_MISUSE;
}
