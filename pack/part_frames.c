/*   0  u32 kind      4  u32 type   8  u32 frames   12  u32 multiplier   16  u64 atoms
 *  24  u32 codec of the rests      28  u32 their raw length   32  u32 packed   36  u32 zero
 *  40  the rests, packed: u32 length of each frame's (top bit: verbatim), then their bytes
 *      the coordinates: groups of the trajectory codec, one after another
 *
 * The rests of binary formats may hold velocities and forces, which zstd hardly shrinks: long ones
 * are also tried as an array of floats. */
#include "pack/part_frames.h"

#include <string.h>

#include "base/dtype.h"
#include "base/memory.h"
#include "formats/frame.h"
#include "kernels/tensor/tensor.h"
#include "kernels/trajectory/trajectory.h"
#include "pack/little_endian.h"

enum { HEADER_BYTES = 40, TRY_FLOATS_BYTES = 16384 };
#define VERBATIM    UINT32_C(0x80000000)
#define REST_FLOATS 16u /* codec of the rests: a tensor's blob */

static size_t element_bytes(enum ebb_frames_type type)
{
    return type == EBB_FRAMES_F64 ? 8 : 4;
}

void ebb_part_frames_reset(struct ebb_part_frames *f)
{
    f->count = 0;
    ebb_buffer_reset(&f->rests);
    ebb_buffer_reset(&f->coordinates);
    ebb_buffer_reset(&f->boxes);
}

void ebb_part_frames_clean_up(struct ebb_part_frames *f)
{
    free(f->frames);
    ebb_buffer_clean_up(&f->rests);
    ebb_buffer_clean_up(&f->coordinates);
    ebb_buffer_clean_up(&f->boxes);
    *f = (struct ebb_part_frames){0};
}

void ebb_part_frames_add(struct ebb_part_frames *f, const void *rest, size_t rest_bytes,
                         const void *coordinates, const float box[9])
{
    if (f->count == f->capacity) {
        f->capacity = f->capacity == 0 ? 128 : 2 * f->capacity;
        f->frames = ebb_realloc_array(f->frames, f->capacity, sizeof *f->frames);
    }
    f->frames[f->count++] = (struct ebb_part_frame){.rest_bytes = (uint32_t)rest_bytes,
                                                    .is_verbatim = coordinates == NULL};
    ebb_buffer_append(&f->rests, rest, rest_bytes);
    if (coordinates == NULL)
        return;
    ebb_buffer_append(&f->coordinates, coordinates, f->atoms * 3 * element_bytes(f->type));
    ebb_buffer_append(&f->boxes, box, 9 * sizeof *box);
}

/* ---- packing ---- */

static int encode_rests(const struct ebb_part_frames *f, enum ebb_pack_level level, size_t head_at,
                        struct ebb_buffer *out, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer rests = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer floats = {0};
    for (uint32_t i = 0; i < f->count; i++)
        ebb_append_u32(&rests, f->frames[i].rest_bytes | (f->frames[i].is_verbatim ? VERBATIM : 0));
    ebb_buffer_append(&rests, f->rests.data, f->rests.len);
    size_t at = out->len;
    uint32_t codec = EBB_PART_STORED;
    int rc = ebb_part_encode_plain(rests.data, rests.len, level, out, &codec, err);
    bool is_big = f->kind == EBB_FILE_TRR;
    if (rc == 0 && rests.len / (f->count + 1) >= TRY_FLOATS_BYTES && rests.len % 4 == 0 &&
        f->kind != EBB_FILE_LAMMPS_DUMP_TEXT && f->kind != EBB_FILE_XTC) {
        bool wide = f->type == EBB_FRAMES_F64 && rests.len % 8 == 0;
        struct ebb_tensor_input in = {.data = rests.data,
                                      .elements = rests.len / (wide ? 8 : 4),
                                      .dtype = wide ? EBB_DTYPE_F64 : EBB_DTYPE_F32,
                                      .big_endian = is_big};
        rc = ebb_tensor_encode(&in, (int)level, &floats, err);
        if (rc == 0 && floats.len < out->len - at) {
            out->len = at;
            ebb_buffer_append(out, floats.data, floats.len);
            codec = REST_FLOATS;
        }
    }
    ebb_put_u32(out->data + head_at + 24, codec);
    ebb_put_u32(out->data + head_at + 28, (uint32_t)rests.len);
    ebb_put_u32(out->data + head_at + 32, (uint32_t)(out->len - at));
    return rc;
}

