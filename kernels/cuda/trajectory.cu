/* Frames of a trajectory to pieces and back (kernels/trajectory/pieces_layout.h has the layout, the
 * arithmetic is that of the CPU, kernels/trajectory/model_lanes.h, a thread for each site, a thread
 * block for each tile of 256).
 *
 *     pack_sites   quantise, predict; what is left as numbers stays in shared memory, where a warp
 *                  makes the words of a tile of each run of them (kernels/cuda/tile_words.h); the
 *                  state moves on by a frame
 *     scan         where each tile's words begin
 *     finish       words and corrections to their places, the header
 *
 *     check_heads, scan, unpack_sites, mend, put_odd: the same backwards
 *
 * Corrections are few; they are appended by an atomic counter, so their order is free. */
#define EBB_TRAJ_BLOCK 1 /* a thread has one site, in registers */
#include "kernels/arguments.h"
#include "kernels/cuda/scan.h"
#include "kernels/cuda/tile_words.h"
#include "kernels/ebb_kernels.h"
#include "kernels/trajectory/box.c"
#include "kernels/trajectory/model_pass.h"
#include "kernels/trajectory/pieces_layout.h"

#define WIDTH  1
#define TARGET __device__
#include "kernels/trajectory/model_lanes.h"
#undef WIDTH
#undef TARGET

