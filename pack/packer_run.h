/* What the files of the packer share of a file that is being packed: parts are cut one after
 * another, packed and checked by a few threads at a time, and written in order. */
#ifndef EBB_PACK_PACKER_RUN_H
#define EBB_PACK_PACKER_RUN_H

#include "base/hash.h"
#include "formats/recognise.h"
#include "pack/packer.h"

/* Raw bytes of a part of plain bytes or arrays. */
#define EBB_PACK_PART_BYTES (8u << 20)

struct ebb_pack_run;

struct ebb_pack_job {
    uint64_t number;       /* of the part in its file */
    struct ebb_buffer raw; /* the file's bytes that the part stands for */
    /* Packs `raw` to `payload`; NULL: as plain bytes. */
    int (*encode)(struct ebb_pack_job *j, const struct ebb_pack_run *r, struct ebb_error *err);
    void *plan; /* of encode; memory of the job, kept from part to part */
    void (*destroy_plan)(void *plan);
    /* Set by encode. */
    struct ebb_buffer payload;
    uint32_t codec;
    uint32_t frames;
    struct ebb_buffer unpacked; /* what it decodes to when that is not `raw` (lossy) */
    bool is_lossy;
    bool needs_base;
    bool is_checked; /* encode has decoded it and compared */
    struct ebb_error error;
};

struct ebb_pack_run {
    struct ebb_container_writer *writer;
    struct ebb_packed_entry *facts;
    const struct ebb_bytes *file;
    const struct ebb_bytes *base;
    const struct ebb_packer_options *o;
    struct ebb_sha256 *source_hash;
    struct ebb_sha256 *hash; /* of the unpacked file, when lossy */
    struct ebb_pack_job *jobs;
    size_t job_count; /* that are waiting to be packed */
    size_t job_capacity;
    uint64_t begin;  /* what is before is in parts already */
    bool needs_base; /* some part does */
    uint64_t parts;  /* cut so far */
    uint64_t done_bytes;
};

/* A job whose `raw` is empty, to be filled; earlier ones may be packed and written before it
 * returns. */
int ebb_pack_next_job(struct ebb_pack_run *r, struct ebb_pack_job **ret, struct ebb_error *err);
/* Packs and writes what waits. */
int ebb_pack_flush(struct ebb_pack_run *r, struct ebb_error *err);
/* Bytes [begin, end) of the file as plain parts. */
int ebb_pack_plain(struct ebb_pack_run *r, uint64_t begin, uint64_t end, struct ebb_error *err);
/* From r->begin on: a file of arrays; one that is an array as the options say; one of frames. Job
 * by job, all of it.
 */
int ebb_pack_arrays(struct ebb_pack_run *r, enum ebb_file_kind kind, struct ebb_error *err);
int ebb_pack_one_array(struct ebb_pack_run *r, struct ebb_error *err);
int ebb_pack_frames(struct ebb_pack_run *r, enum ebb_file_kind kind, struct ebb_error *err);
/* Bytes that begin with frames, packed as one part: 1, or 0 when that is nothing for the frames'
 * codec (no frame, or no gain). Appends the payload. */
int ebb_pack_frames_of_memory(enum ebb_file_kind kind, const uint8_t *bytes, size_t len,
                              struct ebb_buffer *out, uint32_t *ret_codec, struct ebb_error *err);
/* Whether this job's part is one of those that are decoded again. */
bool ebb_pack_is_verified(const struct ebb_pack_run *r, const struct ebb_pack_job *j);

#endif
