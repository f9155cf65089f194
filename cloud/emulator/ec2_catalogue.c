/* What there is to rent: prices, types, zones, the region and the one image. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "cloud/emulator/bill.h"
#include "cloud/emulator/ec2.h"
#include "cloud/emulator/emulator.h"
#include "cloud/emulator/markup.h"

#define PRODUCT "Linux/UNIX"

/* ---- spot prices ---- */

struct price_view {
    const struct ebb_emulator *emulator;
    int type;
    int zone;
    int64_t from_s;
    int64_t usd_micros;
    char price[32];
};

static const char *price_property(const void *item, const char *name)
{
    const struct price_view *v = item;

    if (strcmp(name, "instance-type") == 0)
        return v->emulator->fleet->types[v->type].name;
    if (strcmp(name, "availability-zone") == 0)
        return v->emulator->fleet->zones[v->zone].name;
    if (strcmp(name, "product-description") == 0)
        return PRODUCT;
    return strcmp(name, "spot-price") == 0 ? v->price : NULL;
}

struct price_query {
    struct ebb_ec2_request *q;
    int64_t start_s, end_s;
    size_t first, max, index;
    bool more;
};

static void put_price(struct price_query *pq, const struct price_view *v)
{
    struct ebb_buffer *b = &pq->q->body;
    char when[EBB_TIME_TEXT_SIZE];

    if (!ebb_ec2_matches(pq->q, v, price_property))
        return;
    if (pq->index >= pq->first + pq->max)
        pq->more = true;
    if (pq->index++ < pq->first || pq->more)
        return;
    ebb_markup_open(b, "item");
    ebb_markup_text(b, "instanceType", price_property(v, "instance-type"));
    ebb_markup_text(b, "productDescription", PRODUCT);
    ebb_markup_text(b, "spotPrice", v->price);
    ebb_markup_text(b, "timestamp", ebb_time_format(v->from_s * EBB_NS_PER_S, when));
    ebb_markup_text(b, "availabilityZone", price_property(v, "availability-zone"));
    ebb_markup_close(b, "item");
}

/* The changes of one pool, newest first, ending with the one in force at the start. */
static void put_pool(struct price_query *pq, int type, int zone)
{
    struct ebb_emulator *e = pq->q->emulator;
    struct price_view v = {.emulator = e, .type = type, .zone = zone};
    size_t count;
    EBB_AUTO_FREE struct ebb_bill_price *prices =
        ebb_bill_prices(&e->fleet->types[type].spot[zone], e->origin_wall_ns, &count);

    for (size_t i = count; i-- > 0;) {
        if (prices[i].from_s > pq->end_s)
            continue;
        v.from_s = prices[i].from_s;
        v.usd_micros = prices[i].usd_micros_per_hour;
        snprintf(v.price, sizeof(v.price), "%lld.%06lld", (long long)(v.usd_micros / 1000000),
                 (long long)(v.usd_micros % 1000000));
        put_price(pq, &v);
        if (prices[i].from_s <= pq->start_s)
            break;
    }
}

static const char *read_instant(struct ebb_ec2_request *q, const char *name, int64_t *s)
{
    const char *text = ebb_ec2_param(q, name);
    int64_t wall_ns;

    if (text == NULL)
        return NULL;
    if (ebb_time_parse(text, &wall_ns, NULL) < 0)
        return ebb_ec2_refuse(q, "InvalidParameterValue",
                              "Value (%.40s) for parameter %s is "
                              "invalid.",
                              text, name);
    *s = wall_ns / EBB_NS_PER_S;
    return NULL;
}

const char *ebb_ec2_describe_spot_price_history(struct ebb_ec2_request *q)
{
    static const char *const known[] = {"instance-type", "availability-zone", "product-description",
                                        "spot-price"};
    const struct ebb_fleet *f = q->emulator->fleet;
    const char *zone = ebb_ec2_param(q, "AvailabilityZone");
    int64_t now_s = ebb_wall_ns(NULL) / EBB_NS_PER_S;
    struct price_query pq = {.q = q, .start_s = now_s - 90 * 86400, .end_s = now_s};
    const char *code = ebb_ec2_check_filters(q, known, EBB_ARRAY_LEN(known));

    if (code == NULL)
        code = ebb_ec2_page(q, 1000, &pq.first, &pq.max);
    if (code == NULL)
        code = read_instant(q, "StartTime", &pq.start_s);
    if (code == NULL)
        code = read_instant(q, "EndTime", &pq.end_s);
    if (code != NULL)
        return code;
    if (pq.end_s > now_s)
        pq.end_s = now_s; /* prices to come are nobody's business */
    ebb_markup_open(&q->body, "spotPriceHistorySet");
    if (ebb_ec2_listed(q, "ProductDescription", PRODUCT))
        for (int t = 0; t < (int)f->type_count; t++)
            for (int z = 0; z < (int)f->zone_count; z++)
                if (ebb_ec2_listed(q, "InstanceType", f->types[t].name) &&
                    (zone == NULL || strcmp(zone, f->zones[z].name) == 0))
                    put_pool(&pq, t, z);
    ebb_markup_close(&q->body, "spotPriceHistorySet");
    if (pq.more)
        ebb_ec2_put_next_token(q, pq.first + pq.max);
    else
        ebb_markup_text(&q->body, "nextToken", "");
    return NULL;
}

