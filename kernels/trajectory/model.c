/* Loops over sites, in blocks that fit the first cache: coordinates are gathered from x, y, z by
 * atom into arrays, computed there (the part that vectorises), and scattered. The encoder computes
 * what the decoder will, and whatever differs from the truth becomes a miss: so no assumption about
 * the input can cost more than bytes. */
#include "kernels/trajectory/model.h"

#include <string.h>

#include "kernels/trajectory/levels.h"
#include "kernels/trajectory/site.h"

#define BLOCK 64

struct block {
    int32_t x[BLOCK], y[BLOCK], z[BLOCK];
};

/* What the loops of one part and frame need. */
struct pass {
    struct ebb_traj_part *part;
    const struct ebb_traj_frame_context *context;
    const int32_t *q, *previous; /* encoder */
    int32_t *decoded;            /* decoder: previous and new frame */
    const struct ebb_traj_numbers *numbers;
    struct ebb_traj_misses *misses; /* encoder */
    float last, mean, sphere, circle, inverse_a2;
};

void ebb_traj_encode_frame(struct pass *s);
void ebb_traj_decode_frame(struct pass *s);

void ebb_traj_misses_add(struct ebb_traj_misses *m, uint32_t atom, int32_t x, int32_t y, int32_t z)
{
    if (m->count == m->capacity) {
        m->capacity = 2 * m->capacity + 64;
        m->items = ebb_realloc_array(m->items, m->capacity, sizeof *m->items);
    }
    m->items[m->count++] = (struct ebb_traj_miss){atom, x, y, z};
}

static inline EBB_BODY void gather(const int32_t *q, const uint32_t *first, uint32_t offset,
                                   uint32_t n, struct block *ret)
{
    for (uint32_t j = 0; j < n; j++) {
        const int32_t *at = q + 3 * (size_t)(first[j] + offset);
        ret->x[j] = at[0];
        ret->y[j] = at[1];
        ret->z[j] = at[2];
    }
}

static inline EBB_BODY void scatter(const struct block *b, const uint32_t *first, uint32_t offset,
                                    uint32_t n, int32_t *q)
{
    for (uint32_t j = 0; j < n; j++) {
        int32_t *at = q + 3 * (size_t)(first[j] + offset);
        at[0] = b->x[j];
        at[1] = b->y[j];
        at[2] = b->z[j];
    }
}

/* Where the model's coordinates are not the true ones. */
static inline EBB_BODY void compare(struct pass *s, const struct block *model,
                                    const struct block *truth, const uint32_t *first,
                                    uint32_t offset, uint32_t n)
{
    int32_t differ = 0;
    for (uint32_t j = 0; j < n; j++)
        differ |=
            (model->x[j] ^ truth->x[j]) | (model->y[j] ^ truth->y[j]) | (model->z[j] ^ truth->z[j]);
    for (uint32_t j = 0; differ != 0 && j < n; j++) {
        if (model->x[j] != truth->x[j] || model->y[j] != truth->y[j] || model->z[j] != truth->z[j])
            ebb_traj_misses_add(s->misses, first[j] + offset, model->x[j], model->y[j],
                                model->z[j]);
    }
}

/* Expected displacement of a site: a share of the last one and of the way back to the mean. */
static inline EBB_BODY int32_t expect(const struct pass *s, int32_t last, int32_t behind)
{
    return ebb_traj_round(s->last * (float)last + s->mean * (float)behind);
}

/* Key frame: each site after the one before it. */
static inline EBB_BODY void key_sites_encode(struct pass *s, uint32_t i, uint32_t n,
                                             const struct block *truth, struct block *model,
                                             struct ebb_traj_vector *at)
{
    const struct ebb_traj_box box = *s->context->box;
    uint32_t *out = s->numbers->of[EBB_TRAJ_STREAM_SITE];
    const size_t sites = s->part->n;
    for (uint32_t j = 0; j < n; j++) {
        int32_t x = ebb_traj_sub(truth->x[j], at->x), y = ebb_traj_sub(truth->y[j], at->y),
                z = ebb_traj_sub(truth->z[j], at->z);
        ebb_traj_nearest(&box, &x, &y, &z);
        out[i + j] = ebb_traj_zigzag(x);
        out[sites + i + j] = ebb_traj_zigzag(y);
        out[2 * sites + i + j] = ebb_traj_zigzag(z);
        at->x = ebb_traj_add(at->x, x);
        at->y = ebb_traj_add(at->y, y);
        at->z = ebb_traj_add(at->z, z);
        ebb_traj_wrap(&box, &at->x, &at->y, &at->z);
        model->x[j] = at->x;
        model->y[j] = at->y;
        model->z[j] = at->z;
    }
}

