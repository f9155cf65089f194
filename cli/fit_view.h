/* Fitted lifetimes as text, as JSON and as a picture. */
#ifndef EBB_CLI_FIT_VIEW_H
#define EBB_CLI_FIT_VIEW_H

#include <jansson.h>

#include "base/buffer.h"
#include "scheduler/core/fit_compare.h"

/* What was fitted, and under which name: all VMs, or those of one group. */
struct ebb_fit_group {
    char *name;                     /* "n1-highcpu-2, us-east1-b"; NULL: all */
    json_t *by;                     /* {"type": ..., "zone": ...}; NULL: all */
    struct ebb_lifetimes lifetimes; /* of the group */
    struct ebb_fit_comparison comparison;
    bool fitted; /* false: none of its VMs was revoked */
};

void ebb_fit_group_clean_up(struct ebb_fit_group *g);
/* Counts, a table of the models, the chosen one's parameters. */
void ebb_fit_group_text(const struct ebb_fit_group *g, bool scored, struct ebb_buffer *out);
/* One row a group: how many, Kaplan-Meier at some ages, the model chosen. */
void ebb_fit_groups_text(const struct ebb_fit_group *groups, size_t count, struct ebb_buffer *out);
/* Adds the group's fields to `object`. */
void ebb_fit_group_json(const struct ebb_fit_group *g, json_t *object);
/* Survival with bounds and the chosen model, hazard by age; with groups, the survival of each. */
void ebb_fit_plot(const struct ebb_fit_group *all, const struct ebb_fit_group *groups, size_t count,
                  struct ebb_buffer *out);

#endif
