/* Plain bytes, and the one place that decodes a part of any codec. */
#include "pack/part.h"

#include <string.h>
#include <zstd.h>

#include "base/memory.h"
#include "pack/part_arrays.h"
#include "pack/part_frames.h"

/* Level 3 costs half the time of what follows and gains little on anything else; 19 is for what is
 * kept. */
enum { ZSTD_LEVEL_FAST = 3, ZSTD_LEVEL_SMALL = 19 };

const char *ebb_part_codec_name(uint32_t codec)
{
    static const char *const names[EBB_PART_CODECS] = {"stored", "zstd",       "arrays",
                                                       "frames", "over-frame", "over-arrays"};
    return codec < EBB_PART_CODECS ? names[codec] : "?";
}

int ebb_part_encode_plain(const void *raw, size_t len, enum ebb_pack_level level,
                          struct ebb_buffer *out, uint32_t *ret_codec, struct ebb_error *err)
{
    size_t bound = ZSTD_compressBound(len);
    ebb_buffer_reserve(out, bound > len ? bound : len);
    size_t packed = ZSTD_compress(out->data + out->len, bound, raw, len,
                                  level == EBB_PACK_SMALL ? ZSTD_LEVEL_SMALL : ZSTD_LEVEL_FAST);
    if (ZSTD_isError(packed))
        return ebb_error_set(err, EBB_ERR_INTERNAL, "zstd: %s", ZSTD_getErrorName(packed));
    *ret_codec = EBB_PART_ZSTD;
    if (packed >= len - len / 64) {
        memcpy(out->data + out->len, raw, len);
        packed = len;
        *ret_codec = EBB_PART_STORED;
    }
    out->len += packed;
    out->data[out->len] = 0;
    return 0;
}

static int decode_zstd(const uint8_t *payload, size_t len, uint8_t *out, size_t raw_bytes,
                       struct ebb_error *err)
{
    size_t n = ZSTD_decompress(out, raw_bytes, payload, len);
    if (ZSTD_isError(n) || n != raw_bytes)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "a part does not decompress: %s",
                             ZSTD_isError(n) ? ZSTD_getErrorName(n) : "wrong length");
    return 0;
}

int ebb_part_decode(uint32_t codec, const uint8_t *payload, size_t len,
                    const struct ebb_bytes *base, uint8_t *out, size_t raw_bytes,
                    struct ebb_error *err)
{
    switch (codec) {
    case EBB_PART_STORED:
        if (len != raw_bytes)
            return ebb_error_set(err, EBB_ERR_CORRUPT, "a stored part of the wrong length");
        memcpy(out, payload, len);
        return 0;
    case EBB_PART_ZSTD:
        return decode_zstd(payload, len, out, raw_bytes, err);
    case EBB_PART_SECTIONS:
    case EBB_PART_OVER_FRAMES:
    case EBB_PART_OVER_ARRAYS:
        return ebb_part_decode_arrays(payload, len, base, out, raw_bytes, err);
    case EBB_PART_FRAMES:
        return ebb_part_decode_frames(payload, len, out, raw_bytes, err);
    default:
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED,
                             "packed by codec %u of a later version of ebb: use that one", codec);
    }
}
