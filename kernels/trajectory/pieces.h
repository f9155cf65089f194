/* Groups whose frames are packed and unpacked elsewhere: on a device, kernels/ebb_kernels.h. The
 * encoder (of options.bit_packed and options.rigid_only) finds the classes in the first frames of a
 * group, which it gets as floats; the frames after them may come as pieces. The decoder reads the
 * key frame and gives pieces of those after it. pieces_layout.h tells what is in a piece. */
#ifndef EBB_KERNELS_TRAJECTORY_PIECES_H
#define EBB_KERNELS_TRAJECTORY_PIECES_H

#include "kernels/ebb_kernels.h"
#include "kernels/trajectory/trajectory.h"

/* Whether the next frame may come as a piece: some frames have been added to the group, and its
 * classes are known. While it is false, frames go to ebb_traj_encoder_add: the first four of each
 * group. */
bool ebb_traj_encoder_takes_pieces(const struct ebb_traj_encoder *enc);
/* What the device needs for the next frame: the plan of the group, the state (as many bytes as
 * ebb_kernels_trajectory_state says), both good until the group is over as long as all frames come
 * as pieces; and what is told of the frame. Frames that are queued ahead have `before` one higher
 * each. Only while the encoder takes pieces. */
void ebb_traj_encoder_plan(const struct ebb_traj_encoder *enc, struct ebb_kernels_trajectory *ret);
void ebb_traj_encoder_state(const struct ebb_traj_encoder *enc, void *ret);
void ebb_traj_encoder_next_frame(const struct ebb_traj_encoder *enc, const float box[9],
                                 struct ebb_kernels_trajectory_frame *ret);
/* The next frame, packed with what ebb_traj_encoder_next_frame told. 0; or 1 where more atoms leave
 * the models than a piece has room for: then nothing was added, and that frame's floats are to be
 * given to ebb_traj_encoder_add, which begins a new group. A full group's bytes go to `out`. */
int ebb_traj_encoder_add_piece(struct ebb_traj_encoder *enc, const void *piece, size_t len,
                               const float box[9], struct ebb_buffer *out, struct ebb_error *err);

/* EBB_ERR_UNSUPPORTED: the group is not bit-packed, or has bonded atoms, or doubles. */
int ebb_traj_decoder_plan(const struct ebb_traj_decoder *dec, struct ebb_kernels_trajectory *ret,
                          struct ebb_error *err);
/* After at least one ebb_traj_decoder_next: the state from which the next frame is unpacked. */
int ebb_traj_decoder_state(const struct ebb_traj_decoder *dec, void *ret, struct ebb_error *err);
/* The next frame as a piece (appended) instead of coordinates: 1, or 0 after the last. From then on
 * the decoder gives pieces only. frame->box is the frame's box. */
int ebb_traj_decoder_next_piece(struct ebb_traj_decoder *dec, struct ebb_buffer *piece,
                                struct ebb_kernels_trajectory_frame *frame, struct ebb_error *err);

/* The reference for ebb_kernels_trajectory_pack and _unpack, on host memory; corrections in the
 * order of the atoms. False: the plan is not one, or the piece is shorter than its widths. */
bool ebb_traj_piece_pack(const struct ebb_kernels_trajectory *plan,
                         const struct ebb_kernels_trajectory_frame *frame, const float *xyz,
                         void *state, void *piece);
bool ebb_traj_piece_unpack(const struct ebb_kernels_trajectory *plan,
                           const struct ebb_kernels_trajectory_frame *frame, const void *piece,
                           size_t piece_bytes, void *state, float *xyz);

#endif
