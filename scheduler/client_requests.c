/* Requests that change something: submit, cancel, retry, verify, stop. */
#include "scheduler/client_requests.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "scheduler/core/bag.h"
#include "scheduler/core/sweep.h"

#define STOP_WAIT_NS (60 * EBB_NS_PER_S)

void ebb_request_refuse(struct ebb_daemon *d, struct ebb_client_link *c, int code, const char *fmt,
                        ...)
{
    struct ebb_error err = {.code = code};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err.text, sizeof err.text, fmt, ap);
    va_end(ap);
    ebb_client_fail(d, c, &err);
}

static void answer_done(struct ebb_daemon *d, struct ebb_client_link *c)
{
    Ebb__ClientAnswer a = EBB__CLIENT_ANSWER__INIT;
    ebb_turn_answer(d, c, &a);
}

struct ebb_bag *ebb_request_find_bag(struct ebb_daemon *d, struct ebb_client_link *c,
                                     const char *text)
{
    if (d->state->bag_count == 0) {
        ebb_request_refuse(d, c, EBB_ERR_NOT_FOUND, "no bag was submitted here yet");
        return NULL;
    }
    struct ebb_bag *b = ebb_state_find_bag(d->state, text[0] != '\0' ? text : "last");
    if (b == NULL)
        ebb_request_refuse(d, c, EBB_ERR_NOT_FOUND, "no bag '%.100s': `ebb status` lists them",
                           text);
    return b;
}

struct ebb_bag *ebb_request_find_job(struct ebb_daemon *d, struct ebb_client_link *c,
                                     const char *bag, const char *job, uint64_t *ret_job)
{
    EBB_AUTO_FREE char *prefix = NULL;
    const char *slash = strchr(job, '/');
    if (slash != NULL) {
        prefix = ebb_strndup(job, (size_t)(slash - job));
        bag = prefix;
        job = slash + 1;
    }
    struct ebb_bag *b = ebb_request_find_bag(d, c, bag);
    int64_t index;
    if (b == NULL)
        return NULL;
    if (ebb_bag_find_job(b->spec, job, ret_job))
        return b;
    if (ebb_parse_int(job, 0, (int64_t)b->job_count - 1, &index, NULL) == 0) {
        *ret_job = (uint64_t)index;
        return b;
    }
    ebb_request_refuse(d, c, EBB_ERR_NOT_FOUND,
                       "bag %s has no job '%.100s': `ebb jobs %s` lists them", b->spec->id, job,
                       b->spec->id);
    return NULL;
}

/* ---- submit ---- */

static void answer_submitted(struct ebb_daemon *d, struct ebb_client_link *c,
                             const struct ebb_bag *b)
{
    Ebb__ClientAnswer a = EBB__CLIENT_ANSWER__INIT;
    Ebb__SubmitAnswer s = EBB__SUBMIT_ANSWER__INIT;
    s.bag = b->spec->id;
    s.jobs = b->job_count;
    a.submit = &s;
    ebb_turn_answer(d, c, &a);
}

static char *new_bag_id(struct ebb_daemon *d, const char *name)
{
    char hex[5];
    for (;;) {
        char *id = ebb_sprintf("%s-%s", name, ebb_random_hex(hex, 2));
        if (ebb_state_bag(d->state, id) == NULL)
            return id;
        free(id);
    }
}

static void set_text(char **field, char *value)
{
    if (*field != (char *)(uintptr_t)protobuf_c_empty_string)
        free(*field);
    *field = value;
}

static void on_submit(struct ebb_daemon *d, struct ebb_client_link *c, Ebb__SubmitRequest *q)
{
    struct ebb_error err = {0};
    const struct ebb_bag *known =
        q->idempotency_key[0] == '\0' ? NULL : ebb_state_bag_by_key(d->state, q->idempotency_key);
    if (known != NULL) {
        answer_submitted(d, c, known);
        return;
    }
    if (d->stopping) {
        ebb_request_refuse(d, c, EBB_ERR_UNAVAILABLE, "the scheduler is being stopped");
        return;
    }
    if (q->spec == NULL || ebb_bag_check(q->spec, &err) < 0) {
        ebb_request_refuse(d, c, EBB_ERR_INPUT, "the bag is refused: %s",
                           q->spec == NULL ? "it is empty" : err.text);
        return;
    }
    if (q->spec->store_url[0] == '\0')
        set_text(&q->spec->store_url, ebb_strdup(d->store_url != NULL ? d->store_url : ""));
    if (q->spec->store_url[0] == '\0') {
        ebb_request_refuse(d, c, EBB_ERR_INPUT, "the bag names no store, and there is no default");
        return;
    }
    if (q->spec->id[0] == '\0' || ebb_state_bag(d->state, q->spec->id) != NULL)
        set_text(&q->spec->id, new_bag_id(d, q->spec->name));
    Ebb__Event e = EBB__EVENT__INIT;
    Ebb__BagSubmitted m = EBB__BAG_SUBMITTED__INIT;
    m.bag = q->spec->id;
    m.spec = q->spec;
    m.estimate = q->estimate;
    m.idempotency_key = q->idempotency_key;
    e.kind_case = EBB__EVENT__KIND_BAG_SUBMITTED;
    e.bag_submitted = &m;
    if (ebb_turn_emit(d, &e, &err) < 0) {
        ebb_request_refuse(d, c, EBB_ERR_INPUT, "the bag is refused: %s", err.text);
        return;
    }
    const struct ebb_bag *b = ebb_state_bag(d->state, q->spec->id);
    ebb_log_info("bag %s: %llu jobs", b->spec->id, (unsigned long long)b->job_count);
    answer_submitted(d, c, b);
}

