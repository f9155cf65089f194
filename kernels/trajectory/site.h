/* The arithmetic of one site, shared by the encoder's and the decoder's loops. All of it is float
 * without contraction and whole numbers that wrap, in this order of operations: the format. */
#ifndef EBB_KERNELS_TRAJECTORY_SITE_H
#define EBB_KERNELS_TRAJECTORY_SITE_H

#include <math.h>

#include "kernels/trajectory/lattice.h"

/* Residuals are joined with the face or arc (6 of them) into one number; larger ones are misses. */
#define EBB_TRAJ_FACE_RESIDUALS    42 /* zigzag numbers */
#define EBB_TRAJ_ARC_RESIDUALS     6
#define EBB_TRAJ_VIRTUAL_RESIDUALS 5

struct ebb_traj_vector {
    int32_t x, y, z;
};
struct ebb_traj_real {
    float x, y, z;
};

static inline struct ebb_traj_real ebb_traj_real_of(struct ebb_traj_vector v)
{
    return (struct ebb_traj_real){(float)v.x, (float)v.y, (float)v.z};
}
static inline struct ebb_traj_real ebb_traj_cross(struct ebb_traj_real u, struct ebb_traj_real v)
{
    return (struct ebb_traj_real){u.y * v.z - u.z * v.y, u.z * v.x - u.x * v.z,
                                  u.x * v.y - u.y * v.x};
}
/* The longest component: 0, 1 or 2, the first of equals. */
static inline int32_t ebb_traj_axis(struct ebb_traj_real v)
{
    const float x = fabsf(v.x), y = fabsf(v.y), z = fabsf(v.z);
    const int32_t axis = y > x ? 1 : 0;
    const float most = y > x ? y : x;
    return z > most ? 2 : axis;
}
/* Component `axis`, and the two that follow it cyclically. */
#define EBB_TRAJ_PICK0(axis, v) ((axis) == 0 ? (v).x : (axis) == 1 ? (v).y : (v).z)
#define EBB_TRAJ_PICK1(axis, v) ((axis) == 0 ? (v).y : (axis) == 1 ? (v).z : (v).x)
#define EBB_TRAJ_PICK2(axis, v) ((axis) == 0 ? (v).z : (axis) == 1 ? (v).x : (v).y)

static inline struct ebb_traj_vector ebb_traj_assemble(int32_t axis, int32_t v0, int32_t v1,
                                                       int32_t v2)
{
    return (struct ebb_traj_vector){
        axis == 0 ? v0 : (axis == 1 ? v2 : v1),
        axis == 0 ? v1 : (axis == 1 ? v0 : v2),
        axis == 0 ? v2 : (axis == 1 ? v1 : v0),
    };
}
static inline float ebb_traj_root(float x)
{
    return sqrtf(x > 0.0f ? x : 0.0f);
}
/* The absolute third coordinate of a point on the sphere. */
static inline int32_t ebb_traj_sphere(float radius2, int32_t v1, int32_t v2)
{
    const float f1 = (float)v1, f2 = (float)v2;
    return ebb_traj_round(ebb_traj_root((radius2 - f1 * f1) - f2 * f2));
}
/* The third site's direction as the last frame has it, turned with the second site: the part along
 * a is known, the rest is carried over in part. */
static inline struct ebb_traj_real ebb_traj_expect_b(struct ebb_traj_real a,
                                                     struct ebb_traj_real last, float weight,
                                                     float ab, float inverse_a2)
{
    const float along = (last.x * a.x + last.y * a.y) + last.z * a.z;
    const float add = (ab - weight * along) * inverse_a2;
    const struct ebb_traj_real p = {weight * last.x + add * a.x, weight * last.y + add * a.y,
                                    weight * last.z + add * a.z};
    return (struct ebb_traj_real){(float)ebb_traj_round(p.x), (float)ebb_traj_round(p.y),
                                  (float)ebb_traj_round(p.z)};
}
/* On the circle |b|^2 = b2, a.b = ab: the other two coordinates, given coordinate v0 along `axis`
 * and the sign of (a x b) along it. */
static inline void ebb_traj_circle(int32_t axis, struct ebb_traj_real a, float b2, float ab,
                                   int32_t v0, bool negative, int32_t *ret_v1, int32_t *ret_v2)
{
    const float a0 = EBB_TRAJ_PICK0(axis, a), a1 = EBB_TRAJ_PICK1(axis, a),
                a2 = EBB_TRAJ_PICK2(axis, a), f0 = (float)v0;
    const float m = ab - a0 * f0;
    float n = a1 * a1 + a2 * a2;
    n = n > 1.0f ? n : 1.0f;
    const float s = b2 - f0 * f0;
    float t = ebb_traj_root(n * s - m * m);
    t = negative ? -t : t;
    *ret_v1 = ebb_traj_round((m * a1 - t * a2) / n);
    *ret_v2 = ebb_traj_round((m * a2 + t * a1) / n);
}
/* Pairs of numbers by their larger one (Szudzik): small pairs give small numbers. */
static inline uint32_t ebb_traj_pair(uint32_t p, uint32_t q)
{
    return p < q ? q * q + p : p * p + p + q;
}
static inline void ebb_traj_unpair(uint32_t pair, uint32_t *ret_p, uint32_t *ret_q)
{
    const uint32_t m = (uint32_t)(pair >= 1) + (uint32_t)(pair >= 4) + (uint32_t)(pair >= 9) +
                       (uint32_t)(pair >= 16) + (uint32_t)(pair >= 25);
    const uint32_t rest = pair - m * m;
    *ret_p = rest < m ? rest : m;
    *ret_q = rest < m ? m : rest - m;
}

#endif
