/* Building packs and reading chunks back.
 *
 * zstd level 1: what limits a commit is the network and SHA-256, and on floating-point data higher
 * levels cost several times the time for a few per cent. A chunk that shrinks by less than a 64th
 * is stored, which saves the restore its decompression. Trajectories and arrays of numbers go
 * through the codecs of pack/ first. */
#include "checkpoint/pack.h"

#include <string.h>
#include <zstd.h>

#include "base/memory.h"

enum { ZSTD_LEVEL = 1, PART_CODEC_BYTES = 4 };

struct ebb_pack_builder {
    struct ebb_buffer bytes;
    ZSTD_CCtx *zstd;
};

struct ebb_pack_builder *ebb_pack_builder_new(const uint8_t nonce[EBB_NONCE_SIZE], size_t raw_bytes)
{
    struct ebb_pack_builder *b = ebb_alloc(sizeof *b);
    ebb_buffer_reserve(&b->bytes, EBB_PACK_HEADER_BYTES + raw_bytes);
    ebb_buffer_append(&b->bytes, EBB_PACK_MAGIC, EBB_PACK_HEADER_BYTES - EBB_NONCE_SIZE);
    ebb_buffer_append(&b->bytes, nonce, EBB_NONCE_SIZE);
    return b;
}

void ebb_pack_builder_reset(struct ebb_pack_builder *b)
{
    b->bytes.len = EBB_PACK_HEADER_BYTES;
}

void ebb_pack_builder_destroy(struct ebb_pack_builder *b)
{
    if (b == NULL)
        return;
    (void)ZSTD_freeCCtx(b->zstd);
    ebb_buffer_clean_up(&b->bytes);
    free(b);
}

uint64_t ebb_pack_bytes(const struct ebb_pack_builder *b)
{
    return b->bytes.len;
}

void ebb_pack_cut(struct ebb_pack_builder *b, uint64_t bytes)
{
    b->bytes.len = (size_t)bytes;
}

int ebb_pack_add(struct ebb_pack_builder *b, const void *raw, size_t len,
                 struct ebb_chunk_record *ret, struct ebb_error *err)
{
    if (b->zstd == NULL && (b->zstd = ZSTD_createCCtx()) == NULL)
        return ebb_error_set(err, EBB_ERR_INTERNAL, "zstd: out of memory");
    size_t bound = ZSTD_compressBound(len);
    ebb_buffer_reserve(&b->bytes, bound > len ? bound : len);
    ret->raw_bytes = len;
    ret->offset = b->bytes.len;
    size_t stored =
        ZSTD_compressCCtx(b->zstd, b->bytes.data + b->bytes.len, bound, raw, len, ZSTD_LEVEL);
    if (ZSTD_isError(stored))
        return ebb_error_set(err, EBB_ERR_INTERNAL, "zstd: %s", ZSTD_getErrorName(stored));
    ret->codec = EBB_CODEC_ZSTD;
    if (stored >= len - len / 64) {
        memcpy(b->bytes.data + b->bytes.len, raw, len);
        stored = len;
        ret->codec = EBB_CODEC_STORED;
    }
    ret->stored_bytes = stored;
    b->bytes.len += stored;
    b->bytes.data[b->bytes.len] = 0;
    return 0;
}

static int decode_part(const uint8_t *stored, size_t len, const uint8_t *base, size_t base_len,
                       uint8_t *out, size_t raw_bytes, struct ebb_error *err)
{
    struct ebb_memory m = {.data = base, .len = base_len};
    struct ebb_bytes bytes = ebb_bytes_of_memory(&m);
    if (len < PART_CODEC_BYTES)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "a packed chunk without its codec");
    uint32_t codec = stored[0] | (uint32_t)stored[1] << 8 | (uint32_t)stored[2] << 16 |
                     (uint32_t)stored[3] << 24;
    int rc = ebb_part_decode(codec, stored + PART_CODEC_BYTES, len - PART_CODEC_BYTES,
                             base != NULL ? &bytes : NULL, out, raw_bytes, err);
    return rc == EBB_ERR_NOT_FOUND
               ? ebb_error_set(err, EBB_ERR_CORRUPT, "a chunk is a delta, and names no base")
               : rc;
}

static int decode_zstd(const uint8_t *stored, size_t len, uint8_t *out, size_t raw_bytes,
                       struct ebb_error *err)
{
    size_t n = ZSTD_decompress(out, raw_bytes, stored, len);
    if (ZSTD_isError(n) || n != raw_bytes)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "a chunk does not decompress: %s",
                             ZSTD_isError(n) ? ZSTD_getErrorName(n) : "wrong length");
    return 0;
}

