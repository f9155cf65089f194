/* Format: docs/format-codecs.md.
 *
 *   0  u32 sections   4  u32 codec of the plain bytes   8  u32 their raw length   12  u32 packed
 *  16  a section each: u32 raw length, u32 packed length, u64 where its base begins
 *      (packed length 0: plain bytes; base 2^64 - 1: none; 2^64 - 2: a state blob, which also
 *      holds the velocities, of the next section whose base is 2^64 - 3; 2^64 - 4: the same over a
 *      frame of the base, whose place stands before the blob; from 2^63 to there: an earlier array
 *      of the part, so many bytes less 2^63 before this one)
 *      the plain bytes, packed; the arrays' blobs, in order
 */
#include "pack/part_arrays.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/memory.h"
#include "formats/ranges.h"
#include "kernels/tensor/state.h"
#include "pack/little_endian.h"

enum { HEADER_BYTES = 16, SECTION_BYTES = 16 };
#define NO_BASE          UINT64_MAX
#define STATE_POSITIONS  (UINT64_MAX - 1)
#define STATE_VELOCITIES (UINT64_MAX - 2)
#define STATE_OVER_FRAME (UINT64_MAX - 3)
#define EARLIER          (UINT64_C(1) << 63)
/* Arrays of a kind before this one that are compared with it: a frame may have four of them. */
#define EARLIER_LOOKS  4
#define EARLIER_SAMPLE 256 /* numbers */

static bool is_earlier(uint64_t base)
{
    return base >= EARLIER && base < STATE_OVER_FRAME;
}

static int read_base(const struct ebb_bytes *base, uint64_t offset, size_t len,
                     struct ebb_buffer *into, struct ebb_error *err)
{
    ebb_buffer_reset(into);
    if (offset > base->size_bytes || len > base->size_bytes - offset)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "the base is too short");
    ebb_buffer_reserve(into, len);
    int rc = ebb_bytes_read(base, offset, into->data, len, err);
    into->len = rc == 0 ? len : 0;
    return rc;
}

/* ---- packing ---- */

enum ebb_part_motion ebb_part_motion_of(const struct ebb_range *range)
{
    return range->role == EBB_ROLE_X   ? EBB_PART_POSITIONS
           : range->role == EBB_ROLE_V ? EBB_PART_VELOCITIES
                                       : EBB_PART_OTHER;
}

bool ebb_part_recurs(const struct ebb_range *range)
{
    return range->role == EBB_ROLE_X || range->role == EBB_ROLE_V || range->role == EBB_ROLE_F ||
           range->role == EBB_ROLE_FRAME;
}

void ebb_part_see_box(const struct ebb_range *range, const struct ebb_bytes *file, double box[3])
{
    uint8_t bytes[72];
    size_t element = ebb_dtype_size(range->dtype);
    if (range->role != EBB_ROLE_BOX || strcmp(range->name, "box") != 0 ||
        range->len != 9 * element || element < 4 || range->len > sizeof bytes ||
        ebb_bytes_read(file, range->offset, bytes, (size_t)range->len, NULL) < 0)
        return;
    for (size_t i = 0; i < 3; i++) {
        const uint8_t *p = bytes + 4 * i * element; /* the diagonal */
        uint64_t bits = 0;
        for (size_t k = 0; k < element; k++)
            bits = bits << 8 | p[range->big_endian ? k : element - 1 - k];
        uint32_t narrow = (uint32_t)bits;
        float f;
        memcpy(&f, &narrow, sizeof f);
        memcpy(&box[i], &bits, sizeof box[i]);
        box[i] = element == 4 ? (double)f : box[i];
        if (!isfinite(box[i]) || box[i] < 0)
            box[i] = 0;
    }
}

struct packing {
    const struct ebb_part_section *sections;
    size_t count;
    const struct ebb_bytes *base;
    enum ebb_pack_level level;
    struct ebb_buffer scratch;
    size_t velocities; /* that went with positions before; 0: none */
    bool over_frames, over_arrays;
};

