/* What the methods of the tensor codec share: an array seen in chunks of little-endian elements,
 * and the body of a blob being read. Inside kernels/tensor/ only. */
#ifndef EBB_KERNELS_TENSOR_METHOD_H
#define EBB_KERNELS_TENSOR_METHOD_H

#include "kernels/entropy.h"
#include "kernels/tensor/tensor.h"

/* Chunks stay in the second cache, and a plane of one is a block of the entropy stage. */
#define EBB_TENSOR_CHUNK ((size_t)131072)

struct ebb_tensor_array {
    const uint8_t *data, *base; /* base: NULL when there is none or it is not used */
    size_t elements, columns;   /* columns divides elements; at least 1 */
    unsigned stride;
    enum ebb_dtype dtype;
    bool big_endian;
    enum ebb_entropy_level level;
};

/* Elements [at, at + n) of `from` (data or base): in place, or turned to little-endian in `scratch`
 * (room for n elements). */
const uint8_t *ebb_tensor_chunk(const struct ebb_tensor_array *a, const uint8_t *from, size_t at,
                                size_t n, uint8_t *scratch);
/* Decoded little-endian elements into the file's order, in place. */
void ebb_tensor_finish_chunk(const struct ebb_tensor_array *a, uint8_t *data, size_t n);

/* What remains of a body. */
struct ebb_tensor_body {
    const uint8_t *at;
    size_t len;
};

int ebb_tensor_body_bytes(struct ebb_tensor_body *b, void *out, size_t len, struct ebb_error *err);
int ebb_tensor_body_varint(struct ebb_tensor_body *b, uint64_t *ret, struct ebb_error *err);
/* The next entropy block, of exactly raw_len bytes, seen in place or in `scratch`. */
int ebb_tensor_body_view(struct ebb_tensor_body *b, size_t raw_len, uint8_t *scratch,
                         const uint8_t **ret, struct ebb_error *err);
/* The next block must be a stored one: its bytes in place; any length. */
int ebb_tensor_body_stored(struct ebb_tensor_body *b, const uint8_t **ret, size_t *ret_len,
                           struct ebb_error *err);

/* The methods. Encoding appends the body; decoding reads it and fills out (a->elements * stride
 * bytes; the base is in `a`). */
int ebb_tensor_planes_encode(const struct ebb_tensor_array *a, struct ebb_buffer *out,
                             struct ebb_error *err);
int ebb_tensor_planes_decode(const struct ebb_tensor_array *a, struct ebb_tensor_body *body,
                             uint8_t *out, struct ebb_error *err);
int ebb_tensor_delta_encode(const struct ebb_tensor_array *a, struct ebb_buffer *out,
                            struct ebb_error *err);
int ebb_tensor_delta_decode(const struct ebb_tensor_array *a, struct ebb_tensor_body *body,
                            uint8_t *out, struct ebb_error *err);
int ebb_tensor_scale_encode(const struct ebb_tensor_array *a, struct ebb_buffer *out,
                            struct ebb_error *err);
int ebb_tensor_scale_decode(const struct ebb_tensor_array *a, struct ebb_tensor_body *body,
                            uint8_t *out, struct ebb_error *err);

/* 1: nothing is foretold, and nothing was appended. */
int ebb_tensor_step_encode(const struct ebb_tensor_array *a, struct ebb_buffer *out,
                           struct ebb_error *err);
int ebb_tensor_step_decode(const struct ebb_tensor_array *a, struct ebb_tensor_body *body,
                           uint8_t *out, struct ebb_error *err);

unsigned ebb_tensor_turn(enum ebb_dtype dtype); /* enum ebb_turn of its planes */

int ebb_tensor_no_memory(struct ebb_error *err, size_t bytes);

#endif
