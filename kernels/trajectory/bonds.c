/* An atom's bond is to the nearest of the atoms shortly before it (in file order), if their
 * distance spreads much less over the frames than the vector between them does. A third atom fixes
 * an angle: of the parent's own parent and of the others bonded to the parent, the one whose
 * distance spreads least. Each step is done for all atoms before the next, so that vectors of them
 * are measured. Nothing here is part of the format: a bond that is none costs bytes. */
#include "kernels/trajectory/bonds.h"

#include <math.h>
#include <string.h>

#include "kernels/trajectory/pairs.h"

/* In front of the first atom: places that are nobody's. */
#define FRONT  32
#define ROOM   16
#define NOBODY UINT32_MAX
/* A longer bond is none: squares of lengths stay below 2^32. */
#define LONGEST 65000.0f

/* The atoms that no molecule has, in file order: x, y, z in the first frame. */
struct loose {
    uint32_t n;
    uint32_t *atom;
    struct ebb_traj_row row;
    uint32_t *nearest;               /* place of the nearest of those before, or NOBODY */
    struct ebb_traj_spread *spreads; /* of the distance to it */
    float (*lengths)[2];             /* of a bond: to the parent, to the third atom */
};

static void loose_clean_up(struct loose *l)
{
    free(l->atom);
    free(l->row.x);
    free(l->row.y);
    free(l->row.z);
    free(l->row.molecule);
    free(l->nearest);
    free(l->spreads);
    free(l->lengths);
}

static bool loose_allocate(struct loose *l, size_t n)
{
    l->atom = calloc(n + FRONT + ROOM, sizeof *l->atom);
    l->row.x = calloc(n + FRONT + ROOM, sizeof *l->row.x);
    l->row.y = calloc(n + FRONT + ROOM, sizeof *l->row.y);
    l->row.z = calloc(n + FRONT + ROOM, sizeof *l->row.z);
    l->row.molecule = calloc(n + FRONT + ROOM, sizeof *l->row.molecule);
    l->nearest = calloc(n + FRONT + ROOM, sizeof *l->nearest);
    l->spreads = malloc((n + 1) * sizeof *l->spreads);
    l->lengths = malloc((n + 1) * sizeof *l->lengths);
    return l->atom != NULL && l->row.x != NULL && l->row.y != NULL && l->row.z != NULL &&
           l->row.molecule != NULL && l->nearest != NULL && l->spreads != NULL &&
           l->lengths != NULL;
}

/* Places below FRONT are of no molecule that an atom can have. */
static void gather(const struct ebb_traj_look *look, const uint8_t *taken, struct loose *l)
{
    for (uint32_t k = 0; k < FRONT; k++)
        l->row.molecule[k] = NOBODY;
    uint32_t at = FRONT;
    for (size_t i = 0; i < look->atoms; i++) {
        if (taken[i] != 0)
            continue;
        const int32_t *q = look->frames[0] + 3 * i;
        l->atom[at] = (uint32_t)i;
        l->row.x[at] = q[0];
        l->row.y[at] = q[1];
        l->row.z[at] = q[2];
        l->row.molecule[at++] = look->molecule == NULL ? 0 : look->molecule[i];
    }
    l->n = at - FRONT;
}

/* The nearest of those before the places begin..end; neither on top of them nor far away. */
static void find_nearest(const struct ebb_traj_look *look, struct loose *l, uint32_t begin,
                         uint32_t end)
{
    ebb_traj_near_before(&l->row, begin, end, &look->boxes[0], l->nearest);
    for (uint32_t i = begin; i < end; i++) {
        const uint32_t bits = l->nearest[i] & ~31u;
        float square;
        memcpy(&square, &bits, sizeof square);
        const bool near = l->nearest[i] != NOBODY && square >= 16 && square < 1e9f;
        l->nearest[i] = near ? i - (l->nearest[i] & 31) : NOBODY;
    }
}

