/* Writing a container front to back; what the index needs of each part is kept (56 bytes a part).
 */
#include <string.h>

#include "base/map.h"
#include "base/memory.h"
#include "pack/container.h"
#include "pack/record.h"

struct ebb_container_writer {
    struct ebb_packed_sink sink;
    uint64_t written;
    struct ebb_packed_entry *entries;
    size_t count;
    size_t capacity;
    uint64_t file_offset; /* in the entry that is open */
    struct ebb_buffer scratch;
    struct ebb_map *names; /* of entries: FILE_NAME; of the folders that they are in: FOLDER_NAME */
};

static char file_name, folder_name;
#define FILE_NAME   ((void *)&file_name)
#define FOLDER_NAME ((void *)&folder_name)

struct ebb_container_writer *ebb_container_writer_new(struct ebb_packed_sink sink)
{
    struct ebb_container_writer *w = ebb_alloc(sizeof *w);
    w->sink = sink;
    w->names = ebb_map_new(NULL);
    return w;
}

void ebb_container_writer_destroy(struct ebb_container_writer *w)
{
    if (w == NULL)
        return;
    for (size_t i = 0; i < w->count; i++)
        ebb_packed_entry_clean_up(&w->entries[i]);
    free(w->entries);
    ebb_buffer_clean_up(&w->scratch);
    ebb_map_destroy(w->names);
    free(w);
}

void ebb_container_written(const struct ebb_container_writer *w, const struct ebb_bytes *bytes,
                           struct ebb_container *ret)
{
    *ret = (struct ebb_container){.bytes = *bytes, .entries = w->entries, .count = w->count};
}

static int put(struct ebb_container_writer *w, const void *data, size_t len, struct ebb_error *err)
{
    int rc = len == 0 ? 0 : w->sink.write(w->sink.ctx, data, len, err);
    if (rc == 0)
        w->written += len;
    return rc;
}

static int put_record(struct ebb_container_writer *w, struct ebb_record *r, const void *payload,
                      struct ebb_error *err)
{
    uint8_t header[EBB_CONTAINER_RECORD_BYTES];
    r->payload_hash = ebb_record_hash(payload, (size_t)r->payload_bytes);
    ebb_record_encode(r, header);
    int rc = put(w, header, sizeof header, err);
    return rc < 0 ? rc : put(w, payload, (size_t)r->payload_bytes, err);
}

static int put_header(struct ebb_container_writer *w, struct ebb_error *err)
{
    uint8_t header[EBB_CONTAINER_HEADER_BYTES];
    ebb_container_header_encode(header);
    return w->written > 0 ? 0 : put(w, header, sizeof header, err);
}

static void copy_facts(const struct ebb_packed_entry *from, struct ebb_packed_entry *to)
{
    struct ebb_packed_entry copy = *from;
    copy.name = ebb_strdup(from->name);
    copy.kind = ebb_strdup(from->kind);
    copy.unit = ebb_strdup(from->unit);
    copy.base_file = ebb_strdup(from->base_file);
    copy.base_name = ebb_strdup(from->base_name);
    copy.parts = to->parts;
    copy.part_count = to->part_count;
    copy.part_capacity = to->part_capacity;
    to->parts = NULL;
    ebb_packed_entry_clean_up(to);
    *to = copy;
}

static int put_facts(struct ebb_container_writer *w, uint32_t type, struct ebb_error *err)
{
    ebb_buffer_reset(&w->scratch);
    ebb_packed_entry_encode(&w->entries[w->count - 1], &w->scratch);
    struct ebb_record r = {.type = type,
                           .entry = (uint32_t)(w->count - 1),
                           .file_offset = w->file_offset,
                           .payload_bytes = w->scratch.len};
    return put_record(w, &r, w->scratch.data, err);
}

