/* What is known of a number before it is: of rigid water, how the molecule stood in the frame
 * before; of bonded atoms, how large its numbers have been. Numbers of one context share a table,
 * and are turned so that their sign tells something. Used at the level that is small rather than
 * fast. */
#ifndef EBB_KERNELS_TRAJECTORY_CONTEXTS_H
#define EBB_KERNELS_TRAJECTORY_CONTEXTS_H

#include "kernels/trajectory/model.h"

/* Contexts of a stream of part p; 1: none are told apart. */
unsigned ebb_traj_contexts(const struct ebb_traj_part *p, int kind);

/* Bonded atoms: contexts of a stream's numbers, from those that were learned. */
void ebb_traj_contexts_of_past(const struct ebb_traj_part *p, int kind, uint32_t *contexts);
/* The numbers of a frame after the key frame; `first`: of the first. False when memory is out. */
bool ebb_traj_contexts_learn(struct ebb_traj_part *p, int kind, const uint32_t *numbers,
                             bool first);

/* Of rigid water. Each fills contexts->of[..] for all molecules of p; those of the sphere and the
 * circle also turn the numbers, in place: they are their own inverse. `a`, `b`: second and third
 * site in the frame before, x of all, y of all, z of all. */
void ebb_traj_contexts_face(const struct ebb_traj_part *p, const int32_t *a,
                            struct ebb_traj_numbers *contexts);
/* When the faces are known. */
void ebb_traj_contexts_sphere(const struct ebb_traj_part *p, const int32_t *a,
                              struct ebb_traj_numbers *numbers, struct ebb_traj_numbers *contexts);
/* When the second sites are: p->a. */
void ebb_traj_contexts_arc(const struct ebb_traj_part *p, const struct ebb_traj_weights *w,
                           const int32_t *b, struct ebb_traj_numbers *contexts);
/* When the arcs are known too. */
void ebb_traj_contexts_circle(const struct ebb_traj_part *p, const struct ebb_traj_weights *w,
                              const int32_t *b, struct ebb_traj_numbers *numbers,
                              struct ebb_traj_numbers *contexts);

#endif
