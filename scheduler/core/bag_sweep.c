/* The sweep of a job group: a grid, a zip, or a CSV file. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/memory.h"
#include "base/text.h"
#include "scheduler/core/bag_parse.h"
#include "scheduler/core/spec_read.h"
#include "scheduler/core/sweep.h"

const char *ebb_bag_parameter_fault(const char *name)
{
    static const char *const taken[] = {
        "job",  "group", "index", "command", "state", "checkpoint_minutes", "checkpoint_seconds",
        "cpus", "step",  "zip",   "csv",     "grid"};
    if (!ebb_spec_is_word(name))
        return "may hold letters, digits and '_' alone, at most 64, a digit not first";
    for (size_t i = 0; i < EBB_ARRAY_LEN(taken); i++) {
        if (strcmp(taken[i], name) == 0)
            return "has a meaning of its own; take another name";
    }
    return NULL;
}

Ebb__Axis *ebb_bag_add_axis(Ebb__Sweep *s, const char *name)
{
    Ebb__Axis *axis = ebb_alloc(sizeof *axis);
    ebb__axis__init(axis);
    ebb_spec_set_text(&axis->name, name);
    s->axes = ebb_realloc_array(s->axes, s->n_axes + 1, sizeof *s->axes);
    s->axes[s->n_axes++] = axis;
    return axis;
}

static bool is_whole(ebb_bag_node *n)
{
    int64_t value;
    return n == NULL ||
           ebb_parse_int(ebb_yaml_scalar(n), -1000000000000, 1000000000000, &value, NULL) == 0;
}

/* Values that are printed with 12 digits must stay apart. */
static const char *range_fault(const Ebb__Axis *axis)
{
    double largest = fmax(fabs(axis->from), fabs(axis->to));
    if (axis->step == 0)
        return "step is 0";
    if ((axis->to - axis->from) / axis->step < 0)
        return axis->step > 0 ? "'to' is below 'from'; give a negative step"
                              : "'to' is above 'from'; give a positive step";
    if (fabs(axis->step) < largest * 1e-9)
        return "step is too small for numbers of this size";
    return NULL;
}

static void read_range(struct ebb_bag_parser *p, ebb_bag_node *n, Ebb__Axis *axis)
{
    static const char *const names[] = {"from", "to", "step"};
    if (!ebb_yaml_check_keys_in(p->y, n, axis->name, names, EBB_ARRAY_LEN(names)))
        return;
    ebb_bag_node *from = ebb_bag_need(p, n, axis->name, "from");
    ebb_bag_node *to = ebb_bag_need(p, n, axis->name, "to"), *step = ebb_yaml_get(n, "step");
    axis->is_range = true;
    axis->step = 1;
    if (from == NULL || to == NULL ||
        !ebb_yaml_read_double(p->y, from, "from", -1e15, 1e15, &axis->from) ||
        !ebb_yaml_read_double(p->y, to, "to", -1e15, 1e15, &axis->to) ||
        (step != NULL && !ebb_yaml_read_double(p->y, step, "step", -1e15, 1e15, &axis->step)))
        return;
    axis->is_integer = is_whole(from) && is_whole(to) && is_whole(step);
    const char *why = range_fault(axis);
    if (why != NULL)
        ebb_yaml_fault(p->y, n, "%s: %s", axis->name, why);
}

static void read_values(struct ebb_bag_parser *p, ebb_bag_node *n, Ebb__Axis *axis, bool unique)
{
    size_t count = ebb_yaml_count(n);
    if (count == 0)
        ebb_yaml_fault(p->y, n, "%s: the list is empty", axis->name);
    struct ebb_map *seen = ebb_map_new(NULL);
    axis->values = ebb_alloc_array(count + 1, sizeof *axis->values);
    for (size_t i = 0; i < count; i++) {
        const char *text = NULL;
        if (!ebb_yaml_read_text(p->y, ebb_yaml_item(n, i), axis->name, &text))
            continue;
        if (unique && ebb_map_get(seen, text) != NULL)
            ebb_yaml_fault(p->y, ebb_yaml_item(n, i), "%s: '%s' is given twice", axis->name, text);
        ebb_map_set(seen, text, axis);
        axis->values[axis->n_values++] = ebb_strdup(text);
    }
    ebb_map_destroy(seen);
}

static void read_axes(struct ebb_bag_parser *p, ebb_bag_node *n, Ebb__Sweep *s)
{
    if (ebb_yaml_kind(n) != EBB_YAML_MAPPING || ebb_yaml_count(n) == 0) {
        ebb_yaml_fault(p->y, n,
                       "sweep: expected parameters with their values, such as "
                       "{temperature: [290, 300], seed: {from: 1, to: 4}}");
        return;
    }
    for (size_t i = 0; i < ebb_yaml_count(n); i++) {
        ebb_bag_node *key = ebb_yaml_key(n, i), *value = ebb_yaml_value(n, i);
        const char *name = ebb_yaml_scalar(key), *why = ebb_bag_parameter_fault(name);
        if (why != NULL) {
            ebb_yaml_fault(p->y, key, "sweep: parameter '%s' %s", name, why);
            continue;
        }
        Ebb__Axis *axis = ebb_bag_add_axis(s, name);
        if (ebb_yaml_kind(value) == EBB_YAML_MAPPING)
            read_range(p, value, axis);
        else if (ebb_yaml_kind(value) == EBB_YAML_SEQUENCE)
            read_values(p, value, axis, s->mode == EBB__SWEEP__MODE__GRID);
        else
            ebb_yaml_fault(p->y, value,
                           "%s: expected a list of values or {from, to, step}, not "
                           "'%s'",
                           name, ebb_yaml_scalar(value));
    }
}

void ebb_bag_read_sweep(struct ebb_bag_parser *p, ebb_bag_node *n, Ebb__JobGroup *g)
{
    Ebb__Sweep *s = g->sweep = ebb_alloc(sizeof *s);
    ebb__sweep__init(s);
    bool is_map = ebb_yaml_kind(n) == EBB_YAML_MAPPING;
    ebb_bag_node *zip = is_map ? ebb_yaml_get(n, "zip") : NULL;
    ebb_bag_node *csv = is_map ? ebb_yaml_get(n, "csv") : NULL;
    ebb_bag_node *grid = is_map ? ebb_yaml_get(n, "grid") : NULL;
    size_t before = ebb_yaml_fault_count(p->y);
    if ((zip != NULL || csv != NULL || grid != NULL) && ebb_yaml_count(n) != 1) {
        ebb_yaml_fault(p->y, n, "sweep: zip, csv and grid stand alone in a sweep");
    } else if (zip != NULL) {
        s->mode = EBB__SWEEP__MODE__ZIP;
        read_axes(p, zip, s);
    } else if (csv != NULL) {
        const char *path = NULL;
        s->mode = EBB__SWEEP__MODE__ZIP;
        if (ebb_yaml_read_text(p->y, csv, "csv", &path))
            ebb_bag_read_csv(p, csv, path, s);
    } else {
        read_axes(p, grid != NULL ? grid : n, s);
    }
    struct ebb_error err = {0};
    uint64_t count = 0;
    if (ebb_yaml_fault_count(p->y) != before)
        return;
    if (ebb_sweep_count(s, &count, &err) < 0 || ebb_bag_check_names(g, &err) < 0)
        ebb_yaml_fault(p->y, n, "sweep: %s", err.text);
}
