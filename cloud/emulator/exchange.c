/* The answer is built in the exchange and handed to evhttp in one piece. A client that goes away
 * while its answer waits is no fault: evhttp then only frees the request. Connections are never
 * broken from inside evhttp's own callback; that always happens from a timer. */
#include "cloud/emulator/exchange.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "cloud/emulator/emulator.h"
#include "cloud/emulator/faults.h"

#define MAX_HEADER_BYTES (64u << 10)
#define IDLE_TIMEOUT_S   600
#define LOOK_AGAIN_NS    (100 * EBB_NS_PER_MS)

struct server {
    struct ebb_emulator *emulator;
    void (*handle)(void *ctx, struct ebb_exchange *x);
    void *ctx;
};

static const char *method_name(enum evhttp_cmd_type type)
{
    switch (type) {
    case EVHTTP_REQ_GET:
        return "GET";
    case EVHTTP_REQ_HEAD:
        return "HEAD";
    case EVHTTP_REQ_PUT:
        return "PUT";
    case EVHTTP_REQ_POST:
        return "POST";
    case EVHTTP_REQ_DELETE:
        return "DELETE";
    default:
        return "OPTIONS";
    }
}

static void make_id(char out[37])
{
    char hex[33];

    ebb_random_hex(hex, 16);
    snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

/* A proxy's request line names the whole URL; the signature covers path and query alone. */
static const char *origin_form(const char *uri)
{
    const char *slash;

    if (!ebb_starts_with(uri, "http://"))
        return uri;
    slash = strchr(uri + 7, '/');
    return slash != NULL ? slash : "/";
}

static void on_request(struct evhttp_request *request, void *ctx)
{
    struct server *server = ctx;
    struct ebb_exchange *x = ebb_alloc(sizeof(*x));
    struct evbuffer *in = evhttp_request_get_input_buffer(request);
    const char *question;

    x->emulator = server->emulator;
    x->request = request;
    x->method = method_name(evhttp_request_get_command(request));
    x->target = ebb_strdup(origin_form(evhttp_request_get_uri(request)));
    question = strchr(x->target, '?');
    x->path = question != NULL ? ebb_strndup(x->target, (size_t)(question - x->target))
                               : ebb_strdup(x->target);
    if (question != NULL)
        x->query_malformed =
            ebb_params_parse(&x->params, question + 1, strlen(question + 1), NULL) < 0;
    x->body_len = evbuffer_get_length(in);
    x->body = x->body_len > 0 ? evbuffer_pullup(in, -1) : NULL;
    if (x->body == NULL) {
        x->body = (const uint8_t *)"";
        x->body_len = 0;
    }
    x->out = evbuffer_new();
    make_id(x->id);
    /* evhttp answers "Expect: 100-continue" without a body by the final status alone, and botocore
     * then misreads the next answer on the connection. */
    if (x->body_len == 0 && ebb_exchange_header(x, "Expect") != NULL)
        ebb_exchange_set_header(x, "Connection", "close");
    server->handle(server->ctx, x);
}

int ebb_exchange_listen(struct ebb_emulator *e, const char *address_text, int port,
                        size_t max_body_bytes, void (*handle)(void *ctx, struct ebb_exchange *x),
                        void *ctx, struct evhttp **ret, int *ret_port, struct ebb_error *err)
{
    struct evhttp *http = evhttp_new(ebb_loop_event_base(e->loop));
    struct evhttp_bound_socket *bound;
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    struct server *server;

    if (http == NULL)
        return ebb_error_set(err, EBB_ERR_INTERNAL, "no HTTP server");
    evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT |
                                         EVHTTP_REQ_POST | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS);
    evhttp_set_max_headers_size(http, MAX_HEADER_BYTES);
    evhttp_set_max_body_size(http, (ev_ssize_t)max_body_bytes);
    evhttp_set_default_content_type(http, NULL);
    evhttp_set_timeout(http, IDLE_TIMEOUT_S);
    bound = evhttp_bind_socket_with_handle(http, address_text, (ev_uint16_t)port);
    if (bound == NULL ||
        getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &len) < 0) {
        evhttp_free(http);
        return ebb_error_set(err, EBB_ERR_UNAVAILABLE, "cannot listen on %s:%d; is the port taken?",
                             address_text, port);
    }
    server = ebb_alloc(sizeof(*server));
    *server = (struct server){.emulator = e, .handle = handle, .ctx = ctx};
    ebb_emulator_own(e, server);
    evhttp_set_gencb(http, on_request, server);
    *ret = http;
    *ret_port = ntohs(address.sin_port);
    return 0;
}

const char *ebb_exchange_header(const struct ebb_exchange *x, const char *name)
{
    return evhttp_find_header(evhttp_request_get_input_headers(x->request), name);
}

void ebb_exchange_set_header(struct ebb_exchange *x, const char *name, const char *value)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(x->request);

    evhttp_remove_header(headers, name);
    evhttp_add_header(headers, name, value);
}

void ebb_exchange_write(struct ebb_exchange *x, const struct ebb_buffer *body)
{
    if (body->len > 0)
        evbuffer_add(x->out, body->data, body->len);
}

static void finish(struct ebb_exchange *x)
{
    struct ebb_exchange **at = &x->emulator->waiting;

    while (*at != NULL && *at != x)
        at = &(*at)->next;
    if (*at == x)
        *at = x->next;
    ebb_timer_destroy(x->timer);
    evbuffer_free(x->out);
    ebb_params_clean_up(&x->params);
    free(x->target);
    free(x->path);
    free(x);
}

static void break_connection(struct ebb_exchange *x)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(x->request);

    if (connection != NULL)
        evhttp_connection_free(connection); /* with its request */
    else
        evhttp_request_free(x->request);
    finish(x);
}

static void send_now(struct ebb_exchange *x)
{
    bool bodiless = strcmp(x->method, "HEAD") == 0 || x->status == 204 || x->status == 304;
    char length[32];

    snprintf(length, sizeof(length), "%zu", evbuffer_get_length(x->out));
    if (x->status != 204 && x->status != 304 &&
        evhttp_find_header(evhttp_request_get_output_headers(x->request), "Content-Length") == NULL)
        ebb_exchange_set_header(x, "Content-Length", length);
    evhttp_send_reply(x->request, x->status, NULL, bodiless ? NULL : x->out);
    finish(x);
}

static void on_timer(void *ctx)
{
    struct ebb_exchange *x = ctx;

    if (x->lose)
        break_connection(x);
    else
        send_now(x);
}

static void later(struct ebb_exchange *x, void (*fn)(void *ctx), int64_t ns)
{
    x->next = x->emulator->waiting;
    x->emulator->waiting = x;
    x->timer = ebb_timer_new(x->emulator->loop, fn, x);
    ebb_timer_set(x->timer, ns);
}

void ebb_exchange_send(struct ebb_exchange *x, int status)
{
    x->status = status;
    if (x->lose || x->delay_ns > 0)
        later(x, on_timer, x->delay_ns);
    else
        send_now(x);
}

static void look_again(void *ctx)
{
    struct ebb_exchange *x = ctx;

    if (ebb_faults_vm_is_partitioned(x->emulator, x->vm))
        ebb_timer_set(x->timer, LOOK_AGAIN_NS);
    else
        break_connection(x);
}

void ebb_exchange_blackhole(struct ebb_exchange *x)
{
    later(x, look_again, LOOK_AGAIN_NS);
}

void ebb_exchange_forget_all(struct ebb_emulator *e)
{
    while (e->waiting != NULL)
        break_connection(e->waiting);
}
