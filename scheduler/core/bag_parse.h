/* The parts of the bag parser, for the files that make it up. */
#ifndef EBB_SCHEDULER_CORE_BAG_PARSE_H
#define EBB_SCHEDULER_CORE_BAG_PARSE_H

#include "base/yaml.h"
#include "scheduler/core/bag.h"

typedef const struct ebb_yaml_node ebb_bag_node;

struct ebb_bag_parser {
    struct ebb_yaml *y;
    const struct ebb_bag_sources *sources;
    Ebb__BagSpec *spec;
    ebb_bag_node **group_nodes; /* of spec->groups, for the place of a fault */
};

/* The value of a key, or NULL after a fault at the mapping. */
ebb_bag_node *ebb_bag_need(struct ebb_bag_parser *p, ebb_bag_node *n, const char *where,
                           const char *key);
/* Each records faults in p->y. */
void ebb_bag_read_group(struct ebb_bag_parser *p, ebb_bag_node *n);
void ebb_bag_read_sweep(struct ebb_bag_parser *p, ebb_bag_node *n, Ebb__JobGroup *g);
void ebb_bag_read_files(struct ebb_bag_parser *p, ebb_bag_node *n, Ebb__JobGroup *g);
void ebb_bag_read_outputs(struct ebb_bag_parser *p, ebb_bag_node *n, Ebb__JobGroup *g);
/* The text of a file beside the bag, malloc'ed, or NULL with err set. */
char *ebb_bag_file_text(const struct ebb_bag_parser *p, const char *path, size_t *ret_len,
                        struct ebb_error *err);
/* Columns of a CSV file become the axes of a zip. Returns the sweep's axes in g->sweep. */
void ebb_bag_read_csv(struct ebb_bag_parser *p, ebb_bag_node *n, const char *path, Ebb__Sweep *s);
/* What needs all groups at once: names, needs, cycles, templates, names of jobs. */
void ebb_bag_check_groups(struct ebb_bag_parser *p);

/* Parameter names: words that mean nothing else in a template. NULL: it may be used; otherwise
 * why not. */
const char *ebb_bag_parameter_fault(const char *name);
Ebb__Axis *ebb_bag_add_axis(Ebb__Sweep *s, const char *name);
/* The groups of a cycle as "a needs b needs a" in `out`; false: none. */
bool ebb_bag_find_cycle(const Ebb__BagSpec *spec, size_t *ret_group, struct ebb_buffer *out);
/* Index of the group called so; spec->n_groups: none. */
size_t ebb_bag_group_index(const Ebb__BagSpec *spec, const char *name);
/* EBB_ERR_INPUT when two jobs of the group would have one name, or a name would be too long. */
int ebb_bag_check_names(const Ebb__JobGroup *g, struct ebb_error *err);
/* ${name}s of a command: parameters, what the profile fills in, the environment, or the shell's
 * own (upper case). */
int ebb_bag_check_template(const Ebb__JobGroup *g, const char *text, bool resume,
                           struct ebb_error *err);

#endif
