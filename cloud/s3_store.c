/* S3 (and what speaks like it) as an object store. One request at a time, no multipart: an object
 * is put whole, so it is there whole or not at all.
 *
 * What is tried again. Reads, lists, deletes and unconditional puts are idempotent: every transient
 * failure. A conditional put: only while the store cannot have acted (throttled, connection
 * refused). When it may have acted, because it failed inside (5xx), the put is sent again, but a
 * later "exists" or "precondition failed" may be our own first try, so the call then ends as
 * EBB_ERR_TIMEOUT and the caller reads back. An answer that never came is EBB_ERR_TIMEOUT at once.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/text.h"
#include "cloud/aws_client.h"
#include "cloud/credentials.h"
#include "cloud/object_store_methods.h"
#include "cloud/retry.h"
#include "cloud/s3_answer.h"

#define ERROR_BYTES      (64u << 10)
#define LIST_BYTES       (8u << 20)
#define SHORT_TIMEOUT_S  30.0
#define MIN_BYTES_PER_S  (256.0 * 1024) /* a transfer slower than this has stalled */
#define MAX_PRESIGN_S    604800.0
#define MAX_OBJECT_BYTES (UINT64_C(5) << 30)

struct s3_store {
    struct ebb_object_store base;
    struct ebb_aws_client *client;
    char *origin; /* "https://bucket.s3.region.amazonaws.com" or the endpoint */
    char *folder; /* "" (bucket in the host name) or "/bucket" */
    char *prefix; /* "" or "some/prefix/" */
};

static struct s3_store *self(struct ebb_object_store *s)
{
    return (struct s3_store *)s;
}

static void destroy(struct ebb_object_store *s)
{
    struct s3_store *t = self(s);
    ebb_aws_client_destroy(t->client);
    free(t->origin);
    free(t->folder);
    free(t->prefix);
    free(t);
}

/* "/bucket/prefix/key", encoded; malloc'ed. */
static char *target_of(const struct s3_store *t, const char *key)
{
    struct ebb_buffer b = {0};
    ebb_buffer_printf(&b, "%s/", t->folder);
    ebb_percent_encode(&b, t->prefix, strlen(t->prefix), true);
    ebb_percent_encode(&b, key, strlen(key), true);
    return ebb_buffer_take_text(&b);
}

static void add_header(struct ebb_aws_request *q, const char *name, const char *value)
{
    q->headers[q->header_count++] = (struct ebb_sigv4_header){name, value};
}

static struct ebb_aws_request request(const struct s3_store *t, const char *method,
                                      const char *target)
{
    return (struct ebb_aws_request){.service = "s3",
                                    .method = method,
                                    .origin = t->origin,
                                    .target = target,
                                    .timeout_s = SHORT_TIMEOUT_S,
                                    .max_answer_bytes = ERROR_BYTES,
                                    .cancel = t->base.cancel};
}

/* One request with the timeout cut to what the call has left. 0 on 2xx, else the error's code. */
static int send_once(struct s3_store *t, struct ebb_aws_request *q, const char *what, double left_s,
                     struct ebb_http_answer *ret, struct ebb_error *err)
{
    double timeout_s = q->timeout_s;
    if (left_s < timeout_s)
        q->timeout_s = left_s > 1.0 ? left_s : 1.0;
    *ret = (struct ebb_http_answer){0};
    int code = ebb_aws_call(t->client, q, ret, err);
    q->timeout_s = timeout_s;
    if (code < 0)
        return ebb_error_wrap(err, code, "%s", what);
    atomic_fetch_add(&t->base.bytes_down, ret->body.len);
    if (ret->status >= 200 && ret->status < 300)
        return 0;
    return ebb_s3_read_error(what, ret->status, ret->body.data, ret->body.len, err);
}

static int cancelled_or(const struct ebb_retry *r, int code, const char *what,
                        struct ebb_error *err)
{
    if (ebb_retry_is_cancelled(r))
        return ebb_error_set(err, EBB_ERR_CANCELLED, "%s: cancelled", what);
    return code;
}

/* A request that may be repeated at will. */
static int send_idempotent(struct s3_store *t, struct ebb_aws_request *q, const char *what,
                           _Atomic uint64_t *count, struct ebb_http_answer *ret,
                           struct ebb_error *err)
{
    struct ebb_retry retry;
    ebb_retry_init(&retry, t->base.retry_for_s, t->base.cancel);
    for (;;) {
        atomic_fetch_add(count, 1);
        int code = send_once(t, q, what, ebb_retry_left_s(&retry), ret, err);
        if (code == 0)
            return 0;
        ebb_http_answer_clean_up(ret);
        *ret = (struct ebb_http_answer){0};
        if (!ebb_retry_again(&retry, code))
            return cancelled_or(&retry, code, what, err);
    }
}