/* The top half of a float, as a whole number that is ordered as the floats are. */
static int64_t ordered(const uint8_t *p, const struct ebb_part_section *s)
{
    const size_t element = ebb_dtype_size(s->dtype), bytes = element < 4 ? element : 4;
    uint32_t bits = 0;
    for (size_t k = 0; k < bytes; k++)
        bits = bits << 8 | p[s->big_endian ? k : element - 1 - k];
    bits <<= 8 * (4 - bytes);
    return (bits & 0x80000000u) != 0 ? -(int64_t)(bits & 0x7fffffffu) : (int64_t)bits;
}

/* How far two arrays are apart, number by number: the mean bits of what differs. */
static double apart_by(const uint8_t *a, const uint8_t *b, const struct ebb_part_section *s)
{
    const size_t element = ebb_dtype_size(s->dtype), n = s->len / element,
                 step = n / EARLIER_SAMPLE + 1;
    double bits = 0, count = 0;
    for (size_t i = 0; i < n; i += step, count++)
        bits += log2(1 + fabs((double)(ordered(a + i * element, s) - ordered(b + i * element, s))));
    return count > 0 ? bits / count : 0;
}

/* The nearest of the arrays like this one before it in the part: how many bytes before; 0: none. */
static size_t find_earlier(const struct packing *p, size_t i, const uint8_t *raw)
{
    const struct ebb_part_section *s = &p->sections[i];
    const uint8_t *at = raw;
    double least = INFINITY;
    size_t best = 0;
    unsigned looks = 0;
    for (size_t k = i; k > 0 && i - k < 4 * EARLIER_LOOKS && looks < EARLIER_LOOKS; k--) {
        const struct ebb_part_section *e = &p->sections[k - 1];
        at -= e->len;
        if (!e->is_array || !e->recurs || e->len != s->len || e->dtype != s->dtype ||
            e->big_endian != s->big_endian || e->motion != s->motion)
            continue;
        looks++;
        const double bits = apart_by(raw, at, s);
        if (bits < least) {
            least = bits;
            best = (size_t)(raw - at);
        }
    }
    return best;
}

/* Section i by itself, over the base, or over an earlier array: frames of a trajectory. */
static int encode_array(struct packing *p, size_t i, const uint8_t *raw, struct ebb_buffer *out,
                        uint64_t *ret_base, struct ebb_error *err)
{
    const struct ebb_part_section *s = &p->sections[i];
    const bool has_base = s->has_base && p->base != NULL;
    int rc = has_base ? read_base(p->base, s->base_offset, s->len, &p->scratch, err) : 0;
    if (rc < 0)
        return rc;
    const size_t back = !has_base && s->recurs && s->len > 0 ? find_earlier(p, i, raw) : 0;
    struct ebb_tensor_input in = {
        .data = raw,
        .elements = s->len / ebb_dtype_size(s->dtype),
        .columns = s->columns,
        .dtype = s->dtype,
        .big_endian = s->big_endian,
        .role = s->role,
        .base = has_base ? p->scratch.data : (back > 0 ? raw - back : NULL),
    };
    size_t at = out->len;
    rc = ebb_tensor_encode(&in, p->level == EBB_PACK_SMALL ? EBB_TENSOR_SMALL : EBB_TENSOR_FAST,
                           out, err);
    struct ebb_tensor_info info;
    if (rc == 0)
        rc = ebb_tensor_read_info(out->data + at, out->len - at, &info, err);
    if (rc == 0)
        *ret_base = !info.needs_base ? NO_BASE : (back > 0 ? EARLIER + back : s->base_offset);
    return rc;
}

static bool are_positions(const struct ebb_part_section *s)
{
    return s->is_array && s->motion == EBB_PART_POSITIONS && !s->has_base &&
           s->len % (3 * ebb_dtype_size(s->dtype)) == 0 &&
           (s->dtype == EBB_DTYPE_F32 || s->dtype == EBB_DTYPE_F64);
}

