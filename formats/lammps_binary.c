/* LAMMPS's binary dump, little-endian. A frame is
 *
 *     (-length i64 | magic, "DUMPATOM" or "DUMPCUSTOM" | endian 1 | revision)   since 2020
 *     step i64 | atoms i64 | triclinic | boundary 6 | bounds 6 f64 | (tilt 3 f64) | columns
 *     (revision 2: length, unit style | flag u8, (time f64) | length, column names)
 *     chunks | each: numbers, f64 * numbers
 *
 * and a chunk has whole rows of columns. Before revision 2 no names tell the columns: such frames
 * have no coordinates.
 *
 * `rest` is a head of REST_HEAD bytes and the frame without the three columns:
 *
 *     flags | columns u32 | x, y, z column u32 | id column u32 | bytes before the chunks u64 | ...
 *
 * With FLAG_BY_ID the coordinates stand in ascending order of the id. */
#include <math.h>

#include "formats/bytes.h"
#include "formats/lammps.h"
#include "formats/reader.h"
#include "formats/scanners.h"

enum { FLAG_X = 1, FLAG_BY_ID = 2, FLAGS = 3, REST_HEAD = 29 };
enum { MAX_NAME = 31, MAX_TEXT = 1 << 16, MAX_COLUMNS = 1 << 16 };
/* The longest header: magic, fixed part, tilt, unit style, time, column names. */
enum { MAX_HEADER = 256 + 2 * MAX_TEXT };

struct binary_header {
    int64_t step;
    double time;
    uint64_t atoms;
    uint32_t columns, chunks;
    double bounds[6], tilt[3];
    double units_per_nm;
    struct ebb_lammps_columns names;
    uint64_t end; /* where the first chunk begins */
};

/* A part of the file at hand: takes numbers one after another; `ok` turns false past the end. */
struct taker {
    const uint8_t *p;
    size_t len, at;
    bool ok;
};

static const uint8_t *take(struct taker *t, size_t bytes)
{
    static const uint8_t zeros[64];
    if (!t->ok || bytes > t->len - t->at) {
        t->ok = false;
        return zeros;
    }
    t->at += bytes;
    return t->p + t->at - bytes;
}

static uint32_t take32(struct taker *t)
{
    return ebb_load32(take(t, 4), false);
}

static uint64_t take64(struct taker *t)
{
    return ebb_load64(take(t, 8), false);
}

static double take_f64(struct taker *t)
{
    return ebb_load_f64(take(t, 8), false);
}

/* A length and so many characters; an empty text when there is no end in sight. */
static const char *take_text(struct taker *t, size_t *ret_len)
{
    uint32_t len = take32(t);
    t->ok &= len <= MAX_TEXT;
    const uint8_t *text = take(t, t->ok ? len : 0);
    *ret_len = t->ok ? len : 0;
    return (const char *)text;
}

static void take_names(struct taker *t, struct binary_header *h)
{
    size_t len;
    const char *units = take_text(t, &len);
    h->units_per_nm = ebb_lammps_units_per_nm(units, len);
    if (take(t, 1)[0] != 0)
        h->time = take_f64(t);
    const char *names = take_text(t, &len);
    ebb_lammps_find_columns(names, len, &h->names);
}

/* The revision; 1 for frames without a magic string. */
static uint32_t take_magic(struct taker *t, struct binary_header *h)
{
    h->step = (int64_t)take64(t);
    if (h->step >= 0)
        return 1;
    t->ok &= h->step >= -MAX_NAME;
    if (t->ok)
        (void)take(t, (size_t)-h->step);
    t->ok &= take32(t) == 1; /* byte order */
    uint32_t revision = take32(t);
    h->step = (int64_t)take64(t);
    return revision;
}

/* From the first bytes of a frame. */
static int parse_header(const uint8_t *p, size_t len, struct binary_header *h,
                        struct ebb_error *err)
{
    struct taker t = {.p = p, .len = len, .ok = true};
    *h = (struct binary_header){.time = NAN};
    uint32_t revision = take_magic(&t, h);
    if (t.ok && (revision < 1 || revision > 2))
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED, "revision %u of the format", revision);
    h->atoms = take64(&t);
    uint32_t triclinic = take32(&t);
    for (int i = 0; i < 6; i++)
        t.ok &= take32(&t) <= 3;
    if (t.ok && triclinic > 1)
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED, "a box of kind %u", triclinic);
    for (int i = 0; i < 6; i++)
        h->bounds[i] = take_f64(&t);
    for (int i = 0; triclinic != 0 && i < 3; i++)
        h->tilt[i] = take_f64(&t);
    h->columns = take32(&t);
    if (revision == 2)
        take_names(&t, h);
    h->chunks = take32(&t);
    h->end = t.at;
    if (!t.ok || h->columns == 0 || h->columns > MAX_COLUMNS || h->atoms > INT64_MAX)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "its header is none of a dump");
    if (h->names.count != h->columns)
        h->names = (struct ebb_lammps_columns){0};
    return 0;
}

