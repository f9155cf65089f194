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

/* What is known of a link before its numbers are, but for where it was in the frame before. */
static inline void load_link(const struct pass *s, uint32_t i, uint32_t j, struct links *links)
{
    const struct ebb_traj_bond *b = &s->part->bonds[i];
    links->b2[j] = b->b2;
    if (b->reference == 0)
        return;
    links->c2[j] = b->c2;
    const uint32_t third = b->reference > 1 ? s->part->first[i] - (b->reference - 1) : b->parent;
    struct vector1 arm = at_atom(s->arms, third);
    if (b->reference == 1)
        arm = (struct vector1){0 - arm.x, 0 - arm.y, 0 - arm.z};
    block_store1(&links->arm, j, arm);
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

static void keep(struct pass *s, uint32_t i, struct vector1 v)
{
    store_vector1(s->arms + 3 * (size_t)s->part->first[i], 1, v);
    const struct vector1 x =
        wrap1(s->context->box, plus1(at_atom(s->decoded, s->part->bonds[i].parent), v));
    store_vector1(s->decoded + 3 * (size_t)s->part->first[i], 1, x);
}

/* A residual times six must stay below 2^32; farther out the atom is a miss, coded as if at rest.
 */
static bool is_near(struct vector1 d)
{
    const uint32_t half = 1u << 24;
    return d.x + half < 2 * half && d.y + half < 2 * half && d.z + half < 2 * half;
}

/* All atoms seen from their parents, before anything is predicted; the frame before goes to
 * part->last. */
static void look(struct pass *s)
{
    const struct ebb_traj_part *p = s->part;
    for (uint32_t k = 0; k < p->n; k++) {
        const uint32_t i = p->order[k], atom = p->first[i];
        const struct vector1 truth = at_atom(s->q, atom);
        store_vector1(p->last + 3 * (size_t)i, 1, at_atom(s->arms, atom));
        struct vector1 d =
            nearest1(s->context->box, minus1(truth, at_atom(s->decoded, p->bonds[i].parent)));
        if (!is_near(d))
            d = (struct vector1){0, 0, 0};
        keep(s, i, d);
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
    struct links links = {0};
    uint32_t count = 0, done = 0;
    for (uint32_t k = 0; k < p->n; k++) {
        const uint32_t i = p->order[k];
        if ((p->bonds[i].reference != 0) != circle)
            continue;
        load_link(s, i, count, &links);
        block_store1(&links.last, count, at_atom(p->last, i));
        block_store1(&links.seen, count, at_atom(s->arms, p->first[i]));
        if (++count < EBB_TRAJ_BLOCK)
            continue;
        encode_block(s, count, circle, done, &links);
        done += count;
        count = 0;
    }
    encode_block(s, count, circle, done, &links);
}

void ebb_traj_chain_encode(struct pass *s)
{
    look(s);
    encode_links(s, false);
    encode_links(s, true);
}

/* A block of independent links, whose numbers begin at `at`. */
static void decode_block(struct pass *s, const uint32_t *order, uint32_t count, bool circle,
                         uint32_t at, struct links *links)
{
    uint32_t *numbers[3];
    numbers_of(s, at, circle, numbers);
    for (uint32_t j = 0; j < count; j++) {
        load_link(s, order[j], j, links);
        block_store1(&links->last, j, at_atom(s->arms, s->part->first[order[j]]));
    }
    for (unsigned k = 0; k < 3; k++)
        memcpy(links->number[k], numbers[k], count * sizeof(uint32_t));
    run_links(s, links, count, circle, false);
    for (uint32_t j = 0; j < count; j++)
        keep(s, order[j], block_load1(&links->seen, j));
}

void ebb_traj_chain_decode(struct pass *s)
{
    const struct ebb_traj_part *p = s->part;
    struct links links = {0};
    uint32_t done[2] = {0};
    for (uint32_t i = 0; i < p->n;) {
        const uint32_t end = p->batch_end[i];
        const bool circle = p->bonds[p->order[i]].reference != 0;
        const uint32_t count = end - i < EBB_TRAJ_BLOCK ? end - i : EBB_TRAJ_BLOCK;
        decode_block(s, p->order + i, count, circle, done[circle], &links);
        done[circle] += count;
        i += count;
    }
}
