/* Connections of agents.
 *
 *   without certificate: Join (one-time token, CSR) -> certificate for this VM's id
 *   with certificate:    Hello -> Welcome, then heartbeats, reports, leases
 *
 * A VM has at most one connection that counts, the last that said Hello. Reports come at least
 * once: what is no longer live in the state is acknowledged and forgotten. The token is good until
 * the VM has said Hello, so an answer that was lost can be asked for again. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "proto/decode.h"
#include "scheduler/core/fold.h"
#include "scheduler/core/pace.h"
#include "scheduler/daemon.h"

#define PROTOCOL          1
#define CERTIFICATE_DAYS  400
#define MAX_BACKLOG_BYTES (64u << 20)
#define STRANGER_BYTES    (256u << 10)
#define AGENT_BYTES       (16u << 20)
#define PORT_NOTE         "agent-port"

struct ebb_agent_link {
    struct ebb_agent_link *next;
    struct ebb_daemon *daemon;
    struct ebb_channel *channel; /* NULL: closed */
    unsigned refs;
    uint32_t vm;   /* EBB_NONE before Hello */
    uint8_t *bags; /* bit set: its context was sent */
    size_t bags_bytes;
};

void ebb_agent_ref(struct ebb_agent_link *a)
{
    a->refs++;
}

void ebb_agent_unref(struct ebb_agent_link *a)
{
    if (--a->refs > 0)
        return;
    free(a->bags);
    free(a);
}

void ebb_agent_send(struct ebb_agent_link *a, const void *data, size_t len)
{
    if (a->channel == NULL)
        return;
    ebb_channel_send(a->channel, data, len);
    if (ebb_channel_backlog_bytes(a->channel) > MAX_BACKLOG_BYTES)
        ebb_channel_finish(a->channel); /* it does not read; it will come back or fall silent */
}

bool ebb_agent_needs_bag(struct ebb_agent_link *a, uint32_t bag)
{
    size_t byte = bag / 8;
    if (byte >= a->bags_bytes) {
        size_t bytes = byte + 16;
        a->bags = ebb_realloc_array(a->bags, bytes, 1);
        memset(a->bags + a->bags_bytes, 0, bytes - a->bags_bytes);
        a->bags_bytes = bytes;
    }
    uint8_t bit = (uint8_t)(1u << (bag % 8));
    bool first = (a->bags[byte] & bit) == 0;
    a->bags[byte] |= bit;
    return first;
}

/* Lets go of the connection; outgoing messages may still hold the link. */
static void close_link(struct ebb_agent_link *a)
{
    struct ebb_daemon *d = a->daemon;
    if (a->channel == NULL)
        return;
    ebb_channel_destroy(a->channel);
    a->channel = NULL;
    struct ebb_agent_link **at = &d->agents;
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    if (a->vm != EBB_NONE && d->runs[a->vm].link == a) {
        d->runs[a->vm].link = NULL;
        d->list_soon = true;
    }
    ebb_agent_unref(a);
}

static void tell(struct ebb_agent_link *a, Ebb__SchedulerMessage__KindCase kind, void *body)
{
    Ebb__SchedulerMessage m = EBB__SCHEDULER_MESSAGE__INIT;
    m.kind_case = kind;
    m.joined = body; /* a union of pointers */
    ebb_turn_tell_agent(a->daemon, a, &m);
}

static void refuse(struct ebb_agent_link *a, const char *reason, bool permanent)
{
    Ebb__Refused refused = EBB__REFUSED__INIT;
    refused.reason = (char *)(uintptr_t)reason;
    refused.permanent = permanent;
    tell(a, EBB__SCHEDULER_MESSAGE__KIND_REFUSED, &refused);
}

/* ---- joining ---- */

