/* Bytes that can be read at any place: a file, a file inside a packed file, a buffer. Who makes one
 * brings the reading in; nothing in pack/ opens anything. */
#ifndef EBB_PACK_BYTES_H
#define EBB_PACK_BYTES_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct ebb_bytes {
    /* Exactly len bytes, or an error. offset + len never passes size_bytes. */
    int (*read_at)(void *ctx, uint64_t offset, void *out, size_t len, struct ebb_error *err);
    void *ctx;
    uint64_t size_bytes;
};

/* Checks the range, then reads: EBB_ERR_CORRUPT when it passes the end. */
int ebb_bytes_read(const struct ebb_bytes *b, uint64_t offset, void *out, size_t len,
                   struct ebb_error *err);

/* A view of memory, which it borrows: `m` is its context and must stay where it is. */
struct ebb_memory {
    const uint8_t *data;
    size_t len;
};
struct ebb_bytes ebb_bytes_of_memory(struct ebb_memory *m);

#endif
