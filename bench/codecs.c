/* The codecs on one core, against others that are installed: ratio, MB/s of raw input, the greatest
 * error; one row a codec. CPU time of the thread, the median of three.
 *
 *     bench_codecs trajectory NAME FILE [--stride N] [--atoms N] [--error E] [--scale S] [--slow]
 * [--axes DIR] bench_codecs tensors NAME FILE [BASE] [--slow] bench_codecs state NAME FILE [--slow]
 * a TRR or CPT: its last x and v
 *
 * FILE: TRR, XTC or a LAMMPS dump in nm; a file of tensors. --slow: also zstd-19, xz. The last line
 * is JSON. bench/codecs.py runs all of it on inputs that bench/codecs_inputs.sh and codecs_train.py
 * made. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "bench/codecs_peers.h"
#include "bench/measure.h"
#include "formats/frame.h"
#include "formats/ranges.h"
#include "kernels/tensor/state.h"
#include "kernels/tensor/tensor.h"
#include "kernels/trajectory/trajectory.h"

enum { REPEATS = 3 };

struct options {
    size_t stride, atoms;
    double error, scale;
    bool slow;
    const char *axes; /* only write the coordinates there; NULL: measure */
};

struct set {
    const char *name;
    struct ebb_buffer file, base;
    /* Coordinates: frames x atoms x 3. */
    struct ebb_buffer x, boxes;
    size_t atoms, frames;
    double error;
    /* Arrays, one after another: where they lie in file and base. */
    struct array {
        struct ebb_range range;
        size_t base_offset;
        bool has_base;
    } * arrays;
    size_t array_count;
    size_t raw_bytes;
};

/* What packs a whole set. */
struct codec {
    const char *name;
    int level;
    bool flag;
    bool (*pack)(const struct codec *c, const struct set *s, struct ebb_buffer *out);
    double (*unpack)(const struct codec *c, const struct set *s, const struct ebb_buffer *packed);
    const struct bench_peer *peer;
};

static struct ebb_buffer json;

static void stop(const struct ebb_error *err)
{
    (void)fprintf(stderr, "bench: %s\n", err->text);
    exit(1);
}

static double median(double v[REPEATS])
{
    double low = fmin(v[0], fmin(v[1], v[2])), high = fmax(v[0], fmax(v[1], v[2]));
    return v[0] + v[1] + v[2] - low - high;
}

/* ---- our codecs on coordinates ---- */

static bool pack_ours(const struct codec *c, const struct set *s, struct ebb_buffer *out)
{
    struct ebb_traj_options o = {.quantum = 2 * s->error, .level = c->level, .bit_packed = c->flag};
    struct ebb_error err = {0};
    EBB_AUTO(ebb_traj_encoder_destroy_ptr)
    struct ebb_traj_encoder *enc = ebb_traj_encoder_new(s->atoms, &o, &err);
    if (enc == NULL)
        stop(&err);
    const float *x = (const float *)(const void *)s->x.data;
    const float *box = (const float *)(const void *)s->boxes.data;
    for (size_t f = 0; f < s->frames; f++)
        if (ebb_traj_encoder_add(enc, x + 3 * s->atoms * f, box + 9 * f, out, &err) < 0)
            stop(&err);
    if (ebb_traj_encoder_flush(enc, out, &err) < 0)
        stop(&err);
    return true;
}

static double worst_error(const struct set *s, size_t frame, const float *y)
{
    const float *x = (const float *)(const void *)s->x.data + 3 * s->atoms * frame;
    double worst = 0;
    for (size_t i = 0; i < 3 * s->atoms; i++)
        worst = fmax(worst, fabs((double)x[i] - (double)y[i]));
    return worst;
}

/* The time is the decoder's alone: what is compared is taken off. */
static double compared_s;

