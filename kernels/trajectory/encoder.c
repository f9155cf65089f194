/* Frames to groups. The first frames of a group are held back until the classes are found in them;
 * after that each frame is turned into numbers at once, and only tokens and bits are kept: about
 * four bytes an atom and frame. The predicting side runs the decoder's arithmetic on what it
 * stores, so encoder and decoder cannot drift apart. */
#include <math.h>
#include <string.h>
#include <zstd.h>

#include "kernels/trajectory/encoder.h"
#include "kernels/trajectory/near_choose.h"
#include "kernels/trajectory/put.h"

/* Room is made for the tokens of so many frames, where a frame has so many numbers; then it grows.
 */
#define EXPECTED_FRAMES 24
#define WORTH_EXPECTING 4096
#define NEIGHBOURS_FROM                                                                            \
    12               /* at the level fast: then there are frames to share the search for them */
#define JUMP_COST 4  /* of atoms outside the box */
#define SLACK     64 /* numbers that vector loops may touch beyond the last */

static bool allocate(struct ebb_traj_encoder *enc)
{
    bool ok = true;
    for (unsigned i = 0; i < EBB_TRAJ_LOOK_FRAMES; i++) {
        enc->look[i].q = calloc(3 * enc->atoms + SLACK, sizeof(int32_t));
        ok = ok && enc->look[i].q != NULL;
    }
    enc->model = calloc(3 * enc->atoms + SLACK, sizeof(int32_t));
    enc->arms = calloc(3 * enc->atoms + SLACK, sizeof(int32_t));
    ok = ok && enc->model != NULL && enc->arms != NULL;
    const bool contexts = enc->level >= EBB_TRAJ_SMALL && !enc->bit_packed;
    for (unsigned k = 0; k < EBB_TRAJ_STREAM_KINDS; k++) {
        size_t numbers = (k == EBB_TRAJ_STREAM_SITE     ? 3
                          : k == EBB_TRAJ_STREAM_SPHERE ? 2
                                                        : 1) *
                             enc->atoms +
                         SLACK;
        enc->numbers.of[k] = calloc(numbers, sizeof(uint32_t));
        enc->contexts.of[k] = contexts ? calloc(numbers, sizeof(uint32_t)) : NULL;
        ok = ok && enc->numbers.of[k] != NULL && (!contexts || enc->contexts.of[k] != NULL);
    }
    if (contexts)
        enc->arms_before = calloc(2 * enc->atoms + SLACK, sizeof(int32_t));
    return ok && (!contexts || enc->arms_before != NULL);
}

static int check_options(size_t atoms, const struct ebb_traj_options *o, struct ebb_error *err)
{
    if (atoms > EBB_TRAJ_ATOMS_MAX)
        return ebb_error_set(err, EBB_ERR_INPUT, "%zu atoms are more than a group can hold", atoms);
    if (!(o->quantum > 0) || !isfinite(o->quantum) || !isfinite(1.0 / o->quantum))
        return ebb_error_set(err, EBB_ERR_INPUT, "the lattice spacing must be a positive length");
    if (o->group_frames > EBB_TRAJ_GROUP_FRAMES_MAX)
        return ebb_error_set(err, EBB_ERR_INPUT, "%u frames between key frames: at most %d",
                             o->group_frames, EBB_TRAJ_GROUP_FRAMES_MAX);
    return 0;
}

/* Frames a group may have so that its tokens stay within bounds. */
static uint32_t group_limit(size_t atoms, uint32_t asked)
{
    uint32_t frames = asked == 0 ? EBB_TRAJ_GROUP_FRAMES_MAX : asked;
    size_t fit = atoms == 0 ? frames : EBB_TRAJ_GROUP_SITES_MAX / atoms;
    if (fit < 1)
        fit = 1;
    return fit < frames ? (uint32_t)fit : frames;
}

struct ebb_traj_encoder *ebb_traj_encoder_new(size_t atoms, const struct ebb_traj_options *o,
                                              struct ebb_error *err)
{
    if (check_options(atoms, o, err) < 0)
        return NULL;
    struct ebb_traj_encoder *enc = ebb_alloc(sizeof *enc);
    enc->atoms = atoms;
    enc->quantum = o->quantum;
    enc->group_frames = group_limit(atoms, o->group_frames);
    enc->level = o->level;
    enc->bit_packed = o->bit_packed;
    enc->rigid_only = o->rigid_only;
    bool ok = allocate(enc);
    if (ok && o->molecule != NULL && atoms > 0) {
        enc->molecule = malloc(atoms * sizeof *enc->molecule);
        ok = enc->molecule != NULL;
        if (ok)
            memcpy(enc->molecule, o->molecule, atoms * sizeof *enc->molecule);
    }
    if (!ok) {
        ebb_traj_encoder_destroy(enc);
        ebb_error_set(err, EBB_ERR_NO_SPACE, "no memory for a frame of %zu atoms", atoms);
        return NULL;
    }
    return enc;
}

