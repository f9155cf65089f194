/* Repeatable chance for tests of trajectories, whose golden groups hold what it gave: xorshift64*
 * (Vigna 2016). A test's set-up is `begin`. */
#ifndef EBB_TEST_SEED_H
#define EBB_TEST_SEED_H

#include <stdint.h>

static uint64_t seed;

static inline int begin(void **state)
{
    (void)state;
    seed = 88172645463325252ull;
    return 0;
}

static inline uint64_t random_bits(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x2545f4914f6cdd1dull;
}

static inline double uniform(void)
{
    return (double)(random_bits() >> 11) / 9007199254740992.0;
}

static inline double normal(void)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += uniform();
    return sum - 6;
}

#endif
