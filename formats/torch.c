/* PyTorch's archives (torch.save since 1.6): a zip with <top>/data.pkl, which names the tensors,
 * and a stored member <top>/data/<key> for each storage, aligned to 64 bytes; <top>/byteorder says
 * which way round, since 2.1. The pickle is looked at, never executed (formats/pickle.h). Files of
 * the older kind, a pickle without a zip, are not recognised and stay plain bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/memory.h"
#include "formats/pickle.h"
#include "formats/scanners.h"
#include "formats/tensor_range.h"
#include "formats/zip_members.h"

#define MAX_MEMBERS ((uint64_t)1 << 20)
#define MAX_PICKLE  ((uint64_t)16 << 20)

EBB_DEFINE_AUTO_PTR(auto_zip, struct ebb_zip, ebb_zip_close)
EBB_DEFINE_AUTO_PTR(auto_map, struct ebb_map, ebb_map_destroy)

static bool ends_with(const char *text, const char *ending)
{
    size_t n = strlen(text), m = strlen(ending);
    return n >= m && strcmp(text + n - m, ending) == 0;
}

/* data.pkl, byteorder, and the name of the top folder with its slash. */
struct archive {
    struct ebb_zip *zip;
    struct ebb_zip_member pickle;
    bool has_pickle, big_endian;
    size_t top;
};

static void find_pickle(struct archive *a, uint64_t count)
{
    for (uint64_t i = 0; i < count && !a->has_pickle; i++)
        if (ebb_zip_member(a->zip, i, &a->pickle) && ends_with(a->pickle.name, "/data.pkl")) {
            a->has_pickle = true;
            a->top = strlen(a->pickle.name) - strlen("data.pkl");
        }
}

/* What follows the top folder's name, NULL for members outside it. */
static const char *below_top(const struct archive *a, const struct ebb_zip_member *member)
{
    return strncmp(member->name, a->pickle.name, a->top) == 0 ? member->name + a->top : NULL;
}

static void find_byte_order(struct archive *a, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct ebb_zip_member member;
        char order[8];
        size_t len;
        if (!ebb_zip_member(a->zip, i, &member) || below_top(a, &member) == NULL ||
            strcmp(below_top(a, &member), "byteorder") != 0 ||
            !ebb_zip_read(a->zip, &member, order, sizeof order, &len))
            continue;
        a->big_endian = len >= 3 && memcmp(order, "big", 3) == 0;
    }
}

static int read_pickle(const struct archive *a, struct ebb_pickle_storages *ret)
{
    if (a->pickle.size > MAX_PICKLE)
        return 0;
    EBB_AUTO_FREE uint8_t *bytes = malloc((size_t)a->pickle.size + 1);
    size_t len;
    if (bytes != NULL && ebb_zip_read(a->zip, &a->pickle, bytes, (size_t)a->pickle.size, &len))
        ebb_pickle_scan(bytes, len, ret);
    return 0;
}

/* By key; the first of a key that has a name is the one. */
static struct ebb_map *by_key(const struct ebb_pickle_storages *storages)
{
    struct ebb_map *map = ebb_map_new(NULL);
    for (size_t i = 0; i < storages->count; i++) {
        struct ebb_pickle_storage *s = &storages->items[i], *before = ebb_map_get(map, s->key);
        if (before == NULL || (before->name[0] == 0 && s->name[0] != 0))
            ebb_map_set(map, s->key, s);
    }
    return map;
}

static bool range_of(struct archive *a, const struct ebb_map *storages,
                     const struct ebb_zip_member *member, struct ebb_range *ret)
{
    const char *name = below_top(a, member);
    if (name == NULL || strncmp(name, "data/", 5) != 0 || !member->stored || member->size == 0)
        return false;
    const struct ebb_pickle_storage *s = ebb_map_get(storages, name + 5);
    if (s == NULL || !s->known)
        return false;
    size_t size = ebb_dtype_size(s->dtype);
    struct ebb_range range = {.len = member->size / size * size,
                              .dtype = s->dtype,
                              .big_endian = a->big_endian,
                              .rows = member->size / size,
                              .columns = 1,
                              .role = ebb_tensor_role_of(s->name),
                              .name = s->name};
    if (range.rows == s->elements && s->rows > 1) {
        range.rows = s->rows;
        range.columns = s->columns;
    }
    if (!ebb_zip_offset(a->zip, member, &range.offset))
        return false;
    *ret = range;
    return true;
}

static int by_offset(const void *a, const void *b)
{
    const struct ebb_range *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

int ebb_torch_scan(const struct ebb_random_source *source, ebb_range_fn *found, void *ctx,
                   struct ebb_error *err)
{
    EBB_AUTO(auto_zip) struct ebb_zip *zip = NULL;
    EBB_AUTO(ebb_pickle_storages_clean_up) struct ebb_pickle_storages storages = {0};
    int rc = ebb_zip_open(source, &zip, err);
    if (rc < 0 || zip == NULL)
        return rc;
    struct archive a = {.zip = zip};
    uint64_t count = ebb_zip_count(zip);
    if (count > MAX_MEMBERS)
        return 0;
    find_pickle(&a, count);
    if (!a.has_pickle)
        return ebb_zip_failure(zip, err);
    find_byte_order(&a, count);
    rc = read_pickle(&a, &storages);
    EBB_AUTO(auto_map) struct ebb_map *map = by_key(&storages);
    EBB_AUTO_FREE struct ebb_range *ranges = ebb_alloc_array((size_t)count + 1, sizeof *ranges);
    size_t n = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct ebb_zip_member member;
        if (ebb_zip_member(zip, i, &member) && range_of(&a, map, &member, &ranges[n]))
            n++;
    }
    qsort(ranges, n, sizeof *ranges, by_offset);
    if (rc == 0)
        rc = ebb_zip_failure(zip, err);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = found(ctx, &ranges[i], err);
    return rc;
}
