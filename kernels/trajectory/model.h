/* The models: from the frames before and the sites before, predict; what is left are the numbers of
 * the streams. docs/format-trajectory.md states the arithmetic. Each loop is compiled for each
 * instruction set (levels.h). */
#ifndef EBB_KERNELS_TRAJECTORY_MODEL_H
#define EBB_KERNELS_TRAJECTORY_MODEL_H

#include "kernels/trajectory/lattice.h"
#include "kernels/trajectory/part.h"

/* Numbers of one frame and part: numbers[kind], each with room for 64 more than it holds. */
struct ebb_traj_numbers {
    uint32_t *of[EBB_TRAJ_STREAM_KINDS];
};

/* An atom that the model alone would not give back: where the model has it; once measured, what is
 * to be added to that. */
struct ebb_traj_miss {
    uint32_t atom;
    int32_t x, y, z;
};
struct ebb_traj_misses {
    struct ebb_traj_miss *items;
    size_t count, capacity;
};
void ebb_traj_misses_add(struct ebb_traj_misses *m, uint32_t atom, int32_t x, int32_t y, int32_t z);
/* q: the true coordinates. */
void ebb_traj_misses_measure(struct ebb_traj_misses *m, const int32_t *q);

struct ebb_traj_frame_context {
    const struct ebb_traj_box *box; /* that coordinates are kept inside of, or zeros */
    struct ebb_traj_weights weights;
    uint32_t before; /* frames of the group before this one; 0: the key frame */
};

/* Weights that suit frame `q` after `previous`, from a sample of the sites. */
void ebb_traj_fit(const struct ebb_traj_part *p, const int32_t *q, const int32_t *previous,
                  const int32_t *arms, const struct ebb_traj_frame_context *c,
                  struct ebb_traj_weights *ret);
/* q, previous: x, y, z by atom; previous is NULL in the key frame. `model` and `arms` (both x, y, z
 * by atom) are what chains need, NULL where no part is one: the coordinates as the models have
 * them, and each bonded atom seen from its parent, zeros before the key frame. */
void ebb_traj_encode_part(struct ebb_traj_part *p, const int32_t *q, const int32_t *previous,
                          const struct ebb_traj_frame_context *c, struct ebb_traj_numbers *out,
                          struct ebb_traj_misses *misses, int32_t *model, int32_t *arms);
/* Stages of a frame of water; each needs those before it. Other parts have the first alone. */
enum {
    EBB_TRAJ_STAGE_FIRST = 1,
    EBB_TRAJ_STAGE_SECOND = 2,
    EBB_TRAJ_STAGE_THIRD = 4, /* and the fourth site */
    EBB_TRAJ_STAGES = 7
};
/* In place: q holds the frame before. */
void ebb_traj_decode_part(struct ebb_traj_part *p, const struct ebb_traj_numbers *in,
                          const struct ebb_traj_frame_context *c, unsigned stages, int32_t *q,
                          int32_t *arms);

#endif