/* Arms are zero but for the atoms of the group's chains. */
static void forget_parts(struct ebb_traj_encoder *enc)
{
    for (unsigned k = 0; k < enc->part_count; k++) {
        struct ebb_traj_part *p = &enc->parts[k];
        for (uint32_t i = 0; p->type == EBB_TRAJ_PART_CHAIN && i < p->n; i++)
            memset(enc->arms + 3 * (size_t)p->first[i], 0, 3 * sizeof *enc->arms);
        ebb_traj_part_clean_up(p);
    }
    enc->part_count = 0;
}

void ebb_traj_encoder_destroy(struct ebb_traj_encoder *enc)
{
    if (enc == NULL)
        return;
    forget_parts(enc);
    for (unsigned p = 0; p < EBB_TRAJ_PARTS_MAX; p++) {
        for (unsigned k = 0; k < EBB_TRAJ_STREAM_KINDS; k++) {
            ebb_traj_writer_clean_up(&enc->writers[p].of[0][k]);
            ebb_traj_writer_clean_up(&enc->writers[p].of[1][k]);
        }
    }
    for (unsigned i = 0; i < EBB_TRAJ_LOOK_FRAMES; i++) {
        free(enc->look[i].q);
        ebb_buffer_clean_up(&enc->look[i].odd);
    }
    for (unsigned k = 0; k < EBB_TRAJ_STREAM_KINDS; k++) {
        free(enc->numbers.of[k]);
        free(enc->contexts.of[k]);
    }
    free(enc->misses.items);
    free(enc->molecule);
    free(enc->model);
    free(enc->arms);
    free(enc->arms_before);
    free(enc->homes);
    ebb_buffer_clean_up(&enc->frames);
    ebb_buffer_clean_up(&enc->side);
    ebb_buffer_clean_up(&enc->packed_side);
    free(enc);
}

/* Inside or not? An atom that stands outside the box is told in two or three bytes. One that jumps
 * from one side to the other takes more, and spoils what is foretold of it in the frames after. */
static bool keeps_inside(const struct ebb_traj_encoder *enc, const struct held_frame *f,
                         const struct ebb_traj_box *box)
{
    if (box->xx == 0)
        return false;
    uint32_t outside;
    ebb_traj_count_outside(f->q, enc->atoms, box, &outside);
    if (outside == 0 || enc->encoded == 0)
        return outside <= enc->atoms / 8;
    size_t jumps = 0, step = enc->atoms / 2048 + 1;
    for (size_t i = 0; i < enc->atoms; i += step) {
        const int32_t *to = f->q + 3 * i, *from = enc->previous->q + 3 * i;
        int32_t x = ebb_traj_sub(to[0], from[0]), y = ebb_traj_sub(to[1], from[1]),
                z = ebb_traj_sub(to[2], from[2]);
        const int32_t sx = x, sy = y, sz = z;
        ebb_traj_nearest(box, &x, &y, &z);
        jumps += x != sx || y != sy || z != sz;
    }
    return outside <= JUMP_COST * jumps * step;
}

static int32_t sign(int32_t v)
{
    return (v > 0) - (v < 0);
}

/* The box vectors that lead from the model's image to the true one, as a code; or explicit. */
static unsigned miss_code(const struct ebb_traj_box *box, const int32_t d[3])
{
    if (box->xx == 0)
        return EBB_TRAJ_MISS_EXPLICIT;
    const int32_t c = sign(d[2]), y = ebb_traj_sub(d[1], c * box->zy), b = sign(y),
                  x = ebb_traj_sub(d[0], c * box->zx + b * box->yx), a = sign(x);
    const bool whole = d[2] == c * box->zz && y == b * box->yy && x == a * box->xx;
    return whole ? (unsigned)(a + 1 + 3 * (b + 1) + 9 * (c + 1)) : EBB_TRAJ_MISS_EXPLICIT;
}

static int by_atom(const void *p, const void *q)
{
    const struct ebb_traj_miss *a = p, *b = q;
    return a->atom < b->atom ? -1 : a->atom > b->atom;
}