/* The section with the velocities of the atoms whose positions are section i's; 0: none. */
static size_t velocities_of(const struct ebb_part_section *s, size_t count, size_t i)
{
    if (!are_positions(&s[i]))
        return 0;
    for (size_t k = i + 1; k < count; k++)
        if (s[k].is_array && s[k].motion != EBB_PART_OTHER)
            return s[k].motion == EBB_PART_VELOCITIES && s[k].len == s[i].len &&
                           s[k].dtype == s[i].dtype && s[k].big_endian == s[i].big_endian
                       ? k
                       : 0;
    return 0;
}

/* `frame` (may be NULL): the atoms' coordinates in a trajectory. */
static int encode_state(const uint8_t *x, const uint8_t *v, const struct ebb_part_section *s,
                        const float *frame, struct ebb_buffer *out, struct ebb_error *err)
{
    struct ebb_state_input in = {.atoms = s->len / (3 * ebb_dtype_size(s->dtype)),
                                 .x = x,
                                 .v = v,
                                 .dtype = s->dtype,
                                 .big_endian = s->big_endian,
                                 .box = {s->box[0], s->box[1], s->box[2]},
                                 .frame = frame};
    return ebb_state_encode(&in, out, err);
}

/* Appends place and blob; *ret_over is false, and nothing appended, when the frame is of no use. */
static int encode_over_frame(const uint8_t *x, const uint8_t *v, const struct ebb_part_section *s,
                             const struct ebb_bytes *base, struct ebb_buffer *out, bool *ret_over,
                             struct ebb_error *err)
{
    EBB_AUTO_FREE float *frame = NULL;
    size_t at = out->len;
    /* A trajectory that cannot be read is done without. */
    if (!s->has_frame || base == NULL ||
        ebb_frame_ref_read(base, &s->frame, s->len / (3 * ebb_dtype_size(s->dtype)), &frame, NULL) <
            0)
        return 0;
    uint8_t ref[EBB_FRAME_REF_BYTES];
    ebb_frame_ref_put(ref, &s->frame);
    ebb_buffer_append(out, ref, sizeof ref);
    int rc = encode_state(x, v, s, frame, out, err);
    struct ebb_state_info info = {0};
    if (rc == 0)
        rc = ebb_state_read_info(out->data + at + sizeof ref, out->len - at - sizeof ref, &info,
                                 err);
    *ret_over = rc == 0 && info.needs_frame;
    if (!*ret_over)
        out->len = at;
    return rc;
}

static int put_plain(const uint8_t *raw, const struct ebb_part_section *sections, size_t count,
                     enum ebb_pack_level level, size_t head_at, struct ebb_buffer *out,
                     struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer plain = {0};
    for (size_t i = 0; i < count; raw += sections[i++].len)
        if (!sections[i].is_array)
            ebb_buffer_append(&plain, raw, sections[i].len);
    size_t at = out->len;
    uint32_t codec = EBB_PART_STORED;
    int rc =
        plain.len == 0 ? 0 : ebb_part_encode_plain(plain.data, plain.len, level, out, &codec, err);
    ebb_put_u32(out->data + head_at + 4, codec);
    ebb_put_u32(out->data + head_at + 8, (uint32_t)plain.len);
    ebb_put_u32(out->data + head_at + 12, (uint32_t)(out->len - at));
    return rc;
}

/* The better one of a state over a frame and one by itself, when it has velocities. */
static int better_state(struct packing *p, const struct ebb_part_section *s, const uint8_t *x,
                        const uint8_t *v, struct ebb_buffer *out, bool *ret_over,
                        struct ebb_error *err)
{
    *ret_over = false;
    int rc = encode_over_frame(x, v, s, p->base, out, ret_over, err);
    /* Over a frame of the same step a number that is near is all that is left of it. */
    if (rc < 0 || (*ret_over && out->len < s->len * (v != NULL ? 4 : 2) / 3) || v == NULL)
        return rc;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer alone = {0};
    rc = encode_state(x, v, s, NULL, &alone, err);
    if (rc == 0 && (!*ret_over || alone.len <= out->len)) {
        ebb_buffer_reset(out);
        ebb_buffer_append(out, alone.data, alone.len);
        *ret_over = false;
    }
    return rc;
}

