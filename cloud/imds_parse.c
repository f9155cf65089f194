/* JSON of the metadata service. */
#include "cloud/imds_parse.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

static void drop_json(json_t **j)
{
    json_decref(*j);
}

static json_t *load(const void *data, size_t len, struct ebb_error *err)
{
    json_error_t e;
    json_t *j = json_loadb(data, len, 0, &e);
    if (j == NULL)
        ebb_error_set(err, EBB_ERR_CORRUPT, "metadata service: no JSON: %s", e.text);
    return j;
}

static int copy_field(const json_t *object, const char *key, char *out, size_t size,
                      struct ebb_error *err)
{
    const char *value = json_string_value(json_object_get(object, key));
    if (value == NULL || value[0] == '\0' || strlen(value) >= size)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "metadata service: no usable %s", key);
    memcpy(out, value, strlen(value) + 1);
    return 0;
}

int ebb_imds_parse_identity(const void *data, size_t len, struct ebb_identity *ret,
                            struct ebb_error *err)
{
    EBB_AUTO(drop_json) json_t *j = load(data, len, err);
    struct ebb_identity id = {0};
    if (j == NULL || copy_field(j, "instanceId", id.instance, sizeof(id.instance), err) < 0 ||
        copy_field(j, "instanceType", id.type, sizeof(id.type), err) < 0 ||
        copy_field(j, "availabilityZone", id.zone, sizeof(id.zone), err) < 0 ||
        copy_field(j, "region", id.region, sizeof(id.region), err) < 0)
        return EBB_ERR_CORRUPT;
    *ret = id;
    return 0;
}

static int read_time(const json_t *object, const char *key, int64_t *ret, struct ebb_error *err)
{
    char text[64];
    int64_t wall_ns = 0;
    if (copy_field(object, key, text, sizeof(text), err) < 0)
        return EBB_ERR_CORRUPT;
    if (ebb_time_parse(text, &wall_ns, NULL) < 0)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "metadata service: %s is no time", key);
    *ret = wall_ns;
    return 0;
}

int ebb_imds_parse_action(const void *data, size_t len, int64_t *ret_deadline_wall_ns,
                          struct ebb_error *err)
{
    EBB_AUTO(drop_json) json_t *j = load(data, len, err);
    if (j == NULL)
        return EBB_ERR_CORRUPT;
    return read_time(j, "time", ret_deadline_wall_ns, err);
}

int ebb_imds_parse_credentials(const void *data, size_t len, struct ebb_aws_credentials *ret,
                               struct ebb_error *err)
{
    EBB_AUTO(drop_json) json_t *j = load(data, len, err);
    struct ebb_aws_credentials c = {0};
    if (j == NULL || copy_field(j, "AccessKeyId", c.access_key, sizeof(c.access_key), err) < 0 ||
        copy_field(j, "SecretAccessKey", c.secret_key, sizeof(c.secret_key), err) < 0 ||
        copy_field(j, "Token", c.session_token, sizeof(c.session_token), err) < 0 ||
        read_time(j, "Expiration", &c.expires_wall_ns, err) < 0)
        return EBB_ERR_CORRUPT;
    *ret = c;
    return 0;
}
