/* A molecule's three distances hold through the frames, and others of the same shape follow it:
 * measured for a block of molecules at once. */
#include "kernels/trajectory/shapes.h"

#include <math.h>
#include <string.h>

#include "kernels/trajectory/pairs.h"

#define TOLERANCE 2.5f /* of a distance between lattice points, for one of a rigid molecule */
#define RUN_LEAST 3    /* molecules of a shape */
#define SAMPLE    1024 /* molecules that are measured, of each frame */

static bool near(float p, float q)
{
    return fabsf(p - q) <= TOLERANCE;
}

bool ebb_traj_shapes_agree(const struct ebb_traj_shape *s, const struct ebb_traj_shape *t)
{
    return near(s->a, t->a) && near(s->b, t->b) && near(s->c, t->c);
}

/* Distances of atoms to the one `apart` after each, in a frame; beyond the atoms: 0. */
static void see_neighbours(const struct ebb_traj_look *look, unsigned frame, size_t begin,
                           unsigned apart, float *ret)
{
    struct ebb_traj_pairs p;
    const size_t left = look->atoms - begin;
    const size_t n = left > apart ? left - apart : 0;
    p.count = (unsigned)(n < EBB_TRAJ_SHAPE_WINDOW ? n : EBB_TRAJ_SHAPE_WINDOW);
    for (unsigned j = 0; j < p.count; j++) {
        p.from[j] = (uint32_t)(begin + j);
        p.to[j] = (uint32_t)(begin + j + apart);
    }
    ebb_traj_pairs_measure(&p, look, frame);
    memset(ret, 0, EBB_TRAJ_SHAPE_WINDOW * sizeof *ret);
    memcpy(ret, p.distance, p.count * sizeof *ret);
}

bool ebb_traj_shape_possible(const struct ebb_traj_look *look, struct ebb_traj_shape_window *w,
                             size_t i, unsigned atoms)
{
    if (i < w->begin || i >= w->end) {
        w->begin = i;
        w->end = i + EBB_TRAJ_SHAPE_WINDOW - 4;
        for (unsigned k = 0; k < 2; k++) {
            see_neighbours(look, k * (look->count - 1), i, 1, w->second[k]);
            see_neighbours(look, k * (look->count - 1), i, 2, w->third[k]);
        }
    }
    const size_t j = i - w->begin;
    return near(w->second[0][j], w->second[1][j]) && near(w->third[0][j], w->third[1][j]) &&
           near(w->second[0][j], w->second[0][j + atoms]) &&
           near(w->third[0][j], w->third[0][j + atoms]);
}

/* Some molecules of one kind, and their atoms seen from the first of each in a frame. */
struct molecules {
    unsigned count, atoms;
    uint32_t first[EBB_TRAJ_PAIRS];
    struct ebb_traj_pairs a, b, virtual;
};

static void see(const struct ebb_traj_look *look, unsigned frame, const struct molecules *m,
                unsigned from, unsigned to, struct ebb_traj_pairs *ret)
{
    ret->count = m->count;
    for (unsigned j = 0; j < m->count; j++) {
        ret->from[j] = m->first[j] + from;
        ret->to[j] = m->first[j] + to;
    }
    ebb_traj_pairs_measure(ret, look, frame);
}

static void see_molecules(const struct ebb_traj_look *look, unsigned frame, struct molecules *m)
{
    see(look, frame, m, 0, 1, &m->a);
    see(look, frame, m, 0, 2, &m->b);
    if (m->atoms == 4)
        see(look, frame, m, 0, 3, &m->virtual);
}

static float dot(const struct ebb_traj_pairs *u, const struct ebb_traj_pairs *v, unsigned j)
{
    return u->x[j] * v->x[j] + u->y[j] * v->y[j] + u->z[j] * v->z[j];
}

/* The fourth site as a combination of the other two directions. */
static bool virtual_weights(const struct molecules *m, struct ebb_traj_shape *s)
{
    const float aa = dot(&m->a, &m->a, 0), bb = dot(&m->b, &m->b, 0), ab = dot(&m->a, &m->b, 0),
                am = dot(&m->a, &m->virtual, 0), bm = dot(&m->b, &m->virtual, 0);
    const float det = aa * bb - ab * ab;
    if (!(det > 1e-3f * aa * bb))
        return false;
    s->virtual_a = (am * bb - bm * ab) / det;
    s->virtual_b = (bm * aa - am * ab) / det;
    return fabsf(s->virtual_a) < 2 && fabsf(s->virtual_b) < 2;
}

static bool virtual_holds(const struct molecules *m, const struct ebb_traj_shape *s, unsigned j)
{
    const float va = s->virtual_a, vb = s->virtual_b;
    return near(m->virtual.x[j], va * m->a.x[j] + vb * m->b.x[j]) &&
           near(m->virtual.y[j], va * m->a.y[j] + vb * m->b.y[j]) &&
           near(m->virtual.z[j], va * m->a.z[j] + vb * m->b.z[j]);
}

static bool same_molecule(const struct ebb_traj_look *look, size_t i, unsigned atoms)
{
    for (unsigned k = 1; look->molecule != NULL && k < atoms; k++) {
        if (look->molecule[i] != look->molecule[i + k])
            return false;
    }
    return true;
}

