/* The arithmetic of the models, for WIDTH sites at once: included once for each width, and the same
 * bits at each. All of it is float without contraction and whole numbers that wrap, in this order
 * of operations: the format. Components are stored x of all, y of all, z of all, `sites` apart.
 *
 * No include guard: the includer sets WIDTH (1, 8, 16) and TARGET (the attribute for it). */

#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)
#define LANE(name)  JOIN(name, WIDTH)
#define vi          LANE(vi)
#define vf          LANE(vf)
#define vm          LANE(vm)
#define FUNCTION    TARGET static inline __attribute__((always_inline))

struct LANE(vector) {
    vi x, y, z;
};
struct LANE(real) {
    vf x, y, z;
};

FUNCTION vi LANE(zigzag)(vi v)
{
    return (v << 1) ^ (LANE(splat)(0) - (v >> 31));
}

FUNCTION vi LANE(unzigzag)(vi z)
{
    return (z >> 1) ^ (LANE(splat)(0) - (z & LANE(splat)(1)));
}

/* Nearest whole number, ties to even, of a value first held to +-2^21. */
FUNCTION vf LANE(round_real)(vf x)
{
    x = LANE(min)(x, LANE(splatf)(2097152.0f));
    x = LANE(max)(x, LANE(splatf)(-2097152.0f));
    return (x + LANE(splatf)(12582912.0f)) - LANE(splatf)(12582912.0f);
}

FUNCTION vi LANE(round)(vf x)
{
    return LANE(whole)(LANE(round_real)(x));
}

FUNCTION struct LANE(vector) LANE(load_vector)(const int32_t *p, size_t apart)
{
    return (struct LANE(vector)){LANE(load)(p), LANE(load)(p + apart), LANE(load)(p + 2 * apart)};
}

FUNCTION void LANE(store_vector)(int32_t *p, size_t apart, struct LANE(vector) v)
{
    LANE(store)(p, v.x);
    LANE(store)(p + apart, v.y);
    LANE(store)(p + 2 * apart, v.z);
}

FUNCTION struct LANE(vector) LANE(block_load)(const struct block *b, uint32_t j)
{
    return (struct LANE(vector)){LANE(load)(b->x + j), LANE(load)(b->y + j), LANE(load)(b->z + j)};
}

FUNCTION void LANE(block_store)(struct block *b, uint32_t j, struct LANE(vector) v)
{
    LANE(store)(b->x + j, v.x);
    LANE(store)(b->y + j, v.y);
    LANE(store)(b->z + j, v.z);
}

FUNCTION struct LANE(vector) LANE(plus)(struct LANE(vector) u, struct LANE(vector) v)
{
    return (struct LANE(vector)){u.x + v.x, u.y + v.y, u.z + v.z};
}

FUNCTION struct LANE(vector) LANE(minus)(struct LANE(vector) u, struct LANE(vector) v)
{
    return (struct LANE(vector)){u.x - v.x, u.y - v.y, u.z - v.z};
}

FUNCTION struct LANE(real) LANE(real_vector)(struct LANE(vector) v)
{
    return (struct LANE(real)){LANE(real)(v.x), LANE(real)(v.y), LANE(real)(v.z)};
}

/* One step towards the box along one axis: 1 below it, -1 at its end or beyond, else 0. */
FUNCTION vi LANE(step)(vi v, int32_t side)
{
    const vi back = LANE(pick)(LANE(less)(v, LANE(splat)((uint32_t)side)), LANE(splat)(0),
                               LANE(splat)(UINT32_MAX));
    return LANE(pick)(LANE(less)(v, LANE(splat)(0)), LANE(splat)(1), back);
}

/* Into the box: z by its third row, then y, then x. */
FUNCTION struct LANE(vector) LANE(wrap)(const struct ebb_traj_box *b, struct LANE(vector) v)
{
    vi k = LANE(step)(v.z, b->zz);
    v.z += k * LANE(splat)((uint32_t)b->zz);
    v.y += k * LANE(splat)((uint32_t)b->zy);
    v.x += k * LANE(splat)((uint32_t)b->zx);
    k = LANE(step)(v.y, b->yy);
    v.y += k * LANE(splat)((uint32_t)b->yy);
    v.x += k * LANE(splat)((uint32_t)b->yx);
    k = LANE(step)(v.x, b->xx);
    v.x += k * LANE(splat)((uint32_t)b->xx);
    return v;
}

