/* Cutting a trajectory into groups of frames. XTC goes through its own integers, exactly, or by an
 * error bound to a multiple of them; with a bound the others are quantised.
 *
 * Each part is read back before it is written. Lossless: a frame that is not put together to the
 * bytes it had is kept verbatim. Lossy: every coordinate is held to the bound. Bytes that are no
 * frame (a header, the torn end of a file) are plain parts. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "formats/frame.h"
#include "kernels/trajectory/trajectory.h"
#include "pack/packer_run.h"
#include "pack/part_frames.h"

/* Atoms x frames of a part: 12 or 24 bytes each are kept while it is packed. */
#define PART_SITES_MAX (UINT64_C(1) << 22)
/* Raw bytes after which a part is closed: frames may be verbatim, or mostly rest. */
#define PART_RAW_MAX (UINT64_C(64) << 20)

struct plan {
    struct ebb_part_frames frames;
    uint64_t *ends; /* of each frame in the job's raw bytes */
    size_t ends_capacity;
    double error;               /* in the coordinates' unit; 0: exact */
    struct ebb_buffer original; /* LATTICE by a multiplier: the file's integers */
};

struct stream {
    const struct ebb_bytes *file;
    uint64_t at;
};

struct cutting {
    struct ebb_pack_run *r;
    enum ebb_file_kind kind;
    struct ebb_pack_job *job; /* the part that is being filled; NULL: none */
    double error;             /* in the file's unit; 0: lossless */
    bool has_unit;            /* `error` is known: a frame was read */
};

static void destroy_plan(void *plan)
{
    struct plan *p = plan;
    if (p != NULL) {
        ebb_part_frames_clean_up(&p->frames);
        ebb_buffer_clean_up(&p->original);
        free(p->ends);
    }
    free(p);
}

/* ---- packing a part, in a worker ---- */

/* What reading the part back is compared with. */
struct check {
    const struct ebb_pack_job *job;
    struct plan *plan;
    size_t coordinates_at; /* frames with coordinates so far */
    size_t different;      /* frames that did not come back */
};

static int seen_exact(void *ctx, uint32_t number, const uint8_t *bytes, size_t len,
                      const void *coordinates, struct ebb_error *err)
{
    (void)coordinates, (void)err;
    struct check *c = ctx;
    uint64_t begin = number == 0 ? 0 : c->plan->ends[number - 1];
    if (len != c->plan->ends[number] - begin || memcmp(bytes, c->job->raw.data + begin, len) != 0) {
        c->plan->frames.frames[number].is_verbatim = true;
        c->different++;
    }
    return 0;
}

/* Within the bound, plus one unit in the last place of the float; what is not finite comes back. */
static bool is_within(double x, double y, double error, double ulp)
{
    if (!isfinite(x))
        return isnan(x) ? isnan(y) : x == y;
    return !(fabs(y - x) > error + ulp) && isfinite(y);
}

static bool is_frame_within(const struct plan *p, const void *original, const void *coordinates)
{
    size_t n = 3 * p->frames.atoms;
    bool good = true;
    for (size_t i = 0; i < n; i++)
        if (p->frames.type == EBB_FRAMES_F32) {
            float x = ((const float *)original)[i], y = ((const float *)coordinates)[i];
            good &= is_within(x, y, p->error, (double)(nextafterf(fabsf(x), INFINITY) - fabsf(x)));
        } else if (p->frames.type == EBB_FRAMES_F64) {
            double x = ((const double *)original)[i], y = ((const double *)coordinates)[i];
            good &= is_within(x, y, p->error, nextafter(fabs(x), INFINITY) - fabs(x));
        } else {
            int64_t d = (int64_t)((const int32_t *)coordinates)[i] -
                        (int64_t)((const int32_t *)original)[i];
            good &= 2 * (d < 0 ? -d : d) <= p->frames.multiplier;
        }
    return good;
}

