/* An object store in memory that fails when told to. */
#include "memory_store.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"
#include "cloud/object_store_methods.h"

static char memory_url[] = "memory:";

struct object {
    char *key;
    struct ebb_buffer bytes;
    char etag[EBB_ETAG_SIZE];
    int64_t modified_ns;
};

struct delayed {
    char *key;
    struct ebb_buffer bytes;
    enum ebb_put_condition condition;
    char etag[EBB_ETAG_SIZE];
};

struct plan {
    char *part; /* NULL: none */
    unsigned n, count, seen;
    enum memory_fault fault;
};

struct memory_store {
    struct ebb_object_store base;
    pthread_mutex_t lock;
    struct object *objects; /* sorted by key */
    size_t count;
    struct delayed *delayed;
    size_t delayed_count;
    struct plan put_plan, get_plan;
    int64_t now_ns;
    void (*on_put)(void *ctx, const char *key);
    void *on_put_ctx;
};

static struct memory_store *of(struct ebb_object_store *s)
{
    return (struct memory_store *)s;
}

static size_t lower_bound(const struct memory_store *m, const char *key)
{
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (strcmp(m->objects[mid].key, key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct object *find(const struct memory_store *m, const char *key)
{
    size_t i = lower_bound(m, key);
    return i < m->count && strcmp(m->objects[i].key, key) == 0 ? &m->objects[i] : NULL;
}

static int apply(struct memory_store *m, const char *key, const void *data, size_t len,
                 enum ebb_put_condition condition, const char *etag, char *ret_etag,
                 struct ebb_error *err)
{
    struct object *o = find(m, key);
    if (condition == EBB_PUT_IF_ABSENT && o != NULL)
        return ebb_error_set(err, EBB_ERR_EXISTS, "%s is there", key);
    if (condition == EBB_PUT_IF_MATCH && (o == NULL || strcmp(o->etag, etag) != 0))
        return ebb_error_set(err, EBB_ERR_PRECONDITION, "%s has another ETag", key);
    if (o == NULL) {
        size_t i = lower_bound(m, key);
        m->objects = ebb_realloc_array(m->objects, m->count + 1, sizeof *m->objects);
        memmove(&m->objects[i + 1], &m->objects[i], (m->count - i) * sizeof *m->objects);
        m->count++;
        o = &m->objects[i];
        *o = (struct object){.key = ebb_strdup(key)};
    }
    ebb_buffer_reset(&o->bytes);
    ebb_buffer_append(&o->bytes, data, len);
    uint8_t sha[EBB_SHA256_SIZE];
    ebb_sha256(data, len, sha);
    char hex[EBB_SHA256_HEX_SIZE];
    ebb_hex(sha, sizeof sha, hex);
    o->etag[0] = '"';
    memcpy(o->etag + 1, hex, 64);
    o->etag[65] = '"';
    m->now_ns += EBB_NS_PER_MS;
    o->modified_ns = m->now_ns;
    if (ret_etag != NULL)
        memcpy(ret_etag, o->etag, EBB_ETAG_SIZE);
    return 0;
}

static bool fires(struct plan *p, const char *key)
{
    if (p->part == NULL || strstr(key, p->part) == NULL)
        return false;
    p->seen++;
    return p->seen >= p->n && p->seen < p->n + p->count;
}

static int put(struct ebb_object_store *s, const char *key, const void *data, size_t len,
               enum ebb_put_condition condition, const char *etag, char *ret_etag,
               struct ebb_error *err)
{
    struct memory_store *m = of(s);
    if (m->on_put != NULL)
        m->on_put(m->on_put_ctx, key);
    pthread_mutex_lock(&m->lock);
    atomic_fetch_add(&s->puts, 1);
    atomic_fetch_add(&s->bytes_up, len);
    int rc = 0;
    if (!fires(&m->put_plan, key)) {
        rc = apply(m, key, data, len, condition, etag, ret_etag, err);
    } else if (m->put_plan.fault == MEMORY_REFUSE) {
        rc = ebb_error_set(err, EBB_ERR_UNAVAILABLE, "refused");
    } else if (m->put_plan.fault == MEMORY_UNDECIDED) {
        rc = ebb_error_set(err, EBB_ERR_CONFLICT, "undecided");
    } else if (m->put_plan.fault == MEMORY_DENY) {
        rc = ebb_error_set(err, EBB_ERR_DENIED, "denied");
    } else {
        if (m->put_plan.fault == MEMORY_LOSE_AFTER)
            (void)apply(m, key, data, len, condition, etag, NULL, NULL);
        if (m->put_plan.fault == MEMORY_DELAY) {
            m->delayed = ebb_realloc_array(m->delayed, m->delayed_count + 1, sizeof *m->delayed);
            struct delayed *d = &m->delayed[m->delayed_count++];
            *d = (struct delayed){.key = ebb_strdup(key), .condition = condition};
            ebb_buffer_append(&d->bytes, data, len);
            if (etag != NULL)
                (void)strncpy(d->etag, etag, EBB_ETAG_SIZE - 1);
        }
        rc = ebb_error_set(err, EBB_ERR_TIMEOUT, "no answer");
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static int get(struct ebb_object_store *s, const char *key, uint64_t offset, uint64_t len,
               size_t max_bytes, struct ebb_buffer *out, struct ebb_object_info *ret_info,
               struct ebb_error *err)
{
    struct memory_store *m = of(s);
    pthread_mutex_lock(&m->lock);
    atomic_fetch_add(&s->gets, 1);
    int rc = 0;
    struct object *o = find(m, key);
    if (fires(&m->get_plan, key)) {
        rc = ebb_error_set(err, EBB_ERR_UNAVAILABLE, "no answer");
    } else if (o == NULL) {
        rc = ebb_error_set(err, EBB_ERR_NOT_FOUND, "no %s", key);
    } else {
        uint64_t have = offset < o->bytes.len ? o->bytes.len - offset : 0;
        uint64_t want = len == 0 && offset == 0 ? o->bytes.len : len;
        if (want > have || want > max_bytes) {
            rc = ebb_error_set(err, EBB_ERR_CORRUPT, "%s: too short or too long", key);
        } else {
            ebb_buffer_append(out, o->bytes.data + offset, (size_t)want);
            atomic_fetch_add(&s->bytes_down, want);
        }
        if (ret_info != NULL) {
            ret_info->size_bytes = o->bytes.len;
            ret_info->modified_wall_ns = o->modified_ns;
            memcpy(ret_info->etag, o->etag, EBB_ETAG_SIZE);
        }
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static int head(struct ebb_object_store *s, const char *key, struct ebb_object_info *ret_info,
                struct ebb_error *err)
{
    struct memory_store *m = of(s);
    pthread_mutex_lock(&m->lock);
    struct object *o = find(m, key);
    if (o != NULL) {
        ret_info->size_bytes = o->bytes.len;
        ret_info->modified_wall_ns = o->modified_ns;
        memcpy(ret_info->etag, o->etag, EBB_ETAG_SIZE);
    }
    pthread_mutex_unlock(&m->lock);
    return o != NULL ? 0 : ebb_error_set(err, EBB_ERR_NOT_FOUND, "no %s", key);
}

static void remove_at(struct memory_store *m, size_t i)
{
    free(m->objects[i].key);
    ebb_buffer_clean_up(&m->objects[i].bytes);
    m->count--;
    memmove(&m->objects[i], &m->objects[i + 1], (m->count - i) * sizeof *m->objects);
}

static int remove_object(struct ebb_object_store *s, const char *key, struct ebb_error *err)
{
    (void)err;
    memory_store_remove(of(s), key);
    return 0;
}

static int list(struct ebb_object_store *s, const char *prefix, ebb_object_fn fn, void *ctx,
                struct ebb_error *err)
{
    (void)err;
    struct memory_store *m = of(s);
    int rc = 0;
    for (size_t i = lower_bound(m, prefix); rc == 0 && i < m->count; i++) {
        struct object *o = &m->objects[i];
        if (strncmp(o->key, prefix, strlen(prefix)) != 0)
            break;
        struct ebb_object_info info = {.size_bytes = o->bytes.len,
                                       .modified_wall_ns = o->modified_ns};
        rc = fn(ctx, o->key, &info);
    }
    return rc;
}

static void destroy_handle(struct ebb_object_store *s)
{
    (void)s;
}

static char *presign(struct ebb_object_store *s, const char *key, double valid_s,
                     struct ebb_error *err)
{
    (void)s;
    (void)valid_s;
    (void)err;
    return ebb_strdup(key);
}

struct memory_store *memory_store_new(void)
{
    static const struct ebb_object_store_methods methods = {
        .destroy = destroy_handle,
        .get = get,
        .head = head,
        .put = put,
        .remove = remove_object,
        .list = list,
        .presign = presign,
    };
    struct memory_store *m = ebb_alloc(sizeof *m);
    m->base.methods = &methods;
    m->base.url = memory_url;
    m->now_ns = 1000 * EBB_NS_PER_S;
    pthread_mutex_init(&m->lock, NULL);
    return m;
}

void memory_store_destroy(struct memory_store *m)
{
    if (m == NULL)
        return;
    memory_store_heal(m);
    while (m->count > 0)
        remove_at(m, m->count - 1);
    free(m->objects);
    for (size_t i = 0; i < m->delayed_count; i++) {
        free(m->delayed[i].key);
        ebb_buffer_clean_up(&m->delayed[i].bytes);
    }
    free(m->delayed);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

struct ebb_object_store *memory_store_handle(struct memory_store *m)
{
    return &m->base;
}

void memory_store_advance(struct memory_store *m, double s)
{
    m->now_ns += (int64_t)(s * 1e9);
}

static void set_plan(struct plan *p, const char *part, unsigned n, unsigned count,
                     enum memory_fault fault)
{
    free(p->part);
    *p = (struct plan){.part = ebb_strdup(part), .n = n, .count = count, .fault = fault};
}

void memory_store_fail_put(struct memory_store *m, const char *part, unsigned n, unsigned count,
                           enum memory_fault fault)
{
    set_plan(&m->put_plan, part, n, count, fault);
}

void memory_store_fail_get(struct memory_store *m, const char *part, unsigned n, unsigned count,
                           enum memory_fault fault)
{
    set_plan(&m->get_plan, part, n, count, fault);
}

void memory_store_heal(struct memory_store *m)
{
    free(m->put_plan.part);
    free(m->get_plan.part);
    m->put_plan.part = NULL;
    m->get_plan.part = NULL;
}

unsigned memory_store_deliver(struct memory_store *m)
{
    unsigned done = 0;
    for (size_t i = 0; i < m->delayed_count; i++) {
        struct delayed *d = &m->delayed[i];
        done +=
            apply(m, d->key, d->bytes.data, d->bytes.len, d->condition, d->etag, NULL, NULL) == 0;
        free(d->key);
        ebb_buffer_clean_up(&d->bytes);
    }
    m->delayed_count = 0;
    return done;
}

void memory_store_on_put(struct memory_store *m, void (*fn)(void *ctx, const char *key), void *ctx)
{
    m->on_put = fn;
    m->on_put_ctx = ctx;
}

struct ebb_buffer *memory_store_object(struct memory_store *m, const char *key)
{
    struct object *o = find(m, key);
    return o != NULL ? &o->bytes : NULL;
}

const char *memory_store_find(struct memory_store *m, const char *part, unsigned n)
{
    for (size_t i = 0; i < m->count; i++)
        if (strstr(m->objects[i].key, part) != NULL && n-- == 0)
            return m->objects[i].key;
    return NULL;
}

size_t memory_store_count(struct memory_store *m, const char *part)
{
    size_t n = 0;
    while (memory_store_find(m, part, (unsigned)n) != NULL)
        n++;
    return n;
}

void memory_store_remove(struct memory_store *m, const char *key)
{
    pthread_mutex_lock(&m->lock);
    size_t i = lower_bound(m, key);
    if (i < m->count && strcmp(m->objects[i].key, key) == 0)
        remove_at(m, i);
    pthread_mutex_unlock(&m->lock);
}
