/* Bonded atoms. Each is seen from the atom it is bonded to: on a sphere of the bond's length; or,
 * where the distance to a third atom (its parent's parent, or another atom bonded to the same
 * parent) holds too, on a circle. Bonds and angles give way a little, so what is left is not
 * bounded as in rigid water. An atom needs its parent and third atom first, so atoms are done in
 * batches of equal depth, ebb_traj_chain_order; inside a batch they are independent, and vectors of
 * them are computed. */
#include <string.h>

#include "kernels/trajectory/model_pass.h"

/* A batch, or a block of a larger one. */
struct links {
    struct block seen, last,
        arm; /* atom from parent, now and in the frame before; the third atom */
    float b2[EBB_TRAJ_BLOCK], c2[EBB_TRAJ_BLOCK];
    uint32_t number[3][EBB_TRAJ_BLOCK];
    const uint32_t *given[3]; /* decoder: the numbers, with room behind them */
};

#define WIDTH 1
#define TARGET
#include "kernels/trajectory/chain_lanes.h"
#undef WIDTH
#undef TARGET
#if defined(__x86_64__)
#define WIDTH  8
#define TARGET EBB_TARGET_AVX2
#include "kernels/trajectory/chain_lanes.h"
#undef WIDTH
#undef TARGET
#define WIDTH  16
#define TARGET EBB_TARGET_AVX512
#include "kernels/trajectory/chain_lanes.h"
#undef WIDTH
#undef TARGET
#endif

static void run_links(const struct pass *s, struct links *links, uint32_t count, bool circle,
                      bool encode)
{
#if defined(__x86_64__)
    enum ebb_cpu_level level = ebb_cpu_level();
    if (level >= EBB_CPU_AVX512) {
        link_run16(s, links, count, circle, encode);
        return;
    }
    if (level >= EBB_CPU_AVX2) {
        link_run8(s, links, count, circle, encode);
        return;
    }
#endif
    link_run1(s, links, count, circle, encode);
}

static inline struct vector1 at_atom(const int32_t *q, uint32_t atom)
{
    return load_vector1(q + 3 * (size_t)atom, 1);
}

/* What is known of a link before its numbers, but for where it was in the frame before. */
static inline void load_link(const struct pass *s, const struct ebb_traj_link *l, uint32_t j,
                             bool circle, struct links *links)
{
    links->b2[j] = l->b2;
    if (!circle)
        return;
    links->c2[j] = l->c2;
    const struct vector1 arm = at_atom(s->arms, l->third);
    const uint32_t t = l->turned;
    block_store1(&links->arm, j,
                 (struct vector1){(arm.x ^ t) - t, (arm.y ^ t) - t, (arm.z ^ t) - t});
}

/* The place of the batch's numbers in the part's streams. */
static void numbers_of(const struct pass *s, uint32_t at, bool circle, uint32_t *ret[3])
{
    if (circle) {
        ret[0] = s->numbers->of[EBB_TRAJ_STREAM_CIRCLE] + at;
        ret[1] = s->numbers->of[EBB_TRAJ_STREAM_ARC] + at;
        ret[2] = s->numbers->of[EBB_TRAJ_STREAM_VIRTUAL] + at;
        return;
    }
    const uint32_t spheres = s->part->n - s->part->with_angle;
    ret[0] = s->numbers->of[EBB_TRAJ_STREAM_SPHERE] + at;
    ret[1] = s->numbers->of[EBB_TRAJ_STREAM_SPHERE] + spheres + at;
    ret[2] = s->numbers->of[EBB_TRAJ_STREAM_FACE] + at;
}

static inline void keep(struct pass *s, uint32_t atom, uint32_t parent, struct vector1 v)
{
    const struct ebb_traj_box *b = s->context->box;
    store_vector1(s->arms + 3 * (size_t)atom, 1, v);
    struct vector1 x = plus1(at_atom(s->decoded, parent), v);
    const bool inside = (uint32_t)x.x < (uint32_t)b->xx && (uint32_t)x.y < (uint32_t)b->yy &&
                        (uint32_t)x.z < (uint32_t)b->zz;
    if (!inside)
        x = wrap1(b, x);
    store_vector1(s->decoded + 3 * (size_t)atom, 1, x);
}

static void run_look(const struct pass *s, struct links *links, uint32_t count)
{
#if defined(__x86_64__)
    enum ebb_cpu_level level = ebb_cpu_level();
    if (level >= EBB_CPU_AVX512) {
        look_run16(s, links, count);
        return;
    }
    if (level >= EBB_CPU_AVX2) {
        look_run8(s, links, count);
        return;
    }
#endif
    look_run1(s, links, count);
}

/* All atoms seen from where their parents really are, so that none waits for another; the frame
 * before goes to part->last. True when the models have each where it is, if they have the parents
 * so. */
