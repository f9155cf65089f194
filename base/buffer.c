/* A growable buffer. Once it has memory, data[len] is always 0. */
#include "base/buffer.h"

#include <stdio.h>
#include <string.h>

void ebb_buffer_clean_up(struct ebb_buffer *b)
{
    if (b == NULL)
        return;
    free(b->data);
    *b = (struct ebb_buffer){0};
}

void ebb_buffer_reset(struct ebb_buffer *b)
{
    b->len = 0;
    if (b->data != NULL)
        b->data[0] = 0;
}

void ebb_buffer_reserve(struct ebb_buffer *b, size_t extra)
{
    size_t need;
    if (__builtin_add_overflow(b->len, extra, &need) || __builtin_add_overflow(need, 1, &need)) {
        (void)fprintf(stderr, "out of memory (buffer of %zu and %zu bytes)\n", b->len, extra);
        abort();
    }
    if (need <= b->capacity)
        return;
    size_t capacity = b->capacity < 64 ? 64 : b->capacity;
    while (capacity < need)
        capacity = capacity > SIZE_MAX / 2 ? need : capacity * 2;
    b->data = ebb_realloc_array(b->data, capacity, 1);
    b->capacity = capacity;
    b->data[b->len] = 0;
}

void ebb_buffer_append(struct ebb_buffer *b, const void *data, size_t len)
{
    ebb_buffer_reserve(b, len);
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = 0;
}

void ebb_buffer_append_text(struct ebb_buffer *b, const char *text)
{
    ebb_buffer_append(b, text, strlen(text));
}

void ebb_buffer_printf(struct ebb_buffer *b, const char *fmt, ...)
{
    ebb_buffer_reserve(b, 128);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf((char *)b->data + b->len, b->capacity - b->len, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n >= b->capacity - b->len) {
        b->data[b->len] = 0;
        ebb_buffer_reserve(b, (size_t)n);
        va_start(ap, fmt);
        n = vsnprintf((char *)b->data + b->len, b->capacity - b->len, fmt, ap);
        va_end(ap);
    }
    if (n > 0)
        b->len += (size_t)n;
    b->data[b->len] = 0;
}

const char *ebb_buffer_text(const struct ebb_buffer *b)
{
    return b->data == NULL ? "" : (const char *)b->data;
}

char *ebb_buffer_take_text(struct ebb_buffer *b)
{
    ebb_buffer_reserve(b, 0);
    char *text = (char *)b->data;
    *b = (struct ebb_buffer){0};
    return text;
}