static inline EBB_BODY void key_sites_decode(struct pass *s, uint32_t i, uint32_t n,
                                             struct block *model, struct ebb_traj_vector *at)
{
    const struct ebb_traj_box box = *s->context->box;
    const uint32_t *in = s->numbers->of[EBB_TRAJ_STREAM_SITE];
    const size_t sites = s->part->n;
    for (uint32_t j = 0; j < n; j++) {
        at->x = ebb_traj_add(at->x, ebb_traj_unzigzag(in[i + j]));
        at->y = ebb_traj_add(at->y, ebb_traj_unzigzag(in[sites + i + j]));
        at->z = ebb_traj_add(at->z, ebb_traj_unzigzag(in[2 * sites + i + j]));
        ebb_traj_wrap(&box, &at->x, &at->y, &at->z);
        model->x[j] = at->x;
        model->y[j] = at->y;
        model->z[j] = at->z;
    }
}

/* Later frames: each site after itself. `count` frames came before, so the sum over them moves by
 * that many displacements. */
static inline EBB_BODY void sites_encode(struct pass *s, uint32_t i, uint32_t n,
                                         const struct block *truth, const struct block *before,
                                         struct block *model)
{
    const struct ebb_traj_box box = *s->context->box;
    const size_t sites = s->part->n;
    uint32_t *restrict out = s->numbers->of[EBB_TRAJ_STREAM_SITE] + i;
    int32_t *restrict last = s->part->last + i, *restrict behind = s->part->behind + i;
    const uint32_t count = s->context->before;
    for (uint32_t j = 0; j < n; j++) {
        int32_t x = ebb_traj_sub(truth->x[j], before->x[j]),
                y = ebb_traj_sub(truth->y[j], before->y[j]),
                z = ebb_traj_sub(truth->z[j], before->z[j]);
        ebb_traj_nearest(&box, &x, &y, &z);
        out[j] = ebb_traj_zigzag(ebb_traj_sub(x, expect(s, last[j], behind[j])));
        out[sites + j] =
            ebb_traj_zigzag(ebb_traj_sub(y, expect(s, last[sites + j], behind[sites + j])));
        out[2 * sites + j] =
            ebb_traj_zigzag(ebb_traj_sub(z, expect(s, last[2 * sites + j], behind[2 * sites + j])));
        last[j] = x;
        last[sites + j] = y;
        last[2 * sites + j] = z;
        behind[j] = (int32_t)((uint32_t)behind[j] - count * (uint32_t)x);
        behind[sites + j] = (int32_t)((uint32_t)behind[sites + j] - count * (uint32_t)y);
        behind[2 * sites + j] = (int32_t)((uint32_t)behind[2 * sites + j] - count * (uint32_t)z);
        x = ebb_traj_add(x, before->x[j]);
        y = ebb_traj_add(y, before->y[j]);
        z = ebb_traj_add(z, before->z[j]);
        ebb_traj_wrap(&box, &x, &y, &z);
        model->x[j] = x;
        model->y[j] = y;
        model->z[j] = z;
    }
}