/* They come block by block of a part, so most are near their place. */
static void sort_misses(struct ebb_traj_misses *m)
{
    size_t steps = 16 * m->count;
    for (size_t i = 1; i < m->count; i++) {
        const struct ebb_traj_miss e = m->items[i];
        size_t j = i;
        for (; j > 0 && m->items[j - 1].atom > e.atom && steps > 0; j--, steps--)
            m->items[j] = m->items[j - 1];
        m->items[j] = e;
    }
    if (steps == 0)
        qsort(m->items, m->count, sizeof *m->items, by_atom);
}

static void put_misses(struct ebb_traj_encoder *enc, const struct ebb_traj_box *box)
{
    struct ebb_traj_misses *m = &enc->misses;
    sort_misses(m);
    ebb_traj_put_varint(&enc->frames, m->count);
    uint32_t next = 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct ebb_traj_miss *e = &m->items[i];
        const int32_t d[3] = {e->x, e->y, e->z};
        unsigned code = miss_code(box, d);
        ebb_traj_put_varint(&enc->frames, e->atom - next);
        ebb_traj_put_byte(&enc->frames, code);
        for (unsigned k = 0; k < 3 && code == EBB_TRAJ_MISS_EXPLICIT; k++)
            ebb_traj_put_varint(&enc->frames, ebb_traj_zigzag(d[k]));
        next = e->atom + 1;
    }
}

void ebb_traj_frame_put_weights(struct ebb_traj_encoder *enc, unsigned part)
{
    const struct ebb_traj_part *p = &enc->parts[part];
    const struct ebb_traj_weights *w = &enc->weights[part];
    if (p->type != EBB_TRAJ_PART_CHAIN) {
        ebb_traj_put_byte(&enc->frames, (uint8_t)w->last);
        ebb_traj_put_byte(&enc->frames, (uint8_t)w->mean);
    }
    if (p->type == EBB_TRAJ_PART_WATER || p->type == EBB_TRAJ_PART_CHAIN) {
        ebb_traj_put_byte(&enc->frames, w->sphere);
        ebb_traj_put_byte(&enc->frames, w->circle);
    }
    if (p->type == EBB_TRAJ_PART_LATTICE) {
        ebb_traj_put_byte(&enc->frames, (uint8_t)w->same);
        ebb_traj_put_byte(&enc->frames, (uint8_t)w->along);
    }
    for (int l = 1; p->type == EBB_TRAJ_PART_CRYSTAL && l < EBB_TRAJ_NEAR_STREAMS; l++) {
        if (ebb_traj_part_numbers(p, l) == 0)
            continue;
        ebb_traj_put_byte(&enc->frames, (uint8_t)w->level_same[l]);
        ebb_traj_put_byte(&enc->frames, (uint8_t)w->level_along[l]);
    }
}

/* A stream's numbers in contexts: those of water are known, those of chains are learned. */
static unsigned put_in_contexts(struct ebb_traj_encoder *enc, struct ebb_traj_part *p, int k,
                                struct ebb_traj_writer *w, unsigned contexts)
{
    uint32_t *numbers = enc->numbers.of[k];
    if (p->type == EBB_TRAJ_PART_CHAIN) {
        ebb_traj_contexts_of_past(p, k, enc->contexts.of[k]);
        if (!ebb_traj_contexts_learn(p, k, numbers, enc->encoded == 1))
            enc->out_of_memory = true;
    }
    return ebb_traj_writer_put_in_contexts(w, numbers, ebb_traj_part_numbers(p, k),
                                           ebb_traj_stream_is_joined(p, k), enc->contexts.of[k],
                                           contexts);
}

static void put_numbers(struct ebb_traj_encoder *enc, unsigned part)
{
    struct ebb_traj_part *p = &enc->parts[part];
    struct ebb_traj_writer *w = enc->writers[part].of[enc->encoded == 0 ? 0 : 1];
    for (int k = 0; k < EBB_TRAJ_STREAM_KINDS; k++) {
        size_t n = ebb_traj_part_numbers(p, k);
        if (n == 0)
            continue;
        if (enc->bit_packed) {
            ebb_traj_writer_put_tiles(&w[k], enc->numbers.of[k], n, ebb_traj_stream_runs(k));
            continue;
        }
        if (enc->encoded > 0 && n >= WORTH_EXPECTING)
            ebb_traj_writer_expect(&w[k], n * EXPECTED_FRAMES);
        const unsigned contexts = ebb_traj_contexts(p, k);
        uint32_t *numbers = enc->numbers.of[k];
        if (p->type == EBB_TRAJ_PART_CRYSTAL) {
            numbers = p->crystal->level;
            ebb_traj_crystal_take(p, (unsigned)k, enc->numbers.of[EBB_TRAJ_STREAM_SITE], numbers);
        }
        ebb_traj_put_byte(
            &enc->frames,
            enc->form == EBB_TRAJ_FORM_CONTEXTS && enc->encoded > 0 && contexts > 1
                ? put_in_contexts(enc, p, k, &w[k], contexts)
                : ebb_traj_writer_put(&w[k], numbers, n, ebb_traj_stream_is_joined(p, k)));
    }
}