static int encode_coordinates(const struct ebb_part_frames *f, enum ebb_pack_level level,
                              struct ebb_buffer *out, struct ebb_error *err)
{
    size_t frame_bytes = f->atoms * 3 * element_bytes(f->type);
    if (f->coordinates.len == 0)
        return 0;
    struct ebb_traj_options o = {.quantum = f->quantum,
                                 .group_frames = EBB_TRAJ_GROUP_FRAMES_MAX,
                                 .level = level == EBB_PACK_SMALL ? EBB_TRAJ_SMALL : EBB_TRAJ_FAST};
    EBB_AUTO(ebb_traj_encoder_destroy_ptr)
    struct ebb_traj_encoder *enc = ebb_traj_encoder_new(f->atoms, &o, err);
    if (enc == NULL)
        return EBB_ERR_INPUT;
    int rc = 0;
    const float *box = (const float *)(const void *)f->boxes.data;
    for (size_t at = 0; at < f->coordinates.len && rc == 0; at += frame_bytes, box += 9) {
        const void *x = f->coordinates.data + at;
        rc = f->type == EBB_FRAMES_LATTICE ? ebb_traj_encoder_add_lattice(enc, x, box, out, err)
             : f->type == EBB_FRAMES_F32   ? ebb_traj_encoder_add(enc, x, box, out, err)
                                           : ebb_traj_encoder_add_f64(enc, x, box, out, err);
    }
    return rc < 0 ? rc : ebb_traj_encoder_flush(enc, out, err);
}

int ebb_part_encode_frames(const struct ebb_part_frames *f, enum ebb_pack_level level,
                           struct ebb_buffer *out, struct ebb_error *err)
{
    size_t head_at = out->len;
    uint8_t head[HEADER_BYTES] = {0};
    ebb_put_u32(head, f->kind);
    ebb_put_u32(head + 4, f->type);
    ebb_put_u32(head + 8, f->count);
    ebb_put_u32(head + 12, f->multiplier == 0 ? 1 : f->multiplier);
    ebb_put_u64(head + 16, f->atoms);
    ebb_buffer_append(out, head, sizeof head);
    int rc = encode_rests(f, level, head_at, out, err);
    return rc < 0 ? rc : encode_coordinates(f, level, out, err);
}

/* ---- unpacking ---- */

struct reading {
    enum ebb_file_kind kind;
    enum ebb_frames_type type;
    uint32_t frames;
    uint32_t multiplier;
    size_t atoms;
    uint8_t *rests; /* unpacked */
    size_t rests_len;
    const uint8_t *groups;
    size_t groups_left;
    struct ebb_traj_decoder *decoder; /* of the group that is being read, or NULL */
    void *coordinates;
};

static int damaged(struct ebb_error *err, const char *what)
{
    return ebb_error_set(err, EBB_ERR_CORRUPT, "a part of frames is damaged: %s", what);
}

static void reading_clean_up(struct reading *r)
{
    free(r->rests);
    free(r->coordinates);
    ebb_traj_decoder_destroy(r->decoder);
}

static int unpack_rests(struct reading *r, uint32_t codec, const uint8_t *packed, size_t len,
                        struct ebb_error *err)
{
    if (r->rests_len / 4 < r->frames)
        return damaged(err, "too few frames");
    r->rests = malloc(r->rests_len + 1);
    if (r->rests == NULL)
        return ebb_error_set(err, EBB_ERR_INTERNAL, "out of memory for %zu bytes", r->rests_len);
    if (codec == REST_FLOATS)
        return ebb_tensor_decode(packed, len, NULL, 0, r->rests, r->rests_len, err);
    if (codec != EBB_PART_STORED && codec != EBB_PART_ZSTD)
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED,
                             "packed by codec %u of a later version of ebb: use that one", codec);
    return ebb_part_decode(codec, packed, len, NULL, r->rests, r->rests_len, err);
}

