/* The neighbours of a crystal's homes, on all sides and through the faces of its box, and the
 * sites' levels: the lowest that no neighbour before has. Regular lattices need few (fcc four), so
 * whole quarters of the sites are independent. Bounded for whatever homes there are: a cell keeps a
 * few sites, and a site a few neighbours. */
#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/memory.h"
#include "kernels/trajectory/levels.h"
#include "kernels/trajectory/near.h"

#define LANES    EBB_TRAJ_NEAR_LANES
#define AROUND   16 /* neighbours of a site on all sides */
#define CELL     8  /* sites that a cell keeps */
#define CELL_MIN 64

struct cell {
    int32_t x[CELL], y[CELL], z[CELL];
    uint32_t site[CELL];
};

struct around {
    const int32_t *at; /* x, y, z of each */
    const struct ebb_traj_box *period;
    uint32_t n, reach;
    int32_t least[3];
    uint32_t side, cells[3];
    uint8_t *kept; /* of each cell */
    struct cell *cell;
    uint32_t *list, *way; /* AROUND for each site */
    uint8_t *count, *level;
};

static void around_clean_up(struct around *a)
{
    free(a->kept);
    free(a->cell);
    free(a->list);
    free(a->way);
    free(a->count);
    free(a->level);
}

/* Cells as wide as the reach, or wider by powers of two where there would be too many. */
static void cut_cells(struct around *a)
{
    int32_t most[3];
    memcpy(a->least, a->at, sizeof a->least);
    memcpy(most, a->at, sizeof most);
    for (uint32_t i = 1; i < a->n; i++) {
        for (unsigned k = 0; k < 3; k++) {
            const int32_t v = a->at[3 * (size_t)i + k];
            a->least[k] = v < a->least[k] ? v : a->least[k];
            most[k] = v > most[k] ? v : most[k];
        }
    }
    const uint64_t limit = 2 * (uint64_t)a->n + CELL_MIN;
    for (a->side = a->reach;; a->side *= 2) {
        uint64_t cells = 1;
        for (unsigned k = 0; k < 3; k++) {
            a->cells[k] = (uint32_t)(((int64_t)most[k] - a->least[k]) / a->side) + 1;
            cells = cells > limit ? cells : cells * a->cells[k];
        }
        if (cells <= limit || a->side >= 1u << 31)
            return;
    }
}

static bool around_allocate(struct around *a)
{
    const size_t n = a->n, cells = (size_t)a->cells[0] * a->cells[1] * a->cells[2];
    a->kept = calloc(cells, sizeof *a->kept);
    a->cell = malloc(cells * sizeof *a->cell);
    a->list = malloc(n * AROUND * sizeof *a->list);
    a->way = malloc(n * AROUND * sizeof *a->way);
    a->count = calloc(n, sizeof *a->count);
    a->level = calloc(n, sizeof *a->level);
    return a->kept != NULL && a->cell != NULL && a->list != NULL && a->way != NULL &&
           a->count != NULL && a->level != NULL;
}

/* Bytes x, y, z of the direction, 127 long. */
static uint32_t way_of(const int32_t d[3], float scale)
{
    uint32_t way = 0;
    for (unsigned k = 0; k < 3; k++)
        way |= ((uint32_t)ebb_traj_round((float)d[k] * scale) & 0xff) << (8 * k);
    return way;
}

static void add_neighbour(const struct around *a, uint32_t i, uint32_t j, const int32_t d[3],
                          float scale)
{
    if (a->count[i] == AROUND)
        return;
    const size_t to = (size_t)AROUND * i + a->count[i]++;
    a->list[to] = j;
    a->way[to] = way_of(d, scale);
}

/* Site i, or an image of it, stands at `at`, and j is near. */
static void meet(const struct around *a, uint32_t i, const int32_t at[3], uint32_t j)
{
    const int32_t *to = a->at + 3 * (size_t)j;
    const int32_t d[3] = {to[0] - at[0], to[1] - at[1], to[2] - at[2]},
                  back[3] = {-d[0], -d[1], -d[2]};
    const uint32_t square =
        (uint32_t)(d[0] * d[0]) + (uint32_t)(d[1] * d[1]) + (uint32_t)(d[2] * d[2]);
    const float scale = 127.0f / sqrtf((float)square);
    add_neighbour(a, i, j, d, scale);
    add_neighbour(a, j, i, back, scale);
}

