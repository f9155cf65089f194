/* Framed messages over a stream: 4 bytes big-endian length, then that many bytes (a protobuf
 * message). Over a Unix socket (client <-> scheduler) or TLS (agent <-> scheduler).
 *
 *   +----------------+--------------------------+----------------+----
 *   | length (u32 BE)| payload, <= 64 MiB       | length         | ...
 *   +----------------+--------------------------+----------------+----
 *
 * A longer frame closes the channel with an error. Everything runs on the loop's thread. */
#ifndef EBB_BASE_CHANNEL_H
#define EBB_BASE_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/loop.h"

#define EBB_CHANNEL_MAX_FRAME_BYTES (64u << 20)

struct ssl_ctx_st;
struct ssl_st;
struct ebb_channel;
struct ebb_listener;

struct ebb_channel_handlers {
    void (*on_open)(void *ctx, struct ebb_channel *c); /* connected, TLS done; may be NULL */
    void (*on_message)(void *ctx, struct ebb_channel *c, const uint8_t *data, size_t len);
    /* Called once, not after ebb_channel_destroy. err->code is 0 for an orderly end. The channel
     * must be destroyed by its owner (here or later). */
    void (*on_close)(void *ctx, struct ebb_channel *c, const struct ebb_error *err);
};

/* Listens; accept is called with a new channel, whose handlers the callee sets. `tls` may be NULL.
 * host:port for TCP (port 0: any; ebb_listener_port tells), "unix:/path" for a Unix socket (mode
 * 0600, an old socket file that nobody listens on is replaced). */
int ebb_listener_new(struct ebb_loop *l, const char *address, struct ssl_ctx_st *tls,
                     void (*accept)(void *ctx, struct ebb_channel *c), void *ctx,
                     struct ebb_listener **ret, struct ebb_error *err);
int ebb_listener_port(const struct ebb_listener *s);
void ebb_listener_destroy(struct ebb_listener *s);

/* Connects without blocking; on_open or on_close follows. With `tls`, `server_name` must match the
 * certificate. `proxy` may be NULL or "http://host:port" (HTTP CONNECT). */
int ebb_channel_connect(struct ebb_loop *l, const char *address, struct ssl_ctx_st *tls,
                        const char *server_name, const char *proxy,
                        const struct ebb_channel_handlers *handlers, void *ctx,
                        struct ebb_channel **ret, struct ebb_error *err);
void ebb_channel_set_handlers(struct ebb_channel *c, const struct ebb_channel_handlers *handlers,
                              void *ctx);
void ebb_channel_send(struct ebb_channel *c, const void *data, size_t len); /* copies, queues */
size_t ebb_channel_backlog_bytes(const struct ebb_channel *c); /* queued, not yet written */
struct ssl_st *ebb_channel_ssl(struct ebb_channel *c);         /* NULL without TLS */
/* Takes no longer frames than this from now on (at most, and at first,
 * EBB_CHANNEL_MAX_FRAME_BYTES): for peers that have yet to show who they are. */
void ebb_channel_limit(struct ebb_channel *c, size_t max_frame_bytes);
/* Close when everything queued has been written. */
void ebb_channel_finish(struct ebb_channel *c);
void ebb_channel_destroy(struct ebb_channel *c);

/* A blocking client over a Unix socket or TCP without TLS, for the command line: one request, one
 * answer at a time. */
struct ebb_blocking_channel;
int ebb_blocking_channel_connect(const char *address, double timeout_s,
                                 struct ebb_blocking_channel **ret, struct ebb_error *err);
int ebb_blocking_channel_call(struct ebb_blocking_channel *c, const void *request, size_t len,
                              struct ebb_buffer *ret_answer, struct ebb_error *err);
void ebb_blocking_channel_destroy(struct ebb_blocking_channel *c);

#endif
