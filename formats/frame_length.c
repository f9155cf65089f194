/* The heads of XTC and TRR frames (formats/xtc.c and trr.c draw them). */
#include "formats/frame_length.h"

#include "formats/bytes.h"
#include "formats/frame.h"

enum { HEAD_BYTES = 56, MAX_PLAIN_ATOMS = 9, BYTES_AT = 88, LONGEST_HEAD = 96 };

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

bool ebb_frame_places_known(enum ebb_file_kind kind)
{
    return kind == EBB_FILE_XTC || kind == EBB_FILE_TRR;
}

static bool xtc_place(const uint8_t *head, size_t len, struct ebb_frame_place *p)
{
    p->bytes = ebb_xtc_frame_bytes(head, len);
    if (p->bytes == 0)
        return false;
    p->atoms = ebb_load32(head + 4, true);
    p->step = (int32_t)ebb_load32(head + 8, true);
    return true;
}

int ebb_frame_place(enum ebb_file_kind kind, const struct ebb_random_source *source,
                    uint64_t offset, struct ebb_frame_place *ret, struct ebb_error *err)
{
    uint8_t head[LONGEST_HEAD];
    uint64_t left = offset < source->size ? source->size - offset : 0;
    size_t len = left < sizeof head ? (size_t)left : sizeof head;
    struct ebb_frame_place p = {.offset = offset};
    if (len == 0 || !ebb_frame_places_known(kind))
        return 0;
    int rc = source->read_at(source->ctx, offset, head, len, err);
    if (rc < 0)
        return rc;
    if (!(kind == EBB_FILE_XTC ? xtc_place(head, len, &p) : ebb_trr_frame_place(head, len, &p)) ||
        p.bytes > left)
        return 0;
    *ret = p;
    return 1;
}
