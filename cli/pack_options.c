/* Numbers with units, shapes, element types: read strictly. */
#include "cli/pack_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

int ebb_pack_parse_error(const char *text, struct ebb_packer_options *ret, struct ebb_error *err)
{
    int rc = ebb_parse_length(text, &ret->error, ret->unit, err);
    return rc < 0 ? ebb_error_wrap(err, rc, "--error") : 0;
}

static bool take_number(const char **text, uint64_t *ret)
{
    char *end = NULL;
    unsigned long long v = strtoull(*text, &end, 10);
    if (end == *text || **text < '1' || **text > '9' || v > UINT64_C(1) << 40)
        return false;
    *text = end;
    *ret = v;
    return true;
}

int ebb_pack_parse_shape(const char *shape, const char *dtype, struct ebb_packer_options *ret,
                         struct ebb_error *err)
{
    uint64_t rows = 0, columns = 1;
    const char *p = shape;
    bool good = take_number(&p, &rows);
    if (good && *p == ',') {
        p++;
        good = take_number(&p, &columns);
    }
    if (!good || *p != '\0')
        return ebb_error_set(err, EBB_ERR_INPUT, "--shape: '%s' is no shape such as 1000,3", shape);
    enum ebb_dtype type = EBB_DTYPE_F32;
    if (dtype != NULL && !ebb_dtype_parse(dtype, &type))
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "--dtype: '%s' is none of f64, f32, f16, bf16, i64, i32, u8, ...",
                             dtype);
    ret->rows = rows;
    ret->columns = columns;
    ret->dtype = type;
    return 0;
}
