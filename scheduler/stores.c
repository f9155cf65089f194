/* The object stores that bags name, kept open; this program in the default store, for VMs to fetch;
 * and how many bytes a bag stores, for its bill. Everything here that waits for a store runs in
 * worker threads. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "scheduler/daemon.h"

#define MAX_PROGRAM_BYTES ((size_t)512 << 20)
#define URL_VALID_S       (6 * 3600)
#define URL_RENEW_NS      (3600 * EBB_NS_PER_S)
#define MEASURE_NS        (60 * EBB_NS_PER_S)

static void destroy_store(void *s)
{
    ebb_object_store_destroy(s);
}

int ebb_stores_init(struct ebb_daemon *d)
{
    pthread_mutex_init(&d->stores_lock, NULL);
    d->stores = ebb_map_new(destroy_store);
    return 0;
}

void ebb_stores_clean_up(struct ebb_daemon *d)
{
    ebb_map_destroy(d->stores);
    pthread_mutex_destroy(&d->stores_lock);
    free(d->program_url);
}

int ebb_stores_get(struct ebb_daemon *d, const char *url, struct ebb_object_store **ret,
                   struct ebb_error *err)
{
    int rc = 0;
    pthread_mutex_lock(&d->stores_lock);
    struct ebb_object_store *s = ebb_map_get(d->stores, url);
    if (s == NULL) {
        rc = ebb_object_store_open(url, NULL, &s, err);
        if (rc == 0)
            ebb_map_set(d->stores, url, s);
    }
    pthread_mutex_unlock(&d->stores_lock);
    if (rc == 0)
        *ret = s;
    return rc;
}

/* ---- this program ---- */

struct upload {
    struct ebb_daemon *daemon;
    char *store_url;
    char *url;
    int rc;
    struct ebb_error err;
};

static int put_program(struct ebb_object_store *store, char **ret_key, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer program = {0};
    uint8_t hash[EBB_SHA256_SIZE];
    char hex[EBB_SHA256_HEX_SIZE];
    struct ebb_object_info info;
    int rc = ebb_file_read("/proc/self/exe", MAX_PROGRAM_BYTES, &program, err);
    if (rc < 0)
        return rc;
    ebb_sha256(program.data, program.len, hash);
    char *key = ebb_sprintf("bin/ebb-%s", ebb_hex(hash, sizeof hash, hex));
    rc = ebb_object_head(store, key, &info, err);
    if (rc == EBB_ERR_NOT_FOUND)
        rc = ebb_object_put(store, key, program.data, program.len, EBB_PUT_IF_ABSENT, NULL, NULL,
                            err);
    if (rc < 0 && rc != EBB_ERR_EXISTS) {
        free(key);
        return rc;
    }
    *ret_key = key;
    return 0;
}

static void upload_work(void *ctx)
{
    struct upload *t = ctx;
    struct ebb_object_store *store;
    char *key EBB_AUTO_FREE = NULL;
    t->rc = ebb_stores_get(t->daemon, t->store_url, &store, &t->err);
    if (t->rc == 0)
        t->rc = put_program(store, &key, &t->err);
    if (t->rc < 0)
        return;
    t->url = ebb_object_presign(store, key, URL_VALID_S, &t->err);
    t->rc = t->url == NULL ? (t->err.code != 0 ? t->err.code : EBB_ERR_INTERNAL) : 0;
}

static void upload_done(void *ctx)
{
    struct upload *t = ctx;
    struct ebb_daemon *d = t->daemon;
    d->uploading = false;
    if (t->rc < 0) {
        ebb_log_warn("cannot put this program into %s: %s", t->store_url, t->err.text);
        d->upload_ns = ebb_now_ns(NULL) + ebb_daemon_back_off(d, 2);
    } else {
        free(d->program_url);
        d->program_url = EBB_TAKE(t->url);
        d->upload_ns = ebb_now_ns(NULL) + URL_RENEW_NS;
        ebb_turn_want_plan(d);
    }
    free(t->store_url);
    free(t);
}

static void upload_when_due(struct ebb_daemon *d, int64_t now_ns)
{
    bool needed = d->program_url == NULL || d->state->active_count > 0;
    if (d->uploading || now_ns < d->upload_ns || !needed || d->store_url == NULL)
        return;
    struct upload *t = ebb_alloc(sizeof *t);
    t->daemon = d;
    t->store_url = ebb_strdup(d->store_url);
    d->uploading = true;
    ebb_workers_submit(d->workers, upload_work, upload_done, t);
}

