/* Bag sources for tests: files from a table. */
#ifndef EBB_TESTS_CORE_SOURCES_H
#define EBB_TESTS_CORE_SOURCES_H

#include <string.h>

#include "base/memory.h"
#include "scheduler/core/bag.h"

struct test_file {
    const char *path, *text;
};

static inline char *test_read_file(void *ctx, const char *path, size_t *ret_len,
                                   struct ebb_error *err)
{
    for (const struct test_file *f = ctx; f != NULL && f->path != NULL; f++) {
        if (strcmp(f->path, path) == 0) {
            *ret_len = strlen(f->text);
            return ebb_strdup(f->text);
        }
    }
    ebb_error_set(err, EBB_ERR_NOT_FOUND, "%s: there is no such file", path);
    return NULL;
}

/* `files` ends with {NULL, NULL}, or is NULL. */
static inline int test_parse(const char *text, const struct test_file *files, Ebb__BagSpec **ret,
                             struct ebb_buffer *faults, struct ebb_error *err)
{
    struct ebb_bag_sources sources = {.file = test_read_file, .ctx = (void *)(uintptr_t)files};
    return ebb_bag_parse("bag.yaml", text, strlen(text), &sources, ret, faults, err);
}

#endif
