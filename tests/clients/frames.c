/* The readers and writers of formats/ as a program, for frames.py to hold against GROMACS, LAMMPS
 * and MDAnalysis.
 *
 *     frames kind FILE               the kind's name
 *     frames json FILE               one JSON line a frame
 *     frames rewrite FILE OUT        every frame taken apart and put together; how many differed
 *     frames shift FILE OUT DELTA    the same with DELTA added to every coordinate
 *     frames xtc FILE OUT PRECISION  the frames' floats as XTC
 *     frames ranges FILE             one JSON line a range
 *     frames bench FILE              CPU time of reading and writing */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "formats/bytes.h"
#include "formats/frame.h"
#include "formats/ranges.h"

static int fail(const struct ebb_error *err)
{
    (void)fprintf(stderr, "frames: %s\n", err->text);
    return 1;
}

static int read_stream(void *ctx, void *buf, size_t len, size_t *ret_len, struct ebb_error *err)
{
    *ret_len = fread(buf, 1, len, ctx);
    if (*ret_len == 0 && ferror((FILE *)ctx) != 0)
        return ebb_error_set(err, EBB_ERR_IO, "cannot read");
    return 0;
}

static int open_reader(const char *path, FILE **ret_file, enum ebb_file_kind *ret_kind,
                       struct ebb_frame_reader **ret, struct ebb_error *err)
{
    *ret_file = fopen(path, "rb");
    if (*ret_file == NULL)
        return ebb_error_set(err, EBB_ERR_NOT_FOUND, "cannot open %s", path);
    static uint8_t head[EBB_RECOGNISE_BYTES];
    *ret_kind = ebb_file_recognise(head, fread(head, 1, sizeof head, *ret_file));
    rewind(*ret_file);
    struct ebb_source source = {.read = read_stream, .ctx = *ret_file};
    return ebb_frame_reader_open(*ret_kind, source, ret, err);
}

static double coordinate(const struct ebb_frame *f, size_t i)
{
    if (f->x64 != NULL)
        return f->x64[i];
    if (f->x32 != NULL)
        return (double)f->x32[i];
    float x;
    ebb_frame_lattice_to_float(f->xq + i, 1, f->precision, &x);
    return (double)x;
}

static void print_number(double v)
{
    if (isfinite(v))
        printf("%.17g", v);
    else
        printf("null");
}

static void print_frame(const struct ebb_frame *f)
{
    printf("{\"atoms\":%zu,\"step\":%lld,\"time\":", f->atoms, (long long)f->step);
    print_number(f->time);
    printf(",\"type\":\"%s\",\"box\":[", f->x64 != NULL   ? "f64"
                                         : f->x32 != NULL ? "f32"
                                         : f->xq != NULL  ? "lattice"
                                                          : "none");
    for (int k = 0; f->has_box && k < 9; k++) {
        printf("%s", k == 0 ? "" : ",");
        print_number((double)f->box[k]);
    }
    printf("],\"x\":[");
    bool known = f->x64 != NULL || f->x32 != NULL || f->xq != NULL;
    for (size_t i = 0; known && i < 3 * f->atoms; i++) {
        printf("%s", i == 0 ? "" : ",");
        print_number(coordinate(f, i));
    }
    printf("]}\n");
}

static struct ebb_coordinates coordinates_of(const struct ebb_frame *f)
{
    return (struct ebb_coordinates){.atoms = f->atoms, .x32 = f->x32, .x64 = f->x64, .xq = f->xq};
}

static void shift(struct ebb_frame *f, double delta)
{
    for (size_t i = 0; i < 3 * f->atoms; i++) {
        if (f->x64 != NULL)
            f->x64[i] += delta;
        else if (f->x32 != NULL)
            f->x32[i] += (float)delta;
        else if (f->xq != NULL)
            f->xq[i] += (int32_t)lround(delta * f->precision);
    }
}

static void append_int(struct ebb_buffer *b, uint32_t v)
{
    uint8_t bytes[4];
    ebb_store32(bytes, v, true);
    ebb_buffer_append(b, bytes, sizeof bytes);
}

static void append_float(struct ebb_buffer *b, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    append_int(b, bits);
}

static int write_xtc(const struct ebb_frame *f, float precision, struct ebb_buffer *out,
                     struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer rest = {0};
    append_int(&rest, 1995);
    append_int(&rest, (uint32_t)f->atoms);
    append_int(&rest, (uint32_t)f->step);
    append_float(&rest, (float)f->time);
    for (int k = 0; k < 9; k++)
        append_float(&rest, f->box[k]);
    append_int(&rest, (uint32_t)f->atoms);
    if (f->atoms > 9)
        append_float(&rest, precision);
    struct ebb_coordinates x = coordinates_of(f);
    return ebb_frame_write(EBB_FILE_XTC, rest.data, rest.len, &x, out, err);
}

