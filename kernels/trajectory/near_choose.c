/* Whether free atoms are better seen as a lattice: how much of what they did in the last of a few
 * frames their neighbours tell. Encoder only. */
#include <math.h>
#include <stdlib.h>

#include "kernels/trajectory/near_choose.h"

#define SITES_LEAST 256
#define SAMPLE      512  /* sites */
#define WORTH       0.85 /* of the squares left: from 0.12 bits a number on */

double ebb_traj_near_spacing(const struct ebb_traj_look *look, const struct ebb_traj_part *p)
{
    int32_t least[3] = {INT32_MAX, INT32_MAX, INT32_MAX},
            most[3] = {INT32_MIN, INT32_MIN, INT32_MIN};
    for (uint32_t i = 0; i < p->n; i++) {
        const int32_t *q = look->frames[0] + 3 * (size_t)p->first[i];
        for (unsigned k = 0; k < 3; k++) {
            least[k] = q[k] < least[k] ? q[k] : least[k];
            most[k] = q[k] > most[k] ? q[k] : most[k];
        }
    }
    double volume = 1;
    for (unsigned k = 0; k < 3; k++)
        volume *= (double)most[k] - least[k] + 1;
    return cbrt(volume / p->n);
}

/* The mean distance of the nearest three among those before a site. */
static double nearest_three(const struct ebb_traj_look *look, const struct ebb_traj_part *p,
                            const struct ebb_traj_near *near)
{
    double sum = 0, count = 0;
    for (uint32_t b = 0; b < near->blocks; b++) {
        for (unsigned j = 0; j < near->block[b].sites; j++) {
            const int32_t *at =
                look->frames[0] +
                3 * (size_t)p->first[near->site[(size_t)EBB_TRAJ_NEAR_LANES * b + j]];
            double best[3] = {INFINITY, INFINITY, INFINITY};
            for (unsigned k = 0; k < near->block[b].slots; k++) {
                const uint32_t i =
                    near->from[(size_t)EBB_TRAJ_NEAR_LANES * (near->block[b].slots_at + k) + j];
                if (i == near->n)
                    continue;
                const int32_t *to = look->frames[0] + 3 * (size_t)p->first[i];
                const double x = (double)to[0] - at[0], y = (double)to[1] - at[1],
                             z = (double)to[2] - at[2];
                double d = sqrt(x * x + y * y + z * z);
                for (unsigned m = 0; m < 3; m++) {
                    const double larger = fmax(best[m], d);
                    best[m] = fmin(best[m], d);
                    d = larger;
                }
            }
            for (unsigned m = 0; m < 3 && best[m] < INFINITY; m++, count++)
                sum += best[m];
        }
    }
    return count > 0 ? sum / count : 0;
}

/* As numbers of free sites: the last frame's places seen from the mean of those before. */
static void displacements(const struct ebb_traj_look *look, const struct ebb_traj_part *p,
                          uint32_t *numbers)
{
    const unsigned last = look->count - 1;
    for (uint32_t i = 0; i < p->n; i++) {
        const size_t at = 3 * (size_t)p->first[i];
        const int32_t *now = look->frames[last] + at;
        int64_t sum[3] = {0};
        for (unsigned f = 0; f < last; f++) {
            int32_t x = ebb_traj_sub(now[0], look->frames[f][at]),
                    y = ebb_traj_sub(now[1], look->frames[f][at + 1]),
                    z = ebb_traj_sub(now[2], look->frames[f][at + 2]);
            ebb_traj_nearest(&look->boxes[last], &x, &y, &z);
            sum[0] += x;
            sum[1] += y;
            sum[2] += z;
        }
        for (size_t k = 0; k < 3; k++)
            numbers[k * p->n + i] = ebb_traj_zigzag((int32_t)(sum[k] / (int32_t)last));
    }
}

static uint32_t reach_of(double length)
{
    return length >= 4 && length <= EBB_TRAJ_NEAR_REACH ? (uint32_t)length : 0;
}

/* The first shell of neighbours of a crystal ends at about 1.24 times the mean of the nearest. */
static uint32_t find_reach(const struct ebb_traj_look *look, const struct ebb_traj_part *p,
                           uint32_t step)
{
    const uint32_t guess = reach_of(1.45 * ebb_traj_near_spacing(look, p));
    if (guess == 0)
        return 0;
    struct ebb_traj_near *near = ebb_traj_near_new(p->first, p->n, look->frames[0], guess, step);
    if (near == NULL)
        return 0;
    const uint32_t reach = reach_of(1.24 * nearest_three(look, p, near));
    ebb_traj_near_destroy(near);
    return reach;
}

uint32_t ebb_traj_near_shell(const struct ebb_traj_look *look, const struct ebb_traj_part *p)
{
    return p->n < SITES_LEAST ? 0 : find_reach(look, p, p->n / SAMPLE + 1);
}

uint32_t ebb_traj_near_reach(const struct ebb_traj_look *look, const struct ebb_traj_part *p)
{
    if (p->n < SITES_LEAST || look->count < 3)
        return 0;
    const uint32_t step = p->n / SAMPLE + 1, reach = find_reach(look, p, step);
    if (reach == 0)
        return 0;
    struct ebb_traj_near *near = ebb_traj_near_new(p->first, p->n, look->frames[0], reach, step);
    EBB_AUTO_FREE uint32_t *numbers = malloc(3 * (size_t)p->n * sizeof *numbers);
    double left = 1;
    if (near != NULL && numbers != NULL) {
        int8_t same, along;
        displacements(look, p, numbers);
        left = ebb_traj_near_fit(near, numbers, &same, &along);
    }
    ebb_traj_near_destroy(near);
    return left < WORTH ? reach : 0;
}