static void on_join(struct ebb_agent_link *a, const Ebb__Join *m)
{
    struct ebb_daemon *d = a->daemon;
    struct ebb_vm *vm = ebb_state_vm(d->state, m->vm);
    uint8_t hash[EBB_SHA256_SIZE];
    ebb_sha256(m->token, strlen(m->token), hash);
    if (vm == NULL || !ebb_vm_is_live(vm) || vm->joined || !vm->has_join_token ||
        !ebb_secret_equal(hash, vm->join_token_sha256, sizeof hash)) {
        ebb_log_warn("a join as %.40s is refused", m->vm);
        refuse(a, "unknown VM, or its token was used", true);
        return;
    }
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer pem = {0};
    struct ebb_error err = {0};
    if (ebb_tls_authority_sign(d->authority, m->csr_pem, vm->id, CERTIFICATE_DAYS, &pem, &err) <
        0) {
        ebb_log_warn("%s: %s", vm->id, err.text);
        refuse(a, err.text, true);
        return;
    }
    Ebb__Joined joined = EBB__JOINED__INIT;
    joined.certificate_pem = (char *)(uintptr_t)ebb_buffer_text(&pem);
    tell(a, EBB__SCHEDULER_MESSAGE__KIND_JOINED, &joined);
}

static void address_of(struct ebb_agent_link *a, char *out, size_t size)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    SSL *ssl = ebb_channel_ssl(a->channel);
    out[0] = '\0';
    if (ssl == NULL || getpeername(SSL_get_fd(ssl), (struct sockaddr *)&peer, &len) < 0)
        return;
    const void *address = peer.ss_family == AF_INET6
                              ? (const void *)&((struct sockaddr_in6 *)&peer)->sin6_addr
                              : (const void *)&((struct sockaddr_in *)&peer)->sin_addr;
    inet_ntop(peer.ss_family, address, out, (socklen_t)size);
}

/* As the VM sees itself: what its neighbours reach, where the scheduler may see a gateway. */
static bool is_address(const char *text)
{
    uint8_t bytes[16];
    return strlen(text) < INET6_ADDRSTRLEN &&
           (inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1);
}

static void log_joined(struct ebb_agent_link *a, struct ebb_vm *vm, const Ebb__Hello *m)
{
    char address[INET6_ADDRSTRLEN];
    Ebb__Event e = EBB__EVENT__INIT;
    Ebb__VmJoined joined = EBB__VM_JOINED__INIT;
    if (is_address(m->address))
        snprintf(address, sizeof address, "%s", m->address);
    else
        address_of(a, address, sizeof address);
    joined.vm = vm->id;
    joined.address = address;
    joined.cpus = m->cpus;
    joined.memory_bytes = m->memory_bytes;
    joined.boot_s = m->boot_s;
    e.kind_case = EBB__EVENT__KIND_VM_JOINED;
    e.vm_joined = &joined;
    ebb_turn_emit_own(a->daemon, &e);
    ebb_log_info("%s joined from %s after %.1f s", vm->id, address, m->boot_s);
}

static void cancel_attempt(struct ebb_agent_link *a, const Ebb__AttemptState *s, const char *reason)
{
    Ebb__AttemptCancel cancel = EBB__ATTEMPT_CANCEL__INIT;
    cancel.bag = s->bag;
    cancel.job = s->job;
    cancel.attempt = s->attempt;
    cancel.reason = (char *)(uintptr_t)reason;
    tell(a, EBB__SCHEDULER_MESSAGE__KIND_ATTEMPT_CANCEL, &cancel);
}

/* This VM holds the lease. */
static bool holds(const struct ebb_agent_link *a, const char *bag, uint64_t job, uint32_t attempt)
{
    uint32_t vm;
    return ebb_state_attempt_is_live(a->daemon->state, bag, job, attempt) &&
           ebb_state_lease(a->daemon->state, bag, job, &vm) != NULL && vm == a->vm;
}

/* This VM has a part in the attempt, whatever its rank. */
static bool works_on(const struct ebb_agent_link *a, const char *bag, uint64_t job,
                     uint32_t attempt)
{
    const struct ebb_state *s = a->daemon->state;
    return ebb_state_attempt_is_live(s, bag, job, attempt) &&
           ebb_vm_lease_of(s->vms[a->vm], ebb_state_bag(s, bag)->index, job) != SIZE_MAX;
}

