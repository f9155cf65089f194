/* The block bootstrap (Kuensch 1989) with whole days as blocks, percentile intervals. */
#include "simulator/bootstrap.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/random.h"

#define ROUNDS 1000

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double ebb_quantile(double *value, size_t count, double q)
{
    bool sorted = true;
    for (size_t i = 1; i < count && sorted; i++)
        sorted = value[i - 1] <= value[i];
    if (!sorted)
        qsort(value, count, sizeof *value, compare);
    double at = q * (double)(count - 1);
    size_t low = (size_t)floor(at);
    size_t high = low + 1 < count ? low + 1 : low;
    return value[low] + (at - (double)low) * (value[high] - value[low]);
}

struct ebb_interval ebb_block_bootstrap(const double *value, const size_t *block, size_t count,
                                        size_t block_count, uint64_t seed)
{
    EBB_AUTO_FREE double *sum = ebb_alloc_array(block_count, sizeof *sum);
    EBB_AUTO_FREE double *number = ebb_alloc_array(block_count, sizeof *number);
    EBB_AUTO_FREE double *means = ebb_alloc_array(ROUNDS, sizeof *means);
    double total = 0;
    for (size_t i = 0; i < count; i++) {
        sum[block[i]] += value[i];
        number[block[i]]++;
        total += value[i];
    }
    struct ebb_random random;
    ebb_random_seed(&random, seed);
    for (size_t round = 0; round < ROUNDS; round++) {
        double s = 0, n = 0;
        while (n == 0) {
            for (size_t b = 0; b < block_count; b++) {
                size_t drawn = (size_t)ebb_random_below(&random, block_count);
                s += sum[drawn];
                n += number[drawn];
            }
        }
        means[round] = s / n;
    }
    return (struct ebb_interval){total / (double)count, ebb_quantile(means, ROUNDS, 0.05),
                                 ebb_quantile(means, ROUNDS, 0.95)};
}