/* ---- stored bytes ---- */

struct measure {
    struct ebb_daemon *daemon;
    char *store_url, *bag;
    uint64_t bytes;
    struct ebb_object_store_counts before, after;
    int rc;
    struct ebb_error err;
};

static int add_size(void *ctx, const char *key, const struct ebb_object_info *info)
{
    (void)key;
    ((struct measure *)ctx)->bytes += info->size_bytes;
    return 0;
}

static void measure_work(void *ctx)
{
    struct measure *t = ctx;
    struct ebb_object_store *store;
    t->rc = ebb_stores_get(t->daemon, t->store_url, &store, &t->err);
    if (t->rc < 0)
        return;
    EBB_AUTO_FREE char *prefix = ebb_sprintf("bags/%s/", t->bag);
    t->rc = ebb_object_list(store, prefix, add_size, t, &t->err);
}

/* Requests through the scheduler's own handles, since the last time. */
static void count_own_requests(struct ebb_daemon *d)
{
    struct ebb_object_store_counts sum = {0};
    size_t cursor = 0;
    void *store;
    pthread_mutex_lock(&d->stores_lock);
    while (ebb_map_next(d->stores, &cursor, &store) != NULL) {
        struct ebb_object_store_counts c;
        ebb_object_store_counts(store, &c);
        sum.puts += c.puts;
        sum.gets += c.gets;
        sum.bytes_up += c.bytes_up;
        sum.bytes_down += c.bytes_down;
    }
    pthread_mutex_unlock(&d->stores_lock);
    Ebb__Event e = EBB__EVENT__INIT;
    Ebb__RequestsCounted m = EBB__REQUESTS_COUNTED__INIT;
    m.puts = sum.puts - d->counted.puts;
    m.gets = sum.gets - d->counted.gets;
    m.bytes_up = sum.bytes_up - d->counted.bytes_up;
    m.bytes_down = sum.bytes_down - d->counted.bytes_down;
    if ((m.puts | m.gets) == 0)
        return;
    d->counted = sum;
    e.kind_case = EBB__EVENT__KIND_REQUESTS_COUNTED;
    e.requests_counted = &m;
    ebb_turn_emit_own(d, &e);
}

static void measure_done(void *ctx)
{
    struct measure *t = ctx;
    struct ebb_daemon *d = t->daemon;
    d->measuring = false;
    if (t->rc < 0) {
        ebb_log_warn("cannot tell how much bag %s stores: %s", t->bag, t->err.text);
    } else {
        Ebb__Event e = EBB__EVENT__INIT;
        Ebb__StorageObserved m = EBB__STORAGE_OBSERVED__INIT;
        m.bag = t->bag;
        m.bytes = t->bytes;
        e.kind_case = EBB__EVENT__KIND_STORAGE_OBSERVED;
        e.storage_observed = &m;
        ebb_turn_emit_own(d, &e);
        count_own_requests(d);
    }
    free(t->store_url);
    free(t->bag);
    free(t);
}

void ebb_stores_measure_bag(struct ebb_daemon *d, const struct ebb_bag *b)
{
    if (b->spec->store_url[0] == '\0' || !d->options.upload_program)
        return;
    struct measure *t = ebb_alloc(sizeof *t);
    t->daemon = d;
    t->store_url = ebb_strdup(b->spec->store_url);
    t->bag = ebb_strdup(b->spec->id);
    d->measuring = true;
    ebb_workers_submit(d->workers, measure_work, measure_done, t);
}

void ebb_stores_tick(struct ebb_daemon *d, int64_t now_ns)
{
    if (d->options.upload_program)
        upload_when_due(d, now_ns);
    if (d->measuring || now_ns < d->storage_ns)
        return;
    d->storage_ns = now_ns + MEASURE_NS;
    const struct ebb_bag *last = NULL;
    for (size_t i = 0; i < d->state->active_count; i++) {
        const struct ebb_bag *b = d->state->bags[d->state->active[i]->bag];
        if (b != last)
            ebb_stores_measure_bag(d, b);
        last = b;
    }
}
