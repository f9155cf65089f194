/* `ebb submit`: from a bag file to a bag in the scheduler's log.
 *
 *   read, check, hash -> start what is missing -> plan -> [question] -> upload -> submit -> [watch]
 *
 * Nothing leaves the machine and nothing is spent before the question is answered; --dry-run stops
 * there. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/options.h"
#include "base/random.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/hazards.h"
#include "cli/json_out.h"
#include "cli/local.h"
#include "cli/submit_forecast.h"
#include "cli/submit_inputs.h"
#include "cli/submit_plan.h"
#include "cli/table.h"
#include "cli/watch.h"
#include "scheduler/core/bag.h"

extern const struct ebb_command ebb_command_submit;

static struct {
    const char *cloud;
    const char *fleet;
    const char *store;
    const char *idempotency_key;
    bool watch;
    bool dry_run;
    bool yes;
    bool as_json;
} o;

struct submission {
    struct ebb_bag_file file;
    struct ebb_client *client;
    Ebb__ClientAnswer *ping;
    Ebb__ClientAnswer *plan;
    struct ebb_submit_forecast forecast;
    Ebb__ClientAnswer *submitted;
    struct ebb_upload_totals totals;
};

static void submission_clean_up(struct submission *s)
{
    ebb_bag_file_clean_up(&s->file);
    ebb_answer_destroy(s->ping);
    ebb_answer_destroy(s->plan);
    ebb_answer_destroy(s->submitted);
    ebb_client_destroy(s->client);
}

static int read_bag(const char *path, struct submission *s, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    int rc = ebb_bag_file_read(path, &s->file, &faults, err);
    if (rc == 0)
        rc = ebb_inputs_hash(&s->file, &faults, err);
    return ebb_faults_tell(rc, path, &faults, "nothing was submitted", err);
}

/* By what the scheduler knows of hazards; without that by the priors. */
static void forecast(struct submission *s)
{
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *seen = NULL;
    struct ebb_error err = {0};
    const Ebb__HazardsAnswer *hazards =
        ebb_ask_hazards(NULL, NULL, &seen, &err) == 0 ? seen->hazards : NULL;
    ebb_submit_forecast_make(s->file.spec, s->plan->plan, s->ping->ping->emulated, hazards,
                             &s->forecast);
    ebb_submit_forecast_correct(&s->forecast, s->plan->plan->estimate);
}

static int make_plan(struct submission *s, struct ebb_error *err)
{
    const struct ebb_local_options local = {.cloud = o.cloud, .fleet = o.fleet};
    int rc = ebb_local_start(&local, err);
    if (rc == 0)
        rc = ebb_client_connect(&s->client, err);
    if (rc == 0)
        rc = ebb_ask_ping(s->client, &s->ping, err);
    if (rc < 0)
        return rc;
    if (s->file.spec->store_url == NULL || s->file.spec->store_url[0] == '\0' || o.store != NULL) {
        if (s->file.spec->store_url != protobuf_c_empty_string)
            free(s->file.spec->store_url);
        s->file.spec->store_url = ebb_strdup(o.store != NULL ? o.store : s->ping->ping->store_url);
    }
    Ebb__PlanRequest q = EBB__PLAN_REQUEST__INIT;
    Ebb__ClientRequest request = EBB__CLIENT_REQUEST__INIT;
    q.spec = s->file.spec;
    request.kind_case = EBB__CLIENT_REQUEST__KIND_PLAN;
    request.plan = &q;
    rc = ebb_client_call(s->client, &request, &s->plan, err);
    if (rc == 0 && s->plan->plan == NULL)
        rc = ebb_error_set(err, EBB_ERR_CORRUPT, "the scheduler gave no plan");
    if (rc == 0)
        forecast(s);
    return rc;
}

static void show_plan(const struct submission *s)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer out = {0};
    ebb_plan_view(s->file.spec, s->plan->plan, ebb_terminal_width(STDOUT_FILENO), &out);
    ebb_submit_forecast_view(&s->forecast, s->file.spec, &out);
    (void)fputs(ebb_buffer_text(&out), stdout);
    (void)fflush(stdout);
}

/* True: go on. The emulated cloud costs nothing, so nobody is asked. */
static bool may_proceed(const struct submission *s, struct ebb_error *err)
{
    if (o.yes || s->ping->ping->emulated)
        return true;
    if (!isatty(STDIN_FILENO) || o.as_json) {
        ebb_error_set(err, EBB_ERR_INPUT,
                      "this spends money and nobody can be asked: add --yes, "
                      "or --dry-run to see the plan alone");
        return false;
    }
    (void)printf("Proceed? [Y/n] ");
    (void)fflush(stdout);
    char line[16];
    if (fgets(line, sizeof(line), stdin) != NULL &&
        (line[0] == '\n' || line[0] == 'y' || line[0] == 'Y'))
        return true;
    ebb_error_set(err, EBB_ERR_CANCELLED, "nothing was submitted");
    return false;
}

