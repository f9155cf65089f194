/* Framed messages over a stream socket, plain or TLS, on the loop.
 *
 *   dialling -> shaking hands (TLS) -> open -> [ending: all written, peer's end awaited] -> closed
 *
 * Sending only appends to a buffer; the buffer is written by an event that runs after the
 * callbacks of the present loop iteration, so that a thousand small messages become a few TLS
 * records. Receiving reads into one scratch area for all channels and hands messages out of it
 * without a copy; only the start of an unfinished message is kept, so an idle channel holds no
 * buffer, and memory grows with bytes that have arrived, never with a length that was announced.
 * An accepted channel whose peer asks but does not take its answers is read no further until it
 * does. Only that side holds back: were both to, they could wait for each other for ever.
 *
 * Any handler may destroy its channel: a channel is pinned while a handler runs and freed by the
 * last pin. */
#include "base/channel.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"
#include "base/channel_accept.h"
#include "base/clock.h"
#include "base/dial.h"
#include "base/memory.h"

#define SCRATCH_BYTES       65536U
#define WRITE_CHUNK_BYTES   65536U
#define TURN_BYTES          (1U << 20)  /* one channel's share of a loop iteration */
#define HOLD_BACKLOG_BYTES  (32U << 20) /* stop reading above, go on below a half of it */
#define KEPT_BUFFER_BYTES   65536U
#define HANDSHAKE_TIMEOUT_S 10
#define END_TIMEOUT_S       2
#define LENGTH_BYTES        4U

enum state { STATE_DIALLING, STATE_HANDSHAKE, STATE_OPEN, STATE_ENDING, STATE_CLOSED };

struct ebb_channel {
    struct ebb_loop *loop;
    enum state state;
    int fd;
    SSL *ssl;
    SSL_CTX *tls;
    char *server_name;
    struct ebb_dial *dial;
    struct event *readable, *writable;
    struct event *flush; /* no descriptor: activated by hand */
    struct event *again; /* zero timer: read on, in the next iteration */
    struct ebb_timer *timer;
    struct ebb_buffer in;  /* the start of a message that is not complete */
    struct ebb_buffer out; /* out_done bytes of it are written */
    size_t out_done;
    size_t max_frame_bytes; /* of the peer's */
    bool flush_pending, write_blocked, held_back, accepted, finishing, destroyed;
    unsigned pins;
    struct ebb_error failure; /* found outside the loop's callbacks, reported by `flush` */
    struct ebb_channel_handlers handlers;
    void *ctx;
};

static void read_some(struct ebb_channel *c);
static void write_some(struct ebb_channel *c);

/* ---- life ---- */

static void pin(struct ebb_channel *c)
{
    c->pins++;
}

static void drop_transport(struct ebb_channel *c)
{
    struct event **events[] = {&c->readable, &c->writable, &c->flush, &c->again};
    for (size_t i = 0; i < EBB_ARRAY_LEN(events); i++) {
        if (*events[i] != NULL)
            event_free(*events[i]);
        *events[i] = NULL;
    }
    ebb_dial_destroy(EBB_TAKE(c->dial));
    ebb_timer_destroy(EBB_TAKE(c->timer));
    SSL_free(EBB_TAKE(c->ssl));
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->state = STATE_CLOSED;
}

static void unpin(struct ebb_channel *c)
{
    if (--c->pins > 0 || !c->destroyed)
        return;
    ebb_buffer_clean_up(&c->in);
    ebb_buffer_clean_up(&c->out);
    if (c->tls != NULL)
        SSL_CTX_free(c->tls);
    free(c->server_name);
    free(c);
}

void ebb_channel_destroy(struct ebb_channel *c)
{
    if (c == NULL || c->destroyed)
        return;
    pin(c);
    c->destroyed = true;
    drop_transport(c);
    unpin(c);
}

/* Ends the channel and tells its owner. Callers hold a pin. */
static void close_with(struct ebb_channel *c, const struct ebb_error *err)
{
    if (c->state == STATE_CLOSED)
        return;
    struct ebb_error copy = {0};
    if (err != NULL)
        copy = *err;
    drop_transport(c);
    if (c->handlers.on_close != NULL)
        c->handlers.on_close(c->ctx, c, &copy);
}

