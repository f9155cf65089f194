/* An atom's bond is to the nearest of the atoms shortly before it (in file order), if their
 * distance spreads much less over the frames than the vector between them does. A third atom fixes
 * an angle: of the parent's own parent and of the others bonded to the parent, the one whose
 * distance spreads least. Nothing here is part of the format: a bond that is none costs bytes. */
#include "kernels/trajectory/bonds.h"

#include <math.h>

#define WINDOW 24
#define FRAMES 4 /* looked at, at most */

struct spread {
    double mean, deviation; /* of the distance */
    double motion;          /* of the vector, per coordinate, from frame to frame */
};

static void vector_between(const struct ebb_traj_look *look, unsigned frame, size_t from, size_t to,
                           double ret[3])
{
    const int32_t *p = look->frames[frame] + 3 * from, *q = look->frames[frame] + 3 * to;
    int32_t x = ebb_traj_sub(q[0], p[0]), y = ebb_traj_sub(q[1], p[1]),
            z = ebb_traj_sub(q[2], p[2]);
    ebb_traj_nearest(&look->boxes[frame], &x, &y, &z);
    ret[0] = x;
    ret[1] = y;
    ret[2] = z;
}

static struct spread spread_of(const struct ebb_traj_look *look, size_t from, size_t to)
{
    double sum = 0, squares = 0, motion = 0, last[3] = {0};
    unsigned count = look->count < FRAMES ? look->count : FRAMES;
    for (unsigned f = 0; f < count; f++) {
        double v[3];
        vector_between(look, f, from, to, v);
        double d = v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
        sum += sqrt(d);
        squares += d;
        for (unsigned k = 0; k < 3; k++) {
            if (f > 0)
                motion += (v[k] - last[k]) * (v[k] - last[k]);
            last[k] = v[k];
        }
    }
    struct spread s = {.mean = sum / count, .motion = sqrt(motion / (3 * (count - 1.0)))};
    s.deviation = sqrt(fmax(squares / count - s.mean * s.mean, 0) * count / (count - 1.0));
    return s;
}

static bool may_bond(const struct ebb_traj_look *look, const uint8_t *taken, size_t i, size_t j)
{
    return taken[j] == 0 && (look->molecule == NULL || look->molecule[i] == look->molecule[j]);
}

/* `share`: how much of the motion the distance may spread by. */
static bool find_parent(const struct ebb_traj_look *look, const uint8_t *taken, size_t i,
                        double share, struct ebb_traj_bond *ret, struct spread *ret_spread)
{
    double nearest = INFINITY;
    size_t parent = 0;
    for (size_t j = i < WINDOW ? 0 : i - WINDOW; j < i; j++) {
        if (!may_bond(look, taken, i, j))
            continue;
        double v[3];
        vector_between(look, 0, j, i, v);
        double d = v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
        if (d < nearest) {
            nearest = d;
            parent = j;
        }
    }
    if (!(nearest >= 16 && nearest < 1e9))
        return false;
    *ret_spread = spread_of(look, parent, i);
    ret->parent = (uint32_t)parent;
    ret->b2 = (float)(ret_spread->mean * ret_spread->mean);
    return ret_spread->deviation < share * ret_spread->motion || ret_spread->deviation < 0.5;
}

/* The sine of the angle at the parent must not be small: a circle of no size tells nothing. */
static bool makes_a_circle(double b, double a, double c)
{
    double cosine = (a * a + b * b - c * c) / (2 * a * b);
    return cosine * cosine < 0.85;
}

static void consider(const struct ebb_traj_look *look, const struct ebb_traj_bond *parents_bond,
                     size_t i, size_t third, uint32_t reference, double *least,
                     struct ebb_traj_bond *ret)
{
    struct spread s = spread_of(look, third, i);
    double b = sqrt((double)ret->b2), a = sqrt((double)parents_bond->b2);
    if (s.deviation >= *least || s.deviation > 0.5 * s.motion || !makes_a_circle(b, a, s.mean))
        return;
    *least = s.deviation;
    ret->reference = reference;
    ret->c2 = (float)(s.mean * s.mean);
}

