/* An entry's facts as tagged fields, so that a later version may add some: a reader skips a tag it
 * does not know, unless the tag's top bit says that it must not. */
#include "pack/entry.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "pack/little_endian.h"

enum tag {
    TAG_NAME = 1,
    TAG_KIND = 2,
    TAG_MODE = 3,
    TAG_MTIME_NS = 4,
    TAG_SIZE = 5,
    TAG_SHA256 = 6,
    TAG_FRAMES = 7,
    TAG_SOURCE_SIZE = 8,
    TAG_SOURCE_SHA256 = 9,
    TAG_ERROR = 10, /* f64; its presence says that the entry is lossy */
    TAG_UNIT = 11,
    TAG_BASE_FILE = 12,
    TAG_BASE_NAME = 13,
    TAG_BASE_SIZE = 14,
    TAG_BASE_SHA256 = 15,
    TAG_CHAIN_LENGTH = 16,
    TAG_MUST_KNOW = 0x8000,
};

enum { FIELD_HEADER_BYTES = 6 };

void ebb_packed_entry_clean_up(struct ebb_packed_entry *e)
{
    free(e->name);
    free(e->kind);
    free(e->unit);
    free(e->base_file);
    free(e->base_name);
    free(e->parts);
    *e = (struct ebb_packed_entry){0};
}

void ebb_packed_entry_add_part(struct ebb_packed_entry *e, const struct ebb_packed_part *p)
{
    if (e->part_count == e->part_capacity) {
        e->part_capacity = e->part_capacity == 0 ? 8 : 2 * e->part_capacity;
        e->parts = ebb_realloc_array(e->parts, e->part_capacity, sizeof *e->parts);
    }
    e->parts[e->part_count++] = *p;
}

uint64_t ebb_packed_entry_packed_bytes(const struct ebb_packed_entry *e)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < e->part_count; i++)
        sum += e->parts[i].packed_bytes;
    return sum;
}

