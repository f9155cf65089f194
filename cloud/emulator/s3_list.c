/* ListObjectsV2 and the older ListObjects: a walk over the sorted index from a key on; keys that
 * share a prefix up to the delimiter count as one entry. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/text.h"
#include "cloud/emulator/emulator.h"
#include "cloud/emulator/markup.h"
#include "cloud/emulator/s3.h"

#define MAX_KEYS 1000

struct listing {
    const struct ebb_bucket *bucket;
    const char *prefix;
    const char *delimiter; /* "" for none */
    char *after;           /* entries come after this key or common prefix */
    size_t limit;
    bool encode;
    struct ebb_buffer contents;
    struct ebb_buffer prefixes;
    size_t count;
    bool truncated;
    char *last; /* key or common prefix */
};

static void listing_clean_up(struct listing *l)
{
    ebb_buffer_clean_up(&l->contents);
    ebb_buffer_clean_up(&l->prefixes);
    free(l->after);
    free(l->last);
}

static void put_name(struct ebb_buffer *out, const char *tag, const char *name, bool encode)
{
    struct ebb_buffer encoded = {0};

    if (encode)
        ebb_percent_encode(&encoded, name, strlen(name), true);
    ebb_markup_text(out, tag, encode ? ebb_buffer_text(&encoded) : name);
    ebb_buffer_clean_up(&encoded);
}

static void put_object(struct listing *l, const struct ebb_stored *s)
{
    char when[40];

    ebb_markup_open(&l->contents, "Contents");
    put_name(&l->contents, "Key", s->key, l->encode);
    ebb_markup_text(&l->contents, "LastModified", ebb_s3_iso_time(s->modified_wall_ns, when));
    ebb_markup_format(&l->contents, "ETag", "\"%s\"", s->etag);
    ebb_markup_format(&l->contents, "Size", "%llu", (unsigned long long)s->size_bytes);
    ebb_markup_text(&l->contents, "StorageClass", "STANDARD");
    ebb_markup_close(&l->contents, "Contents");
}

/* The common prefix that a key belongs to, malloc'ed, or NULL. */
static char *common_prefix(const struct listing *l, const char *key)
{
    const char *at;

    if (l->delimiter[0] == '\0')
        return NULL;
    at = strstr(key + strlen(l->prefix), l->delimiter);
    return at != NULL ? ebb_strndup(key, (size_t)(at - key) + strlen(l->delimiter)) : NULL;
}

static void run(struct listing *l)
{
    size_t i =
        ebb_bucket_lower_bound(l->bucket, strcmp(l->after, l->prefix) > 0 ? l->after : l->prefix);

    for (; i < ebb_bucket_count(l->bucket); i++) {
        const struct ebb_stored *s = ebb_bucket_at(l->bucket, i);
        EBB_AUTO_FREE char *common = NULL;

        if (!ebb_starts_with(s->key, l->prefix))
            break;
        common = common_prefix(l, s->key);
        if (strcmp(common != NULL ? common : s->key, l->after) <= 0)
            continue; /* the entry before, or another key of its prefix */
        if (common != NULL && l->last != NULL && strcmp(common, l->last) == 0)
            continue;
        if (l->count == l->limit) {
            l->truncated = true;
            break;
        }
        l->count++;
        if (common != NULL) {
            ebb_markup_open(&l->prefixes, "CommonPrefixes");
            put_name(&l->prefixes, "Prefix", common, l->encode);
            ebb_markup_close(&l->prefixes, "CommonPrefixes");
        } else {
            put_object(l, s);
        }
        free(l->last);
        l->last = common != NULL ? EBB_TAKE(common) : ebb_strdup(s->key);
    }
}

static const char *text_or(const struct ebb_params *p, const char *name, const char *otherwise)
{
    const char *text = ebb_params_get(p, name);

    return text != NULL ? text : otherwise;
}

static const char *start(struct listing *l, struct ebb_s3_request *q, bool v2)
{
    const struct ebb_params *p = &q->x->params;
    const char *token = ebb_params_get(p, "continuation-token");
    const char *encoding = ebb_params_get(p, "encoding-type");
    int64_t limit;

    l->bucket = q->bucket;
    l->prefix = text_or(p, "prefix", "");
    l->delimiter = text_or(p, "delimiter", "");
    l->encode = encoding != NULL;
    if (encoding != NULL && strcmp(encoding, "url") != 0)
        return "InvalidArgument";
    if (ebb_parse_int(text_or(p, "max-keys", "1000"), 0, INT32_MAX, &limit, NULL) < 0)
        return "InvalidArgument";
    l->limit = limit < MAX_KEYS ? (size_t)limit : MAX_KEYS;
    if (v2 && token != NULL) {
        size_t len = 0;
        uint8_t *raw = ebb_base64_decode(token, &len);

        if (raw == NULL || memchr(raw, 0, len) != NULL) {
            free(raw);
            return "InvalidArgument";
        }
        l->after = ebb_strndup((const char *)raw, len);
        free(raw);
    } else {
        l->after = ebb_strdup(text_or(p, v2 ? "start-after" : "marker", ""));
    }
    return NULL;
}

void ebb_s3_list(struct ebb_s3_request *q)
{
    EBB_AUTO(listing_clean_up) struct listing l = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer body = {0};
    const struct ebb_params *p = &q->x->params;
    const char *type = ebb_params_get(p, "list-type");
    bool v2 = type != NULL && strcmp(type, "2") == 0;
    const char *code = start(&l, q, v2);

    if (code != NULL) {
        ebb_s3_fail(q, code, NULL);
        return;
    }
    if (l.limit > 0)
        run(&l);
    ebb_s3_begin_xml(&body, "ListBucketResult");
    ebb_markup_text(&body, "Name", q->bucket_name);
    put_name(&body, "Prefix", l.prefix, l.encode);
    if (l.delimiter[0] != '\0')
        put_name(&body, "Delimiter", l.delimiter, l.encode);
    ebb_markup_format(&body, "MaxKeys", "%zu", l.limit);
    if (l.encode)
        ebb_markup_text(&body, "EncodingType", "url");
    ebb_markup_text(&body, "IsTruncated", l.truncated ? "true" : "false");
    if (v2) {
        ebb_markup_format(&body, "KeyCount", "%zu", l.count);
        if (ebb_params_get(p, "continuation-token") != NULL)
            ebb_markup_text(&body, "ContinuationToken", ebb_params_get(p, "continuation-token"));
        if (ebb_params_get(p, "start-after") != NULL)
            put_name(&body, "StartAfter", ebb_params_get(p, "start-after"), l.encode);
        if (l.truncated) {
            EBB_AUTO_FREE char *next = ebb_base64_encode(l.last, strlen(l.last));

            ebb_markup_text(&body, "NextContinuationToken", next);
        }
    } else {
        put_name(&body, "Marker", text_or(p, "marker", ""), l.encode);
        if (l.truncated)
            put_name(&body, "NextMarker", l.last, l.encode);
    }
    ebb_buffer_append(&body, l.contents.data, l.contents.len);
    ebb_buffer_append(&body, l.prefixes.data, l.prefixes.len);
    ebb_markup_close(&body, "ListBucketResult");
    ebb_s3_reply_xml(q, 200, &body);
}
