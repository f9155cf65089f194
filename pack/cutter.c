/* XTC is cut between frames, and a chunk is a group of them; a GROMACS checkpoint is one chunk
 * where it is not too long, so that positions and velocities stay together; other files of arrays
 * are cut anywhere. What of an array lies in a chunk, from its first whole element on, is packed as
 * an array. */
#include "pack/cutter.h"

#include <string.h>

#include "base/map.h"
#include "formats/frame_length.h"
#include "formats/ranges.h"
#include "formats/recognise.h"
#include "pack/packer_run.h"
#include "pack/part_arrays.h"
#include "pack/trajectory.h"

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
        char *name;             /* NULL: it has none that lasts */
    } * ranges;
    size_t count;
    size_t capacity;
    struct ebb_map *by_name; /* of ranges with a name: number + 1; NULL: none have */
};

static bool are_names_kept(enum ebb_file_kind kind)
{
    return kind == EBB_FILE_SAFETENSORS || kind == EBB_FILE_TORCH || kind == EBB_FILE_NPZ ||
           kind == EBB_FILE_NPY;
}

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
    if (are_names_kept(c->kind) && range->name[0] != '\0' &&
        (c->by_name == NULL || ebb_map_get(c->by_name, range->name) == NULL)) {
        if (c->by_name == NULL)
            c->by_name = ebb_map_new(NULL);
        r->name = ebb_strdup(range->name);
        ebb_map_set(c->by_name, r->name, (void *)(uintptr_t)c->count);
    }
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
    for (size_t i = 0; i < c->count; i++)
        free(c->ranges[i].name);
    ebb_map_destroy(c->by_name);
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
        return at_most(len, c != NULL && c->kind == EBB_FILE_CPT ? max_bytes : usual_bytes);
    size_t frames = whole_frames(bytes, len, max_bytes);
    return frames > 0 ? frames : at_most(next_frame(bytes, len), max_bytes);
}

/* ---- what stands where ---- */

/* The first range that does not end before `offset`. */
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

static const struct ebb_range *range_named(const struct ebb_cutter *c, const char *name)
{
    size_t number =
        c->by_name == NULL || name == NULL ? 0 : (uintptr_t)ebb_map_get(c->by_name, name);
    return number == 0 ? NULL : &c->ranges[number - 1].range;
}

uint64_t ebb_cutter_place_in(const struct ebb_cutter *c, const struct ebb_cutter *old,
                             uint64_t offset, uint64_t *ret_run)
{
    size_t i = first_range(c, offset);
    const struct ebb_range *g = i < c->count ? &c->ranges[i].range : NULL;
    if (g == NULL || offset < g->offset) {
        *ret_run = g == NULL ? UINT64_MAX : g->offset - offset;
        return UINT64_MAX;
    }
    const struct ebb_range *o = range_named(old, c->ranges[i].name);
    uint64_t into = offset - g->offset;
    *ret_run = g->len - into;
    if (o == NULL || o->dtype != g->dtype || o->big_endian != g->big_endian ||
        (o->len != g->len && o->columns != g->columns) || into >= o->len)
        return UINT64_MAX;
    /* A tensor that has grown by rows begins as it was. */
    *ret_run = (o->len < g->len ? o->len : g->len) - into;
    return o->offset + into;
}

bool ebb_cutter_has_names(const struct ebb_cutter *c)
{
    return c != NULL && c->by_name != NULL;
}

bool ebb_cutter_has_positions(const struct ebb_cutter *c, uint64_t offset, size_t len,
                              uint64_t *ret_atoms, int64_t *ret_step)
{
    if (c == NULL || (c->kind != EBB_FILE_CPT && c->kind != EBB_FILE_TRR))
        return false;
    for (size_t i = first_range(c, offset); i < c->count; i++) {
        const struct ebb_range *g = &c->ranges[i].range;
        if (g->offset + g->len > offset + len)
            break;
        if (g->role == EBB_ROLE_X && g->offset >= offset) {
            *ret_atoms = g->rows;
            *ret_step = g->step;
            return true;
        }
    }
    return false;
}

/* ---- packing ---- */

struct sections {
    struct ebb_part_section *list;
    size_t count;
    size_t at; /* bytes that they cover */
    const struct ebb_cutter *cutter;
    uint64_t offset; /* of the chunk */
    const struct ebb_cutter_base *base;
    struct ebb_trajectory *trajectory; /* the base of restart state, or NULL */
};

static struct ebb_part_section *new_section(struct sections *s, size_t len)
{
    if ((s->count & (s->count + 1)) == 0)
        s->list = ebb_realloc_array(s->list, 2 * s->count + 1, sizeof *s->list);
    struct ebb_part_section *section = &s->list[s->count++];
    *section = (struct ebb_part_section){.len = len};
    s->at += len;
    return section;
}

static void add_plain(struct sections *s, size_t len)
{
    if (len > 0)
        (void)new_section(s, len);
}

static void set_frame(struct sections *s, const struct ebb_range *g, struct ebb_part_section *to)
{
    bool is_same = false;
    to->has_frame =
        s->trajectory != NULL && g->role == EBB_ROLE_X && to->len == g->len &&
        ebb_trajectory_find(s->trajectory, g->rows, g->step, &to->frame, &is_same, NULL) > 0;
}

