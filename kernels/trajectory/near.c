/* Neighbours' displacements as a prediction. The arithmetic is in near_lanes.h. */
#include "kernels/trajectory/near.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "kernels/trajectory/model_pass.h"

#define LANES EBB_TRAJ_NEAR_LANES

#define WIDTH 1
#define TARGET
#include "kernels/trajectory/near_lanes.h"
#undef WIDTH
#undef TARGET
#if defined(__x86_64__)
#define WIDTH  8
#define TARGET EBB_TARGET_AVX2
#include "kernels/trajectory/near_lanes.h"
#undef WIDTH
#undef TARGET
#define WIDTH  16
#define TARGET EBB_TARGET_AVX512
#include "kernels/trajectory/near_lanes.h"
#undef WIDTH
#undef TARGET
#endif

static void expect_block(const struct ebb_traj_near *n, const struct ebb_traj_near_block *b,
                         float same, float along, const float *share, struct block *ret)
{
#if defined(__x86_64__)
    enum ebb_cpu_level level = ebb_cpu_level();
    if (level >= EBB_CPU_AVX512) {
        expect_block16(n, b, same, along, share, ret);
        return;
    }
    if (level >= EBB_CPU_AVX2) {
        expect_block8(n, b, same, along, share, ret);
        return;
    }
#endif
    expect_block1(n, b, same, along, share, ret);
}

static void turn_block(const struct ebb_traj_near *n, const struct ebb_traj_near_block *b,
                       float same, float along, const float *share, struct block *numbers,
                       struct block *moves)
{
#if defined(__x86_64__)
    enum ebb_cpu_level level = ebb_cpu_level();
    if (level >= EBB_CPU_AVX512) {
        turn_block16(n, b, same, along, share, numbers, moves);
        return;
    }
    if (level >= EBB_CPU_AVX2) {
        turn_block8(n, b, same, along, share, numbers, moves);
        return;
    }
#endif
    turn_block1(n, b, same, along, share, numbers, moves);
}

static void turn_level(const struct ebb_traj_near *n, unsigned level, float same, float along,
                       bool decode, uint32_t *numbers)
{
#if defined(__x86_64__)
    enum ebb_cpu_level cpu = ebb_cpu_level();
    if (cpu >= EBB_CPU_AVX512) {
        turn_level16(n, level, same, along, decode, numbers);
        return;
    }
    if (cpu >= EBB_CPU_AVX2) {
        turn_level8(n, level, same, along, decode, numbers);
        return;
    }
#endif
    turn_level1(n, level, same, along, decode, numbers);
}

/* Weights are in 1/32; those along a line meet squares of (127 * 2^24)^2. */
static float same_weight(int8_t same)
{
    return (float)same / 32.0f;
}

static float along_weight(int8_t along)
{
    return (float)along / 32.0f / 16129.0f / 281474976710656.0f;
}

static void set_moves(struct ebb_traj_near *near, const uint32_t *numbers)
{
    const size_t n = near->n;
    for (size_t i = 0; i < n; i++) {
        near->moved[4 * i] = (float)ebb_traj_unzigzag(numbers[i]);
        near->moved[4 * i + 1] = (float)ebb_traj_unzigzag(numbers[n + i]);
        near->moved[4 * i + 2] = (float)ebb_traj_unzigzag(numbers[2 * n + i]);
    }
}

static void take_numbers(const uint32_t *numbers, size_t n, const uint32_t *site, unsigned count,
                         struct block *ret)
{
    for (unsigned j = 0; j < count; j++) {
        ret->x[j] = (int32_t)numbers[site[j]];
        ret->y[j] = (int32_t)numbers[n + site[j]];
        ret->z[j] = (int32_t)numbers[2 * n + site[j]];
    }
}

static void give_numbers(const struct block *b, size_t n, const uint32_t *site, unsigned count,
                         uint32_t *numbers)
{
    for (unsigned j = 0; j < count; j++) {
        numbers[site[j]] = (uint32_t)b->x[j];
        numbers[n + site[j]] = (uint32_t)b->y[j];
        numbers[2 * n + site[j]] = (uint32_t)b->z[j];
    }
}

void ebb_traj_near_encode(struct ebb_traj_near *near, int8_t same, int8_t along, uint32_t *numbers)
{
    const float ws = same_weight(same), wl = along_weight(along);
    struct block v = {0};
    set_moves(near, numbers);
    for (uint32_t b = 0; b < near->blocks; b++) {
        const uint32_t *site = near->site + (size_t)LANES * b;
        if (near->block[b].slots == 0)
            continue;
        take_numbers(numbers, near->n, site, near->block[b].sites, &v);
        turn_block(near, &near->block[b], ws, wl, near->share + (size_t)LANES * b, &v, NULL);
        give_numbers(&v, near->n, site, near->block[b].sites, numbers);
    }
}

