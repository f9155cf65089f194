/* Frames of a trajectory to pieces and back (kernels/trajectory/pieces_layout.h has the layout, the
 * arithmetic is that of the CPU, kernels/trajectory/model_lanes.h, a thread for each site).
 *
 *     pack_sites    quantise, predict, what is left as numbers; the state moves on by a frame
 *     widths        a warp for each 32 numbers: bits of the largest
 *     scan          where each block's planes begin
 *     planes        32 numbers of w bits become w words: a 32 by 32 transposition in a warp
 *     finish        the header, and the lists of corrections behind the planes
 *
 *     widths, scan, numbers, unpack_sites, mend, put_odd: the same backwards
 *
 * Corrections are few; they are appended by an atomic counter, so their order is free. */
#define EBB_TRAJ_BLOCK 1 /* a thread has one site, in registers */
#include "kernels/cuda/scan.h"
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
enum { THREADS = 256, WARPS = THREADS / 32, FULL = 0xffffffffu };

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
    uint32_t before, parts;
    uint64_t q, list_limit;
    double quantum, inverse;
};

/* What the arithmetic takes, each a struct of its own so that all of it stays in registers. */
#define SITE(a, state, words)                                                                      \
    struct ebb_traj_part part;                                                                     \
    struct ebb_traj_frame_context context;                                                         \
    struct ebb_traj_numbers numbers;                                                               \
    struct pass pass;                                                                              \
    const uint32_t i = find_site(a, state, words, &part, &context, &numbers);                      \
    pass.part = &part;                                                                             \
    pass.context = &context;                                                                       \
    pass.numbers = &numbers;                                                                       \
    weigh(a, &pass)

__device__ __forceinline__ uint32_t part_of_block(const struct sites &a)
{
    uint32_t p = 0;
    while (blockIdx.x >= a.part[p].end)
        p++;
    return p;
}

/* The place of this thread's site in its part; from part->n on there is none. */
__device__ __forceinline__ uint32_t find_site(const struct sites &a, int32_t *state,
                                              uint32_t *words, struct ebb_traj_part *part,
                                              struct ebb_traj_frame_context *context,
                                              struct ebb_traj_numbers *numbers)
{
    const uint32_t p = part_of_block(a);
    const struct sites_of_part &of = a.part[p];
    part->n = of.n;
    part->atoms_each = of.atoms_each;
    part->first = (uint32_t *)(void *)(state + of.at.first);
    part->rigid = of.rigid;
    part->last = state + of.at.last;
    part->behind = state + of.at.behind;
    part->a = state + of.at.a;
    part->b = state + of.at.b;
    context->box = &a.box;
    context->before = a.before;
#pragma unroll
    for (unsigned k = 0; k < EBB_PIECE_STREAMS; k++)
        numbers->of[k] = words + of.at.number[k];
    return (blockIdx.x - (p == 0 ? 0 : a.part[p - 1].end)) * THREADS + threadIdx.x;
}

__device__ __forceinline__ void weigh(const struct sites &a, struct pass *pass)
{
    const struct sites_of_part &of = a.part[part_of_block(a)];
    pass->last = of.last;
    pass->mean = of.mean;
    pass->sphere = of.sphere;
    pass->circle = of.circle;
    pass->inverse_a2 = of.inverse_a2;
}

/* The last block of each stream is filled up by the threads beyond the last site. */
__device__ __forceinline__ void pad_streams(const struct ebb_traj_part *p,
                                            const struct ebb_traj_numbers *numbers, uint32_t beyond)
{
    const struct ebb_kernels_trajectory_part sizes = {p->n, p->atoms_each, 0, 0, 0, 0, 0};
#pragma unroll
    for (unsigned k = 0; k < EBB_PIECE_STREAMS; k++) {
        const uint64_t count = ebb_piece_numbers(&sizes, k);
        if (count + beyond < (count + 31) / 32 * 32)
            numbers->of[k][count + beyond] = 0;
    }
}

