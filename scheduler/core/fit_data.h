/* Lifetimes of VMs as they were observed: how long each lived, what ended it, and where and when it
 * was launched, where that is known. */
#ifndef EBB_SCHEDULER_CORE_FIT_DATA_H
#define EBB_SCHEDULER_CORE_FIT_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/memory.h"

enum ebb_lifetime_end {
    EBB_LIFETIME_REVOKED, /* by the cloud: the event whose hazard is fitted */
    EBB_LIFETIME_CAP,     /* the offer's limit on age: known beforehand, censoring */
    EBB_LIFETIME_STOPPED, /* by its user: right-censored */
};

#define EBB_DAY_UNKNOWN INT32_MIN

struct ebb_lifetime {
    double age_h;  /* at its end, the cap at most; at least EBB_LIFETIME_LEAST_H */
    double told_h; /* the same as it was told: it may stand somewhat past the cap */
    enum ebb_lifetime_end end;
    int32_t type, zone; /* indices into the names, -1: not told */
    int32_t day;        /* of its launch, in days since 1970-01-01 UTC, or EBB_DAY_UNKNOWN */
};

/* Clocks that tell lifetimes tick in seconds: a life of 0 s is one of less than that, and densities
 * that rise without bound at 0 are evaluated no nearer. */
#define EBB_LIFETIME_LEAST_H (1.0 / 3600)

struct ebb_names {
    char **names;
    size_t count;
};

struct ebb_lifetimes {
    struct ebb_lifetime *rows;
    size_t count;
    struct ebb_names types, zones;
};

void ebb_lifetimes_clean_up(struct ebb_lifetimes *l);
/* Reads CSV text with a header: `lifetime_s` and `end` (revoked, cap, stopped), and where present
 * `type`, `zone`, `launched` (ISO 8601, or a date); other columns are ignored. EBB_ERR_INPUT names
 * `path` and line: a column is missing, a lifetime is negative, not finite, no number or over 100
 * years, an end is unknown, a time is none, or there is no row. `l` starts as {0}. */
int ebb_lifetimes_read(struct ebb_lifetimes *l, const char *path, const char *text, size_t len,
                       struct ebb_error *err);
/* A life that reached the cap ended by it, whatever it is said to have ended by, at that age. */
void ebb_lifetimes_cap(struct ebb_lifetimes *l, double cap_h);
/* Those rows of `from` for which keep(ctx, row) holds; names are copied, with equal indices. */
void ebb_lifetimes_subset(struct ebb_lifetimes *l, const struct ebb_lifetimes *from,
                          bool (*keep)(void *ctx, size_t row), void *ctx);
size_t ebb_lifetimes_count(const struct ebb_lifetimes *l, enum ebb_lifetime_end end);
double ebb_lifetimes_exposure_h(const struct ebb_lifetimes *l);
/* The name's index, added when it is new. */
int32_t ebb_names_add(struct ebb_names *n, const char *name);
int32_t ebb_names_find(const struct ebb_names *n, const char *name); /* -1: not there */

#endif
