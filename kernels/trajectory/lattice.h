/* Coordinates as points of a lattice, and the periodic box in its units. */
#ifndef EBB_KERNELS_TRAJECTORY_LATTICE_H
#define EBB_KERNELS_TRAJECTORY_LATTICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/device.h"

/* Lattice numbers of floats stay below this, so that differences of two fit an int32. */
#define EBB_TRAJ_LATTICE_MAX (1 << 29)

/* A lower-triangular box: a = (xx,0,0), b = (yx,yy,0), c = (zx,zy,zz). All zero: no box, and every
 * rule below leaves what it gets. */
struct ebb_traj_box {
    int32_t xx, yx, yy, zx, zy, zz;
    float inv_x, inv_y, inv_z; /* of the diagonal; the encoder's choice of image alone */
};

EBB_HD int32_t ebb_traj_add(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a + (uint32_t)b);
}
EBB_HD int32_t ebb_traj_sub(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a - (uint32_t)b);
}
static inline uint32_t ebb_traj_zigzag(int32_t v)
{
    return ((uint32_t)v << 1) ^ (uint32_t)(v >> 31);
}
static inline int32_t ebb_traj_unzigzag(uint32_t z)
{
    return (int32_t)((z >> 1) ^ (0u - (z & 1)));
}
/* Nearest whole number, ties to even, of a value first held to +-2^21. */
static inline int32_t ebb_traj_round(float x)
{
    x = x < 2097152.0f ? x : 2097152.0f;
    x = x > -2097152.0f ? x : -2097152.0f;
    return (int32_t)((x + 12582912.0f) - 12582912.0f);
}
/* One step towards the box: z by the third row, then y, then x. */
static inline void ebb_traj_wrap(const struct ebb_traj_box *b, int32_t *x, int32_t *y, int32_t *z)
{
    int32_t k = *z < 0 ? 1 : (*z >= b->zz ? -1 : 0);
    *z += k * b->zz;
    *y = ebb_traj_add(*y, k * b->zy);
    *x = ebb_traj_add(*x, k * b->zx);
    k = *y < 0 ? 1 : (*y >= b->yy ? -1 : 0);
    *y += k * b->yy;
    *x = ebb_traj_add(*x, k * b->yx);
    k = *x < 0 ? 1 : (*x >= b->xx ? -1 : 0);
    *x += k * b->xx;
}
/* The image of a difference that is nearest to zero (encoder). */
static inline void ebb_traj_nearest(const struct ebb_traj_box *b, int32_t *x, int32_t *y,
                                    int32_t *z)
{
    uint32_t k = (uint32_t)ebb_traj_round((float)*z * b->inv_z);
    *z = (int32_t)((uint32_t)*z - k * (uint32_t)b->zz);
    *y = (int32_t)((uint32_t)*y - k * (uint32_t)b->zy);
    *x = (int32_t)((uint32_t)*x - k * (uint32_t)b->zx);
    k = (uint32_t)ebb_traj_round((float)*y * b->inv_y);
    *y = (int32_t)((uint32_t)*y - k * (uint32_t)b->yy);
    *x = (int32_t)((uint32_t)*x - k * (uint32_t)b->yx);
    k = (uint32_t)ebb_traj_round((float)*x * b->inv_x);
    *x = (int32_t)((uint32_t)*x - k * (uint32_t)b->xx);
}

/* The box in lattice units; all zero unless it is lower-triangular, finite, and between 4 and
 * EBB_TRAJ_LATTICE_MAX lattice points wide. */
void ebb_traj_box_make(const float box[9], double quantum, struct ebb_traj_box *ret);

/* Of one coordinate; 0 where *ret_in is 0: NaN or beyond the lattice. Adding 1.5 * 2^52 leaves the
 * nearest whole number in the low bits; ties go to even. */
EBB_HD int32_t ebb_traj_quantise(double x, double inverse, int *ret_in)
{
    double t = x * inverse;
    const int in = (t > -EBB_TRAJ_LATTICE_MAX) & (t < EBB_TRAJ_LATTICE_MAX);
    t = in ? t : 0.0;
    *ret_in = in;
    return (int32_t)((t + 6755399441055744.0) - 6755399441055744.0);
}
EBB_HD float ebb_traj_dequantise(int32_t q, double quantum)
{
    return (float)((double)q * quantum);
}

/* q = x / quantum to the nearest; *ret_odd counts those that are NaN or beyond the lattice, whose q
 * is 0. n floats. */
void ebb_traj_quantise_f32(const float *x, size_t n, double inverse, int32_t *q, uint32_t *ret_odd);
void ebb_traj_quantise_f64(const double *x, size_t n, double inverse, int32_t *q,
                           uint32_t *ret_odd);
void ebb_traj_dequantise_f32(const int32_t *q, size_t n, double quantum, float *x);
void ebb_traj_dequantise_f64(const int32_t *q, size_t n, double quantum, double *x);
/* True when q stands for x: finite, and inside the lattice. */
bool ebb_traj_on_lattice(double x, double inverse);
/* Coordinates outside the box as ebb_traj_wrap leaves them, of n atoms. */
void ebb_traj_count_outside(const int32_t *q, size_t n, const struct ebb_traj_box *b,
                            uint32_t *ret);

#endif
