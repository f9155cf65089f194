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

/* The least and the greatest exponent of a model. */
enum { EBB_STEP_EXPONENT_MIN = -140, EBB_STEP_EXPONENT_MAX = 100 };

/* Sets keep, rank, exponent, u and v, whose room is there. False: no memory. */
bool ebb_step_fit(const struct ebb_tensor_array *a, struct ebb_step_model *m);

bool ebb_step_applies(const struct ebb_tensor_array *a);

#endif