/* `base_offset`: where its base begins in the base's bytes; UINT64_MAX: it has none. */
static void add_array(struct sections *s, size_t len, const struct cutter_range *r,
                      uint64_t base_offset)
{
    const struct ebb_range *g = &r->range;
    struct ebb_part_section *to = new_section(s, len);
    to->is_array = true;
    to->motion = ebb_part_motion_of(g);
    to->recurs = ebb_part_recurs(g);
    memcpy(to->box, r->box, sizeof to->box);
    to->dtype = g->dtype;
    to->big_endian = g->big_endian;
    to->columns = (size_t)g->columns;
    to->role = g->role == EBB_ROLE_FIRST_MOMENT    ? EBB_TENSOR_FIRST_MOMENT
               : g->role == EBB_ROLE_SECOND_MOMENT ? EBB_TENSOR_SECOND_MOMENT
                                                   : EBB_TENSOR_ANY;
    to->has_base = base_offset != UINT64_MAX && to->motion == EBB_PART_OTHER;
    to->base_offset = to->has_base ? base_offset : 0;
    set_frame(s, g, to);
}

/* Bytes [begin, begin + len) of an array whose like in the base's file begins at `there`: in up to
 * three pieces, the middle one lying in the base. */
static void add_placed(struct sections *s, const struct cutter_range *r, size_t len, uint64_t there)
{
    size_t element = ebb_dtype_size(r->range.dtype);
    uint64_t from = s->base->offset, to = from + s->base->bytes->size_bytes;
    uint64_t before = there < from ? (from - there + element - 1) / element * element : 0;
    uint64_t end = there < to ? (to - there) / element * element : 0;
    end = end < len ? end : len;
    if (before >= end || end - before < ARRAY_BYTES_MIN) {
        add_array(s, len, r, UINT64_MAX);
        return;
    }
    if (before > 0)
        add_array(s, (size_t)before, r, UINT64_MAX);
    add_array(s, (size_t)(end - before), r, there + before - from);
    if (end < len)
        add_array(s, (size_t)(len - end), r, UINT64_MAX);
}

static void add_by_name(struct sections *s, const struct cutter_range *r, uint64_t begin,
                        uint64_t end)
{
    while (begin < end) {
        uint64_t run = 0;
        uint64_t there = ebb_cutter_place_in(s->cutter, s->base->old, begin, &run);
        size_t len = run < end - begin ? (size_t)run : (size_t)(end - begin);
        if (there == UINT64_MAX)
            add_array(s, len, r, UINT64_MAX);
        else
            add_placed(s, r, len, there);
        begin += len;
    }
}

/* What of the array lies in the chunk, in whole elements. */
static void add_range(struct sections *s, const struct cutter_range *r, size_t chunk_len)
{
    const struct ebb_range *g = &r->range;
    uint64_t element = ebb_dtype_size(g->dtype), offset = s->offset;
    uint64_t begin = g->offset > offset ? g->offset : offset;
    uint64_t end =
        g->offset + g->len < offset + chunk_len ? g->offset + g->len : offset + chunk_len;
    begin = g->offset + (begin - g->offset + element - 1) / element * element;
    end = g->offset + (end - g->offset) / element * element;
    if (begin >= end || end - begin < ARRAY_BYTES_MIN || begin - offset < s->at)
        return;
    add_plain(s, (size_t)(begin - offset) - s->at);
    if (s->base != NULL && s->base->old != NULL)
        add_by_name(s, r, begin, end);
    else
        add_array(s, (size_t)(end - begin), r,
                  s->base != NULL && s->trajectory == NULL ? s->at : UINT64_MAX);
}

static int pack_arrays(const struct ebb_cutter *c, uint64_t offset, const uint8_t *bytes,
                       size_t len, const struct ebb_cutter_base *base, struct ebb_buffer *out,
                       uint32_t *ret_codec, bool *ret_needs_base, struct ebb_error *err)
{
    struct sections s = {.cutter = c, .offset = offset, .base = base};
    if (base != NULL && (c->kind == EBB_FILE_CPT || c->kind == EBB_FILE_TRR))
        s.trajectory = ebb_trajectory_new(base->bytes, NULL, 0);
    for (size_t i = first_range(c, offset);
         i < c->count && c->ranges[i].range.offset < offset + len; i++)
        add_range(&s, &c->ranges[i], len);
    int rc = s.count == 0 ? 0 : 1;
    add_plain(&s, len - s.at);
    if (rc == 1 &&
        (rc = ebb_part_encode_arrays(bytes, s.list, s.count, base != NULL ? base->bytes : NULL,
                                     EBB_PACK_FAST, out, ret_codec, ret_needs_base, err)) == 0)
        rc = 1;
    ebb_trajectory_destroy(s.trajectory);
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
                    const struct ebb_cutter_base *base, size_t below, struct ebb_buffer *out,
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
                   needs_base ? base->bytes : NULL, err);
    if (rc <= 0)
        out->len = before;
    else
        *ret_needs_base = needs_base;
    return rc;
}
