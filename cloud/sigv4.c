/* Signature Version 4, both ways round. One routine makes the canonical request for signer and
 * verifier alike, so the two cannot drift apart:
 *
 *   canonical request = method, path, sorted query, signed headers, their names, payload hash
 *   string to sign    = algorithm, time, scope "day/region/service/aws4_request", its SHA-256
 *   signature         = HMAC chain of secret, day, region, service, "aws4_request" over that
 */
#include "cloud/sigv4.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/text.h"

#define ALGORITHM           "AWS4-HMAC-SHA256"
#define HASH_OF_NOTHING     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define MAX_SKEW_S          (15 * 60)
#define MAX_PRESIGN_S       604800
#define MAX_HEADERS         128
#define MAX_QUERY_ARGUMENTS 256

struct pair {
    char *name;
    char *value;
};

static int compare_pairs(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : strcmp(x->value, y->value);
}

char *ebb_sigv4_date(int64_t wall_ns, char out[EBB_SIGV4_DATE_SIZE])
{
    time_t s = (time_t)(wall_ns / EBB_NS_PER_S);
    struct tm tm;
    gmtime_r(&s, &tm);
    strftime(out, EBB_SIGV4_DATE_SIZE, "%Y%m%dT%H%M%SZ", &tm);
    return out;
}

static bool parse_date(const char *text, int64_t *ret_wall_ns)
{
    struct tm tm = {0};
    if (strlen(text) != EBB_SIGV4_DATE_SIZE - 1)
        return false;
    const char *end = strptime(text, "%Y%m%dT%H%M%SZ", &tm);
    if (end == NULL || *end != '\0' || tm.tm_year < 70 || tm.tm_year > 300)
        return false; /* other years do not fit into nanoseconds */
    *ret_wall_ns = (int64_t)timegm(&tm) * EBB_NS_PER_S;
    return true;
}

static const char *find_header(const struct ebb_sigv4_request *q, const char *name)
{
    for (size_t i = 0; i < q->header_count; i++)
        if (strcasecmp(q->headers[i].name, name) == 0)
            return q->headers[i].value;
    return NULL;
}

/* ---- query ---- */

static void encode_again(struct ebb_buffer *out, const char *raw, size_t len, bool form)
{
    size_t plain_len = 0;
    EBB_AUTO_FREE char *plain = ebb_percent_decode(raw, len, form, &plain_len);
    if (plain != NULL)
        ebb_percent_encode(out, plain, plain_len, false);
    else
        ebb_percent_encode(out, raw, len, false);
}

static char *encoded_again(const char *raw, size_t len)
{
    struct ebb_buffer b = {0};
    encode_again(&b, raw, len, true);
    return ebb_buffer_take_text(&b);
}

/* The arguments of `target`, encoded canonically and in canonical order; returns their number or
 * -1 when there are too many. */
static int read_query(const char *target, struct pair *out)
{
    const char *at = strchr(target, '?');
    int count = 0;
    if (at == NULL)
        return 0;
    at++;
    while (*at != '\0') {
        size_t len = strcspn(at, "&");
        if (len > 0) {
            if (count == MAX_QUERY_ARGUMENTS)
                return -1;
            const char *eq = memchr(at, '=', len);
            size_t name_len = eq != NULL ? (size_t)(eq - at) : len;
            out[count].name = encoded_again(at, name_len);
            out[count].value =
                eq != NULL ? encoded_again(eq + 1, len - name_len - 1) : ebb_strdup("");
            count++;
        }
        at += len + (at[len] == '&');
    }
    qsort(out, (size_t)count, sizeof(*out), compare_pairs);
    return count;
}

static void append_query(struct ebb_buffer *out, const char *target)
{
    struct pair pairs[MAX_QUERY_ARGUMENTS] = {{0}};
    int count = read_query(target, pairs);
    const char *separator = "";
    for (int i = 0; i < MAX_QUERY_ARGUMENTS && pairs[i].name != NULL; i++) {
        if (count >= 0 && strcmp(pairs[i].name, "X-Amz-Signature") != 0) {
            ebb_buffer_printf(out, "%s%s=%s", separator, pairs[i].name, pairs[i].value);
            separator = "&";
        }
        free(pairs[i].name);
        free(pairs[i].value);
    }
}

