/* What the fuzzers of frame readers do with their bytes. */
#ifndef EBB_TESTS_FRAME_FUZZ_H
#define EBB_TESTS_FRAME_FUZZ_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "formats/frame.h"
#include "formats/ranges.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline struct ebb_coordinates coordinates_of(const struct ebb_frame *f)
{
    return (struct ebb_coordinates){.atoms = f->atoms, .x32 = f->x32, .x64 = f->x64, .xq = f->xq};
}

static inline bool same_number(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static inline void check_same(const struct ebb_frame *a, const struct ebb_frame *b)
{
    if (a->atoms != b->atoms || a->step != b->step)
        abort();
    for (size_t i = 0; i < 3 * a->atoms; i++) {
        if (a->xq != NULL && a->xq[i] != b->xq[i])
            abort();
        if (a->x32 != NULL && !same_number((double)a->x32[i], (double)b->x32[i]))
            abort();
        if (a->x64 != NULL && !same_number(a->x64[i], b->x64[i]))
            abort();
    }
}

/* The frame written again reads as the same coordinates, though its bytes may differ. */
static inline void write_again(enum ebb_file_kind kind, const struct ebb_buffer *header,
                               const struct ebb_frame *f)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_buffer_append(&out, header->data, header->len);
    struct ebb_coordinates x = coordinates_of(f);
    if (ebb_frame_write(kind, f->rest.data, f->rest.len, &x, &out, NULL) < 0)
        return;
    struct ebb_memory_source memory = {.data = out.data, .len = out.len};
    EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *r = NULL;
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame again = {0};
    if (ebb_frame_reader_open(kind, ebb_memory_source(&memory), &r, NULL) < 0 ||
        ebb_frame_reader_next(r, &again, NULL) != 1)
        abort();
    if (kind != EBB_FILE_DCD)
        check_same(f, &again);
}

static inline void read_frames(enum ebb_file_kind kind, const uint8_t *data, size_t size)
{
    struct ebb_memory_source memory = {.data = data, .len = size};
    EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *r = NULL;
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame f = {0};
    if (ebb_frame_reader_open(kind, ebb_memory_source(&memory), &r, NULL) < 0)
        return;
    const struct ebb_buffer *header = ebb_frame_reader_header(r);
    uint64_t seen = header->len;
    bool first = true;
    while (ebb_frame_reader_next(r, &f, NULL) == 1) {
        if (f.raw.len == 0 || memcmp(f.raw.data, data + seen, f.raw.len) != 0)
            abort();
        seen += f.raw.len;
        /* Only the first frame of a DCD can stand behind its header by itself. */
        if (first || kind != EBB_FILE_DCD)
            write_again(kind, header, &f);
        first = false;
    }
    const uint8_t *pending;
    size_t pending_len;
    ebb_frame_reader_pending(r, &pending, &pending_len);
    if (seen != ebb_frame_reader_offset(r) || seen + pending_len + (size - memory.pos) != size)
        abort();
}

/* The bytes as a rest, with a few atoms. */
static inline void write_rest(enum ebb_file_kind kind, const uint8_t *data, size_t size)
{
    static const float x[3 * 64] = {1, 2, 3.5f, -4};
    if (size < 1)
        return;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    struct ebb_coordinates c = {.atoms = data[0] % 64, .x32 = x};
    if (ebb_frame_write(kind, data + 1, size - 1, &c, &out, NULL) < 0 && out.len != 0)
        abort();
}

static inline int check_range(void *ctx, const struct ebb_range *range, struct ebb_error *err)
{
    (void)err;
    uint64_t *end = ctx;
    if (range->offset < *end || range->len == 0)
        abort();
    *end = range->offset + range->len;
    return 0;
}

static inline void scan_ranges(enum ebb_file_kind kind, const uint8_t *data, size_t size)
{
    struct ebb_memory_source memory = {.data = data, .len = size};
    struct ebb_random_source source = ebb_memory_random_source(&memory);
    uint64_t end = 0;
    if (ebb_ranges_scan(kind, &source, check_range, &end, NULL) != 0 || end > size)
        abort();
}

static inline void fuzz_kind(enum ebb_file_kind kind, const uint8_t *data, size_t size)
{
    read_frames(kind, data, size);
    write_rest(kind, data, size);
    scan_ranges(kind, data, size);
}

#endif
