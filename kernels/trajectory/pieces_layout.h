/* Where things lie in a piece, and in the state that goes with it (pieces.h). Shared with the
 * device.
 *
 *     piece   header | a width for each block of 32 numbers | planes of all blocks | misses | odd |
 *             images
 *     state   first atoms of all sites | coordinates of the frame before | of each part: last
 *             displacements, ways back to the mean, directions a and b     (words of 32 bits)
 *
 * Each stream of numbers begins with a block of its own, its last block padded with zeros. */
#ifndef EBB_KERNELS_TRAJECTORY_PIECES_LAYOUT_H
#define EBB_KERNELS_TRAJECTORY_PIECES_LAYOUT_H

#include "kernels/device.h"
#include "kernels/ebb_kernels.h"
#include "kernels/trajectory/lattice.h"

#define EBB_PIECE_STREAMS 6 /* EBB_TRAJ_STREAM_KINDS */

struct ebb_piece_header {
    uint64_t bytes; /* of the piece; lists as long as there is room */
    uint64_t plane_words;
    uint32_t misses, odd, images; /* more than there is room for: the piece is void */
    uint32_t zero;
};

/* An atom that the model alone would not give back: what is to be added. */
struct ebb_piece_miss {
    uint32_t atom;
    int32_t x, y, z;
};
/* The usual miss, an atom in another image of the box than the model has it in, is one word,
 * 16 atom + code: a code for each combination of box vectors that has not both the second and the
 * third. */
#define EBB_PIECE_IMAGE_CODES 16

/* An atom that is on no lattice point: its floats. */
struct ebb_piece_odd {
    uint32_t atom, x, y, z;
};

struct ebb_piece_part {
    uint64_t number[EBB_PIECE_STREAMS]; /* first number of each stream */
    uint64_t first, last, behind, a, b; /* words of the state */
};

struct ebb_piece_layout {
    struct ebb_piece_part part[EBB_KERNELS_TRAJECTORY_PARTS];
    uint64_t blocks; /* of 32 numbers */
    uint64_t q, state_words;
    uint64_t planes;     /* offset in the piece, in bytes */
    uint64_t list_limit; /* misses, odd atoms and images that a piece has room for, of each */
};

EBB_HD int32_t ebb_piece_turns(int32_t d, int32_t side)
{
    return d == 0 ? 0 : d == side ? 1 : d == -side ? -1 : 2;
}

/* The code of the image that is (x, y, z) away, or EBB_PIECE_IMAGE_CODES. */
EBB_HD uint32_t ebb_piece_image_code(const struct ebb_traj_box *box, int32_t x, int32_t y,
                                     int32_t z)
{
    const int32_t c = ebb_piece_turns(z, box->zz);
    const int32_t b = ebb_piece_turns(ebb_traj_sub(y, c * box->zy), box->yy);
    const int32_t a =
        ebb_piece_turns(ebb_traj_sub(ebb_traj_sub(x, c * box->zx), b * box->yx), box->xx);
    if (a == 2 || b == 2 || c == 2 || (b != 0 && c != 0))
        return EBB_PIECE_IMAGE_CODES;
    const int32_t pair = b != 0 ? (b < 0 ? 1 : 2) : c != 0 ? (c < 0 ? 3 : 4) : 0;
    return (uint32_t)(a + 1 + 3 * pair);
}

EBB_HD struct ebb_piece_miss ebb_piece_image(const struct ebb_traj_box *box, uint32_t image)
{
    const uint32_t code = image % EBB_PIECE_IMAGE_CODES, pair = code / 3;
    const int32_t a = (int32_t)(code % 3) - 1;
    const int32_t b = pair == 1 ? -1 : pair == 2 ? 1 : 0, c = pair == 3 ? -1 : pair == 4 ? 1 : 0;
    struct ebb_piece_miss m;
    m.atom = image / EBB_PIECE_IMAGE_CODES;
    m.x = a * box->xx + b * box->yx + c * box->zx;
    m.y = b * box->yy + c * box->zy;
    m.z = c * box->zz;
    return m;
}

EBB_HD uint64_t ebb_piece_align(uint64_t at)
{
    return (at + 15) / 16 * 16;
}

EBB_HD uint64_t ebb_piece_numbers(const struct ebb_kernels_trajectory_part *p, unsigned kind)
{
    if (kind == 0)
        return 3 * (uint64_t)p->sites;
    if (p->atoms_each == 1 || (kind == EBB_PIECE_STREAMS - 1 && p->atoms_each == 3))
        return 0;
    return (kind == 1 ? 2 : 1) * (uint64_t)p->sites;
}

/* Bytes of a piece up to its lists. */
EBB_HD uint64_t ebb_piece_lists(const struct ebb_piece_layout *l, uint64_t plane_words)
{
    return ebb_piece_align(l->planes + 4 * plane_words);
}

EBB_HD uint64_t ebb_piece_within(uint64_t count, uint64_t limit)
{
    return count < limit ? count : limit;
}

static inline int ebb_piece_plan_fits(const struct ebb_kernels_trajectory *plan)
{
    uint64_t atoms = 0;
    if (plan->parts > EBB_KERNELS_TRAJECTORY_PARTS || !(plan->quantum > 0) ||
        plan->atoms > UINT32_MAX / 16)
        return 0;
    for (uint32_t p = 0; p < plan->parts; p++) {
        uint32_t each = plan->part[p].atoms_each;
        if (each != 1 && each != 3 && each != 4)
            return 0;
        atoms += (uint64_t)plan->part[p].sites * each;
    }
    return atoms == plan->atoms;
}

static inline void ebb_piece_layout(const struct ebb_kernels_trajectory *plan,
                                    struct ebb_piece_layout *ret)
{
    uint64_t number = 0, word = 0;
    for (uint32_t p = 0; p < plan->parts; p++) {
        for (unsigned k = 0; k < EBB_PIECE_STREAMS; k++) {
            ret->part[p].number[k] = number;
            number += (ebb_piece_numbers(&plan->part[p], k) + 31) / 32 * 32;
        }
        ret->part[p].first = word;
        word += plan->part[p].sites;
    }
    ret->blocks = number / 32;
    ret->q = word;
    word += 3 * plan->atoms;
    for (uint32_t p = 0; p < plan->parts; p++) {
        const uint64_t vectors = 3 * (uint64_t)plan->part[p].sites;
        ret->part[p].last = word;
        ret->part[p].behind = word + vectors;
        ret->part[p].a = word + 2 * vectors;
        ret->part[p].b = word + 3 * vectors;
        word += (plan->part[p].atoms_each == 1 ? 2 : 4) * vectors;
    }
    ret->state_words = word;
    ret->planes = ebb_piece_align(sizeof(struct ebb_piece_header) + ret->blocks);
    ret->list_limit = plan->atoms / 8 + 8;
}

static inline uint64_t ebb_piece_bound(const struct ebb_piece_layout *l)
{
    return ebb_piece_lists(l, 32 * l->blocks) +
           l->list_limit *
               (sizeof(struct ebb_piece_miss) + sizeof(struct ebb_piece_odd) + sizeof(uint32_t));
}

#endif
