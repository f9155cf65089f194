/* The head of an XTC frame (formats/xtc.c draws it). */
#include "formats/frame_length.h"

#include "formats/bytes.h"
#include "formats/frame.h"

enum { HEAD_BYTES = 56, MAX_PLAIN_ATOMS = 9, BYTES_AT = 88 };

uint64_t ebb_xtc_frame_bytes(const uint8_t *bytes, size_t len)
{
    if (len < HEAD_BYTES)
        return 0;
    uint32_t magic = ebb_load32(bytes, true), atoms = ebb_load32(bytes + 4, true);
    if ((magic != 1995 && magic != 2023) || atoms > INT32_MAX ||
        ebb_load32(bytes + 52, true) != atoms)
        return 0;
    if (atoms <= MAX_PLAIN_ATOMS)
        return HEAD_BYTES + 12 * (uint64_t)atoms;
    size_t stream_at = BYTES_AT + (magic == 2023 ? 8 : 4);
    if (len < stream_at)
        return 0;
    uint64_t stream =
        magic == 2023 ? ebb_load64(bytes + BYTES_AT, true) : ebb_load32(bytes + BYTES_AT, true);
    if (stream > EBB_FRAME_MAX_BYTES || atoms / 4 > stream)
        return 0;
    return stream_at + ((stream + 3) & ~(uint64_t)3);
}