static inline EBB_BODY void sites_decode(struct pass *s, uint32_t i, uint32_t n,
                                         const struct block *before, struct block *model)
{
    const struct ebb_traj_box box = *s->context->box;
    const size_t sites = s->part->n;
    const uint32_t *restrict in = s->numbers->of[EBB_TRAJ_STREAM_SITE] + i;
    int32_t *restrict last = s->part->last + i, *restrict behind = s->part->behind + i;
    const uint32_t count = s->context->before;
    for (uint32_t j = 0; j < n; j++) {
        int32_t x = ebb_traj_add(ebb_traj_unzigzag(in[j]), expect(s, last[j], behind[j])),
                y = ebb_traj_add(ebb_traj_unzigzag(in[sites + j]),
                                 expect(s, last[sites + j], behind[sites + j])),
                z = ebb_traj_add(ebb_traj_unzigzag(in[2 * sites + j]),
                                 expect(s, last[2 * sites + j], behind[2 * sites + j]));
        last[j] = x;
        last[sites + j] = y;
        last[2 * sites + j] = z;
        behind[j] = (int32_t)((uint32_t)behind[j] - count * (uint32_t)x);
        behind[sites + j] = (int32_t)((uint32_t)behind[sites + j] - count * (uint32_t)y);
        behind[2 * sites + j] = (int32_t)((uint32_t)behind[2 * sites + j] - count * (uint32_t)z);
        x = ebb_traj_add(x, before->x[j]);
        y = ebb_traj_add(y, before->y[j]);
        z = ebb_traj_add(z, before->z[j]);
        ebb_traj_wrap(&box, &x, &y, &z);
        model->x[j] = x;
        model->y[j] = y;
        model->z[j] = z;
    }
}

/* The face of the sphere that v points to, told relative to the one that `last` points to. */
static inline uint32_t relative_face(int32_t axis, int32_t last_axis, bool negative,
                                     bool last_negative)
{
    int32_t turn = axis - last_axis;
    turn += turn < 0 ? 3 : 0;
    return 2 * (uint32_t)turn + (uint32_t)(negative != last_negative);
}

static inline int32_t turned_axis(int32_t last_axis, uint32_t face)
{
    int32_t axis = last_axis + (int32_t)(face >> 1);
    return axis >= 3 ? axis - 3 : axis;
}

/* Second site: two coordinates, then the third from the sphere. `site` is the model's first site.
 */
static inline EBB_BODY void sphere_encode(struct pass *s, uint32_t i, uint32_t n,
                                          const struct block *site, const struct block *truth,
                                          struct block *model)
{
    const struct ebb_traj_box box = *s->context->box;
    const size_t sites = s->part->n;
    const float weight = s->sphere, a2 = s->part->rigid.a2;
    uint32_t *restrict out = s->numbers->of[EBB_TRAJ_STREAM_SPHERE] + i;
    uint32_t *restrict faces = s->numbers->of[EBB_TRAJ_STREAM_FACE] + i;
    int32_t *restrict state = s->part->a + i;
    for (uint32_t j = 0; j < n; j++) {
        struct ebb_traj_vector v = {ebb_traj_sub(truth->x[j], site->x[j]),
                                    ebb_traj_sub(truth->y[j], site->y[j]),
                                    ebb_traj_sub(truth->z[j], site->z[j])};
        ebb_traj_nearest(&box, &v.x, &v.y, &v.z);
        const struct ebb_traj_vector w = {state[j], state[sites + j], state[2 * sites + j]};
        const int32_t axis = ebb_traj_axis(ebb_traj_real_of(v)),
                      last_axis = ebb_traj_axis(ebb_traj_real_of(w));
        const int32_t v0 = EBB_TRAJ_PICK0(axis, v), v1 = EBB_TRAJ_PICK1(axis, v),
                      v2 = EBB_TRAJ_PICK2(axis, v);
        const int32_t w0 = EBB_TRAJ_PICK0(axis, w), w1 = EBB_TRAJ_PICK1(axis, w),
                      w2 = EBB_TRAJ_PICK2(axis, w);
        out[j] = ebb_traj_zigzag(ebb_traj_sub(v1, ebb_traj_round(weight * (float)w1)));
        out[sites + j] = ebb_traj_zigzag(ebb_traj_sub(v2, ebb_traj_round(weight * (float)w2)));
        const bool negative = v0 < 0;
        const int32_t root = ebb_traj_sphere(a2, v1, v2);
        uint32_t rest = ebb_traj_zigzag(ebb_traj_sub(negative ? ebb_traj_sub(0, v0) : v0, root));
        rest = rest < EBB_TRAJ_FACE_RESIDUALS ? rest : 0;
        faces[j] = rest * 6 + relative_face(axis, last_axis, negative, w0 < 0);
        int32_t m0 = ebb_traj_add(root, ebb_traj_unzigzag(rest));
        m0 = negative ? ebb_traj_sub(0, m0) : m0;
        const struct ebb_traj_vector m = ebb_traj_assemble(axis, m0, v1, v2);
        state[j] = m.x;
        state[sites + j] = m.y;
        state[2 * sites + j] = m.z;
        int32_t x = ebb_traj_add(m.x, site->x[j]), y = ebb_traj_add(m.y, site->y[j]),
                z = ebb_traj_add(m.z, site->z[j]);
        ebb_traj_wrap(&box, &x, &y, &z);
        model->x[j] = x;
        model->y[j] = y;
        model->z[j] = z;
    }
}

