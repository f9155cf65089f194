/* GROMACS's compressed trajectory. All numbers are big-endian; a frame is
 *
 *     magic 1995 or 2023 | atoms | step | time f32 | box 9 f32 | atoms
 *     up to 9 atoms:  3 f32 each
 *     more:           precision f32 | min 3 | max 3 | small index | bytes | bit stream, padded to 4
 *
 * `bytes` has 64 bits under magic 2023, which GROMACS 2023 and later write for very large systems.
 * `rest` is the frame up to and with the precision, which ebb_frame_write copies: what follows it
 * is a function of the integers alone. */
#include <math.h>

#include "formats/bytes.h"
#include "formats/reader.h"
#include "formats/xtc_coding.h"

enum {
    MAGIC_1995 = 1995,
    MAGIC_2023 = 2023,
    MAX_PLAIN_ATOMS = 9,
    TIME_AT = 12,
    BOX_AT = 16,
    ATOMS_AT = 52,
    PLAIN_AT = 56,
    PRECISION_AT = 56,
    REST_BYTES = 60, /* of a compressed frame */
    BYTES_AT = 88,
};

static int32_t load_int(const uint8_t *p)
{
    return (int32_t)ebb_load32(p, true);
}

/* Checks the part of the frame that both shapes have; the number of atoms. */
static int read_head(const uint8_t *p, struct ebb_frame *f, size_t *ret_atoms,
                     struct ebb_error *err)
{
    int32_t magic = load_int(p), atoms = load_int(p + 4);
    if (magic != MAGIC_1995 && magic != MAGIC_2023)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "magic number %d is neither 1995 nor 2023",
                             magic);
    if (atoms < 0 || load_int(p + ATOMS_AT) != atoms)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%d atoms in its header, %d before the data",
                             atoms, load_int(p + ATOMS_AT));
    f->step = load_int(p + 8);
    f->time = ebb_load_f32(p + TIME_AT, true);
    ebb_swap_copy32(f->box, p + BOX_AT, 9, true);
    for (int k = 0; k < 9; k++)
        f->has_box |= f->box[k] != 0;
    *ret_atoms = (size_t)atoms;
    return 0;
}

static int read_plain(struct ebb_frame_reader *r, struct ebb_frame *f, size_t atoms,
                      uint64_t *ret_bytes, struct ebb_error *err)
{
    *ret_bytes = PLAIN_AT + 12 * atoms;
    int rc = ebb_frame_need(r, *ret_bytes, err);
    if (rc < 0 || (rc = ebb_frame_hold(f, atoms, sizeof(float), err)) < 0)
        return rc;
    const uint8_t *p = ebb_input_bytes(&r->in);
    ebb_buffer_append(&f->rest, p, PLAIN_AT);
    f->atoms = atoms;
    if (atoms > 0) {
        f->x32 = f->memory;
        ebb_swap_copy32(f->x32, p + PLAIN_AT, 3 * atoms, true);
    }
    return 1;
}

static int read_coded(struct ebb_frame_reader *r, struct ebb_frame *f, size_t atoms,
                      uint64_t *ret_bytes, struct ebb_error *err)
{
    bool wide = load_int(ebb_input_bytes(&r->in)) == MAGIC_2023;
    unsigned stream_at = BYTES_AT + (wide ? 8 : 4);
    int rc = ebb_frame_need(r, stream_at, err);
    if (rc < 0)
        return rc;
    const uint8_t *p = ebb_input_bytes(&r->in);
    uint64_t bytes = wide ? ebb_load64(p + BYTES_AT, true) : ebb_load32(p + BYTES_AT, true);
    if (bytes > EBB_FRAME_MAX_BYTES)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%llu bytes of compressed coordinates",
                             (unsigned long long)bytes);
    if (atoms / 4 > bytes)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%zu atoms cannot be in %llu bytes", atoms,
                             (unsigned long long)bytes);
    *ret_bytes = stream_at + ((bytes + 3) & ~(uint64_t)3);
    rc = ebb_frame_need(r, *ret_bytes, err);
    if (rc < 0 || (rc = ebb_frame_hold(f, atoms, sizeof(int32_t), err)) < 0)
        return rc;
    p = ebb_input_bytes(&r->in);
    struct ebb_xtc_block block = {
        .small_index = load_int(p + 84), .stream = p + stream_at, .stream_bytes = (size_t)bytes};
    for (int k = 0; k < 3; k++) {
        block.min[k] = load_int(p + 60 + 4 * k);
        block.max[k] = load_int(p + 72 + 4 * k);
    }
    rc = ebb_xtc_decode(&block, atoms, f->memory, err);
    if (rc < 0)
        return rc;
    ebb_buffer_append(&f->rest, p, REST_BYTES);
    f->atoms = atoms;
    f->xq = f->memory;
    f->precision = ebb_load_f32(p + PRECISION_AT, true);
    return 1;
}

static int xtc_open(struct ebb_frame_reader *r, struct ebb_error *err)
{
    (void)err;
    r->units_per_nm = 1;
    return 0;
}

static int xtc_next(struct ebb_frame_reader *r, struct ebb_frame *f, uint64_t *ret_bytes,
                    struct ebb_error *err)
{
    size_t atoms = 0;
    int rc = ebb_frame_need(r, PLAIN_AT, err);
    if (rc < 0 || (rc = read_head(ebb_input_bytes(&r->in), f, &atoms, err)) < 0)
        return rc;
    if (atoms <= MAX_PLAIN_ATOMS)
        return read_plain(r, f, atoms, ret_bytes, err);
    return read_coded(r, f, atoms, ret_bytes, err);
}

