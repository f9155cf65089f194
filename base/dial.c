/* Making a connection.
 *
 *   name --(thread)--> addresses --> connect, next address on failure --> [CONNECT through proxy]
 *
 * getaddrinfo blocks and only it knows all of a machine's name services, so a name is looked up in
 * a thread of its own. The thread and the dial share a reference-counted look-up and an eventfd;
 * the thread never touches the dial, so a dial may go while its look-up still hangs. */
#include "base/dial.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/address.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"

#define MAX_PROXY_ANSWER_BYTES 8192
#define TIMEOUT_S              10

struct look_up {
    atomic_int refs;
    struct ebb_address address;
    int fd; /* eventfd: readable when the fields below are set */
    int code;
    struct addrinfo *list;
    struct ebb_error err;
};

enum stage { STAGE_LOOK_UP, STAGE_CONNECT, STAGE_PROXY };

struct ebb_dial {
    struct ebb_loop *loop;
    char *target; /* what the user asked for, for messages */
    struct ebb_address address;
    char *connect_request; /* to the proxy; NULL without one */
    enum stage stage;
    struct look_up *look_up;
    struct addrinfo *list, *next;
    int fd;
    struct ebb_watch *watch;
    struct ebb_timer *timer; /* the whole attempt's limit; also reports failures from the loop */
    struct ebb_buffer answer;
    struct ebb_error failure; /* of the last address tried */
    void (*done)(void *ctx, int fd, const struct ebb_error *err);
    void *ctx;
};

static void try_next(struct ebb_dial *d);

static void drop_socket(struct ebb_dial *d)
{
    ebb_watch_destroy(d->watch);
    d->watch = NULL;
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}

/* d may be gone when this returns. */
static void fail(struct ebb_dial *d)
{
    drop_socket(d);
    ebb_timer_unset(d->timer);
    struct ebb_error err = d->failure;
    (void)ebb_error_wrap(&err, err.code, "cannot connect to %s", d->target);
    d->done(d->ctx, -1, &err);
}

static void succeed(struct ebb_dial *d)
{
    ebb_watch_destroy(d->watch);
    d->watch = NULL;
    ebb_timer_unset(d->timer);
    int fd = d->fd;
    d->fd = -1;
    d->done(d->ctx, fd, NULL);
}

static void on_timer(void *ctx)
{
    struct ebb_dial *d = ctx;
    if (d->failure.code == 0)
        ebb_error_set(&d->failure, EBB_ERR_UNAVAILABLE, "no answer within %d s", TIMEOUT_S);
    fail(d);
}

/* ---- look-up ---- */

static void look_up_unref(struct look_up *u)
{
    if (u == NULL || atomic_fetch_sub(&u->refs, 1) > 1)
        return;
    if (u->list != NULL)
        freeaddrinfo(u->list);
    close(u->fd);
    free(u);
}

static void *look_up_thread(void *ctx)
{
    struct look_up *u = ctx;
    u->code = ebb_address_look_up(&u->address, false, false, &u->list, &u->err);
    eventfd_write(u->fd, 1);
    look_up_unref(u);
    return NULL;
}

static void on_looked_up(void *ctx, int fd, bool readable, bool writable)
{
    (void)readable, (void)writable;
    struct ebb_dial *d = ctx;
    eventfd_t count;
    if (eventfd_read(fd, &count) < 0)
        return;
    ebb_watch_destroy(d->watch);
    d->watch = NULL;
    if (d->look_up->code < 0) {
        d->failure = d->look_up->err;
        fail(d);
        return;
    }
    d->list = EBB_TAKE(d->look_up->list);
    d->next = d->list;
    try_next(d);
}

static int start_look_up(struct ebb_dial *d, struct ebb_error *err)
{
    struct look_up *u = ebb_alloc(sizeof *u);
    u->address = d->address;
    u->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    atomic_init(&u->refs, 2);
    sigset_t all, old;
    sigfillset(&all);
    pthread_t thread;
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = u->fd < 0 ? errno : pthread_create(&thread, NULL, look_up_thread, u);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        if (u->fd >= 0)
            close(u->fd);
        free(u);
        return ebb_error_set_errno(err, EBB_ERR_IO, rc, "cannot look up %s", d->address.host);
    }
    pthread_detach(thread);
    d->look_up = u;
    d->watch = ebb_watch_new(d->loop, u->fd, true, false, on_looked_up, d);
    return 0;
}