/* The image of a difference that is nearest to zero (the encoder's choice). */
FUNCTION struct LANE(vector) LANE(nearest)(const struct ebb_traj_box *b, struct LANE(vector) v)
{
    vi k = LANE(round)(LANE(real)(v.z) * LANE(splatf)(b->inv_z));
    v.z -= k * LANE(splat)((uint32_t)b->zz);
    v.y -= k * LANE(splat)((uint32_t)b->zy);
    v.x -= k * LANE(splat)((uint32_t)b->zx);
    k = LANE(round)(LANE(real)(v.y) * LANE(splatf)(b->inv_y));
    v.y -= k * LANE(splat)((uint32_t)b->yy);
    v.x -= k * LANE(splat)((uint32_t)b->yx);
    k = LANE(round)(LANE(real)(v.x) * LANE(splatf)(b->inv_x));
    v.x -= k * LANE(splat)((uint32_t)b->xx);
    return v;
}

/* The longest component: 0, 1 or 2, the first of equals. */
FUNCTION vi LANE(axis)(struct LANE(real) v)
{
    const vf x = LANE(abs)(v.x), y = LANE(abs)(v.y), z = LANE(abs)(v.z);
    const vm second = LANE(lessf)(x, y);
    const vi axis = LANE(pick)(second, LANE(splat)(1), LANE(splat)(0));
    return LANE(pick)(LANE(lessf)(LANE(max)(x, y), z), LANE(splat)(2), axis);
}

/* v turned so that component `axis` comes first, and back. One at a time on a CPU this is an index:
 * a branch would be guessed wrongly two times in three. */
#if WIDTH == 1 && !defined(__CUDACC__)
FUNCTION struct vector1 turn1(vi1 axis, struct vector1 v)
{
    const vi1 twice[5] = {v.x, v.y, v.z, v.x, v.y};
    return (struct vector1){twice[axis], twice[axis + 1], twice[axis + 2]};
}

FUNCTION struct vector1 turn_back1(vi1 axis, struct vector1 v)
{
    const vi1 twice[6] = {v.x, v.y, v.z, v.x, v.y, v.z};
    return (struct vector1){twice[3 - axis], twice[4 - axis], twice[5 - axis]};
}

FUNCTION struct real1 turn_real1(vi1 axis, struct real1 v)
{
    const vf1 twice[5] = {v.x, v.y, v.z, v.x, v.y};
    return (struct real1){twice[axis], twice[axis + 1], twice[axis + 2]};
}
#else
FUNCTION struct LANE(vector) LANE(turn)(vi axis, struct LANE(vector) v)
{
    const vm x = LANE(equal)(axis, LANE(splat)(0)), y = LANE(equal)(axis, LANE(splat)(1));
    return (struct LANE(vector)){LANE(pick)(x, v.x, LANE(pick)(y, v.y, v.z)),
                                 LANE(pick)(x, v.y, LANE(pick)(y, v.z, v.x)),
                                 LANE(pick)(x, v.z, LANE(pick)(y, v.x, v.y))};
}

FUNCTION struct LANE(vector) LANE(turn_back)(vi axis, struct LANE(vector) v)
{
    const vm x = LANE(equal)(axis, LANE(splat)(0)), y = LANE(equal)(axis, LANE(splat)(1));
    return (struct LANE(vector)){LANE(pick)(x, v.x, LANE(pick)(y, v.z, v.y)),
                                 LANE(pick)(x, v.y, LANE(pick)(y, v.x, v.z)),
                                 LANE(pick)(x, v.z, LANE(pick)(y, v.y, v.x))};
}

