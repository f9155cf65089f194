/* Socket addresses as text, and the options every stream socket gets. A peer that has vanished
 * (its VM is gone, nobody says goodbye) must be noticed by the kernel within half a minute even
 * when nothing is being sent. */
#include "base/address.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

#define KEEPALIVE_IDLE_S     10
#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_PROBES     4
#define UNANSWERED_LIMIT_MS  30000U

static int parse_unix(const char *path, struct ebb_address *ret, struct ebb_error *err)
{
    size_t room = sizeof ret->unix_address.sun_path;
    if (path[0] == '\0' || strlen(path) >= room)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "unix:%s: a socket's path has 1 to %zu bytes; choose a shorter folder",
                             path, room - 1);
    ret->is_unix = true;
    ret->unix_address.sun_family = AF_UNIX;
    strcpy(ret->unix_address.sun_path, path);
    return 0;
}

int ebb_address_parse(const char *text, struct ebb_address *ret, struct ebb_error *err)
{
    struct ebb_address a = {0};
    int rc = 0;
    if (ebb_starts_with(text, "unix:")) {
        rc = parse_unix(text + 5, &a, err);
        if (rc == 0)
            *ret = a;
        return rc;
    }
    const char *colon = strrchr(text, ':');
    const char *host = text, *host_end = colon;
    if (colon != NULL && text[0] == '[' && colon > text + 1 && colon[-1] == ']') {
        host = text + 1;
        host_end = colon - 1;
    } else if (colon != NULL && memchr(text, ':', (size_t)(colon - text)) != NULL) {
        colon = NULL; /* a bare IPv6 address: no telling where the port begins */
    }
    int64_t port;
    if (colon == NULL || (size_t)(host_end - host) >= sizeof a.host ||
        ebb_parse_int(colon + 1, 0, 65535, &port, NULL) < 0)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "%s: an address is HOST:PORT, [IPV6]:PORT or unix:/PATH", text);
    memcpy(a.host, host, (size_t)(host_end - host));
    if (strcmp(a.host, "*") == 0)
        a.host[0] = '\0';
    snprintf(a.port, sizeof a.port, "%d", (int)port);
    *ret = a;
    return 0;
}

int ebb_address_look_up(const struct ebb_address *a, bool passive, bool numeric_only,
                        struct addrinfo **ret, struct ebb_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    if (passive)
        hints.ai_flags |= AI_PASSIVE;
    if (numeric_only)
        hints.ai_flags |= AI_NUMERICHOST;
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(a->host[0] != '\0' ? a->host : NULL, a->port, &hints, &list);
    if (rc == 0) {
        *ret = list;
        return 0;
    }
    int code = rc == EAI_NONAME ? EBB_ERR_NOT_FOUND : EBB_ERR_UNAVAILABLE;
    return ebb_error_set(err, code, "cannot look up %s: %s", a->host, gai_strerror(rc));
}

void ebb_address_tune(int fd, int family)
{
    if (family == AF_UNIX)
        return;
    const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, (int)UNANSWERED_LIMIT_MS},
    };
    /* Each is an improvement only; a kernel that refuses one still carries the bytes. */
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

int ebb_address_socket(int family, struct ebb_error *err)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot make a socket");
    ebb_address_tune(fd, family);
    return fd;
}
