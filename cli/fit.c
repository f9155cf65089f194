/* `ebb fit`: models of lifetimes from a table of VMs, compared. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/map.h"
#include "base/options.h"
#include "cli/fit_view.h"
#include "cli/json_out.h"
#include "cli/output_file.h"
#include "scheduler/core/fit_place.h"

extern const struct ebb_command ebb_command_fit;

#define MOST_BYTES ((size_t)512 << 20)

static const char *by;
static double cap_s;
static const char *score_path;
static const char *plot_path;
static bool as_json;

/* What rows are grouped by. */
struct keys {
    bool type, region, zone;
};

struct groups {
    struct ebb_fit_group *list;
    size_t count;
};

EBB_DEFINE_AUTO_PTR(map_auto, struct ebb_map, ebb_map_destroy)

static void groups_clean_up(struct groups *g)
{
    for (size_t i = 0; i < g->count; i++)
        ebb_fit_group_clean_up(&g->list[i]);
    free(g->list);
}

static int read_lifetimes(const char *path, struct ebb_lifetimes *ret, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    int rc = ebb_file_read(path, MOST_BYTES, &text, err);
    if (rc == 0)
        rc = ebb_lifetimes_read(ret, path, ebb_buffer_text(&text), text.len, err);
    if (rc == 0 && cap_s > 0)
        ebb_lifetimes_cap(ret, cap_s / 3600);
    return rc;
}

static int read_keys(const char *text, const struct ebb_lifetimes *l, struct keys *ret,
                     struct ebb_error *err)
{
    struct keys k = {0};
    const char *p = text;
    for (;;) {
        size_t len = strcspn(p, ",");
        if (len == 4 && strncmp(p, "type", len) == 0)
            k.type = true;
        else if (len == 4 && strncmp(p, "zone", len) == 0)
            k.zone = true;
        else if (len == 6 && strncmp(p, "region", len) == 0)
            k.region = true;
        else
            return ebb_error_set(
                err, EBB_ERR_INPUT,
                "--by %s: name one or more of type, region, zone, with commas between", text);
        if (p[len] == '\0')
            break;
        p += len + 1;
    }
    if ((k.type && l->types.count == 0) || ((k.zone || k.region) && l->zones.count == 0))
        return ebb_error_set(err, EBB_ERR_INPUT, "--by %s: the file has no column '%s'", text,
                             k.type && l->types.count == 0 ? "type" : "zone");
    *ret = k;
    return 0;
}

static void add_key(struct ebb_buffer *name, json_t *object, const char *key, const char *value)
{
    ebb_buffer_printf(name, "%s%s", name->len > 0 ? ", " : "", *value == '\0' ? "(none)" : value);
    (void)json_object_set_new(object, key, json_string(value));
}

/* The group's name of a row, malloc'ed; its keys into ret_by where that is not NULL. */
static char *group_name(const struct ebb_lifetimes *l, const struct keys *k, size_t row,
                        json_t **ret_by)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer name = {0};
    const struct ebb_lifetime *r = &l->rows[row];
    const char *zone = r->zone < 0 ? "" : l->zones.names[r->zone];
    json_t *object = json_object();
    EBB_AUTO_FREE char *region = ebb_region_of_zone(zone);
    if (k->type)
        add_key(&name, object, "type", r->type < 0 ? "" : l->types.names[r->type]);
    if (k->region)
        add_key(&name, object, "region", region);
    if (k->zone)
        add_key(&name, object, "zone", zone);
    if (ret_by != NULL)
        *ret_by = object;
    else
        json_decref(object);
    return ebb_buffer_take_text(&name);
}

struct filter {
    const int32_t *group_of_row;
    int32_t group;
};

static bool in_group(void *ctx, size_t row)
{
    const struct filter *f = ctx;
    return f->group_of_row[row] == f->group;
}

