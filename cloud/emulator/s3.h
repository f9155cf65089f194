/* The emulated S3's request handlers, each for a request whose signature was right. Every one ends
 * in an answer. */
#ifndef EBB_CLOUD_EMULATOR_S3_H
#define EBB_CLOUD_EMULATOR_S3_H

#include <stdbool.h>

#include "cloud/emulator/exchange.h"
#include "cloud/emulator/objects.h"

struct ebb_s3_request {
    struct ebb_exchange *x;
    char bucket_name[64];
    char *key; /* decoded; NULL: the request is for the bucket */
    struct ebb_bucket *bucket;
};

/* An error in S3's form; the code tells the HTTP status. message NULL: the usual one. */
void ebb_s3_fail(struct ebb_s3_request *q, const char *code, const char *message);
void ebb_s3_reply_xml(struct ebb_s3_request *q, int status, struct ebb_buffer *body);
void ebb_s3_reply_empty(struct ebb_s3_request *q, int status);
void ebb_s3_begin_xml(struct ebb_buffer *body, const char *root);
/* "2026-11-21T11:05:00.000Z" and "Sat, 21 Nov 2026 11:05:00 GMT". */
char *ebb_s3_iso_time(int64_t wall_ns, char out[40]);
char *ebb_s3_http_time(int64_t wall_ns, char out[40]);

void ebb_s3_get_object(struct ebb_s3_request *q); /* and HEAD */
void ebb_s3_put_object(struct ebb_s3_request *q); /* and copy */
void ebb_s3_delete_object(struct ebb_s3_request *q);
void ebb_s3_delete_objects(struct ebb_s3_request *q);
void ebb_s3_list(struct ebb_s3_request *q);
void ebb_s3_multipart(struct ebb_s3_request *q); /* ?uploads, ?uploadId */

/* If-Match and If-None-Match of a write to q->key: NULL when it may go on, else the error code. */
const char *ebb_s3_check_write(struct ebb_s3_request *q);
/* What the request's headers say about a new object; strings are malloc'ed. */
void ebb_s3_describe_new(const struct ebb_s3_request *q, struct ebb_stored *ret);
void ebb_s3_described_clean_up(struct ebb_stored *s);
void ebb_s3_multipart_free(void *upload);

#endif
