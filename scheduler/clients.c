/* The command line's side: one request, one answer, in order. Answers that depend on an event wait
 * for its commit like everything else. Two kinds of request may wait: for news in the log, and for
 * the cloud's offers right after the start. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "proto/decode.h"
#include "scheduler/client_requests.h"
#include "scheduler/daemon.h"

#define MAX_WAIT_S 60.0

void ebb_client_ref(struct ebb_client_link *c)
{
    c->refs++;
}

void ebb_client_unref(struct ebb_client_link *c)
{
    if (--c->refs > 0)
        return;
    if (c->parked != NULL)
        ebb__client_request__free_unpacked(c->parked, NULL);
    free(c);
}

void ebb_client_send(struct ebb_client_link *c, const void *data, size_t len)
{
    if (c->channel != NULL)
        ebb_channel_send(c->channel, data, len);
}

bool ebb_clients_present(const struct ebb_daemon *d)
{
    return d->clients != NULL;
}

static void close_link(struct ebb_client_link *c)
{
    if (c->channel == NULL)
        return;
    ebb_channel_destroy(c->channel);
    c->channel = NULL;
    c->daemon->busy_ns = ebb_now_ns(NULL);
    struct ebb_client_link **at = &c->daemon->clients;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    ebb_client_unref(c);
}

void ebb_client_fail(struct ebb_daemon *d, struct ebb_client_link *c, const struct ebb_error *err)
{
    Ebb__ClientAnswer a = EBB__CLIENT_ANSWER__INIT;
    a.code = err->code != 0 ? err->code : EBB_ERR_INTERNAL;
    a.text = (char *)(uintptr_t)err->text;
    ebb_turn_answer(d, c, &a);
}

static double wait_of(const Ebb__ClientRequest *q)
{
    if (q->kind_case == EBB__CLIENT_REQUEST__KIND_EVENTS)
        return q->events->wait_s;
    return q->kind_case == EBB__CLIENT_REQUEST__KIND_PLAN ? 20 : 0;
}

static void park(struct ebb_client_link *c, Ebb__ClientRequest *q)
{
    double wait_s = wait_of(q);
    c->parked = q;
    c->parked_until_ns =
        ebb_now_ns(NULL) + (int64_t)((wait_s < MAX_WAIT_S ? wait_s : MAX_WAIT_S) * 1e9);
}

/* Tries what waits once more; `last`: its time is over. */
static void resume(struct ebb_client_link *c, bool last)
{
    if (c->parked == NULL)
        return;
    if (ebb_request_handle(c->daemon, c, c->parked, last) == EBB_REQUEST_WAIT)
        return;
    ebb__client_request__free_unpacked(c->parked, NULL);
    c->parked = NULL;
}

static void on_message(void *ctx, struct ebb_channel *channel, const uint8_t *data, size_t len)
{
    struct ebb_client_link *c = ctx;
    (void)channel;
    Ebb__ClientRequest *q =
        c->parked != NULL ? NULL : ebb_message_decode(&ebb__client_request__descriptor, data, len);
    if (q == NULL) { /* not our language, or a second request before the first answer */
        close_link(c);
        return;
    }
    bool may_wait = wait_of(q) > 0;
    if (ebb_request_handle(c->daemon, c, q, !may_wait) == EBB_REQUEST_WAIT)
        park(c, q);
    else
        ebb__client_request__free_unpacked(q, NULL);
}

static void on_close(void *ctx, struct ebb_channel *channel, const struct ebb_error *err)
{
    (void)channel;
    (void)err;
    close_link(ctx);
}

static void on_accept(void *ctx, struct ebb_channel *channel)
{
    static const struct ebb_channel_handlers handlers = {.on_message = on_message,
                                                         .on_close = on_close};
    struct ebb_daemon *d = ctx;
    struct ebb_client_link *c = ebb_alloc(sizeof *c);
    c->daemon = d;
    c->channel = channel;
    c->refs = 1;
    c->next = d->clients;
    d->clients = c;
    ebb_channel_set_handlers(channel, &handlers, c);
}

/* Holds its own reference: resuming may close links. */
static void resume_all(struct ebb_daemon *d, int64_t now_ns)
{
    struct ebb_client_link *c = d->clients;
    while (c != NULL) {
        struct ebb_client_link *next = c->next;
        resume(c, now_ns >= c->parked_until_ns);
        c = next;
    }
}

void ebb_clients_tick(struct ebb_daemon *d, int64_t now_ns)
{
    resume_all(d, now_ns);
}

void ebb_clients_after_commit(struct ebb_daemon *d)
{
    resume_all(d, ebb_now_ns(NULL));
}

int ebb_clients_listen(struct ebb_daemon *d, struct ebb_error *err)
{
    EBB_AUTO_FREE char *address = ebb_sprintf("unix:%s/scheduler.sock", d->state_dir);
    return ebb_listener_new(d->loop, address, NULL, on_accept, d, &d->client_listener, err);
}

void ebb_clients_clean_up(struct ebb_daemon *d)
{
    ebb_listener_destroy(d->client_listener);
    while (d->clients != NULL)
        close_link(d->clients);
}
