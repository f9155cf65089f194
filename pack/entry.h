/* A file inside a packed file: what is known of it besides its parts' bytes. */
#ifndef EBB_PACK_ENTRY_H
#define EBB_PACK_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/hash.h"

#define EBB_PACKED_NAME_MAX_BYTES 4000u
#define EBB_PACKED_CHAIN_MAX      8u /* packed files, one a base of the next */

/* A part: a run of the file's bytes, packed by one codec, that is read by itself. */
struct ebb_packed_part {
    uint64_t record_offset; /* of its record in the packed file */
    uint64_t raw_bytes;
    uint64_t packed_bytes; /* payload alone */
    uint64_t file_offset;  /* of its first byte in the unpacked file */
    uint64_t payload_hash;
    uint32_t codec;
    uint32_t frames; /* that it holds, when it holds frames */
};

struct ebb_packed_entry {
    char *name; /* relative, contained */
    char *kind; /* "xtc", "safetensors", ... for people */
    uint32_t mode;
    int64_t mtime_ns;
    /* The file as unpacking writes it. */
    uint64_t size_bytes;
    uint8_t sha256[EBB_SHA256_SIZE];
    uint64_t frames;
    /* Lossy: every coordinate is within `error` (in `unit`) of the file that was packed. */
    bool is_lossy;
    double error;
    char *unit; /* "nm", "A", "" (the file's own) */
    uint64_t source_bytes;
    uint8_t source_sha256[EBB_SHA256_SIZE];
    /* What its parts are deltas against; chain_length 0: nothing. */
    uint32_t chain_length;
    char *base_file; /* the packed or plain file it was, relative to this one */
    char *base_name; /* the entry in it, "" when it is plain */
    uint64_t base_bytes;
    uint8_t base_sha256[EBB_SHA256_SIZE]; /* of the base as unpacked */

    bool is_complete; /* false: a packed file that was cut off ends inside it */
    struct ebb_packed_part *parts;
    size_t part_count;
    size_t part_capacity;
};

void ebb_packed_entry_clean_up(struct ebb_packed_entry *e);
void ebb_packed_entry_add_part(struct ebb_packed_entry *e, const struct ebb_packed_part *p);
/* Sum of the parts' packed bytes. */
uint64_t ebb_packed_entry_packed_bytes(const struct ebb_packed_entry *e);

/* 0 when unpacking may create `name`, else EBB_ERR_INPUT that says why not: parts of UTF-8
 * separated by single '/', none empty, ".", ".." or longer than 255 bytes. */
int ebb_packed_check_name(const char *name, struct ebb_error *err);

/* The facts as fields (docs/format-codecs.md): u16 tag, u32 length, bytes. Parts are not in them.
 */
void ebb_packed_entry_encode(const struct ebb_packed_entry *e, struct ebb_buffer *out);
/* Overwrites what the fields say of `e`. EBB_ERR_CORRUPT, EBB_ERR_UNSUPPORTED. */
int ebb_packed_entry_decode(const uint8_t *data, size_t len, struct ebb_packed_entry *e,
                            struct ebb_error *err);

#endif
