/* The notice poll. Each call blocks for at most 2 s, so a worker makes it; the next begins 1.5 s
 * after the last has ended. A service that does not answer (no cloud) is asked less often. */
#include "agent/notice.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#define POLL_NS        (1500 * EBB_NS_PER_MS)
#define POLL_ABSENT_NS (10 * EBB_NS_PER_S)
#define ABSENT_AFTER   20 /* failures in a row */

struct ebb_notice_watch {
    struct ebb_workers *workers;
    struct ebb_notice_handlers handlers;
    struct ebb_timer *timer;
    struct ebb_metadata *metadata;
    bool identity_known;
    unsigned failures;
    struct ebb_notice last;
    /* the poll under way */
    int identity_code, notice_code;
    struct ebb_identity identity;
    struct ebb_notice notice;
    struct ebb_error err;
};

static void poll_service(void *ctx)
{
    struct ebb_notice_watch *w = ctx;
    w->identity_code = w->notice_code = EBB_ERR_UNAVAILABLE;
    if (w->metadata == NULL && ebb_metadata_open(&w->metadata, &w->err) < 0)
        return;
    if (!w->identity_known)
        w->identity_code = ebb_metadata_identity(w->metadata, &w->identity, &w->err);
    w->notice_code = ebb_metadata_notice(w->metadata, &w->notice, &w->err);
}

static bool differs(const struct ebb_notice *a, const struct ebb_notice *b)
{
    return a->revocation != b->revocation || a->rebalance != b->rebalance ||
           a->deadline_wall_ns != b->deadline_wall_ns;
}

static void on_polled(void *ctx)
{
    struct ebb_notice_watch *w = ctx;
    w->failures = w->notice_code < 0 ? w->failures + 1 : 0;
    if (w->failures == ABSENT_AFTER)
        ebb_log_warn("the metadata service does not answer: %s", w->err.text);
    ebb_timer_set(w->timer, w->failures >= ABSENT_AFTER ? POLL_ABSENT_NS : POLL_NS);
    if (!w->identity_known && w->identity_code == 0) {
        w->identity_known = true;
        w->handlers.identity(w->handlers.ctx, &w->identity);
    }
    if (w->notice_code == 0 && differs(&w->notice, &w->last)) {
        w->last = w->notice;
        w->handlers.notice(w->handlers.ctx, &w->notice);
    }
}

static void on_timer(void *ctx)
{
    struct ebb_notice_watch *w = ctx;
    ebb_workers_submit(w->workers, poll_service, on_polled, w);
}

struct ebb_notice_watch *ebb_notice_watch_new(struct ebb_loop *loop, struct ebb_workers *workers,
                                              const struct ebb_notice_handlers *handlers)
{
    struct ebb_notice_watch *w = ebb_alloc(sizeof *w);
    w->workers = workers;
    w->handlers = *handlers;
    w->timer = ebb_timer_new(loop, on_timer, w);
    ebb_timer_set(w->timer, 0);
    return w;
}

void ebb_notice_watch_destroy(struct ebb_notice_watch *w)
{
    if (w == NULL)
        return;
    ebb_timer_destroy(w->timer);
    ebb_metadata_destroy(w->metadata);
    free(w);
}
