/* Channels over TCP, TLS and Unix sockets: whole messages, bounds, ends of either side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/tls.h"

/* An echo server and a client on one loop. */
struct world {
    struct ebb_loop *loop;
    struct ebb_listener *listener;
    char directory[64];
    char address[128];
    struct ebb_tls_authority *authority;
    struct ssl_ctx_st *server_tls, *client_tls;
    struct ebb_channel *served; /* the last one accepted */
    struct ebb_channel *client;
    int opened, accepted;
    size_t wanted, got; /* messages */
    struct ebb_buffer bytes;
    struct ebb_error closed; /* of the client */
    int closes, served_closes;
    bool destroy_on_message, finish_after;
    int order_errors;
};

static void server_message(void *ctx, struct ebb_channel *c, const uint8_t *data, size_t len)
{
    (void)ctx;
    ebb_channel_send(c, data, len);
}

static void server_close(void *ctx, struct ebb_channel *c, const struct ebb_error *err)
{
    (void)err;
    struct world *w = ctx;
    w->served_closes++;
    w->served = NULL;
    ebb_channel_destroy(c);
}

static void server_accept(void *ctx, struct ebb_channel *c)
{
    static const struct ebb_channel_handlers handlers = {.on_message = server_message,
                                                         .on_close = server_close};
    struct world *w = ctx;
    w->accepted++;
    w->served = c;
    ebb_channel_set_handlers(c, &handlers, w);
}

static void client_open(void *ctx, struct ebb_channel *c)
{
    (void)c;
    ((struct world *)ctx)->opened++;
}

static void client_message(void *ctx, struct ebb_channel *c, const uint8_t *data, size_t len)
{
    struct world *w = ctx;
    if (len == sizeof(uint64_t)) { /* numbered messages must come in order */
        uint64_t number;
        memcpy(&number, data, sizeof number);
        w->order_errors += number != w->got;
    }
    ebb_buffer_reset(&w->bytes);
    ebb_buffer_append(&w->bytes, data, len);
    if (++w->got < w->wanted)
        return;
    if (w->destroy_on_message) {
        ebb_channel_destroy(c);
        w->client = NULL;
        ebb_loop_stop(w->loop);
    } else if (w->finish_after) {
        ebb_channel_finish(c);
    } else {
        ebb_loop_stop(w->loop);
    }
}

static void client_close(void *ctx, struct ebb_channel *c, const struct ebb_error *err)
{
    struct world *w = ctx;
    w->closes++;
    w->closed = *err;
    w->client = NULL;
    ebb_channel_destroy(c);
    ebb_loop_stop(w->loop);
}

static const struct ebb_channel_handlers client_handlers = {
    .on_open = client_open, .on_message = client_message, .on_close = client_close};

static void listen_at(struct world *w, const char *address, struct ssl_ctx_st *tls)
{
    struct ebb_error err = {0};
    if (ebb_listener_new(w->loop, address, tls, server_accept, w, &w->listener, &err) < 0)
        fail_msg("%s", err.text);
    if (ebb_listener_port(w->listener) > 0)
        snprintf(w->address, sizeof w->address, "127.0.0.1:%d", ebb_listener_port(w->listener));
    else
        snprintf(w->address, sizeof w->address, "%s", address);
}

static void connect_client(struct world *w, struct ssl_ctx_st *tls, const char *name,
                           const char *proxy)
{
    struct ebb_error err = {0};
    if (ebb_channel_connect(w->loop, w->address, tls, name, proxy, &client_handlers, w, &w->client,
                            &err) < 0)
        fail_msg("%s", err.text);
}

static void run(struct world *w)
{
    assert_int_equal(ebb_loop_run(w->loop, NULL), 0);
}

