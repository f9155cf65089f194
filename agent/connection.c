/* Joining, heartbeats and reconnects. What must not be lost (ends of attempts) stays in a list
 * until the scheduler says that it is in the log; what may be (progress of a past connection) is
 * kept while there is room. */
#include "agent/connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/channel.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/tls.h"
#include "proto/decode.h"

#define PROTOCOL             1
#define BACKOFF_FIRST_NS     (200 * EBB_NS_PER_MS)
#define BACKOFF_MAX_NS       (5 * EBB_NS_PER_S)
#define CONNECT_LIMIT_NS     (10 * EBB_NS_PER_S)
#define OUTBOX_MAX           4096
#define DEFAULT_HEARTBEAT_NS (2 * EBB_NS_PER_S)
#define SENT_RING            64
#define PEM_MAX_BYTES        (64u << 10)

struct packed {
    struct packed *next;
    uint64_t beat; /* the first heartbeat after it */
    size_t len;
    uint8_t data[];
};

struct ended {
    char *bag;
    uint64_t job;
    uint32_t attempt;
    struct packed *message;
};

struct ebb_connection {
    struct ebb_loop *loop;
    const struct ebb_agent_config *config;
    struct ebb_connection_handlers handlers;
    struct ebb_channel *channel;
    struct ssl_ctx_st *tls;
    struct ebb_timer *timer; /* reconnect, give up a silent connect, or heartbeat */
    struct ebb_random random;
    char *key_path, *certificate_path, *request_path;
    struct ebb_buffer key, certificate, request;
    bool is_up;
    bool is_refused;
    int64_t backoff_ns;
    int64_t heartbeat_ns;
    struct ebb_lease_terms terms;
    int64_t heard_ns;
    int64_t hello_ns;
    uint64_t count;
    int64_t sent_ns[SENT_RING];                 /* of heartbeat `count` modulo the ring */
    struct packed *outbox_first, **outbox_last; /* told or to be told, not acknowledged */
    size_t outbox_count;
    struct ended *ended;
    size_t ended_count;
};

static struct packed *pack(const Ebb__AgentMessage *m)
{
    size_t len = ebb__agent_message__get_packed_size(m);
    struct packed *p = ebb_alloc(sizeof *p + len);
    p->len = ebb__agent_message__pack(m, p->data);
    return p;
}

static void send_now(struct ebb_connection *c, const Ebb__AgentMessage *m)
{
    EBB_AUTO_FREE struct packed *p = pack(m);
    ebb_channel_send(c->channel, p->data, p->len);
}

void ebb_connection_tell(struct ebb_connection *c, const Ebb__AgentMessage *m)
{
    if (c->is_up)
        send_now(c, m);
}

void ebb_connection_report(struct ebb_connection *c, const Ebb__AgentMessage *m)
{
    ebb_connection_tell(c, m);
    if (c->outbox_count >= OUTBOX_MAX)
        return;
    struct packed *p = pack(m);
    p->beat = c->count + 1;
    *c->outbox_last = p;
    c->outbox_last = &p->next;
    c->outbox_count++;
}

/* The scheduler reads in order, and acknowledges when what it has read is in its log. */
static void forget_reports(struct ebb_connection *c, uint64_t acked_beat)
{
    while (c->outbox_first != NULL && c->outbox_first->beat <= acked_beat) {
        struct packed *p = c->outbox_first;
        c->outbox_first = p->next;
        c->outbox_count--;
        free(p);
    }
    if (c->outbox_first == NULL)
        c->outbox_last = &c->outbox_first;
}

void ebb_connection_report_end(struct ebb_connection *c, const Ebb__AttemptEnded *ended)
{
    Ebb__AgentMessage m = EBB__AGENT_MESSAGE__INIT;
    m.kind_case = EBB__AGENT_MESSAGE__KIND_ATTEMPT_ENDED;
    m.attempt_ended = (Ebb__AttemptEnded *)ended;
    c->ended = ebb_realloc_array(c->ended, c->ended_count + 1, sizeof *c->ended);
    c->ended[c->ended_count++] = (struct ended){.bag = ebb_strdup(ended->bag),
                                                .job = ended->job,
                                                .attempt = ended->attempt,
                                                .message = pack(&m)};
    if (c->is_up)
        send_now(c, &m);
}

static size_t find_ended(const struct ebb_connection *c, const char *bag, uint64_t job,
                         uint32_t attempt)
{
    for (size_t i = 0; i < c->ended_count; i++)
        if (c->ended[i].job == job && c->ended[i].attempt == attempt &&
            strcmp(c->ended[i].bag, bag) == 0)
            return i;
    return SIZE_MAX;
}

