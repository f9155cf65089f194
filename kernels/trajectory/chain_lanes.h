/* The arithmetic of bonded atoms for WIDTH of them at once.
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

FUNCTION vf LANE(load_real)(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

FUNCTION vi LANE(sphere_of)(vf radius2, vi v1, vi v2)
{
    const vf f1 = LANE(real)(v1), f2 = LANE(real)(v2);
    return LANE(round)(LANE(root)((radius2 - f1 * f1) - f2 * f2));
}

/* links->seen is the atom from its parent (encoder: the truth; decoder: the result), number[0..2]
 * (decoder: given[0..2]) the numbers of the streams: the two coordinates, and face with residual.
 */
FUNCTION void LANE(link_sphere_encode)(const struct pass *s, struct links *links, uint32_t j)
{
    const vf weight = LANE(splatf)(s->sphere);
    const struct LANE(vector) d = LANE(block_load)(&links->seen, j),
                              last = LANE(block_load)(&links->last, j);
    const vi axis = LANE(axis)(LANE(real_vector)(d)),
             last_axis = LANE(axis)(LANE(real_vector)(last));
    const struct LANE(vector) v = LANE(turn)(axis, d), w = LANE(turn)(axis, last);
    const vi negative = LANE(negative)(v.x);
    const vi root = LANE(sphere_of)(LANE(load_real)(links->b2 + j), v.y, v.z);
    LANE(store)(links->number[0] + j, LANE(zigzag)(v.y - LANE(round)(weight * LANE(real)(w.y))));
    LANE(store)(links->number[1] + j, LANE(zigzag)(v.z - LANE(round)(weight * LANE(real)(w.z))));
    LANE(store)
    (links->number[2] + j, LANE(zigzag)(LANE(with_sign)(v.x, negative) - root) * LANE(splat)(6) +
                               LANE(relative_face)(axis, last_axis, negative, LANE(negative)(w.x)));
}

FUNCTION void LANE(link_sphere_decode)(const struct pass *s, struct links *links, uint32_t j)
{
    const vf weight = LANE(splatf)(s->sphere);
    const struct LANE(vector) last = LANE(block_load)(&links->last, j);
    const vi all = LANE(load)(links->given[2] + j), rest = all / 6,
             face = all - rest * LANE(splat)(6);
    const vi axis = LANE(turned_axis)(LANE(axis)(LANE(real_vector)(last)), face);
    const struct LANE(vector) w = LANE(turn)(axis, last);
    const vi negative = (face & LANE(splat)(1)) ^ LANE(negative)(w.x);
    const vi v1 =
        LANE(unzigzag)(LANE(load)(links->given[0] + j)) + LANE(round)(weight * LANE(real)(w.y));
    const vi v2 =
        LANE(unzigzag)(LANE(load)(links->given[1] + j)) + LANE(round)(weight * LANE(real)(w.z));
    const vi v0 = LANE(sphere_of)(LANE(load_real)(links->b2 + j), v1, v2) + LANE(unzigzag)(rest);
    const struct LANE(vector) v = {LANE(with_sign)(v0, negative), v1, v2};
    LANE(block_store)(&links->seen, j, LANE(turn_back)(axis, v));
}

/* The circle that an atom is on: around the arm a, with a.b = ab; where on it the atom is expected.
 */
struct LANE(circle) {
    struct LANE(real) a, expected, cross;
    vf b2, ab;
    vi axis; /* the longest component of `cross` */
};

FUNCTION struct LANE(circle)
    LANE(circle_of)(const struct pass *s, const struct links *links, uint32_t j)
{
    struct LANE(circle) c;
    c.a = LANE(real_vector)(LANE(block_load)(&links->arm, j));
    const vf a2 = (c.a.x * c.a.x + c.a.y * c.a.y) + c.a.z * c.a.z;
    c.b2 = LANE(load_real)(links->b2 + j);
    c.ab = ((a2 + c.b2) - LANE(load_real)(links->c2 + j)) * LANE(splatf)(0.5f);
    c.expected = LANE(expect_circle)(LANE(splatf)(s->circle), c.ab,
                                     LANE(splatf)(1.0f) / LANE(max)(a2, LANE(splatf)(1.0f)), c.a,
                                     LANE(real_vector)(LANE(block_load)(&links->last, j)));
    c.cross = LANE(cross)(c.a, c.expected);
    c.axis = LANE(axis)(c.cross);
    return c;
}

/* The two coordinates that the circle tells are a little wrong, since the angle gives way: the
 * smaller one is corrected first, then the larger follows from the bond's length, which is stiffer.
 */
struct LANE(order) {
    vm swapped;
    vi soft, negative; /* the smaller one; the sign of the larger one */
};

FUNCTION struct LANE(order)
    LANE(order_of)(const struct LANE(circle) * c, vi axis, vi v0, vi negative)
{
    vi m1, m2;
    LANE(circle_roots)(c->b2, c->ab, LANE(turn_real)(axis, c->a), v0, negative, &m1, &m2);
    const vm swapped = LANE(lessf)(LANE(abs)(LANE(real)(m2)), LANE(abs)(LANE(real)(m1)));
    return (struct LANE(order)){swapped, LANE(pick)(swapped, m2, m1),
                                LANE(negative)(LANE(pick)(swapped, m1, m2))};
}

