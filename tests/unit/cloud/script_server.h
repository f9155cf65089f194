/* A web server for tests: gives the answers it was told to, one after another, and keeps what it
 * was asked. Runs in a thread of its own on a port that the kernel chose. */
#ifndef EBB_TESTS_UNIT_CLOUD_SCRIPT_SERVER_H
#define EBB_TESTS_UNIT_CLOUD_SCRIPT_SERVER_H

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/thread.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/text.h"

#define SCRIPT_MAX 64

struct script_answer {
    int status;          /* 0: the connection breaks without an answer */
    const char *headers; /* "Name: value\n..." or NULL */
    const char *body;
    bool any_number; /* given for all further requests */
};

struct script_request {
    char *method_and_target; /* "GET /path?query" */
    char *headers;           /* "name: value\n...", names in lower case */
    char *body;
};

struct script_server {
    struct event_base *base;
    struct evhttp *http;
    pthread_t thread;
    int port;
    char url[64];
    const struct script_answer *script;
    size_t at;
    struct script_request asked[SCRIPT_MAX];
    size_t asked_count;
};

static inline const char *script_method(struct evhttp_request *q)
{
    switch (evhttp_request_get_command(q)) {
    case EVHTTP_REQ_GET:
        return "GET";
    case EVHTTP_REQ_PUT:
        return "PUT";
    case EVHTTP_REQ_POST:
        return "POST";
    case EVHTTP_REQ_HEAD:
        return "HEAD";
    case EVHTTP_REQ_DELETE:
        return "DELETE";
    default:
        return "?";
    }
}

static inline void script_keep(struct script_server *s, struct evhttp_request *q)
{
    if (s->asked_count == SCRIPT_MAX)
        return;
    struct script_request *r = &s->asked[s->asked_count++];
    struct ebb_buffer headers = {0}, body = {0};
    struct evkeyval *h;
    for (h = evhttp_request_get_input_headers(q)->tqh_first; h != NULL; h = h->next.tqe_next) {
        size_t from = headers.len;
        ebb_buffer_printf(&headers, "%s: %s\n", h->key, h->value);
        for (size_t i = from; headers.data[i] != ':'; i++)
            if (headers.data[i] >= 'A' && headers.data[i] <= 'Z')
                headers.data[i] = (uint8_t)(headers.data[i] + 32);
    }
    struct evbuffer *in = evhttp_request_get_input_buffer(q);
    size_t len = evbuffer_get_length(in);
    if (len > 0)
        ebb_buffer_append(&body, evbuffer_pullup(in, -1), len);
    r->method_and_target = ebb_sprintf("%s %s", script_method(q), evhttp_request_get_uri(q));
    r->headers = ebb_strdup(ebb_buffer_text(&headers));
    r->body = ebb_strdup(ebb_buffer_text(&body));
    ebb_buffer_clean_up(&headers);
    ebb_buffer_clean_up(&body);
}

static inline void script_add_headers(struct evkeyvalq *out, const char *lines)
{
    while (lines != NULL && *lines != '\0') {
        size_t len = strcspn(lines, "\n"), colon = strcspn(lines, ":");
        char *name = ebb_strndup(lines, colon);
        char *value = ebb_strndup(lines + colon + 2, len - colon - 2);
        evhttp_add_header(out, name, value);
        free(name);
        free(value);
        lines += len + (lines[len] == '\n');
    }
}

static inline void script_on_request(struct evhttp_request *q, void *ctx)
{
    struct script_server *s = ctx;
    script_keep(s, q);
    const struct script_answer *a = &s->script[s->at];
    if (!a->any_number)
        s->at++;
    if (a->status == 0) {
        evhttp_connection_free(evhttp_request_get_connection(q));
        return;
    }
    struct evbuffer *body = evbuffer_new();
    if (a->body != NULL)
        evbuffer_add(body, a->body, strlen(a->body));
    script_add_headers(evhttp_request_get_output_headers(q), a->headers);
    evhttp_send_reply(q, a->status, "scripted", body);
    evbuffer_free(body);
}

static inline void *script_run(void *ctx)
{
    event_base_dispatch(((struct script_server *)ctx)->base);
    return NULL;
}

/* `script` ends with an answer that has any_number set, or is long enough. */
static inline void script_start(struct script_server *s, const struct script_answer *script)
{
    memset(s, 0, sizeof(*s));
    evthread_use_pthreads();
    s->script = script;
    s->base = event_base_new();
    s->http = evhttp_new(s->base);
    struct evhttp_bound_socket *b = evhttp_bind_socket_with_handle(s->http, "127.0.0.1", 0);
    if (b == NULL)
        abort();
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    char port[16];
    getsockname(evhttp_bound_socket_get_fd(b), (struct sockaddr *)&address, &len);
    getnameinfo((struct sockaddr *)&address, len, NULL, 0, port, sizeof(port), NI_NUMERICSERV);
    s->port = atoi(port);
    snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%d", s->port);
    evhttp_set_gencb(s->http, script_on_request, s);
    evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET | EVHTTP_REQ_PUT | EVHTTP_REQ_POST |
                                            EVHTTP_REQ_HEAD | EVHTTP_REQ_DELETE);
    pthread_create(&s->thread, NULL, script_run, s);
}

static inline void script_on_stop(evutil_socket_t fd, short what, void *base)
{
    (void)fd;
    (void)what;
    event_base_loopbreak(base);
}

static inline void script_stop(struct script_server *s)
{
    /* As an event: a break before the loop has begun would be forgotten. */
    event_base_once(s->base, -1, EV_TIMEOUT, script_on_stop, s->base, NULL);
    pthread_join(s->thread, NULL);
    evhttp_free(s->http);
    event_base_free(s->base);
    for (size_t i = 0; i < s->asked_count; i++) {
        free(s->asked[i].method_and_target);
        free(s->asked[i].headers);
        free(s->asked[i].body);
    }
}

/* Nothing of the machine's own set-up reaches a test. */
static inline void script_clean_environment(void)
{
    const char *names[] = {"AWS_ACCESS_KEY_ID",
                           "AWS_SECRET_ACCESS_KEY",
                           "AWS_SESSION_TOKEN",
                           "AWS_PROFILE",
                           "AWS_REGION",
                           "AWS_DEFAULT_REGION",
                           "AWS_ENDPOINT_URL",
                           "AWS_ENDPOINT_URL_S3",
                           "AWS_ENDPOINT_URL_EC2",
                           "AWS_ENDPOINT_URL_PRICING",
                           "AWS_CA_BUNDLE",
                           "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                           "EBB_AWS_IMAGE_ID",
                           "EBB_AWS_SUBNETS",
                           "EBB_AWS_INSTANCE_TYPES",
                           "EBB_AWS_SECURITY_GROUPS",
                           "EBB_AWS_INSTANCE_PROFILE"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(names); i++)
        unsetenv(names[i]);
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", 1);
    setenv("AWS_CONFIG_FILE", "/nonexistent", 1);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
}

static inline void script_use(const struct script_server *s)
{
    script_clean_environment();
    setenv("AWS_ENDPOINT_URL", s->url, 1);
    setenv("AWS_ACCESS_KEY_ID", "AKIDTEST", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    setenv("AWS_REGION", "eu-west-1", 1);
}

#endif