FUNCTION struct LANE(real) LANE(turn_real)(vi axis, struct LANE(real) v)
{
    const vm x = LANE(equal)(axis, LANE(splat)(0)), y = LANE(equal)(axis, LANE(splat)(1));
    return (struct LANE(real)){LANE(pickf)(x, v.x, LANE(pickf)(y, v.y, v.z)),
                               LANE(pickf)(x, v.y, LANE(pickf)(y, v.z, v.x)),
                               LANE(pickf)(x, v.z, LANE(pickf)(y, v.x, v.y))};
}
#endif

/* 1 where v is below zero, else 0. */
FUNCTION vi LANE(negative)(vi v)
{
    return v >> 31;
}

FUNCTION vi LANE(negative_real)(vf v)
{
    return LANE(pick)(LANE(lessf)(v, LANE(splatf)(0.0f)), LANE(splat)(1), LANE(splat)(0));
}

/* -v where `negative` is 1. */
FUNCTION vi LANE(with_sign)(vi v, vi negative)
{
    return (v ^ (LANE(splat)(0) - negative)) + negative;
}

FUNCTION vf LANE(root)(vf x)
{
    return LANE(sqrt)(LANE(max)(x, LANE(splatf)(0.0f)));
}

/* The face (or arc) that the new direction is on, told relative to the expected one. */
FUNCTION vi LANE(relative_face)(vi axis, vi last_axis, vi negative, vi last_negative)
{
    vi turn = axis - last_axis;
    turn += LANE(splat)(3) * LANE(negative)(turn);
    return turn + turn + (negative ^ last_negative);
}

FUNCTION vi LANE(turned_axis)(vi last_axis, vi face)
{
    const vi axis = last_axis + (face >> 1);
    return LANE(pick)(LANE(less)(LANE(splat)(2), axis), axis - LANE(splat)(3), axis);
}

/* Expected displacement: a share of the last one and of the way back to the mean position. */
FUNCTION struct LANE(vector) LANE(expect_site)(const struct pass *s, uint32_t i)
{
    const size_t sites = s->part->n;
    const struct LANE(real) last = LANE(real_vector)(LANE(load_vector)(s->part->last + i, sites));
    const struct LANE(real) behind =
        LANE(real_vector)(LANE(load_vector)(s->part->behind + i, sites));
    const vf wl = LANE(splatf)(s->last), wm = LANE(splatf)(s->mean);
    return (struct LANE(vector)){LANE(round)(wl * last.x + wm * behind.x),
                                 LANE(round)(wl * last.y + wm * behind.y),
                                 LANE(round)(wl * last.z + wm * behind.z)};
}

/* The displacement becomes the last one; the sum over the frames so far moves by as many of it. */
FUNCTION void LANE(move_site)(const struct pass *s, uint32_t i, struct LANE(vector) d)
{
    const size_t sites = s->part->n;
    const vi count = LANE(splat)(s->context->before);
    struct LANE(vector) behind = LANE(load_vector)(s->part->behind + i, sites);
    behind.x -= count * d.x;
    behind.y -= count * d.y;
    behind.z -= count * d.z;
    LANE(store_vector)(s->part->behind + i, sites, behind);
    LANE(store_vector)(s->part->last + i, sites, d);
}

FUNCTION void LANE(site_encode)(const struct pass *s, uint32_t i, uint32_t j,
                                const struct block *truth, const struct block *before,
                                struct block *model)
{
    const size_t sites = s->part->n;
    uint32_t *out = s->numbers->of[EBB_TRAJ_STREAM_SITE] + i + j;
    const struct LANE(vector) from = LANE(block_load)(before, j);
    const struct LANE(vector) d =
        LANE(nearest)(s->context->box, LANE(minus)(LANE(block_load)(truth, j), from));
    const struct LANE(vector) rest = LANE(minus)(d, LANE(expect_site)(s, i + j));
    LANE(store)(out, LANE(zigzag)(rest.x));
    LANE(store)(out + sites, LANE(zigzag)(rest.y));
    LANE(store)(out + 2 * sites, LANE(zigzag)(rest.z));
    LANE(move_site)(s, i + j, d);
    LANE(block_store)(model, j, LANE(wrap)(s->context->box, LANE(plus)(from, d)));
}

