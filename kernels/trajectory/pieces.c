/* Pieces in plain C: the reference that the device kernels are compared with, and what stands in
 * for them where there is no device. */
#include "kernels/trajectory/pieces.h"

#include <string.h>

#include "kernels/trajectory/model.h"
#include "kernels/trajectory/pieces_layout.h"
#include "kernels/trajectory/pieces_parts.h"

#define SLACK 64 /* numbers that vector loops may touch beyond the last */

void ebb_traj_plan_of(const struct ebb_traj_part *parts, unsigned count, size_t atoms,
                      double quantum, struct ebb_kernels_trajectory *ret)
{
    *ret = (struct ebb_kernels_trajectory){.atoms = atoms, .quantum = quantum, .parts = count};
    for (unsigned p = 0; p < count; p++) {
        const struct ebb_traj_rigid *r = &parts[p].rigid;
        ret->part[p] = (struct ebb_kernels_trajectory_part){
            parts[p].n, parts[p].atoms_each, r->a2, r->b2, r->ab, r->virtual_a, r->virtual_b};
    }
}

/* Vectors of n sites, x of all, y of all, z of all, to the tiles of a state. */
static void put_vectors(const int32_t *from, size_t n, int32_t *tiles)
{
    for (size_t at = 0; at < n; at += EBB_TILE_NUMBERS) {
        const size_t count = n - at < EBB_TILE_NUMBERS ? n - at : EBB_TILE_NUMBERS;
        for (size_t k = 0; k < 3; k++, tiles += EBB_TILE_NUMBERS)
            memcpy(tiles, from + k * n + at, count * sizeof *tiles);
    }
}

static void get_vectors(const int32_t *tiles, size_t n, int32_t *to)
{
    for (size_t at = 0; at < n; at += EBB_TILE_NUMBERS) {
        const size_t count = n - at < EBB_TILE_NUMBERS ? n - at : EBB_TILE_NUMBERS;
        for (size_t k = 0; k < 3; k++, tiles += EBB_TILE_NUMBERS)
            memcpy(to + k * n + at, tiles, count * sizeof *tiles);
    }
}

static void put_part(const struct ebb_traj_part *from, const struct ebb_piece_part *at,
                     int32_t *state)
{
    put_vectors(from->last, from->n, state + at->last);
    put_vectors(from->behind, from->n, state + at->behind);
    if (from->type != EBB_TRAJ_PART_WATER)
        return;
    put_vectors(from->a, from->n, state + at->a);
    put_vectors(from->b, from->n, state + at->b);
}

/* Coordinates, x, y, z by atom, to and from a state that has the atoms' places. */
static void put_q(const struct ebb_piece_layout *l, const int32_t *q, size_t atoms, int32_t *state)
{
    for (size_t i = 0; i < atoms; i++) {
        int32_t *to = state + (uint32_t)state[l->place + i];
        for (size_t k = 0; k < 3; k++)
            to[k * EBB_TILE_NUMBERS] = q[3 * i + k];
    }
}

static void get_q(const struct ebb_piece_layout *l, const int32_t *state, size_t atoms, int32_t *q)
{
    for (size_t i = 0; i < atoms; i++) {
        const int32_t *from = state + (uint32_t)state[l->place + i];
        for (size_t k = 0; k < 3; k++)
            q[3 * i + k] = from[k * EBB_TILE_NUMBERS];
    }
}

void ebb_traj_state_of(const struct ebb_kernels_trajectory *plan, const struct ebb_traj_part *parts,
                       const int32_t *q, int32_t *ret)
{
    struct ebb_piece_layout l;
    ebb_piece_layout(plan, &l);
    memset(ret, 0, 4 * (size_t)l.state_words);
    for (uint32_t p = 0; p < plan->parts; p++) {
        const uint32_t each = plan->part[p].atoms_each;
        memcpy(ret + l.part[p].first, parts[p].first, parts[p].n * sizeof *parts[p].first);
        for (uint32_t i = 0; i < parts[p].n; i++) {
            for (uint32_t k = 0; k < each; k++)
                ret[l.place + parts[p].first[i] + k] = (int32_t)ebb_piece_q(&l.part[p], each, i, k);
        }
        put_part(&parts[p], &l.part[p], ret);
    }
    put_q(&l, q, (size_t)plan->atoms, ret);
}

