/* GROMACS's full-precision trajectory. All numbers are big-endian; a frame is
 *
 *     1993 | 13 | 12 "GMX_trn_file" | bytes of: input record, energies, box, virial, pressure,
 *     topology, symbols, x, v, f | atoms | step | energies | time | lambda
 *     box 3x3 | virial 3x3 | pressure 3x3 | x 3*atoms | v 3*atoms | f 3*atoms
 *
 * each part there when its size is not 0. Time, lambda and the parts are float32 or float64, which
 * the sizes tell. `rest` is the frame without x. */
#include "formats/bytes.h"
#include "formats/frame_length.h"
#include "formats/reader.h"
#include "formats/scanners.h"

enum { SIZES_AT = 24, ATOMS_AT = 64, STEP_AT = 68, TIME_AT = 76 };
enum { INPUT_RECORD, ENERGIES, BOX, VIRIAL, PRESSURE, TOPOLOGY, SYMBOLS, X, V, F, PARTS };

struct trr_layout {
    uint64_t size[PARTS];
    uint64_t atoms;
    unsigned real; /* 4 or 8 */
    uint64_t box_at, x_at, v_at, f_at, end;
};

/* The size of a real number: the first part that is there tells. 0 when none does. */
static unsigned real_size(const struct trr_layout *l)
{
    if (l->size[BOX] != 0)
        return l->size[BOX] == 36 ? 4 : l->size[BOX] == 72 ? 8 : 0;
    for (int part = X; part <= F; part++)
        if (l->size[part] != 0)
            return l->size[part] == 12 * l->atoms ? 4 : l->size[part] == 24 * l->atoms ? 8 : 0;
    return 0;
}

static int check_sizes(const struct trr_layout *l, struct ebb_error *err)
{
    static const int refused[] = {INPUT_RECORD, ENERGIES, TOPOLOGY, SYMBOLS};
    for (size_t i = 0; i < EBB_ARRAY_LEN(refused); i++)
        if (l->size[refused[i]] != 0)
            return ebb_error_set(err, EBB_ERR_UNSUPPORTED,
                                 "it holds more than box, positions, velocities and forces");
    for (int part = BOX; part < PARTS; part++) {
        uint64_t full = (uint64_t)l->real * (part >= X ? 3 * l->atoms : 9);
        if (l->size[part] != 0 && l->size[part] != full)
            return ebb_error_set(err, EBB_ERR_CORRUPT, "a part of %llu bytes, where %llu fit",
                                 (unsigned long long)l->size[part], (unsigned long long)full);
    }
    return 0;
}

/* From the frame's first TIME_AT bytes. */
static int read_layout(const uint8_t *p, struct trr_layout *l, struct ebb_error *err)
{
    if (ebb_load32(p, true) != 1993 || ebb_load32(p + 4, true) != 13 ||
        ebb_load32(p + 8, true) != 12 || memcmp(p + 12, "GMX_trn_file", 12) != 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "it does not begin with 1993 \"GMX_trn_file\"");
    for (int part = 0; part < PARTS; part++)
        l->size[part] = ebb_load32(p + SIZES_AT + 4 * part, true);
    l->atoms = ebb_load32(p + ATOMS_AT, true);
    if (l->atoms > INT32_MAX)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "a negative number of atoms");
    l->real = real_size(l);
    if (l->real == 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT,
                             "its sizes tell neither single nor double precision");
    int rc = check_sizes(l, err);
    if (rc < 0)
        return rc;
    l->box_at = TIME_AT + 2 * l->real;
    l->x_at = l->box_at + l->size[BOX] + l->size[VIRIAL] + l->size[PRESSURE];
    l->v_at = l->x_at + l->size[X];
    l->f_at = l->v_at + l->size[V];
    l->end = l->f_at + l->size[F];
    return 0;
}

static double load_real(const uint8_t *p, unsigned real)
{
    return real == 8 ? ebb_load_f64(p, true) : (double)ebb_load_f32(p, true);
}

static int trr_open(struct ebb_frame_reader *r, struct ebb_error *err)
{
    (void)err;
    r->units_per_nm = 1;
    return 0;
}

static void read_box(const uint8_t *p, const struct trr_layout *l, struct ebb_frame *f)
{
    f->has_box = l->size[BOX] != 0;
    for (unsigned k = 0; f->has_box && k < 9; k++)
        f->box[k] = (float)load_real(p + l->box_at + k * l->real, l->real);
}