FUNCTION void LANE(site_decode)(const struct pass *s, uint32_t i, uint32_t j,
                                const struct block *before, struct block *model)
{
    const size_t sites = s->part->n;
    const uint32_t *in = s->numbers->of[EBB_TRAJ_STREAM_SITE] + i + j;
    const struct LANE(vector)
        rest = {LANE(unzigzag)(LANE(load)(in)), LANE(unzigzag)(LANE(load)(in + sites)),
                LANE(unzigzag)(LANE(load)(in + 2 * sites))};
    const struct LANE(vector) d = LANE(plus)(rest, LANE(expect_site)(s, i + j));
    LANE(move_site)(s, i + j, d);
    LANE(block_store)
    (model, j, LANE(wrap)(s->context->box, LANE(plus)(LANE(block_load)(before, j), d)));
}

/* The absolute third coordinate of a point on the sphere, from the other two. */
FUNCTION vi LANE(sphere_root)(float radius2, vi v1, vi v2)
{
    const vf f1 = LANE(real)(v1), f2 = LANE(real)(v2);
    return LANE(round)(LANE(root)((LANE(splatf)(radius2) - f1 * f1) - f2 * f2));
}

/* The second site is done: its direction is kept, its place is the model's. */
FUNCTION void LANE(place)(const struct pass *s, int32_t *state, uint32_t j,
                          const struct block *site, struct LANE(vector) v, struct block *model)
{
    LANE(store_vector)(state, s->part->n, v);
    LANE(block_store)
    (model, j, LANE(wrap)(s->context->box, LANE(plus)(LANE(block_load)(site, j), v)));
}

/* Second site: two coordinates, then the third from the sphere. */
FUNCTION void LANE(sphere_encode)(const struct pass *s, uint32_t i, uint32_t j,
                                  const struct block *site, const struct block *truth,
                                  struct block *model)
{
    const size_t sites = s->part->n;
    uint32_t *out = s->numbers->of[EBB_TRAJ_STREAM_SPHERE] + i + j;
    int32_t *state = s->part->a + i + j;
    const vf weight = LANE(splatf)(s->sphere);
    const struct LANE(vector) d = LANE(nearest)(
        s->context->box, LANE(minus)(LANE(block_load)(truth, j), LANE(block_load)(site, j)));
    const struct LANE(vector) last = LANE(load_vector)(state, sites);
    const vi axis = LANE(axis)(LANE(real_vector)(d)),
             last_axis = LANE(axis)(LANE(real_vector)(last));
    const struct LANE(vector) v = LANE(turn)(axis, d), w = LANE(turn)(axis, last);
    LANE(store)(out, LANE(zigzag)(v.y - LANE(round)(weight * LANE(real)(w.y))));
    LANE(store)(out + sites, LANE(zigzag)(v.z - LANE(round)(weight * LANE(real)(w.z))));
    const vi negative = LANE(negative)(v.x);
    const vi root = LANE(sphere_root)(s->part->rigid.a2, v.y, v.z);
    vi rest = LANE(zigzag)(LANE(with_sign)(v.x, negative) - root);
    rest =
        LANE(pick)(LANE(below)(rest, LANE(splat)(EBB_TRAJ_FACE_RESIDUALS)), rest, LANE(splat)(0));
    LANE(store)
    (s->numbers->of[EBB_TRAJ_STREAM_FACE] + i + j,
     rest * LANE(splat)(6) + LANE(relative_face)(axis, last_axis, negative, LANE(negative)(w.x)));
    const struct LANE(vector)
        m = {LANE(with_sign)(root + LANE(unzigzag)(rest), negative), v.y, v.z};
    LANE(place)(s, state, j, site, LANE(turn_back)(axis, m), model);
}

