/* The scripted scheduler. Everything runs on the test's thread: harness_wait turns the loop until
 * what is waited for has happened. */
#include "tests/flow/agent/harness.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/channel.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/loop.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/tls.h"
#include "checkpoint/lineage.h"
#include "cloud/object_store.h"

struct harness {
    struct ebb_loop *loop;
    struct ebb_listener *listener;
    struct ebb_tls_authority *authority;
    struct ssl_ctx_st *tls;
    struct ebb_timer *tick;
    struct ebb_reaper *reaper;
    struct ebb_object_store *store;
    char *directory;
    char *store_url;
    int port;
    struct evhttp *metadata;
    int metadata_port;
    int64_t revoked_at_wall_ns;
    double ttl_s, orphan_s;
    bool acks;
    Ebb__BagContext *bag;
    struct vm vms[MAX_VMS];
    size_t vm_count;
    Ebb__AgentMessage *events[MAX_EVENTS];
    size_t event_count;
    bool (*condition)(void *ctx);
    void *condition_ctx;
    int64_t limit_ns;
    bool timed_out;
};

static void tell(struct ebb_channel *c, const Ebb__SchedulerMessage *m)
{
    size_t len = ebb__scheduler_message__get_packed_size(m);
    EBB_AUTO_FREE uint8_t *data = ebb_alloc(len + 1);
    ebb__scheduler_message__pack(m, data);
    ebb_channel_send(c, data, len);
}

static struct vm *vm_named(struct harness *h, const char *name)
{
    for (size_t i = 0; i < h->vm_count; i++)
        if (strcmp(h->vms[i].name, name) == 0)
            return &h->vms[i];
    return NULL;
}

static struct vm *vm_of(struct harness *h, const struct ebb_channel *c)
{
    for (size_t i = 0; i < h->vm_count; i++)
        if (h->vms[i].channel == c)
            return &h->vms[i];
    return NULL;
}

static void on_join(struct harness *h, struct ebb_channel *c, const Ebb__Join *join)
{
    struct ebb_error err = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer pem = {0};
    Ebb__SchedulerMessage m = EBB__SCHEDULER_MESSAGE__INIT;
    Ebb__Joined joined = EBB__JOINED__INIT;
    Ebb__Refused refused = EBB__REFUSED__INIT;
    if (strcmp(join->token, "token-for-tests") != 0) {
        refused.reason = (char *)"wrong token";
        refused.permanent = true;
        m.kind_case = EBB__SCHEDULER_MESSAGE__KIND_REFUSED;
        m.refused = &refused;
        tell(c, &m);
        return;
    }
    int r = ebb_tls_authority_sign(h->authority, join->csr_pem, join->vm, 1, &pem, &err);
    if (r < 0)
        fail_msg("sign: %s", err.text);
    joined.certificate_pem = (char *)ebb_buffer_text(&pem);
    m.kind_case = EBB__SCHEDULER_MESSAGE__KIND_JOINED;
    m.joined = &joined;
    tell(c, &m);
}

static void on_hello(struct harness *h, struct ebb_channel *c, const Ebb__Hello *hello)
{
    char name[64];
    struct ebb_error err = {0};
    if (ebb_tls_peer_name(ebb_channel_ssl(c), name, sizeof name, &err) < 0)
        fail_msg("hello without a certificate: %s", err.text);
    assert_string_equal(name, hello->vm);
    struct vm *vm = vm_named(h, name);
    if (vm == NULL) {
        fail_msg("hello from an unknown VM %s", name);
        return;
    }
    vm->channel = c;
    Ebb__SchedulerMessage m = EBB__SCHEDULER_MESSAGE__INIT;
    Ebb__Welcome welcome = EBB__WELCOME__INIT;
    welcome.heartbeat_interval_s = 0.25;
    welcome.lease_ttl_s = h->ttl_s;
    welcome.orphan_timeout_s = h->orphan_s;
    welcome.wall_ns = ebb_wall_ns(NULL);
    m.kind_case = EBB__SCHEDULER_MESSAGE__KIND_WELCOME;
    m.welcome = &welcome;
    if (vm->is_muted)
        return;
    tell(c, &m);
    vm->has_said_hello = true;
}

