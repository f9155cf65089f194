/* Weights of a frame's prediction: least squares over a sample of the sites. The encoder alone runs
 * this; the decoder reads the rounded result. */
#include <math.h>

#include "kernels/trajectory/model.h"

#define SAMPLE 512

struct sums {
    double ll, lb, bb, xl, xb; /* of last, behind and the displacement x */
};

static int clamp_round(double v, int least, int most)
{
    if (!(v > least))
        return least;
    return v < most ? (int)rint(v) : most;
}

static struct ebb_traj_vector3 {
    double x[3];
} difference(const int32_t *to, const int32_t *from, const struct ebb_traj_box *box)
{
    int32_t x = ebb_traj_sub(to[0], from[0]), y = ebb_traj_sub(to[1], from[1]),
            z = ebb_traj_sub(to[2], from[2]);
    ebb_traj_nearest(box, &x, &y, &z);
    return (struct ebb_traj_vector3){{x, y, z}};
}

/* Displacements far beyond the usual (a jump to another image) would rule the sums. */
static double usual(const struct ebb_traj_part *p, uint32_t step, const int32_t *q,
                    const int32_t *previous, const struct ebb_traj_box *box)
{
    double least = INFINITY;
    double total[4] = {0};
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->n; i += step, count++) {
        struct ebb_traj_vector3 d =
            difference(q + 3 * (size_t)p->first[i], previous + 3 * (size_t)p->first[i], box);
        total[count % 4] += fabs(d.x[0]) + fabs(d.x[1]) + fabs(d.x[2]);
    }
    for (int k = 0; k < 4 && k < (int)count; k++)
        least = fmin(least, 4 * total[k] / count);
    return 4 * least + 4;
}

static void fit_site(const struct ebb_traj_part *p, uint32_t step, const int32_t *q,
                     const int32_t *previous, const struct ebb_traj_frame_context *c,
                     struct ebb_traj_weights *ret)
{
    struct sums s = {0};
    const double limit = usual(p, step, q, previous, c->box);
    for (uint32_t i = 0; i < p->n; i += step) {
        const size_t at = 3 * (size_t)p->first[i];
        struct ebb_traj_vector3 d = difference(q + at, previous + at, c->box);
        for (size_t k = 0; k < 3; k++) {
            double x = d.x[k], l = p->last[k * p->n + i],
                   b = (double)p->behind[k * p->n + i] / c->before;
            if (fabs(x) > limit)
                continue;
            s.ll += l * l;
            s.lb += l * b;
            s.bb += b * b;
            s.xl += x * l;
            s.xb += x * b;
        }
    }
    double det = s.ll * s.bb - s.lb * s.lb;
    double last = 0, mean = 0;
    if (det > 1e-6 * s.ll * s.bb) {
        last = (s.xl * s.bb - s.xb * s.lb) / det;
        mean = (s.xb * s.ll - s.xl * s.lb) / det;
    } else if (s.bb > 0) {
        mean = s.xb / s.bb;
    }
    ret->last = (int8_t)clamp_round(last * 64, -127, 127);
    ret->mean = (int8_t)clamp_round(mean * 64, -127, 127);
}

/* How far the last direction tells this one: for the second site whole, for the third across the
 * second. */
static void fit_directions(const struct ebb_traj_part *p, uint32_t step, const int32_t *q,
                           const struct ebb_traj_box *box, struct ebb_traj_weights *ret)
{
    double vw = 0, ww = 0, cross_vw = 0, cross_ww = 0;
    for (uint32_t i = 0; i < p->n; i += step) {
        const int32_t *at = q + 3 * (size_t)p->first[i];
        struct ebb_traj_vector3 a = difference(at + 3, at, box), b = difference(at + 6, at, box);
        double aa = 0, ab = 0, aw = 0;
        for (size_t k = 0; k < 3; k++) {
            double w = p->a[k * p->n + i];
            vw += a.x[k] * w;
            ww += w * w;
            aa += a.x[k] * a.x[k];
            ab += a.x[k] * b.x[k];
            aw += a.x[k] * p->b[k * p->n + i];
        }
        for (size_t k = 0; k < 3 && aa > 0; k++) {
            double v = b.x[k] - ab / aa * a.x[k], w = p->b[k * p->n + i] - aw / aa * a.x[k];
            cross_vw += v * w;
            cross_ww += w * w;
        }
    }
    ret->sphere = (uint8_t)clamp_round(ww > 0 ? 128 * vw / ww : 0, 0, 140);
    ret->circle = (uint8_t)clamp_round(cross_ww > 0 ? 128 * cross_vw / cross_ww : 0, 0, 140);
}

/* The same for bonded atoms: those on a sphere, and those on a circle around their arm, which is
 * taken from the frame before. */
static void fit_bonds(const struct ebb_traj_part *p, uint32_t step, const int32_t *q,
                      const int32_t *arms, const struct ebb_traj_box *box,
                      struct ebb_traj_weights *ret)
{
    double vw[2] = {0}, ww[2] = {0};
    for (uint32_t i = 0; i < p->n; i += step) {
        const struct ebb_traj_bond *b = &p->bonds[i];
        struct ebb_traj_vector3 v =
            difference(q + 3 * (size_t)p->first[i], q + 3 * (size_t)b->parent, box);
        for (size_t k = 0; k < 3; k++) {
            double w = arms[3 * (size_t)p->first[i] + k];
            vw[b->reference != 0] += v.x[k] * w;
            ww[b->reference != 0] += w * w;
        }
    }
    ret->sphere = (uint8_t)clamp_round(ww[0] > 0 ? 128 * vw[0] / ww[0] : 0, 0, 140);
    ret->circle = (uint8_t)clamp_round(ww[1] > 0 ? 128 * vw[1] / ww[1] : 0, 0, 140);
}

void ebb_traj_fit(const struct ebb_traj_part *p, const int32_t *q, const int32_t *previous,
                  const int32_t *arms, const struct ebb_traj_frame_context *c,
                  struct ebb_traj_weights *ret)
{
    struct ebb_traj_weights w = *ret;
    w.last = w.mean = 0;
    w.sphere = w.circle = 0;
    const uint32_t step = p->n / SAMPLE + 1;
    if (c->before > 0 && p->type == EBB_TRAJ_PART_CHAIN) {
        fit_bonds(p, step, q, arms, c->box, &w);
    } else if (c->before > 0) {
        fit_site(p, step, q, previous, c, &w);
        if (p->type == EBB_TRAJ_PART_WATER)
            fit_directions(p, step, q, c->box, &w);
    }
    *ret = w;
}
