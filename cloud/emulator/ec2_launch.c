/* RunInstances, CreateFleet (type instant) and the launch templates that the latter needs. A client
 * token names a launch for good: the same request with the same token gives the same instances,
 * another request with it is refused. Tokens are kept with the VMs, so they outlive the emulator.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "cloud/emulator/ec2.h"
#include "cloud/emulator/emulator.h"
#include "cloud/emulator/faults.h"
#include "cloud/emulator/markup.h"
#include "cloud/emulator/revoke.h"

#define MAX_COUNT          100
#define MAX_USER_DATA      16384
#define MAX_TOKEN          64
#define MAX_FLEET_OVERRIDE 300

struct ebb_template {
    char id[24];
    char name[129];
    struct ebb_params data; /* names without "LaunchTemplateData." */
};

void ebb_ec2_free_template(void *template)
{
    struct ebb_template *t = template;

    ebb_params_clean_up(&t->data);
    free(t);
}

/* By id or by name; NULL when there is none. */
static struct ebb_template *find_template(const struct ebb_emulator *e, const char *id,
                                          const char *name)
{
    size_t cursor = 0;
    void *value;

    if (id != NULL)
        return ebb_map_get(e->templates, id);
    while (name != NULL && ebb_map_next(e->templates, &cursor, &value) != NULL) {
        struct ebb_template *t = value;

        if (strcmp(t->name, name) == 0)
            return t;
    }
    return NULL;
}

/* What an instance is to be, before a pool is chosen. */
struct spec {
    char image[40];
    char role[72];
    char token[MAX_TOKEN + 1];
    char hash[EBB_SHA256_HEX_SIZE];
    uint8_t *user_data; /* NUL-terminated */
    size_t user_data_len;
    struct ebb_params tags;
};

static void spec_clean_up(struct spec *s)
{
    free(s->user_data);
    ebb_params_clean_up(&s->tags);
}

/* In whole seconds, as the price history and the bill tell it: a launch goes by what was shown. */
int64_t ebb_ec2_spot_price(const struct ebb_emulator *e, int type, int zone)
{
    int64_t now_s = ebb_wall_ns(NULL) / EBB_NS_PER_S;
    size_t count;
    EBB_AUTO_FREE struct ebb_bill_price *prices =
        ebb_bill_prices(&e->fleet->types[type].spot[zone], e->origin_wall_ns, &count);
    size_t i = 0;

    while (i + 1 < count && prices[i + 1].from_s <= now_s)
        i++;
    return count > 0 ? prices[i].usd_micros_per_hour : 0;
}

/* ---- client tokens ---- */

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Everything that makes the request what it is, whatever the order. */
static void hash_request(const struct ebb_params *p, char out[EBB_SHA256_HEX_SIZE])
{
    EBB_AUTO_FREE char **lines = ebb_alloc_array(p->count + 1, sizeof(char *));
    struct ebb_sha256 *h = ebb_sha256_new();
    uint8_t digest[EBB_SHA256_SIZE];

    for (size_t i = 0; i < p->count; i++)
        lines[i] = ebb_sprintf("%s=%s", p->items[i].name, p->items[i].value);
    qsort(lines, p->count, sizeof(char *), compare_lines);
    for (size_t i = 0; i < p->count; i++) {
        if (!ebb_starts_with(lines[i], "X-Amz-"))
            ebb_sha256_update(h, lines[i], strlen(lines[i]) + 1);
        free(lines[i]);
    }
    ebb_sha256_final(h, digest);
    ebb_sha256_destroy(h);
    ebb_hex(digest, sizeof(digest), out);
}

/* The VMs of an earlier request with this token: their number, in `found` (MAX_COUNT). */
static const char *find_token(struct ebb_ec2_request *q, const struct spec *s,
                              struct ebb_guest **found, size_t *ret_count)
{
    struct ebb_emulator *e = q->emulator;

