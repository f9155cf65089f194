/* Where things lie in a piece, and in the state that goes with it (pieces.h). Shared with the
 * device.
 *
 *     piece   header | heads of all tiles | words of all tiles | misses | odd | images
 *     state   of each atom where its coordinates stand | of each part: first atoms of its sites,
 *             coordinates of the frame before, last displacements, ways back to the mean,
 * directions a and b     (words of 32 bits)
 *
 * Tiles (tiles.h) stand run after run: of each part x, y and z of its sites, then the numbers of
 * its other streams, each as many as the part has sites; tile t of every run has the same 256
 * sites. Vectors of the state are tiled alike, 256 times x, y and z for each tile, so that the
 * sites that a thread block has lie together. */
#ifndef EBB_KERNELS_TRAJECTORY_PIECES_LAYOUT_H
#define EBB_KERNELS_TRAJECTORY_PIECES_LAYOUT_H

#include "kernels/device.h"
#include "kernels/ebb_kernels.h"
#include "kernels/trajectory/lattice.h"
#include "kernels/trajectory/tiles.h"

#define EBB_PIECE_VERSION 2
#define EBB_PIECE_RUNS    9 /* of a part, at most: site 3, sphere 2, face, circle, arc, virtual */

struct ebb_piece_header {
    uint64_t bytes; /* of the piece; lists as long as there is room */
    uint64_t words;
    uint32_t misses, odd, images; /* more than there is room for: the piece is void */
    uint32_t version;
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
    uint64_t tiles;                        /* of each run */
    uint64_t tile;                         /* the first one of the first run */
    uint64_t first, q, last, behind, a, b; /* words of the state */
};

struct ebb_piece_layout {
    struct ebb_piece_part part[EBB_KERNELS_TRAJECTORY_PARTS];
    uint64_t tiles; /* of all runs */
    uint64_t place, state_words;
    uint64_t words;      /* offset in the piece, in bytes */
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

EBB_HD uint32_t ebb_piece_runs(uint32_t atoms_each)
{
    return atoms_each == 1 ? 3 : atoms_each == 3 ? EBB_PIECE_RUNS - 1 : EBB_PIECE_RUNS;
}

/* Bytes of a piece up to its lists. */
EBB_HD uint64_t ebb_piece_lists(const struct ebb_piece_layout *l, uint64_t words)
{
    return ebb_piece_align(l->words + 4 * words);
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

/* The word with the x of a site's k-th atom; y and z follow 256 words apart. */
EBB_HD uint64_t ebb_piece_q(const struct ebb_piece_part *part, uint32_t atoms_each, uint32_t site,
                            uint32_t k)
{
    const uint64_t tile = site / EBB_TILE_NUMBERS;
    return part->q + (tile * atoms_each + k) * (3 * EBB_TILE_NUMBERS) + site % EBB_TILE_NUMBERS;
}

/* Words of vectors, and what follows them, begin at whole cache lines. */
static inline uint64_t ebb_piece_take(uint64_t *word, uint64_t count)
{
    const uint64_t at = *word;
    *word += (count + 31) / 32 * 32;
    return at;
}

static inline void ebb_piece_layout(const struct ebb_kernels_trajectory *plan,
                                    struct ebb_piece_layout *ret)
{
    uint64_t tile = 0, word = 0;
    for (uint32_t p = 0; p < plan->parts; p++) {
        struct ebb_piece_part *part = &ret->part[p];
        part->tiles = ebb_tiles_of(plan->part[p].sites);
        part->tile = tile;
        tile += part->tiles * ebb_piece_runs(plan->part[p].atoms_each);
        part->first = ebb_piece_take(&word, plan->part[p].sites);
    }
    ret->tiles = tile;
    ret->place = ebb_piece_take(&word, plan->atoms);
    for (uint32_t p = 0; p < plan->parts; p++) {
        struct ebb_piece_part *part = &ret->part[p];
        const uint64_t vectors = 3 * EBB_TILE_NUMBERS * part->tiles,
                       directions = plan->part[p].atoms_each == 1 ? 0 : vectors;
        part->q = ebb_piece_take(&word, vectors * plan->part[p].atoms_each);
        part->last = ebb_piece_take(&word, vectors);
        part->behind = ebb_piece_take(&word, vectors);
        part->a = ebb_piece_take(&word, directions);
        part->b = ebb_piece_take(&word, directions);
    }
    ret->state_words = word;
    ret->words = ebb_piece_align(sizeof(struct ebb_piece_header) + 2 * ret->tiles);
    ret->list_limit = plan->atoms / 8 + 8;
}

static inline uint64_t ebb_piece_bound(const struct ebb_piece_layout *l)
{
    return ebb_piece_lists(l, EBB_TILE_WORDS * l->tiles) +
           l->list_limit *
               (sizeof(struct ebb_piece_miss) + sizeof(struct ebb_piece_odd) + sizeof(uint32_t));
}

#endif
