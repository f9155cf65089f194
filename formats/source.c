/* Bytes in memory as sources, for tests, fuzzers and files small enough to be held. */
#include "formats/source.h"

#include <string.h>

static int read_memory(void *ctx, void *buf, size_t len, size_t *ret_len, struct ebb_error *err)
{
    (void)err;
    struct ebb_memory_source *m = ctx;
    size_t n = m->len - m->pos < len ? m->len - m->pos : len;
    if (n > 0)
        memcpy(buf, m->data + m->pos, n);
    m->pos += n;
    *ret_len = n;
    return 0;
}

static int read_memory_at(void *ctx, uint64_t offset, void *buf, size_t len, struct ebb_error *err)
{
    const struct ebb_memory_source *m = ctx;
    if (offset > m->len || len > m->len - offset)
        return ebb_error_set(err, EBB_ERR_INTERNAL, "%zu bytes wanted at %llu of %zu", len,
                             (unsigned long long)offset, m->len);
    if (len > 0)
        memcpy(buf, m->data + offset, len);
    return 0;
}

struct ebb_source ebb_memory_source(struct ebb_memory_source *m)
{
    return (struct ebb_source){.read = read_memory, .ctx = m};
}

struct ebb_random_source ebb_memory_random_source(struct ebb_memory_source *m)
{
    return (struct ebb_random_source){.read_at = read_memory_at, .ctx = m, .size = m->len};
}
