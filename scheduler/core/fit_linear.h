/* Symmetric positive definite matrices, dense, row by row: what standard errors and Newton steps
 * need. */
#ifndef EBB_SCHEDULER_CORE_FIT_LINEAR_H
#define EBB_SCHEDULER_CORE_FIT_LINEAR_H

#include <stdbool.h>
#include <stddef.h>

/* Cholesky's factor L with A = L L^T, in the lower triangle of `a` (n x n), in place. false: A is
 * not positive definite, to rounding; `a` is spoilt. */
bool ebb_cholesky(double *a, size_t n);
/* Solves A x = b in place of `b`, with the factor. */
void ebb_cholesky_solve(const double *factor, size_t n, double *b);
/* A's inverse from the factor, all of it, into `ret` (n x n). */
void ebb_cholesky_invert(const double *factor, size_t n, double *ret);

#endif
