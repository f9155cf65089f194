/* HTTP parameters: a query string or a form body, decoded, in order. */
#ifndef EBB_CLOUD_EMULATOR_PARAMS_H
#define EBB_CLOUD_EMULATOR_PARAMS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define EBB_PARAMS_MAX 5000

struct ebb_param {
    char *name;
    char *value; /* "" when the parameter has none */
};

struct ebb_params {
    struct ebb_param *items;
    size_t count;
};

/* Adds the parameters of "a=b&c"; EBB_ERR_INPUT on a bad escape, a NUL or too many. */
int ebb_params_parse(struct ebb_params *p, const char *text, size_t len, struct ebb_error *err);
void ebb_params_add(struct ebb_params *p, const char *name, const char *value);
void ebb_params_clean_up(struct ebb_params *p);
/* NULL when absent. */
const char *ebb_params_get(const struct ebb_params *p, const char *name);
/* As above with a name made by printf: "Filter.%zu.Name". */
const char *ebb_params_getf(const struct ebb_params *p, const char *fmt, ...) EBB_PRINTF(2, 3);
/* True when some name begins so. */
bool ebb_params_has_prefix(const struct ebb_params *p, const char *prefix);

#endif