static double unpack_ours(const struct codec *c, const struct set *s,
                          const struct ebb_buffer *packed)
{
    (void)c;
    EBB_AUTO_FREE float *y = ebb_alloc(12 * s->atoms);
    struct ebb_error err = {0};
    double worst = 0;
    size_t frame = 0;
    for (size_t at = 0; at < packed->len;) {
        struct ebb_traj_group_info info;
        EBB_AUTO(ebb_traj_decoder_destroy_ptr) struct ebb_traj_decoder *d = NULL;
        if (ebb_traj_group_info(packed->data + at, packed->len - at, &info, &err) < 0 ||
            ebb_traj_decoder_open(packed->data + at, info.bytes, &d, &err) < 0)
            stop(&err);
        while (ebb_traj_decoder_next(d, y, NULL, &err) > 0) {
            double begin = cpu_s();
            worst = fmax(worst, worst_error(s, frame++, y));
            compared_s += cpu_s() - begin;
        }
        at += info.bytes;
    }
    return frame == s->frames ? worst : NAN;
}

static bool pack_xtc(const struct codec *c, const struct set *s, struct ebb_buffer *out)
{
    (void)c;
    struct ebb_error err = {0};
    const float *x = (const float *)(const void *)s->x.data;
    for (size_t f = 0; f < s->frames; f++) {
        uint32_t rest[15] = {htobe32(1995), htobe32((uint32_t)s->atoms), htobe32((uint32_t)f)};
        float precision = (float)(0.5 / s->error);
        uint32_t bits;
        memcpy(&bits, &precision, sizeof bits);
        rest[13] = htobe32((uint32_t)s->atoms);
        rest[14] = htobe32(bits);
        struct ebb_coordinates k = {.atoms = s->atoms, .x32 = x + 3 * s->atoms * f};
        if (ebb_frame_write(EBB_FILE_XTC, rest, sizeof rest, &k, out, &err) < 0)
            stop(&err);
    }
    return true;
}

static double unpack_xtc(const struct codec *c, const struct set *s,
                         const struct ebb_buffer *packed)
{
    (void)c;
    struct ebb_memory_source m = {.data = packed->data, .len = packed->len};
    EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *r = NULL;
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
    EBB_AUTO_FREE float *y = ebb_alloc(12 * s->atoms);
    struct ebb_error err = {0};
    double worst = 0;
    if (ebb_frame_reader_open(EBB_FILE_XTC, ebb_memory_source(&m), &r, &err) < 0)
        stop(&err);
    for (size_t frame = 0; ebb_frame_reader_next(r, &f, &err) > 0; frame++) {
        ebb_frame_lattice_to_float(f.xq, 3 * f.atoms, f.precision, y);
        double begin = cpu_s();
        worst = fmax(worst, worst_error(s, frame, y));
        compared_s += cpu_s() - begin;
    }
    return worst;
}

/* ---- our codec on arrays ---- */

static bool pack_arrays(const struct codec *c, const struct set *s, struct ebb_buffer *out)
{
    struct ebb_error err = {0};
    for (size_t i = 0; i < s->array_count; i++) {
        const struct array *a = &s->arrays[i];
        if (c->flag && !a->has_base)
            return false;
        struct ebb_tensor_input in = {
            .data = s->file.data + a->range.offset,
            .elements = (size_t)a->range.len / ebb_dtype_size(a->range.dtype),
            .columns = (size_t)a->range.columns,
            .dtype = a->range.dtype,
            .big_endian = a->range.big_endian,
            .role = a->range.role == EBB_ROLE_FIRST_MOMENT    ? EBB_TENSOR_FIRST_MOMENT
                    : a->range.role == EBB_ROLE_SECOND_MOMENT ? EBB_TENSOR_SECOND_MOMENT
                                                              : EBB_TENSOR_ANY,
            .base = c->flag ? s->base.data + a->base_offset : NULL,
        };
        uint64_t at = out->len, len = 0;
        ebb_buffer_append(out, &len, sizeof len);
        if (ebb_tensor_encode(&in, (enum ebb_tensor_level)c->level, out, &err) < 0)
            stop(&err);
        len = out->len - at - sizeof len;
        memcpy(out->data + at, &len, sizeof len);
    }
    return s->array_count > 0;
}

