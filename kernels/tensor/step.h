/* What the method of steps (step.c) knows of an array: a model of what training did to it since its
 * base, and how far off each element is. Inside kernels/tensor/ only. */
#ifndef EBB_KERNELS_TENSOR_STEP_H
#define EBB_KERNELS_TENSOR_STEP_H

#include "kernels/tensor/method.h"

#define EBB_STEP_RANK 16
/* Columns are worked on so many at a time, and arrays by column have that much room behind. */
#define EBB_STEP_BLOCK ((size_t)64)
/* Smaller arrays are not worth a model. */
#define EBB_STEP_MIN_ROWS     ((size_t)16)
#define EBB_STEP_MIN_COLUMNS  ((size_t)16)
#define EBB_STEP_MIN_ELEMENTS ((size_t)4096)

/* Steps of the logarithm of a scale: four an octave. */
#define EBB_STEP_LOGS 4

struct ebb_step_model {
    size_t rows, columns;
    size_t stride;         /* of `factors`: columns and room behind them */
    unsigned rank;         /* 0..EBB_STEP_RANK */
    int exponent;          /* products of u and v are in units of 2^exponent */
    float keep;            /* what is left of the base */
    int8_t *u, *v;         /* rank x rows, rank x columns */
    int16_t *factors;      /* v, two components side by side: rank / 2 x stride x 2 */
    uint8_t *row, *column; /* logarithms of scale, above origin; column has room behind */
    int32_t origin;
};

/* False: no memory; what was taken is freed by ebb_step_model_clean_up. */
bool ebb_step_model_take(struct ebb_step_model *m);
void ebb_step_model_clean_up(struct ebb_step_model *m);
/* factors from v. */
void ebb_step_model_set_factors(struct ebb_step_model *m);

/* How far off an element is expected to be, in half octaves of its own units from 2^-3 on, is a
 * class. Of classes below EBB_STEP_NORMAL all bits are symbols; from there on a symbol is 2^low
 * units, so that two classes in turn do for all; where the unit is as large as the element, classes
 * go on. */
#define EBB_STEP_NORMAL       10
#define EBB_STEP_CLASSES_LAST 8
#define EBB_STEP_TABLES       (EBB_STEP_NORMAL + 2 + EBB_STEP_CLASSES_LAST)

/* The least and the greatest exponent of a model. */
enum { EBB_STEP_EXPONENT_MIN = -140, EBB_STEP_EXPONENT_MAX = 100 };

/* Sets keep, rank, exponent, u and v, whose room is there. False: no memory. */
bool ebb_step_fit(const struct ebb_tensor_array *a, struct ebb_step_model *m);

/* Sets origin, row and column. False: no memory. */
bool ebb_step_find_scales(const struct ebb_tensor_array *a, struct ebb_step_model *m);

void ebb_step_put_model(const struct ebb_step_model *m, enum ebb_entropy_level level,
                        uint8_t *scratch, struct ebb_buffer *out);
/* Takes the model's memory too; rows and columns are set. */
int ebb_step_read_model(struct ebb_tensor_body *body, struct ebb_step_model *m,
                        struct ebb_error *err);

bool ebb_step_applies(const struct ebb_tensor_array *a);

/* What the model makes of a run of n elements from column `first` on of a row. */
struct ebb_step_run {
    const uint8_t *base;
    size_t n;
    float keep, scale;
    unsigned pairs; /* of components */
    int16_t u[EBB_STEP_RANK];
    const int16_t *v; /* from `first` on, pairs 2 `stride` apart */
    size_t stride;
    int32_t row; /* with the origin */
    const uint8_t *column;
};

/* The run of at most n elements from element i on, all of one row. `base`: they themselves. */
struct ebb_step_run ebb_step_run_at(const struct ebb_step_model *m, size_t i, size_t n,
                                    const uint8_t *base);

/* What is worked on at a time: it stays in the first caches. */
#define EBB_STEP_PIECE ((size_t)4096)

/* One piece's arrays. */
struct ebb_step_piece {
    int32_t *expected;               /* ordered */
    uint8_t *low, *context, *symbol; /* low: the number of low bits */
    uint8_t *bits;                   /* those bits, in words as wide as the elements */
};

struct ebb_bit_writer;

/* The loops, for the present instruction set (step_lanes.c). */
struct ebb_step_lanes {
    void (*expect)(const struct ebb_step_run *r, enum ebb_dtype dtype, int32_t *expected);
    /* low, and the context less `first`, which is at most `last`. */
    void (*classify)(const struct ebb_step_run *r, enum ebb_dtype dtype, int32_t first,
                     int32_t last, const int32_t *expected, uint8_t *low, uint8_t *context);
    /* symbol and bits of n elements. */
    void (*part)(const uint8_t *data, size_t n, enum ebb_dtype dtype,
                 const struct ebb_step_piece *c);
    void (*join)(const struct ebb_step_piece *c, size_t n, enum ebb_dtype dtype, uint8_t *out);
    /* Logarithms of the distance in quarter octaves, and their sum. */
    int64_t (*logs)(const uint8_t *data, size_t n, enum ebb_dtype dtype, const int32_t *expected,
                    int32_t *logs);
    void (*put)(const struct ebb_step_piece *c, size_t n, enum ebb_dtype dtype,
                struct ebb_bit_writer *w);
    /* From bit `at` on; returns the bit after the last, one after `end` when there are too few. */
    uint64_t (*get)(const uint8_t *in, uint64_t at, uint64_t end, const struct ebb_step_piece *c,
                    size_t n, enum ebb_dtype dtype);
};

const struct ebb_step_lanes *ebb_step_lanes(void);

#endif