FUNCTION void LANE(sphere_decode)(const struct pass *s, uint32_t i, uint32_t j,
                                  const struct block *site, struct block *model)
{
    const size_t sites = s->part->n;
    const uint32_t *in = s->numbers->of[EBB_TRAJ_STREAM_SPHERE] + i + j;
    int32_t *state = s->part->a + i + j;
    const vf weight = LANE(splatf)(s->sphere);
    const vi faces = LANE(load)(s->numbers->of[EBB_TRAJ_STREAM_FACE] + i + j);
    const struct LANE(vector) last = LANE(load_vector)(state, sites);
    const vi rest = faces / 6, face = faces - rest * LANE(splat)(6);
    const vi axis = LANE(turned_axis)(LANE(axis)(LANE(real_vector)(last)), face);
    const struct LANE(vector) w = LANE(turn)(axis, last);
    const vi negative = (face & LANE(splat)(1)) ^ LANE(negative)(w.x);
    const vi v1 = LANE(unzigzag)(LANE(load)(in)) + LANE(round)(weight * LANE(real)(w.y));
    const vi v2 = LANE(unzigzag)(LANE(load)(in + sites)) + LANE(round)(weight * LANE(real)(w.z));
    const vi root = LANE(sphere_root)(s->part->rigid.a2, v1, v2);
    const struct LANE(vector) m = {LANE(with_sign)(root + LANE(unzigzag)(rest), negative), v1, v2};
    LANE(place)(s, state, j, site, LANE(turn_back)(axis, m), model);
}

FUNCTION struct LANE(real) LANE(cross)(struct LANE(real) u, struct LANE(real) v)
{
    return (struct LANE(real)){u.y * v.z - u.z * v.y, u.z * v.x - u.x * v.z, u.x * v.y - u.y * v.x};
}

/* The third site's direction as the last frame has it, turned with the second site: the part along
 * a is known, the rest is carried over in part. Whole numbers. */
FUNCTION struct LANE(real) LANE(expect_circle)(vf weight, vf ab, vf inverse_a2, struct LANE(real) a,
                                               struct LANE(real) last)
{
    const vf along = (last.x * a.x + last.y * a.y) + last.z * a.z;
    const vf add = (ab - weight * along) * inverse_a2;
    return (struct LANE(real)){LANE(round_real)(weight * last.x + add * a.x),
                               LANE(round_real)(weight * last.y + add * a.y),
                               LANE(round_real)(weight * last.z + add * a.z)};
}

/* On the circle |b|^2 = b2, a.b = ab: the other two coordinates, given the coordinate v0 along the
 * axis that a is turned to, and whether (a x b) is negative along it. */
FUNCTION void LANE(circle_roots)(vf b2, vf ab, struct LANE(real) a, vi v0, vi negative, vi *ret_v1,
                                 vi *ret_v2)
{
    const vf f0 = LANE(real)(v0);
    const vf m = ab - a.x * f0;
    const vf n = LANE(max)(a.y * a.y + a.z * a.z, LANE(splatf)(1.0f));
    const vf rest = b2 - f0 * f0;
    const vf t = LANE(signedf)(LANE(root)(n * rest - m * m), negative);
    *ret_v1 = LANE(round)((m * a.y - t * a.z) / n);
    *ret_v2 = LANE(round)((m * a.z + t * a.y) / n);
}

/* Pairs of numbers by their larger one (Szudzik 2006): small pairs give small numbers. */
FUNCTION vi LANE(pair)(vi p, vi q)
{
    return LANE(pick)(LANE(less)(p, q), q * q + p, p * p + p + q);
}

FUNCTION vi LANE(count_from)(vi v, uint32_t from)
{
    return LANE(pick)(LANE(below)(v, LANE(splat)(from)), LANE(splat)(0), LANE(splat)(1));
}

FUNCTION void LANE(unpair)(vi pair, vi *ret_p, vi *ret_q)
{
    const vi m = LANE(count_from)(pair, 1) + LANE(count_from)(pair, 4) + LANE(count_from)(pair, 9) +
                 LANE(count_from)(pair, 16) + LANE(count_from)(pair, 25);
    const vi rest = pair - m * m;
    const vm first = LANE(below)(rest, m);
    *ret_p = LANE(pick)(first, rest, m);
    *ret_q = LANE(pick)(first, m, rest - m);
}

/* Third site: one coordinate, then the other two from the circle around the second site's direction
 * (state a, already this frame's). */
