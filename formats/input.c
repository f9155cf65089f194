/* The window of ebb_frame_reader. Bytes are asked for in pieces of READ_BYTES; a frame is moved to
 * the front of the memory at most once, when it does not fit behind the one before. */
#include "formats/input.h"

#include <stdlib.h>
#include <string.h>

enum { READ_BYTES = 1 << 15 };

void ebb_input_clean_up(struct ebb_input *in)
{
    free(in->memory);
    in->memory = NULL;
    in->capacity = in->start = in->len = 0;
}

/* Room for `extra` bytes behind the window. */
static int make_room(struct ebb_input *in, size_t extra, struct ebb_error *err)
{
    if (in->start + in->len + extra + EBB_INPUT_SLACK <= in->capacity)
        return 0;
    if (in->start > 0) {
        memmove(in->memory, in->memory + in->start, in->len);
        in->start = 0;
        if (in->len + extra + EBB_INPUT_SLACK <= in->capacity)
            return 0;
    }
    size_t capacity = in->capacity == 0 ? READ_BYTES + EBB_INPUT_SLACK : in->capacity;
    while (capacity < in->len + extra + EBB_INPUT_SLACK)
        capacity += capacity / 2;
    uint8_t *memory = realloc(in->memory, capacity);
    if (memory == NULL)
        return ebb_error_set(err, EBB_ERR_NO_SPACE, "no memory for a frame of %zu bytes or more",
                             in->len);
    memset(memory + in->capacity, 0, capacity - in->capacity);
    in->memory = memory;
    in->capacity = capacity;
    return 0;
}

int ebb_input_need(struct ebb_input *in, uint64_t bytes, struct ebb_error *err)
{
    while (in->len < bytes && !in->ended) {
        int rc = make_room(in, READ_BYTES, err);
        if (rc < 0)
            return rc;
        size_t room = in->capacity - EBB_INPUT_SLACK - in->start - in->len;
        size_t want = bytes - in->len < READ_BYTES ? READ_BYTES : (size_t)(bytes - in->len);
        size_t got = 0;
        rc = in->source.read(in->source.ctx, in->memory + in->start + in->len,
                             want < room ? want : room, &got, err);
        if (rc < 0)
            return rc;
        in->len += got;
        in->ended = got == 0;
    }
    return in->len >= bytes;
}

void ebb_input_skip(struct ebb_input *in, size_t bytes)
{
    in->start += bytes;
    in->len -= bytes;
    in->offset += bytes;
}