/* ---- through a proxy ---- */

static void send_connect_request(struct ebb_dial *d)
{
    /* A few hundred bytes into an empty socket buffer: they fit, or the connection is no good. */
    size_t len = strlen(d->connect_request);
    ssize_t n = send(d->fd, d->connect_request, len, MSG_NOSIGNAL);
    if (n != (ssize_t)len) {
        ebb_error_set(&d->failure, EBB_ERR_UNAVAILABLE, "the proxy takes no request");
        try_next(d);
        return;
    }
    d->stage = STAGE_PROXY;
}

/* Takes the proxy's answer off the socket up to its blank line and not a byte more: what follows
 * belongs to the tunnel. Returns 1 when complete, 0 when more must come, -1 on failure. */
static int read_proxy_answer(struct ebb_dial *d)
{
    char chunk[1024];
    ssize_t n = recv(d->fd, chunk, sizeof chunk, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0 || d->answer.len + (size_t)n > MAX_PROXY_ANSWER_BYTES)
        return -1;
    size_t before = d->answer.len;
    ebb_buffer_append(&d->answer, chunk, (size_t)n);
    const uint8_t *end = memmem(d->answer.data, d->answer.len, "\r\n\r\n", 4);
    size_t take = end == NULL ? (size_t)n : (size_t)(end + 4 - d->answer.data) - before;
    if (recv(d->fd, chunk, take, 0) != (ssize_t)take)
        return -1;
    return end != NULL;
}

static void on_proxy_readable(struct ebb_dial *d)
{
    int rc = read_proxy_answer(d);
    if (rc == 0)
        return;
    const char *text = ebb_buffer_text(&d->answer);
    int status = 0;
    if (rc < 0 || sscanf(text, "HTTP/1.%*1d %3d", &status) != 1) {
        ebb_error_set(&d->failure, EBB_ERR_UNAVAILABLE, "the proxy gives no HTTP answer");
    } else if (status < 200 || status > 299) {
        ebb_error_set(&d->failure,
                      status == 407 || status == 403 ? EBB_ERR_DENIED : EBB_ERR_UNAVAILABLE,
                      "the proxy answers %d", status);
    } else {
        succeed(d);
        return;
    }
    fail(d);
}

static char *make_connect_request(const struct ebb_address *target, const char *user_info,
                                  size_t user_info_len)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer b = {0};
    bool v6 = strchr(target->host, ':') != NULL;
    EBB_AUTO_FREE char *authority =
        ebb_sprintf("%s%s%s:%s", v6 ? "[" : "", target->host, v6 ? "]" : "", target->port);
    ebb_buffer_printf(&b, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", authority, authority);
    if (user_info_len > 0) {
        size_t len;
        EBB_AUTO_FREE char *plain = ebb_percent_decode(user_info, user_info_len, false, &len);
        if (plain == NULL)
            return NULL;
        EBB_AUTO_FREE char *coded = ebb_alloc(4 * ((len + 2) / 3) + 1);
        EVP_EncodeBlock((unsigned char *)coded, (const unsigned char *)plain, (int)len);
        ebb_buffer_printf(&b, "Proxy-Authorization: Basic %s\r\n", coded);
    }
    ebb_buffer_append_text(&b, "\r\n");
    return ebb_buffer_take_text(&b);
}

/* "http://[user:password@]host[:port][/]": replaces d->address, keeps the target in the request. */
static int use_proxy(struct ebb_dial *d, const char *proxy, struct ebb_error *err)
{
    struct ebb_address target = d->address;
    const char *rest = ebb_starts_with(proxy, "http://") ? proxy + 7
                       : strstr(proxy, "://") == NULL    ? proxy
                                                         : NULL;
    if (rest == NULL || target.is_unix)
        return ebb_error_set(err, EBB_ERR_INPUT, "only proxies of the form http://HOST:PORT work");
    size_t len = strcspn(rest, "/");
    const char *at = memrchr(rest, '@', len);
    size_t user_len = at == NULL ? 0 : (size_t)(at - rest);
    const char *host = at == NULL ? rest : at + 1;
    EBB_AUTO_FREE char *address = ebb_strndup(host, len - (size_t)(host - rest));
    const char *colon = strrchr(address, ':');
    if (colon == NULL || strchr(colon, ']') != NULL) {
        char *with_port = ebb_sprintf("%s:80", address);
        free(address);
        address = with_port;
    }
    int rc = ebb_address_parse(address, &d->address, err);
    if (rc < 0)
        return rc;
    d->connect_request = make_connect_request(&target, rest, user_len);
    if (d->connect_request == NULL)
        return ebb_error_set(err, EBB_ERR_INPUT, "the proxy's user or password is malformed");
    return 0;
}

