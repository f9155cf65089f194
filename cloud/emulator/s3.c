/* The emulated S3: path style only, told apart by method, path and sub-resource. What each request
 * costs is counted once it is known to be genuine. */
#include "cloud/emulator/s3.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "cloud/emulator/emulator.h"
#include "cloud/emulator/faults.h"
#include "cloud/emulator/markup.h"

struct failure {
    const char *code;
    int status;
    const char *message;
};

static const struct failure failures[] = {
    {"AccessDenied", 403, "Access Denied"},
    {"AuthorizationHeaderMalformed", 400, "The authorization header is malformed."},
    {"BadDigest", 400, "The digest you specified did not match what we received."},
    {"BucketAlreadyOwnedByYou", 409, "Your previous request to create the bucket succeeded."},
    {"BucketNotEmpty", 409, "The bucket you tried to delete is not empty"},
    {"EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed object size."},
    {"EntityTooSmall", 400, "Your proposed upload is smaller than the minimum allowed size"},
    {"ExpiredToken", 400, "The provided token has expired."},
    {"IncompleteBody", 400, "The body is not as long as the request says."},
    {"InternalError", 500, "We encountered an internal error. Please try again."},
    {"InvalidAccessKeyId", 403,
     "The AWS Access Key Id you provided does not exist in our records."},
    {"InvalidArgument", 400, "Invalid Argument"},
    {"InvalidBucketName", 400, "The specified bucket is not valid."},
    {"InvalidDigest", 400, "The Content-MD5 you specified was invalid."},
    {"InvalidPart", 400,
     "One or more of the specified parts could not be found or its entity tag did not match."},
    {"InvalidPartOrder", 400, "The list of parts was not in ascending order."},
    {"InvalidRange", 416, "The requested range is not satisfiable"},
    {"InvalidRequest", 400, "Invalid Request"},
    {"InvalidToken", 400, "The provided token is malformed or otherwise invalid."},
    {"InvalidURI", 400, "Couldn't parse the specified URI."},
    {"KeyTooLongError", 400, "Your key is too long"},
    {"MalformedXML", 400, "The XML you provided was not well-formed."},
    {"MethodNotAllowed", 405, "The specified method is not allowed against this resource."},
    {"NoSuchBucket", 404, "The specified bucket does not exist"},
    {"NoSuchKey", 404, "The specified key does not exist."},
    {"NoSuchUpload", 404, "The specified multipart upload does not exist."},
    {"NotImplemented", 501, "The emulated S3 does not do this."},
    {"PreconditionFailed", 412, "At least one of the pre-conditions you specified did not hold"},
    {"RequestTimeTooSkewed", 403,
     "The difference between the request time and the current time is too large."},
    {"SignatureDoesNotMatch", 403,
     "The request signature we calculated does not match the signature you provided. Check your "
     "key and signing method."},
    {"SlowDown", 503, "Please reduce your request rate."},
    {"XAmzContentSHA256Mismatch", 400,
     "The provided 'x-amz-content-sha256' header does not match what was computed."},
};

static void request_clean_up(struct ebb_s3_request *q)
{
    free(q->key);
}

