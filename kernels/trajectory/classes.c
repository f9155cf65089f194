/* Rigid water is found by its regularity: a molecule of three or four atoms whose three distances
 * hold through the frames, followed by others of the same shape. Then come bonds; what is left is
 * free. A wrong guess costs bytes, never correctness. */
#include "kernels/trajectory/classes.h"

#include <string.h>

#include "kernels/trajectory/bonds.h"
#include "kernels/trajectory/near_choose.h"
#include "kernels/trajectory/shapes.h"

#define INSIDE    255 /* of a molecule that begins before */
#define IN_CHAIN  254
#define IN_LEAVES 253

/* Molecules found so far, by shape. */
struct found {
    struct ebb_traj_part *parts;
    struct ebb_traj_shape shapes[EBB_TRAJ_PARTS_MAX];
    unsigned count;
    struct ebb_traj_shape_window window;
    uint8_t *part_of; /* by atom: 1 + part of the molecule that begins here; or: */
};

static unsigned part_for(struct found *f, unsigned atoms, const struct ebb_traj_shape *s)
{
    for (unsigned k = 0; k < f->count; k++) {
        if (f->parts[k].atoms_each == atoms && ebb_traj_shapes_agree(&f->shapes[k], s))
            return k;
    }
    if (f->count == EBB_TRAJ_PARTS_MAX - 3)
        return UINT32_MAX;
    f->parts[f->count] = (struct ebb_traj_part){.type = EBB_TRAJ_PART_WATER, .atoms_each = atoms};
    f->shapes[f->count] = *s;
    return f->count++;
}

static size_t claim(struct found *f, size_t i, unsigned atoms, size_t count,
                    const struct ebb_traj_shape *s)
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

static size_t find_run(const struct ebb_traj_look *look, struct found *f, size_t i, unsigned atoms)
{
    struct ebb_traj_shape shape;
    if (!ebb_traj_shape_possible(look, &f->window, i, atoms))
        return 0;
    const size_t count = ebb_traj_shape_run(look, i, atoms, &shape);
    return count > 0 ? claim(f, i, atoms, count, &shape) : 0;
}

static void find_molecules(const struct ebb_traj_look *look, struct found *f)
{
    for (size_t i = 0; i < look->atoms;) {
        size_t taken = find_run(look, f, i, 3);
        if (taken == 0)
            taken = find_run(look, f, i, 4);
        i += taken > 0 ? taken : 1;
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
        ebb_traj_shape_measure(look, &f->parts[k]);
    return true;
}

static bool is_loose(uint8_t mark)
{
    return mark == 0 || mark == IN_CHAIN || mark == IN_LEAVES;
}

/* The bonds of the chain p, whose atoms have the mark, out of those of all loose atoms. */
static bool take_bonds(const struct ebb_traj_look *look, const struct found *f, uint8_t mark,
                       const struct ebb_traj_bond_of *bonds, struct ebb_traj_part *p)
{
    uint32_t n = 0;
    for (size_t i = 0, k = 0; i < look->atoms; i++) {
        if (f->part_of[i] == mark) {
            p->bonds[n++] = bonds[k].bond;
            p->with_angle += bonds[k].bond.reference != 0;
        }
        k += is_loose(f->part_of[i]);
    }
    return ebb_traj_chain_order(p);
}

/* Marks the loose atoms that are bonded; their bonds in file order. */
static bool find_bonds(const struct ebb_traj_look *look, struct found *f,
                       struct ebb_traj_bond_of **ret)
{
    size_t loose = 0;
    for (size_t i = 0; i < look->atoms; i++)
        loose += f->part_of[i] == 0;
    *ret = calloc(loose + 1, sizeof **ret);
    if (*ret == NULL)
        return false;
    if (!look->rigid_only && !ebb_traj_bonds_find(look, f->part_of, loose, *ret))
        return false;
    for (size_t i = 0, k = 0; i < look->atoms; i++) {
        if (f->part_of[i] != 0)
            continue;
        const enum ebb_traj_bonded kind = (*ret)[k++].kind;
        if (kind != EBB_TRAJ_UNBONDED)
            f->part_of[i] = kind == EBB_TRAJ_LEAF ? IN_LEAVES : IN_CHAIN;
    }
    return true;
}

/* The atoms outside molecules: free ones, then those bonded to atoms before them, then rigid
 * leaves. */
static bool fill_others(const struct ebb_traj_look *look, struct found *f)
{
    EBB_AUTO_FREE struct ebb_traj_bond_of *bonds = NULL;
    const unsigned others = f->count;
    if (!find_bonds(look, f, &bonds) || !add_part(look, f, 0, EBB_TRAJ_PART_FREE))
        return false;
    if (f->count > others && look->crystal)
        (void)ebb_traj_crystal_find(look, &f->parts[others]);
    if (f->count > others && look->lattice && f->parts[others].type == EBB_TRAJ_PART_FREE) {
        struct ebb_traj_part *p = &f->parts[others];
        p->reach = ebb_traj_near_reach(look, p);
        p->type = p->reach > 0 ? EBB_TRAJ_PART_LATTICE : EBB_TRAJ_PART_FREE;
    }
    for (unsigned k = 0; k < 2; k++) {
        const unsigned before = f->count;
        const uint8_t mark = k == 0 ? IN_CHAIN : IN_LEAVES;
        if (!add_part(look, f, mark, EBB_TRAJ_PART_CHAIN))
            return false;
        if (f->count > before && !take_bonds(look, f, mark, bonds, &f->parts[before]))
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
