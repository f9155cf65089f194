/* The moving part of a commit: reads sources, hashes, compresses and puts packs, in parallel. */
#ifndef EBB_CHECKPOINT_UPLOAD_H
#define EBB_CHECKPOINT_UPLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "checkpoint/file_scan.h"
#include "checkpoint/pack.h"

/* Chunks of the base manifest by hash, so that content that is there already is not sent again. */
struct ebb_chunk_index;
struct ebb_chunk_index *ebb_chunk_index_new(const Ebb__Manifest *base); /* base may be NULL */
void ebb_chunk_index_destroy(struct ebb_chunk_index *x);
const Ebb__Chunk *ebb_chunk_index_find(const struct ebb_chunk_index *x,
                                       const uint8_t sha256[EBB_SHA256_SIZE], uint64_t raw_bytes);

/* A pack that was put. */
struct ebb_new_pack {
    uint8_t sha256[EBB_SHA256_SIZE];
    uint64_t size_bytes; /* 0: every chunk was known, nothing was put */
};

/* The new chunks of one source, in the file's order from keep_bytes on. */
struct ebb_new_chunks {
    struct ebb_chunk_record *chunks;
    const Ebb__Chunk **known;    /* not NULL: that chunk of the base, `chunks[i]` is unset */
    struct ebb_new_base {        /* what chunks[i] is packed against */
        const Ebb__Chunk *known; /* a chunk of the base manifest; NULL: */
        bool is_new;             /* one of this commit: of new_chunks[source], `number` */
        size_t source, number;
    } * base;
    size_t count;
};

struct ebb_upload {
    struct ebb_lineage *lineage;
    struct ebb_source *sources;
    size_t source_count;
    const struct ebb_chunk_index *index;
    unsigned threads;
    unsigned verify_sample; /* as in a commit request */
    bool deltas;            /* likewise */
    int64_t deadline_ns;

    /* Results: one entry a source; packs as `ebb_chunk_record.pack` numbers them. */
    struct ebb_new_chunks *new_chunks;
    struct ebb_cutter **layouts; /* of sources that were read and have named tensors, else NULL */
    struct ebb_new_pack *packs;
    size_t pack_count;
    uint64_t read_bytes;
    uint64_t sent_bytes;
};

/* On success every source's prefix covers its length_bytes. */
int ebb_upload_run(struct ebb_upload *u, struct ebb_error *err);
void ebb_upload_clean_up(struct ebb_upload *u);

#endif
