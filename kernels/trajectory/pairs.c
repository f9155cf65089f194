/* Coordinates are gathered one by one; the arithmetic on them is compiled for each instruction
 * set. In floats: what is decided by it is the encoder's choice, and the same at each width. */
#include "kernels/trajectory/pairs.h"

#include <math.h>
#include <string.h>

#include "kernels/trajectory/model_pass.h"

#define WIDTH 1
#define TARGET
#include "kernels/trajectory/pairs_lanes.h"
#undef WIDTH
#undef TARGET
#if defined(__x86_64__)
#define WIDTH  8
#define TARGET EBB_TARGET_AVX2
#include "kernels/trajectory/pairs_lanes.h"
#undef WIDTH
#undef TARGET
#define WIDTH  16
#define TARGET EBB_TARGET_AVX512
#include "kernels/trajectory/pairs_lanes.h"
#undef WIDTH
#undef TARGET
#endif

static void measure(struct ebb_traj_pairs *p, const struct block *d, const struct ebb_traj_box *box)
{
#if defined(__x86_64__)
    enum ebb_cpu_level level = ebb_cpu_level();
    if (level >= EBB_CPU_AVX512) {
        measure16(p, d, box);
        return;
    }
    if (level >= EBB_CPU_AVX2) {
        measure8(p, d, box);
        return;
    }
#endif
    measure1(p, d, box);
}

void ebb_traj_near_before(const struct ebb_traj_row *r, uint32_t begin, uint32_t end,
                          const struct ebb_traj_box *box, uint32_t *ret)
{
#if defined(__x86_64__)
    enum ebb_cpu_level level = ebb_cpu_level();
    if (level >= EBB_CPU_AVX512) {
        near_before16(r, begin, end, box, ret);
        return;
    }
    if (level >= EBB_CPU_AVX2) {
        near_before8(r, begin, end, box, ret);
        return;
    }
#endif
    near_before1(r, begin, end, box, ret);
}

void ebb_traj_pairs_measure(struct ebb_traj_pairs *p, const struct ebb_traj_look *look,
                            unsigned frame)
{
    struct block d;
    const int32_t *q = look->frames[frame];
    for (unsigned j = 0; j < p->count; j++) {
        const int32_t *from = q + 3 * (size_t)p->from[j], *to = q + 3 * (size_t)p->to[j];
        d.x[j] = ebb_traj_sub(to[0], from[0]);
        d.y[j] = ebb_traj_sub(to[1], from[1]);
        d.z[j] = ebb_traj_sub(to[2], from[2]);
    }
    for (unsigned j = p->count; j % 16 != 0; j++)
        d.x[j] = d.y[j] = d.z[j] = 0;
    measure(p, &d, &look->boxes[frame]);
}

/* Sums over the frames, of distances seen from the first one: small numbers, so floats do. */
struct sums {
    float first[EBB_TRAJ_PAIRS], distance[EBB_TRAJ_PAIRS], square[EBB_TRAJ_PAIRS];
    float motion[EBB_TRAJ_PAIRS];
    float x[EBB_TRAJ_PAIRS], y[EBB_TRAJ_PAIRS], z[EBB_TRAJ_PAIRS]; /* of the frame before */
};

static void begin_sums(struct sums *s, const struct ebb_traj_pairs *p)
{
    memset(s, 0, sizeof *s);
    memcpy(s->first, p->distance, sizeof s->first);
    memcpy(s->x, p->x, sizeof s->x);
    memcpy(s->y, p->y, sizeof s->y);
    memcpy(s->z, p->z, sizeof s->z);
}

static void add_to_sums(struct sums *s, const struct ebb_traj_pairs *p)
{
    for (unsigned j = 0; j < p->count; j++) {
        const float d = p->distance[j] - s->first[j];
        const float x = p->x[j] - s->x[j], y = p->y[j] - s->y[j], z = p->z[j] - s->z[j];
        s->distance[j] += d;
        s->square[j] += d * d;
        s->motion[j] += x * x + y * y + z * z;
        s->x[j] = p->x[j];
        s->y[j] = p->y[j];
        s->z[j] = p->z[j];
    }
}

static void end_sums(const struct sums *s, unsigned count, unsigned frames,
                     struct ebb_traj_spread *ret)
{
    const float all = (float)frames, others = (float)(frames - 1);
    for (unsigned j = 0; j < count; j++) {
        const float mean = s->distance[j] / all;
        const float square = (s->square[j] - mean * s->distance[j]) / others;
        ret[j].mean = s->first[j] + mean;
        ret[j].deviation = sqrtf(square > 0 ? square : 0);
        ret[j].motion = sqrtf(s->motion[j] / (3 * others));
    }
}

void ebb_traj_pairs_spread(const struct ebb_traj_look *look, const uint32_t *from,
                           const uint32_t *to, size_t n, struct ebb_traj_spread *ret)
{
    struct ebb_traj_pairs p;
    struct sums sums;
    for (size_t i = 0; i < n; i += EBB_TRAJ_PAIRS) {
        p.count = (unsigned)(n - i < EBB_TRAJ_PAIRS ? n - i : EBB_TRAJ_PAIRS);
        memcpy(p.from, from + i, p.count * sizeof *from);
        memcpy(p.to, to + i, p.count * sizeof *to);
        for (unsigned f = 0; f < look->count; f++) {
            ebb_traj_pairs_measure(&p, look, f);
            if (f == 0)
                begin_sums(&sums, &p);
            else
                add_to_sums(&sums, &p);
        }
        end_sums(&sums, p.count, look->count, ret + i);
    }
}