/* The cell along an axis of a coordinate that may lie a reach outside, from 1 on. */
static uint32_t cell_of(const struct around *a, unsigned k, int32_t v)
{
    return (uint32_t)(((int64_t)v - a->least[k] + a->side) / a->side);
}

/* A bit for each place of the cell whose site is within the reach. */
static uint32_t near_in_cell(const struct cell *c, const int32_t at[3], uint32_t reach)
{
    uint32_t near = 0;
    for (unsigned s = 0; s < CELL; s++) {
        const uint32_t x = (uint32_t)c->x[s] - (uint32_t)at[0],
                       y = (uint32_t)c->y[s] - (uint32_t)at[1],
                       z = (uint32_t)c->z[s] - (uint32_t)at[2], square = x * x + y * y + z * z;
        const bool is = (x + reach <= 2 * reach) & (y + reach <= 2 * reach) &
                        (z + reach <= 2 * reach) & (square - 1 < reach * reach);
        near |= (uint32_t)is << s;
    }
    return near;
}

#if defined(__x86_64__)
/* Lanes of v that are at most `most`, without sign. */
EBB_TARGET_AVX2 static inline __m256i at_most(__m256i v, __m256i most)
{
    return _mm256_cmpeq_epi32(_mm256_min_epu32(v, most), v);
}

EBB_TARGET_AVX2 static uint32_t near_in_cell_avx2(const struct cell *c, const int32_t at[3],
                                                  uint32_t reach)
{
    const __m256i one = _mm256_set1_epi32(1), half = _mm256_set1_epi32((int32_t)reach),
                  whole = _mm256_add_epi32(half, half),
                  inner = _mm256_sub_epi32(_mm256_mullo_epi32(half, half), one);
    const __m256i x = _mm256_sub_epi32(_mm256_loadu_si256((const __m256i *)(const void *)c->x),
                                       _mm256_set1_epi32(at[0])),
                  y = _mm256_sub_epi32(_mm256_loadu_si256((const __m256i *)(const void *)c->y),
                                       _mm256_set1_epi32(at[1])),
                  z = _mm256_sub_epi32(_mm256_loadu_si256((const __m256i *)(const void *)c->z),
                                       _mm256_set1_epi32(at[2]));
    const __m256i square =
        _mm256_add_epi32(_mm256_add_epi32(_mm256_mullo_epi32(x, x), _mm256_mullo_epi32(y, y)),
                         _mm256_mullo_epi32(z, z));
    const __m256i across = _mm256_and_si256(at_most(_mm256_add_epi32(x, half), whole),
                                            at_most(_mm256_add_epi32(y, half), whole));
    const __m256i along = _mm256_and_si256(at_most(_mm256_add_epi32(z, half), whole),
                                           at_most(_mm256_sub_epi32(square, one), inner));
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_and_si256(across, along)));
}
#endif