static int seen_lossy(void *ctx, uint32_t number, const uint8_t *bytes, size_t len,
                      const void *coordinates, struct ebb_error *err)
{
    (void)bytes, (void)len;
    struct check *c = ctx;
    const struct plan *p = c->plan;
    if (coordinates == NULL)
        return 0;
    size_t frame = p->frames.atoms * 3 * (p->frames.type == EBB_FRAMES_F64 ? 8 : 4);
    const struct ebb_buffer *from =
        p->frames.type == EBB_FRAMES_LATTICE ? &p->original : &p->frames.coordinates;
    const uint8_t *original = from->data + frame * c->coordinates_at++;
    return is_frame_within(p, original, coordinates)
               ? 0
               : ebb_error_set(err, EBB_ERR_INTERNAL,
                               "frame %" PRIu32 " of a part is not within the bound", number);
}

/* The same frames, those that did not come back verbatim. */
static void keep_verbatim(struct ebb_pack_job *j, struct plan *p)
{
    struct ebb_part_frames kept = {.kind = p->frames.kind,
                                   .type = p->frames.type,
                                   .atoms = p->frames.atoms,
                                   .quantum = p->frames.quantum,
                                   .multiplier = p->frames.multiplier};
    size_t rest_at = 0, frame = p->frames.atoms * 3 * (p->frames.type == EBB_FRAMES_F64 ? 8 : 4);
    const uint8_t *x = p->frames.coordinates.data;
    const float *box = (const float *)(const void *)p->frames.boxes.data;
    bool was_verbatim;
    for (uint32_t i = 0; i < p->frames.count; i++) {
        uint64_t begin = i == 0 ? 0 : p->ends[i - 1];
        const struct ebb_part_frame *f = &p->frames.frames[i];
        /* A verbatim frame's rest is its bytes, and it has no coordinates. */
        was_verbatim = f->is_verbatim && f->rest_bytes == p->ends[i] - begin;
        if (f->is_verbatim)
            ebb_part_frames_add(&kept, j->raw.data + begin, p->ends[i] - begin, NULL, NULL);
        else
            ebb_part_frames_add(&kept, p->frames.rests.data + rest_at, f->rest_bytes, x, box);
        rest_at += f->rest_bytes;
        x += was_verbatim ? 0 : frame;
        box += was_verbatim ? 0 : 9;
    }
    ebb_part_frames_clean_up(&p->frames);
    p->frames = kept;
}

static int encode_lossy(struct ebb_pack_job *j, struct plan *p, struct ebb_error *err)
{
    struct check c = {.job = j, .plan = p};
    int rc = ebb_part_read_frames(j->payload.data, j->payload.len, EBB_CONTAINER_PART_MAX,
                                  &j->unpacked, seen_lossy, &c, err);
    j->is_lossy = true;
    return rc;
}

/* What the codec does not make smaller. */
static int keep_plain(struct ebb_pack_job *j, const struct ebb_pack_run *r, struct ebb_error *err)
{
    ebb_buffer_reset(&j->payload);
    j->is_checked = false;
    return ebb_part_encode_plain(j->raw.data, j->raw.len, r->o->level, &j->payload, &j->codec, err);
}

static int encode(struct ebb_pack_job *j, const struct ebb_pack_run *r, struct ebb_error *err)
{
    struct plan *p = j->plan;
    j->codec = EBB_PART_FRAMES;
    j->frames = p->frames.count;
    j->is_checked = true;
    int rc = ebb_part_encode_frames(&p->frames, r->o->level, &j->payload, err);
    if (rc < 0)
        return rc;
    if (p->error > 0 && j->payload.len < j->raw.len)
        return encode_lossy(j, p, err);
    if (p->error > 0)
        return keep_plain(j, r, err);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer back = {0};
    struct check c = {.job = j, .plan = p};
    rc = ebb_part_read_frames(j->payload.data, j->payload.len, EBB_CONTAINER_PART_MAX, &back,
                              seen_exact, &c, err);
    if (rc == 0 && c.different > 0) {
        keep_verbatim(j, p);
        ebb_buffer_reset(&j->payload);
        j->is_checked = false;
        rc = ebb_part_encode_frames(&p->frames, r->o->level, &j->payload, err);
    }
    return rc < 0 || j->payload.len < j->raw.len ? rc : keep_plain(j, r, err);
}

/* ---- cutting, in the file's order ---- */

