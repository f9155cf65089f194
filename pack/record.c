/* Header, records, index and tail as bytes. The decoders take what anybody may have written. */
#include "pack/record.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/map.h"
#include "base/memory.h"
#include "pack/little_endian.h"

#define TAIL_MAGIC "EBBPEND1"

enum { INDEX_PART_BYTES = 40 };

uint64_t ebb_record_hash(const void *data, size_t len)
{
    return XXH3_64bits(data, len);
}

void ebb_record_encode(const struct ebb_record *r, uint8_t out[EBB_CONTAINER_RECORD_BYTES])
{
    ebb_put_u32(out, r->type);
    ebb_put_u32(out + 4, r->entry);
    ebb_put_u32(out + 8, r->codec);
    ebb_put_u32(out + 12, r->frames);
    ebb_put_u64(out + 16, r->raw_bytes);
    ebb_put_u64(out + 24, r->payload_bytes);
    ebb_put_u64(out + 32, r->file_offset);
    ebb_put_u64(out + 40, r->payload_hash);
    ebb_put_u64(out + 48, 0);
    ebb_put_u64(out + 56, ebb_record_hash(out, 56));
}

int ebb_record_decode(const uint8_t in[EBB_CONTAINER_RECORD_BYTES], struct ebb_record *ret,
                      struct ebb_error *err)
{
    if (ebb_get_u64(in + 56) != ebb_record_hash(in, 56))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "a record's header does not match its hash");
    struct ebb_record r = {
        .type = ebb_get_u32(in),
        .entry = ebb_get_u32(in + 4),
        .codec = ebb_get_u32(in + 8),
        .frames = ebb_get_u32(in + 12),
        .raw_bytes = ebb_get_u64(in + 16),
        .payload_bytes = ebb_get_u64(in + 24),
        .file_offset = ebb_get_u64(in + 32),
        .payload_hash = ebb_get_u64(in + 40),
    };
    if (r.type != EBB_RECORD_FILE && r.type != EBB_RECORD_PART && r.type != EBB_RECORD_DONE &&
        r.type != EBB_RECORD_INDEX)
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED,
                             "a record of a kind that needs a later version of ebb");
    if (ebb_get_u64(in + 48) != 0)
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED, "a record needs a later version of ebb");
    if (r.type != EBB_RECORD_INDEX &&
        (r.payload_bytes > EBB_CONTAINER_PART_MAX || r.raw_bytes > EBB_CONTAINER_PART_MAX))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "a record of %llu bytes is too large",
                             (unsigned long long)r.payload_bytes);
    *ret = r;
    return 0;
}

/* ---- header and tail ---- */

void ebb_container_header_encode(uint8_t out[EBB_CONTAINER_HEADER_BYTES])
{
    memcpy(out, EBB_CONTAINER_MAGIC, EBB_CONTAINER_MAGIC_BYTES);
    ebb_put_u32(out + 8, EBB_CONTAINER_VERSION);
    ebb_put_u32(out + 12, 0);
    ebb_put_u64(out + 16, 0); /* required features */
    ebb_put_u64(out + 24, ebb_record_hash(out, 24));
}

int ebb_container_header_decode(const uint8_t in[EBB_CONTAINER_HEADER_BYTES], struct ebb_error *err)
{
    if (!ebb_container_recognise(in, EBB_CONTAINER_HEADER_BYTES))
        return ebb_error_set(err, EBB_ERR_INPUT, "not a packed file of ebb");
    if (ebb_get_u64(in + 24) != ebb_record_hash(in, 24))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "the header does not match its hash");
    if (ebb_get_u32(in + 8) != EBB_CONTAINER_VERSION || ebb_get_u32(in + 12) != 0 ||
        ebb_get_u64(in + 16) != 0)
        return ebb_error_set(err, EBB_ERR_UNSUPPORTED,
                             "written by a later version of ebb (format %u, features %llx): use "
                             "that one to read it",
                             ebb_get_u32(in + 8), (unsigned long long)ebb_get_u64(in + 16));
    return 0;
}

void ebb_container_tail_encode(uint64_t index_offset, uint64_t index_bytes,
                               uint8_t out[EBB_CONTAINER_TAIL_BYTES])
{
    ebb_put_u64(out, index_offset);
    ebb_put_u64(out + 8, index_bytes);
    memcpy(out + 24, TAIL_MAGIC, 8);
    uint8_t covered[24];
    memcpy(covered, out, 16);
    memcpy(covered + 16, TAIL_MAGIC, 8);
    ebb_put_u64(out + 16, ebb_record_hash(covered, sizeof covered));
}

int ebb_container_tail_decode(const uint8_t in[EBB_CONTAINER_TAIL_BYTES], uint64_t *ret_offset,
                              uint64_t *ret_bytes, struct ebb_error *err)
{
    if (memcmp(in + 24, TAIL_MAGIC, 8) != 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "it has no end: it was cut off or is not whole");
    uint8_t want[EBB_CONTAINER_TAIL_BYTES];
    ebb_container_tail_encode(ebb_get_u64(in), ebb_get_u64(in + 8), want);
    if (memcmp(in, want, sizeof want) != 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "its end does not match its hash");
    *ret_offset = ebb_get_u64(in);
    *ret_bytes = ebb_get_u64(in + 8);
    return 0;
}

/* ---- index ---- */

