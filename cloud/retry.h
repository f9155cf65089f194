/* Retrying with exponential back-off and full jitter: before try n wait rand(0, 1) times
 * min(base * 2^n, 20 s) ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015). The base
 * is 50 ms, after a throttled answer 400 ms. */
#ifndef EBB_CLOUD_RETRY_H
#define EBB_CLOUD_RETRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct ebb_retry {
    int64_t deadline_ns; /* monotonic */
    const atomic_int *cancel;
    unsigned tries;
};

void ebb_retry_init(struct ebb_retry *r, double for_s, const atomic_int *cancel);
/* After a failure with `code`: false when it is not transient, the time is up or the call was
 * cancelled. Else waits and returns true: try again. */
bool ebb_retry_again(struct ebb_retry *r, int code);
bool ebb_retry_is_cancelled(const struct ebb_retry *r);
double ebb_retry_left_s(const struct ebb_retry *r);

#endif