/* Before water is encoded: how the molecules stood. */
static void keep_arms(struct ebb_traj_encoder *enc, const struct ebb_traj_part *p)
{
    memcpy(enc->arms_before, p->a, 3 * (size_t)p->n * sizeof *p->a);
    memcpy(enc->arms_before + 3 * (size_t)p->n, p->b, 3 * (size_t)p->n * sizeof *p->b);
}

static void find_contexts(struct ebb_traj_encoder *enc, const struct ebb_traj_part *p,
                          const struct ebb_traj_weights *w)
{
    const int32_t *a = enc->arms_before, *b = enc->arms_before + 3 * (size_t)p->n;
    ebb_traj_contexts_face(p, a, &enc->contexts);
    ebb_traj_contexts_sphere(p, a, &enc->numbers, &enc->contexts);
    ebb_traj_contexts_arc(p, w, b, &enc->contexts);
    ebb_traj_contexts_circle(p, w, b, &enc->numbers, &enc->contexts);
}

/* The lattice's numbers seen from the neighbours'; these are found in the key frame. Without memory
 * for them the weights are 0: as if there were none. */
static void encode_near(struct ebb_traj_encoder *enc, struct ebb_traj_part *p, bool fit,
                        struct ebb_traj_weights *w)
{
    uint32_t *numbers = enc->numbers.of[EBB_TRAJ_STREAM_SITE];
    if (enc->encoded == 1)
        p->near = ebb_traj_near_new(p->first, p->n, enc->previous->q, p->reach, 1);
    if (p->near == NULL) {
        w->same = w->along = 0;
        return;
    }
    if (fit)
        (void)ebb_traj_near_fit(p->near, numbers, &w->same, &w->along);
    ebb_traj_near_encode(p->near, w->same, w->along, numbers);
}

/* The first shell of neighbours, as the homes have it. */
static void arrange_crystal(struct ebb_traj_encoder *enc, struct ebb_traj_part *p)
{
    const int32_t *homes = enc->homes;
    const struct ebb_traj_look look = {.atoms = enc->atoms, .frames = &homes, .count = 1};
    p->reach = ebb_traj_near_shell(&look, p);
    if (!ebb_traj_crystal_arrange(p))
        enc->out_of_memory = true;
    p->crystal->levels = ebb_traj_crystal_levels(p);
}

/* A frame of a crystal: the numbers of free sites that were at home before, then its neighbours. */
static void encode_crystal(struct ebb_traj_encoder *enc, struct ebb_traj_part *p,
                           const struct held_frame *f, struct ebb_traj_frame_context *c, bool fit,
                           struct ebb_traj_weights *w)
{
    uint32_t *numbers = enc->numbers.of[EBB_TRAJ_STREAM_SITE];
    const bool key = enc->encoded == 0, arrange = enc->encoded == p->crystal->from;
    if (key)
        ebb_traj_crystal_place(p, enc->homes);
    if (arrange)
        arrange_crystal(enc, p);
    const int32_t *previous = key ? enc->homes : enc->previous->q;
    c->before = enc->encoded + p->crystal->prior;
    if (fit || key)
        ebb_traj_fit(p, f->q, previous, enc->arms, c, w);
    c->weights = *w;
    ebb_traj_encode_part(p, f->q, previous, c, &enc->numbers, &enc->misses,
                         enc->has_chain ? enc->model : NULL, enc->arms);
    if (p->near == NULL)
        return;
    if (fit || arrange)
        ebb_traj_near_fit_levels(p->near, numbers, w->level_same, w->level_along);
    ebb_traj_near_encode_levels(p->near, w->level_same, w->level_along, numbers);
}

