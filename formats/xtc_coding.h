/* The integer coding of XTC (GROMACS's xdr3dfcoord): triplets of integers as a bit stream, smaller
 * where neighbours in the list are near each other. See xtc_coding.c for the stream. */
#ifndef EBB_FORMATS_XTC_CODING_H
#define EBB_FORMATS_XTC_CODING_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

/* What stands before the bit stream in a frame. */
struct ebb_xtc_block {
    int32_t min[3], max[3]; /* of the integers, by axis */
    int32_t small_index;    /* how many bits a small triplet has at the start */
    const uint8_t *stream;  /* may be read up to 128 bytes past its end */
    size_t stream_bytes;
};

/* The bit stream into `atoms` triplets at `q`; `atoms` >= 1. EBB_ERR_CORRUPT when the stream ends
 * early or says what no writer says. */
int ebb_xtc_decode(const struct ebb_xtc_block *block, size_t atoms, int32_t *q,
                   struct ebb_error *err);
/* Appends the bit stream of `atoms` triplets to `out` and fills `ret` (but for `stream`): the bytes
 * that GROMACS writes. EBB_ERR_INPUT when the integers span 2^31 or more on an axis. */
int ebb_xtc_encode(const int32_t *q, size_t atoms, struct ebb_xtc_block *ret,
                   struct ebb_buffer *out, struct ebb_error *err);

#endif
