/* Differences of arrays against a base of the same shape, as byte planes, and back.
 *
 *     xor          w = a ^ b, rotated left by one bit: the sign goes to bit 0
 *     difference   w = zigzag(order(a) - order(b)): order() maps a float's bits to an unsigned
 * integer that grows with the float (sign clear: set it; sign set: all bits inverted), so that
 *                  neighbours in value are neighbours in number whatever their exponents
 *
 * Both are exact for every bit pattern, NaN payloads included. `stride` is 2 or 4 bytes. */
#ifndef EBB_KERNELS_DELTA_H
#define EBB_KERNELS_DELTA_H

#include <stddef.h>
#include <stdint.h>

enum ebb_delta { EBB_DELTA_XOR = 0, EBB_DELTA_DIFFERENCE = 1 };

/* planes[0..stride-1] hold `elements` bytes each. No alignment, no overlap. */
void ebb_delta_split(const void *data, const void *base, size_t elements, unsigned stride,
                     enum ebb_delta delta, uint8_t *const planes[]);
void ebb_delta_merge(const uint8_t *const planes[], const void *base, size_t elements,
                     unsigned stride, enum ebb_delta delta, void *data);

#endif