/* ---- connecting ---- */

static void on_socket(void *ctx, int fd, bool readable, bool writable);

static void on_connect_result(struct ebb_dial *d, int fd)
{
    int sys_errno = 0;
    socklen_t len = sizeof sys_errno;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys_errno, &len) < 0)
        sys_errno = errno;
    if (sys_errno != 0) {
        ebb_error_set(&d->failure, EBB_ERR_UNAVAILABLE, "%s", strerror(sys_errno));
        try_next(d);
        return;
    }
    ebb_watch_destroy(d->watch);
    d->watch = NULL;
    if (d->connect_request == NULL) {
        succeed(d);
        return;
    }
    d->watch = ebb_watch_new(d->loop, fd, true, false, on_socket, d);
    send_connect_request(d);
}

static void on_socket(void *ctx, int fd, bool readable, bool writable)
{
    (void)readable, (void)writable;
    struct ebb_dial *d = ctx;
    if (d->stage == STAGE_PROXY)
        on_proxy_readable(d);
    else
        on_connect_result(d, fd);
}

static bool start_connect(struct ebb_dial *d, int family, const struct sockaddr *a, socklen_t len)
{
    d->fd = ebb_address_socket(family, &d->failure);
    if (d->fd < 0)
        return false;
    int rc = connect(d->fd, a, len);
    if (rc < 0 && errno != EINPROGRESS) {
        ebb_error_set(&d->failure, EBB_ERR_UNAVAILABLE, "%s", strerror(errno));
        drop_socket(d);
        return false;
    }
    d->stage = STAGE_CONNECT;
    d->watch = ebb_watch_new(d->loop, d->fd, false, true, on_socket, d);
    return true;
}

/* Reports a failure from the timer when no address is left: never from inside ebb_dial_new. */
static void try_next(struct ebb_dial *d)
{
    drop_socket(d);
    while (d->next != NULL) {
        struct addrinfo *a = d->next;
        d->next = a->ai_next;
        if (start_connect(d, a->ai_family, a->ai_addr, a->ai_addrlen))
            return;
    }
    ebb_timer_set(d->timer, 0);
}

static void start(struct ebb_dial *d)
{
    if (d->address.is_unix) {
        if (!start_connect(d, AF_UNIX, (struct sockaddr *)&d->address.unix_address,
                           sizeof d->address.unix_address))
            ebb_timer_set(d->timer, 0);
        return;
    }
    if (ebb_address_look_up(&d->address, false, true, &d->list, NULL) == 0) {
        d->next = d->list;
        try_next(d);
    } else if (start_look_up(d, &d->failure) < 0) {
        ebb_timer_set(d->timer, 0);
    }
}

int ebb_dial_new(struct ebb_loop *l, const char *address, const char *proxy,
                 void (*done)(void *ctx, int fd, const struct ebb_error *err), void *ctx,
                 struct ebb_dial **ret, struct ebb_error *err)
{
    struct ebb_dial *d = ebb_alloc(sizeof *d);
    d->loop = l;
    d->fd = -1;
    d->done = done;
    d->ctx = ctx;
    d->target = ebb_strdup(address);
    d->timer = ebb_timer_new(l, on_timer, d);
    int rc = ebb_address_parse(address, &d->address, err);
    if (rc == 0 && proxy != NULL && proxy[0] != '\0')
        rc = use_proxy(d, proxy, err);
    if (rc < 0) {
        ebb_dial_destroy(d);
        return rc;
    }
    ebb_timer_set(d->timer, TIMEOUT_S * EBB_NS_PER_S);
    start(d);
    *ret = d;
    return 0;
}

void ebb_dial_destroy(struct ebb_dial *d)
{
    if (d == NULL)
        return;
    drop_socket(d);
    ebb_timer_destroy(d->timer);
    look_up_unref(d->look_up);
    if (d->list != NULL)
        freeaddrinfo(d->list);
    ebb_buffer_clean_up(&d->answer);
    free(d->connect_request);
    free(d->target);
    free(d);
}
