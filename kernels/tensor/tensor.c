/* Blobs: their head, their checksums, and the choice of the method.
 *
 *     version    1 byte      EBB_TENSOR_VERSION
 *     checksum   8 bytes     XXH3-64 of all that follows, little-endian
 *     method     1 byte      enum ebb_tensor_method
 *     dtype      1 byte      enum ebb_dtype
 *     flags      1 byte      1 big-endian, 2 needs a base
 *     elements   varint
 *     columns    varint      1: flat
 *     content    8 bytes     XXH3-64 of the elements as in the file
 *     body                   of the method
 *
 * The first checksum finds damage before anything is decoded; the second proves what was decoded,
 * and that the base was the right one. */
#include <stdlib.h>
#include <string.h>

#include "kernels/block_hash.h"
#include "kernels/tensor/choose.h"
#include "kernels/tensor/method.h"
#include "kernels/varint.h"

#define EBB_TENSOR_VERSION 1
#define CHECKED_FROM       9 /* where the checksum's bytes begin */
enum { FLAG_BIG_ENDIAN = 1, FLAG_BASE = 2, FLAGS = 3 };

int ebb_tensor_no_memory(struct ebb_error *err, size_t bytes)
{
    return ebb_error_set(err, EBB_ERR_INTERNAL, "no memory for %zu bytes", bytes);
}

static uint64_t load_le64(const uint8_t *in)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)in[i] << (8 * i);
    return value;
}

static void store_le64(uint8_t *out, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static void swap_elements(const uint8_t *in, uint8_t *out, size_t n, unsigned stride)
{
    for (size_t i = 0; i < n * stride; i += stride) {
        uint8_t word[8];
        for (unsigned k = 0; k < stride; k++)
            word[k] = in[i + stride - 1 - k];
        memcpy(out + i, word, stride);
    }
}

const uint8_t *ebb_tensor_chunk(const struct ebb_tensor_array *a, const uint8_t *from, size_t at,
                                size_t n, uint8_t *scratch)
{
    if (!a->big_endian || a->stride == 1)
        return from + at * a->stride;
    swap_elements(from + at * a->stride, scratch, n, a->stride);
    return scratch;
}

void ebb_tensor_finish_chunk(const struct ebb_tensor_array *a, uint8_t *data, size_t n)
{
    if (a->big_endian && a->stride > 1)
        swap_elements(data, data, n, a->stride);
}

static int damaged(struct ebb_error *err)
{
    return ebb_error_set(err, EBB_ERR_CORRUPT, "packed tensor: it ends too early");
}

int ebb_tensor_body_bytes(struct ebb_tensor_body *b, void *out, size_t len, struct ebb_error *err)
{
    if (len > b->len)
        return damaged(err);
    memcpy(out, b->at, len);
    b->at += len;
    b->len -= len;
    return 0;
}

int ebb_tensor_body_varint(struct ebb_tensor_body *b, uint64_t *ret, struct ebb_error *err)
{
    size_t at = 0;
    if (!ebb_varint_get(b->at, b->len, &at, ret))
        return damaged(err);
    b->at += at;
    b->len -= at;
    return 0;
}

int ebb_tensor_body_view(struct ebb_tensor_body *b, size_t raw_len, uint8_t *scratch,
                         const uint8_t **ret, struct ebb_error *err)
{
    struct ebb_entropy_block block;
    int rc = ebb_entropy_read(b->at, b->len, &block, err);
    if (rc < 0)
        return rc;
    if (block.raw_len != raw_len)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "packed tensor: a block of %zu bytes, not %zu",
                             block.raw_len, raw_len);
    b->at += block.size;
    b->len -= block.size;
    return ebb_entropy_view(&block, scratch, ret, err);
}

int ebb_tensor_body_stored(struct ebb_tensor_body *b, const uint8_t **ret, size_t *ret_len,
                           struct ebb_error *err)
{
    struct ebb_entropy_block block;
    int rc = ebb_entropy_read(b->at, b->len, &block, err);
    if (rc < 0)
        return rc;
    if (!ebb_entropy_is_stored(&block))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "packed tensor: a block is not stored");
    b->at += block.size;
    b->len -= block.size;
    *ret = block.packed;
    *ret_len = block.raw_len;
    return 0;
}