/* ---- reading ---- */

static int read_info(const struct ebb_http_answer *a, struct ebb_object_info *ret,
                     struct ebb_error *err)
{
    EBB_AUTO_FREE char *etag = ebb_http_header(a, "ETag");
    EBB_AUTO_FREE char *length = ebb_http_header(a, "Content-Length");
    EBB_AUTO_FREE char *range = ebb_http_header(a, "Content-Range");
    EBB_AUTO_FREE char *modified = ebb_http_header(a, "Last-Modified");
    const char *size_text = length;
    if (range != NULL && strchr(range, '/') != NULL)
        size_text = strchr(range, '/') + 1;
    int64_t size = 0;
    struct tm tm = {0};
    if (etag == NULL || strlen(etag) >= sizeof(ret->etag) || size_text == NULL ||
        ebb_parse_int(size_text, 0, INT64_MAX, &size, NULL) < 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "answer without usable ETag or length");
    memset(ret, 0, sizeof(*ret));
    ret->size_bytes = (uint64_t)size;
    snprintf(ret->etag, sizeof(ret->etag), "%s", etag);
    if (modified != NULL && strptime(modified, "%a, %d %b %Y %H:%M:%S GMT", &tm) != NULL)
        ret->modified_wall_ns = (int64_t)timegm(&tm) * EBB_NS_PER_S;
    return 0;
}

static int check_got(const char *what, const struct ebb_http_answer *a,
                     const struct ebb_object_info *info, uint64_t offset, uint64_t len,
                     size_t max_bytes, struct ebb_error *err)
{
    uint64_t wanted = len > 0 ? len : info->size_bytes - offset;
    if (offset > info->size_bytes || a->body.len != wanted)
        return ebb_error_set(err, EBB_ERR_CORRUPT,
                             "%s: %zu bytes came, %llu from %llu of %llu were asked for", what,
                             a->body.len, (unsigned long long)len, (unsigned long long)offset,
                             (unsigned long long)info->size_bytes);
    if (a->body.len > max_bytes)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "%s: %zu bytes, at most %zu expected", what,
                             a->body.len, max_bytes);
    return 0;
}

static void take_body(struct ebb_http_answer *a, struct ebb_buffer *out)
{
    if (out->data == NULL) {
        *out = a->body;
        a->body = (struct ebb_buffer){0};
    } else {
        ebb_buffer_append(out, a->body.data, a->body.len);
    }
}

static int get(struct ebb_object_store *s, const char *key, uint64_t offset, uint64_t len,
               size_t max_bytes, struct ebb_buffer *out, struct ebb_object_info *ret_info,
               struct ebb_error *err)
{
    struct s3_store *t = self(s);
    EBB_AUTO_FREE char *target = target_of(t, key);
    EBB_AUTO_FREE char *what = ebb_sprintf("get %s", key);
    EBB_AUTO_FREE char *range = NULL;
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer answer = {0};
    struct ebb_object_info info;
    struct ebb_aws_request q = request(t, "GET", target);
    q.max_answer_bytes = max_bytes > ERROR_BYTES ? max_bytes : ERROR_BYTES;
    q.timeout_s += (double)(len > 0 ? len : max_bytes) / MIN_BYTES_PER_S;
    if (len > 0)
        range = ebb_sprintf("bytes=%llu-%llu", (unsigned long long)offset,
                            (unsigned long long)(offset + len - 1));
    else if (offset > 0)
        range = ebb_sprintf("bytes=%llu-", (unsigned long long)offset);
    if (range != NULL)
        add_header(&q, "Range", range);
    int code = send_idempotent(t, &q, what, &s->gets, &answer, err);
    if (code == 0)
        code = read_info(&answer, &info, err);
    if (code == 0)
        code = check_got(what, &answer, &info, offset, len, max_bytes, err);
    if (code < 0)
        return code;
    take_body(&answer, out);
    if (ret_info != NULL)
        *ret_info = info;
    return 0;
}

static int head(struct ebb_object_store *s, const char *key, struct ebb_object_info *ret_info,
                struct ebb_error *err)
{
    struct s3_store *t = self(s);
    EBB_AUTO_FREE char *target = target_of(t, key);
    EBB_AUTO_FREE char *what = ebb_sprintf("head %s", key);
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer answer = {0};
    struct ebb_aws_request q = request(t, "HEAD", target);
    int code = send_idempotent(t, &q, what, &s->gets, &answer, err);
    return code < 0 ? code : read_info(&answer, ret_info, err);
}

/* ---- writing ---- */