static void fail(struct ebb_channel *c, int code, const char *what)
{
    struct ebb_error err = {0};
    ebb_error_set(&err, code, "%s", what);
    close_with(c, &err);
}

/* ---- the transport: plain or TLS ---- */

enum io { IO_DONE, IO_WAIT_READ, IO_WAIT_WRITE, IO_END, IO_FAILED };

static enum io tls_result(struct ebb_channel *c, int rc, struct ebb_error *err)
{
    int sys_errno = errno;
    switch (SSL_get_error(c->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return IO_WAIT_READ;
    case SSL_ERROR_WANT_WRITE:
        return IO_WAIT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return IO_END;
    case SSL_ERROR_SYSCALL:
        ebb_error_set(err, EBB_ERR_UNAVAILABLE, "connection lost: %s",
                      sys_errno != 0 ? strerror(sys_errno) : "the peer hung up");
        return IO_FAILED;
    default:
        break;
    }
    unsigned long e = ERR_peek_error();
    long verify = SSL_get_verify_result(c->ssl);
    if (ERR_GET_REASON(e) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        ebb_error_set(err, EBB_ERR_UNAVAILABLE, "connection lost: the peer hung up");
    else if (verify != X509_V_OK)
        ebb_error_set(err, EBB_ERR_DENIED, "the peer's certificate is refused: %s",
                      X509_verify_cert_error_string(verify));
    else
        ebb_error_set(
            err, ERR_GET_REASON(e) >= SSL_AD_REASON_OFFSET ? EBB_ERR_DENIED : EBB_ERR_UNAVAILABLE,
            "TLS: %s", ERR_reason_error_string(e) ? ERR_reason_error_string(e) : "fault");
    ERR_clear_error();
    return IO_FAILED;
}

static enum io plain_result(ssize_t n, enum io wait, struct ebb_error *err)
{
    if (n == 0)
        return IO_END;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return wait;
    ebb_error_set(err, EBB_ERR_UNAVAILABLE, "connection lost: %s", strerror(errno));
    return IO_FAILED;
}

static enum io transport_read(struct ebb_channel *c, void *out, size_t size, size_t *ret_len,
                              struct ebb_error *err)
{
    if (c->ssl != NULL) {
        ERR_clear_error();
        errno = 0;
        int rc = SSL_read_ex(c->ssl, out, size, ret_len);
        return rc > 0 ? IO_DONE : tls_result(c, rc, err);
    }
    ssize_t n = recv(c->fd, out, size, 0);
    if (n <= 0)
        return plain_result(n, IO_WAIT_READ, err);
    *ret_len = (size_t)n;
    return IO_DONE;
}

static enum io transport_write(struct ebb_channel *c, const void *data, size_t len, size_t *ret_len,
                               struct ebb_error *err)
{
    if (c->ssl != NULL) {
        ERR_clear_error();
        errno = 0;
        int rc = SSL_write_ex(c->ssl, data, len, ret_len);
        return rc > 0 ? IO_DONE : tls_result(c, rc, err);
    }
    ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);
    if (n < 0)
        return plain_result(n, IO_WAIT_WRITE, err);
    *ret_len = (size_t)n;
    return IO_DONE;
}

/* ---- sending ---- */

size_t ebb_channel_backlog_bytes(const struct ebb_channel *c)
{
    return c->out.len - c->out_done;
}

static void schedule_flush(struct ebb_channel *c)
{
    if (c->flush_pending || c->flush == NULL)
        return;
    c->flush_pending = true;
    event_active(c->flush, EV_WRITE, 0);
}

void ebb_channel_send(struct ebb_channel *c, const void *data, size_t len)
{
    if (c->state >= STATE_ENDING || c->finishing || c->failure.code != 0)
        return; /* on_close has come or is on its way */
    if (len > EBB_CHANNEL_MAX_FRAME_BYTES) {
        ebb_error_set(&c->failure, EBB_ERR_INTERNAL, "a message of %zu bytes is over the limit",
                      len);
        schedule_flush(c);
        return;
    }
    const uint8_t head[LENGTH_BYTES] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16),
                                        (uint8_t)(len >> 8), (uint8_t)len};
    ebb_buffer_append(&c->out, head, sizeof head);
    ebb_buffer_append(&c->out, data, len);
    if (c->state == STATE_OPEN && !c->write_blocked)
        schedule_flush(c);
}