void ebb_index_encode(const struct ebb_packed_entry *entries, size_t count, struct ebb_buffer *out)
{
    ebb_append_u64(out, count);
    for (size_t i = 0; i < count; i++) {
        const struct ebb_packed_entry *e = &entries[i];
        size_t at = out->len;
        ebb_append_u32(out, 0);
        ebb_packed_entry_encode(e, out);
        ebb_put_u32(out->data + at, (uint32_t)(out->len - at - 4));
        ebb_append_u64(out, e->part_count);
        for (size_t k = 0; k < e->part_count; k++) {
            const struct ebb_packed_part *p = &e->parts[k];
            ebb_append_u64(out, p->record_offset);
            ebb_append_u64(out, p->raw_bytes);
            ebb_append_u64(out, p->packed_bytes);
            ebb_append_u64(out, p->payload_hash);
            ebb_append_u32(out, p->codec);
            ebb_append_u32(out, p->frames);
        }
    }
}

static int index_fault(struct ebb_error *err, const char *what)
{
    return ebb_error_set(err, EBB_ERR_CORRUPT, "the index is malformed: %s", what);
}

struct cursor {
    const uint8_t *at;
    size_t left;
};

static const uint8_t *take(struct cursor *c, size_t len)
{
    if (len > c->left)
        return NULL;
    const uint8_t *p = c->at;
    c->at += len;
    c->left -= len;
    return p;
}

/* Parts lie in the order of the records, each behind the one before. */
static int decode_parts(struct cursor *c, struct ebb_packed_entry *e, uint64_t *record_end,
                        uint64_t records_end, struct ebb_error *err)
{
    const uint8_t *n = take(c, 8);
    if (n == NULL || ebb_get_u64(n) > c->left / INDEX_PART_BYTES)
        return index_fault(err, "it ends inside an entry");
    uint64_t count = ebb_get_u64(n), size = 0, frames = 0;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *b = take(c, INDEX_PART_BYTES);
        if (b == NULL)
            return index_fault(err, "it ends inside an entry");
        struct ebb_packed_part p = {
            .record_offset = ebb_get_u64(b),
            .raw_bytes = ebb_get_u64(b + 8),
            .packed_bytes = ebb_get_u64(b + 16),
            .payload_hash = ebb_get_u64(b + 24),
            .codec = ebb_get_u32(b + 32),
            .frames = ebb_get_u32(b + 36),
            .file_offset = size,
        };
        if (p.raw_bytes > EBB_CONTAINER_PART_MAX || p.packed_bytes > EBB_CONTAINER_PART_MAX ||
            p.record_offset < *record_end || p.record_offset > records_end ||
            records_end - p.record_offset < EBB_CONTAINER_RECORD_BYTES + p.packed_bytes)
            return index_fault(err, "a part lies outside the file");
        *record_end = p.record_offset + EBB_CONTAINER_RECORD_BYTES + p.packed_bytes;
        size += p.raw_bytes;
        frames += p.frames;
        ebb_packed_entry_add_part(e, &p);
    }
    if (size != e->size_bytes || frames != e->frames)
        return index_fault(err, "a file's parts do not add up to it");
    e->is_complete = true;
    return 0;
}

static int decode_entry(struct cursor *c, struct ebb_packed_entry *e, uint64_t *record_end,
                        uint64_t records_end, struct ebb_error *err)
{
    const uint8_t *n = take(c, 4);
    const uint8_t *facts = n == NULL ? NULL : take(c, ebb_get_u32(n));
    if (facts == NULL)
        return index_fault(err, "it ends inside an entry");
    int rc = ebb_packed_entry_decode(facts, ebb_get_u32(n), e, err);
    return rc < 0 ? rc : decode_parts(c, e, record_end, records_end, err);
}

/* Names: each once, none a folder of another. */
static int check_names(const struct ebb_packed_entry *entries, size_t count, struct ebb_error *err)
{
    struct ebb_map *names = ebb_map_new(NULL);
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        if (ebb_map_get(names, entries[i].name) != NULL)
            rc = ebb_error_set(err, EBB_ERR_CORRUPT, "%s is in it twice", entries[i].name);
        else
            ebb_map_set(names, entries[i].name, (void *)(uintptr_t)&entries[i]);
    for (size_t i = 0; i < count && rc == 0; i++) {
        EBB_AUTO_FREE char *folder = ebb_strdup(entries[i].name);
        for (char *slash = strrchr(folder, '/'); slash != NULL && rc == 0;
             slash = strrchr(folder, '/')) {
            *slash = '\0';
            if (ebb_map_get(names, folder) != NULL)
                rc = ebb_error_set(err, EBB_ERR_CORRUPT, "%s is in it as a file and as a folder",
                                   folder);
        }
    }
    ebb_map_destroy(names);
    return rc;
}

int ebb_index_decode(const uint8_t *data, size_t len, uint64_t records_end,
                     struct ebb_packed_entry **ret, size_t *ret_count, struct ebb_error *err)
{
    struct cursor c = {.at = data, .left = len};
    const uint8_t *n = take(&c, 8);
    if (n == NULL || ebb_get_u64(n) > c.left / 12) /* an entry has at least two lengths */
        return index_fault(err, "its number of entries");
    size_t count = (size_t)ebb_get_u64(n), i = 0;
    struct ebb_packed_entry *entries = ebb_alloc_array(count + 1, sizeof *entries);
    uint64_t record_end = EBB_CONTAINER_HEADER_BYTES;
    int rc = 0;
    for (; i < count && rc == 0; i++)
        rc = decode_entry(&c, &entries[i], &record_end, records_end, err);
    if (rc == 0 && c.left != 0)
        rc = index_fault(err, "bytes behind the last entry");
    if (rc == 0)
        rc = check_names(entries, count, err);
    if (rc < 0) {
        for (size_t k = 0; k < i; k++)
            ebb_packed_entry_clean_up(&entries[k]);
        free(entries);
        return rc;
    }
    *ret = entries;
    *ret_count = count;
    return 0;
}
