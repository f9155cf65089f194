/* Who is whose neighbour: sites go one by one into buckets of cells as wide as the reach, and each
 * looks at those that came before it in its own cell and the 26 around. Then levels: a site comes
 * after its neighbours. Bounded for whatever coordinates there are: a few sites of each bucket are
 * looked at, and there are not too many levels. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "kernels/trajectory/lattice.h"
#include "kernels/trajectory/near.h"

#define LANES  EBB_TRAJ_NEAR_LANES
#define NOBODY UINT32_MAX

struct near_search {
    const uint32_t *first;
    const int32_t *q;
    uint32_t n, reach;
    unsigned shift;
    uint32_t *head,
        *next;      /* of each bucket the latest site; of each site the one before it there */
    uint32_t *list; /* NEAR_MOST for each site looked at */
    uint32_t *way;
    uint8_t *count;
    uint16_t *level;
};

static void search_clean_up(struct near_search *s)
{
    free(s->head);
    free(s->next);
    free(s->list);
    free(s->way);
    free(s->count);
    free(s->level);
}

static bool search_allocate(struct near_search *s, uint32_t rows)
{
    unsigned bits = 4;
    while ((1u << bits) < s->n)
        bits++;
    s->shift = 32 - bits;
    s->head = malloc(((size_t)1 << bits) * sizeof *s->head);
    s->next = malloc(((size_t)s->n + 1) * sizeof *s->next);
    s->list = malloc(((size_t)rows + 1) * EBB_TRAJ_NEAR_MOST * sizeof *s->list);
    s->way = malloc(((size_t)rows + 1) * EBB_TRAJ_NEAR_MOST * sizeof *s->way);
    s->count = calloc((size_t)s->n + 1, sizeof *s->count);
    s->level = calloc((size_t)s->n + 1, sizeof *s->level);
    if (s->head == NULL || s->next == NULL || s->list == NULL || s->way == NULL ||
        s->count == NULL || s->level == NULL)
        return false;
    memset(s->head, 0xff, ((size_t)1 << bits) * sizeof *s->head);
    return true;
}

/* Parts of a bucket's number: of a cell's place along each axis. */
static uint32_t hash_of(unsigned axis, uint32_t cell)
{
    static const uint32_t factors[3] = {73856093u, 19349663u, 83492791u};
    return cell * factors[axis];
}

static uint32_t bucket_of(const struct near_search *s, uint32_t x, uint32_t y, uint32_t z)
{
    return ((x ^ y ^ z) * 2654435761u) >> s->shift;
}

static uint32_t cell_of(const struct near_search *s, int32_t v)
{
    return ((uint32_t)v + 0x80000000u) / s->reach;
}

/* Bytes x, y, z of the direction, 127 long. */
static uint32_t way_of(const int32_t d[3], uint32_t square)
{
    const float scale = 127.0f / sqrtf((float)square);
    uint32_t way = 0;
    for (unsigned k = 0; k < 3; k++)
        way |= ((uint32_t)ebb_traj_round((float)d[k] * scale) & 0xff) << (8 * k);
    return way;
}

/* Looks at site j from `at` for site i; the row's lists grow. */
static void look_at(const struct near_search *s, uint32_t i, const int32_t at[3], uint32_t j,
                    size_t row)
{
    const int32_t *to = s->q + 3 * (size_t)s->first[j];
    const int32_t d[3] = {ebb_traj_sub(to[0], at[0]), ebb_traj_sub(to[1], at[1]),
                          ebb_traj_sub(to[2], at[2])};
    const uint32_t reach = s->reach;
    if ((uint32_t)d[0] + reach > 2 * reach || (uint32_t)d[1] + reach > 2 * reach ||
        (uint32_t)d[2] + reach > 2 * reach)
        return;
    const uint32_t square =
        (uint32_t)(d[0] * d[0]) + (uint32_t)(d[1] * d[1]) + (uint32_t)(d[2] * d[2]);
    if (square == 0 || square > reach * reach)
        return;
    uint32_t *list = s->list + row * EBB_TRAJ_NEAR_MOST;
    for (unsigned k = 0; k < s->count[i]; k++) {
        if (list[k] == j)
            return;
    }
    s->way[row * EBB_TRAJ_NEAR_MOST + s->count[i]] = way_of(d, square);
    list[s->count[i]++] = j;
}

/* hash[axis]: of the cell before, the site's own, and the one after. */
static void look_around(const struct near_search *s, uint32_t i, const int32_t at[3],
                        const uint32_t hash[3][3], size_t row)
{
    for (uint32_t k = 0; k < 27; k++) {
        const uint32_t bucket = bucket_of(s, hash[0][k % 3], hash[1][k / 3 % 3], hash[2][k / 9]);
        unsigned looks = 0;
        for (uint32_t j = s->head[bucket]; j != NOBODY && looks < EBB_TRAJ_NEAR_LOOK;
             j = s->next[j], looks++) {
            if (s->count[i] == EBB_TRAJ_NEAR_MOST)
                return;
            look_at(s, i, at, j, row);
        }
    }
}

static void search(const struct near_search *s, uint32_t step)
{
    uint32_t left = 0;
    size_t row = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        const int32_t *at = s->q + 3 * (size_t)s->first[i];
        uint32_t hash[3][3];
        for (unsigned axis = 0; axis < 3; axis++) {
            const uint32_t cell = cell_of(s, at[axis]);
            for (uint32_t k = 0; k < 3; k++)
                hash[axis][k] = hash_of(axis, cell + k - 1);
        }
        if (left == 0) {
            look_around(s, i, at, hash, row++);
            left = step;
        }
        left--;
        const uint32_t bucket = bucket_of(s, hash[0][1], hash[1][1], hash[2][1]);
        s->next[i] = s->head[bucket];
        s->head[bucket] = i;
    }
}