/* What a refused conditional put means. `unsure`: an earlier try of this call may have been it. */
static int settle_put(int code, int status, enum ebb_put_condition condition, bool unsure,
                      const char *what, struct ebb_error *err)
{
    bool lost = code == EBB_ERR_PRECONDITION ||
                (code == EBB_ERR_NOT_FOUND && condition == EBB_PUT_IF_MATCH);
    if (!lost)
        return code;
    if (unsure)
        return ebb_error_set(err, EBB_ERR_TIMEOUT,
                             "%s: refused after a try whose outcome is unknown (HTTP %d)", what,
                             status);
    if (condition == EBB_PUT_IF_ABSENT)
        return ebb_error_set(err, EBB_ERR_EXISTS, "%s: it exists already", what);
    return ebb_error_set(err, EBB_ERR_PRECONDITION, "%s: it is no longer the version asked for",
                         what);
}

static int send_conditional(struct s3_store *t, struct ebb_aws_request *q,
                            enum ebb_put_condition condition, const char *what,
                            struct ebb_http_answer *ret, struct ebb_error *err)
{
    struct ebb_retry retry;
    bool unsure = false;
    ebb_retry_init(&retry, t->base.retry_for_s, t->base.cancel);
    for (;;) {
        atomic_fetch_add(&t->base.puts, 1);
        int code = send_once(t, q, what, ebb_retry_left_s(&retry), ret, err);
        int status = ret->status;
        if (code == 0)
            return 0;
        ebb_http_answer_clean_up(ret);
        *ret = (struct ebb_http_answer){0};
        code = settle_put(code, status, condition, unsure, what, err);
        if (code == EBB_ERR_TIMEOUT || code == EBB_ERR_CONFLICT)
            return code;
        /* A status means that the request arrived: after a 5xx other than "slow down" it may have
         * been carried out. */
        unsure = unsure || (code == EBB_ERR_UNAVAILABLE && status >= 500);
        if (ebb_retry_again(&retry, code))
            continue;
        if (unsure && ebb_code_is_transient(code))
            return ebb_error_set(err, EBB_ERR_TIMEOUT, "%s: the outcome is unknown (HTTP %d)", what,
                                 status);
        return cancelled_or(&retry, code, what, err);
    }
}

static int send_put(struct s3_store *t, struct ebb_aws_request *q, enum ebb_put_condition condition,
                    const char *what, struct ebb_http_answer *ret, struct ebb_error *err)
{
    int code = condition == EBB_PUT_ALWAYS ? send_idempotent(t, q, what, &t->base.puts, ret, err)
                                           : send_conditional(t, q, condition, what, ret, err);
    if (code == 0 && ebb_s3_is_hidden_error(ret->body.data, ret->body.len)) {
        (void)ebb_s3_read_error(what, 500, ret->body.data, ret->body.len, err);
        return ebb_error_set(err, EBB_ERR_TIMEOUT, "%s: an error came with HTTP %d", what,
                             ret->status);
    }
    return code;
}

static int put(struct ebb_object_store *s, const char *key, const void *data, size_t len,
               enum ebb_put_condition condition, const char *etag, char *ret_etag,
               struct ebb_error *err)
{
    struct s3_store *t = self(s);
    EBB_AUTO_FREE char *target = target_of(t, key);
    EBB_AUTO_FREE char *what = ebb_sprintf("put %s", key);
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer answer = {0};
    uint8_t hash[EBB_SHA256_SIZE];
    if (len > MAX_OBJECT_BYTES)
        return ebb_error_set(err, EBB_ERR_INPUT, "%s: %zu bytes, S3 takes at most 5 GiB", what,
                             len);
    ebb_sha256(data, len, hash);
    EBB_AUTO_FREE char *checksum = ebb_base64_encode(hash, sizeof(hash));
    struct ebb_aws_request q = request(t, "PUT", target);
    q.body = data;
    q.body_len = len;
    q.body_sha256 = hash;
    q.timeout_s += (double)len / MIN_BYTES_PER_S;
    add_header(&q, "X-Amz-Checksum-Sha256", checksum);
    add_header(&q, "Content-Type", "application/octet-stream");
    if (condition == EBB_PUT_IF_ABSENT)
        add_header(&q, "If-None-Match", "*");
    else if (condition == EBB_PUT_IF_MATCH)
        add_header(&q, "If-Match", etag);
    int code = send_put(t, &q, condition, what, &answer, err);
    if (code < 0)
        return code;
    atomic_fetch_add(&s->bytes_up, len);
    if (ret_etag == NULL)
        return 0;
    EBB_AUTO_FREE char *new_etag = ebb_http_header(&answer, "ETag");
    if (new_etag == NULL || strlen(new_etag) >= EBB_ETAG_SIZE)
        return ebb_error_set(err, EBB_ERR_TIMEOUT, "%s: done, but the answer has no ETag", what);
    snprintf(ret_etag, EBB_ETAG_SIZE, "%s", new_etag);
    return 0;
}