static int read_stream(void *ctx, void *buf, size_t len, size_t *ret_len, struct ebb_error *err)
{
    struct stream *s = ctx;
    uint64_t left = s->file->size_bytes - s->at;
    size_t n = left < len ? (size_t)left : len;
    int rc = ebb_bytes_read(s->file, s->at, buf, n, err);
    if (rc < 0)
        return rc;
    s->at += n;
    *ret_len = n;
    return 0;
}

/* How a frame is packed; frames of one part are alike in it. */
struct manner {
    enum ebb_frames_type type;
    size_t atoms;
    double quantum;
    uint32_t multiplier;
    bool is_verbatim;
};

static struct manner manner_of(const struct cutting *c, const struct ebb_frame *f)
{
    struct manner m = {.atoms = f->atoms, .multiplier = 1, .is_verbatim = true};
    if (f->atoms == 0 || f->atoms > EBB_TRAJ_ATOMS_MAX)
        return m;
    if (f->xq != NULL && f->precision > 0) {
        double steps = 2 * c->error * f->precision * (1 + 1e-9);
        m.type = EBB_FRAMES_LATTICE;
        m.quantum = 1 / f->precision;
        m.multiplier = steps >= 2 ? (uint32_t)fmin(steps, 1u << 30) : 1;
        m.is_verbatim = !isfinite(m.quantum);
    } else if (c->error > 0 && (f->x32 != NULL || f->x64 != NULL)) {
        m.type = f->x32 != NULL ? EBB_FRAMES_F32 : EBB_FRAMES_F64;
        m.quantum = 2 * c->error / f->length_scale;
        m.is_verbatim = !isfinite(m.quantum) || !(m.quantum > 0);
    }
    return m;
}

/* A quantum that follows the box may be up to a tenth finer than it need be. */
static bool fits(const struct ebb_part_frames *p, const struct manner *m)
{
    return m->is_verbatim ||
           (p->type == m->type && p->atoms == m->atoms && p->multiplier == m->multiplier &&
            (m->type == EBB_FRAMES_LATTICE
                 ? p->quantum == m->quantum
                 : p->quantum <= m->quantum && p->quantum >= 0.9 * m->quantum));
}

static bool is_full(const struct cutting *c, const struct plan *p, const struct ebb_frame *f)
{
    uint32_t most = c->r->o->group_frames == 0 ? EBB_TRAJ_GROUP_FRAMES_MAX : c->r->o->group_frames;
    return p->frames.count >= most || (uint64_t)(p->frames.count + 1) * f->atoms > PART_SITES_MAX ||
           c->job->raw.len + f->raw.len > PART_RAW_MAX;
}

static void begin_part(const struct cutting *c, struct ebb_pack_job *j, const struct manner *m)
{
    struct plan *p = j->plan;
    ebb_part_frames_reset(&p->frames);
    ebb_buffer_reset(&p->original);
    p->frames.kind = c->kind;
    p->frames.type = m->type;
    p->frames.atoms = m->atoms;
    p->frames.quantum = m->quantum;
    p->frames.multiplier = m->multiplier;
    p->error = m->type == EBB_FRAMES_LATTICE ? (m->multiplier > 1 ? 1 : 0) : m->quantum / 2;
}

static int open_part(struct cutting *c, const struct ebb_frame *f, const struct manner *m,
                     struct ebb_error *err)
{
    if (c->job != NULL) {
        const struct plan *p = c->job->plan;
        if (!is_full(c, p, f) && fits(&p->frames, m))
            return 0;
    }
    int rc = ebb_pack_next_job(c->r, &c->job, err);
    if (rc < 0)
        return rc;
    if (c->job->plan == NULL) {
        c->job->plan = ebb_alloc(sizeof(struct plan));
        c->job->destroy_plan = destroy_plan;
    }
    c->job->encode = encode;
    begin_part(c, c->job, m);
    return 0;
}

/* To the nearest multiple, halves away from zero. */
static void divide(const int32_t *q, size_t n, int32_t by, struct ebb_buffer *out)
{
    ebb_buffer_reserve(out, n * sizeof *q);
    int32_t *to = (int32_t *)(void *)(out->data + out->len);
    for (size_t i = 0; i < n; i++)
        to[i] = (int32_t)(((int64_t)q[i] + (q[i] < 0 ? -(by / 2) : by / 2)) / by);
    out->len += n * sizeof *q;
}

