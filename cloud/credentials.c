/* The credentials chain. What was found is kept; credentials that expire are fetched again when
 * less than 5 minutes, or half their life if that is shorter, is left. While old ones still hold, a
 * failed renewal is no error. One mutex: a renewal blocks the other callers, who need it too. */
#include "cloud/credentials.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "cloud/aws_config.h"
#include "cloud/imds_parse.h"
#include "cloud/metadata.h"

#define RENEW_BEFORE_S 300
#define ROLE_PATH      "/latest/meta-data/iam/security-credentials/"

struct ebb_credentials {
    const struct ebb_clock *clock;
    pthread_mutex_t lock;
    struct ebb_aws_credentials found;
    int64_t renew_wall_ns; /* 0: nothing found yet; INT64_MAX: never */
    struct ebb_metadata *metadata;
};

struct ebb_credentials *ebb_credentials_new(const struct ebb_clock *clock)
{
    struct ebb_credentials *c = ebb_alloc(sizeof(*c));
    c->clock = clock;
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void ebb_credentials_destroy(struct ebb_credentials *c)
{
    if (c == NULL)
        return;
    ebb_metadata_destroy(c->metadata);
    pthread_mutex_destroy(&c->lock);
    explicit_bzero(&c->found, sizeof(c->found));
    free(c);
}

static bool fill(struct ebb_aws_credentials *out, const char *access_key, const char *secret_key,
                 const char *token)
{
    if (access_key == NULL || secret_key == NULL || access_key[0] == '\0' ||
        secret_key[0] == '\0' || strlen(access_key) >= sizeof(out->access_key) ||
        strlen(secret_key) >= sizeof(out->secret_key) ||
        (token != NULL && strlen(token) >= sizeof(out->session_token)))
        return false;
    memset(out, 0, sizeof(*out));
    snprintf(out->access_key, sizeof(out->access_key), "%s", access_key);
    snprintf(out->secret_key, sizeof(out->secret_key), "%s", secret_key);
    snprintf(out->session_token, sizeof(out->session_token), "%s", token != NULL ? token : "");
    return true;
}

static bool from_environment(struct ebb_aws_credentials *out)
{
    return fill(out, getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"),
                getenv("AWS_SESSION_TOKEN"));
}

static bool from_files(struct ebb_aws_credentials *out)
{
    EBB_AUTO_FREE char *access_key = ebb_aws_profile_value("aws_access_key_id");
    EBB_AUTO_FREE char *secret_key = ebb_aws_profile_value("aws_secret_access_key");
    EBB_AUTO_FREE char *token = ebb_aws_profile_value("aws_session_token");
    bool found = fill(out, access_key, secret_key, token);
    if (secret_key != NULL)
        explicit_bzero(secret_key, strlen(secret_key));
    return found;
}

static int from_metadata(struct ebb_credentials *c, struct ebb_aws_credentials *out,
                         struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer role = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer text = {0};
    int code = 0;
    if (c->metadata == NULL && (code = ebb_metadata_open(&c->metadata, err)) < 0)
        return code;
    code = ebb_metadata_read(c->metadata, ROLE_PATH, &role, err);
    if (code < 0)
        return code;
    EBB_AUTO_FREE char *path = ebb_sprintf(
        ROLE_PATH "%.*s", (int)strcspn(ebb_buffer_text(&role), "\r\n"), ebb_buffer_text(&role));
    code = ebb_metadata_read(c->metadata, path, &text, err);
    if (code < 0)
        return code;
    code = ebb_imds_parse_credentials(text.data, text.len, out, err);
    explicit_bzero(text.data, text.len);
    return code;
}

static void keep(struct ebb_credentials *c, const struct ebb_aws_credentials *found)
{
    int64_t now = ebb_wall_ns(c->clock);
    c->found = *found;
    c->renew_wall_ns = INT64_MAX;
    if (found->expires_wall_ns != 0) {
        int64_t margin = RENEW_BEFORE_S * EBB_NS_PER_S;
        int64_t half_life = (found->expires_wall_ns - now) / 2;
        c->renew_wall_ns = found->expires_wall_ns - (half_life < margin ? half_life : margin);
    }
}

static int look(struct ebb_credentials *c, struct ebb_error *err)
{
    struct ebb_aws_credentials found = {0};
    struct ebb_error cause = {0};
    int code = 0;
    if (!from_environment(&found) && !from_files(&found))
        code = from_metadata(c, &found, &cause);
    if (code == 0) {
        keep(c, &found);
    } else if (c->found.expires_wall_ns > ebb_wall_ns(c->clock)) {
        ebb_log_warn("credentials not renewed, old ones still hold: %s", cause.text);
        c->renew_wall_ns = ebb_wall_ns(c->clock) + 10 * EBB_NS_PER_S;
        code = 0;
    } else {
        code = ebb_error_set(
            err,
            ebb_code_is_transient(code) && c->found.expires_wall_ns != 0 ? code : EBB_ERR_DENIED,
            "no AWS credentials: none in AWS_ACCESS_KEY_ID, none for profile "
            "\"%s\" in the shared files, no instance role (%.200s)",
            ebb_aws_profile_name(), cause.text);
    }
    explicit_bzero(&found, sizeof(found));
    return code;
}

int ebb_credentials_get(struct ebb_credentials *c, struct ebb_aws_credentials *ret,
                        struct ebb_error *err)
{
    int code = 0;
    pthread_mutex_lock(&c->lock);
    if (c->renew_wall_ns == 0 || ebb_wall_ns(c->clock) >= c->renew_wall_ns)
        code = look(c, err);
    if (code == 0)
        *ret = c->found;
    pthread_mutex_unlock(&c->lock);
    return code;
}

void ebb_credentials_invalidate(struct ebb_credentials *c)
{
    pthread_mutex_lock(&c->lock);
    c->renew_wall_ns = 0;
    c->found.expires_wall_ns = c->found.expires_wall_ns != 0 ? 1 : 0;
    pthread_mutex_unlock(&c->lock);
}

/* ---- region and endpoint ---- */

static char *from_variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? ebb_strdup(value) : NULL;
}

