/* EC2's answers. Names of errors as in "Error codes for the Amazon EC2 API" and as met by others
 * (Karpenter, ParallelCluster). */
#include "cloud/ec2_answer.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"

static const struct {
    const char *name;
    int code;
} named_codes[] = {
    /* this pool has none: another zone or type may */
    {"InsufficientInstanceCapacity", EBB_ERR_NO_CAPACITY},
    {"InsufficientCapacity", EBB_ERR_NO_CAPACITY},
    {"InsufficientHostCapacity", EBB_ERR_NO_CAPACITY},
    {"InsufficientReservedInstanceCapacity", EBB_ERR_NO_CAPACITY},
    {"InsufficientFreeAddressesInSubnet", EBB_ERR_NO_CAPACITY},
    {"ReservationCapacityExceeded", EBB_ERR_NO_CAPACITY},
    {"SpotMaxPriceTooLow", EBB_ERR_NO_CAPACITY},
    {"UnfulfillableCapacity", EBB_ERR_NO_CAPACITY},
    {"Unsupported", EBB_ERR_NO_CAPACITY}, /* the type is not offered in this zone */
    /* the account's limit */
    {"MaxSpotInstanceCountExceeded", EBB_ERR_QUOTA},
    {"SpotInstanceCountLimitExceeded", EBB_ERR_QUOTA},
    {"VcpuLimitExceeded", EBB_ERR_QUOTA},
    {"InstanceLimitExceeded", EBB_ERR_QUOTA},
    {"MaxFleetCountExceeded", EBB_ERR_QUOTA},
    {"VolumeLimitExceeded", EBB_ERR_QUOTA},
    {"AddressLimitExceeded", EBB_ERR_QUOTA},
    /* slow down */
    {"RequestLimitExceeded", EBB_ERR_THROTTLED},
    {"RequestThrottled", EBB_ERR_THROTTLED},
    {"RequestThrottledException", EBB_ERR_THROTTLED},
    {"EC2ThrottledException", EBB_ERR_THROTTLED},
    {"Throttling", EBB_ERR_THROTTLED},
    {"ThrottlingException", EBB_ERR_THROTTLED},
    {"ThrottledException", EBB_ERR_THROTTLED},
    {"TooManyRequestsException", EBB_ERR_THROTTLED},
    {"SlowDown", EBB_ERR_THROTTLED},
    /* try again */
    {"InternalError", EBB_ERR_UNAVAILABLE},
    {"InternalFailure", EBB_ERR_UNAVAILABLE},
    {"InternalServiceError", EBB_ERR_UNAVAILABLE},
    {"ServiceUnavailable", EBB_ERR_UNAVAILABLE},
    {"Unavailable", EBB_ERR_UNAVAILABLE},
    {"RequestTimeout", EBB_ERR_UNAVAILABLE},
    /* who are you */
    {"AuthFailure", EBB_ERR_DENIED},
    {"Blocked", EBB_ERR_DENIED},
    {"ExpiredToken", EBB_ERR_DENIED},
    {"InvalidClientTokenId", EBB_ERR_DENIED},
    {"OptInRequired", EBB_ERR_DENIED},
    {"PendingVerification", EBB_ERR_DENIED},
    {"RequestExpired", EBB_ERR_DENIED},
    {"SignatureDoesNotMatch", EBB_ERR_DENIED},
    {"UnauthorizedOperation", EBB_ERR_DENIED},
    /* the rest */
    {"InvalidAction", EBB_ERR_UNSUPPORTED},
    {"UnsupportedOperation", EBB_ERR_UNSUPPORTED},
    {"InvalidInstanceID.NotFound", EBB_ERR_NOT_FOUND},
    {"IdempotentInstanceTerminated", EBB_ERR_NOT_FOUND},
};

int ebb_ec2_code(int status, const char *name)
{
    if (ebb_starts_with(name, "Client.") || ebb_starts_with(name, "Server."))
        name += strlen("Client.");
    for (size_t i = 0; i < EBB_ARRAY_LEN(named_codes); i++)
        if (strcmp(named_codes[i].name, name) == 0)
            return named_codes[i].code;
    if (status == 401 || status == 403)
        return EBB_ERR_DENIED;
    if (status == 429 || status == 503 || status == 509)
        return EBB_ERR_THROTTLED;
    return status >= 500 || status == 408 ? EBB_ERR_UNAVAILABLE : EBB_ERR_INPUT;
}

