/* Element types: sizes and names, in one table. */
#include "base/dtype.h"

#include <strings.h>

#include "base/memory.h"

static const struct {
    enum ebb_dtype dtype;
    uint8_t size, fraction_bits;
    bool is_float, is_signed_int;
    const char *name, *long_name, *other_name;
} types[] = {
    {EBB_DTYPE_F64, 8, 52, true, false, "f64", "float64", "double"},
    {EBB_DTYPE_F32, 4, 23, true, false, "f32", "float32", "float"},
    {EBB_DTYPE_F16, 2, 10, true, false, "f16", "float16", "half"},
    {EBB_DTYPE_BF16, 2, 7, true, false, "bf16", "bfloat16", NULL},
    {EBB_DTYPE_F8_E4M3, 1, 3, true, false, "f8_e4m3", "float8_e4m3fn", NULL},
    {EBB_DTYPE_F8_E5M2, 1, 2, true, false, "f8_e5m2", "float8_e5m2", NULL},
    {EBB_DTYPE_I8, 1, 0, false, true, "i8", "int8", NULL},
    {EBB_DTYPE_U8, 1, 0, false, false, "u8", "uint8", NULL},
    {EBB_DTYPE_I16, 2, 0, false, true, "i16", "int16", NULL},
    {EBB_DTYPE_U16, 2, 0, false, false, "u16", "uint16", NULL},
    {EBB_DTYPE_I32, 4, 0, false, true, "i32", "int32", NULL},
    {EBB_DTYPE_U32, 4, 0, false, false, "u32", "uint32", NULL},
    {EBB_DTYPE_I64, 8, 0, false, true, "i64", "int64", NULL},
    {EBB_DTYPE_U64, 8, 0, false, false, "u64", "uint64", NULL},
    {EBB_DTYPE_BOOL, 1, 0, false, false, "bool", "bool", NULL},
};

bool ebb_dtype_known(int dtype)
{
    return dtype >= EBB_DTYPE_F64 && dtype <= EBB_DTYPE_BOOL;
}

size_t ebb_dtype_size(enum ebb_dtype dtype)
{
    return ebb_dtype_known((int)dtype) ? types[dtype - 1].size : 1;
}

const char *ebb_dtype_name(enum ebb_dtype dtype)
{
    return ebb_dtype_known((int)dtype) ? types[dtype - 1].name : "?";
}

bool ebb_dtype_is_float(enum ebb_dtype dtype)
{
    return ebb_dtype_known((int)dtype) && types[dtype - 1].is_float;
}

bool ebb_dtype_is_signed_int(enum ebb_dtype dtype)
{
    return ebb_dtype_known((int)dtype) && types[dtype - 1].is_signed_int;
}

unsigned ebb_dtype_fraction_bits(enum ebb_dtype dtype)
{
    return ebb_dtype_known((int)dtype) ? types[dtype - 1].fraction_bits : 0;
}

bool ebb_dtype_parse(const char *text, enum ebb_dtype *ret)
{
    for (size_t i = 0; i < EBB_ARRAY_LEN(types); i++)
        if (strcasecmp(text, types[i].name) == 0 || strcasecmp(text, types[i].long_name) == 0 ||
            (types[i].other_name != NULL && strcasecmp(text, types[i].other_name) == 0)) {
            *ret = types[i].dtype;
            return true;
        }
    return false;
}
