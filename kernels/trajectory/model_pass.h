/* What the loops over one part and frame share; for the files of the models alone. */
#ifndef EBB_KERNELS_TRAJECTORY_MODEL_PASS_H
#define EBB_KERNELS_TRAJECTORY_MODEL_PASS_H

#include "kernels/trajectory/lanes.h"
#include "kernels/trajectory/model.h"

/* Residuals are joined with the face or arc (6 of them) into one number; larger ones are misses. */
#define EBB_TRAJ_FACE_RESIDUALS    42 /* zigzag numbers */
#define EBB_TRAJ_ARC_RESIDUALS     6
#define EBB_TRAJ_VIRTUAL_RESIDUALS 5

/* Sites done at a time: what belongs to them stays in the first cache. On a device each thread does
 * one, in registers. */
#ifndef EBB_TRAJ_BLOCK
#define EBB_TRAJ_BLOCK 64
#endif

struct block {
    int32_t x[EBB_TRAJ_BLOCK], y[EBB_TRAJ_BLOCK], z[EBB_TRAJ_BLOCK];
};

struct pass {
    struct ebb_traj_part *part;
    const struct ebb_traj_frame_context *context;
    const int32_t *q, *previous; /* encoder: the frame, and the one before it */
    int32_t *decoded;            /* x, y, z by atom as the models have them: in the decoder with the
                                    frame before where this one is not yet decoded */
    int32_t *arms; /* chains: x, y, z by atom, seen from the atom it is bonded to; else zeros */
    const struct ebb_traj_numbers *numbers;
    struct ebb_traj_misses *misses; /* encoder */
    float last, mean, sphere, circle, inverse_a2;
    unsigned stages; /* decoder */
};

/* Of s->context, for s->part. */
static inline void ebb_traj_pass_weigh(struct pass *s)
{
    const struct ebb_traj_frame_context *c = s->context;
    s->last = (float)c->weights.last / 64.0f;
    s->mean = c->before == 0 ? 0.0f : (float)c->weights.mean / 64.0f / (float)c->before;
    s->sphere = (float)c->weights.sphere / 128.0f;
    s->circle = (float)c->weights.circle / 128.0f;
    s->inverse_a2 = s->part->type == EBB_TRAJ_PART_WATER ? 1.0f / s->part->rigid.a2 : 0.0f;
}

/* Bonded atoms (chain.c). */
void ebb_traj_chain_encode(struct pass *s);
void ebb_traj_chain_decode(struct pass *s);

#endif
