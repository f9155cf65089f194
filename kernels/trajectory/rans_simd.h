/* Decoding 32 lanes with vector instructions. */
#ifndef EBB_KERNELS_TRAJECTORY_RANS_SIMD_H
#define EBB_KERNELS_TRAJECTORY_RANS_SIMD_H

#include "kernels/trajectory/rans.h"

/* Decodes as many whole turns of 32 symbols as it safely can, and returns how many symbols that is;
 * 0 where the machine has no such instructions. */
size_t ebb_rans_decode_simd(struct ebb_rans_decoder *d, uint8_t *symbols, size_t n);

#endif
