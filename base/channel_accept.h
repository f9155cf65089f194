/* Between the listener and the channel: a channel on a socket that was accepted. */
#ifndef EBB_BASE_CHANNEL_ACCEPT_H
#define EBB_BASE_CHANNEL_ACCEPT_H

#include "base/channel.h"

/* Takes fd (non-blocking). `accept_fn` sets the new channel's handlers, or destroys it. */
void ebb_channel_accept(struct ebb_loop *l, int fd, struct ssl_ctx_st *tls,
                        void (*accept_fn)(void *ctx, struct ebb_channel *c), void *ctx);

#endif
