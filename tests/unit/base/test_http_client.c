/* The HTTP client against a server that is scripted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/http_client.h"
#include "base/loop.h"
#include "base/memory.h"
#include "base/workers.h"

/* ---- a server in a thread ---- */

struct server {
    struct ebb_loop *loop;
    struct evhttp *http;
    int port;
    pthread_t thread;
    struct evhttp_request *held; /* a request that gets no answer */
};

static void on_request(struct evhttp_request *q, void *ctx)
{
    struct server *s = ctx;
    const char *uri = evhttp_request_get_uri(q);
    struct evkeyvalq *out = evhttp_request_get_output_headers(q);
    struct evkeyvalq *in = evhttp_request_get_input_headers(q);
    struct evbuffer *answer = evbuffer_new();
    int status = 200;
    if (strncmp(uri, "/status/", 8) == 0) {
        status = atoi(uri + 8);
        evhttp_add_header(out, "Location", "/elsewhere");
    } else if (strncmp(uri, "/bytes/", 7) == 0) {
        size_t n = strtoul(uri + 7, NULL, 10);
        struct evbuffer_iovec v;
        evbuffer_reserve_space(answer, (ev_ssize_t)n, &v, 1);
        memset(v.iov_base, 'x', n);
        v.iov_len = n;
        evbuffer_commit_space(answer, &v, 1);
    } else if (strcmp(uri, "/hold") == 0) {
        s->held = q;
        evbuffer_free(answer);
        return;
    } else if (strcmp(uri, "/many-headers") == 0) {
        char name[32], value[4001];
        memset(value, 'v', 4000);
        value[4000] = '\0';
        for (int i = 0; i < 100; i++) {
            snprintf(name, sizeof name, "X-%d", i);
            evhttp_add_header(out, name, value);
        }
    } else { /* tells what has arrived */
        static const char *const methods[] = {"GET", "POST", "HEAD", "PUT", "DELETE"};
        size_t m = (size_t)__builtin_ctz((unsigned)evhttp_request_get_command(q));
        static const char *const names[] = {"X-Test", "X-Empty", "Expect", "Content-Type",
                                            "Content-Length"};
        evbuffer_add_printf(answer, "%s %s\n", m < 5 ? methods[m] : "?", uri);
        for (size_t i = 0; i < EBB_ARRAY_LEN(names); i++) {
            const char *v = evhttp_find_header(in, names[i]);
            if (v != NULL)
                evbuffer_add_printf(answer, "%s=%s\n", names[i], v);
        }
        evbuffer_add_buffer(answer, evhttp_request_get_input_buffer(q));
        evhttp_add_header(out, "ETag", "  \"abc\"");
    }
    evhttp_send_reply(q, status, NULL, answer);
    evbuffer_free(answer);
}

static void *run_server(void *ctx)
{
    ebb_loop_run(((struct server *)ctx)->loop, NULL);
    return NULL;
}

static void stop_server(void *ctx)
{
    ebb_loop_stop(ctx);
}

static int port_of(int fd)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    return ntohs(a.sin_port);
}

static int set_up(void **state)
{
    struct server *s = ebb_alloc(sizeof *s);
    s->loop = ebb_loop_new();
    s->http = evhttp_new(ebb_loop_event_base(s->loop));
    evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET | EVHTTP_REQ_PUT | EVHTTP_REQ_POST |
                                            EVHTTP_REQ_HEAD | EVHTTP_REQ_DELETE);
    evhttp_set_gencb(s->http, on_request, s);
    struct evhttp_bound_socket *b = evhttp_bind_socket_with_handle(s->http, "127.0.0.1", 0);
    s->port = port_of(evhttp_bound_socket_get_fd(b));
    pthread_create(&s->thread, NULL, run_server, s);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct server *s = *state;
    ebb_loop_post(s->loop, stop_server, s->loop);
    pthread_join(s->thread, NULL);
    evhttp_free(s->http);
    ebb_loop_destroy(s->loop);
    free(s);
    return 0;
}

static char *url_of(int port, const char *path)
{
    return ebb_sprintf("http://127.0.0.1:%d%s", port, path);
}

/* ---- tests ---- */

