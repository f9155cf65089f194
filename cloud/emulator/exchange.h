/* One HTTP request and its answer, on top of evhttp. An exchange owns its request until it is
 * sent or dropped; the answer may wait (a slow store) or never come (a partition). */
#ifndef EBB_CLOUD_EMULATOR_EXCHANGE_H
#define EBB_CLOUD_EMULATOR_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/loop.h"
#include "cloud/emulator/params.h"

struct evhttp;
struct evhttp_request;
struct evbuffer;
struct ebb_emulator;
struct ebb_guest;

struct ebb_exchange {
    struct ebb_emulator *emulator;
    struct ebb_guest
        *vm; /* whose metadata service was asked, or whose credentials signed; or NULL */
    struct evhttp_request *request;
    const char *method;
    char *target;             /* "/path?query" as on the request line */
    char *path;               /* encoded, without the query */
    struct ebb_params params; /* of the query; EC2 adds those of the form */
    bool query_malformed;
    const uint8_t *body; /* never NULL */
    size_t body_len;
    char id[37];
    struct evbuffer *out; /* the answer's body */
    int64_t delay_ns;     /* before the answer */
    bool lose;            /* break the connection in place of the answer */
    int status;
    struct ebb_timer *timer;
    struct ebb_exchange *next; /* of those that wait */
};

/* A server on `address` (port 0: any); handle(ctx, x) must lead to ebb_exchange_send or _drop. */
int ebb_exchange_listen(struct ebb_emulator *e, const char *address, int port,
                        size_t max_body_bytes, void (*handle)(void *ctx, struct ebb_exchange *x),
                        void *ctx, struct evhttp **ret, int *ret_port, struct ebb_error *err);

const char *ebb_exchange_header(const struct ebb_exchange *x, const char *name); /* or NULL */
void ebb_exchange_set_header(struct ebb_exchange *x, const char *name, const char *value);
void ebb_exchange_write(struct ebb_exchange *x, const struct ebb_buffer *body);
/* Sends after delay_ns (or breaks the connection when `lose` is set) and frees x. */
void ebb_exchange_send(struct ebb_exchange *x, int status);
/* Answers nothing while x->vm is cut off, then breaks the connection: what its client sees. */
void ebb_exchange_blackhole(struct ebb_exchange *x);
/* Forgets all that wait, before their servers go. */
void ebb_exchange_forget_all(struct ebb_emulator *e);

#endif
