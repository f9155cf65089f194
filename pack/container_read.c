/* Reading a container: by its index, or, when that is missing, by walking its records. */
#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "pack/container.h"
#include "pack/little_endian.h"
#include "pack/record.h"

#define CHECK_BYTES (1u << 20)

bool ebb_container_recognise(const void *head, size_t len)
{
    return len >= EBB_CONTAINER_MAGIC_BYTES &&
           memcmp(head, EBB_CONTAINER_MAGIC, EBB_CONTAINER_MAGIC_BYTES) == 0;
}

void ebb_container_destroy(struct ebb_container *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->count; i++)
        ebb_packed_entry_clean_up(&c->entries[i]);
    free(c->entries);
    free(c);
}

const struct ebb_packed_entry *ebb_container_find(const struct ebb_container *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->entries[i].name, name) == 0)
            return &c->entries[i];
    return NULL;
}

static int read_header(const struct ebb_bytes *bytes, struct ebb_error *err)
{
    uint8_t header[EBB_CONTAINER_HEADER_BYTES];
    if (bytes->size_bytes < sizeof header)
        return ebb_error_set(err, EBB_ERR_INPUT, "not a packed file of ebb: it is too short");
    int rc = ebb_bytes_read(bytes, 0, header, sizeof header, err);
    return rc < 0 ? rc : ebb_container_header_decode(header, err);
}

static int read_record(const struct ebb_bytes *bytes, uint64_t at, struct ebb_record *ret,
                       struct ebb_error *err)
{
    uint8_t header[EBB_CONTAINER_RECORD_BYTES];
    int rc = ebb_bytes_read(bytes, at, header, sizeof header, err);
    if (rc == 0)
        rc = ebb_record_decode(header, ret, err);
    if (rc == 0 && ret->payload_bytes > bytes->size_bytes - at - sizeof header)
        rc = ebb_error_set(err, EBB_ERR_CORRUPT, "a record is cut off");
    return rc < 0 ? ebb_error_wrap(err, rc, "at byte %" PRIu64, at) : 0;
}

/* Memory is taken only for bytes that the file has. */
static int read_payload(const struct ebb_bytes *bytes, uint64_t at, const struct ebb_record *r,
                        struct ebb_buffer *out, struct ebb_error *err)
{
    size_t len = (size_t)r->payload_bytes;
    ebb_buffer_reserve(out, len);
    int rc = ebb_bytes_read(bytes, at + EBB_CONTAINER_RECORD_BYTES, out->data + out->len, len, err);
    if (rc < 0)
        return rc;
    if (ebb_record_hash(out->data + out->len, len) != r->payload_hash)
        return ebb_error_set(err, EBB_ERR_CORRUPT,
                             "the record at byte %" PRIu64 " does not match its hash", at);
    out->len += len;
    out->data[out->len] = 0;
    return 0;
}

int ebb_container_open(const struct ebb_bytes *bytes, struct ebb_container **ret,
                       struct ebb_error *err)
{
    int rc = read_header(bytes, err);
    if (rc < 0)
        return rc;
    uint8_t tail[EBB_CONTAINER_TAIL_BYTES];
    uint64_t at = 0, len = 0;
    if (bytes->size_bytes < EBB_CONTAINER_HEADER_BYTES + sizeof tail)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "it has no end: it was cut off");
    rc = ebb_bytes_read(bytes, bytes->size_bytes - sizeof tail, tail, sizeof tail, err);
    if (rc == 0)
        rc = ebb_container_tail_decode(tail, &at, &len, err);
    if (rc < 0)
        return rc;
    struct ebb_record r = {0};
    uint64_t end = bytes->size_bytes - sizeof tail;
    if (at < EBB_CONTAINER_HEADER_BYTES || at > end || len != end - at ||
        len < EBB_CONTAINER_RECORD_BYTES)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "its end points outside it");
    rc = read_record(bytes, at, &r, err);
    if (rc == 0 &&
        (r.type != EBB_RECORD_INDEX || r.payload_bytes != len - EBB_CONTAINER_RECORD_BYTES))
        rc = ebb_error_set(err, EBB_ERR_CORRUPT, "its end does not point to its index");
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer index = {0};
    if (rc == 0)
        rc = read_payload(bytes, at, &r, &index, err);
    EBB_AUTO(ebb_auto_container) struct ebb_container *c = ebb_alloc(sizeof *c);
    c->bytes = *bytes;
    if (rc == 0)
        rc = ebb_index_decode(index.data, index.len, at, &c->entries, &c->count, err);
    if (rc < 0)
        return rc;
    *ret = EBB_TAKE(c);
    return 0;
}