void ebb_traj_near_decode(struct ebb_traj_near *near, int8_t same, int8_t along, uint32_t *numbers)
{
    const float ws = same_weight(same), wl = along_weight(along);
    struct block v = {0}, moves = {0};
    for (uint32_t b = 0; b < near->blocks; b++) {
        const uint32_t *site = near->site + (size_t)LANES * b;
        take_numbers(numbers, near->n, site, near->block[b].sites, &v);
        turn_block(near, &near->block[b], ws, wl, near->share + (size_t)LANES * b, &v, &moves);
        give_numbers(&v, near->n, site, near->block[b].sites, numbers);
        for (unsigned j = 0; j < near->block[b].sites; j++) {
            float *m = near->moved + 4 * (size_t)site[j];
            memcpy(m, &moves.x[j], sizeof *m);
            memcpy(m + 1, &moves.y[j], sizeof *m);
            memcpy(m + 2, &moves.z[j], sizeof *m);
        }
    }
}

/* Sums over a sample: of what a site did (x), of its neighbours' mean (s) and along them (l). */
struct near_sums {
    double ss, sl, ll, xs, xl, xx;
};

static void add_sample(const struct ebb_traj_near *near, uint32_t block, double limit,
                       const struct block *s, const struct block *l, struct near_sums *t)
{
    const int32_t *ss[3] = {s->x, s->y, s->z}, *ls[3] = {l->x, l->y, l->z};
    for (unsigned j = 0; j < near->block[block].sites; j++) {
        for (unsigned k = 0; k < 3; k++) {
            const double x = near->moved[4 * (size_t)near->site[(size_t)LANES * block + j] + k];
            const double vs = ss[k][j] / 256.0, vl = ls[k][j] / 256.0;
            if (fabs(x) > limit)
                continue;
            t->xx += x * x;
            t->xs += x * vs;
            t->xl += x * vl;
            t->ss += vs * vs;
            t->sl += vs * vl;
            t->ll += vl * vl;
        }
    }
}

static int8_t weight_of(double w)
{
    return (int8_t)(w > 127 ? 127 : (w < -127 ? -127 : rint(w)));
}

/* Moves beyond this tell of something else than a lattice that vibrates. */
static double usual_move(const struct ebb_traj_near *near)
{
    double sum = 0;
    for (size_t i = 0; i < 4 * (size_t)near->n; i++)
        sum += fabsf(near->moved[i]);
    return 6 * sum / (3 * (double)near->n + 1) + 4;
}

/* Over a sample of the blocks from..to. Returns the share of the squares that is left. */
static double fit_blocks(const struct ebb_traj_near *near, uint32_t from, uint32_t to, double limit,
                         double *ret_same, double *ret_along)
{
    enum { SAMPLE = 64 }; /* blocks */
    const uint32_t step = (to - from) / SAMPLE + 1;
    struct near_sums t = {0};
    for (uint32_t b = from; b < to; b += step) {
        const float *share = near->share + (size_t)LANES * b;
        struct block s, l;
        expect_block(near, &near->block[b], 256.0f, 0.0f, share, &s);
        expect_block(near, &near->block[b], 0.0f, along_weight(32) * 256.0f, share, &l);
        add_sample(near, b, limit, &s, &l, &t);
    }
    const double det = t.ss * t.ll - t.sl * t.sl;
    double same = 0, along = 0;
    if (det > 1e-6 * t.ss * t.ll) {
        same = (t.xs * t.ll - t.xl * t.sl) / det;
        along = (t.xl * t.ss - t.xs * t.sl) / det;
    }
    *ret_same = same;
    *ret_along = along;
    return t.xx > 0 ? 1 - (same * t.xs + along * t.xl) / t.xx : 1;
}

double ebb_traj_near_fit(struct ebb_traj_near *near, const uint32_t *numbers, int8_t *ret_same,
                         int8_t *ret_along)
{
    double same, along;
    set_moves(near, numbers);
    const double left = fit_blocks(near, 0, near->blocks, usual_move(near), &same, &along);
    *ret_same = weight_of(32 * same);
    *ret_along = weight_of(32 * along);
    return left;
}

void ebb_traj_near_fit_levels(struct ebb_traj_near *near, const uint32_t *numbers, int8_t *ret_same,
                              int8_t *ret_along)
{
    set_moves(near, numbers);
    const double limit = usual_move(near);
    for (unsigned l = 1; l < EBB_TRAJ_NEAR_STREAMS; l++) {
        double same, along;
        (void)fit_blocks(near, near->level_block[l], near->level_block[l + 1], limit, &same,
                         &along);
        ret_same[l] = weight_of(16 * same);
        ret_along[l] = weight_of(16 * along);
    }
}

void ebb_traj_near_encode_levels(struct ebb_traj_near *near, const int8_t *same,
                                 const int8_t *along, uint32_t *numbers)
{
    set_moves(near, numbers);
    for (unsigned l = 1; l < EBB_TRAJ_NEAR_STREAMS; l++)
        turn_level(near, l, 2 * same_weight(same[l]), 2 * along_weight(along[l]), false, numbers);
}

void ebb_traj_near_decode_levels(struct ebb_traj_near *near, const int8_t *same,
                                 const int8_t *along, uint32_t *numbers)
{
    for (unsigned l = 0; l < EBB_TRAJ_NEAR_STREAMS; l++)
        turn_level(near, l, 2 * same_weight(same[l]), 2 * along_weight(along[l]), true, numbers);
}

void ebb_traj_near_destroy(struct ebb_traj_near *near)
{
    if (near == NULL)
        return;
    free(near->block);
    free(near->site);
    free(near->share);
    free(near->from);
    free(near->way);
    free(near->moved);
    free(near);
}
