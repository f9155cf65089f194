/* A daemon with its cloud, agents and client in one loop, for tests. */
#include "world.h"

#include "base/log.h"

/* ---- the cloud ---- */

static struct world *world_of(struct ebb_provider *p)
{
    return (struct world *)(void *)((char *)p - offsetof(struct world, provider));
}

static int fake_offers(struct ebb_provider *p, ebb_offer_fn fn, void *ctx, struct ebb_error *err)
{
    static const char *const zones[] = {"z-1a", "z-1b"};
    (void)p, (void)err;
    int rc = 0;
    for (int i = 0; i < 2 && rc == 0; i++) {
        Ebb__Offer o = EBB__OFFER__INIT;
        o.provider = (char *)"fake";
        o.region = (char *)"z-1";
        o.zone = (char *)(uintptr_t)zones[i];
        o.type = (char *)"t.small";
        o.cpus = 2;
        o.memory_bytes = UINT64_C(4) << 30;
        o.usd_micros_per_hour = 30000 + i * 1000;
        o.on_demand_usd_micros_per_hour = 90000;
        rc = fn(ctx, &o);
    }
    return rc;
}

static int fake_prices(struct ebb_provider *p, int64_t since, ebb_price_fn fn, void *ctx,
                       struct ebb_error *err)
{
    Ebb__PricePoint point = EBB__PRICE_POINT__INIT;
    (void)p, (void)since, (void)err;
    point.zone = (char *)"z-1a";
    point.type = (char *)"t.small";
    point.usd_micros_per_hour = 30000;
    point.from_wall_ns = INT64_C(1700000000) * EBB_NS_PER_S;
    return fn(ctx, &point);
}

static struct fake_vm *by_token(struct fake_cloud *c, const char *token)
{
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->vms[i].token, token) == 0)
            return &c->vms[i];
    }
    return NULL;
}

static int launch_locked(struct fake_cloud *c, const struct ebb_launch_request *q,
                         struct ebb_instance *ret, struct ebb_error *err)
{
    c->launch_calls++;
    if (c->refuse_everywhere != 0)
        return ebb_error_set(err, c->refuse_everywhere, "refused");
    if (c->full_zone != NULL && strcmp(c->full_zone, q->offer->zone) == 0)
        return ebb_error_set(err, EBB_ERR_NO_CAPACITY, "InsufficientInstanceCapacity");
    struct fake_vm *vm = by_token(c, q->client_token);
    if (vm != NULL && strcmp(vm->user_data, q->user_data) != 0)
        return ebb_error_set(err, EBB_ERR_INPUT, "IdempotentParameterMismatch");
    if (vm == NULL) {
        vm = &c->vms[c->count++];
        snprintf(vm->token, sizeof vm->token, "%s", q->client_token);
        snprintf(vm->instance.id, sizeof vm->instance.id, "i-%zu", c->count);
        snprintf(vm->instance.vm, sizeof vm->instance.vm, "%s", q->vm);
        vm->user_data = ebb_strdup(q->user_data);
        vm->instance.state = EBB_INSTANCE_RUNNING;
        vm->instance.launched_wall_ns = ebb_wall_ns(NULL);
    }
    if (c->lose_answers > 0) {
        c->lose_answers--;
        return ebb_error_set(err, EBB_ERR_TIMEOUT, "no answer");
    }
    *ret = vm->instance;
    return 0;
}

static int fake_launch(struct ebb_provider *p, const struct ebb_launch_request *q,
                       struct ebb_instance *ret, struct ebb_error *err)
{
    struct fake_cloud *c = &world_of(p)->cloud;
    pthread_mutex_lock(&c->lock);
    int rc = launch_locked(c, q, ret, err);
    pthread_mutex_unlock(&c->lock);
    return rc;
}

static int fake_list(struct ebb_provider *p, const char *scheduler, ebb_instance_fn fn, void *ctx,
                     struct ebb_error *err)
{
    struct fake_cloud *c = &world_of(p)->cloud;
    int rc = 0;
    (void)scheduler, (void)err;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->count && rc == 0 && !c->hide; i++)
        rc = fn(ctx, &c->vms[i].instance);
    pthread_mutex_unlock(&c->lock);
    return rc;
}

