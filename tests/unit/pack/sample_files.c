/* The layouts are those of the formats' own documents; numbers come from a fixed generator. */
#include "sample_files.h"

#include <endian.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "formats/frame.h"
#include "packed_fixture.h"

static void be32(struct ebb_buffer *b, uint32_t v)
{
    v = htobe32(v);
    ebb_buffer_append(b, &v, sizeof v);
}

static void be_float(struct ebb_buffer *b, float x)
{
    uint32_t v;
    memcpy(&v, &x, sizeof v);
    be32(b, v);
}

static void box(struct ebb_buffer *b)
{
    for (int i = 0; i < 9; i++)
        be_float(b, i % 4 == 0 ? 3.0f : 0.0f);
}

static float noise(uint64_t *state)
{
    return (float)(next_random(state) >> 40) / 16777216.0f - 0.5f;
}

/* Coordinates of the atoms in a frame: about a point each, chained, moving slowly. */
static float *positions(unsigned atoms, unsigned frame)
{
    float *x = ebb_alloc_array(3 * (size_t)atoms + 1, sizeof *x);
    uint64_t place = 1, motion = 1000 + frame;
    float at[3] = {0.3f, 0.3f, 0.3f};
    for (unsigned i = 0; i < atoms; i++)
        for (int k = 0; k < 3; k++) {
            at[k] += 0.25f * noise(&place);
            at[k] = fabsf(at[k]);
            at[k] = at[k] > 2.9f ? 2.8f : at[k];
            x[3 * i + (unsigned)k] = at[k] + 0.02f * noise(&motion) + 0.001f * (float)frame;
        }
    return x;
}

static void xtc_frame(struct ebb_buffer *out, const float *x, unsigned atoms, int step,
                      float precision)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer rest = {0};
    be32(&rest, 1995);
    be32(&rest, atoms);
    be32(&rest, (uint32_t)step);
    be_float(&rest, 0.002f * (float)step);
    box(&rest);
    be32(&rest, atoms);
    if (atoms > 9)
        be_float(&rest, precision);
    struct ebb_coordinates c = {.atoms = atoms, .x32 = x};
    struct ebb_error err = {0};
    if (ebb_frame_write(EBB_FILE_XTC, rest.data, rest.len, &c, out, &err) < 0)
        abort();
}

void sample_xtc(struct ebb_buffer *out, unsigned atoms, unsigned frames, float precision)
{
    for (unsigned f = 0; f < frames; f++) {
        EBB_AUTO_FREE float *x = positions(atoms, f);
        xtc_frame(out, x, atoms, 10 * (int)f, precision);
    }
}

static void trr_head(struct ebb_buffer *out, unsigned atoms, unsigned step)
{
    const uint32_t head[] = {0, 0, 36, 0, 0, 0, 0, 12 * atoms, 12 * atoms, 0, atoms, step, 0};
    be32(out, 1993);
    be32(out, 13);
    be32(out, 12);
    ebb_buffer_append(out, "GMX_trn_file", 12);
    for (size_t i = 0; i < EBB_ARRAY_LEN(head); i++)
        be32(out, head[i]);
    be_float(out, 0.002f * (float)step);
    be_float(out, 0);
    box(out);
}

void sample_trr(struct ebb_buffer *out, unsigned atoms, unsigned frames)
{
    for (unsigned f = 0; f < frames; f++) {
        EBB_AUTO_FREE float *x = positions(atoms, f);
        uint64_t state = 77 + f;
        trr_head(out, atoms, 10 * f);
        for (unsigned i = 0; i < 3 * atoms; i++)
            be_float(out, x[i]);
        for (unsigned i = 0; i < 3 * atoms; i++)
            be_float(out, noise(&state));
    }
}

