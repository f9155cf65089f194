/* What an implementation of cloud/object_store.h fills in. Keys come checked and relative to the
 * store's prefix; the implementation puts its prefix before them. */
#ifndef EBB_CLOUD_OBJECT_STORE_METHODS_H
#define EBB_CLOUD_OBJECT_STORE_METHODS_H

#include "cloud/object_store.h"

typedef int (*ebb_object_fn)(void *ctx, const char *key, const struct ebb_object_info *info);

struct ebb_object_store_methods {
    void (*destroy)(struct ebb_object_store *s);
    int (*get)(struct ebb_object_store *s, const char *key, uint64_t offset, uint64_t len,
               size_t max_bytes, struct ebb_buffer *out, struct ebb_object_info *ret_info,
               struct ebb_error *err);
    int (*head)(struct ebb_object_store *s, const char *key, struct ebb_object_info *ret_info,
                struct ebb_error *err);
    int (*put)(struct ebb_object_store *s, const char *key, const void *data, size_t len,
               enum ebb_put_condition condition, const char *etag, char *ret_etag,
               struct ebb_error *err);
    int (*remove)(struct ebb_object_store *s, const char *key, struct ebb_error *err);
    int (*list)(struct ebb_object_store *s, const char *prefix, ebb_object_fn fn, void *ctx,
                struct ebb_error *err);
    char *(*presign)(struct ebb_object_store *s, const char *key, double valid_s,
                     struct ebb_error *err);
};

struct ebb_object_store {
    const struct ebb_object_store_methods *methods;
    char *url;
    double retry_for_s;
    const atomic_int *cancel;
    /* what cloud/object_store.h calls puts and gets, in requests as the store bills them */
    _Atomic uint64_t puts, gets, bytes_up, bytes_down;
};

int ebb_s3_store_open(const char *url, struct ebb_object_store **ret, struct ebb_error *err);
int ebb_directory_store_open(const char *url, struct ebb_object_store **ret, struct ebb_error *err);

#endif
