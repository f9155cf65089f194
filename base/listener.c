/* Listening sockets. A Unix socket's file is made with mode 0600 from the start (Linux takes the
 * mode from the descriptor at bind), and a file left by a dead program is replaced, but never one
 * that somebody answers on. When descriptors run out, accepting pauses: a level-triggered socket
 * would otherwise spin. */
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/address.h"
#include "base/channel_accept.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#define BACKLOG          1024
#define ACCEPTS_PER_TURN 64
#define PAUSE_NS         (100 * EBB_NS_PER_MS)

struct ebb_listener {
    struct ebb_loop *loop;
    int fd;
    int family;
    int port;
    char *unix_path; /* removed at the end */
    SSL_CTX *tls;
    struct ebb_watch *watch;
    struct ebb_timer *resume;
    void (*accept)(void *ctx, struct ebb_channel *c);
    void *ctx;
    bool accepting, destroyed; /* destroyed while accepting: freed after it */
};

static void on_connection(void *ctx, int fd, bool readable, bool writable);

static void on_resume(void *ctx)
{
    struct ebb_listener *s = ctx;
    s->watch = ebb_watch_new(s->loop, s->fd, true, false, on_connection, s);
}

static void pause_accepting(struct ebb_listener *s, int sys_errno)
{
    ebb_log_warn("cannot accept connections for a moment: %s", strerror(sys_errno));
    ebb_watch_destroy(s->watch);
    s->watch = NULL;
    ebb_timer_set(s->resume, PAUSE_NS);
}

static void on_connection(void *ctx, int fd, bool readable, bool writable)
{
    (void)readable, (void)writable;
    struct ebb_listener *s = ctx;
    s->accepting = true;
    for (int i = 0; i < ACCEPTS_PER_TURN && !s->destroyed; i++) {
        int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (peer < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
                pause_accepting(s, errno);
            break; /* else nobody is waiting, or a peer has gone before it was served */
        }
        ebb_address_tune(peer, s->family);
        ebb_channel_accept(s->loop, peer, s->tls, s->accept, s->ctx);
    }
    s->accepting = false;
    if (s->destroyed)
        free(s);
}

/* ---- making the socket ---- */

static bool somebody_answers(const struct sockaddr_un *a)
{
    int fd = ebb_address_socket(AF_UNIX, NULL);
    if (fd < 0)
        return true;
    int rc = connect(fd, (const struct sockaddr *)a, sizeof *a);
    bool answers = rc == 0 || (errno != ECONNREFUSED && errno != ENOENT);
    close(fd);
    return answers;
}

static int listen_unix(struct ebb_listener *s, const struct ebb_address *a, struct ebb_error *err)
{
    const char *path = a->unix_address.sun_path;
    struct stat st;
    if (lstat(path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode))
            return ebb_error_set(err, EBB_ERR_EXISTS, "%s is there and is no socket", path);
        if (somebody_answers(&a->unix_address))
            return ebb_error_set(err, EBB_ERR_EXISTS, "another process listens on %s", path);
        unlink(path);
    }
    s->fd = ebb_address_socket(AF_UNIX, err);
    if (s->fd < 0)
        return s->fd;
    if (fchmod(s->fd, 0600) < 0 ||
        bind(s->fd, (const struct sockaddr *)&a->unix_address, sizeof a->unix_address) < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot listen on %s", path);
    s->unix_path = ebb_strdup(path);
    if (chmod(path, 0600) < 0 || listen(s->fd, BACKLOG) < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot listen on %s", path);
    s->family = AF_UNIX;
    return 0;
}

static int bind_tcp(struct ebb_listener *s, const struct addrinfo *a)
{
    int one = 1;
    s->fd = ebb_address_socket(a->ai_family, NULL);
    if (s->fd < 0)
        return -1;
    setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s->fd, a->ai_addr, a->ai_addrlen) == 0 && listen(s->fd, BACKLOG) == 0) {
        s->family = a->ai_family;
        return 0;
    }
    int saved = errno;
    close(s->fd);
    s->fd = -1;
    errno = saved;
    return -1;
}

static int listen_tcp(struct ebb_listener *s, const struct ebb_address *a, struct ebb_error *err)
{
    struct addrinfo *list = NULL;
    int rc = ebb_address_look_up(a, true, false, &list, err);
    if (rc < 0)
        return rc;
    rc = -1;
    for (const struct addrinfo *i = list; i != NULL && rc < 0; i = i->ai_next)
        rc = bind_tcp(s, i);
    int sys_errno = errno;
    freeaddrinfo(list);
    if (rc < 0)
        return ebb_error_set_errno(err, sys_errno == EADDRINUSE ? EBB_ERR_EXISTS : EBB_ERR_IO,
                                   sys_errno, "cannot listen on %s:%s", a->host, a->port);
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    if (getsockname(s->fd, (struct sockaddr *)&bound, &len) < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot tell the port");
    s->port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                : ((struct sockaddr_in *)&bound)->sin_port);
    return 0;
}

int ebb_listener_new(struct ebb_loop *l, const char *address, struct ssl_ctx_st *tls,
                     void (*accept_fn)(void *ctx, struct ebb_channel *c), void *ctx,
                     struct ebb_listener **ret, struct ebb_error *err)
{
    struct ebb_address a;
    int rc = ebb_address_parse(address, &a, err);
    if (rc < 0)
        return rc;
    struct ebb_listener *s = ebb_alloc(sizeof *s);
    s->loop = l;
    s->fd = -1;
    s->accept = accept_fn;
    s->ctx = ctx;
    if (tls != NULL) {
        SSL_CTX_up_ref(tls);
        s->tls = tls;
    }
    rc = a.is_unix ? listen_unix(s, &a, err) : listen_tcp(s, &a, err);
    if (rc < 0) {
        ebb_listener_destroy(s);
        return rc;
    }
    s->resume = ebb_timer_new(l, on_resume, s);
    s->watch = ebb_watch_new(l, s->fd, true, false, on_connection, s);
    *ret = s;
    return 0;
}

int ebb_listener_port(const struct ebb_listener *s)
{
    return s->port;
}

void ebb_listener_destroy(struct ebb_listener *s)
{
    if (s == NULL)
        return;
    ebb_watch_destroy(s->watch);
    ebb_timer_destroy(s->resume);
    if (s->fd >= 0)
        close(s->fd);
    if (s->unix_path != NULL)
        unlink(s->unix_path);
    if (s->tls != NULL)
        SSL_CTX_free(s->tls);
    free(s->unix_path);
    s->destroyed = true;
    if (!s->accepting)
        free(s);
}
