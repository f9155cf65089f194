/* Availability traces: at each probe of one zone, would a launch have succeeded?
 *
 *     {"metadata": {"gap_seconds": 600}, "data": [1, 1, 0, ...]}
 *
 * One file is one zone. The reader takes bytes, whoever calls reads the file. */
#ifndef EBB_SIMULATOR_TRACES_H
#define EBB_SIMULATOR_TRACES_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define EBB_TRACE_TICKS_MAX 10000000

struct ebb_trace {
    char *name;   /* of the zone: the file's name without folder and ".json" */
    char *region; /* the name up to the zone's letter ("us-east-1" of "...-us-east-1a_v100_1"), or
                     the whole name when it holds no zone */
    double gap_s;
    size_t len;
    uint8_t *up; /* [len], 0 or 1 */
};

/* Faults carry `path` and the line, for a value also its index: EBB_ERR_INPUT. */
int ebb_trace_parse(const char *path, const char *text, size_t len, struct ebb_trace *ret,
                    struct ebb_error *err);
void ebb_trace_clean_up(struct ebb_trace *t);

struct ebb_traces {
    struct ebb_trace *items;
    size_t count;
};

/* Takes what `t` holds. All traces of a set have one gap: EBB_ERR_INPUT names the two that differ.
 */
int ebb_traces_add(struct ebb_traces *set, struct ebb_trace *t, struct ebb_error *err);
void ebb_traces_clean_up(struct ebb_traces *set);
/* The share of ticks in [from, to) that are up. */
double ebb_trace_share_up(const struct ebb_trace *t, size_t from, size_t to);

#endif
