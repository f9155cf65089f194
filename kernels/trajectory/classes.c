/* Rigid water is found by its regularity: a molecule of three or four atoms whose three distances
 * hold through the frames, followed by others of the same shape. Then come bonds; what is left is
 * free. A wrong guess costs bytes, never correctness. */
#include "kernels/trajectory/classes.h"

#include <math.h>
#include <string.h>

#include "kernels/trajectory/bonds.h"

#define TOLERANCE 2.5 /* of a distance between lattice points, for one of a rigid molecule */
#define RUN_LEAST 3   /* molecules of a shape */

struct shape {
    double a, b, c; /* |first second|, |first third|, |second third| */
    double virtual_a, virtual_b;
};

struct offset {
    double x, y, z;
};

static struct offset between(const struct ebb_traj_look *look, unsigned frame, size_t from,
                             size_t to)
{
    const int32_t *p = look->frames[frame] + 3 * from, *q = look->frames[frame] + 3 * to;
    int32_t x = ebb_traj_sub(q[0], p[0]), y = ebb_traj_sub(q[1], p[1]),
            z = ebb_traj_sub(q[2], p[2]);
    ebb_traj_nearest(&look->boxes[frame], &x, &y, &z);
    return (struct offset){x, y, z};
}

static double dot(struct offset u, struct offset v)
{
    return u.x * v.x + u.y * v.y + u.z * v.z;
}

static double distance(const struct ebb_traj_look *look, unsigned frame, size_t from, size_t to)
{
    struct offset d = between(look, frame, from, to);
    return sqrt(dot(d, d));
}

static bool same_molecule(const struct ebb_traj_look *look, size_t i, unsigned atoms)
{
    for (unsigned k = 1; look->molecule != NULL && k < atoms; k++) {
        if (look->molecule[i] != look->molecule[i + k])
            return false;
    }
    return true;
}

static bool near(double p, double q)
{
    return fabs(p - q) <= TOLERANCE;
}

/* The fourth site as a combination of the other two directions. */
static bool virtual_weights(const struct ebb_traj_look *look, size_t i, struct shape *s)
{
    struct offset a = between(look, 0, i, i + 1), b = between(look, 0, i, i + 2),
                  m = between(look, 0, i, i + 3);
    double aa = dot(a, a), bb = dot(b, b), ab = dot(a, b), am = dot(a, m), bm = dot(b, m);
    double det = aa * bb - ab * ab;
    if (!(det > 1e-3 * aa * bb))
        return false;
    s->virtual_a = (am * bb - bm * ab) / det;
    s->virtual_b = (bm * aa - am * ab) / det;
    return fabs(s->virtual_a) < 2 && fabs(s->virtual_b) < 2;
}

static bool virtual_holds(const struct ebb_traj_look *look, unsigned frame, size_t i,
                          const struct shape *s)
{
    struct offset a = between(look, frame, i, i + 1), b = between(look, frame, i, i + 2),
                  m = between(look, frame, i, i + 3);
    return fabs(m.x - s->virtual_a * a.x - s->virtual_b * b.x) <= TOLERANCE &&
           fabs(m.y - s->virtual_a * a.y - s->virtual_b * b.y) <= TOLERANCE &&
           fabs(m.z - s->virtual_a * a.z - s->virtual_b * b.z) <= TOLERANCE;
}

static bool has_shape(const struct ebb_traj_look *look, size_t i, unsigned atoms,
                      const struct shape *s)
{
    if (i + atoms > look->atoms || !same_molecule(look, i, atoms))
        return false;
    for (unsigned f = 0; f < look->count; f++) {
        if (!near(distance(look, f, i, i + 1), s->a) || !near(distance(look, f, i, i + 2), s->b) ||
            !near(distance(look, f, i + 1, i + 2), s->c) ||
            (atoms == 4 && !virtual_holds(look, f, i, s)))
            return false;
    }
    return true;
}

/* Lattice numbers squared and multiplied must stay exact enough as floats; and a molecule of a few
 * lattice spacings is nothing to model. */
