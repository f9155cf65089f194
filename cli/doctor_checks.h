/* What `ebb doctor` looks at. Each check adds one finding: how it stands, and what to do. */
#ifndef EBB_CLI_DOCTOR_CHECKS_H
#define EBB_CLI_DOCTOR_CHECKS_H

#include <stddef.h>

#include "base/error.h"

enum ebb_finding_level {
    EBB_FINDING_OK,
    EBB_FINDING_NOTE,    /* nothing to do, unless it is wanted */
    EBB_FINDING_FAULT,   /* this machine: something will not work */
    EBB_FINDING_REFUSED, /* the cloud or the store refuses */
};

struct ebb_finding {
    enum ebb_finding_level level;
    char *what;   /* "object store" */
    char *state;  /* "s3://ebb: conditional puts are honoured, clock 0.1s ahead" */
    char *advice; /* NULL when there is nothing to do */
};

struct ebb_findings {
    struct ebb_finding *list;
    size_t count;
    size_t capacity;
};
void ebb_findings_clean_up(struct ebb_findings *f);
/* `state` and `advice` are taken over; advice may be NULL. */
void ebb_findings_add(struct ebb_findings *f, enum ebb_finding_level level, const char *what,
                      char *state, char *advice);

void ebb_check_libraries(struct ebb_findings *f);
void ebb_check_state_dir(struct ebb_findings *f);
void ebb_check_engines(struct ebb_findings *f);
/* The catalogue of prices in use, and how old it is. */
void ebb_check_prices(struct ebb_findings *f);
void ebb_check_gpu(struct ebb_findings *f);
void ebb_check_scheduler(struct ebb_findings *f);
/* `cloud` as in submit; the emulated one is not started for this. */
void ebb_check_cloud(const char *cloud, struct ebb_findings *f);
/* `url` NULL: the store in use here. */
void ebb_check_store(const char *cloud, const char *url, struct ebb_findings *f);

#endif
