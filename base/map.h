/* A hash map from strings to pointers (open addressing; keys are copied). Iteration order is
 * insertion order, so that what is derived from a map is deterministic. */
#ifndef EBB_BASE_MAP_H
#define EBB_BASE_MAP_H

#include <stddef.h>

struct ebb_map;

struct ebb_map *ebb_map_new(void (*destroy_value)(void *)); /* NULL: values are borrowed */
void ebb_map_destroy(struct ebb_map *m);
void *ebb_map_get(const struct ebb_map *m, const char *key);       /* NULL when absent */
void ebb_map_set(struct ebb_map *m, const char *key, void *value); /* replaces, destroys old */
void *ebb_map_take(struct ebb_map *m, const char *key);            /* remove, hand over */
void ebb_map_remove(struct ebb_map *m, const char *key);           /* remove, destroy */
size_t ebb_map_count(const struct ebb_map *m);
/* *cursor starts at 0; returns the key and *ret_value, or NULL at the end. Removing the entry just
 * returned is allowed; adding is not. */
const char *ebb_map_next(const struct ebb_map *m, size_t *cursor, void **ret_value);
/* A key of several texts, divided by `between` and cut off at the size. Returns `out`. */
const char *ebb_map_key(char *out, size_t size, char between, const char *const *parts,
                        size_t count);

#endif
