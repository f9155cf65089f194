/* What holds for a bag as a whole: each name once, needs known and without a cycle, templates that
 * can be filled in. The parser says where a fault stands in the file; ebb_bag_check says the same
 * of a spec that came over a wire or from a log, and checks besides what the parser's types give.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/memory.h"
#include "base/text.h"
#include "scheduler/core/bag_parse.h"
#include "scheduler/core/spec_read.h"
#include "scheduler/core/sweep.h"

#define LONGEST_JOB_NAME 200 /* a directory's name may have 255 bytes */
#define MOST_JOBS        10000000u

size_t ebb_bag_group_index(const Ebb__BagSpec *spec, const char *name)
{
    size_t g = 0;
    while (g < spec->n_groups && strcmp(spec->groups[g]->name, name) != 0)
        g++;
    return g;
}

static size_t longest_value(const Ebb__Axis *axis)
{
    if (axis->is_range)
        return 24;
    size_t longest = 0;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    for (size_t i = 0; i < axis->n_values; i++) {
        ebb_buffer_reset(&b);
        ebb_percent_encode(&b, axis->values[i], strlen(axis->values[i]), false);
        longest = b.len > longest ? b.len : longest;
    }
    return longest;
}

static int name_twice(struct ebb_error *err, const char *name)
{
    return ebb_error_set(err, EBB_ERR_INPUT, "two jobs would be called '%s'", name);
}

static int check_zip_rows(const Ebb__JobGroup *g, uint64_t count, struct ebb_error *err)
{
    for (size_t a = 0; a < g->sweep->n_axes; a++) {
        if (g->sweep->axes[a]->is_range)
            return 0; /* a range repeats nothing */
    }
    struct ebb_map *seen = ebb_map_new(NULL);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer name = {0};
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < count; i++) {
        ebb_buffer_reset(&name);
        ebb_job_name(g, i, &name);
        if (ebb_map_get(seen, ebb_buffer_text(&name)) != NULL)
            rc = name_twice(err, ebb_buffer_text(&name));
        ebb_map_set(seen, ebb_buffer_text(&name), seen);
    }
    ebb_map_destroy(seen);
    return rc;
}

static int check_grid_values(const Ebb__JobGroup *g, struct ebb_error *err)
{
    int rc = 0;
    for (size_t a = 0; rc == 0 && a < g->sweep->n_axes; a++) {
        const Ebb__Axis *axis = g->sweep->axes[a];
        struct ebb_map *seen = ebb_map_new(NULL);
        for (size_t i = 0; rc == 0 && !axis->is_range && i < axis->n_values; i++) {
            if (ebb_map_get(seen, axis->values[i]) != NULL)
                rc = ebb_error_set(err, EBB_ERR_INPUT, "%s: '%s' is given twice", axis->name,
                                   axis->values[i]);
            ebb_map_set(seen, axis->values[i], seen);
        }
        ebb_map_destroy(seen);
    }
    return rc;
}

int ebb_bag_check_names(const Ebb__JobGroup *g, struct ebb_error *err)
{
    size_t longest = strlen(g->name);
    uint64_t count = 0;
    if (g->sweep == NULL)
        return 0;
    for (size_t a = 0; a < g->sweep->n_axes; a++)
        longest += 2 + strlen(g->sweep->axes[a]->name) + longest_value(g->sweep->axes[a]);
    if (longest > LONGEST_JOB_NAME)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "job names, made of the parameters, would have up to %zu characters "
                             "(at most %d); take shorter values",
                             longest, LONGEST_JOB_NAME);
    int rc = ebb_sweep_count(g->sweep, &count, err);
    if (rc < 0)
        return rc;
    return g->sweep->mode == EBB__SWEEP__MODE__ZIP ? check_zip_rows(g, count, err)
                                                   : check_grid_values(g, err);
}

struct names {
    const Ebb__JobGroup *g;
    bool resume;
};

static bool is_upper_case(const char *name)
{
    for (; *name != '\0'; name++) {
        if (islower((unsigned char)*name))
            return false;
    }
    return true;
}

/* Names that somebody else will fill in: the profile, the environment, the shell. */
static bool is_filled_later(void *ctx, const char *name, struct ebb_buffer *out)
{
    const struct names *n = ctx;
    (void)out;
    if (strcmp(name, "cpus") == 0 || strcmp(name, "checkpoint_minutes") == 0 ||
        strcmp(name, "checkpoint_seconds") == 0)
        return true;
    if (n->resume && (strcmp(name, "state") == 0 || strcmp(name, "command") == 0))
        return true;
    for (size_t i = 0; i < n->g->n_environment; i++) {
        if (strcmp(n->g->environment[i]->key, name) == 0)
            return true;
    }
    return is_upper_case(name);
}

int ebb_bag_check_template(const Ebb__JobGroup *g, const char *text, bool resume,
                           struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    struct names names = {g, resume};
    return ebb_job_fill(g, 0, text, true, is_filled_later, &names, &out, err);
}