/* Forgets what is written. Bytes are moved only when more than half of the buffer is dead, so that
 * each is moved once on average. */
static void trim_out(struct ebb_channel *c)
{
    if (c->out_done == c->out.len) {
        if (c->out.capacity > KEPT_BUFFER_BYTES)
            ebb_buffer_clean_up(&c->out);
        else
            ebb_buffer_reset(&c->out);
        c->out_done = 0;
    } else if (c->out_done > KEPT_BUFFER_BYTES && c->out_done > c->out.len / 2) {
        size_t left = c->out.len - c->out_done;
        memmove(c->out.data, c->out.data + c->out_done, left);
        c->out.len = left;
        c->out_done = 0;
    }
}

static void wait_writable(struct ebb_channel *c)
{
    c->write_blocked = true;
    event_add(c->writable, NULL);
}

static void begin_end(struct ebb_channel *c)
{
    c->state = STATE_ENDING;
    if (c->ssl != NULL)
        SSL_shutdown(c->ssl);
    shutdown(c->fd, SHUT_WR);
    /* Closing with unread bytes would reset the connection and lose what the peer has not read
     * yet; so read on, and wait for its end. */
    c->held_back = false;
    event_add(c->readable, NULL);
    ebb_timer_set(c->timer, END_TIMEOUT_S * EBB_NS_PER_S);
    read_some(c);
}

static void resume_reading(struct ebb_channel *c)
{
    if (!c->held_back || ebb_channel_backlog_bytes(c) > HOLD_BACKLOG_BYTES / 2)
        return;
    c->held_back = false;
    event_add(c->readable, NULL);
    event_add(c->again, &(struct timeval){0});
}

static void write_some(struct ebb_channel *c)
{
    size_t turn = 0;
    while (c->out_done < c->out.len && turn < TURN_BYTES) {
        size_t left = c->out.len - c->out_done, n = 0;
        struct ebb_error err = {0};
        enum io io = transport_write(c, c->out.data + c->out_done,
                                     left < WRITE_CHUNK_BYTES ? left : WRITE_CHUNK_BYTES, &n, &err);
        if (io == IO_WAIT_WRITE || io == IO_WAIT_READ) {
            wait_writable(c);
            break;
        }
        if (io != IO_DONE) {
            close_with(c, &err);
            return;
        }
        c->out_done += n;
        turn += n;
    }
    if (turn >= TURN_BYTES && c->out_done < c->out.len)
        wait_writable(c);
    trim_out(c);
    resume_reading(c);
    if (c->finishing && c->out.len == 0)
        begin_end(c);
}

void ebb_channel_finish(struct ebb_channel *c)
{
    if (c->state >= STATE_ENDING || c->finishing)
        return;
    c->finishing = true;
    if (c->state == STATE_OPEN && !c->write_blocked)
        schedule_flush(c);
}

static void on_flush(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd, (void)what;
    struct ebb_channel *c = ctx;
    c->flush_pending = false;
    pin(c);
    if (c->failure.code != 0)
        close_with(c, &c->failure);
    else if (c->state == STATE_OPEN && !c->write_blocked)
        write_some(c);
    unpin(c);
}

/* ---- receiving ---- */

static bool takes_messages(const struct ebb_channel *c)
{
    return c->state == STATE_OPEN && !c->finishing && !c->held_back;
}

/* Hands out the whole messages in data; returns the bytes used up. */
static size_t deliver(struct ebb_channel *c, const uint8_t *data, size_t len)
{
    size_t used = 0;
    while (takes_messages(c) && len - used >= LENGTH_BYTES) {
        const uint8_t *p = data + used;
        size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        if (n > c->max_frame_bytes) {
            fail(c, EBB_ERR_CORRUPT, "the peer announces a message that is too long");
            return len;
        }
        if (len - used - LENGTH_BYTES < n)
            break;
        used += LENGTH_BYTES + n;
        if (c->handlers.on_message != NULL)
            c->handlers.on_message(c->ctx, c, p + LENGTH_BYTES, n);
        if (c->accepted && c->state == STATE_OPEN &&
            ebb_channel_backlog_bytes(c) > HOLD_BACKLOG_BYTES) {
            c->held_back = true;
            event_del(c->readable);
        }
    }
    return used;
}

