/* The Price List API (GetProducts). An answer holds JSON documents as strings inside JSON; each is
 * one product with its terms:
 *
 *   product.attributes.instanceType
 *   terms.OnDemand.<term>.priceDimensions.<dimension>.{unit: "Hrs", pricePerUnit.USD: "0.526"}
 */
#include "cloud/aws_prices.h"

#include <jansson.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "cloud/credentials.h"
#include "cloud/ec2_answer.h"
#include "cloud/retry.h"

#define REAL_ORIGIN      "https://api.pricing.us-east-1.amazonaws.com"
#define PRICING_REGION   "us-east-1"
#define RETRY_FOR_S      20.0
#define TIMEOUT_S        30.0
#define MAX_ANSWER_BYTES (16u << 20)
#define MAX_PAGES        200
#define MAX_TYPE_BYTES   31

static void drop_json(json_t **j)
{
    json_decref(*j);
}

/* The price per hour of the first dimension that has one above zero. */
static bool read_terms(const json_t *document, int64_t *ret)
{
    const char *key, *dimension_key;
    json_t *term, *dimension;
    json_t *terms = json_object_get(json_object_get(document, "terms"), "OnDemand");
    json_object_foreach(terms, key, term)
    {
        json_t *dimensions = json_object_get(term, "priceDimensions");
        json_object_foreach(dimensions, dimension_key, dimension)
        {
            const char *unit = json_string_value(json_object_get(dimension, "unit"));
            const char *usd = json_string_value(
                json_object_get(json_object_get(dimension, "pricePerUnit"), "USD"));
            if (unit != NULL && usd != NULL && strcmp(unit, "Hrs") == 0 &&
                ebb_ec2_parse_price(usd, ret) && *ret > 0)
                return true;
        }
    }
    return false;
}

static void read_product(const json_t *item, struct ebb_map *prices)
{
    EBB_AUTO(drop_json) json_t *parsed = NULL;
    if (json_is_string(item)) {
        parsed = json_loadb(json_string_value(item), json_string_length(item), 0, NULL);
        item = parsed;
    }
    json_t *attributes = json_object_get(json_object_get(item, "product"), "attributes");
    const char *type = json_string_value(json_object_get(attributes, "instanceType"));
    int64_t price = 0;
    if (type == NULL || type[0] == '\0' || strlen(type) > MAX_TYPE_BYTES ||
        !read_terms(item, &price))
        return;
    ebb_map_set(prices, type, ebb_memdup(&price, sizeof(price)));
}

int ebb_aws_prices_read(const void *body, size_t len, struct ebb_map *prices, char **ret_token,
                        struct ebb_error *err)
{
    json_error_t e;
    size_t i;
    json_t *item;
    EBB_AUTO(drop_json) json_t *answer = json_loadb(body, len, 0, &e);
    if (answer == NULL)
        return ebb_error_set(err, EBB_ERR_CORRUPT, "price list: no JSON: %s", e.text);
    json_t *list = json_object_get(answer, "PriceList");
    if (!json_is_array(list))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "price list: no PriceList in the answer");
    json_array_foreach(list, i, item) read_product(item, prices);
    const char *token = json_string_value(json_object_get(answer, "NextToken"));
    *ret_token = token != NULL && token[0] != '\0' ? ebb_strdup(token) : NULL;
    return 0;
}

/* ---- asking ---- */

static json_t *filter(const char *field, const char *value)
{
    return json_pack("{s:s, s:s, s:s}", "Type", "TERM_MATCH", "Field", field, "Value", value);
}

static char *request_body(const char *region, const char *token)
{
    json_t *filters = json_array();
    json_array_append_new(filters, filter("regionCode", region));
    json_array_append_new(filters, filter("operatingSystem", "Linux"));
    json_array_append_new(filters, filter("tenancy", "Shared"));
    json_array_append_new(filters, filter("preInstalledSw", "NA"));
    json_array_append_new(filters, filter("capacitystatus", "Used"));
    EBB_AUTO(drop_json)
    json_t *q = json_pack("{s:s, s:s, s:i, s:o}", "ServiceCode", "AmazonEC2", "FormatVersion",
                          "aws_v1", "MaxResults", 100, "Filters", filters);
    if (token != NULL)
        json_object_set_new(q, "NextToken", json_string(token));
    return json_dumps(q, JSON_COMPACT);
}