    *ret_count = 0;
    for (size_t i = 0; s->token[0] != '\0' && i < e->vm_count && *ret_count < MAX_COUNT; i++) {
        if (strcmp(e->vms[i]->client_token, s->token) != 0)
            continue;
        if (strcmp(e->vms[i]->request_hash, s->hash) != 0)
            return ebb_ec2_refuse(q, "IdempotentParameterMismatch",
                                  "Arguments on this idempotent request are inconsistent with "
                                  "arguments used in previous request(s).");
        found[(*ret_count)++] = e->vms[i];
    }
    return NULL;
}

/* ---- reading a request ---- */

/* Tags that are there already stay: those of the request go before those of its template. */
static void read_tags(const struct ebb_params *p, struct ebb_params *tags)
{
    for (size_t n = 1; n <= 20; n++) {
        const char *resource = ebb_params_getf(p, "TagSpecification.%zu.ResourceType", n);

        if (resource == NULL)
            break;
        if (strcmp(resource, "instance") != 0)
            continue;
        for (size_t m = 1; m <= 50; m++) {
            const char *key = ebb_params_getf(p, "TagSpecification.%zu.Tag.%zu.Key", n, m);
            const char *value = ebb_params_getf(p, "TagSpecification.%zu.Tag.%zu.Value", n, m);

            if (key == NULL)
                break;
            if (ebb_params_get(tags, key) == NULL)
                ebb_params_add(tags, key, value != NULL ? value : "");
        }
    }
}

static const char *read_user_data(struct ebb_ec2_request *q, const char *text, struct spec *s)
{
    size_t len = 0;

    free(s->user_data);
    s->user_data_len = 0;
    if (text == NULL || text[0] == '\0') {
        s->user_data = (uint8_t *)ebb_strdup("");
        return NULL;
    }
    uint8_t *raw = ebb_base64_decode(text, &len);
    s->user_data = raw != NULL ? (uint8_t *)ebb_strndup("", 0) : (uint8_t *)ebb_strdup("");
    if (raw == NULL)
        return ebb_ec2_refuse(q, "InvalidUserData.Malformed",
                              "Invalid BASE64 encoding of user data.");
    if (len > MAX_USER_DATA) {
        free(raw);
        return ebb_ec2_refuse(q, "InvalidParameterValue", "User data is limited to 16384 bytes");
    }
    free(s->user_data);
    s->user_data = ebb_alloc(len + 1);
    memcpy(s->user_data, raw, len);
    s->user_data_len = len;
    free(raw);
    return NULL;
}

/* p: the request, filled up from its launch template; the template may be NULL. */
static const char *read_spec(struct ebb_ec2_request *q, const struct ebb_params *p,
                             const struct ebb_params *template, struct spec *s)
{
    const char *image = ebb_params_get(p, "ImageId");
    const char *token = ebb_ec2_param(q, "ClientToken");
    const char *role = ebb_params_get(p, "IamInstanceProfile.Name");
    const char *arn = ebb_params_get(p, "IamInstanceProfile.Arn");

    if (image == NULL)
        return ebb_ec2_refuse(q, "MissingParameter",
                              "The request must contain the parameter ImageId");
    if (!ebb_starts_with(image, "ami-") && !ebb_starts_with(image, "resolve:ssm:"))
        return ebb_ec2_refuse(q, "InvalidAMIID.Malformed", "Invalid id: \"%.60s\"", image);
    snprintf(s->image, sizeof(s->image), "%s",
             ebb_starts_with(image, "ami-") ? image : EBB_EC2_IMAGE);
    if (token != NULL && strlen(token) > MAX_TOKEN)
        return ebb_ec2_refuse(q, "InvalidParameterValue",
                              "The client token must be at most %d ASCII characters", MAX_TOKEN);
    snprintf(s->token, sizeof(s->token), "%s", token != NULL ? token : "");
    if (role == NULL && arn != NULL && strrchr(arn, '/') != NULL)
        role = strrchr(arn, '/') + 1;
    snprintf(s->role, sizeof(s->role), "%s", role != NULL ? role : "ebb-vm");
    hash_request(q->params, s->hash);
    read_tags(q->params, &s->tags);
    if (template != NULL)
        read_tags(template, &s->tags);
    return read_user_data(q, ebb_params_get(p, "UserData"), s);
}