int ebb_container_read_part(const struct ebb_container *c, const struct ebb_packed_part *p,
                            struct ebb_buffer *out, struct ebb_error *err)
{
    struct ebb_record r = {0};
    int rc = read_record(&c->bytes, p->record_offset, &r, err);
    if (rc == 0 &&
        (r.type != EBB_RECORD_PART || r.payload_bytes != p->packed_bytes ||
         r.raw_bytes != p->raw_bytes || r.codec != p->codec || r.payload_hash != p->payload_hash))
        rc = ebb_error_set(err, EBB_ERR_CORRUPT,
                           "the record at byte %" PRIu64 " is not what the index says",
                           p->record_offset);
    return rc < 0 ? rc : read_payload(&c->bytes, p->record_offset, &r, out, err);
}

/* ---- walking the records ---- */

struct walk {
    const struct ebb_bytes *bytes;
    struct ebb_container *c; /* what has been found */
    bool is_open;            /* the last entry has no DONE yet */
    struct ebb_buffer payload;
};

static int begin_entry(struct walk *w, struct ebb_error *err)
{
    struct ebb_container *c = w->c;
    if (w->is_open)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "a file begins inside another");
    if ((c->count & (c->count + 1)) == 0)
        c->entries = ebb_realloc_array(c->entries, 2 * c->count + 1, sizeof *c->entries);
    c->entries[c->count] = (struct ebb_packed_entry){0};
    int rc = ebb_packed_entry_decode(w->payload.data, w->payload.len, &c->entries[c->count], err);
    if (rc < 0) {
        ebb_packed_entry_clean_up(&c->entries[c->count]);
        return rc;
    }
    c->count++;
    w->is_open = true;
    return 0;
}

static int add_part(struct walk *w, uint64_t at, const struct ebb_record *r, struct ebb_error *err)
{
    struct ebb_packed_entry *e = &w->c->entries[w->c->count - 1];
    uint64_t offset = e->part_count == 0 ? 0
                                         : e->parts[e->part_count - 1].file_offset +
                                               e->parts[e->part_count - 1].raw_bytes;
    if (r->file_offset != offset)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "a part of %s is missing", e->name);
    struct ebb_packed_part p = {.record_offset = at,
                                .raw_bytes = r->raw_bytes,
                                .packed_bytes = r->payload_bytes,
                                .file_offset = offset,
                                .payload_hash = r->payload_hash,
                                .codec = r->codec,
                                .frames = r->frames};
    ebb_packed_entry_add_part(e, &p);
    return 0;
}

static int end_entry(struct walk *w, struct ebb_error *err)
{
    struct ebb_packed_entry *e = &w->c->entries[w->c->count - 1];
    EBB_AUTO_FREE char *name = ebb_strdup(e->name);
    int rc = ebb_packed_entry_decode(w->payload.data, w->payload.len, e, err);
    uint64_t size = 0;
    for (size_t i = 0; i < e->part_count; i++)
        size += e->parts[i].raw_bytes;
    if (rc == 0 && (strcmp(name, e->name) != 0 || size != e->size_bytes))
        rc = ebb_error_set(err, EBB_ERR_CORRUPT, "%s does not end as it began", name);
    e->is_complete = rc == 0;
    w->is_open = false;
    return rc;
}

static int walk_record(struct walk *w, uint64_t at, const struct ebb_record *r,
                       struct ebb_error *err)
{
    bool is_part = r->type == EBB_RECORD_PART;
    if (r->type != EBB_RECORD_FILE && (!w->is_open || r->entry != w->c->count - 1))
        return ebb_error_set(err, EBB_ERR_CORRUPT,
                             "the record at byte %" PRIu64 " belongs to no file", at);
    if (r->type == EBB_RECORD_FILE && r->entry != w->c->count)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "a file before byte %" PRIu64 " is missing", at);
    ebb_buffer_reset(&w->payload);
    int rc = read_payload(w->bytes, at, r, &w->payload, err);
    if (rc < 0)
        return rc;
    if (is_part)
        return add_part(w, at, r, err);
    return r->type == EBB_RECORD_FILE ? begin_entry(w, err) : end_entry(w, err);
}