/* Positions with their velocities, where that is less than each by itself. */
static int put_array(struct packing *p, size_t i, const uint8_t *raw, struct ebb_buffer *out,
                     uint64_t *ret_base, struct ebb_error *err)
{
    const struct ebb_part_section *s = p->sections;
    if (p->velocities == i && i > 0) {
        *ret_base = STATE_VELOCITIES;
        return 0;
    }
    size_t at = out->len, v = velocities_of(s, p->count, i);
    int rc = encode_array(p, i, raw, out, ret_base, err);
    if (rc < 0 || (v == 0 && !(s[i].has_frame && are_positions(&s[i]))))
        return rc;
    const uint8_t *v_raw = v == 0 ? NULL : raw;
    for (size_t k = i; k < v; k++)
        v_raw += s[k].len;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer apart = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer state = {0};
    uint64_t unused;
    bool over = false;
    rc = v == 0 ? 0 : encode_array(p, v, v_raw, &apart, &unused, err);
    if (rc == 0)
        rc = better_state(p, &s[i], raw, v_raw, &state, &over, err);
    if (rc < 0 || state.len == 0 || state.len >= out->len - at + apart.len)
        return rc;
    out->len = at;
    ebb_buffer_append(out, state.data, state.len);
    *ret_base = over ? STATE_OVER_FRAME : STATE_POSITIONS;
    p->over_frames = p->over_frames || over;
    p->velocities = v;
    return 0;
}

int ebb_part_encode_arrays(const uint8_t *raw, const struct ebb_part_section *sections,
                           size_t count, const struct ebb_bytes *base, enum ebb_pack_level level,
                           struct ebb_buffer *out, uint32_t *ret_codec, bool *ret_needs_base,
                           struct ebb_error *err)
{
    bool needs_base = false;
    size_t head_at = out->len;
    size_t head_bytes = HEADER_BYTES + count * SECTION_BYTES;
    ebb_buffer_reserve(out, head_bytes);
    memset(out->data + head_at, 0, head_bytes);
    out->len += head_bytes;
    ebb_put_u32(out->data + head_at, (uint32_t)count);
    int rc = put_plain(raw, sections, count, level, head_at, out, err);
    struct packing p = {.sections = sections, .count = count, .base = base, .level = level};
    for (size_t i = 0; i < count && rc == 0; raw += sections[i++].len) {
        size_t at = out->len;
        uint64_t base_offset = NO_BASE;
        if (sections[i].is_array)
            rc = put_array(&p, i, raw, out, &base_offset, err);
        uint8_t *entry = out->data + head_at + HEADER_BYTES + i * SECTION_BYTES;
        ebb_put_u32(entry, (uint32_t)sections[i].len);
        ebb_put_u32(entry + 4, (uint32_t)(out->len - at));
        ebb_put_u64(entry + 8, base_offset);
        needs_base = needs_base || base_offset < EARLIER || base_offset == STATE_OVER_FRAME;
        p.over_arrays = p.over_arrays || is_earlier(base_offset);
    }
    ebb_buffer_clean_up(&p.scratch);
    if (rc == 0) {
        *ret_needs_base = needs_base;
        *ret_codec = p.over_arrays   ? EBB_PART_OVER_ARRAYS
                     : p.over_frames ? EBB_PART_OVER_FRAMES
                                     : EBB_PART_SECTIONS;
    }
    return rc;
}

/* ---- unpacking ---- */

struct reading {
    const uint8_t *entries;
    size_t count;
    const uint8_t *plain; /* unpacked */
    size_t plain_left;
    const uint8_t *blobs;
    size_t blobs_left;
    const struct ebb_bytes *base;
    const uint8_t *begin;      /* of the part, unpacked so far */
    const uint8_t *velocities; /* the section that was unpacked with positions last, or NULL */
    struct ebb_buffer scratch;
};