/* A frame of any other part. */
static void encode_part(struct ebb_traj_encoder *enc, struct ebb_traj_part *p,
                        const struct held_frame *f, struct ebb_traj_frame_context *c, bool fit,
                        struct ebb_traj_weights *w)
{
    const int32_t *previous = enc->encoded == 0 ? NULL : enc->previous->q;
    if (fit)
        ebb_traj_fit(p, f->q, previous, enc->arms, c, w);
    if (enc->encoded > 0)
        c->weights = *w;
    const bool in_contexts =
        enc->form == EBB_TRAJ_FORM_CONTEXTS && enc->encoded > 0 && p->type == EBB_TRAJ_PART_WATER;
    if (in_contexts)
        keep_arms(enc, p);
    /* What chains look up are free atoms and chains: bonds are never to rigid molecules. */
    ebb_traj_encode_part(p, f->q, previous, c, &enc->numbers, &enc->misses,
                         enc->has_chain && p->type != EBB_TRAJ_PART_WATER ? enc->model : NULL,
                         enc->arms);
    if (enc->encoded > 0 && p->type == EBB_TRAJ_PART_LATTICE)
        encode_near(enc, p, fit, w);
    if (in_contexts)
        find_contexts(enc, p, &c->weights);
}

static void encode_parts(struct ebb_traj_encoder *enc, const struct held_frame *f,
                         const struct ebb_traj_box *box)
{
    const bool fit = enc->encoded > 0 &&
                     (enc->level >= EBB_TRAJ_SMALL || enc->encoded < 4 || enc->encoded % 8 == 0);
    enc->misses.count = 0;
    for (unsigned i = 0; i < enc->part_count; i++) {
        struct ebb_traj_part *p = &enc->parts[i];
        struct ebb_traj_frame_context c = {.box = box, .before = enc->encoded};
        const bool crystal = p->type == EBB_TRAJ_PART_CRYSTAL;
        if (crystal)
            encode_crystal(enc, p, f, &c, fit, &enc->weights[i]);
        else
            encode_part(enc, p, f, &c, fit, &enc->weights[i]);
        if (enc->encoded > 0 || crystal)
            ebb_traj_frame_put_weights(enc, i);
        put_numbers(enc, i);
    }
}

void ebb_traj_frame_put_odd(struct ebb_buffer *odd, uint32_t gap, const float x[3])
{
    ebb_traj_put_varint(odd, gap);
    for (unsigned k = 0; k < 3; k++)
        ebb_traj_put_float(odd, x[k]);
}

size_t ebb_traj_frame_begin(struct ebb_traj_encoder *enc, const float box[9])
{
    const bool new_box = enc->encoded == 0 || memcmp(box, enc->last_box, sizeof enc->last_box) != 0;
    const size_t flags_at = enc->frames.len;
    ebb_traj_put_byte(&enc->frames, new_box ? EBB_TRAJ_FRAME_BOX : 0);
    for (unsigned k = 0; new_box && k < 9; k++)
        ebb_traj_put_float(&enc->frames, box[k]);
    memcpy(enc->last_box, box, sizeof enc->last_box);
    return flags_at;
}

void ebb_traj_frame_end(struct ebb_traj_encoder *enc, size_t flags_at, bool inside,
                        const struct ebb_traj_box *box, const struct ebb_buffer *odd,
                        uint32_t odd_count)
{
    if (enc->misses.count > 0)
        put_misses(enc, box);
    if (odd_count > 0) {
        ebb_traj_put_varint(&enc->frames, odd_count);
        ebb_buffer_append(&enc->frames, odd->data, odd->len);
    }
    enc->frames.data[flags_at] |= (uint8_t)((inside ? EBB_TRAJ_FRAME_WRAPPED : 0) |
                                            (enc->misses.count > 0 ? EBB_TRAJ_FRAME_MISSES : 0) |
                                            (odd_count > 0 ? EBB_TRAJ_FRAME_ODD : 0));
    if (enc->misses.count > enc->atoms / 8 + 8)
        enc->bad_fit = true;
    enc->inside = inside;
    enc->encoded++;
}

/* One frame into the streams. */
static void encode_frame(struct ebb_traj_encoder *enc, struct held_frame *f)
{
    static const struct ebb_traj_box none;
    struct ebb_traj_box box;
    ebb_traj_box_make(f->box, enc->quantum, &box);
    const bool inside = keeps_inside(enc, f, &box);
    const size_t flags_at = ebb_traj_frame_begin(enc, f->box);
    encode_parts(enc, f, inside ? &box : &none);
    ebb_traj_misses_measure(&enc->misses, f->q);
    ebb_traj_frame_end(enc, flags_at, inside, &box, &f->odd, f->odd_count);
    enc->previous = f;
}

