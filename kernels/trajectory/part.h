/* A part: the atoms of a group that one model predicts, with what the model remembers of the frames
 * before. All state is what the decoder has too. */
#ifndef EBB_KERNELS_TRAJECTORY_PART_H
#define EBB_KERNELS_TRAJECTORY_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "kernels/trajectory/crystal.h"
#include "kernels/trajectory/near.h"

enum ebb_traj_part_type {
    EBB_TRAJ_PART_FREE = 0,    /* atoms one by one */
    EBB_TRAJ_PART_WATER = 1,   /* rigid molecules of three sites, or four of which one is virtual */
    EBB_TRAJ_PART_CHAIN = 2,   /* atoms bonded to others, one by one */
    EBB_TRAJ_PART_LATTICE = 3, /* atoms one by one, whose neighbours tell of them */
    EBB_TRAJ_PART_CRYSTAL = 4, /* the same, whose homes are known: crystal.h */
};

/* The streams of a part of n sites. A part has some of them; a crystal has one for each level
 * instead, x of all its sites, y of all, z of all. In a chain, m of the n atoms are seen
 * from two others, and "second site" is one of the n - m, "third site" one of the m. */
enum ebb_traj_stream_kind {
    EBB_TRAJ_STREAM_SITE,    /* 3 n: free atom or first site: x of all, y of all, z of all */
    EBB_TRAJ_STREAM_SPHERE,  /* 2 n: second site: the two coordinates on the sphere */
    EBB_TRAJ_STREAM_FACE,    /* n: its face of the sphere, and what is left of the third */
    EBB_TRAJ_STREAM_CIRCLE,  /* n: third site: the coordinate on the circle */
    EBB_TRAJ_STREAM_ARC,     /* n: its arc, and what is left of the other two (chain: of one) */
    EBB_TRAJ_STREAM_VIRTUAL, /* n: what is left of the fourth site; chain: of the other coordinate
                              */
    EBB_TRAJ_STREAM_KINDS
};

/* Geometry of a rigid molecule, in lattice units; a, b: second and third site seen from the first.
 */
struct ebb_traj_rigid {
    float a2, b2, ab;           /* |a|^2, |b|^2, a.b */
    float virtual_a, virtual_b; /* fourth site = virtual_a a + virtual_b b */
};

/* Where a bonded atom is seen from. */
struct ebb_traj_bond {
    uint32_t parent;    /* atom that it is bonded to, before it */
    uint32_t reference; /* the third atom: 0: none; 1: the one that the parent is bonded to; else
                           the one reference - 1 before this, bonded to the same parent */
    float b2, c2;       /* squared distances to the parent and to the third atom */
};

/* The same by itself, so that what a chain is decoded from lies in the order of decoding. */
struct ebb_traj_link {
    uint32_t place; /* in the part */
    uint32_t atom, parent, third;
    uint32_t turned; /* all ones where the third atom's vector leads away from the parent; else 0 */
    float b2, c2;
};

/* How much of the past is carried into a frame's prediction; chosen for each frame. */
struct ebb_traj_weights {
    int8_t last;    /* of the last displacement, in 1/64 */
    int8_t mean;    /* of the way back to the mean position so far, in 1/64 */
    uint8_t sphere; /* of the second site's last direction, in 1/128 */
    uint8_t circle; /* of the third's */
    int8_t same;    /* of the neighbours' moves, in 1/32 */
    int8_t along;   /* of these along the line to each */
    /* Crystal: the same two for each level, in 1/16. */
    int8_t level_same[EBB_TRAJ_NEAR_STREAMS], level_along[EBB_TRAJ_NEAR_STREAMS];
};

struct ebb_traj_part {
    enum ebb_traj_part_type type;
    uint32_t n;          /* sites (free atoms, molecules) */
    uint32_t atoms_each; /* 1, 3 or 4 */
    uint32_t *first;     /* first atom of each */
    struct ebb_traj_rigid rigid;
    struct ebb_traj_bond *bonds; /* chain: of each atom */
    uint32_t with_angle;         /* chain: bonds with a reference */
    uint32_t *order;             /* chain: places in the order of coding, */
    uint32_t *batch_end;         /* and for each of them where the batch of independent ones ends */
    struct ebb_traj_link *links; /* the same places, those without a reference before those with */
    uint32_t reach;              /* lattice: how far neighbours are */
    struct ebb_traj_near *near;  /* lattice: they, once the key frame is known; crystal: always */
    struct ebb_traj_crystal *crystal; /* its sites are by level, not in file order */
    uint32_t
        *past[EBB_TRAJ_STREAM_KINDS]; /* chain: how large each number has been, see contexts.h */
    /* x of all, y of all, z of all */
    int32_t *last;   /* displacement from the frame before; chain: scratch */
    int32_t *behind; /* sum over the frames so far of (position then - position now) */
    int32_t *a, *b;  /* second and third site seen from the first */
};

void ebb_traj_part_clean_up(struct ebb_traj_part *p);
/* Allocates `first`, `bonds` and the state; false when memory is out. */
bool ebb_traj_part_allocate(struct ebb_traj_part *p);
/* Numbers of stream `kind` in a frame, the next one. */
size_t ebb_traj_part_numbers(const struct ebb_traj_part *p, int kind);
/* Whether a group has such a stream. */
bool ebb_traj_part_has_stream(const struct ebb_traj_part *p, int kind);
/* The runs of equal length that a stream's numbers are: x of all, y of all, z of all. */
static inline unsigned ebb_traj_stream_runs(int kind)
{
    return kind == EBB_TRAJ_STREAM_SITE ? 3 : kind == EBB_TRAJ_STREAM_SPHERE ? 2 : 1;
}
/* Whether the stream's numbers are joined of several, so that low bits are as telling as high ones.
 */
static inline bool ebb_traj_stream_is_joined(const struct ebb_traj_part *p, int kind)
{
    if (p->type == EBB_TRAJ_PART_CRYSTAL)
        return false;
    return kind == EBB_TRAJ_STREAM_FACE || kind == EBB_TRAJ_STREAM_ARC ||
           kind == EBB_TRAJ_STREAM_VIRTUAL;
}

/* Makes order and batch_end of a chain whose bonds are known; false when memory is out. */
bool ebb_traj_chain_order(struct ebb_traj_part *p);

void ebb_traj_part_write(const struct ebb_traj_part *p, struct ebb_buffer *out);
/* Reads one part at bytes[*at..]; `atoms` bounds it, and `left` is what is left of the atoms that
 * no part has had: the part takes its share. Sites with neighbours are at most `near_sites`. */
int ebb_traj_part_read(struct ebb_traj_part *p, size_t atoms, size_t near_sites, size_t *left,
                       const uint8_t *bytes, size_t len, size_t *at, struct ebb_error *err);

#endif