/* ---- pools ---- */

static size_t live_in_pool(const struct ebb_emulator *e, int zone, int type)
{
    size_t n = 0;

    for (size_t i = 0; i < e->vm_count; i++)
        n += e->vms[i]->zone == zone && e->vms[i]->type == type && ebb_guest_is_live(e->vms[i]);
    return n;
}

static const char *check_pool(struct ebb_ec2_request *q, int zone, int type, bool spot,
                              int64_t max_price, size_t count)
{
    struct ebb_emulator *e = q->emulator;
    const char *zone_name = e->fleet->zones[zone].name;
    const char *type_name = e->fleet->types[type].name;

    if (spot && e->fleet->types[type].spot[zone].count == 0)
        return ebb_ec2_refuse(q, "Unsupported",
                              "Your requested instance type (%s) is not supported in your "
                              "requested Availability Zone (%s).",
                              type_name, zone_name);
    if (ebb_faults_hit(e, EBB_FLEET_FAULT_QUOTA, EBB_FLEET_SERVICE_EC2, q->action, zone, type))
        return ebb_ec2_refuse(q, spot ? "MaxSpotInstanceCountExceeded" : "VcpuLimitExceeded",
                              "Max spot instance count exceeded");
    if (ebb_faults_hit(e, EBB_FLEET_FAULT_NO_CAPACITY, EBB_FLEET_SERVICE_EC2, q->action, zone,
                       type) ||
        (spot && ebb_revoke_is_unavailable(e, zone, type)) ||
        live_in_pool(e, zone, type) + count > (size_t)ebb_fleet_capacity(e->fleet, zone, type))
        return ebb_ec2_refuse(q, "InsufficientInstanceCapacity",
                              "We currently do not have sufficient %s capacity in the Availability "
                              "Zone you requested (%s).",
                              type_name, zone_name);
    if (spot && max_price > 0 && max_price < ebb_ec2_spot_price(e, type, zone))
        return ebb_ec2_refuse(q, "SpotMaxPriceTooLow",
                              "Your Spot request price of %.6f is lower than the minimum required "
                              "Spot request fulfillment price of %.6f.",
                              (double)max_price / 1e6,
                              (double)ebb_ec2_spot_price(e, type, zone) / 1e6);
    return NULL;
}

static const char *launch(struct ebb_ec2_request *q, const struct spec *s, int zone, int type,
                          bool spot, size_t count, struct ebb_guest **vms)
{
    char reservation[24], hex[18];
    struct ebb_guest_request request = {.zone = zone,
                                        .type = type,
                                        .spot = spot,
                                        .tags = &s->tags,
                                        .client_token = s->token,
                                        .request_hash = s->hash,
                                        .reservation = reservation,
                                        .image = s->image,
                                        .role = s->role,
                                        .user_data = s->user_data,
                                        .user_data_len = s->user_data_len};
    struct ebb_error err = {0};

    snprintf(reservation, sizeof(reservation), "r-0%s", ebb_random_hex(hex, 8));
    for (size_t i = 0; i < count; i++)
        if (ebb_guest_launch(q->emulator, &request, &vms[i], &err) < 0)
            return ebb_ec2_refuse(q, "InternalError", "%s", err.text);
    return NULL;
}

/* ---- RunInstances ---- */

static const char *read_price(struct ebb_ec2_request *q, const char *text, int64_t *ret_usd_micros)
{
    *ret_usd_micros = 0;
    if (text != NULL && ebb_parse_usd(text, ret_usd_micros, NULL) < 0)
        return ebb_ec2_refuse(q, "InvalidParameterValue",
                              "Value (%.40s) for parameter price is "
                              "invalid.",
                              text);
    return NULL;
}