static int fake_terminate(struct ebb_provider *p, const char *const *ids, size_t count,
                          struct ebb_error *err)
{
    struct fake_cloud *c = &world_of(p)->cloud;
    int rc = 0;
    pthread_mutex_lock(&c->lock);
    c->terminate_calls++;
    if (c->fail_terminates > 0) {
        c->fail_terminates--;
        rc = ebb_error_set(err, EBB_ERR_UNAVAILABLE, "503");
    }
    for (size_t i = 0; i < c->count && rc == 0; i++) {
        struct ebb_instance *vm = &c->vms[i].instance;
        for (size_t k = 0; k < count; k++) {
            if (strcmp(vm->id, ids[k]) == 0 && vm->state != EBB_INSTANCE_TERMINATED) {
                vm->state = EBB_INSTANCE_TERMINATED;
                vm->ended_wall_ns = ebb_wall_ns(NULL);
                snprintf(vm->reason, sizeof vm->reason, "Client.UserInitiatedShutdown");
            }
        }
    }
    pthread_mutex_unlock(&c->lock);
    return rc;
}

static const struct ebb_provider_methods methods = {.offers = fake_offers,
                                                    .prices = fake_prices,
                                                    .launch = fake_launch,
                                                    .list = fake_list,
                                                    .terminate = fake_terminate};

/* ---- agents ---- */

void agent_send(struct fake_agent *a, Ebb__AgentMessage__KindCase kind, void *body)
{
    uint8_t bytes[8192];
    Ebb__AgentMessage m = EBB__AGENT_MESSAGE__INIT;
    m.kind_case = kind;
    m.join = body;
    assert_true(ebb__agent_message__get_packed_size(&m) <= sizeof bytes);
    assert_non_null(a->channel);
    ebb_channel_send(a->channel, bytes, ebb__agent_message__pack(&m, bytes));
}

static void send_hello(struct fake_agent *a)
{
    Ebb__Hello hello = EBB__HELLO__INIT;
    Ebb__AttemptState *running = NULL;
    hello.vm = a->vm;
    hello.protocol = 1;
    hello.cpus = 2;
    hello.memory_bytes = UINT64_C(4) << 30;
    if (a->running.len > 0) {
        running = ebb__attempt_state__unpack(NULL, a->running.len, a->running.data);
        hello.running = &running;
        hello.n_running = 1;
    }
    agent_send(a, EBB__AGENT_MESSAGE__KIND_HELLO, &hello);
    if (running != NULL)
        ebb__attempt_state__free_unpacked(running, NULL);
}

static void on_open(void *ctx, struct ebb_channel *c)
{
    struct fake_agent *a = ctx;
    (void)c;
    if (a->joined) {
        send_hello(a);
        return;
    }
    Ebb__Join join = EBB__JOIN__INIT;
    join.vm = a->vm;
    join.token = a->token;
    join.csr_pem = (char *)(uintptr_t)ebb_buffer_text(&a->csr);
    agent_send(a, EBB__AGENT_MESSAGE__KIND_JOIN, &join);
}

void agent_start(struct fake_agent *a, uint64_t job, uint32_t attempt)
{
    Ebb__AttemptStarted m = EBB__ATTEMPT_STARTED__INIT;
    m.bag = a->bag;
    m.job = job;
    m.attempt = attempt;
    m.resumed_step = -1;
    agent_send(a, EBB__AGENT_MESSAGE__KIND_ATTEMPT_STARTED, &m);
}

void agent_end(struct fake_agent *a, uint64_t job, uint32_t attempt, int outcome)
{
    Ebb__AttemptEnded m = EBB__ATTEMPT_ENDED__INIT;
    Ebb__AttemptTimes times = EBB__ATTEMPT_TIMES__INIT;
    m.bag = a->bag;
    m.job = job;
    m.attempt = attempt;
    m.outcome = (Ebb__AttemptEnded__Outcome)outcome;
    m.times = &times;
    m.final_sequence = outcome == EBB__ATTEMPT_ENDED__OUTCOME__DONE;
    agent_send(a, EBB__AGENT_MESSAGE__KIND_ATTEMPT_ENDED, &m);
}

