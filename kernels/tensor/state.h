/* Restart state, lossless: positions and velocities of atoms, packed together.
 *
 * What is known beforehand need not be stored. A frame of the same step's trajectory, if there is
 * one, gives each position to within its error. The constraints of rigid three-site water (SETTLE,
 * SHAKE: Miyamoto and Kollman, 1992) give three of a molecule's nine positions and three of its
 * nine velocities to within rounding: |r| of each bond is a constant, and so is |r - v dt|, the
 * bond one step before, for leap-frog velocities (r.v = 0 for those of the same time). Waters,
 * lengths and dt are found from the numbers themselves. What is derived is corrected exactly, so
 * that every bit comes back whatever the numbers are. */
#ifndef EBB_KERNELS_TENSOR_STATE_H
#define EBB_KERNELS_TENSOR_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/dtype.h"

struct ebb_state_input {
    size_t atoms;
    const void *x, *v;    /* 3 numbers an atom, any alignment; v may be NULL */
    enum ebb_dtype dtype; /* f32 or f64 */
    bool big_endian;
    double box[3];      /* of a rectangular box, in x's unit; zeros: molecules are not made whole */
    const float *frame; /* the same atoms of the stored frame, in x's unit, or NULL */
};

/* Appends a blob to *out. */
int ebb_state_encode(const struct ebb_state_input *in, struct ebb_buffer *out,
                     struct ebb_error *err);

struct ebb_state_info {
    size_t atoms, waters; /* waters: rigid molecules found */
    enum ebb_dtype dtype;
    bool big_endian, has_v, needs_frame;
    double step; /* the time between v and x, found; 0: at the same time, or none found */
};

/* From the head alone, which is not to be trusted before its sizes were compared. */
int ebb_state_read_info(const void *blob, size_t len, struct ebb_state_info *ret,
                        struct ebb_error *err);

/* x and v (NULL when the blob has none) get 3 * atoms numbers each, in the order of writing.
 * `frame` must be the one of writing when the blob needs one. Damage, another frame and another
 * number of atoms are EBB_ERR_CORRUPT; *x and *v are then undefined. */
int ebb_state_decode(const void *blob, size_t len, const float *frame, size_t atoms, void *x,
                     void *v, struct ebb_error *err);

#endif