__device__ __forceinline__ void load_block(const int32_t *q, struct block *ret)
{
    ret->x[0] = q[0];
    ret->y[0] = q[1];
    ret->z[0] = q[2];
}

__device__ __forceinline__ void store_block(const struct block &b, int32_t *q)
{
    q[0] = b.x[0];
    q[1] = b.y[0];
    q[2] = b.z[0];
}

/* Lattice numbers of an atom; coordinates off the lattice stand where the frame before has them. */
__device__ __forceinline__ void quantise(const struct sites &a, const float *xyz, uint32_t atom,
                                         const int32_t *q, const struct found &found,
                                         struct block *ret)
{
    const float *x = xyz + 3 * (size_t)atom;
    const float f[3] = {x[0], x[1], x[2]};
    int in[3];
    ret->x[0] = ebb_traj_quantise((double)f[0], a.inverse, &in[0]);
    ret->y[0] = ebb_traj_quantise((double)f[1], a.inverse, &in[1]);
    ret->z[0] = ebb_traj_quantise((double)f[2], a.inverse, &in[2]);
    if (in[0] & in[1] & in[2])
        return;
    ret->x[0] = in[0] ? ret->x[0] : q[0];
    ret->y[0] = in[1] ? ret->y[0] : q[1];
    ret->z[0] = in[2] ? ret->z[0] : q[2];
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

__global__ void __launch_bounds__(THREADS)
    pack_sites(const __grid_constant__ struct sites a, const float *xyz, int32_t *state,
               uint32_t *words, struct found found)
{
    SITE(a, state, words);
    if (i >= part.n) {
        pad_streams(&part, &numbers, i - part.n);
        return;
    }
    const uint32_t atom = part.first[i];
    int32_t *q = state + a.q + 3 * (size_t)atom;
    struct block truth, before, site, model;
    load_block(q, &before);
    quantise(a, xyz, atom, q, found, &truth);
    site_encode1(&pass, i, 0, &truth, &before, &site);
    store_block(truth, q);
    compare(a, site, truth, atom, found);
    if (part.atoms_each == 1)
        return;
    quantise(a, xyz, atom + 1, q + 3, found, &truth);
    sphere_encode1(&pass, i, 0, &site, &truth, &model);
    store_block(truth, q + 3);
    compare(a, model, truth, atom + 1, found);
    quantise(a, xyz, atom + 2, q + 6, found, &truth);
    circle_encode1(&pass, i, 0, &site, &truth, &model);
    store_block(truth, q + 6);
    compare(a, model, truth, atom + 2, found);
    if (part.atoms_each == 3)
        return;
    quantise(a, xyz, atom + 3, q + 9, found, &truth);
    virtual_encode1(&pass, i, 0, &site, &truth, &model);
    store_block(truth, q + 9);
    compare(a, model, truth, atom + 3, found);
}

__device__ __forceinline__ void put_atom(const struct block &b, double quantum, uint32_t atom,
                                         int32_t *q, float *xyz)
{
    float *x = xyz + 3 * (size_t)atom;
    store_block(b, q);
    x[0] = ebb_traj_dequantise(b.x[0], quantum);
    x[1] = ebb_traj_dequantise(b.y[0], quantum);
    x[2] = ebb_traj_dequantise(b.z[0], quantum);
}

__global__ void __launch_bounds__(THREADS) unpack_sites(const __grid_constant__ struct sites a,
                                                        uint32_t *words, int32_t *state, float *xyz)
{
    SITE(a, state, words);
    if (i >= part.n)
        return;
    const uint32_t atom = part.first[i];
    int32_t *q = state + a.q + 3 * (size_t)atom;
    struct block before, site, model;
    load_block(q, &before);
    site_decode1(&pass, i, 0, &before, &site);
    put_atom(site, a.quantum, atom, q, xyz);
    if (part.atoms_each == 1)
        return;
    sphere_decode1(&pass, i, 0, &site, &model);
    put_atom(model, a.quantum, atom + 1, q + 3, xyz);
    circle_decode1(&pass, i, 0, &site, &model);
    put_atom(model, a.quantum, atom + 2, q + 6, xyz);
    if (part.atoms_each == 3)
        return;
    virtual_decode1(&pass, i, 0, &site, &model);
    put_atom(model, a.quantum, atom + 3, q + 9, xyz);
}

/* Bit b of lane i's word becomes bit i of lane b's. */
__device__ __forceinline__ uint32_t transposed(uint32_t word, uint32_t lane)
{
    uint32_t mask = 0x0000ffffu;
    for (uint32_t by = 16; by > 0; by /= 2, mask ^= mask << by) {
        const uint32_t other = __shfl_xor_sync(FULL, word, (int)by);
        word = (lane & by) == 0 ? (word & mask) | (other & mask) << by
                                : (word & ~mask) | (other >> by & mask);
    }
    return word;
}

__global__ void __launch_bounds__(THREADS)
    widths_of_blocks(const uint32_t *numbers, uint64_t blocks, uint8_t *widths)
{
    const uint64_t block = (uint64_t)blockIdx.x * WARPS + threadIdx.x / 32;
    const uint32_t lane = threadIdx.x % 32;
    uint32_t any = block < blocks ? numbers[block * 32 + lane] : 0;
    for (int with = 16; with > 0; with /= 2)
        any |= __shfl_xor_sync(FULL, any, with);
    if (lane == 0 && block < blocks)
        widths[block] = (uint8_t)(32 - __clz((int)any));
}

__global__ void __launch_bounds__(THREADS)
    planes_of_blocks(const uint32_t *numbers, uint64_t blocks, const uint8_t *widths,
                     const uint64_t *offsets, uint32_t *planes)
{
    const uint64_t block = (uint64_t)blockIdx.x * WARPS + threadIdx.x / 32;
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t word = transposed(block < blocks ? numbers[block * 32 + lane] : 0, lane);
    if (block < blocks && lane < widths[block])
        planes[offsets[block] + lane] = word;
}

/* Widths as they count: a damaged one tells of no planes that are not there. */
__global__ void __launch_bounds__(THREADS)
    check_widths(const uint8_t *widths, uint64_t blocks, uint8_t *ret)
{
    const uint64_t block = (uint64_t)blockIdx.x * THREADS + threadIdx.x;
    if (block < blocks)
        ret[block] = widths[block] <= 32 ? widths[block] : 0;
}

__global__ void __launch_bounds__(THREADS)
    numbers_of_blocks(const uint32_t *planes, uint64_t plane_words, uint64_t blocks,
                      const uint8_t *widths, const uint64_t *offsets, uint32_t *numbers)
{
    const uint64_t block = (uint64_t)blockIdx.x * WARPS + threadIdx.x / 32;
    const uint32_t lane = threadIdx.x % 32;
    uint32_t word = 0;
    if (block < blocks && lane < widths[block] && offsets[block] + lane < plane_words)
        word = planes[offsets[block] + lane];
    word = transposed(word, lane);
    if (block < blocks)
        numbers[block * 32 + lane] = word;
}

/* Header, the zeros between the parts, the lists. */
__global__ void __launch_bounds__(THREADS)
    finish(uint8_t *piece, const __grid_constant__ struct ebb_piece_layout l,
           const uint64_t *plane_words, struct found found)
{
    const uint64_t lists = ebb_piece_lists(&l, *plane_words);
    const uint64_t miss_count = ebb_piece_within(found.count->misses, l.list_limit),
                   odd_count = ebb_piece_within(found.count->odd, l.list_limit),
                   image_count = ebb_piece_within(found.count->images, l.list_limit);
    const uint64_t first = (uint64_t)blockIdx.x * THREADS + threadIdx.x,
                   step = (uint64_t)gridDim.x * THREADS;
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
    for (uint64_t i = sizeof(struct ebb_piece_header) + l.blocks + threadIdx.x; i < l.planes;
         i += THREADS)
        piece[i] = 0;
    for (uint64_t i = l.planes + 4 * *plane_words + threadIdx.x; i < lists; i += THREADS)
        piece[i] = 0;
    if (threadIdx.x == 0) {
        struct ebb_piece_header *h = (struct ebb_piece_header *)(void *)piece;
        h->bytes = lists + 16 * (miss_count + odd_count) + 4 * image_count;
        h->plane_words = *plane_words;
        h->misses = found.count->misses;
        h->odd = found.count->odd;
        h->images = found.count->images;
        h->zero = 0;
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
    const uint64_t at = ebb_piece_lists(&l, ebb_piece_within(h->plane_words, 32 * l.blocks));
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

__device__ __forceinline__ void mend_atom(const struct ebb_piece_miss &m, uint64_t atoms,
                                          double quantum, int32_t *q, float *xyz)
{
    if (m.atom >= atoms)
        return;
    struct block b;
    load_block(q + 3 * (size_t)m.atom, &b);
    b.x[0] = ebb_traj_add(b.x[0], m.x);
    b.y[0] = ebb_traj_add(b.y[0], m.y);
    b.z[0] = ebb_traj_add(b.z[0], m.z);
    put_atom(b, quantum, m.atom, q + 3 * (size_t)m.atom, xyz);
}

/* Corrections; each atom has one at most, but for damaged lists, where any of them may win. */
__global__ void __launch_bounds__(THREADS)
    mend(const uint8_t *piece, uint64_t piece_bytes,
         const __grid_constant__ struct ebb_piece_layout l,
         const __grid_constant__ struct ebb_traj_box box, uint64_t atoms, double quantum,
         int32_t *q, float *xyz)
{
    const struct lists of = lists_of(piece, piece_bytes, l);
    const uint64_t first = (uint64_t)blockIdx.x * THREADS + threadIdx.x,
                   step = (uint64_t)gridDim.x * THREADS;
    for (uint64_t i = first; i < of.miss_count; i += step) {
        const uint4 v = of.misses[i];
        const struct ebb_piece_miss m = {v.x, (int32_t)v.y, (int32_t)v.z, (int32_t)v.w};
        mend_atom(m, atoms, quantum, q, xyz);
    }
    for (uint64_t i = first; i < of.image_count; i += step)
        mend_atom(ebb_piece_image(&box, of.images[i]), atoms, quantum, q, xyz);
}

/* Atoms that are on no lattice point. */
__global__ void __launch_bounds__(THREADS)
    put_odd(const uint8_t *piece, uint64_t piece_bytes,
            const __grid_constant__ struct ebb_piece_layout l, uint64_t atoms, float *xyz)
{
    const struct lists of = lists_of(piece, piece_bytes, l);
    for (uint64_t i = (uint64_t)blockIdx.x * THREADS + threadIdx.x; i < of.odd_count;
         i += (uint64_t)gridDim.x * THREADS) {
        const uint4 o = of.odd[i];
        if (o.x >= atoms)
            continue;
        xyz[3 * (size_t)o.x] = __uint_as_float(o.y);
        xyz[3 * (size_t)o.x + 1] = __uint_as_float(o.z);
        xyz[3 * (size_t)o.x + 2] = __uint_as_float(o.w);
    }
}

/* The workspace, part after part. */
struct workspace {
    uint32_t *numbers;
    uint64_t *offsets; /* scan */
    uint8_t *widths;
    struct found found;
    size_t bytes;
};

struct workspace parts_of(void *at, const struct ebb_piece_layout *l)
{
    const uintptr_t base = (uintptr_t)at; /* 0 where only the size is asked */
    struct workspace w;
    size_t end = 128 * l->blocks;
    w.numbers = (uint32_t *)at;
    w.offsets = (uint64_t *)(base + end);
    end = ebb_piece_align(end + 8 * ebb_scan::words(l->blocks));
    w.widths = (uint8_t *)(base + end);
    end = ebb_piece_align(end + l->blocks);
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

/* `beyond`: threads that each part has past its sites. Returns the thread blocks. */
uint32_t sites_of(const struct ebb_kernels_trajectory *plan,
                  const struct ebb_kernels_trajectory_frame *frame,
                  const struct ebb_piece_layout *l, uint32_t beyond, struct sites *ret)
{
    uint32_t end = 0;
    ret->q = l->q;
    ret->list_limit = l->list_limit;
    ret->quantum = plan->quantum;
    ret->inverse = 1.0 / plan->quantum;
    ret->before = frame->before;
    ret->parts = plan->parts;
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
        end += ebb_grid(from->sites + beyond, THREADS);
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
    return ebb_piece_plan_fits(plan) && frame->before >= 1 &&
           (((uintptr_t)state | (uintptr_t)piece | (uintptr_t)workspace) & 15) == 0 &&
           ((uintptr_t)xyz & 3) == 0 && workspace_bytes >= ebb_kernels_trajectory_workspace(plan);
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
    uint8_t *out = (uint8_t *)piece, *widths = out + sizeof(struct ebb_piece_header);
    struct sites sites;
    const uint32_t grid = sites_of(plan, frame, &l, 31, &sites);
    cudaError_t rc = cudaMemsetAsync(w.found.count, 0, sizeof *w.found.count, (cudaStream_t)stream);
    if (rc != cudaSuccess)
        return -(int)rc;
    if (l.blocks > 0) {
        EBB_LAUNCH(pack_sites, grid, THREADS, stream, sites, xyz, (int32_t *)state, w.numbers,
                   w.found);
        EBB_LAUNCH(widths_of_blocks, ebb_grid(l.blocks, WARPS), THREADS, stream, w.numbers,
                   l.blocks, widths);
    }
    const uint64_t *total = ebb_scan::queue(widths, (size_t)l.blocks, w.offsets, stream);
    if (l.blocks > 0)
        EBB_LAUNCH(planes_of_blocks, ebb_grid(l.blocks, WARPS), THREADS, stream, w.numbers,
                   l.blocks, widths, w.offsets, (uint32_t *)(void *)(out + l.planes));
    EBB_LAUNCH(finish, ebb_grid(l.list_limit, 4 * THREADS), THREADS, stream, out, l, total,
               w.found);
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
    if (piece_bytes < l.planes)
        return EBB_KERNELS_MISUSE;
    if (l.blocks == 0)
        return 0;
    const struct workspace w = parts_of(workspace, &l);
    const uint8_t *in = (const uint8_t *)piece;
    struct sites sites;
    const uint32_t grid = sites_of(plan, frame, &l, 0, &sites);
    EBB_LAUNCH(check_widths, ebb_grid(l.blocks, THREADS), THREADS, stream,
               in + sizeof(struct ebb_piece_header), l.blocks, w.widths);
    ebb_scan::queue((const uint8_t *)w.widths, (size_t)l.blocks, w.offsets, stream);
    EBB_LAUNCH(numbers_of_blocks, ebb_grid(l.blocks, WARPS), THREADS, stream,
               (const uint32_t *)(const void *)(in + l.planes),
               (uint64_t)(piece_bytes - l.planes) / 4, l.blocks, w.widths, w.offsets, w.numbers);
    EBB_LAUNCH(unpack_sites, grid, THREADS, stream, sites, w.numbers, (int32_t *)state, xyz);
    const uint32_t lists_grid = ebb_grid(l.list_limit, 4 * THREADS);
    EBB_LAUNCH(mend, lists_grid, THREADS, stream, in, (uint64_t)piece_bytes, l, sites.images,
               plan->atoms, plan->quantum, (int32_t *)state + l.q, xyz);
    EBB_LAUNCH(put_odd, lists_grid, THREADS, stream, in, (uint64_t)piece_bytes, l, plan->atoms,
               xyz);
    return ebb_launched();
}
