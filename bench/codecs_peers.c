/* zstd, byte planes and zstd, xz, zfp, fpzip. */
#include "bench/codecs_peers.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/memory.h"
#include "kernels/planes.h"
#ifdef EBB_BENCH_LZMA
#include <lzma.h>
#endif
#ifdef EBB_BENCH_ZFP
#include <zfp.h>
#endif
#ifdef EBB_BENCH_FPZIP
#include <fpzip.h>
#endif

static void must(bool good)
{
    if (!good)
        abort();
}

static void add_zstd(const uint8_t *data, size_t len, int level, struct ebb_buffer *out)
{
    size_t bound = ZSTD_compressBound(len);
    ebb_buffer_reserve(out, bound);
    size_t n = ZSTD_compress(out->data + out->len, bound, data, len, level);
    must(!ZSTD_isError(n));
    out->len += n;
}

static bool pack_zstd1(const struct bench_block *b, struct ebb_buffer *out)
{
    add_zstd(b->data, b->len, 1, out);
    return true;
}

static bool pack_zstd3(const struct bench_block *b, struct ebb_buffer *out)
{
    add_zstd(b->data, b->len, 3, out);
    return true;
}

static bool pack_zstd19(const struct bench_block *b, struct ebb_buffer *out)
{
    add_zstd(b->data, b->len, 19, out);
    return true;
}

static void unpack_zstd(const struct bench_block *b, const struct ebb_buffer *p, uint8_t *out)
{
    must(ZSTD_decompress(out, b->len, p->data, p->len) == b->len);
}

/* As Blosc and HDF5 shuffle: the bytes of a place together. */
static void planes_of(uint8_t *at, const struct bench_block *b, uint8_t *planes[8])
{
    for (unsigned i = 0; i < b->element; i++)
        planes[i] = at + i * (b->len / b->element);
}

static bool pack_shuffle(const struct bench_block *b, struct ebb_buffer *out)
{
    EBB_AUTO_FREE uint8_t *turned = malloc(b->len + 1);
    uint8_t *planes[8];
    planes_of(turned, b, planes);
    ebb_planes_split(b->data, b->len / b->element, b->element, EBB_TURN_NONE, planes);
    add_zstd(turned, b->len / b->element * b->element, 1, out);
    return b->len % b->element == 0;
}

static void unpack_shuffle(const struct bench_block *b, const struct ebb_buffer *p, uint8_t *out)
{
    EBB_AUTO_FREE uint8_t *turned = malloc(b->len + 1);
    uint8_t *planes[8];
    must(ZSTD_decompress(turned, b->len, p->data, p->len) == b->len);
    planes_of(turned, b, planes);
    ebb_planes_merge((const uint8_t *const *)planes, b->len / b->element, b->element, EBB_TURN_NONE,
                     out);
}

#ifdef EBB_BENCH_LZMA
static bool pack_xz(const struct bench_block *b, struct ebb_buffer *out)
{
    size_t bound = lzma_stream_buffer_bound(b->len), at = 0;
    ebb_buffer_reserve(out, bound);
    must(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, NULL, b->data, b->len, out->data, &at,
                                 bound) == LZMA_OK);
    out->len = at;
    return true;
}

static void unpack_xz(const struct bench_block *b, const struct ebb_buffer *p, uint8_t *out)
{
    uint64_t limit = UINT64_MAX;
    size_t in = 0, at = 0;
    must(lzma_stream_buffer_decode(&limit, 0, NULL, p->data, &in, p->len, out, &at, b->len) ==
         LZMA_OK);
}
#endif

#ifdef EBB_BENCH_ZFP
/* (3, atoms, frames): neighbours in time and along the chain are neighbours in the block. */
static size_t run_zfp(const struct bench_block *b, void *values, struct ebb_buffer *buffer,
                      bool pack)
{
    zfp_field *field = zfp_field_3d(values, zfp_type_float, 3, b->atoms, b->frames);
    zfp_stream *z = zfp_stream_open(NULL);
    (void)zfp_stream_set_accuracy(z, b->error);
    if (pack)
        ebb_buffer_reserve(buffer, zfp_stream_maximum_size(z, field));
    bitstream *bits = stream_open(buffer->data, pack ? buffer->capacity : buffer->len);
    zfp_stream_set_bit_stream(z, bits);
    zfp_stream_rewind(z);
    size_t n = pack ? zfp_compress(z, field) : zfp_decompress(z, field);
    must(n != 0);
    zfp_field_free(field);
    zfp_stream_close(z);
    stream_close(bits);
    return n;
}

static bool pack_zfp(const struct bench_block *b, struct ebb_buffer *out)
{
    if (b->atoms == 0 || b->error == 0)
        return false;
    EBB_AUTO_FREE void *copy = ebb_memdup(b->data, b->len);
    out->len = run_zfp(b, copy, out, true);
    return true;
}

static void unpack_zfp(const struct bench_block *b, const struct ebb_buffer *p, uint8_t *out)
{
    struct ebb_buffer view = *p;
    (void)run_zfp(b, out, &view, false);
}
#endif

#ifdef EBB_BENCH_FPZIP
static void set_fpzip(FPZ *z, const struct bench_block *b)
{
    z->type = b->element == 8 ? FPZIP_TYPE_DOUBLE : FPZIP_TYPE_FLOAT;
    z->prec = 0;
    z->nx = b->atoms > 0 ? 3 : (int)(b->len / b->element);
    z->ny = b->atoms > 0 ? (int)b->atoms : 1;
    z->nz = b->atoms > 0 ? (int)b->frames : 1;
    z->nf = 1;
}

static bool pack_fpzip(const struct bench_block *b, struct ebb_buffer *out)
{
    if (b->element < 4 || b->len / b->element > INT32_MAX)
        return false;
    ebb_buffer_reserve(out, b->len + b->len / 4 + 65536);
    FPZ *z = fpzip_write_to_buffer(out->data, out->capacity);
    set_fpzip(z, b);
    must(fpzip_write_header(z) != 0);
    out->len = fpzip_write(z, b->data);
    must(out->len != 0);
    fpzip_write_close(z);
    return true;
}

static void unpack_fpzip(const struct bench_block *b, const struct ebb_buffer *p, uint8_t *out)
{
    (void)b;
    FPZ *z = fpzip_read_from_buffer(p->data);
    must(fpzip_read_header(z) != 0 && fpzip_read(z, out) != 0);
    fpzip_read_close(z);
}
#endif

const struct bench_peer bench_peers[] = {
    {"zstd-1", false, pack_zstd1, unpack_zstd},
    {"zstd-3", false, pack_zstd3, unpack_zstd},
    {"zstd-19", false, pack_zstd19, unpack_zstd},
    {"shuffle+zstd-1", false, pack_shuffle, unpack_shuffle},
#ifdef EBB_BENCH_LZMA
    {"xz-6", false, pack_xz, unpack_xz},
#endif
#ifdef EBB_BENCH_FPZIP
    {"fpzip", false, pack_fpzip, unpack_fpzip},
#endif
#ifdef EBB_BENCH_ZFP
    {"zfp", true, pack_zfp, unpack_zfp},
#endif
    {0},
};

const char bench_peers_absent[] = ""
#ifndef EBB_BENCH_LZMA
                                  "liblzma "
#endif
#ifndef EBB_BENCH_FPZIP
                                  "libfpzip "
#endif
#ifndef EBB_BENCH_ZFP
                                  "libzfp "
#endif
    ;