/* One frame at work. */
struct work {
    const struct ebb_kernels_trajectory *plan;
    const struct ebb_kernels_trajectory_frame *frame;
    struct ebb_piece_layout layout;
    struct ebb_traj_box box, images; /* that coordinates are kept inside of; that is there */
    int32_t *state;
    uint32_t *numbers; /* of one part */
    int32_t *vectors;  /* of one part, in line */
    int32_t *q;        /* x, y, z by atom: the frame before, and when unpacked the new one */
};

static bool begin(struct work *w, const struct ebb_kernels_trajectory *plan,
                  const struct ebb_kernels_trajectory_frame *frame, void *state)
{
    static const float none[9];
    if (!ebb_piece_plan_fits(plan) || frame->before < 1)
        return false;
    *w = (struct work){.plan = plan, .frame = frame, .state = state};
    ebb_piece_layout(plan, &w->layout);
    ebb_traj_box_make(frame->inside ? frame->box : none, plan->quantum, &w->box);
    ebb_traj_box_make(frame->box, plan->quantum, &w->images);
    size_t most = 0;
    for (uint32_t p = 0; p < plan->parts; p++)
        most = plan->part[p].sites > most ? plan->part[p].sites : most;
    w->numbers =
        ebb_alloc_array(EBB_PIECE_RUNS * most + EBB_TRAJ_STREAM_KINDS * SLACK, sizeof *w->numbers);
    w->vectors = ebb_alloc_array(4 * (3 * most + SLACK), sizeof *w->vectors);
    w->q = ebb_alloc_array(3 * (size_t)plan->atoms + SLACK, sizeof *w->q);
    get_q(&w->layout, w->state, (size_t)plan->atoms, w->q);
    return true;
}

static void end(struct work *w)
{
    free(w->numbers);
    free(w->vectors);
    free(w->q);
}

/* The part as the models take it, its vectors in line. */
static void open_part(const struct work *w, uint32_t p, struct ebb_traj_part *ret,
                      struct ebb_traj_frame_context *context, struct ebb_traj_numbers *numbers)
{
    const struct ebb_kernels_trajectory_part *from = &w->plan->part[p];
    const struct ebb_piece_part *at = &w->layout.part[p];
    const size_t room = 3 * (size_t)from->sites + SLACK;
    *ret = (struct ebb_traj_part){
        .type = from->atoms_each == 1 ? EBB_TRAJ_PART_FREE : EBB_TRAJ_PART_WATER,
        .n = from->sites,
        .atoms_each = from->atoms_each,
        .first = (uint32_t *)(void *)(w->state + at->first),
        .rigid = {from->a2, from->b2, from->ab, from->virtual_a, from->virtual_b},
        .last = w->vectors,
        .behind = w->vectors + room,
        .a = w->vectors + 2 * room,
        .b = w->vectors + 3 * room,
    };
    get_vectors(w->state + at->last, ret->n, ret->last);
    get_vectors(w->state + at->behind, ret->n, ret->behind);
    if (from->atoms_each != 1) {
        get_vectors(w->state + at->a, ret->n, ret->a);
        get_vectors(w->state + at->b, ret->n, ret->b);
    }
    *context = (struct ebb_traj_frame_context){
        .box = &w->box,
        .weights = {.last = w->frame->weights[p].last,
                    .mean = w->frame->weights[p].mean,
                    .sphere = w->frame->weights[p].sphere,
                    .circle = w->frame->weights[p].circle},
        .before = w->frame->before,
    };
    uint32_t *next = w->numbers;
    for (int k = 0; k < EBB_TRAJ_STREAM_KINDS; k++) {
        numbers->of[k] = next;
        next += ebb_traj_part_numbers(ret, k) + SLACK;
    }
}

