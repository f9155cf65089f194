/* The container of packed files (docs/format-codecs.md), written as a stream and read at any place.
 *
 *     header | FILE  PART PART ... DONE | FILE PART ... DONE | ... | INDX | tail
 *
 * Each record is a header of 64 bytes with its own hash and a payload whose hash stands in it, and
 * records follow each other without a gap: every byte of the file is under some hash. The index at
 * the end says again what FILE, PART and DONE say, so that a reader finds any part with two reads;
 * when it is missing, because the writer was stopped, the records are walked instead. */
#ifndef EBB_PACK_CONTAINER_H
#define EBB_PACK_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include "pack/bytes.h"
#include "pack/entry.h"

#define EBB_CONTAINER_MAGIC                                                                        \
    "\x89"                                                                                         \
    "EBBP\r\n\x1a"
#define EBB_CONTAINER_MAGIC_BYTES  8u
#define EBB_CONTAINER_VERSION      1u
#define EBB_CONTAINER_HEADER_BYTES 32u
#define EBB_CONTAINER_RECORD_BYTES 64u
#define EBB_CONTAINER_TAIL_BYTES   32u
#define EBB_CONTAINER_PART_MAX     UINT32_MAX /* raw or packed bytes of one part */

/* ---- writing ---- */

struct ebb_packed_sink {
    int (*write)(void *ctx, const void *data, size_t len, struct ebb_error *err);
    void *ctx;
};

struct ebb_container_writer;
/* The sink's context is borrowed. Nothing is written before the first call below. */
struct ebb_container_writer *ebb_container_writer_new(struct ebb_packed_sink sink);
void ebb_container_writer_destroy(struct ebb_container_writer *w);
/* Begins an entry with what is known of it so far; the name may not be there yet, nor be the folder
 * of another (EBB_ERR_INPUT). */
int ebb_container_begin(struct ebb_container_writer *w, const struct ebb_packed_entry *facts,
                        struct ebb_error *err);
/* Its next part. */
int ebb_container_add(struct ebb_container_writer *w, uint32_t codec, uint64_t raw_bytes,
                      uint32_t frames, const void *payload, size_t len, struct ebb_error *err);
/* Ends it; `facts` now has size, hash and frames. */
int ebb_container_end(struct ebb_container_writer *w, const struct ebb_packed_entry *facts,
                      struct ebb_error *err);
/* Index and tail. */
int ebb_container_finish(struct ebb_container_writer *w, struct ebb_error *err);

/* ---- reading ---- */

struct ebb_container {
    struct ebb_bytes bytes;
    struct ebb_packed_entry *entries;
    size_t count;
};

bool ebb_container_recognise(const void *head, size_t len);
/* Reads the index. EBB_ERR_CORRUPT, EBB_ERR_UNSUPPORTED (a later version). `bytes` is copied; its
 * context must outlive the container. */
int ebb_container_open(const struct ebb_bytes *bytes, struct ebb_container **ret,
                       struct ebb_error *err);
/* Walks the records instead: what is whole before the first fault, which is told in `ret_fault`
 * (code 0: there is none). For files that were cut off or damaged. Fails only when not even the
 * header can be read. */
int ebb_container_salvage(const struct ebb_bytes *bytes, struct ebb_container **ret,
                          struct ebb_error *ret_fault, struct ebb_error *err);
/* Every byte: header, each record and its hash, the index against the records, the tail. Calls
 * `progress` (may be NULL) with the bytes checked so far. EBB_ERR_CORRUPT names the place. */
int ebb_container_check(const struct ebb_container *c, void (*progress)(void *ctx, uint64_t bytes),
                        void *ctx, struct ebb_error *err);
void ebb_container_destroy(struct ebb_container *c);
/* NULL when there is none. */
const struct ebb_packed_entry *ebb_container_find(const struct ebb_container *c, const char *name);
/* Appends the part's payload to `out`, checked against its hash. */
int ebb_container_read_part(const struct ebb_container *c, const struct ebb_packed_part *p,
                            struct ebb_buffer *out, struct ebb_error *err);

/* What a writer has written so far, seen through `bytes`, which the sink's bytes can be read back
 * from: for entries that were ended, and only until the next call on the writer. Not to be
 * destroyed. */
void ebb_container_written(const struct ebb_container_writer *w, const struct ebb_bytes *bytes,
                           struct ebb_container *ret);

EBB_DEFINE_AUTO_PTR(ebb_auto_container, struct ebb_container, ebb_container_destroy)
EBB_DEFINE_AUTO_PTR(ebb_auto_container_writer, struct ebb_container_writer,
                    ebb_container_writer_destroy)

#endif