static int set_up(void **state)
{
    struct world *w = ebb_alloc(sizeof *w);
    w->loop = ebb_loop_new();
    strcpy(w->directory, "/tmp/ebb-channel-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    assert_int_equal(ebb_tls_authority_open(w->directory, &w->authority, NULL), 0);
    assert_int_equal(ebb_tls_server_context(w->authority, "ebb-scheduler", &w->server_tls, NULL),
                     0);
    assert_int_equal(ebb_tls_client_context(ebb_tls_authority_certificate(w->authority), NULL, NULL,
                                            &w->client_tls, NULL),
                     0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    ebb_channel_destroy(w->client);
    ebb_channel_destroy(w->served);
    ebb_listener_destroy(w->listener);
    ebb_tls_context_destroy(w->server_tls);
    ebb_tls_context_destroy(w->client_tls);
    ebb_tls_authority_destroy(w->authority);
    ebb_remove_tree(w->directory, NULL);
    ebb_buffer_clean_up(&w->bytes);
    ebb_loop_destroy(w->loop);
    free(w);
    return 0;
}

/* ---- tests ---- */

static void send_sizes_and_compare(struct world *w)
{
    static const size_t sizes[] = {0, 1, 3, 16383, 16384, 65531, 65532, 65536, 300000, 16u << 20};
    EBB_AUTO_FREE uint8_t *data = ebb_alloc(16u << 20);
    for (size_t i = 0; i < (16u << 20); i++)
        data[i] = (uint8_t)(i * 31 + i / 1000);
    for (size_t i = 0; i < EBB_ARRAY_LEN(sizes); i++) {
        w->wanted = w->got + 1;
        ebb_channel_send(w->client, data, sizes[i]);
        run(w);
        assert_int_equal(w->closes, 0);
        assert_int_equal(w->bytes.len, sizes[i]);
        if (sizes[i] > 0)
            assert_memory_equal(w->bytes.data, data, sizes[i]);
    }
    assert_int_equal(w->opened, 1);
    assert_int_equal(ebb_channel_backlog_bytes(w->client), 0);
}

static void messages_of_every_size_pass_over_tcp(void **state)
{
    struct world *w = *state;
    listen_at(w, "127.0.0.1:0", NULL);
    connect_client(w, NULL, NULL, NULL);
    send_sizes_and_compare(w);
    assert_null(ebb_channel_ssl(w->client));
}

static void messages_of_every_size_pass_over_tls(void **state)
{
    struct world *w = *state;
    listen_at(w, "127.0.0.1:0", w->server_tls);
    connect_client(w, w->client_tls, "ebb-scheduler", NULL);
    send_sizes_and_compare(w);
    char name[80];
    assert_int_equal(ebb_tls_peer_name(ebb_channel_ssl(w->client), name, sizeof name, NULL), 0);
    assert_string_equal(name, "ebb-scheduler");
    assert_int_equal(ebb_tls_peer_name(ebb_channel_ssl(w->served), name, sizeof name, NULL),
                     EBB_ERR_DENIED);
}

static void messages_of_every_size_pass_over_unix_sockets(void **state)
{
    struct world *w = *state;
    char address[128];
    struct stat st;
    snprintf(address, sizeof address, "unix:%s/socket", w->directory);
    listen_at(w, address, NULL);
    assert_int_equal(stat(address + 5, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    connect_client(w, NULL, NULL, NULL);
    send_sizes_and_compare(w);
}

static void names_are_looked_up_without_blocking(void **state)
{
    struct world *w = *state;
    listen_at(w, "127.0.0.1:0", NULL);
    snprintf(w->address, sizeof w->address, "localhost:%d", ebb_listener_port(w->listener));
    connect_client(w, NULL, NULL, NULL);
    w->wanted = 1;
    ebb_channel_send(w->client, "x", 1);
    run(w);
    assert_int_equal(w->got, 1);
    /* One that is given up while the look-up may be under way. */
    struct ebb_channel *gone;
    assert_int_equal(ebb_channel_connect(w->loop, "localhost:1", NULL, NULL, NULL, &client_handlers,
                                         w, &gone, NULL),
                     0);
    ebb_channel_destroy(gone);
}

static void stale_socket_file_is_replaced_a_living_one_is_not(void **state)
{
    struct world *w = *state;
    char address[128];
    snprintf(address, sizeof address, "unix:%s/socket", w->directory);
    listen_at(w, address, NULL);
    struct ebb_listener *second = NULL;
    struct ebb_error err = {0};
    assert_int_equal(ebb_listener_new(w->loop, address, NULL, server_accept, w, &second, &err),
                     EBB_ERR_EXISTS);
    assert_true(ebb_file_exists(address + 5));
    ebb_listener_destroy(w->listener);
    assert_false(ebb_file_exists(address + 5));
    /* A dead program leaves its file. */
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path, address + 5);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    close(fd);
    listen_at(w, address, NULL);
    /* A file that is no socket is not ours to remove. */
    char other[128];
    snprintf(other, sizeof other, "unix:%s/ca.crt", w->directory);
    assert_int_equal(ebb_listener_new(w->loop, other, NULL, server_accept, w, &second, &err),
                     EBB_ERR_EXISTS);
    assert_true(ebb_file_exists(other + 5));
}

static void bad_addresses_are_input_errors(void **state)
{
    struct world *w = *state;
    static const char *const bad[] = {"",       "host",  "host:",   "host:x", "h:70000",
                                      "::1:80", "unix:", "[::1]80", "h:-1"};
    for (size_t i = 0; i < EBB_ARRAY_LEN(bad); i++) {
        struct ebb_error err = {0};
        struct ebb_channel *c = NULL;
        assert_int_equal(
            ebb_channel_connect(w->loop, bad[i], NULL, NULL, NULL, &client_handlers, w, &c, &err),
            EBB_ERR_INPUT);
        assert_null(c);
    }
}

static void order_is_kept_and_small_messages_are_fast(void **state)
{
    struct world *w = *state;
    listen_at(w, "127.0.0.1:0", w->server_tls);
    connect_client(w, w->client_tls, "ebb-scheduler", NULL);
    const size_t count = 200000;
    w->wanted = count;
    clock_t start = clock();
    for (uint64_t i = 0; i < count; i++)
        ebb_channel_send(w->client, &i, sizeof i);
    run(w);
    double s =
        (double)(clock() - start) / CLOCKS_PER_SEC; /* of the CPU: others may use it as well */
    assert_int_equal(w->got, count);
    assert_int_equal(w->order_errors, 0);
    print_message("%.0f small messages/s there and back over TLS, both ends on one core\n",
                  (double)count / s);
    assert_true((double)count / s > 5000);
}

static void channel_may_be_destroyed_in_its_message_handler(void **state)
{
    struct world *w = *state;
    listen_at(w, "127.0.0.1:0", w->server_tls);
    connect_client(w, w->client_tls, "ebb-scheduler", NULL);
    w->destroy_on_message = true;
    w->wanted = 3;
    for (uint64_t i = 0; i < 10; i++)
        ebb_channel_send(w->client, &i, sizeof i);
    run(w);
    assert_int_equal(w->got, 3);
    assert_int_equal(w->closes, 0);
}

static void finish_writes_everything_first(void **state)
{
    struct world *w = *state;
    listen_at(w, "127.0.0.1:0", w->server_tls);
    connect_client(w, w->client_tls, "ebb-scheduler", NULL);
    EBB_AUTO_FREE uint8_t *data = ebb_alloc(8u << 20);
    w->wanted = 1;
    w->finish_after = true;
    ebb_channel_send(w->client, data, 8u << 20);
    run(w);
    assert_int_equal(w->closes, 1);
    assert_int_equal(w->closed.code, 0);
    assert_int_equal(w->got, 1);
}

static void finish_before_the_connection_stands_still_delivers(void **state)
{
    struct world *w = *state;
    listen_at(w, "127.0.0.1:0", w->server_tls);
    connect_client(w, w->client_tls, "ebb-scheduler", NULL);
    ebb_channel_send(w->client, "last words", 10);
    ebb_channel_finish(w->client);
    run(w);
    assert_int_equal(w->closed.code, 0);
    assert_int_equal(w->accepted, 1);
    assert_int_equal(w->opened, 1);
}

static void refused_connection_closes_with_an_error(void **state)
{
    struct world *w = *state;
    listen_at(w, "127.0.0.1:0", NULL);
    ebb_listener_destroy(w->listener);
    w->listener = NULL;
    connect_client(w, NULL, NULL, NULL);
    assert_int_equal(w->closes, 0); /* never from inside connect */
    run(w);
    assert_int_equal(w->closes, 1);
    assert_int_equal(w->closed.code, EBB_ERR_UNAVAILABLE);
    strcpy(w->address, "unix:/no/such/socket");
    connect_client(w, NULL, NULL, NULL);
    run(w);
    assert_int_equal(w->closes, 2);
    assert_int_equal(w->closed.code, EBB_ERR_UNAVAILABLE);
}

static void wrong_server_name_is_denied(void **state)
{
    struct world *w = *state;
    listen_at(w, "127.0.0.1:0", w->server_tls);
    connect_client(w, w->client_tls, "another-name", NULL);
    run(w);
    assert_int_equal(w->closed.code, EBB_ERR_DENIED);
    assert_int_equal(w->opened, 0);
}

static void plain_client_at_a_tls_server_is_dropped(void **state)
{
    struct world *w = *state;
    listen_at(w, "127.0.0.1:0", w->server_tls);
    connect_client(w, NULL, NULL, NULL);
    ebb_channel_send(w->client, "hello hello hello hello", 23);
    run(w);
    assert_int_equal(w->closes, 1);
    assert_int_equal(w->got, 0);
}

/* ---- rude peers: a raw socket against the server ---- */

static int raw_connect(const struct world *w)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((uint16_t)ebb_listener_port(w->listener))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void stop_loop(void *ctx)
{
    ebb_loop_stop(ctx);
}

static void run_for(struct world *w, int64_t ns)
{
    struct ebb_timer *t = ebb_timer_new(w->loop, stop_loop, w->loop);
    ebb_timer_set(t, ns);
    run(w);
    ebb_timer_destroy(t);
}

/* What the loop does of itself, however late it comes to it. */
#define run_until(w, condition)                                                                    \
    do {                                                                                           \
        int64_t end_ns_ = ebb_now_ns(NULL) + 60 * EBB_NS_PER_S;                                    \
        while (!(condition)) {                                                                     \
            assert_true(ebb_now_ns(NULL) < end_ns_);                                               \
            run_for(w, EBB_NS_PER_MS);                                                             \
        }                                                                                          \
    } while (0)

static size_t readable_bytes(int fd)
{
    int count = 0;
    assert_int_equal(ioctl(fd, FIONREAD, &count), 0);
    return (size_t)count;
}

static void too_long_a_frame_closes_the_channel(void **state)
{
    struct world *w = *state;
    listen_at(w, "127.0.0.1:0", NULL);
    int fd = raw_connect(w);
    assert_int_equal(write(fd, "\x04\x00\x00\x01", 4), 4); /* 64 MiB and one */
    run_until(w, w->served_closes == 1);
    close(fd);
}

static void limited_channel_takes_no_longer_frame(void **state)
{
    struct world *w = *state;
    listen_at(w, "127.0.0.1:0", NULL);
    int fd = raw_connect(w);
    run_until(w, w->served != NULL);
    ebb_channel_limit(w->served, 2);
    assert_int_equal(write(fd, "\0\0\0\2ab", 6), 6);
    run_for(w, 20 * EBB_NS_PER_MS);
    assert_int_equal(w->served_closes, 0);
    assert_int_equal(write(fd, "\0\0\0\3", 4), 4);
    run_until(w, w->served_closes == 1);
    close(fd);
}

static void message_in_pieces_arrives_whole(void **state)
{
    struct world *w = *state;
    listen_at(w, "127.0.0.1:0", NULL);
    int fd = raw_connect(w);
    static const char stream[] = "\0\0\0\3abc\0\0\0\0\0\0\0\2de";
    for (size_t i = 0; i < sizeof stream - 1; i++) {
        assert_int_equal(write(fd, stream + i, 1), 1);
        run_for(w, EBB_NS_PER_MS);
    }
    run_until(w, readable_bytes(fd) >= sizeof stream - 1);
    char back[64];
    assert_int_equal(recv(fd, back, sizeof back, MSG_DONTWAIT), sizeof stream - 1);
    assert_memory_equal(back, stream, sizeof stream - 1);
    /* And an end in mid-message is noticed. */
    assert_int_equal(write(fd, "\0\0\0\3a", 5), 5);
    close(fd);
    run_until(w, w->served_closes == 1);
}

struct flood {
    int fd;
    size_t sent;
    atomic_bool is_over;
};

static void *send_flood(void *ctx)
{
    struct flood *f = ctx;
    size_t size = 1u << 20;
    char *message = ebb_alloc(4 + size);
    message[1] = 0x10;                                       /* 0x00100000 bytes */
    struct timeval limit = {.tv_sec = 1, .tv_usec = 500000}; /* it is held back, not only slow */
    setsockopt(f->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    while (f->sent < (200u << 20)) {
        ssize_t n = send(f->fd, message, 4 + size, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        f->sent += (size_t)n;
        if ((size_t)n < 4 + size)
            break;
    }
    free(message);
    atomic_store(&f->is_over, true);
    return NULL;
}

static void sender_that_takes_no_answers_is_held_back(void **state)
{
    struct world *w = *state;
    listen_at(w, "127.0.0.1:0", NULL);
    struct flood f = {.fd = raw_connect(w)};
    pthread_t t;
    pthread_create(&t, NULL, send_flood, &f);
    run_until(w, atomic_load(&f.is_over));
    pthread_join(t, NULL);
    assert_true(f.sent < (100u << 20)); /* stopped long before its 200 MiB */
    assert_non_null(w->served);
    size_t backlog = ebb_channel_backlog_bytes(w->served);
    assert_true(backlog > (16u << 20) && backlog < (40u << 20));
    /* Taking the answers sets it free again. */
    size_t taken = 0;
    static char sink[1 << 20];
    for (int i = 0; i < 2000 && ebb_channel_backlog_bytes(w->served) > 0; i++) {
        ssize_t n;
        while ((n = recv(f.fd, sink, sizeof sink, MSG_DONTWAIT)) > 0)
            taken += (size_t)n;
        run_for(w, EBB_NS_PER_MS);
    }
    assert_true(taken > (32u << 20));
    close(f.fd);
}

/* ---- a proxy: answers CONNECT and copies both ways ---- */

struct proxy {
    int fd, port, target_port;
    bool refuse;
    char request[1024];
};

static void copy_some(int from, int to, fd_set *set, bool *open)
{
    char chunk[4096];
    if (!FD_ISSET(from, set))
        return;
    ssize_t n = read(from, chunk, sizeof chunk);
    if (n <= 0 || write(to, chunk, (size_t)n) != n)
        *open = false;
}

static void *run_proxy(void *ctx)
{
    struct proxy *p = ctx;
    int c = accept(p->fd, NULL, NULL);
    size_t len = 0;
    while (strstr(p->request, "\r\n\r\n") == NULL && len < sizeof p->request - 1) {
        ssize_t n = read(c, p->request + len, sizeof p->request - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    static const char no[] = "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
    static const char yes[] = "HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n";
    if (p->refuse) {
        assert_int_equal(write(c, no, sizeof no - 1), sizeof no - 1);
        close(c);
        return NULL;
    }
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((uint16_t)p->target_port)};
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool open = connect(s, (struct sockaddr *)&a, sizeof a) == 0 &&
                write(c, yes, sizeof yes - 1) == sizeof yes - 1;
    while (open) {
        fd_set set;
        FD_ZERO(&set);
        FD_SET(c, &set);
        FD_SET(s, &set);
        select((c > s ? c : s) + 1, &set, NULL, NULL, NULL);
        copy_some(c, s, &set, &open);
        copy_some(s, c, &set, &open);
    }
    close(s);
    close(c);
    return NULL;
}

static char *start_proxy(struct proxy *p, pthread_t *t)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(p->fd, 1), 0);
    getsockname(p->fd, (struct sockaddr *)&a, &len);
    pthread_create(t, NULL, run_proxy, p);
    return ebb_sprintf("http://user:pa%%73s@127.0.0.1:%d/", ntohs(a.sin_port));
}

static void channel_goes_through_a_proxy(void **state)
{
    struct world *w = *state;
    listen_at(w, "127.0.0.1:0", w->server_tls);
    struct proxy p = {.target_port = ebb_listener_port(w->listener)};
    pthread_t t;
    EBB_AUTO_FREE char *url = start_proxy(&p, &t);
    strcpy(w->address, "scheduler.invalid:7000"); /* only the proxy knows it */
    connect_client(w, w->client_tls, "ebb-scheduler", url);
    w->wanted = 1;
    w->finish_after = true;
    ebb_channel_send(w->client, "x", 1);
    run(w);
    assert_int_equal(w->got, 1);
    pthread_join(t, NULL);
    close(p.fd);
    assert_string_equal(p.request, "CONNECT scheduler.invalid:7000 HTTP/1.1\r\n"
                                   "Host: scheduler.invalid:7000\r\n"
                                   "Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n");
}

static void refusing_proxy_is_denied(void **state)
{
    struct world *w = *state;
    struct proxy p = {.refuse = true};
    pthread_t t;
    EBB_AUTO_FREE char *url = start_proxy(&p, &t);
    strcpy(w->address, "scheduler.invalid:7000");
    connect_client(w, w->client_tls, "ebb-scheduler", url);
    run(w);
    assert_int_equal(w->closed.code, EBB_ERR_DENIED);
    assert_null(strstr(w->closed.text, "pass"));
    pthread_join(t, NULL);
    close(p.fd);
}

/* ---- the command line's side ---- */

struct blocking {
    struct world *world;
    int good;
};

static void *call_blocking(void *ctx)
{
    struct blocking *b = ctx;
    struct ebb_blocking_channel *c = NULL;
    EBB_AUTO_FREE char *big = ebb_alloc(3u << 20);
    memset(big, 'y', 3u << 20);
    if (ebb_blocking_channel_connect(b->world->address, 5, &c, NULL) == 0) {
        for (size_t len = 0; len <= 3u << 20; len += 1u << 20) {
            struct ebb_buffer answer = {0};
            if (ebb_blocking_channel_call(c, big, len, &answer, NULL) == 0 && answer.len == len &&
                (len == 0 || memcmp(answer.data, big, len) == 0))
                b->good++;
            ebb_buffer_clean_up(&answer);
        }
    }
    ebb_blocking_channel_destroy(c);
    ebb_loop_post(b->world->loop, stop_loop, b->world->loop);
    return NULL;
}

static void blocking_client_gets_its_answers(void **state)
{
    struct world *w = *state;
    char address[128];
    snprintf(address, sizeof address, "unix:%s/socket", w->directory);
    listen_at(w, address, NULL);
    struct blocking b = {.world = w};
    pthread_t t;
    pthread_create(&t, NULL, call_blocking, &b);
    run(w);
    pthread_join(t, NULL);
    assert_int_equal(b.good, 4);
    run_for(w, 10 * EBB_NS_PER_MS);
}

static void blocking_client_gives_up_in_time(void **state)
{
    struct world *w = *state;
    struct ebb_error err = {0};
    struct ebb_blocking_channel *c = NULL;
    assert_int_equal(ebb_blocking_channel_connect("unix:/no/such/socket", 1, &c, &err),
                     EBB_ERR_UNAVAILABLE);
    listen_at(w, "127.0.0.1:0", NULL); /* the kernel accepts, nobody answers */
    assert_int_equal(ebb_blocking_channel_connect(w->address, 0.1, &c, NULL), 0);
    struct ebb_buffer answer = {0};
    int64_t start_ns = ebb_now_ns(NULL);
    assert_int_equal(ebb_blocking_channel_call(c, "x", 1, &answer, &err), EBB_ERR_TIMEOUT);
    assert_true(ebb_now_ns(NULL) - start_ns < 30 * EBB_NS_PER_S);
    assert_int_equal(ebb_blocking_channel_call(c, "x", 1, &answer, &err), EBB_ERR_UNAVAILABLE);
    ebb_blocking_channel_destroy(c);
    ebb_buffer_clean_up(&answer);
    run_for(w, 10 * EBB_NS_PER_MS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_of_every_size_pass_over_tcp),
        TEST(messages_of_every_size_pass_over_tls),
        TEST(messages_of_every_size_pass_over_unix_sockets),
        TEST(names_are_looked_up_without_blocking),
        TEST(stale_socket_file_is_replaced_a_living_one_is_not),
        TEST(bad_addresses_are_input_errors),
        TEST(order_is_kept_and_small_messages_are_fast),
        TEST(channel_may_be_destroyed_in_its_message_handler),
        TEST(finish_writes_everything_first),
        TEST(finish_before_the_connection_stands_still_delivers),
        TEST(refused_connection_closes_with_an_error),
        TEST(wrong_server_name_is_denied),
        TEST(plain_client_at_a_tls_server_is_dropped),
        TEST(too_long_a_frame_closes_the_channel),
        TEST(limited_channel_takes_no_longer_frame),
        TEST(message_in_pieces_arrives_whole),
        TEST(sender_that_takes_no_answers_is_held_back),
        TEST(channel_goes_through_a_proxy),
        TEST(refusing_proxy_is_denied),
        TEST(blocking_client_gets_its_answers),
        TEST(blocking_client_gives_up_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