static int open_reading(struct reading *r, const uint8_t *payload, size_t len, size_t max_bytes,
                        struct ebb_error *err)
{
    if (len < HEADER_BYTES)
        return damaged(err, "it ends too early");
    uint32_t kind = ebb_get_u32(payload), type = ebb_get_u32(payload + 4);
    uint64_t atoms = ebb_get_u64(payload + 16);
    size_t packed = ebb_get_u32(payload + 32);
    if (kind >= EBB_FILE_KINDS || type > EBB_FRAMES_F64 || ebb_get_u32(payload + 36) != 0)
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED,
                             "frames of a kind that needs a later version of ebb");
    r->kind = (enum ebb_file_kind)kind;
    r->type = (enum ebb_frames_type)type;
    r->frames = ebb_get_u32(payload + 8);
    r->multiplier = ebb_get_u32(payload + 12);
    r->rests_len = ebb_get_u32(payload + 28);
    /* The rests come out again, but for 4 bytes a frame; and in no format does an atom take less
     * than a bit. */
    if (packed > len - HEADER_BYTES || r->frames > r->rests_len / 4 ||
        r->rests_len - (size_t)r->frames * 4 > max_bytes || atoms / 8 > max_bytes)
        return damaged(err, "its lengths");
    r->atoms = (size_t)atoms;
    r->groups = payload + HEADER_BYTES + packed;
    r->groups_left = len - HEADER_BYTES - packed;
    return unpack_rests(r, ebb_get_u32(payload + 24), payload + HEADER_BYTES, packed, err);
}

static int next_group(struct reading *r, struct ebb_error *err)
{
    ebb_traj_decoder_destroy(EBB_TAKE(r->decoder));
    if (r->groups_left == 0)
        return damaged(err, "too few coordinates");
    struct ebb_traj_group_info info;
    int rc = ebb_traj_group_info(r->groups, r->groups_left, &info, err);
    if (rc < 0)
        return rc;
    if (info.atoms != r->atoms || info.bytes > r->groups_left || info.bytes == 0)
        return damaged(err, "a group of other atoms");
    rc = ebb_traj_decoder_open(r->groups, info.bytes, &r->decoder, err);
    r->groups += info.bytes;
    r->groups_left -= info.bytes;
    if (rc == 0 && r->coordinates == NULL) {
        r->coordinates = malloc(r->atoms * 3 * element_bytes(r->type) + 1);
        if (r->coordinates == NULL)
            return ebb_error_set(err, EBB_ERR_INTERNAL, "out of memory for %zu atoms", r->atoms);
    }
    return rc;
}

/* XTC's integers are the lattice's times the multiplier. */
static int multiply(const struct reading *r, struct ebb_error *err)
{
    int32_t *q = r->coordinates;
    bool overflow = false;
    for (size_t i = 0; r->multiplier != 1 && i < 3 * r->atoms; i++)
        overflow |= __builtin_mul_overflow(q[i], (int64_t)r->multiplier, &q[i]);
    return overflow ? damaged(err, "coordinates beyond the format") : 0;
}

static int next_coordinates(struct reading *r, struct ebb_error *err)
{
    for (;;) {
        int rc = 0;
        if (r->decoder != NULL)
            rc = r->type == EBB_FRAMES_LATTICE
                     ? ebb_traj_decoder_next_lattice(r->decoder, r->coordinates, NULL, err)
                 : r->type == EBB_FRAMES_F32
                     ? ebb_traj_decoder_next(r->decoder, r->coordinates, NULL, err)
                     : ebb_traj_decoder_next_f64(r->decoder, r->coordinates, NULL, err);
        if (rc > 0)
            return r->type == EBB_FRAMES_LATTICE ? multiply(r, err) : 0;
        if (rc == 0)
            rc = next_group(r, err);
        if (rc < 0)
            return rc;
    }
}

