/* `ebb checkpoint restore`: a job's files, as of its last checkpoint, into a directory. */
#include <inttypes.h>
#include <stdio.h>

#include "base/options.h"
#include "base/text.h"
#include "cli/checkpoint_target.h"
#include "cli/json_out.h"

extern const struct ebb_command ebb_command_checkpoint_restore;

static bool as_json;

static int print_json(const struct ebb_restore_result *r)
{
    json_t *v = ebb_json_new("checkpoint_restore");
    (void)json_object_set_new(v, "sequence", json_integer((json_int_t)r->sequence));
    (void)json_object_set_new(v, "step", json_integer(r->step));
    (void)json_object_set_new(v, "run_s", json_real(r->run_s));
    (void)json_object_set_new(v, "bytes", json_integer((json_int_t)r->bytes));
    (void)json_object_set_new(v, "fell_back", json_boolean(r->fell_back));
    (void)json_object_set_new(v, "note", json_string(r->note));
    return ebb_json_print(v) != 0 ? 1 : 0;
}

static int run(int argc, char **argv)
{
    struct ebb_error err = {0};
    EBB_AUTO(ebb_checkpoint_target_clean_up) struct ebb_checkpoint_target t = {0};
    EBB_AUTO(ebb_auto_lineage) struct ebb_lineage *l = NULL;
    struct ebb_restore_result r = {0};
    /* The words after the directory are patterns; NULL ends them. */
    EBB_AUTO_FREE const char **patterns = ebb_alloc_array((size_t)argc, sizeof *patterns);
    for (int i = 2; i < argc; i++)
        patterns[i - 2] = argv[i];
    if (ebb_checkpoint_target_open_one(argv[0], &t, &l, &err) < 0 ||
        ebb_lineage_restore(l, argv[1], argc > 2 ? patterns : NULL, 0, &r, &err) < 0)
        return ebb_command_fail(&err);
    if (r.fell_back)
        (void)fprintf(stderr,
                      "warning: the newest checkpoint is damaged (%s); this is the one "
                      "before\n",
                      r.note);
    if (as_json)
        return print_json(&r);
    char size[EBB_QUANTITY_TEXT_SIZE], step[40] = "";
    if (r.step >= 0)
        (void)snprintf(step, sizeof step, " (step %" PRId64 ")", r.step);
    (void)printf("checkpoint %" PRIu64 "%s: %s restored to %s, every hash matched\n", r.sequence,
                 step, ebb_format_size(r.bytes, size), argv[1]);
    return 0;
}

static const struct ebb_option options[] = {
    {.name = "json", .kind = EBB_OPTION_FLAG, .target = &as_json, .help = "Print one JSON value."},
    {0},
};

const struct ebb_command ebb_command_checkpoint_restore = {
    .name = "checkpoint restore",
    .arguments = "TARGET DIR [PATTERN...]",
    .summary = "Restore a job's files into a new or empty directory",
    .details = EBB_CHECKPOINT_TARGET_HELP
    " PATTERNs such as '*.xtc' or 'sub/**' choose among the files. The newest checkpoint that is "
    "whole is restored; when that is not the last one, a warning says what is damaged.",
    .options = options,
    .min_arguments = 2,
    .max_arguments = SIZE_MAX,
    .run = run,
};