/* The decoded value of one query argument, malloc'ed; NULL when absent. */
static char *query_argument(const char *target, const char *name)
{
    const char *at = strchr(target, '?');
    while (at != NULL && *at != '\0') {
        at++;
        size_t len = strcspn(at, "&");
        const char *eq = memchr(at, '=', len);
        if (eq != NULL && (size_t)(eq - at) == strlen(name) && strncmp(at, name, strlen(name)) == 0)
            return ebb_percent_decode(eq + 1, len - (size_t)(eq + 1 - at), true, NULL);
        at += len;
    }
    return NULL;
}

/* ---- canonical request ---- */

static void append_path(struct ebb_buffer *out, const char *target, const char *service)
{
    size_t len = strcspn(target, "?");
    if (len == 0) {
        ebb_buffer_append_text(out, "/");
        return;
    }
    size_t plain_len = 0;
    EBB_AUTO_FREE char *plain = NULL;
    if (strcmp(service, "s3") == 0)
        plain = ebb_percent_decode(target, len, false, &plain_len);
    if (plain != NULL)
        ebb_percent_encode(out, plain, plain_len, true);
    else
        ebb_percent_encode(out, target, len, true);
}

static void append_trimmed(struct ebb_buffer *out, const char *value)
{
    bool gap = false, begun = false;
    for (; *value != '\0'; value++) {
        if (isspace((unsigned char)*value)) {
            gap = begun;
            continue;
        }
        if (gap)
            ebb_buffer_append(out, " ", 1);
        ebb_buffer_append(out, value, 1);
        gap = false;
        begun = true;
    }
}

static void append_header(struct ebb_buffer *out, const struct ebb_sigv4_request *q,
                          const char *name, size_t name_len)
{
    const char *separator = "";
    ebb_buffer_append(out, name, name_len);
    ebb_buffer_append_text(out, ":");
    for (size_t i = 0; i < q->header_count; i++) {
        const struct ebb_sigv4_header *h = &q->headers[i];
        if (strlen(h->name) == name_len && strncasecmp(h->name, name, name_len) == 0) {
            ebb_buffer_append_text(out, separator);
            append_trimmed(out, h->value);
            separator = ",";
        }
    }
    ebb_buffer_append_text(out, "\n");
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Lower-case names of all headers, sorted, each once: "host;x-amz-date". */
static char *all_header_names(const struct ebb_sigv4_request *q)
{
    struct ebb_buffer out = {0};
    size_t count = q->header_count < MAX_HEADERS ? q->header_count : MAX_HEADERS;
    char *names[MAX_HEADERS] = {NULL};
    for (size_t i = 0; i < count; i++) {
        names[i] = ebb_strdup(q->headers[i].name);
        for (char *c = names[i]; *c != '\0'; c++)
            *c = (char)tolower((unsigned char)*c);
    }
    qsort(names, count, sizeof(names[0]), compare_names);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(names[i], names[i - 1]) != 0)
            ebb_buffer_printf(&out, "%s%s", i == 0 ? "" : ";", names[i]);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    return ebb_buffer_take_text(&out);
}

static const char *payload_hash(const struct ebb_sigv4_request *q, bool presigned)
{
    if (q->payload_hash != NULL)
        return q->payload_hash;
    const char *given = find_header(q, "x-amz-content-sha256");
    if (given != NULL)
        return given;
    return presigned ? EBB_SIGV4_UNSIGNED_PAYLOAD : HASH_OF_NOTHING;
}

static void canonical_request(struct ebb_buffer *out, const struct ebb_sigv4_request *q,
                              const struct ebb_sigv4_claim *claim)
{
    ebb_buffer_printf(out, "%s\n", q->method);
    append_path(out, q->target, claim->service);
    ebb_buffer_append_text(out, "\n");
    append_query(out, q->target);
    ebb_buffer_append_text(out, "\n");
    const char *name = claim->signed_headers;
    while (*name != '\0') {
        size_t len = strcspn(name, ";");
        append_header(out, q, name, len);
        name += len + (name[len] == ';');
    }
    ebb_buffer_printf(out, "\n%s\n%s", claim->signed_headers, payload_hash(q, claim->presigned));
}