int ebb_ec2_read_error(const char *action, int status, const void *body, size_t len,
                       struct ebb_error *err)
{
    struct ebb_xml *x = NULL;
    const struct ebb_xml_node *error = NULL;
    if (len > 0 && ebb_xml_parse(body, len, &x, NULL) == 0)
        error = ebb_xml_find(ebb_xml_root(x), "Errors/Error");
    const char *name = ebb_xml_get(error, "Code");
    int code = ebb_ec2_code(status, name);
    ebb_error_set(err, code, "%s: %s%s%.64s%s%.300s", action, name[0] != '\0' ? "" : "HTTP error",
                  name[0] != '\0' ? "" : " without a name", name, error != NULL ? ": " : "",
                  ebb_xml_get(error, "Message"));
    ebb_xml_destroy(x);
    return code;
}

static bool copy_text(const struct ebb_xml_node *n, const char *path, char *out, size_t size)
{
    const char *text = ebb_xml_get(n, path);
    if (strlen(text) >= size)
        return false;
    memcpy(out, text, strlen(text) + 1);
    return out[0] != '\0';
}

static int corrupt(struct ebb_error *err, const char *what)
{
    return ebb_error_set(err, EBB_ERR_CORRUPT, "EC2 answers with %s", what);
}

/* ---- instances ---- */

static const struct {
    const char *name;
    enum ebb_instance_state state;
} states[] = {
    {"pending", EBB_INSTANCE_PENDING},        {"running", EBB_INSTANCE_RUNNING},
    {"shutting-down", EBB_INSTANCE_STOPPING}, {"stopping", EBB_INSTANCE_STOPPING},
    {"stopped", EBB_INSTANCE_STOPPING},       {"terminated", EBB_INSTANCE_TERMINATED},
};

static bool read_state(const char *name, enum ebb_instance_state *ret)
{
    for (size_t i = 0; i < EBB_ARRAY_LEN(states); i++) {
        if (strcmp(states[i].name, name) == 0) {
            *ret = states[i].state;
            return true;
        }
    }
    return false;
}

static void read_tags(const struct ebb_xml_node *item, struct ebb_instance *ret)
{
    const struct ebb_xml_node *t = ebb_xml_child(ebb_xml_child(item, "tagSet"), "item");
    for (; t != NULL; t = ebb_xml_next(t, "item")) {
        const char *key = ebb_xml_get(t, "key");
        if (strcmp(key, "ebb:vm") == 0)
            (void)copy_text(t, "value", ret->vm, sizeof(ret->vm));
        else if (strcmp(key, "ebb:scheduler") == 0)
            (void)copy_text(t, "value", ret->scheduler, sizeof(ret->scheduler));
    }
}

/* The time in "User initiated (2026-11-21 11:05:00 GMT)"; 0 when there is none. */
static int64_t transition_time(const char *text)
{
    const char *open = strrchr(text, '('), *close = strrchr(text, ')');
    int64_t wall_ns = 0;
    if (open == NULL || close == NULL || close < open)
        return 0;
    EBB_AUTO_FREE char *inside = ebb_strndup(open + 1, (size_t)(close - open - 1));
    return ebb_time_parse(inside, &wall_ns, NULL) == 0 ? wall_ns : 0;
}

static void read_end(const struct ebb_xml_node *item, struct ebb_instance *ret)
{
    const char *code = ebb_xml_get(item, "stateReason/code");
    const char *transition = ebb_xml_get(item, "reason");
    ret->ended_wall_ns = transition_time(transition);
    ret->interrupted = ebb_starts_with(code, "Server.Spot") ||
                       (code[0] == '\0' && ebb_starts_with(transition, "Server.Spot"));
    snprintf(ret->reason, sizeof(ret->reason), "%s", code[0] != '\0' ? code : transition);
}

int ebb_ec2_read_instance(const struct ebb_xml_node *item, struct ebb_instance *ret,
                          struct ebb_error *err)
{
    struct ebb_instance i = {0};
    const char *launched = ebb_xml_get(item, "launchTime");
    if (!copy_text(item, "instanceId", i.id, sizeof(i.id)) ||
        !read_state(ebb_xml_get(item, "instanceState/name"), &i.state))
        return corrupt(err, "an instance without usable id or state");
    (void)copy_text(item, "instanceType", i.type, sizeof(i.type));
    (void)copy_text(item, "placement/availabilityZone", i.zone, sizeof(i.zone));
    i.spot = strcmp(ebb_xml_get(item, "instanceLifecycle"), "spot") == 0;
    if (launched[0] != '\0' && ebb_time_parse(launched, &i.launched_wall_ns, NULL) < 0)
        return corrupt(err, "an instance without usable launch time");
    read_tags(item, &i);
    if (i.state == EBB_INSTANCE_STOPPING || i.state == EBB_INSTANCE_TERMINATED)
        read_end(item, &i);
    *ret = i;
    return 0;
}

/* ---- types ---- */