static int call(int port, struct ebb_http_request q, const char *path, struct ebb_http_answer *a,
                struct ebb_error *err)
{
    struct ebb_http_client *c = ebb_http_client_new();
    EBB_AUTO_FREE char *url = url_of(port, path);
    q.url = url;
    q.no_proxy = 1;
    int rc = ebb_http_call(c, &q, a, err);
    ebb_http_client_destroy(c);
    return rc;
}

static void request_arrives_as_given(void **state)
{
    struct server *s = *state;
    static const struct {
        const char *method, *body, *expected;
    } cases[] = {
        {"GET", NULL, "GET /a/../b%20c?q=1\nX-Test=yes\nX-Empty=\n"},
        {"DELETE", NULL, "DELETE /a/../b%20c?q=1\nX-Test=yes\nX-Empty=\n"},
        {"PUT", "some bytes",
         "PUT /a/../b%20c?q=1\nX-Test=yes\nX-Empty=\nContent-Length=10\nsome bytes"},
        {"PUT", NULL, "PUT /a/../b%20c?q=1\nX-Test=yes\nX-Empty=\nContent-Length=0\n"},
        {"POST", "some bytes",
         "POST /a/../b%20c?q=1\nX-Test=yes\nX-Empty=\nContent-Length=10\nsome bytes"},
        {"POST", NULL, "POST /a/../b%20c?q=1\nX-Test=yes\nX-Empty=\nContent-Length=0\n"},
    };
    const char *headers[] = {"X-Test: yes", "X-Empty:", NULL};
    for (size_t i = 0; i < EBB_ARRAY_LEN(cases); i++) {
        EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer a = {0};
        struct ebb_http_request q = {.method = cases[i].method,
                                     .headers = headers,
                                     .body = cases[i].body,
                                     .body_len = cases[i].body ? strlen(cases[i].body) : 0};
        struct ebb_error err = {0};
        assert_int_equal(call(s->port, q, "/a/../b%20c?q=1", &a, &err), 0);
        assert_int_equal(a.status, 200);
        assert_string_equal(ebb_buffer_text(&a.body), cases[i].expected);
    }
}

static void answer_headers_are_found_whatever_their_case(void **state)
{
    struct server *s = *state;
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer a = {0};
    assert_int_equal(call(s->port, (struct ebb_http_request){.method = "HEAD"}, "/x", &a, NULL), 0);
    EBB_AUTO_FREE char *etag = ebb_http_header(&a, "etag");
    assert_string_equal(etag, "\"abc\"");
    assert_null(ebb_http_header(&a, "eta"));
    assert_int_equal(a.body.len, 0);
}

static void every_status_is_an_answer_and_redirects_are_not_followed(void **state)
{
    struct server *s = *state;
    static const int statuses[] = {301, 307, 403, 404, 412, 500, 503};
    for (size_t i = 0; i < EBB_ARRAY_LEN(statuses); i++) {
        EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer a = {0};
        char path[32];
        snprintf(path, sizeof path, "/status/%d", statuses[i]);
        assert_int_equal(call(s->port, (struct ebb_http_request){.method = "GET"}, path, &a, NULL),
                         0);
        assert_int_equal(a.status, statuses[i]);
    }
}

static void answers_are_bounded(void **state)
{
    struct server *s = *state;
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer a = {0};
    struct ebb_http_request q = {.method = "GET", .max_answer_bytes = 1000};
    struct ebb_error err = {0};
    assert_int_equal(call(s->port, q, "/bytes/1000", &a, &err), 0);
    assert_int_equal(a.body.len, 1000);
    ebb_http_answer_clean_up(&a);
    assert_int_equal(call(s->port, q, "/bytes/1001", &a, &err), EBB_ERR_CORRUPT);
    assert_int_equal(call(s->port, q, "/many-headers", &a, &err), EBB_ERR_CORRUPT);
}

