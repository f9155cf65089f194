/* S3's answers. Codes are read by name first, since one status has several meanings: 400 may be
 * RequestTimeout (try again) or InvalidArgument (never), 403 may be a clock that is off. */
#include "cloud/s3_answer.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "cloud/xml.h"

static const struct {
    const char *name;
    int code;
} named_codes[] = {
    {"NoSuchKey", EBB_ERR_NOT_FOUND},
    {"NoSuchBucket", EBB_ERR_INPUT},
    {"PreconditionFailed", EBB_ERR_PRECONDITION},
    {"ConditionalRequestConflict", EBB_ERR_CONFLICT},
    {"OperationAborted", EBB_ERR_CONFLICT},
    {"SlowDown", EBB_ERR_THROTTLED},
    {"Throttling", EBB_ERR_THROTTLED},
    {"ThrottlingException", EBB_ERR_THROTTLED},
    {"RequestLimitExceeded", EBB_ERR_THROTTLED},
    {"BandwidthLimitExceeded", EBB_ERR_THROTTLED},
    {"ServiceUnavailable", EBB_ERR_THROTTLED},
    {"RequestTimeout", EBB_ERR_UNAVAILABLE},
    {"IncompleteBody", EBB_ERR_UNAVAILABLE},
    {"BadDigest", EBB_ERR_UNAVAILABLE}, /* the body was damaged on its way */
    {"XAmzContentSHA256Mismatch", EBB_ERR_UNAVAILABLE},
    {"XAmzContentChecksumMismatch", EBB_ERR_UNAVAILABLE},
    {"InternalError", EBB_ERR_UNAVAILABLE},
    {"InvalidRange", EBB_ERR_CORRUPT},
    {"EntityTooLarge", EBB_ERR_INPUT},
    {"KeyTooLongError", EBB_ERR_INPUT},
    {"NotImplemented", EBB_ERR_UNSUPPORTED},
    {"AccessDenied", EBB_ERR_DENIED},
    {"InvalidAccessKeyId", EBB_ERR_DENIED},
    {"SignatureDoesNotMatch", EBB_ERR_DENIED},
    {"RequestTimeTooSkewed", EBB_ERR_DENIED},
    {"ExpiredToken", EBB_ERR_DENIED},
    {"InvalidToken", EBB_ERR_DENIED},
    {"QuotaExceeded", EBB_ERR_QUOTA},
};

int ebb_s3_code(int status, const char *name)
{
    for (size_t i = 0; i < EBB_ARRAY_LEN(named_codes); i++)
        if (strcmp(named_codes[i].name, name) == 0)
            return named_codes[i].code;
    switch (status) {
    case 401:
    case 403:
        return EBB_ERR_DENIED;
    case 404:
        return EBB_ERR_NOT_FOUND;
    case 409:
        return EBB_ERR_CONFLICT;
    case 412:
        return EBB_ERR_PRECONDITION;
    case 416:
        return EBB_ERR_CORRUPT;
    case 408:
        return EBB_ERR_UNAVAILABLE;
    case 429:
    case 503:
    case 509:
        return EBB_ERR_THROTTLED;
    case 501:
        return EBB_ERR_UNSUPPORTED;
    default:
        return status >= 500 ? EBB_ERR_UNAVAILABLE : EBB_ERR_INPUT;
    }
}

static struct ebb_xml *parse_error(const void *body, size_t len)
{
    struct ebb_xml *x = NULL;
    if (len == 0 || ebb_xml_parse(body, len, &x, NULL) < 0)
        return NULL;
    if (strcmp(ebb_xml_name(ebb_xml_root(x)), "Error") != 0) {
        ebb_xml_destroy(x);
        return NULL;
    }
    return x;
}

