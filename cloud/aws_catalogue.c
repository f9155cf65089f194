/* What can be launched where, for how much: types and their sizes, zones, which type is in which
 * zone, the spot price now, the on-demand price. What hardly changes is kept for an hour; spot
 * prices are asked for each time. EBB_AWS_INSTANCE_TYPES ("g5.xlarge,g6.xlarge") narrows all of it
 * to some types. */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "cloud/aws_prices.h"
#include "cloud/aws_provider.h"
#include "cloud/ec2_answer.h"

#define RETRY_FOR_S 30.0
#define KEPT_FOR_S  3600

struct prices {
    struct ebb_ec2_spot_price *items;
    size_t count, capacity;
};

struct ebb_aws_catalogue {
    pthread_mutex_t lock;
    int64_t read_ns;           /* monotonic; 0: never */
    struct ebb_map *types;     /* name -> struct ebb_ec2_type, usable ones */
    struct ebb_map *zones;     /* name -> itself */
    struct ebb_map *offered;   /* "type zone" -> itself; NULL: cannot be asked, all in all */
    struct ebb_map *on_demand; /* type -> int64_t */
};

struct ebb_aws_catalogue *ebb_aws_catalogue_new(void)
{
    struct ebb_aws_catalogue *c = ebb_alloc(sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

static void forget(struct ebb_aws_catalogue *c)
{
    ebb_map_destroy(EBB_TAKE(c->types));
    ebb_map_destroy(EBB_TAKE(c->zones));
    ebb_map_destroy(EBB_TAKE(c->offered));
    ebb_map_destroy(EBB_TAKE(c->on_demand));
    c->read_ns = 0;
}

void ebb_aws_catalogue_destroy(struct ebb_aws_catalogue *c)
{
    if (c == NULL)
        return;
    forget(c);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static void prices_clean_up(struct prices *p)
{
    free(p->items);
}

static void add_types(struct ebb_buffer *form)
{
    const char *at = getenv("EBB_AWS_INSTANCE_TYPES");
    for (int i = 1; at != NULL && *at != '\0'; i++) {
        size_t len = strcspn(at, ",");
        char name[32];
        snprintf(name, sizeof(name), "InstanceType.%d", i);
        EBB_AUTO_FREE char *type = ebb_strndup(at, len);
        ebb_ec2_form_add(form, name, type);
        at += len + (at[len] == ',');
    }
}

/* ---- what hardly changes ---- */

static int on_types(void *ctx, const struct ebb_xml_node *root, struct ebb_error *err)
{
    struct ebb_map *types = ctx;
    struct utsname machine;
    bool arm = uname(&machine) == 0 && strcmp(machine.machine, "aarch64") == 0;
    const struct ebb_xml_node *n = ebb_xml_child(ebb_xml_child(root, "instanceTypeSet"), "item");
    for (; n != NULL; n = ebb_xml_next(n, "item")) {
        struct ebb_ec2_type type;
        int code = ebb_ec2_read_type(n, arm ? "arm64" : "x86_64", &type, err);
        if (code < 0)
            return code;
        if (type.usable)
            ebb_map_set(types, type.name, ebb_memdup(&type, sizeof(type)));
    }
    return 0;
}

static int on_zones(void *ctx, const struct ebb_xml_node *root, struct ebb_error *err)
{
    struct ebb_map *zones = ctx;
    (void)err;
    const struct ebb_xml_node *n =
        ebb_xml_child(ebb_xml_child(root, "availabilityZoneInfo"), "item");
    for (; n != NULL; n = ebb_xml_next(n, "item")) {
        const char *name = ebb_xml_get(n, "zoneName"), *type = ebb_xml_get(n, "zoneType");
        EBB_AUTO_FREE char *subnet = ebb_aws_subnet_of(name);
        bool reachable = getenv("EBB_AWS_SUBNETS") == NULL || subnet != NULL;
        if (name[0] != '\0' && reachable && strcmp(ebb_xml_get(n, "zoneState"), "available") == 0 &&
            (type[0] == '\0' || strcmp(type, "availability-zone") == 0))
            ebb_map_set(zones, name, zones);
    }
    return 0;
}

static int on_offerings(void *ctx, const struct ebb_xml_node *root, struct ebb_error *err)
{
    struct ebb_map *offered = ctx;
    (void)err;
    const struct ebb_xml_node *n =
        ebb_xml_child(ebb_xml_child(root, "instanceTypeOfferingSet"), "item");
    for (; n != NULL; n = ebb_xml_next(n, "item")) {
        EBB_AUTO_FREE char *key =
            ebb_sprintf("%s %s", ebb_xml_get(n, "instanceType"), ebb_xml_get(n, "location"));
        ebb_map_set(offered, key, offered);
    }
    return 0;
}

static int read_offerings(struct ebb_aws_provider *a, struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer form = {0};
    struct ebb_error cause = {0};
    a->catalogue->offered = ebb_map_new(NULL);
    ebb_ec2_form_begin(&form, "DescribeInstanceTypeOfferings");
    ebb_ec2_form_add(&form, "LocationType", "availability-zone");
    int code = ebb_ec2_call_pages(&a->ec2, &form, RETRY_FOR_S, on_offerings, a->catalogue->offered,
                                  &cause);
    if (code == EBB_ERR_UNSUPPORTED || code == EBB_ERR_DENIED || code == EBB_ERR_INPUT) {
        ebb_log_info("types are taken to be in all zones: %s", cause.text);
        ebb_map_destroy(EBB_TAKE(a->catalogue->offered));
        return 0;
    }
    ebb_error_copy(err, &cause);
    return code;
}

static void read_on_demand(struct ebb_aws_provider *a)
{
    struct ebb_error cause = {0};
    a->catalogue->on_demand = ebb_map_new(free);
    if (ebb_aws_prices_fetch(a->client, a->base.region, a->catalogue->on_demand, &cause) < 0)
        ebb_log_warn("no on-demand prices (%s); the few built-in ones are used", cause.text);
}

static int read_catalogue(struct ebb_aws_provider *a, struct ebb_error *err)
{
    struct ebb_aws_catalogue *c = a->catalogue;
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer types = {0};
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer zones = {0};
    if (c->read_ns != 0 && ebb_now_ns(NULL) - c->read_ns < KEPT_FOR_S * EBB_NS_PER_S)
        return 0;
    forget(c);
    c->types = ebb_map_new(free);
    c->zones = ebb_map_new(NULL);
    ebb_ec2_form_begin(&types, "DescribeInstanceTypes");
    add_types(&types);
    ebb_ec2_form_begin(&zones, "DescribeAvailabilityZones");
    int code = ebb_ec2_call_pages(&a->ec2, &types, RETRY_FOR_S, on_types, c->types, err);
    if (code == 0)
        code = ebb_ec2_call_pages(&a->ec2, &zones, RETRY_FOR_S, on_zones, c->zones, err);
    if (code == 0)
        code = read_offerings(a, err);
    if (code < 0) {
        forget(c);
        return code;
    }
    read_on_demand(a);
    c->read_ns = ebb_now_ns(NULL);
    return 0;
}

/* ---- spot prices ---- */

static int on_prices(void *ctx, const struct ebb_xml_node *root, struct ebb_error *err)
{
    struct prices *p = ctx;
    const struct ebb_xml_node *n =
        ebb_xml_child(ebb_xml_child(root, "spotPriceHistorySet"), "item");
    for (; n != NULL; n = ebb_xml_next(n, "item")) {
        const char *product = ebb_xml_get(n, "productDescription");
        struct ebb_ec2_spot_price price;
        if (product[0] != '\0' && strncmp(product, "Linux/UNIX", 10) != 0)
            continue;
        int code = ebb_ec2_read_spot_price(n, &price, err);
        if (code < 0)
            return code;
        if (p->count == p->capacity) {
            p->capacity = p->capacity == 0 ? 256 : 2 * p->capacity;
            p->items = ebb_realloc_array(p->items, p->capacity, sizeof(*p->items));
        }
        p->items[p->count++] = price;
    }
    return 0;
}

static int compare_prices(const void *a, const void *b)
{
    const struct ebb_ec2_spot_price *x = a, *y = b;
    if (x->from_wall_ns != y->from_wall_ns)
        return x->from_wall_ns < y->from_wall_ns ? -1 : 1;
    int order = strcmp(x->type, y->type);
    return order != 0 ? order : strcmp(x->zone, y->zone);
}

/* All changes since then and those in force then, oldest first. */
static int read_spot_prices(struct ebb_aws_provider *a, int64_t since_wall_ns, struct prices *ret,
                            struct ebb_error *err)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer form = {0};
    char since[EBB_TIME_TEXT_SIZE];
    ebb_ec2_form_begin(&form, "DescribeSpotPriceHistory");
    ebb_ec2_form_add(&form, "StartTime", ebb_time_format(since_wall_ns, since));
    ebb_ec2_form_add(&form, "ProductDescription.1", "Linux/UNIX");
    ebb_ec2_form_add(&form, "MaxResults", "1000");
    add_types(&form);
    int code = ebb_ec2_call_pages(&a->ec2, &form, RETRY_FOR_S, on_prices, ret, err);
    if (code == 0 && ret->count > 1)
        qsort(ret->items, ret->count, sizeof(*ret->items), compare_prices);
    return code;
}

int ebb_aws_prices(struct ebb_provider *p, int64_t since_wall_ns, ebb_price_fn fn, void *ctx,
                   struct ebb_error *err)
{
    EBB_AUTO(prices_clean_up) struct prices prices = {0};
    int code = read_spot_prices((struct ebb_aws_provider *)p, since_wall_ns, &prices, err);
    for (size_t i = 0; code == 0 && i < prices.count; i++) {
        Ebb__PricePoint point = EBB__PRICE_POINT__INIT;
        point.zone = prices.items[i].zone;
        point.type = prices.items[i].type;
        point.market = EBB__MARKET__SPOT;
        point.usd_micros_per_hour = prices.items[i].usd_micros_per_hour;
        point.from_wall_ns = prices.items[i].from_wall_ns;
        code = fn(ctx, &point);
    }
    return code;
}

/* ---- offers ---- */

struct offering {
    struct ebb_aws_provider *provider;
    const struct ebb_map *spot; /* "type zone" -> int64_t, borrowed */
    ebb_offer_fn fn;
    void *ctx;
};

static int64_t on_demand_price(const struct ebb_aws_provider *a, const char *type)
{
    const int64_t *price = ebb_map_get(a->catalogue->on_demand, type);
    return price != NULL ? *price : ebb_aws_price_built_in(a->base.region, type);
}

static int offer_one(const struct offering *o, const struct ebb_ec2_type *type, const char *zone)
{
    struct ebb_aws_provider *a = o->provider;
    EBB_AUTO_FREE char *key = ebb_sprintf("%s %s", type->name, zone);
    const int64_t *spot = ebb_map_get(o->spot, key);
    int code = 0;
    if (a->catalogue->offered != NULL && ebb_map_get(a->catalogue->offered, key) == NULL)
        return 0;
    Ebb__Offer offer = EBB__OFFER__INIT;
    offer.provider = (char *)a->base.name;
    offer.region = a->base.region;
    offer.zone = (char *)zone;
    offer.type = (char *)type->name;
    offer.cpus = type->cpus;
    offer.memory_bytes = type->memory_bytes;
    offer.gpus = type->gpus;
    offer.gpu_model = (char *)type->gpu_model;
    offer.on_demand_usd_micros_per_hour = on_demand_price(a, type->name);
    if (type->spot && spot != NULL) {
        offer.market = EBB__MARKET__SPOT;
        offer.usd_micros_per_hour = *spot;
        offer.cap_s = type->spot_cap_s;
        code = o->fn(o->ctx, &offer);
    }
    if (code == 0 && type->on_demand && offer.on_demand_usd_micros_per_hour > 0) {
        offer.market = EBB__MARKET__ON_DEMAND;
        offer.cap_s = 0;
        offer.usd_micros_per_hour = offer.on_demand_usd_micros_per_hour;
        code = o->fn(o->ctx, &offer);
    }
    return code;
}

static int offer_all(const struct offering *o)
{
    size_t at_type = 0;
    void *type, *ignored;
    while (ebb_map_next(o->provider->catalogue->types, &at_type, &type) != NULL) {
        size_t at_zone = 0;
        const char *zone;
        while ((zone = ebb_map_next(o->provider->catalogue->zones, &at_zone, &ignored)) != NULL) {
            int code = offer_one(o, type, zone);
            if (code != 0)
                return code;
        }
    }
    return 0;
}

int ebb_aws_offers(struct ebb_provider *p, ebb_offer_fn fn, void *ctx, struct ebb_error *err)
{
    struct ebb_aws_provider *a = (struct ebb_aws_provider *)p;
    EBB_AUTO(prices_clean_up) struct prices prices = {0};
    pthread_mutex_lock(&a->catalogue->lock);
    int code = read_catalogue(a, err);
    if (code == 0)
        code = read_spot_prices(a, ebb_wall_ns(NULL), &prices, err);
    if (code == 0) {
        struct ebb_map *spot = ebb_map_new(NULL);
        for (size_t i = 0; i < prices.count; i++) {
            EBB_AUTO_FREE char *key =
                ebb_sprintf("%s %s", prices.items[i].type, prices.items[i].zone);
            ebb_map_set(spot, key, &prices.items[i].usd_micros_per_hour);
        }
        struct offering o = {a, spot, fn, ctx};
        code = offer_all(&o);
        ebb_map_destroy(spot);
    }
    pthread_mutex_unlock(&a->catalogue->lock);
    return code;
}