static bool begin_crystal(struct ebb_traj_encoder *enc, struct ebb_traj_part *p)
{
    p->crystal->from = enc->level >= EBB_TRAJ_SMALL ? 0 : NEIGHBOURS_FROM;
    p->crystal->levels = 1;
    if (enc->homes == NULL)
        enc->homes = malloc(3 * enc->atoms * sizeof *enc->homes);
    return enc->homes != NULL;
}

static int find_classes(struct ebb_traj_encoder *enc, struct ebb_error *err)
{
    const int32_t *frames[EBB_TRAJ_LOOK_FRAMES];
    struct ebb_traj_box boxes[EBB_TRAJ_LOOK_FRAMES];
    for (unsigned i = 0; i < enc->held; i++) {
        frames[i] = enc->look[i].q;
        ebb_traj_box_make(enc->look[i].box, enc->quantum, &boxes[i]);
    }
    struct ebb_traj_look look = {.atoms = enc->atoms,
                                 .frames = frames,
                                 .boxes = boxes,
                                 .count = enc->held,
                                 .molecule = enc->molecule,
                                 .rigid_only = enc->rigid_only,
                                 .crystal = !enc->bit_packed && !enc->rigid_only,
                                 .lattice = enc->level >= EBB_TRAJ_SMALL && !enc->rigid_only};
    enc->part_count = ebb_traj_classes_find(&look, enc->parts);
    enc->has_chain = false;
    enc->form = enc->bit_packed ? EBB_TRAJ_FORM_TILES : EBB_TRAJ_FORM_CODED;
    for (unsigned p = 0; p < enc->part_count; p++) {
        enc->has_chain |= enc->parts[p].type == EBB_TRAJ_PART_CHAIN;
        if (enc->parts[p].type == EBB_TRAJ_PART_CRYSTAL && !begin_crystal(enc, &enc->parts[p]))
            return ebb_error_set(err, EBB_ERR_NO_SPACE, "no memory for a frame of %zu atoms",
                                 enc->atoms);
        if (enc->contexts.of[0] != NULL && (enc->parts[p].type == EBB_TRAJ_PART_WATER ||
                                            enc->parts[p].type == EBB_TRAJ_PART_CHAIN))
            enc->form = EBB_TRAJ_FORM_CONTEXTS;
    }
    if (enc->part_count == 0 && enc->atoms > 0)
        return ebb_error_set(err, EBB_ERR_NO_SPACE, "no memory for a group of %zu atoms",
                             enc->atoms);
    return 0;
}

/* The frames that were held back go into the streams. */
static int encode_held(struct ebb_traj_encoder *enc, struct ebb_error *err)
{
    if (enc->held == 0)
        return 0;
    int rc = find_classes(enc, err);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < enc->held; i++)
        encode_frame(enc, &enc->look[i]);
    enc->held = 0;
    return 0;
}

static void put_head(struct ebb_traj_encoder *enc, struct ebb_buffer *side)
{
    ebb_traj_put_varint(side, enc->part_count);
    for (unsigned p = 0; p < enc->part_count; p++)
        ebb_traj_part_write(&enc->parts[p], side);
    ebb_traj_put_varint(side, enc->frames.len);
    ebb_buffer_append(side, enc->frames.data, enc->frames.len);
}

static void put_streams(struct ebb_traj_encoder *enc, struct ebb_buffer *side,
                        struct ebb_buffer *out)
{
    for (unsigned set = 0; set < 2; set++) {
        for (unsigned p = 0; p < enc->part_count; p++) {
            for (int k = 0; k < EBB_TRAJ_STREAM_KINDS; k++) {
                if (ebb_traj_part_has_stream(&enc->parts[p], k))
                    ebb_traj_writer_finish(&enc->writers[p].of[set][k], enc->form, side, out);
            }
        }
    }
}

/* The side information as a zstd frame where that is smaller, and not so small that a reader would
 * find it suspicious. */
static const struct ebb_buffer *pack_side(struct ebb_traj_encoder *enc)
{
    const struct ebb_buffer *side = &enc->side;
    struct ebb_buffer *packed = &enc->packed_side;
    const size_t bound = ZSTD_compressBound(side->len);
    ebb_buffer_reset(packed);
    ebb_buffer_reserve(packed, bound);
    size_t n = ZSTD_compress(packed->data, bound, side->data, side->len, 3);
    if (ZSTD_isError(n) || n >= side->len || side->len > (1u << 20) + 64 * (uint64_t)n)
        return side;
    packed->len = n;
    return packed;
}

