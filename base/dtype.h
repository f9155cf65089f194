/* Element types of arrays, as files of tensors and of particles hold them. */
#ifndef EBB_BASE_DTYPE_H
#define EBB_BASE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The values stand in packed files: never renumber. */
enum ebb_dtype {
    EBB_DTYPE_F64 = 1,
    EBB_DTYPE_F32 = 2,
    EBB_DTYPE_F16 = 3,
    EBB_DTYPE_BF16 = 4,
    EBB_DTYPE_F8_E4M3 = 5,
    EBB_DTYPE_F8_E5M2 = 6,
    EBB_DTYPE_I8 = 7,
    EBB_DTYPE_U8 = 8,
    EBB_DTYPE_I16 = 9,
    EBB_DTYPE_U16 = 10,
    EBB_DTYPE_I32 = 11,
    EBB_DTYPE_U32 = 12,
    EBB_DTYPE_I64 = 13,
    EBB_DTYPE_U64 = 14,
    EBB_DTYPE_BOOL = 15,
};

/* False for values that come from outside and are none of the above. */
bool ebb_dtype_known(int dtype);
size_t ebb_dtype_size(enum ebb_dtype dtype);      /* bytes: 1, 2, 4 or 8 */
const char *ebb_dtype_name(enum ebb_dtype dtype); /* "f32"; "?" when unknown */
bool ebb_dtype_is_float(enum ebb_dtype dtype);
bool ebb_dtype_is_signed_int(enum ebb_dtype dtype);
/* Bits of the fraction of a float, as stored (f32: 23); 0 for integers. */
unsigned ebb_dtype_fraction_bits(enum ebb_dtype dtype);
/* "f32", "float32", "float", "bf16", "bfloat16", "i64", "int64", "u8", "uint8", "bool", ...
 * Upper or lower case. Returns false, *ret untouched, when it is none of them. */
bool ebb_dtype_parse(const char *text, enum ebb_dtype *ret);

#endif