static int damaged(struct ebb_error *err, const char *what)
{
    return ebb_error_set(err, EBB_ERR_CORRUPT, "a part of arrays is damaged: %s", what);
}

static int decode_array(struct reading *r, const uint8_t *entry, uint8_t *out, size_t len,
                        struct ebb_error *err)
{
    size_t packed = ebb_get_u32(entry + 4);
    uint64_t base_offset = ebb_get_u64(entry + 8);
    if (packed > r->blobs_left)
        return damaged(err, "it ends too early");
    const uint8_t *over = NULL;
    int rc = 0;
    if (is_earlier(base_offset)) {
        const uint64_t back = base_offset - EARLIER;
        if (back < len || back > (uint64_t)(out - r->begin))
            return damaged(err, "an array over one that is not there");
        over = out - back;
    } else if (base_offset != NO_BASE) {
        if (r->base == NULL)
            return ebb_error_set(err, EBB_ERR_NOT_FOUND, "its base is needed to unpack it");
        rc = read_base(r->base, base_offset, len, &r->scratch, err);
        over = r->scratch.data;
    }
    if (rc == 0)
        rc = ebb_tensor_decode(r->blobs, packed, over, over == NULL ? 0 : len, out, len, err);
    r->blobs += packed;
    r->blobs_left -= packed;
    return rc;
}

/* The velocities' section of the positions at `entry`, and how far behind `out` it is. */
static const uint8_t *find_velocities(const struct reading *r, const uint8_t *entry, size_t len,
                                      size_t left, size_t *ret_skip)
{
    const uint8_t *end = r->entries + r->count * SECTION_BYTES;
    const uint8_t *v = entry + SECTION_BYTES;
    size_t skip = len;
    for (; v < end && ebb_get_u64(v + 8) != STATE_VELOCITIES; v += SECTION_BYTES)
        skip += ebb_get_u32(v);
    *ret_skip = skip;
    return v < end && ebb_get_u32(v) == len && skip <= left && len <= left - skip ? v : NULL;
}

/* Takes the place of a frame from the front of the blobs and reads it. */
static int read_frame(struct reading *r, size_t *packed, size_t atoms, float **ret,
                      struct ebb_error *err)
{
    if (*packed < EBB_FRAME_REF_BYTES)
        return damaged(err, "the place of a frame");
    if (r->base == NULL)
        return ebb_error_set(err, EBB_ERR_NOT_FOUND, "its trajectory is needed to unpack it");
    struct ebb_frame_ref ref = ebb_frame_ref_get(r->blobs);
    r->blobs += EBB_FRAME_REF_BYTES;
    r->blobs_left -= EBB_FRAME_REF_BYTES;
    *packed -= EBB_FRAME_REF_BYTES;
    return ebb_frame_ref_read(r->base, &ref, atoms, ret, err);
}

/* Positions, over a frame or not, and the velocities further on; `left`: bytes of the part from
 * `out` on. */
static int decode_state(struct reading *r, const uint8_t *entry, uint8_t *out, size_t len,
                        size_t left, struct ebb_error *err)
{
    size_t packed = ebb_get_u32(entry + 4), skip = 0;
    bool over = ebb_get_u64(entry + 8) == STATE_OVER_FRAME;
    size_t head = over ? EBB_FRAME_REF_BYTES : 0;
    if (packed > r->blobs_left || packed < head)
        return damaged(err, "its positions");
    struct ebb_state_info info;
    int rc = ebb_state_read_info(r->blobs + head, packed - head, &info, err);
    if (rc == 0 && (info.needs_frame != over || (!over && !info.has_v) || info.atoms > len ||
                    info.atoms * 3 * ebb_dtype_size(info.dtype) != len))
        rc = damaged(err, "its positions");
    if (rc < 0)
        return rc;
    const uint8_t *v = info.has_v ? find_velocities(r, entry, len, left, &skip) : NULL;
    if (info.has_v && v == NULL)
        return damaged(err, "its velocities");
    EBB_AUTO_FREE float *frame = NULL;
    if (over)
        rc = read_frame(r, &packed, info.atoms, &frame, err);
    if (rc == 0)
        rc = ebb_state_decode(r->blobs, packed, frame, info.atoms, out,
                              info.has_v ? out + skip : NULL, err);
    r->blobs += packed;
    r->blobs_left -= packed;
    r->velocities = rc == 0 ? v : NULL;
    return rc;
}