static int by_name(const void *a, const void *b)
{
    const struct ebb_fit_group *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* The groups by name; a group's number is one less than its value. */
static uintptr_t group_number(struct ebb_map *groups, const char *name, bool add)
{
    void *known = ebb_map_get(groups, name);
    if (known == NULL && add) {
        known = (void *)(uintptr_t)(ebb_map_count(groups) + 1);
        ebb_map_set(groups, name, known);
    }
    return (uintptr_t)known;
}

/* The number of each row's group, -1 for a group that is not there; with `add`, new ones are added.
 */
static int32_t *group_rows(const struct ebb_lifetimes *l, const struct keys *k,
                           struct ebb_map *groups, bool add)
{
    int32_t *of_row = ebb_alloc_array(l->count + 1, sizeof *of_row);
    for (size_t i = 0; i < l->count; i++) {
        EBB_AUTO_FREE char *name = group_name(l, k, i, NULL);
        of_row[i] = (int32_t)group_number(groups, name, add) - 1;
    }
    return of_row;
}

static void fit_group(struct ebb_fit_group *g, const struct ebb_lifetimes *score)
{
    struct ebb_fit_options o = {.cap_h = cap_s / 3600,
                                .score = score != NULL && score->count > 0 ? score : NULL};
    g->fitted = ebb_fit_compare(&g->lifetimes, &o, &g->comparison, NULL) == 0;
}

static void fit_groups(const struct ebb_lifetimes *l, const struct ebb_lifetimes *score,
                       const struct keys *k, struct groups *ret)
{
    EBB_AUTO(map_auto) struct ebb_map *names = ebb_map_new(NULL);
    EBB_AUTO_FREE int32_t *of_row = group_rows(l, k, names, true);
    EBB_AUTO_FREE int32_t *of_score = group_rows(score, k, names, false);
    ret->count = ebb_map_count(names);
    ret->list = ebb_alloc_array(ret->count, sizeof *ret->list);
    for (size_t i = 0; i < ret->count; i++) {
        struct ebb_fit_group *g = &ret->list[i];
        struct filter f = {of_row, (int32_t)i};
        size_t first = 0;
        while (of_row[first] != f.group)
            first++;
        g->name = group_name(l, k, first, &g->by);
        ebb_lifetimes_subset(&g->lifetimes, l, in_group, &f);
        struct ebb_lifetimes others;
        f.group_of_row = of_score;
        ebb_lifetimes_subset(&others, score, in_group, &f);
        fit_group(g, &others);
        ebb_lifetimes_clean_up(&others);
    }
    qsort(ret->list, ret->count, sizeof *ret->list, by_name);
}

static int write_plot(const struct ebb_fit_group *all, const struct groups *g,
                      struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer svg = {0};
    ebb_fit_plot(all, g->list, g->count, &svg);
    return ebb_output_file_write(plot_path, svg.data, svg.len, err);
}

static int print_json(const char *path, const struct ebb_fit_group *all, const struct groups *g)
{
    json_t *v = ebb_json_new("fit");
    (void)json_object_set_new(v, "file", json_string(path));
    ebb_fit_group_json(all, v);
    if (by != NULL) {
        json_t *list = json_array();
        for (size_t i = 0; i < g->count; i++) {
            json_t *one = json_object();
            ebb_fit_group_json(&g->list[i], one);
            (void)json_array_append_new(list, one);
        }
        (void)json_object_set_new(v, "groups", list);
    }
    return ebb_json_print(v);
}

static int print_text(const struct ebb_fit_group *all, const struct groups *g)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_fit_group_text(all, score_path != NULL, &out);
    if (g->count > 0) {
        ebb_buffer_append_text(&out, "\n");
        ebb_fit_groups_text(g->list, g->count, &out);
    }
    bool ok = fwrite(out.data, 1, out.len, stdout) == out.len && fflush(stdout) == 0;
    return ok ? 0 : 1;
}

static int fit_all(const char *path, struct ebb_fit_group *all, struct groups *g,
                   struct ebb_error *err)
{
    EBB_AUTO(ebb_lifetimes_clean_up) struct ebb_lifetimes score = {0};
    int rc = read_lifetimes(path, &all->lifetimes, err);
    if (rc == 0 && score_path != NULL)
        rc = read_lifetimes(score_path, &score, err);
    struct keys keys = {0};
    if (rc == 0 && by != NULL)
        rc = read_keys(by, &all->lifetimes, &keys, err);
    if (rc < 0)
        return rc;
    struct ebb_fit_options o = {.cap_h = cap_s / 3600, .score = score_path != NULL ? &score : NULL};
    rc = ebb_fit_compare(&all->lifetimes, &o, &all->comparison, err);
    if (rc < 0)
        return ebb_error_wrap(err, rc, "%s", path);
    all->fitted = true;
    if (by != NULL)
        fit_groups(&all->lifetimes, &score, &keys, g);
    return 0;
}

static int run(int argc, char **argv)
{
    (void)argc;
    struct ebb_error err = {0};
    EBB_AUTO(ebb_fit_group_clean_up) struct ebb_fit_group all = {0};
    EBB_AUTO(groups_clean_up) struct groups g = {0};
    int rc = ebb_output_file_check(plot_path, &err);
    if (rc == 0)
        rc = fit_all(argv[0], &all, &g, &err);
    if (rc == 0 && plot_path != NULL)
        rc = write_plot(&all, &g, &err);
    if (rc < 0)
        return ebb_command_fail(&err);
    return as_json ? print_json(argv[0], &all, &g) : print_text(&all, &g);
}

static const struct ebb_option options[] = {
    {.name = "by",
     .kind = EBB_OPTION_TEXT,
     .target = &by,
     .value = "type,zone",
     .help = "Also fit each group of VMs of equal type, region or zone."},
    {.name = "cap",
     .kind = EBB_OPTION_DURATION,
     .target = &cap_s,
     .least = 1,
     .value = "24h",
     .help =
         "The age at which the cloud ends every VM: a life that reached it ended by it. Without "
         "it, the lives that ended with `cap` say."},
    {.name = "score",
     .kind = EBB_OPTION_TEXT,
     .target = &score_path,
     .value = "FILE",
     .help = "The log-likelihood of these lifetimes under the fitted models."},
    {.name = "plot",
     .kind = EBB_OPTION_TEXT,
     .target = &plot_path,
     .value = "FILE",
     .help = "Draw survival and hazard by age (SVG)."},
    {.name = "json", .target = &as_json, .help = "Print one JSON value."},
    {.name = NULL},
};

const struct ebb_command ebb_command_fit = {
    .name = "fit",
    .arguments = "LIFETIMES.csv",
    .summary = "Fit models to lifetimes of VMs",
    .details = "The file has a header; `lifetime_s` and `end` (revoked, cap, stopped) are needed, "
               "`type`,\n`zone` and `launched` are used where they are there. docs/planner.md has "
               "the models.",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
