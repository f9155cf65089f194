/* Signed requests. The body is always signed by its hash, so requests are safe from change on the
 * way also without TLS. The clock of the service is learnt from the Date of an answer that refuses
 * ours (AWS allows 5 to 15 minutes), and all later signatures use it. */
#include "cloud/aws_client.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "cloud/credentials.h"

#define SKEW_TO_LEARN_S 120

struct ebb_aws_client {
    struct ebb_http_client *http;
    struct ebb_credentials *credentials;
    char region[64];
    _Atomic int64_t skew_ns; /* the service's clock minus ours, when it matters */
};

int ebb_aws_client_new(struct ebb_aws_client **ret, struct ebb_error *err)
{
    char region[64];
    if (ebb_aws_region(region, sizeof(region), err) < 0)
        return EBB_ERR_INPUT;
    struct ebb_aws_client *c = ebb_alloc(sizeof(*c));
    c->http = ebb_http_client_new();
    c->credentials = ebb_credentials_new(NULL);
    memcpy(c->region, region, sizeof(region));
    *ret = c;
    return 0;
}

void ebb_aws_client_destroy(struct ebb_aws_client *c)
{
    if (c == NULL)
        return;
    ebb_http_client_destroy(c->http);
    ebb_credentials_destroy(c->credentials);
    free(c);
}

const char *ebb_aws_client_region(const struct ebb_aws_client *c)
{
    return c->region;
}

static const char *host_of(const char *origin)
{
    const char *host = strstr(origin, "://");
    return host != NULL ? host + 3 : origin;
}

static struct ebb_sigv4_key key_of(const struct ebb_aws_credentials *c)
{
    return (struct ebb_sigv4_key){c->access_key, c->secret_key, c->session_token};
}

/* "Name: value" lines for the request as sent, the signature included; each malloc'ed. */
static void make_headers(const struct ebb_aws_client *c, const struct ebb_aws_request *q,
                         const struct ebb_aws_credentials *credentials, const char *hash,
                         char *lines[EBB_AWS_MAX_HEADERS + 8])
{
    struct ebb_sigv4_header all[EBB_AWS_MAX_HEADERS + 6];
    char date[EBB_SIGV4_DATE_SIZE];
    size_t n = 0, out = 0;
    int64_t wall_ns = ebb_wall_ns(NULL) + atomic_load(&c->skew_ns);
    all[n++] = (struct ebb_sigv4_header){"Host", host_of(q->origin)};
    all[n++] = (struct ebb_sigv4_header){"X-Amz-Date", ebb_sigv4_date(wall_ns, date)};
    if (credentials->session_token[0] != '\0')
        all[n++] = (struct ebb_sigv4_header){"X-Amz-Security-Token", credentials->session_token};
    if (strcmp(q->service, "s3") == 0)
        all[n++] = (struct ebb_sigv4_header){"X-Amz-Content-Sha256", hash};
    for (size_t i = 0; i < q->header_count; i++)
        all[n++] = q->headers[i];
    struct ebb_sigv4_request request = {q->method, q->target, all, n, hash};
    struct ebb_sigv4_key key = key_of(credentials);
    EBB_AUTO_FREE char *authorization = ebb_sigv4_authorization(
        &key, q->region != NULL ? q->region : c->region, q->service, wall_ns, &request);
    for (size_t i = 0; i < n; i++)
        lines[out++] = ebb_sprintf("%s: %s", all[i].name, all[i].value);
    lines[out++] = ebb_sprintf("Authorization: %s", authorization);
    lines[out] = NULL;
}

