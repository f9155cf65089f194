/* What neighbours lead to expect, for WIDTH sites of a block at once.
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

FUNCTION vf LANE(load_float)(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Sites from[0..WIDTH) of `moved`. Vectors of four are loaded and transposed: gathers are slower.
 */
#if WIDTH == 1
FUNCTION struct real1 moved_of1(const struct ebb_traj_near *n, const uint32_t *from)
{
    const float *m = n->moved + 4 * (size_t)from[0];
    return (struct real1){m[0], m[1], m[2]};
}
#elif WIDTH == 8
FUNCTION struct real8 moved_of8(const struct ebb_traj_near *n, const uint32_t *from)
{
    __m256 r[4];
    for (unsigned k = 0; k < 4; k++)
        r[k] = _mm256_insertf128_ps(
            _mm256_castps128_ps256(_mm_loadu_ps(n->moved + 4 * (size_t)from[k])),
            _mm_loadu_ps(n->moved + 4 * (size_t)from[k + 4]), 1);
    const __m256 xy0 = _mm256_unpacklo_ps(r[0], r[1]), z0 = _mm256_unpackhi_ps(r[0], r[1]),
                 xy1 = _mm256_unpacklo_ps(r[2], r[3]), z1 = _mm256_unpackhi_ps(r[2], r[3]);
    return (struct real8){(vf8)_mm256_shuffle_ps(xy0, xy1, 0x44),
                          (vf8)_mm256_shuffle_ps(xy0, xy1, 0xee),
                          (vf8)_mm256_shuffle_ps(z0, z1, 0x44)};
}
#else
FUNCTION struct real16 moved_of16(const struct ebb_traj_near *n, const uint32_t *from)
{
    __m512 r[4];
    for (unsigned k = 0; k < 4; k++) {
        r[k] = _mm512_castps128_ps512(_mm_loadu_ps(n->moved + 4 * (size_t)from[k]));
        r[k] = _mm512_insertf32x4(r[k], _mm_loadu_ps(n->moved + 4 * (size_t)from[k + 4]), 1);
        r[k] = _mm512_insertf32x4(r[k], _mm_loadu_ps(n->moved + 4 * (size_t)from[k + 8]), 2);
        r[k] = _mm512_insertf32x4(r[k], _mm_loadu_ps(n->moved + 4 * (size_t)from[k + 12]), 3);
    }
    const __m512 xy0 = _mm512_unpacklo_ps(r[0], r[1]), z0 = _mm512_unpackhi_ps(r[0], r[1]),
                 xy1 = _mm512_unpacklo_ps(r[2], r[3]), z1 = _mm512_unpackhi_ps(r[2], r[3]);
    return (struct real16){(vf16)_mm512_shuffle_ps(xy0, xy1, 0x44),
                           (vf16)_mm512_shuffle_ps(xy0, xy1, 0xee),
                           (vf16)_mm512_shuffle_ps(z0, z1, 0x44)};
}
#endif

/* Bytes of `way` stand at the top of a word, so are 2^24 times too large. */
FUNCTION struct LANE(vector)
    LANE(expect_near)(const struct ebb_traj_near *n, const struct ebb_traj_near_block *b,
                      float same, float along, const float *share, unsigned j)
{
    const vf zero = LANE(splatf)(0.0f);
    struct LANE(real) s = {zero, zero, zero}, l = s;
    for (size_t k = b->slots_at; k < (size_t)b->slots_at + b->slots; k++) {
        const struct LANE(real) m = LANE(moved_of)(n, n->from + EBB_TRAJ_NEAR_LANES * k + j);
        const vi way = LANE(load)(n->way + EBB_TRAJ_NEAR_LANES * k + j);
        const vf x = LANE(real)(way << 24), y = LANE(real)((way << 16) & LANE(splat)(0xff000000)),
                 z = LANE(real)((way << 8) & LANE(splat)(0xff000000));
        const vf t = (x * m.x + y * m.y) + z * m.z;
        s = (struct LANE(real)){s.x + m.x, s.y + m.y, s.z + m.z};
        l = (struct LANE(real)){l.x + x * t, l.y + y * t, l.z + z * t};
    }
    const vf ws = LANE(splatf)(same), wl = LANE(splatf)(along), f = LANE(load_float)(share + j);
    return (struct LANE(vector)){LANE(round)((ws * s.x + wl * l.x) * f),
                                 LANE(round)((ws * s.y + wl * l.y) * f),
                                 LANE(round)((ws * s.z + wl * l.z) * f)};
}

TARGET static void LANE(expect_block)(const struct ebb_traj_near *n,
                                      const struct ebb_traj_near_block *b, float same, float along,
                                      const float *share, struct block *ret)
{
    for (unsigned j = 0; j < EBB_TRAJ_NEAR_LANES; j += WIDTH)
        LANE(block_store)(ret, j, LANE(expect_near)(n, b, same, along, share, j));
}

