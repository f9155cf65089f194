/* Records: what a container consists of between its header and its tail. */
#ifndef EBB_PACK_RECORD_H
#define EBB_PACK_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "pack/container.h"

enum ebb_record_type { /* four letters, as they stand in the file */
                       EBB_RECORD_FILE = 0x454c4946,
                       EBB_RECORD_PART = 0x54524150,
                       EBB_RECORD_DONE = 0x454e4f44,
                       EBB_RECORD_INDEX = 0x58444e49,
};

/*   0 type  4 entry  8 codec  12 frames  16 raw bytes  24 payload bytes  32 file offset
 *  40 XXH3-64 of the payload  48 zero  56 XXH3-64 of bytes 0 to 55 */
struct ebb_record {
    uint32_t type;
    uint32_t entry;
    uint32_t codec;
    uint32_t frames;
    uint64_t raw_bytes;
    uint64_t payload_bytes;
    uint64_t file_offset;
    uint64_t payload_hash;
};

uint64_t ebb_record_hash(const void *data, size_t len);
void ebb_record_encode(const struct ebb_record *r, uint8_t out[EBB_CONTAINER_RECORD_BYTES]);
/* Checks the header's hash and limits. */
int ebb_record_decode(const uint8_t in[EBB_CONTAINER_RECORD_BYTES], struct ebb_record *ret,
                      struct ebb_error *err);

void ebb_container_header_encode(uint8_t out[EBB_CONTAINER_HEADER_BYTES]);
int ebb_container_header_decode(const uint8_t in[EBB_CONTAINER_HEADER_BYTES],
                                struct ebb_error *err);
/* Where the index record is. */
void ebb_container_tail_encode(uint64_t index_offset, uint64_t index_bytes,
                               uint8_t out[EBB_CONTAINER_TAIL_BYTES]);
int ebb_container_tail_decode(const uint8_t in[EBB_CONTAINER_TAIL_BYTES], uint64_t *ret_offset,
                              uint64_t *ret_bytes, struct ebb_error *err);

/* The index's payload. */
void ebb_index_encode(const struct ebb_packed_entry *entries, size_t count, struct ebb_buffer *out);
/* Every entry and part checked: names unique and contained, parts inside the file in order, sizes
 * that add up. `records_end`: where the index record begins. */
int ebb_index_decode(const uint8_t *data, size_t len, uint64_t records_end,
                     struct ebb_packed_entry **ret, size_t *ret_count, struct ebb_error *err);

#endif
