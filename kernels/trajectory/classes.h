/* Which model suits which atoms: found from a few frames, or told by a topology. */
#ifndef EBB_KERNELS_TRAJECTORY_CLASSES_H
#define EBB_KERNELS_TRAJECTORY_CLASSES_H

#include "kernels/trajectory/lattice.h"
#include "kernels/trajectory/part.h"

#define EBB_TRAJ_PARTS_MAX 16

struct ebb_traj_look {
    size_t atoms;
    const int32_t *const *frames; /* x, y, z by atom */
    const struct ebb_traj_box *boxes;
    unsigned count;           /* of frames, at least 1 */
    const uint32_t *molecule; /* by atom, or NULL */
    bool rigid_only;          /* no chains */
    bool crystal;             /* free atoms may be a crystal, */
    bool lattice;             /* or a lattice */
};

/* Fills parts[0..] (allocated, state zero), which together hold every atom once; returns how many,
 * or 0 when memory is out. */
unsigned ebb_traj_classes_find(const struct ebb_traj_look *look, struct ebb_traj_part *parts);

#endif
