/* Multipart uploads, for clients that cut large files up by themselves (the AWS tools do from 8 MiB
 * on). Parts wait as files below uploads/; completing copies them into one object. Uploads under
 * way do not survive the emulator. */
#include <errno.h>
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
#include "base/random.h"
#include "base/text.h"
#include "cloud/emulator/emulator.h"
#include "cloud/emulator/markup.h"
#include "cloud/emulator/s3.h"
#include "cloud/emulator/s3_body.h"

#define MAX_PARTS      10000
#define MIN_PART_BYTES (5u << 20)

struct part {
    uint8_t md5[16];
    uint64_t size_bytes; /* meaningful when `there` */
    bool there;
};

struct ebb_multipart {
    char id[65];
    char *bucket;
    char *folder;
    struct ebb_stored what; /* from the headers of its start */
    int64_t started_wall_ns;
    struct part parts[MAX_PARTS + 1];
};

void ebb_s3_multipart_free(void *upload)
{
    struct ebb_multipart *m = upload;

    ebb_remove_tree(m->folder, NULL);
    ebb_s3_described_clean_up(&m->what);
    free(m->bucket);
    free(m->folder);
    free(m);
}

static char *part_path(const struct ebb_multipart *m, int number)
{
    return ebb_sprintf("%s/%05d", m->folder, number);
}

static void initiate(struct ebb_s3_request *q)
{
    struct ebb_emulator *e = q->x->emulator;
    struct ebb_multipart *m = ebb_alloc(sizeof(*m));
    EBB_AUTO_FREE char *uploads = ebb_path_join(e->state_dir, "uploads");
    struct ebb_buffer body = {0};
    struct ebb_error err = {0};

    ebb_random_hex(m->id, 32);
    m->bucket = ebb_strdup(q->bucket_name);
    m->folder = ebb_path_join(uploads, m->id);
    m->started_wall_ns = ebb_wall_ns(NULL);
    ebb_s3_describe_new(q, &m->what);
    if (ebb_mkdir_p(m->folder, 0700, &err) < 0) {
        ebb_s3_multipart_free(m);
        ebb_s3_fail(q, "InternalError", err.text);
        return;
    }
    ebb_map_set(e->uploads, m->id, m);
    ebb_s3_begin_xml(&body, "InitiateMultipartUploadResult");
    ebb_markup_text(&body, "Bucket", q->bucket_name);
    ebb_markup_text(&body, "Key", q->key);
    ebb_markup_text(&body, "UploadId", m->id);
    ebb_markup_close(&body, "InitiateMultipartUploadResult");
    ebb_s3_reply_xml(q, 200, &body);
    ebb_buffer_clean_up(&body);
}

static void put_part(struct ebb_s3_request *q, struct ebb_multipart *m)
{
    EBB_AUTO(ebb_s3_body_clean_up) struct ebb_s3_body body;
    const char *text = ebb_params_get(&q->x->params, "partNumber");
    const char *message = NULL;
    const char *code = ebb_s3_body_read(q->x, &body, &message);
    struct ebb_error err = {0};
    char etag[40];
    int64_t number = 0;

    if (code == NULL && (text == NULL || ebb_parse_int(text, 1, MAX_PARTS, &number, NULL) < 0)) {
        code = "InvalidArgument";
        message = "Part number must be an integer between 1 and 10000, inclusive";
    }
    if (code == NULL && ebb_exchange_header(q->x, "x-amz-copy-source") != NULL)
        code = "NotImplemented";
    if (code != NULL) {
        ebb_s3_fail(q, code, message);
        return;
    }
    EBB_AUTO_FREE char *path = part_path(m, (int)number);
    EBB_AUTO_FREE char *temporary = ebb_sprintf("%s.new", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ebb_write_all(fd, body.data, body.len, &err) < 0 || rename(temporary, path) < 0) {
        if (fd >= 0)
            close(fd);
        ebb_s3_fail(q, "InternalError", err.text);
        return;
    }
    close(fd);
    m->parts[number].there = true;
    m->parts[number].size_bytes = body.len;
    memcpy(m->parts[number].md5, body.md5, 16);
    etag[0] = '"';
    ebb_hex(body.md5, 16, etag + 1);
    memcpy(etag + 33, "\"", 2);
    ebb_exchange_set_header(q->x, "ETag", etag);
    ebb_s3_reply_empty(q, 200);
}