/* number[0..2]: the coordinate on the circle; arc with the stiff residual; the soft residual. */
FUNCTION void LANE(link_circle_encode)(const struct pass *s, struct links *links, uint32_t j)
{
    const struct LANE(circle) c = LANE(circle_of)(s, links, j);
    const struct LANE(vector) d = LANE(block_load)(&links->seen, j);
    const struct LANE(real) cross = LANE(cross)(c.a, LANE(real_vector)(d));
    const vi axis = LANE(axis)(cross);
    const struct LANE(vector) v = LANE(turn)(axis, d);
    const vi negative = LANE(negative_real)(LANE(turn_real)(axis, cross).x),
             last_negative = LANE(negative_real)(LANE(turn_real)(axis, c.cross).x);
    const struct LANE(order) o = LANE(order_of)(&c, axis, v.x, negative);
    const vi soft = LANE(pick)(o.swapped, v.z, v.y), stiff = LANE(pick)(o.swapped, v.y, v.z);
    const vi root = LANE(sphere_of)(c.b2, v.x, soft);
    LANE(store)
    (links->number[0] + j, LANE(zigzag)(v.x - LANE(whole)(LANE(turn_real)(axis, c.expected).x)));
    LANE(store)
    (links->number[1] + j,
     LANE(zigzag)(LANE(with_sign)(stiff, o.negative) - root) * LANE(splat)(6) +
         LANE(relative_face)(axis, c.axis, negative, last_negative));
    LANE(store)(links->number[2] + j, LANE(zigzag)(soft - o.soft));
}

FUNCTION void LANE(link_circle_decode)(const struct pass *s, struct links *links, uint32_t j)
{
    const struct LANE(circle) c = LANE(circle_of)(s, links, j);
    const vi all = LANE(load)(links->given[1] + j), rest = all / 6,
             arc = all - rest * LANE(splat)(6);
    const vi axis = LANE(turned_axis)(c.axis, arc);
    const vi negative =
        (arc & LANE(splat)(1)) ^ LANE(negative_real)(LANE(turn_real)(axis, c.cross).x);
    const vi v0 = LANE(unzigzag)(LANE(load)(links->given[0] + j)) +
                  LANE(whole)(LANE(turn_real)(axis, c.expected).x);
    const struct LANE(order) o = LANE(order_of)(&c, axis, v0, negative);
    const vi soft = o.soft + LANE(unzigzag)(LANE(load)(links->given[2] + j));
    const vi stiff =
        LANE(with_sign)(LANE(sphere_of)(c.b2, v0, soft) + LANE(unzigzag)(rest), o.negative);
    const struct LANE(vector)
        v = {v0, LANE(pick)(o.swapped, stiff, soft), LANE(pick)(o.swapped, soft, stiff)};
    LANE(block_store)(&links->seen, j, LANE(turn_back)(axis, v));
}

/* From the places of atoms (links->last) and parents (links->arm): the atoms from their parents in
 * links->seen, and in number[0] whether they lead back (0). A residual times six must stay below
 * 2^32: farther out the atom is a miss, coded as if at rest. */
FUNCTION void LANE(link_look)(const struct pass *s, struct links *links, uint32_t j)
{
    const struct LANE(vector) truth = LANE(block_load)(&links->last, j),
                              parent = LANE(block_load)(&links->arm, j);
    struct LANE(vector) d = LANE(nearest)(s->context->box, LANE(minus)(truth, parent));
    const vi half = LANE(splat)(1u << 24), whole = LANE(splat)(1u << 25), zero = LANE(splat)(0);
    vi near = LANE(pick)(LANE(below)(d.x + half, whole), LANE(splat)(UINT32_MAX), zero);
    near = LANE(pick)(LANE(below)(d.y + half, whole), near, zero);
    near = LANE(pick)(LANE(below)(d.z + half, whole), near, zero);
    d = (struct LANE(vector)){d.x & near, d.y & near, d.z & near};
    const struct LANE(vector) m = LANE(wrap)(s->context->box, LANE(plus)(parent, d));
    LANE(block_store)(&links->seen, j, d);
    LANE(store)(links->number[0] + j, (m.x ^ truth.x) | (m.y ^ truth.y) | (m.z ^ truth.z));
}

TARGET static void LANE(look_run)(const struct pass *s, struct links *links, uint32_t count)
{
    for (uint32_t j = 0; j < count; j += WIDTH)
        LANE(link_look)(s, links, j);
}

/* `count` links, rounded up to whole vectors: what lies beyond them is room. */
TARGET static void LANE(link_run)(const struct pass *s, struct links *links, uint32_t count,
                                  bool circle, bool encode)
{
    for (uint32_t j = 0; j < count; j += WIDTH) {
        if (circle && encode)
            LANE(link_circle_encode)(s, links, j);
        else if (circle)
            LANE(link_circle_decode)(s, links, j);
        else if (encode)
            LANE(link_sphere_encode)(s, links, j);
        else
            LANE(link_sphere_decode)(s, links, j);
    }
}

#undef FUNCTION
#undef vm
#undef vf
#undef vi
#undef LANE
#undef JOIN
#undef JOIN_
