/* The event loop of a program (libevent). One thread runs it; only ebb_loop_post may be called
 * from others. */
#ifndef EBB_BASE_LOOP_H
#define EBB_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct event_base;
struct ebb_loop;
struct ebb_timer;
struct ebb_watch;

struct ebb_loop *ebb_loop_new(void); /* also ignores SIGPIPE */
/* Timers, watches and channels are destroyed before their loop. What is still posted is dropped. */
void ebb_loop_destroy(struct ebb_loop *l);
int ebb_loop_run(struct ebb_loop *l, struct ebb_error *err); /* until ebb_loop_stop */
void ebb_loop_stop(struct ebb_loop *l);
/* For libraries on top of libevent (evhttp, bufferevent). */
struct event_base *ebb_loop_event_base(struct ebb_loop *l);

/* A timer that can be set again from its own callback. Created unset; destroy unsets it. */
struct ebb_timer *ebb_timer_new(struct ebb_loop *l, void (*fn)(void *ctx), void *ctx);
void ebb_timer_set(struct ebb_timer *t, int64_t delay_ns); /* from now; <= 0: next iteration */
void ebb_timer_unset(struct ebb_timer *t);
void ebb_timer_destroy(struct ebb_timer *t);

/* Readiness of a descriptor (persistent). */
struct ebb_watch *ebb_watch_new(struct ebb_loop *l, int fd, bool readable, bool writable,
                                void (*fn)(void *ctx, int fd, bool readable, bool writable),
                                void *ctx);
/* A signal, e.g. SIGTERM or SIGCHLD. One loop of a program may watch signals. */
struct ebb_watch *ebb_watch_signal(struct ebb_loop *l, int signo, void (*fn)(void *ctx), void *ctx);
void ebb_watch_destroy(struct ebb_watch *w);

/* Run fn(ctx) on the loop's thread soon. Any thread. FIFO. */
void ebb_loop_post(struct ebb_loop *l, void (*fn)(void *ctx), void *ctx);
/* The same; drop(ctx) is called instead when the loop is destroyed first. */
void ebb_loop_post_owned(struct ebb_loop *l, void (*fn)(void *ctx), void (*drop)(void *ctx),
                         void *ctx);
/* Runs what has been posted so far, without waiting: after ebb_loop_run has returned and the
 * workers are destroyed, to let finished work hand back what it owns. */
void ebb_loop_run_posted(struct ebb_loop *l);

#endif
