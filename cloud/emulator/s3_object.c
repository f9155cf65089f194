/* Objects of the emulated S3: put with conditions and digests, get with ranges and conditions,
 * head, delete, copy. A condition and the write it guards happen in one step of the single thread,
 * so they are atomic. */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/text.h"
#include "cloud/emulator/emulator.h"
#include "cloud/emulator/faults.h"
#include "cloud/emulator/markup.h"
#include "cloud/emulator/s3.h"
#include "cloud/emulator/s3_body.h"

#define MAX_METADATA_BYTES 2048
#define MAX_DELETES        1000

/* True when `list` ("\"a\", \"b\"", or *) names the entity tag. */
static bool etag_matches(const char *list, const char *etag)
{
    while (*list != '\0') {
        size_t len;

        list += strspn(list, " ,");
        if (ebb_starts_with(list, "W/"))
            list += 2;
        if (*list == '*')
            return true;
        if (*list == '"') {
            len = strcspn(list + 1, "\"");
            if (strlen(etag) == len && memcmp(list + 1, etag, len) == 0)
                return true;
            list += len + 1 + (list[len + 1] != '\0');
        } else {
            len = strcspn(list, " ,");
            if (strlen(etag) == len && memcmp(list, etag, len) == 0)
                return true;
            list += len;
        }
    }
    return false;
}

const char *ebb_s3_check_write(struct ebb_s3_request *q)
{
    const char *match = ebb_exchange_header(q->x, "If-Match");
    const char *none = ebb_exchange_header(q->x, "If-None-Match");
    const struct ebb_stored *s = ebb_bucket_find(q->bucket, q->key);

    if (none != NULL && strcmp(none, "*") != 0)
        return "NotImplemented";
    if (match != NULL && s == NULL)
        return "NoSuchKey";
    if (match != NULL && !etag_matches(match, s->etag))
        return "PreconditionFailed";
    return none != NULL && s != NULL ? "PreconditionFailed" : NULL;
}

void ebb_s3_describe_new(const struct ebb_s3_request *q, struct ebb_stored *ret)
{
    static const char *const kept[] = {"Cache-Control", "Content-Disposition", "Content-Encoding",
                                       "Content-Language", "Expires"};
    struct evkeyvalq *in = evhttp_request_get_input_headers(q->x->request);
    const char *type = ebb_exchange_header(q->x, "Content-Type");
    struct ebb_buffer lines = {0};

    memset(ret, 0, sizeof(*ret));
    for (const struct evkeyval *h = in->tqh_first; h != NULL; h = h->next.tqe_next) {
        bool keep = strncasecmp(h->key, "x-amz-meta-", 11) == 0;

        for (size_t i = 0; i < EBB_ARRAY_LEN(kept); i++)
            keep = keep || strcasecmp(h->key, kept[i]) == 0;
        if (keep && strcmp(h->value, "aws-chunked") != 0)
            ebb_buffer_printf(&lines, "%s: %s\n", h->key, h->value);
    }
    ret->key = ebb_strdup(q->key);
    ret->content_type = ebb_strdup(type != NULL ? type : "binary/octet-stream");
    ret->metadata = ebb_buffer_take_text(&lines);
    if (ret->metadata == NULL)
        ret->metadata = ebb_strdup("");
    ret->modified_wall_ns = ebb_wall_ns(NULL);
}

void ebb_s3_described_clean_up(struct ebb_stored *s)
{
    free(s->key);
    free(s->content_type);
    free(s->metadata);
}

static void set_etag(struct ebb_exchange *x, const char *etag)
{
    char quoted[64];

    snprintf(quoted, sizeof(quoted), "\"%s\"", etag);
    ebb_exchange_set_header(x, "ETag", quoted);
}

static void set_checksum(struct ebb_exchange *x, const struct ebb_stored *s)
{
    char name[48];

    if (s->checksum_name[0] == '\0')
        return;
    snprintf(name, sizeof(name), "x-amz-checksum-%s", s->checksum_name);
    ebb_exchange_set_header(x, name, s->checksum);
}

/* ---- put ---- */

static int write_memory(void *ctx, int fd, struct ebb_error *err)
{
    const struct ebb_s3_body *body = ctx;

    return ebb_write_all(fd, body->data, body->len, err);
}

