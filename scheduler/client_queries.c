/* Requests that only ask. The answers are made by scheduler/core from the state; events and a job's
 * history are read from the log. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "scheduler/client_requests.h"
#include "scheduler/core/bag.h"
#include "scheduler/core/estimate.h"
#include "scheduler/core/hazards.h"
#include "scheduler/core/ledger.h"
#include "scheduler/core/status.h"

#define MAX_EVENTS       1000u
#define MAX_EVENTS_BYTES (8u << 20)
#define MAX_EVENTS_SEEN  50000u
#define MAX_JOBS         10000u
#define RECENT_VM_NS     (120 * EBB_NS_PER_S)

static struct ebb_plan_input plan_input(struct ebb_daemon *d)
{
    return (struct ebb_plan_input){.state = d->state,
                                   .offers = (const Ebb__Offer *const *)d->offers,
                                   .offer_count = d->offer_count,
                                   .policy = &d->options.policy,
                                   .now_wall_ns = ebb_wall_ns(NULL),
                                   .random = ebb_random_uniform(&d->random),
                                   .tables = d->tables};
}

enum ebb_request_result ebb_request_plan(struct ebb_daemon *d, struct ebb_client_link *c,
                                         const Ebb__PlanRequest *q, bool last)
{
    struct ebb_error err = {0};
    if (!d->offers_known && !last)
        return EBB_REQUEST_WAIT;
    if (!d->offers_known) {
        bool failed = d->offers_error.code != 0;
        ebb_request_refuse(d, c, failed ? d->offers_error.code : EBB_ERR_UNAVAILABLE,
                           "the cloud has not told its offers yet%s%s; it is asked again and "
                           "again. `ebb doctor` checks the set-up",
                           failed ? ": " : "", d->offers_error.text);
        return EBB_REQUEST_ANSWERED;
    }
    if (q->spec == NULL || ebb_bag_check(q->spec, &err) < 0) {
        ebb_request_refuse(d, c, EBB_ERR_INPUT, "the bag is refused: %s", err.text);
        return EBB_REQUEST_ANSWERED;
    }
    struct ebb_plan_input in = plan_input(d);
    Ebb__ClientAnswer a = EBB__CLIENT_ANSWER__INIT;
    a.plan = ebb_estimate(&in, q->spec);
    ebb_turn_answer(d, c, &a);
    ebb__plan_answer__free_unpacked(a.plan, NULL);
    return EBB_REQUEST_ANSWERED;
}

/* ---- events ---- */

struct collect {
    const char *bag; /* "": all */
    uint32_t limit;
    size_t bytes, seen;
    Ebb__Event **events;
    size_t count;
    uint64_t last;
};

static const char *bag_of(const Ebb__Event *e)
{
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field(&ebb__event__descriptor, (unsigned)e->kind_case);
    if (f == NULL)
        return NULL;
    /* All kinds are pointers in one union; those of a bag have a string field `bag`. */
    const ProtobufCMessage *m = (const ProtobufCMessage *)e->bag_submitted;
    const ProtobufCFieldDescriptor *b =
        protobuf_c_message_descriptor_get_field_by_name(m->descriptor, "bag");
    return b == NULL ? NULL : *(char *const *)((const uint8_t *)m + b->offset);
}

static int collect_event(void *ctx, const Ebb__Event *e, struct ebb_error *err)
{
    struct collect *t = ctx;
    (void)err;
    size_t size = ebb__event__get_packed_size(e);
    if (t->count >= t->limit || ++t->seen > MAX_EVENTS_SEEN ||
        (t->count > 0 && t->bytes + size > MAX_EVENTS_BYTES))
        return 1;
    t->last = e->sequence;
    const char *bag = t->bag[0] == '\0' ? NULL : bag_of(e);
    if (bag != NULL && bag[0] != '\0' && strcmp(bag, t->bag) != 0)
        return 0; /* another bag's; what belongs to none (VMs, prices) is for everybody */
    uint8_t *bytes EBB_AUTO_FREE = ebb_alloc(size + 1);
    ebb__event__pack(e, bytes);
    t->events = ebb_realloc_array(t->events, t->count + 1, sizeof *t->events);
    t->events[t->count] = ebb__event__unpack(NULL, size, bytes);
    t->count += t->events[t->count] != NULL;
    t->bytes += size;
    return 0;
}

