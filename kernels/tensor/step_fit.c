/* What training did to an array since its base, found: a share of it that decayed, and a product of
 * few rows and columns, since sums of gradients are of low rank nearly (Zhao et al., GaLore, 2024).
 *
 *     element ~ keep * base + 2^exponent * (u_1 v_1 + ... + u_rank v_rank)
 *
 * The rank-16 part is looked for by subspace iteration (Halko, Martinsson and Tropp, SIAM Review
 * 53, 2011): twice on a part of the rows, once on all. u and v are rounded to whole numbers that
 * are as coarse as they may be, and as many are kept as pay for themselves. All sums are in an
 * order that is the same for every instruction set, so that the bytes are. */
#include <math.h>
#include <stdlib.h>

#include "kernels/cpu.h"
#include "kernels/tensor/step.h"
#include "kernels/tensor/step_float.h"

#define LANES EBB_STEP_RANK
#define GROUP 8 /* rows that go together */

/* One in so many may be out of all proportion. */
#define FEW ((size_t)64)

#define SAMPLED_ROWS    ((size_t)512)
#define DECAY_ROWS      ((size_t)128)
#define SWEEPS          4
#define SAMPLED_COLUMNS ((size_t)256)

/* A group of rows' differences from what the base explains, in units in which they are about 1. */
struct rows {
    const struct ebb_tensor_array *a;
    float keep, unit, limit; /* larger ones are taken as none: they are not of low rank */
    size_t padded;
    float *d;     /* GROUP x padded */
    uint8_t *raw; /* room for a row of data and one of base */
};

INLINE void difference_any(const uint8_t *data, const uint8_t *base, size_t n, float keep,
                           float unit, float limit, enum ebb_dtype dtype, float *restrict d)
{
    size_t size = step_width(dtype) / 8;
    for (size_t j = 0; j < n; j++) {
        float x = step_to_float(step_load(data + j * size, dtype), dtype);
        float y = step_to_float(step_load(base + j * size, dtype), dtype);
        float difference = (x - y * keep) * unit;
        d[j] = __builtin_fabsf(difference) <= limit ? difference : 0;
    }
}

INLINE void difference_all(const uint8_t *data, const uint8_t *base, size_t n, const struct rows *r,
                           float *d)
{
    enum ebb_dtype dtype = r->a->dtype;
    if (dtype == EBB_DTYPE_F32)
        difference_any(data, base, n, r->keep, r->unit, r->limit, EBB_DTYPE_F32, d);
    else if (dtype == EBB_DTYPE_BF16)
        difference_any(data, base, n, r->keep, r->unit, r->limit, EBB_DTYPE_BF16, d);
    else
        difference_any(data, base, n, r->keep, r->unit, r->limit, EBB_DTYPE_F16, d);
}

/* y[g] = sum over j of d[g][j] v[j] */
INLINE void project_any(const float *d, size_t padded, const ebb_v16 *v, size_t columns, ebb_v16 *y)
{
    ebb_v16 sum[GROUP] = {{0}};
    for (size_t j = 0; j < columns; j++)
        for (unsigned g = 0; g < GROUP; g++)
            sum[g] += d[g * padded + j] * v[j];
    for (unsigned g = 0; g < GROUP; g++)
        y[g] = sum[g];
}

/* z[j] += sum over g of d[g][j] y[g] */
INLINE void gather_any(const float *d, size_t padded, const ebb_v16 *y, size_t columns, ebb_v16 *z)
{
    ebb_v16 row[GROUP];
    for (unsigned g = 0; g < GROUP; g++)
        row[g] = y[g];
    for (size_t j = 0; j < columns; j++) {
        ebb_v16 even = d[j] * row[0], odd = d[padded + j] * row[1];
        for (unsigned g = 2; g < GROUP; g += 2) {
            even += d[g * padded + j] * row[g];
            odd += d[(g + 1) * padded + j] * row[g + 1];
        }
        z[j] += even + odd;
    }
}

/* Squares, lane by lane. */
INLINE void energy_any(const float *d, size_t n, ebb_v16 *sum)
{
    for (size_t j = 0; j < n; j += LANES) {
        ebb_v16 x = *(const ebb_v16_anywhere *)(d + j);
        *sum += x * x;
    }
}

