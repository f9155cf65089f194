/* Back-off for blocking calls. The wait is cut into short naps so that a cancelled call returns
 * soon. */
#include "cloud/retry.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"

#define BASE_S           0.05
#define THROTTLED_BASE_S 0.4
#define MAX_WAIT_S       20.0
#define NAP_NS           (50 * EBB_NS_PER_MS)

void ebb_retry_init(struct ebb_retry *r, double for_s, const atomic_int *cancel)
{
    r->deadline_ns = ebb_now_ns(NULL) + (int64_t)(for_s * (double)EBB_NS_PER_S);
    r->cancel = cancel;
    r->tries = 0;
}

bool ebb_retry_is_cancelled(const struct ebb_retry *r)
{
    return r->cancel != NULL && atomic_load(r->cancel) != 0;
}

double ebb_retry_left_s(const struct ebb_retry *r)
{
    return (double)(r->deadline_ns - ebb_now_ns(NULL)) / (double)EBB_NS_PER_S;
}

static double jitter(void)
{
    static _Thread_local struct ebb_random random;
    static _Thread_local bool seeded;
    if (!seeded) {
        uint64_t seed;
        ebb_random_secret(&seed, sizeof(seed));
        ebb_random_seed(&random, seed);
        seeded = true;
    }
    return ebb_random_uniform(&random);
}

bool ebb_retry_again(struct ebb_retry *r, int code)
{
    if (!ebb_code_is_transient(code))
        return false;
    double wait_s = code == EBB_ERR_THROTTLED ? THROTTLED_BASE_S : BASE_S;
    for (unsigned i = 0; i < r->tries && wait_s < MAX_WAIT_S; i++)
        wait_s *= 2;
    r->tries++;
    wait_s = jitter() * (wait_s < MAX_WAIT_S ? wait_s : MAX_WAIT_S);
    int64_t until_ns = ebb_now_ns(NULL) + (int64_t)(wait_s * (double)EBB_NS_PER_S);
    if (until_ns >= r->deadline_ns)
        return false;
    while (!ebb_retry_is_cancelled(r)) {
        int64_t left_ns = until_ns - ebb_now_ns(NULL);
        if (left_ns <= 0)
            return true;
        struct timespec nap = {.tv_nsec = left_ns < NAP_NS ? left_ns : NAP_NS};
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
    }
    return false;
}