static int encode_body(enum ebb_tensor_method method, const struct ebb_tensor_array *a,
                       struct ebb_buffer *out, struct ebb_error *err)
{
    switch (method) {
    case EBB_TENSOR_SAME:
        return 0;
    case EBB_TENSOR_PLANES:
        return ebb_tensor_planes_encode(a, out, err);
    case EBB_TENSOR_DELTA:
        return ebb_tensor_delta_encode(a, out, err);
    case EBB_TENSOR_SCALE:
        return ebb_tensor_scale_encode(a, out, err);
    case EBB_TENSOR_STEP:
        return ebb_tensor_step_encode(a, out, err);
    }
    return ebb_error_set(err, EBB_ERR_INTERNAL, "tensor method %d", method);
}

static int decode_body(enum ebb_tensor_method method, const struct ebb_tensor_array *a,
                       struct ebb_tensor_body *body, uint8_t *out, struct ebb_error *err)
{
    switch (method) {
    case EBB_TENSOR_SAME:
        if (out != a->base && a->elements > 0)
            memcpy(out, a->base, a->elements * a->stride);
        return 0;
    case EBB_TENSOR_PLANES:
        return ebb_tensor_planes_decode(a, body, out, err);
    case EBB_TENSOR_DELTA:
        return ebb_tensor_delta_decode(a, body, out, err);
    case EBB_TENSOR_SCALE:
        return ebb_tensor_scale_decode(a, body, out, err);
    case EBB_TENSOR_STEP:
        return ebb_tensor_step_decode(a, body, out, err);
    }
    return ebb_error_set(err, EBB_ERR_INTERNAL, "tensor method %d", method);
}

static struct ebb_tensor_array array_of(const struct ebb_tensor_input *in,
                                        enum ebb_tensor_level level)
{
    size_t columns = in->columns;
    if (columns < 1 || in->elements == 0 || in->elements % columns != 0)
        columns = 1;
    return (struct ebb_tensor_array){.data = in->data,
                                     .base = in->base,
                                     .elements = in->elements,
                                     .columns = columns,
                                     .stride = (unsigned)ebb_dtype_size(in->dtype),
                                     .dtype = in->dtype,
                                     .big_endian = in->big_endian,
                                     .level = level == EBB_TENSOR_SMALL ? EBB_ENTROPY_SMALL
                                                                        : EBB_ENTROPY_FAST};
}

static void append_head(const struct ebb_tensor_array *a, enum ebb_tensor_method method,
                        bool with_base, struct ebb_buffer *out)
{
    uint8_t head[CHECKED_FROM + 3 + 2 * EBB_VARINT_MAX + 8] = {EBB_TENSOR_VERSION};
    size_t n = CHECKED_FROM;
    head[n++] = (uint8_t)method;
    head[n++] = (uint8_t)a->dtype;
    head[n++] = (uint8_t)((a->big_endian ? FLAG_BIG_ENDIAN : 0) | (with_base ? FLAG_BASE : 0));
    n += ebb_varint_put(head + n, a->elements);
    n += ebb_varint_put(head + n, a->columns);
    store_le64(head + n, ebb_block_checksum(a->data, a->elements * a->stride));
    ebb_buffer_append(out, head, n + 8);
}

/* Differences are tried when they seem to take a fiftieth less: the estimate knows no tables. */
#define WORTH_DELTA 1.02

/* The body of the method of steps, or of differences where that is smaller: `delta_bytes` is about
 * what those will take, and only when it is less are they made. `start`: where the head is. */
static int encode_steps(const struct ebb_tensor_array *a, double delta_bytes, size_t start,
                        struct ebb_buffer *out, struct ebb_error *err)
{
    size_t body = out->len;
    int rc = ebb_tensor_step_encode(a, out, err);
    if (rc < 0 || (rc == 0 && (double)(out->len - body) < delta_bytes * WORTH_DELTA))
        return rc;
    if (rc == 1) {
        out->data[start + CHECKED_FROM] = EBB_TENSOR_DELTA;
        return ebb_tensor_delta_encode(a, out, err);
    }
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer other = {0};
    rc = ebb_tensor_delta_encode(a, &other, err);
    if (rc < 0 || other.len >= out->len - body)
        return rc;
    out->len = body;
    ebb_buffer_append(out, other.data, other.len);
    out->data[start + CHECKED_FROM] = EBB_TENSOR_DELTA;
    return 0;
}