static int send_once(struct ebb_aws_client *c, const struct ebb_aws_request *q, const char *hash,
                     struct ebb_http_answer *ret, struct ebb_error *err)
{
    struct ebb_aws_credentials credentials;
    char *lines[EBB_AWS_MAX_HEADERS + 8] = {NULL};
    int code = ebb_credentials_get(c->credentials, &credentials, err);
    if (code < 0)
        return code;
    make_headers(c, q, &credentials, hash, lines);
    explicit_bzero(&credentials, sizeof(credentials));
    EBB_AUTO_FREE char *url = ebb_sprintf("%s%s", q->origin, q->target);
    struct ebb_http_request http = {.method = q->method,
                                    .url = url,
                                    .headers = (const char *const *)lines,
                                    .body = q->body,
                                    .body_len = q->body_len,
                                    .timeout_s = q->timeout_s,
                                    .max_answer_bytes = q->max_answer_bytes,
                                    .cancel = q->cancel};
    code = ebb_http_call(c->http, &http, ret, err);
    for (size_t i = 0; lines[i] != NULL; i++)
        free(lines[i]);
    return code;
}

/* True when the answer's Date shows that our clock was the matter; it is known from then on. */
static bool learn_clock(struct ebb_aws_client *c, const struct ebb_http_answer *answer)
{
    EBB_AUTO_FREE char *date = ebb_http_header(answer, "Date");
    struct tm tm = {0};
    if (date == NULL || strptime(date, "%a, %d %b %Y %H:%M:%S GMT", &tm) == NULL)
        return false;
    int64_t skew_ns = (int64_t)timegm(&tm) * EBB_NS_PER_S - ebb_wall_ns(NULL);
    int64_t change_s = (skew_ns - atomic_load(&c->skew_ns)) / EBB_NS_PER_S;
    if (llabs(change_s) < SKEW_TO_LEARN_S)
        return false;
    ebb_log_warn("this machine's clock differs from the cloud's by %lld s",
                 (long long)(skew_ns / EBB_NS_PER_S));
    atomic_store(&c->skew_ns, skew_ns);
    return true;
}

static bool mentions(const struct ebb_http_answer *answer, const char *word)
{
    return answer->body.data != NULL &&
           memmem(answer->body.data, answer->body.len, word, strlen(word)) != NULL;
}

static bool can_mend(struct ebb_aws_client *c, const struct ebb_http_answer *answer)
{
    if (answer->status != 400 && answer->status != 401 && answer->status != 403)
        return false;
    if (mentions(answer, "ExpiredToken") || mentions(answer, "RequestExpired") ||
        mentions(answer, "TokenRefreshRequired")) {
        ebb_credentials_invalidate(c->credentials);
        (void)learn_clock(c, answer);
        return true;
    }
    return learn_clock(c, answer);
}

int ebb_aws_call(struct ebb_aws_client *c, const struct ebb_aws_request *q,
                 struct ebb_http_answer *ret, struct ebb_error *err)
{
    uint8_t hash[EBB_SHA256_SIZE];
    char hex[EBB_SHA256_HEX_SIZE];
    if (q->body_sha256 != NULL)
        memcpy(hash, q->body_sha256, sizeof(hash));
    else
        ebb_sha256(q->body, q->body_len, hash);
    ebb_hex(hash, sizeof(hash), hex);
    int code = send_once(c, q, hex, ret, err);
    if (code < 0 || !can_mend(c, ret))
        return code;
    ebb_http_answer_clean_up(ret);
    *ret = (struct ebb_http_answer){0};
    return send_once(c, q, hex, ret, err);
}

char *ebb_aws_presign(struct ebb_aws_client *c, const char *service, const char *method,
                      const char *origin, const char *path, unsigned valid_s, struct ebb_error *err)
{
    struct ebb_aws_credentials credentials;
    if (ebb_credentials_get(c->credentials, &credentials, err) < 0)
        return NULL;
    struct ebb_sigv4_key key = key_of(&credentials);
    int64_t wall_ns = ebb_wall_ns(NULL) + atomic_load(&c->skew_ns);
    char *url = ebb_sigv4_presign(&key, c->region, service, wall_ns, method, origin, path, valid_s);
    explicit_bzero(&credentials, sizeof(credentials));
    return url;
}