/* The spreads of places begin..end to the nearest before each. */
static void measure_nearest(const struct ebb_traj_look *look, const struct loose *l, uint32_t begin,
                            uint32_t end)
{
    for (uint32_t i = begin; i < end; i += EBB_TRAJ_PAIRS) {
        uint32_t from[EBB_TRAJ_PAIRS];
        const uint32_t n = end - i < EBB_TRAJ_PAIRS ? end - i : EBB_TRAJ_PAIRS;
        for (uint32_t j = 0; j < n; j++)
            from[j] = l->atom[l->nearest[i + j] != NOBODY ? l->nearest[i + j] : i + j];
        ebb_traj_pairs_spread(look, from, l->atom + i, n, l->spreads + i - FRONT);
    }
}

/* `share`: how much of the motion the distance may spread by. */
static bool holds(const struct loose *l, uint32_t i, float share)
{
    const struct ebb_traj_spread *s = &l->spreads[i - FRONT];
    return l->nearest[i] != NOBODY && s->mean < LONGEST &&
           (s->deviation < share * s->motion || s->deviation < 0.5f);
}

/* In matter without bonds few distances hold, and by chance: a sample, judged more strictly, shows
 * it. */
static bool worth_looking(const struct ebb_traj_look *look, struct loose *l)
{
    enum { RUN = 16, RUNS = 32 };
    const uint32_t step = l->n / RUNS > RUN ? l->n / RUNS : RUN;
    size_t seen = 0, bonded = 0;
    for (uint32_t at = FRONT; at < FRONT + l->n; at += step) {
        const uint32_t end = FRONT + l->n - at < RUN ? FRONT + l->n : at + RUN;
        find_nearest(look, l, at, end);
        measure_nearest(look, l, at, end);
        for (uint32_t i = at; i < end; i++)
            bonded += holds(l, i, 0.2f);
        seen += end - at;
    }
    return 3 * bonded > seen;
}

/* The sine of the angle at the parent must not be small: a circle of no size tells nothing. */
static bool makes_a_circle(float b, float a, float c)
{
    float cosine = (a * a + b * b - c * c) / (2 * a * b);
    return cosine * cosine < 0.85f;
}

/* Third atoms that may fix an angle, of one bonded atom after another. */
struct candidates {
    struct ebb_traj_bond_of *bonds;
    struct loose *l;
    unsigned count;
    uint32_t place[EBB_TRAJ_PAIRS], reference[EBB_TRAJ_PAIRS];
    uint32_t via[EBB_TRAJ_PAIRS]; /* whose bond leads from the parent to the third atom */
    uint32_t third[EBB_TRAJ_PAIRS], atom[EBB_TRAJ_PAIRS];
    float *least; /* by place */
};

static void judge(const struct ebb_traj_look *look, struct candidates *c)
{
    struct ebb_traj_spread spreads[EBB_TRAJ_PAIRS];
    ebb_traj_pairs_spread(look, c->third, c->atom, c->count, spreads);
    for (unsigned k = 0; k < c->count; k++) {
        const struct ebb_traj_spread *s = &spreads[k];
        const uint32_t i = c->place[k] - FRONT;
        const float b = c->l->lengths[i][0], a = c->l->lengths[c->via[k] - FRONT][0];
        if (s->mean >= LONGEST || s->deviation >= c->least[i] || s->deviation > 0.5f * s->motion ||
            !makes_a_circle(b, a, s->mean))
            continue;
        c->least[i] = s->deviation;
        c->bonds[i].bond.reference = c->reference[k];
        c->l->lengths[i][1] = s->mean;
    }
    c->count = 0;
}

static void consider(const struct ebb_traj_look *look, struct candidates *c, uint32_t place,
                     uint32_t third, uint32_t via, uint32_t reference)
{
    c->place[c->count] = place;
    c->third[c->count] = c->l->atom[third];
    c->atom[c->count] = c->l->atom[place];
    c->via[c->count] = via;
    c->reference[c->count] = reference;
    if (++c->count == EBB_TRAJ_PAIRS)
        judge(look, c);
}

