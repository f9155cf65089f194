/* Quantisation. A double holds x / quantum and its rounding exactly enough: |q| < 2^29, so the
 * error of the product is below 2^-23 of a lattice spacing, less than the half unit in the last
 * place that writing q * quantum as a float costs anyway. So the bound is quantum / 2 plus one such
 * unit. */
#include "kernels/trajectory/lattice.h"

#include "kernels/trajectory/levels.h"

bool ebb_traj_on_lattice(double x, double inverse)
{
    double t = x * inverse;
    return t > -EBB_TRAJ_LATTICE_MAX && t < EBB_TRAJ_LATTICE_MAX;
}

#define QUANTISE_BODY(x, n, inverse, q, ret_odd)                                                   \
    do {                                                                                           \
        uint32_t odd = 0;                                                                          \
        for (size_t i = 0; i < (n); i++) {                                                         \
            int in;                                                                                \
            (q)[i] = ebb_traj_quantise((double)(x)[i], inverse, &in);                              \
            odd += (uint32_t)!in;                                                                  \
        }                                                                                          \
        *(ret_odd) = odd;                                                                          \
    } while (0)

static inline EBB_BODY void quantise_f32_body(const float *x, size_t n, double inverse, int32_t *q,
                                              uint32_t *ret_odd)
{
    QUANTISE_BODY(x, n, inverse, q, ret_odd);
}
EBB_LEVELS(quantise_f32, (const float *x, size_t n, double inverse, int32_t *q, uint32_t *ret_odd),
           (x, n, inverse, q, ret_odd))

static inline EBB_BODY void quantise_f64_body(const double *x, size_t n, double inverse, int32_t *q,
                                              uint32_t *ret_odd)
{
    QUANTISE_BODY(x, n, inverse, q, ret_odd);
}
EBB_LEVELS(quantise_f64, (const double *x, size_t n, double inverse, int32_t *q, uint32_t *ret_odd),
           (x, n, inverse, q, ret_odd))

static inline EBB_BODY void dequantise_f32_body(const int32_t *q, size_t n, double quantum,
                                                float *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = ebb_traj_dequantise(q[i], quantum);
}
EBB_LEVELS(dequantise_f32, (const int32_t *q, size_t n, double quantum, float *x),
           (q, n, quantum, x))

static inline EBB_BODY void dequantise_f64_body(const int32_t *q, size_t n, double quantum,
                                                double *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (double)q[i] * quantum;
}
EBB_LEVELS(dequantise_f64, (const int32_t *q, size_t n, double quantum, double *x),
           (q, n, quantum, x))

static inline EBB_BODY void count_outside_body(const int32_t *q, size_t n,
                                               const struct ebb_traj_box *b, uint32_t *ret)
{
    const uint32_t xx = (uint32_t)b->xx, yy = (uint32_t)b->yy, zz = (uint32_t)b->zz;
    uint32_t outside = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t x = (uint32_t)q[3 * i], y = (uint32_t)q[3 * i + 1],
                       z = (uint32_t)q[3 * i + 2];
        outside += (uint32_t)((x >= xx) | (y >= yy) | (z >= zz));
    }
    *ret = outside;
}
EBB_LEVELS(count_outside, (const int32_t *q, size_t n, const struct ebb_traj_box *b, uint32_t *ret),
           (q, n, b, ret))
