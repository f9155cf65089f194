/* Arrays of numbers, lossless: weights and optimiser state, against the previous checkpoint's where
 * that helps. A blob describes itself (docs/format-codecs.md); reading one needs the base that it
 * was written against, if any.
 *
 *     same      equal to the base: nothing but a reference
 *     planes    byte planes, turned (kernels/planes.h), each entropy-coded or stored
 *     delta     differences of ordered integers from the base, coded given the base's exponent
 *     scale     logarithms of magnitude against what row and column (and base) predict: Adam's v
 *     step      differences from where training is expected to have moved the base to: decay, and a
 *               part of low rank that the blob holds; coded by how far off row and column are
 *
 * The method is chosen for each tensor, by sampling. Thread-safe: no state is kept. */
#ifndef EBB_KERNELS_TENSOR_TENSOR_H
#define EBB_KERNELS_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/dtype.h"

enum ebb_tensor_role {
    EBB_TENSOR_ANY = 0,
    EBB_TENSOR_FIRST_MOMENT = 1,  /* momentum: a base is of no use */
    EBB_TENSOR_SECOND_MOMENT = 2, /* never negative, of rank one nearly */
};

enum ebb_tensor_level { EBB_TENSOR_FAST = 0, EBB_TENSOR_SMALL = 1 };

enum ebb_tensor_method {
    EBB_TENSOR_SAME = 0,
    EBB_TENSOR_PLANES = 1,
    EBB_TENSOR_DELTA = 2,
    EBB_TENSOR_SCALE = 3,
    EBB_TENSOR_STEP = 4,
};

struct ebb_tensor_input {
    const void *data; /* need not be aligned */
    size_t elements;
    size_t columns; /* of the last axis; 0 or 1: flat. Not dividing `elements`: flat */
    enum ebb_dtype dtype;
    bool big_endian;
    enum ebb_tensor_role role;
    const void *base; /* as many elements of the same type, or NULL */
};

/* Appends a blob to *out. */
int ebb_tensor_encode(const struct ebb_tensor_input *in, enum ebb_tensor_level level,
                      struct ebb_buffer *out, struct ebb_error *err);

struct ebb_tensor_info {
    enum ebb_dtype dtype;
    enum ebb_tensor_method method;
    bool big_endian, needs_base;
    size_t elements, columns, bytes; /* unpacked; what the blob claims */
};

/* From the head alone: sizes are not to be trusted before they were compared with what is
 * expected. */
int ebb_tensor_read_info(const void *blob, size_t len, struct ebb_tensor_info *ret,
                         struct ebb_error *err);

/* `out` gets exactly out_len bytes; base_len must be out_len when the blob needs a base. A blob
 * that is damaged, a base that is not the one of writing, and a wrong length are EBB_ERR_CORRUPT;
 * *out is then undefined. out and base may be the same memory only when they are exactly so. */
int ebb_tensor_decode(const void *blob, size_t len, const void *base, size_t base_len, void *out,
                      size_t out_len, struct ebb_error *err);

#endif
