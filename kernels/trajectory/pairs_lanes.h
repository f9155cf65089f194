/* Distances of WIDTH pairs at once.
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

FUNCTION vi LANE(bits_of)(vf x)
{
    return LANE(load)(&x);
}

TARGET static void LANE(measure)(struct ebb_traj_pairs *p, const struct block *d,
                                 const struct ebb_traj_box *box)
{
    for (unsigned j = 0; j < p->count; j += WIDTH) {
        const struct LANE(real) v = LANE(real_vector)(LANE(nearest)(box, LANE(block_load)(d, j)));
        LANE(store)(p->x + j, LANE(bits_of)(v.x));
        LANE(store)(p->y + j, LANE(bits_of)(v.y));
        LANE(store)(p->z + j, LANE(bits_of)(v.z));
        LANE(store)
        (p->distance + j, LANE(bits_of)(LANE(root)((v.x * v.x + v.y * v.y) + v.z * v.z)));
    }
}

/* Squared distances as floats' bits, which are ordered as the floats are; how far before takes the
 * lowest five of them. */
TARGET static void LANE(near_before)(const struct ebb_traj_row *r, uint32_t begin, uint32_t end,
                                     const struct ebb_traj_box *box, uint32_t *ret)
{
    const vi none = LANE(splat)(UINT32_MAX), high = LANE(splat)(~31u);
    for (uint32_t i = begin; i < end; i += WIDTH) {
        const struct LANE(vector)
            at = {LANE(load)(r->x + i), LANE(load)(r->y + i), LANE(load)(r->z + i)};
        const vi molecule = LANE(load)(r->molecule + i);
        vi least = none;
        for (uint32_t k = EBB_TRAJ_WINDOW; k > 0; k--) {
            const struct LANE(vector) before = {LANE(load)(r->x + i - k), LANE(load)(r->y + i - k),
                                                LANE(load)(r->z + i - k)};
            const struct LANE(real) v =
                LANE(real_vector)(LANE(nearest)(box, LANE(minus)(at, before)));
            vi bits = LANE(bits_of)((v.x * v.x + v.y * v.y) + v.z * v.z);
            bits = LANE(pick)(LANE(equal)(molecule, LANE(load)(r->molecule + i - k)),
                              (bits & high) | LANE(splat)(k), none);
            least = LANE(pick)(LANE(below)(bits, least), bits, least);
        }
        LANE(store)(ret + i, least);
    }
}

#undef FUNCTION
#undef vm
#undef vf
#undef vi
#undef LANE
#undef JOIN
#undef JOIN_
