/* Time. Deadlines are absolute monotonic nanoseconds; what is shown or stored is wall time in
 * nanoseconds since 1970-01-01 UTC. Code that decides takes a `struct ebb_clock`, so that it also
 * runs under simulated time. */
#ifndef EBB_BASE_CLOCK_H
#define EBB_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define EBB_NS_PER_S  INT64_C(1000000000)
#define EBB_NS_PER_MS INT64_C(1000000)

struct ebb_clock {
    int64_t (*monotonic_ns)(void *ctx);
    int64_t (*wall_ns)(void *ctx);
    void *ctx;
};

extern const struct ebb_clock ebb_system_clock;

int64_t ebb_now_ns(const struct ebb_clock *clock);  /* monotonic; NULL is the system clock */
int64_t ebb_wall_ns(const struct ebb_clock *clock); /* UTC since the epoch */

/* "2026-11-21T10:04:05.123Z"; out must hold EBB_TIME_TEXT_SIZE bytes. Returns out. */
#define EBB_TIME_TEXT_SIZE 32
char *ebb_time_format(int64_t wall_ns, char *out);
/* Reads "YYYY-MM-DDTHH:MM:SS[.frac](Z|+00:00)" and "YYYY-MM-DD HH:MM:SS GMT". */
int ebb_time_parse(const char *text, int64_t *ret_wall_ns, struct ebb_error *err);

#endif
