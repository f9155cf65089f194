/* What holds for the files of every kind with frames; for the tests of this folder. */
#ifndef EBB_TESTS_FRAME_CHECK_H
#define EBB_TESTS_FRAME_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "formats/bytes.h"
#include "formats/frame.h"
#include "formats/ranges.h"

/* A stream that hands out at most `piece` bytes at a time. */
struct slow_source {
    const uint8_t *data;
    size_t len, pos, piece;
};

static inline int read_slowly(void *ctx, void *buf, size_t len, size_t *ret_len,
                              struct ebb_error *err)
{
    (void)err;
    struct slow_source *s = ctx;
    size_t n = len < s->piece ? len : s->piece;
    n = n < s->len - s->pos ? n : s->len - s->pos;
    if (n > 0)
        memcpy(buf, s->data + s->pos, n);
    s->pos += n;
    *ret_len = n;
    return 0;
}

static inline struct ebb_coordinates coordinates_of(const struct ebb_frame *f)
{
    return (struct ebb_coordinates){.atoms = f->atoms, .x32 = f->x32, .x64 = f->x64, .xq = f->xq};
}

static inline void put32(struct ebb_buffer *b, uint32_t v, bool big)
{
    uint8_t bytes[4];
    ebb_store32(bytes, v, big);
    ebb_buffer_append(b, bytes, sizeof bytes);
}

static inline void put64(struct ebb_buffer *b, uint64_t v, bool big)
{
    uint8_t bytes[8];
    ebb_store64(bytes, v, big);
    ebb_buffer_append(b, bytes, sizeof bytes);
}

static inline void put_f32(struct ebb_buffer *b, float v, bool big)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    put32(b, bits, big);
}

static inline void put_f64(struct ebb_buffer *b, double v, bool big)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    put64(b, bits, big);
}

/* Numbers that look random and are the same in every run. */
static inline uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static inline double next_unit(uint64_t *state)
{
    return next_random(state) / 2147483648.0;
}

