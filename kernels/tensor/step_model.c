/* What the method of steps knows of an array: its memory, its scales (how far off the elements of
 * each row and each column are, found from logarithms of distances), and its bytes. */
#include <stdlib.h>

#include "kernels/tensor/step.h"
#include "kernels/tensor/step_float.h"
#include "kernels/varint.h"

/* Elements looked at in one go. */
#define CHUNK ((size_t)65536)
/* Added to logarithms of scale: from the mean of the logarithm to that of the scale, and class 0
 * stands for 2^-3. */
#define LOG_SHIFT 16

bool ebb_step_applies(const struct ebb_tensor_array *a)
{
    return (a->dtype == EBB_DTYPE_F32 || a->dtype == EBB_DTYPE_BF16 || a->dtype == EBB_DTYPE_F16) &&
           a->base != NULL && a->elements >= EBB_STEP_MIN_ELEMENTS &&
           a->columns >= EBB_STEP_MIN_COLUMNS && a->columns <= SIZE_MAX / 1024 &&
           a->elements / a->columns >= EBB_STEP_MIN_ROWS;
}

bool ebb_step_model_take(struct ebb_step_model *m)
{
    m->stride =
        (m->columns + EBB_STEP_BLOCK - 1) / EBB_STEP_BLOCK * EBB_STEP_BLOCK + EBB_STEP_BLOCK;
    m->u = malloc(m->rows * EBB_STEP_RANK);
    m->v = malloc(m->columns * EBB_STEP_RANK);
    m->factors = calloc(m->stride * EBB_STEP_RANK, sizeof *m->factors);
    m->row = malloc(m->rows);
    m->column = calloc(m->stride, 1);
    return m->u != NULL && m->v != NULL && m->factors != NULL && m->row != NULL &&
           m->column != NULL;
}

void ebb_step_model_clean_up(struct ebb_step_model *m)
{
    free(m->u);
    free(m->v);
    free(m->factors);
    free(m->row);
    free(m->column);
}

void ebb_step_model_set_factors(struct ebb_step_model *m)
{
    for (unsigned k = 0; k < m->rank; k++) {
        int16_t *to = m->factors + 2 * (k / 2 * m->stride) + k % 2;
        for (size_t j = 0; j < m->columns; j++)
            to[2 * j] = m->v[k * m->columns + j];
    }
}

struct ebb_step_run ebb_step_run_at(const struct ebb_step_model *m, size_t i, size_t n,
                                    const uint8_t *base)
{
    size_t row = i / m->columns, first = i % m->columns;
    struct ebb_step_run r = {.base = base,
                             .n = m->columns - first < n ? m->columns - first : n,
                             .keep = m->keep,
                             .scale = step_bits_to_float((uint32_t)(m->exponent + 127) << 23),
                             .pairs = (m->rank + 1) / 2,
                             .v = m->factors + 2 * first,
                             .stride = m->stride,
                             .row = m->origin + m->row[row],
                             .column = m->column + first};
    if (m->exponent < -126)
        r.scale = step_bits_to_float(1U << (m->exponent + 149));
    for (unsigned k = 0; k < m->rank; k++)
        r.u[k] = m->u[k * m->rows + row];
    return r;
}

/* ---- scales ---- */

/* So many rows at least are looked at whole, and so many columns at least of the others. */
#define WHOLE_ROWS   ((size_t)128)
#define SOME_COLUMNS ((size_t)128)

struct scales {
    const struct ebb_tensor_array *a;
    const struct ebb_step_model *m;
    int32_t *expected, *logs; /* CHUNK each */
    uint8_t *swapped;
    int64_t *columns;
    int32_t *row, *column;
};

static int64_t logs_at(const struct scales *s, size_t i, size_t n)
{
    const struct ebb_step_lanes *with = ebb_step_lanes();
    const struct ebb_tensor_array *a = s->a;
    const uint8_t *data = ebb_tensor_chunk(a, a->data, i, n, s->swapped);
    const uint8_t *base = ebb_tensor_chunk(a, a->base, i, n, s->swapped + CHUNK * a->stride);
    struct ebb_step_run r = ebb_step_run_at(s->m, i, n, base);
    with->expect(&r, a->dtype, s->expected);
    return with->logs(data, n, a->dtype, s->expected, s->logs);
}