bool ebb_connection_has_reported(const struct ebb_connection *c, const char *bag, uint64_t job,
                                 uint32_t attempt)
{
    return find_ended(c, bag, job, attempt) != SIZE_MAX;
}

static void on_attempt_ack(struct ebb_connection *c, const Ebb__AttemptAck *m)
{
    size_t i = find_ended(c, m->bag, m->job, m->attempt);
    if (i == SIZE_MAX)
        return;
    free(c->ended[i].bag);
    free(c->ended[i].message);
    c->ended[i] = c->ended[--c->ended_count];
    c->handlers.end_acked(c->handlers.ctx);
}

static void report_again(struct ebb_connection *c)
{
    for (const struct packed *p = c->outbox_first; p != NULL; p = p->next)
        ebb_channel_send(c->channel, p->data, p->len);
    for (size_t i = 0; i < c->ended_count; i++)
        ebb_channel_send(c->channel, c->ended[i].message->data, c->ended[i].message->len);
}

/* Ours, on the way to the scheduler: the one that other VMs of the zone reach. */
static void own_address(const struct ebb_connection *c, char *out, size_t size)
{
    struct sockaddr_storage own;
    socklen_t len = sizeof own;
    SSL *ssl = ebb_channel_ssl(c->channel);
    out[0] = '\0';
    if (ssl == NULL || getsockname(SSL_get_fd(ssl), (struct sockaddr *)&own, &len) < 0)
        return;
    const void *address = own.ss_family == AF_INET6
                              ? (const void *)&((struct sockaddr_in6 *)&own)->sin6_addr
                              : (const void *)&((struct sockaddr_in *)&own)->sin_addr;
    inet_ntop(own.ss_family, address, out, (socklen_t)size);
}

static void send_hello(struct ebb_connection *c)
{
    char address[INET6_ADDRSTRLEN];
    Ebb__AgentMessage m = EBB__AGENT_MESSAGE__INIT;
    Ebb__Hello hello = EBB__HELLO__INIT;
    hello.vm = c->config->vm;
    hello.version = (char *)EBB_VERSION;
    hello.protocol = PROTOCOL;
    own_address(c, address, sizeof address);
    hello.address = address;
    c->handlers.fill_hello(c->handlers.ctx, &hello);
    m.kind_case = EBB__AGENT_MESSAGE__KIND_HELLO;
    m.hello = &hello;
    c->hello_ns = ebb_now_ns(NULL);
    send_now(c, &m);
}

static void send_join(struct ebb_connection *c)
{
    Ebb__AgentMessage m = EBB__AGENT_MESSAGE__INIT;
    Ebb__Join join = EBB__JOIN__INIT;
    join.vm = c->config->vm;
    join.token = c->config->token;
    join.csr_pem = (char *)ebb_buffer_text(&c->request);
    m.kind_case = EBB__AGENT_MESSAGE__KIND_JOIN;
    m.join = &join;
    send_now(c, &m);
}

static void send_heartbeat(struct ebb_connection *c)
{
    Ebb__AgentMessage m = EBB__AGENT_MESSAGE__INIT;
    Ebb__Heartbeat beat = EBB__HEARTBEAT__INIT;
    beat.count = ++c->count;
    c->handlers.fill_heartbeat(c->handlers.ctx, &beat);
    m.kind_case = EBB__AGENT_MESSAGE__KIND_HEARTBEAT;
    m.heartbeat = &beat;
    c->sent_ns[c->count % SENT_RING] = ebb_now_ns(NULL);
    send_now(c, &m);
}

static void heard(struct ebb_connection *c, int64_t at_ns)
{
    if (at_ns > c->heard_ns)
        c->heard_ns = at_ns;
}

static void on_welcome(struct ebb_connection *c, const Ebb__Welcome *m)
{
    c->is_up = true;
    c->backoff_ns = BACKOFF_FIRST_NS;
    heard(c, c->hello_ns);
    if (m->heartbeat_interval_s > 0.01)
        c->heartbeat_ns = (int64_t)(m->heartbeat_interval_s * 1e9);
    if (m->lease_ttl_s > 0)
        c->terms.ttl_ns = (int64_t)(m->lease_ttl_s * 1e9);
    if (m->orphan_timeout_s > 0)
        c->terms.orphan_timeout_ns = (int64_t)(m->orphan_timeout_s * 1e9);
    report_again(c);
    send_heartbeat(c); /* says that this was all */
    ebb_timer_set(c->timer, c->heartbeat_ns);
}