static void put_plain(struct ebb_s3_request *q)
{
    EBB_AUTO(ebb_s3_body_clean_up) struct ebb_s3_body body;
    EBB_AUTO(ebb_s3_described_clean_up) struct ebb_stored s;
    struct ebb_error err = {0};
    const char *message = NULL;
    const char *code = ebb_s3_body_read(q->x, &body, &message);

    ebb_s3_describe_new(q, &s);
    if (code == NULL && strlen(s.metadata) > MAX_METADATA_BYTES + 1024) {
        code = "InvalidRequest";
        message = "Your metadata headers exceed the maximum allowed metadata size";
    }
    if (code == NULL)
        code = ebb_s3_check_write(q);
    if (code != NULL) {
        ebb_s3_fail(q, code, message);
        return;
    }
    s.size_bytes = body.len;
    ebb_hex(body.md5, sizeof(body.md5), s.etag);
    memcpy(s.checksum_name, body.checksum_name, sizeof(s.checksum_name));
    memcpy(s.checksum, body.checksum, sizeof(s.checksum));
    if (ebb_bucket_put(q->bucket, &s, write_memory, &body, &err) < 0) {
        ebb_s3_fail(q, err.code == EBB_ERR_INPUT ? "InvalidURI" : "InternalError", err.text);
        return;
    }
    set_etag(q->x, s.etag);
    set_checksum(q->x, &s);
    ebb_s3_reply_empty(q, 200);
}

struct copy {
    const char *path;
    uint64_t offset;
    uint64_t size_bytes;
};

static int write_copy(void *ctx, int fd, struct ebb_error *err)
{
    const struct copy *c = ctx;
    int from = open(c->path, O_RDONLY | O_CLOEXEC);
    off_t at = (off_t)c->offset;
    uint64_t left = c->size_bytes;
    int code = 0;

    if (from < 0)
        return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot open %s", c->path);
    while (left > 0 && code == 0) {
        ssize_t n = sendfile(fd, from, &at, left > 1 << 30 ? 1 << 30 : (size_t)left);

        if (n <= 0)
            code = ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot copy %s", c->path);
        else
            left -= (uint64_t)n;
    }
    close(from);
    return code;
}

static void reply_copy(struct ebb_s3_request *q, const struct ebb_stored *s)
{
    struct ebb_buffer body = {0};
    char when[40];

    ebb_s3_begin_xml(&body, "CopyObjectResult");
    ebb_markup_format(&body, "ETag", "\"%s\"", s->etag);
    ebb_markup_text(&body, "LastModified", ebb_s3_iso_time(s->modified_wall_ns, when));
    ebb_markup_close(&body, "CopyObjectResult");
    ebb_s3_reply_xml(q, 200, &body);
    ebb_buffer_clean_up(&body);
}

static void put_copy(struct ebb_s3_request *q, const char *source)
{
    EBB_AUTO_FREE char *decoded = ebb_percent_decode(source, strcspn(source, "?"), false, NULL);
    char *name = decoded != NULL ? decoded + (decoded[0] == '/') : NULL;
    char *slash = name != NULL ? strchr(name, '/') : NULL;
    EBB_AUTO(ebb_s3_described_clean_up) struct ebb_stored s;
    const struct ebb_stored *old;
    struct ebb_bucket *from;
    struct ebb_error err = {0};
    const char *directive = ebb_exchange_header(q->x, "x-amz-metadata-directive");
    const char *code = ebb_s3_check_write(q);

    ebb_s3_describe_new(q, &s);
    if (slash == NULL) {
        ebb_s3_fail(q, "InvalidArgument", "Copy Source must mention the source bucket and key");
        return;
    }
    *slash = '\0';
    from = ebb_objects_bucket(q->x->emulator->objects, name);
    old = from != NULL ? ebb_bucket_find(from, slash + 1) : NULL;
    if (code == NULL && old == NULL)
        code = from == NULL ? "NoSuchBucket" : "NoSuchKey";
    if (code != NULL) {
        ebb_s3_fail(q, code, NULL);
        return;
    }
    EBB_AUTO_FREE char *path = ebb_bucket_path(from, old->key);
    struct copy c = {.path = path, .offset = old->body_offset, .size_bytes = old->size_bytes};
    s.size_bytes = old->size_bytes;
    memcpy(s.etag, old->etag, sizeof(s.etag));
    memcpy(s.checksum_name, old->checksum_name, sizeof(s.checksum_name));
    memcpy(s.checksum, old->checksum, sizeof(s.checksum));
    if (directive == NULL || strcmp(directive, "REPLACE") != 0) {
        free(s.content_type);
        free(s.metadata);
        s.content_type = ebb_strdup(old->content_type);
        s.metadata = ebb_strdup(old->metadata);
    }
    if (ebb_bucket_put(q->bucket, &s, write_copy, &c, &err) < 0)
        ebb_s3_fail(q, "InternalError", err.text);
    else
        reply_copy(q, &s);
}