enum ebb_request_result ebb_request_events(struct ebb_daemon *d, struct ebb_client_link *c,
                                           const Ebb__EventsRequest *q, bool last)
{
    struct ebb_error err = {0};
    const struct ebb_bag *one = NULL;
    if (q->bag[0] != '\0' && (one = ebb_request_find_bag(d, c, q->bag)) == NULL)
        return EBB_REQUEST_ANSWERED;
    struct collect t = {.bag = one != NULL ? one->spec->id : "",
                        .limit = q->limit == 0 || q->limit > MAX_EVENTS ? MAX_EVENTS : q->limit,
                        .last = q->after};
    /* What is in the open batch is not durable yet: it waits for its commit. */
    uint64_t durable = ebb_event_log_last(d->log) - ebb_event_log_batch_count(d->log);
    int rc = 0;
    if (q->after < durable)
        rc = ebb_event_log_read(d->log, q->after, durable - q->after, collect_event, &t, &err);
    if (rc >= 0 && t.count == 0 && t.last >= durable && !last) {
        free(t.events);
        return EBB_REQUEST_WAIT;
    }
    if (rc < 0) {
        ebb_client_fail(d, c, &err);
    } else {
        Ebb__ClientAnswer a = EBB__CLIENT_ANSWER__INIT;
        Ebb__EventsAnswer events = EBB__EVENTS_ANSWER__INIT;
        events.n_events = t.count;
        events.events = t.events;
        events.last = t.last;
        a.events = &events;
        ebb_turn_answer(d, c, &a);
    }
    for (size_t i = 0; i < t.count; i++)
        ebb__event__free_unpacked(t.events[i], NULL);
    free(t.events);
    return EBB_REQUEST_ANSWERED;
}

/* ---- state ---- */

static bool is_shown(const struct ebb_vm *vm, int64_t now_wall_ns)
{
    return ebb_vm_is_live(vm) ||
           (vm->ended_wall_ns != 0 && now_wall_ns - vm->ended_wall_ns < RECENT_VM_NS);
}

void ebb_request_bags(struct ebb_daemon *d, struct ebb_client_link *c, const Ebb__BagsRequest *q)
{
    const struct ebb_state *s = d->state;
    int64_t now_wall_ns = ebb_wall_ns(NULL);
    struct ebb_bag *one = NULL;
    if (q->bag[0] != '\0' && (one = ebb_request_find_bag(d, c, q->bag)) == NULL)
        return;
    Ebb__ClientAnswer a = EBB__CLIENT_ANSWER__INIT;
    Ebb__BagsAnswer bags = EBB__BAGS_ANSWER__INIT;
    bags.bags = ebb_alloc_array(s->bag_count + 1, sizeof *bags.bags);
    bags.vms = ebb_alloc_array(s->vm_count + 1, sizeof *bags.vms);
    for (size_t i = 0; i < s->bag_count; i++) {
        if (one == NULL || s->bags[i] == one)
            bags.bags[bags.n_bags++] = ebb_bag_status_new(s, s->bags[i], now_wall_ns);
    }
    for (size_t i = 0; i < s->vm_count; i++) {
        if (is_shown(s->vms[i], now_wall_ns))
            bags.vms[bags.n_vms++] = ebb_vm_status_new(s, s->vms[i], now_wall_ns);
    }
    bags.wall_ns = now_wall_ns;
    a.bags = &bags;
    ebb_turn_answer(d, c, &a);
    for (size_t i = 0; i < bags.n_bags; i++)
        ebb__bag_status__free_unpacked(bags.bags[i], NULL);
    for (size_t i = 0; i < bags.n_vms; i++)
        ebb__vm_status__free_unpacked(bags.vms[i], NULL);
    free(bags.bags);
    free(bags.vms);
}

void ebb_request_jobs(struct ebb_daemon *d, struct ebb_client_link *c, const Ebb__JobsRequest *q)
{
    const struct ebb_bag *b = ebb_request_find_bag(d, c, q->bag);
    if (b == NULL)
        return;
    for (size_t i = 0; i < q->n_states; i++) {
        if (ebb_job_state_of(q->states[i]) < 0) {
            ebb_request_refuse(
                d, c, EBB_ERR_INPUT,
                "no job state '%.40s': waiting, ready, leased, running, done, failed "
                "or cancelled",
                q->states[i]);
            return;
        }
    }
    uint32_t limit = q->limit == 0 || q->limit > MAX_JOBS ? MAX_JOBS : q->limit;
    Ebb__ClientAnswer a = EBB__CLIENT_ANSWER__INIT;
    a.jobs = ebb_jobs_answer_new(d->state, b, q->states, q->n_states, q->first, limit,
                                 ebb_wall_ns(NULL));
    ebb_turn_answer(d, c, &a);
    ebb__jobs_answer__free_unpacked(a.jobs, NULL);
}

void ebb_request_report(struct ebb_daemon *d, struct ebb_client_link *c,
                        const Ebb__ReportRequest *q)
{
    const struct ebb_bag *b = ebb_request_find_bag(d, c, q->bag);
    if (b == NULL)
        return;
    Ebb__ClientAnswer a = EBB__CLIENT_ANSWER__INIT;
    a.report = ebb_report_new(d->state, b, ebb_wall_ns(NULL), q->jobs);
    ebb_turn_answer(d, c, &a);
    ebb__report__free_unpacked(a.report, NULL);
}

void ebb_request_ping(struct ebb_daemon *d, struct ebb_client_link *c)
{
    Ebb__ClientAnswer a = EBB__CLIENT_ANSWER__INIT;
    Ebb__PingAnswer p = EBB__PING_ANSWER__INIT;
    p.version = (char *)EBB_VERSION;
    p.pid = (uint64_t)getpid();
    p.cloud = (char *)(uintptr_t)d->provider->name;
    p.emulated = d->options.emulated;
    p.store_url = d->store_url != NULL ? d->store_url : (char *)"";
    const struct ebb_bag *last = NULL;
    for (size_t i = 0; i < d->state->bag_count; i++) {
        last = d->state->bags[i];
        p.active_bags += !ebb_bag_is_finished(last);
    }
    p.live_vms = d->state->live_count;
    a.ping = &p;
    ebb_turn_answer(d, c, &a);
}