static bool look(struct pass *s)
{
    const struct ebb_traj_part *p = s->part;
    struct links links = {0};
    uint32_t differ = 0;
    for (uint32_t i = 0; i < p->n; i += EBB_TRAJ_BLOCK) {
        const uint32_t count = p->n - i < EBB_TRAJ_BLOCK ? p->n - i : EBB_TRAJ_BLOCK;
        for (uint32_t j = 0; j < count; j++) {
            block_store1(&links.last, j, at_atom(s->q, p->first[i + j]));
            block_store1(&links.arm, j, at_atom(s->q, p->bonds[i + j].parent));
        }
        run_look(s, &links, count);
        for (uint32_t j = 0; j < count; j++) {
            const size_t at = 3 * (size_t)p->first[i + j];
            store_vector1(p->last + 3 * (size_t)(i + j), 1, load_vector1(s->arms + at, 1));
            store_vector1(s->arms + at, 1, block_load1(&links.seen, j));
            store_vector1(s->decoded + at, 1, block_load1(&links.last, j));
            differ |= links.number[0][j];
        }
    }
    return differ == 0;
}

/* Where the models have the atoms, given the vectors: the rest are misses. */
static void find_misses(struct pass *s)
{
    const struct ebb_traj_part *p = s->part;
    for (uint32_t k = 0; k < p->n; k++) {
        const uint32_t i = p->order[k], atom = p->first[i];
        const struct vector1 truth = at_atom(s->q, atom);
        keep(s, atom, p->bonds[i].parent, at_atom(s->arms, atom));
        const struct vector1 m = at_atom(s->decoded, atom);
        if (((m.x ^ truth.x) | (m.y ^ truth.y) | (m.z ^ truth.z)) != 0)
            ebb_traj_misses_add(s->misses, atom, (int32_t)m.x, (int32_t)m.y, (int32_t)m.z);
    }
}

/* A block of links of one kind to numbers, from `at` on. */
static void encode_block(struct pass *s, uint32_t count, bool circle, uint32_t at,
                         struct links *links)
{
    uint32_t *numbers[3];
    numbers_of(s, at, circle, numbers);
    run_links(s, links, count, circle, true);
    for (unsigned k = 0; k < 3; k++)
        memcpy(numbers[k], links->number[k], count * sizeof(uint32_t));
}

/* With all atoms known, depth matters no more: blocks are full. */
static void encode_links(struct pass *s, bool circle)
{
    const struct ebb_traj_part *p = s->part;
    const uint32_t spheres = p->n - p->with_angle, all = circle ? p->with_angle : spheres;
    const struct ebb_traj_link *link = p->links + (circle ? spheres : 0);
    struct links links = {0};
    for (uint32_t done = 0; done < all; done += EBB_TRAJ_BLOCK) {
        const uint32_t count = all - done < EBB_TRAJ_BLOCK ? all - done : EBB_TRAJ_BLOCK;
        for (uint32_t j = 0; j < count; j++) {
            const struct ebb_traj_link *l = link + done + j;
            load_link(s, l, j, circle, &links);
            block_store1(&links.last, j, at_atom(p->last, l->place));
            block_store1(&links.seen, j, at_atom(s->arms, l->atom));
        }
        encode_block(s, count, circle, done, &links);
    }
}

void ebb_traj_chain_encode(struct pass *s)
{
    if (!look(s) || s->misses->count > 0)
        find_misses(s);
    encode_links(s, false);
    encode_links(s, true);
}

/* A block of independent links, whose numbers begin at `at`. */
static void decode_block(struct pass *s, const struct ebb_traj_link *link, uint32_t count,
                         bool circle, uint32_t at, struct links *links)
{
    uint32_t *numbers[3];
    numbers_of(s, at, circle, numbers);
    for (uint32_t j = 0; j < count; j++) {
        load_link(s, link + j, j, circle, links);
        block_store1(&links->last, j, at_atom(s->arms, link[j].atom));
    }
    for (unsigned k = 0; k < 3; k++)
        links->given[k] = numbers[k];
    run_links(s, links, count, circle, false);
    for (uint32_t j = 0; j < count; j++)
        keep(s, link[j].atom, link[j].parent, block_load1(&links->seen, j));
}

void ebb_traj_chain_decode(struct pass *s)
{
    const struct ebb_traj_part *p = s->part;
    const struct ebb_traj_link *link[2] = {p->links, p->links + (p->n - p->with_angle)};
    struct links links = {0};
    uint32_t done[2] = {0};
    for (uint32_t i = 0; i < p->n;) {
        const uint32_t end = p->batch_end[i];
        const bool circle = p->bonds[p->order[i]].reference != 0;
        const uint32_t count = end - i < EBB_TRAJ_BLOCK ? end - i : EBB_TRAJ_BLOCK;
        decode_block(s, link[circle] + done[circle], count, circle, done[circle], &links);
        done[circle] += count;
        i += count;
    }
}
