/* The bag file (docs/bag-file.md): YAML text to a BagSpec, every fault with its place. */
#ifndef EBB_SCHEDULER_CORE_BAG_H
#define EBB_SCHEDULER_CORE_BAG_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"
#include "proto/bag.pb-c.h"

/* What the parser needs from outside: profiles by name, and CSV files that sweeps name. */
struct ebb_bag_sources {
    /* The text of profile `name` ("gromacs"), malloc'ed, or NULL when there is none. */
    char *(*profile)(void *ctx, const char *name, size_t *ret_len);
    /* All profile names, NULL-terminated, for "did you mean". */
    const char *const *profile_names;
    /* The text of a file beside the bag, malloc'ed, or NULL with err set. */
    char *(*file)(void *ctx, const char *path, size_t *ret_len, struct ebb_error *err);
    void *ctx;
};

/* Parses and checks everything that needs no file system: types, names, needs (known, no cycle),
 * sweep sizes, templates in commands, inputs from other groups, profiles. On EBB_ERR_INPUT all
 * faults, a line each, are in `faults`. The caller frees *ret with ebb__bag_spec__free_unpacked.
 * Inputs still lack size and hash: the submitter fills them in. */
int ebb_bag_parse(const char *file_name, const char *text, size_t len,
                  const struct ebb_bag_sources *sources, Ebb__BagSpec **ret,
                  struct ebb_buffer *faults, struct ebb_error *err);

/* Checks a spec that came over the wire: what ebb_bag_parse guarantees. */
int ebb_bag_check(const Ebb__BagSpec *spec, struct ebb_error *err);

#endif