static void hmac_text(const uint8_t key[EBB_SHA256_SIZE], const char *text,
                      uint8_t out[EBB_SHA256_SIZE])
{
    ebb_hmac_sha256(key, EBB_SHA256_SIZE, text, strlen(text), out);
}

static void signing_key(const char *secret, const struct ebb_sigv4_claim *claim,
                        uint8_t out[EBB_SHA256_SIZE])
{
    uint8_t a[EBB_SHA256_SIZE], b[EBB_SHA256_SIZE];
    EBB_AUTO_FREE char *first = ebb_sprintf("AWS4%s", secret);
    ebb_hmac_sha256(first, strlen(first), claim->day, strlen(claim->day), a);
    hmac_text(a, claim->region, b);
    hmac_text(b, claim->service, a);
    hmac_text(a, "aws4_request", out);
    explicit_bzero(first, strlen(first));
}

static void sign(const struct ebb_sigv4_request *q, const struct ebb_sigv4_claim *claim,
                 const char *secret, char ret_hex[EBB_SHA256_HEX_SIZE])
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer canonical = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    uint8_t hash[EBB_SHA256_SIZE], key[EBB_SHA256_SIZE];
    char hex[EBB_SHA256_HEX_SIZE], date[EBB_SIGV4_DATE_SIZE];
    canonical_request(&canonical, q, claim);
    ebb_sha256(canonical.data, canonical.len, hash);
    ebb_buffer_printf(&text, ALGORITHM "\n%s\n%s/%s/%s/aws4_request\n%s",
                      ebb_sigv4_date(claim->signed_wall_ns, date), claim->day, claim->region,
                      claim->service, ebb_hex(hash, sizeof(hash), hex));
    signing_key(secret, claim, key);
    ebb_hmac_sha256(key, sizeof(key), text.data, text.len, hash);
    ebb_hex(hash, sizeof(hash), ret_hex);
    explicit_bzero(key, sizeof(key));
}

/* ---- signing ---- */

static void set_scope(struct ebb_sigv4_claim *claim, const char *region, const char *service,
                      int64_t wall_ns)
{
    char date[EBB_SIGV4_DATE_SIZE];
    claim->signed_wall_ns = wall_ns;
    snprintf(claim->day, sizeof(claim->day), "%.8s", ebb_sigv4_date(wall_ns, date));
    snprintf(claim->region, sizeof(claim->region), "%s", region);
    snprintf(claim->service, sizeof(claim->service), "%s", service);
}

char *ebb_sigv4_authorization(const struct ebb_sigv4_key *key, const char *region,
                              const char *service, int64_t wall_ns,
                              const struct ebb_sigv4_request *q)
{
    struct ebb_sigv4_claim claim = {0};
    char signature[EBB_SHA256_HEX_SIZE];
    set_scope(&claim, region, service, wall_ns);
    EBB_AUTO_FREE char *names = all_header_names(q);
    snprintf(claim.signed_headers, sizeof(claim.signed_headers), "%s", names);
    sign(q, &claim, key->secret_key, signature);
    return ebb_sprintf(ALGORITHM " Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=%s, "
                                 "Signature=%s",
                       key->access_key, claim.day, claim.region, claim.service,
                       claim.signed_headers, signature);
}

