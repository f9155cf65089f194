/* An object store: S3 or a directory, behind one set of conditional operations.
 *
 * Calls block; any thread may call. Every implementation gives: atomic visibility of a put, read
 * and list after write, create-only and compare-and-swap puts decided by the store. Transient
 * failures are tried again inside with jittered back-off up to the deadline of the options, save
 * one: a conditional put whose answer never came returns EBB_ERR_TIMEOUT, and the caller settles it
 * by reading back. Puts carry a SHA-256 of the body, which the store checks. */
#ifndef EBB_CLOUD_OBJECT_STORE_H
#define EBB_CLOUD_OBJECT_STORE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

#define EBB_ETAG_SIZE 80

struct ebb_object_store;

struct ebb_object_store_options {
    double retry_for_s;       /* total time for one call with its retries; 0: 60 */
    const atomic_int *cancel; /* non-zero: calls return EBB_ERR_CANCELLED soon; may be NULL */
};

struct ebb_object_info {
    uint64_t size_bytes;
    char etag[EBB_ETAG_SIZE]; /* as the store gave it, quotes kept */
    int64_t modified_wall_ns; /* the store's clock */
};

enum ebb_put_condition {
    EBB_PUT_ALWAYS,
    EBB_PUT_IF_ABSENT, /* else EBB_ERR_EXISTS */
    EBB_PUT_IF_MATCH,  /* `etag` must be the current one, else EBB_ERR_PRECONDITION (also absent) */
};

/* Requests made through a store handle since it was opened. */
struct ebb_object_store_counts {
    uint64_t puts; /* PUT, LIST */
    uint64_t gets; /* GET, HEAD, DELETE */
    uint64_t bytes_up;
    uint64_t bytes_down;
};

/* "s3://bucket/prefix" (credentials, region and endpoint as the AWS tools find them:
 * AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, shared files, instance role) or "file:///directory".
 * Keys given to the calls below are relative to the prefix. options may be NULL. */
int ebb_object_store_open(const char *url, const struct ebb_object_store_options *options,
                          struct ebb_object_store **ret, struct ebb_error *err);
void ebb_object_store_destroy(struct ebb_object_store *s);
const char *ebb_object_store_url(const struct ebb_object_store *s);

/* Appends the object's bytes [offset, offset + len) to `out`; len 0 with offset 0 reads it all.
 * EBB_ERR_NOT_FOUND; EBB_ERR_CORRUPT when fewer bytes came than asked for, or more than
 * max_bytes. ret_info may be NULL. */
int ebb_object_get(struct ebb_object_store *s, const char *key, uint64_t offset, uint64_t len,
                   size_t max_bytes, struct ebb_buffer *out, struct ebb_object_info *ret_info,
                   struct ebb_error *err);
int ebb_object_head(struct ebb_object_store *s, const char *key, struct ebb_object_info *ret_info,
                    struct ebb_error *err);
/* ret_etag (EBB_ETAG_SIZE bytes) may be NULL. Codes: EXISTS, PRECONDITION, CONFLICT (undecided),
 * TIMEOUT (unknown), and the transport's. */
int ebb_object_put(struct ebb_object_store *s, const char *key, const void *data, size_t len,
                   enum ebb_put_condition condition, const char *etag, char *ret_etag,
                   struct ebb_error *err);
int ebb_object_delete(struct ebb_object_store *s, const char *key, struct ebb_error *err);
/* Calls fn for each key below `prefix` in byte order; stops at the first non-zero return and
 * returns it. */
int ebb_object_list(struct ebb_object_store *s, const char *prefix,
                    int (*fn)(void *ctx, const char *key, const struct ebb_object_info *info),
                    void *ctx, struct ebb_error *err);
/* A URL with which anybody may GET the object for `valid_s` seconds (S3: presigned; directory:
 * file:///...). malloc'ed. */
char *ebb_object_presign(struct ebb_object_store *s, const char *key, double valid_s,
                         struct ebb_error *err);
void ebb_object_store_counts(const struct ebb_object_store *s, struct ebb_object_store_counts *ret);
/* Put, conditional put, compare-and-swap, get, list and delete of a probe object: what `ebb doctor`
 * and submit ask before trusting a store. Also tells the store's clock minus ours. */
int ebb_object_store_probe(struct ebb_object_store *s, double *ret_clock_skew_s,
                           struct ebb_error *err);

#endif