static const char *read_counts(struct ebb_ec2_request *q, int64_t *ret_min, int64_t *ret_max)
{
    const char *min = ebb_ec2_param(q, "MinCount"), *max = ebb_ec2_param(q, "MaxCount");

    if (min == NULL || max == NULL)
        return ebb_ec2_refuse(q, "MissingParameter",
                              "The request must contain the parameters MinCount and MaxCount");
    if (ebb_parse_int(min, 1, MAX_COUNT, ret_min, NULL) < 0 ||
        ebb_parse_int(max, 1, MAX_COUNT, ret_max, NULL) < 0 || *ret_max < *ret_min)
        return ebb_ec2_refuse(q, "InvalidParameterValue",
                              "Value (%.20s) for parameter minCount or maxCount is invalid.", max);
    return NULL;
}

static const char *read_type(struct ebb_ec2_request *q, const char *name, int *ret)
{
    *ret = ebb_fleet_type_index(q->emulator->fleet, name != NULL ? name : "m1.small");
    if (*ret < 0)
        return ebb_ec2_refuse(q, "InvalidParameterValue", "Invalid value '%.60s' for InstanceType.",
                              name != NULL ? name : "m1.small");
    return NULL;
}

static const char *read_zone(struct ebb_ec2_request *q, const char *name, int *ret)
{
    *ret = name != NULL ? ebb_fleet_zone_index(q->emulator->fleet, name) : -1;
    if (name != NULL && *ret < 0)
        return ebb_ec2_refuse(q, "InvalidParameterValue", "Invalid availability zone: [%.60s]",
                              name);
    return NULL;
}

/* Where no zone is asked for, the first that has room. As many as fit, from max down to min. */
static const char *run_anywhere(struct ebb_ec2_request *q, const struct spec *s, int zone, int type,
                                bool spot, int64_t max_price, int64_t min, int64_t max,
                                struct ebb_guest **vms, size_t *ret_count)
{
    const char *code = NULL;

    for (size_t z = 0; z < q->emulator->fleet->zone_count; z++) {
        if (zone >= 0 && zone != (int)z)
            continue;
        for (int64_t n = max; n >= min; n--) {
            code = check_pool(q, (int)z, type, spot, max_price, (size_t)n);
            if (code == NULL) {
                *ret_count = (size_t)n;
                return launch(q, s, (int)z, type, spot, (size_t)n, vms);
            }
            if (strcmp(code, "InsufficientInstanceCapacity") != 0)
                break;
        }
    }
    return code;
}

static const struct ebb_params *template_data(struct ebb_ec2_request *q, const char *prefix,
                                              const char **ret_code)
{
    const char *name = ebb_params_getf(q->params, "%sLaunchTemplateName", prefix);
    const char *id = ebb_params_getf(q->params, "%sLaunchTemplateId", prefix);
    struct ebb_template *t = find_template(q->emulator, id, name);

    *ret_code = NULL;
    if (t != NULL)
        return &t->data;
    if (name != NULL || id != NULL)
        *ret_code = ebb_ec2_refuse(q,
                                   id != NULL ? "InvalidLaunchTemplateId.NotFound"
                                              : "InvalidLaunchTemplateName.NotFoundException",
                                   "The specified launch template, %.100s, does not exist.",
                                   id != NULL ? id : name);
    return NULL;
}

