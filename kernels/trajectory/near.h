/* Sites that move with their neighbours: in a solid, what one did other than expected tells of what
 * the next will do. A lattice part's numbers are those of free atoms, less what the neighbours'
 * lead to expect. docs/format-trajectory.md states who is a neighbour. */
#ifndef EBB_KERNELS_TRAJECTORY_NEAR_H
#define EBB_KERNELS_TRAJECTORY_NEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/trajectory/lattice.h"

#define EBB_TRAJ_NEAR_MOST     12   /* neighbours of a site */
#define EBB_TRAJ_NEAR_LOOK     8    /* sites of a bucket that are looked at */
#define EBB_TRAJ_NEAR_LEVELS   1024 /* a site of a higher level has no neighbours */
#define EBB_TRAJ_NEAR_REACH    32768
#define EBB_TRAJ_NEAR_LANES    16
#define EBB_TRAJ_NEAR_PER_BYTE 64 /* sites for each byte of a group, at most */
#define EBB_TRAJ_NEAR_STREAMS  6  /* levels of a crystal, which has a stream for each */

/* Blocks of up to 16 sites that do not need each other, each after those that it needs. Of what is
 * not there: site n, which never moves. */
struct ebb_traj_near_block {
    uint32_t slots_at; /* in units of 16 */
    uint16_t slots, sites;
};

struct ebb_traj_near {
    uint32_t n, blocks;
    struct ebb_traj_near_block *block;
    uint32_t *site; /* 16 for each block */
    float *share;   /* 1 / (neighbours + 2) */
    uint32_t *from; /* 16 for each slot of each block: a neighbour */
    uint32_t *way;  /* and where it is: bytes x, y, z, 127 long */
    float *moved;   /* what each site did other than expected: x, y, z and 0; of n + 1 */
    /* Of a crystal: its sites and blocks by level, each up to where the next begins. */
    uint32_t level_at[EBB_TRAJ_NEAR_STREAMS + 1], level_block[EBB_TRAJ_NEAR_STREAMS + 1];
};

/* The neighbours of the sites first[0..n), within `reach`, as they stand in q (x, y, z by atom); of
 * every `step`th site alone: a sample that nothing is decoded from. NULL when memory is out. */
struct ebb_traj_near *ebb_traj_near_new(const uint32_t *first, uint32_t n, const int32_t *q,
                                        uint32_t reach, uint32_t step);
void ebb_traj_near_destroy(struct ebb_traj_near *near);

/* In place: numbers of free sites (x of all, y of all, z of all) to those of the lattice, and back.
 */
void ebb_traj_near_encode(struct ebb_traj_near *near, int8_t same, int8_t along, uint32_t *numbers);
void ebb_traj_near_decode(struct ebb_traj_near *near, int8_t same, int8_t along, uint32_t *numbers);
/* Weights for numbers of free sites, by least squares over a sample of the blocks. Returns the
 * share of the squares that they leave. */
double ebb_traj_near_fit(struct ebb_traj_near *near, const uint32_t *numbers, int8_t *ret_same,
                         int8_t *ret_along);

/* A crystal's: neighbours of the homes at[0..n) (x, y, z of each) within `reach` (0: none), through
 * the faces of the period too. Sites are counted by level from here on: order[place] is the site
 * that stands there. */
struct ebb_traj_near *ebb_traj_near_around(const int32_t *at, uint32_t n, uint32_t reach,
                                           const struct ebb_traj_box *period, uint32_t *order);
/* As encode, decode and fit above, with weights for each level (in 1/16; of the first: none). */
void ebb_traj_near_encode_levels(struct ebb_traj_near *near, const int8_t *same,
                                 const int8_t *along, uint32_t *numbers);
void ebb_traj_near_decode_levels(struct ebb_traj_near *near, const int8_t *same,
                                 const int8_t *along, uint32_t *numbers);
void ebb_traj_near_fit_levels(struct ebb_traj_near *near, const uint32_t *numbers, int8_t *ret_same,
                              int8_t *ret_along);

#endif