/* The parts that a completion names. */
struct selection {
    const struct ebb_multipart *m;
    int numbers[MAX_PARTS];
    size_t count;
};

static const char *select_part(struct selection *s, int64_t number, const char *etag)
{
    char hex[33];
    const struct part *part;

    if (number < 1 || number > MAX_PARTS || s->count >= MAX_PARTS)
        return "InvalidPart";
    if (s->count > 0 && s->numbers[s->count - 1] >= number)
        return "InvalidPartOrder";
    part = &s->m->parts[number];
    if (!part->there || strncmp(etag + (etag[0] == '"'), ebb_hex(part->md5, 16, hex), 32) != 0)
        return "InvalidPart";
    s->numbers[s->count++] = (int)number;
    return NULL;
}

static const char *read_selection(struct ebb_s3_request *q, struct selection *s)
{
    struct ebb_markup_scan scan;
    EBB_AUTO_FREE char *etag = NULL;
    const char *code = NULL;
    int64_t number = 0;

    ebb_markup_scan_init(&scan, (const char *)q->x->body, q->x->body_len);
    while (code == NULL && ebb_markup_scan_next(&scan)) {
        if (strcmp(scan.name, "ETag") == 0) {
            free(etag);
            etag = ebb_strdup(ebb_buffer_text(&scan.text));
        } else if (strcmp(scan.name, "PartNumber") == 0) {
            if (ebb_parse_int(ebb_buffer_text(&scan.text), 1, MAX_PARTS, &number, NULL) < 0)
                code = "InvalidPart";
        } else if (strcmp(scan.name, "Part") == 0) {
            code = etag != NULL ? select_part(s, number, etag) : "MalformedXML";
            free(EBB_TAKE(etag));
            number = 0;
        }
    }
    if (code == NULL && (scan.malformed || s->count == 0))
        code = "MalformedXML";
    ebb_markup_scan_clean_up(&scan);
    for (size_t i = 0; code == NULL && i + 1 < s->count; i++)
        if (s->m->parts[s->numbers[i]].size_bytes < MIN_PART_BYTES)
            code = "EntityTooSmall";
    return code;
}

static int write_parts(void *ctx, int fd, struct ebb_error *err)
{
    const struct selection *s = ctx;

    for (size_t i = 0; i < s->count; i++) {
        EBB_AUTO_FREE char *path = part_path(s->m, s->numbers[i]);
        uint64_t left = s->m->parts[s->numbers[i]].size_bytes;
        int from = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = 0;

        while (from >= 0 && left > 0 && (n = sendfile(fd, from, NULL, (size_t)left)) > 0)
            left -= (uint64_t)n;
        if (from >= 0)
            close(from);
        if (from < 0 || left > 0)
            return ebb_error_set_errno(err, EBB_ERR_IO, errno, "cannot copy %s", path);
    }
    return 0;
}

static void complete(struct ebb_s3_request *q, struct ebb_multipart *m)
{
    EBB_AUTO_FREE struct selection *s = ebb_alloc(sizeof(*s));
    const char *code;
    struct ebb_error err = {0};
    struct ebb_buffer body = {0}, md5s = {0};
    uint8_t md5[16];
    char hex[33];

    s->m = m;
    code = read_selection(q, s);
    if (code == NULL)
        code = ebb_s3_check_write(q);
    if (code != NULL) {
        ebb_s3_fail(q, code, NULL);
        return;
    }
    m->what.size_bytes = 0;
    for (size_t i = 0; i < s->count; i++) {
        m->what.size_bytes += m->parts[s->numbers[i]].size_bytes;
        ebb_buffer_append(&md5s, m->parts[s->numbers[i]].md5, 16);
    }
    ebb_md5(md5s.data, md5s.len, md5);
    ebb_buffer_clean_up(&md5s);
    snprintf(m->what.etag, sizeof(m->what.etag), "%s-%zu", ebb_hex(md5, 16, hex), s->count);
    m->what.modified_wall_ns = ebb_wall_ns(NULL);
    if (ebb_bucket_put(q->bucket, &m->what, write_parts, s, &err) < 0) {
        ebb_s3_fail(q, "InternalError", err.text);
        return;
    }
    ebb_s3_begin_xml(&body, "CompleteMultipartUploadResult");
    ebb_markup_format(&body, "Location", "%s/%s/%.300s", q->x->emulator->endpoint, q->bucket_name,
                      q->key);
    ebb_markup_text(&body, "Bucket", q->bucket_name);
    ebb_markup_text(&body, "Key", q->key);
    ebb_markup_format(&body, "ETag", "\"%s\"", m->what.etag);
    ebb_markup_close(&body, "CompleteMultipartUploadResult");
    ebb_map_remove(q->x->emulator->uploads, m->id);
    ebb_s3_reply_xml(q, 200, &body);
    ebb_buffer_clean_up(&body);
}