const char *ebb_ec2_run_instances(struct ebb_ec2_request *q)
{
    EBB_AUTO(spec_clean_up) struct spec s = {0};
    struct ebb_guest *vms[MAX_COUNT];
    const char *code = NULL, *market;
    const struct ebb_params *p = template_data(q, "LaunchTemplate.", &code);
    int zone = -1, type = -1;
    int64_t min = 0, max = 0, max_price = 0;
    size_t count = 0;
    struct ebb_params merged = {0};

    if (code != NULL)
        return code;
    /* What the request says goes before what the template says. */
    for (size_t i = 0; i < q->params->count; i++)
        ebb_params_add(&merged, q->params->items[i].name, q->params->items[i].value);
    for (size_t i = 0; p != NULL && i < p->count; i++)
        if (ebb_params_get(&merged, p->items[i].name) == NULL)
            ebb_params_add(&merged, p->items[i].name, p->items[i].value);
    market = ebb_params_get(&merged, "InstanceMarketOptions.MarketType");
    code = read_spec(q, &merged, p, &s);
    if (code == NULL)
        code = read_counts(q, &min, &max);
    if (code == NULL)
        code = read_type(q, ebb_params_get(&merged, "InstanceType"), &type);
    if (code == NULL)
        code = read_zone(q, ebb_params_get(&merged, "Placement.AvailabilityZone"), &zone);
    if (code == NULL)
        code = read_price(q, ebb_params_get(&merged, "InstanceMarketOptions.SpotOptions.MaxPrice"),
                          &max_price);
    if (code == NULL && market != NULL && strcmp(market, "spot") != 0)
        code = ebb_ec2_refuse(q, "InvalidParameterValue", "Invalid market type '%.40s'", market);
    if (code == NULL)
        code = find_token(q, &s, vms, &count);
    if (code == NULL && count == 0 && ebb_ec2_param(q, "DryRun") != NULL &&
        strcmp(ebb_ec2_param(q, "DryRun"), "true") == 0)
        code = ebb_ec2_refuse(q, "DryRunOperation",
                              "Request would have succeeded, but DryRun flag is set.");
    if (code == NULL && count == 0)
        code = run_anywhere(q, &s, zone, type, market != NULL, max_price, min, max, vms, &count);
    ebb_params_clean_up(&merged);
    if (code == NULL)
        ebb_ec2_put_reservation(q, vms, count);
    return code;
}

/* ---- launch templates ---- */

static void put_template(struct ebb_ec2_request *q, const struct ebb_template *t)
{
    ebb_markup_open(&q->body, "launchTemplate");
    ebb_markup_text(&q->body, "launchTemplateId", t->id);
    ebb_markup_text(&q->body, "launchTemplateName", t->name);
    ebb_markup_text(&q->body, "defaultVersionNumber", "1");
    ebb_markup_text(&q->body, "latestVersionNumber", "1");
    ebb_markup_close(&q->body, "launchTemplate");
}

const char *ebb_ec2_create_launch_template(struct ebb_ec2_request *q)
{
    static const char prefix[] = "LaunchTemplateData.";
    const char *name = ebb_ec2_param(q, "LaunchTemplateName");
    struct ebb_template *t;
    char hex[18];

    if (name == NULL || strlen(name) < 3 || strlen(name) > 128)
        return ebb_ec2_refuse(q, "InvalidLaunchTemplateName.MalformedException",
                              "A launch template name has 3 to 128 characters.");
    if (find_template(q->emulator, NULL, name) != NULL)
        return ebb_ec2_refuse(q, "InvalidLaunchTemplateName.AlreadyExistsException",
                              "Launch template name already in use.");
    t = ebb_alloc(sizeof(*t));
    snprintf(t->name, sizeof(t->name), "%s", name);
    snprintf(t->id, sizeof(t->id), "lt-0%s", ebb_random_hex(hex, 8));
    for (size_t i = 0; i < q->params->count; i++)
        if (ebb_starts_with(q->params->items[i].name, prefix))
            ebb_params_add(&t->data, q->params->items[i].name + sizeof(prefix) - 1,
                           q->params->items[i].value);
    ebb_map_set(q->emulator->templates, t->id, t);
    put_template(q, t);
    return NULL;
}

const char *ebb_ec2_delete_launch_template(struct ebb_ec2_request *q)
{
    const char *name = ebb_ec2_param(q, "LaunchTemplateName");
    const char *id = ebb_ec2_param(q, "LaunchTemplateId");
    struct ebb_template *t = find_template(q->emulator, id, name);

    if (t == NULL)
        return ebb_ec2_refuse(q, "InvalidLaunchTemplateId.NotFound",
                              "The specified launch template does not exist.");
    put_template(q, t);
    ebb_map_remove(q->emulator->templates, t->id);
    return NULL;
}

/* ---- CreateFleet ---- */

struct override {
    int type;
    int zone;
    int64_t max_price;
    int64_t price; /* now, in the fleet's market */
};