/* Stops what the agent runs and should not. */
static void check_running(struct ebb_agent_link *a, Ebb__AttemptState *const *running, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const Ebb__AttemptState *s = running[i];
        if (!works_on(a, s->bag, s->job, s->attempt)) {
            cancel_attempt(a, s, "the lease was given away");
            continue;
        }
        const struct ebb_bag *b = ebb_state_bag(a->daemon->state, s->bag);
        if ((b->jobs[s->job].flags & EBB_JOB_CANCELLING) != 0)
            cancel_attempt(a, s, "cancelled");
    }
}

static void welcome(struct ebb_agent_link *a)
{
    const struct ebb_daemon_options *o = &a->daemon->options;
    Ebb__Welcome m = EBB__WELCOME__INIT;
    m.heartbeat_interval_s = o->heartbeat_s;
    m.lease_ttl_s = o->lease_ttl_s;
    m.orphan_timeout_s = o->orphan_timeout_s;
    m.wall_ns = ebb_wall_ns(NULL);
    tell(a, EBB__SCHEDULER_MESSAGE__KIND_WELCOME, &m);
}

/* Why this VM may not work; NULL: it may. */
static const char *objection(struct ebb_agent_link *a, const Ebb__Hello *m, struct ebb_vm **ret)
{
    char name[80];
    if (ebb_tls_peer_name(ebb_channel_ssl(a->channel), name, sizeof name, NULL) < 0)
        return "join first";
    struct ebb_vm *vm = ebb_state_vm(a->daemon->state, m->vm);
    if (strcmp(name, m->vm) != 0 || vm == NULL)
        return "unknown VM";
    if (m->protocol != PROTOCOL)
        return "another version of the protocol";
    *ret = vm;
    struct ebb_vm_run *run = ebb_daemon_run_of(a->daemon, vm->index);
    bool draining =
        vm->state == EBB_VM_TERMINATING && vm->lease_count > 0 && run->end_ns > ebb_now_ns(NULL);
    if (vm->state == EBB_VM_LOST || !ebb_vm_is_live(vm) ||
        (vm->state == EBB_VM_TERMINATING && !draining))
        return "the VM is no longer wanted";
    return NULL;
}

static void on_hello(struct ebb_agent_link *a, const Ebb__Hello *m)
{
    struct ebb_daemon *d = a->daemon;
    struct ebb_vm *vm = NULL;
    const char *no = objection(a, m, &vm);
    if (no != NULL) {
        ebb_log_warn("%.40s is refused: %s", m->vm, no);
        refuse(a, no, true);
        return;
    }
    struct ebb_vm_run *run = ebb_daemon_run_of(d, vm->index);
    if (run->link != NULL && run->link != a)
        close_link(run->link);
    run->link = a;
    a->vm = vm->index;
    ebb_channel_limit(a->channel, AGENT_BYTES);
    run->heard_ns = ebb_now_ns(NULL);
    if (!vm->joined)
        log_joined(a, vm, m);
    welcome(a);
    check_running(a, m->running, m->n_running);
    /* Ends that were reported before are on their way, ahead of its first heartbeat. */
    run->regrant = vm->lease_count > 0;
    if (vm->state == EBB_VM_TERMINATING) {
        Ebb__Drain drain = EBB__DRAIN__INIT;
        drain.reason = vm->end_reason != NULL ? vm->end_reason : (char *)"no longer wanted";
        drain.within_s = (double)(run->end_ns - ebb_now_ns(NULL)) / 1e9;
        tell(a, EBB__SCHEDULER_MESSAGE__KIND_DRAIN, &drain);
    }
}

/* ---- reports ---- */

static void emit_report(struct ebb_agent_link *a, Ebb__Event *e)
{
    struct ebb_error err = {0};
    if (ebb_turn_emit(a->daemon, e, &err) < 0)
        ebb_log_warn("%s: its report is refused: %s", a->daemon->state->vms[a->vm]->id, err.text);
}

