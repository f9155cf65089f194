/* Charges are integers throughout: a segment of n real seconds at p micro-USD an hour costs
 * n * scale * p / 3600, in 128 bits, rounded half up. */
#include "cloud/emulator/bill.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

#define MINIMUM_S          60
#define FORGIVEN_BELOW_S   3600
#define PUT_NANO_USD       5000 /* 0.005 USD per 1,000 */
#define GET_NANO_USD       400  /* 0.0004 USD per 1,000 */
#define STORAGE_USD_PER_GB 0.023L
#define GB_BYTES           1073741824.0L
#define MONTH_S            2592000.0L /* 30 days */
#define SCHEMA             "ebb.emulator.bill.v1"

static const char *const request_names[EBB_BILL_REQUEST_KINDS] = {"put", "get", "delete"};

static int64_t cost(int64_t billed_s, int64_t usd_micros_per_hour)
{
    return (int64_t)(((__int128)billed_s * usd_micros_per_hour + 1800) / 3600);
}

void ebb_bill_charge(struct ebb_bill_line *line, int64_t time_scale, bool interrupted,
                     const struct ebb_bill_price *prices, size_t count)
{
    int64_t total = 0, s = line->start_s, last_s = 0;
    size_t i = 0;

    line->usd_micros = 0;
    line->forgiven = false;
    line->billed_s = 0;
    if (line->start_s == 0 || count == 0)
        return;
    if (line->end_s > line->start_s)
        line->billed_s = (line->end_s - line->start_s) * time_scale;
    if (line->spot && interrupted && line->billed_s < FORGIVEN_BELOW_S) {
        line->forgiven = true;
        return;
    }
    while (i + 1 < count && prices[i + 1].from_s <= s)
        i++;
    for (;;) {
        int64_t until = line->end_s;

        if (i + 1 < count && prices[i + 1].from_s < until)
            until = prices[i + 1].from_s;
        last_s = until > s ? (until - s) * time_scale : 0;
        s = until;
        if (i + 1 >= count || prices[i + 1].from_s >= line->end_s)
            break;
        total += cost(last_s, prices[i].usd_micros_per_hour);
        i++;
    }
    if (line->billed_s < MINIMUM_S) {
        last_s += MINIMUM_S - line->billed_s;
        line->billed_s = MINIMUM_S;
    }
    line->usd_micros = total + cost(last_s, prices[i].usd_micros_per_hour);
}

struct ebb_bill_price *ebb_bill_prices(const struct ebb_fleet_prices *p, int64_t origin_wall_ns,
                                       size_t *ret_count)
{
    struct ebb_bill_price *prices = ebb_alloc_array(p->count + 1, sizeof(*prices));
    size_t count = 0;

    for (size_t i = 0; i < p->count; i++) {
        double at_s = (double)(origin_wall_ns % EBB_NS_PER_S) / 1e9 + p->steps[i].at_s;
        int64_t from_s = origin_wall_ns / EBB_NS_PER_S + (int64_t)floor(at_s);

        if (count > 0 && prices[count - 1].from_s == from_s)
            count--; /* two changes in one second: the later one counts */
        prices[count].from_s = from_s;
        prices[count++].usd_micros_per_hour = p->steps[i].usd_micros_per_hour;
    }
    *ret_count = count;
    return prices;
}

void ebb_bill_clean_up(struct ebb_bill *b)
{
    free(b->lines);
    b->lines = NULL;
    b->line_count = 0;
}

void ebb_bill_add_line(struct ebb_bill *b, const struct ebb_bill_line *line)
{
    b->lines = ebb_realloc_array(b->lines, b->line_count + 1, sizeof(*b->lines));
    b->lines[b->line_count++] = *line;
}

void ebb_bill_count(struct ebb_bill *b, enum ebb_bill_request kind)
{
    b->requests[kind]++;
}

void ebb_bill_store(struct ebb_bill *b, uint64_t bytes, double seconds)
{
    b->stored_byte_s += (long double)bytes * (long double)seconds;
}

int64_t ebb_bill_request_usd_micros(const struct ebb_bill *b)
{
    uint64_t nano =
        b->requests[EBB_BILL_PUT] * PUT_NANO_USD + b->requests[EBB_BILL_GET] * GET_NANO_USD;

    return (int64_t)((nano + 500) / 1000);
}

static long double gb_months(const struct ebb_bill *b)
{
    return b->stored_byte_s * (long double)b->time_scale / GB_BYTES / MONTH_S;
}

int64_t ebb_bill_storage_usd_micros(const struct ebb_bill *b)
{
    return llroundl(gb_months(b) * STORAGE_USD_PER_GB * 1e6L);
}

static json_t *time_json(int64_t s)
{
    char text[EBB_TIME_TEXT_SIZE];

    return s == 0 ? json_null() : json_string(ebb_time_format(s * EBB_NS_PER_S, text));
}

