/* Cutting a file at its arrays. Parts hold whole arrays where they fit, and pieces of whole rows of
 * an array that is larger than a part; what lies between goes with its neighbours. */
#include <string.h>

#include "base/map.h"
#include "base/memory.h"
#include "formats/ranges.h"
#include "pack/packer_run.h"
#include "pack/part_arrays.h"

/* Fewer bytes than this are not worth a blob of their own. */
enum { ARRAY_BYTES_MIN = 128 };
/* Positions and velocities up to this are not cut, so that they are packed together. */
#define MOTION_BYTES_MAX (32u << 20)

struct plan {
    struct ebb_part_section *sections;
    size_t count;
    size_t capacity;
};

/* An array of the base that one of this file may be a delta against. */
struct base_array {
    uint64_t offset;
    uint64_t len;
    enum ebb_dtype dtype;
    bool big_endian;
};

struct cutting {
    struct ebb_pack_run *r;
    struct ebb_pack_job *job;          /* the part that is being filled; NULL: none */
    uint64_t at;                       /* all of the file before is in parts */
    double box[3];                     /* seen last */
    struct ebb_map *base;              /* by name: struct base_array; NULL: no base */
    struct ebb_trajectory *trajectory; /* that the base is; NULL: it is none */
};

static void destroy_plan(void *plan)
{
    struct plan *p = plan;
    if (p != NULL)
        free(p->sections);
    free(p);
}

static int encode(struct ebb_pack_job *j, const struct ebb_pack_run *r, struct ebb_error *err)
{
    const struct plan *p = j->plan;
    int rc = ebb_part_encode_arrays(j->raw.data, p->sections, p->count, r->base, r->o->level,
                                    &j->payload, &j->codec, &j->needs_base, err);
    if (rc < 0 || j->payload.len < j->raw.len)
        return rc;
    ebb_buffer_reset(&j->payload);
    j->needs_base = false;
    return ebb_part_encode_plain(j->raw.data, j->raw.len, r->o->level, &j->payload, &j->codec, err);
}

static int open_part(struct cutting *c, struct ebb_error *err)
{
    if (c->job != NULL)
        return 0;
    int rc = ebb_pack_next_job(c->r, &c->job, err);
    if (rc < 0)
        return rc;
    if (c->job->plan == NULL) {
        c->job->plan = ebb_alloc(sizeof(struct plan));
        c->job->destroy_plan = destroy_plan;
    }
    struct plan *p = c->job->plan;
    p->count = 0;
    c->job->encode = encode;
    return 0;
}

/* Reads the section's bytes, from c->at on, into the open part. */
static int add_section(struct cutting *c, const struct ebb_part_section *s, struct ebb_error *err)
{
    int rc = open_part(c, err);
    if (rc < 0)
        return rc;
    struct plan *p = c->job->plan;
    if (p->count == p->capacity) {
        p->capacity = p->capacity == 0 ? 64 : 2 * p->capacity;
        p->sections = ebb_realloc_array(p->sections, p->capacity, sizeof *p->sections);
    }
    struct ebb_buffer *raw = &c->job->raw;
    ebb_buffer_reserve(raw, s->len);
    rc = ebb_bytes_read(c->r->file, c->at, raw->data + raw->len, s->len, err);
    if (rc < 0)
        return rc;
    raw->len += s->len;
    c->at += s->len;
    struct ebb_part_section *last = p->count > 0 ? &p->sections[p->count - 1] : NULL;
    if (last != NULL && !last->is_array && !s->is_array)
        last->len += s->len;
    else
        p->sections[p->count++] = *s;
    return 0;
}

static size_t room(const struct cutting *c)
{
    size_t used = c->job == NULL ? 0 : c->job->raw.len;
    return used < EBB_PACK_PART_BYTES ? EBB_PACK_PART_BYTES - used : 0;
}