static inline EBB_BODY void sphere_decode(struct pass *s, uint32_t i, uint32_t n,
                                          const struct block *site, struct block *model)
{
    const struct ebb_traj_box box = *s->context->box;
    const size_t sites = s->part->n;
    const float weight = s->sphere, a2 = s->part->rigid.a2;
    const uint32_t *restrict in = s->numbers->of[EBB_TRAJ_STREAM_SPHERE] + i;
    const uint32_t *restrict faces = s->numbers->of[EBB_TRAJ_STREAM_FACE] + i;
    int32_t *restrict state = s->part->a + i;
    for (uint32_t j = 0; j < n; j++) {
        const struct ebb_traj_vector w = {state[j], state[sites + j], state[2 * sites + j]};
        const uint32_t rest = faces[j] / 6, face = faces[j] - rest * 6;
        const int32_t axis = turned_axis(ebb_traj_axis(ebb_traj_real_of(w)), face);
        const int32_t w0 = EBB_TRAJ_PICK0(axis, w), w1 = EBB_TRAJ_PICK1(axis, w),
                      w2 = EBB_TRAJ_PICK2(axis, w);
        const bool negative = ((face & 1) != 0) != (w0 < 0);
        const int32_t v1 =
            ebb_traj_add(ebb_traj_unzigzag(in[j]), ebb_traj_round(weight * (float)w1));
        const int32_t v2 =
            ebb_traj_add(ebb_traj_unzigzag(in[sites + j]), ebb_traj_round(weight * (float)w2));
        int32_t m0 = ebb_traj_add(ebb_traj_sphere(a2, v1, v2), ebb_traj_unzigzag(rest));
        m0 = negative ? ebb_traj_sub(0, m0) : m0;
        const struct ebb_traj_vector m = ebb_traj_assemble(axis, m0, v1, v2);
        state[j] = m.x;
        state[sites + j] = m.y;
        state[2 * sites + j] = m.z;
        int32_t x = ebb_traj_add(m.x, site->x[j]), y = ebb_traj_add(m.y, site->y[j]),
                z = ebb_traj_add(m.z, site->z[j]);
        ebb_traj_wrap(&box, &x, &y, &z);
        model->x[j] = x;
        model->y[j] = y;
        model->z[j] = z;
    }
}

/* Third site: one coordinate, then the other two from the circle around the second site's direction
 * (state a, already this frame's). */
