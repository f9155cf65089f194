/* NumPy's archives: a zip of .npy files. The stored ones hold a range each (numpy.savez); deflated
 * ones (savez_compressed) stay plain bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "formats/npy.h"
#include "formats/scanners.h"
#include "formats/tensor_range.h"
#include "formats/zip_members.h"

#define MAX_MEMBERS ((uint64_t)1 << 20)

EBB_DEFINE_AUTO_PTR(auto_zip, struct ebb_zip, ebb_zip_close)

struct found {
    struct ebb_range range;
    char *name; /* without ".npy" */
};

struct list {
    struct found *items;
    size_t n;
};

static void clean_list(struct list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->items[i].name);
    free(l->items);
}

static int look_at(const struct ebb_random_source *source, struct ebb_zip *zip,
                   const struct ebb_zip_member *member, struct list *list, struct ebb_error *err)
{
    size_t name = strlen(member->name);
    uint64_t start;
    if (!member->stored || member->size == 0 || name < 4 ||
        strcmp(member->name + name - 4, ".npy") != 0 || !ebb_zip_offset(zip, member, &start) ||
        start > source->size || member->size > source->size - start)
        return 0;
    size_t len = member->size < EBB_NPY_HEADER_MAX ? (size_t)member->size : EBB_NPY_HEADER_MAX;
    EBB_AUTO_FREE uint8_t *head = ebb_alloc(len);
    int rc = source->read_at(source->ctx, start, head, len, err);
    if (rc < 0)
        return rc;
    struct found item = {.name = NULL};
    if (!ebb_npy_read_header(head, len, member->size, &item.range))
        return 0;
    item.range.offset += start;
    item.name = ebb_strndup(member->name, name - 4);
    item.range.role = ebb_tensor_role_of(item.name);
    list->items[list->n++] = item;
    return 0;
}

static int by_offset(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return x->range.offset < y->range.offset ? -1 : x->range.offset > y->range.offset;
}

int ebb_npz_scan(const struct ebb_random_source *source, ebb_range_fn *found, void *ctx,
                 struct ebb_error *err)
{
    EBB_AUTO(auto_zip) struct ebb_zip *zip = NULL;
    EBB_AUTO(clean_list) struct list list = {0};
    int rc = ebb_zip_open(source, &zip, err);
    if (rc < 0 || zip == NULL)
        return rc;
    uint64_t count = ebb_zip_count(zip);
    if (count > MAX_MEMBERS)
        return 0;
    list.items = ebb_alloc_array((size_t)count + 1, sizeof *list.items);
    for (uint64_t i = 0; i < count && rc == 0; i++) {
        struct ebb_zip_member member;
        if (ebb_zip_member(zip, i, &member))
            rc = look_at(source, zip, &member, &list, err);
        if (rc == 0)
            rc = ebb_zip_failure(zip, err);
    }
    qsort(list.items, list.n, sizeof *list.items, by_offset);
    for (size_t i = 0; i < list.n && rc == 0; i++) {
        list.items[i].range.name = list.items[i].name;
        rc = found(ctx, &list.items[i].range, err);
    }
    return rc;
}