/* Sums of products of the lanes of n vectors. */
INLINE void gram_any(const ebb_v16 *x, size_t n, ebb_v16 ret[LANES])
{
    for (unsigned k = 0; k < LANES; k++)
        ret[k] = (ebb_v16){0};
    for (size_t i = 0; i < n; i++) {
        ebb_v16 here = x[i];
        for (unsigned k = 0; k < LANES; k++)
            ret[k] += here[k] * here;
    }
}

/* Each of n vectors times a matrix. */
INLINE void multiply_any(ebb_v16 *x, size_t n, const ebb_v16 m[LANES])
{
    for (size_t i = 0; i < n; i++) {
        ebb_v16 here = x[i], sum = {0};
        for (unsigned k = 0; k < LANES; k++)
            sum += here[k] * m[k];
        x[i] = sum;
    }
}

#define DEFINE_TARGET(suffix, target)                                                              \
    target static void gram_##suffix(const ebb_v16 *x, size_t n, ebb_v16 *ret)                     \
    {                                                                                              \
        gram_any(x, n, ret);                                                                       \
    }                                                                                              \
    target static void multiply_##suffix(ebb_v16 *x, size_t n, const ebb_v16 *m)                   \
    {                                                                                              \
        multiply_any(x, n, m);                                                                     \
    }                                                                                              \
    target static void difference_##suffix(const uint8_t *data, const uint8_t *base, size_t n,     \
                                           const struct rows *r, float *d)                         \
    {                                                                                              \
        difference_all(data, base, n, r, d);                                                       \
    }                                                                                              \
    target static void project_##suffix(const float *d, size_t padded, const ebb_v16 *v,           \
                                        size_t columns, ebb_v16 *y)                                \
    {                                                                                              \
        project_any(d, padded, v, columns, y);                                                     \
    }                                                                                              \
    target static void gather_##suffix(const float *d, size_t padded, const ebb_v16 *y,            \
                                       size_t columns, ebb_v16 *z)                                 \
    {                                                                                              \
        gather_any(d, padded, y, columns, z);                                                      \
    }                                                                                              \
    target static void energy_##suffix(const float *d, size_t n, ebb_v16 *sum)                     \
    {                                                                                              \
        energy_any(d, n, sum);                                                                     \
    }

DEFINE_TARGET(reference, )
#if defined(__x86_64__)
DEFINE_TARGET(avx2, EBB_TARGET_AVX2)
DEFINE_TARGET(avx512, EBB_TARGET_AVX512)
#endif

static const struct routines {
    void (*difference)(const uint8_t *, const uint8_t *, size_t, const struct rows *, float *);
    void (*project)(const float *, size_t, const ebb_v16 *, size_t, ebb_v16 *);
    void (*gather)(const float *, size_t, const ebb_v16 *, size_t, ebb_v16 *);
    void (*energy)(const float *, size_t, ebb_v16 *);
    void (*gram)(const ebb_v16 *, size_t, ebb_v16 *);
    void (*multiply)(ebb_v16 *, size_t, const ebb_v16 *);
} routines[] = {
    {difference_reference, project_reference, gather_reference, energy_reference, gram_reference,
     multiply_reference},
#if defined(__x86_64__)
    {difference_avx2, project_avx2, gather_avx2, energy_avx2, gram_avx2, multiply_avx2},
    {difference_avx512, project_avx512, gather_avx512, energy_avx512, gram_avx512, multiply_avx512},
#endif
};

/* The group of rows from `first` on, `step` apart; those past the last are zeros. */
static void load_group(const struct rows *r, size_t first, size_t step, size_t rows)
{
    const struct ebb_tensor_array *a = r->a;
    size_t columns = a->columns, bytes = columns * a->stride;
    for (unsigned g = 0; g < GROUP; g++) {
        size_t row = first + g * step;
        float *d = r->d + g * r->padded;
        if (row >= rows) {
            memset(d, 0, r->padded * sizeof *d);
            continue;
        }
        const uint8_t *data = ebb_tensor_chunk(a, a->data, row * columns, columns, r->raw);
        const uint8_t *base = ebb_tensor_chunk(a, a->base, row * columns, columns, r->raw + bytes);
        routines[ebb_cpu_level()].difference(data, base, columns, r, d);
    }
}

