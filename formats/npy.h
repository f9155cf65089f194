/* NumPy's array files, version 1 to 3: what the header says. */
#ifndef EBB_FORMATS_NPY_H
#define EBB_FORMATS_NPY_H

#include "formats/ranges.h"

/* Enough of a file's first bytes for ebb_npy_read_header; longer headers are left alone. */
#define EBB_NPY_HEADER_MAX 65536

/* From the first bytes of a file of `size` bytes: the range of its numbers (offset from the file's
 * start; name "", role of a tensor). False when it holds none, or none of a known type. */
bool ebb_npy_read_header(const uint8_t *head, size_t len, uint64_t size, struct ebb_range *ret);

#endif
