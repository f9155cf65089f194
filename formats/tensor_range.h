/* What a tensor's name and shape say about its range. */
#ifndef EBB_FORMATS_TENSOR_RANGE_H
#define EBB_FORMATS_TENSOR_RANGE_H

#include "formats/ranges.h"

#define EBB_MAX_DIMENSIONS 64

/* By the names that PyTorch's optimisers give their state. */
enum ebb_range_role ebb_tensor_role_of(const char *name);
/* Sets range->rows and columns of a tensor whose last axis is contiguous: as columns the last axis,
 * or all but the first when the last is short (a convolution's kernel); flat below two axes. False
 * when the product does not fit. */
bool ebb_tensor_extents(const uint64_t *shape, size_t dimensions, struct ebb_range *range);

#endif