static bool measure_shape(const struct ebb_traj_look *look, size_t i, unsigned atoms,
                          struct shape *s)
{
    if (i + atoms > look->atoms)
        return false;
    s->a = distance(look, 0, i, i + 1);
    s->b = distance(look, 0, i, i + 2);
    s->c = distance(look, 0, i + 1, i + 2);
    if (!(s->a >= 4 && s->b >= 4 && s->c >= 2 && s->a < 32768 && s->b < 32768))
        return false;
    return atoms == 3 || virtual_weights(look, i, s);
}

/* Molecules of one shape from atom i on, and whether they hold together: the next molecule is
 * farther away than a molecule is wide. (Atoms of a perfect crystal are all alike.) */
static size_t run_of_shape(const struct ebb_traj_look *look, size_t i, unsigned atoms,
                           struct shape *s)
{
    if (!measure_shape(look, i, atoms, s))
        return 0;
    size_t count = 0, apart = 0;
    for (; has_shape(look, i + count * atoms, atoms, s); count++) {
        size_t at = i + count * atoms;
        if (at + atoms < look->atoms &&
            distance(look, 0, at, at + atoms) > 1.25 * (s->a > s->b ? s->a : s->b))
            apart++;
    }
    return count >= RUN_LEAST && 4 * (apart + 1) >= 3 * count ? count : 0;
}

#define INSIDE    255 /* of a molecule that begins before */
#define IN_CHAIN  254
#define IN_LEAVES 253

/* Molecules found so far, by shape. */
struct found {
    struct ebb_traj_part *parts;
    struct shape shapes[EBB_TRAJ_PARTS_MAX];
    unsigned count;
    uint8_t *part_of; /* by atom: 1 + part of the molecule that begins here; or: */
};

static unsigned part_for(struct found *f, unsigned atoms, const struct shape *s)
{
    for (unsigned k = 0; k < f->count; k++) {
        const struct shape *t = &f->shapes[k];
        if (f->parts[k].atoms_each == atoms && near(t->a, s->a) && near(t->b, s->b) &&
            near(t->c, s->c))
            return k;
    }
    if (f->count == EBB_TRAJ_PARTS_MAX - 3)
        return UINT32_MAX;
    f->parts[f->count] = (struct ebb_traj_part){.type = EBB_TRAJ_PART_WATER, .atoms_each = atoms};
    f->shapes[f->count] = *s;
    return f->count++;
}

static size_t claim(struct found *f, size_t i, unsigned atoms, size_t count, const struct shape *s)
{
    unsigned k = part_for(f, atoms, s);
    if (k == UINT32_MAX)
        return 0;
    for (size_t m = 0; m < count; m++) {
        memset(f->part_of + i + m * atoms, INSIDE, atoms);
        f->part_of[i + m * atoms] = (uint8_t)(k + 1);
    }
    f->parts[k].n += (uint32_t)count;
    return count * atoms;
}

static void find_molecules(const struct ebb_traj_look *look, struct found *f)
{
    for (size_t i = 0; i < look->atoms;) {
        struct shape three, four;
        size_t threes = run_of_shape(look, i, 3, &three);
        size_t fours = threes > 0 ? 0 : run_of_shape(look, i, 4, &four);
        size_t taken = threes > 0  ? claim(f, i, 3, threes, &three)
                       : fours > 0 ? claim(f, i, 4, fours, &four)
                                   : 0;
        i += taken > 0 ? taken : 1;
    }
}

/* The mean squares over the molecules: what makes the residuals centre on zero. */
static void measure_rigid(const struct ebb_traj_look *look, struct ebb_traj_part *p)
{
    double a2 = 0, b2 = 0, ab = 0, am = 0, bm = 0, count = 0;
    for (unsigned f = 0; f < look->count; f++) {
        for (uint32_t i = 0; i < p->n; i += p->n / 4096 + 1, count++) {
            size_t at = p->first[i];
            struct offset a = between(look, f, at, at + 1), b = between(look, f, at, at + 2);
            a2 += dot(a, a);
            b2 += dot(b, b);
            ab += dot(a, b);
            if (p->atoms_each == 4) {
                struct offset m = between(look, f, at, at + 3);
                am += dot(a, m);
                bm += dot(b, m);
            }
        }
    }
    p->rigid = (struct ebb_traj_rigid){(float)(a2 / count), (float)(b2 / count),
                                       (float)(ab / count), 0, 0};
    double det = a2 * b2 - ab * ab;
    if (p->atoms_each == 4 && det > 0) {
        p->rigid.virtual_a = (float)((am * b2 - bm * ab) / det);
        p->rigid.virtual_b = (float)((bm * a2 - am * ab) / det);
    }
}

