/* The order in which a chain's atoms are coded: by depth (how many atoms of the part must be known
 * before), those on spheres before those on circles, then by atom. Encoder and decoder both derive
 * it from the bonds. */
#include <string.h>

#include "kernels/trajectory/part.h"

#define NEAR 8

/* The place of an atom in the part, or UINT32_MAX. */
static uint32_t place_of(const struct ebb_traj_part *p, uint32_t atom, uint32_t before)
{
    uint32_t low = 0, high = before;
    if (before > NEAR) { /* most are close by */
        if (p->first[before - NEAR] <= atom)
            low = before - NEAR;
        else
            high = before - NEAR;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (p->first[middle] < atom)
            low = middle + 1;
        else
            high = middle;
    }
    return low < before && p->first[low] == atom ? low : UINT32_MAX;
}

/* Twice the depth, plus 1 on a circle. */
static uint32_t key_of(const struct ebb_traj_part *p, uint32_t i, const uint32_t *keys)
{
    const struct ebb_traj_bond *b = &p->bonds[i];
    uint32_t depth = 0, parent = place_of(p, b->parent, i);
    if (parent != UINT32_MAX)
        depth = keys[parent] / 2 + 1;
    if (b->reference > 1) {
        uint32_t third = place_of(p, p->first[i] - (b->reference - 1), i);
        if (third != UINT32_MAX && keys[third] / 2 + 1 > depth)
            depth = keys[third] / 2 + 1;
    }
    return 2 * depth + (b->reference != 0);
}

static struct ebb_traj_link link_of(const struct ebb_traj_part *p, uint32_t i)
{
    const struct ebb_traj_bond *b = &p->bonds[i];
    const uint32_t atom = p->first[i];
    return (struct ebb_traj_link){.place = i,
                                  .atom = atom,
                                  .parent = b->parent,
                                  .third = b->reference > 1 ? atom - (b->reference - 1) : b->parent,
                                  .turned = b->reference == 1 ? UINT32_MAX : 0,
                                  .b2 = b->b2,
                                  .c2 = b->c2};
}

bool ebb_traj_chain_order(struct ebb_traj_part *p)
{
    EBB_AUTO_FREE uint32_t *keys = calloc((size_t)p->n + 1, sizeof *keys);
    EBB_AUTO_FREE uint32_t *ends = calloc(2 * (size_t)p->n + 3, sizeof *ends);
    p->order = calloc((size_t)p->n + 1, sizeof *p->order);
    p->batch_end = calloc((size_t)p->n + 1, sizeof *p->batch_end);
    p->links = calloc((size_t)p->n + 1, sizeof *p->links);
    if (keys == NULL || ends == NULL || p->order == NULL || p->batch_end == NULL ||
        p->links == NULL)
        return false;
    for (uint32_t i = 0; i < p->n; i++) {
        keys[i] = key_of(p, i, keys);
        ends[keys[i] + 1]++;
    }
    for (size_t k = 1; k < 2 * (size_t)p->n + 3; k++)
        ends[k] += ends[k - 1];
    for (uint32_t i = 0; i < p->n; i++)
        p->order[ends[keys[i]]++] = i;
    for (uint32_t i = 0; i < p->n; i++)
        p->batch_end[i] = ends[keys[p->order[i]]];
    uint32_t at[2] = {0, p->n - p->with_angle};
    for (uint32_t i = 0; i < p->n; i++)
        p->links[at[p->bonds[p->order[i]].reference != 0]++] = link_of(p, p->order[i]);
    return true;
}
