/* XTC is cut between frames, and a chunk is a group of them; files of arrays are cut anywhere, and
 * what of an array lies in a chunk, from its first whole element on, is packed as an array. */
#include "pack/cutter.h"

#include <string.h>

#include "formats/frame_length.h"
#include "formats/ranges.h"
#include "formats/recognise.h"
#include "pack/packer_run.h"
#include "pack/part_arrays.h"

/* A group is at most as many frames; and an array in a chunk, to be worth a blob, at least as many
 * bytes. */
enum { GROUP_FRAMES = 100, ARRAY_BYTES_MIN = 1024 };
/* A file with more arrays than this (frames, mostly) is packed plainly beyond them. */
#define RANGES_MAX 100000u

struct ebb_cutter {
    enum ebb_file_kind kind;
    struct cutter_range {
        struct ebb_range range; /* name unset */
        double box[3];          /* before it in the file; zeros: none */
    } * ranges;
    size_t count;
    size_t capacity;
};

struct looking {
    struct ebb_cutter *cutter;
    const struct ebb_bytes *file;
    double box[3];
};

static int found(void *ctx, const struct ebb_range *range, struct ebb_error *err)
{
    struct looking *k = ctx;
    struct ebb_cutter *c = k->cutter;
    ebb_part_see_box(range, k->file, k->box);
    if (range->len < ARRAY_BYTES_MIN)
        return 0;
    if (c->count == RANGES_MAX)
        return ebb_error_set(err, EBB_ERR_CANCELLED, "enough");
    if (c->count == c->capacity) {
        c->capacity = c->capacity == 0 ? 64 : 2 * c->capacity;
        c->ranges = ebb_realloc_array(c->ranges, c->capacity, sizeof *c->ranges);
    }
    struct cutter_range *r = &c->ranges[c->count++];
    *r = (struct cutter_range){.range = *range, .box = {k->box[0], k->box[1], k->box[2]}};
    r->range.name = "";
    return 0;
}

struct ebb_cutter *ebb_cutter_new(const struct ebb_bytes *file)
{
    EBB_AUTO_FREE uint8_t *head = ebb_alloc(EBB_RECOGNISE_BYTES);
    size_t len =
        file->size_bytes < EBB_RECOGNISE_BYTES ? (size_t)file->size_bytes : EBB_RECOGNISE_BYTES;
    if (ebb_bytes_read(file, 0, head, len, NULL) < 0)
        return NULL;
    EBB_AUTO(ebb_auto_cutter) struct ebb_cutter *c = ebb_alloc(sizeof *c);
    c->kind = ebb_file_recognise(head, len);
    if (c->kind == EBB_FILE_XTC)
        return EBB_TAKE(c);
    struct ebb_random_source source = {
        .read_at = file->read_at, .ctx = file->ctx, .size = file->size_bytes};
    struct looking looking = {.cutter = c, .file = file};
    /* A scan that ends early gives less advice, no more. */
    if (ebb_file_kind_has_ranges(c->kind))
        (void)ebb_ranges_scan(c->kind, &source, found, &looking, NULL);
    return c->count > 0 ? EBB_TAKE(c) : NULL;
}

void ebb_cutter_destroy(struct ebb_cutter *c)
{
    if (c == NULL)
        return;
    free(c->ranges);
    free(c);
}

/* ---- where to cut ---- */

/* Whole frames from the front; 0: no frame begins there, or it does not end there. */
static size_t whole_frames(const uint8_t *bytes, size_t len, size_t max_bytes)
{
    size_t at = 0;
    for (unsigned frames = 0; frames < GROUP_FRAMES; frames++) {
        uint64_t frame = ebb_xtc_frame_bytes(bytes + at, len - at);
        if (frame == 0 || frame > len - at || at + frame > max_bytes)
            break;
        at += (size_t)frame;
    }
    return at;
}

/* A piece of a file may begin inside a frame. Where another begins is told by its magic number, and
 * believed when a second one follows it. */
static size_t next_frame(const uint8_t *bytes, size_t len)
{
    for (size_t at = 1; at < len; at++) {
        const uint8_t *p = memchr(bytes + at, 0, len - at);
        if (p == NULL)
            break;
        at = (size_t)(p - bytes);
        uint64_t frame = ebb_xtc_frame_bytes(p, len - at);
        if (frame > 0 && frame < len - at &&
            ebb_xtc_frame_bytes(p + frame, len - at - (size_t)frame) > 0)
            return at;
    }
    return len;
}

