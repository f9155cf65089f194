/* The common part of all frame readers: the order of calls, offsets in error texts, what is left
 * over after a failure. The kinds themselves are in xtc.c, trr.c, dcd.c, lammps_*.c. */
#include "formats/frame.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "formats/reader.h"

static const struct ebb_frame_format *const formats[] = {
    &ebb_xtc_format,         &ebb_trr_format,           &ebb_dcd_format,
    &ebb_lammps_text_format, &ebb_lammps_binary_format,
};

static const struct ebb_frame_format *find_format(enum ebb_file_kind kind)
{
    for (size_t i = 0; i < EBB_ARRAY_LEN(formats); i++)
        if (formats[i]->kind == kind)
            return formats[i];
    return NULL;
}

bool ebb_file_kind_has_frames(enum ebb_file_kind kind)
{
    return find_format(kind) != NULL;
}

void ebb_frame_clean_up(struct ebb_frame *f)
{
    ebb_buffer_clean_up(&f->raw);
    ebb_buffer_clean_up(&f->rest);
    free(f->memory);
    *f = (struct ebb_frame){0};
}

/* An empty frame that keeps its memory. */
static void frame_reset(struct ebb_frame *f)
{
    struct ebb_buffer raw = f->raw, rest = f->rest;
    void *memory = f->memory;
    size_t memory_bytes = f->memory_bytes;
    ebb_buffer_reset(&raw);
    ebb_buffer_reset(&rest);
    *f = (struct ebb_frame){.raw = raw,
                            .rest = rest,
                            .memory = memory,
                            .memory_bytes = memory_bytes,
                            .time = NAN,
                            .length_scale = 1};
}

int ebb_frame_hold(struct ebb_frame *f, size_t atoms, size_t size, struct ebb_error *err)
{
    size_t bytes;
    if (__builtin_mul_overflow(atoms, 3 * size, &bytes))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%zu atoms are more than can be", atoms);
    if (bytes <= f->memory_bytes)
        return 0;
    void *memory = malloc(bytes);
    if (memory == NULL)
        return ebb_error_set(err, EBB_ERR_NO_SPACE, "no memory for %zu atoms", atoms);
    free(f->memory);
    f->memory = memory;
    f->memory_bytes = bytes;
    return 0;
}

int ebb_frame_need(struct ebb_frame_reader *r, uint64_t bytes, struct ebb_error *err)
{
    if (bytes > EBB_FRAME_MAX_BYTES)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "a frame of %llu bytes, which is more than %llu",
                             (unsigned long long)bytes, (unsigned long long)EBB_FRAME_MAX_BYTES);
    int rc = ebb_input_need(&r->in, bytes, err);
    if (rc == 0)
        return ebb_error_set(
            err, EBB_ERR_CORRUPT, "the file ends at byte %llu, before the %llu bytes of the frame",
            (unsigned long long)(r->in.offset + r->in.len), (unsigned long long)bytes);
    return rc;
}

int ebb_frame_reader_open(enum ebb_file_kind kind, struct ebb_source source,
                          struct ebb_frame_reader **ret, struct ebb_error *err)
{
    const struct ebb_frame_format *format = find_format(kind);
    if (format == NULL)
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED, "%s files have no frames",
                             ebb_file_kind_name(kind));
    EBB_AUTO(ebb_auto_frame_reader)
    struct ebb_frame_reader *r = ebb_alloc(sizeof *r);
    r->kind = kind;
    r->format = format;
    r->in.source = source;
    int rc = format->open == NULL ? 0 : format->open(r, err);
    if (rc < 0)
        return ebb_error_wrap(err, rc, "%s header", format->name);
    *ret = EBB_TAKE(r);
    return 0;
}

void ebb_frame_reader_destroy(struct ebb_frame_reader *r)
{
    if (r == NULL)
        return;
    if (r->format->close != NULL)
        r->format->close(r);
    ebb_input_clean_up(&r->in);
    ebb_buffer_clean_up(&r->header);
    free(r);
}

const struct ebb_buffer *ebb_frame_reader_header(const struct ebb_frame_reader *r)
{
    return &r->header;
}

double ebb_frame_reader_units_per_nm(const struct ebb_frame_reader *r)
{
    return r->units_per_nm;
}

static int next_frame(struct ebb_frame_reader *r, struct ebb_frame *f, struct ebb_error *err)
{
    int rc = ebb_input_need(&r->in, 1, err);
    if (rc <= 0)
        return rc;
    uint64_t bytes = 0;
    rc = r->format->next(r, f, &bytes, err);
    if (rc < 0)
        return ebb_error_wrap(err, rc, "%s frame %llu at byte %llu", r->format->name,
                              (unsigned long long)r->frames, (unsigned long long)r->in.offset);
    ebb_buffer_append(&f->raw, ebb_input_bytes(&r->in), (size_t)bytes);
    ebb_input_skip(&r->in, (size_t)bytes);
    r->frames++;
    return 1;
}

int ebb_frame_reader_next(struct ebb_frame_reader *r, struct ebb_frame *f, struct ebb_error *err)
{
    frame_reset(f);
    if (r->failure.code != 0) {
        if (err != NULL)
            ebb_error_copy(err, &r->failure);
        return r->failure.code;
    }
    int rc = next_frame(r, f, &r->failure);
    if (rc >= 0) {
        ebb_error_clear(&r->failure);
        return rc;
    }
    frame_reset(f);
    r->failure.code = rc;
    if (err != NULL)
        ebb_error_copy(err, &r->failure);
    return rc;
}

uint64_t ebb_frame_reader_offset(const struct ebb_frame_reader *r)
{
    return r->in.offset;
}

void ebb_frame_reader_pending(const struct ebb_frame_reader *r, const uint8_t **ret_bytes,
                              size_t *ret_len)
{
    *ret_bytes = r->in.len == 0 ? (const uint8_t *)"" : ebb_input_bytes(&r->in);
    *ret_len = r->in.len;
}

int ebb_frame_bad_rest(const char *name, struct ebb_error *err)
{
    return ebb_error_set(err, EBB_ERR_CORRUPT,
                         "what is left of the %s frame does not fit its coordinates", name);
}

int ebb_frame_write(enum ebb_file_kind kind, const void *rest, size_t rest_len,
                    const struct ebb_coordinates *x, struct ebb_buffer *out, struct ebb_error *err)
{
    const struct ebb_frame_format *format = find_format(kind);
    if (format == NULL)
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED, "%s files have no frames",
                             ebb_file_kind_name(kind));
    size_t before = out->len;
    int rc = format->write(rest, rest_len, x, out, err);
    if (rc < 0) {
        out->len = before;
        if (out->data != NULL)
            out->data[before] = 0;
    }
    return rc;
}
