/* `ebb logs`: what a job wrote, from the store, where it outlives the VM.
 *
 *     <job>/logs/<attempt>/<8-digit sequence>             written once, in order
 *     <job>/logs/rank-<k>/<attempt>/<8-digit sequence>    of the other ranks of a gang
 *
 * Following is listing what comes after the last segment, once a second while the job may still
 * write. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "base/text.h"
#include "cli/store_access.h"
#include "scheduler/core/gang.h"
#include "scheduler/core/sweep.h"

extern const struct ebb_command ebb_command_logs;

#define MAX_SEGMENT_BYTES (64U << 20)
#define POLL_MS           1000

static bool follow;
static const char *attempt_text;
static int64_t rank;

struct segment {
    uint32_t attempt;
    char *key;
};

struct segments {
    struct segment *list;
    size_t count;
    size_t capacity;
    size_t prefix_len;
    uint32_t newest;
};

static void segments_clean_up(struct segments *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->list[i].key);
    free(s->list);
}

static int add_segment(void *ctx, const char *key, const struct ebb_object_info *info)
{
    (void)info;
    struct segments *s = ctx;
    int64_t attempt;
    EBB_AUTO_FREE char *number =
        ebb_strndup(key + s->prefix_len, strcspn(key + s->prefix_len, "/"));
    if (ebb_parse_int(number, 1, UINT32_MAX, &attempt, NULL) < 0)
        return 0;
    if (s->count == s->capacity) {
        s->capacity = s->capacity == 0 ? 64 : s->capacity * 2;
        s->list = ebb_realloc_array(s->list, s->capacity, sizeof(*s->list));
    }
    s->list[s->count++] = (struct segment){(uint32_t)attempt, ebb_strdup(key)};
    if (s->newest < (uint32_t)attempt)
        s->newest = (uint32_t)attempt;
    return 0;
}

/* By number: byte order has attempt 10 before attempt 9. */
static int compare_segments(const void *a, const void *b)
{
    const struct segment *x = a, *y = b;
    if (x->attempt != y->attempt)
        return x->attempt < y->attempt ? -1 : 1;
    return strcmp(x->key, y->key);
}

static int list_segments(const struct ebb_bag_access *a, const char *prefix, struct segments *ret,
                         struct ebb_error *err)
{
    ret->prefix_len = strlen(prefix);
    int rc = ebb_object_list(a->store, prefix, add_segment, ret, err);
    if (rc == 0 && ret->count > 1)
        qsort(ret->list, ret->count, sizeof(*ret->list), compare_segments);
    return rc;
}

/* What has been printed. */
struct cursor {
    uint32_t attempt;
    char *key;
    bool headings;
};

static int print_segment(const struct ebb_bag_access *a, const struct segment *s, struct cursor *at,
                         struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    int rc = ebb_object_get(a->store, s->key, 0, 0, MAX_SEGMENT_BYTES, &b, NULL, err);
    if (rc < 0)
        return rc;
    if (at->headings && s->attempt != at->attempt)
        (void)printf("==> attempt %u <==\n", s->attempt);
    at->attempt = s->attempt;
    free(at->key);
    at->key = ebb_strdup(s->key);
    bool ok = fwrite(b.data, 1, b.len, stdout) == b.len && fflush(stdout) == 0;
    return ok ? 0 : ebb_error_set(err, EBB_ERR_IO, "cannot write to stdout");
}

/* The attempt to show: 0 for all of them. */
static int chosen_attempt(const struct segments *s, uint32_t *ret, struct ebb_error *err)
{
    int64_t n;
    if (attempt_text == NULL) {
        *ret = follow ? 0 : s->newest;
        return 0;
    }
    if (strcmp(attempt_text, "all") == 0) {
        *ret = 0;
        return 0;
    }
    int rc = ebb_parse_int(attempt_text, 1, UINT32_MAX, &n, err);
    if (rc < 0)
        return ebb_error_set(err, rc, "--attempt: a number from 1, or 'all', not '%s'",
                             attempt_text);
    *ret = (uint32_t)n;
    return 0;
}

static int print_new(const struct ebb_bag_access *a, const char *prefix, struct cursor *at,
                     struct ebb_error *err)
{
    EBB_AUTO(segments_clean_up) struct segments s = {0};
    uint32_t attempt = 0;
    int rc = list_segments(a, prefix, &s, err);
    if (rc == 0)
        rc = chosen_attempt(&s, &attempt, err);
    struct segment last = {at->attempt, at->key};
    /* A follower that starts late begins with the newest attempt. */
    uint32_t first =
        follow && attempt == 0 && attempt_text == NULL && at->key == NULL ? s.newest : 0;
    for (size_t i = 0; rc == 0 && i < s.count; i++) {
        if ((attempt != 0 && s.list[i].attempt != attempt) || s.list[i].attempt < first)
            continue;
        if (at->key != NULL && compare_segments(&s.list[i], &last) <= 0)
            continue;
        rc = print_segment(a, &s.list[i], at, err);
        last = (struct segment){at->attempt, at->key};
    }
    return rc;
}

struct job_seen {
    bool may_write;
    uint32_t attempts;
};