static void on_attempt_started(struct ebb_agent_link *a, Ebb__AttemptStarted *m)
{
    if (!holds(a, m->bag, m->job, m->attempt))
        return;
    const struct ebb_bag *b = ebb_state_bag(a->daemon->state, m->bag);
    if (b->jobs[m->job].state != EBB_JOB_LEASED)
        return; /* told twice */
    Ebb__Event e = EBB__EVENT__INIT;
    e.kind_case = EBB__EVENT__KIND_ATTEMPT_STARTED;
    e.attempt_started = m;
    emit_report(a, &e);
}

static void on_checkpoint(struct ebb_agent_link *a, Ebb__CheckpointCommitted *m)
{
    if (!holds(a, m->bag, m->job, m->attempt))
        return;
    const struct ebb_bag *b = ebb_state_bag(a->daemon->state, m->bag);
    if (m->checkpoint_sequence <= b->jobs[m->job].checkpoint_sequence)
        return;
    Ebb__Event e = EBB__EVENT__INIT;
    e.kind_case = EBB__EVENT__KIND_CHECKPOINT_COMMITTED;
    e.checkpoint_committed = m;
    emit_report(a, &e);
    ebb_leases_renew_interval(a->daemon, b, m->job);
}

static void on_attempt_ended(struct ebb_agent_link *a, Ebb__AttemptEnded *m)
{
    struct ebb_daemon *d = a->daemon;
    if (holds(a, m->bag, m->job, m->attempt)) {
        Ebb__Event e = EBB__EVENT__INIT;
        e.kind_case = EBB__EVENT__KIND_ATTEMPT_ENDED;
        e.attempt_ended = m;
        emit_report(a, &e);
        if (m->outcome == EBB__ATTEMPT_ENDED__OUTCOME__FAILED)
            ebb_log_info("job %llu of %s failed on %s: %s", (unsigned long long)m->job, m->bag,
                         d->state->vms[a->vm]->id, m->reason);
    } else if (works_on(a, m->bag, m->job, m->attempt)) {
        return; /* a rank above 0: acknowledged when rank 0 has told how all ended */
    }
    Ebb__AttemptAck ack = EBB__ATTEMPT_ACK__INIT;
    ack.bag = m->bag;
    ack.job = m->job;
    ack.attempt = m->attempt;
    tell(a, EBB__SCHEDULER_MESSAGE__KIND_ATTEMPT_ACK, &ack);
}

static void count_requests(struct ebb_agent_link *a, Ebb__RequestsCounted *m)
{
    if (m == NULL || (m->puts | m->gets | m->bytes_up | m->bytes_down) == 0)
        return;
    char *vm = m->vm;
    m->vm = a->daemon->state->vms[a->vm]->id;
    Ebb__Event e = EBB__EVENT__INIT;
    e.kind_case = EBB__EVENT__KIND_REQUESTS_COUNTED;
    e.requests_counted = m;
    emit_report(a, &e);
    m->vm = vm;
}

/* Between its commits a job is heard of when it turns out to take longer, or less long. */
static void on_progress(struct ebb_agent_link *a, const Ebb__AttemptState *s)
{
    if (s->paced_s <= 0 || !holds(a, s->bag, s->job, s->attempt) ||
        !ebb_pace_is_news(a->daemon->state, s->bag, s->job, s->attempt, s->paced_steps,
                          s->total_steps, s->paced_s))
        return;
    Ebb__Event e = EBB__EVENT__INIT;
    Ebb__ProgressSeen m = EBB__PROGRESS_SEEN__INIT;
    m.bag = s->bag;
    m.job = s->job;
    m.attempt = s->attempt;
    m.total_steps = s->total_steps;
    m.paced_steps = s->paced_steps;
    m.paced_s = s->paced_s;
    e.kind_case = EBB__EVENT__KIND_PROGRESS_SEEN;
    e.progress_seen = &m;
    emit_report(a, &e);
}