static void disconnect(struct ebb_connection *c)
{
    struct ebb_channel *old = EBB_TAKE(c->channel);
    ebb_channel_destroy(old);
    ebb_tls_context_destroy(EBB_TAKE(c->tls));
    c->is_up = false;
}

static void reconnect_later(struct ebb_connection *c)
{
    disconnect(c);
    if (c->is_refused)
        return;
    double jitter = 0.5 + ebb_random_uniform(&c->random);
    ebb_timer_set(c->timer, (int64_t)((double)c->backoff_ns * jitter));
    c->backoff_ns = c->backoff_ns * 2 < BACKOFF_MAX_NS ? c->backoff_ns * 2 : BACKOFF_MAX_NS;
}

static void on_joined(struct ebb_connection *c, const Ebb__Joined *m)
{
    struct ebb_error err = {0};
    size_t len = strlen(m->certificate_pem);
    if (ebb_file_write_atomic(c->certificate_path, m->certificate_pem, len, 0600, &err) < 0) {
        ebb_log_error("certificate: %s", err.text);
        reconnect_later(c);
        return;
    }
    ebb_buffer_reset(&c->certificate);
    ebb_buffer_append(&c->certificate, m->certificate_pem, len);
    unlink(c->request_path);
    c->backoff_ns = 0; /* at once, now with the certificate */
    reconnect_later(c);
    c->backoff_ns = BACKOFF_FIRST_NS;
}

static void on_refused(struct ebb_connection *c, const Ebb__Refused *m)
{
    ebb_log_error("the scheduler refuses this VM: %s", m->reason);
    if (!m->permanent) {
        c->backoff_ns = BACKOFF_MAX_NS;
        reconnect_later(c);
        return;
    }
    c->is_refused = true;
    disconnect(c);
    ebb_timer_unset(c->timer);
    c->handlers.refused(c->handlers.ctx, m->reason);
}

static void dispatch(struct ebb_connection *c, const Ebb__SchedulerMessage *m)
{
    switch (m->kind_case) {
    case EBB__SCHEDULER_MESSAGE__KIND_JOINED:
        on_joined(c, m->joined);
        break;
    case EBB__SCHEDULER_MESSAGE__KIND_REFUSED:
        on_refused(c, m->refused);
        break;
    case EBB__SCHEDULER_MESSAGE__KIND_WELCOME:
        on_welcome(c, m->welcome);
        break;
    case EBB__SCHEDULER_MESSAGE__KIND_HEARTBEAT_ACK:
        if (m->heartbeat_ack->count <= c->count && m->heartbeat_ack->count + SENT_RING > c->count)
            heard(c, c->sent_ns[m->heartbeat_ack->count % SENT_RING]);
        if (m->heartbeat_ack->count <= c->count)
            forget_reports(c, m->heartbeat_ack->count);
        c->handlers.heartbeat_acked(c->handlers.ctx, m->heartbeat_ack->count);
        break;
    case EBB__SCHEDULER_MESSAGE__KIND_ATTEMPT_ACK:
        on_attempt_ack(c, m->attempt_ack);
        break;
    default:
        c->handlers.message(c->handlers.ctx, m);
        break;
    }
}

static void on_message(void *ctx, struct ebb_channel *channel, const uint8_t *data, size_t len)
{
    struct ebb_connection *c = ctx;
    (void)channel;
    Ebb__SchedulerMessage *m = ebb_message_decode(&ebb__scheduler_message__descriptor, data, len);
    if (m == NULL) {
        ebb_log_error("a message of the scheduler cannot be read");
        reconnect_later(c);
        return;
    }
    dispatch(c, m);
    ebb__scheduler_message__free_unpacked(m, NULL);
}

static void on_open(void *ctx, struct ebb_channel *channel)
{
    struct ebb_connection *c = ctx;
    (void)channel;
    if (c->certificate.len > 0)
        send_hello(c);
    else
        send_join(c);
}

static void on_close(void *ctx, struct ebb_channel *channel, const struct ebb_error *err)
{
    struct ebb_connection *c = ctx;
    (void)channel;
    ebb_log_warn("scheduler: %s", err->code != 0 ? err->text : "closed the connection");
    reconnect_later(c);
}

static void connect_now(struct ebb_connection *c)
{
    static const struct ebb_channel_handlers handlers = {on_open, on_message, on_close};
    const struct ebb_agent_config *config = c->config;
    struct ebb_error err = {0};
    bool joined = c->certificate.len > 0;
    int r = ebb_tls_client_context(config->authority_pem,
                                   joined ? ebb_buffer_text(&c->certificate) : NULL,
                                   joined ? ebb_buffer_text(&c->key) : NULL, &c->tls, &err);
    if (r == 0)
        r = ebb_channel_connect(c->loop, config->scheduler, c->tls, config->server_name,
                                config->proxy, &handlers, c, &c->channel, &err);
    if (r < 0) {
        ebb_log_warn("scheduler %s: %s", config->scheduler, err.text);
        reconnect_later(c);
        return;
    }
    ebb_timer_set(c->timer, CONNECT_LIMIT_NS);
}