/* ---- cancel, retry ---- */

static void cancel_job(struct ebb_daemon *d, struct ebb_client_link *c, struct ebb_bag *b,
                       uint64_t job)
{
    int state = b->jobs[job].state;
    if (state == EBB_JOB_DONE || state == EBB_JOB_FAILED || state == EBB_JOB_CANCELLED) {
        ebb_request_refuse(d, c, EBB_ERR_INPUT, "the job is %s already", ebb_job_state_name(state));
        return;
    }
    Ebb__Event e = EBB__EVENT__INIT;
    Ebb__JobCancelled m = EBB__JOB_CANCELLED__INIT;
    m.bag = b->spec->id;
    m.job = job;
    e.kind_case = EBB__EVENT__KIND_JOB_CANCELLED;
    e.job_cancelled = &m;
    ebb_turn_emit_own(d, &e);
    ebb_leases_cancel(d, b, job, false, "cancelled");
    answer_done(d, c);
}

/* "BAG|JOB": a word that is no bag may be a job of the newest one. */
static bool names_a_job(const struct ebb_daemon *d, const char *word)
{
    uint64_t job;
    const struct ebb_bag *newest = ebb_state_find_bag(d->state, "last");
    return word[0] != '\0' && newest != NULL && ebb_state_find_bag(d->state, word) == NULL &&
           ebb_bag_find_job(newest->spec, word, &job);
}

static void on_cancel(struct ebb_daemon *d, struct ebb_client_link *c, const Ebb__CancelRequest *q)
{
    uint64_t job;
    if (q->job[0] == '\0' && names_a_job(d, q->bag)) {
        struct ebb_bag *b = ebb_request_find_job(d, c, "last", q->bag, &job);
        if (b != NULL)
            cancel_job(d, c, b, job);
        return;
    }
    if (q->job[0] != '\0') {
        struct ebb_bag *b = ebb_request_find_job(d, c, q->bag, q->job, &job);
        if (b != NULL)
            cancel_job(d, c, b, job);
        return;
    }
    struct ebb_bag *b = ebb_request_find_bag(d, c, q->bag);
    if (b == NULL)
        return;
    if (ebb_bag_is_finished(b)) {
        ebb_request_refuse(d, c, EBB_ERR_INPUT, "bag %s has ended already", b->spec->id);
        return;
    }
    if (!b->cancelled)
        ebb_leases_cancel_bag(d, b, "cancelled", false);
    answer_done(d, c);
}

static void on_retry(struct ebb_daemon *d, struct ebb_client_link *c, const Ebb__RetryRequest *q)
{
    struct ebb_bag *b = ebb_request_find_bag(d, c, q->bag);
    if (b == NULL)
        return;
    uint64_t failed = b->counts[EBB_JOB_FAILED];
    uint64_t *jobs EBB_AUTO_FREE = ebb_alloc_array(failed + 1, sizeof *jobs);
    size_t n = 0;
    for (uint64_t j = 0; j < b->job_count && n < failed; j++) {
        if (b->jobs[j].state == EBB_JOB_FAILED)
            jobs[n++] = j;
    }
    if (n > 0) {
        Ebb__Event e = EBB__EVENT__INIT;
        Ebb__JobsRetried m = EBB__JOBS_RETRIED__INIT;
        m.bag = b->spec->id;
        m.n_jobs = n;
        m.jobs = jobs;
        e.kind_case = EBB__EVENT__KIND_JOBS_RETRIED;
        e.jobs_retried = &m;
        ebb_turn_emit_own(d, &e);
    }
    Ebb__ClientAnswer a = EBB__CLIENT_ANSWER__INIT;
    Ebb__RetryAnswer r = EBB__RETRY_ANSWER__INIT;
    r.jobs = n;
    a.retry = &r;
    ebb_turn_answer(d, c, &a);
}