/* ---- 16 x 16 ---- */

typedef double square[LANES][LANES];

static void gram(const ebb_v16 *x, size_t n, square ret)
{
    ebb_v16 sum[LANES];
    routines[ebb_cpu_level()].gram(x, n, sum);
    for (unsigned k = 0; k < LANES; k++)
        for (unsigned l = 0; l < LANES; l++)
            ret[k][l] = (double)sum[k][l];
}

static void multiply(ebb_v16 *x, size_t n, square m)
{
    ebb_v16 rows[LANES];
    for (unsigned k = 0; k < LANES; k++)
        for (unsigned l = 0; l < LANES; l++)
            rows[k][l] = (float)m[k][l];
    routines[ebb_cpu_level()].multiply(x, n, rows);
}

/* The inverse of the upper factor of Cholesky's; directions that hold next to nothing are left out.
 */
static void inverse_factor(square g, square ret)
{
    square l = {{0}};
    double trace = 0;
    for (unsigned k = 0; k < LANES; k++)
        trace += g[k][k];
    for (unsigned k = 0; k < LANES; k++) {
        double pivot = g[k][k];
        for (unsigned m = 0; m < k; m++)
            pivot -= l[k][m] * l[k][m];
        l[k][k] = pivot > 1e-6 * trace ? sqrt(pivot) : 0;
        for (unsigned i = k + 1; i < LANES; i++) {
            double sum = g[i][k];
            for (unsigned m = 0; m < k; m++)
                sum -= l[i][m] * l[k][m];
            l[i][k] = l[k][k] > 0 ? sum / l[k][k] : 0;
        }
    }
    for (unsigned column = 0; column < LANES; column++)
        for (unsigned k = 0; k < LANES; k++) {
            double sum = k == column ? 1 : 0;
            for (unsigned m = column; m < k; m++)
                sum -= l[k][m] * ret[column][m];
            ret[column][k] = k < column || l[k][k] <= 0 ? 0 : sum / l[k][k];
        }
}

/* The lanes of n vectors made orthogonal, each of length one (or none). */
static void orthonormalise(ebb_v16 *x, size_t n)
{
    square g, inverse = {{0}};
    gram(x, n, g);
    inverse_factor(g, inverse);
    multiply(x, n, inverse);
}

/* Jacobi's rotations: eigenvalues on the diagonal of g, vectors in the columns of ret, as near as
 * it matters for which of them are worth keeping. */
static void diagonalise(square g, square ret)
{
    for (unsigned i = 0; i < LANES; i++)
        for (unsigned k = 0; k < LANES; k++)
            ret[i][k] = i == k;
    for (unsigned sweep = 0; sweep < SWEEPS; sweep++)
        for (unsigned p = 0; p < LANES; p++)
            for (unsigned q = p + 1; q < LANES; q++) {
                double off = g[p][q];
                if (off * off <= 1e-9 * fabs(g[p][p] * g[q][q]) || off == 0)
                    continue;
                double theta = (g[q][q] - g[p][p]) / (2 * off);
                double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
                double c = 1 / sqrt(t * t + 1), s = t * c;
                for (unsigned k = 0; k < LANES; k++) {
                    double x = g[k][p], y = g[k][q];
                    g[k][p] = c * x - s * y;
                    g[k][q] = s * x + c * y;
                }
                for (unsigned k = 0; k < LANES; k++) {
                    double x = g[p][k], y = g[q][k];
                    g[p][k] = c * x - s * y;
                    g[q][k] = s * x + c * y;
                    x = ret[k][p];
                    y = ret[k][q];
                    ret[k][p] = c * x - s * y;
                    ret[k][q] = s * x + c * y;
                }
            }
}

/* ---- the subspace ---- */