static void on_heartbeat(struct ebb_agent_link *a, Ebb__Heartbeat *m)
{
    count_requests(a, m->requests);
    for (size_t i = 0; i < m->n_requests_by_bag; i++)
        count_requests(a, m->requests_by_bag[i]);
    check_running(a, m->running, m->n_running);
    for (size_t i = 0; i < m->n_running; i++)
        on_progress(a, m->running[i]);
    struct ebb_vm_run *run = ebb_daemon_run_of(a->daemon, a->vm);
    if (run->regrant)
        ebb_leases_regrant(a->daemon, a->daemon->state->vms[a->vm]);
    run->regrant = false;
    Ebb__HeartbeatAck ack = EBB__HEARTBEAT_ACK__INIT;
    ack.count = m->count;
    tell(a, EBB__SCHEDULER_MESSAGE__KIND_HEARTBEAT_ACK, &ack);
}

static void on_notice(struct ebb_agent_link *a, Ebb__VmNoticed *m)
{
    struct ebb_vm *vm = a->daemon->state->vms[a->vm];
    if (m->rebalance ? vm->rebalance : vm->notice_deadline_wall_ns == m->deadline_wall_ns)
        return; /* told twice */
    char *id = m->vm;
    m->vm = vm->id;
    Ebb__Event e = EBB__EVENT__INIT;
    e.kind_case = EBB__EVENT__KIND_VM_NOTICED;
    e.vm_noticed = m;
    emit_report(a, &e);
    m->vm = id;
    if (!m->rebalance)
        ebb_leases_release_gangs(a->daemon, vm);
    if (!m->rebalance)
        ebb_log_info("%s: the cloud takes it in %.0f s", vm->id,
                     (double)(m->deadline_wall_ns - ebb_wall_ns(NULL)) / 1e9);
}

static void on_goodbye(struct ebb_agent_link *a, const Ebb__Goodbye *m)
{
    struct ebb_daemon *d = a->daemon;
    struct ebb_vm *vm = d->state->vms[a->vm];
    ebb_log_info("%s says goodbye: %s", vm->id, m->reason);
    ebb_leases_lose(d, vm, "the agent left without reporting it");
    ebb_fleet_left(d, vm, m->reason);
}

/* ---- the connection ---- */

static bool from_stranger(struct ebb_agent_link *a, Ebb__AgentMessage *m)
{
    if (m->kind_case == EBB__AGENT_MESSAGE__KIND_JOIN)
        on_join(a, m->join);
    else if (m->kind_case == EBB__AGENT_MESSAGE__KIND_HELLO)
        on_hello(a, m->hello);
    else
        return false;
    return true;
}

static void from_agent(struct ebb_agent_link *a, Ebb__AgentMessage *m)
{
    ebb_daemon_run_of(a->daemon, a->vm)->heard_ns = ebb_now_ns(NULL);
    switch (m->kind_case) {
    case EBB__AGENT_MESSAGE__KIND_HEARTBEAT:
        on_heartbeat(a, m->heartbeat);
        break;
    case EBB__AGENT_MESSAGE__KIND_ATTEMPT_STARTED:
        on_attempt_started(a, m->attempt_started);
        break;
    case EBB__AGENT_MESSAGE__KIND_CHECKPOINT_COMMITTED:
        on_checkpoint(a, m->checkpoint_committed);
        break;
    case EBB__AGENT_MESSAGE__KIND_ATTEMPT_ENDED:
        on_attempt_ended(a, m->attempt_ended);
        break;
    case EBB__AGENT_MESSAGE__KIND_NOTICE:
        on_notice(a, m->notice);
        break;
    case EBB__AGENT_MESSAGE__KIND_GANG:
        ebb_leases_pass_on(a->daemon, a->vm, m->gang);
        break;
    case EBB__AGENT_MESSAGE__KIND_GOODBYE:
        on_goodbye(a, m->goodbye);
        break;
    default: /* a Hello twice, or a kind of a later version */
        break;
    }
}