struct fleet_order {
    struct override overrides[MAX_FLEET_OVERRIDE];
    size_t count;
    const struct ebb_params *template_data;
    bool spot;
    bool by_price;
    int64_t target;
};

static const char *add_override(struct ebb_ec2_request *q, struct fleet_order *o, const char *type,
                                const char *zone, const char *price)
{
    struct override v = {.zone = -1};
    const char *code = read_type(q, type, &v.type);
    int asked = -1;

    if (code == NULL)
        code = read_zone(q, zone, &asked);
    if (code == NULL)
        code = read_price(q, price, &v.max_price);
    for (size_t z = 0; code == NULL && z < q->emulator->fleet->zone_count; z++) {
        if ((asked >= 0 && asked != (int)z) || o->count >= MAX_FLEET_OVERRIDE)
            continue;
        v.zone = (int)z;
        v.price = o->spot ? ebb_ec2_spot_price(q->emulator, v.type, v.zone)
                          : q->emulator->fleet->types[v.type].on_demand_usd_micros_per_hour;
        o->overrides[o->count++] = v;
    }
    return code;
}

static const char *read_overrides(struct ebb_ec2_request *q, struct fleet_order *o)
{
    const char *code = NULL;

    for (size_t n = 1; code == NULL && n <= 50; n++) {
        char prefix[80];
        const struct ebb_params *data;
        bool any = false;

        snprintf(prefix, sizeof(prefix), "LaunchTemplateConfigs.%zu.LaunchTemplateSpecification.",
                 n);
        if (!ebb_params_has_prefix(q->params, prefix))
            break;
        data = template_data(q, prefix, &code);
        o->template_data = o->template_data != NULL ? o->template_data : data;
        for (size_t m = 1; code == NULL && m <= MAX_FLEET_OVERRIDE; m++) {
            const char *type = ebb_params_getf(
                q->params, "LaunchTemplateConfigs.%zu.Overrides.%zu.InstanceType", n, m);

            if (type == NULL)
                break;
            any = true;
            code = add_override(
                q, o, type,
                ebb_params_getf(q->params,
                                "LaunchTemplateConfigs.%zu.Overrides.%zu.AvailabilityZone", n, m),
                ebb_params_getf(q->params, "LaunchTemplateConfigs.%zu.Overrides.%zu.MaxPrice", n,
                                m));
        }
        if (code == NULL && !any && data != NULL)
            code = add_override(q, o, ebb_params_get(data, "InstanceType"),
                                ebb_params_get(data, "Placement.AvailabilityZone"), NULL);
    }
    if (code == NULL && o->count == 0)
        code = ebb_ec2_refuse(q, "MissingParameter",
                              "The request must contain launch templates "
                              "with instance types");
    return code;
}

static const char *read_order(struct ebb_ec2_request *q, struct fleet_order *o)
{
    const char *type = ebb_ec2_param(q, "Type");
    const char *total = ebb_ec2_param(q, "TargetCapacitySpecification.TotalTargetCapacity");
    const char *market = ebb_ec2_param(q, "TargetCapacitySpecification.DefaultTargetCapacityType");
    const char *strategy = ebb_ec2_param(q, "SpotOptions.AllocationStrategy");
    const char *od_strategy = ebb_ec2_param(q, "OnDemandOptions.AllocationStrategy");

    if (type == NULL || strcmp(type, "instant") != 0)
        return ebb_ec2_refuse(q, "InvalidParameterValue",
                              "The emulated EC2 makes fleets of type instant alone.");
    if (total == NULL || ebb_parse_int(total, 1, MAX_COUNT, &o->target, NULL) < 0)
        return ebb_ec2_refuse(q, "InvalidParameterValue", "TotalTargetCapacity is invalid.");
    o->spot = market != NULL && strcmp(market, "spot") == 0;
    o->by_price = (o->spot ? strategy == NULL || strcmp(strategy, "lowest-price") == 0 ||
                                 strcmp(strategy, "lowestPrice") == 0 ||
                                 strcmp(strategy, "price-capacity-optimized") == 0
                           : od_strategy == NULL || strcmp(od_strategy, "prioritized") != 0);
    return read_overrides(q, o);
}

