/* A hash map that keeps insertion order: entries stand in an array in the order they came, and an
 * open-addressing table holds indices into it. Removal leaves a hole in the array (so that a
 * cursor stays valid) and a tombstone in the table; both go at the next growth.
 *
 *     slots   [ 2 | - | 0 | x | 1 ]      x: tombstone
 *     entries [ a | b | c | (hole) | ... ]
 */
#include "base/map.h"

#include <stdint.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"

#define SLOT_FREE      SIZE_MAX
#define SLOT_TOMBSTONE (SIZE_MAX - 1)

struct entry {
    char *key; /* NULL: a hole */
    void *value;
    uint64_t hash;
};

struct ebb_map {
    void (*destroy_value)(void *);
    struct entry *entries;
    size_t entries_used; /* holes included */
    size_t entries_capacity;
    size_t count;
    size_t *slots;
    size_t slots_count; /* a power of two, or 0 */
    size_t slots_used;  /* tombstones included */
    uint64_t seed;
};

/* FNV-1a with a secret start and a final mix: keys come from outside, and a sender who can choose
 * colliding ones would make each look-up walk the table. */
static uint64_t hash_key(const struct ebb_map *m, const char *key)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ m->seed;
    for (const unsigned char *p = (const unsigned char *)key; *p != '\0'; p++) {
        h = (h ^ *p) * UINT64_C(0x100000001b3);
        h ^= h >> 29;
    }
    h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    return h ^ (h >> 33);
}

struct ebb_map *ebb_map_new(void (*destroy_value)(void *))
{
    struct ebb_map *m = ebb_alloc(sizeof(*m));
    m->destroy_value = destroy_value;
    ebb_random_secret(&m->seed, sizeof(m->seed));
    return m;
}

static void destroy_value(struct ebb_map *m, void *value)
{
    if (m->destroy_value != NULL && value != NULL)
        m->destroy_value(value);
}

void ebb_map_destroy(struct ebb_map *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < m->entries_used; i++) {
        if (m->entries[i].key == NULL)
            continue;
        free(m->entries[i].key);
        destroy_value(m, m->entries[i].value);
    }
    free(m->entries);
    free(m->slots);
    free(m);
}

/* The slot that holds `key`, or SLOT_FREE when there is none. */
static size_t find_slot(const struct ebb_map *m, const char *key, uint64_t hash)
{
    if (m->slots_count == 0)
        return SLOT_FREE;
    size_t mask = m->slots_count - 1;
    for (size_t s = (size_t)hash & mask;; s = (s + 1) & mask) {
        size_t at = m->slots[s];
        if (at == SLOT_FREE)
            return SLOT_FREE;
        if (at != SLOT_TOMBSTONE && m->entries[at].hash == hash &&
            strcmp(m->entries[at].key, key) == 0)
            return s;
    }
}

static void insert_slot(struct ebb_map *m, uint64_t hash, size_t at)
{
    size_t mask = m->slots_count - 1;
    size_t s = (size_t)hash & mask;
    while (m->slots[s] != SLOT_FREE)
        s = (s + 1) & mask;
    m->slots[s] = at;
    m->slots_used++;
}

/* Closes the holes and rebuilds the table with room for as many entries again. */
static void rebuild(struct ebb_map *m)
{
    size_t used = 0;
    for (size_t i = 0; i < m->entries_used; i++)
        if (m->entries[i].key != NULL)
            m->entries[used++] = m->entries[i];
    m->entries_used = used;
    size_t slots = 16;
    while (slots < (m->count + 1) * 4)
        slots *= 2;
    free(m->slots);
    m->slots = ebb_alloc_array(slots, sizeof(*m->slots));
    memset(m->slots, 0xff, slots * sizeof(*m->slots));
    m->slots_count = slots;
    m->slots_used = 0;
    for (size_t i = 0; i < used; i++)
        insert_slot(m, m->entries[i].hash, i);
}

void *ebb_map_get(const struct ebb_map *m, const char *key)
{
    size_t s = find_slot(m, key, hash_key(m, key));
    return s == SLOT_FREE ? NULL : m->entries[m->slots[s]].value;
}

void ebb_map_set(struct ebb_map *m, const char *key, void *value)
{
    uint64_t hash = hash_key(m, key);
    size_t s = find_slot(m, key, hash);
    if (s != SLOT_FREE) {
        struct entry *e = &m->entries[m->slots[s]];
        void *old = e->value;
        e->value = value;
        if (old != value)
            destroy_value(m, old);
        return;
    }
    if ((m->slots_used + 1) * 2 > m->slots_count)
        rebuild(m);
    if (m->entries_used == m->entries_capacity) {
        m->entries_capacity = m->entries_capacity == 0 ? 8 : m->entries_capacity * 2;
        m->entries = ebb_realloc_array(m->entries, m->entries_capacity, sizeof(*m->entries));
    }
    m->entries[m->entries_used] = (struct entry){ebb_strdup(key), value, hash};
    insert_slot(m, hash, m->entries_used++);
    m->count++;
}

void *ebb_map_take(struct ebb_map *m, const char *key)
{
    size_t s = find_slot(m, key, hash_key(m, key));
    if (s == SLOT_FREE)
        return NULL;
    struct entry *e = &m->entries[m->slots[s]];
    m->slots[s] = SLOT_TOMBSTONE;
    m->count--;
    free(e->key);
    e->key = NULL;
    return EBB_TAKE(e->value);
}

void ebb_map_remove(struct ebb_map *m, const char *key)
{
    destroy_value(m, ebb_map_take(m, key));
}

size_t ebb_map_count(const struct ebb_map *m)
{
    return m->count;
}

const char *ebb_map_next(const struct ebb_map *m, size_t *cursor, void **ret_value)
{
    while (*cursor < m->entries_used) {
        const struct entry *e = &m->entries[(*cursor)++];
        if (e->key == NULL)
            continue;
        if (ret_value != NULL)
            *ret_value = e->value;
        return e->key;
    }
    return NULL;
}

const char *ebb_map_key(char *out, size_t size, char between, const char *const *parts,
                        size_t count)
{
    char *to = out, *end = out + size - 1;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && to < end)
            *to++ = between;
        for (const char *from = parts[i]; *from != '\0' && to < end; from++)
            *to++ = *from;
    }
    *to = '\0';
    return out;
}