static void add_coordinates(struct plan *p, const struct ebb_frame *f)
{
    const void *x = f->xq != NULL    ? (const void *)f->xq
                    : f->x32 != NULL ? (const void *)f->x32
                                     : (const void *)f->x64;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer coarse = {0};
    if (p->frames.type == EBB_FRAMES_LATTICE && p->frames.multiplier > 1) {
        ebb_buffer_append(&p->original, x, 3 * f->atoms * sizeof(int32_t));
        divide(f->xq, 3 * f->atoms, (int32_t)p->frames.multiplier, &coarse);
        x = coarse.data;
    }
    ebb_part_frames_add(&p->frames, f->rest.data, f->rest.len, x, f->box);
}

static void put_frame(struct ebb_pack_job *j, const struct ebb_frame *f, const struct manner *m)
{
    struct plan *p = j->plan;
    if (p->frames.count == p->ends_capacity) {
        p->ends_capacity = p->ends_capacity == 0 ? 128 : 2 * p->ends_capacity;
        p->ends = ebb_realloc_array(p->ends, p->ends_capacity, sizeof *p->ends);
    }
    ebb_buffer_append(&j->raw, f->raw.data, f->raw.len);
    p->ends[p->frames.count] = j->raw.len;
    if (m->is_verbatim)
        ebb_part_frames_add(&p->frames, f->raw.data, f->raw.len, NULL, NULL);
    else
        add_coordinates(p, f);
}

static int add_frame(struct cutting *c, const struct ebb_frame *f, struct ebb_error *err)
{
    struct manner m = manner_of(c, f);
    int rc = open_part(c, f, &m, err);
    if (rc == 0)
        put_frame(c->job, f, &m);
    return rc;
}

/* The bound in the file's unit, once the file has said what that is. */
static int set_unit(struct cutting *c, const struct ebb_frame_reader *reader, struct ebb_error *err)
{
    const struct ebb_packer_options *o = c->r->o;
    c->has_unit = true;
    c->error = o->error;
    if (o->error == 0 || o->unit[0] == '\0')
        return 0;
    double units_per_nm = ebb_frame_reader_units_per_nm(reader);
    if (!(units_per_nm > 0))
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "the file does not say its unit of length: give --error as a bare "
                             "number in that unit");
    double nm = strcmp(o->unit, "pm") == 0 ? 1e-3 : strcmp(o->unit, "A") == 0 ? 0.1 : 1;
    c->error = o->error * nm * units_per_nm;
    return 0;
}

static int pack_stream(struct cutting *c, struct ebb_frame_reader *reader, struct ebb_frame *f,
                       struct ebb_error *err)
{
    uint64_t begin = c->r->begin;
    int rc = ebb_pack_plain(c->r, begin, begin + ebb_frame_reader_header(reader)->len, err);
    struct ebb_error why = {0};
    while (rc == 0 && (rc = ebb_frame_reader_next(reader, f, &why)) > 0) {
        rc = c->has_unit ? 0 : set_unit(c, reader, err);
        if (rc == 0)
            rc = add_frame(c, f, err);
        if (rc < 0)
            return rc;
    }
    if (rc < 0 && rc != EBB_ERR_CORRUPT && rc != EBB_ERR_UNSUPPORTED) {
        if (why.code < 0 && err != NULL)
            ebb_error_copy(err, &why);
        return rc;
    }
    return ebb_pack_plain(c->r, begin + ebb_frame_reader_offset(reader), c->r->file->size_bytes,
                          err);
}

