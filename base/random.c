/* xoshiro256++ (Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators", 2019), its
 * state filled from the seed by splitmix64 as its authors advise, so that near seeds give unlike
 * streams and the all-zero state cannot arise. */
#include "base/random.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/hash.h"

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

void ebb_random_seed(struct ebb_random *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->state[i] = splitmix64(&seed);
}

uint64_t ebb_random_next(struct ebb_random *r)
{
    uint64_t *s = r->state;
    uint64_t result = rotate_left(s[0] + s[3], 23) + s[0];
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

double ebb_random_uniform(struct ebb_random *r)
{
    return (double)(ebb_random_next(r) >> 11) * 0x1.0p-53;
}

uint64_t ebb_random_below(struct ebb_random *r, uint64_t bound)
{
    assert(bound > 0);
    /* The values below `cut` = 2^64 mod bound would make the small remainders more likely. */
    uint64_t cut = -bound % bound;
    uint64_t x = ebb_random_next(r);
    while (x < cut)
        x = ebb_random_next(r);
    return x % bound;
}

double ebb_random_exponential(struct ebb_random *r, double mean)
{
    assert(mean > 0);
    return -mean * log1p(-ebb_random_uniform(r));
}

void ebb_random_secret(void *out, size_t len)
{
    uint8_t *p = out;
    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            (void)fprintf(stderr, "the kernel gives no random bytes\n");
            abort();
        }
        p += n;
        len -= (size_t)n;
    }
}

char *ebb_random_hex(char *out, size_t bytes)
{
    uint8_t chunk[32];
    for (size_t done = 0; done < bytes;) {
        size_t n = bytes - done < sizeof(chunk) ? bytes - done : sizeof(chunk);
        ebb_random_secret(chunk, n);
        ebb_hex(chunk, n, out + 2 * done);
        done += n;
    }
    out[2 * bytes] = '\0';
    return out;
}
