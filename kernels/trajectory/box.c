/* The periodic box in units of the lattice. The device kernels have this file too. */
#include <math.h>

#include "kernels/trajectory/lattice.h"

static bool side(double length, double quantum, int32_t *ret)
{
    double points = length / quantum;
    if (!(points >= 4 && points < EBB_TRAJ_LATTICE_MAX))
        return false;
    *ret = (int32_t)rint(points);
    return true;
}

static bool offset(double length, double quantum, int32_t *ret)
{
    double points = length / quantum;
    if (!(fabs(points) < EBB_TRAJ_LATTICE_MAX))
        return false;
    *ret = (int32_t)rint(points);
    return true;
}

void ebb_traj_box_make(const float box[9], double quantum, struct ebb_traj_box *ret)
{
    static const struct ebb_traj_box none = {0, 0, 0, 0, 0, 0, 0, 0, 0};
    struct ebb_traj_box b = none;
    *ret = none;
    if (box[1] != 0 || box[2] != 0 || box[5] != 0)
        return;
    if (!side(box[0], quantum, &b.xx) || !side(box[4], quantum, &b.yy) ||
        !side(box[8], quantum, &b.zz) || !offset(box[3], quantum, &b.yx) ||
        !offset(box[6], quantum, &b.zx) || !offset(box[7], quantum, &b.zy))
        return;
    b.inv_x = 1.0f / (float)b.xx;
    b.inv_y = 1.0f / (float)b.yy;
    b.inv_z = 1.0f / (float)b.zz;
    *ret = b;
}