static void large_bodies_go_both_ways(void **state)
{
    struct server *s = *state;
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer a = {0};
    size_t len = 9u << 20;
    EBB_AUTO_FREE char *body = ebb_alloc(len);
    for (size_t i = 0; i < len; i++)
        body[i] = (char)(i * 7 + i / 4096);
    struct ebb_http_request q = {.method = "PUT", .body = body, .body_len = len};
    assert_int_equal(call(s->port, q, "/x", &a, NULL), 0);
    assert_true(a.body.len > len);
    assert_null(strstr(ebb_buffer_text(&a.body), "Expect="));
    assert_memory_equal(a.body.data + (a.body.len - len), body, len);
}

static void header_injection_is_refused(void **state)
{
    struct server *s = *state;
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer a = {0};
    const char *headers[] = {"X-Test: a\r\nX-Other: b", NULL};
    struct ebb_http_request q = {.method = "GET", .headers = headers};
    assert_int_equal(call(s->port, q, "/x", &a, NULL), EBB_ERR_INPUT);
}

static int unused_port(int *ret_fd)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0); /* bound, not listening */
    *ret_fd = fd;
    return port_of(fd);
}

static void refused_connection_is_unavailable(void **state)
{
    (void)state;
    int fd, port = unused_port(&fd);
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer a = {0};
    struct ebb_error err = {0};
    struct ebb_http_request q = {.method = "GET"};
    assert_int_equal(call(port, q, "/x?X-Amz-Signature=secret", &a, &err), EBB_ERR_UNAVAILABLE);
    assert_null(strstr(err.text, "secret"));
    close(fd);
}

static void bad_url_is_input(void **state)
{
    (void)state;
    struct ebb_http_client *c = ebb_http_client_new();
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer a = {0};
    struct ebb_http_request q = {.method = "GET", .url = "file:///etc/passwd"};
    struct ebb_error err = {0};
    assert_int_equal(ebb_http_call(c, &q, &a, &err), EBB_ERR_INPUT);
    q.url = "http://user:word@[bad/x";
    assert_int_equal(ebb_http_call(c, &q, &a, &err), EBB_ERR_INPUT);
    assert_null(strstr(err.text, "word"));
    ebb_http_client_destroy(c);
}

static void no_answer_in_time_is_unknown(void **state)
{
    struct server *s = *state;
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer a = {0};
    struct ebb_error err = {0};
    struct ebb_http_request q = {.method = "GET", .timeout_s = 0.2};
    int64_t start_ns = ebb_now_ns(NULL);
    assert_int_equal(call(s->port, q, "/hold", &a, &err), EBB_ERR_TIMEOUT);
    assert_true(ebb_now_ns(NULL) - start_ns < 25 * EBB_NS_PER_S);
}

static void *cancel_soon(void *ctx)
{
    usleep(50000);
    atomic_store((atomic_int *)ctx, 1);
    return NULL;
}

static void cancel_flag_ends_a_call(void **state)
{
    struct server *s = *state;
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer a = {0};
    atomic_int cancel = 0;
    struct ebb_http_request q = {.method = "GET", .timeout_s = 30, .cancel = &cancel};
    pthread_t t;
    pthread_create(&t, NULL, cancel_soon, &cancel);
    int64_t start_ns = ebb_now_ns(NULL);
    assert_int_equal(call(s->port, q, "/hold", &a, NULL), EBB_ERR_CANCELLED);
    assert_true(ebb_now_ns(NULL) - start_ns < 25 * EBB_NS_PER_S);
    pthread_join(t, NULL);
}

/* A server that answers the first `answers` requests of a connection, then hangs up when it has
 * read another. It serves `connections` connections. */
struct rude {
    int fd, answers, connections;
    int requests; /* seen */
};

static void *run_rude(void *ctx)
{
    struct rude *r = ctx;
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    for (int i = 0; i < r->connections; i++) {
        int c = accept(r->fd, NULL, NULL);
        char in[4096];
        int left = r->answers;
        while (c >= 0 && read(c, in, sizeof in) > 0) {
            r->requests++;
            if (left-- == 0 || write(c, answer, sizeof answer - 1) < 0)
                break;
        }
        close(c);
    }
    return NULL;
}

