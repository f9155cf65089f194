/* The agent's line to its scheduler: joins once with the token, then speaks over mutual TLS, and
 * connects again, with jittered back-off, for as long as it takes.
 *
 *   token --Join--> Joined(certificate)   kept in the VM's directory, key never leaves it
 *   Hello(what runs) --> Welcome          after every connect
 *   Heartbeat <-> HeartbeatAck            heard_ns: when the last acknowledged one was sent
 *   AttemptEnded ... AttemptAck           repeated after each reconnect until acknowledged
 *   other reports                         repeated after each reconnect until a heartbeat that
 *                                         followed them is acknowledged: then they are in the log
 *
 * Runs on the loop's thread. */
#ifndef EBB_AGENT_CONNECTION_H
#define EBB_AGENT_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/config.h"
#include "agent/fence.h"
#include "base/error.h"
#include "base/loop.h"
#include "proto/wire.pb-c.h"

struct ebb_connection;

struct ebb_connection_handlers {
    void *ctx;
    /* Fill in what the connection does not know: machine, instance, what runs. Pointers stay valid
     * until the call after. */
    void (*fill_hello)(void *ctx, Ebb__Hello *m);
    void (*fill_heartbeat)(void *ctx, Ebb__Heartbeat *m);
    void (*heartbeat_acked)(void *ctx, uint64_t count);
    void (*end_acked)(void *ctx); /* an attempt's end is in the scheduler's log */
    void (*message)(void *ctx, const Ebb__SchedulerMessage *m); /* leases, cancels, drain */
    void (*refused)(void *ctx, const char *reason);             /* for good */
};

int ebb_connection_new(struct ebb_loop *loop, const struct ebb_agent_config *config,
                       const struct ebb_connection_handlers *handlers, struct ebb_connection **ret,
                       struct ebb_error *err);
void ebb_connection_destroy(struct ebb_connection *c);
bool ebb_connection_is_up(const struct ebb_connection *c); /* welcomed */
/* When the scheduler last heard us for sure (monotonic); at first, when the connection was made. */
int64_t ebb_connection_heard_ns(const struct ebb_connection *c);
const struct ebb_lease_terms *ebb_connection_terms(const struct ebb_connection *c);
/* Sends now, and to the next connection again what this one may have lost; of more than 4,096
 * messages the last are not kept. */
void ebb_connection_report(struct ebb_connection *c, const Ebb__AgentMessage *m);
/* Sends once, and only when there is a connection. */
void ebb_connection_tell(struct ebb_connection *c, const Ebb__AgentMessage *m);
/* Sends until acknowledged. */
void ebb_connection_report_end(struct ebb_connection *c, const Ebb__AttemptEnded *m);
size_t ebb_connection_unacked(const struct ebb_connection *c);
bool ebb_connection_has_reported(const struct ebb_connection *c, const char *bag, uint64_t job,
                                 uint32_t attempt);

#endif
