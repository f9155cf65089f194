/* Packing and unpacking in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/memory.h"
#include "packed_fixture.h"

static int append(void *ctx, const void *data, size_t len, struct ebb_error *err)
{
    (void)err;
    ebb_buffer_append(ctx, data, len);
    return 0;
}

struct ebb_packed_sink buffer_sink(struct ebb_buffer *b)
{
    return (struct ebb_packed_sink){.write = append, .ctx = b};
}

int pack_memory(const void *data, size_t len, const struct ebb_bytes *base,
                const struct ebb_packer_options *o, struct ebb_buffer *out, struct ebb_error *err)
{
    struct ebb_memory m = {.data = data, .len = len};
    struct ebb_bytes bytes = ebb_bytes_of_memory(&m);
    EBB_AUTO(ebb_packed_entry_clean_up)
    struct ebb_packed_entry facts = {.name = ebb_strdup("file"), .mode = 0640, .mtime_ns = 7};
    if (base != NULL) {
        facts.chain_length = 1;
        facts.base_file = ebb_strdup("base");
    }
    EBB_AUTO(ebb_auto_container_writer)
    struct ebb_container_writer *w = ebb_container_writer_new(buffer_sink(out));
    int rc = ebb_packer_add(w, &facts, &bytes, base, o, err);
    return rc < 0 ? rc : ebb_container_finish(w, err);
}

int unpack_memory(const struct ebb_buffer *packed, const struct ebb_bytes *base,
                  struct ebb_buffer *out, struct ebb_error *err)
{
    struct ebb_memory m = {.data = packed->data, .len = packed->len};
    struct ebb_bytes bytes = ebb_bytes_of_memory(&m);
    EBB_AUTO(ebb_auto_container) struct ebb_container *c = NULL;
    int rc = ebb_container_open(&bytes, &c, err);
    if (rc == 0)
        rc = ebb_container_check(c, NULL, NULL, err);
    if (rc == 0 && c->count != 1)
        rc = ebb_error_set(err, EBB_ERR_CORRUPT, "%zu files", c->count);
    return rc < 0 ? rc
                  : ebb_unpacker_run(c, &c->entries[0], base, buffer_sink(out), 2,
                                     (struct ebb_pack_progress){0}, err);
}

size_t assert_round_trip(const void *data, size_t len, const struct ebb_packer_options *o)
{
    struct ebb_error err = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer packed = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer back = {0};
    int rc = pack_memory(data, len, NULL, o, &packed, &err);
    if (rc == 0)
        rc = unpack_memory(&packed, NULL, &back, &err);
    if (rc < 0)
        fail_msg("%s", err.text);
    assert_int_equal(back.len, len);
    if (len > 0)
        assert_memory_equal(back.data, data, len);
    return packed.len;
}

uint64_t next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