namespace
{
enum { THREADS = 256, WARPS = THREADS / 32 };

struct counters {
    uint32_t misses, odd, images;
};

/* Where the corrections of a frame are gathered. */
struct found {
    struct counters *count;
    struct ebb_piece_miss *misses;
    struct ebb_piece_odd *odd;
    uint32_t *images;
};

/* What the kernels over sites need to know of a part. */
struct sites_of_part {
    struct ebb_piece_part at;
    struct ebb_traj_rigid rigid;
    uint32_t n, atoms_each, end; /* thread blocks of this part and those before it */
    float last, mean, sphere, circle, inverse_a2;
};

struct sites {
    struct sites_of_part part[EBB_KERNELS_TRAJECTORY_PARTS];
    struct ebb_traj_box box, images; /* that coordinates are kept inside of; that is there */
    uint32_t before, stride;         /* floats from atom to atom */
    uint64_t list_limit;
    double quantum, inverse;
};

/* The numbers of a tile of sites, run after run. */
typedef uint32_t tile_numbers[EBB_PIECE_RUNS][EBB_TILE_NUMBERS];
/* The run that each stream begins with. */
enum { SITE = 0, SPHERE = 3, FACE = 5, CIRCLE = 6, ARC = 7, VIRTUAL = 8 };

/* The tile of this thread block: of which part, the how manyth of it. */
struct place {
    uint32_t part, tile;
};

__device__ __forceinline__ struct place find_place(const struct sites &a)
{
    struct place r = {0, blockIdx.x};
    EBB_USUAL(blockIdx.x < a.part[0].end);
    while (blockIdx.x >= a.part[r.part].end)
        r.part++;
    if (r.part > 0)
        r.tile -= a.part[r.part - 1].end;
    return r;
}

/* What the arithmetic takes, each a struct of its own so that all of it stays in registers. A part
 * here is a tile: its vectors are as far apart as the tile's, and so are its numbers. */
#define OPEN_SITE(a, of, place, state, shared)                                                     \
    struct ebb_traj_part part;                                                                     \
    struct ebb_traj_frame_context context;                                                         \
    struct ebb_traj_numbers numbers;                                                               \
    struct pass pass;                                                                              \
    open_tile(of, place, state, &part);                                                            \
    open_numbers(shared, &numbers);                                                                \
    context.box = &(a).box;                                                                        \
    context.before = (a).before;                                                                   \
    pass.part = &part;                                                                             \
    pass.context = &context;                                                                       \
    pass.numbers = &numbers;                                                                       \
    pass.last = (of).last;                                                                         \
    pass.mean = (of).mean;                                                                         \
    pass.sphere = (of).sphere;                                                                     \
    pass.circle = (of).circle;                                                                     \
    pass.inverse_a2 = (of).inverse_a2

__device__ __forceinline__ void open_tile(const struct sites_of_part &of, const struct place &place,
                                          int32_t *state, struct ebb_traj_part *part)
{
    int32_t *tile = state + 3 * EBB_TILE_NUMBERS * (size_t)place.tile;
    part->n = EBB_TILE_NUMBERS;
    part->atoms_each = of.atoms_each;
    part->rigid = of.rigid;
    part->last = tile + of.at.last;
    part->behind = tile + of.at.behind;
    part->a = tile + of.at.a;
    part->b = tile + of.at.b;
}

__device__ __forceinline__ void open_numbers(tile_numbers shared, struct ebb_traj_numbers *numbers)
{
    numbers->of[EBB_TRAJ_STREAM_SITE] = shared[SITE];
    numbers->of[EBB_TRAJ_STREAM_SPHERE] = shared[SPHERE];
    numbers->of[EBB_TRAJ_STREAM_FACE] = shared[FACE];
    numbers->of[EBB_TRAJ_STREAM_CIRCLE] = shared[CIRCLE];
    numbers->of[EBB_TRAJ_STREAM_ARC] = shared[ARC];
    numbers->of[EBB_TRAJ_STREAM_VIRTUAL] = shared[VIRTUAL];
}

/* Words from an atom of a site to its next one. */
enum { ATOM = 3 * EBB_TILE_NUMBERS };

/* Those of this thread's site. */
__device__ __forceinline__ int32_t *coordinates(const struct sites_of_part &of,
                                                const struct place &place, int32_t *state)
{
    return state + of.at.q + ATOM * (size_t)place.tile * of.atoms_each + threadIdx.x;
}

__device__ __forceinline__ uint32_t first_atom(const struct sites_of_part &of, const int32_t *state,
                                               uint32_t site)
{
    return (uint32_t)state[of.at.first + site];
}

/* Coordinates in the state: 256 words from x to y and from y to z. */
__device__ __forceinline__ void load_block(const int32_t *q, struct block *ret)
{
    ret->x[0] = q[0];
    ret->y[0] = q[EBB_TILE_NUMBERS];
    ret->z[0] = q[2 * EBB_TILE_NUMBERS];
}

__device__ __forceinline__ void store_block(const struct block &b, int32_t *q)
{
    q[0] = b.x[0];
    q[EBB_TILE_NUMBERS] = b.y[0];
    q[2 * EBB_TILE_NUMBERS] = b.z[0];
}

/* Lattice numbers of an atom; coordinates off the lattice stand where the frame before has them. */
__device__ __forceinline__ void quantise(const struct sites &a, const float *xyz, uint32_t atom,
                                         const int32_t *q, const struct found &found,
                                         struct block *ret)
{
    const float *x = xyz + a.stride * (size_t)atom;
    const float f[3] = {x[0], x[1], x[2]};
    int in[3];
    ret->x[0] = ebb_traj_quantise((double)f[0], a.inverse, &in[0]);
    ret->y[0] = ebb_traj_quantise((double)f[1], a.inverse, &in[1]);
    ret->z[0] = ebb_traj_quantise((double)f[2], a.inverse, &in[2]);
    EBB_USUAL(in[0] & in[1] & in[2]);
    if (in[0] & in[1] & in[2])
        return;
    ret->x[0] = in[0] ? ret->x[0] : q[0];
    ret->y[0] = in[1] ? ret->y[0] : q[EBB_TILE_NUMBERS];
    ret->z[0] = in[2] ? ret->z[0] : q[2 * EBB_TILE_NUMBERS];
    const uint32_t at = atomicAdd(&found.count->odd, 1u);
    if (at >= a.list_limit)
        return;
    found.odd[at].atom = atom;
    found.odd[at].x = __float_as_uint(f[0]);
    found.odd[at].y = __float_as_uint(f[1]);
    found.odd[at].z = __float_as_uint(f[2]);
}

__device__ __forceinline__ void compare(const struct sites &a, const struct block &model,
                                        const struct block &truth, uint32_t atom,
                                        const struct found &found)
{
    const int32_t x = ebb_traj_sub(truth.x[0], model.x[0]),
                  y = ebb_traj_sub(truth.y[0], model.y[0]),
                  z = ebb_traj_sub(truth.z[0], model.z[0]);
    EBB_USUAL((x | y | z) == 0);
    if ((x | y | z) == 0)
        return;
    const uint32_t code = ebb_piece_image_code(&a.images, x, y, z);
    const bool image = code < EBB_PIECE_IMAGE_CODES;
    const uint32_t at = atomicAdd(image ? &found.count->images : &found.count->misses, 1u);
    if (at >= a.list_limit)
        return;
    if (image) {
        found.images[at] = atom * EBB_PIECE_IMAGE_CODES + code;
        return;
    }
    found.misses[at].atom = atom;
    found.misses[at].x = x;
    found.misses[at].y = y;
    found.misses[at].z = z;
}

__device__ __forceinline__ void encode_site(const struct sites &a, const struct sites_of_part &of,
                                            const struct place &place, const float *xyz,
                                            int32_t *state, tile_numbers shared,
                                            const struct found &found)
{
    OPEN_SITE(a, of, place, state, shared);
    const uint32_t i = threadIdx.x, atom = first_atom(of, state, place.tile * EBB_TILE_NUMBERS + i);
    int32_t *q = coordinates(of, place, state);
    struct block truth, before, site, model;
    load_block(q, &before);
    quantise(a, xyz, atom, q, found, &truth);
    site_encode1(&pass, i, 0, &truth, &before, &site);
    store_block(truth, q);
    compare(a, site, truth, atom, found);
    if (part.atoms_each == 1)
        return;
    quantise(a, xyz, atom + 1, q + ATOM, found, &truth);
    sphere_encode1(&pass, i, 0, &site, &truth, &model);
    store_block(truth, q + ATOM);
    compare(a, model, truth, atom + 1, found);
    quantise(a, xyz, atom + 2, q + 2 * ATOM, found, &truth);
    circle_encode1(&pass, i, 0, &site, &truth, &model);
    store_block(truth, q + 2 * ATOM);
    compare(a, model, truth, atom + 2, found);
    if (part.atoms_each == 3)
        return;
    quantise(a, xyz, atom + 3, q + 3 * ATOM, found, &truth);
    virtual_encode1(&pass, i, 0, &site, &truth, &model);
    store_block(truth, q + 3 * ATOM);
    compare(a, model, truth, atom + 3, found);
}

__global__ void __launch_bounds__(THREADS, 5)
    pack_sites(const __grid_constant__ struct sites a, const float *xyz, int32_t *state,
               uint16_t *heads, uint16_t *counts, uint32_t *slots, struct found found)
{
    __shared__ tile_numbers numbers;
    const struct place place = find_place(a);
    const struct sites_of_part &of = a.part[place.part];
    EBB_USUAL(of.atoms_each == 3 && place.tile * EBB_TILE_NUMBERS + threadIdx.x < of.n);
    const uint32_t runs = ebb_piece_runs(of.atoms_each), lane = threadIdx.x % 32;
    if (place.tile * EBB_TILE_NUMBERS + threadIdx.x < of.n) {
        encode_site(a, of, place, xyz, state, numbers, found);
    } else {
        for (uint32_t r = 0; r < runs; r++)
            numbers[r][threadIdx.x] = 0;
    }
    __syncthreads();
    const uint32_t blocks = ebb_tile_blocks(of.n, place.tile);
    EBB_USUAL(blocks == EBB_TILE_BLOCKS);
    for (uint32_t r = threadIdx.x / 32; r < runs; r += WARPS) {
        const uint64_t tile = of.at.tile + r * of.at.tiles + place.tile;
        const uint32_t head = ebb_tile_warp::pack(numbers[r], blocks, lane),
                       words = ebb_tile_words(head, blocks);
        __syncwarp(); /* the words are there */
        for (uint32_t i = lane; i < words; i += 32)
            slots[tile * EBB_TILE_WORDS + i] = numbers[r][i];
        if (lane == 0) {
            heads[tile] = (uint16_t)head;
            counts[tile] = (uint16_t)words;
        }
    }
}

/* Coordinates to the state; as floats to a row of the site in shared memory. */
__device__ __forceinline__ void put_atom(const struct block &b, double quantum, int32_t *q,
                                         float *row)
{
    store_block(b, q);
    row[0] = ebb_traj_dequantise(b.x[0], quantum);
    row[1] = ebb_traj_dequantise(b.y[0], quantum);
    row[2] = ebb_traj_dequantise(b.z[0], quantum);
}

__device__ __forceinline__ void decode_site(const struct sites &a, const struct sites_of_part &of,
                                            const struct place &place, tile_numbers shared,
                                            int32_t *state, float row[12])
{
    OPEN_SITE(a, of, place, state, shared);
    const uint32_t i = threadIdx.x;
    int32_t *q = coordinates(of, place, state);
    struct block before, site, model;
    load_block(q, &before);
    site_decode1(&pass, i, 0, &before, &site);
    put_atom(site, a.quantum, q, row);
    if (part.atoms_each == 1)
        return;
    sphere_decode1(&pass, i, 0, &site, &model);
    put_atom(model, a.quantum, q + ATOM, row + 3);
    circle_decode1(&pass, i, 0, &site, &model);
    put_atom(model, a.quantum, q + 2 * ATOM, row + 6);
    if (part.atoms_each == 3)
        return;
    virtual_decode1(&pass, i, 0, &site, &model);
    put_atom(model, a.quantum, q + 3 * ATOM, row + 9);
}

/* The rows of a tile's sites to where their atoms are: where these follow one another, as they
 * nearly always do, side by side; by way of shared memory, as each thread has 3 floats or more of
 * its own. */
__device__ __forceinline__ void put_rows(const float row[12], uint32_t floats, uint32_t sites,
                                         uint32_t atom, uint32_t stride, float *shared, float *xyz)
{
    __shared__ uint32_t first;
    if (threadIdx.x == 0)
        first = atom;
    __syncthreads();
    const bool there = threadIdx.x < sites;
    EBB_USUAL(there);
    const bool apart = there && atom != first + threadIdx.x * (floats / 3);
    if (__syncthreads_or(apart || stride != 3)) {
        for (uint32_t k = 0; k < 12; k++) {
            if (there && k < floats)
                xyz[stride * ((size_t)atom + k / 3) + k % 3] = row[k];
        }
        return;
    }
#pragma unroll
    for (uint32_t k = 0; k < 12; k++) {
        if (there && k < floats)
            shared[threadIdx.x * floats + k] = row[k];
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < sites * floats; i += THREADS)
        xyz[3 * (size_t)first + i] = shared[i];
}

__global__ void __launch_bounds__(THREADS)
    unpack_sites(const __grid_constant__ struct sites a, const uint16_t *heads,
                 const uint64_t *offsets, const uint32_t *words, uint64_t word_count,
                 int32_t *state, float *xyz)
{
    __shared__ union {
        tile_numbers numbers;
        float rows[12 * EBB_TILE_NUMBERS];
    } space;
    const struct place place = find_place(a);
    const struct sites_of_part &of = a.part[place.part];
    const uint32_t runs = ebb_piece_runs(of.atoms_each), blocks = ebb_tile_blocks(of.n, place.tile);
    EBB_USUAL(of.atoms_each == 3 && blocks == EBB_TILE_BLOCKS);
    for (uint32_t r = threadIdx.x / 32; r < runs; r += WARPS) {
        const uint64_t tile = of.at.tile + r * of.at.tiles + place.tile;
        const uint32_t head = heads[tile];
        ebb_tile_warp::unpack(ebb_tile_warp::words_of(words, word_count, offsets[tile]),
                              ebb_tile_is_head(head, blocks) ? head : 0, blocks, threadIdx.x % 32,
                              space.numbers[r]);
    }
    __syncthreads();
    const uint32_t before = place.tile * EBB_TILE_NUMBERS,
                   sites = min(of.n - before, (uint32_t)EBB_TILE_NUMBERS);
    const bool there = threadIdx.x < sites;
    EBB_USUAL(there);
    float row[12];
    if (there)
        decode_site(a, of, place, space.numbers, state, row);
    put_rows(row, 3 * of.atoms_each, sites, there ? first_atom(of, state, before + threadIdx.x) : 0,
             a.stride, space.rows, xyz);
}

/* Words of each tile as they count: a damaged head tells of none. */
__global__ void __launch_bounds__(THREADS)
    check_heads(const __grid_constant__ struct sites a, const uint16_t *heads, uint16_t *counts)
{
    const struct place place = find_place(a);
    const struct sites_of_part &of = a.part[place.part];
    const uint32_t r = threadIdx.x;
    if (r >= ebb_piece_runs(of.atoms_each))
        return;
    const uint64_t tile = of.at.tile + r * of.at.tiles + place.tile;
    counts[tile] = (uint16_t)ebb_tile_words(heads[tile], ebb_tile_blocks(of.n, place.tile));
}

/* Header, the zeros between the parts, words and lists to their places. */
__global__ void __launch_bounds__(THREADS)
    finish(uint8_t *piece, const __grid_constant__ struct ebb_piece_layout l, const uint32_t *slots,
           const uint16_t *counts, const uint64_t *offsets, const uint64_t *total,
           struct found found)
{
    const uint64_t lists = ebb_piece_lists(&l, *total);
    const uint64_t miss_count = ebb_piece_within(found.count->misses, l.list_limit),
                   odd_count = ebb_piece_within(found.count->odd, l.list_limit),
                   image_count = ebb_piece_within(found.count->images, l.list_limit);
    const uint64_t first = (uint64_t)blockIdx.x * THREADS + threadIdx.x,
                   step = (uint64_t)gridDim.x * THREADS;
    uint32_t *words = (uint32_t *)(void *)(piece + l.words);
    const uint32_t lane = threadIdx.x % 32;
    for (uint64_t tile = first / 32; tile < l.tiles; tile += step / 32) {
        const uint32_t count = counts[tile];
        for (uint32_t i = lane; i < count; i += 32)
            words[offsets[tile] + i] = slots[tile * EBB_TILE_WORDS + i];
    }
    uint4 *to = (uint4 *)(void *)(piece + lists);
    const uint4 *misses = (const uint4 *)(const void *)found.misses,
                *odd = (const uint4 *)(const void *)found.odd;
    for (uint64_t i = first; i < miss_count; i += step)
        to[i] = misses[i];
    to += miss_count;
    for (uint64_t i = first; i < odd_count; i += step)
        to[i] = odd[i];
    uint32_t *images = (uint32_t *)(void *)(to + odd_count);
    for (uint64_t i = first; i < image_count; i += step)
        images[i] = found.images[i];
    if (blockIdx.x != 0)
        return;
    for (uint64_t i = sizeof(struct ebb_piece_header) + 2 * l.tiles + threadIdx.x; i < l.words;
         i += THREADS)
        piece[i] = 0;
    for (uint64_t i = l.words + 4 * *total + threadIdx.x; i < lists; i += THREADS)
        piece[i] = 0;
    if (threadIdx.x == 0) {
        struct ebb_piece_header *h = (struct ebb_piece_header *)(void *)piece;
        h->bytes = lists + 16 * (miss_count + odd_count) + 4 * image_count;
        h->words = *total;
        h->misses = found.count->misses;
        h->odd = found.count->odd;
        h->images = found.count->images;
        h->version = EBB_PIECE_VERSION;
    }
}

/* The lists of a piece, as far as they are there. */
struct lists {
    const uint4 *misses, *odd;
    const uint32_t *images;
    uint64_t miss_count, odd_count, image_count;
};

__device__ __forceinline__ struct lists lists_of(const uint8_t *piece, uint64_t piece_bytes,
                                                 const struct ebb_piece_layout &l)
{
    const struct ebb_piece_header *h = (const struct ebb_piece_header *)(const void *)piece;
    const uint64_t at = ebb_piece_lists(&l, ebb_piece_within(h->words, EBB_TILE_WORDS * l.tiles));
    const uint64_t room = at < piece_bytes ? piece_bytes - at : 0;
    struct lists r;
    r.misses = (const uint4 *)(const void *)(piece + at);
    r.miss_count = ebb_piece_within(h->misses, room / 16);
    r.odd = r.misses + r.miss_count;
    r.odd_count = ebb_piece_within(h->odd, room / 16 - r.miss_count);
    r.images = (const uint32_t *)(const void *)(r.odd + r.odd_count);
    r.image_count = ebb_piece_within(h->images, (room - 16 * (r.miss_count + r.odd_count)) / 4);
    return r;
}

/* Each atom has one correction at most, but for damaged lists: by atomics these too are added up,
 * while it is free which float stays. */
__device__ __forceinline__ void mend_number(int32_t *q, int32_t by, double quantum, float *x)
{
    const int32_t was = (int32_t)atomicAdd((uint32_t *)(void *)q, (uint32_t)by);
    atomicExch((uint32_t *)(void *)x,
               __float_as_uint(ebb_traj_dequantise(ebb_traj_add(was, by), quantum)));
}

__device__ __forceinline__ void mend_atom(const struct ebb_piece_miss &m, uint64_t atoms,
                                          uint64_t place, double quantum, int32_t *state,
                                          uint32_t stride, float *xyz)
{
    if (m.atom >= atoms)
        return;
    int32_t *q = state + (uint32_t)state[place + m.atom];
    float *x = xyz + stride * (size_t)m.atom;
    mend_number(q, m.x, quantum, x);
    mend_number(q + EBB_TILE_NUMBERS, m.y, quantum, x + 1);
    mend_number(q + 2 * EBB_TILE_NUMBERS, m.z, quantum, x + 2);
}

__global__ void __launch_bounds__(THREADS)
    mend(const uint8_t *piece, uint64_t piece_bytes,
         const __grid_constant__ struct ebb_piece_layout l,
         const __grid_constant__ struct ebb_traj_box box, uint64_t atoms, double quantum,
         int32_t *state, uint32_t stride, float *xyz)
{
    const struct lists of = lists_of(piece, piece_bytes, l);
    const uint64_t first = (uint64_t)blockIdx.x * THREADS + threadIdx.x,
                   step = (uint64_t)gridDim.x * THREADS;
    for (uint64_t i = first; i < of.miss_count; i += step) {
        const uint4 v = of.misses[i];
        const struct ebb_piece_miss m = {v.x, (int32_t)v.y, (int32_t)v.z, (int32_t)v.w};
        mend_atom(m, atoms, l.place, quantum, state, stride, xyz);
    }
    for (uint64_t i = first; i < of.image_count; i += step)
        mend_atom(ebb_piece_image(&box, of.images[i]), atoms, l.place, quantum, state, stride, xyz);
}

/* Atoms that are on no lattice point. */
__global__ void __launch_bounds__(THREADS)
    put_odd(const uint8_t *piece, uint64_t piece_bytes,
            const __grid_constant__ struct ebb_piece_layout l, uint64_t atoms, uint32_t stride,
            float *xyz)
{
    const struct lists of = lists_of(piece, piece_bytes, l);
    for (uint64_t i = (uint64_t)blockIdx.x * THREADS + threadIdx.x; i < of.odd_count;
         i += (uint64_t)gridDim.x * THREADS) {
        const uint4 o = of.odd[i];
        if (o.x >= atoms)
            continue;
        uint32_t *to = (uint32_t *)(void *)(xyz + stride * (size_t)o.x);
        atomicExch(to, o.y);
        atomicExch(to + 1, o.z);
        atomicExch(to + 2, o.w);
    }
}

/* The workspace, part after part. */
struct workspace {
    uint32_t *slots;   /* the words of each tile */
    uint64_t *offsets; /* scan */
    uint16_t *counts;  /* of words */
    struct found found;
    size_t bytes;
};

struct workspace parts_of(void *at, const struct ebb_piece_layout *l)
{
    const uintptr_t base = (uintptr_t)at; /* 0 where only the size is asked */
    struct workspace w;
    size_t end = 4 * EBB_TILE_WORDS * l->tiles;
    w.slots = (uint32_t *)at;
    w.offsets = (uint64_t *)(base + end);
    end = ebb_piece_align(end + 8 * ebb_scan::words(l->tiles));
    w.counts = (uint16_t *)(base + end);
    end = ebb_piece_align(end + 2 * l->tiles);
    w.found.count = (struct counters *)(base + end);
    end += 16;
    w.found.misses = (struct ebb_piece_miss *)(base + end);
    end += l->list_limit * sizeof *w.found.misses;
    w.found.odd = (struct ebb_piece_odd *)(base + end);
    end += l->list_limit * sizeof *w.found.odd;
    w.found.images = (uint32_t *)(base + end);
    w.bytes = end + l->list_limit * sizeof *w.found.images;
    return w;
}

/* Returns the thread blocks: one for each tile of sites. */
uint32_t sites_of(const struct ebb_kernels_trajectory *plan,
                  const struct ebb_kernels_trajectory_frame *frame,
                  const struct ebb_piece_layout *l, struct sites *ret)
{
    uint32_t end = 0;
    ret->list_limit = l->list_limit;
    ret->quantum = plan->quantum;
    ret->inverse = 1.0 / plan->quantum;
    ret->before = frame->before;
    ret->stride = frame->stride == 0 ? 3 : frame->stride;
    const float none[9] = {0, 0, 0, 0, 0, 0, 0, 0, 0};
    ebb_traj_box_make(frame->inside ? frame->box : none, plan->quantum, &ret->box);
    ebb_traj_box_make(frame->box, plan->quantum, &ret->images);
    for (uint32_t p = 0; p < plan->parts; p++) {
        const struct ebb_kernels_trajectory_part *from = &plan->part[p];
        struct sites_of_part *to = &ret->part[p];
        struct ebb_traj_part part;
        struct ebb_traj_frame_context context;
        struct pass pass;
        part.type = from->atoms_each == 1 ? EBB_TRAJ_PART_FREE : EBB_TRAJ_PART_WATER;
        part.rigid.a2 = from->a2;
        part.rigid.b2 = from->b2;
        part.rigid.ab = from->ab;
        part.rigid.virtual_a = from->virtual_a;
        part.rigid.virtual_b = from->virtual_b;
        context.before = frame->before;
        context.weights.last = frame->weights[p].last;
        context.weights.mean = frame->weights[p].mean;
        context.weights.sphere = frame->weights[p].sphere;
        context.weights.circle = frame->weights[p].circle;
        pass.part = &part;
        pass.context = &context;
        ebb_traj_pass_weigh(&pass);
        to->at = l->part[p];
        to->rigid = part.rigid;
        to->n = from->sites;
        to->atoms_each = from->atoms_each;
        end += (uint32_t)l->part[p].tiles;
        to->end = end;
        to->last = pass.last;
        to->mean = pass.mean;
        to->sphere = pass.sphere;
        to->circle = pass.circle;
        to->inverse_a2 = pass.inverse_a2;
    }
    return end;
}

bool fits(const struct ebb_kernels_trajectory *plan,
          const struct ebb_kernels_trajectory_frame *frame, const void *state, const void *piece,
          const float *xyz, const void *workspace, size_t workspace_bytes)
{
    return ebb_piece_plan_fits(plan) && ebb_arguments_trajectory(plan, frame, state, piece, xyz) &&
           ebb_arguments_array(workspace, 1) &&
           workspace_bytes >= ebb_kernels_trajectory_workspace(plan);
}
} // namespace

