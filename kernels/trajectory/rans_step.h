/* What the coders with one table and with many share; for them alone. */
#ifndef EBB_KERNELS_TRAJECTORY_RANS_STEP_H
#define EBB_KERNELS_TRAJECTORY_RANS_STEP_H

#include "kernels/trajectory/rans.h"

#define EBB_RANS_LOW (1u << 16)

/* x / frequency as (x * reciprocal) >> shift, for all x < 2^32; then the next state is
 * x + bias + quotient * (2^12 - frequency). */
struct ebb_rans_step {
    uint64_t reciprocal;
    uint32_t limit; /* a state at or above it gives a word away first */
    uint32_t bias;
    uint32_t complement;
    uint32_t shift;
};

/* ceil(2^(32+log) / f) can have 33 bits, so the product is taken in 128 bits. */
static inline uint32_t ebb_rans_push(uint32_t x, const struct ebb_rans_step *s, uint8_t **at)
{
    bool give = x >= s->limit;
    (*at)[-2] = (uint8_t)x;
    (*at)[-1] = (uint8_t)(x >> 8);
    *at -= give ? 2 : 0;
    x = give ? x >> 16 : x;
    uint32_t quotient = (uint32_t)(((unsigned __int128)x * s->reciprocal) >> s->shift);
    return x + s->bias + quotient * s->complement;
}

static inline uint32_t ebb_rans_pull(const uint32_t slots[EBB_RANS_TOTAL], uint32_t x,
                                     uint8_t *symbol)
{
    uint32_t slot = slots[x & (EBB_RANS_TOTAL - 1)];
    *symbol = (uint8_t)slot;
    return ((slot >> 8 & 0xfff) + 1) * (x >> EBB_RANS_BITS) + (slot >> 20);
}

void ebb_rans_steps(const struct ebb_rans_table *t, struct ebb_rans_step steps[256]);
/* False when the table does not add up. */
bool ebb_rans_slots(const struct ebb_rans_table *t, uint32_t slots[EBB_RANS_TOTAL]);
/* The states before the words that end at `at`; returns where they begin. */
uint8_t *ebb_rans_put_states(const uint32_t *state, unsigned lanes, uint8_t *at);
/* False when there are none, or one is too low. */
bool ebb_rans_get_states(const uint8_t **at, const uint8_t *end, unsigned lanes, uint32_t *state);

#endif
