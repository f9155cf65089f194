/* A map from bag to the answer that holds its spec; an unknown bag is remembered, too. */
#include "cli/spec_cache.h"

#include "base/map.h"

struct ebb_spec_cache {
    struct ebb_client *client;
    struct ebb_map *answers; /* bag -> Ebb__ClientAnswer */
    struct ebb_map *unknown; /* bag -> itself */
};

static void destroy_answer(void *p)
{
    ebb_answer_destroy(p);
}

struct ebb_spec_cache *ebb_spec_cache_new(struct ebb_client *client)
{
    struct ebb_spec_cache *c = ebb_alloc(sizeof(*c));
    c->client = client;
    c->answers = ebb_map_new(destroy_answer);
    c->unknown = ebb_map_new(NULL);
    return c;
}

void ebb_spec_cache_destroy(struct ebb_spec_cache *c)
{
    if (c == NULL)
        return;
    ebb_map_destroy(c->answers);
    ebb_map_destroy(c->unknown);
    free(c);
}

const Ebb__BagSpec *ebb_spec_cache_get(void *cache, const char *bag)
{
    struct ebb_spec_cache *c = cache;
    Ebb__ClientAnswer *a = ebb_map_get(c->answers, bag);
    if (a != NULL)
        return a->spec->spec;
    if (ebb_map_get(c->unknown, bag) != NULL)
        return NULL;
    if (ebb_ask_spec(c->client, bag, &a, NULL) < 0) {
        ebb_map_set(c->unknown, bag, c);
        return NULL;
    }
    ebb_map_set(c->answers, bag, a);
    return a->spec->spec;
}
