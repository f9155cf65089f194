/* Randomness: a seeded generator (xoshiro256++, Blackman & Vigna 2019) that is passed in, and
 * bytes from the operating system for secrets and nonces. */
#ifndef EBB_BASE_RANDOM_H
#define EBB_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct ebb_random {
    uint64_t state[4];
};

void ebb_random_seed(struct ebb_random *r, uint64_t seed);
uint64_t ebb_random_next(struct ebb_random *r);
double ebb_random_uniform(struct ebb_random *r);                  /* [0, 1) */
uint64_t ebb_random_below(struct ebb_random *r, uint64_t bound);  /* [0, bound), unbiased */
double ebb_random_exponential(struct ebb_random *r, double mean); /* mean > 0 */

void ebb_random_secret(void *out, size_t len); /* from the kernel; aborts if it cannot */
/* `bytes` random bytes as lower-case hex; out holds 2 * bytes + 1. Returns out. */
char *ebb_random_hex(char *out, size_t bytes);

#endif
