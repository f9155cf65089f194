/* Parts are read and decoded a batch at a time by the threads, hashed and handed on in order. */
#include "pack/unpacker.h"

#include <pthread.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/workers.h"

struct slot {
    const struct ebb_packed_part *part;
    struct ebb_buffer payload;
    uint8_t *raw;
    struct ebb_error error;
};

struct run {
    const struct ebb_container *c;
    const struct ebb_packed_entry *e;
    const struct ebb_bytes *base;
    struct slot *slots;
    size_t slot_count;
};

/* Reads one part and decodes it into malloc'ed memory of raw_bytes. */
static int decode_part(const struct ebb_container *c, const struct ebb_packed_part *p,
                       const struct ebb_bytes *base, struct ebb_buffer *payload, uint8_t **ret,
                       struct ebb_error *err)
{
    ebb_buffer_reset(payload);
    int rc = ebb_container_read_part(c, p, payload, err);
    if (rc < 0)
        return rc;
    EBB_AUTO_FREE uint8_t *raw = malloc((size_t)p->raw_bytes + 1);
    if (raw == NULL)
        return ebb_error_set(err, EBB_ERR_INTERNAL, "out of memory for a part of %llu bytes",
                             (unsigned long long)p->raw_bytes);
    rc = ebb_part_decode(p->codec, payload->data, payload->len, base, raw, (size_t)p->raw_bytes,
                         err);
    if (rc < 0)
        return ebb_error_wrap(err, rc, "the part at byte %llu",
                              (unsigned long long)p->record_offset);
    *ret = EBB_TAKE(raw);
    return 0;
}

static void run_slot(void *ctx, size_t i)
{
    struct run *r = ctx;
    struct slot *s = &r->slots[i];
    ebb_error_clear(&s->error);
    (void)decode_part(r->c, s->part, r->base, &s->payload, &s->raw, &s->error);
}

static int hand_on(struct slot *s, struct ebb_sha256 *hash, struct ebb_packed_sink sink,
                   struct ebb_error *err)
{
    if (s->error.code < 0) {
        if (err != NULL)
            ebb_error_copy(err, &s->error);
        return s->error.code;
    }
    ebb_sha256_update(hash, s->raw, (size_t)s->part->raw_bytes);
    return sink.write(sink.ctx, s->raw, (size_t)s->part->raw_bytes, err);
}

static int run_parts(struct run *r, struct ebb_sha256 *hash, struct ebb_packed_sink sink,
                     unsigned threads, struct ebb_pack_progress progress, struct ebb_error *err)
{
    uint64_t done = 0;
    int rc = 0;
    for (size_t i = 0; i < r->e->part_count && rc == 0;) {
        size_t count = r->e->part_count - i < r->slot_count ? r->e->part_count - i : r->slot_count;
        for (size_t k = 0; k < count; k++)
            r->slots[k].part = &r->e->parts[i + k];
        ebb_parallel_for(threads, count, run_slot, r);
        for (size_t k = 0; k < count; k++) {
            if (rc == 0)
                rc = hand_on(&r->slots[k], hash, sink, err);
            done += r->slots[k].part->raw_bytes;
            free(EBB_TAKE(r->slots[k].raw));
        }
        if (progress.report != NULL)
            progress.report(progress.ctx, done, r->e->size_bytes);
        i += count;
    }
    return rc;
}

int ebb_unpacker_run(const struct ebb_container *c, const struct ebb_packed_entry *e,
                     const struct ebb_bytes *base, struct ebb_packed_sink sink, unsigned threads,
                     struct ebb_pack_progress progress, struct ebb_error *err)
{
    threads = threads == 0 ? 1 : threads;
    struct run r = {.c = c, .e = e, .base = base, .slot_count = threads};
    r.slots = ebb_alloc_array(threads, sizeof *r.slots);
    struct ebb_sha256 *hash = ebb_sha256_new();
    int rc = run_parts(&r, hash, sink, threads, progress, err);
    uint8_t sha[EBB_SHA256_SIZE];
    ebb_sha256_final(hash, sha);
    if (rc == 0 && !e->is_complete)
        rc = ebb_error_set(err, EBB_ERR_CORRUPT, "its end is missing");
    if (rc == 0 && memcmp(sha, e->sha256, sizeof sha) != 0)
        rc = ebb_error_set(err, EBB_ERR_CORRUPT, "the unpacked file does not match its SHA-256");
    ebb_sha256_destroy(hash);
    for (size_t i = 0; i < r.slot_count; i++)
        ebb_buffer_clean_up(&r.slots[i].payload);
    free(r.slots);
    return rc < 0 ? ebb_error_wrap(err, rc, "%s", e->name) : 0;
}

