/* DCD: Fortran records, each between two markers that tell its bytes, in either byte order.
 *
 *     header   84: "CORD", 20 integers | titles: n, n * 80 | 4: atoms | (free atoms' numbers)
 *     frame    (48: unit cell, 6 f64) | x f32 * atoms | y | z | (fourth dimension f32 * atoms)
 *
 * Integers of the header: 0 frames, 1 first step, 2 steps between frames, 8 fixed atoms, 9 time
 * step (float32; float64 in 9 and 10 where 19 is 0), 10 a unit cell in every frame, 11 a fourth
 * dimension, 19 CHARMM's version, 0 for X-PLOR, which has neither of these. Fixed atoms stand in
 * the first frame alone: the frames after it have the free ones.
 *
 * `rest` is a byte of flags and the frame without the numbers of x, y and z, markers kept. */
#include <math.h>

#include "formats/bytes.h"
#include "formats/reader.h"
#include "formats/scanners.h"

enum { FLAG_BIG = 1, FLAG_CELL = 2, FLAG_4D = 4, FLAGS = 7 };
enum { HEADER_RECORD = 84, MAX_HEADER = 1 << 26, MAX_CELL_BYTES = 4096 };

struct dcd_layout {
    bool big, cell, fourth;
    uint64_t atoms, free_atoms;
    int64_t first_step, stride;
    double time_step;
};

static int32_t header_int(const uint8_t *p, int i, bool big)
{
    return (int32_t)ebb_load32(p + 8 + 4 * i, big);
}

/* The record at `at` of the input: its length, once it is known to be whole and at most `most`. */
static int need_record(struct ebb_input *in, uint64_t at, bool big, uint64_t most,
                       uint32_t *ret_len, struct ebb_error *err)
{
    int rc = ebb_input_need(in, at + 4, err);
    if (rc <= 0)
        return rc < 0 ? rc : ebb_error_set(err, EBB_ERR_CORRUPT, "the file ends within it");
    uint32_t len = ebb_load32(ebb_input_bytes(in) + at, big);
    if (len > most)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "a record of %u bytes at byte %llu", len,
                             (unsigned long long)(in->offset + at));
    rc = ebb_input_need(in, at + 8 + len, err);
    if (rc <= 0)
        return rc < 0 ? rc : ebb_error_set(err, EBB_ERR_CORRUPT, "the file ends within it");
    if (ebb_load32(ebb_input_bytes(in) + at + 4 + len, big) != len)
        return ebb_error_set(err, EBB_ERR_CORRUPT,
                             "a record of %u bytes at byte %llu that ends with another length", len,
                             (unsigned long long)(in->offset + at));
    *ret_len = len;
    return 0;
}

static int read_first_record(struct ebb_input *in, struct dcd_layout *l, struct ebb_error *err)
{
    int rc = ebb_input_need(in, HEADER_RECORD + 8, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "the file ends within it");
    const uint8_t *p = ebb_input_bytes(in);
    l->big = ebb_load32(p, true) == HEADER_RECORD;
    if (ebb_load32(p, l->big) != HEADER_RECORD || memcmp(p + 4, "CORD", 4) != 0 ||
        ebb_load32(p + HEADER_RECORD + 4, l->big) != HEADER_RECORD)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "it does not begin with 84 \"CORD\"");
    bool charmm = header_int(p, 19, l->big) != 0;
    l->cell = charmm && header_int(p, 10, l->big) != 0;
    l->fourth = charmm && header_int(p, 11, l->big) == 1;
    l->first_step = header_int(p, 1, l->big);
    l->stride = header_int(p, 2, l->big);
    l->time_step =
        charmm ? (double)ebb_load_f32(p + 8 + 36, l->big) : ebb_load_f64(p + 8 + 36, l->big);
    return 0;
}