char *ebb_sigv4_presign(const struct ebb_sigv4_key *key, const char *region, const char *service,
                        int64_t wall_ns, const char *method, const char *origin, const char *path,
                        unsigned valid_s)
{
    struct ebb_sigv4_claim claim = {.presigned = true, .signed_headers = "host"};
    char signature[EBB_SHA256_HEX_SIZE], date[EBB_SIGV4_DATE_SIZE];
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer target = {0};
    set_scope(&claim, region, service, wall_ns);
    ebb_buffer_printf(&target, "%s?X-Amz-Algorithm=" ALGORITHM "&X-Amz-Credential=", path);
    EBB_AUTO_FREE char *scope = ebb_sprintf("%s/%s/%s/%s/aws4_request", key->access_key, claim.day,
                                            claim.region, claim.service);
    ebb_percent_encode(&target, scope, strlen(scope), false);
    ebb_buffer_printf(&target, "&X-Amz-Date=%s&X-Amz-Expires=%u", ebb_sigv4_date(wall_ns, date),
                      valid_s < MAX_PRESIGN_S ? valid_s : MAX_PRESIGN_S);
    if (key->session_token != NULL && key->session_token[0] != '\0') {
        ebb_buffer_append_text(&target, "&X-Amz-Security-Token=");
        ebb_percent_encode(&target, key->session_token, strlen(key->session_token), false);
    }
    ebb_buffer_append_text(&target, "&X-Amz-SignedHeaders=host");
    const char *host = strstr(origin, "://");
    struct ebb_sigv4_header header = {"host", host != NULL ? host + 3 : origin};
    struct ebb_sigv4_request q = {.method = method,
                                  .target = ebb_buffer_text(&target),
                                  .headers = &header,
                                  .header_count = 1,
                                  .payload_hash = EBB_SIGV4_UNSIGNED_PAYLOAD};
    sign(&q, &claim, key->secret_key, signature);
    return ebb_sprintf("%s%s&X-Amz-Signature=%s", origin, ebb_buffer_text(&target), signature);
}

/* ---- checking ---- */

static bool copy_field(char *out, size_t size, const char *from, size_t len)
{
    if (len == 0 || len >= size)
        return false;
    memcpy(out, from, len);
    out[len] = '\0';
    return true;
}

/* "AKIA.../20261121/us-east-1/s3/aws4_request"; an access key may hold a '/', so from the end. */
static bool read_scope(const char *text, size_t len, struct ebb_sigv4_claim *claim)
{
    const char *part[5] = {NULL};
    size_t part_len[5] = {0};
    size_t end = len;
    for (int i = 4; i > 0; i--) {
        size_t begin = end;
        while (begin > 0 && text[begin - 1] != '/')
            begin--;
        if (begin == 0)
            return false;
        part[i] = text + begin;
        part_len[i] = end - begin;
        end = begin - 1;
    }
    return part_len[4] == strlen("aws4_request") &&
           memcmp(part[4], "aws4_request", part_len[4]) == 0 && part_len[1] == 8 &&
           copy_field(claim->access_key, sizeof(claim->access_key), text, end) &&
           copy_field(claim->day, sizeof(claim->day), part[1], part_len[1]) &&
           copy_field(claim->region, sizeof(claim->region), part[2], part_len[2]) &&
           copy_field(claim->service, sizeof(claim->service), part[3], part_len[3]);
}

/* One "Name=value" part of the Authorization header. */
static bool read_part(const char *text, const char *name, const char **ret, size_t *ret_len)
{
    size_t name_len = strlen(name);
    for (const char *at = strstr(text, name); at != NULL; at = strstr(at + 1, name)) {
        if ((at == text || at[-1] == ' ' || at[-1] == ',') && at[name_len] == '=') {
            *ret = at + name_len + 1;
            *ret_len = strcspn(*ret, ", ");
            return true;
        }
    }
    return false;
}

static enum ebb_sigv4_verdict read_header_claim(const struct ebb_sigv4_request *q,
                                                const char *value, struct ebb_sigv4_claim *claim)
{
    const char *scope, *names, *signature;
    size_t scope_len, names_len, signature_len;
    if (!ebb_starts_with(value, ALGORITHM " ") ||
        !read_part(value, "Credential", &scope, &scope_len) ||
        !read_part(value, "SignedHeaders", &names, &names_len) ||
        !read_part(value, "Signature", &signature, &signature_len))
        return EBB_SIGV4_MALFORMED;
    const char *date = find_header(q, "x-amz-date");
    if (date == NULL || !parse_date(date, &claim->signed_wall_ns) ||
        !read_scope(scope, scope_len, claim) ||
        !copy_field(claim->signed_headers, sizeof(claim->signed_headers), names, names_len) ||
        signature_len != 64 ||
        !copy_field(claim->signature, sizeof(claim->signature), signature, signature_len))
        return EBB_SIGV4_MALFORMED;
    return EBB_SIGV4_GENUINE;
}

static bool copy_argument(const char *target, const char *name, char *out, size_t size)
{
    EBB_AUTO_FREE char *value = query_argument(target, name);
    return value != NULL && copy_field(out, size, value, strlen(value));
}

