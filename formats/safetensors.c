/* safetensors: eight bytes of length, a JSON object with dtype, shape and place of each tensor,
 * then the tensors, little-endian. A tensor whose place and shape do not agree is left as plain
 * bytes. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "formats/bytes.h"
#include "formats/scanners.h"
#include "formats/tensor_range.h"

#define MAX_HEADER ((uint64_t)32 << 20)

EBB_DEFINE_AUTO_PTR(auto_json, json_t, json_decref)

static bool read_unsigned(const json_t *value, uint64_t *ret)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *ret = (uint64_t)json_integer_value(value);
    return true;
}

/* One tensor; `start` is where the file's tensors begin. */
static bool read_tensor(const char *name, const json_t *tensor, uint64_t start,
                        struct ebb_range *ret)
{
    const char *dtype = json_string_value(json_object_get(tensor, "dtype"));
    const json_t *axes = json_object_get(tensor, "shape");
    const json_t *place = json_object_get(tensor, "data_offsets");
    uint64_t shape[EBB_MAX_DIMENSIONS], from, to;
    struct ebb_range range = {.name = name, .role = ebb_tensor_role_of(name)};
    size_t dimensions = json_array_size(axes);
    if (dtype == NULL || !ebb_dtype_parse(dtype, &range.dtype) || !json_is_array(axes) ||
        dimensions > EBB_MAX_DIMENSIONS || json_array_size(place) != 2)
        return false;
    for (size_t i = 0; i < dimensions; i++)
        if (!read_unsigned(json_array_get(axes, i), &shape[i]))
            return false;
    if (!read_unsigned(json_array_get(place, 0), &from) ||
        !read_unsigned(json_array_get(place, 1), &to) || from > to ||
        __builtin_add_overflow(start, from, &range.offset) ||
        !ebb_tensor_extents(shape, dimensions, &range))
        return false;
    range.len = to - from;
    *ret = range;
    return true;
}

static int by_offset(const void *a, const void *b)
{
    const struct ebb_range *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int report(json_t *header, uint64_t start, ebb_range_fn *found, void *ctx,
                  struct ebb_error *err)
{
    EBB_AUTO_FREE struct ebb_range *ranges =
        ebb_alloc_array(json_object_size(header) + 1, sizeof *ranges);
    size_t n = 0;
    const char *name;
    json_t *tensor;
    json_object_foreach(header, name, tensor)
    {
        if (read_tensor(name, tensor, start, &ranges[n]))
            n++;
    }
    qsort(ranges, n, sizeof *ranges, by_offset);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = found(ctx, &ranges[i], err);
    return rc;
}

int ebb_safetensors_scan(const struct ebb_random_source *source, ebb_range_fn *found, void *ctx,
                         struct ebb_error *err)
{
    uint8_t length[8];
    if (source->size < sizeof length)
        return 0;
    int rc = source->read_at(source->ctx, 0, length, sizeof length, err);
    if (rc < 0)
        return rc;
    uint64_t len = ebb_load64(length, false);
    if (len > MAX_HEADER || len > source->size - 8)
        return 0;
    EBB_AUTO_FREE char *text = malloc((size_t)len + 1);
    if (text == NULL)
        return 0;
    rc = source->read_at(source->ctx, 8, text, (size_t)len, err);
    if (rc < 0)
        return rc;
    EBB_AUTO(auto_json) json_t *header = json_loadb(text, (size_t)len, 0, NULL);
    if (!json_is_object(header))
        return 0;
    return report(header, 8 + len, found, ctx, err);
}
