/* rANS with a table for each context. */
#include "kernels/trajectory/rans_contexts.h"

#include <stdlib.h>

#include "base/memory.h"
#include "kernels/trajectory/rans_step.h"

uint8_t *ebb_rans_contexts_encode(const uint8_t *symbols, const uint8_t *contexts, size_t n,
                                  const struct ebb_rans_table *tables, unsigned count, uint8_t *out,
                                  size_t bound)
{
    const unsigned lanes = ebb_rans_lanes(n);
    EBB_AUTO_FREE struct ebb_rans_step *steps = ebb_alloc_array(256 * (size_t)count, sizeof *steps);
    uint32_t state[EBB_RANS_LANES];
    for (unsigned c = 0; c < count; c++)
        ebb_rans_steps(&tables[c], steps + 256 * (size_t)c);
    for (unsigned l = 0; l < lanes; l++)
        state[l] = EBB_RANS_LOW;
    uint8_t *at = out + bound;
    for (size_t i = n; i > 0; i--) {
        uint32_t *x = &state[(i - 1) % lanes];
        *x = ebb_rans_push(*x, &steps[256 * (size_t)contexts[i - 1] + symbols[i - 1]], &at);
    }
    return ebb_rans_put_states(state, lanes, at);
}

bool ebb_rans_contexts_init(struct ebb_rans_contexts_decoder *d,
                            const struct ebb_rans_table *tables, unsigned count,
                            const uint8_t *bytes, size_t len, size_t n)
{
    d->lanes = ebb_rans_lanes(n);
    d->lane = 0;
    d->at = bytes;
    d->end = bytes + len;
    d->slots = ebb_alloc_array((size_t)EBB_RANS_TOTAL * count, sizeof *d->slots);
    for (unsigned c = 0; c < count; c++) {
        if (!ebb_rans_slots(&tables[c], d->slots + (size_t)EBB_RANS_TOTAL * c))
            return false;
    }
    return ebb_rans_get_states(&d->at, d->end, d->lanes, d->state);
}

void ebb_rans_contexts_clean_up(struct ebb_rans_contexts_decoder *d)
{
    free(d->slots);
    d->slots = NULL;
}

bool ebb_rans_contexts_decode(struct ebb_rans_contexts_decoder *d, const uint32_t *contexts,
                              uint8_t *symbols, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t *slots = d->slots + (size_t)EBB_RANS_TOTAL * contexts[i];
        uint32_t x = ebb_rans_pull(slots, d->state[d->lane], &symbols[i]);
        if (x < EBB_RANS_LOW) {
            if (d->end - d->at < 2)
                return false;
            x = x << 16 | (uint32_t)d->at[0] | (uint32_t)d->at[1] << 8;
            d->at += 2;
        }
        d->state[d->lane] = x;
        d->lane = d->lane + 1 == d->lanes ? 0 : d->lane + 1;
    }
    return true;
}

bool ebb_rans_contexts_done(const struct ebb_rans_contexts_decoder *d)
{
    bool done = d->at == d->end;
    for (unsigned l = 0; l < d->lanes; l++)
        done = done && d->state[l] == EBB_RANS_LOW;
    return done;
}
