/* Loops over sites, in blocks that fit the first cache: coordinates are gathered from x, y, z by
 * atom into arrays, computed there (the part that vectorises), and scattered. The encoder computes
 * what the decoder will, and whatever differs from the truth becomes a miss: so no assumption about
 * the input can cost more than bytes. */
#include "kernels/trajectory/model.h"

#include <string.h>

#include "kernels/trajectory/levels.h"
#include "kernels/trajectory/model_pass.h"

void ebb_traj_misses_add(struct ebb_traj_misses *m, uint32_t atom, int32_t x, int32_t y, int32_t z)
{
    if (m->count == m->capacity) {
        m->capacity = 2 * m->capacity + 64;
        m->items = ebb_realloc_array(m->items, m->capacity, sizeof *m->items);
    }
    m->items[m->count++] = (struct ebb_traj_miss){atom, x, y, z};
}

void ebb_traj_misses_measure(struct ebb_traj_misses *m, const int32_t *q)
{
    for (size_t i = 0; i < m->count; i++) {
        struct ebb_traj_miss *e = &m->items[i];
        const int32_t *at = q + 3 * (size_t)e->atom;
        e->x = ebb_traj_sub(at[0], e->x);
        e->y = ebb_traj_sub(at[1], e->y);
        e->z = ebb_traj_sub(at[2], e->z);
    }
}

static inline EBB_BODY void gather(const int32_t *q, const uint32_t *first, uint32_t offset,
                                   uint32_t n, struct block *ret)
{
    for (uint32_t j = 0; j < n; j++) {
        const int32_t *at = q + 3 * (size_t)(first[j] + offset);
        ret->x[j] = at[0];
        ret->y[j] = at[1];
        ret->z[j] = at[2];
    }
}

static inline EBB_BODY void scatter(const struct block *b, const uint32_t *first, uint32_t offset,
                                    uint32_t n, int32_t *q)
{
    for (uint32_t j = 0; j < n; j++) {
        int32_t *at = q + 3 * (size_t)(first[j] + offset);
        at[0] = b->x[j];
        at[1] = b->y[j];
        at[2] = b->z[j];
    }
}

/* Where the model's coordinates are not the true ones. */
static inline EBB_BODY void compare(struct pass *s, const struct block *model,
                                    const struct block *truth, const uint32_t *first,
                                    uint32_t offset, uint32_t n)
{
    int32_t differ = 0;
    for (uint32_t j = 0; j < n; j++)
        differ |=
            (model->x[j] ^ truth->x[j]) | (model->y[j] ^ truth->y[j]) | (model->z[j] ^ truth->z[j]);
    for (uint32_t j = 0; differ != 0 && j < n; j++) {
        if (model->x[j] != truth->x[j] || model->y[j] != truth->y[j] || model->z[j] != truth->z[j])
            ebb_traj_misses_add(s->misses, first[j] + offset, model->x[j], model->y[j],
                                model->z[j]);
    }
}

#define WIDTH 1
#define TARGET
#include "kernels/trajectory/model_lanes.h"
#undef WIDTH
#undef TARGET
#if defined(__x86_64__)
#define WIDTH  8
#define TARGET EBB_TARGET_AVX2
#include "kernels/trajectory/model_lanes.h"
#undef WIDTH
#undef TARGET
#define WIDTH  16
#define TARGET EBB_TARGET_AVX512
#include "kernels/trajectory/model_lanes.h"
#undef WIDTH
#undef TARGET
#endif

/* Key frame: each site after the one before it, so one at a time. */
static inline EBB_BODY void key_sites_encode(struct pass *s, uint32_t i, uint32_t n,
                                             const struct block *truth, struct block *model,
                                             struct vector1 *at)
{
    uint32_t *out = s->numbers->of[EBB_TRAJ_STREAM_SITE] + i;
    const size_t sites = s->part->n;
    for (uint32_t j = 0; j < n; j++) {
        const struct vector1 d = nearest1(s->context->box, minus1(block_load1(truth, j), *at));
        out[j] = zigzag1(d.x);
        out[sites + j] = zigzag1(d.y);
        out[2 * sites + j] = zigzag1(d.z);
        *at = wrap1(s->context->box, plus1(*at, d));
        block_store1(model, j, *at);
    }
}

