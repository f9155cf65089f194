/* Whether free atoms are better seen as a lattice. */
#ifndef EBB_KERNELS_TRAJECTORY_NEAR_CHOOSE_H
#define EBB_KERNELS_TRAJECTORY_NEAR_CHOOSE_H

#include "kernels/trajectory/classes.h"

/* The reach within which the sites of p are neighbours; 0: they tell nothing of each other. */
uint32_t ebb_traj_near_reach(const struct ebb_traj_look *look, const struct ebb_traj_part *p);
/* The reach of the first shell of neighbours; 0: none was found. */
uint32_t ebb_traj_near_shell(const struct ebb_traj_look *look, const struct ebb_traj_part *p);
/* A side of the cube that a site has to itself, in the first frame. */
double ebb_traj_near_spacing(const struct ebb_traj_look *look, const struct ebb_traj_part *p);

#endif
