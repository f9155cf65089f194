/* What benches share: the clock that other processes do not disturb, and where the data lie. */
#ifndef EBB_BENCH_MEASURE_H
#define EBB_BENCH_MEASURE_H

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* CPU seconds of this thread. */
static inline double cpu_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* DIR of `--data DIR`, else EBB_DATA_DIR, else NULL. */
static inline const char *data_folder(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--data") == 0)
            return argv[i + 1];
    }
    return getenv("EBB_DATA_DIR");
}

#endif