/* For the rows 0, step, 2 step, ... at once: y = D v and z = D' y. */
static void pass(const struct rows *r, size_t rows, size_t step, const ebb_v16 *v, ebb_v16 *y,
                 ebb_v16 *z, ebb_v16 *energy)
{
    const struct routines *with = &routines[ebb_cpu_level()];
    size_t columns = r->a->columns;
    memset(z, 0, columns * sizeof *z);
    for (size_t i = 0; i * step < rows; i += GROUP) {
        load_group(r, i * step, step, rows);
        with->project(r->d, r->padded, v, columns, y + i);
        with->gather(r->d, r->padded, y + i, columns, z);
        with->energy(r->d, GROUP * r->padded, energy);
    }
}

/* One round: v to the space of D' D v, over every step-th row; y orthonormal, v = D' y. What makes
 * y orthonormal does so to D' y too, so that one pass does. */
static void refine(const struct rows *r, size_t rows, size_t step, ebb_v16 *v, ebb_v16 *z,
                   ebb_v16 *y, ebb_v16 *energy)
{
    square g, inverse = {{0}};
    *energy = (ebb_v16){0};
    orthonormalise(v, r->a->columns);
    pass(r, rows, step, v, y, z, energy);
    gram(y, (rows + step - 1) / step, g);
    inverse_factor(g, inverse);
    multiply(z, r->a->columns, inverse);
    multiply(y, (rows + step - 1) / step, inverse);
}

static void start_anywhere(ebb_v16 *v, size_t columns)
{
    uint32_t seed = 1;
    for (size_t j = 0; j < columns; j++)
        for (unsigned k = 0; k < LANES; k++) {
            seed = seed * 1664525 + 1013904223;
            v[j][k] = seed >> 31 ? 1 : -1;
        }
}

/* ---- what to keep of it ---- */

struct choice {
    unsigned rank;
    double fineness[LANES]; /* the root mean square of u's and v's whole numbers */
    int exponent;           /* in the differences' units */
};

/* With `rank` components of shares f of all, in products of units of rms / `units`: what rounding
 * adds is 6 % of the square root of the rest at most, each costs its entropy. */
static double gain_bits(const double *share, unsigned rank, size_t rows, size_t columns,
                        struct choice *ret)
{
    double taken = 0, roots = 0, cost = 0;
    for (unsigned k = 0; k < rank; k++) {
        taken += share[k];
        roots += sqrt(share[k]);
    }
    double rest = fmax(1 - taken, 1e-4), units = fmin(fmax(roots / (0.06 * rest), 1), 500);
    ret->rank = rank;
    ret->exponent = -(int)lrint(log2(units));
    for (unsigned k = 0; k < rank; k++) {
        ret->fineness[k] = fmin(sqrt(sqrt(share[k]) * ldexp(1, -ret->exponent)), 32);
        cost += (double)(rows + columns) * fmax(log2(4.13 * ret->fineness[k]), 0.7);
    }
    return 0.5 * (double)rows * (double)columns * -log2(rest) - cost;
}

static struct choice choose(const double *share, size_t rows, size_t columns)
{
    struct choice best = {0}, tried = {0};
    double most = 0.004 * (double)rows * (double)columns;
    for (unsigned rank = 1; rank <= LANES && share[rank - 1] > 1e-5; rank++) {
        double bits = gain_bits(share, rank, rows, columns, &tried);
        if (bits > most) {
            most = bits;
            best = tried;
        }
    }
    return best;
}

/* Added to a small number, it leaves the nearest whole one in the lowest bits. */
#define ROUND 0x1.8p23F

/* Lane `lane` of n vectors, times `scale`, as whole numbers. */
static void round_lane(const ebb_v16 *x, size_t n, unsigned lane, float scale, int8_t *out)
{
    const float *at = (const float *)(const void *)x + lane;
    for (size_t i = 0; i < n; i++) {
        float y = at[i * LANES] * scale;
        y = y > 127 ? 127 : y;
        y = y < -127 ? -127 : y;
        out[i] = (int8_t)(step_float_to_bits(y + ROUND) - step_float_to_bits(ROUND));
    }
}

