/* `ebb checkpoint verify`: reads everything back and checks every hash. */
#include <inttypes.h>
#include <stdio.h>

#include "base/options.h"
#include "base/text.h"
#include "cli/checkpoint_target.h"
#include "cli/json_out.h"

extern const struct ebb_command ebb_command_checkpoint_verify;

static bool as_json;

static void on_fault(void *ctx, const char *fault)
{
    json_t *faults = ctx;
    (void)json_array_append_new(faults, json_string(fault));
    if (!as_json)
        (void)printf("  fault: %s\n", fault);
}

/* One lineage; 0, or EBB_ERR_CORRUPT, or the store's failure. */
static int verify_one(const struct ebb_checkpoint_target *t, const char *root, json_t *list,
                      uint64_t *bytes, struct ebb_error *err)
{
    EBB_AUTO(ebb_auto_lineage) struct ebb_lineage *l = NULL;
    json_t *faults = json_array();
    uint64_t read = 0;
    int rc = ebb_lineage_open(t->store, root, &l, err);
    if (rc == EBB_ERR_CORRUPT)
        on_fault(faults, err->text);
    else if (rc == 0)
        rc = ebb_lineage_verify(l, on_fault, faults, &read, err);
    *bytes += read;
    if (!as_json)
        (void)printf("%s: %s\n", root, rc == 0 ? "good" : "damaged");
    (void)json_array_append_new(list,
                                json_pack("{s:s, s:b, s:I, s:o}", "root", root, "good", rc == 0,
                                          "read_bytes", (json_int_t)read, "faults", faults));
    return rc;
}

static int run(int argc, char **argv)
{
    (void)argc;
    struct ebb_error err = {0};
    EBB_AUTO(ebb_checkpoint_target_clean_up) struct ebb_checkpoint_target t = {0};
    if (ebb_checkpoint_target_open(argv[0], &t, &err) < 0)
        return ebb_command_fail(&err);
    json_t *list = json_array();
    uint64_t bytes = 0;
    size_t damaged = 0;
    int rc = 0;
    for (size_t i = 0; i < t.count && (rc == 0 || rc == EBB_ERR_CORRUPT); i++) {
        rc = verify_one(&t, t.roots[i], list, &bytes, &err);
        damaged += rc == EBB_ERR_CORRUPT;
    }
    if (rc < 0 && rc != EBB_ERR_CORRUPT) {
        json_decref(list);
        return ebb_command_fail(&err);
    }
    if (as_json) {
        json_t *v = ebb_json_new("checkpoint_verify");
        (void)json_object_set_new(v, "good", json_boolean(damaged == 0));
        (void)json_object_set_new(v, "read_bytes", json_integer((json_int_t)bytes));
        (void)json_object_set(v, "lineages", list);
        (void)ebb_json_print(v);
    } else {
        char size[EBB_QUANTITY_TEXT_SIZE];
        (void)printf("%zu jobs, %s read, %zu damaged\n", t.count, ebb_format_size(bytes, size),
                     damaged);
    }
    json_decref(list);
    return damaged == 0 ? 0 : ebb_code_exit_status(EBB_ERR_CORRUPT);
}

static const struct ebb_option options[] = {
    {.name = "json", .kind = EBB_OPTION_FLAG, .target = &as_json, .help = "Print one JSON value."},
    {0},
};

const struct ebb_command ebb_command_checkpoint_verify = {
    .name = "checkpoint verify",
    .arguments = "TARGET",
    .summary = "Read checkpoints back and check every hash",
    .details = EBB_CHECKPOINT_TARGET_HELP
    " Here it may also be a BAG, or a whole store. Both generations of each job are read.",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