static int read_atom_records(struct ebb_input *in, uint64_t at, struct dcd_layout *l,
                             uint64_t *ret_end, struct ebb_error *err)
{
    uint32_t len = 0;
    int rc = need_record(in, at, l->big, 4, &len, err);
    if (rc < 0)
        return rc;
    int32_t atoms = len == 4 ? (int32_t)ebb_load32(ebb_input_bytes(in) + at + 4, l->big) : -1;
    int32_t fixed = header_int(ebb_input_bytes(in), 8, l->big);
    if (atoms < 0 || fixed < 0 || fixed > atoms)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%d atoms, %d of them fixed", atoms, fixed);
    l->atoms = (uint64_t)atoms;
    l->free_atoms = (uint64_t)atoms - (uint64_t)fixed;
    at += 12;
    if (fixed > 0) {
        rc = need_record(in, at, l->big, 4 * l->free_atoms, &len, err);
        if (rc < 0)
            return rc;
        at += 8 + len;
    }
    *ret_end = at;
    return 0;
}

/* The header at the front of the input. */
static int read_header(struct ebb_input *in, struct dcd_layout *l, uint64_t *ret_bytes,
                       struct ebb_error *err)
{
    int rc = read_first_record(in, l, err);
    if (rc < 0)
        return rc;
    uint32_t len = 0;
    rc = need_record(in, HEADER_RECORD + 8, l->big, MAX_HEADER, &len, err);
    if (rc < 0)
        return rc;
    return read_atom_records(in, HEADER_RECORD + 8 + 8 + (uint64_t)len, l, ret_bytes, err);
}

static int dcd_open(struct ebb_frame_reader *r, struct ebb_error *err)
{
    struct dcd_layout *l = r->state = ebb_alloc(sizeof *l);
    uint64_t bytes = 0;
    int rc = read_header(&r->in, l, &bytes, err);
    if (rc < 0)
        return rc;
    ebb_buffer_append(&r->header, ebb_input_bytes(&r->in), (size_t)bytes);
    ebb_input_skip(&r->in, (size_t)bytes);
    r->units_per_nm = 10;
    return 0;
}

static void dcd_close(struct ebb_frame_reader *r)
{
    free(r->state);
}

/* Box vectors from lengths and the cosines of the angles between them. */
static void set_box(struct ebb_frame *f, const double length[3], double cos_bc, double cos_ac,
                    double cos_ab)
{
    double sin_ab = sqrt(fmax(0, 1 - cos_ab * cos_ab));
    double cx = cos_ac, cy = sin_ab > 0 ? (cos_bc - cos_ac * cos_ab) / sin_ab : 0;
    double cz = sqrt(fmax(0, 1 - cx * cx - cy * cy));
    const double box[9] = {length[0],
                           0,
                           0,
                           length[1] * cos_ab,
                           length[1] * sin_ab,
                           0,
                           length[2] * cx,
                           length[2] * cy,
                           length[2] * cz};
    for (int k = 0; k < 9; k++) {
        f->box[k] = (float)box[k];
        f->has_box |= box[k] != 0;
    }
}

static double cosine(double degrees)
{
    return degrees == 90 ? 0 : cos(degrees * 0.017453292519943295);
}

/* The cell's six numbers: A, gamma, B, beta, alpha, C with angles in degrees (X-PLOR, OpenMM) or as
 * cosines (NAMD, LAMMPS), or the lower triangle of CHARMM's symmetric box matrix: told apart by
 * their values, as nothing else tells. */
static void read_cell(const uint8_t *p, bool big, struct ebb_frame *f)
{
    double c[6];
    for (int i = 0; i < 6; i++)
        c[i] = ebb_load_f64(p + 8 * i, big);
    const double length[3] = {c[0], c[2], c[5]};
    if (fabs(c[1]) <= 1 && fabs(c[3]) <= 1 && fabs(c[4]) <= 1) {
        set_box(f, length, c[4], c[3], c[1]);
    } else if (c[1] > 0 && c[3] > 0 && c[4] > 0 && c[1] < 180 && c[3] < 180 && c[4] < 180) {
        set_box(f, length, cosine(c[4]), cosine(c[3]), cosine(c[1]));
    } else {
        const double box[9] = {c[0], c[1], c[3], c[1], c[2], c[4], c[3], c[4], c[5]};
        for (int k = 0; k < 9; k++) {
            f->box[k] = (float)box[k];
            f->has_box |= box[k] != 0;
        }
    }
}