/* ---- the others ---- */

static void on_verify(struct ebb_daemon *d, struct ebb_client_link *c, const Ebb__VerifyRequest *q)
{
    struct ebb_bag *b = ebb_request_find_bag(d, c, q->bag);
    struct ebb_bag *against = b == NULL ? NULL : ebb_request_find_bag(d, c, q->against);
    if (against == NULL)
        return;
    if (b == against)
        ebb_request_refuse(d, c, EBB_ERR_INPUT, "a bag cannot be compared with itself");
    else if (!ebb_bag_is_finished(b) || !ebb_bag_is_finished(against))
        ebb_request_refuse(d, c, EBB_ERR_INPUT, "bag %s has not ended yet",
                           ebb_bag_is_finished(b) ? against->spec->id : b->spec->id);
    else
        ebb_verify_start(d, c, b, against);
}

static void on_stop(struct ebb_daemon *d, struct ebb_client_link *c, const Ebb__StopRequest *q)
{
    d->stopping = true;
    d->stop_ns = ebb_now_ns(NULL) + (q->terminate_vms ? STOP_WAIT_NS : EBB_NS_PER_S / 10);
    d->stop_when_empty = q->terminate_vms;
    ebb_log_info("stopping%s", q->terminate_vms ? ", and every VM with it" : "");
    for (size_t i = 0; q->terminate_vms && i < d->state->live_count; i++)
        ebb_fleet_end(d, d->state->vms[d->state->live[i]], false, "the scheduler is stopped");
    answer_done(d, c);
}

static void on_requests_counted(struct ebb_daemon *d, struct ebb_client_link *c,
                                Ebb__RequestsCounted *q)
{
    struct ebb_error err = {0};
    Ebb__Event e = EBB__EVENT__INIT;
    e.kind_case = EBB__EVENT__KIND_REQUESTS_COUNTED;
    e.requests_counted = q;
    if ((q->puts | q->gets) != 0 && ebb_turn_emit(d, &e, &err) < 0)
        ebb_client_fail(d, c, &err);
    else
        answer_done(d, c);
}

enum ebb_request_result ebb_request_handle(struct ebb_daemon *d, struct ebb_client_link *c,
                                           Ebb__ClientRequest *q, bool last)
{
    d->busy_ns = ebb_now_ns(NULL);
    switch (q->kind_case) {
    case EBB__CLIENT_REQUEST__KIND_PLAN:
        return ebb_request_plan(d, c, q->plan, last);
    case EBB__CLIENT_REQUEST__KIND_EVENTS:
        return ebb_request_events(d, c, q->events, last);
    case EBB__CLIENT_REQUEST__KIND_SUBMIT:
        on_submit(d, c, q->submit);
        break;
    case EBB__CLIENT_REQUEST__KIND_BAGS:
        ebb_request_bags(d, c, q->bags);
        break;
    case EBB__CLIENT_REQUEST__KIND_JOBS:
        ebb_request_jobs(d, c, q->jobs);
        break;
    case EBB__CLIENT_REQUEST__KIND_EXPLAIN:
        ebb_request_explain(d, c, q->explain);
        break;
    case EBB__CLIENT_REQUEST__KIND_CANCEL:
        on_cancel(d, c, q->cancel);
        break;
    case EBB__CLIENT_REQUEST__KIND_RETRY:
        on_retry(d, c, q->retry);
        break;
    case EBB__CLIENT_REQUEST__KIND_REPORT:
        ebb_request_report(d, c, q->report);
        break;
    case EBB__CLIENT_REQUEST__KIND_VERIFY:
        on_verify(d, c, q->verify);
        break;
    case EBB__CLIENT_REQUEST__KIND_PING:
        ebb_request_ping(d, c);
        break;
    case EBB__CLIENT_REQUEST__KIND_STOP:
        on_stop(d, c, q->stop);
        break;
    case EBB__CLIENT_REQUEST__KIND_REQUESTS_COUNTED:
        on_requests_counted(d, c, q->requests_counted);
        break;
    case EBB__CLIENT_REQUEST__KIND_SPEC:
        ebb_request_spec(d, c, q->spec);
        break;
    case EBB__CLIENT_REQUEST__KIND_HAZARDS:
        ebb_request_hazards(d, c, q->hazards);
        break;
    default:
        ebb_request_refuse(
            d, c, EBB_ERR_UNSUPPORTED,
            "this scheduler does not know the request: is it older than the client?");
    }
    return EBB_REQUEST_ANSWERED;
}