/* ---- types ---- */

static const char *type_property(const void *item, const char *name)
{
    const struct ebb_fleet_type *t = item;

    if (strcmp(name, "instance-type") == 0)
        return t->name;
    if (strcmp(name, "current-generation") == 0)
        return "true";
    return strcmp(name, "processor-info.supported-architecture") == 0 ? "x86_64" : NULL;
}

static void put_gpus(struct ebb_buffer *b, const struct ebb_fleet_type *t)
{
    char model[EBB_FLEET_NAME_SIZE];

    /* EC2 writes its GPUs in capitals: "A10G". */
    for (size_t i = 0; i < sizeof(model); i++)
        model[i] = t->gpu_model[i] >= 'a' && t->gpu_model[i] <= 'z'
                       ? (char)(t->gpu_model[i] - 'a' + 'A')
                       : t->gpu_model[i];
    ebb_markup_open(b, "gpuInfo");
    ebb_markup_open(b, "gpus");
    ebb_markup_open(b, "item");
    ebb_markup_text(b, "name", model);
    ebb_markup_text(b, "manufacturer", "NVIDIA");
    ebb_markup_format(b, "count", "%lld", (long long)t->gpus);
    ebb_markup_close(b, "item");
    ebb_markup_close(b, "gpus");
    ebb_markup_close(b, "gpuInfo");
}

static void put_type(struct ebb_buffer *b, const struct ebb_fleet_type *t, double time_scale)
{
    ebb_markup_open(b, "item");
    ebb_markup_text(b, "instanceType", t->name);
    ebb_markup_text(b, "currentGeneration", "true");
    ebb_markup_open(b, "supportedUsageClasses");
    ebb_markup_text(b, "item", "on-demand");
    ebb_markup_text(b, "item", "spot");
    ebb_markup_close(b, "supportedUsageClasses");
    ebb_markup_open(b, "processorInfo");
    ebb_markup_open(b, "supportedArchitectures");
    ebb_markup_text(b, "item", "x86_64");
    ebb_markup_close(b, "supportedArchitectures");
    ebb_markup_close(b, "processorInfo");
    ebb_markup_open(b, "vCpuInfo");
    ebb_markup_format(b, "defaultVCpus", "%lld", (long long)t->vcpus);
    ebb_markup_close(b, "vCpuInfo");
    ebb_markup_open(b, "memoryInfo");
    ebb_markup_format(b, "sizeInMiB", "%llu", (unsigned long long)(t->memory_bytes >> 20));
    ebb_markup_close(b, "memoryInfo");
    if (t->gpus > 0)
        put_gpus(b, t);
    if (t->cap_s > 0) /* AWS has none: what its clients do not know they pass over */
        ebb_markup_format(b, "ebbSpotCapSeconds", "%.3f", t->cap_s * time_scale);
    ebb_markup_close(b, "item");
}

const char *ebb_ec2_describe_instance_types(struct ebb_ec2_request *q)
{
    static const char *const known[] = {"instance-type", "current-generation",
                                        "processor-info.supported-architecture"};
    const struct ebb_fleet *f = q->emulator->fleet;
    size_t first, max, shown = 0, i;
    const char *code = ebb_ec2_check_filters(q, known, EBB_ARRAY_LEN(known));

    if (code == NULL)
        code = ebb_ec2_page(q, 100, &first, &max);
    for (size_t n = 1; code == NULL && n <= 100; n++) {
        const char *name = ebb_params_getf(q->params, "InstanceType.%zu", n);

        if (name == NULL)
            break;
        if (ebb_fleet_type_index(f, name) < 0)
            code =
                ebb_ec2_refuse(q, "InvalidInstanceType",
                               "The following supplied instance types do not exist: [%.60s]", name);
    }
    if (code != NULL)
        return code;
    ebb_markup_open(&q->body, "instanceTypeSet");
    for (i = first; i < f->type_count && shown < max; i++)
        if (ebb_ec2_listed(q, "InstanceType", f->types[i].name) &&
            ebb_ec2_matches(q, &f->types[i], type_property)) {
            put_type(&q->body, &f->types[i], (double)f->time_scale);
            shown++;
        }
    ebb_markup_close(&q->body, "instanceTypeSet");
    if (i < f->type_count)
        ebb_ec2_put_next_token(q, i);
    return NULL;
}

struct offering {
    const char *type;
    const char *location;
};

