/* The objects of the emulated S3 on disk, with an index in memory. One file an object:
 *
 *   objects/<bucket>/<2 hex>/<SHA-256 of the key>:   {"key": ..., "size": ..., ...}\n<body>
 *
 * written beside and renamed, so an object is there whole or not at all, with its metadata. The
 * files outlive the emulator, however it ends; they are not synced against a power failure. */
#ifndef EBB_CLOUD_EMULATOR_OBJECTS_H
#define EBB_CLOUD_EMULATOR_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define EBB_OBJECTS_MAX_KEY 1024

struct ebb_objects;
struct ebb_bucket;

struct ebb_stored {
    char *key;
    uint64_t size_bytes;
    char etag[48]; /* without quotes */
    int64_t modified_wall_ns;
    char *content_type;
    char *metadata;         /* lines "x-amz-meta-name: value\n" and other kept headers */
    char checksum_name[16]; /* "sha256"; empty: none was given */
    char checksum[96];
    uint64_t body_offset; /* in its file */
};

int ebb_objects_open(const char *state_dir, struct ebb_objects **ret, struct ebb_error *err);
void ebb_objects_destroy(struct ebb_objects *o);
uint64_t ebb_objects_total_bytes(const struct ebb_objects *o);

struct ebb_bucket *ebb_objects_bucket(struct ebb_objects *o, const char *name); /* or NULL */
int ebb_objects_create_bucket(struct ebb_objects *o, const char *name, struct ebb_error *err);
int ebb_objects_delete_bucket(struct ebb_objects *o, const char *name, struct ebb_error *err);
size_t ebb_objects_bucket_count(const struct ebb_objects *o);
struct ebb_bucket *ebb_objects_bucket_at(const struct ebb_objects *o, size_t i);
const char *ebb_bucket_name(const struct ebb_bucket *b);
int64_t ebb_bucket_created_wall_ns(const struct ebb_bucket *b);

/* Objects in byte order of their keys. */
size_t ebb_bucket_count(const struct ebb_bucket *b);
const struct ebb_stored *ebb_bucket_at(const struct ebb_bucket *b, size_t i);
size_t ebb_bucket_lower_bound(const struct ebb_bucket *b, const char *key); /* first >= key */
const struct ebb_stored *ebb_bucket_find(const struct ebb_bucket *b, const char *key);
char *ebb_bucket_path(const struct ebb_bucket *b, const char *key); /* the file; malloc'ed */

/* Creates or replaces; `what` gives all but body_offset. write_body must write size_bytes. */
int ebb_bucket_put(struct ebb_bucket *b, const struct ebb_stored *what,
                   int (*write_body)(void *ctx, int fd, struct ebb_error *err), void *ctx,
                   struct ebb_error *err);
int ebb_bucket_remove(struct ebb_bucket *b, const char *key, struct ebb_error *err);

#endif
