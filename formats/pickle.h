/* What a pickle written by torch.save says about its tensors' storages. Nothing in it is executed:
 * the opcodes move names, numbers and containers about, and calls other than those that rebuild a
 * tensor give an unknown object. */
#ifndef EBB_FORMATS_PICKLE_H
#define EBB_FORMATS_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"

struct ebb_pickle_storage {
    char *key;  /* the name of the archive's member below data/ */
    char *name; /* of a tensor in it, the keys on the way there joined by dots; "" when unknown */
    bool known; /* the type */
    enum ebb_dtype dtype;
    uint64_t elements;
    /* Of a tensor that is the whole storage, contiguous; else 1 row of all. */
    uint64_t rows, columns;
};

struct ebb_pickle_storages {
    struct ebb_pickle_storage *items;
    size_t count;
};

/* As far as the pickle can be read: an unknown opcode, damage, or more than a few million objects
 * end the reading, and what was found until then stays. */
void ebb_pickle_scan(const uint8_t *bytes, size_t len, struct ebb_pickle_storages *ret);
void ebb_pickle_storages_clean_up(struct ebb_pickle_storages *storages);

#endif