static int trr_next(struct ebb_frame_reader *r, struct ebb_frame *f, uint64_t *ret_bytes,
                    struct ebb_error *err)
{
    struct trr_layout l = {0};
    int rc = ebb_frame_need(r, TIME_AT, err);
    if (rc < 0 || (rc = read_layout(ebb_input_bytes(&r->in), &l, err)) < 0 ||
        (rc = ebb_frame_need(r, l.end, err)) < 0)
        return rc;
    size_t atoms = l.size[X] == 0 ? 0 : (size_t)l.atoms;
    rc = ebb_frame_hold(f, atoms, l.real, err);
    if (rc < 0)
        return rc;
    const uint8_t *p = ebb_input_bytes(&r->in);
    f->step = (int32_t)ebb_load32(p + STEP_AT, true);
    f->time = load_real(p + TIME_AT, l.real);
    read_box(p, &l, f);
    f->atoms = atoms;
    if (atoms > 0 && l.real == 8) {
        f->x64 = f->memory;
        ebb_swap_copy64(f->x64, p + l.x_at, 3 * atoms, true);
    } else if (atoms > 0) {
        f->x32 = f->memory;
        ebb_swap_copy32(f->x32, p + l.x_at, 3 * atoms, true);
    }
    ebb_buffer_append(&f->rest, p, (size_t)l.x_at);
    ebb_buffer_append(&f->rest, p + l.v_at, (size_t)(l.end - l.v_at));
    *ret_bytes = l.end;
    return 1;
}

static void append_x(const struct ebb_coordinates *x, unsigned real, struct ebb_buffer *out)
{
    size_t count = 3 * x->atoms;
    ebb_buffer_reserve(out, count * real);
    uint8_t *p = out->data + out->len;
    for (size_t i = 0; i < count; i++) {
        if (real == 8) {
            double v = x->x64 != NULL ? x->x64[i] : (double)x->x32[i];
            ebb_swap_copy64(p + 8 * i, &v, 1, true);
        } else {
            float v = x->x32 != NULL ? x->x32[i] : (float)x->x64[i];
            ebb_swap_copy32(p + 4 * i, &v, 1, true);
        }
    }
    out->len += count * real;
    out->data[out->len] = 0;
}

static int trr_write(const uint8_t *rest, size_t rest_len, const struct ebb_coordinates *x,
                     struct ebb_buffer *out, struct ebb_error *err)
{
    struct trr_layout l = {0};
    if (rest_len < TIME_AT || read_layout(rest, &l, NULL) < 0 || rest_len != l.end - l.size[X] ||
        x->atoms != (l.size[X] == 0 ? 0 : l.atoms))
        return ebb_frame_bad_rest("TRR", err);
    if (x->atoms > 0 && x->x32 == NULL && x->x64 == NULL)
        return ebb_error_set(err, EBB_ERR_INPUT, "a TRR is written from floats");
    ebb_buffer_append(out, rest, (size_t)l.x_at);
    append_x(x, l.real, out);
    ebb_buffer_append(out, rest + l.x_at, rest_len - (size_t)l.x_at);
    return 0;
}

const struct ebb_frame_format ebb_trr_format = {
    .kind = EBB_FILE_TRR,
    .name = "TRR",
    .open = trr_open,
    .next = trr_next,
    .write = trr_write,
};

bool ebb_trr_frame_place(const uint8_t *head, size_t len, struct ebb_frame_place *ret)
{
    struct trr_layout l = {0};
    if (len < TIME_AT || read_layout(head, &l, NULL) < 0)
        return false;
    *ret = (struct ebb_frame_place){.offset = ret->offset,
                                    .bytes = l.end,
                                    .atoms = l.size[X] == 0 ? 0 : l.atoms,
                                    .step = (int32_t)ebb_load32(head + STEP_AT, true)};
    return true;
}

int ebb_trr_scan(const struct ebb_random_source *source, ebb_range_fn *found, void *ctx,
                 struct ebb_error *err)
{
    static const char *const names[] = {"x", "v", "f"};
    for (uint64_t at = 0; source->size - at >= TIME_AT;) {
        uint8_t head[TIME_AT];
        struct trr_layout l = {0};
        int rc = source->read_at(source->ctx, at, head, sizeof head, err);
        if (rc < 0)
            return rc;
        if (read_layout(head, &l, NULL) < 0 || l.end > source->size - at)
            return 0;
        const uint64_t places[] = {l.x_at, l.v_at, l.f_at};
        for (int part = 0; part < 3; part++) {
            struct ebb_range range = {
                .offset = at + places[part],
                .len = l.size[X + part],
                .dtype = l.real == 8 ? EBB_DTYPE_F64 : EBB_DTYPE_F32,
                .big_endian = true,
                .rows = l.atoms,
                .columns = 3,
                .role = (enum ebb_range_role)(EBB_ROLE_X + part),
                .step = (int32_t)ebb_load32(head + STEP_AT, true),
                .name = names[part],
            };
            rc = range.len == 0 ? 0 : found(ctx, &range, err);
            if (rc != 0)
                return rc;
        }
        at += l.end;
    }
    return 0;
}