static void list_parts(struct ebb_s3_request *q, const struct ebb_multipart *m)
{
    struct ebb_buffer body = {0};
    char hex[33];

    ebb_s3_begin_xml(&body, "ListPartsResult");
    ebb_markup_text(&body, "Bucket", q->bucket_name);
    ebb_markup_text(&body, "Key", q->key);
    ebb_markup_text(&body, "UploadId", m->id);
    ebb_markup_text(&body, "IsTruncated", "false");
    for (int i = 1; i <= MAX_PARTS; i++) {
        if (!m->parts[i].there)
            continue;
        ebb_markup_open(&body, "Part");
        ebb_markup_format(&body, "PartNumber", "%d", i);
        ebb_markup_format(&body, "ETag", "\"%s\"", ebb_hex(m->parts[i].md5, 16, hex));
        ebb_markup_format(&body, "Size", "%llu", (unsigned long long)m->parts[i].size_bytes);
        ebb_markup_close(&body, "Part");
    }
    ebb_markup_close(&body, "ListPartsResult");
    ebb_s3_reply_xml(q, 200, &body);
    ebb_buffer_clean_up(&body);
}

static void list_uploads(struct ebb_s3_request *q)
{
    struct ebb_buffer body = {0};
    size_t cursor = 0;
    void *value;
    char when[40];

    ebb_s3_begin_xml(&body, "ListMultipartUploadsResult");
    ebb_markup_text(&body, "Bucket", q->bucket_name);
    ebb_markup_text(&body, "IsTruncated", "false");
    while (ebb_map_next(q->x->emulator->uploads, &cursor, &value) != NULL) {
        const struct ebb_multipart *m = value;

        if (strcmp(m->bucket, q->bucket_name) != 0)
            continue;
        ebb_markup_open(&body, "Upload");
        ebb_markup_text(&body, "Key", m->what.key);
        ebb_markup_text(&body, "UploadId", m->id);
        ebb_markup_text(&body, "Initiated", ebb_s3_iso_time(m->started_wall_ns, when));
        ebb_markup_close(&body, "Upload");
    }
    ebb_markup_close(&body, "ListMultipartUploadsResult");
    ebb_s3_reply_xml(q, 200, &body);
    ebb_buffer_clean_up(&body);
}

void ebb_s3_multipart(struct ebb_s3_request *q)
{
    const char *method = q->x->method;
    const char *id = ebb_params_get(&q->x->params, "uploadId");
    struct ebb_multipart *m;

    if (q->key == NULL) {
        list_uploads(q);
        return;
    }
    if (id == NULL) {
        if (strcmp(method, "POST") == 0)
            initiate(q);
        else
            ebb_s3_fail(q, "MethodNotAllowed", NULL);
        return;
    }
    m = ebb_map_get(q->x->emulator->uploads, id);
    if (m == NULL || strcmp(m->bucket, q->bucket_name) != 0 || strcmp(m->what.key, q->key) != 0) {
        ebb_s3_fail(q, "NoSuchUpload", NULL);
    } else if (strcmp(method, "PUT") == 0) {
        put_part(q, m);
    } else if (strcmp(method, "POST") == 0) {
        complete(q, m);
    } else if (strcmp(method, "GET") == 0) {
        list_parts(q, m);
    } else if (strcmp(method, "DELETE") == 0) {
        ebb_map_remove(q->x->emulator->uploads, id);
        ebb_s3_reply_empty(q, 204);
    } else {
        ebb_s3_fail(q, "MethodNotAllowed", NULL);
    }
}
