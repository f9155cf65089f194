/* Pairs of atoms, many at a time: what the search for molecules and bonds measures. Encoder only.
 */
#ifndef EBB_KERNELS_TRAJECTORY_PAIRS_H
#define EBB_KERNELS_TRAJECTORY_PAIRS_H

#include "kernels/trajectory/classes.h"

#define EBB_TRAJ_PAIRS 64 /* a block of the models */

struct ebb_traj_pairs {
    unsigned count; /* at most EBB_TRAJ_PAIRS */
    uint32_t from[EBB_TRAJ_PAIRS], to[EBB_TRAJ_PAIRS];
    /* In the frame last measured: `to` seen from `from`, nearest image; and how far that is. */
    float x[EBB_TRAJ_PAIRS], y[EBB_TRAJ_PAIRS], z[EBB_TRAJ_PAIRS], distance[EBB_TRAJ_PAIRS];
};

/* How a distance behaves over the frames looked at. */
struct ebb_traj_spread {
    float mean, deviation; /* of the distance */
    float motion;          /* of the vector, per coordinate, from frame to frame */
};

void ebb_traj_pairs_measure(struct ebb_traj_pairs *p, const struct ebb_traj_look *look,
                            unsigned frame);
/* Of n pairs over all frames (2 or more) of `look`. */
void ebb_traj_pairs_spread(const struct ebb_traj_look *look, const uint32_t *from,
                           const uint32_t *to, size_t n, struct ebb_traj_spread *ret);

/* Atoms in a row, each with EBB_TRAJ_WINDOW places before it and 16 after the last. */
#define EBB_TRAJ_WINDOW 24
struct ebb_traj_row {
    int32_t *x, *y, *z;
    uint32_t *molecule;
};

/* Of the EBB_TRAJ_WINDOW places before each of begin..end that are of the same molecule, the
 * nearest: the squared distance as a float's bits, but for the lowest five, which are how many
 * places before; UINT32_MAX: none. `ret` by place, with room for 16 more. */
void ebb_traj_near_before(const struct ebb_traj_row *r, uint32_t begin, uint32_t end,
                          const struct ebb_traj_box *box, uint32_t *ret);

#endif
