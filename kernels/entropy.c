/* The entropy stage: Huffman literals, zstd's match search, or stored. */
#include "kernels/entropy.h"

#include <string.h>
#include <zstd.h>

#include "kernels/huffman.h"
#include "kernels/varint.h"

enum { METHOD_STORED = 0, METHOD_ZSTD = 1 };

#define SMALL_LEVEL 6
/* A block that has shrunk to less than so small a part (equal bytes, mostly) is not searched. */
#define WORTH_SEARCH 64

#define HEAD_MAX (1 + 2 * EBB_VARINT_MAX)

static size_t make_head(uint8_t head[HEAD_MAX], uint8_t method, size_t raw, size_t packed)
{
    size_t n = 1;
    head[0] = method;
    n += ebb_varint_put(head + n, raw);
    return n + ebb_varint_put(head + n, packed);
}

static void append(struct ebb_buffer *out, uint8_t method, size_t raw, const uint8_t *bytes,
                   size_t len)
{
    uint8_t head[HEAD_MAX];
    size_t n = make_head(head, method, raw, len);
    ebb_buffer_reserve(out, n + len);
    ebb_buffer_append(out, head, n);
    if (len > 0)
        ebb_buffer_append(out, bytes, len);
}

void ebb_entropy_store(const uint8_t *in, size_t len, struct ebb_buffer *out)
{
    append(out, METHOD_STORED, len, in, len);
}

/* zstd's own frame, when it is smaller than `best` bytes: true, and it is at `frame`. */
static bool search_matches(const uint8_t *in, size_t len, size_t best, struct ebb_buffer *frame)
{
    ebb_buffer_reserve(frame, ZSTD_compressBound(len));
    size_t n = ZSTD_compress(frame->data, ZSTD_compressBound(len), in, len, SMALL_LEVEL);
    if (ZSTD_isError(n) || n >= best)
        return false;
    frame->len = n;
    return true;
}

/* The frame is made where it will stand if its head is of the longest kind, then moved down. */
void ebb_entropy_encode(const uint8_t *in, size_t len, enum ebb_entropy_level level,
                        struct ebb_buffer *out)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer matched = {0};
    uint8_t head[HEAD_MAX];
    if (len == 0) {
        ebb_entropy_store(in, len, out);
        return;
    }
    ebb_buffer_reserve(out, HEAD_MAX + EBB_HUFFMAN_BOUND(len));
    uint8_t *frame = out->data + out->len + HEAD_MAX;
    size_t n = ebb_huffman_encode(in, len, frame), best = n < len ? n : len;
    if (level == EBB_ENTROPY_SMALL && best > len / WORTH_SEARCH &&
        search_matches(in, len, best, &matched)) {
        append(out, METHOD_ZSTD, len, matched.data, matched.len);
    } else if (n < len) {
        size_t size = make_head(head, METHOD_ZSTD, len, n);
        memcpy(out->data + out->len, head, size);
        memmove(out->data + out->len + size, frame, n);
        out->len += size + n;
        out->data[out->len] = 0;
    } else {
        ebb_entropy_store(in, len, out);
    }
}

int ebb_entropy_read(const uint8_t *in, size_t len, struct ebb_entropy_block *ret,
                     struct ebb_error *err)
{
    uint64_t raw, packed;
    size_t at = 1;
    if (len == 0 || in[0] > METHOD_ZSTD || !ebb_varint_get(in, len, &at, &raw) ||
        !ebb_varint_get(in, len, &at, &packed))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "packed block: its head is damaged");
    if (packed > len - at || raw > SIZE_MAX / 2 || (in[0] == METHOD_STORED && raw != packed))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "packed block: its size is damaged");
    *ret = (struct ebb_entropy_block){.packed = in + at,
                                      .packed_len = (size_t)packed,
                                      .raw_len = (size_t)raw,
                                      .size = at + (size_t)packed,
                                      .method = in[0]};
    return 0;
}

bool ebb_entropy_is_stored(const struct ebb_entropy_block *block)
{
    return block->method == METHOD_STORED;
}

int ebb_entropy_unpack(const struct ebb_entropy_block *block, uint8_t *out, struct ebb_error *err)
{
    if (block->method == METHOD_ZSTD)
        return ebb_huffman_decode(block->packed, block->packed_len, out, block->raw_len, err);
    if (block->raw_len > 0)
        memcpy(out, block->packed, block->raw_len);
    return 0;
}

int ebb_entropy_view(const struct ebb_entropy_block *block, uint8_t *scratch,
                     const uint8_t **ret_bytes, struct ebb_error *err)
{
    if (block->method == METHOD_STORED) {
        *ret_bytes = block->packed;
        return 0;
    }
    int rc = ebb_entropy_unpack(block, scratch, err);
    if (rc == 0)
        *ret_bytes = scratch;
    return rc;
}

int ebb_entropy_decode(const uint8_t *in, size_t len, uint8_t *out, size_t out_len,
                       size_t *ret_size, struct ebb_error *err)
{
    struct ebb_entropy_block block;
    int rc = ebb_entropy_read(in, len, &block, err);
    if (rc < 0)
        return rc;
    if (block.raw_len != out_len)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "packed block: %zu bytes instead of %zu",
                             block.raw_len, out_len);
    rc = ebb_entropy_unpack(&block, out, err);
    if (rc == 0)
        *ret_size = block.size;
    return rc;
}
