/* Does a store keep what cloud/object_store.h promises? Asked once before it is trusted with
 * checkpoints: some S3 look-alikes accept a conditional put and overwrite all the same. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "cloud/object_store.h"

struct probe {
    struct ebb_object_store *store;
    char key[64];
    char etag[EBB_ETAG_SIZE], second_etag[EBB_ETAG_SIZE];
    double skew_s;
    bool listed;
};

static int refuse(struct probe *p, struct ebb_error *err, const char *what)
{
    return ebb_error_set(err, EBB_ERR_UNSUPPORTED,
                         "store %s: %s; ebb cannot keep checkpoints there",
                         ebb_object_store_url(p->store), what);
}

static int probe_create(struct probe *p, struct ebb_error *err)
{
    struct ebb_object_info info;
    int64_t before_ns = ebb_wall_ns(NULL);
    int code = ebb_object_put(p->store, p->key, "one", 3, EBB_PUT_IF_ABSENT, NULL, p->etag, err);
    if (code < 0)
        return code;
    int64_t after_ns = ebb_wall_ns(NULL);
    code = ebb_object_put(p->store, p->key, "two", 3, EBB_PUT_IF_ABSENT, NULL, NULL, err);
    if (code == 0)
        return refuse(p, err, "a create-only put overwrote an object (If-None-Match is ignored)");
    if (code != EBB_ERR_EXISTS)
        return code;
    code = ebb_object_head(p->store, p->key, &info, err);
    if (code < 0)
        return code;
    /* The store's time has whole seconds: nothing is known within one second either way. */
    double earliest_s = (double)(info.modified_wall_ns - after_ns) / (double)EBB_NS_PER_S;
    double latest_s = (double)(info.modified_wall_ns - before_ns) / (double)EBB_NS_PER_S + 1.0;
    p->skew_s = earliest_s > 0 ? earliest_s : latest_s < 0 ? latest_s : 0;
    return 0;
}

static int probe_swap(struct probe *p, struct ebb_error *err)
{
    int code = ebb_object_put(p->store, p->key, "three", 5, EBB_PUT_IF_MATCH, p->etag,
                              p->second_etag, err);
    if (code == EBB_ERR_PRECONDITION)
        return refuse(p, err, "a compare-and-swap with the right ETag was refused");
    if (code < 0)
        return code;
    code = ebb_object_put(p->store, p->key, "four", 4, EBB_PUT_IF_MATCH, p->etag, NULL, err);
    if (code == 0)
        return refuse(p, err,
                      "a compare-and-swap with an old ETag went through (If-Match is "
                      "ignored)");
    return code == EBB_ERR_PRECONDITION ? 0 : code;
}

static int on_listed(void *ctx, const char *key, const struct ebb_object_info *info)
{
    struct probe *p = ctx;
    (void)info;
    p->listed = p->listed || strcmp(key, p->key) == 0;
    return 0;
}

static int probe_read(struct probe *p, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer all = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer part = {0};
    int code = ebb_object_get(p->store, p->key, 0, 0, 64, &all, NULL, err);
    if (code == 0)
        code = ebb_object_get(p->store, p->key, 1, 3, 64, &part, NULL, err);
    if (code == 0)
        code = ebb_object_list(p->store, ".ebb-probe/", on_listed, p, err);
    if (code < 0)
        return code;
    if (strcmp(ebb_buffer_text(&all), "three") != 0 || strcmp(ebb_buffer_text(&part), "hre") != 0)
        return refuse(p, err, "an object did not read back as it was put");
    if (!p->listed)
        return refuse(p, err, "a list did not show an object that was put before");
    return 0;
}

int ebb_object_store_probe(struct ebb_object_store *s, double *ret_clock_skew_s,
                           struct ebb_error *err)
{
    struct probe p = {.store = s};
    char nonce[17];
    memcpy(p.key, ".ebb-probe/", sizeof(".ebb-probe/"));
    strcat(p.key, ebb_random_hex(nonce, 8));
    int code = probe_create(&p, err);
    if (code == 0)
        code = probe_swap(&p, err);
    if (code == 0)
        code = probe_read(&p, err);
    int removed = ebb_object_delete(s, p.key, code == 0 ? err : NULL);
    if (code == 0)
        code = removed;
    if (code < 0)
        return code;
    ebb_error_clear(err);
    if (ret_clock_skew_s != NULL)
        *ret_clock_skew_s = p.skew_s;
    return 0;
}