/* As many bytes as the atoms need, so that a reader's memory is bounded by them. */
static void pad(const struct ebb_traj_encoder *enc, struct ebb_buffer *out, size_t start)
{
    static const uint8_t zeros[64];
    size_t least = enc->atoms / EBB_TRAJ_ATOMS_PER_BYTE;
    for (unsigned p = 0; p < enc->part_count; p++) {
        const size_t need = enc->parts[p].n / EBB_TRAJ_NEAR_PER_BYTE;
        if (enc->parts[p].type >= EBB_TRAJ_PART_LATTICE && need > least)
            least = need;
    }
    while ((out->len - start) < least)
        ebb_buffer_append(out, zeros, sizeof zeros);
}

/* `bytes` in place of what stands from `from` to `to`. */
static void insert(struct ebb_buffer *out, size_t from, size_t to, const struct ebb_buffer *bytes)
{
    const size_t rest = out->len - to;
    ebb_buffer_reserve(out, bytes->len);
    memmove(out->data + from + bytes->len, out->data + to, rest);
    memcpy(out->data + from, bytes->data, bytes->len);
    out->len = from + bytes->len + rest;
    out->data[out->len] = 0;
}

static int close_group(struct ebb_traj_encoder *enc, struct ebb_buffer *out, struct ebb_error *err)
{
    int rc = encode_held(enc, err);
    if (rc < 0 || enc->encoded == 0)
        return rc;
    if (enc->out_of_memory)
        return ebb_error_set(err, EBB_ERR_NO_SPACE, "no memory for a group of %zu atoms",
                             enc->atoms);
    struct ebb_buffer *side = &enc->side;
    const size_t start = out->len;
    ebb_buffer_reset(side);
    put_head(enc, side);
    /* The streams' bytes are made where they will stand, or a little behind. */
    const size_t room = EBB_TRAJ_HEADER_BYTES + side->len;
    ebb_buffer_reserve(out, room);
    out->len += room;
    put_streams(enc, side, out);
    if (side->len > UINT32_MAX) {
        out->len = start;
        return ebb_error_set(err, EBB_ERR_INTERNAL, "side information of %zu bytes", side->len);
    }
    const struct ebb_buffer *packed = pack_side(enc);
    insert(out, start + EBB_TRAJ_HEADER_BYTES, start + room, packed);
    pad(enc, out, start);
    struct ebb_traj_header h = {
        .info = {.bytes = out->len - start,
                 .atoms = enc->atoms,
                 .frames = enc->encoded,
                 .kind = enc->kind,
                 .bit_packed = enc->bit_packed,
                 .quantum = enc->quantum},
        .side_len = (uint32_t)side->len,
        .side_packed = (uint32_t)packed->len,
        .form = enc->form,
    };
    ebb_traj_header_write(&h, out->data + start);
    forget_parts(enc);
    ebb_buffer_reset(&enc->frames);
    enc->encoded = 0;
    enc->previous = NULL;
    enc->bad_fit = false;
    enc->has_pieces = false;
    return 0;
}

int ebb_traj_encoder_flush(struct ebb_traj_encoder *enc, struct ebb_buffer *out,
                           struct ebb_error *err)
{
    return close_group(enc, out, err);
}

/* Where the next frame's lattice numbers go: not over the frame before it. */
static struct held_frame *next_frame(struct ebb_traj_encoder *enc)
{
    struct held_frame *f = &enc->look[enc->held];
    if (enc->encoded > 0 && f == enc->previous)
        f = &enc->look[1];
    ebb_buffer_reset(&f->odd);
    f->odd_count = 0;
    return f;
}

int ebb_traj_frame_done(struct ebb_traj_encoder *enc, struct ebb_buffer *out, struct ebb_error *err)
{
    bool full = enc->held + enc->encoded >= enc->group_frames;
    return full || enc->bad_fit ? close_group(enc, out, err) : 0;
}

/* A frame lies in `f`: encode it, or hold it until the classes can be found. */
static int take_frame(struct ebb_traj_encoder *enc, struct held_frame *f, const float *box,
                      struct ebb_buffer *out, struct ebb_error *err)
{
    if (box != NULL)
        memcpy(f->box, box, sizeof f->box);
    else
        memset(f->box, 0, sizeof f->box);
    if (enc->encoded > 0) {
        encode_frame(enc, f);
    } else if (++enc->held == EBB_TRAJ_LOOK_FRAMES) {
        int rc = encode_held(enc, err);
        if (rc < 0)
            return rc;
    }
    return ebb_traj_frame_done(enc, out, err);
}

