/* A VM's way out: an HTTP proxy (CONNECT, and plain http by absolute URL) that the VM's environment
 * names. During a partition nothing passes: bytes are read no more in either direction, and new
 * connections are accepted and left without an answer, as packets that get lost.
 *
 * One upstream connection for one of the client's; a plain request is passed on with "Connection:
 * close", so that the client's next one, perhaps for another host, comes on a new connection. */
#include <arpa/inet.h>
#include <ctype.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "cloud/emulator/emulator.h"
#include "cloud/emulator/faults.h"
#include "cloud/emulator/guest.h"

#define MAX_HEAD_BYTES (64u << 10)
#define WATERMARK      (1u << 20)
#define CHECK_NS       (100 * EBB_NS_PER_MS)

struct link {
    struct link *next;
    struct ebb_gateway *gateway;
    struct bufferevent *client;
    struct bufferevent *server; /* NULL: the request's head has not come yet */
    bool tunnel;
    bool connected;
    bool closing; /* one side is over; the rest of its bytes still goes to the other */
};

struct ebb_gateway {
    struct ebb_guest *vm;
    struct evconnlistener *listener;
    int port;
    struct link *links;
    bool cut;
    struct ebb_timer *timer; /* looks whether a partition began or ended */
};

static void link_destroy(struct link *l)
{
    struct link **at = &l->gateway->links;

    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    if (l->client != NULL)
        bufferevent_free(l->client);
    if (l->server != NULL)
        bufferevent_free(l->server);
    free(l);
}

static void set_reading(struct link *l, bool on)
{
    short both = EV_READ | EV_WRITE;

    if (on) {
        if (l->client != NULL)
            bufferevent_enable(l->client, both);
        if (l->server != NULL && l->connected)
            bufferevent_enable(l->server, both);
    } else {
        if (l->client != NULL)
            bufferevent_disable(l->client, both);
        if (l->server != NULL)
            bufferevent_disable(l->server, both);
    }
}

static void look(void *ctx)
{
    struct ebb_gateway *g = ctx;
    bool cut = ebb_faults_vm_is_partitioned(g->vm->emulator, g->vm);

    if (cut != g->cut) {
        g->cut = cut;
        for (struct link *l = g->links; l != NULL; l = l->next)
            set_reading(l, !cut);
    }
    ebb_timer_set(g->timer, CHECK_NS);
}

static struct bufferevent *other(struct link *l, struct bufferevent *b)
{
    return b == l->client ? l->server : l->client;
}

static void on_pipe_write(struct bufferevent *b, void *ctx)
{
    struct link *l = ctx;
    struct bufferevent *from = other(l, b);

    if (l->closing && evbuffer_get_length(bufferevent_get_output(b)) == 0) {
        link_destroy(l);
        return;
    }
    if (from != NULL && !l->gateway->cut)
        bufferevent_enable(from, EV_READ);
}

static void on_pipe_read(struct bufferevent *b, void *ctx)
{
    struct link *l = ctx;
    struct bufferevent *to = other(l, b);

    if (to == NULL)
        return;
    bufferevent_write_buffer(to, bufferevent_get_input(b));
    if (evbuffer_get_length(bufferevent_get_output(to)) > WATERMARK) {
        bufferevent_setwatermark(to, EV_WRITE, WATERMARK / 2, 0);
        bufferevent_disable(b, EV_READ);
    }
}

static void on_event(struct bufferevent *b, short what, void *ctx)
{
    struct link *l = ctx;
    struct bufferevent *to = other(l, b);

    if (what & BEV_EVENT_CONNECTED) {
        l->connected = true;
        if (l->tunnel)
            bufferevent_write(l->client, "HTTP/1.1 200 Connection established\r\n\r\n", 39);
        set_reading(l, !l->gateway->cut);
        return;
    }
    if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)))
        return;
    if (b == l->server && !l->connected && l->client != NULL)
        bufferevent_write(l->client, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", 47);
    if (to == NULL || evbuffer_get_length(bufferevent_get_output(to)) == 0) {
        link_destroy(l);
        return;
    }
    l->closing = true;
    bufferevent_setwatermark(to, EV_WRITE, 0, 0);
    bufferevent_disable(b, EV_READ | EV_WRITE);
}

/* "GET http://host:port/path HTTP/1.1" -> host, port and the origin form. */
struct goal {
    char host[256];
    int port;
    bool tunnel;
    char *first_line; /* for the server; NULL for a tunnel */
};

static bool read_authority(const char *text, size_t len, int default_port, struct goal *ret)
{
    const char *colon = memrchr(text, ':', len);
    size_t host_len = colon != NULL ? (size_t)(colon - text) : len;
    char port[8];
    int64_t number = default_port;

    if (host_len == 0 || host_len >= sizeof(ret->host))
        return false;
    if (colon != NULL) {
        size_t port_len = len - host_len - 1;

        if (port_len == 0 || port_len >= sizeof(port))
            return false;
        memcpy(port, colon + 1, port_len);
        port[port_len] = '\0';
        if (ebb_parse_int(port, 1, 65535, &number, NULL) < 0)
            return false;
    }
    memcpy(ret->host, text, host_len);
    ret->host[host_len] = '\0';
    ret->port = (int)number;
    return true;
}