FUNCTION void LANE(circle_encode)(const struct pass *s, uint32_t i, uint32_t j,
                                  const struct block *site, const struct block *truth,
                                  struct block *model)
{
    const size_t sites = s->part->n;
    const struct ebb_traj_rigid *rigid = &s->part->rigid;
    int32_t *state = s->part->b + i + j;
    const struct LANE(vector) d = LANE(nearest)(
        s->context->box, LANE(minus)(LANE(block_load)(truth, j), LANE(block_load)(site, j)));
    const struct LANE(real) a = LANE(real_vector)(LANE(load_vector)(s->part->a + i + j, sites));
    const struct LANE(real) last = LANE(real_vector)(LANE(load_vector)(state, sites));
    const struct LANE(real) e = LANE(expect_circle)(
        LANE(splatf)(s->circle), LANE(splatf)(rigid->ab), LANE(splatf)(s->inverse_a2), a, last);
    const struct LANE(real) cross = LANE(cross)(a, LANE(real_vector)(d)),
                            last_cross = LANE(cross)(a, e);
    const vi axis = LANE(axis)(cross), last_axis = LANE(axis)(last_cross);
    const struct LANE(vector) v = LANE(turn)(axis, d);
    const vi negative = LANE(negative_real)(LANE(turn_real)(axis, cross).x);
    const vi last_negative = LANE(negative_real)(LANE(turn_real)(axis, last_cross).x);
    LANE(store)
    (s->numbers->of[EBB_TRAJ_STREAM_CIRCLE] + i + j,
     LANE(zigzag)(v.x - LANE(whole)(LANE(turn_real)(axis, e).x)));
    vi m1, m2;
    LANE(circle_roots)
    (LANE(splatf)(rigid->b2), LANE(splatf)(rigid->ab), LANE(turn_real)(axis, a), v.x, negative, &m1,
     &m2);
    vi r1 = LANE(zigzag)(v.y - m1), r2 = LANE(zigzag)(v.z - m2);
    const vi most = LANE(pick)(LANE(below)(r1, r2), r2, r1);
    const vm fits = LANE(below)(most, LANE(splat)(EBB_TRAJ_ARC_RESIDUALS));
    r1 = LANE(pick)(fits, r1, LANE(splat)(0));
    r2 = LANE(pick)(fits, r2, LANE(splat)(0));
    LANE(store)
    (s->numbers->of[EBB_TRAJ_STREAM_ARC] + i + j,
     LANE(pair)(r1, r2) * LANE(splat)(6) +
         LANE(relative_face)(axis, last_axis, negative, last_negative));
    const struct LANE(vector) m = {v.x, m1 + LANE(unzigzag)(r1), m2 + LANE(unzigzag)(r2)};
    LANE(place)(s, state, j, site, LANE(turn_back)(axis, m), model);
}

FUNCTION void LANE(circle_decode)(const struct pass *s, uint32_t i, uint32_t j,
                                  const struct block *site, struct block *model)
{
    const size_t sites = s->part->n;
    const struct ebb_traj_rigid *rigid = &s->part->rigid;
    int32_t *state = s->part->b + i + j;
    const struct LANE(real) a = LANE(real_vector)(LANE(load_vector)(s->part->a + i + j, sites));
    const struct LANE(real) last = LANE(real_vector)(LANE(load_vector)(state, sites));
    const struct LANE(real) e = LANE(expect_circle)(
        LANE(splatf)(s->circle), LANE(splatf)(rigid->ab), LANE(splatf)(s->inverse_a2), a, last);
    const struct LANE(real) last_cross = LANE(cross)(a, e);
    const vi arcs = LANE(load)(s->numbers->of[EBB_TRAJ_STREAM_ARC] + i + j);
    const vi rest = arcs / 6, arc = arcs - rest * LANE(splat)(6);
    const vi axis = LANE(turned_axis)(LANE(axis)(last_cross), arc);
    const vi negative =
        (arc & LANE(splat)(1)) ^ LANE(negative_real)(LANE(turn_real)(axis, last_cross).x);
    const vi v0 = LANE(unzigzag)(LANE(load)(s->numbers->of[EBB_TRAJ_STREAM_CIRCLE] + i + j)) +
                  LANE(whole)(LANE(turn_real)(axis, e).x);
    vi m1, m2, r1, r2;
    LANE(circle_roots)
    (LANE(splatf)(rigid->b2), LANE(splatf)(rigid->ab), LANE(turn_real)(axis, a), v0, negative, &m1,
     &m2);
    LANE(unpair)(rest, &r1, &r2);
    const struct LANE(vector) m = {v0, m1 + LANE(unzigzag)(r1), m2 + LANE(unzigzag)(r2)};
    LANE(place)(s, state, j, site, LANE(turn_back)(axis, m), model);
}

