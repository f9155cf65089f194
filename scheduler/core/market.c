/* Prices and refusals by offer. Keys are text ("zone/type/market"), so that what the log
 * says of an offer is found again whatever list of offers the cloud gives today. */
#include "scheduler/core/market.h"

#include <string.h>

#include "base/map.h"
#include "base/memory.h"

#define KEY_SIZE 160

#define LATELY 1024

/* Whoever asks again mostly asks with the same texts: where they stand says where to look first. */
struct known {
    struct ebb_market_entry *entry; /* NULL: nobody has asked */
    char key[KEY_SIZE];
};

struct ebb_market {
    struct ebb_map *entries; /* "zone/type/market" */
    struct known *lately;
    int64_t revoked_wall_ns;
};

static void entry_destroy(void *p)
{
    struct ebb_market_entry *e = p;
    free(e->prices);
    free(e);
}

struct ebb_market *ebb_market_new(void)
{
    struct ebb_market *m = ebb_alloc(sizeof *m);
    m->entries = ebb_map_new(entry_destroy);
    m->lately = ebb_alloc_array(LATELY, sizeof *m->lately);
    return m;
}

void ebb_market_destroy(struct ebb_market *m)
{
    if (m == NULL)
        return;
    ebb_map_destroy(m->entries);
    free(m->lately);
    free(m);
}

static const char *entry_key(char *out, const char *zone, const char *type, Ebb__Market market)
{
    const char *const parts[] = {zone, type,
                                 market == EBB__MARKET__ON_DEMAND ? "on-demand" : "spot"};
    return ebb_map_key(out, KEY_SIZE, '/', parts, 3);
}

/* Compared without writing it down. A key that was cut off is none. */
static bool is_key(const char *key, const char *zone, const char *type, Ebb__Market market)
{
    size_t zone_len = strlen(zone), type_len = strlen(type);
    if (zone_len + type_len + sizeof "//on-demand" > KEY_SIZE || memcmp(key, zone, zone_len) != 0 ||
        key[zone_len] != '/' || memcmp(key + zone_len + 1, type, type_len) != 0)
        return false;
    return strcmp(key + zone_len + 1 + type_len,
                  market == EBB__MARKET__ON_DEMAND ? "/on-demand" : "/spot") == 0;
}

static struct ebb_market_entry *make(struct ebb_map *map, const char *key)
{
    struct ebb_market_entry *e = ebb_map_get(map, key);
    if (e == NULL) {
        e = ebb_alloc(sizeof *e);
        ebb_map_set(map, key, e);
    }
    return e;
}

struct ebb_market_entry *ebb_market_entry(struct ebb_market *m, const Ebb__Offer *offer)
{
    char key[KEY_SIZE];
    return make(m->entries, entry_key(key, offer->zone, offer->type, offer->market));
}

const struct ebb_market_entry *ebb_market_find(const struct ebb_market *m, const char *zone,
                                               const char *type, Ebb__Market market)
{
    uint64_t at = ((uint64_t)(uintptr_t)zone * UINT64_C(0x9e3779b97f4a7c15)) ^
                  ((uint64_t)(uintptr_t)type * UINT64_C(0xbf58476d1ce4e5b9)) ^
                  ((uint64_t)market * UINT64_C(0x94d049bb133111eb));
    struct known *k = &m->lately[(at >> 40) % LATELY];
    if (k->entry != NULL && is_key(k->key, zone, type, market))
        return k->entry;
    char key[KEY_SIZE];
    struct ebb_market_entry *e = ebb_map_get(m->entries, entry_key(key, zone, type, market));
    if (e != NULL) { /* entries stay */
        k->entry = e;
        memcpy(k->key, key, sizeof key);
    }
    return e;
}

int64_t ebb_market_revoked_wall_ns(const struct ebb_market *m)
{
    return m->revoked_wall_ns;
}

const struct ebb_market_entry *ebb_market_next(const struct ebb_market *m, size_t *cursor,
                                               const char **ret_key)
{
    void *value = NULL;
    const char *key = ebb_map_next(m->entries, cursor, &value);
    if (ret_key != NULL)
        *ret_key = key;
    return key == NULL ? NULL : value;
}

void ebb_market_observe(struct ebb_market *m, const Ebb__PricePoint *p)
{
    char key[KEY_SIZE];
    struct ebb_market_entry *e = make(m->entries, entry_key(key, p->zone, p->type, p->market));
    size_t at = e->price_count;
    while (at > 0 && e->prices[at - 1].from_wall_ns > p->from_wall_ns)
        at--;
    if (at > 0 && e->prices[at - 1].from_wall_ns == p->from_wall_ns) {
        e->prices[at - 1].usd_micros_per_hour = p->usd_micros_per_hour;
        return;
    }
    if (e->price_count == e->price_capacity) {
        e->price_capacity = e->price_capacity == 0 ? 8 : e->price_capacity * 2;
        e->prices = ebb_realloc_array(e->prices, e->price_capacity, sizeof *e->prices);
    }
    memmove(e->prices + at + 1, e->prices + at, (e->price_count - at) * sizeof *e->prices);
    e->prices[at] = (struct ebb_price){p->from_wall_ns, p->usd_micros_per_hour};
    e->price_count++;
}

void ebb_market_launched(struct ebb_market *m, const Ebb__Offer *offer)
{
    struct ebb_market_entry *e = ebb_market_entry(m, offer);
    e->refusals = 0;
    e->granted++;
}

void ebb_market_revoked(struct ebb_market *m, const Ebb__Offer *offer, int64_t wall_ns)
{
    if (offer->market == EBB__MARKET__ON_DEMAND)
        return;
    ebb_market_entry(m, offer)->revoked_wall_ns = wall_ns;
    m->revoked_wall_ns = wall_ns;
}

void ebb_market_refused(struct ebb_market *m, const Ebb__Offer *offer, int64_t wall_ns, int code)
{
    struct ebb_market_entry *e = ebb_market_entry(m, offer);
    e->refusals++;
    e->granted = 0;
    e->refused_wall_ns = wall_ns;
    e->refused_code = code;
}