/* One coordinate of every atom. The record of `atoms` float32 at `at`; `column` 0 to 2, or 3 for
 * the fourth dimension, which stays in `rest` whole. */
static int read_column(struct ebb_frame_reader *r, struct ebb_frame *f, uint64_t at, uint64_t atoms,
                       int column, struct ebb_error *err)
{
    const struct dcd_layout *l = r->state;
    uint32_t len = 0;
    int rc = need_record(&r->in, at, l->big, 4 * atoms, &len, err);
    if (rc < 0)
        return rc;
    if (len != 4 * atoms)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "a record of %u bytes at byte %llu, not %llu",
                             len, (unsigned long long)(r->in.offset + at),
                             (unsigned long long)(4 * atoms));
    const uint8_t *p = ebb_input_bytes(&r->in) + at;
    if (column == 3) {
        ebb_buffer_append(&f->rest, p, len + 8);
        return 0;
    }
    rc = ebb_frame_hold(f, (size_t)atoms, sizeof(float), err);
    if (rc < 0)
        return rc;
    float *x = f->memory;
    for (size_t i = 0; i < atoms; i++)
        ebb_swap_copy32(&x[3 * i + (size_t)column], p + 4 + 4 * i, 1, l->big);
    ebb_buffer_append(&f->rest, p, 4);
    ebb_buffer_append(&f->rest, p, 4);
    return 0;
}

static int dcd_next(struct ebb_frame_reader *r, struct ebb_frame *f, uint64_t *ret_bytes,
                    struct ebb_error *err)
{
    const struct dcd_layout *l = r->state;
    uint64_t at = 0, atoms = r->frames == 0 ? l->atoms : l->free_atoms;
    uint8_t flags =
        (uint8_t)((l->big ? FLAG_BIG : 0) | (l->cell ? FLAG_CELL : 0) | (l->fourth ? FLAG_4D : 0));
    ebb_buffer_append(&f->rest, &flags, 1);
    if (l->cell) {
        uint32_t len = 0;
        int rc = need_record(&r->in, at, l->big, MAX_CELL_BYTES, &len, err);
        if (rc < 0)
            return rc;
        ebb_buffer_append(&f->rest, ebb_input_bytes(&r->in), len + 8);
        if (len == 48)
            read_cell(ebb_input_bytes(&r->in) + 4, l->big, f);
        at += len + 8;
    }
    for (int column = 0; column < (l->fourth ? 4 : 3); column++) {
        int rc = read_column(r, f, at, atoms, column, err);
        if (rc < 0)
            return rc;
        at += 4 * atoms + 8;
    }
    f->atoms = (size_t)atoms;
    f->x32 = atoms > 0 ? f->memory : NULL;
    f->step = l->first_step + (int64_t)r->frames * l->stride;
    f->time = (double)f->step * l->time_step;
    *ret_bytes = at;
    return 1;
}

static void append_column(const struct ebb_coordinates *x, int column, bool big,
                          const uint8_t *markers, struct ebb_buffer *out)
{
    ebb_buffer_append(out, markers, 4);
    ebb_buffer_reserve(out, 4 * x->atoms);
    for (size_t i = 0; i < x->atoms; i++) {
        size_t k = 3 * i + (size_t)column;
        float v = x->x32 != NULL ? x->x32[k] : (float)x->x64[k];
        ebb_swap_copy32(out->data + out->len + 4 * i, &v, 1, big);
    }
    out->len += 4 * x->atoms;
    ebb_buffer_append(out, markers + 4, 4);
}