/* Lattice numbers, and the atoms that have coordinates off the lattice: these stand where the frame
 * before has them. */
static void quantise(const struct work *w, const float *xyz, const int32_t *previous, int32_t *q,
                     struct ebb_piece_odd *odd, uint32_t *ret_odd)
{
    const double inverse = 1.0 / w->plan->quantum;
    uint32_t any, count = 0;
    ebb_traj_quantise_f32(xyz, 3 * (size_t)w->plan->atoms, inverse, q, &any);
    for (uint32_t i = 0; any > 0 && i < w->plan->atoms; i++) {
        bool off = false;
        for (size_t k = 3 * (size_t)i; k < 3 * (size_t)i + 3; k++) {
            if (ebb_traj_on_lattice(xyz[k], inverse))
                continue;
            q[k] = previous[k];
            off = true;
        }
        if (!off)
            continue;
        if (count < w->layout.list_limit) {
            odd[count].atom = i;
            memcpy(&odd[count].x, xyz + 3 * (size_t)i, 3 * sizeof *xyz);
        }
        count++;
    }
    *ret_odd = count;
}

static int by_atom(const void *p, const void *q)
{
    const struct ebb_piece_miss *a = p, *b = q;
    return a->atom < b->atom ? -1 : a->atom > b->atom;
}

/* The heads of a part's tiles, and their words from `words` on. Returns the end of these. */
static uint8_t *put_tiles(const struct ebb_traj_part *part, const struct ebb_traj_numbers *numbers,
                          uint8_t *heads, uint8_t *words)
{
    for (int k = 0; k < EBB_TRAJ_STREAM_KINDS; k++) {
        const size_t n = ebb_traj_part_numbers(part, k);
        for (size_t at = 0; at < n; at += part->n, heads += 2 * ebb_tiles_of(part->n))
            words += ebb_tiles_pack(numbers->of[k] + at, part->n, heads, words);
    }
    return words;
}

/* The lists of a piece, sorted by atom: which misses are other images, which are not. Returns the
 * bytes that they take. */
static uint64_t put_lists(const struct work *w, struct ebb_traj_misses *misses,
                          const struct ebb_piece_odd *odd, struct ebb_piece_header *h, uint8_t *out)
{
    const uint64_t limit = w->layout.list_limit;
    uint32_t *images = ebb_alloc_array(misses->count + 1, sizeof *images);
    if (misses->count > 0)
        qsort(misses->items, misses->count, sizeof *misses->items, by_atom);
    for (size_t i = 0; i < misses->count; i++) {
        const struct ebb_traj_miss *m = &misses->items[i];
        const uint32_t code = ebb_piece_image_code(&w->images, m->x, m->y, m->z);
        if (code < EBB_PIECE_IMAGE_CODES)
            images[h->images++] = m->atom * EBB_PIECE_IMAGE_CODES + code;
        else
            misses->items[h->misses++] = *m;
    }
    const size_t miss_bytes = 16 * (size_t)ebb_piece_within(h->misses, limit),
                 odd_bytes = 16 * (size_t)ebb_piece_within(h->odd, limit),
                 image_bytes = 4 * (size_t)ebb_piece_within(h->images, limit);
    if (miss_bytes > 0)
        memcpy(out, misses->items, miss_bytes);
    memcpy(out + miss_bytes, odd, odd_bytes);
    memcpy(out + miss_bytes + odd_bytes, images, image_bytes);
    free(images);
    return miss_bytes + odd_bytes + image_bytes;
}

/* x, y, z by atom, with nothing between: `xyz` itself, or what it is copied to. */
static const float *in_line(const struct work *w, const float *xyz, float *room)
{
    const size_t stride = w->frame->stride;
    if (room == NULL)
        return xyz;
    for (size_t i = 0; i < w->plan->atoms; i++)
        memcpy(room + 3 * i, xyz + stride * i, 3 * sizeof *xyz);
    return room;
}

