/* `ebb checkpoint ls`: which jobs have checkpoints, and how far they are. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/options.h"
#include "base/text.h"
#include "cli/checkpoint_target.h"
#include "cli/json_out.h"
#include "cli/table.h"

extern const struct ebb_command ebb_command_checkpoint_ls;

static bool as_json;

static void add_row(struct ebb_table *t, const char *root, struct ebb_lineage *l)
{
    const Ebb__Head *h = ebb_lineage_head(l);
    if (h == NULL)
        return;
    EBB_AUTO(ebb_auto_unpacked_manifest) Ebb__Manifest *m = NULL;
    struct ebb_error err = {0};
    int rc = h->sequence > 0 ? ebb_lineage_manifest(l, false, &m, &err) : 0;
    char step[32] = "-", size[EBB_QUANTITY_TEXT_SIZE] = "-", time[EBB_TIME_TEXT_SIZE];
    uint64_t bytes = 0;
    for (size_t i = 0; m != NULL && i < m->n_files; i++)
        bytes += m->files[i]->size_bytes;
    if (m != NULL)
        ebb_format_size(bytes, size);
    if (m != NULL && m->step >= 0)
        (void)snprintf(step, sizeof step, "%" PRId64, m->step);
    ebb_table_row(t, "%s\t%" PRIu64 "\t%" PRIu64 "\t%s\t%s\t%s\t%s\t%s", root, h->sequence,
                  h->epoch, step, size,
                  rc < 0     ? "damaged"
                  : h->final ? "final"
                             : "current",
                  ebb_time_format(h->wall_ns, time), h->owner);
}

static void add_value(json_t *list, const char *root, struct ebb_lineage *l)
{
    const Ebb__Head *h = ebb_lineage_head(l);
    if (h == NULL)
        return;
    json_t *o = ebb_json_of_message(&h->base);
    (void)json_object_set_new(o, "root", json_string(root));
    EBB_AUTO(ebb_auto_unpacked_manifest) Ebb__Manifest *m = NULL;
    struct ebb_error err = {0};
    if (h->sequence > 0 && ebb_lineage_manifest(l, false, &m, &err) < 0)
        (void)json_object_set_new(o, "fault", json_string(err.text));
    if (m != NULL)
        (void)json_object_set_new(o, "step", json_integer(m->step));
    (void)json_array_append_new(list, o);
}

static int run(int argc, char **argv)
{
    (void)argc;
    struct ebb_error err = {0};
    EBB_AUTO(ebb_checkpoint_target_clean_up) struct ebb_checkpoint_target t = {0};
    if (ebb_checkpoint_target_open(argv[0], &t, &err) < 0)
        return ebb_command_fail(&err);
    struct ebb_table *table =
        ebb_table_new("*job\t>checkpoint\t>epoch\t>step\t>size\tstate\tat\towner");
    json_t *list = json_array();
    int status = 0;
    for (size_t i = 0; i < t.count; i++) {
        EBB_AUTO(ebb_auto_lineage) struct ebb_lineage *l = NULL;
        if (ebb_lineage_open(t.store, t.roots[i], &l, &err) < 0) {
            status = ebb_command_fail(&err);
            continue;
        }
        if (as_json)
            add_value(list, t.roots[i], l);
        else
            add_row(table, t.roots[i], l);
    }
    if (as_json) {
        json_t *v = ebb_json_new("checkpoint_ls");
        (void)json_object_set_new(v, "store", json_string(ebb_object_store_url(t.store)));
        (void)json_object_set(v, "lineages", list);
        if (ebb_json_print(v) != 0)
            status = 1;
    } else {
        ebb_table_print(table);
    }
    json_decref(list);
    ebb_table_destroy(table);
    return status;
}

static const struct ebb_option options[] = {
    {.name = "json", .kind = EBB_OPTION_FLAG, .target = &as_json, .help = "Print one JSON value."},
    {0},
};

const struct ebb_command ebb_command_checkpoint_ls = {
    .name = "checkpoint ls",
    .arguments = "TARGET",
    .summary = "List the jobs that have checkpoints, and how far they are",
    .details = EBB_CHECKPOINT_TARGET_HELP " Here it may also be a BAG, or a whole store.",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
