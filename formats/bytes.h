/* Numbers in bytes of either order, at any alignment. */
#ifndef EBB_FORMATS_BYTES_H
#define EBB_FORMATS_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t ebb_load16(const void *p, bool big_endian)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    bool host_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    return big_endian == host_big ? v : __builtin_bswap16(v);
}

static inline uint32_t ebb_load32(const void *p, bool big_endian)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    bool host_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    return big_endian == host_big ? v : __builtin_bswap32(v);
}

static inline uint64_t ebb_load64(const void *p, bool big_endian)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    bool host_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    return big_endian == host_big ? v : __builtin_bswap64(v);
}

static inline float ebb_load_f32(const void *p, bool big_endian)
{
    uint32_t bits = ebb_load32(p, big_endian);
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static inline double ebb_load_f64(const void *p, bool big_endian)
{
    uint64_t bits = ebb_load64(p, big_endian);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static inline void ebb_store32(void *p, uint32_t v, bool big_endian)
{
    bool host_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    v = big_endian == host_big ? v : __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}

static inline void ebb_store64(void *p, uint64_t v, bool big_endian)
{
    bool host_big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    v = big_endian == host_big ? v : __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}

/* Arrays of `count` numbers, between a file's order and the host's (the same way back). The bits
 * are kept, whatever they mean: NaN payloads too. `from` and `to` may be the same. */
static inline void ebb_swap_copy32(void *to, const void *from, size_t count, bool big_endian)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t v = ebb_load32((const uint8_t *)from + 4 * i, big_endian);
        memcpy((uint8_t *)to + 4 * i, &v, sizeof v);
    }
}

static inline void ebb_swap_copy64(void *to, const void *from, size_t count, bool big_endian)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t v = ebb_load64((const uint8_t *)from + 8 * i, big_endian);
        memcpy((uint8_t *)to + 8 * i, &v, sizeof v);
    }
}

#endif