static double unpack_arrays(const struct codec *c, const struct set *s,
                            const struct ebb_buffer *packed)
{
    struct ebb_error err = {0};
    EBB_AUTO_FREE uint8_t *out = malloc(s->raw_bytes + 1);
    size_t at = 0;
    bool equal = true;
    for (size_t i = 0; i < s->array_count; i++) {
        const struct array *a = &s->arrays[i];
        uint64_t len;
        memcpy(&len, packed->data + at, sizeof len);
        at += sizeof len;
        if (ebb_tensor_decode(
                packed->data + at, (size_t)len, c->flag ? s->base.data + a->base_offset : NULL,
                c->flag ? (size_t)a->range.len : 0, out, (size_t)a->range.len, &err) < 0)
            stop(&err);
        at += len;
        double begin = cpu_s();
        equal &= memcmp(out, s->file.data + a->range.offset, (size_t)a->range.len) == 0;
        compared_s += cpu_s() - begin;
    }
    return equal ? 0 : NAN;
}

/* What moving the bytes takes, an array at a time as the codecs have it. */
static bool pack_copy(const struct codec *c, const struct set *s, struct ebb_buffer *out)
{
    (void)c;
    for (size_t i = 0; i < s->array_count; i++) {
        const struct ebb_range *r = &s->arrays[i].range;
        ebb_buffer_append(out, s->file.data + r->offset, (size_t)r->len);
    }
    return s->array_count > 0;
}

static double unpack_copy(const struct codec *c, const struct set *s,
                          const struct ebb_buffer *packed)
{
    (void)c;
    EBB_AUTO_FREE uint8_t *out = malloc(s->raw_bytes + 1);
    const uint8_t *from = packed->data;
    bool equal = true;
    for (size_t i = 0; i < s->array_count; i++) {
        const struct ebb_range *r = &s->arrays[i].range;
        memcpy(out, from, (size_t)r->len);
        from += r->len;
        double begin = cpu_s();
        equal &= memcmp(out, s->file.data + r->offset, (size_t)r->len) == 0;
        compared_s += cpu_s() - begin;
    }
    return equal ? 0 : NAN;
}

/* ---- positions and velocities together ---- */

/* The positions as an XTC of the same step would have them. */
static const float *frame_of(const struct set *s)
{
    static float *frame;
    const struct ebb_range *x = &s->arrays[0].range;
    size_t n = (size_t)x->len / 4;
    if (frame != NULL || x->dtype != EBB_DTYPE_F32)
        return frame;
    frame = ebb_alloc_array(n, sizeof *frame);
    for (size_t i = 0; i < n; i++) {
        uint32_t word;
        memcpy(&word, s->file.data + x->offset + 4 * i, 4);
        word = x->big_endian ? __builtin_bswap32(word) : word;
        memcpy(&frame[i], &word, 4);
        frame[i] = (float)nearbyint((double)frame[i] * 1000) * 0.001f;
    }
    return frame;
}

static bool pack_state(const struct codec *c, const struct set *s, struct ebb_buffer *out)
{
    const struct ebb_range *x = &s->arrays[0].range, *v = &s->arrays[1].range;
    struct ebb_state_input in = {.atoms = (size_t)x->len / (3 * ebb_dtype_size(x->dtype)),
                                 .x = s->file.data + x->offset,
                                 .v = s->file.data + v->offset,
                                 .dtype = x->dtype,
                                 .big_endian = x->big_endian,
                                 .frame = c->flag ? frame_of(s) : NULL};
    struct ebb_error err = {0};
    if (ebb_state_encode(&in, out, &err) < 0)
        stop(&err);
    return true;
}

static double unpack_state(const struct codec *c, const struct set *s,
                           const struct ebb_buffer *packed)
{
    const struct ebb_range *x = &s->arrays[0].range, *v = &s->arrays[1].range;
    EBB_AUTO_FREE uint8_t *out = malloc(s->raw_bytes + 1);
    struct ebb_error err = {0};
    if (ebb_state_decode(packed->data, packed->len, c->flag ? frame_of(s) : NULL,
                         (size_t)x->len / (3 * ebb_dtype_size(x->dtype)), out, out + x->len,
                         &err) < 0)
        stop(&err);
    return memcmp(out, s->file.data + x->offset, (size_t)x->len) == 0 &&
                   memcmp(out + x->len, s->file.data + v->offset, (size_t)v->len) == 0
               ? 0
               : NAN;
}

/* ---- peers: on all coordinates, or on all arrays end to end ---- */