static inline EBB_BODY void circle_encode(struct pass *s, uint32_t i, uint32_t n,
                                          const struct block *site, const struct block *truth,
                                          struct block *model)
{
    const struct ebb_traj_box box = *s->context->box;
    const size_t sites = s->part->n;
    const struct ebb_traj_rigid rigid = s->part->rigid;
    uint32_t *restrict out = s->numbers->of[EBB_TRAJ_STREAM_CIRCLE] + i;
    uint32_t *restrict arcs = s->numbers->of[EBB_TRAJ_STREAM_ARC] + i;
    const int32_t *restrict second = s->part->a + i;
    int32_t *restrict state = s->part->b + i;
    for (uint32_t j = 0; j < n; j++) {
        struct ebb_traj_vector v = {ebb_traj_sub(truth->x[j], site->x[j]),
                                    ebb_traj_sub(truth->y[j], site->y[j]),
                                    ebb_traj_sub(truth->z[j], site->z[j])};
        ebb_traj_nearest(&box, &v.x, &v.y, &v.z);
        const struct ebb_traj_real a = {(float)second[j], (float)second[sites + j],
                                        (float)second[2 * sites + j]};
        const struct ebb_traj_real w = {(float)state[j], (float)state[sites + j],
                                        (float)state[2 * sites + j]};
        const struct ebb_traj_real e = ebb_traj_expect_b(a, w, s->circle, rigid.ab, s->inverse_a2);
        const struct ebb_traj_real cross = ebb_traj_cross(a, ebb_traj_real_of(v)),
                                   last_cross = ebb_traj_cross(a, e);
        const int32_t axis = ebb_traj_axis(cross), last_axis = ebb_traj_axis(last_cross);
        const int32_t v0 = EBB_TRAJ_PICK0(axis, v);
        const bool negative = EBB_TRAJ_PICK0(axis, cross) < 0;
        out[j] = ebb_traj_zigzag(ebb_traj_sub(v0, (int32_t)EBB_TRAJ_PICK0(axis, e)));
        int32_t m1, m2;
        ebb_traj_circle(axis, a, rigid.b2, rigid.ab, v0, negative, &m1, &m2);
        uint32_t r1 = ebb_traj_zigzag(ebb_traj_sub(EBB_TRAJ_PICK1(axis, v), m1));
        uint32_t r2 = ebb_traj_zigzag(ebb_traj_sub(EBB_TRAJ_PICK2(axis, v), m2));
        const bool fits = (r1 < EBB_TRAJ_ARC_RESIDUALS) & (r2 < EBB_TRAJ_ARC_RESIDUALS);
        r1 = fits ? r1 : 0;
        r2 = fits ? r2 : 0;
        arcs[j] = ebb_traj_pair(r1, r2) * 6 +
                  relative_face(axis, last_axis, negative, EBB_TRAJ_PICK0(axis, last_cross) < 0);
        m1 = ebb_traj_add(m1, ebb_traj_unzigzag(r1));
        m2 = ebb_traj_add(m2, ebb_traj_unzigzag(r2));
        const struct ebb_traj_vector m = ebb_traj_assemble(axis, v0, m1, m2);
        state[j] = m.x;
        state[sites + j] = m.y;
        state[2 * sites + j] = m.z;
        int32_t x = ebb_traj_add(m.x, site->x[j]), y = ebb_traj_add(m.y, site->y[j]),
                z = ebb_traj_add(m.z, site->z[j]);
        ebb_traj_wrap(&box, &x, &y, &z);
        model->x[j] = x;
        model->y[j] = y;
        model->z[j] = z;
    }
}

static inline EBB_BODY void circle_decode(struct pass *s, uint32_t i, uint32_t n,
                                          const struct block *site, struct block *model)
{
    const struct ebb_traj_box box = *s->context->box;
    const size_t sites = s->part->n;
    const struct ebb_traj_rigid rigid = s->part->rigid;
    const uint32_t *restrict in = s->numbers->of[EBB_TRAJ_STREAM_CIRCLE] + i;
    const uint32_t *restrict arcs = s->numbers->of[EBB_TRAJ_STREAM_ARC] + i;
    const int32_t *restrict second = s->part->a + i;
    int32_t *restrict state = s->part->b + i;
    for (uint32_t j = 0; j < n; j++) {
        const struct ebb_traj_real a = {(float)second[j], (float)second[sites + j],
                                        (float)second[2 * sites + j]};
        const struct ebb_traj_real w = {(float)state[j], (float)state[sites + j],
                                        (float)state[2 * sites + j]};
        const struct ebb_traj_real e = ebb_traj_expect_b(a, w, s->circle, rigid.ab, s->inverse_a2);
        const struct ebb_traj_real last_cross = ebb_traj_cross(a, e);
        const uint32_t rest = arcs[j] / 6, arc = arcs[j] - rest * 6;
        const int32_t axis = turned_axis(ebb_traj_axis(last_cross), arc);
        const bool negative = ((arc & 1) != 0) != (EBB_TRAJ_PICK0(axis, last_cross) < 0);
        const int32_t v0 = ebb_traj_add(ebb_traj_unzigzag(in[j]), (int32_t)EBB_TRAJ_PICK0(axis, e));
        int32_t m1, m2;
        ebb_traj_circle(axis, a, rigid.b2, rigid.ab, v0, negative, &m1, &m2);
        uint32_t r1, r2;
        ebb_traj_unpair(rest, &r1, &r2);
        m1 = ebb_traj_add(m1, ebb_traj_unzigzag(r1));
        m2 = ebb_traj_add(m2, ebb_traj_unzigzag(r2));
        const struct ebb_traj_vector m = ebb_traj_assemble(axis, v0, m1, m2);
        state[j] = m.x;
        state[sites + j] = m.y;
        state[2 * sites + j] = m.z;
        int32_t x = ebb_traj_add(m.x, site->x[j]), y = ebb_traj_add(m.y, site->y[j]),
                z = ebb_traj_add(m.z, site->z[j]);
        ebb_traj_wrap(&box, &x, &y, &z);
        model->x[j] = x;
        model->y[j] = y;
        model->z[j] = z;
    }
}