/* Adds a part for the atoms marked `mark` in part_of, if there are any. */
static bool add_part(const struct ebb_traj_look *look, struct found *f, uint8_t mark,
                     enum ebb_traj_part_type type)
{
    uint32_t n = 0;
    for (size_t i = 0; i < look->atoms; i++)
        n += f->part_of[i] == mark;
    if (n == 0)
        return true;
    struct ebb_traj_part *p = &f->parts[f->count++];
    *p = (struct ebb_traj_part){.type = type, .atoms_each = 1, .n = n};
    if (!ebb_traj_part_allocate(p))
        return false;
    n = 0;
    for (size_t i = 0; i < look->atoms; i++) {
        if (f->part_of[i] == mark)
            p->first[n++] = (uint32_t)i;
    }
    return true;
}

static bool fill_molecules(const struct ebb_traj_look *look, struct found *f)
{
    uint32_t filled[EBB_TRAJ_PARTS_MAX] = {0};
    for (unsigned k = 0; k < f->count; k++) {
        if (!ebb_traj_part_allocate(&f->parts[k]))
            return false;
    }
    for (size_t i = 0; i < look->atoms; i++) {
        if (f->part_of[i] != 0 && f->part_of[i] != INSIDE)
            f->parts[f->part_of[i] - 1].first[filled[f->part_of[i] - 1]++] = (uint32_t)i;
    }
    for (unsigned k = 0; k < f->count; k++)
        measure_rigid(look, &f->parts[k]);
    return true;
}

static bool take_bonds(struct ebb_traj_part *p, const struct ebb_traj_bond_of *bonds)
{
    for (uint32_t i = 0; i < p->n; i++) {
        p->bonds[i] = bonds[p->first[i]].bond;
        p->with_angle += p->bonds[i].reference != 0;
    }
    return ebb_traj_chain_order(p);
}

/* The atoms outside molecules: free ones, then those bonded to atoms before them, then rigid
 * leaves. */
static bool fill_others(const struct ebb_traj_look *look, struct found *f)
{
    EBB_AUTO_FREE struct ebb_traj_bond_of *bonds = calloc(look->atoms + 1, sizeof *bonds);
    if (bonds == NULL)
        return false;
    if (!look->rigid_only)
        ebb_traj_bonds_find(look, f->part_of, bonds);
    for (size_t i = 0; i < look->atoms; i++) {
        if (bonds[i].kind != EBB_TRAJ_UNBONDED)
            f->part_of[i] = bonds[i].kind == EBB_TRAJ_LEAF ? IN_LEAVES : IN_CHAIN;
    }
    if (!add_part(look, f, 0, EBB_TRAJ_PART_FREE))
        return false;
    for (unsigned k = 0; k < 2; k++) {
        unsigned before = f->count;
        if (!add_part(look, f, k == 0 ? IN_CHAIN : IN_LEAVES, EBB_TRAJ_PART_CHAIN))
            return false;
        if (f->count > before && !take_bonds(&f->parts[before], bonds))
            return false;
    }
    return true;
}

unsigned ebb_traj_classes_find(const struct ebb_traj_look *look, struct ebb_traj_part *parts)
{
    struct found f = {.parts = parts};
    EBB_AUTO_FREE uint8_t *part_of = calloc(look->atoms + 1, 1);
    if (part_of == NULL)
        return 0;
    f.part_of = part_of;
    find_molecules(look, &f);
    if (fill_molecules(look, &f) && fill_others(look, &f))
        return f.count;
    for (unsigned k = 0; k < f.count; k++)
        ebb_traj_part_clean_up(&parts[k]);
    return 0;
}