/* Stops at the index record: *ret_end is where it stands. */
static int walk_all(struct walk *w, uint64_t *ret_end, struct ebb_record *ret_index,
                    void (*progress)(void *ctx, uint64_t bytes), void *ctx, struct ebb_error *err)
{
    uint64_t at = EBB_CONTAINER_HEADER_BYTES;
    for (;;) {
        struct ebb_record r = {0};
        int rc = read_record(w->bytes, at, &r, err);
        if (rc == 0 && r.type == EBB_RECORD_INDEX) {
            *ret_end = at;
            *ret_index = r;
            return w->is_open ? ebb_error_set(err, EBB_ERR_CORRUPT, "the last file has no end") : 0;
        }
        if (rc == 0)
            rc = walk_record(w, at, &r, err);
        if (rc < 0)
            return rc;
        at += EBB_CONTAINER_RECORD_BYTES + r.payload_bytes;
        if (progress != NULL)
            progress(ctx, at);
    }
}

int ebb_container_salvage(const struct ebb_bytes *bytes, struct ebb_container **ret,
                          struct ebb_error *ret_fault, struct ebb_error *err)
{
    int rc = read_header(bytes, err);
    if (rc < 0)
        return rc;
    struct ebb_container *c = ebb_alloc(sizeof *c);
    c->bytes = *bytes;
    struct walk w = {.bytes = bytes, .c = c};
    uint64_t end = 0;
    struct ebb_record index;
    ebb_error_clear(ret_fault);
    (void)walk_all(&w, &end, &index, NULL, NULL, ret_fault);
    ebb_buffer_clean_up(&w.payload);
    *ret = c;
    return 0;
}

/* The index must say what the records say. Fields that this version does not know may be in either:
 * what is compared is what was understood. */
static int compare_index(const struct ebb_container *found, const struct ebb_buffer *index,
                         uint64_t records_end, struct ebb_error *err)
{
    EBB_AUTO(ebb_auto_container) struct ebb_container *said = ebb_alloc(sizeof *said);
    int rc =
        ebb_index_decode(index->data, index->len, records_end, &said->entries, &said->count, err);
    if (rc < 0)
        return rc;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer a = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    ebb_index_encode(found->entries, found->count, &a);
    ebb_index_encode(said->entries, said->count, &b);
    if (a.len != b.len || memcmp(a.data, b.data, a.len) != 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "the index does not match the records");
    return 0;
}

int ebb_container_check(const struct ebb_container *c, void (*progress)(void *ctx, uint64_t bytes),
                        void *ctx, struct ebb_error *err)
{
    int rc = read_header(&c->bytes, err);
    EBB_AUTO(ebb_auto_container) struct ebb_container *found = ebb_alloc(sizeof *found);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer index = {0};
    struct walk w = {.bytes = &c->bytes, .c = found};
    uint64_t end = 0, tail_offset = 0, tail_bytes = 0;
    struct ebb_record r = {0};
    if (rc == 0)
        rc = walk_all(&w, &end, &r, progress, ctx, err);
    ebb_buffer_clean_up(&w.payload);
    if (rc == 0)
        rc = read_payload(&c->bytes, end, &r, &index, err);
    if (rc == 0)
        rc = compare_index(found, &index, end, err);
    uint8_t tail[EBB_CONTAINER_TAIL_BYTES];
    if (rc == 0)
        rc = ebb_bytes_read(&c->bytes, end + EBB_CONTAINER_RECORD_BYTES + r.payload_bytes, tail,
                            sizeof tail, err);
    if (rc == 0)
        rc = ebb_container_tail_decode(tail, &tail_offset, &tail_bytes, err);
    if (rc == 0 &&
        (tail_offset != end || tail_bytes != EBB_CONTAINER_RECORD_BYTES + r.payload_bytes ||
         end + tail_bytes + sizeof tail != c->bytes.size_bytes))
        rc = ebb_error_set(err, EBB_ERR_CORRUPT, "its end does not point to its index");
    return rc;
}