static size_t at_most(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t ebb_cutter_next(const struct ebb_cutter *c, const uint8_t *bytes, size_t len,
                       size_t usual_bytes, size_t max_bytes)
{
    if (c == NULL || c->kind != EBB_FILE_XTC)
        return at_most(len, usual_bytes);
    size_t frames = whole_frames(bytes, len, max_bytes);
    return frames > 0 ? frames : at_most(next_frame(bytes, len), max_bytes);
}

/* ---- packing ---- */

static size_t first_range(const struct ebb_cutter *c, uint64_t offset)
{
    size_t low = 0, high = c->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (c->ranges[mid].range.offset + c->ranges[mid].range.len <= offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct sections {
    struct ebb_part_section *list;
    size_t count;
    size_t at; /* bytes that they cover */
};

static void add_section(struct sections *s, size_t len, const struct cutter_range *r, bool has_base)
{
    if (len == 0)
        return;
    if ((s->count & (s->count + 1)) == 0)
        s->list = ebb_realloc_array(s->list, 2 * s->count + 1, sizeof *s->list);
    struct ebb_part_section section = {.len = len};
    if (r != NULL) {
        const struct ebb_range *g = &r->range;
        section.is_array = true;
        section.motion = ebb_part_motion_of(g);
        memcpy(section.box, r->box, sizeof section.box);
        section.dtype = g->dtype;
        section.big_endian = g->big_endian;
        section.columns = (size_t)g->columns;
        section.role = g->role == EBB_ROLE_FIRST_MOMENT    ? EBB_TENSOR_FIRST_MOMENT
                       : g->role == EBB_ROLE_SECOND_MOMENT ? EBB_TENSOR_SECOND_MOMENT
                                                           : EBB_TENSOR_ANY;
        section.has_base = has_base;
        section.base_offset = s->at;
    }
    s->list[s->count++] = section;
    s->at += len;
}

/* What of the array lies in [offset, offset + len), in whole elements. */
static void add_range(struct sections *s, const struct cutter_range *r, uint64_t offset, size_t len,
                      bool has_base)
{
    const struct ebb_range *g = &r->range;
    uint64_t element = ebb_dtype_size(g->dtype);
    uint64_t begin = g->offset > offset ? g->offset : offset;
    uint64_t end = g->offset + g->len < offset + len ? g->offset + g->len : offset + len;
    begin = g->offset + (begin - g->offset + element - 1) / element * element;
    end = g->offset + (end - g->offset) / element * element;
    if (begin >= end || end - begin < ARRAY_BYTES_MIN || begin - offset < s->at)
        return;
    add_section(s, (size_t)(begin - offset) - s->at, NULL, false);
    add_section(s, (size_t)(end - begin), r, has_base);
}

static int pack_arrays(const struct ebb_cutter *c, uint64_t offset, const uint8_t *bytes,
                       size_t len, const struct ebb_bytes *base, struct ebb_buffer *out,
                       uint32_t *ret_codec, bool *ret_needs_base, struct ebb_error *err)
{
    struct sections s = {0};
    for (size_t i = first_range(c, offset);
         i < c->count && c->ranges[i].range.offset < offset + len; i++)
        add_range(&s, &c->ranges[i], offset, len, base != NULL);
    int rc = s.count == 0 ? 0 : 1;
    add_section(&s, len - s.at, NULL, false);
    if (rc == 1 && (rc = ebb_part_encode_arrays(bytes, s.list, s.count, base, EBB_PACK_FAST, out,
                                                ret_codec, ret_needs_base, err)) == 0)
        rc = 1;
    free(s.list);
    return rc;
}

static int check(uint32_t codec, const uint8_t *payload, size_t packed, const uint8_t *bytes,
                 size_t len, const struct ebb_bytes *base, struct ebb_error *err)
{
    EBB_AUTO_FREE uint8_t *back = malloc(len + 1);
    if (back == NULL)
        return ebb_error_set(err, EBB_ERR_INTERNAL, "out of memory for a chunk");
    int rc = ebb_part_decode(codec, payload, packed, base, back, len, err);
    if (rc == 0 && memcmp(back, bytes, len) != 0)
        rc = ebb_error_set(err, EBB_ERR_INTERNAL, "a packed chunk decodes to other bytes");
    return rc < 0 ? ebb_error_wrap(err, EBB_ERR_INTERNAL, "chunk") : 1;
}

int ebb_cutter_pack(const struct ebb_cutter *c, uint64_t offset, const uint8_t *bytes, size_t len,
                    const struct ebb_bytes *base, size_t below, struct ebb_buffer *out,
                    uint32_t *ret_codec, bool *ret_needs_base, struct ebb_error *err)
{
    if (c == NULL || len < ARRAY_BYTES_MIN)
        return 0;
    size_t before = out->len;
    bool needs_base = false;
    int rc = c->kind == EBB_FILE_XTC
                 ? ebb_pack_frames_of_memory(c->kind, bytes, len, out, ret_codec, err)
                 : pack_arrays(c, offset, bytes, len, base, out, ret_codec, &needs_base, err);
    if (rc > 0 && out->len - before >= below)
        rc = 0;
    if (rc > 0)
        rc = check(*ret_codec, out->data + before, out->len - before, bytes, len,
                   needs_base ? base : NULL, err);
    if (rc <= 0)
        out->len = before;
    else
        *ret_needs_base = needs_base;
    return rc;
}