void ebb_s3_put_object(struct ebb_s3_request *q)
{
    const char *source = ebb_exchange_header(q->x, "x-amz-copy-source");

    if (source != NULL)
        put_copy(q, source);
    else if (q->x->params.count > 0 && (ebb_params_get(&q->x->params, "acl") != NULL ||
                                        ebb_params_get(&q->x->params, "tagging") != NULL))
        ebb_s3_fail(q, "NotImplemented", NULL);
    else
        put_plain(q);
}

/* ---- get ---- */

static const char *check_read(struct ebb_s3_request *q, const struct ebb_stored *s,
                              bool *ret_unmodified)
{
    const char *match = ebb_exchange_header(q->x, "If-Match");
    const char *none = ebb_exchange_header(q->x, "If-None-Match");

    *ret_unmodified = none != NULL && etag_matches(none, s->etag);
    return match != NULL && !etag_matches(match, s->etag) ? "PreconditionFailed" : NULL;
}

enum range { RANGE_NONE, RANGE_GOOD, RANGE_OUTSIDE };

/* "bytes=a-b", "bytes=a-", "bytes=-n"; anything else is ignored, as S3 does. */
static enum range read_range(const char *text, uint64_t size, uint64_t *ret_from, uint64_t *ret_len)
{
    unsigned long long a = 0, b = 0;
    int end = 0;

    if (text == NULL || !ebb_starts_with(text, "bytes="))
        return RANGE_NONE;
    text += 6;
    if (sscanf(text, "-%llu%n", &b, &end) == 1 && text[end] == '\0') {
        if (b == 0 || size == 0)
            return RANGE_OUTSIDE;
        *ret_len = b < size ? b : size;
        *ret_from = size - *ret_len;
        return RANGE_GOOD;
    }
    if (strspn(text, "0123456789") == 0 || strspn(text, "0123456789-") != strlen(text))
        return RANGE_NONE;
    b = UINT64_MAX;
    if (!(sscanf(text, "%llu-%llu%n", &a, &b, &end) == 2 && text[end] == '\0') &&
        !(sscanf(text, "%llu-%n", &a, &end) == 1 && text[end] == '\0'))
        return RANGE_NONE;
    if (b < a)
        return RANGE_NONE;
    if (a >= size)
        return RANGE_OUTSIDE;
    *ret_from = a;
    *ret_len = (b < size - 1 ? b : size - 1) - a + 1;
    return RANGE_GOOD;
}

