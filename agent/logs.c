/* Log segments. One put at a time per job keeps their order; a failed one is sent again under the
 * same key with what it held, so a reader never sees bytes twice. */
#include "agent/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#define KEEP_OF_BACKLOG_BYTES (1u << 20)
#define RETRY_NS              (2 * EBB_NS_PER_S)

struct ebb_log_stream {
    struct ebb_workers *workers;
    struct ebb_object_store *store;
    char *prefix;
    char *path;
    uint64_t sent;
    unsigned sequence;
    int64_t waiting_since_ns; /* 0: nothing waits */
    int64_t retry_at_ns;
    bool busy;
    bool finishing;
    int64_t deadline_ns;
    void (*done)(void *ctx);
    void *done_ctx;
    /* the segment under way, the worker's while busy */
    struct ebb_buffer segment;
    uint64_t segment_end;
    int code;
};

struct ebb_log_stream *ebb_log_stream_new(struct ebb_workers *workers,
                                          struct ebb_object_store *store, const char *prefix,
                                          const char *path)
{
    struct ebb_log_stream *s = ebb_alloc(sizeof *s);
    s->workers = workers;
    s->store = store;
    s->prefix = ebb_strdup(prefix);
    s->path = ebb_strdup(path);
    return s;
}

void ebb_log_stream_destroy(struct ebb_log_stream *s)
{
    if (s == NULL)
        return;
    ebb_buffer_clean_up(&s->segment);
    free(s->prefix);
    free(s->path);
    free(s);
}

bool ebb_log_stream_is_idle(const struct ebb_log_stream *s)
{
    return !s->busy;
}

struct ebb_log_cut ebb_log_next(uint64_t sent, uint64_t size, int64_t waiting_since_ns,
                                int64_t now_ns, bool finishing)
{
    struct ebb_log_cut cut = {.skip_to = sent};
    if (size <= sent)
        return cut;
    uint64_t waiting = size - sent;
    cut.due = finishing || waiting >= EBB_LOG_SEGMENT_BYTES ||
              now_ns - waiting_since_ns >= EBB_LOG_INTERVAL_NS;
    if (waiting > EBB_LOG_BACKLOG_BYTES)
        cut.skip_to = size - KEEP_OF_BACKLOG_BYTES;
    return cut;
}

uint64_t ebb_log_segment_len(const char *text, uint64_t len, bool last)
{
    if (last)
        return len;
    for (uint64_t n = len; n > 0; n--)
        if (text[n - 1] == '\n')
            return n;
    return len;
}

/* Fills the segment from the file; segment_end says where the next one begins. */
static bool read_segment(struct ebb_log_stream *s, uint64_t from, uint64_t size)
{
    ebb_buffer_reset(&s->segment);
    if (from > s->sent)
        ebb_buffer_printf(&s->segment, "ebb: %llu bytes of output left out\n",
                          (unsigned long long)(from - s->sent));
    size_t head = s->segment.len;
    size_t want =
        size - from < EBB_LOG_SEGMENT_BYTES ? (size_t)(size - from) : EBB_LOG_SEGMENT_BYTES;
    int fd = open(s->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ebb_buffer_reserve(&s->segment, want);
    ssize_t n;
    do
        n = pread(fd, s->segment.data + head, want, (off_t)from);
    while (n < 0 && errno == EINTR);
    close(fd);
    if (n <= 0)
        return false;
    bool last = from + (uint64_t)n >= size;
    uint64_t len = ebb_log_segment_len((char *)s->segment.data + head, (uint64_t)n, last);
    s->segment.len = head + (size_t)len;
    s->segment_end = from + len;
    return true;
}

static void work(void *ctx)
{
    struct ebb_log_stream *s = ctx;
    struct ebb_error err = {0};
    EBB_AUTO_FREE char *key = ebb_sprintf("%s/%08u", s->prefix, s->sequence);
    s->code = ebb_object_put(s->store, key, s->segment.data, s->segment.len, EBB_PUT_ALWAYS, NULL,
                             NULL, &err);
    if (s->code < 0)
        ebb_log_warn("log segment %s: %s", key, err.text);
}

static void send_or_end(struct ebb_log_stream *s, int64_t now_ns);

static void on_sent(void *ctx)
{
    struct ebb_log_stream *s = ctx;
    int64_t now_ns = ebb_now_ns(NULL);
    s->busy = false;
    if (s->code == 0) {
        s->sent = s->segment_end;
        s->sequence++;
        s->waiting_since_ns = 0;
        ebb_buffer_clean_up(&s->segment);
    } else {
        s->retry_at_ns = now_ns + RETRY_NS;
    }
    send_or_end(s, now_ns);
}

static void end(struct ebb_log_stream *s)
{
    void (*done)(void *ctx) = s->done;
    s->done = NULL;
    if (done != NULL)
        done(s->done_ctx);
}

static void send_or_end(struct ebb_log_stream *s, int64_t now_ns)
{
    struct stat st;
    if (s->busy)
        return;
    bool refused = s->code < 0 && !ebb_code_is_transient(s->code) && s->code != EBB_ERR_TIMEOUT;
    bool give_up = s->finishing && (now_ns >= s->deadline_ns || refused);
    if (s->segment.len > 0 && !give_up) { /* the one that failed */
        if (now_ns < s->retry_at_ns && !s->finishing)
            return;
    } else {
        uint64_t size = stat(s->path, &st) == 0 ? (uint64_t)st.st_size : 0;
        if (size > s->sent && s->waiting_since_ns == 0)
            s->waiting_since_ns = now_ns;
        struct ebb_log_cut cut =
            ebb_log_next(s->sent, size, s->waiting_since_ns, now_ns, s->finishing);
        if (give_up || !cut.due || !read_segment(s, cut.skip_to, size)) {
            if (s->finishing)
                end(s);
            return;
        }
    }
    s->busy = true;
    ebb_workers_submit(s->workers, work, on_sent, s);
}

void ebb_log_stream_poll(struct ebb_log_stream *s, int64_t now_ns)
{
    if (!s->finishing)
        send_or_end(s, now_ns);
}

void ebb_log_stream_finish(struct ebb_log_stream *s, int64_t deadline_ns, void (*done)(void *ctx),
                           void *ctx)
{
    s->finishing = true;
    s->deadline_ns = deadline_ns;
    s->done = done;
    s->done_ctx = ctx;
    send_or_end(s, ebb_now_ns(NULL));
}
