/* Chunks are sorted by pack and offset, and neighbours (a small gap costs less than a request) go
 * into one ranged GET of at most 9 MiB, which bounds the memory of a thread. */
#include "checkpoint/fetch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/workers.h"
#include "checkpoint/pack.h"

#define RANGE_BYTES (9u << 20) /* a whole pack of this writer */
#define GAP_BYTES   (128u << 10)

struct range {
    size_t first, count; /* of wanted */
    uint64_t begin, end; /* in the pack */
};

struct fetch {
    struct ebb_lineage *l;
    const Ebb__Manifest *m;
    const struct ebb_wanted_chunk *wanted;
    struct range *ranges;
    size_t range_count;
    int (*sink)(void *ctx, const struct ebb_wanted_chunk *w, const uint8_t *raw,
                struct ebb_error *err);
    void *ctx;
    pthread_mutex_t lock;
    struct ebb_error failure;
    atomic_bool failed;
};

static int by_place(const void *a, const void *b)
{
    const struct ebb_wanted_chunk *x = a, *y = b;
    if (x->chunk->pack != y->chunk->pack)
        return x->chunk->pack < y->chunk->pack ? -1 : 1;
    if (x->chunk->offset != y->chunk->offset)
        return x->chunk->offset < y->chunk->offset ? -1 : 1;
    return 0;
}

static void cut_ranges(struct fetch *f, size_t count)
{
    f->ranges = ebb_alloc_array(count + 1, sizeof *f->ranges);
    for (size_t i = 0; i < count; i++) {
        const Ebb__Chunk *c = f->wanted[i].chunk;
        uint64_t end = c->offset + c->stored_bytes;
        struct range *r = f->range_count > 0 ? &f->ranges[f->range_count - 1] : NULL;
        if (r != NULL && f->wanted[r->first].chunk->pack == c->pack &&
            c->offset <= r->end + GAP_BYTES && end - r->begin <= RANGE_BYTES) {
            r->count++;
            r->end = end > r->end ? end : r->end;
            continue;
        }
        f->ranges[f->range_count++] =
            (struct range){.first = i, .count = 1, .begin = c->offset, .end = end};
    }
}

static int fetch_base(struct ebb_lineage *l, const Ebb__Manifest *m, const Ebb__Chunk *c,
                      struct ebb_buffer *base, struct ebb_error *err)
{
    ebb_buffer_reset(base);
    return c->base_chunk == NULL ? 0 : ebb_fetch_chunk(l, m, c->base_chunk, base, err);
}

/* Chains are short (EBB_CHUNK_CHAIN_MAX), and so is the recursion. */
int ebb_fetch_chunk(struct ebb_lineage *l, const Ebb__Manifest *m, const Ebb__Chunk *c,
                    struct ebb_buffer *raw, struct ebb_error *err)
{
    EBB_AUTO_FREE char *key = ebb_pack_key(l->root, m->packs[c->pack]->sha256.data);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer stored = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer base = {0};
    int rc = ebb_object_get(l->store, key, c->offset, c->stored_bytes, (size_t)c->stored_bytes,
                            &stored, NULL, err);
    if (rc == 0 && stored.len != c->stored_bytes)
        rc = ebb_error_set(err, EBB_ERR_CORRUPT, "%s: it ends too early", key);
    if (rc == 0)
        rc = fetch_base(l, m, c, &base, err);
    if (rc < 0)
        return rc;
    ebb_buffer_reserve(raw, (size_t)c->raw_bytes);
    rc = ebb_chunk_decode(c, stored.data, base.data, raw->data + raw->len, err);
    if (rc < 0)
        return ebb_error_wrap(err, rc, "%s at %llu", key, (unsigned long long)c->offset);
    raw->len += (size_t)c->raw_bytes;
    raw->data[raw->len] = 0;
    return 0;
}

static int fetch_range(struct fetch *f, const struct range *r, struct ebb_error *err)
{
    const Ebb__Pack *p = f->m->packs[f->wanted[r->first].chunk->pack];
    EBB_AUTO_FREE char *key = ebb_pack_key(f->l->root, p->sha256.data);
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer bytes = {0};
    uint64_t len = r->end - r->begin;
    ebb_buffer_reserve(&bytes, (size_t)len);
    int rc = ebb_object_get(f->l->store, key, r->begin, len, (size_t)len, &bytes, NULL, err);
    if (rc == 0 && bytes.len != len)
        rc = ebb_error_set(err, EBB_ERR_CORRUPT, "%s: it ends too early", key);
    if (rc < 0)
        return rc;
    EBB_AUTO_FREE uint8_t *raw = NULL;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer base = {0};
    uint64_t room = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct ebb_wanted_chunk *w = &f->wanted[r->first + i];
        if (w->chunk->raw_bytes > room) {
            room = w->chunk->raw_bytes;
            free(raw);
            raw = ebb_alloc((size_t)room);
        }
        rc = fetch_base(f->l, f->m, w->chunk, &base, err);
        if (rc == 0)
            rc = ebb_chunk_decode(w->chunk, bytes.data + (w->chunk->offset - r->begin), base.data,
                                  raw, err);
        if (rc < 0)
            return ebb_error_wrap(err, rc, "%s at %llu", key, (unsigned long long)w->chunk->offset);
        rc = f->sink(f->ctx, w, raw, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void run_range(void *ctx, size_t i)
{
    struct fetch *f = ctx;
    struct ebb_error err = {0};
    if (atomic_load(&f->failed) || fetch_range(f, &f->ranges[i], &err) == 0)
        return;
    pthread_mutex_lock(&f->lock);
    if (f->failure.code == 0)
        f->failure = err;
    atomic_store(&f->failed, true);
    pthread_mutex_unlock(&f->lock);
}

int ebb_fetch_chunks(struct ebb_lineage *l, const Ebb__Manifest *m, struct ebb_wanted_chunk *wanted,
                     size_t count, unsigned threads,
                     int (*sink)(void *ctx, const struct ebb_wanted_chunk *w, const uint8_t *raw,
                                 struct ebb_error *err),
                     void *ctx, struct ebb_error *err)
{
    struct fetch f = {.l = l, .m = m, .wanted = wanted, .sink = sink, .ctx = ctx};
    pthread_mutex_init(&f.lock, NULL);
    if (count > 0)
        qsort(wanted, count, sizeof *wanted, by_place);
    cut_ranges(&f, count);
    ebb_parallel_for(threads, f.range_count, run_range, &f);
    free(f.ranges);
    pthread_mutex_destroy(&f.lock);
    if (f.failure.code < 0 && err != NULL)
        ebb_error_copy(err, &f.failure);
    return f.failure.code;
}