size_t ebb_kernels_trajectory_state(const struct ebb_kernels_trajectory *plan)
{
    struct ebb_piece_layout l;
    ebb_piece_layout(plan, &l);
    return 4 * (size_t)l.state_words;
}

size_t ebb_kernels_trajectory_workspace(const struct ebb_kernels_trajectory *plan)
{
    struct ebb_piece_layout l;
    ebb_piece_layout(plan, &l);
    return parts_of(NULL, &l).bytes;
}

size_t ebb_kernels_trajectory_bound(const struct ebb_kernels_trajectory *plan)
{
    struct ebb_piece_layout l;
    ebb_piece_layout(plan, &l);
    return (size_t)ebb_piece_bound(&l);
}

int ebb_kernels_trajectory_pack(const struct ebb_kernels_trajectory *plan,
                                const struct ebb_kernels_trajectory_frame *frame, const float *xyz,
                                void *state, void *piece, void *workspace, size_t workspace_bytes,
                                void *stream)
{
    if (!fits(plan, frame, state, piece, xyz, workspace, workspace_bytes))
        return EBB_KERNELS_MISUSE;
    struct ebb_piece_layout l;
    ebb_piece_layout(plan, &l);
    const struct workspace w = parts_of(workspace, &l);
    uint16_t *heads = (uint16_t *)(void *)((uint8_t *)piece + sizeof(struct ebb_piece_header));
    struct sites sites;
    const uint32_t grid = sites_of(plan, frame, &l, &sites);
    cudaError_t rc = cudaMemsetAsync(w.found.count, 0, sizeof *w.found.count, (cudaStream_t)stream);
    if (rc != cudaSuccess)
        return -(int)rc;
    if (grid > 0)
        EBB_LAUNCH(pack_sites, grid, THREADS, stream, sites, xyz, (int32_t *)state, heads, w.counts,
                   w.slots, w.found);
    const uint64_t *total = ebb_scan::queue(w.counts, (size_t)l.tiles, w.offsets, stream);
    const uint64_t warps = l.tiles > l.list_limit / 128 ? l.tiles : l.list_limit / 128;
    EBB_LAUNCH(finish, ebb_grid(warps + 1, WARPS), THREADS, stream, (uint8_t *)piece, l, w.slots,
               w.counts, w.offsets, total, w.found);
    return ebb_launched();
}