static struct bench_block block_of(const struct set *s, const struct ebb_buffer *joined)
{
    struct bench_block b = {.data = s->x.data, .len = s->x.len, .element = 4};
    if (s->array_count == 0) {
        b.frames = s->frames;
        b.atoms = s->atoms;
        b.error = s->error;
        return b;
    }
    b.data = joined->data;
    b.len = joined->len;
    b.element = (unsigned)ebb_dtype_size(s->arrays[0].range.dtype);
    return b;
}

static void join_arrays(const struct set *s, struct ebb_buffer *out)
{
    for (size_t i = 0; i < s->array_count; i++)
        ebb_buffer_append(out, s->file.data + s->arrays[i].range.offset,
                          (size_t)s->arrays[i].range.len);
}

static struct ebb_buffer joined;

static bool pack_peer(const struct codec *c, const struct set *s, struct ebb_buffer *out)
{
    struct bench_block b = block_of(s, &joined);
    return c->peer->pack(&b, out);
}

static double unpack_peer(const struct codec *c, const struct set *s,
                          const struct ebb_buffer *packed)
{
    struct bench_block b = block_of(s, &joined);
    EBB_AUTO_FREE uint8_t *out = malloc(b.len + 1);
    c->peer->unpack(&b, packed, out);
    double begin = cpu_s(), worst = 0;
    if (b.atoms > 0)
        for (size_t f = 0; f < s->frames; f++)
            worst =
                fmax(worst, worst_error(s, f, (const float *)(const void *)out + 3 * s->atoms * f));
    else
        worst = memcmp(out, b.data, b.len) == 0 ? 0 : NAN;
    compared_s += cpu_s() - begin;
    return worst;
}

/* ---- measuring ---- */

static void measure(const struct codec *c, const struct set *s)
{
    double pack_s[REPEATS], unpack_s[REPEATS], worst = 0;
    size_t packed_bytes = 0;
    for (int i = 0; i < REPEATS; i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer packed = {0};
        double begin = cpu_s();
        if (!c->pack(c, s, &packed))
            return;
        pack_s[i] = cpu_s() - begin;
        packed_bytes = packed.len;
        compared_s = 0;
        begin = cpu_s();
        worst = c->unpack(c, s, &packed);
        unpack_s[i] = cpu_s() - begin - compared_s;
    }
    double ratio = (double)s->raw_bytes / (double)packed_bytes;
    double mb = (double)s->raw_bytes / 1e6;
    (void)printf("%-22s %-20s %7.3f %8.0f %8.0f  %.3g\n", s->name, c->name, ratio,
                 mb / median(pack_s), mb / median(unpack_s), worst);
    (void)fflush(stdout);
    ebb_buffer_printf(
        &json,
        "%s{\"set\":\"%s\",\"codec\":\"%s\",\"raw_bytes\":%zu,\"packed_bytes\":%zu,"
        "\"ratio\":%.4f,\"pack_mb_s\":%.1f,\"unpack_mb_s\":%.1f,\"worst_error\":%.9g}",
        json.len == 0 ? "" : ",", s->name, c->name, s->raw_bytes, packed_bytes, ratio,
        mb / median(pack_s), mb / median(unpack_s), isnan(worst) ? -1 : worst);
}

static void measure_peers(const struct set *s, const struct options *o)
{
    join_arrays(s, &joined);
    for (const struct bench_peer *p = bench_peers; p->name != NULL; p++) {
        struct codec c = {.name = p->name, .pack = pack_peer, .unpack = unpack_peer, .peer = p};
        bool is_slow = strcmp(p->name, "zstd-19") == 0 || strcmp(p->name, "xz-6") == 0;
        if (o->slow || !is_slow)
            measure(&c, s);
    }
}

/* ---- inputs ---- */

static void read_file(const char *path, struct ebb_buffer *out)
{
    struct ebb_error err = {0};
    if (ebb_file_read(path, SIZE_MAX / 2, out, &err) < 0)
        stop(&err);
}

static void keep_frame(struct set *s, const struct ebb_frame *f, double scale)
{
    s->frames++;
    for (size_t i = 0; i < 3 * s->atoms; i++) {
        double from = f->x32 != NULL   ? (double)f->x32[i]
                      : f->x64 != NULL ? f->x64[i]
                                       : (double)f->xq[i] / f->precision;
        float x = (float)(scale * from);
        ebb_buffer_append(&s->x, &x, sizeof x);
    }
    for (int i = 0; i < 9; i++) {
        float x = (float)(scale * (double)f->box[i]);
        ebb_buffer_append(&s->boxes, &x, sizeof x);
    }
}