static bool read_goal(const char *line, struct goal *ret)
{
    const char *space = strchr(line, ' ');
    const char *last = strrchr(line, ' ');
    const char *target, *path;

    memset(ret, 0, sizeof(*ret));
    if (space == NULL || last == space)
        return false;
    target = space + 1;
    if (ebb_starts_with(line, "CONNECT ")) {
        ret->tunnel = true;
        return read_authority(target, (size_t)(last - target), 443, ret);
    }
    if (!ebb_starts_with(target, "http://"))
        return false;
    target += 7;
    path = memchr(target, '/', (size_t)(last - target));
    if (path == NULL)
        path = last;
    if (!read_authority(target, (size_t)(path - target), 80, ret))
        return false;
    ret->first_line = ebb_sprintf("%.*s %s%.*s%s\r\n", (int)(space - line), line,
                                  path == last ? "/" : "", (int)(last - path), path, last);
    return true;
}

static void open_upstream(struct link *l, const struct goal *goal)
{
    struct event_base *base = ebb_loop_event_base(l->gateway->vm->emulator->loop);

    l->tunnel = goal->tunnel;
    l->server = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(l->server, on_pipe_read, on_pipe_write, on_event, l);
    bufferevent_setcb(l->client, on_pipe_read, on_pipe_write, on_event, l);
    if (!goal->tunnel) {
        evbuffer_add(bufferevent_get_output(l->server), goal->first_line, strlen(goal->first_line));
        evbuffer_add(bufferevent_get_output(l->server), "Connection: close\r\n", 19);
    }
}

/* Headers that concern the two hops stay here. */
static bool is_hop_header(const char *line)
{
    return strncasecmp(line, "proxy-", 6) == 0 || strncasecmp(line, "connection:", 11) == 0 ||
           strncasecmp(line, "keep-alive:", 11) == 0;
}

static bool start_link(struct link *l, char *first)
{
    struct evbuffer *in = bufferevent_get_input(l->client);
    struct goal goal;
    char *line;
    bool good = read_goal(first, &goal);

    free(first);
    if (!good)
        return false;
    open_upstream(l, &goal);
    free(goal.first_line);
    while ((line = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF)) != NULL && line[0] != '\0') {
        if (!goal.tunnel && !is_hop_header(line))
            evbuffer_add_printf(bufferevent_get_output(l->server), "%s\r\n", line);
        free(line);
    }
    free(line);
    if (!goal.tunnel)
        evbuffer_add(bufferevent_get_output(l->server), "\r\n", 2);
    bufferevent_write_buffer(l->server, in);
    /* Numbers alone are looked up without blocking; the emulated cloud has no names. */
    return bufferevent_socket_connect_hostname(
               l->server, NULL, AF_INET,
               strcmp(goal.host, "localhost") == 0 ? "127.0.0.1" : goal.host, goal.port) == 0;
}

static void on_head(struct bufferevent *b, void *ctx)
{
    struct link *l = ctx;
    struct evbuffer *in = bufferevent_get_input(b);
    struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
    char *first;

    if (end.pos < 0) {
        if (evbuffer_get_length(in) > MAX_HEAD_BYTES)
            link_destroy(l);
        return;
    }
    first = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF);
    if (first == NULL || !start_link(l, first))
        link_destroy(l);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int len, void *ctx)
{
    struct ebb_gateway *g = ctx;
    struct link *l = ebb_alloc(sizeof(*l));

    (void)address;
    (void)len;
    l->gateway = g;
    l->client =
        bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);
    l->next = g->links;
    g->links = l;
    bufferevent_setcb(l->client, on_head, NULL, on_event, l);
    set_reading(l, !g->cut);
}

int ebb_gateway_new(struct ebb_guest *vm, struct ebb_gateway **ret, struct ebb_error *err)
{
    struct ebb_gateway *g = ebb_alloc(sizeof(*g));
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);

    g->vm = vm;
    g->listener = evconnlistener_new_bind(ebb_loop_event_base(vm->emulator->loop), on_accept, g,
                                          LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 64,
                                          (struct sockaddr *)&address, sizeof(address));
    if (g->listener == NULL ||
        getsockname(evconnlistener_get_fd(g->listener), (struct sockaddr *)&address, &len) < 0) {
        if (g->listener != NULL)
            evconnlistener_free(g->listener);
        free(g);
        return ebb_error_set(err, EBB_ERR_UNAVAILABLE, "gateway of a VM: cannot listen");
    }
    g->port = ntohs(address.sin_port);
    g->timer = ebb_timer_new(vm->emulator->loop, look, g);
    ebb_timer_set(g->timer, CHECK_NS);
    *ret = g;
    return 0;
}

int ebb_gateway_port(const struct ebb_gateway *g)
{
    return g->port;
}

void ebb_gateway_destroy(struct ebb_gateway *g)
{
    if (g == NULL)
        return;
    while (g->links != NULL)
        link_destroy(g->links);
    evconnlistener_free(g->listener);
    ebb_timer_destroy(g->timer);
    free(g);
}