/* A row's mean; its logarithms go into the columns' sums. */
static int32_t whole_row(struct scales *s, size_t row)
{
    size_t columns = s->m->columns;
    int64_t sum = 0;
    for (size_t j = 0; j < columns; j += CHUNK) {
        size_t n = columns - j < CHUNK ? columns - j : CHUNK;
        sum += logs_at(s, row * columns + j, n);
        for (size_t k = 0; k < n; k++)
            s->columns[j + k] += s->logs[k];
    }
    return (int32_t)(sum / (int64_t)columns);
}

/* A row's mean from some of its columns, whose own means are known. */
static int32_t part_of_row(struct scales *s, size_t row)
{
    size_t columns = s->m->columns, used = 0;
    size_t step = columns < 2 * SOME_COLUMNS ? 1 : columns / SOME_COLUMNS;
    int64_t sum = 0;
    for (size_t j = 0; j < columns; j += step * EBB_STEP_BLOCK) {
        size_t n = columns - j < EBB_STEP_BLOCK ? columns - j : EBB_STEP_BLOCK;
        sum += logs_at(s, row * columns + j, n);
        for (size_t k = 0; k < n; k++)
            sum -= s->column[j + k];
        used += n;
    }
    return (int32_t)(sum / (int64_t)used);
}

static int32_t to_bytes(const int32_t *logs, size_t n, uint8_t *out)
{
    int32_t least = INT32_MAX, most = INT32_MIN;
    for (size_t i = 0; i < n; i++) {
        least = logs[i] < least ? logs[i] : least;
        most = logs[i] > most ? logs[i] : most;
    }
    if (most - least > 255)
        least = most - 255;
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(logs[i] < least ? 0 : logs[i] - least);
    return least;
}

bool ebb_step_find_scales(const struct ebb_tensor_array *a, struct ebb_step_model *m)
{
    EBB_AUTO_FREE int32_t *words = malloc((2 * CHUNK + m->rows + m->columns) * sizeof *words);
    EBB_AUTO_FREE uint8_t *swapped = malloc(2 * CHUNK * a->stride);
    EBB_AUTO_FREE int64_t *columns = calloc(m->columns, sizeof *columns);
    if (words == NULL || swapped == NULL || columns == NULL)
        return false;
    struct scales s = {.a = a,
                       .m = m,
                       .expected = words,
                       .logs = words + CHUNK,
                       .swapped = swapped,
                       .columns = columns,
                       .row = words + 2 * CHUNK,
                       .column = words + 2 * CHUNK + m->rows};
    size_t step = m->rows < 2 * WHOLE_ROWS ? 1 : m->rows / WHOLE_ROWS;
    int64_t total = 0, used = 0;
    m->origin = 0;
    memset(m->row, 0, m->rows);
    for (size_t i = 0; i < m->rows; i += step, used++)
        total += s.row[i] = whole_row(&s, i);
    for (size_t j = 0; j < m->columns; j++)
        s.column[j] = (int32_t)((columns[j] - total) / used);
    for (size_t i = 0; i < m->rows; i++)
        if (i % step != 0)
            s.row[i] = part_of_row(&s, i);
    m->origin =
        to_bytes(s.row, m->rows, m->row) + to_bytes(s.column, m->columns, m->column) + LOG_SHIFT;
    return true;
}

/* ---- its bytes ---- */

static void put_signed(const int8_t *x, size_t n, enum ebb_entropy_level level, uint8_t *scratch,
                       struct ebb_buffer *out)
{
    for (size_t i = 0; i < n; i++)
        scratch[i] = (uint8_t)ebb_zigzag(x[i]);
    ebb_entropy_encode(scratch, n, level, out);
}