/* ---- reading ---- */

/* Makes the frame's chunks part of the input's window: where they end. */
static int need_chunks(struct ebb_frame_reader *r, const struct binary_header *h, uint64_t *ret_end,
                       struct ebb_error *err)
{
    uint64_t at = h->end, rows = 0;
    for (uint32_t i = 0; i < h->chunks; i++) {
        int rc = ebb_frame_need(r, at + 4, err);
        if (rc < 0)
            return rc;
        uint32_t numbers = ebb_load32(ebb_input_bytes(&r->in) + at, false);
        if (numbers > INT32_MAX || numbers % h->columns != 0)
            return ebb_error_set(err, EBB_ERR_CORRUPT, "a chunk of %u numbers in rows of %u",
                                 numbers, h->columns);
        rows += numbers / h->columns;
        at += 4 + 8 * (uint64_t)numbers;
        rc = ebb_frame_need(r, at, err);
        if (rc < 0)
            return rc;
    }
    if (rows != h->atoms)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%llu rows for %llu atoms",
                             (unsigned long long)rows, (unsigned long long)h->atoms);
    *ret_end = at;
    return 0;
}

static bool is_coordinate(const uint32_t x[3], uint32_t column)
{
    return column == x[0] || column == x[1] || column == x[2];
}

/* The rows of the chunks: coordinates into x as they stand, ids into ids (NULL: none wanted), the
 * other columns behind f->rest. False when an id is no integer. */
static bool split_chunks(const uint8_t *p, const struct binary_header *h, double *x, int64_t *ids,
                         struct ebb_buffer *rest)
{
    bool ids_ok = true;
    uint64_t at = h->end, atom = 0;
    for (uint32_t i = 0; i < h->chunks; i++) {
        uint32_t numbers = ebb_load32(p + at, false);
        ebb_buffer_append(rest, p + at, 4);
        ebb_buffer_reserve(rest, 8 * (size_t)numbers);
        uint8_t *to = rest->data + rest->len;
        at += 4;
        for (uint32_t row = 0; row < numbers / h->columns; row++, atom++) {
            const uint8_t *q = p + at;
            for (uint32_t column = 0; column < h->columns; column++) {
                if (is_coordinate(h->names.x, column))
                    continue;
                memcpy(to, q + 8 * (size_t)column, 8);
                to += 8;
            }
            for (int axis = 0; axis < 3; axis++)
                x[3 * atom + (size_t)axis] = ebb_load_f64(q + 8 * (size_t)h->names.x[axis], false);
            if (ids != NULL)
                ids_ok &=
                    ebb_lammps_id(ebb_load_f64(q + 8 * (size_t)h->names.id, false), &ids[atom]);
            at += 8 * (uint64_t)h->columns;
        }
        rest->len = (size_t)(to - rest->data);
        *to = 0;
    }
    return ids_ok;
}

static void append_rest_head(struct ebb_buffer *rest, unsigned flags, const struct binary_header *h)
{
    uint8_t head[REST_HEAD] = {(uint8_t)flags};
    ebb_store32(head + 1, h->columns, false);
    for (int axis = 0; axis < 3; axis++)
        ebb_store32(head + 5 + 4 * axis, h->names.x[axis], false);
    ebb_store32(head + 17, h->names.id, false);
    ebb_store64(head + 21, h->end, false);
    ebb_buffer_append(rest, head, sizeof head);
}

static int split_binary(struct ebb_frame *f, const uint8_t *p, const struct binary_header *h,
                        struct ebb_error *err)
{
    size_t atoms = (size_t)h->atoms;
    EBB_AUTO_FREE double *x = malloc((3 * atoms + 1) * sizeof *x);
    EBB_AUTO_FREE int64_t *ids = malloc((atoms + 1) * sizeof *ids);
    EBB_AUTO_FREE uint32_t *rank = malloc((atoms + 1) * sizeof *rank);
    if (x == NULL || ids == NULL || rank == NULL)
        return ebb_error_set(err, EBB_ERR_NO_SPACE, "no memory for %zu atoms", atoms);
    int rc = ebb_frame_hold(f, atoms, sizeof(double), err);
    if (rc < 0)
        return rc;
    append_rest_head(&f->rest, FLAG_X, h);
    ebb_buffer_append(&f->rest, p, (size_t)h->end);
    bool has_ids = split_chunks(p, h, x, h->names.has_id ? ids : NULL, &f->rest);
    double *to = f->memory;
    bool sorted = true;
    if (has_ids && h->names.has_id && ebb_lammps_rank(ids, atoms, rank, &sorted) && !sorted) {
        f->rest.data[0] |= FLAG_BY_ID;
        for (size_t i = 0; i < atoms; i++)
            memcpy(&to[3 * (size_t)rank[i]], &x[3 * i], 3 * sizeof *x);
    } else if (atoms > 0) {
        memcpy(to, x, 3 * atoms * sizeof *x);
    }
    f->atoms = atoms;
    f->x64 = atoms > 0 ? to : NULL;
    return 0;
}