static inline EBB_BODY void key_sites_decode(struct pass *s, uint32_t i, uint32_t n,
                                             struct block *model, struct vector1 *at)
{
    const uint32_t *in = s->numbers->of[EBB_TRAJ_STREAM_SITE] + i;
    const size_t sites = s->part->n;
    for (uint32_t j = 0; j < n; j++) {
        const struct vector1 d = {unzigzag1(in[j]), unzigzag1(in[sites + j]),
                                  unzigzag1(in[2 * sites + j])};
        *at = wrap1(s->context->box, plus1(*at, d));
        block_store1(model, j, *at);
    }
}

/* `call` for whole vectors of sites, then one by one. */
#define FOR_LANES(width, n, name, ...)                                                             \
    do {                                                                                           \
        uint32_t j = 0;                                                                            \
        for (; j + width <= (n); j += width)                                                       \
            name##width(s, i, j, __VA_ARGS__);                                                     \
        for (; j < (n); j++)                                                                       \
            name##1(s, i, j, __VA_ARGS__);                                                         \
    } while (0)

/* The frame, block by block; `width` lanes at once. */
#define ENCODE_FRAME(width)                                                                        \
    do {                                                                                           \
        const struct ebb_traj_part *p = s->part;                                                   \
        struct vector1 at = {0, 0, 0};                                                             \
        struct block truth, before, site, model;                                                   \
        for (uint32_t i = 0; i < p->n; i += EBB_TRAJ_BLOCK) {                                      \
            const uint32_t n = p->n - i < EBB_TRAJ_BLOCK ? p->n - i : EBB_TRAJ_BLOCK;              \
            const uint32_t *first = p->first + i;                                                  \
            gather(s->q, first, 0, n, &truth);                                                     \
            if (s->context->before == 0) {                                                         \
                key_sites_encode(s, i, n, &truth, &site, &at);                                     \
            } else {                                                                               \
                gather(s->previous, first, 0, n, &before);                                         \
                FOR_LANES(width, n, site_encode, &truth, &before, &site);                          \
            }                                                                                      \
            compare(s, &site, &truth, first, 0, n);                                                \
            if (s->decoded != NULL)                                                                \
                scatter(&site, first, 0, n, s->decoded);                                           \
            if (p->type != EBB_TRAJ_PART_WATER)                                                    \
                continue;                                                                          \
            gather(s->q, first, 1, n, &truth);                                                     \
            FOR_LANES(width, n, sphere_encode, &site, &truth, &model);                             \
            compare(s, &model, &truth, first, 1, n);                                               \
            gather(s->q, first, 2, n, &truth);                                                     \
            FOR_LANES(width, n, circle_encode, &site, &truth, &model);                             \
            compare(s, &model, &truth, first, 2, n);                                               \
            if (p->atoms_each < 4)                                                                 \
                continue;                                                                          \
            gather(s->q, first, 3, n, &truth);                                                     \
            FOR_LANES(width, n, virtual_encode, &site, &truth, &model);                            \
            compare(s, &model, &truth, first, 3, n);                                               \
        }                                                                                          \
    } while (0)

