/* 32 lanes with vector instructions. */
#ifndef EBB_KERNELS_TRAJECTORY_RANS_SIMD_H
#define EBB_KERNELS_TRAJECTORY_RANS_SIMD_H

#include "kernels/trajectory/rans.h"

/* Decodes as many whole turns of 32 symbols as it safely can, and returns how many symbols that is;
 * 0 where the machine has no such instructions. */
size_t ebb_rans_decode_simd(struct ebb_rans_decoder *d, uint8_t *symbols, size_t n);

/* Encodes the n symbols (whole turns), last turn first, words down from *at, of which 64 bytes more
 * than are written may be overwritten. False, with nothing done, where the machine has no such
 * instructions. `steps`: frequency | start << 16 by symbol; no frequency is 2^12. */
bool ebb_rans_encode_simd(const uint32_t steps[256], uint32_t state[EBB_RANS_LANES],
                          const uint8_t *symbols, size_t n, uint8_t **at);

#endif