static void read_frames(struct set *s, const struct options *o)
{
    struct ebb_memory_source m = {.data = s->file.data, .len = s->file.len};
    enum ebb_file_kind kind = ebb_file_recognise(
        s->file.data, s->file.len < EBB_RECOGNISE_BYTES ? s->file.len : EBB_RECOGNISE_BYTES);
    EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *r = NULL;
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
    struct ebb_error err = {0};
    if (ebb_frame_reader_open(kind, ebb_memory_source(&m), &r, &err) < 0)
        stop(&err);
    int rc = 0;
    for (size_t i = 0; (rc = ebb_frame_reader_next(r, &f, &err)) > 0; i++) {
        if (i == 0)
            s->atoms = o->atoms > 0 && o->atoms < f.atoms ? o->atoms : f.atoms;
        if (i % o->stride == 0 && f.atoms >= s->atoms)
            keep_frame(s, &f, o->scale);
    }
    if (rc < 0)
        stop(&err);
    if (s->frames == 0 || s->atoms == 0) {
        (void)fprintf(stderr, "bench: no coordinates in %s\n", s->name);
        exit(1);
    }
    s->raw_bytes = s->x.len;
    s->error = o->error;
}

static int found(void *ctx, const struct ebb_range *range, struct ebb_error *err)
{
    (void)err;
    struct set *s = ctx;
    s->arrays = ebb_realloc_array(s->arrays, s->array_count + 1, sizeof *s->arrays);
    s->arrays[s->array_count] = (struct array){.range = *range};
    s->arrays[s->array_count++].range.name = ebb_strdup(range->name);
    s->raw_bytes += range->len;
    return 0;
}

static int found_in_base(void *ctx, const struct ebb_range *range, struct ebb_error *err)
{
    (void)err;
    struct set *s = ctx;
    for (size_t i = 0; i < s->array_count; i++) {
        struct array *a = &s->arrays[i];
        if (strcmp(a->range.name, range->name) == 0 && a->range.len == range->len) {
            a->has_base = true;
            a->base_offset = (size_t)range->offset;
        }
    }
    return 0;
}

static void scan(const struct ebb_buffer *file, ebb_range_fn *fn, struct set *s)
{
    struct ebb_memory_source m = {.data = file->data, .len = file->len};
    struct ebb_random_source source = ebb_memory_random_source(&m);
    struct ebb_error err = {0};
    enum ebb_file_kind kind = ebb_file_recognise(
        file->data, file->len < EBB_RECOGNISE_BYTES ? file->len : EBB_RECOGNISE_BYTES);
    if (ebb_ranges_scan(kind, &source, fn, s, &err) < 0)
        stop(&err);
}

/* Positions and velocities of the last frame that has both. */
static void keep_last_state(struct set *s)
{
    size_t at = s->array_count;
    while (at > 1 && !(s->arrays[at - 1].range.role == EBB_ROLE_V &&
                       s->arrays[at - 2].range.role == EBB_ROLE_X))
        at--;
    if (at < 2) {
        (void)fprintf(stderr, "bench: no frame with velocities\n");
        exit(1);
    }
    struct array last[2] = {s->arrays[at - 2], s->arrays[at - 1]};
    memcpy(s->arrays, last, sizeof last);
    s->array_count = 2;
    s->raw_bytes = (size_t)(last[0].range.len + last[1].range.len);
}

/* ---- the whole ---- */

/* x.f32, y.f32, z.f32 for programs that take one axis at a time: frame after frame. */
static void write_axes(const struct set *s, const char *directory)
{
    const float *x = (const float *)(const void *)s->x.data;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer axis = {0};
    for (size_t k = 0; k < 3; k++) {
        EBB_AUTO_FREE char *path = ebb_sprintf("%s/%c.f32", directory, "xyz"[k]);
        struct ebb_error err = {0};
        ebb_buffer_reset(&axis);
        for (size_t i = 0; i < s->frames * s->atoms; i++)
            ebb_buffer_append(&axis, &x[3 * i + k], sizeof *x);
        if (ebb_file_write_atomic(path, axis.data, axis.len, 0644, &err) < 0)
            stop(&err);
    }
    (void)printf("{\"frames\":%zu,\"atoms\":%zu,\"raw_bytes\":%zu,\"error\":%g}\n", s->frames,
                 s->atoms, s->raw_bytes, s->error);
}