int ebb_s3_read_error(const char *what, int status, const void *body, size_t len,
                      struct ebb_error *err)
{
    struct ebb_xml *x = parse_error(body, len);
    const struct ebb_xml_node *root = x != NULL ? ebb_xml_root(x) : NULL;
    const char *name = ebb_xml_get(root, "Code");
    const char *region = ebb_xml_get(root, "Region");
    int code = ebb_s3_code(status, name);
    if (status >= 300 && status < 400)
        ebb_error_set(err, code = EBB_ERR_INPUT,
                      "%s: the bucket is in another region%s%.32s: set AWS_REGION", what,
                      region[0] != '\0' ? ", " : "", region);
    else
        ebb_error_set(
            err, code, "%s: HTTP %d%s%.64s%s%.200s", what, status, name[0] != '\0' ? " " : "", name,
            ebb_xml_get(root, "Message")[0] != '\0' ? ": " : "", ebb_xml_get(root, "Message"));
    ebb_xml_destroy(x);
    return code;
}

bool ebb_s3_is_hidden_error(const void *body, size_t len)
{
    if (len == 0 || len > (64u << 10) || memmem(body, len, "<Error", 6) == NULL)
        return false;
    struct ebb_xml *x = parse_error(body, len);
    ebb_xml_destroy(x);
    return x != NULL;
}

/* ---- lists ---- */

static int corrupt(struct ebb_error *err, const char *what)
{
    return ebb_error_set(err, EBB_ERR_CORRUPT, "list: the answer has %s", what);
}

static int read_object(const struct ebb_xml_node *n, const char *store_prefix, ebb_object_fn fn,
                       void *ctx, struct ebb_error *err)
{
    struct ebb_object_info info = {0};
    const char *raw = ebb_xml_get(n, "Key"), *etag = ebb_xml_get(n, "ETag");
    EBB_AUTO_FREE char *key = ebb_percent_decode(raw, strlen(raw), true, NULL);
    int64_t size = 0;
    if (key == NULL || key[0] == '\0' || !ebb_starts_with(key, store_prefix))
        return corrupt(err, "a key that was not asked for");
    if (ebb_parse_int(ebb_xml_get(n, "Size"), 0, INT64_MAX, &size, NULL) < 0 ||
        ebb_time_parse(ebb_xml_get(n, "LastModified"), &info.modified_wall_ns, NULL) < 0 ||
        strlen(etag) >= sizeof(info.etag))
        return corrupt(err, "an object without usable size, time or ETag");
    info.size_bytes = (uint64_t)size;
    snprintf(info.etag, sizeof(info.etag), "%s", etag);
    return fn(ctx, key + strlen(store_prefix), &info);
}

static int read_page(const struct ebb_xml_node *root, const char *store_prefix, ebb_object_fn fn,
                     void *ctx, char **ret_token, struct ebb_error *err)
{
    if (strcmp(ebb_xml_name(root), "ListBucketResult") != 0)
        return corrupt(err, "no ListBucketResult");
    const struct ebb_xml_node *n = ebb_xml_child(root, "Contents");
    for (; n != NULL; n = ebb_xml_next(n, "Contents")) {
        int code = read_object(n, store_prefix, fn, ctx, err);
        if (code != 0)
            return code;
    }
    *ret_token = NULL;
    if (strcmp(ebb_xml_get(root, "IsTruncated"), "true") != 0)
        return 0;
    const char *token = ebb_xml_get(root, "NextContinuationToken");
    if (token[0] == '\0')
        return corrupt(err, "no continuation token though it is cut off");
    *ret_token = ebb_strdup(token);
    return 0;
}

int ebb_s3_read_list(const void *body, size_t len, const char *store_prefix, ebb_object_fn fn,
                     void *ctx, char **ret_token, struct ebb_error *err)
{
    struct ebb_xml *x = NULL;
    int code = ebb_xml_parse(body, len, &x, err);
    if (code < 0)
        return code;
    code = read_page(ebb_xml_root(x), store_prefix, fn, ctx, ret_token, err);
    ebb_xml_destroy(x);
    return code;
}
