/* What the files of checkpoint/ share of an open lineage. */
#ifndef EBB_CHECKPOINT_LINEAGE_STATE_H
#define EBB_CHECKPOINT_LINEAGE_STATE_H

#include "base/map.h"
#include "checkpoint/format.h"
#include "checkpoint/lineage.h"

/* A head whose put got no answer. It is settled before any other head is put: put again with the
 * same bytes until the store takes it, or shows it (taken before), or shows another's. */
struct ebb_unsettled_head {
    struct ebb_buffer bytes; /* empty: nothing is unsettled */
    uint8_t nonce[EBB_NONCE_SIZE];
    char replaces_etag[EBB_ETAG_SIZE]; /* "": there was no head */
};

struct ebb_lineage {
    struct ebb_object_store *store; /* borrowed */
    char *root;
    Ebb__Head *head; /* NULL: there is none */
    char head_etag[EBB_ETAG_SIZE];
    uint8_t head_sha256[EBB_SHA256_SIZE];
    int64_t head_modified_ns; /* the store's clock; as last read */
    struct ebb_unsettled_head unsettled;

    bool has_rank; /* a restore brings what this rank of a gang has */
    uint32_t rank;
    bool is_owner;
    uint64_t epoch;                      /* claimed */
    uint8_t claim_nonce[EBB_NONCE_SIZE]; /* stands in the packs of this owner */

    /* The generation that the next commit builds on: the last one committed or restored here, else
     * the newest whole one. */
    Ebb__Manifest *base; /* NULL: not loaded, or none */
    struct ebb_generation base_generation;
    struct ebb_map *seen; /* path -> struct ebb_seen_file: what is on disk, as of `base` */
};

/* GETs the head. No head: l->head is NULL, 0. */
int ebb_lineage_read_head(struct ebb_lineage *l, struct ebb_error *err);
/* Replaces the head by `next` (its nonce and previous hash are filled in here), settling lost
 * answers. 0; EBB_ERR_FENCED: another's head is there; EBB_ERR_TIMEOUT: unsettled. deadline_ns as
 * in a commit request. */
int ebb_lineage_swap_head(struct ebb_lineage *l, Ebb__Head *next, int64_t deadline_ns,
                          struct ebb_error *err);
/* Settles what a swap left open; 0 when there is nothing. */
int ebb_lineage_settle(struct ebb_lineage *l, int64_t deadline_ns, struct ebb_error *err);
int ebb_lineage_load_manifest(struct ebb_lineage *l, const struct ebb_generation *g,
                              Ebb__Manifest **ret, struct ebb_error *err);
/* Makes l->base the newest whole generation of the head, if it is not loaded. No generation: 0,
 * base NULL. */
int ebb_lineage_load_base(struct ebb_lineage *l, struct ebb_error *err);
void ebb_lineage_set_base(struct ebb_lineage *l, Ebb__Manifest *m, const struct ebb_generation *g,
                          struct ebb_map *seen); /* takes m and seen */
void ebb_lineage_forget_base(struct ebb_lineage *l);

/* Kills the process when EBB_FAULT names this point (lineage.h). Any thread. */
void ebb_fault_point(const char *name);

#endif