void sample_waters(struct ebb_buffer *out, unsigned waters)
{
    uint64_t state = 8;
    trr_head(out, 3 * waters, 0);
    for (unsigned w = 0; w < waters; w++) {
        double o[3], turn = 6.3 * (double)noise(&state), tilt = 3.1 * (double)noise(&state);
        for (int k = 0; k < 3; k++)
            o[k] = 1.5 + 2.5 * (double)noise(&state);
        for (int atom = 0; atom < 3; atom++) {
            double angle = turn + (atom == 2 ? 1.91063 : 0), r = atom == 0 ? 0 : 0.1;
            be_float(out, (float)(o[0] + r * cos(angle)));
            be_float(out, (float)(o[1] + r * sin(angle) * cos(tilt)));
            be_float(out, (float)(o[2] + r * sin(angle) * sin(tilt)));
        }
    }
    for (unsigned i = 0; i < 9 * waters; i++)
        be_float(out, noise(&state));
}

void sample_waters_xtc(struct ebb_buffer *out, unsigned waters, unsigned frames, int first,
                       float move)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer trr = {0};
    sample_waters(&trr, waters);
    struct ebb_memory_source m = {.data = trr.data, .len = trr.len};
    EBB_AUTO(ebb_auto_frame_reader) struct ebb_frame_reader *reader = NULL;
    EBB_AUTO(ebb_frame_clean_up) struct ebb_frame frame = {0};
    if (ebb_frame_reader_open(EBB_FILE_TRR, ebb_memory_source(&m), &reader, NULL) < 0 ||
        ebb_frame_reader_next(reader, &frame, NULL) != 1)
        abort();
    uint64_t state = 31;
    for (unsigned f = 0; f < frames; f++) {
        for (unsigned i = 0; f > 0 && i < 9 * waters; i++)
            frame.x32[i] += 2 * move * noise(&state);
        xtc_frame(out, frame.x32, 3 * waters, first + 10 * (int)f, 1000);
    }
}

void sample_safetensors(struct ebb_buffer *out, unsigned rows, unsigned step)
{
    enum { COLUMNS = 16 };
    size_t n = (size_t)rows * COLUMNS;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer json = {0};
    ebb_buffer_printf(&json,
                      "{\"w\":{\"dtype\":\"F32\",\"shape\":[%u,%d],\"data_offsets\":[0,%zu]},"
                      "\"b\":{\"dtype\":\"F32\",\"shape\":[%u],\"data_offsets\":[%zu,%zu]},"
                      "\"h\":{\"dtype\":\"BF16\",\"shape\":[%u,%d],\"data_offsets\":[%zu,%zu]}}",
                      rows, COLUMNS, 4 * n, rows, 4 * n, 4 * n + 4 * rows, rows, COLUMNS,
                      4 * n + 4 * rows, 6 * n + 4 * rows);
    uint64_t len = htole64(json.len);
    ebb_buffer_append(out, &len, 8);
    ebb_buffer_append(out, json.data, json.len);
    uint64_t state = 5, change = 100 + step;
    for (size_t i = 0; i < n + rows; i++) {
        float x = 0.05f * noise(&state) * (1 + 0.001f * (float)step * noise(&change));
        ebb_buffer_append(out, &x, sizeof x);
    }
    for (size_t i = 0; i < n; i++) {
        float x = 0.05f * noise(&state);
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        uint16_t half = (uint16_t)(bits >> 16);
        ebb_buffer_append(out, &half, sizeof half);
    }
}

void sample_npy(struct ebb_buffer *out, unsigned rows, unsigned columns)
{
    char head[119];
    int len =
        snprintf(head, sizeof head, "{'descr': '<f8', 'fortran_order': False, 'shape': (%u, %u), }",
                 rows, columns);
    memset(head + len, ' ', sizeof head - (size_t)len);
    head[117] = '\n';
    ebb_buffer_append(out, "\x93NUMPY\x01\0\x76\0", 10);
    ebb_buffer_append(out, head, 118);
    uint64_t state = 3;
    for (unsigned i = 0; i < rows * columns; i++) {
        double x = noise(&state);
        ebb_buffer_append(out, &x, sizeof x);
    }
}

void sample_raw(struct ebb_buffer *out, unsigned atoms, unsigned frames)
{
    for (unsigned f = 0; f < frames; f++) {
        EBB_AUTO_FREE float *x = positions(atoms, f);
        ebb_buffer_append(out, x, 12 * (size_t)atoms);
    }
}