static int each_frame(const char *mode, const char *path, const char *out_path, double number)
{
    struct ebb_error err = {0};
    FILE *file = NULL;
    enum ebb_file_kind kind = EBB_FILE_RAW;
    EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *r = NULL;
    if (open_reader(path, &file, &kind, &r, &err) < 0)
        return fail(&err);
    FILE *out_file = out_path == NULL ? NULL : fopen(out_path, "wb");
    bool to_xtc = strcmp(mode, "xtc") == 0, json = strcmp(mode, "json") == 0;
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    const struct ebb_buffer *header = ebb_frame_reader_header(r);
    if (out_file != NULL && !to_xtc)
        (void)fwrite(ebb_buffer_text(header), 1, header->len, out_file);
    unsigned long frames = 0, differ = 0;
    int rc;
    while ((rc = ebb_frame_reader_next(r, &f, &err)) == 1) {
        frames++;
        if (json) {
            print_frame(&f);
            continue;
        }
        if (strcmp(mode, "shift") == 0)
            shift(&f, number);
        ebb_buffer_reset(&out);
        struct ebb_coordinates x = coordinates_of(&f);
        rc = to_xtc ? write_xtc(&f, (float)number, &out, &err)
                    : ebb_frame_write(kind, f.rest.data, f.rest.len, &x, &out, &err);
        if (rc < 0)
            return fail(&err);
        differ += out.len != f.raw.len || memcmp(out.data, f.raw.data, out.len) != 0;
        if (out_file != NULL)
            (void)fwrite(out.data, 1, out.len, out_file);
    }
    (void)fclose(file);
    if (out_file != NULL && fclose(out_file) != 0)
        return 1;
    if (rc < 0)
        return fail(&err);
    if (!json)
        printf("{\"kind\":\"%s\",\"frames\":%lu,\"differ\":%lu}\n", ebb_file_kind_name(kind),
               frames, differ);
    return 0;
}

static int read_file_at(void *ctx, uint64_t offset, void *buf, size_t len, struct ebb_error *err)
{
    if (fseek(ctx, (long)offset, SEEK_SET) != 0 || fread(buf, 1, len, ctx) != len)
        return ebb_error_set(err, EBB_ERR_IO, "cannot read %zu bytes at %llu", len,
                             (unsigned long long)offset);
    return 0;
}

static int print_range(void *ctx, const struct ebb_range *range, struct ebb_error *err)
{
    (void)ctx;
    (void)err;
    printf("{\"offset\":%llu,\"len\":%llu,\"dtype\":\"%s\",\"big_endian\":%s,\"rows\":%llu,"
           "\"columns\":%llu,\"role\":\"%s\",\"name\":\"%s\"}\n",
           (unsigned long long)range->offset, (unsigned long long)range->len,
           ebb_dtype_name(range->dtype), range->big_endian ? "true" : "false",
           (unsigned long long)range->rows, (unsigned long long)range->columns,
           ebb_range_role_name(range->role), range->name);
    return 0;
}

static enum ebb_file_kind kind_of(FILE *file)
{
    static uint8_t head[EBB_RECOGNISE_BYTES];
    return ebb_file_recognise(head, fread(head, 1, sizeof head, file));
}

static int print_ranges(const char *path)
{
    struct ebb_error err = {0};
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return 1;
    enum ebb_file_kind kind = kind_of(file);
    (void)fseek(file, 0, SEEK_END);
    struct ebb_random_source source = {
        .read_at = read_file_at, .ctx = file, .size = (uint64_t)ftell(file)};
    int rc = ebb_ranges_scan(kind, &source, print_range, NULL, &err);
    (void)fclose(file);
    return rc < 0 ? fail(&err) : 0;
}

static double cpu_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Medians of ROUNDS passes over the file in memory; MB are of the coordinates as float32. */
static int bench(const char *path)
{
    enum { ROUNDS = 9 };
    struct ebb_error err = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer bytes = {0}, out = {0};
    if (ebb_file_read(path, (size_t)1 << 32, &bytes, &err) < 0)
        return fail(&err);
    enum ebb_file_kind kind = ebb_file_recognise(
        bytes.data, bytes.len < EBB_RECOGNISE_BYTES ? bytes.len : EBB_RECOGNISE_BYTES);
    double read_s[ROUNDS], write_s[ROUNDS], raw = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct ebb_memory_source memory = {.data = bytes.data, .len = bytes.len};
        EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *r = NULL;
        EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
        if (ebb_frame_reader_open(kind, ebb_memory_source(&memory), &r, &err) < 0)
            return fail(&err);
        read_s[round] = write_s[round] = raw = 0;
        for (;;) {
            double start = cpu_s();
            int rc = ebb_frame_reader_next(r, &f, &err);
            double middle = cpu_s();
            read_s[round] += middle - start;
            if (rc < 0)
                return fail(&err);
            if (rc == 0)
                break;
            raw += 12 * (double)f.atoms;
            struct ebb_coordinates x = coordinates_of(&f);
            ebb_buffer_reset(&out);
            middle = cpu_s();
            if (ebb_frame_write(kind, f.rest.data, f.rest.len, &x, &out, &err) < 0)
                return fail(&err);
            write_s[round] += cpu_s() - middle;
        }
    }
    qsort(read_s, ROUNDS, sizeof *read_s, by_value);
    qsort(write_s, ROUNDS, sizeof *write_s, by_value);
    printf("{\"kind\":\"%s\",\"raw_bytes\":%.0f,\"read_mb_s\":%.0f,\"write_mb_s\":%.0f}\n",
           ebb_file_kind_name(kind), raw, raw / 1e6 / read_s[ROUNDS / 2],
           raw / 1e6 / write_s[ROUNDS / 2]);
    return 0;
}

static int print_kind(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return 1;
    puts(ebb_file_kind_name(kind_of(file)));
    (void)fclose(file);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "kind") == 0)
        return print_kind(argv[2]);
    if (argc == 3 && strcmp(argv[1], "ranges") == 0)
        return print_ranges(argv[2]);
    if (argc == 3 && strcmp(argv[1], "bench") == 0)
        return bench(argv[2]);
    if ((argc == 3 && strcmp(argv[1], "json") == 0) ||
        (argc == 4 && strcmp(argv[1], "rewrite") == 0) || argc == 5)
        return each_frame(argv[1], argv[2], argc > 3 ? argv[3] : NULL,
                          argc > 4 ? strtod(argv[4], NULL) : 0);
    (void)fprintf(stderr, "frames: see the top of frames.c\n");
    return 2;
}