static int read_failure(const struct ebb_http_answer *answer, struct ebb_error *err)
{
    EBB_AUTO(drop_json)
    json_t *j = json_loadb(ebb_buffer_text(&answer->body), answer->body.len, 0, NULL);
    const char *type = json_string_value(json_object_get(j, "__type"));
    const char *name = type != NULL && strrchr(type, '#') != NULL ? strrchr(type, '#') + 1 : type;
    if (name == NULL)
        name = "";
    int code = strcmp(name, "AccessDeniedException") == 0 ? EBB_ERR_DENIED
                                                          : ebb_ec2_code(answer->status, name);
    return ebb_error_set(err, code, "price list: HTTP %d %.64s", answer->status, name);
}

static int fetch_page(struct ebb_aws_client *client, const char *origin, const char *region,
                      const char *token, struct ebb_map *prices, char **ret_token,
                      struct ebb_error *err)
{
    EBB_AUTO(ebb_http_answer_clean_up) struct ebb_http_answer answer = {0};
    EBB_AUTO_FREE char *body = request_body(region, token);
    struct ebb_aws_request q = {.service = "pricing",
                                .region = PRICING_REGION,
                                .method = "POST",
                                .origin = origin,
                                .target = "/",
                                .headers = {{"Content-Type", "application/x-amz-json-1.1"},
                                            {"X-Amz-Target", "AWSPriceListService.GetProducts"}},
                                .header_count = 2,
                                .body = body,
                                .body_len = strlen(body),
                                .timeout_s = TIMEOUT_S,
                                .max_answer_bytes = MAX_ANSWER_BYTES};
    int code = ebb_aws_call(client, &q, &answer, err);
    if (code < 0)
        return code;
    if (answer.status != 200)
        return read_failure(&answer, err);
    return ebb_aws_prices_read(ebb_buffer_text(&answer.body), answer.body.len, prices, ret_token,
                               err);
}

int ebb_aws_prices_fetch(struct ebb_aws_client *client, const char *region, struct ebb_map *prices,
                         struct ebb_error *err)
{
    EBB_AUTO_FREE char *origin = ebb_aws_endpoint("PRICING");
    EBB_AUTO_FREE char *token = NULL;
    struct ebb_retry retry;
    ebb_retry_init(&retry, RETRY_FOR_S, NULL);
    for (int pages = 0; pages < MAX_PAGES;) {
        char *next = NULL;
        int code = fetch_page(client, origin != NULL ? origin : REAL_ORIGIN, region, token, prices,
                              &next, err);
        if (code < 0 && ebb_retry_again(&retry, code))
            continue;
        if (code < 0)
            return code;
        free(token);
        token = next;
        if (token == NULL)
            return 0;
        pages++;
    }
    return ebb_error_set(err, EBB_ERR_CORRUPT, "price list: more than %d pages", MAX_PAGES);
}

/* ---- built in ---- */

static const struct {
    const char *type;
    int64_t usd_micros_per_hour;
} built_in[] = {
    {"g4dn.xlarge", 526000},         {"g5.xlarge", 1006000},     {"g6.xlarge", 804800},
    {"g6e.xlarge", 1861000},         {"p4d.24xlarge", 21957600}, {"p5.48xlarge", 55040000},
    {"p6-b200.48xlarge", 113930000},
};

int64_t ebb_aws_price_built_in(const char *region, const char *type)
{
    for (size_t i = 0; strcmp(region, "us-east-1") == 0 && i < EBB_ARRAY_LEN(built_in); i++)
        if (strcmp(built_in[i].type, type) == 0)
            return built_in[i].usd_micros_per_hour;
    return 0;
}
