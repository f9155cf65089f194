/* The bag file (docs/bag-file.md): YAML text to a BagSpec, every fault with its place. */
#ifndef EBB_SCHEDULER_CORE_BAG_H
#define EBB_SCHEDULER_CORE_BAG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"
#include "proto/bag.pb-c.h"

/* What the parser needs from outside: files beside the bag, which are CSV files that sweeps name
 * and profiles of the bag's own (profiles/NAME.yaml; they go before the built-in ones). */
struct ebb_bag_sources {
    /* The text of the file, malloc'ed, or NULL with err set: EBB_ERR_NOT_FOUND when there is none.
     * `path` is relative to the bag's folder and does not lead out of it. */
    char *(*file)(void *ctx, const char *path, size_t *ret_len, struct ebb_error *err);
    void *ctx;
};

/* Parses and checks everything that needs no file system: types, names, needs (known, no cycle),
 * sweep sizes, templates in commands, inputs from other groups, profiles. On EBB_ERR_INPUT all
 * faults, a line each, are in `faults`. `sources` NULL: no files. The caller frees *ret with
 * ebb__bag_spec__free_unpacked. Inputs still lack size and hash: the submitter fills them in. */
int ebb_bag_parse(const char *file_name, const char *text, size_t len,
                  const struct ebb_bag_sources *sources, Ebb__BagSpec **ret,
                  struct ebb_buffer *faults, struct ebb_error *err);

/* s3://bucket[/prefix] or file:///directory, by its form alone. */
bool ebb_bag_is_store(const char *url);

/* Checks a spec that came over the wire: what ebb_bag_parse guarantees. */
int ebb_bag_check(const Ebb__BagSpec *spec, struct ebb_error *err);

#endif