static void on_heartbeat(struct vm *vm, const Ebb__Heartbeat *beat)
{
    Ebb__SchedulerMessage m = EBB__SCHEDULER_MESSAGE__INIT;
    Ebb__HeartbeatAck ack = EBB__HEARTBEAT_ACK__INIT;
    vm->heartbeats++;
    vm->last_phase[0] = '\0';
    vm->last_step = -1;
    if (beat->n_running > 0) {
        snprintf(vm->last_phase, sizeof vm->last_phase, "%s", beat->running[0]->phase);
        vm->last_step = beat->running[0]->step;
    }
    ack.count = beat->count;
    m.kind_case = EBB__SCHEDULER_MESSAGE__KIND_HEARTBEAT_ACK;
    m.heartbeat_ack = &ack;
    if (!vm->is_muted)
        tell(vm->channel, &m);
}

static void on_attempt_ended(struct harness *h, struct ebb_channel *c, const Ebb__AttemptEnded *e)
{
    Ebb__SchedulerMessage m = EBB__SCHEDULER_MESSAGE__INIT;
    Ebb__AttemptAck ack = EBB__ATTEMPT_ACK__INIT;
    ack.bag = e->bag;
    ack.job = e->job;
    ack.attempt = e->attempt;
    m.kind_case = EBB__SCHEDULER_MESSAGE__KIND_ATTEMPT_ACK;
    m.attempt_ack = &ack;
    if (h->acks)
        tell(c, &m);
}

static void on_message(void *ctx, struct ebb_channel *c, const uint8_t *data, size_t len)
{
    struct harness *h = ctx;
    Ebb__AgentMessage *m = ebb__agent_message__unpack(NULL, len, data);
    assert_non_null(m);
    struct vm *vm = vm_of(h, c);
    switch (m->kind_case) {
    case EBB__AGENT_MESSAGE__KIND_JOIN:
        on_join(h, c, m->join);
        break;
    case EBB__AGENT_MESSAGE__KIND_HELLO:
        on_hello(h, c, m->hello);
        break;
    case EBB__AGENT_MESSAGE__KIND_HEARTBEAT:
        if (vm != NULL)
            on_heartbeat(vm, m->heartbeat);
        break;
    case EBB__AGENT_MESSAGE__KIND_ATTEMPT_ENDED:
        on_attempt_ended(h, c, m->attempt_ended);
        break;
    default:
        break;
    }
    bool keep = m->kind_case != EBB__AGENT_MESSAGE__KIND_HEARTBEAT && h->event_count < MAX_EVENTS;
    if (keep)
        h->events[h->event_count++] = m;
    else
        ebb__agent_message__free_unpacked(m, NULL);
}

static void on_close(void *ctx, struct ebb_channel *c, const struct ebb_error *err)
{
    struct vm *vm = vm_of(ctx, c);
    (void)err;
    if (vm != NULL) {
        vm->channel = NULL;
        vm->has_said_hello = false;
    }
    ebb_channel_destroy(c);
}

static void on_accept(void *ctx, struct ebb_channel *c)
{
    static const struct ebb_channel_handlers handlers = {.on_message = on_message,
                                                         .on_close = on_close};
    ebb_channel_set_handlers(c, &handlers, ctx);
}

static void on_tick(void *ctx)
{
    struct harness *h = ctx;
    bool holds = h->condition != NULL && h->condition(h->condition_ctx);
    h->timed_out = !holds && ebb_now_ns(NULL) > h->limit_ns;
    if (holds || h->timed_out)
        ebb_loop_stop(h->loop);
    else
        ebb_timer_set(h->tick, 5 * EBB_NS_PER_MS);
}

void harness_wait(struct harness *h, bool (*condition)(void *ctx), void *ctx, double limit_s,
                  const char *what)
{
    struct ebb_error err = {0};
    h->condition = condition;
    h->condition_ctx = ctx;
    h->limit_ns = ebb_now_ns(NULL) + (int64_t)(limit_s * 1e9);
    ebb_timer_set(h->tick, 0);
    if (ebb_loop_run(h->loop, &err) < 0)
        fail_msg("loop: %s", err.text);
    if (h->timed_out && condition != NULL)
        fail_msg("waited %.0f s in vain for %s", limit_s, what);
}

