/* Where the bytes of a file come from: a stream read once, or bytes that can be read at any place.
 * The caller brings the callback; nothing here knows of files. */
#ifndef EBB_FORMATS_SOURCE_H
#define EBB_FORMATS_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* A stream. `read` puts 1 to `len` bytes into `buf` and their number into `*ret_len`; 0 bytes mean
 * the end. Returns 0, or a negative code. */
struct ebb_source {
    int (*read)(void *ctx, void *buf, size_t len, size_t *ret_len, struct ebb_error *err);
    void *ctx;
};

/* `size` bytes. `read_at` fills `buf` whole, from `offset`; it is never asked for bytes past
 * `size`. Returns 0, or a negative code. */
struct ebb_random_source {
    int (*read_at)(void *ctx, uint64_t offset, void *buf, size_t len, struct ebb_error *err);
    void *ctx;
    uint64_t size;
};

/* Bytes in memory as a source; they and the struct must outlive it. */
struct ebb_memory_source {
    const uint8_t *data;
    size_t len;
    size_t pos;
};
struct ebb_source ebb_memory_source(struct ebb_memory_source *m);
struct ebb_random_source ebb_memory_random_source(struct ebb_memory_source *m);

#endif
