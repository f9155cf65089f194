/* Files as the engines write them, made here: trajectories of molecules that move a little, and
 * tensors. */
#ifndef EBB_TESTS_SAMPLE_FILES_H
#define EBB_TESTS_SAMPLE_FILES_H

#include "base/buffer.h"

/* `frames` frames of `atoms` atoms in a box of 3 nm, steps of 10. */
void sample_xtc(struct ebb_buffer *out, unsigned atoms, unsigned frames, float precision);
/* With velocities; single precision. */
void sample_trr(struct ebb_buffer *out, unsigned atoms, unsigned frames);
/* One frame of rigid three-site waters, with velocities. */
void sample_waters(struct ebb_buffer *out, unsigned waters);
/* XTC frames of what sample_waters has, the first at step `first`, others 10 apart; in each every
 * number is moved by up to `move`, the first frame's by none. */
void sample_waters_xtc(struct ebb_buffer *out, unsigned waters, unsigned frames, int first,
                       float move);
/* Tensors "w" and "b" of f32 and "h" of bf16; `step` changes a little of each. */
void sample_safetensors(struct ebb_buffer *out, unsigned rows, unsigned step);
void sample_npy(struct ebb_buffer *out, unsigned rows, unsigned columns);
/* Bare little-endian floats. */
void sample_raw(struct ebb_buffer *out, unsigned atoms, unsigned frames);

#endif
