/* Contexts of rigid water. The arithmetic is in contexts_lanes.h. */
#include "kernels/trajectory/contexts.h"

#include <math.h>

#include "kernels/trajectory/model_pass.h"

/* Larger numbers count as this. */
#define LARGE (1u << 20)

struct context_pass {
    uint32_t n;
    const int32_t *last; /* of the frame before: second site, or third */
    const int32_t *a;    /* second site, now */
    const uint32_t *faces;
    uint32_t *numbers, *contexts;
    float sixth; /* of the radius */
    float circle, ab, inverse_a2;
};

#define WIDTH 1
#define TARGET
#include "kernels/trajectory/contexts_lanes.h"
#undef WIDTH
#undef TARGET
#if defined(__x86_64__)
#define WIDTH  8
#define TARGET EBB_TARGET_AVX2
#include "kernels/trajectory/contexts_lanes.h"
#undef WIDTH
#undef TARGET
#define WIDTH  16
#define TARGET EBB_TARGET_AVX512
#include "kernels/trajectory/contexts_lanes.h"
#undef WIDTH
#undef TARGET
#endif

static void run(const struct context_pass *s, enum ebb_traj_stream_kind kind)
{
    uint32_t i = 0;
#if defined(__x86_64__)
    enum ebb_cpu_level level = ebb_cpu_level();
    if (level >= EBB_CPU_AVX512)
        i = run16(s, kind, 0);
    else if (level >= EBB_CPU_AVX2)
        i = run8(s, kind, 0);
#endif
    (void)run1(s, kind, i);
}

unsigned ebb_traj_contexts(const struct ebb_traj_part *p, int kind)
{
    if (p->type == EBB_TRAJ_PART_CHAIN)
        return ebb_traj_part_numbers(p, kind) > 0 ? 4 : 1;
    if (p->type != EBB_TRAJ_PART_WATER)
        return 1;
    switch (kind) {
    case EBB_TRAJ_STREAM_SPHERE:
    case EBB_TRAJ_STREAM_CIRCLE:
        return 4;
    case EBB_TRAJ_STREAM_FACE:
    case EBB_TRAJ_STREAM_ARC:
        return 8;
    default:
        return 1;
    }
}

/* Means over the past are kept in 1/16, and move by an eighth of the way. */
void ebb_traj_contexts_of_past(const struct ebb_traj_part *p, int kind, uint32_t *contexts)
{
    const size_t n = ebb_traj_part_numbers(p, kind);
    const uint32_t *past = p->past[kind];
    uint64_t sum = 0;
    for (size_t i = 0; past != NULL && i < n; i++)
        sum += past[i];
    const uint32_t mean = n == 0 ? 0 : (uint32_t)(sum / n);
    for (size_t i = 0; i < n; i++)
        contexts[i] = past == NULL ? 0
                                   : (uint32_t)(2 * past[i] > mean) + (uint32_t)(past[i] > mean) +
                                         (uint32_t)(past[i] > 2 * mean);
}

bool ebb_traj_contexts_learn(struct ebb_traj_part *p, int kind, const uint32_t *numbers, bool first)
{
    const size_t n = ebb_traj_part_numbers(p, kind);
    if (p->past[kind] == NULL)
        p->past[kind] = calloc(n + 1, sizeof *p->past[kind]);
    uint32_t *past = p->past[kind];
    for (size_t i = 0; past != NULL && i < n; i++) {
        const uint32_t now = 16 * (numbers[i] < LARGE ? numbers[i] : LARGE);
        past[i] = first ? now : past[i] - past[i] / 8 + now / 8;
    }
    return past != NULL;
}

void ebb_traj_contexts_face(const struct ebb_traj_part *p, const int32_t *a,
                            struct ebb_traj_numbers *contexts)
{
    const struct context_pass s = {
        .n = p->n, .last = a, .contexts = contexts->of[EBB_TRAJ_STREAM_FACE]};
    run(&s, EBB_TRAJ_STREAM_FACE);
}

void ebb_traj_contexts_sphere(const struct ebb_traj_part *p, const int32_t *a,
                              struct ebb_traj_numbers *numbers, struct ebb_traj_numbers *contexts)
{
    const struct context_pass s = {.n = p->n,
                                   .last = a,
                                   .faces = numbers->of[EBB_TRAJ_STREAM_FACE],
                                   .numbers = numbers->of[EBB_TRAJ_STREAM_SPHERE],
                                   .contexts = contexts->of[EBB_TRAJ_STREAM_SPHERE],
                                   .sixth = sqrtf(p->rigid.a2) / 6.0f};
    run(&s, EBB_TRAJ_STREAM_SPHERE);
}

static struct context_pass third_site(const struct ebb_traj_part *p,
                                      const struct ebb_traj_weights *w, const int32_t *b)
{
    return (struct context_pass){.n = p->n,
                                 .last = b,
                                 .a = p->a,
                                 .sixth = sqrtf(p->rigid.b2) / 6.0f,
                                 .circle = (float)w->circle / 128.0f,
                                 .ab = p->rigid.ab,
                                 .inverse_a2 = 1.0f / p->rigid.a2};
}

void ebb_traj_contexts_arc(const struct ebb_traj_part *p, const struct ebb_traj_weights *w,
                           const int32_t *b, struct ebb_traj_numbers *contexts)
{
    struct context_pass s = third_site(p, w, b);
    s.contexts = contexts->of[EBB_TRAJ_STREAM_ARC];
    run(&s, EBB_TRAJ_STREAM_ARC);
}

void ebb_traj_contexts_circle(const struct ebb_traj_part *p, const struct ebb_traj_weights *w,
                              const int32_t *b, struct ebb_traj_numbers *numbers,
                              struct ebb_traj_numbers *contexts)
{
    struct context_pass s = third_site(p, w, b);
    s.faces = numbers->of[EBB_TRAJ_STREAM_ARC];
    s.numbers = numbers->of[EBB_TRAJ_STREAM_CIRCLE];
    s.contexts = contexts->of[EBB_TRAJ_STREAM_CIRCLE];
    run(&s, EBB_TRAJ_STREAM_CIRCLE);
}
