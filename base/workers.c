/* Worker threads over one queue.
 *
 * An item is owned by the queue, then by the thread that runs it, then by the loop, which calls
 * done and frees it. Items that come back after ebb_workers_destroy still need the counter, so the
 * shared state is reference-counted: one for the owner, one for each item. Threads block all
 * signals: those belong to the loop's thread. */
#include "base/workers.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/memory.h"

struct item {
    struct item *next;
    struct ebb_workers *owner;
    void (*work)(void *ctx);
    void (*done)(void *ctx);
    void *ctx;
};

struct ebb_workers {
    struct ebb_loop *loop;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct item *first;
    struct item **last;
    bool stop;
    size_t pending; /* loop's thread only */
    size_t refs;    /* loop's thread only */
    unsigned thread_count;
    pthread_t threads[];
};

static void unref(struct ebb_workers *w)
{
    if (--w->refs > 0)
        return;
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->more);
    free(w);
}

static void on_done(void *ctx)
{
    struct item *item = ctx;
    struct ebb_workers *w = item->owner;
    w->pending--;
    if (item->done != NULL)
        item->done(item->ctx);
    free(item);
    unref(w);
}

/* The loop is destroyed before it could hand the item back. */
static void on_dropped(void *ctx)
{
    struct item *item = ctx;
    struct ebb_workers *w = item->owner;
    if (item->done == free)
        free(item->ctx);
    free(item);
    unref(w);
}

static struct item *next_item(struct ebb_workers *w)
{
    pthread_mutex_lock(&w->lock);
    while (w->first == NULL && !w->stop)
        pthread_cond_wait(&w->more, &w->lock);
    struct item *item = w->stop ? NULL : w->first;
    if (item != NULL) {
        w->first = item->next;
        if (w->first == NULL)
            w->last = &w->first;
    }
    pthread_mutex_unlock(&w->lock);
    return item;
}

static void *run_thread(void *ctx)
{
    struct ebb_workers *w = ctx;
    struct item *item;
    while ((item = next_item(w)) != NULL) {
        struct ebb_loop *loop = w->loop;
        item->work(item->ctx);
        ebb_loop_post_owned(loop, on_done, on_dropped, item);
    }
    return NULL;
}

/* Starts a thread that receives no signals. */
static int start_thread(pthread_t *ret, void *(*fn)(void *), void *ctx)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(ret, NULL, fn, ctx);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

struct ebb_workers *ebb_workers_new(struct ebb_loop *loop, unsigned threads)
{
    if (threads == 0)
        threads = 1;
    struct ebb_workers *w = ebb_alloc(sizeof *w + threads * sizeof w->threads[0]);
    w->loop = loop;
    w->last = &w->first;
    w->refs = 1;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->more, NULL);
    while (w->thread_count < threads &&
           start_thread(&w->threads[w->thread_count], run_thread, w) == 0)
        w->thread_count++;
    if (w->thread_count == 0)
        abort(); /* no thread at all: nothing could ever be done */
    return w;
}

void ebb_workers_destroy(struct ebb_workers *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->thread_count; i++)
        pthread_join(w->threads[i], NULL);
    struct item *item = w->first;
    while (item != NULL) {
        struct item *next = item->next;
        ebb_loop_post_owned(w->loop, on_done, on_dropped, item);
        item = next;
    }
    unref(w);
}

void ebb_workers_submit(struct ebb_workers *w, void (*work)(void *ctx), void (*done)(void *ctx),
                        void *ctx)
{
    struct item *item = ebb_alloc(sizeof *item);
    item->owner = w;
    item->work = work;
    item->done = done;
    item->ctx = ctx;
    w->pending++;
    w->refs++;
    if (w->stop) { /* submitted by a done that runs after the destroyer */
        ebb_loop_post_owned(w->loop, on_done, on_dropped, item);
        return;
    }
    pthread_mutex_lock(&w->lock);
    *w->last = item;
    w->last = &item->next;
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
}

size_t ebb_workers_pending(const struct ebb_workers *w)
{
    return w->pending;
}

/* ---- without a loop ---- */

struct parallel {
    atomic_size_t next;
    size_t count;
    void (*fn)(void *ctx, size_t i);
    void *ctx;
};

static void *run_parallel(void *ctx)
{
    struct parallel *p = ctx;
    size_t i;
    while ((i = atomic_fetch_add(&p->next, 1)) < p->count)
        p->fn(p->ctx, i);
    return NULL;
}

void ebb_parallel_for(unsigned threads, size_t count, void (*fn)(void *ctx, size_t i), void *ctx)
{
    struct parallel p = {.count = count, .fn = fn, .ctx = ctx};
    size_t helpers = threads > 1 ? threads - 1 : 0;
    if (helpers + 1 > count)
        helpers = count > 0 ? count - 1 : 0;
    pthread_t *ids = helpers > 0 ? ebb_alloc_array(helpers, sizeof *ids) : NULL;
    size_t started = 0;
    while (started < helpers && start_thread(&ids[started], run_parallel, &p) == 0)
        started++;
    run_parallel(&p); /* the caller works too, and alone when no thread could be had */
    for (size_t i = 0; i < started; i++)
        pthread_join(ids[i], NULL);
    free(ids);
}
