/* `ebb cancel` and `ebb retry`. */
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "cli/client.h"
#include "cli/json_out.h"

extern const struct ebb_command ebb_command_cancel;
extern const struct ebb_command ebb_command_retry;

static bool cancel_json;
static bool retry_json;

static int call_cancel(const char *bag, const char *job, struct ebb_error *err)
{
    EBB_AUTO(ebb_client_auto) struct ebb_client *client = NULL;
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *a = NULL;
    Ebb__CancelRequest q = EBB__CANCEL_REQUEST__INIT;
    Ebb__ClientRequest request = EBB__CLIENT_REQUEST__INIT;
    q.bag = (char *)bag;
    q.job = (char *)job;
    request.kind_case = EBB__CLIENT_REQUEST__KIND_CANCEL;
    request.cancel = &q;
    int rc = ebb_client_open(&client, err);
    return rc < 0 ? rc : ebb_client_call(client, &request, &a, err);
}

static int run_cancel(int argc, char **argv)
{
    (void)argc;
    struct ebb_error err = {0};
    const char *slash = strchr(argv[0], '/');
    EBB_AUTO_FREE char *bag =
        slash == NULL ? ebb_strdup(argv[0]) : ebb_strndup(argv[0], (size_t)(slash - argv[0]));
    const char *job = slash == NULL ? "" : slash + 1;
    if (slash != NULL && job[0] == '\0')
        ebb_error_set(&err, EBB_ERR_INPUT, "'%s' names no job", argv[0]);
    else
        (void)call_cancel(bag, job, &err);
    if (err.code < 0)
        return ebb_command_fail(&err);
    if (!cancel_json) {
        (void)printf("cancelled %s\n", argv[0]);
        return 0;
    }
    json_t *v = ebb_json_new("cancel");
    (void)json_object_set_new(v, "bag", json_string(bag));
    (void)json_object_set_new(v, "job", slash == NULL ? json_null() : json_string(job));
    return ebb_json_print(v);
}

static int run_retry(int argc, char **argv)
{
    struct ebb_error err = {0};
    EBB_AUTO(ebb_client_auto) struct ebb_client *client = NULL;
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *a = NULL;
    Ebb__RetryRequest q = EBB__RETRY_REQUEST__INIT;
    Ebb__ClientRequest request = EBB__CLIENT_REQUEST__INIT;
    q.bag = argc > 0 ? argv[0] : (char *)"last";
    request.kind_case = EBB__CLIENT_REQUEST__KIND_RETRY;
    request.retry = &q;
    int rc = ebb_client_open(&client, &err);
    if (rc == 0)
        rc = ebb_client_call(client, &request, &a, &err);
    if (rc < 0)
        return ebb_command_fail(&err);
    uint64_t jobs = a->retry == NULL ? 0 : a->retry->jobs;
    if (retry_json) {
        json_t *v = ebb_json_new("retry");
        (void)json_object_set_new(v, "jobs", json_integer((json_int_t)jobs));
        return ebb_json_print(v);
    }
    if (jobs == 0)
        (void)puts("no job of it has failed");
    else
        (void)printf("%llu job%s tried again\n", (unsigned long long)jobs, jobs == 1 ? "" : "s");
    return 0;
}

static const struct ebb_option cancel_options[] = {
    {.name = "json", .target = &cancel_json, .help = "Print one JSON value."},
    {.name = NULL},
};

const struct ebb_command ebb_command_cancel = {
    .name = "cancel",
    .arguments = "BAG[/JOB]",
    .summary = "Cancel a bag, or one job of it",
    .details = "What is done stays: outputs and checkpoints are kept. VMs that nothing else needs\n"
               "are ended.\n\n  ebb cancel demo\n  ebb cancel demo/nvt,temperature=290,seed=1",
    .options = cancel_options,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_cancel,
};

static const struct ebb_option retry_options[] = {
    {.name = "json", .target = &retry_json, .help = "Print one JSON value."},
    {.name = NULL},
};

const struct ebb_command ebb_command_retry = {
    .name = "retry",
    .arguments = "[BAG]",
    .summary = "Run the failed jobs of a bag again",
    .details = "They go on from their last checkpoint. Done jobs are not touched.",
    .options = retry_options,
    .max_arguments = 1,
    .run = run_retry,
};
