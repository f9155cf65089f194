/* The cells of hazards.h and how a place finds its own. Texts are compared once for a place: a node
 * remembers its cells, so that a plan of thousands of offers asks by pointers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/core/hazards_cell.h"

#define KEY_SIZE 256

static void cell_destroy(void *p)
{
    struct ebb_hazard_cell *c = p;
    free(c->provider);
    free(c->region);
    free(c->zone);
    free(c->type);
    free(c->blocks);
    free(c);
}

static void node_destroy(void *p)
{
    struct ebb_hazard_node *n = p;
    for (int i = 0; i < 4; i++)
        free(n->key[i]);
    free(n);
}

struct ebb_hazards *ebb_hazards_new(double half_life_s)
{
    struct ebb_hazards *h = ebb_alloc(sizeof *h);
    h->half_life_s = half_life_s > 0 ? half_life_s : 0;
    h->time_scale = 1;
    h->shape = h->changes = 1;
    h->cells = ebb_map_new(cell_destroy);
    h->nodes = ebb_map_new(node_destroy);
    h->lately = ebb_alloc_array(EBB_HAZARD_LATELY, sizeof(struct ebb_hazard_node *));
    return h;
}

void ebb_hazards_destroy(struct ebb_hazards *h)
{
    if (h == NULL)
        return;
    ebb_map_destroy(h->cells);
    ebb_map_destroy(h->nodes);
    free(h->lately);
    free(h);
}

static const char *text(const char *s)
{
    return s == NULL ? "" : s;
}

static const char *key_of(char out[KEY_SIZE], const char *rate, const struct ebb_place *p)
{
    const char *const parts[] = {rate, text(p->provider), text(p->region), text(p->zone),
                                 text(p->type)};
    return ebb_map_key(out, KEY_SIZE, '\t', parts, sizeof parts / sizeof *parts);
}

static const char *cell_key(char out[KEY_SIZE], enum ebb_rate r, const struct ebb_place *p)
{
    return key_of(out, r == EBB_RATE_REVOCATION ? "0" : "1", p);
}

const struct ebb_hazard_cell *ebb_hazards_cell(const struct ebb_hazards *h, enum ebb_rate r,
                                               const struct ebb_place *p)
{
    char key[KEY_SIZE];
    return ebb_map_get(h->cells, cell_key(key, r, p));
}

struct ebb_hazard_cell *ebb_hazards_make_cell(struct ebb_hazards *h, enum ebb_rate r,
                                              const struct ebb_place *p)
{
    char key[KEY_SIZE];
    struct ebb_hazard_cell *c = ebb_map_get(h->cells, cell_key(key, r, p));
    if (c == NULL) {
        c = ebb_alloc(sizeof *c);
        c->rate = r;
        c->provider = ebb_strdup(text(p->provider));
        c->region = ebb_strdup(text(p->region));
        c->zone = ebb_strdup(text(p->zone));
        c->type = ebb_strdup(text(p->type));
        ebb_map_set(h->cells, key, c);
        h->shape++;
        h->changes++;
    }
    return c;
}

int ebb_hazards_levels(const struct ebb_place *p, struct ebb_place ret[EBB_HAZARD_LEVELS])
{
    ret[0] = (struct ebb_place){NULL, NULL, NULL, NULL};
    ret[1] = (struct ebb_place){.provider = p->provider, .type = p->type};
    ret[2] = (struct ebb_place){.provider = p->provider, .region = p->region, .type = p->type};
    ret[3] = *p;
    if (text(p->type)[0] == '\0')
        return 1;
    if (text(p->region)[0] == '\0')
        return 2;
    return text(p->zone)[0] == '\0' ? 3 : 4;
}

/* What was set for the nearest level, else what the source tells, else the built-in one. */
static double prior_of(const struct ebb_hazards *h, const struct ebb_hazard_node *n,
                       const struct ebb_place *p)
{
    for (int i = n->levels; i-- > 0;) {
        const struct ebb_hazard_cell *c = n->at[EBB_RATE_REVOCATION][i];
        if (c != NULL && c->prior_per_hour > 0)
            return c->prior_per_hour;
    }
    double known = h->prior_fn != NULL ? h->prior_fn(h->prior_source, p) : 0;
    return known > 0 && isfinite(known) ? known : EBB_HAZARD_DEFAULT_PER_HOUR;
}

static void fill_node(const struct ebb_hazards *h, const struct ebb_place *p,
                      struct ebb_hazard_node *n)
{
    struct ebb_place level[EBB_HAZARD_LEVELS];
    /* the zone whatever the type: it remembers revocations, and sums nothing */
    const struct ebb_place zone = {.provider = p->provider, .region = p->region, .zone = p->zone};
    char key[KEY_SIZE];
    n->of = h->shape;
    n->levels = ebb_hazards_levels(p, level);
    for (int r = 0; r < EBB_RATES; r++) {
        for (int i = 0; i < n->levels; i++)
            n->at[r][i] = ebb_map_get(h->cells, cell_key(key, (enum ebb_rate)r, &level[i]));
    }
    n->own = ebb_map_get(h->cells, cell_key(key, EBB_RATE_REVOCATION, p));
    n->zone = ebb_map_get(h->cells, cell_key(key, EBB_RATE_REVOCATION, &zone));
    n->prior_per_hour = prior_of(h, n, p);
}

static bool is_of(const struct ebb_hazard_node *n, const struct ebb_place *p)
{
    return strcmp(n->key[3], text(p->type)) == 0 && strcmp(n->key[2], text(p->zone)) == 0 &&
           strcmp(n->key[1], text(p->region)) == 0 && strcmp(n->key[0], text(p->provider)) == 0;
}

static struct ebb_hazard_node *find_node(const struct ebb_hazards *h, const struct ebb_place *p)
{
    char key[KEY_SIZE];
    struct ebb_hazard_node *n = ebb_map_get(h->nodes, key_of(key, "", p));
    if (n != NULL)
        return n;
    const char *const parts[] = {p->provider, p->region, p->zone, p->type};
    n = ebb_alloc(sizeof *n);
    for (int i = 0; i < 4; i++)
        n->key[i] = ebb_strdup(text(parts[i]));
    ebb_map_set(h->nodes, key, n);
    return n;
}

/* Whoever asks again mostly asks with the same texts: where they stand says where to look first. */
struct ebb_hazard_node *ebb_hazards_node(const struct ebb_hazards *h, const struct ebb_place *p)
{
    uint64_t at = (uint64_t)(uintptr_t)p->zone * UINT64_C(0x9e3779b97f4a7c15) ^
                  (uint64_t)(uintptr_t)p->type * UINT64_C(0xbf58476d1ce4e5b9);
    struct ebb_hazard_node **lately = &h->lately[(at >> 40) % EBB_HAZARD_LATELY];
    if (*lately == NULL || !is_of(*lately, p))
        *lately = find_node(h, p);
    if ((*lately)->of != h->shape)
        fill_node(h, p, *lately);
    return *lately;
}