void agent_beat(struct fake_agent *a)
{
    Ebb__Heartbeat beat = EBB__HEARTBEAT__INIT;
    beat.count = ++a->beats;
    agent_send(a, EBB__AGENT_MESSAGE__KIND_HEARTBEAT, &beat);
}

static void on_welcome(struct fake_agent *a)
{
    a->welcome = true;
    if (a->tells_end)
        agent_end(a, a->job, a->attempt, EBB__ATTEMPT_ENDED__OUTCOME__DONE);
    agent_beat(a);
}

static void on_lease(struct fake_agent *a, const Ebb__Lease *l)
{
    a->leases++;
    snprintf(a->bag, sizeof a->bag, "%s", l->bag);
    a->job = l->job;
    a->attempt = l->attempt;
    a->rank = l->rank;
    a->gang_size = l->n_gang_hosts;
    if (!a->answers)
        return;
    agent_start(a, l->job, l->attempt);
    agent_end(a, l->job, l->attempt, EBB__ATTEMPT_ENDED__OUTCOME__DONE);
}

static void on_connect(void *ctx)
{
    agent_hello(ctx);
}

static void on_message(void *ctx, struct ebb_channel *c, const uint8_t *data, size_t len)
{
    struct fake_agent *a = ctx;
    (void)c;
    Ebb__SchedulerMessage *m = ebb__scheduler_message__unpack(NULL, len, data);
    assert_non_null(m);
    switch (m->kind_case) {
    case EBB__SCHEDULER_MESSAGE__KIND_JOINED:
        ebb_buffer_append_text(&a->certificate, m->joined->certificate_pem);
        a->joined = true;
        ebb_timer_set(a->connector, 0);
        break;
    case EBB__SCHEDULER_MESSAGE__KIND_WELCOME:
        on_welcome(a);
        break;
    case EBB__SCHEDULER_MESSAGE__KIND_LEASE_GRANT:
        for (size_t i = 0; i < m->lease_grant->n_leases; i++)
            on_lease(a, m->lease_grant->leases[i]);
        for (size_t i = 0; i < m->lease_grant->n_member_leases; i++) {
            on_lease(a, m->lease_grant->member_leases[i]);
            a->member_leases++;
        }
        break;
    case EBB__SCHEDULER_MESSAGE__KIND_GANG:
        a->messages++;
        a->message_from = m->gang->from;
        break;
    case EBB__SCHEDULER_MESSAGE__KIND_ATTEMPT_CANCEL:
        a->cancels++;
        a->was_released = m->attempt_cancel->release;
        a->within_s = m->attempt_cancel->within_s;
        break;
    case EBB__SCHEDULER_MESSAGE__KIND_ATTEMPT_ACK:
        a->acks++;
        break;
    case EBB__SCHEDULER_MESSAGE__KIND_HEARTBEAT_ACK:
        a->beats_acked = m->heartbeat_ack->count;
        break;
    case EBB__SCHEDULER_MESSAGE__KIND_DRAIN:
        a->drains++;
        break;
    case EBB__SCHEDULER_MESSAGE__KIND_REFUSED:
        a->refused = true;
        break;
    default:
        break;
    }
    ebb__scheduler_message__free_unpacked(m, NULL);
}

static void on_close(void *ctx, struct ebb_channel *c, const struct ebb_error *err)
{
    struct fake_agent *a = ctx;
    (void)err;
    a->closed = true;
    a->channel = NULL;
    ebb_channel_destroy(c);
}

static void open_channel(struct fake_agent *a)
{
    static const struct ebb_channel_handlers handlers = {
        .on_open = on_open, .on_message = on_message, .on_close = on_close};
    char address[64];
    struct ebb_error err = {0};
    agent_drop(a);
    ebb_tls_context_destroy(a->tls);
    a->tls = NULL;
    snprintf(address, sizeof address, "127.0.0.1:%d", ebb_daemon_agent_port(a->world->daemon));
    assert_int_equal(
        ebb_tls_client_context(a->authority, a->joined ? ebb_buffer_text(&a->certificate) : NULL,
                               a->joined ? ebb_buffer_text(&a->key) : NULL, &a->tls, &err),
        0);
    assert_int_equal(ebb_channel_connect(a->world->daemon->loop, address, a->tls, EBB_SERVER_NAME,
                                         NULL, &handlers, a, &a->channel, &err),
                     0);
}