/* Velocities go into the part of their positions, however long that gets. */
static bool belongs_to_part(const struct cutting *c, const struct ebb_range *g)
{
    const struct plan *p = c->job == NULL ? NULL : c->job->plan;
    for (size_t i = p == NULL || g->role != EBB_ROLE_V ? 0 : p->count; i > 0; i--)
        if (p->sections[i - 1].motion != EBB_PART_OTHER)
            return p->sections[i - 1].motion == EBB_PART_POSITIONS &&
                   p->sections[i - 1].len == g->len;
    return false;
}

static int add_plain(struct cutting *c, uint64_t end, struct ebb_error *err)
{
    while (c->at < end) {
        if (room(c) == 0)
            c->job = NULL;
        uint64_t left = end - c->at;
        struct ebb_part_section s = {.len = left < room(c) ? (size_t)left : room(c)};
        int rc = add_section(c, &s, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static enum ebb_tensor_role role_of(enum ebb_range_role role)
{
    return role == EBB_ROLE_FIRST_MOMENT    ? EBB_TENSOR_FIRST_MOMENT
           : role == EBB_ROLE_SECOND_MOMENT ? EBB_TENSOR_SECOND_MOMENT
                                            : EBB_TENSOR_ANY;
}

/* Bytes of a piece of an array that does not fit into one part: whole rows where they are not too
 * long, and an array that fits nearly is not cut at all. */
static size_t piece_bytes(const struct ebb_range *g, bool *ret_rows)
{
    size_t element = ebb_dtype_size(g->dtype);
    uint64_t row = g->columns * element;
    *ret_rows = g->columns > 1 && row <= EBB_PACK_PART_BYTES;
    return *ret_rows ? (size_t)(EBB_PACK_PART_BYTES / row * row)
                     : EBB_PACK_PART_BYTES / element * element;
}

/* The frame of the step in the trajectory that the base is. */
static int set_frame(struct cutting *c, const struct ebb_range *g, struct ebb_part_section *s,
                     struct ebb_error *err)
{
    bool is_same = false;
    if (c->trajectory == NULL || g->role != EBB_ROLE_X || g->columns != 3 || s->len != g->len)
        return 0;
    int rc = ebb_trajectory_find(c->trajectory, g->rows, g->step, &s->frame, &is_same, err);
    s->has_frame = rc > 0;
    return rc < 0 ? rc : 0;
}

static int add_array(struct cutting *c, const struct ebb_range *g, struct ebb_error *err)
{
    const struct base_array *b = c->base == NULL ? NULL : ebb_map_get(c->base, g->name);
    bool has_base =
        b != NULL && b->len == g->len && b->dtype == g->dtype && b->big_endian == g->big_endian;
    bool rows = true;
    bool is_motion = ebb_part_motion_of(g) != EBB_PART_OTHER;
    size_t whole = is_motion ? MOTION_BYTES_MAX : EBB_PACK_PART_BYTES;
    size_t piece = g->len <= whole ? (size_t)g->len : piece_bytes(g, &rows);
    for (uint64_t done = 0; done < g->len;) {
        size_t len = g->len - done < piece ? (size_t)(g->len - done) : piece;
        if (len > room(c) && !belongs_to_part(c, g))
            c->job = NULL;
        struct ebb_part_section s = {.len = len,
                                     .is_array = true,
                                     .dtype = g->dtype,
                                     .big_endian = g->big_endian,
                                     .columns = rows ? (size_t)g->columns : 0,
                                     .role = role_of(g->role),
                                     .has_base = has_base,
                                     .base_offset = has_base ? b->offset + done : 0,
                                     .motion = ebb_part_motion_of(g),
                                     .recurs = ebb_part_recurs(g),
                                     .box = {c->box[0], c->box[1], c->box[2]}};
        int rc = set_frame(c, g, &s, err);
        if (rc == 0)
            rc = add_section(c, &s, err);
        if (rc < 0)
            return rc;
        done += len;
    }
    return 0;
}

static int found_array(void *ctx, const struct ebb_range *g, struct ebb_error *err)
{
    struct cutting *c = ctx;
    ebb_part_see_box(g, c->r->file, c->box);
    if (g->len < ARRAY_BYTES_MIN || g->offset < c->at || g->offset > c->r->file->size_bytes ||
        g->len > c->r->file->size_bytes - g->offset || g->len % ebb_dtype_size(g->dtype) != 0)
        return 0;
    int rc = add_plain(c, g->offset, err);
    return rc < 0 ? rc : add_array(c, g, err);
}

/* ---- the base ---- */

static int found_base_array(void *ctx, const struct ebb_range *g, struct ebb_error *err)
{
    (void)err;
    struct ebb_map *base = ctx;
    if (g->name[0] == '\0' || ebb_map_get(base, g->name) != NULL)
        return 0;
    struct base_array *b = ebb_alloc(sizeof *b);
    *b = (struct base_array){g->offset, g->len, g->dtype, g->big_endian};
    ebb_map_set(base, g->name, b);
    return 0;
}

static struct ebb_random_source source_of(const struct ebb_bytes *b)
{
    return (struct ebb_random_source){.read_at = b->read_at, .ctx = b->ctx, .size = b->size_bytes};
}

/* Tensors have names that mean the same in the next checkpoint; frames' arrays do not. */
static bool has_names(enum ebb_file_kind kind)
{
    return kind == EBB_FILE_SAFETENSORS || kind == EBB_FILE_TORCH || kind == EBB_FILE_NPY ||
           kind == EBB_FILE_NPZ;
}

static int scan_base(struct cutting *c, enum ebb_file_kind kind, struct ebb_error *err)
{
    const struct ebb_pack_run *r = c->r;
    if (r->base == NULL)
        return 0;
    if (!has_names(kind)) {
        c->trajectory = ebb_trajectory_new(r->base, r->o->base_anchors, r->o->base_anchor_count);
        return 0;
    }
    c->base = ebb_map_new(free);
    struct ebb_random_source source = source_of(r->base);
    int rc = ebb_ranges_scan(kind, &source, found_base_array, c->base, err);
    return rc < 0 ? ebb_error_wrap(err, rc, "the base") : 0;
}

int ebb_pack_arrays(struct ebb_pack_run *r, enum ebb_file_kind kind, struct ebb_error *err)
{
    struct cutting c = {.r = r, .at = r->begin};
    struct ebb_random_source source = source_of(r->file);
    int rc = scan_base(&c, kind, err);
    if (rc == 0)
        rc = ebb_ranges_scan(kind, &source, found_array, &c, err);
    if (rc == 0)
        rc = add_plain(&c, r->file->size_bytes, err);
    ebb_map_destroy(c.base);
    ebb_trajectory_destroy(c.trajectory);
    return rc;
}

/* The whole file is rows x columns elements, again and again; what is over is plain. */
int ebb_pack_one_array(struct ebb_pack_run *r, struct ebb_error *err)
{
    const struct ebb_packer_options *o = r->o;
    if (r->begin > 0)
        return ebb_pack_plain(r, r->begin, r->file->size_bytes, err);
    struct cutting c = {.r = r};
    uint64_t size = r->file->size_bytes, element = ebb_dtype_size(o->dtype);
    uint64_t one = 0;
    if (__builtin_mul_overflow(o->rows, o->columns, &one) ||
        __builtin_mul_overflow(one, element, &one))
        one = UINT64_MAX;
    int rc = 0;
    if (r->base != NULL && r->base->size_bytes == size) {
        c.base = ebb_map_new(free);
        struct base_array *b = ebb_alloc(sizeof *b);
        *b = (struct base_array){0, size / one * one, o->dtype, false};
        ebb_map_set(c.base, "array", b);
    }
    struct ebb_range whole = {.len = size / one * one,
                              .dtype = o->dtype,
                              .rows = size / one * o->rows,
                              .columns = o->columns,
                              .name = "array"};
    if (whole.len > 0)
        rc = add_array(&c, &whole, err);
    if (rc == 0)
        rc = add_plain(&c, size, err);
    ebb_map_destroy(c.base);
    return rc;
}
