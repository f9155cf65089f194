/* Frames that were packed elsewhere, put into the group. The pieces come from outside: their sizes
 * and lists are checked before anything is taken over, so that what is refused changes nothing. */
#include <string.h>

#include "kernels/trajectory/encoder.h"
#include "kernels/trajectory/pieces.h"
#include "kernels/trajectory/pieces_layout.h"
#include "kernels/trajectory/pieces_parts.h"

bool ebb_traj_encoder_takes_pieces(const struct ebb_traj_encoder *enc)
{
    return enc->encoded > 0 && enc->held == 0 && enc->bit_packed && enc->rigid_only &&
           enc->kind == EBB_TRAJ_F32;
}

void ebb_traj_encoder_plan(const struct ebb_traj_encoder *enc, struct ebb_kernels_trajectory *ret)
{
    ebb_traj_plan_of(enc->parts, enc->part_count, enc->atoms, enc->quantum, ret);
}

void ebb_traj_encoder_state(const struct ebb_traj_encoder *enc, void *ret)
{
    struct ebb_kernels_trajectory plan;
    ebb_traj_encoder_plan(enc, &plan);
    ebb_traj_state_of(&plan, enc->parts, enc->previous->q, ret);
}

void ebb_traj_encoder_next_frame(const struct ebb_traj_encoder *enc, const float box[9],
                                 struct ebb_kernels_trajectory_frame *ret)
{
    *ret = (struct ebb_kernels_trajectory_frame){.before = enc->encoded, .inside = enc->inside};
    if (box != NULL)
        memcpy(ret->box, box, sizeof ret->box);
    for (unsigned p = 0; p < enc->part_count; p++) {
        const struct ebb_traj_weights *w = &enc->weights[p];
        ret->weights[p].last = w->last;
        ret->weights[p].mean = w->mean;
        ret->weights[p].sphere = w->sphere;
        ret->weights[p].circle = w->circle;
    }
}

static int refuse(struct ebb_error *err, const char *what)
{
    return ebb_error_set(err, EBB_ERR_INPUT, "trajectory piece: %s", what);
}

static int by_atom(const void *p, const void *q)
{
    uint32_t a, b; /* the first word of either list's items */
    memcpy(&a, p, sizeof a);
    memcpy(&b, q, sizeof b);
    return a < b ? -1 : a > b;
}

/* A list by the order of its atoms; false where an atom is none, or twice. */
static bool sort_list(void *items, size_t count, size_t atoms)
{
    if (count > 0)
        qsort(items, count, sizeof(struct ebb_piece_miss), by_atom);
    const uint8_t *at = items;
    uint64_t next = 0;
    for (size_t i = 0; i < count; i++, at += sizeof(struct ebb_piece_miss)) {
        uint32_t atom;
        memcpy(&atom, at, sizeof atom);
        if (atom < next || atom >= atoms)
            return false;
        next = (uint64_t)atom + 1;
    }
    return true;
}

/* A stream of a part in a piece: the heads of its tiles and their words. Streams stand one after
 * another. */
struct stream {
    const uint8_t *heads, *words;
    size_t head_bytes, word_bytes;
};

/* The next one, of numbers as many as the part has of this kind; false where a tile is damaged or
 * leads past the `left` bytes of words. */
static bool next_stream(const struct ebb_traj_part *p, int kind, size_t left, struct stream *s)
{
    const size_t each = 2 * (size_t)ebb_tiles_of(p->n);
    s->heads += s->head_bytes;
    s->words += s->word_bytes;
    s->head_bytes = s->word_bytes = 0;
    for (size_t at = 0; at < ebb_traj_part_numbers(p, kind); at += p->n, s->head_bytes += each) {
        const uint8_t *heads = s->heads + s->head_bytes;
        const size_t bytes = ebb_tiles_bytes(heads, p->n);
        if (bytes > left - s->word_bytes ||
            !ebb_tiles_are_whole(heads, s->words + s->word_bytes, p->n))
            return false;
        s->word_bytes += bytes;
    }
    return true;
}

static int check_piece(const struct ebb_traj_encoder *enc, const struct ebb_piece_layout *l,
                       const uint8_t *piece, size_t len, struct ebb_piece_header *ret,
                       struct ebb_error *err)
{
    struct ebb_piece_header h;
    if (len < l->words)
        return refuse(err, "it is cut short");
    memcpy(&h, piece, sizeof h);
    if (h.version != EBB_PIECE_VERSION)
        return refuse(err, "it is of another version of the kernels");
    struct stream s = {.heads = piece + sizeof h, .words = piece + l->words};
    size_t left = len - (size_t)l->words;
    for (unsigned p = 0; p < enc->part_count; p++) {
        for (int k = 0; k < EBB_TRAJ_STREAM_KINDS; k++, left -= s.word_bytes) {
            if (!next_stream(&enc->parts[p], k, left, &s))
                return refuse(err, "a tile of numbers is damaged");
        }
    }
    const uint64_t lists = 16 * ebb_piece_within(h.misses, l->list_limit) +
                           16 * ebb_piece_within(h.odd, l->list_limit) +
                           4 * ebb_piece_within(h.images, l->list_limit);
    if (h.words != (len - l->words - left) / 4 || h.bytes != ebb_piece_lists(l, h.words) + lists ||
        h.bytes > len)
        return refuse(err, "its sizes contradict each other");
    *ret = h;
    return 0;
}