static void deliver_kept(struct ebb_channel *c)
{
    size_t used = deliver(c, c->in.data, c->in.len);
    size_t left = c->in.len - used;
    if (left > 0 && used > 0)
        memmove(c->in.data, c->in.data + used, left);
    c->in.len = left;
    if (left == 0 && c->in.capacity > KEPT_BUFFER_BYTES / 16)
        ebb_buffer_clean_up(&c->in);
}

static void received(struct ebb_channel *c, const uint8_t *data, size_t len)
{
    if (c->state != STATE_OPEN || c->finishing)
        return; /* only the end is awaited */
    if (c->in.len == 0) {
        size_t used = deliver(c, data, len);
        if (used < len && c->state == STATE_OPEN)
            ebb_buffer_append(&c->in, data + used, len - used);
    } else {
        ebb_buffer_append(&c->in, data, len);
        deliver_kept(c);
    }
}

static void peer_ended(struct ebb_channel *c)
{
    if (c->state == STATE_OPEN && c->in.len > 0 && !c->finishing)
        fail(c, EBB_ERR_UNAVAILABLE, "connection ended inside a message");
    else
        close_with(c, NULL);
}

static bool reads(const struct ebb_channel *c)
{
    return (c->state == STATE_OPEN && !c->held_back) || c->state == STATE_ENDING;
}

static void read_some(struct ebb_channel *c)
{
    static _Thread_local uint8_t scratch[SCRATCH_BYTES];
    for (size_t turn = 0; reads(c) && turn < TURN_BYTES;) {
        size_t n = 0;
        struct ebb_error err = {0};
        enum io io = transport_read(c, scratch, sizeof scratch, &n, &err);
        if (io == IO_WAIT_READ || io == IO_WAIT_WRITE)
            return;
        if (io == IO_END) {
            peer_ended(c);
            return;
        }
        if (io == IO_FAILED) {
            /* After our own end the peer may go as it likes. */
            close_with(c, c->state == STATE_ENDING ? NULL : &err);
            return;
        }
        turn += n;
        received(c, scratch, n);
        /* A short plain read has emptied the socket; TLS may hold more and says so by itself. */
        if (c->ssl == NULL && n < sizeof scratch)
            return;
    }
    if (reads(c)) /* TLS may hold bytes that the socket no longer announces */
        event_add(c->again, &(struct timeval){0});
}

static void on_again(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd, (void)what;
    struct ebb_channel *c = ctx;
    pin(c);
    if (c->in.len > 0)
        deliver_kept(c);
    read_some(c);
    unpin(c);
}

/* ---- opening ---- */

static void opened(struct ebb_channel *c)
{
    c->state = STATE_OPEN;
    ebb_timer_unset(c->timer);
    if (c->handlers.on_open != NULL)
        c->handlers.on_open(c->ctx, c);
    if (c->state == STATE_OPEN && (c->out.len > 0 || c->finishing))
        schedule_flush(c);
    read_some(c); /* bytes may have come with the last of the handshake */
}

static void shake_hands(struct ebb_channel *c)
{
    ERR_clear_error();
    errno = 0;
    int rc = SSL_do_handshake(c->ssl);
    if (rc == 1) {
        opened(c);
        return;
    }
    struct ebb_error err = {0};
    switch (tls_result(c, rc, &err)) {
    case IO_WAIT_WRITE:
        event_add(c->writable, NULL);
        return;
    case IO_WAIT_READ:
        return;
    default:
        (void)ebb_error_wrap(&err, err.code, "TLS handshake");
        close_with(c, &err);
    }
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd, (void)what;
    struct ebb_channel *c = ctx;
    pin(c);
    if (c->state == STATE_HANDSHAKE)
        shake_hands(c);
    else
        read_some(c);
    unpin(c);
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd, (void)what;
    struct ebb_channel *c = ctx;
    pin(c);
    c->write_blocked = false;
    if (c->state == STATE_HANDSHAKE)
        shake_hands(c);
    else if (c->state == STATE_OPEN)
        write_some(c);
    unpin(c);
}

static void on_timer(void *ctx)
{
    struct ebb_channel *c = ctx;
    pin(c);
    if (c->state == STATE_ENDING)
        close_with(c, NULL);
    else
        fail(c, EBB_ERR_UNAVAILABLE, "the peer did not answer the TLS handshake in time");
    unpin(c);
}

