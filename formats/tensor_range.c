/* Roles by name, rows and columns by shape. */
#include "formats/tensor_range.h"

#include <string.h>

#define SHORT_AXIS 8

enum ebb_range_role ebb_tensor_role_of(const char *name)
{
    if (strstr(name, "exp_avg_sq") != NULL)
        return EBB_ROLE_SECOND_MOMENT;
    if (strstr(name, "exp_avg") != NULL || strstr(name, "momentum_buffer") != NULL)
        return EBB_ROLE_FIRST_MOMENT;
    return EBB_ROLE_TENSOR;
}

bool ebb_tensor_extents(const uint64_t *shape, size_t dimensions, struct ebb_range *range)
{
    uint64_t elements = 1;
    for (size_t i = 0; i < dimensions; i++)
        if (__builtin_mul_overflow(elements, shape[i], &elements))
            return false;
    uint64_t columns = 1;
    if (dimensions >= 2 && elements > 0) {
        columns = shape[dimensions - 1];
        if (columns < SHORT_AXIS)
            columns = elements / shape[0];
    }
    range->columns = columns;
    range->rows = elements / columns;
    return true;
}
