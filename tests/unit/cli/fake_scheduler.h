/* A scheduler for tests: the real socket and frames, answers made by the test. It runs on a thread
 * of its own in a fresh state folder that EBB_STATE_DIR points to. */
#ifndef EBB_TESTS_UNIT_CLI_FAKE_SCHEDULER_H
#define EBB_TESTS_UNIT_CLI_FAKE_SCHEDULER_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/channel.h"
#include "base/file.h"
#include "base/loop.h"
#include "base/memory.h"
#include "proto/wire.pb-c.h"

struct fake_scheduler {
    char folder[64];
    /* Fills in `a`; what it points to must live until the next call. */
    void (*answer)(void *ctx, const Ebb__ClientRequest *q, Ebb__ClientAnswer *a);
    void *ctx;
    struct ebb_loop *loop;
    struct ebb_listener *listener;
    struct ebb_channel *channels[16]; /* that are open */
    pthread_t thread;
    int calls;
};

static void fake_on_message(void *ctx, struct ebb_channel *c, const uint8_t *data, size_t len)
{
    struct fake_scheduler *f = ctx;
    Ebb__ClientRequest *q = ebb__client_request__unpack(NULL, len, data);
    Ebb__ClientAnswer a = EBB__CLIENT_ANSWER__INIT;
    f->calls++;
    if (q == NULL) {
        a.code = EBB_ERR_CORRUPT;
        a.text = (char *)"unreadable request";
    } else {
        f->answer(f->ctx, q, &a);
    }
    size_t size = ebb__client_answer__get_packed_size(&a);
    uint8_t *bytes = malloc(size + 1);
    (void)ebb__client_answer__pack(&a, bytes);
    ebb_channel_send(c, bytes, size);
    free(bytes);
    if (q != NULL)
        ebb__client_request__free_unpacked(q, NULL);
}

static void fake_on_close(void *ctx, struct ebb_channel *c, const struct ebb_error *err)
{
    struct fake_scheduler *f = ctx;
    (void)err;
    for (size_t i = 0; i < EBB_ARRAY_LEN(f->channels); i++)
        if (f->channels[i] == c)
            f->channels[i] = NULL;
    ebb_channel_destroy(c);
}

static void fake_accept(void *ctx, struct ebb_channel *c)
{
    static const struct ebb_channel_handlers handlers = {.on_message = fake_on_message,
                                                         .on_close = fake_on_close};
    struct fake_scheduler *f = ctx;
    size_t i = 0;
    while (i < EBB_ARRAY_LEN(f->channels) && f->channels[i] != NULL)
        i++;
    if (i == EBB_ARRAY_LEN(f->channels))
        abort();
    f->channels[i] = c;
    ebb_channel_set_handlers(c, &handlers, ctx);
}

static void *fake_run(void *ctx)
{
    struct fake_scheduler *f = ctx;
    (void)ebb_loop_run(f->loop, NULL);
    return NULL;
}

static void fake_stop(void *ctx)
{
    struct fake_scheduler *f = ctx;
    ebb_listener_destroy(f->listener);
    for (size_t i = 0; i < EBB_ARRAY_LEN(f->channels); i++)
        ebb_channel_destroy(f->channels[i]);
    ebb_loop_stop(f->loop);
}

static inline void fake_scheduler_start(struct fake_scheduler *f)
{
    struct ebb_error err = {0};
    (void)snprintf(f->folder, sizeof(f->folder), "/tmp/ebb-cli-XXXXXX");
    if (mkdtemp(f->folder) == NULL || setenv("EBB_STATE_DIR", f->folder, 1) != 0)
        abort();
    char address[128];
    (void)snprintf(address, sizeof(address), "unix:%s/scheduler.sock", f->folder);
    f->loop = ebb_loop_new();
    if (ebb_listener_new(f->loop, address, NULL, fake_accept, f, &f->listener, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        abort();
    }
    if (pthread_create(&f->thread, NULL, fake_run, f) != 0)
        abort();
}

static inline void fake_scheduler_stop(struct fake_scheduler *f)
{
    ebb_loop_post(f->loop, fake_stop, f);
    (void)pthread_join(f->thread, NULL);
    ebb_loop_destroy(f->loop);
    (void)ebb_remove_tree(f->folder, NULL);
}

#endif