/* Fourth site: where the combination of the other three puts it, from their decoded directions. */
static inline EBB_BODY int32_t combine(const struct ebb_traj_rigid *rigid, int32_t a, int32_t b)
{
    return ebb_traj_round(rigid->virtual_a * (float)a + rigid->virtual_b * (float)b);
}

static inline EBB_BODY void virtual_encode(struct pass *s, uint32_t i, uint32_t n,
                                           const struct block *site, const struct block *truth,
                                           struct block *model)
{
    const struct ebb_traj_box box = *s->context->box;
    const size_t sites = s->part->n;
    const struct ebb_traj_rigid rigid = s->part->rigid;
    uint32_t *restrict out = s->numbers->of[EBB_TRAJ_STREAM_VIRTUAL] + i;
    const int32_t *restrict a = s->part->a + i, *restrict b = s->part->b + i;
    for (uint32_t j = 0; j < n; j++) {
        struct ebb_traj_vector v = {ebb_traj_sub(truth->x[j], site->x[j]),
                                    ebb_traj_sub(truth->y[j], site->y[j]),
                                    ebb_traj_sub(truth->z[j], site->z[j])};
        ebb_traj_nearest(&box, &v.x, &v.y, &v.z);
        const struct ebb_traj_vector m = {combine(&rigid, a[j], b[j]),
                                          combine(&rigid, a[sites + j], b[sites + j]),
                                          combine(&rigid, a[2 * sites + j], b[2 * sites + j])};
        uint32_t rx = ebb_traj_zigzag(ebb_traj_sub(v.x, m.x)),
                 ry = ebb_traj_zigzag(ebb_traj_sub(v.y, m.y)),
                 rz = ebb_traj_zigzag(ebb_traj_sub(v.z, m.z));
        const bool fits = (rx < EBB_TRAJ_VIRTUAL_RESIDUALS) & (ry < EBB_TRAJ_VIRTUAL_RESIDUALS) &
                          (rz < EBB_TRAJ_VIRTUAL_RESIDUALS);
        rx = fits ? rx : 0;
        ry = fits ? ry : 0;
        rz = fits ? rz : 0;
        out[j] = rx + 5 * ry + 25 * rz;
        int32_t x = ebb_traj_add(ebb_traj_add(m.x, ebb_traj_unzigzag(rx)), site->x[j]),
                y = ebb_traj_add(ebb_traj_add(m.y, ebb_traj_unzigzag(ry)), site->y[j]),
                z = ebb_traj_add(ebb_traj_add(m.z, ebb_traj_unzigzag(rz)), site->z[j]);
        ebb_traj_wrap(&box, &x, &y, &z);
        model->x[j] = x;
        model->y[j] = y;
        model->z[j] = z;
    }
}

static inline EBB_BODY void virtual_decode(struct pass *s, uint32_t i, uint32_t n,
                                           const struct block *site, struct block *model)
{
    const struct ebb_traj_box box = *s->context->box;
    const size_t sites = s->part->n;
    const struct ebb_traj_rigid rigid = s->part->rigid;
    const uint32_t *restrict in = s->numbers->of[EBB_TRAJ_STREAM_VIRTUAL] + i;
    const int32_t *restrict a = s->part->a + i, *restrict b = s->part->b + i;
    for (uint32_t j = 0; j < n; j++) {
        const uint32_t rx = in[j] % 5, ry = in[j] / 5 % 5, rz = in[j] / 25;
        int32_t x = ebb_traj_add(ebb_traj_add(combine(&rigid, a[j], b[j]), ebb_traj_unzigzag(rx)),
                                 site->x[j]),
                y = ebb_traj_add(ebb_traj_add(combine(&rigid, a[sites + j], b[sites + j]),
                                              ebb_traj_unzigzag(ry)),
                                 site->y[j]),
                z = ebb_traj_add(ebb_traj_add(combine(&rigid, a[2 * sites + j], b[2 * sites + j]),
                                              ebb_traj_unzigzag(rz)),
                                 site->z[j]);
        ebb_traj_wrap(&box, &x, &y, &z);
        model->x[j] = x;
        model->y[j] = y;
        model->z[j] = z;
    }
}

