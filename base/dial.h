/* Making a connection without blocking: name look-up, each address in turn, HTTP CONNECT. */
#ifndef EBB_BASE_DIAL_H
#define EBB_BASE_DIAL_H

#include "base/error.h"
#include "base/loop.h"

struct ebb_dial;

/* Calls done once, from the loop: with a connected non-blocking descriptor, which is the callee's
 * from then on, or with -1 and an error. `proxy` as in ebb_channel_connect. */
int ebb_dial_new(struct ebb_loop *l, const char *address, const char *proxy,
                 void (*done)(void *ctx, int fd, const struct ebb_error *err), void *ctx,
                 struct ebb_dial **ret, struct ebb_error *err);
/* Allowed in done; before it, gives the attempt up. */
void ebb_dial_destroy(struct ebb_dial *d);

#endif