void agent_hello(struct fake_agent *a)
{
    a->welcome = a->refused = a->closed = false;
    open_channel(a);
}

void agent_drop(struct fake_agent *a)
{
    ebb_channel_destroy(a->channel);
    a->channel = NULL;
}

static void take_value(const char *script, const char *key, char *out, size_t size)
{
    const char *at = strstr(script, key);
    assert_non_null(at);
    at += strlen(key);
    snprintf(out, size, "%.*s", (int)strcspn(at, "\"\n"), at);
}

static char *take_authority(const char *script)
{
    struct ebb_buffer b = {0};
    const char *line = strstr(script, "  -----BEGIN");
    while (line != NULL && strncmp(line, "  ", 2) == 0) {
        size_t len = strcspn(line, "\n");
        ebb_buffer_printf(&b, "%.*s\n", (int)len - 2, line + 2);
        line += len + 1;
    }
    return ebb_buffer_take_text(&b);
}

struct fake_agent *world_agent(struct world *w, const char *vm)
{
    struct fake_agent *a = &w->agents[w->agent_count++];
    char *script = NULL;
    pthread_mutex_lock(&w->cloud.lock);
    for (size_t i = 0; i < w->cloud.count; i++) {
        if (strcmp(w->cloud.vms[i].instance.vm, vm) == 0)
            script = ebb_strdup(w->cloud.vms[i].user_data);
    }
    pthread_mutex_unlock(&w->cloud.lock);
    assert_non_null(script);
    *a = (struct fake_agent){.world = w, .answers = w->agents_answer};
    snprintf(a->vm, sizeof a->vm, "%s", vm);
    take_value(script, "\ntoken: ", a->token, sizeof a->token);
    a->authority = take_authority(script);
    free(script);
    a->connector = ebb_timer_new(w->daemon->loop, on_connect, a);
    assert_int_equal(ebb_tls_request(&a->key, &a->csr, NULL), 0);
    open_channel(a);
    return a;
}

/* ---- the client ---- */

static void client_message(void *ctx, struct ebb_channel *c, const uint8_t *data, size_t len)
{
    struct world *w = ctx;
    (void)c;
    w->answer = ebb__client_answer__unpack(NULL, len, data);
}

static void client_close(void *ctx, struct ebb_channel *c, const struct ebb_error *err)
{
    (void)err;
    ((struct world *)ctx)->client = NULL;
    ebb_channel_destroy(c);
}

void world_ask(struct world *w, Ebb__ClientRequest *q)
{
    static const struct ebb_channel_handlers handlers = {.on_message = client_message,
                                                         .on_close = client_close};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    char address[128];
    if (w->answer != NULL)
        ebb__client_answer__free_unpacked(w->answer, NULL);
    w->answer = NULL;
    snprintf(address, sizeof address, "unix:%s/scheduler.sock", w->directory);
    if (w->client == NULL)
        assert_int_equal(ebb_channel_connect(w->daemon->loop, address, NULL, NULL, NULL, &handlers,
                                             w, &w->client, NULL),
                         0);
    ebb_buffer_reserve(&b, ebb__client_request__get_packed_size(q));
    b.len = ebb__client_request__pack(q, b.data);
    ebb_channel_send(w->client, b.data, b.len);
    world_wait(w, w->answer != NULL);
}

Ebb__BagSpec *world_bag(const char *jobs)
{
    EBB_AUTO_FREE char *text = ebb_sprintf("name: b\nstore: file:///nonexistent\njobs:\n%s", jobs);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer faults = {0};
    Ebb__BagSpec *spec = NULL;
    if (ebb_bag_parse("t.yaml", text, strlen(text), NULL, &spec, &faults, NULL) < 0)
        fail_msg("%s", ebb_buffer_text(&faults));
    return spec;
}