EBB_DEFINE_AUTO_PTR(store_auto, struct ebb_object_store, ebb_object_store_destroy)

/* The client's own requests cost money, too: the ledger hears of them. */
static void count_requests(const struct submission *s, const struct ebb_object_store *store)
{
    struct ebb_object_store_counts counts;
    ebb_object_store_counts(store, &counts);
    Ebb__RequestsCounted m = EBB__REQUESTS_COUNTED__INIT;
    Ebb__ClientRequest request = EBB__CLIENT_REQUEST__INIT;
    m.bag = s->submitted->submit->bag;
    m.puts = counts.puts;
    m.gets = counts.gets;
    m.bytes_up = counts.bytes_up;
    m.bytes_down = counts.bytes_down;
    request.kind_case = EBB__CLIENT_REQUEST__KIND_REQUESTS_COUNTED;
    request.requests_counted = &m;
    Ebb__ClientAnswer *a = NULL;
    (void)ebb_client_call(s->client, &request, &a, NULL);
    ebb_answer_destroy(a);
}

/* The same key for the same request alone: a repeated request cannot submit the bag twice. */
static char *make_key(const Ebb__BagSpec *spec)
{
    if (o.idempotency_key != NULL)
        return ebb_strdup(o.idempotency_key);
    size_t len = ebb__bag_spec__get_packed_size(spec);
    EBB_AUTO_FREE uint8_t *bytes = ebb_alloc_array(len + 1, 1);
    (void)ebb__bag_spec__pack(spec, bytes);
    uint8_t sha256[EBB_SHA256_SIZE];
    ebb_sha256(bytes, len, sha256);
    char hex[33], nonce[17];
    return ebb_sprintf("%s-%s", ebb_hex(sha256, 16, hex), ebb_random_hex(nonce, 8));
}

static int call_submit(struct submission *s, struct ebb_error *err)
{
    EBB_AUTO_FREE char *key = make_key(s->file.spec);
    Ebb__SubmitRequest q = EBB__SUBMIT_REQUEST__INIT;
    Ebb__ClientRequest request = EBB__CLIENT_REQUEST__INIT;
    q.spec = s->file.spec;
    q.estimate = s->plan->plan->estimate;
    q.idempotency_key = key;
    request.kind_case = EBB__CLIENT_REQUEST__KIND_SUBMIT;
    request.submit = &q;
    int rc = ebb_client_call(s->client, &request, &s->submitted, err);
    if (rc == EBB_ERR_UNAVAILABLE || rc == EBB_ERR_TIMEOUT) {
        /* The answer may be lost, not the request: the same key again settles it. */
        ebb_client_destroy(EBB_TAKE(s->client));
        rc = ebb_client_open(&s->client, err);
        if (rc == 0)
            rc = ebb_client_call(s->client, &request, &s->submitted, err);
    }
    if (rc == 0 && s->submitted->submit == NULL)
        rc = ebb_error_set(err, EBB_ERR_CORRUPT, "the scheduler did not confirm the submission");
    return rc;
}

static int upload_and_submit(struct submission *s, struct ebb_error *err)
{
    EBB_AUTO(store_auto) struct ebb_object_store *store = NULL;
    int rc = ebb_object_store_open(s->file.spec->store_url, NULL, &store, err);
    if (rc == 0)
        rc = ebb_inputs_upload(&s->file, store, &s->totals, err);
    if (rc == 0)
        rc = call_submit(s, err);
    if (rc == 0)
        count_requests(s, store);
    return rc;
}

static int print_json(const struct submission *s)
{
    json_t *v = ebb_json_new("submit");
    bool submitted = s->submitted != NULL;
    (void)json_object_set_new(v, "bag",
                              submitted ? json_string(s->submitted->submit->bag) : json_null());
    (void)json_object_set_new(v, "name", json_string(s->file.spec->name));
    (void)json_object_set_new(v, "store_url", json_string(s->file.spec->store_url));
    (void)json_object_set_new(v, "dry_run", json_boolean(o.dry_run));
    (void)json_object_set_new(v, "plan", ebb_json_of_message(&s->plan->plan->base));
    (void)json_object_set_new(v, "forecast", ebb_submit_forecast_json(&s->forecast));
    if (submitted) {
        (void)json_object_set_new(v, "jobs", json_integer((json_int_t)s->submitted->submit->jobs));
        (void)json_object_set_new(v, "sent_files", json_integer((json_int_t)s->totals.sent_files));
        (void)json_object_set_new(v, "sent_bytes", json_integer((json_int_t)s->totals.sent_bytes));
    }
    return ebb_json_print(v);
}

