/* Packing and unpacking in memory, for the tests of pack/. */
#ifndef EBB_TESTS_PACKED_FIXTURE_H
#define EBB_TESTS_PACKED_FIXTURE_H

#include "base/buffer.h"
#include "pack/packer.h"
#include "pack/unpacker.h"

struct ebb_packed_sink buffer_sink(struct ebb_buffer *b);
/* Packs `data` as the only file, "file", of a container that is appended to `out`. */
int pack_memory(const void *data, size_t len, const struct ebb_bytes *base,
                const struct ebb_packer_options *o, struct ebb_buffer *out, struct ebb_error *err);
/* Unpacks the only file of the container. */
int unpack_memory(const struct ebb_buffer *packed, const struct ebb_bytes *base,
                  struct ebb_buffer *out, struct ebb_error *err);
/* Packs and unpacks and asserts that the same bytes come back. Returns the packed length. */
size_t assert_round_trip(const void *data, size_t len, const struct ebb_packer_options *o);
/* A small generator of numbers, the same in every run. */
uint64_t next_random(uint64_t *state);

#endif
