/* The coder of rans.h with a table for each context: which one a symbol has must be known before it
 * is decoded. Plain C. */
#ifndef EBB_KERNELS_TRAJECTORY_RANS_CONTEXTS_H
#define EBB_KERNELS_TRAJECTORY_RANS_CONTEXTS_H

#include "kernels/trajectory/rans.h"

#define EBB_RANS_CONTEXTS_MAX 8

/* As ebb_rans_encode, of n symbols whose tables are tables[contexts[i]]; no symbol may have all of
 * a table. */
uint8_t *ebb_rans_contexts_encode(const uint8_t *symbols, const uint8_t *contexts, size_t n,
                                  const struct ebb_rans_table *tables, unsigned count, uint8_t *out,
                                  size_t bound);

struct ebb_rans_contexts_decoder {
    uint32_t *slots; /* EBB_RANS_TOTAL for each context */
    uint32_t state[EBB_RANS_LANES];
    const uint8_t *at, *end;
    unsigned lanes, lane;
};

/* False when a table does not add up or the bytes are too few for the states. */
bool ebb_rans_contexts_init(struct ebb_rans_contexts_decoder *d,
                            const struct ebb_rans_table *tables, unsigned count,
                            const uint8_t *bytes, size_t len, size_t n);
void ebb_rans_contexts_clean_up(struct ebb_rans_contexts_decoder *d);
/* n symbols more; contexts[i] is below the count. False: the words ran out. */
bool ebb_rans_contexts_decode(struct ebb_rans_contexts_decoder *d, const uint32_t *contexts,
                              uint8_t *symbols, size_t n);
bool ebb_rans_contexts_done(const struct ebb_rans_contexts_decoder *d);

#endif