/* y and v have orthogonal lanes: y of length one, v of squared lengths `squares`. */
static void round_factors(struct ebb_step_model *m, const struct choice *c, const ebb_v16 *y,
                          const ebb_v16 *v, const double *squares, const unsigned *order)
{
    for (unsigned k = 0; k < c->rank; k++) {
        double of_u = c->fineness[k] * sqrt((double)m->rows);
        double of_v = c->fineness[k] * sqrt((double)m->columns / squares[order[k]]);
        round_lane(y, m->rows, order[k], (float)of_u, m->u + k * m->rows);
        round_lane(v, m->columns, order[k], (float)of_v, m->v + k * m->columns);
    }
}

/* y is orthonormal, v = D' y; `energy` is all of D's. */
static void keep_best(struct ebb_step_model *m, const struct rows *r, ebb_v16 *y, ebb_v16 *v,
                      double energy)
{
    square g, rotation;
    double squares[LANES], share[LANES];
    unsigned order[LANES];
    gram(v, m->columns, g);
    diagonalise(g, rotation);
    for (unsigned k = 0; k < LANES; k++) {
        squares[k] = g[k][k];
        unsigned at = k;
        for (; at > 0 && squares[order[at - 1]] < squares[k]; at--)
            order[at] = order[at - 1];
        order[at] = k;
    }
    for (unsigned k = 0; k < LANES; k++)
        share[k] = energy > 0 ? squares[order[k]] / energy : 0;
    struct choice c = choose(share, m->rows, m->columns);
    double rms = sqrt(energy / (double)m->rows / (double)m->columns);
    int exponent = c.exponent + (int)lrint(log2(fmax(rms, 1e-9))) - ilogb((double)r->unit);
    if (c.rank == 0 || exponent < EBB_STEP_EXPONENT_MIN || exponent > EBB_STEP_EXPONENT_MAX)
        return;
    /* The unit is a power of two: what that changes is made good by finer or coarser numbers. */
    double off = rms / ldexp(1, (int)lrint(log2(fmax(rms, 1e-9))));
    for (unsigned k = 0; k < c.rank; k++)
        c.fineness[k] *= sqrt(off);
    multiply(y, m->rows, rotation);
    multiply(v, m->columns, rotation);
    m->rank = c.rank;
    m->exponent = exponent;
    round_factors(m, &c, y, v, squares, order);
}

/* ---- decay ---- */

struct moved {
    double ratio; /* squares of the difference by those of the base */
    size_t row;
};

static int by_ratio(const void *a, const void *b)
{
    const struct moved *x = a, *y = b;
    return x->ratio < y->ratio ? -1 : x->ratio > y->ratio ? 1 : x->row < y->row ? -1 : 1;
}

/* Over the first n columns of a row: sums of d d, d b, b b, of elements that moved by less than
 * `most` of what they were. */
static void row_sums(const struct rows *r, size_t row, size_t n, double most, double ret[3])
{
    const struct ebb_tensor_array *a = r->a;
    size_t at = row * a->columns;
    const uint8_t *data = ebb_tensor_chunk(a, a->data, at, n, r->raw);
    const uint8_t *base = ebb_tensor_chunk(a, a->base, at, n, r->raw + n * a->stride);
    ret[0] = ret[1] = ret[2] = 0;
    for (size_t j = 0; j < n; j++) {
        uint32_t x = step_load(data + j * a->stride, a->dtype);
        uint32_t y = step_load(base + j * a->stride, a->dtype);
        if (step_special(x, a->dtype) || step_special(y, a->dtype))
            continue;
        double of_base = (double)step_to_float(y, a->dtype);
        double d = (double)step_to_float(x, a->dtype) - of_base;
        if (!(fabs(d) <= most * fabs(of_base)))
            continue;
        ret[0] += d * d;
        ret[1] += d * of_base;
        ret[2] += of_base * of_base;
    }
}

