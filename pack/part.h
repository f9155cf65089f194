/* A part: a run of a file's bytes, packed by the codec that suits it, and read by itself (and its
 * base, where it has one). Parts are what packed files consist of, and what the checkpoint
 * repository stores for a chunk of a file that it recognises. Format: docs/format-codecs.md. */
#ifndef EBB_PACK_PART_H
#define EBB_PACK_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "pack/bytes.h"

/* The numbers stand in packed files and in checkpoints. */
enum ebb_part_codec {
    EBB_PART_STORED = 0,
    EBB_PART_ZSTD = 1,        /* one frame */
    EBB_PART_SECTIONS = 2,    /* arrays of numbers, and plain bytes between them */
    EBB_PART_FRAMES = 3,      /* frames of a trajectory */
    EBB_PART_OVER_FRAMES = 4, /* as SECTIONS, positions over frames of the base, a trajectory */
    EBB_PART_OVER_ARRAYS = 5, /* as both, and arrays over earlier ones of the part */
    EBB_PART_CODECS = 6,
};

enum ebb_pack_level { EBB_PACK_FAST, EBB_PACK_SMALL };

const char *ebb_part_codec_name(uint32_t codec); /* "zstd"; "?" when unknown */

/* Bytes of which nothing is known: zstd, or stored when that gains less than a 64th. Appends the
 * payload to `out`. */
int ebb_part_encode_plain(const void *raw, size_t len, enum ebb_pack_level level,
                          struct ebb_buffer *out, uint32_t *ret_codec, struct ebb_error *err);

/* Exactly raw_bytes bytes into `out`. `base`: what the part may be a delta against; NULL: a part
 * that needs one is EBB_ERR_NOT_FOUND. EBB_ERR_CORRUPT; EBB_ERR_UNSUPPORTED for a codec of a later
 * version. */
int ebb_part_decode(uint32_t codec, const uint8_t *payload, size_t len,
                    const struct ebb_bytes *base, uint8_t *out, size_t raw_bytes,
                    struct ebb_error *err);

#endif