static void set_object_headers(struct ebb_s3_request *q, const struct ebb_stored *s)
{
    struct ebb_exchange *x = q->x;
    EBB_AUTO_FREE char *lines = ebb_strdup(s->metadata);
    const char *mode = ebb_exchange_header(x, "x-amz-checksum-mode");
    char when[40], *save = NULL;

    set_etag(x, s->etag);
    ebb_exchange_set_header(x, "Last-Modified", ebb_s3_http_time(s->modified_wall_ns, when));
    ebb_exchange_set_header(x, "Content-Type", s->content_type);
    ebb_exchange_set_header(x, "Accept-Ranges", "bytes");
    if (mode != NULL && strcasecmp(mode, "ENABLED") == 0 && ebb_exchange_header(x, "Range") == NULL)
        set_checksum(x, s);
    for (char *line = strtok_r(lines, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        char *colon = strstr(line, ": ");

        if (colon == NULL)
            continue;
        *colon = '\0';
        ebb_exchange_set_header(x, line, colon + 2);
    }
}

static bool attach_body(struct ebb_s3_request *q, const struct ebb_stored *s, uint64_t from,
                        uint64_t len)
{
    EBB_AUTO_FREE char *path = ebb_bucket_path(q->bucket, s->key);
    int fd;

    if (len == 0)
        return true;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    /* evbuffer owns the descriptor from here on, and sends straight from the file. */
    if (evbuffer_add_file(q->x->out, fd, (ev_off_t)(s->body_offset + from), (ev_off_t)len) == 0)
        return true;
    close(fd);
    return false;
}

void ebb_s3_get_object(struct ebb_s3_request *q)
{
    const struct ebb_stored *s = ebb_bucket_find(q->bucket, q->key);
    struct ebb_exchange *x = q->x;
    uint64_t from = 0, len = s != NULL ? s->size_bytes : 0;
    const char *code = s == NULL ? "NoSuchKey" : NULL;
    bool unmodified = false, head = strcmp(x->method, "HEAD") == 0;
    char text[96];
    enum range range;

    if (code == NULL)
        code = check_read(q, s, &unmodified);
    if (code != NULL) {
        ebb_s3_fail(q, code, NULL);
        return;
    }
    set_object_headers(q, s);
    if (unmodified) {
        ebb_s3_reply_empty(q, 304);
        return;
    }
    range = read_range(ebb_exchange_header(x, "Range"), s->size_bytes, &from, &len);
    if (range == RANGE_OUTSIDE) {
        snprintf(text, sizeof(text), "bytes */%llu", (unsigned long long)s->size_bytes);
        ebb_exchange_set_header(x, "Content-Range", text);
        ebb_s3_fail(q, "InvalidRange", NULL);
        return;
    }
    if (range == RANGE_GOOD) {
        snprintf(text, sizeof(text), "bytes %llu-%llu/%llu", (unsigned long long)from,
                 (unsigned long long)(from + len - 1), (unsigned long long)s->size_bytes);
        ebb_exchange_set_header(x, "Content-Range", text);
    }
    snprintf(text, sizeof(text), "%llu", (unsigned long long)len);
    ebb_exchange_set_header(x, "Content-Length", text);
    if (!head && !attach_body(q, s, from, len)) {
        ebb_s3_fail(q, "InternalError", "The object's file cannot be read.");
        return;
    }
    if (!head)
        ebb_faults_shape_transfer(x, EBB_FLEET_SERVICE_S3, x->method, len);
    ebb_s3_reply_empty(q, range == RANGE_GOOD ? 206 : 200);
}

/* ---- delete ---- */

void ebb_s3_delete_object(struct ebb_s3_request *q)
{
    const char *match = ebb_exchange_header(q->x, "If-Match");
    const struct ebb_stored *s = ebb_bucket_find(q->bucket, q->key);
    struct ebb_error err = {0};

    if (match != NULL && s != NULL && !etag_matches(match, s->etag))
        ebb_s3_fail(q, "PreconditionFailed", NULL);
    else if (ebb_bucket_remove(q->bucket, q->key, &err) < 0)
        ebb_s3_fail(q, "InternalError", err.text);
    else
        ebb_s3_reply_empty(q, 204);
}

static const char *delete_listed(struct ebb_s3_request *q, struct ebb_buffer *answer)
{
    struct ebb_markup_scan scan;
    char *key = NULL;
    bool quiet = strstr((const char *)q->x->body, "<Quiet>true</Quiet>") != NULL;
    size_t done = 0;
    const char *code = NULL;

    ebb_markup_scan_init(&scan, (const char *)q->x->body, q->x->body_len);
    while (code == NULL && ebb_markup_scan_next(&scan)) {
        if (strcmp(scan.name, "Key") == 0) {
            free(key);
            key = ebb_strdup(ebb_buffer_text(&scan.text));
        } else if (strcmp(scan.name, "Object") == 0) {
            struct ebb_error err = {0};

            if (key == NULL || ++done > MAX_DELETES) {
                code = "MalformedXML";
            } else if (ebb_bucket_remove(q->bucket, key, &err) < 0) {
                ebb_buffer_append_text(answer, "<Error>");
                ebb_markup_text(answer, "Key", key);
                ebb_markup_text(answer, "Code", "InternalError");
                ebb_markup_text(answer, "Message", err.text);
                ebb_buffer_append_text(answer, "</Error>");
            } else if (!quiet) {
                ebb_buffer_append_text(answer, "<Deleted>");
                ebb_markup_text(answer, "Key", key);
                ebb_buffer_append_text(answer, "</Deleted>");
            }
            free(EBB_TAKE(key));
        }
    }
    free(key);
    if (code == NULL && (scan.malformed || done == 0))
        code = "MalformedXML";
    ebb_markup_scan_clean_up(&scan);
    return code;
}

void ebb_s3_delete_objects(struct ebb_s3_request *q)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer answer = {0};
    EBB_AUTO(ebb_s3_body_clean_up) struct ebb_s3_body body;
    EBB_AUTO_FREE char *text = NULL;
    const char *message = NULL;
    const char *code = ebb_s3_body_read(q->x, &body, &message);

    if (code == NULL) {
        /* A terminated copy: the scan for <Quiet> is a string search. */
        text = ebb_strndup((const char *)body.data, body.len);
        q->x->body = (const uint8_t *)text;
        q->x->body_len = strlen(text);
        ebb_s3_begin_xml(&answer, "DeleteResult");
        code = delete_listed(q, &answer);
        ebb_markup_close(&answer, "DeleteResult");
        q->x->body = (const uint8_t *)"";
        q->x->body_len = 0;
    }
    if (code != NULL)
        ebb_s3_fail(q, code, message);
    else
        ebb_s3_reply_xml(q, 200, &answer);
}