/* ---- any place of an entry ---- */

/* A tensor's pieces may begin in one part and end in the next, and several threads ask at once. */
enum { VIEW_PARTS = 8 };

struct cached {
    const struct ebb_packed_part *part; /* NULL: empty */
    uint8_t *raw;
    uint64_t used;
};

struct ebb_entry_view {
    const struct ebb_container *c;
    const struct ebb_packed_entry *e;
    const struct ebb_bytes *base;
    struct cached cached[VIEW_PARTS];
    uint64_t clock;
    struct ebb_buffer payload;
    pthread_mutex_t lock;
};

struct ebb_entry_view *ebb_entry_view_new(const struct ebb_container *c,
                                          const struct ebb_packed_entry *e,
                                          const struct ebb_bytes *base)
{
    struct ebb_entry_view *v = ebb_alloc(sizeof *v);
    v->c = c;
    v->e = e;
    v->base = base;
    pthread_mutex_init(&v->lock, NULL);
    return v;
}

void ebb_entry_view_destroy(struct ebb_entry_view *v)
{
    if (v == NULL)
        return;
    for (size_t i = 0; i < VIEW_PARTS; i++)
        free(v->cached[i].raw);
    ebb_buffer_clean_up(&v->payload);
    pthread_mutex_destroy(&v->lock);
    free(v);
}

static const struct ebb_packed_part *part_at(const struct ebb_packed_entry *e, uint64_t offset)
{
    size_t low = 0, high = e->part_count;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (e->parts[mid].file_offset <= offset)
            low = mid;
        else
            high = mid;
    }
    return &e->parts[low];
}

static int view_part(struct ebb_entry_view *v, const struct ebb_packed_part *p, uint8_t **ret,
                     struct ebb_error *err)
{
    struct cached *oldest = &v->cached[0];
    for (size_t i = 0; i < VIEW_PARTS; i++) {
        struct cached *k = &v->cached[i];
        if (k->part == p) {
            k->used = ++v->clock;
            *ret = k->raw;
            return 0;
        }
        if (k->used < oldest->used)
            oldest = k;
    }
    free(EBB_TAKE(oldest->raw));
    oldest->part = NULL;
    int rc = decode_part(v->c, p, v->base, &v->payload, &oldest->raw, err);
    if (rc < 0)
        return rc;
    oldest->part = p;
    oldest->used = ++v->clock;
    *ret = oldest->raw;
    return 0;
}

static int read_view(void *ctx, uint64_t offset, void *out, size_t len, struct ebb_error *err)
{
    struct ebb_entry_view *v = ctx;
    pthread_mutex_lock(&v->lock);
    int rc = 0;
    for (uint8_t *to = out; len > 0 && rc == 0;) {
        const struct ebb_packed_part *p = part_at(v->e, offset);
        uint64_t skip = offset - p->file_offset;
        size_t n = p->raw_bytes - skip < len ? (size_t)(p->raw_bytes - skip) : len;
        uint8_t *raw = NULL;
        rc = n == 0 ? ebb_error_set(err, EBB_ERR_CORRUPT, "%s ends too early", v->e->name)
                    : view_part(v, p, &raw, err);
        if (rc < 0)
            break;
        memcpy(to, raw + skip, n);
        to += n;
        offset += n;
        len -= n;
    }
    pthread_mutex_unlock(&v->lock);
    return rc;
}

struct ebb_bytes ebb_entry_view_bytes(struct ebb_entry_view *v)
{
    return (struct ebb_bytes){.read_at = read_view, .ctx = v, .size_bytes = v->e->size_bytes};
}