static int remove_object(struct ebb_object_store *s, const char *key, struct ebb_error *err)
{
    struct s3_store *t = self(s);
    EBB_AUTO_FREE char *target = target_of(t, key);
    EBB_AUTO_FREE char *what = ebb_sprintf("delete %s", key);
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer answer = {0};
    struct ebb_aws_request q = request(t, "DELETE", target);
    int code = send_idempotent(t, &q, what, &s->gets, &answer, err);
    return code == EBB_ERR_NOT_FOUND ? 0 : code;
}

/* ---- listing ---- */

static int list_page(struct s3_store *t, const char *prefix, ebb_object_fn fn, void *ctx,
                     char **token, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer target = {0};
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer answer = {0};
    ebb_buffer_printf(&target, "%s/?", t->folder);
    if (*token != NULL) {
        ebb_buffer_append_text(&target, "continuation-token=");
        ebb_percent_encode(&target, *token, strlen(*token), false);
        ebb_buffer_append_text(&target, "&");
    }
    ebb_buffer_append_text(&target, "encoding-type=url&list-type=2&prefix=");
    ebb_percent_encode(&target, t->prefix, strlen(t->prefix), false);
    ebb_percent_encode(&target, prefix, strlen(prefix), false);
    free(EBB_TAKE(*token));
    struct ebb_aws_request q = request(t, "GET", ebb_buffer_text(&target));
    q.max_answer_bytes = LIST_BYTES;
    EBB_AUTO_FREE char *what = ebb_sprintf("list %s", prefix);
    int code = send_idempotent(t, &q, what, &t->base.puts, &answer, err);
    if (code < 0)
        return code;
    return ebb_s3_read_list(answer.body.data, answer.body.len, t->prefix, fn, ctx, token, err);
}

static int list(struct ebb_object_store *s, const char *prefix, ebb_object_fn fn, void *ctx,
                struct ebb_error *err)
{
    char *token = NULL;
    int code;
    do {
        code = list_page(self(s), prefix, fn, ctx, &token, err);
    } while (code == 0 && token != NULL);
    free(token);
    return code;
}

static char *presign(struct ebb_object_store *s, const char *key, double valid_s,
                     struct ebb_error *err)
{
    struct s3_store *t = self(s);
    EBB_AUTO_FREE char *target = target_of(t, key);
    unsigned whole_s =
        valid_s < 1 ? 1 : (unsigned)(valid_s < MAX_PRESIGN_S ? valid_s : MAX_PRESIGN_S);
    return ebb_aws_presign(t->client, "s3", "GET", t->origin, target, whole_s, err);
}

/* ---- opening ---- */

static bool is_bucket_name(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (strchr("abcdefghijklmnopqrstuvwxyz0123456789.-", s[i]) == NULL)
            return false;
    return len >= 3 && len <= 63;
}

/* Virtual-host addresses for AWS itself; the path for other endpoints, and for a bucket with a dot,
 * which no wild-card certificate covers. */
static void set_address(struct s3_store *t, const char *bucket)
{
    const char *region = ebb_aws_client_region(t->client);
    t->origin = ebb_aws_endpoint("S3");
    if (t->origin == NULL && strchr(bucket, '.') == NULL) {
        t->origin = ebb_sprintf("https://%s.s3.%s.amazonaws.com", bucket, region);
        t->folder = ebb_strdup("");
        return;
    }
    if (t->origin == NULL)
        t->origin = ebb_sprintf("https://s3.%s.amazonaws.com", region);
    t->folder = ebb_sprintf("/%s", bucket);
}

int ebb_s3_store_open(const char *url, struct ebb_object_store **ret, struct ebb_error *err)
{
    static const struct ebb_object_store_methods methods = {
        destroy, get, head, put, remove_object, list, presign,
    };
    const char *bucket = url + strlen("s3://");
    size_t bucket_len = strcspn(bucket, "/");
    if (!is_bucket_name(bucket, bucket_len))
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "store %s: a bucket name has 3 to 63 of a-z, 0-9, '.' and '-'", url);
    const char *prefix = bucket + bucket_len + strspn(bucket + bucket_len, "/");
    size_t prefix_len = strlen(prefix);
    while (prefix_len > 0 && prefix[prefix_len - 1] == '/')
        prefix_len--;
    struct s3_store *t = ebb_alloc(sizeof(*t));
    t->base.methods = &methods;
    int code = ebb_aws_client_new(&t->client, err);
    if (code < 0) {
        free(t);
        return ebb_error_wrap(err, code, "store %s", url);
    }
    EBB_AUTO_FREE char *name = ebb_strndup(bucket, bucket_len);
    set_address(t, name);
    t->prefix = prefix_len > 0 ? ebb_sprintf("%.*s/", (int)prefix_len, prefix) : ebb_strdup("");
    *ret = &t->base;
    return 0;
}