static int decode_section(struct reading *r, const uint8_t *entry, uint8_t *out, size_t len,
                          size_t left, struct ebb_error *err)
{
    if (ebb_get_u64(entry + 8) == STATE_POSITIONS || ebb_get_u64(entry + 8) == STATE_OVER_FRAME)
        return decode_state(r, entry, out, len, left, err);
    if (ebb_get_u64(entry + 8) == STATE_VELOCITIES)
        return entry == r->velocities && ebb_get_u32(entry + 4) == 0
                   ? 0
                   : damaged(err, "velocities without positions");
    if (ebb_get_u32(entry + 4) != 0)
        return decode_array(r, entry, out, len, err);
    if (len > r->plain_left)
        return damaged(err, "too few plain bytes");
    memcpy(out, r->plain, len);
    r->plain += len;
    r->plain_left -= len;
    return 0;
}

static int decode_sections(struct reading *r, uint8_t *out, size_t raw_bytes, struct ebb_error *err)
{
    for (size_t i = 0; i < r->count; i++) {
        const uint8_t *entry = r->entries + i * SECTION_BYTES;
        size_t len = ebb_get_u32(entry);
        if (len > raw_bytes)
            return damaged(err, "it is longer than it should be");
        int rc = decode_section(r, entry, out, len, raw_bytes, err);
        if (rc < 0)
            return rc;
        out += len;
        raw_bytes -= len;
    }
    return raw_bytes == 0 && r->plain_left == 0 && r->blobs_left == 0
               ? 0
               : damaged(err, "its lengths do not add up");
}

int ebb_part_decode_arrays(const uint8_t *payload, size_t len, const struct ebb_bytes *base,
                           uint8_t *out, size_t raw_bytes, struct ebb_error *err)
{
    size_t count = len < HEADER_BYTES ? 0 : ebb_get_u32(payload);
    if (len < HEADER_BYTES || count > (len - HEADER_BYTES) / SECTION_BYTES)
        return damaged(err, "it ends too early");
    const uint8_t *plain = payload + HEADER_BYTES + count * SECTION_BYTES;
    size_t left = len - HEADER_BYTES - count * SECTION_BYTES;
    uint32_t codec = ebb_get_u32(payload + 4);
    size_t plain_raw = ebb_get_u32(payload + 8), plain_packed = ebb_get_u32(payload + 12);
    if (plain_packed > left || plain_raw > raw_bytes ||
        (codec != EBB_PART_STORED && codec != EBB_PART_ZSTD))
        return damaged(err, "its plain bytes");
    EBB_AUTO_FREE uint8_t *unpacked = malloc(plain_raw + 1);
    if (unpacked == NULL)
        return ebb_error_set(err, EBB_ERR_INTERNAL, "out of memory for %zu bytes", plain_raw);
    int rc = ebb_part_decode(codec, plain, plain_packed, NULL, unpacked, plain_raw, err);
    if (rc < 0)
        return rc;
    struct reading r = {.entries = payload + HEADER_BYTES,
                        .count = count,
                        .plain = unpacked,
                        .plain_left = plain_raw,
                        .blobs = plain + plain_packed,
                        .blobs_left = left - plain_packed,
                        .base = base,
                        .begin = out};
    rc = decode_sections(&r, out, raw_bytes, err);
    ebb_buffer_clean_up(&r.scratch);
    return rc;
}