static bool has_item(const struct ebb_xml_node *set, const char *text)
{
    const struct ebb_xml_node *n = ebb_xml_child(set, "item");
    for (; n != NULL; n = ebb_xml_next(n, "item"))
        if (strcmp(ebb_xml_text(n), text) == 0)
            return true;
    return false;
}

/* "A10G" -> "a10g", "Radeon Pro V520" -> "radeon-pro-v520". */
static void read_gpu_model(const char *name, char out[32])
{
    size_t n = 0;
    for (; name[n] != '\0' && n < 31; n++)
        out[n] = (char)(isspace((unsigned char)name[n]) ? '-' : tolower((unsigned char)name[n]));
    out[n] = '\0';
}

static int read_gpus(const struct ebb_xml_node *item, struct ebb_ec2_type *t, struct ebb_error *err)
{
    const struct ebb_xml_node *gpu = ebb_xml_find(item, "gpuInfo/gpus/item");
    int64_t count = 0;
    if (gpu == NULL)
        return 0;
    if (ebb_parse_int(ebb_xml_get(gpu, "count"), 0, 1024, &count, NULL) < 0)
        return corrupt(err, "a type without usable number of GPUs");
    t->gpus = (uint32_t)count;
    read_gpu_model(ebb_xml_get(gpu, "name"), t->gpu_model);
    return 0;
}

int ebb_ec2_read_type(const struct ebb_xml_node *item, const char *architecture,
                      struct ebb_ec2_type *ret, struct ebb_error *err)
{
    struct ebb_ec2_type t = {0};
    int64_t cpus = 0, memory_mib = 0;
    const struct ebb_xml_node *usage = ebb_xml_child(item, "supportedUsageClasses");
    const struct ebb_xml_node *architectures =
        ebb_xml_find(item, "processorInfo/supportedArchitectures");
    if (!copy_text(item, "instanceType", t.name, sizeof(t.name)) ||
        ebb_parse_int(ebb_xml_get(item, "vCpuInfo/defaultVCpus"), 1, 100000, &cpus, NULL) < 0 ||
        ebb_parse_int(ebb_xml_get(item, "memoryInfo/sizeInMiB"), 1, INT64_C(1) << 40, &memory_mib,
                      NULL) < 0)
        return corrupt(err, "a type without usable name, processors or memory");
    t.cpus = (double)cpus;
    t.memory_bytes = (uint64_t)memory_mib << 20;
    t.spot = usage == NULL || has_item(usage, "spot");
    t.on_demand = usage == NULL || has_item(usage, "on-demand");
    t.usable = (architectures == NULL || has_item(architectures, architecture)) &&
               strcmp(ebb_xml_get(item, "bareMetal"), "true") != 0;
    const char *cap = ebb_xml_get(item, "ebbSpotCapSeconds");
    if (cap[0] != '\0' && (ebb_parse_double(cap, &t.spot_cap_s, NULL) < 0 || !(t.spot_cap_s > 0) ||
                           t.spot_cap_s > 1e9))
        return corrupt(err, "a cap that is no number of seconds");
    int code = read_gpus(item, &t, err);
    if (code == 0)
        *ret = t;
    return code;
}

/* ---- prices ---- */

bool ebb_ec2_parse_price(const char *text, int64_t *ret_usd_micros)
{
    int64_t micros = 0, unit = 1000000;
    size_t whole = strspn(text, "0123456789");
    if (whole == 0 || whole > 9)
        return false;
    for (size_t i = 0; i < whole; i++)
        micros = micros * 10 + (text[i] - '0') * 1000000;
    text += whole;
    if (*text == '.') {
        text++;
        if (strspn(text, "0123456789") == 0)
            return false;
        for (; *text >= '0' && *text <= '9'; text++) {
            if (unit == 1 && *text >= '5')
                micros++;
            unit /= 10;
            micros += (*text - '0') * unit;
        }
    }
    if (*text != '\0')
        return false;
    *ret_usd_micros = micros;
    return true;
}

int ebb_ec2_read_spot_price(const struct ebb_xml_node *item, struct ebb_ec2_spot_price *ret,
                            struct ebb_error *err)
{
    struct ebb_ec2_spot_price p = {0};
    if (!copy_text(item, "instanceType", p.type, sizeof(p.type)) ||
        !copy_text(item, "availabilityZone", p.zone, sizeof(p.zone)) ||
        !ebb_ec2_parse_price(ebb_xml_get(item, "spotPrice"), &p.usd_micros_per_hour) ||
        ebb_time_parse(ebb_xml_get(item, "timestamp"), &p.from_wall_ns, NULL) < 0)
        return corrupt(err, "a spot price without usable type, zone, price or time");
    *ret = p;
    return 0;
}