static char *region_by_metadata(void)
{
    struct ebb_metadata *m = NULL;
    struct ebb_identity id;
    char *region = NULL;
    if (ebb_metadata_open(&m, NULL) == 0 && ebb_metadata_identity(m, &id, NULL) == 0)
        region = ebb_strdup(id.region);
    ebb_metadata_destroy(m);
    return region;
}

int ebb_aws_region(char *out, size_t size, struct ebb_error *err)
{
    EBB_AUTO_FREE char *region = from_variable("AWS_REGION");
    if (region == NULL)
        region = from_variable("AWS_DEFAULT_REGION");
    if (region == NULL)
        region = ebb_aws_profile_value("region");
    if (region == NULL) {
        EBB_AUTO_FREE char *endpoint = ebb_aws_endpoint("S3");
        if (endpoint != NULL && getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT") == NULL)
            region = ebb_strdup("us-east-1");
        else
            region = region_by_metadata();
    }
    if (region == NULL || strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(region))
        return ebb_error_set(err, EBB_ERR_INPUT,
                             "no AWS region: set AWS_REGION, or region in the profile \"%s\"",
                             ebb_aws_profile_name());
    if (strlen(region) >= size)
        return ebb_error_set(err, EBB_ERR_INPUT, "AWS region %s: name too long", region);
    snprintf(out, size, "%s", region);
    return 0;
}

char *ebb_aws_endpoint(const char *service)
{
    EBB_AUTO_FREE char *name = ebb_sprintf("AWS_ENDPOINT_URL_%s", service);
    char *url = from_variable(name);
    if (url == NULL)
        url = from_variable("AWS_ENDPOINT_URL");
    if (url == NULL)
        url = ebb_aws_profile_value("endpoint_url");
    for (size_t len = url != NULL ? strlen(url) : 0; len > 0 && url[len - 1] == '/'; len--)
        url[len - 1] = '\0';
    return url;
}