static void on_message(void *ctx, struct ebb_channel *c, const uint8_t *data, size_t len)
{
    struct ebb_agent_link *a = ctx;
    Ebb__AgentMessage *m = ebb_message_decode(&ebb__agent_message__descriptor, data, len);
    (void)c;
    bool sane = m != NULL;
    /* A VM that was given up in the meantime is heard no more. */
    if (sane && a->vm != EBB_NONE && !ebb_vm_is_live(a->daemon->state->vms[a->vm]))
        sane = false;
    else if (sane && a->vm == EBB_NONE)
        sane = from_stranger(a, m);
    else if (sane)
        from_agent(a, m);
    if (m != NULL)
        ebb__agent_message__free_unpacked(m, NULL);
    if (!sane)
        close_link(a);
}

static void on_close(void *ctx, struct ebb_channel *c, const struct ebb_error *err)
{
    struct ebb_agent_link *a = ctx;
    (void)c;
    if (a->vm != EBB_NONE)
        ebb_log_debug("%s: connection ended: %s", a->daemon->state->vms[a->vm]->id,
                      err->code != 0 ? err->text : "orderly");
    if (a->vm != EBB_NONE)
        ebb_reconcile_hurry(a->daemon); /* perhaps the cloud took the VM */
    close_link(a);
}

static void on_accept(void *ctx, struct ebb_channel *c)
{
    static const struct ebb_channel_handlers handlers = {.on_message = on_message,
                                                         .on_close = on_close};
    struct ebb_daemon *d = ctx;
    struct ebb_agent_link *a = ebb_alloc(sizeof *a);
    a->daemon = d;
    a->channel = c;
    a->refs = 1;
    a->vm = EBB_NONE;
    a->next = d->agents;
    d->agents = a;
    ebb_channel_limit(c, STRANGER_BYTES);
    ebb_channel_set_handlers(c, &handlers, a);
}

/* Agents of a former life know the port it had: it is taken again when it can be. */
static int listen_somewhere(struct ebb_daemon *d, struct ebb_error *err)
{
    if (d->options.listen != NULL)
        return ebb_listener_new(d->loop, d->options.listen, d->tls, on_accept, d,
                                &d->agent_listener, err);
    EBB_AUTO_FREE char *port = ebb_event_log_note(d->log, PORT_NOTE);
    if (port != NULL) {
        EBB_AUTO_FREE char *address = ebb_sprintf("127.0.0.1:%s", port);
        struct ebb_error busy = {0};
        if (ebb_listener_new(d->loop, address, d->tls, on_accept, d, &d->agent_listener, &busy) ==
            0)
            return 0;
        ebb_log_warn("%s; agents that still run cannot come back", busy.text);
    }
    return ebb_listener_new(d->loop, "127.0.0.1:0", d->tls, on_accept, d, &d->agent_listener, err);
}

int ebb_agents_listen(struct ebb_daemon *d, struct ebb_error *err)
{
    int rc = ebb_tls_server_context(d->authority, EBB_SERVER_NAME, &d->tls, err);
    if (rc == 0)
        rc = listen_somewhere(d, err);
    if (rc < 0)
        return ebb_error_wrap(err, rc, "listening for agents");
    char port[16];
    snprintf(port, sizeof port, "%d", ebb_listener_port(d->agent_listener));
    d->advertised = d->options.advertise != NULL ? ebb_strdup(d->options.advertise)
                                                 : ebb_sprintf("127.0.0.1:%s", port);
    if (d->options.advertise != NULL && strchr(d->options.advertise, ':') == NULL) {
        free(d->advertised);
        d->advertised = ebb_sprintf("%s:%s", d->options.advertise, port);
    }
    return ebb_event_log_set_note(d->log, PORT_NOTE, port, err);
}

void ebb_agents_clean_up(struct ebb_daemon *d)
{
    ebb_listener_destroy(d->agent_listener);
    while (d->agents != NULL)
        close_link(d->agents);
    ebb_tls_context_destroy(d->tls);
}