static bool start_tls(struct ebb_channel *c)
{
    c->ssl = SSL_new(c->tls);
    if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1)
        return false;
    if (c->accepted) {
        SSL_set_accept_state(c->ssl);
        return true;
    }
    SSL_set_connect_state(c->ssl);
    return c->server_name != NULL && SSL_set1_host(c->ssl, c->server_name) == 1 &&
           SSL_set_tlsext_host_name(c->ssl, c->server_name) == 1;
}

static struct event *make_event(struct ebb_channel *c, int fd, short what, event_callback_fn fn)
{
    struct event *e = event_new(ebb_loop_event_base(c->loop), fd, what, fn, c);
    if (e == NULL)
        abort(); /* out of memory */
    return e;
}

/* Takes fd. */
static void start_transport(struct ebb_channel *c, int fd)
{
    c->fd = fd;
    c->readable = make_event(c, fd, EV_READ | EV_PERSIST, on_readable);
    c->writable = make_event(c, fd, EV_WRITE, on_writable);
    event_add(c->readable, NULL);
    if (c->tls == NULL) {
        opened(c);
        return;
    }
    c->state = STATE_HANDSHAKE;
    ebb_timer_set(c->timer, HANDSHAKE_TIMEOUT_S * EBB_NS_PER_S);
    if (!start_tls(c))
        fail(c, EBB_ERR_INTERNAL, "cannot set up TLS for a connection");
    else
        shake_hands(c);
}

static struct ebb_channel *new_channel(struct ebb_loop *l, SSL_CTX *tls)
{
    struct ebb_channel *c = ebb_alloc(sizeof *c);
    c->loop = l;
    c->fd = -1;
    if (tls != NULL) {
        SSL_CTX_up_ref(tls);
        c->tls = tls;
    }
    c->max_frame_bytes = EBB_CHANNEL_MAX_FRAME_BYTES;
    c->flush = make_event(c, -1, 0, on_flush);
    c->again = make_event(c, -1, 0, on_again);
    c->timer = ebb_timer_new(l, on_timer, c);
    return c;
}

static void on_dialled(void *ctx, int fd, const struct ebb_error *err)
{
    struct ebb_channel *c = ctx;
    pin(c);
    ebb_dial_destroy(EBB_TAKE(c->dial));
    if (fd < 0)
        close_with(c, err);
    else
        start_transport(c, fd);
    unpin(c);
}

int ebb_channel_connect(struct ebb_loop *l, const char *address, struct ssl_ctx_st *tls,
                        const char *server_name, const char *proxy,
                        const struct ebb_channel_handlers *handlers, void *ctx,
                        struct ebb_channel **ret, struct ebb_error *err)
{
    struct ebb_channel *c = new_channel(l, tls);
    c->server_name = ebb_strdup(server_name);
    ebb_channel_set_handlers(c, handlers, ctx);
    int rc = ebb_dial_new(l, address, proxy, on_dialled, c, &c->dial, err);
    if (rc < 0) {
        ebb_channel_destroy(c);
        return rc;
    }
    *ret = c;
    return 0;
}

void ebb_channel_accept(struct ebb_loop *l, int fd, struct ssl_ctx_st *tls,
                        void (*accept_fn)(void *ctx, struct ebb_channel *c), void *ctx)
{
    struct ebb_channel *c = new_channel(l, tls);
    c->accepted = true;
    pin(c);
    accept_fn(ctx, c);
    if (c->destroyed)
        close(fd);
    else
        start_transport(c, fd);
    unpin(c);
}

void ebb_channel_set_handlers(struct ebb_channel *c, const struct ebb_channel_handlers *handlers,
                              void *ctx)
{
    c->handlers = *handlers;
    c->ctx = ctx;
}

void ebb_channel_limit(struct ebb_channel *c, size_t max_frame_bytes)
{
    c->max_frame_bytes = max_frame_bytes < EBB_CHANNEL_MAX_FRAME_BYTES
                             ? max_frame_bytes
                             : EBB_CHANNEL_MAX_FRAME_BYTES;
}

struct ssl_st *ebb_channel_ssl(struct ebb_channel *c)
{
    return c->ssl;
}