static float *room_in_line(const struct work *w)
{
    return w->frame->stride <= 3 ? NULL
                                 : ebb_alloc_array(3 * (size_t)w->plan->atoms + 1, sizeof(float));
}

bool ebb_traj_piece_pack(const struct ebb_kernels_trajectory *plan,
                         const struct ebb_kernels_trajectory_frame *frame, const float *floats,
                         void *state, void *piece)
{
    struct work w;
    if (!begin(&w, plan, frame, state))
        return false;
    EBB_AUTO_FREE float *room = room_in_line(&w);
    const float *xyz = in_line(&w, floats, room);
    const int32_t *previous = w.q;
    int32_t *q = ebb_alloc_array(3 * (size_t)plan->atoms + SLACK, sizeof *q);
    struct ebb_piece_odd *odd = ebb_alloc_array((size_t)w.layout.list_limit, sizeof *odd);
    struct ebb_traj_misses misses = {0};
    struct ebb_piece_header h = {.version = EBB_PIECE_VERSION};
    uint8_t *heads = (uint8_t *)piece + sizeof h, *words = (uint8_t *)piece + w.layout.words;
    quantise(&w, xyz, previous, q, odd, &h.odd);
    for (uint32_t p = 0; p < plan->parts; p++) {
        struct ebb_traj_part part;
        struct ebb_traj_frame_context context;
        struct ebb_traj_numbers numbers;
        open_part(&w, p, &part, &context, &numbers);
        ebb_traj_encode_part(&part, q, previous, &context, &numbers, &misses, NULL, NULL);
        put_part(&part, &w.layout.part[p], w.state);
        words = put_tiles(&part, &numbers, heads + 2 * w.layout.part[p].tile, words);
    }
    ebb_traj_misses_measure(&misses, q);
    put_q(&w.layout, q, (size_t)plan->atoms, w.state);
    memset(heads + 2 * w.layout.tiles, 0, (size_t)(w.layout.words - 2 * w.layout.tiles - sizeof h));
    h.words = (uint64_t)(words - (uint8_t *)piece - w.layout.words) / 4;
    uint8_t *lists = (uint8_t *)piece + ebb_piece_lists(&w.layout, h.words);
    memset(words, 0, (size_t)(lists - words));
    h.bytes = (uint64_t)(lists - (uint8_t *)piece) + put_lists(&w, &misses, odd, &h, lists);
    memcpy(piece, &h, sizeof h);
    free(misses.items);
    free(odd);
    free(q);
    end(&w);
    return true;
}

/* A run of numbers. Damaged heads lead past the end: what is not there is zero; a tile whose head
 * is none is zeros. */
static void get_run(const struct work *w, const uint8_t *piece, size_t piece_bytes, uint64_t tile,
                    size_t n, uint64_t *word, uint32_t *run)
{
    const uint64_t there = (piece_bytes - w->layout.words) / 4;
    for (size_t at = 0; at < n; at += EBB_TILE_NUMBERS, tile++) {
        const uint32_t blocks = ebb_tile_blocks(n, at / EBB_TILE_NUMBERS);
        uint32_t head = ebb_tile_head_at(piece + sizeof(struct ebb_piece_header) + 2 * tile),
                 room[EBB_TILE_NUMBERS];
        head = ebb_tile_is_head(head, blocks) ? head : 0;
        uint8_t bytes[4 * EBB_TILE_WORDS] = {0};
        const uint64_t left = *word < there ? there - *word : 0,
                       words = ebb_tile_words(head, blocks);
        memcpy(bytes, piece + w->layout.words + 4 * (left > 0 ? *word : 0),
               4 * (size_t)ebb_piece_within(words, left));
        (void)ebb_tile_unpack(bytes, head, blocks, room);
        memcpy(run + at, room, (n - at < EBB_TILE_NUMBERS ? n - at : EBB_TILE_NUMBERS) * 4);
        *word += words;
    }
}

