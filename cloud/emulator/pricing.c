/* The price list service: GetProducts for on-demand prices, JSON 1.1. Each product comes as a JSON
 * text inside the JSON answer, as AWS does it. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/text.h"
#include "cloud/emulator/emulator.h"
#include "cloud/emulator/exchange.h"

#define MAX_RESULTS 100

static void send_json(struct ebb_exchange *x, int status, json_t *value)
{
    EBB_AUTO(ebb_buffer_clean_up) struct ebb_buffer body = {0};
    EBB_AUTO_FREE char *text = json_dumps(value, JSON_COMPACT);

    json_decref(value);
    ebb_buffer_append_text(&body, text != NULL ? text : "{}");
    ebb_exchange_set_header(x, "Content-Type", "application/x-amz-json-1.1");
    ebb_exchange_set_header(x, "x-amzn-RequestId", x->id);
    ebb_exchange_write(x, &body);
    ebb_exchange_send(x, status);
}

static void fail(struct ebb_exchange *x, const char *type, const char *message)
{
    send_json(x, 400, json_pack("{s:s, s:s}", "__type", type, "message", message));
}

/* Attributes of a type as the price list has them. */
static json_t *attributes(const struct ebb_fleet *f, const struct ebb_fleet_type *t)
{
    char memory[48], vcpus[24];

    snprintf(memory, sizeof(memory), "%g GiB", (double)t->memory_bytes / 0x1p30);
    snprintf(vcpus, sizeof(vcpus), "%lld", (long long)t->vcpus);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "servicecode",
                     "AmazonEC2", "instanceType", t->name, "regionCode", f->region,
                     "operatingSystem", "Linux", "tenancy", "Shared", "preInstalledSw", "NA",
                     "capacitystatus", "Used", "memory", memory, "vcpu", vcpus, "locationType",
                     "AWS Region");
}

static bool matches(const json_t *attributes_of, const json_t *filters)
{
    size_t i;
    const json_t *filter;

    json_array_foreach(filters, i, filter)
    {
        const char *field = json_string_value(json_object_get(filter, "Field"));
        const char *wanted = json_string_value(json_object_get(filter, "Value"));
        const char *value =
            field != NULL ? json_string_value(json_object_get(attributes_of, field)) : NULL;

        /* A field that the emulated list leaves out hides nothing. */
        if (value != NULL && wanted != NULL && strcmp(value, wanted) != 0)
            return false;
    }
    return true;
}

static json_t *product(const struct ebb_fleet_type *t, json_t *attributes_of)
{
    char usd[32], sku[64], offer[96], rate[128];
    json_t *text_json;
    json_t *whole;
    EBB_AUTO_FREE char *text = NULL;

    snprintf(usd, sizeof(usd), "%lld.%06lld0000",
             (long long)(t->on_demand_usd_micros_per_hour / 1000000),
             (long long)(t->on_demand_usd_micros_per_hour % 1000000));
    snprintf(sku, sizeof(sku), "EBB%s", t->name);
    snprintf(offer, sizeof(offer), "%s.JRTCKXETXF", sku);
    snprintf(rate, sizeof(rate), "%s.6YS6EN2CT7", offer);
    whole = json_pack("{s:{s:s, s:s, s:O}, s:s, s:{s:{s:{s:s, s:s, s:{s:{s:s, s:s, s:{s:s}}}}}}}",
                      "product", "productFamily", "Compute Instance", "sku", sku, "attributes",
                      attributes_of, "serviceCode", "AmazonEC2", "terms", "OnDemand", offer, "sku",
                      sku, "offerTermCode", "JRTCKXETXF", "priceDimensions", rate, "unit", "Hrs",
                      "rateCode", rate, "pricePerUnit", "USD", usd);
    text = json_dumps(whole, JSON_COMPACT);
    json_decref(whole);
    text_json = json_string(text != NULL ? text : "{}");
    return text_json;
}

static void get_products(struct ebb_exchange *x)
{
    const struct ebb_fleet *f = x->emulator->fleet;
    json_t *query = json_loadb((const char *)x->body, x->body_len, 0, NULL);
    json_t *list = json_array(), *answer;
    const char *token = json_string_value(json_object_get(query, "NextToken"));
    json_int_t wanted = json_integer_value(json_object_get(query, "MaxResults"));
    size_t max = wanted > 0 && wanted < MAX_RESULTS ? (size_t)wanted : MAX_RESULTS, i;
    int64_t first = 0;
    char next[24];

    if (query == NULL || json_object_get(query, "ServiceCode") == NULL ||
        (token != NULL && ebb_parse_int(token, 0, EBB_FLEET_MAX_TYPES, &first, NULL) < 0)) {
        json_decref(query);
        json_decref(list);
        fail(x, "InvalidParameterException", "The request has no ServiceCode, or a bad NextToken");
        return;
    }
    for (i = (size_t)first; i < f->type_count && json_array_size(list) < max; i++) {
        json_t *of = attributes(f, &f->types[i]);

        if (matches(of, json_object_get(query, "Filters")))
            json_array_append_new(list, product(&f->types[i], of));
        json_decref(of);
    }
    json_decref(query);
    answer = json_pack("{s:s, s:o}", "FormatVersion", "aws_v1", "PriceList", list);
    snprintf(next, sizeof(next), "%zu", i);
    if (i < f->type_count)
        json_object_set_new(answer, "NextToken", json_string(next));
    send_json(x, 200, answer);
}

void ebb_pricing_handle(struct ebb_exchange *x)
{
    const char *target = ebb_exchange_header(x, "X-Amz-Target");
    char service[33];

    switch (ebb_keyring_check(&x->emulator->keyring, x, service)) {
    case EBB_KEYRING_GENUINE:
        if (target != NULL && strcmp(target, "AWSPriceListService.GetProducts") == 0)
            get_products(x);
        else
            fail(x, "UnknownOperationException", "The emulated price list knows GetProducts alone");
        break;
    case EBB_KEYRING_UNKNOWN_KEY:
    case EBB_KEYRING_BAD_TOKEN:
        fail(x, "UnrecognizedClientException",
             "The security token included in the request is invalid.");
        break;
    default:
        fail(x, "InvalidSignatureException",
             "The request signature we calculated does not match the signature you provided.");
        break;
    }
}
