/* Exponents of floats in a fixed number of bits: the fast packing, without an entropy coder, of
 * arrays whose exponents lie close together.
 *
 *     block of 1024 elements: `most`, its largest exponent. An element's code is most - exponent;
 * the largest code is an escape: the exponent then stands in the block's list of escapes.
 *
 *     +-----------+--------+-----------------+--------------------+------------------+---------+
 *     | header 16 | most[] | escapes/block[] | codes              | low bytes, plane | escapes |
 *     |           | u8     | u16             | `bits` each, LE    | by plane         | u8      |
 *     +-----------+--------+-----------------+--------------------+------------------+---------+
 *     each part begins at a multiple of 16, what lies between is zero; the escapes end the array
 *
 * header: stride (2: bf16, 4: f32), bits (2 to 7), 0, 0, escapes u32, elements u64. A block's codes
 * fill 32 * bits words; code i begins at bit i * bits. What an exponent leaves of an element is the
 * sign at the top of the fraction: one byte of bf16, three planes of f32. Codes and low bytes of
 * the last block are there for its elements alone; their space is padded with zero. */
#ifndef EBB_KERNELS_EXPONENTS_H
#define EBB_KERNELS_EXPONENTS_H

#include <stddef.h>
#include <stdint.h>

#define EBB_EXPONENTS_BLOCK  1024u
#define EBB_EXPONENTS_HEADER 16u

/* Bytes that the packed array takes at most. */
size_t ebb_exponents_bound(size_t elements, unsigned stride, unsigned bits);
/* out[ebb_exponents_bound(...)]; returns the bytes written. At most 2^32 - 1 escapes: 0 when there
 * are more, nothing can be told then. */
size_t ebb_exponents_pack(const void *data, size_t elements, unsigned stride, unsigned bits,
                          uint8_t *out);
/* data[elements]; returns 0, or -1 when the packed bytes are not of such an array: nothing outside
 * packed[len] and the data is touched, whatever they hold. */
int ebb_exponents_unpack(const uint8_t *packed, size_t len, size_t elements, unsigned stride,
                         void *data);

#endif
