/* Crystals: homes from steps, their bytes in a group, and the order of their sites. */
#include "kernels/trajectory/crystal.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/trajectory/near.h"
#include "kernels/trajectory/part.h"
#include "kernels/trajectory/put.h"
#include "kernels/trajectory/trajectory.h"

#define SLACK 64

struct ebb_traj_crystal *ebb_traj_crystal_new(uint32_t n)
{
    struct ebb_traj_crystal *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->which = calloc(n, 1);
    c->level = calloc(3 * (size_t)n + SLACK, sizeof *c->level);
    if (c->which != NULL && c->level != NULL)
        return c;
    ebb_traj_crystal_destroy(c);
    return NULL;
}

void ebb_traj_crystal_destroy(struct ebb_traj_crystal *c)
{
    if (c == NULL)
        return;
    free(c->which);
    free(c->file_order);
    free(c->level);
    free(c);
}

void ebb_traj_crystal_write(const struct ebb_traj_part *p, struct ebb_buffer *out)
{
    const struct ebb_traj_crystal *c = p->crystal;
    const int32_t rows[6] = {c->period.xx, c->period.yx, c->period.yy,
                             c->period.zx, c->period.zy, c->period.zz};
    ebb_traj_put_varint(out, p->reach);
    ebb_traj_put_varint(out, c->prior);
    ebb_traj_put_varint(out, c->from);
    ebb_traj_put_varint(out, ebb_traj_crystal_levels(p));
    for (unsigned k = 0; k < 6; k++)
        ebb_traj_put_varint(out, ebb_traj_zigzag(rows[k]));
    for (unsigned k = 0; k < 3; k++)
        ebb_traj_put_varint(out, ebb_zigzag((int64_t)c->origin[k]));
    ebb_traj_put_varint(out, c->steps);
    for (unsigned s = 0; s < c->steps; s++) {
        for (unsigned k = 0; k < 3; k++)
            ebb_traj_put_varint(out, ebb_zigzag((int64_t)c->step[s][k]));
    }
    ebb_buffer_append(out, c->which + 1, p->n - 1);
}

static int corrupt(struct ebb_error *err)
{
    return ebb_error_set(err, EBB_ERR_CORRUPT, "trajectory group: a crystal is damaged");
}

/* All zeros, or a box as ebb_traj_box_make lets it pass. */
static bool is_period(const struct ebb_traj_box *b)
{
    const int32_t least[3] = {b->xx, b->yy, b->zz}, rest[3] = {b->yx, b->zx, b->zy};
    bool zero = true, sound = true;
    for (unsigned k = 0; k < 3; k++) {
        zero = zero && least[k] == 0 && rest[k] == 0;
        sound = sound && least[k] >= 4 && least[k] <= EBB_TRAJ_LATTICE_MAX &&
                rest[k] >= -EBB_TRAJ_LATTICE_MAX && rest[k] <= EBB_TRAJ_LATTICE_MAX;
    }
    return zero || sound;
}

static bool get_period(struct ebb_traj_box *ret, const uint8_t *bytes, size_t len, size_t *at)
{
    int32_t *rows[6] = {&ret->xx, &ret->yx, &ret->yy, &ret->zx, &ret->zy, &ret->zz};
    for (unsigned k = 0; k < 6; k++) {
        uint64_t v;
        if (!ebb_varint_get(bytes, len, at, &v) || v > UINT32_MAX)
            return false;
        *rows[k] = ebb_traj_unzigzag((uint32_t)v);
    }
    return is_period(ret);
}

static bool get_vector(uint64_t ret[3], const uint8_t *bytes, size_t len, size_t *at)
{
    for (unsigned k = 0; k < 3; k++) {
        uint64_t v;
        if (!ebb_varint_get(bytes, len, at, &v))
            return false;
        ret[k] = (uint64_t)ebb_zigzag_back(v);
    }
    return true;
}

static bool get_steps(struct ebb_traj_part *p, const uint8_t *bytes, size_t len, size_t *at)
{
    struct ebb_traj_crystal *c = p->crystal;
    uint64_t count;
    if (!ebb_varint_get(bytes, len, at, &count) || count > EBB_TRAJ_CRYSTAL_STEPS)
        return false;
    c->steps = (unsigned)count;
    for (unsigned s = 0; s < c->steps; s++) {
        if (!get_vector(c->step[s], bytes, len, at))
            return false;
    }
    if (len - *at < p->n - 1)
        return false;
    for (uint32_t i = 1; i < p->n; i++) {
        c->which[i] = bytes[(*at)++];
        if (c->which[i] >= c->steps)
            return false;
    }
    return true;
}

int ebb_traj_crystal_read(struct ebb_traj_part *p, const uint8_t *bytes, size_t len, size_t *at,
                          struct ebb_error *err)
{
    uint64_t reach, prior, from, levels;
    if (!ebb_varint_get(bytes, len, at, &reach) ||
        (reach != 0 && (reach < 4 || reach > EBB_TRAJ_NEAR_REACH)) ||
        !ebb_varint_get(bytes, len, at, &prior) || prior == 0 || prior > EBB_TRAJ_CRYSTAL_PRIOR ||
        !ebb_varint_get(bytes, len, at, &from) || from > EBB_TRAJ_GROUP_FRAMES_MAX ||
        !ebb_varint_get(bytes, len, at, &levels) || levels == 0 || levels > EBB_TRAJ_NEAR_STREAMS ||
        len - *at < p->n - 1)
        return corrupt(err);
    p->reach = (uint32_t)reach;
    p->crystal = ebb_traj_crystal_new(p->n);
    if (p->crystal == NULL)
        return ebb_error_set(err, EBB_ERR_NO_SPACE, "trajectory group: no memory for a crystal");
    p->crystal->prior = (uint32_t)prior;
    p->crystal->from = (uint32_t)from;
    p->crystal->levels = (unsigned)levels;
    if (!get_period(&p->crystal->period, bytes, len, at) ||
        !get_vector(p->crystal->origin, bytes, len, at) || !get_steps(p, bytes, len, at))
        return corrupt(err);
    return 0;
}

