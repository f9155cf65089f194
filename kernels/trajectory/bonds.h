/* Bonds found in a few frames: pairs of atoms whose distance holds while they move. */
#ifndef EBB_KERNELS_TRAJECTORY_BONDS_H
#define EBB_KERNELS_TRAJECTORY_BONDS_H

#include "kernels/trajectory/classes.h"

enum ebb_traj_bonded {
    EBB_TRAJ_UNBONDED = 0,
    EBB_TRAJ_BONDED = 1, /* and others may be bonded to it */
    EBB_TRAJ_LEAF = 2,   /* by a rigid bond, and nothing is bonded to it */
};

struct ebb_traj_bond_of {
    struct ebb_traj_bond bond;
    enum ebb_traj_bonded kind;
};

/* For each of the `untaken` atoms, those with taken[i] == 0 in file order, what it is bonded to,
 * among such atoms shortly before it. `bonds` has room for every one of them, zeroed. At least 2
 * frames, else nothing is found. False when memory is out. */
bool ebb_traj_bonds_find(const struct ebb_traj_look *look, const uint8_t *taken, size_t untaken,
                         struct ebb_traj_bond_of *bonds);

#endif
