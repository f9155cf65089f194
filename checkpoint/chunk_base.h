/* What a new chunk may be packed against: tensors of the checkpoint before, found by their names,
 * and frames of a trajectory that is committed together with restart state. */
#ifndef EBB_CHECKPOINT_CHUNK_BASE_H
#define EBB_CHECKPOINT_CHUNK_BASE_H

#include "checkpoint/file_scan.h"
#include "checkpoint/upload.h"

/* The file of the checkpoint before that a source may be a delta against. */
struct ebb_like {
    const Ebb__FileEntry *entry; /* borrowed; NULL: there is none */
    const struct ebb_cutter
        *layout;      /* where its tensors are; NULL: not known, where they are now */
    uint64_t *begins; /* of its chunks */
};
/* The file of the same path, else one as long and of the same kind (engines number their state
 * files), else one of the same kind with the same first tensor. */
struct ebb_like ebb_like_of(const struct ebb_lineage *l, const struct ebb_source *s,
                            const struct ebb_cutter *cutter);
void ebb_like_clean_up(struct ebb_like *k);

struct ebb_like_chunk {
    const Ebb__Chunk *chunk;
    uint64_t offset; /* where its bytes begin in the file before */
};
/* The chunk that most of the `len` bytes at `offset` are like; false: none. Two generations are
 * kept, and so are their bases, which then are few: of a chunk that is a delta of its own, whole,
 * this is its base. */
bool ebb_like_find(const struct ebb_like *k, const struct ebb_cutter *cutter, uint64_t offset,
                   size_t len, struct ebb_like_chunk *ret);
/* How long the next chunk is to be, up to usual_bytes, so that one chunk of the file before has all
 * that it is like. */
size_t ebb_like_cut(const struct ebb_like *k, const struct ebb_cutter *cutter, uint64_t offset,
                    size_t len, size_t usual_bytes);

/* A chunk of a trajectory that is on disk. */
struct ebb_chunk_place {
    uint64_t offset;
    uint64_t len;
    const uint8_t *sha256;
    struct ebb_new_base base; /* what names it */
};
/* True when the file is a trajectory whose first frame has so many atoms. */
bool ebb_source_has_frames(const struct ebb_source *s, uint64_t atoms);
/* The last chunk that begins with a frame of a step not above `step`, read from the file into `raw`
 * and held to its hash. False: there is none. */
bool ebb_chunk_with_frame(const struct ebb_source *s, const struct ebb_chunk_place *places,
                          size_t count, uint64_t atoms, int64_t step, struct ebb_buffer *raw,
                          size_t *ret_number);

#endif