static void connection_lost_after_sending_is_unknown(void **state)
{
    (void)state;
    struct rude r = {.connections = 1};
    int port = unused_port(&r.fd);
    listen(r.fd, 5);
    pthread_t t;
    pthread_create(&t, NULL, run_rude, &r);
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer a = {0};
    struct ebb_http_request q = {.method = "PUT", .body = "b", .body_len = 1};
    assert_int_equal(call(port, q, "/x", &a, NULL), EBB_ERR_TIMEOUT);
    pthread_join(t, NULL);
    close(r.fd);
}

static void put_is_never_sent_twice_behind_the_callers_back(void **state)
{
    (void)state;
    struct rude r = {.connections = 1, .answers = 1};
    int port = unused_port(&r.fd);
    listen(r.fd, 5);
    pthread_t t;
    pthread_create(&t, NULL, run_rude, &r);
    struct ebb_http_client *c = ebb_http_client_new();
    EBB_AUTO_FREE char *url = url_of(port, "/x");
    struct ebb_http_request q = {
        .method = "PUT", .url = url, .body = "b", .body_len = 1, .no_proxy = 1, .timeout_s = 5};
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer a = {0};
    assert_int_equal(ebb_http_call(c, &q, &a, NULL), 0);
    ebb_http_answer_clean_up(&a);
    /* The kept connection takes the request and dies: it may have had its effect. */
    assert_int_equal(ebb_http_call(c, &q, &a, NULL), EBB_ERR_TIMEOUT);
    pthread_join(t, NULL);
    assert_int_equal(r.requests, 2);
    ebb_http_client_destroy(c);
    close(r.fd);
}

struct shared {
    struct ebb_http_client *client;
    char *url;
    atomic_int good;
};

static void call_shared(void *ctx, size_t i)
{
    struct shared *s = ctx;
    char body[32];
    int len = snprintf(body, sizeof body, "body %zu", i);
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer a = {0};
    struct ebb_http_request q = {
        .method = "PUT", .url = s->url, .body = body, .body_len = (size_t)len, .no_proxy = 1};
    if (ebb_http_call(s->client, &q, &a, NULL) == 0 &&
        strstr(ebb_buffer_text(&a.body), body) != NULL)
        atomic_fetch_add(&s->good, 1);
}

static void one_client_serves_many_threads(void **state)
{
    struct server *s = *state;
    struct shared sh = {.client = ebb_http_client_new(), .url = url_of(s->port, "/x")};
    ebb_parallel_for(8, 400, call_shared, &sh);
    assert_int_equal(sh.good, 400);
    ebb_http_client_destroy(sh.client);
    free(sh.url);
}

static void proxy_variable_is_honoured_unless_refused(void **state)
{
    struct server *s = *state;
    struct ebb_http_client *c = ebb_http_client_new();
    EBB_AUTO_FREE char *proxy = url_of(s->port, "");
    setenv("http_proxy", proxy, 1);
    unsetenv("no_proxy");
    unsetenv("NO_PROXY");
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer a = {0};
    struct ebb_http_request q = {.method = "GET", .url = "http://ebb.invalid/x"};
    assert_int_equal(ebb_http_call(c, &q, &a, NULL), 0);
    assert_memory_equal(ebb_buffer_text(&a.body), "GET http://ebb.invalid/x\n", 25);
    q.no_proxy = 1;
    assert_int_equal(ebb_http_call(c, &q, &a, NULL), EBB_ERR_UNAVAILABLE);
    unsetenv("http_proxy");
    ebb_http_client_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_arrives_as_given),
        cmocka_unit_test(answer_headers_are_found_whatever_their_case),
        cmocka_unit_test(every_status_is_an_answer_and_redirects_are_not_followed),
        cmocka_unit_test(answers_are_bounded),
        cmocka_unit_test(large_bodies_go_both_ways),
        cmocka_unit_test(header_injection_is_refused),
        cmocka_unit_test(refused_connection_is_unavailable),
        cmocka_unit_test(bad_url_is_input),
        cmocka_unit_test(no_answer_in_time_is_unknown),
        cmocka_unit_test(cancel_flag_ends_a_call),
        cmocka_unit_test(connection_lost_after_sending_is_unknown),
        cmocka_unit_test(put_is_never_sent_twice_behind_the_callers_back),
        cmocka_unit_test(one_client_serves_many_threads),
        cmocka_unit_test(proxy_variable_is_honoured_unless_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
