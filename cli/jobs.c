/* `ebb jobs`: the jobs of a bag. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/options.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/jobs_page.h"
#include "cli/json_out.h"
#include "cli/table.h"

extern const struct ebb_command ebb_command_jobs;

static const char *states_text;
static int64_t limit = 0;
static bool as_json;

EBB_DEFINE_AUTO_PTR(table_auto, struct ebb_table, ebb_table_destroy)

static void step_text(const Ebb__JobStatus *j, char *out, size_t size)
{
    out[0] = '\0';
    if (j->step > 0 && j->total_steps > 0)
        (void)snprintf(out, size, "%lld/%lld", (long long)j->step, (long long)j->total_steps);
    else if (j->step > 0)
        (void)snprintf(out, size, "%lld", (long long)j->step);
}

static void age_text(int64_t then_wall_ns, char *out)
{
    double s = (double)(ebb_wall_ns(NULL) - then_wall_ns) / EBB_NS_PER_S;
    out[0] = '\0';
    if (then_wall_ns > 0)
        ebb_format_duration(s < 0 ? 0 : s, out);
}

static int add_row(void *ctx, const Ebb__JobStatus *j)
{
    char step[48], commit[EBB_QUANTITY_TEXT_SIZE], left[EBB_QUANTITY_TEXT_SIZE] = "",
                                                   others[24] = "";
    if (j->n_members > 0)
        (void)snprintf(others, sizeof(others), " +%zu", j->n_members);
    step_text(j, step, sizeof(step));
    age_text(j->last_commit_wall_ns, commit);
    if (j->expected_left_s > 0)
        ebb_format_duration(j->expected_left_s, left);
    ebb_table_row(ctx, "%llu\t%s\t%s\t%u\t%u\t%u\t%s\t%s\t%s\t%s%s\t%s", (unsigned long long)j->job,
                  j->name, j->state, j->attempts, j->revocations, j->failures, step, left, commit,
                  j->vm, others, j->reason);
    return 0;
}

static int add_json(void *ctx, const Ebb__JobStatus *j)
{
    (void)json_array_append_new(ctx, ebb_json_of_message(&j->base));
    return 0;
}

static int print_json(struct ebb_client *client, const char *bag, struct ebb_error *err)
{
    json_t *list = json_array();
    uint64_t total = 0;
    int rc = ebb_jobs_each(client, bag, states_text, (uint64_t)limit, add_json, list, &total, err);
    if (rc < 0) {
        json_decref(list);
        return rc;
    }
    json_t *v = ebb_json_new("jobs");
    (void)json_object_set_new(v, "total", json_integer((json_int_t)total));
    (void)json_object_set_new(v, "jobs", list);
    return ebb_json_print(v) == 0 ? 0 : ebb_error_set(err, EBB_ERR_IO, "cannot write to stdout");
}

static int print_table(struct ebb_client *client, const char *bag, struct ebb_error *err)
{
    EBB_AUTO(table_auto)
    struct ebb_table *t =
        ebb_table_new(">#\t*JOB\tSTATE\t>TRIES\t>REVOKED\t>FAILED\t>STEP\t>LEFT\t>COMMIT "
                      "AGE\tVM\t*REASON");
    uint64_t total = 0;
    uint64_t most = limit > 0 ? (uint64_t)limit : 200;
    int rc = ebb_jobs_each(client, bag, states_text, most, add_row, t, &total, err);
    if (rc < 0)
        return rc;
    ebb_table_print(t);
    if (total > ebb_table_row_count(t))
        (void)printf("and %llu more (--limit shows more, --json all of them)\n",
                     (unsigned long long)(total - ebb_table_row_count(t)));
    return 0;
}

static int run(int argc, char **argv)
{
    struct ebb_error err = {0};
    EBB_AUTO(ebb_client_auto) struct ebb_client *client = NULL;
    const char *bag = argc > 0 ? argv[0] : "last";
    int rc = ebb_client_open(&client, &err);
    if (rc == 0)
        rc = as_json ? print_json(client, bag, &err) : print_table(client, bag, &err);
    return rc < 0 ? ebb_command_fail(&err) : 0;
}

static const struct ebb_option options[] = {
    {.name = "state",
     .letter = 's',
     .kind = EBB_OPTION_TEXT,
     .target = &states_text,
     .value = "STATE,...",
     .help = "Only jobs in these states: waiting, ready, leased, running, done, failed, "
             "cancelled."},
    {.name = "limit",
     .kind = EBB_OPTION_INT,
     .target = &limit,
     .least = 1,
     .most = INT64_MAX,
     .help = "At most so many. Default: 200 in the table, all with --json."},
    {.name = "json", .target = &as_json, .help = "Print one JSON value."},
    {.name = NULL},
};

const struct ebb_command ebb_command_jobs = {
    .name = "jobs",
    .arguments = "[BAG]",
    .summary = "List the jobs of a bag",
    .details = "  ebb jobs demo --state failed\n  ebb jobs --state running,leased",
    .options = options,
    .max_arguments = 1,
    .run = run,
};
