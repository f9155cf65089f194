/* Numbers as bit planes: 32 values of w bits are w words of 32 bits, little-endian, of which word b
 * holds bit b of every value (value i in bit i). On a GPU a word is one ballot of a warp. */
#ifndef EBB_KERNELS_TRAJECTORY_BITS_H
#define EBB_KERNELS_TRAJECTORY_BITS_H

#include <stddef.h>
#include <stdint.h>

/* `blocks` times 32 values, of which the low `width` (0..32) bits count, to 4 * width bytes each.
 */
void ebb_traj_pack_planes(const uint32_t *values, size_t blocks, unsigned width, uint8_t *out);
void ebb_traj_unpack_planes(const uint8_t *in, size_t blocks, unsigned width, uint32_t *values);

#endif