static void append_raw(const struct reading *r, struct ebb_buffer *out)
{
    size_t element = element_bytes(r->type);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    for (uint8_t *p = r->coordinates; p < (uint8_t *)r->coordinates + r->atoms * 3 * element;
         p += element)
        for (size_t i = 0; i < element / 2; i++) {
            uint8_t byte = p[i];
            p[i] = p[element - 1 - i];
            p[element - 1 - i] = byte;
        }
#endif
    ebb_buffer_append(out, r->coordinates, r->atoms * 3 * element);
}

static int write_frame(struct reading *r, const uint8_t *rest, size_t rest_len,
                       struct ebb_buffer *out, struct ebb_error *err)
{
    int rc = next_coordinates(r, err);
    if (rc < 0)
        return rc;
    if (r->kind == EBB_FILE_RAW) {
        append_raw(r, out);
        return 0;
    }
    struct ebb_coordinates x = {
        .atoms = r->atoms,
        .x32 = r->type == EBB_FRAMES_F32 ? r->coordinates : NULL,
        .x64 = r->type == EBB_FRAMES_F64 ? r->coordinates : NULL,
        .xq = r->type == EBB_FRAMES_LATTICE ? r->coordinates : NULL,
    };
    rc = ebb_frame_write(r->kind, rest, rest_len, &x, out, err);
    return rc < 0 ? ebb_error_wrap(err, EBB_ERR_CORRUPT, "a frame cannot be put together") : 0;
}

static int read_frame(struct reading *r, uint32_t number, size_t *rest_at, size_t max_bytes,
                      struct ebb_buffer *out, bool *ret_verbatim, struct ebb_error *err)
{
    uint32_t word = ebb_get_u32(r->rests + (size_t)number * 4);
    size_t len = word & ~VERBATIM;
    if (len > r->rests_len - *rest_at)
        return damaged(err, "too little of its frames");
    const uint8_t *rest = r->rests + *rest_at;
    *rest_at += len;
    *ret_verbatim = (word & VERBATIM) != 0;
    int rc = 0;
    if (*ret_verbatim)
        ebb_buffer_append(out, rest, len);
    else
        rc = write_frame(r, rest, len, out, err);
    return rc == 0 && out->len > max_bytes ? damaged(err, "it is longer than it should be") : rc;
}

int ebb_part_read_frames(const uint8_t *payload, size_t len, size_t max_bytes,
                         struct ebb_buffer *out,
                         int (*seen)(void *ctx, uint32_t number, const uint8_t *bytes, size_t len,
                                     const void *coordinates, struct ebb_error *err),
                         void *ctx, struct ebb_error *err)
{
    EBB_AUTO(reading_clean_up) struct reading r = {0};
    int rc = open_reading(&r, payload, len, max_bytes, err);
    size_t rest_at = (size_t)r.frames * 4;
    for (uint32_t i = 0; i < r.frames && rc == 0; i++) {
        size_t before = out->len;
        bool is_verbatim = false;
        rc = read_frame(&r, i, &rest_at, max_bytes, out, &is_verbatim, err);
        if (rc == 0 && seen != NULL)
            rc = seen(ctx, i, out->data + before, out->len - before,
                      is_verbatim ? NULL : r.coordinates, err);
    }
    if (rc == 0 && (r.groups_left != 0 || rest_at != r.rests_len))
        rc = damaged(err, "its lengths do not add up");
    return rc;
}

int ebb_part_decode_frames(const uint8_t *payload, size_t len, uint8_t *out, size_t raw_bytes,
                           struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer frames = {0};
    int rc = ebb_part_read_frames(payload, len, raw_bytes, &frames, NULL, NULL, err);
    if (rc == 0 && frames.len != raw_bytes)
        rc = damaged(err, "it is shorter than it should be");
    if (rc == 0 && raw_bytes > 0)
        memcpy(out, frames.data, raw_bytes);
    return rc;
}
