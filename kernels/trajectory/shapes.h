/* Rigid molecules of three or four atoms, found by their regularity. Encoder only. */
#ifndef EBB_KERNELS_TRAJECTORY_SHAPES_H
#define EBB_KERNELS_TRAJECTORY_SHAPES_H

#include "kernels/trajectory/classes.h"

struct ebb_traj_shape {
    float a, b, c; /* |first second|, |first third|, |second third| */
    float virtual_a, virtual_b;
};

/* Distances between neighbours in the file, of some atoms: a quick look before the careful one. */
#define EBB_TRAJ_SHAPE_WINDOW 64
struct ebb_traj_shape_window {
    size_t begin, end; /* atoms from which on a molecule may be looked for; 0, 0: none yet */
    float second[2][EBB_TRAJ_SHAPE_WINDOW], third[2][EBB_TRAJ_SHAPE_WINDOW]; /* first, last frame */
};

/* False: no molecules of one shape follow each other from atom i on. `w` is zero at first. */
bool ebb_traj_shape_possible(const struct ebb_traj_look *look, struct ebb_traj_shape_window *w,
                             size_t i, unsigned atoms);
/* How many molecules of one shape, of 3 or 4 atoms each, follow each other from atom i on; 0: too
 * few to be more than chance. */
size_t ebb_traj_shape_run(const struct ebb_traj_look *look, size_t i, unsigned atoms,
                          struct ebb_traj_shape *ret);
bool ebb_traj_shapes_agree(const struct ebb_traj_shape *s, const struct ebb_traj_shape *t);
/* The geometry of the molecules of p, whose first atoms are known: p->rigid. */
void ebb_traj_shape_measure(const struct ebb_traj_look *look, struct ebb_traj_part *p);

#endif