static int verify_zstd(const struct ebb_pack_builder *b, const struct ebb_chunk_record *c,
                       const void *raw, struct ebb_error *err)
{
    EBB_AUTO_FREE uint8_t *back = ebb_alloc((size_t)c->raw_bytes);
    int rc = decode_zstd(b->bytes.data + c->offset, (size_t)c->stored_bytes, back,
                         (size_t)c->raw_bytes, err);
    if (rc < 0 || memcmp(back, raw, (size_t)c->raw_bytes) != 0)
        return ebb_error_set(err, EBB_ERR_INTERNAL, "a compressed chunk is not what went in");
    return 0;
}

int ebb_pack_add_chunk(struct ebb_pack_builder *b, const struct ebb_cutter *cutter, uint64_t offset,
                       const void *raw, size_t len, const struct ebb_cutter_base *base, bool verify,
                       struct ebb_chunk_record *ret, bool *ret_is_delta, struct ebb_error *err)
{
    size_t at = b->bytes.len;
    uint32_t codec = 0;
    bool needs_base = false;
    ebb_buffer_reserve(&b->bytes, PART_CODEC_BYTES);
    b->bytes.len += PART_CODEC_BYTES;
    int rc = ebb_cutter_pack(cutter, offset, raw, len, base, len - len / 64, &b->bytes, &codec,
                             &needs_base, err);
    if (rc <= 0) {
        b->bytes.len = at;
        rc = rc < 0 ? rc : ebb_pack_add(b, raw, len, ret, err);
        return rc == 0 && verify && ret->codec == EBB_CODEC_ZSTD ? verify_zstd(b, ret, raw, err)
                                                                 : rc;
    }
    for (int i = 0; i < PART_CODEC_BYTES; i++)
        b->bytes.data[at + (size_t)i] = (uint8_t)(codec >> (8 * i));
    ret->raw_bytes = len;
    ret->offset = at;
    ret->stored_bytes = b->bytes.len - at;
    ret->codec = EBB_CODEC_PART;
    *ret_is_delta = needs_base;
    return 0;
}

int ebb_pack_put(struct ebb_pack_builder *b, struct ebb_object_store *store, const char *root,
                 uint8_t ret_sha256[EBB_SHA256_SIZE], struct ebb_error *err)
{
    ebb_sha256(b->bytes.data, b->bytes.len, ret_sha256);
    EBB_AUTO_FREE char *key = ebb_pack_key(root, ret_sha256);
    int rc =
        ebb_object_put(store, key, b->bytes.data, b->bytes.len, EBB_PUT_IF_ABSENT, NULL, NULL, err);
    if (rc != EBB_ERR_EXISTS && rc != EBB_ERR_TIMEOUT && rc != EBB_ERR_CONFLICT)
        return rc;
    struct ebb_object_info info;
    rc = ebb_object_head(store, key, &info, err);
    if (rc == 0 && info.size_bytes == b->bytes.len) {
        ebb_error_clear(err);
        return 0;
    }
    if (rc < 0 && rc != EBB_ERR_NOT_FOUND)
        return rc;
    /* Only these bytes belong under this name, so overwriting can do no harm. */
    rc = ebb_object_put(store, key, b->bytes.data, b->bytes.len, EBB_PUT_ALWAYS, NULL, NULL, err);
    if (rc == 0)
        ebb_error_clear(err);
    return rc;
}

int ebb_chunk_decode(const Ebb__Chunk *c, const uint8_t *stored, const uint8_t *base, uint8_t *out,
                     struct ebb_error *err)
{
    size_t len = (size_t)c->stored_bytes, raw_bytes = (size_t)c->raw_bytes;
    int rc = 0;
    if (c->codec == EBB_CODEC_STORED)
        memcpy(out, stored, raw_bytes);
    else if (c->codec == EBB_CODEC_ZSTD)
        rc = decode_zstd(stored, len, out, raw_bytes, err);
    else
        rc = decode_part(stored, len, base, c->base_chunk != NULL ? c->base_chunk->raw_bytes : 0,
                         out, raw_bytes, err);
    if (rc < 0)
        return rc;
    uint8_t sha[EBB_SHA256_SIZE];
    ebb_sha256(out, (size_t)c->raw_bytes, sha);
    if (memcmp(sha, c->sha256.data, sizeof sha) != 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "a chunk's bytes do not match its hash");
    return 0;
}