/* One more than the highest among its neighbours; too high: no neighbours. */
static void find_levels(const struct near_search *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        unsigned level = 0;
        for (unsigned k = 0; k < s->count[i]; k++) {
            const unsigned after = s->level[s->list[(size_t)i * EBB_TRAJ_NEAR_MOST + k]] + 1u;
            level = after > level ? after : level;
        }
        if (level >= EBB_TRAJ_NEAR_LEVELS) {
            level = 0;
            s->count[i] = 0;
        }
        s->level[i] = (uint16_t)level;
    }
}

/* Sites by level: sites[starts[l]..starts[l + 1]). */
static void sort_by_level(const struct near_search *s, uint32_t step, uint32_t *sites,
                          uint32_t starts[EBB_TRAJ_NEAR_LEVELS + 1])
{
    memset(starts, 0, (EBB_TRAJ_NEAR_LEVELS + 1) * sizeof *starts);
    for (uint32_t i = 0; i < s->n; i += step)
        starts[s->level[i] + 1]++;
    for (unsigned l = 0; l < EBB_TRAJ_NEAR_LEVELS; l++)
        starts[l + 1] += starts[l];
    uint32_t at[EBB_TRAJ_NEAR_LEVELS];
    memcpy(at, starts, sizeof at);
    for (uint32_t i = 0; i < s->n; i += step)
        sites[at[s->level[i]]++] = i;
}

/* Blocks of one level: their sites, and how many slots they need. */
static void cut_blocks(const struct near_search *s, const uint32_t *sites,
                       const uint32_t starts[EBB_TRAJ_NEAR_LEVELS + 1], struct ebb_traj_near *ret,
                       size_t *ret_slots)
{
    size_t slots = 0;
    for (unsigned l = 0; l < EBB_TRAJ_NEAR_LEVELS; l++) {
        for (uint32_t i = starts[l]; i < starts[l + 1]; i += LANES) {
            struct ebb_traj_near_block b = {.slots_at = (uint32_t)slots};
            uint32_t *site = ret->site + (size_t)LANES * ret->blocks;
            b.sites = (uint16_t)(starts[l + 1] - i < LANES ? starts[l + 1] - i : LANES);
            for (unsigned j = 0; j < LANES; j++) {
                site[j] = j < b.sites ? sites[i + j] : s->n;
                const unsigned count = s->count[site[j]];
                ret->share[(size_t)LANES * ret->blocks + j] = 1.0f / (float)(count + 2);
                b.slots = (uint16_t)(count > b.slots ? count : b.slots);
            }
            slots += b.slots;
            ret->block[ret->blocks++] = b;
        }
    }
    *ret_slots = slots;
}

static void fill_slots(const struct near_search *s, uint32_t step, struct ebb_traj_near *ret)
{
    for (uint32_t b = 0; b < ret->blocks; b++) {
        for (unsigned j = 0; j < LANES; j++) {
            const uint32_t i = ret->site[(size_t)LANES * b + j];
            const size_t row = (size_t)(i / step) * EBB_TRAJ_NEAR_MOST;
            for (unsigned k = 0; k < ret->block[b].slots; k++) {
                const size_t to = (size_t)LANES * (ret->block[b].slots_at + k) + j;
                const bool is = k < s->count[i];
                ret->from[to] = is ? s->list[row + k] : s->n;
                ret->way[to] = is ? s->way[row + k] : 0;
            }
        }
    }
}

static bool arrange(const struct near_search *s, uint32_t step, uint32_t rows,
                    struct ebb_traj_near *ret)
{
    uint32_t starts[EBB_TRAJ_NEAR_LEVELS + 1];
    EBB_AUTO_FREE uint32_t *sites = malloc(((size_t)rows + 1) * sizeof *sites);
    const size_t blocks = rows / LANES + EBB_TRAJ_NEAR_LEVELS + 1;
    ret->block = malloc(blocks * sizeof *ret->block);
    ret->site = malloc(blocks * LANES * sizeof *ret->site);
    ret->share = malloc(blocks * LANES * sizeof *ret->share);
    if (sites == NULL || ret->block == NULL || ret->site == NULL || ret->share == NULL)
        return false;
    size_t slots;
    sort_by_level(s, step, sites, starts);
    cut_blocks(s, sites, starts, ret, &slots);
    ret->from = malloc((slots + 1) * LANES * sizeof *ret->from);
    ret->way = malloc((slots + 1) * LANES * sizeof *ret->way);
    if (ret->from == NULL || ret->way == NULL)
        return false;
    fill_slots(s, step, ret);
    return true;
}

struct ebb_traj_near *ebb_traj_near_new(const uint32_t *first, uint32_t n, const int32_t *q,
                                        uint32_t reach, uint32_t step)
{
    struct near_search s = {.first = first, .q = q, .n = n, .reach = reach};
    const uint32_t rows = (n + step - 1) / step;
    struct ebb_traj_near *near = calloc(1, sizeof *near);
    bool ok = near != NULL && search_allocate(&s, rows);
    if (ok)
        near->moved = calloc(4 * ((size_t)n + 1), sizeof *near->moved);
    if (ok && near->moved != NULL) {
        near->n = n;
        search(&s, step);
        if (step == 1)
            find_levels(&s);
        ok = arrange(&s, step, rows, near);
    } else {
        ok = false;
    }
    search_clean_up(&s);
    if (!ok) {
        ebb_traj_near_destroy(near);
        return NULL;
    }
    return near;
}
