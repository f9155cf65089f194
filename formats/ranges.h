/* Arrays of numbers inside binary files, for lossless packing: where they lie, what they hold. What
 * lies between them is plain bytes.
 *
 * A scan is advice, not parsing to be relied on: a file that turns out not to be of its kind gives
 * the ranges up to there. Whatever the ranges are, packing by them is lossless. */
#ifndef EBB_FORMATS_RANGES_H
#define EBB_FORMATS_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "base/error.h"
#include "formats/recognise.h"
#include "formats/source.h"

enum ebb_range_role {
    EBB_ROLE_TENSOR,        /* numbers of which nothing is known: weights, tables */
    EBB_ROLE_X,             /* positions */
    EBB_ROLE_V,             /* velocities */
    EBB_ROLE_F,             /* forces */
    EBB_ROLE_FRAME,         /* all that a frame says of its atoms, a row each */
    EBB_ROLE_BOX,           /* box, virial, pressure */
    EBB_ROLE_FIRST_MOMENT,  /* of an optimiser: Adam's exp_avg */
    EBB_ROLE_SECOND_MOMENT, /* exp_avg_sq */
    EBB_ROLES,
};
const char *ebb_range_role_name(enum ebb_range_role role);

struct ebb_range {
    uint64_t offset; /* in the file */
    uint64_t len;    /* bytes: rows * columns * size of dtype */
    enum ebb_dtype dtype;
    bool big_endian;
    uint64_t rows;
    uint64_t columns; /* of the last axis; 1: flat */
    enum ebb_range_role role;
    int64_t step;     /* of positions and velocities, where the file says it; else 0 */
    const char *name; /* of a tensor, or "x", "v"; "" when it has none; valid during the callback */
};

/* Called for each range, in ascending order of the offset; they do not overlap and lie within the
 * file. Another result than 0 ends the scan, which returns it. */
typedef int ebb_range_fn(void *ctx, const struct ebb_range *range, struct ebb_error *err);

/* Finds the ranges of a file. Returns 0 also when there are none: an unknown version, a damaged
 * file, a kind without ranges. Fails when the source or the callback does. */
int ebb_ranges_scan(enum ebb_file_kind kind, const struct ebb_random_source *source,
                    ebb_range_fn *found, void *ctx, struct ebb_error *err);

#endif
