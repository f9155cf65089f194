/* Small allocations. There is nothing sensible to do without a few hundred bytes, so these abort
 * with a message; large or outside-controlled sizes go through bounded pools instead. */
#include "base/memory.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

__attribute__((noreturn)) static void out_of_memory(size_t count, size_t size)
{
    (void)fprintf(stderr, "out of memory (%zu x %zu bytes)\n", count, size);
    abort();
}

void *ebb_alloc(size_t bytes)
{
    return ebb_alloc_array(1, bytes);
}

void *ebb_alloc_array(size_t count, size_t size)
{
    /* calloc checks the product; it may return NULL for nothing, which is no failure. */
    void *p = calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);
    if (p == NULL)
        out_of_memory(count, size);
    return p;
}

void *ebb_realloc_array(void *p, size_t count, size_t size)
{
    void *q = reallocarray(p, count == 0 ? 1 : count, size == 0 ? 1 : size);
    if (q == NULL)
        out_of_memory(count, size);
    return q;
}

char *ebb_strdup(const char *s)
{
    return s == NULL ? NULL : ebb_strndup(s, strlen(s));
}

char *ebb_strndup(const char *s, size_t len)
{
    if (s == NULL)
        return NULL;
    len = strnlen(s, len);
    if (len == SIZE_MAX)
        out_of_memory(1, len);
    char *copy = ebb_alloc(len + 1);
    memcpy(copy, s, len);
    return copy;
}

char *ebb_sprintf(const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        out_of_memory(1, strlen(fmt));
    return text;
}

void *ebb_memdup(const void *p, size_t bytes)
{
    void *copy = ebb_alloc(bytes);
    if (bytes > 0)
        memcpy(copy, p, bytes);
    return copy;
}

void ebb_free_ptr(void *pp)
{
    void *p;
    memcpy(&p, pp, sizeof(p));
    free(p);
}

void ebb_memory_keep(void)
{
    mallopt(M_MMAP_THRESHOLD, 32 << 20); /* the most that glibc takes */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
}
