/* Reading with the range checked in one place. */
#include "pack/bytes.h"

#include <string.h>

int ebb_bytes_read(const struct ebb_bytes *b, uint64_t offset, void *out, size_t len,
                   struct ebb_error *err)
{
    if (offset > b->size_bytes || len > b->size_bytes - offset)
        return ebb_error_set(err, EBB_ERR_CORRUPT,
                             "the file ends at %llu, bytes %llu to %llu are wanted",
                             (unsigned long long)b->size_bytes, (unsigned long long)offset,
                             (unsigned long long)offset + len);
    return len == 0 ? 0 : b->read_at(b->ctx, offset, out, len, err);
}

static int read_memory(void *ctx, uint64_t offset, void *out, size_t len, struct ebb_error *err)
{
    (void)err;
    const struct ebb_memory *m = ctx;
    memcpy(out, m->data + offset, len);
    return 0;
}

struct ebb_bytes ebb_bytes_of_memory(struct ebb_memory *m)
{
    return (struct ebb_bytes){.read_at = read_memory, .ctx = m, .size_bytes = m->len};
}