static int lammps_binary_next(struct ebb_frame_reader *r, struct ebb_frame *f, uint64_t *ret_bytes,
                              struct ebb_error *err)
{
    int rc = ebb_input_need(&r->in, MAX_HEADER, err);
    if (rc < 0)
        return rc;
    struct binary_header h;
    uint64_t end = 0;
    rc = parse_header(ebb_input_bytes(&r->in), r->in.len < MAX_HEADER ? r->in.len : MAX_HEADER, &h,
                      err);
    if (rc < 0 || (rc = need_chunks(r, &h, &end, err)) < 0)
        return rc;
    r->units_per_nm = h.units_per_nm;
    f->step = h.step;
    f->time = h.time;
    ebb_lammps_set_box(f, h.bounds, h.tilt, h.names.scaled);
    *ret_bytes = end;
    const uint8_t *p = ebb_input_bytes(&r->in);
    if (h.names.has_x) {
        rc = split_binary(f, p, &h, err);
        return rc < 0 ? rc : 1;
    }
    append_rest_head(&f->rest, 0, &h);
    ebb_buffer_append(&f->rest, p, (size_t)end);
    return 1;
}

/* ---- writing ---- */

struct binary_rest {
    unsigned flags;
    uint32_t columns, x[3], id;
    const uint8_t *bytes;
    size_t len, header;
};

static bool read_binary_rest(const uint8_t *rest, size_t rest_len, struct binary_rest *b)
{
    if (rest_len < REST_HEAD || rest[0] > FLAGS)
        return false;
    b->flags = rest[0];
    b->columns = ebb_load32(rest + 1, false);
    for (int axis = 0; axis < 3; axis++)
        b->x[axis] = ebb_load32(rest + 5 + 4 * axis, false);
    b->id = ebb_load32(rest + 17, false);
    uint64_t header = ebb_load64(rest + 21, false);
    b->bytes = rest + REST_HEAD;
    b->len = rest_len - REST_HEAD;
    b->header = (size_t)header;
    if (header > b->len || b->columns > MAX_COLUMNS)
        return false;
    if ((b->flags & FLAG_X) == 0)
        return b->flags == 0;
    for (int axis = 0; axis < 3; axis++)
        if (b->x[axis] >= b->columns || b->x[axis] == b->x[(axis + 1) % 3])
            return false;
    return (b->flags & FLAG_BY_ID) == 0 || (b->id < b->columns && !is_coordinate(b->x, b->id));
}

/* Where the id stands in a row without its coordinates. */
static size_t id_place(const struct binary_rest *b)
{
    size_t place = b->id;
    for (int axis = 0; axis < 3; axis++)
        place -= b->x[axis] < b->id;
    return place;
}

/* Walks over the chunks of the rest; `ids`: where to put them, or NULL. False unless they hold
 * `atoms` rows and nothing follows. */
static bool walk_rest(const struct binary_rest *b, size_t atoms, int64_t *ids)
{
    size_t at = b->header, rows = 0, row_bytes = 8 * (size_t)(b->columns - 3);
    size_t id_at = 8 * id_place(b);
    while (at < b->len) {
        if (b->len - at < 4)
            return false;
        size_t n = ebb_load32(b->bytes + at, false);
        if (n % b->columns != 0)
            return false;
        n /= b->columns;
        at += 4;
        if (n > atoms - rows || n * row_bytes > b->len - at)
            return false;
        for (size_t i = 0; ids != NULL && i < n; i++)
            if (!ebb_lammps_id(ebb_load_f64(b->bytes + at + i * row_bytes + id_at, false),
                               &ids[rows + i]))
                return false;
        rows += n;
        at += n * row_bytes;
    }
    return rows == atoms;
}