int ebb_kernels_trajectory_unpack(const struct ebb_kernels_trajectory *plan,
                                  const struct ebb_kernels_trajectory_frame *frame,
                                  const void *piece, size_t piece_bytes, void *state, float *xyz,
                                  void *workspace, size_t workspace_bytes, void *stream)
{
    if (!fits(plan, frame, state, piece, xyz, workspace, workspace_bytes))
        return EBB_KERNELS_MISUSE;
    struct ebb_piece_layout l;
    ebb_piece_layout(plan, &l);
    if (piece_bytes < l.words)
        return EBB_KERNELS_MISUSE;
    struct sites sites;
    const uint32_t grid = sites_of(plan, frame, &l, &sites);
    if (grid == 0)
        return 0;
    const struct workspace w = parts_of(workspace, &l);
    const uint8_t *in = (const uint8_t *)piece;
    const uint16_t *heads = (const uint16_t *)(const void *)(in + sizeof(struct ebb_piece_header));
    const uint32_t *words = (const uint32_t *)(const void *)(in + l.words);
    EBB_LAUNCH(check_heads, grid, 32, stream, sites, heads, w.counts);
    ebb_scan::queue((const uint16_t *)w.counts, (size_t)l.tiles, w.offsets, stream);
    EBB_LAUNCH(unpack_sites, grid, THREADS, stream, sites, heads, w.offsets, words,
               (uint64_t)(piece_bytes - l.words) / 4, (int32_t *)state, xyz);
    const uint32_t lists_grid = ebb_grid(l.list_limit, 4 * THREADS);
    EBB_LAUNCH(mend, lists_grid, THREADS, stream, in, (uint64_t)piece_bytes, l, sites.images,
               plan->atoms, plan->quantum, (int32_t *)state, sites.stride, xyz);
    EBB_LAUNCH(put_odd, lists_grid, THREADS, stream, in, (uint64_t)piece_bytes, l, plan->atoms,
               sites.stride, xyz);
    return ebb_launched();
}
