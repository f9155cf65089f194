/* Where a stream socket is: "unix:/path", "host:port" or "[::1]:port". */
#ifndef EBB_BASE_ADDRESS_H
#define EBB_BASE_ADDRESS_H

#include <netdb.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/error.h"

struct ebb_address {
    bool is_unix;
    struct sockaddr_un unix_address; /* when is_unix */
    char host[256];                  /* else; "" is any address */
    char port[8];
};

/* Takes the text apart; EBB_ERR_INPUT says what is wrong. Does not look names up. */
int ebb_address_parse(const char *text, struct ebb_address *ret, struct ebb_error *err);
/* Looks the host up; blocks unless `numeric_only`, with which a name gives EBB_ERR_NOT_FOUND.
 * freeaddrinfo releases *ret. */
int ebb_address_look_up(const struct ebb_address *a, bool passive, bool numeric_only,
                        struct addrinfo **ret, struct ebb_error *err);
/* Non-blocking, close-on-exec; for TCP without Nagle's delay and with dead-peer detection. */
int ebb_address_socket(int family, struct ebb_error *err);
void ebb_address_tune(int fd, int family);

#endif
