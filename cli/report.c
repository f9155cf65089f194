/* `ebb report`: what a bag cost, as text, JSON or CSV. */
#include <stdio.h>

#include "base/options.h"
#include "cli/client.h"
#include "cli/json_out.h"
#include "cli/report_view.h"

extern const struct ebb_command ebb_command_report;

static bool with_jobs;
static bool as_json;
static bool as_csv;
static bool as_focus;

static int call(struct ebb_client *client, const char *bag, Ebb__ClientAnswer **ret,
                struct ebb_error *err)
{
    Ebb__ReportRequest q = EBB__REPORT_REQUEST__INIT;
    Ebb__ClientRequest request = EBB__CLIENT_REQUEST__INIT;
    q.bag = (char *)bag;
    q.jobs = with_jobs || as_csv || as_json;
    request.kind_case = EBB__CLIENT_REQUEST__KIND_REPORT;
    request.report = &q;
    int rc = ebb_client_call(client, &request, ret, err);
    if (rc == 0 && (*ret)->report == NULL)
        rc = ebb_error_set(err, EBB_ERR_CORRUPT, "the scheduler gave no report");
    return rc;
}

static int run(int argc, char **argv)
{
    struct ebb_error err = {0};
    EBB_AUTO(ebb_client_auto) struct ebb_client *client = NULL;
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *a = NULL;
    int rc = 0;
    if (as_json + as_csv + as_focus > 1)
        rc = ebb_error_set(&err, EBB_ERR_INPUT, "one of --json, --csv and --focus");
    if (rc == 0)
        rc = ebb_client_open(&client, &err);
    if (rc == 0)
        rc = call(client, argc > 0 ? argv[0] : "last", &a, &err);
    if (rc < 0)
        return ebb_command_fail(&err);
    if (as_json) {
        json_t *v = ebb_json_new("report");
        ebb_json_add_message(v, &a->report->base);
        return ebb_json_print(v);
    }
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    if (as_csv)
        ebb_report_csv(a->report, &out);
    else if (as_focus)
        ebb_report_focus(a->report, &out);
    else
        ebb_report_text(a->report, with_jobs, &out);
    bool ok = fwrite(out.data, 1, out.len, stdout) == out.len && fflush(stdout) == 0;
    return ok ? 0 : 1;
}

static const struct ebb_option options[] = {
    {.name = "jobs", .target = &with_jobs, .help = "Also a row for each job and VM."},
    {.name = "json", .target = &as_json, .help = "Print one JSON value."},
    {.name = "csv",
     .target = &as_csv,
     .help = "Comma-separated: one row for the bag, then one for each job."},
    {.name = "focus",
     .target = &as_focus,
     .help = "Comma-separated, one row a VM, in the columns of the FOCUS billing format."},
    {.name = NULL},
};

const struct ebb_command ebb_command_report = {
    .name = "report",
    .arguments = "[BAG]",
    .summary = "Say what a bag cost, what was lost and what was saved",
    .details = "Every VM second is in one of: useful, set-up, checkpoint, lost, idle, boot. While\n"
               "VMs still run the amounts are estimates, and the report says so.",
    .options = options,
    .max_arguments = 1,
    .run = run,
};
