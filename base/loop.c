/* The event loop over libevent.
 *
 * libevent's own locking stays off: other threads never touch the event base. ebb_loop_post puts
 * an entry on a mutex-guarded list and, when the list was empty, wakes the loop by an eventfd; the
 * loop takes the whole list at once, so that a post from a posted function runs in a later
 * iteration and I/O is never starved.
 *
 * A timer keeps its absolute deadline. libevent counts from a cached coarse clock and so may fire
 * early; the callback then sets what is left. */
#include "base/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"

struct posted {
    struct posted *next;
    void (*fn)(void *ctx);
    void (*drop)(void *ctx); /* NULL: nothing is owned */
    void *ctx;
};

struct ebb_loop {
    struct event_base *base;
    struct event *wake;
    int wake_fd;
    bool stop;
    pthread_mutex_t lock; /* guards the list */
    struct posted *first;
    struct posted **last;
};

struct ebb_timer {
    struct event *event;
    int64_t deadline_ns;
    void (*fn)(void *ctx);
    void *ctx;
};

struct ebb_watch {
    struct event *event;
    void (*on_fd)(void *ctx, int fd, bool readable, bool writable);
    void (*on_signal)(void *ctx);
    void *ctx;
};

static struct posted *take_posted(struct ebb_loop *l)
{
    pthread_mutex_lock(&l->lock);
    struct posted *list = l->first;
    l->first = NULL;
    l->last = &l->first;
    pthread_mutex_unlock(&l->lock);
    return list;
}

void ebb_loop_run_posted(struct ebb_loop *l)
{
    struct posted *p = take_posted(l);
    while (p != NULL) {
        struct posted *next = p->next;
        p->fn(p->ctx);
        free(p);
        p = next;
    }
}

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    uint64_t count;
    if (read(fd, &count, sizeof count) < 0) {
        /* Nothing to read is fine: the list below tells what there is to do. */
    }
    ebb_loop_run_posted(ctx);
}

struct ebb_loop *ebb_loop_new(void)
{
    /* A peer that goes away is an error of write(), not the end of the program. */
    signal(SIGPIPE, SIG_IGN);
    struct ebb_loop *l = ebb_alloc(sizeof *l);
    l->base = event_base_new();
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->base == NULL || l->wake_fd < 0)
        abort(); /* no descriptors or memory at start-up */
    pthread_mutex_init(&l->lock, NULL);
    l->last = &l->first;
    l->wake = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST, on_wake, l);
    if (l->wake == NULL || event_add(l->wake, NULL) < 0)
        abort();
    return l;
}

void ebb_loop_destroy(struct ebb_loop *l)
{
    if (l == NULL)
        return;
    struct posted *p = take_posted(l);
    while (p != NULL) {
        struct posted *next = p->next;
        if (p->drop != NULL)
            p->drop(p->ctx);
        free(p);
        p = next;
    }
    event_free(l->wake);
    event_base_free(l->base);
    close(l->wake_fd);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

int ebb_loop_run(struct ebb_loop *l, struct ebb_error *err)
{
    int rc = 0;
    while (!l->stop && rc == 0)
        rc = event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
    l->stop = false;
    if (rc < 0)
        return ebb_error_set_errno(err, EBB_ERR_INTERNAL, errno, "event loop");
    return 0;
}

void ebb_loop_stop(struct ebb_loop *l)
{
    l->stop = true;
    event_base_loopbreak(l->base);
}

struct event_base *ebb_loop_event_base(struct ebb_loop *l)
{
    return l->base;
}

void ebb_loop_post(struct ebb_loop *l, void (*fn)(void *ctx), void *ctx)
{
    ebb_loop_post_owned(l, fn, NULL, ctx);
}

void ebb_loop_post_owned(struct ebb_loop *l, void (*fn)(void *ctx), void (*drop)(void *ctx),
                         void *ctx)
{
    struct posted *p = ebb_alloc(sizeof *p);
    p->fn = fn;
    p->drop = drop;
    p->ctx = ctx;
    /* The wake-up is written under the lock: after unlocking, the loop may be gone already (what
     * was posted may have ended it). */
    pthread_mutex_lock(&l->lock);
    bool was_empty = l->first == NULL;
    *l->last = p;
    l->last = &p->next;
    if (was_empty) {
        uint64_t one = 1;
        ssize_t n;
        do
            n = write(l->wake_fd, &one, sizeof one);
        while (n < 0 && errno == EINTR);
    }
    pthread_mutex_unlock(&l->lock);
}

/* ---- timers ---- */

static void add_timer(struct ebb_timer *t, int64_t delay_ns)
{
    if (delay_ns < 0)
        delay_ns = 0;
    int64_t us = (delay_ns + 999) / 1000;
    struct timeval tv = {.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
    event_add(t->event, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct ebb_timer *t = ctx;
    int64_t left_ns = t->deadline_ns - ebb_now_ns(NULL);
    if (left_ns > 0)
        add_timer(t, left_ns);
    else
        t->fn(t->ctx);
}

struct ebb_timer *ebb_timer_new(struct ebb_loop *l, void (*fn)(void *ctx), void *ctx)
{
    struct ebb_timer *t = ebb_alloc(sizeof *t);
    t->fn = fn;
    t->ctx = ctx;
    t->event = event_new(l->base, -1, 0, on_timer, t);
    if (t->event == NULL)
        abort();
    return t;
}

void ebb_timer_set(struct ebb_timer *t, int64_t delay_ns)
{
    if (delay_ns < 0)
        delay_ns = 0;
    int64_t now_ns = ebb_now_ns(NULL);
    t->deadline_ns = delay_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + delay_ns;
    add_timer(t, delay_ns);
}

void ebb_timer_unset(struct ebb_timer *t)
{
    event_del(t->event);
}

void ebb_timer_destroy(struct ebb_timer *t)
{
    if (t == NULL)
        return;
    event_free(t->event);
    free(t);
}

/* ---- descriptors and signals ---- */

static void on_event(evutil_socket_t fd, short what, void *ctx)
{
    struct ebb_watch *w = ctx;
    if (w->on_signal != NULL)
        w->on_signal(w->ctx);
    else
        w->on_fd(w->ctx, fd, (what & EV_READ) != 0, (what & EV_WRITE) != 0);
}

static struct ebb_watch *new_watch(struct ebb_loop *l, int fd, short what)
{
    struct ebb_watch *w = ebb_alloc(sizeof *w);
    w->event = event_new(l->base, fd, what, on_event, w);
    if (w->event == NULL || event_add(w->event, NULL) < 0)
        abort(); /* a bad descriptor or signal number is our own bug */
    return w;
}

struct ebb_watch *ebb_watch_new(struct ebb_loop *l, int fd, bool readable, bool writable,
                                void (*fn)(void *ctx, int fd, bool readable, bool writable),
                                void *ctx)
{
    short what = EV_PERSIST;
    what |= readable ? EV_READ : 0;
    what |= writable ? EV_WRITE : 0;
    struct ebb_watch *w = new_watch(l, fd, what);
    w->on_fd = fn;
    w->ctx = ctx;
    return w;
}

struct ebb_watch *ebb_watch_signal(struct ebb_loop *l, int signo, void (*fn)(void *ctx), void *ctx)
{
    struct ebb_watch *w = new_watch(l, signo, EV_SIGNAL | EV_PERSIST);
    w->on_signal = fn;
    w->ctx = ctx;
    return w;
}

void ebb_watch_destroy(struct ebb_watch *w)
{
    if (w == NULL)
        return;
    event_free(w->event);
    free(w);
}