/* Fourth site: where the combination of the second's and third's direction puts it. */
FUNCTION struct LANE(vector) LANE(combine)(const struct pass *s, uint32_t i)
{
    const size_t sites = s->part->n;
    const struct LANE(real) a = LANE(real_vector)(LANE(load_vector)(s->part->a + i, sites));
    const struct LANE(real) b = LANE(real_vector)(LANE(load_vector)(s->part->b + i, sites));
    const vf wa = LANE(splatf)(s->part->rigid.virtual_a),
             wb = LANE(splatf)(s->part->rigid.virtual_b);
    return (struct LANE(vector)){LANE(round)(wa * a.x + wb * b.x), LANE(round)(wa * a.y + wb * b.y),
                                 LANE(round)(wa * a.z + wb * b.z)};
}

FUNCTION void LANE(virtual_encode)(const struct pass *s, uint32_t i, uint32_t j,
                                   const struct block *site, const struct block *truth,
                                   struct block *model)
{
    const struct LANE(vector) from = LANE(block_load)(site, j);
    const struct LANE(vector) d =
        LANE(nearest)(s->context->box, LANE(minus)(LANE(block_load)(truth, j), from));
    const struct LANE(vector) m = LANE(combine)(s, i + j);
    struct LANE(vector) r = LANE(minus)(d, m);
    r = (struct LANE(vector)){LANE(zigzag)(r.x), LANE(zigzag)(r.y), LANE(zigzag)(r.z)};
    const vi most_xy = LANE(pick)(LANE(below)(r.x, r.y), r.y, r.x);
    const vi most = LANE(pick)(LANE(below)(most_xy, r.z), r.z, most_xy);
    const vm fits = LANE(below)(most, LANE(splat)(EBB_TRAJ_VIRTUAL_RESIDUALS));
    r.x = LANE(pick)(fits, r.x, LANE(splat)(0));
    r.y = LANE(pick)(fits, r.y, LANE(splat)(0));
    r.z = LANE(pick)(fits, r.z, LANE(splat)(0));
    LANE(store)
    (s->numbers->of[EBB_TRAJ_STREAM_VIRTUAL] + i + j,
     r.x + LANE(splat)(5) * r.y + LANE(splat)(25) * r.z);
    r = (struct LANE(vector)){LANE(unzigzag)(r.x), LANE(unzigzag)(r.y), LANE(unzigzag)(r.z)};
    LANE(block_store)
    (model, j, LANE(wrap)(s->context->box, LANE(plus)(from, LANE(plus)(m, r))));
}

FUNCTION void LANE(virtual_decode)(const struct pass *s, uint32_t i, uint32_t j,
                                   const struct block *site, struct block *model)
{
    const vi all = LANE(load)(s->numbers->of[EBB_TRAJ_STREAM_VIRTUAL] + i + j);
    const vi yz = all / 5, z = yz / 5;
    const struct LANE(vector) r = {LANE(unzigzag)(all - yz * LANE(splat)(5)),
                                   LANE(unzigzag)(yz - z * LANE(splat)(5)), LANE(unzigzag)(z)};
    const struct LANE(vector) m = LANE(plus)(LANE(combine)(s, i + j), r);
    LANE(block_store)
    (model, j, LANE(wrap)(s->context->box, LANE(plus)(LANE(block_load)(site, j), m)));
}

#undef FUNCTION
#undef vm
#undef vf
#undef vi
#undef LANE
#undef JOIN
#undef JOIN_
