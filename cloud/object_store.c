/* Object stores: which one a URL means, and what holds for all: keys are checked here, requests
 * are counted by the implementations. */
#include "cloud/object_store.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cloud/object_store_methods.h"

#define MAX_KEY_BYTES       1024
#define DEFAULT_RETRY_FOR_S 60.0

int ebb_object_store_open(const char *url, const struct ebb_object_store_options *options,
                          struct ebb_object_store **ret, struct ebb_error *err)
{
    struct ebb_object_store *s = NULL;
    int code;
    if (ebb_starts_with(url, "s3://"))
        code = ebb_s3_store_open(url, &s, err);
    else if (ebb_starts_with(url, "file://"))
        code = ebb_directory_store_open(url, &s, err);
    else
        code = ebb_error_set(err, EBB_ERR_INPUT,
                             "store %s: no such kind; use s3://BUCKET/PREFIX or file:///DIRECTORY",
                             url);
    if (code < 0)
        return code;
    s->url = ebb_strdup(url);
    s->retry_for_s = DEFAULT_RETRY_FOR_S;
    if (options != NULL) {
        s->cancel = options->cancel;
        if (options->retry_for_s > 0)
            s->retry_for_s = options->retry_for_s;
    }
    *ret = s;
    return 0;
}

void ebb_object_store_destroy(struct ebb_object_store *s)
{
    if (s == NULL)
        return;
    free(s->url);
    s->methods->destroy(s);
}

const char *ebb_object_store_url(const struct ebb_object_store *s)
{
    return s->url;
}

static int check_key(const struct ebb_object_store *s, const char *key, struct ebb_error *err)
{
    if (key[0] == '\0' || strlen(key) > MAX_KEY_BYTES)
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "store %s: a key must have 1 to 1024 bytes, this one has %zu", s->url,
                             strlen(key));
    if (s->cancel != NULL && atomic_load(s->cancel) != 0)
        return ebb_error_set(err, EBB_ERR_CANCELLED, "store %s: cancelled", s->url);
    return 0;
}

int ebb_object_get(struct ebb_object_store *s, const char *key, uint64_t offset, uint64_t len,
                   size_t max_bytes, struct ebb_buffer *out, struct ebb_object_info *ret_info,
                   struct ebb_error *err)
{
    int code = check_key(s, key, err);
    if (code < 0)
        return code;
    if (len > max_bytes)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "get %s: %llu bytes asked for, %zu allowed", key,
                             (unsigned long long)len, max_bytes);
    return s->methods->get(s, key, offset, len, max_bytes, out, ret_info, err);
}

int ebb_object_head(struct ebb_object_store *s, const char *key, struct ebb_object_info *ret_info,
                    struct ebb_error *err)
{
    int code = check_key(s, key, err);
    return code < 0 ? code : s->methods->head(s, key, ret_info, err);
}

int ebb_object_put(struct ebb_object_store *s, const char *key, const void *data, size_t len,
                   enum ebb_put_condition condition, const char *etag, char *ret_etag,
                   struct ebb_error *err)
{
    int code = check_key(s, key, err);
    if (code < 0)
        return code;
    if (condition == EBB_PUT_IF_MATCH &&
        (etag == NULL || etag[0] == '\0' || strlen(etag) >= EBB_ETAG_SIZE))
        return ebb_error_set(err, EBB_ERR_INPUT, "put %s: a compare-and-swap needs an ETag", key);
    return s->methods->put(s, key, data, len, condition, etag, ret_etag, err);
}

int ebb_object_delete(struct ebb_object_store *s, const char *key, struct ebb_error *err)
{
    int code = check_key(s, key, err);
    return code < 0 ? code : s->methods->remove(s, key, err);
}

int ebb_object_list(struct ebb_object_store *s, const char *prefix,
                    int (*fn)(void *ctx, const char *key, const struct ebb_object_info *info),
                    void *ctx, struct ebb_error *err)
{
    return s->methods->list(s, prefix, fn, ctx, err);
}

char *ebb_object_presign(struct ebb_object_store *s, const char *key, double valid_s,
                         struct ebb_error *err)
{
    return check_key(s, key, err) < 0 ? NULL : s->methods->presign(s, key, valid_s, err);
}

void ebb_object_store_counts(const struct ebb_object_store *s, struct ebb_object_store_counts *ret)
{
    ret->puts = atomic_load(&s->puts);
    ret->gets = atomic_load(&s->gets);
    ret->bytes_up = atomic_load(&s->bytes_up);
    ret->bytes_down = atomic_load(&s->bytes_down);
}