static void find_reference(const struct ebb_traj_look *look, struct ebb_traj_bond_of *bonds,
                           size_t i)
{
    struct ebb_traj_bond *b = &bonds[i].bond;
    double least = INFINITY;
    if (bonds[b->parent].kind != EBB_TRAJ_UNBONDED)
        consider(look, &bonds[b->parent].bond, i, bonds[b->parent].bond.parent, 1, &least, b);
    for (size_t j = i - 1; j > b->parent; j--) {
        if (bonds[j].kind != EBB_TRAJ_UNBONDED && bonds[j].bond.parent == b->parent)
            consider(look, &bonds[j].bond, i, j, (uint32_t)(i - j + 1), &least, b);
    }
}

/* Distances rounded to a grid, and each cell's to its mean: few distinct lengths, and no noise. */
#define CELLS 512
struct cells {
    double step, sum[CELLS];
    uint32_t count[CELLS];
};

static unsigned cell_of(const struct cells *c, double length)
{
    double cell = length / c->step;
    return cell < CELLS - 1 ? (unsigned)(cell + 0.5) : CELLS - 1;
}

static void round_lengths(struct ebb_traj_bond_of *bonds, size_t atoms)
{
    struct cells c = {.step = 1};
    double most = 0;
    for (size_t i = 0; i < atoms; i++)
        most = fmax(most, bonds[i].kind == 0 ? 0 : fmax(bonds[i].bond.b2, bonds[i].bond.c2));
    c.step = fmax(1, sqrt(most) / (CELLS - 2));
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < atoms; i++) {
            float *squares[2] = {&bonds[i].bond.b2, &bonds[i].bond.c2};
            for (int k = 0; k < (bonds[i].kind == 0             ? 0
                                 : bonds[i].bond.reference == 0 ? 1
                                                                : 2);
                 k++) {
                double length = sqrt((double)*squares[k]);
                unsigned cell = cell_of(&c, length);
                if (pass == 0) {
                    c.sum[cell] += length;
                    c.count[cell]++;
                } else {
                    double mean = c.sum[cell] / c.count[cell];
                    *squares[k] = (float)(mean * mean);
                }
            }
        }
    }
}

/* In matter without bonds few distances hold, and by chance: a sample, judged more strictly, shows
 * it. */
static bool worth_looking(const struct ebb_traj_look *look, const uint8_t *taken)
{
    size_t seen = 0, bonded = 0;
    for (size_t i = 1; i < look->atoms; i += look->atoms / 512 + 1) {
        struct ebb_traj_bond b;
        struct spread s;
        if (taken[i] != 0)
            continue;
        seen++;
        bonded += find_parent(look, taken, i, 0.2, &b, &s);
    }
    return 3 * bonded > seen;
}

void ebb_traj_bonds_find(const struct ebb_traj_look *look, const uint8_t *taken,
                         struct ebb_traj_bond_of *bonds)
{
    if (look->count < 2 || !worth_looking(look, taken))
        return;
    for (size_t i = 1; i < look->atoms; i++) {
        struct spread s;
        if (taken[i] != 0 || !find_parent(look, taken, i, 0.5, &bonds[i].bond, &s))
            continue;
        bonds[i].kind = s.deviation < 1 ? EBB_TRAJ_LEAF : EBB_TRAJ_BONDED;
        find_reference(look, bonds, i);
    }
    for (size_t i = 0; i < look->atoms; i++) {
        if (bonds[i].kind != EBB_TRAJ_UNBONDED && bonds[bonds[i].bond.parent].kind == EBB_TRAJ_LEAF)
            bonds[bonds[i].bond.parent].kind = EBB_TRAJ_BONDED;
    }
    round_lengths(bonds, look->atoms);
}