static void find_references(const struct ebb_traj_look *look, struct loose *l,
                            struct ebb_traj_bond_of *bonds, float *least)
{
    struct candidates c = {.bonds = bonds, .l = l, .least = least};
    for (uint32_t i = FRONT; i < FRONT + l->n; i++) {
        if (bonds[i - FRONT].kind == EBB_TRAJ_UNBONDED)
            continue;
        const uint32_t parent = l->nearest[i];
        if (bonds[parent - FRONT].kind != EBB_TRAJ_UNBONDED)
            consider(look, &c, i, l->nearest[parent], parent, 1);
        for (uint32_t j = i - 1; j > parent; j--) {
            if (l->nearest[j] == parent && bonds[j - FRONT].kind != EBB_TRAJ_UNBONDED)
                consider(look, &c, i, j, j, l->atom[i] - l->atom[j] + 1);
        }
    }
    judge(look, &c);
}

/* Distances rounded to a grid, and each cell's to its mean: few distinct lengths, and no noise. */
#define CELLS 512

static void round_lengths(const struct loose *l, struct ebb_traj_bond_of *bonds)
{
    double sum[CELLS] = {0};
    uint32_t count[CELLS] = {0};
    float most = 0, squares[CELLS];
    for (uint32_t i = 0; i < l->n; i++) {
        most = fmaxf(most, l->lengths[i][0]);
        most = fmaxf(most, l->lengths[i][1]);
    }
    const float cells = 1 / fmaxf(1, most / (CELLS - 2));
    for (uint32_t i = 0; i < 2 * l->n; i++) {
        const float length = l->lengths[i / 2][i % 2];
        if (length == 0)
            continue;
        const unsigned cell = (unsigned)(length * cells + 0.5f);
        sum[cell] += length;
        count[cell]++;
    }
    for (unsigned k = 0; k < CELLS; k++) {
        const double mean = count[k] > 0 ? sum[k] / count[k] : 0;
        squares[k] = (float)(mean * mean);
    }
    for (uint32_t i = 0; i < l->n; i++) {
        struct ebb_traj_bond *b = &bonds[i].bond;
        b->b2 = squares[(unsigned)(l->lengths[i][0] * cells + 0.5f)];
        b->c2 = squares[(unsigned)(l->lengths[i][1] * cells + 0.5f)];
    }
}

/* Lengths that are none are 0. */
static void find_parents(struct loose *l, struct ebb_traj_bond_of *bonds)
{
    for (uint32_t i = FRONT; i < FRONT + l->n; i++) {
        const struct ebb_traj_spread *s = &l->spreads[i - FRONT];
        struct ebb_traj_bond_of *b = &bonds[i - FRONT];
        l->lengths[i - FRONT][0] = l->lengths[i - FRONT][1] = 0;
        if (!holds(l, i, 0.5f))
            continue;
        b->kind = s->deviation < 1 ? EBB_TRAJ_LEAF : EBB_TRAJ_BONDED;
        b->bond.parent = l->atom[l->nearest[i]];
        l->lengths[i - FRONT][0] = s->mean;
    }
}

static void find(const struct ebb_traj_look *look, struct loose *l, struct ebb_traj_bond_of *bonds,
                 float *least)
{
    find_nearest(look, l, FRONT, FRONT + l->n);
    measure_nearest(look, l, FRONT, FRONT + l->n);
    find_parents(l, bonds);
    for (uint32_t i = 0; i < l->n; i++)
        least[i] = INFINITY;
    find_references(look, l, bonds, least);
    for (uint32_t i = FRONT; i < FRONT + l->n; i++) {
        if (bonds[i - FRONT].kind != EBB_TRAJ_UNBONDED &&
            bonds[l->nearest[i] - FRONT].kind == EBB_TRAJ_LEAF)
            bonds[l->nearest[i] - FRONT].kind = EBB_TRAJ_BONDED;
    }
    round_lengths(l, bonds);
}

bool ebb_traj_bonds_find(const struct ebb_traj_look *look, const uint8_t *taken, size_t untaken,
                         struct ebb_traj_bond_of *bonds)
{
    if (look->count < 2 || untaken < 2)
        return true;
    struct loose l = {0};
    EBB_AUTO_FREE float *least = malloc((untaken + 1) * sizeof *least);
    const bool ok = loose_allocate(&l, untaken) && least != NULL;
    if (ok) {
        gather(look, taken, &l);
        if (worth_looking(look, &l))
            find(look, &l, bonds, least);
    }
    loose_clean_up(&l);
    return ok;
}