/* Names are each there once, and none is the folder of another. */
static int take_name(struct ebb_container_writer *w, const char *name, struct ebb_error *err)
{
    const void *old = ebb_map_get(w->names, name);
    if (old == FILE_NAME)
        return ebb_error_set(err, EBB_ERR_INPUT, "%s is in it twice", name);
    if (old == FOLDER_NAME)
        return ebb_error_set(err, EBB_ERR_INPUT, "%s is in it as a file and as a folder", name);
    ebb_map_set(w->names, name, FILE_NAME);
    EBB_AUTO_FREE char *folder = ebb_strdup(name);
    for (char *slash; (slash = strrchr(folder, '/')) != NULL;) {
        *slash = '\0';
        old = ebb_map_get(w->names, folder);
        if (old == FILE_NAME)
            return ebb_error_set(err, EBB_ERR_INPUT, "%s is in it as a file and as a folder",
                                 folder);
        if (old == FOLDER_NAME)
            break;
        ebb_map_set(w->names, folder, FOLDER_NAME);
    }
    return 0;
}

int ebb_container_begin(struct ebb_container_writer *w, const struct ebb_packed_entry *facts,
                        struct ebb_error *err)
{
    int rc = ebb_packed_check_name(facts->name, err);
    if (rc == 0)
        rc = take_name(w, facts->name, err);
    if (rc == 0)
        rc = put_header(w, err);
    if (rc < 0)
        return rc;
    if (w->count == w->capacity) {
        w->capacity = w->capacity == 0 ? 8 : 2 * w->capacity;
        w->entries = ebb_realloc_array(w->entries, w->capacity, sizeof *w->entries);
    }
    w->entries[w->count] = (struct ebb_packed_entry){0};
    copy_facts(facts, &w->entries[w->count++]);
    w->file_offset = 0;
    return put_facts(w, EBB_RECORD_FILE, err);
}

int ebb_container_add(struct ebb_container_writer *w, uint32_t codec, uint64_t raw_bytes,
                      uint32_t frames, const void *payload, size_t len, struct ebb_error *err)
{
    if (len > EBB_CONTAINER_PART_MAX || raw_bytes > EBB_CONTAINER_PART_MAX)
        return ebb_error_set(err, EBB_ERR_INPUT, "a part of %llu bytes is too large",
                             (unsigned long long)raw_bytes);
    struct ebb_record r = {.type = EBB_RECORD_PART,
                           .entry = (uint32_t)(w->count - 1),
                           .codec = codec,
                           .frames = frames,
                           .raw_bytes = raw_bytes,
                           .payload_bytes = len,
                           .file_offset = w->file_offset};
    uint64_t at = w->written;
    int rc = put_record(w, &r, payload, err);
    if (rc < 0)
        return rc;
    struct ebb_packed_part p = {.record_offset = at,
                                .raw_bytes = raw_bytes,
                                .packed_bytes = len,
                                .file_offset = w->file_offset,
                                .payload_hash = r.payload_hash,
                                .codec = codec,
                                .frames = frames};
    ebb_packed_entry_add_part(&w->entries[w->count - 1], &p);
    w->file_offset += raw_bytes;
    return 0;
}

int ebb_container_end(struct ebb_container_writer *w, const struct ebb_packed_entry *facts,
                      struct ebb_error *err)
{
    copy_facts(facts, &w->entries[w->count - 1]);
    return put_facts(w, EBB_RECORD_DONE, err);
}

int ebb_container_finish(struct ebb_container_writer *w, struct ebb_error *err)
{
    int rc = put_header(w, err);
    ebb_buffer_reset(&w->scratch);
    ebb_index_encode(w->entries, w->count, &w->scratch);
    struct ebb_record r = {.type = EBB_RECORD_INDEX, .payload_bytes = w->scratch.len};
    uint64_t at = w->written;
    if (rc == 0)
        rc = put_record(w, &r, w->scratch.data, err);
    uint8_t tail[EBB_CONTAINER_TAIL_BYTES];
    ebb_container_tail_encode(at, w->written - at, tail);
    return rc < 0 ? rc : put(w, tail, sizeof tail, err);
}
