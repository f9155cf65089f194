/* Between the parts of an encoder or decoder and the plan and state that a device has of them; for
 * these alone. */
#ifndef EBB_KERNELS_TRAJECTORY_PIECES_PARTS_H
#define EBB_KERNELS_TRAJECTORY_PIECES_PARTS_H

#include "kernels/ebb_kernels.h"
#include "kernels/trajectory/part.h"

void ebb_traj_plan_of(const struct ebb_traj_part *parts, unsigned count, size_t atoms,
                      double quantum, struct ebb_kernels_trajectory *ret);
/* q: the coordinates of the frame before. */
void ebb_traj_state_of(const struct ebb_kernels_trajectory *plan, const struct ebb_traj_part *parts,
                       const int32_t *q, int32_t *ret);

#endif