void ebb_step_put_model(const struct ebb_step_model *m, enum ebb_entropy_level level,
                        uint8_t *scratch, struct ebb_buffer *out)
{
    uint8_t head[5 + 2 * EBB_VARINT_MAX] = {(uint8_t)m->rank};
    uint32_t keep = step_float_to_bits(m->keep);
    size_t n = 1 + ebb_varint_put(head + 1, ebb_zigzag(m->exponent));
    for (unsigned b = 0; b < 4; b++)
        head[n++] = (uint8_t)(keep >> (8 * b));
    n += ebb_varint_put(head + n, ebb_zigzag(m->origin));
    ebb_buffer_append(out, head, n);
    if (m->rank > 0) {
        put_signed(m->u, m->rank * m->rows, level, scratch, out);
        put_signed(m->v, m->rank * m->columns, level, scratch, out);
    }
    ebb_entropy_encode(m->row, m->rows, level, out);
    ebb_entropy_encode(m->column, m->columns, level, out);
}

static int head_damaged(struct ebb_error *err)
{
    return ebb_error_set(err, EBB_ERR_CORRUPT, "steps: their head is damaged");
}

static int get_signed(struct ebb_tensor_body *body, size_t n, uint8_t *scratch, int8_t *out,
                      struct ebb_error *err)
{
    const uint8_t *bytes = NULL;
    int rc = ebb_tensor_body_view(body, n, scratch, &bytes, err);
    for (size_t i = 0; rc == 0 && i < n; i++)
        out[i] = (int8_t)ebb_zigzag_back(bytes[i]);
    return rc;
}

static int get_bytes(struct ebb_tensor_body *body, size_t n, uint8_t *out, struct ebb_error *err)
{
    const uint8_t *bytes = NULL;
    int rc = ebb_tensor_body_view(body, n, out, &bytes, err);
    if (rc == 0 && bytes != out)
        memcpy(out, bytes, n);
    return rc;
}

int ebb_step_read_model(struct ebb_tensor_body *body, struct ebb_step_model *m,
                        struct ebb_error *err)
{
    uint8_t rank = 0, bytes[4] = {0};
    uint64_t exponent = 0, origin = 0;
    int rc = ebb_tensor_body_bytes(body, &rank, 1, err);
    if (rc == 0)
        rc = ebb_tensor_body_varint(body, &exponent, err);
    if (rc == 0)
        rc = ebb_tensor_body_bytes(body, bytes, 4, err);
    if (rc == 0)
        rc = ebb_tensor_body_varint(body, &origin, err);
    if (rc < 0)
        return rc;
    m->rank = rank;
    m->keep = step_bits_to_float((uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 |
                                 (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24);
    if (rank > EBB_STEP_RANK || ebb_zigzag_back(exponent) < EBB_STEP_EXPONENT_MIN ||
        ebb_zigzag_back(exponent) > EBB_STEP_EXPONENT_MAX ||
        !(m->keep >= 0.5F && m->keep <= 1.5F) || ebb_zigzag_back(origin) < -100000 ||
        ebb_zigzag_back(origin) > 100000)
        return head_damaged(err);
    m->exponent = (int)ebb_zigzag_back(exponent);
    m->origin = (int32_t)ebb_zigzag_back(origin);
    if (!ebb_step_model_take(m))
        return ebb_tensor_no_memory(err, m->stride * EBB_STEP_RANK * sizeof *m->factors);
    size_t most = m->rows > m->columns ? m->rows : m->columns;
    EBB_AUTO_FREE uint8_t *scratch = malloc(most * EBB_STEP_RANK);
    if (scratch == NULL)
        return ebb_tensor_no_memory(err, most * EBB_STEP_RANK);
    if (rank > 0) {
        rc = get_signed(body, rank * m->rows, scratch, m->u, err);
        if (rc == 0)
            rc = get_signed(body, rank * m->columns, scratch, m->v, err);
    }
    if (rc == 0)
        rc = get_bytes(body, m->rows, m->row, err);
    if (rc == 0)
        rc = get_bytes(body, m->columns, m->column, err);
    if (rc == 0)
        ebb_step_model_set_factors(m);
    return rc;
}