/* Of a piece that has been checked. */
static void put_streams(struct ebb_traj_encoder *enc, const struct ebb_piece_layout *l,
                        const uint8_t *piece)
{
    struct stream s = {.heads = piece + sizeof(struct ebb_piece_header), .words = piece + l->words};
    for (unsigned p = 0; p < enc->part_count; p++) {
        for (int k = 0; k < EBB_TRAJ_STREAM_KINDS; k++) {
            if (next_stream(&enc->parts[p], k, SIZE_MAX, &s) && s.head_bytes > 0)
                ebb_traj_writer_put_packed(&enc->writers[p].of[1][k], s.heads, s.head_bytes,
                                           s.words, s.word_bytes);
        }
    }
}

/* The lists of a piece, checked: misses to the encoder's, odd atoms to the frame's bytes. */
static int take_lists(struct ebb_traj_encoder *enc, const uint8_t *lists,
                      const struct ebb_piece_header *h, const struct ebb_traj_box *box,
                      struct ebb_buffer *odd, struct ebb_error *err)
{
    const size_t misses = (size_t)h->misses + h->images;
    EBB_AUTO_FREE struct ebb_piece_miss *all = ebb_alloc_array(misses + 1, sizeof *all);
    EBB_AUTO_FREE struct ebb_piece_odd *off = ebb_alloc_array(h->odd + 1, sizeof *off);
    memcpy(all, lists, h->misses * sizeof *all);
    lists += h->misses * sizeof *all;
    memcpy(off, lists, h->odd * sizeof *off);
    lists += h->odd * sizeof *off;
    for (size_t i = h->misses; i < misses; i++, lists += sizeof(uint32_t)) {
        uint32_t image;
        memcpy(&image, lists, sizeof image);
        all[i] = ebb_piece_image(box, image);
    }
    if (!sort_list(all, misses, enc->atoms) || !sort_list(off, h->odd, enc->atoms))
        return refuse(err, "it corrects an atom twice, or one that is not there");
    enc->misses.count = 0;
    for (size_t i = 0; i < misses; i++)
        ebb_traj_misses_add(&enc->misses, all[i].atom, all[i].x, all[i].y, all[i].z);
    for (uint32_t i = 0, next = 0; i < h->odd; next = off[i++].atom + 1) {
        float x[3];
        memcpy(x, &off[i].x, sizeof x);
        ebb_traj_frame_put_odd(odd, off[i].atom - next, x);
    }
    return 0;
}

int ebb_traj_encoder_add_piece(struct ebb_traj_encoder *enc, const void *piece, size_t len,
                               const float box[9], struct ebb_buffer *out, struct ebb_error *err)
{
    static const float no_box[9];
    if (!ebb_traj_encoder_takes_pieces(enc))
        return refuse(err, "the first frames of a group are to be given as coordinates");
    struct ebb_kernels_trajectory plan;
    struct ebb_piece_layout l;
    struct ebb_piece_header h = {0};
    ebb_traj_encoder_plan(enc, &plan);
    ebb_piece_layout(&plan, &l);
    int rc = check_piece(enc, &l, piece, len, &h, err);
    if (rc < 0)
        return rc;
    if (h.misses > l.list_limit || h.odd > l.list_limit || h.images > l.list_limit) {
        enc->has_pieces = true; /* the group ends with the frame before */
        return 1;
    }
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer odd = {0};
    struct ebb_traj_box lattice;
    box = box != NULL ? box : no_box;
    ebb_traj_box_make(box, enc->quantum, &lattice);
    rc = take_lists(enc, (const uint8_t *)piece + ebb_piece_lists(&l, h.words), &h, &lattice, &odd,
                    err);
    if (rc < 0)
        return rc;
    const size_t flags_at = ebb_traj_frame_begin(enc, box);
    for (unsigned p = 0; p < enc->part_count; p++)
        ebb_traj_frame_put_weights(enc, p);
    put_streams(enc, &l, piece);
    ebb_traj_frame_end(enc, flags_at, enc->inside, &lattice, &odd, h.odd);
    enc->has_pieces = true;
    return ebb_traj_frame_done(enc, out, err);
}