static void on_timer(void *ctx)
{
    struct ebb_connection *c = ctx;
    if (c->is_up) {
        send_heartbeat(c);
        ebb_timer_set(c->timer, c->heartbeat_ns);
    } else if (c->channel != NULL) {
        ebb_log_warn("scheduler %s does not answer", c->config->scheduler);
        reconnect_later(c);
    } else {
        connect_now(c);
    }
}

/* The same key and request for every try: a scheduler that signed but whose answer was lost sees
 * the same join again. */
static int load_identity(struct ebb_connection *c, struct ebb_error *err)
{
    c->key_path = ebb_path_join(c->config->directory, "agent.key");
    c->certificate_path = ebb_path_join(c->config->directory, "agent.pem");
    c->request_path = ebb_path_join(c->config->directory, "agent.csr");
    int r = ebb_mkdir_p(c->config->directory, 0700, err);
    if (r < 0)
        return r;
    bool has_key = ebb_file_exists(c->key_path) &&
                   ebb_file_read(c->key_path, PEM_MAX_BYTES, &c->key, NULL) == 0;
    if (has_key && ebb_file_exists(c->certificate_path) &&
        ebb_file_read(c->certificate_path, PEM_MAX_BYTES, &c->certificate, NULL) == 0)
        return 0;
    if (c->config->token == NULL)
        return ebb_error_set(err, EBB_ERR_INPUT, "no certificate in %s and no token to get one",
                             c->config->directory);
    if (has_key && ebb_file_exists(c->request_path) &&
        ebb_file_read(c->request_path, PEM_MAX_BYTES, &c->request, NULL) == 0)
        return 0;
    ebb_buffer_reset(&c->key);
    r = ebb_tls_request(&c->key, &c->request, err);
    if (r == 0)
        r = ebb_file_write_atomic(c->key_path, c->key.data, c->key.len, 0600, err);
    if (r == 0)
        r = ebb_file_write_atomic(c->request_path, c->request.data, c->request.len, 0600, err);
    return r;
}

int ebb_connection_new(struct ebb_loop *loop, const struct ebb_agent_config *config,
                       const struct ebb_connection_handlers *handlers, struct ebb_connection **ret,
                       struct ebb_error *err)
{
    struct ebb_connection *c = ebb_alloc(sizeof *c);
    uint64_t seed;
    ebb_random_secret(&seed, sizeof seed);
    ebb_random_seed(&c->random, seed);
    c->loop = loop;
    c->config = config;
    c->handlers = *handlers;
    c->outbox_last = &c->outbox_first;
    c->backoff_ns = BACKOFF_FIRST_NS;
    c->heartbeat_ns = DEFAULT_HEARTBEAT_NS;
    c->terms = (struct ebb_lease_terms){20 * EBB_NS_PER_S, 600 * EBB_NS_PER_S};
    c->heard_ns = ebb_now_ns(NULL);
    c->timer = ebb_timer_new(loop, on_timer, c);
    int r = load_identity(c, err);
    if (r < 0) {
        ebb_connection_destroy(c);
        return r;
    }
    ebb_timer_set(c->timer, 0);
    *ret = c;
    return 0;
}

void ebb_connection_destroy(struct ebb_connection *c)
{
    if (c == NULL)
        return;
    disconnect(c);
    ebb_timer_destroy(c->timer);
    forget_reports(c, UINT64_MAX);
    for (size_t i = 0; i < c->ended_count; i++) {
        free(c->ended[i].bag);
        free(c->ended[i].message);
    }
    free(c->ended);
    ebb_buffer_clean_up(&c->key);
    ebb_buffer_clean_up(&c->certificate);
    ebb_buffer_clean_up(&c->request);
    free(c->key_path);
    free(c->certificate_path);
    free(c->request_path);
    free(c);
}

bool ebb_connection_is_up(const struct ebb_connection *c)
{
    return c->is_up;
}

int64_t ebb_connection_heard_ns(const struct ebb_connection *c)
{
    return c->heard_ns;
}

const struct ebb_lease_terms *ebb_connection_terms(const struct ebb_connection *c)
{
    return &c->terms;
}

size_t ebb_connection_unacked(const struct ebb_connection *c)
{
    return c->ended_count;
}