void harness_run_for(struct harness *h, double s)
{
    harness_wait(h, NULL, NULL, s, "");
}

struct reach {
    struct vm *vm;
    int64_t step;
    uint64_t heartbeats;
};

static bool has_step(void *ctx)
{
    const struct reach *r = ctx;
    return r->vm->last_step >= r->step;
}

void harness_wait_step(struct vm *vm, int64_t step)
{
    struct reach r = {.vm = vm, .step = step};
    harness_wait(vm->h, has_step, &r, LIMIT_S, "a step");
}

static bool has_heartbeats(void *ctx)
{
    const struct reach *r = ctx;
    return r->vm->heartbeats >= r->heartbeats;
}

void harness_wait_heartbeats(struct vm *vm, uint64_t more)
{
    struct reach r = {.vm = vm, .heartbeats = vm->heartbeats + more};
    harness_wait(vm->h, has_heartbeats, &r, LIMIT_S, "a heartbeat");
}

void harness_listen(struct harness *h, bool on)
{
    struct ebb_error err = {0};
    if (!on) {
        ebb_listener_destroy(EBB_TAKE(h->listener));
        return;
    }
    EBB_AUTO_FREE char *address = ebb_sprintf("127.0.0.1:%d", h->port);
    if (ebb_listener_new(h->loop, address, h->tls, on_accept, h, &h->listener, &err) < 0)
        fail_msg("listen: %s", err.text);
    h->port = ebb_listener_port(h->listener);
}

static void answer(struct evhttp_request *q, const char *text)
{
    struct evbuffer *body = evbuffer_new();
    evbuffer_add(body, text, strlen(text));
    evhttp_send_reply(q, 200, "OK", body);
    evbuffer_free(body);
}

static void on_metadata(struct evhttp_request *q, void *ctx)
{
    const struct harness *h = ctx;
    const char *path = evhttp_request_get_uri(q);
    char time[EBB_TIME_TEXT_SIZE];
    if (strcmp(path, "/latest/api/token") == 0) {
        evhttp_add_header(evhttp_request_get_output_headers(q),
                          "X-aws-ec2-metadata-token-ttl-seconds", "21600");
        answer(q, "a-token");
    } else if (strcmp(path, "/latest/dynamic/instance-identity/document") == 0) {
        answer(q, "{\"instanceId\":\"i-0123456789abcdef0\",\"instanceType\":\"c6i.large\","
                  "\"availabilityZone\":\"us-east-1a\",\"region\":\"us-east-1\"}");
    } else if (strcmp(path, "/latest/meta-data/spot/instance-action") == 0 &&
               h->revoked_at_wall_ns > 0) {
        ebb_time_format(h->revoked_at_wall_ns, time);
        EBB_AUTO_FREE char *text =
            ebb_sprintf("{\"action\":\"terminate\",\"time\":\"%.19sZ\"}", time);
        answer(q, text);
    } else {
        evhttp_send_error(q, 404, "Not Found");
    }
}

static void start_metadata(struct harness *h)
{
    h->metadata = evhttp_new(ebb_loop_event_base(h->loop));
    evhttp_set_allowed_methods(h->metadata, EVHTTP_REQ_GET | EVHTTP_REQ_PUT);
    evhttp_set_gencb(h->metadata, on_metadata, h);
    struct evhttp_bound_socket *s = evhttp_bind_socket_with_handle(h->metadata, "127.0.0.1", 0);
    struct sockaddr_in address = {0};
    socklen_t len = sizeof address;
    if (s == NULL ||
        getsockname(evhttp_bound_socket_get_fd(s), (struct sockaddr *)&address, &len) < 0)
        fail_msg("metadata service: %s", strerror(errno));
    h->metadata_port = ntohs(address.sin_port);
}

void harness_announce(struct harness *h, double in_s)
{
    h->revoked_at_wall_ns = in_s > 0 ? ebb_wall_ns(NULL) + (int64_t)(in_s * 1e9) : 0;
}