static bool is_utf8(const char *s)
{
    for (const uint8_t *p = (const uint8_t *)s; *p != 0;) {
        unsigned more = *p < 0x80                 ? 0
                        : *p >= 0xc2 && *p < 0xe0 ? 1
                        : *p >= 0xe0 && *p < 0xf0 ? 2
                                                  : 3;
        if (more == 3 && (*p < 0xf0 || *p > 0xf4))
            return false;
        if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
            (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
            return false;
        for (p++; more > 0; more--, p++)
            if ((*p & 0xc0) != 0x80)
                return false;
    }
    return true;
}

int ebb_packed_check_name(const char *name, struct ebb_error *err)
{
    size_t len = strlen(name);
    if (len == 0 || len > EBB_PACKED_NAME_MAX_BYTES)
        return ebb_error_set(err, EBB_ERR_INPUT, "a name of %zu bytes in a packed file", len);
    if (!is_utf8(name))
        return ebb_error_set(err, EBB_ERR_INPUT, "a name that is not UTF-8 in a packed file");
    for (const char *p = name;; p++) {
        size_t part = strcspn(p, "/");
        if (part == 0 || part > 255 || (part == 1 && p[0] == '.') ||
            (part == 2 && p[0] == '.' && p[1] == '.'))
            return ebb_error_set(err, EBB_ERR_INPUT,
                                 "%s: not a name for a packed file (it must be relative, without "
                                 "empty parts, '.' and '..')",
                                 name);
        p += part;
        if (*p == '\0')
            return 0;
    }
}

/* ---- writing ---- */

static void put_field(struct ebb_buffer *out, enum tag tag, const void *data, size_t len)
{
    uint8_t header[FIELD_HEADER_BYTES] = {(uint8_t)tag, (uint8_t)((unsigned)tag >> 8)};
    ebb_put_u32(header + 2, (uint32_t)len);
    ebb_buffer_append(out, header, sizeof header);
    ebb_buffer_append(out, data, len);
}

static void put_text(struct ebb_buffer *out, enum tag tag, const char *text)
{
    if (text != NULL && text[0] != '\0')
        put_field(out, tag, text, strlen(text));
}

static void put_number(struct ebb_buffer *out, enum tag tag, uint64_t v)
{
    uint8_t bytes[8];
    ebb_put_u64(bytes, v);
    put_field(out, tag, bytes, sizeof bytes);
}

void ebb_packed_entry_encode(const struct ebb_packed_entry *e, struct ebb_buffer *out)
{
    put_text(out, TAG_NAME, e->name);
    put_text(out, TAG_KIND, e->kind);
    put_number(out, TAG_MODE, e->mode);
    put_number(out, TAG_MTIME_NS, (uint64_t)e->mtime_ns);
    put_number(out, TAG_SIZE, e->size_bytes);
    put_field(out, TAG_SHA256, e->sha256, sizeof e->sha256);
    put_number(out, TAG_FRAMES, e->frames);
    if (e->is_lossy) {
        uint64_t bits;
        memcpy(&bits, &e->error, sizeof bits);
        put_number(out, TAG_ERROR, bits);
        put_text(out, TAG_UNIT, e->unit);
        put_number(out, TAG_SOURCE_SIZE, e->source_bytes);
        put_field(out, TAG_SOURCE_SHA256, e->source_sha256, sizeof e->source_sha256);
    }
    if (e->chain_length > 0) {
        put_number(out, TAG_CHAIN_LENGTH, e->chain_length);
        put_text(out, TAG_BASE_FILE, e->base_file);
        put_text(out, TAG_BASE_NAME, e->base_name);
        put_number(out, TAG_BASE_SIZE, e->base_bytes);
        put_field(out, TAG_BASE_SHA256, e->base_sha256, sizeof e->base_sha256);
    }
}

/* ---- reading ---- */

struct field {
    unsigned tag;
    const uint8_t *data;
    size_t len;
};

static int bad_field(const struct field *f, struct ebb_error *err)
{
    return ebb_error_set(err, EBB_ERR_CORRUPT, "an entry's field %u is malformed", f->tag);
}

static int get_number(const struct field *f, uint64_t *ret, struct ebb_error *err)
{
    if (f->len != 8)
        return bad_field(f, err);
    *ret = ebb_get_u64(f->data);
    return 0;
}

static int get_text(const struct field *f, char **ret, struct ebb_error *err)
{
    if (f->len == 0 || f->len > EBB_PACKED_NAME_MAX_BYTES || memchr(f->data, 0, f->len) != NULL)
        return bad_field(f, err);
    free(*ret);
    *ret = ebb_strndup((const char *)f->data, f->len);
    return is_utf8(*ret) ? 0 : bad_field(f, err);
}

static int get_hash(const struct field *f, uint8_t out[EBB_SHA256_SIZE], struct ebb_error *err)
{
    if (f->len != EBB_SHA256_SIZE)
        return bad_field(f, err);
    memcpy(out, f->data, EBB_SHA256_SIZE);
    return 0;
}

static int get_error(const struct field *f, struct ebb_packed_entry *e, struct ebb_error *err)
{
    uint64_t bits = 0;
    int rc = get_number(f, &bits, err);
    memcpy(&e->error, &bits, sizeof bits);
    e->is_lossy = true;
    return rc < 0 ? rc : isfinite(e->error) && e->error > 0 ? 0 : bad_field(f, err);
}

static int get_field(const struct field *f, struct ebb_packed_entry *e, struct ebb_error *err)
{
    uint64_t v = 0;
    int rc = 0;
    switch (f->tag) {
    case TAG_NAME:
        return get_text(f, &e->name, err);
    case TAG_KIND:
        return get_text(f, &e->kind, err);
    case TAG_MODE:
        rc = get_number(f, &v, err);
        e->mode = (uint32_t)v & 0777;
        return rc;
    case TAG_MTIME_NS:
        rc = get_number(f, &v, err);
        e->mtime_ns = (int64_t)v;
        return rc;
    case TAG_SIZE:
        return get_number(f, &e->size_bytes, err);
    case TAG_SHA256:
        return get_hash(f, e->sha256, err);
    case TAG_FRAMES:
        return get_number(f, &e->frames, err);
    case TAG_SOURCE_SIZE:
        return get_number(f, &e->source_bytes, err);
    case TAG_SOURCE_SHA256:
        return get_hash(f, e->source_sha256, err);
    case TAG_ERROR:
        return get_error(f, e, err);
    case TAG_UNIT:
        return get_text(f, &e->unit, err);
    case TAG_BASE_FILE:
        return get_text(f, &e->base_file, err);
    case TAG_BASE_NAME:
        return get_text(f, &e->base_name, err);
    case TAG_BASE_SIZE:
        return get_number(f, &e->base_bytes, err);
    case TAG_BASE_SHA256:
        return get_hash(f, e->base_sha256, err);
    case TAG_CHAIN_LENGTH:
        rc = get_number(f, &v, err);
        e->chain_length = (uint32_t)v;
        return rc < 0 ? rc : v <= EBB_PACKED_CHAIN_MAX ? 0 : bad_field(f, err);
    default:
        if ((f->tag & TAG_MUST_KNOW) != 0)
            return ebb_error_set(err, EBB_ERR_UNSUPPORTED,
                                 "an entry needs a later version of ebb (field %u)", f->tag);
        return 0;
    }
}

int ebb_packed_entry_decode(const uint8_t *data, size_t len, struct ebb_packed_entry *e,
                            struct ebb_error *err)
{
    for (size_t at = 0; at < len;) {
        if (len - at < FIELD_HEADER_BYTES)
            return ebb_error_set(err, EBB_ERR_CORRUPT, "an entry's fields end too early");
        struct field f = {.tag = data[at] | (unsigned)data[at + 1] << 8,
                          .data = data + at + FIELD_HEADER_BYTES,
                          .len = ebb_get_u32(data + at + 2)};
        at += FIELD_HEADER_BYTES;
        if (f.len > len - at)
            return ebb_error_set(err, EBB_ERR_CORRUPT, "an entry's fields end too early");
        at += f.len;
        int rc = get_field(&f, e, err);
        if (rc < 0)
            return rc;
    }
    if (e->name == NULL)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "an entry has no name");
    int rc = ebb_packed_check_name(e->name, err);
    return rc < 0 ? EBB_ERR_CORRUPT : 0;
}
