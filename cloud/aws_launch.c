/* RunInstances: one VM, tagged from birth, idempotent by its client token.
 *
 * What the account's set-up gives comes from the environment: EBB_AWS_IMAGE_ID (an AMI, or
 * "resolve:ssm:<parameter>"; Debian 12 when not set), EBB_AWS_SUBNETS ("zone=subnet,..."),
 * EBB_AWS_SECURITY_GROUPS ("sg-1,sg-2"), EBB_AWS_INSTANCE_PROFILE (name or ARN). */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/text.h"
#include "cloud/aws_provider.h"
#include "cloud/ec2_answer.h"

#define MAX_USER_DATA_BYTES 16384
#define MAX_TOKEN_BYTES     64

static const char *setting(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

char *ebb_aws_subnet_of(const char *zone)
{
    const char *at = setting("EBB_AWS_SUBNETS");
    size_t zone_len = strlen(zone);
    while (at != NULL && *at != '\0') {
        size_t len = strcspn(at, ",");
        if (len > zone_len + 1 && strncmp(at, zone, zone_len) == 0 && at[zone_len] == '=')
            return ebb_strndup(at + zone_len + 1, len - zone_len - 1);
        at += len + (at[len] == ',');
    }
    return NULL;
}

static void add_image(struct ebb_buffer *form)
{
    const char *image = setting("EBB_AWS_IMAGE_ID");
    struct utsname machine;
    if (image != NULL) {
        ebb_ec2_form_add(form, "ImageId", image);
        return;
    }
    bool arm = uname(&machine) == 0 && strcmp(machine.machine, "aarch64") == 0;
    EBB_AUTO_FREE char *parameter = ebb_sprintf(
        "resolve:ssm:/aws/service/debian/release/12/latest/%s", arm ? "arm64" : "amd64");
    ebb_ec2_form_add(form, "ImageId", parameter);
}

static int add_place(struct ebb_buffer *form, const char *zone, struct ebb_error *err)
{
    EBB_AUTO_FREE char *subnet = ebb_aws_subnet_of(zone);
    ebb_ec2_form_add(form, "Placement.AvailabilityZone", zone);
    if (subnet != NULL)
        ebb_ec2_form_add(form, "SubnetId", subnet);
    else if (setting("EBB_AWS_SUBNETS") != NULL)
        return ebb_error_set(err, EBB_ERR_INPUT, "EBB_AWS_SUBNETS names no subnet in zone %s",
                             zone);
    return 0;
}

static void add_security_groups(struct ebb_buffer *form)
{
    const char *at = setting("EBB_AWS_SECURITY_GROUPS");
    for (int i = 1; at != NULL && *at != '\0'; i++) {
        size_t len = strcspn(at, ",");
        char name[32];
        snprintf(name, sizeof(name), "SecurityGroupId.%d", i);
        EBB_AUTO_FREE char *group = ebb_strndup(at, len);
        ebb_ec2_form_add(form, name, group);
        at += len + (at[len] == ',');
    }
}

static void add_profile(struct ebb_buffer *form)
{
    const char *profile = setting("EBB_AWS_INSTANCE_PROFILE");
    if (profile != NULL)
        ebb_ec2_form_add(form,
                         ebb_starts_with(profile, "arn:") ? "IamInstanceProfile.Arn"
                                                          : "IamInstanceProfile.Name",
                         profile);
}

static void add_tag(struct ebb_buffer *form, int index, const char *key, const char *value)
{
    char name[64];
    snprintf(name, sizeof(name), "TagSpecification.1.Tag.%d.Key", index);
    ebb_ec2_form_add(form, name, key);
    snprintf(name, sizeof(name), "TagSpecification.1.Tag.%d.Value", index);
    ebb_ec2_form_add(form, name, value);
}

static void add_tags(struct ebb_buffer *form, const struct ebb_launch_request *q)
{
    ebb_ec2_form_add(form, "TagSpecification.1.ResourceType", "instance");
    add_tag(form, 1, "Name", q->vm);
    add_tag(form, 2, "ebb:vm", q->vm);
    add_tag(form, 3, "ebb:scheduler", q->scheduler);
}

static void add_market(struct ebb_buffer *form, const Ebb__Offer *offer)
{
    if (offer->market != EBB__MARKET__SPOT)
        return;
    ebb_ec2_form_add(form, "InstanceMarketOptions.MarketType", "spot");
    ebb_ec2_form_add(form, "InstanceMarketOptions.SpotOptions.SpotInstanceType", "one-time");
    ebb_ec2_form_add(form, "InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior",
                     "terminate");
}

static int build_form(struct ebb_buffer *form, const struct ebb_launch_request *q,
                      struct ebb_error *err)
{
    size_t user_data_len = strlen(q->user_data);
    if (user_data_len > MAX_USER_DATA_BYTES)
        return ebb_error_set(err, EBB_ERR_INPUT, "launch: user data has %zu bytes, EC2 takes %d",
                             user_data_len, MAX_USER_DATA_BYTES);
    if (q->client_token[0] == '\0' || strlen(q->client_token) > MAX_TOKEN_BYTES)
        return ebb_error_set(err, EBB_ERR_INPUT, "launch: a client token has 1 to %d bytes",
                             MAX_TOKEN_BYTES);
    EBB_AUTO_FREE char *user_data = ebb_base64_encode(q->user_data, user_data_len);
    ebb_ec2_form_begin(form, "RunInstances");
    ebb_ec2_form_add(form, "ClientToken", q->client_token);
    ebb_ec2_form_add(form, "InstanceType", q->offer->type);
    ebb_ec2_form_add(form, "MinCount", "1");
    ebb_ec2_form_add(form, "MaxCount", "1");
    ebb_ec2_form_add(form, "InstanceInitiatedShutdownBehavior", "terminate");
    ebb_ec2_form_add(form, "MetadataOptions.HttpTokens", "required");
    ebb_ec2_form_add(form, "UserData", user_data);
    add_image(form);
    add_security_groups(form);
    add_profile(form);
    add_market(form, q->offer);
    add_tags(form, q);
    return add_place(form, q->offer->zone, err);
}

int ebb_aws_launch(struct ebb_provider *p, const struct ebb_launch_request *q,
                   struct ebb_instance *ret, struct ebb_error *err)
{
    struct ebb_aws_provider *a = (struct ebb_aws_provider *)p;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer form = {0};
    struct ebb_xml *x = NULL;
    int status = 0;
    int code = build_form(&form, q, err);
    if (code < 0)
        return code;
    code = ebb_ec2_call(&a->ec2, &form, 0, &x, &status, err);
    explicit_bzero(form.data, form.len); /* user data holds the join token */
    if (code == EBB_ERR_UNAVAILABLE && status >= 500) {
        /* It may have launched all the same. */
        if (err != NULL)
            err->code = EBB_ERR_TIMEOUT;
        return EBB_ERR_TIMEOUT;
    }
    if (code < 0)
        return code;
    code = ebb_ec2_read_instance(ebb_xml_find(ebb_xml_root(x), "instancesSet/item"), ret, err);
    ebb_xml_destroy(x);
    if (code < 0)
        return ebb_error_set(err, EBB_ERR_TIMEOUT, "RunInstances: answered without an instance");
    return 0;
}