static json_t *line_json(const struct ebb_bill_line *line)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:I, s:I, s:b}", "instance", line->instance,
                     "type", line->type, "zone", line->zone, "market",
                     line->spot ? "spot" : "on-demand", "start", time_json(line->start_s), "end",
                     time_json(line->end_s), "billed_s", (json_int_t)line->billed_s, "usd_micros",
                     (json_int_t)line->usd_micros, "forgiven", line->forgiven);
}

json_t *ebb_bill_json(const struct ebb_bill *b, const struct ebb_bill_line *open, size_t count)
{
    json_t *vms = json_array(), *running = json_array(), *requests = json_object();
    int64_t vm_micros = 0, open_micros = 0;

    for (size_t i = 0; i < b->line_count; i++) {
        json_array_append_new(vms, line_json(&b->lines[i]));
        vm_micros += b->lines[i].usd_micros;
    }
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(running, line_json(&open[i]));
        open_micros += open[i].usd_micros;
    }
    for (size_t k = 0; k < EBB_BILL_REQUEST_KINDS; k++)
        json_object_set_new(requests, request_names[k], json_integer((json_int_t)b->requests[k]));
    return json_pack(
        "{s:s, s:I, s:o, s:I, s:o, s:I, s:o, s:I, s:f, s:f, s:I, s:I}", "schema", SCHEMA,
        "time_scale", (json_int_t)b->time_scale, "vms", vms, "vm_usd_micros", (json_int_t)vm_micros,
        "running", running, "running_usd_micros", (json_int_t)open_micros, "requests", requests,
        "request_usd_micros", (json_int_t)ebb_bill_request_usd_micros(b), "stored_byte_s",
        (double)b->stored_byte_s, "storage_gb_months", (double)gb_months(b), "storage_usd_micros",
        (json_int_t)ebb_bill_storage_usd_micros(b), "total_usd_micros",
        (json_int_t)(vm_micros + open_micros + ebb_bill_request_usd_micros(b) +
                     ebb_bill_storage_usd_micros(b)));
}

static bool copy_text(char *out, size_t size, const json_t *from, const char *key)
{
    const char *text = json_string_value(json_object_get(from, key));

    return text != NULL && (size_t)snprintf(out, size, "%s", text) < size;
}

static bool read_time(const json_t *from, const char *key, int64_t *ret_s)
{
    const json_t *v = json_object_get(from, key);
    int64_t wall_ns;

    *ret_s = 0;
    if (json_is_null(v))
        return true;
    if (!json_is_string(v) || ebb_time_parse(json_string_value(v), &wall_ns, NULL) < 0)
        return false;
    *ret_s = wall_ns / EBB_NS_PER_S;
    return true;
}

static bool read_line(const json_t *from, struct ebb_bill_line *ret)
{
    const char *market = json_string_value(json_object_get(from, "market"));

    memset(ret, 0, sizeof(*ret));
    if (market == NULL || !copy_text(ret->instance, sizeof(ret->instance), from, "instance") ||
        !copy_text(ret->type, sizeof(ret->type), from, "type") ||
        !copy_text(ret->zone, sizeof(ret->zone), from, "zone") ||
        !read_time(from, "start", &ret->start_s) || !read_time(from, "end", &ret->end_s))
        return false;
    ret->spot = strcmp(market, "spot") == 0;
    ret->forgiven = json_is_true(json_object_get(from, "forgiven"));
    ret->billed_s = json_integer_value(json_object_get(from, "billed_s"));
    ret->usd_micros = json_integer_value(json_object_get(from, "usd_micros"));
    return true;
}

int ebb_bill_restore(struct ebb_bill *b, const json_t *from, struct ebb_error *err)
{
    const json_t *vms = json_object_get(from, "vms"), *requests = json_object_get(from, "requests");
    const char *schema = json_string_value(json_object_get(from, "schema"));
    struct ebb_bill_line line;

    if (schema == NULL || strcmp(schema, SCHEMA) != 0 || !json_is_array(vms))
        return ebb_error_set(err, EBB_ERR_CORRUPT, "bill: not a file of form %s", SCHEMA);
    for (size_t i = 0; i < json_array_size(vms); i++) {
        if (!read_line(json_array_get(vms, i), &line))
            return ebb_error_set(err, EBB_ERR_CORRUPT, "bill: line %zu is malformed", i + 1);
        ebb_bill_add_line(b, &line);
    }
    for (size_t k = 0; k < EBB_BILL_REQUEST_KINDS; k++)
        b->requests[k] += (uint64_t)json_integer_value(json_object_get(requests, request_names[k]));
    b->stored_byte_s += (long double)json_number_value(json_object_get(from, "stored_byte_s"));
    return 0;
}