static void add(uint64_t at[3], uint64_t dx, uint64_t dy, uint64_t dz)
{
    at[0] += dx;
    at[1] += dy;
    at[2] += dz;
}

static uint64_t fixed(int32_t v)
{
    return (uint64_t)(int64_t)v << 32;
}

/* One step towards the box, as ebb_traj_wrap. */
static void wrap(const struct ebb_traj_box *b, uint64_t at[3])
{
    if ((int64_t)at[2] < 0)
        add(at, fixed(b->zx), fixed(b->zy), fixed(b->zz));
    else if ((int64_t)at[2] >= (int64_t)fixed(b->zz))
        add(at, 0 - fixed(b->zx), 0 - fixed(b->zy), 0 - fixed(b->zz));
    if ((int64_t)at[1] < 0)
        add(at, fixed(b->yx), fixed(b->yy), 0);
    else if ((int64_t)at[1] >= (int64_t)fixed(b->yy))
        add(at, 0 - fixed(b->yx), 0 - fixed(b->yy), 0);
    if ((int64_t)at[0] < 0)
        add(at, fixed(b->xx), 0, 0);
    else if ((int64_t)at[0] >= (int64_t)fixed(b->xx))
        add(at, 0 - fixed(b->xx), 0, 0);
}

/* From home to home. */
struct walk {
    const struct ebb_traj_crystal *crystal;
    uint64_t at[3];
    uint32_t next;
};

static struct walk begin(const struct ebb_traj_part *p)
{
    const struct ebb_traj_crystal *c = p->crystal;
    return (struct walk){.crystal = c, .at = {c->origin[0], c->origin[1], c->origin[2]}};
}

static void next_home(struct walk *w, int32_t ret[3])
{
    const struct ebb_traj_crystal *c = w->crystal;
    if (w->next > 0) {
        const uint64_t *step = c->step[c->which[w->next]];
        add(w->at, step[0], step[1], step[2]);
    }
    w->next++;
    wrap(&c->period, w->at);
    for (unsigned k = 0; k < 3; k++)
        ret[k] = (int32_t)(uint32_t)((w->at[k] + 0x80000000u) >> 32);
}

void ebb_traj_crystal_homes(const struct ebb_traj_part *p, int32_t *ret)
{
    struct walk w = begin(p);
    for (uint32_t i = 0; i < p->n; i++)
        next_home(&w, ret + 3 * (size_t)i);
}

void ebb_traj_crystal_place(const struct ebb_traj_part *p, int32_t *q)
{
    struct walk w = begin(p);
    for (uint32_t i = 0; i < p->n; i++)
        next_home(&w, q + 3 * (size_t)p->first[i]);
}

/* Three arrays of n, one after another, into another order. */
static void reorder(const uint32_t *order, size_t n, int32_t *scratch, int32_t *arrays)
{
    memcpy(scratch, arrays, 3 * n * sizeof *arrays);
    for (size_t k = 0; k < 3 * n; k += n) {
        for (size_t i = 0; i < n; i++)
            arrays[k + i] = scratch[k + order[i]];
    }
}

bool ebb_traj_crystal_arrange(struct ebb_traj_part *p)
{
    struct ebb_traj_crystal *c = p->crystal;
    const size_t n = p->n;
    EBB_AUTO_FREE int32_t *homes = malloc(3 * n * sizeof *homes);
    EBB_AUTO_FREE uint32_t *order = malloc(n * sizeof *order);
    c->file_order = malloc(n * sizeof *c->file_order);
    if (homes == NULL || order == NULL || c->file_order == NULL)
        return false;
    ebb_traj_crystal_homes(p, homes);
    p->near = ebb_traj_near_around(homes, p->n, p->reach, &c->period, order);
    if (p->near == NULL)
        return false;
    memcpy(c->file_order, p->first, n * sizeof *c->file_order);
    for (size_t i = 0; i < n; i++)
        p->first[i] = c->file_order[order[i]];
    reorder(order, n, homes, p->last);
    reorder(order, n, homes, p->behind);
    return true;
}

unsigned ebb_traj_crystal_levels(const struct ebb_traj_part *p)
{
    unsigned levels = 1;
    while (p->near != NULL && levels < EBB_TRAJ_NEAR_STREAMS && p->near->level_at[levels] < p->n)
        levels++;
    return levels;
}

void ebb_traj_crystal_take(const struct ebb_traj_part *p, unsigned level, const uint32_t *numbers,
                           uint32_t *ret)
{
    const uint32_t from = p->near == NULL ? 0 : p->near->level_at[level],
                   count = (p->near == NULL ? p->n : p->near->level_at[level + 1]) - from;
    for (size_t k = 0; k < 3; k++)
        memcpy(ret + k * count, numbers + k * p->n + from, count * sizeof *ret);
}

void ebb_traj_crystal_give(const struct ebb_traj_part *p, unsigned level, const uint32_t *from,
                           uint32_t *numbers)
{
    const uint32_t at = p->near == NULL ? 0 : p->near->level_at[level],
                   count = (p->near == NULL ? p->n : p->near->level_at[level + 1]) - at;
    for (size_t k = 0; k < 3; k++)
        memcpy(numbers + k * p->n + at, from + k * count, count * sizeof *from);
}
