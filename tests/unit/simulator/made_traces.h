/* Traces made up for tests: up-runs and outages that are mixtures of short and long ones. */
#ifndef EBB_TESTS_SIMULATOR_MADE_TRACES_H
#define EBB_TESTS_SIMULATOR_MADE_TRACES_H

#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "simulator/traces.h"

static inline void made_fill(struct ebb_trace *t, struct ebb_random *r, double up_h, double down_h)
{
    bool up = ebb_random_uniform(r) < up_h / (up_h + down_h);
    for (size_t i = 0; i < t->len;) {
        double mean_h = up ? up_h : down_h;
        mean_h *= ebb_random_uniform(r) < 0.5 ? 0.2 : 1.8;
        double ticks = 1 + ebb_random_exponential(r, mean_h) * 3600 / t->gap_s;
        for (double k = 0; k < ticks && i < t->len; k++)
            t->up[i++] = up;
        up = !up;
    }
}

static inline void made_add(struct ebb_traces *set, const char *name, size_t len, double gap_s,
                            double up_h, double down_h, struct ebb_random *r)
{
    struct ebb_trace t = {.name = ebb_strdup(name),
                          .region = ebb_strdup("made"),
                          .gap_s = gap_s,
                          .len = len,
                          .up = ebb_alloc_array(len, 1)};
    made_fill(&t, r, up_h, down_h);
    struct ebb_error err;
    int rc = ebb_traces_add(set, &t, &err);
    if (rc < 0)
        abort();
}

/* "1101": one tick a character. */
static inline void made_of_text(struct ebb_traces *set, const char *name, double gap_s,
                                const char *text)
{
    struct ebb_trace t = {.name = ebb_strdup(name),
                          .region = ebb_strdup("made"),
                          .gap_s = gap_s,
                          .len = strlen(text),
                          .up = ebb_alloc_array(strlen(text), 1)};
    for (size_t i = 0; i < t.len; i++)
        t.up[i] = text[i] == '1';
    struct ebb_error err;
    int rc = ebb_traces_add(set, &t, &err);
    if (rc < 0)
        abort();
}

#endif
