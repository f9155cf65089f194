/* Watching for the revocation notice: the metadata service is asked every 1.5 s by a worker. */
#ifndef EBB_AGENT_NOTICE_H
#define EBB_AGENT_NOTICE_H

#include "base/loop.h"
#include "base/workers.h"
#include "cloud/metadata.h"

struct ebb_notice_watch;

struct ebb_notice_handlers {
    void *ctx;
    /* Once, when the service first answers. Also tells what happened before it did. */
    void (*identity)(void *ctx, const struct ebb_identity *identity);
    /* When what is announced changes. */
    void (*notice)(void *ctx, const struct ebb_notice *notice);
};

struct ebb_notice_watch *ebb_notice_watch_new(struct ebb_loop *loop, struct ebb_workers *workers,
                                              const struct ebb_notice_handlers *handlers);
/* After the workers have stopped, or when no poll is under way. */
void ebb_notice_watch_destroy(struct ebb_notice_watch *w);

#endif