static int dcd_write(const uint8_t *rest, size_t rest_len, const struct ebb_coordinates *x,
                     struct ebb_buffer *out, struct ebb_error *err)
{
    if (rest_len < 1 || rest[0] > FLAGS)
        return ebb_frame_bad_rest("DCD", err);
    bool big = (rest[0] & FLAG_BIG) != 0;
    uint64_t at = 1;
    if ((rest[0] & FLAG_CELL) != 0) {
        if (rest_len < 5 || ebb_load32(rest + 1, big) > MAX_CELL_BYTES)
            return ebb_frame_bad_rest("DCD", err);
        at += ebb_load32(rest + 1, big) + 8;
    }
    uint64_t fourth = (rest[0] & FLAG_4D) != 0 ? 4 * (uint64_t)x->atoms + 8 : 0;
    if (x->atoms > INT32_MAX || rest_len != at + 24 + fourth ||
        ebb_load32(rest + at, big) != 4 * (uint64_t)x->atoms)
        return ebb_frame_bad_rest("DCD", err);
    if (x->atoms > 0 && x->x32 == NULL && x->x64 == NULL)
        return ebb_error_set(err, EBB_ERR_INPUT, "a DCD is written from floats");
    ebb_buffer_append(out, rest + 1, (size_t)at - 1);
    for (int column = 0; column < 3; column++)
        append_column(x, column, big, rest + at + 8 * column, out);
    ebb_buffer_append(out, rest + at + 24, (size_t)fourth);
    return 0;
}

const struct ebb_frame_format ebb_dcd_format = {
    .kind = EBB_FILE_DCD,
    .name = "DCD",
    .open = dcd_open,
    .close = dcd_close,
    .next = dcd_next,
    .write = dcd_write,
};

/* A random source read as a stream, for the header. */
struct cursor {
    const struct ebb_random_source *source;
    uint64_t pos;
};

static int read_cursor(void *ctx, void *buf, size_t len, size_t *ret_len, struct ebb_error *err)
{
    struct cursor *c = ctx;
    size_t n = c->source->size - c->pos < len ? (size_t)(c->source->size - c->pos) : len;
    int rc = n == 0 ? 0 : c->source->read_at(c->source->ctx, c->pos, buf, n, err);
    if (rc < 0)
        return rc;
    c->pos += n;
    *ret_len = n;
    return 0;
}

/* The marker at `at` is there and says `len`: 1, 0 or a failure of the source. */
static int has_marker(const struct ebb_random_source *s, uint64_t at, uint64_t len, bool big,
                      struct ebb_error *err)
{
    uint8_t marker[4];
    if (at > s->size || s->size - at < len + 8)
        return 0;
    int rc = s->read_at(s->ctx, at, marker, sizeof marker, err);
    return rc < 0 ? rc : ebb_load32(marker, big) == len;
}

static int scan_frames(const struct ebb_random_source *source, const struct dcd_layout *l,
                       uint64_t at, ebb_range_fn *found, void *ctx, struct ebb_error *err)
{
    static const char *const names[] = {"x", "y", "z", "w"};
    for (uint64_t atoms = l->atoms; atoms > 0; atoms = l->free_atoms) {
        if (l->cell)
            at += 48 + 8;
        for (int column = 0; column < (l->fourth ? 4 : 3); column++) {
            int rc = has_marker(source, at, 4 * atoms, l->big, err);
            if (rc <= 0)
                return rc;
            struct ebb_range range = {.offset = at + 4,
                                      .len = 4 * atoms,
                                      .dtype = EBB_DTYPE_F32,
                                      .big_endian = l->big,
                                      .rows = atoms,
                                      .columns = 1,
                                      .role = EBB_ROLE_X,
                                      .name = names[column]};
            rc = found(ctx, &range, err);
            if (rc != 0)
                return rc;
            at += 4 * atoms + 8;
        }
    }
    return 0;
}

int ebb_dcd_scan(const struct ebb_random_source *source, ebb_range_fn *found, void *ctx,
                 struct ebb_error *err)
{
    struct cursor cursor = {.source = source};
    EBB_AUTO(ebb_input_clean_up)
    struct ebb_input in = {.source = {.read = read_cursor, .ctx = &cursor}};
    struct dcd_layout l = {0};
    uint64_t at = 0;
    struct ebb_error header_error = {0};
    int rc = read_header(&in, &l, &at, &header_error);
    if (rc == EBB_ERR_CORRUPT)
        return 0;
    if (rc < 0) {
        if (err != NULL)
            ebb_error_copy(err, &header_error);
        return rc;
    }
    return scan_frames(source, &l, at, found, ctx, err);
}
