/* An output that its bag wants within an error bound: packed before it is committed, and unpacked
 * by every restore, so that whoever fetches it gets the format that the engine wrote. */
#ifndef EBB_CHECKPOINT_PACKED_OUTPUT_H
#define EBB_CHECKPOINT_PACKED_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"

struct ebb_packing {
    double error; /* coordinates are within this of what they were */
    char unit[4]; /* "nm", "A", "pm", "": the file's own */
    bool small;   /* more time for less space */
    unsigned threads;
};

struct ebb_packed_output {
    char *path; /* of the packed file */
    double error;
    char unit[4];
    uint32_t mode; /* of the file that was packed */
    int64_t mtime_ns;
    uint64_t source_bytes;
    uint8_t source_sha256[EBB_SHA256_SIZE];
    uint64_t size_bytes; /* as it unpacks */
    uint8_t sha256[EBB_SHA256_SIZE];
};
void ebb_packed_output_clean_up(struct ebb_packed_output *o); /* the file is left */

/* Packs `from` into the new file `to`, every coordinate held to the bound: 1. 0: nothing was lost,
 * so that the file may as well be committed as it is (no frame could be read, or the bound is finer
 * than the file); `to` is gone. EBB_ERR_INPUT says why it may not be packed so (restart state,
 * weights, no trajectory). */
int ebb_output_pack(const char *from, const char *to, const struct ebb_packing *p,
                    struct ebb_packed_output *ret, struct ebb_error *err);
/* The one file of the packed file at `path`, which must have the hash, into the new file `to`. */
int ebb_output_unpack(const char *path, const uint8_t sha256[EBB_SHA256_SIZE], const char *to,
                      struct ebb_error *err);

#endif