#define DECODE_FRAME(width)                                                                        \
    do {                                                                                           \
        const struct ebb_traj_part *p = s->part;                                                   \
        struct vector1 at = {0, 0, 0};                                                             \
        struct block before, site, model;                                                          \
        for (uint32_t i = 0; i < p->n; i += EBB_TRAJ_BLOCK) {                                      \
            const uint32_t n = p->n - i < EBB_TRAJ_BLOCK ? p->n - i : EBB_TRAJ_BLOCK;              \
            const uint32_t *first = p->first + i;                                                  \
            if ((s->stages & EBB_TRAJ_STAGE_FIRST) == 0) {                                         \
                gather(s->decoded, first, 0, n, &site);                                            \
            } else if (s->context->before == 0) {                                                  \
                key_sites_decode(s, i, n, &site, &at);                                             \
                scatter(&site, first, 0, n, s->decoded);                                           \
            } else {                                                                               \
                gather(s->decoded, first, 0, n, &before);                                          \
                FOR_LANES(width, n, site_decode, &before, &site);                                  \
                scatter(&site, first, 0, n, s->decoded);                                           \
            }                                                                                      \
            if (p->type != EBB_TRAJ_PART_WATER)                                                    \
                continue;                                                                          \
            if ((s->stages & EBB_TRAJ_STAGE_SECOND) != 0) {                                        \
                FOR_LANES(width, n, sphere_decode, &site, &model);                                 \
                scatter(&model, first, 1, n, s->decoded);                                          \
            }                                                                                      \
            if ((s->stages & EBB_TRAJ_STAGE_THIRD) != 0) {                                         \
                FOR_LANES(width, n, circle_decode, &site, &model);                                 \
                scatter(&model, first, 2, n, s->decoded);                                          \
            }                                                                                      \
            if (p->atoms_each < 4 || (s->stages & EBB_TRAJ_STAGE_THIRD) == 0)                      \
                continue;                                                                          \
            FOR_LANES(width, n, virtual_decode, &site, &model);                                    \
            scatter(&model, first, 3, n, s->decoded);                                              \
        }                                                                                          \
    } while (0)

static void encode_frame_reference(struct pass *s)
{
    ENCODE_FRAME(1);
}

static void decode_frame_reference(struct pass *s)
{
    DECODE_FRAME(1);
}

#if defined(__x86_64__)
EBB_TARGET_AVX2 static void encode_frame_avx2(struct pass *s)
{
    ENCODE_FRAME(8);
}

EBB_TARGET_AVX2 static void decode_frame_avx2(struct pass *s)
{
    DECODE_FRAME(8);
}

EBB_TARGET_AVX512 static void encode_frame_avx512(struct pass *s)
{
    ENCODE_FRAME(16);
}

EBB_TARGET_AVX512 static void decode_frame_avx512(struct pass *s)
{
    DECODE_FRAME(16);
}
#else
#define encode_frame_avx2   encode_frame_reference
#define decode_frame_avx2   decode_frame_reference
#define encode_frame_avx512 encode_frame_reference
#define decode_frame_avx512 decode_frame_reference
#endif

static void encode_frame(struct pass *s)
{
    if (s->part->type == EBB_TRAJ_PART_CHAIN) {
        ebb_traj_chain_encode(s);
        return;
    }
    enum ebb_cpu_level level = ebb_cpu_level();
    if (level >= EBB_CPU_AVX512)
        encode_frame_avx512(s);
    else if (level >= EBB_CPU_AVX2)
        encode_frame_avx2(s);
    else
        encode_frame_reference(s);
}

static void decode_frame(struct pass *s)
{
    if (s->part->type == EBB_TRAJ_PART_CHAIN) {
        ebb_traj_chain_decode(s);
        return;
    }
    enum ebb_cpu_level level = ebb_cpu_level();
    if (level >= EBB_CPU_AVX512)
        decode_frame_avx512(s);
    else if (level >= EBB_CPU_AVX2)
        decode_frame_avx2(s);
    else
        decode_frame_reference(s);
}

void ebb_traj_encode_part(struct ebb_traj_part *p, const int32_t *q, const int32_t *previous,
                          const struct ebb_traj_frame_context *c, struct ebb_traj_numbers *out,
                          struct ebb_traj_misses *misses, int32_t *model, int32_t *arms)
{
    struct pass s = {.part = p,
                     .context = c,
                     .q = q,
                     .previous = previous,
                     .decoded = model,
                     .arms = arms,
                     .numbers = out,
                     .misses = misses};
    ebb_traj_pass_weigh(&s);
    encode_frame(&s);
}

void ebb_traj_decode_part(struct ebb_traj_part *p, const struct ebb_traj_numbers *in,
                          const struct ebb_traj_frame_context *c, unsigned stages, int32_t *q,
                          int32_t *arms)
{
    struct pass s = {
        .part = p, .context = c, .stages = stages, .decoded = q, .arms = arms, .numbers = in};
    ebb_traj_pass_weigh(&s);
    decode_frame(&s);
}