void ebb_request_spec(struct ebb_daemon *d, struct ebb_client_link *c, const Ebb__SpecRequest *q)
{
    const struct ebb_bag *b = ebb_request_find_bag(d, c, q->bag);
    if (b == NULL)
        return;
    Ebb__ClientAnswer a = EBB__CLIENT_ANSWER__INIT;
    Ebb__SpecAnswer s = EBB__SPEC_ANSWER__INIT;
    s.bag = b->spec->id;
    s.spec = b->spec;
    s.store_url = b->spec->store_url;
    a.spec = &s;
    ebb_turn_answer(d, c, &a);
}

/* An import is tried on a copy first: what the log holds must fold. */
static int import_hazards(struct ebb_daemon *d, Ebb__HazardsRequest *q, struct ebb_error *err)
{
    struct ebb_hazards *trial = ebb_hazards_copy(d->state->hazards);
    int rc = ebb_hazards_load(trial, q->import, err);
    ebb_hazards_destroy(trial);
    if (rc < 0)
        return rc;
    Ebb__Event e = EBB__EVENT__INIT;
    Ebb__HazardsImported m = EBB__HAZARDS_IMPORTED__INIT;
    m.state = q->import;
    m.source = q->source;
    e.kind_case = EBB__EVENT__KIND_HAZARDS_IMPORTED;
    e.hazards_imported = &m;
    return ebb_turn_emit(d, &e, err);
}

void ebb_request_hazards(struct ebb_daemon *d, struct ebb_client_link *c, Ebb__HazardsRequest *q)
{
    struct ebb_error err = {0};
    if (q->import != NULL && import_hazards(d, q, &err) < 0) {
        ebb_client_fail(d, c, &err);
        return;
    }
    Ebb__ClientAnswer a = EBB__CLIENT_ANSWER__INIT;
    Ebb__HazardsAnswer h = EBB__HAZARDS_ANSWER__INIT;
    h.state = ebb_hazards_save(d->state->hazards);
    h.wall_ns = ebb_wall_ns(NULL);
    h.bill_time_scale = d->state->bill_time_scale;
    h.boot_s = d->state->boot_s.count > 0 ? d->state->boot_s.value : 0;
    a.hazards = &h;
    ebb_turn_answer(d, c, &a);
    ebb__hazard_state__free_unpacked(h.state, NULL);
}

/* ---- explain: the history is read by a worker, with a reader of its own ---- */

struct explain {
    struct ebb_daemon *daemon;
    struct ebb_client_link *client;
    uint32_t bag;
    uint64_t job;
    struct ebb_job_history *history;
    int rc;
    struct ebb_error err;
};

static int feed_history(void *ctx, const Ebb__Event *e, struct ebb_error *err)
{
    (void)err;
    ebb_job_history_add(ctx, e);
    return 0;
}

EBB_DEFINE_AUTO_PTR(auto_log, struct ebb_event_log, ebb_event_log_destroy)

static void explain_work(void *ctx)
{
    struct explain *t = ctx;
    EBB_AUTO(auto_log) struct ebb_event_log *log = NULL;
    t->rc = ebb_event_log_open(t->daemon->state_dir, true, &log, &t->err);
    if (t->rc == 0)
        t->rc = ebb_event_log_read(log, 0, 0, feed_history, t->history, &t->err);
}

static void explain_done(void *ctx)
{
    struct explain *t = ctx;
    struct ebb_daemon *d = t->daemon;
    if (t->rc < 0) {
        ebb_client_fail(d, t->client, &t->err);
    } else {
        struct ebb_plan plan = {0};
        struct ebb_plan_input in = plan_input(d);
        ebb_plan(&in, &plan);
        Ebb__ClientAnswer a = EBB__CLIENT_ANSWER__INIT;
        a.explain = ebb_explain_new(&in, d->state->bags[t->bag], t->job, t->history, &plan);
        ebb_turn_answer(d, t->client, &a);
        ebb__explain_answer__free_unpacked(a.explain, NULL);
        ebb_plan_clean_up(&plan);
    }
    ebb_job_history_destroy(t->history);
    ebb_client_unref(t->client);
    free(t);
}

void ebb_request_explain(struct ebb_daemon *d, struct ebb_client_link *c,
                         const Ebb__ExplainRequest *q)
{
    uint64_t job;
    const struct ebb_bag *b = ebb_request_find_job(d, c, q->bag, q->job, &job);
    if (b == NULL)
        return;
    struct explain *t = ebb_alloc(sizeof *t);
    t->daemon = d;
    t->client = c;
    ebb_client_ref(c);
    t->bag = b->index;
    t->job = job;
    t->history = ebb_job_history_new(b->spec->id, job);
    ebb_workers_submit(d->workers, explain_work, explain_done, t);
}
