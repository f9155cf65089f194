/* A window on a stream: the bytes from the start of the frame at hand on. It grows as bytes come,
 * never ahead of them, so that a size in a damaged header costs nothing. */
#ifndef EBB_FORMATS_INPUT_H
#define EBB_FORMATS_INPUT_H

#include <stdbool.h>

#include "formats/source.h"

/* So many bytes after the window may be read (their values mean nothing). */
#define EBB_INPUT_SLACK 128

struct ebb_input {
    struct ebb_source source;
    uint8_t *memory;
    size_t capacity;
    size_t start, len; /* the window is memory[start .. start + len) */
    uint64_t offset;   /* of the window's first byte in the file */
    bool ended;
};

void ebb_input_clean_up(struct ebb_input *in);
/* Makes the window at least `bytes` long: 1, or 0 when the file ends before that. */
int ebb_input_need(struct ebb_input *in, uint64_t bytes, struct ebb_error *err);
/* The window's first byte; moves with every ebb_input_need. */
static inline const uint8_t *ebb_input_bytes(const struct ebb_input *in)
{
    return in->memory + in->start;
}
/* Lets the window begin `bytes` further on (at most its length). */
void ebb_input_skip(struct ebb_input *in, size_t bytes);

#endif
