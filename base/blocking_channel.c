/* The command line's side of a channel: one request, one answer, with a deadline for each. After a
 * failure the stream may stand inside a message, so the channel refuses further calls. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "base/channel.h"
#include "base/clock.h"
#include "base/memory.h"

#define LENGTH_BYTES 4U
#define PIECE_BYTES  65536U

struct ebb_blocking_channel {
    int fd;
    bool broken;
    double timeout_s;
    char *address;
};

static int64_t deadline_of(double timeout_s)
{
    double ns = (timeout_s < 1e8 ? timeout_s : 1e8) * (double)EBB_NS_PER_S;
    return ebb_now_ns(NULL) + (int64_t)ns;
}

static int wait_for(int fd, short events, int64_t deadline_ns, struct ebb_error *err)
{
    for (;;) {
        int64_t left_ns = deadline_ns - ebb_now_ns(NULL);
        int64_t left_ms = left_ns > 0 ? (left_ns + EBB_NS_PER_MS - 1) / EBB_NS_PER_MS : 0;
        struct pollfd p = {.fd = fd, .events = events};
        int rc = poll(&p, 1, left_ms > 1000000 ? 1000000 : (int)left_ms);
        if (rc > 0)
            return 0;
        if (rc < 0 && errno != EINTR)
            return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot wait for the peer");
        if (rc == 0 && left_ns <= 0)
            return ebb_error_set(err, EBB_ERR_TIMEOUT, "no answer in time");
    }
}

static int connect_one(int family, const struct sockaddr *a, socklen_t len, int64_t deadline_ns,
                       struct ebb_error *err)
{
    int fd = ebb_address_socket(family, err);
    if (fd < 0)
        return fd;
    int sys_errno = connect(fd, a, len) < 0 ? errno : 0;
    if (sys_errno == EINPROGRESS) {
        socklen_t size = sizeof sys_errno;
        int rc = wait_for(fd, POLLOUT, deadline_ns, err);
        if (rc < 0) {
            close(fd);
            return rc;
        }
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys_errno, &size) < 0)
            sys_errno = errno;
    }
    if (sys_errno == 0)
        return fd;
    close(fd);
    return ebb_error_set(err, EBB_ERR_UNAVAILABLE, "%s", strerror(sys_errno));
}

static int connect_any(const struct ebb_address *a, int64_t deadline_ns, struct ebb_error *err)
{
    if (a->is_unix)
        return connect_one(AF_UNIX, (const struct sockaddr *)&a->unix_address,
                           sizeof a->unix_address, deadline_ns, err);
    struct addrinfo *list = NULL;
    int rc = ebb_address_look_up(a, false, false, &list, err);
    if (rc < 0)
        return rc;
    int fd = -1;
    for (const struct addrinfo *i = list; i != NULL && fd < 0; i = i->ai_next)
        fd = connect_one(i->ai_family, i->ai_addr, i->ai_addrlen, deadline_ns, err);
    freeaddrinfo(list);
    return fd;
}

int ebb_blocking_channel_connect(const char *address, double timeout_s,
                                 struct ebb_blocking_channel **ret, struct ebb_error *err)
{
    struct ebb_address a;
    int rc = ebb_address_parse(address, &a, err);
    if (rc < 0)
        return rc;
    int fd = connect_any(&a, deadline_of(timeout_s), err);
    if (fd < 0)
        return ebb_error_wrap(err, fd, "cannot connect to %s", address);
    struct ebb_blocking_channel *c = ebb_alloc(sizeof *c);
    c->fd = fd;
    c->timeout_s = timeout_s;
    c->address = ebb_strdup(address);
    *ret = c;
    return 0;
}

static int lost(struct ebb_error *err, const char *why)
{
    return ebb_error_set(err, EBB_ERR_TIMEOUT, "connection lost (outcome unknown): %s", why);
}

static int send_all(struct ebb_blocking_channel *c, const void *data, size_t len,
                    int64_t deadline_ns, struct ebb_error *err)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL);
        if (n > 0) {
            p += n;
            len -= (size_t)n;
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return lost(err, strerror(errno));
        int rc = wait_for(c->fd, POLLOUT, deadline_ns, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int receive_all(struct ebb_blocking_channel *c, uint8_t *out, size_t len,
                       int64_t deadline_ns, struct ebb_error *err)
{
    while (len > 0) {
        ssize_t n = recv(c->fd, out, len, 0);
        if (n > 0) {
            out += n;
            len -= (size_t)n;
            continue;
        }
        if (n == 0)
            return lost(err, "the peer hung up");
        if (errno != EAGAIN && errno != EINTR)
            return lost(err, strerror(errno));
        int rc = wait_for(c->fd, POLLIN, deadline_ns, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int receive_message(struct ebb_blocking_channel *c, struct ebb_buffer *out,
                           int64_t deadline_ns, struct ebb_error *err)
{
    uint8_t h[LENGTH_BYTES] = {0};
    int rc = receive_all(c, h, sizeof h, deadline_ns, err);
    size_t left = (size_t)h[0] << 24 | (size_t)h[1] << 16 | (size_t)h[2] << 8 | h[3];
    if (rc == 0 && left > EBB_CHANNEL_MAX_FRAME_BYTES)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "the answer announces %zu bytes", left);
    while (rc == 0 && left > 0) {
        size_t n = left < PIECE_BYTES ? left : PIECE_BYTES;
        ebb_buffer_reserve(out, n);
        rc = receive_all(c, out->data + out->len, n, deadline_ns, err);
        if (rc == 0) {
            out->len += n;
            out->data[out->len] = '\0';
            left -= n;
        }
    }
    return rc;
}

int ebb_blocking_channel_call(struct ebb_blocking_channel *c, const void *request, size_t len,
                              struct ebb_buffer *ret_answer, struct ebb_error *err)
{
    if (c->broken)
        return ebb_error_set(err, EBB_ERR_UNAVAILABLE, "%s: the connection was lost", c->address);
    if (len > EBB_CHANNEL_MAX_FRAME_BYTES)
        return ebb_error_set(err, EBB_ERR_INPUT, "a request of %zu bytes is over the limit", len);
    int64_t deadline_ns = deadline_of(c->timeout_s);
    const uint8_t head[LENGTH_BYTES] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16),
                                        (uint8_t)(len >> 8), (uint8_t)len};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer answer = {0};
    int rc = send_all(c, head, sizeof head, deadline_ns, err);
    if (rc == 0)
        rc = send_all(c, request, len, deadline_ns, err);
    if (rc == 0)
        rc = receive_message(c, &answer, deadline_ns, err);
    if (rc < 0) {
        c->broken = true;
        return ebb_error_wrap(err, rc, "%s", c->address);
    }
    ebb_buffer_append(ret_answer, answer.data, answer.len);
    return 0;
}

void ebb_blocking_channel_destroy(struct ebb_blocking_channel *c)
{
    if (c == NULL)
        return;
    close(c->fd);
    free(c->address);
    free(c);
}
