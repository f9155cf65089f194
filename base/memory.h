/* Ownership: scope-bound clean-up, and small allocations that abort when memory is out. */
#ifndef EBB_BASE_MEMORY_H
#define EBB_BASE_MEMORY_H

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/error.h"

/* `EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};` calls ebb_buffer_clean_up(&b) at the
 * end of the scope. For pointers use a destroyer that takes a pointer to the pointer; EBB_DEFINE_
 * AUTO_PTR makes one. */
#define EBB_AUTO(fn) __attribute__((cleanup(fn)))
/* Hand over: yields p and leaves NULL behind. */
#define EBB_TAKE(p)                                                                                \
    ({                                                                                             \
        __typeof__(p) ebb_taken_ = (p);                                                            \
        (p) = NULL;                                                                                \
        ebb_taken_;                                                                                \
    })
/* Defines `static inline void name(type **p)` that calls destroy(*p). */
#define EBB_DEFINE_AUTO_PTR(name, type, destroy)                                                   \
    static inline void name(type **p)                                                              \
    {                                                                                              \
        if (*p != NULL)                                                                            \
            destroy(*p);                                                                           \
    }

#define EBB_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* These abort when memory is out: small allocations only, never sizes from the network. */
void *ebb_alloc(size_t bytes);                    /* zeroed */
void *ebb_alloc_array(size_t count, size_t size); /* zeroed, overflow-checked */
void *ebb_realloc_array(void *p, size_t count, size_t size);
char *ebb_strdup(const char *s); /* NULL gives NULL */
char *ebb_strndup(const char *s, size_t len);
char *ebb_sprintf(const char *fmt, ...) EBB_PRINTF(1, 2); /* caller frees */
void *ebb_memdup(const void *p, size_t bytes);
void ebb_free_ptr(void *pp); /* for EBB_AUTO on any malloc'ed pointer: free(*(void **)pp) */

/* For programs that take large blocks again and again and then end: what they free stays with the
 * process, so that the next block is not touched for the first time, page by page. */
void ebb_memory_keep(void);

#define EBB_AUTO_FREE EBB_AUTO(ebb_free_ptr)

#endif
