/* The bag file, top level: the document, its few scalars, the groups, the profiles they name.
 * Faults are collected, so that one run shows them all; a spec is returned only without any. */
#include "scheduler/core/bag.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "scheduler/core/bag_parse.h"
#include "scheduler/core/profile.h"
#include "scheduler/core/spec_read.h"

ebb_bag_node *ebb_bag_need(struct ebb_bag_parser *p, ebb_bag_node *n, const char *where,
                           const char *key)
{
    ebb_bag_node *value = ebb_yaml_get(n, key);
    if (value == NULL)
        ebb_yaml_fault(p->y, n, "%s lacks '%s'", where, key);
    return value;
}

bool ebb_bag_is_store(const char *url)
{
    return (ebb_starts_with(url, "s3://") && url[5] != '\0' && url[5] != '/') ||
           (ebb_starts_with(url, "file:///") && url[8] != '\0');
}

static void read_store(struct ebb_bag_parser *p, ebb_bag_node *n)
{
    if (n != NULL && ebb_spec_text(p->y, n, "store", &p->spec->store_url) &&
        !ebb_bag_is_store(p->spec->store_url))
        ebb_yaml_fault(p->y, n, "store: '%s' is neither s3://bucket/prefix nor file:///directory",
                       p->spec->store_url);
}

static void read_limits(struct ebb_bag_parser *p, ebb_bag_node *root)
{
    ebb_bag_node *deadline = ebb_yaml_get(root, "deadline");
    ebb_bag_node *budget = ebb_yaml_get(root, "budget");
    if (deadline != NULL &&
        ebb_yaml_read_duration(p->y, deadline, "deadline", &p->spec->deadline_s) &&
        !(p->spec->deadline_s > 0))
        ebb_yaml_fault(p->y, deadline, "deadline: '%s' is not more than nothing",
                       ebb_yaml_scalar(deadline));
    if (budget != NULL && ebb_yaml_read_usd(p->y, budget, "budget", &p->spec->budget_usd_micros) &&
        p->spec->budget_usd_micros <= 0)
        ebb_yaml_fault(p->y, budget, "budget: '%s' is not more than nothing",
                       ebb_yaml_scalar(budget));
}

static void read_groups(struct ebb_bag_parser *p, ebb_bag_node *n)
{
    if (n == NULL)
        return;
    if (ebb_yaml_kind(n) != EBB_YAML_SEQUENCE || ebb_yaml_count(n) == 0) {
        ebb_yaml_fault(p->y, n,
                       "jobs: expected a list of at least one job group, each with a name "
                       "and a command");
        return;
    }
    size_t count = ebb_yaml_count(n);
    p->spec->groups = ebb_alloc_array(count, sizeof *p->spec->groups);
    p->group_nodes = ebb_alloc_array(count, sizeof *p->group_nodes);
    for (size_t i = 0; i < count; i++)
        ebb_bag_read_group(p, ebb_yaml_item(n, i));
}

static bool has_profile(const Ebb__BagSpec *spec, const char *name)
{
    for (size_t i = 0; i < spec->n_profiles; i++) {
        if (strcmp(spec->profiles[i]->name, name) == 0)
            return true;
    }
    return false;
}

static void unknown_engine(struct ebb_bag_parser *p, ebb_bag_node *at, const char *name)
{
    const char *const *names = ebb_profile_builtin_names();
    size_t count = 0;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer all = {0};
    for (; names[count] != NULL; count++)
        ebb_buffer_printf(&all, "%s%s", count == 0 ? "" : ", ", names[count]);
    const char *near = ebb_nearest_name(name, names, count);
    if (near != NULL)
        ebb_yaml_fault(p->y, at, "engine: no profile '%s', did you mean '%s'?", name, near);
    else
        ebb_yaml_fault(p->y, at, "engine: no profile '%s' (there are %s)", name,
                       ebb_buffer_text(&all));
}

char *ebb_bag_file_text(const struct ebb_bag_parser *p, const char *path, size_t *ret_len,
                        struct ebb_error *err)
{
    if (p->sources != NULL)
        return p->sources->file(p->sources->ctx, path, ret_len, err);
    ebb_error_set(err, EBB_ERR_NOT_FOUND, "%s: the bag comes without files", path);
    return NULL;
}

/* The bag's own profile, else the built-in one; NULL with EBB_ERR_NOT_FOUND when there is neither.
 */
