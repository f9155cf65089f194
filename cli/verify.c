/* `ebb verify`: are the outputs of two bags the same, byte for byte? */
#include <stdio.h>

#include "base/options.h"
#include "cli/client.h"
#include "cli/event_text.h"
#include "cli/json_out.h"
#include "cli/spec_cache.h"

extern const struct ebb_command ebb_command_verify;

static const char *against;
static bool as_json;

static size_t count_bad(const Ebb__OutputsVerified *v)
{
    size_t bad = 0;
    for (size_t i = 0; i < v->n_jobs; i++)
        bad += v->jobs[i]->n_files_different + v->jobs[i]->n_files_missing > 0;
    return bad;
}

static void print_files(const char *name, const char *what, char **files, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)printf("  %s: %s %s\n", name, files[i], what);
}

static void print_text(struct ebb_client *client, const Ebb__OutputsVerified *v)
{
    EBB_AUTO(ebb_spec_cache_auto) struct ebb_spec_cache *specs = ebb_spec_cache_new(client);
    EBB_AUTO(ebb_event_names_auto)
    struct ebb_event_names *names = ebb_event_names_new(ebb_spec_cache_get, specs);
    uint64_t equal = 0;
    for (size_t i = 0; i < v->n_jobs; i++) {
        const Ebb__JobVerification *j = v->jobs[i];
        EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer name = {0};
        ebb_event_job_name(names, v->bag, j->job, &name);
        print_files(ebb_buffer_text(&name), "differs", j->files_different, j->n_files_different);
        print_files(ebb_buffer_text(&name), "is missing", j->files_missing, j->n_files_missing);
        equal += j->files_equal;
    }
    size_t bad = count_bad(v);
    (void)printf("%s against %s: %zu of %zu jobs equal, %llu files byte for byte\n", v->bag,
                 v->against, v->n_jobs - bad, v->n_jobs, (unsigned long long)equal);
}

static int run(int argc, char **argv)
{
    (void)argc;
    struct ebb_error err = {0};
    EBB_AUTO(ebb_client_auto) struct ebb_client *client = NULL;
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *a = NULL;
    Ebb__VerifyRequest q = EBB__VERIFY_REQUEST__INIT;
    Ebb__ClientRequest request = EBB__CLIENT_REQUEST__INIT;
    q.bag = argv[0];
    q.against = (char *)against;
    request.kind_case = EBB__CLIENT_REQUEST__KIND_VERIFY;
    request.verify = &q;
    int rc = 0;
    if (against == NULL)
        rc = ebb_error_set(&err, EBB_ERR_INPUT, "compared with what? ebb verify %s --against BAG",
                           argv[0]);
    if (rc == 0)
        rc = ebb_client_open(&client, &err);
    if (rc == 0)
        rc = ebb_client_call(client, &request, &a, &err);
    if (rc == 0 && a->verified == NULL)
        rc = ebb_error_set(&err, EBB_ERR_CORRUPT, "the scheduler gave no result");
    if (rc < 0)
        return ebb_command_fail(&err);
    int status = count_bad(a->verified) > 0 ? 1 : 0;
    if (as_json) {
        json_t *v = ebb_json_new("verify");
        (void)json_object_set_new(v, "equal", json_boolean(status == 0));
        ebb_json_add_message(v, &a->verified->base);
        return ebb_json_print(v) != 0 ? 1 : status;
    }
    print_text(client, a->verified);
    return status;
}

static const struct ebb_option options[] = {
    {.name = "against",
     .kind = EBB_OPTION_TEXT,
     .target = &against,
     .value = "BAG",
     .help = "The bag to compare with, for instance the same one run without revocations."},
    {.name = "json", .target = &as_json, .help = "Print one JSON value."},
    {.name = NULL},
};

const struct ebb_command ebb_command_verify = {
    .name = "verify",
    .arguments = "BAG --against BAG",
    .summary = "Compare the outputs of two finished bags byte for byte",
    .details =
        "Compares by the hashes in the final manifests; nothing is downloaded. Outputs that\n"
        "the bag or the engine's profile calls nondeterministic are left out. The result\n"
        "goes to the report. Exit status 1 when a file differs.",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