static void say_submitted(const struct submission *s)
{
    char text[EBB_QUANTITY_TEXT_SIZE];
    const char *bag = s->submitted->submit->bag;
    (void)printf("\nsubmitted %s (%llu of %llu files sent, %s)\n", bag,
                 (unsigned long long)s->totals.sent_files, (unsigned long long)s->totals.files,
                 ebb_format_size(s->totals.sent_bytes, text));
    if (o.watch)
        return;
    (void)printf("\n  ebb status --watch %s   follow it live\n"
                 "  ebb jobs %s             its jobs\n"
                 "  ebb wait %s             until it ends\n"
                 "  ebb report %s           what it cost\n",
                 bag, bag, bag, bag);
}

static int submit(struct submission *s, const char *path, struct ebb_error *err)
{
    int rc = read_bag(path, s, err);
    if (rc == 0)
        rc = make_plan(s, err);
    if (rc < 0)
        return rc;
    if (!o.as_json)
        show_plan(s);
    if (o.dry_run)
        return 0;
    if (!s->plan->plan->feasible && s->plan->plan->estimate == NULL)
        return ebb_error_set(err, EBB_ERR_NO_CAPACITY, "%s", s->plan->plan->reason);
    if (!may_proceed(s, err))
        return err->code;
    return upload_and_submit(s, err);
}

static int run(int argc, char **argv)
{
    (void)argc;
    struct ebb_error err = {0};
    EBB_AUTO(submission_clean_up) struct submission s = {0};
    if (o.fleet != NULL && o.cloud != NULL && strcmp(o.cloud, "emulated") != 0) {
        ebb_error_set(&err, EBB_ERR_INPUT, "--fleet describes the emulated cloud, not %s", o.cloud);
        return ebb_command_fail(&err);
    }
    if (o.store != NULL && !ebb_bag_is_store(o.store)) {
        ebb_error_set(&err, EBB_ERR_INPUT,
                      "--store: '%s' is neither s3://bucket/prefix nor file:///directory", o.store);
        return ebb_command_fail(&err);
    }
    if (submit(&s, argv[0], &err) < 0)
        return ebb_command_fail(&err);
    if (o.as_json)
        return print_json(&s);
    if (s.submitted == NULL)
        return 0;
    say_submitted(&s);
    return o.watch ? ebb_watch_bag(s.client, s.submitted->submit->bag) : 0;
}

static const char *const clouds[] = {"emulated", "aws", NULL};

static const struct ebb_option options[] = {
    {.name = "cloud",
     .kind = EBB_OPTION_CHOICE,
     .target = &o.cloud,
     .choices = clouds,
     .help = "Where to run: an emulated cloud on this machine, or AWS with your credentials. "
             "Default: as last time here, else emulated."},
    {.name = "fleet",
     .kind = EBB_OPTION_TEXT,
     .target = &o.fleet,
     .value = "FLEET.yaml",
     .help = "The emulated cloud's file: zones, VM types, prices, revocations, faults. Default: "
             "a calm one that ships with ebb."},
    {.name = "store",
     .kind = EBB_OPTION_TEXT,
     .target = &o.store,
     .value = "URL",
     .help = "Object store for inputs, checkpoints and outputs: s3://bucket/prefix or "
             "file:///directory. Default: the bag's, else the emulated S3."},
    {.name = "watch",
     .letter = 'w',
     .target = &o.watch,
     .help = "Then follow the bag on one live screen until it ends."},
    {.name = "dry-run",
     .letter = 'n',
     .target = &o.dry_run,
     .help = "Show the plan and stop: nothing is uploaded, nothing spent."},
    {.name = "yes", .letter = 'y', .target = &o.yes, .help = "Do not ask."},
    {.name = "idempotency-key",
     .kind = EBB_OPTION_TEXT,
     .target = &o.idempotency_key,
     .value = "KEY",
     .help = "A second submission with the same key gives the first one's bag."},
    {.name = "json", .target = &o.as_json, .help = "Print one JSON value."},
    {.name = NULL},
};

const struct ebb_command ebb_command_submit = {
    .name = "submit",
    .arguments = "BAG.yaml",
    .summary = "Submit a bag of jobs",
    .details =
        "Checks the bag, shows the jobs, the offers, the chosen ones, expected cost and finish "
        "with\n"
        "their ranges of nine cases in ten, and what would hold where deadline or budget cannot,\n"
        "asks before it spends money, then uploads the inputs and hands the bag to the\n"
        "scheduler. For local use it starts the scheduler and the emulated cloud by itself; for\n"
        "AWS start 'ebb scheduler' first, where VMs can reach it.\n"
        "\n"
        "  ebb submit examples/demo/bag.yaml --watch\n"
        "  ebb submit bag.yaml --cloud aws --store s3://my-bucket/runs --dry-run",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