static char *profile_text(const struct ebb_bag_parser *p, const char *name, size_t *ret_len,
                          struct ebb_error *err)
{
    if (ebb_spec_is_inside(name)) {
        EBB_AUTO_FREE char *path = ebb_sprintf("profiles/%s.yaml", name);
        char *own = ebb_bag_file_text(p, path, ret_len, err);
        if (own != NULL || (err->code != EBB_ERR_NOT_FOUND && err->sys_errno != ENOTDIR))
            return own;
    }
    const char *builtin = ebb_profile_builtin(name, ret_len);
    if (builtin == NULL)
        ebb_error_set(err, EBB_ERR_NOT_FOUND, "no profile '%s'", name);
    return builtin == NULL ? NULL : ebb_strndup(builtin, *ret_len);
}

static void add_profile(struct ebb_bag_parser *p, ebb_bag_node *at, const char *name)
{
    size_t len = 0;
    struct ebb_error err = {0};
    EBB_AUTO_FREE char *text = profile_text(p, name, &len, &err);
    if (text == NULL && err.code == EBB_ERR_NOT_FOUND)
        unknown_engine(p, at, name);
    else if (text == NULL)
        ebb_yaml_fault(p->y, at, "engine: %s", err.text);
    if (text == NULL)
        return;
    Ebb__Profile *profile = NULL;
    EBB_AUTO_FREE char *file = ebb_sprintf("profile %s", name);
    if (ebb_profile_parse(file, text, len, &profile, NULL, &err) < 0) {
        ebb_yaml_fault(p->y, at, "engine: %s", err.text);
        return;
    }
    ebb_spec_set_text(&profile->name, name);
    p->spec->profiles =
        ebb_realloc_array(p->spec->profiles, p->spec->n_profiles + 1, sizeof *p->spec->profiles);
    p->spec->profiles[p->spec->n_profiles++] = profile;
}

static void read_profiles(struct ebb_bag_parser *p)
{
    for (size_t g = 0; g < p->spec->n_groups; g++) {
        const char *engine = p->spec->groups[g]->engine;
        ebb_bag_node *at = ebb_yaml_get(p->group_nodes[g], "engine");
        if (engine[0] != '\0' && !has_profile(p->spec, engine))
            add_profile(p, at != NULL ? at : p->group_nodes[g], engine);
    }
}

static void read_root(struct ebb_bag_parser *p, ebb_bag_node *root)
{
    static const char *const names[] = {"name", "store", "deadline", "budget", "jobs"};
    if (!ebb_yaml_check_keys_in(p->y, root, "a bag", names, EBB_ARRAY_LEN(names)))
        return;
    ebb_bag_node *name = ebb_bag_need(p, root, "the bag", "name");
    if (name != NULL && ebb_spec_text(p->y, name, "name", &p->spec->name) &&
        !ebb_spec_is_name(p->spec->name))
        ebb_yaml_fault(p->y, name,
                       "name: '%s' may hold letters, digits, '_', '.', '-' alone, at most 64",
                       p->spec->name);
    read_store(p, ebb_yaml_get(root, "store"));
    read_limits(p, root);
    read_groups(p, ebb_bag_need(p, root, "the bag", "jobs"));
    read_profiles(p);
    ebb_bag_check_groups(p);
}

/* One line in both places, for faults that come before there is a document to hold them. */
static int fail_early(int rc, struct ebb_buffer *faults, const struct ebb_error *e,
                      struct ebb_error *err)
{
    if (faults != NULL)
        ebb_buffer_printf(faults, "%s\n", e->text);
    if (err != NULL)
        ebb_error_copy(err, e);
    return rc;
}

int ebb_bag_parse(const char *file_name, const char *text, size_t len,
                  const struct ebb_bag_sources *sources, Ebb__BagSpec **ret,
                  struct ebb_buffer *faults, struct ebb_error *err)
{
    struct ebb_bag_parser p = {.sources = sources};
    struct ebb_error early = {0};
    int rc = ebb_yaml_parse(file_name, text, len, &p.y, &early);
    if (rc < 0)
        return fail_early(rc, faults, &early, err);
    p.spec = ebb_alloc(sizeof *p.spec);
    ebb__bag_spec__init(p.spec);
    if (ebb_yaml_root(p.y) == NULL) {
        rc = ebb_error_set(&early, EBB_ERR_INPUT,
                           "%s:1:1: the bag is empty; it needs 'name' and 'jobs'", file_name);
        fail_early(rc, faults, &early, err);
    } else {
        read_root(&p, ebb_yaml_root(p.y));
        rc = ebb_yaml_faults(p.y, faults, err);
    }
    ebb_yaml_destroy(p.y);
    free(p.group_nodes);
    if (rc < 0)
        ebb__bag_spec__free_unpacked(p.spec, NULL);
    else
        *ret = p.spec;
    return rc;
}