static int look_at_job(const struct ebb_bag_access *a, const char *name, struct job_seen *ret,
                       struct ebb_error *err)
{
    Ebb__ExplainRequest q = EBB__EXPLAIN_REQUEST__INIT;
    Ebb__ClientRequest request = EBB__CLIENT_REQUEST__INIT;
    q.bag = (char *)a->bag;
    q.job = (char *)name;
    request.kind_case = EBB__CLIENT_REQUEST__KIND_EXPLAIN;
    request.explain = &q;
    EBB_AUTO(ebb_answer_auto) Ebb__ClientAnswer *answer = NULL;
    int rc = ebb_client_call(a->client, &request, &answer, err);
    if (rc < 0)
        return rc;
    const Ebb__JobStatus *job = answer->explain != NULL ? answer->explain->job : NULL;
    const char *state = job != NULL ? job->state : "done";
    ret->may_write = strcmp(state, "done") != 0 && strcmp(state, "failed") != 0 &&
                     strcmp(state, "cancelled") != 0;
    ret->attempts = job != NULL ? job->attempts : 0;
    return 0;
}

/* Nothing was printed: because there is nothing yet, or because there can be nothing? */
static int explain_nothing(const struct ebb_bag_access *a, const char *name, struct ebb_error *err)
{
    struct job_seen job = {0};
    int64_t attempt = 0;
    if (attempt_text != NULL)
        (void)ebb_parse_int(attempt_text, 1, UINT32_MAX, &attempt, NULL);
    int rc = look_at_job(a, name, &job, err);
    if (rc < 0)
        return rc;
    if (attempt > job.attempts)
        return ebb_error_set(err, EBB_ERR_NOT_FOUND, "%s has no attempt %s: it had %u so far", name,
                             attempt_text, job.attempts);
    (void)fprintf(stderr, "%s has written nothing%s\n", name, job.may_write ? " yet" : "");
    return 0;
}

static int print_logs(const struct ebb_bag_access *a, uint64_t job, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer prefix = {0}, name = {0};
    uint64_t index = 0;
    const Ebb__JobGroup *group = ebb_bag_group(a->spec, job, &index);
    ebb_job_name(group, index, &name);
    ebb_job_store_root(a->bag, a->spec, job, &prefix);
    ebb_buffer_append_text(&prefix, "/logs/");
    if (rank > 0)
        ebb_buffer_printf(&prefix, "rank-%" PRId64 "/", rank);
    struct cursor at = {.headings =
                            follow || (attempt_text != NULL && strcmp(attempt_text, "all") == 0)};
    struct job_seen seen = {0};
    int rc = 0;
    if (rank >= ebb_gang_size(group->resources))
        return ebb_error_set(err, EBB_ERR_NOT_FOUND,
                             "%s has no rank %" PRId64 ": it runs on %u VM%s",
                             ebb_buffer_text(&name), rank, ebb_gang_size(group->resources),
                             ebb_gang_size(group->resources) == 1 ? "" : "s");
    do {
        if (follow)
            rc = look_at_job(a, ebb_buffer_text(&name), &seen, err);
        if (rc == 0)
            rc = print_new(a, ebb_buffer_text(&prefix), &at, err);
        if (rc == 0 && seen.may_write)
            (void)poll(NULL, 0, POLL_MS);
    } while (rc == 0 && seen.may_write);
    if (rc == 0 && at.key == NULL)
        rc = explain_nothing(a, ebb_buffer_text(&name), err);
    free(at.key);
    return rc;
}

static int run(int argc, char **argv)
{
    (void)argc;
    struct ebb_error err = {0};
    EBB_AUTO_FREE char *bag = NULL, *job = NULL;
    EBB_AUTO(ebb_bag_access_clean_up) struct ebb_bag_access a = {0};
    uint64_t index = 0;
    ebb_job_argument(argv[0], &bag, &job);
    int rc = ebb_bag_access_open(bag, &a, &err);
    if (rc == 0)
        rc = ebb_bag_access_job(&a, job, &index, &err);
    if (rc == 0)
        rc = print_logs(&a, index, &err);
    return rc < 0 ? ebb_command_fail(&err) : 0;
}

static const struct ebb_option options[] = {
    {.name = "follow",
     .letter = 'f',
     .target = &follow,
     .help = "Go on until the job has ended, through revocations."},
    {.name = "attempt",
     .kind = EBB_OPTION_TEXT,
     .target = &attempt_text,
     .value = "N",
     .help = "Of this attempt, or 'all'. Default: the newest."},
    {.name = "rank",
     .kind = EBB_OPTION_INT,
     .target = &rank,
     .least = 0,
     .most = EBB_GANG_MOST - 1,
     .value = "K",
     .help = "Of a job on several VMs: what it wrote on the VM of this rank. Default: 0."},
    {.name = NULL},
};

const struct ebb_command ebb_command_logs = {
    .name = "logs",
    .arguments = "[BAG/]JOB",
    .summary = "Print what a job wrote; logs outlive the VM",
    .details = "  ebb logs nvt,temperature=290,seed=1 -f\n  ebb logs demo/3 --attempt all",
    .options = options,
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
