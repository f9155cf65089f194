/* Getting files back out of a container, every byte under its hash. */
#ifndef EBB_PACK_UNPACKER_H
#define EBB_PACK_UNPACKER_H

#include <stdint.h>

#include "pack/container.h"
#include "pack/packer.h"

/* Decodes the entry from front to back into `sink` and checks its SHA-256 at the end: what went to
 * the sink is good only if this returned 0. `base`: as the entry names it, or NULL. */
int ebb_unpacker_run(const struct ebb_container *c, const struct ebb_packed_entry *e,
                     const struct ebb_bytes *base, struct ebb_packed_sink sink, unsigned threads,
                     struct ebb_pack_progress progress, struct ebb_error *err);

/* The entry's unpacked content, readable at any place: parts are decoded when they are wanted, and
 * the last few kept. `c`, `e`, `base` are borrowed. Any thread may read; they are served one
 * after another. */
struct ebb_entry_view;
struct ebb_entry_view *ebb_entry_view_new(const struct ebb_container *c,
                                          const struct ebb_packed_entry *e,
                                          const struct ebb_bytes *base);
struct ebb_bytes ebb_entry_view_bytes(struct ebb_entry_view *v);
void ebb_entry_view_destroy(struct ebb_entry_view *v);

#endif