static enum ebb_sigv4_verdict read_query_claim(const struct ebb_sigv4_request *q,
                                               struct ebb_sigv4_claim *claim)
{
    char algorithm[32], scope[256], date[EBB_SIGV4_DATE_SIZE], valid[16];
    claim->presigned = true;
    if (!copy_argument(q->target, "X-Amz-Algorithm", algorithm, sizeof(algorithm)) ||
        strcmp(algorithm, ALGORITHM) != 0 ||
        !copy_argument(q->target, "X-Amz-Credential", scope, sizeof(scope)) ||
        !read_scope(scope, strlen(scope), claim) ||
        !copy_argument(q->target, "X-Amz-Date", date, sizeof(date)) ||
        !parse_date(date, &claim->signed_wall_ns) ||
        !copy_argument(q->target, "X-Amz-Expires", valid, sizeof(valid)) ||
        ebb_parse_int(valid, 1, MAX_PRESIGN_S, &claim->valid_s, NULL) < 0 ||
        !copy_argument(q->target, "X-Amz-SignedHeaders", claim->signed_headers,
                       sizeof(claim->signed_headers)) ||
        !copy_argument(q->target, "X-Amz-Signature", claim->signature, sizeof(claim->signature)) ||
        strlen(claim->signature) != 64)
        return EBB_SIGV4_MALFORMED;
    return EBB_SIGV4_GENUINE;
}

enum ebb_sigv4_verdict ebb_sigv4_read_claim(const struct ebb_sigv4_request *q,
                                            struct ebb_sigv4_claim *ret)
{
    struct ebb_sigv4_claim claim = {0};
    enum ebb_sigv4_verdict verdict;
    const char *value = find_header(q, "authorization");
    if (value != NULL) {
        verdict = read_header_claim(q, value, &claim);
    } else {
        EBB_AUTO_FREE char *signature = query_argument(q->target, "X-Amz-Signature");
        if (signature == NULL)
            return EBB_SIGV4_ABSENT;
        verdict = read_query_claim(q, &claim);
    }
    if (verdict == EBB_SIGV4_GENUINE)
        *ret = claim;
    return verdict;
}

static bool is_signed(const struct ebb_sigv4_claim *claim, const char *name)
{
    size_t name_len = strlen(name);
    const char *at = claim->signed_headers;
    while (*at != '\0') {
        size_t len = strcspn(at, ";");
        if (len == name_len && strncasecmp(at, name, len) == 0)
            return true;
        at += len + (at[len] == ';');
    }
    return false;
}

/* Host and every x-amz-* header that is there must be among the signed ones. */
static bool covers_required(const struct ebb_sigv4_request *q, const struct ebb_sigv4_claim *claim)
{
    if (!is_signed(claim, "host"))
        return false;
    for (size_t i = 0; i < q->header_count; i++)
        if (strncasecmp(q->headers[i].name, "x-amz-", 6) == 0 &&
            !is_signed(claim, q->headers[i].name))
            return false;
    return true;
}

enum ebb_sigv4_verdict ebb_sigv4_check(const struct ebb_sigv4_request *q,
                                       const struct ebb_sigv4_claim *claim, const char *secret_key,
                                       int64_t now_wall_ns)
{
    char date[EBB_SIGV4_DATE_SIZE], expected[EBB_SHA256_HEX_SIZE];
    int64_t age_s = (now_wall_ns - claim->signed_wall_ns) / EBB_NS_PER_S;
    if (strncmp(ebb_sigv4_date(claim->signed_wall_ns, date), claim->day, 8) != 0)
        return EBB_SIGV4_MALFORMED;
    if (age_s < -MAX_SKEW_S || (!claim->presigned && age_s > MAX_SKEW_S))
        return EBB_SIGV4_SKEWED;
    if (claim->presigned && age_s > claim->valid_s)
        return EBB_SIGV4_EXPIRED;
    if (!covers_required(q, claim))
        return EBB_SIGV4_MISMATCH;
    sign(q, claim, secret_key, expected);
    if (!ebb_secret_equal(expected, claim->signature, 64))
        return EBB_SIGV4_MISMATCH;
    return EBB_SIGV4_GENUINE;
}