static bool visit(const Ebb__BagSpec *spec, size_t g, uint8_t *mark, size_t *path, size_t depth,
                  size_t *ret_depth, size_t *ret_start)
{
    mark[g] = 1;
    path[depth] = g;
    for (size_t i = 0; i < spec->groups[g]->n_needs; i++) {
        size_t next = ebb_bag_group_index(spec, spec->groups[g]->needs[i]);
        if (next >= spec->n_groups || mark[next] == 2)
            continue;
        if (mark[next] == 1) {
            *ret_depth = depth + 1;
            *ret_start = next;
            return true;
        }
        if (visit(spec, next, mark, path, depth + 1, ret_depth, ret_start))
            return true;
    }
    mark[g] = 2;
    return false;
}

bool ebb_bag_find_cycle(const Ebb__BagSpec *spec, size_t *ret_group, struct ebb_buffer *out)
{
    EBB_AUTO_FREE uint8_t *mark = ebb_alloc(spec->n_groups + 1);
    EBB_AUTO_FREE size_t *path = ebb_alloc_array(spec->n_groups + 1, sizeof *path);
    size_t depth = 0, start = 0, at = 0;
    bool found = false;
    for (size_t g = 0; !found && g < spec->n_groups; g++)
        found = mark[g] == 0 && visit(spec, g, mark, path, 0, &depth, &start);
    if (!found)
        return false;
    while (path[at] != start)
        at++;
    *ret_group = start;
    for (; at < depth; at++)
        ebb_buffer_printf(out, "'%s' needs ", spec->groups[path[at]]->name);
    ebb_buffer_printf(out, "'%s'", spec->groups[start]->name);
    return true;
}

/* ---- with places in the file ---- */

static void unknown_group(struct ebb_bag_parser *p, ebb_bag_node *at, const char *what,
                          const char *name)
{
    size_t n = p->spec->n_groups;
    EBB_AUTO_FREE const char **names = ebb_alloc_array(n + 1, sizeof *names);
    for (size_t i = 0; i < n; i++)
        names[i] = p->spec->groups[i]->name;
    const char *near = ebb_nearest_name(name, names, n);
    if (near != NULL)
        ebb_yaml_fault(p->y, at, "%s: no job group '%s', did you mean '%s'?", what, name, near);
    else
        ebb_yaml_fault(p->y, at, "%s: no job group '%s'", what, name);
}

static void check_needs(struct ebb_bag_parser *p, size_t g)
{
    const Ebb__JobGroup *group = p->spec->groups[g];
    ebb_bag_node *n = ebb_yaml_get(p->group_nodes[g], "needs");
    for (size_t i = 0; i < group->n_needs; i++) {
        ebb_bag_node *at = ebb_yaml_kind(n) == EBB_YAML_SEQUENCE && i < ebb_yaml_count(n)
                               ? ebb_yaml_item(n, i)
                               : n;
        if (ebb_bag_group_index(p->spec, group->needs[i]) >= p->spec->n_groups)
            unknown_group(p, at, "needs", group->needs[i]);
        for (size_t k = 0; k < i; k++) {
            if (strcmp(group->needs[k], group->needs[i]) == 0)
                ebb_yaml_fault(p->y, at, "needs: '%s' is given twice", group->needs[i]);
        }
    }
}

static bool makes_file(const Ebb__JobGroup *from, const char *file)
{
    for (size_t i = 0; i < from->n_outputs; i++) {
        const char *pattern = from->outputs[i]->pattern;
        if (strcmp(pattern, file) == 0 || ebb_glob_match(pattern, file) ||
            ebb_glob_match(file, pattern))
            return true;
    }
    return false;
}

static void check_files(struct ebb_bag_parser *p, ebb_bag_node *at, const Ebb__JobGroup *from,
                        const Ebb__Input *in)
{
    EBB_AUTO_FREE const char **names = ebb_alloc_array(from->n_outputs + 1, sizeof *names);
    for (size_t i = 0; i < from->n_outputs; i++)
        names[i] = from->outputs[i]->pattern;
    if (from->n_outputs == 0)
        ebb_yaml_fault(p->y, at, "inputs: job group '%s' has no outputs", from->name);
    for (size_t i = 0; from->n_outputs > 0 && i < in->n_files; i++) {
        if (makes_file(from, in->files[i]))
            continue;
        const char *near = ebb_nearest_name(in->files[i], names, from->n_outputs);
        ebb_yaml_fault(p->y, at, "inputs: '%s' is no output of job group '%s'%s%s%s", in->files[i],
                       from->name, near != NULL ? ", did you mean '" : "", near != NULL ? near : "",
                       near != NULL ? "'?" : "");
    }
}

static void add_need(Ebb__JobGroup *g, const char *name)
{
    for (size_t i = 0; i < g->n_needs; i++) {
        if (strcmp(g->needs[i], name) == 0)
            return;
    }
    g->needs = ebb_realloc_array(g->needs, g->n_needs + 1, sizeof *g->needs);
    g->needs[g->n_needs++] = ebb_strdup(name);
}