/* All frames of a whole file, each of them written again as it was; their number. */
static inline unsigned check_round_trip(enum ebb_file_kind kind, const struct ebb_buffer *file,
                                        size_t piece)
{
    struct slow_source slow = {.data = file->data, .len = file->len, .piece = piece};
    struct ebb_source source = {.read = read_slowly, .ctx = &slow};
    EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *r = NULL;
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    struct ebb_error err = {0};
    if (ebb_frame_reader_open(kind, source, &r, &err) < 0)
        fail_msg("%s", err.text);
    const struct ebb_buffer *header = ebb_frame_reader_header(r);
    ebb_buffer_append(&out, header->data, header->len);
    unsigned frames = 0;
    int rc;
    while ((rc = ebb_frame_reader_next(r, &f, &err)) == 1) {
        size_t before = out.len;
        struct ebb_coordinates x = coordinates_of(&f);
        if (ebb_frame_write(kind, f.rest.data, f.rest.len, &x, &out, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(out.len - before, f.raw.len);
        assert_memory_equal(out.data + before, f.raw.data, f.raw.len);
        assert_int_equal(ebb_frame_reader_offset(r), out.len);
        frames++;
    }
    if (rc < 0)
        fail_msg("%s", err.text);
    assert_int_equal(out.len, file->len);
    assert_memory_equal(out.data, file->data, file->len);
    return frames;
}

/* Reads what can be read of `len` bytes and writes it again, whatever comes of it. Returns the code
 * that ended the reading; the reader must account for every byte. */
static inline int read_anything(enum ebb_file_kind kind, const uint8_t *data, size_t len,
                                struct ebb_error *err)
{
    struct ebb_memory_source memory = {.data = data, .len = len};
    EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *r = NULL;
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
    int rc = ebb_frame_reader_open(kind, ebb_memory_source(&memory), &r, err);
    if (rc < 0)
        return rc;
    uint64_t seen = ebb_frame_reader_header(r)->len;
    while ((rc = ebb_frame_reader_next(r, &f, err)) == 1) {
        assert_true(f.raw.len > 0);
        assert_memory_equal(f.raw.data, data + seen, f.raw.len);
        seen += f.raw.len;
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
        struct ebb_coordinates x = coordinates_of(&f);
        (void)ebb_frame_write(kind, f.rest.data, f.rest.len, &x, &out, NULL);
    }
    const uint8_t *pending;
    size_t pending_len;
    ebb_frame_reader_pending(r, &pending, &pending_len);
    assert_int_equal(ebb_frame_reader_offset(r), seen);
    assert_int_equal(seen + pending_len + (memory.len - memory.pos), len);
    assert_memory_equal(pending, data + seen, pending_len);
    return rc;
}

static inline int ignore_range(void *ctx, const struct ebb_range *range, struct ebb_error *err)
{
    (void)err;
    uint64_t *end = ctx;
    assert_true(range->offset >= *end);
    *end = range->offset + range->len;
    return 0;
}

static inline void scan_anything(enum ebb_file_kind kind, const uint8_t *data, size_t len)
{
    struct ebb_memory_source memory = {.data = data, .len = len};
    struct ebb_random_source source = ebb_memory_random_source(&memory);
    uint64_t end = 0;
    assert_int_equal(ebb_ranges_scan(kind, &source, ignore_range, &end, NULL), 0);
    assert_true(end <= len);
}

/* Cut anywhere, the file is read up to the cut: an error that names a byte, unless the cut is at a
 * frame's end (`ends`: how many of those there are, the empty file or header alone included). */
static inline void check_truncations(enum ebb_file_kind kind, const struct ebb_buffer *file,
                                     unsigned ends)
{
    unsigned whole = 0;
    for (size_t len = 0; len <= file->len; len++) {
        struct ebb_error err = {0};
        EBB_AUTO_FREE uint8_t *copy = ebb_memdup(file->data, len + 1);
        int rc = read_anything(kind, copy, len, &err);
        if (rc == 0) {
            whole++;
        } else {
            assert_int_equal(rc, EBB_ERR_CORRUPT);
            assert_non_null(strstr(err.text, kind == EBB_FILE_DCD ? "DCD" : "byte"));
        }
        scan_anything(kind, copy, len);
    }
    assert_int_equal(whole, ends);
}

/* Every byte damaged in several ways: nothing but errors come of it. */
static inline void check_damage(enum ebb_file_kind kind, const struct ebb_buffer *file)
{
    static const uint8_t masks[] = {0x01, 0x10, 0x80, 0xff};
    EBB_AUTO_FREE uint8_t *copy = ebb_memdup(file->data, file->len);
    for (size_t i = 0; i < file->len; i++)
        for (size_t m = 0; m < EBB_ARRAY_LEN(masks); m++) {
            copy[i] ^= masks[m];
            (void)read_anything(kind, copy, file->len, NULL);
            scan_anything(kind, copy, file->len);
            copy[i] ^= masks[m];
        }
}

/* ebb_frame_write refuses every damaged or shortened rest, or makes something of it; it never
 * touches `out` when it fails. */
static inline void check_bad_rests(enum ebb_file_kind kind, const struct ebb_buffer *file)
{
    struct ebb_memory_source memory = {.data = file->data, .len = file->len};
    EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *r = NULL;
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    assert_int_equal(ebb_frame_reader_open(kind, ebb_memory_source(&memory), &r, NULL), 0);
    assert_int_equal(ebb_frame_reader_next(r, &f, NULL), 1);
    struct ebb_coordinates x = coordinates_of(&f);
    for (size_t len = 0; len < f.rest.len; len++) {
        EBB_AUTO_FREE uint8_t *copy = ebb_memdup(f.rest.data, len + 1);
        ebb_buffer_reset(&out);
        if (ebb_frame_write(kind, copy, len, &x, &out, NULL) < 0)
            assert_int_equal(out.len, 0);
    }
    for (size_t i = 0; i < f.rest.len; i++)
        for (unsigned mask = 1; mask < 256; mask <<= 1) {
            f.rest.data[i] ^= (uint8_t)mask;
            ebb_buffer_reset(&out);
            if (ebb_frame_write(kind, f.rest.data, f.rest.len, &x, &out, NULL) < 0)
                assert_int_equal(out.len, 0);
            f.rest.data[i] ^= (uint8_t)mask;
        }
    for (size_t atoms = 0; atoms < f.atoms; atoms++) {
        x.atoms = atoms;
        ebb_buffer_reset(&out);
        assert_true(ebb_frame_write(kind, f.rest.data, f.rest.len, &x, &out, NULL) < 0);
        assert_int_equal(out.len, 0);
    }
}

#endif