/* A block's numbers, those of free sites, to the lattice's; or back, with the moves to `moves`. */
TARGET static void LANE(turn_block)(const struct ebb_traj_near *n,
                                    const struct ebb_traj_near_block *b, float same, float along,
                                    const float *share, struct block *numbers, struct block *moves)
{
    for (unsigned j = 0; j < EBB_TRAJ_NEAR_LANES; j += WIDTH) {
        const struct LANE(vector) e = LANE(expect_near)(n, b, same, along, share, j);
        struct LANE(vector) v = LANE(block_load)(numbers, j);
        v = (struct LANE(vector)){LANE(unzigzag)(v.x), LANE(unzigzag)(v.y), LANE(unzigzag)(v.z)};
        v = moves == NULL ? LANE(minus)(v, e) : LANE(plus)(v, e);
        LANE(block_store)
        (numbers, j,
         (struct LANE(vector)){LANE(zigzag)(v.x), LANE(zigzag)(v.y), LANE(zigzag)(v.z)});
        if (moves != NULL) {
            const struct LANE(real) m = LANE(real_vector)(v);
            memcpy(moves->x + j, &m.x, sizeof m.x);
            memcpy(moves->y + j, &m.y, sizeof m.y);
            memcpy(moves->z + j, &m.z, sizeof m.z);
        }
    }
}

/* Numbers of the sites i to i + count, count at most WIDTH, that are `n` apart along the axes. */
FUNCTION struct LANE(vector) LANE(take_row)(const uint32_t *numbers, size_t n, unsigned count)
{
    struct LANE(vector) v = {LANE(splat)(0), LANE(splat)(0), LANE(splat)(0)};
    if (count >= WIDTH)
        return (struct LANE(vector)){LANE(load)(numbers), LANE(load)(numbers + n),
                                     LANE(load)(numbers + 2 * n)};
    memcpy(&v.x, numbers, count * sizeof *numbers);
    memcpy(&v.y, numbers + n, count * sizeof *numbers);
    memcpy(&v.z, numbers + 2 * n, count * sizeof *numbers);
    return v;
}

FUNCTION void LANE(give_row)(struct LANE(vector) v, size_t n, unsigned count, uint32_t *numbers)
{
    if (count >= WIDTH) {
        LANE(store)(numbers, v.x);
        LANE(store)(numbers + n, v.y);
        LANE(store)(numbers + 2 * n, v.z);
        return;
    }
    memcpy(numbers, &v.x, count * sizeof *numbers);
    memcpy(numbers + n, &v.y, count * sizeof *numbers);
    memcpy(numbers + 2 * n, &v.z, count * sizeof *numbers);
}

FUNCTION void LANE(give_moves)(struct LANE(real) m, unsigned count, float *moved)
{
    float x[WIDTH], y[WIDTH], z[WIDTH];
    memcpy(x, &m.x, sizeof x);
    memcpy(y, &m.y, sizeof y);
    memcpy(z, &m.z, sizeof z);
    for (unsigned j = 0; j < count; j++) {
        moved[4 * j] = x[j];
        moved[4 * j + 1] = y[j];
        moved[4 * j + 2] = z[j];
    }
}

/* One level of a crystal, whose blocks' sites follow each other. */
TARGET static void LANE(turn_level)(const struct ebb_traj_near *n, unsigned level, float same,
                                    float along, bool decode, uint32_t *numbers)
{
    for (uint32_t b = n->level_block[level]; b < n->level_block[level + 1]; b++) {
        const struct ebb_traj_near_block *block = &n->block[b];
        const float *share = n->share + (size_t)EBB_TRAJ_NEAR_LANES * b;
        for (unsigned j = 0; j < block->sites; j += WIDTH) {
            const uint32_t site = n->site[(size_t)EBB_TRAJ_NEAR_LANES * b + j];
            const unsigned left = block->sites - j, count = left < WIDTH ? left : WIDTH;
            const struct LANE(vector) e = LANE(expect_near)(n, block, same, along, share, j);
            struct LANE(vector) v = LANE(take_row)(numbers + site, n->n, count);
            v = (struct LANE(vector)){LANE(unzigzag)(v.x), LANE(unzigzag)(v.y),
                                      LANE(unzigzag)(v.z)};
            v = decode ? LANE(plus)(v, e) : LANE(minus)(v, e);
            LANE(give_row)
            ((struct LANE(vector)){LANE(zigzag)(v.x), LANE(zigzag)(v.y), LANE(zigzag)(v.z)}, n->n,
             count, numbers + site);
            if (decode)
                LANE(give_moves)(LANE(real_vector)(v), count, n->moved + 4 * (size_t)site);
        }
    }
}

#undef FUNCTION
#undef vm
#undef vf
#undef vi
#undef LANE
#undef JOIN
#undef JOIN_