const char *world_submit(struct world *w, const char *jobs, const char *key)
{
    static char id[64];
    Ebb__ClientRequest q = EBB__CLIENT_REQUEST__INIT;
    Ebb__SubmitRequest submit = EBB__SUBMIT_REQUEST__INIT;
    submit.spec = world_bag(jobs);
    submit.idempotency_key = (char *)(uintptr_t)key;
    q.kind_case = EBB__CLIENT_REQUEST__KIND_SUBMIT;
    q.submit = &submit;
    world_ask(w, &q);
    assert_int_equal(w->answer->code, 0);
    snprintf(id, sizeof id, "%s", w->answer->submit->bag);
    ebb__bag_spec__free_unpacked(submit.spec, NULL);
    return id;
}

/* ---- the world ---- */

static void stop_loop(void *ctx)
{
    ebb_loop_stop(ctx);
}

void world_run(struct world *w, int64_t ms)
{
    struct ebb_timer *t = ebb_timer_new(w->daemon->loop, stop_loop, w->daemon->loop);
    struct ebb_error err = {0};
    ebb_timer_set(t, ms * EBB_NS_PER_MS);
    if (ebb_daemon_run(w->daemon, &err) < 0)
        fail_msg("%s", err.text);
    ebb_timer_destroy(t);
}

static int count_event(void *ctx, const Ebb__Event *e, struct ebb_error *err)
{
    size_t *counts = ctx;
    (void)err;
    counts[e->kind_case]++;
    return 0;
}

size_t world_events(struct world *w, Ebb__Event__KindCase kind)
{
    size_t counts[128] = {0};
    assert_int_equal(ebb_event_log_read(w->daemon->log, 0, 0, count_event, counts, NULL), 0);
    return counts[kind];
}

void world_start(struct world *w)
{
    struct ebb_error err = {0};
    w->options.state_dir = w->directory;
    w->options.provider = &w->provider;
    if (ebb_daemon_new(&w->options, &w->daemon, &err) < 0)
        fail_msg("%s", err.text);
}

void world_stop(struct world *w)
{
    for (size_t i = 0; i < w->agent_count; i++) {
        struct fake_agent *a = &w->agents[i];
        agent_drop(a);
        ebb_timer_destroy(EBB_TAKE(a->connector));
    }
    ebb_channel_destroy(EBB_TAKE(w->client));
    ebb_daemon_destroy(EBB_TAKE(w->daemon));
}

int world_set_up(void **state)
{
    struct world *w = ebb_alloc(sizeof *w);
    ebb_log_set_level(EBB_LOG_ERROR);
    strcpy(w->directory, "/tmp/ebb-world-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    pthread_mutex_init(&w->cloud.lock, NULL);
    w->provider = (struct ebb_provider){.methods = &methods, .name = "fake", .region = "z-1"};
    w->options = (struct ebb_daemon_options){.bill_time_scale = 1,
                                             .heartbeat_s = 0.2,
                                             .lease_ttl_s = 30,
                                             .orphan_timeout_s = 60,
                                             .boot_timeout_s = 30,
                                             .drain_s = 5,
                                             .list_interval_s = 0.3,
                                             .offers_interval_s = 60,
                                             .seed = 1};
    ebb_policy_default(&w->options.policy);
    world_start(w);
    *state = w;
    return 0;
}

int world_tear_down(void **state)
{
    struct world *w = *state;
    world_stop(w);
    for (size_t i = 0; i < w->agent_count; i++) {
        struct fake_agent *a = &w->agents[i];
        ebb_tls_context_destroy(a->tls);
        ebb_buffer_clean_up(&a->key);
        ebb_buffer_clean_up(&a->csr);
        ebb_buffer_clean_up(&a->certificate);
        ebb_buffer_clean_up(&a->running);
        free(a->authority);
    }
    for (size_t i = 0; i < w->cloud.count; i++)
        free(w->cloud.vms[i].user_data);
    if (w->answer != NULL)
        ebb__client_answer__free_unpacked(w->answer, NULL);
    pthread_mutex_destroy(&w->cloud.lock);
    ebb_remove_tree(w->directory, NULL);
    free(w);
    return 0;
}