void ebb_s3_fail(struct ebb_s3_request *q, const char *code, const char *message)
{
    struct ebb_buffer body = {0};
    int status = 500;

    for (size_t i = 0; i < EBB_ARRAY_LEN(failures); i++)
        if (strcmp(failures[i].code, code) == 0) {
            status = failures[i].status;
            message = message != NULL ? message : failures[i].message;
        }
    ebb_buffer_append_text(&body, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>");
    ebb_markup_text(&body, "Code", code);
    ebb_markup_text(&body, "Message", message != NULL ? message : code);
    if (q->key != NULL)
        ebb_markup_text(&body, "Key", q->key);
    if (q->bucket_name[0] != '\0')
        ebb_markup_text(&body, "BucketName", q->bucket_name);
    ebb_markup_text(&body, "Resource", q->x->path);
    ebb_markup_text(&body, "RequestId", q->x->id);
    ebb_markup_text(&body, "HostId", q->x->id);
    ebb_buffer_append_text(&body, "</Error>");
    ebb_s3_reply_xml(q, status, &body);
    ebb_buffer_clean_up(&body);
}

static void send_answer(struct ebb_s3_request *q, int status)
{
    struct ebb_exchange *x = q->x;

    ebb_exchange_set_header(x, "x-amz-request-id", x->id);
    ebb_exchange_set_header(x, "x-amz-id-2", x->id);
    ebb_exchange_set_header(x, "Server", "AmazonS3");
    ebb_exchange_send(x, status);
}

void ebb_s3_reply_xml(struct ebb_s3_request *q, int status, struct ebb_buffer *body)
{
    char length[32];

    ebb_exchange_set_header(q->x, "Content-Type", "application/xml");
    if (strcmp(q->x->method, "HEAD") == 0) { /* the length would be of a body that never comes */
        snprintf(length, sizeof(length), "%d", 0);
        ebb_exchange_set_header(q->x, "Content-Length", length);
    } else {
        ebb_exchange_write(q->x, body);
    }
    send_answer(q, status);
}

void ebb_s3_reply_empty(struct ebb_s3_request *q, int status)
{
    send_answer(q, status);
}

void ebb_s3_begin_xml(struct ebb_buffer *body, const char *root)
{
    ebb_buffer_printf(body,
                      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                      "<%s xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
                      root);
}

char *ebb_s3_iso_time(int64_t wall_ns, char out[40])
{
    time_t s = (time_t)(wall_ns / EBB_NS_PER_S);
    struct tm tm;

    gmtime_r(&s, &tm);
    strftime(out, 40, "%Y-%m-%dT%H:%M:%S.000Z", &tm);
    return out;
}

char *ebb_s3_http_time(int64_t wall_ns, char out[40])
{
    time_t s = (time_t)(wall_ns / EBB_NS_PER_S);
    struct tm tm;

    gmtime_r(&s, &tm);
    strftime(out, 40, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    return out;
}

/* ---- buckets ---- */

static bool bucket_name_is_valid(const char *name)
{
    size_t len = strlen(name);

    return len >= 3 && len <= 63 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == len &&
           name[0] != '.' && name[0] != '-' && name[len - 1] != '.' && name[len - 1] != '-' &&
           strstr(name, "..") == NULL;
}

static void list_buckets(struct ebb_s3_request *q)
{
    struct ebb_objects *o = q->x->emulator->objects;
    struct ebb_buffer body = {0};
    char when[40];

    ebb_s3_begin_xml(&body, "ListAllMyBucketsResult");
    ebb_markup_open(&body, "Owner");
    ebb_markup_text(&body, "ID", q->x->emulator->keyring.account);
    ebb_markup_close(&body, "Owner");
    ebb_markup_open(&body, "Buckets");
    for (size_t i = 0; i < ebb_objects_bucket_count(o); i++) {
        const struct ebb_bucket *b = ebb_objects_bucket_at(o, i);

        ebb_markup_open(&body, "Bucket");
        ebb_markup_text(&body, "Name", ebb_bucket_name(b));
        ebb_markup_text(&body, "CreationDate",
                        ebb_s3_iso_time(ebb_bucket_created_wall_ns(b), when));
        ebb_markup_close(&body, "Bucket");
    }
    ebb_markup_close(&body, "Buckets");
    ebb_markup_close(&body, "ListAllMyBucketsResult");
    ebb_s3_reply_xml(q, 200, &body);
    ebb_buffer_clean_up(&body);
}

static void create_bucket(struct ebb_s3_request *q)
{
    struct ebb_emulator *e = q->x->emulator;
    struct ebb_error err = {0};

    if (!bucket_name_is_valid(q->bucket_name)) {
        ebb_s3_fail(q, "InvalidBucketName", NULL);
    } else if (q->bucket == NULL &&
               ebb_objects_create_bucket(e->objects, q->bucket_name, &err) < 0) {
        ebb_s3_fail(q, "InternalError", err.text);
    } else if (q->bucket != NULL && strcmp(e->fleet->region, "us-east-1") != 0) {
        ebb_s3_fail(q, "BucketAlreadyOwnedByYou", NULL);
    } else {
        EBB_AUTO_FREE char *location = ebb_sprintf("/%s", q->bucket_name);

        ebb_exchange_set_header(q->x, "Location", location);
        ebb_s3_reply_empty(q, 200);
    }
}

static void delete_bucket(struct ebb_s3_request *q)
{
    struct ebb_error err = {0};

    if (ebb_bucket_count(q->bucket) > 0)
        ebb_s3_fail(q, "BucketNotEmpty", NULL);
    else if (ebb_objects_delete_bucket(q->x->emulator->objects, q->bucket_name, &err) < 0)
        ebb_s3_fail(q, "InternalError", err.text);
    else
        ebb_s3_reply_empty(q, 204);
}

static void reply_location(struct ebb_s3_request *q)
{
    struct ebb_buffer body = {0};
    const char *region = q->x->emulator->fleet->region;

    ebb_s3_begin_xml(&body, "LocationConstraint");
    ebb_markup_escape(&body, strcmp(region, "us-east-1") == 0 ? "" : region);
    ebb_markup_close(&body, "LocationConstraint");
    ebb_s3_reply_xml(q, 200, &body);
    ebb_buffer_clean_up(&body);
}

static void handle_bucket(struct ebb_s3_request *q)
{
    const char *method = q->x->method;
    const struct ebb_params *p = &q->x->params;

    if (strcmp(method, "PUT") == 0) {
        if (p->count == 0)
            create_bucket(q);
        else
            ebb_s3_fail(q, "NotImplemented", NULL);
        return;
    }
    if (q->bucket == NULL)
        ebb_s3_fail(q, "NoSuchBucket", NULL);
    else if (strcmp(method, "HEAD") == 0) {
        ebb_exchange_set_header(q->x, "x-amz-bucket-region", q->x->emulator->fleet->region);
        ebb_s3_reply_empty(q, 200);
    } else if (strcmp(method, "DELETE") == 0)
        delete_bucket(q);
    else if (strcmp(method, "POST") == 0 && ebb_params_get(p, "delete") != NULL)
        ebb_s3_delete_objects(q);
    else if (strcmp(method, "GET") == 0 && ebb_params_get(p, "location") != NULL)
        reply_location(q);
    else if (strcmp(method, "GET") == 0 && ebb_params_get(p, "uploads") != NULL)
        ebb_s3_multipart(q);
    else if (strcmp(method, "GET") == 0)
        ebb_s3_list(q);
    else
        ebb_s3_fail(q, "MethodNotAllowed", NULL);
}

static void handle_object(struct ebb_s3_request *q)
{
    const char *method = q->x->method;
    const struct ebb_params *p = &q->x->params;

    if (q->bucket == NULL)
        ebb_s3_fail(q, "NoSuchBucket", NULL);
    else if (strlen(q->key) > EBB_OBJECTS_MAX_KEY)
        ebb_s3_fail(q, "KeyTooLongError", NULL);
    else if (ebb_params_get(p, "uploads") != NULL || ebb_params_get(p, "uploadId") != NULL)
        ebb_s3_multipart(q);
    else if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
        ebb_s3_get_object(q);
    else if (strcmp(method, "PUT") == 0)
        ebb_s3_put_object(q);
    else if (strcmp(method, "DELETE") == 0)
        ebb_s3_delete_object(q);
    else
        ebb_s3_fail(q, "MethodNotAllowed", NULL);
}

/* "/bucket/key" -> names; false when the path is malformed. */
static bool read_path(struct ebb_s3_request *q)
{
    size_t len = 0;
    EBB_AUTO_FREE char *path = ebb_percent_decode(q->x->path, strlen(q->x->path), false, &len);
    const char *bucket, *slash;

    if (path == NULL || strlen(path) != len || path[0] != '/')
        return false;
    bucket = path + 1;
    slash = strchr(bucket, '/');
    size_t bucket_len = slash != NULL ? (size_t)(slash - bucket) : strlen(bucket);
    if (bucket_len >= sizeof(q->bucket_name))
        return false;
    memcpy(q->bucket_name, bucket, bucket_len);
    q->bucket_name[bucket_len] = '\0';
    if (slash != NULL && slash[1] != '\0')
        q->key = ebb_strdup(slash + 1);
    q->bucket = ebb_objects_bucket(q->x->emulator->objects, q->bucket_name);
    return true;
}

static const char *verdict_code(enum ebb_keyring_verdict verdict)
{
    switch (verdict) {
    case EBB_KEYRING_GENUINE:
        return NULL;
    case EBB_KEYRING_ABSENT:
    case EBB_KEYRING_EXPIRED:
        return "AccessDenied";
    case EBB_KEYRING_MALFORMED:
        return "AuthorizationHeaderMalformed";
    case EBB_KEYRING_UNKNOWN_KEY:
        return "InvalidAccessKeyId";
    case EBB_KEYRING_BAD_TOKEN:
        return "InvalidToken";
    case EBB_KEYRING_EXPIRED_TOKEN:
        return "ExpiredToken";
    case EBB_KEYRING_SKEWED:
        return "RequestTimeTooSkewed";
    case EBB_KEYRING_MISMATCH:
        return "SignatureDoesNotMatch";
    }
    return "AccessDenied";
}

static void count(struct ebb_s3_request *q)
{
    const char *method = q->x->method;
    bool is_list = strcmp(method, "GET") == 0 && q->key == NULL;
    enum ebb_bill_request kind = EBB_BILL_GET;

    if (strcmp(method, "DELETE") == 0)
        kind = EBB_BILL_DELETE;
    else if (strcmp(method, "PUT") == 0 || strcmp(method, "POST") == 0 || is_list)
        kind = EBB_BILL_PUT;
    ebb_bill_count(&q->x->emulator->bill, kind);
    q->x->emulator->bill_changed = true;
}

void ebb_s3_handle(struct ebb_exchange *x)
{
    EBB_AUTO(request_clean_up) struct ebb_s3_request q = {.x = x};
    struct ebb_emulator *e = x->emulator;
    char service[33];
    const char *refused;

    if (!read_path(&q) || x->query_malformed) {
        ebb_s3_fail(&q, "InvalidURI", NULL);
        return;
    }
    refused = verdict_code(ebb_keyring_check(&e->keyring, x, service));
    if (refused != NULL) {
        ebb_s3_fail(&q, refused, NULL);
        return;
    }
    if (x->vm != NULL && ebb_faults_vm_is_partitioned(e, x->vm)) {
        ebb_exchange_blackhole(x);
        return;
    }
    if (ebb_faults_hit(e, EBB_FLEET_FAULT_THROTTLE, EBB_FLEET_SERVICE_S3, x->method, -1, -1)) {
        ebb_s3_fail(&q, "SlowDown", NULL);
        return;
    }
    if (ebb_faults_hit(e, EBB_FLEET_FAULT_ERROR, EBB_FLEET_SERVICE_S3, x->method, -1, -1)) {
        ebb_s3_fail(&q, "InternalError", NULL);
        return;
    }
    count(&q);
    ebb_faults_shape_answer(x, EBB_FLEET_SERVICE_S3, x->method);
    ebb_faults_shape_transfer(x, EBB_FLEET_SERVICE_S3, x->method, x->body_len);
    if (q.bucket_name[0] == '\0')
        list_buckets(&q);
    else if (q.key == NULL)
        handle_bucket(&q);
    else
        handle_object(&q);
}