static int compare_overrides(const void *a, const void *b)
{
    const struct override *x = a, *y = b;

    return x->price < y->price ? -1 : x->price > y->price;
}

static void put_override(struct ebb_ec2_request *q, const struct override *v, bool spot)
{
    const struct ebb_fleet *f = q->emulator->fleet;

    ebb_markup_open(&q->body, "launchTemplateAndOverrides");
    ebb_markup_open(&q->body, "overrides");
    ebb_markup_text(&q->body, "instanceType", f->types[v->type].name);
    ebb_markup_text(&q->body, "availabilityZone", f->zones[v->zone].name);
    ebb_markup_close(&q->body, "overrides");
    ebb_markup_close(&q->body, "launchTemplateAndOverrides");
    ebb_markup_text(&q->body, "lifecycle", spot ? "spot" : "on-demand");
}

static void put_fleet_instance(struct ebb_ec2_request *q, const struct ebb_guest *vm)
{
    struct override v = {.type = vm->type, .zone = vm->zone};

    ebb_markup_open(&q->body, "item");
    ebb_markup_open(&q->body, "instanceIds");
    ebb_markup_text(&q->body, "item", vm->id);
    ebb_markup_close(&q->body, "instanceIds");
    ebb_markup_text(&q->body, "instanceType", vm->type_name);
    put_override(q, &v, vm->spot);
    ebb_markup_close(&q->body, "item");
}

/* One instance after the other, each from the first pool in order that has room. Pools that refuse
 * go to the error set, though the answer is a success. */
static const char *fill_order(struct ebb_ec2_request *q, struct fleet_order *o, struct spec *s,
                              struct ebb_guest **vms, size_t *ret_count)
{
    ebb_markup_open(&q->body, "errorSet");
    for (size_t i = 0; i < o->count; i++) {
        const struct override *v = &o->overrides[i];

        while (*ret_count < (size_t)o->target) {
            const char *code = check_pool(q, v->zone, v->type, o->spot, v->max_price, 1);

            if (code != NULL) {
                ebb_markup_open(&q->body, "item");
                ebb_markup_text(&q->body, "errorCode", code);
                ebb_markup_text(&q->body, "errorMessage", q->message);
                put_override(q, v, o->spot);
                ebb_markup_close(&q->body, "item");
                break;
            }
            code = launch(q, s, v->zone, v->type, o->spot, 1, vms + *ret_count);
            if (code != NULL)
                return code;
            (*ret_count)++;
        }
    }
    ebb_markup_close(&q->body, "errorSet");
    return NULL;
}

const char *ebb_ec2_create_fleet(struct ebb_ec2_request *q)
{
    EBB_AUTO_FREE struct fleet_order *o = ebb_alloc(sizeof(*o));
    EBB_AUTO(spec_clean_up) struct spec s = {0};
    struct ebb_guest *vms[MAX_COUNT];
    const char *code = read_order(q, o);
    size_t count = 0;
    char hex[33];

    if (code == NULL)
        code = read_spec(q, o->template_data != NULL ? o->template_data : q->params,
                         o->template_data, &s);
    if (code == NULL)
        code = find_token(q, &s, vms, &count);
    if (code != NULL)
        return code;
    ebb_random_hex(hex, 16);
    ebb_markup_format(&q->body, "fleetId", "fleet-%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8,
                      hex + 12, hex + 16, hex + 20);
    if (o->by_price)
        qsort(o->overrides, o->count, sizeof(o->overrides[0]), compare_overrides);
    if (count == 0)
        code = fill_order(q, o, &s, vms, &count);
    if (code != NULL)
        return code;
    ebb_markup_open(&q->body, "fleetInstanceSet");
    for (size_t i = 0; i < count; i++)
        put_fleet_instance(q, vms[i]);
    ebb_markup_close(&q->body, "fleetInstanceSet");
    return NULL;
}