#define LOOK(near_in)                                                                              \
    do {                                                                                           \
        for (uint32_t z = low[2]; z <= high[2]; z++) {                                             \
            for (uint32_t y = low[1]; y <= high[1]; y++) {                                         \
                const size_t row = ((size_t)z * a->cells[1] + y) * a->cells[0];                    \
                for (size_t c = row + low[0]; c <= row + high[0]; c++) {                           \
                    if (a->kept[c] == 0)                                                           \
                        continue;                                                                  \
                    uint32_t near = near_in(&a->cell[c], at, a->reach) & ((1u << a->kept[c]) - 1); \
                    for (; near != 0; near &= near - 1)                                            \
                        meet(a, i, at, a->cell[c].site[__builtin_ctz(near)]);                      \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    } while (0)

static void look(const struct around *a, uint32_t i, const int32_t at[3], const uint32_t low[3],
                 const uint32_t high[3])
{
    LOOK(near_in_cell);
}

#if defined(__x86_64__)
EBB_TARGET_AVX2 static void look_avx2(const struct around *a, uint32_t i, const int32_t at[3],
                                      const uint32_t low[3], const uint32_t high[3])
{
    LOOK(near_in_cell_avx2);
}
#endif

static void look_around(const struct around *a, uint32_t i, const int32_t at[3])
{
    uint32_t low[3], high[3];
    for (unsigned k = 0; k < 3; k++) {
        const uint32_t c = cell_of(a, k, at[k]);
        low[k] = c < 2 ? 0 : c - 2;
        high[k] = c < a->cells[k] ? c : a->cells[k] - 1;
    }
#if defined(__x86_64__)
    if (ebb_cpu_level() >= EBB_CPU_AVX2) {
        look_avx2(a, i, at, low, high);
        return;
    }
#endif
    look(a, i, at, low, high);
}

/* Whether no coordinate lies further outside the cells than one more would reach. */
static bool is_about(const struct around *a, const int32_t at[3])
{
    bool about = true;
    for (unsigned k = 0; k < 3; k++) {
        const int64_t from = (int64_t)at[k] - a->least[k] + a->side;
        about = about && from >= 0 && from < ((int64_t)a->cells[k] + 2) * a->side;
    }
    return about;
}

static bool is_inner(const struct around *a, const int32_t at[3])
{
    const struct ebb_traj_box *b = a->period;
    const int32_t most[3] = {b->xx, b->yy, b->zz}, reach = (int32_t)a->reach;
    bool inner = true;
    for (unsigned k = 0; k < 3; k++)
        inner = inner && at[k] > reach && at[k] < most[k] - reach;
    return inner;
}

/* As seen through the faces of the box too: the image k mod 3 - 1 rows x away, and so on. */
static void look_from(const struct around *a, uint32_t i)
{
    const struct ebb_traj_box *b = a->period;
    const int32_t *at = a->at + 3 * (size_t)i;
    look_around(a, i, at);
    if (b->xx == 0 || is_inner(a, at))
        return;
    for (int32_t k = 0; k < 27; k++) {
        const int32_t x = k % 3 - 1, y = k / 3 % 3 - 1, z = k / 9 - 1;
        const int32_t image[3] = {
            ebb_traj_add(at[0], ebb_traj_add(x * b->xx, ebb_traj_add(y * b->yx, z * b->zx))),
            ebb_traj_add(at[1], ebb_traj_add(y * b->yy, z * b->zy)),
            ebb_traj_add(at[2], z * b->zz)};
        if (k != 13 && is_about(a, image))
            look_around(a, i, image);
    }
}

static void find_neighbours(const struct around *a)
{
    for (uint32_t i = 0; i < a->n; i++) {
        const int32_t *at = a->at + 3 * (size_t)i;
        look_from(a, i);
        const size_t cell =
            ((size_t)(cell_of(a, 2, at[2]) - 1) * a->cells[1] + (cell_of(a, 1, at[1]) - 1)) *
                a->cells[0] +
            (cell_of(a, 0, at[0]) - 1);
        if (a->kept[cell] == CELL)
            continue;
        struct cell *c = &a->cell[cell];
        const unsigned s = a->kept[cell]++;
        c->x[s] = at[0];
        c->y[s] = at[1];
        c->z[s] = at[2];
        c->site[s] = i;
    }
}

/* The lowest level that no neighbour before has; the highest ones are one. */
static void find_levels(const struct around *a)
{
    for (uint32_t i = 0; i < a->n; i++) {
        uint32_t taken = 0;
        for (unsigned k = 0; k < a->count[i]; k++) {
            const uint32_t j = a->list[(size_t)AROUND * i + k];
            taken |= j < i ? 1u << a->level[j] : 0;
        }
        unsigned level = 0;
        while (taken >> level & 1)
            level++;
        a->level[i] = (uint8_t)(level < EBB_TRAJ_NEAR_STREAMS ? level : EBB_TRAJ_NEAR_STREAMS - 1);
    }
}

/* Sites by level, in file order within one; place[site] is where. */
static void sort_by_level(const struct around *a, uint32_t *order, uint32_t *place,
                          uint32_t level_at[EBB_TRAJ_NEAR_STREAMS + 1])
{
    uint32_t next[EBB_TRAJ_NEAR_STREAMS] = {0};
    for (uint32_t i = 0; i < a->n; i++)
        next[a->level[i]]++;
    level_at[0] = 0;
    for (unsigned l = 0; l < EBB_TRAJ_NEAR_STREAMS; l++) {
        level_at[l + 1] = level_at[l] + next[l];
        next[l] = level_at[l];
    }
    for (uint32_t i = 0; i < a->n; i++) {
        place[i] = next[a->level[i]]++;
        order[place[i]] = i;
    }
}

/* A site's neighbours of lower levels alone are kept. */
static void keep_lower(const struct around *a)
{
    for (uint32_t i = 0; i < a->n; i++) {
        uint32_t *list = a->list + (size_t)AROUND * i, *way = a->way + (size_t)AROUND * i;
        unsigned count = 0;
        for (unsigned k = 0; k < a->count[i]; k++) {
            list[count] = list[k];
            way[count] = way[k];
            count += a->level[list[k]] < a->level[i];
        }
        a->count[i] = (uint8_t)count;
    }
}

/* Blocks of places, level by level. Returns the slots that they need. */
static size_t cut_blocks(const struct around *a, const uint32_t *order, struct ebb_traj_near *ret)
{
    size_t slots = 0;
    for (unsigned l = 0; l < EBB_TRAJ_NEAR_STREAMS; l++) {
        ret->level_block[l] = ret->blocks;
        for (uint32_t i = ret->level_at[l]; i < ret->level_at[l + 1]; i += LANES) {
            const uint32_t left = ret->level_at[l + 1] - i;
            struct ebb_traj_near_block b = {.slots_at = (uint32_t)slots,
                                            .sites = (uint16_t)(left < LANES ? left : LANES)};
            for (unsigned j = 0; j < LANES; j++) {
                const unsigned count = j < b.sites ? a->count[order[i + j]] : 0;
                ret->site[(size_t)LANES * ret->blocks + j] = j < b.sites ? i + j : a->n;
                ret->share[(size_t)LANES * ret->blocks + j] = 1.0f / (float)(count + 2);
                b.slots = (uint16_t)(count > b.slots ? count : b.slots);
            }
            slots += b.slots;
            ret->block[ret->blocks++] = b;
        }
    }
    ret->level_block[EBB_TRAJ_NEAR_STREAMS] = ret->blocks;
    return slots;
}

static void fill_block(const struct around *a, const uint32_t *order, const uint32_t *place,
                       uint32_t block, struct ebb_traj_near *ret)
{
    const struct ebb_traj_near_block *b = &ret->block[block];
    for (unsigned j = 0; j < LANES; j++) {
        size_t to = (size_t)LANES * b->slots_at + j, end = to + (size_t)LANES * b->slots;
        const uint32_t i = j < b->sites ? order[ret->site[(size_t)LANES * block + j]] : a->n;
        for (unsigned k = 0; i < a->n && k < a->count[i]; k++) {
            ret->from[to] = place[a->list[(size_t)AROUND * i + k]];
            ret->way[to] = a->way[(size_t)AROUND * i + k];
            to += LANES;
        }
        for (; to < end; to += LANES) {
            ret->from[to] = a->n;
            ret->way[to] = 0;
        }
    }
}

static bool arrange(const struct around *a, uint32_t *order, struct ebb_traj_near *ret)
{
    const size_t n = a->n, blocks = n / LANES + EBB_TRAJ_NEAR_STREAMS + 1;
    EBB_AUTO_FREE uint32_t *place = malloc(n * sizeof *place);
    ret->block = malloc(blocks * sizeof *ret->block);
    ret->site = malloc(blocks * LANES * sizeof *ret->site);
    ret->share = malloc(blocks * LANES * sizeof *ret->share);
    if (place == NULL || ret->block == NULL || ret->site == NULL || ret->share == NULL)
        return false;
    keep_lower(a);
    sort_by_level(a, order, place, ret->level_at);
    const size_t slots = cut_blocks(a, order, ret);
    ret->from = malloc((slots + 1) * LANES * sizeof *ret->from);
    ret->way = malloc((slots + 1) * LANES * sizeof *ret->way);
    if (ret->from == NULL || ret->way == NULL)
        return false;
    for (uint32_t b = 0; b < ret->blocks; b++)
        fill_block(a, order, place, b, ret);
    return true;
}

struct ebb_traj_near *ebb_traj_near_around(const int32_t *at, uint32_t n, uint32_t reach,
                                           const struct ebb_traj_box *period, uint32_t *order)
{
    struct around a = {.at = at, .period = period, .n = n, .reach = reach > 0 ? reach : 1};
    struct ebb_traj_near *near = calloc(1, sizeof *near);
    cut_cells(&a);
    bool ok = near != NULL && around_allocate(&a);
    if (ok)
        near->moved = calloc(4 * ((size_t)n + LANES), sizeof *near->moved);
    if (ok && near->moved != NULL) {
        near->n = n;
        if (reach > 0)
            find_neighbours(&a);
        find_levels(&a);
        ok = arrange(&a, order, near);
    } else {
        ok = false;
    }
    around_clean_up(&a);
    if (!ok) {
        ebb_traj_near_destroy(near);
        return NULL;
    }
    return near;
}
