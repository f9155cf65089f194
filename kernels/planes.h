/* Arrays of 2-, 4- or 8-byte elements as byte planes and back.
 *
 *     elements (little-endian)      e0 = [a0 a1 a2 a3]  e1 = [b0 b1 b2 b3] ...
 *     turned, byte by byte          plane 0 = a0 b0 ...  plane 1 = a1 b1 ...  plane 3 = a3 b3 ...
 *
 * `turn` is done to each element first, as an unsigned integer w of its width:
 *     none     w
 *     rotate   rotl(w, 1): a float's sign goes to bit 0, so that the last plane is its exponent
 *     zigzag   2w, or 2(-w)-1 when negative (two's complement): small integers stay small
 * Reference, AVX2 and AVX-512 give the same bytes. Nothing needs to be aligned; no overlap. */
#ifndef EBB_KERNELS_PLANES_H
#define EBB_KERNELS_PLANES_H

#include <stddef.h>
#include <stdint.h>

enum ebb_turn { EBB_TURN_NONE = 0, EBB_TURN_ROTATE = 1, EBB_TURN_ZIGZAG = 2 };

#define EBB_PLANES_MAX 8

/* planes[0..stride-1] hold `elements` bytes each; stride is 1, 2, 4 or 8. */
void ebb_planes_split(const void *data, size_t elements, unsigned stride, enum ebb_turn turn,
                      uint8_t *const planes[]);
void ebb_planes_merge(const uint8_t *const planes[], size_t elements, unsigned stride,
                      enum ebb_turn turn, void *data);

#endif