static void bench_trajectory(struct set *s, const struct options *o)
{
    read_frames(s, o);
    if (o->axes != NULL) {
        write_axes(s, o->axes);
        exit(0);
    }
    static const struct codec ours[] = {
        {"ebb fast", EBB_TRAJ_FAST, false, pack_ours, unpack_ours, NULL},
        {"ebb small", EBB_TRAJ_SMALL, false, pack_ours, unpack_ours, NULL},
        {"ebb bit-packed", EBB_TRAJ_FAST, true, pack_ours, unpack_ours, NULL},
        {"xtc", 0, false, pack_xtc, unpack_xtc, NULL},
    };
    for (size_t i = 0; i < EBB_ARRAY_LEN(ours); i++)
        measure(&ours[i], s);
    measure_peers(s, o);
}

static void bench_arrays(struct set *s, const struct options *o)
{
    static const struct codec ours[] = {
        {"ebb fast", EBB_TENSOR_FAST, false, pack_arrays, unpack_arrays, NULL},
        {"ebb small", EBB_TENSOR_SMALL, false, pack_arrays, unpack_arrays, NULL},
        {"ebb fast, base", EBB_TENSOR_FAST, true, pack_arrays, unpack_arrays, NULL},
        {"ebb small, base", EBB_TENSOR_SMALL, true, pack_arrays, unpack_arrays, NULL},
        {"memcpy", 0, false, pack_copy, unpack_copy, NULL},
    };
    for (size_t i = 0; i < EBB_ARRAY_LEN(ours); i++)
        measure(&ours[i], s);
    measure_peers(s, o);
}

static int usage(void)
{
    (void)fprintf(stderr,
                  "usage: bench_codecs trajectory|tensors|state NAME FILE [BASE] "
                  "[--stride N] [--atoms N] [--error E] [--scale S] [--slow] [--axes DIR]\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct options o = {.stride = 1, .error = 0.0005, .scale = 1};
    const char *words[4] = {0};
    int count = 0;
    ebb_memory_keep(); /* as `ebb pack` does */
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--slow") == 0)
            o.slow = true;
        else if (i + 1 < argc && strcmp(argv[i], "--stride") == 0)
            o.stride = (size_t)strtoull(argv[++i], NULL, 10);
        else if (i + 1 < argc && strcmp(argv[i], "--atoms") == 0)
            o.atoms = (size_t)strtoull(argv[++i], NULL, 10);
        else if (i + 1 < argc && strcmp(argv[i], "--error") == 0)
            o.error = strtod(argv[++i], NULL);
        else if (i + 1 < argc && strcmp(argv[i], "--scale") == 0)
            o.scale = strtod(argv[++i], NULL);
        else if (i + 1 < argc && strcmp(argv[i], "--axes") == 0)
            o.axes = argv[++i];
        else if (count < 4)
            words[count++] = argv[i];
    if (count < 3 || o.stride == 0)
        return usage();
    struct set s = {.name = words[1]};
    read_file(words[2], &s.file);
    if (strcmp(words[0], "trajectory") == 0) {
        bench_trajectory(&s, &o);
    } else {
        scan(&s.file, found, &s);
        if (words[3] != NULL) {
            read_file(words[3], &s.base);
            scan(&s.base, found_in_base, &s);
        }
        static const struct codec state[] = {
            {"ebb state", 0, false, pack_state, unpack_state, NULL},
            {"ebb state, frame", 0, true, pack_state, unpack_state, NULL},
        };
        if (strcmp(words[0], "state") == 0) {
            keep_last_state(&s);
            (void)frame_of(&s);
            measure(&state[0], &s);
            measure(&state[1], &s);
        }
        bench_arrays(&s, &o);
    }
    (void)printf("{\"schema\":\"ebb.bench.codecs.v1\",\"absent\":\"%s\",\"rows\":[%s]}\n",
                 bench_peers_absent, ebb_buffer_text(&json));
    return 0;
}