/* Rows that no gradient reached show what weight decay does to all: 1 when there are none. */
static float find_keep(const struct rows *r, size_t rows, struct moved *moved)
{
    const struct ebb_tensor_array *a = r->a;
    size_t step = rows / DECAY_ROWS + 1, used = (rows + step - 1) / step;
    size_t few = a->columns < 16 ? a->columns : 16;
    size_t many = a->columns < SAMPLED_COLUMNS ? a->columns : SAMPLED_COLUMNS;
    double all[3] = {0};
    for (size_t i = 0; i < used; i++) {
        double s[3];
        row_sums(r, i * step, few, HUGE_VAL, s);
        moved[i] = (struct moved){s[2] > 0 ? s[0] / s[2] : HUGE_VAL, i * step};
    }
    qsort(moved, used, sizeof *moved, by_ratio);
    for (size_t i = 0; i < used / 32 + 1; i++) {
        double s[3];
        row_sums(r, moved[i].row, many, 0.25, s);
        for (unsigned k = 0; k < 3; k++)
            all[k] += s[k];
    }
    if (!(all[0] > 0) || !(all[2] > 0))
        return 1;
    double slope = all[1] / all[2], left = all[0] - slope * all[1];
    return left < all[0] / 4 && fabs(slope) < 0.25 ? (float)(1 + slope) : 1;
}

/* ---- the whole ---- */

/* A power of two that brings differences to about 1 or below: all but the largest few of a sample,
 * which may be anything; 0 when they are no numbers to speak of. */
static float find_unit(const struct rows *r, size_t rows)
{
    uint32_t bins[256] = {0};
    size_t count = 0, above = 0;
    struct rows plain = *r;
    plain.unit = 1;
    plain.limit = 0x1p127F;
    for (size_t i = 0; i < rows; i += GROUP * (rows / 128 + 1)) {
        load_group(&plain, i, 1, rows);
        size_t n = r->a->columns < SAMPLED_COLUMNS ? r->a->columns : SAMPLED_COLUMNS;
        for (unsigned g = 0; g < GROUP && i + g < rows; g++, count += n)
            for (size_t j = 0; j < n; j++)
                bins[step_float_to_bits(r->d[g * r->padded + j]) >> 23 & 255]++;
    }
    unsigned top = 255;
    for (above = bins[top]; top > 0 && above * FEW <= count; above += bins[top])
        top--;
    return top > 30 && top < 220 ? step_bits_to_float((254 - top) << 23) : 0;
}

bool ebb_step_fit(const struct ebb_tensor_array *a, struct ebb_step_model *m)
{
    size_t padded = (a->columns + LANES - 1) / LANES * LANES, rows = m->rows;
    size_t floats = GROUP * padded;
    EBB_AUTO_FREE ebb_v16 *y = NULL;
    EBB_AUTO_FREE float *d = NULL;
    EBB_AUTO_FREE uint8_t *raw = malloc(2 * a->columns * a->stride);
    EBB_AUTO_FREE struct moved *moved =
        malloc((rows < SAMPLED_ROWS ? rows : SAMPLED_ROWS) * sizeof *moved * 2);
    if (raw == NULL || moved == NULL || posix_memalign((void **)&d, 64, floats * sizeof *d) != 0 ||
        posix_memalign((void **)&y, 64, (rows + 2 * a->columns + 2 * GROUP) * sizeof *y) != 0)
        return false;
    memset(d, 0, floats * sizeof *d);
    ebb_v16 *v = y + rows + 2 * GROUP, *z = v + a->columns, energy = {0};
    m->rank = 0;
    m->exponent = 0;
    struct rows r = {.a = a, .padded = padded, .d = d, .raw = raw};
    m->keep = r.keep = find_keep(&r, rows, moved);
    r.unit = find_unit(&r, rows);
    r.limit = 64;
    if (r.unit == 0)
        return true;
    size_t part = rows / 4 < 64 ? 64 : rows / 4 > SAMPLED_ROWS ? SAMPLED_ROWS : rows / 4;
    size_t step = part < rows ? rows / part : 1;
    start_anywhere(v, a->columns);
    refine(&r, rows, step, v, z, y, &energy);
    refine(&r, rows, step, z, v, y, &energy);
    refine(&r, rows, 1, v, z, y, &energy);
    double total = 0;
    for (unsigned k = 0; k < LANES; k++)
        total += (double)energy[k];
    keep_best(m, &r, y, z, total);
    return true;
}