static int begin_frame(struct ebb_traj_encoder *enc, enum ebb_traj_kind kind,
                       struct ebb_buffer *out, struct ebb_error *err)
{
    if (kind != enc->kind || enc->has_pieces) {
        int rc = close_group(enc, out, err);
        if (rc < 0)
            return rc;
        enc->kind = kind;
    }
    return 0;
}

/* Coordinates off the lattice stand where the frame before has them, for the models' sake. */
static void substitute(const struct ebb_traj_encoder *enc, struct held_frame *f, size_t i)
{
    const struct held_frame *before =
        enc->encoded > 0 ? enc->previous : (enc->held > 0 ? &enc->look[enc->held - 1] : NULL);
    f->q[i] = before != NULL ? before->q[i] : 0;
}

/* As they came; *odd counts those off the lattice. */
static void quantise(const struct ebb_traj_encoder *enc, const void *xyz, int32_t *q, uint32_t *odd)
{
    const double inverse = 1.0 / enc->quantum;
    if (enc->kind == EBB_TRAJ_F64)
        ebb_traj_quantise_f64(xyz, 3 * enc->atoms, inverse, q, odd);
    else
        ebb_traj_quantise_f32(xyz, 3 * enc->atoms, inverse, q, odd);
}

/* The atom's entry, if one of its coordinates is off the lattice. */
static bool put_if_odd(const struct ebb_traj_encoder *enc, struct held_frame *f, const void *xyz,
                       uint32_t i, uint32_t gap)
{
    const double inverse = 1.0 / enc->quantum;
    const float *narrow = (const float *)xyz + 3 * (size_t)i;
    const double *wide = (const double *)xyz + 3 * (size_t)i;
    bool any = false;
    for (unsigned k = 0; k < 3; k++) {
        if (ebb_traj_on_lattice(enc->kind == EBB_TRAJ_F64 ? wide[k] : narrow[k], inverse))
            continue;
        any = true;
        substitute(enc, f, 3 * (size_t)i + k);
    }
    if (any && enc->kind == EBB_TRAJ_F64) {
        ebb_traj_put_varint(&f->odd, gap);
        for (unsigned k = 0; k < 3; k++)
            ebb_traj_put_double(&f->odd, wide[k]);
    } else if (any) {
        ebb_traj_frame_put_odd(&f->odd, gap, narrow);
    }
    return any;
}

static int add_real(struct ebb_traj_encoder *enc, enum ebb_traj_kind kind, const void *xyz,
                    const float *box, struct ebb_buffer *out, struct ebb_error *err)
{
    int rc = begin_frame(enc, kind, out, err);
    if (rc < 0)
        return rc;
    struct held_frame *f = next_frame(enc);
    uint32_t odd, next = 0;
    quantise(enc, xyz, f->q, &odd);
    for (uint32_t i = 0; odd > 0 && i < enc->atoms; i++) {
        if (!put_if_odd(enc, f, xyz, i, i - next))
            continue;
        f->odd_count++;
        next = i + 1;
    }
    return take_frame(enc, f, box, out, err);
}

int ebb_traj_encoder_add(struct ebb_traj_encoder *enc, const float *xyz, const float box[9],
                         struct ebb_buffer *out, struct ebb_error *err)
{
    return add_real(enc, EBB_TRAJ_F32, xyz, box, out, err);
}

int ebb_traj_encoder_add_f64(struct ebb_traj_encoder *enc, const double *xyz, const float box[9],
                             struct ebb_buffer *out, struct ebb_error *err)
{
    return add_real(enc, EBB_TRAJ_F64, xyz, box, out, err);
}

int ebb_traj_encoder_add_lattice(struct ebb_traj_encoder *enc, const int32_t *q, const float box[9],
                                 struct ebb_buffer *out, struct ebb_error *err)
{
    int rc = begin_frame(enc, EBB_TRAJ_LATTICE, out, err);
    if (rc < 0)
        return rc;
    struct held_frame *f = next_frame(enc);
    if (enc->atoms > 0)
        memcpy(f->q, q, 3 * enc->atoms * sizeof *q);
    return take_frame(enc, f, box, out, err);
}