struct harness *harness_new(void)
{
    struct harness *h = ebb_alloc(sizeof *h);
    struct ebb_error err = {0};
    char template[] = "/tmp/ebb-agent-flow-XXXXXX";
    h->directory = ebb_strdup(mkdtemp(template));
    EBB_AUTO_FREE char *authority = ebb_path_join(h->directory, "authority");
    h->store_url = ebb_sprintf("file://%s/store", h->directory);
    h->ttl_s = 20;
    h->orphan_s = 600;
    h->acks = true;
    h->loop = ebb_loop_new();
    h->tick = ebb_timer_new(h->loop, on_tick, h);
    h->reaper = ebb_reaper_new(h->loop);
    if (ebb_tls_authority_open(authority, &h->authority, &err) < 0 ||
        ebb_tls_server_context(h->authority, "ebb-scheduler", &h->tls, &err) < 0 ||
        ebb_object_store_open(h->store_url, NULL, &h->store, &err) < 0)
        fail_msg("harness: %s", err.text);
    harness_listen(h, true);
    start_metadata(h);
    return h;
}

void harness_close_connections(struct harness *h)
{
    for (size_t i = 0; i < h->vm_count; i++) {
        if (h->vms[i].channel != NULL)
            ebb_channel_destroy(EBB_TAKE(h->vms[i].channel));
        h->vms[i].has_said_hello = false;
    }
}

static bool vm_is_gone(void *ctx)
{
    return ((struct vm *)ctx)->pid == 0;
}

void harness_destroy(struct harness *h)
{
    for (size_t i = 0; i < h->vm_count; i++) {
        if (h->vms[i].pid == 0)
            continue;
        ebb_process_kill_tree(h->vms[i].pid);
        harness_wait(h, vm_is_gone, &h->vms[i], LIMIT_S, "the end of a VM");
    }
    harness_close_connections(h);
    harness_listen(h, false);
    evhttp_free(h->metadata);
    for (size_t i = 0; i < h->vm_count; i++)
        free(h->vms[i].directory);
    for (size_t i = 0; i < h->event_count; i++)
        ebb__agent_message__free_unpacked(h->events[i], NULL);
    ebb_timer_destroy(h->tick);
    ebb_reaper_destroy(h->reaper);
    ebb_tls_context_destroy(h->tls);
    ebb_tls_authority_destroy(h->authority);
    ebb_object_store_destroy(h->store);
    ebb_loop_destroy(h->loop);
    ebb_remove_tree(h->directory, NULL);
    free(h->directory);
    free(h->store_url);
    free(h);
}

const char *harness_directory(const struct harness *h)
{
    return h->directory;
}

const char *harness_store(const struct harness *h)
{
    return h->store_url;
}

void harness_set_lease_ttl(struct harness *h, double ttl_s, double orphan_timeout_s)
{
    h->ttl_s = ttl_s;
    h->orphan_s = orphan_timeout_s;
}

void harness_set_acks(struct harness *h, bool on)
{
    h->acks = on;
}

void harness_set_bag(struct harness *h, Ebb__BagContext *bag)
{
    h->bag = bag;
    bag->store_url = h->store_url;
}

void harness_put_input_as(struct harness *h, const Ebb__Input *input, const char *text)
{
    struct ebb_error err = {0};
    char hex[EBB_SHA256_HEX_SIZE];
    EBB_AUTO_FREE char *key =
        ebb_sprintf("inputs/%s", ebb_hex(input->sha256.data, EBB_SHA256_SIZE, hex));
    if (ebb_object_put(h->store, key, text, strlen(text), EBB_PUT_ALWAYS, NULL, NULL, &err) < 0)
        fail_msg("input: %s", err.text);
}

void harness_put_input(struct harness *h, Ebb__Input *input, const char *text)
{
    static uint8_t hashes[16][EBB_SHA256_SIZE];
    static size_t used;
    uint8_t *hash = hashes[used++ % EBB_ARRAY_LEN(hashes)];
    ebb_sha256(text, strlen(text), hash);
    input->sha256.data = hash;
    input->sha256.len = EBB_SHA256_SIZE;
    input->size_bytes = strlen(text);
    harness_put_input_as(h, input, text);
}

static void on_vm_exit(void *ctx, pid_t pid, int status)
{
    struct vm *vm = ctx;
    (void)pid;
    vm->pid = 0;
    vm->wait_status = status;
}