static void get_numbers(const struct work *w, const uint8_t *piece, size_t piece_bytes,
                        const struct ebb_traj_part *part, uint64_t tile, uint64_t *word,
                        const struct ebb_traj_numbers *numbers)
{
    for (int k = 0; k < EBB_TRAJ_STREAM_KINDS; k++) {
        const size_t n = ebb_traj_part_numbers(part, k);
        for (size_t at = 0; at < n; at += part->n, tile += ebb_tiles_of(part->n))
            get_run(w, piece, piece_bytes, tile, part->n, word, numbers->of[k] + at);
    }
}

static void mend_atom(const struct work *w, const struct ebb_piece_miss *m)
{
    if (m->atom >= w->plan->atoms)
        return;
    int32_t *at = w->q + 3 * (size_t)m->atom;
    at[0] = ebb_traj_add(at[0], m->x);
    at[1] = ebb_traj_add(at[1], m->y);
    at[2] = ebb_traj_add(at[2], m->z);
}

static void mend(const struct work *w, const uint8_t *piece, size_t piece_bytes, float *xyz)
{
    struct ebb_piece_header h;
    memcpy(&h, piece, sizeof h);
    const uint64_t lists =
        ebb_piece_lists(&w->layout, ebb_piece_within(h.words, EBB_TILE_WORDS * w->layout.tiles));
    const uint64_t room = lists < piece_bytes ? piece_bytes - lists : 0;
    const uint64_t misses = ebb_piece_within(h.misses, room / 16),
                   odd = ebb_piece_within(h.odd, room / 16 - misses),
                   images = ebb_piece_within(h.images, (room - 16 * (misses + odd)) / 4);
    for (uint64_t i = 0; i < misses; i++) {
        struct ebb_piece_miss m;
        memcpy(&m, piece + lists + 16 * i, sizeof m);
        mend_atom(w, &m);
    }
    for (uint64_t i = 0; i < images; i++) {
        uint32_t image;
        memcpy(&image, piece + lists + 16 * (misses + odd) + 4 * i, sizeof image);
        const struct ebb_piece_miss m = ebb_piece_image(&w->images, image);
        mend_atom(w, &m);
    }
    put_q(&w->layout, w->q, (size_t)w->plan->atoms, w->state);
    ebb_traj_dequantise_f32(w->q, 3 * (size_t)w->plan->atoms, w->plan->quantum, xyz);
    for (uint64_t i = misses; i < misses + odd; i++) {
        struct ebb_piece_odd o;
        memcpy(&o, piece + lists + 16 * i, sizeof o);
        if (o.atom < w->plan->atoms)
            memcpy(xyz + 3 * (size_t)o.atom, &o.x, 3 * sizeof *xyz);
    }
}

bool ebb_traj_piece_unpack(const struct ebb_kernels_trajectory *plan,
                           const struct ebb_kernels_trajectory_frame *frame, const void *piece,
                           size_t piece_bytes, void *state, float *floats)
{
    struct work w;
    if (!begin(&w, plan, frame, state))
        return false;
    EBB_AUTO_FREE float *room = room_in_line(&w);
    float *xyz = room != NULL ? room : floats;
    bool fits = piece_bytes >= w.layout.words;
    uint64_t word = 0;
    for (uint32_t p = 0; fits && p < plan->parts; p++) {
        struct ebb_traj_part part;
        struct ebb_traj_frame_context context;
        struct ebb_traj_numbers numbers;
        open_part(&w, p, &part, &context, &numbers);
        get_numbers(&w, piece, piece_bytes, &part, w.layout.part[p].tile, &word, &numbers);
        ebb_traj_decode_part(&part, &numbers, &context, EBB_TRAJ_STAGES, w.q, NULL);
        put_part(&part, &w.layout.part[p], w.state);
    }
    if (fits)
        mend(&w, piece, piece_bytes, xyz);
    for (size_t i = 0; fits && room != NULL && i < plan->atoms; i++)
        memcpy(floats + (size_t)frame->stride * i, room + 3 * i, 3 * sizeof *room);
    end(&w);
    return fits;
}