/* Coordinates to integers as GROMACS rounds them, in float32: to the nearest, halves away from 0.
 */
static int quantise(const float *x, size_t count, float precision, int32_t *q,
                    struct ebb_error *err)
{
    const float limit = 2147483520.0f;
    bool in_range = true;
    for (size_t i = 0; i < count; i++) {
        float scaled = x[i] * precision;
        scaled += x[i] >= 0 ? 0.5f : -0.5f;
        bool ok = fabsf(scaled) <= limit;
        in_range &= ok;
        q[i] = ok ? (int32_t)scaled : 0;
    }
    if (!in_range)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "a coordinate does not fit XTC at %g steps in a nanometre",
                             (double)precision);
    return 0;
}

static void append_int(struct ebb_buffer *out, int32_t v)
{
    uint8_t bytes[4];
    ebb_store32(bytes, (uint32_t)v, true);
    ebb_buffer_append(out, bytes, sizeof bytes);
}

static int write_integers(const uint8_t *rest, const int32_t *q, size_t atoms,
                          struct ebb_buffer *out, struct ebb_error *err)
{
    bool wide = load_int(rest) == MAGIC_2023;
    size_t start = out->len, stream_at = BYTES_AT + (wide ? 8 : 4);
    ebb_buffer_append(out, rest, REST_BYTES);
    static const uint8_t gap[36];
    ebb_buffer_append(out, gap, stream_at - REST_BYTES);
    struct ebb_xtc_block block;
    int rc = ebb_xtc_encode(q, atoms, &block, out, err);
    if (rc < 0)
        return rc;
    if (!wide && block.stream_bytes > INT32_MAX)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "%zu bytes of compressed coordinates need the XTC of 2023",
                             block.stream_bytes);
    ebb_buffer_append(out, gap, -block.stream_bytes & 3);
    uint8_t *p = out->data + start;
    for (int k = 0; k < 3; k++) {
        ebb_store32(p + 60 + 4 * k, (uint32_t)block.min[k], true);
        ebb_store32(p + 72 + 4 * k, (uint32_t)block.max[k], true);
    }
    ebb_store32(p + 84, (uint32_t)block.small_index, true);
    if (wide)
        ebb_store64(p + BYTES_AT, block.stream_bytes, true);
    else
        ebb_store32(p + BYTES_AT, (uint32_t)block.stream_bytes, true);
    return 0;
}

static int write_quantised(const uint8_t *rest, const struct ebb_coordinates *x,
                           struct ebb_buffer *out, struct ebb_error *err)
{
    EBB_AUTO_FREE int32_t *q = malloc(12 * x->atoms);
    EBB_AUTO_FREE float *narrow = NULL;
    if (q == NULL)
        return ebb_error_set(err, EBB_ERR_NO_SPACE, "no memory for %zu atoms", x->atoms);
    const float *x32 = x->x32;
    if (x32 == NULL) {
        x32 = narrow = malloc(12 * x->atoms);
        if (narrow == NULL)
            return ebb_error_set(err, EBB_ERR_NO_SPACE, "no memory for %zu atoms", x->atoms);
        for (size_t i = 0; i < 3 * x->atoms; i++)
            narrow[i] = (float)x->x64[i];
    }
    int rc = quantise(x32, 3 * x->atoms, ebb_load_f32(rest + PRECISION_AT, true), q, err);
    return rc < 0 ? rc : write_integers(rest, q, x->atoms, out, err);
}

static int xtc_write(const uint8_t *rest, size_t rest_len, const struct ebb_coordinates *x,
                     struct ebb_buffer *out, struct ebb_error *err)
{
    bool plain = x->atoms <= MAX_PLAIN_ATOMS;
    if (rest_len != (plain ? PLAIN_AT : REST_BYTES) || x->atoms > INT32_MAX ||
        ebb_load32(rest + 4, true) != x->atoms || ebb_load32(rest + ATOMS_AT, true) != x->atoms)
        return ebb_frame_bad_rest("XTC", err);
    if (!plain && x->xq != NULL)
        return write_integers(rest, x->xq, x->atoms, out, err);
    if (x->atoms > 0 && x->x32 == NULL && x->x64 == NULL)
        return ebb_error_set(err, EBB_ERR_INPUT, "an XTC of %zu atoms is written from floats",
                             x->atoms);
    if (!plain)
        return write_quantised(rest, x, out, err);
    ebb_buffer_append(out, rest, PLAIN_AT);
    for (size_t i = 0; i < 3 * x->atoms; i++) {
        float v = x->x32 != NULL ? x->x32[i] : (float)x->x64[i];
        uint32_t bits;
        memcpy(&bits, &v, sizeof bits);
        append_int(out, (int32_t)bits);
    }
    return 0;
}

void ebb_frame_lattice_to_float(const int32_t *q, size_t count, double precision, float *x)
{
    float inverse = (float)(1.0 / (double)(float)precision);
    for (size_t i = 0; i < count; i++)
        x[i] = (float)q[i] * inverse;
}

const struct ebb_frame_format ebb_xtc_format = {
    .kind = EBB_FILE_XTC,
    .name = "XTC",
    .open = xtc_open,
    .next = xtc_next,
    .write = xtc_write,
};