static void fill(const struct ebb_traj_look *look, size_t i, unsigned atoms, unsigned count,
                 struct molecules *ret)
{
    const size_t fit = (look->atoms - i) / atoms;
    ret->atoms = atoms;
    ret->count = (unsigned)(fit < count ? fit : count);
    for (unsigned j = 0; j < ret->count; j++) {
        ret->first[j] = (uint32_t)(i + j * (size_t)atoms);
        if (!same_molecule(look, ret->first[j], atoms))
            ret->count = j;
    }
}

/* How many of the first molecules have the shape. */
static unsigned count_alike(const struct ebb_traj_look *look, struct molecules *m,
                            const struct ebb_traj_shape *s)
{
    unsigned alike = m->count;
    for (unsigned f = 0; f < look->count && alike > 0; f++) {
        struct ebb_traj_pairs c;
        m->count = alike;
        see_molecules(look, f, m);
        see(look, f, m, 1, 2, &c);
        alike = 0;
        while (alike < m->count && near(m->a.distance[alike], s->a) &&
               near(m->b.distance[alike], s->b) && near(c.distance[alike], s->c) &&
               (m->atoms == 3 || virtual_holds(m, s, alike)))
            alike++;
    }
    return alike;
}

/* How many of the molecules are farther from the next than they are wide. (Atoms of a perfect
 * crystal are all alike.) */
static unsigned count_apart(const struct ebb_traj_look *look, struct molecules *m,
                            const struct ebb_traj_shape *s)
{
    struct ebb_traj_pairs next;
    const float width = 1.25f * (s->a > s->b ? s->a : s->b);
    unsigned apart = 0;
    while (m->count > 0 && m->first[m->count - 1] + 2 * m->atoms > look->atoms)
        m->count--;
    see(look, 0, m, 0, m->atoms, &next);
    for (unsigned j = 0; j < m->count; j++)
        apart += next.distance[j] > width;
    return apart;
}

/* Lattice numbers squared and multiplied must stay exact enough as floats; and a molecule of a few
 * lattice spacings is nothing to model. */
static bool measure_first(const struct ebb_traj_look *look, struct molecules *m,
                          struct ebb_traj_shape *s)
{
    struct ebb_traj_pairs c;
    if (m->count == 0)
        return false;
    m->count = 1;
    see_molecules(look, 0, m);
    see(look, 0, m, 1, 2, &c);
    *s = (struct ebb_traj_shape){m->a.distance[0], m->b.distance[0], c.distance[0], 0, 0};
    if (!(s->a >= 4 && s->b >= 4 && s->c >= 2 && s->a < 32768 && s->b < 32768))
        return false;
    return m->atoms == 3 || virtual_weights(m, s);
}

size_t ebb_traj_shape_run(const struct ebb_traj_look *look, size_t i, unsigned atoms,
                          struct ebb_traj_shape *ret)
{
    struct molecules m;
    size_t count = 0, apart = 0;
    fill(look, i, atoms, 1, &m);
    if (!measure_first(look, &m, ret))
        return 0;
    for (unsigned block = RUN_LEAST;; block = EBB_TRAJ_PAIRS) {
        fill(look, i + count * atoms, atoms, block, &m);
        const unsigned asked = m.count, alike = count_alike(look, &m, ret);
        m.count = alike;
        count += alike;
        apart += count_apart(look, &m, ret);
        if (alike < block || alike < asked)
            break;
    }
    return count >= RUN_LEAST && 4 * (apart + 1) >= 3 * count ? count : 0;
}

struct moments {
    double a2, b2, ab, am, bm, count;
};

static void add_moments(const struct molecules *m, struct moments *t)
{
    for (unsigned j = 0; j < m->count; j++, t->count++) {
        t->a2 += dot(&m->a, &m->a, j);
        t->b2 += dot(&m->b, &m->b, j);
        t->ab += dot(&m->a, &m->b, j);
        if (m->atoms == 4) {
            t->am += dot(&m->a, &m->virtual, j);
            t->bm += dot(&m->b, &m->virtual, j);
        }
    }
}

/* The mean squares over the molecules: what makes the residuals centre on zero. */
void ebb_traj_shape_measure(const struct ebb_traj_look *look, struct ebb_traj_part *p)
{
    struct moments t = {0};
    struct molecules m = {.atoms = p->atoms_each};
    const uint32_t step = p->n / SAMPLE + 1;
    for (uint32_t i = 0; i < p->n;) {
        for (m.count = 0; m.count < EBB_TRAJ_PAIRS && i < p->n; i += step)
            m.first[m.count++] = p->first[i];
        for (unsigned f = 0; f < look->count; f++) {
            see_molecules(look, f, &m);
            add_moments(&m, &t);
        }
    }
    p->rigid = (struct ebb_traj_rigid){(float)(t.a2 / t.count), (float)(t.b2 / t.count),
                                       (float)(t.ab / t.count), 0, 0};
    const double det = t.a2 * t.b2 - t.ab * t.ab;
    if (p->atoms_each == 4 && det > 0) {
        p->rigid.virtual_a = (float)((t.am * t.b2 - t.bm * t.ab) / det);
        p->rigid.virtual_b = (float)((t.bm * t.a2 - t.am * t.ab) / det);
    }
}
