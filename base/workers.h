/* Worker threads: hash, compress, move bytes, wait for the network. Ownership of `ctx` goes with
 * the work and comes back with `done`, which runs on the loop's thread. */
#ifndef EBB_BASE_WORKERS_H
#define EBB_BASE_WORKERS_H

#include <stddef.h>

#include "base/loop.h"

struct ebb_workers;

struct ebb_workers *ebb_workers_new(struct ebb_loop *loop, unsigned threads);
/* Waits for work under way; work still queued is not run, its done is called all the same only if
 * the loop runs again (or by ebb_loop_run_posted); otherwise nothing but a done that is free() is
 * called, by ebb_loop_destroy. Call after the loop has stopped. */
void ebb_workers_destroy(struct ebb_workers *w);
void ebb_workers_submit(struct ebb_workers *w, void (*work)(void *ctx), void (*done)(void *ctx),
                        void *ctx);
/* Submitted, done not yet called. Loop's thread, as submit. */
size_t ebb_workers_pending(const struct ebb_workers *w);

/* Without a loop: runs fn(ctx, i) for i in [0, count) on at most `threads` threads and waits. */
void ebb_parallel_for(unsigned threads, size_t count, void (*fn)(void *ctx, size_t i), void *ctx);

#endif
