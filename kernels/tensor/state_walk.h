/* The way through the atoms of a restart state: what is known of each number, and the streams that
 * the rest goes to or comes from. Inside kernels/tensor/ only. */
#ifndef EBB_KERNELS_TENSOR_STATE_WALK_H
#define EBB_KERNELS_TENSOR_STATE_WALK_H

#include <string.h>

#include "kernels/bits.h"
#include "kernels/tensor/state_waters.h"

/* Numbers near an expected one: tokens as in delta.c, and raw bits. */
enum ebb_tokens_kind {
    EBB_TOKENS_OXYGEN,        /* a water's first atom, from the frame */
    EBB_TOKENS_ARM,           /* two numbers of its second, */
    EBB_TOKENS_ARM_DERIVED,   /* and the third */
    EBB_TOKENS_THIRD,         /* one of its third atom, */
    EBB_TOKENS_THIRD_DERIVED, /* and two */
    EBB_TOKENS_FREE,          /* other atoms, from the frame or the atom before */
    EBB_TOKENS_V_ARM,         /* derived velocities */
    EBB_TOKENS_V_THIRD,
    EBB_TOKENS_WRAPS, /* which image of the box: a byte for each hydrogen */
    EBB_TOKENS_KINDS,
};

/* Numbers of which nothing is known but their kind. */
enum ebb_plain_kind {
    EBB_PLAIN_OXYGEN,
    EBB_PLAIN_FREE,
    EBB_PLAIN_V_OXYGEN,
    EBB_PLAIN_V_HYDROGEN,
    EBB_PLAIN_V_FREE,
    EBB_PLAIN_KINDS,
};

struct ebb_tokens {
    uint8_t *start, *at;
    size_t count;
};

struct ebb_plain {
    uint64_t *start, *at;
    size_t count;
};

/* Atoms are packed block by block, so that all of it stays in the cache. */
#define EBB_STATE_BLOCK ((size_t)32768)

struct ebb_state_walk {
    size_t atoms; /* in all */
    bool wide;    /* f64 */
    bool big_endian, has_v;
    double box[3];
    const float *frame; /* of all atoms */
    struct ebb_waters waters;
    /* The block: what of the runs has gone before, and what is in it. */
    size_t first, count;  /* atoms */
    size_t run, run_done; /* where it begins: run, and free atoms and waters before it there */
    size_t free_atoms, molecules;
    bool moves;      /* velocities are derived */
    bool chain;      /* free atoms are near the one before */
    bool failed;     /* reading: bits were missing */
    uint64_t *x, *v; /* 3 * count words: the numbers' bits */
    struct ebb_tokens tokens[EBB_TOKENS_KINDS];
    struct ebb_plain plain[EBB_PLAIN_KINDS];
    uint8_t *all, *token_bytes, *raw; /* all: the memory of the block */
    uint64_t *words;
    size_t raw_room;
    struct ebb_bit_writer writer;
    uint64_t bit, bits_end; /* reading */
};

/* Sets count, free_atoms and molecules of the block that begins at `first`, run, run_done. */
void ebb_state_block_plan(struct ebb_state_walk *s);
/* On to the next block. */
void ebb_state_block_pass(struct ebb_state_walk *s);
void ebb_state_walk_write(struct ebb_state_walk *s);
void ebb_state_walk_read(struct ebb_state_walk *s);

/* A number and its bits, as f32 or f64. */
static inline double ebb_state_value(uint64_t word, bool wide)
{
    double d;
    float f;
    uint32_t narrow = (uint32_t)word;
    memcpy(&d, &word, 8);
    memcpy(&f, &narrow, 4);
    return wide ? d : (double)f;
}

static inline uint64_t ebb_state_word(double value, bool wide)
{
    uint64_t word;
    uint32_t narrow;
    float f = (float)value;
    memcpy(&word, &value, 8);
    memcpy(&narrow, &f, 4);
    return wide ? word : narrow;
}

/* Bits as an integer that grows with the number (delta_width.h), sign-extended. */
static inline int64_t ebb_state_ordered(uint64_t word, bool wide)
{
    int64_t w = wide ? (int64_t)word : (int32_t)(uint32_t)word;
    return w < 0 ? w ^ (wide ? INT64_MAX : INT32_MAX) : w;
}

static inline uint64_t ebb_state_unordered(int64_t v, bool wide)
{
    v = wide ? v : (int32_t)(uint32_t)(uint64_t)v; /* differences are modulo the width */
    int64_t w = v < 0 ? v ^ (wide ? INT64_MAX : INT32_MAX) : v;
    return wide ? (uint64_t)w : (uint32_t)w;
}

/* Steps between two numbers, modulo the width: how many, and *ret_down when `to` is below. */
static inline uint64_t ebb_state_steps(uint64_t from, uint64_t to, bool wide, bool *ret_down)
{
    uint64_t d = (uint64_t)ebb_state_ordered(to, wide) - (uint64_t)ebb_state_ordered(from, wide);
    int64_t steps = wide ? (int64_t)d : (int32_t)(uint32_t)d;
    *ret_down = steps < 0;
    return steps < 0 ? 0 - (uint64_t)steps : (uint64_t)steps;
}

static inline uint64_t ebb_state_distance(uint64_t from, uint64_t to, bool wide)
{
    bool down;
    return ebb_state_steps(from, to, wide, &down);
}

#endif
