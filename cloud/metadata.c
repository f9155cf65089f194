/* IMDSv2 client. A session token is asked for before the first read and kept until shortly before
 * it ends; a 401 (the VM's service was restarted) fetches a new one, once per read. Proxies are
 * never used: the service is link-local. */
#include "cloud/metadata.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/http_client.h"
#include "base/memory.h"
#include "cloud/imds_parse.h"

#define DEFAULT_ENDPOINT "http://169.254.169.254"
#define TOKEN_TTL_S      21600
#define RENEW_BEFORE_S   300
#define CALL_TIMEOUT_S   2.0
#define MAX_ANSWER_BYTES (1u << 20)

struct ebb_metadata {
    struct ebb_http_client *http;
    char *endpoint;
    pthread_mutex_t lock; /* guards the token */
    char token[257];      /* "" when none */
    int64_t token_until_ns;
};

int ebb_metadata_open(struct ebb_metadata **ret, struct ebb_error *err)
{
    const char *disabled = getenv("AWS_EC2_METADATA_DISABLED");
    if (disabled != NULL && strcasecmp(disabled, "true") == 0)
        return ebb_error_set(err, EBB_ERR_NOT_FOUND,
                             "the metadata service is switched off by AWS_EC2_METADATA_DISABLED");
    const char *endpoint = getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    if (endpoint == NULL || endpoint[0] == '\0')
        endpoint = DEFAULT_ENDPOINT;
    size_t len = strlen(endpoint);
    while (len > 0 && endpoint[len - 1] == '/')
        len--;
    struct ebb_metadata *m = ebb_alloc(sizeof(*m));
    m->http = ebb_http_client_new();
    m->endpoint = ebb_strndup(endpoint, len);
    pthread_mutex_init(&m->lock, NULL);
    *ret = m;
    return 0;
}

void ebb_metadata_destroy(struct ebb_metadata *m)
{
    if (m == NULL)
        return;
    ebb_http_client_destroy(m->http);
    pthread_mutex_destroy(&m->lock);
    explicit_bzero(m->token, sizeof(m->token));
    free(m->endpoint);
    free(m);
}

static int call(struct ebb_metadata *m, const char *method, const char *path, const char *header,
                int64_t deadline_ns, struct ebb_http_answer *ret, struct ebb_error *err)
{
    EBB_AUTO_FREE char *url = ebb_sprintf("%s%s", m->endpoint, path);
    const char *headers[] = {header, NULL};
    double left_s = (double)(deadline_ns - ebb_now_ns(NULL)) / (double)EBB_NS_PER_S;
    if (left_s < 0.01)
        return ebb_error_set(err, EBB_ERR_TIMEOUT, "metadata service: no answer");
    struct ebb_http_request q = {.method = method,
                                 .url = url,
                                 .headers = headers,
                                 .connect_timeout_s = left_s,
                                 .timeout_s = left_s,
                                 .max_answer_bytes = MAX_ANSWER_BYTES,
                                 .no_proxy = 1};
    int code = ebb_http_call(m->http, &q, ret, err);
    return code < 0 ? ebb_error_wrap(err, code, "metadata service %s", m->endpoint) : code;
}

/* Copies a token that still holds into `out`; asks for a new one when there is none. */
static int take_token(struct ebb_metadata *m, int64_t deadline_ns, char out[257],
                      struct ebb_error *err)
{
    int code = 0;
    pthread_mutex_lock(&m->lock);
    if (m->token[0] == '\0' || ebb_now_ns(NULL) >= m->token_until_ns) {
        EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer answer = {0};
        code = call(m, "PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 21600",
                    deadline_ns, &answer, err);
        const char *text = ebb_buffer_text(&answer.body);
        size_t len = strcspn(text, "\r\n");
        if (code == 0 && (answer.status != 200 || len == 0 || len >= sizeof(m->token)))
            code = ebb_error_set(err, EBB_ERR_UNAVAILABLE,
                                 "metadata service: no token (HTTP status %d)", answer.status);
        if (code == 0) {
            snprintf(m->token, sizeof(m->token), "%.*s", (int)len, text);
            m->token_until_ns = ebb_now_ns(NULL) + (TOKEN_TTL_S - RENEW_BEFORE_S) * EBB_NS_PER_S;
        }
    }
    memcpy(out, m->token, sizeof(m->token));
    pthread_mutex_unlock(&m->lock);
    return code;
}