/* A raw file of --shape: frames of bare little-endian coordinates. */
static int pack_raw(struct cutting *c, struct ebb_error *err)
{
    const struct ebb_packer_options *o = c->r->o;
    if (o->columns != 3 || (o->dtype != EBB_DTYPE_F32 && o->dtype != EBB_DTYPE_F64) ||
        o->unit[0] != '\0')
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "--error on a raw file wants --shape N,3 and --dtype f32 or f64, and "
                             "a bare number in the file's own unit");
    bool is_wide = o->dtype == EBB_DTYPE_F64;
    uint64_t frame = o->rows * 3 * (is_wide ? 8 : 4), at = 0;
    EBB_AUTO(ebb_frame_clean_up)
    struct ebb_frame f = {.atoms = (size_t)o->rows, .length_scale = 1};
    c->error = o->error;
    for (; o->rows <= EBB_TRAJ_ATOMS_MAX && c->r->file->size_bytes - at >= frame; at += frame) {
        ebb_buffer_reset(&f.raw);
        ebb_buffer_reserve(&f.raw, (size_t)frame);
        int rc = ebb_bytes_read(c->r->file, at, f.raw.data, (size_t)frame, err);
        f.raw.len = (size_t)frame;
        f.x32 = is_wide ? NULL : (float *)(void *)f.raw.data;
        f.x64 = is_wide ? (double *)(void *)f.raw.data : NULL;
        if (rc == 0)
            rc = add_frame(c, &f, err);
        if (rc < 0)
            return rc;
    }
    return ebb_pack_plain(c->r, at, c->r->file->size_bytes, err);
}

int ebb_pack_frames(struct ebb_pack_run *r, enum ebb_file_kind kind, struct ebb_error *err)
{
    struct cutting c = {.r = r, .kind = kind};
    if (kind == EBB_FILE_RAW)
        return pack_raw(&c, err);
    struct stream s = {.file = r->file, .at = r->begin};
    EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *reader = NULL;
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
    int rc = ebb_frame_reader_open(kind, (struct ebb_source){.read = read_stream, .ctx = &s},
                                   &reader, err);
    if (rc == EBB_ERR_CORRUPT || rc == EBB_ERR_UNSUPPORTED)
        return ebb_pack_plain(r, r->begin, r->file->size_bytes, err);
    return rc < 0 ? rc : pack_stream(&c, reader, &f, err);
}

/* ---- a chunk of a growing trajectory ---- */

/* All frames have to be alike; bytes behind the last are kept verbatim. */
static int take_frames(struct cutting *c, struct ebb_pack_job *j, struct ebb_frame_reader *reader,
                       const uint8_t *bytes, size_t len, struct ebb_error *err)
{
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
    struct plan *p = j->plan;
    while (ebb_frame_reader_next(reader, &f, NULL) > 0) {
        struct manner m = manner_of(c, &f);
        if (p->frames.count == 0)
            begin_part(c, j, &m);
        else if (!fits(&p->frames, &m))
            return 0;
        put_frame(j, &f, &m);
    }
    uint64_t at = ebb_frame_reader_offset(reader);
    if (p->frames.count == 0 || p->frames.coordinates.len == 0 || at > len)
        return 0;
    if (at < len) {
        struct manner rest = {.is_verbatim = true};
        ebb_buffer_reset(&f.raw);
        ebb_buffer_append(&f.raw, bytes + at, len - (size_t)at);
        put_frame(j, &f, &rest);
    }
    struct ebb_packer_options o = {.level = EBB_PACK_FAST};
    struct ebb_pack_run r = {.o = &o};
    int rc = encode(j, &r, err);
    return rc < 0 ? rc : j->codec == EBB_PART_FRAMES;
}

int ebb_pack_frames_of_memory(enum ebb_file_kind kind, const uint8_t *bytes, size_t len,
                              struct ebb_buffer *out, uint32_t *ret_codec, struct ebb_error *err)
{
    struct cutting c = {.kind = kind};
    struct ebb_memory m = {.data = bytes, .len = len};
    struct ebb_bytes file = ebb_bytes_of_memory(&m);
    struct stream s = {.file = &file};
    EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *reader = NULL;
    if (ebb_frame_reader_open(kind, (struct ebb_source){.read = read_stream, .ctx = &s}, &reader,
                              NULL) < 0)
        return 0;
    struct plan *p = ebb_alloc(sizeof *p);
    struct ebb_pack_job j = {.plan = p};
    int rc = take_frames(&c, &j, reader, bytes, len, err);
    if (rc > 0) {
        *ret_codec = j.codec;
        ebb_buffer_append(out, j.payload.data, j.payload.len);
    }
    destroy_plan(p);
    ebb_buffer_clean_up(&j.raw);
    ebb_buffer_clean_up(&j.payload);
    ebb_buffer_clean_up(&j.unpacked);
    return rc;
}
