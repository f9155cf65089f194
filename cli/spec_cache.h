/* The specs of the bags that a command meets, asked for once. */
#ifndef EBB_CLI_SPEC_CACHE_H
#define EBB_CLI_SPEC_CACHE_H

#include "cli/client.h"

struct ebb_spec_cache;

struct ebb_spec_cache *ebb_spec_cache_new(struct ebb_client *client); /* borrowed */
void ebb_spec_cache_destroy(struct ebb_spec_cache *c);
EBB_DEFINE_AUTO_PTR(ebb_spec_cache_auto, struct ebb_spec_cache, ebb_spec_cache_destroy)
/* Owned by the cache; NULL when the scheduler does not know the bag. `cache` is a struct
 * ebb_spec_cache (the form that ebb_event_names_new wants). */
const Ebb__BagSpec *ebb_spec_cache_get(void *cache, const char *bag);

#endif