static inline EBB_BODY void encode_frame_body(struct pass *s)
{
    const struct ebb_traj_part *p = s->part;
    struct ebb_traj_vector at = {0, 0, 0};
    struct block truth, before, site, model;
    for (uint32_t i = 0; i < p->n; i += BLOCK) {
        const uint32_t n = p->n - i < BLOCK ? p->n - i : BLOCK;
        const uint32_t *first = p->first + i;
        gather(s->q, first, 0, n, &truth);
        if (s->context->before == 0) {
            key_sites_encode(s, i, n, &truth, &site, &at);
        } else {
            gather(s->previous, first, 0, n, &before);
            sites_encode(s, i, n, &truth, &before, &site);
        }
        compare(s, &site, &truth, first, 0, n);
        if (p->type != EBB_TRAJ_PART_WATER)
            continue;
        gather(s->q, first, 1, n, &truth);
        sphere_encode(s, i, n, &site, &truth, &model);
        compare(s, &model, &truth, first, 1, n);
        gather(s->q, first, 2, n, &truth);
        circle_encode(s, i, n, &site, &truth, &model);
        compare(s, &model, &truth, first, 2, n);
        if (p->atoms_each < 4)
            continue;
        gather(s->q, first, 3, n, &truth);
        virtual_encode(s, i, n, &site, &truth, &model);
        compare(s, &model, &truth, first, 3, n);
    }
}
EBB_LEVELS(encode_frame, (struct pass * s), (s))

static inline EBB_BODY void decode_frame_body(struct pass *s)
{
    const struct ebb_traj_part *p = s->part;
    struct ebb_traj_vector at = {0, 0, 0};
    struct block before, site, model;
    for (uint32_t i = 0; i < p->n; i += BLOCK) {
        const uint32_t n = p->n - i < BLOCK ? p->n - i : BLOCK;
        const uint32_t *first = p->first + i;
        if (s->context->before == 0) {
            key_sites_decode(s, i, n, &site, &at);
        } else {
            gather(s->decoded, first, 0, n, &before);
            sites_decode(s, i, n, &before, &site);
        }
        scatter(&site, first, 0, n, s->decoded);
        if (p->type != EBB_TRAJ_PART_WATER)
            continue;
        sphere_decode(s, i, n, &site, &model);
        scatter(&model, first, 1, n, s->decoded);
        circle_decode(s, i, n, &site, &model);
        scatter(&model, first, 2, n, s->decoded);
        if (p->atoms_each < 4)
            continue;
        virtual_decode(s, i, n, &site, &model);
        scatter(&model, first, 3, n, s->decoded);
    }
}
EBB_LEVELS(decode_frame, (struct pass * s), (s))

static void set_weights(struct pass *s)
{
    const struct ebb_traj_frame_context *c = s->context;
    s->last = (float)c->weights.last / 64.0f;
    s->mean = c->before == 0 ? 0.0f : (float)c->weights.mean / 64.0f / (float)c->before;
    s->sphere = (float)c->weights.sphere / 128.0f;
    s->circle = (float)c->weights.circle / 128.0f;
    s->inverse_a2 = s->part->type == EBB_TRAJ_PART_WATER ? 1.0f / s->part->rigid.a2 : 0.0f;
}

void ebb_traj_encode_part(struct ebb_traj_part *p, const int32_t *q, const int32_t *previous,
                          const struct ebb_traj_frame_context *c, struct ebb_traj_numbers *out,
                          struct ebb_traj_misses *misses)
{
    struct pass s = {
        .part = p, .context = c, .q = q, .previous = previous, .numbers = out, .misses = misses};
    set_weights(&s);
    ebb_traj_encode_frame(&s);
}

void ebb_traj_decode_part(struct ebb_traj_part *p, const struct ebb_traj_numbers *in,
                          const struct ebb_traj_frame_context *c, int32_t *q)
{
    struct pass s = {.part = p, .context = c, .decoded = q, .numbers = in};
    set_weights(&s);
    ebb_traj_decode_frame(&s);
}
