/* `ebb explain`: why a job is where it is. */
#include <stdio.h>

#include "base/clock.h"
#include "base/options.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/json_out.h"
#include "cli/table.h"

extern const struct ebb_command ebb_command_explain;

static bool as_json;

EBB_DEFINE_AUTO_PTR(table_auto, struct ebb_table, ebb_table_destroy)

static void attempt_row(struct ebb_table *t, const Ebb__AttemptSummary *s)
{
    char lasted[EBB_QUANTITY_TEXT_SIZE] = "", lost[EBB_QUANTITY_TEXT_SIZE] = "", from[32] = "";
    int64_t end = s->ended_wall_ns > 0 ? s->ended_wall_ns : ebb_wall_ns(NULL);
    ebb_format_duration((double)(end - s->leased_wall_ns) / EBB_NS_PER_S, lasted);
    if (s->times != NULL && s->times->lost_s > 0)
        ebb_format_duration(s->times->lost_s, lost);
    char others[24] = "";
    if (s->n_members > 0)
        (void)snprintf(others, sizeof(others), " +%zu", s->n_members);
    if (s->resumed_step >= 0 && s->attempt > 1)
        (void)snprintf(from, sizeof(from), "%lld", (long long)s->resumed_step);
    ebb_table_row(t, "%u\t%s%s\t%s\t%s\t%s\t%s\t%lld\t%u\t%s\t%s", s->attempt, s->vm, others,
                  s->type, s->zone, lasted, from, (long long)(s->last_step > 0 ? s->last_step : 0),
                  s->checkpoints, lost, s->outcome[0] != '\0' ? s->outcome : "running");
}

static void print_text(const Ebb__ExplainAnswer *e)
{
    if (e->job != NULL)
        (void)printf("%s/%s: %s\n", e->bag, e->job->name, e->job->state);
    for (size_t i = 0; i < e->n_lines; i++)
        (void)printf("  %s\n", e->lines[i]);
    if (e->n_attempts == 0)
        return;
    EBB_AUTO(table_auto)
    struct ebb_table *t = ebb_table_new(
        ">TRY\tVM\tTYPE\tZONE\t>LASTED\t>FROM STEP\t>TO STEP\t>COMMITS\t>LOST\tOUTCOME");
    for (size_t i = 0; i < e->n_attempts; i++)
        attempt_row(t, e->attempts[i]);
    (void)puts("");
    ebb_table_print(t);
    for (size_t i = 0; i < e->n_attempts; i++)
        if (e->attempts[i]->reason[0] != '\0')
            (void)printf("%s%u: %s\n", i == 0 ? "\n" : "", e->attempts[i]->attempt,
                         e->attempts[i]->reason);
}

static int run(int argc, char **argv)
{
    (void)argc;
    struct ebb_error err = {0};
    EBB_AUTO(ebb_client_auto) struct ebb_client *client = NULL;
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *a = NULL;
    EBB_AUTO_FREE char *bag = NULL, *job = NULL;
    ebb_job_argument(argv[0], &bag, &job);
    Ebb__ExplainRequest q = EBB__EXPLAIN_REQUEST__INIT;
    Ebb__ClientRequest request = EBB__CLIENT_REQUEST__INIT;
    q.bag = bag;
    q.job = job;
    request.kind_case = EBB__CLIENT_REQUEST__KIND_EXPLAIN;
    request.explain = &q;
    int rc = ebb_client_open(&client, &err);
    if (rc == 0)
        rc = ebb_client_call(client, &request, &a, &err);
    if (rc == 0 && a->explain == NULL)
        rc = ebb_error_set(&err, EBB_ERR_CORRUPT, "the scheduler gave no explanation");
    if (rc < 0)
        return ebb_command_fail(&err);
    if (as_json) {
        json_t *v = ebb_json_new("explain");
        ebb_json_add_message(v, &a->explain->base);
        return ebb_json_print(v);
    }
    print_text(a->explain);
    return 0;
}

static const struct ebb_option options[] = {
    {.name = "json", .target = &as_json, .help = "Print one JSON value."},
    {.name = NULL},
};

const struct ebb_command ebb_command_explain = {
    .name = "explain",
    .arguments = "[BAG/]JOB",
    .summary = "Say why a job is where it is: waiting for what, tried where",
    .details = "JOB is a name (nvt,temperature=290,seed=1) or a number from 'ebb jobs'.",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