static char *write_config(const struct harness *h, const struct vm *vm)
{
    struct ebb_error err = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    char *path = ebb_path_join(vm->directory, "agent.conf");
    ebb_buffer_printf(&text, "vm: %s\nscheduler: 127.0.0.1:%d\ntoken: token-for-tests\n", vm->name,
                      h->port);
    ebb_buffer_append_text(&text, "authority: |\n");
    EBB_AUTO_FREE char *pem = ebb_strdup(ebb_tls_authority_certificate(h->authority));
    char *rest = NULL;
    for (char *line = strtok_r(pem, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        ebb_buffer_printf(&text, "  %s\n", line);
    if (ebb_file_write_atomic(path, text.data, text.len, 0600, &err) < 0)
        fail_msg("agent.conf: %s", err.text);
    return path;
}

static bool is_greeted(void *ctx)
{
    return ((struct vm *)ctx)->has_said_hello;
}

struct vm *harness_start_vm(struct harness *h, const char *name, const char *const *env)
{
    assert_true(h->vm_count < MAX_VMS);
    struct vm *vm = &h->vms[h->vm_count++];
    struct ebb_error err = {0};
    vm->h = h;
    snprintf(vm->name, sizeof vm->name, "%s", name);
    vm->directory = ebb_path_join(h->directory, name);
    if (ebb_mkdir_p(vm->directory, 0700, &err) < 0)
        fail_msg("%s", err.text);
    EBB_AUTO_FREE char *config = write_config(h, vm);
    EBB_AUTO_FREE char *metadata =
        ebb_sprintf("AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:%d", h->metadata_port);
    const char *argv[24] = {"env", metadata, "AWS_SECRET_ACCESS_KEY=not-for-jobs"};
    size_t n = 3;
    for (size_t i = 0; env != NULL && env[i] != NULL; i++)
        argv[n++] = env[i];
    argv[n++] = EBB_BINARY_DIR "/ebb";
    argv[n++] = "agent";
    argv[n++] = "--config";
    argv[n++] = config;
    argv[n] = NULL;
    struct ebb_process_options o = {
        .argv = argv, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1, .new_session = true};
    if (ebb_process_start(&o, &vm->pid, &err) < 0)
        fail_msg("%s", err.text);
    ebb_reaper_watch(h->reaper, vm->pid, on_vm_exit, vm);
    harness_wait(h, is_greeted, vm, LIMIT_S, "hello");
    return vm;
}

/* The VM's processes stand below the agent, each attempt in a session of its own. */
void harness_signal_vm(struct vm *vm, int signo)
{
    if (signo == SIGKILL) {
        ebb_process_kill_tree(vm->pid);
        harness_wait(vm->h, vm_is_gone, vm, LIMIT_S, "the VM's end");
        return;
    }
    EBB_AUTO_FREE char *command = ebb_sprintf(
        "t=%d; all=; while [ -n \"$t\" ]; do t=$(for p in $t; do cat "
        "/proc/$p/task/*/children 2>/dev/null; done); all=\"$all $t\"; done; kill -%d %d || exit; "
        "for p in $all; do kill -%d $p 2>/dev/null; done; true", /* one may have ended meanwhile */
        (int)vm->pid, signo, (int)vm->pid, signo);
    if (system(command) != 0)
        fail_msg("signal %d", signo);
}

static void grant(struct vm *vm, Ebb__Lease *lease)
{
    Ebb__SchedulerMessage m = EBB__SCHEDULER_MESSAGE__INIT;
    Ebb__LeaseGrant grant = EBB__LEASE_GRANT__INIT;
    Ebb__BagContext *bags[] = {vm->h->bag};
    lease->bag = vm->h->bag->bag;
    grant.leases = grant.member_leases = &lease;
    grant.n_leases = lease->rank == 0;
    grant.n_member_leases = lease->rank > 0;
    grant.bags = bags;
    grant.n_bags = 1;
    m.kind_case = EBB__SCHEDULER_MESSAGE__KIND_LEASE_GRANT;
    m.lease_grant = &grant;
    assert_non_null(vm->channel);
    tell(vm->channel, &m);
}

void harness_lease(struct vm *vm, uint64_t job, uint32_t attempt, double interval_s, bool resume)
{
    Ebb__Lease lease = EBB__LEASE__INIT;
    lease.job = job;
    lease.attempt = attempt;
    lease.checkpoint_interval_s = interval_s;
    lease.resume = resume;
    grant(vm, &lease);
}

void harness_lease_member(struct vm *vm, uint64_t job, uint32_t attempt)
{
    char *hosts[] = {(char *)"127.0.0.1", (char *)"127.0.0.1"};
    Ebb__Lease lease = EBB__LEASE__INIT;
    lease.job = job;
    lease.attempt = attempt;
    lease.rank = 1;
    lease.gang_hosts = hosts;
    lease.n_gang_hosts = 2;
    grant(vm, &lease);
}

void harness_cancel(struct vm *vm, uint64_t job, uint32_t attempt, bool release)
{
    Ebb__SchedulerMessage m = EBB__SCHEDULER_MESSAGE__INIT;
    Ebb__AttemptCancel cancel = EBB__ATTEMPT_CANCEL__INIT;
    cancel.bag = vm->h->bag->bag;
    cancel.job = job;
    cancel.attempt = attempt;
    cancel.release = release;
    cancel.reason = (char *)"asked by the test";
    m.kind_case = EBB__SCHEDULER_MESSAGE__KIND_ATTEMPT_CANCEL;
    m.attempt_cancel = &cancel;
    tell(vm->channel, &m);
}

void harness_drain(struct vm *vm, double within_s)
{
    Ebb__SchedulerMessage m = EBB__SCHEDULER_MESSAGE__INIT;
    Ebb__Drain drain = EBB__DRAIN__INIT;
    drain.reason = (char *)"not needed any more";
    drain.within_s = within_s;
    m.kind_case = EBB__SCHEDULER_MESSAGE__KIND_DRAIN;
    m.drain = &drain;
    tell(vm->channel, &m);
}

static bool is_of(const struct harness *h, const char *bag)
{
    return strcmp(h->bag->bag, bag) == 0;
}

const Ebb__AttemptStarted *harness_started(const struct harness *h, uint64_t job, uint32_t attempt)
{
    for (size_t i = h->event_count; i-- > 0;) {
        const Ebb__AgentMessage *m = h->events[i];
        if (m->kind_case == EBB__AGENT_MESSAGE__KIND_ATTEMPT_STARTED &&
            is_of(h, m->attempt_started->bag) && m->attempt_started->job == job &&
            m->attempt_started->attempt == attempt)
            return m->attempt_started;
    }
    return NULL;
}

const Ebb__AttemptEnded *harness_ended(const struct harness *h, uint64_t job, uint32_t attempt)
{
    for (size_t i = h->event_count; i-- > 0;) {
        const Ebb__AgentMessage *m = h->events[i];
        if (m->kind_case == EBB__AGENT_MESSAGE__KIND_ATTEMPT_ENDED &&
            is_of(h, m->attempt_ended->bag) && m->attempt_ended->job == job &&
            m->attempt_ended->attempt == attempt)
            return m->attempt_ended;
    }
    return NULL;
}

size_t harness_ends(const struct harness *h, uint64_t job, uint32_t attempt)
{
    size_t n = 0;
    for (size_t i = 0; i < h->event_count; i++) {
        const Ebb__AgentMessage *m = h->events[i];
        n += m->kind_case == EBB__AGENT_MESSAGE__KIND_ATTEMPT_ENDED &&
             is_of(h, m->attempt_ended->bag) && m->attempt_ended->job == job &&
             m->attempt_ended->attempt == attempt;
    }
    return n;
}

size_t harness_starts(const struct harness *h, uint64_t job, uint32_t attempt)
{
    size_t n = 0;
    for (size_t i = 0; i < h->event_count; i++) {
        const Ebb__AgentMessage *m = h->events[i];
        n += m->kind_case == EBB__AGENT_MESSAGE__KIND_ATTEMPT_STARTED &&
             is_of(h, m->attempt_started->bag) && m->attempt_started->job == job &&
             m->attempt_started->attempt == attempt;
    }
    return n;
}

size_t harness_commits(const struct harness *h, uint64_t job, uint32_t attempt)
{
    size_t n = 0;
    for (size_t i = 0; i < h->event_count; i++) {
        const Ebb__AgentMessage *m = h->events[i];
        n += m->kind_case == EBB__AGENT_MESSAGE__KIND_CHECKPOINT_COMMITTED &&
             is_of(h, m->checkpoint_committed->bag) && m->checkpoint_committed->job == job &&
             m->checkpoint_committed->attempt == attempt;
    }
    return n;
}

struct wanted {
    const struct harness *h;
    uint64_t job;
    uint32_t attempt;
    size_t count;
};

static bool has_ended(void *ctx)
{
    const struct wanted *w = ctx;
    return harness_ended(w->h, w->job, w->attempt) != NULL;
}

static bool has_commits(void *ctx)
{
    const struct wanted *w = ctx;
    return harness_commits(w->h, w->job, w->attempt) >= w->count;
}

const Ebb__AttemptEnded *harness_wait_ended(struct harness *h, uint64_t job, uint32_t attempt,
                                            double limit_s)
{
    struct wanted w = {.h = h, .job = job, .attempt = attempt};
    harness_wait(h, has_ended, &w, limit_s, "the attempt's end");
    return harness_ended(h, job, attempt);
}

void harness_wait_commits(struct harness *h, uint64_t job, uint32_t attempt, size_t count,
                          double limit_s)
{
    struct wanted w = {.h = h, .job = job, .attempt = attempt, .count = count};
    harness_wait(h, has_commits, &w, limit_s, "a checkpoint");
}

static bool has_commits_or_ended(void *ctx)
{
    return has_commits(ctx) || has_ended(ctx);
}

bool harness_wait_commits_or_end(struct harness *h, uint64_t job, uint32_t attempt, size_t count,
                                 double limit_s)
{
    struct wanted w = {.h = h, .job = job, .attempt = attempt, .count = count};
    harness_wait(h, has_commits_or_ended, &w, limit_s, "a checkpoint or the attempt's end");
    return has_commits(&w) && !has_ended(&w);
}

void harness_wait_vm_end(struct harness *h, struct vm *vm, double limit_s)
{
    harness_wait(h, vm_is_gone, vm, limit_s, "the VM's end");
}

char *harness_output(const struct harness *h, const char *job_name, const char *file,
                     size_t *ret_len)
{
    struct ebb_error err = {0};
    struct ebb_lineage *l = NULL;
    EBB_AUTO_FREE char *root = ebb_sprintf("bags/%s/jobs/%s", h->bag->bag, job_name);
    char template[] = "/tmp/ebb-agent-output-XXXXXX";
    EBB_AUTO_FREE char *directory = ebb_path_join(mkdtemp(template), "out");
    const char *patterns[] = {file, NULL};
    struct ebb_restore_result result = {0};
    char *text = NULL;
    if (ebb_lineage_open(h->store, root, &l, &err) < 0)
        fail_msg("%s", err.text);
    const Ebb__Head *head = ebb_lineage_head(l);
    if (head != NULL && head->final &&
        ebb_lineage_restore(l, directory, patterns, 1, &result, &err) == 0) {
        EBB_AUTO_FREE char *path = ebb_path_join(directory, file);
        struct ebb_buffer content = {0};
        if (ebb_file_read(path, 64u << 20, &content, &err) == 0) {
            *ret_len = content.len;
            text = ebb_buffer_take_text(&content);
        }
    }
    ebb_lineage_destroy(l);
    ebb_remove_tree(template, NULL);
    return text;
}

struct log_reading {
    struct ebb_object_store *store;
    struct ebb_buffer text;
};

static int read_segment(void *ctx, const char *key, const struct ebb_object_info *info)
{
    struct log_reading *l = ctx;
    (void)info;
    return ebb_object_get(l->store, key, 0, 0, 1u << 20, &l->text, NULL, NULL);
}

char *harness_log(const struct harness *h, const char *job_name, uint32_t attempt)
{
    struct log_reading l = {.store = h->store};
    EBB_AUTO_FREE char *prefix =
        ebb_sprintf("bags/%s/jobs/%s/logs/%u/", h->bag->bag, job_name, attempt);
    ebb_object_list(h->store, prefix, read_segment, &l, NULL);
    return ebb_buffer_take_text(&l.text);
}
