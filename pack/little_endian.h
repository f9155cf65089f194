/* Integers as packed files have them: little-endian, at any address. */
#ifndef EBB_PACK_LITTLE_ENDIAN_H
#define EBB_PACK_LITTLE_ENDIAN_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "base/buffer.h"

static inline void ebb_put_u32(void *at, uint32_t v)
{
    v = htole32(v);
    memcpy(at, &v, sizeof v);
}

static inline void ebb_put_u64(void *at, uint64_t v)
{
    v = htole64(v);
    memcpy(at, &v, sizeof v);
}

static inline uint32_t ebb_get_u32(const void *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return le32toh(v);
}

static inline uint64_t ebb_get_u64(const void *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return le64toh(v);
}

static inline void ebb_append_u32(struct ebb_buffer *b, uint32_t v)
{
    uint8_t bytes[4];
    ebb_put_u32(bytes, v);
    ebb_buffer_append(b, bytes, sizeof bytes);
}

static inline void ebb_append_u64(struct ebb_buffer *b, uint64_t v)
{
    uint8_t bytes[8];
    ebb_put_u64(bytes, v);
    ebb_buffer_append(b, bytes, sizeof bytes);
}

#endif