static void write_chunks(const struct binary_rest *b, const struct ebb_coordinates *x,
                         const uint32_t *rank, struct ebb_buffer *out)
{
    size_t atom = 0;
    for (size_t at = b->header; at < b->len;) {
        size_t n = ebb_load32(b->bytes + at, false);
        ebb_buffer_append(out, b->bytes + at, 4);
        at += 4;
        ebb_buffer_reserve(out, 8 * n);
        for (size_t row = 0; row < n / b->columns; row++, atom++) {
            size_t index = rank == NULL ? atom : rank[atom];
            uint8_t *p = out->data + out->len;
            for (uint32_t column = 0; column < b->columns; column++) {
                if (is_coordinate(b->x, column))
                    continue;
                memcpy(p + 8 * (size_t)column, b->bytes + at, 8);
                at += 8;
            }
            for (size_t axis = 0; axis < 3; axis++) {
                double v =
                    x->x64 != NULL ? x->x64[3 * index + axis] : (double)x->x32[3 * index + axis];
                ebb_swap_copy64(p + 8 * (size_t)b->x[axis], &v, 1, false);
            }
            out->len += 8 * (size_t)b->columns;
        }
    }
    out->data[out->len] = 0;
}

static int lammps_binary_write(const uint8_t *rest, size_t rest_len,
                               const struct ebb_coordinates *x, struct ebb_buffer *out,
                               struct ebb_error *err)
{
    static const char name[] = "LAMMPS binary dump";
    struct binary_rest b = {0};
    if (!read_binary_rest(rest, rest_len, &b))
        return ebb_frame_bad_rest(name, err);
    if ((b.flags & FLAG_X) == 0) {
        if (x->atoms > 0)
            return ebb_frame_bad_rest(name, err);
        ebb_buffer_append(out, b.bytes, b.len);
        return 0;
    }
    if (x->atoms > 0 && x->x32 == NULL && x->x64 == NULL)
        return ebb_error_set(err, EBB_ERR_INPUT, "a LAMMPS dump is written from floats");
    bool by_id = (b.flags & FLAG_BY_ID) != 0;
    EBB_AUTO_FREE int64_t *ids = by_id ? malloc((x->atoms + 1) * sizeof *ids) : NULL;
    EBB_AUTO_FREE uint32_t *rank = by_id ? malloc((x->atoms + 1) * sizeof *rank) : NULL;
    if (by_id && (ids == NULL || rank == NULL))
        return ebb_error_set(err, EBB_ERR_NO_SPACE, "no memory for %zu atoms", x->atoms);
    bool sorted;
    if (!walk_rest(&b, x->atoms, ids) || (by_id && !ebb_lammps_rank(ids, x->atoms, rank, &sorted)))
        return ebb_frame_bad_rest(name, err);
    ebb_buffer_append(out, b.bytes, b.header);
    write_chunks(&b, x, rank, out);
    return 0;
}

const struct ebb_frame_format ebb_lammps_binary_format = {
    .kind = EBB_FILE_LAMMPS_DUMP_BINARY,
    .name = "LAMMPS binary dump",
    .next = lammps_binary_next,
    .write = lammps_binary_write,
};

/* ---- ranges ---- */

int ebb_lammps_binary_scan(const struct ebb_random_source *source, ebb_range_fn *found, void *ctx,
                           struct ebb_error *err)
{
    EBB_AUTO_FREE uint8_t *head = ebb_alloc(MAX_HEADER);
    for (uint64_t at = 0; at < source->size;) {
        uint64_t left = source->size - at;
        size_t len = left < MAX_HEADER ? (size_t)left : MAX_HEADER;
        struct binary_header h;
        int rc = source->read_at(source->ctx, at, head, len, err);
        if (rc < 0)
            return rc;
        if (parse_header(head, len, &h, NULL) < 0)
            return 0;
        at += h.end;
        for (uint32_t i = 0; i < h.chunks; i++) {
            if (source->size - at < 4)
                return 0;
            rc = source->read_at(source->ctx, at, head, 4, err);
            if (rc < 0)
                return rc;
            uint32_t numbers = ebb_load32(head, false);
            at += 4;
            if (numbers % h.columns != 0 || (source->size - at) / 8 < numbers)
                return 0;
            struct ebb_range range = {.offset = at,
                                      .len = 8 * (uint64_t)numbers,
                                      .dtype = EBB_DTYPE_F64,
                                      .rows = numbers / h.columns,
                                      .columns = h.columns,
                                      .role = EBB_ROLE_FRAME,
                                      .name = "atoms"};
            rc = numbers == 0 ? 0 : found(ctx, &range, err);
            if (rc != 0)
                return rc;
            at += range.len;
        }
    }
    return 0;
}
