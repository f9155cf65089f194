/* A crystal: sites whose home is known before any frame is. Atoms of a crystal mostly stand in the
 * file as they were put down, cell by cell, so a few steps lead from home to home; they are found
 * from the first frames and stored. A site's numbers are then those of a free site that has been at
 * home for some frames before the key frame, less what its neighbours' displacements lead to
 * expect.
 *
 * Sites have levels: one is seen from its neighbours of lower levels, and those of one level do not
 * need each other. Each level has its own weights and its own stream. */
#ifndef EBB_KERNELS_TRAJECTORY_CRYSTAL_H
#define EBB_KERNELS_TRAJECTORY_CRYSTAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "kernels/trajectory/lattice.h"

#define EBB_TRAJ_CRYSTAL_STEPS 32
#define EBB_TRAJ_CRYSTAL_PRIOR 255 /* frames at home, at most */

struct ebb_traj_part;
struct ebb_traj_look;

struct ebb_traj_crystal {
    struct ebb_traj_box period; /* that homes are kept inside of, or zeros */
    uint32_t prior;             /* frames that a home counts as */
    uint32_t from;              /* the frame of the group from which neighbours are used */
    unsigned levels;            /* that there are from then on; the part has as many streams */
    unsigned steps;
    uint64_t origin[3]; /* the first home, in 2^-32 of the lattice's spacing, modulo 2^32 */
    uint64_t step[EBB_TRAJ_CRYSTAL_STEPS][3];
    uint8_t *which;       /* by site in file order: the step that leads to it; of the first: 0 */
    uint32_t *file_order; /* first atoms, rising; the part's own are by level in the end */
    uint32_t *level;      /* scratch: the numbers of one level */
};

/* Of n sites, all else zero; NULL: no memory. */
struct ebb_traj_crystal *ebb_traj_crystal_new(uint32_t n);
void ebb_traj_crystal_destroy(struct ebb_traj_crystal *c);
/* Encoder: whether the free sites of `p` are a crystal. If so p becomes one. */
bool ebb_traj_crystal_find(const struct ebb_traj_look *look, struct ebb_traj_part *p);

/* All that follows is of a part that is a crystal. */
void ebb_traj_crystal_write(const struct ebb_traj_part *p, struct ebb_buffer *out);
/* Reads what crystal_write wrote. */
int ebb_traj_crystal_read(struct ebb_traj_part *p, const uint8_t *bytes, size_t len, size_t *at,
                          struct ebb_error *err);
/* The homes of all sites in file order: x, y, z of each. */
void ebb_traj_crystal_homes(const struct ebb_traj_part *p, int32_t *ret);
/* The homes into q (x, y, z by atom), as if that were the frame before the key frame. Before
 * arrange. */
void ebb_traj_crystal_place(const struct ebb_traj_part *p, int32_t *q);
/* Finds neighbours and levels, and puts the sites and what is known of them in the order of
 * levels. False: no memory. */
bool ebb_traj_crystal_arrange(struct ebb_traj_part *p);
/* Levels that there are by now. */
unsigned ebb_traj_crystal_levels(const struct ebb_traj_part *p);
/* Numbers of a level (room for 31 more) out of those of all sites (x of all, y of all, z of all),
 * and back. */
void ebb_traj_crystal_take(const struct ebb_traj_part *p, unsigned level, const uint32_t *numbers,
                           uint32_t *ret);
void ebb_traj_crystal_give(const struct ebb_traj_part *p, unsigned level, const uint32_t *from,
                           uint32_t *numbers);

#endif
