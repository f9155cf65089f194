/* Cholesky's decomposition, plain: matrices here have a few hundred rows at most. */
#include "scheduler/core/fit_linear.h"

#include <math.h>
#include <string.h>

bool ebb_cholesky(double *a, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        double diagonal = a[j * n + j], sum = diagonal;
        for (size_t k = 0; k < j; k++)
            sum -= a[j * n + k] * a[j * n + k];
        if (!(sum > 1e-13 * fabs(diagonal)) || !isfinite(sum))
            return false;
        double root = sqrt(sum);
        a[j * n + j] = root;
        for (size_t i = j + 1; i < n; i++) {
            double s = a[i * n + j];
            for (size_t k = 0; k < j; k++)
                s -= a[i * n + k] * a[j * n + k];
            a[i * n + j] = s / root;
        }
    }
    return true;
}

void ebb_cholesky_solve(const double *factor, size_t n, double *b)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++)
            b[i] -= factor[i * n + k] * b[k];
        b[i] /= factor[i * n + i];
    }
    for (size_t i = n; i-- > 0;) {
        for (size_t k = i + 1; k < n; k++)
            b[i] -= factor[k * n + i] * b[k];
        b[i] /= factor[i * n + i];
    }
}

void ebb_cholesky_invert(const double *factor, size_t n, double *ret)
{
    memset(ret, 0, n * n * sizeof *ret);
    for (size_t j = 0; j < n; j++) {
        double *row = ret + j * n; /* symmetric: the row is the column */
        row[j] = 1;
        ebb_cholesky_solve(factor, n, row);
    }
}