static void drop_token(struct ebb_metadata *m, const char *token)
{
    pthread_mutex_lock(&m->lock);
    if (strcmp(m->token, token) == 0)
        m->token[0] = '\0';
    pthread_mutex_unlock(&m->lock);
}

int ebb_metadata_read(struct ebb_metadata *m, const char *path, struct ebb_buffer *out,
                      struct ebb_error *err)
{
    int64_t deadline_ns = ebb_now_ns(NULL) + (int64_t)(CALL_TIMEOUT_S * (double)EBB_NS_PER_S);
    for (int attempt = 0;; attempt++) {
        EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer answer = {0};
        char token[257], header[300];
        int code = take_token(m, deadline_ns, token, err);
        if (code < 0)
            return code;
        snprintf(header, sizeof(header), "X-aws-ec2-metadata-token: %s", token);
        code = call(m, "GET", path, header, deadline_ns, &answer, err);
        if (code < 0)
            return code;
        if (answer.status == 200) {
            ebb_buffer_append(out, answer.body.data, answer.body.len);
            return 0;
        }
        if (answer.status == 401 && attempt == 0) {
            drop_token(m, token);
            continue;
        }
        return ebb_error_set(err, answer.status == 404 ? EBB_ERR_NOT_FOUND : EBB_ERR_UNAVAILABLE,
                             "metadata service: %s: HTTP status %d", path, answer.status);
    }
}

static int read_short(struct ebb_metadata *m, const char *path, char *out, size_t size,
                      struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    int code = ebb_metadata_read(m, path, &text, err);
    if (code < 0)
        return code;
    size_t len = strcspn(ebb_buffer_text(&text), "\r\n");
    if (len == 0 || len >= size)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "metadata service: %s is not usable", path);
    memcpy(out, ebb_buffer_text(&text), len);
    out[len] = '\0';
    return 0;
}

int ebb_metadata_identity(struct ebb_metadata *m, struct ebb_identity *ret, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    int code = ebb_metadata_read(m, "/latest/dynamic/instance-identity/document", &text, err);
    if (code == 0)
        return ebb_imds_parse_identity(text.data, text.len, ret, err);
    if (code != EBB_ERR_NOT_FOUND)
        return code;
    struct ebb_identity id = {0};
    if ((code = read_short(m, "/latest/meta-data/instance-id", id.instance, sizeof(id.instance),
                           err)) < 0 ||
        (code = read_short(m, "/latest/meta-data/instance-type", id.type, sizeof(id.type), err)) <
            0 ||
        (code = read_short(m, "/latest/meta-data/placement/availability-zone", id.zone,
                           sizeof(id.zone), err)) < 0 ||
        (code = read_short(m, "/latest/meta-data/placement/region", id.region, sizeof(id.region),
                           err)) < 0)
        return code;
    *ret = id;
    return 0;
}

int ebb_metadata_notice(struct ebb_metadata *m, struct ebb_notice *ret, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    struct ebb_notice notice = {0};
    int code = ebb_metadata_read(m, "/latest/meta-data/spot/instance-action", &text, err);
    if (code == 0) {
        notice.revocation = true;
        code = ebb_imds_parse_action(text.data, text.len, &notice.deadline_wall_ns, err);
    } else if (code == EBB_ERR_NOT_FOUND) {
        code =
            ebb_metadata_read(m, "/latest/meta-data/events/recommendations/rebalance", &text, err);
        notice.rebalance = code == 0;
        if (code == EBB_ERR_NOT_FOUND)
            code = 0;
    }
    if (code < 0)
        return code;
    ebb_error_clear(err);
    *ret = notice;
    return 0;
}