int ebb_tensor_encode(const struct ebb_tensor_input *in, enum ebb_tensor_level level,
                      struct ebb_buffer *out, struct ebb_error *err)
{
    if (!ebb_dtype_known((int)in->dtype) || in->elements > SIZE_MAX / 4 / ebb_dtype_size(in->dtype))
        return ebb_error_set(err, EBB_ERR_INPUT, "tensor: element type %d, %zu elements",
                             (int)in->dtype, in->elements);
    struct ebb_tensor_array a = array_of(in, level);
    enum ebb_tensor_method method;
    double delta_bytes = 0;
    int rc = ebb_tensor_choose(&a, in->role, &method, &delta_bytes, err);
    if (rc < 0)
        return rc;
    size_t start = out->len;
    append_head(&a, method, a.base != NULL, out);
    rc = method == EBB_TENSOR_STEP ? encode_steps(&a, delta_bytes, start, out, err)
                                   : encode_body(method, &a, out, err);
    if (rc < 0) {
        out->len = start;
        return rc;
    }
    uint8_t *blob = out->data + start;
    store_le64(blob + 1, ebb_block_checksum(blob + CHECKED_FROM, out->len - start - CHECKED_FROM));
    return 0;
}

/* The head; *ret_body is what follows, *ret_content the checksum of what it decodes to. */
static int read_head(const uint8_t *blob, size_t len, struct ebb_tensor_info *ret,
                     struct ebb_tensor_body *ret_body, uint64_t *ret_content, struct ebb_error *err)
{
    uint64_t elements, columns;
    size_t at = CHECKED_FROM + 3;
    if (len > 0 && blob[0] != EBB_TENSOR_VERSION)
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED, "packed tensor: version %u", blob[0]);
    if (len < at || !ebb_varint_get(blob, len, &at, &elements) ||
        !ebb_varint_get(blob, len, &at, &columns) || len - at < 8)
        return damaged(err);
    unsigned method = blob[CHECKED_FROM], dtype = blob[CHECKED_FROM + 1],
             flags = blob[CHECKED_FROM + 2];
    if (method > EBB_TENSOR_STEP || !ebb_dtype_known((int)dtype) || flags > FLAGS || columns < 1 ||
        elements > SIZE_MAX / 16 || (elements > 0 ? elements % columns != 0 : columns != 1) ||
        ((method == EBB_TENSOR_SAME || method == EBB_TENSOR_DELTA || method == EBB_TENSOR_STEP) &&
         !(flags & FLAG_BASE)) ||
        (method == EBB_TENSOR_PLANES && (flags & FLAG_BASE)))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "packed tensor: its head is damaged");
    *ret = (struct ebb_tensor_info){.dtype = (enum ebb_dtype)dtype,
                                    .method = (enum ebb_tensor_method)method,
                                    .big_endian = flags & FLAG_BIG_ENDIAN,
                                    .needs_base = flags & FLAG_BASE,
                                    .elements = (size_t)elements,
                                    .columns = (size_t)columns};
    ret->bytes = ret->elements * ebb_dtype_size(ret->dtype);
    *ret_content = load_le64(blob + at);
    *ret_body = (struct ebb_tensor_body){blob + at + 8, len - at - 8};
    return 0;
}

int ebb_tensor_read_info(const void *blob, size_t len, struct ebb_tensor_info *ret,
                         struct ebb_error *err)
{
    struct ebb_tensor_body body = {0};
    uint64_t content = 0;
    return read_head(blob, len, ret, &body, &content, err);
}

int ebb_tensor_decode(const void *blob, size_t len, const void *base, size_t base_len, void *out,
                      size_t out_len, struct ebb_error *err)
{
    struct ebb_tensor_info info = {0};
    struct ebb_tensor_body body = {0};
    uint64_t content = 0;
    const uint8_t *bytes = blob;
    int rc = read_head(bytes, len, &info, &body, &content, err);
    if (rc < 0)
        return rc;
    if (ebb_block_checksum(bytes + CHECKED_FROM, len - CHECKED_FROM) != load_le64(bytes + 1))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "packed tensor: its checksum does not match");
    if (info.bytes != out_len)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "packed tensor: %zu bytes instead of %zu",
                             info.bytes, out_len);
    if (info.needs_base && (base == NULL || base_len != out_len))
        return ebb_error_set(err, EBB_ERR_CORRUPT,
                             "packed tensor: it was packed against a base of %zu bytes", out_len);
    struct ebb_tensor_array a = {.base = info.needs_base ? base : NULL,
                                 .elements = info.elements,
                                 .columns = info.columns,
                                 .stride = (unsigned)ebb_dtype_size(info.dtype),
                                 .dtype = info.dtype,
                                 .big_endian = info.big_endian};
    rc = decode_body(info.method, &a, &body, out, err);
    if (rc < 0)
        return rc;
    if (body.len != 0 || ebb_block_checksum(out, out_len) != content)
        return ebb_error_set(err, EBB_ERR_CORRUPT,
                             info.needs_base ? "packed tensor: it was packed against another base"
                                             : "packed tensor: what it holds does not match");
    return 0;
}
