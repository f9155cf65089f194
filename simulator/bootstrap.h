/* Intervals for means over starts that overlap: days are drawn again, with all their starts. */
#ifndef EBB_SIMULATOR_BOOTSTRAP_H
#define EBB_SIMULATOR_BOOTSTRAP_H

#include <stddef.h>
#include <stdint.h>

struct ebb_interval {
    double mean;
    double low, high; /* 90 % */
};

/* The mean of value[i]; block[i] < block_count is the day of i. */
struct ebb_interval ebb_block_bootstrap(const double *value, const size_t *block, size_t count,
                                        size_t block_count, uint64_t seed);
/* The q-quantile (0 to 1) of value, which is sorted here. */
double ebb_quantile(double *value, size_t count, double q);

#endif
