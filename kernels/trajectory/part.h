/* A part: the atoms of a group that one model predicts, with what the model remembers of the frames
 * before. All state is what the decoder has too. */
#ifndef EBB_KERNELS_TRAJECTORY_PART_H
#define EBB_KERNELS_TRAJECTORY_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

enum ebb_traj_part_type {
    EBB_TRAJ_PART_FREE = 0,  /* atoms one by one */
    EBB_TRAJ_PART_WATER = 1, /* rigid molecules of three sites, or four of which one is virtual */
};

/* The streams of a part. A part has some of them (ebb_traj_part_streams). */
enum ebb_traj_stream_kind {
    EBB_TRAJ_STREAM_SITE,    /* 3 n: free atom or first site: x of all, y of all, z of all */
    EBB_TRAJ_STREAM_SPHERE,  /* 2 n: second site: the two coordinates on the sphere */
    EBB_TRAJ_STREAM_FACE,    /* n: its face of the sphere, and what is left of the third */
    EBB_TRAJ_STREAM_CIRCLE,  /* n: third site: the coordinate on the circle */
    EBB_TRAJ_STREAM_ARC,     /* n: its arc, and what is left of the other two */
    EBB_TRAJ_STREAM_VIRTUAL, /* n: fourth site: what is left of the linear combination */
    EBB_TRAJ_STREAM_KINDS
};

/* Geometry of a rigid molecule, in lattice units; a, b: second and third site seen from the first.
 */
struct ebb_traj_rigid {
    float a2, b2, ab;           /* |a|^2, |b|^2, a.b */
    float virtual_a, virtual_b; /* fourth site = virtual_a a + virtual_b b */
};

/* How much of the past is carried into a frame's prediction; chosen for each frame. */
struct ebb_traj_weights {
    int8_t last;    /* of the last displacement, in 1/64 */
    int8_t mean;    /* of the way back to the mean position so far, in 1/64 */
    uint8_t sphere; /* of the second site's last direction, in 1/128 */
    uint8_t circle; /* of the third's */
};

struct ebb_traj_part {
    enum ebb_traj_part_type type;
    uint32_t n;          /* sites (free atoms, molecules) */
    uint32_t atoms_each; /* 1, 3 or 4 */
    uint32_t *first;     /* first atom of each */
    struct ebb_traj_rigid rigid;
    /* x of all, y of all, z of all */
    int32_t *last;   /* displacement from the frame before */
    int32_t *behind; /* sum over the frames so far of (position then - position now) */
    int32_t *a, *b;  /* second and third site seen from the first */
};

void ebb_traj_part_clean_up(struct ebb_traj_part *p);
/* Allocates `first` and the state; false when memory is out. */
bool ebb_traj_part_allocate(struct ebb_traj_part *p);
/* Numbers of stream `kind` in a frame; 0: the part has no such stream. */
size_t ebb_traj_part_numbers(const struct ebb_traj_part *p, int kind);
/* Whether the stream's numbers are all token. */
static inline bool ebb_traj_stream_is_whole(int kind)
{
    return kind == EBB_TRAJ_STREAM_FACE || kind == EBB_TRAJ_STREAM_ARC ||
           kind == EBB_TRAJ_STREAM_VIRTUAL;
}

void ebb_traj_part_write(const struct ebb_traj_part *p, struct ebb_buffer *out);
/* Reads one part at bytes[*at..]; `atoms` bounds it, and `left` is what is left of the atoms that
 * no part has had: the part takes its share. */
int ebb_traj_part_read(struct ebb_traj_part *p, size_t atoms, size_t *left, const uint8_t *bytes,
                       size_t len, size_t *at, struct ebb_error *err);

#endif