static const char *offering_property(const void *item, const char *name)
{
    const struct offering *o = item;

    if (strcmp(name, "instance-type") == 0)
        return o->type;
    return strcmp(name, "location") == 0 ? o->location : NULL;
}

static void put_offering(struct ebb_ec2_request *q, const struct offering *o, const char *kind)
{
    if (!ebb_ec2_matches(q, o, offering_property))
        return;
    ebb_markup_open(&q->body, "item");
    ebb_markup_text(&q->body, "instanceType", o->type);
    ebb_markup_text(&q->body, "locationType", kind);
    ebb_markup_text(&q->body, "location", o->location);
    ebb_markup_close(&q->body, "item");
}

const char *ebb_ec2_describe_instance_type_offerings(struct ebb_ec2_request *q)
{
    static const char *const known[] = {"instance-type", "location"};
    const struct ebb_fleet *f = q->emulator->fleet;
    const char *kind = ebb_ec2_param(q, "LocationType");
    bool by_zone = kind != NULL && strcmp(kind, "availability-zone") == 0;
    const char *code = ebb_ec2_check_filters(q, known, EBB_ARRAY_LEN(known));

    if (code != NULL)
        return code;
    ebb_markup_open(&q->body, "instanceTypeOfferingSet");
    for (size_t t = 0; t < f->type_count; t++) {
        struct offering o = {.type = f->types[t].name, .location = f->region};

        if (!by_zone)
            put_offering(q, &o, "region");
        for (size_t z = 0; by_zone && z < f->zone_count; z++) {
            o.location = f->zones[z].name;
            put_offering(q, &o, "availability-zone");
        }
    }
    ebb_markup_close(&q->body, "instanceTypeOfferingSet");
    return NULL;
}

/* ---- places ---- */

const char *ebb_ec2_describe_availability_zones(struct ebb_ec2_request *q)
{
    const struct ebb_fleet *f = q->emulator->fleet;

    ebb_markup_open(&q->body, "availabilityZoneInfo");
    for (size_t z = 0; z < f->zone_count; z++) {
        if (!ebb_ec2_listed(q, "ZoneName", f->zones[z].name))
            continue;
        ebb_markup_open(&q->body, "item");
        ebb_markup_text(&q->body, "zoneName", f->zones[z].name);
        ebb_markup_text(&q->body, "zoneState", "available");
        ebb_markup_text(&q->body, "regionName", f->region);
        ebb_markup_format(&q->body, "zoneId", "use1-az%zu", z + 1);
        ebb_markup_text(&q->body, "optInStatus", "opt-in-not-required");
        ebb_markup_text(&q->body, "zoneType", "availability-zone");
        ebb_markup_close(&q->body, "item");
    }
    ebb_markup_close(&q->body, "availabilityZoneInfo");
    return NULL;
}

const char *ebb_ec2_describe_regions(struct ebb_ec2_request *q)
{
    const char *region = q->emulator->fleet->region;

    ebb_markup_open(&q->body, "regionInfo");
    if (ebb_ec2_listed(q, "RegionName", region)) {
        ebb_markup_open(&q->body, "item");
        ebb_markup_text(&q->body, "regionName", region);
        ebb_markup_text(&q->body, "regionEndpoint", q->emulator->endpoint);
        ebb_markup_text(&q->body, "optInStatus", "opt-in-not-required");
        ebb_markup_close(&q->body, "item");
    }
    ebb_markup_close(&q->body, "regionInfo");
    return NULL;
}

const char *ebb_ec2_describe_images(struct ebb_ec2_request *q)
{
    for (size_t n = 1; n <= 100; n++) {
        const char *id = ebb_params_getf(q->params, "ImageId.%zu", n);

        if (id == NULL)
            break;
        if (strcmp(id, EBB_EC2_IMAGE) != 0)
            return ebb_ec2_refuse(q, "InvalidAMIID.NotFound",
                                  "The image id '[%.60s]' does not exist", id);
    }
    ebb_markup_open(&q->body, "imagesSet");
    ebb_markup_open(&q->body, "item");
    ebb_markup_text(&q->body, "imageId", EBB_EC2_IMAGE);
    ebb_markup_text(&q->body, "name", "debian-12-amd64-emulated");
    ebb_markup_text(&q->body, "imageState", "available");
    ebb_markup_text(&q->body, "imageType", "machine");
    ebb_markup_text(&q->body, "imageOwnerId", "136693071363");
    ebb_markup_text(&q->body, "isPublic", "true");
    ebb_markup_text(&q->body, "architecture", "x86_64");
    ebb_markup_text(&q->body, "creationDate", "2026-01-01T00:00:00.000Z");
    ebb_markup_text(&q->body, "rootDeviceType", "ebs");
    ebb_markup_text(&q->body, "virtualizationType", "hvm");
    ebb_markup_close(&q->body, "item");
    ebb_markup_close(&q->body, "imagesSet");
    return NULL;
}
