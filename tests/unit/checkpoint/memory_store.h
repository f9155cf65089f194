/* An object store in memory, with S3's rules and faults on demand: lost answers, late requests,
 * refusals, torn objects. ETags depend on the content alone, as S3's do, so that a head which could
 * come back byte for byte would show as an ABA. */
#ifndef EBB_TEST_MEMORY_STORE_H
#define EBB_TEST_MEMORY_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "cloud/object_store.h"

struct memory_store;

struct memory_store *memory_store_new(void);
void memory_store_destroy(struct memory_store *m);
struct ebb_object_store *
memory_store_handle(struct memory_store *m); /* never destroyed by itself */

/* The store's clock; every change of an object moves it by a millisecond. */
void memory_store_advance(struct memory_store *m, double s);

enum memory_fault {
    MEMORY_REFUSE,      /* not done; EBB_ERR_UNAVAILABLE */
    MEMORY_LOSE_BEFORE, /* not done; EBB_ERR_TIMEOUT */
    MEMORY_LOSE_AFTER,  /* done; EBB_ERR_TIMEOUT */
    MEMORY_DELAY,       /* not done now, EBB_ERR_TIMEOUT; memory_store_deliver does it */
    MEMORY_UNDECIDED,   /* not done; EBB_ERR_CONFLICT */
    MEMORY_DENY,        /* not done; EBB_ERR_DENIED */
};
/* The n-th put (from 1, counted from this call on) of a key that contains `part`, and the `count`
 * - 1 after it, go wrong. One fault at a time. */
void memory_store_fail_put(struct memory_store *m, const char *part, unsigned n, unsigned count,
                           enum memory_fault fault);
void memory_store_fail_get(struct memory_store *m, const char *part, unsigned n, unsigned count,
                           enum memory_fault fault);
void memory_store_heal(struct memory_store *m);
/* Lets the delayed puts arrive, in order. Returns how many of them took effect. */
unsigned memory_store_deliver(struct memory_store *m);

/* Before each put: fn(ctx, key); may call the store's other handles. NULL: none. */
void memory_store_on_put(struct memory_store *m, void (*fn)(void *ctx, const char *key), void *ctx);

/* The bytes of an object, to look at or to damage; NULL when absent. */
struct ebb_buffer *memory_store_object(struct memory_store *m, const char *key);
/* First key that contains `part`, or NULL; `n` skips matches. Valid until the next change. */
const char *memory_store_find(struct memory_store *m, const char *part, unsigned n);
size_t memory_store_count(struct memory_store *m, const char *part);
void memory_store_remove(struct memory_store *m, const char *key);

#endif
