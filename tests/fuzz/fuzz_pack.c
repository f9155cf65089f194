/* Packed bytes from anywhere: containers, their index, and parts of each codec. The hashes of a
 * container would keep a fuzzer out of what lies behind them, so that is also reached directly.
 *
 *     0 container   1 index   2 an entry's facts   3 a part: codec, u24 length, payload
 *     4 a file to pack and unpack again */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "pack/container.h"
#include "pack/packer.h"
#include "pack/part.h"
#include "pack/record.h"
#include "pack/unpacker.h"

enum { PART_BYTES_MAX = 1 << 20 };

static int append(void *ctx, const void *data, size_t len, struct ebb_error *err)
{
    (void)err;
    ebb_buffer_append(ctx, data, len);
    return 0;
}

static bool is_small(const struct ebb_packed_entry *e)
{
    for (size_t i = 0; i < e->part_count; i++)
        if (e->parts[i].raw_bytes > PART_BYTES_MAX)
            return false;
    return e->part_count < 64;
}

static void read_container(struct ebb_memory *m)
{
    struct ebb_bytes bytes = ebb_bytes_of_memory(m);
    EBB_AUTO(ebb_auto_container) struct ebb_container *c = NULL;
    EBB_AUTO(ebb_auto_container) struct ebb_container *salvaged = NULL;
    struct ebb_error fault = {0}, err = {0};
    (void)ebb_container_salvage(&bytes, &salvaged, &fault, &err);
    if (ebb_container_open(&bytes, &c, &err) < 0)
        return;
    (void)ebb_container_check(c, NULL, NULL, &err);
    for (size_t i = 0; i < c->count; i++) {
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
        if (is_small(&c->entries[i]))
            (void)ebb_unpacker_run(c, &c->entries[i], NULL,
                                   (struct ebb_packed_sink){.write = append, .ctx = &out}, 1,
                                   (struct ebb_pack_progress){0}, &err);
    }
}

static void read_index(const uint8_t *data, size_t len)
{
    struct ebb_packed_entry *entries = NULL;
    size_t count = 0;
    struct ebb_error err = {0};
    if (ebb_index_decode(data, len, UINT64_MAX / 2, &entries, &count, &err) < 0)
        return;
    for (size_t i = 0; i < count; i++)
        ebb_packed_entry_clean_up(&entries[i]);
    free(entries);
}

static void read_entry(const uint8_t *data, size_t len)
{
    EBB_AUTO(ebb_packed_entry_clean_up) struct ebb_packed_entry e = {0};
    struct ebb_error err = {0};
    (void)ebb_packed_entry_decode(data, len, &e, &err);
}

static void read_part(const uint8_t *data, size_t len)
{
    if (len < 4)
        return;
    size_t raw_bytes = (data[1] | (size_t)data[2] << 8 | (size_t)data[3] << 16) % PART_BYTES_MAX;
    struct ebb_memory m = {.data = data, .len = len};
    struct ebb_bytes base = ebb_bytes_of_memory(&m);
    EBB_AUTO_FREE uint8_t *out = ebb_alloc(raw_bytes);
    struct ebb_error err = {0};
    (void)ebb_part_decode(data[0], data + 4, len - 4, &base, out, raw_bytes, &err);
}

/* Whatever a file looks like, without an error bound it comes back. */
static void pack_and_unpack(const uint8_t *data, size_t len)
{
    struct ebb_memory m = {.data = data, .len = len}, p;
    struct ebb_bytes file = ebb_bytes_of_memory(&m);
    struct ebb_packer_options o = {.group_frames = 3, .verify_every = 1000000};
    EBB_AUTO(ebb_packed_entry_clean_up) struct ebb_packed_entry facts = {.name = ebb_strdup("f")};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer packed = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer back = {0};
    EBB_AUTO(ebb_auto_container_writer)
    struct ebb_container_writer *w =
        ebb_container_writer_new((struct ebb_packed_sink){.write = append, .ctx = &packed});
    struct ebb_error err = {0};
    if (ebb_packer_add(w, &facts, &file, NULL, &o, &err) < 0 || ebb_container_finish(w, &err) < 0)
        abort();
    p = (struct ebb_memory){.data = packed.data, .len = packed.len};
    struct ebb_bytes bytes = ebb_bytes_of_memory(&p);
    EBB_AUTO(ebb_auto_container) struct ebb_container *c = NULL;
    if (ebb_container_open(&bytes, &c, &err) < 0 ||
        ebb_unpacker_run(c, &c->entries[0], NULL,
                         (struct ebb_packed_sink){.write = append, .ctx = &back}, 1,
                         (struct ebb_pack_progress){0}, &err) < 0 ||
        back.len != len || (len > 0 && memcmp(back.data, data, len) != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct ebb_memory m = {.data = data + 1, .len = size - 1};
    switch (data[0]) {
    case 0:
        read_container(&m);
        break;
    case 1:
        read_index(m.data, m.len);
        break;
    case 2:
        read_entry(m.data, m.len);
        break;
    case 3:
        read_part(m.data, m.len);
        break;
    default:
        pack_and_unpack(m.data, m.len);
    }
    return 0;
}
