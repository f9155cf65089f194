/* A growable byte buffer, always followed by a NUL so that its data reads as a C string. */
#ifndef EBB_BASE_BUFFER_H
#define EBB_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/memory.h"

struct ebb_buffer {
    uint8_t *data; /* NULL while empty and never grown */
    size_t len;
    size_t capacity;
};

void ebb_buffer_clean_up(struct ebb_buffer *b);
void ebb_buffer_reset(struct ebb_buffer *b); /* len = 0, memory kept */
void ebb_buffer_reserve(struct ebb_buffer *b, size_t extra);
void ebb_buffer_append(struct ebb_buffer *b, const void *data, size_t len);
void ebb_buffer_append_text(struct ebb_buffer *b, const char *text);
void ebb_buffer_printf(struct ebb_buffer *b, const char *fmt, ...) EBB_PRINTF(2, 3);
/* The content as a C string, "" when empty; owned by the buffer. */
const char *ebb_buffer_text(const struct ebb_buffer *b);
/* The content as a malloc'ed C string; the buffer is left empty. */
char *ebb_buffer_take_text(struct ebb_buffer *b);

#endif