/* An input from a group is a need, said or not. */
static void check_inputs(struct ebb_bag_parser *p, size_t g)
{
    Ebb__JobGroup *group = p->spec->groups[g];
    ebb_bag_node *n = ebb_yaml_get(p->group_nodes[g], "inputs");
    for (size_t i = 0; i < group->n_inputs; i++) {
        const Ebb__Input *in = group->inputs[i];
        if (in->from_group[0] == '\0')
            continue;
        size_t from = ebb_bag_group_index(p->spec, in->from_group);
        ebb_bag_node *at = ebb_yaml_get(ebb_yaml_item(n, i), "from");
        if (from >= p->spec->n_groups) {
            unknown_group(p, at, "inputs.from", in->from_group);
            continue;
        }
        check_files(p, ebb_yaml_item(n, i), p->spec->groups[from], in);
        add_need(group, in->from_group);
    }
}

static void check_templates(struct ebb_bag_parser *p, size_t g)
{
    const Ebb__JobGroup *group = p->spec->groups[g];
    const struct {
        const char *key, *text;
    } templates[] = {{"setup", group->setup},
                     {"command", group->command},
                     {"resume_command", group->resume_command}};
    for (size_t i = 0; i < EBB_ARRAY_LEN(templates); i++) {
        struct ebb_error err = {0};
        if (ebb_bag_check_template(group, templates[i].text, i == 2, &err) < 0)
            ebb_yaml_fault(p->y, ebb_yaml_get(p->group_nodes[g], templates[i].key), "%s: %s",
                           templates[i].key, err.text);
    }
}

/* A bound on what the profile calls state would lose what a restart needs. */
static void check_packing(struct ebb_bag_parser *p, size_t g)
{
    const Ebb__JobGroup *group = p->spec->groups[g];
    ebb_bag_node *n = ebb_yaml_get(p->group_nodes[g], "outputs");
    const Ebb__Profile *profile = NULL;
    for (size_t i = 0; i < p->spec->n_profiles; i++)
        if (strcmp(p->spec->profiles[i]->name, group->engine) == 0)
            profile = p->spec->profiles[i];
    for (size_t i = 0; i < group->n_outputs && profile != NULL && profile->state != NULL; i++) {
        const Ebb__Output *o = group->outputs[i];
        for (size_t k = 0; o->pack != NULL && o->pack->error > 0 && k < profile->state->n_files;
             k++)
            if (ebb_glob_match(profile->state->files[k], o->pattern))
                ebb_yaml_fault(p->y, ebb_yaml_item(n, i),
                               "outputs.pack.error: '%s' is restart state of profile %s ('%s'), "
                               "which must come back bit for bit",
                               o->pattern, profile->name, profile->state->files[k]);
    }
}

static void check_profile_use(struct ebb_bag_parser *p, size_t g)
{
    static const char *const keys[] = {"resume_command", "checkpoint_interval"};
    const Ebb__JobGroup *group = p->spec->groups[g];
    for (size_t i = 0; i < p->spec->n_profiles; i++) {
        if (strcmp(p->spec->profiles[i]->name, group->engine) != 0 ||
            p->spec->profiles[i]->checkpoints)
            continue;
        for (size_t k = 0; k < EBB_ARRAY_LEN(keys); k++) {
            ebb_bag_node *at = ebb_yaml_get(p->group_nodes[g], keys[k]);
            if (at != NULL)
                ebb_yaml_fault(p->y, at, "%s: engine '%s' makes no checkpoints", keys[k],
                               group->engine);
        }
    }
}

static void number_jobs(struct ebb_bag_parser *p)
{
    uint64_t first = 0;
    for (size_t g = 0; g < p->spec->n_groups; g++) {
        Ebb__JobGroup *group = p->spec->groups[g];
        uint64_t count = 0;
        if (ebb_sweep_count(group->sweep, &count, NULL) < 0)
            count = 0; /* its fault is recorded */
        group->first_job = first;
        group->job_count = count;
        first += count;
    }
    if (first > MOST_JOBS)
        ebb_yaml_fault(p->y, ebb_yaml_get(ebb_yaml_root(p->y), "jobs"),
                       "jobs: the bag has %llu jobs, over %u; split it", (unsigned long long)first,
                       MOST_JOBS);
}

void ebb_bag_check_groups(struct ebb_bag_parser *p)
{
    size_t before = ebb_yaml_fault_count(p->y);
    for (size_t g = 0; g < p->spec->n_groups; g++) {
        const char *name = p->spec->groups[g]->name;
        if (name[0] != '\0' && ebb_bag_group_index(p->spec, name) != g)
            ebb_yaml_fault(p->y, ebb_yaml_get(p->group_nodes[g], "name"),
                           "name: there is a job group '%s' already", name);
        check_needs(p, g);
        check_inputs(p, g);
        check_profile_use(p, g);
        check_packing(p, g);
        check_templates(p, g);
    }
    number_jobs(p);
    size_t at = 0;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer cycle = {0};
    if (ebb_yaml_fault_count(p->y) == before && ebb_bag_find_cycle(p->spec, &at, &cycle))
        ebb_yaml_fault(p->y, p->group_nodes[at], "needs: %s; none of them could start",
                       ebb_buffer_text(&cycle));
}
