/* Contexts of WIDTH molecules at once.
 *
 * No include guard: the includer sets WIDTH and TARGET. */

#include "kernels/trajectory/model_lanes.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)
#define LANE(name)  JOIN(name, WIDTH)
#define vi          LANE(vi)
#define vf          LANE(vf)
#define vm          LANE(vm)
#define FUNCTION    TARGET static inline __attribute__((always_inline))

/* 1 where x is at least y. */
FUNCTION vi LANE(reaches)(vf x, vf y)
{
    return LANE(pick)(LANE(lessf)(x, y), LANE(splat)(0), LANE(splat)(1));
}

/* How far v is from the edge of its face: 0 to 3; and 4 where the second component along the axes
 * after the longest is longer than the third. */
FUNCTION vi LANE(margin)(struct LANE(real) v)
{
    const struct LANE(real) o = LANE(turn_real)(LANE(axis)(v), v);
    const vf x = LANE(abs)(o.x), y = LANE(abs)(o.y), z = LANE(abs)(o.z);
    const vf d = x - LANE(max)(y, z);
    const vi steps = LANE(reaches)(d, x * LANE(splatf)(0.125f)) +
                     LANE(reaches)(d, x * LANE(splatf)(0.25f)) +
                     LANE(reaches)(d, x * LANE(splatf)(0.5f));
    return steps + LANE(pick)(LANE(lessf)(z, y), LANE(splat)(4), LANE(splat)(0));
}

/* How long a component is, in sixths of the radius: 0 to 3. */
FUNCTION vi LANE(length_of)(vf x, float sixth)
{
    x = LANE(abs)(x);
    return LANE(reaches)(x, LANE(splatf)(sixth)) + LANE(reaches)(x, LANE(splatf)(2.0f * sixth)) +
           LANE(reaches)(x, LANE(splatf)(3.0f * sixth));
}

/* The zigzag number of -v instead of v where `by` is below zero. */
FUNCTION vi LANE(turned)(vi number, vf by)
{
    const vi one = LANE(splat)(1), other = ((number - one) ^ one) + one;
    const vi turned = LANE(pick)(LANE(equal)(number, LANE(splat)(0)), number, other);
    return LANE(pick)(LANE(lessf)(by, LANE(splatf)(0.0f)), turned, number);
}

FUNCTION void LANE(face_context)(const struct context_pass *s, uint32_t i)
{
    const struct LANE(real) last = LANE(real_vector)(LANE(load_vector)(s->last + i, s->n));
    LANE(store)(s->contexts + i, LANE(margin)(last));
}

FUNCTION void LANE(sphere_context)(const struct context_pass *s, uint32_t i)
{
    const struct LANE(real) last = LANE(real_vector)(LANE(load_vector)(s->last + i, s->n));
    const vi faces = LANE(load)(s->faces + i), face = faces - faces / 6 * LANE(splat)(6);
    const struct LANE(real) w = LANE(turn_real)(LANE(turned_axis)(LANE(axis)(last), face), last);
    LANE(store)(s->contexts + i, LANE(length_of)(w.y, s->sixth));
    LANE(store)(s->contexts + s->n + i, LANE(length_of)(w.z, s->sixth));
    LANE(store)(s->numbers + i, LANE(turned)(LANE(load)(s->numbers + i), w.y));
    LANE(store)(s->numbers + s->n + i, LANE(turned)(LANE(load)(s->numbers + s->n + i), w.z));
}

/* Where the third site is expected, and across what it and the second one stand. */
FUNCTION struct LANE(real)
    LANE(expect_third)(const struct context_pass *s, uint32_t i, struct LANE(real) * ret_cross)
{
    const struct LANE(real) a = LANE(real_vector)(LANE(load_vector)(s->a + i, s->n)),
                            last = LANE(real_vector)(LANE(load_vector)(s->last + i, s->n));
    const struct LANE(real) e = LANE(expect_circle)(LANE(splatf)(s->circle), LANE(splatf)(s->ab),
                                                    LANE(splatf)(s->inverse_a2), a, last);
    *ret_cross = LANE(cross)(a, e);
    return e;
}

FUNCTION void LANE(arc_context)(const struct context_pass *s, uint32_t i)
{
    struct LANE(real) cross;
    (void)LANE(expect_third)(s, i, &cross);
    LANE(store)(s->contexts + i, LANE(margin)(cross));
}

FUNCTION void LANE(circle_context)(const struct context_pass *s, uint32_t i)
{
    struct LANE(real) cross;
    const struct LANE(real) e = LANE(expect_third)(s, i, &cross);
    const vi arcs = LANE(load)(s->faces + i), arc = arcs - arcs / 6 * LANE(splat)(6);
    const vf x = LANE(turn_real)(LANE(turned_axis)(LANE(axis)(cross), arc), e).x;
    LANE(store)(s->contexts + i, LANE(length_of)(x, s->sixth));
    LANE(store)(s->numbers + i, LANE(turned)(LANE(load)(s->numbers + i), x));
}

/* Molecules from `i` on by whole vectors; returns where they end. */
TARGET static uint32_t LANE(run)(const struct context_pass *s, enum ebb_traj_stream_kind kind,
                                 uint32_t i)
{
    for (; i + WIDTH <= s->n; i += WIDTH) {
        if (kind == EBB_TRAJ_STREAM_FACE)
            LANE(face_context)(s, i);
        else if (kind == EBB_TRAJ_STREAM_SPHERE)
            LANE(sphere_context)(s, i);
        else if (kind == EBB_TRAJ_STREAM_ARC)
            LANE(arc_context)(s, i);
        else
            LANE(circle_context)(s, i);
    }
    return i;
}

#undef FUNCTION
#undef vm
#undef vf
#undef vi
#undef LANE
#undef JOIN
#undef JOIN_
