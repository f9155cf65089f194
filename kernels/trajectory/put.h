/* Numbers appended to a buffer, little-endian: what encoder, parts and streams write with. */
#ifndef EBB_KERNELS_TRAJECTORY_PUT_H
#define EBB_KERNELS_TRAJECTORY_PUT_H

#include <string.h>

#include "base/buffer.h"
#include "kernels/varint.h"

static inline void ebb_traj_put_varint(struct ebb_buffer *b, uint64_t value)
{
    ebb_buffer_reserve(b, EBB_VARINT_MAX);
    b->len += ebb_varint_put(b->data + b->len, value);
    b->data[b->len] = 0;
}

static inline void ebb_traj_put_byte(struct ebb_buffer *b, unsigned value)
{
    const uint8_t byte = (uint8_t)value;
    ebb_buffer_append(b, &byte, 1);
}

static inline void ebb_traj_put_float(struct ebb_buffer *b, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    for (unsigned i = 0; i < 4; i++)
        ebb_traj_put_byte(b, bits >> (8 * i) & 0xff);
}

static inline void ebb_traj_put_double(struct ebb_buffer *b, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    for (unsigned i = 0; i < 8; i++)
        ebb_traj_put_byte(b, (unsigned)(bits >> (8 * i) & 0xff));
}

#endif
